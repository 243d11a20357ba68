#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The service is restarted under load: a socket for everybody, or a word to come again."""

import os

from ktlstest import system
from ktlstest.asking import trusting
from ktlstest.system import SOCKET, System
from ktlstest.tap import check_equal, main, test, wait_until
from ktlstest.turmoil import AGAIN, LATE

RESTARTS = 20
STARTED = "60fc56fb5a1c433d9a5759346921b348"
LIMITS = "[Limits]\nUserRequestsPerSec=100000\nUserRequestsBurst=100000\n"


@test(f"{RESTARTS} restarts under load: a socket for everybody, or a word to come again",
      deadline=360)
def restarts(_system):
    with system.storm(trust=trusting("ca", name="server.test")) as storm:
        node = os.stat(SOCKET).st_ino
        for _ in range(RESTARTS):
            system.systemctl("restart", "ktlsd.service")
            storm.wait_socket()
        storm.check_end(AGAIN, LATE)
    wait_until(lambda: system.count_journal(STARTED) == RESTARTS + 1, 10, "so many starts", 0.1)
    check_equal(os.stat(SOCKET).st_ino, node, "the socket")


if __name__ == "__main__":
    main(globals(), lambda: System(LIMITS))
