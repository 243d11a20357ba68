#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# tests: client/ctl-probe.c client/ctl-suites.c
"""ktlsctl probe against a scripted service: what it asks, shows and ends with. TAP on stdout; run from
the top of the tree, with O= the build directory."""

import json

from scripted import (LEAF, PROBED, SESSION, TRACE, Server, Service, expect, failure, main, reply, run, same, shows)

A, B, C, D = "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256", "AES256-SHA", "AES128-SHA"
ALL = [A, B, C, D]
FIRST = 3  # the first probe, and one for each way of io

tests = []


def test(function):
    tests.append(function)
    return function


def document(service, *arguments, status=0, stderr=""):
    result = run("--socket", service.path, "probe", "example.org:443", "--json", *arguments)
    expect(result, status, stderr)
    return json.loads(result.stdout)


def servers(shown):
    """What is said of the server, suite by suite."""
    return {row["cipher"]: row["server"] for row in shown["ciphers"]}


@test
def each_handshake_narrows_until_the_server_refuses(directory):
    with Server(directory, ALL, [C, A], offloadable=[A, B]) as service:
        shown = document(service)
    same(service.lists(), [None, None, None, f"{A}:{B}:{D}", f"{B}:{D}"])
    same(shown["ciphers"], [
        {"cipher": A, "server": True, "kernel": True}, {"cipher": B, "server": False, "kernel": True},
        {"cipher": C, "server": True, "kernel": False}, {"cipher": D, "server": False, "kernel": False}])
    same(shown["scanError"], None)


@test
def a_server_that_takes_all_is_asked_once_for_each(directory):
    with Server(directory, ALL, ALL) as service:
        same(servers(document(service)), {name: True for name in ALL})
    same(len(service.calls), FIRST + len(ALL) - 1)


@test
def a_list_too_long_for_a_request_is_asked_in_parts(directory):
    offered = ["A" * 41] + [f"SUITE-NUMBER-{i:03}-OF-FORTY-CHARACTERS-INA" for i in range(1, 64)]
    same(len(":".join(offered[:25])), 1025)
    taken = [offered[63], offered[0], offered[31]]
    with Server(directory, offered, taken) as service:
        shown = document(service)
    same(servers(shown), {name: name in taken for name in offered})
    lists = service.lists()[FIRST:]
    same(max(map(len, lists)) <= 1024, True)
    same(len(lists), 3 + 2)  # parts that were refused, and the two others that were taken
    same(shown["scanError"], None)


@test
def a_server_that_always_takes_the_same_ends_it(directory):
    def stubborn(number, names):
        return reply({**PROBED, "session": {**SESSION, "cipher": A}, "offered": ALL})

    with Server(directory, ALL, [], more=stubborn) as service:
        same(servers(document(service)), {A: True, B: None, C: None, D: None})
    same(len(service.calls), FIRST + 1)


@test
def what_fails_in_the_middle_leaves_the_rest_unknown(directory):
    def tired(number, names):
        return failure("ConnectFailed", "connect", "Connection refused") if number == FIRST + 1 else None

    with Server(directory, ALL, [A, B], more=tired) as service:
        shown = document(service)
    same(servers(shown), {A: True, B: True, C: None, D: None})
    same((shown["scanError"]["name"], shown["scanError"]["who"]), ("ConnectFailed", "peer"))
    with Server(directory, ALL, [A, B], more=tired) as service:
        result = run("--socket", service.path, "probe", "example.org:443")
    expect(result, 0)
    shows(result.stdout, "CIPHER KERNEL SERVER", f"{A} no yes", f"{C} no -",
          "not all of them could be tried: Connection refused")


@test
def each_way_of_io_is_asked_for(directory):
    with Server(directory, ALL, [A], offloadable=[A]) as service:
        shown = document(service, "--io", "aware")
    same([call["parameters"].get("io") for call in service.calls], ["aware", None, "aware", "aware"])
    same((shown["takesOver"], shown["io"]), (True, {"plain": False, "aware": True}))

    def plain_fails(number, names):
        return failure("NotOffloadable", "policy", "nothing is left") if number == 1 else None

    with Server(directory, ALL, [A], offloadable=[A], more=plain_fails) as service:
        same(document(service)["io"], {"plain": None, "aware": True})


@test
def what_is_no_suite_is_not_asked_for(directory):
    offered = [A, "a:b", "", 7, None, "x y", B]
    with Server(directory, offered, [A]) as service:
        shown = document(service)
    same([row["server"] for row in shown["ciphers"]], [True, None, None, None, None, None, False])
    same((service.lists()[FIRST:], shown["scanError"]), ([B], None))


@test
def what_is_no_hash_is_no_pin(directory):
    for odd in ("$(reboot)", "ab" * 31, "ab" * 33, "AB" * 32, None, 7):
        peer = {**SESSION["peer"], "certSha256": odd}
        with Service(directory, lambda *_, peer=peer: reply({**PROBED, "session": {**SESSION, "peer": peer}})) as service:
            same(document(service, "--quick")["pins"], ["spki-sha256:" + "cd" * 32])


@test
def quick_is_one_handshake(directory):
    with Server(directory, ALL, [A], offloadable=[B]) as service:
        shown = document(service, "--quick")
    same(len(service.calls), 1)
    same((servers(shown), shown["io"], shown["scanError"]), ({name: None for name in ALL}, None, None))
    same([row["kernel"] for row in shown["ciphers"]], [False, True, False, False])


@test
def the_document_is_what_the_service_said(directory):
    with Server(directory, [A], [A]) as service:
        shown = document(service)
    same(shown["session"], SESSION)
    same(shown["trace"], TRACE)
    same(shown["pins"], ["cert-sha256:" + "ab" * 32, "spki-sha256:" + "cd" * 32])
    same(list(shown), ["session", "trace", "pins", "takesOver", "io", "ciphers", "scanError"])


@test
def options_of_a_request_reach_the_service_each_time(directory):
    with Server(directory, ALL, [A, B]) as service:
        document(service, "--server-name", "sni.example.org", "--ciphers", f"{A}:{B}", "--name", "b.example.org")
    for call in service.calls:
        same(call["method"], "io.ktlsd.Probe")
        same(call["parameters"]["serverName"], "sni.example.org")
        same(call["parameters"]["trust"]["name"], "b.example.org")
    same(service.lists(), [f"{A}:{B}"] * FIRST + [B])


@test
def the_text_has_it_all(directory):
    with Server(directory, [A, C], [A], offloadable=[A]) as service:
        result = run("--socket", service.path, "probe", "example.org:443")
    expect(result, 0)
    shows(result.stdout, "Addresses", "ADDRESS BEGUN TOOK STATE",
          "[2001:db8::1]:443 0.000 ms 0.012 ms failed: ENETUNREACH",
          "192.0.2.1:443 250.012 ms 2.345 ms connected", "Times", "handshake: 34.567 ms", "Certificate 0",
          "subject: CN=example.org", "names: example.org 192.0.2.1", "verdict: nothing wrong", "Certificate 1",
          "subject: CN=Example CA", "Session", "version: TLSv1.2", "alpn: -", "Pins",
          "--pin cert-sha256:" + "ab" * 32, "--pin spki-sha256:" + "cd" * 32, "CIPHER KERNEL SERVER",
          f"{A} yes yes", f"{C} no no", "Could go to the kernel: no", "with io plain: no", "with io aware: yes")
    same("\x1b" in result.stdout, False)


@test
def a_stage_that_was_not_completed_has_no_time(directory):
    times = {**TRACE["timings"], "handshake": 0}
    answer = failure("HandshakeFailed", "handshake", "no", trace={**TRACE, "timings": times})
    with Service(directory, lambda *_: answer) as service:
        result = run("--socket", service.path, "probe", "example.org:443")
    shows(result.stdout, "Times", "handshake: -")


@test
def a_failure_has_its_line_its_status_and_its_trace(directory):
    bad = {**TRACE, "chain": [{**LEAF, "problem": "X509_V_ERR_CERT_HAS_EXPIRED"}]}
    rows = (
        (failure("CertificateRejected", "handshake", "certificate has expired",
                 x509="X509_V_ERR_CERT_HAS_EXPIRED", trace=bad), 3),
        (failure("ConnectFailed", "connect", "Connection refused", errno="ECONNREFUSED", trace=TRACE), 3),
        (failure("NotAuthorized", "policy", "no rule allows it"), 2),
        (failure("Busy", "policy", "256 requests are under way", retry=True), 4),
        (failure("InternalError", "connect", "no memory"), 5))
    for answer, status in rows:
        name, told = answer["error"].rsplit(".", 1)[1], answer["parameters"]
        with Service(directory, lambda *_, answer=answer: answer) as service:
            shown = document(service, status=status, stderr=rf"ktlsctl: {told['stage']}: {told['message']}"
                             rf"(; (?!ktlsctl probe)[^;]*)? \({name}\)\n")
            result = run("--socket", service.path, "probe", "example.org:443")
        same(len(service.calls), 2)
        same((shown["error"]["name"], shown["error"]["stage"], shown["error"]["x509"]),
             (name, told["stage"], told["x509"]))
        same(shown.get("trace"), told.get("trace"))
        same(sorted(shown), ["error", "trace"] if "trace" in told else ["error"])
        same(result.returncode, status)
        same("Addresses" in result.stdout, "trace" in told)
        same("verdict: X509_V_ERR_CERT_HAS_EXPIRED" in " ".join(result.stdout.split()), status == 3 and
             "expired" in told["message"])


@test
def a_service_that_is_not_there_or_hangs_up(directory):
    result = run("--socket", directory + "/none", "probe", "example.org:443", "--json")
    expect(result, 2, r"ktlsctl: service: cannot reach .* \(ServiceUnreachable\)\n")
    same(json.loads(result.stdout)["error"]["name"], "ServiceUnreachable")
    with Service(directory, lambda *_: None) as service:
        same(document(service, status=4, stderr=r"ktlsctl: service: .* \(ServiceLost\)\n")["error"]["who"], "retry")


@test
def usage(directory):
    expect(run("probe"), 1, "ktlsctl: usage: probe takes HOST:PORT; .*\n")
    expect(run("probe", "a:1", "b:1"), 1, "ktlsctl: usage: .*one HOST:PORT.*\n")
    expect(run("probe", "a"), 1, "ktlsctl: usage: .*HOST:PORT.*\n")


main(tests)
