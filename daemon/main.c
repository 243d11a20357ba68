/* SPDX-License-Identifier: MIT */
/*
 * ktlsd: arguments, configuration, listening socket, service. What is process-wide is done here and nowhere else: signal
 * dispositions, resource limits, dumpability, libev's memory.
 */
#include "daemon/args.h"
#include "daemon/endpoint.h"
#include "daemon/privileges.h"
#include "daemon/supervisor.h"

#include <ev.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

/* How long memory for an event loop is waited for, and how often it is asked for. Shorter than what a
 * worker has to answer (minder.h). */
#define LOOP_PATIENCE_MS 2000
#define LOOP_REST_MS 20

/* A caller's connection must never become what somebody's library takes for stderr. False: not even /dev/null can be opened. */
static bool fill_standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Where there is no memory libev ends the process. Ours waits for some first: it takes next to nothing, and
 * the supervisor is not to be lost for a moment's want. */
static void *allocate_for_loop(void *block, long size)
{
	void *made = size ? realloc(block, (size_t)size) : NULL;

	for (int n = 0; size && !made && n < LOOP_PATIENCE_MS; n += LOOP_REST_MS) {
		poll(NULL, 0, LOOP_REST_MS);
		made = realloc(block, (size_t)size);
	}
	if (!size)
		free(block);
	return made;
}

/* Every caller and every peer costs a descriptor. */
static bool prepare_process(struct log *log)
{
	struct rlimit files;

	signal(SIGPIPE, SIG_IGN);
	ev_set_allocator(allocate_for_loop);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	return privileges_harden(log);
}

/* Sockets from a service manager stay when the service ends, and it is started anew. */
static bool is_managed(void)
{
	return getenv("LISTEN_FDS") && getenv("NOTIFY_SOCKET");
}

/* Takes over setup. */
static int serve(struct setup *setup, const struct args *args, struct log *log)
{
	_cleanup_(supervisor_deinit) struct supervisor supervisor;
	bool managed = is_managed();
	int fd = endpoint_open(args->socket, log);

	if (!supervisor_init(&supervisor, setup, args->config, log, fd, managed) ||
	    !supervisor_run(&supervisor))
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	_cleanup_(log_deinit) struct log log;
	struct setup *setup;
	struct args args;

	if (!fill_standard_streams())
		return dprintf(STDERR_FILENO, "/dev/null cannot be opened: %m\n"), EXIT_FAILURE;
	log_init(&log, STDERR_FILENO);
	if (!args_parse(&args, argc, argv))
		return args.exit_status;
	if (!prepare_process(&log))
		return EXIT_FAILURE;
	setup = setup_load(args.config, args.check_config, stderr);
	if (!setup)
		return EXIT_FAILURE;
	if (args.check_config)
		return setup_free(setup), EXIT_SUCCESS;
	return serve(setup, &args, &log);
}
