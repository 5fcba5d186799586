/* SPDX-License-Identifier: BSD-2-Clause
 *
 * hear.h - does the driver still run our XDP program? See hear.c.
 */
#ifndef TASPILOT_SLOW_HEAR_H
#define TASPILOT_SLOW_HEAR_H

#include <stdbool.h>
#include <stdint.h>

struct slow;

struct hear {
	uint64_t looked_ns;
	uint64_t xdp, tc;		/* frames that had come there by the last look */
	uint64_t missed_ns;		/* when a look found new ones at tc alone, */
	uint32_t looks;			/* and how many in a row, since XDP's last */
	uint32_t acts;			/* times that something was to be done about it, since then */
	uint64_t set_ns;		/* when XDP was set anew, */
	uint32_t sets;			/* and how often, since the link changed */
	bool told;			/* the log was, that it does not run */
	bool lost;			/* there is none: connections are Linux's */
};

/* The NIC's MTU has changed: what did not help may help now. */
void hear_link_changed(struct hear *h);
/* Are connections Linux's, because there is no XDP? Looks, for who is refused is so for good. */
bool hear_is_lost(struct slow *s);
/* From the slow thread's timer. */
void hear_run(struct slow *s);

#endif
