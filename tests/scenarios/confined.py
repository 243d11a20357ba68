#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the processes of ktlsd may do and what they have open: each what it needs, and no more; and
that workers end with the supervisor, and by nobody else's word."""

import contextlib
import os
import signal

from ktlstest import names
from ktlstest.asking import ask, check_good, settle, trusting
from ktlstest.daemon import Daemon
from ktlstest.peer import Peer
from ktlstest.tap import check_equal, check_not_in, check_true, main, test, wait_until

WORKERS = 2
ROOT = 0
FILTERED = 2  # Seccomp in /proc/PID/status
# The loop's and the watches' sets, and what wakes the loop from a signal handler.
LOOP = {"anon_inode:[eventpoll]": 2, "anon_inode:[eventfd]": 1, "anon_inode:[timerfd]": 1}
GET_INFO = "org.varlink.service.GetInfo"
# Of a socket in /proc/net/unix.
TYPES = {"0001": "stream", "0005": "seqpacket"}


def has_filters():
    return os.path.exists("/proc/sys/kernel/seccomp/actions_avail")


@test("started as {user}: no process has or can get a privilege, and workers have a filter", cases=[
    {"user": "root"}, {"user": "nobody"}])
def privileges(_daemon, user):
    with Daemon(workers=WORKERS, user=None if user == "root" else user) as ktlsd:
        with Peer() as peer:
            check_good(ask(ktlsd, peer, trust=trusting("ca")))
        workers = ktlsd.workers()
        check_equal(len(workers), WORKERS, "workers")
        for pid in ktlsd.pids():
            rights = ktlsd.confinement(pid)
            check_equal((rights.capabilities, rights.no_new_privs, rights.core), (0, True, 0),
                        f"capabilities, no_new_privs and core limit of {pid}")
            check_not_in(ROOT, (*rights.uids, *rights.gids, *rights.groups), f"users of {pid}")
            if pid in workers and has_filters():
                check_equal(rights.seccomp, FILTERED, f"the filter of worker {pid}")


def unix_sockets():
    """By what a descriptor of it reads as: its type and its path."""
    found = {}
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
        for row in (line.split() for line in file.readlines()[1:]):
            path = row[7] if len(row) > 7 else None
            found[f"socket:[{row[6]}]"] = (TYPES.get(row[4], row[4]), path)
    return found


def opened(pid):
    """What a process has open beside its standard streams: how many of what, sockets by type and
    path. A socket that is none of AF_UNIX is named as it is."""
    known, counts = unix_sockets(), {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        target = os.readlink(f"/proc/{pid}/fd/{name}")
        if int(name) > 2:
            target = known.get(target, target)
            counts[target] = counts.get(target, 0) + 1
    return counts


def streams(pid):
    return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)]


def less_loop(counts):
    """Without what libev may or may not make, by kernel and version."""
    left = {target: n for target, n in counts.items() if target not in LOOP}
    excess = [target for target, most in LOOP.items() if counts.get(target, 0) > most]
    check_equal(excess, [], f"too many of these in {counts}")
    return left


@contextlib.contextmanager
def one_for_each(daemon):
    """A caller of each worker's."""
    wait_until(lambda: daemon.callers() == 0, 5, "the end of other connections")
    with contextlib.ExitStack() as stack:
        callers = [stack.enter_context(daemon.caller()) for _ in range(WORKERS)]
        for caller in callers:
            with caller.call(GET_INFO):
                pass
        yield callers


@test("a worker has its three sockets and its loop open, and the connections that it serves")
def workers_have(daemon):
    # To the supervisor, to the nursery, and to a resolver that waits.
    resting = {("seqpacket", None): 3}
    serving = {**resting, ("stream", daemon.socket_path): 1}
    for pid in daemon.workers():
        check_equal(less_loop(opened(pid)), resting, f"what {pid} has open")
        check_equal(streams(pid), ["/dev/null", "/dev/null", daemon.stderr_path], "its streams")
    with one_for_each(daemon):
        for pid in daemon.workers():
            check_equal(less_loop(opened(pid)), serving, f"what {pid} has open, serving one")


@test("who looks up names has one socket open, and so have those who see to it")
def resolvers_have(daemon):
    pids = [pid for pid in daemon.children() if pid not in daemon.workers()]
    check_equal(len(pids), 2 + WORKERS, "keeper, nursery, and a resolver of each worker")
    for pid in pids:
        check_equal(opened(pid), {("seqpacket", None): 1}, f"what {pid} has open")


@test("a worker is sent {number}: it goes on to serve its callers", cases=[
    {"number": number} for number in ("SIGTERM", "SIGINT", "SIGHUP")])
def signals(daemon, number):
    workers, number = daemon.workers(), getattr(signal, number)
    with one_for_each(daemon) as callers, Peer() as peer:
        for pid in workers:
            # A handler that was inherited would write where the supervisor's pipe had been.
            check_true(bool(daemon.confinement(pid).ignored & 1 << number - 1), "it is ignored")
            os.kill(pid, number)
        for caller in callers:
            with caller.connect(peer.host, peer.port, trust=trusting("ca")) as reply:
                check_good(reply)
    check_equal(daemon.workers(), workers, "the workers")


def is_gone(pid):
    return not os.path.exists(f"/proc/{pid}")


@test("the supervisor is killed: nothing of it is left, whatever was under way")
def supervisor_killed(_daemon):
    with Daemon(workers=WORKERS) as doomed, contextlib.ExitStack() as stack:
        with names.NameServer(silent=["silent.test"]) as server:
            for _ in range(WORKERS):
                caller = stack.enter_context(doomed.caller())
                caller.start("io.ktlsd.Connect", {"host": "silent.test", "port": 443})
            wait_until(lambda: server.asked, 5, "a question")
            pids = doomed.pids()
            check_equal(doomed.kill(), -signal.SIGKILL, "how it ended")
            for pid in pids:
                wait_until(lambda pid=pid: is_gone(pid), 5, f"the end of {pid}")
    check_true(all(map(is_gone, pids)), "nothing is left")


def start():
    names.configure({})
    return settle(Daemon(workers=WORKERS))


if __name__ == "__main__":
    main(globals(), start)
