/* SPDX-License-Identifier: BSD-2-Clause
 *
 * region.c - the shared memory that daemons gave us, and our contexts in it.
 *
 * A region is mapped once and stays mapped: connections, of this process and perhaps of its
 * parent, point into it. A context is one waiter (an epoll instance, or a thread in
 * poll): it is made when first needed and then reused, so a process has as many as it ever
 * had waiters at a time.
 *
 * After fork the child has the mappings and may use the slots, but the contexts are the parent's.
 */
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim.h"

#define DUE_SLACK_NS	1000000U	/* a sleep ends behind the moment, not at it */
#define DOUBT_NS	(NSEC / 2)

struct region regions[MAX_REGIONS];
_Atomic uint32_t region_count;

struct region *region_find(const struct link *link, uint32_t id)
{
	uint32_t n = atomic_load_explicit(&region_count, memory_order_acquire);

	for (uint32_t i = 0; i < n; i++)
		if (regions[i].link == link && regions[i].id == id)
			return &regions[i];
	return NULL;
}

/* Geometry is the daemon's, yet a layout that is not ours means another version: refuse. */
static bool layout_ok(const struct tp_region *geo, uint64_t size)
{
	struct tp_region want = { .magic = 0 };

	if (geo->magic != TP_SHM_MAGIC || geo->version != TP_SHM_VERSION ||
	    geo->threads == 0 || geo->threads > TP_MAX_THREADS)
		return false;
	tp_region_layout(&want, geo->region_id, geo->threads);
	return want.size == size && geo->size == size && geo->slot_off == want.slot_off &&
	       geo->big_off == want.big_off && geo->slots == want.slots &&
	       geo->ctx_off == want.ctx_off && geo->small_off == want.small_off;
}

/* Takes over the kick_fds if it succeeds. The caller holds the link's lock, so we are alone with it. */
int region_map(struct link *link, uint32_t id, int fd, uint64_t size, const int *kick_fd,
	       uint32_t threads, struct region **ret_region)
{
	uint32_t n = atomic_load_explicit(&region_count, memory_order_acquire);
	struct region *r = &regions[n];
	void *base;

	if (n >= MAX_REGIONS)
		return -ENOSPC;
	base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	memcpy(&r->geo, base, sizeof(r->geo));
	if (!layout_ok(&r->geo, size) || r->geo.threads != threads) {
		munmap(base, size);
		return -EPROTO;
	}
	madvise(base, size, MADV_DONTDUMP);

	r->id = id;
	r->link = link;
	for (uint32_t i = 0; i < TP_MAX_THREADS; i++)
		r->kick_fd[i] = i < threads ? kick_fd[i] : -1;
	for (uint32_t i = 0; i < TP_MAX_CTX; i++)
		r->ctx_fd[i] = -1;
	atomic_store_explicit(&r->ctx_idle, 0, memory_order_relaxed);
	atomic_store_explicit(&r->base, base, memory_order_release);
	atomic_store_explicit(&region_count, n + 1, memory_order_release);
	*ret_region = r;
	return 0;
}

/* Perhaps all of the machine stood still, and we are the first to go on: then the daemon has had no time to beat.
 * So who finds it silent looks again in a moment.
 */
static bool was_in_doubt(struct region *r, uint64_t beat, uint64_t now)
{
	if (atomic_load_explicit(&r->last_beat, memory_order_acquire) == beat)
		return now - atomic_load_explicit(&r->doubt_ns, memory_order_relaxed) > DOUBT_NS;
	atomic_store_explicit(&r->doubt_ns, now, memory_order_relaxed);
	atomic_store_explicit(&r->last_beat, beat, memory_order_release);
	return false;
}

bool region_silent(struct region *r)
{
	const struct tp_region *head = atomic_load(&r->base);
	uint64_t beat = atomic_load_explicit(&head->heartbeat_ns, memory_order_relaxed);
	uint64_t now = now_ns();

	if (beat && now > beat + SILENCE_NS && was_in_doubt(r, beat, now))
		atomic_store(&r->gone, true);
	return atomic_load(&r->gone);
}

/* Behind the last heartbeat, so that a daemon that dies while we sleep is noticed in time. */
uint64_t region_due(const struct region *r)
{
	const struct tp_region *head = atomic_load(&r->base);
	uint64_t beat = atomic_load_explicit(&head->heartbeat_ns, memory_order_relaxed);
	uint64_t now = now_ns();

	if (!beat || atomic_load(&r->gone))
		beat = now;
	else if (now > beat + SILENCE_NS)
		beat = now - SILENCE_NS + DOUBT_NS;
	return beat + SILENCE_NS + DUE_SLACK_NS;
}

uint64_t regions_due(void)
{
	uint64_t due = FOREVER;

	for (uint32_t n = 0; n < region_count; n++)
		due = no_later(due, region_due(&regions[n]));
	return due;
}

void regions_listen(void)
{
	for (uint32_t n = 0; n < region_count; n++)
		region_silent(&regions[n]);
}

static int ctx_make(struct conn *c)
{
	struct region *r = c->region;
	int fd = confined ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), err;
	uint32_t index;

	if (confined)
		return -EPERM;
	if (fd < 0)
		return -errno;
	fd = fd_hide(fd);
	if (fd < 0)
		return fd;
	err = ctl_ctx(c, fd, &index);
	if (err < 0) {
		fd_hidden_close(fd);
		return err;
	}
	r->ctx_fd[index] = fd;
	return (int)index;
}

int ctx_get(struct conn *c)
{
	struct region *r = c->region;
	uint64_t idle = atomic_load_explicit(&r->ctx_idle, memory_order_relaxed);

	while (idle) {
		int i = __builtin_ctzll(idle);

		if (atomic_compare_exchange_weak_explicit(&r->ctx_idle, &idle, idle & ~(1ULL << i),
							  memory_order_acquire,
							  memory_order_relaxed))
			return i;
	}
	return ctx_make(c);
}

void ctx_put(struct region *r, int ctx)
{
	atomic_store_explicit(&region_ctx(r, (uint32_t)ctx)->sleep, TP_AWAKE,
			      memory_order_relaxed);
	atomic_fetch_or_explicit(&r->ctx_idle, 1ULL << ctx, memory_order_release);
}

void region_fd_moved(int from, int to)
{
	for (uint32_t n = 0; n < region_count; n++) {
		struct region *r = &regions[n];

		for (uint32_t i = 0; i < TP_MAX_THREADS; i++)
			if (r->kick_fd[i] == from)
				r->kick_fd[i] = to;
		for (uint32_t i = 0; i < TP_MAX_CTX; i++)
			if (r->ctx_fd[i] == from)
				r->ctx_fd[i] = to;
	}
}

void region_after_fork(void)
{
	for (uint32_t n = 0; n < region_count; n++) {
		struct region *r = &regions[n];

		atomic_store_explicit(&r->ctx_idle, 0, memory_order_relaxed);
		for (uint32_t i = 0; i < TP_MAX_CTX; i++) {
			fd_hidden_close(r->ctx_fd[i]);
			r->ctx_fd[i] = -1;
		}
	}
}
