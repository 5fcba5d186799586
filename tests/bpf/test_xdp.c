/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_xdp.c - frame in; verdict, counter, ring record and metadata out.
 */
#include "lab.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
	bool to_ring = verdict == TP_V_XDP_NO_XSK || verdict == TP_V_XDP_HOLD ||
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

static bool has_entry(void)
{
	struct tp_flow_val v;

	return lab_entry(&v);
}

static void expect_entry(const char *when, const struct tp_flow_val *want)
{
	struct tp_flow_val v;

	if (!lab_entry(&v))
		fail_msg("%s: no entry", when);
	if (memcmp(&v, want, sizeof(v)))
		fail_msg("%s: the entry was changed", when);
}

/* ---- by state ---- */

static void each_state_has_its_verdict_whatever_the_flags(void **state)
{
	static const struct {
		const char *name;
		uint32_t state;
		int action, verdict;
	} cases[] = {
		{ "WATCH", TP_WATCH, XDP_PASS, TP_V_XDP_WATCH },
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
	lab_flow(TP_HOLD, 0, 0);
	tcp((struct lab_spec){ .flags = ACK });
	r = feed();
	assert_true(r->ringed);
	assert_int_equal(r->record.kind, TP_REC_FRAME);
	assert_int_equal(r->record.state, TP_HOLD);
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
		int action, verdict;
	} cases[] = {
		{ "SYN to a listener", TP_NONE, SYN, XDP_PASS, TP_V_XDP_STALE },
		{ "WATCH", TP_WATCH, ACK, XDP_PASS, TP_V_XDP_WATCH },
		{ "SYN in WATCH", TP_WATCH, SYN, XDP_PASS, TP_V_XDP_WATCH },
		{ "HOLD", TP_HOLD, ACK, XDP_DROP, TP_V_XDP_HOLD },
		{ "LINUX", TP_LINUX, ACK, XDP_PASS, TP_V_XDP_LINUX },
		{ "no entry", TP_NONE, ACK, XDP_PASS, TP_V_XDP_PASS_OTHER },
	};

	(void)state;
	lab_listen(0, LAB_PORT);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		tcp((struct lab_spec){ .flags = cases[i].flags });
		lab_flow(cases[i].state, 0, 0);
		lab_heartbeat(STALE);
		lab_socket(true);
		expect(cases[i].name, cases[i].action, cases[i].verdict);
		assert_int_equal(has_entry(), cases[i].state != TP_NONE);

		lab_heartbeat(0);
		lab_socket(false);
		expect(cases[i].name, cases[i].action, cases[i].verdict);
		assert_int_equal(lab_flow_state(), cases[i].state);
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

static void a_heartbeat_counts_until_the_limit(void **state)
{
	static const struct {
		const char *name;
		uint64_t age;
		int verdict;
		uint32_t then;
	} cases[] = {
		{ "half the limit", TP_STALE_NS / 2, TP_V_XDP_SYN, TP_WATCH },
		{ "of another CPU, a little ahead", (uint64_t)-1000000, TP_V_XDP_SYN, TP_WATCH },
		{ "beyond the limit", TP_STALE_NS + 1, TP_V_XDP_STALE, TP_NONE },
	};

	(void)state;
	lab_listen(0, LAB_PORT);
	tcp((struct lab_spec){ .flags = SYN });
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		lab_flow(TP_NONE, 0, 0);
		lab_heartbeat(cases[i].age);
		expect(cases[i].name, XDP_PASS, cases[i].verdict);
		assert_int_equal(lab_flow_state(), cases[i].then);
	}
}

static void a_full_ring_drops_what_is_kept_and_is_nothing_to_what_is_linux(void **state)
{
	static const struct lab_spec quoted = { .way = LAB_FROM_HOST, .flags = ACK };
	static const struct {
		const char *name;
		uint32_t state;
		uint8_t flags;
		bool socket;
		int action, verdict;
		uint32_t then;
	} cases[] = {
		{ "SYN", TP_NONE, SYN, true, XDP_PASS, TP_V_XDP_SYN, TP_WATCH },
		{ "WATCH", TP_WATCH, ACK, true, XDP_PASS, TP_V_XDP_WATCH, TP_WATCH },
		{ "HOLD", TP_HOLD, ACK, true, XDP_DROP, TP_V_XDP_RING_FULL_DROP, TP_HOLD },
		{ "FAST", TP_FAST, ACK, false, XDP_DROP, TP_V_XDP_RING_FULL_DROP, TP_FAST },
	};

	(void)state;
	lab_listen(0, LAB_PORT);
	lab_fill_ring();
	lab_arp(&f, LAB_FROM_WIRE, true);
	expect("ARP", XDP_PASS, TP_V_XDP_RING_FULL_PASS);
	lab_flow(TP_FAST, 0, 0);
	lab_icmp(&f, 3, &quoted, 28);
	expect("ICMP", XDP_PASS, TP_V_XDP_RING_FULL_PASS);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		lab_flow(cases[i].state, 0, 0);
		lab_socket(cases[i].socket);
		tcp((struct lab_spec){ .flags = cases[i].flags });
		expect(cases[i].name, cases[i].action, cases[i].verdict);
		assert_int_equal(lab_flow_state(), cases[i].then);
	}
}

/* A claim that was cut off had not begun to change anything; a way back had. */
static void a_killed_daemon_holds_no_connection_that_was_linuxs(void **state)
{
	struct tp_flow_val claim = { .to_linux = 77, .seen_in = 1, .seen_out = 1 };
	struct tp_flow_val back = { .state = TP_HOLD };

	(void)state;
	for (int killed = 0; killed < 2; killed++) {
		lab_socket(!killed);
		lab_put(&back);
		tcp((struct lab_spec){ .flags = ACK });
		expect("back", XDP_DROP, TP_V_XDP_HOLD);
		expect_entry("back", &back);
		claim.state = TP_HOLD;
		lab_put(&claim);
		expect("claim", killed ? XDP_PASS : XDP_DROP, killed ? TP_V_XDP_STALE : TP_V_XDP_HOLD);
		claim.state = killed ? TP_NONE : TP_HOLD;
		expect_entry("claim", &claim);
	}
}

/* ---- what begins WATCH ---- */

static void only_a_plain_syn_to_a_registered_port_and_address_begins_watch(void **state)
{
	static const struct {
		const char *name;
		uint32_t ip;
		uint16_t port, dport;
		uint8_t flags;
		bool begins;
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
		expect(cases[i].name, XDP_PASS,
		       cases[i].begins ? TP_V_XDP_SYN : TP_V_XDP_PASS_OTHER);
		assert_int_equal(has_entry(), cases[i].begins);
	}
}

static void watch_begins_with_an_empty_entry(void **state)
{
	struct tp_flow_val v, want = { .state = TP_WATCH };

	(void)state;
	lab_listen(0, LAB_PORT);
	tcp((struct lab_spec){ .flags = SYN, .seq = 12345, .payload = 10 });
	expect("SYN", XDP_PASS, TP_V_XDP_SYN);
	assert_true(lab_entry(&v));
	assert_true(lab_born_now(&v));
	want.born = v.born;
	expect_entry("SYN", &want);
	expect("repeated", XDP_PASS, TP_V_XDP_WATCH);
	expect_entry("repeated", &want);
}

/* The notes of a connection that is over are not those of the next. */
static void watch_begins_again_in_an_entry_that_is_over(void **state)
{
	struct tp_flow_val over = { .state = TP_NONE, .to_linux = 77, .queue = 3, .born = 1,
				    .next_hop = { 1, 2, 3 }, .seen_in = 1, .seen_out = 1 };
	struct tp_flow_val v;

	(void)state;
	lab_listen(0, LAB_PORT);
	lab_put(&over);
	tcp((struct lab_spec){ .flags = SYN });
	expect("SYN", XDP_PASS, TP_V_XDP_SYN);
	assert_true(lab_entry(&v));
	assert_int_equal(v.state, TP_WATCH);
	assert_int_equal(v.queue, 0);
	assert_true(lab_born_now(&v));
	assert_false(v.seen_in);
	assert_false(v.seen_out);
}

static void an_entry_that_is_over_stays_so_unless_a_syn_may_begin_watch(void **state)
{
	struct tp_flow_val over = { .state = TP_NONE, .to_linux = 77, .queue = 3, .born = 1,
				    .next_hop = { 1, 2, 3 }, .seen_in = 1, .seen_out = 1 };
	static const struct {
		const char *name;
		struct lab_spec s;
		bool listens;
		uint64_t age;
		int verdict;
	} cases[] = {
		{ "no SYN", { .flags = ACK }, true, 0, TP_V_XDP_PASS_OTHER },
		{ "SYN-ACK", { .flags = SYN | ACK }, true, 0, TP_V_XDP_PASS_OTHER },
		{ "port not registered", { .flags = SYN }, false, 0, TP_V_XDP_PASS_OTHER },
		{ "no daemon", { .flags = SYN }, true, STALE, TP_V_XDP_STALE },
		{ "VLAN", { .vlan = 5, .flags = SYN }, true, 0, TP_V_XDP_PASS_OTHER },
		{ "fragment", { .frag = MF, .flags = SYN }, true, 0, TP_V_XDP_PASS_OTHER },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		lab_reset(state);
		lab_put(&over);
		if (cases[i].listens)
			lab_listen(0, LAB_PORT);
		lab_heartbeat(cases[i].age);
		tcp(cases[i].s);
		expect(cases[i].name, XDP_PASS, cases[i].verdict);
		expect_entry(cases[i].name, &over);
	}
}

/* Whether the connection of this name is over, Linux alone can tell: its SYN-ACK does. */
static void a_syn_leaves_the_entry_of_a_connection_that_was_ours_alone(void **state)
{
	static const struct {
		const char *name;
		uint32_t state;
		int action, verdict;
	} cases[] = {
		{ "HOLD", TP_HOLD, XDP_DROP, TP_V_XDP_HOLD },
		{ "FAST", TP_FAST, XDP_REDIRECT, TP_V_XDP_FAST },
		{ "LINUX", TP_LINUX, XDP_PASS, TP_V_XDP_LINUX },
	};
	struct tp_flow_val v = { .flow_id = LAB_FLOW_ID, .tx_delta = 5, .rx_delta = 6,
				 .to_linux = 77, .queue = 3, .born = 1, .seen_in = 1 };

	(void)state;
	lab_listen(0, LAB_PORT);
	tcp((struct lab_spec){ .flags = SYN });
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		v.state = cases[i].state;
		lab_put(&v);
		expect(cases[i].name, cases[i].action, cases[i].verdict);
		expect_entry(cases[i].name, &v);
	}
}

static void in_watch_the_queue_is_noted_and_nothing_else(void **state)
{
	struct tp_flow_val v = { .state = TP_WATCH, .to_linux = 77, .queue = 3, .born = 1,
				 .next_hop = { 1, 2, 3 }, .seen_in = 1, .seen_out = 1 };

	(void)state;
	lab_put(&v);
	v.queue = 0;
	for (int flags = 0; flags < 256; flags++) {
		tcp((struct lab_spec){ .flags = (uint8_t)flags, .seq = 1000, .payload = 9 });
		expect("WATCH", XDP_PASS, TP_V_XDP_WATCH);
		expect_entry("WATCH", &v);
	}
}

/* With XDP attached, an interface tells XDP about its queues. The daemon is alive to a queue
 * that it has a socket for.
 */
static void watch_begins_on_the_queue_of_the_syn(void **state)
{
	int nic = lab_nic(), fd = bpf_program__fd(lab_xdp->progs.tp_xdp);
	int xsks = bpf_map__fd(lab_xdp->maps.tp_xsks), xsk = socket(AF_XDP, SOCK_RAW, 0);
	struct tp_flow_val v;
	uint32_t queue = 1;

	(void)state;
	assert_int_equal(bpf_xdp_attach(nic, fd, XDP_FLAGS_DRV_MODE, NULL), 0);
	lab_listen(0, LAB_PORT);
	lab_arrive_on(nic, queue);
	tcp((struct lab_spec){ .flags = SYN });
	expect("a queue without a socket", XDP_PASS, TP_V_XDP_STALE);
	assert_false(has_entry());

	assert_int_equal(bpf_map_update_elem(xsks, &queue, &xsk, 0), 0);
	expect("SYN", XDP_PASS, TP_V_XDP_SYN);
	assert_true(lab_entry(&v));
	assert_int_equal(v.queue, queue);

	lab_arrive_on(nic, 0);
	tcp((struct lab_spec){ .flags = ACK });
	expect("moved to another queue", XDP_PASS, TP_V_XDP_WATCH);
	assert_true(lab_entry(&v));
	assert_int_equal(v.queue, 0);
	bpf_map_delete_elem(xsks, &queue);
	close(xsk);
	assert_int_equal(bpf_xdp_detach(nic, XDP_FLAGS_DRV_MODE, NULL), 0);
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
		assert_false(has_entry());
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
	assert_false(has_entry());
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
	tcp((struct lab_spec){ .flags = SYN });
	for (int i = 0; i < ETH_ALEN; i++) {
		f.b[i] ^= 2;
		lab_flow(TP_FAST, 0, 0);
		expect("a macvlan's", XDP_PASS, TP_V_XDP_PASS_OTHER);
		lab_flow(TP_NONE, 0, 0);
		expect("a macvlan's, new", XDP_PASS, TP_V_XDP_PASS_OTHER);
		assert_false(has_entry());
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
		{ "unreachable, WATCH", TP_WATCH, 3, false },
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
		TEST(a_heartbeat_counts_until_the_limit),
		TEST(a_full_ring_drops_what_is_kept_and_is_nothing_to_what_is_linux),
		TEST(a_killed_daemon_holds_no_connection_that_was_linuxs),
		TEST(only_a_plain_syn_to_a_registered_port_and_address_begins_watch),
		TEST(watch_begins_with_an_empty_entry),
		TEST(watch_begins_again_in_an_entry_that_is_over),
		TEST(an_entry_that_is_over_stays_so_unless_a_syn_may_begin_watch),
		TEST(a_syn_leaves_the_entry_of_a_connection_that_was_ours_alone),
		TEST(in_watch_the_queue_is_noted_and_nothing_else),
		TEST(watch_begins_on_the_queue_of_the_syn),
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
