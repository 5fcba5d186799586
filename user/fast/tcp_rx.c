/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_rx.c - a segment in.
 *
 * Most segments are the next data or a plain ACK in a flow where nothing is wrong; is_plain()
 * recognises them and they go straight to tcp_ack_plain() and tcp_data_in(). All others are
 * judged in the order of RFC 9293 3.10.7.4, with Linux's answers:
 *
 *	PAWS		older than what we know: ACK, drop (RFC 7323 5)
 *	window		nothing of it in the window: ACK, drop
 *	RST		at rcv_nxt exactly: reset; elsewhere in the window: challenge ACK
 *	SYN		challenge ACK (RFC 5961 4)
 *	ACK		none: drop; of what we never sent, or too old: challenge ACK (RFC 5961 5)
 *	URG		the flow must go back to Linux; its data is not taken, so it comes again
 *	data, FIN
 */
#include "tcp_flow.h"

#include <errno.h>
#include <netinet/tcp.h>

#define TS_STALE_NS	(24 * 86400 * 1000000000ULL)	/* RFC 7323 5.5: it may have wrapped */

/* Older than what we know. By one tick is not (Linux's TCP_PAWS_WINDOW): where a path reorders, what
 * was sent last before something else was sent again may come after it.
 */
static bool ts_is_old(const struct tcp *t, const struct tcp_seg *s)
{
	return t->flags & T_TS && s->has_ts && seq_before(s->tsval, t->ts_recent - 1);
}

/* RFC 7323 4.3: the segment that covers what we acknowledged last sets what we echo. Data does,
 * whatever it acknowledges itself. (Linux does not take it from a segment with an old ACK. Where
 * both ends send and the path reorders, it then echoes stamps of seconds ago, and the peer's
 * timeouts grow by that.)
 */
static void take_ts(struct tcp *t, const struct tcp_seg *s)
{
	if (t->flags & T_TS && s->has_ts && !seq_after(s->seq, t->rcv_wup) &&
	    s->tsval != t->ts_recent - 1)
		t->ts_recent = s->tsval;
}

/* The receiver's round trip, from the echo of our newest TSval (Linux's rcv_rtt_est). */
static void measure_drs(struct tcp *t, const struct tcp_seg *s, uint64_t now_ns)
{
	uint32_t ms;

	if (!(t->flags & T_TS) || !s->has_ts || s->tsecr == t->drs_tsecr || s->len < t->rcv_mss)
		return;
	t->drs_tsecr = s->tsecr;
	ms = tcp_tsval(t, now_ns) - s->tsecr;
	if (ms > RTO_MAX_US / 1000)
		return;
	ms = tcp_max(ms, 1);
	if (!t->drs_us || ms * 1000 < t->drs_us)
		t->drs_us = ms * 1000;
	else
		t->drs_us += (ms * 1000 - t->drs_us) / 8;
}

static bool is_plain(const struct tcp *t, const struct tcp_seg *s)
{
	if ((s->flags & ~TH_PUSH) != TH_ACK || t->flags & T_SLOW || t->ca != TCP_OPEN)
		return false;
	if (s->seq != t->rcv_nxt || t->nrange || s->nsack || s->ce || t->sacked || t->dupacks)
		return false;
	if (seq_before(s->ack, t->snd_una) || seq_after(s->ack, t->snd_nxt))
		return false;
	if (s->ack == t->snd_una && !s->len && s->ack != t->snd_nxt)
		return false;		/* might be a duplicate ACK */
	return !ts_is_old(t, s);
}

static uint32_t plain(struct tcp *t, const struct tcp_seg *s, uint64_t now_ns)
{
	uint32_t todo;

	take_ts(t, s);
	todo = tcp_ack_plain(t, s, now_ns);
	if (s->len) {
		measure_drs(t, s, now_ns);
		todo |= tcp_data_in(t, s, now_ns);
	}
	return todo | tcp_output_due(t);
}

static uint32_t ack_now(struct tcp *t)
{
	t->flags |= T_ACK_NOW;
	return TCP_DO_OUTPUT;
}

/* Nonsense without data, and attempts to guess numbers, are answered once in a while
 * (tcp_invalid_ratelimit): two ends that disagree must not answer each other for ever.
 */
static bool answered_lately(struct tcp *t, uint64_t now_ns)
{
	if (t->oow_ns && now_ns - t->oow_ns < t->oow_gap_ns)
		return true;
	t->oow_ns = now_ns;
	return false;
}

static uint32_t challenge(struct tcp *t, uint64_t now_ns)
{
	return answered_lately(t, now_ns) ? 0 : ack_now(t);
}

static uint32_t seg_end(const struct tcp_seg *s)
{
	return s->seq + s->len + !!(s->flags & TH_FIN);
}

/* An ACK that answers a segment out of window, or an old copy. */
static uint32_t duplicate_ack(struct tcp *t, const struct tcp_seg *s, uint64_t now_ns)
{
	uint32_t end = seg_end(s);

	if (!s->len && answered_lately(t, now_ns))
		return 0;
	if (end != s->seq && seq_before(s->seq, t->rcv_nxt)) {
		tcp_dsack(t, s->seq, seq_min(end, t->rcv_nxt));
		tcp_quick_ack(t);
	}
	return ack_now(t);
}

/* Linux's tcp_sequence(): some of it, or its empty place, is in the window. */
static bool in_window(const struct tcp *t, const struct tcp_seg *s)
{
	uint32_t end = seg_end(s) + !!(s->flags & TH_SYN);
	uint32_t edge = seq_max(t->rcv_edge, t->rcv_nxt);

	return !seq_before(end, t->rcv_wup) && !seq_after(s->seq, edge);
}

static uint32_t on_rst(struct tcp *t, const struct tcp_seg *s, uint64_t now_ns)
{
	if (s->seq == t->rcv_nxt)
		return tcp_die(t, t->flags & T_PEER_FIN ? EPIPE : ECONNRESET, TCP_DO_RESET);
	return challenge(t, now_ns);
}

/* RFC 5961 5.2: an ACK of a window ago may be late, an older one is made up. */
static uint32_t oldest_ack(const struct tcp *t)
{
	return t->snd_una - (t->tx_tail < t->max_wnd ? (uint32_t)t->tx_tail : t->max_wnd);
}

/* What makes a segment not worth processing. True: *ret_todo is all there is to do. */
static bool refused(struct tcp *t, const struct tcp_seg *s, uint64_t now_ns, uint32_t *ret_todo)
{
	bool rst = s->flags & TH_RST;

	*ret_todo = 0;
	if (!rst && ts_is_old(t, s) && now_ns - t->heard_ns < TS_STALE_NS) {
		*ret_todo = duplicate_ack(t, s, now_ns);
		return true;
	}
	if (!in_window(t, s)) {
		if (!rst)
			*ret_todo = duplicate_ack(t, s, now_ns);
		return true;
	}
	if (rst) {
		*ret_todo = on_rst(t, s, now_ns);
		return true;
	}
	if (s->flags & TH_SYN) {
		*ret_todo = challenge(t, now_ns);
		return true;
	}
	if (!(s->flags & TH_ACK))
		return true;
	if (seq_after(s->ack, t->snd_nxt) || seq_before(s->ack, oldest_ack(t))) {
		*ret_todo = challenge(t, now_ns);
		return true;
	}
	return false;
}

/* DCTCP's receiver (RFC 8257 3.2): where CE begins or ends, what came before is acknowledged
 * apart, with the echo that it has earned. So the sender can count marked bytes, although
 * ACKs are delayed. Should more changes wait than have room, the oldest is forgotten, and
 * with it the one after it, for echoes alternate.
 */
static void echo_exactly(struct tcp *t, const struct tcp_seg *s)
{
	if (!s->len || s->ce == !!(t->flags & T_ECE))
		return;
	if (t->rcv_nxt != t->rcv_wup) {
		if (t->nce == TCP_NCE) {
			t->nce -= 2;
			memmove(t->ce_at, t->ce_at + 2, t->nce * sizeof(t->ce_at[0]));
		}
		t->ce_at[t->nce++] = t->rcv_nxt;
	}
	t->flags = (t->flags ^ T_ECE) | T_ACK_NOW;
}

static void take_ecn(struct tcp *t, const struct tcp_seg *s)
{
	if (!(t->flags & T_ECN))
		return;
	if (t->cc.ops->needs_ecn) {
		echo_exactly(t, s);
		return;
	}
	if (s->flags & TH_CWR)
		t->flags &= ~T_ECE;
	if (s->ce) {
		if (!(t->flags & T_ECE))
			tcp_quick_ack(t);
		t->flags |= T_ECE;
	}
}

/* The peer's FIN, at sequence number @fin. */
static void note_fin(struct tcp *t, uint32_t fin)
{
	uint32_t held = t->nrange ? t->range[t->nrange - 1].end : t->rcv_nxt;

	if (t->flags & (T_PEER_FIN | T_FIN_AHEAD))
		return;
	if (fin != t->rcv_nxt && (seq_before(fin, held) || seq_after(fin, t->rcv_edge)))
		return;			/* not all before it was taken, or it contradicts */
	t->rcv_fin = fin;
	t->flags |= T_FIN_AHEAD;
}

/* All bytes before the peer's FIN are there: it takes its place. */
static uint32_t take_fin(struct tcp *t, uint64_t now_ns)
{
	if (!(t->flags & T_FIN_AHEAD) || t->rcv_nxt != t->rcv_fin)
		return 0;

	t->flags = (t->flags | T_PEER_FIN) & ~T_FIN_AHEAD;
	t->rcv_nxt++;
	t->rcv_edge = seq_max(t->rcv_edge, t->rcv_nxt);
	tcp_ranges_forget(t);
	/* after rx_head: who sees EOF sees all bytes before it */
	atomic_fetch_or_explicit(&t->slot->fast_flags, TP_F_EOF, memory_order_release);
	if (t->flags & T_FIN_SENT) {
		t->flags |= T_ACK_NOW;		/* the peer can end: nothing of ours will follow */
	} else if (!(t->flags & (T_ACK_NOW | T_ACK_LATER))) {
		t->flags |= T_ACK_LATER;
		t->ack_at = now_ns + TCP_ACK_MIN_US * 1000ULL;
	}
	return TCP_DO_PEER_FIN | TCP_DO_READABLE;
}

static uint32_t take_data(struct tcp *t, const struct tcp_seg *s, uint64_t now_ns)
{
	uint32_t todo = 0;

	if (t->flags & T_RELEASED && s->len && seq_after(s->seq + s->len, t->rcv_nxt))
		return tcp_die(t, ECONNRESET, TCP_DO_ABORT);
	if (s->len)
		todo = tcp_data_in(t, s, now_ns);
	if (s->flags & TH_FIN) {
		if (seq_before(s->seq + s->len, t->rcv_nxt) || t->flags & T_PEER_FIN)
			t->flags |= T_ACK_NOW;	/* again: our ACK was lost */
		note_fin(t, s->seq + s->len);
	}
	return todo | take_fin(t, now_ns);
}

/* If the segment before filled the hole which @s is a copy of, one ACK for both would echo the copy's
 * timestamp, and the peer could not see that it resent for nothing. And who has no SACK counts the
 * ACKs of what comes out of order. What else comes together is told together, as with Linux's GRO:
 * where a queue overflows, an ACK for each hole makes it overflow more.
 */
bool tcp_ack_first(const struct tcp *t, const struct tcp_seg *s)
{
	if (!(t->flags & T_ACK_NOW) || !s->len || t->flags & T_DEAD)
		return false;
	if (!(t->flags & T_SACK))
		return t->nrange;
	return tcp_has(t, s->seq, s->seq + s->len);
}

uint32_t tcp_rx(struct tcp *t, const struct tcp_seg *s, uint64_t now_ns)
{
	uint32_t todo;

	if (t->flags & T_DEAD)
		return 0;
	if (is_plain(t, s)) {
		t->heard_ns = now_ns;
		return plain(t, s, now_ns);
	}
	if (refused(t, s, now_ns, &todo))
		return todo;

	t->heard_ns = now_ns;
	if (s->len || !seq_before(s->ack, t->snd_una))
		take_ts(t, s);
	take_ecn(t, s);
	todo = tcp_ack_in(t, s, now_ns);
	if (s->flags & TH_URG)
		return todo | TCP_DO_ODD;
	measure_drs(t, s, now_ns);
	todo |= take_data(t, s, now_ns);
	return t->flags & T_DEAD ? todo : todo | tcp_output_due(t);
}
