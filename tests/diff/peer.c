/* SPDX-License-Identifier: BSD-2-Clause
 *
 * peer.c - raw frames: make segments, read segments, answer ARP.
 *
 * The bytes of both streams are those of tests/helpers/talk.c, by position.
 */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <taspilot/seq.h>
#include <taspilot/wire.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX	70000
#define WIDE_OPEN	0xffff
#define ARP_LEN		28
#define ARP_REQUEST	1
#define ARP_REPLY	2

struct arp {
	__be16 hardware, protocol;
	uint8_t hardware_len, protocol_len;
	__be16 op;
	uint8_t from_mac[6];
	uint32_t from;
	uint8_t to_mac[6];
	uint32_t to;
} __attribute__((packed));

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)((at * 0x9e3779b97f4a7c15ULL) >> 56 ^ at);
}

int peer_open(const char *ifname, uint32_t me, uint32_t them, struct peer *ret)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex(ifname) };
	struct peer p = { .me = me, .them = them };
	struct ifreq ifr = { 0 };
	int one = 1, err;

	p.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (p.fd < 0)
		return -errno;
	strncpy(ifr.ifr_name, ifname, IFNAMSIZ - 1);
	if (setsockopt(p.fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(p.fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) ||
	    bind(p.fd, (void *)&at, sizeof(at)) || ioctl(p.fd, SIOCGIFHWADDR, &ifr)) {
		err = -errno;
		close(p.fd);
		return err;
	}
	memcpy(p.mac, ifr.ifr_hwaddr.sa_data, 6);
	*ret = p;
	return 0;
}

/* --- ARP -------------------------------------------------------------------------------- */

static void send_arp(struct peer *p, uint16_t op, const uint8_t *to_mac, uint32_t to)
{
	uint8_t frame[WIRE_ETH_LEN + ARP_LEN];
	struct wire_eth *eth = (void *)frame;
	struct arp *arp = (void *)(eth + 1);

	memcpy(eth->dst, to_mac, 6);
	memcpy(eth->src, p->mac, 6);
	wire_put16(&eth->ethertype, WIRE_ETH_ARP);
	*arp = (struct arp){ .hardware = htons(1), .protocol = htons(WIRE_ETH_IP),
			     .hardware_len = 6, .protocol_len = 4, .op = htons(op),
			     .from = p->me, .to = to };
	memcpy(arp->from_mac, p->mac, 6);
	if (op == ARP_REPLY)
		memcpy(arp->to_mac, to_mac, 6);
	if (send(p->fd, frame, sizeof(frame), 0) < 0)
		return;		/* they will ask again, and so shall we */
}

void peer_ask_mac(struct peer *p)
{
	static const uint8_t everyone[6] = { 255, 255, 255, 255, 255, 255 };

	send_arp(p, ARP_REQUEST, everyone, p->them);
}

static void hear_arp(struct peer *p, const uint8_t *frame)
{
	const struct arp *arp = (const void *)(frame + WIRE_ETH_LEN);

	if (arp->to != p->me || arp->from != p->them)
		return;
	memcpy(p->their_mac, arp->from_mac, 6);
	p->knows_mac = true;
	if (arp->op == htons(ARP_REQUEST))
		send_arp(p, ARP_REPLY, arp->from_mac, p->them);
}

/* --- sending ---------------------------------------------------------------------------- */

static uint8_t *put_option(uint8_t *o, uint8_t kind, uint8_t len)
{
	o[0] = kind;
	o[1] = len;
	return o + 2;
}

static uint8_t *put_syn_options(struct peer *p, const struct line *l, uint8_t *o)
{
	bool all = !l->plain && !l->mss.given && !l->ws.given && !l->sackok && !l->tsok;

	if (all || l->mss.given) {
		o = put_option(o, WIRE_OPT_MSS, 4);
		wire_put16(o, (uint16_t)(l->mss.given ? l->mss.value : 1460));
		o += 2;
	}
	if (all || l->sackok)
		o = put_option(o, WIRE_OPT_SACK_OK, 2);
	if (all || l->ws.given) {
		o = put_option(o, WIRE_OPT_WS, 3);
		*o++ = (uint8_t)(l->ws.given ? l->ws.value : 7);
	}
	p->ts = all || l->tsok;
	p->opened = true;
	return o;
}

static uint8_t *put_options(struct peer *p, const struct line *l, uint8_t *o)
{
	if (l->flags & WIRE_SYN && !p->opened)
		o = put_syn_options(p, l, o);
	if (p->ts && !l->nots) {
		o = put_option(o, WIRE_OPT_TS, 10);
		wire_put32(o, p->clock + (uint32_t)(l->ts.given ? l->ts.value : 0));
		wire_put32(o + 4, l->flags & WIRE_ACK ? p->their_tsval : 0);
		o += 8;
	}
	if (l->nsack) {
		o = put_option(o, WIRE_OPT_SACK, (uint8_t)(2 + 8 * l->nsack));
		for (unsigned int i = 0; i < l->nsack; i++, o += 8) {
			wire_put32(o, p->irs + l->sack[i][0]);
			wire_put32(o + 4, p->irs + l->sack[i][1]);
		}
	}
	return o;
}

static void put_payload(uint8_t *data, uint32_t seq, uint32_t len, bool junk)
{
	for (uint32_t i = 0; i < len; i++)
		data[i] = junk ? 'x' : pattern(seq - 1 + i);
}

static uint32_t put_tcp(struct peer *p, const struct line *l, struct wire_tcp *tcp)
{
	uint32_t seq = l->seq.given ? (uint32_t)l->seq.value : p->snd_nxt;
	uint32_t ack = l->ack.given ? (uint32_t)l->ack.value : p->rcv_nxt;
	uint32_t len = (uint32_t)l->len.value, head;
	uint8_t *opts = (uint8_t *)(tcp + 1), *end;

	end = put_options(p, l, opts);
	while ((end - opts) % 4)
		*end++ = WIRE_OPT_NOP;
	head = (uint32_t)(end - (uint8_t *)tcp);

	tcp->sport = htons(p->my_port);
	tcp->dport = htons(p->their_port);
	wire_put32(&tcp->seq, p->isn + seq);
	wire_put32(&tcp->ack, l->flags & WIRE_ACK ? p->irs + ack : 0);
	tcp->doff = (uint8_t)(head / 4 << 4);
	tcp->flags = l->flags;
	wire_put16(&tcp->window, (uint16_t)(l->win.given ? l->win.value : WIDE_OPEN));
	wire_put16(&tcp->urg, (uint16_t)l->urg.value);
	put_payload(end, seq, len, l->junk);

	seq += len + !!(l->flags & WIRE_SYN) + !!(l->flags & WIRE_FIN);
	if (seq_after(seq, p->snd_nxt) && !l->badsum && !(l->flags & WIRE_RST))
		p->snd_nxt = seq;
	return head + len;
}

void peer_send(struct peer *p, const struct line *l)
{
	static uint8_t frame[FRAME_MAX];
	struct wire_eth *eth = (void *)frame;
	struct wire_ip *ip = (void *)(eth + 1);
	struct wire_tcp *tcp = (void *)(ip + 1);
	uint32_t len;

	p->clock += 10;
	memcpy(eth->dst, p->their_mac, 6);
	memcpy(eth->src, p->mac, 6);
	wire_put16(&eth->ethertype, WIRE_ETH_IP);
	len = put_tcp(p, l, tcp);
	*ip = (struct wire_ip){ .version_ihl = 0x45, .ttl = 64, .ipproto = WIRE_PROTO_TCP,
				.tos = l->ce ? WIRE_CE : l->ect ? WIRE_ECT0 : 0,
				.frag = htons(WIRE_IP_DF), .saddr = p->me, .daddr = p->them };
	wire_put16(&ip->tot_len, (uint16_t)(WIRE_IP_LEN + len));
	wire_ip_seal(ip);
	wire_tcp_seal(ip, tcp, len);
	if (l->badsum)
		tcp->check ^= 0x0101;
	if (send(p->fd, frame, WIRE_ETH_LEN + WIRE_IP_LEN + len, 0) < 0)
		printf("not sent: %s\n", strerror(errno));
}

/* --- hearing ---------------------------------------------------------------------------- */

static void hear_option(struct peer *p, const uint8_t *o, struct heard *h)
{
	switch (o[0]) {
	case WIRE_OPT_MSS:
		h->mss = wire_get16(o + 2);
		break;
	case WIRE_OPT_WS:
		h->ws = o[2];
		break;
	case WIRE_OPT_SACK_OK:
		h->sackok = true;
		break;
	case WIRE_OPT_TS:
		h->ts = true;
		h->ecr = (int32_t)(p->clock - wire_get32(o + 6));
		h->ts_back = p->their_tsval && seq_before(wire_get32(o + 2), p->their_tsval);
		if (!h->ts_back)
			p->their_tsval = wire_get32(o + 2);
		break;
	case WIRE_OPT_SACK:
		for (; h->nsack < SACK_MAX && 2U + 8 * (h->nsack + 1) <= o[1]; h->nsack++) {
			h->sack[h->nsack][0] = wire_get32(o + 2 + 8 * h->nsack) - p->isn;
			h->sack[h->nsack][1] = wire_get32(o + 6 + 8 * h->nsack) - p->isn;
		}
		break;
	}
}

static void hear_options(struct peer *p, const struct wire_at *at, struct heard *h)
{
	const uint8_t *o = at->opts, *end = o + at->opts_len;

	while (o < end && o[0] != WIRE_OPT_END) {
		if (o[0] == WIRE_OPT_NOP) {
			o++;
			continue;
		}
		if (end - o < 2 || o[1] < 2 || end - o < o[1])
			return;
		hear_option(p, o, h);
		o += o[1];
	}
}

static bool right_data(const struct wire_at *at, uint32_t seq)
{
	for (uint32_t i = 0; i < at->data_len; i++)
		if (at->data[i] != pattern(seq - 1 + i))
			return false;
	return true;
}

/* What a segment means for what a script leaves out. */
static void follow(struct peer *p, struct heard *h)
{
	uint32_t end = h->seq + h->len + !!(h->flags & WIRE_SYN) + !!(h->flags & WIRE_FIN), edge;

	if (h->flags & WIRE_SYN) {
		p->ts = p->ts && h->ts;
		p->scale = h->ws > 0 ? (uint8_t)h->ws : 0;
	}
	if (!(h->flags & WIRE_RST) && seq_before_eq(h->seq, p->rcv_nxt) && seq_after(end, p->rcv_nxt))
		p->rcv_nxt = end;
	if (h->flags & WIRE_RST || !(h->flags & WIRE_ACK))
		return;
	edge = h->ack + (h->flags & WIRE_SYN ? h->win : h->win << p->scale);
	h->shrunk = seq_before(edge, p->edge);
	p->edge = seq_max(edge, p->edge);
}

static bool hear_tcp(struct peer *p, const uint8_t *frame, size_t len, struct heard *h)
{
	struct wire_at at;

	if (!wire_locate(frame, len, &at) || at.ip->saddr != p->them || at.ip->daddr != p->me ||
	    at.tcp->dport != htons(p->my_port))
		return false;
	if ((at.tcp->flags & (WIRE_SYN | WIRE_ACK)) == WIRE_SYN && !p->opened)
		p->their_port = ntohs(at.tcp->sport);	/* they connect, from where they like */
	if (at.tcp->sport != htons(p->their_port))
		return false;

	*h = (struct heard){ .at_ns = clock_ns(), .flags = at.tcp->flags, .mss = -1, .ws = -1,
			     .ecn = at.ip->tos & WIRE_ECN_MASK, .len = at.data_len };
	h->bad_sum = !wire_ip_ok(at.ip) || !wire_tcp_ok(&at, true);
	if (h->flags & WIRE_SYN && !p->rcv_nxt)
		p->irs = wire_get32(&at.tcp->seq);
	h->seq = wire_get32(&at.tcp->seq) - p->irs;
	h->ack = wire_get32(&at.tcp->ack) - p->isn;
	h->win = wire_get16(&at.tcp->window);
	h->wrong_data = !right_data(&at, h->seq);
	hear_options(p, &at, h);
	follow(p, h);
	return true;
}

bool peer_hear(struct peer *p, int ms, struct heard *ret)
{
	static uint8_t frame[FRAME_MAX];
	struct pollfd fd = { p->fd, POLLIN, 0 };
	ssize_t n;

	if (poll(&fd, 1, ms) != 1)
		return false;
	n = recv(p->fd, frame, sizeof(frame), MSG_DONTWAIT);
	if (n >= (ssize_t)(WIRE_ETH_LEN + ARP_LEN) && wire_get16(frame + 12) == WIRE_ETH_ARP)
		hear_arp(p, frame);
	return n > 0 && hear_tcp(p, frame, (size_t)n, ret);
}
