/* SPDX-License-Identifier: MIT */
#include "client/ctl.h"
#include "client/ctl-relay.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int set_stdio(struct ctl *ctl, const char *value)
{
	ctl->stdio = true;
	return 0;
}

static int set_verbose(struct ctl *ctl, const char *value)
{
	ctl->verbose = true;
	return 0;
}

static const struct ctl_option options[] = {
	{ .name = "stdio", .set = set_stdio,
	  .sentence = "the socket is the command's stdin and stdout too" },
	{ .name = "verbose", .letter = 'v', .set = set_verbose,
	  .sentence = "show the facts of the session, or more of a failure, on stderr" },
};

static const struct ctl_syntax syntax = {
	options, sizeof(options) / sizeof(*options), ctl_set_target, &ctl_request_syntax,
};

static void print_session(const struct ktls *k)
{
	static const struct {
		const char *name;
		const char *(*get)(const struct ktls *k);
	} facts[] = {
		{ "address", ktls_get_address },
		{ "version", ktls_get_tls_version },
		{ "cipher", ktls_get_cipher },
		{ "kernel cipher", ktls_get_kernel_cipher },
		{ "group", ktls_get_group },
		{ "alpn", ktls_get_alpn },
		{ "verified by", ktls_get_verified_by },
		{ "subject", ktls_get_peer_subject },
		{ "not after", ktls_get_peer_not_after },
		{ "cert-sha256", ktls_get_peer_cert_sha256 },
		{ "spki-sha256", ktls_get_peer_spki_sha256 },
	};
	static const char *const timings[] = { "resolve", "connect", "handshake", "install",
					       "total" };

	for (size_t i = 0; i < sizeof(facts) / sizeof(*facts); i++)
		fprintf(stderr, "ktlsctl: %s: %s\n", facts[i].name, facts[i].get(k) ?: "-");
	fprintf(stderr, "ktlsctl: resumed: %s\n", ktls_get_resumed(k) ? "yes" : "no");
	for (size_t i = 0; i < sizeof(timings) / sizeof(*timings); i++)
		fprintf(stderr, "ktlsctl: %s: %.3f ms\n", timings[i],
			ktls_get_timing(k, (enum ktls_timing)i) / 1000.0);
}

static void print_failure_details(const struct ktls *k)
{
	static const struct {
		const char *name;
		const char *(*get)(const struct ktls *k);
	} details[] = { { "parameter", ktls_get_parameter },
			{ "alert", ktls_get_alert },
			{ "x509", ktls_get_x509 } };

	for (size_t i = 0; i < sizeof(details) / sizeof(*details); i++)
		if (details[i].get(k))
			fprintf(stderr, "ktlsctl: %s: %s\n", details[i].name, details[i].get(k));
	if (ktls_get_errno(k))
		fprintf(stderr, "ktlsctl: errno: %s\n", strerrorname_np(ktls_get_errno(k)) ?: "?");
	fprintf(stderr, "ktlsctl: retry: %s\n", ktls_get_retry(k) ? "yes" : "no");
}

static int relay(int sock)
{
	struct relay relay;
	int status;

	signal(SIGPIPE, SIG_IGN);
	relay_init(&relay, sock, STDIN_FILENO, STDOUT_FILENO);
	status = relay_run(&relay);
	if (status)
		fprintf(stderr, "ktlsctl: %s\n", relay.message);
	return status;
}

static int connect_and_go(struct ctl *ctl)
{
	int sock, status;

	if (ctl_ask_target(ctl) != 0)
		return KTLS_WHO_CALLER;
	sock = ktls_connect(ctl->k);
	if (sock < 0) {
		status = ctl_failure(ctl);
		if (ctl->verbose)
			print_failure_details(ctl->k);
		return status;
	}
	if (ctl->verbose)
		print_session(ctl->k);
	status = *ctl->command ? ctl_exec(ctl, sock) : relay(sock);
	close(sock);
	return status;
}

static int run(struct ctl *ctl)
{
	if (!ctl->target)
		return ctl_usage("connect takes HOST:PORT; try `ktlsctl connect --help`");
	if (ctl->stdio && !*ctl->command)
		return ctl_usage("--stdio is for a command, which follows --");
	return connect_and_go(ctl);
}

const struct ctl_command ctl_connect = {
	.name = "connect",
	.operands = "HOST:PORT",
	.sentence = "get a connection under kernel TLS, and relay it or hand it to a command",
	.about = "Relays stdin and stdout, or runs COMMAND with the socket as descriptor 3.",
	.syntax = &syntax,
	.run = run,
	.runs_another = true,
};
