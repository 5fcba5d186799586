/* SPDX-License-Identifier: BSD-2-Clause
 *
 * feed.h - bytes that nobody had read go to Linux before their flow does. See feed.c.
 */
#ifndef TASPILOT_SLOW_FEED_H
#define TASPILOT_SLOW_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "conn.h"
#include "relay.h"
#include "segment.h"

struct slow;

/* Phase BACK, once: take what the program has not read. -EAGAIN: it is just reading. */
int feed_take(struct slow *s, struct conn *c);
/* Linux has it, or will have it some day: the program's next call goes there. */
void feed_switch(struct slow *s, struct conn *c);
/* Give Linux what its window takes, as @a says it. */
void feed_push(struct slow *s, struct conn *c, const struct tp_answer *a);
/* Has Linux, as @a says, taken all? */
bool feed_is_over(const struct conn *c, const struct tp_answer *a);
/* It has not: from here on frames are translated one by one, the wire's window is 0. */
void feed_wait(struct slow *s, struct conn *c);
/* A tick later: what was lost on the way goes again. */
void feed_again(struct slow *s, struct conn *c, const struct tp_answer *a);

/* Frames while c->feeding. From Linux: no RST. */
void feed_from_wire(struct slow *s, struct conn *c, const struct segment *seg);
void feed_from_linux(struct slow *s, struct conn *c, const struct segment *seg,
		     const struct virtio_net_hdr *vnet, uint8_t *frame, uint32_t len);
/* In the wire's numbers and with its window closed. */
void feed_translate(struct slow *s, struct conn *c, const struct segment *seg,
		    const struct virtio_net_hdr *vnet, uint8_t *frame, uint32_t len);

#endif
