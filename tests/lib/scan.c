/* SPDX-License-Identifier: MIT */
/*
 * Looks for pieces of secrets, of 8 bytes each, in the memory of processes: every mapping that can
 * be read, at every byte.
 *
 * usage: scan PID... < PIECES, a line each, of 16 hexadecimal digits
 *
 * Prints "hit PIECE PID ADDRESS MAPPING" for each place, "read PID BYTES" for each process. Exit
 * status 1: a mapping could not be read, or a process is not there.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE sizeof(uint64_t)
#define CHUNK ((size_t)1 << 20)
#define SLOTS_BITS 16
#define SLOTS ((size_t)1 << SLOTS_BITS)	/* of a hash table that stays nearly empty */
#define FILTER_BITS 18			/* small enough for the processor's cache */

struct scan {
	uint64_t slots[SLOTS];		/* 0: free, and 0 is no piece */
	uint8_t filter[(1 << FILTER_BITS) / 8];
	unsigned char bytes[CHUNK + PIECE];
	int pid, memory;
	uint64_t total;
};

static uint64_t hash(uint64_t piece)
{
	return piece * UINT64_C(0x9e3779b97f4a7c15);
}

static size_t slot_of(uint64_t piece)
{
	return (size_t)(hash(piece) >> (64 - SLOTS_BITS));
}

static uint8_t *filter_of(struct scan *scan, uint64_t piece, uint8_t *bit)
{
	uint64_t at = hash(piece) >> (64 - FILTER_BITS);

	*bit = (uint8_t)(1 << at % 8);
	return &scan->filter[at / 8];
}

static bool known(struct scan *scan, uint64_t piece)
{
	uint8_t bit;

	if (piece == 0 || !(*filter_of(scan, piece, &bit) & bit))
		return false;
	for (size_t at = slot_of(piece); scan->slots[at]; at = (at + 1) % SLOTS)
		if (scan->slots[at] == piece)
			return true;
	return false;
}

static void read_pieces(struct scan *scan)
{
	uint64_t digits;

	for (unsigned int n = 0; scanf("%16" SCNx64, &digits) == 1; n++) {
		uint64_t piece = __builtin_bswap64(digits);
		size_t at = slot_of(piece);
		uint8_t bit;

		if (n > SLOTS / 4)
			abort();
		*filter_of(scan, piece, &bit) |= bit;
		while (scan->slots[at])
			at = (at + 1) % SLOTS;
		scan->slots[at] = piece;
	}
}

static void look_at(struct scan *scan, uint64_t address, size_t n, const char *name)
{
	uint64_t piece;

	for (size_t i = 0; i + PIECE <= n; i++) {
		memcpy(&piece, scan->bytes + i, PIECE);
		if (known(scan, piece))
			printf("hit %016" PRIx64 " %d %" PRIx64 " %s\n", __builtin_bswap64(piece),
			       scan->pid, address + i, name);
	}
}

/* The last bytes of a chunk are looked at again with the next one. */
static bool scan_mapping(struct scan *scan, uint64_t start, uint64_t end, const char *name)
{
	size_t kept = 0;

	while (start < end) {
		size_t want = end - start < CHUNK ? (size_t)(end - start) : CHUNK;
		ssize_t n = pread(scan->memory, scan->bytes + kept, want, (off_t)start);

		if (n <= 0)
			return false;
		look_at(scan, start - kept, kept + (size_t)n, name);
		start += (uint64_t)n;
		scan->total += (uint64_t)n;
		n += (ssize_t)kept;
		kept = (size_t)n < PIECE - 1 ? (size_t)n : PIECE - 1;
		memmove(scan->bytes, scan->bytes + n - kept, kept);
	}
	return true;
}

/* Pages of the kernel's own, which are the same in all processes and cannot be read this way. */
static bool is_of_kernel(const char *name)
{
	return strncmp(name, "[v", 2) == 0;
}

static bool scan_process(struct scan *scan)
{
	char path[32], line[512], mode[8], name[256];
	uint64_t start, end;
	bool good = true;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/mem", scan->pid);
	scan->memory = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/maps", scan->pid);
	maps = fopen(path, "re");
	if (scan->memory < 0 || !maps)
		return perror(path), false;
	scan->total = 0;
	while (fgets(line, sizeof(line), maps)) {
		name[0] = '\0';
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %*s %255s", &start, &end,
			   mode, name) < 3)
			abort();
		if (mode[0] != 'r' || is_of_kernel(name))
			continue;
		if (!scan_mapping(scan, start, end, *name ? name : "anonymous")) {
			fprintf(stderr, "process %d: cannot be read: %s", scan->pid, line);
			good = false;
		}
	}
	printf("read %d %" PRIu64 "\n", scan->pid, scan->total);
	fclose(maps);
	close(scan->memory);
	return good;
}

int main(int argc, char **argv)
{
	struct scan *scan = calloc(1, sizeof(*scan));
	bool good = true;

	if (!scan)
		return 1;
	read_pieces(scan);
	for (int i = 1; i < argc; i++) {
		scan->pid = atoi(argv[i]);
		good &= scan_process(scan);
	}
	return !good;
}
