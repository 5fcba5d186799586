/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_tc.c - the NIC's ingress and egress: who passes, who is stopped, who goes to the TAP.
 * What translation does to a segment is in test_translate.c.
 */
#include "lab.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

static void expect_entry(const char *when, const struct tp_flow_val *want)
{
	struct tp_flow_val v;

	if (!lab_entry(&v))
		fail_msg("%s: no entry", when);
	if (v.to_linux != want->to_linux)
		fail_msg("%s: to_linux is %u, want %u", when, v.to_linux, want->to_linux);
	if (v.state != want->state)
		fail_msg("%s: state %u, want %u", when, v.state, want->state);
	if (memcmp(&v, want, sizeof(v)))
		fail_msg("%s: something else in the entry is not as it should be", when);
}

/* An entry in @state with something in each field, so that a change of any shows. */
static struct tp_flow_val busy_entry(uint32_t state)
{
	struct tp_flow_val v = { .state = state, .flow_id = LAB_FLOW_ID, .tx_delta = 100,
				 .rx_delta = 200, .to_linux = 1000, .queue = 3, .born = 4,
				 .seen_in = 1, .seen_out = 1 };

	memcpy(v.next_hop, lab_peer_mac, sizeof(v.next_hop));
	return v;
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
		{ "HOLD", TP_HOLD, TC_ACT_REDIRECT, TP_V_TCI_HOLD },
		{ "FAST", TP_FAST, TC_ACT_REDIRECT, TP_V_TCI_FAST },
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

static void a_watched_segment_passes_and_an_end_ends_the_watch(void **state)
{
	char when[32];

	(void)state;
	for (int flags = 0; flags < 256; flags++) {
		bool end = flags & (FIN | RST);

		lab_flow(TP_WATCH, 0, 0);
		from_wire((struct lab_spec){ .flags = (uint8_t)flags, .payload = 9 });
		snprintf(when, sizeof(when), "flags %#x", flags);
		expect_in(when, PASS, end ? TP_V_TCI_PASS : TP_V_TCI_WATCH);
		assert_int_equal(lab_flow_state(), end ? TP_NONE : TP_WATCH);
	}
}

static void what_linux_is_given_is_noted(void **state)
{
	static const struct {
		const char *name;
		uint32_t was, then;
		struct lab_spec s;
	} cases[] = {
		{ "the next bytes", 1000, 1100, { .flags = ACK, .seq = 1000, .payload = 100 } },
		{ "behind a hole", 1000, 1600, { .flags = ACK, .seq = 1500, .payload = 100 } },
		{ "what fills it", 1600, 1600, { .flags = ACK, .seq = 1000, .payload = 500 } },
		{ "repeated", 1100, 1100, { .flags = ACK, .seq = 1000, .payload = 100 } },
		{ "partly new", 1050, 1100, { .flags = ACK, .seq = 1000, .payload = 100 } },
		{ "an ACK", 1100, 1100, { .flags = ACK, .seq = 1100 } },
		{ "a keep-alive probe", 1100, 1100, { .flags = ACK, .seq = 1099 } },
		{ "one with a byte", 1100, 1100, { .flags = ACK, .seq = 1099, .payload = 1 } },
		{ "with options", 1000, 1007,
		  { .ip_options = 8, .flags = ACK, .seq = 1000, .opts_len = 12, .payload = 7 } },
		{ "merged by GRO", 1000, 4000, { .flags = ACK, .seq = 1000, .payload = 3000 } },
		{ "SYN", 0, 5001, { .flags = SYN, .seq = 5000 } },
		{ "SYN repeated", 5001, 5001, { .flags = SYN, .seq = 5000 } },
		{ "SYN-ACK", 0, 5001, { .flags = SYN | ACK, .seq = 5000, .opts_len = 20 } },
		{ "SYN with data", 0, 5101, { .flags = SYN, .seq = 5000, .payload = 100 } },
		{ "SYN of the next, lower", 5001, 101, { .flags = SYN, .seq = 100 } },
		{ "FIN", 1000, 1001, { .flags = FIN | ACK, .seq = 1000 } },
		{ "FIN with data", 1000, 1011, { .flags = FIN, .seq = 1000, .payload = 10 } },
		{ "RST", 1000, 1000, { .flags = RST, .seq = 1000 } },
		{ "a first fragment", 1000, 1016,
		  { .frag = MF, .flags = ACK, .seq = 1000, .payload = 16 } },
		{ "IP options", 1000, 1016,
		  { .ip_options = 4, .flags = ACK, .seq = 1000, .payload = 16 } },
		{ "over the wrap", -16, 84, { .flags = ACK, .seq = -16, .payload = 100 } },
		{ "up to the wrap", -1, 0, { .flags = ACK, .seq = -1, .payload = 1 } },
		{ "from the wrap on", 0, 5, { .flags = ACK, .payload = 5 } },
		{ "repeated from before it", 84, 84, { .flags = ACK, .seq = -16, .payload = 9 } },
		{ "SYN at the wrap", 77, 0, { .flags = SYN, .seq = -1 } },
		{ "over the sign", 0x7fffffff, 0x80000001,
		  { .flags = ACK, .seq = 0x7fffffff, .payload = 2 } },
	};
	struct tp_flow_val v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool over = cases[i].s.flags & (FIN | RST) || cases[i].s.frag || cases[i].s.ip_options;

		v = busy_entry(TP_WATCH);
		v.to_linux = cases[i].was;
		v.seen_in = 0;
		lab_put(&v);
		from_wire(cases[i].s);
		expect_in(cases[i].name, PASS, over ? TP_V_TCI_PASS : TP_V_TCI_WATCH);
		v.state = over ? TP_NONE : TP_WATCH;
		v.to_linux = cases[i].then;
		v.seen_in = 1;
		expect_entry(cases[i].name, &v);
	}
}

/* What was noted may still be on its way to Linux's socket. */
static void a_syn_that_comes_late_takes_nothing_back(void **state)
{
	static const struct {
		const char *name;
		struct lab_spec s;
		bool stays;
	} cases[] = {
		{ "the last thing noted", { .flags = SYN, .seq = 1099 }, true },
		{ "the beginning", { .flags = SYN, .seq = 999 }, false },
		{ "another connection's", { .flags = SYN, .seq = 70000 }, false },
		{ "SYN-ACK", { .flags = SYN | ACK, .seq = 999 }, false },
	};
	struct tp_flow_val v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		v = busy_entry(TP_WATCH);
		v.to_linux = 1100;
		lab_put(&v);
		from_wire(cases[i].s);
		expect_in(cases[i].name, PASS, cases[i].stays ? TP_V_TCI_WATCH : TP_V_TCI_PASS);
		v.state = cases[i].stays ? TP_WATCH : TP_NONE;
		expect_entry(cases[i].name, &v);
	}
}

/* The length counts that IP tells, not the frame's. */
static void padding_is_not_taken_for_data(void **state)
{
	struct tp_flow_val v = busy_entry(TP_WATCH);
	char when[32];

	(void)state;
	for (uint32_t n = 0; n < 6; n++) {
		v.to_linux = 1000;
		lab_put(&v);
		from_wire((struct lab_spec){ .flags = ACK, .seq = 1000, .payload = n });
		lab_pad(&f);
		assert_int_equal(f.len, 60);
		snprintf(when, sizeof(when), "%u bytes", n);
		expect_in(when, PASS, TP_V_TCI_WATCH);
		v.to_linux = 1000 + n;
		expect_entry(when, &v);
	}
}

/* GRO merges up to the longest IP packet; beyond that (BIG TCP) it writes no length. A page is
 * all that BPF_PROG_TEST_RUN feeds.
 */
static void the_longest_packets_are_noted_whole(void **state)
{
	struct tp_flow_val v = busy_entry(TP_WATCH);

	(void)state;
	v.to_linux = 1000;
	lab_put(&v);
	from_wire((struct lab_spec){ .flags = ACK, .seq = 1000, .payload = 3000 });
	f.b[f.l3 + 2] = f.b[f.l3 + 3] = 0;
	expect_in("no length", PASS, TP_V_TCI_WATCH);
	v.to_linux = 4000;
	expect_entry("no length", &v);
	f.b[f.l3 + 2] = f.b[f.l3 + 3] = 0xff;
	expect_in("64 KiB", PASS, TP_V_TCI_WATCH);
	v.to_linux = 1000 + 65535 - 40;
	expect_entry("64 KiB", &v);
}

static void what_is_no_segment_of_it_is_not_noted(void **state)
{
	static const struct {
		const char *name;
		struct lab_spec s;
	} cases[] = {
		{ "another port", { .flags = ACK, .seq = 2000, .sport = 1 } },
		{ "VLAN", { .vlan = 5, .flags = ACK, .seq = 2000 } },
		{ "a fragment in the middle", { .frag = MF | 8, .flags = RST, .seq = 2000 } },
		{ "the last fragment", { .frag = 8, .flags = FIN, .seq = 2000 } },
	};
	struct tp_flow_val v = busy_entry(TP_WATCH);

	(void)state;
	lab_put(&v);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		from_wire(cases[i].s);
		expect_in(cases[i].name, PASS, TP_V_TCI_PASS);
		expect_entry(cases[i].name, &v);
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

static void a_segment_of_ours_is_lost_when_nobody_can_take_it(void **state)
{
	(void)state;
	for (uint32_t flow = TP_HOLD; flow <= TP_FAST; flow++) {
		lab_flow(flow, 0, 0);
		from_wire((struct lab_spec){ .flags = ACK });
		lab_heartbeat(STALE);
		expect_in("stopped", TC_ACT_SHOT, TP_V_TCI_GUARD);
		lab_heartbeat(0);
		lab_socket(false);
		expect_in("killed", TC_ACT_SHOT, TP_V_TCI_GUARD);
		lab_socket(true);
	}
}

/* The slow path knows by the source address what Linux sent. */
static void a_segment_that_bears_our_own_address_is_not_linuxs(void **state)
{
	(void)state;
	for (uint32_t flow = TP_HOLD; flow <= TP_FAST; flow++) {
		lab_flow(flow, 0, 0);
		from_wire((struct lab_spec){ .flags = ACK });
		memcpy(f.b + ETH_ALEN, lab_mac, ETH_ALEN);
		expect_in("spoofed", TC_ACT_SHOT, TP_V_TCI_GUARD);
	}
}

static void ip_options_do_not_hide_a_flow(void **state)
{
	(void)state;
	lab_flow(TP_FAST, 0, 0);
	for (uint8_t n = 0; n <= 40; n += 4) {
		from_wire((struct lab_spec){ .ip_options = n, .flags = ACK });
		expect_in("options", TC_ACT_REDIRECT, TP_V_TCI_FAST);
	}
}

/* Loops: XDP has not seen it, and hear.c compares. */
static void what_bears_our_own_address_is_counted_apart(void **state)
{
	(void)state;
	from_wire((struct lab_spec){ .flags = ACK });
	memcpy(f.b + ETH_ALEN, lab_mac, ETH_ALEN);
	expect_in("TCP", PASS, TP_V_TCI_OWN);
	f.b[f.l3 + 9] = IPPROTO_UDP;
	expect_in("UDP", PASS, TP_V_TCI_OWN);
	lab_arp(&f, LAB_FROM_HOST, true);
	expect_in("ARP", PASS, TP_V_TCI_OWN);
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
		expect_in(when, ports ? TC_ACT_REDIRECT : PASS,
			  ports ? TP_V_TCI_FAST : TP_V_TCI_PASS);
	}
	from_host((struct lab_spec){ .ip_options = 4, .flags = ACK });
	for (f.len = 34; f.len <= whole; f.len++) {
		bool ports = f.len >= f.l4 + 4;

		snprintf(when, sizeof(when), "out, %u bytes", f.len);
		expect_out(when, ports ? TC_ACT_REDIRECT : PASS,
			   ports ? TP_V_TCE_DOOR : TP_V_TCE_PASS);
	}
}

/* In WATCH as well, and nothing is noted of a frame that shows less than Linux must see. */
static void a_watched_frame_cut_anywhere_is_safe_at_both_ends(void **state)
{
	struct tp_flow_val v = busy_entry(TP_WATCH);
	uint32_t whole;
	char when[32];

	(void)state;
	v.to_linux = 0xf0000000;	/* what is cut off is easily taken for 0, which is ahead */
	lab_put(&v);
	from_wire((struct lab_spec){ .flags = ACK, .seq = v.to_linux });
	whole = f.len;
	for (f.len = 34; f.len <= whole; f.len++) {
		snprintf(when, sizeof(when), "in, %u bytes", f.len);
		expect_in(when, PASS, f.len >= f.l4 + 4 ? TP_V_TCI_WATCH : TP_V_TCI_PASS);
		expect_entry(when, &v);
	}
	from_host((struct lab_spec){ .ip_options = 4, .flags = ACK });
	whole = f.len;
	for (f.len = 34; f.len <= whole; f.len++) {
		snprintf(when, sizeof(when), "out, %u bytes", f.len);
		expect_out(when, PASS, f.len >= f.l4 + 4 ? TP_V_TCE_WATCH : TP_V_TCE_PASS);
		expect_entry(when, &v);
	}
}

static void a_header_length_that_lies_is_not_noted(void **state)
{
	static const uint8_t flags[] = { ACK, SYN, SYN | ACK, FIN, RST };
	struct tp_flow_val v = busy_entry(TP_WATCH);

	(void)state;
	lab_put(&v);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		for (int words = 0; words < 5; words++) {
			from_wire((struct lab_spec){ .flags = flags[i], .seq = 2000 });
			f.b[f.l4 + 12] = (uint8_t)(words << 4);
			expect_in("too short", PASS, TP_V_TCI_WATCH);
			expect_entry("too short", &v);
		}
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
	static const uint32_t states[] = { TP_HOLD, TP_FAST };
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

static void what_linux_says_on_a_watched_flow_passes_and_an_end_ends_the_watch(void **state)
{
	struct tp_flow_val v;
	char when[32];

	(void)state;
	for (int flags = 0; flags < 256; flags++) {
		v = busy_entry(TP_WATCH);
		lab_put(&v);
		from_host((struct lab_spec){ .flags = (uint8_t)flags, .seq = 9000, .payload = 9 });
		snprintf(when, sizeof(when), "flags %#x", flags);
		expect_out(when, PASS, TP_V_TCE_WATCH);
		if (flags & (FIN | RST))
			v.state = TP_NONE;
		expect_entry(when, &v);
	}
}

static void whereto_linux_sends_is_noted(void **state)
{
	struct tp_flow_val v = busy_entry(TP_WATCH);

	(void)state;
	memset(v.next_hop, 0, sizeof(v.next_hop));
	v.seen_out = 0;
	lab_put(&v);
	from_host((struct lab_spec){ .flags = ACK });
	memcpy(v.next_hop, lab_peer_mac, sizeof(v.next_hop));
	v.seen_out = 1;
	expect_out("the first", PASS, TP_V_TCE_WATCH);
	expect_entry("the first", &v);
	for (int i = 0; i < ETH_ALEN; i++) {
		f.b[i] ^= 0x10;
		memcpy(v.next_hop, f.b, sizeof(v.next_hop));
		expect_out("another router", PASS, TP_V_TCE_WATCH);
		expect_entry("another router", &v);
	}
}

/* Even if whereto stands there already, from an earlier connection. */
static void the_first_frame_of_linux_is_noted_as_seen(void **state)
{
	struct tp_flow_val v = busy_entry(TP_WATCH);

	(void)state;
	v.seen_out = 0;
	lab_put(&v);
	from_host((struct lab_spec){ .flags = SYN | ACK });
	expect_out("SYN-ACK", PASS, TP_V_TCE_WATCH);
	v.seen_out = 1;
	expect_entry("SYN-ACK", &v);
}

/* But for LINUX without a daemon: a_new_connection_of_the_same_name_is_not_translated(). */
static void no_entry_in_another_state_is_written(void **state)
{
	static const uint32_t states[] = { TP_NONE, TP_HOLD, TP_FAST, TP_LINUX };
	struct tp_flow_val v;
	char when[64];

	(void)state;
	lab_listen(0, LAB_PORT);
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		v = busy_entry(states[i]);
		lab_put(&v);
		for (int n = 0; n < 512; n++) {
			struct lab_spec s = { .flags = (uint8_t)n, .frag = n < 256 ? 0 : MF,
					      .seq = 2000, .payload = 16 };

			snprintf(when, sizeof(when), "state %u, flags %#x%s", states[i], n & 255,
				 n < 256 ? "" : ", fragment");
			from_wire(s);
			lab_run(lab_tc->progs.tp_nic_in, &f);
			from_host(s);
			lab_run(lab_tc->progs.tp_nic_out, &f);
			expect_entry(when, &v);
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
		{ "WATCH", TP_WATCH, PASS, TP_V_TCE_WATCH, TP_WATCH },
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

/* A claim that was cut off had not begun to change anything; a way back had. */
static void a_killed_daemon_holds_no_connection_that_was_linuxs(void **state)
{
	struct tp_flow_val claim = busy_entry(TP_HOLD), back = busy_entry(TP_HOLD);

	(void)state;
	back.seen_in = back.seen_out = 0;
	for (int in = 0; in < 2; in++) {
		for (int killed = 0; killed < 2; killed++) {
			lab_heartbeat(STALE);
			lab_socket(!killed);
			lab_put(&back);
			if (in)
				from_wire((struct lab_spec){ .flags = ACK });
			else
				from_host((struct lab_spec){ .flags = ACK });
			if (in)
				expect_in("back", TC_ACT_SHOT, TP_V_TCI_GUARD);
			else
				expect_out("back", TC_ACT_SHOT, TP_V_TCE_GUARD);
			expect_entry("back", &back);
			claim.state = TP_HOLD;
			lab_put(&claim);
			if (in)
				expect_in("claim", killed ? PASS : TC_ACT_SHOT,
					  killed ? TP_V_TCI_PASS : TP_V_TCI_GUARD);
			else
				expect_out("claim", killed ? PASS : TC_ACT_SHOT,
					   killed ? TP_V_TCE_STALE : TP_V_TCE_GUARD);
			claim.state = killed ? TP_NONE : TP_HOLD;
			expect_entry("claim", &claim);
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
	lab_heartbeat(STALE);
	expect_out("no daemon", PASS, TP_V_TCE_PASS);
	assert_false(lab_entry(&(struct tp_flow_val){}));
}

/* ---- a registered socket connects ---- */

#define TOMORROW	((uint64_t)-3600 * 1000000000)	/* a heartbeat that lasts */

/* The socket of a test run is none that could be registered: so tp_nic_out is attached here. */
static struct bpf_tc_hook attach_nic_out(int nic)
{
	struct bpf_tc_hook hook = { .sz = sizeof(hook), .ifindex = nic,
				    .attach_point = BPF_TC_EGRESS };
	struct bpf_tc_opts opts = { .sz = sizeof(opts),
				    .prog_fd = bpf_program__fd(lab_tc->progs.tp_nic_out) };

	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
	return hook;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	return cookie;
}

static struct sockaddr_in address(uint32_t ip, uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(ip),
				     .sin_port = htons(port) };
}

/* The SYN of the lab's flow, from a socket that is registered as @what. */
static void connect_as(uint32_t what)
{
	struct sockaddr_in host = address(LAB_HOST, LAB_PORT);
	struct sockaddr_in peer = address(LAB_PEER, LAB_PEER_PORT);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int cookies = bpf_map__fd(lab_tc->maps.tp_cookies), on = 1;
	uint64_t cookie = cookie_of(fd);

	if (what)
		assert_int_equal(bpf_map_update_elem(cookies, &cookie, &what, 0), 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&host, sizeof(host)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&peer, sizeof(peer)), -1);
	assert_int_equal(errno, EINPROGRESS);
	close(fd);
	bpf_map_delete_elem(cookies, &cookie);
}

static void the_syn_of_a_registered_socket_begins_watch(void **state)
{
	enum { NO_ENTRY = -1 };
	static const struct {
		const char *name;
		uint32_t what;
		int was;
		uint64_t age;
		int verdict, then;
	} cases[] = {
		{ "connects", TP_COOKIE_CONNECT, NO_ENTRY, TOMORROW, TP_V_TCE_SYN, TP_WATCH },
		{ "and is claimed", TP_COOKIE_CONNECT | TP_COOKIE_CLAIMED, NO_ENTRY, TOMORROW,
		  TP_V_TCE_SYN, TP_WATCH },
		{ "after another", TP_COOKIE_CONNECT, TP_NONE, TOMORROW, TP_V_TCE_SYN, TP_WATCH },
		{ "repeated", TP_COOKIE_CONNECT, TP_WATCH, TOMORROW, TP_V_TCE_WATCH, TP_WATCH },
		{ "after one of ours", TP_COOKIE_CONNECT, TP_LINUX, TOMORROW, TP_V_TCE_DOOR,
		  TP_LINUX },
		{ "claimed only", TP_COOKIE_CLAIMED, NO_ENTRY, TOMORROW, TP_V_TCE_PASS,
		  NO_ENTRY },
		{ "nobody's", 0, NO_ENTRY, TOMORROW, TP_V_TCE_PASS, NO_ENTRY },
		{ "nobody's, after another", 0, TP_NONE, TOMORROW, TP_V_TCE_PASS, TP_NONE },
		{ "no daemon", TP_COOKIE_CONNECT, NO_ENTRY, STALE, TP_V_TCE_STALE, NO_ENTRY },
		{ "no daemon, after another", TP_COOKIE_CONNECT, TP_NONE, STALE, TP_V_TCE_STALE,
		  TP_NONE },
	};
	static const char addresses[] =
		"ip addr add 10.0.0.2/24 dev nic0 && "
		"ip neigh add 10.0.0.1 lladdr 02:00:00:00:00:01 nud permanent dev nic0";
	struct bpf_tc_hook hook = attach_nic_out(lab_nic());
	struct tp_flow_val v, was;
	uint64_t before;

	(void)state;
	assert_int_equal(system(addresses), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool begins = cases[i].verdict == TP_V_TCE_SYN;

		lab_flow(TP_NONE, 0, 0);
		was = busy_entry((uint32_t)cases[i].was);
		if (cases[i].was != NO_ENTRY)
			lab_put(&was);
		lab_heartbeat(cases[i].age);
		before = lab_count((uint32_t)cases[i].verdict);
		connect_as(cases[i].what);
		if (lab_count((uint32_t)cases[i].verdict) != before + 1)
			fail_msg("%s: not %s", cases[i].name, lab_verdict_name(cases[i].verdict));
		if (lab_entry(&v) != (cases[i].then != NO_ENTRY))
			fail_msg("%s: is there an entry?", cases[i].name);
		if (begins) {
			assert_int_equal(v.state, TP_WATCH);
			assert_int_equal(v.queue, 0);
			assert_true(lab_born_now(&v));
			assert_memory_equal(v.next_hop, lab_peer_mac, ETH_ALEN);
			assert_true(v.seen_out && !v.seen_in);
		} else if (cases[i].was != NO_ENTRY) {
			expect_entry(cases[i].name, &was);
		}
	}
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	bpf_tc_hook_destroy(&hook);
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
		TEST(a_watched_segment_passes_and_an_end_ends_the_watch),
		TEST(what_linux_is_given_is_noted),
		TEST(a_syn_that_comes_late_takes_nothing_back),
		TEST(padding_is_not_taken_for_data),
		TEST(the_longest_packets_are_noted_whole),
		TEST(what_is_no_segment_of_it_is_not_noted),
		TEST(the_first_fragment_of_a_flow_of_ours_is_stopped),
		TEST(a_segment_of_ours_is_lost_when_nobody_can_take_it),
		TEST(a_segment_that_bears_our_own_address_is_not_linuxs),
		TEST(ip_options_do_not_hide_a_flow),
		TEST(what_bears_our_own_address_is_counted_apart),
		TEST(a_flow_in_linux_is_translated_unless_it_is_a_syn),
		TEST(a_tagged_frame_is_no_flow_of_ours),
		TEST(a_frame_cut_anywhere_is_safe_at_both_ends),
		TEST(a_watched_frame_cut_anywhere_is_safe_at_both_ends),
		TEST(a_header_length_that_lies_is_not_noted),
		TEST(a_segment_that_cannot_be_translated_goes_nowhere),
		TEST(what_linux_says_for_a_flow_of_ours_goes_to_the_tap),
		TEST(what_linux_says_on_a_watched_flow_passes_and_an_end_ends_the_watch),
		TEST(whereto_linux_sends_is_noted),
		TEST(the_first_frame_of_linux_is_noted_as_seen),
		TEST(no_entry_in_another_state_is_written),
		TEST(without_a_daemon_linux_is_heard_only_where_its_numbers_hold),
		TEST(a_killed_daemon_holds_no_connection_that_was_linuxs),
		TEST(a_new_connection_of_the_same_name_is_not_translated),
		TEST(a_syn_nobody_registered_and_a_syn_ack_nobody_watches_pass),
		TEST(the_syn_of_a_registered_socket_begins_watch),
		TEST(arp_goes_to_the_tap_while_the_daemon_lives),
		TEST(what_another_ethernet_address_sends_passes),
		TEST(ipv6_and_other_protocols_pass_both_ways),
		TEST(the_door_leads_to_the_nic),
	};

	return cmocka_run_group_tests_name("tc", tests, lab_open, lab_close);
}
