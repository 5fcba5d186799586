/* SPDX-License-Identifier: BSD-2-Clause
 *
 * thread.h - a fast thread's own state, and what its files call of each other.
 *
 *	fast.c		start, stop, and the slow thread's side of every ring
 *	core.c		the loop: one turn, and sleeping
 *	command.c	what the slow thread asks
 *	input.c		frames in: to their flow, to another thread, or back
 *	output.c	what a flow has to do after its TCP was called; frames out
 *	tell.c		events for the slow thread
 *
 * A turn works in batches: whatever calls a flow's TCP notes what came of it in flow.todo
 * and puts the flow into the busy list (flow_touch); output.c then settles each flow once.
 * So ten segments of one flow cost one event to the program and one ACK.
 */
#ifndef TASPILOT_FAST_THREAD_H
#define TASPILOT_FAST_THREAD_H

#include <net/if.h>
#include <pthread.h>

#include "appq.h"
#include "fast.h"
#include "flow.h"
#include "gso.h"
#include "idle.h"
#include "profile.h"
#include "spsc.h"
#include "stats.h"
#include "timer.h"
#include "wake.h"
#include "xio.h"
#include "yield.h"

#define FAST_CMDS	4096U		/* entries of the rings, powers of two */
#define FAST_INJECTS	512U
#define FAST_EVENTS	4096U
#define FAST_STRAYS	256U
#define FAST_HANDED	512U
#define FAST_FRAME	4096U		/* longest frame between two threads */

/* An entry of the command ring. */
struct cmd {
	enum fast_cmd_kind kind;
	uint32_t flow_id;
	uint32_t value;
	union {
		struct appq *appq;	/* REGION_ADD, REGION_DEL, CTX */
		struct flow *flow;	/* INSTALL: ready, not yet linked */
		struct { uint8_t old_mac[ETH_ALEN], new_mac[ETH_ALEN]; } neigh;
		struct fast_options options;
	};
};

/* An entry of a ring of frames. */
struct carried {
	uint32_t id;			/* flow, or FLOW_NO_ID */
	uint32_t hops;			/* threads that it has passed */
	uint32_t len;
	uint8_t data[];
};

struct inject { uint32_t len; uint8_t data[TP_FRAME_MAX]; };
struct stray { uint32_t len; uint8_t data[sizeof(((struct fast_event *)0)->frame.data)]; };

/* An entry of the event ring. */
struct event {
	enum fast_event_kind kind;
	uint32_t flow_id;
	uint32_t value;
	union {
		struct tcp_state state;
		struct flow *flow;	/* FREED: to be freed by the slow thread */
		struct appq *appq;	/* REGION_GONE: likewise */
	};
};

struct fast {
	/* constant while the thread runs */
	struct fast_set *set;
	uint32_t index;
	bool partial_csum_ok;
	pthread_t id;

	/* rings: the other end is named */
	struct spsc cmds, injects;	/* from the slow thread */
	struct spsc events, strays;	/* to the slow thread */
	struct spsc handed[TP_MAX_THREADS];	/* [i]: frames from thread i */
	struct wake wake;
	alignas(TP_LINE) _Atomic bool nudged;	/* a fellow thread: somebody who yields here has news */
	_Atomic uint32_t yields_on;	/* the thread: CPU + 1 where it yields; 0: it does not */

	/* the thread's */
	alignas(TP_LINE) uint64_t now_ns;
	struct list busy;		/* flows with todo or output left */
	struct list telling;		/* flows with events left */
	struct list gone;		/* appqs that are to be told gone */
	struct appq *appqs;
	struct timer_wheel wheel;
	struct flow_table flows;
	struct idle idle;
	struct yield yield;
	uint64_t yielded_ns;		/* when last */
	uint64_t yielder_ns;		/* when a program was last seen that does */
	bool owes_yield;		/* one that yields here has news since */
	uint32_t cpu;			/* where we were at the last idle time */
	bool shares_cpu;		/* somebody else wants it: we come first */
	struct xio xio;
	struct gso gso;
	uint64_t trim_ns;		/* the last flow that is to be trimmed has its turn then */
	struct tcp_pool tcp_pool;	/* what flows borrow while a path is bad */
	struct stats stats;
	struct profile profile;
};

struct fast_set {
	struct fast_config cfg;
	char ifname[IF_NAMESIZE];
	uint32_t threads;
	struct fast *thread[TP_MAX_THREADS];
	int event_fd;
	_Atomic uint32_t slow_asleep;	/* both: slow thread sets, fast threads clear */
	_Atomic bool stop;
	_Atomic uint32_t sharing;	/* fast threads that share their CPU */
	int nice, session_nice;		/* as they were when we began */
	uint32_t next;			/* fast_recv: whose turn */
	uint32_t to_wake;		/* bit i: fast_flush() wakes thread i */
	_Atomic uint8_t *owner;		/* [TP_MAX_FLOWS] thread + 1, 0 none; slow thread writes */
};

/* The largest segment that one UMEM frame holds, timestamps included. */
static inline uint32_t thread_mss_room(const struct fast *t)
{
	return t->xio.frame_size - FRAME_HDR - 12;
}

/* core.c */
void *fast_run(void *thread);

/* command.c: all commands that wait. Returns how many. */
uint32_t command_take(struct fast *t);

/* input.c: each returns how many frames it took. */
uint32_t input_wire(struct fast *t);
uint32_t input_handed(struct fast *t);
void input_injected(struct fast *t, const uint8_t *frame, uint32_t len);

/* output.c */
/* @todo: TCP_DO_* that a tcp_*() call for @f returned. */
static inline void flow_touch(struct fast *t, struct flow *f, uint32_t todo)
{
	f->todo |= todo;
	if (list_empty(&f->busy))
		list_add_tail(&t->busy, &f->busy);
}
/* The ACKs that must leave before @f takes another segment (tcp_ack_first). */
void output_acks(struct fast *t, struct flow *f);
/* Settle all busy flows. Flows that found no room to send stay busy. */
void output_settle(struct fast *t);
/* Send a RST: the wire side of @f is over. @tell: the slow thread does not know yet. */
void output_abort(struct fast *t, struct flow *f, bool tell);

/* When the pipes of @f are to be trimmed; ~0: they were, and nothing has come since. */
uint64_t output_trim_due(const struct flow *f);

/* tell.c */
void tell(struct fast *t, struct flow *f, enum fast_event_kind kind);
void tell_stray(struct fast *t, const uint8_t *frame, uint32_t len);
/* Put events into the ring, as far as there is room. */
void tell_flush(struct fast *t);

#endif
