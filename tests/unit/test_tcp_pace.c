// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/fast/tcp.c user/fast/tcp_ack.c user/fast/tcp_ooo.c user/fast/tcp_pool.c */
/* needs: user/fast/tcp_recover.c user/fast/tcp_rx.c user/fast/tcp_sack.c user/fast/tcp_timer.c */
/* needs: user/fast/tcp_tx.c user/fast/tcp_rate.c user/fast/tcp_pace.c user/fast/rtt.c */
/* needs: user/fast/cc.c user/fast/cc_bbr.c user/fast/cc_cubic.c user/fast/cc_dctcp.c user/fast/cc_reno.c */
/*
 * test_tcp_pace.c - bytes leave at a rate; how fast they arrive is measured.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "tcp_rig.h"

/* A flow that may send @rate bytes a second; its window is no limit. */
static struct rig *paced(uint64_t rate)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	b.options.max_pacing = rate;
	b.cwnd = 1000;
	b.snd_wnd = 1 << 20;
	r = rig_new(&b);
	r->tcp.tx_bytes = 1 << 20;	/* the first segments are free */
	return r;
}

/* Sends what may be sent until @ns have passed; returns bytes. */
static uint64_t send_for(struct rig *r, uint64_t ns, uint64_t late_ns)
{
	uint64_t end = r->now + ns, before = r->tcp.tx_bytes, at;

	for (;;) {
		rig_drain(r);
		at = tcp_deadline(&r->tcp);
		if (at > end)
			break;
		r->now = (at > r->now ? at : r->now) + late_ns;
		tcp_timer(&r->tcp, r->now);
	}
	r->now = end;
	return r->tcp.tx_bytes - before;
}

static void so_max_pacing_rate_spreads_what_is_sent(void **state)
{
	struct rig *r = paced(1000000);

	(void)state;
	rig_write(r, 200000);
	assert_in_range(send_for(r, 50 * MS, 0), 48000, 54000);
	rig_free(r);
}

static void a_burst_is_two_segments_or_a_millisecond(void **state)
{
	struct rig *slow = paced(1000000), *fast = paced(20000000);

	(void)state;
	rig_write(slow, 100000);
	assert_int_equal(rig_drain(slow), 2);
	rig_timer(slow);
	assert_int_equal(rig_drain(slow), 2);
	assert_int_equal(tcp_deadline(&slow->tcp) - slow->now, 2 * MS);
	rig_write(fast, 100000);
	assert_in_range(rig_drain(fast), 18, 21);
	rig_free(slow);
	rig_free(fast);
}

/* The pace may be seconds a segment; a timeout is no burst. */
static void what_the_timer_resends_waits_for_nobody(void **state)
{
	struct rig *r = paced(100);

	(void)state;
	rig_write(r, 10000);
	assert_int_equal(rig_drain(r), 2);
	while (r->tcp.ca != TCP_LOSS)
		rig_timer(r);
	assert_true(rig_tx(r));
	assert_true(r->out.retransmit);
	rig_free(r);
}

/* On a short path a burst may be 64 KiB. What was sent of it while the rate was high must not be
 * paid for at the rate of later.
 */
static void an_old_burst_is_not_charged_at_a_lower_rate(void **state)
{
	struct rig *r = paced(100000000);

	(void)state;
	r->tcp.rtt.min_us = 100;
	for (int i = 0; i < 60; i++) {
		rig_write(r, 1000);
		rig_drain(r);
		rig_pass(r, MS);
		rig_ack(r, r->tcp.snd_nxt - RIG_ISN);
	}
	r->tcp.cc.max_pacing = r->tcp.cc.pacing_rate = 1000;
	rig_pass(r, 1000 * MS);
	rig_write(r, 8000);
	rig_drain(r);
	assert_true(r->tcp.pace_at <= r->now + 6000 * MS);
	rig_free(r);
}

static void a_late_timer_is_made_up_for(void **state)
{
	struct rig *r = paced(10000000);

	(void)state;
	rig_write(r, 250000);
	assert_in_range(send_for(r, 20 * MS, 100000), 190000, 212000);
	rig_free(r);
}

/* Linux's credit: the burst that leaves late counts for less, but for half at least. */
static void what_leaves_late_is_made_up_for_by_half_a_burst(void **state)
{
	struct rig *r = paced(1000000);

	(void)state;
	rig_write(r, 100000);
	rig_drain(r);
	rig_timer(r);
	rig_drain(r);				/* on time */
	rig_pass(r, 2 * MS + MS / 2);
	tcp_timer(&r->tcp, r->now);
	assert_int_equal(rig_drain(r), 2);
	assert_int_equal(tcp_deadline(&r->tcp) - r->now, 3 * MS / 2);
	rig_pass(r, 5 * MS);
	tcp_timer(&r->tcp, r->now);
	assert_int_equal(rig_drain(r), 2);
	assert_int_equal(tcp_deadline(&r->tcp) - r->now, MS);
	rig_free(r);
}

static void silence_is_not_made_up_for(void **state)
{
	struct rig *r = paced(1000000);

	(void)state;
	rig_write(r, 2000);
	rig_drain(r);
	rig_pass(r, 20 * MS);
	rig_ack(r, 2000);
	rig_pass(r, 150 * MS);
	rig_write(r, 50000);
	assert_in_range(rig_drain(r), 2, 4);
	rig_free(r);
}

static void what_is_sent_again_is_paced_too(void **state)
{
	struct rig *r = paced(1000000);
	uint32_t n;

	(void)state;
	rig_write(r, 20000);
	send_for(r, 18 * MS, 0);
	rig_sack(r, 0, 12000, 16000);
	assert_int_equal(r->tcp.ca, TCP_RECOVERY);
	assert_int_equal(rig_drain(r), 0);
	assert_true(tcp_deadline(&r->tcp) - r->now <= 2 * MS);
	rig_timer(r);
	n = rig_drain(r);
	assert_in_range(n, 1, 2);
	assert_true(r->tcp.retransmits >= 1);
	rig_free(r);
}

static void without_a_pace_nothing_waits(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.cwnd = 50;
	r = rig_new(&b);
	rig_write(r, 50000);
	assert_int_equal(rig_drain(r), 50);
	rig_free(r);
}

static struct rig *with_bbr(void)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	strcpy(b.options.cc, "bbr");
	b.snd_wnd = 1 << 20;
	r = rig_new(&b);
	return r;
}

static void bbr_paces_at_a_multiple_of_its_first_window(void **state)
{
	struct rig *r = with_bbr();

	(void)state;
	/* 10 segments in 20 ms, 2.885 times as fast, less a hundredth */
	assert_in_range(r->tcp.cc.pacing_rate, 1400000, 1450000);
	rig_free(r);
}

/* 4 segments are acknowledged 20 ms after they were sent, all sent at once: 200 kB/s. */
static void the_delivery_rate_is_measured(void **state)
{
	struct rig *r = with_bbr();
	struct tcp_rec *rec = r->tcp.rec;

	(void)state;
	rig_write(r, 4000);
	rig_drain(r);
	assert_true(rec->rated);
	assert_int_equal(rec->delivered, 0);
	rig_pass(r, 20 * MS);
	rig_ack(r, 4000);
	assert_int_equal(r->tcp.delivered, 4000);
	assert_int_equal(r->tcp.delivered_at, tcp_tick(r->now));
	rig_free(r);
}

static void what_was_sent_last_says_how_long_sending_took(void **state)
{
	struct rig *r = with_bbr();
	uint64_t last;

	(void)state;
	rig_write(r, 2000);
	rig_drain(r);
	rig_pass(r, 5 * MS);
	rig_write(r, 2000);
	rig_drain(r);
	last = r->now;
	assert_int_equal(r->tcp.nrec, 2);	/* nothing had arrived when either was sent */
	rig_pass(r, 20 * MS);
	rig_ack(r, 4000);
	assert_int_equal(r->tcp.first_sent, tcp_tick(last));
	rig_free(r);
}

static void a_program_that_pauses_is_noticed(void **state)
{
	struct rig *r = with_bbr();

	(void)state;
	rig_write(r, 50000);
	assert_true(r->tcp.cc.app_limited);	/* nothing was there before it */
	rig_drain(r);
	rig_write(r, 50000);
	rig_pass(r, 20 * MS);
	rig_ack(r, 2000);
	assert_false(r->tcp.cc.app_limited);	/* more than was in flight then has arrived */
	rig_write(r, 1000);
	assert_false(r->tcp.cc.app_limited);
	rig_free(r);
}

/* As the pace allows, and a round trip later. */
static void send_all(struct rig *r)
{
	for (int i = 0; tcp_unsent(&r->tcp) && i < 1000; i++) {
		rig_drain(r);
		rig_pass(r, MS);
	}
	rig_pass(r, 20 * MS);
}

static void a_program_that_waits_for_room_does_not_pause(void **state)
{
	struct rig *r = with_bbr();

	(void)state;
	r->tcp.cc.cwnd = 100;
	rig_write(r, 60000);			/* of the 65536 that it is to write at most */
	send_all(r);
	rig_ack(r, 59000);
	assert_false(r->tcp.cc.app_limited);
	rig_write(r, 5000);
	assert_false(r->tcp.cc.app_limited);
	send_all(r);
	rig_ack(r, 65000);
	rig_write(r, 5000);			/* now it had room, and had written nothing */
	assert_true(r->tcp.cc.app_limited);
	rig_free(r);
}

/* A pair would fill two holes of four at once. */
static void what_fills_holes_leaves_alone_at_a_low_rate(void **state)
{
	struct rig *r = paced(500000);

	(void)state;
	rig_write(r, 20000);
	while (tcp_unsent(&r->tcp)) {
		rig_drain(r);
		rig_pass(r, MS);
	}
	for (uint32_t at = 1000; at < 20000; at += 4000)
		rig_sack(r, 0, at, at + 3000);
	rig_pass(r, 100 * MS);
	assert_true(r->tcp.lost > 2 * RIG_MSS);
	assert_int_equal(rig_drain(r), 1);
	assert_true(r->out.retransmit);
	rig_pass(r, 2 * MS);
	assert_int_equal(rig_drain(r), 1);
	rig_free(r);
}

/* The path reorders, so what is missing has its time; nothing is acknowledged when that is over. */
static void what_a_timer_finds_lost_is_counted(void **state)
{
	struct rig *r = with_bbr();

	(void)state;
	r->tcp.flags |= T_REORDERED;
	rig_write(r, 10000);
	send_all(r);
	rig_sack(r, 0, 2000, 10000);
	assert_int_equal(r->tcp.lost_ever, 0);
	assert_int_equal(r->tcp.rtx_kind, TCP_RTX_REORDER);
	r->now = tcp_deadline(&r->tcp);
	tcp_timer(&r->tcp, r->now);
	assert_int_equal(r->tcp.lost, 2000);
	assert_int_equal(r->tcp.lost_ever, 2000);
	rig_free(r);
}

/* Two timeouts of the same bytes: what was not sent again in between was lost once. */
static void what_two_timeouts_call_lost_is_counted_once(void **state)
{
	struct rig *r = with_bbr();

	(void)state;
	rig_write(r, 10000);
	send_all(r);
	while (r->tcp.ca != TCP_LOSS) {
		rig_timer(r);
		rig_drain(r);
	}
	assert_int_equal(r->tcp.lost_ever, 10000);
	assert_int_equal(r->tcp.rtx, 1000);
	while (r->tcp.backoff < 2)
		rig_timer(r);
	assert_int_equal(r->tcp.lost, 10000);
	assert_int_equal(r->tcp.lost_ever, 11000);	/* the copy of the first segment too */
	rig_free(r);
}

static void a_loss_leaves_bbrs_window_alone_but_for_what_was_lost(void **state)
{
	struct rig *r = with_bbr();
	uint32_t cwnd;

	(void)state;
	rig_write(r, 200000);
	for (int i = 0; i < 60; i++) {
		rig_drain(r);
		rig_pass(r, 2 * MS);
		if (tcp_deadline(&r->tcp) <= r->now)
			tcp_timer(&r->tcp, r->now);
		if (i >= 10)
			rig_ack(r, r->tcp.snd_una - RIG_ISN + 2000);
	}
	cwnd = r->tcp.cc.cwnd;
	assert_true(tcp_outstanding(&r->tcp) >= 8000);
	rig_sack(r, r->tcp.snd_una - RIG_ISN, r->tcp.snd_una - RIG_ISN + 1000,
		 r->tcp.snd_una - RIG_ISN + 5000);
	assert_int_equal(r->tcp.ca, TCP_RECOVERY);
	rig_drain(r);
	rig_pass(r, 20 * MS);
	rig_ack(r, r->tcp.snd_nxt - RIG_ISN);
	assert_int_equal(r->tcp.ca, TCP_OPEN);
	assert_true(r->tcp.cc.cwnd >= cwnd);
	rig_free(r);
}

static void another_congestion_control_takes_over_at_any_time(void **state)
{
	static const char *const names[] = { "bbr", "cubic", "dctcp", "bbr", "reno" };
	struct rig *r = rig_new(NULL);

	(void)state;
	rig_write(r, 50000);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		rig_drain(r);
		rig_pass(r, 20 * MS);
		assert_int_equal(tcp_set_cc(&r->tcp, names[i], r->now), 0);
		rig_ack(r, r->tcp.snd_una - RIG_ISN + 1000);
		assert_string_equal(r->tcp.cc.ops->name, names[i]);
	}
	assert_int_equal(tcp_set_cc(&r->tcp, "vegas", r->now), -ENOENT);
	rig_free(r);
}

static void options_that_change_take_effect(void **state)
{
	struct tcp_options o = { .cc = "bbr", .max_pacing = 1000000, .user_timeout_ms = 3000 };
	struct rig *r = rig_new(NULL);

	(void)state;
	rig_write(r, 50000);
	rig_drain(r);
	rig_pass(r, 20 * MS);
	tcp_set_options(&r->tcp, &o, r->now);
	assert_string_equal(r->tcp.cc.ops->name, "bbr");
	assert_int_equal(r->tcp.user_timeout_ms, 3000);
	rig_ack(r, 10000);
	assert_int_equal(r->tcp.cc.pacing_rate, 1000000);
	strcpy(o.cc, "vegas");
	tcp_set_options(&r->tcp, &o, r->now);
	assert_string_equal(r->tcp.cc.ops->name, "cubic");
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(so_max_pacing_rate_spreads_what_is_sent),
		cmocka_unit_test(a_burst_is_two_segments_or_a_millisecond),
		cmocka_unit_test(what_the_timer_resends_waits_for_nobody),
		cmocka_unit_test(an_old_burst_is_not_charged_at_a_lower_rate),
		cmocka_unit_test(a_late_timer_is_made_up_for),
		cmocka_unit_test(what_leaves_late_is_made_up_for_by_half_a_burst),
		cmocka_unit_test(silence_is_not_made_up_for),
		cmocka_unit_test(what_is_sent_again_is_paced_too),
		cmocka_unit_test(without_a_pace_nothing_waits),
		cmocka_unit_test(bbr_paces_at_a_multiple_of_its_first_window),
		cmocka_unit_test(the_delivery_rate_is_measured),
		cmocka_unit_test(what_was_sent_last_says_how_long_sending_took),
		cmocka_unit_test(a_program_that_pauses_is_noticed),
		cmocka_unit_test(a_program_that_waits_for_room_does_not_pause),
		cmocka_unit_test(what_fills_holes_leaves_alone_at_a_low_rate),
		cmocka_unit_test(what_a_timer_finds_lost_is_counted),
		cmocka_unit_test(what_two_timeouts_call_lost_is_counted_once),
		cmocka_unit_test(a_loss_leaves_bbrs_window_alone_but_for_what_was_lost),
		cmocka_unit_test(another_congestion_control_takes_over_at_any_time),
		cmocka_unit_test(options_that_change_take_effect),
	};

	return cmocka_run_group_tests_name("tcp_pace", tests, NULL, NULL);
}
