/* SPDX-License-Identifier: MIT */
/*
 * Signals as events of the loop: signalfd(2), level-triggered. libev's own watchers hear of a signal
 * by a word that its handler writes into a pipe; where that one write fails, none is ever heard
 * again, and nobody could stop the service.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

/* Until it is tried again to watch them, where the kernel had no memory for that, in seconds. */
#define SIGNALS_REST 0.1

struct signals {
	struct ev_loop *loop;
	ev_io ready;
	ev_timer rest;
	void (*came)(struct signals *signals, int number);
};

/*
 * These signals are blocked from now on, also in processes that are forked later, and came is called
 * for each, as the last act of a callback from the loop. False: errno tells why; signals_deinit() is
 * due either way.
 */
bool signals_init(struct signals *signals, struct ev_loop *loop, const int numbers[], size_t n,
		  void (*came)(struct signals *, int number));
/* May be called more than once, and on a struct of zeroes of which ready.fd is -1. They stay blocked. */
void signals_deinit(struct signals *signals);
