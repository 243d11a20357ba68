/* SPDX-License-Identifier: MIT */
/*
 * What a process that touches bytes of callers and peers may still do: compute, move bytes over
 * what it has open, and make TCP connections. No file, no program, no other process.
 *
 * Everything that needs more comes before: configuration, trust stores and the TLS contexts made
 * (with the first of them OpenSSL reads its configuration), the log open, the resolvers' nursery
 * forked, which is a process of its own and not confined.
 */
#pragma once

#include "daemon/log.h"

#define SANDBOX_TEXT_MAX 80

/*
 * For good. What the kernel does not have (Landlock, filters of system calls) is done without. False
 * after having logged: the kernel has it and has refused it, for want of memory for example, or the
 * process could be traced, or leave a core, or has kept a capability. It must not go on.
 *
 * From then on unknown system calls fail with EPERM, and those after which something must be wrong
 * (a program or process started, another's memory) end the process with SIGSYS.
 */
bool sandbox_enter(struct log *log);

/* What sandbox_enter() will find on this kernel, to be called before it: "system call filter,
 * Landlock ABI 4". */
void sandbox_describe(char text[static SANDBOX_TEXT_MAX]);
