/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cc.h - congestion control: one ops table, one file per algorithm, all pure.
 *
 * Names are Linux's (net.ipv4.tcp_congestion_control). cwnd and ssthresh count segments of
 * mss, as Linux does. The loss recovery code (tcp_recover.c) decides *that* something was
 * lost and meters recovery (PRR); an algorithm only says what the window becomes. One with
 * control() decides the window on every ACK instead, and how fast bytes may leave
 * (pacing_rate; tcp_pace.c does it). Only for such a flow are delivery rates measured.
 */
#ifndef TASPILOT_FAST_CC_H
#define TASPILOT_FAST_CC_H

#include <stdbool.h>
#include <stdint.h>

#define CC_PRIV		160		/* bytes of an algorithm's own state */
#define CC_SSTHRESH_INF	0x7fffffffU
#define CC_NO_RATE	(~0ULL)		/* a rate without a limit */

/* Why the window goes down. */
enum cc_cut { CC_CUT_ECN, CC_CUT_LOSS, CC_CUT_TIMEOUT };

/* What recovery is at. */
enum cc_state { CC_GOOD, CC_RECOVERY, CC_LOSS };

/* One ACK as the algorithm sees it. */
struct cc_ack {
	uint64_t now_ns;
	uint32_t acked;			/* segments newly delivered by ACK or SACK */
	uint32_t in_flight;		/* segments, before this ACK */
	int64_t rtt_us;			/* sample of this ACK, < 0 none */
	uint32_t snd_una, snd_nxt;
	bool ece;			/* the ACK carried ECE */
	bool cwnd_limited;		/* the window, not the program, was the limit */
};

/* What control() is told besides: how fast bytes arrive at the peer. As Linux's struct
 * rate_sample, in bytes.
 */
struct cc_rate {
	uint32_t acked, lost;		/* by this ACK */
	uint32_t delivered, lost_ever;	/* of the whole connection, modulo 2^32; timers find losses too */
	uint32_t since;			/* delivered when what this ACK covers was sent */
	uint32_t interval_us;		/* in which delivered - since arrived; 0: no sample */
	uint32_t in_flight;		/* segments, after this ACK */
	uint64_t pace_at_ns;		/* when the next bytes may leave */
	enum cc_state state;
	bool app_limited;		/* the program, not the path, set this pace */
	bool ack_delayed;		/* the peer may have waited with this ACK */
};

struct cc;

struct cc_ops {
	const char *name;
	void (*init)(struct cc *c, uint64_t now_ns);
	/* window growth in open state */
	void (*acked)(struct cc *c, const struct cc_ack *a);
	/* ssthresh when a reduction begins; called once an episode */
	uint32_t (*ssthresh)(struct cc *c, enum cc_cut why);
	/* retransmission timeout: window restarts from 1 segment afterwards; NULL: nothing */
	void (*timeout)(struct cc *c, uint64_t now_ns);
	/* the episode was spurious; NULL: nothing more than the window of before */
	void (*undo)(struct cc *c);
	/* sending resumes after idle_ns of silence; NULL: nothing */
	void (*restart)(struct cc *c, uint64_t now_ns, uint64_t idle_ns);
	/* every ACK while ECN is on, whatever limits the window; NULL: nothing */
	void (*marks)(struct cc *c, const struct cc_ack *a);
	/* full control on each ACK: replaces acked, PRR and undo's window when set */
	void (*control)(struct cc *c, const struct cc_ack *a, const struct cc_rate *r);
	bool needs_ecn;			/* exact echoes of CE, as RFC 8257 has them */
};

struct cc {
	const struct cc_ops *ops;
	uint32_t cwnd, ssthresh;	/* segments */
	uint32_t cwnd_cnt;		/* fraction of a segment earned, as Linux's snd_cwnd_cnt */
	uint32_t cwnd_clamp;
	uint32_t prior_cwnd, prior_ssthresh;
	uint32_t mss;			/* bytes */
	uint32_t srtt_us, min_rtt_us;
	bool paced;
	bool app_limited;		/* the program has paused: what is measured is its pace */
	bool few_on_purpose;		/* control() says: so is what is in flight now */
	uint64_t pacing_rate;		/* bytes per second, if the flow is paced at all */
	uint64_t max_pacing;		/* SO_MAX_PACING_RATE; CC_NO_RATE: none */
	_Alignas(8) uint8_t priv[CC_PRIV];
};

extern const struct cc_ops cc_reno, cc_cubic, cc_bbr, cc_dctcp, cc_dctcp_reno;

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

/* RFC 5681's growth: reno's, and of those who only differ in what they give up. */
void cc_reno_acked(struct cc *c, const struct cc_ack *a);

/* By Linux's name; NULL if we do not have it. cc_default() is cubic. */
const struct cc_ops *cc_find(const char *name);
const struct cc_ops *cc_default(void);

#endif
