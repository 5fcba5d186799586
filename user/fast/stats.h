/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stats.h - a thread's counters: it alone writes, anybody reads at any time.
 *
 * Relaxed atomics: a plain add for the writer, never a torn number for the reader.
 */
#ifndef TASPILOT_FAST_STATS_H
#define TASPILOT_FAST_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#include "fast.h"

#define STATS(X)									\
	X(rx_segments) X(tx_segments) X(rx_bytes) X(tx_bytes) X(retransmits) X(ooo)	\
	X(rx_bad_csum) X(rx_bad) X(rx_stray) X(tx_full) X(handed_over)			\
	X(wakes) X(yields) X(kicks) X(sleeps) X(flows)

struct stats {
#define X(name) _Atomic uint64_t name;
	STATS(X)
#undef X
};

static inline void stats_add(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline void stats_set(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, n, memory_order_relaxed);
}

/* Add what @s says to @sum. */
void stats_sum(const struct stats *s, struct fast_stats *sum);

#endif
