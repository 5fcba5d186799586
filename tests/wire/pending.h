/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pending.h - the frames that are under way, by the time they are due; pure.
 *
 * A binary heap. Frames due at the same time leave in the order in which they were put in.
 */
#ifndef WIRE_PENDING_H
#define WIRE_PENDING_H

#include <stddef.h>
#include <stdint.h>

struct frame {
	uint64_t due_ns;
	uint64_t order;			/* pending's own */
	size_t len;
	uint8_t data[];
};

struct pending {
	struct frame **heap;
	size_t len, room;
	uint64_t orders;
};

/* -ENOMEM, or 0: the frame is the heap's until it is popped. */
int pending_put(struct pending *p, struct frame *f);

/* The first frame if it is due by @now_ns, else NULL. */
struct frame *pending_pop(struct pending *p, uint64_t now_ns);

/* When the first is due; ~0: there is none. */
uint64_t pending_next(const struct pending *p);

/* Free all. */
void pending_clear(struct pending *p);

#endif
