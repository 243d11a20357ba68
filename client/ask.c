/* SPDX-License-Identifier: MIT */
#include "client/internal.h"
#include "proto/util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define METHOD_MAX 255
#define INTERFACE "io.ktlsd."

/* Methods with the parameters of a connection. */
static bool wants_request(const char *method)
{
	return strcmp(method, INTERFACE "Probe") == 0;
}

/* "Probe" is io.ktlsd.Probe; what has a dot is the name of an interface's method already. NULL with
 * errno. */
static char *full_name(const char *method)
{
	char *name = NULL;

	if (!method || !*method || strlen(method) > METHOD_MAX) {
		errno = EINVAL;
		return NULL;
	}
	if (asprintf(&name, "%s%s", strchr(method, '.') ? "" : INTERFACE, method) < 0)
		return NULL;
	if (strcmp(name, INTERFACE "Connect") != 0)
		return name;
	free(name);
	errno = EINVAL;
	return NULL;
}

int ktls_start_call(struct ktls *k, const char *method)
{
	const struct proto_connect *request = NULL;
	size_t length;
	char *text;

	if (k->state != CALL_NEW) {
		errno = EBUSY;
		return -1;
	}
	k->method = full_name(method);
	if (!k->method)
		return -1;
	if (wants_request(k->method)) {
		if (call_complete(k) < 0)
			return -1;
		request = &k->request;
	}
	text = proto_question_encode(k->method, request, &length);
	return call_begin(k, text, length);
}

int ask_answer(struct ktls *k, const char *text, size_t length)
{
	struct proto_status status;

	switch (proto_answer_decode(text, length, &k->reply, &status)) {
	case PROTO_DECODE_OK:
		return call_overtold(k) ? -1 : call_done(k);
	case PROTO_DECODE_REFUSED:
		return call_refused(k, &status);
	case PROTO_DECODE_NO_MEMORY:
		return call_fail(k, KTLS_LOCAL, "service", ENOMEM, "no memory for the answer");
	case PROTO_DECODE_CLOSE:
		break;
	}
	return call_fail(k, KTLS_PROTOCOL, "service", 0, "the answer is not one of ktlsd's");
}

const char *ktls_get_reply(const struct ktls *k)
{
	return k->reply;
}
