// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_yield.c - when a fast thread leaves off yielding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../user/fast/yield.h"

#define US	1000ULL
#define MS	1000000ULL

static void a_yield_that_works_is_never_given_up(void **state)
{
	struct yield y = { 0 };
	uint64_t at = MS;

	(void)state;
	for (int i = 0; i < 100000; i++, at += 20 * US) {
		yield_took(&y, at, at + 3 * US);
		yield_brought(&y, at + 3 * US, i % 3 == 0);
	}
	assert_true(yield_may(&y, at));
}

/* Of two scheduling groups: the program never runs. */
static void yields_in_vain_end_for_longer_each_time(void **state)
{
	struct yield y = { 0 };
	uint64_t at = 1000 * MS, pause = BACKOFF_FIRST_NS;

	(void)state;
	for (int k = 0; k < 4; k++, pause *= 2) {
		for (uint32_t i = 0; i < YIELD_VAIN; i++) {
			assert_true(yield_may(&y, at));
			yield_took(&y, at, at + US);
			yield_brought(&y, at, false);
		}
		assert_false(yield_may(&y, at + pause - 1));
		assert_true(yield_may(&y, at + pause + US));
		at += pause + US;
	}
}

/* A task that always wants the CPU gets a slice; a hypervisor takes a little now and then. */
static void lost_time_ends_them_at_once_but_a_little_is_forgiven(void **state)
{
	struct yield y = { 0 };
	uint64_t at = 1000 * MS;

	(void)state;
	for (int i = 0; i < 20; i++, at += 50 * MS)
		yield_took(&y, at, at + MS);
	assert_true(yield_may(&y, at));
	yield_took(&y, at, at + 3 * MS);
	assert_false(yield_may(&y, at + 3 * MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_yield_that_works_is_never_given_up),
		cmocka_unit_test(yields_in_vain_end_for_longer_each_time),
		cmocka_unit_test(lost_time_ends_them_at_once_but_a_little_is_forgiven),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
