# SPDX-License-Identifier: MIT
"""A small harness: marked functions, checks that raise, and TAP on standard output.

    @test("the answer is {answer}", cases=[{"answer": 42}])
    def answers(answer):
        check_equal(answer, 42, "the answer")

    if __name__ == "__main__":
        main(globals())

Every case runs by itself under a deadline and must leave neither descriptors nor threads behind.
There is no way to skip: what cannot be tried has failed.
"""

import faulthandler
import functools
import gc
import os
import signal
import sys
import threading
import time
import traceback

# A daemon under valgrind may need more to begin than others for a whole test.
DEADLINE = 30.0 * float(os.environ.get("KTLSTEST_SLOWNESS", "1"))
# The alarm interrupts Python code; should it ever be stuck beyond that, the process is ended.
BACKSTOP = 15.0


class CheckFailed(AssertionError):
    """A check of a scenario did not hold."""


class DeadlineExceeded(BaseException):
    """Not an Exception, so that no `except Exception` of a scenario can swallow it."""


def test(sentence, cases=None, deadline=DEADLINE):
    """Mark a function as a test; with cases, it runs once for each with the case as keywords."""
    def mark(function):
        function.tap_test = (sentence, [{}] if cases is None else list(cases), deadline)
        return function
    return mark


def fail(message):
    raise CheckFailed(message)


def check_true(value, message):
    if value is not True:
        fail(f"{message}: got {value!r}, wanted True")


def check_equal(got, want, message):
    if type(got) is not type(want) or got != want:
        fail(f"{message}: got {_short(got)}, wanted {_short(want)}")


def check_not_equal(got, unwanted, message):
    if got == unwanted:
        fail(f"{message}: got {_short(got)}, which it must not be")


def check_in(member, container, message):
    if member not in container:
        fail(f"{message}: {_short(member)} is not in {_short(container)}")


def check_not_in(member, container, message):
    if member in container:
        fail(f"{message}: {_short(member)} is in {_short(container)}")


def check_between(got, low, high, message):
    if not low <= got <= high:
        fail(f"{message}: got {got}, wanted {low} to {high}")


def check_raises(kinds, function, *args, **kwargs):
    """The exception that function must raise, for a closer look."""
    try:
        result = function(*args, **kwargs)
    except kinds as error:
        return error
    return fail(f"{function} returned {_short(result)}, wanted {kinds}")


def wait_until(condition, seconds, message, interval=0.005):
    """Poll for what gives no event to wait for, such as another process's /proc files."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            fail(f"{message}: not so within {seconds} s")
        time.sleep(interval)
    return value


def note(text):
    """A diagnostic line of TAP."""
    for line in str(text).splitlines() or [""]:
        print(f"# {line}", flush=True)


def _short(value, limit=400):
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def _descriptors():
    table = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            table[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            pass  # the descriptor of the listing itself
    return table


def _leftovers(descriptors, threads):
    gc.collect()
    found = [f"descriptor {fd}: {target}" for fd, target in _descriptors().items()
             if descriptors.get(fd) != target]
    found += [f"thread {thread.name}" for thread in threading.enumerate()
              if thread not in threads]
    return found


class _ThreadErrors(list):
    """Collects what ended a thread, for nobody else would hear of it."""

    def __enter__(self):
        self.previous, threading.excepthook = threading.excepthook, self._take
        return self

    def __exit__(self, *_):
        threading.excepthook = self.previous

    def _take(self, args):
        text = "".join(traceback.format_exception(
            args.exc_type, args.exc_value, args.exc_traceback))
        self.append(f"thread {args.thread and args.thread.name} ended with:\n{text}")


def _alarm(_signal, _frame):
    raise DeadlineExceeded("the test did not end within its deadline")


def _run(function, case, deadline, leftovers=True):
    """What went wrong, as a list of texts."""
    descriptors, threads = _descriptors(), threading.enumerate()
    faulthandler.dump_traceback_later(deadline + BACKSTOP, exit=True)
    signal.setitimer(signal.ITIMER_REAL, deadline)
    with _ThreadErrors() as problems:
        try:
            function(**case)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if leftovers:
                problems += [f"left behind: {x}" for x in _leftovers(descriptors, threads)]
        except (Exception, DeadlineExceeded) as error:
            # What it was comes first, for a report may have room for little.
            problems += [f"{type(error).__name__}: {error}", traceback.format_exc()]
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            faulthandler.cancel_dump_traceback_later()
        return problems


def _collect(namespace, words):
    tests = []
    for function in list(namespace.values()):
        sentence, cases, deadline = getattr(function, "tap_test", (None, [], 0))
        for case in cases:
            name = sentence.format(**case).replace("#", "\\#")
            if all(word in name for word in words):
                tests.append((name, function, case, deadline))
    return tests


def _report(number, name, problems, start):
    print(f"{'not ok' if problems else 'ok'} {number} - {name}", flush=True)
    note(f"took {time.monotonic() - start:.3f} s")
    for problem in problems:
        note(problem)
    return bool(problems)


def _run_all(tests, resource):
    """How many failed. What the resource has to say belongs to the test that failed."""
    failed = 0
    arguments = () if resource is None else (resource,)
    for number, (name, function, case, deadline) in enumerate(tests, 1):
        start = time.monotonic()
        problems = _run(functools.partial(function, *arguments), case, deadline)
        if problems and resource is not None:
            problems.append(resource.diagnosis())
        failed += _report(number, name, problems, start)
    return failed


def _run_around(tests, resource):
    """The tests with a resource that outlives them all; its end is a test of its own."""
    made = resource()
    failed = _run_all(tests, made)
    start = time.monotonic()
    problems = _run(made.close, {}, DEADLINE, leftovers=False)
    return failed + _report(len(tests) + 1, "all of it ends in good order", problems, start)


def main(namespace, resource=None, argv=None):
    """Run the marked functions of a module in their order; words given choose among the names.

    A resource is made by calling it. It is the first argument of every test, has a diagnosis() for
    those that fail, and its close(), which may fail, is the last test.
    """
    tests = _collect(namespace, sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGALRM, _alarm)
    print(f"1..{len(tests) + (resource is not None)}", flush=True)
    failed = _run_around(tests, resource) if resource else _run_all(tests, None)
    if not tests:
        note("no test was chosen")
    sys.stdout.flush()
    sys.exit(1 if failed or not tests else 0)
