// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/fast/tcp.c user/fast/tcp_ack.c user/fast/tcp_ooo.c user/fast/tcp_pool.c */
/* needs: user/fast/tcp_recover.c user/fast/tcp_rx.c user/fast/tcp_sack.c user/fast/tcp_timer.c */
/* needs: user/fast/tcp_tx.c user/fast/tcp_rate.c user/fast/tcp_pace.c user/fast/rtt.c */
/* needs: user/fast/cc.c user/fast/cc_bbr.c user/fast/cc_cubic.c user/fast/cc_dctcp.c user/fast/cc_reno.c */
/*
 * test_tcp_sack.c - loss: what is found lost, when it is sent again, what it costs, undo.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tcp_rig.h"

/* Ten segments in flight, a millisecond apart. */
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

static void three_sacked_segments_prove_a_loss(void **state)
{
	struct rig *r = ten_in_flight(NULL);

	(void)state;
	rig_sack(r, 0, 1000, 2000);
	assert_int_equal(r->tcp.lost, 0);
	rig_sack(r, 0, 1000, 3000);
	rig_sack(r, 0, 1000, 4000);
	assert_int_equal(r->tcp.lost, 1000);
	assert_int_equal(r->tcp.ca, TCP_RECOVERY);
	assert_int_equal(r->tcp.cc.ssthresh, 5);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 0);
	assert_int_equal(r->out.len, 1000);
	assert_true(r->out.retransmit);
	rig_free(r);
}

static void before_that_new_data_is_sent(void **state)
{
	struct rig *r = ten_in_flight(NULL);

	(void)state;
	rig_sack(r, 0, 1000, 2000);
	assert_int_equal(rig_drain(r), 1);
	assert_int_equal(r->out.seq, 10000);
	assert_int_equal(r->tcp.ca, TCP_DISORDER);
	rig_free(r);
}

static void a_reordered_segment_within_a_quarter_rtt_is_no_loss(void **state)
{
	struct rig *r = ten_in_flight(NULL);

	(void)state;
	rig_sack(r, 0, 1000, 2000);
	rig_pass(r, 2 * MS);
	rig_ack(r, 3000);
	assert_int_equal(r->tcp.ca, TCP_OPEN);
	assert_true(r->tcp.flags & T_REORDERED);
	assert_int_equal(r->tcp.retransmits, 0);
	rig_sack(r, 3000, 4000, 9000);
	assert_int_equal(r->tcp.lost, 0);
	assert_int_equal(r->tcp.rtx_kind, TCP_RTX_REORDER);
	rig_timer(r);
	assert_int_equal(r->tcp.lost, 1000);
	rig_free(r);
}

static void a_lost_retransmission_is_found_without_the_timer(void **state)
{
	struct rig *r = ten_in_flight(NULL);

	(void)state;
	rig_sack(r, 0, 1000, 5000);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 0);
	rig_drain(r);
	rig_pass(r, 20 * MS);
	rig_sack(r, 0, 1000, 10000);
	rig_drain(r);
	rig_pass(r, 20 * MS);
	/* something sent after the retransmission has arrived */
	rig_sack(r, 0, 1000, r->tcp.snd_nxt - RIG_ISN);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 0);
	assert_true(r->out.retransmit);
	rig_free(r);
}

static void recovery_ends_at_ssthresh(void **state)
{
	struct rig *r = ten_in_flight(NULL);

	(void)state;
	for (uint32_t end = 2000; end <= 10000; end += 1000) {
		rig_sack(r, 0, 1000, end);
		rig_drain(r);
	}
	rig_pass(r, 20 * MS);
	rig_ack(r, r->tcp.snd_nxt - RIG_ISN);
	assert_int_equal(r->tcp.ca, TCP_OPEN);
	assert_in_range(r->tcp.cc.cwnd, 5, 6);
	assert_int_equal(r->tcp.nrec, 0);
	rig_free(r);
}

static void sending_halves_in_step_with_what_arrives(void **state)
{
	struct rig *r = ten_in_flight(NULL);
	uint32_t sent = 0;

	(void)state;
	for (uint32_t end = 2000; end <= 10000; end += 1000) {
		rig_sack(r, 0, 1000, end);
		sent += rig_drain(r);
	}
	assert_in_range(sent, 4, 7);
	rig_free(r);
}

static void without_sack_the_third_duplicate_counts(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.sack_ok = false;
	r = ten_in_flight(&b);
	rig_ack(r, 0);
	rig_ack(r, 0);
	rig_drain(r);
	assert_int_equal(r->tcp.retransmits, 0);
	rig_ack(r, 0);
	assert_int_equal(r->tcp.ca, TCP_RECOVERY);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 0);
	rig_pass(r, 20 * MS);
	rig_ack(r, 4000);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 4000);
	assert_true(r->out.retransmit);
	rig_free(r);
}

static void a_window_update_is_no_duplicate(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.sack_ok = false;
	r = ten_in_flight(&b);
	for (uint16_t i = 1; i < 10; i++) {
		struct tcp_seg s = rig_seg(r, 0, 0, 0);

		s.window = (uint16_t)(s.window + i * 100);
		rig_rx(r, &s);
	}
	assert_int_equal(r->tcp.ca, TCP_OPEN);
	assert_int_equal(r->tcp.dupacks, 0);
	rig_free(r);
}

static void the_last_segment_is_probed_before_the_timeout(void **state)
{
	struct rig *r = rig_new(NULL);
	uint64_t begin = r->now;

	(void)state;
	rig_write(r, 3000);
	rig_drain(r);
	rig_timer(r);
	assert_true(r->now - begin < 100 * MS);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 2000);
	assert_int_equal(r->out.len, 1000);
	assert_int_equal(r->tcp.cc.cwnd, 10);
	assert_false(rig_tx(r));
	rig_free(r);
}

static void a_probe_is_the_last_segment_as_it_was_sent(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	rig_write(r, 2500);
	rig_drain(r);
	rig_timer(r);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 2000);
	assert_int_equal(r->out.len, 500);
	assert_true(r->out.retransmit);
	rig_free(r);
}

static void a_probe_that_repaired_a_loss_costs_cwnd(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	rig_write(r, 3000);
	rig_drain(r);
	rig_timer(r);
	rig_drain(r);
	rig_pass(r, 20 * MS);
	rig_ack(r, 3000);
	assert_int_equal(r->tcp.cc.cwnd, 10);
	rig_write(r, 100);
	rig_drain(r);
	rig_pass(r, 20 * MS);
	rig_ack(r, 3100);
	assert_int_equal(r->tcp.cc.cwnd, 5);
	rig_free(r);
}

static void a_probe_that_was_needless_costs_nothing(void **state)
{
	struct rig *r = rig_new(NULL);
	struct tcp_seg s;

	(void)state;
	rig_write(r, 3000);
	rig_drain(r);
	rig_timer(r);
	rig_drain(r);
	rig_pass(r, 20 * MS);
	s = rig_seg(r, 0, 0, 3000);
	s.nsack = 1;
	s.sack[0] = (struct tcp_sack){ RIG_ISN + 2000, RIG_ISN + 3000 };
	rig_rx(r, &s);
	rig_write(r, 100);
	rig_drain(r);
	rig_pass(r, 20 * MS);
	rig_ack(r, 3100);
	assert_int_equal(r->tcp.cc.cwnd, 10);
	rig_free(r);
}

/* Until the retransmission timer, past the loss probe. */
static void time_out(struct rig *r)
{
	while (r->tcp.ca != TCP_LOSS) {
		rig_timer(r);
		if (r->tcp.ca != TCP_LOSS)
			rig_drain(r);
	}
}

static void a_timeout_restarts_from_one_segment_and_doubles(void **state)
{
	struct rig *r = ten_in_flight(NULL);
	uint64_t at;

	(void)state;
	time_out(r);
	assert_int_equal(r->tcp.cc.cwnd, 1);
	assert_int_equal(r->tcp.cc.ssthresh, 5);
	assert_int_equal(rig_drain(r), 1);
	assert_int_equal(r->out.seq, 0);
	at = r->now;
	rig_timer(r);
	assert_true(r->now - at >= 2 * 200 * MS);
	assert_int_equal(r->tcp.cc.ssthresh, 5);
	rig_free(r);
}

static void a_spurious_timeout_is_undone_by_timestamps(void **state)
{
	struct rig *r = ten_in_flight(NULL);
	uint32_t early = tcp_tsval(&r->tcp, r->now);
	struct tcp_seg s;

	(void)state;
	time_out(r);
	rig_drain(r);
	rig_pass(r, MS);
	s = rig_seg(r, 0, 0, 1000);
	s.tsecr = early;
	rig_rx(r, &s);
	assert_int_equal(r->tcp.ca, TCP_OPEN);
	assert_true(r->tcp.cc.cwnd >= 10);
	assert_int_equal(r->tcp.lost, 0);
	rig_free(r);
}

static void a_spurious_timeout_is_undone_without_timestamps(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.ts_ok = false;
	r = ten_in_flight(&b);
	time_out(r);
	rig_drain(r);
	rig_pass(r, MS);
	/* acknowledges what was never sent again */
	rig_ack(r, 5000);
	assert_int_equal(r->tcp.ca, TCP_OPEN);
	assert_true(r->tcp.cc.cwnd >= 10);
	rig_free(r);
}

static void dsacks_for_all_that_was_resent_undo_recovery(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;
	struct tcp_seg s;

	(void)state;
	b.ts_ok = false;
	r = ten_in_flight(&b);
	rig_sack(r, 0, 1000, 5000);
	rig_tx(r);
	rig_pass(r, MS);
	rig_ack(r, 10000);
	assert_int_equal(r->tcp.cc.cwnd, 5);
	s = rig_seg(r, 0, 0, 10000);
	s.nsack = 1;
	s.sack[0] = (struct tcp_sack){ RIG_ISN, RIG_ISN + 1000 };
	rig_rx(r, &s);
	assert_true(r->tcp.cc.cwnd >= 10);
	assert_true(r->tcp.flags & T_REORDERED);
	rig_free(r);
}

static void a_network_that_duplicates_undoes_no_true_loss(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;
	struct tcp_seg s;

	(void)state;
	b.ts_ok = false;
	r = ten_in_flight(&b);
	/* two segments that went out once came twice */
	for (uint32_t at = 0; at < 2000; at += 1000) {
		s = rig_seg(r, 0, 0, 2000);
		s.nsack = 1;
		s.sack[0] = (struct tcp_sack){ RIG_ISN + at, RIG_ISN + at + 1000 };
		rig_rx(r, &s);
	}
	rig_sack(r, 2000, 3000, 9000);
	rig_tx(r);
	rig_pass(r, MS);
	rig_ack(r, 10000);
	assert_in_range(r->tcp.cc.cwnd, 5, 7);
	s = rig_seg(r, 0, 0, 10000);
	s.nsack = 1;
	s.sack[0] = (struct tcp_sack){ RIG_ISN + 2000, RIG_ISN + 3000 };
	rig_rx(r, &s);
	assert_in_range(r->tcp.cc.cwnd, 5, 7);
	rig_free(r);
}

/* Five segments go again as one (GSO), for nothing: five D-SACKs are not more than was resent. */
static void copies_that_leave_together_count_each(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.ts_ok = false;
	r = ten_in_flight(&b);
	rig_sack(r, 0, 5000, 10000);
	r->tcp.cc.cwnd = 10;
	assert_true(tcp_tx(&r->tcp, r->now, 44, &r->out));
	assert_int_equal(r->out.len, 5000);
	rig_pass(r, MS);
	rig_ack(r, 10000);
	assert_int_equal(r->tcp.cc.cwnd, 5);
	for (uint32_t at = 0; at < 5000; at += 1000) {
		struct tcp_seg s = rig_seg(r, 0, 0, 10000);

		s.nsack = 1;
		s.sack[0] = (struct tcp_sack){ RIG_ISN + at, RIG_ISN + at + 1000 };
		rig_rx(r, &s);
	}
	assert_true(r->tcp.cc.cwnd >= 10);
	assert_int_equal(r->tcp.retransmits, 5);
	rig_free(r);
}

/* New data that leaves within a thirty-second of the shortest round trip makes one run, with the
 * time of its first byte. Something resent in between arrives before the run's end: that is no
 * reordering, nor a loss.
 */
static void what_left_after_a_resent_segment_is_not_lost(void **state)
{
	struct rig *r = ten_in_flight(NULL);
	uint64_t sent = r->now;

	(void)state;
	r->tcp.cc.cwnd = 30;
	assert_true(rig_tx(r));			/* 10000..11000, 11000..12000 */
	assert_true(rig_tx(r));
	rig_pass(r, MS / 5);
	rig_sack(r, 0, 1000, 4000);
	r->tcp.cc.cwnd = 30;
	assert_true(rig_tx(r));
	assert_true(r->out.retransmit);		/* 0..1000 */
	rig_pass(r, MS / 5);
	r->tcp.cc.cwnd = 30;
	assert_true(rig_tx(r));			/* 12000..13000, of the same run as 10000 */
	assert_int_equal(r->out.seq, 12000);
	r->now = sent + 20 * MS;
	rig_sack(r, 0, 1000, 11000);
	rig_pass(r, MS / 5);
	rig_ack(r, 11000);			/* the resent one has come */
	assert_int_equal(r->tcp.ca, TCP_RECOVERY);
	assert_int_equal(r->tcp.lost, 0);
	rig_free(r);
}

static void a_reneging_peer_gets_everything_again(void **state)
{
	struct rig *r = ten_in_flight(NULL);

	(void)state;
	rig_sack(r, 0, 1000, 10000);
	rig_drain(r);
	rig_pass(r, 20 * MS);
	rig_ack(r, 1000);
	/* 1000..10000 was SACKed, and yet is not acknowledged */
	for (int i = 0; i < 3 && r->tcp.ca != TCP_LOSS; i++) {
		rig_timer(r);
		if (r->tcp.ca != TCP_LOSS)
			rig_drain(r);
	}
	assert_int_equal(r->tcp.sacked, 0);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 1000);
	rig_free(r);
}

/* The peer took back what it had SACKed, and acknowledges it a minute later: who knows when it
 * had come, the path needs no minute.
 */
static void what_was_taken_back_gives_no_round_trip(void **state)
{
	struct rig *r = ten_in_flight(NULL);

	(void)state;
	rig_sack(r, 0, 1000, 9000);
	rig_ack(r, 1000);
	rig_timer(r);
	while (r->tcp.ca != TCP_LOSS)
		rig_timer(r);
	rig_pass(r, 60000 * MS);
	rig_ack(r, 4000);
	assert_true(r->tcp.rtt.srtt_us < 1000000);
	rig_free(r);
}

/* What lies behind the hole came five seconds ago, but only now is it acknowledged. */
static void an_ack_of_something_resent_measures_nothing(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.sack_ok = b.ts_ok = false;
	r = ten_in_flight(&b);
	while (r->tcp.ca != TCP_LOSS)
		rig_timer(r);
	assert_true(rig_tx(r));
	rig_pass(r, 5000 * MS);
	rig_ack(r, 10000);
	assert_true(r->tcp.rtt.srtt_us < 100000);
	rig_free(r);
}

static void sack_blocks_that_cannot_be_are_ignored(void **state)
{
	static const struct { uint32_t start, end; } bad[] = {
		{ 5000, 5000 }, { 6000, 5000 }, { 9000, 11000 }, { 0x80000000, 0x80000100 },
		{ 0U - 70000, 0U - 1 },
	};
	struct rig *r = ten_in_flight(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		rig_sack(r, 0, bad[i].start, bad[i].end);
	assert_int_equal(r->tcp.sacked, 0);
	assert_int_equal(r->tcp.lost, 0);
	rig_free(r);
}

static void ecn_echo_reduces_once_a_window(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.ecn_ok = true;
	r = ten_in_flight(&b);
	for (uint32_t ack = 1000; ack <= 5000; ack += 1000) {
		struct tcp_seg s = rig_seg(r, 0, 0, ack);

		s.flags |= TH_ECE;
		rig_rx(r, &s);
		assert_int_equal(r->tcp.ca, TCP_CWR);
		assert_int_equal(r->tcp.cc.ssthresh, 5);
	}
	assert_true(rig_tx(r));
	assert_true(r->out.flags & TH_CWR);
	assert_true(r->out.ect);
	assert_int_equal(r->tcp.retransmits, 0);
	rig_free(r);
}

static void many_holes_are_all_remembered(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.cwnd = 60;
	r = rig_new(&b);
	rig_write(r, 60000);
	rig_drain(r);
	rig_pass(r, 20 * MS);
	for (uint32_t at = 1000; at < 60000; at += 2000)
		rig_sack(r, 0, at, at + 1000);
	assert_int_equal(r->tcp.sacked, 30000);
	assert_int_equal(r->tcp.lost, 30000);
	rig_ack(r, 60000);
	assert_int_equal(r->tcp.rec_class, 0);
	rig_free(r);
}

/* What a queue that overflows leaves: every second segment of a thousand and more. */
static void a_thousand_holes_are_remembered_too(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.mss = 100;
	b.cwnd = 2200;
	b.snd_wscale = 2;
	b.snd_wnd = 240000;
	r = rig_new(&b);
	rig_write(r, 220000);
	assert_int_equal(rig_drain(r), 2200);
	rig_pass(r, 20 * MS);
	for (uint32_t at = 100; at < 220000; at += 200)
		rig_sack(r, 0, at, at + 100);
	assert_int_equal(r->tcp.sacked, 110000);
	assert_int_equal(r->tcp.lost, 110000);
	rig_ack(r, 220000);
	assert_int_equal(r->tcp.rec_class, 0);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_sacked_segments_prove_a_loss),
		cmocka_unit_test(before_that_new_data_is_sent),
		cmocka_unit_test(a_reordered_segment_within_a_quarter_rtt_is_no_loss),
		cmocka_unit_test(a_lost_retransmission_is_found_without_the_timer),
		cmocka_unit_test(recovery_ends_at_ssthresh),
		cmocka_unit_test(sending_halves_in_step_with_what_arrives),
		cmocka_unit_test(without_sack_the_third_duplicate_counts),
		cmocka_unit_test(a_window_update_is_no_duplicate),
		cmocka_unit_test(the_last_segment_is_probed_before_the_timeout),
		cmocka_unit_test(a_probe_is_the_last_segment_as_it_was_sent),
		cmocka_unit_test(a_probe_that_repaired_a_loss_costs_cwnd),
		cmocka_unit_test(a_probe_that_was_needless_costs_nothing),
		cmocka_unit_test(a_timeout_restarts_from_one_segment_and_doubles),
		cmocka_unit_test(a_spurious_timeout_is_undone_by_timestamps),
		cmocka_unit_test(a_spurious_timeout_is_undone_without_timestamps),
		cmocka_unit_test(dsacks_for_all_that_was_resent_undo_recovery),
		cmocka_unit_test(a_network_that_duplicates_undoes_no_true_loss),
		cmocka_unit_test(copies_that_leave_together_count_each),
		cmocka_unit_test(what_left_after_a_resent_segment_is_not_lost),
		cmocka_unit_test(a_reneging_peer_gets_everything_again),
		cmocka_unit_test(what_was_taken_back_gives_no_round_trip),
		cmocka_unit_test(an_ack_of_something_resent_measures_nothing),
		cmocka_unit_test(sack_blocks_that_cannot_be_are_ignored),
		cmocka_unit_test(ecn_echo_reduces_once_a_window),
		cmocka_unit_test(many_holes_are_all_remembered),
		cmocka_unit_test(a_thousand_holes_are_remembered_too),
	};

	return cmocka_run_group_tests_name("tcp_sack", tests, NULL, NULL);
}
