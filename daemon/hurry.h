/* SPDX-License-Identifier: MIT */
/*
 * What must not keep the loop waiting, and could: the last close(2) of a TCP socket on which a
 * caller has set SO_LINGER lasts as long as that says, O_NONBLOCK or not. It may be ours. A
 * descriptor that came with a message and is refused is closed by the kernel in our name, one that
 * was handed over may have been closed by the caller before we close our copy.
 *
 * Such a wait ends with a signal; in a hurry there is one every HURRY_MS.
 */
#pragma once

#define HURRY_MS 1

/* SIGALRM and ITIMER_REAL are used for nothing else. */
void hurry_begin(void);
void hurry_end(void);
