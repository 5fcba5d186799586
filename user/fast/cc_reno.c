/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cc_reno.c - RFC 5681: a segment an ACKed segment in slow start, one a window after it.
 */
#include "cc.h"

static void init(struct cc *c, uint64_t now_ns)
{
	(void)now_ns;
	c->cwnd_cnt = 0;
}

void cc_reno_acked(struct cc *c, const struct cc_ack *a)
{
	uint32_t left = a->acked;

	if (!a->cwnd_limited || !left)
		return;
	if (c->cwnd < c->ssthresh)
		left = cc_slow_start(c, left);
	if (left)
		cc_avoid(c, c->cwnd, left);
}

static uint32_t ssthresh(struct cc *c, enum cc_cut why)
{
	(void)why;
	return c->cwnd / 2 > 2 ? c->cwnd / 2 : 2;
}

const struct cc_ops cc_reno = {
	.name = "reno",
	.init = init,
	.acked = cc_reno_acked,
	.ssthresh = ssthresh,
};

/* What Linux calls dctcp on a connection without ECN. */
const struct cc_ops cc_dctcp_reno = {
	.name = "dctcp-reno",
	.init = init,
	.acked = cc_reno_acked,
	.ssthresh = ssthresh,
};
