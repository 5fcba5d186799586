/* SPDX-License-Identifier: BSD-2-Clause
 *
 * segment.c - see segment.h.
 */
#include "segment.h"

#include <arpa/inet.h>
#include <string.h>

static void read_key(const struct wire_at *at, enum seg_from from, struct tp_flow_key *key)
{
	bool in = from == SEG_FROM_WIRE;

	tp_set_ip4(key->peer_ip, in ? at->ip->saddr : at->ip->daddr);
	tp_set_ip4(key->local_ip, in ? at->ip->daddr : at->ip->saddr);
	key->peer_port = ntohs(in ? at->tcp->sport : at->tcp->dport);
	key->local_port = ntohs(in ? at->tcp->dport : at->tcp->sport);
}

/* The option at @opt, of at most @left bytes: its length, 0 at the end of all of them. */
static uint32_t option_len(const uint8_t *opt, uint32_t left)
{
	if (!left || *opt == WIRE_OPT_END)
		return 0;
	if (*opt == WIRE_OPT_NOP)
		return 1;
	return left < 2 || opt[1] < 2 || opt[1] > left ? 0 : opt[1];
}

static void read_option(const uint8_t *opt, uint32_t len, struct segment *s)
{
	switch (*opt) {
	case WIRE_OPT_NOP:
	case WIRE_OPT_MSS:
	case WIRE_OPT_WS:
	case WIRE_OPT_SACK_OK:
	case WIRE_OPT_SACK:
		return;
	case WIRE_OPT_TS:
		if (len != 10)
			return;
		s->has_ts = true;
		s->tsval = wire_get32(opt + 2);
		s->tsecr = wire_get32(opt + 6);
		return;
	default:
		s->odd_options = true;
	}
}

bool segment_read(const uint8_t *frame, size_t len, enum seg_from from, struct segment *ret_seg)
{
	struct wire_at at;
	uint32_t n;

	if (!wire_locate(frame, len, &at))
		return false;

	memset(ret_seg, 0, sizeof(*ret_seg));
	read_key(&at, from, &ret_seg->key);
	ret_seg->seq = ntohl(at.tcp->seq);
	ret_seg->ack = ntohl(at.tcp->ack);
	ret_seg->len = at.data_len;
	ret_seg->window = ntohs(at.tcp->window);
	ret_seg->flags = at.tcp->flags;
	ret_seg->tos = at.ip->tos;
	ret_seg->ttl = at.ip->ttl;
	for (uint32_t off = 0; (n = option_len(at.opts + off, at.opts_len - off)); off += n)
		read_option(at.opts + off, n, ret_seg);
	return true;
}

uint32_t segment_end(const struct segment *s)
{
	return s->seq + s->len + !!(s->flags & WIRE_SYN) + !!(s->flags & WIRE_FIN);
}

/* The checksum of @tcp, in which bytes that summed up to @was now do to @is (RFC 1624:
 * HC' = ~(~HC + ~m + m')).
 */
static void adjust(struct wire_tcp *tcp, uint64_t was, uint64_t is)
{
	tcp->check = (uint16_t)~wire_fold((uint64_t)(uint16_t)~tcp->check +
					  (uint16_t)~wire_fold(was) + wire_fold(is));
}

/* Add @add to the number at @field, which may lie anywhere in the segment at @tcp. */
static void renumber(struct wire_tcp *tcp, uint8_t *field, uint32_t add, bool partial)
{
	size_t off = (size_t)(field - (uint8_t *)tcp);
	uint64_t old = wire_sum_at(wire_sum(field, 4), off);

	wire_put32(field, wire_get32(field) + add);
	if (!partial)
		adjust(tcp, old, wire_sum_at(wire_sum(field, 4), off));
}

void segment_set_window(uint8_t *frame, size_t len, uint16_t window, bool partial)
{
	struct wire_at at;
	struct wire_tcp *tcp;
	uint64_t old;

	if (!wire_locate(frame, len, &at))
		return;
	tcp = (struct wire_tcp *)(frame + ((const uint8_t *)at.tcp - frame));
	old = wire_sum((const uint8_t *)&tcp->window, 2);
	tcp->window = htons(window);
	if (!partial)
		adjust(tcp, old, wire_sum((const uint8_t *)&tcp->window, 2));
}

void segment_renumber(uint8_t *frame, size_t len, uint32_t seq_add, uint32_t ack_add, bool partial)
{
	struct wire_at at;
	struct wire_tcp *tcp;
	uint8_t *opt;
	uint32_t n;

	if (!wire_locate(frame, len, &at))
		return;
	tcp = (struct wire_tcp *)(frame + ((const uint8_t *)at.tcp - frame));
	if (seq_add)
		renumber(tcp, (uint8_t *)&tcp->seq, seq_add, partial);
	if (!ack_add || !(tcp->flags & WIRE_ACK))
		return;
	renumber(tcp, (uint8_t *)&tcp->ack, ack_add, partial);
	opt = (uint8_t *)tcp + WIRE_TCP_LEN;
	for (uint32_t off = 0; (n = option_len(opt + off, at.opts_len - off)); off += n)
		for (uint32_t at_off = 2; opt[off] == WIRE_OPT_SACK && at_off + 4 <= n; at_off += 4)
			renumber(tcp, opt + off + at_off, ack_add, partial);
}

void segment_seal(uint8_t *frame, size_t len)
{
	struct wire_at at;

	if (wire_locate(frame, len, &at))
		wire_tcp_seal(at.ip, (struct wire_tcp *)(frame + ((const uint8_t *)at.tcp - frame)),
			      at.tcp_len);
}

bool segment_is_partial(const uint8_t *frame, size_t len)
{
	struct wire_at at;

	return wire_locate(frame, len, &at) &&
	       at.tcp->check == wire_fold(wire_pseudo(at.ip->saddr, at.ip->daddr, at.tcp_len));
}
