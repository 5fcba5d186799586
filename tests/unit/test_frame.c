// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/fast/frame.c */
/*
 * test_frame.c - what frame.c builds it also understands, and so does any checksum check.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../user/fast/frame.h"

static const struct tp_flow_key key = {
	.peer_ip = { [10] = 0xff, 0xff, 10, 0, 0, 1 },
	.local_ip = { [10] = 0xff, 0xff, 10, 0, 0, 2 },
	.peer_port = 0x1234,
	.local_port = 80,
};
static const uint8_t eth[WIRE_ETH_LEN] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x08, 0x00 };

static uint32_t build(const struct tcp_out *o, uint8_t *frame, struct frame_head *h)
{
	uint32_t at = FRAME_HDR + frame_opts_len(o);

	for (uint32_t i = 0; i < o->len; i++)
		frame[at + i] = (uint8_t)(i * 7);
	return frame_build(h, o, wire_sum(frame + at, o->len), frame);
}

static void check_good(const uint8_t *frame, uint32_t len, struct wire_at *ret_at)
{
	assert_true(wire_locate(frame, len, ret_at));
	assert_true(wire_ip_ok(ret_at->ip));
	assert_true(wire_tcp_ok(ret_at, false));
}

static void a_built_frame_parses_back(void **state)
{
	static const struct tcp_out cases[] = {
		{ .seq = 1, .ack = 2, .flags = WIRE_ACK, .window = 3 },
		{ .seq = ~0U, .ack = 0x80000000, .flags = WIRE_ACK | WIRE_PSH, .window = 0xffff,
		  .len = 1448, .has_ts = true, .tsval = 77, .tsecr = 88 },
		{ .flags = WIRE_ACK | WIRE_FIN, .len = 1, .has_ts = true, .nsack = 3,
		  .sack = { { 10, 20 }, { 30, 40 }, { 50, 60 } }, .ect = true },
		{ .flags = WIRE_RST, .nsack = 4, .len = 3,
		  .sack = { { 1, 2 }, { 3, 4 }, { 5, 6 }, { 7, 8 } } },
	};
	struct frame_head h;
	uint8_t frame[2048];

	(void)state;
	frame_head_init(&h, eth, &key, 0xb8, 61);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct tcp_out *o = &cases[i];
		struct wire_at at = { 0 };
		struct tcp_seg s;

		check_good(frame, build(o, frame, &h), &at);
		frame_parse(&at, &s);
		assert_int_equal(s.seq, o->seq);
		assert_int_equal(s.ack, o->ack);
		assert_int_equal(s.len, o->len);
		assert_int_equal(s.window, o->window);
		assert_int_equal(s.flags, o->flags);
		assert_int_equal(s.has_ts, o->has_ts);
		if (o->has_ts)
			assert_true(s.tsval == o->tsval && s.tsecr == o->tsecr);
		assert_int_equal(s.nsack, o->nsack);
		assert_memory_equal(s.sack, o->sack, o->nsack * sizeof(s.sack[0]));
		assert_int_equal(at.ip->ttl, 61);
		assert_int_equal(at.ip->tos, o->ect ? 0xb8 | WIRE_ECT0 : 0xb8);
		assert_memory_equal(frame, eth, sizeof(eth));
	}
}

static void a_frame_goes_from_us_to_the_peer(void **state)
{
	const struct tcp_out o = { .flags = WIRE_ACK };
	struct frame_tuple in = frame_tuple_of(&key), out;
	struct frame_head h;
	struct wire_at at = { 0 };
	uint8_t frame[128];

	(void)state;
	frame_head_init(&h, eth, &key, 0, 64);
	check_good(frame, build(&o, frame, &h), &at);
	out = frame_tuple(&at);
	assert_true(out.saddr == in.daddr && out.daddr == in.saddr && out.sport == in.dport &&
		    out.dport == in.sport);
}

static void each_frame_has_an_ip_id_of_its_own(void **state)
{
	const struct tcp_out o = { .flags = WIRE_ACK };
	struct frame_head h;
	struct wire_at at = { 0 };
	uint8_t frame[128];
	uint16_t id;

	(void)state;
	frame_head_init(&h, eth, &key, 0, 64);
	h.ip_id = 0xffff;
	check_good(frame, build(&o, frame, &h), &at);
	id = ntohs(at.ip->id);
	check_good(frame, build(&o, frame, &h), &at);
	assert_int_equal(ntohs(at.ip->id), (uint16_t)(id + 1));
}

static void a_gso_frame_carries_the_pseudo_header_sum(void **state)
{
	const struct tcp_out o = { .flags = WIRE_ACK, .len = 30000, .has_ts = true };
	uint8_t *frame = calloc(1, 32768);
	struct frame_head h;
	struct wire_at at = { 0 };

	(void)state;
	frame_head_init(&h, eth, &key, 0, 64);
	assert_true(wire_locate(frame, frame_build_gso(&h, &o, frame), &at));
	assert_true(wire_ip_ok(at.ip));
	assert_true(wire_tcp_ok(&at, true));
	free(frame);
}

static void parse_opts(const uint8_t *opts, uint32_t len, struct tcp_seg *ret_seg)
{
	static const struct wire_ip ip;
	static const struct wire_tcp tcp;
	uint8_t *exact = malloc(len ? len : 1);
	struct wire_at at = { .ip = &ip, .tcp = &tcp, .opts = exact, .opts_len = len };

	memcpy(exact, opts, len);
	frame_parse(&at, ret_seg);
	free(exact);
}

static void options_that_lie_end_the_parse_and_no_more(void **state)
{
	static const struct {
		const char *what;
		uint8_t opts[16];
		uint32_t len;
		bool has_ts;
		uint8_t nsack;
	} cases[] = {
		{ "nothing",		{ 0 }, 0, false, 0 },
		{ "end at once",	{ 0, 8, 10 }, 12, false, 0 },
		{ "kind without length", { 1, 1, 1, 8 }, 4, false, 0 },
		{ "length zero",	{ 8, 0 }, 4, false, 0 },
		{ "length one",		{ 8, 1 }, 4, false, 0 },
		{ "beyond the end",	{ 8, 10, 1, 2 }, 4, false, 0 },
		{ "timestamp of 9",	{ 8, 9, 1, 2, 3, 4, 5, 6, 7, 0 }, 12, false, 0 },
		{ "timestamp unaligned", { 8, 10, 0, 0, 0, 1, 0, 0, 0, 2 }, 12, true, 0 },
		{ "timestamp, then a lie", { 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 5, 99 }, 12, true, 0 },
		{ "SACK of no block",	{ 5, 2, 1, 1 }, 4, false, 0 },
		{ "SACK of half a block", { 5, 6, 1, 2, 3, 4 }, 8, false, 0 },
		{ "SACK of a block",	{ 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2 }, 12, false, 1 },
		{ "unknown, then a timestamp", { 99, 3, 0, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2 }, 16,
		  true, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tcp_seg s;

		parse_opts(cases[i].opts, cases[i].len, &s);
		if (s.has_ts != cases[i].has_ts || s.nsack != cases[i].nsack)
			fail_msg("%s: timestamp %d, %d SACK blocks", cases[i].what, s.has_ts,
				 s.nsack);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_built_frame_parses_back),
		cmocka_unit_test(a_frame_goes_from_us_to_the_peer),
		cmocka_unit_test(each_frame_has_an_ip_id_of_its_own),
		cmocka_unit_test(a_gso_frame_carries_the_pseudo_header_sum),
		cmocka_unit_test(options_that_lie_end_the_parse_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
