#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A caller names files, wherever a call has room for text: ktlsd opens none of them, nor looks for
them in any other way, as its system calls tell."""

import json
import os
import re

from ktlstest import names
from ktlstest.asking import check_good, settle, trusting
from ktlstest.daemon import Daemon
from ktlstest.peer import Peer
from ktlstest.refused import EveryName, call, check_verdict, on_wire
from ktlstest.tap import check_equal, check_in, check_true, main, test

FIFO = "/tmp/a-fifo"
PATHS = ("/proc/self/fd/3", "/proc/self/environ", "/etc/shadow", "../../../etc/passwd", FIFO,
         "file:///etc/passwd", "/dev/tty")
KEYS = {
    "": ("ca_file", "caFile", "caPath", "certificate", "key", "path", "fileDescriptor", "config",
         "host", "serverName"),
    "trust": ("ca", "store", "name", "caFile", "ca_path", "file", "dir"),
    "policy": ("name", "ciphers", "ciphersuites", "groups", "signatureAlgorithms", "file"),
}
# What the C library opens to resolve a name.
RESOLVING = re.compile(
    r"/etc/(hosts|host\.conf|resolv\.conf|nsswitch\.conf|gai\.conf|ld\.so\.cache)|"
    r"(/usr)?/lib(/[^/]+-linux-gnu)?/(glibc-hwcaps/[^/]+/)?lib(nss_\w+|resolv)\.so\.\d+")
# "PID call(..., "PATH" ...", which strace writes; an empty path means a descriptor.
CALLS = re.compile(r'^(\d+) +(\w+)\([^"]*"((?:[^"\\]|\\.)+)"')


def calls_with(path):
    """A call for each place that has room for the path, and what is at fault with it."""
    text = json.dumps(path)
    for where, keys in KEYS.items():
        for key in keys:
            if key == "host":
                yield call(host=text), "host"
            elif not where:
                yield call(more=f',"{key}":{text}'), key
            else:
                yield call(more=f',"{where}":{{"{key}":{text}}}'), f"{where}.{key}"


class Traced(Daemon):
    """ktlsd and all it starts, with a record of every system call that has the name of a file."""

    def __init__(self):
        self.log = f"/tmp/trace.{os.getpid()}"
        super().__init__(prefix=["strace", "-f", "-qq", "-s", "200", "-o", self.log,
                                 "-e", "trace=%file"])
        settle(self)

    def files(self):
        """(process, file name) of each such call until now."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            found = [(int(match[1]), match[3]) for match in map(CALLS.match, file) if match]
        return found


@test("ktlsd is asked for {path}, everywhere", cases=[{"path": path} for path in PATHS])
def named(daemon, path):
    before = len(daemon.files())
    with Peer() as peer:
        for text, parameter in calls_with(path):
            with daemon.caller() as caller:
                caller.send(on_wire(text, peer.port) + b"\0")
                check_true(check_verdict(caller, parameter), "the connection is kept")
        check_equal(len(peer.connections), 0, "connections that the server saw")
    check_equal(daemon.files()[before:], [], "files that were looked for")


@test("what is opened for a request is what a name is resolved with, and by a resolver")
def resolving(daemon):
    before = len(daemon.files())
    with names.NameServer(EveryName()), Peer() as peer:
        check_good(daemon.connect("server.test", peer.port, trust=trusting("ca")))
    found = daemon.files()[before:]
    check_in("/etc/hosts", [path for _, path in found], "files that were looked for")
    check_equal([entry for entry in found if not RESOLVING.fullmatch(entry[1])], [], "strangers")
    check_equal([entry for entry in found if entry[0] in daemon.kept()], [],
                "files of ktlsd itself, and of its workers")


def start():
    names.configure({})
    os.mkfifo(FIFO)
    return Traced()


if __name__ == "__main__":
    main(globals(), start)
