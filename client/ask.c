/* SPDX-License-Identifier: MIT */
#include "client/internal.h"
#include "proto/util.h"

#include <errno.h>
#include <string.h>

#define METHOD_MAX 255
#define METHOD_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
#define INTERFACE "io.ktlsd."

/* Connect is not for here: what comes of it is a socket. */
static bool can_be_asked(const char *method)
{
	size_t length = method ? strspn(method, METHOD_CHARACTERS) : 0;

	return length && length <= METHOD_MAX && !method[length] &&
	       strcmp(method, "Connect") != 0 && strcmp(method, INTERFACE "Connect") != 0;
}

/* "Probe" is io.ktlsd.Probe; what has a dot is the name of an interface's method already. */
static char *full_name(const char *method)
{
	const char *interface = strchr(method, '.') ? "" : INTERFACE;
	char *name = malloc(strlen(interface) + strlen(method) + 1);

	if (name)
		strcpy(stpcpy(name, interface), method);
	return name;
}

/* Methods with the parameters of a connection. */
static bool wants_request(const char *method)
{
	return strcmp(method, INTERFACE "Probe") == 0;
}

int ktls_start_call(struct ktls *k, const char *method)
{
	const struct proto_connect *request = NULL;
	size_t length = 0;
	char *text;

	if (k->state != CALL_NEW || !can_be_asked(method)) {
		errno = k->state != CALL_NEW ? EBUSY : EINVAL;
		return -1;
	}
	k->method = full_name(method);
	if (!k->method)
		return call_begin(k, NULL, 0);
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
		if (!call_overtold(k))
			return call_done(k);
		free_pointer(&k->reply);
		return -1;
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
