#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What ktlsd tells of itself, after many requests in several workers, one of which is killed, and in
two generations of them: it agrees with the journal, and both with what the callers have seen.

KTLSTEST_REQUESTS says how many, if not 1000. The journal's socket is the scenario's own, which loses
nothing; what the real one makes of an entry is journal.py's.
"""

import collections
import contextlib
import json
import os
import random
import re
import select
import signal
import socket
import struct
import subprocess
import tempfile
import time
from typing import NamedTuple

from ktlstest import light, names, programs, users, wire
from ktlstest.asking import PATIENCE, SLOWNESS, trusting
from ktlstest.daemon import Daemon
from ktlstest.tap import check_between, check_equal, check_true, main, note, test, wait_until

REQUESTS = int(os.environ.get("KTLSTEST_REQUESTS", "1000"))
WORKERS = 3
AT_A_TIME = 24
WAITING = 18    # requests that wait for ever, at a time: the same number for each worker
NOT_TAKEN = 10
JOURNAL = "/run/systemd/journal"
QUEUE = 4096    # entries that wait to be read
CONNECT, PROBE, GET_STATUS = "io.ktlsd.Connect", "io.ktlsd.Probe", "io.ktlsd.GetStatus"
DONE, WORKER_LOST = "77d73c79ec0a48549088cdb2f2030a47", "d78f18c803ec4b6291a8c096685c295b"
TIMES = ("resolve", "connect", "handshake", "install", "total")

CONFIG = f"""
[Service]
Workers={WORKERS}

[Limits]
UserRequestsPerSec=1000000
UserRequestsBurst=1000000
UserUndelivered=1000
UserRecordsPerSec=%d
UserRecordsBurst=%d

[Access nowhere]
Action=deny
Hosts=forbidden.test

[Access anything]
Users=0
"""
# As many records as there are requests, and fewer.
ALL, FEW = (1000000, 1000000), (1, 10)


class Kind(NamedTuple):
    """A way for a request to go that its caller is told of."""

    often: int
    target: str
    trust: dict
    host: str = "127.0.0.1"
    method: str = CONNECT
    timeout: int = PATIENCE


EC, RSA = trusting("ec-ca"), trusting("ca")
KINDS = (
    Kind(30, "p256", EC), Kind(15, "rsa", RSA), Kind(5, "p256", EC, "server.test"),
    Kind(10, "p256", EC, method=PROBE), Kind(5, "rsa", RSA, method=PROBE),
    Kind(8, "p256", trusting("other-ca")), Kind(4, "rsa", EC, method=PROBE),
    Kind(4, "p256", {"ca": "none"}),
    Kind(8, "refusing", EC), Kind(3, "refusing", EC, method=PROBE),
    Kind(4, "p256", EC, "nowhere.test"), Kind(4, "p256", EC, "forbidden.test"),
    Kind(4, "stalling", EC, timeout=30), Kind(2, "hole", EC, timeout=20, method=PROBE),
)
# Where one waits for ever, and the stage at which it is then.
ENDLESS = ((CONNECT, "stalling", "127.0.0.1", "handshake"), (CONNECT, "hole", "127.0.0.1", "connect"),
           (PROBE, "p256", "silent.test", "resolve"))
REFUSED = (b"{}\0", b"[]\0", b'{"method":"io.ktlsd.Nothing"}\0', b'{"method":"io.ktlsd.Connect"}\0',
           b'{"method":"io.ktlsd.Nothing","oneway":true}\0', b"\xff\0", b" " * 700000,
           b'{"method":"io.ktlsd.Connect","parameters":{"host":"a b","port":1}}\0')


class Journal:
    """Entries as journald would get them: a list of dicts."""

    def __init__(self):
        with open("/proc/sys/net/unix/max_dgram_qlen", "w", encoding="ascii") as file:
            file.write(str(QUEUE))
        os.makedirs(JOURNAL, exist_ok=True)
        self.directory = tempfile.mkdtemp(prefix="ktlsd-test.")
        os.chmod(self.directory, 0o755)
        subprocess.run(["mount", "--bind", self.directory, JOURNAL], check=True)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(f"{JOURNAL}/socket")
        os.chmod(f"{JOURNAL}/socket", 0o666)
        self.entries = []

    @staticmethod
    def _parse(data):
        entry = {}
        while data:
            line, _, data = data.partition(b"\n")
            name, equals, value = line.partition(b"=")
            if not equals:
                size = struct.unpack("<Q", data[:8])[0]
                value, data = data[8:8 + size], data[8 + size + 1:]
            entry[name.decode()] = value.decode()
        return entry

    def read(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.entries.append(self._parse(self.sock.recv(65536, socket.MSG_DONTWAIT)))

    def requests(self):
        self.read()
        return [entry for entry in self.entries if "KTLSD_OUTCOME" in entry]

    def close(self):
        self.sock.close()
        subprocess.run(["umount", JOURNAL], check=True)
        os.unlink(f"{self.directory}/socket")
        os.rmdir(self.directory)


# What systemd does before it starts a service: by this its standard error output is the journal.
WRAPPER = ["sh", "-c", 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$@"', "sh"]


class Service:
    """ktlsd, its journal, and the servers."""

    def __init__(self):
        names.configure({"server.test": ["127.0.0.1"]})
        with contextlib.ExitStack() as stack:
            self.journal = stack.enter_context(contextlib.closing(Journal()))
            good = stack.enter_context(users.Process(light.behave, ["p256", "rsa"]))
            bad = stack.enter_context(users.Process(light.misbehave, ["silent.test"]))
            self.ports = {**good.read(), **bad.read()}
            self.daemon = stack.enter_context(contextlib.closing(
                Daemon(CONFIG % ALL, prefix=WRAPPER, workers=WORKERS)))
            self.stack = stack.pop_all()
        self.told = collections.Counter()   # (method, outcome, stage), as callers know it
        self.refused = 0

    def diagnosis(self):
        return f"{self.daemon.diagnosis()}\n" + "\n".join(
            entry.get("MESSAGE", "") for entry in self.journal.entries[-10:])

    def close(self):
        self.stack.close()

    def status(self):
        """Asked for again where it is a worker that was just killed who was asked."""
        while True:
            with self.daemon.caller() as caller, caller.call(GET_STATUS) as reply:
                if not reply.error:
                    return reply.parameters
                check_equal((reply.error, reply.parameters["retry"]),
                            ("io.ktlsd.InternalError", True), f"the error of {reply}")

    def wait_under_way(self, count):
        """The status when so many are, which is asked for until it is so."""
        def is_so():
            self.journal.read()
            status = self.status()
            return status if status["underWay"] == count else None
        return wait_until(is_so, 20 * SLOWNESS, f"{count} requests under way", 0.01)

    def reload(self, records):
        with open(self.daemon.config_path, "w", encoding="utf-8") as file:
            file.write(CONFIG % records)
        os.kill(self.daemon.pid, signal.SIGHUP)
        self.daemon.wait_ready()

    def start(self, caller, method, target, host, trust, timeout=PATIENCE):
        caller.start(method, {"host": host, "port": self.ports[target], "trust": trust,
                              "timeoutMs": timeout})

    def told_of(self, method, reply):
        """How a request has ended, counted as GetStatus has it."""
        outcome = (reply.error or "ok").rpartition(".")[2]
        stage = None if outcome == "ok" else reply.parameters.get("stage", "policy")
        self.told[method.rpartition(".")[2], outcome, stage] += 1


def take(service, poll, active):
    """Those that are answered."""
    for fd, _ in poll.poll(1000):
        if fd == service.journal.sock.fileno():
            service.journal.read()
            continue
        caller, kind = active.pop(fd)
        poll.unregister(fd)
        with caller, caller.receive() as reply:
            service.told_of(kind.method, reply)


def ask_many(service, count, chance):
    """So many requests, a few at a time, each of which is answered."""
    poll, active = select.poll(), {}
    poll.register(service.journal.sock, select.POLLIN)
    weights = [kind.often for kind in KINDS]
    for kind in chance.choices(KINDS, weights, k=count):
        while len(active) >= AT_A_TIME:
            take(service, poll, active)
        caller = service.daemon.caller()
        service.start(caller, kind.method, kind.target, kind.host, kind.trust, kind.timeout)
        active[caller.sock.fileno()] = caller, kind
        poll.register(caller.sock, select.POLLIN)
    while active:
        take(service, poll, active)


@contextlib.contextmanager
def waiting(service):
    """So many callers whose requests are under way, and will be, with what each is at."""
    with contextlib.ExitStack() as stack:
        callers = [stack.enter_context(service.daemon.caller()) for _ in range(WAITING)]
        ends = []
        for index, caller in enumerate(callers):
            method, target, host, stage = ENDLESS[index // WORKERS % len(ENDLESS)]
            service.start(caller, method, target, host, EC)
            ends.append((method.rpartition(".")[2], stage))
        service.wait_under_way(WAITING)
        yield list(zip(callers, ends))


def hang_up(service, callers):
    # One waits in a stage from its first turn on, and a name's look-up for its turn in the same.
    for caller, (method, stage) in callers:
        caller.close()
        service.told[method, "cancelled", stage] += 1


# --- what is compared

def outcomes(status):
    return {(row["method"], row["outcome"], row["stage"]): row["count"]
            for row in status["outcomes"]}


def outcomes_of(entries):
    return dict(collections.Counter(
        (entry["KTLSD_METHOD"], entry["KTLSD_OUTCOME"], entry.get("KTLSD_STAGE")) for entry in entries))


def times_of(entries, stage):
    """How many entries have it, and their sum."""
    values = [int(entry[f"KTLSD_{stage.upper()}_USEC"]) for entry in entries
              if f"KTLSD_{stage.upper()}_USEC" in entry]
    return sorted(values)


def check_times(latency, values):
    check_equal((latency["count"], latency["sum"]), (len(values), sum(values)),
                f"count and sum of {latency['stage']}")
    for percent in (50, 90, 99):
        exact = values[-(-len(values) * percent // 100) - 1]
        check_between(latency[f"p{percent}"], exact, exact + exact // 8,
                      f"p{percent} of {latency['stage']}")
    for bucket in latency["buckets"]:
        check_equal(bucket["count"], sum(value <= bucket["upTo"] for value in values),
                    f"{latency['stage']}, up to {bucket['upTo']}")


def sessions_of(entries):
    return collections.Counter((entry["KTLSD_TLS_VERSION"], entry["KTLSD_CIPHER"])
                               for entry in entries if "KTLSD_CIPHER" in entry)


def lost(status):
    return sum(row["count"] for row in status["outcomes"] if row["outcome"] == "lost")


# --- the scenario, of which each test goes on from the one before

@test(f"{REQUESTS * 4 // 5} requests that are answered, in every way",
      deadline=60 + REQUESTS / 20 * SLOWNESS)
def answered(service):
    start = time.monotonic()
    ask_many(service, REQUESTS * 4 // 5, random.Random(1))
    status = service.wait_under_way(0)
    note(f"{time.monotonic() - start:.1f} s")
    for what, count in sorted(service.told.items(), key=str):
        note(f"{count:6} {what}")
    check_equal(outcomes(status), dict(service.told), "outcomes")
    check_between(len(service.told), 10, 40, "ways to end")


@test("requests that are cancelled, at several stages, by hanging up; the configuration is read anew "
      "meanwhile")
def cancelled(service):
    before = service.status()
    with waiting(service) as callers:
        service.reload(ALL)
        status = service.status()
        check_equal(status["reloads"], before["reloads"] + 1, "reloads")
        check_true(status["loaded"] >= before["loaded"] >= before["since"], "when it was loaded")
        check_equal(status["underWay"], WAITING, "requests under way in the workers of old")
        old = {worker["pid"] for worker in before["workers"]}
        now = {worker["pid"]: worker["underWay"] for worker in status["workers"]}
        check_true(old <= set(now), f"workers of old among {now}")
        check_equal(sum(now[pid] for pid in old), WAITING, "requests under way there")
        hang_up(service, callers)
    status = service.wait_under_way(0)
    check_equal(outcomes(status), dict(service.told), "outcomes")
    wait_until(lambda: {worker["pid"] for worker in service.status()["workers"]} ==
               set(service.daemon.workers()), 10 * SLOWNESS, "the workers that there are")


@test("sockets that are not taken")
def not_taken(service):
    with contextlib.ExitStack() as stack:
        for _ in range(NOT_TAKEN):
            caller = stack.enter_context(service.daemon.caller())
            caller.sock.shutdown(socket.SHUT_RD)
            service.start(caller, CONNECT, "p256", "127.0.0.1", EC)
            service.told["Connect", "not-taken", None] += 1
        wait_until(lambda: outcomes(service.status()) == dict(service.told), 10 * SLOWNESS,
                   "as many outcomes")


@test("calls that are no requests")
def refused(service):
    for text in REFUSED:
        with service.daemon.caller() as caller:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                caller.send(text)
            if b"oneway" in text:
                with caller.call("org.varlink.service.GetInfo") as reply:
                    check_equal(reply.error, None, "the next call's error")
                continue
            with contextlib.suppress(wire.Closed, ConnectionResetError), caller.receive() as reply:
                check_true(bool(reply.error), f"an error, not {reply}")
    status = service.wait_under_way(0)
    check_equal(status["callsRefused"], len(REFUSED), "calls refused")
    check_equal(outcomes(status), dict(service.told), "outcomes")


@test("a worker is killed: what it had under way is lost, and told as that")
def killed(service):
    with waiting(service) as callers:
        worker = service.status()["workers"][0]
        check_true(worker["underWay"] > 0, "it had something to do")
        os.kill(worker["pid"], signal.SIGKILL)
        wait_until(lambda: service.status()["workersLost"], 10 * SLOWNESS, "the worker's end")
        status = service.wait_under_way(WAITING - worker["underWay"])
        left, gone = [], 0
        for caller, end in callers:
            if select.select([caller.sock], [], [], 0)[0]:
                with caller.receive() as reply:
                    check_equal(reply.error, "io.ktlsd.InternalError", f"the error of {reply}")
                service.told[end[0], "lost", None] += 1
                gone += 1
            else:
                left.append((caller, end))
        check_equal(gone, worker["underWay"], "callers that were told")
        check_equal(lost(status), gone, "requests that were lost")
        check_equal(status["workersLost"], 1, "workers that were lost")
        hang_up(service, left)
    service.journal.read()
    entry, = (entry for entry in service.journal.entries if entry.get("MESSAGE_ID") == WORKER_LOST)
    check_equal(entry["KTLSD_LOST"], str(gone), "what the journal has of it")


@test("callers, journal and status agree, to the microsecond")
def agreed(service):
    status = service.wait_under_way(0)
    entries = service.journal.requests()
    seen = outcomes(status)
    check_equal(seen, dict(service.told), "what callers have seen")
    check_equal({what: count for what, count in seen.items() if what[1] != "lost"},
                outcomes_of(entries), "what the journal has")
    check_equal([latency["stage"] for latency in status["latencies"]], list(TIMES), "the stages")
    for latency in status["latencies"]:
        values = times_of(entries, latency["stage"])
        check_true(len(values) > 0, f"there is some {latency['stage']}")
        check_times(latency, values)
        note(f"{latency['stage']}: {latency['count']}, p50 {latency['p50']}, p99 {latency['p99']} us")
    agreed_on = {(row["version"], row["cipher"]): row["count"] for row in status["sessions"]}
    check_equal(agreed_on, dict(sessions_of(entries)), "sessions")
    check_between(len(agreed_on), 2, 9, "suites")
    check_equal(status["recordsSuppressed"], 0, "records suppressed")
    # A line that journald's socket had not taken would be here.
    check_equal(service.daemon.stderr(), "", "what went past the journal")


@test("with fewer records than requests the rest is counted", deadline=60 + REQUESTS / 20 * SLOWNESS)
def suppressed(service):
    service.reload(FEW)
    ask_many(service, REQUESTS // 5, random.Random(2))
    status = service.wait_under_way(0)
    entries = service.journal.requests()
    check_equal(outcomes(status), dict(service.told), "what callers have seen")
    check_true(status["recordsSuppressed"] >= REQUESTS // 10, "some are suppressed")
    check_equal(sum(service.told.values()),
                len(entries) + status["recordsSuppressed"] + lost(status), "requests")
    told = sum(int(entry.get("KTLSD_SUPPRESSED", "0")) for entry in entries)
    check_between(told, 0, status["recordsSuppressed"], "what entries tell of")
    note(f"{sum(service.told.values())} requests, {len(entries)} entries, "
         f"{status['recordsSuppressed']} suppressed, {lost(status)} lost")


def ktlsctl(service, *words):
    done = subprocess.run([programs.ktlsctl(), "--socket", service.daemon.socket_path, *words], check=True, capture_output=True, text=True,
                          timeout=60)
    return done.stdout


def settled(status):
    """What does not change by being asked for."""
    return {name: value for name, value in status.items() if name != "quotas"}


SAMPLE = re.compile(r'(\w+)(?:\{(.*)\})? (\S+)')


def samples(text):
    """By name and labels; values as they are written."""
    found = [SAMPLE.fullmatch(line).groups() for line in text.splitlines() if not line.startswith("#")]
    check_equal(len({one[:2] for one in found}), len(found), "samples, each once")
    return {(name, tuple(sorted(re.findall(r'(\w+)="([^"]*)"', labels or "")))): value for name, labels, value in found}


def expected_samples(status):
    seconds = lambda usec: f"{usec // 1000000}.{usec % 1000000:06}"
    for row in status["outcomes"]:
        labels = (("method", row["method"]), ("outcome", row["outcome"]), ("stage", row["stage"] or ""))
        yield ("ktlsd_requests_total", labels), str(row["count"])
    for row in status["sessions"]:
        yield ("ktlsd_sessions_total", (("cipher", row["cipher"]), ("version", row["version"]))), str(row["count"])
    for row in status["latencies"]:
        whole = row["stage"] == "total"
        name = "ktlsd_request_duration_seconds" if whole else "ktlsd_stage_duration_seconds"
        labels = () if whole else (("stage", row["stage"]),)
        yield (f"{name}_count", labels), str(row["count"])
        yield (f"{name}_sum", labels), seconds(row["sum"])
        yield (f"{name}_bucket", (("le", "+Inf"), *labels)), str(row["count"])
        for bucket in row["buckets"]:
            yield (f"{name}_bucket", (("le", repr(bucket["upTo"] / 1e6)), *labels)), str(bucket["count"])
    for name, member in (("workers_lost", "workersLost"), ("reloads", "reloads"), ("calls_refused", "callsRefused"),
                         ("records_suppressed", "recordsSuppressed")):
        yield (f"ktlsd_{name}_total", ()), str(status[member])


@test("ktlsctl tells the same, as status and as metrics")
def shown(service):
    status = service.wait_under_way(0)
    check_equal(settled(json.loads(ktlsctl(service, "status", "--json"))["service"]), settled(status), "ktlsctl status --json")
    found, wanted = samples(ktlsctl(service, "metrics")), dict(expected_samples(status))
    ours = {name: value for name, value in found.items() if name in wanted}
    check_equal(ours, wanted, "ktlsctl metrics")
    counted = {name for name in found if name[0].startswith(("ktlsd_requests_t", "ktlsd_request_d", "ktlsd_sessions",
                                                                       "ktlsd_stage"))}
    check_equal(counted - set(wanted), set(), "samples beyond")


@test("of what is used nothing is left, and the limits are those that were set")
def at_rest(service):
    status = service.status()
    quotas = {quota["name"]: quota for quota in status["quotas"]}
    settings = {(row["section"], row["key"]): row["value"] for row in status["configuration"]}
    for name in ("requests", "undelivered"):
        check_equal((quotas[name]["used"], quotas[name]["userUsed"]), (0, 0), f"{name} used")
    wait_until(lambda: service.daemon.callers() == 0, 5, "the end of all connections")
    connections = {quota["name"]: quota for quota in service.status()["quotas"]}["connections"]
    check_equal((connections["used"], connections["userUsed"]), (1, 1), "connections used")
    check_equal(str(connections["limit"]), settings["Limits", "Connections"], "the limit")
    check_equal(settings["Service", "Workers"], str(WORKERS), "Workers")
    check_equal(settings["Limits", "UserRecordsBurst"], str(FEW[1]), "UserRecordsBurst")
    check_equal(len(status["workers"]), WORKERS, "workers")
    check_equal(sorted(worker["pid"] for worker in status["workers"]),
                sorted(service.daemon.workers()), "their ids")
    check_equal(status["pid"], service.daemon.pid, "the supervisor's id")
    note(f"{len(json.dumps(status))} bytes")


if __name__ == "__main__":
    main(globals(), Service)
