/* SPDX-License-Identifier: BSD-2-Clause
 *
 * host.c - a host: the stack, and the program that writes and reads its pipes.
 *
 * The program's half of pipe.h is written here anew, as the shim has it: a pipe that is
 * empty begins again at offset 0, and grows to what the stack wants.
 */
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* Eight bytes of the stream come from one number: @x of those around @pos. */
static uint64_t stream_word(const struct sim *sim, int id, uint64_t pos)
{
	uint64_t x = (pos >> 3) * 0x9e3779b97f4a7c15ULL + sim->schedule->seed * 2 + (uint64_t)id;

	x ^= x >> 29;
	return x * 0xbf58476d1ce4e5b9ULL;
}

void sim_stream(const struct sim *sim, int id, uint64_t pos, uint8_t *ret, uint32_t n)
{
	for (uint32_t i = 0; i < n;) {
		uint64_t word = stream_word(sim, id, pos + i);
		uint32_t from = (pos + i) & 7, len = tcp_min(8 - from, n - i);

		if (len == sizeof(word))
			memcpy(ret + i, &word, sizeof(word));
		else
			memcpy(ret + i, (uint8_t *)&word + from, len);
		i += len;
	}
}

bool sim_stream_is(const struct sim *sim, int id, uint64_t pos, const uint8_t *data, uint32_t n)
{
	uint8_t want[65536];

	sim_stream(sim, id, pos, want, n);
	return !memcmp(want, data, n);
}

static void settle(struct host *h, uint32_t todo);

/* ---- the stack's surroundings: what core.c is in production ---- */

static void trace(const struct host *h, const struct tcp_out *o)
{
	const struct tcp *t = &h->tcp;

	printf("%12.3f ms  %d > %s%s%s%s %u:%u(%u) ack %u win %u", h->sim->now_ns / 1e6, h->id,
	       o->flags & TH_FIN ? "F" : "", o->flags & TH_RST ? "R" : "",
	       o->flags & TH_PUSH ? "P" : "", o->retransmit ? "*" : "",
	       o->seq - h->sim->schedule->isn[h->id],
	       o->seq + o->len - h->sim->schedule->isn[h->id], o->len,
	       o->ack - h->sim->schedule->isn[!h->id], o->window);
	for (uint32_t i = 0; i < o->nsack; i++)
		printf(" sack %u-%u", o->sack[i].start - h->sim->schedule->isn[!h->id],
		       o->sack[i].end - h->sim->schedule->isn[!h->id]);
	printf("  [ca %u cwnd %u/%u pipe %u lost %u sacked %u]\n", t->ca, t->cc.cwnd,
	       t->cc.ssthresh, tcp_pipe(t), t->lost, t->sacked);
}

static void send_out(struct host *h, const struct tcp_out *o)
{
	uint8_t *data = malloc(o->len + 1);

	if (!data)
		abort();
	if (o->len)
		pipe_read(&h->tx, h->tcp.tx_geom, o->pos, data, o->len);
	h->sent_segs++;
	h->sent_bytes += o->len;
	if (h->sim->trace)
		trace(h, o);
	link_send(h->sim, h->id, o, data);
	free(data);
}

static void check(struct host *h)
{
	const char *wrong = check_tcp(&h->tcp);

	if (wrong)
		sim_fail(h->sim, "host %d: %s", h->id, wrong);
	if (!(h->tcp.flags & T_DEAD) && seq_before(h->tcp.rcv_edge, h->last_edge))
		sim_fail(h->sim, "host %d: the window's edge moved left", h->id);
	h->last_edge = h->tcp.rcv_edge;
}

static void output(struct host *h)
{
	struct tcp_out o;
	int n = 0;

	while (tcp_tx(&h->tcp, h->sim->now_ns, h->cfg->max_segs, &o)) {
		send_out(h, &o);
		check(h);
		if (++n > 100000) {
			sim_fail(h->sim, "host %d: sends for ever", h->id);
			break;
		}
	}
	check(h);
}

static void output_acks(struct host *h)
{
	struct tcp_out o;

	while (tcp_ack(&h->tcp, h->sim->now_ns, &o)) {
		send_out(h, &o);
		check(h);
	}
}

static void wake(struct host *h, bool *due, enum sim_event what, uint64_t gap_ns)
{
	if (*due)
		return;
	*due = true;
	sim_at(h->sim, h->sim->now_ns + rnd_below(&h->rnd, gap_ns + 1), what, h->id, NULL);
}

static void settle(struct host *h, uint32_t todo)
{
	check(h);
	if (todo & TCP_DO_PEER_FIN)
		h->peer_fin = true;
	if (todo & TCP_DO_FIN_ACKED) {
		if (h->fin_acked)
			sim_fail(h->sim, "host %d: FIN acknowledged twice", h->id);
		h->fin_acked = true;
	}
	if (todo & (TCP_DO_RESET | TCP_DO_TIMEOUT | TCP_DO_ABORT)) {
		h->dead = true;
		sim_fail(h->sim, "host %d: died, todo %#x err %d", h->id, todo, h->tcp.err);
	}
	if (todo & TCP_DO_READABLE)
		wake(h, &h->read_due, EV_READ, h->cfg->read_gap_ns);
	if (todo & TCP_DO_WRITABLE)
		wake(h, &h->write_due, EV_WRITE, h->cfg->write_gap_ns);
	if (todo & TCP_DO_OUTPUT)
		output(h);
}

void host_packet(struct host *h, const struct packet *p)
{
	struct tcp_seg s = p->seg;

	s.data = p->data;
	if (tcp_ack_first(&h->tcp, &s))
		output_acks(h);
	settle(h, tcp_rx(&h->tcp, &s, h->sim->now_ns));
}

void host_timer(struct host *h)
{
	settle(h, tcp_timer(&h->tcp, h->sim->now_ns));
	if (tcp_deadline(&h->tcp) <= h->sim->now_ns)
		sim_fail(h->sim, "host %d: a timer that fired is still due", h->id);
}

/* ---- the program ---- */

static uint32_t want(const struct host *h)
{
	uint32_t want = atomic_load_explicit(&h->slot->tx_want, memory_order_relaxed);

	return want < 1U << h->cfg->tx_order ? want : 1U << h->cfg->tx_order;
}

static uint64_t tx_room(struct host *h)
{
	uint64_t tail = atomic_load_explicit(&h->slot->tx_tail, memory_order_acquire);

	return want(h) - (h->written - tail);
}

static void tx_fit(struct host *h, uint64_t end)
{
	uint64_t tail = atomic_load_explicit(&h->slot->tx_tail, memory_order_acquire);
	uint32_t order = pipe_order(h->tx_geom);

	if (tail == h->written)
		h->tx_geom = pipe_geom(order, h->written);
	while (end - tail > 1ULL << order)
		order++;
	if (order != pipe_order(h->tx_geom))
		h->tx_geom = pipe_grow(&h->tx, h->tx_geom, order, tail, h->written);
	atomic_store_explicit(&h->slot->tx_geom, h->tx_geom, memory_order_relaxed);
}

static void put(struct host *h, uint32_t n)
{
	uint8_t buf[65536];

	sim_stream(h->sim, h->id, h->written, buf, n);
	tx_fit(h, h->written + n);
	pipe_write(&h->tx, h->tx_geom, h->written, buf, n);
	h->written += n;
	atomic_store_explicit(&h->slot->tx_head, h->written, memory_order_release);
}

static void fidget(struct host *h)
{
	uint32_t opts = atomic_load_explicit(&h->slot->opts, memory_order_relaxed);

	if (!h->cfg->fidgets || !rnd_ppm(&h->rnd, 200000))
		return;
	opts ^= 1U << rnd_below(&h->rnd, 4);
	atomic_store_explicit(&h->slot->opts, opts, memory_order_relaxed);
}

/* How much the program would like to have written by now. */
static uint64_t wish(const struct host *h)
{
	uint64_t all = h->cfg->bytes;

	if (h->cfg->conversation && !h->eof) {
		uint64_t answer = h->read + (h->id ? 0 : h->cfg->write_max);

		return answer < all ? answer : all;
	}
	return all;
}

static void close_if_done(struct host *h)
{
	if (h->closed || h->written != h->cfg->bytes)
		return;
	h->closed = true;
	settle(h, tcp_close_tx(&h->tcp, h->sim->now_ns));
}

void host_write(struct host *h)
{
	uint64_t room = tx_room(h), left = wish(h) - h->written, n;

	h->write_due = false;
	fidget(h);
	n = rnd_range(&h->rnd, 1, h->cfg->write_max);
	n = n < left ? n : left;
	n = n < room ? n : room;
	if (wish(h) > h->written && n)
		put(h, (uint32_t)n);
	settle(h, tcp_app(&h->tcp, h->sim->now_ns));
	close_if_done(h);
	if (wish(h) > h->written && tx_room(h))
		wake(h, &h->write_due, EV_WRITE, h->cfg->write_gap_ns);
}

static void take(struct host *h, uint64_t geom, uint32_t n)
{
	uint8_t buf[65536];

	pipe_read(&h->rx, geom, h->read, buf, n);
	if (!sim_stream_is(h->sim, !h->id, h->read, buf, n))
		sim_fail(h->sim, "host %d: a wrong byte after %llu", h->id,
			 (unsigned long long)h->read);
	h->read += n;
	atomic_store_explicit(&h->slot->rx_tail, h->read, memory_order_release);
}

static bool reader_stalls(struct host *h)
{
	if (!h->cfg->stall_ns || h->stalled || h->read < h->cfg->stall_at)
		return false;
	h->stalled = true;
	h->read_due = true;
	sim_at(h->sim, h->sim->now_ns + h->cfg->stall_ns, EV_READ, h->id, NULL);
	return true;
}

void host_read(struct host *h)
{
	uint32_t flags = atomic_load_explicit(&h->slot->fast_flags, memory_order_acquire);
	uint64_t head = atomic_load_explicit(&h->slot->rx_head, memory_order_acquire), n;
	uint64_t geom = atomic_load_explicit(&h->slot->rx_geom, memory_order_relaxed);

	h->read_due = false;
	if (reader_stalls(h))
		return;
	n = rnd_range(&h->rnd, 1, h->cfg->read_max);
	n = n < head - h->read ? n : head - h->read;
	if (n)
		take(h, geom, (uint32_t)n);
	if (flags & TP_F_EOF && h->read == head) {
		h->eof = true;
		if (h->read != h->sim->schedule->host[!h->id].bytes)
			sim_fail(h->sim, "host %d: EOF at %llu", h->id,
				 (unsigned long long)h->read);
	}
	settle(h, tcp_app(&h->tcp, h->sim->now_ns));
	if (h->read != head)
		wake(h, &h->read_due, EV_READ, h->cfg->read_gap_ns);
	if (h->cfg->conversation && wish(h) > h->written)
		wake(h, &h->write_due, EV_WRITE, h->cfg->write_gap_ns);
	if (h->cfg->conversation)
		close_if_done(h);
}

bool host_done(const struct host *h)
{
	return h->closed && h->eof && h->fin_acked && h->peer_fin;
}

/* ---- begin and end ---- */

static void *page(size_t n)
{
	void *p = aligned_alloc(TP_LINE, n);

	if (!p)
		abort();
	return p;
}

void host_init(struct sim *sim, int id)
{
	const struct schedule *s = sim->schedule;
	struct host *h = &sim->host[id];
	struct tcp_begin b = {
		.snd_una = s->isn[id],
		.rcv_nxt = s->isn[!id],
		.rcv_edge = s->isn[!id] + SIM_FIRST_WINDOW,
		.snd_wnd = SIM_FIRST_WINDOW,
		.snd_wscale = s->wscale[!id],
		.rcv_wscale = s->wscale[id],
		.mss = (uint16_t)s->mss,
		.sack_ok = s->sack,
		.ts_ok = s->ts,
		.ecn_ok = s->ecn,
		.ts_offset = 0xfffffff0U - (uint32_t)id,
		.cwnd = s->cwnd,
		.ssthresh = ~0U,
		.srtt_us = s->srtt_us,
		.rttvar_us = s->srtt_us / 2,
		.rto_us = s->srtt_us ? s->srtt_us + 200000 : 1000000,
		.rto_min_us = 200000,
		.retries2 = 15,
		.oow_us = 500000,
		.idle_restart = true,
		.options.max_pacing = s->max_pacing[id],
		.rx_order_max = s->host[id].rx_order,
		.tx_order_max = s->host[id].tx_order,
	};

	*h = (struct host){ .sim = sim, .id = id, .cfg = &s->host[id] };
	h->rnd.s = s->seed * 4 + (uint64_t)id;
	h->slot = page(sizeof(*h->slot));
	memset(h->slot, 0, sizeof(*h->slot));
	h->rx = (struct tp_pipe_mem){ page(TP_PIPE_SMALL), page(1UL << s->host[id].rx_order) };
	h->tx = (struct tp_pipe_mem){ page(TP_PIPE_SMALL), page(1UL << s->host[id].tx_order) };
	h->tx_geom = pipe_geom(TP_ORDER_SMALL, 0);
	atomic_store(&h->slot->tx_geom, h->tx_geom);
	atomic_store(&h->slot->opts, s->host[id].opts);
	memcpy(b.options.cc, s->cc[id], sizeof(b.options.cc));
	b.slot = h->slot;
	b.rx = h->rx;
	b.tx = h->tx;
	if (s->pool_bytes) {
		h->arena = page(s->pool_bytes);
		tcp_pool_init(&h->pool, h->arena, s->pool_bytes);
		b.pool = &h->pool;
	}
	b.ts_recent = 0xfffffff0U - (uint32_t)!id + (uint32_t)(sim->now_ns / MS);
	tcp_init(&h->tcp, &b, sim->now_ns);
	h->last_edge = h->tcp.rcv_edge;
	wake(h, &h->write_due, EV_WRITE, h->cfg->write_gap_ns);
}

void host_free(struct host *h)
{
	tcp_fini(&h->tcp);
	free(h->arena);
	free(h->slot);
	free(h->rx.small);
	free(h->rx.big);
	free(h->tx.small);
	free(h->tx.big);
}
