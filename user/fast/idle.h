/* SPDX-License-Identifier: BSD-2-Clause
 *
 * idle.h - what a fast thread does when a turn found nothing to do.
 *
 *	a program on our CPU is at work on	WAIT_KICK: give it the CPU (by a yield where it
 *	what we gave it				yields to us, yield.h); its kick, and nothing
 *						else, ends the wait (200 us at most; 5 ms on
 *						a CPU that others want too)
 *	the slow thread is at work on our CPU	BLOCK: until a frame, a kick, a command, a timer
 *	frames came lately, and often		SPIN: look again, without system calls
 *	frames of a stream come, many a moment	NAP: 50 us, in which frames do not wake us, once
 *	else					BLOCK
 *
 * A wake across cores costs its waker 12 us and its target 20-40 us (COSTS in
 * docs/performance.md): spinning avoids both for as long as the next frame is near. How
 * near, the gaps between the last arrivals say. Whether it pays, the last spins say: if
 * most end without a frame, there are none for a while, then a few to try.
 *
 * Where spins are not to be had, and the segments of a stream come one by one, each wakes the thread, and whoever
 * sends it pays for that: on a machine whose CPUs are full more than for the segment itself. So the thread
 * naps after frames before it blocks. What is part of a conversation does not wait: its segments are the last
 * of what the peer has to say (PSH), those of a stream hardly ever.
 *
 * Somebody else's task shows in the clock: a spin in which time leaps was preempted, a wait for
 * a kick that ends late stood behind the other, and so did a wake-up that let the program run before
 * us. Then spinning only uses up our share of the CPU, and the next wait for it is a whole slice of the
 * other. So no spins for a while, which doubles as long as it happens again. Meanwhile the thread comes before others (a nice value), as
 * softirqs do, whose work it does: it takes two turns a request, and the other would get a whole
 * slice between them whenever the program has gone to sleep. When the CPU is ours alone that would
 * be wrong: a program that is woken must come before us, because we spin.
 *
 * A program that has news may sleep all the same, for a lock that another has, or for a disk, or work for long
 * while others' frames come. Where most waits for a kick end by time, or one long one on a CPU that others
 * want, there are none for a while: with a program at work we BLOCK, and frames wake us.
 *
 * Pure: the clock is an argument.
 */
#ifndef TASPILOT_FAST_IDLE_H
#define TASPILOT_FAST_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "backoff.h"
#include "fast.h"

#define IDLE_SPIN_NS	50000ULL	/* longest spin */
#define IDLE_RARE_NS	200000ULL	/* arrivals rarer than this: no spin */
#define IDLE_KICK_NS	200000ULL	/* longest WAIT_KICK */
#define IDLE_KICK_SHARED_NS 5000000ULL	/* on a shared CPU. Beyond the scheduler's tick: an earlier timer
					 * is the next one, and to set that and take it back costs
					 * a virtual machine 12 us, of each request */
#define IDLE_KICKS	5U		/* so many in vain: the program is busy with other things */
#define IDLE_VAIN	96U		/* of 256 WAIT_KICKs, not more may end by time */
#define IDLE_PAYS	96U		/* of 256 spins must end with a frame */
#define IDLE_TRY	160U		/* what a new try starts with: some five spins in vain */
#define IDLE_SKIPS	64U		/* idle times without a spin between two tries */
#define IDLE_NAP_NS	50000ULL	/* frames do not end it; kicks do */
#define IDLE_NAP_FRAME_NS 40000ULL	/* more than this between frames, on average: no naps */
#define IDLE_TALK	4096U		/* each frame was the end of something; */
#define IDLE_STREAM	256U		/* fewer than one of sixteen: no naps from here on */
#define IDLE_LEAP_NS	300000ULL	/* between two looks at the clock: we were preempted */
#define IDLE_WOKE_NS	1000000ULL	/* in a wake-up: more than a program as a rule works for a batch, */
#define IDLE_WAKE_NS	20000ULL	/* and for each wake this, which is what one across cores costs */

enum idle_how { IDLE_SPIN, IDLE_WAIT_KICK, IDLE_NAP, IDLE_BLOCK };

struct idle {
	enum fast_poll poll;
	uint64_t arrived_ns;		/* when frames came last */
	uint64_t gap_ns;		/* between arrivals, smoothed */
	uint64_t frame_ns;		/* the same between single frames, also where they come in batches */
	uint32_t ends;			/* frames of this turn that ended what the peer had to say */
	uint32_t talk;			/* share of such frames, smoothed, of IDLE_TALK */
	bool ended;			/* the last frame was one */
	bool napped;			/* and no frame has come since */
	uint64_t since_ns;		/* idle since; 0: at work */
	uint32_t kicks;			/* WAIT_KICKs in a row that nothing ended */
	uint32_t vain;			/* share of those that nothing ended, of 256; frames may have come between */
	uint64_t vain_ns;		/* so long were such in a row */
	uint32_t pays;			/* share of spins that ended with a frame, of 256 */
	uint32_t skips;			/* idle times until the next try */
	bool spinning;			/* this idle time began with a spin */
	uint64_t looked_ns;		/* of this spin: last look at the clock */
	struct backoff shared;		/* the CPU is: no spins */
	struct backoff kickless;	/* programs keep what we give them: no WAIT_KICKs */
};

/* Who has work on our CPU, apart from us. */
enum idle_other { IDLE_NOBODY, IDLE_PROGRAM, IDLE_SLOW };

void idle_init(struct idle *i, enum fast_poll poll);
/* A frame has come; @end: the peer had nothing more to say then. */
static inline void idle_frame(struct idle *i, bool end) { i->ends += end; i->ended = end; }
/* A turn did something; so many @frames were among it. */
void idle_worked(struct idle *i, uint64_t now_ns, uint32_t frames);
/* A turn did nothing. */
enum idle_how idle_next(struct idle *i, uint64_t now_ns, enum idle_other other);
/* @n programs have been woken; it took until now. */
void idle_woke(struct idle *i, uint64_t since_ns, uint64_t now_ns, uint32_t n);
/* The thread has yielded; what that took is judged elsewhere (yield.h). */
static inline void idle_yielded(struct idle *i, uint64_t now_ns) { i->looked_ns = now_ns; }
/* How long a WAIT_KICK may last, in which so many @frames find room. */
uint64_t idle_kick_ns(const struct idle *i, uint64_t now_ns, uint32_t frames);
/* One is over; @ended: something has ended it, not its time. */
void idle_waited_kick(struct idle *i, uint64_t since_ns, uint64_t now_ns, bool ended);
/* Somebody else wants the CPU all the time. */
static inline bool idle_is_shared(const struct idle *i, uint64_t now_ns)
{
	return backoff_lasts(&i->shared, now_ns);
}
/* The programs that we waited for seem not to come back to us. */
static inline bool idle_gave_up(const struct idle *i) { return i->kicks >= IDLE_KICKS; }

#endif
