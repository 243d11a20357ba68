/* SPDX-License-Identifier: MIT */
/* What of the configuration is in force, told as it would be written in a file. */
#pragma once

#include "daemon/config.h"
#include "proto/message.h"

/* Fills the list with a struct proto_setting (proto/report.h) for each key of Service and Limits;
 * false: no memory. What is there belongs to the list either way. */
bool config_settings(const struct config *config, struct proto_list *settings);
