/* SPDX-License-Identifier: BSD-2-Clause
 *
 * command.c - what the slow thread asks of this one, in the order in which it asked.
 *
 * A command for a flow that is not (or no longer) here is dropped: its end was told.
 */
#include "thread.h"

#include <string.h>

static void region_add(struct fast *t, struct appq *q)
{
	q->next = t->appqs;
	t->appqs = q;
	(void)wake_add(&t->wake, q->region->kick_fd[t->index]);
}

static void region_del(struct fast *t, struct appq *q)
{
	struct appq **at = &t->appqs;

	while (*at && *at != q)
		at = &(*at)->next;
	if (*at)
		*at = q->next;
	wake_del(&t->wake, q->region->kick_fd[t->index]);
	list_add_tail(&t->gone, &q->gone);
}

static void install(struct fast *t, struct flow *f)
{
	flow_link(&t->flows, f);
	f->appq->by_slot[f->slot] = f;
	stats_set(&t->stats.flows, t->flows.count);
	/* the program may have written before the flow was here */
	flow_touch(t, f, tcp_app(&f->tcp, t->now_ns) | TCP_DO_OUTPUT);
}

static void set_free(struct fast *t, struct flow *f)
{
	timer_clear(&t->wheel, &f->timer);
	list_del(&f->busy);
	flow_unlink(&t->flows, f);
	tcp_fini(&f->tcp);
	if (f->appq->by_slot[f->slot] == f)
		f->appq->by_slot[f->slot] = NULL;
	atomic_fetch_or_explicit(&f->shm->fast_flags, TP_F_FINAL, memory_order_release);
	stats_set(&t->stats.flows, t->flows.count);
	tell(t, f, FAST_EV_FREED);
}

/* Also of a flow that is quiet: the program wrote in between, and that is to be sent. */
static void leave(struct fast *t, struct flow *f, uint32_t number)
{
	if (f->phase == FLOW_DEAD)
		return;
	f->leave = number;
	f->phase = FLOW_LIVE;
	f->events &= ~(1U << FAST_EV_QUIET);
	f->leaving = true;
	flow_touch(t, f, tcp_app(&f->tcp, t->now_ns) | TCP_DO_OUTPUT);
	tcp_quiesce(&f->tcp);
}

static void neigh(struct fast *t, const struct cmd *c)
{
	for (struct appq *q = t->appqs; q; q = q->next)
		for (uint32_t i = 0; i < q->geo.slots; i++) {
			struct flow *f = q->by_slot[i];

			if (f && !memcmp(f->head.bytes, c->neigh.old_mac, ETH_ALEN))
				memcpy(f->head.bytes, c->neigh.new_mac, ETH_ALEN);
		}
}

/* Frames that slow path kept for us; no flow_id came with them. */
static void inject(struct fast *t)
{
	struct inject *in = spsc_peek(&t->injects);

	if (!in)
		return;
	input_injected(t, in->data, in->len);
	spsc_release(&t->injects);
}

static void probe(struct fast *t, struct flow *f)
{
	flow_touch(t, f, tcp_probe(&f->tcp, t->now_ns));
}

static void set_mss(struct fast *t, struct flow *f, uint32_t mss)
{
	uint32_t most = thread_mss_room(t);

	flow_touch(t, f, tcp_set_mss(&f->tcp, (uint16_t)(mss < most ? mss : most), t->now_ns));
}

static void for_live_flow(struct fast *t, struct flow *f, const struct cmd *c)
{
	switch (c->kind) {
	case FAST_CMD_FIN:
		flow_touch(t, f, tcp_close_tx(&f->tcp, t->now_ns));
		break;
	case FAST_CMD_RELEASE:
		flow_touch(t, f, tcp_release(&f->tcp, t->now_ns));
		break;
	case FAST_CMD_PROBE:
		probe(t, f);
		break;
	case FAST_CMD_MSS:
		set_mss(t, f, c->value);
		break;
	case FAST_CMD_OPTIONS:
		tcp_set_options(&f->tcp, &c->options.tcp, t->now_ns);
		frame_head_set(&f->head, c->options.tos, c->options.ttl);
		flow_touch(t, f, TCP_DO_OUTPUT);
		break;
	default:
		break;
	}
}

static void for_flow(struct fast *t, const struct cmd *c)
{
	struct flow *f = flow_by_id(&t->flows, c->flow_id);

	if (!f)
		return;
	switch (c->kind) {
	case FAST_CMD_FREE:
		set_free(t, f);
		break;
	case FAST_CMD_LEAVE:
		leave(t, f, c->value);
		break;
	case FAST_CMD_RST:		/* of a quiet one too: Linux does not know yet that it is */
		if (f->phase != FLOW_DEAD)
			output_abort(t, f, false);
		break;
	case FAST_CMD_NOTIFY:
		appq_notify(f->appq, f->slot);
		break;
	case FAST_CMD_STATE:
		tell(t, f, FAST_EV_STATE);
		break;
	default:
		if (f->phase == FLOW_LIVE)
			for_live_flow(t, f, c);
	}
}

static void run(struct fast *t, const struct cmd *c)
{
	switch (c->kind) {
	case FAST_CMD_REGION_ADD:
		region_add(t, c->appq);
		break;
	case FAST_CMD_REGION_DEL:
		region_del(t, c->appq);
		break;
	case FAST_CMD_CTX:
		appq_ctx(c->appq, c->value);
		break;
	case FAST_CMD_INSTALL:
		install(t, c->flow);
		break;
	case FAST_CMD_INJECT:
		inject(t);
		break;
	case FAST_CMD_NEIGH:
		neigh(t, c);
		break;
	default:
		for_flow(t, c);
	}
}

uint32_t command_take(struct fast *t)
{
	uint32_t n = 0;

	for (struct cmd *c; (c = spsc_peek(&t->cmds)); n++) {
		struct cmd copy = *c;

		/* first: the frame of an INJECT may look for commands again */
		spsc_release(&t->cmds);
		run(t, &copy);
	}
	return n;
}
