/* SPDX-License-Identifier: BSD-2-Clause
 *
 * timer.c - the timer wheel (timer.h says how it is laid out).
 *
 *	level 0   ticks that differ from now in the lowest six bits only: the exact tick
 *	level n   slots of 64^n ticks. When the wheel reaches the first tick of a slot, the
 *		  slot's timers are put in again, and come to lie lower
 *
 * So the next thing to happen is at the lowest level that has a slot in use.
 */
#include "timer.h"

static unsigned int level_of(uint64_t tick, uint64_t now)
{
	uint64_t differ = (tick ^ now) | 1;

	return (63 - (unsigned int)__builtin_clzll(differ)) / 6;
}

static void link_in(struct timer_wheel *w, struct timer *t, uint64_t tick)
{
	unsigned int level = level_of(tick, w->tick);
	unsigned int index = tick >> 6 * level & (TIMER_SLOTS - 1);

	t->level = (uint8_t)level;
	t->index = (uint8_t)index;
	t->next = w->slot[level][index];
	t->pprev = &w->slot[level][index];
	if (t->next)
		t->next->pprev = &t->next;
	w->slot[level][index] = t;
	w->used[level] |= 1ULL << index;
}

static void put(struct timer_wheel *w, struct timer *t)
{
	uint64_t tick = t->at_ns >> TIMER_TICK_SHIFT;

	if (t->at_ns & ((1ULL << TIMER_TICK_SHIFT) - 1) && tick < TIMER_TICK_MAX)
		tick++;
	link_in(w, t, tick > w->tick ? tick : w->tick);
}

void timer_clear(struct timer_wheel *w, struct timer *t)
{
	if (!t->pprev)
		return;

	*t->pprev = t->next;
	if (t->next)
		t->next->pprev = t->pprev;
	if (!w->slot[t->level][t->index])
		w->used[t->level] &= ~(1ULL << t->index);
	t->pprev = NULL;
}

void timer_set(struct timer_wheel *w, struct timer *t, uint64_t at_ns)
{
	timer_clear(w, t);
	t->at_ns = at_ns;
	put(w, t);
}

/* The first tick of the next slot in use; false: the wheel is empty. */
static bool next_slot(const struct timer_wheel *w, unsigned int *ret_level, uint64_t *ret_tick)
{
	for (unsigned int level = 0; level < TIMER_LEVELS; level++) {
		unsigned int shift = 6 * level;

		if (!w->used[level])
			continue;
		*ret_level = level;
		*ret_tick = (w->tick >> shift >> 6 << 6) + (unsigned int)__builtin_ctzll(w->used[level]);
		*ret_tick <<= shift;
		return true;
	}
	return false;
}

static void cascade(struct timer_wheel *w, unsigned int level)
{
	unsigned int index = w->tick >> 6 * level & (TIMER_SLOTS - 1);
	struct timer *t = w->slot[level][index], *next;

	w->slot[level][index] = NULL;
	w->used[level] &= ~(1ULL << index);
	for (; t; t = next) {
		next = t->next;
		put(w, t);
	}
}

struct timer *wheel_pop(struct timer_wheel *w, uint64_t now_ns)
{
	uint64_t now = now_ns >> TIMER_TICK_SHIFT, tick;
	unsigned int level;

	while (next_slot(w, &level, &tick) && tick <= now) {
		struct timer *t;

		w->tick = tick > w->tick ? tick : w->tick;
		if (level) {
			cascade(w, level);
			continue;
		}
		t = w->slot[0][w->tick & (TIMER_SLOTS - 1)];
		timer_clear(w, t);
		return t;
	}
	if (now > w->tick)
		w->tick = now;
	return NULL;
}

uint64_t wheel_next(const struct timer_wheel *w)
{
	unsigned int level;
	uint64_t tick;

	return next_slot(w, &level, &tick) ? tick << TIMER_TICK_SHIFT : ~0ULL;
}

void wheel_init(struct timer_wheel *w, uint64_t now_ns)
{
	*w = (struct timer_wheel){ .tick = now_ns >> TIMER_TICK_SHIFT };
}
