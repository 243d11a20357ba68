#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The public header, alone and in every language that it promises; what the libraries show to the
# linker; the examples of libktls(3). TAP on standard output; run from the top of the tree, with O=
# the build directory.

set -u
O=${O:-build}
HEADER=client/ktls.h
PAGE=client/libktls.3
STRICT="-pedantic -Wall -Wextra -Wshadow -Wundef -Werror"
. tests/unit/tap.sh

# works COMMAND...: what it says if it fails.
works()
{
	"$@" > "$work/said" 2>&1 || { echo "$*"; cat "$work/said"; }
}

cat > "$work/use.c" << 'USE'
#include "ktls.h"
#include "ktls.h"
int main(void)
{
	return ktls_free(ktls_new()) != 0;
}
USE
cp "$work/use.c" "$work/use.cc"

while read -r compiler language file; do
	works "$compiler" -std="$language" $STRICT -Iclient -fsyntax-only "$work/$file" \
		> "$work/wrong"
	test_that "$HEADER is $language to $compiler" "$work/wrong"
done << 'LANGUAGES'
gcc c99 use.c
gcc c11 use.c
gcc c2x use.c
g++ c++17 use.cc
clang c99 use.c
clang c11 use.c
clang++ c++17 use.cc
LANGUAGES

# A program in C++ against the shared library, one in C against the static one.
{
	works g++ -std=c++17 $STRICT -Iclient -o "$work/shared" "$work/use.cc" "$O/libktls.so.0"
	works env LD_LIBRARY_PATH="$O" "$work/shared"
} > "$work/wrong"
test_that "a C++ program runs with libktls.so.0" "$work/wrong"
{
	works gcc -std=c99 $STRICT -Iclient -o "$work/static" "$work/use.c" "$O/libktls.a" -ljson-c
	works "$work/static"
} > "$work/wrong"
test_that "a C program runs with libktls.a" "$work/wrong"

grep -o '\bktls_[a-z0-9_]*(' $HEADER | tr -d '(' | sort -u > "$work/declared"
nm -D --defined-only "$O/libktls.so.0" | sed -n 's/.* [A-Z] //p' | grep -v '^LIBKTLS_0' |
	sed 's/@.*//' | sort -u | diff "$work/declared" - > "$work/wrong"
test_that "libktls.so.0 exports the functions of the header and no other" "$work/wrong"
nm -g --defined-only "$O/libktls.a" | sed -n 's/.* [A-Z] //p' | sort -u |
	diff "$work/declared" - > "$work/wrong"
test_that "libktls.a has the functions of the header and no other global name" "$work/wrong"
sed -n 's/^\t\(ktls_.*\);$/\1/p' client/libktls.map | sort | diff "$work/declared" - > "$work/wrong"
test_that "libktls.map lists the functions of the header" "$work/wrong"

{
	objdump -p "$O/libktls.so.0" > "$work/elf"
	sed -n 's/^ *NEEDED *//p' "$work/elf" | grep -v '^libjson-c\.\|^libc\.'
	grep -q 'SONAME *libktls\.so\.0$' "$work/elf" || echo "SONAME is not libktls.so.0"
	nm -D --undefined-only "$O/libktls.so.0" |
		grep -w 'getenv\|secure_getenv\|signal\|sigaction\|pthread_create'
} > "$work/wrong"
test_that "libktls.so.0 needs json-c and the C library, and no environment, signal or thread" "$work/wrong"

{
	export PKG_CONFIG_PATH=$O
	works pkg-config --validate libktls
	pkg-config --libs libktls | grep -q -- '-lktls' || echo "no -lktls"
	pkg-config --libs libktls | grep -- 'json'
	pkg-config --static --libs libktls | grep -q -- '-ljson-c' || echo "no -ljson-c"
} > "$work/wrong" 2>&1
test_that "libktls.pc is sound, and names json-c to static users alone" "$work/wrong"

# The examples: what stands in the literal blocks of the section, each a file.
awk -v to="$work/example" '
	/^\.Sh/ { inside = $2 == "EXAMPLES" }
	inside && /^\.Bd/ { n++; taking = 1; next }
	/^\.Ed/ { taking = 0 }
	taking { gsub(/\\e/, "\\"); print > (to n ".c") }
' $PAGE
ls "$work"/example*.c > "$work/examples" 2> /dev/null
: > "$work/wrong"
[ "$(wc -l < "$work/examples")" -ge 2 ] || echo "fewer than two" > "$work/wrong"
test_that "libktls(3) has examples" "$work/wrong"
while read -r example; do
	for compiler in gcc clang; do
		works $compiler -std=c99 -D_DEFAULT_SOURCE $STRICT -Iclient -fsyntax-only "$example"
	done > "$work/wrong"
	test_that "$(basename "$example" .c) of libktls(3) compiles" "$work/wrong"
done < "$work/examples"
works gcc -std=c99 -D_DEFAULT_SOURCE -Iclient -o "$work/example" "$work/example1.c" \
	"$O/libktls.so.0" > "$work/wrong"
test_that "the first example of libktls(3) links" "$work/wrong"

done_testing
