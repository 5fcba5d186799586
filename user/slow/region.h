/* SPDX-License-Identifier: BSD-2-Clause
 *
 * region.h - memory shared with one program, and the slots in it. See region.c.
 */
#ifndef TASPILOT_SLOW_REGION_H
#define TASPILOT_SLOW_REGION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../common/list.h"
#include "../fast/fast.h"
#include "taspilot/shm_abi.h"

struct slow;

struct region {
	struct fast_region fast;	/* what the fast threads know of it */
	struct list link;
	int memfd;
	uid_t uid;			/* whose program asked for it */
	uint32_t users;			/* control connections that were given it */
	uint32_t flows;			/* connections that have a slot in it */
	uint32_t gone;			/* fast threads that have forgotten it */
	bool dying;
	bool ctx_used[TP_MAX_CTX];
	uint32_t free_slots;
	uint32_t free_slot[TP_SLOTS];	/* stack: what was used last is used next */
	uint32_t clean;			/* so many at its bottom hold no payload page */
	uint32_t generation[TP_SLOTS];
};

struct regions {
	struct list all;
	uint32_t next_id;
};

void regions_init(struct regions *rs);

/* A new region for a program of @uid. 0 or -errno. */
int region_new(struct slow *s, uid_t uid, struct region **ret_region);
struct region *region_find(struct slow *s, uint32_t region_id);
/* One control connection more or less; the last one gone, and its flows, it is freed. */
void region_get(struct region *r);
void region_put(struct slow *s, struct region *r);
void region_gone(struct slow *s, struct fast_region *r);	/* FAST_EV_REGION_GONE */

/* Context @fd (an eventfd, taken over) of a program. Returns its index or -errno. */
int region_add_ctx(struct slow *s, struct region *r, int fd);
void region_drop_ctx(struct region *r, uint32_t index);

/* Heartbeat and closing into all regions. */
void regions_beat(struct slow *s, uint64_t now_ns);

/* What a slot begins with. */
struct slot_begin {
	uint64_t cookie;
	uint32_t thread, linux_rx, mss, rx_max, tx_max, opts;
};

/* 0 or -errno. The program may look at it once it is told its index. */
int slot_open(struct region *r, const struct slot_begin *b, uint32_t *ret_slot);
void slot_close(struct slow *s, struct region *r, uint32_t slot);
struct tp_slot *slot_at(const struct region *r, uint32_t slot);
void slot_set_state(const struct region *r, uint32_t slot, enum tp_slot_state state);
/* Bytes that the program has written in all: a hint of the program's, bounded by nobody. */
uint64_t slot_written(const struct region *r, uint32_t slot);
/* Bytes that it has read: likewise. */
uint64_t slot_read(const struct region *r, uint32_t slot);
/* The program can know that the peer has finished. */
bool slot_has_eof(const struct region *r, uint32_t slot);
/* Take what the program has not read out of the rx pipe, of which @head bytes were filled. To the
 * program they are there still, but it cannot read until slot_give_up_unread(). -EAGAIN: it is
 * just reading, try again. *ret_from: position of the first byte. @force: whoever is reading has
 * died, or stands still in the midst of it, and if it goes on, it will find its bytes gone and look again.
 */
int slot_take_unread(const struct region *r, uint32_t slot, uint64_t head, bool force,
		     uint64_t *ret_from, uint32_t *ret_len);
/* Now they are gone: the slot's state is LINUX, and the program reads on from the real fd. */
void slot_give_up_unread(const struct region *r, uint32_t slot, uint64_t head);
/* Copy taken bytes. */
void slot_read_taken(const struct region *r, uint32_t slot, uint64_t from, uint8_t *dst,
		     uint32_t len);
/* Of @head bytes that the rx pipe was filled with, how many were not read. */
uint32_t slot_unread(const struct region *r, uint32_t slot, uint64_t head);
/* Delivered bytes that the program has not read. */
bool slot_has_unread(const struct region *r, uint32_t slot);

#endif
