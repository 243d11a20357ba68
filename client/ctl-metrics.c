/* SPDX-License-Identifier: MIT */
#include "client/ctl-service.h"
#include "client/ctl-tlsstat.h"
#include "client/ctl-view.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LABELS_MAX 3
#define REQUESTS "outcomes"
#define QUOTAS "quotas"
#define MEMORY "memoryKiB"

/* A label of a sample, and where in the row it comes from; null is "". */
struct label {
	const char *name, *path;
};

/* A family of samples: one of each row of a list, or with list "" one alone. The base unit is what
 * Prometheus has all values in. */
struct family {
	const char *name, *type, *help;
	const char *list, *value; /* in the status; of the row */
	struct label labels[LABELS_MAX];
	const char *unit; /* of the name's end; NULL: none */
	uint64_t factor; /* from the value to its unit; 0: 1 */
	const char *only, *but; /* a row of that name alone, or any but that; NULL: all */
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
	  REQUESTS, "count",
	  { { "method", "method" }, { "outcome", "outcome" }, { "stage", "stage" } } },
	{ "ktlsd_sessions", "counter", "Sessions agreed on.", "sessions", "count",
	  { { "version", "version" }, { "cipher", "cipher" } } },
	{ "ktlsd_quota_used", "gauge", "What is used of a limit.", QUOTAS, "used",
	  { { "quota", "name" } }, .but = MEMORY },
	{ "ktlsd_quota_limit", "gauge", "The limit.", QUOTAS, "limit", { { "quota", "name" } },
	  .but = MEMORY },
	{ "ktlsd_quota_memory_used_bytes", "gauge", "What requests use of the limit of memory.", QUOTAS,
	  "used", .unit = "bytes", .factor = 1024, .only = MEMORY },
	{ "ktlsd_quota_memory_limit_bytes", "gauge", "The limit of memory.", QUOTAS, "limit",
	  .unit = "bytes", .factor = 1024, .only = MEMORY },
};

/* The stages of a request by name; the whole is no stage: their sum would count it twice. */
static const struct histogram {
	const char *name, *help;
	bool whole;
} histograms[] = {
	{ "ktlsd_stage_duration_seconds", "How long a stage took where it was completed.", false },
	{ "ktlsd_request_duration_seconds", "How long requests took, whatever came of them.", true },
};

/* The bytes of a control character, in UTF-8; 0: it is none. */
static size_t control_length(const char *text)
{
	const unsigned char *byte = (const unsigned char *)text;

	if (byte[0] == 0xc2 && byte[1] >= 0x80 && byte[1] < 0xa0)
		return 2;
	return byte[0] < ' ' || byte[0] == 0x7f;
}

/* As OpenMetrics wants label values: backslash, quote and newline escaped. Other control characters
 * it lets through, as far as to a terminal. */
static void put_label(const char *name, const char *text)
{
	printf("%s=\"", name);
	for (size_t n; *text; text += n ?: 1) {
		n = control_length(text);
		if (*text == '\\' || *text == '"')
			putchar('\\');
		if (n)
			fputs(*text == '\n' ? "\\n" : "?", stdout);
		else
			putchar(*text);
	}
	putchar('"');
}

/* Nothing that is counted is negative. */
static uint64_t number(struct json_object *row, const char *path)
{
	int64_t value = view_number(row, path);

	return value > 0 ? (uint64_t)value : 0;
}

static void put_labels(struct json_object *row, const struct label *labels)
{
	for (size_t i = 0; i < LABELS_MAX && labels[i].name; i++) {
		putchar(i ? ',' : '{');
		put_label(labels[i].name, view_text(row, labels[i].path));
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
	const char *name = view_text(row, "name");

	if ((family->only && strcmp(name, family->only) != 0) ||
	    (family->but && strcmp(name, family->but) == 0))
		return;
	printf("%s%s", family->name, strcmp(family->type, "counter") == 0 ? "_total" : "");
	put_labels(row, family->labels);
	printf(" %llu\n", (unsigned long long)number(row, family->value) * (family->factor ?: 1));
}

static void put_rows(const struct family *family, struct json_object *rows)
{
	for (size_t i = 0; i < view_count(rows); i++)
		put_sample(family, json_object_array_get_idx(rows, i));
}

static void put_families(struct json_object *status)
{
	for (size_t i = 0; i < N(families); i++) {
		put_family(families[i].name, families[i].type, families[i].unit, families[i].help);
		if (*families[i].list)
			put_rows(&families[i], view_get(status, families[i].list));
		else
			put_sample(&families[i], status);
	}
}

/* In the one spelling that OpenMetrics has for a bound: the shortest that says it, with a point or an
 * exponent, of which large numbers have none. */
static void put_bound(uint64_t usec)
{
	double seconds = (double)usec / 1e6;
	char text[32];
	int digits = 6;

	do
		snprintf(text, sizeof(text), "%.*g", digits, seconds);
	while (strtod(text, NULL) != seconds && digits++ < 17);
	printf("%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

/* Exact: microseconds have six digits behind the point. */
static void put_sum(uint64_t usec)
{
	printf("%llu.%06llu", (unsigned long long)(usec / 1000000),
	       (unsigned long long)(usec % 1000000));
}

/* name_suffix{stage="..."; to be ended by "}". */
static void put_series(const struct histogram *histogram, const char *suffix, const char *stage)
{
	printf("%s_%s{", histogram->name, suffix);
	if (!histogram->whole)
		put_label("stage", stage);
}

static void put_bucket(const struct histogram *histogram, const char *stage,
		       struct json_object *bucket, uint64_t count)
{
	put_series(histogram, "bucket", stage);
	fputs(histogram->whole ? "le=\"" : ",le=\"", stdout);
	if (bucket)
		put_bound(number(bucket, "upTo"));
	else
		fputs("+Inf", stdout);
	printf("\"} %llu\n", (unsigned long long)count);
}

static void put_latency(const struct histogram *histogram, struct json_object *latency)
{
	struct json_object *buckets = view_get(latency, "buckets"), *bucket;
	const char *stage = view_text(latency, "stage");
	uint64_t count = number(latency, "count");

	for (size_t i = 0; i < view_count(buckets); i++) {
		bucket = json_object_array_get_idx(buckets, i);
		put_bucket(histogram, stage, bucket, number(bucket, "count"));
	}
	put_bucket(histogram, stage, NULL, count);
	put_series(histogram, "sum", stage);
	fputs("} ", stdout);
	put_sum(number(latency, "sum"));
	putchar('\n');
	put_series(histogram, "count", stage);
	printf("} %llu\n", (unsigned long long)count);
}

static void put_latencies(const struct histogram *histogram, struct json_object *latencies)
{
	put_family(histogram->name, "histogram", "seconds", histogram->help);
	for (size_t i = 0; i < view_count(latencies); i++) {
		struct json_object *latency = json_object_array_get_idx(latencies, i);

		if (view_is(latency, "stage", "total") == histogram->whole)
			put_latency(histogram, latency);
	}
}

/* OpenMetrics has a type for what says something by its labels, which Prometheus' older format, that
 * of a textfile directory, does not have: a gauge is in both. */
static void put_build(struct json_object *status)
{
	put_family("ktlsd_build_info", "gauge", NULL, "The service's version.");
	fputs("ktlsd_build_info{", stdout);
	put_label("version", view_text(status, "version"));
	fputs("} 1\n", stdout);
}

static void put_start(struct json_object *status)
{
	const char *since = view_text(status, "since");
	struct tm time = { 0 };

	if (!strptime(since, "%Y-%m-%dT%H:%M:%SZ", &time))
		return;
	put_family("ktlsd_start_time_seconds", "gauge", "seconds", "When the service was started.");
	printf("ktlsd_start_time_seconds %lld\n", (long long)timegm(&time));
}

static void put_service(struct json_object *status)
{
	put_build(status);
	put_start(status);
	put_families(status);
	for (size_t i = 0; i < N(histograms); i++)
		put_latencies(&histograms[i], view_get(status, "latencies"));
}

/* The kernel's own, by their names: TlsCurr* tell what is open now. */
static void put_kernel(struct json_object *counters, bool current, const char *name)
{
	for (size_t i = 0; i < view_count(counters); i++) {
		struct json_object *row = json_object_array_get_idx(counters, i);

		if ((strncmp(view_text(row, "name"), "TlsCurr", strlen("TlsCurr")) == 0) != current)
			continue;
		printf("%s{", name);
		put_label("counter", view_text(row, "name"));
		printf("} %s\n", json_object_get_string(view_get(row, "value")));
	}
}

static void put_counters(struct json_object *counters)
{
	put_family("ktlsd_kernel_tls_sockets", "gauge", NULL,
		   "Open sockets under kernel TLS, of this network namespace.");
	put_kernel(counters, true, "ktlsd_kernel_tls_sockets");
	put_family("ktlsd_kernel_tls_events", "counter", NULL,
		   "What the kernel has counted of TLS, of this network namespace.");
	put_kernel(counters, false, "ktlsd_kernel_tls_events_total");
}

static int run(struct ctl *ctl)
{
	struct json_object *status = ctl_service_call(ctl, "io.ktlsd.GetStatus");
	struct json_object *counters = ctl_tlsstat(CTL_TLSSTAT);
	int outcome = status ? KTLS_WHO_NOBODY : ctl_failure(ctl);

	put_family("ktlsd_up", "gauge", NULL, "Whether the service answers.");
	printf("ktlsd_up %d\n", status ? 1 : 0);
	if (status)
		put_service(status);
	put_counters(counters);
	puts("# EOF");
	json_object_put(status);
	json_object_put(counters);
	return ctl_flush() < 0 ? KTLS_WHO_CALLER : outcome;
}

const struct ctl_command ctl_metrics = {
	.name = "metrics",
	.operands = "",
	.sentence = "the same for machines: OpenMetrics text, for a node exporter's textfile directory",
	.about = "Prints the service's numbers as OpenMetrics text.",
	.syntax = &ctl_help_syntax,
	.run = run,
};
