#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two workers share the requests evenly, and a handshake costs no more processor time with two than
with one. Measured by Probe, on any kernel.

Both ktlsds run side by side and are asked by turns, a batch each, so that what else the machine
does concerns both alike; what counts is the median of many pairs of batches. Each worker has as
much to do at a time in both: one that has more sleeps less often, which would be compared, too.
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
BATCHES = int(os.environ.get("KTLSTEST_BATCHES", "11"))  # of each
TRIES = 3
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

    def run(self, parameters, each):
        """With so many under way for each worker."""
        before = {pid: processor_time(pid) for pid in self.daemon.pids()}
        errors = ask(self.daemon.socket_path, parameters, BATCH, each * len(self.workers))
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


def compare(one, two, parameters, each):
    """How many times what a handshake costs with one worker it does with two."""
    batches = Batches(one), Batches(two)
    check_equal([len(both.workers) for both in batches], [1, 2], "workers")
    for both in batches:
        both.run(parameters, each)  # to warm up
        both.costs.clear()
    for _ in range(BATCHES):
        for both in random.sample(batches, 2):
            both.run(parameters, each)
    for both in batches:
        both.tell()
    for pid in two.resolvers("ktlsd-worker"):
        check_between(batches[1].share(pid), 0.4, 0.6, "the part of a worker")
    ratio = statistics.median(two / one for one, two in zip(*(both.costs for both in batches)))
    note(f"{ratio:.3f} times the processor time of one worker")
    return ratio


@test("two workers, each with {each} at a time: an even part for each, at no higher cost",
      cases=[{"each": 1}, {"each": 8}], deadline=400)
def workers(each):
    with users.Process(light.behave, ["p256"]) as server, \
            Daemon(CONFIG.format(1)) as one, Daemon(CONFIG.format(2)) as two:
        parameters = {"host": "127.0.0.1", "port": server.read()["p256"],
                      "trust": trusting("ec-ca")}
        tries = []
        # What else the machine does may come at the wrong time, though hardly every time.
        while not tries or len(tries) < TRIES and min(tries) > MOST:
            tries.append(compare(one, two, parameters, each))
        check_between(min(tries), 0, MOST, "times the processor time of one worker")


if __name__ == "__main__":
    main(globals())
