// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/slow/segment.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../user/slow/segment.h"
#include "slow_frames.h"

static const uint8_t ts_opts[] = { 1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9 };
/* NOP before the SACK option puts its numbers at odd offsets. */
static const uint8_t odd_sack[] = { 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2,
				    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 3, 0 };

static void both_directions_name_the_same_connection(void **state)
{
	static const uint8_t local[16] = { [10] = 0xff, 0xff, 10, 0, 0, 2 };
	uint8_t frame[FRAME_ROOM];
	struct segment in, out;
	uint32_t len;

	(void)state;
	len = say(&(struct said){ .flags = WIRE_ACK, .seq = 5, .ack = 6, .len = 3 }, frame);
	assert_true(segment_read(frame, len, SEG_FROM_WIRE, &in));
	len = say(&(struct said){ .from_linux = true, .flags = WIRE_ACK }, frame);
	assert_true(segment_read(frame, len, SEG_FROM_LINUX, &out));
	assert_memory_equal(&in.key, &out.key, sizeof(in.key));
	assert_int_equal(in.key.peer_port, PEER_PORT);
	assert_int_equal(in.key.local_port, LOCAL_PORT);
	assert_memory_equal(in.key.local_ip, local, sizeof(local));
	assert_int_equal(tp_ip4(in.key.peer_ip), htonl(PEER_IP));
	assert_int_equal(in.seq, 5);
	assert_int_equal(in.ack, 6);
	assert_int_equal(in.len, 3);
}

static void syn_and_fin_take_a_number_each(void **state)
{
	struct segment s = { .seq = 0xfffffffe, .len = 2, .flags = WIRE_SYN | WIRE_FIN };

	(void)state;
	assert_int_equal(segment_end(&s), 2);
}

static void options_are_read_and_odd_ones_noticed(void **state)
{
	static const uint8_t fast_open[] = { 34, 4, 1, 2 }, cut[] = { 8, 40, 1, 2 };
	static const struct {
		const uint8_t *opts;
		uint32_t len;
		bool ts, odd;
	} cases[] = {
		{ NULL, 0, false, false },
		{ ts_opts, sizeof(ts_opts), true, false },
		{ odd_sack, sizeof(odd_sack), false, false },
		{ fast_open, sizeof(fast_open), false, true },
		{ cut, sizeof(cut), false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t frame[FRAME_ROOM];
		struct segment s;
		uint32_t len = say(&(struct said){ .flags = WIRE_ACK, .opts = cases[i].opts,
						   .opts_len = cases[i].len }, frame);

		assert_true(segment_read(frame, len, SEG_FROM_WIRE, &s));
		assert_int_equal(s.has_ts, cases[i].ts);
		assert_int_equal(s.odd_options, cases[i].odd);
		if (s.has_ts)
			assert_int_equal(s.tsval, 7);
	}
}

static bool sum_is_good(const uint8_t *frame, uint32_t len)
{
	struct wire_at at = { 0 };

	return wire_locate(frame, len, &at) && wire_tcp_ok(&at, false);
}

static void renumbered_frames_have_good_checksums(void **state)
{
	static const uint32_t adds[] = { 0, 1, 0x10000, 0x7fffffff, 0xffffffff, 0xfffe0001 };

	(void)state;
	for (size_t i = 0; i < 6; i++)
		for (size_t k = 0; k < 6; k++) {
			uint8_t frame[FRAME_ROOM];
			struct segment s;
			uint32_t len = say(&(struct said){ .flags = WIRE_ACK, .seq = 1000,
							   .ack = 0xfffffff0, .len = 5,
							   .opts = odd_sack,
							   .opts_len = sizeof(odd_sack) }, frame);

			segment_renumber(frame, len, adds[i], adds[k], false);
			assert_true(sum_is_good(frame, len));
			assert_true(segment_read(frame, len, SEG_FROM_WIRE, &s));
			assert_int_equal(s.seq, 1000 + adds[i]);
			assert_int_equal(s.ack, 0xfffffff0 + adds[k]);
			/* the second block, which wraps */
			assert_int_equal(wire_get32(frame + 54 + 11), 0xffffffff + adds[k]);
			assert_int_equal(wire_get32(frame + 54 + 15), 3 + adds[k]);
		}
}

static void a_corrupt_frame_stays_corrupt(void **state)
{
	uint8_t frame[FRAME_ROOM];
	uint32_t len = say(&(struct said){ .flags = WIRE_ACK, .seq = 1, .len = 10 }, frame);

	(void)state;
	frame[len - 1] ^= 1;
	segment_renumber(frame, len, 12345, 67890, false);
	assert_false(sum_is_good(frame, len));
	frame[len - 1] ^= 1;
	assert_true(sum_is_good(frame, len));
}

static void a_partial_checksum_is_known_and_left_alone(void **state)
{
	uint8_t frame[FRAME_ROOM];
	uint32_t len = say(&(struct said){ .flags = WIRE_ACK, .seq = 1, .len = 10 }, frame);
	struct wire_tcp *tcp = (void *)(frame + WIRE_ETH_LEN + WIRE_IP_LEN);
	uint16_t before;

	(void)state;
	assert_false(segment_is_partial(frame, len));
	tcp->check = wire_fold(wire_pseudo(htonl(PEER_IP), htonl(LOCAL_IP), len - 34));
	assert_true(segment_is_partial(frame, len));
	before = tcp->check;
	segment_renumber(frame, len, 12345, 67890, true);
	assert_int_equal(tcp->check, before);
	assert_int_equal(ntohl(tcp->seq), 12346);
}

static void a_partial_checksum_is_made_whole(void **state)
{
	uint8_t frame[FRAME_ROOM];
	uint32_t len = say(&(struct said){ .flags = WIRE_ACK, .seq = 1, .len = 11 }, frame);
	struct wire_tcp *tcp = (void *)(frame + WIRE_ETH_LEN + WIRE_IP_LEN);
	uint16_t whole = tcp->check;

	(void)state;
	tcp->check = wire_fold(wire_pseudo(htonl(PEER_IP), htonl(LOCAL_IP), len - 34));
	segment_seal(frame, len);
	assert_int_equal(tcp->check, whole);
	frame[WIRE_ETH_LEN] = 0x4f;	/* its header is longer than it */
	segment_seal(frame, WIRE_ETH_LEN + 40);
	assert_int_equal(tcp->check, whole);
}

static void an_ack_number_without_the_flag_is_no_number(void **state)
{
	uint8_t frame[FRAME_ROOM];
	struct segment s;
	uint32_t len = say(&(struct said){ .flags = WIRE_RST, .seq = 1, .ack = 0 }, frame);

	(void)state;
	segment_renumber(frame, len, 5, 5, false);
	assert_true(segment_read(frame, len, SEG_FROM_WIRE, &s));
	assert_int_equal(s.ack, 0);
	assert_int_equal(s.seq, 6);
}

static void no_cut_frame_is_read(void **state)
{
	uint8_t frame[FRAME_ROOM];
	struct segment s;
	uint32_t len = say(&(struct said){ .flags = WIRE_ACK, .len = 4, .opts = ts_opts,
					   .opts_len = sizeof(ts_opts) }, frame);

	(void)state;
	for (uint32_t cut = 0; cut < len; cut++) {
		uint8_t *exact = malloc(cut ? cut : 1);

		assert_non_null(exact);
		memcpy(exact, frame, cut);
		assert_false(segment_read(exact, cut, SEG_FROM_WIRE, &s));
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_directions_name_the_same_connection),
		cmocka_unit_test(syn_and_fin_take_a_number_each),
		cmocka_unit_test(options_are_read_and_odd_ones_noticed),
		cmocka_unit_test(renumbered_frames_have_good_checksums),
		cmocka_unit_test(a_corrupt_frame_stays_corrupt),
		cmocka_unit_test(a_partial_checksum_is_known_and_left_alone),
		cmocka_unit_test(a_partial_checksum_is_made_whole),
		cmocka_unit_test(an_ack_number_without_the_flag_is_no_number),
		cmocka_unit_test(no_cut_frame_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
