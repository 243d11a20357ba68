# SPDX-License-Identifier: MIT
"""Calls that must be refused: how they are written, and that nothing comes of them.

In a call's text PORT stands for the port of a server that would answer, and WRAP16 and WRAP32 for
numbers that are that port once they have been cut to 16 bits.
"""

import contextlib

from ktlstest import names
from ktlstest.asking import AT_ONCE, ask, check_descriptors, check_good, trusting
from ktlstest.expect import check_error, check_invalid
from ktlstest.peer import Peer
from ktlstest.tap import check_between, check_equal


class Closed:
    """The verdict on what isn't a message at all: the connection is closed without a word."""

    def __repr__(self):
        return "the connection is closed"


CLOSED = Closed()


class Error:
    """The verdict is an error of the service, at a stage."""

    def __init__(self, error, stage):
        self.error, self.stage = error, stage

    def __repr__(self):
        return f"{self.error} at {self.stage}"


class EveryName:
    """For a name server: whatever is asked for is here."""

    @staticmethod
    def get(_name):
        return ["127.0.0.1"]


def call(host='"127.0.0.1"', port="PORT", more="", method='"io.ktlsd.Connect"', around=""):
    """A Connect, of pieces of JSON as they are."""
    return (f'{{"method":{method},"parameters":{{"host":{host},"port":{port}{more}}}{around}}}')


def on_wire(text, port):
    """The bytes of a message without its NUL."""
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogateescape")
    for word, number in ((b"PORT", port), (b"WRAP16", port + (1 << 16)),
                         (b"WRAP32", port + (1 << 32))):
        text = text.replace(word, b"%d" % number)
    return text


def check_verdict(caller, verdict):
    """Whether the connection lives on."""
    if verdict is CLOSED:
        check_between(caller.wait_closed(), 0, AT_ONCE, "seconds until it is closed")
        return False
    with caller.receive() as reply:
        if isinstance(verdict, Error):
            check_error(reply, verdict.error, verdict.stage)
        else:
            check_invalid(reply, verdict)
    return True


@contextlib.contextmanager
def nothing_comes_of_it(daemon):
    """Yields a server that would answer under any name, and a function for good requests of
    somebody else. It is called at the end; then only those must have been seen."""
    asked = []

    def served():
        check_good(ask(daemon, peer, trust=trusting("ca")))
        asked.append(1)
    with names.NameServer(EveryName()) as server, Peer() as peer:
        yield peer, served
        # Whatever was connected before is in front of this one.
        served()
        check_equal(len(peer.connections), len(asked), "connections that the server saw")
        check_equal(server.asked, [], "names that were asked for")


def check_refused(daemon, text, verdict):
    with daemon.caller() as caller, nothing_comes_of_it(daemon) as (peer, _served):
        caller.send(on_wire(text, peer.port) + b"\0")
        if check_verdict(caller, verdict):
            with caller.call("org.varlink.service.GetInfo") as reply:
                check_equal(reply.error, None, "the next call on the same connection")
    check_descriptors(daemon)
