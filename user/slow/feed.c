/* SPDX-License-Identifier: BSD-2-Clause
 *
 * feed.c - bytes that nobody had read go to Linux before their flow does.
 *
 * A flow that goes back may have bytes in its rx pipe. Who will read on may know nothing of
 * pipes: a program that was started by exec, got the fd by SCM_RIGHTS, or uses io_uring. So
 * these bytes are taken out of the pipe, and Linux gets them by made segments, before all that the
 * peer sends from then on. Once a flow is LINUX, Linux has every byte of it.
 *
 *   pipe      [ read | taken: feed_len bytes from feed_from ]
 *   Linux            linux_rcv ..... + fed ..... + feed_len = rx_head: wire's rcv_nxt
 *
 * What is taken counts in rx_delta from the start; so both deltas are final, and stay.
 *
 * As a rule all of it fits into Linux's window at once, and nobody notices: the program finds
 * rx_lock taken until Linux has the bytes, and the FIN behind them. Else it is let go on, and the flow
 * stays in HOLD (c->feeding) for as long as the program takes to read:
 *
 *  frames of the peer	it has been acknowledged all it sent, and is told window 0. Its ACKs are
 *			passed on without their data; data, FIN and probes are answered (it repeats
 *			what it needs). RST at the exact number: Linux is told after the last byte
 *  frames of Linux	translated, but for what they acknowledge: that is what the peer knows
 *			already. Each tells how far Linux's window reaches, which is how we go on
 *  every tick		Linux is asked; did it stand still, what it lacks is sent again
 */
#include "feed.h"

#include <errno.h>
#include <stdlib.h>

#include "handback.h"
#include "slow.h"
#include "taspilot/seq.h"

#define FEED_SEG_MAX	9000U		/* payload of a made segment, at most */
#define FEED_SEG_MIN	48U
#define TAKE_TRIES	40U		/* ticks that a reader may stand still with the lock: 2 s */

/* Detaching, we cannot wait for programs to read: what does not fit stays where it is. */
static bool must_stay(struct slow *s, const struct conn *c, uint32_t unread)
{
	struct tp_answer a;

	if (!slow_is_closing(s) || !c->region->users || ask_linux(s->att, &c->key, &a))
		return false;
	return a.found && unread > a.rcv_wup + a.rcv_wnd - a.rcv_nxt;
}

/* Has whoever has the pipe's lock stood still for long? No reader does that but one that was stopped, or
 * killed while nobody else reads who would notice.
 */
static bool stands_still(struct conn *c)
{
	uint64_t read = slot_read(c->region, c->slot);

	c->take_tries = read == c->read_seen ? c->take_tries + 1 : 0;
	c->read_seen = read;
	return c->take_tries >= TAKE_TRIES;
}

int feed_take(struct slow *s, struct conn *c)
{
	uint64_t head = c->last.rx_bytes;
	uint32_t unread = slot_unread(c->region, c->slot, head);

	c->feed_len = c->fed = 0;
	c->feed_seen = c->linux_rcv;
	c->feeding = c->wire_reset = c->reader_waits = false;
	if (unread && !must_stay(s, c, unread)) {
		if (slot_take_unread(c->region, c->slot, head, stands_still(c), &c->feed_from,
				     &c->feed_len))
			return -EAGAIN;
		c->reader_waits = true;
	}
	c->taken = true;
	return 0;
}

void feed_switch(struct slow *s, struct conn *c)
{
	if (!c->reader_waits)
		return;
	c->reader_waits = false;
	slot_give_up_unread(c->region, c->slot, c->last.rx_bytes);
	slow_tell_flow(s, c, FAST_CMD_NOTIFY);
}

static void send_piece(struct slow *s, struct conn *c, uint32_t len)
{
	static uint8_t data[FEED_SEG_MAX];
	uint32_t window = c->last.snd_wnd >> c->snd_wscale;

	slot_read_taken(c->region, c->slot, c->feed_from + c->fed, data, len);
	handback_say(s, c, MADE_TO_LINUX,
		     &(struct made_seg){
			     .seq = c->linux_rcv + c->fed,
			     .ack = c->linux_una + c->last.fin_acked,
			     .window = (uint16_t)(window < 0xffff ? window : 0xffff),
			     .flags = WIRE_ACK | WIRE_PSH,
			     .data = data,
			     .len = len,
		     });
	c->fed += len;
}

/* Up to @edge, in Linux's numbers. */
static void push_to(struct slow *s, struct conn *c, uint32_t edge)
{
	uint32_t most = c->last.mss, room, left;

	most = most < FEED_SEG_MIN ? FEED_SEG_MIN : most > FEED_SEG_MAX ? FEED_SEG_MAX : most;
	for (; c->fed < c->feed_len; send_piece(s, c, left < most ? left : most)) {
		if (!seq_after(edge, c->linux_rcv + c->fed))
			return;
		room = edge - (c->linux_rcv + c->fed);
		left = c->feed_len - c->fed;
		left = left < room ? left : room;
	}
}

void feed_push(struct slow *s, struct conn *c, const struct tp_answer *a)
{
	if (a->found)
		push_to(s, c, a->rcv_wup + a->rcv_wnd);
}

bool feed_is_over(const struct conn *c, const struct tp_answer *a)
{
	return !a->found || seq_after_eq(a->rcv_nxt, c->linux_rcv + c->feed_len);
}

/* What the peer must know of us: all its bytes are here, and there is no room for more. */
static void answer_peer(struct slow *s, struct conn *c)
{
	handback_say(s, c, MADE_TO_WIRE,
		     &(struct made_seg){ .seq = c->feed_snd, .ack = c->last.rcv_nxt,
					 .flags = WIRE_ACK });
}

void feed_wait(struct slow *s, struct conn *c)
{
	struct held_frame *f;
	struct held kept = c->held;
	struct segment seg;

	if (c->feeding)
		return;
	list_init(&kept.frames);
	list_splice_tail(&kept.frames, &c->held.frames);
	held_init(&c->held);
	c->feeding = true;
	c->feed_snd = c->last.snd_nxt;
	answer_peer(s, c);
	while ((f = held_take(&kept))) {
		if (segment_read(f->data, f->len, f->from, &seg)) {
			if (f->from == SEG_FROM_WIRE)
				feed_from_wire(s, c, &seg);
			else if (!handback_is_done(c, &seg))
				feed_from_linux(s, c, &seg, &f->vnet, f->data, f->len);
		}
		free(f);
	}
}

void feed_again(struct slow *s, struct conn *c, const struct tp_answer *a)
{
	if (a->rcv_nxt == c->feed_seen && !feed_is_over(c, a))
		c->fed = a->rcv_nxt - c->linux_rcv;
	c->feed_seen = a->rcv_nxt;
	feed_push(s, c, a);
}

/* The peer's ACK, without what else the segment brings. */
static void pass_ack(struct slow *s, struct conn *c, const struct segment *seg)
{
	if (seg->has_ts && seq_after(seg->tsval, c->last.ts_recent))
		c->last.ts_recent = seg->tsval;
	if (seg->has_ts)
		c->linux_tsval = seg->tsecr;
	c->last.snd_wnd = (uint32_t)seg->window << c->snd_wscale;
	if (seq_after(seg->ack - c->tx_delta, c->linux_una))
		c->linux_una = seg->ack - c->tx_delta - c->last.fin_acked;
	handback_say(s, c, MADE_TO_LINUX,
		     &(struct made_seg){ .seq = c->linux_rcv + c->fed,
					 .ack = seg->ack - c->tx_delta,
					 .window = seg->window,
					 .flags = WIRE_ACK });
}

void feed_from_wire(struct slow *s, struct conn *c, const struct segment *seg)
{
	if (seg->flags & WIRE_SYN)
		return;
	if (seg->flags & WIRE_RST) {
		c->wire_reset |= seg->seq == c->last.rcv_nxt;
		return;
	}
	if (seg->flags & WIRE_ACK)
		pass_ack(s, c, seg);
	if (seg->len || seg->flags & WIRE_FIN || seg->seq != c->last.rcv_nxt)
		answer_peer(s, c);
}

void feed_translate(struct slow *s, struct conn *c, const struct segment *seg,
		    const struct virtio_net_hdr *vnet, uint8_t *frame, uint32_t len)
{
	bool partial = vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	uint32_t end = segment_end(seg) + c->tx_delta;

	segment_renumber(frame, len, c->tx_delta, c->last.rcv_nxt - seg->ack, partial);
	segment_set_window(frame, len, 0, partial);
	if (seq_after(end, c->feed_snd))
		c->feed_snd = end;
	relay_to_wire(s, vnet, frame, len);
}

void feed_from_linux(struct slow *s, struct conn *c, const struct segment *seg,
		     const struct virtio_net_hdr *vnet, uint8_t *frame, uint32_t len)
{
	if (seg->has_ts)
		c->linux_tsval = seg->tsval;
	if (seg->len || seg->flags & WIRE_FIN)
		feed_translate(s, c, seg, vnet, frame, len);
	if (seg->flags & WIRE_ACK)
		push_to(s, c, seg->ack + ((uint32_t)seg->window << c->rcv_wscale));
}
