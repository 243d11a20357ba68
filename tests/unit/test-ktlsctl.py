#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run ktlsctl against a service that answers as it is told.

TAP on stdout; run from the top of the tree, with O= the build directory. No kernel TLS is needed:
what a relay does with a socket, and what a command gets, test-ctl-relay and test-ctl-exec try.
"""

import array
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

KTLSCTL = os.path.abspath(os.path.join(os.environ.get("O", "build"), "ktlsctl"))
PIN = "0123456789abcdef" * 4
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n"
WHO = {"CALLER": 1, "ADMINISTRATOR": 2, "PEER": 3, "RETRY": 4, "INTERNAL": 5}
SESSION = {
    "version": "TLSv1.2", "cipher": "ECDHE-RSA-AES256-GCM-SHA384", "kernelCipher": "aes-gcm-256",
    "group": "secp384r1", "address": "192.0.2.1:443", "verifiedBy": "chain+name",
    "peer": {"subject": "CN=example.org", "certSha256": "a" * 64, "spkiSha256": "b" * 64,
             "notAfter": "2027-01-31T12:00:00Z"},
    "resumed": False,
    "timings": {"resolve": 1, "connect": 2, "handshake": 3, "install": 4, "total": 10}}

tests = []


def test(function):
    tests.append(function)
    return function


class Service:
    """Takes one caller, keeps its request and gives it the answer, with a socket if given one."""

    def __init__(self, directory, answer=None, handed=None):
        self.path = os.path.join(directory, "io.ktlsd")
        self.answer = answer
        self.handed = handed
        self.request = None
        self.descriptors = None  # the caller's first three
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.listener.settimeout(20)
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        os.unlink(self.path)

    def _serve(self):
        try:
            caller = self.listener.accept()[0]
        except OSError:
            return
        with caller:
            text = b""
            while not text.endswith(b"\0"):
                piece = caller.recv(65536)
                if not piece:
                    return
                text += piece
            self.request = json.loads(text[:-1])
            pid = struct.unpack("iII", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            self.descriptors = [os.readlink(f"/proc/{pid[0]}/fd/{fd}") for fd in range(3)]
            control = []
            if self.handed:
                control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                            array.array("i", [self.handed.fileno()]))]
            if self.answer:
                caller.sendmsg([json.dumps(self.answer).encode() + b"\0"], control)


def run(*arguments, env=None, **more):
    """ktlsctl with these arguments and no other environment."""
    return subprocess.run([KTLSCTL, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=30, check=False, env=env or {}, **more)


def expect(result, status, stderr, stdout=""):
    """stderr: a pattern for the whole of it."""
    if result.returncode != status:
        raise AssertionError(f"status {result.returncode}, not {status}: {result.stderr!r}")
    if not re.fullmatch(stderr, result.stderr):
        raise AssertionError(f"stderr is {result.stderr!r}, not {stderr!r}")
    if result.stdout != stdout:
        raise AssertionError(f"stdout is {result.stdout!r}")


def same(what, wanted):
    if what != wanted:
        raise AssertionError(f"{what!r}, not {wanted!r}")


def errors():
    """SYMBOL, wire name, who, sentence of proto/error.def."""
    with open("proto/error.def", encoding="utf-8") as table:
        rows = re.findall(r'^ERROR\((\w+), \d+,\s*"([\w.]+)",\s*\w+,\s*(\w+),\s*"([^"]*)"\)',
                          table.read(), re.M)
    assert len(rows) >= 14
    return rows


@test
def each_error_has_its_line_and_status(directory):
    for _, wire, who, sentence in errors():
        name = wire.rsplit(".", 1)[1]
        ours = wire.startswith("io.ktlsd.")
        answer = {"error": wire, "parameters": {}}
        if ours:
            answer["parameters"] = {"stage": "install", "message": "TLS_TX refused",
                                    "errno": "ENOENT", "retry": False}
        with Service(directory, answer) as service:
            result = run("--socket", service.path, "connect", "example.org:443")
        if ours:
            wanted = f"ktlsctl: install: TLS_TX refused: No such file or directory(;.*)? \\({name}\\)\n"
        else:
            wanted = f"ktlsctl: request: .+ \\({name}\\)\n"
        expect(result, WHO[who], wanted)
        if not ours and not result.stderr.startswith(f"ktlsctl: request: {sentence}"):
            raise AssertionError(result.stderr)


@test
def an_errno_is_told_once(directory):
    for message in ("ECONNREFUSED from 192.0.2.1:443", "192.0.2.1:443: Connection refused"):
        answer = {"error": "io.ktlsd.ConnectFailed",
                  "parameters": {"stage": "connect", "message": message, "errno": "ECONNREFUSED",
                                 "retry": False}}
        with Service(directory, answer) as service:
            result = run("--socket", service.path, "connect", "example.org:443")
        expect(result, 3, f"ktlsctl: connect: {re.escape(message)}; is the port right, .* \\(ConnectFailed\\)\n")


@test
def what_may_pass_by_itself_is_for_trying_again(directory):
    for retry, status in ((False, 3), (True, 4)):
        answer = {"error": "io.ktlsd.ResolveFailed",
                  "parameters": {"stage": "resolve", "message": "no answer", "errno": None,
                                 "retry": retry}}
        with Service(directory, answer) as service:
            result = run("--socket", service.path, "connect", "example.org:443")
        expect(result, status, "ktlsctl: resolve: no answer; getent ahosts example.org shows .* \\(ResolveFailed\\)\n")


@test
def the_parameter_is_told_once(directory):
    for message, told in (("there is no such policy", "policy.name: there is no such policy"),
                          ("policy.name is empty", "policy.name is empty")):
        answer = {"error": "org.varlink.service.InvalidParameter",
                  "parameters": {"parameter": "policy.name", "message": message}}
        with Service(directory, answer) as service:
            result = run("--socket", service.path, "connect", "example.org:443")
        expect(result, 1, f"ktlsctl: request: {re.escape(told)} \\(InvalidParameter\\)\n")


@test
def verbose_tells_all_that_the_service_said(directory):
    answer = {"error": "io.ktlsd.CertificateRejected",
              "parameters": {"stage": "handshake", "message": "certificate has expired",
                             "x509": "X509_V_ERR_CERT_HAS_EXPIRED", "alert": "unknown_ca",
                             "retry": False}}
    with Service(directory, answer) as service:
        result = run("--socket", service.path, "connect", "example.org:443", "-v")
    expect(result, 3, "ktlsctl: handshake: certificate has expired; ktlsctl probe example.org:443 shows .* "
           "\\(CertificateRejected\\)\n"
           "ktlsctl: alert: unknown_ca\nktlsctl: x509: X509_V_ERR_CERT_HAS_EXPIRED\n"
           "ktlsctl: retry: no\n")


@test
def a_message_cannot_reach_the_terminal(directory):
    answer = {"error": "io.ktlsd.HandshakeFailed",
              "parameters": {"stage": "handshake", "message": "a\x1b[2J\nktlsctl: all is well",
                             "retry": False}}
    with Service(directory, answer) as service:
        result = run("--socket", service.path, "connect", "example.org:443")
    expect(result, 3, r"ktlsctl: handshake: a\\x1b\[2J\\x0aktlsctl: all is well; .* \(Handshake.*\)\n")


@test
def every_option_reaches_the_service(directory):
    ca = os.path.join(directory, "ca.pem")
    with open(ca, "w", encoding="utf-8") as file:
        file.write(KEY + CERTIFICATE)
    with Service(directory, {"error": "io.ktlsd.Busy"}) as service:
        result = run(
            "--socket", service.path, "connect", "--ca", ca, "--store", "corporate",
            "--pin", "cert-sha256:" + PIN, "[2001:db8::1]:443", "--pin", "spki-sha256:" + PIN,
            "--name", "name.example.org", "--verify", "chain", "--server-name", "sni.example.org",
            "--alpn", "h2", "--alpn", "http/1.1", "--policy", "strict", "--min-version", "1.2",
            "--max-version", "1.3", "--ciphers", "ECDHE+AESGCM", "--ciphersuites", "TLS_A",
            "--groups", "P-384:X25519", "--signature-algorithms", "RSA+SHA256", "--io", "aware",
            "--timeout", "1.5")
    expect(result, 4, r"ktlsctl: request: .* \(Busy\)\n")
    same(service.request, {"method": "io.ktlsd.Connect", "parameters": {
        "host": "2001:db8::1", "port": 443,
        "trust": {"ca": CERTIFICATE, "store": "corporate",
                  "pins": ["cert-sha256:" + PIN, "spki-sha256:" + PIN],
                  "name": "name.example.org", "verify": "chain"},
        "policy": {"name": "strict", "minVersion": "1.2", "maxVersion": "1.3",
                   "ciphers": "ECDHE+AESGCM", "ciphersuites": "TLS_A", "groups": "P-384:X25519",
                   "signatureAlgorithms": "RSA+SHA256"},
        "serverName": "sni.example.org", "alpn": ["h2", "http/1.1"], "io": "aware",
        "timeoutMs": 1500}})


@test
def a_short_request_says_no_more_than_needed(directory):
    with Service(directory, {"error": "io.ktlsd.Busy"}) as service:
        run("--socket", service.path, "connect", "example.org:443")
    parameters = service.request["parameters"]
    same(parameters.pop("timeoutMs", 20000), 20000)
    same(parameters, {"host": "example.org", "port": 443})


@test
def a_socket_without_kernel_tls_is_refused(directory):
    ours, theirs = socket.socketpair()
    answer = {"parameters": {"fileDescriptor": 0, "session": SESSION}}
    with ours, theirs, Service(directory, answer, ours) as service:
        result = run("--socket", service.path, "connect", "example.org:443", "--", "echo", "no")
        expect(result, 5, r"ktlsctl: handover: .* \(NotEncrypted\)\n")
        same(theirs.recv(1), b"")


@test
def a_service_that_says_nothing_is_left(directory):
    with Service(directory) as service:
        result = run("--socket", service.path, "connect", "example.org:443")
    expect(result, 4, r"ktlsctl: service: .*hung up.* \(ServiceLost\)\n")


@test
def no_service(directory):
    path = os.path.join(directory, "nothing")
    expect(run("--socket", path, "connect", "example.org:443"), 2,
           f"ktlsctl: service: cannot reach {path}: No such file or directory; "
           "does ktlsd run, and listen there\\? \\(ServiceUnreachable\\)\n")
    expect(run("--socket", "/" + "x" * 108, "connect", "example.org:443"), 1,
           "ktlsctl: usage: --socket /x+: File name too long\n")


@test
def the_environment_names_the_socket(directory):
    with Service(directory, {"error": "io.ktlsd.Busy"}) as service:
        result = run("connect", "example.org:443", env={"KTLSD_SOCKET": service.path})
    expect(result, 4, r".*\(Busy\)\n")
    with Service(directory, {"error": "io.ktlsd.Busy"}) as service:
        result = run("--socket", service.path, "connect", "example.org:443",
                     env={"KTLSD_SOCKET": "/nonexistent"})
    expect(result, 4, r".*\(Busy\)\n")


@test
def a_set_user_id_process_does_not_heed_it(directory):
    symbols = subprocess.run(["nm", "-D", "--undefined-only", KTLSCTL], capture_output=True,
                             text=True, check=True).stdout
    same(re.findall(r"\b(?:secure_)?getenv\b", symbols), ["secure_getenv"])
    if os.geteuid() != 0 or os.statvfs(directory).f_flag & os.ST_NOSUID:
        return
    copy = os.path.join(directory, "ktlsctl")
    shutil.copy(KTLSCTL, copy)
    os.chown(copy, 65534, 65534)
    os.chmod(copy, 0o4755)
    os.chmod(directory, 0o755)
    result = subprocess.run([copy, "connect", "example.org:443"], capture_output=True, text=True,
                            env={"KTLSD_SOCKET": "/nonexistent"}, check=False, timeout=30)
    if "/nonexistent" in result.stderr:
        raise AssertionError(result.stderr)


@test
def usage(directory):
    for arguments, wanted in (
            ([], "no command"), (["frobnicate"], "frobnicate: no such command"),
            (["--frobnicate"], "--frobnicate: no such option"), (["--socket"], "needs a value"),
            (["connect"], "connect takes HOST:PORT"), (["connect", "a"], "a: takes HOST:PORT"),
            (["connect", "::1:443"], "an IPv6 address as"), (["connect", "a:0"], "1 to 65535"),
            (["connect", "a..b:1"], "no host name"), (["connect", "a:1", "b:1"], "one HOST:PORT"),
            (["connect", "a:1", "--stdio"], "--stdio is for a command"),
            (["connect", "a:1", "--verify"], "--verify: needs a value"),
            (["connect", "a:1", "--verify", "some"], "takes full, chain or none"),
            (["connect", "a:1", "--pin", "x"], "takes cert-sha256:HEX"),
            (["connect", "a:1", "--ca", directory + "/none"], "No such file or directory"),
            (["connect", "a:1", "--ca", "/dev/null"], "takes a file with PEM certificates"),
            (["connect", "a:1", "--ciphers", "x" * 1025], "--ciphers: too long, or given"),
            (["connect", "a:1", "--stdio=x"], "--stdio: takes no value"),
            (["connect", "a:1", "--json"], "--json: no such option"),
            (["completion"], "completion takes bash, zsh or fish"),
            (["completion", "tcsh"], "completion takes bash, zsh or fish"),
            (["completion", "zsh", "fish"], "fish: one shell only"),
            (["completion", "zsh", "--", "ls"], "completion: takes no ls; try `ktlsctl completion --help`")):
        expect(run(*arguments), 1, "ktlsctl: usage: .*" + re.escape(wanted) + ".*\n")


def commands():
    """Of the table in --help."""
    found = re.findall(r"^  ([a-z]+) ", run("--help").stdout, re.M)
    assert "connect" in found and "completion" in found, found
    return found


@test
def help_and_version(_):
    for arguments in (["--help"], ["-h"], *([name, flag] for name in commands() for flag in ("-h", "--help"))):
        result = run(*arguments)
        expect(result, 0, "", result.stdout)
        if "Usage: ktlsctl" not in result.stdout or "--help" not in result.stdout:
            raise AssertionError(result.stdout)
    result = run("--version")
    expect(result, 0, "", result.stdout)
    if not re.fullmatch(r"ktlsctl \d+\.\d+\.\d+\n", result.stdout):
        raise AssertionError(result.stdout)


@test
def help_of_a_command_needs_nothing_else(_):
    """Neither operands nor a service."""
    for name in commands():
        same(run("--socket", "/nonexistent", name, "--help").returncode, 0)
    help_of_connect = run("connect", "--help").stdout
    if not help_of_connect.startswith("Usage: ktlsctl connect HOST:PORT [OPTION...] [-- COMMAND...]\n"):
        raise AssertionError(help_of_connect)


@test
def what_cannot_be_written_was_not_done(_):
    for arguments in (["--help"], ["--version"], *([name, "--help"] for name in commands()),
                      *(["completion", shell] for shell in ("bash", "zsh", "fish"))):
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = subprocess.run([KTLSCTL, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False,
                                    timeout=30)
        same((arguments, result.returncode, result.stderr),
             (arguments, 1, "ktlsctl: stdout: No space left on device\n"))


@test
def a_stdout_that_is_closed_takes_nothing(_):
    for arguments in (["--version"], ["completion", "bash"], ["sockets", "--json"]):
        result = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", KTLSCTL, *arguments], stderr=subprocess.PIPE, text=True,
                                check=False, timeout=30)
        same((arguments, result.returncode, result.stderr), (arguments, 1, "ktlsctl: stdout: Bad file descriptor\n"))


@test
def standard_descriptors_that_are_closed(directory):
    """What ktlsctl opens must not come to lie there."""
    with Service(directory, {"error": "io.ktlsd.Busy"}) as service:
        command = f'exec "{KTLSCTL}" --socket "{service.path}" connect a:1 <&- >&- 2>&-'
        same(subprocess.run(["sh", "-c", command], check=False, timeout=30).returncode, 4)
    same(service.descriptors, ["/dev/null"] * 3)


def main():
    failed = 0
    print(f"1..{len(tests)}")
    for number, function in enumerate(tests, 1):
        name = function.__name__.replace("_", " ")
        try:
            with tempfile.TemporaryDirectory(prefix="ktlsctl-") as directory:
                function(directory)
            print(f"ok {number} - {name}", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {number} - {name}\n# {type(error).__name__}: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
