/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_translate.c - what translation does to a segment, against a reference written plainly:
 * shift the numbers, compute the checksum anew.
 */
#include "lab.h"

#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACK	0x10
#define RST	0x04

static struct lab_frame f, want;

static uint32_t get32(const uint8_t *b)
{
	uint32_t v;

	memcpy(&v, b, 4);
	return ntohl(v);
}

static void shift(uint8_t *b, uint32_t by)
{
	uint32_t v = htonl(get32(b) + by);

	memcpy(b, &v, 4);
}

/* The reference. */
static void translate(struct lab_frame *s, uint32_t dseq, uint32_t dack)
{
	uint8_t *t = s->b + s->l4, *end = t + (t[12] >> 4) * 4;

	shift(t + 4, dseq);
	if (t[13] & ACK) {
		shift(t + 8, dack);
		for (uint8_t *o = t + 20; o + 1 < end && *o;) {
			if (*o == 1) {
				o++;
				continue;
			}
			if (o[1] < 2 || o + o[1] > end)
				break;
			for (uint8_t *n = o + 2; *o == 5 && n + 4 <= o + o[1]; n += 4)
				shift(n, dack);
			o += o[1];
		}
	}
	lab_tcp_checksum(s);
}

static void expect_equal(const char *when, const struct lab_result *r)
{
	if (r->action != TC_ACT_UNSPEC)
		fail_msg("%s: action %d, %s", when, r->action, lab_verdict_name(r->verdict));
	if (r->out.len != want.len)
		fail_msg("%s: %u bytes, want %u", when, r->out.len, want.len);
	for (uint32_t i = 0; i < want.len; i++)
		if (r->out.b[i] != want.b[i])
			fail_msg("%s: byte %u of the TCP header is %#x, want %#x", when,
				 i - want.l4, r->out.b[i], want.b[i]);
}

/* Both ways with these offsets, and back again. */
static void both_ways(const char *when, struct lab_spec s, uint32_t tx, uint32_t rx)
{
	char text[96];

	lab_flow(TP_LINUX, tx, rx);

	snprintf(text, sizeof(text), "%s, from the wire", when);
	s.way = LAB_FROM_WIRE;
	lab_tcp(&f, &s);
	want = f;
	translate(&want, -rx, -tx);
	expect_equal(text, lab_run(lab_tc->progs.tp_nic_in, &f));

	snprintf(text, sizeof(text), "%s, from Linux", when);
	s.way = LAB_FROM_HOST;
	lab_tcp(&f, &s);
	want = f;
	translate(&want, tx, rx);
	expect_equal(text, lab_run(lab_tc->progs.tp_nic_out, &f));
}

static void numbers_are_shifted_and_the_checksum_follows(void **state)
{
	static const struct {
		const char *name;
		uint32_t seq, ack, tx, rx;
	} cases[] = {
		{ "no offset", 1000, 2000, 0, 0 },
		{ "one direction", 1000, 2000, 4096, 0 },
		{ "the other", 1000, 2000, 0, 4096 },
		{ "both", 1000, 2000, 123456789, 987654321 },
		{ "wrapping up", 0xfffffff0, 0xfffffff0, 0x20, 0x30 },
		{ "wrapping down", 0x10, 0x10, 0x20, 0x30 },
		{ "half of the space", 7, 9, 0x80000000, 0x80000000 },
		{ "all ones", 0, 0, 0xffffffff, 0xffffffff },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		both_ways(cases[i].name,
			  (struct lab_spec){ .seq = cases[i].seq, .ack = cases[i].ack,
					     .flags = ACK, .payload = 33 },
			  cases[i].tx, cases[i].rx);
}

static void without_ack_the_acknowledgment_stays(void **state)
{
	struct lab_spec s = { .flags = RST, .seq = 5, .ack = 0,
			      .opts = { 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2 }, .opts_len = 12 };

	(void)state;
	both_ways("RST", s, 1000, 2000);
}

static void sack_blocks_are_shifted_wherever_they_stand(void **state)
{
	char when[48];

	(void)state;
	for (uint8_t blocks = 1; blocks <= 4; blocks++) {
		for (uint8_t pad = 0; pad + 2 + 8 * blocks <= 40; pad++) {
			struct lab_spec s = { .flags = ACK, .seq = 77, .ack = 88, .payload = 3 };

			memset(s.opts, 1, sizeof(s.opts));
			s.opts[pad] = 5;
			s.opts[pad + 1] = (uint8_t)(2 + 8 * blocks);
			for (uint8_t i = 0; i < 8 * blocks; i++)
				s.opts[pad + 2 + i] = (uint8_t)(0xf0 + 29 * i);
			s.opts_len = (uint8_t)((pad + 2 + 8 * blocks + 3) / 4 * 4);
			snprintf(when, sizeof(when), "%u blocks after %u bytes", blocks, pad);
			both_ways(when, s, 0xdeadbeef, 0x12345678);
		}
	}
}

static void timestamps_and_unknown_options_stay(void **state)
{
	struct lab_spec s = { .flags = ACK,
			      .opts = { 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8,	/* timestamps */
					1, 5, 10, 9, 9, 9, 9, 8, 8, 8, 8,	/* odd SACK */
					254, 5, 5, 10, 1,			/* holds a 5, 10 */
					0, 5, 10, 1 },				/* after the end */
			      .opts_len = 32 };

	(void)state;
	both_ways("mixed", s, 11, 22);
}

static void options_that_lie_are_safe_and_shifted_as_far_as_they_go(void **state)
{
	static const struct {
		const char *name;
		uint8_t opts[8];
	} cases[] = {
		{ "length 0", { 5, 0, 1, 2, 3, 4, 5, 6 } },
		{ "length 1", { 5, 1, 1, 2, 3, 4, 5, 6 } },
		{ "beyond the header", { 5, 40, 1, 2, 3, 4, 5, 6 } },
		{ "kind in the last byte", { 1, 1, 1, 1, 1, 1, 1, 5 } },
		{ "half a block", { 5, 6, 1, 2, 3, 4, 1, 1 } },
		{ "part of a number", { 5, 5, 1, 2, 3, 5, 3, 1 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct lab_spec s = { .flags = ACK, .opts_len = 8 };

		memcpy(s.opts, cases[i].opts, 8);
		both_ways(cases[i].name, s, 0x01020304, 0x05060708);
	}
}

static void random_segments_come_out_as_the_reference_says(void **state)
{
	unsigned int seed = 20180418;
	char when[32];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct lab_spec s = { .seq = (uint32_t)rand_r(&seed) * 3,
				      .ack = (uint32_t)rand_r(&seed) * 5,
				      .flags = rand_r(&seed) % 4 ? ACK : 0,
				      .ip_options = (uint8_t)(rand_r(&seed) % 11 * 4),
				      .opts_len = (uint8_t)(rand_r(&seed) % 11 * 4),
				      .payload = (uint32_t)rand_r(&seed) % 64 };

		for (int o = 0; o < s.opts_len; o++)
			s.opts[o] = (uint8_t)(rand_r(&seed) % (i & 1 ? 12 : 256));
		snprintf(when, sizeof(when), "segment %d", i);
		both_ways(when, s, (uint32_t)rand_r(&seed) * 7, (uint32_t)rand_r(&seed) * 9);
	}
}

static void a_corrupt_segment_stays_corrupt(void **state)
{
	struct lab_spec s = { .flags = ACK, .seq = 1, .ack = 2, .payload = 100 };
	const struct lab_result *r;

	(void)state;
	lab_flow(TP_LINUX, 1000, 2000);
	for (uint32_t byte = 0; byte < 120; byte++) {
		lab_tcp(&f, &s);
		if (byte == 12 || byte == 13 || byte < 4)
			continue;	/* another segment altogether */
		f.b[f.l4 + byte] ^= 0x40;
		r = lab_run(lab_tc->progs.tp_nic_in, &f);
		assert_int_equal(r->verdict, TP_V_TCI_LINUX);
		if (lab_tcp_checksum_is_right(&r->out))
			fail_msg("an error in byte %u was covered up", byte);
	}
}

static void the_first_fragment_is_translated_so_that_the_whole_is_right(void **state)
{
	struct lab_spec s = { .flags = ACK, .seq = 7, .ack = 8, .payload = 200 };
	struct lab_frame first;
	const struct lab_result *r;

	(void)state;
	lab_flow(TP_LINUX, 1000, 2000);
	lab_tcp(&f, &s);
	want = f;
	translate(&want, -2000U, -1000U);

	first = f;
	first.b[first.l3 + 6] = 0x20;	/* more fragments */
	first.len = first.l4 + 104;
	r = lab_run(lab_tc->progs.tp_nic_in, &first);
	assert_int_equal(r->verdict, TP_V_TCI_LINUX);
	assert_memory_equal(r->out.b + first.l4, want.b + want.l4, 104);
}

static void an_icmp_error_about_a_flow_in_linux_quotes_linux_number(void **state)
{
	struct lab_spec quoted = { .way = LAB_FROM_HOST, .flags = ACK, .seq = 5000, .payload = 50 };
	const struct lab_result *r;
	const uint8_t *icmp;

	(void)state;
	lab_flow(TP_LINUX, 1000, 2000);
	for (uint32_t quote = 28; quote < 90; quote++) {
		lab_icmp(&f, 3, &quoted, quote);
		r = lab_run(lab_tc->progs.tp_nic_in, &f);
		assert_int_equal(r->verdict, TP_V_TCI_LINUX);
		icmp = r->out.b + f.l4;
		assert_int_equal(get32(icmp + 8 + 20 + 4), 4000);
		assert_int_equal(lab_checksum(icmp, f.len - f.l4, 0), 0);
	}
}

static void an_icmp_error_about_another_flow_is_left_alone(void **state)
{
	struct lab_spec quoted = { .way = LAB_FROM_HOST, .flags = ACK, .dport = 1 };
	const struct lab_result *r;

	(void)state;
	lab_flow(TP_LINUX, 1000, 2000);
	lab_icmp(&f, 3, &quoted, 28);
	r = lab_run(lab_tc->progs.tp_nic_in, &f);
	assert_int_equal(r->verdict, TP_V_TCI_PASS);
	assert_memory_equal(r->out.b, f.b, f.len);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup(t, lab_reset)
	const struct CMUnitTest tests[] = {
		TEST(numbers_are_shifted_and_the_checksum_follows),
		TEST(without_ack_the_acknowledgment_stays),
		TEST(sack_blocks_are_shifted_wherever_they_stand),
		TEST(timestamps_and_unknown_options_stay),
		TEST(options_that_lie_are_safe_and_shifted_as_far_as_they_go),
		TEST(random_segments_come_out_as_the_reference_says),
		TEST(a_corrupt_segment_stays_corrupt),
		TEST(the_first_fragment_is_translated_so_that_the_whole_is_right),
		TEST(an_icmp_error_about_a_flow_in_linux_quotes_linux_number),
		TEST(an_icmp_error_about_another_flow_is_left_alone),
	};

	return cmocka_run_group_tests_name("translate", tests, lab_open, lab_close);
}
