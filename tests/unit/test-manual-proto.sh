#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Holds io.ktlsd(7) against the table of errors, the interface and the limits, and runs its client.
# TAP on standard output; run from the top of the tree.

set -u
PAGE=proto/io.ktlsd.7
. tests/unit/tap.sh

mandoc -T lint -W warning $PAGE > "$work/lint" 2>&1
test_that "io.ktlsd(7) is a manual page without fault" "$work/lint"

grep -o '"[a-z.]*\.[A-Z][A-Za-z]*"' proto/error.def | tr -d '"' > "$work/errors"
sed -n 's/^\.It \([A-Z][A-Za-z]*\) Ta [a-z]* Ta .*/io.ktlsd.\1/p
	s/^\.It Ql \(org\.varlink\.service\.[A-Z][A-Za-z]*\)$/\1/p' $PAGE |
	grep -v 'service\.Get' > "$work/told"
same "io.ktlsd(7): the errors, in the order of the table" "$work/errors" "$work/told"

sed -n 's/^ERROR(.*"io\.ktlsd\.\([A-Za-z]*\)", E[A-Z]*, \([A-Z]*\),$/\1 \2/p' proto/error.def |
	sed 's/ADMINISTRATOR/administrator/; s/RETRY/later/; s/PEER/peer/; s/INTERNAL/nobody/' \
	> "$work/who"
sed -n 's/^\.It \([A-Z][A-Za-z]*\) Ta \([a-z]*\) Ta .*/\1 \2/p' $PAGE > "$work/told"
same "io.ktlsd(7): who can do something about each" "$work/who" "$work/told"

# Members stand in lines of their own in the description, several in one of an error.
sed 's/#.*//' proto/io.ktlsd.varlink proto/org.varlink.service.varlink | grep -o '[A-Za-z0-9]*:' |
	tr -d : | sort -u > "$work/members"
sed -n 's/^\.It Cm \(.*\)/\1/p; s/^\.Cm \(.*\)/\1/p' $PAGE | grep -o '[A-Za-z0-9]*' |
	sort -u > "$work/told"
comm -23 "$work/members" "$work/told" > "$work/missing"
[ -s "$work/members" ] || echo "there is nothing to compare" >> "$work/missing"
test_that "io.ktlsd(7) explains every member of the interface" "$work/missing"

grep -o 'PROTO_STAGE_[A-Z]*\] = "[a-z]*"' proto/status.c | grep -o '"[a-z]*"' | tr -d '"' |
	while read -r stage; do
		sed -n '/^\.It Cm stage/,/^\.It Cm message/p' $PAGE | grep -qw "$stage" ||
			echo "$stage"
	done > "$work/missing"
test_that "io.ktlsd(7) names every stage" "$work/missing"

# limit NAME [ADD]: the number, as the compiler sees it.
limit()
{
	echo $(($(printf '#include "proto/limits.h"\n%s\n' "$1" | gcc -I. -E -P -) + ${2:-0}))
}

tr '\n' ' ' < $PAGE > "$work/text"
while read -r name add text; do
	text=${text/N/$(limit "$name" "$add")}
	grep -qF -- "$text" "$work/text" || echo "$name: $text"
done > "$work/missing" << 'LIMITS'
PROTO_MESSAGE_MAX 0 more than N bytes
PROTO_CA_MAX 0 At most N bytes
PROTO_CA_CERTS_MAX 0 and N certificates
PROTO_DEPTH_MAX 0 more than N levels
PROTO_MEMBERS_MAX 0 more than N members
PROTO_PIPELINE_MAX 0 Up to N more calls
PROTO_PIPELINE_MAX 0 More than N calls that wait
PROTO_HOST_MAX 0 at most N bytes. IPv6
PROTO_CIPHERS_MAX 0 at most N bytes each
PROTO_NAME_MAX 0 given a name, of at most N bytes
PROTO_NAME_MAX 0 by its name of at most N bytes
PROTO_SUITES_MAX 0 the first N of them
PROTO_CERT_NAMES_MAX 0 own certificate, the first N of
PROTO_SUITES_MAX 0 also; the first N of them
PROTO_PINS_MAX 0 1 to N, of which one must match
PROTO_ALPN_MAX 0 1 to N, each of
PROTO_ALPN_NAME_MAX 0 1 to N bytes, without control
PROTO_TIMEOUT_MAX_MS 0 from 1 to N.
PROTO_TIMEOUT_DEFAULT_MS 0 The default is N.
PROTO_TEXT_MAX -1 of at most N bytes. What the peer
LIMITS
test_that "io.ktlsd(7) has the limits right" "$work/missing"

# The messages of the example are JSON; the client gets on with a service that says the same.
cat > "$work/run.py" << 'PYTHON'
import json
import re
import socket
import sys
import threading

page = open(sys.argv[1]).read().replace("\\e", "\\")
blocks = re.findall(r"\.Bd -literal\n(.*?)\.Ed", page, re.S)
session, client = blocks[0], blocks[1]
messages = re.findall(r"^[CS]: (.*?)\\0$", session, re.S | re.M)
parsed = [json.loads(re.sub(r"\n +", "", message)) for message in messages]
kinds = [list(message)[0] for message in parsed]
assert kinds == ["method", "parameters", "method", "error", "method", "error"], kinds

path = sys.argv[2]
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
given, kept = socket.socketpair()
calls = []


def serve():
    for reply, fds in ((parsed[1], [given.fileno()]), (parsed[5], []), (None, [])):
        caller = listener.accept()[0]
        with caller:
            text = b""
            while not text.endswith(b"\0"):
                text += caller.recv(65536)
            calls.append(json.loads(text[:-1]))
            if reply:
                text = json.dumps(reply).encode() + b"\0"
                socket.send_fds(caller, [text[:1]], fds)
                caller.sendall(text[1:])


threading.Thread(target=serve, daemon=True).start()
names = {}
exec(client.replace("/run/ktlsd/io.ktlsd", path), names)
sock, facts = names["connect"]("example.org", 443, trust={"store": "system"}, alpn=["http/1.1"])
assert calls == [parsed[0]], calls
assert facts == parsed[1]["parameters"]["session"]
assert not sock.get_inheritable()
sock.sendall(b"through")
assert kept.recv(64) == b"through"
refused = ("io.ktlsd.ConnectFailed", "192.0.2.9:443: Connection refused")
for wanted in (refused, ("ktlsd has hung up",)):
    try:
        names["connect"]("192.0.2.9", 443)
    except OSError as error:
        assert error.args == wanted, error.args
    else:
        raise AssertionError("no error")
PYTHON
timeout 20 python3 "$work/run.py" $PAGE "$work/socket" > "$work/wrong" 2>&1 ||
	echo "exit status $?" >> "$work/wrong"
test_that "io.ktlsd(7): its messages are JSON, and its client works" "$work/wrong"

done_testing
