#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Descriptors and memory run out at any system call: who asks gets a reply or a clean end, and the
next one is served as ever."""

import collections
import contextlib
import os
import re
import resource
import select
import signal
import tempfile
import time

from ktlstest import door, names, strace
from ktlstest.asking import PATIENCE, SLOWNESS, check_descriptors, check_good, settle, trusting
from ktlstest.daemon import Daemon
from ktlstest.peer import Peer, Refusing
from ktlstest.tap import (CheckFailed, check_between, check_equal, check_not_in, check_true, main, note, test,
                          wait_until)
from ktlstest.wire import Closed, WireError

CONNECT = "io.ktlsd.Connect"
GET_INFO = "org.varlink.service.GetInfo"
ALL = os.environ.get("KTLSTEST_LONG") == "1"
HERE = door.FAKE_KERNEL
ONCE = [{}] if HERE or ALL else []
THERE = [] if HERE else [{}]  # as root of the whole machine
DEADLINE = 2 * SLOWNESS     # seconds, of a request that is in trouble
SHORTAGE = 2.0              # seconds, of one that lasts
# Of a processor. The guest counts in hundredths of a second, and its time is not its own.
MOST_CPU = 0.05 if HERE else 0.25
WORKERS = 1
CONFIG = f"[Service]\nWorkers={WORKERS}\n[Limits]\nUserPenaltySec=0\nUserRequests=2\nUserUndelivered=2\n" \
         f"ResolveTimeoutSec={int(1000 * SLOWNESS)}ms\nUserRequestsPerSec=100000\n" \
         f"UserRequestsBurst=100000\n"

# What a call fails with that the machine has too little of. Those that make a descriptor have all
# of it; others memory alone.
MAKES_DESCRIPTOR = ("EMFILE", "ENFILE", "ENOMEM")
FAILS = {
    "accept4": (*MAKES_DESCRIPTOR, "ENOBUFS"), "socket": (*MAKES_DESCRIPTOR, "ENOBUFS"),
    "socketpair": MAKES_DESCRIPTOR, "openat": MAKES_DESCRIPTOR, "epoll_create1": MAKES_DESCRIPTOR,
    "eventfd2": MAKES_DESCRIPTOR, "recvmsg": ("ENOMEM", "ENOBUFS"),
    "sendmsg": ("ENOMEM", "ENOBUFS", "ETOOMANYREFS"), "sendto": ("ENOMEM", "ENOBUFS"),
    "recvfrom": ("ENOMEM", "ENOBUFS"), "connect": ("ENOMEM", "ENOBUFS"),
    "getsockopt": ("ENOMEM", "ENOBUFS"), "setsockopt": ("ENOMEM", "ENOBUFS"),
    "getsockname": ("ENOBUFS",), "getpeername": ("ENOBUFS",), "bind": ("ENOMEM",), "listen": ("ENOMEM",),
    "epoll_ctl": ("ENOMEM", "ENOSPC"), "read": ("ENOMEM",), "write": ("ENOMEM",),
    "poll": ("ENOMEM",), "fcntl": ("ENOMEM", "EMFILE"), "ioctl": ("ENOMEM",),
    "mmap": ("ENOMEM",), "mprotect": ("ENOMEM",), "fstat": ("ENOMEM",),
    "newfstatat": ("ENOMEM",), "getdents64": ("ENOMEM",), "lseek": ("ENOMEM",),
    "sched_getaffinity": ("ENOMEM",), "clone": ("ENOMEM", "EAGAIN"), "getrandom": ("ENOMEM",), "clone3": ("ENOMEM", "EAGAIN"),
    "landlock_create_ruleset": ("ENOMEM", "EMFILE"), "landlock_add_rule": ("ENOMEM",),
    "landlock_restrict_self": ("ENOMEM",), "seccomp": ("ENOMEM",), "capset": ("ENOMEM",),
    "mremap": ("ENOMEM",), "signalfd4": MAKES_DESCRIPTOR,
}
# What is left to the guest, which is slow, is what the kernel does of TLS.
TRIED = FAILS if HERE or ALL else {call: FAILS[call] for call in ("setsockopt", "getsockopt")}
# These have nothing to ask for, or nobody could do anything about it. (What brk(2) returns is no
# error number, so that strace cannot make it fail.)
NEVER = {
    "brk", "uname", "epoll_wait", "close", "shutdown", "munmap", "clock_gettime", "gettimeofday", "time", "getpid",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "setitimer", "wait4", "kill", "futex",
    "restart_syscall", "exit_group", "close_range", "dup3", "prctl", "prlimit64", "set_robust_list",
    "set_tid_address", "rseq", "capget", "sysinfo", "madvise", "gettid", "tgkill", "getuid", "geteuid", "getgid", "getegid", "access",
}


# --- what is asked

class Errand:
    """What callers want of a service in trouble: each gets a reply or a clean end in time."""

    def __init__(self, daemon, peer, refusing):
        self.daemon, self.peer, self.refusing = daemon, peer, refusing
        self.outcomes = collections.Counter()

    def target(self, port):
        return {"host": "server.test", "port": port, "trust": trusting("ca"),
                "timeoutMs": int(DEADLINE * 1000)}

    def check_next(self):
        """As if nothing had been."""
        with self.daemon.caller(DEADLINE) as caller, \
                caller.call(CONNECT, self.target(self.peer.port)) as reply:
            check_good(reply)

    def _ask(self, caller, method, parameters=None):
        with caller.call(method, parameters) as reply:
            self.outcomes[(reply.error or "success").rpartition(".")[2]] += 1
            if method == CONNECT and not reply.error:
                check_good(reply)

    def ask(self):
        """Three calls of one caller, as far as it goes."""
        try:
            with self.daemon.caller(2 * DEADLINE) as caller:
                self._ask(caller, GET_INFO)
                self._ask(caller, CONNECT, self.target(self.refusing.port))
                self._ask(caller, CONNECT, self.target(self.peer.port))
        except (Closed, ConnectionResetError, BrokenPipeError) as error:
            check_not_in("{", str(error), "what came before the end")
            self.outcomes["closed"] += 1
        wait_until(lambda: self.daemon.callers() == 0, DEADLINE, "the end of the connection")

    def reload(self):
        """It is told how that went, in the log or to the service manager, whichever works. No time
        is promised for that: a new worker may be long in coming."""
        def heard():
            return any(b"READY=1" in text for text in self._notified()) or verdicts() > before

        def verdicts():
            return len(re.findall("read anew|has faults|no worker", self.daemon.stderr()))
        self._notified()
        before = verdicts()
        os.kill(self.daemon.pid, signal.SIGHUP)
        wait_until(heard, PATIENCE / 1000, "what became of the reload")
        wait_until(lambda: len(self.daemon.resolvers("ktlsd-worker")) == WORKERS, PATIENCE / 1000,
                   "the end of the old workers")

    def _notified(self):
        """What the service manager would have been told since it was last asked for."""
        told = []
        self.daemon.notify.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                told.append(self.daemon.notify.recv(4096))
        return told

    def forget(self):
        """The resolver is lost, and another one has to be made."""
        end(self.daemon, self.daemon.resolvers())
        self.ask()

    def bring_home(self):
        """A resolver whose nursery has ended is nobody's child that we know: a new one of each."""
        end(self.daemon, [process(self.daemon, "worker")])
        self.check_next()
        wait_until(self.daemon.resolvers, DEADLINE, "a resolver")


def end(daemon, pids):
    """Killed, and so seen by whom they belong to."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not set(pids) & set(daemon.children()), DEADLINE, "the end of processes")


@contextlib.contextmanager
def errands(daemon):
    with Peer() as peer, Refusing() as refusing:
        errand = Errand(daemon, peer, refusing)
        errand.check_next()
        yield errand
    note(", ".join(f"{count} {outcome}" for outcome, count in sorted(errand.outcomes.items())))


# --- one after the other

def process(daemon, who):
    """The supervisor, or the one worker that there is work for."""
    if who == "supervisor":
        return daemon.pid
    return wait_until(lambda: daemon.resolvers(f"ktlsd-{who}"), DEADLINE, who)[0]


def seen(daemon, who, act):
    """How often it makes which call, in the order of the first."""
    with strace.Trace(process(daemon, who)) as trace:
        act()
        trace.detach()
        return collections.Counter(trace.calls())


def errors(call, number):
    """All of them, one after the other; or one, another one each time."""
    return FAILS[call] if ALL else [FAILS[call][number % len(FAILS[call])]]


def fail_one(errand, who, act, call, error, number):
    """Whether there was so late a call, and what was not as it should be."""
    daemon, injected, fault = errand.daemon, False, None
    if who == "nursery":
        errand.bring_home()
    try:
        with strace.failing(process(daemon, who), call, error, number) as trace:
            try:
                act()
            finally:
                trace.detach()
                injected = trace.injected() > 0
        errand.check_next()
        check_descriptors(daemon)
    except (CheckFailed, OSError, WireError) as problem:
        fault = f"{error} at {call} number {number}: {problem!r}"
    check_true(daemon.alive(), f"ktlsd lives after {error} at {call} number {number}")
    return injected, [fault] if fault else []


def fail_each(call, fail, skipped):
    """Every such call behind the first fails once: how many there were, and the faults."""
    number, injected, faults = skipped, True, []
    while injected:
        number += 1
        for error in errors(call, number):
            injected, found = fail(call, error, number)
            faults += found
    return number - 1 - skipped, faults


def check_each(calls, fail, skipped=collections.Counter()):
    """fail(call, error, number): whether there was so late a call, and the faults."""
    faults = []
    for call in filter(TRIED.get, calls):
        count, found = fail_each(call, fail, skipped[call])
        note(f"{call}: {count} times")
        faults += found
    check_equal(faults, [], "what went wrong after a call had failed")


# On the machine's own kernel, where it is fast, all of them; in the guest, what needs kernel TLS.
@test("{act}: each call of the {who} fails once", cases=[
    {"who": "worker", "act": "forget"}, *([
        {"who": "supervisor", "act": "ask"}, {"who": "supervisor", "act": "reload"},
        {"who": "nursery", "act": "forget"}] if HERE or ALL else [])], deadline=900)
def once(daemon, who, act):
    with errands(daemon) as errand:
        act = getattr(errand, act)
        calls = seen(daemon, who, act)
        check_equal(sorted(set(calls) - set(FAILS) - NEVER), [], "calls that nobody thought of")
        check_each(calls, lambda *what: fail_one(errand, who, act, *what))


# --- while a process begins

def bear(daemon, trace):
    """A worker is lost; until another serves, or has failed to begin."""
    os.kill(process(daemon, "worker"), signal.SIGKILL)
    with daemon.caller() as caller:
        caller.start(GET_INFO)
        wait_until(lambda: trace.injected() or readable(caller.sock), 10 * DEADLINE, "a worker")
        trace.detach()
        await_end(caller)


def readable(sock):
    return bool(select.select([sock], [], [], 0)[0])


def births(daemon):
    """The calls of the supervisor and of a worker that it forks."""
    with strace.Trace(daemon.pid, "-f") as trace:
        bear(daemon, trace)
        return collections.Counter(trace.calls())


def fail_birth(errand, call, error, number):
    """Whether there was so late a call, and what was not as it should be."""
    daemon, injected, fault = errand.daemon, False, None
    try:
        with strace.failing(daemon.pid, call, error, number, "-f") as trace:
            bear(daemon, trace)
            injected = trace.injected() > 0
        errand.check_next()
        check_descriptors(daemon)
    except (CheckFailed, OSError, WireError) as problem:
        fault = f"{error} at {call} number {number}: {problem!r}"
    check_true(daemon.alive(), f"ktlsd lives after {error} at {call} number {number}")
    return injected, [fault] if fault else []


@test("a worker is born: each call fails once", deadline=900, cases=ONCE)
def birth(daemon):
    with errands(daemon) as errand:
        calls = births(daemon)
        check_equal(sorted(set(calls) - set(FAILS) - NEVER), [], "calls that nobody thought of")
        check_each(calls, lambda *what: fail_birth(errand, *what))


def judge(problem):
    """Not to begin is no fault, if it is told and the service manager sees it."""
    status, _, text = problem.partition("instead of becoming ready:\n")
    told = re.fullmatch(r"ktlsd ended with (-?\d+) ", status)
    return None if told and told[1] != "0" and text.strip() else problem


def begin(call, error, number):
    """Whether ktlsd had so late a call to make, and what was not as it should be."""
    fault = None
    with tempfile.NamedTemporaryFile(mode="r", encoding="utf-8") as file:
        prefix = ["strace", "-o", file.name, "-e", f"trace={call}",
                  "-e", f"inject={call}:error={error}:when={number}"]
        try:
            with Daemon(CONFIG, prefix=prefix):
                pass
        except (CheckFailed, TimeoutError, RuntimeError) as problem:
            fault = judge(str(problem))
        faults = [f"{error} at {call} number {number}: {fault}"] if fault else []
        return "(INJECTED)" in file.read(), faults


@test("ktlsd begins: each call fails once", deadline=900, cases=ONCE)
def beginning(_daemon):
    with tempfile.NamedTemporaryFile(mode="r", encoding="utf-8") as file:
        with Daemon(CONFIG, prefix=["strace", "-o", file.name]):
            pass
        # Before that it is the C library that loads others.
        loading, _, own = file.read().partition('openat(AT_FDCWD, "/dev/null"')
    check_each(collections.Counter(["openat", *strace.CALL.findall(own)]), begin,
               collections.Counter(strace.CALL.findall(loading)))


# --- all of them, for a while

def check_quiet(daemon, act):
    """What it takes of a processor meanwhile is next to nothing."""
    cpu, began = daemon.cpu_seconds(), time.monotonic()
    act()
    share = (daemon.cpu_seconds() - cpu) / (time.monotonic() - began)
    note(f"{100 * share:.1f} % of a processor")
    check_between(share, 0, MOST_CPU, "share of a processor")


def await_end(caller):
    """A reply or a clean end: which."""
    try:
        with caller.receive() as reply:
            return reply.error or "success"
    except (Closed, ConnectionResetError) as error:
        check_not_in("{", str(error), "what came before the end")
        return "closed"


def wait_all(seconds):
    """So long is the shortage, whatever was answered meanwhile."""
    select.select([], [], [], seconds)


def check_recovered(errand, usual):
    """The next one is served within a second more than it ever takes."""
    began = time.monotonic()
    errand.check_next()
    check_between(time.monotonic() - began, 0, 1 + 10 * usual, "seconds until it is served")


def usual_time(errand):
    began = time.monotonic()
    errand.check_next()
    return time.monotonic() - began


@test("{error} at every {call} of the {who}, for {seconds} s", cases=[
    {"who": who, "call": call, "error": error, "seconds": SHORTAGE} for who, call, error in (
        ("supervisor", "accept4", "EMFILE"), ("supervisor", "accept4", "ENFILE"),
        ("supervisor", "sendmsg", "ENOBUFS"), ("supervisor", "epoll_ctl", "ENOMEM"),
        ("supervisor", "recvmsg", "ENOMEM"), ("worker", "epoll_ctl", "ENOMEM"),
        ("worker", "recvmsg", "ENOMEM"), ("worker", "socket", "EMFILE"),
        ("worker", "getsockopt", "ENOBUFS"), ("worker", "sendmsg", "ENOBUFS"),
        ("nursery", "recvmsg", "ENOMEM"), ("nursery", "clone", "EAGAIN")) if HERE or ALL])
def lasting(daemon, who, call, error, seconds):
    with errands(daemon) as errand:
        usual = usual_time(errand)
        if who == "nursery":
            end(daemon, daemon.resolvers())
        with strace.failing(process(daemon, who), call, error, "1+") as trace, \
                daemon.caller() as caller:
            with contextlib.suppress(BrokenPipeError):
                caller.start(CONNECT, errand.target(errand.peer.port))
            check_quiet(daemon, lambda: wait_all(seconds))
            check_true(daemon.alive(), "ktlsd lives")
            trace.detach()
            check_true(trace.injected() > 0, "it was tried")
            note(f"{trace.injected()} times, {await_end(caller)}")
        check_recovered(errand, usual)
    check_descriptors(daemon)


# --- by the limit of the process itself

@contextlib.contextmanager
def no_descriptor(pid, spare=0):
    """It may have as many as it has, and so many more."""
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = [number for number in range(len(taken) + spare + 1) if number not in taken]
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[spare], limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


@test("the supervisor has no descriptor left: callers wait, and are served when it has",
      cases=THERE)
def accepting_rests(daemon):
    with errands(daemon) as errand:
        usual, told = usual_time(errand), daemon.stderr().count("cannot accept")
        with no_descriptor(daemon.pid):
            caller = daemon.caller()
            caller.start(CONNECT, errand.target(errand.peer.port))
            check_quiet(daemon, lambda: wait_all(SHORTAGE))
            check_true(not readable(caller.sock), "the caller waits")
            began = time.monotonic()
        with caller, caller.receive() as reply:
            check_good(reply)
        check_between(time.monotonic() - began, 0, 1 + 10 * usual, "seconds until it is served")
        check_equal(daemon.stderr().count("cannot accept"), told + 1, "lines of the log")
        errand.check_next()
    check_descriptors(daemon)


@test("a worker has no descriptor left: its caller is told at once to come again",
      cases=THERE)
def untaken(daemon):
    with errands(daemon) as errand:
        usual = usual_time(errand)
        with no_descriptor(process(daemon, "worker")):
            # He is told before he has asked for anything.
            with daemon.caller() as caller, caller.receive() as reply:
                check_equal((reply.error, reply.parameters.get("retry")), ("io.ktlsd.Busy", True),
                            f"the verdict of {reply}")
                check_between(reply.seconds, 0, 1 + 10 * usual, f"seconds of {reply}")
            check_quiet(daemon, lambda: wait_all(SHORTAGE))
        check_recovered(errand, usual)
    check_descriptors(daemon)


@test("a worker has {spare} descriptors left", cases=[
    {"spare": spare} for spare in range(1, 6) if not HERE])
def few_left(daemon, spare):
    with errands(daemon) as errand:
        with no_descriptor(process(daemon, "worker"), spare):
            errand.forget()
        errand.check_next()
    check_descriptors(daemon)


def start():
    names.configure({"server.test": ["127.0.0.1"]})
    return settle(Daemon(CONFIG))


if __name__ == "__main__":
    main(globals(), start)
