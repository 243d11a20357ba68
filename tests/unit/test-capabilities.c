/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=getgrnam,--wrap=kernel_probe,--wrap=calloc,--wrap=strdup */
#include "tests/unit/config-load.h"
#include "tests/unit/loop.h"
#include "tests/unit/x509.h"

#include "daemon/capabilities.h"

#include <stdio.h>
#include <sys/utsname.h>

static size_t allocations, fail_at;
static unsigned int probes;
static struct kernel found;	/* by the next probe */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
bool __wrap_kernel_probe(struct kernel *kernel);

void *__wrap_calloc(size_t n, size_t size)
{
	return ++allocations == fail_at ? NULL : __real_calloc(n, size);
}

char *__wrap_strdup(const char *text)
{
	return ++allocations == fail_at ? NULL : __real_strdup(text);
}

bool __wrap_kernel_probe(struct kernel *kernel)
{
	probes++;
	*kernel = found;
	return kernel_takes_any(kernel);
}

/* --- a worker's environment, and who asks in it */

static char store[] = "/tmp/test-capabilities-XXXXXX";

static int begin(void **state)
{
	_identity_ ca = make(.cn = "ca", .ca = true);
	_cleanup_free_ char *text = pem_of(&ca);
	int fd = mkstemp(store);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return close(fd);
}

static int end(void **state)
{
	return unlink(store);
}

struct world {
	struct loaded loaded;
	struct trust *trust;
	struct log log;
	struct ledger *ledger;
	struct book book;
	struct ev_loop *loop;
	struct env env;
	struct credentials caller;
	struct proto_capabilities told;
};

static struct world *world_new(const char *config, const struct kernel *kernel)
{
	struct world *w = calloc(1, sizeof(*w));
	struct env_parts parts = { .nursery = -1, .workers = 1, .kernel = *kernel };
	char text[2048];
	char *message;

	snprintf(text, sizeof(text), "%s\n[Store system]\nFile=%s\n", config, store);
	w->loaded = load(text);
	assert_string_equal(w->loaded.errors, "");
	w->trust = trust_new(w->loaded.config, &message);
	assert_non_null(w->trust);
	w->log.fd = w->log.journal.fd = -1;
	w->ledger = ledger_new();
	w->book = (struct book){ w->ledger, ledger_seat(w->ledger) };
	w->loop = loop_new();
	w->caller = (struct credentials){ .uid = 1000, .gid = 1000 };
	w->caller.account = ledger_open(w->ledger, 1000, clock_us());
	parts.config = w->loaded.config;
	parts.trust = w->trust;
	parts.log = &w->log;
	parts.book = &w->book;
	parts.managed = true;
	assert_true(env_init(&w->env, w->loop, &parts));
	probes = 0;
	return w;
}

static void world_free(struct world *w)
{
	proto_capabilities_deinit(&w->told);
	env_deinit(&w->env);
	loop_free(w->loop);
	ledger_free(w->ledger);
	trust_free(w->trust);
	loaded_deinit(&w->loaded);
	free(w);
}

static const struct proto_capabilities *ask(struct world *w)
{
	proto_capabilities_deinit(&w->told);
	w->told = (struct proto_capabilities){ .managed = false };
	assert_true(capabilities_fill(&w->told, &w->env, &w->caller));
	return &w->told;
}

static void expect_names(const struct proto_strings *names, const char *expected)
{
	char text[4096] = "";

	for (size_t i = 0; i < names->n; i++)
		sprintf(text + strlen(text), "%s%s", i ? ":" : "", names->items[i]);
	assert_string_equal(text, expected);
}

static bool has_name(const struct proto_strings *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->items[i], name) == 0)
			return true;
	return false;
}

/* --- what is told */

static const struct kernel sound, no_gcm = { .cipher_errno = { ENOENT, ENOENT } },
			   no_tls = { .ulp_errno = ENOENT,
				      .cipher_errno = { ENOENT, ENOENT, ENOENT, ENOENT } },
			   no_loopback = { .loopback_errno = EADDRNOTAVAIL,
					   .cipher_errno = { EADDRNOTAVAIL, EADDRNOTAVAIL,
							     EADDRNOTAVAIL, EADDRNOTAVAIL } };

static void test_what_is_of_no_caller(void **state)
{
	struct world *w = world_new("", &sound);
	const struct proto_capabilities *told = ask(w);
	const struct proto_store_state *stores = told->stores.items;

	assert_string_equal(told->openssl, OpenSSL_version(OPENSSL_VERSION));
	assert_true(told->managed);
	assert_true(has_name(&told->suites, "TLS_AES_128_GCM_SHA256"));
	assert_true(has_name(&told->suites, "ECDHE-RSA-AES256-GCM-SHA384"));
	/* At level 3 the first would not be there; the second is none that OpenSSL offers of itself. */
	assert_true(has_name(&told->suites, "AES128-SHA"));
	assert_false(has_name(&told->suites, "AES128-CCM8"));
	assert_int_equal(told->stores.n, 1);
	assert_string_equal(stores[0].name, "system");
	assert_string_equal(stores[0].file, store);
	assert_int_equal(stores[0].certificates, 1);
	assert_int_equal(stores[0].valid, 1);
	w->env.managed = false;
	assert_false(ask(w)->managed);
	world_free(w);
}

static void test_kernels(void **state)
{
	static const struct kernel *const kernels[] = { &sound, &no_gcm, &no_tls, &no_loopback };
	struct utsname names;

	assert_int_equal(uname(&names), 0);
	for (size_t i = 0; i < array_size(kernels); i++) {
		struct world *w = world_new("", kernels[i]);
		const struct proto_kernel *told = &ask(w)->kernel;
		const struct proto_kernel_cipher *told_ciphers = told->ciphers.items;

		assert_string_equal(told->release, names.release);
		assert_int_equal(told->tls_errno, kernels[i]->ulp_errno);
		assert_int_equal(told->loopback_errno, kernels[i]->loopback_errno);
		assert_int_equal(told->ciphers.n, n_ciphers);
		for (size_t n = 0; n < n_ciphers; n++) {
			assert_string_equal(told_ciphers[n].name, ciphers[n].name);
			assert_string_equal(told_ciphers[n].module, ciphers[n].module);
			assert_int_equal(told_ciphers[n].sys_errno, kernels[i]->cipher_errno[n]);
		}
		world_free(w);
	}
}

#define AES "ECDHE-RSA-AES256-GCM-SHA384"
#define CHACHA "ECDHE-RSA-CHACHA20-POLY1305"
#define NEVER_TAKEN "AES256-SHA"

static void test_policies(void **state)
{
	static const struct {
		const struct kernel *kernel;
		const char *offloadable;
	} rows[] = {
		{ &sound, AES ":" CHACHA }, { &no_gcm, CHACHA }, { &no_tls, "" },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		struct world *w = world_new("[Policy mixed]\nCiphers=" NEVER_TAKEN ":" AES ":" CHACHA "\n"
					    "Groups=P-384\nSignatureAlgorithms=RSA+SHA256\n",
					    rows[i].kernel);
		const struct proto_list *told = &ask(w)->policies;
		const struct proto_policy_offer *offers = told->items;

		assert_int_equal(told->n, 2);
		assert_string_equal(offers[0].name, "default");
		assert_true(has_name(&offers[0].suites, AES));
		assert_int_equal(has_name(&offers[0].offloadable, CHACHA), rows[i].kernel != &no_tls);
		assert_string_equal(offers[1].name, "mixed");
		expect_names(&offers[1].suites, NEVER_TAKEN ":" AES ":" CHACHA);
		expect_names(&offers[1].offloadable, rows[i].offloadable);
		assert_string_equal(offers[1].groups, "P-384");
		assert_string_equal(offers[1].signature_algorithms, "RSA+SHA256");
		world_free(w);
	}
}

/* As a request would have it asked: where there is reason to, and not all the time. */
static void test_kernel_of_now(void **state)
{
	struct world *w = world_new("", &no_tls);

	found = sound;
	assert_int_equal(ask(w)->kernel.tls_errno, ENOENT);
	assert_int_equal(probes, 0);
	w->env.probed_us -= ENV_PROBE_INTERVAL_US;
	assert_int_equal(ask(w)->kernel.tls_errno, 0);
	assert_int_equal(probes, 1);
	w->env.probed_us -= ENV_PROBE_INTERVAL_US;
	ask(w);
	assert_int_equal(probes, 1);
	world_free(w);
}

/* --- who asks */

#define RULES											\
	"[Access others]\nUsers=2000\nHosts=secret.example\nAllowVerifyNone=yes\n"		\
	"[Access mine]\nUsers=1000\nHosts=known.example\n"

static void test_caller(void **state)
{
	static const struct {
		const char *config;
		uid_t uid;
		bool allowed, verify_none;
		const char *rules;
	} rows[] = {
		{ "", 1000, true, false, "" },
		{ RULES, 1000, true, false, "mine" },
		{ RULES, 2000, true, true, "others" },
		{ RULES, 3000, false, false, "" },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		struct world *w = world_new(rows[i].config, &sound);
		const struct proto_caller *told;

		w->caller.uid = rows[i].uid;
		told = &ask(w)->caller;
		assert_int_equal(told->uid, rows[i].uid);
		assert_int_equal(told->allowed, rows[i].allowed);
		assert_int_equal(told->verify_none, rows[i].verify_none);
		assert_false(told->barred);
		expect_names(&told->rules, rows[i].rules);
		world_free(w);
	}
}

static void test_no_destinations(void **state)
{
	struct world *w = world_new(RULES, &sound);
	_cleanup_free_ char *text = NULL;
	size_t length;

	text = proto_capabilities_encode(ask(w), &length);
	assert_non_null(text);
	assert_non_null(strstr(text, "\"rules\":[\"mine\"]"));
	assert_null(strstr(text, ".example"));
	assert_null(strstr(text, "others"));
	world_free(w);
}

static void test_barred(void **state)
{
	struct world *w = world_new("", &sound);
	struct ledger_account *account = &w->ledger->accounts[w->caller.account];

	account->barred_until_us = clock_us() + 5000000;
	assert_true(ask(w)->caller.barred);
	account->barred_until_us = clock_us();
	assert_false(ask(w)->caller.barred);
	/* Nobody is for so long. */
	account->barred_until_us = UINT64_MAX;
	assert_false(ask(w)->caller.barred);
	world_free(w);
}

/* --- want of memory */

static void test_no_memory(void **state)
{
	struct world *w = world_new(RULES, &sound);
	size_t n;

	allocations = 0;
	ask(w);
	n = allocations;
	assert_true(n > 50);
	for (size_t i = 1; i <= n; i++) {
		proto_capabilities_deinit(&w->told);
		w->told = (struct proto_capabilities){ .managed = false };
		allocations = 0;
		fail_at = i;
		assert_false(capabilities_fill(&w->told, &w->env, &w->caller));
	}
	fail_at = 0;
	ask(w);
	world_free(w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_of_no_caller),
		cmocka_unit_test(test_kernels),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_kernel_of_now),
		cmocka_unit_test(test_caller),
		cmocka_unit_test(test_no_destinations),
		cmocka_unit_test(test_barred),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
