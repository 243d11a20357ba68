#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Holds ktlsd(8) against the program, and ktlsd.conf(5) and the shipped ktlsd.conf against the table
# of options. TAP on standard output; run from the top of the tree, with O= the build directory.

set -u
O=${O:-build}
KTLSD=$O/ktlsd
PAGE=daemon/ktlsd.8
CONF_PAGE=conf/ktlsd.conf.5
CONF=conf/ktlsd.conf
. tests/unit/tap.sh

# Each option as section, key, type, default, min, max, unit, sentence, with tabs between.
options()
{
	${CC:-cc} -E -P -x c '-DOPTION(s,k,f,t,d,lo,hi,u,text)=ROW|s|k|t|d|lo|hi|u|text' daemon/options.def |
	tr '\n' ' ' | sed 's/ROW/\n/g; s/" *"//g' | sed -n 's/ *| */\t/g; s/"//g; s/ *$//; s/^\t//p'
}

# What the manual has to say about each option, from the table: key, sentence, default, range.
wanted_of_manual()
{
	awk -F '\t' '
	{
		range = ""
		if ($3 == "COUNT")
			range = "Range: " $5 " to " $6
		else if ($3 == "TIME")
			range = "Range: " $5 / 1000 " to " $6 / 1000 " " $7
		else if ($3 != "FLAG" && $3 != "ACTION")
			range = "Length: " $5 " to " $6 " bytes"
		print $1 "\t" $2 "\t" $8 "\t" $4 "\t" range
	}' "$work/options"
}

# The same from the manual. A default is what is marked as literal behind "Default".
found_in_manual()
{
	awk '
	function finish() {
		if (key != "")
			print section "\t" key "\t" sentence "\t" value "\t" range
		key = sentence = value = range = ""
		taking = 0
	}
	/^\.S[sh] / { finish(); section = $2; gsub(/[][]/, "", section); next }
	/^\.It Cm / { finish(); key = $3; next }
	key == "" { next }
	/^\.El/ { finish(); next }
	sentence == "" { sentence = $0; next }
	/^Default/ { taking = 1; next }
	/^(Range|Length): / { range = $0; sub(/\.$/, "", range); taking = 0; next }
	taking && /^\.Ql / && $3 == "." { value = value $2; taking = 0; next }
	taking && /^\.Bd / { literal = 1; next }
	taking && /^\.Ed/ { literal = taking = 0; next }
	taking && literal { value = value $0 }
	' $CONF_PAGE
}

# Every key of the shipped file with its section, the comment above it, and its value there.
# Policies with another name than the built-in one are not meant, nor are values of keys without a
# default.
found_in_conf()
{
	awk -F '\t' '
	NR == FNR { fallback[$1, $2] = $4; next }
	/^#?\[/ {
		section = $0
		gsub(/[][#]/, "", section)
		split(section, word, " ")
		if (word[1] == "Policy" && word[2] != "default")
			section = ""
		next
	}
	/^# / { sentence = substr($0, 3); next }
	/^#?[A-Za-z]+=/ && section != "" {
		sub(/^#/, "")
		at = index($0, "=")
		key = substr($0, 1, at - 1)
		value = fallback[word[1], key] == "" ? "" : substr($0, at + 1)
		print word[1] "\t" key "\t" sentence "\t" value
	}' "$work/wanted-conf" $CONF
}

# What the shipped file sets, as section and key.
set_in_conf()
{
	awk '
	/^\[/ { section = $0 }
	/^[A-Za-z]/ { print section " " substr($0, 1, index($0, "=") - 1) }' $CONF
}

options > "$work/options"
[ "$(grep -c . "$work/options")" = "$(grep -c '^OPTION(' daemon/options.def)" ] ||
	echo "not every line of the table was read" > "$work/table"
test_that "the table of options can be read" "$work/table"

wanted_of_manual > "$work/wanted"
found_in_manual > "$work/found"
same "ktlsd.conf(5): sections, keys, sentences, defaults and ranges" "$work/wanted" "$work/found"

cut -f 1,2,3,4 "$work/wanted" > "$work/wanted-conf"
found_in_conf > "$work/found-conf"
same "the shipped ktlsd.conf: sections, keys, sentences and defaults" "$work/wanted-conf" \
	"$work/found-conf"

cat > "$work/wanted" << 'SET'
[Policy strict] Ciphers
[Policy strict] Groups
[Policy strict] SignatureAlgorithms
[Policy xenserver] Ciphers
[Policy xenserver] Groups
[Access ktls] Groups
[Access ktls] NotAddresses
SET
set_in_conf > "$work/set"
same "the shipped ktlsd.conf sets two policies and a rule" "$work/wanted" "$work/set"

# mandoc looks for the pages that are referred to among those installed; ours are in the tree.
for page in $PAGE $CONF_PAGE; do
	mandoc -T lint $page 2>&1 | grep -v 'referenced manual not found\|outdated mandoc.db'
done > "$work/lint"
test_that "mandoc finds nothing wrong" "$work/lint"

sed -n 's/^\.Xr \([^ ]*\) \([^ ]*\).*/\1.\2/p' $PAGE $CONF_PAGE | sort -u |
while read -r page; do
	case $page in
	*ktls*) ls {daemon,client,proto,conf}/"$page" 2> /dev/null | grep -q . || echo "$page" ;;
	esac
done > "$work/pages"
test_that "the pages of ours that are referred to are there" "$work/pages"

# The options: `  --name ARGUMENT  Sentence.` of the help, `.It Fl -name Ar ARGUMENT` of the page.
"$KTLSD" --help 2>&1 | sed -n 's/^  --\([a-z-]*\) \([A-Z]*\).*/\1 \2/p; ' > "$work/help"
sed -n 's/^\.It Fl -\([a-z-]*\)\( Ar \([A-Z]*\)\)\{0,1\}$/\1 \3/p' $PAGE > "$work/page"
same "ktlsd(8): the options of --help" "$work/help" "$work/page"

"$KTLSD" --help 2>&1 | sed -n 's/^  --[a-z-]* [A-Z]* *\([A-Z].*\.\)$/\1/p' > "$work/sentences"
while read -r sentence; do
	tr '\n' ' ' < $PAGE | sed 's/\.Ar //g; s/ ,/,/g' | grep -qF "${sentence%.}" ||
		echo "$sentence"
done < "$work/sentences" > "$work/missing"
[ -s "$work/sentences" ] || echo "there are no sentences" > "$work/missing"
test_that "ktlsd(8): the sentences of --help" "$work/missing"

# Exit statuses, each as it is and as the page has it.
printf '[Nothing]\n' > "$work/bad.conf"
{
	"$KTLSD" --config /dev/null --check-config > /dev/null 2>&1; echo $?
	"$KTLSD" --config "$work/bad.conf" --check-config > /dev/null 2>&1; echo $?
	"$KTLSD" --bogus > /dev/null 2>&1; echo $?
} > "$work/statuses"
sed -n '/^\.Sh EXIT STATUS/,/^\.El/s/^\.It \([0-9]*\)$/\1/p' $PAGE > "$work/page"
same "ktlsd(8): the exit statuses" "$work/statuses" "$work/page"

# What the page says that the sources decide.
while IFS=$'\t' read -r text file pattern; do
	grep -qF -- "$text" $PAGE || echo "$PAGE does not say $text"
	grep -q -- "$pattern" "$file" || echo "$file does not have $pattern"
done > "$work/facts" << 'FACTS'
/run/ktlsd/io.ktlsd	daemon/endpoint.h	ENDPOINT_DIRECTORY "/run/ktlsd"
/io.ktlsd	daemon/endpoint.h	ENDPOINT_DEFAULT ENDPOINT_DIRECTORY "/io.ktlsd"
.Ql ktls ,	daemon/endpoint.h	ENDPOINT_GROUP "ktls"
mode 0660	daemon/endpoint.c	0660
.Ql ktlsd	daemon/privileges.c	"ktlsd"
.Ql nobody	daemon/privileges.c	"nobody"
SIGTERM	daemon/supervisor.c	SIGTERM
SIGINT	daemon/supervisor.c	SIGINT
SIGHUP	daemon/supervisor.c	SIGHUP
RELOADING=1	daemon/supervisor.c	RELOADING=1
WATCHDOG=1	daemon/notify.c	WATCHDOG=1
STATUS=	daemon/supervisor.c	STATUS=
ktlsd-worker	daemon/worker.c	"ktlsd-worker"
ktlsd-resolver	daemon/nursery.c	"ktlsd-resolver"
for five seconds	daemon/minder.h	MINDER_PINGS_MAX 5$
each second	daemon/supervisor.c	PULSE 1.0
up to half a second	daemon/generation.h	GENERATION_REST_MAX 0.5$
than 128 at	daemon/ledger.h	LEDGER_SEATS 128$
the 4096 of whom	daemon/ledger.h	LEDGER_ACCOUNTS 4096$
READY=1	daemon/supervisor.c	READY=1
STOPPING=1	daemon/supervisor.c	STOPPING=1
ktlsd-nursery	daemon/nursery.c	ktlsd-nursery
ktlsd-keeper	daemon/nursery.c	ktlsd-keeper
JOURNAL_STREAM	daemon/log.c	JOURNAL_STREAM
/run/systemd/journal/socket	daemon/journal.h	JOURNAL_SOCKET "/run/systemd/journal/socket"
SYSLOG_IDENTIFIER=ktlsd	daemon/log.c	"SYSLOG_IDENTIFIER", "ktlsd"
cut to 256 bytes	daemon/log.h	LOG_VALUE_MAX 256
AllowVerifyNone	daemon/options.def	AllowVerifyNone
FACTS
test_that "ktlsd(8): names, modes and signals of the sources" "$work/facts"

# The limits that are spoken of are among the options.
sed -n 's/^\.Cm \([A-Z][A-Za-z]*\).*/\1/p' $PAGE | sort -u > "$work/spoken-of"
cut -f 2 "$work/options" | cat - <(echo User) | sort -u > "$work/keys"
comm -23 "$work/spoken-of" "$work/keys" > "$work/unknown"
[ "$(grep -c . "$work/spoken-of")" -gt 5 ] || echo "too few keys were found" > "$work/unknown"
test_that "ktlsd(8): the keys of the configuration that it speaks of" "$work/unknown"

# The shipped file is good as it is and with every setting in force. Its example of a store needs a
# file, and its rule a group, which comes with the installation.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=example -days 2 \
	-keyout /dev/null -out "$work/ca.pem" 2> "$work/openssl" || cat "$work/openssl"
sed "s/^Groups=ktls/Groups=$(id -gn)/" $CONF > "$work/as-is.conf"
sed 's/^#\([^ ]\)/\1/; s|^File=.*|File='"$work"'/ca.pem|' "$work/as-is.conf" \
	> "$work/uncommented.conf"
for file in as-is uncommented; do
	"$KTLSD" --check-config --config "$work/$file.conf" > "$work/check" 2>&1 ||
		echo "exit status $?" >> "$work/check"
	test_that "the shipped ktlsd.conf, $file, passes --check-config" "$work/check"
done

# Faults of every kind are told in one run, with the line of the key: by the check as by the start,
# which ends there.
cat > "$work/faults.conf" << 'FAULTS'
NoDelay=yes
[Nothing]
[Service]
Foo=1
NoDelay=maybe
[Limits]
Connections=0
[Policy p]
Ciphers=AES:TYPO
Groups=P-1:X25519
SignatureAlgorithms=RSA
[Store named-nowhere]
[Store relative]
File=ca.pem
[Policy q]
Groups=P-256
Ciphers=AES128-SHA
[Store missing]
File=/nonexistent/ca.pem
[Store no-certificate]
File=/dev/null
[Access a]
Users=nobody-of-that-name
Ports=443-80
Policies=p none
Stores=none system
FAULTS
cat > "$work/wanted" << 'FAULTS'
1: NoDelay
2: [Nothing]
4: Foo
5: NoDelay
7: Connections
9: Ciphers
10: Groups
11: SignatureAlgorithms
12: File
14: File
17: Ciphers
19: File
21: File
23: Users
24: Ports
25: Policies
26: Stores
1
FAULTS
for run in --check-config "--socket $work/socket"; do
	{
		# shellcheck disable=SC2086
		timeout 60 "$KTLSD" --config "$work/faults.conf" $run 2>&1 > /dev/null
		echo $?
	} | sed "s|^$work/faults.conf:\([0-9]*: [^:]*\): .*|\1|" | sort -n > "$work/found"
	sort -n "$work/wanted" > "$work/sorted"
	same "all faults in one run: ${run%% *}" "$work/sorted" "$work/found"
done

done_testing
