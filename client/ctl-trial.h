/* SPDX-License-Identifier: MIT */
/*
 * What this kernel's TLS does, found by trying it on loopback, for each cipher that the kernel's
 * interface knows. The keys are zeros, and what they encrypt nobody else gets to see.
 */
#pragma once

#include "client/ctl-loopback.h"

#include <json-c/json_object.h>
#include <sys/types.h>

/* Through which the trial sees the kernel. */
struct trial_door {
	/* Any of which is there when TLS is: to ask for it would have a privileged process load it. */
	const char *statistics, *module;
	/* The layers that there are, by name, with blanks between them. */
	const char *layers;
	size_t first; /* so many ciphers, the first of those below, are tried; 0: all */
	int (*connect)(struct loopback *ends, int patience_ms);
	int (*set)(int fd, int level, int option, const void *value, socklen_t size);
	ssize_t (*send)(int fd, const void *data, size_t n, int flags);
	ssize_t (*recv)(int fd, void *data, size_t n, int flags);
	ssize_t (*splice)(int in, off_t *in_at, int out, off_t *out_at, size_t n, unsigned flags);
};

extern const struct trial_door trial_kernel;
/* The ciphers that the service uses come first. For others the kernel may look for modules, at each try. */
enum { TRIAL_N_OF_SERVICE = 4 };

/*
 * An outcome is "works", the name of the errno that a call failed with, "differs" (what came out is
 * not what went in), or null: not tried, because what it needs did not work.
 *
 *	module		"present", "absent": then nothing is tried
 *	loopback	outcome of connecting to oneself, tcpUlp: of giving a socket its TLS layer
 *	ciphers		version, cipher, and of each the outcomes transmit and receive (either one
 *			alone), roundTrip (records, both ways), rekey (TLS 1.3: new keys, and a record)
 *	behaviours	outcomes: rekey, splice (records come whole out of a small pipe), maxPayload
 *			(TLS_TX_MAX_PAYLOAD_LEN), with the first cipher that works
 *
 * Ciphers come in the order aes-gcm-128, aes-gcm-256, aes-ccm-128, chacha20-poly1305, and others.
 * NULL: no memory.
 */
struct json_object *ctl_trial(const struct trial_door *door);
