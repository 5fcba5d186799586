/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wait.c - poll and select over sets in which some fds are ours.
 *
 * For one of ours the kernel is asked for nothing (it reports ERR and HUP all the same), and
 * readiness comes from its slot. To sleep, the thread borrows a context in each region that
 * is concerned, has itself told of these slots, and puts the contexts' eventfds into the set it
 * passes to the kernel:
 *
 *	look; nothing: notify bits, yields (yield.c), sleep word, queues emptied, full fence, look
 *	again, ppoll, undo
 *
 * An epoll instance with fds of ours in the set is armed like a sleeper on it: news then makes the
 * kernel's instance readable. All of it is undone, too, when the thread is cancelled in ppoll, or a signal
 * handler jumps out of it.
 *
 * select is poll in another dress: its sets become pollfds and come back as sets.
 */
#include <sched.h>

#include "shim.h"

#define ON_STACK	64		/* pollfds; more take pages of their own */
#define BLIND_NS	1000000U	/* no context to be had: look once a millisecond */
#define ARMED_MAX	32		/* instances in one set; of more, look so as well */

bool wait_any_ours(const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++)
		if (unlikely(fd_word(fds[i].fd)) && (fd_waits(fds[i].fd) || ep_may_hold_ours(fds[i].fd)))
			return true;
	return false;
}

/* A borrowed context in each region of the set, and the instances in it. */
struct borrowed {
	const struct pollfd *fds;
	nfds_t nfds;
	struct region *region[MAX_REGIONS];
	int ctx[MAX_REGIONS];
	uint32_t n;
	uintptr_t armed[ARMED_MAX];	/* held */
	uint32_t arms;
	bool blind;			/* a region had none for us */
};

static int ctx_of(const struct borrowed *b, const struct region *r)
{
	for (uint32_t i = 0; i < b->n; i++)
		if (b->region[i] == r)
			return b->ctx[i];
	return -1;
}

static int borrow(struct borrowed *b, struct conn *c)
{
	int ctx = ctx_of(b, c->region);

	if (ctx >= 0 || b->n == MAX_REGIONS)
		return ctx;
	ctx = ctx_get(c);
	if (ctx < 0)
		return ctx;
	b->region[b->n] = c->region;
	b->ctx[b->n++] = ctx;
	return ctx;
}

/* Whoever closes it meanwhile leaves us what we armed. */
static void arm(struct borrowed *b, int fd)
{
	uintptr_t held = b->arms < ARMED_MAX ? fd_hold(fd) : 0;

	if ((held & TAG_MASK) != TAG_EPOLL) {
		fd_let_go(held);
		b->blind = true;
		return;
	}
	b->armed[b->arms++] = held;
	ep_arm((struct epset *)(held - TAG_EPOLL));
	b->blind |= ep_is_blind((struct epset *)(held - TAG_EPOLL));
}

static void set_notify(struct borrowed *b)
{
	for (nfds_t i = 0; i < b->nfds; i++) {
		struct conn *c = fd_ours(b->fds[i].fd);
		int ctx = c ? borrow(b, c) : 0;

		if (ctx < 0)
			b->blind = true;
		else if (c)
			atomic_fetch_or(&c->slot->notify, 1ULL << ctx);
		else if (fd_get(b->fds[i].fd, TAG_EPOLL))
			arm(b, b->fds[i].fd);
	}
	b->blind |= ep_any_unheard();
}

/* Entries are only hints here: empty the queues so that the next user finds none of ours. */
static void drain(struct region *r, uint32_t index)
{
	struct tp_ctx *ctx = region_ctx(r, index);

	for (uint32_t t = 0; t < r->geo.threads; t++) {
		struct tp_ctx_queue *q = &ctx->queue[t];
		uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
		uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);

		for (; tail != head; tail++) {
			uint32_t s = atomic_load_explicit(&q->entry[tail & (TP_SLOTS - 1)],
							  memory_order_relaxed);

			if (s < r->geo.slots)
				atomic_fetch_and(&tp_slot_at(r->base, &r->geo, s)->pending,
						 ~(1ULL << index));
		}
		atomic_store_explicit(&q->tail, tail, memory_order_release);
	}
	atomic_store_explicit(&ctx->cpu, (uint32_t)sched_getcpu(), memory_order_relaxed);
}

/* What came while we were awake stands in the queues, and nothing is told of a slot that stands there:
 * they must be empty when we look for the last time.
 */
static void say_asleep(struct borrowed *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		atomic_store(&region_ctx(b->region[i], (uint32_t)b->ctx[i])->sleep, TP_ASLEEP);
		drain(b->region[i], (uint32_t)b->ctx[i]);
	}
	full_fence();
}

static void give_back(void *arg)
{
	struct borrowed *b = arg;

	for (nfds_t i = 0; i < b->nfds; i++) {
		struct conn *c = fd_conn(b->fds[i].fd);
		int ctx = c && c->claimed ? ctx_of(b, c->region) : -1;

		if (ctx >= 0)
			atomic_fetch_and(&c->slot->notify, ~(1ULL << ctx));
	}
	for (uint32_t i = 0; i < b->arms; i++) {
		ep_disarm((struct epset *)(b->armed[i] - TAG_EPOLL));
		fd_let_go(b->armed[i]);
	}
	for (uint32_t i = 0; i < b->n; i++) {
		atomic_store(&region_ctx(b->region[i], (uint32_t)b->ctx[i])->sleep, TP_AWAKE);
		drain(b->region[i], (uint32_t)b->ctx[i]);
		ctx_put(b->region[i], b->ctx[i]);
	}
}

/* The kernel's part of the set, and for ours what stands now. Returns how many are ready. */
static int look(struct pollfd *fds, struct pollfd *kernel, nfds_t n)
{
	int ready = 0;

	for (nfds_t i = 0; i < n; i++) {
		struct conn *c = fd_ours(fds[i].fd);
		struct epset *ep = c ? NULL : fd_get(fds[i].fd, TAG_EPOLL);
		uint32_t lv = c ? io_levels(c) : LEVEL_KERNEL, want;

		if (c && lv == LEVEL_KERNEL)
			conn_went_linux(c);
		if (c && c->err_taken)
			io_forget_real_error(fds[i].fd, c);
		if (ep && (ep_ready(ep) || (ep_hush(ep) && ep_ready(ep))))
			lv |= EPOLLIN | EPOLLRDNORM;
		kernel[i] = fds[i];
		if (!(lv & LEVEL_KERNEL))
			kernel[i].events = 0;
		want = ((uint32_t)(unsigned short)fds[i].events | POLLERR | POLLHUP) & 0xffff;
		fds[i].revents = (short)(lv & want);
		ready += fds[i].revents != 0;
	}
	return ready;
}

/* The bits of poll and epoll are the same numbers. */
static int merge(struct pollfd *fds, const struct pollfd *kernel, nfds_t n)
{
	int ready = 0;

	for (nfds_t i = 0; i < n; i++) {
		fds[i].revents |= kernel[i].revents;
		ready += fds[i].revents != 0;
	}
	return ready;
}

static int kernel_poll(struct pollfd *fds, nfds_t n, uint64_t deadline, const sigset_t *mask)
{
	struct timespec ts = { 0 };
	uint64_t now;
	int ret;

	if (deadline != FOREVER && deadline) {
		now = now_ns();
		if (deadline > now)
			ts = (struct timespec){ (time_t)((deadline - now) / NSEC),
						(long)((deadline - now) % NSEC) };
	}
	if (unlikely(confined && !mask))
		ret = libc()->poll(fds, n, deadline == FOREVER ? -1 : (int)(ts.tv_sec * 1000 +
				   (ts.tv_nsec + 999999) / 1000000));
	else
		ret = libc()->ppoll(fds, n, deadline == FOREVER ? NULL : &ts, mask);
	return ret < 0 ? -errno : ret;
}

/* Does all that may be said of the set stand in slots? Not where another process may have shut a socket
 * down, which the kernel alone tells.
 */
static bool is_ours_alone(const struct pollfd *kernel, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++) {
		struct conn *c = kernel[i].events ? NULL : fd_conn(kernel[i].fd);

		if (!c || c->epoch != atomic_load_explicit(&fork_epoch, memory_order_relaxed) ||
		    atomic_load_explicit(&c->mode, memory_order_relaxed) != CONN_OURS)
			return false;
	}
	return n > 0;
}

static int ask_kernel(struct pollfd *fds, struct pollfd *kernel, nfds_t n, const sigset_t *mask)
{
	int ret = kernel_poll(kernel, n, 0, mask);

	return ret < 0 ? ret : merge(fds, kernel, n);
}

/* One look; the kernel is asked without waiting. Not of a set in which nothing is the kernel's, if something
 * is ready there, or we are about to sleep in the kernel (@sleeps): a program that polls one connection
 * for each request would ask it three times.
 */
static int look_all(struct pollfd *fds, struct pollfd *kernel, nfds_t n, bool sleeps)
{
	int ret = look(fds, kernel, n);

	if ((ret || sleeps) && is_ours_alone(kernel, n))
		return ret;
	return ask_kernel(fds, kernel, n, NULL);
}

/* What a spinning look needs. */
struct spin_set {
	struct pollfd *fds, *kernel;
	nfds_t n;
};

static bool set_ready(void *arg)
{
	struct spin_set *s = arg;

	return look(s->fds, s->kernel, s->n) > 0;
}

/* Threads of several daemons know their own CPU only; see yield_for_news() in epoll.c. */
static bool yield_for_news(struct borrowed *b, struct spin_set *set, uint64_t deadline)
{
	struct tp_ctx *ctx;
	struct yielding y;
	bool got;

	if (b->blind || b->n != 1 || !yield_begin(b->region[0], deadline, &y))
		return false;
	ctx = region_ctx(b->region[0], (uint32_t)b->ctx[0]);
	atomic_store_explicit(&ctx->cpu, y.word >> 2, memory_order_relaxed);
	yield_say(&y, &ctx->sleep);
	got = yield_until(&y, set_ready, set);
	yield_unsay(&y, &ctx->sleep);
	return got;
}

/* All that wakes us stands: sleep, unless there is something now. */
static int sleep_with(struct borrowed *b, struct spin_set *set, uint64_t deadline, const sigset_t *mask)
{
	struct pollfd *kernel = set->kernel;
	uint64_t begin = now_ns(), until = no_later(deadline, regions_due());
	nfds_t n = set->n;
	int ret;

	if (yield_for_news(b, set, deadline))
		return look_all(set->fds, kernel, n, false);
	say_asleep(b);
	if (look(set->fds, kernel, n) > 0)
		return look_all(set->fds, kernel, n, false);
	for (uint32_t i = 0; i < b->n; i++)
		kernel[n + i] = (struct pollfd){ .fd = b->region[i]->ctx_fd[b->ctx[i]],
						 .events = POLLIN };
	if (b->blind)
		until = no_later(until, begin + BLIND_NS);
	kick_flush();
	ret = kernel_poll(kernel, n + b->n, until, mask);
	if (unlikely(ret == -EINVAL && b->n))	/* a set as long as it may be, without the contexts */
		ret = kernel_poll(kernel, n, no_later(until, begin + BLIND_NS), mask);
	if (ret == 0) {
		regions_listen();
		ep_ring_unheard();
	}
	for (uint32_t i = 0; i < b->n; i++) {
		uint64_t count;

		if (kernel[n + i].revents)
			(void)!libc()->read(kernel[n + i].fd, &count, sizeof(count));
	}
	spin_missed(now_ns() - begin);
	return ret < 0 ? ret : look_all(set->fds, kernel, n, false);
}

static int sleep_in_kernel(struct spin_set *set, uint64_t deadline, const sigset_t *mask)
{
	struct borrowed b = { .fds = set->fds, .nfds = set->n };
	undo_t undo;
	int ret;

	undo_push(&undo, give_back, &b);
	set_notify(&b);
	ret = sleep_with(&b, set, deadline, mask);
	undo_run(&undo);
	return ret;
}

static int poll_with(struct pollfd *fds, struct pollfd *kernel, nfds_t n, uint64_t deadline,
		     const sigset_t *mask)
{
	struct spin_set spin = { fds, kernel, n };
	int ret = look_all(fds, kernel, n, deadline != 0);

	kick_flush();
	if (!ret && deadline == 0 && mask)
		return ask_kernel(fds, kernel, n, mask);	/* a signal may be let in */
	if (ret || deadline == 0)
		return ret;
	if (region_count && spin_for(&regions[0], set_ready, &spin))
		return look_all(fds, kernel, n, false);
	for (;;) {
		ret = sleep_in_kernel(&spin, deadline, mask);
		if (ret || (deadline != FOREVER && now_ns() >= deadline))
			return ret;
	}
}

/* Pages for one call, given back however it ends. */
struct pages {
	void *mem;
	size_t size;
};

static void pages_free(void *arg)
{
	struct pages *p = arg;

	tmp_put(p->mem, p->size);
}

static int poll_many(struct pollfd *fds, nfds_t n, uint64_t deadline, const sigset_t *mask)
{
	struct pages p = { .size = (n + MAX_REGIONS) * sizeof(*fds) };
	undo_t undo;
	int ret;

	p.mem = tmp_get(p.size);
	if (!p.mem)
		return -ENOMEM;
	undo_push(&undo, pages_free, &p);
	ret = poll_with(fds, p.mem, n, deadline, mask);
	undo_run(&undo);
	return ret;
}

int wait_poll(struct pollfd *fds, nfds_t n, uint64_t deadline, const sigset_t *mask)
{
	struct pollfd kernel[ON_STACK + MAX_REGIONS];
	int saved = errno, ret;

	ret = n > ON_STACK ? poll_many(fds, n, deadline, mask) :
			     poll_with(fds, kernel, n, deadline, mask);
	errno = saved;
	return ret;
}

/* ---- select --------------------------------------------------------------------------- */

#define SEL_IN	(POLLIN | POLLRDNORM | POLLRDBAND)
#define SEL_OUT	(POLLOUT | POLLWRNORM | POLLWRBAND)

/* Programs pass sets longer than fd_set, so: bits in words, as the kernel sees them. */
static bool in_set(const fd_set *s, int fd)
{
	return s && ((const unsigned long *)s)[fd / (8 * (int)sizeof(long))] >>
		    (fd % (8 * (int)sizeof(long))) & 1;
}

static void set_bit(fd_set *s, int fd)
{
	((unsigned long *)s)[fd / (8 * (int)sizeof(long))] |=
		1UL << (fd % (8 * (int)sizeof(long)));
}

static void clear_set(fd_set *s, int n)
{
	if (s)
		memset(s, 0, ((size_t)n + 8 * sizeof(long) - 1) / (8 * sizeof(long)) * sizeof(long));
}

bool wait_select_ours(int n, const fd_set *r, const fd_set *w, const fd_set *x)
{
	for (int fd = 0; fd < n; fd++)
		if (unlikely(fd_word(fd)) &&
		    (in_set(r, fd) || in_set(w, fd) || in_set(x, fd)) &&
		    (fd_waits(fd) || ep_may_hold_ours(fd)))
			return true;
	return false;
}

static nfds_t to_pollfds(struct pollfd *p, int n, const fd_set *r, const fd_set *w,
			 const fd_set *x)
{
	nfds_t used = 0;

	for (int fd = 0; fd < n; fd++) {
		short events = (short)((in_set(r, fd) ? SEL_IN : 0) |
				       (in_set(w, fd) ? SEL_OUT : 0) |
				       (in_set(x, fd) ? POLLPRI : 0));

		if (events)
			p[used++] = (struct pollfd){ .fd = fd, .events = events };
	}
	return used;
}

static int from_pollfds(const struct pollfd *p, nfds_t used, int n, fd_set *r, fd_set *w, fd_set *x)
{
	int bits = 0;

	for (nfds_t i = 0; i < used; i++)
		if (p[i].revents & POLLNVAL)
			return -EBADF;
	clear_set(r, n);
	clear_set(w, n);
	clear_set(x, n);
	for (nfds_t i = 0; i < used; i++) {
		if (p[i].events & POLLIN && p[i].revents & (SEL_IN | POLLHUP | POLLERR)) {
			set_bit(r, p[i].fd);
			bits++;
		}
		if (p[i].events & POLLOUT && p[i].revents & (SEL_OUT | POLLERR)) {
			set_bit(w, p[i].fd);
			bits++;
		}
		if (p[i].events & POLLPRI && p[i].revents & POLLPRI) {
			set_bit(x, p[i].fd);
			bits++;
		}
	}
	return bits;
}

/* poll wakes for HUP on an fd that select would not look at for it: then the set is empty. */
int wait_select(int n, fd_set *r, fd_set *w, fd_set *x, uint64_t deadline, const sigset_t *mask)
{
	struct pages p = { .size = (size_t)n * sizeof(struct pollfd) };
	undo_t undo;
	nfds_t used;
	int ret;

	p.mem = tmp_get(p.size);
	if (!p.mem)
		return -ENOMEM;
	undo_push(&undo, pages_free, &p);
	used = to_pollfds(p.mem, n, r, w, x);
	ret = wait_poll(p.mem, used, deadline, mask);
	if (ret >= 0)
		ret = from_pollfds(p.mem, used, n, r, w, x);
	undo_run(&undo);
	return ret;
}
