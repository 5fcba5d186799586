/* SPDX-License-Identifier: BSD-2-Clause
 *
 * keepalive.h - Linux's keepalive probes of a FAST flow. See keepalive.c.
 */
#ifndef TASPILOT_SLOW_KEEPALIVE_H
#define TASPILOT_SLOW_KEEPALIVE_H

#include "conn.h"

struct slow;

/* Linux probes. */
void keepalive_probe(struct slow *s, struct conn *c);
/* c->last is fresh. */
void keepalive_state(struct slow *s, struct conn *c);
/* Time to look again. */
void keepalive_again(struct slow *s, struct conn *c);

#endif
