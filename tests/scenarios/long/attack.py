#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One user does all that he can to be in the way of another, whose requests all succeed, in less
than twice the time.

Both are measured on the same daemon, quiet and attacked, by turns: what else the machine does
comes and goes. It may still come at the wrong time, though hardly every time. The attacker's
processes and servers are idle ones, so that it is the service's time that is fought for, not the
machine's.
"""

import contextlib
import json
import math
import os
import random
import resource
import select
import socket
import time

from ktlstest import names, pki
from ktlstest.asking import check_descriptors, settle, trusting
from ktlstest.daemon import Daemon
from ktlstest.expect import check_connected
from ktlstest.peer import Peer
from ktlstest.tap import check_between, check_equal, fail, main, note, test, wait_until
from ktlstest.users import Process
from ktlstest.wire import Caller

REQUESTS = int(os.environ.get("KTLSTEST_REQUESTS", "100"))
ROUNDS = 4
TRIES = 3
MOST = 2.0  # times the quiet p99
CALM, ANGRY = 1001, 1002  # uids
AT_A_TIME = 30
PATIENCE = 10.0  # seconds
MESSAGE_MAX = 512 * 1024
MOST_HELD = 2000
CONNECT = "io.ktlsd.Connect"

SILENT = [f"n{index}.test" for index in range(AT_A_TIME)]
# Chains that are as costly as they may be, and some that are refused for being more than that.
COSTLY = {"rsa-8192": "ca", "deep-8": "ec-ca", "sends-10": "ec-ca", "names-1000": "ec-ca",
          "deep-9": "ec-ca", "names-1500": "ec-ca", "rsa-16384": "ca", "big-exponent": "ca",
          "sends-costly": "ec-ca", "sends-400": "ca"}
AUTHORITIES = ("ca", "other-ca", "ec-ca", "intermediate", "constrained-ca")


# --- the attacker

def message(parameters):
    return json.dumps({"method": CONNECT, "parameters": parameters}).encode() + b"\0"


def dial(path):
    """A connection, or None where there is no more to be had."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(0.1)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        return None
    sock.setblocking(False)
    return sock


class Crowd:
    """Keeps so many connections busy: what is next for each, as soon as its reply has come, or its
    end."""

    def __init__(self, path, bytes_of, count=AT_A_TIME):
        self.path, self.bytes_of, self.count = path, bytes_of, count
        self.poll = select.poll()
        self.active = {}  # fd: (socket, what is to be sent)
        self.number = 0

    def _begin(self):
        sock = dial(self.path)
        if sock is None:
            return False
        self.active[sock.fileno()] = [sock, memoryview(self.bytes_of(self.number))]
        self.number += 1
        self.poll.register(sock, select.POLLIN | select.POLLOUT)
        return True

    def _end(self, fd):
        self.poll.unregister(fd)
        self.active.pop(fd)[0].close()

    def _write(self, fd):
        sock, left = self.active[fd]
        self.active[fd][1] = left[sock.send(left):]
        if not self.active[fd][1]:
            self.poll.modify(fd, select.POLLIN)

    def turn(self):
        while len(self.active) < self.count and self._begin():
            pass
        for fd, events in self.poll.poll(100):
            try:
                if events & select.POLLOUT:
                    self._write(fd)
                if events & ~select.POLLOUT:
                    # Descriptors that come with it are dropped by the kernel, or by close().
                    self._end(fd)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                self._end(fd)

    def go_on(self, report):
        while self.number < self.count and len(self.active) < self.count:
            self.turn()
            if not self.active:
                break
        report("under way")
        while True:
            self.turn()


def hold(report, path, targets):
    """As many connections as can be had, each with a request whose reply is never read."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    held = []
    while len(held) < min(MOST_HELD, limit - 50):
        sock = dial(path)
        if sock is None:
            break
        with contextlib.suppress(OSError):
            sock.send(message(targets["rsa"]))
        held.append(sock)
    report("under way")
    while True:
        # Those that were given up are had anew.
        gone = [sock for sock in held if select.select([sock], [], [], 0)[0]
                and not peek(sock)] if len(held) < 1000 else []
        for sock in gone:
            held.remove(sock)
            sock.close()
        if gone and (sock := dial(path)):
            held.append(sock)
        select.select([], [], [], 0.05)


def peek(sock):
    try:
        return sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return b"x"
    except OSError:
        return b""


def flood(report, path, _targets):
    deep = b'{"method":"io.ktlsd.Connect","parameters":{"host":' + b"[" * 100000 + b"\0"
    long = b'{"method":"org.varlink.service.GetInfo"' + b" " * (MESSAGE_MAX - 60) + b"}\0"
    members = json.dumps({"method": CONNECT, "parameters": {
        "host": "127.0.0.1", "port": 1, "alpn": ["x" * 200] * 16,
        "trust": {"ca": "\n" * (MESSAGE_MAX // 4)}}}).encode() + b"\0"
    escaped = b'{"method":"' + b"\\u0041" * (MESSAGE_MAX // 7) + b'"}\0'
    kinds = (deep, long, members, escaped, b"\0" * 100000, b"x" * (MESSAGE_MAX * 2),
             b'{"method":"io.ktlsd.Nosuch"}\0', b"{}\0" * 5, b"]\0")
    Crowd(path, lambda number: kinds[number % len(kinds)]).go_on(report)


def valid(report, path, targets):
    data = message(targets["rsa"])
    Crowd(path, lambda _number: data).go_on(report)


def certificates(report, path, targets):
    chance = random.Random(1)
    texts = [pki.ca_text(name) for name in AUTHORITIES]

    def next_one(number):
        target = dict(targets[list(COSTLY)[number % len(COSTLY)]])
        if number % 4 == 0:
            # One that was not seen before.
            target["trust"] = {"ca": "".join(chance.choice(texts) for _ in range(150))}
        return message(target)
    Crowd(path, next_one).go_on(report)


def silence(report, path, _targets):
    data = [message({"host": name, "port": 443}) for name in SILENT]
    Crowd(path, lambda number: data[number % len(data)]).go_on(report)


def reports(report, path, _targets):
    """As many as may wait, of which only the first is waited for."""
    calls = [json.dumps({"method": f"io.ktlsd.{method}"}).encode() + b"\0" for method in ("GetStatus", "GetCapabilities")]
    Crowd(path, lambda number: calls[number % 2] * 5).go_on(report)


ATTACKS = {"holds": [hold], "floods": [flood], "asks for much": [valid],
           "asks for costly certificates": [certificates], "asks for silent names": [silence],
           "asks for reports": [reports], "does all of the first five": [hold, flood, valid, certificates, silence]}


# --- servers, and the one who is attacked

def serve(report, bundles):
    with contextlib.ExitStack() as stack:
        peers = {name: stack.enter_context(Peer(name)) for name in bundles}
        report({name: peer.port for name, peer in peers.items()})
        while True:
            for peer in peers.values():
                # What a test would look at, and nobody does here.
                with peer.changed:
                    peer.connections[:] = [one for one in peer.connections if one.is_alive()]
            time.sleep(0.2)


def answer(report):
    with names.NameServer({"calm.test": ["127.0.0.1"]}, silent=SILENT):
        report("under way")
        while True:
            time.sleep(60)


def requests(report, path, parameters, count):
    """The seconds that each took, one after the other."""
    taken = []
    for _ in range(count):
        try:
            with Caller(path, PATIENCE) as caller, caller.call(CONNECT, parameters) as reply:
                taken.append(reply.seconds)
                check_connected(reply).close()
        except Exception as error:
            report({"taken": taken, "error": f"request {len(taken)}: {error!r}"})
            return
    report({"taken": taken, "error": None})


def measure(daemon, what, parameters):
    """The seconds that each of some requests took; all have ended in sockets."""
    count = REQUESTS // ROUNDS
    with Process(requests, daemon.socket_path, parameters, count, uid=CALM) as process:
        result = process.read()
    if result["error"]:
        fail(f"{what}: {result['error']}")
    check_equal(len(result["taken"]), count, "requests that ended in sockets")
    return result["taken"]


def tell(what, taken):
    """The p99, in milliseconds."""
    taken = sorted(1000 * seconds for seconds in taken)
    p50, p99 = (taken[math.ceil(share * len(taken)) - 1] for share in (0.5, 0.99))
    note(f"{what}: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return p99


def compare(daemon, ways, targets, parameters):
    """How many times the quiet p99 is that under attack."""
    quiet, attacked = [], []
    for _ in range(ROUNDS):
        quiet += measure(daemon, "quiet", parameters)
        with contextlib.ExitStack() as attackers:
            for way in ways:
                process = Process(way, daemon.socket_path, targets, uid=ANGRY, idle=True)
                check_equal(attackers.enter_context(process).read(), "under way", "the attack")
            attacked += measure(daemon, "attacked", parameters)
        wait_until(lambda: daemon.callers() == 0, 10, "the end of the attack")
    times = tell("attacked", attacked) / tell("quiet", quiet)
    note(f"{times:.2f} times the quiet p99")
    return times


@test("one user {what}: another has all his sockets, in less than twice the time",
      cases=[{"what": what} for what in ATTACKS], deadline=400)
def attack(daemon, what):
    with contextlib.ExitStack() as stack:
        calm = stack.enter_context(Process(serve, ["rsa"])).read()
        theirs = stack.enter_context(Process(serve, ["rsa", *COSTLY], idle=True)).read()
        stack.enter_context(Process(answer, idle=True)).read()
        targets = {name: {"host": "127.0.0.1", "port": port,
                          "trust": trusting(COSTLY.get(name, "ca"))}
                   for name, port in theirs.items()}
        # By name where names are what is fought for.
        parameters = {"host": "calm.test" if silence in ATTACKS[what] else "127.0.0.1",
                      "port": calm["rsa"], "trust": trusting("ca", name="server.test")}
        tries = []
        while not tries or len(tries) < TRIES and min(tries) >= MOST:
            tries.append(compare(daemon, ATTACKS[what], targets, parameters))
        check_between(min(tries), 0, MOST, "times the quiet p99")
    check_descriptors(daemon)


def start():
    names.configure({"calm.test": ["127.0.0.1"]})
    daemon = settle(Daemon())
    os.chmod(daemon.socket_path, 0o666)
    return daemon


if __name__ == "__main__":
    main(globals(), start)
