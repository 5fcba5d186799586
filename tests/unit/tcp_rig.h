/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_rig.h - a flow with its slot, pipes and pool, for the tests of user/fast/tcp_*.c.
 *
 * Numbers in tests are relative: our data begins at 0, the peer's at 0. The rig's initial
 * sequence numbers make both wrap within the first kilobytes.
 */
#ifndef TASPILOT_TCP_RIG_H
#define TASPILOT_TCP_RIG_H

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "../../user/fast/tcp_flow.h"

#define RIG_ISN		0xfffffc00U	/* ours */
#define RIG_PEER	0xfffff800U	/* the peer's */
#define RIG_ORDER	18U
#define RIG_MSS		1000U
#define RIG_ARENA	131072U
#define MS		1000000ULL

struct rig {
	struct tcp tcp;
	struct tp_slot *slot;
	struct tcp_pool pool;
	struct tp_pipe_mem rx, tx;
	void *arena;
	uint64_t now;
	uint64_t written, read;
	uint32_t todo;			/* of the last call */
	struct tcp_out out;
};

static inline void *rig_mem(size_t n)
{
	void *p = aligned_alloc(TP_LINE, n);

	if (!p)
		abort();
	return memset(p, 0, n);
}

static inline struct tcp_begin rig_begin(void)
{
	return (struct tcp_begin){
		.snd_una = RIG_ISN, .rcv_nxt = RIG_PEER, .rcv_edge = RIG_PEER + 60000,
		.snd_wnd = 60000, .snd_wscale = 0, .rcv_wscale = 7, .mss = RIG_MSS,
		.sack_ok = true, .ts_ok = true, .ts_offset = 5000, .ts_recent = 100,
		.cwnd = 10, .ssthresh = ~0U, .srtt_us = 20000, .rttvar_us = 5000,
		.rto_us = 220000, .rto_min_us = 200000, .retries2 = 15, .oow_us = 500000,
		.idle_restart = true, .options = { .cc = "reno", .max_pacing = ~0ULL },
		.rx_order_max = RIG_ORDER, .tx_order_max = RIG_ORDER,
	};
}

static inline struct rig *rig_new(const struct tcp_begin *begin)
{
	struct tcp_begin b = begin ? *begin : rig_begin();
	struct rig *r = rig_mem((sizeof(*r) + TP_LINE - 1) / TP_LINE * TP_LINE);

	r->slot = rig_mem(sizeof(*r->slot));
	r->arena = rig_mem(RIG_ARENA);
	tcp_pool_init(&r->pool, r->arena, RIG_ARENA);
	r->rx = (struct tp_pipe_mem){ rig_mem(TP_PIPE_SMALL), rig_mem(1U << RIG_ORDER) };
	r->tx = (struct tp_pipe_mem){ rig_mem(TP_PIPE_SMALL), rig_mem(1U << RIG_ORDER) };
	r->now = 1000000 * MS;
	atomic_store(&r->slot->tx_geom, pipe_geom(RIG_ORDER, 0));
	atomic_store(&r->slot->opts, TP_O_NODELAY);
	b.slot = r->slot;
	b.rx = r->rx;
	b.tx = r->tx;
	b.pool = &r->pool;
	tcp_init(&r->tcp, &b, r->now);
	return r;
}

static inline void rig_free(struct rig *r)
{
	tcp_fini(&r->tcp);
	free(r->rx.small);
	free(r->rx.big);
	free(r->tx.small);
	free(r->tx.big);
	free(r->arena);
	free(r->slot);
	free(r);
}

/* The program writes @n bytes: byte i of the stream is i mod 251. */
static inline uint32_t rig_write(struct rig *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint8_t byte = (uint8_t)((r->written + i) % 251);

		pipe_write(&r->tx, pipe_geom(RIG_ORDER, 0), r->written + i, &byte, 1);
	}
	r->written += n;
	atomic_store(&r->slot->tx_head, r->written);
	return r->todo = tcp_app(&r->tcp, r->now);
}

/* The program reads all there is; returns how much, SIZE_MAX if a byte is wrong. */
static inline size_t rig_read(struct rig *r)
{
	uint64_t head = atomic_load(&r->slot->rx_head), geom = atomic_load(&r->slot->rx_geom);
	size_t n = head - r->read;

	for (; r->read != head; r->read++) {
		uint8_t byte;

		pipe_read(&r->rx, geom, r->read, &byte, 1);
		if (byte != (uint8_t)(r->read % 251))
			return SIZE_MAX;
	}
	atomic_store(&r->slot->rx_tail, head);
	r->todo = tcp_app(&r->tcp, r->now);
	return n;
}

/* A segment of the peer as it should be: seq, ack relative, window 60000. */
static inline struct tcp_seg rig_seg(struct rig *r, uint32_t seq, uint32_t len, uint32_t ack)
{
	return (struct tcp_seg){
		.seq = RIG_PEER + seq, .ack = RIG_ISN + ack, .len = len, .window = 60000,
		.flags = TH_ACK, .has_ts = true, .tsval = 100 + (uint32_t)(r->now / MS - 1000000),
		.tsecr = tcp_tsval(&r->tcp, r->now),
	};
}

static inline uint32_t rig_rx(struct rig *r, struct tcp_seg *s)
{
	static uint8_t data[65536];

	for (uint32_t i = 0; i < s->len; i++)
		data[i] = (uint8_t)((s->seq - RIG_PEER + i) % 251);
	s->data = data;
	return r->todo = tcp_rx(&r->tcp, s, r->now);
}

static inline uint32_t rig_data(struct rig *r, uint32_t seq, uint32_t len)
{
	struct tcp_seg s = rig_seg(r, seq, len, r->tcp.snd_una - RIG_ISN);

	return rig_rx(r, &s);
}

static inline uint32_t rig_ack(struct rig *r, uint32_t ack)
{
	struct tcp_seg s = rig_seg(r, r->tcp.rcv_nxt - RIG_PEER, 0, ack);

	return rig_rx(r, &s);
}

static inline uint32_t rig_sack(struct rig *r, uint32_t ack, uint32_t start, uint32_t end)
{
	struct tcp_seg s = rig_seg(r, r->tcp.rcv_nxt - RIG_PEER, 0, ack);

	s.nsack = 1;
	s.sack[0] = (struct tcp_sack){ RIG_ISN + start, RIG_ISN + end };
	return rig_rx(r, &s);
}

/* The next segment out, in r->out with relative numbers. */
static inline bool rig_tx(struct rig *r)
{
	if (!tcp_tx(&r->tcp, r->now, 1, &r->out))
		return false;
	r->out.seq -= RIG_ISN;
	r->out.ack -= RIG_PEER;
	for (uint32_t i = 0; i < r->out.nsack; i++) {
		r->out.sack[i].start -= RIG_PEER;
		r->out.sack[i].end -= RIG_PEER;
	}
	return true;
}

/* Send all that may be sent; returns how many segments. */
static inline uint32_t rig_drain(struct rig *r)
{
	uint32_t n = 0;

	while (n < 10000 && rig_tx(r))
		n++;
	return n;
}

static inline void rig_pass(struct rig *r, uint64_t ns) { r->now += ns; }

/* To the next deadline, and past it. */
static inline uint32_t rig_timer(struct rig *r)
{
	uint64_t at = tcp_deadline(&r->tcp);

	if (at == TCP_NEVER)
		return 0;
	r->now = at > r->now ? at : r->now;
	return r->todo = tcp_timer(&r->tcp, r->now);
}

#endif
