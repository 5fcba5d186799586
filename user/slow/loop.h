/* SPDX-License-Identifier: BSD-2-Clause
 *
 * loop.h - one epoll loop: who is ready is called, for a budget's worth of work, in turn.
 */
#ifndef TASPILOT_SLOW_LOOP_H
#define TASPILOT_SLOW_LOOP_H

#include <stdint.h>

#define LOOP_BATCH	64

struct loop_source {
	int fd;
	/* Level triggered: what a call leaves undone is found again in the next turn. May
	 * delete itself or any other source.
	 */
	void (*ready)(struct loop_source *src, uint32_t events);
};

struct loop {
	int epoll_fd;
	_Atomic uint32_t cpu;		/* 1 + the CPU where a turn is under way, 0: waiting */
	int count;			/* of this turn */
	struct loop_source *turn[LOOP_BATCH];	/* NULL: deleted meanwhile */
	uint32_t events[LOOP_BATCH];
};

int loop_init(struct loop *l);
void loop_fini(struct loop *l);
int loop_add(struct loop *l, struct loop_source *src, uint32_t events);
int loop_mod(struct loop *l, struct loop_source *src, uint32_t events);
/* The caller closes src->fd afterwards. */
void loop_del(struct loop *l, struct loop_source *src);
/* Wait until somebody is ready, call all who are. 0, or -errno. */
int loop_turn(struct loop *l);

#endif
