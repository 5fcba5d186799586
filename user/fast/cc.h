/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cc.h - congestion control: one ops table, one file per algorithm, all pure.
 *
 * Names are Linux's (net.ipv4.tcp_congestion_control). cwnd and ssthresh count segments of
 * mss, as Linux does. The loss recovery code (tcp_sack.c) decides *that* something was
 * lost and paces recovery (PRR); an algorithm only says what the window becomes.
 */
#ifndef TASPILOT_FAST_CC_H
#define TASPILOT_FAST_CC_H

#include <stdbool.h>
#include <stdint.h>

#define CC_PRIV		128		/* bytes of an algorithm's own state */
#define CC_SSTHRESH_INF	0x7fffffffU

/* One ACK as the algorithm sees it. */
struct cc_ack {
	uint64_t now_ns;
	uint32_t acked;			/* segments newly delivered by ACK or SACK */
	uint32_t lost;			/* segments newly marked lost */
	uint32_t in_flight;		/* segments, before this ACK */
	int64_t rtt_us;			/* sample of this ACK, < 0 none */
	uint32_t snd_una, snd_nxt;
	bool ece;			/* the ACK carried ECE */
	bool cwnd_limited;		/* the window, not the program, was the limit */
	/* delivery rate sample (as Linux's struct rate_sample), 0 interval: none */
	uint32_t delivered, prior_delivered;
	int64_t interval_us;
	bool app_limited;
};

struct cc;

struct cc_ops {
	const char *name;
	void (*init)(struct cc *c, uint64_t now_ns);
	/* window growth in open state */
	void (*acked)(struct cc *c, const struct cc_ack *a);
	/* ssthresh when loss or ECN begins a reduction; called once an episode */
	uint32_t (*ssthresh)(struct cc *c, uint64_t now_ns);
	/* retransmission timeout: window restarts from 1 segment afterwards */
	void (*timeout)(struct cc *c, uint64_t now_ns);
	/* the episode was spurious: restore (NULL: generic undo to prior cwnd) */
	void (*undo)(struct cc *c);
	/* sending resumes after idle_ns of silence; NULL: nothing */
	void (*restart)(struct cc *c, uint64_t now_ns, uint64_t idle_ns);
	/* full control each ACK (bbr): replaces acked and PRR when set */
	void (*control)(struct cc *c, const struct cc_ack *a);
	bool needs_ecn;
};

struct cc {
	const struct cc_ops *ops;
	uint32_t cwnd, ssthresh;	/* segments */
	uint32_t cwnd_cnt;		/* fraction of a segment earned, as Linux's snd_cwnd_cnt */
	uint32_t cwnd_clamp;
	uint32_t prior_cwnd, prior_ssthresh;
	uint32_t mss;			/* bytes */
	uint32_t srtt_us, min_rtt_us;
	uint64_t pacing_rate;		/* bytes per second, 0: do not pace */
	_Alignas(8) uint8_t priv[CC_PRIV];
};

extern const struct cc_ops cc_reno, cc_cubic;

/* One segment more for each acknowledged; returns how many are left at ssthresh. */
static inline uint32_t cc_slow_start(struct cc *c, uint32_t acked)
{
	uint32_t cwnd = c->cwnd + acked < c->ssthresh ? c->cwnd + acked : c->ssthresh;
	uint32_t left = acked - (cwnd - c->cwnd);

	c->cwnd = cwnd < c->cwnd_clamp ? cwnd : c->cwnd_clamp;
	return left;
}

/* One segment more for each @w acknowledged. */
static inline void cc_avoid(struct cc *c, uint32_t w, uint32_t acked)
{
	c->cwnd_cnt += acked;
	if (c->cwnd_cnt >= w) {
		uint32_t n = c->cwnd_cnt / w;

		c->cwnd_cnt -= n * w;
		c->cwnd = c->cwnd + n < c->cwnd_clamp ? c->cwnd + n : c->cwnd_clamp;
	}
}

/* By Linux's name; NULL if we do not have it. cc_default() is cubic. */
const struct cc_ops *cc_find(const char *name);
const struct cc_ops *cc_default(void);

#endif
