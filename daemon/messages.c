/* SPDX-License-Identifier: MIT */
#include "daemon/messages.h"

#include <string.h>

#define CERTIFICATE 11
#define LENGTH_SIZE 3		/* of everything: messages, the list, certificates */
#define HEADER_SIZE (1 + LENGTH_SIZE)

/* The header of a message: a Certificate is gone into, behind the length of its list. */
static void message_begins(struct messages *messages, uint32_t header)
{
	size_t length = header & 0xffffff;

	messages->size = messages->n_head = 0;
	if (header >> 24 != CERTIFICATE || length <= LENGTH_SIZE) {
		messages->skip = length;
		return;
	}
	messages->skip = LENGTH_SIZE;
	messages->certificates_left = length - LENGTH_SIZE;
}

/* What does not fit is left to OpenSSL to refuse; here it ends the message. */
static void certificate_begins(struct messages *messages, uint32_t length)
{
	size_t left = messages->certificates_left;

	left = left > LENGTH_SIZE ? left - LENGTH_SIZE : 0;
	messages->skip = length < left ? length : left;
	messages->certificates_left = left - messages->skip;
	messages->n_certificates++;
	messages->size = messages->skip;
	messages->n_head = 0;
}

static void number_done(struct messages *messages)
{
	uint32_t number = messages->number;

	messages->number = messages->have = 0;
	if (messages->certificates_left)
		certificate_begins(messages, number);
	else
		message_begins(messages, number);
}

/* It is judged as soon as there is enough of it; an empty one OpenSSL refuses at no cost. */
static void keep(struct messages *messages, const uint8_t *bytes, size_t n)
{
	size_t want = messages->size < SPKI_HEAD_MAX ? messages->size : SPKI_HEAD_MAX;
	size_t room = want - messages->n_head;

	n = n < room ? n : room;
	if (n == 0)
		return;
	memcpy(messages->head + messages->n_head, bytes, n);
	messages->n_head += n;
	if (messages->n_head == want && !messages->fault)
		messages->fault = spki_fault(messages->head, messages->size);
}

void messages_feed(struct messages *messages, const uint8_t *bytes, size_t n)
{
	while (n > 0) {
		size_t skip = n < messages->skip ? n : messages->skip;

		keep(messages, bytes, skip);
		bytes += skip;
		n -= skip;
		messages->skip -= skip;
		if (n == 0)
			return;
		messages->number = messages->number << 8 | *bytes++;
		n--;
		if (++messages->have == (messages->certificates_left ? LENGTH_SIZE : HEADER_SIZE))
			number_done(messages);
	}
}
