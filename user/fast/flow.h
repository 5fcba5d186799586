/* SPDX-License-Identifier: BSD-2-Clause
 *
 * flow.h - a flow as its fast thread holds it, and how a frame finds it.
 *
 * XDP writes the flow_id in front of each frame, so finding a flow is one array index and
 * one compare of the 4-tuple: the id is a hint that the tuple must confirm. Where a driver
 * loses what XDP wrote, a hash over the tuple finds the flow. Both tables are the thread's
 * own; which thread owns a flow_id, all may read (flow_owner).
 *
 * A flow's memory is the slow thread's to allocate and to free (fast.c); between INSTALL
 * and FREED only the owner touches it.
 *
 *  phase	sends, receives	its frames	left by
 *  LIVE	yes		tcp_rx		QUIET, DEAD
 *  QUIET	no		FAST_EV_STRAY	LEAVE once more: LIVE; FREE
 *  DEAD	no		FAST_EV_STRAY	FREE
 */
#ifndef TASPILOT_FAST_FLOW_H
#define TASPILOT_FAST_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "appq.h"
#include "../common/list.h"
#include "fast.h"
#include "frame.h"
#include "tcp_flow.h"
#include "timer.h"

enum flow_phase { FLOW_LIVE, FLOW_QUIET, FLOW_DEAD };

struct flow {
	/* set at install */
	uint32_t id;
	uint32_t slot;
	struct frame_tuple tuple;	/* as its frames arrive */
	struct appq *appq;
	struct tp_slot *shm;		/* line 0 is ours, line 1 the program's */
	struct tp_pipe_mem tx;

	/* the thread's */
	uint8_t phase;			/* enum flow_phase */
	bool leaving;			/* LEAVE: quiet as soon as may be */
	bool ending;			/* the peer's FIN arrived, or ours is acknowledged: output.c */
	uint32_t leave;			/* number of the last LEAVE, 0 none */
	uint32_t todo;			/* TCP_DO_* of this turn */
	uint32_t events;		/* 1 << FAST_EV_*: to be told to the slow path */
	struct list busy;		/* todo or output left */
	struct list telling;		/* events left */
	struct flow *hash_next;
	struct timer timer;
	uint64_t trimmed_ns;		/* trim_since() when the pipes' pages were given back */
	uint64_t trim_turn_ns;		/* its turn, if it is idle for long enough by then */
	struct frame_head head;

	struct tcp tcp;
};

struct flow_table {
	struct flow **by_id;		/* [TP_MAX_FLOWS], touched as used */
	struct flow **hash;		/* chains by tuple */
	uint32_t hash_mask;
	uint32_t count;
};

int flow_table_init(struct flow_table *t);
void flow_table_free(struct flow_table *t);
void flow_link(struct flow_table *t, struct flow *f);
void flow_unlink(struct flow_table *t, struct flow *f);

static inline struct flow *flow_by_id(const struct flow_table *t, uint32_t id)
{
	return id < TP_MAX_FLOWS ? t->by_id[id] : NULL;
}

struct flow *flow_by_tuple(const struct flow_table *t, const struct frame_tuple *tuple);

/* @id: what came with the frame, FLOW_NO_ID if nothing did. */
#define FLOW_NO_ID	(~0U)
static inline struct flow *flow_find(const struct flow_table *t, uint32_t id,
				     const struct frame_tuple *tuple)
{
	struct flow *f = flow_by_id(t, id);

	if (f && frame_tuple_eq(&f->tuple, tuple))
		return f;
	return flow_by_tuple(t, tuple);
}

#endif
