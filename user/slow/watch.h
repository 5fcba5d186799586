/* SPDX-License-Identifier: BSD-2-Clause
 *
 * watch.h - connections in WATCH and RELAY: Linux's, seen passing by. See watch.c.
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

/* Begin to watch @key. NULL: enough are watched already, this one stays plain Linux's. */
struct conn *watch_begin(struct slow *s, const struct tp_flow_key *key);
/* A frame of @c is about to be relayed. May free @c: then it is plain Linux's. */
void watch_wire(struct slow *s, struct conn *c, const struct segment *seg, uint32_t queue);
void watch_linux(struct slow *s, struct conn *c, const struct segment *seg,
		 const uint8_t eth[ETH_HLEN]);
/* Linux began a new connection of the name of @c, which was handed back and is over. */
struct conn *watch_again(struct slow *s, struct conn *c);
/* Nobody claimed it: nothing to undo. Frees @c. */
void watch_end(struct slow *s, struct conn *c);

#endif
