#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who knows nothing but README.md gets a connection in three commands after the installation; who
does not even do those is led there, by what `ktlsctl connect` says of each failure."""

import contextlib
import os
import pwd
import re
import signal
import socket
import subprocess

from ktlstest import pki, readme, system
from ktlstest.daemon import TOP
from ktlstest.doctor import identity
from ktlstest.peer import TLS13
from ktlstest.system import DROP_IN, PEER, SOCKET, System, run, systemctl
from ktlstest.tap import (check_between, check_equal, check_in, check_not_in, check_true, fail, main, note, test,
                          wait_until)

DEADLINE = 120
USER, SERVER, PORT = "alice", "server.test", 443
CA, BUNDLE, HOSTS = "/run/own-ca.pem", "/etc/ssl/certs/ca-certificates.crt", "/etc/hosts"
LOADER = "modprobe@tls.service"
LINE = re.compile(r"ktlsctl: [a-z]+: .+ \([A-Z][A-Za-z]+\)\n")

AS_SERVICE = readme.commands("it takes three commands")
BY_HAND = readme.commands("By hand, as root")
CONNECT = readme.replaced(AS_SERVICE[-1], "example.org", SERVER)


class Machine:
    """ktlsd is installed, and that is all."""

    diagnosis = System.diagnosis

    def __init__(self):
        system.install()
        system.add_namespace()
        run("useradd", "--no-create-home", USER)
        with open(CA, "w", encoding="ascii") as file:
            file.write(pki.ca_text("ca"))
        append(HOSTS, f"{PEER} {SERVER}\n")

    @staticmethod
    def close():
        fresh()


def append(path, text):
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


def fresh():
    """As it was after the installation: the service is not enabled, nobody is in its group, tls.ko is
    not loaded."""
    systemctl("disable", "--now", "ktlsd.socket", "ktlsd.service")
    for user in (USER, "root"):
        run("gpasswd", "--delete", user, "ktls", check=False)
    for path in (SOCKET, DROP_IN):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    if system.module_loaded():
        system.wait_unload("tls")
    check_equal(systemctl("is-enabled", "ktlsd.socket", check=False).stdout, "disabled\n", "the socket")


class Session:
    """A user's, with the groups that he had when it began."""

    def __init__(self, user):
        self.user = user
        self.groups = os.getgrouplist(user, pwd.getpwnam(user).pw_gid)

    def type(self, line):
        done = subprocess.run(["sh", "-c", line], input="hello\n", text=True, capture_output=True, cwd=TOP,
                              check=False, timeout=60, **identity(self.user, self.groups))
        note(f"{self.user}: {line}\n  {done.returncode}: {done.stderr}")
        return done

    def connect(self, line):
        """What it says of its failure; None: it has connected."""
        done = self.type(line)
        if done.returncode == 0:
            check_equal((done.stdout, done.stderr), ("hello\n", ""), "what a good connection says")
            return None
        check_true(bool(LINE.fullmatch(done.stderr)), f"one line, with stage and name: {done.stderr!r}")
        check_equal(done.stdout, "", "stdout of a failure")
        return done.stderr


class Walk:
    """Somebody who types one line until it works, and in between what he is told."""

    def __init__(self, user, line):
        self.session, self.line = Session(user), line
        self.commands, self.said = [], []

    def run_as_root(self, command):
        self.commands.append(command)
        check_equal(Session("root").type(command).returncode, 0, f"the exit status of {command}")

    def log_in_anew(self, _match):
        self.session = Session(self.session.user)

    def trust_ca(self, _match):
        self.line += f" --ca {CA}"

    def name_peer(self, _match):
        self.line += f" --name {SERVER}"

    STEPS = (
        (r"as root, run ([^;,(]*[^;,( ])", run_as_root),
        (r"\blog in anew\b", log_in_anew),
        (r"; --ca FILE\b", trust_ca),
        (r"; --name NAME\b", name_peer),
    )

    def obey(self, message):
        found = [(step, match) for pattern, step in self.STEPS if (match := re.search(pattern, message))]
        if not found:
            fail(f"no next step in {message!r}")
        for step, match in found:
            step(self, *match.groups() or [match])

    def go(self, *expected):
        """The messages on the way are these regular expressions."""
        while message := self.session.connect(self.line):
            check_not_in(message, self.said, "a message that comes again: its step led nowhere")
            self.said.append(message)
            self.obey(message)
        self.commands.append(self.line)
        note(f"{len(self.commands)} commands: {self.commands}")
        check_equal(len(self.said), len(expected), f"number of failures on the way: {self.said}")
        for message, pattern in zip(self.said, expected):
            check_in_line(pattern, message)
        check_between(len(self.commands), 1, 3, "the number of commands")


def check_in_line(pattern, message):
    match = re.search(pattern, message)
    check_true(bool(match), f"/{pattern}/ in {message!r}")
    return match


def server(**settings):
    return system.peer(port=PORT, **settings)


@contextlib.contextmanager
def trusted():
    """The server's CA is one of those that the machine trusts."""
    size = os.stat(BUNDLE).st_size
    append(BUNDLE, pki.ca_text("ca"))
    try:
        yield
    finally:
        os.truncate(BUNDLE, size)


def ready():
    """All is done that the first two commands do; a session of the user."""
    fresh()
    for command in AS_SERVICE[:2]:
        run("sh", "-c", command)
    return Session(USER)


NOT_STARTED = rf"service: cannot reach {SOCKET}: No such file .*; as root, run systemctl enable --now ktlsd.socket \("
NOT_MEMBER = rf"service: cannot reach {SOCKET}: Permission denied; .* as root, run usermod -aG ktls {USER}; then log in"
OLD_SESSION = rf"Permission denied; .* the group ktls has {USER}, this session not yet: log in anew, or run newgrp ktls \("
UNKNOWN_CA = (r"handshake: unable to get local issuer certificate .*; --ca FILE, --store NAME or --pin PIN says what "
              r"to trust; ktlsctl probe \S+ shows the pins \(CertificateRejected\)")
OTHER_NAME = (r"handshake: the certificate is not for .*; --name NAME says which name .*; ktlsctl probe \S+ shows the "
              r"names that it has \(CertificateRejected\)")
NO_MODULE = r"install: TCP_ULP failed: .*: as root, run modprobe tls; where that fails, ktlsctl doctor tells why \("
ROOTS_RULE = r"policy: .*no access rule .* in which root is not: as root, run usermod -aG ktls root; then log in anew \("


@test("README: three commands, from a machine without the module to a connection", deadline=DEADLINE)
def three_commands(_machine):
    fresh()
    check_equal(readme.commands("As a service, "), ["make install PREFIX=/usr"], "the installation, which was done")
    check_equal(len(AS_SERVICE), 3, f"the number of commands: {AS_SERVICE}")
    with server(), trusted():
        for command in AS_SERVICE[:2]:
            check_equal(Session("root").type(command).returncode, 0, f"the exit status of {command}")
        check_equal(Session(USER).connect(CONNECT), None, "the failure")
    check_true(system.module_loaded(), "tls.ko is loaded")


@test("README: by hand, two commands of root's", deadline=DEADLINE)
def by_hand(_machine):
    fresh()
    check_equal(len(BY_HAND), 2, f"the number of commands: {BY_HAND}")
    begin, connect = BY_HAND
    path = re.search(r"--socket (\S+)", begin)[1]
    with server(), trusted(), subprocess.Popen(readme.replaced(begin, " &", "").split(), cwd=TOP) as daemon:
        wait_until(lambda: os.path.exists(path), 10, path, 0.05)
        try:
            check_equal(Session("root").connect(readme.replaced(connect, "example.org", SERVER)), None, "the failure")
            check_true(system.module_loaded(), "tls.ko is loaded")
        finally:
            daemon.send_signal(signal.SIGTERM)


@test("led by messages alone: a user on a machine where nothing was done yet", deadline=DEADLINE)
def unprivileged(_machine):
    fresh()
    with server():
        Walk(USER, CONNECT).go(NOT_STARTED, NOT_MEMBER, UNKNOWN_CA)
    check_true(system.module_loaded(), "tls.ko is loaded")


@test("led by messages alone: root there", deadline=DEADLINE)
def administrator(_machine):
    fresh()
    with server():
        Walk("root", CONNECT).go(NOT_STARTED, ROOTS_RULE, UNKNOWN_CA)


@test("led by messages alone: a server by its address", deadline=DEADLINE)
def by_address(_machine):
    ready()
    with server():
        Walk(USER, readme.replaced(CONNECT, SERVER, PEER)).go(UNKNOWN_CA, OTHER_NAME)


@test("led by messages alone: a session that is older than the membership", deadline=DEADLINE)
def old_session(_machine):
    fresh()
    walk = Walk(USER, CONNECT)
    ready()
    with server(), trusted():
        walk.go(OLD_SESSION)


@test("led by messages alone: a service that has ended, and left its socket", deadline=DEADLINE)
def stale(_machine):
    ready()
    systemctl("stop", "ktlsd.socket")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(SOCKET)
    os.chmod(SOCKET, 0o666)
    with server(), trusted():
        Walk(USER, CONNECT).go("Connection refused; as root, run systemctl restart ktlsd.socket")


@test("led by messages alone: a module that nobody loads", deadline=DEADLINE)
def unloaded(_machine):
    ready()
    systemctl("mask", "--runtime", LOADER)
    with server(), trusted():
        Walk(USER, CONNECT).go(NO_MODULE)
    systemctl("unmask", "--runtime", LOADER)


@test("a module that is not installed: where what is told fails, doctor tells why", deadline=DEADLINE)
def not_installed(_machine):
    session = ready()
    path = run("modinfo", "-n", "tls").stdout.strip()
    os.rename(path, f"{path}.away")
    with server(), trusted():
        message = session.connect(CONNECT)
        command = check_in_line(r"as root, run ([^;,(]+); where that fails, (ktlsctl doctor) tells why", message)
        check_true(Session("root").type(command[1]).returncode != 0, f"{command[1]} fails")
        diagnosis = session.type(command[2]).stdout
        check_in_line(r"(?m)^fault +module: .*; cure: no module tls is installed for .*: install the package", diagnosis)
        os.rename(f"{path}.away", path)
        cure = check_in_line(r"(?m)^fault .*; then, as root, run (.+)$", diagnosis)[1]
        check_equal(Session("root").type(cure).returncode, 0, f"the exit status of {cure}")
        check_equal(session.connect(CONNECT), None, "the failure")


@test("an unknown CA: the probe that is named shows a pin, which does", deadline=DEADLINE)
def pinned(_machine):
    session = ready()
    with server():
        probe = check_in_line(r"(ktlsctl probe \S+) shows the pins", session.connect(CONNECT))[1]
        done = session.type(probe)
        check_true("ktlsctl probe" not in done.stderr, f"a probe does not send one to a probe: {done.stderr!r}")
        pin = check_in_line(r"cert-sha256: ([0-9a-f]{64})", done.stdout)[1]
        check_equal(session.connect(f"{CONNECT} --pin cert-sha256:{pin}"), None, "the failure")


@test("another name: the probe that is named shows those of the certificate", deadline=DEADLINE)
def named(_machine):
    session = ready()
    with server(), trusted():
        line = readme.replaced(CONNECT, SERVER, PEER)
        probe = check_in_line(r"(ktlsctl probe \S+) shows the names", session.connect(line))[1]
        names = check_in_line(r"names: +(.+)", session.type(probe).stdout)[1].split()
        check_in(SERVER, names, "the names")
        check_equal(session.connect(f"{line} --name {names[0]}"), None, "the failure")


@test("a server that speaks TLS 1.3 alone", deadline=DEADLINE)
def other_version(_machine):
    session = ready()
    with trusted():
        with server(versions=TLS13):
            check_in_line(r"does not speak TLS 1\.2, and ktlsd no other version; let the server have TLS 1\.2 \(Hands",
                          session.connect(CONNECT))
        with server():
            check_equal(session.connect(CONNECT), None, "the failure")


@test("a server that has CBC alone: what it is to have is shown by the command that is named", deadline=DEADLINE)
def other_cipher(_machine):
    session = ready()
    with trusted():
        with server(ciphers="ECDHE-RSA-AES128-SHA"):
            command = check_in_line(r"no cipher, .*; (ktlsctl ciphers) shows what each policy offers \(HandshakeFailed",
                                    session.connect(CONNECT))[1]
        suite = check_in_line(r"(?m)^(ECDHE-RSA-\S+) +yes +default\b", session.type(command).stdout)[1]
        with server(ciphers=suite):
            check_equal(session.connect(CONNECT), None, "the failure")


@test("an access rule that says no: rule and key are named", deadline=DEADLINE)
def rule(_machine):
    session = ready()
    system.configure("[Access ktls]\nPorts=1-442\n")
    with server(), trusted():
        told = check_in_line(r'policy: .*access rule "(.*)" does not allow this port \((\w+=)\); an administrator can '
                             r"change that in ktlsd.conf\(5\), and reload ktlsd \(NotAuthorized", session.connect(CONNECT))
        system.configure(f"[Access {told[1]}]\n{told[2]}{PORT}\n")
        system.reload()
        check_equal(session.connect(CONNECT), None, "the failure")


@test("a name that is not found: what is named shows when it is", deadline=DEADLINE)
def other_host(_machine):
    session = ready()
    line = readme.replaced(CONNECT, SERVER, "new.test") + f" --name {SERVER}"
    with server(), trusted():
        command = check_in_line(r"resolve: new\.test: .*; (getent ahosts new\.test) shows", session.connect(line))[1]
        check_true(session.type(command).returncode != 0, f"{command} finds nothing")
        append(HOSTS, f"{PEER} new.test\n")
        check_in(PEER, session.type(command).stdout, f"what {command} finds")
        check_equal(session.connect(line), None, "the failure")


@test("a port at which nobody listens", deadline=DEADLINE)
def other_port(_machine):
    session = ready()
    with trusted():
        check_in_line(rf"connect: {PEER}:{PORT}: Connection refused; is the port right, and does its server run\? \(Conn",
                      session.connect(CONNECT))
        with server():
            check_equal(session.connect(CONNECT), None, "the failure")


if __name__ == "__main__":
    check_true(os.path.exists("/run/systemd/system"), "systemd is process 1, as boot --systemd has it")
    main(globals(), Machine)
