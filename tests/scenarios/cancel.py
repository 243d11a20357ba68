#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A caller hangs up, or time runs out, at every stage of a request: the connection to the server is
gone at once, and so is everything else that the request had."""

import contextlib
import os
import select
import signal
import socket
from typing import Callable, NamedTuple

from ktlstest import names
from ktlstest.asking import (GONE, PATIENCE, SLOWNESS, ask, check_descriptors, check_good,
                             settle, trusting)
from ktlstest.daemon import PER_CALLER, Daemon
from ktlstest.expect import check_timed_out
from ktlstest.peer import STEPS, Blackhole, Peer, Plan
from ktlstest.tap import (check_equal, check_raises, check_true, main, test,
                          wait_until)
from ktlstest.wire import Closed

CONNECT = "io.ktlsd.Connect"
LIMIT = int(400 * SLOWNESS)  # milliseconds
LIMITS = f"[Limits]\nResolveTimeoutSec={LIMIT}ms\nConnectTimeoutSec={LIMIT}ms\n" \
         f"HandshakeTimeoutSec={LIMIT}ms\n"


class Stage(NamedTuple):
    """How to get a request to some stage and no further."""
    name: str
    parameters: dict
    reached: Callable  # whether it is there; takes the caller
    gone: Callable  # whether nothing is left of it
    start: Callable = lambda caller, parameters: caller.start(CONNECT, parameters)


def readable(sock):
    return bool(select.select([sock], [], [], 0)[0])


def is_held(daemon):
    """The connection, and nothing else."""
    return daemon.fd_count() == daemon.fds_at_rest + PER_CALLER


def is_let_go(daemon):
    return daemon.fd_count() == daemon.fds_at_rest


@contextlib.contextmanager
def idle(daemon):
    """Connected, and a call was answered."""
    def start(caller, _parameters):
        with caller.call("org.varlink.service.GetInfo"):
            pass
    yield Stage("idle", {}, lambda _caller: is_held(daemon), lambda: is_let_go(daemon), start)


@contextlib.contextmanager
def half_a_message(daemon):
    yield Stage("half a message", {}, lambda _caller: is_held(daemon), lambda: is_let_go(daemon),
                lambda caller, _parameters: caller.send(b'{"method":"io.ktlsd.Conn'))


@contextlib.contextmanager
def resolving(daemon):
    """The name server never answers."""
    idle_ones = set(wait_until(daemon.resolvers, 5, "a resolver"))
    with names.NameServer(silent=["silent.test"]) as server:
        yield Stage("resolve", {"host": "silent.test", "port": 443},
                    lambda _caller: bool(server.asked),
                    lambda: not idle_ones <= set(daemon.resolvers()))


@contextlib.contextmanager
def connecting(_daemon):
    """The server answers no SYN."""
    with Blackhole() as port:
        yield Stage("connect", {"host": port.host, "port": port.port},
                    lambda _caller: port.is_tried(), lambda: not port.is_tried())


def shaking_hands(step):
    """The server falls silent at a step of the handshake."""
    @contextlib.contextmanager
    def stage(_daemon):
        with Peer(plan=Plan(step, "stall")) as peer:
            yield Stage("handshake", {"host": peer.host, "port": peer.port,
                                      "trust": trusting("ca")},
                        lambda _caller: peer.connection().stepped.is_set(),
                        lambda: peer.connection().gone.is_set())
    return stage


@contextlib.contextmanager
def replied(_daemon):
    """The socket is in the reply, and the reply isn't received."""
    with Peer() as peer:
        yield Stage("delivery", {"host": peer.host, "port": peer.port, "trust": trusting("ca")},
                    lambda caller: readable(caller.sock),
                    lambda: peer.connection().gone.is_set())


HANDSHAKES = {f"the handshake, at {step}": shaking_hands(step) for step in STEPS[:-1]}
WAITING = {"the look-up of the name": resolving, "connecting": connecting, **HANDSHAKES}
STAGES = {"nothing": idle, "half a message": half_a_message, **WAITING,
          "a reply on its way": replied}


def close(caller):
    caller.close()


def shut_down(caller):
    """No more calls. Nor are there any more replies then."""
    caller.sock.shutdown(socket.SHUT_WR)


def die(caller):
    """The last process that has the connection is killed."""
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    caller.close()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


HANG_UPS = {"closes": close, "shuts down": shut_down, "dies": die}


@test("the caller {how} during {what}", cases=[
    {"how": how, "what": what} for what in STAGES for how in HANG_UPS
    if (how, what) != ("shuts down", "a reply on its way")])
def hanging_up(daemon, how, what):
    with STAGES[what](daemon) as stage, daemon.caller() as caller:
        stage.start(caller, stage.parameters)
        wait_until(lambda: stage.reached(caller), 5, f"the request at {stage.name}")
        HANG_UPS[how](caller)
        wait_until(stage.gone, GONE, f"the end of {stage.name}")
        if how == "shuts down":
            check_raises(Closed, caller.receive)
    check_descriptors(daemon)


@test("the caller hangs up during {what}, and the calls that wait are not carried out", cases=[
    {"what": what} for what in WAITING])
def waiting_calls(daemon, what):
    with STAGES[what](daemon) as stage, daemon.caller() as caller, Peer() as peer:
        stage.start(caller, stage.parameters)
        for _ in range(4):
            caller.start(CONNECT, {"host": peer.host, "port": peer.port, "trust": trusting("ca")})
        wait_until(lambda: stage.reached(caller), 5, f"the request at {stage.name}")
        caller.close()
        wait_until(stage.gone, GONE, f"the end of {stage.name}")
        check_good(ask(daemon, peer, trust=trusting("ca")))
        check_equal(len(peer.connections), 1, "connections that the next server saw")
    check_descriptors(daemon)


def check_runs_out(daemon, what, **parameters):
    with STAGES[what](daemon) as stage, daemon.caller() as caller:
        with caller.call(CONNECT, {**stage.parameters, **parameters}) as reply:
            check_timed_out(reply, stage.name, LIMIT)
        wait_until(stage.gone, GONE, f"the end of {stage.name}")
        check_true(stage.reached(caller) or stage.name == "connect", f"it was at {stage.name}")
        with caller.call("org.varlink.service.GetInfo") as reply:
            check_equal(reply.error, None, "the next call on the same connection")
    check_descriptors(daemon)


@test("the request's time is over during {what}", cases=[{"what": what} for what in WAITING])
def timing_out(daemon, what):
    check_runs_out(daemon, what, timeoutMs=LIMIT)


@test("the stage's own time is over during {what}", cases=[{"what": what} for what in WAITING])
def stage_timing_out(_daemon, what):
    with settle(Daemon(LIMITS)) as limited:
        check_runs_out(limited, what, timeoutMs=PATIENCE)


def start():
    names.configure({"server.test": ["127.0.0.1"]})
    return settle(Daemon())


if __name__ == "__main__":
    main(globals(), start)
