/* SPDX-License-Identifier: MIT */
/* What `ktlsd --check-config` says of the configuration, to whoever may read it. */
#pragma once

#include <stddef.h>

struct configuration {
	enum {
		CONFIGURATION_UNCHECKED, /* there is no ktlsd where ktlsctl looks for it, or it gave no answer */
		CONFIGURATION_UNREADABLE, /* for this user */
		CONFIGURATION_GOOD,
		CONFIGURATION_FAULTY,
	} state;
	char first[512];	/* fault, one line */
	unsigned int faults;
};

/* The ktlsd that was installed with this program; at most a second or two. */
void configuration_check(struct configuration *configuration);
