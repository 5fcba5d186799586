/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_tx.c - the next segment to send, if any may be sent now.
 *
 * In this order, one a call:
 *	ACKs of what came before CE began or ended (DCTCP)
 *	what is deemed lost, oldest first, as cwnd allows
 *	the loss probe (RFC 8985): new data if there is some, else the last segment again
 *	new data, as cwnd, the peer's window, Nagle and CORK allow; FIN rides on the last
 *	a probe that somebody asked for (keepalive, zero window)
 *	a bare ACK, if none of these carried it
 *
 * Several full segments may leave as one tcp_out (GSO), never together with SACK blocks.
 * All of these but the probe, the bare ACK and the first segment after a timeout wait for their
 * time in a flow that is paced.
 * A partial segment is held back (Nagle's rule as Linux has it: while a partial one is in
 * flight), and so is a segment that the window would cut short (silly window), until
 * the persist timer sets T_FORCE_WND. F-RTO overrules Nagle and CORK.
 */
#include "tcp_flow.h"

#include <netinet/tcp.h>

/* Payload of a segment that carries @nsack blocks: two bytes of head, two of padding. */
static uint32_t seg_size(const struct tcp *t, uint32_t nsack)
{
	uint32_t less = nsack ? 4 + 8 * nsack : 0;

	return t->mss_now > less + 16 ? t->mss_now - less : 16;
}

static uint32_t sack_max(const struct tcp *t) { return t->flags & T_TS ? 3 : 4; }

/* How many blocks the next segment will carry. */
static uint32_t sack_count(const struct tcp *t)
{
	uint32_t n = t->nrecent + !!(t->flags & T_DSACK);

	return t->flags & T_SACK ? tcp_min(n, sack_max(t)) : 0;
}

static void note_ack_sent(struct tcp *t)
{
	t->rcv_wup = t->rcv_nxt;
	t->flags &= ~(T_ACK_NOW | T_ACK_LATER);
	t->ack_at = TCP_NEVER;
	if (t->quickack)
		t->quickack--;
}

/* The parts that every segment has. */
static inline void fill_out(struct tcp *t, struct tcp_out *o, uint64_t now_ns, uint32_t seq,
			    uint8_t flags)
{
	o->seq = seq;
	o->pos = t->tx_tail + (seq - t->snd_una);
	o->len = 0;
	o->flags = flags | TH_ACK;
	/* DCTCP wants the network to mark all of its segments, Linux's as ours */
	o->ect = t->flags & T_ECN && t->cc.ops->needs_ecn;
	o->retransmit = false;
	o->window = (uint16_t)tcp_window(t);
	o->ack = t->rcv_nxt;
	o->has_ts = t->flags & T_TS;
	if (o->has_ts) {
		o->tsval = tcp_tsval(t, now_ns);
		o->tsecr = t->ts_recent;
	}
	o->nsack = 0;
	if (t->nrecent || t->flags & T_DSACK)
		o->nsack = (uint8_t)tcp_sack_blocks(t, o->sack, sack_max(t));
	if (t->flags & T_ECE)
		o->flags |= TH_ECE;
	note_ack_sent(t);
	if (t->flags & T_DSACK)			/* there was room for one of them */
		t->flags |= T_ACK_NOW;
}

/* Data went out: does the program converse? Then ACKs can wait for its answers. */
static void note_data_sent(struct tcp *t, uint64_t now_ns)
{
	if (now_ns - t->data_ns < t->ato_us * 1000ULL)
		t->pingpong = true;
	t->sent_ns = now_ns;
}

static uint64_t cwnd_room(const struct tcp *t, uint32_t pipe)
{
	uint64_t cwnd = (uint64_t)t->cc.cwnd * t->mss;

	return cwnd > pipe ? cwnd - pipe : 0;
}

static uint32_t wnd_room(const struct tcp *t)
{
	uint32_t edge = t->snd_una + t->snd_wnd;

	return seq_after(edge, t->snd_nxt) ? edge - t->snd_nxt : 0;
}

/* May the partial segment at the end of the pipe wait? */
static bool hold_partial(struct tcp *t, uint64_t now_ns)
{
	if (t->flags & (T_PUSH | T_FORCE_WND) || tcp_fin_due(t))
		return false;
	if (t->opts & (TP_O_CORK | TP_O_MORE)) {
		if (t->push_at == TCP_NEVER && t->snd_una == t->snd_nxt)
			t->push_at = now_ns + RTO_MIN_US * 1000ULL;
		return true;
	}
	if (t->opts & TP_O_NODELAY)
		return false;
	return t->flags & T_SENT_SMALL && seq_after(t->snd_small, t->snd_una) &&
	       t->snd_una != t->snd_nxt;
}

/* @len, or as many whole segments of it as the pace allows now. */
static uint32_t paced(struct tcp *t, uint64_t now_ns, uint32_t len, uint32_t seg)
{
	uint32_t room;

	if (!(t->flags & T_PACED) || !len)
		return len;
	room = tcp_pace_room(t, now_ns);
	if (len <= room || !room)
		return tcp_min(len, room);
	return tcp_min(len, tcp_max(room / seg, 1) * seg);
}

/* Bytes of new data that may go in one tcp_out; *ret_cwnd: cwnd is what forbids more. */
static uint32_t may_send(struct tcp *t, uint64_t now_ns, uint32_t seg, uint32_t max_segs,
			 bool *ret_cwnd)
{
	uint32_t unsent = tcp_unsent(t), wnd = wnd_room(t), pipe = tcp_pipe(t), len, tail;
	uint64_t cwnd = cwnd_room(t, pipe);

	len = tcp_min(unsent, seg * max_segs);
	if (cwnd < tcp_min(len, seg)) {
		*ret_cwnd = true;
		if (pipe)
			return 0;
		cwnd = seg;
	}
	if (len > cwnd) {
		*ret_cwnd = true;
		len = (uint32_t)cwnd / seg * seg;
	}
	if (len > wnd) {
		if (wnd < seg)
			return t->flags & T_FORCE_WND ? wnd : 0;
		len = wnd / seg * seg;
	}
	tail = len == seg ? 0 : len % seg;
	if (tail && len == unsent && hold_partial(t, now_ns))
		len -= tail;
	return paced(t, now_ns, len, seg);
}

/* What ssthresh would be if the window now shown to be unused had been lost (Linux's
 * tcp_current_ssthresh): slow start goes back there quickly.
 */
static void remember_ssthresh(struct tcp *t)
{
	t->cc.ssthresh = tcp_max(t->cc.ssthresh, t->cc.cwnd / 2 + t->cc.cwnd / 4);
}

/* A window that was not used is no longer known to fit; but for bbr, which knows by itself. */
static bool idle_costs(const struct tcp *t)
{
	return t->idle_restart && !(t->flags & T_RATE);
}

/* A timeout long the program used less than cwnd: halve the difference (RFC 2861). */
static void shrink_unused(struct tcp *t, uint64_t now_ns)
{
	uint32_t used = tcp_max((t->max_used + t->mss - 1) / t->mss, t->init_cwnd);

	if (t->ca == TCP_OPEN && used < t->cc.cwnd) {
		remember_ssthresh(t);
		t->cc.cwnd = (t->cc.cwnd + used) / 2;
	}
	t->max_used = 0;
	t->cwnd_ns = now_ns;
}

/* After each try to send: was it cwnd that stopped us, how much was out at most? */
static void note_limits(struct tcp *t, bool by_cwnd, uint64_t now_ns)
{
	uint32_t pipe = tcp_pipe(t);

	if (seq_after_eq(t->snd_una, t->cwnd_seq)) {
		t->cwnd_seq = t->snd_nxt;
		t->max_out = 0;
		t->flags &= ~T_CWND_LIMITED;
	}
	t->max_out = tcp_max(t->max_out, pipe);
	if (by_cwnd) {
		t->flags |= T_CWND_LIMITED;
		t->max_used = 0;
		t->cwnd_ns = now_ns;
		return;
	}
	t->max_used = tcp_max(t->max_used, pipe);
	if (now_ns - t->cwnd_ns >= t->rtt.rto_us * 1000ULL && idle_costs(t))
		shrink_unused(t, now_ns);
}

/* Nothing is in flight and the program begins to send again. After a timeout's worth of
 * silence the window is no longer known to fit (RFC 5681 4.1): half for each timeout, as Linux.
 */
static void after_idle(struct tcp *t, uint64_t now_ns)
{
	uint64_t idle = now_ns - t->sent_ns, rto = t->rtt.rto_us * 1000ULL;
	uint32_t least = tcp_min(t->cc.cwnd, t->init_cwnd);

	if (idle <= rto || t->ca != TCP_OPEN || !idle_costs(t))
		return;
	remember_ssthresh(t);
	for (; idle > rto && t->cc.cwnd > least; idle -= rto)
		t->cc.cwnd /= 2;
	t->cc.cwnd = tcp_max(t->cc.cwnd, least);
	t->cc.cwnd_cnt = 0;
	t->max_used = 0;
	t->cwnd_ns = now_ns;
}

/* Account for @len new bytes (and a FIN) that leave as @o. */
static void sent_new(struct tcp *t, struct tcp_out *o, uint32_t seg, uint64_t now_ns)
{
	uint32_t end = o->seq + o->len + !!(o->flags & TH_FIN);
	bool was_quiet = t->snd_una == t->snd_nxt;

	if (was_quiet && t->cc.ops->restart && now_ns - t->sent_ns > t->rtt.srtt_us * 1000ULL)
		t->cc.ops->restart(&t->cc, now_ns, now_ns - t->sent_ns);
	tcp_board_sent(t, o->seq, end, now_ns);
	t->snd_nxt = end;
	if (o->len != seg && o->len % seg) {
		t->flags |= T_SENT_SMALL;
		t->snd_small = end;
	}
	if (o->flags & TH_FIN)
		t->flags |= T_FIN_SENT;
	t->flags &= ~(T_PUSH | T_FORCE_WND | T_PROBE);
	t->push_at = TCP_NEVER;
	t->tx_bytes += o->len;
	if (t->flags & T_PACED)
		tcp_pace_sent(t, o->len);
	if (tcp_in_reduction(t))
		t->prr_out += (o->len + t->mss - 1) / t->mss;
	atomic_store_explicit(&t->slot->tx_sent, o->pos + o->len, memory_order_relaxed);
	note_data_sent(t, now_ns);
	if (was_quiet) {
		t->backoff = 0;
		t->stall_ns = 0;
		tcp_arm_rtx(t, now_ns);
	} else {
		tcp_arm_probe(t, now_ns);
	}
}

/* @len new bytes from snd_nxt; FIN too, if it follows and the window has room for it. */
static void emit_new(struct tcp *t, struct tcp_out *o, uint32_t len, uint32_t seg,
		     uint64_t now_ns)
{
	bool last = len == tcp_unsent(t);
	uint8_t flags = last && len ? TH_PUSH : 0;

	if (last && tcp_fin_due(t) && wnd_room(t) > len)
		flags |= TH_FIN;
	fill_out(t, o, now_ns, t->snd_nxt, flags);
	o->len = len;
	o->ect = t->flags & T_ECN;
	if (t->flags & T_CWR && len) {
		t->flags &= ~T_CWR;
		o->flags |= TH_CWR;
	}
	sent_new(t, o, seg, now_ns);
}

static bool send_new(struct tcp *t, uint64_t now_ns, uint32_t max_segs, struct tcp_out *o)
{
	bool by_cwnd = false, fin = tcp_fin_due(t);
	uint32_t blocks, seg, len = 0;

	if (!tcp_unsent(t) && !fin)
		return false;
	if (t->snd_una == t->snd_nxt)
		after_idle(t, now_ns);
	blocks = sack_count(t);
	seg = seg_size(t, blocks);
	if (tcp_unsent(t))
		len = may_send(t, now_ns, seg, blocks ? 1 : max_segs, &by_cwnd);
	if (!len && !(fin && !tcp_unsent(t) && wnd_room(t))) {
		note_limits(t, by_cwnd, now_ns);
		return false;
	}
	emit_new(t, o, len, seg, now_ns);
	note_limits(t, by_cwnd, now_ns);
	return true;
}

/* How much of [@start, @start + @len) may be sent again; what Linux does when the peer has
 * taken its window back: the first segment only.
 */
static uint32_t may_resend(const struct tcp *t, uint32_t start, uint32_t len)
{
	uint32_t edge = t->snd_una + t->snd_wnd;

	if (start == t->snd_una)
		return len;
	if (!seq_before(start, edge))
		return 0;
	return tcp_min(len, edge - start);
}

static void note_resent(struct tcp *t, const struct tcp_out *o, uint32_t end, uint64_t now_ns)
{
	if (!(t->flags & T_RTX_ANY)) {
		t->flags |= T_RTX_ANY;
		t->rtx_tsval = tcp_tsval(t, now_ns);
	}
	if (!t->stall_ns)
		t->stall_ns = now_ns;
	if (t->ca >= TCP_RECOVERY) {		/* else a loss probe, no part of an episode */
		t->undo_rtx += end - o->seq;
		t->undo_end = seq_max(t->undo_end, end);
	}
	if (t->flags & T_PACED)
		tcp_pace_resent(t, o->len);
	/* segments, as D-SACKs tell of them; a bare FIN is one */
	t->retransmits += tcp_max((o->len + t->mss_now - 1U) / t->mss_now, 1);
	if (tcp_in_reduction(t))
		t->prr_out += (o->len + t->mss - 1) / t->mss;
	t->flags &= ~(T_FORCE_RTX | T_PROBE);
	/* RACK's wait for reordered segments goes on; the timeout begins when that is over */
	if (t->rtx_kind != TCP_RTX_REORDER &&
	    (o->seq == t->snd_una || t->rtx_kind == TCP_RTX_NONE))
		tcp_arm_rtx(t, now_ns);
}

/* Send [start, start + len) again; the last of it may be our FIN. */
static void resend(struct tcp *t, uint32_t start, uint32_t len, uint64_t now_ns,
		   struct tcp_out *o)
{
	uint32_t end = start + len;
	bool fin = t->flags & T_FIN_SENT && end == t->snd_nxt;

	fill_out(t, o, now_ns, start, fin ? TH_FIN : 0);
	o->len = len - fin;
	if (o->len && end == t->snd_nxt)
		o->flags |= TH_PUSH;
	o->retransmit = true;
	tcp_board_resent(t, start, end, now_ns);
	note_resent(t, o, end, now_ns);
}

static bool resend_lost(struct tcp *t, uint64_t now_ns, uint32_t max_segs, struct tcp_out *o)
{
	uint32_t blocks = sack_count(t), seg = seg_size(t, blocks), start, len;
	uint64_t room = cwnd_room(t, tcp_pipe(t));

	if (!tcp_board_next_lost(t, &start, &len))
		return false;
	if (room < tcp_min(len, seg)) {
		if (!(t->flags & T_FORCE_RTX) && tcp_pipe(t))
			return false;
		room = seg;
	}
	len = tcp_min(len, seg * (blocks ? 1 : max_segs));
	if (len > room)
		len = (uint32_t)room / seg * seg;
	len = may_resend(t, start, len);
	/* what the timer sends again waits for nobody */
	if (t->ca != TCP_LOSS || !(t->flags & T_FORCE_RTX))
		len = paced(t, now_ns, len, seg);
	if (!len)
		return false;
	resend(t, start, len, now_ns, o);
	return true;
}

/* F-RTO wanted new data to go first, and none may: nothing would tell whether anything was lost, so it
 * was, as in Linux (tcp_xmit_recovery). But what only waits for its time in a paced flow will go.
 */
static bool resend_instead(struct tcp *t, uint64_t now_ns, uint32_t max_segs, struct tcp_out *o)
{
	if (seq_after(t->snd_nxt, t->high_seq) || t->pace_due != TCP_NEVER)
		return false;
	t->flags &= ~(T_FRTO | T_FRTO_NEW);
	return t->lost && resend_lost(t, now_ns, max_segs, o);
}

/* Bytes of the segment that was sent last: what is left behind the full ones of its run, and FIN. */
static uint32_t last_segment(const struct tcp *t, uint32_t seg)
{
	const struct tcp_rec *last = &t->rec[t->first_rec + t->nrec - 1];
	uint32_t fin = !!(t->flags & T_FIN_SENT), data = last->end - last->start - fin;
	uint32_t tail = data % seg;

	return (tail ? tail : tcp_min(data, seg)) + fin;
}

/* The loss probe: one segment beyond cwnd. */
static bool send_probe_of_loss(struct tcp *t, uint64_t now_ns, struct tcp_out *o)
{
	uint32_t seg = seg_size(t, sack_count(t)), len, start;

	t->flags &= ~T_TLP;
	if (t->snd_una == t->snd_nxt)
		return false;
	t->flags |= T_TLP_OUT;
	len = tcp_min(tcp_unsent(t), seg);
	if (len && wnd_room(t) >= len) {
		t->flags &= ~T_TLP_RTX;
		emit_new(t, o, len, seg, now_ns);
	} else {
		t->flags |= T_TLP_RTX;
		start = t->snd_nxt - last_segment(t, seg);
		resend(t, start, t->snd_nxt - start, now_ns, o);
	}
	t->tlp_seq = t->snd_nxt;
	/* the timeout is the first segment's, which the probe may have been */
	if (t->nrec == 1 || t->rto_at <= now_ns)
		tcp_arm_rtx(t, now_ns);
	return true;
}

/* A segment that the peer must answer: a byte before its window, without data. */
static void send_probe(struct tcp *t, uint64_t now_ns, struct tcp_out *o)
{
	t->flags &= ~(T_PROBE | T_FORCE_WND);
	fill_out(t, o, now_ns, t->snd_una - 1, 0);
	o->pos = t->tx_tail;
}

/* The ACK of what came before CE began or ended, with the echo of that time. */
static void send_ce_ack(struct tcp *t, uint64_t now_ns, struct tcp_out *o)
{
	uint32_t flags = t->flags & (T_ACK_NOW | T_ACK_LATER | T_DSACK), wup = t->rcv_wup;
	uint64_t ack_at = t->ack_at;
	bool ece = !!(t->flags & T_ECE) ^ (t->nce & 1);
	uint32_t window;

	t->flags &= ~T_DSACK;			/* the ACK that follows carries it */
	fill_out(t, o, now_ns, t->snd_nxt, 0);
	o->nsack = 0;
	o->ack = t->ce_at[0];
	window = o->window + ((t->rcv_nxt - o->ack) >> t->rcv_wscale);
	o->window = (uint16_t)tcp_min(window, 65535);
	o->flags = (uint8_t)((o->flags & ~TH_ECE) | (ece ? TH_ECE : 0));
	t->nce--;
	memmove(t->ce_at, t->ce_at + 1, t->nce * sizeof(t->ce_at[0]));
	t->flags |= flags;
	t->rcv_wup = wup;
	t->ack_at = ack_at;
}

bool tcp_ack(struct tcp *t, uint64_t now_ns, struct tcp_out *ret_out)
{
	if (t->flags & T_DEAD || !(t->flags & T_ACK_NOW))
		return false;
	if (t->nce)
		send_ce_ack(t, now_ns, ret_out);
	else
		fill_out(t, ret_out, now_ns, t->snd_nxt, 0);
	return true;
}

bool tcp_tx(struct tcp *t, uint64_t now_ns, uint32_t max_segs, struct tcp_out *ret_out)
{
	if (t->flags & T_DEAD)
		return false;
	if (t->nce) {
		send_ce_ack(t, now_ns, ret_out);
		return true;
	}
	if (t->lost && !(t->flags & T_FRTO_NEW) && resend_lost(t, now_ns, max_segs, ret_out))
		return true;
	if (t->flags & T_TLP && send_probe_of_loss(t, now_ns, ret_out))
		return true;
	if (send_new(t, now_ns, max_segs, ret_out))
		return true;
	if (t->flags & T_PROBE) {
		send_probe(t, now_ns, ret_out);
		return true;
	}
	if (t->flags & T_ACK_NOW) {
		fill_out(t, ret_out, now_ns, t->snd_nxt, 0);
		return true;
	}
	if (t->snd_una == t->snd_nxt)
		tcp_arm_idle(t, now_ns);
	else if (t->flags & T_FRTO_NEW)
		return resend_instead(t, now_ns, max_segs, ret_out);
	return false;
}
