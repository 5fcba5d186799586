/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nic.h - what a network interface is and can do, by ioctl: /sys/class/net can show another
 * network namespace than the one that we are in.
 */
#ifndef TASPILOT_SLOW_NIC_H
#define TASPILOT_SLOW_NIC_H

#include <stdbool.h>
#include <stdint.h>

#include "attach.h"

/* 0, -ENODEV, or -EPROTOTYPE for an interface without Ethernet addresses (loopback, tun). */
int nic_read(const char *ifname, struct nic *ret_nic);

/* Device features by the kernel's name for them, as `ethtool -k` groups them otherwise.
 * -ENOENT: the kernel or the device has no such feature.
 */
struct nic_feature {
	bool on;
	bool fixed;
};
int nic_feature(const char *ifname, const char *name, struct nic_feature *ret_feature);
int nic_set_feature(const char *ifname, const char *name, bool on);

/* The table by which the NIC's hash spreads flows over @queues RX queues. Is it the driver's own?
 * 0; -EBUSY: somebody has set it; -EOPNOTSUPP: there is none.
 */
int nic_spread_is_own(const char *ifname, uint32_t queues);
/* Over queues 0 to @queues - 1 only; 0: as the driver would have it. */
int nic_spread(const char *ifname, uint32_t queues);

/* Set by a generic helper for what has a struct ifreq request of its own. 0 or -errno. */
int nic_set_mtu(const char *ifname, uint32_t mtu);
int nic_set_queue_len(const char *ifname, uint32_t frames);
int nic_set_up(const char *ifname);

#endif
