#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Memory runs out at any allocation: who asks gets a reply or a clean end, it costs a worker at
most, and the next one is served as ever.

KTLSTEST_LONG=1: really at any.
"""

import collections
import contextlib
import os
import re
import signal
import time

from ktlstest import door, names, pki, starve
from ktlstest.asking import PATIENCE, SLOWNESS, check_descriptors, check_good, settle, trusting
from ktlstest.daemon import Daemon
from ktlstest.expect import check_probed
from ktlstest.peer import Peer
from ktlstest.tap import (CheckFailed, check_equal, check_in, check_true, main, note, test,
                          wait_until)
from ktlstest.wire import Closed, WireError

ALL = os.environ.get("KTLSTEST_LONG") == "1"
DEADLINE = 4 * SLOWNESS     # seconds, of a request that is in trouble
NOBODYS = ("X509_V_ERR_OUT_OF_MEM", "X509_V_ERR_STORE_LOOKUP")  # faults of no certificate
CONFIG = "[Service]\nWorkers=1\n[Limits]\nUserPenaltySec=0\nUserRequests=2\nUserUndelivered=2\n" \
         "UserRequestsPerSec=100000\nUserRequestsBurst=100000\n"


class House:
    """A daemon whose memory is in our hands, and what callers want of it."""

    def __init__(self):
        names.configure({"server.test": ["127.0.0.1"]})
        # A reload reads it: some thousand allocations for each certificate would be the same again.
        names.replace("/etc/ssl/certs/ca-certificates.crt", pki.ca_text("ca"))
        self.order, self.peer = starve.Order(), Peer()
        self.outcomes, self.last = collections.Counter(), None
        # json-c does not bear every failure; a worker's caller is told.
        self.daemon = settle(Daemon(CONFIG, env=self.order.environment(), workers_may_crash=True))

    def diagnosis(self):
        return self.daemon.diagnosis()

    def close(self):
        try:
            self.daemon.close()
        finally:
            self.peer.close()
            self.order.close()

    def pid(self, who):
        if who == "supervisor":
            return self.daemon.pid
        return wait_until(lambda: self.daemon.resolvers(f"ktlsd-{who}"), DEADLINE, who)[0]

    def target(self):
        return {"host": "server.test", "port": self.peer.port, "trust": trusting("ca"),
                "timeoutMs": int(DEADLINE * 1000)}

    # What is asked for

    def connect(self, caller):
        with caller.call("io.ktlsd.Connect", self.target()) as reply:
            if not reply.error:
                check_good(reply)
            return reply.error

    def probe(self, caller):
        with caller.call("io.ktlsd.Probe", self.target()) as reply:
            if not reply.error:
                # The session may have lost a text, the trace may not.
                check_probed(reply, session_is_whole=False)
                leaf = reply.parameters["trace"]["chain"][0]
                check_equal((leaf["subject"], leaf["certSha256"], len(leaf["names"])),
                            ("CN=ktlsd test rsa", pki.Bundle("rsa").cert_sha256, 4), f"the leaf of {reply}")
            return reply.error

    def rejected_probe(self, caller):
        with caller.call("io.ktlsd.Probe", {**self.target(), "trust": trusting("other-ca")}) as reply:
            if reply.error == "io.ktlsd.CertificateRejected":
                # OpenSSL may have been short of what the verdict takes; the trace tells of that one.
                x509, trace = reply.parameters["x509"], reply.parameters["trace"]
                check_equal([(one["subject"], one["certSha256"], len(one["names"])) for one in trace["chain"]],
                            [("CN=ktlsd test rsa", pki.Bundle("rsa").cert_sha256, 4)], f"the chain of {reply}")
                check_in(trace["chain"][0]["problem"], (x509, None) if x509 in NOBODYS else (x509,), f"the problem of {reply}")
                check_equal([one["state"] for one in trace["attempts"]], ["connected"], f"the attempts of {reply}")
            return reply.error or "success"

    def info(self, caller):
        with caller.call("org.varlink.service.GetInfo") as reply:
            return reply.error

    def capabilities(self, caller):
        with caller.call("io.ktlsd.GetCapabilities") as reply:
            if not reply.error:
                check_true(len(reply.parameters["suites"]) > 10, f"all suites of {reply}")
                check_true(len(reply.parameters["policies"][0]["suites"]) > 4, f"all of the policy of {reply}")
            return reply.error

    def status(self, caller):
        with caller.call("io.ktlsd.GetStatus") as reply:
            if not reply.error:
                told = reply.parameters
                check_equal((len(told["workers"]), len(told["quotas"])), (1, 4), f"workers and quotas of {reply}")
                check_equal([len(one["buckets"]) for one in told["latencies"]], [22] * 5, f"buckets of {reply}")
                check_in("UserRequests", [one["key"] for one in told["configuration"]], "the configuration")
            return reply.error

    def malformed(self, caller):
        with caller.call("io.ktlsd.Connect", {"host": "server.test", "port": "443", "x": [{}]}) as reply:
            return reply.error

    def reload(self):
        """It is told how that went, in the log or to the service manager, whichever works. No time
        is promised for that: a new worker may be long in coming."""
        def verdicts():
            return len(re.findall("read anew|has faults|no worker", self.daemon.stderr()))

        def heard():
            return any(b"READY=1" in text for text in self._notified()) or verdicts() > before
        self._notified()
        before = verdicts()
        os.kill(self.daemon.pid, signal.SIGHUP)
        wait_until(heard, PATIENCE / 1000, "what became of the reload")
        wait_until(lambda: len(self.daemon.resolvers("ktlsd-worker")) == 1, PATIENCE / 1000,
                   "the end of the old workers")

    def _notified(self):
        """What the service manager would have been told since it was last asked for."""
        told = []
        self.daemon.notify.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                told.append(self.daemon.notify.recv(4096))
        return told

    def ask(self, what):
        """A reply or a clean end, in time."""
        if what == "reload":
            return self.reload()  # with a caller who asks for nothing it would wait
        try:
            with self.daemon.caller(2 * DEADLINE) as caller:
                outcome = getattr(self, what)(caller) or "success"
        except (Closed, ConnectionResetError, BrokenPipeError) as error:
            check_true("{" not in str(error), "nothing came before the end")
            outcome = "closed"
        self.last = outcome.rpartition(".")[2]
        self.outcomes[self.last] += 1
        wait_until(lambda: self.daemon.callers() == 0, DEADLINE, "the end of the connection")

    def check_next(self):
        with self.daemon.caller(2 * DEADLINE) as caller:
            check_equal(self.connect(caller), None, "the error of the next request")
        wait_until(lambda: self.daemon.callers() == 0, DEADLINE, "the end of the next one")
        # The peer is there for longer than a test: what this one has had of it has to be over.
        self.peer.wait_over(DEADLINE)

    def wait_rest(self, pid):
        """The connection has gone before what belonged to it is freed."""
        wait_until(lambda: self.daemon.rests(pid), DEADLINE, "rest")


def starve_once(house, who, act, number, recover):
    """What was asked for, what failed of it, and what the process has more than before when others
    have been served since; nothing of one that was lost."""
    pid = house.pid(who)
    house.order.give(pid, number)
    try:
        act()
        house.wait_rest(pid)
        made, failed = house.order.stop()
        recover()
        house.wait_rest(pid)
    finally:
        live = house.order.take_back()
    if house.pid(who) == pid:
        return made, failed, live
    check_in(house.last, ("InternalError", "success"), "what the caller of a lost worker is told")
    return made, failed, 0


def leaks(house, who, act, number, usual, recover):
    """Whether it leaves something behind each time. (json-c does, where a member cannot be added.)"""
    return all(starve_once(house, who, act, number, recover)[2] > usual for _ in range(3)) and \
        house.last != "closed"


def judge(house, who, act, number, usual, recover):
    """Whether there was so late an allocation, and what was not as it should be."""
    fault, failed = None, True
    try:
        _, failed, live = starve_once(house, who, act, number, recover)
        check_descriptors(house.daemon)
        if live > usual and leaks(house, who, act, number, usual, recover):
            fault = f"allocation {number}: {live} blocks are left over"
    except (CheckFailed, OSError, WireError) as problem:
        fault = f"allocation {number}: {problem!r}"
    check_true(house.daemon.alive(), f"ktlsd lives after allocation {number} has failed")
    return failed, fault


def deaths(house):
    return collections.Counter(re.findall(r"worker \d+ (was ended by signal \d+|has ended with status \d+)",
                                          house.daemon.stderr()))


# Requests are long, most of it inside OpenSSL.
# In the guest, which is slow, a few of them.
@test("{what}: each allocation of the {who} fails once", deadline=900, cases=[
    {"who": "worker", "what": "connect", "stride": 3}, {"who": "worker", "what": "probe", "stride": 11},
    {"who": "worker", "what": "info", "stride": 1}, {"who": "worker", "what": "malformed", "stride": 1},
    {"who": "worker", "what": "rejected_probe", "stride": 11},
    {"who": "worker", "what": "status", "stride": 1}, {"who": "worker", "what": "capabilities", "stride": 1},
    {"who": "supervisor", "what": "connect", "stride": 1},
    {"who": "supervisor", "what": "reload", "stride": 11}])
def once(house, who, what, stride):
    def act():
        house.ask(what)

    def recover():
        if what == "reload":
            house.ask(what)  # OpenSSL keeps what was wrong until it is asked for something else
        house.check_next()
    for _ in range(3):
        starve_once(house, who, act, 0, recover)
    made, _, usual = starve_once(house, who, act, 0, recover)
    number, failed, faults, before = 1, True, [], deaths(house)
    house.outcomes.clear()
    while failed:
        failed, fault = judge(house, who, act, number, max(usual, 0), recover)
        if fault:
            note(fault)
            faults.append(fault)
        number += 1 if ALL else stride if door.FAKE_KERNEL else 60 * stride
    note(f"{made} allocations are usual; {dict(house.outcomes)}; {dict(deaths(house) - before)}")
    check_equal(faults, [], "what went wrong")


if __name__ == "__main__":
    main(globals(), House)
