/* SPDX-License-Identifier: MIT */
#include "client/ctl-nic.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* A kernel has some seventy. */
enum { FEATURES_MAX = 4096, BLOCK_BITS = 32 };

static const struct {
	const char *member, *feature;
} features[] = {
	{ "transmit", "tls-hw-tx-offload" },
	{ "receive", "tls-hw-rx-offload" },
	{ "record", "tls-hw-record" },
};

enum { N_FEATURES = sizeof(features) / sizeof(*features) };

static int kernel_ethtool(int fd, struct ifreq *request)
{
	return ioctl(fd, SIOCETHTOOL, request);
}

const struct nic_door nic_kernel = { if_nameindex, if_freenameindex, kernel_ethtool };

struct nic {
	const struct nic_door *door;
	int fd;
	const char *name;
	struct ethtool_gstrings *strings; /* the names of the features, all of the same length */
	struct ethtool_gfeatures *states;
};

static void *allocate(size_t head, size_t n, size_t each)
{
	return calloc(1, head + n * each);
}

static int ask(const struct nic *nic, void *question)
{
	struct ifreq request = { .ifr_data = question };

	memcpy(request.ifr_name, nic->name, strnlen(nic->name, sizeof(request.ifr_name) - 1));
	return nic->door->ethtool(nic->fd, &request);
}

static unsigned count_features(const struct nic *nic)
{
	union {
		struct ethtool_sset_info info;
		char room[sizeof(struct ethtool_sset_info) + sizeof(__u32)]; /* for one of data[] */
	} question = { .info = { .cmd = ETHTOOL_GSSET_INFO } };
	__u32 n;

	question.info.sset_mask = 1ULL << ETH_SS_FEATURES;
	if (ask(nic, &question) < 0 || !question.info.sset_mask)
		return 0;
	n = question.info.data[0];
	return n <= FEATURES_MAX ? n : 0;
}

static bool read_names(struct nic *nic, unsigned n)
{
	nic->strings = allocate(sizeof(*nic->strings), n, ETH_GSTRING_LEN);
	if (!nic->strings)
		return false;
	nic->strings->cmd = ETHTOOL_GSTRINGS;
	nic->strings->string_set = ETH_SS_FEATURES;
	nic->strings->len = n;
	return ask(nic, nic->strings) == 0 && nic->strings->len <= n;
}

static bool read_states(struct nic *nic, unsigned n)
{
	unsigned blocks = (n + BLOCK_BITS - 1) / BLOCK_BITS;

	nic->states = allocate(sizeof(*nic->states), blocks, sizeof(nic->states->features[0]));
	if (!nic->states)
		return false;
	nic->states->cmd = ETHTOOL_GFEATURES;
	nic->states->size = blocks;
	return ask(nic, nic->states) == 0 && nic->states->size >= blocks;
}

static bool read_features(struct nic *nic)
{
	unsigned n = count_features(nic);

	return n && read_names(nic, n) && read_states(nic, n);
}

static const char *state_of(const struct nic *nic, const char *feature)
{
	const struct ethtool_get_features_block *block;
	__u32 bit;

	for (unsigned i = 0; i < nic->strings->len; i++) {
		if (strncmp((const char *)nic->strings->data + i * ETH_GSTRING_LEN, feature,
			    ETH_GSTRING_LEN) != 0)
			continue;
		block = &nic->states->features[i / BLOCK_BITS];
		bit = 1U << i % BLOCK_BITS;
		if (block->active & bit)
			return "on";
		return block->available & ~block->never_changed & bit ? "off" : "unavailable";
	}
	return NULL;
}

static struct json_object *string_or_null(const char *text)
{
	return text ? json_object_new_string(text) : NULL;
}

static struct json_object *driver_of(const struct nic *nic)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };

	if (ask(nic, &info) < 0 || !info.driver[0])
		return NULL;
	return json_object_new_string_len(info.driver, (int)strnlen(info.driver, sizeof(info.driver)));
}

static struct json_object *nic_object(const struct nic_door *door, int fd, const char *name)
{
	struct nic nic = { .door = door, .fd = fd, .name = name };
	bool known = read_features(&nic);
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "interface", json_object_new_string(name));
	json_object_object_add(object, "driver", driver_of(&nic));
	for (size_t i = 0; i < N_FEATURES; i++)
		json_object_object_add(object, features[i].member,
				       string_or_null(known ? state_of(&nic, features[i].feature) :
							      NULL));
	free(nic.strings);
	free(nic.states);
	return object;
}

/* Any socket will do to ask of interfaces. */
static int open_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 ? fd : socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

struct json_object *ctl_nic(const struct nic_door *door)
{
	struct if_nameindex *list = door->list();
	struct json_object *array;
	int fd;

	if (!list)
		return NULL;
	array = json_object_new_array();
	fd = open_socket();
	for (struct if_nameindex *nic = list; nic->if_name; nic++)
		json_object_array_add(array, nic_object(door, fd, nic->if_name));
	door->free(list);
	if (fd >= 0)
		close(fd);
	return array;
}
