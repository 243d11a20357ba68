#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The service as systemd watches and ends it: it lives on, idle and under load; what hangs is
replaced; and when it is stopped, what is under way ends first."""

import contextlib
import os
import signal
import threading
import time

from ktlstest import system, turmoil
from ktlstest.asking import trusting
from ktlstest.expect import check_connected, check_error
from ktlstest.system import SOCKET, System
from ktlstest.tap import check_equal, check_not_equal, main, test, wait_until
from ktlstest.turmoil import AGAIN, DEADLINE, LATE
from ktlstest.users import Process

TRUST = trusting("ca", name="server.test")
WATCHDOG = 10.0  # seconds: WatchdogSec= of the unit
WATCHED = 3 * WATCHDOG
STOP = 8.0
CONFIG = f"[Limits]\nStopTimeoutSec={STOP:g}\nHandshakeTimeoutSec=60\n"


class Watched(System):
    """With a server in a process of its own, which can stand still."""

    def __init__(self):
        super().__init__(CONFIG)
        self.server = Process(turmoil.serve, system.peer)
        self.host, self.port = self.server.read()

    def close(self):
        self.server.close()
        super().close()

    def start(self, caller):
        caller.start(turmoil.CONNECT, {"host": self.host, "port": self.port, "trust": TRUST,
                                       "timeoutMs": int(DEADLINE * 1000)})

    def check_serves(self):
        with system.caller() as caller:
            self.start(caller)
            with check_connected(caller.receive()) as sock:
                turmoil.exchange(sock, 0, 0)

    @contextlib.contextmanager
    def standing_still(self):
        """(a caller whose request has come as far as the server, what has it go on)"""
        with system.caller() as caller:
            os.kill(self.server.pid, signal.SIGSTOP)
            try:
                self.start(caller)
                # TCP connects with a server that does not run.
                wait_until(lambda: system.connected_to(self.port), DEADLINE, "the connection")
                yield caller, lambda: os.kill(self.server.pid, signal.SIGCONT)
            finally:
                os.kill(self.server.pid, signal.SIGCONT)


def restarts():
    return int(system.unit("ktlsd.service", "NRestarts"))


@test("idle, and then under load, for longer than the watchdog waits: it is the same process",
      deadline=180)
def lives_on(watched):
    watched.check_serves()
    pid = system.main_pid()
    time.sleep(WATCHED)  # the time itself is what this is about
    check_equal((system.main_pid(), restarts()), (pid, 0), "main process and restarts, idle")
    with system.storm(trust=TRUST) as storm:
        time.sleep(WATCHDOG * 1.5)
        storm.check_end(AGAIN, LATE)
    check_equal((system.main_pid(), restarts()), (pid, 0), "main process and restarts, busy")


@test("a worker that hangs is replaced, and whose request it had is told", deadline=90)
def worker_hangs(watched):
    watched.check_serves()
    pid, hung = system.main_pid(), system.workers()[0]
    with watched.standing_still() as (caller, _go_on):
        os.kill(hung, signal.SIGSTOP)
        with caller.receive() as reply:
            check_equal((reply.error, reply.parameters["retry"]),
                        ("io.ktlsd.InternalError", True), f"error and retry of {reply}")
    watched.check_serves()
    check_equal(hung in system.workers(), False, "whether it is still there")
    check_equal((system.main_pid(), restarts()), (pid, 0), "main process and restarts")


@test("a main process that hangs is replaced by systemd, and who has waited is served",
      deadline=120)
def main_hangs(watched):
    watched.check_serves()
    pid, node = system.main_pid(), os.stat(SOCKET).st_ino
    os.kill(pid, signal.SIGSTOP)
    watched.check_serves()
    check_not_equal(system.main_pid(), pid, "the main process")
    check_equal((restarts(), os.stat(SOCKET).st_ino), (1, node), "restarts, and the socket")


class Stopping(threading.Thread):
    """systemctl, while the test goes on."""

    def __init__(self, verb):
        super().__init__(name=f"systemctl {verb}")
        self.verb = verb
        self.start()

    def run(self):
        system.systemctl(self.verb, "ktlsd.service")


@test("{verb}: a request under way gets its socket first", deadline=90, cases=[
    {"verb": "stop"}, {"verb": "restart"}])
def lets_end(watched, verb):
    watched.check_serves()
    with watched.standing_still() as (caller, go_on):
        stopping = Stopping(verb)
        wait_until(lambda: system.unit("ktlsd.service") == "deactivating", DEADLINE, "the stop")
        go_on()
        with check_connected(caller.receive()) as sock:
            turmoil.exchange(sock, 1, 1)
            stopping.join()
            turmoil.exchange(sock, 1, 2)
    watched.check_serves()


@test("one that is not done within StopTimeoutSec= is told to come again", deadline=90)
def ends_late(watched):
    watched.check_serves()
    with watched.standing_still() as (caller, _go_on):
        stopping = Stopping("stop")
        with caller.receive() as reply:
            check_error(reply, "Busy", "handshake")
        stopping.join()
    watched.check_serves()


if __name__ == "__main__":
    main(globals(), Watched)
