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
 *    (pipe_grow). A consumer may go by the old word until it has consumed what was there
 *    then, and finds what had wrapped at the ring's first places, where the new ring will have
 *    other bytes once it wraps itself. So either the consumer looks at the word again
 *    when it has copied, and copies again if it changed (rx: a program); or the producer
 *    does not wrap before the consumer's tail has passed the guard, the head of that time
 *    (tx: what the fast thread has given to the network cannot be taken back).
 *
 *      producer                          consumer
 *      (A) load-acquire tail             (C) load-acquire head
 *          write bytes                       (E) load-relaxed geometry
 *          (F) store-relaxed geometry        read bytes
 *          (G) release fence                 (H) acquire fence, geometry again
 *      (B) store-release head            (D) store-release tail
 *
 * (B) pairs with (C): whoever sees the new head sees the bytes, and a geometry (F) at least
 * as new as the one they were written under. (D) pairs with (A). (G), before the first byte is
 * written under a new geometry, pairs with (H): whoever read such a byte sees the geometry.
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

/* Is there room that a writer who found too little should hear of? A third of @limit, as in Linux.
 * An eighth, when little is left to send: then most of what fills the pipe has arrived and waits
 * for a hole before it, or is all that the path can hold, and the path runs dry until more comes.
 */
static inline bool pipe_roomy(uint64_t used, uint64_t unsent, uint32_t limit)
{
	return used <= limit / 3 * 2ULL || (used <= limit / 8 * 7ULL && unsent <= limit / 8);
}

/* May a reader that goes by an older word still read what the next wrap would overwrite? */
static inline bool pipe_guarded(uint64_t guard, uint64_t tail)
{
	return (int64_t)(tail - guard) < 0;
}

static inline bool pipe_wraps(uint64_t geom, uint64_t tail, uint64_t head)
{
	return pipe_offset(geom, tail) + (head - tail) > pipe_size(geom);
}

/* Can bytes up to @end be written under @geom? */
static inline bool pipe_fits(uint64_t geom, uint64_t guard, uint64_t tail, uint64_t end)
{
	if (pipe_guarded(guard, tail) && pipe_wraps(geom, tail, end))
		return false;
	return end - tail <= pipe_size(geom);
}

/* To which order must @geom grow so that bytes up to @end fit? Beyond TP_ORDER_BIG: to none. */
static inline uint32_t pipe_order_for(uint64_t geom, uint64_t guard, uint64_t tail, uint64_t head,
				      uint64_t end)
{
	uint32_t order = pipe_order(geom);
	uint64_t need = end - tail;

	if (pipe_guarded(guard, tail) || pipe_wraps(geom, tail, head))
		need += pipe_offset(geom, tail);
	while (order <= TP_ORDER_BIG && 1ULL << order < need)
		order++;
	return order;
}

/* The guard behind growth from @geom, in which a reader finds [@tail, @head). What leaves the
 * small page needs none: that page stays as it is.
 */
static inline uint64_t pipe_guard(uint64_t geom, uint64_t guard, uint64_t tail, uint64_t head)
{
	if (pipe_order(geom) != TP_ORDER_SMALL && pipe_wraps(geom, tail, head))
		return head;
	return guard;
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
