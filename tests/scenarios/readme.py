#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The two clients in README.md do what it says of them."""

import os
import subprocess
import tempfile

from ktlstest import ktls, pki
from ktlstest.daemon import TOP, Daemon
from ktlstest.peer import Peer
from ktlstest.readme import example, replaced
from ktlstest.tap import check_equal, main, test

KTLS_SOCKET = "/run/ktlsd/io.ktlsd"
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


@test("the client in Python, without libktls")
def in_python(daemon):
    with Peer(name="rsa") as peer:
        text = replaced(example("A client without libktls"), KTLS_SOCKET, daemon.socket_path)
        text = replaced(text, 'ktls_connect("example.org", 443)',
                        f'ktls_connect("localhost", {peer.port}, trust={{"ca": ca}})')
        names = {"ca": pki.ca_text("ca")}
        exec(compile(text, "README.md", "exec"), names)  # pylint: disable=exec-used
        with names["tls"] as sock:
            check_equal(names["session"]["verifiedBy"], "chain+name", "verifiedBy")
            check_equal(ktls.recv_exactly(sock, len(REQUEST)), REQUEST, "the echo")
            check_equal(sock.get_inheritable(), False, "whether children inherit the socket")


@test("the client in C, with libktls")
def in_c(daemon):
    with Peer(name="rsa") as peer, tempfile.TemporaryDirectory() as directory:
        text = replaced(example("A client in C"), "example.org", "localhost")
        text = replaced(text, "ktls_set_port(k, 443)",
                        f'ktls_set_port(k, {peer.port}) && !ktls_set_socket(k, "{daemon.socket_path}")'
                        f' && !ktls_set_ca_file(k, "{pki.Bundle("ca").chain}")')
        source, program = os.path.join(directory, "client.c"), os.path.join(directory, "client")
        with open(source, "w", encoding="ascii") as file:
            file.write(text)
        subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", f"-I{TOP}/client", "-o", program, source,
                        f"{TOP}/build/libktls.a", "-ljson-c"], check=True)
        check_equal(subprocess.run([program], check=False).returncode, 0, "exit status")
        peer.connection().wait_gone()
        check_equal(peer.connection().count, len(REQUEST), "bytes that the server got")


if __name__ == "__main__":
    main(globals(), Daemon)
