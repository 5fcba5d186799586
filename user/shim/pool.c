/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pool.c - memory without malloc: the program's allocator may call us, so we never call it.
 *
 * A pool reserves address space for all its objects at its first use; pages come when touched.
 */
#include <sys/mman.h>

#include "shim.h"

static char *reserve(size_t size)
{
	int saved = errno;
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	errno = saved;
	return mem == MAP_FAILED ? NULL : mem;
}

void *pool_grow(struct pool *p)
{
	char *base = atomic_load_explicit(&p->base, memory_order_acquire), *none = NULL;
	uint32_t i;

	if (!base) {
		base = reserve((size_t)p->size * p->max);
		if (!base)
			return NULL;
		if (!atomic_compare_exchange_strong(&p->base, &none, base)) {
			munmap(base, (size_t)p->size * p->max);
			base = none;
		}
	}
	i = atomic_load_explicit(&p->used, memory_order_relaxed);
	do {
		if (i >= p->max)
			return NULL;
	} while (!atomic_compare_exchange_weak(&p->used, &i, i + 1));
	return base + (size_t)i * p->size;
}

void *tmp_get(size_t size) { return reserve(size); }

void tmp_put(void *mem, size_t size)
{
	int saved = errno;

	munmap(mem, size);
	errno = saved;
}
