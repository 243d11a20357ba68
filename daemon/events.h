/* SPDX-License-Identifier: MIT */
/*
 * What the journal's entries are marked with (MESSAGE_ID, systemd.journal-fields(7)), so that they
 * are found without reading sentences; systemd/ktlsd.catalog explains each to the administrator.
 * A number stands for its event for ever: a new event takes a new one (journalctl --new-id128).
 */
#pragma once

#define EVENT_REQUEST_DONE "77d73c79ec0a48549088cdb2f2030a47"
#define EVENT_REQUEST_FAILED "c0379bfd9f9b495997ae6c9fb095d1bc"
#define EVENT_SOCKET_NOT_TAKEN "0ed6601567604deaa19424a72a1fe0b5"
#define EVENT_REQUEST_CANCELLED "126971272c864a4f86d0c64099c8fb2d"
#define EVENT_RELOAD_DONE "8d537c179d154dc6a2da196ad5ffaa4e"
#define EVENT_RELOAD_FAILED "bbfda2c0be0b46248443fd1b823c8b40"
#define EVENT_WORKER_LOST "d78f18c803ec4b6291a8c096685c295b"
#define EVENT_KERNEL_TLS_UNAVAILABLE "19194e4be80f4dd697b0379363a38076"
#define EVENT_SERVICE_STARTED "60fc56fb5a1c433d9a5759346921b348"
