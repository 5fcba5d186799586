/* SPDX-License-Identifier: BSD-2-Clause
 *
 * expire.h - what time does to connections. See expire.c.
 */
#ifndef TASPILOT_SLOW_EXPIRE_H
#define TASPILOT_SLOW_EXPIRE_H

#include <stdint.h>

#include "conn.h"

struct slow;

#define EXPIRE_TICK_MS	50U
#define EXPIRE_WHEEL	256U		/* ticks ahead, a power of two */

struct expire {
	struct list wheel[EXPIRE_WHEEL];
	uint32_t tick;			/* the next to be done */
};

void expire_init(struct slow *s);
/* Every tick that has passed since the last call. */
void expire_run(struct slow *s);

/* When @c is looked at next; each replaces the one before. */
void expire_fast(struct slow *s, struct conn *c);
void expire_linux(struct slow *s, struct conn *c);
void expire_soon(struct slow *s, struct conn *c);	/* next tick */

#endif
