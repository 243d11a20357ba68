# SPDX-License-Identifier: MIT
"""Servers that cost little, for thousands of connections, in processes of their own: one that
behaves, with a port for each certificate, and one that does not."""

import contextlib
import random
import select
import socket
import ssl
import time

from ktlstest.misbehave import ACTIONS
from ktlstest.names import NameServer
from ktlstest.peer import STEPS, Blackhole, Peer, Plan, Refusing, context

# Not the flood, which costs more than all the rest together.
MISBEHAVIOURS = tuple(sorted(set(ACTIONS) - {"hello-requests", "drip", "stall"}))


class Echo:
    """From one loop: it shakes hands, and sends back what comes, until its peer has gone."""

    def __init__(self, bundles):
        self.poll = select.poll()
        self.listeners, self.connections = {}, {}
        self.ports = {}
        for name in bundles:
            listener = socket.create_server(("127.0.0.1", 0), backlog=128)
            listener.setblocking(False)
            self.listeners[listener.fileno()] = listener, context(name)
            self.ports[name] = listener.getsockname()[1]
            self.poll.register(listener, select.POLLIN)

    def _accept(self, listener, settings):
        with contextlib.suppress(BlockingIOError):
            sock, _ = listener.accept()
            sock.setblocking(False)
            # Nothing is sent before the first bytes have come.
            tls = settings.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            self.connections[tls.fileno()] = tls
            self.poll.register(tls, select.POLLIN)

    def _end(self, fd):
        self.poll.unregister(fd)
        self.connections.pop(fd).close()

    def _serve(self, fd):
        tls = self.connections[fd]
        try:
            tls.do_handshake()
            while data := tls.recv(4096):
                tls.send(data)
        except ssl.SSLWantReadError:
            return
        except OSError:
            pass
        self._end(fd)

    def run(self):
        while True:
            for fd, _ in self.poll.poll():
                if fd in self.listeners:
                    self._accept(*self.listeners[fd])
                else:
                    self._serve(fd)


def behave(report, bundles):
    """For a Process: reports the ports by the names of the certificates."""
    echo = Echo(bundles)
    report(echo.ports)
    echo.run()


def misbehave(report, silent):
    """For a Process: reports the ports by what happens there. It has the name server as well, which
    never answers for the silent names."""
    chance = random.Random(1)

    def stall(_index):
        return Plan(chance.choice(STEPS[:-1]), "stall")

    def do_something(_index):
        return Plan(chance.choice(STEPS), chance.choice(MISBEHAVIOURS))
    with NameServer(silent=silent) as server, Blackhole() as hole, Refusing() as refusing, \
            Peer("p256", plan=stall) as stalling, Peer("p256", plan=do_something) as bad, \
            Peer("p256", plan=Plan("hello", "close")) as closing:
        report({"hole": hole.port, "refusing": refusing.port, "stalling": stalling.port,
                "bad": bad.port, "closing": closing.port})
        while True:
            # What a test would look at, and nobody does here.
            server.asked.clear()
            for peer in (stalling, bad, closing):
                with peer.changed:
                    peer.connections[:] = [one for one in peer.connections if one.is_alive()]
            time.sleep(0.2)
