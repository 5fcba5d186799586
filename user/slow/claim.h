/* SPDX-License-Identifier: BSD-2-Clause
 *
 * claim.h - make a connection ours. See claim.c.
 */
#ifndef TASPILOT_SLOW_CLAIM_H
#define TASPILOT_SLOW_CLAIM_H

#include <linux/virtio_net.h>
#include <sys/types.h>

#include "conn.h"
#include "region.h"
#include "segment.h"
#include "taspilot/ctl_abi.h"

struct slow;

/* Who claims what. */
struct claim {
	struct tp_flow_key key;
	uint64_t cookie;
	uint32_t opts;			/* TP_O_* to begin with */
	uid_t uid;
	struct region *region;
};

/* TP_WHY_NONE: *ret_conn is FAST. Else why it stays Linux's, and nothing changed. */
enum tp_reason claim(struct slow *s, const struct claim *a, struct conn **ret_conn);

/* A frame of Linux while its connection is in CONN_CLAIM. */
void claim_from_linux(struct slow *s, struct conn *c, const struct segment *seg,
		      const struct virtio_net_hdr *vnet, const uint8_t *frame, uint32_t len);

#endif
