# SPDX-License-Identifier: MIT
"""What a ClientHello offers, taken from the bytes of the wire."""

from typing import NamedTuple

SERVER_NAME, SUPPORTED_GROUPS, SIGNATURE_ALGORITHMS, ALPN = 0, 10, 13, 16
SESSION_TICKET, SUPPORTED_VERSIONS = 35, 43


class ClientHello(NamedTuple):
    """The parts that policy decides on; extensions maps type to body."""
    version: int
    session_id: bytes
    ciphers: list
    extensions: dict

    @property
    def server_name(self):
        body = self.extensions.get(SERVER_NAME)
        return None if body is None else body[5:].decode()

    @property
    def groups(self):
        return _numbers(self.extensions.get(SUPPORTED_GROUPS, b"\0\0")[2:])

    @property
    def signature_algorithms(self):
        return _numbers(self.extensions.get(SIGNATURE_ALGORITHMS, b"\0\0")[2:])

    @property
    def versions(self):
        body = self.extensions.get(SUPPORTED_VERSIONS)
        return [self.version] if body is None else _numbers(body[1:])

    @property
    def alpn(self):
        reader = _Reader(self.extensions.get(ALPN, b"\0\0")[2:])
        names = []
        while reader.data:
            names.append(reader.vector(1).decode())
        return names


class _Reader:
    def __init__(self, data):
        self.data = data

    def take(self, size):
        if size > len(self.data):
            raise ValueError("the ClientHello ends early")
        piece, self.data = self.data[:size], self.data[size:]
        return piece

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def vector(self, size):
        return self.take(self.number(size))


def _numbers(data):
    return [int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2)]


def first_record(data):
    """The length of the first TLS record of data once it is there whole, else None."""
    if len(data) < 5:
        return None
    size = 5 + int.from_bytes(data[3:5], "big")
    return size if len(data) >= size else None


def parse(data):
    """The ClientHello of one record; ValueError for anything else."""
    record = _Reader(data)
    if record.number(1) != 22:
        raise ValueError("not a handshake record")
    record.take(2)
    message = _Reader(record.vector(2))
    if message.number(1) != 1:
        raise ValueError("not a ClientHello")
    body = _Reader(message.vector(3))
    version = body.number(2)
    body.take(32)
    session_id, ciphers = body.vector(1), _numbers(body.vector(2))
    body.vector(1)
    rest = _Reader(body.vector(2) if body.data else b"")
    extensions = {}
    while rest.data:
        kind = rest.number(2)
        extensions[kind] = rest.vector(2)
    return ClientHello(version, session_id, ciphers, extensions)
