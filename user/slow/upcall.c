/* SPDX-License-Identifier: BSD-2-Clause
 *
 * upcall.c - drain tp_slow: frames from the wire, releases of sockets, who uses them past us.
 *
 * The ring is the kernel's BPF ring buffer (kernel/bpf/ringbuf.c): two counters that run free
 * on pages of their own, and the data mapped twice in a row, so that a record never wraps.
 *
 *      kernel                            here
 *      (A) store-release length          (C) load-acquire producer
 *          without BUSY                      (D) load-acquire length: BUSY? wait
 *      (B) store-release producer        handle it, (E) store-release consumer
 *
 * (B) pairs with (C), (A) with (D): a record is reserved before it is written, and committed
 * in any order. Who writes it runs in softirq and is done within a microsecond; should its
 * CPU be taken away from under it, we come back later.
 *
 * A record older than TP_STALE_NS is not acted on: this daemon was stopped meanwhile, and
 * Linux has gone on without it. The peer repeats what mattered; a release is never stale.
 */
#include "upcall.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "handback.h"
#include "icmp.h"
#include "segment.h"
#include "slow.h"
#include "watch.h"

#define RING_BUDGET	256		/* records a turn */
#define LONG_FRAMES	256U		/* a flow that got more of them is bulk */
#define BUSY_SPINS	10000

/* The thread verifies checksums. Linux leaves that open of frames which it has merged; so do senders,
 * where partial_csum says so and the thread knows.
 */
static void inject(struct slow *s, struct conn *c, const struct virtio_net_hdr *vnet,
		   uint8_t *frame, uint32_t len)
{
	struct fast_cmd cmd = {
		.kind = FAST_CMD_INJECT,
		.flow_id = c->flow_id,
		.frame = { .data = frame, .len = len },
	};

	if (vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && !s->att->nic.partial_csum)
		segment_seal(frame, len);
	fast_send(s->fast, c->thread, &cmd);	/* full: lost, and repeated by the peer */
}

/* A frame of a connection that was handed back, recorded before it was; it may be old by now. */
static void translate(struct slow *s, struct conn *c, const struct virtio_net_hdr *vnet,
		      uint8_t *frame, uint32_t len)
{
	bool partial = vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

	segment_renumber(frame, len, -c->rx_delta, -c->tx_delta, partial);
	relay_to_linux(s, vnet, frame, len);
}

/* Merged on the way (generic XDP), or large segments (jumbo frames) in numbers: each of them
 * passes here, which costs more than Linux does.
 */
static bool is_better_off_in_linux(const struct slow *s, struct conn *c, uint32_t len)
{
	if (len > s->att->frame_room)
		c->long_frames++;
	return len > TP_FRAME_MAX || c->long_frames > LONG_FRAMES;
}

static void to_conn(struct slow *s, struct conn *c, const struct segment *seg,
		    const struct virtio_net_hdr *vnet, uint8_t *frame, uint32_t len,
		    uint32_t queue)
{
	switch (c->phase) {
	case CONN_CLAIM:
		held_put(&c->held, SEG_FROM_WIRE, queue, vnet, frame, len);
		return;
	case CONN_BACK:
		handback_from_wire(s, c, seg, vnet, frame, len, queue);
		return;
	case CONN_FAST:
		/* Also one that is to leave: it cannot before its holes are filled. */
		inject(s, c, vnet, frame, len);
		if (is_better_off_in_linux(s, c, len))
			handback_begin(s, c, TP_WHY_HANDED_BACK);
		return;
	case CONN_LINUX:
		if (seg->flags & WIRE_SYN)
			relay_to_linux(s, vnet, frame, len);
		else if (!handback_is_old(s, c, seg))
			translate(s, c, vnet, frame, len);
		return;
	case CONN_DEAD:
		if (watch_is_syn(seg))
			held_put(&c->held, SEG_FROM_WIRE, queue, vnet, frame, len);
		return;
	case CONN_GONE:
		return;
	}
}

/* No segment as we read them. What is TCP all the same (with IP options, lengths that lie) is here
 * because its flow was in HOLD or FAST when the programs saw it: its numbers are the wire's, and
 * Linux must not take them for its own (I8). Lost; if it was in earnest the peer repeats it.
 */
static void from_wire_other(struct slow *s, const struct virtio_net_hdr *vnet, uint8_t *frame,
			    uint32_t len)
{
	if (wire_is_tcp(frame, len))
		s->upcall.bad++;
	else if (!icmp_from_wire(s, frame, len))
		relay_to_linux(s, vnet, frame, len);
}

void from_wire(struct slow *s, const struct virtio_net_hdr *vnet, uint8_t *frame, uint32_t len,
	       uint32_t queue)
{
	struct virtio_net_hdr described;
	struct segment seg;
	struct conn *c;

	if (!vnet) {
		described = relay_describe(s, frame, len);
		vnet = &described;
	}
	if (!segment_read(frame, len, SEG_FROM_WIRE, &seg)) {
		from_wire_other(s, vnet, frame, len);
		return;
	}
	c = conn_find(&s->conns, &seg.key);
	if (!c && watch_is_syn(&seg))
		watch_peer_syn(s, &seg, queue);
	if (c)
		to_conn(s, c, &seg, vnet, frame, len, queue);
	else
		relay_to_linux(s, vnet, frame, len);
}

static void record(struct slow *s, const struct tp_record *r, uint32_t len)
{
	static uint8_t frame[TP_FRAME_MAX];

	if (r->kind == TP_REC_RELEASE) {
		s->upcall.releases++;
		handback_released(s, r->cookie);
		return;
	}
	if (r->kind == TP_REC_STRANGER) {
		handback_stranger(s, r->cookie);
		return;
	}
	if (r->kind == TP_REC_URING) {
		apps_uring(s, (uint32_t)r->cookie);
		return;
	}
	if (r->kind != TP_REC_FRAME || r->len > len || r->len > sizeof(frame))
		return;
	if ((int64_t)(s->now_ns - r->time_ns) > (int64_t)TP_STALE_NS) {
		s->upcall.stale++;
		return;
	}
	s->upcall.frames++;
	memcpy(frame, r + 1, r->len);
	from_wire(s, NULL, frame, r->len, r->queue);
}

/* The record at @pos, which is committed; its @head tells the length. */
static void take(struct slow *s, const uint8_t *at, uint32_t head)
{
	uint32_t len = head & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
	const struct tp_record *r = (const void *)(at + BPF_RINGBUF_HDR_SZ);

	if (!(head & BPF_RINGBUF_DISCARD_BIT) && len >= sizeof(*r))
		record(s, r, len - (uint32_t)sizeof(*r));
}

static uint64_t step(uint32_t head)
{
	uint64_t len = head & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

	return (len + BPF_RINGBUF_HDR_SZ + 7) & ~7ULL;
}

/* The length word of the record at @at, once it is committed; 0 if that takes long. */
static uint32_t committed(const uint8_t *at)
{
	uint32_t head;

	for (int i = 0; i < BUSY_SPINS; i++) {
		head = __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);	/* (D) */
		if (!(head & BPF_RINGBUF_BUSY_BIT))
			return head;
	}
	return 0;
}

void upcall_drain(struct slow *s, uint32_t budget)
{
	struct upcall *u = &s->upcall;
	const uint8_t *data = (const uint8_t *)u->producer + sysconf(_SC_PAGESIZE);
	unsigned long *consumer = u->consumer, *producer = u->producer;
	unsigned long pos = __atomic_load_n(consumer, __ATOMIC_RELAXED);
	unsigned long end = __atomic_load_n(producer, __ATOMIC_ACQUIRE);	/* (C) */

	s->now_ns = clock_ns();
	while (budget-- && pos < end) {
		const uint8_t *at = data + (pos & (u->size - 1));
		uint32_t head = committed(at);

		if (!head)
			return;
		take(s, at, head);
		pos += step(head);
		__atomic_store_n(consumer, pos, __ATOMIC_RELEASE);	/* (E) */
	}
}

static void ring_ready(struct loop_source *src, uint32_t events)
{
	(void)events;
	upcall_drain(container_of(src, struct slow, upcall.ring), RING_BUDGET);
}

int upcall_init(struct slow *s)
{
	struct upcall *u = &s->upcall;
	struct bpf_map_info info = { 0 };
	uint32_t info_len = sizeof(info);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int err;

	u->ring = (struct loop_source){ .fd = s->att->slow_fd, .ready = ring_ready };
	if (bpf_obj_get_info_by_fd(s->att->slow_fd, &info, &info_len))
		return -errno;
	u->size = info.max_entries;
	u->consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, s->att->slow_fd, 0);
	if (u->consumer == MAP_FAILED)
		return -errno;
	u->producer = mmap(NULL, page + 2 * u->size, PROT_READ, MAP_SHARED, s->att->slow_fd,
			   (off_t)page);
	if (u->producer == MAP_FAILED) {
		err = -errno;
		goto err_consumer;
	}
	err = loop_add(&s->loop, &u->ring, EPOLLIN);
	if (err)
		goto err_producer;
	return 0;

err_producer:
	munmap(u->producer, page + 2 * u->size);
err_consumer:
	munmap(u->consumer, page);
	return err;
}

void upcall_fini(struct slow *s)
{
	struct upcall *u = &s->upcall;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	loop_del(&s->loop, &u->ring);
	munmap(u->producer, page + 2 * u->size);
	munmap(u->consumer, page);
}
