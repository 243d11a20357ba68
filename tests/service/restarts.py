#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The service is restarted under load: a socket for everybody, or a word to come again."""

import os

from ktlstest import system
from ktlstest.asking import trusting
from ktlstest.system import SOCKET, System
from ktlstest.tap import check_equal, main, test
from ktlstest.turmoil import AGAIN

RESTARTS = 20
LIMITS = "[Limits]\nUserRequestsPerSec=100000\nUserRequestsBurst=100000\n"


@test(f"{RESTARTS} restarts under load: a socket for everybody, or a word to come again",
      deadline=360)
def restarts(_system):
    with system.storm(trust=trusting("ca", name="server.test")) as storm:
        node, pids = os.stat(SOCKET).st_ino, {system.main_pid()}
        for _ in range(RESTARTS):
            system.systemctl("restart", "ktlsd.service")
            storm.wait_socket()
            pids.add(system.main_pid())
        storm.check_end(AGAIN)
    check_equal(len(pids), RESTARTS + 1, "main processes")
    check_equal(os.stat(SOCKET).st_ino, node, "the socket")


if __name__ == "__main__":
    main(globals(), lambda: System(LIMITS))
