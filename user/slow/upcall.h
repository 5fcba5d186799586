/* SPDX-License-Identifier: BSD-2-Clause
 *
 * upcall.h - the consumer of tp_slow. See upcall.c.
 */
#ifndef TASPILOT_SLOW_UPCALL_H
#define TASPILOT_SLOW_UPCALL_H

#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"

struct slow;

struct upcall {
	struct loop_source ring;
	void *consumer, *producer;	/* their pages; data lies behind the producer's */
	size_t size;			/* bytes of data, a power of two */
	uint64_t frames, stale, releases;
	uint64_t bad;			/* segments of flows of ours that nobody can read */
};

int upcall_init(struct slow *s);
void upcall_fini(struct slow *s);

/* All that stands in the ring now, in its order, at most @budget records. Callers that need
 * "everything that happened before now" use UPCALL_ALL. May not be called from inside itself.
 */
#define UPCALL_ALL	(~0U)
void upcall_drain(struct slow *s, uint32_t budget);

/* A frame of the peer, from the ring or from the TAP (@vnet: NULL from the ring). */
void from_wire(struct slow *s, const struct virtio_net_hdr *vnet, uint8_t *frame, uint32_t len,
	       uint32_t queue);

#endif
