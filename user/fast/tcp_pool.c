/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_pool.c - the pool of tcp_pool.h: a free list a class; new blocks are cut off the arena.
 */
#include "tcp_pool.h"

#include <string.h>

void tcp_pool_init(struct tcp_pool *p, void *arena, size_t size)
{
	*p = (struct tcp_pool){ .arena = arena, .size = size };
}

void *tcp_pool_get(struct tcp_pool *p, uint32_t class)
{
	void *block;

	if (!p || class == 0 || class >= TCP_POOL_CLASSES)
		return NULL;
	block = p->free[class];
	if (block) {
		memcpy(&p->free[class], block, sizeof(void *));
		return block;
	}
	if (p->size - p->used < tcp_pool_bytes(class))
		return NULL;
	block = p->arena + p->used;
	p->used += tcp_pool_bytes(class);
	return block;
}

void tcp_pool_put(struct tcp_pool *p, uint32_t class, void *block)
{
	memcpy(block, &p->free[class], sizeof(void *));
	p->free[class] = block;
}
