/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pending.c - a binary heap of frames.
 */
#include "pending.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

static bool earlier(const struct frame *a, const struct frame *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static int grow(struct pending *p)
{
	size_t room = p->room ? 2 * p->room : 1024;
	struct frame **heap = realloc(p->heap, room * sizeof(*heap));

	if (!heap)
		return -ENOMEM;
	p->heap = heap;
	p->room = room;
	return 0;
}

int pending_put(struct pending *p, struct frame *f)
{
	size_t at = p->len;

	if (p->len == p->room && grow(p))
		return -ENOMEM;

	p->len++;
	f->order = p->orders++;
	for (; at && earlier(f, p->heap[(at - 1) / 2]); at = (at - 1) / 2)
		p->heap[at] = p->heap[(at - 1) / 2];
	p->heap[at] = f;
	return 0;
}

/* Let @f sink from the top to its place. */
static void sink(struct pending *p, struct frame *f)
{
	size_t at = 0, child;

	while ((child = 2 * at + 1) < p->len) {
		if (child + 1 < p->len && earlier(p->heap[child + 1], p->heap[child]))
			child++;
		if (!earlier(p->heap[child], f))
			break;
		p->heap[at] = p->heap[child];
		at = child;
	}
	p->heap[at] = f;
}

struct frame *pending_pop(struct pending *p, uint64_t now_ns)
{
	struct frame *first;

	if (!p->len || p->heap[0]->due_ns > now_ns)
		return NULL;

	first = p->heap[0];
	if (--p->len)
		sink(p, p->heap[p->len]);
	return first;
}

uint64_t pending_next(const struct pending *p)
{
	return p->len ? p->heap[0]->due_ns : UINT64_MAX;
}

void pending_clear(struct pending *p)
{
	while (p->len)
		free(p->heap[--p->len]);
	free(p->heap);
	*p = (struct pending){ 0 };
}
