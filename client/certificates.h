/* SPDX-License-Identifier: MIT */
/*
 * The certificates of a PEM text or file, and nothing else of it. What people call a CA file holds
 * comments, dumps in any character set, and now and then a private key; none of these may go to the
 * service.
 */
#pragma once

#include <stddef.h>

/* Malloc. NULL: EINVAL (none, one without an end, bytes that are no PEM), E2BIG (more than the wire
 * takes), ENOMEM. */
char *certificates_of_text(const char *text, size_t length);
/* The same; NULL also with any errno of open(2) and read(2), or EFBIG. */
char *certificates_of_file(const char *path);
