#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ktlsctl doctor where ktlsd runs by itself: what stops it there is one fault, and no more."""

import contextlib
import os
import socket
import subprocess
import tempfile
import threading

from ktlstest import doctor
from ktlstest.asking import trusting
from ktlstest.daemon import TOP, Daemon
from ktlstest.doctor import BUILT, carry_out, check_fault
from ktlstest.expect import check_error
from ktlstest.kmod import hidden, loaded, modules
from ktlstest.peer import Peer, Plan
from ktlstest.tap import check_equal, check_true, main, test, wait_until

DEADLINE = 90
CALLER, ADMINISTRATOR, RETRY = 1, 2, 4
CONNECT = "io.ktlsd.Connect"


def of(daemon):
    return {"program": BUILT, "KTLSD_SOCKET": daemon.socket_path}


def check_sound(daemon):
    return doctor.check_sound(**of(daemon))


def check_sound_soon(daemon):
    """Of what passes by itself."""
    wait_until(lambda: not doctor.examine(**of(daemon)).of("fault"), 15, "a diagnosis without a fault", 0.1)
    check_sound(daemon)


@test("a daemon without privilege, on a kernel that has not loaded its module", deadline=DEADLINE)
def unprivileged():
    check_true(not loaded("tls"), "tls.ko is not loaded")
    with Daemon(user="nobody") as daemon:
        fault = check_fault("module", "^the kernel's module tls is not loaded$",
                            "^as root, run modprobe -a tls$", ADMINISTRATOR, **of(daemon))
        check_true(not loaded("tls"), "root's doctor has not had it loaded")
        carry_out(fault)
        check_sound(daemon)


@test("lo is down", deadline=DEADLINE)
def lo_down():
    subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    try:
        with Daemon() as daemon:
            fault = check_fault("loopback",
                                "^the kernel's TLS cannot be tried on loopback: the interface lo is down: E",
                                "^as root, run ip link set lo up$", ADMINISTRATOR, **of(daemon))
            carry_out(fault)
            check_sound(daemon)
    finally:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


@test("lo swallows what goes over it", deadline=DEADLINE)
def filtered():
    subprocess.run("tc qdisc add dev lo root netem loss 100%".split(), check=True)
    try:
        with Daemon() as daemon:
            check_fault("loopback", "^the kernel's TLS cannot be tried on loopback: ETIMEDOUT$",
                        "^let no packet filter hold up what goes over lo", ADMINISTRATOR,
                        **of(daemon))
            subprocess.run("tc qdisc del dev lo root".split(), check=True)
            check_sound(daemon)
    finally:
        subprocess.run("tc qdisc del dev lo root".split(), check=False, capture_output=True)


@test("a user has reached his limit of requests, and then has not", deadline=DEADLINE)
def limits():
    with (Daemon("[Limits]\nUserRequests=2\n") as daemon, Peer(plan=Plan("accept", "stall")) as peer,
          contextlib.ExitStack() as stack):
        for number in range(2):
            caller = stack.enter_context(daemon.caller())
            caller.start(CONNECT, {"host": peer.host, "port": peer.port, "trust": trusting("ca")})
            peer.connection(number)
        check_fault("limits", "^this user has reached the limit of requests, which is 2$",
                    "^try again later, or have it raised", RETRY, **of(daemon))
        stack.close()
        check_sound_soon(daemon)


@test("the last connection that a user may have is doctor's own: no fault", deadline=DEADLINE)
def connections():
    with Daemon("[Limits]\nUserConnections=2\n") as daemon, daemon.caller():
        check_sound(daemon)


@test("a user who is barred", deadline=DEADLINE)
def barred():
    with crashing() as daemon:
        with daemon.connect("crash.test", 443) as reply:
            check_error(reply, "InternalError")
        check_fault("access", "^a worker has crashed at a request of root, who has to wait$",
                    "^wait, at most as long as UserPenaltySec= says", RETRY, **of(daemon))
        check_sound_soon(daemon)


@contextlib.contextmanager
def crashing():
    """A daemon that dies of a request (tests/lib/crash.c)."""
    kept = os.environ.get("KTLSD_BIN")
    os.environ["KTLSD_BIN"] = os.path.join(TOP, "build", "ktlsd-crash")
    try:
        with Daemon("[Limits]\nUserPenaltySec=6\n", workers_may_crash=True) as daemon:
            yield daemon
    finally:
        os.environ.pop("KTLSD_BIN")
        if kept is not None:
            os.environ["KTLSD_BIN"] = kept


@test("a policy that this kernel takes nothing of", deadline=DEADLINE)
def policy():
    modules("tls")
    with hidden("ccm"):
        with Daemon("[Policy odd]\nCiphers=ECDHE-ECDSA-AES128-CCM\n") as daemon:
            check_fault("policies", "^policy odd leaves nothing that this kernel takes$",
                        "^as root, change its Ciphers= in /etc/ktlsd", ADMINISTRATOR, **of(daemon))


@test("the daemon was killed: who named its socket is told that nobody is there", deadline=DEADLINE)
def killed():
    with Daemon() as daemon:
        check_sound(daemon)
        daemon.kill()
        fault = check_fault("service", f"^nobody listens at {daemon.socket_path}, which KTLSD_SOCKET names$",
                            "^run unset KTLSD_SOCKET;", CALLER, **of(daemon))
        check_equal(doctor.command(fault), "unset KTLSD_SOCKET", "what to run")


@contextlib.contextmanager
def answering(text):
    """Whatever is asked at the path that this gives gets this answer."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = os.path.join(directory, "other")
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=_answer, args=(listener, text))
        thread.start()
        try:
            yield path
        finally:
            thread.join()


def _answer(listener, text):
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        if text:
            connection.sendall(text.encode() + b"\0")


@test("what answers there is {what}", deadline=DEADLINE, cases=[
    {"what": "another service", "status": CALLER, "says": "^it is not ktlsd that listens at /",
     "text": '{"error":"org.varlink.service.InterfaceNotFound","parameters":{"interface":"io.ktlsd"}}'},
    {"what": "an older ktlsd", "status": ADMINISTRATOR, "says": "is older than ktlsctl, and knows less$",
     "text": '{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"io.ktlsd.GetCapabilities"}}'},
    {"what": "one that hangs up", "status": ADMINISTRATOR, "says": "^the service hung up without an answer$", "text": ""},
])
def other(what, status, says, text):
    del what
    with answering(text) as path:
        check_fault("service", says, "", status, program=BUILT, KTLSD_SOCKET=path)


if __name__ == "__main__":
    main(globals())
