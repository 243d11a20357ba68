#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where a caller may not go under the rule that is shipped: however it spells that, nothing is sent there. Beside it a ktlsd whose rule
allows everything: there each spelling that can be reached at all is."""

import contextlib
import json
import os
import re
import select
import socket
import subprocess
import sys

from ktlstest import names
from ktlstest.asking import AT_ONCE, PATIENCE, check_descriptors, check_good, trusting, wait_rested
from ktlstest.daemon import TOP, Daemon
from ktlstest.expect import check_connected, check_error, check_invalid
from ktlstest.peer import Peer
from ktlstest.sniff import SYN, Sniffer
from ktlstest.tap import check_equal, check_in, check_not_equal, check_true, main, test, wait_until

CONNECT = "io.ktlsd.Connect"
ANYTHING = "[Access anything]\nAnyNamespace=yes\nAllowVerifyNone=yes\n"
GOOD = "192.0.2.1"

# Everything here is an address of this machine, so that whatever is sent there can be seen.
ADDRESSES = (GOOD, "169.254.169.254", "2001:db8::1", "::127.0.0.1", "::169.254.169.254",
             "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::127.0.0.1",
             "64:ff9b:1:a9fe:a9:fe00::", "2002:7f00:1::1", "2002:a9fe:a9fe::1",
             "2001:0:c000:201::80ff:fffe", "2001:0:c000:201::5601:5601")

HOSTS = {
    "loop.test": ["127.0.0.1"], "meta.test": ["169.254.169.254"], "six.test": ["::1"],
    "both.test": ["127.0.0.1", "::1"], "zero.test": ["0.0.0.0"], "mapped.test": ["::ffff:127.0.0.1"],
    "nat64.test": ["64:ff9b::169.254.169.254"], "good.test": [GOOD],
}
DNS = {
    "loop.dns.test": ["127.0.0.1"], "far.dns.test": ["127.200.3.4"], "meta.dns.test": ["169.254.169.254"],
    "six.dns.test": ["::1"], "zero.dns.test": ["0.0.0.0"], "none.dns.test": ["::"],
    "mapped.dns.test": ["::ffff:169.254.169.254"], "sixtofour.dns.test": ["2002:7f00:1::1"],
    "127.0.0.1.nip.test": ["127.0.0.1"],
    # with a dot at its end a name is not looked for in /etc/hosts
    "localhost": ["127.0.0.1"], "loop.test": ["127.0.0.1"],
}
ALIASES = {"alias.test": "loop.dns.test", "alias-of-alias.test": "alias.test",
           "alias-of-meta.test": "meta.dns.test"}

# What can be reached, spelled as a host may be; to the control each of them is a connection.
REACHED = (
    "127.0.0.1", "127.1.2.3", "127.255.255.254", "0.0.0.0", "169.254.169.254",
    "::1", "0:0:0:0:0:0:0:1", "0000::0001", "::0.0.0.1", "::", "::ffff:127.0.0.1", "::FFFF:127.0.0.1",
    "::ffff:7f00:1", "0:0:0:0:0:ffff:7f00:0001", "::ffff:127.9.9.9", "::ffff:0.0.0.0",
    "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::127.0.0.1", "::a9fe:a9fe",
    "64:ff9b::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::169.254.169.254", "64:FF9B::A9FE:A9FE",
    "64:ff9b:1::127.0.0.1", "64:ff9b:1:a9fe:a9:fe00::", "2002:7f00:1::1", "2002:a9fe:a9fe::1",
    "2001:0:c000:201::80ff:fffe", "2001:0:c000:201::5601:5601",
    "localhost", "LOCALHOST", "LocalHost", "localhost.", "ip6-localhost", "loop.test", "LOOP.test",
    "loop.test.", "meta.test", "six.test", "both.test", "zero.test", "mapped.test", "nat64.test",
    "loop.dns.test", "LOOP.DNS.TEST.", "far.dns.test", "meta.dns.test", "six.dns.test",
    "zero.dns.test", "none.dns.test", "mapped.dns.test", "sixtofour.dns.test", "127.0.0.1.nip.test",
    "alias.test", "alias-of-alias.test", "alias-of-meta.test",
)

# What leads nowhere here, though it may elsewhere.
UNREACHED = ("0.0.0.1", "169.254.1.1", "224.0.0.1", "239.255.255.255", "255.255.255.255", "fe80::1",
             "ff02::1", "::ffff:224.0.0.1", "64:ff9b::224.0.0.1", "2002:e000:1::1")

# What a C library would take for an address, and what else is no host: to nobody.
MALFORMED = (
    "127.1", "127.0.1", "2130706433", "0x7f000001", "0X7F000001", "0x7f.0.0.1", "0x7f.1", "127.0x1",
    "0177.0.0.1", "017700000001", "127.000.000.001", "127.0.0.01", "127.0.0.1.", "0", "0x0", "00",
    "2852039166", "0xa9fea9fe", "169.16689662", "0251.0376.0251.0376", "169.254.43518",
    "169.254.169.254.", " 127.0.0.1", "127.0.0.1 ", "127.0.0.1%lo", "[::1]", "::1%lo", "fe80::1%1",
    "::ffff:127.1", "::ffff:0x7f000001", "::1.", "local host", "localhost..", ".localhost",
    "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021",
)


class Trap:
    """Listens at every address of a port, and lets nobody in."""

    def __init__(self):
        self.listeners = [socket.create_server(("0.0.0.0", 0), backlog=16)]
        self.port = self.listeners[0].getsockname()[1]
        self.listeners.append(socket.create_server(("::", self.port), family=socket.AF_INET6, backlog=16))

    def hang_up(self, ready):
        """On those who have come."""
        for listener in set(ready) & set(self.listeners):
            listener.accept()[0].close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for listener in self.listeners:
            listener.close()


def syns(sniffer, port):
    """The addresses at which somebody has knocked."""
    sniffer.stop()
    return {flow.destination for flow, stream in sniffer.streams.items() if flow.destination_port == port
            and any(flags & SYN for _start, flags, _length in stream.segments)}


def try_host(ktlsd, host, **parameters):
    """The reply to one request, and where it knocked."""
    with Trap() as trap, Sniffer(trap.port) as sniffer, ktlsd.caller() as caller:
        caller.start(CONNECT, {"host": host, "port": trap.port, "timeoutMs": PATIENCE, **parameters})
        while True:
            ready, _, _ = select.select([caller.sock, *trap.listeners], [], [], 20)
            trap.hang_up(ready)
            if not ready or caller.sock in ready:
                break
        with caller.receive() as reply:
            return reply, syns(sniffer, trap.port)


@contextlib.contextmanager
def name_server():
    with names.NameServer(DNS, aliases=ALIASES) as server:
        yield server


def check_forbidden(ktlsd, host, **parameters):
    reply, knocked = try_host(ktlsd, host, **parameters)
    check_equal(knocked, set(), f"addresses that were sent a SYN, with {reply}")
    check_error(reply, "NotAuthorized", "policy", within=AT_ONCE, text='rule "ktls" does not allow')
    check_equal(reply.parameters["retry"], False, f"retry of {reply}")


@test("{host!r} is forbidden, and nothing goes there", cases=[{"host": host} for host in REACHED])
def forbidden(both, host):
    with name_server():
        check_forbidden(both.shipped, host)


@test("{host!r} can be reached where it is allowed", cases=[{"host": host} for host in REACHED])
def control(both, host):
    with name_server():
        reply, knocked = try_host(both.anything, host)
    check_not_equal(knocked, set(), f"addresses that were sent a SYN, with {reply}")
    check_error(reply, "HandshakeFailed", "handshake")


@test("{host!r} is forbidden, though it would lead nowhere", cases=[{"host": host} for host in UNREACHED])
def nowhere(both, host):
    check_forbidden(both.shipped, host)
    reply, _knocked = try_host(both.anything, host, timeoutMs=500)
    check_in(reply.error, ("io.ktlsd.ConnectFailed", "io.ktlsd.TimedOut"), "what the control says")


@test("{host!r} is no host", cases=[{"host": host} for host in MALFORMED])
def malformed(both, host):
    for ktlsd in (both.shipped, both.anything):
        reply, knocked = try_host(ktlsd, host)
        check_equal(knocked, set(), f"addresses that were sent a SYN, with {reply}")
        check_invalid(reply, "host")


class Changing:
    """Addresses that are others with each look-up: the good one first, then the bad one, and so on."""

    def __init__(self, bad):
        self.bad, self.turns = bad, 0

    def __call__(self, kind):
        if kind != names.TYPE_A:
            return []
        self.turns += 1
        return [GOOD if self.turns % 2 else self.bad]


@test("a name whose address changes between look-ups to {bad}", cases=[
    {"bad": "127.0.0.1"}, {"bad": "169.254.169.254"}])
def rebinding(both, bad):
    with names.NameServer({"changing.test": Changing(bad)}):
        for _ in range(4):
            reply, knocked = try_host(both.shipped, "changing.test")
            check_equal(knocked, {GOOD}, "addresses that were sent a SYN")
            check_error(reply, "HandshakeFailed", "handshake")
            check_forbidden(both.shipped, "changing.test")
    with names.NameServer({"changing.test": Changing(bad)}):
        knocked = [try_host(both.anything, "changing.test")[1] for _ in range(2)]
    check_equal(knocked, [{GOOD}, {bad}], "addresses that the control has sent a SYN")


@test("of the addresses {addresses} of one name only the good one is tried", cases=[
    {"addresses": addresses} for addresses in (
        ["127.0.0.1", GOOD], [GOOD, "127.0.0.1"], ["::1", GOOD], ["169.254.169.254", "::", GOOD])])
def mixed(both, addresses):
    with names.NameServer({"mixed.test": addresses}):
        reply, knocked = try_host(both.shipped, "mixed.test")
    check_equal(knocked, {GOOD}, f"addresses that were sent a SYN, with {reply}")
    check_error(reply, "HandshakeFailed", "handshake")


@test("a name that no rule has is not even looked up")
def not_looked_up(_both):
    with Daemon("[Access a]\nHosts=*.good.test\n") as ktlsd, \
            names.NameServer({"www.good.test": [GOOD], "www.bad.test": [GOOD]}) as server:
        for host in ("www.bad.test", "good.test", "www.good.test.bad.test", "xgood.test"):
            reply, knocked = try_host(ktlsd, host)
            check_error(reply, "NotAuthorized", "policy", text="Hosts=", within=AT_ONCE)
            check_equal(knocked, set(), "addresses that were sent a SYN")
        check_equal(server.asked, [], "names that were asked for")
        check_equal(try_host(ktlsd, "WWW.good.test.")[1], {GOOD}, "addresses that were sent a SYN")


@test("under the shipped configuration policy {policy} is {cipher} on {group}", cases=[
    {"policy": "default", "cipher": "ECDHE-RSA-AES128-GCM-SHA256", "group": "x25519"},
    {"policy": "strict", "cipher": "ECDHE-RSA-AES256-GCM-SHA384", "group": "x25519"},
    {"policy": "xenserver", "cipher": "ECDHE-RSA-AES128-GCM-SHA256", "group": "secp384r1"}])
def policies(both, policy, cipher, group):
    ciphers = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"
    with Peer(host=GOOD, ciphers=ciphers) as peer:
        peer.context.options |= 0x400000  # SSL_OP_CIPHER_SERVER_PREFERENCE
        reply = both.shipped.connect(GOOD, peer.port, timeoutMs=PATIENCE, policy={"name": policy},
                                     trust=trusting("ca", name="server.test"))
        with check_connected(reply, cipher=cipher) as _sock:
            check_equal(reply.parameters["session"]["group"].lower(), group, "the group")


@test("what is allowed works: by address, by name, with verification only")
def allowed(both):
    with Peer(host=GOOD) as peer:
        for host in (GOOD, f"::ffff:{GOOD}", "good.test"):
            check_good(both.shipped.connect(host, peer.port, timeoutMs=PATIENCE,
                                            trust=trusting("ca", name="server.test")))
        n_connections = len(peer.connections)
        reply = both.shipped.connect(GOOD, peer.port, trust={"verify": "none"})
        check_error(reply, "NotAuthorized", "policy", text="AllowVerifyNone")
        check_equal(len(peer.connections), n_connections, "connections that the peer saw")
        check_good(both.anything.connect(GOOD, peer.port, trust={"verify": "none"}), "none")


ASK = """
import json, os, sys
from ktlstest import wire
uid = int(sys.argv[4])
os.setgroups(json.loads(sys.argv[5])); os.setgid(uid); os.setuid(uid)
reply = wire.connect(sys.argv[1], sys.argv[2], int(sys.argv[3]))
print(json.dumps([reply.error, reply.parameters]))
"""


def ask_as(ktlsd, peer, uid=0, groups=(), prefix=()):
    """Error and parameters of a request by somebody else, or from elsewhere."""
    run = subprocess.run([*prefix, sys.executable, "-c", ASK, ktlsd.socket_path, GOOD, str(peer.port), str(uid),
                          json.dumps(list(groups))], env={**os.environ, "PYTHONPATH": os.path.join(TOP, "tests/lib")},
                         capture_output=True, text=True, check=False)
    check_equal(run.returncode, 0, f"exit status of the caller: {run.stderr}")
    return json.loads(run.stdout)


@test("a caller in another network namespace is refused, unless a rule says otherwise")
def elsewhere(both):
    with Peer(host=GOOD) as peer, Daemon() as without_rules:
        for ktlsd in (both.shipped, without_rules):
            error, parameters = ask_as(ktlsd, peer, prefix=("unshare", "--net"))
            check_equal(error, "io.ktlsd.NotAuthorized", "the error")
            check_in("AnyNamespace", parameters["message"], "the message")
            check_equal(ask_as(ktlsd, peer)[0], "io.ktlsd.CertificateRejected", "the same from here")
        check_equal(ask_as(both.anything, peer, prefix=("unshare", "--net"))[0], "io.ktlsd.CertificateRejected",
                    "where a rule allows it")


@test("a caller is who it is, by uid and all of its groups")
def who(_both):
    config = "[Access first]\nUsers=1234\n[Access second]\nGroups=4711\nPorts=1\n[Access third]\nGroups=4711\n"
    with Peer(host=GOOD) as peer, Daemon(config) as ktlsd:
        os.chmod(ktlsd.socket_path, 0o666)
        for uid, groups, error in ((1234, [], "CertificateRejected"), (1235, [], "NotAuthorized"),
                                   (1235, [5, 4711], "CertificateRejected"), (1235, [5, 4712], "NotAuthorized"),
                                   (4711, [], "CertificateRejected"), (0, [], "NotAuthorized")):
            found, parameters = ask_as(ktlsd, peer, uid, groups)
            check_equal(found, f"io.ktlsd.{error}", f"the error of {uid} in {groups}")
            if error == "NotAuthorized":
                check_true("first" not in parameters["message"], "nothing is told of rules for others")


@test("both have as many descriptors as they began with")
def descriptors(both):
    for ktlsd in (both.shipped, both.anything):
        check_descriptors(ktlsd)


class Both:
    """ktlsd with the shipped configuration, root standing in for the group, and the control."""

    def __init__(self):
        with open(os.path.join(TOP, "conf/ktlsd.conf"), encoding="utf-8") as file:
            text, replaced = re.subn("^Groups=ktls$", "Groups=root", file.read(), flags=re.M)
        check_equal(replaced, 1, "lines with the group")
        self.shipped = settle_at_good(Daemon(text))
        try:
            self.anything = settle_at_good(Daemon(ANYTHING))
        except BaseException:
            self.shipped.abandon()
            raise

    def diagnosis(self):
        return self.shipped.diagnosis() + self.anything.diagnosis()

    def close(self):
        with contextlib.ExitStack() as stack:
            stack.callback(self.anything.close)
            stack.callback(self.shipped.close)


def settle_at_good(ktlsd):
    """As asking.settle(), where this one may go."""
    try:
        with Peer(host=GOOD) as peer:
            check_good(ktlsd.connect(GOOD, peer.port, timeoutMs=PATIENCE, trust=trusting("ca", name="server.test")))
        wait_rested(ktlsd)
        wait_until(lambda: ktlsd.callers() == 0, 5, "the end of the connection")
    except BaseException:
        ktlsd.abandon()
        raise
    ktlsd.fds_at_rest = ktlsd.fd_count()
    return ktlsd


def start():
    names.configure(HOSTS)
    for address in ADDRESSES:
        bits = 128 if ":" in address else 32
        subprocess.run(["ip", "address", "add", f"{address}/{bits}", "dev", "lo", *(["nodad"] if bits == 128 else [])],
                       check=True)
    return Both()


if __name__ == "__main__":
    main(globals(), start)
