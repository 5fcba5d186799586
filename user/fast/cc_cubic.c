/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cc_cubic.c - RFC 9438, with HyStart++ (RFC 9406).
 *
 * After a reduction at w_max the window follows W(t) = C (t - K)^3 + w_max: quickly back,
 * slowly around w_max, then on. Where Reno would be faster (short round trips), Reno's window
 * is taken. While no maximum is known (slow start ended by itself, or a timeout forgot it) the curve
 * would be flat: a twentieth a round trip then, as Linux. Windows count segments; the fraction below
 * one is kept in @part. A reduction that proves needless leaves no maximum behind (RFC 9438 4.9): the
 * curve of before goes on. (In Linux it does not, and a window that a reordering path cut in slow start is
 * hardly ever larger again.)
 *
 * Slow start ends before the queue overflows, by two signs. The ACKs of a round trip come as a
 * train as long as half the smallest round trip: the path is full, Linux's HyStart stops there,
 * and so do we. (HyStart++ has no such test, and on a path with a queue of one round trip it
 * then loses thousands of segments: the first samples of a round trip see an empty queue
 * until it is too late.)
 *
 * HyStart++ looks at the delay. When the shortest of a round trip's
 * samples is an eighth (4 to 16 ms) longer than the round trip before, the window grows a
 * quarter as fast. Five such round trips, and ssthresh is where it is; but if one is shorter
 * again, it was no queue, and slow start goes on. Unlike the RFC an ACK may open the window
 * by all that it covers: Linux's ACKs of a batch (GRO) cover dozens, and Linux does so.
 */
#include "cc.h"

#include <math.h>
#include <string.h>

#define C		0.4
#define BETA		(717.0 / 1024.0)
#define UNKNOWN_GROWTH	0.05		/* a round trip, while no maximum is known: Linux's cnt of 20 */
#define TRAIN_CWND	16U		/* ACKs of less make no train */
#define TRAIN_GAP_US	2000U		/* closer than this they are one */
#define SAMPLES		8U		/* of a round trip, before it is judged */
#define CSS_DIVISOR	4U
#define CSS_ROUNDS	5U
#define DELAY_MIN_US	4000U
#define DELAY_MAX_US	16000U

struct curve {
	uint64_t epoch_ns;		/* when this stretch of it began, 0 not yet */
	double w_max, k, origin;	/* segments, seconds, segments */
	double w_reno;
};

struct cubic {
	struct curve now, prior;	/* prior: before the last reduction, if @undoable */
	double part;

	/* this round trip of slow start, and the one before */
	uint64_t round_ns, last_ack_ns;
	uint32_t round_end, round_min_us, last_min_us;
	uint32_t css_min_us;		/* of the round trip that seemed longer */
	uint32_t css_acked;		/* in conservative slow start, not yet counted */
	uint8_t samples, css_rounds;
	bool in_round, css, done, undoable;
};

_Static_assert(sizeof(struct cubic) <= CC_PRIV, "cubic's state");

static struct cubic *cubic(struct cc *c) { return (struct cubic *)c->priv; }

static void init(struct cc *c, uint64_t now_ns)
{
	(void)now_ns;
	memset(c->priv, 0, sizeof(c->priv));
}

static void begin_round(struct cc *c, struct cubic *q, const struct cc_ack *a)
{
	q->last_min_us = q->in_round ? q->round_min_us : ~0U;
	q->round_min_us = ~0U;
	q->round_ns = q->last_ack_ns = a->now_ns;
	q->round_end = a->snd_nxt;
	q->samples = 0;
	q->in_round = true;
	if (q->css && ++q->css_rounds >= CSS_ROUNDS) {
		q->done = true;
		c->ssthresh = c->cwnd;
	}
}

/* Linux's: what is paced spreads over half of the round trip by itself. */
static bool train_is_long(const struct cc *c, struct cubic *q, const struct cc_ack *a)
{
	uint64_t half_ns = c->min_rtt_us * 1000ULL / (c->paced ? 1 : 2);

	if (a->now_ns - q->last_ack_ns > TRAIN_GAP_US * 1000ULL)
		return false;
	q->last_ack_ns = a->now_ns;
	return c->cwnd >= TRAIN_CWND && a->now_ns - q->round_ns > half_ns;
}

static bool has_grown(const struct cubic *q)
{
	uint32_t more = q->last_min_us / 8;

	more = more < DELAY_MIN_US ? DELAY_MIN_US : more > DELAY_MAX_US ? DELAY_MAX_US : more;
	return q->last_min_us != ~0U && q->round_min_us >= q->last_min_us + more;
}

static void judge(struct cubic *q)
{
	if (q->css && q->round_min_us < q->css_min_us) {
		q->css = false;
	} else if (!q->css && has_grown(q)) {
		q->css = true;
		q->css_rounds = 0;
		q->css_acked = 0;
		q->css_min_us = q->round_min_us;
	}
}

static void hystart(struct cc *c, const struct cc_ack *a)
{
	struct cubic *q = cubic(c);

	if (q->done || c->cwnd >= c->ssthresh)
		return;
	if (!q->in_round || (int32_t)(a->snd_una - q->round_end) > 0)
		begin_round(c, q, a);
	if (train_is_long(c, q, a)) {
		q->done = true;
		c->ssthresh = c->cwnd;
		return;
	}
	if (a->rtt_us < 0)
		return;
	if ((uint32_t)a->rtt_us < q->round_min_us)
		q->round_min_us = (uint32_t)a->rtt_us;
	if (q->samples < SAMPLES)
		q->samples++;
	if (q->samples == SAMPLES)
		judge(q);
}

/* In conservative slow start only some of @acked count. */
static uint32_t slow_start(struct cc *c, uint32_t acked)
{
	struct cubic *q = cubic(c);
	uint32_t counted;

	if (!q->css)
		return cc_slow_start(c, acked);
	q->css_acked += acked;
	counted = q->css_acked / CSS_DIVISOR;
	q->css_acked %= CSS_DIVISOR;
	return cc_slow_start(c, counted);
}

static void begin_epoch(struct cc *c, struct cubic *q, uint64_t now_ns)
{
	q->now.epoch_ns = now_ns;
	q->now.w_reno = c->cwnd;
	q->part = 0;
	q->now.origin = q->now.w_max > c->cwnd ? q->now.w_max : c->cwnd;
	q->now.k = cbrt((q->now.origin - c->cwnd) / C);
}

/* The curve's window, a round trip ahead. */
static double target(const struct cc *c, const struct cubic *q, uint64_t now_ns)
{
	double ahead = c->min_rtt_us == ~0U ? 0 : c->min_rtt_us / 1e6;
	double t = (double)(now_ns - q->now.epoch_ns) / 1e9 + ahead - q->now.k;
	double w = q->now.origin + C * t * t * t;

	if (w < c->cwnd)
		return c->cwnd;
	return w < 1.5 * c->cwnd ? w : 1.5 * c->cwnd;
}

static void avoid(struct cc *c, const struct cc_ack *a, uint32_t n)
{
	struct cubic *q = cubic(c);
	double grow, least, alpha;

	if (!q->now.epoch_ns)
		begin_epoch(c, q, a->now_ns);
	grow = (target(c, q, a->now_ns) - c->cwnd) / c->cwnd * n;
	least = q->now.w_max > 0 ? 0.01 / c->cwnd : UNKNOWN_GROWTH;
	grow = grow > least * n ? grow : least * n;
	/* what Reno with our beta would have by now, and as fast as Reno from w_max on */
	alpha = q->now.w_reno < q->now.w_max ? 3 * (1 - BETA) / (1 + BETA) : 1;
	q->now.w_reno += alpha * n / c->cwnd;
	q->part += grow < 0.5 * n ? grow : 0.5 * n;
	if (q->now.w_reno > c->cwnd + q->part)
		q->part = q->now.w_reno - c->cwnd;
	if (q->part >= 1) {
		uint32_t whole = (uint32_t)q->part;

		q->part -= whole;
		c->cwnd = c->cwnd + whole < c->cwnd_clamp ? c->cwnd + whole : c->cwnd_clamp;
	}
}

static void acked(struct cc *c, const struct cc_ack *a)
{
	uint32_t left = a->acked;

	hystart(c, a);
	if (!a->cwnd_limited || !left)
		return;
	if (c->cwnd < c->ssthresh)
		left = slow_start(c, left);
	if (left)
		avoid(c, a, left);
}

static void undo(struct cc *c)
{
	struct cubic *q = cubic(c);

	if (!q->undoable)
		return;
	q->undoable = false;
	q->now = q->prior;
}

static uint32_t ssthresh(struct cc *c, enum cc_cut why)
{
	struct cubic *q = cubic(c);
	double less = c->cwnd * BETA;

	(void)why;
	q->prior = q->now;
	q->undoable = true;
	q->now.epoch_ns = 0;
	/* fast convergence: leave room for a newcomer */
	q->now.w_max = c->cwnd < q->now.w_max ? c->cwnd * (1 + BETA) / 2 : c->cwnd;
	return less > 2 ? (uint32_t)less : 2;
}

static uint64_t later(uint64_t epoch_ns, uint64_t now_ns, uint64_t idle_ns)
{
	if (!epoch_ns)
		return 0;
	return epoch_ns + idle_ns < now_ns ? epoch_ns + idle_ns : now_ns;
}

/* The curve stands still while the program sends nothing, and so does the one before it. */
static void restart(struct cc *c, uint64_t now_ns, uint64_t idle_ns)
{
	struct cubic *q = cubic(c);

	q->now.epoch_ns = later(q->now.epoch_ns, now_ns, idle_ns);
	if (q->undoable)
		q->prior.epoch_ns = later(q->prior.epoch_ns, now_ns, idle_ns);
}

const struct cc_ops cc_cubic = {
	.name = "cubic",
	.init = init,
	.acked = acked,
	.ssthresh = ssthresh,
	.timeout = init,
	.undo = undo,
	.restart = restart,
};
