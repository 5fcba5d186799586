/* SPDX-License-Identifier: BSD-2-Clause
 *
 * held.h - frames of one connection that wait for its switch, in the order they came.
 *
 * Bounded: TCP repeats what does not fit.
 */
#ifndef TASPILOT_SLOW_HELD_H
#define TASPILOT_SLOW_HELD_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

#include "../common/list.h"
#include "segment.h"

#define HELD_MAX	256		/* frames of one connection */

struct held_frame {
	struct list link;
	enum seg_from from;
	uint32_t queue;			/* from the wire: its RX queue */
	struct virtio_net_hdr vnet;	/* as it came off the TAP, or as made for Linux */
	uint32_t len;
	uint8_t data[];
};

struct held {
	struct list frames;
	uint32_t count;
};

static inline void held_init(struct held *h)
{
	list_init(&h->frames);
	h->count = 0;
}

static inline bool held_is_empty(const struct held *h) { return list_empty(&h->frames); }

/* Keep a copy. False: full. */
bool held_put(struct held *h, enum seg_from from, uint32_t queue, const struct virtio_net_hdr *vnet,
	      const uint8_t *frame, uint32_t len);
/* The oldest, NULL if none; the caller frees it with free(). */
struct held_frame *held_take(struct held *h);
void held_drop_all(struct held *h);

#endif
