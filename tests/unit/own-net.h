/* SPDX-License-Identifier: MIT */
/*
 * A network of the test's own (it must be root): loopback alone, /etc/hosts as the test writes it,
 * and the name server 127.0.0.1, which is the test, too. What it says to a name is
 * in the name: "nx.*" is unknown, "fail.*" a failure, "many.*" twelve addresses, and to every other
 * name it never says anything.
 */
#pragma once

#include "tests/unit/own-files.h"

#include <net/if.h>
#include <sys/ioctl.h>

#define OWN_HOSTS "127.0.0.1 localhost\n::1 localhost\n192.0.2.8 host.example\n"
#define QUERIES_MAX 64
#define MANY_ADDRESSES 12

static struct {
	int dns;
	ev_io queried;
	char names[QUERIES_MAX][256];	/* in the order in which they were first asked for */
	size_t n_names;
} own_net;

static inline void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close_fd(&fd);
}

static inline void name_server_open(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(53),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	own_net.dns = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(own_net.dns >= 0);
	assert_int_equal(bind(own_net.dns, (struct sockaddr *)&address, sizeof(address)), 0);
}

static inline int own_net_init(void **state)
{
	own_files_init(CLONE_NEWNET);
	loopback_up();
	replace_etc("hosts", OWN_HOSTS);
	replace_etc("resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n");
	replace_etc("nsswitch.conf", "hosts: files dns\n");
	name_server_open();
	return 0;
}

static inline int own_net_deinit(void **state)
{
	close_fd(&own_net.dns);
	own_files_deinit();
	return 0;
}

/* --- the name server */

/* RFC 1035, 4.1: a header of 12 bytes, then the name in labels, its type and class. */
#define DNS_HEADER 12

static inline size_t query_name(char name[static 256], const uint8_t *query, size_t n)
{
	size_t at = DNS_HEADER, length = 0;

	while (at < n && query[at]) {
		assert_true(at + 1 + query[at] < n && length + query[at] + 1 < 256);
		memcpy(name + length, query + at + 1, query[at]);
		length += query[at];
		name[length++] = '.';
		at += 1 + query[at];
	}
	name[length ? length - 1 : 0] = '\0';
	return at + 1 + 4;
}

static inline bool was_asked_for(const char *name)
{
	for (size_t i = 0; i < own_net.n_names; i++)
		if (strcmp(own_net.names[i], name) == 0)
			return true;
	return false;
}

/* An address record whose name is that of the question. */
static inline size_t put_record(uint8_t *at, uint8_t number)
{
	const uint8_t record[] = {
		0xc0, DNS_HEADER, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, number,
	};

	memcpy(at, record, sizeof(record));
	return sizeof(record);
}

/* False: nothing is said to this. */
static inline bool make_reply(uint8_t *reply, size_t *n, const char *name, size_t question)
{
	bool for_v4 = reply[question - 3] == 1;

	reply[2] |= 0x80;
	reply[3] = 0x80;
	*n = question;
	memset(reply + 6, 0, 6);
	if (strncmp(name, "nx.", 3) == 0)
		reply[3] |= 3;
	else if (strncmp(name, "fail.", 5) == 0)
		reply[3] |= 2;
	else if (strncmp(name, "many.", 5) != 0)
		return false;
	else
		for (uint8_t i = 0; for_v4 && i < MANY_ADDRESSES; i++) {
			*n += put_record(reply + *n, i + 1);
			reply[7]++;
		}
	return true;
}

static inline void on_query(EV_P_ ev_io *io, int events)
{
	uint8_t message[1024];
	struct sockaddr_in from;
	socklen_t length = sizeof(from);
	char name[256];
	ssize_t got;
	size_t n;

	got = recvfrom(io->fd, message, 512, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
	if (got < DNS_HEADER)
		return;
	n = query_name(name, message, (size_t)got);
	if (!was_asked_for(name)) {
		assert_true(own_net.n_names < QUERIES_MAX);
		strcpy(own_net.names[own_net.n_names++], name);
	}
	if (make_reply(message, &n, name, n))
		sendto(io->fd, message, n, MSG_DONTWAIT, (struct sockaddr *)&from, length);
}

static inline void name_server_run(struct ev_loop *loop)
{
	own_net.n_names = 0;
	ev_io_init(&own_net.queried, on_query, own_net.dns, EV_READ);
	ev_io_start(loop, &own_net.queried);
}

static inline void name_server_stop(struct ev_loop *loop)
{
	ev_io_stop(loop, &own_net.queried);
}

static inline bool asked_for(void *name)
{
	return was_asked_for(name);
}
