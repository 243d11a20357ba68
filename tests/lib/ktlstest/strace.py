# SPDX-License-Identifier: MIT
"""System calls of a process, watched or made to fail: strace, attached from outside."""

import os
import re
import signal
import subprocess
import tempfile

CALL = re.compile(r"^(?:\d+ +)?([a-z_]\w*)\(", re.MULTILINE)


class Trace:
    """Attached when the constructor returns, gone when close() does."""

    def __init__(self, pid, *options):
        self.directory = tempfile.TemporaryDirectory(prefix="ktlsd-strace.")
        self.path = os.path.join(self.directory.name, "calls")
        self.process = subprocess.Popen(
            ["strace", "-o", self.path, *options, "-p", str(pid)], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        told = self.process.stderr.readline()
        if "attached" not in told:
            self.close()
            raise RuntimeError(f"strace: {told}")

    def text(self):
        with open(self.path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def calls(self):
        """The names of the calls that were begun, in their order."""
        return CALL.findall(self.text())

    def injected(self):
        """How many were made to fail."""
        return self.text().count("(INJECTED)")

    def detach(self):
        """Lets the process go; what was seen stays."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.process.stderr.close()

    def close(self):
        self.detach()
        self.directory.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def failing(pid, call, error, when, *options):
    """when: "3" is the third such call from now on, "1+" every one."""
    return Trace(pid, "-e", f"trace={call}", "-e",
                 f"inject={call}:error={error}:when={when}", *options)
