/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rtt.c - srtt, its variation, the timeout, and the path's smallest round trip.
 *
 * RFC 6298 with what Linux adds: the variation that counts is the largest of a round trip
 * and falls slowly, it never goes below rto_min, and a round trip that got *shorter* moves
 * it an eighth only. So RTO = srtt + max(4 mdev, rto_min), and many samples a window (one a
 * segment) do not make it collapse.
 */
#include "rtt.h"

#include "taspilot/seq.h"

#define MIN_HALF_NS	150000000000ULL		/* half of the window of min_us */

static uint32_t max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }

static void set_rto(struct rtt *r)
{
	uint32_t us = r->srtt_us + r->rttvar_us;

	r->rto_us = us < RTO_MAX_US ? us : RTO_MAX_US;
}

static void first_sample(struct rtt *r, uint32_t us, uint32_t nxt)
{
	r->srtt8_us = us << 3;
	r->mdev_us = us << 1;
	r->rttvar_us = max_u32(r->mdev_us, r->rto_min_us);
	r->mdev_max_us = r->rttvar_us;
	r->round_end = nxt;
}

static void next_sample(struct rtt *r, uint32_t us, uint32_t una, uint32_t nxt)
{
	int64_t err = (int64_t)us - (r->srtt8_us >> 3);

	r->srtt8_us = (uint32_t)((int64_t)r->srtt8_us + err);	/* 7/8 old + 1/8 new */
	if (err < 0) {
		err = -err - (r->mdev_us >> 2);
		if (err > 0)
			err >>= 3;
	} else {
		err -= r->mdev_us >> 2;
	}
	r->mdev_us = (uint32_t)((int64_t)r->mdev_us + err);	/* 3/4 old + 1/4 new */
	if (r->mdev_us > r->mdev_max_us) {
		r->mdev_max_us = r->mdev_us;
		if (r->mdev_max_us > r->rttvar_us)
			r->rttvar_us = r->mdev_max_us;
	}
	if (seq_after(una, r->round_end)) {
		if (r->mdev_max_us < r->rttvar_us)
			r->rttvar_us -= (r->rttvar_us - r->mdev_max_us) >> 2;
		r->round_end = nxt;
		r->mdev_max_us = r->rto_min_us;
	}
}

static void track_min(struct rtt *r, uint32_t us, uint64_t now_ns)
{
	if (now_ns - r->min_since_ns > MIN_HALF_NS) {
		r->min_us = r->min_next_us;
		r->min_next_us = us;
		r->min_since_ns = now_ns;
	}
	if (us < r->min_next_us)
		r->min_next_us = us;
	if (us < r->min_us)
		r->min_us = us;
}

void rtt_sample(struct rtt *r, uint32_t us, uint32_t una, uint32_t nxt, uint64_t now_ns)
{
	us = us ? us : 1;
	us = us < RTO_MAX_US ? us : RTO_MAX_US;
	track_min(r, us, now_ns);
	if (r->srtt_us)
		next_sample(r, us, una, nxt);
	else
		first_sample(r, us, nxt);
	r->srtt_us = max_u32(r->srtt8_us >> 3, 1);
	set_rto(r);
}

uint64_t rtt_give_up_ns(const struct rtt *r, uint32_t retries)
{
	uint64_t base = r->rto_min_us ? r->rto_min_us : 1, us = 0, step = base;

	for (uint32_t i = 0; i <= retries && i < 256; i++) {
		us += step;
		step = step * 2 < RTO_MAX_US ? step * 2 : RTO_MAX_US;
	}
	return us * 1000;
}

void rtt_init(struct rtt *r, uint32_t srtt_us, uint32_t rttvar_us, uint32_t rto_us,
	      uint32_t rto_min_us, uint64_t now_ns)
{
	*r = (struct rtt){
		.srtt_us = srtt_us,
		.srtt8_us = srtt_us << 3,
		.rto_min_us = rto_min_us ? rto_min_us : RTO_MIN_US,
		.rto_us = rto_us ? rto_us : RTO_INIT_US,
		.min_us = srtt_us ? srtt_us : ~0U,
		.min_next_us = ~0U,
		.min_since_ns = now_ns,
	};
	r->mdev_us = rttvar_us << 2;
	r->mdev_max_us = r->rto_min_us;
	r->rttvar_us = max_u32(r->mdev_us, r->rto_min_us);
	if (srtt_us)
		set_rto(r);
}
