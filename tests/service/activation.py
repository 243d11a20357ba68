#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The first request starts the service, has the module loaded and gets its socket, if it comes from
who may ask; and what runs then has no privilege."""

import errno
import grp
import os
import re
import stat
import subprocess

from ktlstest import pki, system
from ktlstest.asking import check_good, trusting
from ktlstest.expect import check_connected, check_error
from ktlstest.system import MEMBER, SOCKET, STRANGER, System
from ktlstest.tap import check_between, check_equal, check_in, check_raises, check_true, main, test

TRUST = trusting("ca", name="server.test")
REQUEST_DONE = "77d73c79ec0a48549088cdb2f2030a47"
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


@test("before: the socket is there for its group, the service does not run, tls.ko is not loaded")
def before(_system):
    node = os.stat(SOCKET)
    check_equal(stat.filemode(node.st_mode), "srw-rw----", "the mode of the socket")
    check_equal((node.st_uid, node.st_gid), (0, grp.getgrnam("ktls").gr_gid),
                "its owner and group")
    check_equal(os.readlink(system.REGISTRY), SOCKET, "what the Varlink registry has")
    check_equal(system.unit("ktlsd.service"), "inactive", "the service")
    check_true(not system.module_loaded(), "tls.ko is not loaded")


@test("a stranger to the group gets EACCES, and starts nothing")
def stranger(_system):
    error = check_raises(OSError, system.caller, STRANGER)
    check_equal(error.errno, errno.EACCES, "errno of connect")
    check_equal(system.unit("ktlsd.service"), "inactive", "the service")


@test("a member's first request starts the service, has tls.ko loaded, and gets its socket")
def first(_system):
    with system.peer() as peer:
        with check_connected(system.ask(peer, trust=TRUST), verifiedBy="chain+name",
                             address=f"{peer.host}:{peer.port}") as sock:
            sock.sendall(b"ping")
            check_equal(sock.recv(4), b"ping", "the echo")
        # What the peer has received came out of its TLS library.
        conversation = peer.connection()
        conversation.wait_gone()
        check_equal(bytes(conversation.received), b"ping", "what the peer has decrypted")
    check_equal(system.unit("ktlsd.service"), "active", "the service")
    check_true(system.module_loaded(), "tls.ko is loaded")


@test("no process of the service has a capability, or can get one")
def capabilities(_system):
    pids = system.processes()
    check_in(system.main_pid(), pids, "the main process")
    for pid in pids:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file)
        check_equal({name: int(status[name], 16) for name in CAPABILITIES},
                    dict.fromkeys(CAPABILITIES, 0), f"capability sets of {pid}")
        check_equal(status["NoNewPrivs"], "1", f"NoNewPrivs of {pid}")
        check_equal(status["Seccomp"], "2", f"Seccomp of {pid}")
        check_true("0" not in status["Uid"].split("\t"), f"{pid} is not root's")


@test("what a member is told of the service and of the machine, confined as it is")
def told(_system):
    with system.caller() as caller, system.peer() as peer:
        status = caller.call("io.ktlsd.GetStatus").parameters
        done = [(one["method"], one["count"]) for one in status["outcomes"] if one["outcome"] == "ok"]
        check_equal((status["pid"], done), (system.main_pid(), [("Connect", 1)]), "the service, and what it has done")
        check_true(all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", time) for time in (
            status["since"], status["loaded"], *[worker["since"] for worker in status["workers"]])), f"times of {status}")
        can = caller.call("io.ktlsd.GetCapabilities").parameters
        check_equal((can["managed"], can["kernel"]["release"], can["kernel"]["tlsErrno"]), (True, os.uname().release, None),
                    "the machine")
        check_equal((can["caller"]["uid"], can["caller"]["allowed"]), (system.uid(MEMBER), True), "the caller")
        check_equal([policy["name"] for policy in can["policies"] if not policy["offloadable"]], [], "policies without a suite")
        store = can["stores"][0]
        check_between(store["valid"], 1, store["certificates"], f"certificates of {store}")
        with caller.call("io.ktlsd.Probe", {"host": peer.host, "port": peer.port, "trust": trusting("other-ca")}) as reply:
            check_error(reply, "CertificateRejected", "handshake", x509="UNABLE_TO_GET_ISSUER_CERT_LOCALLY")
            check_equal([one["subject"] for one in reply.parameters["trace"]["chain"]], ["CN=ktlsd test rsa"], "the chain")


@test("the record of a request has the caller's real uid")
def real_uid(_system):
    system.wait_journal(rf"\buid {system.uid(MEMBER)}\b.*\b{re.escape(system.PEER)}\b")
    # As a field, too, which no text of a caller's can pretend to be.
    found = system.journal(f"KTLSD_UID={system.uid(MEMBER)}", f"KTLSD_HOST={system.PEER}",
                           f"MESSAGE_ID={REQUEST_DONE}")
    check_true(found != "", "an entry with the uid as its field")


@test("systemd-analyze security: an exposure of 1.3 at most")
def exposure(_system):
    text = system.run("systemd-analyze", "--no-pager", "security", "ktlsd.service").stdout
    level = re.search(r"Overall exposure level for ktlsd.service: ([0-9.]+)", text)
    check_between(float(level[1]), 0.0, 1.3, "the exposure level")


@test("ktlsctl of a member: through the socket and back")
def ktlsctl(_system):
    ca = "/run/ca.pem"
    with open(ca, "w", encoding="ascii") as file:
        file.write(pki.ca_text("ca"))
    with system.peer() as peer:
        done = subprocess.run(
            ["ktlsctl", "connect", f"{peer.host}:{peer.port}", "--ca", ca, "--name", "server.test"],
            input=b"hello\n", stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
            timeout=20, user=MEMBER, group=MEMBER, extra_groups=["ktls"])
    check_equal((done.returncode, done.stdout, done.stderr), (0, b"hello\n", b""), "the outcome")


@test("the service is stopped: the socket remains, and the next request starts it again")
def restart(_system):
    node = os.stat(SOCKET).st_ino
    system.systemctl("stop", "ktlsd.service")
    check_equal((system.unit("ktlsd.socket"), os.stat(SOCKET).st_ino), ("active", node),
                "the socket")
    with system.peer() as peer:
        check_good(system.ask(peer, trust=TRUST))
    check_equal(system.unit("ktlsd.service"), "active", "the service")
    check_equal(os.stat(SOCKET).st_ino, node, "the socket")


if __name__ == "__main__":
    main(globals(), System)
