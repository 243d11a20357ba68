# SPDX-License-Identifier: MIT
"""The secrets of TLS connections, and where they are to be found: in memory, or in a text.

Known of a connection are its keys, from the socket that was handed over or derived from the master
secret; the master secret, which the peer's TLS library tells; and what both have agreed on before
(tests/lib/derive.c). They are looked for in pieces of 8 bytes, so that one that is half overwritten
is found, and also with the bytes of each word turned round, as key schedules have them.
"""

import base64
import collections
import contextlib
import hmac
import os
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from ktlstest import ktls
from ktlstest.daemon import TOP
from ktlstest.peer import Peer
from ktlstest.tap import check_between, check_equal, check_in, check_true

SCAN = os.path.join(TOP, "build", "scan")
DERIVE = os.path.join(TOP, "build", "derive.so")
PIECE = 8
AFTER = 0.2  # seconds from the hand-over to the look
READ_LEAST = 1 << 20  # bytes of any process, or it was not looked at
RANDOM_SIZE = 32
RECORD_AND_HEADER = 5 + 4 + 2  # before the random of either Hello


class Cipher(NamedTuple):
    """Sizes in the key block (RFC 5246, 6.3), and the hash."""
    key: int
    iv: int
    digest: str


GCM_128, GCM_256 = Cipher(16, 4, "sha256"), Cipher(32, 4, "sha384")
CCM_128, CHACHA = Cipher(16, 4, "sha256"), Cipher(32, 12, "sha256")
SUITES = {0x009c: GCM_128, 0xc02b: GCM_128, 0xc02f: GCM_128, 0xc02c: GCM_256, 0xc030: GCM_256,
          0xc0ac: CCM_128, 0xcca8: CHACHA, 0xcca9: CHACHA}
# The kernel's struct: its size, where the key is, the size of that, and what of the iv before it
# does not go over the wire.
STRUCTS = {"aes-gcm-128": (40, 12, 16, 0), "aes-gcm-256": (56, 12, 32, 0),
           "aes-ccm-128": (40, 12, 16, 0), "chacha20-poly1305": (56, 16, 32, 12)}


class Hit(NamedTuple):
    """A place of a piece of a secret."""
    name: str
    pid: int
    address: int
    mapping: str


def preload():
    """The scenario anew, with a TLS library that tells what it derives; to be called before all."""
    if "DERIVED" in os.environ:
        del os.environ["LD_PRELOAD"]  # ktlsd is not to have it
        return
    file, os.environ["DERIVED"] = tempfile.mkstemp(prefix="derived.")
    os.close(file)
    os.environ["LD_PRELOAD"] = DERIVE
    os.execv(sys.executable, [sys.executable, *sys.argv])


def _expand(digest, secret, seed, size):
    """P_hash of RFC 5246, 5."""
    output, a = b"", seed
    while len(output) < size:
        a = hmac.digest(secret, a, digest)
        output += hmac.digest(secret, a + seed, digest)
    return output[:size]


def key_block(cipher, master, client_random, server_random):
    """What a session's keys are cut from."""
    return _expand(cipher.digest, master, b"key expansion" + server_random + client_random,
                   2 * (cipher.key + cipher.iv))


def of_socket(sock):
    """The keys of both directions, as whoever has the socket can read them."""
    found = []
    for which in (ktls.TLS_TX, ktls.TLS_RX):
        total, start, size, iv = STRUCTS[ktls.direction(sock, which).cipher]
        struct = sock.getsockopt(ktls.SOL_TLS, which, total)
        check_equal(len(struct), total, "the size of the kernel's struct")
        found += [struct[start:start + size]] + ([struct[start - iv:start]] if iv else [])
    return found


def turned(secret):
    """With the bytes of each word in the other order."""
    words = [secret[i:i + 4][::-1] for i in range(0, len(secret), 4)]
    return b"".join(words)


def pieces(secret):
    """Every place of memory that has 15 bytes of it in a row has one of these."""
    return {text[i:i + PIECE] for text in (secret, turned(secret))
            for i in range(0, len(secret) - PIECE + 1, PIECE)}


def spellings(secret):
    """As a text may have it."""
    for i in range(0, len(secret) - PIECE + 1, PIECE):
        piece = secret[i:i + PIECE]
        yield from (piece, piece.hex().encode(), piece.hex().upper().encode())
    # What comes before shifts the letters; the first and the last may have bits of something else.
    for shift in range(3):
        yield base64.b64encode(bytes(shift) + secret)[4:-4]


def scan(secrets, pids):
    """The places in these processes, as Hits, and the bytes that were read of each process."""
    names = {piece.hex(): name for secret, name in secrets.items() for piece in pieces(secret)}
    done = subprocess.run([SCAN, *map(str, pids)], input="\n".join(names), text=True, check=False,
                          capture_output=True)
    check_equal((done.returncode, done.stderr), (0, ""), "the end of the scan")
    hits, read = [], {}
    for line in done.stdout.splitlines():
        word, *fields = line.split(" ", 3)
        if word == "hit":
            address, _, mapping = fields[2].partition(" ")
            hits.append(Hit(names[fields[0]], int(fields[1]), int(address, 16), mapping))
        else:
            read[int(fields[0])] = int(fields[1])
    return hits, read


class Secrets:
    """All that were made since it was, of all connections to its peers."""

    def __init__(self):
        self.keylog = tempfile.NamedTemporaryFile(prefix="keylog.")
        self.read_of = collections.Counter()  # lines, by path
        self.masters = {}  # by the client's random
        self.known = {}  # secret to what it is
        self.sockets = 0
        self.handed_over = 0.0  # the last of them

    def close(self):
        self.keylog.close()

    @contextlib.contextmanager
    def peer(self, *words, make=Peer, **more):
        """A Peer whose secrets are told; at its end they are known here."""
        with make(*words, **more) as peer:
            peer.context.keylog_filename = self.keylog.name
            try:
                yield peer
            finally:
                self.learn(peer)

    def learn(self, peer):
        """What the connections of a peer have come to so far; how many have a master secret."""
        for line in self._fresh(self.keylog.name):
            if line.startswith("CLIENT_RANDOM"):
                client_random, master = map(bytes.fromhex, line.split()[1:])
                self.masters[client_random] = master
        for line in self._fresh(os.environ["DERIVED"]):
            self.known[bytes.fromhex(line)] = "what both sides have agreed on"
        return sum(self._learn_connection(connection) for connection in peer.connections)

    def _fresh(self, path):
        """Lines of a file that are not read yet."""
        with open(path, encoding="ascii") as file:
            lines = file.read().splitlines()
        fresh, self.read_of[path] = lines[self.read_of[path]:], len(lines)
        return fresh

    def _learn_connection(self, connection):
        master = self.masters.get(random_of(connection.raw))
        if master is None:
            return False
        self.known[master] = "a master secret"
        answer = connection.answer
        behind = RECORD_AND_HEADER + RANDOM_SIZE
        suite = behind + 1 + answer[behind]
        cipher = SUITES[int.from_bytes(answer[suite:suite + 2], "big")]
        block = key_block(cipher, master, random_of(connection.raw), random_of(answer))
        for name, start in (("client's", 0), ("server's", cipher.key)):
            self.known[block[start:start + cipher.key]] = f"the {name} key"
        return True

    def add_socket(self, sock, peer):
        """One that was just handed over: its keys are those that were derived here."""
        self.handed_over = time.monotonic()
        self.sockets += 1
        keys = of_socket(sock)
        self.learn(peer)
        for key in keys:
            if len(key) >= 16:
                check_in(key, self.known, "a key that the kernel has, among those derived here")
            self.known.setdefault(key, "an iv")

    # Looking for them

    def wait(self):
        """Until it is time for the look at what was handed over last: that is what is promised."""
        time.sleep(max(0.0, self.handed_over + AFTER - time.monotonic()))

    def find(self, pids):
        """The places in these processes, all of which were read, of those that there are."""
        check_true(bool(self.known), "there are secrets")
        hits, read = scan(self.known, pids)
        check_equal(sorted(read), sorted(pids), "the processes that were read")
        for pid, size in read.items():
            check_between(size, READ_LEAST, 1 << 40, f"bytes of process {pid}")
        return hits

    def find_text(self, text):
        """Those that a text has, whatever they are written like."""
        return {name for secret, name in self.known.items()
                if any(spelling in text for spelling in spellings(secret))}

    def check_text(self, text, what):
        check_equal(self.find_text(text), set(), f"secrets in {what}")


def random_of(flight):
    """The random of a ClientHello or ServerHello, with its record around it."""
    return flight[RECORD_AND_HEADER:RECORD_AND_HEADER + RANDOM_SIZE]
