#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ktlsctl doctor on machines whose kernel lacks a module: which, why, and how to have it loaded."""

import contextlib
import os

from ktlstest import system
from ktlstest.doctor import carry_out, check_fault, check_sound, command, examine
from ktlstest.system import MEMBER, System, run, systemctl
from ktlstest.tap import check_equal, check_in, check_true, main, test

DEADLINE = 120
ADMINISTRATOR = 2
LOADER = "modprobe@tls.service"


def path_of(name):
    return run("modinfo", "-n", name).stdout.strip()


@contextlib.contextmanager
def without_file(name):
    """The module is not installed."""
    path = path_of(name)
    os.rename(path, f"{path}.away")
    try:
        yield
    finally:
        os.rename(f"{path}.away", path)


def unload(*names):
    """The service too, which would have it loaded again."""
    systemctl("stop", "ktlsd.service")
    for name in filter(system.module_loaded, names):
        system.wait_unload(name)


def check_mended(fault):
    carry_out(fault)
    check_sound(user=MEMBER)


@test("no module: what cannot be loaded has to be installed first", deadline=DEADLINE)
def none(_system):
    with without_file("tls"):
        fault = check_fault("module", "^the kernel's module tls is not loaded$",
                            f"^no module tls is installed for {os.uname().release}: install the "
                            "package with this kernel's modules; then, as root, run modprobe -a tls$",
                            ADMINISTRATOR, user=MEMBER)
    check_mended(fault)


@test("no module, and no service either: two faults, since there are two causes", deadline=DEADLINE)
def neither(_system):
    unload("tls")
    systemctl("stop", "ktlsd.socket")
    with without_file("tls"):
        check_equal([fault.check for fault in examine(user=MEMBER).of("fault")],
                    ["service", "module"], "the faults")
    systemctl("start", "ktlsd.socket")
    check_sound(user=MEMBER)


@test("a service without privilege on a machine that has the module and has not loaded it",
      deadline=DEADLINE)
def unprivileged(_system):
    unload("tls")
    systemctl("mask", "--runtime", LOADER)
    fault = check_fault("module", "^the kernel's module tls is not loaded$",
                        "^as root, run modprobe -a tls", ADMINISTRATOR, user=MEMBER)
    check_true(not system.module_loaded(), "tls.ko is not loaded")
    check_mended(fault)
    systemctl("unmask", "--runtime", LOADER)


@test("module tls, and none of gcm", deadline=DEADLINE)
def without_gcm(_system):
    unload("tls", "gcm")
    with without_file("gcm"):
        fault = check_fault("ciphers", "^the kernel does not take aes-gcm-128, aes-gcm-256$",
                            "^no module gcm is installed for .*; then, as root, run modprobe -a gcm "
                            "&& systemctl reload ktlsd$", ADMINISTRATOR, user=MEMBER)
    fault = check_fault("ciphers", "aes-gcm-128", "^as root, run modprobe -a gcm", ADMINISTRATOR,
                        user=MEMBER)
    check_mended(fault)


@test("no ccm and no chacha20poly1305: a note, for there are ciphers enough", deadline=DEADLINE)
def without_others(_system):
    unload("tls", "ccm", "chacha20poly1305")
    with without_file("ccm"), without_file("chacha20poly1305"):
        found = check_sound(user=MEMBER).findings["ciphers"]
    check_equal(found.verdict, "note", "the verdict")
    check_in("chacha20-poly1305, aes-ccm-128", found.what, "what is said of it")
    carry_out(found)
    check_equal(check_sound(user=MEMBER).findings["ciphers"].verdict, "ok", "the verdict after that")


@test("modules are disabled, the last of all since only a reboot mends it", deadline=DEADLINE)
def disabled(_system):
    unload("tls")
    with open("/proc/sys/kernel/modules_disabled", "w", encoding="ascii") as file:
        file.write("1")
    fault = check_fault("module", "^the kernel's module tls is not loaded$",
                        "^kernel.modules_disabled is 1, so that none can be loaded: as root, run",
                        ADMINISTRATOR, user=MEMBER)
    # What a boot then goes by.
    run("sh", "-c", command(fault).replace("&& reboot", ""))
    with open("/etc/modules-load.d/tls.conf", encoding="ascii") as file:
        check_equal(file.read(), "tls\ngcm\n", "what is loaded at boot")


if __name__ == "__main__":
    main(globals(), System)
