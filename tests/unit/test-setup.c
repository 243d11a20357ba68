/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=config_load,--wrap=config_free */
#include "tests/unit/x509.h"

#include "daemon/setup.h"

#include <sys/stat.h>

struct config *__real_config_load(const char *file, FILE *errors, bool *good);
struct config *__wrap_config_load(const char *file, FILE *errors, bool *good);
struct config *__real_config_free(struct config *config);
struct config *__wrap_config_free(struct config *config);

static struct config *loading;	/* the test's own; or NULL */
static bool no_memory;

struct config *__wrap_config_load(const char *file, FILE *errors, bool *good)
{
	*good = true;
	if (no_memory)
		return NULL;
	return loading ? loading : __real_config_load(file, errors, good);
}

struct config *__wrap_config_free(struct config *config)
{
	return config == loading ? NULL : __real_config_free(config);
}

static char directory[] = "/tmp/test-setup-XXXXXX";

static const char *path_of(const char *name)
{
	static char paths[4][64];
	static unsigned int n;

	snprintf(paths[++n % 4], sizeof(paths[0]), "%s/%s", directory, name);
	return paths[n % 4];
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int begin(void **state)
{
	struct identity ca = make(.cn = "ca", .ca = true);
	char *text = pem_of(&ca);

	assert_non_null(mkdtemp(directory));
	write_file("ca.pem", text);
	write_file("empty.pem", "nothing of the kind\n");
	free(text);
	identity_free(&ca);
	return 0;
}

static int end(void **state)
{
	unlink(path_of("ca.pem"));
	unlink(path_of("empty.pem"));
	unlink(path_of("conf"));
	return rmdir(directory);
}

struct loaded {
	struct setup *setup;
	char *errors;
};

static struct loaded load_path(const char *path, bool check)
{
	struct loaded loaded;
	size_t size;
	FILE *errors = open_memstream(&loaded.errors, &size);

	assert_non_null(errors);
	loaded.setup = setup_load(path, check, errors);
	assert_int_equal(fclose(errors), 0);
	return loaded;
}

/* %s of the text is the directory, as often as it is there. */
static struct loaded load(const char *text, bool check)
{
	char whole[1024];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(whole, sizeof(whole), text, directory, directory);
#pragma GCC diagnostic pop
	write_file("conf", whole);
	return load_path(path_of("conf"), check);
}

static void unload(struct loaded *loaded)
{
	loaded->setup = setup_free(loaded->setup);
	free(loaded->errors);
}

static const char good[] = "[Limits]\nRequests=7\n"
			   "[Policy strict]\nCiphers=ECDHE+AESGCM\n"
			   "[Store system]\nFile=%s/ca.pem\n"
			   "[Access all]\nAction=allow\nPolicies=strict\nStores=system\n";

static void test_good(void **state)
{
	time_t began = time(NULL);
	struct loaded loaded = load(good, false);
	struct proto_status status;
	X509_STORE *anchors = NULL;

	assert_string_equal(loaded.errors, "");
	assert_in_range(loaded.setup->loaded, began, time(NULL));
	assert_non_null(loaded.setup);
	assert_int_equal(loaded.setup->config->limits.requests, 7);
	assert_int_equal(trust_get(loaded.setup->trust, &(struct proto_trust){ 0 }, &anchors,
				   &status), PROTO_OK);
	X509_STORE_free(anchors);
	unload(&loaded);
}

/* Neither trust stores, which take their time, nor anything that is not said. */
static void test_check(void **state)
{
	struct loaded loaded = load(good, true);

	assert_string_equal(loaded.errors, "");
	assert_non_null(loaded.setup);
	assert_null(loaded.setup->trust);
	unload(&loaded);
}

static void test_nothing_is_configured(void **state)
{
	struct loaded loaded = load_path("/dev/null", false);

	assert_non_null(loaded.setup);
	assert_non_null(loaded.setup->trust);
	assert_null(setup_free(NULL));
	unload(&loaded);
}

/* How often one stands in the other. */
static unsigned int count(const char *text, const char *part)
{
	unsigned int n = 0;

	for (; (text = strstr(text, part)); text += strlen(part))
		n++;
	return n;
}

static void expect_line(const char *errors, unsigned int line, const char *key)
{
	char start[128];

	snprintf(start, sizeof(start), "%s:%u: %s: ", path_of("conf"), line, key);
	if (count(errors, start) != 1)
		fail_msg("no %s in %s", start, errors);
}

/* Of every kind one: lines, sections that name each other, policies as a whole, files. */
static const char faulty[] = "[Limits]\n"
			     "Requests=zero\n"
			     "Requets=5\n"
			     "[Policy strict]\n"
			     "Ciphers=NULL\n"
			     "[Store a]\n"
			     "File=%s/missing.pem\n"
			     "[Store b]\n"
			     "File=%s/empty.pem\n"
			     "[Access all]\n"
			     "Policies=strikt\n"
			     "Stores=c\n";

static const struct {
	unsigned int line;
	const char *key;
} faults[] = {
	{ 2, "Requests" }, { 3, "Requets" }, { 5, "Ciphers" }, { 7, "File" }, { 9, "File" },
	{ 11, "Policies" }, { 12, "Stores" },
};

static void test_all_faults_in_one_run(void **state)
{
	for (int check = 0; check < 2; check++) {
		struct loaded loaded = load(faulty, check);

		assert_null(loaded.setup);
		for (size_t i = 0; i < array_size(faults); i++)
			expect_line(loaded.errors, faults[i].line, faults[i].key);
		assert_int_equal(count(loaded.errors, "\n"), array_size(faults));
		unload(&loaded);
	}
}

/* Any one of them is enough. */
static const char *const single[] = {
	"[Limits]\nRequests=zero\n",
	"[Policy strict]\nCiphers=NULL\n",
	"[Store a]\nFile=%s/missing.pem\n",
	"[Store system]\nFile=%s/empty.pem\n",
	"[Access all]\nPolicies=strikt\n",
};

static void test_one_fault(void **state)
{
	for (size_t i = 0; i < array_size(single); i++)
		for (int check = 0; check < 2; check++) {
			struct loaded loaded = load(single[i], check);

			assert_null(loaded.setup);
			assert_int_equal(count(loaded.errors, "\n"), 1);
			unload(&loaded);
		}
}

static void test_no_such_file(void **state)
{
	struct loaded loaded = load_path(path_of("missing.conf"), false);

	assert_null(loaded.setup);
	assert_non_null(strstr(loaded.errors, "missing.conf"));
	assert_int_equal(count(loaded.errors, "\n"), 1);
	unload(&loaded);
}

/* A name with a control character in it: that of a store's file is told. */
static void test_faults_are_escaped(void **state)
{
	struct config_store store = { .where = (char *)"f:1", .file = (char *)"/a\033[2Jb" };
	struct config config = { .stores = &store, .n_stores = 1 };
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *errors = open_memstream(&text, &size);

	assert_non_null(errors);
	loading = &config;
	assert_null(setup_load("f", true, errors));
	loading = NULL;
	assert_int_equal(fclose(errors), 0);
	assert_non_null(strstr(text, "f:1: File: /a"));
	assert_null(strchr(text, '\033'));
	assert_int_equal(count(text, "\n"), 1);
}

/* What was allocated before there was no more of it is given back (by whoever counts leaks). */
static void test_no_configuration(void **state)
{
	struct loaded loaded;

	no_memory = true;
	loaded = load_path("f", false);
	no_memory = false;
	assert_null(loaded.setup);
	unload(&loaded);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_nothing_is_configured),
		cmocka_unit_test(test_all_faults_in_one_run),
		cmocka_unit_test(test_one_fault),
		cmocka_unit_test(test_no_such_file),
		cmocka_unit_test(test_faults_are_escaped),
		cmocka_unit_test(test_no_configuration),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
