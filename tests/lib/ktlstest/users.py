# SPDX-License-Identifier: MIT
"""Processes that are somebody else's: forked, with another uid, and idle if they are to be in
nobody's way."""

import json
import os
import signal
import sys
import traceback


class Process:
    """Runs function(report, *arguments) until close(). report(value) is for read() here.

    To be made before there are threads; descriptors are shared, and whoever forks is told nothing
    of how the function ended, but by what it has reported.
    """

    def __init__(self, function, *arguments, uid=None, idle=False):
        reader, writer = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._be(function, arguments, uid, idle, writer)
        os.close(writer)
        self.pipe = os.fdopen(reader, encoding="utf-8")

    @staticmethod
    def _be(function, arguments, uid, idle, writer):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
            os.setpgid(0, 0)
            if idle:
                os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            if uid is not None:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            with os.fdopen(writer, "w", encoding="utf-8") as pipe:
                function(lambda value: print(json.dumps(value), file=pipe, flush=True), *arguments)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(0)

    def read(self):
        """What it reports next, waited for; None: it has ended."""
        line = self.pipe.readline()
        return json.loads(line) if line else None

    def close(self):
        """With all that it has forked."""
        for kill in (os.kill, os.killpg):
            try:
                kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        os.waitpid(self.pid, 0)
        self.pipe.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
