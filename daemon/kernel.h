/* SPDX-License-Identifier: MIT */
/*
 * The door to the kernel's TLS (Documentation/networking/tls.rst): nothing else in this project
 * speaks SOL_TLS or TCP_ULP.
 */
#pragma once

#include "daemon/keys.h"
#include "proto/status.h"

#define KERNEL_CIPHERS_MAX 8

/* What this kernel was found to take over, by trying on TCP sockets of our own on loopback. */
struct kernel {
	int ulp_errno;	/* 0, or why TCP_ULP "tls" was refused: ENOENT is a missing module */
	int loopback_errno;	/* 0, or why there was no socket to try on */
	int cipher_errno[KERNEL_CIPHERS_MAX];	/* of each row of ciphers[]; 0: both directions
						 * were installed, and a record went through */
};

/*
 * Tries anew. Fast (loopback, some fifteen system calls a cipher), but it blocks, so it is for the
 * start and for the rare moment when the kernel turns out to have changed. As root this is also
 * what makes the kernel load tls.ko. Returns whether any cipher can go to the kernel.
 */
bool kernel_probe(struct kernel *kernel);

bool kernel_takes(const struct kernel *kernel, const struct cipher *cipher);
bool kernel_takes_any(const struct kernel *kernel);
/* Whether some cipher was refused for a reason that may pass by itself, such as a lack of memory. */
bool kernel_was_hindered(const struct kernel *kernel);

/* Whether the ULP can be had now, asked on a socket not connected (ENOTCONN: yes). 0 or errno. */
int kernel_ulp_errno(void);

/*
 * Both fill *status (KERNEL_TLS_UNAVAILABLE, INSTALL, errno, a message with the cure) and return
 * its error, or return PROTO_OK.
 */
enum proto_error kernel_attach(int fd, struct proto_status *status);
/*
 * TX, then RX, then reads back ULP name, version, cipher, key, salt, iv and sequence of both
 * directions and compares. With the ULP but no TX key, write() would put plain text on the wire
 * and report success: whoever calls this hands the socket over whole on PROTO_OK and shuts it down
 * on everything else.
 */
enum proto_error kernel_install(int fd, const struct session_keys *keys,
				struct proto_status *status);
/* The same status for a kernel that the probe found unable: before anything is connected. */
enum proto_error kernel_unavailable(const struct kernel *kernel, struct proto_status *status);
