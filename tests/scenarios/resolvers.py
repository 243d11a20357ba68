#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Resolvers that are stuck, killed or too few, and names of which not every address is alive: it
costs those whose names they are, and nobody else."""

import contextlib
import os
import select
import signal
import time

from ktlstest import names
from ktlstest.asking import (AT_ONCE, GONE, PATIENCE, SLOWNESS, check_descriptors, check_good,
                             settle, trusting)
from ktlstest.daemon import Daemon
from ktlstest.expect import check_error, check_timed_out
from ktlstest.peer import Blackhole, Peer, Refusing, client_states
from ktlstest.tap import check_between, check_equal, check_true, main, test, wait_until

CONNECT = "io.ktlsd.Connect"
MOST = 4  # which workers share; so there is but one here
STUCK = 100
CONFIG = f"[Limits]\nResolvers={MOST}\nUserResolvers={MOST}\nResolveTimeoutSec=15\n"
HOSTS = {"server.test": ["127.0.0.1"]}
SILENT = [f"n{index}.test" for index in range(STUCK)]
DELAY = 0.25  # seconds between attempts


def ask_by_name(daemon, peer, host="server.test"):
    return daemon.connect(host, peer.port, timeoutMs=PATIENCE, trust=trusting("ca"))


def check_served(daemon, peer, host="server.test"):
    with ask_by_name(daemon, peer, host) as reply:
        check_good(reply)
        check_between(reply.seconds, 0, AT_ONCE, f"seconds for {host}")


@contextlib.contextmanager
def stuck(daemon, count=STUCK):
    """So many callers with names that the name server does not answer for."""
    with names.NameServer(silent=SILENT) as server, contextlib.ExitStack() as stack:
        callers = {name: stack.enter_context(daemon.caller()) for name in SILENT[:count]}
        for name, caller in callers.items():
            caller.start(CONNECT, {"host": name, "port": 443, "timeoutMs": PATIENCE})
        wait_until(lambda: len(set(server.asked)) == min(count, MOST), 5, "as many questions")
        yield server, callers


@test(f"{STUCK} requests whose names are not answered for: literal addresses are served")
def literal_addresses(daemon):
    with stuck(daemon) as (server, _callers), Peer() as peer:
        for _ in range(10):
            check_served(daemon, peer, "127.0.0.1")
        check_equal(len(set(server.asked)), MOST, "names that are looked up at a time")
        # One more is kept for the next.
        check_between(len(daemon.resolvers()), MOST, MOST + 1, "resolvers")
    check_descriptors(daemon)


@test(f"{STUCK} requests whose names are not answered for: when they are gone, names are served")
def all_gone(daemon):
    with Peer() as peer:
        with stuck(daemon) as (_server, callers):
            for caller in callers.values():
                caller.close()
            wait_until(lambda: len(daemon.resolvers()) <= 1, GONE, "resolvers that are gone")
            check_served(daemon, peer)
        check_served(daemon, peer)
    check_descriptors(daemon)


@test("whoever waits for a resolver has it when another gives up, in turn")
def in_turn(daemon):
    with stuck(daemon, 3 * MOST) as (server, callers), daemon.caller() as last, Peer() as peer:
        last.start(CONNECT, {"host": "server.test", "port": peer.port, "timeoutMs": PATIENCE,
                             "trust": trusting("ca")})
        for _ in range(2):
            asked = set(server.asked)
            for name in asked & set(callers):
                callers.pop(name).close()
            wait_until(lambda before=asked: len(set(server.asked) - before) == MOST, GONE,
                       "the next questions")
        callers.popitem()[1].close()
        with last.receive() as reply:
            check_good(reply)
    check_descriptors(daemon)


@test("time runs out for those who wait for a resolver, too")
def waiting_too_long(daemon):
    limit = int(400 * SLOWNESS)
    with stuck(daemon, MOST) as (server, _callers):
        with daemon.connect("server.test", 443, timeoutMs=limit) as reply:
            check_timed_out(reply, "resolve", limit)
        check_equal(len(set(server.asked)), MOST, "names that were looked up")
    check_descriptors(daemon)


@test("names given up faster than resolvers can be made delay others, and no more")
def given_up(daemon):
    with names.NameServer(silent=SILENT), Peer() as peer:
        for name in SILENT:
            with daemon.caller() as caller:
                caller.start(CONNECT, {"host": name, "port": 443})
        check_good(ask_by_name(daemon, peer))
        wait_until(lambda: len(daemon.resolvers()) <= 1, 5, "resolvers that are gone")
    check_descriptors(daemon)


def readable(sock):
    return bool(select.select([sock], [], [], 0)[0])


def check_one_lost(reply):
    check_error(reply, "InternalError", "resolve", within=AT_ONCE)
    check_equal(reply.parameters["retry"], True, f"retry of {reply}")


@test("a resolver is killed: its own look-up is lost, and no other")
def resolver_killed(daemon):
    victim, = wait_until(daemon.resolvers, 5, "an idle resolver")
    with stuck(daemon, 1) as (server, callers), daemon.caller() as other, Peer() as peer:
        # The idle one has it. Another look-up has another one.
        other.start(CONNECT, {"host": SILENT[1], "port": 443, "timeoutMs": PATIENCE})
        wait_until(lambda: SILENT[1] in server.asked, 5, "the second question")
        os.kill(victim, signal.SIGKILL)
        with callers[SILENT[0]].receive() as reply:
            check_one_lost(reply)
        check_served(daemon, peer)
        check_true(not readable(other.sock), "the other look-up is under way")
    check_descriptors(daemon)


def is_dead(pid):
    """Whether it is gone, or would be if its parent took notice."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def check_names_served(daemon, peer):
    """Soon: a look-up that has its process killed under it may be lost."""
    def served():
        with ask_by_name(daemon, peer) as reply:
            if reply.error:
                check_one_lost(reply)
            else:
                check_good(reply)
            return not reply.error
    wait_until(served, 3, "a name that is resolved")


@test("{name} is killed: literal addresses are served at once, and names soon",
      cases=[{"name": "ktlsd-nursery"}, {"name": "ktlsd-resolver"}, {"name": "ktlsd-keeper"}])
def killed(_daemon, name):
    with settle(Daemon(CONFIG, workers=1)) as daemon, Peer() as peer:
        for _ in range(1 if name == "ktlsd-keeper" else 3):
            victim, = wait_until(lambda: daemon.resolvers(name), 5, name)
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda pid=victim: is_dead(pid), 5, "its end")
            check_served(daemon, peer, "127.0.0.1")
            check_names_served(daemon, peer)
        # As many at a time as ever.
        with stuck(daemon, MOST):
            check_served(daemon, peer, "127.0.0.1")


def attempts(port):
    """The states of what ktlsd has tried."""
    return sorted(client_states(port).values())


@test("the first address of a name {how}: the second has its chance {when}", cases=[
    {"how": "never answers", "when": "after 250 ms", "least": DELAY},
    {"how": "refuses", "when": "at once", "least": 0}])
def fallback(daemon, how, when, least):
    # The C library puts first what is nearer to our own address.
    addresses = {"two.test": ["127.0.0.2", "127.0.0.1"]}
    with names.NameServer(addresses), Peer(host="127.0.0.2") as peer, \
            contextlib.ExitStack() as stack:
        if how == "never answers":
            hole = stack.enter_context(Blackhole(port=peer.port))
        with daemon.connect("two.test", peer.port, timeoutMs=PATIENCE,
                            trust=trusting("ca", name="server.test")) as reply:
            session = reply.parameters["session"]
            check_equal(session["address"], f"127.0.0.2:{peer.port}", "the address")
            check_between(session["timings"]["connect"] / 1e6, least,
                          least + 0.2 * SLOWNESS, "seconds until connected")
            if how == "never answers":
                wait_until(lambda: not hole.is_tried(), GONE, "the end of the first attempt")
            check_good(reply)
    check_descriptors(daemon)


@test("all addresses of a name refuse")
def none_alive(daemon):
    addresses = {"many.test": [f"127.0.0.{index}" for index in range(1, 6)]}
    with names.NameServer(addresses), Refusing() as port:
        with daemon.connect("many.test", port.port, timeoutMs=PATIENCE) as reply:
            check_error(reply, "ConnectFailed", "connect", errno="ECONNREFUSED", within=AT_ONCE)
    check_descriptors(daemon)


@test("no address of a name answers: time runs out, and every attempt is gone")
def none_answers(daemon):
    limit = int(700 * SLOWNESS)
    with contextlib.ExitStack() as stack:
        hole = stack.enter_context(Blackhole())
        stack.enter_context(Blackhole(port=hole.port, host="127.0.0.2"))
        stack.enter_context(names.NameServer({"two.test": ["127.0.0.2", "127.0.0.1"]}))
        caller = stack.enter_context(daemon.caller())
        before = len(attempts(hole.port))
        start = time.monotonic()
        caller.start(CONNECT, {"host": "two.test", "port": hole.port, "timeoutMs": limit})
        wait_until(lambda: len(attempts(hole.port)) == before + 2, 2, "two attempts")
        with caller.receive(start) as reply:
            check_timed_out(reply, "connect", limit)
        wait_until(lambda: len(attempts(hole.port)) <= before, GONE, "the end of both")
    check_descriptors(daemon)


@test("ktlsd has no process that it did not begin with")
def processes(daemon):
    wait_until(lambda: len(daemon.resolvers()) == 1, 3, "one resolver")
    check_equal(len(daemon.children()), daemon.children_at_rest, "processes")


def start():
    names.configure(HOSTS)
    daemon = settle(Daemon(CONFIG, workers=1))
    daemon.children_at_rest = len(daemon.children())
    return daemon


if __name__ == "__main__":
    main(globals(), start)
