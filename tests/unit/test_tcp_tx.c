// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/fast/tcp.c user/fast/tcp_ack.c user/fast/tcp_ooo.c user/fast/tcp_pool.c */
/* needs: user/fast/tcp_recover.c user/fast/tcp_rx.c user/fast/tcp_sack.c user/fast/tcp_timer.c */
/* needs: user/fast/tcp_tx.c user/fast/tcp_rate.c user/fast/tcp_pace.c user/fast/rtt.c */
/* needs: user/fast/cc.c user/fast/cc_bbr.c user/fast/cc_cubic.c user/fast/cc_dctcp.c user/fast/cc_reno.c */
/*
 * test_tcp_tx.c - segments out: windows, Nagle and CORK, FIN, probes, giving up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "tcp_rig.h"

static void opts(struct rig *r, uint32_t o)
{
	atomic_store(&r->slot->opts, o);
	tcp_app(&r->tcp, r->now);
}

static void a_response_leaves_at_once_and_frees_its_bytes(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	assert_true(rig_write(r, 64) & TCP_DO_OUTPUT);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 0);
	assert_int_equal(r->out.len, 64);
	assert_int_equal(r->out.flags, TH_ACK | TH_PUSH);
	assert_false(rig_tx(r));
	rig_pass(r, 20 * MS);
	rig_ack(r, 64);
	assert_int_equal(atomic_load(&r->slot->tx_tail), 64);
	assert_int_equal(tcp_deadline(&r->tcp), TCP_NEVER);
	rig_free(r);
}

static void cwnd_bounds_what_is_in_flight(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	rig_write(r, 50000);
	assert_int_equal(rig_drain(r), 10);
	rig_pass(r, 20 * MS);
	rig_ack(r, 2000);
	assert_int_equal(rig_drain(r), 4);
	rig_free(r);
}

static void the_peers_window_bounds_what_is_in_flight(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.snd_wnd = 3500;
	r = rig_new(&b);
	rig_write(r, 10000);
	assert_int_equal(rig_drain(r), 3);
	rig_free(r);
}

static void gso_takes_many_segments_at_once(void **state)
{
	struct rig *r = rig_new(NULL);
	struct tcp_out o;

	(void)state;
	rig_write(r, 7500);
	assert_true(tcp_tx(&r->tcp, r->now, 44, &o));
	assert_int_equal(o.len, 7500);
	assert_false(tcp_tx(&r->tcp, r->now, 44, &o));
	rig_free(r);
}

static void nagle_holds_a_second_small_segment(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	opts(r, 0);
	rig_write(r, 100);
	assert_int_equal(rig_drain(r), 1);
	rig_write(r, 100);
	assert_int_equal(rig_drain(r), 0);
	rig_write(r, 900);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.len, 1000);
	rig_write(r, 10);
	assert_int_equal(rig_drain(r), 0);
	rig_pass(r, 20 * MS);
	rig_ack(r, 1100);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.len, 10);
	rig_free(r);
}

static void nodelay_sends_what_nagle_held(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	opts(r, 0);
	rig_write(r, 100);
	rig_drain(r);
	rig_write(r, 100);
	assert_int_equal(rig_drain(r), 0);
	opts(r, TP_O_NODELAY);
	assert_int_equal(rig_drain(r), 1);
	rig_free(r);
}

static void cork_holds_a_partial_segment_for_200_ms(void **state)
{
	struct rig *r = rig_new(NULL);
	uint64_t begin = r->now;

	(void)state;
	opts(r, TP_O_CORK | TP_O_NODELAY);
	rig_write(r, 1500);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.len, 1000);
	assert_false(rig_tx(r));
	rig_ack(r, 1000);
	assert_false(rig_tx(r));
	assert_true(rig_timer(r) & TCP_DO_OUTPUT);
	assert_int_equal(r->now - begin, 200 * MS);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.len, 500);
	rig_free(r);
}

static void uncorking_sends_at_once(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	opts(r, TP_O_MORE);
	rig_write(r, 10);
	assert_false(rig_tx(r));
	opts(r, 0);
	assert_true(rig_tx(r));
	rig_free(r);
}

static void fin_rides_on_the_last_bytes(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	opts(r, 0);
	rig_write(r, 100);
	rig_drain(r);
	rig_write(r, 100);
	assert_true(tcp_close_tx(&r->tcp, r->now) & TCP_DO_OUTPUT);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.len, 100);
	assert_true(r->out.flags & TH_FIN);
	assert_false(tcp_is_quiet(&r->tcp));
	assert_false(rig_ack(r, 200) & TCP_DO_FIN_ACKED);
	assert_true(rig_ack(r, 201) & TCP_DO_FIN_ACKED);
	assert_int_equal(atomic_load(&r->slot->fast_flags), TP_F_WR_DONE);
	assert_int_equal(atomic_load(&r->slot->tx_tail), 200);
	assert_true(tcp_is_quiet(&r->tcp));
	rig_free(r);
}

static void a_lost_fin_is_sent_again(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	tcp_close_tx(&r->tcp, r->now);
	assert_true(rig_tx(r));
	assert_true(r->out.flags & TH_FIN);
	for (int i = 0; i < 3; i++) {
		rig_timer(r);
		assert_true(rig_tx(r));
		assert_true(r->out.flags & TH_FIN);
		assert_int_equal(r->out.seq, 0);
	}
	assert_int_equal(r->tcp.retransmits, 3);
	rig_free(r);
}

static void a_closed_window_is_probed_until_it_opens(void **state)
{
	struct rig *r = rig_new(NULL);
	struct tcp_seg s;
	uint64_t last, gap = 0;

	(void)state;
	rig_write(r, 20000);
	rig_drain(r);
	s = rig_seg(r, 0, 0, 10000);
	s.window = 0;
	rig_rx(r, &s);
	assert_int_equal(rig_drain(r), 0);
	last = r->now;
	for (int i = 0; i < 20; i++) {
		rig_timer(r);
		assert_true(rig_tx(r));
		assert_int_equal(r->out.len, 0);
		assert_int_equal(r->out.seq, 9999);
		assert_true(r->now - last >= gap && r->now - last <= 120000 * MS);
		gap = r->now - last;
		last = r->now;
		rig_pass(r, 20 * MS);
		s = rig_seg(r, 0, 0, 10000);
		s.window = 0;
		rig_rx(r, &s);
		assert_false(rig_tx(r));
	}
	assert_true(rig_ack(r, 10000) & TCP_DO_OUTPUT);
	assert_true(rig_drain(r) > 0);
	rig_free(r);
}

static void a_silly_window_is_filled_by_the_timer_only(void **state)
{
	struct rig *r = rig_new(NULL);
	struct tcp_seg s;

	(void)state;
	rig_write(r, 20000);
	rig_drain(r);
	s = rig_seg(r, 0, 0, 10000);
	s.window = 50;
	rig_rx(r, &s);
	assert_int_equal(rig_drain(r), 0);
	rig_timer(r);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.len, 50);
	rig_free(r);
}

static void a_peer_with_a_small_window_gets_half_of_it(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.snd_wnd = 900;
	r = rig_new(&b);
	rig_write(r, 10000);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.len, 450);
	rig_free(r);
}

static void silence_ends_in_etimedout_after_fifteen_tries(void **state)
{
	struct rig *r = rig_new(NULL);
	uint64_t begin = r->now;
	uint32_t sent = 0;

	(void)state;
	rig_write(r, 100);
	sent += rig_drain(r);
	while (!(r->tcp.flags & T_DEAD) && sent < 100) {
		rig_timer(r);
		sent += rig_drain(r);
	}
	assert_true(r->todo & TCP_DO_TIMEOUT);
	assert_int_equal(atomic_load(&r->slot->err), ETIMEDOUT);
	assert_true(sent >= 15 && sent <= 18);
	assert_in_range((r->now - begin) / MS / 1000, 900, 1100);
	rig_free(r);
}

static void the_user_timeout_is_obeyed(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;
	uint64_t begin;

	(void)state;
	b.options.user_timeout_ms = 5000;
	r = rig_new(&b);
	begin = r->now;
	rig_write(r, 100);
	for (int i = 0; i < 100 && !(r->tcp.flags & T_DEAD); i++) {
		rig_drain(r);
		rig_timer(r);
	}
	assert_true(r->todo & TCP_DO_TIMEOUT);
	assert_in_range((r->now - begin) / MS, 5000, 6000);
	rig_free(r);
}

static void a_pause_longer_than_the_timeout_shrinks_cwnd(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.cwnd = 80;
	r = rig_new(&b);
	rig_pass(r, 1000 * MS);
	rig_write(r, 64);
	rig_drain(r);
	assert_int_equal(r->tcp.cc.cwnd, 10);
	rig_free(r);
}

static void a_pause_costs_no_less_than_the_routes_window(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.cwnd = 80;
	b.init_cwnd = 33;
	r = rig_new(&b);
	rig_pass(r, 10000 * MS);
	rig_write(r, 64);
	rig_drain(r);
	assert_int_equal(r->tcp.cc.cwnd, 33);
	rig_free(r);
}

static void a_pause_costs_nothing_where_linux_is_told_so(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.cwnd = 80;
	b.idle_restart = false;
	r = rig_new(&b);
	rig_pass(r, 10000 * MS);
	rig_write(r, 64);
	rig_drain(r);
	assert_int_equal(r->tcp.cc.cwnd, 80);
	rig_free(r);
}

static void a_smaller_mtu_sends_again_in_smaller_pieces(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	rig_write(r, 3000);
	assert_int_equal(rig_drain(r), 3);
	assert_true(tcp_set_mss(&r->tcp, 500, r->now) & TCP_DO_OUTPUT);
	for (uint32_t at = 0; at < 3000; at += 500) {
		assert_true(rig_tx(r));
		assert_int_equal(r->out.seq, at);
		assert_int_equal(r->out.len, 500);
	}
	assert_int_equal(r->tcp.cc.cwnd, 10);
	rig_free(r);
}

static void a_probe_repeats_an_old_byte_number(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	assert_true(tcp_probe(&r->tcp, r->now) & TCP_DO_OUTPUT);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.seq, 0xffffffff);
	assert_int_equal(r->out.len, 0);
	assert_false(rig_tx(r));
	rig_free(r);
}

static void quiesced_it_sends_what_it_took_and_no_more(void **state)
{
	struct rig *r = rig_new(NULL);

	(void)state;
	rig_write(r, 100);
	tcp_quiesce(&r->tcp);
	rig_write(r, 100);
	assert_true(rig_tx(r));
	assert_int_equal(r->out.len, 100);
	assert_false(rig_tx(r));
	assert_false(tcp_is_quiet(&r->tcp));
	rig_ack(r, 100);
	assert_true(tcp_is_quiet(&r->tcp));
	rig_free(r);
}

static void an_abort_resets_where_the_peer_expects_it(void **state)
{
	struct rig *r = rig_new(NULL);
	struct tcp_out o;

	(void)state;
	rig_write(r, 100);
	rig_drain(r);
	tcp_abort(&r->tcp, r->now, &o);
	assert_int_equal(o.seq, RIG_ISN + 100);
	assert_int_equal(o.flags, TH_RST | TH_ACK);
	assert_false(rig_tx(r));
	assert_int_equal(tcp_deadline(&r->tcp), TCP_NEVER);
	rig_free(r);
}

static void a_tx_head_that_cannot_be_is_ignored(void **state)
{
	static const uint64_t lies[] = { ~0ULL, (1U << RIG_ORDER) + 1, 1ULL << 62 };
	struct rig *r = rig_new(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		atomic_store(&r->slot->tx_head, lies[i]);
		assert_false(tcp_app(&r->tcp, r->now) & TCP_DO_OUTPUT);
	}
	atomic_store(&r->slot->tx_head, 100);
	atomic_store(&r->slot->tx_geom, pipe_geom(40, 0));
	assert_false(tcp_app(&r->tcp, r->now) & TCP_DO_OUTPUT);
	rig_free(r);
}

static void the_program_hears_of_room_when_a_third_is_free(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;
	uint32_t acked = 0;

	(void)state;
	b.cwnd = 30;
	r = rig_new(&b);
	rig_write(r, 65536);
	while (acked < 30000) {
		rig_drain(r);
		acked += 1000;
		if (rig_ack(r, acked) & TCP_DO_WRITABLE)
			break;
	}
	assert_in_range(acked, 1000, 23000);
	rig_free(r);
}

/* Most of the pipe has arrived and waits for a hole: more must come before a third is free. */
static void or_an_eighth_when_little_is_left_to_send(void **state)
{
	struct tcp_begin b = rig_begin();
	struct rig *r;

	(void)state;
	b.cwnd = 80;
	b.snd_wscale = 2;
	b.snd_wnd = 240000;
	r = rig_new(&b);
	r->tcp.tx_want = 200000;		/* more than cwnd asks for */
	rig_write(r, 200000);
	rig_drain(r);
	assert_false(rig_ack(r, 50000) & TCP_DO_WRITABLE);
	rig_drain(r);
	rig_free(r);

	b.cwnd = 200;
	r = rig_new(&b);
	r->tcp.tx_want = 1 << RIG_ORDER;
	rig_write(r, 200000);
	rig_drain(r);
	assert_int_equal(tcp_unsent(&r->tcp), 0);
	assert_true(rig_ack(r, 1000) & TCP_DO_WRITABLE);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_response_leaves_at_once_and_frees_its_bytes),
		cmocka_unit_test(cwnd_bounds_what_is_in_flight),
		cmocka_unit_test(the_peers_window_bounds_what_is_in_flight),
		cmocka_unit_test(gso_takes_many_segments_at_once),
		cmocka_unit_test(nagle_holds_a_second_small_segment),
		cmocka_unit_test(nodelay_sends_what_nagle_held),
		cmocka_unit_test(cork_holds_a_partial_segment_for_200_ms),
		cmocka_unit_test(uncorking_sends_at_once),
		cmocka_unit_test(fin_rides_on_the_last_bytes),
		cmocka_unit_test(a_lost_fin_is_sent_again),
		cmocka_unit_test(a_closed_window_is_probed_until_it_opens),
		cmocka_unit_test(a_silly_window_is_filled_by_the_timer_only),
		cmocka_unit_test(a_peer_with_a_small_window_gets_half_of_it),
		cmocka_unit_test(silence_ends_in_etimedout_after_fifteen_tries),
		cmocka_unit_test(the_user_timeout_is_obeyed),
		cmocka_unit_test(a_pause_longer_than_the_timeout_shrinks_cwnd),
		cmocka_unit_test(a_pause_costs_no_less_than_the_routes_window),
		cmocka_unit_test(a_pause_costs_nothing_where_linux_is_told_so),
		cmocka_unit_test(a_smaller_mtu_sends_again_in_smaller_pieces),
		cmocka_unit_test(a_probe_repeats_an_old_byte_number),
		cmocka_unit_test(quiesced_it_sends_what_it_took_and_no_more),
		cmocka_unit_test(an_abort_resets_where_the_peer_expects_it),
		cmocka_unit_test(a_tx_head_that_cannot_be_is_ignored),
		cmocka_unit_test(the_program_hears_of_room_when_a_third_is_free),
		cmocka_unit_test(or_an_eighth_when_little_is_left_to_send),
	};

	return cmocka_run_group_tests_name("tcp_tx", tests, NULL, NULL);
}
