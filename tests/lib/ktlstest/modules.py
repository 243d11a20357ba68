# SPDX-License-Identifier: MIT
"""The kernel's modules, and a kernel without one of them. For the guest, whose files are its own."""

import contextlib
import os
import subprocess

EMPTY = "/run/no-module"


def modprobe(*words):
    subprocess.run(["modprobe", *words], check=True)


def loaded(name):
    with open("/proc/modules", encoding="ascii") as file:
        return name in [line.split()[0] for line in file]


@contextlib.contextmanager
def hidden(name):
    """Out of the kernel, and its file out of modprobe's reach; it is loaded again at the end."""
    modprobe("-r", name)
    path = subprocess.run(["modinfo", "-n", name], check=True, capture_output=True,
                          text=True).stdout.strip()
    with open(EMPTY, "wb"):
        pass
    subprocess.run(["mount", "--bind", EMPTY, path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)
        os.unlink(EMPTY)
    modprobe(name)
