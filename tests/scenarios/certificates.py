#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Which certificates are good enough, for whom, and what is said of those that aren't."""

from ktlstest import pki
from ktlstest.asking import (AT_ONCE, SLOWNESS, ask, check_descriptors, check_gone, check_good,
                             settle, trusting)
from ktlstest.daemon import Daemon
from ktlstest.expect import check_error, check_invalid
from ktlstest.peer import Peer
from ktlstest.tap import check_between, check_equal, check_in, main, test

CONFIG = f"""
[Access all]
AllowVerifyNone=yes
[Store ours]
File={pki.Bundle("ca").chain}
"""

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
        # Soon, but for the server's own work with a key of that size.
        check_error(reply, "CertificateRejected", "handshake",
                    within=None if name == "rsa-16384" else AT_ONCE)
        check_gone(peer)


# Seconds of processor time; what valgrind slows down most is the reading of a large text.
CHEAP = 0.05 * SLOWNESS ** 2


@test("certificates that are costly to decode are not decoded, {where}", cases=[
    {"where": "when a peer sends nine", "send": "sends-costly", "ca": trusting("ec-ca")},
    {"where": "when a peer sends nine, whatever is verified", "send": "sends-costly",
     "ca": {"verify": "none"}},
    {"where": "when one is the CA of a caller", "send": None, "ca": trusting("costly")},
    {"where": "when 256 are the CAs of a caller", "send": None,
     "ca": {"ca": pki.ca_text("costly") * 256}},
    {"where": "when 256 keys of a caller's CAs are compressed", "send": None,
     "ca": {"ca": pki.ca_text("compressed") * 256}}])
def costly(daemon, where, send, ca):
    costs = []
    with Peer(send or "p256") as peer:
        # Time for which the guest itself is kept waiting counts as well, though hardly every time.
        for _ in range(3):
            before = daemon.cpu_seconds()
            reply = ask(daemon, peer, trust=ca)
            costs.append(daemon.cpu_seconds() - before)
        check_between(min(costs), 0, CHEAP, "seconds of processor time")
        if send:
            check_error(reply, "CertificateRejected", "handshake", within=AT_ONCE,
                        text="explicit parameters")
            check_gone(peer)
        else:
            check_invalid(reply, "trust.ca")
            check_in("an EC key", reply.parameters["message"], "the message")
            check_equal(peer.connections, [], "connections that the peer saw")


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
    check_descriptors(daemon)


def start():
    return settle(Daemon(CONFIG))


if __name__ == "__main__":
    main(globals(), start)
