/* SPDX-License-Identifier: BSD-2-Clause
 *
 * neigh.h - what Linux's routing says, as far as it concerns flows that live. See neigh.c.
 */
#ifndef TASPILOT_SLOW_NEIGH_H
#define TASPILOT_SLOW_NEIGH_H

#include <linux/types.h>
#include <net/ethernet.h>
#include <stdint.h>

#include "../common/list.h"
#include "loop.h"

struct slow;

#define NEIGH_BUCKETS	1024U

struct neigh {
	struct loop_source sock;
	struct list bucket[NEIGH_BUCKETS];	/* neighbours by address */
	uint32_t count;
	uint64_t nudged_ns;
};

int neigh_init(struct slow *s);
void neigh_fini(struct slow *s);
/* Let Linux confirm the next hops that live flows use, every 30 s. */
void neigh_nudge(struct slow *s);

#endif
