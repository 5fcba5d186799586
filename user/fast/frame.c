/* SPDX-License-Identifier: BSD-2-Clause
 *
 * frame.c - parse a TCP segment, build a TCP segment.
 */
#include "frame.h"

#include <arpa/inet.h>

/* Options of nearly every segment: NOP, NOP, TS of 10 bytes. */
#define TS_ALIGNED	0x0101080aU
#define TS_LEN		12U

struct frame_tuple frame_tuple_of(const struct tp_flow_key *key)
{
	return (struct frame_tuple){
		.saddr = tp_ip4(key->peer_ip),
		.daddr = tp_ip4(key->local_ip),
		.sport = htons(key->peer_port),
		.dport = htons(key->local_port),
	};
}

static void parse_ts(const uint8_t *opt, struct tcp_seg *seg)
{
	seg->has_ts = true;
	seg->tsval = wire_get32(opt + 2);
	seg->tsecr = wire_get32(opt + 6);
}

static void parse_sack(const uint8_t *opt, uint32_t len, struct tcp_seg *seg)
{
	uint32_t n = (len - 2) / 8;

	if ((len - 2) % 8)
		return;
	for (uint32_t i = 0; i < n && i < TCP_NSACK; i++)
		seg->sack[i] = (struct tcp_sack){ .start = wire_get32(opt + 2 + 8 * i),
						  .end = wire_get32(opt + 6 + 8 * i) };
	seg->nsack = (uint8_t)(n < TCP_NSACK ? n : TCP_NSACK);
}

static void parse_options(const uint8_t *opt, uint32_t left, struct tcp_seg *seg)
{
	while (left && *opt != WIRE_OPT_END) {
		uint32_t len = 1;

		if (*opt != WIRE_OPT_NOP) {
			if (left < 2 || opt[1] < 2 || opt[1] > left)
				return;
			len = opt[1];
			if (*opt == WIRE_OPT_TS && len == 10)
				parse_ts(opt, seg);
			else if (*opt == WIRE_OPT_SACK)
				parse_sack(opt, len, seg);
		}
		opt += len;
		left -= len;
	}
}

void frame_parse(const struct wire_at *at, struct tcp_seg *ret_seg)
{
	const struct wire_tcp *tcp = at->tcp;

	ret_seg->seq = ntohl(tcp->seq);
	ret_seg->ack = ntohl(tcp->ack);
	ret_seg->len = at->data_len;
	ret_seg->data = at->data;
	ret_seg->window = ntohs(tcp->window);
	ret_seg->flags = tcp->flags;
	ret_seg->ce = (at->ip->tos & WIRE_ECN_MASK) == WIRE_CE;
	ret_seg->has_ts = false;
	ret_seg->nsack = 0;
	if (at->opts_len == TS_LEN && wire_get32(at->opts) == TS_ALIGNED)
		parse_ts(at->opts + 2, ret_seg);
	else
		parse_options(at->opts, at->opts_len, ret_seg);
}

void frame_head_set(struct frame_head *h, uint8_t tos, uint8_t ttl)
{
	struct wire_ip *ip = (void *)(h->bytes + WIRE_ETH_LEN);

	ip->tos = tos & (uint8_t)~WIRE_ECN_MASK;
	ip->ttl = ttl;
	h->ip_sum = wire_fold(wire_sum(ip, WIRE_IP_LEN));
}

void frame_head_init(struct frame_head *h, const uint8_t eth[WIRE_ETH_LEN],
		     const struct tp_flow_key *key, uint8_t tos, uint8_t ttl)
{
	struct wire_ip *ip = (void *)(h->bytes + WIRE_ETH_LEN);
	struct wire_tcp *tcp = (void *)(h->bytes + WIRE_ETH_LEN + WIRE_IP_LEN);

	memset(h, 0, sizeof(*h));
	memcpy(h->bytes, eth, WIRE_ETH_LEN);
	ip->version_ihl = 0x45;
	ip->frag = htons(WIRE_IP_DF);
	ip->ipproto = WIRE_PROTO_TCP;
	ip->saddr = tp_ip4(key->local_ip);
	ip->daddr = tp_ip4(key->peer_ip);
	tcp->sport = htons(key->local_port);
	tcp->dport = htons(key->peer_port);
	frame_head_set(h, tos, ttl);
	h->pseudo_sum = wire_fold(wire_pseudo(ip->saddr, ip->daddr, 0) + tcp->sport + tcp->dport);
	h->ip_id = (uint16_t)(h->pseudo_sum * 40503U);	/* begins anywhere */
}

uint32_t frame_opts_len(const struct tcp_out *o)
{
	return (o->has_ts ? TS_LEN : 0) + (o->nsack ? 4 + 8U * o->nsack : 0);
}

static uint8_t *put_ts(uint8_t *opt, const struct tcp_out *o)
{
	wire_put32(opt, TS_ALIGNED);
	wire_put32(opt + 4, o->tsval);
	wire_put32(opt + 8, o->tsecr);
	return opt + TS_LEN;
}

static void put_sack(uint8_t *opt, const struct tcp_out *o)
{
	opt[0] = opt[1] = WIRE_OPT_NOP;
	opt[2] = WIRE_OPT_SACK;
	opt[3] = (uint8_t)(2 + 8 * o->nsack);
	opt += 4;
	for (uint32_t i = 0; i < o->nsack; i++, opt += 8) {
		wire_put32(opt, o->sack[i].start);
		wire_put32(opt + 4, o->sack[i].end);
	}
}

/* IP and TCP headers, all but the TCP checksum. Returns the TCP header's length. */
static uint32_t put_headers(struct frame_head *h, const struct tcp_out *o, uint8_t *frame)
{
	struct wire_ip *ip = (void *)(frame + WIRE_ETH_LEN);
	struct wire_tcp *tcp = (void *)(frame + WIRE_ETH_LEN + WIRE_IP_LEN);
	uint32_t head = WIRE_TCP_LEN + frame_opts_len(o);
	uint8_t *opt = frame + FRAME_HDR;
	uint64_t sum;

	memcpy(frame, h->bytes, FRAME_HDR);
	ip->tot_len = htons((uint16_t)(WIRE_IP_LEN + head + o->len));
	ip->id = htons(h->ip_id++);
	sum = (uint64_t)h->ip_sum + ip->tot_len + ip->id;
	if (o->ect) {
		ip->tos |= WIRE_ECT0;
		sum += (uint64_t)WIRE_ECT0 << 8;	/* the high byte of its word, as in memory */
	}
	ip->check = (uint16_t)~wire_fold(sum);

	tcp->seq = htonl(o->seq);
	tcp->ack = htonl(o->ack);
	tcp->doff = (uint8_t)(head / 4 << 4);
	tcp->flags = o->flags;
	tcp->window = htons(o->window);
	if (o->has_ts)
		opt = put_ts(opt, o);
	if (o->nsack)
		put_sack(opt, o);
	return head;
}

uint32_t frame_build(struct frame_head *h, const struct tcp_out *o, uint64_t data_sum,
		     uint8_t *frame)
{
	struct wire_tcp *tcp = (void *)(frame + WIRE_ETH_LEN + WIRE_IP_LEN);
	uint32_t head = put_headers(h, o, frame);
	uint64_t sum = wire_add(data_sum, (uint64_t)h->pseudo_sum + htons((uint16_t)(head + o->len)));

	/* the ports are in pseudo_sum */
	sum = wire_add(sum, wire_sum((uint8_t *)tcp + 4, head - 4));
	tcp->check = (uint16_t)~wire_fold(sum);
	return WIRE_ETH_LEN + WIRE_IP_LEN + head + o->len;
}

uint32_t frame_build_gso(struct frame_head *h, const struct tcp_out *o, uint8_t *frame)
{
	const struct wire_ip *ip = (const void *)(frame + WIRE_ETH_LEN);
	struct wire_tcp *tcp = (void *)(frame + WIRE_ETH_LEN + WIRE_IP_LEN);
	uint32_t head = put_headers(h, o, frame);

	tcp->check = wire_fold(wire_pseudo(ip->saddr, ip->daddr, head + o->len));
	return WIRE_ETH_LEN + WIRE_IP_LEN + head + o->len;
}
