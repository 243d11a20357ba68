# SPDX-License-Identifier: MIT
"""ktlsctl doctor, and what it says: one line a check, `VERDICT CHECK: WHAT; cure: CURE`."""

import contextlib
import os
import pwd
import re
import subprocess
import time
import typing

from ktlstest import system
from ktlstest.daemon import TOP
from ktlstest.tap import check_between, check_equal, check_true, fail, note

VERDICTS = ("ok", "note", "fault", "unknown")
CHECKS = ["service", "configuration", "version", "manager", "module", "loopback", "ciphers", "speed",
          "rekey", "kernel faults", "access", "policies", "stores", "limits", "target"]
BOUND = 8.0  # seconds that it may take, whatever the service does
LINE = re.compile(r"(ok|note|fault|unknown) +([a-z ]+): (.+?)(?:; cure: (.+))?")


class Finding(typing.NamedTuple):
    verdict: str
    check: str
    what: str
    cure: str | None


class Diagnosis:
    """What it found, by the name of the check."""

    def __init__(self, status, text, seconds):
        self.status, self.text, self.seconds = status, text, seconds
        matches = [LINE.fullmatch(line) for line in text.splitlines()]
        if None in matches:
            fail(f"not the lines of doctor:\n{text}")
        self.findings = {found[2]: Finding(*found.groups()) for found in matches}
        check_equal(list(self.findings), CHECKS, "the checks, one line each")

    def of(self, verdict):
        return [finding for finding in self.findings.values() if finding.verdict == verdict]


def identity(user, groups=None):
    """Keywords for subprocess: this user, with his groups as they are now, or with others."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid,
            "extra_groups": os.getgrouplist(user, entry.pw_gid) if groups is None else groups}


def run(*words, user=None, groups=None, program="ktlsctl", **environment):
    """Its exit status, what it said, and how long it took."""
    began = time.monotonic()
    done = subprocess.run(
        [program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False, timeout=60, cwd="/",
        env={**os.environ, **environment}, **identity(user, groups))
    return done.returncode, done.stdout, time.monotonic() - began


def examine(*words, **more):
    """Its diagnosis, in time."""
    diagnosis = Diagnosis(*run("doctor", *words, **more))
    note(f"{diagnosis.seconds:.1f} s")
    check_between(diagnosis.seconds, 0, BOUND, "seconds that doctor takes")
    return diagnosis


def check_sound(*words, **more):
    """No fault; notes there may be."""
    diagnosis = examine(*words, **more)
    check_equal(diagnosis.of("fault"), [], f"the faults in\n{diagnosis.text}")
    check_equal(diagnosis.status, 0, "the exit status")
    return diagnosis


def check_fault(check, what, cure, status, *words, **more):
    """One fault and no other, in this check; what it says and its cure are regular expressions.

    The finding; its command() is what the cure tells to run.
    """
    diagnosis = examine(*words, **more)
    faults = diagnosis.of("fault")
    check_equal([fault.check for fault in faults], [check], f"the faults in\n{diagnosis.text}")
    note(f"{faults[0].what}; cure: {faults[0].cure}")
    check_true(bool(re.search(what, faults[0].what)), f"/{what}/ in {faults[0].what!r}")
    check_true(bool(re.search(cure, faults[0].cure or "")), f"/{cure}/ in {faults[0].cure!r}")
    check_equal(diagnosis.status, status, "the exit status")
    return faults[0]


def command(finding):
    """What its cure tells to run, to be pasted."""
    found = re.search(r"\brun ([^;]+)", finding.cure)
    if not found:
        fail(f"there is no command in {finding.cure!r}")
    return found[1]


def carry_out(finding):
    """The command of its cure, as root."""
    with system.reloading() if "systemctl reload" in command(finding) else contextlib.nullcontext():
        _run_as_root(command(finding))


def _run_as_root(line):
    done = subprocess.run(["sh", "-c", line], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          timeout=120)
    check_equal(done.returncode, 0, f"the exit status of {line}, which says:\n{done.stdout}")


BUILT = os.path.join(TOP, "build", "ktlsctl")
