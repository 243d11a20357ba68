/* SPDX-License-Identifier: MIT */
/* The facts that doctor judges: gathered once, before any judgement. */
#pragma once

#include "client/ctl-configuration.h"
#include "client/ctl.h"

#include <json-c/json_object.h>
#include <sys/stat.h>
#include <sys/utsname.h>

struct exam {
	const char *socket;	/* the service's path */
	const char *named_by;	/* "KTLSD_SOCKET" or "--socket"; NULL: it is the default */
	int socket_errno;	/* why stat(2) cannot see it; 0: it can */
	struct stat socket_stat;
	enum ktls_status reached; /* of GetCapabilities: KTLS_OK, or why there is no answer */
	int reach_errno;
	char reach_message[512];
	bool systemd;		/* it runs this machine */
	struct configuration configuration;
	bool lo_down;		/* the interface, or it is not there */
	bool modules_disabled;	/* none can be loaded until the next boot */
	struct utsname kernel;
	struct json_object *trial, *drivers, *faults; /* of ktlsctl's own */
	struct json_object *capabilities, *status; /* of the service; NULL: not told */
	const char *target;	/* NULL: none was named */
	struct json_object *probed; /* of the target: session, or error as of ctl_service_failure() */
	bool (*has_module)(const struct utsname *kernel, const char *name); /* is installed, or built in */
};

void exam_make(struct exam *exam, struct ctl *ctl);
void exam_deinit(struct exam *exam);
