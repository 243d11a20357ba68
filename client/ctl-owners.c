/* SPDX-License-Identifier: MIT */
#include "client/ctl-owners.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_SIZE 64 /* a kernel thread's is the longest */
#define DECIMAL "0123456789"

/* The sockets that are looked for, by their inodes. */
struct wanted {
	int64_t inode;
	struct json_object *processes;
};

struct search {
	struct wanted *wanted;
	size_t n;
	int proc;
	bool hidden;
};

static int compare_wanted(const void *a, const void *b)
{
	const struct wanted *left = a, *right = b;

	return (left->inode > right->inode) - (left->inode < right->inode);
}

static int compare_pids(const void *a, const void *b)
{
	struct json_object *left = json_object_object_get(*(struct json_object *const *)a, "pid"),
			   *right = json_object_object_get(*(struct json_object *const *)b, "pid");

	return json_object_get_int(left) - json_object_get_int(right);
}

static void search_init(struct search *search, struct json_object *sockets)
{
	search->n = json_object_array_length(sockets);
	search->wanted = calloc(search->n + 1, sizeof(*search->wanted));
	if (!search->wanted)
		abort();
	for (size_t i = 0; i < search->n; i++) {
		struct json_object *socket = json_object_array_get_idx(sockets, i);
		struct wanted *wanted = &search->wanted[i];

		wanted->inode = json_object_get_int64(json_object_object_get(socket, "inode"));
		wanted->processes = json_object_new_array();
		json_object_object_add(socket, "processes", wanted->processes);
	}
	qsort(search->wanted, search->n, sizeof(*search->wanted), compare_wanted);
}

/* Not above 0: the link is no socket's. */
static int64_t socket_inode(const char *link)
{
	static const char prefix[] = "socket:[";
	long long inode;
	char *end;

	if (strncmp(link, prefix, sizeof(prefix) - 1) != 0)
		return -1;
	link += sizeof(prefix) - 1;
	inode = strtoll(link, &end, 10);
	return strcmp(end, "]") == 0 ? inode : -1;
}

/* false: it has ended meanwhile. */
static bool read_command(int proc, const char *pid, char command[static COMMAND_SIZE])
{
	char path[32 + NAME_MAX];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/comm", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	n = read(fd, command, COMMAND_SIZE - 1);
	close(fd);
	if (n <= 0)
		return false;
	command[n] = '\0';
	command[strcspn(command, "\n")] = '\0';
	for (char *c = command; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return true;
}

/* Several descriptors of a process may be one socket. */
static bool is_listed(struct json_object *processes, int pid)
{
	size_t n = json_object_array_length(processes);
	struct json_object *last = n ? json_object_array_get_idx(processes, n - 1) : NULL;

	return last && json_object_get_int(json_object_object_get(last, "pid")) == pid;
}

static void add_owner(struct search *search, struct json_object *processes, const char *pid)
{
	struct json_object *process;
	char command[COMMAND_SIZE];

	if (json_object_array_length(processes) >= OWNERS_MAX || is_listed(processes, atoi(pid)) ||
	    !read_command(search->proc, pid, command))
		return;
	process = json_object_new_object();
	json_object_object_add(process, "pid", json_object_new_int(atoi(pid)));
	json_object_object_add(process, "command", json_object_new_string(command));
	json_object_array_add(processes, process);
}

static void note_failure(struct search *search)
{
	if (errno != ENOENT && errno != ESRCH)
		search->hidden = true;
}

static void look_at_descriptor(struct search *search, const char *pid, int directory, const char *name)
{
	struct wanted key = { 0 }, *found;
	char link[64];
	ssize_t n = readlinkat(directory, name, link, sizeof(link) - 1);

	if (n < 0) {
		note_failure(search);
		return;
	}
	link[n] = '\0';
	key.inode = socket_inode(link);
	if (key.inode <= 0)
		return;
	found = bsearch(&key, search->wanted, search->n, sizeof(key), compare_wanted);
	if (found)
		add_owner(search, found->processes, pid);
}

static DIR *open_directory(int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);

	if (!directory && fd >= 0)
		close(fd);
	return directory;
}

static void look_at_process(struct search *search, const char *pid)
{
	char path[32 + NAME_MAX];
	struct dirent *entry;
	DIR *directory;

	snprintf(path, sizeof(path), "%s/fd", pid);
	directory = open_directory(search->proc, path);
	if (!directory) {
		note_failure(search);
		return;
	}
	while ((entry = readdir(directory)))
		if (*entry->d_name != '.')
			look_at_descriptor(search, pid, dirfd(directory), entry->d_name);
	closedir(directory);
}

static bool is_process(const char *name)
{
	size_t n = strspn(name, DECIMAL);

	return n > 0 && n < 10 && !name[n];
}

/* Process 1 is always there. Where it is not to be seen, others are not (hidepid=2 of proc(5)). */
static bool hides_processes(int proc)
{
	return faccessat(proc, "1", F_OK, 0) < 0;
}

int owners_add(struct json_object *sockets, const char *proc, bool *hidden)
{
	DIR *directory = open_directory(AT_FDCWD, proc);
	struct search search = { 0 };
	struct dirent *entry;

	if (!directory)
		return -errno;
	search_init(&search, sockets);
	search.proc = dirfd(directory);
	search.hidden = search.n > 0 && hides_processes(search.proc);
	while (search.n > 0 && (entry = readdir(directory)))
		if (is_process(entry->d_name))
			look_at_process(&search, entry->d_name);
	for (size_t i = 0; i < search.n; i++)
		json_object_array_sort(search.wanted[i].processes, compare_pids);
	*hidden = search.hidden;
	free(search.wanted);
	closedir(directory);
	return 0;
}
