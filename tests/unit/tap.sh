# SPDX-License-Identifier: MIT
#
# For tests that are shell scripts: numbered results, a directory for their files, the plan at the
# end. To be read by ".".

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
count=0
failed=0

# test_that SENTENCE FILE: passed if FILE, the list of what is wrong, is empty.
test_that()
{
	count=$((count + 1))
	if [ -s "$2" ]; then
		failed=$((failed + 1))
		echo "not ok $count - $1"
		sed 's/^/# /' "$2"
	else
		echo "ok $count - $1"
	fi
}

# same SENTENCE FILE FILE: passed if the files are alike, and not empty.
same()
{
	diff -u "$2" "$3" > "$work/diff" 2>&1
	[ -s "$2" ] || echo "there is nothing to compare" >> "$work/diff"
	test_that "$1" "$work/diff"
}

# The end of the script: the plan, and the exit status.
done_testing()
{
	echo "1..$count"
	exit $((failed > 0))
}
