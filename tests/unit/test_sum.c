/* SPDX-License-Identifier: BSD-2-Clause */
/* needs: user/fast/sum.c */
/*
 * test_sum.c - sums and copies by vector instructions are those of the plain code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../user/fast/sum.h"

#define MOST	70000U
#define GUARD	64U

static uint8_t from[MOST + GUARD], to[MOST + 2 * GUARD];

/* 0 and 0xffff are the same number in one's complement. */
static uint16_t folded(uint64_t sum)
{
	uint16_t v = wire_fold(sum);

	return v == 0xffff ? 0 : v;
}

static void same(const struct sum_ops *v, size_t offset, size_t len)
{
	uint16_t want = folded(wire_sum(from + offset, len));

	memset(to, 0xaa, sizeof(to));
	assert_int_equal(folded(v->sum(from + offset, len)), want);
	assert_int_equal(folded(v->copy(to + GUARD, from + offset, len)), want);
	assert_memory_equal(to + GUARD, from + offset, len);
	for (size_t i = 0; i < GUARD; i++) {
		assert_int_equal(to[i], 0xaa);
		assert_int_equal(to[GUARD + len + i], 0xaa);
	}
}

static void every_length_and_alignment_has_the_plain_sum(void **state)
{
	const struct sum_ops *v;

	(void)state;
	srandom(1);
	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)random();
	for (uint32_t i = 0; (v = sum_variant(i)); i++) {
		for (size_t len = 0; len < 600; len++)
			same(v, len % GUARD, len);
		for (size_t len = 1000; len <= MOST; len += 4999)
			same(v, len % GUARD, len);
	}
}

static void the_largest_words_carry_right(void **state)
{
	const struct sum_ops *v;

	(void)state;
	memset(from, 0xff, sizeof(from));
	from[3] = 0xfe;
	for (uint32_t i = 0; (v = sum_variant(i)); i++) {
		same(v, 0, 65536);
		same(v, 0, 65535);
		same(v, 1, MOST);
	}
}

static void the_best_of_this_cpu_is_taken(void **state)
{
	(void)state;
	assert_string_equal(sum_ops->name, "plain");
	sum_init();
	assert_ptr_equal(sum_ops, sum_variant(0));
	print_message("%s\n", sum_ops->name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_and_alignment_has_the_plain_sum),
		cmocka_unit_test(the_largest_words_carry_right),
		cmocka_unit_test(the_best_of_this_cpu_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
