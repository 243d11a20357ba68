#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Calls whose parameters are no good, in every spelling: which one is at fault is said, nothing is
connected, no name is asked for, and others are served meanwhile."""

import base64
import json
import os

from ktlstest import names, pki
from ktlstest.asking import PATIENCE, ask, check_descriptors, check_good, settle, trusting
from ktlstest.daemon import Daemon
from ktlstest.expect import check_error, check_invalid
from ktlstest.peer import Peer
from ktlstest.refused import (CLOSED, Error, EveryName, call, check_refused,
                              nothing_comes_of_it)
from ktlstest.tap import check_equal, check_not_in, main, test

CA_MAX = 384 * 1024
NOT_LEFT = Error("NotAuthorized", "policy")


# Ports. What is cut to 16 bits or read as a number would be the server's port.
@test("port {port} is {verdict}", cases=[{"port": port, "verdict": verdict} for port, verdict in [
    ("0", "port"), ("-1", "port"), ("-0", "port"), ("65536", "port"), ("65979", "port"),
    ("WRAP16", "port"), ("WRAP32", "port"), ("4294967739", "port"), ("-PORT", "port"),
    ("99999999999999999999", "port"), ("18446744073709551615", "port"), ("1e99", "port"),
    ("PORTe0", "port"), ("PORT.0", "port"), ("PORT.9", "port"), ("443.9", "port"),
    ('"PORT"', "port"), ("true", "port"), ("null", "port"), ("[PORT]", "port"), ("{}", "port"),
    ("0PORT", CLOSED), ("+PORT", CLOSED), ("0x1bb", CLOSED), ("Infinity", CLOSED),
    ("", CLOSED)]])
def ports(daemon, port, verdict):
    check_refused(daemon, call(port=port), verdict)


LABEL = "a" * 64
HOSTS = {
    "254 bytes": "a." * 126 + "bc", "256 bytes": "a." * 127 + "bc", "4 KiB": "a." * 2048,
    "a label of 64": f"{LABEL}.test", "empty": "", "a dot": ".", "an empty label": "a..b",
    "a dot before": ".a", "two dots behind": "server.test..", "a wildcard": "*.test",
    "a hyphen first": "-x", "a hyphen last": "x-", "a hyphen last of a label": "x-.test",
    "a newline": "x\n", "a newline behind": "server.test\n", "a space": "server test",
    "a space behind": "127.0.0.1 ", "a tab": "server\t.test", "a slash": "server.test/",
    "a path": "/proc/self/fd/3", "a user": "user@server.test", "a port": "127.0.0.1:443",
    "a scheme": "https://server.test", "a zone": "fe80::1%lo",
    "brackets and a zone": "[::1%eth0]", "brackets": "[::1]", "a network": "127.0.0.1/8",
    "a homograph": "b\u0430nk.example", "an IDN": "b\u00fccher.example",
    "a full-width dot": "server\uff0etest", "a direction mark": "server\u202e.test",
    "a percent": "server%2etest", "a short address": "127.1", "a hexadecimal one": "0x7f000001",
    "one in one number": "2130706433", "an octal one": "0177.0.0.1",
    "too many numbers": "127.0.0.1.1", "a number too large": "127.0.0.256",
    "a dot behind an address": "127.0.0.1.", "hexadecimal parts": "0x7f.0.0.0x1",
    "too many colons": ":::1", "a NUL": "bank.example\0.evil.test",
    "a NUL behind": "server.test\0", "DEL": "server\x7f.test", "a quote": 'server".test',
    "a comma": "server.test,127.0.0.1",
}


@test("host: {what}", cases=[{"what": what} for what in HOSTS])
def hosts(daemon, what):
    check_refused(daemon, call(host=json.dumps(HOSTS[what])), "host")


@test("host as {value}", cases=[{"value": value} for value in (
    "null", "1", "true", "[]", '["127.0.0.1"]', "{}", "2130706433")])
def host_types(daemon, value):
    check_refused(daemon, call(host=value), "host")


@test("{where} has to be a name just as host has: {what}", cases=[
    {"where": where, "what": what} for where in ("trust.name", "serverName")
    for what in ("254 bytes", "a label of 64", "an empty label", "a wildcard", "a homograph",
                 "a NUL", "brackets and a zone", "a short address", "a newline behind", "empty")])
def other_names(daemon, where, what):
    name = json.dumps(HOSTS[what])
    more = f',"trust":{{"name":{name}}}' if where == "trust.name" else f',"serverName":{name}'
    check_refused(daemon, call(more=more), where)


@test("a serverName is no {what}", cases=[{"what": "127.0.0.1"}, {"what": "::1"},
                                          {"what": "server.test."}])
def server_names(daemon, what):
    check_refused(daemon, call(more=f',"serverName":"{what}"'), "serverName")


# What is good, though it may not look so. The name to verify is the host, and so is SNI.
GOOD_HOSTS = {
    "server.test.": ("server.test", "server.test"), "SERVER.Test": ("server.test", "server.test"),
    "a_b.test": ("a_b.test", None), "xn--bcher-kva.test": ("xn--bcher-kva.test", None),
    "127.0.0.1.test": ("127.0.0.1.test", None), "a" * 63 + ".test": ("a" * 63 + ".test", None),
    "a." * 125 + "abc": ("a." * 125 + "abc", None),
}


@test("host {host:.40} is good", cases=[{"host": host} for host in GOOD_HOSTS])
def good_hosts(daemon, host):
    name, subject = GOOD_HOSTS[host]
    with names.NameServer(EveryName()) as server, Peer() as peer:
        reply = daemon.connect(host, peer.port, timeoutMs=PATIENCE, trust=trusting("ca"))
        if subject:
            check_good(reply)
        else:
            check_error(reply, "CertificateRejected", "handshake", text="is not for")
        check_equal(set(server.asked), {name}, "names that were asked for")
        check_equal(peer.connection().hello.server_name.lower(), name, "SNI")


def block(kind, data):
    text = base64.encodebytes(data).decode()
    return f"-----BEGIN {kind}-----\n{text}-----END {kind}-----\n"


def private_key():
    with open(pki.Bundle("ca").key, encoding="ascii") as file:
        return file.read()


def leaf():
    return pki.Bundle("ca").leaf


CA_TEXTS = {
    "empty": lambda: "",
    "white space": lambda: "\n \n",
    "no certificate": lambda: "these are my certificates\n",
    "DER": lambda: leaf().decode("latin-1"),
    "base64 without its frame": lambda: base64.encodebytes(leaf()).decode(),
    "a private key": private_key,
    "a certificate and a private key": lambda: pki.ca_text("ca") + private_key(),
    "a private key and a certificate": lambda: private_key() + pki.ca_text("ca"),
    "a frame without an end": lambda: pki.ca_text("ca").replace("-----END CERTIFICATE-----", ""),
    "a certificate and a half": lambda: pki.ca_text("ca") + pki.ca_text("ca")[:200],
    "broken base64": lambda: pki.ca_text("ca").replace("\nM", "\n*", 1),
    "an empty frame": lambda: block("CERTIFICATE", b""),
    "no certificate in the frame": lambda: block("CERTIFICATE", b"\x30\x03\x02\x01\x05"),
    "bytes behind the certificate": lambda: block("CERTIFICATE", leaf() + b"\0"),
    "a certificate cut short": lambda: block("CERTIFICATE", leaf()[:-1]),
    "a trusted certificate": lambda: block("TRUSTED CERTIFICATE", leaf()),
    "a request": lambda: block("CERTIFICATE REQUEST", leaf()),
    "a revocation list": lambda: pki.ca_text("ca") + block("X509 CRL", leaf()),
    "257 certificates": lambda: pki.ca_text("ec-ca") * 257,
    "a byte too much": lambda: pki.ca_text("ca").ljust(CA_MAX + 1),
    "a NUL inside": lambda: pki.ca_text("ca") + "\0" + pki.ca_text("ca"),
    "a NUL behind": lambda: pki.ca_text("ca") + "\0",
    "a path": lambda: os.path.abspath(pki.Bundle("ca").chain),
    "a descriptor's path": lambda: "/proc/self/fd/3",
    "a key too large": lambda: pki.ca_text("rsa-16384"),
}


def check_not_told(daemon, reply_text, secret):
    """No line of the key is in what is told or logged."""
    for line in secret.splitlines():
        if "-----" not in line:
            check_not_in(line, reply_text, "the reply")
            check_not_in(line, daemon.stderr(), "the log")


@test("trust.ca: {what}", cases=[{"what": what} for what in CA_TEXTS])
def ca_texts(daemon, what):
    text = CA_TEXTS[what]()
    with nothing_comes_of_it(daemon) as (peer, _served):
        with ask(daemon, peer, trust={"ca": text}) as reply:
            check_invalid(reply, "trust.ca")
            check_not_told(daemon, str(reply), private_key())


@test("trust.ca: {what} is good", cases=[
    {"what": "256 certificates", "text": lambda: pki.ca_text("ec-ca") * 255 + pki.ca_text("ca")},
    {"what": "384 KiB", "text": lambda: pki.ca_text("ca").ljust(CA_MAX)},
    {"what": "text between certificates",
     "text": lambda: "# mine\n" + pki.ca_text("ec-ca") + "\nand\n" + pki.ca_text("ca")},
    {"what": "an old frame", "text": lambda: block("X509 CERTIFICATE", leaf())},
    {"what": "lines that end as Windows has it",
     "text": lambda: pki.ca_text("ca").replace("\n", "\r\n")}])
def good_ca_texts(daemon, what, text):
    with Peer() as peer:
        check_good(ask(daemon, peer, trust={"ca": text()}))


@test("policy.{name} {value!r:.40} is {verdict}", cases=[
    {"name": name, "value": value, "verdict": verdict} for name, value, verdict in [
        ("ciphers", "ALL:@SECLEVEL=0", "policy.ciphers"),
        ("ciphers", "DEFAULT@SECLEVEL=0", "policy.ciphers"),
        ("ciphers", "ALL:@STRENGTH", "policy.ciphers"),
        ("ciphers", "ECDHE+AESGCM:" * 788, "policy.ciphers"),  # 10 KB
        ("ciphers", "a" * 1025, "policy.ciphers"),
        ("ciphers", "NOSUCH", "policy.ciphers"),
        ("ciphers", "ECDHE-RSA-AES256-GCM-SHA384:NOSUCH", "policy.ciphers"),
        ("ciphers", "ECDHE-RSA-AES256-GCM-SHA38", "policy.ciphers"),
        ("ciphers", "", "policy.ciphers"), ("ciphers", ":", "policy.ciphers"),
        ("ciphers", "ALL\0", "policy.ciphers"), ("ciphers", "ALL\n", "policy.ciphers"),
        ("ciphers", "eNULL", NOT_LEFT), ("ciphers", "PSK", NOT_LEFT),
        ("ciphers", "aNULL", NOT_LEFT), ("ciphers", "RC4", NOT_LEFT),
        ("ciphers", "AES256-GCM-SHA384", NOT_LEFT), ("ciphers", "ALL:!ALL", NOT_LEFT),
        ("ciphers", "ECDHE-RSA-AES128-SHA256", NOT_LEFT),
        ("ciphersuites", "TLS_NO_SUCH", "policy.ciphersuites"),
        ("ciphersuites", "TLS_AES_128_GCM_SHA256@SECLEVEL=0", "policy.ciphersuites"),
        ("groups", "P-256:nosuch", "policy.groups"), ("groups", "", "policy.groups"),
        ("groups", "P-256::P-384", "policy.groups"), ("groups", "a" * 1025, "policy.groups"),
        ("groups", "brainpoolP256r1", NOT_LEFT),
        ("signatureAlgorithms", "RSA+NOSUCH", "policy.signatureAlgorithms"),
        ("signatureAlgorithms", "RSA+SHA1", NOT_LEFT),
        ("name", "nosuch", "policy.name"), ("name", "", "policy.name"),
        ("name", "a" * 65, "policy.name"), ("name", "../../etc/passwd", "policy.name"),
        ("minVersion", "1.3", "policy.minVersion"), ("minVersion", "1.1", "policy.minVersion"),
        ("maxVersion", "1.1", "policy.maxVersion"),
        ("maxVersion", "TLSv1.2", "policy.maxVersion")]])
def policies(daemon, name, value, verdict):
    more = f',"policy":{{"{name}":{json.dumps(value)}}}'
    check_refused(daemon, call(more=more), verdict)


@test("{more:.60} is {verdict}", cases=[{"more": more, "verdict": verdict} for more, verdict in [
    ('"trust":1', "trust"), ('"trust":[]', "trust"), ('"trust":"system"', "trust"),
    ('"trust":{"store":"nosuch"}', "trust.store"), ('"trust":{"store":""}', "trust.store"),
    ('"trust":{"store":"../../etc/passwd"}', "trust.store"),
    ('"trust":{"pins":[]}', "trust.pins"), ('"trust":{"pins":"x"}', "trust.pins"),
    ('"trust":{"pins":[null]}', "trust.pins"),
    ('"trust":{"pins":["cert-sha256:"]}', "trust.pins"),
    ('"trust":{"pins":["cert-sha256:%s"]}' % ("0" * 63), "trust.pins"),
    ('"trust":{"pins":["sha256:%s"]}' % ("0" * 64), "trust.pins"),
    ('"trust":{"pins":["cert-sha256:%s"]}' % ("g" * 64), "trust.pins"),
    ('"trust":{"pins":["cert-sha256:%s\\u0000"]}' % ("0" * 64), "trust.pins"),
    ('"trust":{"pins":[%s]}' % ",".join(['"cert-sha256:%s"' % ("0" * 64)] * 17), "trust.pins"),
    ('"trust":{"verify":"no"}', "trust.verify"), ('"trust":{"verify":false}', "trust.verify"),
    ('"trust":{"verify":"FULL"}', "trust.verify"), ('"trust":{"verify":"none"}', NOT_LEFT),
    ('"policy":"default"', "policy"), ('"policy":{"ciphers":["ALL"]}', "policy.ciphers"),
    ('"alpn":"h2"', "alpn"), ('"alpn":[]', "alpn"), ('"alpn":[""]', "alpn"),
    ('"alpn":["%s"]' % ("a" * 256), "alpn"), ('"alpn":["h2\\u0000"]', "alpn"),
    ('"alpn":["h2\\n"]', "alpn"), ('"alpn":[%s]' % ",".join(['"h2"'] * 17), "alpn"),
    ('"io":"fast"', "io"), ('"io":1', "io"), ('"io":""', "io"),
    ('"timeoutMs":0', "timeoutMs"), ('"timeoutMs":-1', "timeoutMs"),
    ('"timeoutMs":120001', "timeoutMs"), ('"timeoutMs":4294968296', "timeoutMs"),
    ('"timeoutMs":1e3', "timeoutMs"), ('"timeoutMs":"1000"', "timeoutMs")]])
def others(daemon, more, verdict):
    check_refused(daemon, call(more="," + more), verdict)


@test("ktlsd has as many descriptors as it began with")
def descriptors(daemon):
    check_descriptors(daemon)


def start():
    names.configure({})
    return settle(Daemon())


if __name__ == "__main__":
    main(globals(), start)
