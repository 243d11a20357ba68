#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Requests of which a worker dies (tests/lib/crash.c): who made them is told, others have their
sockets, the service goes on, and no core is left."""

import os
import subprocess

from ktlstest import system, wire
from ktlstest.asking import trusting
from ktlstest.daemon import TOP
from ktlstest.system import SOCKET, System
from ktlstest.tap import check_between, check_equal, check_true, main, test, wait_until
from ktlstest.turmoil import AGAIN, DEADLINE, LATE, LOST

CRASHES = 60
WORKER_LOST = "d78f18c803ec4b6291a8c096685c295b"
CONFIG = ("[Service]\nWorkers=4\n"
          "[Limits]\nUserRequestsPerSec=100000\nUserRequestsBurst=100000\n")
SHIPPED, PROGRAM = (os.path.join(TOP, "build", name) for name in ("ktlsd", "ktlsd-crash"))
HOST = "crash.test"
FIRST_UID = 3000
CORE = "/run/core"


@test("what is shipped knows nothing of such requests")
def as_shipped(_system):
    for path, known in ((SHIPPED, False), (PROGRAM, True)):
        with open(path, "rb") as file:
            check_equal(HOST.encode() in file.read(), known, f"the host in {path}")


def crash(uid):
    """The reply to such a request of this user, a member of the group."""
    os.setgroups([system.gid("ktls")])
    os.seteuid(uid)
    try:
        caller = wire.Caller(SOCKET, DEADLINE)
    finally:
        os.seteuid(0)
        os.setgroups([])
    with caller:
        return caller.connect(HOST, 443)


@test(f"{CRASHES} of them: each caller is told, and others have their sockets meanwhile",
      deadline=240)
def crashes(_system):
    with open("/proc/sys/kernel/core_pattern", "w", encoding="ascii") as file:
        file.write(f"|/usr/bin/tee {CORE}")
    with system.storm(trust=trusting("ca", name="server.test")) as storm:
        pid = system.main_pid()
        for number in range(CRASHES):
            # One each: who has made a worker crash may have to wait for his next request.
            with crash(FIRST_UID + number) as reply:
                check_equal((reply.error, reply.parameters["retry"]),
                            ("io.ktlsd.InternalError", True), f"error and retry of {reply}")
            storm.wait_socket()
        outcomes = storm.check_end(LOST, AGAIN, LATE)
    check_between(outcomes["socket"], CRASHES, 1 << 30, "the others' sockets")
    check_equal((system.unit("ktlsd.socket"), system.main_pid(),
                 system.unit("ktlsd.service", "NRestarts")), ("active", pid, "0"),
                "socket, main process and restarts")
    wait_until(lambda: system.count_journal(WORKER_LOST) >= CRASHES, 10, "as many entries", 0.1)


@test("no core is left of them, as it would be of another process")
def no_core(_system):
    check_equal(os.path.exists(CORE), False, "whether there is a core")
    subprocess.run(["sh", "-c", "kill -SEGV $$"], check=False)
    wait_until(lambda: os.path.exists(CORE), 10, "another one's core")


if __name__ == "__main__":
    main(globals(), lambda: System(CONFIG, PROGRAM))
