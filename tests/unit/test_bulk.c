// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/slow/bulk.c user/slow/conn.c user/slow/held.c user/slow/segment.c user/common/text.c */
/*
 * test_bulk.c - what is a bulk transfer, and what a trial teaches.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "../../user/slow/handback.h"
#include "../../user/slow/slow.h"

#define MIB	(1ULL << 20)
#define HALF	(NS_PER_S / 2)

/* Its flows are tests/netns/bulk.sh's; here only what needs none. */
struct tp_slot *slot_at(const struct region *r, uint32_t slot)
{
	(void)r;
	(void)slot;
	return NULL;
}

void handback_begin(struct slow *s, struct conn *c, enum tp_reason reason)
{
	(void)s;
	(void)c;
	(void)reason;
}

int ask_after(const struct attached *a, const struct tp_flow_key *key, enum tp_ask_op op,
	      struct tp_answer *ret)
{
	(void)a;
	(void)key;
	(void)op;
	(void)ret;
	return -1;
}

static void a_flow_that_streams_for_two_seconds_is_bulk(void **state)
{
	struct bulk_meter m = { 0 };

	(void)state;
	for (uint64_t i = 1; i < 4; i++)
		assert_false(bulk_sample(&m, 50 * MIB * i, HALF));
	assert_true(bulk_sample(&m, 200 * MIB, HALF));
	assert_int_equal(m.rate, 100 * MIB);
}

static void a_pause_ends_it_and_a_slower_moment_does_not(void **state)
{
	struct bulk_meter m = { 0 };
	uint64_t at = 0;

	(void)state;
	for (int i = 0; i < 4; i++)
		bulk_sample(&m, at += 50 * MIB, HALF);
	assert_true(bulk_sample(&m, at += 3 * MIB, HALF));
	assert_false(bulk_sample(&m, at += MIB, HALF));
	assert_false(bulk_sample(&m, at += 50 * MIB, HALF));
}

static void a_trial_decides_for_a_minute_and_longer_when_confirmed(void **state)
{
	struct bulk_dir d = { .fast_rate = 1000 };
	uint64_t now = NS_PER_S;

	(void)state;
	assert_int_equal(bulk_decide(BULK_AUTO, &d, now), BULK_DO_TRY);
	d.on_trial = true;
	assert_int_equal(bulk_decide(BULK_AUTO, &d, now), BULK_DO_NOTHING);
	bulk_judge(&d, 2000, now);
	assert_int_equal(bulk_decide(BULK_AUTO, &d, now + 59 * NS_PER_S), BULK_DO_BACK);
	assert_int_equal(bulk_decide(BULK_AUTO, &d, now += 60 * NS_PER_S), BULK_DO_TRY);
	bulk_judge(&d, 2000, now);
	assert_int_equal(bulk_decide(BULK_AUTO, &d, now + 119 * NS_PER_S), BULK_DO_BACK);
	bulk_judge(&d, 500, now);
	assert_int_equal(bulk_decide(BULK_AUTO, &d, now + 59 * NS_PER_S), BULK_DO_NOTHING);
}

static void a_small_difference_changes_no_verdict(void **state)
{
	struct bulk_dir d = { .fast_rate = 1000 };

	(void)state;
	bulk_judge(&d, 1050, 0);
	assert_int_equal(d.verdict, BULK_STAYS);
	bulk_judge(&d, 1200, 0);
	assert_int_equal(d.verdict, BULK_LINUX);
	bulk_judge(&d, 950, 0);
	assert_int_equal(d.verdict, BULK_LINUX);
	bulk_judge(&d, 800, 0);
	assert_int_equal(d.verdict, BULK_STAYS);
}

static void a_trial_that_showed_nothing_is_repeated_later(void **state)
{
	struct bulk_dir d = { .fast_rate = 1000 };

	(void)state;
	bulk_judge(&d, 0, 0);
	assert_int_equal(d.verdict, BULK_UNKNOWN);
	assert_int_equal(bulk_decide(BULK_AUTO, &d, NS_PER_S), BULK_DO_NOTHING);
	assert_int_equal(bulk_decide(BULK_AUTO, &d, 11 * NS_PER_S), BULK_DO_TRY);
}

static void keep_and_handback_ask_nobody(void **state)
{
	struct bulk_dir d = { 0 };

	(void)state;
	assert_int_equal(bulk_decide(BULK_KEEP, &d, 0), BULK_DO_NOTHING);
	assert_int_equal(bulk_decide(BULK_HANDBACK, &d, 0), BULK_DO_BACK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flow_that_streams_for_two_seconds_is_bulk),
		cmocka_unit_test(a_pause_ends_it_and_a_slower_moment_does_not),
		cmocka_unit_test(a_trial_decides_for_a_minute_and_longer_when_confirmed),
		cmocka_unit_test(a_small_difference_changes_no_verdict),
		cmocka_unit_test(a_trial_that_showed_nothing_is_repeated_later),
		cmocka_unit_test(keep_and_handback_ask_nobody),
	};

	return cmocka_run_group_tests_name("bulk", tests, NULL, NULL);
}
