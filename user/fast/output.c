/* SPDX-License-Identifier: BSD-2-Clause
 *
 * output.c - settle what TCP asked for: tell the program, the slow thread; send.
 *
 * Payload goes from the tx pipe into the frame in one pass that also sums it. The program
 * can write to that pipe at any moment, and says itself where in its memory the pipe lies:
 * pipe.h keeps every offset inside the flow's own areas, and the checksum is of the bytes
 * that were copied, so the worst it can do is to send other bytes of its own.
 *
 * One segment is one AF_XDP frame; what TCP hands out as several at once goes by gso.c, and as
 * single frames should the device not want it.
 *
 * A flow gets so many sends a turn, then the next has its go.
 */
#include "thread.h"

#include <string.h>

#include "sum.h"
#include "trim.h"

#define TURN_SENDS	128U

static uint64_t tx_geometry(const struct flow *f)
{
	uint64_t geom = atomic_load_explicit(&f->shm->tx_geom, memory_order_relaxed);

	return pipe_geom_ok(geom) ? geom : pipe_geom(TP_ORDER_BIG, 0);
}

static uint64_t copy_payload(const struct flow *f, uint64_t pos, uint32_t len, uint8_t *dst)
{
	uint64_t geom = tx_geometry(f), sum = 0;
	uint32_t done = 0;

	while (done < len) {
		unsigned char *from;
		uint32_t n = pipe_span(&f->tx, geom, pos + done, len - done, &from);

		sum = wire_add(sum, wire_sum_at(sum_copy(dst + done, from, n), done));
		done += n;
	}
	return sum;
}

static void count_sent(struct fast *t, const struct tcp_out *o, uint32_t segs)
{
	stats_add(&t->stats.tx_segments, segs);
	stats_add(&t->stats.tx_bytes, o->len);
	if (o->retransmit)
		stats_add(&t->stats.retransmits, segs);
}

/* One segment as one AF_XDP frame. */
static void emit(struct fast *t, struct flow *f, const struct tcp_out *o, uint8_t *frame)
{
	uint32_t head = FRAME_HDR + frame_opts_len(o);
	uint64_t sum = 0;

	if (head + o->len > t->xio.frame_size)	/* cannot be: the MSS was bounded at install */
		return;
	if (o->len)
		sum = copy_payload(f, o->pos, o->len, frame + head);
	xio_tx_send(&t->xio, frame_build(&f->head, o, sum, frame));
	count_sent(t, o, 1);
}

/* Many segments as one frame of the packet socket. What went to the XSK before goes first. */
static bool emit_gso(struct fast *t, struct flow *f, const struct tcp_out *o, uint32_t mss)
{
	uint64_t geom = tx_geometry(f);
	uint8_t head[WIRE_HDR_MAX];
	struct iovec data[2];
	unsigned char *at;
	uint32_t n;

	n = pipe_span(&f->tx, geom, o->pos, o->len, &at);
	data[0] = (struct iovec){ .iov_base = at, .iov_len = n };
	data[1].iov_len = pipe_span(&f->tx, geom, o->pos + n, o->len - n, &at);
	data[1].iov_base = at;
	if (n + data[1].iov_len != o->len)	/* a pipe of fewer bytes: the program scribbled */
		return false;
	xio_kick(&t->xio);
	n = frame_build_gso(&f->head, o, head) - o->len;
	if (!gso_send(&t->gso, head, n, data, 2, mss, o->flags & WIRE_CWR, t->now_ns))
		return false;
	count_sent(t, o, (o->len + mss - 1) / mss);
	return true;
}

/* The same as single frames: FIN and PSH belong to the last, CWR to the first. */
static void emit_split(struct fast *t, struct flow *f, const struct tcp_out *o, uint32_t mss)
{
	struct tcp_out part = *o;

	for (uint32_t done = 0; done < o->len; done += part.len) {
		uint8_t *frame = xio_tx_frame(&t->xio);

		if (!frame)	/* cannot be: room was looked for; TCP repeats what is missing */
			return;
		part.seq = o->seq + done;
		part.pos = o->pos + done;
		part.len = o->len - done < mss ? o->len - done : mss;
		part.flags = o->flags;
		if (done)
			part.flags &= (uint8_t)~WIRE_CWR;
		if (done + part.len < o->len)
			part.flags &= (uint8_t)~(WIRE_FIN | WIRE_PSH);
		emit(t, f, &part, frame);
	}
}

static void emit_any(struct fast *t, struct flow *f, const struct tcp_out *o, uint8_t *frame)
{
	uint32_t mss = f->tcp.mss_now;

	if (o->len <= mss)
		emit(t, f, o, frame);
	else if (o->len <= (GSO_SEGS - 1) * mss || !emit_gso(t, f, o, mss))
		emit_split(t, f, o, mss);
}

/* How many segments TCP may put into one: as many single frames must have room as well. */
static uint32_t segs_at_once(const struct fast *t, const struct flow *f)
{
	uint32_t segs = GSO_BYTES / f->tcp.mss_now;

	if (!gso_usable(&t->gso, t->now_ns) || segs < GSO_SEGS || xio_tx_room(&t->xio) < segs + 1)
		return 1;
	return segs;
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

	for (uint32_t i = 0; i < TURN_SENDS; i++) {
		uint8_t *frame = tx_frame(t);

		if (!frame)
			return false;
		if (!tcp_tx(&f->tcp, t->now_ns, segs_at_once(t, f), &o))
			return true;
		emit_any(t, f, &o, frame);
	}
	return false;
}

/* Without a frame for them they stay due. */
void output_acks(struct fast *t, struct flow *f)
{
	struct tcp_out o;
	uint8_t *frame;

	while ((frame = tx_frame(t)) && tcp_ack(&f->tcp, t->now_ns, &o))
		emit(t, f, &o, frame);
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

uint64_t output_trim_due(const struct flow *f)
{
	uint64_t since = trim_since(&f->tcp);

	if (f->trimmed_ns == since)
		return ~0ULL;
	return since + TRIM_NS > f->trim_turn_ns ? since + TRIM_NS : f->trim_turn_ns;
}

/* A timer that is armed for earlier stays: when it fires, it is armed anew. Deadlines move
 * with every segment, and nearly none is ever reached.
 */
static void set_timer(struct fast *t, struct flow *f)
{
	uint64_t at = tcp_deadline(&f->tcp);

	if (at == ~0ULL)
		at = output_trim_due(f);
	if (at != ~0ULL && (!timer_is_set(&f->timer) || f->timer.at_ns > at))
		timer_set(&t->wheel, &f->timer, at);
}

/* The peer's FIN alone is no hurry: bytes that the program has still to read are its fastest from here. */
static bool may_leave(struct fast *t, struct flow *f)
{
	return f->leaving || (f->ending && !tcp_is_being_read(&f->tcp, t->now_ns));
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
	if (may_leave(t, f) && tcp_is_quiet(&f->tcp))
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
