# SPDX-License-Identifier: MIT
"""TCP connections over loopback under kernel TLS with keys of the test's own making, without a handshake."""

import contextlib
import socket
import struct

from ktlstest import ktls

TLS_1_3 = 0x0304
# Sizes of IV, key, salt and record number, in the order in which the kernel has them.
SIZES = {51: (8, 16, 4, 8), 52: (8, 32, 4, 8), 53: (8, 16, 4, 8), 54: (12, 32, 0, 8)}
CIPHERS = {name: number for number, name in ktls.KERNEL_CIPHERS.items()}


def connection(family=socket.AF_INET):
    """Both ends of a connection, the one that asked for it first."""
    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    with socket.create_server((host, 0), family=family) as listener:
        client = socket.socket(family)
        try:
            client.connect(listener.getsockname())
            return client, listener.accept()[0]
        except BaseException:
            client.close()
            raise


def attach(sock):
    """Under the kernel's TLS, without keys."""
    sock.setsockopt(socket.IPPROTO_TCP, ktls.TCP_ULP, b"tls")


def install(sock, which, cipher, version=ktls.TLS_1_2):
    """The same keys for whoever asks."""
    number = CIPHERS[cipher]
    sock.setsockopt(ktls.SOL_TLS, which, struct.pack("=HH", version, number) + bytes(sum(SIZES[number])))


@contextlib.contextmanager
def pair(cipher, family=socket.AF_INET, version=ktls.TLS_1_2):
    """Both ends, with keys in both directions."""
    with contextlib.ExitStack() as stack:
        ends = [stack.enter_context(end) for end in connection(family)]
        for end in ends:
            attach(end)
            for which in (ktls.TLS_TX, ktls.TLS_RX):
                install(end, which, cipher, version)
        yield ends
