/* SPDX-License-Identifier: MIT */
/* The configuration with all that it names, read and judged: what a generation of workers goes by.
 */
#pragma once

#include "daemon/config.h"
#include "daemon/log.h"
#include "daemon/trust.h"

#include <time.h>

struct setup {
	struct config *config;
	struct trust *trust;
	time_t loaded;		/* when */
};

/*
 * file as for config_load(). What is wrong goes to errors, a line each, all of it in one run; then
 * NULL. A warning is told there, too. check: what costs time and cannot be wrong is left out.
 */
struct setup *setup_load(const char *file, bool check, FILE *errors);
/* The same, told in the log: for a process that runs already. */
struct setup *setup_load_logged(const char *file, struct log *log);
struct setup *setup_free(struct setup *setup);
DEFINE_CLEANUP(struct setup *, setup_free)
