/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=getgrnam */
/* tests: daemon/config-check.c */
#include "tests/unit/config-load.h"

static void test_empty(void **state)
{
	_cleanup_(loaded_deinit) struct loaded loaded = load_file("/dev/null");

	assert_string_equal(loaded.errors, "");
	check_defaults(loaded.config);
	assert_int_equal(loaded.config->n_policies, 1);
	assert_int_equal(loaded.config->n_stores, 1);
	assert_string_equal(loaded.config->policies[0].where, "built in");
	assert_string_equal(loaded.config->stores[0].where, "built in");
	assert_int_equal(loaded.config->n_access, 0);
	assert_null(config_free(NULL));
}

static void test_shipped(void **state)
{
	_cleanup_(loaded_deinit) struct loaded as_is = load_file("conf/ktlsd.conf");
	_cleanup_free_ char *text = shipped_settings();
	_cleanup_(loaded_deinit) struct loaded uncommented = load(text);
	const struct config *config = as_is.config;

	assert_string_equal(as_is.errors, "");
	check_defaults(config);
	assert_int_equal(config->n_policies, 3);
	assert_string_equal(config->policies[1].name, "strict");
	assert_string_equal(config->policies[2].name, "xenserver");
	assert_string_equal(config->policies[2].ciphers,
			    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256");
	assert_string_equal(config->policies[2].groups, "P-384");
	assert_int_equal(config->n_stores, 1);
	assert_int_equal(config->n_access, 1);
	assert_string_equal(config->access[0].name, "ktls");
	assert_int_equal(config->access[0].groups.n, 1);
	assert_int_equal(config->access[0].groups.items[0], KTLS_GID);
	assert_int_equal(config->access[0].not_addresses.n, 9);
	assert_false(config->access[0].deny);
	assert_false(config->access[0].allow_verify_none);
	assert_false(config->access[0].any_namespace);
	assert_string_equal(uncommented.errors, "");
	check_defaults(uncommented.config);
	assert_int_equal(uncommented.config->n_policies, 3);
	assert_int_equal(uncommented.config->access[0].hosts.n, 2);
#define OPTION(section, key, field, kind, fallback, min, max, unit, sentence)			\
	assert_non_null(strstr(text, "\n" #key "="));
#include "daemon/options.def"
#undef OPTION
}

static void test_good(void **state)
{
	_cleanup_(loaded_deinit) struct loaded loaded = load(
		"# a comment\n"
		"; another\n"
		"\n"
		"   # and one that is indented = no value\n"
		"[Limits]\n"
		"Connections = 7\r\n"
		"\tRequests=1\n"
		" Requests=2\n"
		"IdleTimeoutSec=1.5\n"
		"[Policy a-B_c.9]\n"
		"Ciphers=DEFAULT:!aNULL\n"
		"[Store  more]\n"
		"File=/etc/a=b: c;x#y\n"
		"[Service]\n"
		"NoDelay=off\n"
		"[Limits]\n"
		"Resolvers=3\n"
		"[Policy a-B_c.9]\n"
		"Groups=P-256");
	const struct config *config = loaded.config;

	assert_string_equal(loaded.errors, "");
	assert_int_equal(config->limits.connections, 7);
	assert_int_equal(config->limits.requests, 2);
	assert_int_equal(config->limits.idle_ms, 1500);
	assert_int_equal(config->limits.resolvers, 3);
	assert_false(config->service.tcp_no_delay);
	assert_int_equal(config->n_policies, 2);
	assert_string_equal(config->policies[1].name, "a-B_c.9");
	assert_string_equal(config->policies[1].ciphers, "DEFAULT:!aNULL");
	assert_string_equal(config->policies[1].groups, "P-256");
	assert_string_equal(strrchr(config->policies[1].where, ':'), ":11");
	assert_string_equal(config->stores[1].file, "/etc/a=b: c;x#y");
	assert_string_equal(strrchr(config->stores[1].where, ':'), ":13");
}

static void test_access(void **state)
{
	_cleanup_(loaded_deinit) struct loaded loaded = load(
		"[Access second]\n"
		"[Access first]\n"
		"Action=deny\n"
		"Users=root 0 1000 4294967294\n"
		"Groups=ktls\t12\n"
		"Groups=root\n"
		"[Access second]\n"
		"Hosts=example.org *.Example.ORG.\n"
		"Addresses=any 192.0.2.1 2001:db8::/32 ::ffff:192.0.2.0/120\n"
		"Ports=1 443 8000-65535\n"
		"Policies=later default\n"
		"Stores=system\n"
		"Requests=5\n"
		"AnyNamespace=yes\n"
		"AllowVerifyNone=on\n"
		"[Policy later]\n");
	const struct config_access *second = &loaded.config->access[0],
				   *first = &loaded.config->access[1];

	assert_string_equal(loaded.errors, "");
	assert_int_equal(loaded.config->n_access, 2);
	assert_string_equal(second->name, "second");
	assert_string_equal(first->name, "first");
	assert_true(first->deny);
	assert_int_equal(first->users.n, 4);
	assert_int_equal(first->users.items[0], 0);
	assert_int_equal(first->users.items[2], 1000);
	assert_int_equal(first->users.items[3], UINT32_MAX - 1);
	assert_int_equal(first->groups.n, 1);
	assert_int_equal(first->groups.items[0], 0);
	assert_false(second->deny);
	assert_int_equal(second->hosts.n, 2);
	assert_int_equal(second->addresses.n, 5);
	assert_int_equal(second->addresses.items[4].family, AF_INET);
	assert_int_equal(second->addresses.items[4].bits, 24);
	assert_int_equal(second->ports.n, 3);
	assert_int_equal(second->ports.items[2].first, 8000);
	assert_int_equal(second->ports.items[2].last, 65535);
	assert_string_equal(second->policies.items[0], "later");
	assert_int_equal(second->stores.n, 1);
	assert_int_equal(second->requests, 5);
	assert_true(second->any_namespace);
	assert_true(second->allow_verify_none);
}

#define NAME_64 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

#define NO_NETWORK \
	" is neither an address, nor ADDRESS/BITS, nor any, localhost, link-local or multicast\n"
#define NO_PORT " is neither a port nor a range of ports\n"

static const struct {
	const char *text;
	const char *faults;
} bad[] = {
	{ "NoDelay=yes\n", "1: NoDelay: stands before any section\n" },
	{ "[Servic]\nNoDelay=1\n", "1: [Servic]: there is no such section\n" },
	{ "[service]\n", "1: [service]: there is no such section\n" },
	{ "[]\n", "1: []: there is no such section\n" },
	{ "[ Service]\n", "1: [ Service]: there is no such section\n" },
	{ "[access all]\n", "1: [access all]: there is no such section\n" },
	{ "[Access]\n", "1: [Access]: this section needs a name\n" },
	{ "[Service]\nAllowVerifyNone=yes\n",
	  "2: AllowVerifyNone: there is no such key in [Service]\n" },
	{ "[Access a]\nAction=Allow\n", "2: Action: \"Allow\" is not allow or deny\n" },
	{ "[Access a]\nUsers=root nobody-of-that-name 1\n",
	  "2: Users: \"nobody-of-that-name\" is no user of this machine\n" },
	{ "[Access a]\nUsers=4294967295\n",
	  "2: Users: \"4294967295\" is no user of this machine\n" },
	{ "[Access a]\nUsers=-1\n", "2: Users: \"-1\" is no user of this machine\n" },
	{ "[Access a]\nGroups=none-of-that-name\n",
	  "2: Groups: \"none-of-that-name\" is no group of this machine\n" },
	{ "[Access a]\nGroups=18446744073709551616\n",
	  "2: Groups: \"18446744073709551616\" is no group of this machine\n" },
	{ "[Access a]\nGroups=\n", "2: Groups: has no value\n" },
	{ "[Access a]\nHosts=*\n", "2: Hosts: \"*\" is neither a DNS name nor one behind *.\n" },
	{ "[Access a]\nHosts=a.b *.*.b\n",
	  "2: Hosts: \"*.*.b\" is neither a DNS name nor one behind *.\n" },
	{ "[Access a]\nHosts=192.0.2.1\n",
	  "2: Hosts: \"192.0.2.1\" is neither a DNS name nor one behind *.\n" },
	{ "[Access a]\nHosts=a,b\n",
	  "2: Hosts: \"a,b\" is neither a DNS name nor one behind *.\n" },
	{ "[Access a]\nAddresses=10.0.0.0/33\n", "2: Addresses: \"10.0.0.0/33\"" NO_NETWORK },
	{ "[Access a]\nAddresses=10.0.0/8\n", "2: Addresses: \"10.0.0/8\"" NO_NETWORK },
	{ "[Access a]\nAddresses=10.0.0.0/\n", "2: Addresses: \"10.0.0.0/\"" NO_NETWORK },
	{ "[Access a]\nAddresses=10.0.0.0/+8\n", "2: Addresses: \"10.0.0.0/+8\"" NO_NETWORK },
	{ "[Access a]\nAddresses=::/129\n", "2: Addresses: \"::/129\"" NO_NETWORK },
	{ "[Access a]\nAddresses=[::1]\n", "2: Addresses: \"[::1]\"" NO_NETWORK },
	{ "[Access a]\nNotAddresses=any Localhost\n",
	  "2: NotAddresses: \"Localhost\"" NO_NETWORK },
	{ "[Access a]\nPorts=0\n", "2: Ports: \"0\"" NO_PORT },
	{ "[Access a]\nPorts=1 65536\n", "2: Ports: \"65536\"" NO_PORT },
	{ "[Access a]\nPorts=80-79\n", "2: Ports: \"80-79\"" NO_PORT },
	{ "[Access a]\nPorts=80-\n", "2: Ports: \"80-\"" NO_PORT },
	{ "[Access a]\nPorts=https\n", "2: Ports: \"https\"" NO_PORT },
	{ "[Access a]\nPorts=80,81\n", "2: Ports: \"80,81\"" NO_PORT },
	{ "[Access a]\nRequests=16385\n", "2: Requests: \"16385\" is not 0 to 16384\n" },
	{ "[Access a]\nAnyNamespace=maybe\n", "2: AnyNamespace: \"maybe\" is not yes or no\n" },
	{ "[Access a]\nPolicies=default p\xff q\nStores=none\n[Access b]\nStores=system x\n",
	  "2: Policies: there is no [Policy p\\xff]\n2: Policies: there is no [Policy q]\n"
	  "3: Stores: there is no [Store none]\n5: Stores: there is no [Store x]\n" },
	{ "[Service x]\n", "1: [Service x]: this section bears no name\n" },
	{ "[Policy]\n", "1: [Policy]: this section needs a name\n" },
	{ "[Policy ]\n", "1: [Policy ]: this section needs a name\n" },
	{ "[Store a ]\n",
	  "1: [Store a ]: a name is 1 to 64 letters, digits, '-', '_' and '.'\n" },
	{ "[Policy a b]\n",
	  "1: [Policy a b]: a name is 1 to 64 letters, digits, '-', '_' and '.'\n" },
	{ "[Store a/b]\n",
	  "1: [Store a/b]: a name is 1 to 64 letters, digits, '-', '_' and '.'\n" },
	{ "[Policy \xc3\xa4]\n",
	  "1: [Policy \xc3\xa4]: a name is 1 to 64 letters, digits, '-', '_' and '.'\n" },
	{ "[Policy " NAME_64 "x]\n", "1: [Policy " NAME_64 "x]: "
	  "a name is 1 to 64 letters, digits, '-', '_' and '.'\n" },
	{ "[Service\nNoDelay=maybe\n", "1: [Service: a section line ends with its ]\n" },
	{ "[Service]x\n", "1: [Service]x: a section line ends with its ]\n" },
	{ "[Service]]\n", "1: [Service]]: a section line ends with its ]\n" },
	{ "[Service] # x\n", "1: a comment takes a line of its own\n" },
	{ "[Service]\nFoo=1\n", "2: Foo: there is no such key in [Service]\n" },
	{ "[Service]\nnodelay=1\n", "2: nodelay: there is no such key in [Service]\n" },
	{ "[Service]\nConnections=1\n", "2: Connections: there is no such key in [Service]\n" },
	{ "[Service]\nNoDelay Too=1\n", "2: NoDelay Too: there is no such key in [Service]\n" },
	{ "[Service]\nNoDelay\n", "2: this line is neither [SECTION] nor KEY=VALUE\n" },
	{ "[Service]\nNoDelay", "2: this line is neither [SECTION] nor KEY=VALUE\n" },
	{ "[Service]\n=yes\n", "2: there is no key before the =\n" },
	{ "[Service]\nNoDelay=\n", "2: NoDelay: has no value\n" },
	{ "[Service]\nNoDelay=  \t \n", "2: NoDelay: has no value\n" },
	{ "[Service]\nNoDelay:yes\n", "2: key and value are joined by =, not by :\n" },
	{ "[Service]\nNoDelay=yes ; really\n", "2: a comment takes a line of its own\n" },
	{ "[Service]\nNoDelay=yes\t# really\n", "2: a comment takes a line of its own\n" },
	{ "[Service]\nNoDelay=\\\nyes\n", "2: a line cannot be continued on the next\n"
	  "3: this line is neither [SECTION] nor KEY=VALUE\n" },
	{ "[Service]\nNoDelay=yes\n no\n", "3: this line is neither [SECTION] nor KEY=VALUE\n" },
	{ "[Service]\nNoDelay=\001\n", "2: there is a control character in this line\n" },
	{ "[Service]\nNoDelay=\177\n", "2: there is a control character in this line\n" },
	{ "[Service]\nNoDelay=y\res\n", "2: there is a control character in this line\n" },
	{ "[Service]\nNoDelay=yes\f\n", "2: there is a control character in this line\n" },
	{ "[Service]\nNoDelay=\"yes\"\n", "2: NoDelay: \"\"yes\"\" is not yes or no\n" },
	{ "[Service]\nNoDelay=2\n", "2: NoDelay: \"2\" is not yes or no\n" },
	{ "[Service]\nNoDelay=\xff\n", "2: NoDelay: \"\\xff\" is not yes or no\n" },
	{ "[Service]\nNo\x1b[mDelay\n", "2: there is a control character in this line\n" },
	{ "\xef\xbb\xbf[Service]\nNoDelay=1\n",
	  "1: there is a byte order mark at the start of this line\n"
	  "2: NoDelay: stands before any section\n" },
	{ "[Limits]\nConnections=0\n", "2: Connections: \"0\" is not 1 to 16384\n" },
	{ "[Limits]\nConnections=-1\n", "2: Connections: \"-1\" is not a whole number\n" },
	{ "[Limits]\nConnections=+1\n", "2: Connections: \"+1\" is not a whole number\n" },
	{ "[Limits]\nConnections=1.0\n", "2: Connections: \"1.0\" is not a whole number\n" },
	{ "[Limits]\nConnections=0x10\n", "2: Connections: \"0x10\" is not a whole number\n" },
	{ "[Limits]\nConnections=4294967297\n",
	  "2: Connections: \"4294967297\" is not 1 to 16384\n" },
	{ "[Limits]\nConnections=00000000051\n",
	  "2: Connections: \"00000000051\" is not 1 to 16384\n" },
	{ "[Limits]\nConnections=18446744073709551617\n",
	  "2: Connections: \"18446744073709551617\" is not 1 to 16384\n" },
	{ "[Limits]\nIdleTimeoutSec=0\n",
	  "2: IdleTimeoutSec: \"0\" is not 0.01 to 86400 seconds\n" },
	{ "[Limits]\nIdleTimeoutSec=never\n", "2: IdleTimeoutSec: \"never\" is not a time in "
	  "whole milliseconds: seconds, or a number with ms, s or min\n" },
	{ "[Policy default]\nCiphers=\n", "2: Ciphers: has no value\n" },
	{ "[Store system]\nFile=ca.pem\n", "2: File: \"ca.pem\" is not an absolute path\n" },
	{ "[Store a]\n\n[Store b]\nFile=/b\n[Store c]\n", "1: File: is missing in [Store a]\n"
	  "5: File: is missing in [Store c]\n" },
	{ "[Store a]\nFile=x\n", "2: File: \"x\" is not an absolute path\n" },
	{ "[Store a]\nFile=\n", "2: File: has no value\n" },
	{ "[Service]\nFoo=\n", "2: Foo: there is no such key in [Service]\n" },
	{ "[Policy p]\nCiphers=AES:TYPO\nGroups=P-1\nSignatureAlgorithms=RSA\nCiphers=,\n",
	  "2: Ciphers: \"TYPO\" is not a name that is known here\n"
	  "3: Groups: \"P-1\" is not a name that is known here\n"
	  "4: SignatureAlgorithms: \"RSA\" is not a name that is known here\n"
	  "5: Ciphers: it names nothing\n" },
	{ "[Policy p]\nGroups=P-256:P-384:prime256v1\n",
	  "2: Groups: \"P-256:P-384:prime256v1\" names one of them twice, or too many\n" },
};

static void test_bad(void **state)
{
	for (size_t i = 0; i < array_size(bad); i++) {
		_cleanup_(loaded_deinit) struct loaded loaded = load(bad[i].text);

		assert_string_equal(loaded.errors, bad[i].faults);
	}
}

static void test_all_faults_in_one_run(void **state)
{
	char text[4096] = "", faults[8192] = "";
	unsigned int line = 0;

	for (size_t i = 0; i < 40; i++) {
		line += 2;
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "[Limits]\nFoo%zu=1\n",
			 i);
		snprintf(faults + strlen(faults), sizeof(faults) - strlen(faults),
			 "%u: Foo%zu: there is no such key in [Limits]\n", line, i);
	}
	_cleanup_(loaded_deinit) struct loaded loaded = load(text);
	assert_string_equal(loaded.errors, faults);
}

static void check_where(const char *where, const char *path, const char *line)
{
	assert_int_equal(where == NULL, line == NULL);
	if (!line)
		return;
	assert_memory_equal(where, path, strlen(path));
	assert_string_equal(where + strlen(path), line);
}

/* Where what is judged only when all is read comes from. */
static void test_where(void **state)
{
	static const struct {
		const char *text, *policy, *store;	/* NULL: at fault, and told */
	} rows[] = {
		{ "[Policy p]\n[Store s]\n", ":1", ":2" },
		{ "[Policy p]\nGroups=X25519\nCiphers=AES\n[Store s]\nFile=/a\n", ":3", ":5" },
		{ "[Policy p]\nCiphers=AES\n[Store s]\nFile=/a\n[Policy p]\nGroups=X25519\n"
		  "[Store s]\n", ":2", ":4" },
		{ "[Policy p]\nCiphers=AES\nCiphers=!\n[Store s]\nFile=/a\nFile=a\n", NULL, NULL },
		{ "[Policy p]\nCiphers=!\nCiphers=AES\n[Store s]\nFile=a\nFile=/a\n", ":3", ":6" },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		_cleanup_fd_ int fd = memfd_create("config", MFD_CLOEXEC);
		_cleanup_(config_freep) struct config *config = NULL;
		FILE *errors = fopen("/dev/null", "we");
		char path[32];
		bool good;

		assert_true(fd >= 0 && errors);
		assert_true(dprintf(fd, "%s", rows[i].text) > 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		config = config_load(path, errors, &good);
		fclose(errors);
		check_where(config->policies[1].where, path, rows[i].policy);
		check_where(config->stores[1].where, path, rows[i].store);
	}
}

static void test_nul(void **state)
{
	static const char text[] = "[Service]\nNoDelay=yes\0no\n# \0\nKeepAlive=x\n";
	_cleanup_(loaded_deinit) struct loaded loaded = load_bytes(text, sizeof(text) - 1);

	assert_string_equal(loaded.errors, "2: there is a NUL byte in this line\n"
			    "3: there is a NUL byte in this line\n"
			    "4: KeepAlive: \"x\" is not yes or no\n");
}

/* A file with a line of so many bytes, and a fault in the next. */
static struct loaded load_with_line(char start, size_t length)
{
	static const char before[] = "[Policy a]\n", after[] = "\nGroups=\n";
	_cleanup_free_ char *text = malloc(length + sizeof(before) + sizeof(after));

	assert_non_null(text);
	strcpy(text, before);
	memset(text + strlen(before), ' ', length);
	text[strlen(before)] = start;
	strcpy(text + strlen(before) + length, after);
	return load(text);
}

static void test_long_lines(void **state)
{
	_cleanup_(loaded_deinit) struct loaded fits = load_with_line('#', CONFIG_LINE_MAX);
	_cleanup_(loaded_deinit) struct loaded key = load_with_line('X', CONFIG_LINE_MAX);
	_cleanup_(loaded_deinit) struct loaded comment = load_with_line('#', CONFIG_LINE_MAX + 1);
	_cleanup_(loaded_deinit) struct loaded blank = load_with_line(' ', 3 * CONFIG_LINE_MAX);

	assert_string_equal(fits.errors, "3: Groups: has no value\n");
	assert_string_equal(key.errors, "2: this line is neither [SECTION] nor KEY=VALUE\n"
			    "3: Groups: has no value\n");
	assert_string_equal(comment.errors, "2: this line is too long\n3: Groups: has no value\n");
	assert_string_equal(blank.errors, "2: this line is too long\n3: Groups: has no value\n");
}

/* The longest text that a key may have comes through whole, in spite of inih's own limits. */
static void test_longest_line_is_whole(void **state)
{
	char text[CONFIG_LINE_MAX], path[4096];

	memset(path, 'p', sizeof(path));
	path[0] = '/';
	path[4095] = '\0';
	snprintf(text, sizeof(text), "[Store " NAME_64 "]\nFile=%s\n", path);
	_cleanup_(loaded_deinit) struct loaded loaded = load(text);
	assert_string_equal(loaded.errors, "");
	assert_string_equal(loaded.config->stores[1].file, path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_shipped),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_access),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_all_faults_in_one_run),
		cmocka_unit_test(test_where),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_longest_line_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
