// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/fast/appq.c */
/*
 * test_appq.c - kicks in, events out, one wake a sleeper; whatever a program writes.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/fast/appq.h"

#define MS	1000000ULL

static struct fast_region region;
static struct appq *q;

static struct tp_slot *slot_at(uint32_t i) { return tp_slot_at(region.base, &region.geo, i); }
static struct tp_ctx *ctx_at(uint32_t i) { return tp_ctx_at(region.base, &region.geo, i); }

static int setup(void **state)
{
	(void)state;
	memset(&region, 0, sizeof(region));
	tp_region_layout(&region.geo, 1, 2);
	region.base = mmap(NULL, region.geo.size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (region.base == MAP_FAILED)
		return -1;
	for (uint32_t i = 0; i < TP_MAX_CTX; i++)
		region.ctx_fd[i] = i < 3 ? eventfd(0, EFD_NONBLOCK) : -1;
	q = appq_new(&region, 1);
	return q ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	appq_free(q);
	for (uint32_t i = 0; i < 3; i++)
		close(region.ctx_fd[i]);
	munmap(region.base, region.geo.size);
	return 0;
}

/* As a program puts a slot into the lane; 0: it died before the last store. */
static void lane_put(uint32_t entry)
{
	uint32_t pos = atomic_fetch_add(&q->lane->head, 1);

	atomic_store(&q->lane->entry[pos % TP_SLOTS], entry);
}

static void kick(uint32_t slot)
{
	if (!atomic_exchange(&slot_at(slot)->kicked, 1))
		lane_put(slot + 1);
}

static int64_t next_at(uint64_t now_ns, bool *ret_hole)
{
	uint32_t slot;

	return appq_next(q, now_ns, &slot, ret_hole) ? (int64_t)slot : -1;
}

static int64_t next(void)
{
	bool hole = false;
	int64_t slot = next_at(1, &hole);

	assert_false(hole);
	return slot;
}

static uint64_t wakes_of(uint32_t c)
{
	uint64_t n = 0;

	return read(region.ctx_fd[c], &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static int64_t event_of(uint32_t c)
{
	struct tp_ctx_queue *cq = &ctx_at(c)->queue[1];
	uint32_t slot;

	if (cq->head == cq->tail)
		return -1;
	slot = cq->entry[cq->tail++ % TP_SLOTS];
	atomic_fetch_and(&slot_at(slot)->pending, ~(1ULL << c));
	return slot;
}

static void kicked_slots_come_once_each_and_in_order(void **state)
{
	(void)state;
	kick(5);
	kick(9);
	kick(5);
	assert_true(appq_pending(q));
	assert_int_equal(next(), 5);
	kick(5);
	assert_int_equal(next(), 9);
	assert_int_equal(next(), 5);
	assert_int_equal(next(), -1);
	assert_false(appq_pending(q));
}

static void a_lane_wraps(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 3 * TP_SLOTS; i++) {
		kick(i % TP_SLOTS);
		assert_int_equal(next(), i % TP_SLOTS);
	}
}

static void a_hole_is_waited_for_then_skipped(void **state)
{
	bool hole = false;

	(void)state;
	lane_put(0);
	kick(7);
	assert_int_equal(next_at(1, &hole), -1);
	assert_true(appq_hole_deadline(q) <= 1 + 10 * MS);
	assert_int_equal(next_at(9 * MS, &hole), -1);
	assert_false(hole);
	assert_int_equal(next_at(11 * MS, &hole), 7);
	assert_true(hole);
	assert_int_equal(appq_hole_deadline(q), ~0ULL);
}

static void a_slow_producer_leaves_no_hole(void **state)
{
	bool hole = false;
	uint32_t pos = atomic_fetch_add(&q->lane->head, 1);

	(void)state;
	assert_int_equal(next_at(1, &hole), -1);
	atomic_store(&q->lane->entry[pos % TP_SLOTS], 3 + 1);
	assert_int_equal(next_at(2, &hole), 3);
	assert_false(hole);
	assert_int_equal(appq_hole_deadline(q), ~0ULL);
}

static void a_slot_number_beyond_the_region_is_bounded(void **state)
{
	static const uint32_t lies[] = { TP_SLOTS + 1, 0x80000000, ~0U };

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		lane_put(lies[i]);
		assert_in_range(next(), 0, TP_SLOTS - 1);
	}
}

static void news_goes_to_the_contexts_that_asked(void **state)
{
	(void)state;
	slot_at(4)->notify = 1 << 0 | 1 << 2;
	appq_notify(q, 4);
	appq_flush(q);
	assert_int_equal(event_of(0), 4);
	assert_int_equal(event_of(1), -1);
	assert_int_equal(event_of(2), 4);
}

static void a_slot_stands_in_a_queue_once_until_it_is_looked_at(void **state)
{
	(void)state;
	slot_at(4)->notify = 1;
	for (int i = 0; i < 3; i++) {
		appq_notify(q, 4);
		appq_flush(q);
	}
	assert_int_equal(event_of(0), 4);
	assert_int_equal(event_of(0), -1);
	appq_notify(q, 4);
	appq_flush(q);
	assert_int_equal(event_of(0), 4);
}

static void a_context_that_does_not_exist_is_not_touched(void **state)
{
	(void)state;
	slot_at(4)->notify = ~0ULL;
	appq_notify(q, 4);
	appq_flush(q);
	assert_int_equal(slot_at(4)->pending, 7);
	assert_int_equal(ctx_at(3)->queue[1].head, 0);

	region.ctx_fd[3] = eventfd(0, EFD_NONBLOCK);
	appq_ctx(q, 3);
	appq_notify(q, 4);
	assert_int_equal(event_of(3), 4);
	close(region.ctx_fd[3]);
}

static void a_sleeper_is_woken_once_a_batch_and_nobody_else(void **state)
{
	(void)state;
	ctx_at(0)->sleep = 1;
	for (uint32_t i = 0; i < 10; i++) {
		slot_at(i)->notify = 3;
		appq_notify(q, i);
	}
	assert_int_equal(appq_flush(q), 1);
	assert_int_equal(ctx_at(0)->sleep, 0);
	assert_int_equal(wakes_of(0), 1);
	assert_int_equal(wakes_of(1), 0);
	assert_int_equal(appq_flush(q), 0);
}

static void futex_sleepers_of_a_slot_are_woken(void **state)
{
	(void)state;
	slot_at(8)->rx_wait = 1;
	slot_at(9)->tx_wait = 1;
	appq_notify(q, 8);
	assert_int_equal(appq_flush(q), 1);
	assert_int_equal(slot_at(8)->rx_wait, 0);
	assert_int_equal(slot_at(9)->tx_wait, 1);
}

static void who_yields_is_told_of_and_not_woken(void **state)
{
	(void)state;
	ctx_at(0)->sleep = TP_YIELDS_ON(5);
	slot_at(8)->notify = 1;
	slot_at(9)->rx_wait = TP_YIELDS_ON(6);
	assert_int_equal(appq_gave(q), 0);
	appq_notify(q, 8);
	assert_int_equal(appq_flush(q), 0);
	assert_int_equal(ctx_at(0)->sleep, TP_AWAKE);
	assert_int_equal(wakes_of(0), 0);
	assert_int_equal(appq_gave(q), 6);
	assert_int_equal(appq_gave(q), 0);
	appq_notify(q, 9);
	assert_int_equal(appq_flush(q), 0);
	assert_int_equal(slot_at(9)->rx_wait, TP_AWAKE);
	assert_int_equal(appq_gave(q), 7);
	/* it is at work until it yields again, or sleeps */
	ctx_at(0)->cpu = 5;
	assert_true(appq_awake_on(q, 5));
	slot_at(9)->rx_wait = TP_YIELDS_ON(5);
	assert_true(appq_awake_on(q, 5));
	ctx_at(0)->sleep = TP_YIELDS_ON(5);
	assert_false(appq_awake_on(q, 5));
}

static void a_program_hears_where_the_thread_yields(void **state)
{
	(void)state;
	assert_int_equal(q->lane->yields_on, 0);
	appq_yields_on(q, 3);
	assert_int_equal(q->lane->yields_on, 3);
	appq_yielded(q);
	appq_yielded(q);
	assert_int_equal(q->lane->yielded, 2);
}

static void a_context_counts_as_awake_until_it_sleeps(void **state)
{
	(void)state;
	ctx_at(1)->sleep = 1;
	ctx_at(1)->cpu = 3;
	slot_at(0)->notify = 2;
	assert_false(appq_awake_on(q, 3));
	appq_notify(q, 0);
	appq_flush(q);
	assert_true(appq_awake_on(q, 3));
	assert_false(appq_awake_on(q, 2));
	ctx_at(1)->sleep = 1;
	assert_false(appq_awake_on(q, 3));
	ctx_at(1)->sleep = 0;	/* it woke by itself: nothing of ours to do */
	assert_false(appq_awake_on(q, 3));
}

static void a_sleeper_on_a_slot_counts_where_it_ran_last(void **state)
{
	(void)state;
	slot_at(0)->rx_wait = TP_ASLEEP;
	slot_at(0)->cpu = 3;
	appq_notify(q, 0);
	assert_int_equal(appq_flush(q), 1);
	assert_true(appq_awake_on(q, 3));
	assert_false(appq_awake_on(q, 2));
	slot_at(0)->cpu = 2;
	assert_true(appq_awake_on(q, 2));
	slot_at(0)->tx_wait = TP_ASLEEP;
	assert_false(appq_awake_on(q, 2));
}

static void who_never_sleeps_again_can_be_forgotten(void **state)
{
	(void)state;
	slot_at(0)->notify = 1;
	slot_at(0)->rx_wait = 1;
	appq_notify(q, 0);
	appq_flush(q);
	assert_true(appq_awake_on(q, 0));
	appq_forget_awake(q);
	assert_false(appq_awake_on(q, 0));
}

static void a_program_that_clears_bits_at_will_fills_only_its_own_queue(void **state)
{
	(void)state;
	slot_at(1)->notify = 1;
	for (uint32_t i = 0; i < 3 * TP_SLOTS; i++) {
		slot_at(1)->pending = 0;
		appq_notify(q, 1);
		appq_flush(q);
	}
	assert_int_equal(ctx_at(0)->queue[1].head, 3 * TP_SLOTS);
	assert_int_equal(ctx_at(0)->queue[0].head, 0);
	assert_int_equal(ctx_at(1)->queue[0].head, 0);
}

static void fill_and_block(int fd)
{
	const uint64_t full = ~0ULL - 1;
	uint64_t drained;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	(void)!read(fd, &drained, sizeof(drained));
	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	fcntl(fd, F_SETFL, 0);
}

static void *flush(void *arg)
{
	(void)arg;
	appq_flush(q);
	return NULL;
}

/* A program fills its eventfd and makes it block; whoever watches gets the thread free. */
static void an_eventfd_that_blocks_holds_the_thread_only_for_a_while(void **state)
{
	pthread_t id;

	(void)state;
	fill_and_block(region.ctx_fd[0]);
	ctx_at(0)->sleep = 1;
	slot_at(0)->notify = 1;
	appq_notify(q, 0);
	assert_int_equal(pthread_create(&id, NULL, flush, NULL), 0);
	while (!q->waking)
		sched_yield();
	while (q->waking) {
		appq_watch(q);
		sched_yield();
	}
	pthread_join(id, NULL);

	assert_int_equal(q->banned, 1);
	fill_and_block(region.ctx_fd[0]);
	ctx_at(0)->sleep = 1;
	slot_at(0)->pending = 0;
	appq_notify(q, 0);
	appq_flush(q);		/* would hang */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(kicked_slots_come_once_each_and_in_order),
		T(a_lane_wraps),
		T(a_hole_is_waited_for_then_skipped),
		T(a_slow_producer_leaves_no_hole),
		T(a_slot_number_beyond_the_region_is_bounded),
		T(news_goes_to_the_contexts_that_asked),
		T(a_slot_stands_in_a_queue_once_until_it_is_looked_at),
		T(a_context_that_does_not_exist_is_not_touched),
		T(a_sleeper_is_woken_once_a_batch_and_nobody_else),
		T(futex_sleepers_of_a_slot_are_woken),
		T(who_yields_is_told_of_and_not_woken),
		T(a_program_hears_where_the_thread_yields),
		T(a_context_counts_as_awake_until_it_sleeps),
		T(a_sleeper_on_a_slot_counts_where_it_ran_last),
		T(who_never_sleeps_again_can_be_forgotten),
		T(an_eventfd_that_blocks_holds_the_thread_only_for_a_while),
		T(a_program_that_clears_bits_at_will_fills_only_its_own_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
