#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""varlinkctl of a current systemd, which knows nothing of ktlsd, does all there is to do with it."""

import json
import os
import re
import subprocess
import sys

from ktlstest import pki, system
from ktlstest.daemon import TOP
from ktlstest.system import MEMBER, REGISTRY, SOCKET, STRANGER, System
from ktlstest.tap import check_equal, check_in, check_true, main, test

INTERFACES = ("io.ktlsd", "org.varlink.service")
TRUST = {"ca": pki.ca_text("ca"), "name": "server.test"}
WORDS = "over the socket that was handed over"

# On the descriptor that varlinkctl passes on, by the rules of socket activation.
PROGRAM = f"""
import json, os, socket, sys
reply = json.load(sys.stdin)
passed = int(os.environ["LISTEN_FDS"]), int(os.environ["LISTEN_PID"]) == os.getpid()
with socket.socket(fileno=3 + reply["fileDescriptor"]) as sock:
    sock.sendall({WORDS.encode()})
    print(json.dumps([*passed, sock.getsockopt(socket.IPPROTO_TCP, 31, 3).decode(),
                      sock.recv({len(WORDS)}, socket.MSG_WAITALL).decode()]))
"""


def varlinkctl(*words, user=MEMBER, text=None):
    return subprocess.run(["varlinkctl", *words], input=text or "", stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=20, check=False, cwd=TOP,
                          user=user, group=user, extra_groups=["ktls"] if user == MEMBER else [])


def said(*words, **more):
    """What it printed, without a word of complaint."""
    done = varlinkctl(*words, **more)
    check_equal((done.returncode, done.stderr), (0, ""), f"the outcome of {words[:3]}")
    return done.stdout


def call(method, parameters, *options):
    return varlinkctl(*options, "call", SOCKET, method, json.dumps(parameters))


def description(interface):
    with open(os.path.join(TOP, "proto", f"{interface}.varlink"), encoding="utf-8") as file:
        return file.read()


def members(text, at):
    """{name: whether it may be left out} of the list that begins at the next parenthesis, and where
    it ends."""
    depth, own = 0, ""
    for at in range(text.index("(", at), len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        own += text[at] if depth == 1 else ""
        if depth == 0:
            break
    return {name: kind == "?" for name, kind in re.findall(r"(\w+)\s*:\s*(\??)", own)}, at


def methods(interface):
    """{name: (parameters, reply)} of the description."""
    text, found = re.sub(r"#.*", "", description(interface)), {}
    for match in re.finditer(r"^method (\w+)", text, re.MULTILINE):
        given, end = members(text, match.end())
        found[f"{interface}.{match[1]}"] = given, members(text, end)[0]
    return found


METHODS = {name: kinds for interface in INTERFACES for name, kinds in
           methods(interface).items()}


@test("info: vendor, version and interfaces")
def info(_system):
    ours = system.run("ktlsd", "--version").stdout.split()[1]
    lines = [line.strip() for line in said("info", SOCKET).splitlines()]
    for line in ("Product: ktlsd", f"Version: {ours}", f"Interfaces: {INTERFACES[0]}",
                 INTERFACES[1]):
        check_in(line, lines, "a line")


@test("list-interfaces and list-methods: what the descriptions have, and no more")
def lists(_system):
    check_equal(said("list-interfaces", SOCKET).split(), list(INTERFACES), "the interfaces")
    check_equal(sorted(said("list-methods", SOCKET).split()), sorted(METHODS), "the methods")
    for interface in INTERFACES:
        check_equal(sorted(said("list-methods", SOCKET, interface).split()),
                    sorted(name for name in METHODS if name.startswith(interface)), "its methods")


@test("introspect: {interface} is served as it stands, comments too, and is valid", cases=[
    {"interface": interface} for interface in INTERFACES])
def introspect(_system, interface):
    served = said("introspect", SOCKET, interface)
    check_equal(said("validate-idl", f"proto/{interface}.varlink"), served, "the file, validated")
    check_equal(said("validate-idl", text=served), served, "what is served, validated")
    for line in re.findall(r"^#+ *(.*\S)", description(interface), re.MULTILINE):
        check_in(line, served, "a line of comment")


@test("call: {method}", cases=[{"method": name} for name in METHODS])
def calls(_system, method):
    given, back = METHODS[method]
    with system.peer() as peer:
        known = {"host": peer.host, "port": peer.port, "interface": "io.ktlsd", "trust": TRUST}
        wanted = [name for name, optional in given.items() if name in known or not optional]
        done = call(method, {name: known[name] for name in wanted})
    check_equal((done.returncode, done.stderr), (0, ""), "the outcome")
    reply = json.loads(done.stdout)
    missing = {name for name, optional in back.items() if not optional} - set(reply)
    check_equal((missing, set(reply) - set(back)), (set(), set()), "members missing, and unknown")


@test("--exec call: a program talks TLS over the socket that was handed over")
def executes(_system):
    with system.peer() as peer:
        parameters = {"host": peer.host, "port": peer.port, "trust": TRUST}
        done = varlinkctl("--exec", "call", SOCKET, "io.ktlsd.Connect", json.dumps(parameters),
                          "--", sys.executable, "-c", PROGRAM)
        check_equal((done.returncode, done.stderr), (0, ""), "the outcome")
        check_equal(json.loads(done.stdout), [1, True, "tls", WORDS],
                    "LISTEN_FDS, LISTEN_PID, the ULP, and the echo")
        conversation = peer.connection()
        conversation.wait_gone()
        check_equal(bytes(conversation.received), WORDS.encode(), "what the peer has decrypted")


def errors():
    nowhere = {"host": system.HOST, "port": 1}
    return [("io.ktlsd.ConnectFailed", "io.ktlsd.Connect", nowhere,
             {"stage": "connect", "errno": "ECONNREFUSED", "retry": False}),
            ("io.ktlsd.ConnectFailed", "io.ktlsd.Probe", nowhere, {"stage": "connect"}),
            ("io.ktlsd.NotAuthorized", "io.ktlsd.Connect", {"host": "127.0.0.1", "port": 443},
             {"stage": "policy"}),
            ("org.varlink.service.InvalidParameter", "io.ktlsd.Connect", {},
             {"parameter": "host"}),
            ("org.varlink.service.MethodNotFound", "io.ktlsd.Nothing", {},
             {"method": "io.ktlsd.Nothing"}),
            ("org.varlink.service.InterfaceNotFound", "io.nothing.Connect", {},
             {"interface": "io.nothing"})]


@test("{error} of {method} is one to varlinkctl, with all that it tells", cases=[
    {"error": error, "method": method, "parameters": parameters, "told": told}
    for error, method, parameters, told in errors()])
def fails(_system, error, method, parameters, told):
    done = call(method, parameters)
    check_equal(done.returncode, 1, "the exit status")
    reply = json.loads(done.stdout)
    check_equal({name: reply[name] for name in told}, told, "its parameters")
    if error.startswith("io.ktlsd."):
        check_in(error, done.stderr, "the complaint")
    # By its name it can be taken for a success, and by no other.
    check_equal([call(method, parameters, f"--graceful={name}").returncode
                 for name in (error, "io.ktlsd.Busy")], [0, 1], "the exit statuses")


@test("CertificateRejected: the peer is not whom the caller trusts, and no program is run")
def untrusted(_system):
    with system.peer() as peer:
        done = varlinkctl("--exec", "call", SOCKET, "io.ktlsd.Connect",
                          json.dumps({"host": peer.host, "port": peer.port}), "--",
                          "touch", "/tmp/was-run")
    check_equal(done.returncode, 1, "the exit status")
    check_in("io.ktlsd.CertificateRejected", done.stderr, "the complaint")
    check_equal(json.loads(done.stdout)["stage"], "handshake", "the stage")
    check_true(not os.path.exists("/tmp/was-run"), "the program was not run")


@test("--collect and --oneway, which ktlsd has nothing special for")
def flags(_system):
    done = call("org.varlink.service.GetInfo", {}, "--collect")
    check_equal([reply["product"] for reply in json.loads(done.stdout)], ["ktlsd"], "the replies")
    done = call("org.varlink.service.GetInfo", {}, "--oneway")
    check_equal((done.returncode, done.stdout, done.stderr), (0, "", ""), "the outcome")


@test("a stranger to the group is not let in")
def stranger(_system):
    done = varlinkctl("info", SOCKET, user=STRANGER)
    check_equal((done.returncode, done.stdout), (1, ""), "the outcome")
    check_in("Permission denied", done.stderr, "the complaint")


def registered():
    return json.loads(said("--json=short", "list-registry"))


@test("the registry has the service while its socket is there, and leads to it")
def registry(_system):
    ours = [{"interface": "io.ktlsd", "entrypoint": f"unix:{SOCKET}"}]
    check_equal(registered(), ours, "the registry")
    check_equal(said("info", REGISTRY), said("info", SOCKET), "what is found that way")
    system.systemctl("stop", "ktlsd.socket")
    check_equal(registered(), [], "the registry without the socket")
    system.systemctl("start", "ktlsd.socket")
    check_equal(registered(), ours, "the registry with a new one")
    check_equal(said("list-interfaces", REGISTRY).split(), list(INTERFACES), "the interfaces")


if __name__ == "__main__":
    main(globals(), System)
