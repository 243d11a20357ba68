/* SPDX-License-Identifier: MIT */
/* Files of the test's own over some of /etc, and a directory for others; it must be root. */
#pragma once

#include "tests/unit/loop.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define OWN_FILES_MAX 8

static struct {
	char directory[32];
	char names[OWN_FILES_MAX][32];
	size_t n;
} own_files;

/* more: other namespaces of unshare(2) to be had besides. */
static inline void own_files_init(int more)
{
	if (unshare(CLONE_NEWNS | more) < 0 ||
	    mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0) {
		fprintf(stderr, "no namespaces, so there is nothing to test with: %s\n",
			strerror(errno));
		exit(1);
	}
	strcpy(own_files.directory, "/tmp/ktls-unit-XXXXXX");
	assert_non_null(mkdtemp(own_files.directory));
	assert_int_equal(mount("none", own_files.directory, "tmpfs", 0, "mode=0755"), 0);
}

static inline void own_files_deinit(void)
{
	char path[64];

	for (size_t i = 0; i < own_files.n; i++) {
		snprintf(path, sizeof(path), "/etc/%s", own_files.names[i]);
		umount2(path, MNT_DETACH);
	}
	umount2(own_files.directory, MNT_DETACH);
	assert_int_equal(rmdir(own_files.directory), 0);
}

static inline void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", own_files.directory, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* From then on write_file() changes what /etc/NAME says. */
static inline void replace_etc(const char *name, const char *text)
{
	char from[128], to[64];

	assert_true(own_files.n < OWN_FILES_MAX);
	snprintf(own_files.names[own_files.n++], sizeof(own_files.names[0]), "%s", name);
	write_file(name, text);
	snprintf(from, sizeof(from), "%s/%s", own_files.directory, name);
	snprintf(to, sizeof(to), "/etc/%s", name);
	if (mount(from, to, "none", MS_BIND, NULL) < 0)
		fail_msg("cannot put a file over %s: %s", to, strerror(errno));
}
