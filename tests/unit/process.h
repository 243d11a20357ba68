/* SPDX-License-Identifier: MIT */
/* Other processes: whose children they are, what they have open, that they end. */
#pragma once

#include "tests/unit/loop.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

static inline bool read_proc(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	size_t n;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	file = fopen(path, "re");
	if (!file)
		return false;
	n = fread(text, 1, size - 1, file);
	text[n] = '\0';
	fclose(file);
	return true;
}

/* Its parent, or 0 if it does not live any more. */
static inline pid_t parent_of(pid_t pid)
{
	char text[512], state;
	const char *end;
	int parent;

	if (!read_proc(pid, "stat", text, sizeof(text)))
		return 0;
	end = strrchr(text, ')');
	if (!end || sscanf(end + 1, " %c %d", &state, &parent) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : parent;
}

static inline size_t children_of(pid_t parent, pid_t *children, size_t max)
{
	DIR *directory = opendir("/proc");
	const struct dirent *entry;
	size_t n = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory))) {
		pid_t pid = atoi(entry->d_name);

		if (pid > 0 && parent_of(pid) == parent && n < max)
			children[n++] = pid;
	}
	closedir(directory);
	return n;
}

/* Whether it ends, soon. */
static inline bool ends(pid_t pid)
{
	uint64_t end = clock_us() + (uint64_t)(PATIENCE * 1e6);

	while (parent_of(pid) && clock_us() < end)
		sched_yield();
	return !parent_of(pid);
}

/* The program's: valgrind has its own above the limit that it tells the program. */
static inline size_t descriptors_of(pid_t pid)
{
	char path[64];
	DIR *directory;
	size_t n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	directory = opendir(path);
	assert_non_null(directory);
	for (const struct dirent *entry; (entry = readdir(directory));)
		n += entry->d_name[0] != '.' && atoi(entry->d_name) < sysconf(_SC_OPEN_MAX);
	closedir(directory);
	return n;
}

/* A mask of /proc/PID/status: "SigIgn", "SigBlk", "SigCgt". */
static inline bool has_signal(pid_t pid, const char *mask, int number)
{
	char text[4096], *line;
	unsigned long long bits;

	assert_true(read_proc(pid, "status", text, sizeof(text)));
	line = strstr(text, mask);
	assert_non_null(line);
	assert_int_equal(sscanf(line + strlen(mask), ": %llx", &bits), 1);
	return bits >> (number - 1) & 1;
}
