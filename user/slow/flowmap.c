/* SPDX-License-Identifier: BSD-2-Clause
 *
 * flowmap.c - see flowmap.h.
 */
#include "flowmap.h"

#include <bpf/bpf.h>

#include "slow.h"

static uint32_t entry_state(enum conn_phase phase)
{
	static const uint32_t state[] = {
		[CONN_CLAIM] = TP_HOLD,	 [CONN_FAST] = TP_FAST, [CONN_BACK] = TP_HOLD,
		[CONN_LINUX] = TP_LINUX, [CONN_DEAD] = TP_HOLD, [CONN_GONE] = TP_NONE,
	};

	return state[phase];
}

int flowmap_set(struct slow *s, struct conn *c, enum conn_phase phase)
{
	struct tp_flow_val val = {
		.state = entry_state(phase),
		.flow_id = c->has_flow ? c->flow_id : 0,
		.tx_delta = c->tx_delta,
		.rx_delta = c->rx_delta,
	};
	int err = bpf_map_update_elem(s->att->flows_fd, &c->key, &val, BPF_ANY);

	if (!err)
		conn_set_phase(&s->conns, c, phase, s->now_ns);
	return err;
}

void flowmap_forget(struct slow *s, struct conn *c)
{
	bpf_map_delete_elem(s->att->flows_fd, &c->key);
}

int cookie_set(struct slow *s, uint64_t cookie, uint32_t what)
{
	return bpf_map_update_elem(s->att->cookies_fd, &cookie, &what, BPF_ANY);
}

void cookie_forget(struct slow *s, uint64_t cookie, uint32_t what)
{
	uint32_t now;

	if (!bpf_map_lookup_elem(s->att->cookies_fd, &cookie, &now) &&
	    !(now & ~(what | TP_COOKIE_TOLD)))
		bpf_map_delete_elem(s->att->cookies_fd, &cookie);
}

int listener_set(struct slow *s, const struct tp_listen_key *key)
{
	uint32_t one = 1;

	return bpf_map_update_elem(s->att->listeners_fd, key, &one, BPF_ANY);
}

void listener_forget(struct slow *s, const struct tp_listen_key *key)
{
	bpf_map_delete_elem(s->att->listeners_fd, key);
}
