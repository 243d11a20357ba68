/* SPDX-License-Identifier: MIT */
/* tests: daemon/pem.c */
/* link: -Wl,--wrap=access */
#include "tests/unit/x509.h"

#include "daemon/cert.h"
#include "daemon/trust.h"

#include <stdio.h>
#include <sys/stat.h>

/* --- stores with a configuration */

static char directory[] = "/tmp/test-trust-XXXXXX";
static struct identity ca, other_ca;
static char *ca_text, *other_text, *key_text;

static int begin(void **state)
{
	ca = make(.cn = "ca", .ca = true);
	other_ca = make(.cn = "other", .ca = true);
	ca_text = pem_of(&ca);
	other_text = pem_of(&other_ca);
	key_text = pem_of_key(&ca);
	return mkdtemp(directory) ? 0 : -1;
}

static int end(void **state)
{
	identity_free(&ca);
	identity_free(&other_ca);
	free(ca_text);
	free(other_text);
	free(key_text);
	return rmdir(directory);
}

static char *write_file(const char *name, const char *text, size_t n)
{
	char *path;
	FILE *file;

	assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
	file = fopen(path, "w");
	assert_int_equal(fwrite(text, 1, n, file), n);
	fclose(file);
	return path;
}

static void remove_file(char **path)
{
	unlink(*path);
	free(*path);
}

#define _file_ _cleanup_(remove_file) char *

/* A configuration with the store "system" from this file, and no other. */
static struct trust *trust_with(const char *path, char **message)
{
	struct config_store store = { (char *)"system", (char *)path, (char *)"f:1" };
	const struct config config = { .stores = &store, .n_stores = 1 };

	return trust_new(&config, message);
}

static struct trust *usual_trust(void)
{
	_file_ path = write_file("usual", other_text, strlen(other_text));
	char *message = NULL;
	struct trust *trust = trust_with(path, &message);

	assert_null(message);
	assert_non_null(trust);
	return trust;
}

static int count(X509_STORE *store)
{
	return sk_X509_OBJECT_num(X509_STORE_get0_objects(store));
}

/* The anchors for these words; the reference is given back, so the cache or nobody has them. */
static X509_STORE *get(struct trust *trust, const struct proto_trust *wanted, int n)
{
	struct proto_status status;
	X509_STORE *store;

	if (trust_get(trust, wanted, &store, &status) != PROTO_OK)
		fail_msg("%s", status.message);
	if (!store)
		return NULL;
	assert_int_equal(count(store), n);
	X509_STORE_free(store);
	return store;
}

static void refused(struct trust *trust, const struct proto_trust *wanted, const char *parameter,
		    const char *text)
{
	struct proto_status status;
	X509_STORE *store = (X509_STORE *)"";

	assert_int_equal(trust_get(trust, wanted, &store, &status), PROTO_INVALID_PARAMETER);
	assert_null(store);
	assert_string_equal(status.parameter, parameter);
	if (!strstr(status.message, text))
		fail_msg("\"%s\" has no \"%s\"", status.message, text);
}

static void test_which_anchors(void **state)
{
	static char system[] = "system", name[] = "x", nonesuch[] = "nonesuch";
	const struct {
		struct proto_trust wanted;
		enum { NONE, SYSTEM, TEXT } which;
	} rows[] = {
		{ { 0 }, SYSTEM },
		{ { .verify = PROTO_VERIFY_CHAIN }, SYSTEM },
		{ { .store = system }, SYSTEM },
		{ { .ca = ca_text }, TEXT },
		{ { .ca = ca_text, .n_pins = 1 }, TEXT },
		{ { .store = system, .n_pins = 1 }, SYSTEM },
		{ { .name = name, .n_pins = 1 }, SYSTEM },
		{ { .n_pins = 1 }, NONE },
		{ { .verify = PROTO_VERIFY_NONE }, NONE },
		{ { .verify = PROTO_VERIFY_NONE, .ca = ca_text }, NONE },
		{ { .verify = PROTO_VERIFY_NONE, .n_pins = 1 }, NONE },
	};
	_cleanup_(trust_freep) struct trust *trust = usual_trust();
	X509_STORE *known[3] = { NULL };

	known[SYSTEM] = get(trust, &rows[0].wanted, 1);
	known[TEXT] = get(trust, &rows[3].wanted, 1);
	assert_ptr_not_equal(known[SYSTEM], known[TEXT]);
	for (size_t i = 0; i < array_size(rows); i++)
		assert_ptr_equal(get(trust, &rows[i].wanted, 1), known[rows[i].which]);
	refused(trust, &(struct proto_trust){ .store = nonesuch }, "trust.store", "no trust store");
	refused(trust, &(struct proto_trust){ .store = system, .ca = ca_text }, "trust.store",
		"ca is given");
}

/* --- CA texts */

static void test_what_a_text_may_hold(void **state)
{
	char *both = pem_append(strdup(ca_text), other_ca.cert), *crlf = NULL, *to;
	_cleanup_free_ char *commented = NULL;
	_cleanup_(trust_freep) struct trust *trust = usual_trust();

	get(trust, &(struct proto_trust){ .ca = both }, 2);
	assert_true(asprintf(&commented, "# The CA\nsubject=CN = ca\n%s\nand the end\n", both) > 0);
	get(trust, &(struct proto_trust){ .ca = commented }, 2);
	/* The same twice is in the store once. */
	free_pointer(&commented);
	assert_true(asprintf(&commented, "%s%s", ca_text, ca_text) > 0);
	get(trust, &(struct proto_trust){ .ca = commented }, 1);
	crlf = to = malloc(2 * strlen(both) + 1);
	for (const char *from = both; (*to = *from); from++, to++)
		if (*from == '\n')
			memcpy(to++, "\r\n", 2);
	get(trust, &(struct proto_trust){ .ca = crlf }, 2);
	free(crlf);
	free(both);
}

/* text with the first `from` in it made `to`. */
static char *with(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	char *changed;

	assert_non_null(at);
	assert_true(asprintf(&changed, "%.*s%s%s", (int)(at - text), text, to,
			     at + strlen(from)) > 0);
	return changed;
}

static char *beside(const char *a, const char *b)
{
	char *text;

	assert_true(asprintf(&text, "%s%s", a, b) > 0);
	return text;
}

static void test_what_a_text_may_not_hold(void **state)
{
	const struct {
		char *text;
		const char *fault;
	} rows[] = {
		{ strdup(""), "no certificate" },
		{ strdup("a text of something else\n"), "no certificate" },
		{ strdup("\x30\x82\x01\x01\x30"), "no certificate" },
		{ strdup(key_text), "something else than certificates" },
		{ beside(ca_text, key_text), "something else than certificates" },
		{ beside(key_text, ca_text), "something else than certificates" },
		{ beside(ca_text, "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"),
		  "something else than certificates" },
		{ with(ca_text, "BEGIN CERTIFICATE", "BEGIN TRUSTED CERTIFICATE"),
		  "it has a block that cannot be read" },
		{ strdup("-----BEGIN TRUSTED CERTIFICATE-----\nMAA=\n"
			 "-----END TRUSTED CERTIFICATE-----\n"), "something else than" },
		{ strdup("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
		  "it has a certificate that cannot be read" },
		{ strdup("-----BEGIN CERTIFICATE-----\nMAA=\n"), "a block that cannot" },
		{ beside(ca_text, "-----BEGIN CERTIFICATE-----\n"), "a block that cannot" },
		{ beside(ca_text, "-----BEGIN CERTIFICATE----\nMAA=\n-----END CERTIFICATE-----\n"),
		  "a block that cannot" },
		{ with(ca_text, "-----\n", "-----\nProc-Type: 4,ENCRYPTED\n\n"),
		  "something else than certificates" },
	};
	_cleanup_(trust_freep) struct trust *trust = usual_trust();

	for (size_t i = 0; i < array_size(rows); i++) {
		refused(trust, &(struct proto_trust){ .ca = rows[i].text }, "trust.ca",
			rows[i].fault);
		/* Whatever else is wanted. */
		refused(trust, &(struct proto_trust){ .ca = rows[i].text,
						      .verify = PROTO_VERIFY_NONE },
			"trust.ca", rows[i].fault);
		free(rows[i].text);
	}
}

static void test_trailing_bytes_in_a_certificate(void **state)
{
	_cleanup_(trust_freep) struct trust *trust = usual_trust();
	unsigned char *der = NULL;
	int n = i2d_X509(ca.cert, &der);
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *text;
	long size;

	der = OPENSSL_realloc(der, (size_t)n + 1);
	der[n] = 0;
	PEM_write_bio(bio, "CERTIFICATE", "", der, n + 1);
	size = BIO_get_mem_data(bio, &data);
	text = strndup(data, (size_t)size);
	refused(trust, &(struct proto_trust){ .ca = text }, "trust.ca", "cannot be read");
	free(text);
	BIO_free(bio);
	OPENSSL_free(der);
}

static void test_bounds_of_a_text(void **state)
{
	_cleanup_(trust_freep) struct trust *trust = usual_trust();
	char *text = NULL, *longest;

	for (int i = 0; i < PROTO_CA_CERTS_MAX; i++)
		text = pem_append(text, ca.cert);
	get(trust, &(struct proto_trust){ .ca = text }, 1);
	text = pem_append(text, ca.cert);
	refused(trust, &(struct proto_trust){ .ca = text }, "trust.ca", "too many");
	free(text);

	longest = malloc(PROTO_CA_MAX + 1);
	memset(longest, '#', PROTO_CA_MAX);
	memcpy(longest + PROTO_CA_MAX - strlen(ca_text) - 1, "\n", 1);
	memcpy(longest + PROTO_CA_MAX - strlen(ca_text), ca_text, strlen(ca_text));
	longest[PROTO_CA_MAX] = '\0';
	get(trust, &(struct proto_trust){ .ca = longest }, 1);
	free(longest);
}

static void test_costly_key_in_a_text(void **state)
{
	_cleanup_(trust_freep) struct trust *trust = NULL;
	EVP_PKEY *key = EVP_EC_gen("sect571r1");
	_identity_ costly = make(.cn = "costly", .key = key, .ca = true);
	_cleanup_free_ char *text = pem_of(&costly);
	_file_ path = write_file("costly", text, strlen(text));
	char *message = NULL;

	/* What the administrator names is the administrator's. */
	trust = trust_with(path, &message);
	assert_non_null(trust);
	get(trust, &(struct proto_trust){ 0 }, 1);
	refused(trust, &(struct proto_trust){ .ca = text }, "trust.ca",
		"it has a certificate with an EC key on another curve");
	EVP_PKEY_free(key);
}

/* --- the cache */

static char *text_number(int i)
{
	char *text;

	assert_true(asprintf(&text, "# %d\n%s", i, ca_text) > 0);
	return text;
}

static X509_STORE *get_number(struct trust *trust, int i)
{
	_cleanup_free_ char *text = text_number(i);

	return get(trust, &(struct proto_trust){ .ca = text }, 1);
}

/* A place in memory may be had twice, so what is held is told from what was made anew by a mark. */
static bool marked(struct trust *trust, int i)
{
	return X509_STORE_get_ex_data(get_number(trust, i), 0) != NULL;
}

static void mark(struct trust *trust, int i)
{
	assert_int_equal(X509_STORE_set_ex_data(get_number(trust, i), 0, (void *)1), 1);
}

static void test_second_request_parses_nothing(void **state)
{
	_cleanup_(trust_freep) struct trust *trust = usual_trust();

	mark(trust, 1);
	assert_true(marked(trust, 1));
	assert_false(marked(trust, 2));
	assert_true(marked(trust, 1));
}

static void test_cache_holds_so_many_and_forgets_the_oldest(void **state)
{
	_cleanup_(trust_freep) struct trust *trust = usual_trust();

	for (int i = 0; i < TRUST_CACHE_ENTRIES; i++)
		mark(trust, i);
	for (int i = 0; i < TRUST_CACHE_ENTRIES; i++)
		assert_true(marked(trust, i));
	assert_true(marked(trust, 0));
	/* Number 0 was used last: number 1 goes for the new one, then number 2. */
	mark(trust, 1000);
	assert_true(marked(trust, 0));
	for (int i = 2; i < TRUST_CACHE_ENTRIES; i++)
		assert_true(marked(trust, i));
	assert_true(marked(trust, 1000));
	assert_false(marked(trust, 1));
}

/* A text of as many bytes as there may be. */
static X509_STORE *get_large(struct trust *trust, int i)
{
	_cleanup_free_ char *text = malloc(PROTO_CA_MAX + 1);
	size_t n = (size_t)sprintf(text, "# %d\n%s", i, ca_text);

	memset(text + n, '#', PROTO_CA_MAX - n);
	text[PROTO_CA_MAX] = '\0';
	return get(trust, &(struct proto_trust){ .ca = text }, 1);
}

static void test_cache_holds_so_many_bytes(void **state)
{
	const int fit = TRUST_CACHE_BYTES / PROTO_CA_MAX;
	_cleanup_(trust_freep) struct trust *trust = usual_trust();

	for (int i = 0; i < fit; i++)
		X509_STORE_set_ex_data(get_large(trust, i), 0, (void *)1);
	for (int i = 0; i < fit; i++)
		assert_non_null(X509_STORE_get_ex_data(get_large(trust, i), 0));
	get_large(trust, fit);
	for (int i = 1; i < fit; i++)
		assert_non_null(X509_STORE_get_ex_data(get_large(trust, i), 0));
	assert_null(X509_STORE_get_ex_data(get_large(trust, 0), 0));
}

/* Whoever holds a reference does not care what the cache forgets. */
static void test_references_outlive_the_cache(void **state)
{
	struct trust *trust = usual_trust();
	struct proto_status status;
	X509_STORE *store, *system;

	assert_int_equal(trust_get(trust, &(struct proto_trust){ .ca = ca_text }, &store, &status),
			 PROTO_OK);
	assert_int_equal(trust_get(trust, &(struct proto_trust){ 0 }, &system, &status), PROTO_OK);
	trust_free(trust);
	assert_int_equal(count(store), 1);
	assert_int_equal(count(system), 1);
	X509_STORE_free(store);
	X509_STORE_free(system);
}

static void test_what_is_refused_is_not_kept(void **state)
{
	_cleanup_(trust_freep) struct trust *trust = usual_trust();

	for (int i = 0; i < TRUST_CACHE_ENTRIES; i++)
		mark(trust, i);
	for (int i = 0; i < 2 * TRUST_CACHE_ENTRIES; i++) {
		_cleanup_free_ char *text = NULL;

		assert_true(asprintf(&text, "# %d\n%s", i, key_text) > 0);
		refused(trust, &(struct proto_trust){ .ca = text }, "trust.ca", "something else");
	}
	for (int i = 0; i < TRUST_CACHE_ENTRIES; i++)
		assert_true(marked(trust, i));
}

/* --- files of stores */

static void check_file(const char *path, const char *fault)
{
	struct config_store store = { (char *)"system", (char *)path, (char *)"f:1" };
	_cleanup_free_ char *message = NULL, *checked = NULL;

	assert_null(trust_with(path, &message));
	assert_non_null(message);
	assert_memory_equal(message, "f:1: File: ", strlen("f:1: File: "));
	assert_non_null(strstr(message, path));
	assert_false(trust_check_store(&store, &checked));
	assert_string_equal(checked, message);
	if (!strstr(message, fault))
		fail_msg("\"%s\" has no \"%s\"", message, fault);
}

static void test_files_that_are_no_stores(void **state)
{
	_file_ empty = write_file("empty", "", 0);
	_file_ key = write_file("key", key_text, strlen(key_text));
	_cleanup_free_ char *large = calloc(1, TRUST_FILE_MAX + 1);
	_file_ fifo = write_file("fifo", "", 0);

	unlink(fifo);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	memcpy(large, ca_text, strlen(ca_text));
	{
		_file_ too_large = write_file("large", large, TRUST_FILE_MAX + 1);

		check_file(too_large, "File too large");
	}
	check_file(empty, "no certificate");
	check_file(key, "something else than certificates");
	check_file(fifo, "no certificate");
	check_file(directory, "Is a directory");
	check_file("/nonesuch/store.pem", "No such file");
}

static void test_several_stores(void **state)
{
	_file_ first = write_file("first", ca_text, strlen(ca_text));
	_file_ second = write_file("second", other_text, strlen(other_text));
	struct config_store stores[] = {
		{ (char *)"system", first, (char *)"f:1" },
		{ (char *)"lab", second, (char *)"f:2" },
	};
	const struct config config = { .stores = stores, .n_stores = 2 };
	_cleanup_(trust_freep) struct trust *trust = NULL;
	_cleanup_free_ char *message = NULL;
	X509_STORE *system, *lab;

	trust = trust_new(&config, &message);
	assert_non_null(trust);
	system = get(trust, &(struct proto_trust){ 0 }, 1);
	lab = get(trust, &(struct proto_trust){ .store = (char *)"lab" }, 1);
	assert_ptr_not_equal(system, lab);
	assert_ptr_equal(get(trust, &(struct proto_trust){ .store = (char *)"system" }, 1), system);
	stores[1].file = (char *)"/nonesuch";
	assert_null(trust_new(&config, &message));
	assert_non_null(strstr(message, "/nonesuch"));
}

int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);

static bool no_bundles;

int __wrap_access(const char *path, int mode)
{
	return no_bundles ? -1 : __real_access(path, mode);
}

static void check_bundle(bool has_one)
{
	_cleanup_free_ char *message = NULL;
	_cleanup_(trust_freep) struct trust *trust = trust_with(NULL, &message);
	struct proto_status status;
	X509_STORE *store;

	assert_non_null(trust);
	assert_int_equal(trust_get(trust, &(struct proto_trust){ 0 }, &store, &status), PROTO_OK);
	assert_int_equal(count(store) != 0, has_one);
	assert_int_equal(message == NULL, has_one);
	X509_STORE_free(store);
}

/* Where there is no bundle, that is worth a word, and no reason not to start. */
static void test_bundle_of_the_system(void **state)
{
	check_bundle(access("/etc/ssl/certs/ca-certificates.crt", R_OK) == 0);
	no_bundles = true;
	check_bundle(false);
	no_bundles = false;
}

/* --- what is told of the stores */

static void expect_state(const char *path, const char *file, unsigned int certificates,
			 unsigned int valid, const X509 *last)
{
	_cleanup_free_ char *message = NULL;
	_cleanup_(trust_freep) struct trust *trust = trust_with(path, &message);
	struct proto_store_state told;
	char date[32] = "";

	assert_non_null(trust);
	assert_int_equal(trust_count(trust), 1);
	told = trust_state(trust, 0);
	assert_string_equal(told.name, "system");
	if (file)
		assert_string_equal(told.file, file);
	else
		assert_null(told.file);
	assert_int_equal(told.certificates, certificates);
	assert_int_equal(told.valid, valid);
	if (last)
		cert_time(date, X509_get0_notAfter(last));
	assert_string_equal(told.not_after, date);
}

static void test_states(void **state)
{
	_identity_ expired = make(.cn = "expired", .ca = true, .from = -3 * DAY, .until = -DAY);
	_identity_ future = make(.cn = "future", .ca = true, .from = DAY, .until = 5 * DAY);
	char *text = pem_append(pem_append(pem_of(&expired), future.cert), ca.cert);
	char *old = pem_of(&expired);
	_file_ mixed = write_file("mixed", text, strlen(text));
	_file_ late = write_file("late", old, strlen(old));

	expect_state(mixed, mixed, 3, 1, future.cert);
	expect_state(late, late, 1, 0, expired.cert);
	free(text);
	free(old);
}

/* In whatever order the store has them. */
static void test_last_of_a_store(void **state)
{
	static const char *const names[] = { "a", "b", "c" };

	for (size_t last = 0; last < array_size(names); last++) {
		struct identity ids[array_size(names)];
		char *text = NULL;

		for (size_t i = 0; i < array_size(names); i++) {
			ids[i] = make(.cn = names[i], .ca = true, .until = DAY * (i == last ? 9 : 2));
			text = pem_append(text, ids[i].cert);
		}
		_file_ path = write_file("three", text, strlen(text));

		expect_state(path, path, 3, 3, ids[last].cert);
		for (size_t i = 0; i < array_size(names); i++)
			identity_free(&ids[i]);
		free(text);
	}
}

/* A path is no text. */
static void test_state_of_a_strange_path(void **state)
{
	_file_ path = write_file("a\xff\"\n", ca_text, strlen(ca_text));
	_cleanup_free_ char *escaped = NULL;

	assert_true(asprintf(&escaped, "%s/a\\xff\"\\x0a", directory) > 0);
	expect_state(path, escaped, 1, 1, ca.cert);
}

static void test_state_of_the_system(void **state)
{
	static const char usual[] = "/etc/ssl/certs/ca-certificates.crt";
	_cleanup_free_ char *message = NULL;
	_cleanup_(trust_freep) struct trust *trust = trust_with(NULL, &message);
	bool there = access(usual, R_OK) == 0;
	struct proto_store_state told = trust_state(trust, 0);

	assert_int_equal(told.file && strcmp(told.file, usual) == 0, there);
	assert_int_equal(told.certificates > 0, there);
	assert_true(told.certificates >= told.valid);
	no_bundles = true;
	expect_state(NULL, NULL, 0, 0, NULL);
	no_bundles = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which_anchors),
		cmocka_unit_test(test_what_a_text_may_hold),
		cmocka_unit_test(test_what_a_text_may_not_hold),
		cmocka_unit_test(test_trailing_bytes_in_a_certificate),
		cmocka_unit_test(test_bounds_of_a_text),
		cmocka_unit_test(test_costly_key_in_a_text),
		cmocka_unit_test(test_second_request_parses_nothing),
		cmocka_unit_test(test_cache_holds_so_many_and_forgets_the_oldest),
		cmocka_unit_test(test_cache_holds_so_many_bytes),
		cmocka_unit_test(test_references_outlive_the_cache),
		cmocka_unit_test(test_what_is_refused_is_not_kept),
		cmocka_unit_test(test_files_that_are_no_stores),
		cmocka_unit_test(test_several_stores),
		cmocka_unit_test(test_bundle_of_the_system),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_last_of_a_store),
		cmocka_unit_test(test_state_of_a_strange_path),
		cmocka_unit_test(test_state_of_the_system),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
