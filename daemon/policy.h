/* SPDX-License-Identifier: MIT */
/* One [Policy NAME]: the suites, groups and signature algorithms that it allows; its SSL_CTX. */
#pragma once

#include "daemon/config.h"
#include "daemon/kernel.h"

#include <openssl/ssl.h>

/* OpenSSL's, of all sessions: SSL_CTX_set_security_level(3). */
#define POLICY_SECURITY_LEVEL 2

struct policy {
	char *name, *groups, *sigalgs;
	SSL_CTX *ctx;			/* offers what of the policy this kernel takes, if any */
	STACK_OF(SSL_CIPHER) *allowed;	/* all that the policy allows */
	bool offloadable;		/* this kernel takes some of it */
};

/*
 * kernel NULL: none is asked, and all that the policy allows is offered. false: *fault (malloc) says what is wrong
 * with the policy as a whole, as FILE:LINE: KEY: ..., or is NULL: no memory. To be deinitialised in
 * any case.
 */
bool policy_init(struct policy *policy, const struct config_policy *config,
		 const struct kernel *kernel, char **fault);
void policy_deinit(struct policy *policy);

/*
 * The names of those asked for that are allowed and that the kernel takes, in the order in which
 * they were asked for (malloc; NULL: no memory). kernel NULL: whatever a kernel takes. *n_allowed
 * counts those that are allowed.
 */
char *policy_choose(const struct policy *policy, const STACK_OF(SSL_CIPHER) *asked,
		    const struct kernel *kernel, size_t *n_allowed);
