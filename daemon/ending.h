/* SPDX-License-Identifier: MIT */
/* What was asked for and how it ended, in one word each: those of the log, and of GetStatus. */
#pragma once

#include "proto/status.h"

enum request_aim { REQUEST_CONNECT, REQUEST_PROBE, N_REQUEST_AIMS };

/* An error of error.def; PROTO_OK: it was done, and its caller took it; or what no caller is told. */
enum ending {
	ENDING_LAST_ERROR = 0
#define ERROR(symbol, number, wire, sys, who, text) + 1
#include "proto/error.def"
#undef ERROR
	,
	ENDING_NOT_TAKEN,	/* done, and its caller did not take it */
	ENDING_CANCELLED,	/* its caller hung up before */
	ENDING_LOST,		/* with the worker that had it */
	N_ENDINGS
};

#define ENDING_STAGES (PROTO_STAGE_INSTALL + 1)

/* taken: by the caller, whatever it was that he was told. */
unsigned int ending_of(enum proto_error error, bool taken);

const char *ending_name(unsigned int ending);		/* "ok", "TimedOut", "not-taken" */
const char *ending_aim_name(enum request_aim aim);	/* "Connect" */
