/* SPDX-License-Identifier: MIT */
/*
 * The kernel-TLS sockets of this network namespace, as the kernel tells of them by inet_diag
 * (sock_diag(7)): the document behind `ktlsctl sockets`.
 *
 *   {"sockets": [{"local": "192.0.2.1:443", "remote": "[2001:db8::1]:50000",
 *                 "state": "established",             as ss(8) has it
 *                 "version": "TLSv1.2",               null without keys
 *                 "cipher": "aes-gcm-256",            null without keys
 *                 "transmit": "software",             "nic", "none" (no keys), null (not told)
 *                 "receive": "none",
 *                 "zerocopySendfile": false, "expectNoPad": false,
 *                 "maxPayload": null,                 a number where the kernel tells it
 *                 "bytesSent": 1, "bytesAcked": 1, "bytesReceived": 1,     of TCP; or null
 *                 "uid": 0,
 *                 "inode": 1,                         0: no process has it any more
 *                 "processes": [{"pid": 1, "command": "name"}]}],
 *    "privileged": {"capability": "CAP_NET_ADMIN",
 *                   "needed": true,                   this kernel tells no other of kernel TLS
 *                   "had": false,
 *                   "columns": ["version", ...]},     which they are; empty if not needed
 *    "processesHidden": false}         there are processes whose descriptors the caller may not see
 *
 * A number of the kernel's that has no name here is "unknown (NUMBER)". Where the privilege is
 * needed and is not had, kernel-TLS sockets cannot be told from others, and there are none here.
 */
#pragma once

#include <stdbool.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>

struct json_object;

struct diag {
	struct mnl_socket *nl;
	unsigned int portid, seq;
	/* The door to the kernel. */
	ssize_t (*send)(const struct mnl_socket *nl, const void *data, size_t length);
	ssize_t (*receive)(const struct mnl_socket *nl, void *data, size_t size);
};

struct diag_failure {
	int err;
	const char *message, *cure; /* no cure: NULL */
};

/* The document. NULL: *failure says why. proc: /proc, or what stands for it. */
struct json_object *diag_sockets(const char *proc, struct diag_failure *failure);

/* 0 or -errno. */
int diag_open(struct diag *diag);
void diag_close(struct diag *diag);
/* One question, and visit for each socket of the answer until it returns MNL_CB_STOP. 0 or
 * -errno; -EINTR: the list has changed in the middle. */
int diag_ask(struct diag *diag, const struct inet_diag_req_v2 *request, unsigned int flags,
	     mnl_cb_t visit, void *data);
/* All of them, as an array; NULL and *err. */
struct json_object *diag_list(struct diag *diag, int *err);
void diag_explain(int err, struct diag_failure *failure);

/* One message of an answer; *socket is NULL if it isn't about kernel TLS. 0 or -EBADMSG. */
int diag_socket(const struct nlmsghdr *message, struct json_object **socket);

/* What stands under "privileged": found by a trial with a connection of our own if the module is
 * there, else by the capabilities we have. */
struct json_object *diag_privileged(struct diag *diag, const char *proc);
