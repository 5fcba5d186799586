/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bulk.h - who carries bulk transfers: attach --bulk. See bulk.c.
 */
#ifndef TASPILOT_SLOW_BULK_H
#define TASPILOT_SLOW_BULK_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/opts.h"
#include "../common/text.h"
#include "taspilot/bpf_abi.h"

struct slow;
struct conn;

enum bulk_way { BULK_IN, BULK_OUT, BULK_WAYS };

/* Bytes one way, sampled. */
struct bulk_meter {
	uint64_t at;			/* count at the last sample */
	uint64_t rate;			/* bytes a second, smoothed while it is busy */
	uint32_t run;			/* busy samples in a row */
};

/* @count bytes by now, @ns after the last sample. Is it a bulk transfer? */
bool bulk_sample(struct bulk_meter *m, uint64_t count, uint64_t ns);

enum bulk_verdict { BULK_UNKNOWN, BULK_STAYS, BULK_LINUX };

/* What was found out of one direction. */
struct bulk_dir {
	enum bulk_verdict verdict;
	uint64_t until_ns;		/* then it is found out again */
	uint64_t hold_ns;		/* for so long it held; longer each time it is confirmed */
	bool on_trial;
	/* the trial: a flow that was bulk and was handed back */
	struct tp_flow_key key;
	uint64_t cookie;
	uint64_t fast_rate;		/* before */
	struct bulk_meter meter;	/* since */
	uint32_t samples, last;
};

enum bulk_do { BULK_DO_NOTHING, BULK_DO_BACK, BULK_DO_TRY };
enum bulk_do bulk_decide(enum opts_bulk policy, const struct bulk_dir *d, uint64_t now_ns);
/* The trial is over. @linux_rate 0: it showed nothing. */
void bulk_judge(struct bulk_dir *d, uint64_t linux_rate, uint64_t now_ns);

struct bulk {
	enum opts_bulk policy;
	uint64_t sampled_ns;
	struct bulk_dir dir[BULK_WAYS];
};

/* From the slow thread's timer. */
void bulk_run(struct slow *s);
/* JSON: policy and verdicts, as an object. */
void bulk_report(const struct bulk *b, struct text *t);

#endif
