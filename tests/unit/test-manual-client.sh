#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Holds libktls(3) against ktls.h and the limits of the wire, and ktlsctl(1) against the program.
# TAP on standard output; run from the top of the tree, with O= the build directory.

set -u
O=${O:-build}
KTLSCTL=$O/ktlsctl
HEADER=client/ktls.h
PAGE=client/libktls.3
CTL_PAGE=client/ktlsctl.1
. tests/unit/tap.sh

# The prototypes of the header, one a line, in their order.
gcc -fpreprocessed -dD -E -P -x c $HEADER | grep -v '^#' | tr '\n' ' ' | sed 's/;/;\n/g' |
	sed -n 's/.*[{}]//; s/^ *//; s/  */ /g; s/ \*ktls/ * ktls/; /^[a-z].*ktls_[a-z0-9_]*(/p' \
	> "$work/header"
# The same of the manual.
awk '
	/^\.Sh/ { inside = $2 == "SYNOPSIS" }
	inside && /^\.Ft/ { sub(/^\.Ft /, ""); type = $0 }
	inside && /^\.Fn/ {
		line = $0
		name = $2
		arguments = ""
		while (match(line, /"[^"]*"/)) {
			if (arguments != "")
				arguments = arguments ", "
			arguments = arguments substr(line, RSTART + 1, RLENGTH - 2)
			line = substr(line, RSTART + RLENGTH)
		}
		print type " " name "(" (arguments == "" ? "void" : arguments) ");"
	}
' $PAGE > "$work/page"
sort "$work/header" > "$work/header-sorted"
sort "$work/page" > "$work/page-sorted"
same "libktls(3): the functions and their types" "$work/header-sorted" "$work/page-sorted"

# Every function is told of beyond the synopsis.
sed '1,/^\.Sh DESCRIPTION/d' $PAGE > "$work/text"
grep -o '\bktls_[a-z0-9_]*(' $HEADER | tr -d '(' | sort -u | while read -r name; do
	grep -q "Fn $name\b" "$work/text" || echo "$name"
done > "$work/missing"
test_that "libktls(3) explains every function" "$work/missing"

grep -o '^	KTLS_[A-Z0-9_]*' $HEADER | tr -d '\t' |
	grep -v '^KTLS_OK$\|^KTLS_TLS_DEFAULT$' | sort > "$work/wanted"
grep -o '\bKTLS_[A-Z0-9_]*' "$work/text" | sort -u | grep -v '^KTLS_OK$' > "$work/found"
same "libktls(3): the constants" "$work/wanted" "$work/found"

# Where text names a limit, the sources have it so.
while IFS=$'\t' read -r page text file pattern; do
	tr '\n' ' ' < "$page" | grep -qF -- "$text" || echo "$page does not say $text"
	grep -qE -- "$pattern" "$file" || echo "$file does not have $pattern"
done > "$work/limits" << 'LIMITS'
client/libktls.3	they may come to 384 KiB	proto/limits.h	PROTO_CA_MAX \(384 \* 1024\)
client/libktls.3	up to 16 MiB	client/certificates.c	CERTIFICATES_FILE_MAX \(16 \* 1024 \* 1024\)
client/libktls.3	at most 64 bytes	proto/limits.h	PROTO_NAME_MAX 64$
client/libktls.3	Any one of at most 16 is enough	proto/limits.h	PROTO_PINS_MAX 16$
client/libktls.3	of 1 to 255 bytes, the best first, at most 16	proto/limits.h	PROTO_ALPN_NAME_MAX 255$
client/libktls.3	the best first, at most 16	proto/limits.h	PROTO_ALPN_MAX 16$
client/libktls.3	at most 1024 bytes each	proto/limits.h	PROTO_CIPHERS_MAX 1024$
client/libktls.3	1 to 120000	proto/limits.h	PROTO_TIMEOUT_MAX_MS 120000$
client/libktls.3	The default is 20000	proto/limits.h	PROTO_TIMEOUT_DEFAULT_MS 20000$
client/libktls.3	at most 255)	client/ask.c	METHOD_MAX 255$
client/libktls.3	gives up two seconds later	client/internal.h	KTLS_MARGIN_MS 2000$
client/libktls.3	/run/ktlsd/io.ktlsd	client/ktls.h	KTLS_SOCKET "/run/ktlsd/io.ktlsd"
client/ktlsctl.1	/run/ktlsd/io.ktlsd	client/ktls.h	KTLS_SOCKET "/run/ktlsd/io.ktlsd"
client/ktlsctl.1	0.001 to 120.	proto/limits.h	PROTO_TIMEOUT_MAX_MS 120000$
client/ktlsctl.1	The default is 20.	proto/limits.h	PROTO_TIMEOUT_DEFAULT_MS 20000$
client/ktlsctl.1	Ev KTLSD_SOCKET	client/ktlsctl.c	secure_getenv\("KTLSD_SOCKET"\)
client/ktlsctl.1	127 if there is no such program	client/ctl-exec.c	EXIT_NOT_FOUND 127$
client/ktlsctl.1	126 if it cannot be run	client/ctl-exec.c	EXIT_CANNOT_RUN 126$
client/ktlsctl.1	as descriptor 3	client/ctl-exec.c	LISTEN_FDS_START 3
LIMITS
test_that "the manuals' limits are those of the sources" "$work/limits"

# options_of_help COMMAND...: "-h" and "--name VALUE" of each option, VALUE in capitals as in the help.
options_of_help()
{
	"$KTLSCTL" "$@" --help | sed -En 's/^  (-., |    )(--[a-z-]+)( [A-Z]+)? .*/\1\n\2\3/p' |
		sed 's/,* *$//; /^$/d' | sort
}

# section LINE: what the page has between that line and the next section.
section()
{
	awk -v line="$1" '
		/^\.S[sh] / { inside = $0 == line }
		inside' $CTL_PAGE
}

# options_of_page LINE...: the same from the lists of these sections.
options_of_page()
{
	for line in "$@"; do
		section "$line" | sed -n 's/^\.It \(Fl .*\)/\1/p' | sed 's/ , /\n/g'
	done | sed -E 's/^Fl Fl ([a-z-]+)( Ar ([a-z]+))?$/--\1 \U\3/; s/^Fl (.)$/-\1/; s/ $//' | sort
}

# Where options that commands share are told.
SHARED=(".Sh REQUEST OPTIONS" ".Sh OUTPUT")

# options_of_command COMMAND: the same of its own section and those of SHARED that it refers to.
options_of_command()
{
	local sections=(".Ss $1") line

	for line in "${SHARED[@]}"; do
		section ".Ss $1" | grep -q "^\.Sx ${line#.Sh }\( [,.]\)*$" && sections+=("$line")
	done
	{ options_of_page "${sections[@]}"; printf '%s\n' -h --help "--socket PATH"; } | sort
}

options_of_help > "$work/help"
options_of_page ".Sh DESCRIPTION" > "$work/page"
same "ktlsctl(1): the options of ktlsctl" "$work/help" "$work/page"

"$KTLSCTL" --help | sed -n 's/^  \([a-z]\{2,\}\) .*/\1/p' > "$work/commands"
sed -n '/^\.Sh COMMANDS/,/^\.Sh [^C]/s/^\.Ss //p' $CTL_PAGE > "$work/page"
same "ktlsctl(1): the commands" "$work/commands" "$work/page"

# "connect host:port", "completion bash|zsh|fish".
"$KTLSCTL" --help | sed -En 's/^  ([a-z].{10}) (.{16}) .*/\1 \2/p' | tr A-Z a-z | tr -s ' ' | sed 's/ $//' > "$work/help"
section ".Sh SYNOPSIS" | awk '
	named && /^\.Cm/ {
		line = $2
		if (getline > 0 && /^\.(Op )?\.?(Ar|Cm) [a-z]/) {
			optional = /^\.Op/
			gsub(/^\.| |Op|Ns|Ar|Cm/, "")
			line = line " " (optional ? "[" $0 "]" : $0)
		}
		print line
	}
	{ named = /^\.Nm$/ }' | sed 's, \[option\.\.\.\]$,,' > "$work/page"
same "ktlsctl(1): the commands of the synopsis, and their operands" "$work/help" "$work/page"

while read -r command; do
	options_of_help "$command" > "$work/help"
	options_of_command "$command" > "$work/page"
	same "ktlsctl(1): the options of $command" "$work/help" "$work/page"
	uniq -d "$work/help" > "$work/twice"
	test_that "ktlsctl $command has no option twice" "$work/twice"
	"$KTLSCTL" "$command" --help | sed 1q > "$work/usage"
	grep "^Usage: ktlsctl $command\b" "$work/usage" > /dev/null && : > "$work/usage"
	test_that "ktlsctl $command --help begins with how to use it" "$work/usage"
done < "$work/commands"

grep -o 'KTLS_WHO_[A-Z]* = [0-9]' $HEADER | sed 's/.* //' > "$work/header"
sed -n '/^\.Sh EXIT STATUS/,/^\.El/s/^\.It \([0-9]*\)$/\1/p' $CTL_PAGE > "$work/page"
same "ktlsctl(1): the exit statuses" "$work/header" "$work/page"

grep -oE '(put|object_add)\(error, "[a-zA-Z0-9]+"' client/ctl-service.c | cut -d'"' -f2 > "$work/source"
section ".Sh OUTPUT" | sed -n 's/^\.It Cm //p' > "$work/page"
same "ktlsctl(1): the members of a failure" "$work/source" "$work/page"

# mandoc looks for the pages that are referred to among those installed; ours are in the tree.
for page in $PAGE $CTL_PAGE; do
	mandoc -T lint $page 2>&1 | grep -v 'referenced manual not found\|outdated mandoc.db'
done > "$work/lint"
test_that "mandoc finds nothing wrong" "$work/lint"

sed -n 's/^\.Xr \([^ ]*\) \([^ ]*\).*/\1.\2/p' $PAGE $CTL_PAGE | sort -u |
while read -r page; do
	case $page in
	*ktls*) ls {daemon,client,proto,conf}/"$page" 2> /dev/null | grep -q . || echo "$page" ;;
	esac
done > "$work/pages"
test_that "the pages of ours that are referred to are there" "$work/pages"

done_testing
