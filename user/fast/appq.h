/* SPDX-License-Identifier: BSD-2-Clause
 *
 * appq.h - between one fast thread and one program's region: kicks in, events out.
 *
 *	program --- lane ----------> appq_next()	"look at this slot"
 *	program <-- ctx queues ----- appq_notify()	"look at this slot"
 *	program <-- eventfd, futex - appq_flush()	one wake a sleeper and batch
 *
 * Everything read here was written by a program: slot numbers and context bits are
 * bounded by our private copy of the geometry, and a turn takes no more lane entries than
 * a lane has. Queue positions are ours alone; a program that clears its pending bits too
 * often overwrites its own queue.
 */
#ifndef TASPILOT_FAST_APPQ_H
#define TASPILOT_FAST_APPQ_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/list.h"
#include "fast.h"

struct flow;

struct appq {
	/* constant */
	struct fast_region *region;
	void *base;
	struct tp_region geo;
	uint32_t thread;
	struct tp_lane *lane;
	struct flow **by_slot;		/* [geo.slots], the thread's */

	/* the thread's */
	struct appq *next;
	struct list gone;		/* REGION_GONE is to be told */
	uint32_t lane_tail;
	uint64_t hole_ns;		/* since when an entry is missing; 0 none is */
	uint32_t ctx_head[TP_MAX_CTX];
	uint64_t ctxs;			/* bit c: context c exists */
	uint64_t ctx_given;		/* got events in this batch */
	uint64_t ctx_busy;		/* got events and was not yet seen asleep since */
	uint32_t slot_busy;		/* the slot whose sleeper was woken last */
	bool has_slot_busy;		/* and who did not sleep on it since */
	uint32_t gave;			/* CPU + 1 of somebody who yields and has news now; 0 nobody */
	_Atomic uint64_t waking;	/* the write under way: count << 8 | context, 0 none */
	uint64_t wakes;			/* writes so far */
	uint32_t yields;		/* so many */
	uint32_t yield_waits;		/* of the program, when we looked last */
	uint32_t *wake;			/* slots whose sleepers to look for in this batch */
	uint32_t wake_n, wake_max;

	/* the slow thread's */
	uint64_t watched;		/* waking, when it looked last */
	_Atomic uint64_t banned;	/* bit c: its eventfd blocked, it is woken no more */
};

#define APPQ_HOLE_NS	10000000ULL	/* a producer that died leaves a hole that long */

struct appq *appq_new(struct fast_region *r, uint32_t thread);
void appq_free(struct appq *q);
/* region->ctx_fd[index] is set now. */
void appq_ctx(struct appq *q, uint32_t index);

/* Next slot that the program kicked: true. Its kicked word is already clear: what it wrote
 * before the kick is seen after this. *ret_hole: a hole was skipped, any slot may have been
 * in it.
 */
bool appq_next(struct appq *q, uint64_t now_ns, uint32_t *ret_slot, bool *ret_hole);
/* Until when a hole is waited for; ~0 there is none. */
uint64_t appq_hole_deadline(const struct appq *q);
bool appq_pending(const struct appq *q);

/* Tell all contexts that want to know of @slot; sleepers follow in appq_flush(). */
void appq_notify(struct appq *q, uint32_t slot);
/* End of a batch. Returns the number of wakes. */
uint32_t appq_flush(struct appq *q);
/* The CPU + 1 of somebody who yields and got news since the last call; 0: nobody. Of several, one. */
static inline uint32_t appq_gave(struct appq *q)
{
	uint32_t where = q->gave;

	q->gave = 0;
	return where;
}

/* By the slow thread, now and then. An eventfd is the program's too: it can make it block, and
 * its counter full. A thread that has hung in the same write since the last look is freed,
 * and that context is woken no more.
 */
void appq_watch(struct appq *q);

/* Whether a waiter on CPU @cpu got events and did not go to sleep since. */
bool appq_awake_on(struct appq *q, uint32_t cpu);
/* Stop taking these for awake: they do not come back. */
void appq_forget_awake(struct appq *q);

/* Announce TP_THREAD_* to the program. */
static inline void appq_sleep(struct appq *q, uint32_t how)
{
	atomic_store_explicit(&q->lane->sleep, how, memory_order_relaxed);
}

/* Where we yield, CPU + 1; 0: nowhere. */
static inline void appq_yields_on(struct appq *q, uint32_t where)
{
	if (atomic_load_explicit(&q->lane->yields_on, memory_order_relaxed) != where)
		atomic_store_explicit(&q->lane->yields_on, where, memory_order_relaxed);
}

/* Has somebody yielded since the last call? */
static inline bool appq_had_yielder(struct appq *q)
{
	uint32_t waits = atomic_load_explicit(&q->lane->yield_waits, memory_order_relaxed);
	bool had = waits != q->yield_waits;

	q->yield_waits = waits;
	return had;
}

/* Announce that we did. */
static inline void appq_yielded(struct appq *q)
{
	atomic_store_explicit(&q->lane->yielded, ++q->yields, memory_order_relaxed);
}

static inline struct tp_slot *appq_slot(const struct appq *q, uint32_t slot)
{
	return tp_slot_at(q->base, &q->geo, slot);
}

#endif
