/* SPDX-License-Identifier: MIT */
#include "daemon/peer.h"

#include "daemon/hurry.h"
#include "proto/message.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

static const struct proto_info service_info = {
	.vendor = "ktlsd",
	.product = "ktlsd",
	.version = KTLSD_VERSION,
	.url = "man:ktlsd(8)",
};

static void settle(struct peer *peer);

/* --- replies */

/* text NULL is a lack of memory; then there is nothing to be said any more, and closing says it. */
static void reply(struct peer *peer, char *text, size_t length, int fd)
{
	if (text)
		proto_writer_put(&peer->writer, text, length, fd);
	else
		peer->last = true;
}

static void reply_status(struct peer *peer, const struct proto_status *status)
{
	size_t length;
	char *text = proto_status_encode(status, &length);

	reply(peer, text, length, -1);
}

/* A socket that is not delivered is shut down, not only closed: nothing may write to it again. */
static void shut_down_undelivered(struct peer *peer)
{
	if (peer->writer.fd >= 0)
		shutdown(peer->writer.fd, SHUT_RDWR);
}

static void reply_session(struct peer *peer, struct request *request)
{
	size_t length;
	char *text = proto_session_encode(&request->session, &length);

	/* Without memory for the reply the request keeps the socket, and shuts it down when it is
	 * freed. */
	reply(peer, text, length, text ? request_take(request) : -1);
}

/* --- calls */

static void log_outcome(struct peer *peer, const struct request *request, bool delivered)
{
	const struct proto_status *status = &request->status;
	const struct proto_session *session = &request->session;
	const struct proto_error_info *error = proto_error_info(status->error);

	if (error)
		log_line(peer->env->log, LOG_NOTICE, "uid %u: %s port %u: %s: %s: %s", peer->uid,
			 request->call.host, request->call.port, proto_stage_name(status->stage),
			 error->wire, status->message);
	else
		log_line(peer->env->log, delivered ? LOG_INFO : LOG_NOTICE,
			 "uid %u: %s port %u: %s, %s %s, verified by %s, %llu us%s", peer->uid,
			 request->call.host, request->call.port, session->address, session->version,
			 session->cipher, session->verified_by,
			 (unsigned long long)session->timings.total,
			 delivered ? "" : ", and the caller did not take it");
}

/* The end of the request under way, once its reply is out or never will be. */
static void conclude(struct peer *peer, bool delivered)
{
	if (!peer->answered)
		return;
	log_outcome(peer, peer->request, delivered);
	peer->answered = false;
	peer->request = request_free(peer->request);
}

static void request_done(struct request *request)
{
	struct peer *peer = request->owner;

	peer->answered = true;
	if (request->status.error == PROTO_OK)
		reply_session(peer, request);
	else
		reply_status(peer, &request->status);
	settle(peer);
}

static void carry_out_connect(struct peer *peer, struct proto_call *call)
{
	peer->request = request_new(peer->env, &call->connect, peer, request_done);
	if (!peer->request) {
		peer->last = true;
		return;
	}
	peer->request->account = peer->account;
	request_start(peer->request);
}

static void carry_out_get_info(struct peer *peer, struct proto_call *call)
{
	size_t length;
	char *text = call->oneway ? NULL : proto_info_encode(&service_info, &length);

	if (!call->oneway)
		reply(peer, text, length, -1);
}

static void carry_out_get_interface_description(struct peer *peer, struct proto_call *call)
{
	size_t length;
	char *text = call->oneway ? NULL : proto_description_encode(call->interface, &length);

	if (!call->oneway)
		reply(peer, text, length, -1);
}

static void (*const carry_out[])(struct peer *peer, struct proto_call *call) = {
	[PROTO_METHOD_CONNECT] = carry_out_connect,
	[PROTO_METHOD_GET_INFO] = carry_out_get_info,
	[PROTO_METHOD_GET_INTERFACE_DESCRIPTION] = carry_out_get_interface_description,
};

static void handle(struct peer *peer, const char *text, size_t length)
{
	_cleanup_(proto_call_deinit) struct proto_call call = { 0 };
	struct proto_status status;
	bool oneway = false;

	if (peer->reader.fd_refused) {
		proto_status_invalid(&status, "fileDescriptor",
				     "no message may carry a descriptor; this one was dropped");
		peer->last = true;
		return reply_status(peer, &status);
	}
	switch (proto_call_decode(&call, text, length, &status, &oneway)) {
	case PROTO_DECODE_OK:
		return carry_out[call.method](peer, &call);
	case PROTO_DECODE_REFUSED:
		if (!oneway)
			reply_status(peer, &status);
		return;
	case PROTO_DECODE_CLOSE:
	case PROTO_DECODE_NO_MEMORY:
		peer->last = true;
	}
}

/* --- the connection */

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
	reply_status(peer, status);
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

/* Messages that were not read may have descriptors with them. */
static void hang_up(struct peer *peer)
{
	hurry_begin();
	close_fd(&peer->fd);
	hurry_end();
}

/* Sends what is to be sent. False: the connection is over. */
static bool deliver(struct peer *peer)
{
	enum proto_frame sent = flush(peer);

	if (sent != PROTO_FRAME_AGAIN) {
		ev_io_stop(peer->env->loop, &peer->writable);
		ev_timer_stop(peer->env->loop, &peer->delivering);
		conclude(peer, sent == PROTO_FRAME_OK && !peer->last);
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
	arm_reading(peer, begun	 ? peer->env->config->limits.message_ms
			  : busy ? 0
				 : peer->env->config->limits.idle_ms);
}

/* Brings the connection as far as it goes now. The last act of every callback: the peer may be gone
 * afterwards. */
static void settle(struct peer *peer)
{
	bool alive = deliver(peer), ready = proto_writer_idle(&peer->writer) && !peer->request;
	size_t waiting = proto_reader_waiting(&peer->reader);

	/* Where nothing is under way, the first of them is what is about to begin. */
	if (!alive || waiting > PROTO_PIPELINE_MAX + (ready ? 1u : 0u))
		return peer->gone(peer);
	if (ready && waiting)
		turn_wait(&peer->turn);
	else if (ready)
		proto_reader_rest(&peer->reader);
	watch_time(peer, !ready || waiting);
}

static void on_turn(struct turn *turn)
{
	struct peer *peer = container_of(turn, struct peer, turn);
	size_t length;
	const char *text = proto_reader_next(&peer->reader, &length);

	if (text)
		handle(peer, text, length);
	settle(peer);
}

static void take(struct peer *peer)
{
	size_t waiting = proto_reader_waiting(&peer->reader);

	switch (fill(peer)) {
	case PROTO_FRAME_OK:
		if (proto_reader_waiting(&peer->reader) != waiting)
			peer->begun = false;
		return settle(peer);
	case PROTO_FRAME_AGAIN:
		return;
	case PROTO_FRAME_END:
	case PROTO_FRAME_TOO_LARGE:
	case PROTO_FRAME_FAILED:
		return peer->gone(peer);
	}
}

static void on_intake(struct turn *turn)
{
	struct peer *peer = container_of(turn, struct peer, intake);

	ev_io_start(peer->env->loop, &peer->readable);
	take(peer);
}

/* Some hundred KiB may have come, to be copied and looked through. Where there is nothing the
 * caller has hung up, which waits for no turn. */
static void on_readable(EV_P_ ev_io *io, int events)
{
	struct peer *peer = container_of(io, struct peer, readable);
	int n = 0;

	if (ioctl(io->fd, FIONREAD, &n) < 0 || n == 0)
		return take(peer);
	ev_io_stop(EV_A_ io);
	turn_wait(&peer->intake);
}

static void on_writable(EV_P_ ev_io *io, int events)
{
	settle(container_of(io, struct peer, writable));
}

static void on_reading_late(EV_P_ ev_timer *timer, int events)
{
	struct peer *peer = container_of(timer, struct peer, reading);

	peer->gone(peer);
}

static void on_delivering_late(EV_P_ ev_timer *timer, int events)
{
	struct peer *peer = container_of(timer, struct peer, delivering);

	peer->gone(peer);
}

struct peer *peer_new(struct env *env, int fd, void *owner, void (*gone)(struct peer *))
{
	struct peer *peer = calloc(1, sizeof(*peer));
	struct ucred credentials = { .uid = (uid_t)-1 };
	socklen_t length = sizeof(credentials);

	if (!peer) {
		close_fd(&fd);
		return NULL;
	}
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length);
	*peer = (struct peer){
		.env = env, .fd = fd, .uid = credentials.uid, .account = credentials.uid,
		.owner = owner, .gone = gone,
	};
	list_init(&peer->link);
	turn_init(&peer->intake, &env->turns, peer->account, on_intake);
	turn_init(&peer->turn, &env->turns, peer->account, on_turn);
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
	turn_leave(&peer->intake);
	turn_leave(&peer->turn);
	conclude(peer, false);
	request_free(peer->request);
	ev_io_stop(peer->env->loop, &peer->readable);
	ev_io_stop(peer->env->loop, &peer->writable);
	ev_timer_stop(peer->env->loop, &peer->reading);
	ev_timer_stop(peer->env->loop, &peer->delivering);
	shut_down_undelivered(peer);
	proto_writer_deinit(&peer->writer);
	proto_reader_deinit(&peer->reader);
	hang_up(peer);
	free(peer);
	return NULL;
}
