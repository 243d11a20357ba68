/* SPDX-License-Identifier: MIT */
#include "daemon/cipher.h"

#include "proto/util.h"

#include <linux/tls.h>
#include <string.h>

const struct cipher ciphers[] = {
	{
		.name = "aes-gcm-128", .module = "gcm",
		.nid = NID_aes_128_gcm, .kernel_type = TLS_CIPHER_AES_GCM_128,
		.key_size = 16, .fixed_iv_size = 4, .salt_size = 4, .iv_size = 8,
		.explicit_nonce = true,
	},
	{
		.name = "aes-gcm-256", .module = "gcm",
		.nid = NID_aes_256_gcm, .kernel_type = TLS_CIPHER_AES_GCM_256,
		.key_size = 32, .fixed_iv_size = 4, .salt_size = 4, .iv_size = 8,
		.explicit_nonce = true,
	},
	{
		.name = "chacha20-poly1305", .module = "chacha20poly1305",
		.nid = NID_chacha20_poly1305, .kernel_type = TLS_CIPHER_CHACHA20_POLY1305,
		.key_size = 32, .fixed_iv_size = 12, .salt_size = 0, .iv_size = 12,
	},
	{
		.name = "aes-ccm-128", .module = "ccm",
		.nid = NID_aes_128_ccm, .kernel_type = TLS_CIPHER_AES_CCM_128,
		.key_size = 16, .fixed_iv_size = 4, .salt_size = 4, .iv_size = 8,
		.explicit_nonce = true,
	},
};
const size_t n_ciphers = array_size(ciphers);

const struct cipher *cipher_of_suite(const SSL_CIPHER *suite)
{
	const char *name = SSL_CIPHER_standard_name(suite);
	int nid = SSL_CIPHER_get_cipher_nid(suite);

	/* With an 8-byte tag, CCM has the same bulk cipher: only the suite's name tells. */
	if (!name || strstr(name, "_CCM_8"))
		return NULL;
	for (size_t i = 0; i < n_ciphers; i++)
		if (ciphers[i].nid == nid)
			return &ciphers[i];
	return NULL;
}
