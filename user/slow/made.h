/* SPDX-License-Identifier: BSD-2-Clause
 *
 * made.h - segments that we make ourselves, and what Linux's own mean. See made.c.
 */
#ifndef TASPILOT_SLOW_MADE_H
#define TASPILOT_SLOW_MADE_H

#include <net/ethernet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "segment.h"

#define MADE_FRAME_MAX	(WIRE_ETH_LEN + WIRE_IP_LEN + WIRE_TCP_LEN + 12)
#define MADE_TELL_MAX	4

/* What all made segments of one connection share. */
struct made_flow {
	struct tp_flow_key key;
	uint8_t eth[ETH_HLEN];		/* as *Linux's* frames begin: dst is the next hop */
	uint8_t ttl;
	bool has_ts;
	uint32_t tsval, tsecr;
};

struct made_seg {
	uint32_t seq, ack;
	uint16_t window;		/* ready for the wire */
	uint8_t flags;
	const uint8_t *data;		/* payload, if @len */
	uint32_t len;
};

enum made_to { MADE_TO_LINUX, MADE_TO_WIRE };

/* The frame of @s. Returns its length, at most MADE_FRAME_MAX and the payload. */
size_t made_build(const struct made_flow *f, enum made_to to, const struct made_seg *s,
		  uint8_t *ret_frame);

/* Where Linux stands, and what happened on the wire while it stood still. */
struct made_news {
	uint32_t seq;			/* Linux's rcv_nxt */
	uint32_t ack;			/* Linux's snd_una */
	bool fin_acked;			/* the peer has acknowledged our FIN */
	bool peer_fin;
	bool may_send;			/* Linux has not sent FIN: the window matters to it */
	uint32_t linux_wnd;		/* the peer's window as Linux believes it, bytes */
	uint32_t wire_wnd;		/* as it is */
	uint8_t snd_wscale;
};

/* The segments that tell Linux all of @n, in order. Returns how many. */
size_t made_tell(const struct made_news *n, struct made_seg ret_seg[MADE_TELL_MAX]);

/* What a frame of Linux asks for, while Linux stands still at @snd_una, @rcv_nxt. */
enum made_request {
	MADE_REQ_NOTHING,		/* a pure ACK */
	MADE_REQ_FIN,
	MADE_REQ_RST,
	MADE_REQ_PROBE,			/* keepalive */
	MADE_REQ_DATA,			/* a program wrote past us; or FIN behind such data */
};
/* @s of the peer, whose numbers are @rx_delta ahead of Linux's, was kept for so long that it was repeated: Linux
 * is in TIME_WAIT, so @a says, and has all of it.
 */
bool made_is_old(const struct segment *s, uint32_t rx_delta, const struct tp_answer *a);

enum made_request made_request(const struct segment *s, uint32_t snd_una);

#endif
