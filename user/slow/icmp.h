/* SPDX-License-Identifier: BSD-2-Clause
 *
 * icmp.h - ICMP errors that quote a flow of ours. See icmp.c.
 */
#ifndef TASPILOT_SLOW_ICMP_H
#define TASPILOT_SLOW_ICMP_H

#include <stdbool.h>
#include <stdint.h>

struct slow;
struct conn;

/* True: it was about a flow that is ours, and has been dealt with. */
bool icmp_from_wire(struct slow *s, uint8_t *frame, uint32_t len);

#endif
