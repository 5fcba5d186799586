/* SPDX-License-Identifier: BSD-2-Clause
 *
 * input.c - frames in: to their flow, to another thread, or back to the slow path.
 *
 *	our flow, LIVE		checksums, parse, tcp_rx
 *	our flow, not LIVE	stray: Linux finishes that connection
 *	a flow_id of another	handed over; the owner looks at it as we did here
 *	no flow_id, no flow	may be anybody's: passed from thread to thread, once round
 *	nobody's		commands first (its INSTALL may wait there), then stray
 *	injected, nobody's	dropped: its flow was here when the slow path sent it
 */
#include "thread.h"

#include <string.h>

#include "sum.h"

static void deliver(struct fast *t, struct flow *f, const struct wire_at *at)
{
	struct tcp_seg seg;

	if (!wire_ip_ok(at->ip) ||
	    !wire_tcp_sum_ok(at, sum_of(at->tcp, at->tcp_len), t->partial_csum_ok)) {
		stats_add(&t->stats.rx_bad_csum, 1);
		return;
	}
	frame_parse(at, &seg);
	stats_add(&t->stats.rx_segments, 1);
	stats_add(&t->stats.rx_bytes, seg.len);
	idle_frame(&t->idle, seg.flags & WIRE_PSH);
	if (tcp_ack_first(&f->tcp, &seg))
		output_acks(t, f);
	flow_touch(t, f, tcp_rx(&f->tcp, &seg, t->now_ns));
}

static bool hand_to(struct fast *t, uint32_t thread, const struct carried *head,
		    const uint8_t *frame)
{
	struct fast *to = t->set->thread[thread];
	struct carried *c = spsc_reserve(&to->handed[t->index]);

	/* full: dropped, the peer repeats it */
	if (c && sizeof(*c) + head->len <= FAST_FRAME) {
		*c = *head;
		memcpy(c->data, frame, head->len);
		spsc_commit(&to->handed[t->index]);
		stats_add(&t->stats.handed_over, 1);
		wake_up(&to->wake);
	}
	return true;
}

/* True: another thread sees to it. */
static bool hand_over(struct fast *t, const struct carried *head, const uint8_t *frame)
{
	const struct fast_set *s = t->set;
	uint32_t owner;

	if (s->threads == 1)
		return false;
	if (head->id < TP_MAX_FLOWS) {
		owner = atomic_load_explicit(&s->owner[head->id], memory_order_acquire);
		if (owner && owner - 1 != t->index)
			return hand_to(t, owner - 1, head, frame);
		return false;
	}
	if (head->hops + 1 >= s->threads)
		return false;
	return hand_to(t, (t->index + 1) % s->threads, head, frame);
}

static void frame_in(struct fast *t, const uint8_t *frame, const struct carried *head)
{
	struct wire_at at;
	struct frame_tuple tuple;
	struct flow *f;

	if (!wire_locate(frame, head->len, &at)) {
		stats_add(&t->stats.rx_bad, 1);
		return;
	}
	tuple = frame_tuple(&at);
	f = flow_find(&t->flows, head->id, &tuple);
	if (!f && command_take(t))
		f = flow_find(&t->flows, head->id, &tuple);
	if (f && f->phase == FLOW_LIVE)
		deliver(t, f, &at);
	else if (f || !hand_over(t, head, frame))
		tell_stray(t, frame, head->len);
}

void input_injected(struct fast *t, const uint8_t *frame, uint32_t len)
{
	struct wire_at at;
	struct frame_tuple tuple;
	struct flow *f;

	if (!wire_locate(frame, len, &at))
		return;
	tuple = frame_tuple(&at);
	f = flow_by_tuple(&t->flows, &tuple);
	if (f && f->phase == FLOW_LIVE)
		deliver(t, f, &at);
	else if (f)
		tell_stray(t, frame, len);
}

static uint32_t id_of(const struct xio_frame *f)
{
	const struct tp_meta *m = xio_meta(f);

	return m->magic == TP_META_MAGIC ? m->flow_id : FLOW_NO_ID;
}

/* A frame was written by another core, and with many flows nothing of them is in cache. So
 * what frame i needs is fetched while those before it are worked on, a step of the way at a
 * time: the frame and what XDP wrote before it; the table entry; the flow; its slot.
 */
#define AHEAD_FRAME	8U
#define AHEAD_ENTRY	6U
#define AHEAD_FLOW	4U
#define AHEAD_SLOT	2U

static void prefetch_lines(const void *at, uint32_t lines)
{
	for (uint32_t i = 0; i < lines; i++)
		__builtin_prefetch((const uint8_t *)at + i * TP_LINE);
}

static uint32_t id_ahead(const struct fast *t, uint32_t i)
{
	struct xio_frame f;

	if (i >= t->xio.rx_n)
		return FLOW_NO_ID;
	f = xio_rx_frame(&t->xio, i);
	return id_of(&f);
}

static void prefetch_frame(const struct fast *t, uint32_t i)
{
	if (i < t->xio.rx_n)
		prefetch_lines(xio_rx_frame(&t->xio, i).data - TP_LINE, 3);
}

static void prefetch_for(const struct fast *t, uint32_t i)
{
	uint32_t id = id_ahead(t, i + AHEAD_ENTRY);
	const struct flow *f;

	prefetch_frame(t, i + AHEAD_FRAME);
	if (id < TP_MAX_FLOWS)
		__builtin_prefetch(&t->flows.by_id[id]);
	f = flow_by_id(&t->flows, id_ahead(t, i + AHEAD_FLOW));
	if (f) {
		prefetch_lines(f, 2);
		prefetch_lines(&f->tcp, 4);
	}
	f = flow_by_id(&t->flows, id_ahead(t, i + AHEAD_SLOT));
	if (f)
		prefetch_lines(f->shm, 3);
}

uint32_t input_wire(struct fast *t)
{
	uint32_t n = xio_rx(&t->xio, XIO_RX_FRAMES);

	for (uint32_t i = 0; i < n && i < AHEAD_FRAME; i++)
		prefetch_frame(t, i);
	for (uint32_t i = 0; i < n; i++) {
		struct xio_frame f = xio_rx_frame(&t->xio, i);

		prefetch_for(t, i);
		frame_in(t, f.data, &(struct carried){ .id = id_of(&f), .len = f.len });
	}
	xio_rx_done(&t->xio);
	return n;
}

uint32_t input_handed(struct fast *t)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->set->threads; i++) {
		struct spsc *r = &t->handed[i];

		for (struct carried *c; i != t->index && (c = spsc_peek(r)); n++) {
			struct carried head = *c;

			head.hops++;
			frame_in(t, c->data, &head);
			spsc_release(r);
		}
	}
	return n;
}
