#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Peers that misbehave, at every step: what the caller is told, and how long it can take."""

import socket
import struct
import time

from ktlstest import door
from ktlstest.asking import (AT_ONCE, PATIENCE, SHORT, ask, check_descriptors, check_gone,
                             check_good, settle, trusting)
from ktlstest.daemon import Daemon
from ktlstest.expect import check_connected, check_error, check_timed_out
from ktlstest.peer import CLOSE_WAIT, STEPS, TLS13, Blackhole, Peer, Plan, client_states
from ktlstest.tap import check_between, check_equal, check_in, main, test, wait_until


@test("nothing in common: {what}", cases=[
    {"what": "TLS 1.3 only", "settings": {"versions": TLS13}, "alert": "protocol_version"},
    {"what": "no AEAD cipher", "settings": {"ciphers": "ECDHE-RSA-AES128-SHA256"},
     "alert": "handshake_failure"},
    {"what": "no forward secrecy", "settings": {"ciphers": "AES256-GCM-SHA384"},
     "alert": "handshake_failure"},
    {"what": "another curve", "settings": {"curve": "brainpoolP256r1", "ciphers": "ECDHE"},
     "alert": "handshake_failure"}])
def nothing_in_common(daemon, what, settings, alert):
    with Peer(**settings) as peer:
        reply = ask(daemon, peer, trust=trusting("ca"))
        check_error(reply, "HandshakeFailed", "handshake", within=AT_ONCE, alert=alert)
        check_gone(peer)


BEFORE_THE_END = STEPS[:-1]
SAID = {
    "close": r"closed",
    "reset": r"reset",
    "http": r"HTTP|version",
    "warnings": r"alert",
    "oversize": r"too long",
    "garbage": r"speak TLS|version",
    "repeat-hello": r"unexpected|version",
}


@test("a server that {action}s at {step} has failed the handshake", cases=[
    {"action": action, "step": step} for action in SAID for step in BEFORE_THE_END
    if (action, step) != ("repeat-hello", "accept")])
def failing(daemon, action, step):
    with Peer(plan=Plan(step, action)) as peer:
        reply = ask(daemon, peer, trust=trusting("ca"))
        error, stage = "HandshakeFailed", "handshake"
        if (action, step) == ("reset", "accept") and reply.error == "io.ktlsd.ConnectFailed":
            # The reset may be there before ktlsd has looked at the connection at all.
            error, stage = "ConnectFailed", "connect"
        # Its end, too: what it has said before is not read any more.
        said = SAID[action] + (r"|closed the connection before" if step == "accept" else "")
        check_error(reply, error, stage, within=AT_ONCE, text=said,
                    errno="ECONNRESET" if action == "reset" else (None, "ECONNRESET", "EPIPE"))
        if action != "reset":
            check_gone(peer)


@test("a server that {action}s before ktlsd has had a look", cases=[
    {"action": "close", "state": CLOSE_WAIT}, {"action": "reset", "state": None}])
def early(daemon, action, state):
    """It is the peer's doing, not the kernel's, that such a connection can't have TLS."""
    with Blackhole() as port, daemon.caller() as caller:
        caller.start("io.ktlsd.Connect", {"host": port.host, "port": port.port})
        wait_until(port.is_tried, 5, "a connection attempt")
        with daemon.paused(), port.admit() as sock:
            client = sock.getpeername()[1]
            if action == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
            else:
                sock.shutdown(socket.SHUT_WR)
            wait_until(lambda: client_states(port.port).get(client) == state, 5, "its arrival")
        with caller.receive() as reply:
            failed = {"io.ktlsd.ConnectFailed": ("ConnectFailed", "connect")}.get(
                reply.error, ("HandshakeFailed", "handshake"))
            check_error(reply, *failed, within=AT_ONCE)


@test("a server that {action}s at {step} runs into the deadline", cases=[
    {"action": action, "step": step} for action in ("stall", "drip") for step in BEFORE_THE_END])
def deadline(daemon, action, step):
    with Peer(plan=Plan(step, action)) as peer:
        check_timed_out(ask(daemon, peer, SHORT, trust=trusting("ca")), "handshake", SHORT)
        check_gone(peer)


@test("a flood of {action} at {step} holds up nobody", cases=[
    {"action": action, "step": step} for action in ("empty-records", "hello-requests")
    for step in BEFORE_THE_END])
def flooding(daemon, action, step):
    with Peer(plan=Plan(step, action)) as flood, Peer() as good, daemon.caller() as caller:
        caller.start("io.ktlsd.Connect", {"host": flood.host, "port": flood.port,
                                          "trust": trusting("ca"), "timeoutMs": SHORT})
        start = time.monotonic()
        flood.connection()
        reply = ask(daemon, good, trust=trusting("ca"))
        check_good(reply)
        check_between(reply.seconds, 0, SHORT / 1000, "seconds until somebody else is served")
        with caller.receive(start) as reply:
            error = "TimedOut" if reply.error == "io.ktlsd.TimedOut" else "HandshakeFailed"
            check_error(reply, error, "handshake", within=SHORT / 1000 + 0.75)
        check_gone(flood)


@test("{n} stalling servers hold up nobody", cases=[{"n": 30}])
def stalling(daemon, n):
    with Peer(plan=lambda i: Plan("server-hello", "stall")) as bad, Peer() as good:
        callers = [daemon.caller() for _ in range(n)]
        for caller in callers:
            caller.start("io.ktlsd.Connect", {"host": bad.host, "port": bad.port,
                                              "trust": trusting("ca"), "timeoutMs": PATIENCE})
        bad.connection(n - 1)
        reply = ask(daemon, good, trust=trusting("ca"))
        check_good(reply)
        check_between(reply.seconds, 0, AT_ONCE, "seconds until somebody else is served")
        for caller in callers:
            caller.close()
        for index in range(n):
            check_gone(bad, index)


def read_on(sock):
    """What a plain program gets from the socket: all the data, and how it ended."""
    sock.settimeout(0.5)
    data = bytearray()
    while True:
        try:
            piece = sock.recv(65536)
        except OSError as error:
            return bytes(data), type(error).__name__ if error.errno is None else error.errno
        if not piece:
            return bytes(data), 0
        data += piece


@test("a server that {action}s behind its Finished: a socket, and no byte that it didn't encrypt",
      cases=[] if door.FAKE_KERNEL else [{"action": action} for action in
             ("close", "stall", "drip", "http", "warnings", "oversize", "garbage",
              "empty-records", "hello-requests")])
def after_finished(daemon, action):
    with Peer(plan=Plan("finished", action, serve="hold", flood=1 << 16)) as peer:
        with check_connected(ask(daemon, peer, trust=trusting("ca"))) as sock:
            data, end = read_on(sock)
        check_equal(data, b"", "what was read")
        expected = {"close": (0,), "stall": ("TimeoutError",), "drip": ("TimeoutError",)}
        if action in expected:
            check_in(end, expected[action], "how it ended")
        check_gone(peer)


@test("a server that resets behind its Finished: an error, or a socket that says so")
def reset_after_finished(daemon):
    with Peer(plan=Plan("finished", "reset")) as peer:
        with ask(daemon, peer, trust=trusting("ca")) as reply:
            if reply.error:
                check_error(reply, "HandshakeFailed", ("handshake", "install"),
                            errno=("ECONNRESET", "EPIPE"), within=AT_ONCE)
            else:
                with check_connected(reply) as sock:
                    check_in(read_on(sock), ((b"", 0), (b"", 104), (b"", 32)), "data and end")


@test("ktlsd has as many descriptors as it began with")
def descriptors(daemon):
    check_descriptors(daemon)


def start():
    return settle(Daemon())


if __name__ == "__main__":
    main(globals(), start)
