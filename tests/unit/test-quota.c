/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "daemon/clock.h"
#include "daemon/quota.h"

#include <string.h>

/* Of workers there are two, of which only one asks. */
struct scene {
	struct config config;
	struct ledger *ledger;
	struct book book, other;
	struct env env;
	unsigned int account, neighbour;
	struct charge charges[16];
	size_t n;
};

static struct scene *scene_new(void)
{
	static struct scene scene;

	scene = (struct scene){
		.config.limits = {
			.requests = 5, .user_requests = 3, .undelivered = 4, .user_undelivered = 2,
			.user_requests_per_sec = 1000000, .user_requests_burst = 1000000,
		},
		.ledger = ledger_new(),
	};
	assert_non_null(scene.ledger);
	scene.book = (struct book){ scene.ledger, ledger_seat(scene.ledger) };
	scene.other = (struct book){ scene.ledger, ledger_seat(scene.ledger) };
	scene.account = ledger_open(scene.ledger, 1000, clock_us());
	scene.neighbour = ledger_open(scene.ledger, 1001, clock_us());
	scene.env = (struct env){ .config = &scene.config, .book = &scene.book };
	return &scene;
}

static void scene_free(struct scene *scene)
{
	for (size_t i = 0; i < scene->n; i++)
		charge_give_back(&scene->charges[i]);
	assert_int_equal(book_balance(&scene->book), 0);
	assert_int_equal(book_balance(&scene->other), 0);
	ledger_free(scene->ledger);
}

static struct charge *next_charge(struct scene *scene)
{
	assert_true(scene->n < array_size(scene->charges));
	return &scene->charges[scene->n++];
}

static void admit(struct scene *scene, unsigned int account, unsigned int of_user)
{
	struct charge *charge = next_charge(scene);
	struct proto_status status = { 0 };

	assert_int_equal(quota_admit(charge, &scene->env, account, of_user, &status), PROTO_OK);
	assert_non_null(charge->book);
	assert_int_equal(status.error, PROTO_OK);
}

static void deliver(struct scene *scene, unsigned int account)
{
	struct charge *charge = next_charge(scene);
	struct proto_status status = { 0 };

	assert_int_equal(quota_deliver(charge, &scene->env, account, &status), PROTO_OK);
	assert_non_null(charge->book);
}

/* What another worker has. */
static void elsewhere(struct scene *scene, unsigned int account, enum quota quota)
{
	assert_int_equal(charge_set(next_charge(scene), &scene->other, account, quota, 1, 1000, 1000),
			 LEDGER_TAKEN);
}

/* It comes again later, and knows from the words which limit it was. */
static void expect_busy(const struct proto_status *status, enum proto_stage stage,
			const char *number, const char *key)
{
	assert_int_equal(status->error, PROTO_BUSY);
	assert_int_equal(status->stage, stage);
	assert_true(status->retry);
	assert_int_equal(status->sys_errno, 0);
	if (!strstr(status->message, number) || !strstr(status->message, key))
		fail_msg("neither %s nor %s in: %s", number, key, status->message);
}

static void expect_refused(struct scene *scene, unsigned int account, unsigned int of_user,
			   const char *number, const char *key)
{
	unsigned int before = book_balance(&scene->book);
	struct proto_status status = { 0 };
	struct charge charge = { 0 };

	assert_int_equal(quota_admit(&charge, &scene->env, account, of_user, &status), PROTO_BUSY);
	expect_busy(&status, PROTO_STAGE_POLICY, number, key);
	assert_null(charge.book);
	assert_int_equal(book_balance(&scene->book), before);
}

static void expect_undelivered(struct scene *scene, unsigned int account, const char *number,
			       const char *key)
{
	struct proto_status status = { 0 };
	struct charge charge = { 0 };

	assert_int_equal(quota_deliver(&charge, &scene->env, account, &status), PROTO_BUSY);
	expect_busy(&status, PROTO_STAGE_INSTALL, number, key);
	assert_null(charge.book);
}

/* --- requests */

static void test_requests_of_one_user(void **state)
{
	struct scene *scene = scene_new();

	admit(scene, scene->account, 0);
	elsewhere(scene, scene->account, QUOTA_REQUESTS);
	admit(scene, scene->account, 0);
	expect_refused(scene, scene->account, 0, " 3 ", " UserRequests=");
	admit(scene, scene->neighbour, 0);
	charge_give_back(&scene->charges[0]);
	admit(scene, scene->account, 0);
	scene_free(scene);
}

static void test_requests_in_all(void **state)
{
	struct scene *scene = scene_new();

	for (int i = 0; i < 3; i++)
		elsewhere(scene, scene->neighbour, QUOTA_REQUESTS);
	admit(scene, scene->account, 0);
	admit(scene, scene->account, 0);
	expect_refused(scene, scene->account, 0, " 5 ", " Requests=");
	charge_give_back(&scene->charges[0]);
	admit(scene, scene->account, 0);
	scene_free(scene);
}

/* What a rule grants stands in the place of what all others have, more or less. */
static void test_a_grant(void **state)
{
	struct scene *scene = scene_new();

	admit(scene, scene->account, 1);
	expect_refused(scene, scene->account, 1, " 1 ", " UserRequests=");
	for (int i = 0; i < 3; i++)
		admit(scene, scene->account, 4);
	expect_refused(scene, scene->account, 4, " 4 ", " UserRequests=");
	scene_free(scene);
}

/* --- rates */

static void test_the_rate_of_requests(void **state)
{
	struct scene *scene = scene_new();

	scene->config.limits.user_requests_per_sec = 1;
	scene->config.limits.user_requests_burst = 2;
	for (int i = 0; i < 2; i++)
		admit(scene, scene->account, 0);
	expect_refused(scene, scene->account, 0, " 1 ", "UserRequestsPerSec=");
	admit(scene, scene->neighbour, 0);
	/* As if time had passed. */
	scene->ledger->accounts[scene->account].request_rate = 0;
	admit(scene, scene->account, 0);
	scene_free(scene);
}

/* --- sockets that were not taken */

static void test_undelivered_of_one_user(void **state)
{
	struct scene *scene = scene_new();

	deliver(scene, scene->account);
	elsewhere(scene, scene->account, QUOTA_UNDELIVERED);
	expect_undelivered(scene, scene->account, " 2 ", " UserUndelivered=");
	deliver(scene, scene->neighbour);
	charge_give_back(&scene->charges[0]);
	deliver(scene, scene->account);
	scene_free(scene);
}

static void test_undelivered_in_all(void **state)
{
	struct scene *scene = scene_new();

	for (int i = 0; i < 3; i++)
		elsewhere(scene, scene->neighbour, QUOTA_UNDELIVERED);
	deliver(scene, scene->account);
	expect_undelivered(scene, scene->account, " 4 ", " Undelivered=");
	scene_free(scene);
}

/* Who has left as many lying as he may has no other made; it is told before it begins. */
static void test_undelivered_keep_from_asking(void **state)
{
	struct scene *scene = scene_new();

	deliver(scene, scene->account);
	admit(scene, scene->account, 0);
	elsewhere(scene, scene->account, QUOTA_UNDELIVERED);
	expect_refused(scene, scene->account, 0, " 2 ", " UserUndelivered=");
	admit(scene, scene->neighbour, 0);
	charge_give_back(&scene->charges[0]);
	admit(scene, scene->account, 0);
	scene_free(scene);
}

/* Never for longer than a penalty may last. */
static void test_barred(void **state)
{
	struct scene *scene = scene_new();
	_Atomic uint64_t *until_us = &scene->ledger->accounts[scene->account].barred_until_us;

	scene->config.limits.user_penalty_ms = 90000;
	*until_us = clock_us() + 80000000;
	expect_refused(scene, scene->account, 0, "crashed", " s");
	admit(scene, scene->neighbour, 0);
	*until_us = clock_us() - 1;
	admit(scene, scene->account, 0);
	*until_us = UINT64_MAX;
	admit(scene, scene->account, 0);
	scene_free(scene);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_of_one_user),
		cmocka_unit_test(test_requests_in_all),
		cmocka_unit_test(test_a_grant),
		cmocka_unit_test(test_the_rate_of_requests),
		cmocka_unit_test(test_undelivered_of_one_user),
		cmocka_unit_test(test_undelivered_in_all),
		cmocka_unit_test(test_undelivered_keep_from_asking),
		cmocka_unit_test(test_barred),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
