/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sum.h - wire.h's sums with the vector instructions that this CPU has.
 *
 * The CPU is asked once, by sum_init(); until then, and on other architectures, the plain ones
 * of wire.h do it. Short blocks are theirs always: a call through a pointer costs as much.
 *
 * As in wire.h each byte of @src is read once: what is summed is what was copied.
 */
#ifndef TASPILOT_FAST_SUM_H
#define TASPILOT_FAST_SUM_H

#include "taspilot/wire.h"

#define SUM_SHORT	128U

struct sum_ops {
	const char *name;
	uint64_t (*copy)(void *dst, const void *src, size_t len);
	uint64_t (*sum)(const void *src, size_t len);
};

extern const struct sum_ops *sum_ops;

/* Before threads run. */
void sum_init(void);
/* All that this CPU can do, best first, plain last; NULL behind. For tests. */
const struct sum_ops *sum_variant(uint32_t index);

static inline uint64_t sum_copy(void *dst, const void *src, size_t len)
{
	return len < SUM_SHORT ? wire_copy_sum(dst, src, len) : sum_ops->copy(dst, src, len);
}

static inline uint64_t sum_of(const void *src, size_t len)
{
	return len < SUM_SHORT ? wire_sum(src, len) : sum_ops->sum(src, len);
}

#endif
