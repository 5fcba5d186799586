/* SPDX-License-Identifier: BSD-2-Clause
 *
 * flowmap.h - writes tp_flows of the connections that are ours, tp_cookies and tp_listeners.
 *
 * A connection's phase and its entry change together, here: first the entry, so that what the
 * slow path does next happens with XDP and tc in the new state. An update replaces the whole
 * entry (a reader sees the old or the new one, never a mixture).
 */
#ifndef TASPILOT_SLOW_FLOWMAP_H
#define TASPILOT_SLOW_FLOWMAP_H

#include "conn.h"
#include "taspilot/bpf_abi.h"

struct slow;

/* Enter @phase with the entry that belongs to it. 0 or -errno; on failure nothing changed. */
int flowmap_set(struct slow *s, struct conn *c, enum conn_phase phase);
/* Take the entry out: from here on plain Linux. The caller says what becomes of @c. */
void flowmap_forget(struct slow *s, struct conn *c);

int cookie_set(struct slow *s, uint64_t cookie, uint32_t what);
/* Out, if it still says no more than @what. */
void cookie_forget(struct slow *s, uint64_t cookie, uint32_t what);

int listener_set(struct slow *s, const struct tp_listen_key *key);
void listener_forget(struct slow *s, const struct tp_listen_key *key);

#endif
