/* SPDX-License-Identifier: BSD-2-Clause
 *
 * watch.c - let a connection pass in both directions until it is claimed or forgotten.
 *
 * What it looks like is tracked in track.c; here are its entry in tp_flows and its end. The
 * numbers of a watched connection are the wire's and Linux's alike, so taking its entry out,
 * at any moment, makes plain Linux of it.
 */
#include "watch.h"

#include "expire.h"
#include "flowmap.h"
#include "handback.h"
#include "slow.h"

#define WATCHING_MAX	(1U << 16)	/* a flood of SYNs stays Linux's to deal with */

struct conn *watch_begin(struct slow *s, const struct tp_flow_key *key)
{
	struct conn *c;

	if (s->conns.in[CONN_WATCH] >= WATCHING_MAX || slow_is_closing(s))
		return NULL;
	c = conn_new(&s->conns, key, s->now_ns);
	if (!c)
		return NULL;
	if (flowmap_set(s, c, CONN_WATCH)) {
		conn_free(&s->conns, c);
		return NULL;
	}
	expire_watch(s, c);
	return c;
}

void watch_end(struct slow *s, struct conn *c)
{
	flowmap_forget(s, c);
	conn_free(&s->conns, c);
}

static void follow(struct slow *s, struct conn *c, enum track_says says)
{
	switch (says) {
	case TRACK_GOES_ON:
		return;
	case TRACK_ESTABLISHED:
		s->setups++;
		flowmap_set(s, c, CONN_RELAY);
		expire_watch(s, c);
		return;
	case TRACK_OVER:
		watch_end(s, c);
	}
}

void watch_wire(struct slow *s, struct conn *c, const struct segment *seg, uint32_t queue)
{
	follow(s, c, track_wire(&c->track, seg, queue));
}

void watch_linux(struct slow *s, struct conn *c, const struct segment *seg,
		 const uint8_t eth[ETH_HLEN])
{
	follow(s, c, track_linux(&c->track, seg, eth));
}

struct conn *watch_again(struct slow *s, struct conn *c)
{
	struct tp_flow_key key = c->key;

	handback_gone(s, c);
	return watch_begin(s, &key);
}
