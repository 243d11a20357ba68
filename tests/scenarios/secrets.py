#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Nothing of a connection's secrets stays in any process of ktlsd, is logged, or gets into a core:
neither of one that was handed over nor of one that came to nothing. And where they have to be, in
the middle of a handshake, the same look finds them."""

import collections
import contextlib
import ctypes
import os
import resource
import select
import signal
import socket
import subprocess

from ktlstest import door, secrets
from ktlstest.asking import PATIENCE, ask, settle, trusting
from ktlstest.daemon import Daemon
from ktlstest.expect import check_connected, check_error, check_probed
from ktlstest.peer import Plan
from ktlstest.tap import (check_between, check_equal, check_in, check_true, main, note, test,
                          wait_until)

CIPHERS = {
    "ECDHE-RSA-AES128-GCM-SHA256": "aes-gcm-128", "ECDHE-RSA-AES256-GCM-SHA384": "aes-gcm-256",
    "ECDHE-RSA-CHACHA20-POLY1305": "chacha20-poly1305", "ECDHE-ECDSA-AES128-CCM": "aes-ccm-128",
    "AES128-GCM-SHA256": "aes-gcm-128",
}
AT_ONCE = 10      # requests that are under way together, each on a connection of its own
ROUNDS = 2        # of them, on the same connections
CONFIG = f"""
[Service]
Workers=2
[Limits]
UserUndelivered={AT_ONCE}
[Policy all]
Ciphers={":".join(CIPHERS)}
"""
KEPT = 48         # bytes of a planted secret
LATE = 3000       # milliseconds, within which a handshake gets to its middle
CORES = "/run/cores"
# Steps of the handshake at which both sides have keys, and what can befall them there.
BROKEN = [{"step": step, "action": action} for step in ("server-hello-done", "before-finished")
          for action in ("close", "reset", "garbage", "warnings")]


class Guarded(Daemon):
    """ktlsd, with two workers and a door to the kernel, and all the secrets of its connections."""

    def __init__(self):
        self.secrets = secrets.Secrets()
        self.orders = f"/tmp/door.{os.getpid()}"
        door.order(self.orders)
        super().__init__(CONFIG, env=door.environment(self.orders))
        settle(self)

    def look(self):
        """At all processes as they are now: the places of secrets."""
        with self.paused():
            return self.secrets.find(self.pids())

    def check_clean(self):
        """Of all connections so far, at the time that is promised."""
        self.secrets.wait()
        check_equal(self.look(), [], "places of secrets")
        with open(self.stderr_path, "rb") as file:
            self.secrets.check_text(file.read(), "what ktlsd has logged")

    def workers(self):
        return self.resolvers("ktlsd-worker")

    def close(self):
        self.secrets.close()
        super().close()


def identity(cipher):
    return ("p256", "ec-ca") if "ECDSA" in cipher else ("rsa", "ca")


def call(peer, ca="ca", **more):
    return {"host": peer.host, "port": peer.port, "timeoutMs": PATIENCE, "trust": trusting(ca),
            "policy": {"name": "all"}, **more}


# The look itself.

@test("what a process holds is found: {what}", cases=[
    {"what": "whole", "part": slice(None)}, {"what": "half of it", "part": slice(16, 32)},
    {"what": "its words turned round", "part": None}])
def planted(daemon, what, part):
    secret = os.urandom(KEPT)
    text = secrets.turned(secret) if part is None else secret[part]
    held = ctypes.create_string_buffer(text, len(text))
    hits, read = secrets.scan({secret: what}, [os.getpid()])
    check_between(len(hits), len(text) // secrets.PIECE, 100, "places")
    check_equal(list(read), [os.getpid()], "the processes that were read")
    check_in(ctypes.addressof(held), [hit.address for hit in hits], "where it is")


@test("a text that has one is seen: {spelling}", cases=[
    {"spelling": "raw"}, {"spelling": "hex"}, {"spelling": "base64"}])
def written(daemon, spelling):
    book, secret = secrets.Secrets(), os.urandom(KEPT)
    with contextlib.closing(book):
        book.known[secret] = "planted"
        text = {"raw": secret, "hex": secret.hex().encode(),
                "base64": secrets.base64.b64encode(b"?" + secret)}[spelling]
        check_equal(book.find_text(b"a line of no interest\n"), set(), "what is seen in another")
        check_equal(book.find_text(b"the key is " + text), {"planted"}, "what is seen")


@contextlib.contextmanager
def in_the_middle(daemon, **more):
    """A handshake in which both sides have their keys, and ktlsd waits for the last message."""
    with daemon.secrets.peer(plan=Plan("before-finished", "stall")) as peer, \
            daemon.caller() as caller:
        caller.start("io.ktlsd.Connect", call(peer, **more))
        check_true(peer.connection().stepped.wait(10), "ktlsd has said its last word")
        check_equal(daemon.secrets.learn(peer), 1, "connections with a master secret")
        yield peer, caller


@test("in the middle of a handshake they are in one worker, and nowhere else")
def control(daemon):
    with in_the_middle(daemon):
        hits = daemon.look()
    check_equal(len({hit.pid for hit in hits}), 1, "processes that have them")
    check_in(hits[0].pid, daemon.workers(), "the one that has them")
    found = collections.Counter(hit.name for hit in hits)
    note(found)
    check_in("a master secret", found, "what was found")
    wait_until(lambda: daemon.callers() == 0, 5, "the end of the connection")
    daemon.check_clean()


# What was handed over.

def take_all(daemon, peer, callers, ca, cipher):
    """A socket for each of the callers, all of which ask at once."""
    for caller in callers:
        caller.start("io.ktlsd.Connect", call(peer, ca))
    for caller in callers:
        with caller.receive() as reply, check_connected(reply, cipher=cipher) as sock:
            daemon.secrets.add_socket(sock, peer)


@test(f"{ROUNDS * AT_ONCE} sockets of {{cipher}}: 200 ms later nothing of their keys is left",
      cases=[{"cipher": cipher} for cipher in CIPHERS])
def handed_over(daemon, cipher):
    name, ca = identity(cipher)
    with daemon.secrets.peer(name, ciphers=cipher) as peer, contextlib.ExitStack() as stack:
        callers = [stack.enter_context(daemon.caller()) for _ in range(AT_ONCE)]
        for _ in range(ROUNDS):
            take_all(daemon, peer, callers, ca, cipher)
            daemon.check_clean()
        check_equal(daemon.secrets.learn(peer), ROUNDS * AT_ONCE, "master secrets")


# What came to nothing.

@test("the handshake breaks, {action} at {step}", cases=BROKEN)
def broken(daemon, step, action):
    with daemon.secrets.peer(plan=Plan(step, action)) as peer:
        check_error(ask(daemon, peer, trust=trusting("ca")), "HandshakeFailed", "handshake")
    daemon.check_clean()


@test("time is up in the middle of the handshake")
def late(daemon):
    with in_the_middle(daemon, timeoutMs=LATE) as (_peer, caller), caller.receive() as reply:
        check_error(reply, "TimedOut", "handshake")
    daemon.check_clean()


@test("the caller goes in the middle of the handshake")
def cancelled(daemon):
    with in_the_middle(daemon) as (peer, caller):
        caller.close()
        peer.connection().wait_gone()
    daemon.check_clean()


@test("the kernel refuses: {order}", cases=[{"order": order} for order in (
    "TLS_TX 2", "TLS_RX 12", "TLS_RX 0", "get_TLS_TX 16", "get_TLS_RX 0", "get_TCP_ULP 1")])
def refused(daemon, order):
    with daemon.secrets.peer() as peer:
        door.order(daemon.orders, order)
        try:
            reply = ask(daemon, peer, trust=trusting("ca"))
        finally:
            door.order(daemon.orders)
        check_error(reply, "KernelTlsUnavailable", "install")
        check_equal(daemon.secrets.learn(peer), 1, "connections with a master secret")
    daemon.check_clean()


@test("the caller takes nothing any more when the socket is to be delivered")
def undelivered(daemon):
    """Nothing tells ktlsd of it before it has something to send."""
    with daemon.secrets.peer() as peer, daemon.caller() as caller:
        caller.start("io.ktlsd.Connect", call(peer))
        caller.sock.shutdown(socket.SHUT_RD)
        peer.connection().wait_gone()
        check_equal(daemon.secrets.learn(peer), 1, "connections with a master secret")
    daemon.check_clean()


@test("Busy, with the keys in the kernel already: too many sockets that nobody takes")
def busy(daemon):
    """As many as may lie there, and one more that was begun before any of them was there."""
    with daemon.secrets.peer() as peer, contextlib.ExitStack() as stack:
        callers = [stack.enter_context(daemon.caller()) for _ in range(AT_ONCE + 1)]
        with daemon.paused():
            for caller in callers:
                caller.start("io.ktlsd.Connect", call(peer))
        for caller in callers:
            check_true(bool(select.select([caller.sock], [], [], 20)[0]), "there is an answer")
        replies = [stack.enter_context(caller.receive()) for caller in callers]
        late = [reply for reply in replies if reply.error]
        check_equal(len(late), 1, "those that got none")
        check_error(late[0], "Busy")
        daemon.secrets.learn(peer)
        for reply in replies:
            if not reply.error:
                with check_connected(reply) as sock:
                    daemon.secrets.add_socket(sock, peer)
    daemon.check_clean()


@test("a probe, of {cipher}", cases=[{"cipher": cipher} for cipher in CIPHERS])
def probed(daemon, cipher):
    name, ca = identity(cipher)
    with daemon.secrets.peer(name, ciphers=cipher) as peer, daemon.caller() as caller:
        with caller.call("io.ktlsd.Probe", call(peer, ca)) as reply:
            check_probed(reply, cipher=cipher)
        check_equal(daemon.secrets.learn(peer), 1, "connections with a master secret")
    daemon.check_clean()


# Other ends.

@test("a reload in the middle of a handshake, until the old workers are gone")
def reloaded(daemon):
    with in_the_middle(daemon):
        old = set(daemon.workers())
        os.kill(daemon.pid, signal.SIGHUP)
        wait_until(lambda: len(set(daemon.workers()) - old) == 2, 20, "new workers")
    wait_until(lambda: not set(daemon.workers()) & old, 20, "the end of the old workers")
    with daemon.secrets.peer() as peer:
        with check_connected(ask(daemon, peer, trust=trusting("ca"))) as sock:
            daemon.secrets.add_socket(sock, peer)
    daemon.check_clean()


def replace(path, text):
    """What the file of the kernel's had before."""
    with open(path, "r+", encoding="ascii") as file:
        before = file.read()
        file.seek(0)
        file.write(text)
    return before


@contextlib.contextmanager
def cores_kept(pattern):
    """Cores go there, also of what has changed its user, unless a process itself is against it."""
    os.makedirs(CORES, exist_ok=True)
    os.chmod(CORES, 0o1777)
    kept = {path: replace(path, text) for path, text in (
        ("/proc/sys/kernel/core_pattern", pattern), ("/proc/sys/fs/suid_dumpable", "1"))}
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limits)
        for path, text in kept.items():
            replace(path, text)
        for name in os.listdir(CORES):
            os.unlink(os.path.join(CORES, name))


@test("{who} crashes in the middle of a handshake: no core, {where}", cases=[
    {"who": who, "where": where, "pattern": pattern} for who in ("a worker", "the supervisor")
    for where, pattern in (("as a file", f"{CORES}/core.%p"),
                           ("through a pipe", f"|/usr/bin/tee {CORES}/core.%p"))])
def crashed(daemon, who, where, pattern):
    with cores_kept(pattern), Daemon(CONFIG, clean_exit=False) as other:
        other.secrets = daemon.secrets
        with in_the_middle(other) as (peer, caller):
            with other.paused():
                hits = daemon.secrets.find(other.pids())
            holder = hits[0].pid
            os.kill(holder if who == "a worker" else other.pid, signal.SIGSEGV)
            peer.connection().wait_gone()
            if who == "a worker":
                with caller.receive() as reply:
                    check_error(reply, "InternalError")
                wait_until(lambda: holder not in other.pids(), 5, "the end of the worker")
            else:
                check_equal(other.process.wait(20), -signal.SIGSEGV, "how ktlsd ended")
                wait_until(lambda: not os.path.exists(f"/proc/{holder}"), 20, "its worker's end")
        check_equal(os.listdir(CORES), [], "cores")
        daemon.secrets.check_text(other.stderr().encode(), "what ktlsd has said")
        # The control: another process leaves one there.
        subprocess.run(["sh", "-c", "kill -SEGV $$"], check=False)
        wait_until(lambda: os.listdir(CORES), 5, "a core of somebody else's")


@test("over all of it there were at least 100 sockets, and nothing of them is there at the end")
def counted(daemon):
    kinds = collections.Counter(daemon.secrets.known.values())
    note(kinds)
    check_between(daemon.secrets.sockets, 100, 1000, "sockets")
    check_between(kinds["a master secret"], daemon.secrets.sockets + len(BROKEN), 1000,
                  "master secrets")
    daemon.check_clean()


if __name__ == "__main__":
    secrets.preload()
    main(globals(), Guarded)
