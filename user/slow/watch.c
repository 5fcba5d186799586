/* SPDX-License-Identifier: BSD-2-Clause
 *
 * watch.c - clear up behind the connections that Linux kept.
 *
 * XDP and tc make entries in WATCH, and set them to NONE when the connection ends; only the slow
 * path deletes. A sweep goes over tp_flows every SWEEP_NS while there is something to find, one
 * batch a tick, and takes out
 *
 *  NONE	over, or refused
 *  WATCH	whose socket Linux does not have (any more): asked at an age of about 4, 8, 16...
 *		seconds, so that a flood of SYNs is gone soon and an old quiet connection costs
 *		next to nothing
 *
 * The numbers of a watched connection are the wire's and Linux's alike, so taking its entry out,
 * at any moment, makes plain Linux of it. Should XDP begin WATCH anew in an entry that is being
 * deleted, that connection stays Linux's.
 */
#include "watch.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "flowmap.h"
#include "slow.h"

#define SWEEP_NS	(2 * NS_PER_S)
#define YOUNG		4U		/* in units of tp_flow_val.born */

static void begin_watch(struct slow *s, const struct tp_flow_key *key, struct tp_flow_val *val)
{
	val->state = TP_WATCH;
	val->born = (uint32_t)(s->now_ns >> TP_BORN_SHIFT);
	if (!slow_is_closing(s))
		bpf_map_update_elem(s->att->flows_fd, key, val, BPF_ANY);
}

void watch_peer_syn(struct slow *s, const struct segment *seg, uint32_t queue)
{
	struct tp_flow_val val = {
		.to_linux = segment_end(seg),
		.queue = queue,
		.seen_in = true,
	};

	begin_watch(s, &seg->key, &val);
}

/* A SYN-ACK acknowledges the SYN, which has passed. */
void watch_linux_syn(struct slow *s, const struct segment *seg, const uint8_t *frame)
{
	struct tp_flow_val val = {
		.to_linux = seg->ack,
		.seen_in = watch_is_synack(seg),
		.seen_out = true,
	};

	memcpy(val.next_hop, frame, sizeof(val.next_hop));
	begin_watch(s, &seg->key, &val);
}

/* --- sweeping ---------------------------------------------------------------------------- */

static uint64_t begun_so_far(struct slow *s)
{
	return verdict_count(s->att, TP_V_XDP_SYN) + verdict_count(s->att, TP_V_TCE_SYN);
}

static bool has_socket(struct slow *s, const struct tp_flow_key *key)
{
	struct tp_answer a;

	return ask_linux(s->att, key, &a) || (a.found && a.tcp_state != TCP_CLOSE);
}

/* Is it time to ask about something as old as this? */
static bool is_due(uint32_t age)
{
	uint32_t n = age / (YOUNG / 2);

	return n >= 2 && !(n & (n - 1));
}

static bool is_over(struct slow *s, const struct tp_flow_key *key, const struct tp_flow_val *v)
{
	uint32_t now = (uint32_t)(s->now_ns >> TP_BORN_SHIFT);

	if (v->state == TP_NONE)
		return true;
	return v->state == TP_WATCH && is_due(now - v->born) && !has_socket(s, key);
}

static void look_at(struct slow *s, struct sweep *w, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (is_over(s, &w->key[i], &w->val[i]))
			bpf_map_delete_elem(s->att->flows_fd, &w->key[i]);
		else if (w->val[i].state == TP_WATCH)
			w->left++;
	}
}

static void begin_sweep(struct slow *s, struct sweep *w)
{
	uint64_t begun = begun_so_far(s);

	w->due_ns = s->now_ns + SWEEP_NS;
	if (begun == w->begun && !w->left)
		return;
	w->begun = begun;
	w->left = 0;
	w->running = true;
}

/* A sweep that was cut short by an error begins again at the next turn. */
static void slice(struct slow *s, struct sweep *w, bool first)
{
	uint32_t count = SWEEP_BATCH;
	int err = bpf_map_lookup_batch(s->att->flows_fd, first ? NULL : &w->cursor, &w->cursor,
				       w->key, w->val, &count, NULL);

	w->running = !err;
	if (!err || err == -ENOENT)
		look_at(s, w, count);
	else
		w->left++;
}

void watch_sweep(struct slow *s)
{
	struct sweep *w = &s->sweep;
	bool first = !w->running;

	if (first && s->now_ns >= w->due_ns)
		begin_sweep(s, w);
	if (w->running)
		slice(s, w, first);
}
