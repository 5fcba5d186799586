/* SPDX-License-Identifier: BSD-2-Clause
 *
 * watch.c - clear up behind the connections that Linux kept.
 *
 * XDP and tc make entries in WATCH, and set them to NONE when the connection ends; only the slow
 * path deletes. A sweep goes over tp_flows every SWEEP_NS while there is something to find, some
 * batches a tick, and takes out
 *
 *  NONE	over, or refused
 *  WATCH	whose socket Linux does not have (any more): asked by the first sweep at an age of
 *		4, 8, 16... seconds, however long a sweep takes; so a flood of SYNs is gone soon and
 *		an old quiet connection costs next to nothing
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
#define SWEEP_BATCHES	8U		/* a tick, */
#define SWEEP_ASKS	1024U		/* but no more once so many questions were asked: 2 ms */
#define NEW_SYN_RECV	12		/* net/tcp_states.h: half open, and Linux waits for the rest */

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

	return ask_after(s->att, key, TP_ASK_LOOK, &a) || a.tcp_state == NEW_SYN_RECV ||
	       (a.found && a.tcp_state != TCP_CLOSE);
}

/* How often something as old as this should have been asked about. */
static uint32_t times_due(uint32_t age)
{
	uint32_t n = 0;

	for (; (int32_t)age >= (int32_t)YOUNG; age /= 2)
		n++;
	return n;
}

/* Each sweep looks at an entry once, so what became due since the last one began is due now. */
static bool is_due(const struct sweep *w, uint32_t born)
{
	return times_due(w->at - born) != times_due(w->last - born);
}

static bool is_over(struct slow *s, struct sweep *w, const struct tp_flow_key *key,
		    const struct tp_flow_val *v)
{
	if (v->state == TP_NONE)
		return true;
	if (v->state != TP_WATCH || !is_due(w, v->born))
		return false;
	w->asks++;
	return !has_socket(s, key);
}

static void look_at(struct slow *s, struct sweep *w, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (is_over(s, w, &w->key[i], &w->val[i]))
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
	w->last = w->at;
	w->at = (uint32_t)(s->now_ns >> TP_BORN_SHIFT);
	w->running = true;
}

/* A sweep that was cut short by an error begins again at the next turn. */
static void slice(struct slow *s, struct sweep *w, bool first)
{
	uint32_t count = SWEEP_BATCH;
	int err = bpf_map_lookup_batch(s->att->flows_fd, first ? NULL : &w->cursor, &w->cursor,
				       w->key, w->val, &count, NULL);

	w->running = !err;
	if (!err || err == -ENOENT) {
		look_at(s, w, count);
		return;
	}
	w->left++;
	w->at = w->last;
}

void watch_sweep(struct slow *s)
{
	struct sweep *w = &s->sweep;
	bool first = !w->running;

	if (first && s->now_ns >= w->due_ns)
		begin_sweep(s, w);
	w->asks = 0;
	for (uint32_t i = 0; i < SWEEP_BATCHES && w->running && w->asks < SWEEP_ASKS; i++) {
		slice(s, w, first);
		first = false;
	}
}
