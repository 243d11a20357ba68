# SPDX-License-Identifier: MIT
"""A guest: a kernel that runs one command on the machine's own tree, and is gone afterwards.

What differs between kernels is in a class that the programs pass to main(). Made with the options
(GuestError if there is no such kernel here), its
  mounts(options)                    returns lines of fstab that this kernel needs,
  start(options, directory, output)  starts the guest and returns the process to watch; directory
                                     is for its files, the descriptor for the output.
The kernel has to begin with the script init, on an overlay of the tree.
"""

import argparse
import contextlib
import ctypes
import fcntl
import glob
import os
import secrets
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "USER": "root", "LOGNAME": "root", "LANG": "C.UTF-8",
               "TERM": "dumb", "KTLSD_GUEST": "1", "PYTHONDONTWRITEBYTECODE": "1"}
FRESH = (("proc", "/proc", "nosuid,nodev,noexec"), ("sysfs", "/sys", "nosuid,nodev,noexec"),
         ("devtmpfs", "/dev", "mode=755"), ("devpts", "/dev/pts", "mode=620,gid=5,ptmxmode=666"),
         ("tmpfs", "/dev/shm", "mode=1777"), ("tmpfs", "/run", "mode=755"),
         ("tmpfs", "/tmp", "mode=1777"))
EXIT_TIMEOUT = 124
EXIT_GUEST = 125
LOG_TAIL = 25
STALE_SECONDS = 60
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

LIBC = ctypes.CDLL(None, use_errno=True)


class GuestError(Exception):
    """The guest did not do what it was booted for; status is the exit status that says so."""

    def __init__(self, text, status=EXIT_GUEST):
        super().__init__(text)
        self.status = status


class Stopped(Exception):
    """A signal asked us to stop; args[0] is its number."""


def mount(what, where, kind, options):
    """A line of the guest's fstab."""
    def field(text):
        return "".join(f"\\{ord(c):03o}" if c in " \t\n\\#" else c for c in text)
    return f"{field(what)} {field(where)} {kind} {field(options)},X-mount.mkdir 0 0\n"


def hidden(path):
    """Whether one of the guest's fresh mounts would cover the path."""
    return any(path == top or path.startswith(top + "/") for _, top, _ in FRESH)


def fstab(cwd, mounts):
    lines = [mount(kind, top, kind, options) for kind, top, options in FRESH]
    kept = sorted({path for path in (TREE, cwd) if hidden(path)})
    lines += [mount("/.tree" + path, path, "none", "bind") for path in kept]
    return "".join(lines + mounts)


def job(command, cwd):
    environment = shlex.join(f"{name}={value}" for name, value in ENVIRONMENT.items())
    return (f"cd {shlex.quote(cwd)} || exit {EXIT_GUEST}\n"
            f"exec setsid env -i {environment} {shlex.join(command)}\n")


def write(directory, name, text):
    with open(os.path.join(directory, name), "w", encoding="utf-8",
              errors="surrogateescape") as file:
        file.write(text)


def confinement():
    """The words before those of a process of the guest: they see that it ends when we are killed.

    The shell, process 1 of a namespace, takes all other processes with it. User-mode-linux can't be
    process 1 itself: its panic is abort(), to which process 1 is immune; and it needs a /proc that
    fits. Without the privilege for namespaces only the first process is sure to end.
    """
    namespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--"]
    if subprocess.run([*namespace, "true"], check=False, stdin=subprocess.DEVNULL,
                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        namespace = []
    return [*namespace, "/bin/sh", "-c", 'setpriv --pdeathsig KILL -- "$@"; exit $?', "guest"]


def spawn(words, directory, environment=None, **more):
    """Start a process of the guest. What it says is appended to the log in the directory."""
    parent = os.getpid()

    def in_child():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(EXIT_GUEST)

    environment = {"PATH": PATH, "HOME": directory, **(environment or {})}
    with open(os.path.join(directory, "log"), "ab") as log:
        return subprocess.Popen([*confinement(), *words], env=environment, cwd="/",
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                start_new_session=True, preexec_fn=in_child, **more)


def children():
    mine = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                if int(file.read().rpartition(")")[2].split()[1]) == os.getpid():
                    mine.append(int(name))
        except OSError:
            pass
    return mine


def kill_all():
    """Kill every descendant: whatever loses its parent becomes our child (see main)."""
    while True:
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


class Line:
    """The guest's output: passes the command's bytes on and finds the marks of start and end."""

    def __init__(self, token, sink):
        self.marks = (f"\0{token} start\0".encode(), f"\0{token} exit ".encode())
        self.sink = sink
        self.held = b""
        self.started = False

    def feed(self, data):
        """Take data; the exit status if it ends the job, else None."""
        data = self.held + data
        mark = self.marks[self.started]
        before, found, after = data.partition(mark)
        if not found:
            self._pass_on(data, mark)
            return None
        if not self.started:
            self.started = True
            self.held = b""
            return self.feed(after)
        if not after.endswith(b"\0"):
            self.held = data
            return None
        self._pass_on(before, None)
        return int(after[:-1])

    def _pass_on(self, data, mark):
        """Write data but for a tail that may be the beginning of the mark."""
        at = data.rfind(b"\0") if mark else -1
        if at < 0 or not mark.startswith(data[at:]):
            at = len(data)
        self.held = data[at:]
        if self.started:
            self.sink(data[:at])


def write_all(data):
    view = memoryview(data)
    while view:
        view = view[os.write(sys.stdout.fileno(), view):]


def follow(guest, reader, line, seconds):
    """Relay the output until the job has ended; its exit status."""
    deadline = time.monotonic() + seconds
    pidfd = os.pidfd_open(guest.pid)
    while True:
        left = deadline - time.monotonic()
        ready = select.select([reader, pidfd], [], [], max(left, 0))[0]
        if left <= 0 or not ready:
            what = "the command did not end" if line.started else "the guest did not come up"
            raise GuestError(f"{what} within {seconds:g} seconds", EXIT_TIMEOUT)
        data = os.read(reader, 65536) if reader in ready else b""
        if not data:
            what = "died under the command" if line.started else "failed to boot"
            raise GuestError(f"the guest {what}")
        status = line.feed(data)
        if status is not None:
            return status


def show_log(path):
    with open(path, encoding="utf-8", errors="replace") as log:
        lines = log.read().splitlines()[-LOG_TAIL:]
    for text in lines:
        print(f"  guest kernel: {text}", file=sys.stderr)


def run(kernel, options, directory):
    token = "ktlsd-" + secrets.token_hex(12)
    cwd = os.getcwd()
    log = os.path.join(directory, "log")
    write(directory, "token", token + "\n")
    write(directory, "job", job(options.command, cwd))
    write(directory, "fstab", fstab(cwd, kernel.mounts(options)))
    reader, output = os.pipe()
    try:
        guest = kernel.start(options, directory, output)
        os.close(output)
        return follow(guest, reader, Line(token, write_all), options.timeout)
    except GuestError:
        kill_all()
        if os.path.exists(log):
            show_log(log)
        raise
    finally:
        kill_all()
        if options.keep_log:
            shutil.copyfile(log, options.keep_log)


def size(text):
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    unit = units.get(text[-1:].upper())
    number = int(text[:-1] if unit else text)
    return number * (unit or 1)


def shared(text):
    if not os.path.isabs(text) or not os.path.isdir(text) or "," in text:
        raise argparse.ArgumentTypeError(f"{text}: not an absolute path of a directory")
    return os.path.realpath(text)


def parser(description, timeout, mem, more):
    made = argparse.ArgumentParser(description=description,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--systemd", dest="pid1", action="store_const", const="systemd",
                      default="job", help="as process 1, and the command in a service of it")
    made.add_argument("--timeout", type=float, default=timeout, metavar="SECONDS")
    made.add_argument("--mem", type=size, default=size(mem), metavar="SIZE")
    made.add_argument("--share", type=shared, metavar="DIR")
    made.add_argument("--keep-log", metavar="FILE", help="copy the kernel's log to FILE")
    for name in more:
        made.add_argument(name)
    made.add_argument("command", nargs="+", metavar="COMMAND")
    return made


def split_command(argv, more):
    """Options end at "--" or at the first word that is none; argparse would look further."""
    with_value = ("--timeout", "--mem", "--share", "--keep-log", *more)
    at = 0
    while at < len(argv) and argv[at].startswith("-") and argv[at] != "--":
        at += 2 if argv[at] in with_value else 1
    return argv[:at], argv[at + 1:] if argv[at:at + 1] == ["--"] else argv[at:]


def sweep(prefix):
    """Remove the directories of those who were killed: their locks are gone with them."""
    for path in glob.glob(f"{glob.escape(prefix)}*"):
        with contextlib.suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_mtime < time.time() - STALE_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


@contextlib.contextmanager
def own_directory():
    """A directory for the files of one guest. Not in TMPDIR: paths of sockets must be short."""
    prefix = "/tmp/ktlsd-guest-"
    sweep(prefix)
    path = tempfile.mkdtemp(prefix=prefix)
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def stop(number, _frame):
    raise Stopped(number)


def main(description, kernel, timeout, mem, more=()):
    """The exit status of a program that boots a guest with that kernel; it may have more options."""
    before, command = split_command(sys.argv[1:], more)
    options = parser(description, timeout, mem, more).parse_args([*before, "--", *command])
    name = os.path.basename(sys.argv[0])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        with own_directory() as directory:
            return run(kernel(options), options, directory)
    except GuestError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.status
    except Stopped as stopped:
        print(f"{name}: stopped by {signal.Signals(stopped.args[0]).name}", file=sys.stderr)
        return 128 + stopped.args[0]
    except BrokenPipeError:
        return 128 + signal.SIGPIPE
