/* SPDX-License-Identifier: BSD-2-Clause
 *
 * region.c - the memory that a program and we share: made, handed out slot by slot, freed.
 *
 * A region is a sealed memfd: the program cannot shrink it under us. Its address range is
 * large (8 MiB pipes both ways for each of 16384 slots) and sparse: pages come with use, and
 * those of a large ring go when its slot is closed, the others when nobody used them for a
 * while: of idle connections in user/fast/trim.c, of free slots here.
 *
 * Life of a region: HELLO makes it; each control connection that was given it counts, so a
 * forked child that registers keeps it. It is freed when nobody is connected and no connection
 * has a slot in it any more: then every fast thread forgets it (FAST_EV_REGION_GONE), last
 * the mapping goes.
 *
 * Life of a slot: open at the claim, closed when the socket is released *and* the fast thread
 * has forgotten the flow. Its generation tells a program that holds an old index. Words that
 * stand in queues (pending, kicked) are left as they are: the entry may still be there, and
 * only says "look".
 *
 * A context's fd keeps its number for the region's life: its eventfd is exchanged under that
 * number when one program's context ends and another's begins, so that a fast thread that is
 * about to wake it never hits a stranger's fd.
 */
#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "slow.h"
#include "taspilot/pipe.h"

#define KEEP_SLOTS	64U		/* free slots that keep their pages: they are used next */
#define CLEAN_BEAT	64U		/* slots whose pages go at one beat */
#define SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* A program knows regions of our predecessor, and must not take ours for one of them. */
void regions_init(struct regions *rs)
{
	list_init(&rs->all);
	if (getrandom(&rs->next_id, sizeof(rs->next_id), 0) != sizeof(rs->next_id))
		rs->next_id = (uint32_t)clock_ns();
}

static int map_memory(struct region *r)
{
	uint64_t size = r->fast.geo.size;
	int err;

	r->memfd = memfd_create("taspilot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (r->memfd < 0)
		return -errno;
	if (ftruncate(r->memfd, (off_t)size) < 0 || fcntl(r->memfd, F_ADD_SEALS, SEALS) < 0)
		goto err_fd;
	r->fast.base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			    r->memfd, 0);
	if (r->fast.base == MAP_FAILED)
		goto err_fd;
	memcpy(r->fast.base, &r->fast.geo, offsetof(struct tp_region, heartbeat_ns));
	return 0;

err_fd:
	err = -errno;
	close(r->memfd);
	return err;
}

static void close_kicks(struct region *r)
{
	for (uint32_t i = 0; i < TP_MAX_THREADS; i++)
		if (r->fast.kick_fd[i] >= 0)
			close(r->fast.kick_fd[i]);
}

static int open_kicks(struct region *r)
{
	for (uint32_t i = 0; i < TP_MAX_THREADS; i++)
		r->fast.kick_fd[i] = -1;
	for (uint32_t i = 0; i < r->fast.geo.threads; i++) {
		r->fast.kick_fd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (r->fast.kick_fd[i] < 0) {
			int err = -errno;

			close_kicks(r);
			return err;
		}
	}
	return 0;
}

static void init_slots(struct region *r)
{
	for (r->free_slots = 0; r->free_slots < TP_SLOTS; r->free_slots++)
		r->free_slot[r->free_slots] = TP_SLOTS - 1 - r->free_slots;
	r->clean = TP_SLOTS;
	for (uint32_t i = 0; i < TP_MAX_CTX; i++)
		r->fast.ctx_fd[i] = -1;
}

static void tell_threads(struct slow *s, struct region *r, uint32_t threads,
			 struct fast_cmd *cmd)
{
	cmd->region = &r->fast;
	for (uint32_t t = 0; t < threads; t++)
		slow_tell(s, t, cmd);
}

/* All threads know the region, or none and -ENOMEM: those that did forget it again, and then
 * region_gone() frees it.
 */
static int add_to_threads(struct slow *s, struct region *r)
{
	struct fast_cmd add = { .kind = FAST_CMD_REGION_ADD, .region = &r->fast };

	for (uint32_t t = 0; t < r->fast.geo.threads; t++) {
		int err = slow_tell(s, t, &add);

		if (!err)
			continue;
		r->dying = true;
		r->gone = r->fast.geo.threads - t;
		tell_threads(s, r, t, &(struct fast_cmd){ .kind = FAST_CMD_REGION_DEL });
		if (!t)
			region_gone(s, &r->fast);
		return err;
	}
	return 0;
}

static void beat(struct slow *s, struct region *r, uint64_t now_ns)
{
	struct tp_region *shm = r->fast.base;

	atomic_store_explicit(&shm->heartbeat_ns, now_ns, memory_order_relaxed);
	atomic_store_explicit(&shm->closing, slow_is_closing(s), memory_order_relaxed);
	fast_watch(&r->fast);
}

int region_new(struct slow *s, uid_t uid, struct region **ret_region)
{
	struct region *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->uid = uid;
	r->fast.region_id = s->regions.next_id++;
	tp_region_layout(&r->fast.geo, r->fast.region_id, fast_threads(s->fast));
	for (uint32_t i = 0; i < TP_MAX_THREADS; i++)
		r->fast.geo.thread_cpu[i] = (uint32_t)s->fast_cfg.cpu[i];
	init_slots(r);
	err = open_kicks(r);
	if (err)
		goto err_region;
	err = map_memory(r);
	if (err)
		goto err_kicks;
	beat(s, r, s->now_ns);
	list_add_tail(&s->regions.all, &r->link);
	err = add_to_threads(s, r);
	if (err)
		return err;
	*ret_region = r;
	return 0;

err_kicks:
	close_kicks(r);
err_region:
	free(r);
	return err;
}

struct region *region_find(struct slow *s, uint32_t region_id)
{
	list_each(l, n, &s->regions.all) {
		struct region *r = container_of(l, struct region, link);

		if (r->fast.region_id == region_id && !r->dying)
			return r;
	}
	return NULL;
}

/* Nobody uses it any more: first the fast threads forget it. */
static void retire(struct slow *s, struct region *r)
{
	if (r->users || r->flows || r->dying)
		return;
	r->dying = true;
	tell_threads(s, r, r->fast.geo.threads, &(struct fast_cmd){ .kind = FAST_CMD_REGION_DEL });
}

void region_get(struct region *r)
{
	r->users++;
}

void region_put(struct slow *s, struct region *r)
{
	r->users--;
	retire(s, r);
}

void region_gone(struct slow *s, struct fast_region *fr)
{
	struct region *r = container_of(fr, struct region, fast);

	(void)s;
	if (r->gone < r->fast.geo.threads && ++r->gone < r->fast.geo.threads)
		return;
	list_del(&r->link);
	munmap(r->fast.base, r->fast.geo.size);
	close(r->memfd);
	close_kicks(r);
	for (uint32_t i = 0; i < TP_MAX_CTX; i++)
		if (r->fast.ctx_fd[i] >= 0)
			close(r->fast.ctx_fd[i]);
	free(r);
}

int region_add_ctx(struct slow *s, struct region *r, int fd)
{
	uint32_t i = 0;

	while (i < TP_MAX_CTX && r->ctx_used[i])
		i++;
	if (i == TP_MAX_CTX)
		return -ENOSPC;
	if (r->fast.ctx_fd[i] >= 0) {
		if (dup3(fd, r->fast.ctx_fd[i], O_CLOEXEC) < 0)
			return -errno;
		close(fd);
	} else {
		r->fast.ctx_fd[i] = fd;
	}
	r->ctx_used[i] = true;
	tell_threads(s, r, r->fast.geo.threads,
		     &(struct fast_cmd){ .kind = FAST_CMD_CTX, .value = i });
	return (int)i;
}

void region_drop_ctx(struct region *r, uint32_t index)
{
	int nobody = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (nobody >= 0) {
		dup3(nobody, r->fast.ctx_fd[index], O_CLOEXEC);
		close(nobody);
	}
	r->ctx_used[index] = false;
}

/* Slots that were closed long ago give back the pages that small pipes touched. Not at once: the
 * next connection takes the slot that was used last, and its pages as well.
 */
static void clean_slots(struct region *r)
{
	for (uint32_t i = 0; i < CLEAN_BEAT && r->clean + KEEP_SLOTS < r->free_slots; i++)
		madvise(tp_small_at(r->fast.base, &r->fast.geo, r->free_slot[r->clean++], TP_RX),
			2 * TP_PIPE_SMALL, MADV_REMOVE);
}

void regions_beat(struct slow *s, uint64_t now_ns)
{
	list_each(l, n, &s->regions.all) {
		struct region *r = container_of(l, struct region, link);

		beat(s, r, now_ns);
		clean_slots(r);
	}
}

struct tp_slot *slot_at(const struct region *r, uint32_t slot)
{
	return tp_slot_at(r->fast.base, &r->fast.geo, slot);
}

/* As a program that is told of it must find it. The fast thread writes line 0 from INSTALL on. */
static void slot_reset(struct tp_slot *t, const struct slot_begin *b, uint32_t generation)
{
	uint64_t geom = pipe_geom(TP_ORDER_SMALL, 0);

	t->rx_head = t->tx_tail = t->tx_sent = 0;
	t->rx_geom = t->tx_geom = geom;
	t->tx_want = t->fast_flags = t->err = 0;

	t->tx_head = t->tx_guard = t->rx_tail = t->notify = 0;
	t->opts = b->opts;
	t->rcvlowat = 1;
	t->linux_read = 0;

	t->rx_wait = t->tx_wait = t->rx_lock = t->tx_lock = 0;

	t->generation = generation;
	t->cookie = b->cookie;
	t->thread = b->thread;
	t->linux_rx = b->linux_rx;
	t->mss = b->mss;
	t->rx_max = b->rx_max;
	t->tx_max = b->tx_max;
	atomic_store_explicit(&t->state, TP_SLOT_FAST, memory_order_release);
}

int slot_open(struct region *r, const struct slot_begin *b, uint32_t *ret_slot)
{
	uint32_t slot;

	if (!r->free_slots)
		return -ENOSPC;
	slot = r->free_slot[--r->free_slots];
	if (r->clean > r->free_slots)
		r->clean = r->free_slots;
	r->flows++;
	slot_reset(slot_at(r, slot), b, ++r->generation[slot]);
	*ret_slot = slot;
	return 0;
}

/* Give back the pages of a pipe that had outgrown its first one. */
static void punch(const struct region *r, uint32_t slot, enum tp_dir dir, uint64_t geom)
{
	if (pipe_order(geom) != TP_ORDER_SMALL)
		madvise(tp_big_at(r->fast.base, &r->fast.geo, slot, dir), TP_PIPE_BIG, MADV_REMOVE);
}

void slot_close(struct slow *s, struct region *r, uint32_t slot)
{
	struct tp_slot *t = slot_at(r, slot);

	atomic_store_explicit(&t->state, TP_SLOT_FREE, memory_order_release);
	punch(r, slot, TP_RX, t->rx_geom);
	punch(r, slot, TP_TX, t->tx_geom);
	r->free_slot[r->free_slots++] = slot;
	r->flows--;
	retire(s, r);
}

void slot_set_state(const struct region *r, uint32_t slot, enum tp_slot_state state)
{
	atomic_store_explicit(&slot_at(r, slot)->state, state, memory_order_release);
}

uint64_t slot_written(const struct region *r, uint32_t slot)
{
	return atomic_load_explicit(&slot_at(r, slot)->tx_head, memory_order_acquire);
}

uint64_t slot_read(const struct region *r, uint32_t slot)
{
	return atomic_load_explicit(&slot_at(r, slot)->rx_tail, memory_order_acquire);
}

bool slot_has_eof(const struct region *r, uint32_t slot)
{
	return atomic_load_explicit(&slot_at(r, slot)->fast_flags, memory_order_acquire) & TP_F_EOF;
}

bool slot_has_unread(const struct region *r, uint32_t slot)
{
	const struct tp_slot *t = slot_at(r, slot);

	return atomic_load_explicit(&t->rx_head, memory_order_relaxed) !=
	       atomic_load_explicit(&t->rx_tail, memory_order_relaxed);
}

uint32_t slot_unread(const struct region *r, uint32_t slot, uint64_t head)
{
	return (uint32_t)(head - atomic_load_explicit(&slot_at(r, slot)->rx_tail,
						      memory_order_acquire));
}

static void unlock(_Atomic uint32_t *lock)
{
	if (atomic_exchange(lock, 0) & TP_LOCK_WAITERS)
		syscall(SYS_futex, lock, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

int slot_take_unread(const struct region *r, uint32_t slot, uint64_t head, bool force,
		     uint64_t *ret_from, uint32_t *ret_len)
{
	struct tp_slot *t = slot_at(r, slot);
	uint64_t geom = t->rx_geom, tail;
	uint32_t free = 0;

	if (!atomic_compare_exchange_strong(&t->rx_lock, &free, TP_LOCK_DAEMON)) {
		if (!force)
			return -EAGAIN;
		atomic_store(&t->rx_lock, TP_LOCK_DAEMON | TP_LOCK_WAITERS);
	}
	/* at once if forced: either the reader publishes what it read, or we have it */
	tail = force ? atomic_exchange(&t->rx_tail, head) : atomic_load(&t->rx_tail);
	/* scribbled over: its own bytes, which it has lost */
	if (!pipe_geom_ok(geom) || head - tail > pipe_size(geom))
		tail = head;
	*ret_from = tail;
	*ret_len = (uint32_t)(head - tail);
	return 0;
}

/* State before tail: who sees no bytes in the pipe any more looks for them in Linux. */
void slot_give_up_unread(const struct region *r, uint32_t slot, uint64_t head)
{
	struct tp_slot *t = slot_at(r, slot);

	if (atomic_load(&t->state) != TP_SLOT_DEAD)
		slot_set_state(r, slot, TP_SLOT_LINUX);
	atomic_store(&t->rx_tail, head);
	unlock(&t->rx_lock);
}

void slot_read_taken(const struct region *r, uint32_t slot, uint64_t from, uint8_t *dst,
		     uint32_t len)
{
	const struct tp_pipe_mem mem = {
		.small = tp_small_at(r->fast.base, &r->fast.geo, slot, TP_RX),
		.big = tp_big_at(r->fast.base, &r->fast.geo, slot, TP_RX),
	};
	uint64_t geom = slot_at(r, slot)->rx_geom;

	if (!pipe_geom_ok(geom))
		geom = pipe_geom(TP_ORDER_BIG, 0);
	while (len) {
		unsigned char *at;
		uint32_t n = pipe_span(&mem, geom, from, len, &at);

		memcpy(dst, at, n);
		dst += n;
		from += n;
		len -= n;
	}
}
