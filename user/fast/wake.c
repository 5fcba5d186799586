/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wake.c - epoll for kicks, poll for kicks and frames.
 */
#include "wake.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../common/clock.h"

#define EVENTS	16

int wake_init(struct wake *w, int xsk_fd)
{
	int err;

	*w = (struct wake){ .xsk = xsk_fd };
	w->own = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->own < 0)
		return -errno;
	w->kicks = epoll_create1(EPOLL_CLOEXEC);
	if (w->kicks < 0) {
		err = -errno;
		goto err_own;
	}
	err = wake_add(w, w->own);
	if (err)
		goto err_kicks;
	return 0;

err_kicks:
	close(w->kicks);
err_own:
	close(w->own);
	return err;
}

void wake_free(struct wake *w)
{
	close(w->kicks);
	close(w->own);
}

int wake_add(struct wake *w, int eventfd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	return epoll_ctl(w->kicks, EPOLL_CTL_ADD, eventfd, &ev) < 0 ? -errno : 0;
}

void wake_del(struct wake *w, int eventfd)
{
	(void)epoll_ctl(w->kicks, EPOLL_CTL_DEL, eventfd, NULL);
}

void wake_begin(struct wake *w)
{
	atomic_store(&w->asleep, 1);
	atomic_thread_fence(memory_order_seq_cst);
}

static struct timespec *to_timespec(uint64_t ns, struct timespec *ts)
{
	if (ns == ~0ULL)
		return NULL;
	ts->tv_sec = (time_t)(ns / NS_PER_S);
	ts->tv_nsec = (long)(ns % NS_PER_S);
	return ts;
}

bool wake_wait_kick(struct wake *w, uint64_t timeout_ns)
{
	struct epoll_event ev[EVENTS];
	struct timespec ts;

	return epoll_pwait2(w->kicks, ev, EVENTS, to_timespec(timeout_ns, &ts), NULL) > 0;
}

void wake_wait_all(struct wake *w, uint64_t timeout_ns)
{
	struct pollfd fds[] = {
		{ .fd = w->xsk, .events = POLLIN },
		{ .fd = w->kicks, .events = POLLIN },
	};
	struct epoll_event ev[EVENTS];
	struct timespec ts;

	/* an edge stays in the set until it is fetched */
	if (ppoll(fds, 2, to_timespec(timeout_ns, &ts), NULL) > 0 && fds[1].revents)
		(void)epoll_wait(w->kicks, ev, EVENTS, 0);
}

void wake_end(struct wake *w)
{
	atomic_store_explicit(&w->asleep, 0, memory_order_relaxed);
}

void wake_up(struct wake *w)
{
	static const uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&w->asleep, memory_order_relaxed) && atomic_exchange(&w->asleep, 0))
		(void)!write(w->own, &one, sizeof(one));
}
