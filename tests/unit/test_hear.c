// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/slow/hear.c user/slow/conn.c user/slow/held.c user/slow/segment.c user/common/log.c */
/*
 * test_hear.c - when is a driver taken not to run XDP, and what is done about it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/slow/handback.h"
#include "../../user/slow/slow.h"

/* ---- a NIC ---- */

static struct {
	bool runs, can_be_set, helps, has_it;
	uint64_t xdp, tc;
	uint32_t sets;			/* times that XDP was set anew */
	uint64_t slow_ns, since_ns;	/* what the driver takes for either; silence of the heart */
} nic;

uint64_t verdict_counts(const struct attached *att, uint32_t first, uint32_t last)
{
	(void)att;
	(void)last;
	return first == TP_V_XDP_FAST ? nic.xdp : nic.tc;
}

bool attach_has_xdp(const struct attached *att)
{
	(void)att;
	return nic.has_it;
}

static struct slow s;

static void takes_long(void)
{
	nic.since_ns += nic.slow_ns;
	assert_true(nic.since_ns < TP_STALE_NS);
}

void slow_beat(struct slow *slow)
{
	slow->now_ns += nic.since_ns;
	nic.since_ns = 0;
}

void attach_xdp_off(struct attached *att)
{
	(void)att;
	takes_long();
	nic.has_it = false;
}

int attach_xdp_on(struct attached *att)
{
	(void)att;
	takes_long();
	nic.sets++;
	nic.has_it = nic.can_be_set;
	nic.runs = nic.can_be_set && nic.helps;
	return nic.can_be_set ? 0 : -EOPNOTSUPP;
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

static struct attached att = { .nic.ifname = "nic0" };

static int begin(void **state)
{
	(void)state;
	nic = (typeof(nic)){ .runs = true, .can_be_set = true, .helps = true, .has_it = true };
	s = (struct slow){ .att = &att };
	return conns_init(&s.conns);
}

static int end(void **state)
{
	(void)state;
	conns_fini(&s.conns);
	return 0;
}

/* @frames arrive, and the timer comes @times a second apart. */
static void arrive(uint32_t frames, uint32_t times)
{
	while (times--) {
		nic.tc += frames;
		nic.xdp += nic.runs ? frames : 0;
		s.now_ns += NS_PER_S;
		hear_run(&s);
	}
}

/* ---- */

static void while_xdp_runs_nothing_is_done(void **state)
{
	(void)state;
	arrive(10, 1000);
	nic.xdp += 100;			/* taken by XDP alone */
	arrive(0, 1000);
	for (int i = 0; i < 100; i++) {
		nic.tc++;		/* had been at XDP before the last look */
		arrive(0, 1);
		nic.xdp++;
		arrive(0, 1);
	}
	assert_int_equal(nic.sets, 0);
	assert_false(s.hear.lost);
}

static void silence_means_nothing(void **state)
{
	(void)state;
	arrive(1, 10);
	nic.runs = false;
	arrive(0, 1000);
	assert_int_equal(nic.sets, 0);
}

static void a_driver_that_runs_it_no_more_is_given_it_anew_once(void **state)
{
	(void)state;
	arrive(1, 10);
	nic.runs = false;
	arrive(1, 3);
	assert_int_equal(nic.sets, 1);
	assert_false(s.hear.lost);
	arrive(1, 1000);
	assert_int_equal(nic.sets, 1);
	nic.runs = false;
	arrive(1, 3);
	assert_int_equal(nic.sets, 2);
}

static void meanwhile_nobody_takes_us_for_dead(void **state)
{
	(void)state;
	nic.slow_ns = TP_STALE_NS - 1;
	nic.runs = false;
	arrive(1, 3);
	assert_int_equal(nic.sets, 1);
	assert_int_equal(nic.since_ns, 0);
	assert_int_equal(s.hear.set_ns, s.now_ns);
}

/* XDP has nothing to do for some seconds, again and again, and others lead frames past it. */
static void what_others_lead_past_xdp_sets_it_anew_but_seldom(void **state)
{
	(void)state;
	for (int minute = 0; minute < 100; minute++) {
		arrive(10, 60 - 5);
		for (int i = 0; i < 5; i++) {
			nic.tc++;
			arrive(0, 1);
		}
	}
	assert_int_equal(nic.sets, 4);		/* after 0, 10, 30 and 70 minutes */
	assert_false(s.hear.lost);
}

static void what_was_taken_away_is_set_at_once(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= 5; i++) {
		nic.runs = nic.has_it = false;
		arrive(1, 3);
		assert_int_equal(nic.sets, i);
		arrive(1, 10);
	}
}

static void looks_that_are_far_apart_say_nothing_together(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		nic.tc++;
		arrive(0, 4);
	}
	assert_int_equal(nic.sets, 0);
}

static void nothing_is_set_anew_on_the_way_out(void **state)
{
	(void)state;
	nic.runs = false;
	s.life = SLOW_LEAVING;
	arrive(1, 100);
	assert_int_equal(nic.sets, 0);
	assert_false(s.hear.lost);
}

static void where_that_is_no_help_connections_are_linuxs(void **state)
{
	(void)state;
	nic.runs = nic.helps = false;
	arrive(1, 3);
	assert_false(s.hear.lost);
	arrive(1, 6);
	assert_true(s.hear.lost);
	arrive(1, 500);
	assert_int_equal(nic.sets, 1);
	arrive(1, 200);
	assert_int_equal(nic.sets, 2);
	nic.xdp++;
	arrive(0, 1);
	assert_false(s.hear.lost);
}

/* Its own handshake has just passed XDP. */
static void the_first_connection_after_that_is_ours_again(void **state)
{
	(void)state;
	nic.runs = nic.helps = false;
	arrive(1, 9);
	assert_true(hear_is_lost(&s));
	nic.tc++;
	assert_true(hear_is_lost(&s));
	nic.xdp++;
	assert_false(hear_is_lost(&s));
	assert_int_equal(s.hear.acts, 0);
	arrive(1, 2);
	assert_false(hear_is_lost(&s));
}

static void what_cannot_be_set_is_tried_again_more_and_more_seldom(void **state)
{
	(void)state;
	nic.runs = nic.can_be_set = false;
	arrive(1, 3);
	assert_true(s.hear.lost);
	arrive(1, 6 + 12 + 24 + 48 + 96 + 96);
	assert_int_equal(nic.sets, 7);
	nic.can_be_set = true;
	arrive(1, 97);
	assert_int_equal(nic.sets, 8);
	assert_false(s.hear.lost);
}

static void after_another_mtu_it_is_tried_at_once(void **state)
{
	(void)state;
	nic.runs = nic.helps = false;
	arrive(1, 500);
	nic.helps = true;
	hear_link_changed(&s.hear);
	arrive(1, 7);
	assert_int_equal(nic.sets, 2);
	assert_false(s.hear.lost);
	hear_link_changed(&s.hear);
	arrive(1, 1000);
	assert_int_equal(nic.sets, 2);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(while_xdp_runs_nothing_is_done),
		TEST(silence_means_nothing),
		TEST(a_driver_that_runs_it_no_more_is_given_it_anew_once),
		TEST(meanwhile_nobody_takes_us_for_dead),
		TEST(what_others_lead_past_xdp_sets_it_anew_but_seldom),
		TEST(what_was_taken_away_is_set_at_once),
		TEST(looks_that_are_far_apart_say_nothing_together),
		TEST(nothing_is_set_anew_on_the_way_out),
		TEST(where_that_is_no_help_connections_are_linuxs),
		TEST(the_first_connection_after_that_is_ours_again),
		TEST(what_cannot_be_set_is_tried_again_more_and_more_seldom),
		TEST(after_another_mtu_it_is_tried_at_once),
	};

	return cmocka_run_group_tests_name("hear", tests, NULL, NULL);
}
