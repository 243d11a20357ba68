# SPDX-License-Identifier: MIT
"""Real TLS servers, unchanged, from the distribution's packages: each with an RSA and an ECDSA certificate, on loopback."""

import contextlib
import hashlib
import os
import select
import socket
import subprocess
import tempfile
import threading
import time

from ktlstest import pki

HOST = "127.0.0.1"
START_TIMEOUT = 20.0


def free_port():
    with socket.create_server((HOST, 0)) as probe:
        return probe.getsockname()[1]


def listening(port):
    """Whether somebody listens there, without connecting: a server may not take that well."""
    wanted = f"{port:04X}"
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(path, encoding="ascii") as file:
            for line in list(file)[1:]:
                local, state = line.split()[1], line.split()[3]
                if state == "0A" and local.endswith(":" + wanted):
                    return True
    return False


class Server:
    """A process that is ready when somebody listens on each of its ports."""

    def __init__(self, command, ports, directory):
        self.directory = directory
        self.port = ports[0]
        self.ports = ports
        self.log = os.path.join(directory.name, "log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait(ports)

    def _wait(self, ports):
        end = time.monotonic() + START_TIMEOUT
        poll = select.poll()
        while not all(map(listening, ports)):
            if self.process.poll() is not None or time.monotonic() > end:
                text = self.said()
                self.close()
                raise RuntimeError(f"{self.process.args[0]} does not listen:\n{text}")
            poll.poll(10)

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.directory.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _pair(name):
    bundle = pki.Bundle(name)
    return bundle.chain, bundle.key


def openssl():
    """openssl s_server, which answers a line with the line turned round."""
    port, directory = free_port(), tempfile.TemporaryDirectory()
    (rsa, rsa_key), (ec, ec_key) = _pair("rsa"), _pair("p256")
    return Server(["openssl", "s_server", "-accept", f"{HOST}:{port}", "-cert", rsa, "-key", rsa_key, "-dcert", ec, "-dkey", ec_key,
                   "-cipher", "ALL:@SECLEVEL=1", "-rev"], [port], directory)


def gnutls():
    """gnutls-serv, which sends back what it gets."""
    port, directory = free_port(), tempfile.TemporaryDirectory()
    (rsa, rsa_key), (ec, ec_key) = _pair("rsa"), _pair("p256")
    return Server(["gnutls-serv", "--echo", "--quiet", "--port", str(port), "--priority",
                   "NORMAL:+AES-128-CCM:+AES-256-CCM:+DHE-RSA:+RSA", "--x509certfile", rsa, "--x509keyfile", rsa_key,
                   "--x509certfile", ec, "--x509keyfile", ec_key], [port], directory)


def nginx(body):
    """nginx over HTTPS, with one file to get."""
    port, directory = free_port(), tempfile.TemporaryDirectory()
    (rsa, rsa_key), (ec, ec_key) = _pair("rsa"), _pair("p256")
    os.chmod(directory.name, 0o755)
    with open(os.path.join(directory.name, "file"), "wb") as file:
        file.write(body)
    config = os.path.join(directory.name, "nginx.conf")
    with open(config, "w", encoding="ascii") as file:
        file.write(f"""
daemon off; master_process off; pid {directory.name}/pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {directory.name}/b; proxy_temp_path {directory.name}/p;
  fastcgi_temp_path {directory.name}/f; uwsgi_temp_path {directory.name}/u; scgi_temp_path {directory.name}/s;
  server {{
    listen {HOST}:{port} ssl; root {directory.name};
    ssl_certificate {rsa}; ssl_certificate_key {rsa_key}; ssl_certificate {ec}; ssl_certificate_key {ec_key};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ALL:@SECLEVEL=1; ssl_dhparam {_dhparam(directory.name)};
  }}
}}
""")
    return Server(["nginx", "-p", directory.name, "-c", config, "-e", "stderr"], [port], directory)


# RFC 7919, A.1: ffdhe2048, which saves looking for a prime.
def _dhparam(directory):
    path = os.path.join(directory, "dh.pem")
    subprocess.run(["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out", path],
                   check=True, capture_output=True)
    return path


class Backend:
    """What stands behind a TLS proxy: sends size bytes, takes what comes, and knows the SHA-256 of both.

    It ends when the other side has: in TLS 1.2, close_notify ends both directions (RFC 5246, 7.2.1), so that whoever has had all
    that it wanted says it last.
    """

    def __init__(self, size, gate=None):
        self.block = os.urandom(1 << 20)
        self.size = size
        self.gate = gate  # an Event: no more than the first block is sent before it is set
        self.received = []
        self.arrived = 0
        self.changed = threading.Condition()
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, name="backend")
        self.thread.start()

    def data(self):
        """What is sent, in pieces."""
        left = self.size
        while left:
            yield self.block[:left]
            left -= min(left, len(self.block))

    def sent_sha256(self, after=0):
        """Of all that a connection gets, but for its first blocks, of so many bytes."""
        digest = hashlib.sha256()
        for number, piece in enumerate(self.data()):
            if number * len(self.block) >= after:
                digest.update(piece)
        return digest.hexdigest()

    def _serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self._converse(sock)

    def _converse(self, sock):
        digest, count = hashlib.sha256(), 0
        self.arrived = 0
        sender = threading.Thread(target=self._send, args=(sock,), name="backend sending")
        sender.start()
        with contextlib.suppress(ConnectionError):
            while piece := sock.recv(1 << 18):
                digest.update(piece)
                count += len(piece)
                with self.changed:
                    self.arrived = count
                    self.changed.notify_all()
        sender.join()
        sock.close()
        with self.changed:
            self.received.append((count, digest.hexdigest()))
            self.changed.notify_all()

    def _send(self, sock):
        with contextlib.suppress(ConnectionError):
            for number, piece in enumerate(self.data()):
                if number and self.gate:
                    self.gate.wait(60)
                sock.sendall(piece)

    def wait_arrived(self, count, timeout=120):
        """So many bytes of the connection under way have come."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.arrived >= count, timeout):
                raise TimeoutError(f"{self.arrived} of {count} bytes have come")

    def wait_received(self, index, timeout=120):
        """(bytes, SHA-256) of what connection number index brought."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.received) > index, timeout):
                raise TimeoutError(f"the backend has not seen the end of connection {index}")
            return self.received[index]

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def stunnel(backend, curve="X25519:P-256:P-384", ciphers="ALL:@SECLEVEL=1"):
    """stunnel4 as the receiver; the first port has the RSA certificate, the second the ECDSA one."""
    rsa_port, ec_port, directory = free_port(), free_port(), tempfile.TemporaryDirectory()
    services = ""
    for port, name in ((rsa_port, "rsa"), (ec_port, "p256")):
        cert, key = _pair(name)
        services += f"""
[{name}]
accept = {HOST}:{port}
connect = {HOST}:{backend.port}
cert = {cert}
key = {key}
ciphers = {ciphers}
curves = {curve}
"""
    config = os.path.join(directory.name, "stunnel.conf")
    with open(config, "w", encoding="ascii") as file:
        file.write(f"foreground = yes\npid =\nsyslog = no\n{services}")
    return Server(["stunnel4", config], [rsa_port, ec_port], directory)
