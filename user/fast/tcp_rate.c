/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_rate.c - how fast bytes arrive at the peer (T_RATE), for a congestion control that sets
 * its window and pace by that.
 *
 * What Linux does in tcp_rate.c, after draft-cheng-iccrg-delivery-rate-estimation-00. Each
 * record of the scoreboard remembers how much had been delivered when it was sent, and when.
 * Its arrival gives a sample: the bytes delivered since, by the longer of two times, that in
 * which they were sent and that in which they were acknowledged; ACKs that come in a heap so
 * never look like a fast path.
 *
 * A program that pauses leaves the path unused. What is in flight then, and what is sent until
 * it has arrived, says how fast the program is: app_limited. One that had filled the pipe did not
 * pause but waited for room, which a loss may hold back for long.
 */
#include "tcp_flow.h"

void tcp_rate_begin(struct tcp *t, uint64_t now_ns)
{
	t->flags &= ~T_RATE;
	if (t->cc.ops->control)
		t->flags |= T_RATE | T_PACED;
	/* as in Linux, what was paced once always is */
	if (t->cc.max_pacing != CC_NO_RATE)
		t->flags |= T_PACED;
	t->cc.paced = t->flags & T_PACED;
	t->delivered_at = t->first_sent = tcp_tick(now_ns);
	t->cc.app_limited = false;
}

void tcp_rate_sent(struct tcp *t, struct tcp_rec *r, uint64_t now_ns)
{
	if (t->snd_una == t->snd_nxt)
		t->delivered_at = t->first_sent = tcp_tick(now_ns);
	r->rated = true;
	r->delivered = t->delivered;
	r->delivered_at = t->delivered_at;
	r->first_sent = t->first_sent;
	r->app_limited = t->cc.app_limited;
}

/* Of all that one ACK covers, what was sent last counts. */
void tcp_rate_arrived(struct tcp *t, const struct tcp_rec *r, struct tcp_acked *a)
{
	if (!r->rated || (a->rate_known && seq_before(r->sent, t->first_sent)))
		return;
	a->rate_known = true;
	a->since = r->delivered;
	a->since_at = r->delivered_at;
	a->send_ticks = r->sent - r->first_sent;
	a->app_limited = r->app_limited;
	t->first_sent = r->sent;
}

static void mark_limited(struct tcp *t)
{
	t->cc.app_limited = true;
	t->app_mark = t->delivered + tcp_pipe(t);
}

void tcp_rate_app(struct tcp *t, uint64_t head)
{
	if (!t->tx_filled && tcp_unsent(t) < t->mss && t->lost <= t->rtx &&
	    tcp_pipe_segs(t) < t->cc.cwnd)
		mark_limited(t);
	t->tx_filled = head - t->tx_tail > t->tx_want / 3 * 2ULL;
}

/* In which the sample's bytes arrived; 0: it is none. Less than the shortest round trip
 * cannot be: that was an original, not the resent copy that we think it was.
 */
static uint32_t interval_us(const struct tcp *t, const struct tcp_acked *a)
{
	uint32_t us;

	if (!a->rate_known)
		return 0;
	us = tcp_tick_us(tcp_max(a->send_ticks, tcp_tick(a->now_ns) - a->since_at));
	return t->rtt.min_us != ~0U && us + 2 < t->rtt.min_us ? 0 : us;
}

static enum cc_state state(const struct tcp *t)
{
	return t->ca == TCP_LOSS ? CC_LOSS : t->ca == TCP_RECOVERY ? CC_RECOVERY : CC_GOOD;
}

/* The only thing in flight was one segment: its ACK may be a delayed one. */
static bool maybe_delayed(const struct tcp *t, const struct tcp_acked *a)
{
	return t->ca == TCP_OPEN && !a->sacked && a->delivered <= t->mss &&
	       t->delivered - a->since == a->delivered;
}

void tcp_rate_control(struct tcp *t, const struct cc_ack *c, const struct tcp_acked *a)
{
	struct cc_rate r = {
		.acked = a->delivered,
		.lost = a->lost,
		.lost_ever = t->lost_ever,
		.since = a->since,
		.app_limited = a->app_limited,
		.pace_at_ns = t->pace_at,
		.state = state(t),
	};

	t->delivered += a->delivered;
	if (a->delivered)
		t->delivered_at = tcp_tick(a->now_ns);
	if (t->cc.app_limited && seq_after(t->delivered, t->app_mark))
		t->cc.app_limited = false;
	r.delivered = t->delivered;
	r.interval_us = interval_us(t, a);
	r.in_flight = tcp_pipe_segs(t);
	r.ack_delayed = maybe_delayed(t, a);
	t->cc.ops->control(&t->cc, c, &r);
	if (t->cc.few_on_purpose)
		mark_limited(t);
	t->cc.few_on_purpose = false;
}
