/* SPDX-License-Identifier: BSD-2-Clause
 *
 * idle.h - what a fast thread does when a turn found nothing to do.
 *
 *	a program on our CPU is at work on	WAIT_KICK: give it the CPU; its kick, and
 *	what we gave it				nothing else, ends the wait (200 us at most)
 *	frames came lately, and often		SPIN: look again, without system calls
 *	else					BLOCK: until a frame, a kick, a command, a timer
 *
 * A wake across cores costs its waker 12 us and its target 20-40 us (COSTS in
 * docs/performance.md): spinning avoids both for as long as the next frame is near. How
 * near, the gaps between the last arrivals say. There is no sched_yield: it would cost
 * milliseconds as soon as somebody else's task is on the CPU.
 *
 * Pure: the clock is an argument.
 */
#ifndef TASPILOT_FAST_IDLE_H
#define TASPILOT_FAST_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "fast.h"

#define IDLE_SPIN_NS	50000ULL	/* longest spin */
#define IDLE_RARE_NS	200000ULL	/* arrivals rarer than this: no spin */
#define IDLE_KICK_NS	200000ULL	/* longest WAIT_KICK */
#define IDLE_KICKS	5U		/* so many in vain: the program is busy with other things */

enum idle_how { IDLE_SPIN, IDLE_WAIT_KICK, IDLE_BLOCK };

struct idle {
	enum fast_poll poll;
	uint64_t arrived_ns;		/* when frames came last */
	uint64_t gap_ns;		/* between arrivals, smoothed */
	uint64_t since_ns;		/* idle since; 0: at work */
	uint32_t kicks;			/* WAIT_KICKs in a row that nothing ended */
};

void idle_init(struct idle *i, enum fast_poll poll);
/* A turn did something; @frames: frames were among it. */
void idle_worked(struct idle *i, uint64_t now_ns, bool frames);
/* A turn did nothing. @awake: a program on our CPU is at work for us. */
enum idle_how idle_next(struct idle *i, uint64_t now_ns, bool awake);
/* The programs that we waited for seem not to come back to us. */
static inline bool idle_gave_up(const struct idle *i) { return i->kicks >= IDLE_KICKS; }

#endif
