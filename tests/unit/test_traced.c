// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_traced.c - where a process with hooks in traced functions may die.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../user/slow/traced.h"

#define CONTAINER	4026532441U

static void in_the_machines_own_pid_namespace_on_any_kernel(void **state)
{
	(void)state;
	assert_true(traced_may_die("6.1.0-56-amd64", TRACED_FIRST_PID_NS));
	assert_true(traced_may_die("6.12.117+deb12-amd64", TRACED_FIRST_PID_NS));
}

static void in_a_container_not_before_linux_6_9(void **state)
{
	(void)state;
	assert_false(traced_may_die("6.1.0-56-amd64", CONTAINER));
	assert_false(traced_may_die("6.8.12", CONTAINER));
	assert_true(traced_may_die("6.9.0", CONTAINER));
	assert_true(traced_may_die("6.12.117+deb12-amd64", CONTAINER));
	assert_true(traced_may_die("7.0.1", CONTAINER));
}

static void not_where_the_kernel_is_unknown(void **state)
{
	(void)state;
	assert_false(traced_may_die("", CONTAINER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_the_machines_own_pid_namespace_on_any_kernel),
		cmocka_unit_test(in_a_container_not_before_linux_6_9),
		cmocka_unit_test(not_where_the_kernel_is_unknown),
	};

	return cmocka_run_group_tests_name("traced", tests, NULL, NULL);
}
