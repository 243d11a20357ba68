/* SPDX-License-Identifier: MIT */
#include "daemon/ending.h"

#include <string.h>

unsigned int ending_of(enum proto_error error, bool taken)
{
	if (error != PROTO_OK)
		return error;
	return taken ? PROTO_OK : ENDING_NOT_TAKEN;
}

const char *ending_name(unsigned int ending)
{
	static const char *const names[N_ENDINGS] = {
		[PROTO_OK] = "ok",
		[ENDING_NOT_TAKEN] = "not-taken",
		[ENDING_CANCELLED] = "cancelled",
		[ENDING_LOST] = "lost",
	};
	const struct proto_error_info *error = proto_error_info(ending);

	/* "CertificateRejected" of "io.ktlsd.CertificateRejected". */
	return error ? strrchr(error->wire, '.') + 1 : names[ending];
}

const char *ending_aim_name(enum request_aim aim)
{
	return aim == REQUEST_PROBE ? "Probe" : "Connect";
}
