/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor.h"

#include "daemon/clock.h"
#include "daemon/env.h"
#include "daemon/events.h"
#include "daemon/nursery.h"
#include "daemon/privileges.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define PULSE 1.0	/* seconds */

static const struct generation_callbacks generation_callbacks;
static const char no_worker[] = "no worker can begin with the new configuration";

static const struct config *config_of(const struct supervisor *supervisor)
{
	return supervisor->current->setup->config;
}

/* --- callers */

static unsigned int count_connections(const struct supervisor *supervisor)
{
	unsigned int n = generation_connections(supervisor->current);

	for (struct list *at = supervisor->old.next; at != &supervisor->old; at = at->next)
		n += generation_connections(container_of(at, struct generation, link));
	return n;
}

static void refuse(int *fd, const char *message)
{
	connection_refuse(*fd, PROTO_BUSY, message);
	connection_close(fd);
}

/* The account of who has connected, or LEDGER_NO_ACCOUNT, and then *why. */
static unsigned int open_account(struct supervisor *supervisor, int fd, const char **why)
{
	struct ledger *ledger = supervisor->household.ledger;
	struct ucred caller = { .uid = (uid_t)-1 };
	socklen_t size = sizeof(caller);
	unsigned int account;

	*why = "the service has too many users";
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &caller, &size);
	account = ledger_open(ledger, caller.uid, clock_us());
	if (account == LEDGER_NO_ACCOUNT ||
	    ledger->users[account].connections <= config_of(supervisor)->limits.user_connections)
		return account;
	*why = "this user has too many connections: UserConnections= in the configuration";
	ledger_close(ledger, account);
	return LEDGER_NO_ACCOUNT;
}

static bool deal(struct listener *listener, int *fd)
{
	struct supervisor *supervisor = container_of(listener, struct supervisor, listener);
	const char *why;
	unsigned int account;

	if (count_connections(supervisor) >= config_of(supervisor)->limits.connections)
		return false;
	account = open_account(supervisor, *fd, &why);
	if (account == LEDGER_NO_ACCOUNT)
		return refuse(fd, why), true;
	if (generation_deal(supervisor->current, fd, account))
		return true;
	ledger_close(supervisor->household.ledger, account);
	return false;
}

/* --- the end */

static void end_if_over(struct supervisor *supervisor)
{
	if (supervisor->stopping && !supervisor->current && list_empty(&supervisor->old))
		ev_break(supervisor->household.loop, EVBREAK_ALL);
}

static void retire(struct supervisor *supervisor, struct generation *generation, unsigned int ms)
{
	list_append(&supervisor->old, &generation->link);
	generation_drain(generation, ms);
}

/* ms: what is under way has so long. Who is not accepted yet waits for the next service; who was,
 * and whom no worker could take yet, is told to come again. */
static void stop(struct supervisor *supervisor, unsigned int ms)
{
	if (!supervisor->stopping)
		notify_tell(&supervisor->notify, "STOPPING=1");
	supervisor->stopping = true;
	if (supervisor->listener.held >= 0)
		refuse(&supervisor->listener.held, "the service ends, or is started anew");
	listener_stop(&supervisor->listener);
	supervisor->next = generation_free(supervisor->next);
	if (supervisor->current)
		retire(supervisor, steal_ptr(&supervisor->current), ms);
	else
		for (struct list *at = supervisor->old.next; at != &supervisor->old; at = at->next)
			generation_drain(container_of(at, struct generation, link), 0);
	end_if_over(supervisor);
}

/* A second one of these is in a hurry. */
static void on_stop_signal(struct supervisor *supervisor)
{
	stop(supervisor, supervisor->current ? config_of(supervisor)->limits.stop_ms : 0);
}

/* --- generations */

/* failure: of a reload; or NULL. */
static void tell_ready(struct supervisor *supervisor, const char *failure)
{
	const struct generation *current = supervisor->current;
	struct proto_status status = { .message = "the kernel takes TLS" };

	if (!kernel_takes_any(&current->kernel))
		kernel_unavailable(&current->kernel, &status);
	notify_tell(&supervisor->notify, "READY=1\nSTATUS=%s%sworkers: %u (%s); %s",
		    failure ? failure : "", failure ? "; " : "", current->wanted,
		    supervisor->confinement, status.message);
}

static void begin_to_serve(struct supervisor *supervisor)
{
	supervisor->started = true;
	log_record(supervisor->household.log, LOG_INFO, EVENT_SERVICE_STARTED, NULL, 0,
		   "ktlsd " KTLSD_VERSION ", workers: %u", supervisor->current->wanted);
	listener_start(&supervisor->listener, supervisor->household.loop,
		       supervisor->household.log, steal_fd(&supervisor->listening), deal);
}

static void on_ready(struct generation *generation)
{
	struct supervisor *supervisor = generation->owner;

	if (generation == supervisor->current)
		return listener_resume(&supervisor->listener);
	supervisor->next = NULL;
	if (supervisor->current) {
		retire(supervisor, supervisor->current, config_of(supervisor)->limits.stop_ms);
		tally_reload(supervisor->household.tally);
		log_record(supervisor->household.log, LOG_NOTICE, EVENT_RELOAD_DONE, NULL, 0,
			   "the configuration was read anew");
	}
	supervisor->current = generation;
	tell_ready(supervisor, NULL);
	if (supervisor->started)
		listener_resume(&supervisor->listener);
	else
		begin_to_serve(supervisor);
}

static void reload_failed(struct supervisor *supervisor, const char *why)
{
	char failure[128];

	snprintf(failure, sizeof(failure), "%s: the one before stays in force", why);
	log_record(supervisor->household.log, LOG_ERR, EVENT_RELOAD_FAILED, NULL, 0, "%s", failure);
	tell_ready(supervisor, failure);
}

/* A worker of the current generation is simply replaced; that a new one cannot begin is told at
 * once. */
static void on_stillborn(struct generation *generation)
{
	struct supervisor *supervisor = generation->owner;

	if (generation != supervisor->next)
		return;
	supervisor->next = generation_free(supervisor->next);
	if (supervisor->current)
		return reload_failed(supervisor, no_worker);
	supervisor->failed = true;
	ev_break(supervisor->household.loop, EVBREAK_ALL);
}

static void accept_more(struct supervisor *supervisor)
{
	if (supervisor->started && !supervisor->stopping)
		listener_resume(&supervisor->listener);
}

static void on_room(struct generation *generation)
{
	accept_more(generation->owner);
}

/* A worker says so, which may have gone astray: the service does not end on its word. */
static void on_kernel_lost(struct generation *generation)
{
	struct supervisor *supervisor = generation->owner;

	if (supervisor->stopping || !supervisor->household.restarts || kernel_ulp_errno() != ENOENT)
		return;
	log_record(supervisor->household.log, LOG_ERR, EVENT_KERNEL_TLS_UNAVAILABLE, NULL, 0,
		   "the kernel has no TLS module any more: ending, to be started anew with it");
	stop(supervisor, 0);
}

static void on_over(struct generation *generation)
{
	struct supervisor *supervisor = generation->owner;

	generation_free(generation);
	end_if_over(supervisor);
	accept_more(supervisor);
}

static const struct generation_callbacks generation_callbacks = {
	.ready = on_ready,
	.stillborn = on_stillborn,
	.room = on_room,
	.kernel_lost = on_kernel_lost,
	.over = on_over,
};

static bool add_generation(struct supervisor *supervisor, struct setup *setup,
			   const struct kernel *kernel)
{
	supervisor->next = generation_free(supervisor->next);
	supervisor->next = generation_new(&supervisor->household, setup, kernel, supervisor,
					  &generation_callbacks);
	return supervisor->next;
}

/* --- reload */

static void on_hangup(struct supervisor *supervisor)
{
	struct kernel kernel;
	struct setup *setup;

	if (!supervisor->current)
		return;
	notify_tell(&supervisor->notify, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_us());
	setup = setup_load_logged(supervisor->config, supervisor->household.log);
	kernel_probe(&kernel);
	if (setup && add_generation(supervisor, setup, &kernel))
		return;
	reload_failed(supervisor, setup ? no_worker : "the new configuration has faults");
}

/* --- the supervisor */

static void on_pulse(EV_P_ ev_timer *timer, int events)
{
	struct supervisor *supervisor = container_of(timer, struct supervisor, pulse);
	bool well = true;

	for (struct list *at = supervisor->old.next; at != &supervisor->old; at = at->next)
		generation_ping(container_of(at, struct generation, link));
	if (supervisor->next)
		generation_ping(supervisor->next);
	if (supervisor->current)
		well = generation_ping(supervisor->current);
	notify_again(&supervisor->notify);
	if (well)
		notify_alive(&supervisor->notify);
}

static const int signal_numbers[] = { SIGTERM, SIGINT, SIGHUP };

static void on_signal(struct signals *signals, int number)
{
	struct supervisor *supervisor = container_of(signals, struct supervisor, signals);

	if (number == SIGHUP)
		on_hangup(supervisor);
	else
		on_stop_signal(supervisor);
}

static bool make_household(struct supervisor *supervisor, struct log *log, bool restarts)
{
	struct household *household = &supervisor->household;

	household->log = log;
	household->restarts = restarts;
	household->ledger = ledger_new();
	household->tally = tally_new();
	household->loop = ev_loop_new(EVFLAG_NOENV);
	if (!household->ledger || !household->tally || !household->loop ||
	    watch_set_init(&household->watches, household->loop) < 0) {
		log_line(log, LOG_ERR, "the service cannot be set up: %s", strerror(errno));
		return false;
	}
	return true;
}

static bool start_nursery(struct supervisor *supervisor)
{
	struct household *household = &supervisor->household;

	household->nursery = nursery_start(&supervisor->keeper);
	if (household->nursery >= 0)
		return true;
	log_line(household->log, LOG_ERR, "cannot fork the resolvers' process: %s",
		 strerror(-household->nursery));
	return false;
}

static bool watch_events(struct supervisor *supervisor)
{
	struct household *household = &supervisor->household;

	ev_timer_init(&supervisor->pulse, on_pulse, PULSE, PULSE);
	ev_timer_start(household->loop, &supervisor->pulse);
	if (signals_init(&supervisor->signals, household->loop, signal_numbers,
			 array_size(signal_numbers), on_signal))
		return true;
	log_line(household->log, LOG_ERR, "signals cannot be watched: %s", strerror(errno));
	return false;
}

bool supervisor_init(struct supervisor *supervisor, struct setup *setup, const char *config,
		     struct log *log, int listening, bool managed)
{
	_cleanup_(setup_freep) struct setup *mine = setup;
	struct kernel kernel;
	int r;

	*supervisor = (struct supervisor){ .config = config, .listening = listening,
					   .listener = { .acceptable.fd = -1, .held = -1 },
					   .signals.ready.fd = -1 };
	supervisor->household.nursery = supervisor->household.watches.epoll = -1;
	list_init(&supervisor->old);
	/* What is no address is nobody's. */
	r = notify_init(&supervisor->notify);
	if (r < 0)
		log_line(log, LOG_ERR, "NOTIFY_SOCKET: %s", strerror(-r));
	if ((r < 0 && r != -EINVAL) || listening < 0 || !make_household(supervisor, log, managed))
		return false;
	supervisor->household.managed = supervisor->notify.fd >= 0;
	kernel_probe(&kernel);
	env_log_kernel(&kernel, NULL, log);
	if (!privileges_drop(log) || !start_nursery(supervisor) || !watch_events(supervisor))
		return false;
	sandbox_describe(supervisor->confinement);
	return add_generation(supervisor, steal_ptr(&mine), &kernel);
}

bool supervisor_run(struct supervisor *supervisor)
{
	ev_run(supervisor->household.loop, 0);
	return !supervisor->failed;
}

void supervisor_deinit(struct supervisor *supervisor)
{
	struct household *household = &supervisor->household;

	listener_stop(&supervisor->listener);
	signals_deinit(&supervisor->signals);
	close_fd(&supervisor->listening);
	generation_free(supervisor->next);
	generation_free(supervisor->current);
	while (!list_empty(&supervisor->old))
		generation_free(list_first(&supervisor->old, struct generation, link));
	watch_set_deinit(&household->watches);
	if (household->loop)
		ev_loop_destroy(household->loop);
	close_fd(&household->nursery);
	if (supervisor->keeper > 0)
		waitpid(supervisor->keeper, NULL, 0);
	ledger_free(household->ledger);
	tally_free(household->tally);
	notify_deinit(&supervisor->notify);
}
