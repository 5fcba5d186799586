/* SPDX-License-Identifier: BSD-2-Clause
 *
 * spsc.h - a ring between two threads of the daemon: one puts, one takes.
 *
 *      producer                          consumer
 *      (A) load-acquire tail             (C) load-acquire head
 *          room? write entry                 entry? read entry
 *      (B) store-release head            (D) store-release tail
 *
 * (B) pairs with (C): whoever sees the new head also sees the entry it covers.
 * (D) pairs with (A): whoever sees the new tail may overwrite what it released.
 *
 * Entries are written and read in place: reserve, fill, commit; peek, use, release. Each
 * side keeps the other's counter as it saw it last, and looks again only when it must:
 * polling an empty ring costs one load, filling a roomy one none.
 */
#ifndef TASPILOT_FAST_SPSC_H
#define TASPILOT_FAST_SPSC_H

#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

struct spsc {
	/* constant */
	uint8_t *mem;
	uint32_t entries;		/* power of two */
	uint32_t entry_size;

	/* producer writes */
	alignas(64) _Atomic uint32_t head;
	uint32_t tail_seen;

	/* consumer writes */
	alignas(64) _Atomic uint32_t tail;
	uint32_t head_seen;
};

/* Memory is taken as it is first used. 0 or -errno. */
static inline int spsc_init(struct spsc *r, uint32_t entries, uint32_t entry_size)
{
	void *mem = mmap(NULL, (size_t)entries * entry_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		return -errno;
	*r = (struct spsc){ .mem = mem, .entries = entries, .entry_size = entry_size };
	return 0;
}

static inline void spsc_free(struct spsc *r)
{
	if (r->mem)
		munmap(r->mem, (size_t)r->entries * r->entry_size);
	r->mem = NULL;
}

static inline void *spsc_at(const struct spsc *r, uint32_t pos)
{
	return r->mem + (size_t)(pos & (r->entries - 1)) * r->entry_size;
}

/* The next entry to fill, or NULL: full. */
static inline void *spsc_reserve(struct spsc *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (head - r->tail_seen >= r->entries) {
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);	/* A */
		if (head - r->tail_seen >= r->entries)
			return NULL;
	}
	return spsc_at(r, head);
}

static inline void spsc_commit(struct spsc *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	atomic_store_explicit(&r->head, head + 1, memory_order_release);		/* B */
}

/* The oldest entry, or NULL: empty. */
static inline void *spsc_peek(struct spsc *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (tail == r->head_seen) {
		r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);	/* C */
		if (tail == r->head_seen)
			return NULL;
	}
	return spsc_at(r, tail);
}

static inline void spsc_release(struct spsc *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);		/* D */
}

/* By the producer: entries that were not taken when it last looked, or fewer. */
static inline uint32_t spsc_used(const struct spsc *r)
{
	return atomic_load_explicit(&r->head, memory_order_relaxed) -
	       atomic_load_explicit(&r->tail, memory_order_relaxed);
}

#endif
