/* SPDX-License-Identifier: BSD-2-Clause
 *
 * report.h - what `taspilot status` and `flows` show, as JSON; scripts rely on the names.
 */
#ifndef TASPILOT_SLOW_REPORT_H
#define TASPILOT_SLOW_REPORT_H

#include "../common/text.h"

struct slow;
struct conn;

/* One object: this interface. */
void report_status(struct slow *s, struct text *t);

/* An array of flows: begin, one report_flow() for each whose c->last is fresh, end. */
void report_flows_begin(struct text *t);
void report_flow(const struct conn *c, struct text *t);
void report_flows_end(struct slow *s, struct text *t);

#endif
