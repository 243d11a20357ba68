# SPDX-License-Identifier: MIT
"""A caller of ktlsd without libktls: JSON objects ended by NUL, descriptors beside them."""

import array
import json
import os
import socket
import time

MAX_FDS = 16
DEFAULT_TIMEOUT = 30.0


class WireError(Exception):
    """The daemon broke the protocol."""


class Closed(WireError):
    """The daemon closed the connection instead of replying."""


class Reply:
    """One reply; owns the descriptors that came with it until they are taken."""

    def __init__(self, message, fds, seconds):
        unknown = set(message) - {"parameters", "error", "continues"}
        if unknown or not isinstance(message.get("parameters", {}), dict):
            raise WireError(f"not a reply: {message}")
        self.error = message.get("error")
        self.parameters = message.get("parameters", {})
        self.fds = fds
        self.seconds = seconds

    def take_socket(self):
        """The socket that fileDescriptor of the parameters names."""
        index = self.parameters.get("fileDescriptor")
        if self.error or index != 0 or isinstance(index, bool) or len(self.fds) != 1:
            raise WireError(f"no socket in {self}")
        return socket.socket(fileno=self.fds.pop())

    def close(self):
        while self.fds:
            os.close(self.fds.pop())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __str__(self):
        return (f"{self.error or 'success'} {json.dumps(self.parameters)} "
                f"fds={len(self.fds)} after {self.seconds:.3f} s")


class Caller:
    """A connection to the daemon: one that is made, or one that somebody else has made."""

    def __init__(self, path, timeout=DEFAULT_TIMEOUT, connected=None):
        self.timeout = timeout
        self.buffer = bytearray()
        self.fds = []
        self.sock = connected or socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(timeout)
            if connected is None:
                self.sock.connect(path)
        except BaseException:
            self.sock.close()
            raise

    def close(self):
        self.sock.close()
        while self.fds:
            os.close(self.fds.pop())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data, fds=()):
        """Bytes as they are, well-formed or not; descriptors travel on the first of them."""
        ancillary = []
        if fds:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        sent = self.sock.sendmsg([data], ancillary)
        if sent < len(data):
            self.sock.sendall(data[sent:])

    def start(self, method, parameters=None, **extra):
        """Send a call and leave the reply for later."""
        message = {"method": method, **extra}
        if parameters is not None:
            message["parameters"] = parameters
        self.send(json.dumps(message).encode() + b"\0")

    def receive(self, since=None):
        """The next reply."""
        start = time.monotonic() if since is None else since
        while b"\0" not in self.buffer:
            self._fill()
        end = self.buffer.index(b"\0")
        text, self.buffer = bytes(self.buffer[:end]), self.buffer[end + 1:]
        fds, self.fds = self.fds, []
        try:
            return Reply(json.loads(text), fds, time.monotonic() - start)
        except (ValueError, WireError):
            for fd in fds:
                os.close(fd)
            raise

    def skip(self, count):
        """Drop so many replies, without the descriptors that may come with a later one."""
        while self.buffer.count(b"\0") < count:
            self._fill()
        for _ in range(count):
            del self.buffer[:self.buffer.index(b"\0") + 1]

    def call(self, method, parameters=None, **extra):
        start = time.monotonic()
        self.start(method, parameters, **extra)
        return self.receive(start)

    def connect(self, host, port, **parameters):
        return self.call("io.ktlsd.Connect", {"host": host, "port": port, **parameters})

    def wait_closed(self):
        """Seconds until the daemon closes the connection; anything it still says is an error."""
        start = time.monotonic()
        try:
            data = self.sock.recv(4096)
        except ConnectionResetError:
            data = b""
        if data or self.buffer:
            raise WireError(f"more instead of the end: {bytes(self.buffer) + data!r}")
        return time.monotonic() - start

    def _fill(self):
        data, ancillary, flags, _ = self.sock.recvmsg(
            65536, socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize))
        for level, kind, value in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds = array.array("i")
                fds.frombytes(value[:len(value) - len(value) % fds.itemsize])
                self.fds += fds
        if flags & socket.MSG_CTRUNC:
            raise WireError("descriptors were lost on the way")
        if not data:
            raise Closed(f"closed, after {bytes(self.buffer)!r}")
        self.buffer += data


def connect(path, host, port, **parameters):
    """One request on a connection of its own."""
    with Caller(path) as caller:
        return caller.connect(host, port, **parameters)
