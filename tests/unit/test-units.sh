#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Holds what is in systemd/ against systemd's own judgement, and against the program and its manual; and what make install puts
# where shells look.
# TAP on standard output; run from the top of the tree, with O= the build directory.

set -u
O=$(realpath "${O:-build}")
. tests/unit/tap.sh

# As installed under a prefix in which the program is there.
units=$work/units
mkdir -p "$units" "$work/sbin"
ln -s "$O/ktlsd" "$work/sbin/ktlsd"
cp systemd/ktlsd.socket "$units"
sed "s|@PREFIX@|$work|g" systemd/ktlsd.service.in > "$units/ktlsd.service"

# set_in FILE KEY: its values, one a line.
set_in()
{
	sed -n "s/^$2=//p" "$1"
}

for unit in socket service; do
	SYSTEMD_UNIT_PATH=$units: systemd-analyze verify --man=no "$units/ktlsd.$unit" \
		> "$work/verify" 2>&1 || echo "exit status $?" >> "$work/verify"
	test_that "systemd-analyze verify has nothing to say of ktlsd.$unit" "$work/verify"
done

# In tenths. Offline it reads the file alone.
systemd-analyze security --no-pager --offline=true --threshold=13 "$units/ktlsd.service" \
	> "$work/security" 2>&1 && : > "$work/security"
test_that "systemd-analyze security: an exposure of 1.3 at most" "$work/security"

systemd-sysusers --dry-run "$PWD/systemd/ktlsd.sysusers" > "$work/sysusers" 2>&1 && : > "$work/sysusers"
test_that "systemd-sysusers understands its file" "$work/sysusers"

grep -v '^#' systemd/ktlsd.modules-load | grep -v '^[a-z0-9_]*$' > "$work/modules"
grep -qx tls systemd/ktlsd.modules-load || echo "tls is missing" >> "$work/modules"
test_that "modules-load has names of modules, and tls among them" "$work/modules"

set_in "$units/ktlsd.socket" Documentation > "$work/pages"
set_in "$units/ktlsd.service" Documentation >> "$work/pages"
tr ' ' '\n' < "$work/pages" | sed 's/^man:\(.*\)(\(.\))$/\1.\2/' | sort -u |
while read -r page; do
	ls {daemon,client,proto,conf}/"$page" 2> /dev/null | grep -q . || echo "there is no $page"
done > "$work/missing"
test_that "the manual pages that the units name are there" "$work/missing"

# What the sources decide: path, group.
while read -r key pattern; do
	grep -q "$pattern" daemon/endpoint.h || echo "daemon/endpoint.h has no $pattern"
	set_in "$units/ktlsd.socket" "$key"
done > "$work/found" << 'FACTS'
ListenStream ENDPOINT_DIRECTORY "/run/ktlsd"
SocketGroup ENDPOINT_GROUP "ktls"
SocketMode ENDPOINT_GROUP
FACTS
printf '%s\n' /run/ktlsd/io.ktlsd ktls 0660 > "$work/wanted"
same "the socket is where ktlsd and its clients have it, and for whom" "$work/wanted" "$work/found"
sed -n 's/^g \([^ ]*\) .*/\1/p' systemd/ktlsd.sysusers > "$work/group"
echo ktls > "$work/wanted"
same "the group of the socket is the one that is made" "$work/wanted" "$work/group"

# The words of ExecStart and ExecReload, as the program takes them.
"$O/ktlsd" --help > "$work/help"
{ set_in "$units/ktlsd.service" ExecStart; set_in "$units/ktlsd.service" ExecReload; } |
grep ktlsd | tr ' ' '\n' | sed -n 's/^--//p' |
while read -r option; do
	grep -q "^  --$option " "$work/help" || echo "ktlsd has no --$option"
done > "$work/options"
test_that "ktlsd has the options that the unit gives it" "$work/options"

# As built: what is made anew for another PREFIX may be in use by other tests.
root=$work/root
make -s -o all install O="$O" PREFIX=/usr DESTDIR="$root" > "$work/install" 2>&1 && : > "$work/install"
test_that "make install does it" "$work/install"
while read -r shell file; do
	cmp "$O/completion/$shell" "$root/usr/share/$file" 2>&1
	"$root/usr/bin/ktlsctl" completion "$shell" | cmp - "$root/usr/share/$file" 2>&1
done > "$work/completion" << 'COMPLETION'
bash bash-completion/completions/ktlsctl
zsh zsh/site-functions/_ktlsctl
fish fish/vendor_completions.d/ktlsctl.fish
COMPLETION
test_that "make install: the completion for each shell is the one of the program" "$work/completion"

PATH=$root/usr/bin:$PATH XDG_DATA_DIRS=$root/usr/share HOME=$work fish -c 'complete -C "ktlsctl complet"' 2>&1 | cut -f 1 > "$work/fish"
echo completion > "$work/wanted"
same "fish finds it there" "$work/wanted" "$work/fish"
zsh -fc "fpath=($root/usr/share/zsh/site-functions \$fpath); autoload -Uz compinit && compinit -D -u
	print \$_comps[ktlsctl]" > "$work/zsh" 2>&1
echo _ktlsctl > "$work/wanted"
same "zsh finds it there" "$work/wanted" "$work/zsh"

make -s uninstall O="$O" PREFIX=/usr DESTDIR="$root" > "$work/uninstall" 2>&1
find "$root" ! -type d >> "$work/uninstall"
echo "$root/etc/ktlsd/ktlsd.conf" > "$work/wanted"
same "make uninstall leaves the configuration alone" "$work/wanted" "$work/uninstall"

done_testing
