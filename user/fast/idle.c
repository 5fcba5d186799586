/* SPDX-License-Identifier: BSD-2-Clause
 *
 * idle.c - spin, wait for a kick, or block.
 */
#include "idle.h"

#define GAP_MAX_NS	1000000ULL	/* a longer silence counts as this: recover in a few frames */

void idle_init(struct idle *i, enum fast_poll poll)
{
	*i = (struct idle){ .poll = poll, .gap_ns = GAP_MAX_NS };
}

void idle_worked(struct idle *i, uint64_t now_ns, bool frames)
{
	uint64_t gap = now_ns - i->arrived_ns;

	i->since_ns = 0;
	i->kicks = 0;
	if (!frames)
		return;
	if (gap > GAP_MAX_NS)
		gap = GAP_MAX_NS;
	i->gap_ns += gap / 4 - i->gap_ns / 4;
	i->arrived_ns = now_ns;
}

static uint64_t spin_ns(const struct idle *i)
{
	if (i->gap_ns > IDLE_RARE_NS)
		return 0;
	return 2 * i->gap_ns < IDLE_SPIN_NS ? 2 * i->gap_ns : IDLE_SPIN_NS;
}

enum idle_how idle_next(struct idle *i, uint64_t now_ns, bool awake)
{
	if (i->poll == FAST_POLL_BUSY)
		return IDLE_SPIN;
	if (i->poll == FAST_POLL_EVENT)
		return IDLE_BLOCK;
	if (awake && i->kicks < IDLE_KICKS) {
		i->kicks++;
		return IDLE_WAIT_KICK;
	}
	if (!i->since_ns)
		i->since_ns = now_ns;
	return now_ns - i->since_ns < spin_ns(i) ? IDLE_SPIN : IDLE_BLOCK;
}
