#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ktlsctl ciphers: what it says of this kernel is what an independent trial finds, in every cell and on every kernel; and trying leaves
the machine as it is."""

import contextlib
import functools
import json
import socket
import subprocess
import time

from ktlstest import programs, trial
from ktlstest.kmod import hidden, loaded, modules
from ktlstest.tap import check_between, check_equal, check_in, check_true, main, note, test

NOBODY = 65534
ALGORITHMS = {
    "aes-gcm-128": "gcm(aes)", "aes-gcm-256": "gcm(aes)", "aes-ccm-128": "ccm(aes)",
    "chacha20-poly1305": "rfc7539(chacha20,poly1305)", "sm4-gcm": "gcm(sm4)", "sm4-ccm": "ccm(sm4)",
    "aria-gcm-128": "gcm(aria)", "aria-gcm-256": "gcm(aria)",
}
NO_SERVICE = 2
# Where a cipher is missing the kernel runs modprobe for it, twice at each try, and a guest has much to do then.
PATIENCE, DEADLINE, QUICK = 100, 200, 20
OUTCOMES = ("transmit", "receive", "roundTrip", "rekey")
WORKING = ("aes-gcm-128", "aes-gcm-256", "aes-ccm-128", "chacha20-poly1305")


def ciphers(**more):
    """The document, from a machine without the service: the kernel is asked by ktlsctl itself."""
    done = subprocess.run([programs.ktlsctl(), "--socket", "/run/nobody", "ciphers", "--json"], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=PATIENCE, check=False, **more)
    check_equal(done.returncode, NO_SERVICE, f"exit status; {done.stderr.decode()}")
    return json.loads(done.stdout)


@functools.cache
def as_root():
    """With everything in place."""
    modules("tls")
    return ciphers()


def by_name(found):
    return {(cell["version"], cell["cipher"]): cell for cell in found}


def check_cells(document, found):
    check_equal(len(document["trial"]["ciphers"]), len(found), "the number of cells")
    got = by_name(document["trial"]["ciphers"])
    for name, cell in by_name(found).items():
        note(" ".join(str(value) for value in cell.values()))
        check_equal(got[name], cell, f"the cell of TLS {name[0]}, {name[1]}")


def check_drivers(document, found):
    """Who can work has a driver, and it is the one of highest priority; who cannot has none."""
    working = {cell["cipher"] for cell in found if cell["roundTrip"] == "works"}
    registered = [dict(line.split(":", 1) for line in paragraph.replace(" ", "").splitlines())
                  for paragraph in open_text("/proc/crypto").strip().split("\n\n")]
    check_equal([driver["cipher"] for driver in document["drivers"]], list(ALGORITHMS), "the ciphers that have a driver")
    for driver in document["drivers"]:
        able = [entry for entry in registered if entry["name"] == ALGORITHMS[driver["cipher"]] and entry["type"] == "aead"]
        check_equal(driver["algorithm"], ALGORITHMS[driver["cipher"]], "the algorithm")
        check_equal(driver["driver"] is not None, driver["cipher"] in working, f"whether {driver['cipher']} has a driver")
        if driver["driver"]:
            note(" ".join(str(value) for value in driver.values()))
            check_equal((driver["priority"], driver["driver"]), max((int(entry["priority"]), entry["driver"]) for entry in able),
                        "priority and driver")
            check_in(driver["speed"], ("generic", "library"), "a speed of a kernel without a processor's instructions")


def open_text(path):
    with open(path, encoding="ascii") as file:
        return file.read()


@test("every cell agrees with an independent trial, and every cipher that works has its driver", deadline=DEADLINE)
def sound():
    document, found = as_root(), trial.cells()
    check_cells(document, found)
    check_equal({key: document["trial"][key] for key in ("module", "loopback", "tcpUlp")},
                {"module": "present", "loopback": "works", "tcpUlp": "works"}, "what all of them need")
    check_equal(document["trial"]["behaviours"], trial.behaviours(found), "the behaviours")
    check_drivers(document, found)
    # Else both could be wrong in the same way.
    for version in trial.VERSIONS:
        for name in WORKING:
            check_equal(by_name(found)[version, name]["roundTrip"], "works", f"{name} on Debian's kernels")


@test("it takes no privilege", deadline=DEADLINE)
def nobody():
    wanted = as_root()
    document = ciphers(user=NOBODY, group=NOBODY, extra_groups=[])
    check_equal(document["trial"], wanted["trial"], "what nobody is told")
    check_equal(document["drivers"], wanted["drivers"], "the drivers that nobody is told")


@test("without gcm the cells of GCM fail as they do in the independent trial, and the others work", deadline=DEADLINE)
def without_gcm():
    modules("tls")
    with hidden("gcm"):
        document, found = ciphers(), trial.cells()
    check_cells(document, found)
    for version in trial.VERSIONS:
        check_equal(by_name(found)[version, "aes-gcm-256"]["transmit"], "ENOENT", "aes-gcm-256")
        check_equal(by_name(found)[version, "chacha20-poly1305"]["roundTrip"], "works", "chacha20-poly1305")
    check_equal([driver["driver"] for driver in document["drivers"] if driver["algorithm"] == "gcm(aes)"], [None, None],
                "drivers of gcm(aes)")


@test("without the module nothing is tried, and asking as root does not load it", deadline=DEADLINE)
def without_module():
    modules("-r", "tls")
    document = ciphers()
    check_true(not loaded("tls"), "tls.ko is still not there")
    check_equal(document["trial"]["module"], "absent", "the module")
    for cell in document["trial"]["ciphers"]:
        check_equal([cell[member] for member in OUTCOMES], [None] * 4, "an untried cell")
    check_equal(len(document["trial"]["ciphers"]), len(trial.VERSIONS) * len(trial.AEADS), "the number of cells")


LOOPBACKS = {"is down": ("ip link set lo down", "ip link set lo up"),
             "loses everything": ("tc qdisc add dev lo root netem loss 100%", "tc qdisc del dev lo root")}


@contextlib.contextmanager
def broken_loopback(way):
    breaking, mending = (line.split() for line in LOOPBACKS[way])
    subprocess.run(breaking, check=True)
    try:
        yield
    finally:
        subprocess.run(mending, check=True)


@test("if lo {way} it says so, tries nothing, and does not hang", cases=[{"way": way} for way in LOOPBACKS], deadline=DEADLINE)
def without_loopback(way):
    modules("tls")
    with broken_loopback(way):
        start = time.monotonic()
        document = ciphers()["trial"]
        check_between(time.monotonic() - start, 0, QUICK, "seconds")
    check_equal((document["module"], document["loopback"], document["tcpUlp"]), ("present", "ETIMEDOUT", None), "what all need")
    for cell in document["ciphers"]:
        check_equal([cell[member] for member in OUTCOMES], [None] * 4, "an untried cell")


@test("the interfaces are those that there are, and none of a guest can do TLS", deadline=DEADLINE)
def interfaces():
    found = {nic["interface"]: nic for nic in ciphers()["interfaces"]}
    check_equal(sorted(found), sorted(name for _, name in socket.if_nameindex()), "interfaces")
    for nic in found.values():
        check_equal([nic[member] for member in ("transmit", "receive")], ["unavailable"] * 2, nic["interface"])
        # The newest kernels have it no more.
        check_in(nic["record"], ("unavailable", None), nic["interface"])


if __name__ == "__main__":
    main(globals())
