# SPDX-License-Identifier: MIT
"""What every reply of ktlsd has to be like, whatever the scenario."""

import fcntl
import os
import re

from ktlstest import door, ktls
from ktlstest.tap import check_between, check_equal, check_in, check_true, fail

STAGES = ("policy", "resolve", "connect", "handshake", "install")
RETRY_LATER = ("io.ktlsd.TimedOut", "io.ktlsd.Busy")
# A loaded machine answers late, though never early.
SLACK = 0.75 * float(os.environ.get("KTLSTEST_SLOWNESS", "1"))

SESSION = {
    "version": str, "cipher": str, "kernelCipher": str, "group": (str, type(None)),
    "alpn": (str, type(None)), "address": str, "verifiedBy": str, "peer": dict, "resumed": bool,
    "timings": dict,
}
PEER = {"subject": str, "certSha256": str, "spkiSha256": str, "notAfter": str}
CERTIFICATE = {
    "subject": str, "issuer": str, "names": list, "notBefore": str, "notAfter": str, "key": str,
    "signature": str, "certSha256": str, "spkiSha256": str, "problem": (str, type(None)),
}
ATTEMPT = {"address": str, "state": str, "errno": (str, type(None)), "begun": int, "took": int}
TIMINGS = ("resolve", "connect", "handshake", "install", "total")


def check_error(reply, error, stage=None, *, errno=None, text=None, within=None, **more):
    """An error of the table as it has to be: no descriptor, stage, cause and text.

    text is a regular expression for the message; more are further parameters (alert, x509), also
    regular expressions. Stage and errno may be several, one of which it must be.
    """
    parameters = reply.parameters
    check_equal(reply.fds, [], f"descriptors with {reply}")
    check_equal(reply.error, f"io.ktlsd.{error}", f"the error of {reply}")
    check_in(parameters.get("stage"), STAGES, f"stage of {reply}")
    check_true(bool(parameters.get("message")), f"a message in {reply}")
    check_true(isinstance(parameters.get("retry"), bool), f"retry in {reply}")
    if reply.error in RETRY_LATER:
        check_true(parameters["retry"], f"retry in {reply}")
    if stage is not None:
        check_in(parameters["stage"], _several(stage), f"stage of {reply}")
    if errno is not None:
        check_in(parameters["errno"], _several(errno), f"errno of {reply}")
    for name, pattern in {"message": text, **more}.items():
        _check_text(reply, name, pattern)
    if within is not None:
        check_between(reply.seconds, 0, within, f"seconds of {reply}")


def check_timed_out(reply, stage, timeout_ms):
    """TimedOut, not before its time and not long after it."""
    check_error(reply, "TimedOut", stage)
    check_between(reply.seconds, timeout_ms / 1000 - 0.02, timeout_ms / 1000 + SLACK,
                  f"seconds of {reply}")


def check_invalid(reply, parameter):
    check_equal(reply.fds, [], f"descriptors with {reply}")
    check_equal(reply.error, "org.varlink.service.InvalidParameter", f"the error of {reply}")
    check_equal(reply.parameters.get("parameter"), parameter, f"the parameter of {reply}")


def check_connected(reply, **facts):
    """The socket of a success, once the kernel has confirmed what the session says of it."""
    if reply.error:
        fail(f"no socket: {reply}")
    session = reply.parameters["session"]
    _check_shape(session)
    for name, value in facts.items():
        check_equal(session[name], value, f"{name} of the session")
    sock = reply.take_socket()
    try:
        _check_kernel(sock, session)
    except BaseException:
        sock.close()
        raise
    return sock


def check_probed(reply, *, session_is_whole=True, **facts):
    """The success of a Probe, which hands nothing over; what it says of the session, and of the rest."""
    if reply.error:
        fail(f"no success: {reply}")
    check_equal(reply.fds, [], f"descriptors with {reply}")
    check_equal(sorted(reply.parameters), ["offered", "offloadable", "session", "takesOver", "trace"], f"members of {reply}")
    session = reply.parameters["session"]
    _check_shape(session, {**SESSION, "kernelCipher": (str, type(None))})
    check_equal(session["timings"]["install"], 0, "microseconds of install")
    if session_is_whole:
        _check_traced(reply.parameters["trace"], session)
    for name, value in facts.items():
        check_equal(session.get(name, reply.parameters.get(name)), value, f"{name} of the probe")
    return session


def check_trace(reply, attempts=None, problems=None, stages=()):
    """What a probe says of its way, beside an error or a session.

    attempts: of each (address, state, errno). problems: of each certificate, without X509_V_ERR_.
    stages: those that were completed, as far as they have a time.
    """
    trace = reply.parameters["trace"]
    _check_types(trace, {"attempts": list, "chain": list, "timings": dict}, f"trace of {reply}")
    for attempt in trace["attempts"]:
        _check_types(attempt, ATTEMPT, "an attempt")
    for certificate in trace["chain"]:
        _check_types(certificate, CERTIFICATE, "a certificate")
    if attempts is not None:
        check_equal([(one["address"], one["state"], one["errno"]) for one in trace["attempts"]], attempts,
                    f"attempts of {reply}")
    if problems is not None:
        check_equal([one["problem"] for one in trace["chain"]],
                    [problem and f"X509_V_ERR_{problem}" for problem in problems], f"problems of {reply}")
    _check_types(trace["timings"], dict.fromkeys(TIMINGS, int), "trace.timings")
    # Of an address that needs no resolving it may be less than a microsecond.
    for stage in ("connect", "handshake", "install"):
        check_equal(trace["timings"][stage] > 0, stage in stages, f"whether {stage} has a time in {reply}")
    check_between(trace["timings"]["total"], 1, reply.seconds * 1e6, "microseconds of all of it")
    return trace


def _check_traced(trace, session):
    """Of a success, the trace says the same as the session."""
    check_equal(trace["timings"], session["timings"], "timings of trace and session")
    check_equal(trace["attempts"][-1]["address"], session["address"], "the address of the last attempt")
    check_equal({one["problem"] for one in trace["chain"]}, {None}, "problems of a good chain")
    for name, value in session["peer"].items():
        check_equal(trace["chain"][0][name], value, f"{name} in trace and session")


def _several(value):
    return value if isinstance(value, (tuple, list)) else (value,)


def _check_text(reply, name, pattern):
    value = reply.parameters.get(name)
    if pattern is not None and not (isinstance(value, str) and re.search(pattern, value, re.I)):
        fail(f"{name} of {reply}: wanted /{pattern}/")


def _check_types(value, types, what):
    check_equal(sorted(value), sorted(types), f"members of {what}")
    for name, kind in types.items():
        check_true(isinstance(value[name], kind), f"type of {name}, which is {value[name]!r}")


def _check_shape(session, types=SESSION):
    _check_types(session, types, "session")
    _check_types(session["peer"], PEER, "session.peer")
    _check_types(session["timings"], dict.fromkeys(TIMINGS, int), "session.timings")
    for name, value in session["timings"].items():
        check_between(value, 0, 120_000_000, f"microseconds of {name}")


def _check_kernel(sock, session):
    """The kernel encrypts and decrypts, and a plain program can use the socket as it is."""
    flags = fcntl.fcntl(sock.fileno(), fcntl.F_GETFL)
    check_equal(flags & os.O_NONBLOCK, 0, "O_NONBLOCK of a socket that was handed over")
    if door.FAKE_KERNEL:
        return
    check_equal(ktls.ulp(sock), "tls", "the ULP")
    wanted = ktls.Direction(ktls.TLS_1_2, session["kernelCipher"])
    for which, name in ((ktls.TLS_TX, "TLS_TX"), (ktls.TLS_RX, "TLS_RX")):
        check_equal(ktls.direction(sock, which), wanted, name)
    check_equal(session["version"], "TLSv1.2", "the version")
