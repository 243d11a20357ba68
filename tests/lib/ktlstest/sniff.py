# SPDX-License-Identifier: MIT
"""What the wire of the loopback device saw: the TCP streams of chosen ports, byte for byte."""

import os
import select
import socket
import struct
import threading
from typing import NamedTuple

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_STATISTICS = 6
SO_RCVBUFFORCE = 33
PACKET_OUTGOING = 4
ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86dd
BUFFER = 64 << 20
FRAME = 1 << 17
SYN, FIN, RST = 2, 1, 4


class Flow(NamedTuple):
    """One direction of one connection."""
    source: str
    source_port: int
    destination: str
    destination_port: int


class Segment(NamedTuple):
    sequence: int
    flags: int
    payload: bytes


class Stream:
    """The bytes of a flow in their order, and how they were cut into segments."""

    def __init__(self):
        self.next = None
        self.data = bytearray()
        self.segments = []  # (start in data, flags, length)

    def add(self, segment):
        start = segment.sequence + (1 if segment.flags & SYN else 0)
        if self.next is None or segment.flags & SYN:
            self.next = start
        skip = (self.next - start) & 0xffffffff
        if segment.payload and skip > 1 << 31:
            raise RuntimeError("a segment is missing from the recording")
        fresh = segment.payload[skip:]
        self.segments.append((len(self.data), segment.flags, len(fresh)))
        self.data += fresh
        self.next = (self.next + len(fresh)) & 0xffffffff


class Sniffer:
    """Records from entering to stop(); with ports, only segments from or to one of them.

    Complete or failed: a packet that the kernel dropped for want of room is an error.
    """

    def __init__(self, *ports, interface="lo"):
        self.ports = set(ports)
        self.streams = {}
        self.problem = None
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
            self.sock.setblocking(False)
            self.sock.bind((interface, ETH_P_ALL))
        except BaseException:
            self.sock.close()
            raise
        self.stop_reader, self.stop_writer = os.pipe()
        self.thread = threading.Thread(target=self._run, name="sniffer")
        self.thread.start()

    def stop(self):
        """Take what the kernel still has, and make sure that it was everything."""
        if self.thread is None:
            return
        os.write(self.stop_writer, b"x")
        self.thread.join()
        self.thread = None
        os.close(self.stop_reader)
        os.close(self.stop_writer)
        packets, drops = struct.unpack("II", self.sock.getsockopt(
            SOL_PACKET, PACKET_STATISTICS, 8))
        self.sock.close()
        if self.problem:
            raise self.problem
        if drops:
            raise RuntimeError(f"{drops} of {packets} packets were not recorded")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _run(self):
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        poll.register(self.stop_reader, select.POLLIN)
        try:
            while self.stop_reader not in dict(poll.poll()):
                self._drain()
            self._drain()
        except (OSError, RuntimeError, ValueError, struct.error) as error:
            self.problem = error

    def _drain(self):
        while True:
            try:
                packet, _, flags, address = self.sock.recvmsg(FRAME)
            except BlockingIOError:
                return
            if flags & socket.MSG_TRUNC:
                raise RuntimeError("a packet is larger than the recorder's buffer")
            # Loopback shows each packet twice, leaving and arriving.
            if address[2] != PACKET_OUTGOING:
                self._take(address[1], packet)

    def _take(self, protocol, packet):
        parsed = PARSERS.get(protocol, lambda _packet: None)(packet)
        if parsed is None:
            return
        flow, segment = parsed
        if self.ports and not self.ports & {flow.source_port, flow.destination_port}:
            return
        self.streams.setdefault(flow, Stream()).add(segment)

    # What a scenario asks, after stop()

    def flows(self, source_port=None, destination_port=None):
        """The streams from or to a port, in the order of their first packet."""
        return [stream for flow, stream in self.streams.items()
                if source_port in (None, flow.source_port)
                and destination_port in (None, flow.destination_port)]

    def count(self):
        return sum(len(stream.data) for stream in self.streams.values())

    def contains(self, canary):
        return any(canary in stream.data for stream in self.streams.values())

    def assert_present(self, canary):
        self.stop()
        if not self.contains(canary):
            raise AssertionError(f"{canary!r} was not seen in {self.count()} bytes")

    def assert_absent(self, canary):
        """Not there, in a recording that is known to have seen a connection, if only its SYN."""
        self.stop()
        if not self.streams:
            raise AssertionError("nothing was recorded, so that nothing is proved")
        for flow, stream in self.streams.items():
            offset = stream.data.find(canary)
            if offset >= 0:
                raise AssertionError(f"{canary!r} in clear at byte {offset} of {flow}")


def _tcp(source, destination, packet):
    source_port, destination_port, sequence = struct.unpack_from("!HHI", packet)
    header = (packet[12] >> 4) * 4
    return (Flow(source, source_port, destination, destination_port),
            Segment(sequence, packet[13], bytes(packet[header:])))


def _ipv4(packet):
    header, total = (packet[0] & 15) * 4, struct.unpack_from("!H", packet, 2)[0]
    if packet[9] != socket.IPPROTO_TCP:
        return None
    if struct.unpack_from("!H", packet, 6)[0] & 0x3fff:
        raise RuntimeError("a fragment, which loopback should not have")
    return _tcp(socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20]),
                packet[header:total or len(packet)])


def _ipv6(packet):
    if packet[6] != socket.IPPROTO_TCP:
        return None
    size = struct.unpack_from("!H", packet, 4)[0]
    return _tcp(socket.inet_ntop(socket.AF_INET6, packet[8:24]),
                socket.inet_ntop(socket.AF_INET6, packet[24:40]),
                packet[40:40 + size if size else len(packet)])


PARSERS = {ETH_P_IP: _ipv4, ETH_P_IPV6: _ipv6}
