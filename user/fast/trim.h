/* SPDX-License-Identifier: BSD-2-Clause
 *
 * trim.h - an idle connection holds no payload page.
 *
 * The first page of each pipe, and of a large ring as much as was ever used, stay in memory
 * when they were touched: 8 KiB at least, for a connection that may say nothing for hours. So
 * after TRIM_NS without a segment, with nothing in either pipe, the pages are given back. The
 * next bytes find pages of zeros, and pay for two page faults.
 *
 * Nobody may be about to use them:
 *  - rx: the fast thread alone writes there, and it is the one that trims. With rx_tail at
 *    rx_head nobody reads.
 *  - tx: the program may begin to write at any moment, under the slot's tx_lock. So the lock is
 *    taken, if it is free, and the program that comes meanwhile waits for a few microseconds.
 */
#ifndef TASPILOT_FAST_TRIM_H
#define TASPILOT_FAST_TRIM_H

#include <stdbool.h>
#include <stdint.h>

#include "tcp_flow.h"

#define TRIM_NS		2000000000ULL	/* idle for so long */
#define TRIM_GAP_NS	100000ULL	/* between two flows: each costs some microseconds */

/* True: the pages are gone. False: something is in a pipe, or the program is at work on it. */
bool trim_pipes(struct tcp *t);

/* When the last segment came or went. */
static inline uint64_t trim_since(const struct tcp *t)
{
	return t->heard_ns > t->sent_ns ? t->heard_ns : t->sent_ns;
}

#endif
