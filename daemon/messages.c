/* SPDX-License-Identifier: MIT */
#include "daemon/messages.h"

#define CERTIFICATE 11
#define LENGTH_SIZE 3		/* of everything: messages, the list, certificates */
#define HEADER_SIZE (1 + LENGTH_SIZE)

/* The header of a message: a Certificate is gone into, behind the length of its list. */
static void message_begins(struct messages *messages, uint32_t header)
{
	size_t length = header & 0xffffff;

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

void messages_feed(struct messages *messages, const uint8_t *bytes, size_t n)
{
	while (n > 0) {
		size_t skip = n < messages->skip ? n : messages->skip;

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
