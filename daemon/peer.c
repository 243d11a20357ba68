/* SPDX-License-Identifier: MIT */
#include "daemon/peer.h"

#include "daemon/calls.h"
#include "daemon/hurry.h"
#include "daemon/quota.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

static const char service_ends[] = "the service ends, or is started anew";

/* A socket that is not delivered is shut down, not only closed: nothing may write to it again. */
static void shut_down_undelivered(struct peer *peer)
{
	if (peer->writer.fd >= 0)
		shutdown(peer->writer.fd, SHUT_RDWR);
}

/*
 * The kernel bounds the descriptors that are on their way and not yet received, for all callers
 * together (unix(7), ETOOMANYREFS). The caller gets a word in place of a socket.
 */
static enum proto_frame refuse_for_now(struct peer *peer)
{
	struct proto_status *status = &peer->request->status;

	shut_down_undelivered(peer);
	proto_writer_deinit(&peer->writer);
	proto_status_set(status, PROTO_BUSY, PROTO_STAGE_INSTALL, ETOOMANYREFS,
			 "too many sockets wait for their callers to take them");
	status->retry = true;
	calls_refuse(peer, status);
	return proto_writer_flush(&peer->writer, peer->fd);
}

static enum proto_frame flush(struct peer *peer)
{
	bool hands_over = peer->writer.fd >= 0;
	enum proto_frame sent;

	if (proto_writer_idle(&peer->writer))
		return PROTO_FRAME_OK;
	if (hands_over)
		hurry_begin();
	sent = proto_writer_flush(&peer->writer, peer->fd);
	if (hands_over)
		hurry_end();
	if (sent == PROTO_FRAME_FAILED && errno == ETOOMANYREFS && hands_over)
		return refuse_for_now(peer);
	return sent;
}

static enum proto_frame fill(struct peer *peer)
{
	enum proto_frame filled;

	hurry_begin();
	filled = proto_reader_fill(&peer->reader, peer->fd);
	hurry_end();
	return filled;
}

/* The supervisor has a copy of it, so closing alone would not end it. Messages that were not read
 * may have descriptors with them. */
static void hang_up(struct peer *peer)
{
	shutdown(peer->fd, SHUT_RDWR);
	hurry_begin();
	close_fd(&peer->fd);
	hurry_end();
}

/* Nothing of it goes on any more. */
static void fall_silent(struct peer *peer)
{
	turn_leave(&peer->intake);
	turn_leave(&peer->turn);
	calls_cancel(peer);
	ev_io_stop(peer->env->loop, &peer->readable);
	ev_io_stop(peer->env->loop, &peer->writable);
	ev_timer_stop(peer->env->loop, &peer->reading);
	ev_timer_stop(peer->env->loop, &peer->delivering);
	charge_give_back(&peer->memory);
	shut_down_undelivered(peer);
	proto_writer_deinit(&peer->writer);
	proto_reader_deinit(&peer->reader);
}

/*
 * The connection is over. Where a socket was sent that the caller has not taken, it is so for him
 * alone: as long as he keeps his end the socket is on its way, and he is charged with it. Else
 * whoever hangs up by halves could have as many on their way as the kernel allows to all.
 */
static void end(struct peer *peer)
{
	bool sent = untaken_waits(&peer->untaken) && peer->writer.fd < 0;

	if (!sent || peer->draining)
		return peer->gone(peer);
	fall_silent(peer);
	peer->over = true;
	shutdown(peer->fd, SHUT_RDWR);
}

/* Sends what is to be sent. False: the connection is over. */
static bool deliver(struct peer *peer)
{
	enum proto_frame sent = flush(peer);

	if (sent != PROTO_FRAME_AGAIN) {
		ev_io_stop(peer->env->loop, &peer->writable);
		ev_timer_stop(peer->env->loop, &peer->delivering);
		calls_conclude(peer, sent == PROTO_FRAME_OK && !peer->last);
		untaken_wait(&peer->untaken);
		return sent == PROTO_FRAME_OK && !peer->last;
	}
	ev_io_start(peer->env->loop, &peer->writable);
	if (!ev_is_active(&peer->delivering)) {
		ev_timer_set(&peer->delivering, peer->env->config->limits.delivery_ms / 1e3, 0);
		ev_timer_start(peer->env->loop, &peer->delivering);
	}
	return true;
}

static void arm_reading(struct peer *peer, unsigned int ms)
{
	ev_timer_stop(peer->env->loop, &peer->reading);
	if (ms) {
		ev_timer_set(&peer->reading, ms / 1e3, 0);
		ev_timer_start(peer->env->loop, &peer->reading);
	}
}

/* What the caller has time for now: the rest of a begun message, the next message, or as long as
 * its own call takes. */
static void watch_time(struct peer *peer, bool busy)
{
	bool begun = proto_reader_begun(&peer->reader);

	if (begun && peer->begun)
		return;
	peer->begun = begun;
	if (begun || (peer->draining && !peer->called))
		arm_reading(peer, peer->env->config->limits.message_ms);
	else
		arm_reading(peer, busy ? 0 : peer->env->config->limits.idle_ms);
}

/* What came in before the end of reading is answered, what comes after it the caller cannot send
 * (EPIPE): there is nothing of which he could not know. No more comes, so what is there has an end.
 */
static void last_look(struct peer *peer, const char *why)
{
	struct proto_status status;

	shutdown(peer->fd, SHUT_RD);
	while (!proto_reader_waiting(&peer->reader) && fill(peer) == PROTO_FRAME_OK)
		;
	if (proto_reader_waiting(&peer->reader)) {
		proto_status_set(&status, PROTO_BUSY, PROTO_STAGE_NONE, 0, "%s", why);
		status.retry = true;
		calls_refuse(peer, &status);
		deliver(peer);
	}
	end(peer);
}

/* For the next call, or to go. A socket that the caller has not taken is no reason to stay when the
 * service ends, unless there is a call behind it; and that waits for its being taken, as ever. */
static bool is_ready(const struct peer *peer)
{
	bool may_go = peer->draining && !proto_reader_waiting(&peer->reader);

	return proto_writer_idle(&peer->writer) && !peer->request &&
	       (may_go || !untaken_waits(&peer->untaken));
}

/* Most of its time a connection waits, and then it has no memory. */
static void rest(struct peer *peer)
{
	struct proto_status status;

	proto_reader_rest(&peer->reader);
	quota_memory(&peer->memory, peer->env, peer->credentials.account, peer->reader.size,
		     &status);
}

void peer_settle(struct peer *peer)
{
	bool alive = deliver(peer), ready = is_ready(peer);
	size_t waiting = proto_reader_waiting(&peer->reader);

	/* Where nothing is under way, the first of them is what is about to begin. */
	if (!alive || waiting > PROTO_PIPELINE_MAX + (ready ? 1u : 0u))
		return end(peer);
	if (ready && waiting)
		turn_wait(&peer->turn);
	else if (ready && peer->draining && peer->called)
		return last_look(peer, service_ends);
	else if (ready)
		rest(peer);
	watch_time(peer, !ready || waiting);
}

static void on_turn(struct turn *turn)
{
	struct peer *peer = container_of(turn, struct peer, turn);
	size_t length;
	const char *text = proto_reader_next(&peer->reader, &length);

	peer->called = true;
	if (text)
		calls_begin(peer, text, length);
	peer_settle(peer);
}

/* What has come in waits in memory for as long as a call takes. Where there is no room for it, the
 * caller is told so if nothing else is being said to him. */
static bool has_room(struct peer *peer)
{
	struct proto_status status;

	if (quota_memory(&peer->memory, peer->env, peer->credentials.account, peer->reader.size,
			 &status) == PROTO_OK)
		return true;
	if (!peer->request && proto_writer_idle(&peer->writer)) {
		calls_refuse(peer, &status);
		deliver(peer);
	}
	return false;
}

static void take(struct peer *peer)
{
	size_t waiting = proto_reader_waiting(&peer->reader);

	switch (fill(peer)) {
	case PROTO_FRAME_OK:
		if (!has_room(peer))
			return end(peer);
		if (proto_reader_waiting(&peer->reader) != waiting)
			peer->begun = false;
		return peer_settle(peer);
	case PROTO_FRAME_AGAIN:
		return;
	case PROTO_FRAME_TOO_LARGE:
		tally_refuse(peer->env->tally, peer->env->book->seat);
		return end(peer);
	case PROTO_FRAME_END:
	case PROTO_FRAME_FAILED:
		return end(peer);
	}
}

static void on_intake(struct turn *turn)
{
	struct peer *peer = container_of(turn, struct peer, intake);

	ev_io_start(peer->env->loop, &peer->readable);
	take(peer);
}

/* Some hundred KiB may have come, to be copied and looked through. Where there is nothing the
 * caller has hung up, which waits for no turn. EV_ERROR: the loop has no memory to watch him. */
static void on_readable(EV_P_ ev_io *io, int events)
{
	struct peer *peer = container_of(io, struct peer, readable);
	int n = 0;

	if (events & EV_ERROR)
		return end(peer);
	if (ioctl(io->fd, FIONREAD, &n) < 0 || n == 0)
		return take(peer);
	ev_io_stop(EV_A_ io);
	turn_wait(&peer->intake);
}

static void on_writable(EV_P_ ev_io *io, int events)
{
	struct peer *peer = container_of(io, struct peer, writable);

	if (events & EV_ERROR)
		return end(peer);
	peer_settle(peer);
}

static void on_taken(struct untaken *untaken)
{
	struct peer *peer = container_of(untaken, struct peer, untaken);

	if (peer->over)
		return peer->gone(peer);
	peer_settle(peer);
}

/* What has just come in may still be waiting for its turn to be read. */
static void on_reading_late(EV_P_ ev_timer *timer, int events)
{
	struct peer *peer = container_of(timer, struct peer, reading);

	if (is_ready(peer))
		return last_look(peer, "the call came too late, or could not be read in time");
	end(peer);
}

static void on_delivering_late(EV_P_ ev_timer *timer, int events)
{
	struct peer *peer = container_of(timer, struct peer, delivering);

	end(peer);
}

struct peer *peer_new(struct env *env, int fd, unsigned int account, void *owner,
		      void (*gone)(struct peer *))
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer || credentials_read(&peer->credentials, fd) < 0) {
		if (peer)
			credentials_deinit(&peer->credentials);
		free(peer);
		close_fd(&fd);
		return NULL;
	}
	peer->env = env;
	peer->fd = fd;
	peer->credentials.account = account;
	peer->owner = owner;
	peer->gone = gone;
	list_init(&peer->link);
	turn_init(&peer->intake, &env->turns, account, on_intake);
	turn_init(&peer->turn, &env->turns, account, on_turn);
	untaken_init(&peer->untaken, &env->watches, fd, on_taken);
	proto_reader_init(&peer->reader, false);
	proto_writer_init(&peer->writer);
	ev_io_init(&peer->readable, on_readable, fd, EV_READ);
	ev_io_init(&peer->writable, on_writable, fd, EV_WRITE);
	ev_timer_init(&peer->reading, on_reading_late, 0, 0);
	ev_timer_init(&peer->delivering, on_delivering_late, 0, 0);
	ev_io_start(env->loop, &peer->readable);
	watch_time(peer, false);
	return peer;
}

struct peer *peer_free(struct peer *peer)
{
	if (!peer)
		return NULL;
	list_leave(&peer->link);
	fall_silent(peer);
	untaken_deinit(&peer->untaken);
	hang_up(peer);
	credentials_deinit(&peer->credentials);
	free(peer);
	return NULL;
}

void peer_drain(struct peer *peer)
{
	peer->draining = true;
	peer->begun = false;
	peer_settle(peer);
}

void peer_end(struct peer *peer)
{
	peer->draining = peer->last = true;
	if (peer->request && !peer->answered)
		request_end(peer->request);
	else if (is_ready(peer))
		last_look(peer, service_ends);
	else
		peer_settle(peer);
}
