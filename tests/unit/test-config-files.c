/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=getgrnam */
#include "tests/unit/config-load.h"

#include <ini.h>

static void test_large_files(void **state)
{
	static const char head[] = "[Service]\n", tail[] = "\nNoDelay=no\n";
	_cleanup_free_ char *text = malloc(CONFIG_FILE_MAX + 1);

	assert_non_null(text);
	for (size_t i = 0; i < CONFIG_FILE_MAX; i++)
		text[i] = i % 64 ? '#' : '\n';
	memcpy(text, head, strlen(head));
	memcpy(text + CONFIG_FILE_MAX - strlen(tail), tail, strlen(tail));
	text[CONFIG_FILE_MAX] = '\n';
	_cleanup_(loaded_deinit) struct loaded fits = load_bytes(text, CONFIG_FILE_MAX);
	assert_string_equal(fits.errors, "");
	assert_false(fits.config->service.tcp_no_delay);
	_cleanup_(loaded_deinit) struct loaded over = load_bytes(text, CONFIG_FILE_MAX + 1);
	assert_string_equal(strchr(over.errors, ':'), ": this file is too large\n");
	_cleanup_(loaded_deinit) struct loaded endless = load_file("/dev/zero");
	assert_string_equal(endless.errors, "1: this file is too large\n");
}

/* An inih that gives up at the first fault must not make half a file look like a whole one. */
static void test_parser_that_gives_up(void **state)
{
	ini_stop_on_first_error = true;
	_cleanup_(loaded_deinit) struct loaded loaded = load("[Service]\nnonsense\nNoDelay=no\n");
	ini_stop_on_first_error = false;
	assert_string_equal(loaded.errors, "2: this line is neither [SECTION] nor KEY=VALUE\n");
}

static void test_unreadable_files(void **state)
{
	_cleanup_(loaded_deinit) struct loaded missing = load_file("/nonexistent/ktlsd.conf");
	_cleanup_(loaded_deinit) struct loaded directory = load_file("/proc");

	assert_string_equal(missing.errors, " cannot be opened: No such file or directory\n");
	assert_string_equal(directory.errors, " cannot be read: Is a directory\n");
}

static void test_directory_without_files(void **state)
{
	_cleanup_(loaded_deinit) struct loaded loaded = load_directory(*state);

	assert_string_equal(loaded.errors, "");
	check_defaults(loaded.config);
}

static void test_drop_in_order(void **state)
{
	write_file(*state, "ktlsd.conf", "[Limits]\nConnections=1\nRequests=1\nResolvers=1\n"
		   "[Policy p]\nCiphers=AESGCM\nGroups=P-256\n");
	make_drop_ins(*state);
	write_file(*state, "ktlsd.conf.d/9-z.conf", "[Limits]\nConnections=9\n");
	write_file(*state, "ktlsd.conf.d/10-a.conf", "[Limits]\nConnections=10\nRequests=10\n"
		   "[Policy p]\nGroups=P-384\n");
	write_file(*state, "ktlsd.conf.d/20-b.conf", "[Limits]\nConnections=20\nRequests=20\n");
	write_file(*state, "ktlsd.conf.d/.x.conf", "nonsense");
	write_file(*state, "ktlsd.conf.d/.conf", "nonsense");
	write_file(*state, "ktlsd.conf.d/x", "nonsense");
	write_file(*state, "ktlsd.conf.d/x.conf.bak", "nonsense");
	_cleanup_(loaded_deinit) struct loaded loaded = load_directory(*state);
	assert_string_equal(loaded.errors, "");
	assert_int_equal(loaded.config->limits.connections, 9);
	assert_int_equal(loaded.config->limits.requests, 20);
	assert_int_equal(loaded.config->limits.resolvers, 1);
	assert_int_equal(loaded.config->n_policies, 2);
	assert_string_equal(loaded.config->policies[1].ciphers, "AESGCM");
	assert_string_equal(loaded.config->policies[1].groups, "P-384");
}

/* A section does not reach into the next file, and every file's faults are told. */
static void test_drop_in_faults(void **state)
{
	struct directory *directory = *state;
	char expected[512];

	write_file(directory, "ktlsd.conf", "Connections=1\n[Limits]\n");
	make_drop_ins(directory);
	write_file(directory, "ktlsd.conf.d/10-a.conf", "Foo=1\n");
	write_file(directory, "ktlsd.conf.d/20-b.conf", "[Limits]\n\nConnections=x\n");
	_cleanup_(loaded_deinit) struct loaded loaded = load_directory(directory);
	snprintf(expected, sizeof(expected),
		 "%s/ktlsd.conf:1: Connections: stands before any section\n"
		 "%s/ktlsd.conf.d/10-a.conf:1: Foo: stands before any section\n"
		 "%s/ktlsd.conf.d/20-b.conf:3: Connections: \"x\" is not a whole number\n",
		 directory->path, directory->path, directory->path);
	assert_string_equal(loaded.errors, expected);
}

static void test_drop_ins_unreadable(void **state)
{
	struct directory *directory = *state;
	char path[160], expected[512];

	write_file(directory, "ktlsd.conf.d", "");
	_cleanup_(loaded_deinit) struct loaded file = load_directory(directory);
	snprintf(expected, sizeof(expected), "%s/ktlsd.conf.d: cannot be read: Not a directory\n",
		 directory->path);
	assert_string_equal(file.errors, expected);

	snprintf(path, sizeof(path), "%s/ktlsd.conf.d", directory->path);
	assert_int_equal(unlink(path), 0);
	make_drop_ins(directory);
	snprintf(path, sizeof(path), "%s/ktlsd.conf.d/d.conf", directory->path);
	assert_int_equal(symlink("/nonexistent", path), 0);
	_cleanup_(loaded_deinit) struct loaded dangling = load_directory(directory);
	snprintf(expected, sizeof(expected),
		 "%s/ktlsd.conf.d/d.conf: cannot be opened: No such file or directory\n",
		 directory->path);
	assert_string_equal(dangling.errors, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_large_files),
		cmocka_unit_test(test_parser_that_gives_up),
		cmocka_unit_test(test_unreadable_files),
		directory_test(test_directory_without_files),
		directory_test(test_drop_in_order),
		directory_test(test_drop_in_faults),
		directory_test(test_drop_ins_unreadable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
