/* SPDX-License-Identifier: BSD-2-Clause
 *
 * epoll.c - epoll instances that hold some fds of ours.
 *
 * The kernel's instance stays complete: each fd is in it, so errors of epoll_ctl (EEXIST, ENOENT,
 * ELOOP...) are Linux's, and so is what happens to registrations when fds are closed. An fd of
 * ours is there without data events (it never has any), edge-triggered, with the address of
 * its `struct ereg` for data; what the kernel then says, HUP and ERR, is a hint to look.
 *
 *   fast thread -> context queue -> by_slot -> ready list -> looked at -> the program
 *   epoll_ctl ADD, MOD; kernel's HUP, ERR -------^
 *
 * The ready list holds what *may* be ready. An entry is looked at (io_levels) and
 *   level-triggered: stays while it is ready;
 *   edge-triggered:  is reported if something came since the last report, and leaves;
 *   ONESHOT:         is reported and disarmed until MOD.
 *
 * To sleep, a thread sleeps in the kernel's epoll_wait of the same instance. The context's eventfd
 * is in it, edge-triggered and never read, so one write wakes one thread. Several threads
 * may wait on one instance: the sleep word stays set while any sleeps, and a thread
 * that leaves with entries still on the list wakes the next, as the kernel does.
 *
 * An instance that stands in another one is armed all the time, as if a thread slept on it, so that
 * news of ours makes it readable for the kernel too.
 *
 * A socket registered before it was ours (connect) becomes ours in ep_conn_claimed; one that
 * went back to Linux gets its true events again in ep_conn_plain. After fork both processes have the
 * kernel's instance; the child needs contexts of its own (renew).
 */
#include <sched.h>

#include "shim.h"

#define MAX_EREGS	(1U << 20)
#define MAX_EPSETS	65536U
#define EP_REGIONS	4		/* regions an instance may hold fds of */
#define EV_DATA		(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLRDNORM | EPOLLRDBAND | \
			 EPOLLWRNORM | EPOLLWRBAND | EPOLLMSG)
#define KERNEL_EVERY	8		/* busy with ours: so often a look at the kernel's too */
#define BLIND_NS	1000000U
#define PLAIN_BATCH	16

struct ereg {
	struct epset *ep;
	struct conn *c;			/* NULL: stands for a context's eventfd */
	struct ereg *conn_next;		/* of c's; under conn_reg */
	struct ereg *slot_next;		/* of the same slot (dup); under ep->lock, as all below */
	struct ereg *prev, *next;	/* the ready list */
	struct ereg *all_prev, *all_next;
	epoll_data_t data;
	uint64_t rx_seen;
	uint32_t events, flags_seen, starved_seen;
	int fd;
	bool ours;			/* registered as one of ours in the kernel */
	bool listed, armed, fresh, kernel;
};

struct ep_region {
	struct region *region;
	int ctx;			/* -1: there was none to be had */
	struct ereg **by_slot;
	struct ereg *eventfd;		/* its mark in the kernel's instance */
};

struct epset {
	lock_t lock;
	int epfd;
	_Atomic uint32_t refs;
	_Atomic uint32_t sleepers;
	_Atomic uint32_t live;		/* fds of ours */
	uint32_t regions;
	struct ep_region region[EP_REGIONS];
	struct ereg ready;		/* head of the list */
	_Atomic uint32_t listed;	/* its length; read without the lock too */
	struct ereg all;
	_Atomic uint32_t turn;
	bool blind;			/* some fd cannot wake us: look often */
	bool foreign;			/* contexts are our parent's */
	bool nested;			/* in another instance: counts as a sleeper */
	struct epset *next_free;
};

static struct pool eregs = { .size = (sizeof(struct ereg) + 63) & ~63U, .max = MAX_EREGS };
static struct pool epsets = { .size = (sizeof(struct epset) + 63) & ~63U, .max = MAX_EPSETS };
static struct ereg *free_eregs;		/* under conn_reg */
static struct epset *free_epsets;

/* ---- the lists ------------------------------------------------------------------------ */

/* Written under the lock only, so no read-modify-write. */
static void count_listed(struct epset *ep, int by)
{
	uint32_t n = atomic_load_explicit(&ep->listed, memory_order_relaxed);

	atomic_store_explicit(&ep->listed, n + (uint32_t)by, memory_order_relaxed);
}

static void ready_add(struct epset *ep, struct ereg *r)
{
	if (r->listed)
		return;
	r->listed = true;
	r->prev = ep->ready.prev;
	r->next = &ep->ready;
	r->prev->next = r;
	ep->ready.prev = r;
	count_listed(ep, 1);
}

static void ready_del(struct ereg *r)
{
	if (!r->listed)
		return;
	r->listed = false;
	r->prev->next = r->next;
	r->next->prev = r->prev;
	count_listed(r->ep, -1);
}

static bool ready_empty(const struct epset *ep)
{
	return atomic_load_explicit(&ep->listed, memory_order_relaxed) == 0;
}

static struct ereg *ereg_new(struct epset *ep, struct conn *c, int fd)
{
	struct ereg *r = free_eregs;

	if (r)
		free_eregs = r->conn_next;
	else
		r = pool_grow(&eregs);
	if (!r)
		return NULL;
	*r = (struct ereg){ .ep = ep, .c = c, .fd = fd, .armed = true };
	r->all_prev = ep->all.all_prev;
	r->all_next = &ep->all;
	r->all_prev->all_next = r;
	ep->all.all_prev = r;
	return r;
}

static void ereg_free(struct ereg *r)
{
	r->all_prev->all_next = r->all_next;
	r->all_next->all_prev = r->all_prev;
	r->ep = NULL;
	r->ours = false;
	r->conn_next = free_eregs;
	free_eregs = r;
}

static struct ereg *ereg_find(struct conn *c, const struct epset *ep, int fd)
{
	for (struct ereg *r = c->eregs; r; r = r->conn_next)
		if (r->ep == ep && r->fd == fd)
			return r;
	return NULL;
}

static void conn_unlink(struct conn *c, struct ereg *r)
{
	struct ereg **at = &c->eregs;

	while (*at && *at != r)
		at = &(*at)->conn_next;
	if (*at)
		*at = r->conn_next;
}

/* ---- what the kernel is told ---------------------------------------------------------- */

static struct epoll_event kernel_event(const struct ereg *r)
{
	struct epoll_event ev = { .events = r->events, .data = r->data };

	if (r->ours) {
		ev.events = (r->events & ~(EV_DATA | EPOLLONESHOT)) | EPOLLET;
		ev.data.ptr = (void *)r;
	} else if (!r->armed) {
		ev.events = EPOLLONESHOT;
	}
	return ev;
}

/* The kernel refuses MOD of what was added EXCLUSIVE. */
static void kernel_again(struct epset *ep, struct ereg *r)
{
	struct epoll_event ev = kernel_event(r);

	if (r->events & EPOLLEXCLUSIVE) {
		libc()->epoll_ctl(ep->epfd, EPOLL_CTL_DEL, r->fd, &ev);
		libc()->epoll_ctl(ep->epfd, EPOLL_CTL_ADD, r->fd, &ev);
	} else {
		libc()->epoll_ctl(ep->epfd, EPOLL_CTL_MOD, r->fd, &ev);
	}
}

/* ---- instances ------------------------------------------------------------------------ */

static struct epset *epset_make(int epfd)
{
	bool nested = fd_word(epfd) & NESTED_EPOLL;
	struct epset *ep = free_epsets;

	if (ep)
		free_epsets = ep->next_free;
	else
		ep = pool_grow(&epsets);
	if (!ep)
		return NULL;
	memset(ep, 0, sizeof(*ep));
	ep->epfd = epfd;
	ep->refs = 1;
	ep->nested = nested;
	ep->sleepers = nested;
	ep->ready.prev = ep->ready.next = &ep->ready;
	ep->all.all_prev = ep->all.all_next = &ep->all;
	if (!fd_set_epset(epfd, ep)) {
		ep->next_free = free_epsets;
		free_epsets = ep;
		return NULL;
	}
	return ep;
}

static void watch_context(struct epset *ep, struct ep_region *er)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	er->eventfd = ereg_new(ep, NULL, -1);
	if (!er->eventfd)
		return;
	ev.data.ptr = er->eventfd;
	libc()->epoll_ctl(ep->epfd, EPOLL_CTL_ADD, er->region->ctx_fd[er->ctx], &ev);
}

static struct ep_region *ep_region_of(struct epset *ep, struct conn *c)
{
	struct ep_region *er;

	for (uint32_t i = 0; i < ep->regions; i++)
		if (ep->region[i].region == c->region)
			return &ep->region[i];
	if (ep->regions == EP_REGIONS)
		return NULL;
	er = &ep->region[ep->regions];
	er->by_slot = tmp_get(TP_SLOTS * sizeof(*er->by_slot));
	if (!er->by_slot)
		return NULL;
	er->region = c->region;
	er->ctx = ctx_get(c);
	if (er->ctx >= 0)
		watch_context(ep, er);
	else
		ep->blind = true;
	ep->regions++;
	return er;
}

static struct tp_ctx *ep_ctx(const struct ep_region *er)
{
	return er->ctx < 0 ? NULL : region_ctx(er->region, (uint32_t)er->ctx);
}

static void sleep_words(struct epset *ep, uint32_t value)
{
	for (uint32_t i = 0; i < ep->regions; i++)
		if (ep->region[i].ctx >= 0)
			atomic_store(&ep_ctx(&ep->region[i])->sleep, value);
}

static void poke(struct epset *ep)
{
	static const uint64_t one = 1;
	int saved = errno;

	for (uint32_t i = 0; i < ep->regions; i++) {
		struct ep_region *er = &ep->region[i];

		if (er->ctx >= 0) {
			(void)!libc()->write(er->region->ctx_fd[er->ctx], &one, sizeof(one));
			break;
		}
	}
	errno = saved;
}

/* ---- becoming ours, and no longer ----------------------------------------------------- */

static void set_notify(const struct ep_region *er, struct conn *c, bool on)
{
	if (er->ctx < 0 || c->slot->generation != c->generation)
		return;
	if (on)
		atomic_fetch_or(&c->slot->notify, 1ULL << er->ctx);
	else
		atomic_fetch_and(&c->slot->notify, ~(1ULL << er->ctx));
}

/* conn_reg and ep->lock are held. */
static void ereg_start(struct ereg *r)
{
	struct epset *ep = r->ep;
	struct ep_region *er = ep_region_of(ep, r->c);

	r->ours = er != NULL;
	if (!er)
		return;
	r->slot_next = er->by_slot[r->c->index];
	er->by_slot[r->c->index] = r;
	atomic_fetch_add(&ep->live, 1);
	set_notify(er, r->c, true);
	r->fresh = true;
	ready_add(ep, r);
}

static void ereg_stop(struct ereg *r)
{
	struct epset *ep = r->ep;
	struct ep_region *er = r->ours ? ep_region_of(ep, r->c) : NULL;
	struct ereg **at;

	ready_del(r);
	r->ours = false;
	if (!er)
		return;
	for (at = &er->by_slot[r->c->index]; *at && *at != r; at = &(*at)->slot_next)
		;
	if (*at)
		*at = r->slot_next;
	atomic_fetch_sub(&ep->live, 1);
	if (!er->by_slot[r->c->index])
		set_notify(er, r->c, false);
}

/* After a change of our own; in another instance @ep shall not look ready when it is not. */
static void wake_others(struct epset *ep)
{
	uint32_t threads = atomic_load(&ep->sleepers) - ep->nested;

	if (threads || (ep->nested && ep_ready(ep)))
		poke(ep);
}

void ep_conn_claimed(struct conn *c)
{
	for (struct ereg *r = c->eregs; r; r = r->conn_next) {
		struct epset *ep = r->ep;
		enum lock_got got = lock_take(&ep->lock);

		ereg_start(r);
		kernel_again(ep, r);
		lock_drop(&ep->lock, got);
		wake_others(ep);
	}
}

static void forget_all(struct conn *c, bool tell_kernel)
{
	struct ereg *r;

	while ((r = c->eregs)) {
		struct epset *ep = r->ep;
		enum lock_got got = lock_take(&ep->lock);

		c->eregs = r->conn_next;
		ereg_stop(r);
		if (tell_kernel)
			kernel_again(ep, r);
		ereg_free(r);
		lock_drop(&ep->lock, got);
	}
}

void ep_conn_plain(struct conn *c) { forget_all(c, true); }

void ep_conn_closed(struct conn *c)
{
	enum lock_got got;

	if (!c->eregs)
		return;
	got = lock_take(&conn_reg);
	forget_all(c, false);
	lock_drop(&conn_reg, got);
}

void ep_conn_changed(struct conn *c)
{
	enum lock_got got = lock_take(&conn_reg);

	for (struct ereg *r = c->eregs; r; r = r->conn_next) {
		enum lock_got ep_got = lock_take(&r->ep->lock);

		if (r->ours) {
			r->fresh = true;
			ready_add(r->ep, r);
		}
		lock_drop(&r->ep->lock, ep_got);
		wake_others(r->ep);
	}
	lock_drop(&conn_reg, got);
}

/* ---- epoll_ctl ------------------------------------------------------------------------ */

static int real_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	return libc()->epoll_ctl(epfd, op, fd, ev) < 0 ? -errno : 0;
}

static int ctl_add(int epfd, struct epset *ep, struct conn *c, int fd, struct epoll_event *ev)
{
	bool ours = atomic_load(&c->mode) == CONN_OURS;
	struct epoll_event kernel;
	enum lock_got got;
	struct ereg *r;
	int err;

	if (!ep)
		ep = epset_make(epfd);
	r = ep ? ereg_new(ep, c, fd) : NULL;
	if (!r)
		return real_ctl(epfd, EPOLL_CTL_ADD, fd, ev);
	r->events = ev->events;
	r->data = ev->data;
	r->ours = ours;
	kernel = kernel_event(r);
	err = real_ctl(epfd, EPOLL_CTL_ADD, fd, &kernel);
	if (err < 0) {
		ereg_free(r);
		return err;
	}
	r->conn_next = c->eregs;
	c->eregs = r;
	got = lock_take(&ep->lock);
	if (ours)
		ereg_start(r);
	lock_drop(&ep->lock, got);
	wake_others(ep);
	return 0;
}

static int ctl_mod(struct epset *ep, struct ereg *r, struct epoll_event *ev)
{
	enum lock_got got = lock_take(&ep->lock);
	struct ereg try = *r;
	struct epoll_event kernel;
	int err;

	try.events = ev->events;
	try.data = ev->data;
	try.armed = true;
	kernel = kernel_event(&try);
	if (r->ours)
		kernel.data.ptr = r;
	err = real_ctl(ep->epfd, EPOLL_CTL_MOD, r->fd, &kernel);
	if (err == 0) {
		r->events = ev->events;
		r->data = ev->data;
		r->armed = true;
		if (r->ours) {
			r->fresh = true;
			ready_add(ep, r);
		}
	}
	lock_drop(&ep->lock, got);
	if (err == 0)
		wake_others(ep);
	return err;
}

static int ctl_del(struct epset *ep, struct ereg *r, struct epoll_event *ev)
{
	enum lock_got got = lock_take(&ep->lock);
	int err = real_ctl(ep->epfd, EPOLL_CTL_DEL, r->fd, ev);

	if (err == 0) {
		conn_unlink(r->c, r);
		ereg_stop(r);
		ereg_free(r);
	}
	lock_drop(&ep->lock, got);
	return err;
}

static int ctl_locked(int epfd, int op, int fd, struct conn *c, struct epoll_event *ev)
{
	struct epset *ep = fd_get(epfd, TAG_EPOLL);
	struct ereg *r = ep ? ereg_find(c, ep, fd) : NULL;
	uint32_t mode = atomic_load(&c->mode);

	if (op == EPOLL_CTL_ADD && !r && ev && mode != CONN_PLAIN && mode != CONN_LISTEN)
		return ctl_add(epfd, ep, c, fd, ev);
	if (op == EPOLL_CTL_MOD && r && ev)
		return ctl_mod(ep, r, ev);
	if (op == EPOLL_CTL_DEL && r)
		return ctl_del(ep, r, ev);
	return real_ctl(epfd, op, fd, ev);
}

static void set_nested(int fd)
{
	struct epset *ep = fd_get(fd, TAG_EPOLL);

	if (!ep) {
		atomic_store(&fd_table[fd], TAG_BARE_EPOLL | NESTED_EPOLL);
	} else if (!ep->nested) {
		ep->nested = true;
		ep_arm(ep);
		wake_others(ep);
	}
}

void ep_created(int epfd)
{
	if ((unsigned int)epfd >= FD_MAX || in_vfork_child())
		return;
	fd_forget(epfd);
	fd_set_bare_epoll(epfd);
}

int ep_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	uintptr_t tag = fd_word(fd) & TAG_MASK;
	struct conn *c = fd_conn(fd);
	enum lock_got got;
	int ret;

	if (!c || in_vfork_child()) {
		ret = real_ctl(epfd, op, fd, ev);
		if (ret == 0 && op == EPOLL_CTL_ADD && !in_vfork_child() &&
		    (tag == TAG_BARE_EPOLL || tag == TAG_EPOLL))
			set_nested(fd);
		return ret;
	}
	conn_ours(fd, c);
	got = lock_take(&conn_reg);
	ret = fd_is_conn(fd, c) ? ctl_locked(epfd, op, fd, c, ev) : real_ctl(epfd, op, fd, ev);
	lock_drop(&conn_reg, got);
	return ret;
}

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

static void drain(struct epset *ep)
{
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
	enum lock_got got = lock_take(&ep->lock);
	bool any = false, is_plain;

	drain(ep);
	while (!any && !ready_empty(ep)) {
		struct ereg *r = ep->ready.next;

		any = look(r, &is_plain) || is_plain;
		if (!any)
			ready_del(r);
	}
	lock_drop(&ep->lock, got);
	return any;
}

static int take_ours(struct epset *ep, struct epoll_event *evs, int max)
{
	struct conn *plain[PLAIN_BATCH];
	uint32_t plains;
	enum lock_got got = lock_take(&ep->lock);
	bool left;
	int n;

	drain(ep);
	n = collect(ep, evs, max, plain, &plains);
	left = !ready_empty(ep);
	lock_drop(&ep->lock, got);

	for (uint32_t i = 0; i < plains; i++)
		conn_went_linux(plain[i]);
	if (left && n)
		wake_others(ep);
	return n;
}

/* ---- epoll_wait: the kernel's --------------------------------------------------------- */

/* Takes our own marks out of what the kernel reported. */
static int filter(struct epset *ep, struct epoll_event *evs, int n)
{
	int kept = 0;

	for (int i = 0; i < n; i++) {
		struct ereg *r = evs[i].data.ptr;
		enum lock_got got;

		if (likely(!pool_has(&eregs, evs[i].data.u64))) {
			evs[kept++] = evs[i];
			continue;
		}
		got = lock_take(&ep->lock);
		if (r->ep == ep && r->ours) {
			r->kernel = true;
			ready_add(ep, r);
		}
		lock_drop(&ep->lock, got);
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
	sleep_words(ep, 1);
	full_fence();
	return !ready_empty(ep) || queues_hold_news(ep);
}

/* Whoever wakes while others sleep on must set the word for them again, and look again. */
void ep_disarm(struct epset *ep)
{
	awake_on(ep);
	if (atomic_fetch_sub(&ep->sleepers, 1) == 1) {
		sleep_words(ep, 0);
		if (!atomic_load(&ep->sleepers))
			return;
	}
	sleep_words(ep, 1);
	full_fence();
	if (queues_hold_news(ep))
		poke(ep);
}

static int sleep_in_kernel(int epfd, struct epset *ep, struct epoll_event *evs, int max,
			   uint64_t deadline, const sigset_t *mask)
{
	uint64_t begin = now_ns();
	int n;

	if (ep_arm(ep)) {
		ep_disarm(ep);
		return kernel_wait(epfd, evs, max, 0, NULL);
	}
	kick_flush();
	n = kernel_wait(epfd, evs, max,
			no_later(deadline, ep->blind ? begin + BLIND_NS : regions_due()), mask);
	ep_disarm(ep);
	spin_missed(now_ns() - begin);
	return n;
}

static bool news(void *ep) { return queues_hold_news(ep); }

static void look_at_everything(struct epset *ep)
{
	enum lock_got got = lock_take(&ep->lock);

	for (struct ereg *r = ep->all.all_next; r != &ep->all; r = r->all_next)
		if (r->ours)
			ready_add(ep, r);
	lock_drop(&ep->lock, got);
}

static bool ep_lost(const struct epset *ep)
{
	for (uint32_t i = 0; i < ep->regions; i++)
		if (ep->region[i].region->gone)
			return true;
	return false;
}

/* Without waiting: ours, and every few calls at the latest the kernel's. They take turns in coming
 * first, so that neither can starve the other when @max is small.
 */
static int look_at_both(int epfd, struct epset *ep, struct epoll_event *evs, int max)
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
	if (n == 0 && !kernel_first) {
		k = kernel_wait(epfd, evs, max, 0, NULL);
		if (k < 0)
			return k;
		n = filter(ep, evs, k);
	}
	return n;
}

static void renew(struct epset *ep);

static int wait_once(int epfd, struct epset *ep, struct epoll_event *evs, int max,
		     uint64_t deadline, const sigset_t *mask)
{
	int saved = errno, n = look_at_both(epfd, ep, evs, max);

	if (n || deadline == 0) {
		if (n == 0)
			kick_flush();
		return n;
	}
	if (ep->regions && spin_for(ep->region[0].region, news, ep)) {
		n = take_ours(ep, evs, max);
		if (n)
			return n;
	}
	for (;;) {
		n = sleep_in_kernel(epfd, ep, evs, max, deadline, mask);
		if (n < 0)
			return n;
		if (n == 0) {
			regions_listen();
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
}

int ep_wait(int epfd, struct epset *ep, struct epoll_event *evs, int max, uint64_t deadline,
	    const sigset_t *mask)
{
	int n;

	if (unlikely(ep->foreign))
		renew(ep);
	if (max <= 0 || !evs)
		return kernel_wait(epfd, evs, max, 0, mask);
	n = wait_once(epfd, ep, evs, max, deadline, mask);
	if (unlikely(ep->nested)) {
		sleep_words(ep, 1);
		full_fence();
		if (ep_ready(ep))
			poke(ep);
	}
	return n;
}

/* ---- the instance's own life ---------------------------------------------------------- */

void ep_fd_copied(struct epset *ep) { atomic_fetch_add(&ep->refs, 1); }

static void give_back_contexts(struct epset *ep)
{
	for (uint32_t i = 0; i < ep->regions; i++) {
		struct ep_region *er = &ep->region[i];

		if (er->ctx >= 0 && !ep->foreign)
			ctx_put(er->region, er->ctx);
		tmp_put(er->by_slot, TP_SLOTS * sizeof(*er->by_slot));
	}
	ep->regions = 0;
}

void ep_fd_closed(struct epset *ep)
{
	enum lock_got reg, got;
	struct ereg *r;

	if (atomic_fetch_sub(&ep->refs, 1) != 1)
		return;
	reg = lock_take(&conn_reg);
	got = lock_take(&ep->lock);
	while ((r = ep->all.all_next) != &ep->all) {
		if (r->c) {
			conn_unlink(r->c, r);
			ereg_stop(r);
		}
		ereg_free(r);
	}
	drain(ep);
	give_back_contexts(ep);
	lock_drop(&ep->lock, got);
	ep->next_free = free_epsets;
	free_epsets = ep;
	lock_drop(&conn_reg, reg);
}

void ep_after_fork(void)
{
	char *base = epsets.base;

	for (uint32_t i = 0; base && i < epsets.used; i++) {
		struct epset *ep = (struct epset *)(base + (size_t)i * epsets.size);

		ep->foreign = true;
		atomic_store(&ep->lock, 0);
		atomic_store(&ep->sleepers, 0);
	}
}

/* The child's first use of an instance that it shares with its parent. */
static void renew(struct epset *ep)
{
	enum lock_got reg = lock_take(&conn_reg), got = lock_take(&ep->lock);

	for (uint32_t i = 0; i < ep->regions; i++) {
		struct ep_region *er = &ep->region[i];
		struct conn *c = NULL;

		for (struct ereg *r = ep->all.all_next; r != &ep->all && !c; r = r->all_next)
			if (r->ours && r->c->region == er->region)
				c = r->c;
		er->ctx = c ? ctx_get(c) : -1;
		if (er->ctx >= 0)
			watch_context(ep, er);
		else
			ep->blind = c != NULL;
		for (struct ereg *r = ep->all.all_next; r != &ep->all; r = r->all_next)
			if (r->ours && r->c->region == er->region) {
				set_notify(er, r->c, true);
				ready_add(ep, r);
			}
	}
	ep->foreign = false;
	lock_drop(&ep->lock, got);
	lock_drop(&conn_reg, reg);
}
