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
from ktlstest.asking import check_good, trusting
from ktlstest.expect import check_connected, check_error
from ktlstest.peer import Plan
from ktlstest.system import SOCKET, System
from ktlstest.tap import check_equal, check_not_equal, main, test, wait_until
from ktlstest.turmoil import AGAIN, DEADLINE, LATE
from ktlstest.users import Process

TRUST = trusting("ca", name="server.test")
WATCHDOG = 10.0  # seconds: WatchdogSec= of the unit
WATCHED = 3 * WATCHDOG
STOP = 4.0
CONFIG = f"[Limits]\nStopTimeoutSec={STOP:g}\n"


def restarts():
    return int(system.unit("ktlsd.service", "NRestarts"))


def check_good_one():
    with system.peer() as peer:
        check_good(system.ask(peer, timeoutMs=int(DEADLINE * 1000), trust=TRUST))


def start(caller, host, port):
    caller.start(turmoil.CONNECT, {"host": host, "port": port, "trust": TRUST,
                                   "timeoutMs": int(DEADLINE * 1000)})


@test("idle, and then under load, for longer than the watchdog waits: it is the same process",
      deadline=180)
def lives_on(_system):
    check_good_one()
    pid = system.main_pid()
    time.sleep(WATCHED)  # the time itself is what this is about
    check_equal((system.main_pid(), restarts()), (pid, 0), "main process and restarts, idle")
    with system.storm(trust=TRUST) as storm:
        time.sleep(WATCHDOG * 1.5)
        storm.check_end(AGAIN, LATE)
    check_equal((system.main_pid(), restarts()), (pid, 0), "main process and restarts, busy")


@test("a worker that hangs is replaced, and whose request it had is told", deadline=90)
def worker_hangs(_system):
    pid, hung = system.main_pid(), system.workers()[0]
    with system.peer(plan=Plan("accept", "stall")) as peer, system.caller() as caller:
        start(caller, peer.host, peer.port)
        peer.connection(0, DEADLINE)
        os.kill(hung, signal.SIGSTOP)
        with caller.receive() as reply:
            check_equal((reply.error, reply.parameters["retry"]),
                        ("io.ktlsd.InternalError", True), f"error and retry of {reply}")
    check_good_one()
    check_equal(hung in system.workers(), False, "whether it is still there")
    check_equal((system.main_pid(), restarts()), (pid, 0), "main process and restarts")


@test("a main process that hangs is replaced by systemd, and who has waited is served", deadline=120)
def main_hangs(_system):
    pid, node = system.main_pid(), os.stat(SOCKET).st_ino
    os.kill(pid, signal.SIGSTOP)
    check_good_one()
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


@contextlib.contextmanager
def under_way():
    """(a caller, whose request has come as far as a server that stands still; the server)"""
    with Process(turmoil.serve, system.peer) as server, system.caller() as caller:
        host, port = server.read()
        check_connected(caller.connect(host, port, trust=TRUST)).close()
        os.kill(server.pid, signal.SIGSTOP)
        start(caller, host, port)
        # TCP connects with a server that does not run.
        wait_until(lambda: system.connected_to(port), DEADLINE, "the connection")
        yield caller, server


@test("{verb}: a request under way gets its socket first", deadline=90, cases=[
    {"verb": "stop"}, {"verb": "restart"}])
def lets_end(_system, verb):
    check_good_one()
    with under_way() as (caller, server):
        stopping = Stopping(verb)
        wait_until(lambda: system.unit("ktlsd.service") == "deactivating", DEADLINE, "the stop")
        os.kill(server.pid, signal.SIGCONT)
        with check_connected(caller.receive()) as sock:
            turmoil.exchange(sock, 1, 1)
            stopping.join()
            turmoil.exchange(sock, 1, 2)
    check_good_one()


@test("one that is not done within StopTimeoutSec= is told to come again", deadline=90)
def ends_late(_system):
    check_good_one()
    with under_way() as (caller, _server):
        stopping = Stopping("stop")
        with caller.receive() as reply:
            check_error(reply, "Busy", "handshake")
        stopping.join()
    check_good_one()


if __name__ == "__main__":
    main(globals(), lambda: System(CONFIG))
