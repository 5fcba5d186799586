/* SPDX-License-Identifier: BSD-2-Clause
 *
 * appq.c - lanes in, context queues out, and who must be woken.
 *
 * A batch: appq_notify() for each slot that has news, any number of times, then one
 * appq_flush(). The queues are written at once, so a waiter that polls sees news early; who
 * sleeps is looked for at the end, behind one full fence. That fence pairs with the one of
 * shm_abi.h's sleepers: either we see the sleep word, or they see the news.
 *
 * Who was woken counts as awake until its sleep word is set again; the idle policy does
 * not fight such a program for the CPU.
 */
#include "appq.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "flow.h"

#define relaxed	memory_order_relaxed

struct appq *appq_new(struct fast_region *r, uint32_t thread)
{
	struct appq *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	list_init(&q->gone);
	q->region = r;
	q->base = r->base;
	q->geo = r->geo;
	q->thread = thread;
	q->lane = tp_lane_at(r->base, &r->geo, thread);
	q->lane_tail = atomic_load_explicit(&q->lane->tail, relaxed);
	q->wake_max = r->geo.slots;
	q->by_slot = calloc(r->geo.slots, sizeof(*q->by_slot));
	q->wake = calloc(r->geo.slots, sizeof(*q->wake));
	if (!q->by_slot || !q->wake) {
		appq_free(q);
		return NULL;
	}
	for (uint32_t c = 0; c < r->geo.ctxs && c < TP_MAX_CTX; c++)
		if (r->ctx_fd[c] >= 0)
			appq_ctx(q, c);
	return q;
}

void appq_free(struct appq *q)
{
	free(q->by_slot);
	free(q->wake);
	free(q);
}

void appq_ctx(struct appq *q, uint32_t index)
{
	const struct tp_ctx *ctx = tp_ctx_at(q->base, &q->geo, index);

	if (index >= q->geo.ctxs || index >= TP_MAX_CTX)
		return;
	q->ctx_head[index] = atomic_load_explicit(&ctx->queue[q->thread].head, relaxed);
	q->ctxs |= 1ULL << index;
}

static _Atomic uint32_t *lane_entry(const struct appq *q)
{
	return &q->lane->entry[q->lane_tail & (TP_SLOTS - 1)];
}

static void lane_step(struct appq *q)
{
	q->hole_ns = 0;
	atomic_store_explicit(&q->lane->tail, ++q->lane_tail, relaxed);
}

/* The entry at our tail is empty: nothing there, or its producer is not done with it. */
static bool hole_expired(struct appq *q, uint64_t now_ns)
{
	if (atomic_load_explicit(&q->lane->head, relaxed) == q->lane_tail) {
		q->hole_ns = 0;
		return false;
	}
	if (!q->hole_ns)
		q->hole_ns = now_ns;
	return now_ns - q->hole_ns >= APPQ_HOLE_NS;
}

bool appq_next(struct appq *q, uint64_t now_ns, uint32_t *ret_slot, bool *ret_hole)
{
	uint32_t entry;

	while (!(entry = atomic_load_explicit(lane_entry(q), memory_order_acquire))) {
		if (!hole_expired(q, now_ns))
			return false;
		lane_step(q);
		*ret_hole = true;
	}
	atomic_store_explicit(lane_entry(q), 0, relaxed);
	lane_step(q);
	*ret_slot = (entry - 1) & (q->geo.slots - 1);
	/* before the slot is looked at: a later kick puts it into the lane again */
	atomic_exchange(&appq_slot(q, *ret_slot)->kicked, 0);
	return true;
}

uint64_t appq_hole_deadline(const struct appq *q)
{
	return q->hole_ns ? q->hole_ns + APPQ_HOLE_NS : ~0ULL;
}

bool appq_pending(const struct appq *q)
{
	return atomic_load_explicit(lane_entry(q), relaxed) != 0;
}

static void ctx_push(struct appq *q, uint32_t c, uint32_t slot)
{
	struct tp_ctx_queue *cq = &tp_ctx_at(q->base, &q->geo, c)->queue[q->thread];
	uint32_t head = q->ctx_head[c]++;

	atomic_store_explicit(&cq->entry[head & (TP_SLOTS - 1)], slot, relaxed);
	atomic_store_explicit(&cq->head, head + 1, memory_order_release);
	q->ctx_given |= 1ULL << c;
}

void appq_notify(struct appq *q, uint32_t slot)
{
	struct tp_slot *s = appq_slot(q, slot);
	uint64_t want = atomic_load_explicit(&s->notify, relaxed) & q->ctxs;

	/* a full barrier: the news is visible before the bit, and whoever clears the bit
	 * afterwards looks at the slot again
	 */
	uint64_t fresh = want ? want & ~atomic_fetch_or(&s->pending, want) : 0;

	for (; fresh; fresh &= fresh - 1)
		ctx_push(q, (uint32_t)__builtin_ctzll(fresh), slot);
	if (q->wake_n < q->wake_max)
		q->wake[q->wake_n++] = slot;
}

/* Who had nothing to do gets news: TP_ASLEEP, and is to be woken; or TP_YIELDS, and is only noted. */
static uint32_t take_sleeper(struct appq *q, _Atomic uint32_t *word)
{
	uint32_t was = atomic_load_explicit(word, relaxed);

	if (was)
		was = atomic_exchange(word, TP_AWAKE);
	if ((was & 3) != TP_YIELDS)
		return was ? TP_ASLEEP : TP_AWAKE;
	q->gave = (was >> 2) + 1;
	return TP_YIELDS;
}

/* Returns whether there was a waiter. */
static bool wake_waiter(struct appq *q, _Atomic uint32_t *word, uint32_t *woken)
{
	uint32_t was = take_sleeper(q, word);

	if (was == TP_ASLEEP) {
		syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
		++*woken;
	}
	return was != TP_AWAKE;
}

static void wake_context(struct appq *q, uint32_t c)
{
	static const uint64_t one = 1;

	if (atomic_load_explicit(&q->banned, relaxed) >> c & 1)
		return;
	atomic_store_explicit(&q->waking, ++q->wakes << 8 | c, relaxed);
	/* EAGAIN: the counter is full, so the waiter has its event */
	(void)!write(q->region->ctx_fd[c], &one, sizeof(one));
	atomic_store_explicit(&q->waking, 0, relaxed);
}

void appq_watch(struct appq *q)
{
	uint64_t now = atomic_load_explicit(&q->waking, relaxed), drained;
	uint32_t c = now & 0xff;

	if (now && now == q->watched) {
		atomic_fetch_or(&q->banned, 1ULL << c);
		(void)fcntl(q->region->ctx_fd[c], F_SETFL, O_NONBLOCK);
		(void)!read(q->region->ctx_fd[c], &drained, sizeof(drained));
	}
	q->watched = now;
}

static uint32_t wake_contexts(struct appq *q)
{
	uint32_t woken = 0;

	for (uint64_t left = q->ctx_given; left; left &= left - 1) {
		uint32_t c = (uint32_t)__builtin_ctzll(left);

		if (take_sleeper(q, &tp_ctx_at(q->base, &q->geo, c)->sleep) != TP_ASLEEP)
			continue;
		wake_context(q, c);
		woken++;
	}
	q->ctx_busy |= q->ctx_given;
	q->ctx_given = 0;
	return woken;
}

uint32_t appq_flush(struct appq *q)
{
	uint32_t woken;

	if (!q->ctx_given && !q->wake_n)
		return 0;

	atomic_thread_fence(memory_order_seq_cst);
	woken = wake_contexts(q);
	for (uint32_t i = 0; i < q->wake_n; i++) {
		struct tp_slot *s = appq_slot(q, q->wake[i]);
		bool reader = wake_waiter(q, &s->rx_wait, &woken);
		bool writer = wake_waiter(q, &s->tx_wait, &woken);

		if (reader || writer) {
			q->slot_busy = q->wake[i];
			q->has_slot_busy = true;
		}
	}
	q->wake_n = 0;
	return woken;
}

static bool slot_awake_on(struct appq *q, uint32_t cpu)
{
	const struct tp_slot *s = appq_slot(q, q->slot_busy);

	if (q->has_slot_busy && (atomic_load_explicit(&s->rx_wait, relaxed) ||
				 atomic_load_explicit(&s->tx_wait, relaxed)))
		q->has_slot_busy = false;
	return q->has_slot_busy && atomic_load_explicit(&s->cpu, relaxed) == cpu;
}

bool appq_awake_on(struct appq *q, uint32_t cpu)
{
	for (uint64_t left = q->ctx_busy; left; left &= left - 1) {
		uint32_t c = (uint32_t)__builtin_ctzll(left);
		const struct tp_ctx *ctx = tp_ctx_at(q->base, &q->geo, c);

		if (atomic_load_explicit(&ctx->sleep, relaxed))
			q->ctx_busy &= ~(1ULL << c);
		else if (atomic_load_explicit(&ctx->cpu, relaxed) == cpu)
			return true;
	}
	return slot_awake_on(q, cpu);
}

void appq_forget_awake(struct appq *q)
{
	q->ctx_busy = 0;
	q->has_slot_busy = false;
}
