/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pipe.h - a byte pipe in shared memory whose ring moves and grows under its reader.
 *
 * A position is a free-running byte count. Where position p lies is said by one 64-bit
 * word, the geometry, which the producer alone writes:
 *
 *	bits 63..58  order: the ring has 1 << order bytes
 *	bits 57..0   base:  position that lies at offset 0
 *
 *	offset(p) = (p - base) & (size - 1)      in the small page if size is 4096,
 *						 in the big area else
 *
 * So the producer may
 *  - when the pipe is empty, set base = head: each request of a request-response
 *    program lies in the same few cache lines, and touches one page;
 *  - grow it at any time: copy what is not yet consumed to where the new geometry has it
 *    (pipe_grow). What a reader with the old word reads is still there, because the new
 *    ring does not reuse those bytes before they are consumed.
 *
 *      producer                          consumer
 *      (A) load-acquire tail             (C) load-acquire head
 *          write bytes                       (E) load-relaxed geometry
 *          (F) store-relaxed geometry        read bytes
 *      (B) store-release head            (D) store-release tail
 *
 * (B) pairs with (C): whoever sees the new head sees the bytes, and a geometry (F) at least
 * as new as the one they were written under. (D) pairs with (A).
 *
 * The other side is not trusted: an offset computed here is always inside the ring whatever
 * base says, an order outside 12..23 is refused, and callers bound head - tail by size.
 */
#ifndef TASPILOT_PIPE_H
#define TASPILOT_PIPE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "taspilot/shm_abi.h"

#define TP_ORDER_SMALL	12U
#define TP_ORDER_BIG	23U
#define TP_BASE_MASK	((1ULL << 58) - 1)

static_assert(1U << TP_ORDER_SMALL == TP_PIPE_SMALL, "small pipe");
static_assert(1U << TP_ORDER_BIG == TP_PIPE_BIG, "big pipe");

/* The two areas of one direction of one slot: private to each side, never shared. */
struct tp_pipe_mem {
	unsigned char *small, *big;
};

static inline uint64_t pipe_geom(uint32_t order, uint64_t base)
{
	return (uint64_t)order << 58 | (base & TP_BASE_MASK);
}

static inline uint32_t pipe_order(uint64_t geom) { return geom >> 58; }
static inline bool pipe_geom_ok(uint64_t geom)
{
	return pipe_order(geom) >= TP_ORDER_SMALL && pipe_order(geom) <= TP_ORDER_BIG;
}
static inline uint32_t pipe_size(uint64_t geom) { return 1U << pipe_order(geom); }

static inline uint32_t pipe_offset(uint64_t geom, uint64_t pos)
{
	return (uint32_t)((pos - geom) & (pipe_size(geom) - 1));
}

static inline unsigned char *pipe_ring(const struct tp_pipe_mem *m, uint64_t geom)
{
	return pipe_order(geom) == TP_ORDER_SMALL ? m->small : m->big;
}

/* The contiguous bytes at @pos, at most @want; returns how many, *ret_at where. */
static inline uint32_t pipe_span(const struct tp_pipe_mem *m, uint64_t geom, uint64_t pos,
				 uint32_t want, unsigned char **ret_at)
{
	uint32_t off = pipe_offset(geom, pos), room = pipe_size(geom) - off;

	*ret_at = pipe_ring(m, geom) + off;
	return want < room ? want : room;
}

static inline void pipe_write(const struct tp_pipe_mem *m, uint64_t geom, uint64_t pos,
			      const void *src, uint32_t len)
{
	unsigned char *at;
	uint32_t n = pipe_span(m, geom, pos, len, &at);

	memcpy(at, src, n);
	if (n < len)
		memcpy(pipe_ring(m, geom), (const unsigned char *)src + n, len - n);
}

static inline void pipe_read(const struct tp_pipe_mem *m, uint64_t geom, uint64_t pos,
			     void *dst, uint32_t len)
{
	unsigned char *at;
	uint32_t n = pipe_span(m, geom, pos, len, &at);

	memcpy(dst, at, n);
	if (n < len)
		memcpy((unsigned char *)dst + n, pipe_ring(m, geom), len - n);
}

/* Grow to 1 << @order bytes, keeping [@tail, @end); returns the new geometry, which the
 * producer then stores. @end may lie beyond head: out-of-order bytes move too.
 *
 * Within the big area the new base keeps the byte at @tail where it is, so that only what
 * had wrapped is copied, to bytes that were never in use.
 */
static inline uint64_t pipe_grow(const struct tp_pipe_mem *m, uint64_t geom, uint32_t order,
				 uint64_t tail, uint64_t end)
{
	uint64_t new = pipe_geom(order, tail - pipe_offset(geom, tail)), pos = tail;
	bool moves = pipe_order(geom) == TP_ORDER_SMALL;

	while (pos != end) {
		unsigned char *from, *to;
		uint32_t n = pipe_span(m, geom, pos, (uint32_t)(end - pos), &from);

		n = pipe_span(m, new, pos, n, &to);
		if (moves || from != to)
			memcpy(to, from, n);
		pos += n;
	}
	return new;
}

#endif
