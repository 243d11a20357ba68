#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Workers are killed under load, without a service manager: every caller has a socket or an error,
and what was handed over before carries on."""

import contextlib
import os
import signal

from ktlstest.asking import trusting
from ktlstest.daemon import Daemon
from ktlstest.peer import Peer
from ktlstest.tap import check_true, main, note, test, wait_until
from ktlstest.turmoil import AGAIN, DEADLINE, LATE, LOST, Turmoil

KILLS = 10
CONFIG = "[Limits]\nUserRequestsPerSec=100000\nUserRequestsBurst=100000\n"


def kill_worker(daemon):
    pid = wait_until(lambda: daemon.resolvers("ktlsd-worker"), DEADLINE, "a worker")[0]
    os.kill(pid, signal.SIGKILL)


@test(f"{KILLS} workers are killed under load: no caller is left without an answer", deadline=240)
def killed(daemon):
    with contextlib.ExitStack() as stack:
        turmoil = Turmoil(stack, daemon.socket_path, Peer, lambda: None,
                          trust=trusting("ca", name="server.test"))
        note(f"{turmoil.rate:.1f} sockets a second; from here on half of it")
        for _ in range(KILLS):
            kill_worker(daemon)
            turmoil.wait_socket()
        outcomes = turmoil.check_end(LOST, AGAIN, LATE)
    check_true(LOST in outcomes, "requests were lost, and their callers were told")


if __name__ == "__main__":
    main(globals(), lambda: Daemon(CONFIG))
