/* SPDX-License-Identifier: BSD-2-Clause
 *
 * check.c - what must hold of a struct tcp between any two calls.
 */
#include "sim.h"

static const char *check_board(const struct tcp *t)
{
	uint32_t at = t->snd_una, sacked = 0, lost = 0, rtx = 0;

	if (t->first_rec + t->nrec > t->rec_cap)
		return "the scoreboard is outside its array";
	for (uint32_t i = 0; i < t->nrec; i++) {
		const struct tcp_rec *r = &t->rec[t->first_rec + i];

		if (r->start != at || !seq_before(r->start, r->end))
			return "the scoreboard has a gap";
		at = r->end;
		sacked += r->flags & R_SACKED ? r->end - r->start : 0;
		lost += r->flags & R_LOST ? r->end - r->start : 0;
		rtx += r->flags & R_RTX ? r->end - r->start : 0;
		if (r->flags & R_SACKED && r->flags & (R_LOST | R_RTX))
			return "SACKed bytes are lost or resent";
	}
	if (at != t->snd_nxt)
		return "the scoreboard does not end at snd_nxt";
	if (sacked != t->sacked || lost != t->lost || rtx != t->rtx)
		return "the scoreboard's sums are wrong";
	return NULL;
}

static const char *check_ranges(const struct tcp *t)
{
	uint32_t at = t->rcv_nxt;

	if (t->nrange > t->range_cap)
		return "too many ranges";
	for (uint32_t i = 0; i < t->nrange; i++) {
		if (!seq_after(t->range[i].start, at) ||
		    !seq_before(t->range[i].start, t->range[i].end))
			return "ranges touch or are out of order";
		at = t->range[i].end;
	}
	if (at - t->rcv_nxt > 1U << t->rx_order_max)
		return "a range lies outside the pipe";
	return NULL;
}

static const char *check_pipes(const struct tcp *t)
{
	uint32_t fin = !!(t->flags & T_FIN_SENT) - !!(t->flags & T_FIN_ACKED);

	if (t->rx_head - t->rx_tail > pipe_size(t->rx_geom))
		return "unread bytes do not fit the rx pipe";
	if (t->tx_head - t->tx_tail > 1ULL << t->tx_order_max)
		return "unacknowledged bytes do not fit the tx pipe";
	if (t->snd_nxt - t->snd_una > t->tx_head - t->tx_tail + fin)
		return "more was sent than was written";
	return NULL;
}

static const char *check_timers(const struct tcp *t)
{
	if (t->flags & T_DEAD)
		return NULL;
	if (t->snd_una != t->snd_nxt && t->rtx_at == TCP_NEVER)
		return "bytes are outstanding and no timer runs";
	if (t->flags & T_ACK_LATER && t->ack_at == TCP_NEVER)
		return "an ACK is due and no timer runs";
	if (!t->cc.cwnd)
		return "cwnd is 0";
	return NULL;
}

const char *check_tcp(const struct tcp *t)
{
	const char *(*const checks[])(const struct tcp *) = {
		check_board, check_ranges, check_pipes, check_timers,
	};
	const char *wrong = NULL;

	for (size_t i = 0; !wrong && i < sizeof(checks) / sizeof(checks[0]); i++)
		wrong = checks[i](t);
	return wrong;
}
