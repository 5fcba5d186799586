/* SPDX-License-Identifier: BSD-2-Clause
 *
 * xdpfeat.h - what a driver says of its XDP, without attaching anything. The kernel tells
 * since 6.3 (generic netlink, family "netdev").
 */
#ifndef TASPILOT_SLOW_XDPFEAT_H
#define TASPILOT_SLOW_XDPFEAT_H

#include <stdint.h>

/* enum netdev_xdp_act of the kernel */
#define XDPFEAT_BASIC		1U
#define XDPFEAT_REDIRECT	2U
#define XDPFEAT_ZEROCOPY	8U

/* 0, or -errno: -EOPNOTSUPP if this kernel does not tell. */
int xdpfeat_read(int ifindex, uint64_t *ret_features);

#endif
