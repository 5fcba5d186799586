// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/common/text.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/common/text.h"

static void commas_come_by_themselves(void **state)
{
	struct text t = { 0 };

	(void)state;
	json_open(&t, NULL, '[');
	json_open(&t, NULL, '{');
	json_str(&t, "name", "s0");
	json_num(&t, "n", 18446744073709551615ULL);
	json_open(&t, "in", '{');
	json_close(&t, '}');
	json_bool(&t, "yes", true);
	json_close(&t, '}');
	json_num(&t, NULL, 1);
	json_close(&t, ']');
	assert_string_equal(t.buf, "[{\"name\":\"s0\",\"n\":18446744073709551615,\"in\":{},"
				   "\"yes\":true},1]");
	text_free(&t);
}

static void strange_bytes_are_escaped(void **state)
{
	struct text t = { 0 };

	(void)state;
	json_str(&t, NULL, "a\"b\\c\n");
	assert_string_equal(t.buf, "\"a\\\"b\\\\c\\u000a\"");
	text_free(&t);
}

static void what_was_written_is_found(void **state)
{
	char val[8];

	(void)state;
	assert_true(json_get("{\"a\":1,\"b\":\"xyz\"}", "a", val, sizeof(val)));
	assert_string_equal(val, "1");
	assert_true(json_get("{\"a\":1,\"b\":\"xyz\"}", "b", val, 3));
	assert_string_equal(val, "xy");
	assert_false(json_get("{\"a\":1}", "c", val, sizeof(val)));
	assert_false(json_get("{\"a\":\"cut", "a", val, sizeof(val)));
}

static void objects_of_an_array_come_one_by_one(void **state)
{
	const char *at = "[{\"a\":1},{\"a\":2}]", *end;

	(void)state;
	at = json_object(at, &end);
	assert_non_null(at);
	at = json_object(end, &end);
	assert_int_equal(strncmp(at, "{\"a\":2}", 7), 0);
	assert_null(json_object(end, &end));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commas_come_by_themselves),
		cmocka_unit_test(strange_bytes_are_escaped),
		cmocka_unit_test(what_was_written_is_found),
		cmocka_unit_test(objects_of_an_array_come_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
