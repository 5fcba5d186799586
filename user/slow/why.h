/* SPDX-License-Identifier: BSD-2-Clause
 *
 * why.h - why connections are Linux's. See why.c.
 */
#ifndef TASPILOT_SLOW_WHY_H
#define TASPILOT_SLOW_WHY_H

#include <stdint.h>

#include "../common/text.h"
#include "taspilot/bpf_abi.h"
#include "taspilot/ctl_abi.h"

struct slow;

#define WHY_NOTES	4096U		/* refusals remembered, the oldest go */

struct why_refusal {
	struct tp_flow_key key;
	uint32_t reason;
	uint64_t cookie;
};

struct why {
	struct why_refusal note[WHY_NOTES];
	uint32_t next;			/* free-running */
	uint64_t count[TP_REASON_COUNT];	/* claims refused */
	uint64_t back[TP_REASON_COUNT];		/* flows handed back */
};

void why_note(struct why *w, const struct tp_flow_key *key, uint64_t cookie,
	      enum tp_reason reason);
/* The same of a flow that is going back to Linux. */
void why_note_back(struct why *w, const struct tp_flow_key *key, uint64_t cookie,
		   enum tp_reason reason);
const char *why_name(enum tp_reason reason);
/* JSON: how many claims were refused, and flows handed back, by reason: two objects. */
void why_counts(const struct why *w, struct text *t);
/* JSON: every TCP connection on the NIC's addresses that is not accelerated, and has @end.
 * @pid, @port: 0 any. 0 or -errno.
 */
int why_tell(struct slow *s, const struct tp_end *end, uint32_t pid, uint32_t port,
	     struct text *t);

#endif
