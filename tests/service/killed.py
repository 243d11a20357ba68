#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Workers are killed under load: every caller has a socket or an error, and what was handed over
before carries on."""

import contextlib
import os
import signal

from ktlstest import system, turmoil
from ktlstest.asking import trusting
from ktlstest.expect import check_error
from ktlstest.peer import Plan
from ktlstest.system import System
from ktlstest.tap import check_equal, check_true, main, test, wait_until
from ktlstest.turmoil import AGAIN, DEADLINE, LATE, LOST

TRUST = trusting("ca", name="server.test")
KILLS, HELD = 10, 220
WORKER_LOST = "d78f18c803ec4b6291a8c096685c295b"
RELOAD_DONE = "8d537c179d154dc6a2da196ad5ffaa4e"
FEW = 4
# The load is to come up against what the service can do, and not against what a user may do.
LIMITS = "[Limits]\nUserRequestsPerSec=100000\nUserRequestsBurst=100000\nUserRequests={}\n"


def kill_worker():
    pid = wait_until(system.workers, DEADLINE, "a worker")[0]
    os.kill(pid, signal.SIGKILL)


@test(f"{KILLS} workers are killed under load: no caller is left without an answer", deadline=240)
def killed(_system):
    with system.storm(held=HELD, trust=TRUST) as storm:
        pid = system.main_pid()
        for _ in range(KILLS):
            kill_worker()
            storm.wait_socket()
        outcomes = storm.check_end(LOST, AGAIN, LATE)
    check_true(LOST in outcomes, "requests were lost, and their callers were told")
    check_equal((system.main_pid(), system.unit("ktlsd.service", "NRestarts")), (pid, "0"),
                "main process and restarts")
    wait_until(lambda: system.count_journal(WORKER_LOST) >= KILLS, 10, "as many entries", 0.1)


@test(f"what the lost workers had charged is given back: {FEW} requests are none too many, if "
      f"{FEW} may be under way", deadline=60)
def given_back(_system):
    system.configure(LIMITS.format(FEW))
    system.systemctl("reload", "ktlsd.service")
    wait_until(lambda: system.count_journal(RELOAD_DONE), 10, "the end of the reload", 0.1)
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(system.peer(plan=Plan("accept", "stall")))
        for number in range(FEW):
            caller = stack.enter_context(system.caller())
            caller.start(turmoil.CONNECT, {"host": peer.host, "port": peer.port, "trust": TRUST})
            peer.connection(number, DEADLINE)
        with system.ask(peer, trust=TRUST) as reply:
            check_error(reply, "Busy", "policy")


if __name__ == "__main__":
    main(globals(), lambda: System(LIMITS.format(128)))
