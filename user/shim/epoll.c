/* SPDX-License-Identifier: BSD-2-Clause
 *
 * epoll.c - waiting on epoll instances that hold some fds of ours.
 *
 *   fast thread -> context queue -> by_slot -> ready list -> looked at -> the program
 *   epoll_ctl ADD, MOD; kernel's HUP, ERR -------^
 *
 * The ready list holds what *may* be ready. An entry is looked at (io_levels) and
 *   level-triggered: stays while it is ready;
 *   edge-triggered:  is reported if something came since the last report, and leaves;
 *   ONESHOT:         is reported and disarmed until MOD.
 *
 * Who must wait yields for a moment to a fast thread on its CPU (yield.c). To sleep, it sleeps in the
 * kernel's epoll_wait of the same instance. The context's eventfd is in it, edge-triggered and never
 * read, so one write wakes one thread. Several threads may wait on one instance: the sleep word stays
 * set while any sleeps, and a thread that leaves with entries still on the list wakes the next, as the
 * kernel does.
 */
#include <sched.h>

#include "epset.h"

#define KERNEL_EVERY	8		/* busy with ours: so often a look at the kernel's too */
#define BLIND_NS	1000000U	/* no context to be had: look once a millisecond */
#define PLAIN_BATCH	16

/* ---- epoll_wait: ours ----------------------------------------------------------------- */

static void drain_queue(struct epset *ep, struct ep_region *er, struct tp_ctx_queue *q)
{
	struct region *rg = er->region;
	uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);

	if (tail == head)
		return;
	for (; tail != head; tail++) {
		uint32_t s = atomic_load_explicit(&q->entry[tail & (TP_SLOTS - 1)],
						  memory_order_relaxed) & (TP_SLOTS - 1);

		/* first the bit, then the look: news after the look comes again */
		atomic_fetch_and(&tp_slot_at(rg->base, &rg->geo, s)->pending,
				 ~(1ULL << er->ctx));
		for (struct ereg *r = er->by_slot[s]; r; r = r->slot_next)
			ready_add(ep, r);
	}
	atomic_store_explicit(&q->tail, tail, memory_order_release);
}

void ep_drain(struct epset *ep)
{
	ep_mourn(ep);
	for (uint32_t i = 0; i < ep->regions; i++) {
		struct ep_region *er = &ep->region[i];

		for (uint32_t t = 0; er->ctx >= 0 && t < er->region->geo.threads; t++)
			drain_queue(ep, er, &ep_ctx(er)->queue[t]);
	}
}

static bool queues_hold_news(const struct epset *ep)
{
	for (uint32_t i = 0; i < ep->regions; i++) {
		const struct ep_region *er = &ep->region[i];

		for (uint32_t t = 0; er->ctx >= 0 && t < er->region->geo.threads; t++) {
			struct tp_ctx_queue *q = &ep_ctx(er)->queue[t];

			if (atomic_load_explicit(&q->head, memory_order_acquire) !=
			    atomic_load_explicit(&q->tail, memory_order_relaxed))
				return true;
		}
	}
	return false;
}

static uint32_t ask_kernel(struct ereg *r, uint32_t events)
{
	struct pollfd p = { .fd = r->fd, .events = (short)(events & 0xffff) };
	int saved = errno;

	io_forget_real_error(r->fd, r->c);
	if (libc()->poll(&p, 1, 0) < 0 || p.revents & POLLNVAL)
		p.revents = 0;
	errno = saved;
	return (uint32_t)(unsigned short)p.revents;
}

/* Did something come since the last report? */
static bool has_edge(const struct ereg *r, uint32_t now)
{
	const struct tp_slot *s = r->c->slot;

	return r->fresh || r->kernel || r->c->region->gone ||
	       atomic_load_explicit(&s->rx_head, memory_order_relaxed) != r->rx_seen ||
	       atomic_load_explicit(&s->fast_flags, memory_order_relaxed) != r->flags_seen ||
	       (now & EPOLLOUT && r->c->starved != r->starved_seen);
}

static void note_report(struct ereg *r, uint32_t now)
{
	const struct tp_slot *s = r->c->slot;

	r->fresh = false;
	r->rx_seen = atomic_load_explicit(&s->rx_head, memory_order_relaxed);
	r->flags_seen = atomic_load_explicit(&s->fast_flags, memory_order_relaxed);
	if (now & EPOLLOUT)
		r->starved_seen = r->c->starved;
}

/* The events to report of @r now; *ret_plain if it is the kernel's from here on. */
static uint32_t look(struct ereg *r, bool *ret_plain)
{
	uint32_t want = (r->events & EV_DATA) | EPOLLERR | EPOLLHUP, now;

	*ret_plain = false;
	if (!r->armed)
		return 0;
	now = io_levels(r->c);
	if (now == LEVEL_KERNEL) {
		*ret_plain = true;
		return 0;
	}
	if (now & LEVEL_KERNEL || r->kernel) {
		uint32_t k = ask_kernel(r, now & LEVEL_KERNEL ? want : 0);

		r->kernel = r->kernel && k & (EPOLLERR | EPOLLHUP);
		now |= k;
	}
	now &= want;
	if (!now || (r->events & EPOLLET && !has_edge(r, now)))
		return 0;
	return now;
}

static void report(struct ereg *r, uint32_t now, struct epoll_event *ret_ev)
{
	*ret_ev = (struct epoll_event){ .events = now, .data = r->data };
	note_report(r, now);
	if (r->events & EPOLLONESHOT)
		r->armed = false;
	if (r->events & EPOLLET)
		r->kernel = false;
	else if (r->armed)
		ready_add(r->ep, r);
}

/* What of ours is ready; at most @max. Connections that turned out to be Linux's go to @plain. */
static int collect(struct epset *ep, struct epoll_event *evs, int max, struct conn **plain,
		   uint32_t *ret_plain)
{
	struct ereg *last = ep->ready.prev, *r;
	bool is_plain;
	int n = 0;

	*ret_plain = 0;
	for (bool more = !ready_empty(ep); more && n < max && *ret_plain < PLAIN_BATCH;) {
		uint32_t now;

		r = ep->ready.next;
		more = r != last && r->next != &ep->ready;
		ready_del(r);
		now = look(r, &is_plain);
		if (is_plain)
			plain[(*ret_plain)++] = r->c;
		else if (now)
			report(r, now, &evs[n++]);
	}
	return n;
}

bool ep_ready(struct epset *ep)
{
	enum lock_got got = midst_enter(&ep->lock);
	bool any = false, is_plain;

	ep_drain(ep);
	while (!any && !ready_empty(ep)) {
		struct ereg *r = ep->ready.next;

		any = look(r, &is_plain) || is_plain;
		if (!any)
			ready_del(r);
	}
	midst_leave(&ep->lock, got);
	return any;
}

static int take_ours(struct epset *ep, struct epoll_event *evs, int max)
{
	struct conn *plain[PLAIN_BATCH];
	uint32_t plains;
	enum lock_got got = midst_enter(&ep->lock);
	bool left;
	int n;

	ep_drain(ep);
	n = collect(ep, evs, max, plain, &plains);
	left = !ready_empty(ep);
	midst_leave(&ep->lock, got);

	for (uint32_t i = 0; i < plains; i++)
		conn_went_linux(plain[i]);
	if (left && n)
		ep_wake_others(ep);
	return n;
}

/* ---- epoll_wait: the kernel's --------------------------------------------------------- */

static void look_at_everything(struct epset *ep)
{
	enum lock_got got = midst_enter(&ep->lock);

	for (struct ereg *r = ep->all.all_next; r != &ep->all; r = r->all_next)
		if (r->ours)
			ready_add(ep, r);
	midst_leave(&ep->lock, got);
}

static bool ep_lost(const struct epset *ep)
{
	for (uint32_t i = 0; i < ep->regions; i++)
		if (ep->region[i].region->gone)
			return true;
	return false;
}

/* The daemon's heart was to be listened for. */
static void listen_to_heart(struct epset *ep)
{
	heart_beat(ep);
	if (ep_lost(ep))
		look_at_everything(ep);
}

/* Takes our own marks out of what the kernel reported. */
static int filter(struct epset *ep, struct epoll_event *evs, int n)
{
	int kept = 0;

	for (int i = 0; i < n; i++) {
		struct ereg *r = evs[i].data.ptr;
		enum lock_got got;

		if (likely(!pool_has(&ereg_pool, evs[i].data.u64))) {
			evs[kept++] = evs[i];
			continue;
		}
		if (unlikely(r == atomic_load_explicit(&ep->heart_mark, memory_order_relaxed))) {
			listen_to_heart(ep);
			continue;
		}
		got = midst_enter(&ep->lock);
		if (r->ep == ep && r->ours) {
			r->kernel = true;
			ready_add(ep, r);
		}
		midst_leave(&ep->lock, got);
	}
	return kept;
}

static int kernel_wait(int epfd, struct epoll_event *evs, int max, uint64_t deadline,
		       const sigset_t *mask)
{
	uint64_t now = deadline && deadline != FOREVER ? now_ns() : 0;
	uint64_t left = deadline > now ? deadline - now : 0;
	struct timespec ts = { (time_t)(left / NSEC), (long)(left % NSEC) };
	int n, ms;

	if (libc()->epoll_pwait2 && deadline && deadline != FOREVER) {
		n = libc()->epoll_pwait2(epfd, evs, max, &ts, mask);
	} else {
		left = (left + 999999) / 1000000;
		ms = deadline == FOREVER ? -1 : left > INT32_MAX ? INT32_MAX : (int)left;
		n = libc()->epoll_pwait(epfd, evs, max, ms, mask);
	}
	return n < 0 ? -errno : n;
}

static void awake_on(struct epset *ep)
{
	uint32_t cpu = (uint32_t)sched_getcpu();

	for (uint32_t i = 0; i < ep->regions; i++)
		if (ep->region[i].ctx >= 0)
			atomic_store_explicit(&ep_ctx(&ep->region[i])->cpu, cpu,
					      memory_order_relaxed);
}

bool ep_arm(struct epset *ep)
{
	atomic_fetch_add(&ep->sleepers, 1);
	ep_sleep_words(ep, TP_ASLEEP);
	full_fence();
	return !ready_empty(ep) || queues_hold_news(ep);
}

/* Whoever wakes while others sleep on must set the word for them again, and look again. */
void ep_disarm(struct epset *ep)
{
	awake_on(ep);
	if (atomic_fetch_sub(&ep->sleepers, 1) == 1) {
		ep_sleep_words(ep, TP_AWAKE);
		if (!atomic_load(&ep->sleepers))
			return;
	}
	ep_sleep_words(ep, TP_ASLEEP);
	full_fence();
	if (queues_hold_news(ep))
		ep_poke(ep);
}

/* A thread that sleeps in an instance. The kernel keeps its own for who waits in it when another thread closes
 * it, and so do we.
 */
struct sleeper {
	struct epset *ep;
	bool armed;
};

static void disarm(struct sleeper *sl)
{
	if (sl->armed)
		ep_disarm(sl->ep);
	sl->armed = false;
}

static void leave(void *arg)
{
	struct sleeper *sl = arg;

	disarm(sl);
	fd_let_go((uintptr_t)sl->ep + TAG_EPOLL);
}

static int sleep_in_kernel(int epfd, struct sleeper *sl, struct epoll_event *evs, int max,
			   uint64_t deadline, const sigset_t *mask)
{
	struct epset *ep = sl->ep;
	uint64_t begin = now_ns(), until;
	int n;

	sl->armed = true;
	if (ep_arm(ep)) {
		n = kernel_wait(epfd, evs, max, 0, NULL);
	} else {
		kick_flush();
		until = ep->blind || ep_any_unheard() ? begin + BLIND_NS : heart_limit(ep);
		n = kernel_wait(epfd, evs, max, no_later(deadline, until), mask);
		spin_missed(now_ns() - begin);
	}
	disarm(sl);
	return n;
}

static bool news(void *ep) { return queues_hold_news(ep); }

/* Waits a moment without sleeping, by yields to a fast thread on our CPU. Not where others wait too, or
 * where threads of several daemons bring news: each of these knows its own CPU only.
 */
static bool yield_for_news(struct epset *ep, uint64_t deadline)
{
	struct ep_region *er = &ep->region[0];
	struct yielding y;
	bool got;

	if (ep->regions != 1 || er->ctx < 0 || atomic_load(&ep->sleepers) ||
	    !yield_begin(er->region, deadline, &y))
		return false;
	awake_on(ep);
	yield_say(&y, &ep_ctx(er)->sleep);
	got = yield_until(&y, news, ep);
	yield_unsay(&y, &ep_ctx(er)->sleep);
	return got;
}

/* Without waiting: ours, and every few calls at the latest the kernel's. They take turns in coming
 * first, so that neither can starve the other when @max is small. Who is about to sleep (@sleeps) looks
 * at the kernel's in doing so.
 */
static int look_at_both(int epfd, struct epset *ep, struct epoll_event *evs, int max, bool sleeps)
{
	bool kernel_first = atomic_fetch_add_explicit(&ep->turn, 1, memory_order_relaxed) %
			    KERNEL_EVERY == 0;
	int n = 0, k;

	if (kernel_first) {
		n = kernel_wait(epfd, evs, max, 0, NULL);
		if (n < 0)
			return n;
		n = filter(ep, evs, n);
	}
	if (n < max)
		n += take_ours(ep, evs + n, max - n);
	if (n == 0 && !kernel_first && !sleeps) {
		k = kernel_wait(epfd, evs, max, 0, NULL);
		if (k < 0)
			return k;
		n = filter(ep, evs, k);
	}
	return n;
}

static int sleep_until_any(int epfd, struct sleeper *sl, struct epoll_event *evs, int max,
			   uint64_t deadline, const sigset_t *mask)
{
	struct epset *ep = sl->ep;
	int saved = errno, n;

	while (fd_word(epfd) == (uintptr_t)ep + TAG_EPOLL) {
		n = sleep_in_kernel(epfd, sl, evs, max, deadline, mask);
		if (n < 0)
			return n;
		if (n == 0) {
			regions_listen();
			ep_ring_unheard();
			if (ep->blind || ep_lost(ep))
				look_at_everything(ep);
		}
		n = filter(ep, evs, n);
		if (n < max)
			n += take_ours(ep, evs + n, max - n);
		errno = saved;
		if (n || (deadline != FOREVER && now_ns() >= deadline))
			return n;
	}
	return -EBADF;				/* closed, and perhaps another's by now */
}

static int wait_once(int epfd, struct epset *ep, struct epoll_event *evs, int max,
		     uint64_t deadline, const sigset_t *mask)
{
	bool live = atomic_load_explicit(&ep->live, memory_order_relaxed);
	int n = live ? look_at_both(epfd, ep, evs, max, deadline != 0) : 0;
	struct sleeper sl = { .ep = ep };
	uintptr_t held;
	undo_t undo;

	if (n || (live && deadline == 0)) {
		if (n == 0)
			kick_flush();
		return n;
	}
	kick_flush();			/* what believes that we are awake must not wait for us */
	if (live && ep->regions &&
	    (spin_for(ep->region[0].region, news, ep) || yield_for_news(ep, deadline))) {
		n = take_ours(ep, evs, max);
		if (n)
			return n;
	}
	held = fd_hold(epfd);
	if (held != (uintptr_t)ep + TAG_EPOLL) {
		fd_let_go(held);
		return -EBADF;
	}
	undo_push(&undo, leave, &sl);
	n = sleep_until_any(epfd, &sl, evs, max, deadline, mask);
	undo_run(&undo);
	return n;
}

int ep_wait(int epfd, struct epset *ep, struct epoll_event *evs, int max, uint64_t deadline,
	    const sigset_t *mask)
{
	int n;

	if (unlikely(ep->foreign))
		ep_renew(ep);
	ep_ring_unheard();
	if (max > 0 && BAD_PTR(evs) && ep_ready(ep))
		return -EFAULT;
	if (max <= 0 || BAD_PTR(evs))
		return kernel_wait(epfd, evs, max, 0, mask);
	n = wait_once(epfd, ep, evs, max, deadline, mask);
	if (unlikely(ep->nested)) {
		ep_sleep_words(ep, TP_ASLEEP);
		full_fence();
		if (ep_ready(ep))
			ep_poke(ep);
	}
	return n;
}

_Atomic uint32_t ep_bare_waiters;

/* Who slept in the instance before it held fds of ours was woken, perhaps for nothing it may see. The
 * next one that did is woken in turn, until it is one that sleeps as it should.
 */
int ep_became(int epfd, struct epset *ep, struct epoll_event *evs, int max, int n,
	      uint64_t deadline, const sigset_t *mask)
{
	n = filter(ep, evs, n);
	ep_poke(ep);
	return n ? n : ep_wait(epfd, ep, evs, max, deadline, mask);
}

int ep_wait_unheard(int epfd, struct epoll_event *evs, int max, uint64_t deadline,
		    const sigset_t *mask)
{
	uint64_t limit;
	struct epset *ep;
	int n;

	do {
		ep_ring_unheard();
		limit = ep_any_unheard() && deadline ? now_ns() + BLIND_NS : FOREVER;
		n = kernel_wait(epfd, evs, max, no_later(deadline, limit), mask);
		ep = fd_get(epfd, TAG_EPOLL);
		if (n >= 0 && ep)
			return ep_became(epfd, ep, evs, max, n, deadline, mask);
	} while (n == 0 && (deadline == FOREVER || now_ns() < deadline));
	return n;
}
