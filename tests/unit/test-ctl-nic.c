/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "client/ctl-nic.c"
#include "proto/util.h"

#include <errno.h>
#include <stdio.h>

enum { N_FAKE = 128 };

/* Interfaces that answer as the file named after them says. */
static struct {
	struct if_nameindex list[8];
	int refused; /* a command that fails */
	unsigned lie; /* so many features, whatever the file has */
	int freed;
} fake;

/* A file's features, in its order. */
struct recorded {
	char driver[32];
	char names[N_FAKE][ETH_GSTRING_LEN];
	bool on[N_FAKE], fixed[N_FAKE];
	unsigned n;
};

static void take_line(struct recorded *recorded, char *line)
{
	char *name = line + strspn(line, "\t "), *state = strstr(name, ": ");

	if (*line == '#' || !state)
		return;
	*state = '\0';
	state += 2;
	if (strcmp(name, "driver") == 0) {
		snprintf(recorded->driver, sizeof(recorded->driver), "%.*s",
			 (int)strcspn(state, "\n"), state);
		return;
	}
	assert_true(recorded->n < N_FAKE);
	snprintf(recorded->names[recorded->n], ETH_GSTRING_LEN, "%s", name);
	recorded->on[recorded->n] = strncmp(state, "on", 2) == 0;
	recorded->fixed[recorded->n] = strstr(state, "[fixed]") != NULL;
	recorded->n++;
}

static struct recorded read_file(const char *name)
{
	struct recorded recorded = { .n = 0 };
	char path[80], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "tests/unit/nic/%s.txt", name);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		take_line(&recorded, line);
	fclose(file);
	return recorded;
}

static int answer_sset(struct ethtool_sset_info *info, const struct recorded *recorded)
{
	assert_int_equal(info->sset_mask, 1ULL << ETH_SS_FEATURES);
	info->data[0] = fake.lie ? fake.lie : recorded->n;
	return 0;
}

static int answer_strings(struct ethtool_gstrings *strings, const struct recorded *recorded)
{
	assert_int_equal(strings->string_set, ETH_SS_FEATURES);
	assert_int_equal(strings->len, recorded->n);
	memcpy(strings->data, recorded->names, recorded->n * ETH_GSTRING_LEN);
	return 0;
}

/* What is fixed is so for one of two reasons, which the kernel tells apart and ethtool does not. */
static int answer_features(struct ethtool_gfeatures *states, const struct recorded *recorded)
{
	assert_int_equal(states->size, (recorded->n + 31) / 32);
	for (unsigned i = 0; i < recorded->n; i++) {
		struct ethtool_get_features_block *block = &states->features[i / 32];
		__u32 bit = 1U << i % 32;

		block->active |= recorded->on[i] ? bit : 0;
		block->requested |= bit;
		block->available |= !recorded->fixed[i] || i % 2 ? bit : 0;
		block->never_changed |= recorded->fixed[i] && i % 2 ? bit : 0;
	}
	return 0;
}

static int answer(__u32 command, void *question, const struct recorded *recorded)
{
	if (command == ETHTOOL_GSSET_INFO)
		return answer_sset(question, recorded);
	if (command == ETHTOOL_GSTRINGS)
		return answer_strings(question, recorded);
	if (command == ETHTOOL_GFEATURES)
		return answer_features(question, recorded);
	assert_int_equal(command, ETHTOOL_GDRVINFO);
	memcpy(((struct ethtool_drvinfo *)question)->driver, recorded->driver, 32);
	return 0;
}

/* What fails may have written something before. */
static int fake_ethtool(int fd, struct ifreq *request)
{
	struct recorded recorded = read_file(request->ifr_name);
	__u32 command = *(__u32 *)request->ifr_data;
	int n = answer(command, request->ifr_data, &recorded);

	assert_true(fd >= 0);
	if ((int)command != fake.refused)
		return n;
	errno = EOPNOTSUPP;
	return -1;
}

static struct if_nameindex *fake_list(void)
{
	return fake.list;
}

static void fake_free(struct if_nameindex *list)
{
	assert_ptr_equal(list, fake.list);
	fake.freed++;
}

static struct if_nameindex *no_list(void)
{
	return NULL;
}

static const struct nic_door door = { fake_list, fake_free, fake_ethtool };

static int set_up(void **state)
{
	memset(&fake, 0, sizeof(fake));
	return 0;
}

static void check(const char *wanted)
{
	struct json_object *array = ctl_nic(&door);

	assert_string_equal(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PLAIN), wanted);
	assert_int_equal(fake.freed, 1);
	fake.freed = 0;
	json_object_put(array);
}

#define NIC(name, driver, transmit, receive, record)						\
	"{\"interface\":\"" name "\",\"driver\":" driver ",\"transmit\":" transmit		\
	",\"receive\":" receive ",\"record\":" record "}"
#define NONE "\"unavailable\""

static void test_interfaces_of_all_kinds(void **state)
{
	static char names[][IFNAMSIZ] = { "mlx5-on", "mlx5-without", "virtio", "veth", "before-tls" };

	for (size_t i = 0; i < array_size(names); i++)
		fake.list[i] = (struct if_nameindex){ (unsigned)i + 1, names[i] };
	check("[" NIC("mlx5-on", "\"mlx5_core\"", "\"on\"", "\"off\"", NONE) ","
	      NIC("mlx5-without", "\"mlx5_core\"", NONE, NONE, NONE) ","
	      NIC("virtio", "\"virtio_net\"", NONE, NONE, NONE) ","
	      NIC("veth", "\"veth\"", NONE, NONE, NONE) ","
	      NIC("before-tls", "\"igb\"", "null", "null", "null") "]");
}

static void test_what_the_kernel_does_not_tell(void **state)
{
	static const int of_features[] = { ETHTOOL_GSSET_INFO, ETHTOOL_GSTRINGS, ETHTOOL_GFEATURES };
	static char name[] = "mlx5-on";

	fake.list[0] = (struct if_nameindex){ 1, name };
	for (size_t i = 0; i < array_size(of_features); i++) {
		fake.refused = of_features[i];
		check("[" NIC("mlx5-on", "\"mlx5_core\"", "null", "null", "null") "]");
	}
	fake.refused = ETHTOOL_GDRVINFO;
	check("[" NIC("mlx5-on", "null", "\"on\"", "\"off\"", NONE) "]");
	fake.refused = 0;
	fake.lie = FEATURES_MAX + 1;
	check("[" NIC("mlx5-on", "\"mlx5_core\"", "null", "null", "null") "]");
}

static void test_no_interfaces(void **state)
{
	static const struct nic_door none = { no_list, fake_free, fake_ethtool };

	assert_null(ctl_nic(&none));
	check("[]");
}

/* Of this machine's own, lo at least: it has no driver, and can offload nothing. */
static void test_the_kernel(void **state)
{
	struct json_object *array = ctl_nic(&nic_kernel), *nic, *name, *transmit;
	int seen = 0;

	for (size_t i = 0; i < json_object_array_length(array); i++) {
		nic = json_object_array_get_idx(array, i);
		assert_true(json_object_object_get_ex(nic, "interface", &name));
		if (strcmp(json_object_get_string(name), "lo") != 0)
			continue;
		seen++;
		assert_true(json_object_object_get_ex(nic, "transmit", &transmit));
		assert_string_equal(json_object_get_string(transmit), "unavailable");
	}
	assert_int_equal(seen, 1);
	json_object_put(array);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_interfaces_of_all_kinds, set_up),
		cmocka_unit_test_setup(test_what_the_kernel_does_not_tell, set_up),
		cmocka_unit_test_setup(test_no_interfaces, set_up),
		cmocka_unit_test_setup(test_the_kernel, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
