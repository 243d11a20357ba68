#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The library tries itself, on any kernel and without ktlsd: can its checks fail, does the peer
do what it is told, does the recorder see what there is."""

import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time

from ktlstest import hello, misbehave, pki, wire
from ktlstest.peer import ANY, STEPS, TLS12, TLS13, Blackhole, Peer, Plan, Refusing
from ktlstest.sniff import Sniffer
from ktlstest.tap import (check_between, check_equal, check_in, check_not_in, check_raises,
                          check_true, main, test)

DIRECTORY = os.path.dirname(os.path.realpath(__file__))
DELAY = 0.3  # within which an answer that must not come would have come

BROKEN_SUITE = """
import os, threading, time
from ktlstest.tap import *

@test("holds")
def holds():
    check_equal(1, 1, "one")

@test("differs by type")
def differs():
    check_equal(1, True, "one")

@test("leaves a descriptor")
def leaves():
    os.open("/", os.O_RDONLY)

@test("loses a thread")
def loses():
    (lost := threading.Thread(target=check_equal, args=(1, 2, "x"))).start()
    lost.join()

@test("leaves a thread")
def thread():
    threading.Thread(target=time.sleep, args=(0.5,)).start()

@test("swallows its deadline", deadline=0.3)
def hangs():
    try:
        threading.Event().wait(20)
    except Exception:
        pass

@test("case {number}", cases=[{"number": 1}, {"number": 2}])
def cases(number):
    check_equal(number, 1, "number")

main(globals())
"""


RESOURCE_SUITE = """
from ktlstest.tap import *

class Resource:
    def diagnosis(self):
        return "says why"

    def close(self):
        fail("does not end")

@test("takes it")
def takes(resource):
    check_true(isinstance(resource, Resource), "the argument")

@test("fails with it")
def fails(resource):
    fail("no")

main(globals(), Resource)
"""


def run_python(text, *words):
    return subprocess.run([sys.executable, "-c", text, *words], cwd=DIRECTORY, timeout=20,
                          capture_output=True, text=True, check=False)


def verdicts(output):
    return [line for line in output.splitlines() if line.startswith(("ok", "not ok", "1.."))]


def client_context(ca="ca", versions=TLS12):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(cadata=pki.ca_text(ca))
    made.minimum_version, made.maximum_version = versions
    made.set_ciphers("DEFAULT:@SECLEVEL=0")
    return made


def lax_context():
    made = client_context()
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def connect(peer, context=None, name="server.test", timeout=5.0):
    """A client with TLS over the peer's socket; the one underneath is closed on any failure."""
    sock = socket.create_connection((peer.host, peer.port), timeout=timeout)
    try:
        return (context or client_context()).wrap_socket(sock, server_hostname=name)
    except BaseException:
        sock.close()
        raise


def verify_error(peer, context=None, name="server.test"):
    return check_raises(ssl.SSLCertVerificationError, connect, peer, context, name).verify_message


@test("a suite tells what failed, and in its exit status")
def broken_suite():
    result = run_python(BROKEN_SUITE)
    check_equal(verdicts(result.stdout), [
        "1..8", "ok 1 - holds", "not ok 2 - differs by type", "not ok 3 - leaves a descriptor",
        "not ok 4 - loses a thread", "not ok 5 - leaves a thread",
        "not ok 6 - swallows its deadline", "ok 7 - case 1", "not ok 8 - case 2"], "the verdicts")
    check_equal(result.returncode, 1, "exit status")


@test("a resource is passed, asked when a test fails, and ended as a test")
def resource_suite():
    output = run_python(RESOURCE_SUITE).stdout
    check_equal(verdicts(output), ["1..3", "ok 1 - takes it", "not ok 2 - fails with it",
                                   "not ok 3 - all of it ends in good order"], "the verdicts")
    check_equal(output.count("# says why"), 1, "diagnoses")
    failed = output[output.index("not ok 2"):].splitlines()
    check_equal(failed[2], "# CheckFailed: no", "the first thing that is said of it")


@test("a suite with nothing chosen has failed, one that holds has not")
def chosen_suite():
    check_equal(run_python(BROKEN_SUITE, "no such").returncode, 1, "exit status of nothing")
    check_equal(run_python(BROKEN_SUITE, "holds").returncode, 0, "exit status of what holds")


@test("the {name} certificate verifies for {host}", cases=[
    {"name": name, "ca": ca, "host": host}
    for name, ca in (("rsa", "ca"), ("p256", "ec-ca"), ("p384", "ec-ca"), ("chained", "ca"),
                     ("deep-8", "ec-ca"), ("names-1000", "ec-ca"))
    for host in ("server.test", "127.0.0.1", "::1")])
def good_certificates(name, ca, host):
    with Peer(name) as peer, connect(peer, client_context(ca), host) as client:
        client.sendall(b"hello")
        check_equal(client.recv(100), b"hello", "the echo")


@test("the {name} certificate is refused: {text}", cases=[
    {"name": name, "ca": ca, "host": host, "text": text} for name, ca, host, text in (
        ("rsa", "other-ca", "server.test", "unable to get local issuer certificate"),
        ("wrong-name", "ca", "server.test", "Hostname mismatch"),
        ("wrong-name", "ca", "127.0.0.1", "IP address mismatch"),
        ("nul", "ca", "server.test", "Hostname mismatch"),
        ("expired", "ca", "server.test", "certificate has expired"),
        ("future", "ca", "server.test", "certificate is not yet valid"),
        ("self-signed", "ca", "server.test", "self-signed certificate"),
        ("wrong-eku", "ca", "server.test", "unsuitable certificate purpose"),
        ("no-intermediate", "ca", "server.test", "unable to get local issuer certificate"),
        ("constrained", "ca", "server.test", "permitted subtree violation"),
        ("by-leaf", "ca", "server.test", "invalid CA certificate"),
    )])
def bad_certificates(name, ca, host, text):
    with Peer(name) as peer:
        check_in(text, verify_error(peer, client_context(ca), host), "the verdict")


@test("the {name} certificate works for a client that sets no limits", cases=[
    {"name": name, "ca": ca} for name, ca in (
        ("rsa-1024", "ca"), ("rsa-8192", "ca"), ("rsa-16384", "ca"), ("big-exponent", "ca"),
        ("deep-9", "ec-ca"), ("deep-12", "ec-ca"), ("names-1001", "ec-ca"),
        ("names-1500", "ec-ca"), ("sends-10", "ec-ca"), ("sends-11", "ec-ca"))])
def unlimited(name, ca):
    context = client_context(ca)
    context.hostname_checks_common_name = False
    with Peer(name) as peer, connect(peer, context) as client:
        check_equal(client.version(), "TLSv1.2", "version")


@test("a key of explicit curve parameters and a chain of 400 are sent, and refused by OpenSSL")
def refused_by_openssl():
    for name, text in (("explicit-curve", "explicit"), ("sends-400", "EXCESSIVE_MESSAGE_SIZE")):
        with Peer(name) as peer:
            error = check_raises(ssl.SSLError, connect, peer, client_context("ec-ca"))
            check_in(text, str(error), name)


@test("the pins of {name} are what openssl computes", cases=[{"name": "rsa"}, {"name": "p384"}])
def pins(name):
    bundle = pki.Bundle(name)
    for pin, command in (
            (bundle.cert_sha256, f"openssl x509 -in {bundle.chain} -outform DER"),
            (bundle.spki_sha256, f"openssl x509 -in {bundle.chain} -pubkey -noout | "
                                 "openssl pkey -pubin -outform DER")):
        output = subprocess.run(["sh", "-c", f"{command} | sha256sum"], capture_output=True,
                                text=True, timeout=20, check=True).stdout
        check_equal(pin, output.split()[0], "digest")


@test("certificates are made once")
def pki_once():
    directory = pki.default_directory()
    before = os.stat(directory).st_ino
    pki.make(directory)
    check_equal(os.stat(directory).st_ino, before, "the inode of the directory")


@test("the server's connections are over when their threads are")
def over():
    with Peer(plan=lambda number: Plan(serve=("sink", "hold")[number])) as peer:
        threads = threading.enumerate()
        connect(peer).close()
        peer.connection()
        peer.wait_over()
        check_equal(threading.enumerate(), threads, "threads")
        with connect(peer):
            peer.connection(1)
            check_raises(TimeoutError, peer.wait_over, 0.1)
        peer.wait_over()
        check_equal(threading.enumerate(), threads, "threads")


@test("the server reports the ClientHello, the data and the end")
def reports():
    context = client_context()
    context.set_alpn_protocols(["one", "two"])
    with Peer(plan=Plan(serve="sink")) as peer:
        with connect(peer, context) as client:
            client.sendall(b"x" * 100000)
            client.unwrap().close()
        conversation = peer.connection()
        conversation.wait_gone()
        check_equal(conversation.count, 100000, "bytes")
        check_true(conversation.close_notify, "close_notify was seen")
        check_equal(conversation.gone_how, "eof", "the end")
        check_equal(conversation.hello.server_name, "server.test", "SNI")
        check_equal(conversation.hello.versions, [0x0303], "versions")
        check_equal(conversation.hello.alpn, ["one", "two"], "ALPN")
        check_in(0xc030, conversation.hello.ciphers, "ciphers")
        check_in(29, conversation.hello.groups, "groups")


@test("a source sends all of it and then a proper end")
def source():
    with Peer(plan=Plan(serve="source", amount=200000)) as peer, connect(peer) as client:
        data = bytearray()
        while piece := client.recv(65536):
            data += piece
        check_equal(len(data), 200000, "bytes")


@test("the banner travels in the segment of the Finished message")
def banner():
    with Sniffer() as sniffer, Peer(plan=Plan(banner=b"220 ready\r\n")) as peer:
        with connect(peer) as client:
            check_equal(client.recv(100), b"220 ready\r\n", "the banner")
        peer.connection().wait_gone()
    stream, = sniffer.flows(source_port=peer.port)
    starts = {start for start, _flags, length in stream.segments if length}
    position, kinds = 0, []
    while position < len(stream.data):
        kinds.append((stream.data[position], position in starts))
        position += hello.first_record(stream.data[position:])
    # Ticket, ChangeCipherSpec, Finished, data: only the first of them begins a segment.
    check_equal(kinds[-5:-1], [(22, True), (20, False), (22, False), (23, False)], "records")


@test("a farewell comes with the banner")
def farewell():
    plan = Plan(banner=b"bye", farewell=True)
    with Peer(plan=plan) as peer, connect(peer) as client:
        check_equal(client.recv(100), b"bye", "the banner")
        check_equal(client.recv(100), b"", "the end")


@test("TLS 1.3 only, no cipher in common, another curve")
def restrictions():
    with Peer(versions=TLS13) as peer:
        error = check_raises(ssl.SSLError, connect, peer)
        check_equal(error.reason, "TLSV1_ALERT_PROTOCOL_VERSION", "1.3 only")
        with connect(peer, client_context(versions=ANY)) as client:
            check_equal(client.version(), "TLSv1.3", "version")
    context = client_context()
    context.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384")
    with Peer(ciphers="ECDHE-RSA-AES128-SHA256") as peer:
        error = check_raises(ssl.SSLError, connect, peer, context)
        check_equal(error.reason, "SSLV3_ALERT_HANDSHAKE_FAILURE", "no cipher in common")
        check_equal(peer.connection().hello.ciphers, [0xc030, 0xff], "what was offered")
    context = client_context()
    context.set_ecdh_curve("prime256v1")
    with Peer(curve="secp384r1", ciphers="ECDHE") as peer:
        check_raises(ssl.SSLError, connect, peer, context)


def outcome(peer, timeout):
    """What a plain client makes of a server: the name of the error, or "connected"."""
    try:
        with connect(peer, lax_context(), timeout=timeout) as client:
            return f"connected {client.recv(100)!r}"
    except TimeoutError:
        return "timeout"
    except ConnectionResetError:
        return "reset"
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):  # one or the other, as Python's version is
        return "eof"
    except ssl.SSLError as error:
        # The errors that OpenSSL's libraries have in common bear no name in Python, only a text.
        return error.reason or re.sub(r"^\[SSL\] | \(_ssl\.c:\d+\)$", "", str(error))


EXPECTED = {
    "close": {"eof", "connected b''"},
    "reset": {"reset", "eof", "connected b''"},
    "stall": {"timeout"},
    "drip": {"timeout"},
    "http": {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"},
    "warnings": {"TOO_MANY_WARN_ALERTS"},
    "oversize": {"DATA_LENGTH_TOO_LONG", "PACKET_LENGTH_TOO_LONG", "ENCRYPTED_LENGTH_TOO_LONG"},
    "garbage": {"WRONG_VERSION_NUMBER"},
    "empty-records": {"RECORD_TOO_SMALL", "BAD_RECORD_TYPE", "UNEXPECTED_MESSAGE"},
    "hello-requests": {"timeout", "UNEXPECTED_MESSAGE"},
    "repeat-hello": {"UNEXPECTED_MESSAGE", "WRONG_VERSION_NUMBER"},
}
# Once both have keys, a record in clear is one that doesn't decrypt.
CLEAR_TEXT = {"DECRYPTION_FAILED_OR_BAD_RECORD_MAC"}
# Where it is shorter than nonce and tag, OpenSSL before 3.0.22 took that for an error of its own.
SHORT = ("warnings", "empty-records", "hello-requests")
TOO_SHORT = dict.fromkeys(SHORT, CLEAR_TEXT | {"internal error"})


@test("the server can {action} at {step}", cases=[
    {"action": action, "step": step} for action in misbehave.ACTIONS for step in STEPS
    if (action, step) != ("repeat-hello", "accept")])
def misbehaviours(action, step):
    in_clear = TOO_SHORT.get(action, CLEAR_TEXT) if step == "finished" else set()
    expected = EXPECTED[action] | in_clear
    with Peer(plan=Plan(step, action, flood=1 << 15)) as peer:
        timeout = DELAY if "timeout" in expected else 10.0
        check_in(outcome(peer, timeout), expected, "what the client saw")
        if action != "reset":
            peer.connection().wait_gone()


@test("a dripping server sends one byte in each interval")
def dripping():
    with Peer(plan=Plan("hello", "drip", drip_interval=0.1)) as peer:
        with socket.create_connection((peer.host, peer.port), timeout=5) as sock:
            bio = ssl.MemoryBIO()
            tls = lax_context().wrap_bio(ssl.MemoryBIO(), bio)
            check_raises(ssl.SSLWantReadError, tls.do_handshake)
            sock.sendall(bio.read())
            start = time.monotonic()
            data = b"".join(sock.recv(100) for _ in range(5))
            check_equal(len(data), 5, "bytes")
            check_between(time.monotonic() - start, 0.45, 2.0, "seconds")


@test("the moment at which a client goes is seen, by {how}", cases=[
    {"how": "eof"}, {"how": "reset"}])
def departure(how):
    with Peer(plan=Plan("server-hello-done", "stall")) as peer:
        sock = socket.create_connection((peer.host, peer.port), timeout=5)
        conversation = peer.connection()
        if how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        check_true(not conversation.gone.is_set(), "still there")
        moment = time.monotonic()
        sock.close()
        check_between(conversation.wait_gone() - moment, 0, 2, "seconds until seen")
        check_equal(conversation.gone_how, how, "how it went")


@test("connections get plans by their number")
def numbered():
    with Peer(plan=lambda i: Plan(banner=b"%d" % i)) as peer:
        for number in range(3):
            with connect(peer) as client:
                check_equal(client.recv(10), b"%d" % number, "banner")


@test("closing the server ends what is under way")
def closing():
    peer = Peer(plan=Plan("server-hello", "drip", drip_interval=20))
    sock = socket.create_connection((peer.host, peer.port), timeout=5)
    peer.connection()
    start = time.monotonic()
    peer.close()
    check_between(time.monotonic() - start, 0, 5, "seconds to close")
    sock.close()


@test("a refusing port refuses, a black hole leaves a connect hanging ({family})", cases=[
    {"family": socket.AF_INET}, {"family": socket.AF_INET6}])
def unreachable(family):
    with Refusing(family) as port:
        check_raises(ConnectionRefusedError, socket.create_connection, (port.host, port.port))
    with Blackhole(family) as port:
        check_raises(TimeoutError, socket.create_connection, (port.host, port.port), DELAY)


@test("a black hole lets in who tries again")
def admission():
    with Blackhole() as port, socket.socket() as sock:
        check_equal(port.is_tried(), False, "tried by somebody")
        sock.setblocking(False)
        sock.connect_ex((port.host, port.port))
        check_equal(port.is_tried(), True, "tried by somebody")
        with port.admit() as admitted:
            check_equal(admitted.getpeername(), sock.getsockname(), "who was let in")


@test("the recorder sees plain text, and only where it is")
def sniffing():
    canary = b"canary-" + os.urandom(8).hex().encode()
    with Sniffer() as sniffer, Peer() as peer:
        with connect(peer) as client:
            client.sendall(canary)
            client.recv(100)
        with socket.create_connection((peer.host, peer.port)) as sock:
            sock.sendall(canary[:10])
            sock.sendall(canary[10:])
        peer.connection(1).wait_gone()
    sniffer.assert_present(canary)
    sniffer.assert_absent(canary[::-1])
    check_raises(AssertionError, sniffer.assert_absent, canary)
    first, second = sniffer.flows(destination_port=peer.port)
    check_not_in(canary, first.data, "what was encrypted")
    check_equal(bytes(second.data), canary, "what was not")


@test("a recording of nothing proves nothing, another port is not recorded")
def empty_recording():
    with Peer() as peer, Sniffer(peer.port ^ 1) as sniffer, connect(peer) as client:
        client.sendall(b"text")
        client.recv(100)
    check_raises(AssertionError, sniffer.assert_absent, b"text")
    check_equal(sniffer.count(), 0, "bytes")


@test("the recorder keeps up with 32 MiB")
def sniffing_bulk():
    with Peer(plan=Plan(serve="sink")) as peer, Sniffer(peer.port) as sniffer:
        with connect(peer) as client:
            for _ in range(512):
                client.sendall(bytes(65536))
            client.unwrap().close()
        peer.connection().wait_gone()
    sniffer.assert_absent(bytes(64))
    stream, = sniffer.flows(destination_port=peer.port)
    check_true(len(stream.data) > 32 << 20, "all of it is there")


def serve_wire(listener, actions):
    sock, _ = listener.accept()
    with sock:
        for action in actions:
            action(sock)


def scripted(actions):
    """A stand-in for the daemon: its abstract address and the thread that plays the script."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind("\0ktlstest-" + os.urandom(8).hex())
    listener.listen()
    thread = threading.Thread(target=serve_wire, args=(listener, actions))
    thread.start()
    return listener, thread


@test("the caller puts replies together, takes descriptors, and sees the end")
def wire_protocol():
    with socket.socket() as sent:
        listener, thread = scripted([
            lambda sock: sock.recv(4096),
            lambda sock: socket.send_fds(sock, [b'{"parameters":{"fileDescr'], [sent.fileno()]),
            lambda sock: sock.sendall(b'iptor":0}}\0{"error":"io.ktlsd.Busy"}\0'),
        ])
        with listener, wire.Caller(listener.getsockname()) as caller:
            with caller.call("a.b.C", {"d": 1}) as reply, reply.take_socket() as taken:
                check_equal(taken.type, socket.SOCK_STREAM, "the socket")
                check_true(taken.fileno() != sent.fileno(), "a descriptor of its own")
            with caller.receive() as reply:
                check_equal(reply.error, "io.ktlsd.Busy", "the second reply")
                check_raises(wire.WireError, reply.take_socket)
            check_raises(wire.Closed, caller.receive)
        thread.join()


if __name__ == "__main__":
    pki.make(pki.default_directory())
    main(globals())
