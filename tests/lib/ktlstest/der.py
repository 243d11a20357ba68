# SPDX-License-Identifier: MIT
"""The little DER that certificates of an unusual kind, and pins, need."""

import base64


def tlv(tag, body):
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def integer(value):
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(text):
    """An OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = map(int, text.split("."))
    body = b""
    for number in (first * 40 + second, *rest):
        digits = [number & 0x7f]
        while number := number >> 7:
            digits.insert(0, number & 0x7f | 0x80)
        body += bytes(digits)
    return tlv(0x06, body)


def sequence(*members):
    return tlv(0x30, b"".join(members))


def read(data, offset=0):
    """(tag, start of the body, end of the body) of the element at offset."""
    length = data[offset + 1]
    start = offset + 2
    if length & 0x80:
        size = length & 0x7f
        length = int.from_bytes(data[start:start + size], "big")
        start += size
    return data[offset], start, start + length


def subject_public_key_info(certificate):
    """The SubjectPublicKeyInfo of a certificate, whole."""
    _, start, _ = read(certificate)
    _, position, _ = read(certificate, start)
    if certificate[position] == 0xa0:
        position = read(certificate, position)[2]
    for _ in range(5):  # serial, signature algorithm, issuer, validity, subject
        position = read(certificate, position)[2]
    return certificate[position:read(certificate, position)[2]]


def rsa_private_key(first, second, public_exponent, private_exponent):
    """PKCS#1, whose two factors need not be prime as long as the exponents undo each other."""
    if first < second:
        first, second = second, first
    return sequence(*map(integer, (
        0, first * second, public_exponent, private_exponent, first, second,
        private_exponent % _order(first), private_exponent % _order(second),
        pow(second, -1, first))))


def _order(factor):
    # A factor that knows its own exponent is a Factor; a plain int is taken to be prime.
    return getattr(factor, "order", factor - 1)


class Factor(int):
    """A product of primes that remembers the exponent of its multiplicative group."""

    def __new__(cls, value, order):
        self = super().__new__(cls, value)
        self.order = order
        return self


def pem(label, body):
    text = base64.b64encode(body).decode()
    lines = [text[i:i + 64] for i in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])
