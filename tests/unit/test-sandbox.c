/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=landlock_enter,--wrap=privileges_drop_capabilities */
#include "tests/unit/pipe.h"
#include "tests/unit/process.h"

#include "daemon/hurry.h"
#include "daemon/kernel.h"
#include "daemon/landlock.h"
#include "daemon/nursery.h"
#include "daemon/privileges.h"
#include "daemon/sandbox.h"
#include "daemon/sanitizer.h"

#include <ev.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

/* Neither valgrind nor the address sanitizer can live with a filter of system calls. Everywhere else there must be one. */
#define FILTER_WANTED (!RUNNING_ON_VALGRIND && !ADDRESS_SANITIZER)

static struct {
	SSL_CTX *client, *server;	/* made before, as the daemon's are */
	int nursery;
	pid_t keeper;
	int file;			/* open before */
	int tcp;
	void *page;
} scene;

int __real_landlock_enter(void);
int __wrap_landlock_enter(void);
bool __real_privileges_drop_capabilities(struct log *log);
bool __wrap_privileges_drop_capabilities(struct log *log);

static enum { NOTHING_FAILS, LANDLOCK, CAPABILITIES } failing;
static unsigned int *entered_landlock;		/* shared with children */

int __wrap_landlock_enter(void)
{
	++*entered_landlock;
	return failing == LANDLOCK ? -ENOMEM : __real_landlock_enter();
}

bool __wrap_privileges_drop_capabilities(struct log *log)
{
	return failing != CAPABILITIES && __real_privileges_drop_capabilities(log);
}

/* --- what must work: 0, or the line that failed */

#define must(condition)				\
	do {					\
		if (!(condition))		\
			return __LINE__;	\
	} while (0)

static int shakes_hands(void)
{
	struct ends ends;
	SSL *client = SSL_new(scene.client), *server = SSL_new(scene.server);

	must(client && server);
	ends_init(&ends, client, server);
	must(shake(&ends));
	must(SSL_get_verify_result(client) == X509_V_OK);
	ends_deinit(&ends);
	return 0;
}

/* Their texts are OpenSSL's own, and take no file to read. */
static int tells_errors(void)
{
	struct ends ends;
	SSL *client = SSL_new(scene.client), *server = SSL_new(scene.server);
	char text[256];

	must(client && server);
	ends_init(&ends, client, server);
	SSL_set_connect_state(server);
	ERR_clear_error();
	SSL_do_handshake(client);
	must(BIO_write(SSL_get_rbio(client), "HTTP/1.0 400\r\n", 14) == 14);
	must(SSL_do_handshake(client) < 0);
	ERR_error_string_n(ERR_get_error(), text, sizeof(text));
	must(strstr(text, "wrong version number") || strstr(text, "http"));
	ERR_clear_error();
	must(strcmp(strerror(EHOSTUNREACH), "No route to host") == 0);
	must(strstr(gai_strerror(EAI_NONAME), "not known"));
	ends_deinit(&ends);
	return 0;
}

static int makes_keys(void)
{
	struct identity id = make(.cn = "made inside", .names = "DNS:host.example");

	must(id.cert && id.key);
	identity_free(&id);
	return 0;
}

static int probes_the_kernel(void)
{
	struct kernel kernel;

	kernel_probe(&kernel);
	must(kernel.loopback_errno == 0);
	must(kernel.ulp_errno == 0 || kernel.ulp_errno == ENOENT);
	for (size_t i = 0; i < n_ciphers; i++)
		must(kernel.cipher_errno[i] != EPERM && kernel.cipher_errno[i] != EACCES);
	return 0;
}

static int connects_to(int family)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) }, .sin_port = htons(9) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_port = htons(9) };
	_cleanup_fd_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	const struct sockaddr *address = family == AF_INET ? (void *)&in : (void *)&in6;

	must(fd >= 0);
	must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)) == 0);
	must(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){ 1 }, sizeof(int)) == 0);
	must(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0);
	/* Nobody listens there, or there is no such address: but nobody forbids it. */
	must(connect(fd, address, family == AF_INET ? sizeof(in) : sizeof(in6)) == 0 ||
	     errno == ECONNREFUSED || errno == EADDRNOTAVAIL || errno == ENETUNREACH);
	return 0;
}

static int connects(void)
{
	return connects_to(AF_INET) ?: connects_to(AF_INET6);
}

static void on_timer(EV_P_ ev_timer *timer, int events)
{
	ev_break(EV_A_ EVBREAK_ALL);
}

static void on_signal(EV_P_ ev_signal *signal, int events)
{
	ev_break(EV_A_ EVBREAK_ALL);
}

/* One made inside; a signal that the process sends itself ends the second round. */
static int turns_a_loop(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV);
	ev_timer timer;
	ev_signal signal;

	must(loop && ev_backend(loop) == EVBACKEND_EPOLL);
	ev_timer_init(&timer, on_timer, 0.002, 0);
	ev_timer_start(loop, &timer);
	ev_run(loop, 0);
	ev_signal_init(&signal, on_signal, SIGUSR1);
	ev_signal_start(loop, &signal);
	must(raise(SIGUSR1) == 0);
	ev_run(loop, 0);
	ev_signal_stop(loop, &signal);
	ev_loop_destroy(loop);
	return 0;
}

static int hurries(void)
{
	_cleanup_fd_ int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;
	int r;

	must(epoll >= 0);
	hurry_begin();
	r = epoll_wait(epoll, &event, 1, 5000);
	hurry_end();
	must(r < 0 && errno == EINTR);
	return 0;
}

static int moves_descriptors(void)
{
	int pair[2];
	char byte = 'x';

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	must(send(pair[0], &byte, 1, MSG_NOSIGNAL) == 1);
	must(ioctl(pair[1], FIONREAD, &(int){ 0 }) == 0);
	must(recv(pair[1], &byte, 1, MSG_DONTWAIT) == 1);
	must(shutdown(pair[0], SHUT_RDWR) == 0);
	close_fd(&pair[0]);
	close_fd(&pair[1]);
	return 0;
}

/* By the nursery, which was there before and is not confined. */
static int has_names_looked_up(void)
{
	_cleanup_fd_ int fd = nursery_fork(scene.nursery);
	struct resolver_answer answer;

	must(fd >= 0);
	must(fcntl(fd, F_SETFL, 0) == 0);
	must(send(fd, "localhost", 9, MSG_NOSIGNAL) == 9);
	must(recv(fd, &answer, sizeof(answer), 0) == sizeof(answer));
	must(answer.gai_error == 0 && answer.addresses.n > 0);
	return 0;
}

static int by_value(const void *a, const void *b)
{
	return memcmp(a, b, 4);
}

/* Beyond what is in the heap, and beyond what qsort() does without asking for the machine's memory. */
static int takes_memory(void)
{
	size_t size = 64 << 20;
	_cleanup_free_ char *bytes = calloc(1, size);
	char *more;

	must(bytes);
	for (size_t i = 0; i < size; i += 4096)
		bytes[i] = (char)(i >> 12);
	more = realloc(bytes, 2 * size);
	must(more);
	bytes = more;
	qsort(bytes, 1 << 16, 4, by_value);
	return 0;
}

static int tells_time(void)
{
	const time_t then = 1700000000;
	struct timespec now;
	struct tm tm;
	char text[64];

	must(clock_gettime(CLOCK_REALTIME, &now) == 0 && clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	must(time(NULL) > then && gmtime_r(&then, &tm));
	must(strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0);
	must(strcmp(text, "2023-11-14T22:13:20Z") == 0);
	return 0;
}

static int keeps_what_is_open(void)
{
	char byte;

	must(read(scene.file, &byte, 1) == 1);
	return 0;
}

static int binds_to_any_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

	must(fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
	return 0;
}

static const struct {
	const char *what;
	int (*does)(void);
} good[] = {
	{ "a TLS handshake", shakes_hands },
	{ "errors in words", tells_errors },
	{ "keys", makes_keys },
	{ "the trial of the kernel", probes_the_kernel },
	{ "connections", connects },
	{ "a loop", turns_a_loop },
	{ "a hurry", hurries },
	{ "messages", moves_descriptors },
	{ "names", has_names_looked_up },
	{ "memory", takes_memory },
	{ "time", tells_time },
	{ "an open file", keeps_what_is_open },
	{ "a port of the kernel's choice", binds_to_any_port },
};

/* --- what must not: what the kernel says to it */

static long starts_a_process(long pid)
{
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return pid;
}

static long forks(void)
{
	return starts_a_process(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
}

static long clones(void)
{
	const struct { uint64_t flags, pidfd, child, parent, signal, rest[3]; } how = { .signal = SIGCHLD };

	return starts_a_process(syscall(SYS_clone3, &how, sizeof(how)));
}

static long executes(void)
{
	return execl("/bin/true", "true", NULL);
}

static long opens_a_file(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static long opens_its_own_memory(void)
{
	return open("/proc/self/mem", O_RDWR | O_CLOEXEC);
}

static long makes_a_file(void)
{
	long fd = open("/tmp/ktls-unit-sandbox", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 ? fd : unlink("/tmp/ktls-unit-sandbox");
}

static long makes_a_directory(void)
{
	return mkdir("/tmp/ktls-unit-sandbox", 0700) ?: rmdir("/tmp/ktls-unit-sandbox");
}

static long looks_at_a_file(void)
{
	return access("/etc/passwd", R_OK);
}

static long makes_a_nameless_file(void)
{
	return memfd_create("code", MFD_CLOEXEC);
}

static long opens_by_handle(void)
{
	return syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, 0);
}

/* Greater than any pid. Landlock would look at who it is first, and hide what the filter does. */
#define NOBODY (1 << 22 | 1)

static long signals_nobody(void)
{
	return kill(NOBODY, 0);
}

static long signals_its_parent(void)
{
	return kill(getppid(), 0);
}

static long signals_a_thread_of_its_parent(void)
{
	return syscall(SYS_tgkill, scene.keeper, NOBODY, 0);
}

static long has_its_parent_signalled(void)
{
	return fcntl(scene.tcp, F_SETOWN, scene.keeper);
}

static long traces(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long reads_memory(void)
{
	char byte;
	struct iovec to = { &byte, 1 }, from = { &scene, 1 };

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0);
}

static long makes_code(void)
{
	return (long)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long makes_code_of_data(void)
{
	return mprotect(scene.page, 4096, PROT_READ | PROT_EXEC);
}

static long makes_code_by_key(void)
{
	return syscall(SYS_pkey_mprotect, scene.page, 4096, PROT_READ | PROT_EXEC, -1);
}

static long reads_implies_executes(void)
{
	return syscall(SYS_personality, 0x0400000 /* READ_IMPLIES_EXEC */);
}

static long becomes_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static long raises_limits(void)
{
	return setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
}

static long becomes_another_user(void)
{
	return setresuid(getuid(), getuid(), getuid());
}

static long leaves(void)
{
	return unshare(CLONE_FS);
}

static long has_the_kernel_run_a_program(void)
{
	return syscall(SYS_bpf, -1, NULL, 0);
}

static long has_a_ring(void)
{
	return syscall(SYS_io_uring_setup, 0, NULL);
}

static long asks_for_a_key(void)
{
	return syscall(SYS_keyctl, 0, -3, 0);
}

static long listens(void)
{
	return listen(scene.tcp, 1);
}

static long sets_options_of_ip(void)
{
	return setsockopt(scene.tcp, IPPROTO_IP, IP_TOS, &(int){ 0 }, sizeof(int));
}

static long has_other_ioctls(void)
{
	return ioctl(scene.tcp, FIONBIO, &(int){ 0 });
}

static long pairs_datagrams(void)
{
	int pair[2];

	return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair);
}

#define SOCKET(name, ...)					\
	static long opens_##name(void) { return socket(__VA_ARGS__); }

SOCKET(unix, AF_UNIX, SOCK_STREAM, 0)
SOCKET(unix_datagram, AF_UNIX, SOCK_DGRAM, 0)
SOCKET(netlink, AF_NETLINK, SOCK_RAW, 0)
SOCKET(packet, AF_PACKET, SOCK_RAW, 0)
SOCKET(raw, AF_INET, SOCK_RAW, IPPROTO_ICMP)
SOCKET(udp, AF_INET, SOCK_DGRAM, IPPROTO_UDP)
SOCKET(udp6, AF_INET6, SOCK_DGRAM, IPPROTO_UDP)
SOCKET(mptcp, AF_INET, SOCK_STREAM, 262)

/* SIGSYS: the process ends by it. */
static const struct {
	const char *what;
	long (*does)(void);
	int want;
} bad[] = {
	{ "fork", forks, SIGSYS },
	{ "clone3", clones, SIGSYS },
	{ "execve", executes, SIGSYS },
	{ "a trace", traces, SIGSYS },
	{ "process_vm_readv", reads_memory, SIGSYS },
	{ "open_by_handle_at", opens_by_handle, SIGSYS },
	{ "unshare", leaves, SIGSYS },
	{ "bpf", has_the_kernel_run_a_program, SIGSYS },
	{ "keyctl", asks_for_a_key, SIGSYS },
	{ "a file", opens_a_file, EPERM },
	{ "its memory as a file", opens_its_own_memory, EPERM },
	{ "a new file", makes_a_file, EPERM },
	{ "a new directory", makes_a_directory, EPERM },
	{ "a look at a file", looks_at_a_file, EPERM },
	{ "memfd_create", makes_a_nameless_file, EPERM },
	{ "a signal to another", signals_its_parent, EPERM },
	{ "a signal to nobody", signals_nobody, EPERM },
	{ "a signal to a thread of another", signals_a_thread_of_its_parent, EPERM },
	{ "a signal to another by a socket", has_its_parent_signalled, EPERM },
	{ "mmap of code", makes_code, EPERM },
	{ "mprotect of code", makes_code_of_data, EPERM },
	{ "pkey_mprotect of code", makes_code_by_key, EPERM },
	{ "personality", reads_implies_executes, EPERM },
	{ "being dumped", becomes_dumpable, EPERM },
	{ "limits", raises_limits, EPERM },
	{ "another user", becomes_another_user, EPERM },
	{ "io_uring", has_a_ring, EPERM },
	{ "listening", listens, EPERM },
	{ "options of IP", sets_options_of_ip, EPERM },
	{ "ioctl", has_other_ioctls, EPERM },
	{ "a pair of datagram sockets", pairs_datagrams, EPERM },
	{ "AF_UNIX", opens_unix, EPERM },
	{ "AF_UNIX, datagrams", opens_unix_datagram, EPERM },
	{ "AF_NETLINK", opens_netlink, EPERM },
	{ "AF_PACKET", opens_packet, EPERM },
	{ "raw IP", opens_raw, EPERM },
	{ "UDP", opens_udp, EPERM },
	{ "UDP over IPv6", opens_udp6, EPERM },
	{ "MPTCP", opens_mptcp, EPERM },
};

/* --- in a process of its own, which cannot come back */

struct seen {
	bool entered;
	int line;		/* of what must work */
	long result;		/* of what must not */
	int error;
	int status;
	char log[LOG_LINE_MAX];
};

static bool enter(struct seen *seen, int log_fd)
{
	struct log log;

	log_init(&log, log_fd);
	seen->entered = sandbox_enter(&log);
	log_deinit(&log);
	return seen->entered;
}

static struct seen in_child(bool confined, int (*good_thing)(void), long (*bad_thing)(void))
{
	struct seen *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), seen;
	int pipes[2];
	ssize_t n;
	pid_t pid;

	assert_true(shared != MAP_FAILED);
	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (confined && !enter(shared, pipes[1]))
			_exit(1);
		if (good_thing)
			shared->line = good_thing();
		if (bad_thing && (shared->result = bad_thing()) < 0)
			shared->error = errno;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &shared->status, 0), pid);
	seen = *shared;
	n = read(pipes[0], seen.log, sizeof(seen.log) - 1);
	seen.log[n > 0 ? n : 0] = '\0';
	close_fd(&pipes[0]);
	close_fd(&pipes[1]);
	munmap(shared, sizeof(*shared));
	return seen;
}

static bool was_refused(const struct seen *seen, int want)
{
	if (want == SIGSYS)
		return WIFSIGNALED(seen->status) && WTERMSIG(seen->status) == SIGSYS && !WCOREDUMP(seen->status);
	return seen->status == 0 && seen->result < 0 && seen->error == want;
}

/* --- tests */

static void test_what_must_work(void **state)
{
	for (size_t i = 0; i < array_size(good); i++) {
		struct seen seen = in_child(true, good[i].does, NULL);

		if (!seen.entered || seen.status || seen.line || *seen.log)
			fail_msg("%s: status %#x, line %d, log \"%s\"", good[i].what, seen.status, seen.line, seen.log);
	}
}

static void test_what_must_not(void **state)
{
	for (size_t i = 0; i < array_size(bad) && FILTER_WANTED; i++) {
		struct seen seen = in_child(true, NULL, bad[i].does);

		if (!was_refused(&seen, bad[i].want) || *seen.log)
			fail_msg("%s: status %#x, result %ld, %s, log \"%s\"", bad[i].what, seen.status, seen.result,
				 strerror(seen.error), seen.log);
	}
}

/* Or else it would not be the sandbox that refuses it. */
static void test_what_others_may(void **state)
{
	for (size_t i = 0; i < array_size(bad) && FILTER_WANTED; i++) {
		struct seen seen = in_child(false, NULL, bad[i].does);

		if (was_refused(&seen, bad[i].want))
			fail_msg("%s is refused to everybody", bad[i].what);
	}
}

static int aborts(void)
{
	abort();
}

static void test_abort(void **state)
{
	struct seen seen = in_child(true, aborts, NULL);

	assert_true(WIFSIGNALED(seen.status));
	assert_int_equal(WTERMSIG(seen.status), SIGABRT);
	assert_false(WCOREDUMP(seen.status));
}

/* With all that libraries do at the end, and the leak checker where there is one. */
static int exits(void)
{
	exit(0);
}

static void test_exit(void **state)
{
	struct seen seen = in_child(true, exits, NULL);

	assert_int_equal(seen.status, 0);
}

/* The numbers of another architecture: on this one the same call is allowed. */
static long speaks_x32(void)
{
#ifdef __x86_64__
	return syscall(0x40000000 | SYS_getpid);
#else
	return kill(getpid(), SIGSYS);
#endif
}

static void test_other_architecture(void **state)
{
	struct seen seen = in_child(FILTER_WANTED, NULL, speaks_x32);

	if (FILTER_WANTED)
		assert_true(was_refused(&seen, SIGSYS));
}

/* --- what others see of such a process */

static void wait_inside(bool as_root, int ready, int go)
{
	struct seen seen;
	struct log log;
	char byte;

	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (!as_root && (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0))
		_exit(1);
	log_init(&log, -1);
	seen.entered = sandbox_enter(&log);
	if (write(ready, seen.entered ? "y" : "n", 1) != 1 || read(go, &byte, 1) != 0)
		_exit(1);
	_exit(0);
}

static unsigned long long field(pid_t pid, const char *name, int base)
{
	char text[4096], *line;

	assert_true(read_proc(pid, "status", text, sizeof(text)));
	line = strstr(text, name);
	assert_non_null(line);
	return strtoull(line + strlen(name), NULL, base);
}

static void check_process(pid_t pid)
{
	static const char *const sets[] = { "CapInh:", "CapPrm:", "CapEff:", "CapAmb:" };
	char limits[4096], soft[10], hard[10], path[64];
	struct stat st;

	for (size_t i = 0; i < array_size(sets); i++)
		assert_int_equal(field(pid, sets[i], 16), 0);
	assert_int_equal(field(pid, "NoNewPrivs:", 10), 1);
	assert_int_equal(field(pid, "Seccomp:", 10), FILTER_WANTED ? 2 : 0);
	assert_true(read_proc(pid, "limits", limits, sizeof(limits)));
	assert_true(sscanf(strstr(limits, "Max core file size"), "Max core file size %9s %9s", soft, hard) == 2);
	assert_string_equal(soft, "0");
	assert_string_equal(hard, "0");
	/* root's, whoever's the process is: it is not dumpable */
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 0);
}

static void test_from_outside(void **state)
{
	for (int as_root = 0; as_root < 2; as_root++) {
		int ready[2], go[2], status;
		char byte = 0;
		pid_t pid;

		assert_true(pipe2(ready, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			close_fd(&go[1]);
			wait_inside(as_root, ready[1], go[0]);
		}
		assert_int_equal(read(ready[0], &byte, 1), 1);
		assert_int_equal(byte, 'y');
		check_process(pid);
		for (size_t i = 0; i < 2; i++) {
			close_fd(&ready[i]);
			close_fd(&go[i]);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

/* What Landlock takes away is test-landlock.c's; here it counts that it was asked to. */
static void test_landlock(void **state)
{
	*entered_landlock = 0;
	assert_true(in_child(true, NULL, NULL).entered);
	assert_int_equal(*entered_landlock, landlock_abi() > 0);
}

/* What the kernel has and does not give is not done without. */
static void test_landlock_fails(void **state)
{
	struct seen seen;

	failing = LANDLOCK;
	seen = in_child(true, NULL, NULL);
	failing = NOTHING_FAILS;
	assert_int_equal(seen.entered, landlock_abi() == 0);
	assert_string_equal(seen.log, landlock_abi() ? "Landlock: Cannot allocate memory\n" : "");
}

static void test_capabilities_stay(void **state)
{
	struct seen seen;

	failing = CAPABILITIES;
	seen = in_child(true, NULL, NULL);
	failing = NOTHING_FAILS;
	assert_false(seen.entered);
	assert_int_equal(WEXITSTATUS(seen.status), 1);
}

static void test_description(void **state)
{
	char text[SANDBOX_TEXT_MAX], want[SANDBOX_TEXT_MAX];
	int abi = landlock_abi();

	snprintf(want, sizeof(want), "%s, %s%.0d", FILTER_WANTED ? "system call filter" : "no system call filter",
		 abi ? "Landlock ABI " : "no Landlock", abi);
	sandbox_describe(text);
	assert_string_equal(text, want);
}

/* --- the scene */

static int begin(void **state)
{
	_identity_ ca = make(.cn = "ca", .ca = true);
	_identity_ leaf = make(.cn = "leaf", .names = "DNS:host.example", .issuer = &ca);

	entered_landlock = mmap(NULL, sizeof(*entered_landlock), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(entered_landlock != MAP_FAILED);
	scene.nursery = nursery_start(&scene.keeper);
	assert_true(scene.nursery >= 0);
	scene.client = SSL_CTX_new(TLS_client_method());
	scene.server = server_ctx(&leaf, NULL);
	assert_true(scene.client && scene.server);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(scene.client), ca.cert);
	SSL_CTX_set_verify(scene.client, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_max_proto_version(scene.client, TLS1_2_VERSION);
	scene.file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	scene.tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	scene.page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(scene.file >= 0 && scene.tcp >= 0 && scene.page != MAP_FAILED);
	return 0;
}

static int end(void **state)
{
	SSL_CTX_free(scene.client);
	SSL_CTX_free(scene.server);
	close_fd(&scene.file);
	close_fd(&scene.tcp);
	munmap(scene.page, 4096);
	munmap(entered_landlock, sizeof(*entered_landlock));
	close_fd(&scene.nursery);
	waitpid(scene.keeper, NULL, 0);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_must_work),
		cmocka_unit_test(test_what_must_not),
		cmocka_unit_test(test_what_others_may),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_other_architecture),
		cmocka_unit_test(test_from_outside),
		cmocka_unit_test(test_landlock),
		cmocka_unit_test(test_landlock_fails),
		cmocka_unit_test(test_capabilities_stay),
		cmocka_unit_test(test_description),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
