/* SPDX-License-Identifier: MIT */
#include "daemon/hurry.h"

#include <signal.h>
#include <sys/time.h>

static void on_alarm(int number)
{
}

static void signal_every(unsigned int ms)
{
	const struct timeval interval = { .tv_usec = ms * 1000 };

	setitimer(ITIMER_REAL, &(struct itimerval){ interval, interval }, NULL);
}

void hurry_begin(void)
{
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_alarm }, NULL);
	signal_every(HURRY_MS);
}

void hurry_end(void)
{
	signal_every(0);
}
