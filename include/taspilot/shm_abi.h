/* SPDX-License-Identifier: BSD-2-Clause
 *
 * shm_abi.h - the memory that a program and taspilotd share: one region a process.
 *
 *   region file (memfd, sealed against shrinking, mapped by taspilotd and the program)
 *
 *   offset 0        struct tp_region     geometry, written once by taspilotd
 *   lane_off        lanes                program -> fast thread i: "look at this slot"
 *   ctx_off         contexts             fast thread -> one waiter of the program
 *   slot_off        slots                one a connection
 *   small_off       slots * 2 * 4 KiB    the pipes' first pages, dense: rx, tx
 *   big_off         slots * 2 * 8 MiB    the pipes' large rings, sparse: rx, tx
 *
 * Every word has one writer, named at its line; the few that two sides write are
 * exchanged atomically and marked "both". taspilotd keeps all geometry in private
 * memory and bounds each word that the program writes before use (invariant I6).
 *
 * Payload travels in pipes (pipe.h). Positions are free-running 64-bit byte counts from
 * the switch to FAST; so wire sequence number = first sequence number + position.
 *
 * Wake-ups. Who wants to sleep: set its sleep word, full fence, look again, sleep. Who
 * produced: write, full fence, exchange the sleep word with 0, wake if it was TP_ASLEEP. So
 * one wake a batch, and none towards somebody awake.
 *
 * Yields. Who shares a fast thread's CPU may say TP_YIELDS in place of TP_ASLEEP, stay runnable and
 * yield the CPU to it for a moment before it sleeps; the thread yields back when there is news. A yield
 * may do nothing, so nobody relies on one: who said TP_YIELDS looks for news whenever it runs.
 *
 * Writing while a flow goes back to Linux. taspilotd stores state = LEAVING, full fence, and only
 * then takes the last look at tx_head. So a writer stores tx_head, full fence, looks at state: if
 * it is FAST still, these bytes will go by the pipe. If not, it waits for LINUX; what stands in
 * [tx_tail, tx_head) then was not sent, and is written to the real fd before anything else.
 */
#ifndef TASPILOT_SHM_ABI_H
#define TASPILOT_SHM_ABI_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "taspilot/bpf_abi.h"

#define TP_LINE		64
#define TP_SHM_MAGIC	0x31746f6c69707361ULL	/* "aspilot1" */
#define TP_SHM_VERSION	3
#define TP_SLOTS	16384U		/* connections a region can hold, power of two */
#define TP_MAX_THREADS	16U		/* fast threads */
#define TP_MAX_CTX	64U		/* waiters: a bit each in tp_slot.notify */
#define TP_PIPE_SMALL	4096U		/* bytes: first size of a pipe */
#define TP_PIPE_BIG	(8U << 20)	/* bytes: most that a pipe can hold */

struct tp_region {
	/* taspilotd writes before the program sees the region; constant after */
	uint64_t magic;
	uint32_t version;
	uint32_t region_id;
	uint32_t slots, threads, ctxs, pad;
	uint64_t lane_off, ctx_off, slot_off, small_off, big_off, size;
	uint32_t thread_cpu[TP_MAX_THREADS];	/* where fast thread i is pinned; ~0 nowhere */

	/* taspilotd (slow thread) writes while it lives */
	alignas(TP_LINE) _Atomic uint64_t heartbeat_ns;	/* CLOCK_MONOTONIC */
	_Atomic uint32_t closing;			/* 1: detach under way, claim no more */
};

/* Sleep words of a program: those of contexts and of slots. */
#define TP_AWAKE	0U
#define TP_ASLEEP	1U			/* in the kernel: wake it */
#define TP_YIELDS	2U			/* has nothing to do, yields CPU word >> 2 */
#define TP_YIELDS_ON(cpu) ((uint32_t)(cpu) << 2 | TP_YIELDS)

/* Program -> fast thread. Many threads of the program put, one fast thread takes.
 *
 *	pos = fetch_add(head, 1); store-release entry[pos % slots] = slot index + 1
 *	take: load-acquire entry[tail % slots]; 0: none yet; else store 0, tail++
 *
 * A slot stands in it at most once (tp_slot.kicked), so it cannot overflow. A hole left
 * by a producer that died is skipped after 10 ms, and all slots are looked at then.
 */
#define TP_THREAD_AWAKE		0U	/* polls; no wake needed */
#define TP_THREAD_WAIT_KICK	1U	/* waits <= 200 us: wake it once, when the batch ends */
#define TP_THREAD_BLOCKED	2U	/* idle: wake it at the first kick */

struct tp_lane {
	alignas(TP_LINE) _Atomic uint32_t head;		/* program (atomic add) */
	alignas(TP_LINE) _Atomic uint32_t tail;		/* fast thread */
	alignas(TP_LINE) _Atomic uint32_t sleep;	/* both: thread sets, waker clears */
	_Atomic uint32_t yields_on;			/* fast thread: its CPU + 1, if it yields; else 0 */
	_Atomic uint32_t yielded;			/* fast thread: counts its yields */
	_Atomic uint32_t yield_waits;			/* program (atomic add): how many began with yields */
	alignas(TP_LINE) _Atomic uint32_t entry[TP_SLOTS];	/* program sets, thread clears */
};

/* Fast thread -> one waiter of the program: an epoll instance, or a thread that blocks.
 * One SPSC queue from each fast thread. A slot stands in a context's queues at most once
 * (tp_slot.pending), so they cannot overflow. An entry says "look", never what changed.
 */
struct tp_ctx_queue {
	alignas(TP_LINE) _Atomic uint32_t head;		/* fast thread */
	alignas(TP_LINE) _Atomic uint32_t tail;		/* program */
	alignas(TP_LINE) _Atomic uint32_t entry[TP_SLOTS];	/* fast thread: slot index */
};

struct tp_ctx {
	alignas(TP_LINE) _Atomic uint32_t sleep;	/* both: program sets, waker clears */
	alignas(TP_LINE) _Atomic uint32_t cpu;		/* program: where it last ran */
	struct tp_ctx_queue queue[TP_MAX_THREADS];
};

/* What the fast thread says of a connection (tp_slot.fast_flags). */
#define TP_F_EOF	1U	/* the peer's FIN stands at rx_head */
#define TP_F_ERR	2U	/* err is set: reported once the bytes before are read */
#define TP_F_WR_DONE	4U	/* our FIN is acknowledged */
#define TP_F_FINAL	8U	/* the fast thread will not touch this slot again */

/* What the slow path says (tp_slot.state). */
enum tp_slot_state {
	TP_SLOT_FREE,
	TP_SLOT_FAST,			/* pipes carry the bytes */
	TP_SLOT_LEAVING,		/* do not write; wait for LINUX (handback) */
	TP_SLOT_LINUX,			/* drain the rx pipe to rx_head, then the real fd */
	TP_SLOT_DEAD,			/* daemon gave the connection up; err says why */
};

/* What the program asks for (tp_slot.opts). */
#define TP_O_NODELAY	1U
#define TP_O_CORK	2U
#define TP_O_MORE	4U	/* the last write had MSG_MORE: hold a partial segment */
#define TP_O_QUICKACK	8U

/* rx_lock, tx_lock: 0 free, else the owner's tid, and whether somebody sleeps on it. Unread bytes
 * of a flow that goes back to Linux are taken out of the pipe under rx_lock, by taspilotd; the
 * pages of an empty pipe are given back under tx_lock, by the fast thread.
 */
#define TP_LOCK_WAITERS	0x80000000U
#define TP_LOCK_DAEMON	0x7fffffffU

struct tp_slot {
	/* line 0: the fast thread writes, the program reads */
	alignas(TP_LINE) _Atomic uint64_t rx_head;	/* position: bytes delivered in order */
	_Atomic uint64_t rx_geom;			/* pipe.h: where they lie */
	_Atomic uint64_t tx_tail;			/* position: acknowledged, free again */
	_Atomic uint64_t tx_sent;			/* position: sent once (SIOCOUTQNSD) */
	_Atomic uint32_t tx_want;			/* bytes that a tx pipe should hold now */
	_Atomic uint32_t fast_flags;			/* TP_F_* */
	_Atomic uint32_t err;				/* errno of TP_F_ERR */

	/* line 1: the program writes, under tx_lock / rx_lock; the fast thread reads */
	alignas(TP_LINE) _Atomic uint64_t tx_head;	/* position: bytes written */
	_Atomic uint64_t tx_geom;
	_Atomic uint64_t tx_guard;			/* program's own: pipe.h */
	_Atomic uint64_t rx_tail;			/* position: bytes read, or taken back */
	_Atomic uint64_t notify;			/* bit c: tell context c */
	_Atomic uint32_t opts;				/* TP_O_* */
	_Atomic uint32_t rcvlowat;
	_Atomic uint32_t linux_read;			/* of linux_rx, so many are read */
	_Atomic uint32_t cpu;				/* where who last waited for it ran; by any thread */

	/* line 2: both, by atomic exchange only */
	alignas(TP_LINE) _Atomic uint64_t pending;	/* bit c: stands in c's queue */
	_Atomic uint32_t kicked;			/* stands in the lane */
	_Atomic uint32_t rx_wait;			/* futex, TP_ASLEEP: a reader sleeps on it */
	_Atomic uint32_t tx_wait;			/* futex, TP_ASLEEP: a writer sleeps on it */
	_Atomic uint32_t rx_lock, tx_lock;		/* program's, by tid; TP_LOCK_DAEMON: ours */

	/* line 3: the slow path writes; constant while state is FAST */
	alignas(TP_LINE) _Atomic uint32_t state;	/* enum tp_slot_state */
	uint32_t generation;				/* counts the connections of this slot */
	uint64_t cookie;				/* SO_COOKIE */
	uint32_t thread;				/* which fast thread, so which lane */
	uint32_t linux_rx;				/* bytes in Linux's queue: read them first */
	uint32_t mss;
	uint32_t rx_max, tx_max;			/* bytes: what the pipes may grow to */
};

static_assert(sizeof(struct tp_slot) == 4 * TP_LINE, "shared-memory ABI");
static_assert(offsetof(struct tp_slot, tx_head) == 1 * TP_LINE, "shared-memory ABI");
static_assert(offsetof(struct tp_slot, pending) == 2 * TP_LINE, "shared-memory ABI");
static_assert(offsetof(struct tp_slot, state) == 3 * TP_LINE, "shared-memory ABI");

#define TP_PAGE_UP(n)	(((uint64_t)(n) + 4095) & ~4095ULL)

/* The one place that knows the layout; @r as taspilotd fills it. */
static inline void tp_region_layout(struct tp_region *r, uint32_t region_id, uint32_t threads)
{
	uint64_t at = TP_PAGE_UP(sizeof(*r));

	r->magic = TP_SHM_MAGIC;
	r->version = TP_SHM_VERSION;
	r->region_id = region_id;
	r->slots = TP_SLOTS;
	r->threads = threads;
	r->ctxs = TP_MAX_CTX;
	r->lane_off = at;
	at = TP_PAGE_UP(at + threads * sizeof(struct tp_lane));
	r->ctx_off = at;
	at = TP_PAGE_UP(at + TP_MAX_CTX * sizeof(struct tp_ctx));
	r->slot_off = at;
	at = TP_PAGE_UP(at + TP_SLOTS * sizeof(struct tp_slot));
	r->small_off = at;
	at += (uint64_t)TP_SLOTS * 2 * TP_PIPE_SMALL;
	r->big_off = at;
	at += (uint64_t)TP_SLOTS * 2 * TP_PIPE_BIG;
	r->size = at;
}

/* Users pass geometry from their own private copy of the header, never from the shared one. */
static inline struct tp_lane *tp_lane_at(void *base, const struct tp_region *geo, uint32_t thread)
{
	return (struct tp_lane *)((char *)base + geo->lane_off) + thread;
}

static inline struct tp_ctx *tp_ctx_at(void *base, const struct tp_region *geo, uint32_t ctx)
{
	return (struct tp_ctx *)((char *)base + geo->ctx_off) + ctx;
}

static inline struct tp_slot *tp_slot_at(void *base, const struct tp_region *geo, uint32_t slot)
{
	return (struct tp_slot *)((char *)base + geo->slot_off) + slot;
}

enum tp_dir { TP_RX, TP_TX };

static inline unsigned char *tp_small_at(void *base, const struct tp_region *geo, uint32_t slot,
					 enum tp_dir dir)
{
	return (unsigned char *)base + geo->small_off +
	       ((uint64_t)slot * 2 + dir) * TP_PIPE_SMALL;
}

static inline unsigned char *tp_big_at(void *base, const struct tp_region *geo, uint32_t slot,
				       enum tp_dir dir)
{
	return (unsigned char *)base + geo->big_off + ((uint64_t)slot * 2 + dir) * TP_PIPE_BIG;
}

#endif
