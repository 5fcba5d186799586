/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bottleneck.h - a link of a certain rate behind a queue of a certain size; pure.
 *
 * A frame leaves when all before it have been sent at the link's rate. So the time until the
 * link is free again is all there is to know: times the rate, it is the queue. Nothing is
 * stored for a frame.
 */
#ifndef WIRE_BOTTLENECK_H
#define WIRE_BOTTLENECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct link {
	uint64_t rate_bps;		/* 0: as fast as it comes, never a queue */
	uint64_t queue_bytes;		/* what does not fit is dropped */
	uint64_t mark_above;		/* mark what finds more than this before it; 0: never */
};

struct bottleneck {
	const struct link *link;
	uint64_t free_ns;		/* when the link has sent all that was accepted */
	uint64_t seen, seen_sum, seen_max;	/* frames, and the queue in bytes they found */
};

struct passage {
	bool full, mark;
	uint64_t leaves_ns;		/* when its last bit is out */
};

static inline void bottleneck_init(struct bottleneck *b, const struct link *link)
{
	*b = (struct bottleneck){ .link = link };
}

/* A frame of @len bytes arrives at @now_ns. */
struct passage bottleneck_enter(struct bottleneck *b, uint64_t now_ns, size_t len);

#endif
