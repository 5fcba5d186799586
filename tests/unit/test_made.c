// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/slow/made.c user/slow/segment.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <netinet/tcp.h>

#include "../../user/slow/made.h"
#include "slow_frames.h"

#define SEQ 1000U			/* Linux's rcv_nxt */
#define ACK 7000U			/* its snd_una */

static struct made_flow flow(bool ts)
{
	struct made_flow f = { .ttl = 57, .has_ts = ts, .tsval = 11, .tsecr = 22 };

	tp_set_ip4(f.key.peer_ip, htonl(PEER_IP));
	tp_set_ip4(f.key.local_ip, htonl(LOCAL_IP));
	f.key.peer_port = PEER_PORT;
	f.key.local_port = LOCAL_PORT;
	memcpy(f.eth, peer_mac, 6);
	memcpy(f.eth + 6, local_mac, 6);
	f.eth[12] = 8;
	return f;
}

static void made_frames_look_as_from_the_other_side(void **state)
{
	static const struct made_seg seg = { .seq = SEQ, .ack = ACK, .window = 9, .flags = WIRE_ACK };

	(void)state;
	for (int to = MADE_TO_LINUX; to <= MADE_TO_WIRE; to++)
		for (int ts = 0; ts < 2; ts++) {
			const struct made_flow f = flow(ts);
			uint8_t frame[MADE_FRAME_MAX];
			size_t len = made_build(&f, (enum made_to)to, &seg, frame);
			bool linux_reads = to == MADE_TO_LINUX;
			struct wire_at at = { 0 };
			struct segment s;

			assert_true(len <= sizeof(frame));
			assert_true(wire_locate(frame, len, &at));
			assert_true(wire_ip_ok(at.ip) && wire_tcp_ok(&at, false));
			assert_true(segment_read(frame, len,
						 linux_reads ? SEG_FROM_WIRE : SEG_FROM_LINUX, &s));
			assert_memory_equal(&s.key, &f.key, sizeof(s.key));
			assert_memory_equal(frame, linux_reads ? local_mac : peer_mac, 6);
			assert_int_equal(s.seq, SEQ);
			assert_int_equal(s.ack, ACK);
			assert_int_equal(s.has_ts, ts);
			assert_int_equal(s.tsval, ts ? 11 : 0);
		}
}

static void what_time_wait_has_is_old(void **state)
{
	static const struct {
		const char *what;
		uint32_t found, tcp_state;
		uint32_t seq, len;
		uint8_t flags;
		bool old;
	} cases[] = {
		{ "data that it has", 0, TCP_TIME_WAIT, SEQ - 100, 100, WIRE_ACK, true },
		{ "the FIN that it has", 0, TCP_TIME_WAIT, SEQ - 1, 0, WIRE_ACK | WIRE_FIN, true },
		{ "the FIN that it lacks", 0, TCP_TIME_WAIT, SEQ, 0, WIRE_ACK | WIRE_FIN, false },
		{ "data that it lacks", 0, TCP_TIME_WAIT, SEQ - 99, 100, WIRE_ACK, false },
		{ "an old ACK", 0, TCP_TIME_WAIT, SEQ - 100, 0, WIRE_ACK, true },
		{ "RST", 0, TCP_TIME_WAIT, SEQ, 0, WIRE_RST, false },
		{ "data, and a socket that has it", 1, TCP_FIN_WAIT2, SEQ - 100, 100, WIRE_ACK, false },
		{ "data, and no socket", 0, 0, SEQ - 100, 100, WIRE_ACK, false },
	};
	const uint32_t delta = 0xfffff000;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct segment s = { .seq = cases[i].seq + delta, .len = cases[i].len,
					   .flags = cases[i].flags };
		const struct tp_answer a = { .found = cases[i].found, .rcv_nxt = SEQ,
					     .tcp_state = cases[i].tcp_state };

		if (made_is_old(&s, delta, &a) != cases[i].old)
			fail_msg("%s", cases[i].what);
	}
}

static void a_rst_to_linux_has_no_timestamp_that_could_be_too_old(void **state)
{
	static const struct made_seg seg = { .seq = SEQ, .flags = WIRE_RST };
	const struct made_flow f = flow(true);
	uint8_t frame[MADE_FRAME_MAX];
	struct segment s;

	(void)state;
	assert_true(segment_read(frame, (uint32_t)made_build(&f, MADE_TO_LINUX, &seg, frame),
				 SEG_FROM_WIRE, &s));
	assert_int_equal(s.seq, SEQ);
	assert_false(s.has_ts);
	assert_true(segment_read(frame, (uint32_t)made_build(&f, MADE_TO_WIRE, &seg, frame),
				 SEG_FROM_LINUX, &s));
	assert_true(s.has_ts);
}

/* What Linux is told: flags, sequence number, ack, window of each segment, in order. */
static void linux_is_told_all_news_in_an_order_it_understands(void **state)
{
	static const struct {
		const char *when;
		struct made_news n;
		size_t count;
		struct { uint32_t seq, ack; uint16_t window; uint8_t flags; } seg[MADE_TELL_MAX];
	} cases[] = {
		{ "the peer finished, its window grew",
		  { .peer_fin = true, .may_send = true, .linux_wnd = 100, .wire_wnd = 200 }, 1,
		  { { SEQ, ACK, 200, WIRE_ACK | WIRE_FIN } } },
		{ "the peer finished, its window shrank",
		  { .peer_fin = true, .may_send = true, .linux_wnd = 300, .wire_wnd = 200 }, 3,
		  { { SEQ, ACK, 0, WIRE_ACK }, { SEQ, ACK, 200, WIRE_ACK },
		    { SEQ, ACK, 200, WIRE_ACK | WIRE_FIN } } },
		{ "our FIN is acknowledged",
		  { .fin_acked = true, .linux_wnd = 300, .wire_wnd = 200 }, 1,
		  { { SEQ, ACK + 1, 200, WIRE_ACK } } },
		{ "both are done",
		  { .fin_acked = true, .peer_fin = true, .wire_wnd = 200 }, 2,
		  { { SEQ, ACK + 1, 200, WIRE_ACK }, { SEQ, ACK + 1, 200, WIRE_ACK | WIRE_FIN } } },
		{ "it is only handed back, the window shrank",
		  { .may_send = true, .linux_wnd = 300, .wire_wnd = 200 }, 2,
		  { { SEQ, ACK, 0, WIRE_ACK }, { SEQ, ACK, 200, WIRE_ACK } } },
		{ "it is only handed back, the window grew",
		  { .may_send = true, .linux_wnd = 100, .wire_wnd = 200 }, 1,
		  { { SEQ, ACK, 200, WIRE_ACK } } },
		{ "a window beyond 16 bits",
		  { .may_send = true, .linux_wnd = 1, .wire_wnd = 1 << 20 }, 1,
		  { { SEQ, ACK, 0xffff, WIRE_ACK } } },
		{ "a scaled window",
		  { .may_send = true, .linux_wnd = 1, .wire_wnd = 1 << 20, .snd_wscale = 7 }, 1,
		  { { SEQ, ACK, 1 << 13, WIRE_ACK } } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct made_news n = cases[i].n;
		struct made_seg seg[MADE_TELL_MAX];
		size_t count;

		n.seq = SEQ;
		n.ack = ACK;
		count = made_tell(&n, seg);
		if (count != cases[i].count)
			fail_msg("%s: %zu segments, want %zu", cases[i].when, count, cases[i].count);
		for (size_t k = 0; k < count; k++)
			if (seg[k].seq != cases[i].seg[k].seq || seg[k].ack != cases[i].seg[k].ack ||
			    seg[k].window != cases[i].seg[k].window ||
			    seg[k].flags != cases[i].seg[k].flags)
				fail_msg("%s: segment %zu is seq %u ack %u window %u flags %#x",
					 cases[i].when, k, seg[k].seq, seg[k].ack, seg[k].window,
					 seg[k].flags);
	}
}

static void linuxs_frames_are_understood(void **state)
{
	static const struct {
		const char *what;
		uint32_t seq, len;
		uint8_t flags;
		enum made_request want;
	} cases[] = {
		{ "a pure ACK", ACK, 0, WIRE_ACK, MADE_REQ_NOTHING },
		{ "FIN", ACK, 0, WIRE_ACK | WIRE_FIN, MADE_REQ_FIN },
		{ "FIN behind data", ACK, 10, WIRE_ACK | WIRE_FIN, MADE_REQ_DATA },
		{ "FIN behind data sent before", ACK + 10, 0, WIRE_ACK | WIRE_FIN, MADE_REQ_DATA },
		{ "data", ACK, 10, WIRE_ACK | WIRE_PSH, MADE_REQ_DATA },
		{ "RST", ACK, 0, WIRE_RST, MADE_REQ_RST },
		{ "RST with ACK", ACK, 0, WIRE_RST | WIRE_ACK, MADE_REQ_RST },
		{ "keepalive", ACK - 1, 0, WIRE_ACK, MADE_REQ_PROBE },
		{ "keepalive with a byte", ACK - 1, 1, WIRE_ACK, MADE_REQ_PROBE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct segment s = { .seq = cases[i].seq, .len = cases[i].len,
				     .flags = cases[i].flags };

		if (made_request(&s, ACK) != cases[i].want)
			fail_msg("%s: %d", cases[i].what, made_request(&s, ACK));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made_frames_look_as_from_the_other_side),
		cmocka_unit_test(a_rst_to_linux_has_no_timestamp_that_could_be_too_old),
		cmocka_unit_test(what_time_wait_has_is_old),
		cmocka_unit_test(linux_is_told_all_news_in_an_order_it_understands),
		cmocka_unit_test(linuxs_frames_are_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
