#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two workers share the requests evenly, and a handshake costs no more processor time with two than
with one. Measured by Probe, on any kernel.

Both ktlsds run side by side and are asked by turns, a batch each, so that what else the machine
does concerns both alike; what counts are medians of many batches.
"""

import os
import random
import select
import statistics
import time

from ktlstest import light, users, wire
from ktlstest.asking import trusting
from ktlstest.daemon import Daemon
from ktlstest.tap import check_between, check_equal, main, note, test

BATCH = int(os.environ.get("KTLSTEST_BATCH", "200"))  # handshakes
BATCHES = int(os.environ.get("KTLSTEST_BATCHES", "15"))  # of each
MOST = 1.1  # times what it costs with one worker
CONFIG = "[Service]\nWorkers={}\n[Limits]\nUserRequestsPerSec=1000000\nUserRequestsBurst=1000000\n"


def ask(path, parameters, count, at_a_time):
    """So many probes, each on a connection of its own; the error of each."""
    poll, callers, errors = select.poll(), {}, []
    for _ in range(count + at_a_time):
        if len(errors) + len(callers) < count:
            caller = wire.Caller(path)
            caller.start("io.ktlsd.Probe", parameters)
            callers[caller.sock.fileno()] = caller
            poll.register(caller.sock, select.POLLIN)
        while callers and (len(callers) >= at_a_time or len(errors) + len(callers) >= count):
            for fd, _ in poll.poll():
                poll.unregister(fd)
                with callers.pop(fd) as caller, caller.receive() as reply:
                    errors.append(reply.error)
    return errors


def processor_time(pid):
    """Nanoseconds: the clock that clock_getcpuclockid(3) makes of a process."""
    return time.clock_gettime_ns(~pid << 3 | 2)


class Batches:
    """Of one ktlsd: what each batch cost, a handshake, and what each of its workers had of it."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.workers = sorted(daemon.resolvers("ktlsd-worker"))
        self.costs, self.shares = [], dict.fromkeys(self.workers, 0)

    def run(self, parameters, at_a_time):
        before = {pid: processor_time(pid) for pid in self.daemon.pids()}
        errors = ask(self.daemon.socket_path, parameters, BATCH, at_a_time)
        cost = {pid: processor_time(pid) - since for pid, since in before.items()}
        check_equal(set(errors), {None}, "the errors of probes")
        self.costs.append(sum(cost.values()) / BATCH / 1000)
        for pid in self.workers:
            self.shares[pid] += cost[pid]

    def tell(self):
        costs = sorted(self.costs)
        note(f"{len(self.workers)} workers: {statistics.median(costs):.1f} us a handshake, "
             f"from {costs[0]:.1f} to {costs[-1]:.1f}; "
             f"shares {[f'{self.share(pid):.3f}' for pid in self.workers]}")

    def share(self, pid):
        return self.shares[pid] / sum(self.shares.values())


@test("two workers, {at_a_time} at a time: an even part for each, at no higher cost",
      cases=[{"at_a_time": 1}, {"at_a_time": 8}], deadline=300)
def workers(at_a_time):
    with users.Process(light.behave, ["p256"]) as server, \
            Daemon(CONFIG.format(1)) as one, Daemon(CONFIG.format(2)) as two:
        parameters = {"host": "127.0.0.1", "port": server.read()["p256"], "trust": trusting("ec-ca")}
        batches = Batches(one), Batches(two)
        check_equal([len(each.workers) for each in batches], [1, 2], "workers")
        for each in batches:
            ask(each.daemon.socket_path, parameters, BATCH, at_a_time)
        for _ in range(BATCHES):
            for each in random.sample(batches, 2):
                each.run(parameters, at_a_time)
    for each in batches:
        each.tell()
    ratio = statistics.median(two / one for one, two in zip(*(each.costs for each in batches)))
    note(f"{ratio:.3f} times the processor time of one worker")
    for pid in batches[1].workers:
        check_between(batches[1].share(pid), 0.4, 0.6, "the part of a worker")
    check_between(ratio, 0, MOST, "times the processor time of one worker")


if __name__ == "__main__":
    main(globals())
