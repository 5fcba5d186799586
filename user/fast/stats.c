/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stats.c - the sum over threads.
 */
#include "stats.h"

void stats_sum(const struct stats *s, struct fast_stats *sum)
{
#define X(name) sum->name += atomic_load_explicit(&s->name, memory_order_relaxed);
	STATS(X)
#undef X
}
