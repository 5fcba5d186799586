/* SPDX-License-Identifier: BSD-2-Clause
 *
 * conn.c - the table of connections. What they do is in claim.c and handback.c.
 *
 * The hash of a 4-tuple is keyed, since peers choose half of it. A flow_id is an index that
 * XDP writes before each frame of the flow; the fast thread has forgotten it (FAST_EV_FREED)
 * before it is used again.
 */
#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

int conns_init(struct conns *cs)
{
	for (uint32_t i = 0; i < CONN_BUCKETS; i++) {
		list_init(&cs->key[i]);
		list_init(&cs->cookie[i]);
	}
	cs->count = 0;
	memset(cs->in, 0, sizeof(cs->in));
	if (getrandom(&cs->seed, sizeof(cs->seed), 0) != sizeof(cs->seed))
		return -EIO;
	cs->flow = calloc(CONN_FLOW_IDS, sizeof(*cs->flow));
	cs->free_id = calloc(CONN_FLOW_IDS, sizeof(*cs->free_id));
	if (!cs->flow || !cs->free_id) {
		free(cs->flow);
		free(cs->free_id);
		return -ENOMEM;
	}
	for (cs->free_ids = 0; cs->free_ids < CONN_FLOW_IDS; cs->free_ids++)
		cs->free_id[cs->free_ids] = CONN_FLOW_IDS - 1 - cs->free_ids;
	return 0;
}

void conns_fini(struct conns *cs)
{
	for (uint32_t i = 0; i < CONN_BUCKETS; i++)
		list_each(l, n, &cs->key[i])
			conn_free(cs, container_of(l, struct conn, by_key));
	for (uint32_t i = 0; i < CONN_BUCKETS; i++)
		list_each(l, n, &cs->cookie[i])
			conn_free(cs, container_of(l, struct conn, by_cookie));
	free(cs->flow);
	free(cs->free_id);
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 32;
}

static struct list *key_bucket(struct conns *cs, const struct tp_flow_key *key)
{
	uint64_t h = cs->seed;
	uint64_t w[4];

	memcpy(w, key, 32);
	for (int i = 0; i < 4; i++)
		h = mix(h, w[i]);
	h = mix(h, (uint64_t)key->peer_port << 16 | key->local_port);
	return &cs->key[h % CONN_BUCKETS];
}

static struct list *cookie_bucket(struct conns *cs, uint64_t cookie)
{
	return &cs->cookie[mix(cs->seed, cookie) % CONN_BUCKETS];
}

struct conn *conn_find(struct conns *cs, const struct tp_flow_key *key)
{
	struct list *head = key_bucket(cs, key);

	list_each(l, n, head) {
		struct conn *c = container_of(l, struct conn, by_key);

		if (!memcmp(&c->key, key, sizeof(*key)))
			return c;
	}
	return NULL;
}

struct conn *conn_by_cookie(struct conns *cs, uint64_t cookie)
{
	struct list *head = cookie_bucket(cs, cookie);

	list_each(l, n, head) {
		struct conn *c = container_of(l, struct conn, by_cookie);

		if (c->cookie == cookie)
			return c;
	}
	return NULL;
}

struct conn *conn_by_flow(struct conns *cs, uint32_t flow_id)
{
	return flow_id < CONN_FLOW_IDS ? cs->flow[flow_id] : NULL;
}

struct conn *conn_new(struct conns *cs, const struct tp_flow_key *key, uint64_t now_ns)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->key = *key;
	c->phase = CONN_CLAIM;
	c->since_ns = now_ns;
	c->reason = TP_WHY_UNCLAIMED;
	held_init(&c->held);
	list_init(&c->by_cookie);
	list_init(&c->due);
	list_add_tail(key_bucket(cs, key), &c->by_key);
	cs->count++;
	cs->in[CONN_CLAIM]++;
	return c;
}

void conn_set_phase(struct conns *cs, struct conn *c, enum conn_phase phase, uint64_t now_ns)
{
	cs->in[c->phase]--;
	cs->in[phase]++;
	c->phase = phase;
	c->since_ns = now_ns;
	c->asked = 0;
}

void conn_set_cookie(struct conns *cs, struct conn *c, uint64_t cookie)
{
	list_del(&c->by_cookie);
	c->cookie = cookie;
	if (cookie)
		list_add_tail(cookie_bucket(cs, cookie), &c->by_cookie);
}

void conn_unlink_key(struct conns *cs, struct conn *c)
{
	(void)cs;
	list_del(&c->by_key);
}

void conn_free(struct conns *cs, struct conn *c)
{
	cs->in[c->phase]--;
	cs->count--;
	held_drop_all(&c->held);
	list_del(&c->by_key);
	list_del(&c->by_cookie);
	list_del(&c->due);
	free(c);
}

int conn_take_flow_id(struct conns *cs, struct conn *c)
{
	if (!cs->free_ids)
		return -ENOSPC;
	c->flow_id = cs->free_id[--cs->free_ids];
	c->has_flow = true;
	cs->flow[c->flow_id] = c;
	return 0;
}

void conn_drop_flow_id(struct conns *cs, struct conn *c)
{
	cs->flow[c->flow_id] = NULL;
	cs->free_id[cs->free_ids++] = c->flow_id;
	c->has_flow = false;
}

bool conn_key_has_end(const struct tp_flow_key *key, const struct tp_end *end)
{
	if (!end->port)
		return true;
	return (key->local_port == end->port && !memcmp(key->local_ip, end->ip, sizeof(end->ip))) ||
	       (key->peer_port == end->port && !memcmp(key->peer_ip, end->ip, sizeof(end->ip)));
}

const char *conn_phase_name(enum conn_phase phase)
{
	static const char *const name[] = {
		[CONN_CLAIM] = "HOLD",	[CONN_FAST] = "FAST", [CONN_BACK] = "HOLD",
		[CONN_LINUX] = "LINUX", [CONN_DEAD] = "DEAD", [CONN_GONE] = "GONE",
	};

	return name[phase];
}

const char *conn_text(const struct tp_flow_key *key, char buf[CONN_TEXT])
{
	char local[INET_ADDRSTRLEN], peer[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, key->local_ip + 12, local, sizeof(local));
	inet_ntop(AF_INET, key->peer_ip + 12, peer, sizeof(peer));
	snprintf(buf, CONN_TEXT, "%s:%u %s:%u", local, key->local_port, peer,
		 key->peer_port);
	return buf;
}
