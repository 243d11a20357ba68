/* SPDX-License-Identifier: MIT */
/*
 * usage: load SOCKET HOST PORT TRUST NAME WARMUP COUNT PID...
 *
 * Asks ktlsd at SOCKET for one connection after the other. TRUST is the path of a CA file, whose
 * text each request then brings along, or the name of a store. Measured are the time from making
 * the request to having its socket, and the processor time of this process and of each PID.
 */
#include "client/ktls.h"
#include "proto/util.h"
#include "tests/bench/measure.h"

#include <string.h>

#define PIDS_MAX 16

struct watched {
	clockid_t clock;
	const char *pid;
	uint64_t since;
};

struct load {
	const char *socket, *host, *trust, *name;
	unsigned int port;
	struct watched watched[1 + PIDS_MAX];	/* this process first */
	size_t n_watched;
};

static bool watch(struct load *load, char **pids)
{
	load->watched[load->n_watched++] = (struct watched){ CLOCK_PROCESS_CPUTIME_ID, "load", 0 };
	for (; *pids && load->n_watched < array_size(load->watched); pids++) {
		struct watched *w = &load->watched[load->n_watched++];

		w->pid = *pids;
		if (clock_getcpuclockid((pid_t)strtol(*pids, NULL, 10), &w->clock) != 0)
			return false;
	}
	return !*pids;
}

static bool set(const struct load *load, struct ktls *k)
{
	int (*set_trust)(struct ktls *, const char *) =
		load->trust[0] == '/' ? ktls_set_ca_file : ktls_set_store;

	return k && !ktls_set_socket(k, load->socket) && !ktls_set_host(k, load->host) &&
	       !ktls_set_port(k, load->port) && !set_trust(k, load->trust) &&
	       !ktls_set_name(k, load->name) && !ktls_set_server_name(k, load->name);
}

static int tls_socket(const struct load *load)
{
	struct ktls *k = ktls_new();
	int fd = -1;

	if (!set(load, k))
		perror("load");
	else
		fd = ktls_connect(k);
	if (k && fd < 0)
		fprintf(stderr, "load: %s: %s\n", ktls_status_name(ktls_get_status(k)),
			ktls_get_message(k));
	ktls_free(k);
	return fd;
}

static int run(struct load *load, struct measure *m)
{
	while (measure_more(m)) {
		_cleanup_fd_ int fd = -1;

		for (size_t i = 0; measure_is_first(m) && i < load->n_watched; i++)
			load->watched[i].since = measure_clock(load->watched[i].clock);
		measure_begin(m);
		fd = tls_socket(load);
		if (fd < 0)
			return EXIT_FAILURE;
		measure_end(m);
	}
	for (size_t i = 0; i < load->n_watched; i++)
		measure_print_cpu(load->watched[i].pid, measure_clock(load->watched[i].clock) -
				  load->watched[i].since);
	measure_print_latencies(m);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	_cleanup_(measure_deinit) struct measure m = { 0 };
	struct load load = { 0 };

	if (argc < 8 || !measure_init(&m, argv[6], argv[7]) || !watch(&load, argv + 8)) {
		fprintf(stderr, "usage: load SOCKET HOST PORT TRUST NAME WARMUP COUNT PID...\n");
		return EXIT_FAILURE;
	}
	load.socket = argv[1];
	load.host = argv[2];
	load.port = (unsigned int)strtoul(argv[3], NULL, 10);
	load.trust = argv[4];
	load.name = argv[5];
	return run(&load, &m);
}
