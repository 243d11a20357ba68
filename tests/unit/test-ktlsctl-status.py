#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# tests: client/ctl-status.c
"""ktlsctl status against a scripted service. TAP on stdout; run from the top of the tree, with O= the
build directory. What of it comes from the kernel is test-ctl-status.c's."""

import json
import os
import pty
import signal
import subprocess

from scripted import KTLSCTL, PATIENCE, STATUS, Service, expect, failure, main, reply, run, same, shows

tests = []


def test(function):
    tests.append(function)
    return function


def healthy(method, parameters):
    same((method, parameters), ("GetStatus", {}))
    return reply(STATUS)


def watching(service, *arguments, **more):
    return subprocess.Popen([KTLSCTL, "--socket", service.path, "status", "--watch", "0.1", *arguments],
                            stdin=subprocess.DEVNULL, **more)


def check_end(process, status):
    same(process.wait(PATIENCE), status)


@test
def the_text_has_it_all(directory):
    with Service(directory, healthy) as service:
        result = run("--socket", service.path, "status")
    expect(result, 0)
    shows(result.stdout, "Service", "version: 0.1.0", "since: 2026-11-20T12:00:00Z",
          "configuration of: 2026-11-21T12:00:00Z", "process: 4711", "reloads: 2", "workers lost: 1",
          "requests under way: 3", "calls refused: 4", "records suppressed: 5",
          "Workers", "PROCESS SINCE UNDER WAY", "4712 2026-11-21T12:00:00Z 2", "4713 2026-11-21T12:00:01Z 1",
          "Requests", "METHOD COUNT OUTCOME STAGE", "Connect 1000 ok -", "Connect 7 ConnectFailed connect",
          "Probe 1 lost -", "Times", "STAGE COUNT P50 P90 P99", "resolve 10 0.128 ms 1000.000 ms 99000.000 ms",
          "Sessions", "TLSv1.2 1000 ECDHE-RSA-AES256-GCM-SHA384",
          "Limits", "QUOTA USED LIMIT OF YOURS LIMIT", "requests 3 256 1 64", "memoryKiB 100 65536 10 16384",
          "Configuration", "[Service] Workers 2", "[Limits] Requests 256",
          "Known faults of kernel TLS", "FAULT STATE FOUND BY WHAT")
    same("\x1b" in result.stdout, False)


@test
def the_document_is_what_the_service_said(directory):
    with Service(directory, healthy) as service:
        result = run("--socket", service.path, "status", "--json")
    expect(result, 0)
    document = json.loads(result.stdout)
    same(document["service"], STATUS)
    same((list(document), list(document["kernel"])), (["service", "kernel"], ["counters", "faults"]))
    same(len(document["kernel"]["faults"]) > 5, True)
    same(len(service.calls), 1)


@test
def a_list_without_rows_has_no_heading(directory):
    empty = {name: [] if isinstance(value, list) else value for name, value in STATUS.items()}
    with Service(directory, lambda *_: reply(empty)) as service:
        result = run("--socket", service.path, "status")
    expect(result, 0)
    shows(result.stdout, "Service", "Known faults of kernel TLS")
    same("Workers" in result.stdout or "Requests" in result.stdout, False)


@test
def without_the_service_the_kernels_part_is_shown(directory):
    line = r"ktlsctl: service: cannot reach .* \(ServiceUnreachable\)\n"
    result = run("--socket", directory + "/none", "status")
    expect(result, 2, line)
    shows(result.stdout, "Known faults of kernel TLS")
    same("Service" in result.stdout, False)
    result = run("--socket", directory + "/none", "status", "--json")
    expect(result, 2, line)
    document = json.loads(result.stdout)
    same((sorted(document), document["error"]["name"]), (["error", "kernel"], "ServiceUnreachable"))
    same(len(document["kernel"]["faults"]) > 5, True)


@test
def watching_shows_it_anew_until_the_interrupt(directory):
    with Service(directory, healthy) as service:
        with watching(service, "--json", stdout=subprocess.PIPE, text=True) as process:
            service.wait_calls(3)
            process.send_signal(signal.SIGINT)
            text = process.stdout.read()
            check_end(process, -signal.SIGINT)
    decoder = json.JSONDecoder()
    for _ in range(2):  # a third one may have been cut off
        document, end = decoder.raw_decode(text)
        same(document["service"], STATUS)
        text = text[end:].lstrip()


@test
def watching_ends_when_nobody_reads(directory):
    with Service(directory, healthy) as service:
        with watching(service, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            process.stdout.close()
            check_end(process, -signal.SIGPIPE)


@test
def watching_ends_when_nothing_can_be_written(directory):
    with Service(directory, healthy) as service, open("/dev/full", "w", encoding="utf-8") as full:
        with watching(service, stdout=full, stderr=subprocess.PIPE, text=True) as process:
            same(process.stderr.read(), "ktlsctl: stdout: No space left on device\n")
            check_end(process, 1)


@test
def watching_goes_on_without_the_service(directory):
    replies = [reply(STATUS), failure("Busy", "policy", "full", retry=True), reply(STATUS)]
    with Service(directory, lambda *_: replies.pop(0) if replies else reply(STATUS)) as service:
        with watching(service, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            service.wait_calls(4)
            process.terminate()
            same(process.stderr.read(), "ktlsctl: policy: full (Busy)\n")


def screen(service, term):
    """What a terminal gets of it, after three rounds."""
    ours, theirs = pty.openpty()
    with watching(service, stdout=theirs, env={"TERM": term}) as process:
        os.close(theirs)
        text = b""
        while text.count(b"Known faults") < 3:
            text += os.read(ours, 65536)
        process.terminate()
    os.close(ours)
    return text


@test
def a_terminal_is_cleared_before_each(directory):
    with Service(directory, healthy) as service:
        same(screen(service, "xterm").count(b"\x1b[H\x1b[2J") >= 3, True)
        same(screen(service, "dumb").count(b"\x1b"), 0)


@test
def usage(directory):
    for value in ("0", "0.05", "3601", "x", "1x", "nan", "-1", ""):
        expect(run("status", "--watch", value), 1, "ktlsctl: usage: .*0.1 to 3600 seconds.*\n")
    expect(run("status", "now"), 1, "ktlsctl: usage: status: takes no now; .*\n")


main(tests)
