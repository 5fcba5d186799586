/* SPDX-License-Identifier: BSD-2-Clause
 *
 * frame.h - between frames and what tcp.h speaks: struct tcp_seg in, struct tcp_out out.
 *
 * Pure: bytes and numbers only. What the wire says is bounded by wire_locate() before it
 * gets here; options that lie about their length end the parse, and what was found before
 * stands (as Linux does it).
 */
#ifndef TASPILOT_FAST_FRAME_H
#define TASPILOT_FAST_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "tcp.h"
#include "taspilot/bpf_abi.h"
#include "taspilot/wire.h"

#define FRAME_HDR	(WIRE_ETH_LEN + WIRE_IP_LEN + WIRE_TCP_LEN)

/* The three parts of a frame's 4-tuple as they stand in it, for one compare. */
struct frame_tuple {
	__be32 saddr, daddr;
	__be16 sport, dport;
};
static_assert(sizeof(struct frame_tuple) == 12, "lies in a frame at one piece");

/* A plain IPv4 header is followed by the ports: the tuple is 12 bytes in a row. */
static inline struct frame_tuple frame_tuple(const struct wire_at *at)
{
	struct frame_tuple t;

	memcpy(&t, &at->ip->saddr, sizeof(t));
	return t;
}

static inline bool frame_tuple_eq(const struct frame_tuple *a, const struct frame_tuple *b)
{
	return a->saddr == b->saddr && a->daddr == b->daddr && a->sport == b->sport &&
	       a->dport == b->dport;
}

/* How frames of @key arrive here. */
struct frame_tuple frame_tuple_of(const struct tp_flow_key *key);

/* Everything of @at that TCP needs. */
void frame_parse(const struct wire_at *at, struct tcp_seg *ret_seg);

/* What all frames of one flow begin with: Ethernet, IP, ports, and their sums. */
struct frame_head {
	uint8_t bytes[FRAME_HDR];
	uint16_t ip_id;			/* of the next frame */
	uint32_t ip_sum;		/* of the IP header without length, id, check */
	uint32_t pseudo_sum;		/* and of both ports; without the length */
};

void frame_head_init(struct frame_head *h, const uint8_t eth[WIRE_ETH_LEN],
		     const struct tp_flow_key *key, uint8_t tos, uint8_t ttl);

/* The program has set IP_TOS or IP_TTL. */
void frame_head_set(struct frame_head *h, uint8_t tos, uint8_t ttl);

/* Bytes of TCP options that frame_build() will write for @o. */
uint32_t frame_opts_len(const struct tcp_out *o);

/* Headers for @o to @frame, whose payload already lies behind them (at FRAME_HDR +
 * frame_opts_len) with the sum @data_sum. Returns the length of the frame.
 */
uint32_t frame_build(struct frame_head *h, const struct tcp_out *o, uint64_t data_sum,
		     uint8_t *frame);

/* The same for a frame that the device cuts into segments and sums: the TCP checksum
 * field gets the pseudo header's sum only.
 */
uint32_t frame_build_gso(struct frame_head *h, const struct tcp_out *o, uint8_t *frame);

#endif
