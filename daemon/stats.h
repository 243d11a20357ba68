/* SPDX-License-Identifier: MIT */
/* How the service does, for GetStatus: put together from what all workers have counted, from the
 * ledger, and from the configuration that this worker goes by. */
#pragma once

#include "daemon/env.h"
#include "proto/report.h"

/* For a caller with this account: of others there are only numbers. Nobody is waited for. False: no
 * memory; proto_report_deinit() is due either way. */
bool stats_report(const struct env *env, unsigned int account, struct proto_report *report);
