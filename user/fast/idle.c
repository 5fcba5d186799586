/* SPDX-License-Identifier: BSD-2-Clause
 *
 * idle.c - spin, wait for a kick, or block.
 */
#include "idle.h"

#define GAP_MAX_NS	1000000ULL	/* a longer silence counts as this: recover in a few frames */

void idle_init(struct idle *i, enum fast_poll poll)
{
	*i = (struct idle){ .poll = poll, .gap_ns = GAP_MAX_NS, .pays = IDLE_TRY };
}

/* A spin is over. */
static void spun(struct idle *i, bool paid)
{
	i->spinning = false;
	i->pays = i->pays - i->pays / 8 + (paid ? 32 : 0);
	if (i->pays < IDLE_PAYS)
		i->skips = IDLE_SKIPS;
}

/* Has somebody else had the CPU since @since_ns? */
static void note_leap(struct idle *i, uint64_t since_ns, uint64_t now_ns)
{
	if (now_ns - since_ns > IDLE_LEAP_NS)
		backoff_begin(&i->shared, now_ns);
}

void idle_worked(struct idle *i, uint64_t now_ns, bool frames)
{
	uint64_t gap = now_ns - i->arrived_ns;

	if (i->spinning) {
		note_leap(i, i->looked_ns, now_ns);
		spun(i, true);
	}
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

/* At the begin of an idle time: does it begin with a spin? */
static bool may_spin(struct idle *i, uint64_t now_ns)
{
	if (!spin_ns(i) || idle_is_shared(i, now_ns))
		return false;
	if (i->pays >= IDLE_PAYS)
		return true;
	if (i->skips && --i->skips)
		return false;
	i->pays = IDLE_TRY;
	return true;
}

static enum idle_how spin_or_block(struct idle *i, uint64_t now_ns)
{
	if (!i->since_ns) {
		i->since_ns = i->looked_ns = now_ns;
		i->spinning = may_spin(i, now_ns);
	}
	if (!i->spinning)
		return IDLE_BLOCK;
	note_leap(i, i->looked_ns, now_ns);
	i->looked_ns = now_ns;
	if (now_ns - i->since_ns < spin_ns(i))
		return IDLE_SPIN;
	spun(i, false);
	return IDLE_BLOCK;
}

enum idle_how idle_next(struct idle *i, uint64_t now_ns, enum idle_other other)
{
	if (i->poll == FAST_POLL_BUSY)
		return IDLE_SPIN;
	if (i->poll == FAST_POLL_EVENT)
		return IDLE_BLOCK;
	if (other == IDLE_PROGRAM && i->kicks < IDLE_KICKS) {
		i->kicks++;
		return IDLE_WAIT_KICK;
	}
	if (other == IDLE_SLOW) {
		i->spinning = false;
		return IDLE_BLOCK;
	}
	return spin_or_block(i, now_ns);
}

void idle_waited_kick(struct idle *i, uint64_t since_ns, uint64_t now_ns)
{
	if (now_ns > since_ns + IDLE_KICK_NS)
		note_leap(i, since_ns + IDLE_KICK_NS, now_ns);
}

void idle_woke(struct idle *i, uint64_t since_ns, uint64_t now_ns, uint32_t n)
{
	if (i->poll == FAST_POLL_ADAPTIVE && now_ns - since_ns > IDLE_WOKE_NS + n * IDLE_WAKE_NS)
		backoff_begin(&i->shared, now_ns);
}
