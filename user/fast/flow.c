/* SPDX-License-Identifier: BSD-2-Clause
 *
 * flow.c - a thread's two ways to its flows: by number and by 4-tuple.
 *
 * The hash has a fixed number of chains, so that linking a flow never moves the others:
 * the loop stays free of long turns. A chain is walked only for frames without a number.
 */
#include "flow.h"

#include <errno.h>
#include <sys/mman.h>

#define CHAINS	(1U << 14)

static void *sparse(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int flow_table_init(struct flow_table *t)
{
	*t = (struct flow_table){ .hash_mask = CHAINS - 1 };
	t->by_id = sparse(TP_MAX_FLOWS * sizeof(*t->by_id));
	t->hash = sparse(CHAINS * sizeof(*t->hash));
	if (!t->by_id || !t->hash) {
		flow_table_free(t);
		return -ENOMEM;
	}
	return 0;
}

void flow_table_free(struct flow_table *t)
{
	if (t->by_id)
		munmap(t->by_id, TP_MAX_FLOWS * sizeof(*t->by_id));
	if (t->hash)
		munmap(t->hash, CHAINS * sizeof(*t->hash));
	t->by_id = t->hash = NULL;
}

/* Tuples of one server differ in the peer's address and port: multiply those in. */
static struct flow **chain(const struct flow_table *t, const struct frame_tuple *tuple)
{
	uint64_t h = tuple->saddr * 0x9e3779b97f4a7c15ULL;

	h ^= ((uint64_t)tuple->sport << 16 | tuple->dport) * 0xc2b2ae3d27d4eb4fULL;
	h ^= tuple->daddr * 0x165667b19e3779f9ULL;
	h ^= h >> 32;
	return &t->hash[(h ^ h >> 16) & t->hash_mask];
}

void flow_link(struct flow_table *t, struct flow *f)
{
	struct flow **at = chain(t, &f->tuple);

	t->by_id[f->id] = f;
	f->hash_next = *at;
	*at = f;
	t->count++;
}

void flow_unlink(struct flow_table *t, struct flow *f)
{
	struct flow **at = chain(t, &f->tuple);

	while (*at && *at != f)
		at = &(*at)->hash_next;
	if (!*at)
		return;
	*at = f->hash_next;
	t->by_id[f->id] = NULL;
	t->count--;
}

struct flow *flow_by_tuple(const struct flow_table *t, const struct frame_tuple *tuple)
{
	struct flow *f = *chain(t, tuple);

	while (f && !frame_tuple_eq(&f->tuple, tuple))
		f = f->hash_next;
	return f;
}
