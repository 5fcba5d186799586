/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fdtable.c - what we know of each fd.
 *
 * One word an fd: 0, or the address of a conn or an epset with a tag in the low bits, or
 * TAG_HIDDEN for the few fds of our own (control sockets, eventfds), which live at high numbers.
 * Readers need one load and no lock. dup'ed fds have the same word; conn.refs counts them.
 *
 * A conn goes with its last fd: the table entry first, then, under the slot's two locks,
 * the conn itself. So whoever took one of these locks and then finds fd_is_conn() still true may
 * use the conn until it drops the lock. Who looks without a lock (to sleep, to poll) may see that of
 * another connection, and looks again. Who must be sure of it for longer, to copy an fd or to sleep in
 * an epoll instance, holds it (fd_hold): what is held counts as one more fd.
 *
 * close() of a hidden fd says EBADF, as if it did not exist; dup2() onto one moves it
 * away first. A child between vfork and exec shares this memory but not the fds: it
 * never writes here.
 */
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim.h"

#define MAX_CONNS	(1U << 20)
#define FD_LOWEST	64		/* below are those that programs use by number */
#define HIDE_ROOM	256U		/* ours live among the last so many fds of the limit */

_Atomic uintptr_t fd_table[FD_MAX];
lock_t conn_reg;
pid_t shim_pid;

static struct pool conns = { .size = (sizeof(struct conn) + 63) & ~63U, .max = MAX_CONNS };
static struct conn *free_conns;
static lock_t free_lock;

/* Where entries may stand, so that close_range need not look at a million words. */
static _Atomic uint32_t high;			/* program's fds: all below */
static _Atomic uint32_t hidden_low = FD_MAX, hidden_high;

bool in_vfork_child(void)
{
	return getpid() != shim_pid;
}

struct conn *conn_new(enum conn_mode mode)
{
	enum lock_got got = lock_take(&free_lock);
	struct conn *c = NULL;

	if (got == LOCK_TAKEN && free_conns) {
		c = free_conns;
		free_conns = c->next_free;
	}
	lock_drop(&free_lock, got);
	if (!c)
		c = pool_grow(&conns);
	if (!c)
		return NULL;

	c->claimed = false;
	c->rx_busy = c->tx_busy = c->err_taken = false;
	c->rx_told = 0;
	c->nonblock = c->shut_rd = c->shut_wr = false;
	c->starved = 0;
	c->notsent_lowat = 0;
	c->reads = c->writes = c->tries = c->shortness = 0;
	c->listener = NULL;
	c->eregs = NULL;
	c->cookie = 0;
	c->listen_pid = 0;
	c->epoch = atomic_load_explicit(&fork_epoch, memory_order_relaxed);
	atomic_store_explicit(&c->refs, 0, memory_order_relaxed);
	atomic_store_explicit(&c->mode, mode, memory_order_release);
	return c;
}

void conn_free(struct conn *c)
{
	enum lock_got got;

	atomic_store_explicit(&c->mode, CONN_FREE, memory_order_release);
	got = lock_take(&free_lock);
	if (got != LOCK_TAKEN)
		return;				/* lost to the pool, not worth waiting for */
	c->next_free = free_conns;
	free_conns = c;
	lock_drop(&free_lock, got);
}

/* Another thread may have been inside; the list is whole at each moment. */
void fd_after_fork(void)
{
	atomic_store_explicit(&free_lock, 0, memory_order_relaxed);
}

static void raise_to(_Atomic uint32_t *mark, uint32_t to)
{
	uint32_t now = atomic_load_explicit(mark, memory_order_relaxed);

	while (now < to && !atomic_compare_exchange_weak(mark, &now, to))
		;
}

static void lower_to(_Atomic uint32_t *mark, uint32_t to)
{
	uint32_t now = atomic_load_explicit(mark, memory_order_relaxed);

	while (now > to && !atomic_compare_exchange_weak(mark, &now, to))
		;
}

static void set_word(int fd, uintptr_t word)
{
	raise_to(&high, (uint32_t)fd + 1);
	atomic_store_explicit(&fd_table[fd], word, memory_order_release);
}

static void set_hidden(int fd)
{
	lower_to(&hidden_low, (uint32_t)fd);
	raise_to(&hidden_high, (uint32_t)fd + 1);
	atomic_store_explicit(&fd_table[fd], TAG_HIDDEN, memory_order_release);
}

bool fd_set_conn(int fd, struct conn *c)
{
	if ((unsigned int)fd >= FD_MAX)
		return false;
	fd_forget(fd);				/* what was closed behind our back */
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	set_word(fd, (uintptr_t)c + TAG_CONN);
	return true;
}

void fd_set_bare_epoll(int fd) { set_word(fd, TAG_BARE_EPOLL); }

bool fd_set_epset(int fd, struct epset *ep)
{
	if ((unsigned int)fd >= FD_MAX)
		return false;
	fd_forget(fd);
	set_word(fd, (uintptr_t)ep + TAG_EPOLL);
	return true;
}

/* Wait until nobody is inside with one of the locks; nested: it is us, below. */
static void conn_last_user_out(struct conn *c)
{
	struct tp_slot *s = c->slot;
	enum lock_got rx, tx;

	if (!c->claimed)
		return;
	rx = lock_take(&s->rx_lock);
	tx = lock_take(&s->tx_lock);
	lock_drop(&s->tx_lock, tx);
	lock_drop(&s->rx_lock, rx);
}

static void conn_end(struct conn *c)
{
	young_ended(c);
	ep_conn_closed(c);
	if (c->listen_pid && c->listen_pid == shim_pid &&
	    c->epoch == atomic_load_explicit(&fork_epoch, memory_order_relaxed))
		ctl_listen(TP_CTL_UNLISTEN, &c->key, c->cookie);
	conn_last_user_out(c);
	if (c->claimed)
		wake_sleepers(c);
	conn_free(c);
}

/* ---- ends in signal handlers ------------------------------------------------------------ */

#define ENDED_MAX	64U		/* more are lost, until the process ends */

__thread uint32_t midst __attribute__((tls_model("initial-exec")));
_Atomic bool fd_any_ended;
static _Atomic uintptr_t ended[ENDED_MAX];

static void end(uintptr_t w)
{
	if ((w & TAG_MASK) == TAG_CONN)
		conn_end((struct conn *)(w - TAG_CONN));
	else
		ep_end((struct epset *)(w - TAG_EPOLL));
}

static void end_later(uintptr_t w)
{
	for (uint32_t i = 0; i < ENDED_MAX; i++) {
		uintptr_t none = 0;

		if (atomic_compare_exchange_strong(&ended[i], &none, w)) {
			atomic_store(&fd_any_ended, true);
			return;
		}
	}
}

void fd_end_all(void)
{
	int saved = errno;

	atomic_store(&fd_any_ended, false);
	for (uint32_t i = 0; i < ENDED_MAX; i++) {
		uintptr_t w = atomic_exchange(&ended[i], 0);

		if (w)
			end(w);
	}
	errno = saved;
}

/* ---- who holds what --------------------------------------------------------------------- */

/* NULL: not of a kind that is counted. */
static _Atomic uint32_t *refs_of(uintptr_t w)
{
	switch (w & TAG_MASK) {
	case TAG_CONN:
		return &((struct conn *)(w - TAG_CONN))->refs;
	case TAG_EPOLL:
		return ep_refs((struct epset *)(w - TAG_EPOLL));
	default:
		return NULL;
	}
}

static void unref(uintptr_t w)
{
	_Atomic uint32_t *refs = refs_of(w);

	if (!refs || atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) != 1)
		return;
	if (unlikely(midst))
		end_later(w);
	else
		end(w);
}

/* One that has no fd any more is not to be had. */
static bool ref(_Atomic uint32_t *refs)
{
	uint32_t n = atomic_load_explicit(refs, memory_order_relaxed);

	while (n && !atomic_compare_exchange_weak(refs, &n, n + 1))
		;
	return n;
}

/* Between the look and the count it may have been closed, and its memory be another's. */
uintptr_t fd_hold(int fd)
{
	uintptr_t w;

	do {
		w = fd_word(fd);
		if (!refs_of(w))
			return w;
		if (!ref(refs_of(w)))
			continue;
		if (fd_word(fd) == w)
			return w;
		unref(w);
	} while (true);
}

void fd_let_go(uintptr_t held) { unref(held); }

int fd_of(uintptr_t word)
{
	for (unsigned int fd = 0; fd < high; fd++)
		if (fd_word((int)fd) == word)
			return (int)fd;
	return -1;
}

void fd_forget(int fd)
{
	uintptr_t w = fd_word(fd);

	if (!w || (w & TAG_MASK) == TAG_HIDDEN)
		return;
	w = atomic_exchange_explicit(&fd_table[fd], 0, memory_order_acq_rel);
	if ((w & TAG_MASK) == TAG_EPOLL)
		ep_fd_closed((struct epset *)(w - TAG_EPOLL), fd);
	unref(w);
}

/* @from was closed while it was copied. Is the copy one of the connection all the same? */
static bool is_copy_of(int to, uintptr_t held)
{
	struct conn *c = (struct conn *)(held - TAG_CONN);

	return (held & TAG_MASK) == TAG_CONN && c->cookie && c->cookie == cookie_of(to);
}

void fd_copied(int from, int to, uintptr_t held)
{
	uintptr_t tag = held & TAG_MASK;
	bool same = fd_word(from) == held || is_copy_of(to, held);

	if ((unsigned int)to >= FD_MAX) {
		unref(held);
		return;
	}
	fd_forget(to);
	if (!same || !tag || tag == TAG_HIDDEN) {
		unref(held);
		return;
	}
	set_word(to, held);
	if (tag == TAG_EPOLL)
		ep_fd_copied((struct epset *)(held - TAG_EPOLL), to);
}

static unsigned int hide_from(void)
{
	struct rlimit lim;
	unsigned int top = 1024;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0)
		top = lim.rlim_cur < FD_MAX ? (unsigned int)lim.rlim_cur : FD_MAX;
	return top > 2 * HIDE_ROOM ? top - HIDE_ROOM : top / 2;
}

/* A copy at a high number, or, where the program has all of these, at any. */
static int copy_away(int fd)
{
	int to = libc()->fcntl(fd, F_DUPFD_CLOEXEC, hide_from());

	return to < 0 ? libc()->fcntl(fd, F_DUPFD_CLOEXEC, FD_LOWEST) : to;
}

int fd_hide(int fd)
{
	int to = copy_away(fd);

	libc()->close(fd);
	if (to < 0)
		return -EMFILE;
	if ((unsigned int)to >= FD_MAX) {
		libc()->close(to);
		return -EMFILE;
	}
	fd_forget(to);
	set_hidden(to);
	return to;
}

void fd_hidden_close(int fd)
{
	if (fd < 0)
		return;
	atomic_store_explicit(&fd_table[fd], 0, memory_order_release);
	libc()->close(fd);
}

/* Copy the hidden @fd to another number and tell its owner; the caller then takes @fd. */
bool fd_hidden_move(int fd)
{
	int to = copy_away(fd);

	if (to < 0 || (unsigned int)to >= FD_MAX)
		return false;
	fd_forget(to);
	set_hidden(to);
	ctl_fd_moved(fd, to);
	region_fd_moved(fd, to);
	ep_fd_moved(fd, to);
	atomic_store_explicit(&fd_table[fd], 0, memory_order_release);
	return true;
}

static int range(unsigned int first, unsigned int last, unsigned int flags)
{
	if (libc()->close_range)
		return libc()->close_range(first, last, (int)flags);
	return (int)syscall(SYS_close_range, first, last, flags);
}

/* The next fd from @fd on that may have an entry, or @end. */
static unsigned int next_entry(unsigned int fd, unsigned int end)
{
	unsigned int low = hidden_low, top = high > hidden_high ? high : hidden_high;

	if (fd >= high && fd < low)
		fd = low;
	for (; fd < end && fd < top; fd++)
		if (fd_word((int)fd))
			return fd;
	return end;
}

int fd_next_conn(int fd)
{
	for (; (unsigned int)fd < high; fd++)
		if ((fd_word(fd) & TAG_MASK) == TAG_CONN)
			return fd;
	return -1;
}

/* close_range around the hidden ones. Errors are the arguments', so the first call shows them. */
int fd_close_range(unsigned int first, unsigned int last, unsigned int flags)
{
	unsigned int end = last < FD_MAX ? last + 1 : FD_MAX, from = first;
	bool ours = !in_vfork_child() && !(flags & CLOSE_RANGE_CLOEXEC);
	int err = 0;

	if (first > last || flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))
		return range(first, last, flags);
	for (unsigned int fd = first; (fd = next_entry(fd, end)) < end; fd++) {
		if (fd_word((int)fd) != TAG_HIDDEN) {
			if (ours)
				fd_forget((int)fd);
			continue;
		}
		if (fd > from)
			err |= range(from, fd - 1, flags);
		from = fd + 1;
	}
	if (from <= last)
		err |= range(from, last, flags);
	return err;
}
