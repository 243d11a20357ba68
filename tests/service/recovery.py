#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The kernel loses TLS while the service runs: an error that says to try again, and then all is
well. ktlsd has no privilege to load the module; it ends, and systemd, which starts it again, does."""

import os

from ktlstest import system
from ktlstest.asking import check_good, trusting
from ktlstest.expect import check_error
from ktlstest.system import MEMBER, SOCKET, System
from ktlstest.tap import check_equal, check_not_equal, check_true, main, test

TRUST = trusting("ca", name="server.test")


@test("tls.ko is removed, time {time}: an error with retry, and the next request is served", cases=[
    {"time": time} for time in (1, 2)])
def lost(_system, time):
    del time
    with system.peer() as peer:
        check_good(system.ask(peer, trust=TRUST))
        pid, node = system.main_pid(), os.stat(SOCKET).st_ino
        # In use until the last socket under it is gone, and that takes the kernel a moment.
        system.wait_unload("tls")
        reply = system.ask(peer, trust=TRUST)
        check_error(reply, "KernelTlsUnavailable", "install", errno="ENOENT")
        check_equal(reply.parameters["retry"], True, f"retry in {reply}")
        check_good(system.ask(peer, trust=TRUST))
    check_true(system.module_loaded(), "tls.ko is loaded again")
    check_not_equal(system.main_pid(), pid, "the main process")
    check_equal(os.stat(SOCKET).st_ino, node, "the socket")
    system.wait_journal(rf"\buid {system.uid(MEMBER)}\b.*KernelTlsUnavailable")


@test("who is connected when it ends sees the end, and who comes then is served by the next one")
def connected(_system):
    with system.peer() as peer, system.caller() as idle:
        check_good(system.ask(peer, trust=TRUST))
        system.wait_unload("tls")
        with system.ask(peer, trust=TRUST) as reply:
            check_equal(reply.parameters.get("retry"), True, f"retry in {reply}")
        idle.wait_closed()
        for _ in range(5):
            check_good(system.ask(peer, trust=TRUST))


if __name__ == "__main__":
    main(globals(), System)
