/* SPDX-License-Identifier: BSD-2-Clause
 *
 * timer.h - a hierarchical timer wheel with intrusive nodes; the clock is an argument.
 *
 * A tick is 2^13 ns (8 us): what several paced flows send in one tick leaves together, and of what
 * comes together to a full queue more is lost than of what comes alone. A timer lies at the level of the highest group of six bits in
 * which its tick differs from the wheel's, so it moves down at most once a level, and a
 * bitmap a level says where the next one is: nothing is ever stepped through.
 *
 * Invariants
 *  - a timer fires never early, and at most one tick late by the wheel's doing.
 *  - a timer stands in one slot at most; setting it again moves it.
 */
#ifndef TASPILOT_FAST_TIMER_H
#define TASPILOT_FAST_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMER_TICK_SHIFT	13
#define TIMER_LEVELS		9	/* 6 bits each: all of 64-bit nanoseconds */
#define TIMER_TICK_MAX		((1ULL << 51) - 1)
#define TIMER_SLOTS		64

struct timer {
	struct timer *next, **pprev;	/* pprev NULL: not set */
	uint64_t at_ns;
	uint8_t level, index;
};

struct timer_wheel {
	uint64_t tick;			/* everything before it has fired */
	uint64_t used[TIMER_LEVELS];	/* bit i: slot i is not empty */
	struct timer *slot[TIMER_LEVELS][TIMER_SLOTS];
};

void wheel_init(struct timer_wheel *w, uint64_t now_ns);

/* Arm @t for @at_ns, wherever it was. A timer begins as all zero. */
void timer_set(struct timer_wheel *w, struct timer *t, uint64_t at_ns);
void timer_clear(struct timer_wheel *w, struct timer *t);
static inline bool timer_is_set(const struct timer *t) { return t->pprev != NULL; }

/* A timer whose time has come, taken out; NULL when there is none left. */
struct timer *wheel_pop(struct timer_wheel *w, uint64_t now_ns);

/* Not later than the next timer fires; ~0: none is set. */
uint64_t wheel_next(const struct timer_wheel *w);

#endif
