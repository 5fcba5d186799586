/* SPDX-License-Identifier: BSD-2-Clause
 *
 * slow.h - the slow thread: everything that its files share.
 *
 *	main.c		start, signals, heartbeat, the way out	loop.c	  the epoll loop
 *	upcall.c	frames and releases out of tp_slow	relay.c	  TAP and wire
 *	from_linux.c	what Linux's frames mean		icmp.c	  errors about our flows
 *	watch.c		connections that are Linux's	ask.c	  what Linux knows of one
 *	claim.c		Linux's -> ours				handback.c  ours -> Linux's
 *	feed.c		unread bytes that go back with it
 *	flowmap.c	the only writer of the maps		conn.c	  the table
 *	made.c, segment.c, held.c	frames: made, read, kept
 *	keepalive.c	Linux's probes, answered		expire.c  what time does
 *	region.c	memory shared with programs		apps.c	  programs
 *	ctl.c, why.c	the command's questions			neigh.c	  netlink
 *	bulk.c		bulk transfers that Linux carries better
 *	hear.c		a driver that has lost our XDP program
 *
 * One thread, so nothing is locked. now_ns is read once for each event of the loop.
 */
#ifndef TASPILOT_SLOW_SLOW_H
#define TASPILOT_SLOW_SLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/clock.h"
#include "../common/list.h"
#include "../fast/fast.h"
#include "apps.h"
#include "attach.h"
#include "bulk.h"
#include "conn.h"
#include "ctl.h"
#include "expire.h"
#include "hear.h"
#include "loop.h"
#include "neigh.h"
#include "region.h"
#include "relay.h"
#include "upcall.h"
#include "watch.h"
#include "why.h"

/*  RUNNING   claims are taken
 *  LEAVING   detach: none is taken any more; flows go back to Linux
 *  DRAINING  all went back; connections whose numbers must be translated are waited for
 *  OVER      the loop ends, everything is undone
 */
enum slow_life { SLOW_RUNNING, SLOW_LEAVING, SLOW_DRAINING, SLOW_OVER };

struct slow {
	struct attached *att;
	struct fast_set *fast;
	struct fast_config fast_cfg;
	struct loop loop;
	struct loop_source fast_events, timer, signals;
	enum slow_life life;
	uint64_t leaving_ns;		/* since when it is in this life */
	bool told_draining;
	uint64_t now_ns, started_ns;
	uint64_t setups;		/* connections claimed */

	/* of Linux, for what a socket does not say itself */
	uint32_t rmem_max, wmem_max;

	struct conns conns;
	struct regions regions;
	struct relay relay;
	struct upcall upcall;
	struct expire expire;
	struct sweep sweep;
	struct apps apps;
	struct ctl ctl;
	struct neigh neigh;
	struct why why;
	struct bulk bulk;
	struct hear hear;
};

static inline bool slow_is_closing(const struct slow *s) { return s->life != SLOW_RUNNING; }

/* Send @cmd, waiting while the ring is full, which the thread always drains. 0, or -ENOMEM for
 * commands that need memory (INSTALL, REGION_ADD).
 */
int slow_tell(struct slow *s, uint32_t thread, const struct fast_cmd *cmd);
/* The same, of one flow: a command without more arguments. */
void slow_tell_flow(struct slow *s, const struct conn *c, enum fast_cmd_kind kind);

/* We live. The clock is read anew: who has been long at something says so by this. */
void slow_beat(struct slow *s);

/* Begin to leave; @force: do not wait for anybody. Again: force. */
void slow_detach(struct slow *s, bool force);

#endif
