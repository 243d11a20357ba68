/* SPDX-License-Identifier: MIT */
#include "client/ctl-configuration.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 1500
#define OUTPUT_MAX 16384

/* From the directory of ktlsctl: as installed, and as built. */
static const char *const places[] = { "../sbin/ktlsd", "ktlsd" };

static bool find_ktlsd(char *path, size_t size)
{
	char own[512];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own));
	const char *slash = n < 0 ? NULL : memrchr(own, '/', (size_t)n);

	for (size_t i = 0; slash && i < sizeof(places) / sizeof(*places); i++) {
		snprintf(path, size, "%.*s/%s", (int)(slash - own), own, places[i]);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* Its pid, or -1. What it says comes out of *from. */
static pid_t spawn_check(const char *path, int *from)
{
	char name[] = "ktlsd", option[] = "--check-config";
	char *const words[] = { name, option, NULL }, *const environment[] = { NULL };
	posix_spawn_file_actions_t actions;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&actions, 0, 1);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
	if (posix_spawn(&pid, path, &actions, NULL, words, environment) != 0)
		pid = -1;
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	*from = ends[0];
	return pid;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* Whether all of it came in time; what there is no room for is not kept. */
static bool read_all(int fd, char text[static OUTPUT_MAX])
{
	int64_t until = now_ms() + PATIENCE_MS, left;
	char rest[512];
	size_t size = 0;
	ssize_t n;

	*text = '\0';
	while ((left = until - now_ms()) > 0) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		bool room = size < OUTPUT_MAX - 1;

		if (poll(&ready, 1, (int)left) <= 0)
			continue;
		n = read(fd, room ? text + size : rest, room ? OUTPUT_MAX - 1 - size : sizeof(rest));
		if (n <= 0)
			return n == 0;
		size += room ? (size_t)n : 0;
		text[size] = '\0';
	}
	return false;
}

/* Each line of its output is a fault. */
static void take(struct configuration *configuration, char *text)
{
	char *rest = NULL;

	configuration->state = CONFIGURATION_FAULTY;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (configuration->faults++ == 0)
			snprintf(configuration->first, sizeof(configuration->first), "%s", line);
		if (strstr(line, strerror(EACCES)) && geteuid() != 0)
			configuration->state = CONFIGURATION_UNREADABLE;
	}
}

void configuration_check(struct configuration *configuration)
{
	char path[1024], text[OUTPUT_MAX];
	int from = -1, status;
	bool ended;
	pid_t pid;

	*configuration = (struct configuration){ .state = CONFIGURATION_UNCHECKED };
	signal(SIGCHLD, SIG_DFL); /* else nobody is told how it ended */
	if (!find_ktlsd(path, sizeof(path)) || (pid = spawn_check(path, &from)) < 0) {
		if (from >= 0)
			close(from);
		return;
	}
	ended = read_all(from, text);
	close(from);
	if (!ended)
		kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) < 0 || !ended || !WIFEXITED(status))
		return;
	if (WEXITSTATUS(status) == 0)
		configuration->state = CONFIGURATION_GOOD;
	else if (WEXITSTATUS(status) == 1)
		take(configuration, text);
}
