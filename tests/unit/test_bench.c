/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_bench.c - the histogram that the measuring programs count with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../bench/bench.h"

static struct hist h;

static int fresh(void **state)
{
	(void)state;
	memset(&h, 0, sizeof(h));
	return 0;
}

static void each_value_falls_in_a_bucket_that_reaches_up_to_it(void **state)
{
	(void)state;
	for (uint64_t v = 0; v < UINT64_MAX / 3; v = v * 3 / 2 + 1) {
		uint32_t i = hist_index(v);

		assert_in_range(i, 0, HIST_BUCKETS - 1);
		assert_true(hist_top(i) >= v);
		assert_true(i == 0 || hist_top(i - 1) < v);
	}
	assert_in_range(hist_index(UINT64_MAX), 0, HIST_BUCKETS - 1);
}

static void a_bucket_is_narrower_than_one_percent(void **state)
{
	(void)state;
	for (uint32_t i = HIST_SUB; i < HIST_BUCKETS - 1; i++)
		assert_true(hist_top(i) - hist_top(i - 1) <= hist_top(i) / 100);
}

static void percentiles_of_a_thousand_values_are_within_one_percent(void **state)
{
	static const struct { double percent; uint64_t want; } cases[] = {
		{ 50, 500000 }, { 90, 900000 }, { 99, 990000 }, { 99.9, 999000 }, { 100, 1000000 },
	};

	(void)state;
	for (uint64_t v = 1; v <= 1000; v++)
		hist_add(&h, v * 1000);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t got = hist_at(&h, cases[i].percent);

		assert_in_range(got, cases[i].want, cases[i].want * 101 / 100);
	}
	assert_true(hist_mean(&h) == 500500.0);
}

static void no_percentile_exceeds_the_largest_value(void **state)
{
	(void)state;
	hist_add(&h, 1000001);
	assert_int_equal(hist_at(&h, 99.99), 1000001);
}

static void a_histogram_of_nothing_says_zero(void **state)
{
	(void)state;
	assert_int_equal(hist_at(&h, 50), 0);
	assert_true(hist_mean(&h) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_value_falls_in_a_bucket_that_reaches_up_to_it),
		cmocka_unit_test(a_bucket_is_narrower_than_one_percent),
		cmocka_unit_test_setup(percentiles_of_a_thousand_values_are_within_one_percent, fresh),
		cmocka_unit_test_setup(no_percentile_exceeds_the_largest_value, fresh),
		cmocka_unit_test_setup(a_histogram_of_nothing_says_zero, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
