/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_tc.c - the NIC's ingress and egress: who passes, who is stopped, who goes to the TAP.
 * What translation does to a segment is in test_translate.c.
 */
#include "lab.h"

#include <linux/pkt_cls.h>
#include <stdio.h>
#include <string.h>

#define FIN	0x01
#define SYN	0x02
#define RST	0x04
#define ACK	0x10
#define MF	0x2000

#define STALE	(TP_STALE_NS + 1000000000ULL)
#define PASS	TC_ACT_UNSPEC		/* and other filters are asked */

static struct lab_frame f;

static void expect(const struct bpf_program *prog, const char *when, int action, int verdict)
{
	const struct lab_result *r = lab_run(prog, &f);
	bool translated = verdict == TP_V_TCI_LINUX || verdict == TP_V_TCE_LINUX;

	if (r->action != action || r->verdict != verdict)
		fail_msg("%s: action %d counted as %s, want %d and %s", when, r->action,
			 lab_verdict_name(r->verdict), action, lab_verdict_name(verdict));
	if (!translated && action == PASS && memcmp(r->out.b, f.b, f.len))
		fail_msg("%s: the frame that passed was changed", when);
}

#define expect_in(...)	expect(lab_tc->progs.tp_nic_in, __VA_ARGS__)
#define expect_out(...)	expect(lab_tc->progs.tp_nic_out, __VA_ARGS__)

static void from_wire(struct lab_spec s)
{
	s.way = LAB_FROM_WIRE;
	lab_tcp(&f, &s);
}

static void from_host(struct lab_spec s)
{
	s.way = LAB_FROM_HOST;
	lab_tcp(&f, &s);
}

/* ---- ingress ---- */

static void no_segment_of_a_flow_of_ours_reaches_linux(void **state)
{
	static const struct {
		const char *name;
		uint32_t state;
		int action, verdict;
	} cases[] = {
		{ "none", TP_NONE, PASS, TP_V_TCI_PASS },
		{ "WATCH", TP_WATCH, PASS, TP_V_TCI_PASS },
		{ "RELAY", TP_RELAY, PASS, TP_V_TCI_PASS },
		{ "HOLD", TP_HOLD, TC_ACT_REDIRECT, TP_V_TCI_HOLD },
		{ "FAST", TP_FAST, TC_ACT_SHOT, TP_V_TCI_GUARD },
	};
	char when[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		lab_flow(cases[i].state, 1, 2);
		for (int flags = 0; flags < 256; flags++) {
			from_wire((struct lab_spec){ .flags = (uint8_t)flags, .payload = 9 });
			snprintf(when, sizeof(when), "%s, flags %#x", cases[i].name, flags);
			expect_in(when, cases[i].action, cases[i].verdict);
		}
	}
}

static void the_first_fragment_of_a_flow_of_ours_is_stopped(void **state)
{
	(void)state;
	lab_flow(TP_FAST, 0, 0);
	from_wire((struct lab_spec){ .frag = MF, .flags = ACK, .payload = 64 });
	expect_in("FAST", TC_ACT_SHOT, TP_V_TCI_GUARD);
	lab_flow(TP_HOLD, 0, 0);
	expect_in("HOLD", TC_ACT_SHOT, TP_V_TCI_GUARD);
	from_wire((struct lab_spec){ .frag = MF | 8, .flags = ACK, .payload = 64 });
	expect_in("a later one means nothing alone", PASS, TP_V_TCI_PASS);
}

static void a_held_segment_is_lost_when_nobody_can_keep_it(void **state)
{
	(void)state;
	lab_flow(TP_HOLD, 0, 0);
	from_wire((struct lab_spec){ .flags = ACK });
	lab_heartbeat(STALE);
	expect_in("stopped", TC_ACT_SHOT, TP_V_TCI_GUARD);
	lab_heartbeat(0);
	lab_socket(false);
	expect_in("killed", TC_ACT_SHOT, TP_V_TCI_GUARD);
}

static void ip_options_do_not_hide_a_flow(void **state)
{
	(void)state;
	lab_flow(TP_FAST, 0, 0);
	for (uint8_t n = 0; n <= 40; n += 4) {
		from_wire((struct lab_spec){ .ip_options = n, .flags = ACK });
		expect_in("options", TC_ACT_SHOT, TP_V_TCI_GUARD);
	}
}

static void a_flow_in_linux_is_translated_unless_it_is_a_syn(void **state)
{
	char when[32];

	(void)state;
	lab_flow(TP_LINUX, 100, 200);
	for (int flags = 0; flags < 256; flags++) {
		from_wire((struct lab_spec){ .flags = (uint8_t)flags, .seq = 1, .ack = 2 });
		snprintf(when, sizeof(when), "flags %#x", flags);
		expect_in(when, PASS, flags & SYN ? TP_V_TCI_PASS : TP_V_TCI_LINUX);
	}
}

static void a_tagged_frame_is_no_flow_of_ours(void **state)
{
	(void)state;
	lab_flow(TP_FAST, 0, 0);
	from_wire((struct lab_spec){ .vlan = 5, .flags = ACK });
	expect_in("ingress", PASS, TP_V_TCI_PASS);
	from_host((struct lab_spec){ .vlan = 5, .flags = ACK });
	expect_out("egress", PASS, TP_V_TCE_PASS);
}

/* From the IP header on: no less can be fed to tc. */
static void a_frame_cut_anywhere_is_safe_at_both_ends(void **state)
{
	uint32_t whole;
	char when[32];

	(void)state;
	lab_flow(TP_FAST, 0, 0);
	from_wire((struct lab_spec){ .ip_options = 4, .flags = ACK });
	whole = f.len;
	for (f.len = 34; f.len <= whole; f.len++) {
		bool ports = f.len >= f.l4 + 4;

		snprintf(when, sizeof(when), "in, %u bytes", f.len);
		expect_in(when, ports ? TC_ACT_SHOT : PASS, ports ? TP_V_TCI_GUARD : TP_V_TCI_PASS);
	}
	from_host((struct lab_spec){ .ip_options = 4, .flags = ACK });
	for (f.len = 34; f.len <= whole; f.len++) {
		bool ports = f.len >= f.l4 + 4;

		snprintf(when, sizeof(when), "out, %u bytes", f.len);
		expect_out(when, ports ? TC_ACT_REDIRECT : PASS,
			   ports ? TP_V_TCE_DOOR : TP_V_TCE_PASS);
	}
}

static void a_segment_that_cannot_be_translated_goes_nowhere(void **state)
{
	(void)state;
	lab_flow(TP_LINUX, 100, 200);
	from_wire((struct lab_spec){ .flags = ACK });
	f.b[f.l4 + 12] = 0x40;
	expect_in("header of 16 bytes", TC_ACT_SHOT, TP_V_TCI_GUARD);
	f.b[f.l4 + 12] = 0xf0;
	expect_in("header longer than the segment", TC_ACT_SHOT, TP_V_TCI_GUARD);
	from_wire((struct lab_spec){ .flags = ACK });
	f.len = f.l4 + 16;
	expect_in("cut in the header", TC_ACT_SHOT, TP_V_TCI_GUARD);
	from_host((struct lab_spec){ .flags = ACK });
	f.len = f.l4 + 16;
	expect_out("cut in the header", TC_ACT_SHOT, TP_V_TCE_GUARD);
}

/* ---- egress ---- */

static void what_linux_says_for_a_flow_of_ours_goes_to_the_tap(void **state)
{
	static const uint32_t states[] = { TP_WATCH, TP_RELAY, TP_HOLD, TP_FAST };
	char when[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		lab_flow(states[i], 1, 2);
		for (int flags = 0; flags < 256; flags++) {
			from_host((struct lab_spec){ .flags = (uint8_t)flags });
			snprintf(when, sizeof(when), "state %u, flags %#x", states[i], flags);
			expect_out(when, TC_ACT_REDIRECT, TP_V_TCE_DOOR);
		}
	}
}

static void without_a_daemon_linux_is_heard_only_where_its_numbers_hold(void **state)
{
	static const struct {
		const char *name;
		uint32_t state;
		int action, verdict;
		uint32_t then;
	} cases[] = {
		{ "WATCH", TP_WATCH, PASS, TP_V_TCE_STALE, TP_NONE },
		{ "RELAY", TP_RELAY, PASS, TP_V_TCE_STALE, TP_NONE },
		{ "HOLD", TP_HOLD, TC_ACT_SHOT, TP_V_TCE_GUARD, TP_HOLD },
		{ "FAST", TP_FAST, TC_ACT_SHOT, TP_V_TCE_GUARD, TP_FAST },
		{ "LINUX", TP_LINUX, PASS, TP_V_TCE_LINUX, TP_LINUX },
		{ "none", TP_NONE, PASS, TP_V_TCE_PASS, TP_NONE },
	};

	(void)state;
	for (int killed = 0; killed < 2; killed++) {
		lab_heartbeat(killed ? 0 : STALE);
		lab_socket(!killed);
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			lab_flow(cases[i].state, 0, 0);
			from_host((struct lab_spec){ .flags = ACK });
			expect_out(cases[i].name, cases[i].action, cases[i].verdict);
			assert_int_equal(lab_flow_state(), cases[i].then);
		}
	}
}

static void a_new_connection_of_the_same_name_is_not_translated(void **state)
{
	static const struct {
		const char *name;
		uint8_t flags;
		bool alive;
		int action, verdict;
		uint32_t then;
	} cases[] = {
		{ "SYN", SYN, true, TC_ACT_REDIRECT, TP_V_TCE_DOOR, TP_LINUX },
		{ "SYN-ACK", SYN | ACK, true, TC_ACT_REDIRECT, TP_V_TCE_DOOR, TP_LINUX },
		{ "SYN, no daemon", SYN, false, PASS, TP_V_TCE_STALE, TP_NONE },
		{ "SYN-ACK, no daemon", SYN | ACK, false, PASS, TP_V_TCE_STALE, TP_NONE },
		{ "FIN", FIN | ACK, true, PASS, TP_V_TCE_LINUX, TP_LINUX },
		{ "RST", RST, true, PASS, TP_V_TCE_LINUX, TP_LINUX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		lab_flow(TP_LINUX, 100, 200);
		lab_heartbeat(cases[i].alive ? 0 : STALE);
		from_host((struct lab_spec){ .flags = cases[i].flags, .seq = 5, .ack = 6 });
		expect_out(cases[i].name, cases[i].action, cases[i].verdict);
		assert_int_equal(lab_flow_state(), cases[i].then);
	}
}

static void a_syn_nobody_registered_and_a_syn_ack_nobody_watches_pass(void **state)
{
	(void)state;
	lab_listen(0, LAB_PORT);
	from_host((struct lab_spec){ .flags = SYN });
	expect_out("SYN", PASS, TP_V_TCE_PASS);
	from_host((struct lab_spec){ .flags = SYN | ACK });
	expect_out("SYN-ACK", PASS, TP_V_TCE_PASS);
}

static void arp_goes_to_the_tap_while_the_daemon_lives(void **state)
{
	(void)state;
	lab_arp(&f, LAB_FROM_HOST, true);
	expect_out("request", TC_ACT_REDIRECT, TP_V_TCE_ARP);
	lab_arp(&f, LAB_FROM_HOST, false);
	expect_out("answer", TC_ACT_REDIRECT, TP_V_TCE_ARP);
	lab_heartbeat(STALE);
	expect_out("stopped", PASS, TP_V_TCE_STALE);
	lab_heartbeat(0);
	lab_socket(false);
	expect_out("killed", PASS, TP_V_TCE_STALE);
}

static void what_another_ethernet_address_sends_passes(void **state)
{
	(void)state;
	lab_flow(TP_FAST, 0, 0);
	from_host((struct lab_spec){ .flags = ACK });
	f.b[6] ^= 2;
	expect_out("a macvlan's segment", PASS, TP_V_TCE_PASS);
	lab_arp(&f, LAB_FROM_HOST, true);
	f.b[11] ^= 1;
	expect_out("a macvlan's ARP", PASS, TP_V_TCE_PASS);
}

static void ipv6_and_other_protocols_pass_both_ways(void **state)
{
	(void)state;
	lab_flow(TP_FAST, 0, 0);
	for (int proto = 0; proto < 256; proto++) {
		if (proto == 6)
			continue;
		from_wire((struct lab_spec){ .flags = ACK });
		f.b[f.l3 + 9] = (uint8_t)proto;
		expect_in("ingress", PASS, TP_V_TCI_PASS);
		from_host((struct lab_spec){ .flags = ACK });
		f.b[f.l3 + 9] = (uint8_t)proto;
		expect_out("egress", PASS, TP_V_TCE_PASS);
	}
	from_wire((struct lab_spec){ .flags = ACK });
	f.b[12] = 0x86;
	f.b[13] = 0xdd;
	expect_in("IPv6", PASS, TP_V_TCI_PASS);
}

static void the_door_leads_to_the_nic(void **state)
{
	(void)state;
	from_wire((struct lab_spec){ .flags = SYN });
	expect(lab_tc->progs.tp_door, "SYN", TC_ACT_REDIRECT, TP_V_DOOR_IN);
	assert_memory_equal(lab_run(lab_tc->progs.tp_door, &f)->out.b, f.b, f.len);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup(t, lab_reset)
	const struct CMUnitTest tests[] = {
		TEST(no_segment_of_a_flow_of_ours_reaches_linux),
		TEST(the_first_fragment_of_a_flow_of_ours_is_stopped),
		TEST(a_held_segment_is_lost_when_nobody_can_keep_it),
		TEST(ip_options_do_not_hide_a_flow),
		TEST(a_flow_in_linux_is_translated_unless_it_is_a_syn),
		TEST(a_tagged_frame_is_no_flow_of_ours),
		TEST(a_frame_cut_anywhere_is_safe_at_both_ends),
		TEST(a_segment_that_cannot_be_translated_goes_nowhere),
		TEST(what_linux_says_for_a_flow_of_ours_goes_to_the_tap),
		TEST(without_a_daemon_linux_is_heard_only_where_its_numbers_hold),
		TEST(a_new_connection_of_the_same_name_is_not_translated),
		TEST(a_syn_nobody_registered_and_a_syn_ack_nobody_watches_pass),
		TEST(arp_goes_to_the_tap_while_the_daemon_lives),
		TEST(what_another_ethernet_address_sends_passes),
		TEST(ipv6_and_other_protocols_pass_both_ways),
		TEST(the_door_leads_to_the_nic),
	};

	return cmocka_run_group_tests_name("tc", tests, lab_open, lab_close);
}
