#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What callers may have of ktlsd at a time, and how long they may take for it."""

import array
import contextlib
import fcntl
import select
import socket
import termios
import time

from ktlstest.asking import (AT_ONCE, GONE, PATIENCE, SLOWNESS, ask, check_descriptors, check_good,
                             settle, trusting)
from ktlstest.daemon import PER_CALLER, Daemon
from ktlstest.expect import SLACK, check_error
from ktlstest.peer import Peer, Plan
from ktlstest.refused import CLOSED, check_verdict
from ktlstest.tap import (check_between, check_equal, check_in, check_true, main, note, test,
                          wait_until)

CONNECT = "io.ktlsd.Connect"
GET_INFO = "org.varlink.service.GetInfo"
DESCRIBE = "org.varlink.service.GetInterfaceDescription"
DELIVERY = int(800 * SLOWNESS)  # milliseconds
MOST = 4
CONFIG = f"[Limits]\nRequests={MOST}\nConnections={3 * MOST}\nDeliveryTimeoutSec={DELIVERY}ms\n"
STALLING = Plan("accept", "stall")


def readable(sock, seconds=0):
    return bool(select.select([sock], [], [], seconds)[0])


def target(peer, **more):
    return {"host": peer.host, "port": peer.port, "trust": trusting("ca"), **more}


def check_answered(caller):
    with caller.call(GET_INFO) as reply:
        check_equal(reply.error, None, f"the error of {reply}")


@test(f"{MOST} requests may be under way; one more is Busy, until one of them is over")
def requests(daemon):
    with Peer(plan=STALLING) as bad, Peer() as good, contextlib.ExitStack() as stack:
        callers = [stack.enter_context(daemon.caller()) for _ in range(MOST)]
        for caller in callers:
            caller.start(CONNECT, target(bad))
        bad.connection(MOST - 1)
        with daemon.caller() as late:
            for _ in range(2):
                with late.call(CONNECT, target(good)) as reply:
                    check_error(reply, "Busy", "policy", within=AT_ONCE)
            check_answered(late)
            check_equal(len(good.connections), 0, "connections of those who were one too many")
            callers[0].close()
            # Of two workers, either may have come first.
            wait_until(lambda: any(one.gone.is_set() for one in bad.connections), 5,
                       "the end of one of the connections")
            with late.call(CONNECT, target(good)) as reply:
                check_good(reply)
    check_descriptors(daemon)


@test(f"{3 * MOST} callers may be connected; one more is served when one of them has gone")
def connections(daemon):
    with contextlib.ExitStack() as stack:
        callers = [stack.enter_context(daemon.caller()) for _ in range(3 * MOST)]
        for caller in callers:
            check_answered(caller)
        late = stack.enter_context(daemon.caller())
        late.start(GET_INFO)
        for caller in callers:
            check_answered(caller)
        check_true(not readable(late.sock), "the late one waits")
        # The late one has been accepted, which is all that it has.
        check_equal(daemon.fd_count(), daemon.fds_at_rest + 3 * MOST * PER_CALLER + 1,
                    "descriptors")
        callers[0].close()
        with late.receive() as reply:
            check_equal(reply.error, None, "what the late one was told")
    check_descriptors(daemon)


@test("4 calls may wait, and are answered in their order")
def in_order(daemon):
    limit = int(400 * SLOWNESS)
    with Peer(plan=STALLING) as bad, Peer() as good, daemon.caller() as caller:
        began = time.monotonic()
        caller.start(CONNECT, target(bad, timeoutMs=limit))
        bad.connection(0)
        caller.start(GET_INFO)
        caller.start("io.ktlsd.Nosuch")
        caller.start(CONNECT, target(good))
        caller.start(DESCRIBE, {"interface": "io.ktlsd"})
        with caller.receive() as reply:
            # Its own clock began anew with each call behind it.
            check_error(reply, "TimedOut", "handshake")
            check_between(time.monotonic() - began, limit / 1000 - 0.02, limit / 1000 + SLACK,
                          "seconds until the first reply")
        with caller.receive() as reply:
            check_equal(reply.parameters.get("product"), "ktlsd", "the second reply")
        with caller.receive() as reply:
            check_equal(reply.error, "org.varlink.service.MethodNotFound", "the third reply")
        with caller.receive() as reply:
            check_good(reply)
        with caller.receive() as reply:
            check_true("method Connect" in reply.parameters["description"], "the last reply")
    check_descriptors(daemon)


@test("a fifth call that waits ends the connection, and the request under way")
def one_too_many(daemon):
    with Peer(plan=STALLING) as peer, daemon.caller() as caller:
        caller.start(CONNECT, target(peer))
        connection = peer.connection(0)
        for _ in range(4):
            caller.start(GET_INFO)
        check_good_of_others(daemon)
        check_true(not readable(caller.sock), "four calls wait")
        now = time.monotonic()
        caller.start(GET_INFO)
        check_between(connection.wait_gone() - now, 0, GONE, "seconds until the server saw it")
        check_verdict(caller, CLOSED)
    check_descriptors(daemon)


def check_good_of_others(daemon):
    with Peer() as peer:
        check_good(ask(daemon, peer, trust=trusting("ca")))


@test("{count} calls in one piece {verdict}", cases=[
    {"count": 5, "verdict": "are answered"}, {"count": 6, "verdict": "end the connection"}])
def in_one_piece(daemon, count, verdict):
    with daemon.caller() as caller:
        with daemon.paused():
            caller.send(b'{"method":"org.varlink.service.GetInfo"}\0' * count)
        for _ in range(count if count == 5 else 0):
            with caller.receive() as reply:
                check_equal(reply.error, None, f"the error of {reply}")
        if count > 5:
            check_verdict(caller, CLOSED)
    check_descriptors(daemon)


@test("timeoutMs: 1 is a time, though nothing is done in it")
def shortest(daemon):
    with Peer(plan=STALLING) as peer:
        with ask(daemon, peer, timeout_ms=1) as reply:
            check_error(reply, "TimedOut", ("connect", "handshake"), within=SLACK)
    check_descriptors(daemon)


@test("timeoutMs: 120000 is a time")
def longest(daemon):
    with Peer() as peer:
        check_good(ask(daemon, peer, timeout_ms=120000, trust=trusting("ca")))
    check_descriptors(daemon)


# Replies that nobody takes.

def queued(sock):
    """Bytes that wait to be received."""
    count = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, count)
    return count[0]


def fill(caller, count=None):
    """Has replies sent that nobody receives, so many or until no more go in; how many there are."""
    replies, before = 0, 0
    while replies != count:
        caller.start(DESCRIBE, {"interface": "io.ktlsd"})
        poll = select.poll()
        poll.register(caller.sock, 0)
        wait_until(lambda: queued(caller.sock) > before or poll.poll(0), PATIENCE / 1000,
                   "another reply, or the end")
        if queued(caller.sock) == before:
            break
        before, replies = queued(caller.sock), replies + 1
    return replies


def most_replies(daemon):
    """How many fit between the daemon and a caller who doesn't take them."""
    with daemon.caller() as caller:
        count = fill(caller)
    note(f"{count} replies fit")
    check_between(count, 2, 1000, "replies that fit")
    return count


@contextlib.contextmanager
def undelivered(daemon, **parameters):
    """A caller who is owed a socket, behind as many replies as there can be."""
    count = most_replies(daemon)
    with Peer() as peer, daemon.caller() as caller:
        fill(caller, count)
        size = queued(caller.sock)
        caller.start(CONNECT, target(peer, **parameters))
        peer.connection(0).wait_established()
        yield caller, count, peer.connection(0)
        check_in(queued(caller.sock), (0, size), "bytes that were sent to the caller")
    check_descriptors(daemon)


@test("replies that are not taken end the connection in time")
def not_taken(daemon):
    count = most_replies(daemon)
    with daemon.caller() as caller:
        fill(caller, count)
        start = time.monotonic()
        caller.start(DESCRIBE, {"interface": "io.ktlsd"})
        poll = select.poll()
        poll.register(caller.sock, 0)
        poll.poll(10 * DELIVERY)
        check_between(time.monotonic() - start, DELIVERY / 1000 - 0.02, DELIVERY / 1000 + SLACK,
                      "seconds until the connection is over")
    check_descriptors(daemon)


@test("a socket that is not taken is shut down in time")
def socket_not_taken(daemon):
    with undelivered(daemon) as (_caller, _count, connection):
        start = time.monotonic()
        check_between(connection.wait_gone() - start, DELIVERY / 1000 - 0.1,
                      DELIVERY / 1000 + SLACK, "seconds until the server saw it")


@test("a socket that is not taken is shut down when the caller hangs up")
def socket_not_wanted(daemon):
    with undelivered(daemon) as (caller, _count, connection):
        check_good_of_others(daemon)
        check_true(not connection.gone.is_set(), "the connection is there")
        now = time.monotonic()
        caller.sock.shutdown(socket.SHUT_RDWR)
        check_between(connection.wait_gone() - now, 0, GONE, "seconds until the server saw it")


@test("a socket that is taken at last is as good as any")
def taken_late(daemon):
    with undelivered(daemon) as (caller, count, _connection):
        caller.skip(count)
        with caller.receive() as reply:
            check_good(reply)


def start():
    return settle(Daemon(CONFIG))


if __name__ == "__main__":
    main(globals(), start)
