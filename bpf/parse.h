/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * parse.h - what kind of frame is this, and which flow does it belong to.
 *
 * One parser for XDP and tc: both hand over the bounds of the linear data. A frame is TCP
 * for us if it is untagged IPv4, no later fragment, and shows both ports; IP options are
 * fine. Everything that does not parse is PKT_OTHER, which every program lets pass.
 *
 * An ICMP error names the flow that it quotes: our own segment, so the quoted source is the
 * local end. seq_off is where the quoted sequence number stands.
 */
#ifndef TASPILOT_BPF_PARSE_H
#define TASPILOT_BPF_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "taspilot/bpf_abi.h"

#define IP_FRAG_OFFSET	0x1fff
#define IP_MORE_FRAGS	0x2000

#define TCPF_FIN	0x01
#define TCPF_SYN	0x02
#define TCPF_RST	0x04
#define TCPF_ACK	0x10

/* linux/icmp.h drags the C library in. */
struct icmp_head {
	__u8 type, code;
	__be16 checksum;
	__be32 rest;
};
#define ICMP_UNREACHABLE	3
#define ICMP_TIME_EXCEEDED	11
#define ICMP_PARAMETER		12

#define PKT_LINEAR	(ETH_HLEN + 60 + 8 + 60 + 8)	/* all that the parser may look at */

enum pkt_kind { PKT_OTHER, PKT_ARP, PKT_TCP, PKT_ICMP_ERROR };

struct pkt {
	enum pkt_kind kind;
	__u32 l4_off;		/* TCP, ICMP: offset of that header */
	__u32 seq_off;		/* ICMP: offset of the quoted sequence number */
	__be32 saddr, daddr;	/* TCP: of the frame; ICMP: of the quoted segment */
	__u16 sport, dport;	/* host byte order */
	__u32 seq, l4_len;	/* TCP: sequence number, its header and payload; valid with flags */
	__u8 doff;		/* TCP: bytes of its header */
	__u8 flags;		/* TCP flags; 0 where the frame ends before them */
	bool first_frag;	/* more fragments follow: the segment is not whole */
};

/* The Ethernet address of the NIC. Written by user space, before attach and on a change.
 * Frames to or from another one belong to a macvlan, a bridge or a guest: not ours.
 */
struct tp_mac tp_nic_mac;

/* The longest frame that the AF_XDP sockets take. Longer ones come where the MTU is larger than
 * their buffers, or was made larger since; generic XDP also sees frames merged on the way.
 */
__u32 tp_frame_len;

static __always_inline bool mac_is_ours(const __u8 *mac)
{
	const __u16 *m = (const __u16 *)mac;

	return (m[0] | (__u32)m[1] << 16) == tp_nic_mac.head && m[2] == tp_nic_mac.tail;
}

static __always_inline bool mac_is_group(const __u8 *mac)
{
	return mac[0] & 1;
}

/* A frame from the wire: its source is the peer. */
static __always_inline void key_from_wire(struct tp_flow_key *k, const struct pkt *p)
{
	tp_set_ip4(k->peer_ip, p->saddr);
	tp_set_ip4(k->local_ip, p->daddr);
	k->peer_port = p->sport;
	k->local_port = p->dport;
}

/* A frame from this host, or the quote of one. */
static __always_inline void key_from_host(struct tp_flow_key *k, const struct pkt *p)
{
	tp_set_ip4(k->peer_ip, p->daddr);
	tp_set_ip4(k->local_ip, p->saddr);
	k->peer_port = p->dport;
	k->local_port = p->sport;
}

static __always_inline bool is_syn(const struct pkt *p)
{
	return (p->flags & (TCPF_SYN | TCPF_ACK | TCPF_RST | TCPF_FIN)) == TCPF_SYN;
}

static __always_inline bool is_syn_ack(const struct pkt *p)
{
	return (p->flags & (TCPF_SYN | TCPF_ACK | TCPF_RST | TCPF_FIN)) == (TCPF_SYN | TCPF_ACK);
}

static __always_inline void parse_tcp(struct pkt *p, const void *data, const void *end,
				      const struct iphdr *ip, const __u8 *l4)
{
	const __be16 *port = (const void *)l4;

	if ((const void *)(port + 2) > end)
		return;
	p->kind = PKT_TCP;
	p->l4_off = l4 - (const __u8 *)data;
	p->saddr = ip->saddr;
	p->daddr = ip->daddr;
	p->sport = bpf_ntohs(port[0]);
	p->dport = bpf_ntohs(port[1]);
	p->first_frag = ip->frag_off & bpf_htons(IP_MORE_FRAGS);
	if ((const void *)(l4 + 14) > end)
		return;
	p->flags = l4[13];
	p->doff = l4[12] >> 4 << 2;
	p->seq = bpf_ntohl(*(const __be32 *)(l4 + 4));
	p->l4_len = bpf_ntohs(ip->tot_len) - ip->ihl * 4;
}

static __always_inline bool icmp_is_error(__u8 type)
{
	return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED ||
	       type == ICMP_PARAMETER;
}

/* RFC 792: the quote holds the IP header and at least 8 bytes: the ports and the seq. */
static __always_inline void parse_icmp(struct pkt *p, const void *data, const void *end,
				       const __u8 *l4)
{
	const struct icmp_head *icmp = (const void *)l4;
	const struct iphdr *ip = (const void *)(icmp + 1);
	const __be16 *port;

	if ((const void *)(ip + 1) > end || !icmp_is_error(icmp->type))
		return;
	if (ip->version != 4 || ip->ihl < 5 || ip->protocol != IPPROTO_TCP ||
	    ip->frag_off & bpf_htons(IP_FRAG_OFFSET))
		return;
	port = (const void *)((const __u8 *)ip + ip->ihl * 4);
	if ((const void *)(port + 4) > end)
		return;

	p->kind = PKT_ICMP_ERROR;
	p->l4_off = l4 - (const __u8 *)data;
	p->seq_off = (const __u8 *)(port + 2) - (const __u8 *)data;
	p->saddr = ip->saddr;
	p->daddr = ip->daddr;
	p->sport = bpf_ntohs(port[0]);
	p->dport = bpf_ntohs(port[1]);
}

/* Fill @p from the frame in @data..@end; p->kind says how much of it is set. */
static __always_inline void parse(struct pkt *p, const void *data, const void *end)
{
	const struct ethhdr *eth = data;
	const struct iphdr *ip = (const void *)(eth + 1);
	const __u8 *l4;

	*p = (struct pkt){ .kind = PKT_OTHER };
	if ((const void *)(eth + 1) > end)
		return;
	if (eth->h_proto == bpf_htons(ETH_P_ARP))
		p->kind = PKT_ARP;
	if (eth->h_proto != bpf_htons(ETH_P_IP) || (const void *)(ip + 1) > end)
		return;
	if (ip->version != 4 || ip->ihl < 5 || ip->frag_off & bpf_htons(IP_FRAG_OFFSET))
		return;

	l4 = (const __u8 *)ip + ip->ihl * 4;
	if (ip->protocol == IPPROTO_TCP)
		parse_tcp(p, data, end, ip, l4);
	else if (ip->protocol == IPPROTO_ICMP)
		parse_icmp(p, data, end, l4);
}

#endif
