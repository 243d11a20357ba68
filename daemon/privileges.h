/* SPDX-License-Identifier: MIT */
/* What root may do is done before; then it is given up, for good. */
#pragma once

#include "daemon/log.h"

/*
 * Keys pass through this process: no core, no ptrace by its own user, and no program that it could
 * execute has more rights than it. False after having logged.
 */
bool privileges_harden(struct log *log);

/* Started as anybody but root: only hardens. As root: user "ktlsd" if there is one, else "nobody".
 * False after having logged. */
bool privileges_drop(struct log *log);

/* Whatever is left, inheritable and ambient ones among it. False after having logged. */
bool privileges_drop_capabilities(struct log *log);
