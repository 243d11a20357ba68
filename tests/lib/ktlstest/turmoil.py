# SPDX-License-Identifier: MIT
"""Callers who go on asking while workers die and services end, and what becomes of each request.

Every part is a function for users.Process: it reports to the test, and one that would go on for
ever ends when a byte comes through its pipe.
"""

import array
import collections
import contextlib
import errno
import itertools
import json
import os
import select
import socket
import struct
import time

from ktlstest import ktls, wire
from ktlstest.expect import check_connected
from ktlstest.tap import check_equal, check_true, note
from ktlstest.users import Process

CONNECT = "io.ktlsd.Connect"
DEADLINE = 30.0  # seconds that a caller gives a request; nothing here needs them
PACE = 0.05  # seconds between blocks, which are not the load that is measured
AT_A_TIME = 4
BLOCK = struct.Struct(">II")
# How a request may end.
SOCKET = "socket"
LOST = "InternalError, retry"
AGAIN = "Busy, retry"
LATE = "TimedOut, retry"


def serve(report, make_peer):
    """Echoes to everybody, for ever."""
    with make_peer() as peer:
        report([peer.host, peer.port])
        while True:
            # What a test would look at, and nobody does here.
            with peer.changed:
                peer.connections[:] = [one for one in peer.connections if one.is_alive()]
            time.sleep(0.5)


def call(host, port, **parameters):
    """A request as bytes."""
    return json.dumps({"method": CONNECT, "parameters": {
        "host": host, "port": port, "timeoutMs": int(DEADLINE * 1000), **parameters}
    }).encode() + b"\0"


class Request:
    """One, on a connection of its own, that does not block; outcome is None until it is over."""

    def __init__(self, path, data):
        self.outcome, self.tls = None, None
        self.began = time.monotonic()
        self.buffer, self.fds = bytearray(), array.array("i")
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.sock.connect(path)
            # As libktls does: who is hung up on has a look at what was said before.
            with contextlib.suppress(BrokenPipeError):
                self.sock.sendall(data)
            self.sock.setblocking(False)
        except OSError as error:
            self._end(errno.errorcode[error.errno])

    def take(self):
        """What has come in."""
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, 65536, 4)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(errno.errorcode[error.errno])
            return
        self.buffer += data
        self.fds.extend(fds)
        if not data:
            self._end(f"hung up, after {bytes(self.buffer)!r}")
        elif b"\0" in self.buffer:
            self._judge(json.loads(self.buffer[:self.buffer.index(b"\0")]))

    def _judge(self, message):
        seconds = time.monotonic() - self.began
        with wire.Reply(message, list(self.fds), seconds) as reply:
            if reply.error:
                retry = "retry" if reply.parameters.get("retry") else "no retry"
                outcome = f"{reply.error.rpartition('.')[2]}, {retry}"
            else:
                self.tls = check_connected(reply)
                outcome = SOCKET
        self._end(outcome if seconds <= DEADLINE else f"{outcome}, after its deadline")

    def give_up_if_late(self):
        if time.monotonic() > self.began + DEADLINE:
            self._end("silence")

    def _end(self, outcome):
        self.outcome = outcome
        self.sock.close()


class Asker:
    """Requests under way at once, and how many ended how."""

    def __init__(self, path, data):
        self.path, self.data = path, data
        self.poll = select.poll()
        self.active = {}
        self.outcomes = collections.Counter()
        self.slowest = 0.0

    def begin(self):
        request = Request(self.path, self.data)
        if request.outcome:
            self._count(request)
        else:
            self.active[request.sock.fileno()] = request
            self.poll.register(request.sock, select.POLLIN)

    def turn(self, seconds):
        """Those that have ended in a socket."""
        ready = dict(self.poll.poll(max(0.0, seconds) * 1000))
        for fd in list(self.active):
            request = self.active[fd]
            if fd in ready:
                request.take()
            if not request.outcome:
                request.give_up_if_late()
            if request.outcome:
                self.poll.unregister(fd)
                del self.active[fd]
                self._count(request)
                if request.tls:
                    yield request

    def _count(self, request):
        self.outcomes[request.outcome] += 1
        self.slowest = max(self.slowest, time.monotonic() - request.began)


def exchange(sock, number, counter):
    """A block with both numbers goes there and back."""
    data = BLOCK.pack(number, counter) * 64
    sock.sendall(data)
    check_equal(ktls.recv_exactly(sock, len(data)), data, f"block {counter} of socket {number}")


def gather(path, data, count):
    """(so many sockets, how many a second)"""
    asker, sockets = Asker(path, data), []
    begin = time.monotonic()
    while len(sockets) < count:
        while len(asker.active) < min(AT_A_TIME, count - len(sockets)):
            asker.begin()
        for request in asker.turn(1.0):
            # One that stands still must not become a test that does.
            request.tls.settimeout(DEADLINE)
            sockets.append(request.tls)
    rate = count / (time.monotonic() - begin)
    check_equal(dict(asker.outcomes), {SOCKET: count}, "the outcomes before anything is done")
    return sockets, rate


def hold(report, become, path, data, count, stop):
    """Sockets that were handed over carry on: numbered blocks, on one after the other."""
    become()
    sockets, rate = gather(path, data, count)
    report(rate)
    for counter in itertools.count():
        ended = bool(select.select([stop], [], [], 0)[0])
        for number, sock in enumerate(sockets):
            exchange(sock, number, counter)
            if not ended:
                time.sleep(PACE)
        if ended:
            break
    report({"sockets": len(sockets), "rounds": counter})


def load(report, become, path, data, rate, stop):
    """So many requests a second, whatever becomes of them. Reports when each began that
    got its socket, and then how all ended."""
    become()
    asker, due = Asker(path, data), time.monotonic()
    while not select.select([stop], [], [], 0)[0]:
        while due <= time.monotonic():
            asker.begin()
            due += 1 / rate
        for request in asker.turn(due - time.monotonic()):
            request.tls.close()
            report(request.began)
    while asker.active:
        for request in asker.turn(1.0):
            request.tls.close()
    report({"outcomes": asker.outcomes, "slowest": asker.slowest})


class Turmoil:
    """A server, one who holds sockets, and one who asks for more at half the rate at which the
    first got his. make_peer() makes the server, become() callers of the processes that call it."""

    def __init__(self, stack, path, make_peer, become, held=40, **parameters):
        self.stack = stack
        self.stopper = os.pipe()
        stack.callback(lambda: [os.close(fd) for fd in self.stopper])
        host, port = self._start(serve, make_peer).read()
        data = call(host, port, **parameters)
        self.holder = self._start(hold, become, path, data, held, self.stopper[0])
        self.rate = self.holder.read()
        check_true(isinstance(self.rate, float), "there is a rate: sockets were had")
        self.load = self._start(load, become, path, data, self.rate / 2, self.stopper[0])
        self.wait_socket()

    def _start(self, function, *arguments):
        return self.stack.enter_context(Process(function, *arguments))

    def wait_socket(self):
        """A request that begins from now on has ended well."""
        now = time.monotonic()
        while self.load.read() < now:
            pass

    def _end(self):
        os.write(self.stopper[1], b"x")
        while isinstance(summary := self.load.read(), float):
            pass
        check_true(summary is not None, "the load has ended as it should")
        held = self.holder.read()
        check_true(held is not None, "the sockets held carry on to the end")
        note(f"{summary['outcomes']}, the slowest took {summary['slowest']:.1f} s; "
             f"{held['sockets']} sockets carried on for {held['rounds']} rounds")
        return summary["outcomes"]

    def check_end(self, *allowed):
        """How many of the load's requests ended how, each in a socket or one of these; and the
        sockets held have carried on."""
        outcomes = self._end()
        check_equal({name: count for name, count in outcomes.items()
                     if name not in (SOCKET, *allowed)}, {}, f"the bad ones among {outcomes}")
        return outcomes
