// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/fast/flow.c */
/*
 * test_flow.c - a frame finds its flow, by number and by 4-tuple.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../user/fast/flow.h"

#define FLOWS	3000U

static struct flow_table table;
static struct flow *flows;

static struct frame_tuple tuple(uint32_t i)
{
	return (struct frame_tuple){ .saddr = 0x0a000001 + i % 7, .daddr = 0x0a0000fe,
				     .sport = (__be16)(i * 3), .dport = 80 };
}

static int setup(void **state)
{
	(void)state;
	flows = calloc(FLOWS, sizeof(*flows));
	if (flow_table_init(&table))
		return -1;
	for (uint32_t i = 0; i < FLOWS; i++) {
		flows[i].id = i * 5;
		flows[i].tuple = tuple(i);
		flow_link(&table, &flows[i]);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	flow_table_free(&table);
	free(flows);
	return 0;
}

static void number_and_tuple_find_the_same_flow(void **state)
{
	(void)state;
	assert_int_equal(table.count, FLOWS);
	for (uint32_t i = 0; i < FLOWS; i++) {
		struct frame_tuple t = tuple(i);

		assert_ptr_equal(flow_find(&table, i * 5, &t), &flows[i]);
		assert_ptr_equal(flow_find(&table, FLOW_NO_ID, &t), &flows[i]);
	}
}

static void a_wrong_number_is_only_a_wrong_hint(void **state)
{
	struct frame_tuple t = tuple(9), unknown = tuple(9);

	(void)state;
	unknown.dport++;
	assert_ptr_equal(flow_find(&table, 50, &t), &flows[9]);
	assert_ptr_equal(flow_find(&table, 1, &t), &flows[9]);
	assert_ptr_equal(flow_find(&table, TP_MAX_FLOWS, &t), &flows[9]);
	assert_null(flow_find(&table, 45, &unknown));
}

static void what_is_unlinked_is_found_no_more(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < FLOWS; i += 2)
		flow_unlink(&table, &flows[i]);
	assert_int_equal(table.count, FLOWS / 2);
	for (uint32_t i = 0; i < FLOWS; i++) {
		struct frame_tuple t = tuple(i);

		assert_ptr_equal(flow_find(&table, i * 5, &t), i % 2 ? &flows[i] : NULL);
	}
	flow_unlink(&table, &flows[0]);		/* twice does no harm */
	assert_int_equal(table.count, FLOWS / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(number_and_tuple_find_the_same_flow, setup, teardown),
		cmocka_unit_test_setup_teardown(a_wrong_number_is_only_a_wrong_hint, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_unlinked_is_found_no_more, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
