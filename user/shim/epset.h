/* SPDX-License-Identifier: BSD-2-Clause
 *
 * epset.h - an epoll instance with fds of ours: what epset.c keeps and epoll.c looks at.
 *
 * Registrations change under conn_reg and the instance's lock; the ready list, the queues' tails
 * and what was reported need the instance's lock alone, so instances do not meet.
 */
#ifndef TASPILOT_SHIM_EPSET_H
#define TASPILOT_SHIM_EPSET_H

#include "shim.h"

#define EP_REGIONS	4		/* regions an instance may hold fds of */
#define EV_DATA		(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLRDNORM | EPOLLRDBAND | \
			 EPOLLWRNORM | EPOLLWRBAND | EPOLLMSG)

struct ereg {
	_Atomic(struct epset *) ep;	/* read without its lock too: filter() */
	struct conn *c;			/* NULL: a mark, stands for an fd of our own */
	struct ereg *conn_next;		/* of c's; under conn_reg */
	struct ereg *slot_next;		/* of the same slot (dup); under ep->lock, as all below */
	struct ereg *prev, *next;	/* the ready list */
	struct ereg *all_prev, *all_next;
	epoll_data_t data;
	uint64_t rx_seen;
	uint32_t events, flags_seen, starved_seen;
	int fd;
	_Atomic bool ours;		/* registered as one of ours in the kernel; likewise */
	bool listed, armed, fresh, kernel;
};

struct ep_region {
	struct region *region;
	int ctx;			/* -1: there was none to be had */
	bool mourned;			/* it is gone, and all of it was looked at since */
	struct ereg **by_slot;
};

struct epset {
	lock_t lock;
	int epfd;
	_Atomic uint32_t refs;
	_Atomic uint32_t sleepers;
	_Atomic uint32_t live;		/* fds of ours */
	uint32_t regions;
	struct ep_region region[EP_REGIONS];
	struct ereg ready;		/* head of the list */
	_Atomic uint32_t listed;	/* its length; read without the lock too */
	struct ereg all;
	_Atomic int heart;		/* heart.c: a timerfd; -1 none */
	_Atomic uint32_t heart_epoch;	/* fork_epoch when it was made */
	_Atomic(struct ereg *) heart_mark;
	_Atomic uint32_t turn;
	bool blind;			/* some fd cannot wake us: look often */
	bool foreign;			/* contexts are our parent's */
	_Atomic bool early;		/* threads may sleep in it that came before fds of ours */
	bool nested;			/* in another instance: counts as a sleeper */
	bool unheard;			/* nested, and nobody tells it of news */
	struct epset *next_free;
};

extern struct pool ereg_pool;

/* Written under the lock only, so no read-modify-write. */
static inline void count_listed(struct epset *ep, int by)
{
	uint32_t n = atomic_load_explicit(&ep->listed, memory_order_relaxed);

	atomic_store_explicit(&ep->listed, n + (uint32_t)by, memory_order_relaxed);
}

static inline void ready_add(struct epset *ep, struct ereg *r)
{
	if (r->listed)
		return;
	r->listed = true;
	r->prev = ep->ready.prev;
	r->next = &ep->ready;
	r->prev->next = r;
	ep->ready.prev = r;
	count_listed(ep, 1);
}

static inline void ready_del(struct ereg *r)
{
	if (!r->listed)
		return;
	r->listed = false;
	r->prev->next = r->next;
	r->next->prev = r->prev;
	count_listed(r->ep, -1);
}

static inline bool ready_empty(const struct epset *ep)
{
	return atomic_load_explicit(&ep->listed, memory_order_relaxed) == 0;
}

static inline struct tp_ctx *ep_ctx(const struct ep_region *er)
{
	return er->ctx < 0 ? NULL : region_ctx(er->region, (uint32_t)er->ctx);
}

void ep_sleep_words(struct epset *ep, uint32_t value);
void ep_poke(struct epset *ep);		/* wake one sleeper */
void ep_wake_others(struct epset *ep);	/* after a change of our own */
void ep_drain(struct epset *ep);	/* context queues -> ready list; lock held */
void ep_mourn(struct epset *ep);	/* what is gone, or untold -> ready list; lock held */
struct ereg *ep_mark(struct epset *ep);	/* stands for an fd of our own in the kernel's instance */
void ep_renew(struct epset *ep);	/* a child's first use of what it shares with its parent */

void heart_start(struct epset *ep);
void heart_stop(struct epset *ep);
void heart_beat(struct epset *ep);	/* it was due */
void heart_now(struct epset *ep);	/* make it due, and the instance readable */
uint64_t heart_limit(const struct epset *ep);	/* how long a sleep may last */

#endif
