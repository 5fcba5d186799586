/* SPDX-License-Identifier: BSD-2-Clause
 *
 * output.c - settle what TCP asked for: tell the program, the slow thread; send.
 *
 * Payload goes from the tx pipe into the frame in one pass that also sums it. The program
 * can write to that pipe at any moment, and says itself where in its memory the pipe lies:
 * pipe.h keeps every offset inside the flow's own areas, and the checksum is of the bytes
 * that were copied, so the worst it can do is to send other bytes of its own.
 *
 * A flow gets so many segments a turn, then the next has its go.
 */
#include "thread.h"

#include <string.h>

#define TURN_SEGMENTS	128U

static uint64_t copy_payload(const struct flow *f, uint64_t pos, uint32_t len, uint8_t *dst)
{
	uint64_t geom = atomic_load_explicit(&f->shm->tx_geom, memory_order_relaxed);
	uint64_t sum = 0;
	uint32_t done = 0;

	if (!pipe_geom_ok(geom))	/* the program scribbled: its own bytes are lost */
		geom = pipe_geom(TP_ORDER_SMALL, 0);
	while (done < len) {
		unsigned char *from;
		uint32_t n = pipe_span(&f->tx, geom, pos + done, len - done, &from);

		sum = wire_add(sum, wire_sum_at(wire_copy_sum(dst + done, from, n), done));
		done += n;
	}
	return sum;
}

static void emit(struct fast *t, struct flow *f, const struct tcp_out *o, uint8_t *frame)
{
	uint32_t head = FRAME_HDR + frame_opts_len(o);
	uint64_t sum = 0;

	if (head + o->len > t->xio.frame_size)	/* cannot be: the MSS was bounded at install */
		return;
	if (o->len)
		sum = copy_payload(f, o->pos, o->len, frame + head);
	xio_tx_send(&t->xio, frame_build(&f->head, o, sum, frame));
	stats_add(&t->stats.tx_segments, 1);
	stats_add(&t->stats.tx_bytes, o->len);
	if (o->retransmit)
		stats_add(&t->stats.retransmits, 1);
}

static uint8_t *tx_frame(struct fast *t)
{
	uint8_t *frame = xio_tx_frame(&t->xio);

	if (!frame) {
		xio_kick(&t->xio);
		xio_reap(&t->xio);
		frame = xio_tx_frame(&t->xio);
	}
	if (!frame)
		stats_add(&t->stats.tx_full, 1);
	return frame;
}

/* True: nothing is left to send now. */
static bool send_some(struct fast *t, struct flow *f)
{
	struct tcp_out o;

	for (uint32_t i = 0; i < TURN_SEGMENTS; i++) {
		uint8_t *frame = tx_frame(t);

		if (!frame)
			return false;
		if (!tcp_tx(&f->tcp, t->now_ns, 1, &o))
			return true;
		emit(t, f, &o, frame);
	}
	return false;
}

static void die(struct fast *t, struct flow *f, bool to_tell)
{
	f->phase = FLOW_DEAD;
	timer_clear(&t->wheel, &f->timer);
	atomic_fetch_or_explicit(&f->shm->fast_flags, TP_F_FINAL, memory_order_release);
	appq_notify(f->appq, f->slot);
	if (to_tell)
		tell(t, f, FAST_EV_DEAD);
}

void output_abort(struct fast *t, struct flow *f, bool to_tell)
{
	uint8_t *frame = tx_frame(t);
	struct tcp_out o;

	tcp_abort(&f->tcp, t->now_ns, &o);
	if (frame)
		emit(t, f, &o, frame);
	die(t, f, to_tell);
}

static void tell_news(struct fast *t, struct flow *f, uint32_t todo)
{
	if (todo & TCP_DO_PEER_FIN)
		tell(t, f, FAST_EV_PEER_FIN);
	if (todo & TCP_DO_FIN_ACKED)
		tell(t, f, FAST_EV_FIN_ACKED);
	if (todo & TCP_DO_ODD)
		tell(t, f, FAST_EV_ODD);
	if (todo & (TCP_DO_PEER_FIN | TCP_DO_FIN_ACKED))
		f->ending = true;
	if (todo & (TCP_DO_READABLE | TCP_DO_WRITABLE))
		appq_notify(f->appq, f->slot);
}

static void go_quiet(struct fast *t, struct flow *f)
{
	f->phase = FLOW_QUIET;
	timer_clear(&t->wheel, &f->timer);
	tell(t, f, FAST_EV_QUIET);
}

/* A timer that is armed for earlier stays: when it fires, it is armed anew. Deadlines move
 * with every segment, and nearly none is ever reached.
 */
static void set_timer(struct fast *t, struct flow *f)
{
	uint64_t at = tcp_deadline(&f->tcp);

	if (at != ~0ULL && (!timer_is_set(&f->timer) || f->timer.at_ns > at))
		timer_set(&t->wheel, &f->timer, at);
}

/* True: the flow is done for this turn, and out of the busy list. */
static bool settle(struct fast *t, struct flow *f)
{
	uint32_t todo = f->todo;
	bool sent = true;

	f->todo = 0;
	tell_news(t, f, todo);
	if (f->phase != FLOW_LIVE)
		return true;
	if (todo & TCP_DO_ABORT) {
		output_abort(t, f, true);
		return true;
	}
	if (todo & (TCP_DO_RESET | TCP_DO_TIMEOUT)) {
		die(t, f, true);
		return true;
	}
	if (todo & TCP_DO_OUTPUT)
		sent = send_some(t, f);
	if (!sent) {
		f->todo = TCP_DO_OUTPUT;
		return false;
	}
	if ((f->leaving || f->ending) && tcp_is_quiet(&f->tcp))
		go_quiet(t, f);
	else
		set_timer(t, f);
	return true;
}

void output_settle(struct fast *t)
{
	struct list now;

	list_init(&now);
	list_splice_tail(&now, &t->busy);
	list_each (pos, tmp, &now) {
		struct flow *f = container_of(pos, struct flow, busy);

		list_del(&f->busy);
		if (!settle(t, f))
			list_add_tail(&t->busy, &f->busy);
	}
}
