/* SPDX-License-Identifier: MIT */
/* One character of UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Its length, 1 to 4 bytes, and *code; 0 if what stands in [text, end) is no character. */
size_t proto_utf8_decode(const char *text, const char *end, uint32_t *code);
/* The length of what it writes; code is a character. */
size_t proto_utf8_encode(char to[static 4], uint32_t code);
