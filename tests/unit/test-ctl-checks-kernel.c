/* SPDX-License-Identifier: MIT */
#include "client/ctl-checks-kernel.c"

#include "tests/unit/exam.h"

#define CIPHER(name, module, err) "{\"name\":\"" name "\",\"module\":\"" module "\",\"errno\":" err "}"
#define CIPHERS(gcm128, gcm256, chacha, ccm)								\
	"[" CIPHER("aes-gcm-128", "gcm", gcm128) "," CIPHER("aes-gcm-256", "gcm", gcm256) ","		\
	CIPHER("chacha20-poly1305", "chacha20poly1305", chacha) "," CIPHER("aes-ccm-128", "ccm", ccm) "]"
#define KERNEL(tls, loopback, ciphers)									\
	"{\"tlsErrno\":" tls ",\"loopbackErrno\":" loopback ",\"ciphers\":" ciphers "}"
#define NONE "\"ENOENT\""
#define OLD "\"EINVAL\""
#define LATE "\"ETIMEDOUT\""
#define ALL CIPHERS("null", "null", "null", "null")

static const char *not_installed; /* module, of all there are */

static bool fake_has_module(const struct utsname *kernel, const char *name)
{
	assert_string_equal(kernel->release, "6.1.0");
	return !not_installed || strcmp(name, not_installed) != 0;
}

/* What the service tells of the kernel, NULL: it does not answer; and what ktlsctl's own trial does. */
static struct exam exam_of(const char *kernel, const char *trial)
{
	struct exam exam = { .kernel.release = "6.1.0", .has_module = fake_has_module };

	not_installed = NULL;
	if (kernel) {
		exam.capabilities = document("{\"managed\":true}");
		put(exam.capabilities, "kernel", kernel);
	}
	if (trial)
		exam.trial = document(trial);
	return exam;
}

static struct finding find(const char *name, const char *kernel, const char *trial)
{
	struct exam exam = exam_of(kernel, trial);
	struct finding finding = look(checks_of_kernel, name, &exam);

	exam_deinit(&exam);
	return finding;
}

#define check(name, kernel, trial, verdict, who, what, cure) do {					\
	struct finding its = find(name, kernel, trial);							\
													\
	check_finding(&its, verdict, who, what, cure);						\
} while (0)

#define ADMIN KTLS_WHO_ADMINISTRATOR
#define NOBODY KTLS_WHO_NOBODY
#define NOT_LOADED "the kernel's module tls is not loaded"
#define ABSENT "{\"module\":\"absent\",\"loopback\":null,\"behaviours\":{\"rekey\":null}}"
#define PRESENT "{\"module\":\"present\",\"loopback\":\"works\",\"behaviours\":{\"rekey\":\"works\"}}"

static void test_module(void **state)
{
	check("module", KERNEL("null", "null", ALL), ABSENT, VERDICT_OK, NOBODY, "the kernel's TLS is there", "");
	check("module", KERNEL(NONE, "null", ALL), PRESENT, VERDICT_FAULT, ADMIN, NOT_LOADED,
	      "as root, run modprobe -a tls");
	check("module", KERNEL("\"EPERM\"", "null", ALL), PRESENT, VERDICT_FAULT, ADMIN,
	      "the kernel refuses its TLS to the service: EPERM",
	      "as root, find the security module or system call filter that forbids it: journalctl -k may tell");
	check("module", KERNEL("\"ENOMEM\"", "null", ALL), PRESENT, VERDICT_FAULT, ADMIN,
	      "the kernel refuses its TLS to the service: ENOMEM",
	      "see what journalctl -u ktlsd and journalctl -k tell");
	check("module", KERNEL("\"EADDRNOTAVAIL\"", "null", ALL), PRESENT, VERDICT_UNKNOWN, NOBODY,
	      "the kernel's TLS could not be tried", "");
}

static void check_unasked(const char *trial, bool disabled, const char *missing, enum verdict verdict,
			  const char *what, const char *cure)
{
	struct exam exam = exam_of(NULL, trial);
	struct finding found;

	not_installed = missing;
	exam.modules_disabled = disabled;
	found = look(checks_of_kernel, "module", &exam);
	check_finding(&found, verdict, verdict == VERDICT_FAULT ? ADMIN : NOBODY, what, cure);
	exam_deinit(&exam);
}

static void test_module_without_service(void **state)
{
	check_unasked(PRESENT, false, NULL, VERDICT_OK, "the kernel's module tls is there", "");
	check_unasked(PRESENT, true, "tls", VERDICT_OK, "the kernel's module tls is there", "");
	check_unasked(ABSENT, false, NULL, VERDICT_UNKNOWN,
		      "the kernel's module tls is not loaded; it is when the service starts", "");
	check_unasked(ABSENT, false, "tls", VERDICT_FAULT, NOT_LOADED,
		      "no module tls is installed for 6.1.0: install the package with this kernel's modules; "
		      "then, as root, run modprobe -a tls");
	check_unasked(ABSENT, true, NULL, VERDICT_FAULT, NOT_LOADED,
		      "kernel.modules_disabled is 1, so that none can be loaded: as root, run "
		      "printf '%s\\n' tls gcm > /etc/modules-load.d/tls.conf && reboot");
}

static void check_loopback(const char *kernel, const char *trial, bool is_down, const char *what, const char *cure)
{
	struct exam exam = exam_of(kernel, trial);
	struct finding found;

	exam.lo_down = is_down;
	found = look(checks_of_kernel, "loopback", &exam);
	check_finding(&found, VERDICT_FAULT, ADMIN, what, cure);
	exam_deinit(&exam);
}

#define NO_LOOPBACK "the kernel's TLS cannot be tried on loopback: "
#define FILTER "let no packet filter hold up what goes over lo; as root, nft list ruleset and iptables -S show them"
#define NO_ADDRESS "as root, run ip address add 127.0.0.1/8 dev lo"

static void test_loopback(void **state)
{
	static const char blocked[] = "{\"module\":\"present\",\"loopback\":\"ECONNREFUSED\"}";

	check("loopback", KERNEL("null", "null", ALL), blocked, VERDICT_OK, NOBODY,
	      "the kernel's TLS can be tried on loopback", "");
	check("loopback", NULL, PRESENT, VERDICT_OK, NOBODY, "the kernel's TLS can be tried on loopback", "");
	check("loopback", NULL, ABSENT, VERDICT_UNKNOWN, NOBODY,
	      "nothing was tried on loopback without the module", "");
	check_loopback(KERNEL("null", LATE, ALL), PRESENT, false, NO_LOOPBACK "ETIMEDOUT", FILTER);
	check_loopback(KERNEL("null", LATE, ALL), PRESENT, true, NO_LOOPBACK "the interface lo is down: ETIMEDOUT",
		       "as root, run ip link set lo up");
	check_loopback(KERNEL("\"EADDRNOTAVAIL\"", "null", ALL), PRESENT, false, NO_LOOPBACK "EADDRNOTAVAIL",
		       NO_ADDRESS);
	check_loopback(KERNEL("null", "\"ENETUNREACH\"", ALL), PRESENT, false, NO_LOOPBACK "ENETUNREACH", NO_ADDRESS);
	check_loopback(NULL, blocked, false, NO_LOOPBACK "ECONNREFUSED", FILTER);
}

#define NOT_TAKEN "the kernel does not take "

static void test_ciphers(void **state)
{
	check("ciphers", NULL, PRESENT, VERDICT_UNKNOWN, NOBODY, "the service does not tell", "");
	check("ciphers", KERNEL("null", "null", ALL), PRESENT, VERDICT_OK, NOBODY,
	      "the kernel takes all ciphers that the service has for it", "");
	check("ciphers", KERNEL("null", "null", CIPHERS(NONE, NONE, "null", "null")), PRESENT, VERDICT_FAULT, ADMIN,
	      NOT_TAKEN "aes-gcm-128, aes-gcm-256", "as root, run modprobe -a gcm && systemctl reload ktlsd");
	check("ciphers", KERNEL("null", "null", CIPHERS("null", OLD, "null", "null")), PRESENT, VERDICT_FAULT, ADMIN,
	      NOT_TAKEN "aes-gcm-256", "install a later kernel");
	check("ciphers", KERNEL("null", "null", CIPHERS("null", "null", NONE, NONE)), PRESENT, VERDICT_NOTE, ADMIN,
	      NOT_TAKEN "chacha20-poly1305, aes-ccm-128",
	      "as root, run modprobe -a chacha20poly1305 ccm && systemctl reload ktlsd");
	check("ciphers", KERNEL("null", "null", CIPHERS("null", "null", OLD, NONE)), PRESENT, VERDICT_NOTE, ADMIN,
	      NOT_TAKEN "chacha20-poly1305, aes-ccm-128", "as root, run modprobe -a ccm && systemctl reload ktlsd");
	/* Not what a service may say besides. */
	check("ciphers", KERNEL("null", "null", "[" CIPHER("aes-gcm-128", "gcm; reboot", NONE) ","
	      CIPHER("aes-gcm-256", "-r", NONE) "]"),
	      PRESENT, VERDICT_FAULT, ADMIN, NOT_TAKEN "aes-gcm-128, aes-gcm-256", "install a later kernel");
	check("ciphers", KERNEL("null", "null", "7"), PRESENT, VERDICT_OK, NOBODY,
	      "the kernel takes all ciphers that the service has for it", "");
	/* What was not tried is not missing. */
	check("ciphers", KERNEL(NONE, "null", CIPHERS(NONE, NONE, NONE, NONE)), ABSENT, VERDICT_UNKNOWN, NOBODY,
	      "which ciphers the kernel takes could not be tried", "");
	check("ciphers", KERNEL("null", LATE, CIPHERS(LATE, LATE, LATE, LATE)), PRESENT, VERDICT_UNKNOWN, NOBODY,
	      "which ciphers the kernel takes could not be tried", "");
}

static void test_cipher_module(void **state)
{
	struct exam exam = exam_of(KERNEL("null", "null", CIPHERS(NONE, NONE, "null", "null")), PRESENT);
	struct finding found;

	not_installed = "gcm";
	found = look(checks_of_kernel, "ciphers", &exam);
	check_finding(&found, VERDICT_FAULT, ADMIN, NOT_TAKEN "aes-gcm-128, aes-gcm-256",
		      "no module gcm is installed for 6.1.0: install the package with this kernel's modules; "
		      "then, as root, run modprobe -a gcm && systemctl reload ktlsd");
	exam_deinit(&exam);
}

static void test_speed(void **state)
{
	struct exam exam = exam_of(KERNEL("null", "null", ALL), PRESENT);
	struct finding found = look(checks_of_kernel, "speed", &exam);

	check_finding(&found, VERDICT_OK, NOBODY, "no cipher falls back to slow code", "");
	exam.drivers = document("[{\"cipher\":\"aes-gcm-128\",\"speed\":\"generic\"},"
				"{\"cipher\":\"aes-ccm-128\",\"speed\":\"instructions\"},"
				"{\"cipher\":\"sm4-gcm\",\"speed\":null},"
				"{\"cipher\":\"chacha20-poly1305\",\"speed\":\"generic\"}]");
	found = look(checks_of_kernel, "speed", &exam);
	assert_int_equal(found.verdict, VERDICT_NOTE);
	assert_string_equal(found.what, "slow code, without the processor's instructions: aes-gcm-128, chacha20-poly1305");
	exam_deinit(&exam);
	check("speed", NULL, ABSENT, VERDICT_UNKNOWN, NOBODY, "who would do the work is seen with the module alone", "");
}

static void test_rekey(void **state)
{
	check("rekey", NULL, PRESENT, VERDICT_OK, NOBODY, "keys of TLS 1.3 can be renewed", "");
	check("rekey", NULL, ABSENT, VERDICT_UNKNOWN, NOBODY, "whether keys of TLS 1.3 can be renewed was not tried", "");
	check("rekey", NULL, "{\"behaviours\":{\"rekey\":\"EBUSY\"}}", VERDICT_NOTE, ADMIN,
	      "keys of TLS 1.3 cannot be renewed (TLS 1.2, which the service speaks, has no need of it)",
	      "install a kernel from Linux 6.14 on");
}

static void test_faults(void **state)
{
	struct exam exam = exam_of(NULL, PRESENT);
	struct finding found = look(checks_of_kernel, "kernel faults", &exam);

	check_finding(&found, VERDICT_OK, NOBODY, "no known fault of kernel TLS was found in this kernel", "");
	exam.faults = document("[{\"name\":\"one\",\"state\":\"affected\"},{\"name\":\"two\",\"state\":\"fixed\"},"
			       "{\"name\":\"three\",\"state\":\"unknown\"},{\"name\":\"four\",\"state\":\"affected\"}]");
	found = look(checks_of_kernel, "kernel faults", &exam);
	check_finding(&found, VERDICT_NOTE, ADMIN, "this kernel has known faults: one, four",
		      "install a later kernel; ktlsctl status tells what each is");
	exam_deinit(&exam);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_module),
		cmocka_unit_test(test_module_without_service),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_ciphers),
		cmocka_unit_test(test_cipher_module),
		cmocka_unit_test(test_speed),
		cmocka_unit_test(test_rekey),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
