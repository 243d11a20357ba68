/* SPDX-License-Identifier: MIT */
/* What root may do is done before; then it is given up, for good. */
#pragma once

#include "daemon/log.h"

/* Started as anybody but root: nothing to do. As root: user "ktlsd" if there is one, else "nobody".
 * False after having logged. */
bool privileges_drop(struct log *log);
