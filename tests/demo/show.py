#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ktlsd and a real TLS server, a socket asked for with ktlsctl, data both ways, and what can be seen of it from outside."""
import os
import pathlib
import re
import socket
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lib"))
from ktlstest.daemon import Daemon  # noqa: E402
from ktlstest.sniff import Sniffer  # noqa: E402

PKI = TOP / "build/pki"
KTLSCTL = TOP / "build/ktlsctl"
SENTENCE = "kernel TLS sends this sentence"


def title(text):
    print(f"\n--- {text}", flush=True)


def start_server(port):
    """openssl s_server, which answers each line with the line turned round; ready when it says so."""
    server = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", PKI / "rsa.crt", "-key", PKI / "rsa.key",
         "-tls1_2", "-rev", "-no_dhe"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in server.stdout:
        if line.startswith("ACCEPT"):
            return server
    raise SystemExit("openssl s_server did not start")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def show_sockets(port):
    title("ss -tie: the kernel's own word on the socket")
    text = subprocess.run(["ss", "-tieH", f"dport = :{port}"], capture_output=True, text=True, check=True).stdout
    print(text.strip())
    if "tcp-ulp-tls" not in text:
        raise SystemExit("ss shows no tcp-ulp-tls")


def show_counters():
    title("/proc/net/tls_stat: the kernel's counters (those that are not 0)")
    for line in pathlib.Path("/proc/net/tls_stat").read_text().splitlines():
        if not re.search(r"\s0$", line):
            print(line)


def first_data(stream):
    """The first segment that begins with a record of application data, TLS 1.2."""
    for start, _, length in stream.segments:
        data = bytes(stream.data[start:start + length])
        if data.startswith(b"\x17\x03\x03"):
            return data
    raise SystemExit("no application data was seen on the wire")


def show_wire(sniffer, port):
    title("the wire: the first bytes of application data")
    for name, flows in (("to the server", sniffer.flows(destination_port=port)),
                        ("from the server", sniffer.flows(source_port=port))):
        print(f"{name + ':':16} {first_data(flows[0])[:40].hex(' ')} ...")
    sniffer.assert_absent(SENTENCE.encode())
    sniffer.assert_absent(SENTENCE[::-1].encode())
    print("The sentence is nowhere on it in clear, neither way.")


def converse(daemon, port):
    """Sends a line, reads it back turned round, looks at the socket meanwhile, and ends."""
    command = [KTLSCTL, "--socket", daemon.socket_path, "connect", f"localhost:{port}", "--ca", PKI / "ca.crt", "--verbose"]
    print("$ ktlsctl " + " ".join(str(word).replace(f"{TOP}/", "") for word in command[1:]), flush=True)
    client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    client.stdin.write(SENTENCE + "\n")
    client.stdin.flush()
    answer = client.stdout.readline().strip()
    title("data")
    print(f"sent:     {SENTENCE}\nreceived: {answer}", flush=True)
    if answer != SENTENCE[::-1]:
        raise SystemExit("that is not what the server was to answer")
    show_sockets(port)
    client.stdin.close()
    client.wait(10)


def main():
    port = free_port()
    server = start_server(port)
    try:
        with Sniffer(port) as sniffer, Daemon() as daemon:
            title("a socket, please")
            converse(daemon, port)
            show_counters()
            sniffer.stop()
            show_wire(sniffer, port)
            title("ktlsd's log")
            print(daemon.stderr().strip())
    finally:
        server.kill()
        server.wait()
    print(f"\nThat was kernel TLS on Linux {os.uname().release}.")


main()
