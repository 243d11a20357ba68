# SPDX-License-Identifier: MIT
"""What scenarios that ask for connections have in common: how they ask, and how long it may take.

KTLSTEST_SLOWNESS stretches the times, for a daemon under valgrind.
"""

import os
import time

from ktlstest import door, ktls, pki
from ktlstest.expect import check_connected
from ktlstest.peer import Peer
from ktlstest.tap import check_between, check_equal, wait_until

SLOWNESS = float(os.environ.get("KTLSTEST_SLOWNESS", "1"))
AT_ONCE = 1.5 * SLOWNESS  # seconds, in a guest on a loaded machine; a deadline is far behind it
GONE = 0.5 * SLOWNESS  # seconds within which a peer sees that ktlsd has given up
PATIENCE = int(15000 * SLOWNESS)  # milliseconds, for what must not need them
SHORT = int(1200 * SLOWNESS)  # milliseconds, for what ends in a deadline


def ask(daemon, peer, timeout_ms=PATIENCE, **parameters):
    """Connect to where a peer listens, by its address."""
    return daemon.connect(peer.host, peer.port, timeoutMs=timeout_ms, **parameters)


def trusting(ca=None, **more):
    """The trust of a request: the text of a CA, and what else."""
    return {**({} if ca is None else {"ca": pki.ca_text(ca)}), **more}


def check_gone(peer, index=0):
    """The peer's connection ends with the reply that was just had, or has ended before it."""
    now = time.monotonic()
    check_between(peer.connection(index).wait_gone() - now, -60, GONE, "seconds until gone")


def check_echo(sock, size=40000):
    data = bytes(range(256)) * (size // 256)
    sock.sendall(data)
    check_equal(ktls.recv_exactly(sock, len(data)), data, "what came back")


def check_good(reply, verified_by="chain+name"):
    """A success, through which data goes to an echoing peer and back."""
    with check_connected(reply, verifiedBy=verified_by) as sock:
        if not door.FAKE_KERNEL:
            check_echo(sock)


def wait_rested(daemon):
    """Each worker has an idle resolver: the last that it makes by itself, and that has then closed
    what it was born with."""
    wait_until(lambda: len(daemon.resolvers()) == len(daemon.workers()), 5, "resolvers at rest")


def settle(daemon):
    """The daemon, after a first request: what is made for that and kept is no leak."""
    try:
        with Peer() as peer:
            check_good(ask(daemon, peer, trust=trusting("ca")))
        wait_rested(daemon)
        wait_until(lambda: daemon.callers() == 0, 5, "the end of the connection")
    except BaseException:
        daemon.abandon()
        raise
    daemon.fds_at_rest = daemon.fd_count()
    return daemon


def check_descriptors(daemon):
    """All requests done, it holds as many as it began with."""
    wait_until(lambda: daemon.fd_count() <= daemon.fds_at_rest, 3, "as many descriptors")
