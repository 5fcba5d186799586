/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_timer.c - when something must happen though nothing arrives.
 *
 *	rtx_at	one of these (rtx_kind), as Linux multiplexes them:
 *		RTO	retransmission timeout, doubling (RFC 6298)
 *		TLP	loss probe after two round trips of silence (RFC 8985)
 *		REORDER	RACK has waited long enough for reordered segments
 *		PERSIST	nothing in flight, and the peer's window is closed (RFC 9293 3.8.6.1)
 *	ack_at	delayed ACK
 *	push_at	a corked partial segment has waited 200 ms
 *	pace_due a paced flow may send again
 *
 * A connection is given up, ETIMEDOUT, when retransmissions or probes find no answer for as
 * long as tcp_retries2 doublings take, or for TCP_USER_TIMEOUT.
 */
#include "tcp_flow.h"

#include <errno.h>

#define TLP_MIN_US	2000U

void tcp_arm_at(struct tcp *t, enum tcp_rtx_kind kind, uint64_t at_ns)
{
	t->rtx_kind = (uint8_t)kind;
	t->rtx_at = at_ns;
}

static uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* Worth a loss probe: SACK tells what it found, and nothing is known to be wrong. */
static bool may_probe_loss(const struct tcp *t)
{
	return t->flags & T_SACK && !(t->flags & T_TLP_OUT) && !t->sacked && t->rtt.srtt_us &&
	       (t->ca == TCP_OPEN || t->ca == TCP_CWR);
}

static uint64_t probe_delay_ns(const struct tcp *t)
{
	uint64_t us = 2ULL * t->rtt.srtt_us;

	/* one segment out: the peer may delay its ACK */
	us += t->nrec <= 1 && tcp_outstanding(t) <= t->mss ? t->rtt.rto_min_us : TLP_MIN_US;
	return us * 1000;
}

/* The timeout, but never past the program's own limit. */
static uint64_t rto_ns(const struct tcp *t, uint64_t now_ns)
{
	uint64_t ns = rtt_rto_ns(&t->rtt, t->backoff), limit = t->user_timeout_ms * 1000000ULL;
	uint64_t gone = t->stall_ns ? now_ns - t->stall_ns : 0;

	if (!limit)
		return ns;
	return gone < limit ? min_u64(ns, limit - gone) : 1000000;
}

/* New data went out: the probe waits for its ACK too, but no longer than the timeout, and
 * then comes in its place (so does Linux): one more try before cwnd is given up.
 */
void tcp_arm_probe(struct tcp *t, uint64_t now_ns)
{
	if (t->rtx_kind != TCP_RTX_RTO && t->rtx_kind != TCP_RTX_TLP)
		return;
	if (may_probe_loss(t))
		tcp_arm_at(t, TCP_RTX_TLP, min_u64(now_ns + probe_delay_ns(t), t->rto_at));
	else
		tcp_arm_at(t, TCP_RTX_RTO, t->rto_at);
}

void tcp_arm_rtx(struct tcp *t, uint64_t now_ns)
{
	t->rto_at = now_ns + rto_ns(t, now_ns);
	t->rtx_kind = TCP_RTX_RTO;
	tcp_arm_probe(t, now_ns);
}

static void arm_rto(struct tcp *t, uint64_t now_ns)
{
	t->rto_at = now_ns + rto_ns(t, now_ns);
	tcp_arm_at(t, TCP_RTX_RTO, t->rto_at);
}

/* Something waits to be sent, and not for the program or the cork. */
static bool window_blocks(const struct tcp *t)
{
	if (t->push_at != TCP_NEVER || t->pace_due != TCP_NEVER)
		return false;
	return tcp_unsent(t) || tcp_fin_due(t);
}

void tcp_arm_idle(struct tcp *t, uint64_t now_ns)
{
	if (!window_blocks(t))
		tcp_arm_at(t, TCP_RTX_NONE, TCP_NEVER);
	else if (t->rtx_kind != TCP_RTX_PERSIST)
		tcp_arm_at(t, TCP_RTX_PERSIST, now_ns + rto_ns(t, now_ns));
}

/* The peer is silent, or was it only its window? Linux goes on while it hears something. */
static bool given_up(const struct tcp *t, uint64_t now_ns)
{
	uint64_t limit = rtt_give_up_ns(&t->rtt, t->retries2);

	if (!t->stall_ns)
		return false;
	if (t->user_timeout_ms)
		limit = t->user_timeout_ms * 1000000ULL;
	else if (!t->snd_wnd)
		return now_ns - t->heard_ns > 2000ULL * RTO_MAX_US;
	return now_ns - t->stall_ns >= limit;
}

static uint32_t on_rto(struct tcp *t, uint64_t now_ns)
{
	if (given_up(t, now_ns))
		return tcp_die(t, ETIMEDOUT, TCP_DO_TIMEOUT);

	tcp_recover_timeout(t, now_ns);
	if (t->backoff < 31)
		t->backoff++;
	arm_rto(t, now_ns);
	return TCP_DO_OUTPUT;
}

/* Once the probe is sent, tcp_tx.c knows which segment the timeout is for. */
static uint32_t on_tlp(struct tcp *t, uint64_t now_ns)
{
	if (may_probe_loss(t))
		t->flags |= T_TLP;
	else if (t->rto_at <= now_ns)
		return on_rto(t, now_ns);
	tcp_arm_at(t, TCP_RTX_RTO, t->rto_at > now_ns ? t->rto_at : now_ns + TLP_MIN_US * 1000);
	return tcp_output_due(t);
}

static uint32_t on_persist(struct tcp *t, uint64_t now_ns)
{
	uint32_t most = tcp_max(t->retries2, 1);

	if (!t->stall_ns)
		t->stall_ns = now_ns;
	if (t->probes >= most ||
	    (t->user_timeout_ms && now_ns - t->stall_ns >= t->user_timeout_ms * 1000000ULL))
		return tcp_die(t, ETIMEDOUT, TCP_DO_TIMEOUT);

	t->probes++;
	if (t->backoff < 31)
		t->backoff++;
	/* what little fits goes, else a bare probe: tcp_tx tries in this order */
	t->flags |= T_FORCE_WND | T_PROBE;
	tcp_arm_at(t, TCP_RTX_PERSIST, now_ns + rto_ns(t, now_ns));
	return TCP_DO_OUTPUT;
}

static uint32_t on_rtx(struct tcp *t, uint64_t now_ns)
{
	switch ((enum tcp_rtx_kind)t->rtx_kind) {
	case TCP_RTX_RTO:
		return t->snd_una == t->snd_nxt ? 0 : on_rto(t, now_ns);
	case TCP_RTX_TLP:
		return on_tlp(t, now_ns);
	case TCP_RTX_REORDER:
		arm_rto(t, now_ns);
		tcp_recover_reorder(t, now_ns);
		return tcp_output_due(t);
	case TCP_RTX_PERSIST:
		return on_persist(t, now_ns);
	case TCP_RTX_NONE:
		break;
	}
	t->rtx_at = TCP_NEVER;
	return 0;
}

static void on_delayed_ack(struct tcp *t)
{
	t->ack_at = TCP_NEVER;
	if (!(t->flags & T_ACK_LATER))
		return;
	if (t->pingpong) {		/* the answer did not come in time: no conversation */
		t->pingpong = false;
		t->ato_us = TCP_ACK_MIN_US;
	} else {
		t->ato_us = tcp_min(t->ato_us * 2, t->rtt.rto_us);
	}
	t->flags = (t->flags | T_ACK_NOW) & ~T_ACK_LATER;
}

uint64_t tcp_deadline(const struct tcp *t)
{
	return min_u64(min_u64(t->rtx_at, t->pace_due), min_u64(t->ack_at, t->push_at));
}

uint32_t tcp_timer(struct tcp *t, uint64_t now_ns)
{
	uint32_t todo = 0;

	if (t->flags & T_DEAD)
		return 0;
	if (t->ack_at <= now_ns)
		on_delayed_ack(t);
	if (t->push_at <= now_ns) {
		t->push_at = TCP_NEVER;
		t->flags |= T_PUSH;
	}
	if (t->pace_due <= now_ns)
		t->pace_due = TCP_NEVER;
	if (t->rtx_at <= now_ns)
		todo = on_rtx(t, now_ns);
	return todo | tcp_output_due(t);
}
