/* SPDX-License-Identifier: MIT */
/*
 * What has to hold for a Connect, from the service to the access rules: each a check on the facts of
 * an exam. Only what stops a Connect is a fault, and what follows from another fault is none.
 */
#pragma once

#include "client/ctl-exam.h"

enum verdict { VERDICT_OK, VERDICT_NOTE, VERDICT_FAULT, VERDICT_UNKNOWN, N_VERDICTS };

struct finding {
	enum verdict verdict;
	enum ktls_who who;	/* can mend a fault */
	char what[768], cure[768]; /* a line each; cure "": there is none to tell */
};

/* Without which there is nothing to look at. */
enum check_needs { NEEDS_NOTHING, NEEDS_CAPABILITIES, NEEDS_STATUS };

enum { CAUSES_MAX = 8 };

struct check {
	const char *name;
	enum check_needs needs;
	void (*look)(const struct exam *exam, struct finding *finding);
	const char *causes[CAUSES_MAX]; /* checks a fault of which may be all there is to one of this */
};

/* NULL name after the last. */
extern const struct check checks_of_service[], checks_of_kernel[], checks_of_request[];
/* UNKNOWN for one of an answer that did not come. */
void check_look(const struct check *check, const struct exam *exam, struct finding *finding);

__attribute__((format(printf, 3, 4)))
void finding_set(struct finding *finding, enum verdict verdict, const char *format, ...);
__attribute__((format(printf, 3, 4)))
void finding_cure(struct finding *finding, enum ktls_who who, const char *format, ...);

enum { COMMAND_MAX = 64, USER_MAX = 64 };
/* A user by name, or by number where there is none; both as usermod(8) and Users= take them. */
const char *exam_user(uid_t uid, char user[static USER_MAX]);
/* How to have the service read its configuration, and look at the kernel, anew. */
const char *exam_reload(const struct exam *exam, char command[static COMMAND_MAX]);
