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
	uint32_t looks;			/* that found new ones at tc alone, since XDP's last */
	uint32_t acts;			/* times that something was done about it, since then */
	bool set;			/* XDP was set anew: if it is not heard now, that is no help */
	bool lost;			/* there is none: connections are Linux's */
};

/* So many frames by now. True: XDP does not run, do something. */
bool hear_look(struct hear *h, uint64_t xdp, uint64_t tc);
/* The NIC's MTU has changed: what did not help may help now. */
void hear_link_changed(struct hear *h);
/* From the slow thread's timer. */
void hear_run(struct slow *s);

#endif
