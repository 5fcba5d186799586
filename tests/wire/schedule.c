/* SPDX-License-Identifier: BSD-2-Clause
 *
 * schedule.c - seed, direction and index in, fate out.
 *
 * Each decision about each frame draws its own number: a hash of the key, the frame's index
 * and the decision's. So one more kind of harm switched on does not change what the others
 * do, and two runs differ only where their frames do. Only Gilbert's state is carried from
 * frame to frame.
 */
#include "schedule.h"

#define ETH_LEN	14

/* decisions that are not an enum wire_act */
enum { DRAW_BURST = ACTS, DRAW_BURST_LOSS, DRAW_LATE, DRAW_FLIP, DRAW_CUT };

/* splitmix64's finaliser */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static uint64_t draw(const struct schedule *s, unsigned int decision)
{
	return mix(mix(s->key + s->count[CLASS_FRAME]) + decision);
}

static bool chance(const struct schedule *s, unsigned int decision, double p)
{
	return (double)(draw(s, decision) >> 11) * 0x1p-53 < p;
}

static uint64_t draw_between(const struct schedule *s, unsigned int decision, uint64_t min,
			     uint64_t max)
{
	return min + draw(s, decision) % (max - min + 1);
}

static bool is_chosen(const struct chosen *c, uint64_t index)
{
	return index >= c->first && index <= c->last && (index - c->first) % c->step == 0;
}

static bool happens(const struct schedule *s, enum wire_act act, unsigned int classes)
{
	const struct when *w = &s->plan->when[act];

	for (unsigned int i = 0; i < w->nchosen; i++) {
		const struct chosen *c = &w->chosen[i];

		if (classes & 1U << c->class && is_chosen(c, s->count[c->class]))
			return true;
	}
	return chance(s, act, w->chance);
}

static bool lost_in_burst(struct schedule *s)
{
	const struct plan *p = s->plan;

	if (chance(s, DRAW_BURST, s->bad ? p->burst_leave : p->burst_enter))
		s->bad = !s->bad;
	return s->bad && chance(s, DRAW_BURST_LOSS, p->burst_loss);
}

void schedule_init(struct schedule *s, const struct plan *plan, uint64_t seed,
		   unsigned int direction)
{
	*s = (struct schedule){ .plan = plan, .key = mix(mix(seed) + direction) };
}

struct fate schedule_next(struct schedule *s, unsigned int classes, size_t len)
{
	const struct plan *p = s->plan;
	struct fate f = { 0 };

	for (unsigned int c = 0; c < CLASSES; c++)
		s->count[c] += classes >> c & 1;

	f.burst = lost_in_burst(s);
	f.drop = f.burst || happens(s, ACT_DROP, classes);
	f.duplicate = happens(s, ACT_DUPLICATE, classes);
	f.mark = happens(s, ACT_MARK, classes);
	if (happens(s, ACT_REORDER, classes))
		f.late_ns = draw_between(s, DRAW_LATE, p->late_min_ns, p->late_max_ns);
	if (happens(s, ACT_CORRUPT, classes) && len > ETH_LEN)
		f.flip = draw_between(s, DRAW_FLIP, 8 * ETH_LEN, 8 * len - 1);
	if (happens(s, ACT_TRUNCATE, classes) && len > ETH_LEN)
		f.cut = draw_between(s, DRAW_CUT, ETH_LEN, len - 1);
	return f;
}
