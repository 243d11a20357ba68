#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Peers of every kind: which certificates are good enough, what a bad server is told to the caller
as, and how long it can keep ktlsd."""

import socket
import time

from ktlstest import ktls, names, pki
from ktlstest.daemon import Daemon
from ktlstest.expect import check_connected, check_error, check_timed_out
from ktlstest.peer import STEPS, TLS13, Blackhole, Peer, Plan, Refusing
from ktlstest.tap import check_between, check_equal, check_in, main, test, wait_until

CONFIG = f"""
[Service]
AllowVerifyNone=yes
[Store ours]
File={pki.Bundle("ca").chain}
"""
HOSTS = {"server.test": ["127.0.0.1"], "dual.test": ["127.0.0.1", "::1"]}
AT_ONCE = 1.5  # seconds, in a guest on a loaded machine; a deadline is far behind it
PATIENCE = 15000  # milliseconds, for what must not need them
SHORT = 1200  # milliseconds, for what ends in a deadline
GONE = 0.5  # seconds within which a peer sees that ktlsd has given up


def ask(daemon, peer, timeout_ms=PATIENCE, **parameters):
    return daemon.connect(peer.host, peer.port, timeoutMs=timeout_ms, **parameters)


def trusting(ca=None, **more):
    return {**({} if ca is None else {"ca": pki.ca_text(ca)}), **more}


def check_gone(peer, index=0):
    """The peer's connection ends with the reply that was just had, or has ended before it."""
    now = time.monotonic()
    check_between(peer.connection(index).wait_gone() - now, -PATIENCE, GONE, "seconds until gone")


def check_echo(sock, size=40000):
    data = bytes(range(256)) * (size // 256)
    sock.sendall(data)
    check_equal(ktls.recv_exactly(sock, len(data)), data, "what came back")


def check_good(reply, verified_by):
    with check_connected(reply, verifiedBy=verified_by) as sock:
        check_echo(sock)


GOOD = [{"name": name, "what": what, "trust": trust, "by": by} for name, what, trust, by in (
    ("rsa", "its CA", trusting("ca"), "chain+name"),
    ("rsa", "a store of the configuration", {"store": "ours"}, "chain+name"),
    ("rsa", "its CA, and another DNS name of it", trusting("ca", name="server.test"), "chain+name"),
    ("rsa", "its CA, and an IPv6 address in it", trusting("ca", name="::1"), "chain+name"),
    ("p256", "its CA", trusting("ec-ca"), "chain+name"),
    ("p384", "its CA", trusting("ec-ca"), "chain+name"),
    ("rsa-8192", "its CA", trusting("ca"), "chain+name"),
    ("chained", "the root, the intermediate being sent", trusting("ca"), "chain+name"),
    ("deep-8", "the root of eight intermediates", trusting("ec-ca"), "chain+name"),
    ("sends-10", "its CA, of ten certificates sent", trusting("ec-ca"), "chain+name"),
    ("names-1000", "its CA, a thousand names in it", trusting("ec-ca"), "chain+name"),
    ("wrong-name", "its CA, the name unchecked", trusting("ca", verify="chain"), "chain"),
    ("self-signed", "a pin of it", {"pins": [pki.Bundle("self-signed").cert_pin]}, "pin"),
    ("self-signed", "a pin of its key", {"pins": [pki.Bundle("self-signed").spki_pin]}, "pin"),
    ("wrong-name", "a pin of it", {"pins": [pki.Bundle("wrong-name").cert_pin]}, "pin"),
    ("rsa", "the second of two pins", {"pins": [
        pki.Bundle("p256").cert_pin, pki.Bundle("rsa").cert_pin]}, "pin"),
    ("rsa", "a pin and its CA", trusting("ca", pins=[pki.Bundle("rsa").spki_pin]),
     "pin+chain+name"),
    ("self-signed", "nothing, none asked for", {"verify": "none"}, "none"),
)]


@test("{name} is accepted by {what}", cases=GOOD)
def accepted(daemon, name, what, trust, by):
    with Peer(name) as peer:
        check_good(ask(daemon, peer, trust=trust), by)
        check_gone(peer)


@test("host {host} is verified as itself", cases=[
    {"host": "127.0.0.1", "family": socket.AF_INET}, {"host": "::1", "family": socket.AF_INET6},
    {"host": "localhost", "family": socket.AF_INET},
    {"host": "server.test", "family": socket.AF_INET}])
def hosts(daemon, host, family):
    with Peer(family=family) as peer:
        reply = daemon.connect(host, peer.port, trust=trusting("ca"), timeoutMs=PATIENCE)
        check_good(reply, "chain+name")
        wanted = None if family == socket.AF_INET6 or host[0].isdigit() else host
        check_equal(peer.connection().hello.server_name, wanted, "SNI")


WRONG_PIN = "cert-sha256:" + "5a" * 32
REJECTED = [{"name": name, "what": what, "trust": trust, "x509": x509}
            for name, what, trust, x509 in (
    ("rsa", "another CA is trusted", trusting("other-ca"), "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"),
    ("rsa", "the system's CAs are trusted", None, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"),
    ("rsa", "the store of the system is asked for", {"store": "system"},
     "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"),
    ("wrong-name", "it bears another name", trusting("ca", name="server.test"),
     "HOSTNAME_MISMATCH"),
    ("wrong-name", "it bears another address", trusting("ca"), "IP_ADDRESS_MISMATCH"),
    ("nameless", "its name stands in the subject alone", trusting("ca", name="nameless.test"),
     "HOSTNAME_MISMATCH"),
    ("nul", "a NUL is in its name", trusting("ca", name="server.test"), "HOSTNAME_MISMATCH"),
    ("expired", "it has expired", trusting("ca"), "CERT_HAS_EXPIRED"),
    ("future", "it is not yet valid", trusting("ca"), "CERT_NOT_YET_VALID"),
    ("self-signed", "it signed itself", trusting("ca"), "DEPTH_ZERO_SELF_SIGNED_CERT"),
    ("wrong-eku", "it is for clients", trusting("ca"), "INVALID_PURPOSE"),
    ("no-intermediate", "an intermediate is missing", trusting("ca"),
     "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"),
    ("constrained", "its CA is for other names", trusting("ca"), "PERMITTED_VIOLATION"),
    ("by-leaf", "its issuer is no CA", trusting("ca"), "INVALID_CA"),
    ("rsa", "the pin is another one", {"pins": [WRONG_PIN]}, None),
    ("rsa", "the pin is another one, the CA right", trusting("ca", pins=[WRONG_PIN]), None),
    ("rsa", "the pin is right, the CA another one",
     trusting("other-ca", pins=[pki.Bundle("rsa").cert_pin]), "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"),
    ("rsa", "the pin is right, the name another one",
     {"pins": [pki.Bundle("rsa").cert_pin], "name": "other.test"}, None),
    ("expired", "the pin is right, but it has expired",
     {"pins": [pki.Bundle("expired").cert_pin]}, "CERT_HAS_EXPIRED"),
    ("future", "the pin is right, but it is not yet valid",
     {"pins": [pki.Bundle("future").spki_pin]}, "CERT_NOT_YET_VALID"),
    ("chained", "the pin is that of its issuer", {"pins": [pki.Bundle("intermediate").cert_pin]},
     None),
)]


@test("{name} is rejected: {what}", cases=REJECTED)
def rejected(daemon, name, what, trust, x509):
    with Peer(name) as peer:
        reply = ask(daemon, peer, **({} if trust is None else {"trust": trust}))
        check_error(reply, "CertificateRejected", "handshake", within=AT_ONCE,
                    x509=x509 and f"^X509_V_ERR_{x509}$")
        check_equal(reply.parameters["retry"], False, f"retry of {reply}")
        check_gone(peer)


LIMITS = [{"name": name, "what": what, "ca": ca} for name, what, ca in (
    ("rsa-1024", "a key of 1024 bits", "ca"),
    ("rsa-16384", "a key of 16384 bits", "ca"),
    ("big-exponent", "an exponent of 3071 bits", "ca"),
    ("explicit-curve", "a curve spelled out", "ec-ca"),
    ("deep-9", "nine intermediates", "ec-ca"),
    ("deep-12", "twelve intermediates", "ec-ca"),
    ("names-1001", "1001 names", "ec-ca"),
    ("names-1500", "1500 names", "ec-ca"),
    ("sends-11", "eleven certificates", "ec-ca"),
    ("sends-400", "400 certificates", "ca"),
)]


@test("{name} is over a limit, {what}, {how}", cases=[
    {**case, "how": how} for case in LIMITS for how in ("its CA trusted", "its own pin given")
    if not (case["name"].startswith("deep") and how == "its own pin given")])
def over_limit(daemon, name, what, ca, how):
    trust = trusting(ca) if how == "its CA trusted" else {"pins": [pki.Bundle(name).cert_pin]}
    with Peer(name) as peer:
        reply = ask(daemon, peer, trust=trust)
        check_error(reply, "CertificateRejected", "handshake", within=AT_ONCE)
        check_gone(peer)


@test("nothing in common: {what}", cases=[
    {"what": "TLS 1.3 only", "settings": {"versions": TLS13}, "alert": "protocol_version"},
    {"what": "no AEAD cipher", "settings": {"ciphers": "ECDHE-RSA-AES128-SHA256"},
     "alert": "handshake_failure"},
    {"what": "no forward secrecy", "settings": {"ciphers": "AES256-GCM-SHA384"},
     "alert": "handshake_failure"},
    {"what": "another curve", "settings": {"curve": "brainpoolP256r1", "ciphers": "ECDHE"},
     "alert": "handshake_failure"}])
def nothing_in_common(daemon, what, settings, alert):
    with Peer(**settings) as peer:
        reply = ask(daemon, peer, trust=trusting("ca"))
        check_error(reply, "HandshakeFailed", "handshake", within=AT_ONCE, alert=alert)
        check_gone(peer)


BEFORE_THE_END = STEPS[:-1]
SAID = {
    "close": r"clos|end|EOF",
    "reset": r"reset",
    "http": r"HTTP|version",
    "warnings": r"alert",
    "oversize": r"long|large|size|length",
    "garbage": r"speak TLS|version",
    "repeat-hello": r"unexpected|version",
}


@test("a server that {action}s at {step} has failed the handshake", cases=[
    {"action": action, "step": step} for action in SAID for step in BEFORE_THE_END
    if (action, step) != ("repeat-hello", "accept")])
def failing(daemon, action, step):
    with Peer(plan=Plan(step, action)) as peer:
        reply = ask(daemon, peer, trust=trusting("ca"))
        error, stage = "HandshakeFailed", "handshake"
        if (action, step) == ("reset", "accept") and reply.error == "io.ktlsd.ConnectFailed":
            # The reset may be there before ktlsd has looked at the connection at all.
            error, stage = "ConnectFailed", "connect"
        check_error(reply, error, stage, within=AT_ONCE, text=SAID[action],
                    errno="ECONNRESET" if action == "reset" else (None, "ECONNRESET", "EPIPE"))
        if action != "reset":
            check_gone(peer)


@test("a server that {action}s at {step} runs into the deadline", cases=[
    {"action": action, "step": step} for action in ("stall", "drip") for step in BEFORE_THE_END])
def deadline(daemon, action, step):
    with Peer(plan=Plan(step, action)) as peer:
        check_timed_out(ask(daemon, peer, SHORT, trust=trusting("ca")), "handshake", SHORT)
        check_gone(peer)


@test("a flood of {action} at {step} holds up nobody", cases=[
    {"action": action, "step": step} for action in ("empty-records", "hello-requests")
    for step in BEFORE_THE_END])
def flooding(daemon, action, step):
    with Peer(plan=Plan(step, action)) as flood, Peer() as good, daemon.caller() as caller:
        caller.start("io.ktlsd.Connect", {"host": flood.host, "port": flood.port,
                                          "trust": trusting("ca"), "timeoutMs": SHORT})
        start = time.monotonic()
        flood.connection()
        reply = ask(daemon, good, trust=trusting("ca"))
        check_good(reply, "chain+name")
        check_between(reply.seconds, 0, SHORT / 1000, "seconds until somebody else is served")
        with caller.receive(start) as reply:
            error = "TimedOut" if reply.error == "io.ktlsd.TimedOut" else "HandshakeFailed"
            check_error(reply, error, "handshake", within=SHORT / 1000 + 0.75)
        check_gone(flood)


@test("{n} stalling servers hold up nobody", cases=[{"n": 30}])
def stalling(daemon, n):
    with Peer(plan=lambda i: Plan("server-hello", "stall")) as bad, Peer() as good:
        callers = [daemon.caller() for _ in range(n)]
        for caller in callers:
            caller.start("io.ktlsd.Connect", {"host": bad.host, "port": bad.port,
                                              "trust": trusting("ca"), "timeoutMs": PATIENCE})
        bad.connection(n - 1)
        reply = ask(daemon, good, trust=trusting("ca"))
        check_good(reply, "chain+name")
        check_between(reply.seconds, 0, AT_ONCE, "seconds until somebody else is served")
        for caller in callers:
            caller.close()
        for index in range(n):
            check_gone(bad, index)


def read_on(sock):
    """What a plain program gets from the socket: all the data, and how it ended."""
    sock.settimeout(0.5)
    data = bytearray()
    while True:
        try:
            piece = sock.recv(65536)
        except OSError as error:
            return bytes(data), type(error).__name__ if error.errno is None else error.errno
        if not piece:
            return bytes(data), 0
        data += piece


@test("a server that {action}s behind its Finished: a socket, and no byte that it didn't encrypt",
      cases=[{"action": action} for action in
             ("close", "stall", "drip", "http", "warnings", "oversize", "garbage",
              "empty-records", "hello-requests")])
def after_finished(daemon, action):
    with Peer(plan=Plan("finished", action, serve="hold", flood=1 << 16)) as peer:
        with check_connected(ask(daemon, peer, trust=trusting("ca"))) as sock:
            data, end = read_on(sock)
        check_equal(data, b"", "what was read")
        expected = {"close": (0,), "stall": ("TimeoutError",), "drip": ("TimeoutError",)}
        if action in expected:
            check_in(end, expected[action], "how it ended")
        check_gone(peer)


@test("a server that resets behind its Finished: an error, or a socket that says so")
def reset_after_finished(daemon):
    with Peer(plan=Plan("finished", "reset")) as peer:
        with ask(daemon, peer, trust=trusting("ca")) as reply:
            if reply.error:
                check_error(reply, "HandshakeFailed", ("handshake", "install"),
                            errno=("ECONNRESET", "EPIPE"), within=AT_ONCE)
            else:
                with check_connected(reply) as sock:
                    check_in(read_on(sock), ((b"", 0), (b"", 104), (b"", 32)), "data and end")


@test("a port that refuses, over {family.name}", cases=[
    {"family": socket.AF_INET}, {"family": socket.AF_INET6}])
def refusing(daemon, family):
    with Refusing(family) as port:
        check_error(ask(daemon, port), "ConnectFailed", "connect", errno="ECONNREFUSED",
                    text="refused", within=AT_ONCE)


@test("a port that never answers, over {family.name}", cases=[
    {"family": socket.AF_INET}, {"family": socket.AF_INET6}])
def never_answering(daemon, family):
    with Blackhole(family) as port:
        check_timed_out(ask(daemon, port, SHORT), "connect", SHORT)


@test("the other address of a name serves when the {dead} one {how}", cases=[
    {"dead": dead, "how": how} for dead in ("IPv6", "IPv4") for how in ("refuses", "is silent")])
def racing(daemon, dead, how):
    families = [socket.AF_INET6, socket.AF_INET]
    bad, good = families if dead == "IPv6" else families[::-1]
    with Peer(family=good) as peer:
        hole = Blackhole(bad, peer.port) if how == "is silent" else Refusing(bad)
        with hole:
            reply = daemon.connect("dual.test", peer.port, timeoutMs=PATIENCE,
                                   trust=trusting("ca", name="server.test"))
            with check_connected(reply):
                check_between(reply.seconds, 0, AT_ONCE + 0.25, "seconds")


@test("a name that does not exist")
def no_such_name(daemon):
    with names.NameServer() as server:
        reply = daemon.connect("nowhere.invalid", 443, timeoutMs=PATIENCE)
        check_error(reply, "ResolveFailed", "resolve", within=AT_ONCE, text="nowhere.invalid")
        check_in("nowhere.invalid", server.asked, "names asked for")


@test("a name whose server fails")
def failing_name(daemon):
    with names.NameServer(servfail=["broken.test"]):
        reply = daemon.connect("broken.test", 443, timeoutMs=PATIENCE)
        check_error(reply, "ResolveFailed", "resolve")
        check_equal(reply.parameters["retry"], True, f"retry of {reply}")


@test("a name server that never answers holds up no literal address, nor a name in a file")
def silent_name_server(daemon):
    with names.NameServer(silent=["silent.test"]) as server, Peer() as peer, \
            daemon.caller() as caller:
        start = time.monotonic()
        caller.start("io.ktlsd.Connect", {"host": "silent.test", "port": 443, "timeoutMs": SHORT})
        wait_until(lambda: "silent.test" in server.asked, 5, "the question")
        for host in ("127.0.0.1", "server.test"):
            reply = daemon.connect(host, peer.port, trust=trusting("ca"), timeoutMs=PATIENCE)
            check_good(reply, "chain+name")
            check_between(reply.seconds, 0, AT_ONCE, f"seconds for {host}")
        with caller.receive(start) as reply:
            check_timed_out(reply, "resolve", SHORT)


@test("a name out of DNS, both families of it")
def resolved(daemon):
    with names.NameServer({"found.test": ["127.0.0.1", "::1"]}), Peer() as peer:
        reply = daemon.connect("found.test", peer.port, timeoutMs=PATIENCE,
                               trust=trusting("ca", name="server.test"))
        check_good(reply, "chain+name")
        check_equal(peer.connection().hello.server_name, "found.test", "SNI")


@test("verify: none is not for everybody, and connects nowhere if refused")
def verify_none(_daemon):
    with Daemon() as strict, Peer("self-signed") as peer:
        for trust in ({"verify": "none"}, trusting("ca", verify="none")):
            check_error(ask(strict, peer, trust=trust), "NotAuthorized", "policy", within=AT_ONCE,
                        text="AllowVerifyNone")
        pinned = {"pins": [pki.Bundle("self-signed").cert_pin]}
        check_good(ask(strict, peer, trust=pinned), "pin")
        check_equal(len(peer.connections), 1, "connections that the peer saw")


@test("ktlsd has as many descriptors as it began with")
def descriptors(daemon):
    wait_until(lambda: daemon.fd_count() <= daemon.fds_at_start, 3, "descriptors")


def start():
    names.configure(HOSTS)
    daemon = Daemon(CONFIG)
    # What is made for the first request and kept is no leak.
    with Peer() as peer:
        ask(daemon, peer, trust=trusting("ca")).close()
    daemon.fds_at_start = daemon.fd_count()
    return daemon


if __name__ == "__main__":
    main(globals(), start)
