/* SPDX-License-Identifier: BSD-2-Clause
 *
 * schedule.h - what becomes of each frame of one direction: a function of the seed, of the
 * direction, and of the frame's place in it. No clock, no I/O.
 *
 * A frame belongs to one or more classes, and has an index (from 1) in each of them. Chance
 * is drawn from the index among all frames, so a schedule is repeated exactly as long as the
 * same number of frames comes before; chosen frames are named by class and index ("the
 * third data segment"), which holds better when two stacks send different numbers of ACKs.
 */
#ifndef WIRE_SCHEDULE_H
#define WIRE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_class {
	CLASS_FRAME,		/* every frame that is counted */
	CLASS_DATA,		/* TCP with payload */
	CLASS_ACK,		/* TCP, neither payload nor SYN, FIN, RST */
	CLASS_SYN,
	CLASS_FIN,
	CLASSES,
};

enum wire_act {
	ACT_DROP,
	ACT_DUPLICATE,
	ACT_REORDER,		/* hold back, so that later ones overtake */
	ACT_CORRUPT,		/* flip one bit behind the Ethernet header */
	ACT_TRUNCATE,
	ACT_MARK,		/* Congestion Experienced, if the frame is ECN-capable */
	ACTS,
};

/* Frames first..last of a class, every @step of them. */
struct chosen {
	enum wire_class class;
	uint64_t first, last, step;
};

#define CHOSEN_MAX	32

/* When an act happens: by chance, or to chosen frames, or both. */
struct when {
	double chance;
	unsigned int nchosen;
	struct chosen chosen[CHOSEN_MAX];
};

struct plan {
	struct when when[ACTS];
	/* Gilbert's two states: in the bad one frames are lost with burst_loss */
	double burst_enter, burst_leave, burst_loss;
	uint64_t late_min_ns, late_max_ns;	/* ACT_REORDER: by how much */
};

struct schedule {
	const struct plan *plan;
	uint64_t key;			/* seed and direction */
	uint64_t count[CLASSES];	/* frames seen so far */
	bool bad;			/* Gilbert's state */
};

struct fate {
	bool drop, burst;		/* burst: dropped in the bad state */
	bool duplicate, mark;
	uint64_t late_ns;		/* 0: in its place */
	size_t flip;			/* bit to flip; 0: none */
	size_t cut;			/* length to cut it to; 0: whole */
};

void schedule_init(struct schedule *s, const struct plan *plan, uint64_t seed,
		   unsigned int direction);

/* The fate of the next frame: of @classes (bits), @len bytes long. */
struct fate schedule_next(struct schedule *s, unsigned int classes, size_t len);

#endif
