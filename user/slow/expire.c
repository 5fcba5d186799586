/* SPDX-License-Identifier: BSD-2-Clause
 *
 * expire.c - sockets that have gone, and what else shows by time alone.
 *
 * A wheel of lists, one a tick; a connection stands in at most one. What is due:
 *
 *  FAST	a keepalive probe waits for the peer. Every 5 s: has Linux given its socket up
 *		without a word (its RST needs a neighbour that answers); does nobody read
 *  BACK, DEAD	has Linux understood by now
 *  LINUX	is there a socket, or TIME_WAIT, that needs the translation. Asked after 1 s, then
 *		at up to 4 s, so that 30,000 in TIME_WAIT cost a few thousand questions a second
 */
#include "expire.h"

#include <netinet/tcp.h>

#include "handback.h"
#include "keepalive.h"
#include "slow.h"

#define LINUX_MS	1000U
#define LINUX_MAX_MS	4000U
#define DRAINING_MS	200U		/* somebody waits for the last one */
#define FAST_MS		5000U

static uint32_t tick_of(uint64_t ns)
{
	return (uint32_t)(ns / (EXPIRE_TICK_MS * NS_PER_MS));
}

void expire_init(struct slow *s)
{
	for (uint32_t i = 0; i < EXPIRE_WHEEL; i++)
		list_init(&s->expire.wheel[i]);
	s->expire.tick = tick_of(s->now_ns);
}

static void expire_in(struct slow *s, struct conn *c, uint32_t ms)
{
	uint32_t at = s->expire.tick + ms / EXPIRE_TICK_MS;

	list_del(&c->due);
	list_add_tail(&s->expire.wheel[at % EXPIRE_WHEEL], &c->due);
}

void expire_fast(struct slow *s, struct conn *c)
{
	expire_in(s, c, FAST_MS);
}

void expire_linux(struct slow *s, struct conn *c)
{
	uint32_t ms = LINUX_MS << (c->asked < 2 ? c->asked : 2);

	if (s->life == SLOW_DRAINING)
		ms = DRAINING_MS;
	expire_in(s, c, ms < LINUX_MAX_MS ? ms : LINUX_MAX_MS);
}

void expire_soon(struct slow *s, struct conn *c)
{
	expire_in(s, c, EXPIRE_TICK_MS);
}

static void look_at_linux(struct slow *s, struct conn *c)
{
	bool draining = s->life == SLOW_DRAINING;
	struct tp_answer a;

	c->asked++;
	if (!ask_linux(s->att, &c->key, &a) && !a.found &&
	    (draining || a.tcp_state != TCP_TIME_WAIT || handback_end_time_wait(s, c, &a))) {
		if (!s->att->release_hook)
			c->released = true;
		handback_gone(s, c);
		return;
	}
	expire_linux(s, c);
}

/* A socket that was closed may be gone before the flow is: the thread finishes alone. */
static void look_at_fast(struct slow *s, struct conn *c)
{
	struct tp_answer a;
	bool closed = c->released || c->fin_asked;

	expire_fast(s, c);
	keepalive_again(s, c);
	handback_unread(s, c);
	if (ask_linux(s->att, &c->key, &a) || a.found || a.tcp_state)
		return;
	if (!closed)
		handback_linux_reset(s, c);
	else if (!c->released && !s->att->release_hook)
		handback_released(s, c->cookie);
}

static void look_at(struct slow *s, struct conn *c)
{
	switch (c->phase) {
	case CONN_FAST:
		look_at_fast(s, c);
		return;
	case CONN_BACK:
	case CONN_DEAD:
		handback_again(s, c);
		return;
	case CONN_LINUX:
		look_at_linux(s, c);
		return;
	case CONN_CLAIM:
	case CONN_GONE:
		return;
	}
}

static void run_tick(struct slow *s)
{
	struct list due;

	/* Some are put back into this very list, a whole turn of the wheel ahead. */
	list_init(&due);
	list_splice_tail(&due, &s->expire.wheel[s->expire.tick % EXPIRE_WHEEL]);
	s->expire.tick++;
	while (!list_empty(&due)) {
		struct conn *c = container_of(due.next, struct conn, due);

		list_del(&c->due);
		look_at(s, c);
	}
}

void expire_run(struct slow *s)
{
	uint32_t now = tick_of(s->now_ns);

	if (now - s->expire.tick > EXPIRE_WHEEL)
		s->expire.tick = now - EXPIRE_WHEEL;	/* we were stopped: once round is enough */
	while (s->expire.tick != now)
		run_tick(s);
}
