/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tell.c - events for the slow thread.
 *
 * An event is a bit in its flow until the ring has room for it, so none is ever lost, and
 * the thread never waits for the slow one. Only strays may be dropped: they are frames.
 */
#include "thread.h"

#include <string.h>
#include <unistd.h>

/* The order in which Linux must hear of one flow's news. */
static const enum fast_event_kind order[] = {
	FAST_EV_PEER_FIN, FAST_EV_FIN_ACKED, FAST_EV_ODD, FAST_EV_STATE,
	FAST_EV_QUIET, FAST_EV_DEAD, FAST_EV_FREED,
};

void tell(struct fast *t, struct flow *f, enum fast_event_kind kind)
{
	f->events |= 1U << kind;
	if (list_empty(&f->telling))
		list_add_tail(&t->telling, &f->telling);
}

static bool put_event(struct fast *t, struct flow *f, enum fast_event_kind kind)
{
	struct event *e = spsc_reserve(&t->events);

	if (!e)
		return false;
	e->kind = kind;
	e->flow_id = f->id;
	e->value = 0;
	if (kind == FAST_EV_FREED) {
		e->flow = f;
	} else {
		tcp_get_state(&f->tcp, &e->state);
		if (kind == FAST_EV_DEAD)
			e->value = (uint32_t)e->state.err;
		if (kind == FAST_EV_QUIET)
			e->value = f->leave;
	}
	spsc_commit(&t->events);
	return true;
}

/* False: the ring is full. @f must not be looked at after FREED. */
static bool put_events(struct fast *t, struct flow *f)
{
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && f->events; i++) {
		uint32_t bit = 1U << order[i];

		if (!(f->events & bit))
			continue;
		f->events &= ~bit;
		if (!f->events)
			list_del(&f->telling);
		if (!put_event(t, f, order[i])) {
			tell(t, f, order[i]);
			return false;
		}
		if (order[i] == FAST_EV_FREED)
			return true;
	}
	return true;
}

static bool put_gone(struct fast *t, struct appq *q)
{
	struct event *e = spsc_reserve(&t->events);

	if (!e)
		return false;
	list_del(&q->gone);
	e->kind = FAST_EV_REGION_GONE;
	e->appq = q;
	spsc_commit(&t->events);
	return true;
}

static void wake_slow(struct fast *t)
{
	static const uint64_t one = 1;
	struct fast_set *s = t->set;

	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&s->slow_asleep, memory_order_relaxed) &&
	    atomic_exchange(&s->slow_asleep, 0))
		(void)!write(s->event_fd, &one, sizeof(one));
}

void tell_flush(struct fast *t)
{
	bool room = true;

	if (list_empty(&t->telling) && list_empty(&t->gone))
		return;
	while (room && !list_empty(&t->telling))
		room = put_events(t, container_of(t->telling.next, struct flow, telling));
	while (room && !list_empty(&t->gone))
		room = put_gone(t, container_of(t->gone.next, struct appq, gone));
	wake_slow(t);
}

void tell_stray(struct fast *t, const uint8_t *frame, uint32_t len)
{
	struct stray *s;

	stats_add(&t->stats.rx_stray, 1);
	/* what this flow did before comes first */
	tell_flush(t);
	s = spsc_reserve(&t->strays);
	if (!s || len > sizeof(s->data))
		return;
	s->len = len;
	memcpy(s->data, frame, len);
	spsc_commit(&t->strays);
	wake_slow(t);
}
