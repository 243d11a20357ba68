/* SPDX-License-Identifier: MIT */
#include "daemon/stats.h"

#include "daemon/config-settings.h"
#include "daemon/quota.h"
#include "daemon/tally.h"
#include "daemon/utc.h"

/* What a scraper gets buckets of: from 64 us to 134 s, more than a request may take. */
#define BUCKET_LEAST 64
#define BUCKETS 22

static void *make_room(struct proto_list *list, size_t most, size_t size)
{
	return list->items = calloc(most, size);
}

/* A worker that went astray may have written any time: what is none is empty. */
static void format_time(char to[static UTC_SIZE], uint64_t seconds)
{
	time_t when = (time_t)seconds;
	struct tm tm;

	utc_text(to, gmtime_r(&when, &tm));
}

/* --- its parts, each a list; false: no memory */

static bool add_workers(const struct tally *tally, struct proto_report *report)
{
	unsigned int seats = tally_seats(tally);
	struct proto_worker *items = make_room(&report->workers, seats + 1, sizeof(*items));

	for (unsigned int seat = 0; items && seat < seats; seat++) {
		const struct tally_worker *worker = &tally->shared->workers[seat];
		struct proto_worker *item = &items[report->workers.n];

		item->pid = (unsigned int)worker->pid;
		if (!item->pid)
			continue;
		format_time(item->since, worker->since);
		item->under_way = tally_under_way(tally, seat);
		report->under_way += item->under_way;
		report->workers.n++;
	}
	return items;
}

static void add_outcome(struct proto_list *outcomes, enum request_aim aim, unsigned int ending,
			enum proto_stage stage, uint64_t n)
{
	if (n)
		((struct proto_outcome *)outcomes->items)[outcomes->n++] = (struct proto_outcome){
			ending_aim_name(aim), ending_name(ending), proto_stage_name(stage), n
		};
}

static bool add_outcomes(const struct tally *tally, const struct tally_counts *all,
			 struct proto_report *report)
{
	struct proto_list *list = &report->outcomes;

	if (!make_room(list, N_REQUEST_AIMS * (N_ENDINGS * ENDING_STAGES + 1),
		       sizeof(struct proto_outcome)))
		return false;
	for (enum request_aim aim = 0; aim < N_REQUEST_AIMS; aim++) {
		for (unsigned int ending = 0; ending < N_ENDINGS; ending++)
			for (enum proto_stage stage = 0; stage < ENDING_STAGES; stage++)
				add_outcome(list, aim, ending, stage, all->ended[aim][ending][stage]);
		add_outcome(list, aim, ENDING_LOST, PROTO_STAGE_NONE, tally->shared->lost[aim]);
	}
	return true;
}

static bool add_latency(const struct tally_times *times, struct proto_latency *to)
{
	struct proto_bucket *buckets = make_room(&to->buckets, BUCKETS, sizeof(*buckets));

	to->count = times->count;
	to->sum = times->sum;
	to->p50 = tally_quantile(times, 50);
	to->p90 = tally_quantile(times, 90);
	to->p99 = tally_quantile(times, 99);
	for (unsigned int i = 0; buckets && i < BUCKETS; i++) {
		uint64_t up_to = (uint64_t)BUCKET_LEAST << i;

		buckets[i] = (struct proto_bucket){ up_to, tally_up_to(times, up_to) };
		to->buckets.n++;
	}
	return buckets;
}

static bool add_latencies(const struct tally_counts *all, struct proto_report *report)
{
	static const char *const names[TALLY_TIMES] = {
		"resolve", "connect", "handshake", "install", "total"
	};
	struct proto_latency *items = make_room(&report->latencies, TALLY_TIMES, sizeof(*items));
	bool good = items;

	for (size_t i = 0; good && i < TALLY_TIMES; i++) {
		items[i].stage = names[i];
		report->latencies.n++;
		good = add_latency(&all->times[i], &items[i]);
	}
	return good;
}

static bool add_sessions(const struct tally *tally, const struct tally_counts *all,
			 struct proto_report *report)
{
	static const char *const versions[] = { "TLSv1.2", "other" };
	struct proto_list *list = &report->sessions;
	struct proto_agreed *items = make_room(list, array_size(versions) * (TALLY_SUITES + 1),
					       sizeof(*items));

	for (size_t version = 0; items && version < array_size(versions); version++)
		for (size_t suite = 0; suite <= TALLY_SUITES; suite++)
			if (all->sessions[version][suite])
				items[list->n++] = (struct proto_agreed){
					versions[version],
					suite < tally->n_suites ? tally->suites[suite] : "other",
					all->sessions[version][suite]
				};
	return items;
}

static bool add_quotas(const struct env *env, unsigned int account, struct proto_report *report)
{
	struct proto_quota *items = make_room(&report->quotas, QUOTA_USAGES, sizeof(*items));

	if (!items)
		return false;
	quota_usage(env, account, items);
	report->quotas.n = QUOTA_USAGES;
	return true;
}

bool stats_report(const struct env *env, unsigned int account, struct proto_report *report)
{
	const struct tally *tally = env->tally;
	struct tally_counts all;

	tally_add_up(tally, &all);
	*report = (struct proto_report){
		.version = KTLSD_VERSION, .pid = (unsigned int)tally->pid,
		.workers_lost = tally->shared->workers_lost, .reloads = tally->shared->reloads,
		.calls_refused = all.refused, .records_suppressed = all.suppressed,
	};
	format_time(report->since, tally->since);
	format_time(report->loaded, (uint64_t)env->loaded);
	return add_workers(tally, report) && add_outcomes(tally, &all, report) &&
	       add_latencies(&all, report) && add_sessions(tally, &all, report) &&
	       add_quotas(env, account, report) &&
	       config_settings(env->config, &report->configuration);
}
