#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Under systemd: nothing of a connection's secrets stays in a process of the service, is in the
journal, or gets into a core."""

import contextlib
import os
import signal

from ktlstest import secrets, system
from ktlstest.asking import check_good, trusting
from ktlstest.expect import check_connected, check_error
from ktlstest.peer import Plan
from ktlstest.system import System
from ktlstest.tap import (check_between, check_equal, check_in, check_true, main, test,
                          wait_until)

TRUST = trusting("ca", name="server.test")
SOCKETS = 20
CORES = "/run/cores"


class Guarded(System):
    """The service, and all the secrets of its connections."""

    def __init__(self):
        super().__init__()
        self.secrets = secrets.Secrets()

    def peer(self, *words):
        return self.secrets.peer(plan=Plan(*words), make=system.peer)

    @contextlib.contextmanager
    def in_the_middle(self):
        """A handshake in which both sides have their keys; and the processes that have them."""
        with self.peer("before-finished", "stall") as peer, system.caller() as caller:
            caller.start("io.ktlsd.Connect", {"host": peer.host, "port": peer.port, "trust": TRUST})
            check_true(peer.connection().stepped.wait(20), "ktlsd has said its last word")
            check_equal(self.secrets.learn(peer), 1, "connections with a master secret")
            yield caller, {hit.pid for hit in self.secrets.find(system.processes())}

    def close(self):
        self.secrets.close()
        super().close()


@test(f"{SOCKETS} sockets: 200 ms later nothing of their keys is left in any process")
def handed_over(service):
    with service.peer() as peer:
        for _ in range(SOCKETS):
            with check_connected(system.ask(peer, trust=TRUST)) as sock:
                service.secrets.add_socket(sock, peer)
    service.secrets.wait()
    check_equal(service.secrets.find(system.processes()), [], "places of secrets")


@test("in the middle of a handshake one process has them, and a crash of it leaves no core")
def crashed(service):
    """systemd-coredump would take it through a pipe."""
    os.makedirs(CORES, exist_ok=True)
    system.run("sysctl", "-w", f"kernel.core_pattern=|/usr/bin/tee {CORES}/core.%p")
    with service.in_the_middle() as (caller, holders):
        check_equal(len(holders), 1, "processes that have them")
        check_true(system.main_pid() not in holders, "the supervisor has nothing")
        os.kill(holders.pop(), signal.SIGSEGV)
        with caller.receive() as reply:
            check_error(reply, "InternalError")
    check_equal(os.listdir(CORES), [], "cores")
    system.run("sh", "-c", "ulimit -c unlimited; sh -c 'kill -SEGV $$'", check=False)
    wait_until(lambda: os.listdir(CORES), 5, "a core of somebody else's")
    with service.peer() as peer:
        check_good(system.ask(peer, trust=TRUST))


@test("the journal has nothing of them, whoever wrote into it, and what is planted is found in it")
def journal(service):
    def export():
        system.run("journalctl", "--sync")
        return system.run("journalctl", "--boot", "--output=export").stdout.encode()
    text = export()
    check_between(text.count(b"KTLSD_OUTCOME=ok"), SOCKETS, 1000, "records of requests")
    service.secrets.check_text(text, "the journal")
    secret, name = next(iter(service.secrets.known.items()))
    system.run("logger", f"the key is {secret.hex()}")
    check_in(name, service.secrets.find_text(export()), "what is found after that")


if __name__ == "__main__":
    secrets.preload()
    main(globals(), Guarded)
