#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ktlsd as a process: nobody reads its memory, no core is left, and its socket is for those it is
meant for."""

import os
import signal
import socket
import stat
import subprocess
import tempfile

from ktlstest.asking import ask, check_good, trusting
from ktlstest.daemon import Daemon, binary
from ktlstest.peer import Peer
from ktlstest.tap import check_equal, check_in, main, test, wait_until

CORE = "/run/core"


def set_kernel(name, value):
    with open(f"/proc/sys/{name}", "w", encoding="ascii") as file:
        file.write(value)


@test("fs.suid_dumpable={value}: no core, and root's alone to look at", cases=[
    {"value": value} for value in ("0", "1", "2")])
def not_dumpable(value):
    """A pipe takes cores whatever their limit is (core(5)), and a change of user resets much."""
    set_kernel("fs/suid_dumpable", value)
    set_kernel("kernel/core_pattern", f"|/usr/bin/tee {CORE}")
    try:
        with Daemon() as daemon:
            with Peer() as peer:
                check_good(ask(daemon, peer, trust=trusting("ca")))
            for pid in daemon.pids():
                owner = os.stat(f"/proc/{pid}/mem").st_uid
                check_equal(owner, 0, f"who owns the memory of process {pid}")
            worker = daemon.workers()[0]
            os.kill(worker, signal.SIGSEGV)
            wait_until(lambda: f"worker {worker} was ended by signal {signal.SIGSEGV}" in
                       daemon.stderr(), 5, "the end of a worker")
            check_equal(daemon.kill(signal.SIGSEGV), -signal.SIGSEGV, "how ktlsd ended")
        check_equal(os.path.exists(CORE), False, "whether there is a core")
    finally:
        set_kernel("kernel/core_pattern", "core")
        set_kernel("fs/suid_dumpable", "0")


@test("workers are confined: a filter of system calls, no capability, no way to new privileges")
def confined():
    """Started as root, whose capabilities there would be to lose."""
    with Daemon("[Service]\nWorkers=2\n") as daemon:
        workers = daemon.resolvers("ktlsd-worker")
        check_equal(len(workers), 2, "workers")
        for pid in workers:
            rights = daemon.confinement(pid)
            check_equal((rights.seccomp, rights.capabilities, rights.no_new_privs, rights.core),
                        (2, 0, True, 0), f"rights of worker {pid}")


@test("the pipe that takes cores does so")
def control():
    set_kernel("kernel/core_pattern", f"|/usr/bin/tee {CORE}")
    try:
        subprocess.run(["sh", "-c", "kill -SEGV $$"], check=False)
        check_equal(os.path.getsize(CORE) > 0, True, "whether there is a core")
    finally:
        set_kernel("kernel/core_pattern", "core")
        os.unlink(CORE)


def run(*arguments, **settings):
    return subprocess.run([binary(), "--config", "/dev/null", *arguments], check=False, timeout=20,
                          capture_output=True, text=True, **settings)


@test("a path that can be no socket's: {what}", cases=[
    {"what": "none at all", "path": "", "text": "no path"},
    {"what": "too long", "path": "/run/" + "x" * 108, "text": "no path"},
    {"what": "a missing directory", "path": "/run/nowhere/sock", "text": "directory is not there"},
    {"what": "a file", "path": "/etc/hosts", "text": "in the way"},
    {"what": "a directory", "path": "/etc", "text": "in the way"}])
def bad_path(what, path, text):
    ended = run("--socket", path)
    check_equal(ended.returncode, 1, "exit status")
    check_in(text, ended.stderr, "stderr")
    check_equal(os.path.exists("/etc/hosts"), True, "whether /etc/hosts is still there")


def mode(path):
    found = os.lstat(path)
    return oct(stat.S_IMODE(found.st_mode)), found.st_uid, found.st_gid


@test("the socket's mode and owner, {what}", cases=[
    {"what": "with a group ktls", "group": True, "want": ("0o660", 0, 4711)},
    {"what": "without a group ktls", "group": False, "want": ("0o600", 0, 0)}])
def socket_mode(what, group, want):
    with open("/etc/group", encoding="ascii") as file:
        kept = file.read()
    with open("/etc/group", "a", encoding="ascii") as file:
        file.write("ktls:x:4711:\n" if group else "")
    try:
        with Daemon() as daemon:
            check_equal(mode(daemon.socket_path), want, "mode, uid and gid")
    finally:
        with open("/etc/group", "w", encoding="ascii") as file:
            file.write(kept)


@test("the default socket can be reached whatever the umask was")
def default_socket():
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        path = os.path.join(directory, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            os.chmod(path, 0o666)
            notify.settimeout(20)
            with subprocess.Popen([binary(), "--config", "/dev/null"], umask=0o077,
                                  env={"NOTIFY_SOCKET": path}) as ktlsd:
                check_in(b"READY=1", notify.recv(4096), "the notification")
                ktlsd.terminate()
                check_equal(ktlsd.wait(20), 0, "exit status")
    check_equal(mode("/run/ktlsd"), ("0o755", 0, 0), "mode, uid and gid of the directory")


if __name__ == "__main__":
    main(globals())
