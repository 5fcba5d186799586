// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/fast/tcp.c user/fast/tcp_ack.c user/fast/tcp_ooo.c user/fast/tcp_pool.c */
/* needs: user/fast/tcp_recover.c user/fast/tcp_rx.c user/fast/tcp_sack.c user/fast/tcp_timer.c */
/* needs: user/fast/tcp_tx.c user/fast/tcp_rate.c user/fast/tcp_pace.c user/fast/rtt.c */
/* needs: user/fast/cc.c user/fast/cc_bbr.c user/fast/cc_cubic.c user/fast/cc_dctcp.c user/fast/cc_reno.c */
/*
 * test_tcp_rx.c - segments in: order, holes, the window offered, acceptability, FIN, RST.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tcp_rig.h"

static void data_in_order_is_readable_at_once(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	assert_true(rig_data(r, 0, 700) & TCP_DO_READABLE);
	assert_int_equal(rig_read(r), 700);
	for (uint32_t at = 700; at < 70000; at += 700) {
		rig_data(r, at, 700);
		rig_drain(r);
		assert_int_equal(rig_read(r), 700);
	}
	rig_free(r);
}

static void a_request_lies_where_the_last_one_lay(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		rig_data(r, i * 100, 100);
		assert_int_equal(pipe_offset(r->tcp.rx_geom, i * 100), 0);
		assert_int_equal(rig_read(r), 100);
	}
	rig_free(r);
}

static void an_unread_pipe_grows_and_keeps_its_bytes(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	for (uint32_t at = 0; at < 50000; at += 1000) {
		rig_data(r, at, 1000);
		rig_drain(r);
	}
	assert_int_equal(pipe_order(r->tcp.rx_geom), 16);
	assert_int_equal(rig_read(r), 50000);
	rig_free(r);
}

static void holes_are_filled_in_any_order(void **state)
{
	static const uint32_t order[] = { 5, 1, 9, 3, 7, 2, 8, 4, 6, 0 };
	struct rig *r = rig_new(NULL);

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		uint32_t todo = rig_data(r, order[i] * 1000, 1000);

		assert_int_equal(!!(todo & TCP_DO_READABLE), i == 9);
	}
	assert_int_equal(r->tcp.nrange, 0);
	assert_int_equal(rig_read(r), 10000);
	rig_free(r);
}

static void many_holes_borrow_memory_and_give_it_back(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	for (uint32_t at = 100; at < 20000; at += 200)
		rig_data(r, at, 100);
	assert_int_equal(r->tcp.nrange, 100);
	assert_int_not_equal(r->tcp.range_class, 0);
	for (uint32_t at = 0; at < 20000; at += 200)
		rig_data(r, at, 100);
	assert_int_equal(r->tcp.range_class, 0);
	assert_int_equal(rig_read(r), 20000);
	rig_free(r);
}

static void without_a_pool_a_hole_too_many_is_dropped(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r = rig_new(&b);

	(void)state;
	r->tcp.pool = NULL;
	for (uint32_t at = 1000; at < 50000; at += 2000)
		rig_data(r, at, 1000);
	assert_int_equal(r->tcp.nrange, TCP_NRANGE);
	for (uint32_t at = 0; at < 50000; at += 1000)
		rig_data(r, at, 1000);
	assert_int_equal(rig_read(r), 50000);
	rig_free(r);
}

static void overlapping_segments_are_taken_once(void **state)
{
	static const struct { uint32_t seq, len; } segs[] = {
		{ 500, 1000 }, { 1200, 1000 }, { 400, 3000 }, { 300, 100 }, { 0, 350 }, { 100, 5000 },
	};
	struct rig *r = rig_new(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(segs) / sizeof(segs[0]); i++)
		rig_data(r, segs[i].seq, segs[i].len);
	assert_int_equal(rig_read(r), 5100);
	rig_free(r);
}

static void sack_reports_the_newest_block_first(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	rig_data(r, 2000, 1000);
	rig_drain(r);
	rig_data(r, 6000, 1000);
	rig_drain(r);
	rig_data(r, 4000, 1000);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.nsack, 3);
	assert_int_equal(r->out.sack[0].start, 4000);
	assert_int_equal(r->out.sack[0].end, 5000);
	assert_int_equal(r->out.sack[1].start, 6000);
	assert_int_equal(r->out.sack[2].start, 2000);
	assert_int_equal(r->out.ack, 0);
	rig_free(r);
}

static void a_duplicate_is_reported_by_dsack(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	rig_data(r, 0, 2000);
	rig_drain(r);
	rig_data(r, 0, 1000);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.ack, 2000);
	assert_int_equal(r->out.nsack, 1);
	assert_int_equal(r->out.sack[0].start, 0);
	assert_int_equal(r->out.sack[0].end, 1000);
	assert_int_equal(rig_read(r), 2000);
	rig_free(r);
}

static void the_window_closes_and_its_edge_never_moves_left(void **state)
{
	struct rig *r = rig_new(NULL);
	uint32_t edge = 60000, at = 0;

	(void)state;
	while (at < r->tcp.rcv_edge - RIG_PEER) {
		uint32_t left = r->tcp.rcv_edge - RIG_PEER - at, n = left < 1000 ? left : 1000;

		rig_data(r, at, n);
		at += n;
		while (rig_tx(r)) {
			uint32_t now = r->out.ack + ((uint32_t)r->out.window << 7);

			assert_true(now >= edge);
			edge = now;
		}
	}
	assert_int_equal(r->out.window, 0);
	assert_int_equal(rig_read(r), at);
	assert_true(r->todo & TCP_DO_OUTPUT);
	assert_true(rig_tx(r));
	assert_true(r->out.window > 0);
	rig_free(r);
}

static void a_program_that_drains_quickly_is_offered_more(void **state)
{
	struct rig *r = rig_new(NULL);
	uint32_t at = 0;

	(void)state;
	for (int round = 0; round < 200; round++) {
		uint32_t to = r->tcp.rcv_edge - RIG_PEER;

		for (; at + 1000 <= to; at += 1000)
			rig_data(r, at, 1000);
		assert_true(rig_read(r) != SIZE_MAX);
		rig_drain(r);
		rig_pass(r, 21 * MS);
	}
	assert_true(r->tcp.rcv_limit > 200000);
	assert_true(r->tcp.rcv_limit <= 1U << RIG_ORDER);
	rig_free(r);
}

/* As Linux does: else a path that loses could be filled only as far as a window without holes
 * reaches.
 */
static void what_waits_behind_a_hole_is_offered_besides(void **state)
{
	struct rig *r = rig_new(NULL);
	uint32_t limit = r->tcp.rcv_limit;

	(void)state;
	for (uint32_t at = 1000; at + 1000 <= 60000; at += 1000)
		rig_data(r, at, 1000);
	assert_true(r->tcp.rcv_limit > limit);
	assert_in_range(r->tcp.rcv_limit, 59000 + 20000, 60000 + 20000);
	rig_free(r);
}

/* A sender in slow start has twice as much in flight in the next round trip, and we learn of this
 * one only when it is over.
 */
static void a_sender_in_slow_start_is_not_held_up(void **state)
{
	struct rig *r = rig_new(NULL);
	uint32_t at = 0;

	(void)state;
	for (uint32_t segs = 20; segs <= 40; segs *= 2) {
		for (uint32_t i = 0; i < segs; i++, at += 1000)
			rig_data(r, at, 1000);
		rig_pass(r, 25 * MS);
		rig_read(r);
		rig_drain(r);
	}
	assert_true(r->tcp.rcv_limit >= 6 * 40000);
	rig_free(r);
}

/* The next ACK will say so; one for this alone Linux does not send either. */
static void a_larger_limit_is_no_reason_for_an_ack(void **state)
{
	struct rig *r = rig_new(NULL);
	uint32_t limit = r->tcp.rcv_limit;

	(void)state;
	for (uint32_t at = 0; at < 21000; at += 1000) {
		rig_data(r, at, 1000);
		rig_drain(r);
	}
	rig_pass(r, 25 * MS);
	rig_read(r);
	assert_true(r->tcp.rcv_limit > 2 * limit);
	assert_int_equal(rig_drain(r), 0);
	rig_free(r);
}

static void copies_that_touch_are_one_dsack(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	for (uint32_t at = 0; at < 4000; at += 1000)
		rig_data(r, at, 1000);
	rig_drain(r);
	rig_data(r, 1000, 1000);
	rig_data(r, 2000, 1000);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.nsack, 1);
	assert_int_equal(r->out.sack[0].start, 1000);
	assert_int_equal(r->out.sack[0].end, 3000);
	rig_free(r);
}

static void a_scale_too_large_for_the_buffer_does_not_close_the_window(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.rcv_wscale = 14;
	b.rcv_edge = RIG_PEER + 4000;
	b.rx_order_max = 12;
	r = rig_new(&b);
	rig_data(r, 0, 4000);
	rig_drain(r);
	assert_int_equal(r->out.window, 0);
	assert_int_equal(rig_read(r), 4000);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.ack, 4000);
	assert_int_equal(r->out.window, 1);
	rig_free(r);
}

static void copies_that_do_not_touch_get_an_ack_each(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	rig_data(r, 0, 5000);
	rig_drain(r);
	rig_data(r, 7000, 2000);
	rig_drain(r);
	rig_data(r, 7000, 1000);		/* within what waits behind the hole */
	rig_data(r, 1000, 1000);
	rig_data(r, 3000, 1000);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.nsack, 2);
	assert_int_equal(r->out.sack[0].start, 7000);
	assert_int_equal(r->out.sack[0].end, 8000);
	assert_int_equal(r->out.sack[1].start, 7000);
	assert_int_equal(r->out.sack[1].end, 9000);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.sack[0].start, 1000);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.sack[0].start, 3000);
	assert_int_equal(r->out.nsack, 2);
	assert_false(rig_tx(r));
	rig_free(r);
}

static void a_segment_with_an_old_ack_has_a_fresh_timestamp(void **state)
{
	struct rig *r = rig_new(NULL);
	struct tcp_seg s;

	(void)state;
	rig_write(r, 2000);
	rig_drain(r);
	rig_ack(r, 2000);
	rig_pass(r, 5000 * MS);
	s = rig_seg(r, 0, 1000, 1000);		/* it was overtaken by the ACK of 2000 */
	rig_rx(r, &s);
	assert_int_equal(r->tcp.ts_recent, s.tsval);
	rig_free(r);
}

/* A segment of one batch: how many ACKs must leave before it is taken? The last is in r->out. */
static uint32_t acks_before(struct rig *r, struct tcp_seg *s)
{
	uint32_t n = 0;

	while (tcp_ack_first(&r->tcp, s) && tcp_ack(&r->tcp, r->now, &r->out))
		n++;
	rig_rx(r, s);
	return n;
}

static uint32_t acks_before_data(struct rig *r, uint32_t seq, uint32_t len)
{
	struct tcp_seg s = rig_seg(r, seq, len, r->tcp.snd_una - RIG_ISN);

	return acks_before(r, &s);
}

static void what_fills_a_hole_is_acknowledged_before_its_copy_comes(void **state)
{
	struct rig *r = rig_new(NULL);
	struct tcp_seg late, copy;

	(void)state;
	rig_data(r, 0, 1000);
	rig_drain(r);
	rig_pass(r, 2 * MS);
	late = rig_seg(r, 1000, 1000, 0);
	rig_pass(r, 2 * MS);
	assert_int_equal(acks_before_data(r, 2000, 1000), 0);
	assert_int_equal(acks_before(r, &late), 0);
	copy = rig_seg(r, 1000, 1000, 0);
	assert_int_equal(acks_before(r, &copy), 1);
	assert_int_equal(r->out.ack - RIG_PEER, 3000);
	assert_int_equal(r->out.nsack, 0);
	assert_int_equal(r->out.tsecr, late.tsval);	/* so the peer sees that it resent for nothing */
	assert_int_equal(acks_before_data(r, 3000, 1000), 0);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.sack[0].start, 1000);
	assert_int_equal(r->out.ack, 4000);
	assert_false(rig_tx(r));
	rig_free(r);
}

/* It may have become whole behind a hole that is still there. */
static void so_is_what_waits_behind_another_hole(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	assert_int_equal(acks_before_data(r, 4000, 1000), 0);
	assert_int_equal(acks_before_data(r, 2000, 1000), 0);
	assert_int_equal(acks_before_data(r, 3000, 1000), 0);
	assert_int_equal(acks_before_data(r, 3500, 1000), 1);
	assert_int_equal(acks_before_data(r, 4500, 1000), 0);	/* half of it is new */
	rig_free(r);
}

/* An ACK each is work that a receiver which loses has not the time for. */
static void holes_of_one_batch_have_one_ack(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	for (uint32_t at = 1000; at < 20000; at += 3000) {
		assert_int_equal(acks_before_data(r, at, 1000), 0);
		assert_int_equal(acks_before_data(r, at + 1000, 1000), 0);
	}
	assert_int_equal(acks_before_data(r, 0, 1000), 0);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.ack, 3000);
	assert_false(rig_tx(r));
	rig_free(r);
}

static void who_has_no_sack_hears_of_each_segment_out_of_order(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.sack_ok = false;
	r = rig_new(&b);
	assert_int_equal(acks_before_data(r, 1000, 1000), 0);
	for (uint32_t i = 2; i <= 3; i++) {
		assert_int_equal(acks_before_data(r, 1000 * i, 1000), 1);
		assert_int_equal(r->out.ack, RIG_PEER);
	}
	assert_int_equal(acks_before_data(r, 0, 1000), 1);
	assert_int_equal(acks_before_data(r, 4000, 1000), 0);	/* nothing is wrong any more */
	assert_true(rig_tx(r));
	assert_int_equal(r->out.ack, 5000);
	rig_free(r);
}

static void bytes_beyond_the_window_are_not_taken(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	rig_data(r, 59500, 1000);
	assert_int_equal(r->tcp.range[0].end - RIG_PEER, 60000);
	rig_data(r, 70000, 1000);
	assert_int_equal(r->tcp.nrange, 1);
	rig_free(r);
}

static void the_first_sixteen_acks_are_quick_then_they_wait(void **state)
{
	struct rig *r = rig_new(NULL);
	uint32_t quick = 0;

	(void)state;
	for (uint32_t i = 0; i < 40; i++) {
		rig_data(r, i * 10, 10);
		quick += rig_drain(r);
		rig_pass(r, 50 * MS);
		tcp_timer(&r->tcp, r->now);
		rig_drain(r);
	}
	assert_int_equal(quick, 16);
	rig_free(r);
}

static void every_second_full_segment_is_acknowledged(void **state)
{
	struct rig *r = rig_new(NULL);
	uint32_t acks = 0;

	(void)state;
	for (uint32_t i = 0; i < 40; i++) {
		rig_data(r, i * 1000, 1000);
		if (i >= 20)
			acks += rig_drain(r);
		else
			rig_drain(r);
	}
	assert_int_equal(acks, 10);
	rig_free(r);
}

static void a_delayed_ack_waits_forty_milliseconds(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	r->tcp.ato_us = TCP_ACK_MIN_US;
	r->tcp.data_ns = r->now;
	rig_data(r, 0, 100);
	assert_false(rig_tx(r));
	assert_int_equal(tcp_deadline(&r->tcp), r->now + 40 * MS);
	assert_true(rig_timer(r) & TCP_DO_OUTPUT);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.ack, 100);
	assert_false(rig_tx(r));
	rig_free(r);
}

static void an_answer_carries_the_ack(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	r->tcp.ato_us = TCP_ACK_MIN_US;
	r->tcp.data_ns = r->now;
	rig_data(r, 0, 100);
	rig_write(r, 50);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.len, 50);
	assert_int_equal(r->out.ack, 100);
	assert_false(rig_tx(r));
	assert_int_equal(r->tcp.ack_at, TCP_NEVER);
	rig_free(r);
}

static void fin_takes_its_place_after_the_bytes_before_it(void **state)
{
	struct rig *r = rig_new(NULL);
	struct tcp_seg s = rig_seg(r, 1000, 500, 0);

	(void)state;
	s.flags |= TH_FIN;
	assert_false(rig_rx(r, &s) & TCP_DO_PEER_FIN);
	assert_int_equal(atomic_load(&r->slot->fast_flags), 0);
	assert_true(rig_data(r, 0, 1000) & TCP_DO_PEER_FIN);
	assert_int_equal(atomic_load(&r->slot->fast_flags), TP_F_EOF);
	assert_int_equal(rig_read(r), 1500);
	assert_int_equal(r->tcp.rcv_nxt - RIG_PEER, 1501);
	assert_false(rig_rx(r, &s) & TCP_DO_PEER_FIN);
	rig_free(r);
}

static void a_flow_stays_until_what_a_fin_follows_is_read(void **state)
{
	struct rig *r = rig_new(NULL);
	struct tcp_seg s = rig_seg(r, 0, 100, 0);

	(void)state;
	s.flags |= TH_FIN;
	rig_rx(r, &s);
	assert_true(tcp_is_being_read(&r->tcp, r->now));
	atomic_store(&r->slot->rx_tail, 99);
	assert_true(tcp_is_being_read(&r->tcp, r->now));
	atomic_store(&r->slot->rx_tail, 100);
	assert_false(tcp_is_being_read(&r->tcp, r->now));
	rig_free(r);

	r = rig_new(NULL);
	rig_rx(r, &s);
	tcp_close_tx(&r->tcp, r->now);
	assert_false(tcp_is_being_read(&r->tcp, r->now));
	rig_free(r);
}

static void data_after_fin_is_not_taken(void **state)
{
	struct rig *r = rig_new(NULL);
	struct tcp_seg s = rig_seg(r, 0, 100, 0);

	(void)state;
	s.flags |= TH_FIN;
	rig_rx(r, &s);
	rig_drain(r);
	rig_data(r, 101, 100);
	assert_int_equal(rig_read(r), 100);
	assert_int_equal(r->tcp.rcv_nxt - RIG_PEER, 101);
	rig_free(r);
}

static void only_an_exact_reset_resets(void **state)
{
	static const struct {
		const char *when;
		uint32_t seq;
		bool dies, answers;
	} cases[] = {
		{ "at rcv_nxt", 0, true, false },
		{ "in the window", 1, false, true },
		{ "at the window's end", 60000, false, true },
		{ "beyond the window", 60001, false, false },
		{ "before the window", 0U - 1, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig *r = rig_new(NULL);
		struct tcp_seg s = rig_seg(r, cases[i].seq, 0, 0);

		s.flags = TH_RST;
		rig_rx(r, &s);
		if (!!(r->todo & TCP_DO_RESET) != cases[i].dies || rig_tx(r) != cases[i].answers)
			fail_msg("%s: todo %#x", cases[i].when, r->todo);
		rig_free(r);
	}
}

static void a_syn_in_the_window_is_challenged(void **state)
{
	struct rig *r = rig_new(NULL);
	struct tcp_seg s = rig_seg(r, 100, 0, 0);

	(void)state;
	s.flags = TH_SYN;
	rig_rx(r, &s);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.flags, TH_ACK);
	assert_int_equal(r->out.ack, 0);
	rig_free(r);
}

static void one_challenge_is_sent_in_half_a_second(void **state)
{
	static const uint8_t flags[] = { TH_SYN, TH_RST, TH_SYN | TH_ACK };
	struct rig *r = rig_new(NULL);
	uint32_t n = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct tcp_seg s = rig_seg(r, 100, 0, 0);

		s.flags = flags[i % 3];
		rig_rx(r, &s);
		n += rig_drain(r);
		rig_pass(r, MS);
	}
	assert_int_equal(n, 2);
	rig_free(r);
}

static void an_ack_of_what_was_never_sent_is_challenged(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	rig_write(r, 100);
	rig_drain(r);
	rig_ack(r, 101);
	assert_int_equal(r->tcp.snd_una, RIG_ISN);
	assert_true(rig_tx(r));
	rig_free(r);
}

static void an_old_timestamp_is_refused_and_answered(void **state)
{
	struct rig *r = rig_new(NULL);
	struct tcp_seg s;

	(void)state;
	rig_pass(r, 1000 * MS);
	rig_data(r, 0, 100);
	rig_drain(r);
	s = rig_seg(r, 100, 100, 0);
	s.tsval -= 500;
	assert_true(rig_rx(r, &s) & TCP_DO_OUTPUT);
	assert_int_equal(r->tcp.rcv_nxt - RIG_PEER, 100);
	rig_pass(r, 25ULL * 86400 * 1000 * MS);
	s.tsecr = 0;
	rig_rx(r, &s);
	assert_int_equal(r->tcp.rcv_nxt - RIG_PEER, 200);
	rig_free(r);
}

static void a_timestamp_one_tick_old_is_good_and_not_echoed(void **state)
{
	struct rig *r = rig_new(NULL);
	struct tcp_seg s;
	uint32_t recent;

	(void)state;
	rig_pass(r, 1000 * MS);
	rig_data(r, 0, 100);
	rig_drain(r);
	recent = r->tcp.ts_recent;
	s = rig_seg(r, 100, 100, 0);
	s.tsval--;
	rig_rx(r, &s);
	assert_int_equal(r->tcp.rcv_nxt - RIG_PEER, 200);
	assert_int_equal(r->tcp.ts_recent, recent);
	rig_drain(r);
	s = rig_seg(r, 200, 100, 0);
	s.tsval -= 2;
	rig_rx(r, &s);
	assert_int_equal(r->tcp.rcv_nxt - RIG_PEER, 200);
	rig_free(r);
}

static void urgent_data_asks_for_linux_and_is_not_taken(void **state)
{
	struct rig *r = rig_new(NULL);
	struct tcp_seg s = rig_seg(r, 0, 100, 0);

	(void)state;
	s.flags |= TH_URG;
	assert_true(rig_rx(r, &s) & TCP_DO_ODD);
	assert_int_equal(r->tcp.rcv_nxt, RIG_PEER);
	rig_free(r);
}

static void data_for_nobody_aborts(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	rig_data(r, 0, 100);
	rig_read(r);
	assert_false(tcp_release(&r->tcp, r->now) & TCP_DO_ABORT);
	assert_true(rig_data(r, 100, 1) & TCP_DO_ABORT);
	rig_free(r);

	r = rig_new(NULL);
	rig_data(r, 0, 100);
	assert_true(tcp_release(&r->tcp, r->now) & TCP_DO_ABORT);
	rig_free(r);
}

static void congestion_is_echoed_until_the_peer_has_heard(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;
	struct tcp_seg s;

	(void)state;
	b.ecn_ok = true;
	r = rig_new(&b);
	s = rig_seg(r, 0, 100, 0);
	s.ce = true;
	rig_rx(r, &s);
	assert_true(rig_tx(r));
	assert_true(r->out.flags & TH_ECE);
	rig_data(r, 100, 100);
	assert_true(rig_tx(r));
	assert_true(r->out.flags & TH_ECE);
	s = rig_seg(r, 200, 100, 0);
	s.flags |= TH_CWR;
	rig_rx(r, &s);
	assert_true(rig_tx(r));
	assert_false(r->out.flags & TH_ECE);
	rig_free(r);
}

static void a_lying_program_hurts_nobody(void **state)
{
	static const uint64_t lies[] = { ~0ULL, 1ULL << 63, 1, 5000, 1ULL << 40 };
	struct rig *r = rig_new(NULL);

	(void)state;
	rig_data(r, 0, 1000);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		atomic_store(&r->slot->rx_tail, lies[i]);
		tcp_app(&r->tcp, r->now);
		assert_true(r->tcp.rx_tail <= r->tcp.rx_head);
	}
	rig_free(r);
}

static void a_window_is_offered_no_larger_than_so_rcvbuf_says(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.rcv_edge = RIG_PEER + 20000;
	b.options.rcv_max = 20000;
	r = rig_new(&b);
	for (uint32_t at = 0; at < 200000; at += 10000) {
		rig_data(r, at, 10000);
		rig_pass(r, 20 * MS);
		rig_read(r);
		rig_drain(r);
		assert_true(r->tcp.rcv_edge - r->tcp.rcv_nxt <= 20000 + 127);
	}
	rig_free(r);
}

static void a_route_with_quickack_delays_no_ack(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.quick_acks = true;
	r = rig_new(&b);
	for (uint32_t at = 0; at < 5000; at += 100) {
		rig_data(r, at, 100);
		assert_true(rig_tx(r));
		assert_int_equal(r->out.ack, at + 100);
		rig_pass(r, 10 * MS);
	}
	rig_free(r);
}

static struct rig *with_dctcp(void)
{
	struct tcp_begin b = rig_begin();

	b.ecn_ok = true;
	strcpy(b.options.cc, "dctcp");
	return rig_new(&b);
}

/* @n segments of 100 bytes, with CE or not; nothing is sent meanwhile. */
static void marked(struct rig *r, uint32_t n, bool ce)
{
	while (n--) {
		struct tcp_seg s = rig_seg(r, r->tcp.rcv_nxt - RIG_PEER, 100, 0);

		s.ce = ce;
		rig_rx(r, &s);
	}
}

static void dctcp_acknowledges_apart_what_was_marked(void **state)
{
	static const struct {
		uint32_t ack;
		bool ece;
	} want[] = { { 300, false }, { 500, true }, { 600, false }, { 800, true } };
	struct rig *r = with_dctcp();

	(void)state;
	marked(r, 3, false);
	marked(r, 2, true);
	marked(r, 1, false);
	marked(r, 2, true);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_true(rig_tx(r));
		assert_int_equal(r->out.ack, want[i].ack);
		assert_int_equal(!!(r->out.flags & TH_ECE), want[i].ece);
		assert_true(r->out.ect);
	}
	assert_false(rig_tx(r));
	rig_free(r);
}

static void dctcp_echoes_no_longer_than_there_is_ce(void **state)
{
	struct rig *r = with_dctcp();

	(void)state;
	marked(r, 1, true);
	assert_true(rig_tx(r));
	assert_true(r->out.flags & TH_ECE);
	marked(r, 1, false);
	assert_true(rig_tx(r));
	assert_false(r->out.flags & TH_ECE);
	assert_false(rig_tx(r));
	rig_free(r);
}

static void dctcp_survives_more_changes_than_it_can_tell(void **state)
{
	struct rig *r = with_dctcp();
	uint32_t last = 0, n = 0;

	(void)state;
	for (int i = 0; i < 101; i++)
		marked(r, 1, i % 2 == 0);
	while (rig_tx(r)) {
		assert_true(r->out.ack > last);
		/* an odd number of segments ends with a marked one */
		assert_int_equal(!!(r->out.flags & TH_ECE), r->out.ack / 100 % 2);
		last = r->out.ack;
		n++;
	}
	assert_int_equal(last, 10100);
	assert_in_range(n, TCP_NCE - 1, TCP_NCE + 1);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_in_order_is_readable_at_once),
		cmocka_unit_test(a_request_lies_where_the_last_one_lay),
		cmocka_unit_test(an_unread_pipe_grows_and_keeps_its_bytes),
		cmocka_unit_test(holes_are_filled_in_any_order),
		cmocka_unit_test(many_holes_borrow_memory_and_give_it_back),
		cmocka_unit_test(without_a_pool_a_hole_too_many_is_dropped),
		cmocka_unit_test(overlapping_segments_are_taken_once),
		cmocka_unit_test(sack_reports_the_newest_block_first),
		cmocka_unit_test(a_duplicate_is_reported_by_dsack),
		cmocka_unit_test(the_window_closes_and_its_edge_never_moves_left),
		cmocka_unit_test(a_program_that_drains_quickly_is_offered_more),
		cmocka_unit_test(what_waits_behind_a_hole_is_offered_besides),
		cmocka_unit_test(a_sender_in_slow_start_is_not_held_up),
		cmocka_unit_test(a_larger_limit_is_no_reason_for_an_ack),
		cmocka_unit_test(copies_that_touch_are_one_dsack),
		cmocka_unit_test(copies_that_do_not_touch_get_an_ack_each),
		cmocka_unit_test(a_scale_too_large_for_the_buffer_does_not_close_the_window),
		cmocka_unit_test(a_segment_with_an_old_ack_has_a_fresh_timestamp),
		cmocka_unit_test(what_fills_a_hole_is_acknowledged_before_its_copy_comes),
		cmocka_unit_test(so_is_what_waits_behind_another_hole),
		cmocka_unit_test(holes_of_one_batch_have_one_ack),
		cmocka_unit_test(who_has_no_sack_hears_of_each_segment_out_of_order),
		cmocka_unit_test(bytes_beyond_the_window_are_not_taken),
		cmocka_unit_test(the_first_sixteen_acks_are_quick_then_they_wait),
		cmocka_unit_test(every_second_full_segment_is_acknowledged),
		cmocka_unit_test(a_delayed_ack_waits_forty_milliseconds),
		cmocka_unit_test(an_answer_carries_the_ack),
		cmocka_unit_test(fin_takes_its_place_after_the_bytes_before_it),
		cmocka_unit_test(a_flow_stays_until_what_a_fin_follows_is_read),
		cmocka_unit_test(data_after_fin_is_not_taken),
		cmocka_unit_test(only_an_exact_reset_resets),
		cmocka_unit_test(a_syn_in_the_window_is_challenged),
		cmocka_unit_test(one_challenge_is_sent_in_half_a_second),
		cmocka_unit_test(an_ack_of_what_was_never_sent_is_challenged),
		cmocka_unit_test(an_old_timestamp_is_refused_and_answered),
		cmocka_unit_test(a_timestamp_one_tick_old_is_good_and_not_echoed),
		cmocka_unit_test(urgent_data_asks_for_linux_and_is_not_taken),
		cmocka_unit_test(data_for_nobody_aborts),
		cmocka_unit_test(congestion_is_echoed_until_the_peer_has_heard),
		cmocka_unit_test(a_lying_program_hurts_nobody),
		cmocka_unit_test(dctcp_acknowledges_apart_what_was_marked),
		cmocka_unit_test(dctcp_echoes_no_longer_than_there_is_ce),
		cmocka_unit_test(dctcp_survives_more_changes_than_it_can_tell),
		cmocka_unit_test(a_window_is_offered_no_larger_than_so_rcvbuf_says),
		cmocka_unit_test(a_route_with_quickack_delays_no_ack),
	};

	return cmocka_run_group_tests_name("tcp_rx", tests, NULL, NULL);
}
