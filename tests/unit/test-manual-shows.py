#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds what ktlsctl(1) says of the documents of probe, ciphers, sockets, status and metrics against
what they have, and the answers of the scripted service against the interface. TAP on stdout; run from
the top of the tree, with O= the build directory."""

import json
import re

import scripted
from scripted import CAPABILITIES, PROBED, STATUS, Server, Service, expect, main, reply, run, same

PAGE = "client/ktlsctl.1"
ELSEWHERE = (".Xr io.ktlsd 7", ".Sx OUTPUT")  # an item that has one is told there, all of it

tests = []


def test(function):
    tests.append(function)
    return function


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def documented(command):
    """Of a command's section: the members that are told of, and those that are told of elsewhere."""
    section = re.search(rf"^\.Ss {command}\n(.*?)^\.S[sh] ", read(PAGE), re.M | re.S)[1]
    listed = section.split(".Bl -tag -width Ds -compact\n")[1].split("\n.El")[0]
    here, elsewhere = set(), set()
    for item in listed.split(".It ")[1:]:
        names = re.findall(r"Cm ([\w.]+)", item.split("\n")[0])
        here.update(names)
        if any(place in item for place in ELSEWHERE):
            elsewhere.update(names)
    return here, elsewhere


def members(value, elsewhere, path=""):
    """Of a document, as paths; without those below what is told of elsewhere."""
    if path:
        yield path
    if path in elsewhere:
        return
    rows = value if isinstance(value, list) else [value]
    for row in rows:
        if isinstance(row, dict):
            for name, member in row.items():
                yield from members(member, elsewhere, f"{path}.{name}" if path else name)


def check(command, *documents, more=()):
    here, elsewhere = documented(command)
    found = {path for document in documents for path in members(document, elsewhere)}
    same(sorted(found | set(more)), sorted(here))


def document(service, *arguments):
    result = run("--socket", service.path, *arguments, "--json")
    expect(result, 0)
    return json.loads(result.stdout)


@test
def probe(directory):
    with Server(directory, PROBED["offered"], PROBED["offered"]) as service:
        check("probe", document(service, "probe", "example.org:443"))


@test
def ciphers(directory):
    with Service(directory, lambda *_: reply(CAPABILITIES)) as service:
        check("ciphers", document(service, "ciphers"))


@test
def status(directory):
    """Of the counters, which this kernel may not have, by the source."""
    counters = re.findall(r'object_add\(row, "(\w+)"', read("client/ctl-tlsstat.c"))
    same(len(counters), 3)
    with Service(directory, lambda *_: reply(STATUS)) as service:
        check("status", document(service, "status"), more=[f"kernel.counters.{name}" for name in counters])


@test
def sockets(_):
    """Of which this kernel may have none: by the header."""
    names = set(re.findall(r'"(\w+)":', read("client/ctl-diag.h")))
    same(len(names) > 20, True)
    here, elsewhere = documented("sockets")
    same(sorted(path.rsplit(".", 1)[-1] for path in here), sorted(names))
    same(elsewhere, set())


@test
def metrics(directory):
    with Service(directory, lambda *_: reply(STATUS)) as service:
        result = run("--socket", service.path, "metrics")
    expect(result, 0)
    families = re.findall(r"^# TYPE (\w+) (\w+)$", result.stdout, re.M)
    names = [name + ("_total" if kind == "counter" else "") for name, kind in families]
    labels = set(re.findall(r'[{,](\w+)="', result.stdout)) - {"le"}
    same(sorted(documented("metrics")[0]), sorted(names))
    section = re.search(r"^\.Ss metrics\n(.*?)^\.S[sh] ", read(PAGE), re.M | re.S)[1]
    same([label for label in labels if f"\n.Cm {label}" not in section], [])


def interface():
    """Type or method: {member: its type}, of what comes back."""
    text = re.sub(r"#.*", "", read("proto/io.ktlsd.varlink"))
    found = re.findall(r"type (\w+) \((.*?)\n\)", text, re.S)
    found += re.findall(r"method (\w+)\((?:[^()]|\([^()]*\))*\) -> \((.*?)\n\)", text, re.S)
    return {name: dict(re.findall(r"(\w+): ([?\[\]\w]+|\([\w, ]+\))", body)) for name, body in found}


PLAIN = {"string": str, "int": int, "bool": bool}


def check_value(types, kind, value, path):
    if kind.startswith("?"):
        if value is None:
            return
        kind = kind[1:]
    if kind.startswith("[]"):
        for row in value:
            check_value(types, kind[2:], row, path)
    elif kind in types:
        same((path, sorted(value)), (path, sorted(types[kind])))
        for name, member in types[kind].items():
            check_value(types, member, value[name], f"{path}.{name}")
    elif kind.startswith("("):
        same((path, value in kind.strip("()").split(", ")), (path, True))
    else:
        same((path, type(value)), (path, PLAIN[kind]))


@test
def what_the_scripted_service_says_is_of_the_interface(_):
    types = interface()
    for method, answer in (("Probe", PROBED), ("GetStatus", STATUS), ("GetCapabilities", CAPABILITIES)):
        check_value(types, method, answer, method)
    same(sorted(scripted.failure("X", "a", "b")["parameters"]),
         ["alert", "errno", "message", "retry", "stage", "x509"])


main(tests)
