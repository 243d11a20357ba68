#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# tests: client/ctl-view.c client/ctl-service.c client/ctl-suites.c client/ctl-metrics.c
"""ktlsctl against a service that says what no ktlsd says: every command ends with a status of its manual,
in time, and what it prints is what it should be. TAP on stdout; run from the top of the tree, with O= the
build directory."""

import copy
import json
import random
import re
import subprocess

from scripted import CAPABILITIES, KTLSCTL, PROBED, STATUS, TRACE, Service, failure, main, reply

SEED, ROUNDS = 1, 20
COMMANDS = (("status",), ("status", "--json"), ("metrics",), ("ciphers",), ("ciphers", "--json"),
            ("probe", "a:1"), ("probe", "a:1", "--json"), ("doctor", "a:1"), ("doctor", "a:1", "--json"))
SAMPLES = {"GetStatus": STATUS, "GetCapabilities": CAPABILITIES, "Probe": PROBED}
STEERING = '\x1b[2J\x9b31m\u202e\r\n"} 1\nktlsd_up 7\t\x7f\\'
SCALARS = (None, True, 0, -1, 2**31, 2**63 - 1, 2**63, -2**63, 2**64 + 5, 1.5, 1e308, "", "-", "a:b", "4711", STEERING,
           "\u4e00" * 300, "x" * 300000)
VALUES = (*SCALARS, [], {}, [None], [[[[1]]]], [None] * 3000, [{}], [STEERING], ["a:b", "", ""], [7, {"name": []}], {"name": 1},
          {"error": {"exitStatus": 77, "message": 1}})
LABELS = r'(\{(\w+="([^"\\\n]|\\[\\"n])*",?)*\})?'
METRICS = re.compile(rf"((# (TYPE|UNIT|HELP) .+|\w+{LABELS} [0-9]+(\.[0-9]+)?)\n)*# EOF\n")
STDERR = re.compile(r"(ktlsctl: [^\x00-\x1f\x7f-\x9f]+\n)?")

tests = []


def test(function):
    tests.append(function)
    return function


def places(value, path=()):
    """Of all that is in it, and itself."""
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from places(member, (*path, key))


def replaced(sample, path, value):
    if not path:
        return copy.deepcopy(value)
    changed = copy.deepcopy(sample)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = copy.deepcopy(value)
    return changed


def mutated(chance, sample):
    for _ in range(chance.randint(1, 3)):
        path = chance.choice(list(places(sample)))
        kind = chance.randrange(8)
        if kind and path:
            sample = replaced(sample, path, chance.choice(VALUES))
        elif path and isinstance(path[-1], str):
            parent = copy.deepcopy(sample)
            sample = parent
            for key in path[:-1]:
                parent = parent[key]
            del parent[path[-1]]
    return sample


def check(service, arguments, what):
    """what: the reply, for the report."""
    done = subprocess.run([KTLSCTL, "--socket", service.path, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=20, check=False, env={})
    try:
        judge(arguments, done.returncode, done.stdout.decode(), done.stderr.decode())
    except Exception as error:
        raise AssertionError(f"{arguments} {error!r}\n# of {what()[:3000]}") from error


def judge(arguments, status, stdout, stderr):
    if not 0 <= status <= 5 or not STDERR.fullmatch(stderr):
        raise AssertionError(f"status {status}, {stderr[:2000]!r}")
    if re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", stdout):
        raise AssertionError(f"it steers: {stdout!r}"[:2000])
    if arguments[-1] == "--json":
        document = json.loads(stdout)
        if document.get("error") and document["error"]["exitStatus"] != status:
            raise AssertionError(f"status {status} is not of {document['error']}")
        verdicts = [row["verdict"] for row in document.get("findings", ())]
        if ("fault" in verdicts) != (status != 0) and verdicts:
            raise AssertionError(f"status {status} is not of {verdicts}")
    if arguments[0] == "metrics" and not METRICS.fullmatch(stdout):
        raise AssertionError(f"no OpenMetrics: {stdout!r}"[:2000])


@test
def answers_that_are_none(directory):
    raw = (b"\0", b"null\0", b"7\0", b"[]\0", b"{}\0", b'"x"\0', b"{\0", b"\xff\xfe\0", b"[" * 500 + b"\0",
           b'{"parameters":null}\0', b'{"parameters":[]}\0', b'{"parameters":{}}\0', b'{"parameters":{}}\0x',
           b'{"parameters":{"version":"\\u0000a","openssl":"\\ud800"}}\0',
           b'{"parameters":{"version":"\xff\x9b","pid":1e999}}\0', b'{"parameters":{"pid":-0,"version":"\\u009b"}}\0',
           b'{"parameters":{' + b",".join(b'"%d":0' % i for i in range(4095)) + b"}}\0",
           b'{"parameters":{"suites":[' + b"0," * 5000 + b"0]}}\0", b'{"error":7}\0', b'{"error":"io.ktlsd.Busy"}\0',
           b'{"error":"io.ktlsd.\\u001b","parameters":{"message":"\\u009b\\n","stage":7}}\0',
           b'{"error":"io.ktlsd.ConnectFailed","parameters":7}\0', b'{"continues":true,"parameters":{}}\0')
    for text in raw:
        with Service(directory, lambda *_, text=text: text) as service:
            for arguments in COMMANDS:
                check(service, arguments, lambda text=text: repr(text))


def found(sample, path):
    for key in path:
        sample = sample[key]
    return sample


@test
def another_type_in_each_place(directory):
    asked = {"status": "GetStatus", "metrics": "GetStatus", "ciphers": "GetCapabilities", "probe": "Probe"}
    for method, sample in SAMPLES.items():
        for path in list(places(sample))[1:]:
            for other in {list: (7, {"a": 1}), dict: (7,)}.get(type(found(sample, path)), ()):
                answers = {**SAMPLES, method: replaced(sample, path, other)}
                with Service(directory, lambda method, _, answers=answers: reply(answers[method])) as service:
                    for arguments in COMMANDS:
                        if arguments[-1] != "--json" and asked.get(arguments[0], method) == method:
                            check(service, arguments, lambda: f"{method} {path} {other!r}")


def all_replaced(value, kind, other):
    if isinstance(value, dict):
        return {key: all_replaced(member, kind, other) for key, member in value.items()}
    if isinstance(value, list):
        return [all_replaced(element, kind, other) for element in value]
    return other if isinstance(value, kind) and not (isinstance(value, bool) and kind is int) else value


@test
def another_value_in_all_places(directory):
    for kind, other in ((str, STEERING), (str, 7), (str, None), (str, ""), (int, -2**63), (int, 2**64), (int, 2**63 - 1),
                        (int, "x"), (int, None), (int, 1e308), (bool, 1), (bool, None), (type(None), STEERING)):
        with Service(directory, lambda method, _, kind=kind, other=other:
                     reply(all_replaced(SAMPLES[method], kind, other))) as service:
            for arguments in COMMANDS:
                check(service, arguments, lambda kind=kind, other=other: f"{kind} {other!r}")


@test
def anything_anywhere(directory):
    chance = random.Random(SEED)

    def answer(method, _):
        if chance.randrange(20) == 0:
            return mutated(chance, failure("ConnectFailed", "connect", "refused", trace=TRACE))
        told.append((method, reply(mutated(chance, SAMPLES[method]))))
        return told[-1][1]

    with Service(directory, answer) as service:
        for _ in range(ROUNDS):
            for arguments in COMMANDS:
                told = []
                check(service, arguments, lambda told=told: repr(told))


main(tests)
