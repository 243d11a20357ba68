/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=ctl_failure */
#include "tests/unit/unit.h"

#include "client/ctl-ciphers.c"

#include "tests/unit/shown.h"

#define CELL(version, cipher, transmit, receive, trip, rekey) "{\"version\": \"" version "\", \"cipher\": \""	\
	cipher "\", \"transmit\": " transmit ", \"receive\": " receive ", \"roundTrip\": " trip		\
	", \"rekey\": " rekey "}"
#define TRIAL(cells) "{\"module\": \"present\", \"loopback\": \"works\", \"tcpUlp\": \"works\","		\
	"\"ciphers\": [" cells "], \"behaviours\": {}}"
#define WORKS "\"works\""
#define CELLS CELL("1.2", "aes-gcm-128", WORKS, WORKS, WORKS, "null") ","				\
	CELL("1.3", "aes-gcm-256", WORKS, WORKS, WORKS, "\"EBUSY\"") ","				\
	CELL("1.2", "sm4-gcm", "\"ENOENT\"", "\"ENOENT\"", "null", "null")
#define DRIVERS "[{\"cipher\": \"aes-gcm-256\", \"driver\": \"generic-gcm\", \"speed\": \"generic\"},"		\
	"{\"cipher\": \"aes-gcm-128\", \"driver\": \"generic-gcm-aesni\", \"speed\": \"instructions\"},"	\
	"{\"cipher\": \"sm4-gcm\", \"driver\": null, \"speed\": null}]"
#define NICS "[{\"interface\": \"eth0\", \"driver\": \"mlx5_core\", \"transmit\": \"on\","			\
	"\"receive\": \"off\", \"record\": \"unavailable\"}]"
#define SERVICE "{\"openssl\": \"OpenSSL 3.0.22\", \"suites\": [\"A\", \"B\", \"C\"],"			\
	"\"offloadable\": [\"A\", \"C\"], \"policies\": ["						\
	"{\"name\": \"default\", \"suites\": [\"A\"], \"offloadable\": [\"A\"]},"			\
	"{\"name\": \"old\", \"suites\": [\"A\", \"B\"], \"offloadable\": [\"A\"]}]}"

static const char *trial_text, *service_text;

const struct trial_door trial_kernel;
const struct nic_door nic_kernel;

struct json_object *ctl_trial(const struct trial_door *door)
{
	assert_ptr_equal(door, &trial_kernel);
	return json_tokener_parse(trial_text);
}

struct json_object *ctl_crypto(const char *path)
{
	assert_string_equal(path, "/proc/crypto");
	return json_tokener_parse(DRIVERS);
}

struct json_object *ctl_nic(const struct nic_door *door)
{
	assert_ptr_equal(door, &nic_kernel);
	return json_tokener_parse(NICS);
}

struct json_object *ctl_service_call(struct ctl *ctl, const char *method)
{
	assert_string_equal(method, "io.ktlsd.GetCapabilities");
	return service_text ? json_tokener_parse(service_text) : NULL;
}

struct json_object *ctl_service_failure(const struct ktls *k)
{
	return json_tokener_parse("{\"error\": {\"name\": \"ServiceUnreachable\"}}");
}

int __wrap_ctl_failure(const struct ktls *k);

int __wrap_ctl_failure(const struct ktls *k)
{
	return KTLS_WHO_ADMINISTRATOR;
}

static char *ciphers_text(const char *trial, const char *service_says, bool json)
{
	struct ctl ctl = { .json = json };
	int status;
	char *text;

	trial_text = trial;
	service_text = service_says;
	text = shown(&ctl_ciphers, &ctl, &status);
	assert_int_equal(status, service_says ? 0 : KTLS_WHO_ADMINISTRATOR);
	if (!json)
		squeeze(text);
	return text;
}

#define KERNEL "\nWhat this kernel takes over, by trying\n"
#define TABLE "VERSION CIPHER TRANSMIT RECEIVE ROUND TRIP REKEY SPEED DRIVER\n"				\
	"1.2 aes-gcm-128 works works works - instructions generic-gcm-aesni\n"			\
	"1.3 aes-gcm-256 works works works EBUSY generic: SLOW generic-gcm\n"			\
	"1.2 sm4-gcm ENOENT ENOENT - - - -\n"
#define INTERFACES "\nWhat network interfaces do themselves\nINTERFACE TRANSMIT RECEIVE RECORD DRIVER\n"	\
	"eth0 on off unavailable mlx5_core\n"
#define SUITES "\nSuites that OpenSSL 3.0.22 offers, and the policies that leave them\n"			\
	"SUITE KERNEL POLICIES\nA yes default old\nB no old\nC yes -\n"

static void check(const char *trial, const char *service_says, const char *wanted)
{
	char *text = ciphers_text(trial, service_says, false);

	assert_string_equal(text, wanted);
	free(text);
}

static void test_each_cell_with_its_driver(void **state)
{
	check(TRIAL(CELLS), SERVICE, KERNEL TABLE INTERFACES SUITES);
}

static void test_without_the_service(void **state)
{
	char *text = ciphers_text(TRIAL(CELLS), NULL, true);
	struct json_object *document = json_tokener_parse(text);

	assert_string_equal(view_text(document, "error.name"), "ServiceUnreachable");
	assert_string_equal(view_text(document, "trial.module"), "present");
	assert_null(view_get(document, "service"));
	json_object_put(document);
	free(text);
	check(TRIAL(CELLS), NULL, KERNEL TABLE INTERFACES);
}

static void test_the_document(void **state)
{
	char *text = ciphers_text(TRIAL(CELLS), SERVICE, true), wanted[4096];
	struct json_object *document = json_tokener_parse(text), *parts;

	snprintf(wanted, sizeof(wanted),
		 "{\"trial\": %s, \"drivers\": %s, \"interfaces\": %s, \"service\": %s}", TRIAL(CELLS),
		 DRIVERS, NICS, SERVICE);
	parts = json_tokener_parse(wanted);
	assert_string_equal(json_object_to_json_string(document), json_object_to_json_string(parts));
	json_object_put(parts);
	json_object_put(document);
	free(text);
}

static void test_where_nothing_could_be_tried(void **state)
{
	check("{\"module\": \"absent\", \"ciphers\": []}", NULL,
	      KERNEL "its TLS is not loaded: as root, run modprobe tls; nothing was tried\n" INTERFACES);
	check("{\"module\": \"present\", \"loopback\": \"EPERM\", \"ciphers\": []}", NULL,
	      KERNEL "nothing could be tried, on loopback: EPERM\n" INTERFACES);
	check("{\"module\": \"present\", \"loopback\": \"works\", \"tcpUlp\": \"EACCES\", \"ciphers\": []}",
	      NULL, KERNEL "a socket does not get its TLS: EACCES\n" INTERFACES);
}

static void test_tones(void **state)
{
	static const struct {
		const char *row;
		enum view_tone (*tone)(struct json_object *row);
		enum view_tone wanted;
	} rows[] = {
		{ "{\"driver\": {\"speed\": \"generic\"}}", tone_of_speed, VIEW_BAD },
		{ "{\"driver\": {\"speed\": \"instructions\"}}", tone_of_speed, VIEW_GOOD },
		{ "{\"driver\": {\"speed\": \"library\"}}", tone_of_speed, VIEW_PLAIN },
		{ "{\"driver\": null}", tone_of_speed, VIEW_PLAIN },
		{ "{\"transmit\": \"works\"}", tone_of_transmit, VIEW_GOOD },
		{ "{\"receive\": \"ENOENT\"}", tone_of_receive, VIEW_BAD },
		{ "{\"roundTrip\": null}", tone_of_round_trip, VIEW_FAINT },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		struct json_object *row = json_tokener_parse(rows[i].row);

		assert_int_equal(rows[i].tone(row), rows[i].wanted);
		json_object_put(row);
	}
}

/* The names by which a cell finds its driver are the same on both sides. */
static void test_a_cipher_has_one_name(void **state)
{
	static const char *const sources[] = { "client/ctl-trial.c", "client/ctl-crypto.c" };
	static const char *const names[] = { "aes-gcm-128", "aes-gcm-256", "aes-ccm-128",
					     "chacha20-poly1305", "sm4-gcm", "sm4-ccm", "aria-gcm-128",
					     "aria-gcm-256" };
	char text[32768], quoted[32];

	for (size_t i = 0; i < array_size(sources); i++) {
		FILE *file = fopen(sources[i], "re");

		assert_non_null(file);
		text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
		fclose(file);
		for (size_t j = 0; j < array_size(names); j++) {
			snprintf(quoted, sizeof(quoted), "{ \"%s\",", names[j]);
			if (!strstr(text, quoted))
				fail_msg("%s: no %s", sources[i], quoted);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_cell_with_its_driver),
		cmocka_unit_test(test_without_the_service),
		cmocka_unit_test(test_the_document),
		cmocka_unit_test(test_where_nothing_could_be_tried),
		cmocka_unit_test(test_tones),
		cmocka_unit_test(test_a_cipher_has_one_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
