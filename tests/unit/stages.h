/* SPDX-License-Identifier: MIT */
/*
 * The stages of a request, played: what they do, and when, is told by the test. They keep the
 * promises of the headers whose functions they stand for, and check that they are used as these
 * say. A program that includes this links with -Wl,--wrap=SSL_free,--wrap=X509_STORE_free.
 */
#pragma once

#include "tests/unit/loop.h"

#include "daemon/request.h"

#include <netinet/tcp.h>
#include <openssl/ssl.h>

enum how { AT_ONCE, LATER, FAILS_AT_ONCE, FAILS_LATER, NEVER };

#define LATER_MS 1.0

struct played_stage {
	enum how how;
	double later_ms;
	unsigned int starts, ends;	/* an end is done, stopped while running */
	bool running;
	ev_timer timer;
	void *arg;
};

enum refusal { NOTHING, OF_TLS, OF_TRUST, OF_KERNEL, OF_ATTACH, OF_START, OF_START_NAME, OF_KEYS, OF_PREPARE,
	       OF_INSTALL };

static struct {
	struct ev_loop *loop;
	struct played_stage resolve, connect, handshake;
	int gai_error, sys_errno;	/* of resolve, if it fails */
	bool lost;
	enum refusal refusal;
	bool silent;			/* refusals and failures without a word in the status */
	int attach_errno;		/* of OF_ATTACH */
	enum { STAYS, CLOSES, RESETS } leaves;	/* what the peer does before the ULP */
	unsigned int busy_ms;		/* what policy takes, blocking */
	unsigned int probes;		/* of the kernel */
	bool probe_finds_nothing;
	int cipher_errno;		/* of the first cipher, in that probe */
	SSL_CTX *ctx;
	int listener;
	struct sockaddr_storage address;
	int far_end;			/* of the connection that connect made; -1: none */
	int copy;			/* of its near end: close() alone does not end it */
	int live_ssl, live_stores;
	unsigned int attaches, keys, installs;	/* touches of the door to the kernel */
	unsigned int offers[2];		/* by enum tls_offer */
	unsigned int farewells;
	unsigned int traces;		/* stages that are to tell what they see */
	const char *obstacle;		/* to the kernel's taking over */
} play;

/* --- the machinery */

void __real_SSL_free(SSL *ssl);
void __wrap_SSL_free(SSL *ssl);
void __real_X509_STORE_free(X509_STORE *store);
void __wrap_X509_STORE_free(X509_STORE *store);

void __wrap_SSL_free(SSL *ssl)
{
	play.live_ssl -= ssl != NULL;
	__real_SSL_free(ssl);
}

void __wrap_X509_STORE_free(X509_STORE *store)
{
	play.live_stores -= store != NULL;
	__real_X509_STORE_free(store);
}

static inline void stage_start(struct played_stage *stage, void *arg,
			       void (*callback)(EV_P_ ev_timer *timer, int events))
{
	assert_false(stage->running);
	stage->running = true;
	stage->starts++;
	stage->arg = arg;
	ev_timer_init(&stage->timer, callback, (stage->later_ms ?: LATER_MS) / 1e3, 0);
	if (stage->how == AT_ONCE || stage->how == FAILS_AT_ONCE)
		ev_feed_event(play.loop, &stage->timer, EV_TIMER);
	else if (stage->how != NEVER)
		ev_timer_start(play.loop, &stage->timer);
}

static inline void stage_end(struct played_stage *stage)
{
	if (!stage->running)
		return;
	ev_timer_stop(play.loop, &stage->timer);
	stage->running = false;
	stage->ends++;
}

static inline bool stage_fails(const struct played_stage *stage)
{
	return stage->how == FAILS_AT_ONCE || stage->how == FAILS_LATER;
}

static inline enum proto_error play_refusal(struct proto_status *status, enum proto_error error,
					    enum proto_stage stage, int sys_errno)
{
	if (play.silent)
		return error;
	return proto_status_set(status, error, stage, sys_errno, "played");
}

/* --- policy */

bool kernel_probe(struct kernel *kernel)
{
	play.probes++;
	*kernel = (struct kernel){ .ulp_errno = play.probe_finds_nothing ? ENOENT : 0,
				   .cipher_errno = { play.cipher_errno } };
	return !kernel->ulp_errno;
}

/* What a probe finds comes by the probe alone. */
int kernel_ulp_errno(void)
{
	return ENOENT;
}

bool kernel_takes_any(const struct kernel *kernel)
{
	return !kernel->ulp_errno;
}

bool kernel_takes(const struct kernel *kernel, const struct cipher *cipher)
{
	return !kernel->ulp_errno && !kernel->cipher_errno[cipher - ciphers];
}

bool kernel_was_hindered(const struct kernel *kernel)
{
	return kernel->cipher_errno[0] == ENOMEM;
}

enum proto_error kernel_unavailable(const struct kernel *kernel, struct proto_status *status)
{
	return proto_status_set(status, PROTO_KERNEL_TLS_UNAVAILABLE, PROTO_STAGE_INSTALL,
				kernel->ulp_errno, "played");
}

struct tls *tls_new(const struct config *config, const struct kernel *kernel, char **message)
{
	return calloc(1, 1);
}

struct tls *tls_free(struct tls *tls)
{
	free(tls);
	return NULL;
}

const STACK_OF(SSL_CIPHER) *tls_suites(struct tls *tls)
{
	return SSL_CTX_get_ciphers(play.ctx);
}

static inline void be_busy(unsigned int ms)
{
	uint64_t end = clock_us() + ms * UINT64_C(1000);

	while (clock_us() < end)
		;
}

SSL *tls_session(struct tls *tls, const struct proto_connect *wanted, enum tls_offer offer,
		 struct proto_status *status)
{
	SSL *ssl;

	play.offers[offer]++;
	be_busy(play.busy_ms);
	if (play.refusal == OF_TLS) {
		play_refusal(status, PROTO_NOT_AUTHORIZED, PROTO_STAGE_POLICY, 0);
		return NULL;
	}
	if (offer == TLS_OFFER_KERNEL &&
	    (play.refusal == OF_KERNEL || play.probe_finds_nothing)) {
		play_refusal(status, PROTO_NOT_OFFLOADABLE, PROTO_STAGE_POLICY, 0);
		return NULL;
	}
	ssl = SSL_new(play.ctx);
	assert_non_null(ssl);
	play.live_ssl++;
	return ssl;
}

enum proto_error trust_get(struct trust *trust, const struct proto_trust *wanted,
			   X509_STORE **store, struct proto_status *status)
{
	if (play.refusal == OF_TRUST) {
		if (play.silent)
			return PROTO_INVALID_PARAMETER;
		return proto_status_invalid(status, "trust.ca", "played");
	}
	*store = X509_STORE_new();
	assert_non_null(*store);
	play.live_stores++;
	return PROTO_OK;
}

size_t trust_count(const struct trust *trust)
{
	return 1;
}

struct proto_store_state trust_state(const struct trust *trust, size_t i)
{
	assert_int_equal(i, 0);
	return (struct proto_store_state){ .name = "played", .certificates = 2, .valid = 1 };
}

/* --- resolve */

void resolver_init(struct resolver *resolver, struct ev_loop *loop, int nursery, unsigned int max,
		   unsigned int max_of_user)
{
	list_init(&resolver->waiting);
	list_init(&resolver->running);
	resolver->loop = loop;
	resolver->max = max;
	resolver->max_of_user = max_of_user;
}

void resolver_deinit(struct resolver *resolver)
{
}

static inline void on_resolve(EV_P_ ev_timer *timer, int events)
{
	struct played_stage *stage = container_of(timer, struct played_stage, timer);
	struct lookup *lookup = stage->arg;

	stage_end(stage);
	lookup->gai_error = stage_fails(stage) ? play.gai_error ?: EAI_NONAME : 0;
	lookup->sys_errno = play.sys_errno;
	lookup->lost = play.lost;
	if (!lookup->gai_error) {
		lookup->addresses = (struct addresses){ .n = 1 };
		lookup->addresses.items[0] = play.address;
	}
	lookup->done(lookup);
}

void lookup_start(struct lookup *lookup, struct resolver *resolver, unsigned int account,
		  const char *host, void (*done)(struct lookup *))
{
	*lookup = (struct lookup){ .resolver = resolver, .host = host, .done = done };
	stage_start(&play.resolve, lookup, on_resolve);
}

void lookup_stop(struct lookup *lookup)
{
	if (lookup->resolver && lookup == play.resolve.arg)
		stage_end(&play.resolve);
}

/* --- connect */

static inline void on_connect(EV_P_ ev_timer *timer, int events)
{
	struct played_stage *stage = container_of(timer, struct played_stage, timer);
	struct connect_race *race = stage->arg;
	int ends[2];

	stage_end(stage);
	race->address = &race->addresses->items[0];
	play.traces += race->trace != NULL;
	if (race->trace)
		trace_attempt(race->trace, race->address, 1);
	if (stage_fails(stage)) {
		race->last_errno = ECONNREFUSED;
	} else {
		tcp_pair(play.listener, &play.address, ends);
		race->fd = ends[0];
		close_fd(&play.far_end);
		close_fd(&play.copy);
		play.far_end = ends[1];
		play.copy = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
	}
	race->done(race);
}

void connect_start(struct connect_race *race, struct watch_set *watches,
		   const struct addresses *addresses, void (*done)(struct connect_race *))
{
	assert_int_equal(addresses->n, 1);
	*race = (struct connect_race){
		.watches = watches, .addresses = addresses, .fd = -1, .started = 1, .done = done,
	};
	stage_start(&play.connect, race, on_connect);
}

void connect_stop(struct connect_race *race)
{
	if (race->watches && race == play.connect.arg)
		stage_end(&play.connect);
	close_fd(&race->fd);
}

/* --- handshake */

static inline void far_end_leaves(int fd)
{
	struct linger at_once = { .l_onoff = play.leaves == RESETS, .l_linger = 0 };

	if (play.leaves == STAYS)
		return;
	assert_int_equal(setsockopt(play.far_end, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)),
			 0);
	close_fd(&play.far_end);
	assert_true(wait_for_events(fd, POLLRDHUP, PATIENCE));
}

enum proto_error kernel_attach(int fd, struct proto_status *status)
{
	assert_true(fd >= 0);
	play.attaches++;
	far_end_leaves(fd);
	if (play.refusal != OF_ATTACH)
		return PROTO_OK;
	return play_refusal(status, PROTO_KERNEL_TLS_UNAVAILABLE, PROTO_STAGE_INSTALL,
			    play.attach_errno ?: ENOENT);
}

/* A flight of several small writes must not wait for the peer in between. */
static inline bool has_no_delay(int fd)
{
	int on = 0;
	socklen_t length = sizeof(on);

	return getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &length) == 0 && on;
}

static inline void on_handshake(EV_P_ ev_timer *timer, int events)
{
	struct played_stage *stage = container_of(timer, struct played_stage, timer);
	struct handshake *handshake = stage->arg;
	enum proto_error error = PROTO_OK;

	stage_end(stage);
	play.traces += handshake->verify.trace != NULL;
	if (stage_fails(stage))
		error = play_refusal(handshake->status, PROTO_HANDSHAKE_FAILED,
				     PROTO_STAGE_HANDSHAKE, 0);
	handshake->done(handshake, error);
}

enum proto_error handshake_start(struct handshake *handshake, struct watch_set *watches,
				 struct turns *turns, unsigned int account, int fd, SSL *ssl,
				 X509_STORE *anchors, const struct proto_connect *wanted,
				 struct proto_status *status,
				 void (*done)(struct handshake *, enum proto_error))
{
	assert_true(has_no_delay(fd));
	assert_non_null(ssl);
	assert_non_null(anchors);
	*handshake = (struct handshake){
		.watches = watches, .ssl = ssl, .wanted = wanted, .status = status, .done = done,
		.verify = { .anchors = anchors },
	};
	if (play.refusal == OF_START_NAME)
		return proto_status_invalid(status, "host", "played");
	if (play.refusal == OF_START)
		return play_refusal(status, PROTO_INTERNAL_ERROR, PROTO_STAGE_HANDSHAKE, ENOMEM);
	stage_start(&play.handshake, handshake, on_handshake);
	return PROTO_OK;
}

void handshake_stop(struct handshake *handshake)
{
	if (handshake->watches && handshake == play.handshake.arg)
		stage_end(&play.handshake);
	SSL_free(steal_ptr(&handshake->ssl));
	X509_STORE_free(steal_ptr(&handshake->verify.anchors));
}

const char *handshake_obstacle(const struct handshake *handshake)
{
	assert_non_null(handshake->ssl);
	return play.obstacle;
}

void handshake_farewell(struct handshake *handshake)
{
	assert_non_null(handshake->ssl);
	assert_string_equal(far_end_sees(play.far_end, 0), "");
	play.farewells++;
}

/* --- install */

enum proto_error handshake_keys(struct handshake *handshake, struct session_keys *keys)
{
	assert_non_null(handshake->ssl);
	play.keys++;
	if (play.refusal == OF_KEYS)
		return play_refusal(handshake->status, PROTO_NOT_OFFLOADABLE, PROTO_STAGE_INSTALL,
				    0);
	return PROTO_OK;
}

void handshake_facts(const struct handshake *handshake, struct proto_session *session)
{
	assert_non_null(handshake->ssl);
	strcpy(session->version, "TLSv1.2");
	strcpy(session->cipher, "ECDHE-RSA-AES256-GCM-SHA384");
	strcpy(session->kernel_cipher, "aes-gcm-256");
	strcpy(session->verified_by, "chain+name");
}

enum proto_error kernel_install(int fd, const struct session_keys *keys,
				struct proto_status *status)
{
	/* The socket is as the caller is to have it: nothing that can fail comes behind this. */
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	play.installs++;
	if (play.refusal == OF_INSTALL)
		return play_refusal(status, PROTO_KERNEL_TLS_UNAVAILABLE, PROTO_STAGE_INSTALL,
				    EBUSY);
	return PROTO_OK;
}

/* --- a service to play in */

static inline void expect_stage_over(const struct played_stage *stage)
{
	assert_false(stage->running);
	assert_int_equal(stage->starts, stage->ends);
}

/* A new piece, in which everything goes well, and at once. */
static inline void play_clear(void)
{
	close_fd(&play.far_end);
	close_fd(&play.copy);
	play.resolve = play.connect = play.handshake = (struct played_stage){ .how = AT_ONCE };
	play.refusal = NOTHING;
	play.silent = play.probe_finds_nothing = false;
	play.leaves = STAYS;
	play.cipher_errno = play.attach_errno = play.gai_error = play.sys_errno = 0;
	play.lost = false;
	play.traces = play.busy_ms = play.probes = play.attaches = play.keys = play.installs = play.farewells = 0;
	play.offers[TLS_OFFER_KERNEL] = play.offers[TLS_OFFER_ALL] = 0;
	play.obstacle = NULL;
}

static inline void play_expect_over(void)
{
	expect_stage_over(&play.resolve);
	expect_stage_over(&play.connect);
	expect_stage_over(&play.handshake);
	assert_int_equal(play.live_ssl, 0);
	assert_int_equal(play.live_stores, 0);
}

static inline int play_init(void **state)
{
	play.far_end = play.copy = -1;
	play.ctx = SSL_CTX_new(TLS_client_method());
	play.listener = tcp_listen(AF_INET, &play.address, 64);
	return play.ctx ? 0 : -1;
}

static inline int play_deinit(void **state)
{
	play_clear();
	close_fd(&play.listener);
	SSL_CTX_free(play.ctx);
	return 0;
}

/* An environment with the limits of the shipped configuration, and a caller in it. */
struct theatre {
	struct config config;
	struct log log;
	struct ledger *ledger;
	struct tally *tally;
	struct book book;
	struct credentials caller;
	struct env env;
	size_t descriptors;
};

static inline void theatre_open(struct theatre *theatre)
{
	struct env_parts parts = { .nursery = -1, .workers = 1 };

	play_clear();
	*theatre = (struct theatre){
		.config = {
			.service = { .tcp_no_delay = true, .tcp_keepalive = true },
			.limits = {
				.connections = 1024, .requests = 512, .resolvers = 8, .user_resolvers = 2,
				.user_requests = 512, .user_requests_per_sec = 1000000,
				.user_requests_burst = 1000000,
				.user_records_per_sec = 1000000, .user_records_burst = 1000000,
				.undelivered = 1024, .user_undelivered = 16,
				.memory_mib = 256, .user_memory_mib = 64,
				.resolve_ms = 5000, .connect_ms = 10000, .handshake_ms = 10000,
				.idle_ms = 60000, .message_ms = 2000, .delivery_ms = 2000,
			},
		},
		.log = { .fd = -1 },
		.ledger = ledger_new(),
		.tally = tally_new(),
		.descriptors = count_descriptors(),
	};
	assert_non_null(theatre->ledger);
	assert_non_null(theatre->tally);
	theatre->book = (struct book){ theatre->ledger, ledger_seat(theatre->ledger) };
	theatre->caller.account = ledger_open(theatre->ledger, getuid(), clock_us());
	play.loop = loop_new();
	parts.config = &theatre->config;
	parts.log = &theatre->log;
	parts.book = &theatre->book;
	parts.tally = theatre->tally;
	tally_enter(theatre->tally, theatre->book.seat, getpid());
	assert_true(env_init(&theatre->env, play.loop, &parts));
	play.probes = 0;
}

/* Under way, of everybody. */
static inline unsigned int theatre_requests(const struct theatre *theatre)
{
	return ledger_in_all(theatre->ledger, QUOTA_REQUESTS);
}

static inline void theatre_close(struct theatre *theatre)
{
	play_expect_over();
	assert_int_equal(book_balance(&theatre->book), 0);
	assert_int_equal(tally_leave(theatre->tally, theatre->book.seat, true), 0);
	theatre->tally = tally_free(theatre->tally);
	env_deinit(&theatre->env);
	ledger_close(theatre->ledger, theatre->caller.account);
	ledger_leave(theatre->ledger, theatre->book.seat);
	theatre->ledger = ledger_free(theatre->ledger);
	loop_free(play.loop);
	close_fd(&play.far_end);
	close_fd(&play.copy);
	assert_int_equal(count_descriptors(), theatre->descriptors);
}
