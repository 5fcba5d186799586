/* SPDX-License-Identifier: BSD-2-Clause
 *
 * hostile.c - one stack between a peer and a program that both lie.
 *
 *	sim --hostile --seeds N
 *
 * Segments with numbers near the true ones and with any flags; a program that scribbles over
 * its line of the slot; requests of the slow path in any order. Nothing useful is expected
 * but that the stack's invariants hold, that it never sends for ever, and that no byte
 * outside the pipes is touched (run it under AddressSanitizer: the pipes are exactly as large
 * as they may become).
 */
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define STEPS	3000

struct victim {
	struct tcp tcp;
	struct tp_slot *slot;
	struct tcp_pool pool;
	struct rnd rnd;
	uint64_t now_ns, seed;
	bool failed;
};

static uint32_t near(struct victim *v, uint32_t seq)
{
	static const uint32_t spread[] = { 1, 3, 100, 1448, 5000, 70000, 1 << 20, 1U << 31 };
	uint32_t by = (uint32_t)rnd_below(&v->rnd, spread[rnd_below(&v->rnd, 8)]);

	return rnd_ppm(&v->rnd, 500000) ? seq + by : seq - by;
}

static void noise(struct victim *v, struct tcp_seg *s, const uint8_t *data)
{
	const struct tcp *t = &v->tcp;
	struct rnd *r = &v->rnd;

	*s = (struct tcp_seg){
		.seq = rnd_ppm(r, 400000) ? t->rcv_nxt : near(v, t->rcv_nxt),
		.ack = rnd_ppm(r, 400000) ? t->snd_nxt : near(v, t->snd_una),
		.len = rnd_ppm(r, 300000) ? 0 : (uint32_t)rnd_below(r, 9000),
		.data = data,
		.window = (uint16_t)rnd_next(r),
		.flags = rnd_ppm(r, 900000) ? TH_ACK : (uint8_t)rnd_next(r),
		.ce = rnd_ppm(r, 50000),
		.has_ts = rnd_ppm(r, 800000),
		.tsval = rnd_ppm(r, 900000) ? t->ts_recent + (uint32_t)rnd_below(r, 3)
					    : near(v, t->ts_recent),
		.tsecr = near(v, tcp_tsval(t, v->now_ns)),
		.nsack = (uint8_t)rnd_below(r, TCP_NSACK + 1),
	};
	/* ends are rare, or nothing would live long */
	if (!rnd_ppm(r, 5000))
		s->flags &= (uint8_t)~(TH_RST | TH_FIN);
	for (int i = 0; i < s->nsack; i++) {
		s->sack[i].start = near(v, t->snd_una);
		s->sack[i].end = s->sack[i].start + (uint32_t)rnd_below(r, 5000);
	}
}

static void scribble(struct victim *v)
{
	struct tp_slot *s = v->slot;
	struct rnd *r = &v->rnd;
	uint64_t any = rnd_next(r) >> rnd_below(r, 64);

	switch (rnd_below(r, 6)) {
	case 0:
		atomic_store(&s->tx_head, v->tcp.tx_tail + any);
		break;
	case 1:
		atomic_store(&s->tx_head, v->tcp.tx_head + rnd_below(r, 20000));
		break;
	case 2:
		atomic_store(&s->tx_geom, rnd_next(r));
		break;
	case 3:
		atomic_store(&s->tx_geom, pipe_geom((uint32_t)rnd_range(r, 12, 23), any));
		break;
	case 4:
		atomic_store(&s->rx_tail, rnd_ppm(r, 500000) ? v->tcp.rx_head
							     : v->tcp.rx_tail + any);
		break;
	case 5:
		atomic_store(&s->opts, (uint32_t)any);
		break;
	}
}

static void order(struct victim *v)
{
	static const char *const names[] = { "reno", "cubic", "bbr", "dctcp" };

	switch (rnd_below(&v->rnd, 300)) {
	case 0:
		tcp_close_tx(&v->tcp, v->now_ns);
		break;
	case 1:
		tcp_quiesce(&v->tcp);
		break;
	case 2:
		tcp_release(&v->tcp, v->now_ns);
		break;
	case 3 ... 40:
		tcp_set_mss(&v->tcp, (uint16_t)rnd_next(&v->rnd), v->now_ns);
		break;
	case 41 ... 80:
		tcp_set_cc(&v->tcp, names[rnd_below(&v->rnd, 4)], v->now_ns);
		break;
	default:
		tcp_probe(&v->tcp, v->now_ns);
		break;
	}
}

static void read_payload(struct victim *v, const struct tcp_out *o)
{
	static uint8_t buf[1 << 20];

	if (o->len > sizeof(buf))
		v->failed = true;
	else if (o->len)
		pipe_read(&v->tcp.tx, v->tcp.tx_geom, o->pos, buf, o->len);
}

static void step(struct victim *v, const uint8_t *data)
{
	struct tcp_seg s;
	struct tcp_out o;
	const char *wrong;
	uint32_t n = 0;

	v->now_ns += rnd_below(&v->rnd, 1ULL << rnd_below(&v->rnd, 34));
	switch (rnd_below(&v->rnd, 20)) {
	case 0:
		order(v);
		break;
	case 1 ... 4:
		scribble(v);
		tcp_app(&v->tcp, v->now_ns);
		break;
	default:
		noise(v, &s, data);
		tcp_rx(&v->tcp, &s, v->now_ns);
	}
	if (tcp_deadline(&v->tcp) <= v->now_ns)
		tcp_timer(&v->tcp, v->now_ns);
	while (n++ < 10000 && tcp_tx(&v->tcp, v->now_ns, 44, &o))
		read_payload(v, &o);
	wrong = n >= 10000 ? "sends for ever" : check_tcp(&v->tcp);
	if (wrong) {
		printf("hostile seed %llu: %s\n", (unsigned long long)v->seed, wrong);
		v->failed = true;
	}
}

static void *zeroed(size_t n)
{
	void *p = aligned_alloc(TP_LINE, n);

	if (!p)
		abort();
	memset(p, 0, n);
	return p;
}

bool hostile_run(uint64_t seed)
{
	struct victim v = { .seed = seed, .rnd = { seed }, .now_ns = 1000 * SEC };
	uint32_t rx_order = (uint32_t)rnd_range(&v.rnd, 12, 18);
	uint32_t tx_order = (uint32_t)rnd_range(&v.rnd, 12, 18);
	uint8_t *arena = zeroed(16384), *data = zeroed(16384);
	struct tcp_begin b = {
		.snd_una = (uint32_t)rnd_next(&v.rnd), .rcv_nxt = (uint32_t)rnd_next(&v.rnd),
		.snd_wnd = 60000, .snd_wscale = 7, .rcv_wscale = (uint8_t)rnd_below(&v.rnd, 15),
		.mss = 1448, .sack_ok = rnd_ppm(&v.rnd, 800000), .ts_ok = rnd_ppm(&v.rnd, 800000),
		.ecn_ok = rnd_ppm(&v.rnd, 500000), .cwnd = 10, .ssthresh = ~0U,
		.rto_us = 200000, .rto_min_us = 200000, .retries2 = 15, .oow_us = 500000,
		.options.cc = "cubic",
		.options.max_pacing = rnd_ppm(&v.rnd, 500000) ? ~0ULL : rnd_next(&v.rnd) >> rnd_below(&v.rnd, 64),
		.rx_order_max = rx_order, .tx_order_max = tx_order, .pool = &v.pool,
	};

	v.slot = zeroed(sizeof(*v.slot));
	tcp_pool_init(&v.pool, arena, rnd_ppm(&v.rnd, 500000) ? 16384 : 1024);
	b.slot = v.slot;
	b.rcv_edge = b.rcv_nxt + 60000;
	b.rx = (struct tp_pipe_mem){ zeroed(TP_PIPE_SMALL), zeroed(1UL << rx_order) };
	b.tx = (struct tp_pipe_mem){ zeroed(TP_PIPE_SMALL), zeroed(1UL << tx_order) };
	tcp_init(&v.tcp, &b, v.now_ns);
	for (int i = 0; i < STEPS && !v.failed && !(v.tcp.flags & T_DEAD); i++)
		step(&v, data);
	tcp_fini(&v.tcp);

	free(b.rx.small);
	free(b.rx.big);
	free(b.tx.small);
	free(b.tx.big);
	free(v.slot);
	free(arena);
	free(data);
	return !v.failed;
}
