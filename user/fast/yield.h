/* SPDX-License-Identifier: BSD-2-Clause
 *
 * yield.h - may a fast thread hand the CPU over by sched_yield?
 *
 * A program that shares our CPU and has nothing to do may yield to us instead of going to sleep
 * (TP_YIELDS in shm_abi.h). Then news for it costs a switch, and neither a wake-up nor its way
 * through epoll. But a yield is a wish. It does nothing between tasks of two scheduling groups (autogroups,
 * cgroups with the cpu controller), and while a third task wants the CPU, that one gets a slice of
 * milliseconds. So each yield is looked at: time after which one comes back late was somebody else's, and
 * some in a row that did not let the program run are in vain. Either ends yields for a while; programs
 * sleep then as usual.
 *
 * Pure: the clock is an argument.
 */
#ifndef TASPILOT_FAST_YIELD_H
#define TASPILOT_FAST_YIELD_H

#include "backoff.h"

#define YIELD_LATE_NS	500000ULL	/* somebody else had the CPU */
#define YIELD_VAIN	8U		/* so many in a row: it does not work */

struct yield {
	struct backoff off;
	uint32_t vain;			/* yields in a row after which the program had not run */
};

static inline bool yield_may(const struct yield *y, uint64_t now_ns)
{
	return !backoff_lasts(&y->off, now_ns);
}

/* One is over. */
static inline void yield_took(struct yield *y, uint64_t since_ns, uint64_t now_ns)
{
	if (now_ns - since_ns > YIELD_LATE_NS)
		backoff_lost(&y->off, now_ns, now_ns - since_ns);
}

/* It was for a program that has news, and @ran: that did run. */
static inline void yield_brought(struct yield *y, uint64_t now_ns, bool ran)
{
	y->vain = ran ? 0 : y->vain + 1;
	if (y->vain < YIELD_VAIN)
		return;
	y->vain = 0;
	backoff_begin(&y->off, now_ns);
}

#endif
