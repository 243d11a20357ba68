# SPDX-License-Identifier: MIT
"""The TLS server of our own: it owns every byte it sends, and misbehaves where a Plan says so."""

import dataclasses
import os
import select
import socket
import ssl
import threading

from ktlstest import pki
from ktlstest.conversation import Conversation

TLS12 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
TLS13 = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)
ANY = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}

# Where a connection can take another turn, in the order of a TLS 1.2 handshake:
#   accept             the client is connected, nothing was read
#   hello              its ClientHello was read, nothing was sent
#   server-hello       the first record of the answer was sent, the rest wasn't
#   server-hello-done  all of the answer was sent
#   before-finished    the client's Finished was read, ours wasn't sent
#   finished           our Finished was sent, and the banner in the same send()
STEPS = ("accept", "hello", "server-hello", "server-hello-done", "before-finished", "finished")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What becomes of one connection; without a step it is a good one."""
    step: str | None = None
    action: str | None = None
    serve: str = "echo"
    banner: bytes = b""
    farewell: bool = False  # close_notify and FIN right behind the banner
    amount: int = 0  # of bytes, for serve="source"
    drip_interval: float = 1.0
    flood: int = 64 << 20  # bytes, for action="hello-requests"


def context(name, versions=TLS12, ciphers="DEFAULT", curve=None, alpn=None, directory=None):
    """A server context that takes any certificate at all, weak ones included."""
    bundle = pki.Bundle(name, directory)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    made.minimum_version, made.maximum_version = versions
    made.load_cert_chain(bundle.chain, bundle.key)
    if curve is not None:
        made.set_ecdh_curve(curve)
    if alpn is not None:
        made.set_alpn_protocols(alpn)
    return made


class Peer:
    """Listens on loopback; a plan, or a function from the number of the connection to a plan."""

    def __init__(self, name="rsa", plan=Plan(), *, family=socket.AF_INET, port=0,
                 host=None, **settings):
        self.plan = plan if callable(plan) else lambda _index: plan
        self.context = context(name, **settings)
        self.connections = []
        self.changed = threading.Condition()
        self.host = host or LOOPBACK[family]
        self.listener = socket.create_server((self.host, port), family=family, backlog=128)
        self.port = self.listener.getsockname()[1]
        self.stop_reader, self.stop_writer = os.pipe()
        self.acceptor = threading.Thread(target=self._accept, name=f"peer {name} accepting")
        self.acceptor.start()

    def _accept(self):
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        poll.register(self.stop_reader, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self.stop_reader in ready:
                return
            sock, _ = self.listener.accept()
            with self.changed:
                plan = self.plan(len(self.connections))
                conversation = Conversation(sock, self.context, plan, self.stop_reader)
                self.connections.append(conversation)
                conversation.start()
                self.changed.notify_all()

    def connection(self, index=0, timeout=5.0):
        """The connection of that number, waited for."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.connections) > index, timeout):
                raise TimeoutError(f"connection {index} did not come within {timeout} s")
            return self.connections[index]

    def wait_over(self, timeout=5.0):
        """Each connection that was accepted has ended, and its thread with it."""
        with self.changed:
            running = [one for one in self.connections if one.is_alive()]
        for conversation in running:
            conversation.join(timeout)
            if conversation.is_alive():
                raise TimeoutError(f"a connection did not end within {timeout} s")

    def close(self):
        os.write(self.stop_writer, b"x")
        self.acceptor.join()
        for conversation in self.connections:
            conversation.join()
        self.listener.close()
        os.close(self.stop_reader)
        os.close(self.stop_writer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Refusing:
    """A port of loopback that is taken and on which nobody listens: connecting is refused."""

    def __init__(self, family=socket.AF_INET):
        self.host = LOOPBACK[family]
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.bind((self.host, 0))
        self.port = self.sock.getsockname()[1]

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Blackhole:
    """A port of loopback that answers no SYN: a listener whose queue is full and stays so."""

    def __init__(self, family=socket.AF_INET, port=0, host=None):
        self.host = host or LOOPBACK[family]
        self.sockets = []
        try:
            listener = self._socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, port))
            listener.listen(0)
            self.port = listener.getsockname()[1]
            self._fill(family)
        except BaseException:
            self.close()
            raise

    def _socket(self, family):
        sock = socket.socket(family, socket.SOCK_STREAM)
        self.sockets.append(sock)
        return sock

    def _fill(self, family):
        for _ in range(8):
            sock = self._socket(family)
            sock.setblocking(False)
            sock.connect_ex((self.host, self.port))
            if not select.select([], [sock], [], 0.1)[1]:
                return
        raise RuntimeError("the listener's queue does not fill up")

    def _own_ports(self):
        return {sock.getsockname()[1] for sock in self.sockets[1:]}

    def is_tried(self):
        """Whether somebody else than us waits for an answer."""
        states = client_states(self.port).items()
        return any(state == SYN_SENT for port, state in states if port not in self._own_ports())

    def admit(self, timeout=10.0):
        """Let one in after all: the connection of the next client that tries again."""
        listener, known = self.sockets[0], self._own_ports()
        while len(self.sockets) > 1:
            self.sockets.pop().close()
        listener.settimeout(timeout)
        while True:
            sock, address = listener.accept()
            if address[1] not in known:
                return sock
            sock.close()

    def close(self):
        for sock in reversed(self.sockets):
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


SYN_SENT, CLOSE_WAIT = 2, 8


def client_states(port):
    """The TCP states of connections to a port of loopback (IPv4), by the client's own port."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in list(file)[1:]]
    return {int(row[1].partition(":")[2], 16): int(row[3], 16) for row in rows
            if int(row[2].partition(":")[2], 16) == port}
