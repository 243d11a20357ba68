/* SPDX-License-Identifier: MIT */
/*
 * Memory that runs out where the test wants it to, to be preloaded into ktlsd.
 *
 * STARVE names a file that is mapped at the start, so that a process that may open none is reached,
 * too. The test writes into it who shall starve and when, and reads how far that went: struct order,
 * `who` is written last. An allocation that fails returns NULL with ENOMEM.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The C library's own, behind the names that are taken here. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

struct order {
	_Atomic int32_t who;		/* a process; 0: nobody; -P: whoever P has forked since */
	_Atomic uint32_t first;		/* the allocation to fail, counted from 1; 0: none */
	_Atomic uint32_t many;		/* and so many from it on */
	_Atomic uint32_t made;		/* that were asked for */
	_Atomic uint32_t failed;
	_Atomic int32_t live;		/* blocks that were made and not freed */
};

static struct order *order;

__attribute__((constructor)) static void map(void)
{
	const char *path = getenv("STARVE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped;

	if (fd < 0)
		return;
	mapped = mmap(NULL, sizeof(*order), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped != MAP_FAILED)
		order = mapped;
	close(fd);
}

static int is_meant(void)
{
	int32_t who = order ? order->who : 0;

	return who && (who > 0 ? getpid() == who : getppid() == -who);
}

/* Whether this one fails. */
static int refuses(void)
{
	uint32_t number;

	if (!is_meant())
		return 0;
	number = ++order->made;
	if (!order->first || number < order->first || number - order->first >= order->many)
		return 0;
	order->failed++;
	errno = ENOMEM;
	return 1;
}

static void *count(void *block)
{
	if (block && is_meant())
		order->live++;
	return block;
}

void *malloc(size_t size)
{
	return refuses() ? NULL : count(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
	return refuses() ? NULL : count(__libc_calloc(n, size));
}

void *realloc(void *block, size_t size)
{
	if (refuses())
		return NULL;
	return block ? __libc_realloc(block, size) : count(__libc_realloc(block, size));
}

void *reallocarray(void *block, size_t n, size_t size)
{
	size_t all;

	if (__builtin_mul_overflow(n, size, &all))
		return errno = ENOMEM, NULL;
	return realloc(block, all);
}

void *memalign(size_t alignment, size_t size)
{
	return refuses() ? NULL : count(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **where, size_t alignment, size_t size)
{
	void *block = memalign(alignment, size);

	if (!block)
		return ENOMEM;
	*where = block;
	return 0;
}

void free(void *block)
{
	int kept = errno;

	if (block && is_meant())
		order->live--;
	__libc_free(block);
	errno = kept;
}
