#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real servers, each with every cipher that it and the kernel have, through ktlsctl and through a client without libktls; bulk data
both ways; and a daemon that is killed while the data flows."""

import hashlib
import os
import signal
import subprocess
import threading

from ktlstest import ktls, pki, servers
from ktlstest.daemon import TOP, Daemon
from ktlstest.expect import check_connected
from ktlstest.tap import check_equal, check_true, main, test

KTLSCTL = os.path.join(TOP, "build", "ktlsctl")
BULK = 64 << 20
BODY = os.urandom(3 << 20)

# Every cipher of the kernel in bulk; with each other suite, too, in the long run (14 s a suite).
IN_BULK = ("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-CCM")
REST_MIB = int(os.environ.get("KTLSTEST_REST_MIB", "1"))

# What the policy below allows is more than anybody should: every cipher that a kernel can take, whatever the key exchange.
KERNEL = {"AES128-GCM-SHA256": "aes-gcm-128", "AES256-GCM-SHA384": "aes-gcm-256", "CHACHA20-POLY1305": "chacha20-poly1305",
          "AES128-CCM": "aes-ccm-128"}
EXCHANGES = ("ECDHE-RSA", "ECDHE-ECDSA", "DHE-RSA", "RSA")
NO_SUCH_SUITE = ("ECDHE-RSA-AES128-CCM", "RSA-CHACHA20-POLY1305")
SUITES = [f"{x}-{c}".removeprefix("RSA-") for x in EXCHANGES for c in KERNEL if f"{x}-{c}" not in NO_SUCH_SUITE]
CONFIG = f"[Policy everything]\nCiphers={':'.join(SUITES)}\nGroups=X25519:P-256:P-384:P-521\n"


def kernel_cipher(suite):
    return next(name for end, name in KERNEL.items() if suite.endswith(end))


def ca_of(suite):
    return "ec-ca" if "ECDSA" in suite else "ca"


def python_client(daemon, port, suite, **policy):
    reply = daemon.connect("localhost", port, trust={"ca": pki.ca_text(ca_of(suite))},
                           policy={"name": "everything", "ciphers": suite, **policy})
    return check_connected(reply, cipher=suite, kernelCipher=kernel_cipher(suite), verifiedBy="chain+name")


def ktlsctl(daemon, port, suite, *more):
    return [KTLSCTL, "--socket", daemon.socket_path, "connect", f"localhost:{port}", "--ca", pki.Bundle(ca_of(suite)).chain,
            "--policy", "everything", "--ciphers", suite, *more]


def check_line(daemon, port, suite, sent, wanted):
    """A line and its answer, through both clients."""
    with python_client(daemon, port, suite) as sock:
        sock.sendall(sent)
        check_equal(ktls.recv_exactly(sock, len(wanted)), wanted, "the answer")
        ktls.send_close_notify(sock)
    with subprocess.Popen(ktlsctl(daemon, port, suite), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        client.stdin.write(sent)
        client.stdin.flush()
        check_equal(client.stdout.read(len(wanted)), wanted, "the answer through ktlsctl")
        client.stdin.close()
        check_equal(client.wait(20), 0, "exit status of ktlsctl")


class Servers(Daemon):
    """ktlsd and the four servers, for the time of the whole scenario."""

    def __init__(self):
        super().__init__(CONFIG)
        self.openssl, self.gnutls = servers.openssl(), servers.gnutls()
        self.nginx = servers.nginx(BODY)

    def close(self):
        for server in (self.openssl, self.gnutls, self.nginx):
            server.close()
        super().close()


def suites(server, missing=()):
    return [{"server": server, "suite": suite} for suite in SUITES if suite not in missing]


LINES = [*suites("openssl"), *suites("gnutls")]
ANSWERS = {"openssl": lambda line: line[-2::-1] + b"\n", "gnutls": lambda line: line}


@test("{server}, {suite}: a line and its answer", cases=LINES)
def lines(daemon, server, suite):
    line = os.urandom(20).hex().encode() + b"\n"
    check_line(daemon, getattr(daemon, server).port, suite, line, ANSWERS[server](line))


GET = b"GET /file HTTP/1.0\r\nHost: localhost\r\n\r\n"


@test("{server}, {suite}: a file over HTTPS", cases=suites("nginx"))
def https(daemon, server, suite):
    port = daemon.nginx.port
    with python_client(daemon, port, suite) as sock:
        sock.sendall(GET)
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(1)
        check_true(head.startswith(b"HTTP/1.1 200 "), f"status 200 in {head[:40]!r}")
        check_equal(hashlib.sha256(ktls.recv_exactly(sock, len(BODY))).digest(), hashlib.sha256(BODY).digest(), "the file")
    # stdin stays open until the answer is there: a server may take the end of the request for the end of interest.
    with subprocess.Popen(ktlsctl(daemon, port, suite), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        client.stdin.write(GET)
        client.stdin.flush()
        check_equal(client.stdout.read()[-len(BODY):] == BODY, True, "the file through ktlsctl")
        check_equal(client.wait(20), 0, "exit status of ktlsctl")


def stunnel_port(server, suite):
    return server.ports[1 if "ECDSA" in suite else 0]


def in_background(function, *arguments):
    thread = threading.Thread(target=function, args=arguments, name=function.__name__)
    thread.start()
    return thread


def upload(send, data):
    for piece in data:
        send(piece)


def pieces(size):
    block = os.urandom(1 << 20)
    digest = hashlib.sha256()
    data = [block[:min(size - start, len(block))] for start in range(0, size, len(block))]
    for piece in data:
        digest.update(piece)
    return data, digest.hexdigest()


def download(receive, size):
    digest, view = hashlib.sha256(), memoryview(bytearray(1 << 18))
    while size:
        n = receive(view[:min(size, len(view))])
        if not n:
            raise EOFError(f"{size} bytes are missing")
        digest.update(view[:n])
        size -= n
    return digest.hexdigest()


def exchange(backend, send, receive, size):
    """So many bytes each way at the same time, equal by SHA-256; then what arrived at the backend is known as well."""
    data, sha256 = pieces(size)
    thread = in_background(upload, send, data)
    check_equal(download(receive, backend.size), backend.sent_sha256(), "SHA-256 of what came")
    thread.join()
    backend.wait_arrived(size)
    return size, sha256


def transfer(daemon, port, backend, suite, size, **policy):
    """By a client that knows nothing but read and write, until the end."""
    index = len(backend.received)
    with python_client(daemon, port, suite, **policy) as sock:
        sent = exchange(backend, sock.sendall, sock.recv_into, size)
        ktls.send_close_notify(sock)
        check_equal(ktls.recv_record(sock), (ktls.ALERT, ktls.CLOSE_NOTIFY), "the end")
    check_equal(backend.wait_received(index), sent, "what arrived")


def transfer_ktlsctl(daemon, port, backend, suite, size, *more):
    index = len(backend.received)
    with subprocess.Popen(ktlsctl(daemon, port, suite, *more), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, bufsize=0) as client:
        sent = exchange(backend, lambda piece: write_all(client.stdin, piece), client.stdout.readinto, size)
        client.stdin.close()
        check_equal((client.stdout.read(), client.stderr.read(), client.wait(20)), (b"", b"", 0), "the end of ktlsctl")
    check_equal(backend.wait_received(index), sent, "what arrived")


def write_all(file, data):
    view = memoryview(data)
    while view:
        view = view[file.write(view):]


@test("stunnel as the receiver, {suite}{groups}: {mib} MiB each way", deadline=240, cases=[
    *({"suite": suite, "groups": "", "mib": 64 if suite in IN_BULK else REST_MIB} for suite in SUITES),
    {"suite": "ECDHE-RSA-AES256-GCM-SHA384", "groups": " on P-384", "mib": 64},
    {"suite": "ECDHE-RSA-AES128-GCM-SHA256", "groups": " on P-384", "mib": 64}])
def bulk(daemon, suite, groups, mib):
    """On P-384 alone at the receiver, too: what XenServer's migration speaks."""
    policy, option = ({"groups": "P-384"}, ["--groups", "P-384"]) if groups else ({}, [])
    curve = "P-384" if groups else "X25519:P-256"
    size = mib << 20
    with servers.Backend(size) as backend, servers.stunnel(backend, curve) as stunnel:
        port = stunnel_port(stunnel, suite)
        transfer(daemon, port, backend, suite, size, **policy)
        transfer_ktlsctl(daemon, port, backend, suite, size, *option)


@test("ktlsd is killed in the middle of 64 MiB each way, which go on to their end", deadline=120)
def killed(daemon):
    gate = threading.Event()
    suite = "ECDHE-RSA-AES256-GCM-SHA384"
    data, sha256 = pieces(BULK)
    with servers.Backend(BULK, gate) as backend, servers.stunnel(backend) as stunnel:
        doomed = Daemon(CONFIG)
        try:
            sock = python_client(doomed, stunnel.port, suite)
            sock.sendall(data[0])
            first = ktls.recv_exactly(sock, 1 << 20)
            check_equal(doomed.kill(signal.SIGKILL), -signal.SIGKILL, "how ktlsd ended")
        finally:
            doomed.abandon()
        gate.set()
        with sock:
            thread = in_background(upload, sock.sendall, data[1:])
            rest = download(sock.recv_into, BULK - len(first))
            thread.join()
            check_equal(rest, backend.sent_sha256(len(first)), "SHA-256 of what came")
            backend.wait_arrived(BULK)
            ktls.send_close_notify(sock)
        check_equal(backend.wait_received(0), (BULK, sha256), "what arrived")


if __name__ == "__main__":
    main(globals(), Servers)
