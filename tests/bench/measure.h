/* SPDX-License-Identifier: MIT */
/*
 * One series of measurements: so many requests to warm up, then so many that count. Prints a line
 * "latency NS" for each that counts, and "cpu WHOM NS" for the processor time of all that count.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MEASURE_MAX 100000

struct measure {
	size_t warmup, count;
	size_t done;		/* of both */
	uint64_t *latencies;	/* of those that count */
	uint64_t since;
};

static inline uint64_t measure_clock(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Takes two numbers as text. */
static inline bool measure_init(struct measure *m, const char *warmup, const char *count)
{
	*m = (struct measure){ .warmup = strtoul(warmup, NULL, 10),
			       .count = strtoul(count, NULL, 10) };
	if (m->warmup > MEASURE_MAX || m->count < 1 || m->count > MEASURE_MAX)
		return false;
	m->latencies = calloc(m->count, sizeof(*m->latencies));
	return m->latencies != NULL;
}

static inline void measure_deinit(struct measure *m)
{
	free(m->latencies);
	m->latencies = NULL;
}

/* Whether there is one more to do, and whether it is the first that counts. */
static inline bool measure_more(const struct measure *m)
{
	return m->done < m->warmup + m->count;
}

static inline bool measure_is_first(const struct measure *m)
{
	return m->done == m->warmup;
}

static inline void measure_begin(struct measure *m)
{
	m->since = measure_clock(CLOCK_MONOTONIC);
}

static inline void measure_end(struct measure *m)
{
	uint64_t taken = measure_clock(CLOCK_MONOTONIC) - m->since;

	if (m->done >= m->warmup)
		m->latencies[m->done - m->warmup] = taken;
	m->done++;
}

static inline void measure_print_cpu(const char *whom, uint64_t ns)
{
	printf("cpu %s %llu\n", whom, (unsigned long long)ns);
}

static inline void measure_print_latencies(const struct measure *m)
{
	for (size_t i = 0; i < m->count; i++)
		printf("latency %llu\n", (unsigned long long)m->latencies[i]);
}
