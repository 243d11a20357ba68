#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""GetCapabilities: what can be had here and by who asks, on a sound machine and on ones where something is missing."""

import datetime
import os
import re
import subprocess
import time

from ktlstest import pki, programs, users
from ktlstest.asking import ask, check_descriptors, check_good, settle, trusting
from ktlstest.daemon import Daemon
from ktlstest.expect import check_invalid, check_probed
from ktlstest.kmod import empty, hidden, loaded, modules
from ktlstest.peer import Peer
from ktlstest.tap import check_between, check_equal, check_in, check_true, main, test, wait_until

METHOD = "io.ktlsd.GetCapabilities"
CIPHERS = {"aes-gcm-128": "gcm", "aes-gcm-256": "gcm", "chacha20-poly1305": "chacha20poly1305", "aes-ccm-128": "ccm"}
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
MIXED = "AES256-SHA:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305"
ALICE, BOB, CAROL = 1001, 1002, 1003
POLICY = f"""
[Policy mixed]
Ciphers={MIXED}
Groups=P-384
"""
CONFIG = f"""{POLICY}
[Store lab]
File={pki.Bundle("ca").chain}
"""
RULES = f"""
[Access nothing-here]
Action=deny
Ports=25
[Access for-alice]
Users={ALICE}
Hosts=alices-secret.test
[Access for-bob]
Users={BOB}
Hosts=bobs-secret.test
Addresses=192.0.2.77/32
AllowVerifyNone=yes
"""


def start():
    return settle(Daemon(CONFIG))


def capabilities(daemon):
    with daemon.caller() as caller, caller.call(METHOD, {}) as reply:
        check_equal((reply.error, reply.fds), (None, []), f"the kind of {reply}")
        return reply.parameters


def by_name(items):
    return {item["name"]: item for item in items}


def errnos(told):
    return {cipher["name"]: cipher["errno"] for cipher in told["kernel"]["ciphers"]}


@test("a sound machine")
def sound(daemon):
    told = capabilities(daemon)
    version = subprocess.run(["openssl", "version"], check=True, capture_output=True, text=True).stdout
    check_in(told["openssl"], version, "what openssl says of itself")
    check_equal(told["managed"], True, "whether a service manager waits to be told")
    kernel = told["kernel"]
    check_equal((kernel["release"], kernel["tlsErrno"], kernel["loopbackErrno"]), (os.uname().release, None, None),
                "the kernel")
    check_equal({one["name"]: one["module"] for one in kernel["ciphers"]}, CIPHERS, "ciphers and their modules")
    check_equal(set(errnos(told).values()), {None}, "why they are not taken")
    check_equal(told["caller"], {"uid": os.getuid(), "allowed": True, "verifyNone": False, "barred": False, "rules": []},
                "the caller")
    check_descriptors(daemon)


@test("the suites are those that another program finds in OpenSSL")
def suites(daemon):
    listed = subprocess.run(["openssl", "ciphers", "-s", "DEFAULT:@SECLEVEL=2"], check=True, capture_output=True, text=True)
    told = capabilities(daemon)
    check_equal(told["suites"], listed.stdout.strip().split(":"), "suites")
    aead = [name for name in told["suites"] if name.endswith(("-GCM-SHA256", "-GCM-SHA384", "-CHACHA20-POLY1305", "-AES128-CCM"))]
    check_equal(told["offloadable"], aead, "those that the kernel takes")


@test("policy {name}: what a probe offers, and what of it can go to the kernel", cases=[
    {"name": "default"}, {"name": "mixed"}])
def policies(daemon, name):
    told = by_name(capabilities(daemon)["policies"])
    check_equal(list(told), ["default", "mixed"], "policies")
    with Peer() as peer, daemon.caller() as caller:
        reply = caller.call("io.ktlsd.Probe", {"host": peer.host, "port": peer.port, "trust": trusting("ca"),
                                               "policy": {"name": name}})
        check_probed(reply, offered=told[name]["suites"], offloadable=told[name]["offloadable"])
    if name == "mixed":
        check_equal(told[name]["suites"], MIXED.split(":"), "suites of the policy")
        check_equal((told[name]["groups"], told["default"]["groups"]), ("P-384", "X25519:P-256:P-384:P-521"), "groups")
        check_in("RSA-PSS+SHA256", told[name]["signatureAlgorithms"], "signature algorithms")


@test("a policy of which nothing is left to offer is told of like any other")
def contrary(_daemon):
    with Daemon("[Policy contrary]\nCiphers=ECDHE-ECDSA-AES128-GCM-SHA256\nSignatureAlgorithms=RSA+SHA256\n") as daemon:
        told = by_name(capabilities(daemon)["policies"])
        check_equal((told["contrary"]["suites"], told["contrary"]["offloadable"]), ([], []), "its suites")
        check_true(len(told["default"]["suites"]) > 1, "the other one has suites")


@test("200 policies, with all suites there are: a client of ours takes that in")
def many(_daemon):
    config = "".join(f"[Policy p{number}]\nCiphers=ALL:!aNULL:!PSK\n" for number in range(200))
    with Daemon(config) as daemon:
        check_equal(len(capabilities(daemon)["policies"]), 201, "policies")
        done = subprocess.run([programs.ktlsctl(), "--socket", daemon.socket_path, "ciphers", "--json"], capture_output=True, text=True)
        check_equal((done.returncode, done.stderr), (0, ""), "how ktlsctl has ended")
        check_in('"p199"', done.stdout, "what it has printed")


@test("stores: their files, and how many of their certificates are still good")
def stores(_daemon):
    directory = "/tmp/capabilities"
    os.makedirs(directory, exist_ok=True)
    path = f"{directory}/a \"b\"\\\u00e4.pem"
    with open(path, "w", encoding="ascii") as file:
        file.write(pki.ca_text("ca") + pki.ca_text("expired") + pki.ca_text("future"))
    config = f"[Store old]\nFile={pki.Bundle('expired').chain}\n[Store several]\nFile={path}\n"
    with Daemon(config) as daemon:
        told = by_name(capabilities(daemon)["stores"])
    check_equal(list(told), ["system", "old", "several"], "stores")
    check_equal((told["system"]["file"], told["system"]["certificates"] > 100), (BUNDLE, True), "the system's")
    check_between(told["system"]["valid"], 1, told["system"]["certificates"], "those of the system that are good")
    check_equal((told["old"]["certificates"], told["old"]["valid"]), (1, 0), "of the expired one")
    last = datetime.datetime.fromisoformat(told["old"]["notAfter"].replace("Z", "+00:00")).timestamp()
    check_between(time.time() - last, 86400, 8 * 86400, "seconds since it expired")
    check_equal((told["several"]["file"], told["several"]["certificates"], told["several"]["valid"]), (path, 3, 1),
                "of the mixed one")


@test("the system's bundle is empty: there is the store, with its file and nothing in it")
def empty_store(_daemon):
    with empty(BUNDLE), Daemon() as daemon:
        check_equal(capabilities(daemon)["stores"],
                    [{"name": "system", "file": BUNDLE, "certificates": 0, "valid": 0, "notAfter": None}], "stores")


def call_as(daemon, uid):
    """The answer to another user."""
    asker = users.Process(lambda report: report(capabilities(daemon)), uid=uid)
    try:
        return asker.read()
    finally:
        asker.close()


@test("rules: each caller learns which are for him, and of no one's destinations")
def rules(_daemon):
    expected = {ALICE: (True, False, ["for-alice"]), BOB: (True, True, ["for-bob"]), CAROL: (False, False, [])}
    with Daemon(RULES) as daemon:
        os.chmod(daemon.socket_path, 0o666)
        for uid, (allowed, verify_none, names) in expected.items():
            told = call_as(daemon, uid)
            check_equal(told["caller"], {"uid": uid, "allowed": allowed, "verifyNone": verify_none, "barred": False,
                                         "rules": names}, f"what {uid} is told of himself")
            check_true(not re.search(r"secret|192\.0\.2|for-(?!%s)" % "|".join(name[4:] for name in names or ["-"]), str(told)),
                       f"nothing of others in {told}")
        told = capabilities(daemon)["caller"]
        check_equal((told["allowed"], told["rules"]), (False, []), "what root is told")


@test("tls.ko absent, without the privilege to have it loaded; and there again, seen without a restart")
def without_module(_daemon):
    modules("-r", "tls")
    with Daemon(POLICY, user="nobody") as daemon:
        told = capabilities(daemon)
        check_equal((told["kernel"]["tlsErrno"], set(errnos(told).values())), ("ENOENT", {"ENOENT"}), "errors")
        check_equal([policy["offloadable"] for policy in told["policies"]], [[], []], "what can go to the kernel")
        check_equal(by_name(told["policies"])["mixed"]["suites"], MIXED.split(":"), "suites, all the same")
        check_true(not loaded("tls"), "tls.ko is still not there")
        modules("tls")
        wait_until(lambda: capabilities(daemon)["kernel"]["tlsErrno"] is None, 5, "the module to be seen", interval=0.2)
        told = capabilities(daemon)
        check_equal(set(errnos(told).values()), {None}, "errors")
        check_equal(by_name(told["policies"])["mixed"]["offloadable"], MIXED.split(":")[1:], "what can go to the kernel")


@test("tls.ko absent, started as root: it is loaded")
def as_root(_daemon):
    modules("-r", "tls")
    with Daemon() as daemon:
        check_equal(capabilities(daemon)["kernel"]["tlsErrno"], None, "the error")
        check_true(loaded("tls"), "tls.ko is there")


@test("the kernel's gcm module is not to be had")
def without_gcm(_daemon):
    with hidden("gcm"), Daemon(CONFIG) as daemon:
        told = capabilities(daemon)
        check_equal(told["kernel"]["tlsErrno"], None, "the error of all TLS")
        found = errnos(told)
        check_equal((found["aes-gcm-128"], found["aes-gcm-256"], found["chacha20-poly1305"]), ("ENOENT", "ENOENT", None),
                    "errors")
        check_equal(by_name(told["policies"])["mixed"]["offloadable"], MIXED.split(":")[2:], "what can go to the kernel")


@test("as any other call: none wanted, several at once, no parameters")
def calls(daemon):
    with Peer() as peer, daemon.caller() as caller:
        check_invalid(caller.call(METHOD, {"host": "x"}), "host")
        caller.start(METHOD, {}, oneway=True)
        for _ in range(3):
            caller.start(METHOD, {})
        for _ in range(3):
            with caller.receive() as reply:
                check_in("kernel", reply.parameters, "what came")
        # A reply that nobody wanted would be before this one.
        check_in("vendor", caller.call("org.varlink.service.GetInfo").parameters, "what came then")
        check_good(ask(daemon, peer, trust=trusting("ca")))
    check_descriptors(daemon)


if __name__ == "__main__":
    main(globals(), start)
