/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options.h - a socket's options that concern the fast path, at the claim and after it.
 */
#ifndef TASPILOT_SLOW_OPTIONS_H
#define TASPILOT_SLOW_OPTIONS_H

#include "conn.h"

struct slow;

struct tcp_options options_of(const struct tp_answer *a);

/* The program has set one on @c's socket. */
int options_changed(struct slow *s, struct conn *c);

#endif
