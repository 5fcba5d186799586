/* SPDX-License-Identifier: BSD-2-Clause
 *
 * segment.c - read a frame just far enough to choose, mark and log it.
 *
 * What does not parse, and fragments, are frames like any other, of no further class.
 */
#include "segment.h"

#include "schedule.h"

#include <stdio.h>
#include <taspilot/wire.h>

#define IP6_LEN		40U
#define ETH_IP6		0x86dd
#define PROTO_UDP	17
#define PROTO_ICMP6	58

static void read_ip4(struct segment *s, const uint8_t *frame, size_t len)
{
	const struct wire_ip *ip = (const void *)(frame + s->ip);
	size_t head, tot;

	if (len < s->ip + WIRE_IP_LEN)
		return;
	head = (ip->version_ihl & 15) * 4U;
	tot = wire_get16(&ip->tot_len);
	if (ip->version_ihl >> 4 != 4 || head < WIRE_IP_LEN || tot < head || s->ip + tot > len)
		return;
	s->version = 4;
	s->proto = ip->ipproto;
	if (wire_get16(&ip->frag) & WIRE_IP_FRAG)
		return;
	s->l4 = s->ip + head;
	s->l4_len = tot - head;
}

static void read_ip6(struct segment *s, const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + s->ip;

	if (len < s->ip + IP6_LEN || ip[0] >> 4 != 6 || s->ip + IP6_LEN + wire_get16(ip + 4) > len)
		return;
	s->version = 6;
	s->proto = ip[6];
	s->l4 = s->ip + IP6_LEN;
	s->l4_len = wire_get16(ip + 4);
}

static void read_tcp(struct segment *s, const uint8_t *frame)
{
	const struct wire_tcp *tcp = (const void *)(frame + s->l4);
	size_t head;

	if (s->l4_len < WIRE_TCP_LEN)
		return;
	head = (size_t)(tcp->doff >> 4) * 4;
	if (head < WIRE_TCP_LEN || head > s->l4_len)
		return;

	s->flags = tcp->flags;
	s->seq = wire_get32(&tcp->seq);
	s->ack = wire_get32(&tcp->ack);
	s->payload = (uint32_t)(s->l4_len - head);
	if (s->payload)
		s->classes |= 1U << CLASS_DATA;
	else if (!(s->flags & (WIRE_SYN | WIRE_FIN | WIRE_RST)))
		s->classes |= 1U << CLASS_ACK;
	if (s->flags & WIRE_SYN)
		s->classes |= 1U << CLASS_SYN;
	if (s->flags & WIRE_FIN)
		s->classes |= 1U << CLASS_FIN;
}

struct segment segment_read(const uint8_t *frame, size_t len)
{
	struct segment s = { 0 };
	uint16_t ethertype;

	if (len < WIRE_ETH_LEN)
		return s;
	ethertype = wire_get16(frame + 12);
	if (ethertype != WIRE_ETH_IP && ethertype != ETH_IP6)
		return s;

	s.ip = WIRE_ETH_LEN;
	if (ethertype == WIRE_ETH_IP)
		read_ip4(&s, frame, len);
	else
		read_ip6(&s, frame, len);
	s.counted = !(frame[0] & 1) && s.proto != PROTO_ICMP6;
	if (s.counted)
		s.classes = 1U << CLASS_FRAME;
	if (s.counted && s.l4 && s.proto == WIRE_PROTO_TCP)
		read_tcp(&s, frame);
	return s;
}

/* RFC 3168: CE is both bits. IPv6 has them in the lower nibble's end of its first two bytes. */
bool segment_mark(uint8_t *frame, const struct segment *s)
{
	struct wire_ip *ip = (void *)(frame + s->ip);

	if (s->version == 4 && (ip->tos & WIRE_ECN_MASK)) {
		ip->tos |= WIRE_CE;
		ip->check = 0;
		ip->check = (uint16_t)~wire_fold(wire_sum(ip, (ip->version_ihl & 15) * 4U));
		return true;
	}
	if (s->version == 6 && (frame[s->ip + 1] & 0x30)) {
		frame[s->ip + 1] |= 0x30;
		return true;
	}
	return false;
}

void segment_finish_checksum(uint8_t *frame, const struct segment *s)
{
	size_t addr = s->version == 4 ? 12 : 8, addr_len = s->version == 4 ? 8 : 32;
	uint8_t *l4 = frame + s->l4, *at;
	uint64_t sum;
	uint16_t check;

	if (!s->l4 || s->l4_len < 8 || (s->proto != WIRE_PROTO_TCP && s->proto != PROTO_UDP))
		return;
	if (s->proto == WIRE_PROTO_TCP && s->l4_len < WIRE_TCP_LEN)
		return;

	at = l4 + (s->proto == PROTO_UDP ? 6 : 16);
	memset(at, 0, 2);
	sum = wire_add(wire_sum(frame + s->ip + addr, addr_len), wire_sum(l4, s->l4_len));
	sum = wire_add(sum, __builtin_bswap16((uint16_t)s->l4_len) + ((uint64_t)s->proto << 8));
	check = (uint16_t)~wire_fold(sum);
	if (!check && s->proto == PROTO_UDP)
		check = 0xffff;		/* 0 means none there */
	memcpy(at, &check, 2);
}

void segment_print(const struct segment *s, char *buf, size_t size)
{
	static const char letters[] = "FSRPAUEC";
	char flags[9];
	unsigned int n = 0;

	if (!s->flags) {
		snprintf(buf, size, "protocol %u", s->proto);
		return;
	}
	for (unsigned int i = 0; i < 8; i++)
		if (s->flags & 1U << i)
			flags[n++] = letters[i];
	flags[n] = 0;
	snprintf(buf, size, "%s %u:%u ack %u", flags, s->seq, s->seq + s->payload, s->ack);
}
