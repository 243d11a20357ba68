#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A server that speaks first: its banner travels in the segment of its Finished message, and must
be what the caller reads first, however the keys got to the kernel."""

import os

from ktlstest import hello, ktls, pki
from ktlstest.daemon import Daemon
from ktlstest.expect import check_connected
from ktlstest.peer import Peer, Plan
from ktlstest.sniff import Sniffer
from ktlstest.tap import check_equal, check_in, main, test

TIMES = 100
BANNER = b"220 server.test ready for connection %d\r\n"
CIPHERS = {
    "ECDHE-RSA-AES128-GCM-SHA256": "aes-gcm-128", "ECDHE-RSA-AES256-GCM-SHA384": "aes-gcm-256",
    "ECDHE-RSA-CHACHA20-POLY1305": "chacha20-poly1305", "ECDHE-ECDSA-AES128-CCM": "aes-ccm-128",
}
FINISHED, DATA = 22, 23
EIO = 5


def identity(cipher):
    return ("p256", "ec-ca") if "ECDSA" in cipher else ("rsa", "ca")


def ask(daemon, peer, ca):
    return daemon.connect(peer.host, peer.port, trust={"ca": pki.ca_text(ca)})


def banners(index):
    return Plan(banner=BANNER % index)


@test("{times} banners out of {times} are read first, {cipher}", deadline=120, cases=[
    {"cipher": cipher, "times": TIMES} for cipher in CIPHERS])
def read_first(daemon, cipher, times):
    name, ca = identity(cipher)
    with Peer(name, banners, ciphers=cipher) as peer:
        for index in range(times):
            facts = {"cipher": cipher, "kernelCipher": CIPHERS[cipher]}
            with check_connected(ask(daemon, peer, ca), **facts) as sock:
                check_equal(sock.recv(4096), BANNER % index, f"what was read first, {index}")
                sock.sendall(b"hello")
                check_equal(ktls.recv_exactly(sock, 5), b"hello", f"the echo, {index}")


def records(stream):
    """(type, whether it begins a segment) of each record."""
    starts = {start for start, _flags, length in stream.segments if length}
    found, position = [], 0
    while position < len(stream.data):
        found.append((stream.data[position], position in starts))
        position += hello.first_record(stream.data[position:])
    return found


@test("the banner was in the segment of the Finished message, and encrypted")
def one_segment(daemon):
    canary = os.urandom(16).hex().encode()
    with Peer(plan=Plan(banner=canary)) as peer, Sniffer(peer.port) as sniffer:
        with check_connected(ask(daemon, peer, "ca")) as sock:
            check_equal(sock.recv(4096), canary, "what was read first")
        peer.connection().wait_gone()
        sniffer.assert_absent(canary)
        stream, = sniffer.flows(source_port=peer.port)
        found = records(stream)
        check_in(((FINISHED, False), (DATA, False)), list(zip(found, found[1:])),
                 "Finished and data, neither of which begins a segment")


@test("a banner of {size} bytes, then the end of the stream", cases=[
    {"size": size} for size in (1, 16384, 16385, 200000)])
def farewell(daemon, size):
    """close_notify and FIN come in the same breath: the socket is half closed before it is had."""
    banner = os.urandom(size)
    with Peer(plan=Plan(banner=banner, farewell=True)) as peer:
        with check_connected(ask(daemon, peer, "ca")) as sock:
            check_equal(ktls.recv_exactly(sock, size), banner, "the banner")
            check_equal(ktls.recv_record(sock), (ktls.ALERT, ktls.CLOSE_NOTIFY), "the end")
            check_equal(ktls.recv_record(sock), (None, b""), "the end of the end")


@test("a plain program sees close_notify as EIO, after all of the banner")
def plain_end(daemon):
    with Peer(plan=Plan(banner=b"bye", farewell=True)) as peer:
        with check_connected(ask(daemon, peer, "ca")) as sock:
            check_equal(ktls.recv_exactly(sock, 3), b"bye", "the banner")
            try:
                data = sock.recv(1)
            except OSError as error:
                check_equal(error.errno, EIO, "errno")
            else:
                check_equal(data, b"an error", "what was read at the end")


@test("close_notify of the caller is one to the server, and the server's to the caller")
def both_ends(daemon):
    with Peer(plan=Plan(banner=b"hi", serve="sink")) as peer:
        with check_connected(ask(daemon, peer, "ca")) as sock:
            check_equal(sock.recv(10), b"hi", "the banner")
            sock.sendall(b"x" * 50000)
            ktls.send_close_notify(sock)
            check_equal(ktls.recv_record(sock), (ktls.ALERT, ktls.CLOSE_NOTIFY), "the answer")
        conversation = peer.connection()
        conversation.wait_gone()
        check_equal((conversation.count, conversation.close_notify), (50000, True), "the stream")


if __name__ == "__main__":
    main(globals(), Daemon)
