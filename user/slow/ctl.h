/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ctl.h - the control socket: programs and the command. See ctl.c.
 */
#ifndef TASPILOT_SLOW_CTL_H
#define TASPILOT_SLOW_CTL_H

#include <stdint.h>

#include "../common/list.h"
#include "loop.h"

struct slow;
struct conn;
struct opts;

struct ctl {
	struct loop_source listener;
	struct list clients;
	struct list queries;		/* FLOWS under way */
	struct list waiting;		/* clients that wait for DETACH */
	struct list demoting;		/* clients that wait for DEMOTE */
};

int ctl_init(struct slow *s, const struct opts *o);
void ctl_fini(struct slow *s);
/* c->last is fresh (FAST_EV_STATE). */
void ctl_state(struct slow *s, struct conn *c);
/* Queries and demotions that are done, or have waited long enough. */
void ctl_expire(struct slow *s);
/* All flows went back, @remain of which need translation: answer DETACH. */
void ctl_detached(struct slow *s, uint32_t remain);

#endif
