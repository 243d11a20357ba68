#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# tests: client/ctl-metrics.c
"""ktlsctl metrics against a scripted service, read by the parsers of both formats: OpenMetrics, and
Prometheus' older one, which is a textfile directory's. TAP on stdout; run from the top of the tree,
with O= the build directory."""

import copy
import re
import subprocess

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_classic
from scripted import KTLSCTL, SESSION, STATUS, Service, expect, failure, main, reply, run, same

TYPES = ("counter", "gauge", "histogram")  # which both formats have
UNITS = ("bytes", "seconds")

tests = []


def test(function):
    tests.append(function)
    return function


def metrics(directory, status):
    with Service(directory, lambda method, _: reply(status) if method == "GetStatus" else None) as service:
        result = run("--socket", service.path, "metrics")
    expect(result, 0)
    return result.stdout


def samples(text, parse=parse_open):
    """(name, labels): value."""
    found = {}
    for family in parse(text):
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            if key in found:
                raise AssertionError(f"{key} twice")
            found[key] = sample.value
    return found


@test
def every_number_of_the_service_is_there(directory):
    found = samples(metrics(directory, STATUS))
    ours = {key: value for key, value in found.items() if "_kernel_" not in key[0] and "duration" not in key[0]}
    same(ours, {
        ("ktlsd_up",): 1, ("ktlsd_build_info", ("version", "0.1.0")): 1, ("ktlsd_start_time_seconds",): 1795176000,
        ("ktlsd_workers_lost_total",): 1, ("ktlsd_reloads_total",): 2, ("ktlsd_requests_under_way",): 3,
        ("ktlsd_calls_refused_total",): 4, ("ktlsd_records_suppressed_total",): 5,
        ("ktlsd_requests_total", ("method", "Connect"), ("outcome", "ok"), ("stage", "")): 1000,
        ("ktlsd_requests_total", ("method", "Connect"), ("outcome", "ConnectFailed"), ("stage", "connect")): 7,
        ("ktlsd_requests_total", ("method", "Probe"), ("outcome", "lost"), ("stage", "")): 1,
        ("ktlsd_sessions_total", ("cipher", SESSION["cipher"]), ("version", "TLSv1.2")): 1000,
        ("ktlsd_quota_used", ("quota", "requests")): 3, ("ktlsd_quota_limit", ("quota", "requests")): 256,
        ("ktlsd_quota_memory_used_bytes",): 102400, ("ktlsd_quota_memory_limit_bytes",): 67108864})


@test
def both_formats_say_the_same(directory):
    text = metrics(directory, STATUS)
    same(samples(text, parse_classic), samples(text))
    for family in parse_open(text):
        same((family.name, family.type in TYPES), (family.name, True))
        same((family.name, bool(family.documentation)), (family.name, True))
        same(family.unit, next((unit for unit in UNITS if family.name.endswith("_" + unit)), ""))


@test
def histograms_are_whole(directory):
    found = samples(metrics(directory, STATUS))
    for name, labels in (("ktlsd_stage_duration_seconds", (("stage", "resolve"),)),
                         ("ktlsd_request_duration_seconds", ())):
        buckets = {dict(key[1:])["le"]: value for key, value in found.items() if key[0] == name + "_bucket"}
        same(buckets, {"5e-05": 1, "0.000128": 3, "1.0": 9, "100.0": 9, "+Inf": 10})
        same(found[(name + "_count", *labels)], 10)
        same(found[(name + "_sum", *labels)], 12.345678)


@test
def labels_are_escaped(directory):
    odd = 'a\\b"c\nd'
    status = copy.deepcopy(STATUS)
    status["version"] = odd
    status["outcomes"][0]["outcome"] = odd
    status["latencies"][0]["stage"] = odd
    text = metrics(directory, status)
    for parse in (parse_open, parse_classic):
        found = samples(text, parse)
        same(found[("ktlsd_build_info", ("version", odd))], 1)
        same(found[("ktlsd_requests_total", ("method", "Connect"), ("outcome", odd), ("stage", ""))], 1000)
        same(found[("ktlsd_stage_duration_seconds_count", ("stage", odd))], 10)
    status["version"] = "a\x1b[2J\x9b\r\x7f\u017c"
    same(samples(metrics(directory, status))[("ktlsd_build_info", ("version", "a?[2J???\u017c"))], 1)


@test
def nothing_is_below_zero(directory):
    status = {**STATUS, "reloads": -1, "sessions": [{**STATUS["sessions"][0], "count": -2**63}],
              "latencies": [{**STATUS["latencies"][0], "count": -1, "sum": -1, "buckets": [{"upTo": -5, "count": -5}]}]}
    found = samples(metrics(directory, status))
    same([key for key, value in found.items() if value < 0 or value > 2**40], [])
    same((found[("ktlsd_reloads_total",)], found[("ktlsd_stage_duration_seconds_sum", ("stage", "resolve"))]), (0, 0))


@test
def a_service_that_has_not_done_anything(directory):
    empty = {name: [] if isinstance(value, list) else value for name, value in STATUS.items()}
    found = samples(metrics(directory, empty))
    same(found[("ktlsd_up",)], 1)
    same([key for key in found if key[0].startswith(("ktlsd_quota", "ktlsd_requests_total"))], [])


@test
def the_end_is_marked_and_nothing_is_behind_it(directory):
    text = metrics(directory, STATUS)
    same(text.endswith("\n# EOF\n"), True)
    same(text.count("# EOF"), 1)
    same([line for line in text.splitlines() if not line or line != line.strip()], [])


@test
def names_are_as_they_should_be(directory):
    for family in parse_open(metrics(directory, STATUS)):
        same(re.fullmatch(r"ktlsd_[a-z_]+", family.name) is not None, True)
        same(family.name.endswith(("_total", "_count", "_sum", "_bucket", "_ms", "_kib")), False)


@test
def without_the_service(directory):
    result = run("--socket", directory + "/none", "metrics")
    expect(result, 2, r"ktlsctl: service: .* \(ServiceUnreachable\)\n")
    found = samples(result.stdout)
    same(found[("ktlsd_up",)], 0)
    same([key for key in found if not key[0].startswith(("ktlsd_up", "ktlsd_kernel"))], [])
    same(result.stdout.endswith("\n# EOF\n"), True)
    with Service(directory, lambda *_: failure("Busy", "policy", "full", retry=True)) as service:
        result = run("--socket", service.path, "metrics")
    expect(result, 4, r"ktlsctl: policy: full \(Busy\)\n")
    same(samples(result.stdout)[("ktlsd_up",)], 0)


@test
def what_cannot_be_written_is_a_failure(directory):
    with Service(directory, lambda *_: reply(STATUS)) as service, open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run([KTLSCTL, "--socket", service.path, "metrics"], stdout=full, stderr=subprocess.PIPE,
                                text=True, env={}, timeout=30, check=False)
    expect(result, 1, "ktlsctl: stdout: .*\n")


main(tests)
