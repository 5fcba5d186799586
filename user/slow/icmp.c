/* SPDX-License-Identifier: BSD-2-Clause
 *
 * icmp.c - an ICMP error about a FAST flow goes to Linux, which decides what it means.
 *
 * The quoted sequence number is the wire's. Linux checks it against its own snd_una..snd_nxt,
 * which stand still while the flow is ours: so the number is rewritten to Linux's snd_una, if
 * it lies within what we can have in flight. What Linux learned of the path (its MSS) is asked
 * for, and told to the fast thread.
 */
#include "icmp.h"

#include <arpa/inet.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "slow.h"
#include "taspilot/seq.h"

/* Offset of the quoted IP header, 0 if this is no ICMP error that quotes TCP over IPv4. */
static uint32_t find_quote(const uint8_t *frame, uint32_t len)
{
	const struct wire_eth *eth = (const void *)frame;
	const struct wire_ip *ip = (const void *)(frame + WIRE_ETH_LEN);
	uint32_t at = WIRE_ETH_LEN + WIRE_IP_LEN + sizeof(struct icmphdr);
	const struct icmphdr *icmp = (const void *)(frame + WIRE_ETH_LEN + WIRE_IP_LEN);
	const struct wire_ip *quoted = (const void *)(frame + at);

	if (len < at + WIRE_IP_LEN + 8 || eth->ethertype != htons(WIRE_ETH_IP) ||
	    ip->version_ihl != 0x45 || ip->ipproto != IPPROTO_ICMP)
		return 0;
	if (icmp->type != ICMP_DEST_UNREACH && icmp->type != ICMP_TIME_EXCEEDED &&
	    icmp->type != ICMP_PARAMETERPROB)
		return 0;
	return quoted->version_ihl == 0x45 && quoted->ipproto == WIRE_PROTO_TCP ? at : 0;
}

/* RFC 1624, on the ICMP checksum, whose coverage begins at an even offset of the frame. */
static void replace32(struct icmphdr *icmp, uint8_t *field, uint32_t val)
{
	uint64_t old = wire_sum(field, 4);

	wire_put32(field, val);
	icmp->checksum = (uint16_t)~wire_fold((uint64_t)(uint16_t)~icmp->checksum +
					      (uint16_t)~wire_fold(old) +
					      wire_fold(wire_sum(field, 4)));
}

/* RFC 5927, 4.1: only what is in flight can have caused an error. The fast thread's words in
 * the slot are good enough: a program that forges them deceives itself.
 */
static bool is_in_flight(const struct conn *c, uint32_t seq)
{
	const struct tp_slot *t = slot_at(c->region, c->slot);
	uint32_t una = (uint32_t)t->tx_tail, nxt = (uint32_t)t->tx_sent;

	return seq - c->wire_first - una <= nxt - una;
}

/* The segment size that Linux uses now, if an error lowered it. */
static void take_mss(struct slow *s, struct conn *c)
{
	struct tp_answer a;

	if (!ask_linux(s->att, &c->key, &a) && a.found && a.mss_cache)
		slow_tell(s, c->thread, &(struct fast_cmd){ .kind = FAST_CMD_MSS,
							    .flow_id = c->flow_id,
							    .value = a.mss_cache });
}

bool icmp_from_wire(struct slow *s, uint8_t *frame, uint32_t len)
{
	uint32_t at = find_quote(frame, len), seq;
	const struct wire_ip *ip = (const void *)(frame + at);
	uint8_t *tcp = frame + at + WIRE_IP_LEN;
	struct tp_flow_key key;
	struct conn *c;

	if (!at)
		return false;
	tp_set_ip4(key.local_ip, ip->saddr);
	tp_set_ip4(key.peer_ip, ip->daddr);
	key.local_port = wire_get16(tcp);
	key.peer_port = wire_get16(tcp + 2);
	c = conn_find(&s->conns, &key);
	if (!c || (c->phase != CONN_FAST && c->phase != CONN_LINUX))
		return false;

	seq = wire_get32(tcp + 4);
	if (c->phase == CONN_FAST && !is_in_flight(c, seq))
		return true;
	replace32((void *)(frame + WIRE_ETH_LEN + WIRE_IP_LEN), tcp + 4,
		  c->phase == CONN_FAST ? c->linux_una : seq - c->tx_delta);
	relay_to_linux(s, NULL, frame, len);
	if (c->phase == CONN_FAST)
		take_mss(s, c);
	return true;
}
