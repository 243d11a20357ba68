#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every certificate the scenarios use, made with the openssl command.

`python3 -m ktlstest.pki DIR` makes them once; a directory that is complete, from this very file
and still young is left as it is. NAME.crt is a chain with the leaf first, NAME.key its key.
"""

import functools
import hashlib
import math
import os
import random
import shutil
import ssl
import subprocess
import sys
import tempfile
import time

from ktlstest import der

NAMES = "DNS:localhost,DNS:server.test,IP:127.0.0.1,IP:::1"
MAX_AGE = 7 * 86400
DAY = 86400

# Extensions, by the name a certificate refers to them.
PROFILES = {
    "ca": ["basicConstraints=critical,CA:true", "keyUsage=critical,keyCertSign,cRLSign"],
    "constrained": ["basicConstraints=critical,CA:true", "keyUsage=critical,keyCertSign,cRLSign",
                    "nameConstraints=critical,permitted;DNS:allowed.test"],
    "server": [f"subjectAltName={NAMES}", "extendedKeyUsage=serverAuth"],
    "client": [f"subjectAltName={NAMES}", "extendedKeyUsage=clientAuth"],
    "wrong": ["subjectAltName=DNS:other.test,IP:127.0.0.9", "extendedKeyUsage=serverAuth"],
    "1000-names": ["subjectAltName=" + NAMES + "," +
                   ",".join(f"DNS:n{i}.test" for i in range(996))],
    "1001-names": ["subjectAltName=" + NAMES + "," +
                   ",".join(f"DNS:n{i}.test" for i in range(997))],
    "1500-names": ["subjectAltName=" + NAMES + "," +
                   ",".join(f"DNS:n{i}.test" for i in range(1496))],
    "nul": ["subjectAltName=DER:" + der.sequence(
        der.tlv(0x82, b"server.test\0.evil.test"), der.tlv(0x82, b"localhost\0.evil.test"),
    ).hex(":")],
    "nameless": ["extendedKeyUsage=serverAuth"],
}

# name: (profile, key, issuer or None for itself, first day and last day from now)
YEAR = (-1, 365)
CERTIFICATES = {
    "ca": ("ca", "rsa-a", None, YEAR),
    "other-ca": ("ca", "rsa-b", None, YEAR),
    "ec-ca": ("ca", "p256-a", None, YEAR),
    "intermediate": ("ca", "rsa-b", "ca", YEAR),
    "expired-ca": ("ca", "rsa-b", "ca", (-30, -1)),
    "constrained-ca": ("constrained", "rsa-b", "ca", YEAR),
    "rsa": ("server", "rsa-c", "ca", YEAR),
    "p256": ("server", "p256-b", "ec-ca", YEAR),
    "p384": ("server", "p384", "ec-ca", YEAR),
    "wrong-name": ("wrong", "rsa-c", "ca", YEAR),
    "nameless": ("nameless", "rsa-c", "ca", YEAR),
    "nul": ("nul", "rsa-c", "ca", YEAR),
    "expired": ("server", "rsa-c", "ca", (-30, -1)),
    "future": ("server", "rsa-c", "ca", (10, 365)),
    "self-signed": ("server", "rsa-c", None, YEAR),
    "wrong-eku": ("client", "rsa-c", "ca", YEAR),
    "chained": ("server", "rsa-c", "intermediate", YEAR),
    "by-expired": ("server", "rsa-c", "expired-ca", YEAR),
    "constrained": ("server", "rsa-c", "constrained-ca", YEAR),
    "by-leaf": ("server", "rsa-c", "rsa", YEAR),
    "rsa-1024": ("server", "rsa-1024", "ca", YEAR),
    "rsa-8192": ("server", "rsa-8192", "ca", YEAR),
    "rsa-16384": ("server", "rsa-16384", "ca", YEAR),
    "big-exponent": ("server", "big-exponent", "ca", YEAR),
    "explicit-curve": ("server", "explicit", "ec-ca", YEAR),
    "compressed": ("server", "p224", "ec-ca", YEAR),
    "names-1000": ("1000-names", "p256-b", "ec-ca", YEAR),
    "names-1001": ("1001-names", "p256-b", "ec-ca", YEAR),
    "names-1500": ("1500-names", "p256-b", "ec-ca", YEAR),
}

# The common name of those for which it matters.
SUBJECTS = {"nameless": "nameless.test"}

# Chains deeper than one: a leaf under so many intermediates, all of them sent.
DEPTHS = (8, 9, 12)
for _depth in DEPTHS:
    for _level in range(1, _depth + 1):
        CERTIFICATES[f"deep-{_depth}-{_level}"] = (
            "ca", "p256-c", f"deep-{_depth}-{_level - 1}" if _level > 1 else "ec-ca", YEAR)
    CERTIFICATES[f"deep-{_depth}"] = ("server", "p256-b", f"deep-{_depth}-{_depth}", YEAR)

# What is sent when it isn't the leaf alone, each leaf first.
CHAINS = {
    "chained": ["chained", "intermediate"],
    "constrained": ["constrained", "constrained-ca"],
    "by-expired": ["by-expired", "expired-ca"],
    "by-leaf": ["by-leaf", "rsa"],
    **{f"deep-{n}": [f"deep-{n}"] + [f"deep-{n}-{i}" for i in range(n, 0, -1)] for n in DEPTHS},
}
# Chains under a name of their own: the certificates of another, and junk behind it.
EXTRA_CHAINS = {
    "no-intermediate": ["chained"],
    "sends-10": ["p256"] + ["ec-ca"] * 9,
    "sends-11": ["p256"] + ["ec-ca"] * 10,
    "sends-400": ["rsa"] + ["other-ca"] * 399,
    "sends-costly": ["p256"] + ["costly"] * 9,
}

CONFIG = """
[ca]
default_ca = test
[test]
database = {work}/index
new_certs_dir = {work}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
[req]
distinguished_name = dn
prompt = no
[dn]
commonName = request
"""


class Bundle:
    """One server identity: its chain and key, and the pins of its leaf."""

    def __init__(self, name, directory=None):
        self.name = name
        self.directory = directory or default_directory()
        self.chain = os.path.join(self.directory, f"{name}.crt")
        self.key = os.path.join(self.directory, f"{name}.key")

    @functools.cached_property
    def leaf(self):
        text = ca_text(self.name, self.directory)
        end = "-----END CERTIFICATE-----"
        return ssl.PEM_cert_to_DER_cert(text[:text.index(end) + len(end)])

    @property
    def cert_sha256(self):
        return hashlib.sha256(self.leaf).hexdigest()

    @property
    def spki_sha256(self):
        return hashlib.sha256(der.subject_public_key_info(self.leaf)).hexdigest()

    @property
    def cert_pin(self):
        return f"cert-sha256:{self.cert_sha256}"

    @property
    def spki_pin(self):
        return f"spki-sha256:{self.spki_sha256}"


def default_directory():
    top = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "..")
    return os.environ.get("KTLSTEST_PKI") or os.path.normpath(os.path.join(top, "build", "pki"))


def ca_text(name, directory=None):
    """The PEM text of a certificate or chain, as a caller would put it in a request."""
    with open(os.path.join(directory or default_directory(), f"{name}.crt"),
              encoding="ascii") as file:
        return file.read()


def _openssl(*words):
    result = subprocess.run(["openssl", *words], stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=120, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(words)}:\n{result.stderr}")


def _is_prime(number):
    """As good as certain, by Miller and Rabin."""
    if any(number % small == 0 for small in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31)):
        return False
    odd = number - 1
    twos = (odd & -odd).bit_length() - 1
    odd >>= twos
    for base in (2, 3, 5, 7, 11, 13):
        powers = [pow(base, odd << twice, number) for twice in range(twos)]
        if powers[0] != 1 and number - 1 not in powers:
            return False
    return True


def _factor(bits, exponent):
    """A product of so many bits whose prime factors are small, hence quick to find."""
    primes = set()
    while len(primes) < bits // 256:
        candidate = random.getrandbits(256) | 0xffff << 240 | 1
        if math.gcd(candidate - 1, exponent) == 1 and _is_prime(candidate):
            primes.add(candidate)
    return der.Factor(math.prod(primes), math.lcm(*(prime - 1 for prime in primes)))


def _rsa(bits, slow_to_verify):
    """An RSA key that works but is worth nothing; slow to verify means an exponent of its size."""
    small = 65537
    first, second = _factor(bits // 2, small), _factor(bits // 2, small)
    order = math.lcm(first.order, second.order)
    large = pow(small, -1, order)
    public, private = (large, small) if slow_to_verify else (small, large)
    if slow_to_verify:
        public += ((1 << bits - 1) - 1 - public) // order * order
    return der.pem("RSA PRIVATE KEY", der.rsa_private_key(first, second, public, private))


def _costly():
    """A certificate that takes 0.1 s to decode: its key is on a curve of its own making.

    Two points of it are compressed, and to take square roots modulo a prime of this form is work.
    """
    prime = 133 * 2**600 + 1
    size = (prime.bit_length() + 7) // 8
    x, y, a = 0x123456789, 0x987654321, 3
    b = (y * y - x**3 - a * x) % prime
    point = b"\2" + x.to_bytes(size, "big")
    numbers = [der.tlv(0x04, number.to_bytes(size, "big")) for number in (a, b)]
    curve = der.sequence(
        der.integer(1), der.sequence(der.oid("1.2.840.10045.1.1"), der.integer(prime)),
        der.sequence(*numbers), der.tlv(0x04, point), der.integer(prime - 2), der.integer(1))
    name = der.sequence(der.tlv(0x31, der.sequence(der.oid("2.5.4.3"), der.tlv(0x0c, b"costly"))))
    signed_by = der.sequence(der.oid("1.2.840.10045.4.3.2"))
    return der.pem("CERTIFICATE", der.sequence(der.sequence(
        der.tlv(0xa0, der.integer(2)), der.integer(1), signed_by, name,
        der.sequence(der.tlv(0x17, b"240101000000Z"), der.tlv(0x17, b"340101000000Z")), name,
        der.sequence(der.sequence(der.oid("1.2.840.10045.2.1"), curve),
                     der.tlv(0x03, b"\0" + point)),
    ), signed_by, der.tlv(0x03, b"\0" + der.sequence(der.integer(1), der.integer(1)))))


def _write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _make_keys(work):
    def path(name):
        return os.path.join(work, f"key-{name}")
    for name, bits in (("rsa-a", 2048), ("rsa-b", 2048), ("rsa-c", 2048), ("rsa-1024", 1024)):
        _openssl("genrsa", "-out", path(name), str(bits))
    for name, curve in (("p256-a", "P-256"), ("p256-b", "P-256"), ("p256-c", "P-256"),
                        ("p384", "P-384")):
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}",
                 "-out", path(name))
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-pkeyopt", "ec_param_enc:explicit", "-out", path("explicit"))
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp224r1",
             "-out", path("p224-long"))
    _openssl("ec", "-in", path("p224-long"), "-conv_form", "compressed", "-out", path("p224"))
    for bits in (8192, 16384):
        _write(path(f"rsa-{bits}"), _rsa(bits, False))
    _write(path("big-exponent"), _rsa(3072, True))
    for key in {certificate[1] for certificate in CERTIFICATES.values()}:
        _openssl("req", "-new", "-config", f"{work}/config", "-key", path(key),
                 "-out", os.path.join(work, f"request-{key}"))


def _date(days):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * DAY))


def _issue(work, name):
    profile, key, issuer, (first, last) = CERTIFICATES[name]
    signer = (["-selfsign"] if issuer is None else
              ["-cert", os.path.join(work, f"{issuer}.pem")])
    signing_key = key if issuer is None else CERTIFICATES[issuer][1]
    _openssl("ca", "-batch", "-notext", "-config", f"{work}/config", *signer,
             "-keyfile", os.path.join(work, f"key-{signing_key}"),
             "-in", os.path.join(work, f"request-{key}"),
             "-subj", "/CN=" + SUBJECTS.get(name, f"ktlsd test {name}"),
             "-startdate", _date(first), "-enddate", _date(last),
             "-extfile", os.path.join(work, f"profile-{profile}"),
             "-out", os.path.join(work, f"{name}.pem"))


def _publish(work, out, name, chain):
    texts = []
    for member in chain:
        with open(os.path.join(work, f"{member}.pem"), encoding="ascii") as file:
            texts.append(file.read())
    _write(os.path.join(out, f"{name}.crt"), "".join(texts))
    key = CERTIFICATES[chain[0]][1]
    shutil.copyfile(os.path.join(work, f"key-{key}"), os.path.join(out, f"{name}.key"))


def _make(out):
    with tempfile.TemporaryDirectory(prefix="ktlstest-pki.") as work:
        _write(f"{work}/config", CONFIG.format(work=work))
        _write(f"{work}/index", "")
        for name, lines in PROFILES.items():
            _write(os.path.join(work, f"profile-{name}"), "\n".join([*lines, ""]))
        _make_keys(work)
        for name in CERTIFICATES:
            _issue(work, name)
        for name in CERTIFICATES:
            _publish(work, out, name, CHAINS.get(name, [name]))
        _write(os.path.join(work, "costly.pem"), _costly())
        _write(os.path.join(out, "costly.crt"), _costly())
        for name, chain in EXTRA_CHAINS.items():
            _publish(work, out, name, chain)


def _fingerprint():
    digest = hashlib.sha256()
    for path in (os.path.realpath(__file__), os.path.realpath(der.__file__)):
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def _is_current(directory):
    try:
        stamp = os.path.join(directory, "stamp")
        with open(stamp, encoding="ascii") as file:
            return (file.read() == _fingerprint()
                    and time.time() - os.stat(stamp).st_mtime < MAX_AGE)
    except FileNotFoundError:
        return False


def make(directory):
    """Have all of it in directory, which appears at once and whole."""
    if _is_current(directory):
        return
    parent = os.path.dirname(os.path.abspath(directory))
    os.makedirs(parent, exist_ok=True)
    fresh = tempfile.mkdtemp(prefix=".pki-", dir=parent)
    try:
        os.chmod(fresh, 0o755)
        _make(fresh)
        _write(os.path.join(fresh, "stamp"), _fingerprint())
        _replace(fresh, directory)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _replace(fresh, directory):
    old = f"{fresh}-old"
    try:
        os.rename(directory, old)
    except FileNotFoundError:
        pass
    try:
        os.rename(fresh, directory)
    except OSError:
        if not _is_current(directory):  # otherwise somebody else was as quick
            raise
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    make(sys.argv[1] if len(sys.argv) > 1 else default_directory())
