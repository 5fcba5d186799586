/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * door.h - how XDP knows again what the slow path gave to Linux.
 *
 * Native XDP sees a frame once, in the driver. Generic XDP runs on everything that enters
 * the NIC's ingress, also on what tp_door redirects there, and knows no skb->mark. So in
 * generic mode tp_door puts a second Ethernet header in front, of the local experimental
 * ethertype (IEEE 802, 0x88b5) and with addresses drawn at random at load; XDP takes it off. Where our
 * XDP is gone, and cannot be set anew (hear.c), the door does not wrap.
 */
#ifndef TASPILOT_BPF_DOOR_H
#define TASPILOT_BPF_DOOR_H

#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <stdbool.h>

#define DOOR_HLEN	14
#define DOOR_PROTO	0x88b5

/* Written by user space before load. */
const volatile bool tp_generic;
const volatile __u16 tp_nonce[6];	/* destination and source address of that header */

static __always_inline bool door_wrapped(const struct ethhdr *eth)
{
	const __u16 *w = (const void *)eth;

	return tp_generic && eth->h_proto == bpf_htons(DOOR_PROTO) && w[0] == tp_nonce[0] &&
	       w[1] == tp_nonce[1] && w[2] == tp_nonce[2] && w[3] == tp_nonce[3] &&
	       w[4] == tp_nonce[4] && w[5] == tp_nonce[5];
}

#endif
