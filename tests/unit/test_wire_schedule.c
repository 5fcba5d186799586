// SPDX-License-Identifier: BSD-2-Clause
/* needs: tests/wire/schedule.c tests/wire/bottleneck.c tests/wire/pending.c tests/wire/options.c tests/wire/segment.c */
/*
 * test_wire_schedule.c - what the bad wire decides: a function of seed and index, at the
 * rates asked for; and its queue and its clock, which are arithmetic.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../wire/options.h"
#include "../wire/pending.h"
#include "../wire/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <taspilot/wire.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define FRAMES	200000
#define DATA	(1U << CLASS_FRAME | 1U << CLASS_DATA)
#define ACK	(1U << CLASS_FRAME | 1U << CLASS_ACK)

static struct plan plan_of(enum wire_act act, const char *when)
{
	struct plan p = { .late_min_ns = 10, .late_max_ns = 20 };

	assert_int_equal(parse_when(when, &p.when[act]), 0);
	return p;
}

/* How many of FRAMES are dropped. */
static unsigned int drops(const struct plan *p, uint64_t seed)
{
	struct schedule s;
	unsigned int n = 0;

	schedule_init(&s, p, seed, 0);
	for (unsigned int i = 0; i < FRAMES; i++)
		n += schedule_next(&s, DATA, 1514).drop;
	return n;
}

static void the_same_seed_decides_the_same(void **state)
{
	struct plan p = plan_of(ACT_DROP, "10%");
	struct schedule a, b, other;
	unsigned int differ = 0;

	(void)state;
	p.when[ACT_CORRUPT].chance = p.when[ACT_REORDER].chance = 0.3;
	schedule_init(&a, &p, 7, 0);
	schedule_init(&b, &p, 7, 0);
	schedule_init(&other, &p, 7, 1);
	for (unsigned int i = 0; i < 1000; i++) {
		struct fate fa = schedule_next(&a, DATA, 1514), fb = schedule_next(&b, DATA, 1514);

		assert_memory_equal(&fa, &fb, sizeof(fa));
		differ += schedule_next(&other, DATA, 1514).drop != fa.drop;
	}
	assert_in_range(differ, 100, 300);
}

static void one_harm_does_not_move_another(void **state)
{
	struct plan p = plan_of(ACT_DROP, "5%"), q = p;
	struct schedule a, b;

	(void)state;
	assert_int_equal(parse_when("50%", &q.when[ACT_DUPLICATE]), 0);
	schedule_init(&a, &p, 3, 0);
	schedule_init(&b, &q, 3, 0);
	for (unsigned int i = 0; i < 1000; i++)
		assert_int_equal(schedule_next(&a, DATA, 99).drop, schedule_next(&b, DATA, 99).drop);
}

static void chance_comes_out_as_asked_for(void **state)
{
	static const struct { const char *when; unsigned int least, most; } cases[] = {
		{ "0", 0, 0 },
		{ "0.1%", 130, 270 },
		{ "1%", 1850, 2150 },
		{ "0.03", 5750, 6250 },
		{ "100%", FRAMES, FRAMES },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct plan p = plan_of(ACT_DROP, cases[i].when);

		for (uint64_t seed = 1; seed <= 5; seed++)
			assert_in_range(drops(&p, seed), cases[i].least, cases[i].most);
	}
}

static void bursts_are_as_long_as_the_bad_state_lasts(void **state)
{
	struct plan p = { .burst_enter = 0.01, .burst_leave = 0.25, .burst_loss = 1 };
	unsigned int lost = 0, bursts = 0;
	bool before = false, now;
	struct schedule s;

	(void)state;
	schedule_init(&s, &p, 1, 0);
	for (unsigned int i = 0; i < FRAMES; i++, before = now) {
		now = schedule_next(&s, DATA, 1514).burst;
		lost += now;
		bursts += now && !before;
	}
	/* in the bad state 1/26 of the time, for 4 frames each */
	assert_in_range(lost, 7000, 8400);
	assert_in_range(lost * 10 / bursts, 37, 43);
}

static void chosen_frames_are_counted_in_their_class(void **state)
{
	static const struct { const char *when; unsigned int drops[8]; } cases[] = {
		{ "data:3", { 3 } },
		{ "data:2-4,7", { 2, 3, 4, 7 } },
		{ "data:/3", { 3, 6, 9 } },
		{ "data:8-", { 8, 9, 10 } },
		{ "frame:3", { 2 } },		/* the second data segment, see below */
		{ "ack:1-", { 0 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct plan p = plan_of(ACT_DROP, cases[i].when);
		unsigned int n = 0;
		struct schedule s;

		schedule_init(&s, &p, 1, 0);
		for (unsigned int data = 1; data <= 10; data++) {
			if (schedule_next(&s, DATA, 1514).drop)
				assert_int_equal(data, cases[i].drops[n++]);
			schedule_next(&s, ACK, 66);
		}
		assert_int_equal(cases[i].drops[n], 0);
	}
}

static void harm_stays_inside_the_frame(void **state)
{
	struct plan p = plan_of(ACT_CORRUPT, "1");
	struct schedule s;

	(void)state;
	p.when[ACT_TRUNCATE].chance = p.when[ACT_REORDER].chance = 1;
	schedule_init(&s, &p, 1, 0);
	for (size_t len = 14; len < 3000; len++) {
		struct fate f = schedule_next(&s, DATA, len);

		assert_in_range(f.late_ns, 10, 20);
		if (len == 14) {
			assert_int_equal(f.flip | f.cut, 0);
			continue;
		}
		assert_in_range(f.flip, 14 * 8, len * 8 - 1);
		assert_in_range(f.cut, 14, len - 1);
	}
}

static void a_link_takes_as_long_as_its_rate_says(void **state)
{
	struct link l = { .rate_bps = 1000000000, .queue_bytes = 4000 };
	struct bottleneck b;
	struct passage p;

	(void)state;
	bottleneck_init(&b, &l);
	p = bottleneck_enter(&b, 1000, 1500);
	assert_int_equal(p.leaves_ns, 1000 + 12000);
	p = bottleneck_enter(&b, 1000, 1500);
	assert_int_equal(p.leaves_ns, 1000 + 24000);
	p = bottleneck_enter(&b, 1000, 1500);
	assert_true(p.full);
	p = bottleneck_enter(&b, 1000 + 12000, 1500);
	assert_int_equal(p.leaves_ns, 1000 + 36000);
	p = bottleneck_enter(&b, 1000000, 1500);
	assert_int_equal(p.leaves_ns, 1000000 + 12000);
	assert_int_equal(b.seen_max, 3000);
}

static void a_queue_above_its_threshold_marks(void **state)
{
	struct link l = { .rate_bps = 8000000000, .queue_bytes = 1 << 20, .mark_above = 3000 };
	struct bottleneck b;

	(void)state;
	bottleneck_init(&b, &l);
	assert_false(bottleneck_enter(&b, 0, 1500).mark);
	assert_false(bottleneck_enter(&b, 0, 1500).mark);
	assert_false(bottleneck_enter(&b, 0, 1500).mark);
	assert_true(bottleneck_enter(&b, 0, 1500).mark);
	assert_false(bottleneck_enter(&b, 3000, 1500).mark);
}

static void a_link_without_a_rate_is_never_full(void **state)
{
	struct link l = { .queue_bytes = 100 };
	struct bottleneck b;

	(void)state;
	bottleneck_init(&b, &l);
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(bottleneck_enter(&b, 5, 1500).leaves_ns, 5);
}

static void frames_leave_when_due_and_ties_in_order(void **state)
{
	struct pending p = { 0 };
	uint64_t last_due = 0, last_order = 0;
	unsigned int n = 0;
	struct frame *f;

	(void)state;
	assert_int_equal(pending_next(&p), UINT64_MAX);
	for (uint64_t i = 0; i < 5000; i++) {
		f = malloc(sizeof(*f));
		*f = (struct frame){ .due_ns = i * 7919 % 100 };
		assert_int_equal(pending_put(&p, f), 0);
	}
	assert_int_equal(pending_next(&p), 0);
	for (; (f = pending_pop(&p, 49)); n++) {
		assert_true(n == 0 || f->due_ns > last_due ||
			    (f->due_ns == last_due && f->order > last_order));
		last_due = f->due_ns;
		last_order = f->order;
		free(f);
	}
	assert_int_equal(n, 2500);
	assert_int_equal(pending_next(&p), 50);
	pending_clear(&p);
}

static void units_are_read_and_nonsense_is_refused(void **state)
{
	static const char *const bad_when[] = {
		"", "x", "2", "101%", "-1", "1%%", "data:0", "data:x", "data:5-3", "pizza:1",
		"data:/0", "data:1-2-3", ":", "data:3;",
	};
	struct when w = { 0 };
	uint64_t v;

	(void)state;
	assert_int_equal(parse_time("20", &v), 0);
	assert_int_equal(v, 20000000);
	assert_int_equal(parse_time("1.5s", &v), 0);
	assert_int_equal(v, 1500000000);
	assert_int_equal(parse_time("50us", &v), 0);
	assert_int_equal(v, 50000);
	assert_int_equal(parse_time("5m", &v), -EINVAL);
	assert_int_equal(parse_time("-5", &v), -EINVAL);
	assert_int_equal(parse_rate("1.5G", &v), 0);
	assert_int_equal(v, 1500000000);
	assert_int_equal(parse_bytes("64K", &v), 0);
	assert_int_equal(v, 65536);
	assert_int_equal(parse_bytes("1e30", &v), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(bad_when); i++)
		if (parse_when(bad_when[i], &w) != -EINVAL)
			fail_msg("'%s' was taken", bad_when[i]);
	assert_int_equal(w.nchosen, 0);
}

static void options_can_concern_one_direction(void **state)
{
	char *argv[] = { "wire", "--rtt", "20", "--from-a", "--drop", "data:3", "--from-b",
			 "--rate", "1M", "--both", "--mark", "2%", "w0", "w1", NULL };
	struct options o;

	(void)state;
	assert_int_equal(options_parse(ARRAY_SIZE(argv) - 1, argv, &o), 0);
	assert_int_equal(o.way[0].delay_ns, 10000000);
	assert_int_equal(o.way[1].delay_ns, 10000000);
	assert_int_equal(o.way[0].plan.when[ACT_DROP].nchosen, 1);
	assert_int_equal(o.way[1].plan.when[ACT_DROP].nchosen, 0);
	assert_int_equal(o.way[0].link.rate_bps, 0);
	assert_int_equal(o.way[1].link.rate_bps, 1000000);
	assert_true(o.way[0].plan.when[ACT_MARK].chance > 0);
	assert_true(o.way[1].plan.when[ACT_MARK].chance > 0);
	assert_string_equal(o.ifname[1], "w1");
}

/* A TCP segment in IPv4, with its checksums right. */
static size_t tcp_frame(uint8_t *frame, uint8_t flags, size_t payload)
{
	struct wire_eth *eth = (void *)frame;
	struct wire_ip *ip = (void *)(eth + 1);
	struct wire_tcp *tcp = (void *)(ip + 1);

	memset(frame, 0, 54);
	memset(tcp + 1, 'x', payload);
	wire_put16(&eth->ethertype, WIRE_ETH_IP);
	*ip = (struct wire_ip){ .version_ihl = 0x45, .tos = WIRE_ECT0, .ttl = 64,
				.ipproto = WIRE_PROTO_TCP, .saddr = 1, .daddr = 2 };
	wire_put16(&ip->tot_len, (uint16_t)(40 + payload));
	wire_ip_seal(ip);
	*tcp = (struct wire_tcp){ .doff = 5 << 4, .flags = flags };
	wire_tcp_seal(ip, tcp, (uint32_t)(20 + payload));
	return 54 + payload;
}

static void segments_are_told_apart(void **state)
{
	static const struct { uint8_t flags; size_t payload; unsigned int classes; } cases[] = {
		{ WIRE_ACK, 0, ACK },
		{ WIRE_ACK | WIRE_PSH, 10, DATA },
		{ WIRE_SYN, 0, 1U << CLASS_FRAME | 1U << CLASS_SYN },
		{ WIRE_FIN | WIRE_ACK, 0, 1U << CLASS_FRAME | 1U << CLASS_FIN },
		{ WIRE_FIN | WIRE_ACK, 5, DATA | 1U << CLASS_FIN },
		{ WIRE_RST, 0, 1U << CLASS_FRAME },
	};
	uint8_t frame[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = tcp_frame(frame, cases[i].flags, cases[i].payload);
		struct segment s = segment_read(frame, len);

		assert_int_equal(s.classes, cases[i].classes);
		assert_true(s.counted);
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(segment_read(frame, cut).classes & ~1U, 0);
	}
	frame[0] = 1;
	assert_false(segment_read(frame, 64).counted);
	frame[0] = 0;
	frame[13] = 6;
	assert_false(segment_read(frame, 64).counted);
}

static void a_marked_or_finished_segment_is_sound(void **state)
{
	struct wire_at at = { 0 };
	struct segment s;
	uint8_t frame[256];
	size_t len = tcp_frame(frame, WIRE_ACK, 77);

	(void)state;
	s = segment_read(frame, len);
	assert_true(segment_mark(frame, &s));
	assert_true(wire_locate(frame, len, &at));
	assert_true(wire_ip_ok(at.ip));
	assert_int_equal(at.ip->tos & WIRE_ECN_MASK, WIRE_CE);

	frame[14 + 20 + 16] ^= 0x55;
	assert_false(wire_tcp_ok(&at, false));
	segment_finish_checksum(frame, &s);
	assert_true(wire_tcp_ok(&at, false));

	frame[15] = 0;
	assert_false(segment_mark(frame, &s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_seed_decides_the_same),
		cmocka_unit_test(one_harm_does_not_move_another),
		cmocka_unit_test(chance_comes_out_as_asked_for),
		cmocka_unit_test(bursts_are_as_long_as_the_bad_state_lasts),
		cmocka_unit_test(chosen_frames_are_counted_in_their_class),
		cmocka_unit_test(harm_stays_inside_the_frame),
		cmocka_unit_test(a_link_takes_as_long_as_its_rate_says),
		cmocka_unit_test(a_queue_above_its_threshold_marks),
		cmocka_unit_test(a_link_without_a_rate_is_never_full),
		cmocka_unit_test(frames_leave_when_due_and_ties_in_order),
		cmocka_unit_test(units_are_read_and_nonsense_is_refused),
		cmocka_unit_test(options_can_concern_one_direction),
		cmocka_unit_test(segments_are_told_apart),
		cmocka_unit_test(a_marked_or_finished_segment_is_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
