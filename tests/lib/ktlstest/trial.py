# SPDX-License-Identifier: MIT
"""What this kernel's TLS does, tried on loopback independently of ktlsctl: constants, structs and
order of calls are this file's own. cells() and behaviours() have the members of ktlsctl's."""

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
from typing import NamedTuple

SOL_TLS, TCP_ULP = 282, 31
TLS_TX, TLS_RX, TLS_TX_MAX_PAYLOAD_LEN = 1, 2, 5
RECORD_TYPE, HANDSHAKE, DATA = 1, 22, 23
KEY_UPDATE = bytes([24, 0, 0, 1, 0])
VERSIONS = {"1.2": 0x0303, "1.3": 0x0304}
PATIENCE = 5.0
CANARY = b"what only the two ends of this connection may read"


class Aead(NamedTuple):
    """include/uapi/linux/tls.h: number, and sizes of iv, key and salt."""
    number: int
    iv: int
    key: int
    salt: int


AEADS = {
    "aes-gcm-128": Aead(51, 8, 16, 4), "aes-gcm-256": Aead(52, 8, 32, 4),
    "aes-ccm-128": Aead(53, 8, 16, 4), "chacha20-poly1305": Aead(54, 12, 32, 0),
    "sm4-gcm": Aead(55, 8, 16, 4), "sm4-ccm": Aead(56, 8, 16, 4),
    "aria-gcm-128": Aead(57, 8, 16, 4), "aria-gcm-256": Aead(58, 8, 32, 4),
}


class Wrong(Exception):
    """No call failed, and yet the result is not what it has to be."""


def outcome(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, f"errno {error.errno}")
    except Wrong:
        return "differs"
    return "works"


@contextlib.contextmanager
def pair(layer=True):
    """Client and server of a new connection, with the TLS layer on the client or on both."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), PATIENCE)
        server, _ = listener.accept()
    with client, server:
        server.settimeout(PATIENCE)
        client.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
        if layer:
            server.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
        yield client, server


def install(sock, direction, version, cipher, fill=7):
    aead = AEADS[cipher]
    info = struct.pack(f"=HH{aead.iv}s{aead.key}s{aead.salt}sQ", VERSIONS[version], aead.number,
                       b"\1" * aead.iv, bytes([fill]) * aead.key, b"\2" * aead.salt, 0)
    sock.setsockopt(SOL_TLS, direction, info)


def receive(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise Wrong
        data += piece
    return data


def transmit(version, cipher):
    """The other end has no TLS: it sees what is on the wire."""
    with pair(layer=False) as (sender, receiver):
        install(sender, TLS_TX, version, cipher)
        sender.sendall(CANARY)
        kind, wire_version, size = struct.unpack("!BHH", receive(receiver, 5))
        body = receive(receiver, size)
        if (kind, wire_version) != (DATA, 0x0303) or size < len(CANARY) + 16 or CANARY in body:
            raise Wrong


def take_keys(version, cipher):
    """To read, and no other: what is not encrypted it must not take for data."""
    with pair(layer=False) as (receiver, sender):
        install(receiver, TLS_RX, version, cipher)
        sender.sendall(struct.pack("!BHH", DATA, 0x0303, 64) + bytes(64))
        try:
            receiver.recv(64)
        except OSError as error:
            if error.errno == errno.EBADMSG:
                return
        raise Wrong


def one_way(sender, receiver, version, cipher, fill=7):
    install(sender, TLS_TX, version, cipher, fill)
    install(receiver, TLS_RX, version, cipher, fill)
    sender.sendall(CANARY)
    if receive(receiver, len(CANARY)) != CANARY:
        raise Wrong


def round_trip(version, cipher):
    with pair() as (client, server):
        one_way(client, server, version, cipher)
        one_way(server, client, version, cipher)


def rekey(version, cipher):
    """As RFC 8446, 4.6.3, has it."""
    with pair() as (client, server):
        one_way(client, server, version, cipher)
        client.sendmsg([KEY_UPDATE], [(SOL_TLS, RECORD_TYPE, bytes([HANDSHAKE]))])
        data, ancillary, _, _ = server.recvmsg(64, socket.CMSG_SPACE(1))
        if data != KEY_UPDATE or ancillary[0][2] != bytes([HANDSHAKE]):
            raise Wrong
        one_way(client, server, version, cipher, fill=8)


def splice_out(version, cipher):
    """One record into a pipe that is too small for it, time and again, until all of it has come."""
    wanted = b"".join(struct.pack("!H", n) for n in range(6000))
    with pair() as (client, server), contextlib.ExitStack() as stack:
        one_way(client, server, version, cipher)
        out, into = os.pipe()
        stack.callback(os.close, out)
        stack.callback(os.close, into)
        fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 4096)
        client.sendall(wanted)
        client.shutdown(socket.SHUT_WR)
        got = b""
        while select.select([server], [], [], PATIENCE)[0]:
            moved = os.splice(server.fileno(), into, 65536)
            if moved == 0:
                break
            got += os.read(out, moved)
        if got != wanted:
            raise Wrong


def max_payload(version, cipher):
    with pair() as (client, _):
        install(client, TLS_TX, version, cipher)
        client.setsockopt(SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, struct.pack("=H", 1024))


def cells():
    found = []
    for version in VERSIONS:
        for cipher in AEADS:
            cell = {"version": version, "cipher": cipher,
                    "transmit": outcome(transmit, version, cipher),
                    "receive": outcome(take_keys, version, cipher),
                    "roundTrip": None, "rekey": None}
            if cell["transmit"] == cell["receive"] == "works":
                cell["roundTrip"] = outcome(round_trip, version, cipher)
            if cell["roundTrip"] == "works" and version == "1.3":
                cell["rekey"] = outcome(rekey, version, cipher)
            found.append(cell)
    return found


def behaviours(found):
    """By the first cell that works."""
    working = [(cell["version"], cell["cipher"]) for cell in found if cell["roundTrip"] == "works"]
    rekeys = [cell["rekey"] for cell in found if cell["rekey"]]
    return {"rekey": rekeys[0] if rekeys else None,
            "splice": outcome(splice_out, *working[0]) if working else None,
            "maxPayload": outcome(max_payload, *working[0]) if working else None}
