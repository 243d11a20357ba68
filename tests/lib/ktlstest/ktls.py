# SPDX-License-Identifier: MIT
"""What the receiver of a kernel TLS socket can ask of it and do with it."""

import socket
import struct
from typing import NamedTuple

SOL_TLS = 282
TCP_ULP = 31
TLS_TX, TLS_RX = 1, 2
TLS_SET_RECORD_TYPE, TLS_GET_RECORD_TYPE = 1, 2
ALERT, HANDSHAKE, APPLICATION_DATA = 21, 22, 23
TLS_1_2 = 0x0303
CLOSE_NOTIFY = b"\x01\x00"

KERNEL_CIPHERS = {51: "aes-gcm-128", 52: "aes-gcm-256", 53: "aes-ccm-128",
                  54: "chacha20-poly1305"}


class Direction(NamedTuple):
    """What one direction of a socket runs with, as the kernel tells it."""
    version: int
    cipher: str


def ulp(sock):
    """The name of the upper layer protocol, empty where there is none."""
    return sock.getsockopt(socket.IPPROTO_TCP, TCP_ULP, 16).rstrip(b"\0").decode()


def direction(sock, which):
    """Asking for the first four bytes only leaves the keys where they are."""
    version, cipher = struct.unpack("=HH", sock.getsockopt(SOL_TLS, which, 4))
    return Direction(version, KERNEL_CIPHERS.get(cipher, f"number {cipher}"))


def send_close_notify(sock):
    sock.sendmsg([CLOSE_NOTIFY], [(SOL_TLS, TLS_SET_RECORD_TYPE, bytes([ALERT]))])


def recv_record(sock, size=16384, flags=0):
    """(type, data) of what comes next; (None, b"") at the end of the TCP stream."""
    data, ancillary, _, _ = sock.recvmsg(size, socket.CMSG_SPACE(1), flags)
    for level, kind, value in ancillary:
        if (level, kind) == (SOL_TLS, TLS_GET_RECORD_TYPE):
            return value[0], data
    return None, data


def recv_exactly(sock, size):
    """So many bytes by plain recv(), as a program reads that knows nothing of TLS."""
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError(f"the stream ended after {len(data)} of {size} bytes")
        data += piece
    return bytes(data)
