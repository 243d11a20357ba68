/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "client/ctl-sockets.c"

#include "tests/unit/shown.h"

static const char *answer; /* NULL: the failure */
static struct diag_failure told;

struct json_object *diag_sockets(const char *proc, struct diag_failure *failure)
{
	assert_string_equal(proc, "/proc");
	*failure = told;
	return answer ? json_tokener_parse(answer) : NULL;
}

#define SOCKET(processes) "{\"local\": \"192.0.2.1:443\", \"remote\": \"[2001:db8::1]:50000\","		\
	"\"state\": \"established\", \"version\": \"TLSv1.2\", \"cipher\": \"aes-gcm-256\","		\
	"\"transmit\": \"nic\", \"receive\": \"software\", \"bytesSent\": 2048, \"bytesReceived\": null,"	\
	"\"processes\": [" processes "]}"
#define DOCUMENT(sockets, needed, had, hidden) "{\"sockets\": [" sockets "], \"privileged\": {"		\
	"\"capability\": \"CAP_NET_ADMIN\", \"needed\": " needed ", \"had\": " had ","			\
	"\"columns\": [\"version\", \"cipher\"]}, \"processesHidden\": " hidden "}"
#define TITLES "LOCAL REMOTE STATE VERSION CIPHER TRANSMIT RECEIVE SENT RECEIVED PROCESSES\n"
#define ROW "192.0.2.1:443 [2001:db8::1]:50000 established TLSv1.2 aes-gcm-256 nic software 2.0 KiB - "
#define NONE "no socket of this network namespace is under kernel TLS\n"
#define NEEDED "this kernel tells only who has CAP_NET_ADMIN which sockets are under kernel TLS, and of "	\
	"them: version cipher\n"
#define HIDDEN "the sockets of others' processes are theirs to see: PROCESSES may lack some\n"

static void check(const char *json, const char *wanted)
{
	struct ctl ctl = { 0 };
	int status;
	char *text;

	answer = json;
	text = shown(&ctl_sockets, &ctl, &status);
	squeeze(text);
	assert_string_equal(text, wanted);
	assert_int_equal(status, 0);
	free(text);
}

static void test_tables(void **state)
{
	check(DOCUMENT(SOCKET("{\"pid\": 7, \"command\": \"nginx\"}, {\"pid\": 8, \"command\": \"a b\"}"),
		       "false", "false", "false"), TITLES ROW "nginx (7), a b (8)\n");
	check(DOCUMENT(SOCKET(""), "false", "false", "true"), TITLES ROW "-\n" HIDDEN);
	check(DOCUMENT(SOCKET(""), "true", "true", "false"), TITLES ROW "-\n");
}

/* Where none can be told from others, it is not said that there are none. */
static void test_none(void **state)
{
	check(DOCUMENT("", "false", "false", "false"), NONE);
	check(DOCUMENT("", "true", "true", "false"), NONE);
	check(DOCUMENT("", "true", "false", "false"), NEEDED);
	check(DOCUMENT("", "true", "false", "true"), NEEDED HIDDEN);
}

static void test_many_processes_are_cut(void **state)
{
	struct json_object *many = json_object_new_array();
	char scratch[VIEW_CELL];

	for (int i = 0; i < 100; i++)
		json_object_array_add(many, json_tokener_parse("{\"pid\": 4194304, \"command\": \"worker\"}"));
	assert_int_equal(strlen(show_processes(many, scratch)), VIEW_CELL - 1);
	json_object_put(many);
}

/* stderr's line and status, and the document. */
static void check_failure(struct diag_failure failure, int wanted, const char *line, const char *json)
{
	struct ctl ctl = { .json = true };
	int file = memfd_create("stderr", MFD_CLOEXEC), before = dup(STDERR_FILENO), status;
	char said[256] = "", *text;
	struct json_object *document, *expected = json_tokener_parse(json);

	answer = NULL;
	told = failure;
	assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
	text = shown(&ctl_sockets, &ctl, &status);
	assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
	assert_true(pread(file, said, sizeof(said) - 1, 0) > 0);
	assert_string_equal(said, line);
	assert_int_equal(status, wanted);
	document = json_tokener_parse(text);
	assert_string_equal(json_object_to_json_string(document), json_object_to_json_string(expected));
	ctl.json = false;
	free(text);
	text = shown(&ctl_sockets, &ctl, &status);
	assert_string_equal(text, "");
	json_object_put(document);
	json_object_put(expected);
	free(text);
	close(file);
	close(before);
}

#define ERROR(message, err, cure, retry, who, exit)							\
	"{\"error\": {\"name\": null, \"stage\": \"sockets\", \"message\": \"" message "\","		\
	"\"errno\": \"" err "\", \"retry\": " retry ", \"alert\": null, \"x509\": null,"			\
	"\"parameter\": null, \"who\": \"" who "\", \"exitStatus\": " exit ", \"cure\": " cure "}}"

static void test_failures(void **state)
{
	check_failure((struct diag_failure){ ENOENT, "not there", "as root: modprobe it" }, 2,
		      "ktlsctl: sockets: not there: No such file or directory; as root: modprobe it\n",
		      ERROR("not there", "ENOENT", "\"as root: modprobe it\"", "false", "administrator",
			    "2"));
	check_failure((struct diag_failure){ EINTR, "it changes too fast", "try again" }, 4,
		      "ktlsctl: sockets: it changes too fast; try again\n",
		      ERROR("it changes too fast", "EINTR", "\"try again\"", "true", "retry", "4"));
	check_failure((struct diag_failure){ EMFILE, "/proc cannot be read", NULL }, 5,
		      "ktlsctl: sockets: /proc cannot be read: Too many open files\n",
		      ERROR("/proc cannot be read", "EMFILE", "null", "false", "internal", "5"));
	check_failure((struct diag_failure){ ENOBUFS, strerror(ENOBUFS), NULL }, 2,
		      "ktlsctl: sockets: No buffer space available\n",
		      ERROR("No buffer space available", "ENOBUFS", "null", "false", "administrator", "2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_many_processes_are_cut),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
