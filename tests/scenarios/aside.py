#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Once a socket is handed over, ktlsd has nothing to do with it any more: neither a descriptor, nor
a watch, nor a wake-up for what goes over it."""

import contextlib
import os
import signal

from ktlstest import ktls
from ktlstest.asking import ask, check_descriptors, settle, trusting
from ktlstest.daemon import Daemon
from ktlstest.expect import check_connected
from ktlstest.peer import Peer
from ktlstest.tap import check_equal, main, test, wait_until

ROUNDS = 200


def read_status(pid, key):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(line.split()[1] for line in file if line.startswith(f"{key}:"))


def wakes(daemon):
    """How often each of the workers has waited for something and was woken."""
    return {pid: int(read_status(pid, "voluntary_ctxt_switches")) for pid in daemon.workers()}


@contextlib.contextmanager
def unasked(daemon):
    """The supervisor, which has every worker say once a second that it is well, does not."""
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: read_status(daemon.pid, "State") == "T", 5, "the supervisor to stop")
        # Who sleeps then has answered all that he was asked.
        for pid in daemon.workers():
            wait_until(lambda pid=pid: read_status(pid, "State") == "S", 5, "a worker to sleep")
        yield
    finally:
        os.kill(daemon.pid, signal.SIGCONT)


def watched(pid):
    """The descriptors in a process's epoll sets."""
    found = set()
    directory = f"/proc/{pid}/fdinfo"
    for name in os.listdir(directory):
        with open(os.path.join(directory, name), encoding="ascii") as file:
            found |= {int(line.split()[1]) for line in file if line.startswith("tfd:")}
    return found


def opened(pid):
    """What a process has open, by descriptor."""
    found, directory = {}, f"/proc/{pid}/fd"
    for name in os.listdir(directory):
        with contextlib.suppress(FileNotFoundError):  # what the listing itself had open
            found[int(name)] = os.readlink(os.path.join(directory, name))
    return found


def check_let_go(daemon, socks):
    """By all processes of it."""
    handed_over = {f"socket:[{os.fstat(sock.fileno()).st_ino}]" for sock in socks}
    check_equal(handed_over - set(opened(os.getpid()).values()), set(), "what is not seen where it is")
    for pid in daemon.pids():
        table = opened(pid)
        check_equal(handed_over & set(table.values()), set(), f"sockets that {pid} still has")
        check_equal(watched(pid) - set(table), set(), f"watches of {pid} on what is not there")


@test("nothing that goes over a socket wakes ktlsd, {n} sockets", cases=[{"n": 1}, {"n": 20}])
def asleep(daemon, n):
    with Peer() as peer:
        socks = [check_connected(ask(daemon, peer, trust=trusting("ca"))) for _ in range(n)]
        check_descriptors(daemon)
        check_let_go(daemon, socks)
        with unasked(daemon):
            before = wakes(daemon)
            for _ in range(ROUNDS // n):
                for sock in socks:
                    sock.sendall(b"ping")
                    check_equal(ktls.recv_exactly(sock, 4), b"ping", "the echo")
            check_equal(wakes(daemon), before, "wake-ups of workers")
            for sock in socks:
                sock.close()
            check_equal(wakes(daemon), before, "wake-ups of workers after the end")


if __name__ == "__main__":
    main(globals(), lambda: settle(Daemon()))
