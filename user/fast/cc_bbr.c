/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cc_bbr.c - BBR, version 1: send as fast as the path delivers, with little in its queue.
 *
 * Two numbers describe the path: bw, the most that was delivered a second in this round trip
 * and ten before it, and min_rtt, the shortest round trip of the last ten seconds. Bytes leave at
 * gain * bw (tcp_pace.c), and gain * bw * min_rtt of them may be in flight:
 *
 *	STARTUP		gain 2/ln 2, until three round trips brought no quarter more: full
 *	DRAIN		its inverse, until no more is in flight than the path holds
 *	PROBE_BW	5/4 for a min_rtt, 3/4 for another, 1 for six; window twice the path
 *	PROBE_RTT	no shorter round trip for ten seconds: 4 segments in flight for 200 ms
 *			and a round trip, then back
 *
 * A loss alone changes little: the first round trip of recovery sends as much as arrives,
 * and the window of before returns afterwards. But where a fifth is lost over and over at the
 * same rate, a policer is at work, and that rate is kept for 48 round trips.
 *
 * A round trip ends when something is acknowledged that was sent after it began. Rates that
 * the program set, not the path, count only if they are higher than what is known.
 *
 * After draft-cardwell-iccrg-bbr-congestion-control-00, with what Linux adds: room for
 * aggregated ACKs and for the bursts in which bytes leave, and the policer.
 */
#include "cc.h"

#include <math.h>
#include <string.h>

#define HIGH_GAIN	2.885f		/* 2/ln 2: doubles each round trip */
#define CWND_GAIN	2.0f
#define MARGIN		0.99		/* a little slower than the path */
#define BW_ROUNDS	11U		/* this one and ten before it */
#define PHASES		8U
#define FULL_GROWTH	1.25f
#define FULL_ROUNDS	3U
#define CWND_MIN	4U
#define CWND_INIT	10U
#define MIN_RTT_NS	10000000000ULL
#define PROBE_RTT_NS	200000000ULL
#define US_NONE		(~0U)
#define SEGS_MAX	(1U << 20)

#define EXTRA_ROUNDS	5U		/* aggregation: the maximum of so many round trips, twice */
#define EXTRA_MAX_S	0.1f		/* and no more than the path delivers in this time */
#define EXTRA_EPOCH	(1U << 30)	/* bytes: then a new epoch begins in any case */

#define POLICE_ROUNDS	4U		/* of an interval, at least; at most four times as many */
#define POLICE_LOSS	(50.0 / 256)
#define POLICE_RATIO	(1.0f / 8)	/* two intervals that differ by less agree */
#define POLICE_DIFF	500.0f		/* bytes per second: or by less than this */
#define POLICE_KEEP	48U		/* round trips */

enum bbr_mode { STARTUP, DRAIN, PROBE_BW, PROBE_RTT };

struct bbr {
	uint64_t min_rtt_ns;		/* when min_rtt_us was measured */
	uint64_t probe_end_ns;		/* PROBE_RTT lasts until then; 0: too much is in flight yet */
	uint64_t phase_ns;		/* when this phase of PROBE_BW began */
	uint64_t epoch_ns;		/* ACKs are counted in epoch_acked since then */
	uint64_t police_ns;		/* when this interval of police sampling began */
	float best[BW_ROUNDS];		/* bytes per second: the most of each of the last rounds */
	float bw;			/* the most of these */
	float full_bw;			/* STARTUP: bw when it last grew by a quarter */
	float police_bw;		/* of the last interval, or what is kept */
	uint32_t round, round_end;	/* number; delivered when it ends */
	uint32_t min_rtt_us;
	uint32_t prior_cwnd;		/* to return to after recovery or PROBE_RTT */
	uint32_t epoch_acked;
	uint32_t extra[2];		/* bytes: most that came beyond what was expected */
	uint32_t police_delivered, police_lost;
	uint8_t mode, phase;
	uint8_t prev;			/* enum cc_state of the last ACK */
	uint8_t full_rounds, extra_rounds, extra_at, police_rounds;
	bool full;			/* the path was filled once */
	bool conserve;			/* first round trip of recovery */
	bool restarted;			/* after idle, nothing is acknowledged since */
	bool round_began;		/* with this ACK */
	bool probed_a_round;		/* PROBE_RTT */
	bool seen_rtt;
	bool sampling, policed;
};

_Static_assert(sizeof(struct bbr) <= CC_PRIV, "bbr's state");

static struct bbr *bbr(struct cc *c) { return (struct bbr *)c->priv; }

static uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint32_t max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }
static float max_f(float a, float b) { return a > b ? a : b; }

static float bandwidth(const struct bbr *b) { return b->policed ? b->police_bw : b->bw; }

static float pacing_gain(const struct bbr *b)
{
	switch ((enum bbr_mode)b->mode) {
	case STARTUP:
		return HIGH_GAIN;
	case DRAIN:
		return 1 / HIGH_GAIN;
	case PROBE_BW:
		if (b->policed || b->phase > 1)
			return 1;
		return b->phase ? 0.75f : 1.25f;
	case PROBE_RTT:
		break;
	}
	return 1;
}

static float cwnd_gain(const struct bbr *b)
{
	return b->mode == PROBE_RTT ? 1 : b->mode == PROBE_BW ? CWND_GAIN : HIGH_GAIN;
}

/* ---- how much, how fast ---- */

static uint64_t rate_of(const struct cc *c, float bw, float gain)
{
	double rate = (double)bw * gain * MARGIN;

	if (rate >= (double)c->max_pacing)
		return c->max_pacing;
	return rate < 1 ? 1 : (uint64_t)rate;
}

/* Before anything was delivered: what doubles this window each round trip. */
static void first_rate(struct cc *c)
{
	struct bbr *b = bbr(c);
	double us = 1000;

	if (c->srtt_us) {
		us = c->srtt_us;
		b->seen_rtt = true;
	}
	c->pacing_rate = rate_of(c, (float)((double)c->cwnd * c->mss * 1e6 / us), HIGH_GAIN);
}

static void set_rate(struct cc *c, float gain)
{
	struct bbr *b = bbr(c);
	uint64_t rate = rate_of(c, bandwidth(b), gain);

	if (!b->seen_rtt && c->srtt_us)
		first_rate(c);
	if (b->full || rate > c->pacing_rate)
		c->pacing_rate = rate;
}

/* Segments that leave in one burst of about a millisecond. */
static uint32_t burst_segs(const struct cc *c)
{
	uint64_t bytes = c->pacing_rate >> 10;
	uint32_t least = c->pacing_rate < 150000 ? 1 : 2;

	return max_u32((uint32_t)(bytes < 65000 ? bytes : 65000) / c->mss, least);
}

/* Segments of @gain times the path, rounded up. */
static uint32_t path_segs(const struct cc *c, float bw, float gain)
{
	const struct bbr *b = (const struct bbr *)c->priv;
	double segs;

	if (b->min_rtt_us == US_NONE)
		return CWND_INIT;
	segs = (double)bw * gain * b->min_rtt_us / (1e6 * c->mss);
	if (segs >= SEGS_MAX)
		return SEGS_MAX;
	return (uint32_t)segs + (segs > (uint32_t)segs);
}

/* Room for a burst that leaves, one under way in the NIC, and one that the peer collects. */
static uint32_t with_bursts(const struct cc *c, uint32_t segs)
{
	const struct bbr *b = (const struct bbr *)c->priv;

	segs += 3 * burst_segs(c);
	segs = (segs + 1) & ~1U;		/* an odd one would wait for a delayed ACK */
	return b->mode == PROBE_BW && b->phase == 0 ? segs + 2 : segs;
}

static uint32_t flight(const struct cc *c, float bw, float gain)
{
	return with_bursts(c, path_segs(c, bw, gain));
}

/* Of @segs in flight, what will be in the network when the next burst leaves. */
static uint32_t in_network(const struct cc *c, const struct cc_ack *a, const struct cc_rate *r,
			   uint32_t segs)
{
	const struct bbr *b = (const struct bbr *)c->priv;
	double wait_s = r->pace_at_ns > a->now_ns ? (double)(r->pace_at_ns - a->now_ns) / 1e9 : 0;
	double leaves = bandwidth(b) * wait_s / c->mss;

	if (pacing_gain(b) > 1)
		segs += burst_segs(c);
	return leaves >= segs ? 0 : segs - (uint32_t)leaves;
}

/* ---- the policer ---- */

static void police_interval(struct bbr *b, const struct cc_ack *a, const struct cc_rate *r)
{
	b->police_ns = a->now_ns;
	b->police_delivered = r->delivered;
	b->police_lost = r->lost_ever;
	b->police_rounds = 0;
}

static void police_reset(struct bbr *b)
{
	b->police_bw = 0;
	b->policed = false;
	b->sampling = false;
}

static void begin_probe_bw(struct bbr *b, uint64_t now_ns)
{
	/* anywhere in the cycle but where it drains, so that flows do not probe in step */
	uint64_t any = now_ns * 0x9e3779b97f4a7c15ULL >> 32;

	b->mode = PROBE_BW;
	b->phase = (uint8_t)((any % (PHASES - 1) + 2) % PHASES);
	b->phase_ns = now_ns;
}

/* An interval with much loss is over: was the one before as fast? */
static void police_judge(struct bbr *b, float bw, const struct cc_ack *a, const struct cc_rate *r)
{
	float differ = fabsf(bw - b->police_bw);

	if (b->police_bw > 0 &&
	    (differ <= POLICE_RATIO * b->police_bw || differ <= POLICE_DIFF)) {
		b->police_bw = (bw + b->police_bw) / 2;
		b->policed = true;
		b->police_rounds = 0;
		return;
	}
	b->police_bw = bw;
	police_interval(b, a, r);
}

static void police_sample(struct bbr *b, const struct cc_ack *a, const struct cc_rate *r)
{
	uint32_t lost, delivered;
	double seconds;

	/* from the first loss on: until then the policer had tokens */
	if (!b->sampling) {
		if (!r->lost)
			return;
		police_interval(b, a, r);
		b->sampling = true;
	}
	if (r->app_limited) {
		police_reset(b);
		return;
	}
	b->police_rounds += b->round_began;
	if (b->police_rounds > 4 * POLICE_ROUNDS) {
		police_reset(b);
		return;
	}
	lost = r->lost_ever - b->police_lost;
	delivered = r->delivered - b->police_delivered;
	seconds = (double)(a->now_ns - b->police_ns) / 1e9;
	if (b->police_rounds < POLICE_ROUNDS || !r->lost || !delivered ||
	    lost < POLICE_LOSS * delivered || seconds < 0.001)
		return;
	police_judge(b, (float)(delivered / seconds), a, r);
}

static void police(struct bbr *b, const struct cc_ack *a, const struct cc_rate *r)
{
	if (!b->policed) {
		police_sample(b, a, r);
	} else if (b->mode == PROBE_BW && b->round_began && ++b->police_rounds >= POLICE_KEEP) {
		police_reset(b);
		begin_probe_bw(b, a->now_ns);
	}
}

/* ---- the model of the path ---- */

static void next_round(struct bbr *b, const struct cc_rate *r)
{
	b->round_end = r->delivered;
	b->round_began = true;
	b->conserve = false;
	b->round++;
	b->best[b->round % BW_ROUNDS] = 0;
	b->bw = 0;
	for (uint32_t i = 0; i < BW_ROUNDS; i++)
		b->bw = max_f(b->bw, b->best[i]);
}

static void update_bw(struct bbr *b, const struct cc_ack *a, const struct cc_rate *r)
{
	float known = b->bw, bw;

	b->round_began = false;
	if (!r->interval_us)
		return;
	bw = (float)(r->delivered - r->since) * 1e6f / (float)r->interval_us;
	if ((int32_t)(r->since - b->round_end) >= 0)
		next_round(b, r);
	police(b, a, r);
	/* a program's pace may keep up what was known, it never lowers it */
	if (r->app_limited && bw < known) {
		if (b->bw < known && b->round_began)
			b->best[b->round % BW_ROUNDS] = b->bw = known;
		return;
	}
	b->best[b->round % BW_ROUNDS] = max_f(b->best[b->round % BW_ROUNDS], bw);
	b->bw = max_f(b->bw, bw);
}

/* ACKs that come in heaps: how many segments more than bw explains? */
static void update_extra(struct cc *c, const struct cc_ack *a, const struct cc_rate *r)
{
	struct bbr *b = bbr(c);
	float expected;
	uint32_t extra;

	if (!r->acked || !r->interval_us)
		return;
	if (b->round_began && ++b->extra_rounds >= EXTRA_ROUNDS) {
		b->extra_rounds = 0;
		b->extra_at ^= 1;
		b->extra[b->extra_at] = 0;
	}
	expected = bandwidth(b) * ((float)(a->now_ns - b->epoch_ns) * 1e-9f);
	if ((float)b->epoch_acked <= expected || b->epoch_acked >= EXTRA_EPOCH) {
		b->epoch_acked = 0;
		b->epoch_ns = a->now_ns;
		expected = 0;
	}
	b->epoch_acked += r->acked;
	extra = b->epoch_acked - (uint32_t)expected;
	b->extra[b->extra_at] = max_u32(b->extra[b->extra_at], min_u32(extra, c->cwnd * c->mss));
}

static bool phase_is_over(const struct cc *c, const struct cc_ack *a, const struct cc_rate *r)
{
	const struct bbr *b = (const struct bbr *)c->priv;
	bool long_enough = a->now_ns - b->phase_ns > b->min_rtt_us * 1000ULL;
	float gain = pacing_gain(b);

	if (gain == 1)
		return long_enough;
	if (gain > 1)			/* until it is in flight, or does not fit */
		return long_enough && (r->lost || (a->in_flight > CWND_MIN && in_network(c, a, r, a->in_flight) >=
						  flight(c, b->bw, gain)));
	return long_enough || in_network(c, a, r, a->in_flight) <= flight(c, b->bw, 1);
}

static void update_phase(struct cc *c, const struct cc_ack *a, const struct cc_rate *r)
{
	struct bbr *b = bbr(c);

	if (b->mode != PROBE_BW || !phase_is_over(c, a, r))
		return;
	b->phase = (uint8_t)((b->phase + 1) % PHASES);
	b->phase_ns = a->now_ns;
}

static void update_full(struct bbr *b, const struct cc_rate *r)
{
	if (b->full || !b->round_began || r->app_limited)
		return;
	if (b->bw >= b->full_bw * FULL_GROWTH) {
		b->full_bw = b->bw;
		b->full_rounds = 0;
		return;
	}
	b->full = ++b->full_rounds >= FULL_ROUNDS;
}

static void update_drain(struct cc *c, const struct cc_ack *a, const struct cc_rate *r)
{
	struct bbr *b = bbr(c);

	if (b->mode == STARTUP && b->full) {
		b->mode = DRAIN;
		c->ssthresh = flight(c, b->bw, 1);
	}
	if (b->mode == DRAIN && in_network(c, a, r, r->in_flight) <= flight(c, b->bw, 1))
		begin_probe_bw(b, a->now_ns);
}

/* Long enough with few segments in flight: back to where it was. */
static void end_probe_rtt(struct cc *c, uint64_t now_ns)
{
	struct bbr *b = bbr(c);

	if (!b->probe_end_ns || now_ns <= b->probe_end_ns)
		return;
	b->min_rtt_ns = now_ns;
	c->cwnd = max_u32(c->cwnd, b->prior_cwnd);
	if (b->full)
		begin_probe_bw(b, now_ns);
	else
		b->mode = STARTUP;
}

static void in_probe_rtt(struct cc *c, const struct cc_ack *a, const struct cc_rate *r)
{
	struct bbr *b = bbr(c);

	c->few_on_purpose = true;		/* the rate of so few segments tells nothing */
	if (!b->probe_end_ns) {
		if (r->in_flight > CWND_MIN)
			return;
		b->probe_end_ns = a->now_ns + PROBE_RTT_NS;
		b->probed_a_round = false;
		b->round_end = r->delivered;
		return;
	}
	b->probed_a_round |= b->round_began;
	if (b->probed_a_round)
		end_probe_rtt(c, a->now_ns);
}

/* The window is good now, or recovery and PROBE_RTT have cut it and a larger one was. */
static void save_cwnd(struct cc *c)
{
	struct bbr *b = bbr(c);

	if (b->prev < CC_RECOVERY && b->mode != PROBE_RTT)
		b->prior_cwnd = c->cwnd;
	else
		b->prior_cwnd = max_u32(b->prior_cwnd, c->cwnd);
}

static void update_min_rtt(struct cc *c, const struct cc_ack *a, const struct cc_rate *r)
{
	struct bbr *b = bbr(c);
	bool expired = a->now_ns > b->min_rtt_ns + MIN_RTT_NS;

	if (a->rtt_us >= 0 && ((uint64_t)a->rtt_us <= b->min_rtt_us ||
			       (expired && !r->ack_delayed))) {
		b->min_rtt_us = max_u32((uint32_t)a->rtt_us, 1);
		b->min_rtt_ns = a->now_ns;
	}
	if (expired && !b->restarted && b->mode != PROBE_RTT) {
		b->mode = PROBE_RTT;
		save_cwnd(c);
		b->probe_end_ns = 0;
	}
	if (b->mode == PROBE_RTT)
		in_probe_rtt(c, a, r);
	if (r->interval_us && r->delivered != r->since)
		b->restarted = false;
}

/* ---- the window ---- */

static uint32_t aggregation(const struct cc *c)
{
	const struct bbr *b = (const struct bbr *)c->priv;
	float most = bandwidth(b) * EXTRA_MAX_S;
	uint32_t extra = max_u32(b->extra[0], b->extra[1]);

	if (!b->full)
		return 0;
	return ((float)extra < most ? extra : (uint32_t)most) / c->mss;
}

/* Into recovery, out of it, and its first round trip. True: *ret_cwnd is all there is to say. */
static bool recovering(struct cc *c, const struct cc_ack *a, const struct cc_rate *r,
		       uint32_t *ret_cwnd)
{
	struct bbr *b = bbr(c);
	uint32_t lost = (r->lost + c->mss - 1) / c->mss, cwnd = c->cwnd;

	cwnd = cwnd > lost ? cwnd - lost : 1;
	if (r->state == CC_RECOVERY && b->prev != CC_RECOVERY) {
		b->conserve = true;
		b->round_end = r->delivered;
		cwnd = r->in_flight + a->acked;
	} else if (r->state == CC_GOOD && b->prev != CC_GOOD) {
		b->conserve = false;
		cwnd = max_u32(cwnd, b->prior_cwnd);
	}
	b->prev = (uint8_t)r->state;
	*ret_cwnd = b->conserve ? max_u32(cwnd, r->in_flight + a->acked) : cwnd;
	return b->conserve;
}

/* An ACK of less than a segment changes nothing here, as long as recovery does not. */
static void set_cwnd(struct cc *c, const struct cc_ack *a, const struct cc_rate *r)
{
	struct bbr *b = bbr(c);
	uint32_t cwnd = c->cwnd, target;

	if ((a->acked || (r->acked && r->state != b->prev)) && !recovering(c, a, r, &cwnd)) {
		target = with_bursts(c, path_segs(c, bandwidth(b), cwnd_gain(b)) + aggregation(c));
		if (b->full)
			cwnd = min_u32(cwnd + a->acked, target);
		else if (cwnd < target || r->delivered < CWND_INIT * c->mss)
			cwnd += a->acked;
		cwnd = max_u32(cwnd, CWND_MIN);
	}
	if (b->mode == PROBE_RTT)
		cwnd = min_u32(cwnd, CWND_MIN);
	c->cwnd = max_u32(min_u32(cwnd, c->cwnd_clamp), 1);
}

/* ---- ops ---- */

static void init(struct cc *c, uint64_t now_ns)
{
	struct bbr *b = bbr(c);

	memset(c->priv, 0, sizeof(c->priv));
	c->ssthresh = CC_SSTHRESH_INF;
	b->min_rtt_us = c->min_rtt_us ? c->min_rtt_us : US_NONE;
	b->min_rtt_ns = b->epoch_ns = b->phase_ns = now_ns;
	b->mode = STARTUP;
	first_rate(c);
}

static void control(struct cc *c, const struct cc_ack *a, const struct cc_rate *r)
{
	struct bbr *b = bbr(c);

	update_bw(b, a, r);
	update_extra(c, a, r);
	update_phase(c, a, r);
	update_full(b, r);
	update_drain(c, a, r);
	update_min_rtt(c, a, r);
	set_rate(c, pacing_gain(b));
	set_cwnd(c, a, r);
}

static uint32_t ssthresh(struct cc *c, enum cc_cut why)
{
	(void)why;
	save_cwnd(c);
	return c->ssthresh;
}

static void timeout(struct cc *c, uint64_t now_ns)
{
	struct bbr *b = bbr(c);

	(void)now_ns;
	b->prev = CC_LOSS;
	b->full_bw = 0;
}

static void undo(struct cc *c)
{
	struct bbr *b = bbr(c);

	b->full_bw = 0;
	b->full_rounds = 0;
	police_reset(b);
}

static void restart(struct cc *c, uint64_t now_ns, uint64_t idle_ns)
{
	struct bbr *b = bbr(c);

	(void)idle_ns;
	if (!c->app_limited)
		return;
	b->restarted = true;
	b->epoch_ns = now_ns;
	b->epoch_acked = 0;
	if (b->mode == PROBE_BW)
		set_rate(c, 1);
	else if (b->mode == PROBE_RTT)
		end_probe_rtt(c, now_ns);
}

const struct cc_ops cc_bbr = {
	.name = "bbr",
	.init = init,
	.ssthresh = ssthresh,
	.timeout = timeout,
	.undo = undo,
	.restart = restart,
	.control = control,
};
