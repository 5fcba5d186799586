/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wire.h - Ethernet, IPv4 and TCP as they stand in a frame, and their checksums.
 *
 * Frames are bytes from strangers at any alignment: every header is read through a packed
 * struct after its length was checked, nothing is believed before.
 *
 * A sum here is the one's complement sum of RFC 1071 kept in 64 bits, in the byte order of
 * memory (which that sum does not care about); wire_fold() makes 16 bits of it, and a
 * checksum field holds ~wire_fold(sum). Sums add. A block that begins at an odd offset of
 * what is summed has its bytes swapped: wire_sum_at().
 */
#ifndef TASPILOT_WIRE_H
#define TASPILOT_WIRE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <linux/types.h>

#define WIRE_ETH_LEN	14U
#define WIRE_IP_LEN	20U		/* without options: all that we send or take */
#define WIRE_TCP_LEN	20U		/* without options */
#define WIRE_TCP_MAX	60U
#define WIRE_HDR_MAX	(WIRE_ETH_LEN + WIRE_IP_LEN + WIRE_TCP_MAX)

#define WIRE_ETH_IP	0x0800
#define WIRE_ETH_ARP	0x0806
#define WIRE_PROTO_TCP	6
#define WIRE_IP_DF	0x4000
#define WIRE_IP_FRAG	0x3fff		/* more fragments, or an offset */

#define WIRE_FIN	0x01
#define WIRE_SYN	0x02
#define WIRE_RST	0x04
#define WIRE_PSH	0x08
#define WIRE_ACK	0x10
#define WIRE_URG	0x20
#define WIRE_ECE	0x40
#define WIRE_CWR	0x80

#define WIRE_ECN_MASK	0x03		/* of tos */
#define WIRE_ECT0	0x02
#define WIRE_CE		0x03

#define WIRE_OPT_END	0
#define WIRE_OPT_NOP	1
#define WIRE_OPT_MSS	2
#define WIRE_OPT_WS	3
#define WIRE_OPT_SACK_OK 4
#define WIRE_OPT_SACK	5
#define WIRE_OPT_TS	8

struct wire_eth {
	uint8_t dst[6], src[6];
	__be16 ethertype;
} __attribute__((packed));

struct wire_ip {
	uint8_t version_ihl;
	uint8_t tos;
	__be16 tot_len;
	__be16 id;
	__be16 frag;
	uint8_t ttl;
	uint8_t ipproto;
	uint16_t check;
	__be32 saddr, daddr;
} __attribute__((packed));

struct wire_tcp {
	__be16 sport, dport;
	__be32 seq, ack;
	uint8_t doff;			/* upper four bits: 32-bit words */
	uint8_t flags;
	__be16 window;
	uint16_t check;
	__be16 urg;
} __attribute__((packed));

static inline uint16_t wire_get16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap16(v);
}

static inline uint32_t wire_get32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static inline void wire_put16(void *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void wire_put32(void *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "wire_get and wire_put swap");

/* One's complement addition: the carry comes back in. */
static inline uint64_t wire_add(uint64_t sum, uint64_t v)
{
	sum += v;
	return sum + (sum < v);
}

static inline uint16_t wire_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* @sum of a block that lies at @offset of what is summed. */
static inline uint64_t wire_sum_at(uint64_t sum, size_t offset)
{
	return offset & 1 ? __builtin_bswap16(wire_fold(sum)) : sum;
}

/* Copy @len < 8 bytes and return them as a number, zero-padded behind. */
static inline uint64_t wire_copy_tail(uint8_t *dst, const uint8_t *src, size_t len)
{
	uint64_t v = 0;

	memcpy(&v, src, len);
	memcpy(dst, &v, len);
	return v;
}

/* Copy @len bytes and sum what was copied, in one pass: each byte of @src is read once, so
 * that the sum is right for what is in @dst even when a program writes to @src meanwhile.
 */
static inline uint64_t wire_copy_sum(void *dst, const void *src, size_t len)
{
	const uint8_t *s = src;
	uint8_t *d = dst;
	uint64_t w[4], sum = 0, sum2 = 0;

	for (; len >= 32; len -= 32, s += 32, d += 32) {
		memcpy(w, s, 32);
		memcpy(d, w, 32);
		sum = wire_add(sum, w[0]);
		sum2 = wire_add(sum2, w[1]);
		sum = wire_add(sum, w[2]);
		sum2 = wire_add(sum2, w[3]);
	}
	for (; len >= 8; len -= 8, s += 8, d += 8) {
		memcpy(w, s, 8);
		memcpy(d, w, 8);
		sum = wire_add(sum, w[0]);
	}
	if (len)
		sum2 = wire_add(sum2, wire_copy_tail(d, s, len));
	return wire_add(sum, sum2);
}

static inline uint64_t wire_sum(const void *src, size_t len)
{
	const uint8_t *s = src;
	uint64_t w[4], sum = 0, sum2 = 0;

	for (; len >= 32; len -= 32, s += 32) {
		memcpy(w, s, 32);
		sum = wire_add(sum, w[0]);
		sum2 = wire_add(sum2, w[1]);
		sum = wire_add(sum, w[2]);
		sum2 = wire_add(sum2, w[3]);
	}
	for (; len >= 8; len -= 8, s += 8) {
		memcpy(w, s, 8);
		sum = wire_add(sum, w[0]);
	}
	w[0] = 0;
	memcpy(w, s, len);
	return wire_add(wire_add(sum, sum2), w[0]);
}

/* Addresses, protocol and TCP length, as RFC 9293 3.1 adds them to the TCP checksum. */
static inline uint64_t wire_pseudo(__be32 saddr, __be32 daddr, uint32_t tcp_len)
{
	return (uint64_t)saddr + daddr + __builtin_bswap16((uint16_t)tcp_len) +
	       ((uint32_t)WIRE_PROTO_TCP << 8);
}

/* Fill ip->check for a header without options. */
static inline void wire_ip_seal(struct wire_ip *ip)
{
	ip->check = 0;
	ip->check = (uint16_t)~wire_fold(wire_sum(ip, WIRE_IP_LEN));
}

/* Fill tcp->check; header and payload, @tcp_len bytes, lie at @tcp. */
static inline void wire_tcp_seal(const struct wire_ip *ip, struct wire_tcp *tcp, uint32_t tcp_len)
{
	tcp->check = 0;
	tcp->check = (uint16_t)~wire_fold(wire_add(wire_pseudo(ip->saddr, ip->daddr, tcp_len),
						   wire_sum(tcp, tcp_len)));
}

/* TCP over IPv4, be it whole or not, with IP options or not. */
static inline bool wire_is_tcp(const uint8_t *frame, size_t len)
{
	const struct wire_eth *eth = (const void *)frame;
	const struct wire_ip *ip = (const void *)(frame + WIRE_ETH_LEN);

	return len >= WIRE_ETH_LEN + WIRE_IP_LEN &&
	       eth->ethertype == __builtin_bswap16(WIRE_ETH_IP) && ip->ipproto == WIRE_PROTO_TCP;
}

/* Where things are in a frame that wire_locate() accepted. */
struct wire_at {
	const struct wire_ip *ip;
	const struct wire_tcp *tcp;
	const uint8_t *opts, *data;
	uint32_t tcp_len;		/* header and payload */
	uint32_t opts_len, data_len;
};

/* A whole TCP segment in plain IPv4 (no VLAN tag, no IP options, no fragment): true.
 * Checksums are not looked at. Padding behind the datagram is left out.
 */
static inline bool wire_locate(const uint8_t *frame, size_t len, struct wire_at *ret_at)
{
	const struct wire_eth *eth = (const void *)frame;
	const struct wire_ip *ip = (const void *)(frame + WIRE_ETH_LEN);
	const struct wire_tcp *tcp = (const void *)(frame + WIRE_ETH_LEN + WIRE_IP_LEN);
	uint32_t tot, head;

	if (len < WIRE_ETH_LEN + WIRE_IP_LEN + WIRE_TCP_LEN ||
	    eth->ethertype != __builtin_bswap16(WIRE_ETH_IP) || ip->version_ihl != 0x45 ||
	    ip->ipproto != WIRE_PROTO_TCP || (ip->frag & __builtin_bswap16(WIRE_IP_FRAG)))
		return false;

	tot = __builtin_bswap16(ip->tot_len);
	head = (uint32_t)(tcp->doff >> 4) * 4;
	if (tot > len - WIRE_ETH_LEN || head < WIRE_TCP_LEN || tot < WIRE_IP_LEN + head)
		return false;

	ret_at->ip = ip;
	ret_at->tcp = tcp;
	ret_at->opts = (const uint8_t *)tcp + WIRE_TCP_LEN;
	ret_at->opts_len = head - WIRE_TCP_LEN;
	ret_at->data = (const uint8_t *)tcp + head;
	ret_at->tcp_len = tot - WIRE_IP_LEN;
	ret_at->data_len = ret_at->tcp_len - head;
	return true;
}

static inline bool wire_ip_ok(const struct wire_ip *ip)
{
	return wire_fold(wire_sum(ip, WIRE_IP_LEN)) == 0xffff;
}

/* Whether the TCP checksum is right; @sum is that of header and payload. @partial_ok: the
 * sender's device was to finish it (veth, virtio), so the field may hold the pseudo header's sum
 * alone.
 */
static inline bool wire_tcp_sum_ok(const struct wire_at *at, uint64_t sum, bool partial_ok)
{
	uint64_t pseudo = wire_pseudo(at->ip->saddr, at->ip->daddr, at->tcp_len);

	if (wire_fold(wire_add(pseudo, sum)) == 0xffff)
		return true;
	return partial_ok && at->tcp->check == wire_fold(pseudo);
}

static inline bool wire_tcp_ok(const struct wire_at *at, bool partial_ok)
{
	return wire_tcp_sum_ok(at, wire_sum(at->tcp, at->tcp_len), partial_ok);
}

#endif
