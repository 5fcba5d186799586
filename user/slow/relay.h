/* SPDX-License-Identifier: BSD-2-Clause
 *
 * relay.h - frames between the slow path, Linux (by the TAP) and the wire. See relay.c.
 */
#ifndef TASPILOT_SLOW_RELAY_H
#define TASPILOT_SLOW_RELAY_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

struct slow;
struct segment;

#define RELAY_FRAME_MAX	(65536 + 64)	/* a GSO frame of Linux */

struct relay {
	struct loop_source tap;
	int wire_fd;			/* packet socket past tc and the qdisc */
	int wire_qdisc_fd;		/* the same through both, marked */
	uint64_t to_linux, to_wire, drops;	/* frames */
	uint8_t buf[RELAY_FRAME_MAX];	/* of relay_drain() */
};

int relay_init(struct slow *s);
void relay_fini(struct slow *s);

/* Give a frame to Linux as if the NIC had received it. @vnet: how it is summed; NULL: find out. */
void relay_to_linux(struct slow *s, const struct virtio_net_hdr *vnet, const uint8_t *frame,
		    uint32_t len);
/* Send a frame of Linux's or of ours. @vnet NULL: whole, and summed. */
void relay_to_wire(struct slow *s, const struct virtio_net_hdr *vnet, const uint8_t *frame,
		   uint32_t len);
/* How relay_to_linux() would describe a frame from the wire. */
struct virtio_net_hdr relay_describe(struct slow *s, const uint8_t *frame, uint32_t len);

/* Take what Linux sent so far off the TAP, at most @budget frames. */
void relay_drain(struct slow *s, uint32_t budget);

#endif
