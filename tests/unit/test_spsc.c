// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_spsc.c - the ring between two threads of the daemon.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../user/fast/spsc.h"

#define ENTRIES	8U
#define MANY	200000U

struct entry { uint64_t number, twice; };

static struct spsc ring;

static bool put(uint64_t n)
{
	struct entry *e = spsc_reserve(&ring);

	if (!e)
		return false;
	*e = (struct entry){ n, 2 * n };
	spsc_commit(&ring);
	return true;
}

static bool get(uint64_t *ret_n)
{
	struct entry *e = spsc_peek(&ring);

	if (!e || e->twice != 2 * e->number)
		return false;
	*ret_n = e->number;
	spsc_release(&ring);
	return true;
}

static int setup(void **state)
{
	(void)state;
	return spsc_init(&ring, ENTRIES, sizeof(struct entry));
}

static int teardown(void **state)
{
	(void)state;
	spsc_free(&ring);
	return 0;
}

static void it_holds_what_it_says_and_gives_it_back_in_order(void **state)
{
	uint64_t n;

	(void)state;
	for (uint64_t round = 0; round < 5; round++) {
		for (uint64_t i = 0; i < ENTRIES; i++)
			assert_true(put(round * 100 + i));
		assert_false(put(0));
		assert_int_equal(spsc_used(&ring), ENTRIES);
		for (uint64_t i = 0; i < ENTRIES; i++) {
			assert_true(get(&n));
			assert_int_equal(n, round * 100 + i);
		}
		assert_false(get(&n));
	}
}

static void a_reservation_that_is_not_committed_is_not_seen(void **state)
{
	uint64_t n;

	(void)state;
	assert_non_null(spsc_reserve(&ring));
	assert_false(get(&n));
	assert_true(put(7));
	assert_true(get(&n));
	assert_int_equal(n, 7);
}

static void counters_wrap(void **state)
{
	uint64_t n;

	(void)state;
	ring.head = ring.tail = ring.head_seen = ring.tail_seen = ~0U - 2;
	for (uint64_t i = 0; i < 3 * ENTRIES; i++) {
		assert_true(put(i));
		assert_true(get(&n));
		assert_int_equal(n, i);
	}
}

static void *produce(void *arg)
{
	for (uint64_t i = 0; i < MANY; i++)
		while (!put(i))
			sched_yield();
	return arg;
}

static void two_threads_lose_and_repeat_nothing(void **state)
{
	pthread_t id;
	uint64_t n;

	(void)state;
	assert_int_equal(pthread_create(&id, NULL, produce, NULL), 0);
	for (uint64_t i = 0; i < MANY; i++) {
		while (!get(&n))
			sched_yield();
		assert_int_equal(n, i);
	}
	pthread_join(id, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_holds_what_it_says_and_gives_it_back_in_order,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_reservation_that_is_not_committed_is_not_seen,
						setup, teardown),
		cmocka_unit_test_setup_teardown(counters_wrap, setup, teardown),
		cmocka_unit_test_setup_teardown(two_threads_lose_and_repeat_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
