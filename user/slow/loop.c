/* SPDX-License-Identifier: BSD-2-Clause
 *
 * loop.c - see loop.h.
 */
#include "loop.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <unistd.h>

int loop_init(struct loop *l)
{
	l->count = 0;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return l->epoll_fd < 0 ? -errno : 0;
}

void loop_fini(struct loop *l)
{
	close(l->epoll_fd);
}

static int loop_ctl(struct loop *l, int op, struct loop_source *src, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = src };

	return epoll_ctl(l->epoll_fd, op, src->fd, &ev) < 0 ? -errno : 0;
}

int loop_add(struct loop *l, struct loop_source *src, uint32_t events)
{
	return loop_ctl(l, EPOLL_CTL_ADD, src, events);
}

int loop_mod(struct loop *l, struct loop_source *src, uint32_t events)
{
	return loop_ctl(l, EPOLL_CTL_MOD, src, events);
}

void loop_del(struct loop *l, struct loop_source *src)
{
	loop_ctl(l, EPOLL_CTL_DEL, src, 0);
	for (int i = 0; i < l->count; i++)
		if (l->turn[i] == src)
			l->turn[i] = NULL;
}

int loop_turn(struct loop *l)
{
	struct epoll_event ev[LOOP_BATCH];
	int n;

	atomic_store_explicit(&l->cpu, 0, memory_order_relaxed);
	n = epoll_wait(l->epoll_fd, ev, LOOP_BATCH, -1);
	atomic_store_explicit(&l->cpu, (uint32_t)sched_getcpu() + 1, memory_order_relaxed);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;

	l->count = n;
	for (int i = 0; i < n; i++) {
		l->turn[i] = ev[i].data.ptr;
		l->events[i] = ev[i].events;
	}
	for (int i = 0; i < n; i++)
		if (l->turn[i])
			l->turn[i]->ready(l->turn[i], l->events[i]);
	l->count = 0;
	return 0;
}
