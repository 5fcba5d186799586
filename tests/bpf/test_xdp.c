/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_xdp.c - frame in; verdict, counter, ring record and metadata out.
 */
#include "lab.h"

#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>

#define FIN	0x01
#define SYN	0x02
#define RST	0x04
#define PSH	0x08
#define ACK	0x10
#define MF	0x2000

#define STALE	(TP_STALE_NS + 1000000000ULL)

static struct lab_frame f;

static const struct lab_result *feed(void)
{
	return lab_run(lab_xdp->progs.tp_xdp, &f);
}

/* The frame in f must get this verdict, counted once, and pass unchanged if it passes. */
static void expect(const char *when, int action, int verdict)
{
	const struct lab_result *r = feed();
	bool to_ring = verdict == TP_V_XDP_NO_XSK || verdict == TP_V_XDP_RELAY ||
		       verdict == TP_V_XDP_HOLD || verdict == TP_V_XDP_SYN ||
		       verdict == TP_V_XDP_ARP || verdict == TP_V_XDP_ICMP;

	if (r->action != action || r->verdict != verdict)
		fail_msg("%s: action %d counted as %s, want %d and %s", when, r->action,
			 lab_verdict_name(r->verdict), action, lab_verdict_name(verdict));
	if (r->ringed != to_ring)
		fail_msg("%s: %s in the ring", when, r->ringed ? "a record" : "no record");
	if (to_ring && (r->record.len != f.len || memcmp(r->ring_frame, f.b, f.len)))
		fail_msg("%s: the ring has another frame", when);
	if (action == XDP_PASS && (r->out.len != f.len || memcmp(r->out.b, f.b, f.len)))
		fail_msg("%s: the frame that passed was changed", when);
}

static void tcp(struct lab_spec s)
{
	lab_tcp(&f, &s);
}

/* ---- by state ---- */

static void each_state_has_its_verdict_whatever_the_flags(void **state)
{
	static const struct {
		const char *name;
		uint32_t state;
		int action, verdict;
	} cases[] = {
		{ "WATCH", TP_WATCH, XDP_DROP, TP_V_XDP_RELAY },
		{ "RELAY", TP_RELAY, XDP_DROP, TP_V_XDP_RELAY },
		{ "HOLD", TP_HOLD, XDP_DROP, TP_V_XDP_HOLD },
		{ "FAST", TP_FAST, XDP_REDIRECT, TP_V_XDP_FAST },
		{ "LINUX", TP_LINUX, XDP_PASS, TP_V_XDP_LINUX },
		{ "none", TP_NONE, XDP_PASS, TP_V_XDP_PASS_OTHER },
	};
	char when[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		lab_flow(cases[i].state, 1, 2);
		for (int flags = 0; flags < 256; flags++) {
			tcp((struct lab_spec){ .flags = (uint8_t)flags, .payload = 10 });
			snprintf(when, sizeof(when), "%s, flags %#x", cases[i].name, flags);
			expect(when, cases[i].action, cases[i].verdict);
		}
		assert_int_equal(lab_flow_state(), cases[i].state);
	}
}

static void the_fast_thread_is_told_which_flow_it_is(void **state)
{
	const struct lab_result *r;
	struct tp_meta m;

	(void)state;
	lab_flow(TP_FAST, 0, 0);
	tcp((struct lab_spec){ .flags = ACK, .payload = 100 });
	r = feed();
	assert_int_equal(r->out.len, sizeof(m) + f.len);
	memcpy(&m, r->out.b, sizeof(m));
	assert_int_equal(m.magic, TP_META_MAGIC);
	assert_int_equal(m.flow_id, LAB_FLOW_ID);
	assert_memory_equal(r->out.b + sizeof(m), f.b, f.len);
}

static void a_record_says_when_in_which_state_and_on_which_queue(void **state)
{
	const struct lab_result *r;

	(void)state;
	lab_flow(TP_RELAY, 0, 0);
	tcp((struct lab_spec){ .flags = ACK });
	r = feed();
	assert_true(r->ringed);
	assert_int_equal(r->record.kind, TP_REC_FRAME);
	assert_int_equal(r->record.state, TP_RELAY);
	assert_int_equal(r->record.queue, 0);
	assert_int_equal(r->record.cookie, 0);
	assert_true(r->record.time_ns > 0);
}

static void a_record_holds_a_frame_of_any_length(void **state)
{
	static const uint32_t payload[] = { 0,	  73,	74,   75,   457,  458,	459,
					    1446, 1460, 1481, 1482, 1483, 3000, 3400 };
	char when[32];

	(void)state;
	lab_flow(TP_HOLD, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(payload); i++) {
		tcp((struct lab_spec){ .flags = ACK, .payload = payload[i] });
		snprintf(when, sizeof(when), "%u bytes", f.len);
		expect(when, XDP_DROP, TP_V_XDP_HOLD);
	}
}

/* ---- the daemon ---- */

static void without_a_daemon_only_what_is_ours_is_kept_from_linux(void **state)
{
	static const struct {
		const char *name;
		uint32_t state;
		uint8_t flags;
		int action, stopped, killed;
	} cases[] = {
		{ "SYN to a listener", TP_NONE, SYN, XDP_PASS, TP_V_XDP_STALE, TP_V_XDP_STALE },
		{ "WATCH", TP_WATCH, ACK, XDP_PASS, TP_V_XDP_STALE, TP_V_XDP_STALE },
		{ "RELAY", TP_RELAY, ACK, XDP_PASS, TP_V_XDP_STALE, TP_V_XDP_STALE },
		{ "HOLD", TP_HOLD, ACK, XDP_DROP, TP_V_XDP_HOLD, TP_V_XDP_HOLD },
		{ "LINUX", TP_LINUX, ACK, XDP_PASS, TP_V_XDP_LINUX, TP_V_XDP_LINUX },
		{ "no entry", TP_NONE, ACK, XDP_PASS, TP_V_XDP_PASS_OTHER, TP_V_XDP_PASS_OTHER },
	};

	(void)state;
	lab_listen(0, LAB_PORT);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		tcp((struct lab_spec){ .flags = cases[i].flags });
		lab_flow(cases[i].state, 0, 0);
		lab_heartbeat(STALE);
		lab_socket(true);
		expect(cases[i].name, cases[i].action, cases[i].stopped);

		lab_flow(cases[i].state, 0, 0);
		lab_heartbeat(0);
		lab_socket(false);
		expect(cases[i].name, cases[i].action, cases[i].killed);
	}
}

static void a_fast_flow_goes_on_while_the_slow_path_is_silent(void **state)
{
	(void)state;
	lab_flow(TP_FAST, 0, 0);
	tcp((struct lab_spec){ .flags = ACK });
	lab_heartbeat(STALE);
	expect("stale heartbeat", XDP_REDIRECT, TP_V_XDP_FAST);
}

static void a_fast_flow_without_a_socket_goes_to_the_ring_and_never_to_linux(void **state)
{
	(void)state;
	lab_flow(TP_FAST, 0, 0);
	lab_socket(false);
	tcp((struct lab_spec){ .flags = ACK, .payload = 1400 });
	expect("no socket", XDP_DROP, TP_V_XDP_NO_XSK);
}

static void a_relayed_flow_that_missed_the_daemon_is_linux_from_then_on(void **state)
{
	(void)state;
	lab_flow(TP_RELAY, 0, 0);
	tcp((struct lab_spec){ .flags = ACK });
	lab_heartbeat(STALE);
	expect("stale", XDP_PASS, TP_V_XDP_STALE);
	assert_int_equal(lab_flow_state(), TP_NONE);
	lab_heartbeat(0);
	expect("fresh again", XDP_PASS, TP_V_XDP_PASS_OTHER);
}

static void a_heartbeat_counts_until_the_limit(void **state)
{
	(void)state;
	lab_listen(0, LAB_PORT);
	tcp((struct lab_spec){ .flags = SYN });
	lab_heartbeat(TP_STALE_NS / 2);
	expect("half the limit", XDP_DROP, TP_V_XDP_SYN);
	lab_heartbeat((uint64_t)-1000000);
	expect("of another CPU, a little ahead", XDP_DROP, TP_V_XDP_SYN);
	lab_heartbeat(TP_STALE_NS + 1);
	expect("beyond the limit", XDP_PASS, TP_V_XDP_STALE);
}

static void a_full_ring_drops_what_is_kept_and_passes_what_is_linux(void **state)
{
	static const struct {
		const char *name;
		uint32_t state;
		uint8_t flags;
		bool socket;
		int action, verdict;
		uint32_t then;
	} cases[] = {
		{ "SYN", TP_NONE, SYN, true, XDP_PASS, TP_V_XDP_RING_FULL_PASS, TP_NONE },
		{ "WATCH", TP_WATCH, SYN, true, XDP_PASS, TP_V_XDP_RING_FULL_PASS, TP_NONE },
		{ "RELAY", TP_RELAY, ACK, true, XDP_PASS, TP_V_XDP_RING_FULL_PASS, TP_NONE },
		{ "HOLD", TP_HOLD, ACK, true, XDP_DROP, TP_V_XDP_RING_FULL_DROP, TP_HOLD },
		{ "FAST", TP_FAST, ACK, false, XDP_DROP, TP_V_XDP_RING_FULL_DROP, TP_FAST },
	};

	(void)state;
	lab_listen(0, LAB_PORT);
	lab_fill_ring();
	lab_arp(&f, LAB_FROM_WIRE, true);
	expect("ARP", XDP_PASS, TP_V_XDP_RING_FULL_PASS);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		lab_flow(cases[i].state, 0, 0);
		lab_socket(cases[i].socket);
		tcp((struct lab_spec){ .flags = cases[i].flags });
		expect(cases[i].name, cases[i].action, cases[i].verdict);
		assert_int_equal(lab_flow_state(), cases[i].then);
	}
}

/* ---- what is a SYN, and to whom ---- */

static void only_a_plain_syn_to_a_registered_port_and_address_is_taken(void **state)
{
	static const struct {
		const char *name;
		uint32_t ip;
		uint16_t port, dport;
		uint8_t flags;
		bool taken;
	} cases[] = {
		{ "any address", 0, 80, 80, SYN, true },
		{ "this address", LAB_HOST, 80, 80, SYN, true },
		{ "another address", LAB_HOST + 1, 80, 80, SYN, false },
		{ "another port", 0, 80, 81, SYN, false },
		{ "with ECN bits", 0, 80, 80, SYN | 0xc0, true },
		{ "with data and PSH", 0, 80, 80, SYN | PSH, true },
		{ "SYN-ACK", 0, 80, 80, SYN | ACK, false },
		{ "SYN and FIN", 0, 80, 80, SYN | FIN, false },
		{ "SYN and RST", 0, 80, 80, SYN | RST, false },
		{ "no SYN", 0, 80, 80, ACK, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		lab_reset(state);
		lab_listen(cases[i].ip, cases[i].port);
		tcp((struct lab_spec){ .flags = cases[i].flags, .dport = cases[i].dport });
		if (cases[i].taken)
			expect(cases[i].name, XDP_DROP, TP_V_XDP_SYN);
		else
			expect(cases[i].name, XDP_PASS, TP_V_XDP_PASS_OTHER);
	}
}

static void a_syn_that_reuses_a_port_pair_in_linux_is_offered_again(void **state)
{
	(void)state;
	lab_flow(TP_LINUX, 5, 6);
	tcp((struct lab_spec){ .flags = SYN });
	expect("port not registered", XDP_PASS, TP_V_XDP_LINUX);
	lab_listen(0, LAB_PORT);
	expect("registered", XDP_DROP, TP_V_XDP_SYN);
	assert_int_equal(feed()->record.state, TP_LINUX);
}

/* ---- what is no frame of ours ---- */

static void what_is_no_plain_segment_passes(void **state)
{
	static const struct {
		const char *name;
		struct lab_spec s;
	} cases[] = {
		{ "VLAN", { .vlan = 100, .flags = SYN } },
		{ "VLAN 0", { .vlan = 0xe000, .flags = SYN } },
		{ "later fragment", { .frag = 100, .flags = SYN } },
		{ "fragment in the middle", { .frag = MF | 100, .flags = SYN } },
		{ "SYN in the first fragment", { .frag = MF, .flags = SYN } },
	};

	(void)state;
	lab_listen(0, LAB_PORT);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		tcp(cases[i].s);
		expect(cases[i].name, XDP_PASS, TP_V_XDP_PASS_OTHER);
	}
}

static void ip_options_change_nothing(void **state)
{
	char when[32];

	(void)state;
	lab_flow(TP_FAST, 0, 0);
	for (uint8_t n = 0; n <= 40; n += 4) {
		tcp((struct lab_spec){ .ip_options = n, .flags = ACK, .payload = 8 });
		snprintf(when, sizeof(when), "%u bytes of options", n);
		expect(when, XDP_REDIRECT, TP_V_XDP_FAST);
	}
}

static void ipv6_passes(void **state)
{
	(void)state;
	lab_listen(0, LAB_PORT);
	memset(&f, 0, sizeof(f));
	memcpy(f.b, lab_mac, ETH_ALEN);
	memcpy(f.b + 6, lab_peer_mac, ETH_ALEN);
	f.b[12] = 0x86;
	f.b[13] = 0xdd;
	f.b[14] = 0x60;
	f.b[18 + 1] = 20;
	f.b[20] = 6;			/* TCP */
	f.b[54 + 3] = LAB_PORT;
	f.b[54 + 12] = 0x50;
	f.b[54 + 13] = SYN;
	f.len = 54 + 20;
	expect("a SYN in IPv6", XDP_PASS, TP_V_XDP_PASS_OTHER);
}

static void other_protocols_pass(void **state)
{
	char when[32];

	(void)state;
	lab_listen(0, LAB_PORT);
	lab_flow(TP_FAST, 0, 0);
	for (int proto = 0; proto < 256; proto++) {
		if (proto == 6)
			continue;
		tcp((struct lab_spec){ .flags = SYN });
		f.b[f.l3 + 9] = (uint8_t)proto;
		snprintf(when, sizeof(when), "protocol %d", proto);
		expect(when, XDP_PASS, TP_V_XDP_PASS_OTHER);
	}
}

static void a_frame_for_another_ethernet_address_passes(void **state)
{
	(void)state;
	lab_listen(0, LAB_PORT);
	lab_flow(TP_FAST, 0, 0);
	tcp((struct lab_spec){ .flags = SYN });
	for (int i = 0; i < ETH_ALEN; i++) {
		f.b[i] ^= 2;
		expect("a macvlan's", XDP_PASS, TP_V_XDP_PASS_OTHER);
		f.b[i] ^= 2;
	}
	lab_arp(&f, LAB_FROM_WIRE, false);
	f.b[5] ^= 1;
	expect("an ARP answer for a macvlan", XDP_PASS, TP_V_XDP_PASS_OTHER);
}

/* The kernel feeds no less than an Ethernet header. What is cut before the ports is no flow's;
 * after them it is, so that it cannot reach Linux's socket either.
 */
static void a_frame_cut_anywhere_is_safe(void **state)
{
	char when[32];
	uint32_t whole;

	(void)state;
	lab_flow(TP_HOLD, 0, 0);
	tcp((struct lab_spec){ .ip_options = 8, .flags = ACK, .payload = 4 });
	whole = f.len;
	for (f.len = 14; f.len <= whole; f.len++) {
		bool ports = f.len >= f.l4 + 4;

		snprintf(when, sizeof(when), "%u bytes", f.len);
		expect(when, ports ? XDP_DROP : XDP_PASS,
		       ports ? TP_V_XDP_HOLD : TP_V_XDP_PASS_OTHER);
	}
}

static void a_header_length_that_lies_is_safe(void **state)
{
	(void)state;
	lab_flow(TP_HOLD, 0, 0);
	for (int ihl = 0; ihl < 16; ihl++) {
		tcp((struct lab_spec){ .flags = ACK });
		f.b[f.l3] = (uint8_t)(0x40 | ihl);
		if (ihl == 5)
			expect("as it is", XDP_DROP, TP_V_XDP_HOLD);
		else
			expect("wrong IHL", XDP_PASS, TP_V_XDP_PASS_OTHER);
	}
	tcp((struct lab_spec){ .flags = ACK });
	f.b[f.l3] = 0x65;
	expect("version 6 in IPv4", XDP_PASS, TP_V_XDP_PASS_OTHER);
}

/* ---- ARP and ICMP ---- */

static void arp_goes_to_the_slow_path_while_it_lives(void **state)
{
	(void)state;
	lab_arp(&f, LAB_FROM_WIRE, true);
	expect("request to all", XDP_DROP, TP_V_XDP_ARP);
	lab_arp(&f, LAB_FROM_WIRE, false);
	expect("answer to us", XDP_DROP, TP_V_XDP_ARP);
	lab_heartbeat(STALE);
	expect("stopped daemon", XDP_PASS, TP_V_XDP_STALE);
	lab_heartbeat(0);
	lab_socket(false);
	expect("killed daemon", XDP_PASS, TP_V_XDP_STALE);
}

static void an_icmp_error_about_a_flow_of_ours_goes_to_the_slow_path(void **state)
{
	static const struct {
		const char *name;
		uint32_t state;
		uint8_t type;
		bool taken;
	} cases[] = {
		{ "unreachable, FAST", TP_FAST, 3, true },
		{ "time exceeded, FAST", TP_FAST, 11, true },
		{ "parameter problem, FAST", TP_FAST, 12, true },
		{ "unreachable, HOLD", TP_HOLD, 3, true },
		{ "unreachable, RELAY", TP_RELAY, 3, false },
		{ "unreachable, LINUX", TP_LINUX, 3, false },
		{ "unreachable, no flow", TP_NONE, 3, false },
		{ "echo, FAST", TP_FAST, 8, false },
		{ "redirect, FAST", TP_FAST, 5, false },
	};
	struct lab_spec quoted = { .way = LAB_FROM_HOST, .flags = ACK, .payload = 100 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		lab_flow(cases[i].state, 0, 0);
		lab_icmp(&f, cases[i].type, &quoted, 28);
		if (cases[i].taken)
			expect(cases[i].name, XDP_DROP, TP_V_XDP_ICMP);
		else
			expect(cases[i].name, XDP_PASS, TP_V_XDP_PASS_OTHER);
	}
}

static void an_icmp_error_that_quotes_too_little_passes(void **state)
{
	struct lab_spec quoted = { .way = LAB_FROM_HOST, .flags = ACK };

	(void)state;
	lab_flow(TP_FAST, 0, 0);
	for (uint32_t n = 0; n < 28; n++) {
		lab_icmp(&f, 3, &quoted, n);
		expect("short quote", XDP_PASS, TP_V_XDP_PASS_OTHER);
	}
	quoted.way = LAB_FROM_WIRE;
	lab_icmp(&f, 3, &quoted, 28);
	expect("a quote of the peer's own segment", XDP_PASS, TP_V_XDP_PASS_OTHER);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup(t, lab_reset)
	const struct CMUnitTest tests[] = {
		TEST(each_state_has_its_verdict_whatever_the_flags),
		TEST(the_fast_thread_is_told_which_flow_it_is),
		TEST(a_record_says_when_in_which_state_and_on_which_queue),
		TEST(a_record_holds_a_frame_of_any_length),
		TEST(without_a_daemon_only_what_is_ours_is_kept_from_linux),
		TEST(a_fast_flow_goes_on_while_the_slow_path_is_silent),
		TEST(a_fast_flow_without_a_socket_goes_to_the_ring_and_never_to_linux),
		TEST(a_relayed_flow_that_missed_the_daemon_is_linux_from_then_on),
		TEST(a_heartbeat_counts_until_the_limit),
		TEST(a_full_ring_drops_what_is_kept_and_passes_what_is_linux),
		TEST(only_a_plain_syn_to_a_registered_port_and_address_is_taken),
		TEST(a_syn_that_reuses_a_port_pair_in_linux_is_offered_again),
		TEST(what_is_no_plain_segment_passes),
		TEST(ip_options_change_nothing),
		TEST(ipv6_passes),
		TEST(other_protocols_pass),
		TEST(a_frame_for_another_ethernet_address_passes),
		TEST(a_frame_cut_anywhere_is_safe),
		TEST(a_header_length_that_lies_is_safe),
		TEST(arp_goes_to_the_slow_path_while_it_lives),
		TEST(an_icmp_error_about_a_flow_of_ours_goes_to_the_slow_path),
		TEST(an_icmp_error_that_quotes_too_little_passes),
	};

	return cmocka_run_group_tests_name("xdp", tests, lab_open, lab_close);
}
