#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Thousands of requests of several users, half of which fail, in every way there is. Workers are
killed and configurations read meanwhile. Afterwards ktlsd is as it was.

KTLSTEST_REQUESTS says how many, if not 10000.
"""

import collections
import contextlib
import os
import random
import re
import select
import signal
import socket
import time
from typing import NamedTuple

from ktlstest import door, light, names, users, wire
from ktlstest.asking import SLOWNESS, ask, check_descriptors, check_good, settle, trusting
from ktlstest.daemon import Daemon
from ktlstest.expect import check_connected, check_error
from ktlstest.peer import Peer, Plan, client_states
from ktlstest.tap import check_between, check_equal, check_true, fail, main, note, test, wait_until

REQUESTS = int(os.environ.get("KTLSTEST_REQUESTS", "10000"))
ROUNDS = 10
CHURN = 2       # rounds in which workers are killed and the configuration is read anew
WARM_UP = 4     # rounds, then nothing may grow any more
# Large messages go back to the kernel at once, and leave no room in which what is lost would hide.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_TRIM_THRESHOLD_": "4096",
             "MALLOC_TOP_PAD_": "0"}
# KiB, of each process, from the least after some rounds to the least after the last ones: its heap
# breathes, the more the fewer requests there are to come to rest. With one worker it is what 170 bytes
# lost with each request come to, with 100000 requests what 17 bytes do; what nothing points to is
# found to the byte by the address sanitizer.
GROWTH = int(os.environ.get("KTLSTEST_GROWTH", "1024"))
ENDS = 3  # rounds
UIDS = (1001, 1002, 1003)
AT_A_TIME = 16  # requests of each of them
LONGEST = 0.4 * SLOWNESS  # seconds until somebody hangs up, or time is over
TIME_WAIT = 6

MOST_REQUESTS, MOST_RESOLVERS, MOST_UNDELIVERED, MOST_CONNECTIONS = 80, 6, 40, 120
CONFIG = f"""
[Limits]
Requests={MOST_REQUESTS}
UserRequestsPerSec=1000000
UserRequestsBurst=1000000
Resolvers={MOST_RESOLVERS}
UserResolvers={MOST_RESOLVERS}
UserUndelivered={MOST_UNDELIVERED}
UserConnections={MOST_CONNECTIONS}

[Access nowhere]
Action=deny
Hosts=forbidden.test

[Access one]
Hosts=one.test
Requests=1

[Access anything]
AllowVerifyNone=yes
"""

CONNECT, PROBE = "io.ktlsd.Connect", "io.ktlsd.Probe"
WRONG_PIN = "cert-sha256:" + "5a" * 32
# Servers by the certificates that they have.
BUNDLES = ("p256", "rsa", "expired", "wrong-name", "self-signed", "wrong-eku", "by-leaf")

# Whose caller grows impatient, and what there is to be said then.
SLOW = r"hung up|closed|TimedOut \w+"
GOES_ON = "goes on"

# What a caller may be told whose worker was killed, or ends because of a reload before it has had
# time for him: to come again.
LOST = "lost"
LOST_SAYS = re.compile("the worker that served|the service ends|came too late")


class Kind(NamedTuple):
    """A way for a request to go."""

    often: int
    outcome: str        # a regular expression
    target: str = ""
    trust: dict = {}
    host: str = "127.0.0.1"
    method: str = CONNECT
    extra: dict = {}    # members of the call
    slow: bool = False  # so that somebody loses patience
    read: bool = True   # whether its caller takes the reply
    raw: tuple = ()     # one of these is sent instead of a call
    fds: bool = False   # descriptors go with it


EC = trusting("ec-ca")
REJECTED = "CertificateRejected handshake"
INVALID = "InvalidParameter"
KINDS = {
    "good": Kind(44, "socket", "p256", EC),
    "good, RSA": Kind(2, "socket", "rsa", trusting("ca")),
    "good, by name": Kind(4, "socket", "p256", EC, host="server.test"),
    "impatient": Kind(3, f"socket|{SLOW}", "p256", EC, slow=True),
    "unread": Kind(2, "unread", "p256", EC, read=False),
    "probe": Kind(2, "probed", "p256", EC, method=PROBE),
    "one way": Kind(1, SLOW, "p256", EC, method=PROBE, extra={"oneway": True}, slow=True),
    "expired": Kind(2, REJECTED, "expired", trusting("ca")),
    "other name": Kind(2, REJECTED, "wrong-name", trusting("ca")),
    "self-signed": Kind(1, REJECTED, "self-signed", trusting("ca")),
    "for clients": Kind(1, REJECTED, "wrong-eku", trusting("ca")),
    "issued by a leaf": Kind(1, REJECTED, "by-leaf", trusting("ca")),
    "another CA": Kind(2, REJECTED, "p256", trusting("other-ca")),
    "another pin": Kind(1, REJECTED, "p256", {"pins": [WRONG_PIN]}),
    "a CA that is none": Kind(1, INVALID, "p256", {"ca": "none"}),
    "refused": Kind(3, "ConnectFailed connect", "refusing"),
    "no such name": Kind(2, "ResolveFailed resolve", "p256", host="nowhere.test"),
    "forbidden": Kind(2, "NotAuthorized policy", "p256", host="forbidden.test"),
    "one too many": Kind(2, rf"Busy policy|{SLOW}", "stalling", {**EC, "name": "server.test"},
                         host="one.test", slow=True),
    "silent name": Kind(2, SLOW, "p256", host="silent.test", slow=True),
    "silent host": Kind(3, SLOW, "hole", slow=True),
    "silent server": Kind(8, SLOW, "stalling", EC, slow=True),
    "bad server": Kind(4, rf"\w+Failed \w+|socket|{SLOW}", "bad", EC, slow=True),
    # How many of those fail before patience ends is the machine's affair, of these it is not.
    "closing server": Kind(2, "HandshakeFailed handshake", "closing", EC),
    "idle": Kind(1, SLOW, slow=True, raw=(b"",)),
    "half a call": Kind(2, SLOW, slow=True, raw=(b'{"method":"io.ktlsd.Conn',)),
    "no call": Kind(3, f"{INVALID}|closed", raw=(
        b"{}\0", b"[]\0", b"\0", b'{"method":1}\0', b'{"method":"io.ktlsd.Connect"}\0',
        b'{"method":"io.ktlsd.Connect","parameters":{"host":"a b","port":1}}\0',
        b'{"method":"io.ktlsd.Connect","parameters":{"host":"::1","port":0}}\0',
        b'{"method":"io.ktlsd.Connect","parameters":{"host":"::1","port":1,"x":{}}}\0',
        b"[" * 5000 + b"\0", b"\xff\0", b'{"method":"io.ktlsd.Connect","method":"x"}\0')),
    "too long": Kind(1, "closed", raw=(b" " * 700000,)),
    "descriptors": Kind(1, INVALID, raw=(b'{"method":"org.varlink.service.GetInfo"}\0',), fds=True),
}
# What must come of a part of all requests, one in so many.
OUTCOMES = {"socket": 2.5, "probed": 100, REJECTED: 20, INVALID: 50, "ConnectFailed connect": 60,
            "ResolveFailed resolve": 100, "NotAuthorized policy": 100, "Busy policy": 200,
            "TimedOut resolve": 1000, "TimedOut connect": 400, "TimedOut handshake": 100,
            "HandshakeFailed handshake": 100, "hung up": 30, "closed": 30, "unread": 200}


# --- those who ask

def outcome_of(reply):
    error = (reply.error or "").rpartition(".")[2]
    if not error:
        return "probed"
    if LOST_SAYS.search(reply.parameters.get("message", "")) and reply.parameters.get("retry"):
        return LOST
    return f"{error} {reply.parameters['stage']}" if "stage" in reply.parameters else error


class Request:
    """One that is under way. due: when its caller loses patience, if ever."""

    def __init__(self, path, kind, ports, chance):
        self.kind, self.due = kind, None
        self.end = chance.choice(("hang up", "shut down", "time out")) if kind.slow else None
        self.patience = chance.uniform(0, LONGEST)
        self.parameters = {"host": kind.host, "port": ports.get(kind.target, 1),
                           "trust": kind.trust}
        if self.end == "time out" and not kind.raw and not kind.extra:
            self.parameters["timeoutMs"] = int(self.patience * 1000) + 1
        elif kind.slow:
            self.due = time.monotonic() + self.patience
        self.caller = wire.Caller(path)
        self.tls = None
        # Who is too long is hung up on before he has said it all.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._say(chance)

    def _say(self, chance):
        if self.kind.fds:
            self.caller.send(self.kind.raw[0], [0, 1, 2])
        elif self.kind.raw:
            self.caller.send(chance.choice(self.kind.raw))
        else:
            self.caller.start(self.kind.method, self.parameters, **self.kind.extra)

    def waits_for(self):
        """A socket, for what there is to be read from it."""
        return self.tls or self.caller.sock

    def lose_patience(self):
        """What comes of it, None: nothing yet."""
        self.due = None
        if not self.kind.read:
            return "unread"
        if self.end == "shut down":
            with contextlib.suppress(OSError):
                self.caller.sock.shutdown(socket.SHUT_WR)
            return None
        return "hung up"

    def take(self):
        """What has come of it; None: more will."""
        if self.tls:
            return self._echo()
        if not self.kind.read:
            self.due = time.monotonic() + self.patience
            return None
        try:
            reply = self.caller.receive()
        except (wire.Closed, ConnectionResetError):
            return "closed"
        with reply:
            if not reply.fds:
                return outcome_of(reply)
            self.tls = check_connected(reply)
        self.tls.settimeout(self.caller.timeout)
        if door.FAKE_KERNEL:
            return "socket"
        with contextlib.suppress(OSError):
            self.tls.send(b"x")
        return None

    def _echo(self):
        try:
            echo = self.tls.recv(2)
        except OSError as error:
            echo = str(error)
        # A server may misbehave towards a socket that was handed over, too.
        return "socket" if echo == b"x" or self.kind.target == "bad" else f"socket, and {echo}"

    def close(self):
        self.caller.close()
        if self.tls:
            self.tls.close()


class Asker:
    """Keeps so many requests under way, from one loop, until all have been made."""

    def __init__(self, path, ports, chance):
        self.path, self.ports, self.chance = path, ports, chance
        self.poll = select.poll()
        self.active = {}
        self.outcomes = collections.Counter()
        self.names = list(KINDS)
        self.often = [kind.often for kind in KINDS.values()]

    def _begin(self):
        name = self.chance.choices(self.names, self.often)[0]
        request = Request(self.path, KINDS[name], self.ports, self.chance)
        fd = request.caller.sock.fileno()
        self.active[fd] = name, request
        self.poll.register(fd, select.POLLIN)

    def _next(self, fd, outcome):
        name, request = self.active[fd]
        if outcome is None and request.due is not None and not request.kind.read:
            self.poll.unregister(fd)  # it stays where it is until its caller hangs up
        if outcome is None and request.tls and fd != request.tls.fileno():
            self.poll.unregister(fd)
            del self.active[fd]
            self.active[request.tls.fileno()] = name, request
            self.poll.register(request.tls, select.POLLIN)
        if outcome is None:
            return
        if request.kind.read:
            self.poll.unregister(fd)
        self.active.pop(fd)[1].close()
        self.outcomes[f"{name}: {outcome}"] += 1

    def turn(self):
        due = [request.due for _, request in self.active.values() if request.due is not None]
        left = max(0, min(due) - time.monotonic()) * 1000 + 1 if due else 30000
        for fd, _ in self.poll.poll(left):
            self._next(fd, self.active[fd][1].take())
        now = time.monotonic()
        for fd, (_, request) in list(self.active.items()):
            if request.due is not None and request.due <= now:
                self._next(fd, request.lose_patience())

    def run(self, count, progress):
        for number in range(count):
            while len(self.active) >= AT_A_TIME:
                self.turn()
            self._begin()
            if number % (count // 4 or 1) == 0:
                progress()
        while self.active:
            self.turn()
        return self.outcomes


def asker(report, path, ports, seed, count):
    """For a Process: says a few times that it goes on, and then what came of it."""
    outcomes = Asker(path, ports, random.Random(seed)).run(count, lambda: report(GOES_ON))
    report(outcomes)


# --- ktlsd, as it is at rest

def counters():
    """The kernel's count of sockets with TLS in either direction."""
    if door.FAKE_KERNEL:
        return {}
    with open("/proc/net/tls_stat", encoding="ascii") as file:
        pairs = [line.split() for line in file]
    return {name: int(value) for name, value in pairs if name.startswith("TlsCurr")}


class State(NamedTuple):
    """What it has: equal things, and KiB."""

    processes: tuple  # of each its name, id and descriptors
    counters: dict
    anonymous: dict   # KiB of memory of its own, by process
    pss: int          # KiB of everything together

    def __str__(self):
        each = ", ".join(f"{name} {count} fds {self.anonymous[pid]} KiB"
                         for name, pid, count in self.processes)
        return f"{self.pss} KiB in all; {each}"


def measure(daemon):
    wait_until(lambda: daemon.callers() == 0, 10, "the end of all connections")
    check_descriptors(daemon)
    wait_until(lambda: len(daemon.children()) == daemon.children_at_rest, 10, "as many processes")
    rest = [(name, pid, count) for name, pid, count in daemon.table() if name != "ktlsd-resolver"]
    return State(tuple(rest), counters(), {pid: daemon.anonymous(pid) for _, pid, _ in rest},
                 daemon.pss())


def workers(daemon):
    return daemon.resolvers("ktlsd-worker")


def kill_worker(daemon, chance):
    before = set(workers(daemon))
    os.kill(chance.choice(sorted(before)), signal.SIGKILL)
    wait_until(lambda: len(set(workers(daemon)) - before) > 0, 10, "another worker")


def reload(daemon, _chance):
    before = set(workers(daemon))
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_ready()
    wait_until(lambda: not before & set(workers(daemon)), 30, "workers of another generation")


# --- the scenario

class Volume:
    """The servers, and rounds of requests for them."""

    def __init__(self, daemon):
        self.daemon, self.chance = daemon, random.Random(1)
        self.stack = contextlib.ExitStack()
        self.outcomes = collections.Counter()
        self.killed = self.reloads = self.most_resolvers = 0
        good = self.stack.enter_context(users.Process(light.behave, BUNDLES))
        bad = self.stack.enter_context(users.Process(light.misbehave, ["silent.test"]))
        self.ports = {**good.read(), **bad.read()}

    def _churn(self, asker_):
        """One thing for each word of an asker's, until it has said the last."""
        while (word := asker_.read()) == GOES_ON:
            if self.reloads < self.killed:
                reload(self.daemon, self.chance)
                self.reloads += 1
            else:
                kill_worker(self.daemon, self.chance)
                self.killed += 1
        return word

    def _follow(self, asker_):
        while (word := asker_.read()) == GOES_ON:
            self.most_resolvers = max(self.most_resolvers, len(self.daemon.resolvers()))
        return word

    def round(self, number, count):
        with contextlib.ExitStack() as stack:
            askers = [stack.enter_context(users.Process(
                asker, self.daemon.socket_path, self.ports, 100 * number + index,
                count // len(UIDS), uid=uid)) for index, uid in enumerate(UIDS)]
            results = [self._churn(askers[0])] if number < CHURN else []
            results += [self._follow(one) for one in askers[len(results):]]
        for result in results:
            check_true(result is not None, "an asker came to its end")
            self.outcomes.update(result)

    def check_gone(self):
        for name, port in self.ports.items():
            if name != "hole":
                wait_until(lambda at=port: set(client_states(at).values()) <= {TIME_WAIT}, 5,
                           f"the end of connections to {name}")

    def lost(self):
        return sum(n for what, n in self.outcomes.items() if what.endswith(f": {LOST}"))

    def total(self):
        """By outcome alone, each of which must be one that its request may have."""
        total = collections.Counter()
        for what, n in self.outcomes.items():
            name, _, outcome = what.partition(": ")
            if outcome != LOST and not re.fullmatch(KINDS[name].outcome, outcome):
                fail(f"{n} times {name} ended so: {outcome}")
            total[outcome] += n
        return total

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()


def check_flat(states):
    for state in states:
        check_equal((state.processes, state.counters), (states[0].processes, states[0].counters),
                    "processes, descriptors and counters")
    for name, pid, _ in states[0].processes:
        before, after = (min(state.anonymous[pid] for state in some)
                         for some in (states[:ENDS], states[-ENDS:]))
        note(f"{name}: {after - before} KiB of growth")
        check_between(after - before, -1 << 30, GROWTH, f"KiB of growth of {name}")


@test(f"{REQUESTS} requests, of which half fail", deadline=60 + REQUESTS / 10 * SLOWNESS)
def volume(daemon):
    start = time.monotonic()
    with Volume(daemon) as run:
        states = []
        for number in range(ROUNDS):
            run.round(number, REQUESTS // ROUNDS)
            run.check_gone()
            states.append(measure(daemon))
            note(f"{sum(run.outcomes.values())} requests, {time.monotonic() - start:.0f} s: "
                 f"{states[-1]}")
    for what, n in sorted(run.outcomes.items()):
        note(f"{n:6} {what}")
    total = run.total()
    for outcome, one_in in OUTCOMES.items():
        check_between(total[outcome], REQUESTS // one_in, REQUESTS, f"times {outcome}")
    note(f"{run.killed} workers killed, {run.reloads} reloads, {run.lost()} requests lost")
    check_between(run.lost(), 0, (run.killed + run.reloads) * AT_A_TIME * len(UIDS),
                  "requests that were lost")
    # One is kept by each worker, and those that were killed may still be there for a moment.
    check_between(run.most_resolvers, 1, 3 * MOST_RESOLVERS, "resolvers at a time")
    check_flat(states[WARM_UP - 1:])
    check_equal(daemon.stderr().count("was ended by signal"), run.killed, "workers that were lost")


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
        # Each worker has a part of them, so it takes more than any one to end.
        for name in first:
            callers[name].close()
        wait_until(lambda: waiting <= set(server.asked), 5, "the question for the last one")
    check_descriptors(daemon)


def start():
    names.configure({"server.test": ["127.0.0.1"], "forbidden.test": ["127.0.0.1"],
                     "one.test": ["127.0.0.1"]})
    daemon = settle(Daemon(CONFIG, env=ALLOCATOR))
    os.chmod(daemon.socket_path, 0o666)
    daemon.children_at_rest = len(daemon.children())
    return daemon


if __name__ == "__main__":
    main(globals(), start)
