// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/fast/cc.c user/fast/cc_bbr.c user/fast/cc_cubic.c user/fast/cc_dctcp.c user/fast/cc_reno.c */
/*
 * test_cc.c - the congestion controls, as functions of ACKs and a clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/fast/cc.h"

#define MS	1000000ULL

static struct cc start(const char *name, uint32_t cwnd, uint32_t ssthresh)
{
	struct cc c = {
		.ops = cc_find(name), .cwnd = cwnd, .ssthresh = ssthresh,
		.cwnd_clamp = 1 << 20, .mss = 1448, .srtt_us = 100000, .min_rtt_us = 100000,
	};

	c.ops->init(&c, 0);
	return c;
}

/* One round trip: each segment of the window is acknowledged, two an ACK. */
static void round_trip(struct cc *c, uint64_t now_ns)
{
	struct cc_ack a = { .acked = 2, .rtt_us = 100000, .cwnd_limited = true, .now_ns = now_ns };
	uint32_t n = c->cwnd / 2;

	while (n--)
		c->ops->acked(c, &a);
}

static void names_are_linuxs(void **state)
{
	(void)state;
	assert_ptr_equal(cc_find("reno"), &cc_reno);
	assert_ptr_equal(cc_find("cubic"), &cc_cubic);
	assert_ptr_equal(cc_find("bbr"), &cc_bbr);
	assert_ptr_equal(cc_find("dctcp"), &cc_dctcp);
	assert_null(cc_find("vegas"));
	assert_null(cc_find(""));
	assert_ptr_equal(cc_default(), &cc_cubic);
}

static void slow_start_doubles_and_stops_at_ssthresh(void **state)
{
	static const char *const names[] = { "reno", "cubic", "dctcp" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct cc c = start(names[i], 4, 14);

		round_trip(&c, 1 * MS);
		assert_int_equal(c.cwnd, 8);
		round_trip(&c, 101 * MS);
		assert_in_range(c.cwnd, 14, 15);
	}
}

static void reno_adds_one_a_round_trip_and_halves(void **state)
{
	struct cc c = start("reno", 20, 10);

	(void)state;
	for (uint32_t i = 1; i <= 10; i++) {
		round_trip(&c, i * 100 * MS);
		assert_in_range(c.cwnd, 20 + i - 1, 20 + i);
	}
	assert_int_equal(c.ops->ssthresh(&c, CC_CUT_LOSS), c.cwnd / 2);
	c.cwnd = 1;
	assert_int_equal(c.ops->ssthresh(&c, CC_CUT_LOSS), 2);
}

static void cubic_gives_up_three_tenths(void **state)
{
	struct cc c = start("cubic", 100, 50);

	(void)state;
	assert_int_equal(c.ops->ssthresh(&c, CC_CUT_LOSS), 70);
}

/* W_max = 1000, C = 0.4: K = cbrt(1000 * 0.3 / 0.4) = 9.1 s. */
static void cubic_is_back_at_its_maximum_after_k(void **state)
{
	struct cc c = start("cubic", 1000, 500);
	uint64_t now = 0;

	(void)state;
	c.cwnd = c.ssthresh = c.ops->ssthresh(&c, CC_CUT_LOSS);
	for (; now < 4500 * MS; now += 100 * MS)
		round_trip(&c, now);
	assert_in_range(c.cwnd, 930, 975);	/* steep first */
	for (; now < 9100 * MS; now += 100 * MS)
		round_trip(&c, now);
	assert_in_range(c.cwnd, 990, 1010);	/* flat at the maximum */
	for (; now < 14000 * MS; now += 100 * MS)
		round_trip(&c, now);
	assert_in_range(c.cwnd, 1030, 1060);	/* and on, looking for more */
}

static void cubic_is_never_slower_than_reno(void **state)
{
	struct cc c = start("cubic", 10, 5);
	uint64_t now = 0;

	(void)state;
	c.min_rtt_us = c.srtt_us = 1000;
	c.cwnd = c.ssthresh = c.ops->ssthresh(&c, CC_CUT_LOSS);
	/* a short round trip: the cubic curve hardly rises in 100 of them */
	for (int i = 0; i < 100; i++, now += MS)
		round_trip(&c, now);
	assert_true(c.cwnd >= 7 + 50);
}

/* As Linux: who has lost nothing yet does not know how much fits, and the curve would be flat. */
static void cubic_grows_a_twentieth_until_it_knows_a_maximum(void **state)
{
	struct cc c = start("cubic", 1000, 500);

	(void)state;
	round_trip(&c, 100 * MS);
	assert_in_range(c.cwnd, 1048, 1052);
	round_trip(&c, 200 * MS);
	assert_in_range(c.cwnd, 1099, 1105);
	c.cwnd = c.ssthresh = c.ops->ssthresh(&c, CC_CUT_LOSS);
	c.cwnd = 1100;					/* at the maximum it is flat */
	round_trip(&c, 300 * MS);
	assert_in_range(c.cwnd, 1100, 1103);
}

/* It was reordering: the curve is the one of before, at once and later. */
static void cubic_forgets_a_maximum_that_was_none(void **state)
{
	struct cc a = start("cubic", 1000, 500), b;
	uint32_t cwnd;

	(void)state;
	for (uint64_t known = 0; known < 2; known++) {
		if (known)
			a.cwnd = a.ops->ssthresh(&a, CC_CUT_LOSS);
		for (uint64_t i = 1; i <= 5; i++)
			round_trip(&a, (1000 + known * 1000 + i * 20) * MS);
		b = a;
		cwnd = b.cwnd;
		b.cwnd = b.ops->ssthresh(&b, CC_CUT_LOSS);
		b.ops->undo(&b);
		b.cwnd = cwnd;
		for (uint64_t i = 6; i <= 30; i++) {
			round_trip(&a, (1000 + known * 1000 + i * 20) * MS);
			round_trip(&b, (1000 + known * 1000 + i * 20) * MS);
		}
		assert_int_equal(a.cwnd, b.cwnd);
	}
}

static void a_timeout_leaves_cubic_nothing_to_return_to(void **state)
{
	struct cc a = start("cubic", 1000, 500), b;

	(void)state;
	a.cwnd = a.ops->ssthresh(&a, CC_CUT_TIMEOUT);
	a.ops->timeout(&a, 1000 * MS);
	b = a;
	b.ops->undo(&b);
	assert_memory_equal(a.priv, b.priv, sizeof(a.priv));
}

static void cubic_stands_still_while_the_program_does(void **state)
{
	struct cc a = start("cubic", 1000, 500), b;

	(void)state;
	a.cwnd = a.ssthresh = a.ops->ssthresh(&a, CC_CUT_LOSS);
	round_trip(&a, 100 * MS);
	b = a;
	round_trip(&a, 200 * MS);
	b.ops->restart(&b, 60000 * MS, 59800 * MS);
	round_trip(&b, 60000 * MS);
	assert_int_equal(a.cwnd, b.cwnd);
}

/* A reduction, a pause, and only then the news that it was needless: the pause is none of the curve's. */
static void nor_does_the_curve_go_on_that_an_undo_brings_back(void **state)
{
	struct cc a = start("cubic", 1000, 500), b;

	(void)state;
	a.cwnd = a.ssthresh = a.ops->ssthresh(&a, CC_CUT_LOSS);
	round_trip(&a, 100 * MS);
	b = a;
	b.ops->ssthresh(&b, CC_CUT_LOSS);
	b.ops->restart(&b, 60000 * MS, 59800 * MS);
	b.ops->undo(&b);
	round_trip(&a, 200 * MS);
	round_trip(&b, 60000 * MS);
	assert_int_equal(a.cwnd, b.cwnd);
}

/* A round trip of slow start: every segment its own ACK, all with the same delay. */
static void slow_round(struct cc *c, uint32_t *una, int64_t rtt_us)
{
	uint32_t n = c->cwnd, end = *una + n;
	struct cc_ack a = { .acked = 1, .rtt_us = rtt_us, .cwnd_limited = true };

	while (*una != end) {
		a.snd_una = ++*una;
		a.snd_nxt = *una + c->cwnd;
		a.now_ns += 1000;
		c->ops->acked(c, &a);
	}
}

static void a_long_train_of_acks_ends_slow_start(void **state)
{
	struct cc c = start("cubic", 32, CC_SSTHRESH_INF);
	struct cc_ack a = { .acked = 1, .rtt_us = 100000, .cwnd_limited = true, .snd_nxt = 1000 };

	(void)state;
	for (; a.now_ns < 49 * MS; a.now_ns += MS) {
		a.snd_una++;
		c.ops->acked(&c, &a);
	}
	assert_int_equal(c.ssthresh, CC_SSTHRESH_INF);
	for (; a.now_ns < 53 * MS; a.now_ns += MS)
		c.ops->acked(&c, &a);
	assert_in_range(c.ssthresh, 32 + 49, 32 + 53);
}

static void acks_that_come_apart_are_no_train(void **state)
{
	struct cc c = start("cubic", 32, CC_SSTHRESH_INF);
	struct cc_ack a = { .acked = 1, .rtt_us = 100000, .cwnd_limited = true, .snd_nxt = 1000 };

	(void)state;
	for (; a.now_ns < 90 * MS; a.now_ns += 3 * MS) {
		a.snd_una++;
		c.ops->acked(&c, &a);
	}
	assert_int_equal(c.ssthresh, CC_SSTHRESH_INF);
}

static void hystart_slows_down_when_the_round_trip_grows(void **state)
{
	struct cc c = start("cubic", 16, CC_SSTHRESH_INF);
	uint32_t una = 0;

	(void)state;
	slow_round(&c, &una, 100000);
	assert_int_equal(c.cwnd, 32);
	slow_round(&c, &una, 104000);		/* less than an eighth */
	assert_int_equal(c.cwnd, 64);
	slow_round(&c, &una, 118000);
	assert_in_range(c.cwnd, 80, 90);	/* a quarter as fast, from the eighth sample on */
	for (int i = 0; i < 4; i++)
		slow_round(&c, &una, 118000);
	assert_int_equal(c.ssthresh, CC_SSTHRESH_INF);
	slow_round(&c, &una, 118000);
	slow_round(&c, &una, 118000);
	assert_in_range(c.ssthresh, 80 * 244 / 100, 90 * 250 / 100);	/* four more of 5/4 */
	/* and from there a twentieth a round trip */
	assert_in_range(c.cwnd, c.ssthresh * 109 / 100, c.ssthresh * 116 / 100);
}

static void hystart_goes_on_when_it_was_no_queue(void **state)
{
	struct cc c = start("cubic", 16, CC_SSTHRESH_INF);
	uint32_t una = 0, before;

	(void)state;
	slow_round(&c, &una, 100000);
	slow_round(&c, &una, 130000);
	slow_round(&c, &una, 100000);
	before = c.cwnd;
	for (int i = 0; i < 3; i++)
		slow_round(&c, &una, 100000);
	assert_int_equal(c.cwnd, before * 8);
	assert_int_equal(c.ssthresh, CC_SSTHRESH_INF);
}

static void a_window_that_is_not_used_does_not_grow(void **state)
{
	struct cc_ack a = { .acked = 10, .rtt_us = 1000, .cwnd_limited = false };
	struct cc c = start("cubic", 10, CC_SSTHRESH_INF), d = start("reno", 10, 5);

	(void)state;
	for (int i = 0; i < 100; i++) {
		c.ops->acked(&c, &a);
		d.ops->acked(&d, &a);
	}
	assert_int_equal(c.cwnd, 10);
	assert_int_equal(d.cwnd, 10);
}

/* Round trips of 100 segments, @marked of them with CE. */
static void marked_rounds(struct cc *c, int rounds, uint32_t marked)
{
	struct cc_ack a = { .rtt_us = 1000, .in_flight = 100 };
	static uint32_t una;

	for (; rounds; rounds--, una += 100) {
		a.snd_una = una;
		a.snd_nxt = una + 100;
		a.acked = marked;
		a.ece = true;
		c->ops->marks(c, &a);
		a.acked = 100 - marked;
		a.ece = false;
		c->ops->marks(c, &a);
	}
}

static void dctcp_gives_up_half_of_the_share_that_is_marked(void **state)
{
	static const struct {
		uint32_t marked, ssthresh_min, ssthresh_max;
	} cases[] = { { 0, 1000, 1000 }, { 10, 945, 955 }, { 50, 735, 760 }, { 100, 500, 505 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cc c = start("dctcp", 1000, 500);

		marked_rounds(&c, 200, cases[i].marked);
		assert_in_range(c.ops->ssthresh(&c, CC_CUT_ECN), cases[i].ssthresh_min,
				cases[i].ssthresh_max);
	}
}

static void dctcp_begins_as_if_all_were_marked(void **state)
{
	struct cc c = start("dctcp", 100, 50);

	(void)state;
	assert_int_equal(c.ops->ssthresh(&c, CC_CUT_ECN), 50);
	marked_rounds(&c, 10, 0);
	/* (15/16)^9 of it is left */
	assert_in_range(c.ops->ssthresh(&c, CC_CUT_ECN), 70, 74);
}

static void dctcp_halves_after_a_loss_whatever_is_marked(void **state)
{
	struct cc c = start("dctcp", 100, 50);

	(void)state;
	marked_rounds(&c, 200, 0);
	assert_int_equal(c.ops->ssthresh(&c, CC_CUT_LOSS), 50);
	assert_int_equal(c.ops->ssthresh(&c, CC_CUT_TIMEOUT), 50);
	c.cwnd = 2;
	assert_int_equal(c.ops->ssthresh(&c, CC_CUT_LOSS), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_linuxs),
		cmocka_unit_test(slow_start_doubles_and_stops_at_ssthresh),
		cmocka_unit_test(reno_adds_one_a_round_trip_and_halves),
		cmocka_unit_test(cubic_gives_up_three_tenths),
		cmocka_unit_test(cubic_is_back_at_its_maximum_after_k),
		cmocka_unit_test(cubic_is_never_slower_than_reno),
		cmocka_unit_test(cubic_grows_a_twentieth_until_it_knows_a_maximum),
		cmocka_unit_test(cubic_forgets_a_maximum_that_was_none),
		cmocka_unit_test(a_timeout_leaves_cubic_nothing_to_return_to),
		cmocka_unit_test(cubic_stands_still_while_the_program_does),
		cmocka_unit_test(nor_does_the_curve_go_on_that_an_undo_brings_back),
		cmocka_unit_test(a_long_train_of_acks_ends_slow_start),
		cmocka_unit_test(acks_that_come_apart_are_no_train),
		cmocka_unit_test(hystart_slows_down_when_the_round_trip_grows),
		cmocka_unit_test(hystart_goes_on_when_it_was_no_queue),
		cmocka_unit_test(a_window_that_is_not_used_does_not_grow),
		cmocka_unit_test(dctcp_gives_up_half_of_the_share_that_is_marked),
		cmocka_unit_test(dctcp_begins_as_if_all_were_marked),
		cmocka_unit_test(dctcp_halves_after_a_loss_whatever_is_marked),
	};

	return cmocka_run_group_tests_name("cc", tests, NULL, NULL);
}
