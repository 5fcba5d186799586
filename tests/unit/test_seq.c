// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_seq.c - sequence arithmetic.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "taspilot/seq.h"

static void order_survives_the_wrap(void **state)
{
	static const struct {
		uint32_t a, b;
	} ordered[] = {
		{ 0, 1 }, { 0xffffffff, 0 }, { 0xfffffff0, 0x10 }, { 0x7fffffff, 0x80000000 },
		{ 5, 5 + 0x7fffffffU },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ordered) / sizeof(ordered[0]); i++) {
		uint32_t a = ordered[i].a, b = ordered[i].b;

		assert_true(seq_before(a, b) && seq_after(b, a));
		assert_true(seq_before_eq(a, b) && seq_after_eq(b, a));
		assert_false(seq_before(b, a) || seq_after(a, b));
		assert_false(seq_before_eq(b, a) || seq_after_eq(a, b));
		assert_int_equal(seq_max(a, b), b);
		assert_int_equal(seq_min(a, b), a);
	}
}

static void a_number_is_neither_before_nor_after_itself(void **state)
{
	(void)state;
	for (uint32_t a = 0xfffffffe; a != 3; a++) {
		assert_false(seq_before(a, a) || seq_after(a, a));
		assert_true(seq_before_eq(a, a) && seq_after_eq(a, a));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_survives_the_wrap),
		cmocka_unit_test(a_number_is_neither_before_nor_after_itself),
	};

	return cmocka_run_group_tests_name("seq", tests, NULL, NULL);
}
