/* SPDX-License-Identifier: BSD-2-Clause
 *
 * trim.c - give back the pages of both pipes.
 *
 * The lock word is in the program's hands: what a program makes of it concerns its own bytes
 * only, and nothing here waits for it.
 */
#include "trim.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "taspilot/pipe.h"

static void remove_pages(void *at, size_t bytes)
{
	(void)madvise(at, bytes, MADV_REMOVE);
}

static bool is_big(uint64_t geom)
{
	return pipe_order(geom) != TP_ORDER_SMALL;
}

static void unlock(struct tp_slot *s)
{
	if (atomic_exchange_explicit(&s->tx_lock, 0, memory_order_release) & TP_LOCK_WAITERS)
		syscall(SYS_futex, &s->tx_lock, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* The ring begins again at its small page; set_geom()'s rules hold, for the pipe is empty. */
static void trim_big_rx(struct tcp *t)
{
	if (!is_big(t->rx_geom))
		return;
	remove_pages(t->rx.big, TP_PIPE_BIG);
	t->rx_geom = pipe_geom(TP_ORDER_SMALL, t->rx_head);
	atomic_store_explicit(&t->slot->rx_geom, t->rx_geom, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

/* The geometry is the program's, and it begins anew with the next write to an empty pipe. */
static void trim_big_tx(struct tcp *t)
{
	if (is_big(atomic_load_explicit(&t->slot->tx_geom, memory_order_relaxed)))
		remove_pages(t->tx.big, TP_PIPE_BIG);
}

bool trim_pipes(struct tcp *t)
{
	struct tp_slot *s = t->slot;
	uint32_t free = 0;
	bool empty;

	if (t->nrange || atomic_load_explicit(&s->rx_tail, memory_order_acquire) != t->rx_head ||
	    !atomic_compare_exchange_strong_explicit(&s->tx_lock, &free, TP_LOCK_DAEMON,
						     memory_order_acquire, memory_order_relaxed))
		return false;
	empty = atomic_load_explicit(&s->tx_head, memory_order_acquire) == t->tx_tail;
	if (empty) {
		remove_pages(t->rx.small, 2 * TP_PIPE_SMALL);	/* tx.small stands behind it */
		trim_big_rx(t);
		trim_big_tx(t);
	}
	unlock(s);
	return empty;
}
