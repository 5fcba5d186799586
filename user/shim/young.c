/* SPDX-License-Identifier: BSD-2-Clause
 *
 * young.c - is a connection worth the fast path?
 *
 * To claim a connection and to hand it back costs some 20 requests' worth of what the fast path
 * saves. So a listener that serves short connections has them served by Linux, and those that turn
 * out to live are claimed later. By whom is learned:
 *
 *   shortness of a listener: how many of its last connections, weighed by age, ended with less
 *   than SHORT_BYTES moved, or were refused (as a rule because the peer had closed already: a claim in
 *   vain costs as much). Below half: claim at accept(). Else the connection is YOUNG:
 *
 *   YOUNG -> OURS   at the second write, when the first has been acknowledged: that is the answer
 *                   to a second request, and all is quiet between both. At once at a large first
 *                   write. After READS_IN_A_ROW reads without a write: a stream comes in
 *   YOUNG -> PLAIN  the daemon refuses for good; a fork (both processes have the socket now); a stream of
 *                   stdio on it
 *
 * While it is YOUNG the kernel serves it: every call goes to libc, epoll holds the real events.
 * At the claim a thread must not be asleep in the kernel on the connection, because it would not
 * hear of anything again. epoll_wait is woken by epset.c. poll and select claim before they wait
 * (young_settle), and so does a read that may block while there are other threads.
 */
#include <linux/sockios.h>
#include <sys/single_threaded.h>

#include "shim.h"

#define SHORT_BYTES	8192U
#define ALL		256U		/* shortness is a share of it */
#define WEIGHT		8U		/* the newest connection counts for 1/8 */
#define LARGE		16384U		/* a first write of so much is worth it */
#define READS_IN_A_ROW	4U
#define TRIES		8U		/* so many looks at each use, then one in RARELY */
#define RARELY		32U

/* ---- the listener's record ------------------------------------------------------------- */

bool young_begins(const struct conn *listener)
{
	return atomic_load_explicit(&listener->shortness, memory_order_relaxed) >= ALL / 2;
}

/* Another's word, by now perhaps of another listener: it is a guess anyway. */
static void count(struct conn *listener, bool was_short)
{
	uint32_t s = atomic_load_explicit(&listener->shortness, memory_order_relaxed);

	s = s - s / WEIGHT + (was_short ? ALL / WEIGHT : 0);
	atomic_store_explicit(&listener->shortness, s, memory_order_relaxed);
}

static bool is_of_this_process(const struct conn *c)
{
	return c->epoch == atomic_load_explicit(&fork_epoch, memory_order_relaxed);
}

void young_refused(struct conn *listener) { count(listener, true); }

void young_ended(struct conn *c)
{
	uint32_t mode = atomic_load(&c->mode);
	uint64_t moved;

	if (!c->listener || !is_of_this_process(c))
		return;
	if (mode == CONN_YOUNG) {
		count(c->listener, true);
	} else if (c->claimed && c->slot->generation == c->generation) {
		moved = atomic_load(&c->slot->rx_tail) + atomic_load(&c->slot->tx_head);
		count(c->listener, moved < SHORT_BYTES);
	}
}

/* ---- is it time? ----------------------------------------------------------------------- */

/* All that was written has been acknowledged. */
static bool is_quiet(int fd)
{
	int unsent = 0;

	return libc()->ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent == 0;
}

static void settle(int fd, struct conn *c, bool again)
{
	enum lock_got got = midst_enter(&conn_reg);
	int err;

	if (got == LOCK_TAKEN && atomic_load(&c->mode) == CONN_YOUNG && fd_is_conn(fd, c)) {
		err = is_of_this_process(c) ? conn_claim_now(fd, c) : -EPERM;
		if (err < 0 && (err != -EAGAIN || !again))
			atomic_store(&c->mode, CONN_PLAIN);
	}
	midst_leave(&conn_reg, got);
}

static bool try_now(int fd, struct conn *c)
{
	uint32_t tries = atomic_fetch_add_explicit(&c->tries, 1, memory_order_relaxed);
	int saved = errno;

	if ((tries < TRIES || tries % RARELY == 0) && is_quiet(fd))
		settle(fd, c, true);
	errno = saved;
	return atomic_load(&c->mode) == CONN_OURS;
}

bool young_settle(int fd, struct conn *c)
{
	int saved = errno;

	settle(fd, c, false);
	errno = saved;
	return atomic_load(&c->mode) == CONN_OURS;
}

bool young_reads(int fd, struct conn *c, int flags)
{
	uint32_t reads = atomic_fetch_add_explicit(&c->reads, 1, memory_order_relaxed) + 1;

	if (!__libc_single_threaded && !(flags & MSG_DONTWAIT) &&
	    !(libc()->fcntl(fd, F_GETFL) & O_NONBLOCK))
		return young_settle(fd, c);
	return reads >= READS_IN_A_ROW && try_now(fd, c);
}

bool young_writes(int fd, struct conn *c, size_t bytes)
{
	bool first = atomic_fetch_add_explicit(&c->writes, 1, memory_order_relaxed) == 0;

	atomic_store_explicit(&c->reads, 0, memory_order_relaxed);
	return (!first || bytes >= LARGE) && try_now(fd, c);
}
