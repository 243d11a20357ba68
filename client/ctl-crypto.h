/* SPDX-License-Identifier: MIT */
/*
 * Which driver of the kernel does the work of each cipher, and how: /proc/crypto. A driver that is
 * made of others (gcm_base(ctr-aes-aesni,ghash-clmulni)) is listed only once it was asked for, so
 * this is to be read after the trial.
 */
#pragma once

#include <json-c/json_object.h>

#define CTL_CRYPTO "/proc/crypto"

/*
 * An array, by cipher: cipher, algorithm ("gcm(aes)"), and driver, module, priority, async, speed of
 * the one that the kernel takes, which are null where it has none.
 *
 *	instructions	those of the processor, for this or for vectors
 *	engine		a device of its own
 *	library		the kernel's own code, which uses instructions where it was built with them
 *			and the processor has them: the file does not tell
 *	generic		plain code, for a part of the work or for all of it
 *	unknown		a driver that no rule here knows
 */
struct json_object *ctl_crypto(const char *path);
