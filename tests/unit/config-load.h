/* SPDX-License-Identifier: MIT */
/*
 * For the tests of the configuration: a text as a file, and what comes of it. A program that
 * includes this links with -Wl,--wrap=getgrnam.
 */
#pragma once

#include "daemon/config-lines.h"
#include "daemon/config.h"

#include <grp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

/* The shipped file names a group that comes with the installation. */
#define KTLS_GID 4711

struct group *__real_getgrnam(const char *name);
struct group *__wrap_getgrnam(const char *name);
struct group *__wrap_getgrnam(const char *name)
{
	static struct group ktls = { .gr_name = (char *)"ktls", .gr_gid = KTLS_GID };

	return strcmp(name, "ktls") ? __real_getgrnam(name) : &ktls;
}

struct loaded {
	struct config *config;
	char *errors;	/* each line without the name of the file */
};

static inline void loaded_deinit(struct loaded *loaded)
{
	loaded->config = config_free(loaded->config);
	free(loaded->errors);
	loaded->errors = NULL;
}

/* Takes "PATH:" off the start of every line. */
static inline void strip_path(char *errors, const char *path)
{
	size_t length = strlen(path) + 1;
	char *to = errors;

	for (char *line = errors, *end; *line; line = end) {
		end = strchr(line, '\n');
		assert_non_null(end);
		end++;
		if (!strncmp(line, path, length - 1) && line[length - 1] == ':')
			line += length;
		memmove(to, line, end - line);
		to += end - line;
	}
	*to = '\0';
}

/* What is returned in spite of faults is for further checks. */
static inline void keep_good(struct loaded *loaded, bool good)
{
	assert_non_null(loaded->config);
	if (!good)
		loaded->config = config_free(loaded->config);
}

static inline struct loaded load_file(const char *path)
{
	struct loaded loaded = { 0 };
	size_t size;
	FILE *errors = open_memstream(&loaded.errors, &size);
	bool good;

	assert_non_null(errors);
	loaded.config = config_load(path, errors, &good);
	fclose(errors);
	keep_good(&loaded, good);
	assert_true((loaded.config != NULL) == (size == 0));
	assert_int_equal(strlen(loaded.errors), size);
	strip_path(loaded.errors, path);
	return loaded;
}

static inline struct loaded load_bytes(const char *bytes, size_t size)
{
	_cleanup_fd_ int fd = memfd_create("config", MFD_CLOEXEC);
	char path[32];

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return load_file(path);
}

static inline struct loaded load(const char *text)
{
	return load_bytes(text, strlen(text));
}

static inline void check_defaults(const struct config *config)
{
	assert_true(config->service.tcp_no_delay);
	assert_true(config->service.tcp_keepalive);
	assert_int_equal(config->limits.connections, 1024);
	assert_int_equal(config->limits.requests, 512);
	assert_int_equal(config->limits.resolvers, 8);
	assert_int_equal(config->limits.user_resolvers, 2);
	assert_int_equal(config->limits.resolve_ms, 5000);
	assert_int_equal(config->limits.connect_ms, 10000);
	assert_int_equal(config->limits.handshake_ms, 10000);
	assert_int_equal(config->limits.idle_ms, 60000);
	assert_int_equal(config->limits.message_ms, 2000);
	assert_int_equal(config->limits.delivery_ms, 2000);
	assert_string_equal(config->policies[0].name, "default");
	assert_string_equal(config->policies[0].ciphers,
			    "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE-ECDSA-AES128-CCM");
	assert_string_equal(config->policies[0].groups, "X25519:P-256:P-384:P-521");
	assert_string_equal(config->policies[0].signature_algorithms,
			    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448:"
			    "rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:"
			    "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:"
			    "RSA+SHA256:RSA+SHA384:RSA+SHA512");
	assert_string_equal(config->stores[0].name, "system");
	assert_null(config->stores[0].file);
}

struct directory {
	char path[64];
};

static inline void write_file(const struct directory *directory, const char *name, const char *text)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory->path, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static inline int directory_setup(void **state)
{
	struct directory *directory = calloc(1, sizeof(*directory));

	strcpy(directory->path, "/tmp/ktlsd-config.XXXXXX");
	*state = directory;
	return mkdtemp(directory->path) ? 0 : -1;
}

static inline int directory_teardown(void **state)
{
	static const char *const names[] = {
		"ktlsd.conf", "ktlsd.conf.d/10-a.conf", "ktlsd.conf.d/20-b.conf",
		"ktlsd.conf.d/9-z.conf", "ktlsd.conf.d/.x.conf", "ktlsd.conf.d/x.conf.bak",
		"ktlsd.conf.d/.conf", "ktlsd.conf.d/d.conf", "ktlsd.conf.d/x", "ktlsd.conf.d",
	};
	struct directory *directory = *state;
	char path[160];

	for (size_t i = 0; i < array_size(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory->path, names[i]);
		remove(path);
	}
	remove(directory->path);
	free(directory);
	return 0;
}

static inline void make_drop_ins(const struct directory *directory)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/ktlsd.conf.d", directory->path);
	assert_int_equal(mkdir(path, 0700), 0);
}

static inline struct loaded load_directory(const struct directory *directory)
{
	struct loaded loaded = { 0 };
	size_t size;
	FILE *errors = open_memstream(&loaded.errors, &size);
	bool good;

	assert_non_null(errors);
	loaded.config = config_load_directory(directory->path, errors, &good);
	fclose(errors);
	keep_good(&loaded, good);
	assert_true((loaded.config != NULL) == (size == 0));
	return loaded;
}

#define directory_test(f) cmocka_unit_test_setup_teardown(f, directory_setup, directory_teardown)

/* conf/ktlsd.conf with its settings in force: those are `#Key=` and `#[`, prose is `# ...`. */
static inline char *shipped_settings(void)
{
	_cleanup_(free_pointer) char *line = NULL;
	FILE *file = fopen("conf/ktlsd.conf", "re"), *to;
	char *text = NULL;
	size_t size = 0, capacity = 0;

	assert_non_null(file);
	to = open_memstream(&text, &size);
	while (getline(&line, &capacity, file) > 0)
		fputs(line[0] == '#' && line[1] != ' ' ? line + 1 : line, to);
	fclose(to);
	fclose(file);
	return text;
}
