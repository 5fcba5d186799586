/* SPDX-License-Identifier: BSD-2-Clause
 *
 * heart.c - who sleeps in an epoll instance notices a daemon that died.
 *
 * A time limit of the sleep itself would do, and where there is no heart it does; but it is a timer
 * set and taken back in each wait, a microsecond of each request. So an instance has a timerfd
 * among its fds, which is due when the silence of a region would be too long, and armed anew
 * only when it was: once in ten seconds.
 *
 * Edge-triggered, so one thread wakes. Two processes that share an instance since a fork would take
 * each other's edges: there the time limit stays.
 */
#include <sys/timerfd.h>

#include "epset.h"

static void arm(const struct epset *ep)
{
	uint64_t due = regions_due();
	struct itimerspec at = { .it_value = { (time_t)(due / NSEC), (long)(due % NSEC) } };

	/* forgets what it counted, too */
	(void)timerfd_settime(ep->heart, TFD_TIMER_ABSTIME, &at, NULL);
}

void heart_now(struct epset *ep)
{
	struct itimerspec at = { .it_value = { .tv_nsec = 1 } };

	if (ep->heart >= 0)
		(void)timerfd_settime(ep->heart, 0, &at, NULL);
}

/* ep->lock is held. */
void heart_start(struct epset *ep)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int fd = confined ? -1 : timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd >= 0)
		fd = fd_hide(fd);
	ep->heart_mark = fd < 0 ? NULL : ep_mark(ep);
	if (!ep->heart_mark) {
		fd_hidden_close(fd);
		return;
	}
	ep->heart_epoch = atomic_load(&fork_epoch);
	ep->heart = fd;
	arm(ep);
	ev.data.ptr = ep->heart_mark;
	if (libc()->epoll_ctl(ep->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		heart_stop(ep);
}

void heart_stop(struct epset *ep)
{
	fd_hidden_close(ep->heart);
	ep->heart = -1;
}

uint64_t heart_limit(const struct epset *ep)
{
	bool beats = atomic_load_explicit(&ep->heart, memory_order_relaxed) >= 0 &&
		     atomic_load_explicit(&ep->heart_epoch, memory_order_relaxed) ==
		     atomic_load_explicit(&fork_epoch, memory_order_relaxed);

	return beats ? FOREVER : regions_due();
}

void heart_beat(struct epset *ep)
{
	regions_listen();
	if (ep->heart >= 0)
		arm(ep);
}
