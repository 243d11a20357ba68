# SPDX-License-Identifier: MIT
"""Names for the scenarios: the guest's own files, and a name server that can be made to fail.

They are below /etc. A guest's files are gone when it ends; elsewhere the scenario goes into
namespaces of its own, in which the network is loopback alone.
"""

import ctypes
import os
import select
import socket
import struct
import subprocess
import tempfile
import threading

PORT = 53
TYPE_A, TYPE_CNAME, TYPE_AAAA = 1, 5, 28
NXDOMAIN, SERVFAIL = 3, 2
CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000


def _write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text + "\n")


def _bind(path, text):
    """Over the machine's own file, for those in our namespace alone."""
    with tempfile.NamedTemporaryFile() as file:
        os.chmod(file.name, 0o644)
        _write(file.name, text)
        subprocess.run(["mount", "--bind", file.name, os.path.realpath(path)], check=True)


def _go_away():
    """Into namespaces of our own, for mounts and network."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWNET) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def replace(path, text):
    """Another file of the machine's, for those in our namespace; after configure()."""
    (_write if os.environ.get("KTLSD_GUEST") == "1" else _bind)(path, text)


def configure(hosts):
    """Have these names in /etc/hosts, everything else from a name server on loopback.

    To be called before anything is connected or started.
    """
    put = _write
    if os.environ.get("KTLSD_GUEST") != "1":
        _go_away()
        put = _bind
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
    lines += [f"{address} {name}" for name, addresses in hosts.items() for address in addresses]
    for path, text in (("/etc/hosts", "\n".join(lines)),
                       ("/etc/nsswitch.conf", "hosts: files dns"),
                       ("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:5 attempts:2")):
        put(path, text)


class NameServer:
    """Answers with the addresses given, "silent" names never, "servfail" ones with a failure.

    Addresses may be a function as well, of the type that is asked for. Aliases are names for names
    (CNAME). What it doesn't know doesn't exist. `asked` lists the names in the order of the questions.
    """

    def __init__(self, addresses=None, silent=(), servfail=(), aliases=None):
        self.addresses, self.silent, self.servfail = addresses or {}, silent, servfail
        self.aliases = aliases or {}
        self.asked = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", PORT))
        self.stop_reader, self.stop_writer = os.pipe()
        self.thread = threading.Thread(target=self._run, name="name server")
        self.thread.start()

    def _run(self):
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        poll.register(self.stop_reader, select.POLLIN)
        while self.stop_reader not in dict(poll.poll()):
            question, address = self.sock.recvfrom(4096)
            answer = self._answer(question)
            if answer is not None:
                self.sock.sendto(answer, address)

    def _answer(self, packet):
        name, end = _name(packet, 12)
        kind = struct.unpack_from("!H", packet, end)[0]
        self.asked.append(name)
        if name in self.silent:
            return None
        records, owner, target = [], b"\xc0\x0c", name
        while target in self.aliases:
            target = self.aliases[target]
            records.append(_record(owner, TYPE_CNAME, _labels(target)))
            owner = _labels(target)
        known = self.addresses.get(target)
        known = known(kind) if callable(known) else known
        code = SERVFAIL if name in self.servfail else NXDOMAIN if known is None else 0
        records += [_record(owner, kind, _address(text)) for text in known or ()
                    if _family(text) == kind]
        header = packet[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(records), 0, 0)
        return header + packet[12:end + 4] + b"".join(records)

    def close(self):
        os.write(self.stop_writer, b"x")
        self.thread.join()
        self.sock.close()
        os.close(self.stop_reader)
        os.close(self.stop_writer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _name(packet, offset):
    labels = []
    while size := packet[offset]:
        labels.append(packet[offset + 1:offset + 1 + size].decode().lower())
        offset += 1 + size
    return ".".join(labels), offset + 1


def _family(text):
    return TYPE_AAAA if ":" in text else TYPE_A


def _address(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def _labels(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _record(owner, kind, data):
    return owner + struct.pack("!HHIH", kind, 1, 0, len(data)) + data
