#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ktlsctl sockets: every column is what the test has made, and what ss(8) of iproute2 says of it."""

import contextlib
import json
import os
import re
import socket
import subprocess

from ktlstest import ktls, pairs, programs
from ktlstest.asking import ask, check_echo, trusting
from ktlstest.daemon import Daemon
from ktlstest.expect import check_connected
from ktlstest.peer import Peer
from ktlstest.tap import check_equal, check_in, check_not_in, check_true, main, test, wait_until
from ktlstest.users import Process

NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
COLUMNS = ["version", "cipher", "transmit", "receive", "zerocopySendfile", "expectNoPad", "maxPayload"]
MEMBERS = ["local", "remote", "state", *COLUMNS, "bytesSent", "bytesAcked", "bytesReceived", "uid", "inode", "processes"]
FAMILIES = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}
MANY = 150
RECORD = {"aes-gcm-128": 29, "aes-gcm-256": 29, "aes-ccm-128": 29, "chacha20-poly1305": 21}  # beyond the data, in TLS 1.2
CONF = {"none": "none", "sw": "software", "hw": "nic"}


def output(*words):
    return subprocess.run(words, check=True, timeout=20, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout


def document(*prefix):
    """What ktlsctl tells, whose shape is always the same."""
    told = json.loads(output(*prefix, programs.ktlsctl(), "sockets", "--json"))
    check_equal(list(told), ["sockets", "privileged", "processesHidden"], "members of the document")
    for sock in told["sockets"]:
        check_equal(list(sock), MEMBERS, "members of a socket")
    privileged = told["privileged"]
    check_equal(privileged["capability"], "CAP_NET_ADMIN", "the capability")
    check_equal(privileged["columns"], COLUMNS if privileged["needed"] else [], "columns")
    return told


def number(text, name):
    found = re.search(rf"\b{name}:(\d+)", text)
    return int(found[1]) if found else 0


def row(line):
    """What ss says of a socket, as ktlsctl would say it; None: it is not under kernel TLS."""
    state, _, _, local, remote, rest = line.split(None, 5)
    tls = re.search(r"tcp-ulp-tls(?: version: (\S+))?(?: cipher: (\S+))?(?: rxconf: (\S+) txconf: (\S+))?", rest)
    if not tls:
        return None
    return {"local": local, "remote": remote, "state": {"ESTAB": "established"}.get(state, state.lower()),
            "version": tls[1] and f"TLSv{tls[1]}", "cipher": tls[2], "transmit": CONF.get(tls[4]), "receive": CONF.get(tls[3]),
            "bytesSent": number(rest, "bytes_sent"), "bytesAcked": number(rest, "bytes_acked"),
            "bytesReceived": number(rest, "bytes_received"), "uid": number(rest, "uid"), "inode": number(rest, "ino"),
            "processes": sorted({(int(pid), name) for name, pid in re.findall(r'\("([^"]*)",pid=(\d+)', rest)})}


def ss(*prefix):
    lines = output(*prefix, "ss", "--no-header", "-tienpO").splitlines()
    return [found for found in map(row, lines) if found]


def comparable(sock):
    """Without what ss of today does not tell."""
    kept = {name: value for name, value in sock.items() if name not in COLUMNS[4:]}
    return {**kept, "processes": sorted((process["pid"], process["command"]) for process in sock["processes"])}


def by_name(sockets):
    """By both addresses: one alone may be that of several."""
    return {(sock["local"], sock["remote"]): sock for sock in sockets}


def check_agreed(*prefix):
    """ktlsctl and ss tell the same; the sockets as ktlsctl tells them."""
    told = document(*prefix)["sockets"]
    got, want = by_name(map(comparable, told)), by_name(ss(*prefix))
    check_equal(len(got), len(told), "sockets that are told of once")
    for name, sock in want.items():
        # Not every ss has a name for each cipher.
        if name in got and sock["version"] and not sock["cipher"]:
            sock["cipher"] = got[name]["cipher"]
    check_equal(got, want, "sockets")
    return by_name(told)


def address(name):
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def name_of(sock):
    return address(sock.getsockname()), address(sock.getpeername())


def of(told, sock):
    """What is told of a socket of ours."""
    found = told[name_of(sock)]
    check_equal(found["inode"], os.fstat(sock.fileno()).st_ino, "inode")
    return found


def check_facts(found, **facts):
    check_equal({name: found[name] for name in facts}, facts, "what is told")


def ourselves():
    with open("/proc/self/comm", encoding="ascii") as file:
        return {"pid": os.getpid(), "command": file.read().rstrip("\n")}


def modules():
    with open("/proc/modules", encoding="ascii") as file:
        return [line.split()[0] for line in file]


@test("without the module there are none, and it is not loaded for having had a look")
def no_module():
    check_not_in("tls", modules(), "modules")
    told = document()
    check_equal(told["sockets"], [], "sockets")
    check_true(told["privileged"]["had"], "root has the capability")
    check_not_in("tls", modules(), "modules")
    subprocess.run(["modprobe", "tls"], check=True)
    check_in("tls", modules(), "modules")


@test("no socket of {what} is told of", cases=[{"what": "TCP without TLS"}, {"what": "the trial's own"}])
def none(what):
    with contextlib.ExitStack() as stack:
        if what == "TCP without TLS":
            for end in pairs.connection():
                stack.enter_context(end)
        check_equal(check_agreed(), {}, "sockets")
        check_equal(document()["sockets"], [], "sockets")


@test("{cipher} over {family}, both directions", cases=[
    {"cipher": cipher, "family": family} for cipher in pairs.CIPHERS for family in FAMILIES])
def each(cipher, family):
    with pairs.pair(cipher, FAMILIES[family]) as (client, server):
        client.sendall(b"x" * 1000)
        check_equal(ktls.recv_exactly(server, 1000), b"x" * 1000, "what came")
        told = check_agreed()
        check_equal(len(told), 2, "sockets")
        sent = 1000 + RECORD[cipher]
        facts = {"state": "established", "version": "TLSv1.2", "cipher": cipher, "transmit": "software",
                 "receive": "software", "zerocopySendfile": False, "expectNoPad": False, "uid": 0,
                 "processes": [ourselves()]}
        # The kernel counts the SYN as a byte that was acknowledged.
        check_facts(of(told, client), bytesSent=sent, bytesAcked=sent + 1, bytesReceived=0, **facts)
        check_facts(of(told, server), bytesSent=0, bytesReceived=sent, **facts)


@test("TLS 1.3, and expectNoPad where it was asked for")
def later_version():
    with pairs.pair("aes-gcm-128", version=pairs.TLS_1_3) as (client, server):
        server.setsockopt(ktls.SOL_TLS, 4, (1).to_bytes(4, "little"))  # TLS_RX_EXPECT_NO_PAD
        told = check_agreed()
        check_facts(of(told, client), version="TLSv1.3", cipher="aes-gcm-128", expectNoPad=False)
        check_facts(of(told, server), version="TLSv1.3", cipher="aes-gcm-128", expectNoPad=True)


@test("no keys yet, and keys in one direction")
def directions():
    with contextlib.ExitStack() as stack:
        client, server = [stack.enter_context(end) for end in pairs.connection()]
        pairs.attach(client)
        told = check_agreed()
        check_equal(len(told), 1, "sockets")
        check_facts(of(told, client), version=None, cipher=None, transmit="none", receive="none")
        pairs.install(client, ktls.TLS_TX, "aes-gcm-256")
        check_facts(of(check_agreed(), client), version="TLSv1.2", cipher="aes-gcm-256", transmit="software", receive="none")
        pairs.attach(server)
        pairs.install(server, ktls.TLS_RX, "aes-gcm-256")
        check_facts(of(check_agreed(), server), version="TLSv1.2", transmit="none", receive="software")


@test("states: one end has ended, and the other has not")
def states():
    with pairs.pair("aes-gcm-128") as (client, server):
        client.shutdown(socket.SHUT_WR)
        for end, state in ((server, "close-wait"), (client, "fin-wait-2")):
            wait_until(lambda: of(by_name(document()["sockets"]), end)["state"] == state, 5, state)
        check_agreed()  # now that nothing moves


def hold(report):
    report("here")
    os.read(os.pipe()[0], 1)


@test("processes: two have it, one has it twice, another user's")
def processes():
    with pairs.pair("aes-gcm-128") as (client, server):
        with client.dup():
            check_facts(of(check_agreed(), client), processes=[ourselves()])
        with Process(hold, uid=NOBODY) as child:
            check_equal(child.read(), "here", "the child")
            for end in (client, server):
                found = of(check_agreed(), end)
                check_equal(sorted(process["pid"] for process in found["processes"]), sorted([os.getpid(), child.pid]),
                            "processes")
                check_equal(found["uid"], 0, "the uid of the socket, who made it")
        check_facts(of(check_agreed(), client), processes=[ourselves()])


@test("a socket under way from one process to another is nobody's")
def under_way():
    ours, theirs = socket.socketpair()
    with ours, theirs, pairs.pair("aes-gcm-128") as (client, _server):
        name = name_of(client)
        socket.send_fds(ours, [b"0"], [client.fileno()])
        with socket.socket(fileno=client.detach()):
            pass
        check_equal(check_agreed()[name]["processes"], [], "processes")


@test("a socket that was closed with data in it has no inode")
def orphan():
    with pairs.pair("aes-gcm-128") as (client, _server):
        name = name_of(client)
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                client.send(bytes(16384))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes(8))
        client.close()
        # The kernel tries to get rid of it: what it counts is not for comparing.
        found = by_name(document()["sockets"])[name]
        check_facts(found, state="fin-wait-1", version=None, cipher=None, transmit=None, receive=None, inode=0,
                    processes=[])


@test("{count} sockets, more than a message holds", cases=[{"count": 2 * MANY}])
def many(count):
    with contextlib.ExitStack() as stack:
        ends = [end for i in range(MANY) for end in stack.enter_context(
            pairs.pair("aes-gcm-128", socket.AF_INET6 if i % 3 else socket.AF_INET))]
        told = check_agreed()
        check_equal(len(told), count, "sockets")
        for end in ends:
            check_facts(of(told, end), cipher="aes-gcm-128", processes=[ourselves()])


@test("a socket of ktlsd's is its user's, and the process is who has it")
def handed_over():
    with Daemon() as daemon, Peer() as peer:
        with check_connected(ask(daemon, peer, trust=trusting("ca"))) as sock:
            check_echo(sock)
            session = ktls.direction(sock, ktls.TLS_TX)
            check_facts(of(check_agreed(), sock), version="TLSv1.2", cipher=session.cipher, transmit="software",
                        receive="software", uid=NOBODY, processes=[ourselves()])


@test("as nobody: {what}", cases=[{"what": "others' sockets"}, {"what": "a socket of its own"}])
def unprivileged(what):
    """A kernel before 6.15 tells root alone, which ss shows too."""
    with pairs.pair("aes-gcm-128") as (client, _server), contextlib.ExitStack() as stack:
        if what == "a socket of its own":
            stack.enter_context(Process(hold, uid=NOBODY)).read()
        root = document()["privileged"]
        seen = check_agreed(*AS_NOBODY)
        told = document(*AS_NOBODY)
        check_equal(told["privileged"], {**root, "had": False}, "privileged, beside root's")
        check_equal(root["needed"], not seen, "needed, when ss as nobody shows none")
        check_true(root["had"], "root has the privilege")
        check_equal(told["processesHidden"], bool(seen), "whether processes are hidden")
        check_equal(name_of(client) in seen, not root["needed"], "whether it is told")


@test("root of a user namespace has a capability that is worth nothing here")
def user_namespace():
    with pairs.pair("aes-gcm-128"):
        root, told = document(), document(*AS_NOBODY, "unshare", "--user", "--map-root-user")
        check_equal(told["privileged"]["needed"], root["privileged"]["needed"], "needed")
        if told["privileged"]["needed"]:
            check_equal((told["privileged"]["had"], told["sockets"]), (False, []), "had and sockets")


@test("another network namespace, whose loopback is down, has sockets of its own")
def network_namespace():
    with pairs.pair("aes-gcm-128"):
        told = document("unshare", "--net")
        check_equal(told["sockets"], [], "sockets")
        check_true(told["privileged"]["had"], "root has the capability")


if __name__ == "__main__":
    main(globals())
