/* SPDX-License-Identifier: MIT */
#include "client/ctl.h"

#include <stdio.h>
#include <string.h>

/* The text of the errno behind a failure, unless the message has it already. */
static const char *failure_cause(const struct ktls *k)
{
	int err = ktls_get_errno(k);
	const char *name = err ? strerrorname_np(err) : NULL, *message = ktls_get_message(k);

	if (!err || strstr(message, strerror(err)) || (name && strstr(message, name)))
		return NULL;
	return strerror(err);
}

int ctl_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	perror("ktlsctl: stdout");
	return -1;
}

int ctl_failure(const struct ktls *k)
{
	enum ktls_status status = ktls_get_status(k);
	const char *parameter = ktls_get_parameter(k), *cause = failure_cause(k);

	if (status == KTLS_OK) {
		fprintf(stderr, "ktlsctl: no memory\n"); /* for the answer that came */
		return KTLS_WHO_INTERNAL;
	}
	fprintf(stderr, "ktlsctl: %s: ", ktls_get_stage(k));
	if (parameter && !strstr(ktls_get_message(k), parameter))
		fprintf(stderr, "%s: ", parameter);
	fprintf(stderr, "%s%s%s (%s)\n", ktls_get_message(k), cause ? ": " : "", cause ?: "",
		ktls_status_name(status));
	return ktls_get_retry(k) ? KTLS_WHO_RETRY : ktls_status_who(status);
}
