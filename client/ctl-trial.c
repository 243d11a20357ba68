/* SPDX-License-Identifier: MIT */
#include "client/ctl-trial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

/* Not in every include/uapi/linux/tls.h that this may be built with. */
enum { CIPHER_SM4_GCM = 55, CIPHER_SM4_CCM, CIPHER_ARIA_GCM_128, CIPHER_ARIA_GCM_256 };
enum { OPTION_MAX_PAYLOAD = 5 };

/* What is no errno. */
enum { WORKS = 0, NOT_TRIED = -1, DIFFERS = -2 };

/* Loopback answers at once. Where a packet filter swallows it, what comes later is waited for less. */
enum { PATIENCE_MS = 2000, LITTLE_PATIENCE_MS = 50 };

enum { KEY_MAX = 32, SEQUENCE_SIZE = 8, RECORD_SIZE = 12000, N_RECORDS = 2 };
enum { PIPE_SIZE = 4096, SPLICES_MAX = 1000 };

/* The names are those of inet_diag and ss(8). */
static const struct aead {
	const char *name;
	uint16_t type;
	uint8_t key, salt, iv;
} aeads[] = {
	{ "aes-gcm-128", TLS_CIPHER_AES_GCM_128, 16, 4, 8 },
	{ "aes-gcm-256", TLS_CIPHER_AES_GCM_256, 32, 4, 8 },
	{ "aes-ccm-128", TLS_CIPHER_AES_CCM_128, 16, 4, 8 },
	{ "chacha20-poly1305", TLS_CIPHER_CHACHA20_POLY1305, 32, 0, 12 },
	{ "sm4-gcm", CIPHER_SM4_GCM, 16, 4, 8 },
	{ "sm4-ccm", CIPHER_SM4_CCM, 16, 4, 8 },
	{ "aria-gcm-128", CIPHER_ARIA_GCM_128, 16, 4, 8 },
	{ "aria-gcm-256", CIPHER_ARIA_GCM_256, 32, 4, 8 },
};

static const struct version {
	const char *name;
	uint16_t number;
	bool rekeys; /* by its standard */
} versions[] = {
	{ "1.2", TLS_1_2_VERSION, false },
	{ "1.3", TLS_1_3_VERSION, true },
};

enum { N_AEADS = sizeof(aeads) / sizeof(*aeads), N_VERSIONS = sizeof(versions) / sizeof(*versions) };

struct cell {
	const struct version *version;
	const struct aead *aead;
	int transmit, receive, round_trip, rekey;
};

struct trial {
	const struct trial_door *door;
	int patience_ms;
	bool present;
	int loopback, layer;
	struct cell cells[N_VERSIONS * N_AEADS];
	int rekey, splice, max_payload;
};

const struct trial_door trial_kernel = {
	.statistics = "/proc/net/tls_stat",
	.module = "/sys/module/tls",
	.layers = "/proc/sys/net/ipv4/tcp_available_ulp",
	.connect = loopback_connect,
	.set = setsockopt,
	.send = send,
	.recv = recv,
	.splice = splice,
};

/* --- whether there is TLS at all */

static bool names_layer(const char *path)
{
	char words[256] = "", *rest = words, *word;
	FILE *file = fopen(path, "re");
	bool found = false;

	if (!file)
		return false;
	if (fgets(words, sizeof(words), file))
		while (!found && (word = strsep(&rest, " \n")))
			found = strcmp(word, "tls") == 0;
	fclose(file);
	return found;
}

static bool is_present(const struct trial_door *door)
{
	return access(door->statistics, F_OK) == 0 || access(door->module, F_OK) == 0 ||
	       names_layer(door->layers);
}

/* --- trying: each function comes to an outcome */

static int wait_in(struct trial *trial, int fd)
{
	int error = loopback_wait(fd, POLLIN, trial->patience_ms);

	if (error == -ETIMEDOUT)
		trial->patience_ms = LITTLE_PATIENCE_MS;
	return -error;
}

static int connect_ends(struct trial *trial, struct loopback *ends)
{
	int error = trial->door->connect(ends, trial->patience_ms);

	if (error == -ETIMEDOUT)
		trial->patience_ms = LITTLE_PATIENCE_MS;
	return -error;
}

static int attach(struct trial *trial, int fd)
{
	return trial->door->set(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) < 0 ? errno : WORKS;
}

/* The kernel's structs are for all ciphers the head, iv, key, salt, sequence number, without a gap. */
static int set_keys(struct trial *trial, int fd, int direction, const struct cell *cell, uint8_t key)
{
	struct tls_crypto_info head = { cell->version->number, cell->aead->type };
	uint8_t info[sizeof(head) + 12 + KEY_MAX + 4 + SEQUENCE_SIZE] = { 0 };
	size_t size = sizeof(head) + cell->aead->iv + cell->aead->key + cell->aead->salt +
		      SEQUENCE_SIZE;

	memcpy(info, &head, sizeof(head));
	info[sizeof(head) + cell->aead->iv] = key;
	return trial->door->set(fd, SOL_TLS, direction, info, (socklen_t)size) < 0 ? errno : WORKS;
}

static int try_direction(struct trial *trial, const struct cell *cell, int direction)
{
	LOOPBACK(ends);
	int outcome = connect_ends(trial, &ends);

	if (outcome == WORKS)
		outcome = attach(trial, ends.fd[0]);
	if (outcome == WORKS)
		outcome = set_keys(trial, ends.fd[0], direction, cell, 0);
	return outcome;
}

static int connect_keyed(struct trial *trial, const struct cell *cell, struct loopback *ends)
{
	int outcome = connect_ends(trial, ends);

	for (int i = 0; i < 2 && outcome == WORKS; i++) {
		outcome = attach(trial, ends->fd[i]);
		if (outcome == WORKS)
			outcome = set_keys(trial, ends->fd[i], TLS_TX, cell, 0);
		if (outcome == WORKS)
			outcome = set_keys(trial, ends->fd[i], TLS_RX, cell, 0);
	}
	return outcome;
}

/* Linux before 5.15.15 could encrypt CCM and not decrypt it. */
static int deliver(struct trial *trial, int from, int to)
{
	char sent[] = "a record, and what is in it", got[sizeof(sent)];
	ssize_t n = trial->door->send(from, sent, sizeof(sent), MSG_NOSIGNAL);
	int outcome = n < 0 ? errno : wait_in(trial, to);

	if (outcome != WORKS)
		return outcome;
	n = trial->door->recv(to, got, sizeof(got), 0);
	if (n < 0)
		return errno;
	return n == sizeof(got) && memcmp(sent, got, sizeof(got)) == 0 ? WORKS : DIFFERS;
}

static int try_round_trip(struct trial *trial, const struct cell *cell)
{
	LOOPBACK(ends);
	int outcome = connect_keyed(trial, cell, &ends);

	if (outcome == WORKS)
		outcome = deliver(trial, ends.fd[0], ends.fd[1]);
	if (outcome == WORKS)
		outcome = deliver(trial, ends.fd[1], ends.fd[0]);
	return outcome;
}

static int try_rekey(struct trial *trial, const struct cell *cell)
{
	LOOPBACK(ends);
	int outcome = connect_keyed(trial, cell, &ends);

	if (outcome == WORKS)
		outcome = set_keys(trial, ends.fd[1], TLS_RX, cell, 1);
	if (outcome == WORKS)
		outcome = set_keys(trial, ends.fd[0], TLS_TX, cell, 1);
	if (outcome == WORKS)
		outcome = deliver(trial, ends.fd[0], ends.fd[1]);
	return outcome;
}

static int try_max_payload(struct trial *trial, const struct cell *cell)
{
	uint16_t length = 4096;
	LOOPBACK(ends);
	int outcome = connect_keyed(trial, cell, &ends);

	if (outcome == WORKS && trial->door->set(ends.fd[0], SOL_TLS, OPTION_MAX_PAYLOAD, &length,
						 sizeof(length)) < 0)
		outcome = errno;
	return outcome;
}

/* Not periodic: a byte that is lost makes those after it differ. */
static void fill(uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		data[i] = (uint8_t)(i * 2654435761U >> 16);
}

static int send_record(struct trial *trial, int fd, const uint8_t *data)
{
	ssize_t n = trial->door->send(fd, data, RECORD_SIZE, MSG_NOSIGNAL);

	return n < 0 ? errno : n == RECORD_SIZE ? WORKS : DIFFERS;
}

/* WORKS: so many bytes came through the pipe, and they are right. On Linux before 6.5 a socket is
 * ready as soon as a part of a record is there, and then gives EAGAIN. */
static int splice_some(struct trial *trial, int fd, const int tube[2], const uint8_t *wanted,
		       size_t left, size_t *moved)
{
	uint8_t got[PIPE_SIZE];
	ssize_t n = trial->door->splice(fd, NULL, tube[1], NULL, sizeof(got), SPLICE_F_NONBLOCK);

	*moved = 0;
	if (n < 0 && errno == EAGAIN)
		return poll(NULL, 0, 1) < 0 ? errno : WORKS;
	if (n < 0)
		return errno;
	if (n == 0 || (size_t)n > left || read(tube[0], got, sizeof(got)) != n ||
	    memcmp(got, wanted, (size_t)n) != 0)
		return DIFFERS;
	*moved = (size_t)n;
	return WORKS;
}


static int splice_all(struct trial *trial, int fd, const int tube[2], const uint8_t *wanted, size_t n)
{
	size_t at = 0, moved;
	int outcome = WORKS;

	for (int turns = 0; at < n && outcome == WORKS; at += moved, turns++) {
		moved = 0;
		outcome = turns < SPLICES_MAX ? wait_in(trial, fd) : ETIMEDOUT;
		if (outcome == WORKS)
			outcome = splice_some(trial, fd, tube, wanted + at, n - at, &moved);
	}
	return outcome == ETIMEDOUT && at ? DIFFERS : outcome;
}

/* There are kernels that lose the end of a record that the pipe has no room for. */
static int try_splice(struct trial *trial, const struct cell *cell)
{
	uint8_t data[N_RECORDS * RECORD_SIZE];
	LOOPBACK(ends);
	LOOPBACK(tube);
	int outcome = connect_keyed(trial, cell, &ends);

	fill(data, sizeof(data));
	if (outcome == WORKS && (pipe2(tube.fd, O_CLOEXEC | O_NONBLOCK) < 0 ||
				 fcntl(tube.fd[1], F_SETPIPE_SZ, PIPE_SIZE) < 0))
		outcome = errno;
	for (size_t i = 0; i < N_RECORDS && outcome == WORKS; i++)
		outcome = send_record(trial, ends.fd[0], data + i * RECORD_SIZE);
	return outcome == WORKS ? splice_all(trial, ends.fd[1], tube.fd, data, sizeof(data)) : outcome;
}

static void try_cell(struct trial *trial, struct cell *cell)
{
	cell->transmit = try_direction(trial, cell, TLS_TX);
	cell->receive = try_direction(trial, cell, TLS_RX);
	if (cell->transmit == WORKS && cell->receive == WORKS)
		cell->round_trip = try_round_trip(trial, cell);
	if (cell->round_trip == WORKS && cell->version->rekeys)
		cell->rekey = try_rekey(trial, cell);
	if (trial->rekey == NOT_TRIED)
		trial->rekey = cell->rekey;
	if (cell->round_trip == WORKS && trial->splice == NOT_TRIED) {
		trial->splice = try_splice(trial, cell);
		trial->max_payload = try_max_payload(trial, cell);
	}
}

static void try_layer(struct trial *trial)
{
	LOOPBACK(ends);

	trial->loopback = connect_ends(trial, &ends);
	if (trial->loopback == WORKS)
		trial->layer = attach(trial, ends.fd[0]);
}

/* Nothing is tried after the first of these has failed: the others need it. */
static void try_all(struct trial *trial)
{
	trial->present = is_present(trial->door);
	if (trial->present)
		try_layer(trial);
	for (size_t i = 0; i < N_VERSIONS * N_AEADS; i++) {
		trial->cells[i] = (struct cell){
			&versions[i / N_AEADS], &aeads[i % N_AEADS],
			NOT_TRIED, NOT_TRIED, NOT_TRIED, NOT_TRIED,
		};
		if (trial->layer == WORKS && (!trial->door->first || i % N_AEADS < trial->door->first))
			try_cell(trial, &trial->cells[i]);
	}
}

/* --- what is told of it */

static void add(struct json_object *object, const char *member, struct json_object *value)
{
	json_object_object_add(object, member, value);
}

static void add_outcome(struct json_object *object, const char *member, int outcome)
{
	const char *name = outcome == WORKS ? "works" : outcome == DIFFERS ? "differs" : NULL;
	char number[24];

	if (outcome > 0) {
		snprintf(number, sizeof(number), "errno %d", outcome);
		name = strerrorname_np(outcome) ? strerrorname_np(outcome) : number;
	}
	add(object, member, name ? json_object_new_string(name) : NULL);
}

static struct json_object *cell_object(const struct cell *cell)
{
	struct json_object *object = json_object_new_object();

	add(object, "version", json_object_new_string(cell->version->name));
	add(object, "cipher", json_object_new_string(cell->aead->name));
	add_outcome(object, "transmit", cell->transmit);
	add_outcome(object, "receive", cell->receive);
	add_outcome(object, "roundTrip", cell->round_trip);
	add_outcome(object, "rekey", cell->rekey);
	return object;
}

static struct json_object *cells_array(const struct trial *trial)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < N_VERSIONS * N_AEADS; i++)
		json_object_array_add(array, cell_object(&trial->cells[i]));
	return array;
}

static struct json_object *behaviours_object(const struct trial *trial)
{
	struct json_object *object = json_object_new_object();

	add_outcome(object, "rekey", trial->rekey);
	add_outcome(object, "splice", trial->splice);
	add_outcome(object, "maxPayload", trial->max_payload);
	return object;
}

struct json_object *ctl_trial(const struct trial_door *door)
{
	struct trial trial = { .door = door, .patience_ms = PATIENCE_MS, .loopback = NOT_TRIED,
			       .layer = NOT_TRIED, .rekey = NOT_TRIED, .splice = NOT_TRIED,
			       .max_payload = NOT_TRIED };
	struct json_object *object = json_object_new_object();

	try_all(&trial);
	add(object, "module", json_object_new_string(trial.present ? "present" : "absent"));
	add_outcome(object, "loopback", trial.loopback);
	add_outcome(object, "tcpUlp", trial.layer);
	add(object, "ciphers", cells_array(&trial));
	add(object, "behaviours", behaviours_object(&trial));
	return object;
}
