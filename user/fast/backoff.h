/* SPDX-License-Identifier: BSD-2-Clause
 *
 * backoff.h - leaving something alone for a while that did not pay, twice as long each time.
 *
 * The pause is short again once nothing has begun one for eight times its length.
 *
 * What does not pay is time that somebody else got. It is a debt, which is forgiven slowly: a task that
 * always wants the CPU takes a slice of milliseconds at once and again, and begins a pause; what a
 * hypervisor takes now and then does not. Pure: the clock is an argument, in ns.
 */
#ifndef TASPILOT_FAST_BACKOFF_H
#define TASPILOT_FAST_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#define BACKOFF_FIRST_NS	50000000ULL
#define BACKOFF_MAX_NS		2000000000ULL
#define BACKOFF_DEBT_NS		2000000ULL	/* more than this begins a pause */
#define BACKOFF_FORGIVES	32U		/* one of so many ns */

struct backoff {
	uint64_t until_ns;
	uint64_t ns;			/* the length of the last pause */
	uint64_t debt_ns, debt_at_ns;
};

static inline bool backoff_lasts(const struct backoff *b, uint64_t now_ns)
{
	return now_ns < b->until_ns;
}

/* Begins a pause, if none lasts. */
static inline void backoff_begin(struct backoff *b, uint64_t now_ns)
{
	bool again = now_ns - b->until_ns < 8 * b->ns;

	if (backoff_lasts(b, now_ns))
		return;
	b->debt_ns = 0;
	b->ns = again ? 2 * b->ns : BACKOFF_FIRST_NS;
	if (b->ns > BACKOFF_MAX_NS)
		b->ns = BACKOFF_MAX_NS;
	b->until_ns = now_ns + b->ns;
}

/* Somebody else had @lost_ns. */
static inline void backoff_lost(struct backoff *b, uint64_t now_ns, uint64_t lost_ns)
{
	uint64_t forgiven = (now_ns - b->debt_at_ns) / BACKOFF_FORGIVES;

	b->debt_ns = lost_ns + (b->debt_ns > forgiven ? b->debt_ns - forgiven : 0);
	b->debt_at_ns = now_ns;
	if (b->debt_ns > BACKOFF_DEBT_NS)
		backoff_begin(b, now_ns);
}

#endif
