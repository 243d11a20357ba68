/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=getgrnam */
#include "tests/unit/addresses.h"
#include "tests/unit/config-load.h"

#include "daemon/access.h"

/* What is asked, and by whom. What is not given is root, from our own namespace, for host.test. */
struct asking {
	const char *host;
	const char *address;	/* NULL: not yet known */
	unsigned int port;
	uid_t uid;
	gid_t gid;
	gid_t group;
	int namespace;
	const char *policy, *store;
	bool brings_ca, verify_none, pinned;
};

static struct proto_status status;
static struct access_grant grant;

static enum proto_error check(const struct config *config, const struct asking *asking)
{
	gid_t groups[] = { 77, asking->group };
	const struct credentials caller = {
		.uid = asking->uid, .gid = asking->gid, .groups = groups,
		.n_groups = asking->group ? 2 : 0, .namespace = asking->namespace,
	};
	const struct proto_connect wanted = {
		.host = (char *)(asking->host ?: "host.test"),
		.port = (uint16_t)(asking->port ?: 443),
		.trust = {
			.ca = (char *)(asking->brings_ca ? "text" : NULL),
			.store = (char *)asking->store, .n_pins = asking->pinned,
			.verify = asking->verify_none ? PROTO_VERIFY_NONE : PROTO_VERIFY_FULL,
		},
		.policy = { .name = (char *)asking->policy },
	};
	struct sockaddr_storage address;
	enum proto_error error;

	if (asking->address)
		address = address_of(asking->address);
	grant = (struct access_grant){ .rule = "none", .requests = 4711 };
	memset(&status, 0x5a, sizeof(status));
	error = access_check(config, &caller, &wanted, asking->address ? &address : NULL, &grant,
			     &status);
	if (error == PROTO_OK)
		return error;
	assert_int_equal(error, PROTO_NOT_AUTHORIZED);
	assert_int_equal(status.error, PROTO_NOT_AUTHORIZED);
	assert_int_equal(status.stage, PROTO_STAGE_POLICY);
	assert_int_equal(status.retry, false);
	assert_non_null(strstr(status.message, "administrator"));
	return error;
}

/* --- where to: under the shipped rule, as literal host and as the answer to a name */

#define FORBIDDEN false
#define ALLOWED true

static const struct {
	const char *address;
	bool allowed;
} spellings[] = {
	{ "127.0.0.1", FORBIDDEN }, { "127.0.0.0", FORBIDDEN }, { "127.1.2.3", FORBIDDEN },
	{ "127.255.255.255", FORBIDDEN }, { "126.255.255.255", ALLOWED }, { "128.0.0.1", ALLOWED },
	{ "0.0.0.0", FORBIDDEN }, { "0.0.0.1", FORBIDDEN }, { "0.255.255.255", FORBIDDEN },
	{ "1.0.0.0", ALLOWED },
	{ "169.254.169.254", FORBIDDEN }, { "169.254.0.0", FORBIDDEN },
	{ "169.254.255.255", FORBIDDEN }, { "169.253.255.255", ALLOWED },
	{ "169.255.0.0", ALLOWED },
	{ "224.0.0.1", FORBIDDEN }, { "239.255.255.255", FORBIDDEN },
	{ "223.255.255.255", ALLOWED },
	{ "240.0.0.1", ALLOWED }, { "255.255.255.255", FORBIDDEN }, { "255.255.255.254", ALLOWED },
	{ "10.0.0.1", ALLOWED }, { "192.0.2.1", ALLOWED },
	{ "::1", FORBIDDEN }, { "::", FORBIDDEN }, { "0:0:0:0:0:0:0:1", FORBIDDEN },
	{ "::0.0.0.1", FORBIDDEN }, { "::2", FORBIDDEN }, { "::7f00:1", FORBIDDEN },
	{ "::127.0.0.1", FORBIDDEN }, { "::169.254.169.254", FORBIDDEN }, { "::10.0.0.1", ALLOWED },
	{ "fe80::1", FORBIDDEN }, { "FE80::1", FORBIDDEN }, { "febf:ffff::", FORBIDDEN },
	{ "fe7f::1", ALLOWED }, { "fec0::1", ALLOWED },
	{ "ff02::1", FORBIDDEN }, { "ff00::", FORBIDDEN }, { "feff::1", ALLOWED },
	{ "fd00::1", ALLOWED }, { "2001:db8::1", ALLOWED }, { "2001:db8::7f00:1", ALLOWED },
	{ "::ffff:127.0.0.1", FORBIDDEN }, { "::ffff:7f00:1", FORBIDDEN },
	{ "::FFFF:127.0.0.1", FORBIDDEN }, { "0:0:0:0:0:ffff:7f00:0001", FORBIDDEN },
	{ "::ffff:0.0.0.0", FORBIDDEN }, { "::ffff:169.254.169.254", FORBIDDEN },
	{ "::ffff:a9fe:a9fe", FORBIDDEN }, { "::ffff:224.0.0.1", FORBIDDEN },
	{ "::ffff:255.255.255.255", FORBIDDEN }, { "::ffff:10.0.0.1", ALLOWED },
	{ "64:ff9b::127.0.0.1", FORBIDDEN }, { "64:ff9b::7f00:1", FORBIDDEN },
	{ "64:ff9b::169.254.169.254", FORBIDDEN }, { "64:ff9b::a9fe:a9fe", FORBIDDEN },
	{ "64:ff9b::0.0.0.0", FORBIDDEN }, { "64:ff9b::10.0.0.1", ALLOWED },
	{ "64:ff9b:1::127.0.0.1", FORBIDDEN }, { "64:ff9b:1::169.254.169.254", FORBIDDEN },
	{ "64:ff9b:1:a9fe:a9:fe00::", FORBIDDEN }, { "64:ff9b:1:ff:ff:ff:7f00:1", FORBIDDEN },
	{ "64:ff9b:1::10.0.0.1", ALLOWED }, { "64:ff9b:2::127.0.0.1", ALLOWED },
	{ "2002:7f00:1::1", FORBIDDEN }, { "2002:a9fe:a9fe::", FORBIDDEN },
	{ "2002:7f00:0001:1234:5678:9abc:def0:1", FORBIDDEN }, { "2002:a00:1::1", ALLOWED },
	{ "2001:0:c000:201:0:0:80ff:fffe", FORBIDDEN },
	{ "2001::c000:201:5601:5601", FORBIDDEN }, { "2001:0:c000:201:0:0:f5ff:fffe", ALLOWED },
};

static void test_spellings(void **state)
{
	_cleanup_(loaded_deinit) struct loaded loaded = load_file("conf/ktlsd.conf");
	struct asking asking = { .gid = KTLS_GID };

	assert_string_equal(loaded.errors, "");
	for (size_t i = 0; i < array_size(spellings); i++) {
		enum proto_error wanted = spellings[i].allowed ? PROTO_OK : PROTO_NOT_AUTHORIZED;

		asking.host = NULL;
		asking.address = spellings[i].address;
		if (check(loaded.config, &asking) != wanted)
			fail_msg("%s", spellings[i].address);
		assert_true(wanted == PROTO_OK || strstr(status.message, "\"ktls\""));
		asking.host = spellings[i].address;
		asking.address = NULL;
		if (check(loaded.config, &asking) != wanted)
			fail_msg("%s, literally", spellings[i].address);
	}
}

/* --- rules */

#define SHIPPED "[Access ktls]\nGroups=4711\nNotAddresses=localhost link-local multicast\n"
#define DENY_FIRST "[Access no]\nAction=deny\nUsers=5\n[Access yes]\n"
#define LISTS \
	"[Policy p]\n[Policy q]\n[Access one]\nPolicies=p default\nStores=system\n" \
	"Ports=443 8000-8100\n"
#define NAMES "[Access names]\nHosts=good.test *.good.test\n"
#define NETS "[Access nets]\nAddresses=10.0.0.0/8 2001:db8::/32\nNotAddresses=10.1.0.0/16\n"
#define DENY_NET "[Access no]\nAction=deny\nAddresses=169.254.0.0/16\n[Access yes]\n"
#define DENY_REST "[Access no]\nAction=deny\nNotAddresses=10.0.0.0/8\n[Access yes]\n"
#define TWO "[Access few]\nUsers=5\nRequests=3\n[Access many]\nUsers=5 6\nRequests=9\n"
#define UNVERIFIED "[Access lab]\nAddresses=10.0.0.0/8\nAllowVerifyNone=yes\n[Access rest]\n"
#define ANYWHERE "[Access home]\nUsers=5\n[Access away]\nUsers=5\nAnyNamespace=yes\n"
#define LOCAL "[Access lo]\nAddresses=localhost\n"
#define USER_OR_GROUP "[Access either]\nUsers=5\nGroups=6\n"

static const struct row {
	const char *rules;
	struct asking asking;
	const char *rule;	/* that allows it; "" where there are none; NULL: it is refused */
	const char *word;	/* of the message then */
} rows[] = {
	/* no rule at all */
	{ "", { 0 }, "", NULL },
	{ "", { .address = "127.0.0.1" }, "", NULL },
	{ "", { .host = "::1" }, "", NULL },
	{ "", { .verify_none = true }, NULL, "AllowVerifyNone" },
	{ "", { .verify_none = true, .pinned = true }, NULL, "AllowVerifyNone" },
	{ "", { .namespace = NAMESPACE_OTHER }, NULL, "AnyNamespace" },
	{ "", { .namespace = NAMESPACE_UNKNOWN }, NULL, "does not tell" },
	/* who */
	{ SHIPPED, { .gid = 4711 }, "ktls", NULL },
	{ SHIPPED, { .uid = 9, .gid = 9, .group = 4711 }, "ktls", NULL },
	{ SHIPPED, { .uid = 9, .gid = 9, .group = 4712 }, NULL, "no access rule" },
	{ SHIPPED, { .uid = 4711 }, NULL, "no access rule" },
	{ SHIPPED, { .gid = 4711, .namespace = NAMESPACE_OTHER }, NULL, "AnyNamespace" },
	{ SHIPPED, { .gid = 4711, .namespace = NAMESPACE_UNKNOWN }, NULL, "does not tell" },
	{ USER_OR_GROUP, { .uid = 5, .gid = 9 }, "either", NULL },
	{ USER_OR_GROUP, { .uid = 9, .gid = 6 }, "either", NULL },
	{ USER_OR_GROUP, { .uid = 6, .gid = 5 }, NULL, "no access rule" },
	{ ANYWHERE, { .uid = 5 }, "home", NULL },
	{ ANYWHERE, { .uid = 5, .namespace = NAMESPACE_OTHER }, "away", NULL },
	{ ANYWHERE, { .uid = 5, .namespace = NAMESPACE_UNKNOWN }, "away", NULL },
	{ ANYWHERE, { .uid = 6, .namespace = NAMESPACE_OTHER }, NULL, "no access rule" },
	/* the first decides */
	{ DENY_FIRST, { .uid = 5 }, NULL, "\"no\" denies" },
	{ DENY_FIRST, { .uid = 5, .namespace = NAMESPACE_OTHER }, NULL, "\"no\" denies" },
	{ DENY_FIRST, { .uid = 6 }, "yes", NULL },
	{ "[Access yes]\nUsers=5\n[Access no]\nAction=deny\n", { .uid = 5 }, "yes", NULL },
	{ "[Access yes]\nUsers=5\n[Access no]\nAction=deny\n", { .uid = 6 }, NULL, "denies" },
	{ "[Access no]\nAction=deny\n", { .address = "192.0.2.1" }, NULL, "denies" },
	{ TWO, { .uid = 5 }, "few", NULL },
	{ TWO, { .uid = 6 }, "many", NULL },
	/* what */
	{ LISTS, { 0 }, "one", NULL },
	{ LISTS, { .policy = "default" }, "one", NULL },
	{ LISTS, { .policy = "p" }, "one", NULL },
	{ LISTS, { .policy = "q" }, NULL, "Policies=" },
	{ LISTS, { .policy = "P" }, NULL, "Policies=" },
	{ LISTS, { .store = "system" }, "one", NULL },
	{ LISTS, { .store = "other" }, NULL, "Stores=" },
	{ LISTS, { .store = "other", .verify_none = true }, NULL, "Stores=" },
	{ LISTS, { .port = 442 }, NULL, "Ports=" },
	{ LISTS, { .port = 444 }, NULL, "Ports=" },
	{ LISTS, { .port = 7999 }, NULL, "Ports=" },
	{ LISTS, { .port = 8000 }, "one", NULL },
	{ LISTS, { .port = 8100 }, "one", NULL },
	{ LISTS, { .port = 8101 }, NULL, "Ports=" },
	{ "[Store s]\nFile=/s\n[Access a]\nStores=s\n", { 0 }, NULL, "Stores=" },
	{ "[Store s]\nFile=/s\n[Access a]\nStores=s\n", { .brings_ca = true }, "a", NULL },
	{ "[Store s]\nFile=/s\n[Access a]\nStores=s\n", { .pinned = true }, "a", NULL },
	{ "[Store s]\nFile=/s\n[Access a]\nStores=s\n", { .store = "s" }, "a", NULL },
	/* the name; what is no name is not meant */
	{ NAMES, { .host = "good.test" }, "names", NULL },
	{ NAMES, { .host = "a.Good.Test.", .address = "127.0.0.1" }, "names", NULL },
	{ NAMES, { .host = "bad.test" }, NULL, "Hosts=" },
	{ NAMES, { .host = "bad.test", .address = "192.0.2.1" }, NULL, "Hosts=" },
	{ NAMES, { .host = "192.0.2.1" }, NULL, "Hosts=" },
	/* a name whose address is not known: could it be? */
	{ NETS, { 0 }, "nets", NULL },
	{ NETS, { .port = 1, .host = "any.test" }, "nets", NULL },
	{ DENY_NET, { 0 }, "yes", NULL },
	{ "[Access no]\nAction=deny\nUsers=5\n" NETS, { .uid = 5 }, NULL, "denies" },
	{ "[Access no]\nAction=deny\nNotAddresses=::1\n" NETS, { .uid = 5 }, "nets", NULL },
	{ "[Access no]\nAction=deny\nAddresses=any\n", { 0 }, NULL, "no access rule" },
	/* its addresses */
	{ NETS, { .address = "10.0.0.1" }, "nets", NULL },
	{ NETS, { .address = "10.1.0.1" }, NULL, "10.1.0.1" },
	{ NETS, { .address = "11.0.0.1" }, NULL, "Addresses=" },
	{ NETS, { .address = "::ffff:10.0.0.1" }, "nets", NULL },
	{ NETS, { .address = "::ffff:10.1.0.1" }, NULL, "Addresses=" },
	{ NETS, { .address = "64:ff9b::10.0.0.1" }, NULL, "Addresses=" },
	{ NETS, { .address = "2001:db8::1" }, "nets", NULL },
	{ NETS, { .host = "2001:db8::1" }, "nets", NULL },
	{ NETS, { .host = "2001:db9::1" }, NULL, "2001:db9::1 port 443" },
	{ LOCAL, { .address = "::1" }, "lo", NULL },
	{ LOCAL, { .address = "::" }, "lo", NULL },
	{ LOCAL, { .address = "127.9.9.9" }, "lo", NULL },
	{ LOCAL, { .address = "::ffff:127.0.0.1" }, "lo", NULL },
	{ LOCAL, { .address = "::127.0.0.1" }, NULL, "Addresses=" },
	{ LOCAL, { .address = "fe80::1" }, NULL, "Addresses=" },
	{ "[Access six]\nAddresses=::/0\n", { .address = "::ffff:10.0.0.1" }, NULL, "Addresses=" },
	{ "[Access six]\nAddresses=::/0\n", { .address = "64:ff9b::10.0.0.1" }, "six", NULL },
	{ "[Access six]\nAddresses=64:ff9b::/96\nNotAddresses=10.0.0.0/8\n",
	  { .address = "64:ff9b::10.0.0.1" }, NULL, "Addresses=" },
	{ DENY_NET, { .address = "169.254.169.254" }, NULL, "denies" },
	{ DENY_NET, { .address = "::ffff:169.254.169.254" }, NULL, "denies" },
	{ DENY_NET, { .address = "64:ff9b::169.254.169.254" }, NULL, "denies" },
	{ DENY_NET, { .address = "2002:a9fe:a9fe::1" }, NULL, "denies" },
	{ DENY_NET, { .address = "192.0.2.1" }, "yes", NULL },
	{ DENY_REST, { .address = "10.0.0.1" }, "yes", NULL },
	{ DENY_REST, { .address = "::ffff:10.0.0.1" }, "yes", NULL },
	{ DENY_REST, { .address = "64:ff9b::10.0.0.1" }, NULL, "denies" },
	{ DENY_REST, { .address = "192.0.2.1" }, NULL, "denies" },
	/* verify: none is the last word of the rule that decides */
	{ UNVERIFIED, { .verify_none = true }, "lab", NULL },
	{ UNVERIFIED, { .verify_none = true, .address = "10.0.0.1" }, "lab", NULL },
	{ UNVERIFIED, { .verify_none = true, .address = "11.0.0.1" }, NULL, "\"rest\"" },
	{ UNVERIFIED, { .address = "11.0.0.1" }, "rest", NULL },
	{ SHIPPED, { .gid = 4711, .verify_none = true }, NULL, "AllowVerifyNone" },
	{ SHIPPED, { .gid = 4711, .verify_none = true, .host = "192.0.2.1" }, NULL,
	  "AllowVerifyNone" },
	{ "[Access a]\n[Access b]\nAllowVerifyNone=yes\n", { .verify_none = true }, NULL,
	  "\"a\" does not allow verify: none" },
	{ "[Access a]\nNotAddresses=localhost\n[Access b]\nAllowVerifyNone=yes\n",
	  { .verify_none = true }, "b", NULL },
};

static void expect_row(const struct row *row, const struct config *config)
{
	const char *asked = row->asking.address ?: row->asking.host ?: "host.test";
	enum proto_error error = check(config, &row->asking);

	if ((error == PROTO_OK) != (row->rule != NULL))
		fail_msg("%s by %s: %s", asked, row->rules,
			 error == PROTO_OK ? grant.rule : status.message);
	if (error == PROTO_OK && strcmp(grant.rule ?: "", row->rule) != 0)
		fail_msg("%s by %s: %s", asked, row->rules, grant.rule);
	if (error != PROTO_OK && !strstr(status.message, row->word))
		fail_msg("%s by %s: %s", asked, row->rules, status.message);
}

static void test_rules(void **state)
{
	for (size_t i = 0; i < array_size(rows); i++) {
		_cleanup_(loaded_deinit) struct loaded loaded = load(rows[i].rules);

		assert_string_equal(loaded.errors, "");
		expect_row(&rows[i], loaded.config);
	}
}

/* Of a rule that is for others its name is told to nobody. */
static void test_others_rules_are_not_told(void **state)
{
	_cleanup_(loaded_deinit) struct loaded loaded = load(
		"[Access secret]\nUsers=5\n[Access hidden]\nAction=deny\nUsers=7\n"
		"[Access mine]\nUsers=6\nPorts=1\n");
	struct asking asking = { .uid = 6 };

	assert_int_equal(check(loaded.config, &asking), PROTO_NOT_AUTHORIZED);
	assert_non_null(strstr(status.message, "\"mine\""));
	assert_null(strstr(status.message, "secret"));
	assert_null(strstr(status.message, "hidden"));
}

/* However long the names: who can mend it is told whole, which check() sees to. */
static void test_long_names(void **state)
{
	char host[PROTO_HOST_MAX + 1], rules[200];
	static const char *const addresses[] = { NULL, "2001:db8:1111:2222:3333:4444:5555:6666" };
	const char *const conditions[] = { "Ports=1", "Action=deny", "NotAddresses=any", "" };

	memset(host, 'a', sizeof(host));
	for (size_t i = 50; i < PROTO_HOST_MAX; i += 50)
		host[i] = '.';
	host[PROTO_HOST_MAX] = '\0';
	for (size_t i = 0; i < array_size(conditions); i++) {
		_cleanup_(loaded_deinit) struct loaded loaded = { 0 };

		snprintf(rules, sizeof(rules), "[Access %.64s]\n%s\n",
			 "long-long-long-long-long-long-long-long-long-long-long-long-long",
			 conditions[i]);
		loaded = load(rules);
		for (size_t k = 0; k < array_size(addresses); k++) {
			struct asking asking = { .host = host, .address = addresses[k],
						 .verify_none = true,
						 .namespace = i ? 0 : NAMESPACE_UNKNOWN };

			assert_int_equal(check(loaded.config, &asking), PROTO_NOT_AUTHORIZED);
			assert_non_null(strstr(status.message, "ktlsd.conf(5)"));
		}
	}
}

static void test_requests(void **state)
{
	_cleanup_(loaded_deinit) struct loaded loaded = load(TWO);
	_cleanup_(loaded_deinit) struct loaded none = load("");
	struct asking asking = { .uid = 5 };

	assert_int_equal(check(loaded.config, &asking), PROTO_OK);
	assert_int_equal(grant.requests, 3);
	asking.uid = 6;
	assert_int_equal(check(loaded.config, &asking), PROTO_OK);
	assert_int_equal(grant.requests, 9);
	assert_int_equal(check(none.config, &asking), PROTO_OK);
	assert_int_equal(grant.requests, 0);
}

/* A name with addresses of both sorts is connected at the good ones, in their order. */
static void test_filter(void **state)
{
	_cleanup_(loaded_deinit) struct loaded loaded = load(NETS);
	static const char *const texts[] = {
		"127.0.0.1", "10.0.0.1", "::1", "2001:db8::1", "10.1.0.1", "10.0.0.2",
	};
	const struct credentials caller = { 0 };
	const struct proto_connect wanted = { .host = (char *)"mixed.test", .port = 443 };
	struct addresses addresses = { .n = array_size(texts) };
	struct sockaddr_storage kept[3] = { address_of("10.0.0.1"), address_of("2001:db8::1"),
					    address_of("10.0.0.2") };

	for (size_t i = 0; i < array_size(texts); i++)
		addresses.items[i] = address_of(texts[i]);
	status = (struct proto_status){ 0 };
	assert_int_equal(access_filter(loaded.config, &caller, &wanted, &addresses, &grant,
				       &status), PROTO_OK);
	assert_int_equal(status.error, PROTO_OK);
	assert_string_equal(status.message, "");
	assert_string_equal(grant.rule, "nets");
	assert_int_equal(addresses.n, 3);
	assert_memory_equal(addresses.items, kept, sizeof(kept));
	addresses.items[0] = address_of("127.0.0.1");
	addresses.items[1] = address_of("::1");
	addresses.n = 2;
	assert_int_equal(access_filter(loaded.config, &caller, &wanted, &addresses, &grant,
				       &status), PROTO_NOT_AUTHORIZED);
	assert_int_equal(addresses.n, 0);
	assert_int_equal(status.stage, PROTO_STAGE_POLICY);
	assert_non_null(strstr(status.message, "mixed.test, at 127.0.0.1, port 443"));
}

/* --- what is told of the rules */

static void expect_survey(const char *config, const struct asking *asking, bool allowed,
			  bool verify_none, const char *rules)
{
	_cleanup_(loaded_deinit) struct loaded loaded = load(config);
	gid_t groups[] = { 77, asking->group };
	const struct credentials caller = {
		.uid = asking->uid, .gid = asking->gid, .groups = groups,
		.n_groups = asking->group ? 2 : 0, .namespace = asking->namespace,
	};
	struct proto_capabilities told = { .managed = false };
	char text[256] = "";

	assert_string_equal(loaded.errors, "");
	assert_true(access_survey(loaded.config, &caller, &told.caller));
	for (size_t i = 0; i < told.caller.rules.n; i++)
		sprintf(text + strlen(text), "%s%s", i ? " " : "", told.caller.rules.items[i]);
	if (strcmp(text, rules) || told.caller.allowed != allowed ||
	    told.caller.verify_none != verify_none)
		fail_msg("%s: [%s] %d %d", config, text, told.caller.allowed,
			 told.caller.verify_none);
	proto_capabilities_deinit(&told);
}

#define FOR_1000 "[Access mine]\nUsers=1000\nPorts=443\n"
#define FOR_2000 "[Access his]\nUsers=2000\n"
#define FOR_GROUP "[Access group]\nGroups=50\nHosts=*.test\nAllowVerifyNone=yes\n"
#define DENY_SOME "[Access no]\nAction=deny\nPorts=25\n"
#define DENY_ALL "[Access never]\nAction=deny\n"
#define FOR_ALL "[Access all]\n"
#define FROM_ANYWHERE "[Access anywhere]\nAnyNamespace=yes\nAddresses=192.0.2.0/24\n"

static void test_survey(void **state)
{
	static const struct {
		const char *config;
		struct asking who;
		bool allowed, verify_none;
		const char *rules;
	} surveys[] = {
		{ "", { .uid = 1000 }, true, false, "" },
		{ "", { .uid = 1000, .namespace = NAMESPACE_OTHER }, false, false, "" },
		{ "", { .uid = 1000, .namespace = NAMESPACE_UNKNOWN }, false, false, "" },
		{ FOR_1000 FOR_2000, { .uid = 1000 }, true, false, "mine" },
		{ FOR_1000 FOR_2000, { .uid = 2000 }, true, false, "his" },
		{ FOR_1000 FOR_2000, { .uid = 3000 }, false, false, "" },
		{ FOR_1000 FOR_GROUP, { .uid = 1000, .group = 50 }, true, true, "mine group" },
		{ FOR_1000 FOR_GROUP, { .uid = 3000, .gid = 50 }, true, true, "group" },
		{ FOR_1000 FOR_GROUP, { .uid = 1000, .namespace = NAMESPACE_OTHER }, false, false,
		  "" },
		{ FOR_1000 FROM_ANYWHERE, { .uid = 1000, .namespace = NAMESPACE_OTHER }, true, false,
		  "anywhere" },
		{ DENY_SOME FOR_1000, { .uid = 1000 }, true, false, "mine" },
		/* Behind a rule for everything nothing counts. */
		{ FOR_1000 DENY_ALL FOR_ALL, { .uid = 1000 }, true, false, "mine" },
		{ DENY_ALL FOR_1000, { .uid = 1000 }, false, false, "" },
		{ FOR_ALL FOR_GROUP, { .uid = 1000, .gid = 50 }, true, false, "all" },
		{ FOR_2000 FOR_GROUP FOR_ALL, { .uid = 2000, .gid = 50 }, true, false, "his" },
		/* Whoever comes from elsewhere is denied by all that denies, and allowed by few. */
		{ DENY_ALL FROM_ANYWHERE, { .uid = 1000, .namespace = NAMESPACE_OTHER }, false, false,
		  "" },
		{ FOR_ALL FROM_ANYWHERE, { .uid = 1000, .namespace = NAMESPACE_OTHER }, true, false,
		  "anywhere" },
	};

	for (size_t i = 0; i < array_size(surveys); i++)
		expect_survey(surveys[i].config, &surveys[i].who, surveys[i].allowed, surveys[i].verify_none,
			      surveys[i].rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_others_rules_are_not_told),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_survey),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
