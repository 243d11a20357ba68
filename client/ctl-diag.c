/* SPDX-License-Identifier: MIT */
#include "client/ctl-diag.h"
#include "client/ctl-owners.h"

#include <errno.h>
#include <json-c/json.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define TRIES 5 /* at a list that changes while it is read */
#define MISSING "this kernel has no list of TCP sockets, the module tcp_diag is missing"
#define LOAD "as root: modprobe tcp_diag"

int diag_open(struct diag *diag)
{
	*diag = (struct diag){
		.nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC),
		.seq = (unsigned int)time(NULL),
		.send = mnl_socket_sendto,
		.receive = mnl_socket_recvfrom,
	};
	if (!diag->nl)
		return -errno;
	if (mnl_socket_bind(diag->nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		int err = errno;

		diag_close(diag);
		return -err;
	}
	diag->portid = mnl_socket_get_portid(diag->nl);
	return 0;
}

void diag_close(struct diag *diag)
{
	if (diag->nl)
		mnl_socket_close(diag->nl);
	diag->nl = NULL;
}

static int stop(int err)
{
	errno = err;
	return err ? MNL_CB_ERROR : MNL_CB_STOP;
}

static int on_noop(const struct nlmsghdr *message, void *data)
{
	return MNL_CB_OK;
}

static int on_error(const struct nlmsghdr *message, void *data)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*error) || error->error > 0)
		return stop(EBADMSG);
	return stop(-error->error);
}

/* A dump that fails says so at its end, which libmnl's own callback does not look at. */
static int on_done(const struct nlmsghdr *message, void *data)
{
	const int *status = mnl_nlmsg_get_payload(message);

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*status))
		return stop(0);
	return stop(*status < 0 ? -*status : 0);
}

/*
 * A message that was cut would end libmnl's walk as if it had been the last one. *end: there is
 * nothing more to come.
 */
static bool whole(const void *data, size_t length, bool *end)
{
	const struct nlmsghdr *message = data;
	int left = (int)length;

	while (mnl_nlmsg_ok(message, left)) {
		*end = message->nlmsg_type == NLMSG_DONE;
		message = mnl_nlmsg_next(message, &left);
	}
	return length > 0 && left <= 0;
}

static int run(struct diag *diag, const void *bytes, size_t n, mnl_cb_t visit, void *data)
{
	mnl_cb_t on_control[] = {
		[NLMSG_NOOP] = on_noop,
		[NLMSG_ERROR] = on_error,
		[NLMSG_DONE] = on_done,
	};

	return mnl_cb_run2(bytes, n, diag->seq, diag->portid, visit, data, on_control,
			   sizeof(on_control) / sizeof(*on_control));
}

/* What changed in the middle is read to its end: until then the kernel takes no other question. */
static int receive(struct diag *diag, mnl_cb_t visit, void *data)
{
	union {
		char bytes[32768]; /* what the kernel makes of a dump at most */
		struct nlmsghdr aligned;
	} buffer;
	bool changed = false, end = false;
	int r = MNL_CB_OK;

	while (r > MNL_CB_STOP) {
		ssize_t n = diag->receive(diag->nl, &buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!whole(&buffer, n, &end))
			return -EBADMSG;
		r = run(diag, &buffer, n, visit, data);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r < 0) {
			changed = true;
			r = end ? MNL_CB_STOP : MNL_CB_OK;
		}
	}
	return changed ? -EINTR : 0;
}

int diag_ask(struct diag *diag, const struct inet_diag_req_v2 *request, unsigned int flags,
	     mnl_cb_t visit, void *data)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} message = {
		.header = {
			.nlmsg_len = sizeof(message),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | flags,
			.nlmsg_seq = ++diag->seq,
		},
		.request = *request,
	};

	if (diag->send(diag->nl, &message, sizeof(message)) < 0)
		return -errno;
	return receive(diag, visit, data);
}

static int list_one(const struct nlmsghdr *message, void *data)
{
	struct json_object *socket;
	int r = diag_socket(message, &socket);

	if (r < 0)
		return stop(-r);
	if (socket)
		json_object_array_add(data, socket);
	return MNL_CB_OK;
}

/* Every state: those which no kernel TLS is in cost nothing but a look. */
static int list_family(struct diag *diag, unsigned char family, struct json_object *sockets)
{
	const struct inet_diag_req_v2 request = {
		.sdiag_family = family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_ext = 1 << (INET_DIAG_INFO - 1),
		.idiag_states = ~0U,
	};

	return diag_ask(diag, &request, NLM_F_DUMP, list_one, sockets);
}

static int list_once(struct diag *diag, struct json_object *sockets)
{
	int r = list_family(diag, AF_INET, sockets);

	return r < 0 ? r : list_family(diag, AF_INET6, sockets);
}

struct json_object *diag_list(struct diag *diag, int *err)
{
	*err = -EINTR;
	for (int try = 0; try < TRIES && *err == -EINTR; try++) {
		struct json_object *sockets = json_object_new_array();

		*err = list_once(diag, sockets);
		if (*err == 0)
			return sockets;
		json_object_put(sockets);
	}
	return NULL;
}

void diag_explain(int err, struct diag_failure *failure)
{
	static const struct diag_failure known[] = {
		{ ENOENT, MISSING, LOAD },
		{ EPROTONOSUPPORT, MISSING, LOAD },
		{ EINTR, "the list of TCP sockets changes faster than it can be read",
		  "try again" },
		{ EBADMSG, "the kernel's list of TCP sockets is malformed", NULL },
		{ EPERM, "the list of TCP sockets is forbidden to this process", "as root" },
		{ EACCES, "the list of TCP sockets is forbidden to this process", "as root" },
	};

	*failure = (struct diag_failure){ -err, strerror(-err), NULL };
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].err == -err)
			*failure = known[i];
}

static struct json_object *document(struct diag *diag, const char *proc,
				    struct diag_failure *failure)
{
	bool hidden = false;
	int err;
	struct json_object *sockets = diag_list(diag, &err), *all;

	if (!sockets) {
		diag_explain(err, failure);
		return NULL;
	}
	err = owners_add(sockets, proc, &hidden);
	if (err < 0) {
		*failure = (struct diag_failure){ -err, "/proc cannot be read",
						  err == -ENOENT ? "as root: mount -t proc proc /proc" : NULL };
		json_object_put(sockets);
		return NULL;
	}
	all = json_object_new_object();
	json_object_object_add(all, "sockets", sockets);
	/* After the list, in which the connection of the trial has no place. */
	json_object_object_add(all, "privileged", diag_privileged(diag, proc));
	json_object_object_add(all, "processesHidden", json_object_new_boolean(hidden));
	return all;
}

struct json_object *diag_sockets(const char *proc, struct diag_failure *failure)
{
	struct json_object *all = NULL;
	struct diag diag;
	int err = diag_open(&diag);

	if (err < 0)
		diag_explain(err, failure);
	else
		all = document(&diag, proc, failure);
	diag_close(&diag);
	return all;
}
