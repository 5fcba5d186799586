// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/fast/tcp.c user/fast/tcp_ack.c user/fast/tcp_ooo.c user/fast/tcp_pool.c */
/* needs: user/fast/tcp_recover.c user/fast/tcp_rx.c user/fast/tcp_sack.c user/fast/tcp_timer.c */
/* needs: user/fast/tcp_tx.c user/fast/tcp_rate.c user/fast/tcp_pace.c user/fast/rtt.c */
/* needs: user/fast/cc.c user/fast/cc_bbr.c user/fast/cc_cubic.c user/fast/cc_dctcp.c user/fast/cc_reno.c */
/*
 * test_tcp_recover.c - the finer points of recovery, as Linux has them: what a timeout takes for
 * lost, what may be undone and what not, for how long a timer waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tcp_rig.h"

/* Ten segments in flight, a millisecond apart; the last one left 11 ms ago. */
static struct rig *ten_in_flight(struct tcp_begin *b)
{
	struct rig *r = rig_new(b);

	rig_write(r, 60000);
	for (int i = 0; i < 10; i++) {
		rig_tx(r);
		rig_pass(r, MS);
	}
	rig_pass(r, 10 * MS);
	return r;
}

/* Until the retransmission timer, past loss probes; nothing is sent but those. */
static void time_out(struct rig *r)
{
	uint8_t backoff = r->tcp.backoff;

	while (r->tcp.backoff == backoff) {
		rig_timer(r);
		if (r->tcp.backoff == backoff)
			rig_drain(r);
	}
}

/* An ACK of @ack that echoes what left at @then, with a D-SACK of [start, end) if there is one. */
static void ack_of(struct rig *r, uint32_t ack, uint64_t then, uint32_t start, uint32_t end)
{
	struct tcp_seg s = rig_seg(r, 0, 0, ack);

	s.tsecr = tcp_tsval(&r->tcp, then);
	s.nsack = start != end;
	s.sack[0] = (struct tcp_sack){ RIG_ISN + start, RIG_ISN + end };
	rig_rx(r, &s);
}

static void a_timeout_spares_what_left_a_moment_ago(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	rig_write(r, 3000);
	rig_drain(r);
	rig_pass(r, 20 * MS);
	rig_ack(r, 1000);
	while (tcp_deadline(&r->tcp) < r->tcp.rto_at) {		/* the loss probe */
		rig_timer(r);
		rig_drain(r);
	}
	r->now = r->tcp.rto_at - 5 * MS;
	rig_write(r, 1000);
	assert_int_equal(rig_drain(r), 1);
	time_out(r);
	assert_int_equal(r->tcp.lost, 2000);
	assert_int_equal(r->tcp.cc.cwnd, 2);
	assert_int_equal(rig_drain(r), 1);
	assert_int_equal(r->out.seq, 1000);
	rig_pass(r, 15 * MS);
	rig_sack(r, 1000, 2000, 4000);
	rig_pass(r, 5 * MS);
	rig_ack(r, 4000);
	assert_int_equal(r->tcp.retransmits, 2);		/* the probe, and this one */
	rig_free(r);
}

static void without_sack_a_timeout_spares_nothing(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.sack_ok = false;
	r = rig_new(&b);
	rig_write(r, 2000);
	rig_drain(r);
	rig_pass(r, 20 * MS);
	rig_ack(r, 1000);
	r->now = r->tcp.rto_at - 5 * MS;
	rig_write(r, 1000);
	assert_int_equal(rig_drain(r), 1);
	time_out(r);
	assert_int_equal(r->tcp.lost, 2000);
	rig_free(r);
}

static void a_timeout_after_progress_reduces_again(void **state)
{
	struct rig *r = ten_in_flight(NULL);

	(void)state;
	time_out(r);
	assert_int_equal(r->tcp.cc.ssthresh, 5);
	rig_drain(r);
	time_out(r);
	assert_int_equal(r->tcp.cc.ssthresh, 5);		/* of the same segment */
	rig_drain(r);
	rig_pass(r, 20 * MS);
	rig_ack(r, 1000);
	assert_int_equal(r->tcp.ca, TCP_LOSS);
	rig_drain(r);
	time_out(r);
	assert_int_equal(r->tcp.cc.ssthresh, 2);
	rig_free(r);
}

/* Recovery sends again, the copy comes after the timeout: the loss was one. */
static void a_late_copy_of_recovery_undoes_no_timeout(void **state)
{
	struct rig *r = ten_in_flight(NULL);
	uint64_t copy;

	(void)state;
	rig_sack(r, 0, 1000, 5000);
	copy = r->now;
	rig_drain(r);
	assert_int_equal(r->tcp.ca, TCP_RECOVERY);
	time_out(r);
	assert_int_equal(r->tcp.ca, TCP_LOSS);
	rig_drain(r);
	rig_pass(r, MS);
	ack_of(r, 5000, copy, 0, 0);
	assert_int_equal(r->tcp.ca, TCP_LOSS);
	assert_in_range(r->tcp.cc.cwnd, 1, 5);
	assert_int_equal(r->tcp.cc.ssthresh, 5);
	rig_free(r);
}

static void what_ecn_asked_for_is_not_undone(void **state)
{
	struct tcp_begin b = rig_begin();
	struct tcp_seg s;
	struct rig *r;
	uint64_t sent;

	(void)state;
	b.ecn_ok = true;
	r = ten_in_flight(&b);
	sent = r->now - 15 * MS;
	s = rig_seg(r, 0, 0, 1000);
	s.flags |= TH_ECE;
	rig_rx(r, &s);
	assert_int_equal(r->tcp.ca, TCP_CWR);
	rig_sack(r, 1000, 2000, 6000);
	assert_int_equal(r->tcp.ca, TCP_RECOVERY);
	assert_true(rig_tx(r));
	rig_pass(r, MS);
	ack_of(r, 10000, sent, 0, 0);
	assert_in_range(r->tcp.cc.cwnd, 1, 6);
	assert_int_equal(r->tcp.cc.ssthresh, 5);
	rig_free(r);
}

static void an_undone_reduction_ends_slow_start_at_three_quarters(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.ssthresh = 4;
	r = ten_in_flight(&b);
	rig_sack(r, 0, 1000, 5000);
	assert_true(rig_tx(r));
	rig_pass(r, 2 * MS);
	ack_of(r, 10000, r->now - 10 * MS, 0, 0);
	assert_int_equal(r->tcp.ca, TCP_OPEN);
	assert_int_equal(r->tcp.cc.cwnd, 10);
	assert_int_equal(r->tcp.cc.ssthresh, 7);
	rig_free(r);
}

/* The hole was filled by the original, while the copy is under way: it says nothing of what was sent
 * between the two.
 */
static void an_original_that_came_late_makes_nothing_lost(void **state)
{
	struct rig *r = ten_in_flight(NULL);
	uint64_t sent = r->now - 20 * MS;

	(void)state;
	r->tcp.cc.cwnd = 30;
	for (int i = 0; i < 5; i++)				/* 10000..15000 */
		assert_true(rig_tx(r));
	rig_pass(r, 2 * MS);
	rig_sack(r, 0, 1000, 5000);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 0);
	rig_pass(r, 25 * MS);					/* more than the shortest round trip */
	ack_of(r, 10000, sent, 0, 0);
	assert_int_equal(r->tcp.lost, 0);
	assert_int_not_equal(r->tcp.rtx_kind, TCP_RTX_REORDER);
	rig_free(r);
}

/* The copy has just left; what is SACKed now was sent before it. */
static void sacks_of_older_segments_put_the_timeout_off(void **state)
{
	struct rig *r = ten_in_flight(NULL);
	uint64_t at;

	(void)state;
	rig_sack(r, 0, 1000, 5000);
	rig_drain(r);
	at = r->tcp.rto_at;
	rig_pass(r, 5 * MS);
	rig_sack(r, 0, 1000, 10000);
	assert_true(r->tcp.rto_at >= at + 4 * MS);
	at = r->tcp.rto_at;
	rig_drain(r);
	rig_pass(r, 30 * MS);
	rig_sack(r, 0, 1000, 11000);				/* sent with it */
	assert_int_equal(r->tcp.rto_at, at);
	rig_free(r);
}

/* 0..1000 is lost; what is missing at 7000 has a few milliseconds still, whatever is sent again. */
static void resending_the_first_segment_leaves_the_others_their_time(void **state)
{
	struct rig *r = ten_in_flight(NULL);
	uint64_t at;

	(void)state;
	r->tcp.flags |= T_REORDERED;
	rig_sack(r, 0, 1000, 7000);
	rig_sack(r, 0, 8000, 10000);
	assert_int_equal(r->tcp.lost, 1000);
	assert_int_equal(r->tcp.rtx_kind, TCP_RTX_REORDER);
	at = r->tcp.rtx_at;
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 0);
	assert_true(r->out.retransmit);
	assert_int_equal(r->tcp.rtx_kind, TCP_RTX_REORDER);
	assert_int_equal(r->tcp.rtx_at, at);
	r->now = at;
	tcp_timer(&r->tcp, r->now);
	assert_int_equal(r->tcp.lost, 2000);
	assert_int_equal(r->tcp.rtx_kind, TCP_RTX_RTO);	/* the timeout counts from here */
	assert_true(r->tcp.rtx_at >= at + 200 * MS);
	rig_free(r);
}

static void a_reneging_peer_has_half_a_round_trip_to_explain(void **state)
{
	struct rig *r = ten_in_flight(NULL);
	uint64_t at;

	(void)state;
	rig_sack(r, 0, 1000, 10000);
	rig_drain(r);
	rig_pass(r, 20 * MS);
	rig_ack(r, 1000);
	at = r->now;
	time_out(r);
	assert_in_range(r->now - at, 10 * MS, 15 * MS);
	assert_int_equal(r->tcp.sacked, 0);
	rig_free(r);
}

static void a_copy_lost_after_a_timeout_costs_again(void **state)
{
	struct rig *r = ten_in_flight(NULL);

	(void)state;
	time_out(r);
	rig_drain(r);						/* 0..1000 */
	rig_pass(r, 20 * MS);
	rig_ack(r, 1000);
	assert_int_equal(rig_drain(r), 2);			/* new data, to know more */
	rig_pass(r, 20 * MS);
	rig_sack(r, 1000, 11000, 13000);	/* beyond the loss probe */
	r->tcp.cc.cwnd = 8;
	assert_true(rig_drain(r) >= 4);				/* 1000..2000 is lost again */
	rig_pass(r, 20 * MS);
	rig_sack(r, 1000, 2000, 5000);
	assert_int_equal(r->tcp.ca, TCP_RECOVERY);
	assert_true(r->tcp.cc.ssthresh < 5);
	rig_free(r);
}

/* The timer expired, and the first ACK after it makes F-RTO ask for new data: there are @n bytes, the
 * program has set @options, and the peer's window has room for @wnd.
 */
static struct rig *frto_asks_for_new_data(uint32_t n, uint32_t options, uint32_t wnd)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;
	struct tcp_seg s;

	b.ts_ok = false;
	r = rig_new(&b);
	rig_write(r, 2900);
	rig_drain(r);
	time_out(r);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 0);
	atomic_store(&r->slot->opts, options);
	rig_write(r, n);
	assert_int_equal(rig_drain(r), 0);
	rig_pass(r, 20 * MS);
	s = rig_seg(r, 0, 0, 1000);
	s.window = (uint16_t)(1900 + wnd);
	rig_rx(r, &s);
	assert_int_equal(r->tcp.ca, TCP_LOSS);
	return r;
}

static void what_nagle_or_cork_holds_goes_if_frto_needs_it(void **state)
{
	static const uint32_t options[] = { 0, TP_O_CORK, TP_O_MORE, TP_O_NODELAY };

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct rig *r = frto_asks_for_new_data(100, options[i], 50000);

		assert_true(rig_tx(r));
		assert_int_equal(r->out.seq, 2900);
		assert_int_equal(r->out.len, 100);
		assert_false(rig_tx(r));
		rig_write(r, 100);			/* one is enough */
		assert_int_equal(rig_drain(r), options[i] == TP_O_NODELAY);
		rig_free(r);
	}
}

static void where_new_data_may_not_go_the_lost_go_again(void **state)
{
	struct rig *r = frto_asks_for_new_data(5000, TP_O_NODELAY, 500);	/* a silly window */

	(void)state;
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 1000);
	assert_true(r->out.retransmit);
	assert_false(r->tcp.flags & T_FRTO);
	rig_free(r);
}

static void new_data_that_waits_for_its_pace_may_go(void **state)
{
	struct rig *r = frto_asks_for_new_data(5000, TP_O_NODELAY, 50000);
	uint64_t at = r->now + 5 * MS;

	(void)state;
	r->tcp.flags |= T_PACED;
	r->tcp.pace_at = at;
	assert_false(rig_tx(r));
	rig_timer(r);
	assert_int_equal(r->now, at);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 2900);
	rig_free(r);
}

static void a_needless_copy_counts_as_delivered(void **state)
{
	struct rig *r = ten_in_flight(NULL);
	uint32_t before;

	(void)state;
	rig_sack(r, 0, 1000, 5000);
	rig_sack(r, 0, 6000, 7000);
	rig_drain(r);
	rig_pass(r, 30 * MS);
	rig_ack(r, 5000);
	before = r->tcp.prr_delivered;
	ack_of(r, 5000, r->now, 0, 1000);
	assert_int_equal(r->tcp.prr_delivered, before + 1);
	rig_free(r);
}

/* A copy of the last recovery is under way when the next begins: its D-SACK is not one of this. */
static void copies_of_before_do_not_undo_what_follows(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.ts_ok = false;
	r = ten_in_flight(&b);
	rig_drain(r);
	rig_sack(r, 0, 1000, 5000);
	assert_true(rig_tx(r));
	assert_true(r->out.retransmit);
	r->tcp.ca = TCP_OPEN;					/* it was undone */
	r->tcp.flags &= ~T_UNDO;
	rig_pass(r, MS);
	rig_sack(r, 0, 6000, 9000);
	rig_sack(r, 0, 6000, 10000);
	assert_int_equal(r->tcp.ca, TCP_RECOVERY);
	assert_int_equal(r->tcp.undo_rtx, 1000);
	rig_free(r);
}

/* A true loss; of what is sent after it the network makes two. */
static void a_copy_of_later_bytes_undoes_nothing(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.ts_ok = false;
	r = ten_in_flight(&b);
	rig_sack(r, 0, 1000, 5000);
	assert_true(rig_tx(r));
	rig_pass(r, 20 * MS);
	rig_ack(r, 10000);
	assert_int_equal(r->tcp.cc.cwnd, 5);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 10000);
	rig_pass(r, 20 * MS);
	rig_ack(r, 11000);
	ack_of(r, 11000, r->now, 10000, 11000);
	assert_in_range(r->tcp.cc.cwnd, 5, 6);
	rig_free(r);
}

/* Recovery sends new data, and finds some of it lost before it is over. */
static void all_that_an_episode_resent_may_undo_it(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.ts_ok = false;
	r = ten_in_flight(&b);
	r->tcp.cc.cwnd = 14;
	for (int i = 0; i < 4; i++) {
		if (i == 3)
			rig_sack(r, 0, 1000, 5000);	/* high_seq is 13000 */
		r->tcp.cc.cwnd = 14;
		assert_true(rig_tx(r));
		rig_pass(r, MS);
	}
	assert_true(r->out.retransmit);
	r->tcp.cc.cwnd = 14;
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 13000);
	rig_pass(r, MS);
	r->tcp.cc.cwnd = 14;
	assert_true(rig_tx(r));
	rig_pass(r, 20 * MS);
	rig_sack(r, 0, 1000, 13000);
	rig_sack(r, 0, 14000, 15000);
	for (r->tcp.cc.cwnd = 14; r->tcp.lost > r->tcp.rtx; r->tcp.cc.cwnd = 14)
		assert_true(rig_tx(r));
	assert_int_equal(r->tcp.retransmits, 3);	/* 0..1000 twice, 13000..14000 */
	rig_pass(r, MS);
	rig_ack(r, 15000);
	assert_int_equal(r->tcp.ca, TCP_OPEN);
	assert_int_equal(r->tcp.cc.cwnd, 7);
	ack_of(r, 15000, r->now, 0, 1000);
	ack_of(r, 15000, r->now, 0, 1000);
	assert_int_equal(r->tcp.cc.cwnd, 7);
	ack_of(r, 15000, r->now, 13000, 14000);
	assert_int_equal(r->tcp.cc.cwnd, 14);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timeout_spares_what_left_a_moment_ago),
		cmocka_unit_test(without_sack_a_timeout_spares_nothing),
		cmocka_unit_test(a_timeout_after_progress_reduces_again),
		cmocka_unit_test(a_late_copy_of_recovery_undoes_no_timeout),
		cmocka_unit_test(what_ecn_asked_for_is_not_undone),
		cmocka_unit_test(an_undone_reduction_ends_slow_start_at_three_quarters),
		cmocka_unit_test(an_original_that_came_late_makes_nothing_lost),
		cmocka_unit_test(sacks_of_older_segments_put_the_timeout_off),
		cmocka_unit_test(resending_the_first_segment_leaves_the_others_their_time),
		cmocka_unit_test(a_reneging_peer_has_half_a_round_trip_to_explain),
		cmocka_unit_test(a_copy_lost_after_a_timeout_costs_again),
		cmocka_unit_test(what_nagle_or_cork_holds_goes_if_frto_needs_it),
		cmocka_unit_test(where_new_data_may_not_go_the_lost_go_again),
		cmocka_unit_test(new_data_that_waits_for_its_pace_may_go),
		cmocka_unit_test(a_needless_copy_counts_as_delivered),
		cmocka_unit_test(copies_of_before_do_not_undo_what_follows),
		cmocka_unit_test(a_copy_of_later_bytes_undoes_nothing),
		cmocka_unit_test(all_that_an_episode_resent_may_undo_it),
	};

	return cmocka_run_group_tests_name("tcp_recover", tests, NULL, NULL);
}
