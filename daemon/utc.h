/* SPDX-License-Identifier: MIT */
/* A time as it is told: UTC by RFC 3339, "2027-01-31T12:00:00Z". */
#pragma once

#include <time.h>

#define UTC_SIZE 32

/* tm NULL, or a year that is none: empty. */
static inline void utc_text(char to[static UTC_SIZE], const struct tm *tm)
{
	if (!tm || !strftime(to, UTC_SIZE, "%Y-%m-%dT%H:%M:%SZ", tm))
		*to = '\0';
}
