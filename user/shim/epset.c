/* SPDX-License-Identifier: BSD-2-Clause
 *
 * epset.c - who is registered in which epoll instance. How it is waited on: epoll.c.
 *
 * The kernel's instance stays complete: each fd is in it, so errors of epoll_ctl (EEXIST, ENOENT,
 * ELOOP...) are Linux's, and so is what happens to registrations when fds are closed. An fd of
 * ours is there without data events (it never has any), edge-triggered, with the address of
 * its `struct ereg` for data; what the kernel then says, HUP and ERR, is a hint to look.
 *
 * A socket registered before it was ours (connect) becomes ours in ep_conn_claimed; one that
 * went back to Linux gets its true events again in ep_conn_plain. Registrations live as long
 * as the connection, not the fd: closing one of two dups leaves them, as in the kernel.
 *
 * An instance that stands in another one is armed all the time, as if a thread slept on it, so that
 * news of ours makes it readable for the kernel too. After fork both processes have the kernel's
 * instance; the child needs contexts of its own (ep_renew).
 */
#include "epset.h"

#define MAX_EREGS	(1U << 20)
#define MAX_EPSETS	65536U

struct pool ereg_pool = { .size = (sizeof(struct ereg) + 63) & ~63U, .max = MAX_EREGS };
static struct pool epsets = { .size = (sizeof(struct epset) + 63) & ~63U, .max = MAX_EPSETS };
static struct ereg *free_eregs;		/* under conn_reg */
static struct epset *free_epsets;

/* ---- registrations --------------------------------------------------------------------- */

/* ep->lock is held. A thread may come from the kernel with the mark of one that was here before (filter). */
static struct ereg *ereg_new(struct epset *ep, struct conn *c, int fd)
{
	struct ereg *r = free_eregs;

	if (r)
		free_eregs = r->conn_next;
	else
		r = pool_grow(&ereg_pool);
	if (!r)
		return NULL;
	r->c = c;
	r->fd = fd;
	r->conn_next = r->slot_next = NULL;
	r->rx_seen = r->flags_seen = r->starved_seen = r->events = 0;
	r->listed = r->fresh = r->kernel = false;
	r->armed = true;
	r->ep = ep;
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

/* ---- instances in others, of whose news nobody tells ------------------------------------ */

/* There was no context for it, or it came by fork and the child waits on the outer one only. Who waits
 * on any instance then looks at these once a millisecond, and makes the heart of one that has news due.
 */
static _Atomic uint32_t unheard;

static void count_unheard(struct epset *ep)
{
	bool is = ep->nested && ep->regions && (ep->blind || ep->foreign);

	if (is == ep->unheard)
		return;
	ep->unheard = is;
	atomic_fetch_add(&unheard, is ? 1 : (uint32_t)-1);
}

bool ep_any_unheard(void) { return atomic_load_explicit(&unheard, memory_order_relaxed); }

bool ep_may_hold_ours(int fd)
{
	uintptr_t tag = fd_word(fd) & TAG_MASK;

	return tag == TAG_EPOLL || (tag == TAG_BARE_EPOLL && ep_any_unheard());
}

void ep_ring_unheard(void)
{
	char *base = epsets.base;

	if (likely(!ep_any_unheard()))
		return;
	for (uint32_t i = 0; base && i < epsets.used; i++) {
		struct epset *ep = (struct epset *)(base + (size_t)i * epsets.size);

		if (!ep->unheard)
			continue;
		if (ep->foreign)
			ep_renew(ep);
		if (ep_ready(ep))
			heart_now(ep);
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
	ep->heart = -1;
	ep->ready.prev = ep->ready.next = &ep->ready;
	ep->all.all_prev = ep->all.all_next = &ep->all;
	if (!fd_set_epset(epfd, ep)) {
		ep->next_free = free_epsets;
		free_epsets = ep;
		return NULL;
	}
	return ep;
}

struct ereg *ep_mark(struct epset *ep) { return ereg_new(ep, NULL, -1); }

static void watch_context(struct epset *ep, struct ep_region *er)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.ptr = ep_mark(ep) };

	if (ev.data.ptr)
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
	if (ep->regions++ == 0)
		heart_start(ep);
	count_unheard(ep);
	return er;
}

void ep_sleep_words(struct epset *ep, uint32_t value)
{
	for (uint32_t i = 0; i < ep->regions; i++)
		if (ep->region[i].ctx >= 0)
			atomic_store(&ep_ctx(&ep->region[i])->sleep, value);
}

void ep_poke(struct epset *ep)
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

bool ep_is_blind(const struct epset *ep) { return ep->blind; }

/* Whoever noticed that a region is gone: each instance hears of it when it is next asked. And nobody
 * tells of the fds of a region in which there was no context.
 */
void ep_mourn(struct epset *ep)
{
	for (uint32_t i = 0; i < ep->regions; i++) {
		struct ep_region *er = &ep->region[i];

		bool gone = atomic_load_explicit(&er->region->gone, memory_order_relaxed);

		if (likely(er->ctx >= 0 && (!gone || er->mourned)))
			continue;
		er->mourned = gone;
		for (struct ereg *r = ep->all.all_next; r != &ep->all; r = r->all_next)
			if (r->ours && r->c->region == er->region)
				ready_add(ep, r);
	}
}

/* For the kernel it looks ready since the last poke. While nobody sleeps in it, make it look as it is.
 * True: the heart was due, and what it told may be news.
 */
bool ep_hush(struct epset *ep)
{
	uint64_t count;
	bool due;
	int saved = errno;

	for (uint32_t i = 0; i < ep->regions && !atomic_load(&ep->sleepers); i++) {
		struct ep_region *er = &ep->region[i];

		if (er->ctx >= 0)
			(void)!libc()->read(er->region->ctx_fd[er->ctx], &count, sizeof(count));
	}
	due = ep->heart >= 0 && libc()->read(ep->heart, &count, sizeof(count)) > 0;
	if (due)
		heart_beat(ep);
	errno = saved;
	return due;
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
void ep_wake_others(struct epset *ep)
{
	uint32_t threads = atomic_load(&ep->sleepers) - ep->nested;

	if (threads || (ep->nested && ep_ready(ep)) || (ep->early && ep->regions)) {
		ep->early = false;
		ep_poke(ep);
	}
}

void ep_conn_claimed(struct conn *c)
{
	for (struct ereg *r = c->eregs; r; r = r->conn_next) {
		struct epset *ep = r->ep;
		enum lock_got got = midst_enter(&ep->lock);

		ereg_start(r);
		kernel_again(ep, r);
		midst_leave(&ep->lock, got);
		ep_wake_others(ep);
	}
}

static void forget_all(struct conn *c, bool tell_kernel)
{
	struct ereg *r;

	while ((r = c->eregs)) {
		struct epset *ep = r->ep;
		enum lock_got got = midst_enter(&ep->lock);

		c->eregs = r->conn_next;
		ereg_stop(r);
		if (tell_kernel)
			kernel_again(ep, r);
		ereg_free(r);
		midst_leave(&ep->lock, got);
	}
}

void ep_conn_plain(struct conn *c) { forget_all(c, true); }

void ep_conn_closed(struct conn *c)
{
	enum lock_got got;

	if (!c->eregs)
		return;
	got = midst_enter(&conn_reg);
	forget_all(c, false);
	midst_leave(&conn_reg, got);
}

void ep_conn_changed(struct conn *c)
{
	enum lock_got got = midst_enter(&conn_reg);

	for (struct ereg *r = c->eregs; r; r = r->conn_next) {
		enum lock_got ep_got = midst_enter(&r->ep->lock);

		if (r->ours) {
			r->fresh = true;
			ready_add(r->ep, r);
		}
		midst_leave(&r->ep->lock, ep_got);
		ep_wake_others(r->ep);
	}
	midst_leave(&conn_reg, got);
}

/* ---- epoll_ctl ------------------------------------------------------------------------ */

static int real_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	return libc()->epoll_ctl(epfd, op, fd, ev) < 0 ? -errno : 0;
}

#define EXCLUSIVE_OK	(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | \
			 EPOLLEXCLUSIVE)

/* Both locks are held. */
static int add_ereg(int epfd, struct ereg *r, const struct epoll_event *ev)
{
	bool ours = atomic_load(&r->c->mode) == CONN_OURS;
	struct epoll_event kernel;
	int err;

	r->events = ev->events;
	r->data = ev->data;
	r->ours = ours;
	kernel = kernel_event(r);
	err = real_ctl(epfd, EPOLL_CTL_ADD, r->fd, &kernel);
	if (err < 0) {
		ereg_free(r);
		return err;
	}
	r->conn_next = r->c->eregs;
	r->c->eregs = r;
	if (ours)
		ereg_start(r);
	return 0;
}

/* A connection is none; the kernel says so. */
static bool can_be_instance(int epfd)
{
	uintptr_t tag = fd_word(epfd) & TAG_MASK;

	return !tag || tag == TAG_BARE_EPOLL;
}

static int ctl_add(int epfd, struct epset *ep, struct conn *c, int fd, struct epoll_event *ev)
{
	enum lock_got got;
	struct ereg *r;
	int err;

	if (ev->events & EPOLLEXCLUSIVE && ev->events & ~EXCLUSIVE_OK)
		return real_ctl(epfd, EPOLL_CTL_ADD, fd, ev);	/* which refuses */
	if (!ep && can_be_instance(epfd)) {
		ep = epset_make(epfd);
		if (ep)
			ep->early = atomic_load(&ep_bare_waiters) != 0;
	}
	if (!ep)
		return real_ctl(epfd, EPOLL_CTL_ADD, fd, ev);
	got = midst_enter(&ep->lock);
	r = ereg_new(ep, c, fd);
	err = r ? add_ereg(epfd, r, ev) : real_ctl(epfd, EPOLL_CTL_ADD, fd, ev);
	midst_leave(&ep->lock, got);
	if (!err)
		ep_wake_others(ep);
	return err;
}

static int ctl_mod(struct epset *ep, struct ereg *r, struct epoll_event *ev)
{
	enum lock_got got = midst_enter(&ep->lock);
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
	midst_leave(&ep->lock, got);
	if (err == 0)
		ep_wake_others(ep);
	return err;
}

static int ctl_del(struct epset *ep, struct ereg *r, struct epoll_event *ev)
{
	enum lock_got got = midst_enter(&ep->lock);
	int err = real_ctl(ep->epfd, EPOLL_CTL_DEL, r->fd, ev);

	if (err == 0) {
		conn_unlink(r->c, r);
		ereg_stop(r);
		ereg_free(r);
	}
	midst_leave(&ep->lock, got);
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
		count_unheard(ep);
		ep_arm(ep);
		ep_wake_others(ep);
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
	got = midst_enter(&conn_reg);
	ret = fd_is_conn(fd, c) ? ctl_locked(epfd, op, fd, c, ev) : real_ctl(epfd, op, fd, ev);
	midst_leave(&conn_reg, got);
	return ret;
}

/* ---- the instance's own life ---------------------------------------------------------- */

_Atomic uint32_t *ep_refs(struct epset *ep) { return &ep->refs; }

/* The kernel's instance goes by the number of one of its fds, and another's when that one is closed. Who
 * sleeps in it holds it without any: then nothing can be told to the kernel, and need not be.
 */
void ep_fd_copied(struct epset *ep, int to)
{
	enum lock_got reg = midst_enter(&conn_reg);

	if (ep->epfd < 0)
		ep->epfd = to;
	midst_leave(&conn_reg, reg);
}

void ep_fd_closed(struct epset *ep, int fd)
{
	enum lock_got reg = midst_enter(&conn_reg);

	if (ep->epfd == fd)
		ep->epfd = atomic_load(&ep->refs) > 1 ? fd_of((uintptr_t)ep + TAG_EPOLL) : -1;
	midst_leave(&conn_reg, reg);
}

static void give_back_contexts(struct epset *ep)
{
	for (uint32_t i = 0; i < ep->regions; i++) {
		struct ep_region *er = &ep->region[i];

		if (er->ctx >= 0 && !ep->foreign)
			ctx_put(er->region, er->ctx);
		tmp_put(er->by_slot, TP_SLOTS * sizeof(*er->by_slot));
	}
	ep->regions = 0;
	count_unheard(ep);
}

void ep_end(struct epset *ep)
{
	enum lock_got reg, got;
	struct ereg *r;

	reg = midst_enter(&conn_reg);
	got = midst_enter(&ep->lock);
	while ((r = ep->all.all_next) != &ep->all) {
		if (r->c) {
			conn_unlink(r->c, r);
			ereg_stop(r);
		}
		ereg_free(r);
	}
	ep_drain(ep);
	give_back_contexts(ep);
	heart_stop(ep);
	midst_leave(&ep->lock, got);
	ep->next_free = free_epsets;
	free_epsets = ep;
	midst_leave(&conn_reg, reg);
}

void ep_fd_moved(int from, int to)
{
	char *base = epsets.base;

	for (uint32_t i = 0; base && i < epsets.used; i++) {
		struct epset *ep = (struct epset *)(base + (size_t)i * epsets.size);

		if (ep->heart == from)
			ep->heart = to;
	}
}

void ep_after_fork(void)
{
	char *base = epsets.base;

	for (uint32_t i = 0; base && i < epsets.used; i++) {
		struct epset *ep = (struct epset *)(base + (size_t)i * epsets.size);

		ep->foreign = true;
		heart_stop(ep);
		atomic_store(&ep->lock, 0);
		atomic_store(&ep->sleepers, ep->nested);
		count_unheard(ep);
	}
}

/* The child's first use of an instance that it shares with its parent. */
void ep_renew(struct epset *ep)
{
	enum lock_got reg = midst_enter(&conn_reg), got = midst_enter(&ep->lock);

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
	count_unheard(ep);
	if (ep->nested)
		ep_sleep_words(ep, TP_ASLEEP);
	midst_leave(&ep->lock, got);
	midst_leave(&conn_reg, reg);
}
