# SPDX-License-Identifier: MIT
"""For tests of whole commands of ktlsctl: a service that answers by a script, and what it may say."""

import copy
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading

KTLSCTL = os.path.abspath(os.path.join(os.environ.get("O", "build"), "ktlsctl"))
PATIENCE = 20

PEER = {"subject": "CN=example.org", "certSha256": "ab" * 32, "spkiSha256": "cd" * 32,
        "notAfter": "2027-01-31T12:00:00Z"}
TIMINGS = {"resolve": 1200, "connect": 2345, "handshake": 34567, "install": 0, "total": 38112}
SESSION = {"version": "TLSv1.2", "cipher": "ECDHE-RSA-AES256-GCM-SHA384", "kernelCipher": "aes-gcm-256",
           "group": "secp384r1", "alpn": None, "address": "192.0.2.1:443", "verifiedBy": "chain+name",
           "peer": PEER, "resumed": False, "timings": TIMINGS}
ATTEMPTS = [
    {"address": "[2001:db8::1]:443", "state": "failed", "errno": "ENETUNREACH", "begun": 0, "took": 12},
    {"address": "192.0.2.1:443", "state": "connected", "errno": None, "begun": 250012, "took": 2345}]
LEAF = {"subject": "CN=example.org", "issuer": "CN=Example CA", "names": ["example.org", "192.0.2.1"],
        "notBefore": "2026-01-31T12:00:00Z", "notAfter": "2027-01-31T12:00:00Z", "key": "RSA 2048",
        "signature": "sha256WithRSAEncryption", "certSha256": "ab" * 32, "spkiSha256": "cd" * 32,
        "problem": None}
TRACE = {"attempts": ATTEMPTS, "chain": [LEAF, {**LEAF, "subject": "CN=Example CA", "names": []}],
         "timings": TIMINGS}
PROBED = {"session": SESSION, "offered": [SESSION["cipher"]], "offloadable": [SESSION["cipher"]],
          "takesOver": True, "trace": TRACE}
BUCKETS = [{"upTo": 50, "count": 1}, {"upTo": 128, "count": 3}, {"upTo": 1000000, "count": 9},
           {"upTo": 100000000, "count": 9}]
LATENCY = {"stage": "resolve", "count": 10, "sum": 12345678, "p50": 128, "p90": 1000000, "p99": 99000000,
           "buckets": BUCKETS}
STATUS = {
    "version": "0.1.0", "since": "2026-11-20T12:00:00Z", "loaded": "2026-11-21T12:00:00Z", "pid": 4711,
    "workers": [{"pid": 4712, "since": "2026-11-21T12:00:00Z", "underWay": 2},
                {"pid": 4713, "since": "2026-11-21T12:00:01Z", "underWay": 1}],
    "workersLost": 1, "reloads": 2, "underWay": 3, "callsRefused": 4, "recordsSuppressed": 5,
    "outcomes": [
        {"method": "Connect", "outcome": "ok", "stage": None, "count": 1000},
        {"method": "Connect", "outcome": "ConnectFailed", "stage": "connect", "count": 7},
        {"method": "Probe", "outcome": "lost", "stage": None, "count": 1}],
    "latencies": [LATENCY, {**LATENCY, "stage": "total"}],
    "sessions": [{"version": "TLSv1.2", "cipher": SESSION["cipher"], "count": 1000}],
    "quotas": [
        {"name": "requests", "used": 3, "limit": 256, "userUsed": 1, "userLimit": 64},
        {"name": "memoryKiB", "used": 100, "limit": 65536, "userUsed": 10, "userLimit": 16384}],
    "configuration": [{"section": "Service", "key": "Workers", "value": "2"},
                      {"section": "Limits", "key": "Requests", "value": "256"}]}
CAPABILITIES = {
    "openssl": "OpenSSL 3.0.22", "managed": True,
    "suites": [SESSION["cipher"], "AES256-SHA", "ECDHE-ECDSA-AES128-CCM8"], "offloadable": [SESSION["cipher"]],
    "kernel": {"release": "6.1.176", "tlsErrno": None, "loopbackErrno": None,
               "ciphers": [{"name": "aes-gcm-256", "module": "aesni_intel", "errno": None}]},
    "policies": [{"name": "default", "suites": [SESSION["cipher"]], "offloadable": [SESSION["cipher"]],
                  "groups": "X25519", "signatureAlgorithms": "RSA+SHA256"},
                 {"name": "old", "suites": [SESSION["cipher"], "AES256-SHA"], "offloadable": [SESSION["cipher"]],
                  "groups": "X25519", "signatureAlgorithms": "RSA+SHA256"}],
    "stores": [{"name": "system", "file": "/etc/ssl/certs/ca-certificates.crt", "certificates": 140, "valid": 139,
                "notAfter": "2046-01-01T00:00:00Z"}],
    "caller": {"uid": 0, "allowed": True, "verifyNone": False, "barred": False, "rules": []}}


def reply(parameters):
    return {"parameters": copy.deepcopy(parameters)}


def failure(name, stage, message, **more):
    return {"error": f"io.ktlsd.{name}",
            "parameters": {"stage": stage, "message": message, "errno": None, "retry": False, "alert": None,
                           "x509": None, **more}}


class Service:
    """Answers any number of calls on any number of connections. answer(method, parameters) gives the
    reply, as it is sent if it is bytes, or None: it hangs up. What it was asked is in calls."""

    def __init__(self, directory, answer):
        self.path = os.path.join(directory, "io.ktlsd")
        self.answer = answer
        self.calls = []
        self.callers = []
        self.changed = threading.Condition()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self):
        self.threads[0].start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.threads[0].join()
        for caller in self.callers:
            caller.shutdown(socket.SHUT_RDWR)
        for thread in self.threads[1:]:
            thread.join()
        for end in (self.listener, *self.callers):
            end.close()
        os.unlink(self.path)

    def _accept(self):
        while True:
            try:
                caller = self.listener.accept()[0]
            except OSError:
                return
            self.callers.append(caller)
            self.threads.append(threading.Thread(target=self._serve, args=(caller,), daemon=True))
            self.threads[-1].start()

    def _serve(self, caller):
        text = b""
        while piece := self._receive(caller):
            text += piece
            while b"\0" in text:
                message, text = text.split(b"\0", 1)
                if not self._take(caller, json.loads(message)):
                    caller.shutdown(socket.SHUT_RDWR)
                    return

    @staticmethod
    def _receive(caller):
        try:
            return caller.recv(65536)
        except ConnectionError:
            return b""

    def _take(self, caller, call):
        answer = self.answer(call["method"].rsplit(".", 1)[1], call.get("parameters", {}))
        with self.changed:
            self.calls.append(call)
            self.changed.notify_all()
        if answer:
            try:
                caller.sendall(answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\0")
            except ConnectionError:
                return False
        return answer is not None

    def wait_calls(self, n):
        """Until it was asked so often."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.calls) >= n, PATIENCE):
                raise AssertionError(f"{len(self.calls)} calls, not {n}")


class Server(Service):
    """A service through which a server is seen that takes these suites, the first best."""

    def __init__(self, directory, offered, taken, offloadable=(), more=None):
        super().__init__(directory, self._probe)
        self.offered, self.taken, self.offloadable = offered, taken, offloadable
        self.more = more  # (number, offered): a reply of another kind, or None

    def _probe(self, method, parameters):
        assert method == "Probe", method
        names = parameters.get("policy", {}).get("ciphers")
        names = names.split(":") if names else self.offered
        if self.more and (other := self.more(len(self.calls), names)):
            return other
        agreed = [name for name in self.taken if name in names]
        if not agreed:
            return failure("HandshakeFailed", "handshake", "alert handshake_failure from the server",
                           alert="handshake_failure", trace=TRACE)
        takes = agreed[0] in self.offloadable and parameters.get("io") == "aware"
        return reply({**PROBED, "session": {**SESSION, "cipher": agreed[0]}, "offered": names,
                      "offloadable": [name for name in names if name in self.offloadable],
                      "takesOver": takes})

    def lists(self):
        """What was offered by name, call by call."""
        return [call["parameters"].get("policy", {}).get("ciphers") for call in self.calls]


def run(*arguments, **more):
    """ktlsctl with these arguments and no other environment."""
    return subprocess.run([KTLSCTL, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=30, check=False, env={}, **more)


def expect(result, status, stderr=""):
    """stderr: a pattern for the whole of it."""
    if result.returncode != status:
        raise AssertionError(f"status {result.returncode}, not {status}: {result.stderr!r}")
    if not re.fullmatch(stderr, result.stderr):
        raise AssertionError(f"stderr is {result.stderr!r}, not {stderr!r}")


def same(what, wanted):
    if what != wanted:
        raise AssertionError(f"{what!r}, not {wanted!r}")


def shows(text, *lines):
    """Each is a line of the text, whatever the space between its words; in this order."""
    rest = [" ".join(line.split()) for line in text.splitlines()]
    for line in lines:
        if " ".join(line.split()) not in rest:
            raise AssertionError(f"no line {line!r} (after those before) in {text!r}")
        rest = rest[rest.index(" ".join(line.split())) + 1:]


def main(tests):
    """Runs each with a directory of its own."""
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
    sys.exit(1 if failed else 0)
