#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Once a socket is handed over, ktlsd has nothing to do with it any more: neither a descriptor, nor
a watch, nor a wake-up for what goes over it."""

import os

from ktlstest import ktls
from ktlstest.asking import ask, check_descriptors, settle, trusting
from ktlstest.daemon import Daemon
from ktlstest.expect import check_connected
from ktlstest.peer import Peer
from ktlstest.tap import check_equal, main, test

ROUNDS = 200


def wakes(daemon):
    """How often ktlsd has waited for something and was woken."""
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file
                    if line.startswith("voluntary_ctxt_switches:"))


def watched(daemon):
    """The descriptors in ktlsd's epoll sets."""
    found = set()
    directory = f"/proc/{daemon.pid}/fdinfo"
    for name in os.listdir(directory):
        with open(os.path.join(directory, name), encoding="ascii") as file:
            found |= {int(line.split()[1]) for line in file if line.startswith("tfd:")}
    return found


def opened(daemon):
    return {int(name) for name in os.listdir(f"/proc/{daemon.pid}/fd")}


@test("nothing that goes over a socket wakes ktlsd, {n} sockets", cases=[{"n": 1}, {"n": 20}])
def asleep(daemon, n):
    with Peer() as peer:
        socks = [check_connected(ask(daemon, peer, trust=trusting("ca"))) for _ in range(n)]
        check_descriptors(daemon)
        check_equal(watched(daemon) - opened(daemon), set(), "watches on what is not there")
        before = wakes(daemon)
        for _ in range(ROUNDS // n):
            for sock in socks:
                sock.sendall(b"ping")
                check_equal(ktls.recv_exactly(sock, 4), b"ping", "the echo")
        check_equal(wakes(daemon) - before, 0, "wake-ups of ktlsd")
        for sock in socks:
            sock.close()
        check_equal(wakes(daemon) - before, 0, "wake-ups of ktlsd after the end")


if __name__ == "__main__":
    main(globals(), lambda: settle(Daemon()))
