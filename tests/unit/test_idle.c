// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/fast/idle.c */
/*
 * test_idle.c - when a fast thread spins, waits for a kick, naps, or blocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../user/fast/idle.h"

#define US	1000ULL

/* @n arrivals, @gap_us apart; returns when the last was. */
static uint64_t arrivals(struct idle *i, uint64_t at_ns, int n, uint64_t gap_us)
{
	for (; n; n--) {
		at_ns += gap_us * US;
		idle_worked(i, at_ns, 1);
	}
	return at_ns;
}

/* For how long the thread spins after @at_ns before it blocks. */
static uint64_t spins_us(struct idle *i, uint64_t at_ns)
{
	for (uint64_t us = 0; us < 10000; us++)
		if (idle_next(i, at_ns + us * US, IDLE_NOBODY) != IDLE_SPIN)
			return us;
	return ~0ULL;
}

static void spinning_follows_the_arrivals(void **state)
{
	static const struct {
		uint64_t gap_us, spin_us;
	} cases[] = {
		{ 4, 8 }, { 20, 40 }, { 100, 50 }, { 1000, 0 }, { 100000, 0 },
	};

	(void)state;
	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		struct idle i;
		uint64_t at, spin;

		idle_init(&i, FAST_POLL_ADAPTIVE);
		at = arrivals(&i, 1, 100, cases[k].gap_us);
		spin = spins_us(&i, at);
		if (spin + 1 < cases[k].spin_us || spin > cases[k].spin_us + 1)
			fail_msg("every %lu us: spins for %lu us, not %lu", cases[k].gap_us, spin,
				 cases[k].spin_us);
	}
}

static void a_new_thread_blocks(void **state)
{
	struct idle i;

	(void)state;
	idle_init(&i, FAST_POLL_ADAPTIVE);
	assert_int_equal(idle_next(&i, 5 * US, IDLE_NOBODY), IDLE_BLOCK);
}

static void after_a_long_silence_a_few_frames_bring_the_spin_back(void **state)
{
	struct idle i;
	uint64_t at;

	(void)state;
	idle_init(&i, FAST_POLL_ADAPTIVE);
	at = arrivals(&i, 1, 1, 60000000);
	at = arrivals(&i, at, 10, 20);
	assert_true(spins_us(&i, at) > 20);
}

static void a_program_at_work_on_our_cpu_is_waited_for(void **state)
{
	struct idle i;
	uint64_t at;

	(void)state;
	idle_init(&i, FAST_POLL_ADAPTIVE);
	at = arrivals(&i, 1, 100, 10);
	assert_int_equal(idle_next(&i, at, IDLE_PROGRAM), IDLE_WAIT_KICK);
}

static void a_program_that_never_answers_is_given_up(void **state)
{
	struct idle i;

	(void)state;
	idle_init(&i, FAST_POLL_ADAPTIVE);
	for (uint32_t n = 0; n < IDLE_KICKS; n++)
		assert_int_equal(idle_next(&i, n * 200 * US, IDLE_PROGRAM), IDLE_WAIT_KICK);
	assert_true(idle_gave_up(&i));
	assert_int_equal(idle_next(&i, 2000 * US, IDLE_PROGRAM), IDLE_BLOCK);

	idle_worked(&i, 3000 * US, 0);
	assert_false(idle_gave_up(&i));
	assert_int_equal(idle_next(&i, 3001 * US, IDLE_PROGRAM), IDLE_WAIT_KICK);
}

/* One idle time of @us, ended by frames. Returns for how long it spun. */
static uint64_t idle_time(struct idle *i, uint64_t *at_ns, uint64_t us)
{
	uint64_t spun = 0;

	for (; us; us--, *at_ns += US)
		spun += idle_next(i, *at_ns, IDLE_NOBODY) == IDLE_SPIN;
	idle_worked(i, *at_ns, 1);
	return spun;
}

static void spins_that_never_pay_become_rare(void **state)
{
	uint64_t at = 1, spun = 0;
	struct idle i;

	(void)state;
	idle_init(&i, FAST_POLL_ADAPTIVE);
	at = arrivals(&i, at, 100, 100);
	for (int n = 0; n < 1000; n++)
		spun += idle_time(&i, &at, 120);
	assert_in_range(spun, 1, 1000 * 120 / 10);
}

static void when_the_peer_gets_quicker_spinning_comes_back(void **state)
{
	uint64_t at = 1, spun = 0;
	struct idle i;

	(void)state;
	idle_init(&i, FAST_POLL_ADAPTIVE);
	for (int n = 0; n < 200; n++)
		idle_time(&i, &at, 120);
	for (int n = 0; n < 200; n++)
		idle_time(&i, &at, 20);
	for (int n = 0; n < 100; n++)
		spun += idle_time(&i, &at, 20);
	assert_in_range(spun, 1900, 2000);
}

/* @n idle times in which the CPU is somebody else's for 3 ms, 1 ms apart. */
static uint64_t preempted(struct idle *i, uint64_t *at_ns, int n)
{
	uint64_t spins = 0;

	for (; n; n--) {
		spins += idle_next(i, *at_ns, IDLE_NOBODY) == IDLE_SPIN;
		*at_ns += 3000 * US;
		idle_worked(i, *at_ns, 1);
		*at_ns = arrivals(i, *at_ns, 50, 20);
	}
	return spins;
}

static void on_a_cpu_that_others_use_spins_become_rare(void **state)
{
	struct idle i;
	uint64_t at;

	(void)state;
	idle_init(&i, FAST_POLL_ADAPTIVE);
	at = arrivals(&i, 1, 100, 20);
	/* 4 ms each: in the first second some five, in the next four one or two */
	assert_in_range(preempted(&i, &at, 250), 1, 6);
	assert_in_range(preempted(&i, &at, 1000), 1, 4);
	assert_true(idle_is_shared(&i, at));
	/* and when the other is gone for long, the next one is the first again */
	at += 60000000 * US;
	assert_false(idle_is_shared(&i, at));
	at = arrivals(&i, at, 100, 20);
	assert_int_equal(preempted(&i, &at, 1), 1);
	assert_int_equal(i.shared.ns, BACKOFF_FIRST_NS);
}

/* A program at work ends a wait by its kick, or time does; if it ends much later we stood behind somebody. */
static void a_wait_for_a_kick_that_ends_late_tells_of_others(void **state)
{
	struct idle i;
	uint64_t at;

	(void)state;
	idle_init(&i, FAST_POLL_ADAPTIVE);
	at = arrivals(&i, 1, 100, 20);
	idle_waited_kick(&i, at, at + 30 * US, true);
	idle_waited_kick(&i, at, at + IDLE_KICK_NS + 20 * US, false);
	assert_false(idle_is_shared(&i, at));
	idle_waited_kick(&i, at, at + IDLE_KICK_NS + IDLE_LEAP_NS + US, true);
	at += IDLE_KICK_NS + IDLE_LEAP_NS + US;
	assert_true(idle_is_shared(&i, at + BACKOFF_FIRST_NS - 1));
	assert_false(idle_is_shared(&i, at + BACKOFF_FIRST_NS));
	/* one that belongs to the same time does not make it longer */
	idle_waited_kick(&i, at, at + 3000 * US, true);
	assert_false(idle_is_shared(&i, at + BACKOFF_FIRST_NS));
}

/* The program that is woken runs at once, and when it sleeps a third task has the CPU before us. */
static void a_wake_up_that_ends_late_tells_of_others(void **state)
{
	struct idle i;
	uint64_t at;

	(void)state;
	idle_init(&i, FAST_POLL_ADAPTIVE);
	at = arrivals(&i, 1, 100, 20);
	/* its own work, and wakes across cores */
	idle_woke(&i, at, at + 900 * US, 1);
	idle_woke(&i, at, at + 2000 * US, 64);
	assert_false(idle_is_shared(&i, at + 2000 * US));
	idle_woke(&i, at, at + 4000 * US, 1);
	assert_true(idle_is_shared(&i, at + 4000 * US));
}

static void the_slow_thread_on_our_cpu_is_not_kept_from_it(void **state)
{
	struct idle i;
	uint64_t at;

	(void)state;
	idle_init(&i, FAST_POLL_ADAPTIVE);
	at = arrivals(&i, 1, 100, 10);
	assert_int_equal(idle_next(&i, at, IDLE_SLOW), IDLE_BLOCK);
	assert_int_equal(idle_next(&i, at, IDLE_NOBODY), IDLE_SPIN);
	assert_int_equal(idle_next(&i, at + US, IDLE_SLOW), IDLE_BLOCK);
}

/* @n turns, @gap_us apart, with three frames each; the last of every @talk turns' is the end of something. */
static uint64_t hears(struct idle *i, uint64_t at_ns, int n, uint64_t gap_us, int talk)
{
	for (int k = 1; k <= n; k++) {
		at_ns += gap_us * US;
		idle_frame(i, false);
		idle_frame(i, false);
		idle_frame(i, talk && k % talk == 0);
		idle_worked(i, at_ns, 3);
	}
	return at_ns;
}

/* What a thread does that may not spin, after so many turns. */
static enum idle_how does_after(struct idle *i, int n, uint64_t gap_us, int talk)
{
	uint64_t at = 4000 * US;

	idle_woke(i, 0, at, 1);
	return idle_next(i, hears(i, at, n, gap_us, talk), IDLE_NOBODY);
}

static void where_spins_are_not_to_be_had_a_stream_is_napped_for(void **state)
{
	struct idle i;
	uint64_t at;

	(void)state;
	idle_init(&i, FAST_POLL_ADAPTIVE);
	assert_int_equal(does_after(&i, 101, 36, 20), IDLE_NAP);
	/* that brought nothing, or a kick */
	assert_int_equal(idle_next(&i, i.arrived_ns + 60 * US, IDLE_NOBODY), IDLE_BLOCK);
	idle_worked(&i, i.arrived_ns + 70 * US, 0);
	assert_int_equal(idle_next(&i, i.arrived_ns + 70 * US, IDLE_NOBODY), IDLE_BLOCK);
	/* a frame does */
	at = hears(&i, i.arrived_ns + 50 * US, 1, 36, 0);
	assert_int_equal(idle_next(&i, at, IDLE_NOBODY), IDLE_NAP);
	/* and when the peer has sent all it had, nothing is to be expected */
	idle_frame(&i, true);
	idle_worked(&i, at + 36 * US, 1);
	assert_int_equal(idle_next(&i, at + 36 * US, IDLE_NOBODY), IDLE_BLOCK);
}

static void what_is_no_stream_is_not_napped_for(void **state)
{
	static const struct {
		int turns;
		uint64_t gap_us;
		int talk;
	} cases[] = {
		{ 101, 36, 1 },		/* requests of three segments */
		{ 101, 36, 2 },		/* of six */
		{ 101, 36, 4 },		/* of twelve */
		{ 100, 300, 0 },	/* a slow one */
		{ 5, 36, 0 },		/* just begun */
	};

	(void)state;
	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		struct idle i;

		idle_init(&i, FAST_POLL_ADAPTIVE);
		if (does_after(&i, cases[k].turns, cases[k].gap_us, cases[k].talk) != IDLE_BLOCK)
			fail_msg("case %zu does not block", k);
	}
}

static void begin_at(struct idle *i, uint64_t *at_ns)
{
	idle_init(i, FAST_POLL_ADAPTIVE);
	*at_ns = arrivals(i, 1, 100, 20);
}

static enum idle_how beside_a_program(struct idle *i, uint64_t at_ns)
{
	idle_worked(i, at_ns, 1);
	return idle_next(i, at_ns + US, IDLE_PROGRAM);
}

/* On a CPU that others want the waits are long; timers cut them into pieces. */
static void a_long_wait_for_a_kick_in_vain_ends_them_for_a_while(void **state)
{
	struct idle i;
	uint64_t at;

	(void)state;
	begin_at(&i, &at);
	idle_waited_kick(&i, at, at + IDLE_KICK_SHARED_NS + US, true);
	at += IDLE_KICK_SHARED_NS + US;
	assert_int_equal(beside_a_program(&i, at), IDLE_WAIT_KICK);
	idle_waited_kick(&i, at, at + IDLE_KICK_SHARED_NS / 2, false);
	at += IDLE_KICK_SHARED_NS / 2;
	assert_int_equal(beside_a_program(&i, at), IDLE_WAIT_KICK);
	idle_waited_kick(&i, at, at + IDLE_KICK_SHARED_NS / 2, false);
	at += IDLE_KICK_SHARED_NS / 2;
	assert_int_equal(beside_a_program(&i, at), IDLE_BLOCK);
	at += BACKOFF_FIRST_NS;
	assert_int_equal(beside_a_program(&i, at), IDLE_WAIT_KICK);
}

/* Frames come meanwhile, so it is never idle for long enough to give a program up. */
static void where_most_waits_for_a_kick_are_in_vain_there_are_none(void **state)
{
	struct idle i;
	uint64_t at;

	(void)state;
	begin_at(&i, &at);
	for (int n = 0; n < 100; n++, at += 300 * US) {
		assert_int_equal(beside_a_program(&i, at), IDLE_WAIT_KICK);
		idle_waited_kick(&i, at, at + IDLE_KICK_NS, n % 4 != 0);
	}
	for (int n = 0; n < 4; n++, at += 300 * US)
		idle_waited_kick(&i, at, at + IDLE_KICK_NS, false);
	assert_int_equal(beside_a_program(&i, at), IDLE_BLOCK);
}

static void a_wait_for_a_kick_leaves_room_for_what_arrives(void **state)
{
	struct idle i;
	uint64_t at;

	(void)state;
	begin_at(&i, &at);
	assert_int_equal(idle_kick_ns(&i, at, 2048), IDLE_KICK_NS);
	idle_woke(&i, at - 4000 * US, at, 1);
	assert_int_equal(idle_kick_ns(&i, at, 2048), IDLE_KICK_SHARED_NS);	/* 50,000 a second */
	for (int n = 0; n < 100; n++)
		idle_worked(&i, at += 20 * US, 20);
	assert_in_range(idle_kick_ns(&i, at, 2048), 1000 * US, 1100 * US);
	for (int n = 0; n < 100; n++)
		idle_worked(&i, at += 10 * US, 200);
	assert_int_equal(idle_kick_ns(&i, at, 2048), IDLE_KICK_NS);
}

static void busy_always_spins_and_event_never(void **state)
{
	struct idle busy, event;

	(void)state;
	idle_init(&busy, FAST_POLL_BUSY);
	idle_init(&event, FAST_POLL_EVENT);
	arrivals(&event, 1, 100, 5);
	for (uint64_t us = 1; us < 1000000; us *= 3) {
		assert_int_equal(idle_next(&busy, us * US, us % 3), IDLE_SPIN);
		assert_int_equal(idle_next(&event, us * US, us % 3), IDLE_BLOCK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spinning_follows_the_arrivals),
		cmocka_unit_test(a_new_thread_blocks),
		cmocka_unit_test(after_a_long_silence_a_few_frames_bring_the_spin_back),
		cmocka_unit_test(a_program_at_work_on_our_cpu_is_waited_for),
		cmocka_unit_test(a_program_that_never_answers_is_given_up),
		cmocka_unit_test(spins_that_never_pay_become_rare),
		cmocka_unit_test(when_the_peer_gets_quicker_spinning_comes_back),
		cmocka_unit_test(on_a_cpu_that_others_use_spins_become_rare),
		cmocka_unit_test(a_wait_for_a_kick_that_ends_late_tells_of_others),
		cmocka_unit_test(a_wake_up_that_ends_late_tells_of_others),
		cmocka_unit_test(the_slow_thread_on_our_cpu_is_not_kept_from_it),
		cmocka_unit_test(where_spins_are_not_to_be_had_a_stream_is_napped_for),
		cmocka_unit_test(what_is_no_stream_is_not_napped_for),
		cmocka_unit_test(a_long_wait_for_a_kick_in_vain_ends_them_for_a_while),
		cmocka_unit_test(where_most_waits_for_a_kick_are_in_vain_there_are_none),
		cmocka_unit_test(a_wait_for_a_kick_leaves_room_for_what_arrives),
		cmocka_unit_test(busy_always_spins_and_event_never),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
