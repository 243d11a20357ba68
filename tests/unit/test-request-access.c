/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free,--wrap=socket_prepare_hand_over,--wrap=calloc */
/* A request and the rule that it is under: who is asked, and what is connected, is none that it
 * forbids. Everything else would go well. */
#include "tests/unit/run.h"

static struct config_access rule;

static void open_under_rule(struct run *run)
{
	run_init(run);
	rule = (struct config_access){ .name = (char *)"only" };
	run->theatre.config.access = &rule;
	run->theatre.config.n_access = 1;
}

static struct network loopback(void)
{
	struct network network;

	assert_true(network_parse(&network, "127.0.0.0/8"));
	return network;
}

static void expect_refused(struct run *run, unsigned int lookups)
{
	assert_int_equal(run->status.error, PROTO_NOT_AUTHORIZED);
	assert_int_equal(run->status.stage, PROTO_STAGE_POLICY);
	assert_non_null(strstr(run->status.message, "\"only\""));
	assert_int_equal(play.resolve.starts, lookups);
	assert_int_equal(play.connect.starts, 0);
	run_deinit(run);
}

static void test_a_name_that_is_forbidden_is_not_looked_up(void **state)
{
	char *hosts[] = { (char *)"good.example" };
	struct run run;

	open_under_rule(&run);
	rule.hosts = (struct config_words){ hosts, 1 };
	run_to_done(&run, "host.example");
	expect_refused(&run, 0);
}

/* Nor is the kernel asked, or anything made for it. */
static void test_access_is_first(void **state)
{
	struct config_port_range ports[] = { { 80, 80 } };
	struct run run;

	open_under_rule(&run);
	play.refusal = OF_TLS;
	rule.ports = (struct config_ports){ ports, 1 };
	run.theatre.env.kernel.ulp_errno = ENOENT;
	run_to_done(&run, "host.example");
	assert_int_equal(play.probes, 0);
	expect_refused(&run, 0);
}

static void test_a_literal_address_is_judged(void **state)
{
	struct network network = loopback();
	struct run run;

	open_under_rule(&run);
	rule.not_addresses = (struct config_networks){ &network, 1 };
	run_to_done(&run, "127.0.0.1");
	expect_refused(&run, 0);
}

static void test_what_the_resolver_answers_is_judged(void **state)
{
	static const enum how hows[] = { AT_ONCE, LATER };
	struct network network = loopback();
	struct run run;

	for (size_t i = 0; i < array_size(hows); i++) {
		open_under_rule(&run);
		play.resolve.how = hows[i];
		rule.not_addresses = (struct config_networks){ &network, 1 };
		run_to_done(&run, "host.example");
		assert_non_null(strstr(run.status.message, "host.example, at 127.0.0.1"));
		expect_refused(&run, 1);
	}
}

static void test_what_is_allowed_is_connected(void **state)
{
	struct network network = loopback();
	struct run run;

	open_under_rule(&run);
	rule.addresses = (struct config_networks){ &network, 1 };
	rule.requests = 7;
	run_to_done(&run, "host.example");
	assert_int_equal(run.status.error, PROTO_OK);
	assert_string_equal(run.request->grant.rule, "only");
	assert_int_equal(run.request->grant.requests, 7);
	run_deinit(&run);
}

/* As long as the address was not known another rule might have been its own, with more at a time. */
static void test_the_rule_of_the_address_counts_requests(void **state)
{
	for (unsigned int others = 0; others < 2; others++) {
		struct config_access rules[2] = { { .name = (char *)"far", .requests = 100 },
						  { .name = (char *)"near", .requests = 1 } };
		struct charge other = { 0 };
		struct network network;
		struct run run;

		assert_true(network_parse(&network, "192.0.2.0/24"));
		rules[0].addresses = (struct config_networks){ &network, 1 };
		run_init(&run);
		run.theatre.config.access = rules;
		run.theatre.config.n_access = array_size(rules);
		charge_set(&other, run.theatre.env.book, run.theatre.caller.account,
			   QUOTA_REQUESTS, others, 100, 100);
		run_to_done(&run, "host.example");
		assert_string_equal(run.request->grant.rule, "near");
		assert_int_equal(run.status.error, others ? PROTO_BUSY : PROTO_OK);
		assert_int_equal(play.connect.starts, !others);
		charge_give_back(&other);
		run_deinit(&run);
	}
}

/* The caller that the request came with is the one that counts. */
static void test_the_caller_counts(void **state)
{
	struct run run;

	open_under_rule(&run);
	run.theatre.caller.namespace = NAMESPACE_OTHER;
	run_to_done(&run, "host.example");
	assert_non_null(strstr(run.status.message, "AnyNamespace"));
	expect_refused(&run, 0);
	run_init(&run);
	run.theatre.caller.namespace = NAMESPACE_UNKNOWN;
	run_to_done(&run, "host.example");
	assert_int_equal(run.status.error, PROTO_NOT_AUTHORIZED);
	assert_int_equal(play.connect.starts, 0);
	run_deinit(&run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_name_that_is_forbidden_is_not_looked_up),
		cmocka_unit_test(test_access_is_first),
		cmocka_unit_test(test_a_literal_address_is_judged),
		cmocka_unit_test(test_what_the_resolver_answers_is_judged),
		cmocka_unit_test(test_what_is_allowed_is_connected),
		cmocka_unit_test(test_the_rule_of_the_address_counts_requests),
		cmocka_unit_test(test_the_caller_counts),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
