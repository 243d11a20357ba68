#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Probe: what Connect would come to, told without a socket; on a kernel with TLS and on one without."""

import itertools
import socket
import ssl
import subprocess

from ktlstest import names, pki
from ktlstest.asking import AT_ONCE, PATIENCE, SHORT, ask, check_descriptors, check_gone, check_good, settle, trusting
from ktlstest.daemon import Daemon
from ktlstest.expect import check_error, check_invalid, check_probed, check_timed_out, check_trace
from ktlstest.kmod import loaded, modules
from ktlstest.peer import Blackhole, Peer, Plan, Refusing
from ktlstest.tap import check_between, check_equal, check_in, check_true, main, test, wait_until

# What of it this kernel takes, and what no kernel does: CBC, and CCM with keys of 256 bits.
TAKEN = {"ECDHE-RSA-AES256-GCM-SHA384": "aes-gcm-256", "ECDHE-RSA-CHACHA20-POLY1305": "chacha20-poly1305",
         "AES128-GCM-SHA256": "aes-gcm-128"}
NOT_TAKEN = ("AES256-SHA", "ECDHE-RSA-AES128-SHA256", "AES256-CCM")
MIXED = ["AES256-SHA", *TAKEN, "ECDHE-RSA-AES128-SHA256", "AES256-CCM"]
CONFIG = f"[Policy mixed]\nCiphers={':'.join(MIXED)}\n"
PLAIN = {"name": "mixed"}


def start():
    names.configure({"triple.test": ["127.0.0.2", "127.0.0.3", "::1"]})
    return settle(Daemon(CONFIG))


def parameters(peer, **more):
    return {"host": peer.host, "port": peer.port, "timeoutMs": PATIENCE, "trust": trusting("ca"), **more}


def probe(daemon, peer, **more):
    with daemon.caller() as caller:
        return caller.call("io.ktlsd.Probe", parameters(peer, **more))


def numbers(suites):
    """Of suites by their names, as the wire has them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    known = {cipher["name"]: cipher["id"] & 0xffff for cipher in context.get_ciphers()}
    return [known[suite] for suite in suites]


def check_farewell(peer, index=0):
    """The server had its whole handshake, and an end that is no accident."""
    connection = peer.connection(index)
    connection.wait_established()
    wait_until(lambda: connection.close_notify, 5, "close_notify")
    check_equal(connection.count, 0, "bytes of data")
    check_equal(connection.error, None, "what the server had to say")


@test("{suite} is agreed on, and this kernel takes it: {io}", cases=[
    {"suite": suite, "io": io} for suite in TAKEN for io in ("plain", "aware")])
def taken(daemon, suite, io):
    with Peer(ciphers=suite) as peer, probe(daemon, peer, policy=PLAIN, io=io) as reply:
        check_probed(reply, version="TLSv1.2", cipher=suite, kernelCipher=TAKEN[suite], verifiedBy="chain+name",
                     address=f"{peer.host}:{peer.port}", resumed=False, takesOver=True)
        check_farewell(peer)
    check_descriptors(daemon)


@test("{suite} is agreed on, and no kernel takes it", cases=[{"suite": suite} for suite in NOT_TAKEN])
def not_taken(daemon, suite):
    with Peer(ciphers=suite) as peer:
        check_probed(probe(daemon, peer, policy=PLAIN), cipher=suite, kernelCipher=None, takesOver=False)
        check_farewell(peer)
        # And Connect, which does not offer it, finds nothing in common.
        check_error(ask(daemon, peer, trust=trusting("ca"), policy=PLAIN), "HandshakeFailed", "handshake",
                    alert="handshake_failure")
    check_descriptors(daemon)


@test("what is offered is what the policy allows, and what of it can go to the kernel is marked")
def offered(daemon):
    with Peer() as peer:
        reply = probe(daemon, peer, policy=PLAIN)
        check_probed(reply, offered=MIXED, offloadable=list(TAKEN))
        ciphers = [number for number in peer.connection().hello.ciphers if number != 0xff]
        check_equal(ciphers, numbers(MIXED), "the ciphers of the ClientHello")
        # Connect offers what is marked.
        check_good(ask(daemon, peer, trust=trusting("ca"), policy=PLAIN))
        ciphers = [number for number in peer.connection(1).hello.ciphers if number != 0xff]
        check_equal(ciphers, numbers(TAKEN), "the ciphers of Connect's ClientHello")


@test("a call narrows what is offered, in its own order")
def narrowed(daemon):
    with Peer() as peer:
        order = ["ECDHE-RSA-CHACHA20-POLY1305", "AES256-SHA"]
        reply = probe(daemon, peer, policy={**PLAIN, "ciphers": ":".join([*order, "AES128-SHA"])})
        check_probed(reply, offered=order, offloadable=order[:1])
        # Nothing that a kernel takes is left: Connect may not even begin.
        narrow = {**PLAIN, "ciphers": "AES256-SHA"}
        check_probed(probe(daemon, peer, policy=narrow), offered=["AES256-SHA"], offloadable=[], takesOver=False)
        check_error(ask(daemon, peer, trust=trusting("ca"), policy=narrow), "NotOffloadable", "policy")
        check_error(probe(daemon, peer, policy={**PLAIN, "ciphers": "AES128-SHA"}), "NotAuthorized", "policy")
        check_equal(len(peer.connections), 2, "connections that the peer saw")


@test("this kernel takes all of the default policy")
def default_policy(daemon):
    with Peer() as peer:
        reply = probe(daemon, peer)
        check_probed(reply, takesOver=True)
        check_equal(reply.parameters["offloadable"], reply.parameters["offered"], "what can go to the kernel")


@test("the connection ends with the reply, whatever the server does with it")
def ends(daemon):
    with Peer(plan=Plan(serve="hold")) as peer:
        check_probed(probe(daemon, peer))
        check_gone(peer)
        check_equal(peer.connection().gone_how, "eof", "how the client went")
    # With data that nobody will read on its way.
    with Peer(plan=Plan(banner=b"220 server ready\r\n", serve="hold")) as peer:
        check_probed(probe(daemon, peer))
        check_gone(peer)
    check_descriptors(daemon)


def both(daemon, peer, *, probed=False, **more):
    """The errors of Probe and of Connect for the same parameters, which are one error."""
    with daemon.caller() as caller:
        replies = [caller.call(f"io.ktlsd.{method}", parameters(peer, **more)) for method in ("Probe", "Connect")]
    check_true(replies[0].error is not None, f"an error of {replies[0]}")
    check_equal(replies[0].error, replies[1].error, "the errors")
    check_in("trace", replies[0].parameters if probed else {"trace"}, "members of what Probe says")
    said = {name: value for name, value in replies[0].parameters.items() if name != "trace"}
    check_equal(said, replies[1].parameters, "what they say")
    return replies[0]


@test("the certificate {name} is rejected as by Connect", cases=[
    {"name": "rsa", "trust": trusting("other-ca"), "x509": "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"},
    {"name": "wrong-name", "trust": trusting("ca"), "x509": "IP_ADDRESS_MISMATCH"},
    {"name": "expired", "trust": trusting("ca"), "x509": "CERT_HAS_EXPIRED"},
    {"name": "self-signed", "trust": trusting("ca"), "x509": "SELF_SIGNED"}])
def rejected(daemon, name, trust, x509):
    with Peer(name) as peer:
        check_error(both(daemon, peer, trust=trust, probed=True), "CertificateRejected", "handshake", x509=x509)
        check_true(not peer.connection().established.is_set(), "no session was established")
    check_descriptors(daemon)


@test("every other failure is that of Connect")
def failures(daemon):
    with Refusing() as peer:
        check_error(both(daemon, peer, probed=True), "ConnectFailed", "connect", errno="ECONNREFUSED", within=AT_ONCE)
    with Peer() as peer:
        check_error(both(daemon, peer, trust={"verify": "none"}), "NotAuthorized", "policy")
        for io in ("plain", "aware"):
            check_invalid(both(daemon, peer, io=io, policy={"minVersion": "1.3"}), "policy.minVersion")
        check_invalid(both(daemon, peer, policy={"name": "none such"}), "policy.name")
        check_invalid(both(daemon, peer, port=0), "port")
        check_invalid(both(daemon, peer, unknown=1), "unknown")
        check_equal(peer.connections, [], "connections that the peer saw")
        contrary = {"ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256", "signatureAlgorithms": "RSA+SHA256"}
        check_error(both(daemon, peer, probed=True, policy=contrary), "HandshakeFailed", "handshake")
    with Peer(plan=Plan(step="server-hello", action="stall")) as peer:
        check_timed_out(probe(daemon, peer, timeoutMs=SHORT), "handshake", SHORT)
        check_gone(peer)
    check_descriptors(daemon)


@test("on one connection: a probe, one without a reply, a socket, another probe")
def one_connection(daemon):
    with Peer() as peer, daemon.caller() as caller:
        check_probed(caller.call("io.ktlsd.Probe", parameters(peer)))
        caller.start("io.ktlsd.Probe", parameters(peer), oneway=True)
        caller.start("io.ktlsd.Probe", parameters(peer, port=0), oneway=True)
        check_good(caller.call("io.ktlsd.Connect", parameters(peer)))
        check_probed(caller.call("io.ktlsd.Probe", parameters(peer)))
        check_equal(len(peer.connections), 4, "connections that the peer saw")
        for index in (0, 1, 3):
            check_farewell(peer, index)
    check_descriptors(daemon)


@test("the log tells a probe from a request")
def logged(daemon):
    with Peer() as peer:
        check_probed(probe(daemon, peer))
        line = f": probe of {peer.host} port {peer.port}: {peer.host}:{peer.port}, TLSv1.2 "
        wait_until(lambda: line in daemon.stderr(), 5, "a line in the log")


PIN = {"pins": ["cert-sha256:" + "0" * 64]}


@test("what is wrong with the certificates of {name} is told at the right one", cases=[
    {"name": "rsa", "trust": trusting("other-ca"), "problems": ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY"]},
    {"name": "wrong-name", "trust": trusting("ca"), "problems": ["IP_ADDRESS_MISMATCH"]},
    {"name": "expired", "trust": trusting("ca"), "problems": ["CERT_HAS_EXPIRED"]},
    {"name": "future", "trust": trusting("ca"), "problems": ["CERT_NOT_YET_VALID"]},
    {"name": "by-expired", "trust": trusting("ca"), "problems": [None, "CERT_HAS_EXPIRED"]},
    {"name": "chained", "trust": trusting("other-ca"), "problems": [None, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"]},
    {"name": "no-intermediate", "trust": trusting("ca"), "problems": ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY"]},
    {"name": "self-signed", "trust": trusting("ca"), "problems": ["DEPTH_ZERO_SELF_SIGNED_CERT"]},
    {"name": "rsa", "trust": PIN, "problems": ["CERT_REJECTED"]},
    {"name": "rsa-1024", "trust": trusting("ca"), "problems": ["EE_KEY_TOO_SMALL"]},
    {"name": "names-1001", "trust": trusting("ec-ca"), "problems": ["CERT_REJECTED"]},
    # What is refused before it is looked at is not told either.
    {"name": "sends-11", "trust": trusting("ec-ca"), "problems": []},
    {"name": "sends-400", "trust": trusting("ca"), "problems": []},
    {"name": "sends-costly", "trust": trusting("ec-ca"), "problems": []},
    {"name": "big-exponent", "trust": trusting("ca"), "problems": []}])
def problems_told(daemon, name, trust, problems):
    with Peer(name) as peer:
        reply = probe(daemon, peer, trust=trust)
        check_error(reply, "CertificateRejected", "handshake", within=AT_ONCE)
        check_trace(reply, [(f"{peer.host}:{peer.port}", "connected", None)], problems, ["connect"])
    check_descriptors(daemon)


def openssl_says(name, *words):
    """Of the leaf, by another program."""
    done = subprocess.run(["openssl", "x509", "-in", pki.Bundle(name).chain, "-noout", *words], check=True,
                          capture_output=True, text=True)
    return done.stdout.strip().split("=", 1)[1]


@test("the certificates are those that the server sends, in its order")
def chain(daemon):
    with Peer("chained") as peer:
        reply = probe(daemon, peer)
        check_probed(reply)
        trace = check_trace(reply, problems=[None, None], stages=["connect", "handshake"])
        leaf, issuer = trace["chain"]
        check_equal([leaf["subject"], leaf["issuer"]], ["CN=ktlsd test chained", "CN=ktlsd test intermediate"], "names")
        check_equal([issuer["subject"], issuer["issuer"]], ["CN=ktlsd test intermediate", "CN=ktlsd test ca"], "names")
        check_equal(leaf["names"], ["localhost", "server.test", "127.0.0.1", "::1"], "names of the leaf")
        check_equal(issuer["names"], [], "names of others")
        check_equal([leaf["key"], leaf["signature"]], ["RSA 2048", "sha256WithRSAEncryption"], "algorithms")
        for member, word in (("notBefore", "-startdate"), ("notAfter", "-enddate")):
            said = openssl_says("chained", word, "-dateopt", "iso_8601")
            check_equal(leaf[member], said.replace(" ", "T"), member)
        check_equal(leaf["certSha256"], pki.Bundle("chained").cert_sha256, "the hash of the certificate")
        check_equal(leaf["spkiSha256"], pki.Bundle("chained").spki_sha256, "the hash of the key")
        # The pin to copy works.
        check_good(ask(daemon, peer, trust={"pins": [f"spki-sha256:{leaf['spkiSha256']}"]}), "pin")
    with Peer("names-1000") as peer:
        trace = check_trace(probe(daemon, peer, trust=trusting("ec-ca")), problems=[None], stages=["connect", "handshake"])
        check_equal(len(trace["chain"][0]["names"]), 32, "names that are told")
        check_equal(trace["chain"][0]["key"], "EC prime256v1", "the key")


@test("every stage that fails tells how far it came")
def how_far(daemon):
    with Refusing() as peer:
        reply = probe(daemon, peer)
        check_error(reply, "ConnectFailed", "connect")
        check_trace(reply, [(f"{peer.host}:{peer.port}", "failed", "ECONNREFUSED")], [])
    with Blackhole() as peer:
        reply = probe(daemon, peer, timeoutMs=SHORT)
        check_timed_out(reply, "connect", SHORT)
        trace = check_trace(reply, [(f"{peer.host}:{peer.port}", "abandoned", None)], [])
        check_between(trace["attempts"][0]["took"], SHORT * 900, SHORT * 1100, "microseconds of the attempt")
    with names.NameServer():
        reply = probe(daemon, peer, host="nowhere.invalid")
        check_error(reply, "ResolveFailed", "resolve")
        check_trace(reply, [], [])
    with Peer() as peer:
        for more in ({"trust": {"verify": "none"}}, {"policy": {"ciphers": "NULL-SHA256"}}):
            reply = probe(daemon, peer, **more)
            check_error(reply, "NotAuthorized", "policy")
            check_true("trace" not in reply.parameters, f"no trace in {reply}")
        check_true("trace" not in probe(daemon, peer, port=0).parameters, "no trace of a malformed call")
        tried = [(f"{peer.host}:{peer.port}", "connected", None)]
        reply = probe(daemon, peer, policy={"signatureAlgorithms": "ECDSA+SHA256"})
        check_error(reply, "HandshakeFailed", "handshake")
        check_trace(reply, tried, [], ["connect"])
    for step, problems in (("hello", []), ("server-hello-done", [None]), ("before-finished", [None])):
        for action in ("stall", "close"):
            with Peer(plan=Plan(step=step, action=action)) as peer:
                reply = probe(daemon, peer, timeoutMs=SHORT)
                check_error(reply, "TimedOut" if action == "stall" else "HandshakeFailed", "handshake")
                check_trace(reply, [(f"{peer.host}:{peer.port}", "connected", None)], problems, ["connect"])
    check_descriptors(daemon)


def in_order(host, port):
    """The addresses of a name as they are to be tried: the resolver's order, the families in turn."""
    found = {}
    for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        found.setdefault(family, []).append((family, address[0]))
    return [one for pair in itertools.zip_longest(*found.values()) for one in pair if one]


def written(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@test("three addresses: one refuses, one is silent, one answers, or none")
def several_addresses(daemon):
    order = in_order("triple.test", 1)
    check_equal(len(order), 3, f"addresses of {order}")
    (_, refusing), (hole_family, hole), (good_family, good) = order
    with Peer(family=good_family, host=good) as peer, Blackhole(hole_family, peer.port, hole):
        reply = probe(daemon, peer, host="triple.test", trust=trusting("ca", name="server.test"))
        check_probed(reply, address=written(good, peer.port))
        tried = [(written(refusing, peer.port), "failed", "ECONNREFUSED"), (written(hole, peer.port), "abandoned", None),
                 (written(good, peer.port), "connected", None)]
        trace = check_trace(reply, tried, [None], ["connect", "handshake"])
        first, second, third = trace["attempts"]
        # At once after a failure, and a quarter of a second behind one that is silent.
        check_between(second["begun"] - first["begun"], 0, 200_000, "microseconds to the second")
        check_between(third["begun"] - second["begun"], 240_000, 1_000_000, "microseconds to the third")
        check_between(second["took"], 240_000, 2_000_000, "microseconds of the one that was abandoned")
    with Blackhole(hole_family, host=hole) as peer:
        reply = probe(daemon, peer, host="triple.test", timeoutMs=SHORT)
        check_timed_out(reply, "connect", SHORT)
        tried = [(written(refusing, peer.port), "failed", "ECONNREFUSED"), (written(hole, peer.port), "abandoned", None),
                 (written(good, peer.port), "failed", "ECONNREFUSED")]
        check_trace(reply, tried, [])
    check_descriptors(daemon)


@test("a kernel without TLS: a probe gets as far as ever, and marks nothing")
def without_module(_daemon):
    """tls.ko is absent, and ktlsd without the privilege to have it loaded."""
    modules("-r", "tls")
    try:
        with Daemon(CONFIG, user="nobody") as daemon, Peer(ciphers="ECDHE-RSA-AES256-GCM-SHA384") as peer:
            check_error(ask(daemon, peer, trust=trusting("ca")), "KernelTlsUnavailable", "install", errno="ENOENT")
            check_equal(peer.connections, [], "connections that the peer saw")
            for index, policy in enumerate((None, PLAIN)):
                reply = probe(daemon, peer, policy=policy)
                session = check_probed(reply, cipher="ECDHE-RSA-AES256-GCM-SHA384", kernelCipher="aes-gcm-256",
                                       offloadable=[], takesOver=False)
                check_in(session["cipher"], reply.parameters["offered"], "the suites offered")
                check_farewell(peer, index)
            check_equal(reply.parameters["offered"], MIXED, "the suites of the policy")
            with Peer("expired") as other:
                check_error(probe(daemon, other), "CertificateRejected", "handshake", x509="CERT_HAS_EXPIRED")
            check_true(not loaded("tls"), "tls.ko is still not there")
    finally:
        modules("tls")


if __name__ == "__main__":
    main(globals(), start)
