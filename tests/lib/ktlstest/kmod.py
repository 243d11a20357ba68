# SPDX-License-Identifier: MIT
"""Modules of the guest's kernel: which are there, and which shall not be. The guest's tree is the guest's own."""

import contextlib
import subprocess


def modules(*words):
    subprocess.run(["modprobe", *words], check=True)


def loaded(name):
    with open("/proc/modules", encoding="ascii") as file:
        return name in [line.split()[0] for line in file]


@contextlib.contextmanager
def empty(path):
    """A file that is there and has nothing in it, in place of another."""
    nothing = "/run/nothing"
    with open(nothing, "wb"):
        pass
    subprocess.run(["mount", "--bind", nothing, path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


@contextlib.contextmanager
def hidden(name):
    """A module out of the kernel, and its file out of modprobe's reach; afterwards it is there again."""
    modules("-r", name)
    path = subprocess.run(["modinfo", "-n", name], check=True, capture_output=True, text=True).stdout.strip()
    with empty(path):
        yield
    modules(name)
