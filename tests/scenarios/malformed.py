#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What isn't a call, is none yet, or has more to it than a call may have: each has its verdict,
nothing is connected, nothing is left, and others are served meanwhile.

With KTLSTEST_LONG set there is a test that takes a minute.
"""

import os
import re
import select
import socket
import time

from ktlstest import door, names
from ktlstest.asking import GONE, SLOWNESS, check_descriptors, settle
from ktlstest.daemon import TOP, Daemon
from ktlstest.expect import SLACK
from ktlstest.refused import (CLOSED, call, check_refused, check_verdict, nothing_comes_of_it,
                              on_wire)
from ktlstest.tap import (check_between, check_equal, check_in, check_true, main, note, test,
                          wait_until)

LONG = bool(os.environ.get("KTLSTEST_LONG"))
MESSAGE_MAX = 512 * 1024
GET_INFO = b'{"method":"org.varlink.service.GetInfo"}'
HALF = b'{"method":"io.ktlsd.Connect","parameters":{"host":"127.0.0.1",'
MIB = 1024  # in KiB
QUICK = 4  # times what blanks of that size take, for the best of several


def shown(text):
    """For the name of a case, without what all have in common."""
    return ascii(text).replace(call()[:-2], "...").replace(call()[:call().index("127.0")], "...")


@test("{what:.70} is {verdict}", cases=[
    {"what": shown(text), "text": text, "verdict": verdict} for text, verdict in [
    # not an object, or not only one
    ("", CLOSED), (" ", CLOSED), ("{", CLOSED), ("}", CLOSED), ("[]", CLOSED), ("null", CLOSED),
    ('"io.ktlsd.Connect"', CLOSED), ("[" + call() + "]", CLOSED), (call() + "x", CLOSED),
    (call() + "{}", CLOSED), (call() + call(), CLOSED), (call() + "]", CLOSED),
    (call()[:-1], CLOSED), ("\ufeff" + call(), CLOSED), (call() + "\ufeff", CLOSED),
    (b"\xff\xfe" + call().encode("utf-16-le").replace(b"\0", b""), CLOSED), (b"\x80", CLOSED),
    # JSON, nearly
    ("{'a':1}", CLOSED), (call().replace('"', "'"), CLOSED), ("{a:1}", CLOSED),
    (call(more=","), CLOSED), (call(more=',"alpn":["h2",]'), CLOSED), ("{,}", CLOSED),
    (call(more="/* */"), CLOSED), (call() + "//", CLOSED), (call(more=',"x":NaN'), CLOSED),
    (call(port="NaN"), CLOSED), (call(more=',"timeoutMs":-Infinity'), CLOSED),
    (call(more=',"timeoutMs":.5'), CLOSED), (call(more=',"timeoutMs":5.'), CLOSED),
    (call(more=',"timeoutMs":True'), CLOSED), (call(more=',"x":nil'), CLOSED),
    (call(host='"127.0.0.1'), CLOSED), (call(host='"127.0.0.1\n"'), CLOSED),
    (call(host='"127.0.0.1\\x"'), CLOSED), (call(host='"\\u12"'), CLOSED),
    (call(host='"\\uD800'), CLOSED), ("\x0b" + call(), CLOSED), (call() + "\xa0", CLOSED),
    # strings that are none
    (call(host='"\\ud800"'), "host"), (call(host='"\\udc00.test"'), "host"),
    (call(host='"\\ud800\\ud800"'), "host"), (call(host='"\udcff.test"'), "host"),
    (call(host='"\udcc0\udcae"'), "host"), (call(host='"\udced\udca0\udc80"'), "host"),
    (call(host='"\udcf4\udc90\udc80\udc80"'), "host"), (call(host='"a\udce2\udc82"'), "host"),
    (call(host='"bank.example\\u0000.evil.test"'), "host"), (call(host='"\\u0000"'), "host"),
    (call(more=',"trust":{"name":"bank.example\\u0000.evil.test"}'), "trust.name"),
    (call(more=',"serverName":"bank.example\\u0000.evil.test"'), "serverName"),
    (call(more=',"alpn":["\udcff"]'), "alpn"), (call(more=',"x\\u0000":1'), "x\\x00"),
    # members that are doubled or that nobody knows, whatever their value
    (call(more=',"host":"127.0.0.1"'), "host"), (call(more=',"h\\u006fst":"::1"'), "host"),
    (call(more=',"port":PORT'), "port"), (call(more=',"trust":{"ca":"x","ca":"x"}'), "trust.ca"),
    (call(more=',"trust":{},"trust":{}'), "trust"), (call(around=',"parameters":{}'), "parameters"),
    (call(around=',"method":"io.ktlsd.Connect"'), "method"), (call(more=',"bind":"::1"'), "bind"),
    (call(more=',"source":"127.0.0.1"'), "source"), (call(more=',"mark":1'), "mark"),
    (call(more=',"x":null'), "x"), (call(more=',"Host":"127.0.0.1"'), "Host"),
    (call(more=',"":1'), ""), (call(more=',"trust":{"x":[[[1]]]}'), "trust.x"),
    (call(around=',"x":1'), "x"), (call(around=',"parameter":{}'), "parameter"),
    # calls that are none
    ("{}", "method"), ('{"method":null}', "method"), (call(method="1"), "method"),
    (call(method='""'), "method"), (call(method='"Connect"'), "method"),
    (call(method='"io.ktlsd."'), "method"), ('{"parameters":{}}', "method"),
    ('{"method":"io.ktlsd.Connect"}', "host"), (call(around=',"oneway":true'), "oneway"),
    ('{"method":"io.ktlsd.Connect","parameters":[]}', "parameters"),
    ('{"method":"io.ktlsd.Connect","parameters":{"host":"127.0.0.1"}}', "port"),
    (call(around=',"oneway":1'), "oneway"), (call(around=',"more":"yes"'), "more"),
    (call(around=',"upgrade":0'), "upgrade")]])
def malformed(daemon, what, text, verdict):
    check_refused(daemon, text, verdict)


@test("{method} is {error} about {parameter}", cases=[
    {"method": "io.ktlsd.Nosuch", "error": "MethodNotFound", "parameter": "method"},
    {"method": "io.ktlsd.connect", "error": "MethodNotFound", "parameter": "method"},
    {"method": "org.varlink.service.Nosuch", "error": "MethodNotFound", "parameter": "method"},
    {"method": "io.nosuch.Connect", "error": "InterfaceNotFound", "parameter": "interface"}])
def not_found(daemon, method, error, parameter):
    wanted = method if parameter == "method" else method.rpartition(".")[0]
    with daemon.caller() as caller, nothing_comes_of_it(daemon) as (peer, _served):
        with caller.call(method, {"host": peer.host, "port": peer.port}) as reply:
            check_equal((reply.error, reply.parameters, reply.fds),
                        (f"org.varlink.service.{error}", {parameter: wanted}, []), "the verdict")


def padded(size):
    """GetInfo in so many bytes."""
    return GET_INFO[:-1] + b" " * (size - len(GET_INFO)) + b"}"


@test("a message of the largest size is good, at once or in pieces of {piece} bytes", cases=[
    {"piece": piece} for piece in (MESSAGE_MAX + 1, 65536, 4093)])
def largest(daemon, piece):
    data = padded(MESSAGE_MAX) + b"\0"
    with daemon.caller() as caller:
        for offset in range(0, len(data), piece):
            caller.send(data[offset:offset + piece])
        with caller.receive() as reply:
            check_equal(reply.error, None, f"the error of {reply}")
    check_descriptors(daemon)


def send_while_taken(caller, data):
    """Sends until everything is sent or the other side has closed."""
    try:
        caller.send(data)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


@test("{what} closes the connection", cases=[
    {"what": "a message a byte larger", "data": lambda: padded(MESSAGE_MAX + 1) + b"\0"},
    {"what": "a message a byte larger, and no end yet", "data": lambda: padded(MESSAGE_MAX + 1)},
    {"what": "a CA text of 600 KB", "data": lambda: on_wire(call(
        more=',"trust":{"ca":"%s"}' % ("A" * 600000)), 443) + b"\0"},
    {"what": "a message without an end", "data": lambda: b'{"method":"' + b"a" * (8 << 20)}])
def too_large(daemon, what, data):
    with nothing_comes_of_it(daemon) as (_peer, served), daemon.caller() as caller:
        send_while_taken(caller, data())
        check_verdict(caller, CLOSED)
        served()
    check_descriptors(daemon)


# What a parser that builds first and judges later would make very much of.
def repeated(piece, size):
    return "[" + ",".join([piece] * (size // (len(piece) + 1))) + "]"


HOSTILE = {
    "empty objects": lambda size: repeated("{}", size),
    "empty arrays": lambda size: repeated("[]", size),
    "zeros": lambda size: repeated("0", size),
    "empty strings": lambda size: repeated('""', size),
    "open brackets": lambda size: "[" * size,
    "open braces": lambda size: '{"":' * (size // 4),
    "brackets in pairs": lambda size: "[" * (size // 2) + "]" * (size // 2),
    "many members": lambda size: "{" + ",".join(
        f'"{i:06x}":{{}}' for i in range(size // 12)) + "}",
    "one member again and again": lambda size: "{" + ",".join(['"a":{}'] * (size // 7)) + "}",
}


def nested(depth):
    """A value so many levels deep."""
    return "[" * depth + "]" * depth


def peak(daemon):
    """KiB of the peaks of the supervisor and of all workers since they were last reset."""
    total = 0
    for pid in (daemon.pid, *daemon.workers()):
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            total += int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])
    return total


def reset_peak(daemon):
    for pid in (daemon.pid, *daemon.workers()):
        with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    return peak(daemon)


def time_refused(daemon, message):
    """Seconds until the end of a connection with that message."""
    with daemon.caller() as caller:
        start = time.monotonic()
        send_while_taken(caller, message)
        check_verdict(caller, CLOSED)
        return time.monotonic() - start


def check_hostile(daemon, value, where, tries=10):
    """Refused before it is built: neither time nor memory go into it. What it takes, in times of
    what as many blanks do, and KiB of growth."""
    message = on_wire(call(**where(value)), 443) + b"\0"
    blanks = b" " * (len(message) - 2) + b"x\0"
    before = reset_peak(daemon)
    taken = [(time_refused(daemon, message), time_refused(daemon, blanks)) for _ in range(tries)]
    growth = peak(daemon) - before
    seconds, of_blanks = map(min, zip(*taken))
    note(f"{seconds * 1000:.2f} ms, blanks {of_blanks * 1000:.2f} ms, {growth} KiB for "
         f"{len(message)} bytes")
    return seconds / of_blanks, growth


def check_growth(growth, most):
    # The sanitizers that go with a kernel that is not one keep what is freed.
    check_between(growth, 0, 32 * MIB if door.FAKE_KERNEL else most, "KiB of growth")


PLACES = {
    "an unknown parameter": lambda value: {"more": f',"x":{value}'},
    "pins": lambda value: {"more": f',"trust":{{"pins":{value}}}'},
}


@test("{what} of {size} bytes as {place}", cases=[
    {"what": what, "size": size, "place": place} for what in HOSTILE for size, place in (
        (16384, "an unknown parameter"), (500000, "pins"))])
def hostile(_daemon, what, size, place):
    # One of its own, that has nothing left over from others.
    with settle(Daemon()) as daemon:
        times, growth = check_hostile(daemon, HOSTILE[what](size), PLACES[place])
        check_descriptors(daemon)
    # Beside the message itself.
    check_growth(growth, MIB + size // 1024)
    check_between(times, 0, QUICK, "times the seconds of blanks")


@test("{depth} levels", cases=[{"depth": depth} for depth in (9, 33, 10000)])
def too_deep(daemon, depth):
    # Two levels are there before the value is.
    with settle(Daemon()) as own:
        times, growth = check_hostile(own, nested(depth - 2), PLACES["an unknown parameter"])
    check_growth(growth, MIB)
    check_between(times, 0, QUICK, "times the seconds of blanks")
    check_refused(daemon, call(host=nested(depth - 2)), CLOSED)


@test("8 levels and 64 members are no fault by themselves, one more is")
def deepest(daemon):
    check_refused(daemon, call(more=f',"x":{nested(6)}'), "x")
    # Six members and elements are there before: method, parameters, host, port, x, alpn.
    elements = ",".join(["0"] * 58)
    check_refused(daemon, call(more=f',"x":0,"alpn":[{elements}]'), "x")
    check_refused(daemon, call(more=f',"x":0,"alpn":[{elements},0]'), CLOSED)
    check_refused(daemon, call(more=f',"x":{nested(7)}'), CLOSED)


# Descriptors, which no message may carry.

def pipes(count):
    made = [os.pipe() for _ in range(count)]
    return [reader for reader, _ in made], [writer for _, writer in made]


def hung_up(fd):
    poll = select.poll()
    poll.register(fd, 0)
    return bool(dict(poll.poll(0)).get(fd, 0) & (select.POLLHUP | select.POLLERR))


def check_descriptor_refused(daemon, caller, send, fds, kept):
    """fds are closed here once they are on their way; kept are the other ends of them."""
    try:
        send(fds)
    finally:
        for fd in fds:
            os.close(fd)
    check_true(check_verdict(caller, "fileDescriptor"), "there is a reply")
    check_verdict(caller, CLOSED)
    for fd in kept:
        wait_until(lambda end=fd: hung_up(end), 2, "nobody has the descriptor any more")


@test("{count} pipes come with a call", cases=[{"count": count} for count in (1, 2, 3, 253)])
def with_pipes(daemon, count):
    with daemon.caller() as caller, nothing_comes_of_it(daemon) as (peer, _served):
        readers, writers = pipes(count)
        try:
            check_descriptor_refused(daemon, caller, lambda fds: caller.send(
                on_wire(call(), peer.port) + b"\0", fds), readers, writers)
        finally:
            for fd in writers:
                os.close(fd)
    check_descriptors(daemon)


@test("a socket comes with {what}", cases=[{"what": what} for what in (
    "GetInfo", "half a message", "the end of a message", "a second call", "what is no JSON")])
def with_socket(daemon, what):
    def send(fds):
        message = on_wire(call(), peer.port) + b"\0"
        if what == "GetInfo":
            caller.send(GET_INFO + b"\0", fds)
        elif what == "half a message":
            caller.send(message[:40], fds)
            caller.send(message[40:])
        elif what == "the end of a message":
            caller.send(message[:40])
            caller.send(message[40:], fds)
        elif what == "a second call":
            with caller.call("org.varlink.service.GetInfo") as reply:
                check_equal(reply.error, None, "the first call")
            caller.send(message, fds)
        else:
            caller.send(b"x\0", fds)
    with daemon.caller() as caller, nothing_comes_of_it(daemon) as (peer, _served):
        ours, theirs = socket.socketpair()
        with ours:
            check_descriptor_refused(daemon, caller, send, [theirs.detach()], [ours.fileno()])
    check_descriptors(daemon)


# Time: what is begun has to come to its end.

@test("{what}, and nothing comes of it", cases=[
    {"what": "half a message", "data": HALF}, {"what": "one byte", "data": b"{"},
    {"what": "a call and one byte more", "data": GET_INFO + b"\0{"}])
def half(daemon, what, data):
    with nothing_comes_of_it(daemon) as (_peer, served), daemon.caller() as caller:
        start = time.monotonic()
        caller.send(data)
        served()
        if b"\0" in data:
            with caller.receive() as reply:
                check_equal(reply.error, None, "the whole call")
        caller.wait_closed()
        check_between(time.monotonic() - start, 1.98, 2 + SLACK, "seconds until it is closed")
    check_descriptors(daemon)


@test("one who connects and {what}", cases=[{"what": "closes"}, {"what": "shuts down"}])
def nothing_said(daemon, what):
    with nothing_comes_of_it(daemon), daemon.caller() as caller:
        if what == "shuts down":
            caller.sock.shutdown(socket.SHUT_WR)
            check_between(caller.wait_closed(), 0, GONE, "seconds until it is closed")
    check_descriptors(daemon)


class Drips:
    """Callers who send a byte a second, from one loop."""

    def __init__(self, daemon, count):
        self.message = on_wire(call(), 443)
        self.callers = {}
        self.closed = []
        self.poll = select.poll()
        self.start = time.monotonic()
        for _ in range(count):
            caller = daemon.caller()
            self.callers[caller.sock.fileno()] = caller
            caller.sent, caller.began = 0, time.monotonic()
            self.poll.register(caller.sock, select.POLLIN)

    def drip(self):
        for caller in self.callers.values():
            if send_while_taken(caller, self.message[caller.sent:caller.sent + 1]):
                caller.sent += 1

    def watch(self, until):
        """Collects those whom the daemon closes."""
        while self.callers and (left := until - time.monotonic()) > 0:
            for fd, _ in self.poll.poll(left * 1000):
                caller = self.callers.pop(fd)
                self.poll.unregister(fd)
                self.closed.append(time.monotonic() - caller.began)
                caller.wait_closed()
                caller.close()


@test("{count} callers who send a byte a second", cases=[{"count": 100}])
def dripping(daemon, count):
    with nothing_comes_of_it(daemon) as (_peer, served):
        drips = Drips(daemon, count)
        for second in range(4):
            drips.drip()
            if second == 1:
                served()
            drips.watch(drips.start + second + 1)
        check_equal(len(drips.closed), count, "callers whose connection was closed")
        check_between(min(drips.closed), 1.98, 2 + SLACK, "seconds until the first is closed")
        check_between(max(drips.closed), 1.98, 2 + SLACK, "seconds until all are closed")
    check_descriptors(daemon)


@test("an idle connection is closed when its time is over, and a call gives it that time again")
def idle(_daemon):
    with Daemon("[Limits]\nIdleTimeoutSec=800ms\n") as short, short.caller() as idler, \
            short.caller() as busy:
        start = time.monotonic()
        ready, _, _ = select.select([idler.sock, busy.sock], [], [], 0.5)
        check_equal(ready, [], "connections closed before their time")
        with busy.call("org.varlink.service.GetInfo") as reply:
            check_equal(reply.error, None, "the error of a call")
        called = time.monotonic()
        idler.wait_closed()
        check_between(time.monotonic() - start, 0.75, 0.8 + SLACK, "seconds of the idle one")
        busy.wait_closed()
        check_between(time.monotonic() - called, 0.75, 0.8 + SLACK, "seconds after the call")


@test("as shipped, an idle connection is kept for a minute")
def shipped(_daemon):
    with open(os.path.join(TOP, "conf", "ktlsd.conf"), encoding="utf-8") as file:
        check_in("#IdleTimeoutSec=60\n", list(file), "settings that are shipped")


@test("in a minute, an idle connection is closed", deadline=90, cases=[{}] if LONG else [])
def minute(daemon):
    with daemon.caller() as caller:
        caller.sock.settimeout(75)
        check_between(caller.wait_closed(), 59.9, 60 + SLACK, "seconds until it is closed")


def start():
    names.configure({})
    return settle(Daemon())


if __name__ == "__main__":
    main(globals(), start)
