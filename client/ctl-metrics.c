/* SPDX-License-Identifier: MIT */
#include "client/ctl-service.h"
#include "client/ctl-tlsstat.h"
#include "client/ctl-view.h"

#include <string.h>

#define N(array) (sizeof(array) / sizeof(*(array)))
#define LABELS_MAX 3

/* A label of a sample, and where in the row it comes from; null is "". */
struct label {
	const char *name, *path;
};

/* A family of samples: one of each row of a list, or with list "" one alone. */
struct family {
	const char *name, *type, *help;
	const char *list, *value; /* in the status; of the row */
	struct label labels[LABELS_MAX];
};

static const struct family families[] = {
	{ "ktlsd_workers_lost", "counter", "Workers that ended otherwise than they should.", "",
	  "workersLost" },
	{ "ktlsd_reloads", "counter", "Times that the configuration was read anew.", "", "reloads" },
	{ "ktlsd_requests_under_way", "gauge", "Requests under way.", "", "underWay" },
	{ "ktlsd_calls_refused", "counter", "Calls that were malformed or of no known method.", "",
	  "callsRefused" },
	{ "ktlsd_records_suppressed", "counter", "Requests that were not logged.", "",
	  "recordsSuppressed" },
	{ "ktlsd_requests", "counter", "Requests by outcome, and by the stage where they ended.",
	  "outcomes", "count",
	  { { "method", "method" }, { "outcome", "outcome" }, { "stage", "stage" } } },
	{ "ktlsd_sessions", "counter", "Sessions agreed on.", "sessions", "count",
	  { { "version", "version" }, { "cipher", "cipher" } } },
	{ "ktlsd_quota_used", "gauge", "What is used of a limit.", "quotas", "used",
	  { { "quota", "name" } } },
	{ "ktlsd_quota_limit", "gauge", "The limit.", "quotas", "limit", { { "quota", "name" } } },
};

/* As OpenMetrics wants label values: backslash, quote and newline escaped. */
static void put_escaped(const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			putchar('\\');
		if (*text == '\n')
			fputs("\\n", stdout);
		else
			putchar(*text);
	}
}

static void put_labels(struct json_object *row, const struct label *labels)
{
	for (size_t i = 0; i < LABELS_MAX && labels[i].name; i++) {
		printf("%s%s=\"", i ? "," : "{", labels[i].name);
		put_escaped(view_text(row, labels[i].path));
		putchar('"');
	}
	if (labels[0].name)
		putchar('}');
}

static void put_family(const char *name, const char *type, const char *unit, const char *help)
{
	printf("# TYPE %s %s\n", name, type);
	if (unit)
		printf("# UNIT %s %s\n", name, unit);
	printf("# HELP %s %s\n", name, help);
}

static void put_sample(const struct family *family, struct json_object *row)
{
	printf("%s%s", family->name, strcmp(family->type, "counter") == 0 ? "_total" : "");
	put_labels(row, family->labels);
	printf(" %llu\n", (unsigned long long)json_object_get_uint64(view_get(row, family->value)));
}

static void put_families(struct json_object *status)
{
	for (size_t i = 0; i < N(families); i++) {
		struct json_object *rows = view_get(status, families[i].list);

		put_family(families[i].name, families[i].type, NULL, families[i].help);
		if (!*families[i].list)
			put_sample(&families[i], status);
		else
			for (size_t j = 0; rows && j < json_object_array_length(rows); j++)
				put_sample(&families[i], json_object_array_get_idx(rows, j));
	}
}

/* Exact: microseconds have six digits behind the point. */
static void put_seconds(uint64_t usec)
{
	printf("%llu.%06llu", (unsigned long long)(usec / 1000000),
	       (unsigned long long)(usec % 1000000));
}

static void put_buckets(const char *stage, struct json_object *buckets, uint64_t count)
{
	for (size_t i = 0; buckets && i < json_object_array_length(buckets); i++) {
		struct json_object *bucket = json_object_array_get_idx(buckets, i);

		printf("ktlsd_stage_duration_seconds_bucket{stage=\"%s\",le=\"", stage);
		put_seconds((uint64_t)view_number(bucket, "upTo"));
		printf("\"} %lld\n", (long long)view_number(bucket, "count"));
	}
	printf("ktlsd_stage_duration_seconds_bucket{stage=\"%s\",le=\"+Inf\"} %llu\n", stage,
	       (unsigned long long)count);
}

static void put_latencies(struct json_object *latencies)
{
	put_family("ktlsd_stage_duration_seconds", "histogram", "seconds",
		   "How long a stage of a request took, where it was completed.");
	for (size_t i = 0; latencies && i < json_object_array_length(latencies); i++) {
		struct json_object *latency = json_object_array_get_idx(latencies, i);
		const char *stage = view_text(latency, "stage");
		uint64_t count = (uint64_t)view_number(latency, "count");

		put_buckets(stage, view_get(latency, "buckets"), count);
		printf("ktlsd_stage_duration_seconds_sum{stage=\"%s\"} ", stage);
		put_seconds((uint64_t)view_number(latency, "sum"));
		printf("\nktlsd_stage_duration_seconds_count{stage=\"%s\"} %llu\n", stage,
		       (unsigned long long)count);
	}
}

static void put_service(struct json_object *status)
{
	put_family("ktlsd_build", "info", NULL, "The service's version.");
	printf("ktlsd_build_info{version=\"");
	put_escaped(view_text(status, "version"));
	printf("\"} 1\n");
	put_families(status);
	put_latencies(view_get(status, "latencies"));
}

/* The kernel's own, by their names: gauges are those of what is open now. */
static void put_kernel(struct json_object *counters)
{
	put_family("ktlsd_kernel_tls_sockets", "gauge", NULL,
		   "Open sockets under kernel TLS, of this network namespace.");
	for (int current = 1; current >= 0; current--) {
		for (size_t i = 0; counters && i < json_object_array_length(counters); i++) {
			struct json_object *row = json_object_array_get_idx(counters, i);
			const char *name = view_text(row, "name");

			if ((strncmp(name, "TlsCurr", 7) == 0) != current)
				continue;
			printf("ktlsd_kernel_tls_%s{counter=\"%s\"} %lld\n",
			       current ? "sockets" : "events_total", name,
			       (long long)view_number(row, "value"));
		}
		if (current)
			put_family("ktlsd_kernel_tls_events", "counter", NULL,
				   "What the kernel has counted of TLS, of this network namespace.");
	}
}

static int run(struct ctl *ctl)
{
	struct json_object *status = ctl_service_call(ctl, "io.ktlsd.GetStatus");
	struct json_object *counters = ctl_tlsstat(CTL_TLSSTAT);
	int outcome = status ? KTLS_WHO_NOBODY : ctl_failure(ctl->k);

	put_family("ktlsd_up", "gauge", NULL, "Whether the service answers.");
	printf("ktlsd_up %d\n", status ? 1 : 0);
	if (status)
		put_service(status);
	put_kernel(counters);
	puts("# EOF");
	json_object_put(status);
	json_object_put(counters);
	if (fflush(stdout) == 0)
		return outcome;
	perror("ktlsctl: stdout");
	return KTLS_WHO_CALLER;
}

const struct ctl_command ctl_metrics = {
	.name = "metrics",
	.operands = "",
	.sentence = "the same for machines: OpenMetrics text, for a node exporter's textfile directory",
	.about = "Prints the service's numbers as OpenMetrics text.",
	.syntax = &ctl_help_syntax,
	.run = run,
};
