/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rtt.h - round-trip time and retransmission timeout, as Linux estimates them (RFC 6298).
 */
#ifndef TASPILOT_FAST_RTT_H
#define TASPILOT_FAST_RTT_H

#include <stdint.h>

#define RTO_MIN_US	200000U
#define RTO_MAX_US	120000000U
#define RTO_INIT_US	1000000U

struct rtt {
	uint32_t srtt_us;		/* 0: no sample yet */
	uint32_t srtt8_us;		/* the same, times 8 */
	uint32_t mdev_us;		/* mean deviation, times 4 */
	uint32_t mdev_max_us;		/* its maximum in this round trip, at least the floor */
	uint32_t rttvar_us;		/* what the timeout uses, times 4 */
	uint32_t round_end;		/* sequence number: this round trip ends there */
	uint32_t rto_us;		/* without backoff */
	uint32_t rto_min_us;
	uint32_t min_us;		/* smallest of the last five minutes */
	uint32_t min_next_us;		/* smallest of the current half of them */
	uint64_t min_since_ns;
};

void rtt_init(struct rtt *r, uint32_t srtt_us, uint32_t rttvar_us, uint32_t rto_us,
	      uint32_t rto_min_us, uint64_t now_ns);

/* @una, @nxt: snd_una and snd_nxt after the ACK that gave the sample. */
void rtt_sample(struct rtt *r, uint32_t us, uint32_t una, uint32_t nxt, uint64_t now_ns);

/* How long @retries timeouts take, doubling from the floor, until a connection is given up. */
uint64_t rtt_give_up_ns(const struct rtt *r, uint32_t retries);

/* The timeout after @backoff doublings. */
static inline uint64_t rtt_rto_ns(const struct rtt *r, uint32_t backoff)
{
	uint64_t us = (uint64_t)r->rto_us << (backoff < 20 ? backoff : 20);

	return (us < RTO_MAX_US ? us : RTO_MAX_US) * 1000;
}

#endif
