/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_ack.c - what an acceptable ACK says: window, what arrived, round trip, cwnd.
 *
 *	window	   taken if the segment is newer than the one that set it (RFC 9293 3.10.7.4)
 *	snd_una	   moves; what is acknowledged leaves the tx pipe and the scoreboard
 *	round trip from the scoreboard; from the timestamp when only resent bytes are covered
 *	cwnd	   by the congestion control while nothing is wrong, else by tcp_recover.c
 *
 * tcp_ack_plain() is the same for an ACK in a flow where nothing is wrong: no SACK, nothing
 * lost, no FIN of ours under way.
 */
#include "tcp_flow.h"

#include <netinet/tcp.h>

#define WANT_MIN	65536U		/* bytes: least that a tx pipe should hold */
#define RENEGE_MIN_US	10000U

/* Peers with small windows: no segment of more than half the largest window they offered,
 * else we would wait for a window that never comes (RFC 9293 3.8.6.2.1).
 */
void tcp_set_mss_now(struct tcp *t)
{
	uint32_t half = t->max_wnd > 536 ? t->max_wnd / 2 : t->max_wnd;

	t->mss_now = t->mss;
	if (half && half < t->mss)
		t->mss_now = (uint16_t)tcp_max(half, 16);
}

static void take_window(struct tcp *t, const struct tcp_seg *s)
{
	uint32_t wnd = (uint32_t)s->window << t->snd_wscale;

	if (!seq_after(s->ack, t->snd_una) && !seq_after(s->seq, t->snd_wl1) &&
	    !(s->seq == t->snd_wl1 && (wnd > t->snd_wnd || !wnd)))
		return;
	t->snd_wl1 = s->seq;
	if (wnd == t->snd_wnd)
		return;
	if (wnd > t->snd_wnd && t->rtx_kind == TCP_RTX_PERSIST) {
		t->backoff = 0;
		t->stall_ns = 0;
	}
	t->snd_wnd = wnd;
	if (wnd > t->max_wnd) {
		t->max_wnd = wnd;
		tcp_set_mss_now(t);
	}
}

/* The tx pipe should hold two windows: one in flight, one for the next round trip. Three, where
 * recovery does not shrink the window (Linux's sndbuf_expand).
 */
static bool widen_want(struct tcp *t)
{
	uint64_t windows = t->flags & T_RATE ? 3 : 2;
	uint64_t want = windows * t->cc.cwnd * t->mss, most = 1ULL << t->tx_order_max;
	uint64_t pow2 = tcp_min(WANT_MIN, (uint32_t)most);

	if (want <= t->tx_want)
		return false;
	while (pow2 < want && pow2 < most)
		pow2 *= 2;
	if (pow2 <= t->tx_want)
		return false;
	t->tx_want = (uint32_t)pow2;
	atomic_store_explicit(&t->slot->tx_want, t->tx_want, memory_order_relaxed);
	return true;
}

/* The program is told of room when it may have found none: it wrote a good deal since it
 * was told last, and there is room again (pipe_roomy). One that waits has bytes in the pipe, so
 * another ACK will come.
 */
static uint32_t writable(struct tcp *t)
{
	uint64_t used = t->tx_head - t->tx_tail;
	bool wider = widen_want(t);

	if (!wider && (t->tx_head - t->told_writable < 2048 ||
		       !pipe_roomy(used, tcp_unsent(t), t->tx_want)))
		return 0;
	t->told_writable = t->tx_tail;
	return TCP_DO_WRITABLE;
}

/* @ack acknowledges something new: free it. Returns TCP_DO_*. */
static uint32_t free_acked(struct tcp *t, uint32_t ack)
{
	uint32_t bytes = ack - t->snd_una, todo = 0;

	t->snd_una = ack;
	if (t->flags & T_FIN_SENT && ack == t->snd_nxt && !(t->flags & T_FIN_ACKED)) {
		t->flags |= T_FIN_ACKED;
		bytes--;
		todo = TCP_DO_FIN_ACKED;
		atomic_fetch_or_explicit(&t->slot->fast_flags, TP_F_WR_DONE,
					 memory_order_release);
	}
	if (!bytes)
		return todo;
	t->tx_tail += bytes;
	/* pipe.h (D): pairs with (A), the program may overwrite what was acknowledged */
	atomic_store_explicit(&t->slot->tx_tail, t->tx_tail, memory_order_release);
	return todo | writable(t);
}

static void progress(struct tcp *t)
{
	t->backoff = 0;
	t->stall_ns = 0;
}

/* RTT of this ACK: from the scoreboard, else from the timestamp that it echoes (in ms). */
static void take_rtt(struct tcp *t, const struct tcp_seg *s, struct tcp_acked *a)
{
	if (a->rtt_us < 0 && a->advanced && t->flags & T_TS && s->has_ts && s->tsecr) {
		uint32_t ms = tcp_tsval(t, a->now_ns) - s->tsecr;

		if (ms < RTO_MAX_US / 1000)
			a->rtt_us = tcp_max(ms, 1) * 1000LL;
	}
	if (a->rtt_us < 0)
		return;
	rtt_sample(&t->rtt, (uint32_t)a->rtt_us, t->snd_una, t->snd_nxt, a->now_ns);
	t->cc.srtt_us = t->rtt.srtt_us;
	t->cc.min_rtt_us = t->rtt.min_us;
}

/* An ACK of something resent says when the hole was filled. What lies behind it, sent once, had
 * come long before: no sample (Karn).
 */
static void doubt_rtt(struct tcp_acked *a)
{
	if (a->rtx_acked)
		a->rtt_us = a->last_rtt_us = -1;
}

static uint32_t to_segs(struct tcp *t, uint32_t bytes)
{
	uint32_t sum = t->acked_frac + bytes, segs = sum < t->mss ? 0 : sum / t->mss;

	t->acked_frac = sum - segs * t->mss;
	return segs;
}

/* Was the window the limit? In slow start also when half of it was in use (Linux). */
static bool cwnd_limited(const struct tcp *t)
{
	if (t->flags & T_CWND_LIMITED)
		return true;
	return t->cc.cwnd < t->cc.ssthresh && t->cc.cwnd * (uint64_t)t->mss < 2ULL * t->max_out;
}

static struct cc_ack cc_ack(struct tcp *t, const struct tcp_acked *a)
{
	return (struct cc_ack){
		.now_ns = a->now_ns,
		.acked = to_segs(t, a->delivered),
		.in_flight = tcp_segs(t, a->prior_pipe),
		.rtt_us = a->last_rtt_us,
		.snd_una = t->snd_una,
		.snd_nxt = t->snd_nxt,
		.ece = a->ece,
		.cwnd_limited = true,
	};
}

/* Tell the congestion control. @grow: nothing forbids a larger window. It grows only while
 * it is the limit: one that the program or the peer's window does not fill was not tested.
 */
static void tell_cc(struct tcp *t, const struct tcp_acked *a, bool grow)
{
	struct cc_ack c;

	if (t->flags & T_RATE) {
		c = cc_ack(t, a);
		tcp_rate_control(t, &c, a);
		return;
	}
	grow = grow && cwnd_limited(t);
	if (!grow && !(t->flags & T_ECN && t->cc.ops->marks))
		return;
	c = cc_ack(t, a);
	if (t->cc.ops->marks)
		t->cc.ops->marks(&t->cc, &c);
	if (grow)
		t->cc.ops->acked(&t->cc, &c);
}

/* The peer SACKed what it now asks for. Perhaps ACKs were reordered: it has half a round trip to say
 * otherwise, 10 ms at least (Linux's tcp_check_sack_reneging).
 */
static void doubt_sack(struct tcp *t, uint64_t now_ns)
{
	t->rto_at = now_ns + tcp_max(t->rtt.srtt_us / 2, RENEGE_MIN_US) * 1000ULL;
	tcp_arm_at(t, TCP_RTX_RTO, t->rto_at);
}

/* What is SACKed now was sent before the first segment in flight, which is a copy then: that one
 * has its time still (Linux's tcp_clean_rtx_queue).
 */
static bool head_is_younger(const struct tcp *t, const struct tcp_acked *a)
{
	uint32_t age;

	if (!a->sacked)				/* and the board may be empty */
		return false;
	age = tcp_tick(a->now_ns) - t->rec[t->first_rec].sent;
	return a->rtt_us > tcp_tick_us(age);
}

/* After snd_una moved. Recovery may have begun to wait for reordered segments. */
static void rearm(struct tcp *t, uint64_t now_ns)
{
	if (t->snd_una == t->snd_nxt)
		tcp_arm_idle(t, now_ns);
	else if (t->rtx_kind != TCP_RTX_REORDER)
		tcp_arm_rtx(t, now_ns);
}

static void begin(const struct tcp *t, struct tcp_acked *a, uint64_t now_ns)
{
	*a = (struct tcp_acked){
		.now_ns = now_ns,
		.prior_una = t->snd_una,
		.prior_pipe = tcp_pipe(t),
		.rtt_us = -1,
		.last_rtt_us = -1,
	};
}

uint32_t tcp_ack_plain(struct tcp *t, const struct tcp_seg *s, uint64_t now_ns)
{
	struct tcp_acked a;
	uint32_t todo;

	take_window(t, s);
	t->probes = 0;
	if (s->ack == t->snd_una)
		return 0;

	begin(t, &a, now_ns);
	a.advanced = true;
	tcp_board_ack(t, s->ack, &a);
	todo = free_acked(t, s->ack);
	progress(t);
	take_rtt(t, s, &a);
	tell_cc(t, &a, true);
	rearm(t, now_ns);
	return todo;
}

/* RFC 5681's duplicate ACK: bare, same window, something outstanding. */
static bool is_duplicate(const struct tcp *t, const struct tcp_seg *s, uint32_t old_wnd)
{
	return s->ack == t->snd_una && !s->len && t->snd_wnd == old_wnd &&
	       !(s->flags & (TH_FIN | TH_SYN)) && t->snd_una != t->snd_nxt;
}

/* The peer echoes congestion of something that was in flight. */
static void ecn_echo(struct tcp *t, const struct tcp_acked *a)
{
	t->cc.prior_ssthresh = 0;		/* the reduction is called for: no undo */
	if (t->ca <= TCP_DISORDER && a->prior_una != t->snd_nxt)
		tcp_enter_cwr(t);
}

uint32_t tcp_ack_in(struct tcp *t, const struct tcp_seg *s, uint64_t now_ns)
{
	uint32_t todo = 0, old_wnd = t->snd_wnd;
	struct tcp_acked a;

	if (!seq_before(s->ack, t->snd_una))
		take_window(t, s);
	begin(t, &a, now_ns);
	a.ece = t->flags & T_ECN && s->flags & TH_ECE;
	t->probes = 0;
	a.dup = is_duplicate(t, s, old_wnd);
	if (seq_after(s->ack, t->snd_una)) {
		a.advanced = true;
		a.tsecr = t->flags & T_TS && s->has_ts ? s->tsecr : 0;
		tcp_board_ack(t, s->ack, &a);
		doubt_rtt(&a);
		todo = free_acked(t, s->ack);
		progress(t);
		tcp_arm_at(t, TCP_RTX_NONE, TCP_NEVER);
	}
	if (t->flags & T_SACK && s->nsack)
		tcp_board_sack(t, s, &a);
	take_rtt(t, s, &a);
	if (a.ece)
		ecn_echo(t, &a);
	tcp_recover_ack(t, s, &a);
	/* in disorder only what is acknowledged counts, unless the path is known to reorder */
	tell_cc(t, &a, (a.advanced || (a.sacked && t->flags & T_REORDERED)) && !tcp_in_reduction(t));
	if (a.advanced && t->sacked && t->rec[t->first_rec].flags & R_SACKED)
		doubt_sack(t, now_ns);
	else if (a.advanced || head_is_younger(t, &a))
		rearm(t, now_ns);
	return todo | tcp_output_due(t);
}
