#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""systemctl reload: a good configuration counts from then on, a bad one is refused whole; the
service runs on either way."""

import os

from ktlstest import system
from ktlstest.asking import check_echo, check_good, trusting
from ktlstest.expect import check_connected
from ktlstest.system import DROP_IN, System
from ktlstest.tap import check_equal, check_not_equal, main, test, wait_until

TRUST = trusting("ca", name="server.test")
# Policies of one name that a session tells apart.
POLICY = "[Policy narrow]\nGroups={}\n"
NAMES = {"P-256": "secp256r1", "P-384": "secp384r1", "P-521": "secp521r1"}
BAD = "[Service]\nNoDelay=yes\n[Limits]\nConnections=none\nNoSuchKey=1\n"


def group_of(peer):
    reply = system.ask(peer, trust=TRUST, policy={"name": "narrow"})
    with check_connected(reply):
        return reply.parameters["session"]["group"]


def check_policy(peer, group):
    """Before version 253 systemctl reload may return a little before ktlsd has said it reloads."""
    wait_until(lambda: group_of(peer) == NAMES[group], 5, f"the policy with {group}")


def reload(**more):
    return system.systemctl("reload", "ktlsd.service", **more).returncode


def check_same(pid):
    check_equal((system.main_pid(), system.unit("ktlsd.service")), (pid, "active"),
                "main process and state")


@test("a good file: the same process, and the new settings")
def good(_system):
    with system.peer() as peer:
        check_policy(peer, "P-256")
        pid = system.main_pid()
        system.configure(POLICY.format("P-384"))
        check_equal(reload(), 0, "the exit status of systemctl reload")
        check_policy(peer, "P-384")
    check_same(pid)


@test("what was handed over before a reload carries on after it")
def across(_system):
    pid = system.main_pid()
    with system.peer() as peer:
        with check_connected(system.ask(peer, trust=TRUST)) as sock:
            reload()
            check_echo(sock)
    check_same(pid)


@test("a bad file fails the reload, the journal has file, line and key, and all goes on as it was")
def bad(_system):
    pid = system.main_pid()
    system.configure(BAD)
    check_not_equal(reload(check=False), 0, "the exit status of systemctl reload")
    system.wait_journal(rf"^{DROP_IN}:4: Connections: ")
    system.wait_journal(rf"^{DROP_IN}:5: NoSuchKey: ")
    check_same(pid)
    with system.peer() as peer:
        check_policy(peer, "P-384")


@test("mended, it can be reloaded again")
def mended(_system):
    pid = system.main_pid()
    system.configure(POLICY.format("P-521"))
    check_equal(reload(), 0, "the exit status of systemctl reload")
    with system.peer() as peer:
        check_policy(peer, "P-521")
    check_same(pid)


@test("a service that does not run cannot be reloaded, and its socket goes on to wait")
def stopped(_system):
    system.systemctl("stop", "ktlsd.service")
    check_not_equal(reload(check=False), 0, "the exit status of systemctl reload")
    check_equal(system.unit("ktlsd.socket"), "active", "the socket")
    os.unlink(DROP_IN)
    with system.peer() as peer:
        check_good(system.ask(peer, trust=TRUST))


if __name__ == "__main__":
    main(globals(), lambda: System(POLICY.format("P-256")))
