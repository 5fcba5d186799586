/* SPDX-License-Identifier: BSD-2-Clause
 *
 * made.c - what Linux must learn of a connection that it stood still in, made from numbers.
 *
 * While a flow is FAST, nothing of the wire is forwarded to Linux: its numbers are foreign
 * there. What happened is told by segments of our own, at Linux's numbers: seq is Linux's
 * rcv_nxt, ack its snd_una, plus one each for a FIN of the peer and the peer's ACK of ours.
 *
 * The window. Linux believes in the peer's window of the switch. It takes a smaller one only
 * from a segment with a newer seq or ack, or if that is zero (tcp_may_update_window()); so
 * where neither moved, a zero comes first, then the true one. A larger one rides on the FIN.
 *
 * A RST to Linux has no timestamp: the peer's newest may have gone past us, and in TIME_WAIT, Linux
 * believes no RST with an older one (PAWS). It has the exact number, which is what RSTs are judged by.
 *
 * Invariant: told in the order ACK, window, FIN, so that Linux never sees something behind
 * the peer's FIN.
 */
#include "made.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <string.h>

#include "taspilot/seq.h"

#define TS_LEN		12U
#define TS_ALIGNED	0x0101080aU	/* NOP, NOP, TS of 10 bytes */
#define MADE_TTL	64

static void put_eth(struct wire_eth *eth, const struct made_flow *f, enum made_to to)
{
	const struct wire_eth *linux_eth = (const void *)f->eth;

	*eth = *linux_eth;
	if (to == MADE_TO_WIRE)
		return;
	memcpy(eth->dst, linux_eth->src, sizeof(eth->dst));
	memcpy(eth->src, linux_eth->dst, sizeof(eth->src));
}

static void put_ip(struct wire_ip *ip, const struct made_flow *f, enum made_to to, uint32_t len)
{
	__be32 local = tp_ip4(f->key.local_ip), peer = tp_ip4(f->key.peer_ip);

	*ip = (struct wire_ip){
		.version_ihl = 0x45,
		.tot_len = htons((uint16_t)len),
		.frag = htons(WIRE_IP_DF),
		.ttl = f->ttl ? f->ttl : MADE_TTL,
		.ipproto = WIRE_PROTO_TCP,
		.saddr = to == MADE_TO_WIRE ? local : peer,
		.daddr = to == MADE_TO_WIRE ? peer : local,
	};
	wire_ip_seal(ip);
}

size_t made_build(const struct made_flow *f, enum made_to to, const struct made_seg *s,
		  uint8_t *ret_frame)
{
	struct wire_ip *ip = (void *)(ret_frame + WIRE_ETH_LEN);
	struct wire_tcp *tcp = (void *)(ret_frame + WIRE_ETH_LEN + WIRE_IP_LEN);
	bool has_ts = f->has_ts && !(to == MADE_TO_LINUX && s->flags & WIRE_RST);
	uint32_t tcp_len = WIRE_TCP_LEN + (has_ts ? TS_LEN : 0);
	uint8_t *opt = (uint8_t *)tcp + WIRE_TCP_LEN;

	put_eth((void *)ret_frame, f, to);
	put_ip(ip, f, to, WIRE_IP_LEN + tcp_len + s->len);
	*tcp = (struct wire_tcp){
		.sport = htons(to == MADE_TO_WIRE ? f->key.local_port : f->key.peer_port),
		.dport = htons(to == MADE_TO_WIRE ? f->key.peer_port : f->key.local_port),
		.seq = htonl(s->seq),
		.ack = htonl(s->ack),
		.doff = (uint8_t)(tcp_len / 4 << 4),
		.flags = s->flags,
		.window = htons(s->window),
	};
	if (has_ts) {
		wire_put32(opt, TS_ALIGNED);
		wire_put32(opt + 4, f->tsval);
		wire_put32(opt + 8, f->tsecr);
	}
	if (s->len)
		memcpy((uint8_t *)tcp + tcp_len, s->data, s->len);
	wire_tcp_seal(ip, tcp, tcp_len + s->len);
	return WIRE_ETH_LEN + WIRE_IP_LEN + tcp_len + s->len;
}

static uint16_t scaled(uint32_t wnd, uint8_t scale)
{
	wnd >>= scale;
	return (uint16_t)(wnd < 0xffff ? wnd : 0xffff);
}

size_t made_tell(const struct made_news *n, struct made_seg ret_seg[MADE_TELL_MAX])
{
	struct made_seg s = {
		.seq = n->seq,
		.ack = n->ack + n->fin_acked,
		.window = scaled(n->wire_wnd, n->snd_wscale),
		.flags = WIRE_ACK,
	};
	size_t count = 0;

	if (n->fin_acked) {
		ret_seg[count++] = s;
	} else if (n->may_send && n->wire_wnd < n->linux_wnd) {
		ret_seg[count] = s;
		ret_seg[count++].window = 0;
		ret_seg[count++] = s;
	} else if (!n->peer_fin) {
		ret_seg[count++] = s;
	}
	if (n->peer_fin) {
		s.flags |= WIRE_FIN;
		ret_seg[count++] = s;
	}
	return count;
}

enum made_request made_request(const struct segment *s, uint32_t snd_una)
{
	if (s->flags & WIRE_RST)
		return MADE_REQ_RST;
	if (s->seq == snd_una - 1 && s->len <= 1 && !(s->flags & WIRE_FIN))
		return MADE_REQ_PROBE;
	if (s->len)
		return MADE_REQ_DATA;
	if (!(s->flags & WIRE_FIN))
		return MADE_REQ_NOTHING;
	return s->seq == snd_una ? MADE_REQ_FIN : MADE_REQ_DATA;
}

bool made_is_old(const struct segment *s, uint32_t rx_delta, const struct tp_answer *a)
{
	return !a->found && a->tcp_state == TCP_TIME_WAIT && !(s->flags & WIRE_RST) &&
	       !seq_after(segment_end(s) - rx_delta, a->rcv_nxt);
}
