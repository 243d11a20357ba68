#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ktlsctl doctor: a sound machine has no fault; one that is broken has one, in one line, and what
that line tells to do mends it."""

import json
import os
import signal
import socket
import threading

from ktlstest import doctor, pki, system
from ktlstest.doctor import carry_out, check_fault, check_sound, command
from ktlstest.system import DROP_IN, MEMBER, SOCKET, STRANGER, System, systemctl
from ktlstest.tap import check_equal, check_in, check_true, main, test, wait_until

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
ENABLED = "/etc/ca-certificates.conf"
OWN = "/etc/ktlsd/own.pem"
WATCHDOG = "/run/systemd/system/ktlsd.service.d/patience.conf"
DEADLINE = 120
ADMINISTRATOR, CALLER, PEER = 2, 1, 3


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def check_mended(finding, **more):
    carry_out(finding)
    check_sound(**{"user": MEMBER, **more})


@test("a sound machine on which the service was not yet started: doctor starts it, and has no fault",
      deadline=DEADLINE)
def sound(_system):
    check_equal((system.module_loaded(), system.unit("ktlsd.service")), (False, "inactive"),
                "tls.ko and service before")
    found = check_sound(user=MEMBER)
    for name in ("service", "configuration", "version", "manager", "module", "loopback", "ciphers",
                 "access", "policies", "stores", "limits"):
        check_equal(found.findings[name].verdict, "ok", f"the verdict on {name}")
    check_equal((system.module_loaded(), system.unit("ktlsd.service")), (True, "active"),
                "tls.ko and service after")


@test("root has no fault there, and is told that the rules are not for him", deadline=DEADLINE)
def as_root(_system):
    found = check_sound()
    check_equal(found.findings["access"].verdict, "note", "the verdict on access")
    check_in("lets root have", found.findings["access"].what, "what is said of it")


@test("--json: the same, with its members", deadline=DEADLINE)
def as_json(_system):
    status, text, _ = doctor.run("doctor", "--json", user=MEMBER)
    findings = json.loads(text)["findings"]
    check_equal([finding["check"] for finding in findings], doctor.CHECKS, "the checks")
    for finding in findings:
        check_equal(sorted(finding), ["check", "cure", "verdict", "what", "who"], "its members")
        check_in(finding["verdict"], doctor.VERDICTS, "the verdict")
    check_equal(status, 0, "the exit status")


@test("wrong rights of the socket", deadline=DEADLINE)
def rights(_system):
    os.chmod(SOCKET, 0o600)
    fault = check_fault("service", rf"member may not open {SOCKET}, which is 0600 and of group ktls",
                        "as root, run systemctl restart ktlsd.socket", ADMINISTRATOR, user=MEMBER)
    found = check_sound()
    check_equal(found.findings["service"].verdict, "note", "what root is told of it")
    check_mended(fault)


@test("wrong group of the socket", deadline=DEADLINE)
def group(_system):
    os.chown(SOCKET, 0, 0)
    check_mended(check_fault("service", "which is 0660 and of group root",
                             "as root, run systemctl restart ktlsd.socket", ADMINISTRATOR,
                             user=MEMBER))


@test("a directory of the socket that is closed", deadline=DEADLINE)
def directory(_system):
    os.chmod("/run/ktlsd", 0o700)
    check_mended(check_fault("service", "member may not look into /run/ktlsd, where the socket is",
                             "as root, run chmod 755 /run/ktlsd$", ADMINISTRATOR, user=MEMBER))


@test("who is not a member of the group", deadline=DEADLINE)
def stranger(_system):
    what = f"stranger may not open {SOCKET}, which is 0660 and of group ktls"
    fault = check_fault("service", what, "as root, run usermod -aG ktls stranger", ADMINISTRATOR,
                        user=STRANGER)
    carry_out(fault)
    check_fault("service", what, "log in anew, or run newgrp ktls;", CALLER, user=STRANGER, groups=[])
    check_sound(user=STRANGER)


@test("no access rule for this user", deadline=DEADLINE)
def access(_system):
    system.configure("[Access ktls]\nGroups=root\n")
    system.reload()
    fault = check_fault("access", "no access rule lets member have a connection",
                        r"\[Access\] section of /etc/ktlsd .* have Users=member", ADMINISTRATOR,
                        user=MEMBER)
    system.configure("[Access ktls]\nGroups=root\nUsers=member\n")
    check_mended(fault)
    os.unlink(DROP_IN)
    system.reload()


def enable_few(kept=3):
    """So few of the distribution's certificates that its own command need not take minutes here."""
    with open(ENABLED, encoding="utf-8") as file:
        names = [line for line in file if not line.startswith(("#", "!"))]
    write(ENABLED, "".join(names[:kept]))


@test("the system's store is empty", deadline=DEADLINE)
def empty_store(_system):
    enable_few()
    write(BUNDLE, "")
    system.reload()
    check_mended(check_fault("stores", f"trust store system is empty: {BUNDLE}",
                             "as root, run update-ca-certificates && systemctl reload ktlsd",
                             ADMINISTRATOR, user=MEMBER))


@test("the system's store is not there", deadline=DEADLINE)
def no_store(_system):
    os.rename(BUNDLE, "/etc/ssl/certs/away")
    system.reload()
    fault = check_fault("stores", "trust store system is empty$",
                        "install the package ca-certificates, and run systemctl reload ktlsd",
                        ADMINISTRATOR, user=MEMBER)
    os.rename("/etc/ssl/certs/away", BUNDLE)
    check_mended(fault)


@test("all certificates of a store have expired", deadline=DEADLINE)
def expired_store(_system):
    write(OWN, pki.ca_text("expired"))
    system.configure(f"[Store own]\nFile={OWN}\n")
    system.reload()
    fault = check_fault("stores", f"no certificate of trust store own is within its dates: {OWN}",
                        f"as root, put current certificates into {OWN}, and run systemctl reload ktlsd",
                        ADMINISTRATOR, user=MEMBER)
    write(OWN, pki.ca_text("ca"))
    check_mended(fault)
    os.unlink(DROP_IN)
    system.reload()


@test("the service is dead; root's doctor does not have the kernel load anything", deadline=DEADLINE)
def dead(_system):
    systemctl("stop", "ktlsd.socket", "ktlsd.service")
    system.wait_unload("tls")
    for user in (None, MEMBER):
        fault = check_fault("service", f"the service is not started: there is no {SOCKET}",
                            "as root, run systemctl enable --now ktlsd.socket", ADMINISTRATOR,
                            user=user)
    check_true(not system.module_loaded(), "tls.ko is not loaded")
    check_mended(fault)


@test("the service is dead, and its socket lies about", deadline=DEADLINE)
def stale(_system):
    systemctl("stop", "ktlsd.socket", "ktlsd.service")
    with socket.socket(socket.AF_UNIX) as sock:
        os.makedirs(os.path.dirname(SOCKET), exist_ok=True)
        sock.bind(SOCKET)
    os.chmod(SOCKET, 0o666)
    check_mended(check_fault("service", f"the service has ended: nobody listens at {SOCKET}",
                             "as root, run systemctl restart ktlsd.socket", ADMINISTRATOR,
                             user=MEMBER))


@test("the service hangs", deadline=DEADLINE)
def hung(_system):
    write(WATCHDOG, "[Service]\nWatchdogSec=0\n")
    systemctl("daemon-reload")
    systemctl("restart", "ktlsd.service")
    for pid in system.processes():
        os.kill(pid, signal.SIGSTOP)
    fault = check_fault("service", "^the service gave no answer for 4500 ms$",
                        "as root, run systemctl restart ktlsd; journalctl -u ktlsd",
                        ADMINISTRATOR, user=MEMBER)
    os.unlink(WATCHDOG)
    systemctl("daemon-reload")
    check_mended(fault)


@test("KTLSD_SOCKET names {what}", deadline=DEADLINE, cases=[
    {"what": "what is not there", "path": "/run/nowhere", "says": "there is no /run/nowhere"},
    {"what": "what is no socket", "path": "/etc/passwd", "says": "no socket is /etc/passwd"},
])
def misnamed(_system, what, path, says):
    del what
    check_unset(path, says)


@test("KTLSD_SOCKET names somebody else's socket", deadline=DEADLINE)
def other_socket(_system):
    path = "/run/other"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        os.chmod(path, 0o666)
        sock.listen()
        answering = threading.Thread(target=greet, args=(sock,))
        answering.start()
        check_unset(path, f"it is not ktlsd that listens at {path}")
        answering.join()
    os.unlink(path)


def greet(listener):
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"220 mail ready\r\n\0")


def check_unset(path, says):
    fault = check_fault("service", f"^{says}, which KTLSD_SOCKET names$", "", CALLER, user=MEMBER,
                        KTLSD_SOCKET=path)
    done = system.run("sh", "-c", f"{command(fault)}; ktlsctl doctor", cwd="/",
                      env={**os.environ, "KTLSD_SOCKET": path}, **doctor.identity(MEMBER))
    check_equal(doctor.Diagnosis(done.returncode, done.stdout, 0).of("fault"), [], "faults after that")


@test("the configuration has a fault: the service goes on, and doctor has a note of it",
      deadline=DEADLINE)
def reload_fault(_system):
    system.configure("[Limits]\nRequests=none\n")
    found = check_sound(user=MEMBER).findings["configuration"]
    check_equal(found.verdict, "note", "the verdict")
    check_in(f"{DROP_IN}:2: Requests: ", found.what, "what is said of it")


@test("the configuration has faults, with which the service cannot start", deadline=DEADLINE)
def start_fault(_system):
    system.configure("[Limits]\nRequests=none\nUserRequests=none\n")
    systemctl("restart", "ktlsd.service", check=False)
    fault = check_fault("configuration",
                        rf"^the service cannot start with {DROP_IN}:2: Requests: .* \(and 1 more\)$",
                        "as root, mend it, see it gone with ktlsd --check-config", ADMINISTRATOR,
                        user=MEMBER)
    os.unlink(DROP_IN)
    check_mended(fault)
    wait_until(lambda: system.unit("ktlsd.service") == "active", 10, "the service", 0.1)


@test("HOST:PORT: {what}", deadline=DEADLINE, cases=[
    {"what": "good", "status": 0, "says": None, "settings": {}},
    {"what": "a certificate for another name", "status": PEER, "settings": {"name": "wrong-name"},
     "says": r"handshake: .*\(CertificateRejected\)"},
    {"what": "CBC alone", "status": PEER, "settings": {"ciphers": "ECDHE-RSA-AES128-SHA"},
     "says": r"handshake: .*\(HandshakeFailed\)"},
])
def target(_system, what, status, says, settings):
    del what
    write("/run/ca.pem", pki.ca_text("ca"))
    with system.peer(**settings) as peer:
        name = f"{peer.host}:{peer.port}"
        words = (name, "--ca", "/run/ca.pem", "--name", "server.test")
        if says:
            check_fault("target", f"^{name}: {says}", f"^ktlsctl probe {name} shows", status, *words,
                        user=MEMBER)
        else:
            found = check_sound(*words, user=MEMBER).findings["target"]
            check_equal(found.verdict, "ok", f"the verdict: {found.what}")


@test("HOST:PORT: nobody listens", deadline=DEADLINE)
def refused(_system):
    check_fault("target", r"^192\.0\.2\.1:9: connect: .*refused \(ConnectFailed\)",
                "^ktlsctl probe 192.0.2.1:9 shows", PEER, "192.0.2.1:9", user=MEMBER)


if __name__ == "__main__":
    main(globals(), System)
