/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * maps.h - the maps, who writes each, and the two questions that every program asks them:
 * count a verdict, and is the daemon alive. Nothing else lives here.
 *
 * Pinned by name under /sys/fs/bpf/taspilot/<ifname>/, so all objects of one attach share
 * them and they outlive a killed daemon. Names stay within 15 characters or bpftool shows
 * them cut short.
 */
#ifndef TASPILOT_BPF_MAPS_H
#define TASPILOT_BPF_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "taspilot/bpf_abi.h"

/* Which flows are ours, or may become it. The programs begin WATCH and end it, in place, and
 * note in it what passes; tp_ask moves between WATCH and HOLD for the slow path, which alone
 * replaces and deletes entries. So who has found an entry in WATCH sees in it at once that
 * it is held, and nothing that was noted is lost.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TP_MAX_FLOWS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct tp_flow_key);
	__type(value, struct tp_flow_val);
} tp_flows SEC(".maps");

/* Ports that registered programs listen on. Written by the slow path; XDP reads. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TP_MAX_LISTEN);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct tp_listen_key);
	__type(value, __u32);
} tp_listeners SEC(".maps");

/* SO_COOKIE -> TP_COOKIE_*. Written by the slow path; tc and the release hook read. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TP_MAX_FLOWS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u64);
	__type(value, __u32);
} tp_cookies SEC(".maps");

/* RX queue -> AF_XDP socket. Filled by each fast thread for its queue; the kernel takes a
 * socket out when its process dies.
 */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, TP_MAX_QUEUES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u32);
} tp_xsks SEC(".maps");

/* struct tp_record and a frame each, for the slow path. XDP and the release hook produce. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, TP_SLOW_BYTES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} tp_slow SEC(".maps");

/* One counter a verdict. Each program writes its own CPU's, so no atomics. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TP_VERDICT_COUNT);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u64);
} tp_count SEC(".maps");

/* The daemon's heartbeat. Written by the slow path; user space may map it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct tp_config);
} tp_config SEC(".maps");

/* Count @verdict and return @action, so that no verdict goes uncounted. */
static __always_inline int verdict(__u32 verdict, int action)
{
	__u64 *n = bpf_map_lookup_elem(&tp_count, &verdict);

	if (n)
		(*n)++;
	return action;
}

#define FIRST_QUEUE	0	/* always served, so its socket shows that the daemon lives */

/* A daemon that was stopped has an old heartbeat; one that was killed has no AF_XDP socket
 * any more, which shows at once. A clock read on another CPU may lie a little ahead.
 */
static __always_inline bool daemon_alive(__u32 queue)
{
	__u32 zero = 0;
	struct tp_config *c = bpf_map_lookup_elem(&tp_config, &zero);

	if (!c || !bpf_map_lookup_elem(&tp_xsks, &queue))
		return false;
	return (__s64)(bpf_ktime_get_ns() - c->heartbeat_ns) < (__s64)TP_STALE_NS;
}

/* From one state to another, unless somebody was quicker. */
static __always_inline bool flow_move(struct tp_flow_val *v, __u32 from, __u32 to)
{
	return __sync_val_compare_and_swap(&v->state, from, to) == from;
}

/* Make plain Linux of a flow whose numbers are Linux's and the wire's alike. An update by the
 * slow path replaces the entry, so it can never be undone from here.
 */
static __always_inline void flow_forget(struct tp_flow_val *v, __u32 seen)
{
	flow_move(v, seen, TP_NONE);
}

/* A claim began to hold the flow, and its daemon was killed: nothing has happened to it yet, so
 * it stays Linux's. A hold on the way back is another matter, and has an entry without notes. A
 * daemon that was only stopped goes on where it was.
 */
static __always_inline bool flow_unhold_dead(struct tp_flow_val *v)
{
	__u32 queue = FIRST_QUEUE;

	if (!v->seen_in || bpf_map_lookup_elem(&tp_xsks, &queue))
		return false;
	flow_forget(v, TP_HOLD);
	return true;
}

/* A connection begins that may become ours. @v: its entry, or NULL. No memory, or too many: it
 * stays Linux's.
 */
static __always_inline void flow_watch(const struct tp_flow_key *key, struct tp_flow_val *v,
				       __u32 queue)
{
	struct tp_flow_val fresh = {
		.state = TP_WATCH,
		.queue = queue,
		.born = bpf_ktime_get_ns() >> TP_BORN_SHIFT,
	};

	if (!v) {
		bpf_map_update_elem(&tp_flows, key, &fresh, BPF_NOEXIST);
		return;
	}
	v->queue = fresh.queue;
	v->born = fresh.born;
	v->seen_in = v->seen_out = 0;
	flow_move(v, TP_NONE, TP_WATCH);
}

#endif
