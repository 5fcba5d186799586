/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bulk.c - who carries bulk transfers: attach --bulk keep|auto|handback.
 *
 * Linux moves bulk in large pieces (TSO, GRO), we move it segment by segment: which is faster
 * depends on NIC, driver and CPU, and is not the same in both directions. A flow that has moved
 * more than BULK_RATE for BULK_RUN samples is bulk. Then
 *
 *  keep	nothing
 *  handback	it goes back to Linux
 *  auto	what is faster is found out by trial: the first bulk flow of a direction is handed
 *		back, and its rate in Linux is compared with what it had here. Linux must win by a
 *		tenth, or lose by a tenth, to change the verdict; it holds for a minute, and twice
 *		as long each time it is confirmed. Until the next trial the direction's flows
 *		stay, or go back when they turn out to be bulk
 *
 * The counts come from words of the slots, which a program can write to: what it gains by
 * lying is that its own flow goes back.
 */
#include "bulk.h"

#include "handback.h"
#include "slow.h"

#define SAMPLE_NS	(NS_PER_S / 2)
#define BULK_RATE	(8ULL << 20)	/* bytes a second */
#define BULK_RUN	4U
#define TRIAL_SAMPLES	6U		/* of which the first does not count: the window grows */
#define HOLD_NS		(60 * NS_PER_S)
#define HOLD_MAX_NS	(32 * HOLD_NS)
#define AGAIN_NS	(10 * NS_PER_S)	/* a trial that showed nothing */

/* ---- pure ---- */

bool bulk_sample(struct bulk_meter *m, uint64_t count, uint64_t ns)
{
	uint64_t rate = (count - m->at) * NS_PER_S / (ns ? ns : 1);

	m->at = count;
	if (rate >= BULK_RATE) {
		m->rate = m->run ? (3 * m->rate + rate) / 4 : rate;
		m->run++;
	} else if (rate < BULK_RATE / 2) {
		m->run = 0;
	}
	return m->run >= BULK_RUN;
}

enum bulk_do bulk_decide(enum opts_bulk policy, const struct bulk_dir *d, uint64_t now_ns)
{
	if (policy == BULK_KEEP)
		return BULK_DO_NOTHING;
	if (policy == BULK_HANDBACK)
		return BULK_DO_BACK;
	if (d->on_trial || (d->verdict != BULK_UNKNOWN && now_ns < d->until_ns))
		return d->verdict == BULK_LINUX ? BULK_DO_BACK : BULK_DO_NOTHING;
	return now_ns < d->until_ns ? BULK_DO_NOTHING : BULK_DO_TRY;
}

void bulk_judge(struct bulk_dir *d, uint64_t linux_rate, uint64_t now_ns)
{
	enum bulk_verdict verdict = d->verdict;

	d->on_trial = false;
	if (!linux_rate) {
		d->until_ns = now_ns + AGAIN_NS;
		return;
	}
	if (linux_rate > d->fast_rate + d->fast_rate / 10)
		verdict = BULK_LINUX;
	else if (verdict == BULK_UNKNOWN || linux_rate + linux_rate / 10 < d->fast_rate)
		verdict = BULK_STAYS;
	d->hold_ns = verdict != d->verdict ? HOLD_NS : 2 * d->hold_ns;
	if (d->hold_ns > HOLD_MAX_NS)
		d->hold_ns = HOLD_MAX_NS;
	d->verdict = verdict;
	d->until_ns = now_ns + d->hold_ns;
}

/* ---- flows ---- */

static void begin_trial(struct slow *s, struct conn *c, enum bulk_way way)
{
	struct bulk_dir *d = &s->bulk.dir[way];

	d->on_trial = true;
	d->key = c->key;
	d->cookie = c->cookie;
	d->fast_rate = c->bulk[way].rate;
	d->meter = (struct bulk_meter){ 0 };
	d->samples = d->last = 0;
}

static void look_at(struct slow *s, struct conn *c, uint64_t ns)
{
	const struct tp_slot *t = slot_at(c->region, c->slot);
	uint64_t count[BULK_WAYS] = {
		[BULK_IN] = atomic_load_explicit(&t->rx_head, memory_order_relaxed),
		[BULK_OUT] = atomic_load_explicit(&t->tx_tail, memory_order_relaxed),
	};
	enum bulk_way way;
	enum bulk_do what;
	bool in = bulk_sample(&c->bulk[BULK_IN], count[BULK_IN], ns);
	bool out = bulk_sample(&c->bulk[BULK_OUT], count[BULK_OUT], ns);

	if ((!in && !out) || c->wants_back)
		return;
	/* both: the one that has more to lose */
	way = in && (!out || c->bulk[BULK_IN].rate > c->bulk[BULK_OUT].rate) ? BULK_IN : BULK_OUT;
	what = bulk_decide(s->bulk.policy, &s->bulk.dir[way], s->now_ns);
	if (what == BULK_DO_TRY)
		begin_trial(s, c, way);
	if (what != BULK_DO_NOTHING)
		handback_begin(s, c, TP_WHY_BULK);
}

static void look_at_trial(struct slow *s, enum bulk_way way, uint64_t ns)
{
	struct bulk_dir *d = &s->bulk.dir[way];
	struct conn *c = conn_find(&s->conns, &d->key);
	struct tp_answer a = { 0 };
	uint32_t now;

	if (c && c->cookie == d->cookie && (c->phase == CONN_FAST || c->phase == CONN_BACK))
		return;			/* still on its way */
	if (!c || c->cookie != d->cookie || c->phase != CONN_LINUX ||
	    ask_linux(s->att, &d->key, &a) || !a.found) {
		bulk_judge(d, 0, s->now_ns);
		return;
	}
	now = way == BULK_IN ? a.rcv_nxt : a.snd_una;
	if (d->samples++)
		bulk_sample(&d->meter, d->meter.at + (now - d->last), ns);
	if (d->samples == 2)
		d->meter.run = 0;
	d->last = now;
	if (d->samples > TRIAL_SAMPLES)
		bulk_judge(d, d->meter.run >= TRIAL_SAMPLES - 2 ? d->meter.rate : 0, s->now_ns);
}

void bulk_run(struct slow *s)
{
	uint64_t ns = s->now_ns - s->bulk.sampled_ns;
	uint32_t left = s->conns.in[CONN_FAST];

	if (s->bulk.policy == BULK_KEEP || slow_is_closing(s) || ns < SAMPLE_NS)
		return;
	s->bulk.sampled_ns = s->now_ns;
	for (uint32_t id = 0; id < CONN_FLOW_IDS && left; id++) {
		struct conn *c = conn_by_flow(&s->conns, id);

		if (!c || c->phase != CONN_FAST)
			continue;
		left--;
		look_at(s, c, ns);
	}
	for (enum bulk_way way = BULK_IN; way < BULK_WAYS; way++)
		if (s->bulk.dir[way].on_trial)
			look_at_trial(s, way, ns);
}

static const char *say(const struct bulk *b, enum bulk_way way)
{
	static const char *const text[] = {
		[BULK_UNKNOWN] = "unknown", [BULK_STAYS] = "stays", [BULK_LINUX] = "linux",
	};

	if (b->policy != BULK_AUTO)
		return text[b->policy == BULK_KEEP ? BULK_STAYS : BULK_LINUX];
	return b->dir[way].on_trial ? "trial" : text[b->dir[way].verdict];
}

void bulk_report(const struct bulk *b, struct text *t)
{
	json_open(t, "bulk", '{');
	json_str(t, "in", say(b, BULK_IN));
	json_str(t, "out", say(b, BULK_OUT));
	json_close(t, '}');
}
