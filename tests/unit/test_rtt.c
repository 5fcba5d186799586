// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/fast/rtt.c */
/*
 * test_rtt.c - round trip and timeout, as Linux and RFC 6298 have them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../user/fast/rtt.h"

#define MS	1000000ULL

static struct rtt fresh(void)
{
	struct rtt r;

	rtt_init(&r, 0, 0, 0, 200000, 0);
	return r;
}

static void the_first_sample_sets_srtt_and_half_of_it_as_variation(void **state)
{
	struct rtt r = fresh();

	(void)state;
	assert_int_equal(r.rto_us, 1000000);
	rtt_sample(&r, 200000, 1, 2, 0);
	assert_int_equal(r.srtt_us, 200000);
	assert_int_equal(r.mdev_us / 4, 100000);
	assert_int_equal(r.rto_us, 200000 + 400000);
}

static void steady_samples_settle_at_the_floor(void **state)
{
	struct rtt r = fresh();

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		rtt_sample(&r, 50, i * 10, i * 10 + 10, i * MS);
	assert_in_range(r.srtt_us, 49, 51);
	assert_in_range(r.rto_us, 200000, 201000);
	assert_int_equal(r.min_us, 50);
}

static void variation_raises_the_timeout_and_falls_slowly(void **state)
{
	struct rtt r = fresh();
	uint32_t high;

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		rtt_sample(&r, i & 1 ? 500000 : 100000, i * 10, i * 10 + 10, i * MS);
	high = r.rto_us;
	assert_true(high > 600000);
	rtt_sample(&r, 300000, 10000, 10010, 200 * MS);
	assert_true(r.rto_us > high / 2);
}

static void the_timeout_doubles_up_to_two_minutes(void **state)
{
	struct rtt r = fresh();

	(void)state;
	rtt_sample(&r, 1, 1, 2, 0);
	assert_int_equal(rtt_rto_ns(&r, 1), 2 * rtt_rto_ns(&r, 0));
	assert_int_equal(rtt_rto_ns(&r, 30), 120000 * MS);
	assert_int_equal(rtt_rto_ns(&r, 200), 120000 * MS);
}

static void fifteen_retries_take_as_long_as_in_linux(void **state)
{
	struct rtt r = fresh();

	(void)state;
	assert_int_equal(rtt_give_up_ns(&r, 15) / MS, 924600);
	assert_int_equal(rtt_give_up_ns(&r, 8) / MS, 102200);
}

static void the_smallest_round_trip_is_forgotten_after_minutes(void **state)
{
	struct rtt r = fresh();
	uint64_t s = 1000 * MS;

	(void)state;
	rtt_sample(&r, 100, 1, 2, 0);
	rtt_sample(&r, 900, 1, 2, 100 * s);
	assert_int_equal(r.min_us, 100);
	for (uint64_t at = 100; at < 700; at += 10)
		rtt_sample(&r, 900, 1, 2, at * s);
	assert_int_equal(r.min_us, 900);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_sample_sets_srtt_and_half_of_it_as_variation),
		cmocka_unit_test(steady_samples_settle_at_the_floor),
		cmocka_unit_test(variation_raises_the_timeout_and_falls_slowly),
		cmocka_unit_test(the_timeout_doubles_up_to_two_minutes),
		cmocka_unit_test(fifteen_retries_take_as_long_as_in_linux),
		cmocka_unit_test(the_smallest_round_trip_is_forgotten_after_minutes),
	};

	return cmocka_run_group_tests_name("rtt", tests, NULL, NULL);
}
