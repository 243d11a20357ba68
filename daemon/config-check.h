/* SPDX-License-Identifier: MIT */
/* What is wrong with a configuration as a whole, beyond its single values. */
#pragma once

#include "daemon/config.h"

/* How many faults there are, each told on errors as FILE:LINE: KEY: ... */
unsigned int config_check(const struct config *config, FILE *errors);
