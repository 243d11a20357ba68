/* SPDX-License-Identifier: MIT */
/* tests: proto/call.c */
/* tests: proto/encode.c */
/* tests: proto/json.c */
#include "tests/unit/unit.h"

#include "proto/message.h"

#include <stdio.h>
#include <string.h>

static const struct proto_session session_all = {
	.version = "TLSv1.2", .cipher = "ECDHE-RSA-AES256-GCM-SHA384",
	.kernel_cipher = "aes-gcm-256", .group = "secp384r1", .alpn = "http/1.1",
	.address = "[2001:db8::1]:443",
	.verified_by = "pin+chain+name", .peer_subject = "CN=M\xc3\xbcnchen,O=\"x\\y\"",
	.peer_cert_sha256 = "00ff", .peer_spki_sha256 = "ff00",
	.peer_not_after = "2027-01-31T12:00:00Z", .resumed = true,
	.timings = { 1, 22, 333, 4444, UINT64_C(9007199254740993) },
};

static const char reply_all[] =
	"{\"parameters\":{\"fileDescriptor\":0,\"session\":{\"version\":\"TLSv1.2\","
	"\"cipher\":\"ECDHE-RSA-AES256-GCM-SHA384\",\"kernelCipher\":\"aes-gcm-256\","
	"\"group\":\"secp384r1\",\"alpn\":\"http/1.1\",\"address\":\"[2001:db8::1]:443\","
	"\"verifiedBy\":\"pin+chain+name\","
	"\"peer\":{\"subject\":\"CN=M\xc3\xbcnchen,O=\\\"x\\\\y\\\"\","
	"\"certSha256\":\"00ff\",\"spkiSha256\":\"ff00\",\"notAfter\":\"2027-01-31T12:00:00Z\"},"
	"\"resumed\":true,\"timings\":{\"resolve\":1,\"connect\":22,\"handshake\":333,"
	"\"install\":4444,\"total\":9007199254740993}}}}";

static enum proto_decoded decode(const char *text, struct proto_session *session, int *fd_index,
				 struct proto_status *status)
{
	return proto_reply_decode(text, strlen(text), session, fd_index, status);
}

/* The reply with one piece of it replaced by another. */
static const char *edited(char to[static 4096], const char *piece, const char *by)
{
	const char *at = strstr(reply_all, piece);

	assert_non_null(at);
	snprintf(to, 4096, "%.*s%s%s", (int)(at - reply_all), reply_all, by, at + strlen(piece));
	return to;
}

static void test_session_there(void **state)
{
	size_t length;
	char *text = proto_session_encode(&session_all, &length);

	assert_string_equal(text, reply_all);
	assert_int_equal(length, strlen(reply_all));
	free(text);
}

static void test_session_and_back(void **state)
{
	struct proto_session session;
	struct proto_status status;
	int fd_index = -1;

	memset(&session, 0, sizeof(session));
	assert_int_equal(decode(reply_all, &session, &fd_index, &status), PROTO_DECODE_OK);
	assert_memory_equal(&session, &session_all, sizeof(session));
	assert_int_equal(fd_index, 0);
}

static void test_none_is_null(void **state)
{
	struct proto_session session = session_all;
	struct proto_status status;
	size_t length;
	int fd_index;
	char *text;

	session.group[0] = session.alpn[0] = '\0';
	text = proto_session_encode(&session, &length);
	assert_non_null(strstr(text, "\"group\":null,\"alpn\":null,"));
	session = session_all;
	assert_int_equal(decode(text, &session, &fd_index, &status), PROTO_DECODE_OK);
	assert_string_equal(session.group, "");
	assert_string_equal(session.alpn, "");
	free(text);
}

static void test_what_a_newer_service_may_say(void **state)
{
	static const struct {
		const char *piece, *by;
	} cases[] = {
		{ "{\"parameters\"", "{\"continues\":false,\"x\":[1],\"parameters\"" },
		{ "\"session\":{", "\"x\":{},\"session\":{\"x\":1," },
		{ "\"peer\":{", "\"peer\":{\"issuer\":\"x\"," }, { ",\"alpn\":\"http/1.1\"", "" },
		{ "\"http/1.1\"", "null" },
		{ "\"fileDescriptor\":0", "\"fileDescriptor\":2147483647" },
	};
	struct proto_session session;
	struct proto_status status;
	char text[4096];
	int fd_index;

	for (size_t i = 0; i < array_size(cases); i++) {
		edited(text, cases[i].piece, cases[i].by);
		assert_int_equal(decode(text, &session, &fd_index, &status), PROTO_DECODE_OK);
		assert_string_equal(session.address, session_all.address);
	}
	assert_int_equal(fd_index, 2147483647);
}

static void test_no_reply_of_ours(void **state)
{
	static const struct {
		const char *piece, *by;
	} cases[] = {
		{ "\"fileDescriptor\":0,", "" },
		{ "\"fileDescriptor\":0", "\"fileDescriptor\":-1" },
		{ "\"fileDescriptor\":0", "\"fileDescriptor\":2147483648" },
		{ "\"fileDescriptor\":0", "\"fileDescriptor\":\"0\"" },
		{ "\"fileDescriptor\":0", "\"fileDescriptor\":0.0" },
		{ "\"session\":{", "\"sessions\":{" }, { "\"version\":\"TLSv1.2\",", "" },
		{ "\"version\":\"TLSv1.2\"", "\"version\":12" }, { "\"resumed\":true,", "" },
		{ "\"resumed\":true", "\"resumed\":1" }, { "\"peer\":{", "\"peers\":{" },
		{ "\"total\":9007199254740993", "\"total\":-1" }, { "00ff", "00\\u0000ff" },
		{ "00ff", "\xff" }, { "\"resumed\"", "\"version\":\"x\",\"resumed\"" },
		{ "{\"parameters\":{", "{\"parameters\":{]" },
		{ "{\"parameters\"", "{\"parameter\"" },
		{ "{\"parameters\"", "{\"error\":1,\"parameters\"" },
		{ "{\"parameters\"", "{\"error\":\"\",\"parameters\"" },
	};
	struct proto_session session = session_all;
	struct proto_status status;
	char text[4096];
	int fd_index = 77;

	for (size_t i = 0; i < array_size(cases); i++) {
		edited(text, cases[i].piece, cases[i].by);
		if (decode(text, &session, &fd_index, &status) != PROTO_DECODE_CLOSE)
			fail_msg("taken: %s", text);
	}
	assert_int_equal(decode("", &session, &fd_index, &status), PROTO_DECODE_CLOSE);
	assert_int_equal(decode("{}", &session, &fd_index, &status), PROTO_DECODE_CLOSE);
	assert_memory_equal(&session, &session_all, sizeof(session));
	assert_int_equal(fd_index, 77);
}

static void test_texts_are_made_harmless(void **state)
{
	struct proto_session session;
	struct proto_status status;
	char text[4096];
	int fd_index;

	edited(text, "TLSv1.2", "a version with a long name");
	assert_int_equal(decode(text, &session, &fd_index, &status), PROTO_DECODE_OK);
	assert_string_equal(session.version, "a version wi...");
	edited(text, "TLSv1.2", "\\u001b[31m");
	assert_int_equal(decode(text, &session, &fd_index, &status), PROTO_DECODE_OK);
	assert_string_equal(session.version, "\\x1b[31m");
}

static void test_encoder_mends_what_is_not_utf8(void **state)
{
	struct proto_session session = session_all;
	size_t length;
	char *text;

	strcpy(session.peer_subject, "CN=\xff\n");
	text = proto_session_encode(&session, &length);
	assert_non_null(strstr(text, "\"CN=\\\\xff\\\\x0a\""));
	free(text);
}

static void expect_same_status(const struct proto_status *is, const struct proto_status *was)
{
	assert_int_equal(is->error, was->error);
	assert_int_equal(is->stage, was->stage);
	assert_int_equal(is->sys_errno, was->sys_errno);
	assert_int_equal(is->retry, was->retry);
	assert_string_equal(is->parameter, was->parameter);
	assert_string_equal(is->alert, was->alert);
	assert_string_equal(is->x509, was->x509);
	assert_string_equal(is->message, was->message);
}

static void there_and_back(const struct proto_status *was)
{
	struct proto_session session;
	struct proto_status is;
	int fd_index;
	size_t length;
	char *text = proto_status_encode(was, &length);

	assert_int_equal(strlen(text), length);
	assert_non_null(strstr(text, proto_error_info(was->error)->wire));
	memset(&is, '#', sizeof(is));
	assert_int_equal(decode(text, &session, &fd_index, &is), PROTO_DECODE_REFUSED);
	expect_same_status(&is, was);
	free(text);
}

static void test_every_failure(void **state)
{
	struct proto_status status;

	for (int i = PROTO_NOT_AUTHORIZED; proto_error_info((enum proto_error)i); i++) {
		for (int stage = PROTO_STAGE_POLICY; stage <= PROTO_STAGE_INSTALL; stage++) {
			proto_status_set(&status, (enum proto_error)i, (enum proto_stage)stage, 0,
					 "it \"failed\" \\ %d", stage);
			there_and_back(&status);
			status.sys_errno = stage * 40;
			status.retry = stage % 2;
			strcpy(status.alert, "handshake_failure");
			there_and_back(&status);
			strcpy(status.x509, "X509_V_ERR_CERT_HAS_EXPIRED");
			there_and_back(&status);
		}
	}
}

static void test_varlinks_own(void **state)
{
	struct proto_status status;

	proto_status_invalid(&status, "trust.pins", "no pin");
	there_and_back(&status);
	proto_status_set(&status, PROTO_METHOD_NOT_FOUND, PROTO_STAGE_NONE, 0, "%s: a.B",
			 proto_error_info(PROTO_METHOD_NOT_FOUND)->text);
	strcpy(status.parameter, "a.B");
	there_and_back(&status);
}

static const struct {
	enum proto_error error;
	const char *text;
} exact[] = {
	{ PROTO_INVALID_PARAMETER, "{\"error\":\"org.varlink.service.InvalidParameter\","
	  "\"parameters\":{\"parameter\":\"host\",\"message\":\"bad\"}}" },
	{ PROTO_METHOD_NOT_FOUND, "{\"error\":\"org.varlink.service.MethodNotFound\","
	  "\"parameters\":{\"method\":\"host\"}}" },
	{ PROTO_INTERFACE_NOT_FOUND, "{\"error\":\"org.varlink.service.InterfaceNotFound\","
	  "\"parameters\":{\"interface\":\"host\"}}" },
	{ PROTO_METHOD_NOT_IMPLEMENTED, "{\"error\":\"org.varlink.service.MethodNotImplemented\","
	  "\"parameters\":{\"method\":\"host\"}}" },
	{ PROTO_CONNECT_FAILED, "{\"error\":\"io.ktlsd.ConnectFailed\",\"parameters\":{\"stage\":"
	  "\"connect\",\"message\":\"bad\",\"errno\":\"ECONNREFUSED\",\"retry\":false}}" },
	{ (enum proto_error)99, "{\"error\":\"io.ktlsd.InternalError\",\"parameters\":{\"stage\":"
	  "\"connect\",\"message\":\"bad\",\"errno\":\"ECONNREFUSED\",\"retry\":false}}" },
};

static void test_exact_text(void **state)
{
	struct proto_status status;
	size_t length;
	char *text;

	for (size_t i = 0; i < array_size(exact); i++) {
		proto_status_set(&status, exact[i].error, PROTO_STAGE_CONNECT, ECONNREFUSED, "bad");
		strcpy(status.parameter, "host");
		text = proto_status_encode(&status, &length);
		assert_string_equal(text, exact[i].text);
		free(text);
	}
	proto_status_set(&status, PROTO_BUSY, PROTO_STAGE_NONE, 0, "full");
	status.retry = true;
	text = proto_status_encode(&status, &length);
	assert_string_equal(text, "{\"error\":\"io.ktlsd.Busy\",\"parameters\":{"
			    "\"stage\":\"policy\",\"message\":\"full\",\"errno\":null,"
			    "\"retry\":true}}");
	free(text);
}

static void test_errors_of_others(void **state)
{
	static const struct {
		const char *text, *message;
		enum proto_error error;
	} cases[] = {
		{ "{\"error\":\"io.ktlsd.Busy\"}",
		  "a quota of the caller or of the service is full", PROTO_BUSY },
		{ "{\"error\":\"io.ktlsd.Busy\",\"parameters\":{\"stage\":\"tomorrow\","
		  "\"message\":\"m\"}}", "m", PROTO_BUSY },
		{ "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{"
		  "\"parameter\":\"host\"}}", "the request is malformed or out of range: host",
		  PROTO_INVALID_PARAMETER },
		{ "{\"error\":\"io.ktlsd.New\",\"parameters\":{\"stage\":\"install\","
		  "\"message\":\"m\",\"errno\":\"EIO\",\"retry\":true}}", "io.ktlsd.New: m",
		  PROTO_INTERNAL_ERROR },
		{ "{\"error\":\"a.B\",\"parameters\":{\"message\":1}}", "a.B",
		  PROTO_INTERNAL_ERROR },
		{ "{\"error\":\"a.B\",\"parameters\":{\"stage\":1,\"message\":\"m\"}}", "a.B",
		  PROTO_INTERNAL_ERROR },
	};
	struct proto_session session;
	struct proto_status status;
	int fd_index;

	for (size_t i = 0; i < array_size(cases); i++) {
		assert_int_equal(decode(cases[i].text, &session, &fd_index, &status),
				 PROTO_DECODE_REFUSED);
		assert_int_equal(status.error, cases[i].error);
		assert_string_equal(status.message, cases[i].message);
	}
	decode(cases[3].text, &session, &fd_index, &status);
	assert_int_equal(status.stage, PROTO_STAGE_INSTALL);
	assert_int_equal(status.sys_errno, EIO);
	assert_true(status.retry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_there),
		cmocka_unit_test(test_session_and_back),
		cmocka_unit_test(test_none_is_null),
		cmocka_unit_test(test_what_a_newer_service_may_say),
		cmocka_unit_test(test_no_reply_of_ours),
		cmocka_unit_test(test_texts_are_made_harmless),
		cmocka_unit_test(test_encoder_mends_what_is_not_utf8),
		cmocka_unit_test(test_every_failure),
		cmocka_unit_test(test_varlinks_own),
		cmocka_unit_test(test_exact_text),
		cmocka_unit_test(test_errors_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
