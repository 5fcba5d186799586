/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fast.c - the slow thread's side: start and stop threads, commands in, events out.
 *
 * Memory is made and freed here, never in the loop: a flow is allocated and its TCP begun
 * before INSTALL enters the ring, and freed when FREED comes back; likewise what a thread
 * keeps of a region.
 */
#include "thread.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/cpu.h"
#include "sum.h"

/* What a region's fast_private points to. */
struct region_private {
	struct appq *appq[TP_MAX_THREADS];
	uint32_t threads;		/* that have it still */
};

/* ---- start and stop ---- */

static struct xio_config xio_config(const struct fast_set *s, uint32_t queue)
{
	return (struct xio_config){
		.ifname = s->ifname,
		.queue = queue,
		.mtu = s->cfg.mtu,
		.native = s->cfg.native,
		.xsks_map_fd = s->cfg.xsks_map_fd,
	};
}

static void rings_free(struct fast *t)
{
	spsc_free(&t->cmds);
	spsc_free(&t->injects);
	spsc_free(&t->events);
	spsc_free(&t->strays);
	for (uint32_t i = 0; i < TP_MAX_THREADS; i++)
		spsc_free(&t->handed[i]);
}

static int rings_init(struct fast *t, uint32_t threads)
{
	int err = spsc_init(&t->cmds, FAST_CMDS, sizeof(struct cmd));

	if (!err)
		err = spsc_init(&t->injects, FAST_INJECTS, sizeof(struct inject));
	if (!err)
		err = spsc_init(&t->events, FAST_EVENTS, sizeof(struct event));
	if (!err)
		err = spsc_init(&t->strays, FAST_STRAYS, sizeof(struct stray));
	for (uint32_t i = 0; !err && i < threads; i++)
		if (i != t->index)
			err = spsc_init(&t->handed[i], FAST_HANDED, FAST_FRAME);
	return err;
}

static void thread_free(struct fast *t)
{
	rings_free(t);
	free(t);
}

/* Touched only as far as it is used. Without it flows do with what they have. */
static void pool_init(struct fast *t)
{
	void *arena = mmap(NULL, TCP_POOL_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	tcp_pool_init(&t->tcp_pool, arena, arena == MAP_FAILED ? 0 : TCP_POOL_BYTES);
}

static void pool_free(struct fast *t)
{
	if (t->tcp_pool.size)
		munmap(t->tcp_pool.arena, t->tcp_pool.size);
}

static int thread_init(struct fast *t)
{
	const struct xio_config xc = xio_config(t->set, t->index);
	int err = rings_init(t, t->set->threads);

	if (err)
		goto err_rings;
	err = flow_table_init(&t->flows);
	if (err)
		goto err_rings;
	err = xio_open(&t->xio, &xc);
	if (err)
		goto err_flows;
	err = wake_init(&t->wake, t->xio.fd);
	if (err)
		goto err_xio;

	pool_init(t);
	gso_open(&t->gso, t->set->ifname, t->set->cfg.ifindex);
	list_init(&t->busy);
	list_init(&t->telling);
	list_init(&t->gone);
	wheel_init(&t->wheel, clock_ns());
	idle_init(&t->idle, t->set->cfg.poll);
	t->partial_csum_ok = t->set->cfg.partial_csum_ok;
	return 0;

err_xio:
	xio_close(&t->xio);
err_flows:
	flow_table_free(&t->flows);
err_rings:
	rings_free(t);
	return err;
}

static void thread_undo(struct fast *t)
{
	gso_close(&t->gso);
	pool_free(t);
	wake_free(&t->wake);
	xio_close(&t->xio);
	flow_table_free(&t->flows);
	thread_free(t);
}

static int thread_new(struct fast_set *s, uint32_t index)
{
	struct fast *t = aligned_alloc(TP_LINE, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	memset(t, 0, sizeof(*t));
	t->set = s;
	t->index = index;
	err = thread_init(t);
	if (err) {
		free(t);
		return err;
	}
	s->thread[index] = t;
	return 0;
}

static void threads_stop(struct fast_set *s, uint32_t running)
{
	atomic_store(&s->stop, true);
	for (uint32_t i = 0; i < running; i++)
		wake_up(&s->thread[i]->wake);
	for (uint32_t i = 0; i < running; i++)
		pthread_join(s->thread[i]->id, NULL);
}

/* Sockets enter tp_xsks last: from then on frames come. */
static int threads_run(struct fast_set *s)
{
	uint32_t running = 0;
	int err = 0;

	for (; running < s->threads && !err; running += !err)
		err = -pthread_create(&s->thread[running]->id, NULL, fast_run, s->thread[running]);
	for (uint32_t i = 0; i < s->threads && !err; i++) {
		const struct xio_config xc = xio_config(s, i);

		err = xio_publish(&s->thread[i]->xio, &xc);
	}
	if (err)
		threads_stop(s, running);
	return err;
}

static int set_init(struct fast_set *s, const struct fast_config *cfg)
{
	s->cfg = *cfg;
	strncpy(s->ifname, cfg->ifname, sizeof(s->ifname) - 1);
	s->cfg.ifname = s->ifname;
	s->threads = cfg->queues;
	s->slow_asleep = 1;
	s->nice = cpu_get_nice();
	s->session_nice = cpu_get_session_nice();
	s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->event_fd < 0)
		return -errno;
	s->owner = mmap(NULL, TP_MAX_FLOWS, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s->owner == MAP_FAILED) {
		close(s->event_fd);
		return -ENOMEM;
	}
	return 0;
}

static void set_free(struct fast_set *s)
{
	for (uint32_t i = 0; i < s->threads; i++)
		if (s->thread[i])
			thread_undo(s->thread[i]);
	munmap((void *)s->owner, TP_MAX_FLOWS);
	close(s->event_fd);
	free(s);
}

int fast_start(const struct fast_config *cfg, struct fast_set **ret_set)
{
	struct fast_set *s;
	int err;

	if (!cfg->queues || cfg->queues > TP_MAX_THREADS)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	sum_init();
	err = set_init(s, cfg);
	if (err) {
		free(s);
		return err;
	}
	for (uint32_t i = 0; i < s->threads && !err; i++)
		err = thread_new(s, i);
	if (!err)
		err = threads_run(s);
	if (err) {
		set_free(s);
		return err;
	}
	*ret_set = s;
	return 0;
}

static void region_forget(struct appq *q)
{
	struct fast_region *r = q->region;
	struct region_private *p = r->fast_private;

	p->appq[q->thread] = NULL;
	appq_free(q);
	if (--p->threads == 0) {
		free(p);
		r->fast_private = NULL;
	}
}

static void flows_free(struct appq *q)
{
	for (uint32_t i = 0; i < q->geo.slots; i++)
		free(q->by_slot[i]);
}

void fast_stop(struct fast_set *s)
{
	threads_stop(s, s->threads);
	for (uint32_t i = 0; i < s->threads; i++)
		for (struct appq *q = s->thread[i]->appqs, *next; q; q = next) {
			next = q->next;
			flows_free(q);
			region_forget(q);
		}
	set_free(s);
}

uint32_t fast_threads(const struct fast_set *s)
{
	return s->threads;
}

bool fast_zerocopy(const struct fast_set *s)
{
	return s->thread[0]->xio.zerocopy;
}

void fast_get_stats(const struct fast_set *s, struct fast_stats *ret_stats)
{
	memset(ret_stats, 0, sizeof(*ret_stats));
	for (uint32_t i = 0; i < s->threads; i++)
		stats_sum(&s->thread[i]->stats, ret_stats);
}

void fast_get_thread_stats(const struct fast_set *s, uint32_t thread, struct fast_stats *ret_stats)
{
	memset(ret_stats, 0, sizeof(*ret_stats));
	stats_sum(&s->thread[thread]->stats, ret_stats);
}

const struct profile *fast_profile(const struct fast_set *s, uint32_t thread)
{
	return thread < s->threads ? &s->thread[thread]->profile : NULL;
}

/* ---- commands ---- */

static struct region_private *region_private(struct fast_region *r)
{
	if (!r->fast_private)
		r->fast_private = calloc(1, sizeof(struct region_private));
	return r->fast_private;
}

void fast_watch(const struct fast_region *r)
{
	const struct region_private *p = r->fast_private;

	for (uint32_t i = 0; p && i < r->geo.threads; i++)
		if (p->appq[i])
			appq_watch(p->appq[i]);
}

static int fill_region_add(struct cmd *c, struct fast_region *r, uint32_t thread)
{
	struct region_private *p = region_private(r);

	if (!p)
		return -ENOMEM;
	c->appq = p->appq[thread] = appq_new(r, thread);
	if (!c->appq)
		return -ENOMEM;
	p->threads++;
	return 0;
}

/* The slot's areas, and an MSS that one UMEM frame holds. */
static void complete_begin(struct tcp_begin *b, const struct fast_set *s, const struct flow *f,
			   uint32_t thread)
{
	const struct appq *q = f->appq;
	uint32_t most = s->cfg.mtu - WIRE_IP_LEN - WIRE_TCP_LEN - (b->ts_ok ? 12 : 0);
	uint32_t room = thread_mss_room(s->thread[thread]);

	b->slot = f->shm;
	b->rx.small = tp_small_at(q->base, &q->geo, f->slot, TP_RX);
	b->rx.big = tp_big_at(q->base, &q->geo, f->slot, TP_RX);
	b->tx.small = tp_small_at(q->base, &q->geo, f->slot, TP_TX);
	b->tx.big = tp_big_at(q->base, &q->geo, f->slot, TP_TX);
	if (most > room)
		most = room;
	if (b->mss > most)
		b->mss = (uint16_t)most;
}

static struct flow *flow_new(const struct fast_set *s, const struct fast_install *in,
			     uint32_t thread)
{
	const struct region_private *p = in->region->fast_private;
	struct tcp_begin begin = in->tcp;
	struct flow *f = aligned_alloc(TP_LINE, sizeof(*f));

	if (!f)
		return NULL;
	memset(f, 0, sizeof(*f));
	f->id = in->flow_id;
	f->slot = in->slot;
	f->tuple = frame_tuple_of(&in->key);
	f->appq = p->appq[thread];
	f->shm = appq_slot(f->appq, in->slot);
	list_init(&f->busy);
	list_init(&f->telling);
	frame_head_init(&f->head, in->eth, &in->key, in->tos, in->ttl);
	complete_begin(&begin, s, f, thread);
	begin.pool = &s->thread[thread]->tcp_pool;
	f->tx = begin.tx;
	tcp_init(&f->tcp, &begin, clock_ns());
	return f;
}

static int fill_install(struct cmd *c, struct fast_set *s, uint32_t thread,
			const struct fast_install *in)
{
	if (in->flow_id >= TP_MAX_FLOWS || in->slot >= in->region->geo.slots)
		return -EINVAL;
	c->flow = flow_new(s, in, thread);
	if (!c->flow)
		return -ENOMEM;
	atomic_store_explicit(&s->owner[in->flow_id], (uint8_t)(thread + 1),
			      memory_order_release);
	return 0;
}

static int fill_inject(struct fast *t, const void *data, uint32_t len)
{
	struct inject *in = spsc_reserve(&t->injects);

	if (!in)
		return -EAGAIN;
	if (len > sizeof(in->data))
		return -EMSGSIZE;
	in->len = len;
	memcpy(in->data, data, len);
	spsc_commit(&t->injects);
	return 0;
}

static int fill(struct cmd *c, struct fast_set *s, struct fast *t, const struct fast_cmd *from)
{
	struct region_private *p;

	*c = (struct cmd){ .kind = from->kind, .flow_id = from->flow_id, .value = from->value };
	switch (from->kind) {
	case FAST_CMD_REGION_ADD:
		return fill_region_add(c, from->region, t->index);
	case FAST_CMD_REGION_DEL:
	case FAST_CMD_CTX:
		p = from->region->fast_private;
		c->appq = p->appq[t->index];
		return 0;
	case FAST_CMD_INSTALL:
		return fill_install(c, s, t->index, from->install);
	case FAST_CMD_INJECT:
		return fill_inject(t, from->frame.data, from->frame.len);
	case FAST_CMD_NEIGH:
		memcpy(c->neigh.old_mac, from->neigh.old_mac, ETH_ALEN);
		memcpy(c->neigh.new_mac, from->neigh.new_mac, ETH_ALEN);
		return 0;
	case FAST_CMD_OPTIONS:
		c->options = *from->options;
		c->options.tcp.cc[sizeof(c->options.tcp.cc) - 1] = 0;
		return 0;
	default:
		return 0;
	}
}

/* An INSTALL wakes nobody: what may need the flow soon (a frame, a kick) does that itself
 * and finds the command. A wake across cores would cost us more than the whole claim.
 */
static bool needs_wake(const struct fast *t, const struct fast_cmd *cmd)
{
	return cmd->kind != FAST_CMD_INSTALL || cmd->install->tcp.ack_pending ||
	       spsc_used(&t->cmds) > FAST_CMDS / 2;
}

int fast_send(struct fast_set *s, uint32_t thread, const struct fast_cmd *cmd)
{
	struct fast *t = s->thread[thread];
	struct cmd *c = spsc_reserve(&t->cmds);
	int err;

	if (!c) {
		wake_up(&t->wake);
		return -EAGAIN;
	}
	err = fill(c, s, t, cmd);
	if (err)
		return err;
	spsc_commit(&t->cmds);
	if (needs_wake(t, cmd))
		s->to_wake |= 1U << thread;
	return 0;
}

void fast_flush(struct fast_set *s)
{
	for (; s->to_wake; s->to_wake &= s->to_wake - 1)
		wake_up(&s->thread[__builtin_ctz(s->to_wake)]->wake);
}

/* ---- events ---- */

int fast_event_fd(const struct fast_set *s)
{
	return s->event_fd;
}

static void convert(struct fast_set *s, const struct event *e, struct fast_event *ret)
{
	switch (e->kind) {
	case FAST_EV_FREED:
		atomic_store_explicit(&s->owner[e->flow_id], 0, memory_order_release);
		free(e->flow);
		break;
	case FAST_EV_REGION_GONE:
		ret->region = e->appq->region;
		region_forget(e->appq);
		break;
	default:
		ret->state = e->state;
	}
}

static bool recv_event(struct fast_set *s, struct fast *t, struct fast_event *ret)
{
	const struct event *e = spsc_peek(&t->events);

	if (!e)
		return false;
	ret->kind = e->kind;
	ret->thread = t->index;
	ret->flow_id = e->flow_id;
	ret->value = e->value;
	convert(s, e, ret);
	spsc_release(&t->events);
	return true;
}

static bool recv_stray(struct fast *t, struct fast_event *ret)
{
	const struct stray *st = spsc_peek(&t->strays);

	if (!st)
		return false;
	ret->kind = FAST_EV_STRAY;
	ret->thread = t->index;
	ret->frame.len = st->len;
	memcpy(ret->frame.data, st->data, st->len);
	spsc_release(&t->strays);
	return true;
}

static bool recv_any(struct fast_set *s, struct fast_event *ret)
{
	for (uint32_t i = 0; i < s->threads; i++) {
		struct fast *t = s->thread[s->next];

		if (recv_event(s, t, ret) || recv_stray(t, ret))
			return true;
		s->next = (s->next + 1) % s->threads;
	}
	return false;
}

bool fast_recv(struct fast_set *s, struct fast_event *ret_event)
{
	uint64_t drained;

	if (recv_any(s, ret_event))
		return true;
	(void)!read(s->event_fd, &drained, sizeof(drained));
	atomic_store(&s->slow_asleep, 1);
	atomic_thread_fence(memory_order_seq_cst);
	return recv_any(s, ret_event);
}
