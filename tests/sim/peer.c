/* SPDX-License-Identifier: BSD-2-Clause
 *
 * peer.c - another TCP, as simple as one can be: the reference that ours is run against.
 *
 * Nothing here is shared with user/fast: a fault that both ends have in common would not be
 * seen. It keeps a map of all bytes of the stream instead of ranges, sends a fixed number of
 * segments and goes back to the first one missing when its timer fires, acknowledges every
 * segment at once, and reports as SACK blocks what its map shows. It knows the whole stream,
 * so it checks each byte that arrives, also those that arrive again, and that nothing is
 * sent beyond the window it has offered.
 */
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define FLIGHT		8U		/* segments */
#define RTO_NS		(400 * MS)
#define RTO_MOST_NS	(20 * SEC)
#define NOWHERE		(~0ULL)

struct peer {
	struct sim *sim;
	const struct host_cfg *cfg;
	struct rnd rnd;

	/* what arrives; positions in the stream */
	uint8_t *here;			/* a byte for each of the stream's: it has arrived */
	uint64_t all;			/* bytes that the other side will send */
	uint64_t rcv, newest;		/* all before rcv are here; newest arrived last */
	uint64_t top;			/* none from here on has arrived */
	uint64_t fin;			/* where their FIN stands, NOWHERE: not seen */
	uint64_t read, edge;		/* consumed; end of the window offered */
	uint32_t ts_recent;
	bool stalled, reading, ece;

	/* what is sent */
	uint64_t una, nxt, most;	/* acknowledged, next, furthest ever; FIN counts one */
	uint64_t window;		/* end of what they take */
	uint64_t rto_at, rto_ns;
};

static uint64_t end_of_stream(const struct peer *p) { return p->cfg->bytes + 1; }

/* The position nearest to @near that has sequence number @seq of host @id's stream. */
static uint64_t unwrap(const struct peer *p, int id, uint32_t seq, uint64_t near)
{
	uint32_t at = p->sim->schedule->isn[id] + (uint32_t)near;

	return near + (uint64_t)(int64_t)(int32_t)(seq - at);
}

static uint64_t window_size(const struct peer *p)
{
	uint64_t room = 1ULL << p->cfg->rx_order, most = 65535ULL << p->sim->schedule->wscale[1];

	return room < most ? room : most;
}

static uint16_t offer(struct peer *p)
{
	uint32_t scale = p->sim->schedule->wscale[1];
	uint64_t edge = p->read + window_size(p), field;

	field = edge > p->rcv ? (edge - p->rcv) >> scale : 0;
	if (!field && edge > p->rcv)
		field = 1;		/* the scale cannot tell so little, and would say 0 for ever */
	/* never less than was offered, though it be rounded up for that */
	if (p->rcv + (field << scale) < p->edge)
		field = (p->edge - p->rcv + (1ULL << scale) - 1) >> scale;
	field = field < 65535 ? field : 65535;
	if (p->rcv + (field << scale) > p->edge)
		p->edge = p->rcv + (field << scale);
	return (uint16_t)field;
}

/* The run of bytes that are here around @at. */
static struct tcp_sack run_at(const struct peer *p, uint64_t at)
{
	uint32_t isn = p->sim->schedule->isn[0];
	uint64_t start = at, end = at;

	while (start > p->rcv && p->here[start - 1])
		start--;
	while (end < p->all && p->here[end])
		end++;
	return (struct tcp_sack){ isn + (uint32_t)start, isn + (uint32_t)end };
}

/* First the run with what came last, then the first ones. */
static uint8_t sack_blocks(const struct peer *p, struct tcp_sack *ret)
{
	uint8_t n = 0, most = p->sim->schedule->ts ? 3 : 4;

	if (!p->sim->schedule->sack)
		return 0;
	if (p->newest > p->rcv && p->newest < p->all && p->here[p->newest])
		ret[n++] = run_at(p, p->newest);
	for (uint64_t at = p->rcv; at < p->top && n < most; at++) {
		struct tcp_sack run;

		if (!p->here[at])
			continue;
		run = run_at(p, at);
		at += run.end - run.start;
		if (!n || run.start != ret[0].start)
			ret[n++] = run;
	}
	return n;
}

static void emit(struct peer *p, uint64_t at, uint32_t len, uint8_t flags)
{
	const struct schedule *s = p->sim->schedule;
	uint8_t data[65536];
	struct tcp_out o = {
		.seq = s->isn[1] + (uint32_t)at,
		.ack = s->isn[0] + (uint32_t)p->rcv + (p->rcv == p->fin),
		.len = len,
		.window = offer(p),
		.flags = flags | TH_ACK | (p->ece ? TH_ECE : 0),
		.ect = s->ecn && len,
		.has_ts = s->ts,
		.tsval = (uint32_t)(p->sim->now_ns / MS) + 0xfffffff0U - 1,
		.tsecr = p->ts_recent,
	};

	o.nsack = sack_blocks(p, o.sack);
	sim_stream(p->sim, 1, at, data, len);
	link_send(p->sim, 1, &o, data);
}

/* ---- sending ---- */

static void start_timer(struct peer *p)
{
	p->rto_at = p->una < p->most || p->una < end_of_stream(p) ? p->sim->now_ns + p->rto_ns
								   : NOWHERE;
}

static void output(struct peer *p)
{
	uint32_t mss = p->sim->schedule->mss - 40;	/* room for any options */
	uint64_t until = p->una + FLIGHT * (uint64_t)mss;

	until = until < p->window ? until : p->window;
	while (p->nxt < until && p->nxt < end_of_stream(p)) {
		uint64_t n = until - p->nxt < mss ? until - p->nxt : mss;
		bool fin = p->nxt + n > p->cfg->bytes;

		n = fin ? p->cfg->bytes - p->nxt : n;
		emit(p, p->nxt, (uint32_t)n, fin ? TH_FIN | TH_PUSH : TH_PUSH);
		p->nxt += n + fin;
		p->most = p->nxt > p->most ? p->nxt : p->most;
	}
	if (p->rto_at == NOWHERE)
		start_timer(p);
}

uint64_t peer_deadline(const struct peer *p) { return p->rto_at; }

/* Back to the first that is missing; a closed window is asked with its first byte. */
void peer_timer(struct peer *p)
{
	p->rto_ns = p->rto_ns * 2 < RTO_MOST_NS ? p->rto_ns * 2 : RTO_MOST_NS;
	p->nxt = p->una;
	if (p->window <= p->una && p->una < end_of_stream(p)) {
		emit(p, p->una, p->una < p->cfg->bytes, p->una < p->cfg->bytes ? TH_PUSH : TH_FIN);
		p->most = p->una + 1 > p->most ? p->una + 1 : p->most;
	}
	output(p);
	start_timer(p);
}

static void take_ack(struct peer *p, const struct tcp_seg *s)
{
	uint64_t ack = unwrap(p, 1, s->ack, p->una);

	if (ack > p->most || ack < p->una) {
		if (ack > p->most)
			sim_fail(p->sim, "the peer hears an ACK of what it never sent");
		return;
	}
	p->window = ack + ((uint64_t)s->window << p->sim->schedule->wscale[0]);
	if (ack == p->una)
		return;
	p->una = ack;
	p->nxt = p->nxt > ack ? p->nxt : ack;
	p->rto_ns = RTO_NS;
	start_timer(p);
}

/* ---- receiving ---- */

static void take_bytes(struct peer *p, uint64_t at, const struct packet *k)
{
	uint32_t len = k->seg.len;

	if (!len)
		return;
	if (at + len > p->all) {
		sim_fail(p->sim, "the peer is sent more than there is");
		return;
	}
	if (!sim_stream_is(p->sim, 0, at, k->data, len)) {
		sim_fail(p->sim, "the peer is sent a wrong byte after %llu",
			 (unsigned long long)at);
		return;
	}
	memset(p->here + at, 1, len);
	p->newest = at + len - 1;
	p->top = at + len > p->top ? at + len : p->top;
}

static void advance(struct peer *p)
{
	while (p->rcv < p->all && p->here[p->rcv])
		p->rcv++;
	if (!p->reading && p->read < p->rcv) {
		p->reading = true;
		sim_at(p->sim, p->sim->now_ns + rnd_below(&p->rnd, p->cfg->read_gap_ns + 1),
		       EV_READ, 1, NULL);
	}
}

void peer_packet(struct peer *p, const struct packet *k)
{
	const struct tcp_seg *s = &k->seg;
	uint64_t at = unwrap(p, 0, s->seq, p->rcv), end = at + s->len;

	if (s->flags & TH_RST) {
		sim_fail(p->sim, "the peer is reset");
		return;
	}
	if (end > p->edge && s->len) {
		sim_fail(p->sim, "the peer is sent bytes beyond its window");
		return;
	}
	if (s->has_ts && at <= p->rcv && (int32_t)(s->tsval - p->ts_recent) >= 0)
		p->ts_recent = s->tsval;
	if (s->flags & TH_CWR)
		p->ece = false;
	if (k->seg.ce)
		p->ece = true;
	take_ack(p, s);
	if ((int64_t)at >= 0)
		take_bytes(p, at, k);
	if (s->flags & TH_FIN) {
		if (end != p->all)
			sim_fail(p->sim, "the peer hears FIN at %llu", (unsigned long long)end);
		p->fin = end;
	}
	advance(p);
	if (s->len || s->flags & TH_FIN || at != p->rcv + (p->rcv == p->fin))
		emit(p, p->nxt, 0, 0);
	output(p);
}

void peer_read(struct peer *p)
{
	uint64_t before = p->edge - p->rcv, n;

	p->reading = false;
	if (p->cfg->stall_ns && !p->stalled && p->read >= p->cfg->stall_at) {
		p->stalled = p->reading = true;
		sim_at(p->sim, p->sim->now_ns + p->cfg->stall_ns, EV_READ, 1, NULL);
		return;
	}
	n = rnd_range(&p->rnd, 1, p->cfg->read_max);
	p->read += n < p->rcv - p->read ? n : p->rcv - p->read;
	if (before < p->sim->schedule->mss && p->read + window_size(p) - p->rcv > before)
		emit(p, p->nxt, 0, 0);
	advance(p);
}

bool peer_done(const struct peer *p)
{
	return p->una == end_of_stream(p) && p->rcv == p->all && p->fin == p->all &&
	       p->read == p->all;
}

/* ---- begin and end ---- */

struct peer *peer_new(struct sim *sim)
{
	const struct schedule *s = sim->schedule;
	struct peer *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	p->sim = sim;
	p->cfg = &s->host[1];
	p->rnd.s = s->seed * 4 + 1;
	p->all = s->host[0].bytes;
	p->here = calloc(p->all + 1, 1);
	if (!p->here)
		abort();
	p->newest = p->fin = NOWHERE;
	p->edge = p->window = SIM_FIRST_WINDOW;
	p->ts_recent = 0xfffffff0U + (uint32_t)(sim->now_ns / MS);
	p->rto_ns = RTO_NS;
	p->rto_at = NOWHERE;
	output(p);
	return p;
}

void peer_free(struct peer *p)
{
	free(p->here);
	free(p);
}
