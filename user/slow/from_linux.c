/* SPDX-License-Identifier: BSD-2-Clause
 *
 * from_linux.c - a frame that Linux wants to send, by the phase of its connection.
 *
 * While a flow is FAST, nothing that Linux sends for it goes to the wire: each frame is a
 * request. Its meaning is found in made.c; what is done about it is here.
 *
 *   pure ACK    Linux answers a segment that we made: swallowed
 *   FIN         the program shut down or closed. Which of both is known from a release record,
 *               which the kernel wrote before it sent FIN: so the ring is drained first. The
 *               fast thread sends FIN behind all that the program wrote; copies are swallowed
 *   RST         abort: the fast thread resets the peer, and nothing is left
 *   probe       keepalive, see keepalive.c
 *   data        a program wrote past us: the flow is handed back and the frame waits, as
 *               Linux's own retransmission would
 */
#include "from_linux.h"

#include "claim.h"
#include "handback.h"
#include "keepalive.h"
#include "made.h"
#include "slow.h"
#include "upcall.h"
#include "watch.h"

static void translate(struct slow *s, struct conn *c, const struct virtio_net_hdr *vnet,
		      uint8_t *frame, uint32_t len)
{
	bool partial = vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

	segment_renumber(frame, len, c->tx_delta, c->rx_delta, partial);
	relay_to_wire(s, vnet, frame, len);
}

static void in_fast(struct slow *s, struct conn *c, const struct segment *seg,
		    const struct virtio_net_hdr *vnet, uint8_t *frame, uint32_t len)
{
	if (seg->has_ts)
		c->linux_tsval = seg->tsval;
	switch (made_request(seg, c->linux_una)) {
	case MADE_REQ_NOTHING:
		return;
	case MADE_REQ_FIN:
		held_drop_all(&c->held);
		held_put(&c->held, SEG_FROM_LINUX, 0, vnet, frame, len);
		handback_fin(s, c);
		return;
	case MADE_REQ_RST:
		handback_linux_reset(s, c);
		return;
	case MADE_REQ_PROBE:
		keepalive_probe(s, c);
		return;
	case MADE_REQ_DATA:
		held_put(&c->held, SEG_FROM_LINUX, 0, vnet, frame, len);
		handback_begin(s, c, TP_WHY_HANDED_BACK);
		return;
	}
}

static void to_conn(struct slow *s, struct conn *c, const struct segment *seg,
		    const struct virtio_net_hdr *vnet, uint8_t *frame, uint32_t len)
{
	switch (c->phase) {
	case CONN_CLAIM:
		claim_from_linux(s, c, seg, vnet, frame, len);
		return;
	case CONN_FAST:
		in_fast(s, c, seg, vnet, frame, len);
		return;
	case CONN_BACK:
		handback_from_linux(s, c, seg, vnet, frame, len);
		return;
	case CONN_LINUX:
		translate(s, c, vnet, frame, len);
		return;
	case CONN_DEAD:
	case CONN_GONE:
		return;
	}
}

void from_linux(struct slow *s, const struct virtio_net_hdr *vnet, uint8_t *frame, uint32_t len)
{
	struct segment seg;
	struct conn *c;

	if (!segment_read(frame, len, SEG_FROM_LINUX, &seg)) {
		relay_to_wire(s, vnet, frame, len);
		return;
	}
	if (seg.flags & WIRE_FIN)
		upcall_drain(s, UPCALL_ALL);
	c = conn_find(&s->conns, &seg.key);
	if (c && c->phase == CONN_LINUX && (watch_is_syn(&seg) || watch_is_synack(&seg))) {
		handback_gone(s, c);
		watch_linux_syn(s, &seg, frame);
		c = NULL;
	}
	if (c)
		to_conn(s, c, &seg, vnet, frame, len);
	else
		relay_to_wire(s, vnet, frame, len);
}
