// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_wire.c - checksums, and what is accepted as a TCP segment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "taspilot/wire.h"

/* RFC 1071 as it is written: 16-bit words, one after the other. */
static uint16_t slow_sum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return __builtin_bswap16((uint16_t)sum);
}

static void fill(uint8_t *p, size_t len, unsigned int seed)
{
	srand(seed);
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)rand();
}

static void sum_is_rfc_1071s_at_any_length_and_alignment(void **state)
{
	uint8_t buf[400];

	(void)state;
	fill(buf, sizeof(buf), 1);
	for (size_t at = 0; at < 9; at++)
		for (size_t len = 0; len < 300; len++)
			assert_int_equal(wire_fold(wire_sum(buf + at, len)),
					 slow_sum(buf + at, len));
}

static void copying_sums_what_it_copied(void **state)
{
	uint8_t from[400], to[400];

	(void)state;
	fill(from, sizeof(from), 2);
	for (size_t len = 0; len < 300; len++) {
		memset(to, 0, sizeof(to));
		assert_int_equal(wire_fold(wire_copy_sum(to + 3, from + 1, len)),
				 slow_sum(from + 1, len));
		assert_memory_equal(to + 3, from + 1, len);
		assert_int_equal(to[3 + len], 0);
	}
}

static void all_ones_do_not_lose_a_carry(void **state)
{
	uint8_t ones[128];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(wire_fold(wire_sum(ones, sizeof(ones))), 0xffff);
	assert_int_equal(wire_fold(wire_add(~0ULL, ~0ULL)), 0xffff);
}

static void sums_of_two_parts_add_wherever_the_cut_is(void **state)
{
	uint8_t buf[101];

	(void)state;
	fill(buf, sizeof(buf), 3);
	for (size_t cut = 0; cut <= sizeof(buf); cut++) {
		uint64_t sum = wire_add(wire_sum(buf, cut),
					wire_sum_at(wire_sum(buf + cut, sizeof(buf) - cut), cut));

		assert_int_equal(wire_fold(sum), slow_sum(buf, sizeof(buf)));
	}
}

/* A segment with 12 bytes of options and @data bytes. */
static size_t segment(uint8_t *frame, size_t data)
{
	struct wire_eth *eth = (void *)frame;
	struct wire_ip *ip = (void *)(frame + WIRE_ETH_LEN);
	struct wire_tcp *tcp = (void *)(frame + WIRE_ETH_LEN + WIRE_IP_LEN);
	size_t tcp_len = WIRE_TCP_LEN + 12 + data;

	fill(frame, 200, 4);
	eth->ethertype = __builtin_bswap16(WIRE_ETH_IP);
	*ip = (struct wire_ip){ .version_ihl = 0x45, .ttl = 64, .ipproto = WIRE_PROTO_TCP,
				.frag = __builtin_bswap16(WIRE_IP_DF),
				.saddr = 0x0100000a, .daddr = 0x0200000a };
	ip->tot_len = __builtin_bswap16((uint16_t)(WIRE_IP_LEN + tcp_len));
	tcp->doff = 8 << 4;
	wire_ip_seal(ip);
	wire_tcp_seal(ip, tcp, (uint32_t)tcp_len);
	return WIRE_ETH_LEN + WIRE_IP_LEN + tcp_len;
}

static void a_sealed_segment_is_good_and_any_flipped_bit_is_not(void **state)
{
	uint8_t frame[256];
	size_t len = segment(frame, 33);
	struct wire_at at = { 0 };

	(void)state;
	assert_true(wire_locate(frame, len, &at));
	assert_int_equal(at.data_len, 33);
	assert_int_equal(at.opts_len, 12);
	assert_true(wire_ip_ok(at.ip) && wire_tcp_ok(&at, false));

	for (size_t i = WIRE_ETH_LEN + WIRE_IP_LEN; i < len; i++) {
		frame[i] ^= 0x10;
		if (wire_locate(frame, len, &at))
			assert_false(wire_tcp_ok(&at, false));
		frame[i] ^= 0x10;
	}
}

static void a_pseudo_header_sum_passes_only_where_it_may(void **state)
{
	uint8_t frame[256];
	size_t len = segment(frame, 20);
	struct wire_tcp *tcp = (void *)(frame + WIRE_ETH_LEN + WIRE_IP_LEN);
	struct wire_at at = { 0 };

	(void)state;
	assert_true(wire_locate(frame, len, &at));
	tcp->check = wire_fold(wire_pseudo(at.ip->saddr, at.ip->daddr, at.tcp_len));
	assert_true(wire_tcp_ok(&at, true));
	assert_false(wire_tcp_ok(&at, false));
	tcp->check ^= 1;
	assert_false(wire_tcp_ok(&at, true));
}

static void padding_behind_the_datagram_is_no_payload(void **state)
{
	uint8_t frame[256];
	size_t len = segment(frame, 0);
	struct wire_at at = { 0 };

	(void)state;
	assert_true(wire_locate(frame, len + 6, &at));
	assert_int_equal(at.data_len, 0);
}

static void what_is_no_plain_tcp_is_refused(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t value;
	} cases[] = {
		{ "VLAN tag",			12, 0x81 },
		{ "IPv6",			14, 0x65 },
		{ "IP options",			14, 0x46 },
		{ "short IP header",		14, 0x44 },
		{ "longer than the frame",	16, 0x10 },
		{ "shorter than its headers",	17, 41 },
		{ "more fragments",		20, 0x20 },
		{ "a later fragment",		21, 0x01 },
		{ "UDP",			23, 17 },
		{ "TCP header too short",	46, 4 << 4 },
		{ "TCP header beyond the end",	46, 15 << 4 },
	};
	uint8_t frame[256];
	struct wire_at at = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = segment(frame, 4);

		frame[cases[i].at] = cases[i].value;
		if (wire_locate(frame, len, &at))
			fail_msg("%s: accepted", cases[i].what);
	}
}

static void a_cut_frame_is_refused_at_every_length(void **state)
{
	uint8_t frame[256];
	size_t len = segment(frame, 10);
	struct wire_at at = { 0 };

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *exact = malloc(cut ? cut : 1);	/* so that a sanitizer sees any overrun */

		memcpy(exact, frame, cut);
		assert_false(wire_locate(exact, cut, &at));
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sum_is_rfc_1071s_at_any_length_and_alignment),
		cmocka_unit_test(copying_sums_what_it_copied),
		cmocka_unit_test(all_ones_do_not_lose_a_carry),
		cmocka_unit_test(sums_of_two_parts_add_wherever_the_cut_is),
		cmocka_unit_test(a_sealed_segment_is_good_and_any_flipped_bit_is_not),
		cmocka_unit_test(a_pseudo_header_sum_passes_only_where_it_may),
		cmocka_unit_test(padding_behind_the_datagram_is_no_payload),
		cmocka_unit_test(what_is_no_plain_tcp_is_refused),
		cmocka_unit_test(a_cut_frame_is_refused_at_every_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
