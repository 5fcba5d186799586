/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * xdp.bpf.c - every frame that the NIC receives meets this first, and goes by its flow's
 * state alone:
 *
 *   FAST          the AF_XDP socket of its queue, whatever its flags
 *   HOLD          ring buffer; full: dropped, the peer repeats it
 *   WATCH         Linux; tc ingress notes what it was given
 *   LINUX         Linux; tc ingress translates it
 *   merged        (generic mode: GRO that cannot be switched off, a veth peer's TSO) what
 *                 fits no socket goes to the ring; what does not even fit there passes, and
 *                 tc ingress takes it to the TAP
 *   no entry      a SYN to a registered port passes and begins WATCH while the daemon lives;
 *                 ARP goes to the ring buffer then, and so does an ICMP error that quotes a
 *                 flow of ours; the rest passes
 *
 * Invariants
 *  - Without a daemon all passes, but for the frames of flows in FAST, and in HOLD on their way
 *    back: these hold numbers that Linux's socket must never see.
 *  - What is tagged, fragmented or not addressed to the NIC itself passes; tc ingress keeps
 *    what of it would reach a flow of ours from Linux.
 *
 * In generic mode the frames that the slow path gives to Linux arrive here a second time.
 * tp_door (tc.bpf.c) wraps them in an Ethernet header that only the two programs know; here
 * it is taken off.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"
#include "parse.h"
#include "door.h"

/* Copy the frame into the ring buffer, in a record with room for @room bytes: the verifier
 * wants a constant size to reserve.
 */
static __always_inline bool ring_put(struct xdp_md *ctx, __u64 len, __u32 state,
				     const __u32 room)
{
	struct tp_record *r = bpf_ringbuf_reserve(&tp_slow, sizeof(*r) + room, 0);

	if (!r)
		return false;
	*r = (struct tp_record){
		.time_ns = bpf_ktime_get_ns(),
		.kind = TP_REC_FRAME,
		.state = state,
		.len = len,
		.queue = ctx->rx_queue_index,
	};
	/* Bounds checked once more, because 6.1's verifier forgets those of a spilled value. */
	asm volatile("" : "+r"(len));
	if (!len || len > room || bpf_xdp_load_bytes(ctx, 0, r + 1, len) < 0) {
		bpf_ringbuf_discard(r, 0);
		return false;
	}
	bpf_ringbuf_submit(r, 0);
	return true;
}

static __always_inline bool to_slow(struct xdp_md *ctx, __u32 state)
{
	__u64 len = bpf_xdp_get_buff_len(ctx);

	if (len < ETH_HLEN)
		return false;
	if (len <= 128)
		return ring_put(ctx, len, state, 128);
	if (len <= 512)
		return ring_put(ctx, len, state, 512);
	if (len <= 1536)
		return ring_put(ctx, len, state, 1536);
	if (len <= 4096)
		return ring_put(ctx, len, state, 4096);
	if (len <= TP_FRAME_MAX)
		return ring_put(ctx, len, state, TP_FRAME_MAX);
	return false;
}

/* Nothing of ours yet: to the slow path if there is room and a daemon, else to Linux. */
static __always_inline int offer(struct xdp_md *ctx, __u32 state, __u32 taken)
{
	if (!daemon_alive(ctx->rx_queue_index))
		return verdict(TP_V_XDP_STALE, XDP_PASS);
	if (!to_slow(ctx, state))
		return verdict(TP_V_XDP_RING_FULL_PASS, XDP_PASS);
	return verdict(taken, XDP_DROP);
}

/* Too long for a record. In native mode there is no such frame. */
static __always_inline bool fits_no_record(struct xdp_md *ctx)
{
	return tp_generic && bpf_xdp_get_buff_len(ctx) > TP_FRAME_MAX;
}

/* A flow that Linux must not hear of: to the slow path, or nowhere. */
static __always_inline int keep(struct xdp_md *ctx, __u32 state, __u32 kept)
{
	if (fits_no_record(ctx))
		return verdict(TP_V_XDP_MERGED, XDP_PASS);
	if (!to_slow(ctx, state))
		return verdict(TP_V_XDP_RING_FULL_DROP, XDP_DROP);
	return verdict(kept, XDP_DROP);
}

/* Tell the fast thread which flow it is; a driver without metadata leaves it to find out. */
static __always_inline void put_meta(struct xdp_md *ctx, __u32 flow_id)
{
	struct tp_meta *m;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*m)))
		return;
	m = (void *)(long)ctx->data_meta;
	if ((void *)(m + 1) > (void *)(long)ctx->data)
		return;
	m->magic = TP_META_MAGIC;
	m->flow_id = flow_id;
}

static __always_inline int fast(struct xdp_md *ctx, const struct tp_flow_val *v)
{
	__u32 queue = ctx->rx_queue_index;

	if (!bpf_map_lookup_elem(&tp_xsks, &queue))
		return keep(ctx, TP_FAST, TP_V_XDP_NO_XSK);
	if (bpf_xdp_get_buff_len(ctx) > tp_frame_len)
		return keep(ctx, TP_FAST, TP_V_XDP_MERGED);
	put_meta(ctx, v->flow_id);
	return verdict(TP_V_XDP_FAST, bpf_redirect_map(&tp_xsks, queue, XDP_DROP));
}

static __always_inline bool is_registered(const struct pkt *p)
{
	struct tp_listen_key key = { .local_port = p->dport };

	if (bpf_map_lookup_elem(&tp_listeners, &key))
		return true;
	tp_set_ip4(key.local_ip, p->daddr);
	return bpf_map_lookup_elem(&tp_listeners, &key);
}

static __always_inline int unowned(struct xdp_md *ctx, const struct pkt *p,
				   const struct tp_flow_key *key, struct tp_flow_val *v)
{
	if (!is_syn(p) || p->first_frag || !is_registered(p))
		return verdict(TP_V_XDP_PASS_OTHER, XDP_PASS);
	if (!daemon_alive(ctx->rx_queue_index))
		return verdict(TP_V_XDP_STALE, XDP_PASS);
	flow_watch(key, v, ctx->rx_queue_index);
	return verdict(TP_V_XDP_SYN, XDP_PASS);
}

static __always_inline int watched(struct xdp_md *ctx, struct tp_flow_val *v)
{
	if (v->queue != ctx->rx_queue_index)
		v->queue = ctx->rx_queue_index;
	return verdict(TP_V_XDP_WATCH, XDP_PASS);
}

static __always_inline int tcp(struct xdp_md *ctx, const struct pkt *p)
{
	struct tp_flow_key key;
	struct tp_flow_val *v;

	key_from_wire(&key, p);
	v = bpf_map_lookup_elem(&tp_flows, &key);
	if (!v)
		return unowned(ctx, p, &key, NULL);

	switch (v->state) {
	case TP_FAST:
		return fast(ctx, v);
	case TP_HOLD:
		if (flow_unhold_dead(v))
			return verdict(TP_V_XDP_STALE, XDP_PASS);
		return keep(ctx, TP_HOLD, TP_V_XDP_HOLD);
	case TP_WATCH:
		return watched(ctx, v);
	case TP_LINUX:
		return verdict(TP_V_XDP_LINUX, XDP_PASS);
	case TP_NONE:
		break;
	}
	return unowned(ctx, p, &key, v);
}

/* Linux's numbers are not the wire's while a flow is ours, so the slow path must see the
 * error first; in LINUX tc ingress translates it.
 */
static __always_inline int icmp_error(struct xdp_md *ctx, const struct pkt *p)
{
	struct tp_flow_key key;
	struct tp_flow_val *v;

	key_from_host(&key, p);
	v = bpf_map_lookup_elem(&tp_flows, &key);
	if (v && (v->state == TP_HOLD || v->state == TP_FAST))
		return offer(ctx, v->state, TP_V_XDP_ICMP);
	return verdict(TP_V_XDP_PASS_OTHER, XDP_PASS);
}

SEC("xdp")
int tp_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const struct ethhdr *eth = data;
	struct pkt p;
	bool to_us;

	if (data + sizeof(*eth) > end)
		return verdict(TP_V_XDP_PASS_OTHER, XDP_PASS);
	if (door_wrapped(eth)) {
		if (bpf_xdp_adjust_head(ctx, DOOR_HLEN))
			return verdict(TP_V_XDP_DOOR, XDP_DROP);
		return verdict(TP_V_XDP_DOOR, XDP_PASS);
	}

	to_us = mac_is_ours(eth->h_dest);
	parse(&p, data, end);
	if (p.kind == PKT_ARP && (to_us || mac_is_group(eth->h_dest)))
		return offer(ctx, TP_NONE, TP_V_XDP_ARP);
	if (p.kind == PKT_TCP && to_us)
		return tcp(ctx, &p);
	if (p.kind == PKT_ICMP_ERROR && to_us)
		return icmp_error(ctx, &p);
	return verdict(TP_V_XDP_PASS_OTHER, XDP_PASS);
}

char _license[] SEC("license") = "Dual BSD/GPL";
