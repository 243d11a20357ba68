/* SPDX-License-Identifier: MIT */
/*
 * Whether this was built with AddressSanitizer. Its reports are made from files of /proc, and the
 * LeakSanitizer that comes with it looks at the process from another one that it starts and traces
 * with: hindered in that, it dies with an error of its own. What confines the process spares it.
 */
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif

#ifndef ADDRESS_SANITIZER
#define ADDRESS_SANITIZER 0
#endif
