/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bottleneck.c - when a frame that arrives now has left the link.
 */
#include "bottleneck.h"

#define BITS_NS	8000000000ULL		/* bits in a byte times nanoseconds in a second */

static uint64_t backlog(const struct bottleneck *b, uint64_t now_ns)
{
	if (b->free_ns <= now_ns)
		return 0;
	return (uint64_t)((unsigned __int128)(b->free_ns - now_ns) * b->link->rate_bps / BITS_NS);
}

struct passage bottleneck_enter(struct bottleneck *b, uint64_t now_ns, size_t len)
{
	const struct link *l = b->link;
	uint64_t queue;

	if (!l->rate_bps)
		return (struct passage){ .leaves_ns = now_ns };

	queue = backlog(b, now_ns);
	b->seen++;
	b->seen_sum += queue;
	if (queue > b->seen_max)
		b->seen_max = queue;
	if (queue + len > l->queue_bytes)
		return (struct passage){ .full = true };

	b->free_ns = (b->free_ns > now_ns ? b->free_ns : now_ns) + len * BITS_NS / l->rate_bps;
	return (struct passage){ .mark = l->mark_above && queue > l->mark_above,
				 .leaves_ns = b->free_ns };
}
