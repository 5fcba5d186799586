/* SPDX-License-Identifier: BSD-2-Clause
 *
 * link.c - one direction of the link: what happens to a segment on its way.
 *
 * A bottleneck with a tail-drop queue first, then loss, delay, jitter (so reordering) and
 * doubling. Super segments are cut here, as a NIC would.
 */
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define BURST_NS	(500 * MS)	/* else a lone sender's timeouts would all fall into it */
#define CHANCE_MAX	5U		/* losses by chance in a row */

/* Not eight timeouts in a row: who gives up then has reason to. */
static bool lost_by_chance(struct link *l)
{
	bool lost = rnd_ppm(&l->rnd, l->cfg->loss_ppm);

	l->in_a_row = lost && l->in_a_row < CHANCE_MAX ? l->in_a_row + 1 : 0;
	return l->in_a_row;
}

static bool is_lost(struct sim *sim, struct link *l)
{
	const struct link_cfg *c = l->cfg;

	if (sim->now_ns >= c->dark_at_ns && sim->now_ns < c->dark_at_ns + c->dark_ns)
		return true;
	if (l->burst_left && sim->now_ns < l->burst_until_ns) {
		l->burst_left--;
		return true;
	}
	if (rnd_ppm(&l->rnd, c->burst_ppm)) {
		l->burst_left = c->burst_len;
		l->burst_until_ns = sim->now_ns + BURST_NS;
	}
	return lost_by_chance(l);
}

/* When the bottleneck has passed it on; 0: its queue is full. */
static uint64_t bottleneck(struct sim *sim, struct link *l, uint32_t bytes)
{
	uint64_t start = l->busy_until_ns > sim->now_ns ? l->busy_until_ns : sim->now_ns;

	if (!l->cfg->ns_per_byte)
		return sim->now_ns;
	if ((start - sim->now_ns) / l->cfg->ns_per_byte > l->cfg->queue_bytes)
		return 0;
	l->queued_ns += start - sim->now_ns;
	l->waits++;
	l->busy_until_ns = start + bytes * l->cfg->ns_per_byte;
	return l->busy_until_ns;
}

/* By chance, or by a queue that is longer than it should be. */
static bool is_marked(struct sim *sim, struct link *l, const struct tcp_out *o)
{
	const struct link_cfg *c = l->cfg;
	uint64_t until = l->busy_until_ns > sim->now_ns ? l->busy_until_ns - sim->now_ns : 0;
	bool long_queue = c->mark_bytes && c->ns_per_byte &&
			  until / c->ns_per_byte > c->mark_bytes;
	bool marked = o->ect && (rnd_ppm(&l->rnd, c->ce_ppm) || long_queue);

	l->marked += marked;
	return marked;
}

static struct packet *to_packet(struct sim *sim, struct link *l, const struct tcp_out *o,
				const uint8_t *data)
{
	struct packet *p = malloc(sizeof(*p) + o->len);

	if (!p)
		abort();
	p->ect = o->ect;
	p->seg = (struct tcp_seg){
		.seq = o->seq,
		.ack = o->ack,
		.len = o->len,
		.window = o->window,
		.flags = o->flags,
		.ce = is_marked(sim, l, o),
		.has_ts = o->has_ts,
		.tsval = o->tsval,
		.tsecr = o->tsecr,
		.nsack = o->nsack,
	};
	memcpy(p->seg.sack, o->sack, o->nsack * sizeof(o->sack[0]));
	memcpy(p->data, data, o->len);
	return p;
}

static void pass(struct sim *sim, int from, const struct tcp_out *o, const uint8_t *data,
		 uint64_t at_ns)
{
	struct link *l = &sim->link[from];

	at_ns += l->cfg->delay_ns;
	if (rnd_ppm(&l->rnd, l->cfg->jitter_ppm))
		at_ns += rnd_below(&l->rnd, l->cfg->jitter_ns);
	l->passed++;
	sim_at(sim, at_ns, EV_PACKET, !from, to_packet(sim, l, o, data));
}

static void send_one(struct sim *sim, int from, const struct tcp_out *o, const uint8_t *data)
{
	struct link *l = &sim->link[from];
	uint64_t at_ns = bottleneck(sim, l, o->len + 66);

	if (!at_ns || is_lost(sim, l)) {
		l->lost++;
		return;
	}
	pass(sim, from, o, data, at_ns);
	if (rnd_ppm(&l->rnd, l->cfg->dup_ppm))
		pass(sim, from, o, data, at_ns);
}

void link_send(struct sim *sim, int from, const struct tcp_out *o, const uint8_t *data)
{
	uint32_t mss = sim->schedule->mss;

	for (uint32_t at = 0; at < o->len || !at; at += mss) {
		bool last = o->len - at <= mss;
		struct tcp_out one = *o;

		one.seq += at;
		one.len = last ? o->len - at : mss;
		if (!last)
			one.flags &= (uint8_t)~(TH_FIN | TH_PUSH);
		send_one(sim, from, &one, data + at);
	}
}
