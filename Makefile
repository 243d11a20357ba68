# SPDX-License-Identifier: MIT
#
#   make deps        install what building and testing needs (Debian packages)
#   make all         build/ktlsd, build/ktlsctl, build/libktls.so.0, build/libktls.a
#   make demo        a kernel-TLS socket from start to end, shown; does deps and all by itself
#   make check       the whole suite; does deps and all by itself
#   make check-long  the same with the long runs
#   make bench       what a request costs, in a guest whose clock counts instructions
#   make lint        rules of the house, compilers' analysers, manuals
#   make install     DESTDIR=, PREFIX=/usr/local, SYSCONFDIR=/etc
#
# One variant of the build per directory: make O=build/asan SAN=address,undefined CC=clang

VERSION := 0.1.0
ABI := 0

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
# Under /usr, Debian's zsh looks into /usr/share/zsh/vendor-completions instead.
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
O ?= build
SAN ?=
SHELL := /bin/bash
# make V=1 shows the commands, make -s nothing.
Q := $(if $(V),,@)
say = $(if $(V)$(findstring s,$(firstword -$(MAKEFLAGS))),,@echo '  $(1)	$(2)')

PACKAGES := gcc g++ clang make pkg-config binutils python3 libc6-dev libev-dev libjson-c-dev libssl-dev libsystemd-dev libinih-dev \
	libseccomp-dev libmnl-dev libcmocka-dev openssl valgrind strace iproute2 kmod mount util-linux mandoc man-db ca-certificates universal-ctags \
	user-mode-linux systemd procps stunnel4 gnutls-bin nginx-light zsh fish python3-prometheus-client

# Everything is position-independent: what the library shares with the daemon is compiled once.
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wparentheses \
	-Wpointer-arith -Wwrite-strings -Wundef -Wno-unused-parameter -Wno-missing-field-initializers
HARDENING := $(if $(SAN),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fstack-clash-protection -fPIC
CFLAGS ?= -O2 -g
DEFINES := -D_GNU_SOURCE -DKTLSD_VERSION='"$(VERSION)"' -DKTLSD_SYSCONFDIR='"$(SYSCONFDIR)"'
SANITIZE := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
C_FLAGS := -std=gnu11 -I. -I$(O) -I$(O)/gen $(CFLAGS) $(WARNINGS) $(HARDENING) $(SANITIZE) $(DEFINES) \
	$(shell pkg-config --cflags json-c libsystemd 2>/dev/null)
LD_FLAGS = -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS) $(SANITIZE)

DAEMON_LIBS := -lev -lssl -lcrypto -linih -lseccomp $(shell pkg-config --libs json-c libsystemd 2>/dev/null)
CLIENT_LIBS := $(shell pkg-config --libs json-c 2>/dev/null)
CTL_LIBS := $(shell pkg-config --libs json-c libmnl 2>/dev/null)

# Sources are what stands in the folders; programs differ in their main alone.
PROTO := $(wildcard proto/*.c)
CTL := client/ktlsctl.c $(wildcard client/ctl-*.c)
LIBRARY := $(filter-out $(CTL),$(wildcard client/*.c))
DAEMON := $(filter-out daemon/main.c,$(wildcard daemon/*.c))
UNIT := $(patsubst tests/unit/%.c,$(O)/unit/%,$(wildcard tests/unit/test-*.c))
objects = $(patsubst %.c,$(O)/obj/%.o,$(1))
EMBEDDED := $(wildcard proto/*.varlink client/completion.*)
GENERATED := $(patsubst %,$(O)/gen/%.h,$(notdir $(EMBEDDED)))
COMPLETION := $(addprefix $(O)/completion/,bash zsh fish)

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all deps unit variants demo check check-long bench lint install uninstall clean FORCE

all: $(O)/ktlsd $(O)/ktlsctl $(O)/libktls.so.$(ABI) $(O)/libktls.a $(O)/libktls.pc $(O)/ktlsd.service $(COMPLETION)

$(O)/ktlsd: $(call objects,daemon/main.c $(DAEMON) $(PROTO))
	$(call say,LINK,$@)
	$(Q)$(CC) -pie $(LD_FLAGS) -o $@ $^ $(DAEMON_LIBS)

$(O)/ktlsctl: $(call objects,$(CTL)) $(O)/libktls.a
	$(call say,LINK,$@)
	$(Q)$(CC) -pie $(LD_FLAGS) -o $@ $^ $(CTL_LIBS)

$(O)/libktls.so.$(ABI): $(call objects,$(LIBRARY) $(PROTO)) client/libktls.map
	$(call say,LINK,$@)
	$(Q)$(CC) -shared $(LD_FLAGS) -Wl,-soname,$(@F) -Wl,--version-script=client/libktls.map \
		-o $@ $(filter %.o,$^) $(CLIENT_LIBS)
	$(Q)ln -sf $(@F) $(O)/libktls.so

# One relocatable object, in which only the public names are global: a static user's names cannot clash with ours.
$(O)/libktls.a: $(call objects,$(LIBRARY) $(PROTO))
	$(call say,AR,$@)
	$(Q)ld -r -o $(O)/libktls.o $^
	$(Q)objcopy --wildcard --keep-global-symbol='ktls_*' $(O)/libktls.o
	$(Q)rm -f $@ && ar rcs $@ $(O)/libktls.o

# PREFIX may have changed since.
$(O)/libktls.pc: client/libktls.pc.in
$(O)/ktlsd.service: systemd/ktlsd.service.in
$(O)/libktls.pc $(O)/ktlsd.service: FORCE
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|g; s|@VERSION@|$(VERSION)|g' $(filter %.in,$^) > $@

$(COMPLETION): $(O)/ktlsctl
	@mkdir -p $(@D)
	$(Q)$< completion $(@F) > $@

vpath %.varlink proto
vpath completion.% client
$(O)/gen/%.h: %
	@mkdir -p $(@D)
	$(Q)sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' $< > $@

# The flags are part of what an object is made from.
$(O)/flags: FORCE
	@mkdir -p $(@D); echo '$(subst ','\'',$(CC) $(C_FLAGS))' | cmp -s - $@ || echo '$(subst ','\'',$(CC) $(C_FLAGS))' > $@
FORCE:

$(O)/obj/%.o: %.c $(O)/flags | $(GENERATED)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(C_FLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)

# Unit tests: every object but the mains in one archive, each test takes what it names.
$(O)/units.a: $(call objects,$(PROTO) $(LIBRARY) $(DAEMON) $(filter-out client/ktlsctl.c,$(CTL)))
	$(Q)rm -f $@ && ar rcs $@ $^

$(O)/unit/%: $(O)/obj/tests/unit/%.o $(O)/units.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LD_FLAGS) $(shell sed -n 's|^/\* link: \(.*\) \*/$$|\1|p' tests/unit/$*.c) -o $@ $^ -lcmocka $(DAEMON_LIBS) $(CTL_LIBS)

# What scenarios preload or run.
HELPERS := $(O)/door.so $(O)/derive.so $(O)/starve.so $(O)/scan $(O)/ktlsd-crash

$(O)/derive.so: HELPER_LIBS := -Wl,--no-as-needed -lcrypto
$(O)/door.so $(O)/derive.so $(O)/starve.so: $(O)/%.so: tests/lib/%.c
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -O2 $(WARNINGS) -shared -fPIC -o $@ $< $(HELPER_LIBS) -ldl

$(O)/scan: tests/lib/scan.c
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -O2 $(WARNINGS) -o $@ $<

# ktlsd's own objects, and something that has a worker die.
$(O)/ktlsd-crash: $(call objects,daemon/main.c $(DAEMON) $(PROTO) tests/lib/crash.c)
	$(call say,LINK,$@)
	$(Q)$(CC) -pie $(LD_FLAGS) -Wl,--wrap=access_check -o $@ $^ $(DAEMON_LIBS)

unit: $(UNIT) $(HELPERS)

$(O)/bench/%: $(O)/obj/tests/bench/%.o $(O)/units.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LD_FLAGS) -o $@ $^ $(DAEMON_LIBS)

deps:
	@missing=$$(for p in $(PACKAGES) $(MORE_PACKAGES); do \
		dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; fi

# What the suite runs: gcc as shipped, clang, address and undefined-behaviour sanitizers for what runs on this machine's
# kernel, undefined-behaviour alone for the guest (its address space is too small for the other).
variants:
	@$(MAKE) -s all unit
	@$(MAKE) -s all unit O=build/clang CC=clang
	@$(MAKE) -s all unit O=build/san SAN=address,undefined CFLAGS='-O1 -g'
	@$(MAKE) -s all O=build/ubsan SAN=undefined CFLAGS='-O1 -g'

# Each begins with deps in a make of its own: what pkg-config says is read at the start of one.
check check-long:
	@$(MAKE) -s deps $(if $(filter check-long,$@),MORE_PACKAGES=debootstrap)
	@$(MAKE) -s -j$$(nproc) variants
	@tests/run $(if $(filter check-long,$@),--long)

demo:
	@$(MAKE) -s deps
	@$(MAKE) -s -j$$(nproc) all
	@tests/demo/demo

bench:
	@$(MAKE) -s deps MORE_PACKAGES=qemu-system-x86
	@$(MAKE) -s -j$$(nproc) all $(patsubst tests/bench/%.c,$(O)/bench/%,$(wildcard tests/bench/*.c))
	@tests/bench/bench $(O)

lint: all
	@tests/lint/lint $(O)

# Manual pages stand beside what they describe; their section is their last letter.
MANUALS := $(wildcard proto/*.[1-8] client/*.[1-8] daemon/*.[1-8] conf/*.[1-8])
CATALOGS := $(wildcard systemd/*.catalog)

# What the machine has to take note of, where it has the means.
define register
ldconfig
if command -v systemd-sysusers > /dev/null; then systemd-sysusers $(PREFIX)/lib/sysusers.d/ktlsd.conf; fi
if command -v journalctl > /dev/null; then journalctl --update-catalog; fi
endef

install: all
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/sbin $(O)/ktlsd
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(O)/ktlsctl
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib $(O)/libktls.a $(O)/libktls.so.$(ABI)
	ln -sf libktls.so.$(ABI) $(DESTDIR)$(PREFIX)/lib/libktls.so
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include client/ktls.h
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/pkgconfig $(O)/libktls.pc
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/varlink proto/io.ktlsd.varlink
	install -D -m 644 $(O)/completion/bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/ktlsctl
	install -D -m 644 $(O)/completion/zsh $(DESTDIR)$(ZSHDIR)/_ktlsctl
	install -D -m 644 $(O)/completion/fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/ktlsctl.fish
	for page in $(MANUALS); do install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} $$page; done
	test -e $(DESTDIR)$(SYSCONFDIR)/ktlsd/ktlsd.conf || \
		install -D -m 644 -t $(DESTDIR)$(SYSCONFDIR)/ktlsd conf/ktlsd.conf
	install -d $(DESTDIR)$(SYSCONFDIR)/ktlsd/ktlsd.conf.d
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system systemd/ktlsd.socket $(O)/ktlsd.service
	install -D -m 644 systemd/ktlsd.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/ktlsd.conf
	install -D -m 644 systemd/ktlsd.modules-load $(DESTDIR)$(PREFIX)/lib/modules-load.d/ktlsd.conf
	$(if $(CATALOGS),install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/systemd/catalog $(CATALOGS))
	$(if $(DESTDIR),,$(register))

# The configuration and the group stay: they are the administrator's.
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/sbin/ktlsd $(DESTDIR)$(PREFIX)/bin/ktlsctl $(DESTDIR)$(PREFIX)/include/ktls.h
	rm -f $(DESTDIR)$(PREFIX)/lib/libktls.{a,so,so.$(ABI)} $(DESTDIR)$(PREFIX)/lib/pkgconfig/libktls.pc
	rm -f $(DESTDIR)$(PREFIX)/share/varlink/io.ktlsd.varlink
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/ktlsctl $(DESTDIR)$(ZSHDIR)/_ktlsctl
	rm -f $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/ktlsctl.fish
	rm -f $(DESTDIR)$(PREFIX)/lib/systemd/system/ktlsd.{socket,service}
	rm -f $(DESTDIR)$(PREFIX)/lib/{sysusers.d,modules-load.d}/ktlsd.conf
	rm -f $(patsubst systemd/%,$(DESTDIR)$(PREFIX)/lib/systemd/catalog/%,$(CATALOGS))
	for page in $(MANUALS); do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done

clean:
	rm -rf $(O)
