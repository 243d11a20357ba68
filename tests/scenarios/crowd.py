#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Thousands of requests of which nothing comes, many at a time: callers hang up at any moment and
time runs out at any stage. Afterwards ktlsd is as it was.

KTLSTEST_REQUESTS says how many, if not 2000.
"""

import contextlib
import os
import random
import select
import socket
import time

from ktlstest import names
from ktlstest.asking import SLOWNESS, ask, check_descriptors, check_good, settle, trusting
from ktlstest.daemon import Daemon
from ktlstest.expect import check_connected, check_error
from ktlstest.peer import STEPS, Blackhole, Peer, Plan, client_states
from ktlstest.tap import check_between, check_equal, main, note, test, wait_until
from ktlstest.wire import Closed

REQUESTS = int(os.environ.get("KTLSTEST_REQUESTS", "2000"))
ROUND = 250
WARM_UP = 3  # rounds
AT_A_TIME = 20
LONGEST = 0.4 * SLOWNESS  # seconds until somebody hangs up, or time is over
GROWTH = 256  # KiB
MOST_REQUESTS, MOST_RESOLVERS = 40, 6
CONFIG = f"[Limits]\nRequests={MOST_REQUESTS}\nResolvers={MOST_RESOLVERS}\n" \
         f"UserResolvers={MOST_RESOLVERS}\n"

CONNECT = "io.ktlsd.Connect"
TIME_WAIT = 6
# What becomes of a request, as often as it is named; then its end.
KINDS = ("idle", "half", "resolve", "resolve", "connect", "connect",
         *["handshake"] * len(STEPS[:-1]), "good", "good", "unread")
ENDS = ("hang up", "shut down", "time out")
# Stages at which time can run out: connecting may take long when others are at it.
STAGES = {"resolve": ("resolve",), "connect": ("connect",),
          "handshake": ("connect", "handshake"), "good": ("connect", "handshake", "install")}


class Servers:
    """Those that requests are for, and what they have seen."""

    def __init__(self):
        self.stack = contextlib.ExitStack()
        with self.stack:
            self.names = self.stack.enter_context(names.NameServer(silent=["silent.test"]))
            self.hole = self.stack.enter_context(Blackhole())
            self.stalling = self.stack.enter_context(Peer(plan=self._stall))
            self.good = self.stack.enter_context(Peer())
            self.stack = self.stack.pop_all()
        self.trust = trusting("ca")

    @staticmethod
    def _stall(index):
        return Plan(STEPS[index % (len(STEPS) - 1)], "stall")

    def parameters(self, kind):
        if kind == "resolve":
            return {"host": "silent.test", "port": 443}
        target = {"connect": self.hole, "handshake": self.stalling}.get(kind, self.good)
        return {"host": target.host, "port": target.port, "trust": self.trust}

    def check_all_gone(self):
        for peer in (self.stalling, self.good):
            for connection in peer.connections:
                connection.wait_gone()
        wait_until(lambda: not self.hole.is_tried(), 1, "nobody connects any more")
        # The kernel takes a moment to say goodbye.
        for peer in (self.stalling, self.good):
            wait_until(lambda port=peer.port: set(client_states(port).values()) <= {TIME_WAIT}, 2,
                       "the end of ktlsd's connections")

    def steps(self):
        """At which steps of the handshake somebody was left."""
        return {connection.plan.step for connection in self.stalling.connections
                if connection.stepped.is_set()}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()


class Request:
    """One that is under way. due: when its caller loses patience, if ever."""

    def __init__(self, daemon, servers, kind, end, patience):
        self.kind, self.end = kind, end if kind in STAGES else "hang up"
        self.due = None if self.end == "time out" else time.monotonic() + patience
        self.caller = daemon.caller()
        if kind == "half":
            self.caller.send(b'{"method":"io.ktlsd.Conn')
        elif kind != "idle":
            parameters = servers.parameters(kind)
            if self.end == "time out":
                parameters["timeoutMs"] = int(patience * 1000) + 1
            self.caller.start(CONNECT, parameters)

    def lose_patience(self):
        """Whether that is the end of it."""
        self.due = None
        if self.end == "shut down":
            self.caller.sock.shutdown(socket.SHUT_WR)
            return False
        return True

    def take(self):
        """What has come of it: a stage at which time was over, or something else."""
        try:
            reply = self.caller.receive()
        except Closed:
            check_equal((self.end, self.due), ("shut down", None), "who was hung up on")
            return "closed"
        with reply:
            if reply.error == "io.ktlsd.TimedOut":
                check_equal(self.end, "time out", f"how {self.kind} was to end")
                check_error(reply, "TimedOut", STAGES[self.kind])
                return reply.parameters["stage"]
            check_equal(self.kind, "good", f"the kind of request that had {reply}")
            check_connected(reply).close()
        return "good"


def readable(sock):
    return bool(select.select([sock], [], [], 0)[0])


class Crowd:
    """Keeps so many requests under way, from one loop, until all have been made."""

    def __init__(self, daemon, servers, chance):
        self.daemon, self.servers, self.chance = daemon, servers, chance
        self.poll = select.poll()
        self.active = {}
        self.outcomes = []
        self.most_resolvers = 0

    def _begin(self):
        request = Request(self.daemon, self.servers, self.chance.choice(KINDS),
                          self.chance.choice(ENDS), self.chance.uniform(0, LONGEST))
        self.active[request.caller.sock.fileno()] = request
        # An unread reply stays where it is until its caller hangs up.
        self.poll.register(request.caller.sock, 0 if request.kind == "unread" else select.POLLIN)

    def _end(self, fd, outcome):
        self.outcomes.append(outcome)
        self.poll.unregister(fd)
        self.active.pop(fd).caller.close()

    def _turn(self):
        due = [request.due for request in self.active.values() if request.due is not None]
        left = max(0, min(due) - time.monotonic()) * 1000 + 1 if due else 30000
        for fd, _ in self.poll.poll(left):
            self._end(fd, self.active[fd].take())
        now = time.monotonic()
        for fd, request in list(self.active.items()):
            if request.due is None or request.due > now or not request.lose_patience():
                continue
            unread = request.kind == "unread" and readable(request.caller.sock)
            self._end(fd, "unread" if unread else "hung up")

    def run(self, count):
        try:
            for number in range(count):
                while len(self.active) >= AT_A_TIME:
                    self._turn()
                self._begin()
                if number % 25 == 0:
                    self.most_resolvers = max(self.most_resolvers, len(self.daemon.resolvers()))
            while self.active:
                self._turn()
        finally:
            for request in self.active.values():
                request.caller.close()
        return self.outcomes


def counters():
    """The kernel's count of sockets with TLS in either direction."""
    with open("/proc/net/tls_stat", encoding="ascii") as file:
        pairs = [line.split() for line in file]
    return {name: int(value) for name, value in pairs if name.startswith("TlsCurr")}


def measure(daemon):
    """KiB, of everything that there is of it at rest."""
    check_descriptors(daemon)
    wait_until(lambda: len(daemon.children()) == daemon.children_at_rest, 3, "as many processes")
    return daemon.pss()


def one_round(daemon, chance, count):
    """(what came of each request, the steps of the handshake that were seen)"""
    with Servers() as servers:
        crowd = Crowd(daemon, servers, chance)
        outcomes = crowd.run(count)
        servers.check_all_gone()
        # One is kept, and those that were killed may still be there for a moment.
        check_between(crowd.most_resolvers, 0, 2 * MOST_RESOLVERS + 1, "resolvers at a time")
        return outcomes, servers.steps()


def several_rounds(daemon, chance, count):
    outcomes, steps = [], set()
    while len(outcomes) < count:
        more, seen = one_round(daemon, chance, min(ROUND, count - len(outcomes)))
        outcomes += more
        steps |= seen
        note(f"{len(outcomes)} requests, {measure(daemon)} KiB, {daemon.fd_count()} descriptors")
    return outcomes, steps


@test(f"{REQUESTS} requests of which nothing comes", deadline=60 + REQUESTS / 10 * SLOWNESS)
def volume(daemon):
    chance = random.Random(1)
    several_rounds(daemon, chance, WARM_UP * ROUND)
    before = (counters(), daemon.fd_count(), len(daemon.children()))
    memory = measure(daemon)
    outcomes, steps = several_rounds(daemon, chance, REQUESTS)
    check_between(measure(daemon) - memory, -1 << 30, GROWTH, "KiB of growth")
    check_equal((counters(), daemon.fd_count(), len(daemon.children())), before,
                "counters, descriptors and processes")
    # So that it was about what it is meant to be about.
    check_equal(steps, set(STEPS[:-1]), "steps of the handshake at which the server stalled")
    for outcome in ("resolve", "connect", "handshake", "good", "closed", "hung up", "unread"):
        note(f"{outcome}: {outcomes.count(outcome)}")
        check_between(outcomes.count(outcome), REQUESTS // 100, REQUESTS, outcome)


@test("a good request")
def good(daemon):
    with Peer() as peer:
        check_good(ask(daemon, peer, trust=trusting("ca")))
    check_descriptors(daemon)


@test(f"{MOST_REQUESTS} requests at a time are none too many, as ever, and one more is")
def requests_counted(daemon):
    with Peer(plan=Plan("accept", "stall")) as peer, contextlib.ExitStack() as stack:
        callers = [stack.enter_context(daemon.caller()) for _ in range(MOST_REQUESTS + 1)]
        for caller in callers[:-1]:
            caller.start(CONNECT, {"host": peer.host, "port": peer.port})
        peer.connection(MOST_REQUESTS - 1)
        with callers[-1].connect(peer.host, peer.port) as reply:
            check_error(reply, "Busy", "policy")
    check_descriptors(daemon)


@test(f"{MOST_RESOLVERS} names can be looked up at a time, as ever, and one more waits")
def lookups_counted(daemon):
    silent = [f"n{index}.test" for index in range(MOST_RESOLVERS + 1)]
    with names.NameServer(silent=silent) as server, contextlib.ExitStack() as stack:
        callers = {name: stack.enter_context(daemon.caller()) for name in silent}
        for name, caller in callers.items():
            caller.start(CONNECT, {"host": name, "port": 443})
        wait_until(lambda: len(set(server.asked)) >= MOST_RESOLVERS, 4, "questions for all but one")
        # Long enough for the question that must not come: somebody else's request is served.
        with Peer() as peer:
            check_good(ask(daemon, peer, trust=trusting("ca")))
        first, waiting = set(server.asked), set(silent) - set(server.asked)
        check_equal(len(waiting), 1, "names that wait")
        callers[first.pop()].close()
        wait_until(lambda: waiting <= set(server.asked), 1, "the question for the last one")
    check_descriptors(daemon)


def start():
    names.configure({})
    # Workers share the look-ups, which are counted here.
    daemon = settle(Daemon(CONFIG, workers=1))
    daemon.children_at_rest = len(daemon.children())
    return daemon


if __name__ == "__main__":
    main(globals(), start)
