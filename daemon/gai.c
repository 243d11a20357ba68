/* SPDX-License-Identifier: MIT */
#include "daemon/gai.h"

#include <netdb.h>
#include <string.h>

void gai_explain(const struct lookup *lookup, struct proto_status *status)
{
	int gai = lookup->gai_error, error = gai == EAI_SYSTEM ? lookup->sys_errno : 0;

	if (lookup->lost)
		proto_status_set(status, PROTO_INTERNAL_ERROR, PROTO_STAGE_RESOLVE, error,
				 "the process that looked up %s gave no answer: %s", lookup->host,
				 strerror(error));
	else
		proto_status_set(status, PROTO_RESOLVE_FAILED, PROTO_STAGE_RESOLVE, error,
				 "%s: %s", lookup->host,
				 error ? strerror(error) : gai_strerror(gai));
	status->retry = gai == EAI_AGAIN || gai == EAI_SYSTEM || gai == EAI_MEMORY;
}
