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
	uint64_t count[TP_REASON_COUNT];
};

void why_note(struct why *w, const struct tp_flow_key *key, uint64_t cookie,
	      enum tp_reason reason);
/* JSON: how many claims were refused, by reason, as an object named @key. */
void why_counts(const struct why *w, const char *key, struct text *t);
/* JSON: every TCP connection on the NIC's addresses that is not accelerated. @pid, @port: 0 any.
 * 0 or -errno.
 */
int why_tell(struct slow *s, uint32_t pid, uint32_t port, struct text *t);

#endif
