/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_pace.c - how fast bytes may leave (T_PACED): bursts of about a millisecond, each as
 * long after the one before as its bytes take at pacing_rate.
 *
 *	pace_at		when the next burst may leave; what the last one took has moved it on
 *	pace_left	what of the burst under way may still leave now
 *	pace_due	the timer for it, if something waits
 *
 * Size of a burst, as Linux cuts its super segments: what 1/1024 s takes, more where the round
 * trip is so short that it makes no queue, 64 KiB at most, two segments at least. A burst
 * that leaves late, for its timer or its window was, takes less time by as much, but half of it
 * at least (Linux's credit).
 *
 * Without a congestion control of its own mind (SO_MAX_PACING_RATE with cubic) the rate is
 * Linux's: twice the window a round trip in slow start, 1.2 times after it.
 */
#include "tcp_flow.h"

#define BURST_MAX	65536U
#define BURST_SHIFT	10U		/* sk_pacing_shift: bytes of 1/1024 s */
#define RTT_SHIFT	9U		/* tcp_tso_rtt_log */
#define STALE_NS	4000000ULL	/* no burst lasts as long */
#define FREE_SEGS	10U		/* the first ones are not paced, as in Linux */

/* tcp_pacing_ss_ratio, tcp_pacing_ca_ratio */
static uint64_t window_rate(const struct tcp *t)
{
	uint64_t segs = tcp_max(t->cc.cwnd, tcp_pipe_segs(t));
	uint64_t percent = t->cc.cwnd < t->cc.ssthresh / 2 ? 200 : 120;

	if (!t->rtt.srtt_us)
		return CC_NO_RATE;
	return segs * t->mss * percent * 10000 / t->rtt.srtt_us;
}

static uint32_t burst_bytes(const struct tcp *t)
{
	uint64_t bytes = t->cc.pacing_rate >> BURST_SHIFT;
	uint32_t shift = t->rtt.min_us >> RTT_SHIFT;

	if (shift < 16)
		bytes += BURST_MAX >> shift;
	return tcp_max(bytes < BURST_MAX ? (uint32_t)bytes : BURST_MAX, 2U * t->mss);
}

static void begin_burst(struct tcp *t, uint64_t now_ns)
{
	if (!(t->flags & T_RATE)) {
		uint64_t rate = window_rate(t);

		t->cc.pacing_rate = rate < t->cc.max_pacing ? rate : t->cc.max_pacing;
	}
	t->pace_late = now_ns - t->pace_at;
	t->pace_at = now_ns;
	t->pace_left = burst_bytes(t);
	t->pace_due = TCP_NEVER;
}

/* What the burst has used is charged; the next one may leave when that has had its time. */
static void end_burst(struct tcp *t)
{
	uint64_t rate = t->cc.pacing_rate;

	if (rate && rate != CC_NO_RATE && t->tx_bytes >= (uint64_t)FREE_SEGS * t->mss) {
		uint64_t takes = t->pace_used * 1000000000ULL / rate;

		t->pace_at += takes - (takes / 2 < t->pace_late ? takes / 2 : t->pace_late);
	}
	t->pace_used = 0;
	t->pace_left = 0;
}

uint32_t tcp_pace_room(struct tcp *t, uint64_t now_ns)
{
	/* what is left of a burst of long ago is void, and must not be charged at today's rate */
	if (t->pace_left && now_ns - t->pace_at > STALE_NS)
		end_burst(t);
	if (t->pace_left)
		return t->pace_left;
	if (t->pace_at > now_ns) {
		t->pace_due = t->pace_at;
		return 0;
	}
	begin_burst(t, now_ns);
	return t->pace_left;
}

void tcp_pace_sent(struct tcp *t, uint32_t bytes)
{
	t->pace_used += bytes;
	t->pace_left -= tcp_min(t->pace_left, bytes);
	if (!t->pace_left)
		end_burst(t);
}

/* What fills a hole leaves alone where bursts are small, as in Linux: of a pair that comes to a
 * full queue the second is lost more often.
 */
void tcp_pace_resent(struct tcp *t, uint32_t bytes)
{
	tcp_pace_sent(t, bytes);
	if (t->pace_left && burst_bytes(t) <= 2U * t->mss)
		end_burst(t);
}
