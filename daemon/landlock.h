/* SPDX-License-Identifier: MIT */
/*
 * Landlock (landlock(7)): this process gives up every file of the system, for itself and for good.
 * What it has open it keeps.
 */
#pragma once

/*
 * How much of it this kernel has, of what is made use of here: the ABI, each of which takes away
 * more than the one before. 0: nothing, since the kernel is older than 5.13, was built or booted
 * without it, or somebody forbids the call.
 */
int landlock_abi(void);

/*
 * No file can be opened, executed or made any more. From ABI 4 on no TCP port can be chosen to
 * listen on (connecting is the whole purpose of ktlsd, so that stays), from ABI 6 on no abstract
 * Unix socket be connected to and no process outside be sent a signal.
 *
 * With no_new_privs set, and with landlock_abi() > 0. 0 or -errno.
 */
int landlock_enter(void);
