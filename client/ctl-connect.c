/* SPDX-License-Identifier: MIT */
#include "client/ctl.h"
#include "client/ctl-relay.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOST_MAX 255 /* more than any host has, for the library to refuse */

static int invalid(void)
{
	errno = EINVAL;
	return -1;
}

struct word {
	const char *text;
	int number;
};

/* The number of a word in a list that ends with NULL; -1 with errno. */
static int word_number(const struct word *words, const char *text)
{
	for (; words->text; words++)
		if (strcmp(words->text, text) == 0)
			return words->number;
	return invalid();
}

static int ask_verify(struct ktls *k, const char *value)
{
	static const struct word words[] = {
		{ "full", KTLS_VERIFY_FULL },
		{ "chain", KTLS_VERIFY_CHAIN },
		{ "none", KTLS_VERIFY_NONE },
		{ NULL, 0 },
	};
	int number = word_number(words, value);

	return number < 0 ? -1 : ktls_set_verify(k, (enum ktls_verify)number);
}

static int ask_io(struct ktls *k, const char *value)
{
	static const struct word words[] = { { "plain", KTLS_IO_PLAIN },
					     { "aware", KTLS_IO_AWARE },
					     { NULL, 0 } };
	int number = word_number(words, value);

	return number < 0 ? -1 : ktls_set_io(k, (enum ktls_io)number);
}

static const struct word tls_versions[] = { { "1.2", KTLS_TLS_1_2 },
					    { "1.3", KTLS_TLS_1_3 },
					    { NULL, 0 } };

static int ask_min_version(struct ktls *k, const char *value)
{
	int number = word_number(tls_versions, value);

	return number < 0 ? -1 : ktls_set_min_version(k, (enum ktls_tls)number);
}

static int ask_max_version(struct ktls *k, const char *value)
{
	int number = word_number(tls_versions, value);

	return number < 0 ? -1 : ktls_set_max_version(k, (enum ktls_tls)number);
}

static int ask_timeout(struct ktls *k, const char *value)
{
	char *end;
	double seconds;

	if (!*value || value[strspn(value, "0123456789.")])
		return invalid();
	seconds = strtod(value, &end);
	if (*end || seconds < 0.001 || seconds > 3600)
		return invalid();
	return ktls_set_timeout(k, (unsigned int)(seconds * 1000 + 0.5));
}

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

static int set_help(struct ctl *ctl, const char *value)
{
	ctl->help = true;
	return 0;
}

static int set_target(struct ctl *ctl, const char *value)
{
	if (ctl->target) {
		ctl_usage("%s: one HOST:PORT only; a command follows --", value);
		return -1;
	}
	ctl->target = value;
	return 0;
}

#define PIN "cert-sha256:HEX or spki-sha256:HEX of 64 digits, at most 16 times"
#define LIST "OpenSSL's syntax, at most 1024 bytes"

static const struct ctl_option options[] = {
	{ "ca", 0, "FILE", ktls_set_ca_file, NULL, "trust the CA certificates of this PEM file",
	  "a file with PEM certificates" },
	{ "store", 0, "NAME", ktls_set_store, NULL,
	  "trust a store of ktlsd's configuration (system)", "a name" },
	{ "pin", 0, "PIN", ktls_add_pin, NULL, "accept this certificate or key; may be repeated",
	  PIN },
	{ "name", 0, "NAME", ktls_set_name, NULL, "the name that the certificate must carry (HOST)",
	  "a name or address" },
	{ "verify", 0, "WHAT", ask_verify, NULL, "full (chain and name), chain or none",
	  "full, chain or none" },
	{ "server-name", 0, "NAME", ktls_set_server_name, NULL,
	  "the name sent in the handshake (HOST)", "a name" },
	{ "alpn", 0, "PROTOCOL", ktls_add_alpn, NULL,
	  "offer this protocol; may be repeated, best first",
	  "a protocol of 1 to 255 bytes, at most 16 times" },
	{ "policy", 0, "NAME", ktls_set_policy, NULL, "a policy of ktlsd's configuration",
	  "a name" },
	{ "min-version", 0, "VERSION", ask_min_version, NULL, "1.2 or 1.3", "1.2 or 1.3" },
	{ "max-version", 0, "VERSION", ask_max_version, NULL, "1.2 or 1.3", "1.2 or 1.3" },
	{ "ciphers", 0, "LIST", ktls_set_ciphers, NULL, "narrow the ciphers of TLS 1.2", LIST },
	{ "ciphersuites", 0, "LIST", ktls_set_ciphersuites, NULL, "narrow the ciphers of TLS 1.3",
	  LIST },
	{ "groups", 0, "LIST", ktls_set_groups, NULL,
	  "narrow the groups (curves) of the key exchange", LIST },
	{ "signature-algorithms", 0, "LIST", ktls_set_signature_algorithms, NULL,
	  "narrow the signature algorithms", LIST },
	{ "io", 0, "HOW", ask_io, NULL, "plain or aware: what the command does with the socket",
	  "plain or aware" },
	{ "timeout", 0, "SECONDS", ask_timeout, NULL, "how long ktlsd may take for it all (20)",
	  "0.001 to 120 seconds" },
	{ "stdio", 0, NULL, NULL, set_stdio, "the socket is the command's stdin and stdout too",
	  NULL },
	{ "verbose", 'v', NULL, NULL, set_verbose,
	  "show the facts of the session, or more of a failure, on stderr", NULL },
	{ "help", 'h', NULL, NULL, set_help, "show this", NULL },
};

static const struct ctl_syntax syntax = { options, sizeof(options) / sizeof(*options), set_target };

static int print_help(void)
{
	printf("Usage: ktlsctl [--socket PATH] connect HOST:PORT [OPTION...] [-- COMMAND...]\n\n"
	       "Relays stdin and stdout, or runs COMMAND with the socket as descriptor 3.\n\n");
	ctl_print_options(&syntax);
	return fflush(stdout) ? KTLS_WHO_CALLER : KTLS_WHO_NOBODY;
}

/* The host's part of HOST:PORT or [HOST]:PORT, which goes to host. NULL: it is neither. */
static const char *split_target(const char *target, char host[static HOST_MAX + 1])
{
	const char *colon = strrchr(target, ':'), *from = target, *to = colon;

	if (!colon)
		return NULL;
	if (*target == '[') {
		from++;
		to--;
	}
	if (to <= from || to - from > HOST_MAX || (from != target && *to != ']'))
		return NULL;
	if (from == target && memchr(from, ':', to - from))
		return NULL;
	*(char *)mempcpy(host, from, to - from) = '\0';
	return colon + 1;
}

static int ask_port(struct ktls *k, const char *text)
{
	if (!*text || strlen(text) > 5 || text[strspn(text, "0123456789")] || atoi(text) == 0)
		return invalid();
	return ktls_set_port(k, atoi(text));
}

static int ask_target(struct ctl *ctl)
{
	char host[HOST_MAX + 1];
	const char *port = split_target(ctl->target, host);

	if (!port)
		return ctl_usage("%s: takes HOST:PORT, an IPv6 address as [ADDRESS]:PORT",
				 ctl->target);
	if (ktls_set_host(ctl->k, host) < 0)
		return ctl_usage("%s: no host name and no address", host);
	if (ask_port(ctl->k, port) < 0)
		return ctl_usage("%s: a port is a number from 1 to 65535", port);
	if (ktls_set_socket(ctl->k, ctl->socket) < 0)
		return ctl_usage("--socket %s: %s", ctl->socket, strerror(errno));
	return 0;
}

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

/* The text of the errno behind a failure, unless the message has it already. */
static const char *failure_cause(const struct ktls *k)
{
	int err = ktls_get_errno(k);
	const char *name = err ? strerrorname_np(err) : NULL, *message = ktls_get_message(k);

	if (!err || strstr(message, strerror(err)) || (name && strstr(message, name)))
		return NULL;
	return strerror(err);
}

int ctl_failure(const struct ktls *k)
{
	enum ktls_status status = ktls_get_status(k);
	const char *parameter = ktls_get_parameter(k), *cause = failure_cause(k);

	fprintf(stderr, "ktlsctl: %s: ", ktls_get_stage(k));
	if (parameter && !strstr(ktls_get_message(k), parameter))
		fprintf(stderr, "%s: ", parameter);
	fprintf(stderr, "%s%s%s (%s)\n", ktls_get_message(k), cause ? ": " : "", cause ?: "",
		ktls_status_name(status));
	return ktls_get_retry(k) ? KTLS_WHO_RETRY : ktls_status_who(status);
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

	if (ask_target(ctl) != 0)
		return KTLS_WHO_CALLER;
	sock = ktls_connect(ctl->k);
	if (sock < 0) {
		status = ctl_failure(ctl->k);
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

static int parsed(struct ctl *ctl, int argc, char **argv)
{
	if (ctl_parse(ctl, &syntax, argc, argv) < 0)
		return KTLS_WHO_CALLER;
	if (ctl->help)
		return print_help();
	if (!ctl->target)
		return ctl_usage("connect takes HOST:PORT; try `ktlsctl connect --help`");
	if (ctl->stdio && !*ctl->command)
		return ctl_usage("--stdio is for a command, which follows --");
	return connect_and_go(ctl);
}

int ctl_connect(struct ctl *ctl, int argc, char **argv)
{
	int status;

	ctl->k = ktls_new();
	if (!ctl->k) {
		fprintf(stderr, "ktlsctl: request: %s (%s)\n", strerror(errno),
			ktls_status_name(KTLS_LOCAL));
		return KTLS_WHO_INTERNAL;
	}
	status = parsed(ctl, argc, argv);
	ctl->k = ktls_free(ctl->k);
	return status;
}
