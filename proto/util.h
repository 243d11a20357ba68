/* SPDX-License-Identifier: MIT */
/*
 * The few words that every file of this project speaks: cleanup attributes with an explicit
 * hand-over, container_of and array_size. What a scope owns it frees; what it hands on it hands on
 * by a word that can be seen at the call (steal_fd, steal_ptr).
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define array_size(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

/* Closes *fd if there is one and leaves -1; errno is kept, so that an error path may close before
 * it returns -errno. */
static inline void close_fd(int *fd)
{
	int kept = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = kept;
}

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

static inline void *steal_pointer(void *where)
{
	void **p = where, *stolen = *p;

	*p = NULL;
	return stolen;
}

static inline void free_pointer(void *where)
{
	free(*(void **)where);
	*(void **)where = NULL;
}

#define steal_ptr(p) ((__typeof__(*(p)))steal_pointer(p))

/* unused: a guard may be there for nothing but its end, which clang does not take for a use. */
#define _cleanup_(f) __attribute__((cleanup(f), unused))
#define _cleanup_fd_ _cleanup_(close_fd)
#define _cleanup_free_ _cleanup_(free_pointer)

/* DEFINE_CLEANUP(x): x_freep(), the scope guard of heap objects whose x_free() takes NULL. */
#define DEFINE_CLEANUP(type, free_function)						\
	static inline void free_function##p(type *p)					\
	{										\
		if (*p)									\
			free_function(*p);						\
		*p = NULL;								\
	}
