/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cc_dctcp.c - RFC 8257: give up as much of the window as the network marks.
 *
 * alpha is the share of segments that arrived with CE, smoothed: each round trip counts for
 * 1/16. A mark costs cwnd * alpha / 2, a loss half as in Reno, and growth is Reno's. The receiver's half, an echo that says exactly which bytes were
 * marked, is in tcp_rx.c; so the segments of an ACK with ECE are the marked ones.
 */
#include "cc.h"

#include <string.h>

#define ALPHA_ONE	1024U		/* all are marked; where it begins (Linux's default) */
#define GAIN_SHIFT	4U		/* g = 1/16 */

struct dctcp {
	uint32_t alpha;
	uint32_t round_end;		/* sequence number */
	uint32_t acked, marked;		/* segments of this round trip */
	bool in_round;
};

_Static_assert(sizeof(struct dctcp) <= CC_PRIV, "dctcp's state");

static struct dctcp *dctcp(struct cc *c) { return (struct dctcp *)c->priv; }

static void init(struct cc *c, uint64_t now_ns)
{
	(void)now_ns;
	c->cwnd_cnt = 0;
	memset(c->priv, 0, sizeof(c->priv));
	dctcp(c)->alpha = ALPHA_ONE;
}

static void end_round(struct dctcp *d)
{
	uint32_t less = d->alpha >> GAIN_SHIFT;

	/* the last few hundredths go by one: else alpha would never be 0 */
	d->alpha -= less || !d->alpha ? less : 1;
	if (d->marked)
		d->alpha += (uint32_t)(((uint64_t)d->marked * ALPHA_ONE >> GAIN_SHIFT) / d->acked);
	if (d->alpha > ALPHA_ONE)
		d->alpha = ALPHA_ONE;
}

static void marks(struct cc *c, const struct cc_ack *a)
{
	struct dctcp *d = dctcp(c);

	d->acked += a->acked;
	d->marked += a->ece ? a->acked : 0;
	if (d->in_round && (int32_t)(a->snd_una - d->round_end) < 0)
		return;
	if (d->in_round && d->acked)
		end_round(d);
	d->in_round = true;
	d->round_end = a->snd_nxt;
	d->acked = d->marked = 0;
}

static uint32_t ssthresh(struct cc *c, enum cc_cut why)
{
	uint32_t less = why == CC_CUT_ECN ?
		(uint32_t)((uint64_t)c->cwnd * dctcp(c)->alpha / (2 * ALPHA_ONE)) : c->cwnd - c->cwnd / 2;

	return c->cwnd - less > 2 ? c->cwnd - less : 2;
}

const struct cc_ops cc_dctcp = {
	.name = "dctcp",
	.init = init,
	.acked = cc_reno_acked,
	.ssthresh = ssthresh,
	.marks = marks,
	.needs_ecn = true,
};
