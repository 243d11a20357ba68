#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The real systemd-journald: what it makes of ktlsd's entries, and that ktlsd goes on when it does
not read, dies, and is there again."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

from ktlstest.asking import AT_ONCE, ask, check_good, trusting
from ktlstest.daemon import Daemon
from ktlstest.expect import check_connected, check_error
from ktlstest.peer import Peer, Plan
from ktlstest.tap import check_between, check_equal, check_true, main, test, wait_until

JOURNALD = "/lib/systemd/systemd-journald"
SOCKETS = "/run/systemd/journal"
CGROUPS = "/sys/fs/cgroup"
PATIENCE = 20.0
MANY = 150  # a stream's buffer holds some 280 lines, for each is counted as a kilobyte
DONE, FAILED = "77d73c79ec0a48549088cdb2f2030a47", "c0379bfd9f9b495997ae6c9fb095d1bc"
CANCELLED = "126971272c864a4f86d0c64099c8fb2d"
OWN = re.compile("KTLSD_[A-Z0-9_]+")
# What systemd does before it starts a service: its stream, and by what to know it.
WRAPPER = """
import os, socket, sys
stream = socket.socket(socket.AF_UNIX)
stream.connect("/run/systemd/journal/stdout")
stream.sendall(b"stream\\n\\n6\\n1\\n0\\n0\\n0\\n")
os.dup2(stream.fileno(), 2)
file = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{file.st_dev}:{file.st_ino}"
os.execv(sys.argv[1], sys.argv[1:])
"""
CONFIG = f"[Limits]\nUserRecordsBurst={2 * MANY}\n"
CLOSED_PORT = ("127.0.0.1", 1)


class Service:
    """ktlsd with its standard error output at journald, as systemd would start it."""

    def __init__(self):
        os.makedirs(SOCKETS, exist_ok=True)
        os.makedirs("/run/log/journal", exist_ok=True)
        if not os.path.ismount(CGROUPS):  # or journald does not start
            os.makedirs(CGROUPS, exist_ok=True)
            subprocess.run(["mount", "-t", "cgroup2", "none", CGROUPS], check=True)
        self.journald = None
        self.start_journald()
        self.daemon = Daemon(CONFIG, prefix=[sys.executable, "-c", WRAPPER])

    def start_journald(self):
        for name in ("socket", "stdout", "io.systemd.journal"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(SOCKETS, name))
        self.journald = subprocess.Popen([JOURNALD])
        wait_until(lambda: os.path.exists(os.path.join(SOCKETS, "io.systemd.journal")), PATIENCE,
                   "journald's sockets")

    def stop_journald(self):
        self.journald.terminate()
        self.journald.wait(PATIENCE)

    def entries(self, *matches):
        """All there are, oldest first."""
        subprocess.run(["journalctl", "--sync"], check=True)
        done = subprocess.run(["journalctl", "--output=json", "--no-pager", *matches], check=True,
                              stdout=subprocess.PIPE, text=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def after(self, count, *matches, at_least=1):
        """What has come behind the first so many."""
        wait_until(lambda: len(self.entries(*matches)) >= count + at_least, PATIENCE, "entries", 0.1)
        return self.entries(*matches)[count:]

    def diagnosis(self):
        entries = self.entries("SYSLOG_IDENTIFIER=ktlsd", "SYSLOG_IDENTIFIER=stream")
        return "\n".join(str(entry.get("MESSAGE")) for entry in entries[-20:])

    def close(self):
        try:
            self.daemon.close()
        finally:
            self.stop_journald()


def own(entry):
    return {name: value for name, value in entry.items() if OWN.fullmatch(name)}


@test("a request that went well is one entry, with what the caller was told")
def done(service):
    count = len(service.entries("SYSLOG_IDENTIFIER=ktlsd"))
    with Peer() as peer:
        reply = ask(service.daemon, peer, trust=trusting("ca"))
        with check_connected(reply):
            entry, = service.after(count, "SYSLOG_IDENTIFIER=ktlsd")
        session = reply.parameters["session"]
        check_equal(own(entry), {
            "KTLSD_METHOD": "Connect", "KTLSD_UID": str(os.getuid()), "KTLSD_HOST": peer.host,
            "KTLSD_PORT": str(peer.port), "KTLSD_ADDRESS": session["address"],
            "KTLSD_OUTCOME": "ok", "KTLSD_POLICY": "default",
            "KTLSD_TLS_VERSION": session["version"], "KTLSD_CIPHER": session["cipher"],
            "KTLSD_VERIFIED_BY": session["verifiedBy"],
            **{f"KTLSD_{name.upper()}_USEC": str(usec)
               for name, usec in session["timings"].items() if usec},
        }, "the entry's fields")
    check_equal((entry["PRIORITY"], entry["MESSAGE_ID"]), ("6", DONE), "priority and id")
    check_true(entry["MESSAGE"].startswith(f"uid {os.getuid()}: {peer.host} port"), entry["MESSAGE"])
    check_equal((entry["_COMM"], entry["_TRANSPORT"]), ("ktlsd-worker", "journal"),
                "who wrote it, and how")


@test("a request that failed is one entry, which tells why, and nothing of the CA")
def failed(service):
    count = len(service.entries("SYSLOG_IDENTIFIER=ktlsd"))
    with Peer() as peer:
        reply = ask(service.daemon, peer, trust=trusting("other-ca"))
        check_error(reply, "CertificateRejected", "handshake")
        entry, = service.after(count, "SYSLOG_IDENTIFIER=ktlsd")
    check_equal((entry["KTLSD_OUTCOME"], entry["KTLSD_STAGE"], entry["KTLSD_X509"]),
                ("CertificateRejected", "handshake", reply.parameters["x509"]), "how it ended")
    check_equal((entry["PRIORITY"], entry["MESSAGE_ID"]), ("5", FAILED), "priority and id")
    check_true("BEGIN" not in json.dumps(service.entries()), "a PEM text is in the journal")


@test("a request that its caller cancels is one entry, which tells where it was")
def cancelled(service):
    count = len(service.entries("SYSLOG_IDENTIFIER=ktlsd"))
    with Peer(plan=Plan("hello", "stall")) as peer:
        with service.daemon.caller() as caller:
            caller.start("io.ktlsd.Connect", {"host": peer.host, "port": peer.port})
            check_true(peer.connection().stepped.wait(PATIENCE), "it is under way")
        entry, = service.after(count, "SYSLOG_IDENTIFIER=ktlsd")
    check_equal((entry["KTLSD_OUTCOME"], entry["KTLSD_STAGE"], entry["PRIORITY"]),
                ("cancelled", "handshake", "6"), "how it ended")
    check_equal(entry["MESSAGE_ID"], CANCELLED, "the id")


@test(f"journald does not read: {MANY} requests are answered, and logged when it does")
def stopped(service):
    """Its socket takes a few of them, and its stream the others, without fields."""
    count = len(service.entries(f"MESSAGE_ID={FAILED}"))
    os.kill(service.journald.pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        for _ in range(MANY):
            with service.daemon.connect(*CLOSED_PORT) as reply:
                check_error(reply, "ConnectFailed", "connect", within=AT_ONCE)
        check_between(time.monotonic() - start, 0, PATIENCE, "seconds for all of them")
    finally:
        os.kill(service.journald.pid, signal.SIGCONT)
    sentence = "MESSAGE=uid 0: 127.0.0.1 port 1: connect: io.ktlsd.ConnectFailed: " \
               "127.0.0.1:1: Connection refused"
    wait_until(lambda: len(service.entries(sentence)) == MANY, PATIENCE, "all of them", 0.2)
    with_fields = len(service.entries(f"MESSAGE_ID={FAILED}")) - count
    check_between(with_fields, 1, MANY - 1, "entries with fields")


@test("journald is gone: requests are answered; it is back: they are entries again")
def restarted(service):
    service.stop_journald()
    for _ in range(3):
        with service.daemon.connect(*CLOSED_PORT) as reply:
            check_error(reply, "ConnectFailed", "connect", within=AT_ONCE)
    service.start_journald()
    count = len(service.entries("SYSLOG_IDENTIFIER=ktlsd"))
    with Peer() as peer:
        check_good(ask(service.daemon, peer, trust=trusting("ca")))
    lost, entry = service.after(count, "SYSLOG_IDENTIFIER=ktlsd", at_least=2)
    check_equal(lost["MESSAGE"], "3 lines of this log are lost: nobody took them", "what is lost")
    check_equal(entry["MESSAGE_ID"], DONE, "the next entry")


if __name__ == "__main__":
    main(globals(), Service)
