/* SPDX-License-Identifier: MIT */
/* Which network interfaces do the work of TLS themselves: what `ethtool -k` shows. */
#pragma once

#include <json-c/json_object.h>
#include <net/if.h>

/* Through which the interfaces are seen. */
struct nic_door {
	/* if_nameindex(3), if_freenameindex(3) */
	struct if_nameindex *(*list)(void);
	void (*free)(struct if_nameindex *list);
	int (*ethtool)(int fd, struct ifreq *request); /* ioctl(2), SIOCETHTOOL */
};

extern const struct nic_door nic_kernel;

/*
 * An array: interface, driver (null: it has none), and transmit, receive (one direction each), record
 * (whole records, by a TCP of the device's own):
 *
 *	on, off		which can be changed, with ethtool -K, or is fixed if it is on
 *	unavailable	the interface has no such thing
 *	null		the kernel has none, or does not tell
 *
 * NULL: it does not tell which interfaces there are.
 */
struct json_object *ctl_nic(const struct nic_door *door);
