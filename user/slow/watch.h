/* SPDX-License-Identifier: BSD-2-Clause
 *
 * watch.h - connections in WATCH are Linux's, and the kernel's programs look after them: XDP and
 * tc begin WATCH with a SYN and end it with FIN or RST (bpf/maps.h). What is left for us is
 * in watch.c.
 */
#ifndef TASPILOT_SLOW_WATCH_H
#define TASPILOT_SLOW_WATCH_H

#include <stdint.h>

#include "conn.h"
#include "segment.h"

struct slow;

static inline bool watch_is_syn(const struct segment *s)
{
	return (s->flags & (WIRE_SYN | WIRE_ACK | WIRE_RST | WIRE_FIN)) == WIRE_SYN;
}

static inline bool watch_is_synack(const struct segment *s)
{
	return (s->flags & (WIRE_SYN | WIRE_ACK | WIRE_RST | WIRE_FIN)) == (WIRE_SYN | WIRE_ACK);
}

/* A SYN of the peer, or a SYN or SYN-ACK of Linux, comes by us and not by the kernel's programs,
 * because its predecessor of the same name was ours, and is over.
 */
void watch_peer_syn(struct slow *s, const struct segment *seg, uint32_t queue);
void watch_linux_syn(struct slow *s, const struct segment *seg, const uint8_t *frame);

/* --- sweeping ---------------------------------------------------------------------------- */

#define SWEEP_BATCH	512U

struct sweep {
	uint64_t due_ns;
	uint64_t begun;			/* connections that had begun WATCH at the last sweep */
	uint32_t left;			/* of these, how many it has left there */
	uint32_t at, last;		/* when this sweep, and the one before, began: as .born */
	uint32_t asks;			/* of Linux, this tick */
	bool running;
	uint32_t cursor;		/* the kernel's */
	struct tp_flow_key key[SWEEP_BATCH];
	struct tp_flow_val val[SWEEP_BATCH];
};

/* A slice of the work; called every tick. */
void watch_sweep(struct slow *s);

#endif
