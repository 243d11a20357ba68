/* SPDX-License-Identifier: MIT */
#include "client/ctl-diag.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE 1 /* seconds, where loopback is filtered */

enum answer { NOT_TRIED = -1, NOT_TOLD, TOLD };

struct capabilities {
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
};

static struct capabilities capabilities_get(void)
{
	struct capabilities all = { .header.version = _LINUX_CAPABILITY_VERSION_3 };

	if (syscall(SYS_capget, &all.header, all.data) < 0)
		memset(all.data, 0, sizeof(all.data));
	return all;
}

static int capabilities_set(struct capabilities all)
{
	return (int)syscall(SYS_capset, &all.header, all.data);
}

static bool net_admin(const struct capabilities *all)
{
	return all->data[CAP_TO_INDEX(CAP_NET_ADMIN)].effective & CAP_TO_MASK(CAP_NET_ADMIN);
}

/* Two sockets of a connection over loopback; the client's is under kernel TLS, without keys. */
struct trial {
	int listener, client;
	struct sockaddr_in local, remote;
};

static bool trial_connect(struct trial *trial)
{
	const struct timeval patience = { .tv_sec = PATIENCE };
	const struct linger at_once = { .l_onoff = 1 };
	socklen_t size = sizeof(trial->remote), local_size = size;

	trial->remote = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	return bind(trial->listener, (struct sockaddr *)&trial->remote, size) == 0 &&
	       listen(trial->listener, 1) == 0 &&
	       getsockname(trial->listener, (struct sockaddr *)&trial->remote, &size) == 0 &&
	       setsockopt(trial->client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0 &&
	       setsockopt(trial->client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0 &&
	       connect(trial->client, (struct sockaddr *)&trial->remote, size) == 0 &&
	       getsockname(trial->client, (struct sockaddr *)&trial->local, &local_size) == 0 &&
	       setsockopt(trial->client, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) == 0;
}

static void trial_open(struct trial *trial)
{
	trial->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	trial->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
}

static void trial_close(struct trial *trial)
{
	if (trial->client >= 0)
		close(trial->client);
	if (trial->listener >= 0)
		close(trial->listener);
}

static int note_answer(const struct nlmsghdr *message, void *data)
{
	struct json_object *socket = NULL;
	enum answer *answer = data;

	if (diag_socket(message, &socket) == 0)
		*answer = socket ? TOLD : NOT_TOLD;
	json_object_put(socket);
	return MNL_CB_STOP;
}

/* Whether diag is told that the client's socket is under kernel TLS. */
static enum answer ask_about(struct diag *diag, const struct trial *trial)
{
	const struct inet_diag_req_v2 request = {
		.sdiag_family = AF_INET,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_ext = 1 << (INET_DIAG_INFO - 1), /* with which comes what the ULP tells */
		.idiag_states = ~0U,
		.id = {
			.idiag_sport = trial->local.sin_port,
			.idiag_dport = trial->remote.sin_port,
			.idiag_src[0] = trial->local.sin_addr.s_addr,
			.idiag_dst[0] = trial->remote.sin_addr.s_addr,
			.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE },
		},
	};
	enum answer answer = NOT_TRIED;

	diag_ask(diag, &request, 0, note_answer, &answer);
	return answer;
}

/* The kernel looks at who asks, and in part at who has opened the netlink socket. */
static enum answer ask_unprivileged(const struct trial *trial)
{
	struct capabilities kept = capabilities_get(), less = kept;
	enum answer answer = NOT_TRIED;
	struct diag diag;

	less.data[CAP_TO_INDEX(CAP_NET_ADMIN)].effective &= ~CAP_TO_MASK(CAP_NET_ADMIN);
	if (capabilities_set(less) < 0)
		return NOT_TRIED;
	if (diag_open(&diag) == 0)
		answer = ask_about(&diag, trial);
	diag_close(&diag);
	capabilities_set(kept);
	return answer;
}

/* No kernel module is loaded only for having had a look. */
static bool module_is_there(const char *proc)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/net/tls_stat", proc);
	return access(path, F_OK) == 0;
}

/* What we are told as we are, and what we would be without the capability. */
static void try(struct diag *diag, enum answer *ours, enum answer *unprivileged)
{
	struct trial trial;

	trial_open(&trial);
	if (trial.listener >= 0 && trial.client >= 0 && trial_connect(&trial)) {
		*ours = ask_about(diag, &trial);
		*unprivileged = ask_unprivileged(&trial);
	}
	trial_close(&trial);
}

static struct json_object *json_privileged(bool needed, bool had)
{
	static const char *const columns[] = { "version",	   "cipher",	  "transmit",  "receive",
					       "zerocopySendfile", "expectNoPad", "maxPayload" };
	struct json_object *all = json_object_new_object(), *names = json_object_new_array();

	for (size_t i = 0; needed && i < sizeof(columns) / sizeof(*columns); i++)
		json_object_array_add(names, json_object_new_string(columns[i]));
	json_object_object_add(all, "capability", json_object_new_string("CAP_NET_ADMIN"));
	json_object_object_add(all, "needed", json_object_new_boolean(needed));
	json_object_object_add(all, "had", json_object_new_boolean(had));
	json_object_object_add(all, "columns", names);
	return all;
}

/* The capability may be one of a user namespace, which is worth nothing to the kernel's list. */
static struct json_object *judge(enum answer ours, enum answer unprivileged, bool capable)
{
	bool needed = unprivileged != TOLD;

	return json_privileged(needed, needed && ours != NOT_TRIED ? ours == TOLD : capable);
}

struct json_object *diag_privileged(struct diag *diag, const char *proc)
{
	enum answer ours = NOT_TRIED, unprivileged = NOT_TRIED;
	struct capabilities all = capabilities_get();

	if (module_is_there(proc))
		try(diag, &ours, &unprivileged);
	return judge(ours, unprivileged, net_admin(&all));
}
