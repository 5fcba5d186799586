/* SPDX-License-Identifier: BSD-2-Clause
 *
 * slow_frames.h - frames of one connection, for tests of the slow path.
 */
#ifndef TEST_SLOW_FRAMES_H
#define TEST_SLOW_FRAMES_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "taspilot/wire.h"

#define PEER_IP		0x0a000001U	/* 10.0.0.1 */
#define LOCAL_IP	0x0a000002U	/* 10.0.0.2 */
#define PEER_PORT	40000
#define LOCAL_PORT	80
#define FRAME_ROOM	2048

static const uint8_t peer_mac[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t local_mac[6] = { 2, 0, 0, 0, 0, 2 };

/* What a frame of the connection says. */
struct said {
	bool from_linux;
	uint8_t flags;
	uint32_t seq, ack;
	uint16_t window;
	uint32_t len;			/* payload: bytes 0, 1, 2... */
	const uint8_t *opts;		/* a multiple of 4 bytes */
	uint32_t opts_len;
};

static inline uint32_t say(const struct said *w, uint8_t frame[FRAME_ROOM])
{
	struct wire_eth *eth = (void *)frame;
	struct wire_ip *ip = (void *)(frame + WIRE_ETH_LEN);
	struct wire_tcp *tcp = (void *)(frame + WIRE_ETH_LEN + WIRE_IP_LEN);
	uint32_t head = WIRE_TCP_LEN + w->opts_len, tcp_len = head + w->len;
	bool out = w->from_linux;

	memset(frame, 0, FRAME_ROOM);
	memcpy(eth->src, out ? local_mac : peer_mac, 6);
	memcpy(eth->dst, out ? peer_mac : local_mac, 6);
	eth->ethertype = htons(WIRE_ETH_IP);
	ip->version_ihl = 0x45;
	ip->tot_len = htons((uint16_t)(WIRE_IP_LEN + tcp_len));
	ip->ttl = 64;
	ip->ipproto = WIRE_PROTO_TCP;
	ip->saddr = htonl(out ? LOCAL_IP : PEER_IP);
	ip->daddr = htonl(out ? PEER_IP : LOCAL_IP);
	wire_ip_seal(ip);
	tcp->sport = htons(out ? LOCAL_PORT : PEER_PORT);
	tcp->dport = htons(out ? PEER_PORT : LOCAL_PORT);
	tcp->seq = htonl(w->seq);
	tcp->ack = htonl(w->ack);
	tcp->doff = (uint8_t)(head / 4 << 4);
	tcp->flags = w->flags;
	tcp->window = htons(w->window);
	if (w->opts_len)
		memcpy((uint8_t *)tcp + WIRE_TCP_LEN, w->opts, w->opts_len);
	for (uint32_t i = 0; i < w->len; i++)
		((uint8_t *)tcp)[head + i] = (uint8_t)i;
	wire_tcp_seal(ip, tcp, tcp_len);
	return WIRE_ETH_LEN + WIRE_IP_LEN + tcp_len;
}

#endif
