/* SPDX-License-Identifier: MIT */
#include "daemon/kernel.h"

#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

#define ULP "tls"
#define ULP_NAME_MAX 16		/* the kernel's TCP_ULP_NAME_MAX */

/* Loopback answers within microseconds; where a packet filter swallows it, we do not wait. */
#define PROBE_WAIT_MS 250

/* The kernel's structs are for all ciphers info, iv, key, salt, rec_seq, without a gap. */
#define INFO_SIZE(iv, key, salt)								\
	(sizeof(struct tls_crypto_info) + (iv) + (key) + (salt) + CIPHER_SEQ_SIZE)

_Static_assert(sizeof(struct tls12_crypto_info_aes_gcm_128) == INFO_SIZE(8, 16, 4), "layout");
_Static_assert(sizeof(struct tls12_crypto_info_aes_gcm_256) == INFO_SIZE(8, 32, 4), "layout");
_Static_assert(sizeof(struct tls12_crypto_info_aes_ccm_128) == INFO_SIZE(8, 16, 4), "layout");
_Static_assert(sizeof(struct tls12_crypto_info_chacha20_poly1305) == INFO_SIZE(12, 32, 0),
	       "layout");

struct info {
	uint8_t bytes[INFO_SIZE(CIPHER_IV_MAX, CIPHER_KEY_MAX, CIPHER_SALT_MAX)];
	socklen_t size;
};

enum field { VERSION, CIPHER, IV, KEY, SALT, SEQ, N_FIELDS };

static const char *const field_names[N_FIELDS] = {
	"version", "cipher", "iv", "key", "salt", "sequence number",
};

/* What can be refused: its name in messages, and the cures that apply. */
struct door {
	const char *name;
	enum { ON_ULP = 1, ON_KEYS = 2, ON_BACK = 4, ON_LOOPBACK = 8 } kind;
};

static const struct door door_ulp = { "TCP_ULP", ON_ULP };
static const struct door door_ulp_back = { "the read-back of TCP_ULP", ON_BACK };
static const struct door door_loopback = { "the trial on loopback", ON_LOOPBACK };

/* Of one direction. */
struct direction {
	int option;
	struct door set, back;
	size_t keys;			/* where in struct session_keys */
};

static const struct direction directions[] = {
	{
		TLS_TX, { "TLS_TX", ON_KEYS }, { "the read-back of TLS_TX", ON_BACK },
		offsetof(struct session_keys, tx),
	},
	{
		TLS_RX, { "TLS_RX", ON_KEYS }, { "the read-back of TLS_RX", ON_BACK },
		offsetof(struct session_keys, rx),
	},
};

/* Who can do what about it. The first line that fits counts. */
static const struct cure {
	int kind, error;
	bool retry;
	const char *text;
	bool of_module;		/* the name of the cipher's module goes behind it */
} cures[] = {
	{ ON_ULP, ENOENT, false, "the kernel has no TLS module: as root, run modprobe tls" },
	{ ON_ULP, ENOTCONN, false, "the peer closed the connection before the handshake" },
	{ ON_ULP, ENOPROTOOPT, false, "this is not plain TCP, or the kernel has no such option" },
	{ ON_ULP, EEXIST, false, "the socket has such a layer already" },
	{ ON_KEYS, ENOENT, false, "the kernel has no such cipher: as root, run modprobe ", true },
	{ ON_KEYS, EINVAL, false, "this kernel does not take the cipher" },
	{ ON_KEYS | ON_BACK, EBUSY, false, "this direction has no keys, or has others" },
	{ ON_KEYS | ON_BACK, ENOPROTOOPT, false, "the socket has no TLS layer" },
	{ ON_LOOPBACK, EADDRNOTAVAIL, false, "the interface lo has no address, or is down" },
	{ ON_LOOPBACK, ENETUNREACH, false, "the interface lo has no address, or is down" },
	{ ON_LOOPBACK, ETIMEDOUT, false,
	  "the interface lo is down, or a packet filter holds up what goes over it" },
	{ ON_ULP | ON_KEYS | ON_BACK, ENOMEM, true, "the kernel has no memory left" },
	{ ON_ULP | ON_KEYS | ON_BACK, ENOBUFS, true, "the kernel has no memory left" },
	{ ON_ULP | ON_KEYS | ON_BACK, EPERM, false,
	  "a security module or system call filter forbids it" },
	{ ON_ULP | ON_KEYS | ON_BACK, EACCES, false,
	  "a security module or system call filter forbids it" },
};

static const struct cure *find_cure(const struct door *door, int error)
{
	for (size_t i = 0; i < array_size(cures); i++)
		if ((cures[i].kind & door->kind) && cures[i].error == error)
			return &cures[i];
	return NULL;
}

static enum proto_error refuse(struct proto_status *status, const struct door *door, int error,
			       const struct cipher *cipher)
{
	const struct cure *cure = find_cure(door, error);

	proto_status_set(status, PROTO_KERNEL_TLS_UNAVAILABLE, PROTO_STAGE_INSTALL, error,
			 "%s%s%s failed: %s%s%s%s", cipher ? cipher->name : "", cipher ? ": " : "",
			 door->name, strerror(error), cure ? ": " : "", cure ? cure->text : "",
			 cure && cure->of_module ? cipher->module : "");
	status->retry = cure && cure->retry;
	return status->error;
}

static void info_wipe(struct info *info)
{
	OPENSSL_cleanse(info, sizeof(*info));
}

static void field_sizes(size_t sizes[static N_FIELDS], const struct cipher *cipher)
{
	sizes[VERSION] = sizes[CIPHER] = sizeof(uint16_t);
	sizes[IV] = cipher->iv_size;
	sizes[KEY] = cipher->key_size;
	sizes[SALT] = cipher->salt_size;
	sizes[SEQ] = CIPHER_SEQ_SIZE;
}

static void info_fill(struct info *info, const struct session_keys *keys,
		      const struct direction_keys *direction)
{
	const void *fields[N_FIELDS] = {
		[VERSION] = &keys->version, [CIPHER] = &keys->cipher->kernel_type,
		[IV] = direction->iv, [KEY] = direction->key, [SALT] = direction->salt,
		[SEQ] = direction->seq,
	};
	size_t sizes[N_FIELDS];

	field_sizes(sizes, keys->cipher);
	info->size = 0;
	for (size_t i = 0; i < N_FIELDS; i++) {
		memcpy(info->bytes + info->size, fields[i], sizes[i]);
		info->size += (socklen_t)sizes[i];
	}
}

/* The name of the first field that differs; NULL: none does. */
static const char *info_differs(const struct info *a, const struct info *b,
				const struct cipher *cipher)
{
	size_t sizes[N_FIELDS], at = 0;

	if (a->size != b->size)
		return "size";
	field_sizes(sizes, cipher);
	for (size_t i = 0; i < N_FIELDS; at += sizes[i++])
		if (CRYPTO_memcmp(a->bytes + at, b->bytes + at, sizes[i]) != 0)
			return field_names[i];
	return NULL;
}

static const struct direction_keys *keys_of(const struct session_keys *keys,
					    const struct direction *direction)
{
	return (const void *)((const char *)keys + direction->keys);
}

static enum proto_error set_direction(int fd, const struct session_keys *keys,
				      const struct direction *direction,
				      struct proto_status *status)
{
	_cleanup_(info_wipe) struct info info = { 0 };

	info_fill(&info, keys, keys_of(keys, direction));
	if (setsockopt(fd, SOL_TLS, direction->option, info.bytes, info.size) < 0)
		return refuse(status, &direction->set, errno, keys->cipher);
	return PROTO_OK;
}

static enum proto_error check_direction(int fd, const struct session_keys *keys,
					const struct direction *direction,
					struct proto_status *status)
{
	_cleanup_(info_wipe) struct info wanted = { 0 }, got = { 0 };
	const char *field;

	info_fill(&wanted, keys, keys_of(keys, direction));
	got.size = wanted.size;
	if (getsockopt(fd, SOL_TLS, direction->option, got.bytes, &got.size) < 0)
		return refuse(status, &direction->back, errno, keys->cipher);
	field = info_differs(&wanted, &got, keys->cipher);
	if (!field)
		return PROTO_OK;
	return proto_status_set(status, PROTO_KERNEL_TLS_UNAVAILABLE, PROTO_STAGE_INSTALL, 0,
				"%s: %s shows another %s than was set", keys->cipher->name,
				direction->back.name, field);
}

static enum proto_error check_ulp(int fd, struct proto_status *status)
{
	char name[ULP_NAME_MAX + 1] = "";
	socklen_t size = ULP_NAME_MAX;

	if (getsockopt(fd, SOL_TCP, TCP_ULP, name, &size) < 0)
		return refuse(status, &door_ulp_back, errno, NULL);
	if (strcmp(name, ULP) == 0)
		return PROTO_OK;
	return proto_status_set(status, PROTO_KERNEL_TLS_UNAVAILABLE, PROTO_STAGE_INSTALL, 0,
				"%s shows \"%s\"", door_ulp_back.name, name);
}

enum proto_error kernel_attach(int fd, struct proto_status *status)
{
	if (setsockopt(fd, SOL_TCP, TCP_ULP, ULP, sizeof(ULP)) < 0)
		return refuse(status, &door_ulp, errno, NULL);
	return PROTO_OK;
}

enum proto_error kernel_install(int fd, const struct session_keys *keys,
				struct proto_status *status)
{
	enum proto_error error = PROTO_OK;

	for (size_t i = 0; i < array_size(directions) && error == PROTO_OK; i++)
		error = set_direction(fd, keys, &directions[i], status);
	if (error == PROTO_OK)
		error = check_ulp(fd, status);
	for (size_t i = 0; i < array_size(directions) && error == PROTO_OK; i++)
		error = check_direction(fd, keys, &directions[i], status);
	return error;
}

/* --- the probe */

static int loopback(int family, struct sockaddr_storage *address, socklen_t *size)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	*size = family == AF_INET ? sizeof(in) : sizeof(in6);
	memcpy(address, family == AF_INET ? (void *)&in : (void *)&in6, *size);
	return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
}

static int wait_for(int fd, short events)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	return poll(&poll_fd, 1, PROBE_WAIT_MS) > 0 ? 0 : -ETIMEDOUT;
}

/*
 * A socket that is connected to itself (RFC 9293, 3.5: simultaneous open): an established TCP
 * connection to which nobody else has an end. Returns it, or -errno.
 */
static int connect_to_itself(int family)
{
	struct sockaddr_storage address;
	socklen_t size, error_size = sizeof(int);
	_cleanup_fd_ int fd = loopback(family, &address, &size);
	int error = 0;

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, size) < 0 && errno != EINPROGRESS)
		return -errno;
	if (wait_for(fd, POLLOUT) < 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size) < 0)
		return -errno;
	return error ? -error : steal_fd(&fd);
}

static int probe_socket(void)
{
	int fd = connect_to_itself(AF_INET), fd6;

	if (fd >= 0)
		return fd;
	fd6 = connect_to_itself(AF_INET6);
	return fd6 >= 0 ? fd6 : fd;
}

/* What was written must come back: kernels before 5.15.15 could encrypt CCM, but not decrypt. */
static int round_trip(int fd)
{
	char sent[] = "probe", got[sizeof(sent)] = "";
	ssize_t n;

	if (send(fd, sent, sizeof(sent), MSG_NOSIGNAL) != sizeof(sent))
		return errno;
	if (wait_for(fd, POLLIN) < 0)
		return ETIMEDOUT;
	n = recv(fd, got, sizeof(got), 0);
	if (n < 0)
		return errno;
	return n == sizeof(sent) && memcmp(sent, got, sizeof(sent)) == 0 ? 0 : EBADMSG;
}

static int probe_cipher(struct kernel *kernel, const struct cipher *cipher)
{
	_cleanup_fd_ int fd = probe_socket();
	struct session_keys keys = { .cipher = cipher, .version = TLS_1_2_VERSION };
	struct proto_status status;

	if (fd < 0)
		return kernel->loopback_errno = -fd;
	if (kernel_attach(fd, &status) != PROTO_OK ||
	    kernel_install(fd, &keys, &status) != PROTO_OK)
		return status.sys_errno ? status.sys_errno : EBADMSG;
	return round_trip(fd);
}

int kernel_ulp_errno(void)
{
	struct sockaddr_storage address;
	socklen_t size;
	_cleanup_fd_ int fd = loopback(AF_INET, &address, &size);

	if (fd < 0)
		fd = loopback(AF_INET6, &address, &size);
	if (fd < 0)
		return errno;
	if (setsockopt(fd, SOL_TCP, TCP_ULP, ULP, sizeof(ULP)) == 0 || errno == ENOTCONN)
		return 0;
	return errno;
}

bool kernel_probe(struct kernel *kernel)
{
	*kernel = (struct kernel){ .ulp_errno = kernel_ulp_errno() };
	for (size_t i = 0; i < n_ciphers && i < KERNEL_CIPHERS_MAX; i++) {
		int known = kernel->ulp_errno ? kernel->ulp_errno : kernel->loopback_errno;

		kernel->cipher_errno[i] = known ? known : probe_cipher(kernel, &ciphers[i]);
	}
	return kernel_takes_any(kernel);
}

bool kernel_takes(const struct kernel *kernel, const struct cipher *cipher)
{
	return kernel->ulp_errno == 0 && kernel->cipher_errno[cipher - ciphers] == 0;
}

/* ENOENT: there is no such module. EINVAL: this kernel is older than the cipher. */
bool kernel_was_hindered(const struct kernel *kernel)
{
	for (size_t i = 0; i < n_ciphers; i++)
		if (kernel->cipher_errno[i] && kernel->cipher_errno[i] != ENOENT && kernel->cipher_errno[i] != EINVAL)
			return true;
	return false;
}

bool kernel_takes_any(const struct kernel *kernel)
{
	for (size_t i = 0; i < n_ciphers; i++)
		if (kernel_takes(kernel, &ciphers[i]))
			return true;
	return false;
}

enum proto_error kernel_unavailable(const struct kernel *kernel, struct proto_status *status)
{
	if (kernel->ulp_errno)
		return refuse(status, &door_ulp, kernel->ulp_errno, NULL);
	if (kernel->loopback_errno)
		return refuse(status, &door_loopback, kernel->loopback_errno, NULL);
	return refuse(status, &directions[0].set, kernel->cipher_errno[0], &ciphers[0]);
}
