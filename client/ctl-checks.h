/* SPDX-License-Identifier: MIT */
/*
 * What has to hold for a Connect, from the kernel's module to the access rules: each a check on facts
 * that were gathered before, without asking anybody anew. Only what stops a Connect is a fault.
 */
#pragma once

#include "client/ctl.h"

#include <json-c/json_object.h>
#include <sys/stat.h>
#include <sys/utsname.h>

/* The facts. */
struct exam {
	const char *socket;	/* the service's path */
	bool of_environment;	/* KTLSD_SOCKET says so */
	int socket_errno;	/* why stat(2) cannot see it; 0: it can */
	struct stat socket_stat;
	enum ktls_status reached; /* of GetCapabilities: KTLS_OK, or why there is no answer */
	int reach_errno;
	char reach_message[512];
	bool module_file;	/* a module tls for this kernel is installed, or is built in */
	bool modules_disabled;	/* no module can be loaded until the next boot */
	struct utsname kernel;
	struct json_object *trial, *drivers, *faults; /* of ktlsctl's own */
	struct json_object *capabilities, *status; /* of the service; NULL: not told */
	const char *target;	/* NULL: none was named */
	struct json_object *probed; /* of the target: session, or error as of ctl_service_failure() */
};

enum verdict { VERDICT_OK, VERDICT_NOTE, VERDICT_FAULT, VERDICT_UNKNOWN, N_VERDICTS };

struct finding {
	enum verdict verdict;
	enum ktls_who who;	/* can mend a fault */
	char what[512], cure[512]; /* a line each; cure "": there is none to tell */
};

struct check {
	const char *name;
	bool of_answer; /* looks at what the service tells */
	void (*look)(const struct exam *exam, struct finding *finding);
};

/* NULL name after the last. */
extern const struct check checks_of_kernel[], checks_of_service[];
/* UNKNOWN for one of an answer that did not come. */
void check_look(const struct check *check, const struct exam *exam, struct finding *finding);

__attribute__((format(printf, 3, 4)))
void finding_set(struct finding *finding, enum verdict verdict, const char *format, ...);
__attribute__((format(printf, 3, 4)))
void finding_cure(struct finding *finding, enum ktls_who who, const char *format, ...);
