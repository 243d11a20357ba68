/* SPDX-License-Identifier: MIT */
#include "tests/unit/journald.h"

#include "daemon/log.h"

#include <signal.h>
#include <sys/stat.h>

/* A pair of descriptors: what is written to the log can be read at the other end. */
struct wire {
	int reader, writer;
};

static struct wire wire_pipe(void)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	return (struct wire){ .reader = fds[0], .writer = fds[1] };
}

static struct wire wire_socket(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	return (struct wire){ .reader = fds[0], .writer = fds[1] };
}

static struct wire wire_terminal(void)
{
	int reader = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char name[64];

	assert_true(reader >= 0);
	assert_int_equal(grantpt(reader), 0);
	assert_int_equal(unlockpt(reader), 0);
	assert_int_equal(ptsname_r(reader, name, sizeof(name)), 0);
	return (struct wire){ .reader = reader, .writer = open(name, O_RDWR | O_NOCTTY) };
}

static void wire_deinit(struct wire *wire)
{
	close_fd(&wire->reader);
	close_fd(&wire->writer);
}

/* All that is there to be read now. */
static const char *drain(const struct wire *wire, char *buffer, size_t size)
{
	struct pollfd p = { .fd = wire->reader, .events = POLLIN };
	size_t n = 0;
	ssize_t r = 1;

	while (r > 0 && n + 1 < size && poll(&p, 1, 0) > 0 && p.revents & POLLIN) {
		r = read(wire->reader, buffer + n, size - 1 - n);
		n += r > 0 ? r : 0;
	}
	buffer[n] = '\0';
	return buffer;
}

static void set_journal_stream(int fd, int inode_offset, const char *rest)
{
	struct stat st;
	char value[64];

	assert_int_equal(fstat(fd, &st), 0);
	snprintf(value, sizeof(value), "%ju:%ju%s", (uintmax_t)st.st_dev,
		 (uintmax_t)st.st_ino + inode_offset, rest);
	setenv("JOURNAL_STREAM", value, 1);
}

/* A log whose stderr is the wire, and that is the journal's; journald's own socket is at path, and
 * not that of this machine. */
static void log_init_journal(struct log *log, const struct wire *wire, const char *path)
{
	set_journal_stream(wire->writer, 0, "");
	log_init(log, wire->writer);
	unsetenv("JOURNAL_STREAM");
	assert_true(log->is_journal);
	assert_string_equal(log->journal.address.sun_path, "/run/systemd/journal/socket");
	journal_deinit(&log->journal);
	assert_true(journal_init(&log->journal, path));
}

#define NO_JOURNALD "/nonexistent/socket"

static void test_plain(void **state)
{
	_cleanup_(wire_deinit) struct wire wire = wire_pipe();
	_cleanup_(log_deinit) struct log log;
	char text[256];

	unsetenv("JOURNAL_STREAM");
	log_init(&log, wire.writer);
	errno = ENOTTY;
	log_line(&log, LOG_ERR, "uid %u: %s", 7, "hello");
	assert_int_equal(errno, ENOTTY);
	log_line(&log, LOG_DEBUG, "and another");
	assert_string_equal(drain(&wire, text, sizeof(text)), "uid 7: hello\nand another\n");
}

static void test_journal(void **state)
{
	static const struct {
		int inode_offset;
		const char *rest;
		const char *line;
	} cases[] = {
		{ 0, "", "<4>x\n" }, { 1, "", "x\n" }, { 0, "5x", "x\n" }, { 0, "x", "x\n" },
	};
	char text[64];

	for (size_t i = 0; i < array_size(cases); i++) {
		_cleanup_(wire_deinit) struct wire wire = wire_socket();
		_cleanup_(log_deinit) struct log log;

		set_journal_stream(wire.writer, cases[i].inode_offset, cases[i].rest);
		log_init(&log, wire.writer);
		strcpy(log.journal.address.sun_path, NO_JOURNALD);
		log_line(&log, LOG_WARNING | LOG_DAEMON, "x");
		assert_string_equal(drain(&wire, text, sizeof(text)), cases[i].line);
	}
	unsetenv("JOURNAL_STREAM");
}

/* What a caller sends cannot make a second line, nor another priority. */
static void test_escaped(void **state)
{
	_cleanup_(wire_deinit) struct wire wire = wire_socket();
	_cleanup_(log_deinit) struct log log;
	char text[256];

	log_init_journal(&log, &wire, NO_JOURNALD);
	log_line(&log, LOG_INFO, "host %s", "x\n<0>owned\r\x1b[31m\x7f\xff \xc3\xa4");
	assert_string_equal(drain(&wire, text, sizeof(text)),
			    "<6>host x\\x0a<0>owned\\x0d\\x1b[31m\\x7f\\xff \xc3\xa4\n");
}

static void test_long_line(void **state)
{
	_cleanup_(wire_deinit) struct wire wire = wire_pipe();
	_cleanup_(log_deinit) struct log log;
	char word[2 * LOG_LINE_MAX], text[2 * LOG_LINE_MAX];

	memset(word, 'x', sizeof(word));
	for (size_t length = LOG_LINE_MAX - 6; length < LOG_LINE_MAX + 6; length++) {
		log_init(&log, wire.writer);
		log_line(&log, LOG_INFO, "%.*s", (int)length, word);
		log_deinit(&log);
		drain(&wire, text, sizeof(text));
		assert_in_range(strlen(text), LOG_LINE_MAX - 8, LOG_LINE_MAX);
		assert_int_equal(text[strlen(text) - 1], '\n');
		assert_int_equal(strspn(text, "x") == length, strlen(text) == length + 1);
		if (strspn(text, "x") != length)
			assert_string_equal(text + strspn(text, "x"), "...\n");
	}
	log_init(&log, wire.writer);
}

/* Fills it until lines are lost, reads, and looks for what the next line says about that. */
static void check_full(const struct wire *wire, struct log *log)
{
	_cleanup_free_ char *text = malloc(4 << 20);
	unsigned int written = 0;
	unsigned long lost;
	char line[128];

	assert_non_null(text);
	alarm(20);	/* where it blocks, it blocks for good */
	while (!log->dropped && written++ < 40000)
		log_line(log, LOG_INFO, "line %u", written);
	assert_int_equal(log->dropped, 1);
	for (int i = 0; i < 5; i++)
		log_line(log, LOG_INFO, "lost");
	alarm(0);
	lost = log->dropped;
	assert_int_equal(lost, 6);
	drain(wire, text, 4 << 20);
	assert_null(strstr(text, "lost"));
	log_line(log, LOG_INFO, "next");
	drain(wire, text, 4 << 20);
	snprintf(line, sizeof(line), "%lu lines of this log are lost: nobody took them", lost);
	assert_ptr_equal(strstr(text, line), text);
	assert_non_null(strstr(text, "next"));
	assert_int_equal(log->dropped, 0);
}

static void test_full_pipe(void **state)
{
	_cleanup_(wire_deinit) struct wire wire = wire_pipe();
	_cleanup_(log_deinit) struct log log;

	log_init(&log, wire.writer);
	check_full(&wire, &log);
	assert_int_equal(fcntl(wire.writer, F_GETFL) & O_NONBLOCK, 0);
}

static void test_full_socket(void **state)
{
	_cleanup_(wire_deinit) struct wire wire = wire_socket();
	_cleanup_(log_deinit) struct log log;

	log_init(&log, wire.writer);
	check_full(&wire, &log);
	assert_int_equal(fcntl(wire.writer, F_GETFL) & O_NONBLOCK, 0);
}

static void test_full_terminal(void **state)
{
	_cleanup_(wire_deinit) struct wire wire = wire_terminal();
	_cleanup_(log_deinit) struct log log;

	log_init(&log, wire.writer);
	check_full(&wire, &log);
	assert_int_equal(fcntl(wire.writer, F_GETFL) & O_NONBLOCK, 0);
}

/* A pipe that could not be opened anew. */
static void test_full_pipe_shared(void **state)
{
	_cleanup_(wire_deinit) struct wire wire = wire_pipe();
	struct log log = { .fd = wire.writer };

	check_full(&wire, &log);
}

static void test_reader_gone(void **state)
{
	struct wire (*const kinds[])(void) = { wire_pipe, wire_socket, wire_terminal };

	signal(SIGPIPE, SIG_DFL);
	for (size_t i = 0; i < array_size(kinds); i++) {
		_cleanup_(wire_deinit) struct wire wire = kinds[i]();
		_cleanup_(log_deinit) struct log log;

		log_init(&log, wire.writer);
		close_fd(&wire.reader);
		errno = ENOTTY;
		log_line(&log, LOG_ERR, "x");
		assert_int_equal(errno, ENOTTY);
		assert_int_equal(log.dropped, 1);
	}
}

static void test_file(void **state)
{
	char path[] = "/tmp/ktlsd-log.XXXXXX", text[64];
	_cleanup_fd_ int fd = mkostemp(path, O_APPEND | O_CLOEXEC);
	_cleanup_(log_deinit) struct log log;

	assert_true(fd >= 0);
	unlink(path);
	log_init(&log, fd);
	log_line(&log, LOG_ERR, "one");
	assert_int_equal(write(fd, "two\n", 4), 4);
	log_line(&log, LOG_ERR, "three");
	assert_int_equal(pread(fd, text, sizeof(text), 0), 14);
	assert_memory_equal(text, "one\ntwo\nthree\n", 14);
}

/* Descriptor 2 may be closed, and then become somebody else's. */
static void test_nowhere(void **state)
{
	_cleanup_(wire_deinit) struct wire wire = wire_pipe();
	_cleanup_(log_deinit) struct log log;
	int fd = fcntl(wire.writer, F_DUPFD_CLOEXEC, 500);
	char text[16];

	close(fd);
	log_init(&log, fd);
	assert_int_equal(dup2(wire.writer, fd), fd);
	log_line(&log, LOG_ERR, "x");
	assert_int_equal(log.dropped, 1);
	assert_string_equal(drain(&wire, text, sizeof(text)), "");
	close(fd);
}

/* --- entries */

struct scene {
	struct wire wire;
	struct journald journald;
	struct log log;
	struct heard heard;
};

static void scene_init(struct scene *scene)
{
	scene->wire = wire_socket();
	journald_init(&scene->journald);
	journald_run(&scene->journald);
	log_init_journal(&scene->log, &scene->wire, scene->journald.path);
}

static void scene_deinit(struct scene *scene)
{
	log_deinit(&scene->log);
	journald_deinit(&scene->journald);
	wire_deinit(&scene->wire);
}

static void expect_stream(struct scene *scene, const char *text)
{
	char buffer[4096];

	assert_string_equal(drain(&scene->wire, buffer, sizeof(buffer)), text);
}

#define ID "0123456789abcdef0123456789abcdef"

static void test_entry_of_a_line(void **state)
{
	_cleanup_(scene_deinit) struct scene scene;

	scene_init(&scene);
	errno = ENOTTY;
	log_line(&scene.log, LOG_ERR | LOG_DAEMON, "host %s", "x\nPRIORITY=0\nMESSAGE=owned");
	assert_int_equal(errno, ENOTTY);
	assert_true(journald_read(&scene.journald, &scene.heard));
	assert_int_equal(scene.heard.n, 3);
	expect_field(&scene.heard, "MESSAGE", "host x\\x0aPRIORITY=0\\x0aMESSAGE=owned");
	expect_field(&scene.heard, "PRIORITY", "3");
	expect_field(&scene.heard, "SYSLOG_IDENTIFIER", "ktlsd");
	assert_int_equal(journald_drain(&scene.journald, &scene.heard), 0);
	expect_stream(&scene, "");
}

static void test_entry_of_a_record(void **state)
{
	_cleanup_(scene_deinit) struct scene scene;
	char longest[LOG_VALUE_MAX + 1], longer[LOG_VALUE_MAX + 2];
	const struct log_field fields[] = {
		{ "KTLSD_A", "x\nPRIORITY=0" }, { "KTLSD_B", NULL }, { "KTLSD_C", "" },
		{ "KTLSD_D", longest }, { "KTLSD_E", longer }, { "KTLSD_F", "=" },
	};

	memset(longest, 'x', sizeof(longest));
	longest[LOG_VALUE_MAX] = '\0';
	memset(longer, 'x', sizeof(longer));
	longer[LOG_VALUE_MAX + 1] = '\0';
	scene_init(&scene);
	errno = ENOTTY;
	log_record(&scene.log, LOG_NOTICE, ID, fields, array_size(fields), "%d sentences", 2);
	assert_int_equal(errno, ENOTTY);
	assert_true(journald_read(&scene.journald, &scene.heard));
	assert_int_equal(scene.heard.n, 8);
	expect_field(&scene.heard, "MESSAGE", "2 sentences");
	expect_field(&scene.heard, "PRIORITY", "5");
	expect_field(&scene.heard, "MESSAGE_ID", ID);
	expect_field(&scene.heard, "KTLSD_A", "x\\x0aPRIORITY=0");
	expect_field(&scene.heard, "KTLSD_D", longest);
	strcpy(longer + LOG_VALUE_MAX - 3, "...");
	expect_field(&scene.heard, "KTLSD_E", longer);
	expect_field(&scene.heard, "KTLSD_F", "=");
	expect_stream(&scene, "");
}

static void test_record_on_stderr(void **state)
{
	_cleanup_(wire_deinit) struct wire wire = wire_pipe();
	_cleanup_(log_deinit) struct log log;
	const struct log_field field = { "KTLSD_A", "a" };
	char text[256];

	log_init(&log, wire.writer);
	log_record(&log, LOG_NOTICE, ID, &field, 1, "%d sentences", 2);
	log_record(&log, LOG_NOTICE, NULL, NULL, 0, "and one");
	assert_string_equal(drain(&wire, text, sizeof(text)), "2 sentences\nand one\n");
}

/* Where journald's socket does not take it, its stream may. */
static void test_journald_is_away(void **state)
{
	_cleanup_(scene_deinit) struct scene scene;
	const struct log_field field = { "KTLSD_A", "a" };

	scene_init(&scene);
	for (int i = 0; i < 2; i++) {
		journald_die(&scene.journald);
		log_record(&scene.log, LOG_NOTICE, ID, &field, 1, "sentence");
		expect_stream(&scene, "<5>sentence\n");
		journald_run(&scene.journald);
		log_record(&scene.log, LOG_NOTICE, ID, &field, 1, "sentence");
		expect_stream(&scene, "");
		assert_true(journald_read(&scene.journald, &scene.heard));
		expect_field(&scene.heard, "KTLSD_A", "a");
	}
	assert_int_equal(scene.log.dropped, 0);
}

/* Neither takes any: what is lost is told when one does again. */
static void test_journald_does_not_read(void **state)
{
	static char stream[4 << 20];
	_cleanup_(scene_deinit) struct scene scene;
	char told[80];

	scene_init(&scene);
	alarm(20);
	for (int i = 0; i < 100000 && scene.log.dropped < 3; i++)
		log_record(&scene.log, LOG_NOTICE, ID, NULL, 0, "sentence");
	alarm(0);
	assert_int_equal(scene.log.dropped, 3);
	assert_string_not_equal(drain(&scene.wire, stream, sizeof(stream)), "");
	assert_true(journald_drain(&scene.journald, &scene.heard) > 0);
	log_record(&scene.log, LOG_NOTICE, ID, NULL, 0, "next");
	assert_int_equal(scene.log.dropped, 0);
	assert_true(journald_read(&scene.journald, &scene.heard));
	snprintf(told, sizeof(told), "%d lines of this log are lost: nobody took them", 3);
	expect_field(&scene.heard, "MESSAGE", told);
	expect_field(&scene.heard, "PRIORITY", "4");
	assert_true(journald_read(&scene.journald, &scene.heard));
	expect_field(&scene.heard, "MESSAGE", "next");
}

static void test_nothing_stays_open(void **state)
{
	size_t descriptors = count_descriptors();
	struct scene scene;

	scene_init(&scene);
	scene_deinit(&scene);
	assert_int_equal(count_descriptors(), descriptors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_escaped),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_full_pipe),
		cmocka_unit_test(test_full_socket),
		cmocka_unit_test(test_full_terminal),
		cmocka_unit_test(test_full_pipe_shared),
		cmocka_unit_test(test_reader_gone),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_nowhere),
		cmocka_unit_test(test_entry_of_a_line),
		cmocka_unit_test(test_entry_of_a_record),
		cmocka_unit_test(test_record_on_stderr),
		cmocka_unit_test(test_journald_is_away),
		cmocka_unit_test(test_journald_does_not_read),
		cmocka_unit_test(test_nothing_stays_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
