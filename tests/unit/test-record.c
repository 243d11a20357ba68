/* SPDX-License-Identifier: MIT */
#include "tests/unit/journald.h"

#include "daemon/events.h"
#include "daemon/record.h"

#define RECORDS_PER_SECOND 2
#define RECORDS_BURST 10

/* The record of one request, as journald gets it and as stderr shows it. */
struct written {
	struct heard heard;
	char line[LOG_LINE_MAX + 1];
};

static void write_line(struct written *written, const struct request *request, unsigned int ending,
		       unsigned long suppressed)
{
	struct log log;
	int fds[2];
	ssize_t n;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	log_init(&log, fds[1]);
	record_request(&log, 4242, request, ending, suppressed);
	n = read(fds[0], written->line, sizeof(written->line) - 1);
	assert_true(n > 0);
	written->line[n] = '\0';
	assert_ptr_equal(strchr(written->line, '\n'), written->line + n - 1);
	written->line[n - 1] = '\0';
	log_deinit(&log);
	close_fd(&fds[0]);
	close_fd(&fds[1]);
}

/* The sentence is the same for both. */
static void write_record(struct written *written, const struct request *request, unsigned int ending,
			 unsigned long suppressed)
{
	struct log log = { .fd = -1, .is_journal = true };
	struct journald journald;

	journald_init(&journald);
	journald_run(&journald);
	assert_true(journal_init(&log.journal, journald.path));
	record_request(&log, 4242, request, ending, suppressed);
	assert_true(journald_read(&journald, &written->heard));
	assert_int_equal(log.dropped, 0);
	assert_int_equal(recv(journald.fd, written->line, 1, 0), -1);
	log_deinit(&log);
	journald_deinit(&journald);
	write_line(written, request, ending, suppressed);
	expect_field(&written->heard, "MESSAGE", written->line);
}

/* --- requests */

static struct request request_of(const char *host)
{
	return (struct request){
		.call = { .host = (char *)host, .port = 443 },
		.session = { .timings = { .total = 50 } },
	};
}

static struct request request_that_went_well(void)
{
	struct request request = request_of("host.example");

	request.session = (struct proto_session){
		.version = "TLSv1.2", .cipher = "ECDHE-RSA-AES256-GCM-SHA384",
		.address = "192.0.2.1:443", .verified_by = "pin+chain+name",
		.timings = { .resolve = 1, .connect = 22, .handshake = 333, .install = 4444,
			     .total = 5000000000 },
	};
	return request;
}

static struct request request_that_failed(void)
{
	struct request request = request_of("host.example");

	strcpy(request.session.address, "[2001:db8::1]:443");
	request.session.timings.resolve = 7;
	proto_status_set(&request.status, PROTO_CERTIFICATE_REJECTED, PROTO_STAGE_HANDSHAKE,
			 ECONNRESET, "it is %s", "too old");
	strcpy(request.status.alert, "bad_certificate");
	strcpy(request.status.x509, "X509_V_ERR_CERT_HAS_EXPIRED");
	return request;
}

static unsigned int taken(const struct request *request)
{
	return ending_of(request->status.error, true);
}

/* --- what is told of them */

struct expected {
	const char *name, *value;
};

static void expect_fields(const struct heard *heard, const struct expected *expected)
{
	size_t n = 0;

	for (; expected[n].name; n++)
		expect_field(heard, expected[n].name, expected[n].value);
	assert_int_equal(heard->n, n + 1);	/* and MESSAGE */
}

static void test_done(void **state)
{
	struct request request = request_that_went_well();
	struct written written;

	request.grant.rule = "backup";
	request.call.policy.name = (char *)"strict";
	write_record(&written, &request, taken(&request), 0);
	assert_string_equal(written.line,
			    "uid 4242: host.example port 443: 192.0.2.1:443, TLSv1.2 "
			    "ECDHE-RSA-AES256-GCM-SHA384, verified by pin+chain+name, "
			    "5000000000 us");
	expect_fields(&written.heard, (const struct expected[]){
		{ "PRIORITY", "6" }, { "SYSLOG_IDENTIFIER", "ktlsd" },
		{ "MESSAGE_ID", EVENT_REQUEST_DONE }, { "KTLSD_METHOD", "Connect" },
		{ "KTLSD_UID", "4242" }, { "KTLSD_HOST", "host.example" },
		{ "KTLSD_PORT", "443" }, { "KTLSD_ADDRESS", "192.0.2.1:443" },
		{ "KTLSD_OUTCOME", "ok" }, { "KTLSD_RULE", "backup" },
		{ "KTLSD_POLICY", "strict" }, { "KTLSD_TLS_VERSION", "TLSv1.2" },
		{ "KTLSD_CIPHER", "ECDHE-RSA-AES256-GCM-SHA384" },
		{ "KTLSD_VERIFIED_BY", "pin+chain+name" }, { "KTLSD_RESOLVE_USEC", "1" },
		{ "KTLSD_CONNECT_USEC", "22" }, { "KTLSD_HANDSHAKE_USEC", "333" },
		{ "KTLSD_INSTALL_USEC", "4444" }, { "KTLSD_TOTAL_USEC", "5000000000" },
		{ NULL, NULL },
	});
}

static void test_failed(void **state)
{
	struct request request = request_that_failed();
	struct written written;

	write_record(&written, &request, taken(&request), 0);
	assert_string_equal(written.line,
			    "uid 4242: host.example port 443: handshake: "
			    "io.ktlsd.CertificateRejected: it is too old");
	expect_fields(&written.heard, (const struct expected[]){
		{ "PRIORITY", "5" }, { "SYSLOG_IDENTIFIER", "ktlsd" },
		{ "MESSAGE_ID", EVENT_REQUEST_FAILED }, { "KTLSD_METHOD", "Connect" },
		{ "KTLSD_UID", "4242" }, { "KTLSD_HOST", "host.example" },
		{ "KTLSD_PORT", "443" }, { "KTLSD_ADDRESS", "[2001:db8::1]:443" },
		{ "KTLSD_OUTCOME", "CertificateRejected" }, { "KTLSD_STAGE", "handshake" },
		{ "KTLSD_ERRNO", "ECONNRESET" }, { "KTLSD_ALERT", "bad_certificate" },
		{ "KTLSD_X509", "X509_V_ERR_CERT_HAS_EXPIRED" }, { "KTLSD_POLICY", "default" },
		{ "KTLSD_RESOLVE_USEC", "7" }, { "KTLSD_TOTAL_USEC", "50" }, { NULL, NULL },
	});
}

static void test_not_taken(void **state)
{
	struct request request = request_that_went_well();
	struct written written;

	write_record(&written, &request, ending_of(request.status.error, false), 0);
	assert_non_null(strstr(written.line, "5000000000 us, and the caller did not take it"));
	expect_field(&written.heard, "PRIORITY", "5");
	expect_field(&written.heard, "MESSAGE_ID", EVENT_SOCKET_NOT_TAKEN);
	expect_field(&written.heard, "KTLSD_OUTCOME", "not-taken");

	/* An error that nobody read is that error. */
	request = request_that_failed();
	write_record(&written, &request, ending_of(request.status.error, false), 0);
	expect_field(&written.heard, "MESSAGE_ID", EVENT_REQUEST_FAILED);
	expect_field(&written.heard, "KTLSD_OUTCOME", "CertificateRejected");
}

static void test_cancelled(void **state)
{
	struct request request = request_of("host.example");
	struct written written;

	request.status.stage = PROTO_STAGE_RESOLVE;
	write_record(&written, &request, ENDING_CANCELLED, 0);
	assert_string_equal(written.line,
			    "uid 4242: host.example port 443: resolve: the caller hung up");
	expect_fields(&written.heard, (const struct expected[]){
		{ "PRIORITY", "6" }, { "SYSLOG_IDENTIFIER", "ktlsd" },
		{ "MESSAGE_ID", EVENT_REQUEST_CANCELLED }, { "KTLSD_METHOD", "Connect" },
		{ "KTLSD_UID", "4242" }, { "KTLSD_HOST", "host.example" },
		{ "KTLSD_PORT", "443" }, { "KTLSD_OUTCOME", "cancelled" },
		{ "KTLSD_STAGE", "resolve" }, { "KTLSD_POLICY", "default" },
		{ "KTLSD_TOTAL_USEC", "50" }, { NULL, NULL },
	});
	request.aim = REQUEST_PROBE;
	write_record(&written, &request, ENDING_CANCELLED, 0);
	assert_non_null(strstr(written.line, "probe of host.example port 443: resolve: the"));
}

static void test_every_error_has_its_name(void **state)
{
	struct written written;

	for (int error = PROTO_INVALID_PARAMETER; error <= PROTO_INTERNAL_ERROR; error++) {
		struct request request = request_of("host.example");
		const char *wire = proto_error_info(error)->wire, *name;

		proto_status_set(&request.status, error, PROTO_STAGE_POLICY, 0, NULL);
		write_record(&written, &request, taken(&request), 0);
		name = heard_field(&written.heard, "KTLSD_OUTCOME");
		assert_non_null(name);
		assert_null(strchr(name, '.'));
		assert_string_equal(name, wire + strlen(wire) - strlen(name));
		assert_non_null(strstr(written.line, wire));
		assert_null(heard_field(&written.heard, "KTLSD_ERRNO"));
	}
}

static void test_suppressed(void **state)
{
	struct request request = request_that_failed();
	struct written written;

	write_record(&written, &request, taken(&request), 99999);
	expect_field(&written.heard, "KTLSD_SUPPRESSED", "99999");
	assert_non_null(strstr(written.line,
			       "too old (99999 requests of this uid before it are not logged)"));
}

/* What a caller supplies makes no field, no line and no second entry. */
static void test_hostile(void **state)
{
	const char *hostile = "x\nPRIORITY=0\nMESSAGE=owned";
	struct request request = request_of(hostile);
	struct written written;

	request.call.policy.name = (char *)hostile;
	request.grant.rule = hostile;
	strcpy(request.session.address, hostile);
	strcpy(request.session.cipher, hostile);
	proto_status_set(&request.status, PROTO_RESOLVE_FAILED, PROTO_STAGE_RESOLVE, 0, "%s",
			 hostile);
	strcpy(request.status.message, hostile);
	strcpy(request.status.alert, hostile);
	write_record(&written, &request, taken(&request), 0);
	expect_field(&written.heard, "PRIORITY", "5");
	expect_field(&written.heard, "KTLSD_HOST", "x\\x0aPRIORITY=0\\x0aMESSAGE=owned");
	expect_field(&written.heard, "KTLSD_ALERT", "x\\x0aPRIORITY=0\\x0aMESSAGE=owned");
	assert_null(strchr(written.line, '\n'));
	assert_null(strstr(written.heard.bytes, "\nPRIORITY=0"));
}

/* All that is long is cut, and the entry holds to its limits. */
static void test_long(void **state)
{
	static char endless[100000];
	struct request request;
	struct written written;

	memset(endless, '\x1b', sizeof(endless) - 1);
	request = request_of(endless);
	request.call.policy.name = request.call.host;
	write_record(&written, &request, taken(&request), 1);
	assert_in_range(strlen(heard_field(&written.heard, "KTLSD_HOST")), 250, LOG_VALUE_MAX);
	assert_in_range(strlen(heard_field(&written.heard, "KTLSD_POLICY")), 250, LOG_VALUE_MAX);
	assert_in_range(strlen(heard_field(&written.heard, "MESSAGE")), 1000, LOG_LINE_MAX);
	expect_field(&written.heard, "KTLSD_SUPPRESSED", "1");
}

static void test_nothing_secret(void **state)
{
	struct request request = request_that_went_well();
	char secret[] = "SECRET", *alpn[] = { secret };
	struct written written;

	request.call.trust.ca = secret;
	request.call.trust.store = secret;
	request.call.trust.name = secret;
	request.call.policy.ciphers = request.call.policy.ciphersuites = secret;
	request.call.policy.groups = request.call.policy.signature_algorithms = secret;
	request.call.server_name = secret;
	request.call.alpn = (struct proto_strings){ alpn, 1 };
	request.call.trust.n_pins = 1;
	memset(request.call.trust.pins[0].sha256, 'S', 32);
	write_record(&written, &request, taken(&request), 0);
	assert_null(memmem(written.heard.bytes, written.heard.length, secret, strlen(secret)));
	assert_null(memmem(written.heard.bytes, written.heard.length, "SSSS", 4));
	assert_null(memmem(written.heard.bytes, written.heard.length, "5353", 4));
}

static void test_share(void **state)
{
	struct record_share share = { 0 }, other = { 0 };
	uint64_t now = 5000000;
	unsigned long left_out;

	for (int i = 0; i < RECORDS_BURST; i++) {
		assert_true(record_allowed(&share, now, RECORDS_PER_SECOND, RECORDS_BURST, &left_out));
		assert_int_equal(left_out, 0);
	}
	for (int i = 0; i < 12345; i++)
		assert_false(record_allowed(&share, now, RECORDS_PER_SECOND, RECORDS_BURST, &left_out));
	assert_true(record_allowed(&other, now, RECORDS_PER_SECOND, RECORDS_BURST, &left_out));
	now += 1000000 / RECORDS_PER_SECOND;
	assert_true(record_allowed(&share, now, RECORDS_PER_SECOND, RECORDS_BURST, &left_out));
	assert_int_equal(left_out, 12345);
	assert_false(record_allowed(&share, now, RECORDS_PER_SECOND, RECORDS_BURST, &left_out));
	now += 1000000 / RECORDS_PER_SECOND;
	assert_true(record_allowed(&share, now, RECORDS_PER_SECOND, RECORDS_BURST, &left_out));
	assert_int_equal(left_out, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_done),
		cmocka_unit_test(test_failed),
		cmocka_unit_test(test_not_taken),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_every_error_has_its_name),
		cmocka_unit_test(test_suppressed),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_nothing_secret),
		cmocka_unit_test(test_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
