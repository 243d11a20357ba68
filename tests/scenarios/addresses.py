#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""From a name to a connection: resolvers and addresses that refuse, fail or never answer."""

import socket
import time

from ktlstest import names
from ktlstest.asking import (AT_ONCE, PATIENCE, SHORT, ask, check_descriptors, check_good, settle,
                             trusting)
from ktlstest.daemon import Daemon
from ktlstest.expect import check_connected, check_error, check_timed_out
from ktlstest.peer import Blackhole, Peer, Refusing
from ktlstest.tap import check_between, check_equal, check_in, main, test, wait_until

HOSTS = {"server.test": ["127.0.0.1"], "dual.test": ["127.0.0.1", "::1"]}


@test("host {host} is verified as itself", cases=[
    {"host": "127.0.0.1", "family": socket.AF_INET}, {"host": "::1", "family": socket.AF_INET6},
    {"host": "localhost", "family": socket.AF_INET},
    {"host": "server.test", "family": socket.AF_INET}])
def hosts(daemon, host, family):
    with Peer(family=family) as peer:
        reply = daemon.connect(host, peer.port, trust=trusting("ca"), timeoutMs=PATIENCE)
        check_good(reply)
        wanted = None if family == socket.AF_INET6 or host[0].isdigit() else host
        check_equal(peer.connection().hello.server_name, wanted, "SNI")


@test("a port that refuses, over {family.name}", cases=[
    {"family": socket.AF_INET}, {"family": socket.AF_INET6}])
def refusing(daemon, family):
    with Refusing(family) as port:
        check_error(ask(daemon, port), "ConnectFailed", "connect", errno="ECONNREFUSED",
                    text="refused", within=AT_ONCE)


@test("a port that never answers, over {family.name}", cases=[
    {"family": socket.AF_INET}, {"family": socket.AF_INET6}])
def never_answering(daemon, family):
    with Blackhole(family) as port:
        check_timed_out(ask(daemon, port, SHORT), "connect", SHORT)


@test("the other address of a name serves when the {dead} one {how}", cases=[
    {"dead": dead, "how": how} for dead in ("IPv6", "IPv4") for how in ("refuses", "is silent")])
def racing(daemon, dead, how):
    families = [socket.AF_INET6, socket.AF_INET]
    bad, good = families if dead == "IPv6" else families[::-1]
    with Peer(family=good) as peer:
        hole = Blackhole(bad, peer.port) if how == "is silent" else Refusing(bad)
        with hole:
            reply = daemon.connect("dual.test", peer.port, timeoutMs=PATIENCE,
                                   trust=trusting("ca", name="server.test"))
            with check_connected(reply):
                check_between(reply.seconds, 0, AT_ONCE + 0.25, "seconds")


@test("a name that does not exist")
def no_such_name(daemon):
    with names.NameServer() as server:
        reply = daemon.connect("nowhere.invalid", 443, timeoutMs=PATIENCE)
        check_error(reply, "ResolveFailed", "resolve", within=AT_ONCE, text="nowhere.invalid")
        check_in("nowhere.invalid", server.asked, "names asked for")


@test("a name whose server fails")
def failing_name(daemon):
    with names.NameServer(servfail=["broken.test"]):
        reply = daemon.connect("broken.test", 443, timeoutMs=PATIENCE)
        check_error(reply, "ResolveFailed", "resolve")
        check_equal(reply.parameters["retry"], True, f"retry of {reply}")


@test("a name server that never answers holds up no literal address, nor a name in a file")
def silent_name_server(daemon):
    with names.NameServer(silent=["silent.test"]) as server, Peer() as peer, \
            daemon.caller() as caller:
        start = time.monotonic()
        caller.start("io.ktlsd.Connect", {"host": "silent.test", "port": 443, "timeoutMs": SHORT})
        wait_until(lambda: "silent.test" in server.asked, 5, "the question")
        for host in ("127.0.0.1", "server.test"):
            reply = daemon.connect(host, peer.port, trust=trusting("ca"), timeoutMs=PATIENCE)
            check_good(reply)
            check_between(reply.seconds, 0, AT_ONCE, f"seconds for {host}")
        with caller.receive(start) as reply:
            check_timed_out(reply, "resolve", SHORT)


@test("a name out of DNS, both families of it")
def resolved(daemon):
    with names.NameServer({"found.test": ["127.0.0.1", "::1"]}), Peer() as peer:
        reply = daemon.connect("found.test", peer.port, timeoutMs=PATIENCE,
                               trust=trusting("ca", name="server.test"))
        check_good(reply)
        check_equal(peer.connection().hello.server_name, "found.test", "SNI")


@test("ktlsd has as many descriptors as it began with")
def descriptors(daemon):
    check_descriptors(daemon)


def start():
    names.configure(HOSTS)
    return settle(Daemon())


if __name__ == "__main__":
    main(globals(), start)
