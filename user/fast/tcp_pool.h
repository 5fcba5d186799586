/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_pool.h - memory that flows borrow while a path loses or reorders.
 *
 * A flow has room of its own for a few scoreboard records and a few out-of-order runs, which
 * is all that a good path needs. For more it borrows a block, 1 KiB, then 16, then 64, and gives it
 * back when nothing is missing any more. The largest holds what a queue of 100 Mbit/s and 100 ms
 * loses when it overflows, every second segment. One pool a fast thread, over one arena: no locks, no
 * malloc. When the pool is empty a flow does with what it has (tcp_sack.c, tcp_ooo.c).
 */
#ifndef TASPILOT_FAST_TCP_POOL_H
#define TASPILOT_FAST_TCP_POOL_H

#include <stddef.h>
#include <stdint.h>

#define TCP_POOL_CLASSES	4	/* class 0: the flow's own */
#define TCP_POOL_BYTES		(32U << 20)	/* a good arena: 512 of the largest blocks */

struct tcp_pool {
	unsigned char *arena;
	size_t size, used;
	void *free[TCP_POOL_CLASSES];	/* each block begins with the next one's address */
};

static inline size_t tcp_pool_bytes(uint32_t class)
{
	return class == 1 ? 1024 : class == 2 ? 16384 : 65536;
}

/* @arena: aligned to 8 bytes, zero or not; touched as it is used. */
void tcp_pool_init(struct tcp_pool *p, void *arena, size_t size);
/* A block of class 1 to 3; NULL: none is left. */
void *tcp_pool_get(struct tcp_pool *p, uint32_t class);
void tcp_pool_put(struct tcp_pool *p, uint32_t class, void *block);

#endif
