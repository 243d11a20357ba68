/* SPDX-License-Identifier: MIT */
/*
 * ktlsd: arguments, configuration, listening socket, service. What is process-wide is done here and nowhere else: signal
 * dispositions, resource limits, dumpability.
 */
#include "daemon/args.h"
#include "daemon/endpoint.h"
#include "daemon/policy.h"
#include "daemon/privileges.h"
#include "daemon/server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

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

/* Every caller and every peer costs a descriptor. */
static bool prepare_process(struct log *log)
{
	struct rlimit files;

	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	return privileges_harden(log);
}

static bool tell(const char *fault)
{
	char safe[16384];	/* two paths and a sentence */

	proto_escape(safe, sizeof(safe), fault ? fault : "out of memory");
	fprintf(stderr, "%s\n", safe);
	return false;
}

static bool check_policy(const struct config_policy *config)
{
	_cleanup_(policy_deinit) struct policy policy = { 0 };
	_cleanup_free_ char *fault = NULL;

	return !config->where || policy_init(&policy, config, NULL, &fault) || tell(fault);
}

static bool check_store(const struct config_store *config)
{
	_cleanup_free_ char *fault = NULL;

	return !config->where || trust_check_store(config, &fault) || tell(fault);
}

/* What the parser cannot judge: policies as a whole, and files that are named. */
static bool check(const struct config *config)
{
	bool good = true;

	for (size_t i = 0; i < config->n_policies; i++)
		good &= check_policy(&config->policies[i]);
	for (size_t i = 0; i < config->n_stores; i++)
		good &= check_store(&config->stores[i]);
	return good;
}

static int serve(const struct config *config, const char *path, struct log *log)
{
	struct server server = { 0 };
	int fd = endpoint_open(path, log);
	int status = EXIT_FAILURE;

	if (fd < 0)
		return status;
	if (server_init(&server, config, log, fd)) {
		server_run(&server);
		status = EXIT_SUCCESS;
	}
	server_deinit(&server);
	return status;
}

int main(int argc, char **argv)
{
	_cleanup_(config_freep) struct config *config = NULL;
	_cleanup_(log_deinit) struct log log;
	struct args args;
	bool good;

	if (!fill_standard_streams())
		return EXIT_FAILURE;
	log_init(&log, STDERR_FILENO);
	if (!args_parse(&args, argc, argv))
		return args.exit_status;
	if (!prepare_process(&log))
		return EXIT_FAILURE;
	config = config_load(args.config, stderr, &good);
	if (!config || !check(config) || !good)
		return EXIT_FAILURE;
	if (args.check_config)
		return EXIT_SUCCESS;
	return serve(config, args.socket, &log);
}
