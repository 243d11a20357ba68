/* SPDX-License-Identifier: MIT */
#include "client/ctl-checks.h"

#include "client/ctl-view.h"

#include <stdarg.h>
#include <stdio.h>

void finding_set(struct finding *finding, enum verdict verdict, const char *format, ...)
{
	va_list arguments;

	*finding = (struct finding){ .verdict = verdict };
	va_start(arguments, format);
	vsnprintf(finding->what, sizeof(finding->what), format, arguments);
	va_end(arguments);
}

void finding_cure(struct finding *finding, enum ktls_who who, const char *format, ...)
{
	va_list arguments;

	finding->who = who;
	va_start(arguments, format);
	vsnprintf(finding->cure, sizeof(finding->cure), format, arguments);
	va_end(arguments);
}

const char *exam_reload(const struct exam *exam, char command[static COMMAND_MAX])
{
	long pid = (long)view_number(exam->status, "pid");

	if (view_true(exam->capabilities, "managed"))
		return "systemctl reload ktlsd";
	if (pid <= 1) /* to kill(1) a number below is of more than one process */
		return "send ktlsd a SIGHUP";
	snprintf(command, COMMAND_MAX, "kill -HUP %ld", pid);
	return command;
}

void check_look(const struct check *check, const struct exam *exam, struct finding *finding)
{
	const bool told[] = {
		[NEEDS_NOTHING] = true,
		[NEEDS_CAPABILITIES] = exam->capabilities,
		[NEEDS_STATUS] = exam->status,
	};

	if (told[check->needs])
		check->look(exam, finding);
	else
		finding_set(finding, VERDICT_UNKNOWN, "the service does not tell");
}
