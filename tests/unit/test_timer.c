// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/fast/timer.c */
/*
 * test_timer.c - the timer wheel against a list that is searched for the earliest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../user/fast/timer.h"

#define TICK	(1ULL << TIMER_TICK_SHIFT)
#define N	200

static uint64_t rnd_state = 1;

static uint64_t rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state;
}

static void a_timer_fires_once_and_never_early(void **state)
{
	static const uint64_t delays[] = {
		0, 1, TICK - 1, TICK, TICK + 1, 63 * TICK, 64 * TICK, 65 * TICK,
		4096 * TICK, 4097 * TICK + 5, 300000000ULL, 86400000000000ULL,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
		uint64_t now = 123456789123ULL, at = now + delays[i];
		struct timer_wheel w;
		struct timer t = { 0 };

		wheel_init(&w, now);
		timer_set(&w, &t, at);
		assert_true(wheel_next(&w) <= at + TICK);
		if (at > now)
			assert_null(wheel_pop(&w, at - 1));
		assert_ptr_equal(wheel_pop(&w, at + TICK), &t);
		assert_false(timer_is_set(&t));
		assert_null(wheel_pop(&w, at + 1000 * TICK));
		assert_int_equal(wheel_next(&w), ~0ULL);
	}
}

/* A pair of segments takes 242 us at 100 Mbit/s. Flows whose turns are a tenth of that apart must not send
 * at the same time.
 */
static void timers_a_few_microseconds_apart_fire_apart(void **state)
{
	struct timer_wheel w;
	struct timer t[10] = { 0 };

	(void)state;
	wheel_init(&w, 1000);
	for (uint64_t i = 0; i < 10; i++)
		timer_set(&w, &t[i], 5000000 + i * 24000);
	for (uint64_t i = 0; i < 10; i++) {
		uint64_t soon = 5010000 + i * 24000;

		assert_ptr_equal(wheel_pop(&w, soon), &t[i]);
		assert_null(wheel_pop(&w, soon));
	}
}

static void setting_again_moves_and_clearing_stops(void **state)
{
	struct timer_wheel w;
	struct timer t = { 0 };

	(void)state;
	wheel_init(&w, 0);
	timer_set(&w, &t, 100 * TICK);
	timer_set(&w, &t, 5000 * TICK);
	assert_null(wheel_pop(&w, 200 * TICK));
	timer_set(&w, &t, 300 * TICK);
	assert_ptr_equal(wheel_pop(&w, 301 * TICK), &t);
	timer_set(&w, &t, 400 * TICK);
	timer_clear(&w, &t);
	timer_clear(&w, &t);
	assert_null(wheel_pop(&w, 10000 * TICK));
}

static void the_end_of_time_can_be_set(void **state)
{
	struct timer_wheel w;
	struct timer t = { 0 };

	(void)state;
	wheel_init(&w, 1000);
	timer_set(&w, &t, ~0ULL);
	assert_null(wheel_pop(&w, 1ULL << 60));
	assert_true(timer_is_set(&t));
	timer_clear(&w, &t);
	assert_int_equal(wheel_next(&w), ~0ULL);
}

/* Everything due by @now, and nothing else, comes out. */
static void pop_due(struct timer_wheel *w, struct timer *t, const uint64_t *at, uint64_t now)
{
	struct timer *got;

	while ((got = wheel_pop(w, now)))
		if (at[got - t] > now)
			fail_msg("fired %lu ns early", at[got - t] - now);
	for (int i = 0; i < N; i++)
		if (timer_is_set(&t[i]) && at[i] + TICK <= now)
			fail_msg("%lu ns late", now - at[i]);
}

static void many_timers_keep_their_times(void **state)
{
	struct timer_wheel w;
	struct timer t[N] = { 0 };
	uint64_t at[N], now = 77 * TICK + 5;

	(void)state;
	wheel_init(&w, now);
	for (int step = 0; step < 200000; step++) {
		int i = (int)(rnd() % N);

		switch (rnd() % 4) {
		case 0:
			now += rnd() % (1ULL << rnd() % 38);
			pop_due(&w, t, at, now);
			break;
		case 1:
			timer_clear(&w, &t[i]);
			break;
		default:
			at[i] = now + rnd() % (1ULL << rnd() % 42);
			timer_set(&w, &t[i], at[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timer_fires_once_and_never_early),
		cmocka_unit_test(timers_a_few_microseconds_apart_fire_apart),
		cmocka_unit_test(setting_again_moves_and_clearing_stops),
		cmocka_unit_test(the_end_of_time_can_be_set),
		cmocka_unit_test(many_timers_keep_their_times),
	};

	return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
