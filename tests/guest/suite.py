# SPDX-License-Identifier: MIT
"""The root tree of another suite of Debian, made once by debootstrap and kept.

It is made in a directory of another name, so that a tree that is there is whole; it is made anew
when the list of packages has changed. Who holds the lock of a Tree has it to himself or shares it.
"""

import contextlib
import fcntl
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

import machine

CACHE = "/var/cache/ktlsd-suites"
STAMP = "etc/ktlsd-suite"
PACKAGES = (
    "user-mode-linux",
    # what our programs are linked to
    "libev4t64", "libinih1", "libjson-c5", "libseccomp2", "libssl3t64", "libsystemd0",
    # what the guest, make install and scenarios run
    "ca-certificates", "iproute2", "kmod", "make", "mount", "openssl", "procps", "python3",
    "strace", "systemd", "util-linux", "util-linux-extra")
# It ends when we do, with all that it has started, and nothing of it stays mounted.
ALONE = ("setpriv", "--pdeathsig", "KILL", "--",
         "unshare", "--mount", "--pid", "--fork", "--kill-child", "--")
RECIPE = "\n".join([*PACKAGES, ""])


def output(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout.strip()


def mirror():
    """Where the machine's own packages come from, of which the other suites are the neighbours."""
    lines = output("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)",
                   "Created-By: Packages").splitlines()
    for line in lines:
        label, _, address = line.partition(" ")
        if label == "Debian":
            return address
    raise machine.GuestError("apt has no mirror of Debian: apt-get update?")


def environment():
    """apt's proxies, where it has any, for the program that debootstrap fetches with."""
    found = {f"{kind}_proxy": output("apt-config", "dump", "--format", "%v",
                                     f"Acquire::{kind}::Proxy") for kind in ("http", "https")}
    return {**os.environ, "PATH": machine.PATH,
            **{name: value for name, value in found.items() if value}}


def remove(*paths):
    """Trees, but nothing that is mounted there."""
    subprocess.run(["rm", "-rf", "--one-file-system", "--", *paths], check=True)


class Tree:
    """Its path; shared with others, and there, until close()."""

    def __init__(self, name):
        if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
            raise machine.GuestError(f"{name}: not the name of a suite")
        self.name = name
        self.path = os.path.join(CACHE, name)
        os.makedirs(CACHE, exist_ok=True)
        self.lock = os.open(os.path.join(CACHE, f".{name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            self._be_there()
        except BaseException:
            self.close()
            raise

    def _be_there(self):
        fcntl.flock(self.lock, fcntl.LOCK_SH)
        while not self._is_current():
            fcntl.flock(self.lock, fcntl.LOCK_EX)
            if not self._is_current():
                self._make()
            fcntl.flock(self.lock, fcntl.LOCK_SH)

    def _is_current(self):
        with contextlib.suppress(FileNotFoundError):
            with open(os.path.join(self.path, STAMP), encoding="ascii") as file:
                return file.read() == RECIPE
        return False

    def _make(self):
        prefix = os.path.join(CACHE, f".{self.name}.new-")
        remove(*glob.glob(f"{glob.escape(prefix)}*"), self.path)
        print(f"making {self.path}, which takes some minutes", file=sys.stderr)
        fresh = tempfile.mkdtemp(prefix=prefix)
        try:
            os.chmod(fresh, 0o755)
            self._debootstrap(fresh)
            with open(os.path.join(fresh, STAMP), "w", encoding="ascii") as file:
                file.write(RECIPE)
            os.rename(fresh, self.path)
        finally:
            remove(fresh)

    def _debootstrap(self, fresh):
        if not shutil.which("debootstrap", path=machine.PATH):
            raise machine.GuestError(
                "no debootstrap: install the package (make deps MORE_PACKAGES=debootstrap)")
        done = subprocess.run(
            [*ALONE, "debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}",
             self.name, fresh, mirror()], env=environment(), stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            last = "\n".join(done.stdout.splitlines()[-machine.LOG_TAIL:])
            raise machine.GuestError(f"{self.path} could not be made:\n{last}")

    def close(self):
        os.close(self.lock)
