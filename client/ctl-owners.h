/* SPDX-License-Identifier: MIT */
/*
 * Which processes have a socket, as the caller's own view of /proc shows it. A socket may be in
 * several of them, as one that was handed over and is kept, or in none that can be seen.
 */
#pragma once

#include <stdbool.h>

struct json_object;

/*
 * Adds to each object of the array, by its member "inode", the member "processes": an array of
 * {"pid": 1, "command": "name"} by rising pid, at most OWNERS_MAX. A byte of a command that is not
 * printable ASCII is a question mark. *hidden: there are processes whose descriptors the caller may not
 * see. 0, or -errno: proc is no directory that can be read.
 */
#define OWNERS_MAX 64
int owners_add(struct json_object *sockets, const char *proc, bool *hidden);
