/* SPDX-License-Identifier: MIT */
#include "daemon/sandbox.h"

#include "daemon/landlock.h"
#include "daemon/privileges.h"
#include "daemon/sanitizer.h"
#include "proto/util.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

/* --- the table */

#define ARGUMENTS_MAX 3

/* One system call, with whatever arguments, or only with those that meet all conditions. */
struct rule {
	int call;
	unsigned int n;
	struct scmp_arg_cmp only[ARGUMENTS_MAX];
};

/* Of an argument that is an int the upper half of the register may hold anything. */
#define INT 0xffffffffULL

#define ANY(name) { SCMP_SYS(name), 0, { { 0 } } }
#define IS(argument, value) { argument, SCMP_CMP_MASKED_EQ, INT, value }
#define HAS_NOT(argument, bits) { argument, SCMP_CMP_MASKED_EQ, bits, 0 }
#define IF(name, condition) { SCMP_SYS(name), 1, { condition } }

/* socket(2) has flags in its second argument. */
#define TYPE (INT & ~(uint64_t)(SOCK_CLOEXEC | SOCK_NONBLOCK))
#define TCP(family)									\
	{ SCMP_SYS(socket), 3,								\
	  { IS(0, family), { 1, SCMP_CMP_MASKED_EQ, TYPE, SOCK_STREAM }, IS(2, IPPROTO_TCP) } }

/*
 * What workers need, found with strace under the scenarios; where a library may choose among
 * several, all of them. What is not here fails with EPERM rather than to end the process: a C
 * library that tries something new first must not cost anybody a request.
 */
static const struct rule allowed[] = {
	/* The loop: libev, and the set of the sockets that will be handed over (watch.c). */
	ANY(epoll_create1), ANY(epoll_ctl), ANY(epoll_wait), ANY(epoll_pwait), ANY(epoll_pwait2),
	ANY(poll), ANY(ppoll), ANY(eventfd2), ANY(pipe2), ANY(signalfd4),
	ANY(timerfd_create), ANY(timerfd_settime), ANY(timerfd_gettime),
	/* Connections to peers, and those on loopback by which the kernel is tried (kernel.c). */
	TCP(AF_INET), TCP(AF_INET6),
	ANY(bind), ANY(connect), ANY(getsockname), ANY(getpeername), ANY(shutdown),
	/* Levels at which nothing is said to a packet filter or a router. */
	IF(setsockopt, IS(1, SOL_SOCKET)), IF(getsockopt, IS(1, SOL_SOCKET)),
	IF(setsockopt, IS(1, IPPROTO_TCP)), IF(getsockopt, IS(1, IPPROTO_TCP)),
	IF(setsockopt, IS(1, SOL_TLS)), IF(getsockopt, IS(1, SOL_TLS)),
	/* A resolver is asked for by sending the nursery one end (nursery.c). Of this type, both are
	 * connected to each other for ever, so no other Unix socket can be reached by them. */
	{ SCMP_SYS(socketpair), 2,
	  { IS(0, AF_UNIX), IS(1, SOCK_SEQPACKET | SOCK_CLOEXEC) } },
	/* Bytes, and descriptors with them. writev() are the last words of the C library. */
	ANY(read), ANY(write), ANY(writev), ANY(close),
	ANY(sendto), ANY(recvfrom), ANY(sendmsg), ANY(recvmsg),
	IF(ioctl, IS(1, FIONREAD)), IF(ioctl, IS(1, TIOCOUTQ)),
	/* Without F_SETOWN, which sends signals. */
	IF(fcntl, IS(1, F_GETFD)), IF(fcntl, IS(1, F_SETFD)),
	IF(fcntl, IS(1, F_GETFL)), IF(fcntl, IS(1, F_SETFL)),
	/* Memory, but none that can be made code. */
	IF(mmap, HAS_NOT(2, PROT_EXEC)), IF(mprotect, HAS_NOT(2, PROT_EXEC)),
	ANY(brk), ANY(munmap), ANY(mremap), ANY(madvise),
	/* By these the C library finds out how to use it: malloc() and, for long arrays, qsort(). */
	ANY(sched_getaffinity), ANY(sysinfo),
	/* Time, where the kernel has not mapped it, and how little of it there is (hurry.c). */
	ANY(clock_gettime), ANY(clock_getres), ANY(gettimeofday), ANY(time), ANY(setitimer),
	ANY(rt_sigaction), ANY(rt_sigprocmask), ANY(rt_sigreturn), ANY(restart_syscall),
	/* OpenSSL: random numbers, the process whose they are, and its locks. */
	ANY(getrandom), ANY(getpid), ANY(gettid), ANY(futex), ANY(sched_yield), ANY(uname),
	/* The end. abort() has a rule of its own: signals only to this process. */
	ANY(exit), ANY(exit_group),
};

/* Nobody who is in his right mind asks for these here: who does has taken the process over. */
static const int deadly[] = {
	/* programs and processes */
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(clone),
	SCMP_SYS(clone3),
	/* those of others, and their memory */
	SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
	SCMP_SYS(process_madvise), SCMP_SYS(pidfd_getfd), SCMP_SYS(kcmp),
	/* files without a path to them */
	SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at),
	/* another view of the system, or a way to it */
	SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root),
	SCMP_SYS(chroot), SCMP_SYS(open_tree), SCMP_SYS(move_mount), SCMP_SYS(fsopen),
	/* the kernel itself, and what has been of help against it before */
	SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load), SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd),
	SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl),
};

/* --- the filter */

static void filter_free(scmp_filter_ctx *filter)
{
	if (*filter)
		seccomp_release(*filter);
}

/*
 * Asked of the kernel itself: valgrind does not know this call, and libseccomp would fall back to
 * prctl(2), which valgrind passes on, and then it were valgrind that is confined.
 */
static bool has_filters(void)
{
	const uint32_t action = SCMP_ACT_KILL_PROCESS;

	return !ADDRESS_SANITIZER &&
	       syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static int forbid(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; i < array_size(deadly) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
	return r;
}

static int allow(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp to_itself = IS(0, (uint32_t)getpid());
	int r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &to_itself);

	for (size_t i = 0; i < array_size(allowed) && r == 0; i++)
		r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, allowed[i].call, allowed[i].n,
					   allowed[i].only);
	return r;
}

/* System calls of another architecture have other numbers. */
static int filter_calls(void)
{
	_cleanup_(filter_free) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = filter ? 0 : -ENOMEM;

	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = forbid(filter);
	if (r == 0)
		r = allow(filter);
	return r ? r : seccomp_load(filter);
}

/* --- all of it */

/* Files that the C library would open only when they are needed, and then cannot. */
static void warm_up(void)
{
	/* strftime(3) looks the local time zone up, also to write a time of another one, and each
	 * time anew unless TZ says it. No time that ktlsd writes is local. */
	setenv("TZ", "UTC0", 1);
	tzset();
}

/* The last step: it takes away what the others need. What the kernel has and does not give, for want
 * of memory for example, is no reason to do without it. */
bool sandbox_enter(struct log *log)
{
	int r;

	if (!privileges_harden(log) || !privileges_drop_capabilities(log))
		return false;
	warm_up();
	r = landlock_abi() ? landlock_enter() : 0;
	if (r < 0) {
		log_line(log, LOG_ERR, "Landlock: %s", strerror(-r));
		return false;
	}
	r = has_filters() ? filter_calls() : 0;
	if (r < 0)
		log_line(log, LOG_ERR, "system call filter: %s", strerror(-r));
	return r == 0;
}

void sandbox_describe(char text[static SANDBOX_TEXT_MAX])
{
	int abi = landlock_abi();

	snprintf(text, SANDBOX_TEXT_MAX, "%ssystem call filter, %s", has_filters() ? "" : "no ",
		 abi ? "Landlock ABI " : "no Landlock");
	if (abi)
		snprintf(text + strlen(text), SANDBOX_TEXT_MAX - strlen(text), "%d", abi);
}
