# SPDX-License-Identifier: MIT
"""ktlsd as a child of the scenario: started, ready, watched, and ended in good order.

What is started is the supervisor; below it are its workers, and the processes that look up names.
"""

import contextlib
import functools
import operator
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import typing

from ktlstest import door, tap, wire

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../.."))
READY_TIMEOUT = 60.0  # valgrind needs most of it
EXIT_TIMEOUT = 30.0
STDERR_KEPT = 4000
CONNECTED = "03"  # a socket's state in /proc/net/unix
PER_CALLER = 2  # descriptors of a caller's connection: the worker's and the supervisor's

# What a sanitizer or valgrind writes when it has found something.
REPORT = re.compile(
    r"runtime error:|Sanitizer|^==\d+== (Invalid |Conditional jump|Use of uninit|Syscall param|"
    r"Process terminating|.*definitely lost: [1-9]|ERROR SUMMARY: [1-9])", re.MULTILINE)


def binary():
    return os.environ.get("KTLSD_BIN") or os.path.join(TOP, "build", "ktlsd")


# A worker that has crashed is replaced, and few would notice. Who kills one says so with SIGKILL.
CRASH = re.compile(r"^worker \d+ was ended by signal (?!9\b)\d+", re.MULTILINE)


class Daemon:
    """Starts with the configuration given as text and is ready when the constructor returns.

    KTLSD_BIN names another binary, KTLSD_PREFIX a command to run it under; both may be given here
    as well. `user` is the name of the one to start as. `workers` is how many there are to be, else
    KTLSTEST_WORKERS says it, or ktlsd itself.
    """

    def __init__(self, config="", *, workers=None, prefix=None, user=None, env=None, arguments=(),
                 clean_exit=True, workers_may_crash=False):
        workers = workers or os.environ.get("KTLSTEST_WORKERS")
        self.clean_exit, self.workers_may_crash = clean_exit, workers_may_crash
        self.pid = None
        self.process = None
        self.status = ""
        self.told = 0  # of its stderr
        self.directory = tempfile.mkdtemp(prefix="ktlsd-test.")
        self.socket_path = os.path.join(self.directory, "io.ktlsd")
        self.config_path = os.path.join(self.directory, "ktlsd.conf")
        self.stderr_path = os.path.join(self.directory, "stderr")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._prepare(config + (f"\n[Service]\nWorkers={workers}\n" if workers else ""), user)
            self._start(prefix, user, env, arguments)
            self.wait_ready()
        except BaseException:
            self.abandon()
            raise

    def _prepare(self, config, user):
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(config)
        path = os.path.join(self.directory, "notify")
        self.notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.notify.bind(path)
        # Other users ask the daemon, and it may have dropped its own rights when it reports.
        os.chmod(path, 0o666)
        os.chmod(self.directory, 0o755)
        self.binary = binary()
        if user is not None:
            os.chown(self.directory, pwd.getpwnam(user).pw_uid, -1)
            # The tree may lie where only its owner gets to.
            self.binary = shutil.copy(self.binary, self.directory)

    def _start(self, prefix, user, env, arguments):
        if prefix is None:
            prefix = shlex.split(os.environ.get("KTLSD_PREFIX", ""))
        command = [*prefix, self.binary, "--config", self.config_path, "--socket", self.socket_path,
                   *arguments]
        environment = dict(os.environ, NOTIFY_SOCKET=os.path.join(self.directory, "notify"))
        environment.update(door.environment() if door.FAKE_KERNEL else {})
        environment.update(env or {})
        with open(self.stderr_path, "wb") as stderr:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
                env=environment, user=user, start_new_session=True,
                **({} if user is None else {"group": pwd.getpwnam(user).pw_gid,
                                            "extra_groups": []}))

    def wait_ready(self):
        """Also after SIGHUP: a datagram with READY=1; the kernel says who sent it, which a prefix would hide."""
        end = time.monotonic() + READY_TIMEOUT
        while True:
            self.notify.settimeout(0.2)
            try:
                data, ancillary, _, _ = self.notify.recvmsg(4096, socket.CMSG_SPACE(12))
            except TimeoutError:
                if self.process.poll() is not None:
                    raise RuntimeError(f"ktlsd ended with {self.process.returncode} instead of "
                                       f"becoming ready:\n{self.stderr()}") from None
                if time.monotonic() > end:
                    raise TimeoutError(f"ktlsd is not ready:\n{self.stderr()}") from None
                continue
            fields = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
            self.status = fields.get("STATUS", self.status)
            if fields.get("READY") == "1":
                self.pid = int(fields.get("MAINPID", _sender(ancillary)))
                return

    def abandon(self):
        """Without regard to how it ends."""
        if self.process is not None and self.process.poll() is None:
            for pid in {self.pid or self.process.pid, self.process.pid}:
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
        self.notify.close()
        shutil.rmtree(self.directory)

    # Asking it

    def caller(self, timeout=wire.DEFAULT_TIMEOUT):
        return wire.Caller(self.socket_path, timeout)

    def connect(self, host, port, **parameters):
        """One Connect on a connection of its own."""
        return wire.connect(self.socket_path, host, port, **parameters)

    # Watching it

    def alive(self):
        return self.process.poll() is None

    def stderr(self):
        with open(self.stderr_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def diagnosis(self):
        """What it has said since it was last asked for that."""
        text = self.stderr()
        fresh, self.told = text[self.told:], len(text)
        return "ktlsd said:\n" + fresh[-STDERR_KEPT:]

    def children(self):
        """Every process below the daemon's, at any depth."""
        parents, found = _parents(), [self.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found[1:]

    def resolvers(self, name="ktlsd-resolver"):
        """Those among them that look up names, or would; or others by the name they have."""
        return [pid for pid in self.children() if _command(pid) == name]

    def workers(self):
        """Those among them that serve callers, the oldest first."""
        return sorted(self.resolvers("ktlsd-worker"), key=_begun)

    def kept(self):
        """Those processes that are there whether or not there is anything to do."""
        return [self.pid, *self.workers(), *self.resolvers("ktlsd-keeper"),
                *self.resolvers("ktlsd-nursery")]

    def pids(self):
        return [self.pid, *self.children()]

    def callers(self):
        """How many connections of callers it still has."""
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
            rows = [line.split() for line in file]
        return len([row for row in rows if row[5] == CONNECTED and row[7:] == [self.socket_path]])

    @staticmethod
    def rests(pid):
        """Whether it waits for what comes next, or has ended: all that came before is done."""
        try:
            return _stat(pid)[0] in "SZX"
        except (FileNotFoundError, ProcessLookupError):
            return True

    def table(self):
        """(name, pid, descriptors) of each of its processes."""
        return sorted((_command(pid), pid, _descriptors(pid)) for pid in self.pids())

    def fd_count(self):
        return sum(map(_descriptors, self.pids()))

    def rss(self):
        """KiB of VmRSS of the daemon and its children."""
        return sum(_field(f"/proc/{pid}/status", "VmRSS:") for pid in self.pids())

    def pss(self):
        """KiB of proportional set size, in which what they share counts once."""
        return sum(_field(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in self.pids())

    @staticmethod
    def anonymous(pid):
        """KiB of a process that are no file's."""
        return _field(f"/proc/{pid}/smaps_rollup", "Anonymous:")

    def cpu_seconds(self):
        """Processor time of the daemon and its children, living or waited for."""
        return sum(_ticks(pid) for pid in self.pids()) / os.sysconf("SC_CLK_TCK")

    @contextlib.contextmanager
    def paused(self):
        """Stopped, so that the rest of the world gets ahead of it."""
        pids = self.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def confinement(self, pid=None):
        """What the kernel says of the rights of a process, the supervisor if no other is named."""
        return confinement(self.pid if pid is None else pid)

    # Ending it

    def kill(self, number=signal.SIGKILL):
        """A signal to the supervisor; what it does to the exit status is then the scenario's."""
        self.clean_exit = False
        os.kill(self.pid, number)
        return self.process.wait(EXIT_TIMEOUT)

    def close(self):
        """SIGTERM, status 0, no worker that has crashed, and nothing that a sanitizer or valgrind
        would have had to say."""
        try:
            if self.process.poll() is None:
                os.kill(self.pid, signal.SIGTERM)
            status = self.process.wait(EXIT_TIMEOUT)
            text = self.stderr()
        finally:
            self.abandon()
        report = REPORT.search(text) or (self.clean_exit and not self.workers_may_crash and
                                         CRASH.search(text))
        if report or (self.clean_exit and status != 0):
            what = f"reported {report.group()!r}" if report else f"ended with status {status}"
            tap.fail(f"ktlsd {what}:\n{text[-STDERR_KEPT:]}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            tap.note(self.diagnosis())
        self.close()


class Confinement(typing.NamedTuple):
    """Of /proc/PID/status, and of the core limit."""

    seccomp: int        # 2: there is a filter
    capabilities: int   # of all sets but the bounding one, which is worth nothing with the next
    no_new_privs: bool
    core: int           # the soft limit in bytes, -1 without one
    uids: tuple         # real, effective, saved, of the file system
    gids: tuple
    groups: tuple       # beside those
    ignored: int        # signals, from 1 at the lowest bit


def confinement(pid):
    fields = {}
    for name in ("status", "limits"):
        with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as file:
            fields.update(re.findall(r"^([A-Z][\w ]*?)(?::|  )[ \t]*(.*)", file.read(),
                                     re.MULTILINE))
    sets = [int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")]
    core = fields["Max core file size"].split()[0]
    return Confinement(seccomp=int(fields["Seccomp"]),
                       capabilities=functools.reduce(operator.or_, sets),
                       no_new_privs=fields["NoNewPrivs"] == "1",
                       core=-1 if core == "unlimited" else int(core),
                       uids=_numbers(fields["Uid"]), gids=_numbers(fields["Gid"]),
                       groups=_numbers(fields["Groups"]),
                       ignored=int(fields["SigIgn"], 16))


def _numbers(text):
    return tuple(map(int, text.split()))


def _sender(ancillary):
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return struct.unpack("iII", data)[0]
    raise RuntimeError("a notification without a sender")


def _parents():
    """The parent of every process there is."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(name)] = int(_stat(name)[1])
        except (FileNotFoundError, ProcessLookupError):
            pass  # it ended meanwhile
    return parents


def _stat(pid):
    """The fields of /proc/PID/stat from the state on, behind a name that may contain anything."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def _begun(pid):
    """When, in ticks since the machine was started; 0: it has ended."""
    try:
        return int(_stat(pid)[19])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _command(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
            return file.read().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return None


def _descriptors(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _field(path, name):
    with open(path, encoding="ascii") as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1])
    raise RuntimeError(f"{path} has no {name}")


def _ticks(pid):
    try:
        return sum(map(int, _stat(pid)[11:15]))
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has ended meanwhile
