/* SPDX-License-Identifier: MIT */
/* One caller's connection to the service, whose stages are played. */
#pragma once

#include "tests/unit/caller.h"

#include "daemon/peer.h"

struct scene {
	struct theatre theatre;
	struct peer *peer;
	struct caller caller;
	unsigned int n_gone;
	bool gone;
	uint64_t began_us, gone_us;
};

static inline void on_gone(struct peer *peer)
{
	struct scene *scene = peer->owner;

	scene->n_gone++;
	scene->gone = true;
	scene->gone_us = clock_us() - scene->began_us;
	scene->peer = peer_free(peer);
}

static inline void scene_prepare(struct scene *scene)
{
	scene->n_gone = 0;
	scene->gone = false;
	theatre_open(&scene->theatre);
}

static inline void scene_connect(struct scene *scene)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
			 0);
	caller_init(&scene->caller, ends[1]);
	scene->began_us = clock_us();
	ev_now_update(play.loop);
	scene->peer = peer_new(&scene->theatre.env, ends[0], scene->theatre.caller.account, scene, on_gone);
	assert_non_null(scene->peer);
}

static inline struct scene *scene_new(void)
{
	static struct scene scene;

	scene_prepare(&scene);
	scene_connect(&scene);
	return &scene;
}

/* Whatever is under way ends by the owner freeing it, and nothing is left. */
static inline void scene_free(struct scene *scene)
{
	unsigned int n_gone = scene->n_gone;

	scene->peer = peer_free(scene->peer);
	assert_null(peer_free(NULL));
	caller_hang_up(&scene->caller);
	theatre_close(&scene->theatre);
	assert_int_equal(scene->n_gone, n_gone);
}

static inline void expect_gone(struct scene *scene)
{
	run_until(play.loop, is_set, &scene->gone);
	assert_int_equal(scene->n_gone, 1);
	assert_int_equal(theatre_requests(&scene->theatre), 0);
	if (play.far_end >= 0)
		assert_string_equal(far_end_sees(play.far_end, PATIENCE), "end");
}

static inline void expect_gone_after(struct scene *scene, unsigned int ms)
{
	expect_gone(scene);
	if (scene->gone_us < ms * 1000 || scene->gone_us > (ms + LATE_MS) * 1000)
		fail_msg("gone after %u us, not %u ms", (unsigned int)scene->gone_us, ms);
}

static inline bool has_request(void *scene)
{
	return ((struct scene *)scene)->peer->request != NULL;
}

static inline bool stage_runs(void *stage)
{
	return ((struct played_stage *)stage)->running;
}

static inline struct scene *scene_with_limits(unsigned int idle_ms, unsigned int message_ms,
				       unsigned int delivery_ms)
{
	static struct scene scene;

	scene_prepare(&scene);
	scene.theatre.config.limits.idle_ms = idle_ms;
	scene.theatre.config.limits.message_ms = message_ms;
	scene.theatre.config.limits.delivery_ms = delivery_ms;
	scene_connect(&scene);
	return &scene;
}

/* Two of three bring nothing but what is there already. */
static inline void take_turns(unsigned int n)
{
	for (unsigned int turn = 0; turn < n; turn++)
		if (turn % 3)
			ev_run(play.loop, EVRUN_NOWAIT);
		else
			run_for(play.loop, 1.5 * LATER_MS / 1e3);
}

static inline void send_many(struct scene *scene, size_t n)
{
	for (size_t i = 0; i < n; i++)
		caller_send(&scene->caller, i % 2 ? GET_INTERFACE : GET_INFO);
}

static inline void expect_many(struct scene *scene, size_t n)
{
	for (size_t i = 0; i < n; i++)
		expect_reply(&scene->caller,
			     i % 2 ? "interface io.ktlsd" : "\"product\":\"ktlsd\"");
}
