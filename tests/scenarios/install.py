#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The kernel refuses, at every step and in every way: nobody gets a socket, nothing is ever in clear on the wire, and the error says
what was refused and how."""

import contextlib
import errno
import os
import socket

from ktlstest import door, ktls
from ktlstest.asking import AT_ONCE, ask, check_descriptors, check_gone, check_good, settle, trusting
from ktlstest.daemon import Daemon
from ktlstest.expect import check_connected, check_error
from ktlstest.kmod import hidden, loaded, modules
from ktlstest.peer import Peer
from ktlstest.sniff import Sniffer
from ktlstest.tap import check_equal, check_true, main, test, wait_until

NOBODY = 65534
CALLS = ("TCP_ULP", "TLS_TX", "TLS_RX", "get_TLS_TX", "get_TLS_RX", "get_TCP_ULP")
ERRNOS = ("ENOENT", "EBUSY", "ENOMEM", "EINVAL", "ENOTCONN", "EPERM")


class Door(Daemon):
    """ktlsd with a door to the kernel that can be told to refuse; an ordinary one while it is not told."""

    def __init__(self):
        self.orders = f"/tmp/door.{os.getpid()}"
        door.order(self.orders)
        super().__init__(env=door.environment(self.orders))
        settle(self)

    def say(self, text):
        door.order(self.orders, text)


def ask_refused(ktlsd, peer, call, number):
    """One request with the door told; whatever socket comes back, the canary is written to it."""
    canary = os.urandom(16).hex().encode()
    with Sniffer(peer.port) as sniffer, contextlib.ExitStack() as stack:
        ktlsd.say(f"{call} {number}")
        try:
            reply = stack.enter_context(ask(ktlsd, peer, trust=trusting("ca")))
        finally:
            ktlsd.say("")
        for fd in reply.fds:
            os.write(fd, canary)
        check_gone(peer)
        sniffer.assert_absent(canary)
        stack.pop_all()
    return reply


@test("{call} refused with {error}", cases=[{"call": c, "error": e} for c in CALLS for e in ERRNOS])
def refused(ktlsd, call, error):
    with Peer() as peer, ask_refused(ktlsd, peer, call, getattr(errno, error)) as reply:
        check_error(reply, "KernelTlsUnavailable", "install", errno=error, text=call.removeprefix("get_"),
                    within=AT_ONCE)
    with Peer() as peer:
        check_good(ask(ktlsd, peer, trust=trusting("ca")))
    check_descriptors(ktlsd)


@test("{call} that lies, and has not happened", cases=[{"call": c} for c in CALLS])
def lying(ktlsd, call):
    """A security module or a faulty kernel may say yes to what it did not do. The read-back is what counts."""
    with Peer() as peer, ask_refused(ktlsd, peer, call, 0) as reply:
        check_error(reply, "KernelTlsUnavailable", "install")
    check_descriptors(ktlsd)


@test("the canary that these tests look for is seen where it is in clear")
def control(ktlsd):
    canary = os.urandom(16).hex().encode()
    with Peer() as peer, Sniffer(peer.port) as sniffer:
        with socket.create_connection((peer.host, peer.port)) as plain:
            plain.sendall(canary)
            peer.connection()
        peer.connection().wait_gone()
        sniffer.assert_present(canary)


@test("nothing is in clear in success, cipher {cipher}", cases=[
    {"cipher": c} for c in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305")])
def success(ktlsd, cipher):
    canary = os.urandom(16).hex().encode()
    with Peer(ciphers=cipher) as peer, Sniffer(peer.port) as sniffer:
        with check_connected(ask(ktlsd, peer, trust=trusting("ca")), cipher=cipher) as sock:
            sock.sendall(canary)
            check_equal(ktls.recv_exactly(sock, len(canary)), canary, "the echo")
        peer.connection().wait_gone()
        sniffer.assert_absent(canary)


@test("the kernel's own gcm module is not to be had")
def without_gcm(ktlsd):
    """Real, with no door between: TCP_ULP succeeds, TLS_TX would not, and a naive program would now write plain text."""
    canary = os.urandom(16).hex().encode()
    with Daemon() as early, hidden("gcm"):
        with Peer(ciphers="ECDHE-RSA-AES256-GCM-SHA384") as peer, Sniffer(peer.port) as sniffer:
            # This ktlsd was started when gcm was there, and has no reason to ask the kernel again: unlike one that the
            # door has had refusals for. It offers what is refused only now.
            reply = ask(early, peer, trust=trusting("ca"))
            for fd in reply.fds:
                os.write(fd, canary)
            check_error(reply, "KernelTlsUnavailable", "install", errno="ENOENT", text="gcm")
            check_gone(peer)
            sniffer.assert_absent(canary)
        with Daemon() as fresh, Peer() as peer:
            narrow = {"ciphers": "ECDHE-RSA-AES256-GCM-SHA384"}
            check_error(ask(fresh, peer, trust=trusting("ca"), policy=narrow), "NotOffloadable", "policy")
            check_equal(peer.connections, [], "connections that the peer saw")
            with check_connected(ask(fresh, peer, trust=trusting("ca")), cipher="ECDHE-RSA-CHACHA20-POLY1305"):
                pass


@test("tls.ko absent, started without privilege: the error says so, and how to mend it")
def without_module(ktlsd):
    modules("-r", "tls")
    with Daemon(user="nobody") as daemon, Peer() as peer:
        reply = ask(daemon, peer, trust=trusting("ca"))
        check_error(reply, "KernelTlsUnavailable", "install", errno="ENOENT", text="modprobe tls")
        check_equal(peer.connections, [], "connections that the peer saw")
        check_true(not loaded("tls"), "tls.ko is still not there")
        # What the text said is done, and no restart is needed.
        modules("tls")

        def served():
            reply = ask(daemon, peer, trust=trusting("ca"))
            if reply.error:
                check_error(reply, "KernelTlsUnavailable", "install")
                return False
            check_good(reply)
            return True
        wait_until(served, 5, "a socket after modprobe", interval=0.2)


@test("tls.ko absent, started as root: the first request is served, without privilege from then on")
def as_root(ktlsd):
    modules("-r", "tls")
    with Daemon() as daemon, Peer() as peer:
        check_good(ask(daemon, peer, trust=trusting("ca")))
        check_true(loaded("tls"), "tls.ko is there")
        for pid in daemon.pids():
            rights = daemon.confinement(pid)
            check_equal((rights.uids, rights.gids, rights.groups), ((NOBODY,) * 4, (NOBODY,) * 4, ()),
                        f"users and groups of {pid}")
            check_equal((rights.capabilities, rights.no_new_privs), (0, True), f"privileges of {pid}")


if __name__ == "__main__":
    main(globals(), Door)
