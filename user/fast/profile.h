/* SPDX-License-Identifier: BSD-2-Clause
 *
 * profile.h - where the time of a turn goes, stage by stage (make PROFILE=1).
 *
 * The time-stamp counter is read between the stages of each turn that did something. Without
 * PROFILE nothing of this is in the loop, and all figures are zero.
 */
#ifndef TASPILOT_FAST_PROFILE_H
#define TASPILOT_FAST_PROFILE_H

#include <stdint.h>

#define PROFILE_STAGES(X)								\
	X(COMMANDS,	"commands")		/* of the slow thread */		\
	X(RX,		"frames in")		/* parse, checksum, TCP */		\
	X(LANES,	"kicks and timers")						\
	X(SETTLE,	"settle")		/* notify, TCP out, build frames */	\
	X(KICK,		"kick")			/* system calls of the XSK */		\
	X(WAKE,		"wake")			/* programs, slow thread */

enum profile_stage {
#define X(id, name) PROFILE_##id,
	PROFILE_STAGES(X)
#undef X
	PROFILE_STAGE_COUNT,
};

struct profile {
	uint64_t turns, frames;		/* turns that did something */
	uint64_t cycles[PROFILE_STAGE_COUNT];
	uint64_t turn[PROFILE_STAGE_COUNT];	/* of the turn under way */
	uint64_t last;
};

#ifdef TP_PROFILE
static inline void profile_begin(struct profile *p)
{
	p->last = __builtin_ia32_rdtsc();
}

static inline void profile_stage(struct profile *p, enum profile_stage s)
{
	uint64_t now = __builtin_ia32_rdtsc();

	p->turn[s] = now - p->last;
	p->last = now;
}

static inline void profile_end(struct profile *p, uint32_t frames)
{
	p->turns++;
	p->frames += frames;
	for (int s = 0; s < PROFILE_STAGE_COUNT; s++)
		p->cycles[s] += p->turn[s];
}
#else
static inline void profile_begin(struct profile *p) { (void)p; }
static inline void profile_stage(struct profile *p, enum profile_stage s) { (void)p; (void)s; }
static inline void profile_end(struct profile *p, uint32_t frames) { (void)p; (void)frames; }
#endif

#endif
