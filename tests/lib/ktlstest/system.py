# SPDX-License-Identifier: MIT
"""ktlsd as an administrator has it: installed in a guest, socket and service under its systemd.

Members and strangers of the group ktls are users of their own; the TLS server is in a network
namespace behind a veth, at PEER.
"""

import contextlib
import ctypes
import functools
import grp
import os
import pwd
import re
import shutil
import socket
import subprocess

from ktlstest import turmoil, wire
from ktlstest.daemon import TOP
from ktlstest.peer import Peer
from ktlstest.tap import check_equal, check_true, note, wait_until

SOCKET = "/run/ktlsd/io.ktlsd"
REGISTRY = "/run/varlink/registry/io.ktlsd"
BUILT = ("ktlsd", "ktlsctl", "libktls.so.0", "libktls.a")
DROP_IN = "/etc/ktlsd/ktlsd.conf.d/test.conf"
CGROUP = "/sys/fs/cgroup/system.slice/ktlsd.service/cgroup.procs"
MEMBER, STRANGER = "member", "stranger"
NAMESPACE, HOST, PEER = "peer", "192.0.2.2", "192.0.2.1"
CLONE_NEWNET = 0x40000000
RELOAD_DONE = "8d537c179d154dc6a2da196ad5ffaa4e"
PATIENCE = 30.0
JOURNAL_KEPT = 40

LIBC = ctypes.CDLL(None, use_errno=True)


def run(*words, check=True, **more):
    """What a command did; its output is told if it was to succeed and has not."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, timeout=PATIENCE, check=False, **more)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit status {done.returncode}:\n{done.stdout}")
    return done


def systemctl(*words, **more):
    return run("systemctl", *words, **more)


def install():
    """make install of the tree that was built before: for the guest it would take too long, and
    need not have a compiler."""
    program = os.path.join(TOP, "build", "ktlsd")
    built = os.stat(program).st_mtime_ns
    run("make", "-s", "install", "PREFIX=/usr", *[f"--old-file=build/{name}" for name in BUILT],
        cwd=TOP)
    check_equal(os.stat(program).st_mtime_ns, built, "when build/ktlsd was built")


def add_users():
    run("useradd", "--no-create-home", "--groups", "ktls", MEMBER)
    run("useradd", "--no-create-home", STRANGER)


def add_namespace():
    for line in (f"netns add {NAMESPACE}",
                 f"link add v-host type veth peer name v-peer netns {NAMESPACE}",
                 f"address add {HOST}/24 dev v-host", "link set v-host up",
                 f"-n {NAMESPACE} address add {PEER}/24 dev v-peer",
                 f"-n {NAMESPACE} link set v-peer up"):
        run("ip", *line.split())


@contextlib.contextmanager
def inside(namespace):
    """This thread, and what it makes, in another network namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        with open(f"/run/netns/{namespace}", "rb") as other:
            _setns(other.fileno())
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def _setns(fd):
    if LIBC.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def connected_to(port):
    """Whether somebody on this side of the veth has a connection to this port."""
    return bool(run("ss", "--tcp", "--numeric", "--no-header", "state", "established",
                    f"dport = {port}").stdout)


def peer(*words, **more):
    """A TLS server at its address behind the veth."""
    with inside(NAMESPACE):
        return Peer(*words, host=PEER, **more)


def become(user):
    """This process, that user, for good."""
    entry = pwd.getpwnam(user)
    os.setgroups(os.getgrouplist(user, entry.pw_gid))
    os.setresgid(*[entry.pw_gid] * 3)
    os.setresuid(*[entry.pw_uid] * 3)


def _connect_as(user, channel):
    """In a child: connect as the user; the connection, or the errno, goes through the channel."""
    try:
        become(user)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(SOCKET)
            socket.send_fds(channel, [b"0"], [sock.fileno()])
    except OSError as error:
        channel.send(str(error.errno).encode())


def caller(user=MEMBER, timeout=wire.DEFAULT_TIMEOUT):
    """A connection to ktlsd which a process of the user's has made. OSError as the user had it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = os.fork()
        if child == 0:
            try:
                _connect_as(user, theirs)
            finally:
                os._exit(0)
        data, fds, _, _ = socket.recv_fds(ours, 16, 1)
        os.waitpid(child, 0)
    if not fds:
        number = int(data)
        raise OSError(number, os.strerror(number), SOCKET)
    return wire.Caller(SOCKET, timeout, socket.socket(fileno=fds[0]))


def ask(server, user=MEMBER, **parameters):
    """One Connect of the user's to a peer of ours, whose certificate is for server.test."""
    with caller(user) as service:
        return service.connect(server.host, server.port, **parameters)


def uid(user):
    return pwd.getpwnam(user).pw_uid


def gid(group):
    return grp.getgrnam(group).gr_gid


@contextlib.contextmanager
def storm(**parameters):
    """Members who ask on and on, and who hold sockets: turmoil.Turmoil."""
    with contextlib.ExitStack() as stack:
        made = turmoil.Turmoil(stack, SOCKET, peer, functools.partial(become, MEMBER), **parameters)
        note(f"{made.rate:.1f} sockets a second; from here on half of it")
        yield made


def unit(name, prop="ActiveState"):
    """A property of one of our units."""
    return systemctl("show", "--value", "--property", prop, name).stdout.strip()


def main_pid():
    return int(unit("ktlsd.service", "MainPID"))


def processes():
    """All of the service's."""
    with open(CGROUP, encoding="ascii") as file:
        return [int(line) for line in file]


def workers():
    """Those among them that serve callers."""
    found = []
    for pid in processes():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                if file.read() == "ktlsd-worker\n":
                    found.append(pid)
    return found


def count_journal(message_id):
    """How many entries of ktlsd's there are of an event (daemon/events.h)."""
    return len(journal(f"MESSAGE_ID={message_id}").splitlines())


def journal(*words):
    """What ktlsd has said, up to now."""
    run("journalctl", "--sync")
    return run("journalctl", "--boot", "--quiet", "--output=cat", "--unit=ktlsd.service",
               *words).stdout


@contextlib.contextmanager
def reloading():
    """What is done here has the service load its configuration anew, and that is waited for: before
    version 253 systemctl reload may return a little before it has."""
    before = count_journal(RELOAD_DONE)
    yield
    wait_until(lambda: count_journal(RELOAD_DONE) > before, 10, "the end of the reload", 0.1)


def reload():
    with reloading():
        systemctl("reload", "ktlsd.service")


def wait_journal(pattern):
    """The first line that matches."""
    def search():
        return re.search(pattern, journal(), re.MULTILINE)
    return wait_until(search, 5, f"/{pattern}/ in the journal", interval=0.1).group()


def module_loaded(name="tls"):
    with open("/proc/modules", encoding="ascii") as file:
        return name in [line.split()[0] for line in file]


def wait_unload(name):
    """rmmod, as soon as nothing uses the module any more."""
    wait_until(lambda: run("rmmod", name, check=False).returncode == 0, 10, f"rmmod {name}",
               interval=0.1)


def configure(text):
    """The administrator's own settings, beside the shipped file."""
    with open(DROP_IN, "w", encoding="utf-8") as file:
        file.write(text)


class System:
    """Everything in place, the socket started, nothing asked yet. program: another ktlsd."""

    def __init__(self, config="", program=None):
        with open("/proc/1/comm", encoding="ascii") as file:
            check_equal(file.read(), "systemd\n", "process 1, as boot --systemd has it")
        install()
        if program:
            shutil.copy(program, "/usr/sbin/ktlsd")
        configure(config)
        add_users()
        add_namespace()
        systemctl("start", "ktlsd.socket")

    def diagnosis(self):
        run("journalctl", "--sync")
        return "the journal:\n" + run(
            "journalctl", "--boot", "--output=short-precise", f"--lines={JOURNAL_KEPT}",
            "SYSLOG_IDENTIFIER=systemd", "+", "SYSLOG_IDENTIFIER=ktlsd").stdout

    def close(self):
        """The service ends when it is told to, and with the socket goes its path."""
        systemctl("stop", "ktlsd.service", "ktlsd.socket")
        check_equal(unit("ktlsd.service", "Result"), "success", "the result of the service")
        check_equal(systemctl("--failed", "--plain", "--no-legend").stdout, "", "failed units")
        for path in (SOCKET, REGISTRY):
            check_true(not os.path.lexists(path), f"{path} is gone")
