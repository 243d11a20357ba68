# SPDX-License-Identifier: MIT
"""One connection of the misbehaving server: a thread, its bytes, and what it saw."""

import errno
import hashlib
import random
import select
import socket
import ssl
import threading
import time

from ktlstest import hello
from ktlstest.misbehave import ACTIONS

KEEP = 1 << 20  # of what the client sent, beside count and digest of everything
CHUNK = 16384
GONE = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)


class Ended(Exception):
    """The conversation is over: the client has gone, or the server is being closed."""


class Conversation(threading.Thread):
    """Runs by itself from accept to the end; the attributes tell what happened."""

    def __init__(self, sock, context, plan, stop):
        super().__init__(name="peer connection")
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.plan, self.stop = sock, plan, stop
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.accepted_at = time.monotonic()
        self.stepped = threading.Event()  # the plan's step was reached
        self.dripping = False
        self.raw = b""  # what came up to and with the ClientHello
        self.hello = None
        self.answer = b""  # the server's first flight
        self.error = None  # what the TLS library said, such as the client's alert
        self.established = threading.Event()
        self.received, self.count, self.digest = bytearray(), 0, hashlib.sha256()
        self.close_notify = False
        self.gone, self.gone_at, self.gone_how = threading.Event(), None, None
        self.read_event = threading.Condition()

    # What a scenario asks

    def wait_established(self, timeout=5.0):
        if not self.established.wait(timeout):
            raise TimeoutError(f"no handshake within {timeout} s; {self.error}")

    def wait_gone(self, timeout=5.0):
        """The moment at which the client's end or reset arrived."""
        if not self.gone.wait(timeout):
            raise TimeoutError(f"the client is still there after {timeout} s")
        return self.gone_at

    # The bytes

    def run(self):
        try:
            self._converse()
        except Ended:
            pass
        except OSError as error:
            if error.errno not in GONE:
                raise
            self._mark_gone("reset")
        finally:
            self.sock.close()

    def _converse(self):
        try:
            self._step("accept")
            self._handshake()
            SERVE[self.plan.serve](self)
        except ssl.SSLError as error:
            self.error = str(error)
            self.send(self.outgoing.read())
            ACTIONS["close"](self)

    def _step(self, name):
        if self.plan.step == name:
            self.stepped.set()
            ACTIONS[self.plan.action](self)

    def _mark_gone(self, how):
        if not self.gone.is_set():
            self.gone_at, self.gone_how = time.monotonic(), how
            self.gone.set()

    def end(self):
        raise Ended

    def _wait(self, events, timeout=None):
        """The events that came; none after the timeout."""
        poll = select.poll()
        poll.register(self.sock, events)
        poll.register(self.stop, select.POLLIN)
        ready = dict(poll.poll(None if timeout is None else timeout * 1000))
        if self.stop in ready:
            raise Ended
        return ready.get(self.sock.fileno(), 0)

    def _recv(self):
        """The next bytes of the wire, b"" at their end."""
        self._wait(select.POLLIN)
        data = self.sock.recv(65536)
        if not data:
            self._mark_gone("eof")
        return data

    def watch(self):
        """Nothing more but to see the client go."""
        while self._recv():
            pass
        raise Ended

    def send(self, data):
        if self.dripping:
            return self._drip(data)
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view):]
            except BlockingIOError:
                self._wait(select.POLLOUT)
        return None

    def _drip(self, data):
        for byte in data:
            if self._wait(select.POLLRDHUP, self.plan.drip_interval):
                self._mark_gone("eof")
                raise Ended
            self.sock.send(bytes([byte]))

    # TLS

    def _feed(self):
        data = self._recv()
        if not data:
            raise Ended
        self.incoming.write(data)

    def _read_hello(self):
        while hello.first_record(self.raw) is None:
            data = self._recv()
            if not data:
                raise Ended
            self.raw += data
        try:
            self.hello = hello.parse(self.raw)
        except (ValueError, UnicodeDecodeError) as error:
            self.error = str(error)

    def _advance(self):
        """Whether the handshake is complete with what has come so far."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def _handshake(self):
        self._read_hello()
        self._step("hello")
        self.incoming.write(self.raw)
        done = self._advance()
        self.answer = answer = self.outgoing.read()
        size = hello.first_record(answer)
        self.send(answer[:size])
        self._step("server-hello")
        self.send(answer[size:])
        self._step("server-hello-done")
        while not done:
            self._feed()
            done = self._advance()
            if not done:
                self.send(self.outgoing.read())
        self._step("before-finished")
        self._finish()
        self._step("finished")

    def _finish(self):
        """Finished, banner and farewell in one send()."""
        self.established.set()
        if self.plan.banner:
            self.tls.write(self.plan.banner)
        if self.plan.farewell:
            self._close_notify()
        self.send(self.outgoing.read())
        if self.plan.farewell:
            ACTIONS["close"](self)

    def _close_notify(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass

    def read(self):
        """Data of the client; b"" at its end, and close_notify says whether it was a true one."""
        while not self.gone.is_set():
            try:
                data = self.tls.read(CHUNK)
            except ssl.SSLWantReadError:
                self.send(self.outgoing.read())
                raw = self._recv()
                if raw:
                    self.incoming.write(raw)
                continue
            except ssl.SSLZeroReturnError:
                data = b""
            self._record(data)
            return data
        return b""

    def _record(self, data):
        with self.read_event:
            self.close_notify = not data
            self.received += data[:max(0, KEEP - self.count)]
            self.count += len(data)
            self.digest.update(data)
            self.read_event.notify_all()

    def wait_received(self, count, timeout=5.0):
        with self.read_event:
            if not self.read_event.wait_for(lambda: self.count >= count, timeout):
                raise TimeoutError(f"{self.count} of {count} bytes within {timeout} s")
            return bytes(self.received)

    def write(self, data):
        self.tls.write(data)
        self.send(self.outgoing.read())

    def finish(self):
        self._close_notify()
        self.send(self.outgoing.read())
        ACTIONS["close"](self)


def pattern(amount, seed=1):
    """The bytes that a source sends."""
    return random.Random(seed).randbytes(amount)


def _echo(conversation):
    while data := conversation.read():
        conversation.write(data)
    conversation.finish()


def _sink(conversation):
    while conversation.read():
        pass
    conversation.finish()


def _source(conversation):
    data = pattern(conversation.plan.amount)
    for offset in range(0, len(data), CHUNK):
        conversation.write(data[offset:offset + CHUNK])
    conversation.finish()


def _hold(conversation):
    conversation.watch()


SERVE = {"echo": _echo, "sink": _sink, "source": _source, "hold": _hold}
