/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_recover.c - what to do about loss, and about having been wrong.
 *
 *	OPEN <-> DISORDER	SACKs or duplicate ACKs, but nothing is lost yet
 *	     --> RECOVERY	RACK (or the third duplicate ACK) found a loss. cwnd goes down
 *				to ssthresh in proportion to what arrives (PRR, RFC 6937)
 *	     --> CWR		the same without a loss: ECN, or a loss probe that repaired one
 *	 any --> LOSS		the retransmission timer. What left within the last round trip may
 *				still arrive; cwnd is that and 1, slow start
 *	LOSS --> RECOVERY	what was sent again is lost again
 *	     --> OPEN		high_seq, snd_nxt when it began, is acknowledged
 *
 * Undo. A reduction was needless when the ACK echoes a timestamp older than the first
 * retransmission (Eifel, RFC 3522), when D-SACKs cover all retransmissions, or when after a
 * timeout bytes are acknowledged that were never sent again (F-RTO, RFC 5682). Then cwnd and
 * ssthresh return to what they were; but not where ECN asked for the reduction.
 *
 * Without SACK (NewReno, RFC 6582) duplicate ACKs stand for bytes that arrived, and each
 * partial ACK for the next loss.
 */
#include "tcp_flow.h"

#define REO_PERSIST	16U		/* recoveries for which a wider reordering window stays */

static void begin_episode(struct tcp *t)
{
	t->high_seq = t->snd_nxt;
	t->undo_una = t->snd_una;
	t->undo_end = t->snd_nxt;
	t->undo_rtx = t->rtx;		/* copies still under way may cause D-SACKs */
	t->flags |= T_UNDO;
	if (!t->rtx)
		t->flags &= ~T_RTX_ANY;
}

/* The window goes down, once an episode. Should it prove needless, slow start is over at three
 * quarters of it, as in Linux; what ECN asked for is never needless.
 */
static void reduce(struct tcp *t, enum cc_cut why)
{
	t->cc.prior_cwnd = t->cc.cwnd;
	t->cc.prior_ssthresh = why == CC_CUT_ECN ? 0 :
			       tcp_max(t->cc.ssthresh, t->cc.cwnd / 2 + t->cc.cwnd / 4);
	t->cc.ssthresh = t->cc.ops->ssthresh(&t->cc, why);
	t->cc.cwnd_cnt = 0;
	t->prr_delivered = 0;
	t->prr_out = 0;
	if (t->flags & T_ECN)
		t->flags |= T_CWR;
}

void tcp_enter_cwr(struct tcp *t)
{
	if (t->ca >= TCP_CWR)
		return;
	t->high_seq = t->snd_nxt;
	t->flags &= ~T_UNDO;
	reduce(t, CC_CUT_ECN);
	t->ca = TCP_CWR;
}

static void enter_recovery(struct tcp *t)
{
	begin_episode(t);
	if (t->ca != TCP_CWR)
		reduce(t, CC_CUT_LOSS);
	t->flags = (t->flags | T_FORCE_RTX) & ~(T_FRTO | T_FRTO_NEW);
	t->ca = TCP_RECOVERY;
}

/* Back to where nothing is wrong, or nearly. */
static void settle(struct tcp *t)
{
	t->flags &= ~(T_FRTO | T_FRTO_NEW);
	t->dupacks = 0;
	t->reno_sacked = 0;
	t->ca = t->sacked ? TCP_DISORDER : TCP_OPEN;
}

static void end_reduction(struct tcp *t)
{
	if (t->cc.ssthresh < CC_SSTHRESH_INF && !(t->flags & T_RATE))
		t->cc.cwnd = t->cc.ssthresh;
	settle(t);
}

/* It was no loss: in recovery that means reordering, and RACK shall wait from now on. */
static void undo(struct tcp *t)
{
	if (t->ca != TCP_LOSS)
		t->flags |= T_REORDERED;
	t->flags &= ~T_UNDO;
	if (!t->cc.prior_ssthresh)
		return;
	if (t->cc.ops->undo)
		t->cc.ops->undo(&t->cc);
	if (!(t->flags & T_RATE))
		t->cc.cwnd = tcp_max(t->cc.cwnd, t->cc.prior_cwnd);
	if (t->cc.prior_ssthresh > t->cc.ssthresh) {
		t->cc.ssthresh = t->cc.prior_ssthresh;
		t->flags &= ~T_CWR;
	}
}

/* D-SACKs have come for all that was resent. They often come after recovery is over. */
static bool all_rtx_needless(const struct tcp *t)
{
	return (t->flags & (T_UNDO | T_RTX_ANY)) == (T_UNDO | T_RTX_ANY) && !t->undo_rtx;
}

/* The ACK is of something sent before the first retransmission. */
static bool answers_original(const struct tcp *t, const struct tcp_seg *s)
{
	if (!(t->flags & T_RTX_ANY))
		return true;
	return t->flags & T_TS && s->has_ts && s->tsecr && seq_before(s->tsecr, t->rtx_tsval);
}

static bool may_undo(const struct tcp *t, const struct tcp_seg *s)
{
	if (!(t->flags & T_UNDO))
		return false;
	return answers_original(t, s) || all_rtx_needless(t);
}

/* PRR: what may be sent for what has arrived, so that flight ends at ssthresh. */
static void proportional(struct tcp *t, const struct tcp_acked *a)
{
	uint32_t flight = tcp_pipe_segs(t), ssthresh = t->cc.ssthresh;
	uint32_t arrived = (a->delivered + t->mss - 1) / t->mss;
	uint64_t sent = t->prr_out, may;

	if (t->flags & T_RATE || (!arrived && !a->dup))
		return;
	t->prr_delivered += arrived;
	if (flight > ssthresh) {
		uint64_t prior = tcp_max(t->cc.prior_cwnd, 1);

		may = ((uint64_t)ssthresh * t->prr_delivered + prior - 1) / prior;
		may = may > sent ? may - sent : 0;
	} else {
		may = t->prr_delivered > sent ? t->prr_delivered - sent : 0;
		may = may > arrived ? may : arrived;
		if (a->advanced && !a->lost)
			may++;
		if (may > ssthresh - flight)
			may = ssthresh - flight;
	}
	if (!may && !sent)
		may = 1;
	t->cc.cwnd = tcp_max(flight + (uint32_t)may, 1);
}

/* The outstanding loss probe: did it repair a loss? (RFC 8985 7.4) */
static void probe_outcome(struct tcp *t, const struct tcp_seg *s, const struct tcp_acked *a)
{
	if (!(t->flags & T_TLP_OUT) || seq_before(s->ack, t->tlp_seq))
		return;
	if (!(t->flags & T_TLP_RTX) || a->dsack) {
		t->flags &= ~T_TLP_OUT;
	} else if (seq_after(s->ack, t->tlp_seq)) {
		t->flags &= ~T_TLP_OUT;
		tcp_enter_cwr(t);
		if (t->ca == TCP_CWR)
			end_reduction(t);
	} else if (!a->advanced && !a->sacked && a->dup) {
		t->flags &= ~T_TLP_OUT;
	}
}

/* NewReno: duplicate ACKs count as arrivals, of a segment each. */
static void count_duplicates(struct tcp *t, const struct tcp_acked *a)
{
	uint32_t gone = t->snd_una - a->prior_una;

	if (a->dup) {
		t->dupacks++;
		t->reno_sacked += t->mss;
	} else if (a->advanced) {
		gone -= tcp_min(gone, t->mss);
		t->reno_sacked -= tcp_min(t->reno_sacked, gone);
		if (t->ca < TCP_RECOVERY) {
			t->dupacks = 0;
			t->reno_sacked = 0;
		}
	}
}

static void find_loss_reno(struct tcp *t, struct tcp_acked *a)
{
	bool third = t->ca < TCP_RECOVERY && t->dupacks >= 3;
	bool partial = t->ca == TCP_RECOVERY && a->advanced;

	if (third || partial)
		a->lost += tcp_board_lose_head(t, t->mss);
}

/* The wait for reordered segments is over or has not begun: what RACK says. */
static void find_loss_rack(struct tcp *t, struct tcp_acked *a)
{
	uint32_t wait_us;

	a->lost += tcp_board_rack(t, a->now_ns, &wait_us);
	/* never longer than the timeout, whose place this takes */
	if (wait_us)
		tcp_arm_at(t, TCP_RTX_REORDER,
			   a->now_ns + tcp_min(wait_us, t->rtt.rto_us) * 1000ULL);
}

/* True: something that had been sent again is lost again. */
static bool find_loss(struct tcp *t, struct tcp_acked *a)
{
	uint32_t rtx = t->rtx;

	if (t->flags & T_SACK)
		find_loss_rack(t, a);
	else
		find_loss_reno(t, a);
	return t->rtx < rtx;
}

/* RACK's window follows D-SACKs (RFC 8985 6.2.4): a quarter of min RTT more for each round
 * trip that had one; back to one quarter after 16 recoveries that were called for.
 */
static void adapt_reordering(struct tcp *t, const struct tcp_acked *a)
{
	if (!a->dsack || !seq_after_eq(t->snd_una, t->reo_round))
		return;
	t->reo_round = t->snd_nxt;
	t->reo_steps = tcp_min(t->reo_steps + 1, 255);
	t->reo_persist = REO_PERSIST;
}

static void reduction_held(struct tcp *t)
{
	if (!t->reo_persist || --t->reo_persist)
		return;
	t->reo_steps = 1;
}

/* Without SACK the state is left only when something beyond high_seq is acknowledged:
 * duplicate ACKs of high_seq itself are echoes of our own retransmissions (RFC 6582).
 */
static bool passed_high_seq(const struct tcp *t)
{
	if (t->flags & T_SACK || t->snd_una == t->snd_nxt)
		return seq_after_eq(t->snd_una, t->high_seq);
	return seq_after(t->snd_una, t->high_seq);
}

static void in_recovery(struct tcp *t, const struct tcp_seg *s, struct tcp_acked *a)
{
	if (passed_high_seq(t)) {
		if (may_undo(t, s)) {
			undo(t);
			settle(t);
		} else {
			reduction_held(t);
			end_reduction(t);
		}
		return;
	}
	if (!a->advanced || !(t->flags & T_UNDO) || !(t->flags & T_RTX_ANY) ||
	    !answers_original(t, s))
		return;
	t->flags |= T_REORDERED;
	if (t->rtx)
		return;
	undo(t);
	tcp_board_forget_loss(t);
	settle(t);
}

/* F-RTO: were the bytes that the timer called lost only late? */
static bool frto(struct tcp *t, const struct tcp_acked *a)
{
	if (a->orig_sacked) {
		undo(t);
		tcp_board_forget_loss(t);
		settle(t);
		return true;
	}
	if (seq_after(t->snd_nxt, t->high_seq)) {
		if (a->sacked || a->dup)
			t->flags &= ~T_FRTO;
	} else if (a->advanced && !seq_after_eq(t->snd_una, t->high_seq)) {
		t->high_seq = t->snd_nxt;
		if (tcp_unsent(t) && seq_after(t->snd_una + t->snd_wnd, t->snd_nxt))
			t->flags |= T_FRTO_NEW | T_PUSH;
		else
			t->flags &= ~T_FRTO;
	}
	return false;
}

static void in_loss(struct tcp *t, const struct tcp_seg *s, struct tcp_acked *a)
{
	t->flags &= ~T_FRTO_NEW;
	if (a->advanced && may_undo(t, s)) {
		undo(t);
		tcp_board_forget_loss(t);
		settle(t);
		return;
	}
	if (t->flags & T_FRTO && frto(t, a))
		return;
	if (passed_high_seq(t)) {
		reduction_held(t);
		settle(t);
	}
}

/* Nothing happened that concerns us: no loss, no hint of one. */
static bool all_is_well(const struct tcp *t, const struct tcp_acked *a)
{
	return t->ca == TCP_OPEN && !a->sacked && !a->dup && !t->sacked && !t->rtx && !a->dsack &&
	       !t->dupacks;
}

static void leave_states(struct tcp *t, const struct tcp_seg *s, struct tcp_acked *a)
{
	if (t->ca == TCP_CWR && seq_after(t->snd_una, t->high_seq))
		end_reduction(t);
	else if (t->ca == TCP_RECOVERY)
		in_recovery(t, s, a);
	else if (t->ca == TCP_LOSS)
		in_loss(t, s, a);
}

void tcp_recover_ack(struct tcp *t, const struct tcp_seg *s, struct tcp_acked *a)
{
	bool again;

	probe_outcome(t, s, a);
	if (all_is_well(t, a))
		return;

	adapt_reordering(t, a);
	if (!(t->flags & T_SACK))
		count_duplicates(t, a);
	else if (a->sacked)
		t->dupacks++;
	leave_states(t, s, a);
	if (a->dsack && t->ca != TCP_LOSS && all_rtx_needless(t)) {
		t->reo_persist = tcp_min(t->reo_persist + 1, REO_PERSIST);
		undo(t);
		settle(t);
	}
	if (t->ca < TCP_RECOVERY && !t->sacked && a->advanced)
		t->dupacks = 0;
	again = find_loss(t, a);
	/* what was lost twice is congestion twice (RFC 5681 4.3), after a timeout as in Linux */
	if ((t->ca < TCP_RECOVERY && t->lost) || (t->ca == TCP_LOSS && again))
		enter_recovery(t);
	else if (t->ca < TCP_CWR)
		t->ca = t->sacked || t->dupacks ? TCP_DISORDER : TCP_OPEN;
	if (tcp_in_reduction(t))
		proportional(t, a);
}

void tcp_recover_reorder(struct tcp *t, uint64_t now_ns)
{
	struct tcp_acked a = { .now_ns = now_ns };

	find_loss_rack(t, &a);
	if (t->ca < TCP_RECOVERY && t->lost)
		enter_recovery(t);
	if (t->ca == TCP_RECOVERY)
		proportional(t, &a);
}

/* What is in flight is too large for the path: all of it goes again, in smaller pieces. That
 * is no congestion, so cwnd stays (Linux's tcp_simple_retransmit).
 */
void tcp_recover_resize(struct tcp *t)
{
	tcp_board_lose_all(t);
	t->ca = TCP_LOSS;
	t->high_seq = t->snd_nxt;
	t->dupacks = 0;
	t->reno_sacked = 0;
	t->flags = (t->flags | T_FORCE_RTX) & ~(T_UNDO | T_FRTO | T_FRTO_NEW | T_TLP | T_TLP_OUT);
}

static bool head_is_sacked(const struct tcp *t)
{
	return t->nrec && t->rec[t->first_rec].flags & R_SACKED;
}

static void lose_by_timeout(struct tcp *t, uint64_t now_ns)
{
	if (head_is_sacked(t)) {		/* what was SACKed is asked for: reneged */
		tcp_board_forget_sack(t);
		tcp_board_lose_all(t);
	} else {
		tcp_board_lose_old(t, now_ns);
	}
}

/* Linux's tcp_enter_loss. The window goes down unless it did in this round trip: a second time
 * too, if the ACK of something came between two timeouts. F-RTO only where nothing was sent again
 * but by timeouts of the same segment: else the ACK of a copy would look like the original's.
 */
void tcp_recover_timeout(struct tcp *t, uint64_t now_ns)
{
	bool reduced = t->ca > TCP_DISORDER && seq_before(t->snd_una, t->high_seq) &&
		       (t->ca != TCP_LOSS || t->backoff);

	lose_by_timeout(t, now_ns);
	t->flags &= ~T_FRTO;
	if (t->ca < TCP_RECOVERY || t->backoff)
		t->flags |= T_FRTO;
	if (!reduced) {
		reduce(t, CC_CUT_TIMEOUT);
		begin_episode(t);
	}
	if (t->cc.ops->timeout)
		t->cc.ops->timeout(&t->cc, now_ns);
	t->ca = TCP_LOSS;
	t->high_seq = t->snd_nxt;
	t->dupacks = 0;
	t->reno_sacked = 0;
	t->flags &= ~(T_TLP | T_TLP_OUT | T_FRTO_NEW);
	t->cc.cwnd = tcp_pipe_segs(t) + 1;
	t->cc.cwnd_cnt = 0;
	t->flags |= T_FORCE_RTX;
}
