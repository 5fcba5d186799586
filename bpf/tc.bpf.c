/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * tc.bpf.c - three places where Linux and the slow path meet.
 *
 *   wire -> tp_xdp -> [tp_nic_in] -> Linux        guard and translation
 *   Linux -> [tp_nic_out] -> wire                 what is ours goes to the TAP; translation
 *   slow path -> TAP -> [tp_door] -> NIC ingress -> tp_nic_in -> Linux
 *
 * The slow path reads from the TAP what Linux sends for our flows, and what it writes there
 * arrives in Linux as if the NIC had received it. It carries TP_MARK from the door to
 * tp_nic_in, which takes the mark away again: firewall rules see none.
 *
 * Invariants
 *  - Before a segment of the peer passes in WATCH, the entry says so (to_linux), and only then
 *    its state is looked at once more: who holds the flow sees the note, or we see the hold.
 *  - No segment of a flow in HOLD or FAST passes either NIC program without the mark: its
 *    numbers would mean something else on the other side. What came past XDP, because it was
 *    still WATCH there or never met it (bpf_redirect_peer, mirred, a driver that has lost our
 *    program), goes to the TAP; fragments are dropped, the first included: without it the rest
 *    means nothing.
 *  - A SYN is never translated. One that Linux sends, or answers with SYN-ACK, proves that
 *    the connection of this name in LINUX has ended.
 *  - We let pass by TC_ACT_UNSPEC: other filters on the NIC go on to be asked.
 *  - What tp_nic_in counts but as TCI_OWN came from the wire, and so by XDP unless others led it past:
 *    hear.c relies on it.
 */
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <stddef.h>

#include "maps.h"
#include "parse.h"
#include "door.h"
#include "translate.h"

/* Written by user space before load. */
const volatile __u32 tp_nic_ifindex;
const volatile __u32 tp_tap_ifindex;
/* Written by user space at any time: there is no XDP of ours that would unwrap (door.h). */
bool tp_no_xdp;

static __always_inline int pass(__u32 v)
{
	return verdict(v, TC_ACT_UNSPEC);
}

static __always_inline int drop(__u32 v)
{
	return verdict(v, TC_ACT_SHOT);
}

static __always_inline int to_tap(__u32 v)
{
	return verdict(v, bpf_redirect(tp_tap_ifindex, 0));
}

/* Parse @skb; @ret_eth is valid unless p->kind is PKT_OTHER. Tagged frames are no frames of
 * ours, be the tag in the frame or beside it.
 */
static __always_inline void skb_parse(struct __sk_buff *skb, struct pkt *p)
{
	__u32 want = skb->len < PKT_LINEAR ? skb->len : PKT_LINEAR;

	p->kind = PKT_OTHER;
	if (skb->vlan_present)
		return;
	if (skb->data_end - skb->data < want && bpf_skb_pull_data(skb, want))
		return;
	parse(p, (void *)(long)skb->data, (void *)(long)skb->data_end);
}

/* Was the frame, as @p says already parsed, sent by the NIC's own address? */
static __always_inline bool from_our_mac(struct __sk_buff *skb)
{
	const struct ethhdr *eth = (void *)(long)skb->data;

	return (void *)(eth + 1) <= (void *)(long)skb->data_end && mac_is_ours(eth->h_source);
}

/* Nothing that we have to do with. Of what this host hears of itself XDP knows nothing. */
static __always_inline int others_in(struct __sk_buff *skb)
{
	bool own = skb->pkt_type == PACKET_LOOPBACK || from_our_mac(skb);

	return pass(own ? TP_V_TCI_OWN : TP_V_TCI_PASS);
}

static __always_inline int linux_in(struct __sk_buff *skb, const struct pkt *p,
				    const struct tp_flow_val *v)
{
	if (p->flags & TCPF_SYN)
		return pass(TP_V_TCI_PASS);
	if (!translate_tcp(skb, p->l4_off, -v->rx_delta, -v->tx_delta))
		return drop(TP_V_TCI_GUARD);
	return pass(TP_V_TCI_LINUX);
}

/* The first number behind the segment in @p. The frame may be padded, and one that was merged
 * beyond 64 KiB has no length in its IP header.
 */
static __always_inline __u32 end_of(const struct __sk_buff *skb, const struct pkt *p)
{
	__u32 len = p->l4_len;

	if ((__s32)len < p->doff)
		len = skb->len - p->l4_off;
	return p->seq + len - p->doff + !!(p->flags & TCPF_SYN) + !!(p->flags & TCPF_FIN);
}

/* Linux is about to be given all up to @end. A full fence, unless that is no news. False: others
 * were quicker, again and again.
 */
static __always_inline bool note_given(struct tp_flow_val *v, __u32 end)
{
	for (int i = 0; i < 8; i++) {
		__u32 now = v->to_linux;

		if ((__s32)(end - now) <= 0 ||
		    __sync_val_compare_and_swap(&v->to_linux, now, end) == now)
			return true;
	}
	return false;
}

/* A SYN begins the count. One that comes again changes nothing; one that begins elsewhere is a
 * stray, or another connection of this name: to tell them apart is not worth much, so it stays
 * Linux's.
 */
static __always_inline void note_syn(struct tp_flow_val *v, __u32 end, bool first)
{
	if (first)
		__sync_lock_test_and_set(&v->to_linux, end);
	else if (v->to_linux != end)
		flow_forget(v, TP_WATCH);
}

/* Nothing behind tc and XDP reads these: a connection whose peer sends them would stand still. */
static __always_inline bool has_ip_options(const struct pkt *p)
{
	return p->l4_off != ETH_HLEN + sizeof(struct iphdr);
}

/* A segment of the peer in WATCH; an end, a fragment, or IP options make plain Linux of it. Without a whole
 * header Linux drops it. False: it must not pass.
 */
static __always_inline bool watch_in(struct __sk_buff *skb, const struct pkt *p,
				     struct tp_flow_val *v)
{
	bool first = !v->seen_in;

	if (p->doff < TCP_HLEN_MIN)
		return true;
	v->seen_in = 1;
	if (p->flags & (TCPF_RST | TCPF_FIN) || p->first_frag || has_ip_options(p))
		flow_forget(v, TP_WATCH);
	if (p->flags & TCPF_SYN)
		note_syn(v, end_of(skb, p), first);
	else if (!note_given(v, end_of(skb, p)))
		return false;
	return true;
}

static __always_inline void watch_out(const struct __sk_buff *skb, const struct pkt *p,
				      struct tp_flow_val *v)
{
	const struct ethhdr *eth = (void *)(long)skb->data;
	const __u16 *to = (const __u16 *)eth->h_dest;

	if ((void *)(eth + 1) > (void *)(long)skb->data_end)
		return;
	if (!v->seen_out || v->next_hop[0] != to[0] || v->next_hop[1] != to[1] ||
	    v->next_hop[2] != to[2]) {
		v->next_hop[0] = to[0];
		v->next_hop[1] = to[1];
		v->next_hop[2] = to[2];
		v->seen_out = 1;
	}
	if (p->flags & (TCPF_RST | TCPF_FIN))
		flow_forget(v, TP_WATCH);
}

/* XDP had no room for it (generic mode only). */
static __always_inline bool was_merged(const struct __sk_buff *skb)
{
	return tp_generic && skb->len > TP_FRAME_MAX;
}

/* Not for Linux: the slow path takes it, in one piece. What bears our own address it would take for
 * Linux's.
 */
static __always_inline int ours_in(struct __sk_buff *skb, const struct pkt *p, __u32 v)
{
	if (p->first_frag || from_our_mac(skb) || !daemon_alive(FIRST_QUEUE))
		return drop(TP_V_TCI_GUARD);
	return to_tap(v);
}

static __always_inline int tcp_in(struct __sk_buff *skb, const struct pkt *p)
{
	struct tp_flow_key key;
	struct tp_flow_val *v;

	key_from_wire(&key, p);
	v = bpf_map_lookup_elem(&tp_flows, &key);
	if (!v)
		return others_in(skb);
	if (v->state == TP_WATCH && !watch_in(skb, p, v))
		return drop(TP_V_TCI_GUARD);

	switch (*(volatile __u32 *)&v->state) {
	case TP_WATCH:
		return pass(TP_V_TCI_WATCH);
	case TP_HOLD:
		if (flow_unhold_dead(v))
			return pass(TP_V_TCI_PASS);
		return ours_in(skb, p, TP_V_TCI_HOLD);
	case TP_FAST:
		return ours_in(skb, p, was_merged(skb) ? TP_V_TCI_MERGED : TP_V_TCI_FAST);
	case TP_LINUX:
		return linux_in(skb, p, v);
	}
	return others_in(skb);
}

/* An error about a flow that was handed back quotes the wire's number. */
static __always_inline int icmp_in(struct __sk_buff *skb, const struct pkt *p)
{
	struct tp_flow_key key;
	struct tp_flow_val *v;

	key_from_host(&key, p);
	v = bpf_map_lookup_elem(&tp_flows, &key);
	if (!v || v->state != TP_LINUX)
		return others_in(skb);
	if (!translate_quote(skb, p, -v->tx_delta))
		return drop(TP_V_TCI_GUARD);
	return pass(TP_V_TCI_LINUX);
}

SEC("tc")
int tp_nic_in(struct __sk_buff *skb)
{
	struct pkt p;

	if (skb->mark == TP_MARK) {
		skb->mark = 0;
		return pass(TP_V_TCI_OWN);
	}
	skb_parse(skb, &p);
	if (p.kind == PKT_TCP)
		return tcp_in(skb, &p);
	if (p.kind == PKT_ICMP_ERROR)
		return icmp_in(skb, &p);
	return others_in(skb);
}

static __always_inline bool is_connecting(struct __sk_buff *skb)
{
	__u64 cookie = bpf_get_socket_cookie(skb);
	__u32 *what = bpf_map_lookup_elem(&tp_cookies, &cookie);

	return what && *what & TP_COOKIE_CONNECT;
}

/* A SYN or SYN-ACK: the beginning of a connection, whose predecessor of that name was handed
 * back, and is over. The slow path knows it and clears up.
 */
static __always_inline int succession_out(struct tp_flow_val *v)
{
	if (daemon_alive(FIRST_QUEUE))
		return to_tap(TP_V_TCE_DOOR);
	flow_forget(v, TP_LINUX);
	return pass(TP_V_TCE_STALE);
}

/* Nothing of ours, but perhaps it begins to be. @v: an entry in NONE, or NULL. */
static __always_inline int unowned_out(struct __sk_buff *skb, const struct pkt *p,
				       const struct tp_flow_key *key, struct tp_flow_val *v)
{
	if (!is_syn(p) || !is_connecting(skb))
		return pass(TP_V_TCE_PASS);
	if (!daemon_alive(FIRST_QUEUE))
		return pass(TP_V_TCE_STALE);
	flow_watch(key, v, FIRST_QUEUE);
	v = bpf_map_lookup_elem(&tp_flows, key);
	if (v)
		watch_out(skb, p, v);
	return pass(TP_V_TCE_SYN);
}

static __always_inline int linux_out(struct __sk_buff *skb, const struct pkt *p,
				     const struct tp_flow_val *v)
{
	if (!translate_tcp(skb, p->l4_off, v->tx_delta, v->rx_delta))
		return drop(TP_V_TCE_GUARD);
	return pass(TP_V_TCE_LINUX);
}

static __always_inline int ours_out(void)
{
	return daemon_alive(FIRST_QUEUE) ? to_tap(TP_V_TCE_DOOR) : drop(TP_V_TCE_GUARD);
}

static __always_inline int tcp_out(struct __sk_buff *skb, const struct pkt *p)
{
	struct tp_flow_key key;
	struct tp_flow_val *v;

	key_from_host(&key, p);
	v = bpf_map_lookup_elem(&tp_flows, &key);
	if (!v)
		return unowned_out(skb, p, &key, NULL);
	switch (v->state) {
	case TP_WATCH:
		watch_out(skb, p, v);
		return pass(TP_V_TCE_WATCH);
	case TP_HOLD:
		return flow_unhold_dead(v) ? pass(TP_V_TCE_STALE) : ours_out();
	case TP_FAST:
		return ours_out();
	case TP_LINUX:
		if (is_syn(p) || is_syn_ack(p))
			return succession_out(v);
		return linux_out(skb, p, v);
	case TP_NONE:
		break;
	}
	return unowned_out(skb, p, &key, v);
}

SEC("tc")
int tp_nic_out(struct __sk_buff *skb)
{
	struct pkt p;

	if (skb->mark == TP_MARK) {
		skb->mark = 0;
		return pass(TP_V_TCE_PASS);
	}
	skb_parse(skb, &p);
	if (p.kind == PKT_TCP && from_our_mac(skb))
		return tcp_out(skb, &p);
	if (p.kind != PKT_ARP || !from_our_mac(skb))
		return pass(TP_V_TCE_PASS);
	if (!daemon_alive(FIRST_QUEUE))
		return pass(TP_V_TCE_STALE);
	return to_tap(TP_V_TCE_ARP);
}

/* See door.h. */
static __always_inline bool door_wrap(struct __sk_buff *skb)
{
	struct ethhdr eth = { .h_proto = bpf_htons(DOOR_PROTO) };
	__u16 *w = (void *)&eth;

	for (int i = 0; i < 6; i++)
		w[i] = tp_nonce[i];
	return !bpf_skb_change_head(skb, DOOR_HLEN, 0) &&
	       !bpf_skb_store_bytes(skb, 0, &eth, sizeof(eth), 0);
}

SEC("tc")
int tp_door(struct __sk_buff *skb)
{
	if (tp_generic && !tp_no_xdp && !door_wrap(skb))
		return drop(TP_V_DOOR_FAILED);
	skb->mark = TP_MARK;
	return verdict(TP_V_DOOR_IN, bpf_redirect(tp_nic_ifindex, BPF_F_INGRESS));
}

char _license[] SEC("license") = "Dual BSD/GPL";
