/* SPDX-License-Identifier: BSD-2-Clause
 *
 * idle.c - spin, wait for a kick, nap, or block.
 */
#include "idle.h"

#define GAP_MAX_NS	1000000ULL	/* a longer silence counts as this: recover in a few frames */

void idle_init(struct idle *i, enum fast_poll poll)
{
	*i = (struct idle){ .poll = poll, .gap_ns = GAP_MAX_NS, .frame_ns = GAP_MAX_NS,
			    .talk = IDLE_TALK, .pays = IDLE_TRY };
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

/* Of the frames that this turn found, @gap_ns after the last. */
static void note_frames(struct idle *i, uint64_t gap_ns, uint32_t frames)
{
	uint32_t ends = i->ends < frames ? i->ends : frames;

	i->gap_ns += gap_ns / 4 - i->gap_ns / 4;
	i->frame_ns += gap_ns / frames / 4 - i->frame_ns / 4;
	i->talk += ends * (IDLE_TALK / 16) / frames - i->talk / 16;
	i->napped = false;
}

void idle_worked(struct idle *i, uint64_t now_ns, uint32_t frames)
{
	uint64_t gap = now_ns - i->arrived_ns;

	if (i->spinning) {
		note_leap(i, i->looked_ns, now_ns);
		spun(i, true);
	}
	i->since_ns = 0;
	i->kicks = 0;
	if (frames) {
		note_frames(i, gap < GAP_MAX_NS ? gap : GAP_MAX_NS, frames);
		i->arrived_ns = now_ns;
	}
	i->ends = 0;
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

static bool may_nap(const struct idle *i)
{
	return i->frame_ns < IDLE_NAP_FRAME_NS && i->talk < IDLE_STREAM && !i->ended && !i->napped;
}

enum idle_how idle_next(struct idle *i, uint64_t now_ns, enum idle_other other)
{
	if (i->poll == FAST_POLL_BUSY)
		return IDLE_SPIN;
	if (i->poll == FAST_POLL_EVENT)
		return IDLE_BLOCK;
	if (other == IDLE_PROGRAM && backoff_lasts(&i->kickless, now_ns)) {
		i->spinning = false;
		return IDLE_BLOCK;
	}
	if (other == IDLE_PROGRAM && i->kicks < IDLE_KICKS) {
		i->kicks++;
		return IDLE_WAIT_KICK;
	}
	if (other == IDLE_SLOW) {
		i->spinning = false;
		return IDLE_BLOCK;
	}
	if (spin_or_block(i, now_ns) == IDLE_SPIN)
		return IDLE_SPIN;
	if (!may_nap(i))
		return IDLE_BLOCK;
	i->napped = true;
	return IDLE_NAP;
}

uint64_t idle_kick_ns(const struct idle *i, uint64_t now_ns, uint32_t frames)
{
	uint64_t room = i->frame_ns * frames / 2, most = IDLE_KICK_SHARED_NS;

	if (!idle_is_shared(i, now_ns) || room < IDLE_KICK_NS)
		return IDLE_KICK_NS;
	return room < most ? room : most;
}

void idle_waited_kick(struct idle *i, uint64_t since_ns, uint64_t now_ns, bool ended)
{
	i->vain = i->vain - i->vain / 8 + (ended ? 0 : 32);
	i->vain_ns = ended ? 0 : i->vain_ns + now_ns - since_ns;
	if (i->vain > IDLE_VAIN || i->vain_ns >= IDLE_KICK_SHARED_NS) {
		backoff_begin(&i->kickless, now_ns);
		i->vain = 0;
		i->vain_ns = 0;
	}
	if (now_ns > since_ns + IDLE_KICK_NS)
		note_leap(i, since_ns + IDLE_KICK_NS, now_ns);
}

void idle_woke(struct idle *i, uint64_t since_ns, uint64_t now_ns, uint32_t n)
{
	if (i->poll == FAST_POLL_ADAPTIVE && now_ns - since_ns > IDLE_WOKE_NS + n * IDLE_WAKE_NS)
		backoff_begin(&i->shared, now_ns);
}
