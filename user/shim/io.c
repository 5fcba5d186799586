/* SPDX-License-Identifier: BSD-2-Clause
 *
 * io.c - bytes between the program and the pipes of a slot.
 *
 * Reading, in the stream's order: the bytes that lay in Linux's queue at the claim
 * (slot.linux_rx, by the real recv), then the rx pipe up to rx_head, then what comes after
 * rx_head: EOF, an error, or the real fd once the slot's state is LINUX. The flags and the state
 * are loaded before rx_head, so whoever sees EOF or LINUX also sees the last rx_head.
 *
 * Writing: into the tx pipe while the state is FAST. After publishing tx_head and a full fence
 * the state is looked at again: FAST means that the fast thread will take these bytes. Else we
 * wait for LINUX, and what stands in [tx_tail, tx_head) then goes to the real fd (tx_settle).
 *
 * A step of either kind holds the slot's rx_lock or tx_lock and never sleeps. A signal
 * handler that interrupts a step of its own thread finds the lock nested. Its bytes then go
 * behind those of the interrupted step (rx_reserved, tx_reserved), which publishes both; so
 * the order of bytes is as if the interrupted call had been the first.
 *
 * What the fast thread writes is believed no further than memory safety needs: pipe.h keeps
 * each offset inside the ring, and a head that is further from the tail than the ring is
 * long means a broken daemon: the connection is reset.
 */
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/single_threaded.h>

#include "shim.h"

#define RX_REAL		(-4095)		/* step's verdict: the real fd has the rest */
#define RX_TAKEN	(-4094)		/* ... look again: these bytes are Linux's by now */
#define RW_MAX		0x7ffff000U	/* Linux moves no more in one call */
#define RX_TELL	16384U		/* bytes read, at most, before the fast thread hears of it */
#define LEAVE_MOMENT_NS	5000000		/* a quiet flow goes back to Linux in less */
#define TX_FLOOR	65536U		/* bytes that a pipe may always hold (if tx_max allows) */

/* A place in the caller's vector. */
struct iter {
	const struct iovec *iov;
	size_t cnt, off;
	size_t left;
	bool bad;			/* some piece is at no address */
};

/* 0 or -errno, for what Linux refuses before it looks at the connection. */
static int iter_make(struct iter *it, const struct iovec *iov, size_t cnt)
{
	*it = (struct iter){ .iov = iov, .cnt = cnt };
	if (unlikely(cnt && BAD_PTR(iov)))
		return -EFAULT;
	for (size_t i = 0; i < cnt; i++) {
		size_t n = iov[i].iov_len;

		if (unlikely((ssize_t)n < 0))
			return -EINVAL;
		it->bad |= n && BAD_PTR(iov[i].iov_base);
		it->left += n < RW_MAX - it->left ? n : RW_MAX - it->left;
	}
	return 0;
}

/* The next piece, at most @max bytes; moves on. */
static struct iovec iter_next(struct iter *it, size_t max)
{
	struct iovec v;

	while (it->off == it->iov->iov_len) {
		it->iov++;
		it->off = 0;
	}
	v.iov_base = (char *)it->iov->iov_base + it->off;
	v.iov_len = it->iov->iov_len - it->off;
	if (v.iov_len > max)
		v.iov_len = max;
	it->off += v.iov_len;
	it->left -= v.iov_len;
	return v;
}

/* Each call is a point of cancellation, whether it waits or not. */
static void let_cancel(void)
{
	if (!__libc_single_threaded)
		pthread_testcancel();
}

/* ---- reading -------------------------------------------------------------------------- */

static uint32_t linux_left(const struct conn *c)
{
	return c->slot->linux_rx -
	       atomic_load_explicit(&c->slot->linux_read, memory_order_relaxed);
}

static void linux_took(struct conn *c, uint32_t n)
{
	atomic_fetch_add_explicit(&c->slot->linux_read, n, memory_order_relaxed);
}

/* A program that confined itself (confine.c) may be allowed no more than read and write. */
static ssize_t real_recv(int fd, struct iovec v, int flags)
{
	return unlikely(confined) && !(flags & (MSG_PEEK | MSG_TRUNC | MSG_WAITALL)) ?
	       libc()->read(fd, v.iov_base, v.iov_len) :
	       libc()->recv(fd, v.iov_base, v.iov_len, flags);
}

/* From Linux's own queue, never beyond the bytes that are there from before the switch. */
static ssize_t step_linux(int fd, struct conn *c, struct iter *it, int flags)
{
	struct iter save = *it;
	struct iovec v = iter_next(it, linux_left(c));
	ssize_t n = real_recv(fd, v, (flags & (MSG_PEEK | MSG_TRUNC)) | MSG_DONTWAIT | TP_MSG_SHIM);

	*it = save;
	if (n <= 0) {
		linux_took(c, linux_left(c));	/* somebody else took them: go on with the pipe */
		return 0;
	}
	if (!(flags & MSG_PEEK))
		linux_took(c, (uint32_t)n);
	iter_next(it, (size_t)n);
	return n;
}

static void copy_once(const struct conn *c, uint64_t geom, uint64_t pos, struct iter *it,
		      uint32_t n, bool discard)
{
	while (n) {
		struct iovec v = iter_next(it, n);

		if (!discard)
			pipe_read(&c->rx, geom, pos, v.iov_base, (uint32_t)v.iov_len);
		pos += v.iov_len;
		n -= (uint32_t)v.iov_len;
	}
}

/* The ring may grow under us, and then what had wrapped is overwritten: pipe.h (H). */
static void copy_out(const struct conn *c, uint64_t geom, uint64_t pos, struct iter *it,
		     uint32_t n, bool discard)
{
	struct iter begin = *it;
	uint64_t now = geom;

	do {
		geom = now;
		*it = begin;
		copy_once(c, geom, pos, it, n, discard);
		atomic_thread_fence(memory_order_acquire);
		now = atomic_load_explicit(&c->slot->rx_geom, memory_order_relaxed);
	} while (unlikely(now != geom && pipe_geom_ok(now)));
}

/* Publish what this step and handlers inside it have read, from @from on. A full fence. False: taspilotd took
 * us for dead, and these bytes for Linux (slot_take_unread).
 */
static bool rx_publish(struct conn *c, uint64_t from)
{
	bool taken = false;
	uint64_t to;

	do {
		to = c->rx_reserved;
		taken |= !atomic_compare_exchange_strong(&c->slot->rx_tail, &from, to) && c->rx_busy;
		from = to;
		c->rx_busy = false;
		atomic_signal_fence(memory_order_seq_cst);
	} while (unlikely(c->rx_reserved != to));	/* a handler, which perhaps published itself */
	return !taken;
}

/* The last byte before the peer's FIN was read: the fast thread waits for that (tcp_is_being_read). Either
 * it sees this tail, or we see its EOF.
 */
static bool rx_is_over(const struct tp_slot *s)
{
	return unlikely(atomic_load(&s->fast_flags) & TP_F_EOF) &&
	       atomic_load_explicit(&s->rx_head, memory_order_relaxed) ==
	       atomic_load_explicit(&s->rx_tail, memory_order_relaxed);
}

/* Should the fast thread hear of the room? Writes tell it too; this is for pure readers. What the peer
 * may send is at least what once lay in the ring, so half a ring is early enough.
 */
static bool rx_worth_a_kick(struct conn *c, uint64_t geom, uint64_t tail)
{
	uint32_t step = pipe_size(geom) / 2;

	if (step > RX_TELL)
		step = RX_TELL;
	if (step > c->slot->rx_max / 4)
		step = c->slot->rx_max / 4;
	if (tail - c->rx_told < step)
		return false;
	c->rx_told = tail;
	return true;
}

static ssize_t step_pipe(struct conn *c, struct iter *it, int flags, uint64_t head, bool nested,
			 bool *ret_kick)
{
	struct tp_slot *s = c->slot;
	struct iter begin = *it;
	uint64_t geom = atomic_load_explicit(&s->rx_geom, memory_order_relaxed);
	uint64_t tail = nested && c->rx_busy ? c->rx_reserved :
			atomic_load_explicit(&s->rx_tail, memory_order_relaxed);
	uint64_t have = head - tail;
	uint32_t n = have < it->left ? (uint32_t)have : (uint32_t)it->left;

	if (!pipe_geom_ok(geom) || have > pipe_size(geom))
		return -ECONNRESET;
	if (unlikely(it->bad) && !(flags & MSG_TRUNC))
		return -EFAULT;
	if (flags & MSG_PEEK) {
		copy_out(c, geom, tail, it, n, flags & MSG_TRUNC);
		return n;
	}
	c->rx_reserved = tail + n;
	if (nested && c->rx_busy) {
		copy_out(c, geom, tail, it, n, flags & MSG_TRUNC);
		return n;
	}
	c->rx_busy = true;
	atomic_signal_fence(memory_order_seq_cst);
	copy_out(c, geom, tail, it, n, flags & MSG_TRUNC);
	if (unlikely(!rx_publish(c, tail))) {
		*it = begin;
		return RX_TAKEN;
	}
	*ret_kick = rx_worth_a_kick(c, geom, tail + n) || rx_is_over(s);
	return n;
}

/* Reset, given up, or without a daemon for too long. */
static bool is_dead(const struct conn *c, uint32_t state, uint32_t flags)
{
	return flags & TP_F_ERR || state == TP_SLOT_DEAD ||
	       (unlikely(c->region->gone) && state != TP_SLOT_LINUX);
}

/* After the last byte: 0 for EOF, an error once, RX_REAL, or -EAGAIN. */
static ssize_t rx_end(struct conn *c, const struct seen *s)
{
	if (s->state == TP_SLOT_LINUX || s->state == TP_SLOT_FREE)
		return RX_REAL;		/* Linux knows of EOF, and may have been given bytes */
	if (s->flags & TP_F_EOF)
		return 0;
	if (is_dead(c, s->state, s->flags)) {
		if (c->err_taken)
			return 0;
		c->err_taken = true;
		return -io_slot_error(c);
	}
	if (c->shut_rd)
		return 0;
	return -EAGAIN;
}

static ssize_t rx_locked(int fd, struct conn *c, struct iter *it, int flags, bool nested,
			 struct seen *seen, bool *ret_kick)
{
	struct tp_slot *s = c->slot;

	seen->state = atomic_load_explicit(&s->state, memory_order_acquire);
	seen->flags = atomic_load_explicit(&s->fast_flags, memory_order_acquire);
	seen->pos = atomic_load_explicit(&s->rx_head, memory_order_acquire);

	if (unlikely(linux_left(c)) && it->left) {
		ssize_t n = step_linux(fd, c, it, flags);

		if (n > 0)
			return n;
	}
	if (seen->pos != (nested && c->rx_busy ? c->rx_reserved :
			  atomic_load_explicit(&s->rx_tail, memory_order_relaxed)) && it->left)
		return step_pipe(c, it, flags, seen->pos, nested, ret_kick);
	return rx_end(c, seen);
}

/* Bytes, 0 for EOF, -errno, -EAGAIN with *seen, or RX_REAL. */
static ssize_t rx_step(int fd, struct conn *c, struct iter *it, int flags, struct seen *seen)
{
	struct tp_slot *s = c->slot;
	struct region *r = c->region;
	enum lock_got got;
	bool tell = false;
	ssize_t n;

	do {
		got = lock_take(&s->rx_lock);
	} while (got == LOCK_BUSY && !region_silent(r));
	if (unlikely(!fd_is_conn(fd, c) || c->slot != s))
		n = RX_REAL;			/* closed meanwhile: let Linux say so */
	else if (unlikely(got == LOCK_BUSY))
		n = -ECONNRESET;		/* taspilotd died while it had the lock */
	else
		n = rx_locked(fd, c, it, flags, got == LOCK_NESTED, seen, &tell);
	lock_drop(&s->rx_lock, got);
	if (tell) {
		full_fence();
		kick(r, s);
	}
	return n;
}

static ssize_t rx_real(int fd, struct conn *c, struct iter *it, int flags)
{
	struct iovec v[8];
	struct msghdr m = { .msg_iov = v };
	ssize_t n;

	conn_went_linux(c);
	while (it->left && m.msg_iovlen < ARRAY_SIZE(v))
		v[m.msg_iovlen++] = iter_next(it, it->left);
	if (m.msg_iovlen == 1)
		n = real_recv(fd, v[0], flags | TP_MSG_SHIM);
	else
		n = libc()->recvmsg(fd, &m, flags | TP_MSG_SHIM);
	return n < 0 ? -errno : n;
}

static uint64_t time_limit(int fd, int name)
{
	struct timeval tv = { 0 };
	socklen_t len = sizeof(tv);

	if (confined || libc()->getsockopt(fd, SOL_SOCKET, name, &tv, &len) < 0 ||
	    (tv.tv_sec == 0 && tv.tv_usec == 0))
		return FOREVER;
	return deadline_after((int64_t)tv.tv_sec * (int64_t)NSEC + tv.tv_usec * 1000LL);
}

/* The cached flag may be old where another process shares the socket; asked before deciding. */
static bool is_nonblock(int fd, struct conn *c)
{
	if (likely(c->epoch == atomic_load_explicit(&fork_epoch, memory_order_relaxed)))
		return c->nonblock;
	return libc()->fcntl(fd, F_GETFL) & O_NONBLOCK;
}

/* When @fd was closed meanwhile, its number may be another file's by now. */
static int nap_on(int fd, struct conn *c, enum tp_dir dir, const struct seen *seen,
		  uint64_t deadline, bool begun)
{
	int err = sleep_on_slot(fd, c, dir, seen, deadline, begun);

	return !err && !fd_is_conn(fd, c) ? -EBADF : err;
}

static size_t rx_target(struct conn *c, size_t want, int flags)
{
	uint32_t lowat = atomic_load_explicit(&c->slot->rcvlowat, memory_order_relaxed);

	if (flags & MSG_WAITALL)
		return want;
	if (lowat > want)
		return want ? want : 1;
	return lowat ? lowat : 1;
}

ssize_t io_rx(int fd, struct conn *c, const struct iovec *iov, size_t cnt, int flags)
{
	struct iter it, begin;
	ssize_t n = iter_make(&it, iov, cnt);
	size_t want = it.left, target = rx_target(c, want, flags), done = 0;
	uint64_t deadline = 0;
	struct seen seen;

	if (unlikely(n < 0))
		return n;
	let_cancel();
	begin = it;
	for (;;) {
		if (flags & MSG_PEEK) {
			it = begin;
			done = 0;
		}
		do {
			n = rx_step(fd, c, &it, flags, &seen);
		} while (unlikely(n == RX_TAKEN));
		if (likely(n > 0)) {
			done += (size_t)n;
			if (done >= target || done == want)
				return (ssize_t)done;
			if (!(flags & MSG_PEEK))
				continue;
			n = -EAGAIN;
		}
		if (n == RX_REAL) {
			n = rx_real(fd, c, &it, flags);
			return n > 0 ? (ssize_t)done + n : done ? (ssize_t)done : n;
		}
		if (n != -EAGAIN)
			return done ? (ssize_t)done : n;
		if (!want && io_unread(c))
			return 0;
		if (flags & MSG_DONTWAIT || is_nonblock(fd, c))
			return done ? (ssize_t)done : n;
		if (!deadline)
			deadline = time_limit(fd, SO_RCVTIMEO);
		n = nap_on(fd, c, TP_RX, &seen, deadline, done);
		if (n < 0)
			return done ? (ssize_t)done : n;
	}
}

/* ---- writing -------------------------------------------------------------------------- */

static uint32_t tx_limit(const struct tp_slot *s)
{
	uint32_t want = atomic_load_explicit(&s->tx_want, memory_order_relaxed);
	uint32_t max = s->tx_max < TP_PIPE_BIG ? s->tx_max : TP_PIPE_BIG;

	if (want < TX_FLOOR)
		want = TX_FLOOR;
	if (want > max)
		want = max;
	return want < TP_PIPE_SMALL ? TP_PIPE_SMALL : want;
}

/* How much may be written that is not sent yet, by TCP_NOTSENT_LOWAT. The fast thread tells of
 * room when it has something to tell, so a small mark is not taken at its word.
 */
static uint32_t notsent_room(struct conn *c)
{
	uint32_t unsent, low = c->notsent_lowat;

	if (likely(!low))
		return UINT32_MAX;
	if (low < TP_PIPE_SMALL)
		low = TP_PIPE_SMALL;
	unsent = io_unsent(c, true);
	return unsent < low ? low - unsent : 0;
}

static uint32_t order_for(uint64_t bytes)
{
	uint32_t order = TP_ORDER_SMALL;

	while (order < TP_ORDER_BIG && (1ULL << order) < bytes)
		order++;
	return order;
}

/* A ring that holds [@tail, @head) and as many of *@n more bytes as may be; the geometry is
 * ours alone to write.
 */
static uint64_t tx_make_room(struct conn *c, uint64_t tail, uint64_t head, uint32_t *n)
{
	struct tp_slot *s = c->slot;
	uint64_t geom = atomic_load_explicit(&s->tx_geom, memory_order_relaxed);
	uint64_t guard = atomic_load_explicit(&s->tx_guard, memory_order_relaxed);
	uint32_t order;

	if (head == tail) {
		geom = pipe_geom(order_for(*n), head);
	} else {
		if (pipe_fits(geom, guard, tail, head + *n))
			return geom;
		order = pipe_order_for(geom, guard, tail, head, head + *n);
		if (order > order_for(s->tx_max)) {	/* as much as the ring takes as it is */
			*n = pipe_size(geom) - (uint32_t)(head - tail);
			if (pipe_guarded(guard, tail))
				*n -= pipe_offset(geom, tail);
			return geom;
		}
		guard = pipe_guard(geom, guard, tail, head);
		atomic_store_explicit(&s->tx_guard, guard, memory_order_relaxed);
		geom = pipe_grow(&c->tx, geom, order, tail, head);
	}
	atomic_store_explicit(&s->tx_geom, geom, memory_order_relaxed);
	return geom;
}

static void copy_in(const struct conn *c, uint64_t geom, uint64_t pos, struct iter *it, uint32_t n)
{
	while (n) {
		struct iovec v = iter_next(it, n);

		pipe_write(&c->tx, geom, pos, v.iov_base, (uint32_t)v.iov_len);
		pos += v.iov_len;
		n -= (uint32_t)v.iov_len;
	}
}

/* Publish what this step and handlers inside it have written, from @from on. A full fence. */
static void tx_publish(struct conn *c, uint64_t from)
{
	uint64_t to;

	do {
		to = c->tx_reserved;
		(void)atomic_compare_exchange_strong(&c->slot->tx_head, &from, to);
		from = to;
		c->tx_busy = false;
		atomic_signal_fence(memory_order_seq_cst);
	} while (unlikely(c->tx_reserved != to));	/* a handler, which perhaps published itself */
	full_fence();
}

static void tx_mark_more(struct conn *c, int flags)
{
	uint32_t opts = atomic_load_explicit(&c->slot->opts, memory_order_relaxed);
	bool more = flags & MSG_MORE;

	if (unlikely(more != !!(opts & TP_O_MORE))) {
		if (more)
			atomic_fetch_or(&c->slot->opts, TP_O_MORE);
		else
			atomic_fetch_and(&c->slot->opts, ~TP_O_MORE);
	}
}

static ssize_t tx_pipe(struct conn *c, struct iter *it, int flags, bool nested, struct seen *seen)
{
	struct tp_slot *s = c->slot;
	uint64_t tail = atomic_load_explicit(&s->tx_tail, memory_order_acquire);
	uint64_t geom = atomic_load_explicit(&s->tx_geom, memory_order_relaxed);
	uint64_t head = nested && c->tx_busy ? c->tx_reserved :
			atomic_load_explicit(&s->tx_head, memory_order_relaxed);
	uint32_t limit = tx_limit(s), n;
	uint64_t used = head - tail;

	seen->pos = tail;
	seen->want = atomic_load_explicit(&s->tx_want, memory_order_relaxed);
	if (used > TP_PIPE_BIG)
		return -ECONNRESET;
	if (nested && c->tx_busy)
		limit = pipe_size(geom);	/* the interrupted step copies by this geometry */
	if (used >= limit)
		return -EAGAIN;
	n = limit - used < it->left ? (uint32_t)(limit - used) : (uint32_t)it->left;
	if (n > notsent_room(c))
		n = notsent_room(c);

	if (nested && c->tx_busy && n) {
		c->tx_reserved = head + n;
		copy_in(c, geom, head, it, n);
		return n;
	}
	if (!n)
		return -EAGAIN;
	geom = tx_make_room(c, tail, head, &n);
	if (!n)
		return -EAGAIN;
	tx_mark_more(c, flags);
	c->tx_reserved = head + n;
	c->tx_busy = true;
	atomic_signal_fence(memory_order_seq_cst);
	copy_in(c, geom, head, it, n);
	tx_publish(c, head);
	return n;
}

/* Bytes that the fast thread left in the pipe go first. Returns how many of the last @mine
 * did not: the caller takes them back. Under tx_lock, state LINUX.
 */
static uint32_t tx_settle(int fd, struct conn *c, uint32_t mine)
{
	struct tp_slot *s = c->slot;
	uint64_t geom = atomic_load_explicit(&s->tx_geom, memory_order_relaxed);
	uint64_t head = atomic_load_explicit(&s->tx_head, memory_order_relaxed);
	uint64_t pos = atomic_load_explicit(&s->tx_tail, memory_order_acquire);

	if (head - pos > pipe_size(geom))
		pos = head;
	while (pos != head) {
		unsigned char *at;
		uint32_t n = pipe_span(&c->tx, geom, pos, (uint32_t)(head - pos), &at);
		ssize_t sent = libc()->send(fd, at, n, MSG_NOSIGNAL);

		if (sent > 0) {
			pos += (uint64_t)sent;
		} else if (errno == EAGAIN && head - pos > mine) {
			struct pollfd p = { .fd = fd, .events = POLLOUT };

			libc()->poll(&p, 1, -1);	/* bytes that a call has returned for */
		} else if (errno != EINTR || head - pos <= mine) {
			break;
		}
	}
	atomic_store(&s->tx_head, atomic_load(&s->tx_tail));
	return (uint32_t)(head - pos);
}

static ssize_t tx_locked(int fd, struct conn *c, struct iter *it, int flags, bool nested,
			 struct seen *seen)
{
	struct tp_slot *s = c->slot;

	seen->state = atomic_load_explicit(&s->state, memory_order_acquire);
	seen->flags = atomic_load_explicit(&s->fast_flags, memory_order_acquire);
	seen->pos = atomic_load_explicit(&s->tx_tail, memory_order_acquire);
	seen->want = atomic_load_explicit(&s->tx_want, memory_order_relaxed);
	if (c->shut_wr)
		return -EPIPE;
	if (is_dead(c, seen->state, seen->flags)) {
		if (c->err_taken)
			return -EPIPE;
		c->err_taken = true;
		return -io_slot_error(c);
	}
	if (seen->state == TP_SLOT_LINUX || seen->state == TP_SLOT_FREE) {
		if (atomic_load(&s->tx_head) != atomic_load(&s->tx_tail))
			tx_settle(fd, c, 0);
		return RX_REAL;
	}
	if (seen->state == TP_SLOT_LEAVING)
		return -EAGAIN;
	return it->left ? tx_pipe(c, it, flags, nested, seen) : 0;
}

/* Published, but the flow is on its way back to Linux: by which way do these bytes go? Returns
 * how many of @n must be given back to the caller.
 */
static uint32_t tx_limbo(int fd, struct conn *c, uint32_t n)
{
	struct tp_slot *s = c->slot;
	enum lock_got got;
	uint32_t back = 0;
	struct seen seen;

	for (;;) {
		seen.state = atomic_load(&s->state);
		seen.flags = atomic_load(&s->fast_flags);
		seen.pos = atomic_load(&s->tx_tail);
		seen.want = atomic_load(&s->tx_want);
		if (seen.state != TP_SLOT_LEAVING || !fd_is_conn(fd, c) || c->region->gone)
			break;
		kick(c->region, s);
		sleep_on_slot(fd, c, TP_TX, &seen, FOREVER, false);
	}
	if (seen.state != TP_SLOT_LINUX)
		return 0;
	got = lock_take(&s->tx_lock);
	if (got == LOCK_TAKEN && fd_is_conn(fd, c) &&
	    atomic_load(&s->tx_head) != atomic_load(&s->tx_tail))
		back = tx_settle(fd, c, n);
	lock_drop(&s->tx_lock, got);
	return back < n ? back : n;
}

static ssize_t tx_step(int fd, struct conn *c, struct iter *it, int flags, struct seen *seen)
{
	struct tp_slot *s = c->slot;
	struct region *r = c->region;
	enum lock_got got;
	ssize_t n;

	do {
		got = lock_take(&s->tx_lock);
	} while (got == LOCK_BUSY && !region_silent(r));
	if (unlikely(!fd_is_conn(fd, c) || c->slot != s))
		n = RX_REAL;
	else
		n = tx_locked(fd, c, it, flags, got == LOCK_NESTED, seen);
	lock_drop(&s->tx_lock, got);
	if (n > 0)
		kick(r, s);
	return n;
}

static ssize_t tx_real(int fd, struct conn *c, struct iter *it, int flags)
{
	size_t done = 0;

	conn_went_linux(c);
	do {
		struct iovec v[8];
		struct msghdr m = { .msg_iov = v };
		size_t part = 0;
		ssize_t n;

		while (it->left && m.msg_iovlen < ARRAY_SIZE(v)) {
			v[m.msg_iovlen] = iter_next(it, it->left);
			part += v[m.msg_iovlen++].iov_len;
		}
		if (m.msg_iovlen == 1 && !flags)
			n = libc()->write(fd, v[0].iov_base, v[0].iov_len);
		else
			n = libc()->sendmsg(fd, &m, flags);
		if (n < 0)
			return done ? (ssize_t)done : -errno;
		done += (size_t)n;
		if ((size_t)n < part)
			break;
	} while (it->left);
	return (ssize_t)done;
}

static ssize_t tx_fail(ssize_t err, int flags)
{
	if (err == -EPIPE && !(flags & MSG_NOSIGNAL))
		raise_sigpipe();
	return err;
}

/* Too little room: the next room is news to epoll, and to the fast thread's waker. */
static void tx_starve(struct conn *c)
{
	atomic_fetch_add_explicit(&c->starved, 1, memory_order_relaxed);
	atomic_store_explicit(&c->slot->tx_wait, 1, memory_order_relaxed);
}

ssize_t io_tx(int fd, struct conn *c, const struct iovec *iov, size_t cnt, int flags)
{
	struct iter it;
	ssize_t n = iter_make(&it, iov, cnt);
	size_t want = it.left, done = 0;
	uint64_t deadline = 0;
	struct seen seen;

	if (unlikely(n < 0 || it.bad))
		return n < 0 ? n : -EFAULT;
	let_cancel();
	for (;;) {
		n = tx_step(fd, c, &it, flags, &seen);
		if (n >= 0) {
			done += (size_t)n;
			if (unlikely(atomic_load(&c->slot->state) != TP_SLOT_FAST)) {
				uint32_t back = tx_limbo(fd, c, (uint32_t)n);

				if (back)
					return done > back ? (ssize_t)(done - back) : -EAGAIN;
			}
			if (likely(done == want))
				return (ssize_t)done;
			continue;
		}
		if (n == RX_REAL) {
			n = tx_real(fd, c, &it, flags);
			return n > 0 ? (ssize_t)done + n : done ? (ssize_t)done : n;
		}
		if (n != -EAGAIN)
			return done ? (ssize_t)done : tx_fail(n, flags);
		if (flags & MSG_DONTWAIT || is_nonblock(fd, c)) {
			if (!deadline && seen.state == TP_SLOT_LEAVING && !io_unsent(c, false)) {
				deadline = deadline_after(LEAVE_MOMENT_NS);
				if (sleep_on_slot(fd, c, TP_TX, &seen, deadline, done) == 0)
					continue;
			}
			tx_starve(c);
			return done ? (ssize_t)done : n;
		}
		if (!deadline)
			deadline = time_limit(fd, SO_SNDTIMEO);
		n = nap_on(fd, c, TP_TX, &seen, deadline, done);
		if (n < 0)
			return done ? (ssize_t)done : n;
	}
}

/* ---- the calls ------------------------------------------------------------------------ */

ssize_t io_read(int fd, struct conn *c, void *buf, size_t len, int flags)
{
	struct iovec v = { buf, len };

	return io_rx(fd, c, &v, 1, flags);
}

ssize_t io_write(int fd, struct conn *c, const void *buf, size_t len, int flags)
{
	struct iovec v = { (void *)buf, len };

	return io_tx(fd, c, &v, 1, flags);
}

static int bad_msg(const struct msghdr *m)
{
	return BAD_PTR(m) ? -EFAULT : m->msg_iovlen > IOV_LIMIT ? -EMSGSIZE : 0;
}

ssize_t io_recvmsg(int fd, struct conn *c, struct msghdr *m, int flags)
{
	ssize_t n = bad_msg(m);

	if (n == 0)
		n = io_rx(fd, c, m->msg_iov, m->msg_iovlen, flags);
	else
		return n;
	if (n >= 0) {
		m->msg_namelen = 0;
		m->msg_controllen = 0;
		m->msg_flags = flags & MSG_CMSG_CLOEXEC;
	}
	return n;
}

ssize_t io_sendmsg(int fd, struct conn *c, const struct msghdr *m, int flags)
{
	int err = bad_msg(m);

	return err ? err : io_tx(fd, c, m->msg_iov, m->msg_iovlen, flags);
}

/* ---- how it stands -------------------------------------------------------------------- */

int io_slot_error(struct conn *c)
{
	int err = (int)atomic_load_explicit(&c->slot->err, memory_order_relaxed);

	return err > 0 && err < 4095 ? err : ECONNRESET;
}

bool io_is_dead(const struct conn *c)
{
	return is_dead(c, atomic_load_explicit(&c->slot->state, memory_order_acquire),
		       atomic_load_explicit(&c->slot->fast_flags, memory_order_acquire));
}

/* The real socket is told of a reset too. Once the slot's error was reported it is not news. */
void io_forget_real_error(int fd, const struct conn *c)
{
	int err, saved = errno;
	socklen_t len = sizeof(err);

	if (c->err_taken)
		(void)libc()->getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	errno = saved;
}

int io_take_error(struct conn *c)
{
	if (c->err_taken || !io_is_dead(c))
		return 0;
	c->err_taken = true;
	return io_slot_error(c);
}

uint32_t io_unread(struct conn *c)
{
	struct tp_slot *s = c->slot;

	return linux_left(c) + (uint32_t)(atomic_load_explicit(&s->rx_head, memory_order_acquire) -
					  atomic_load_explicit(&s->rx_tail, memory_order_relaxed));
}

uint32_t io_unsent(struct conn *c, bool not_yet_sent)
{
	struct tp_slot *s = c->slot;
	uint64_t from = not_yet_sent ? atomic_load_explicit(&s->tx_sent, memory_order_acquire) :
				       atomic_load_explicit(&s->tx_tail, memory_order_acquire);
	int64_t n = (int64_t)(atomic_load_explicit(&s->tx_head, memory_order_relaxed) - from);

	return n > 0 ? (uint32_t)n : 0;
}

/* Would tx_make_room() find any? A ring at its largest may have to wait until it has gone round. */
static bool tx_has_place(const struct tp_slot *s)
{
	uint64_t tail = atomic_load_explicit(&s->tx_tail, memory_order_acquire);
	uint64_t head = atomic_load_explicit(&s->tx_head, memory_order_relaxed);
	uint64_t geom = atomic_load_explicit(&s->tx_geom, memory_order_relaxed);
	uint64_t guard = atomic_load_explicit(&s->tx_guard, memory_order_relaxed);

	return head == tail || pipe_fits(geom, guard, tail, head + 1) ||
	       pipe_order_for(geom, guard, tail, head, head + 1) <= order_for(s->tx_max);
}

/* Linux's rule, writable while at most two thirds of what may be queued is, and one more. */
static bool tx_roomy(struct conn *c)
{
	return pipe_roomy(io_unsent(c, false), io_unsent(c, true), tx_limit(c->slot)) &&
	       notsent_room(c) && tx_has_place(c->slot);
}

uint32_t io_levels(struct conn *c)
{
	struct tp_slot *s = c->slot;
	uint32_t unread = io_unread(c), lv = 0;		/* before the state: region.c takes bytes away */
	uint32_t state = atomic_load_explicit(&s->state, memory_order_acquire);
	uint32_t flags = atomic_load_explicit(&s->fast_flags, memory_order_acquire);
	uint32_t lowat = atomic_load_explicit(&s->rcvlowat, memory_order_relaxed);
	bool dead = io_is_dead(c);

	if (unread && unread >= lowat)
		lv |= EPOLLIN | EPOLLRDNORM;
	if (state == TP_SLOT_LINUX || state == TP_SLOT_FREE)
		return lv | LEVEL_KERNEL;
	if (flags & TP_F_EOF || c->shut_rd || dead)
		lv |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if (dead || c->shut_wr || (state == TP_SLOT_FAST && tx_roomy(c)) ||
	    (state == TP_SLOT_LEAVING && !io_unsent(c, false)))
		lv |= EPOLLOUT | EPOLLWRNORM;
	if (dead && !c->err_taken)
		lv |= EPOLLERR;
	if (dead || ((flags & TP_F_EOF || c->shut_rd) && c->shut_wr))
		lv |= EPOLLHUP;
	return lv;
}
