# SPDX-License-Identifier: MIT
"""What a server of ours can do instead of going on: the actions a Plan names.

Each takes the connection. One that returns lets the handshake go on as it would have; the others
end it, after the client has been seen to go.
"""

import socket
import struct

from ktlstest import hello

HTTP = (b"HTTP/1.1 400 Bad Request\r\nServer: plain\r\nContent-Length: 12\r\n"
        b"Connection: close\r\n\r\nBad Request\n")
USER_CANCELED = b"\x15\x03\x03\x00\x02\x01\x5a"
HELLO_REQUEST = b"\x16\x03\x03\x00\x04\x00\x00\x00\x00"
EMPTY_RECORD = b"\x16\x03\x03\x00\x00"
# One more than the largest ciphertext that TLS 1.2 allows in a record.
OVERSIZE_RECORD = b"\x16\x03\x03" + struct.pack(">H", 16384 + 2048 + 1) + b"\x02" * 18433
# A ServerHello said to be of 16 KiB, of which nobody will see the end.
ENDLESS_RECORD = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03" + b"\x5a" * 16373


def close(connection):
    """A FIN. The rest is read first, for closing over unread bytes would send a reset."""
    connection.sock.shutdown(socket.SHUT_WR)
    connection.watch()


def reset(connection):
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.end()


def stall(connection):
    connection.watch()


def drip(connection):
    """From here on one byte a second; at the very start, bytes of a record without an end."""
    connection.dripping = True
    if connection.hello is None:
        connection.send(ENDLESS_RECORD)
        connection.watch()


def http(connection):
    connection.send(HTTP)
    close(connection)


def warnings(connection):
    connection.send(USER_CANCELED * (16384 // len(USER_CANCELED)))
    connection.watch()


def oversize(connection):
    connection.send(OVERSIZE_RECORD)
    connection.watch()


def garbage(connection):
    connection.send(bytes(range(255, -1, -1)) * 4)
    connection.watch()


def empty_records(connection):
    connection.send(EMPTY_RECORD * 4096)
    connection.watch()


def hello_requests(connection):
    """As much of what a client has to ignore as it is ready to take."""
    burst = HELLO_REQUEST * 1000
    for _ in range(connection.plan.flood // len(burst)):
        connection.send(burst)
    connection.watch()


def repeat_hello(connection):
    """The client's own first record, back to it."""
    size = hello.first_record(connection.raw)
    connection.send(connection.raw[:size])
    connection.watch()


ACTIONS = {
    "close": close,
    "reset": reset,
    "stall": stall,
    "drip": drip,
    "http": http,
    "warnings": warnings,
    "oversize": oversize,
    "garbage": garbage,
    "empty-records": empty_records,
    "hello-requests": hello_requests,
    "repeat-hello": repeat_hello,
}
