#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Holds the ids of the journal's entries, the catalog that explains them and ktlsd(8) against each
# other, and the fields of a record against both. TAP on standard output; run from the top of the
# tree.

set -u
EVENTS=daemon/events.h
RECORD=daemon/record.c
MINDER=daemon/minder.c
CATALOG=systemd/ktlsd.catalog
PAGE=daemon/ktlsd.8
. tests/unit/tap.sh

# id, tab, name: "request done" of EVENT_REQUEST_DONE.
events()
{
	sed -n 's/^#define EVENT_\([A-Z_]*\) "\([0-9a-f]*\)"$/\2\t\L\1/p' $EVENTS |
	tr _ ' ' | sed 's/ tls / TLS /'
}

entries()
{
	sed -n 's/^-- \(.*\)$/\1/p' $CATALOG
}

# What journalctl takes from it, for what must be there of every entry: a subject of one line, who
# defines it, a text, and in it who is to do what. Nothing is longer than a terminal is wide.
faults()
{
	awk '
	function finish() {
		if (id == "")
			return
		if (id !~ /^[0-9a-f]+$/ || length(id) != 32)
			print id ": is no id"
		if (subject == 0 || defined == 0)
			print id ": has no subject, or nobody defines it"
		if (text < 3)
			print id ": explains nothing"
		if (!cure)
			print id ": does not say who can mend it"
	}
	length($0) > 80 && !/^#/ { print "line " NR ": too long" }
	/^#/ { next }
	/^-- / { finish(); id = $2; header = 1; subject = defined = text = cure = 0; next }
	header && /^$/ { header = 0; next }
	header && /^Subject: [A-Za-z].*[^.]$/ { subject++; next }
	header && /^Defined-By: ktlsd$/ { defined++; next }
	header && /^Documentation: man:/ { next }
	header { print "line " NR ": is no header"; next }
	id == "" && NF { print "line " NR ": belongs to no entry"; next }
	NF { text++ }
	/administrator|nothing to be done|should/ { cure = 1 }
	END { finish() }
	' $CATALOG
}

# Each text as it stands in the file, in the order of the ids.
texts()
{
	entries | sort | while read -r id; do
		echo "-- $id"
		awk -v "id=$id" '/^-- / { on = $2 == id; next } on' $CATALOG | grep .
	done
}

events > "$work/events"
[ "$(cut -f 1 "$work/events" | grep -cx '[0-9a-f]\{32\}')" = \
	"$(grep -c '^#define' $EVENTS)" ] || cat "$work/events" > "$work/odd"
cut -f 1 "$work/events" | sort | uniq -d >> "$work/odd"
cut -f 2 "$work/events" | sort | uniq -d >> "$work/odd"
test_that "every event has an id of its own" "$work/odd"

cut -f 1 "$work/events" > "$work/ids"
entries > "$work/entries"
same "the catalog has an entry for each event, in their order, and no other" "$work/ids" \
	"$work/entries"

faults > "$work/faults"
test_that "every entry has a subject, an explanation, and somebody who can mend it" "$work/faults"

# journalctl's own reading of it.
mkdir -p "$work/root/usr/lib/systemd/catalog" "$work/root/var/lib/systemd/catalog"
cp $CATALOG "$work/root/usr/lib/systemd/catalog"
journalctl "--root=$work/root" --update-catalog > "$work/update" 2>&1 ||
	echo "exit status $?" >> "$work/update"
test_that "journalctl --update-catalog finds nothing wrong" "$work/update"
sort "$work/ids" | while read -r id; do
	journalctl "--root=$work/root" --dump-catalog "$id" 2>&1 | grep .
done > "$work/dump"
texts > "$work/texts"
same "what journalctl has read is what is written" "$work/texts" "$work/dump"

sed -n 's/^\.It \([0-9a-f]*\) Ta \(.*\)$/\1\t\2/p' $PAGE > "$work/page"
same "ktlsd(8): the events" "$work/events" "$work/page"

sed -n 's/^\t{ "\(KTLSD_[A-Z0-9_]*\)", .*/\1/p' $RECORD > "$work/fields"
sed -n '1,/^The entry of a worker/s/^\.It Ev \(KTLSD_[A-Z0-9_]*\)$/\1/p' $PAGE > "$work/page"
same "ktlsd(8): the fields of a record, in their order" "$work/fields" "$work/page"

grep -o '"KTLSD_[A-Z_]*"' $MINDER | tr -d '"' > "$work/loss"
sed -n '/^The entry of a worker/,/^\.El/s/^\.It Ev \(KTLSD_[A-Z_]*\)$/\1/p' $PAGE > "$work/page"
same "ktlsd(8): the field of a worker that was lost" "$work/loss" "$work/page"
cat "$work/loss" >> "$work/fields"

grep -o 'KTLSD_[A-Z0-9_]*' $CATALOG $PAGE | cut -d : -f 2 | sort -u |
	grep -vxF -f "$work/fields" > "$work/unknown"
test_that "catalog and ktlsd(8) speak of no other field" "$work/unknown"

# The shape that systemd replaces; a lone @ would stay.
grep -n '@' $CATALOG | grep -vE '^[0-9]+:([^@]*@KTLSD_[A-Z0-9_]+@)+[^@]*$' > "$work/at"
test_that "every @ of the catalog encloses a field" "$work/at"

# The catalog tells of errors by their names, all but those of a call that is no request.
sed -n '/Interface\|Method/d; s/^ERROR([A-Z_]*, [0-9]*, "[a-z.]*\.\([A-Za-z]*\)".*/\1/p' proto/error.def |
while read -r error; do
	grep -qE "^([A-Za-z]+, )*$error[,:]" $CATALOG || echo "$error"
done > "$work/errors"
test_that "the catalog says who can mend which error" "$work/errors"

done_testing
