// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/fast/cc.c user/fast/cc_bbr.c user/fast/cc_cubic.c user/fast/cc_dctcp.c user/fast/cc_reno.c */
/*
 * test_cc_bbr.c - bbr over a path made of numbers: a rate, a round trip, a queue, a policer.
 *
 * Every segment is a send time, an arrival at the bottleneck, a departure and an ACK; the
 * sender obeys pacing_rate and cwnd, as tcp_pace.c and tcp_tx.c would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/fast/cc.h"

#define MS		1000000ULL
#define SEC		1000000000ULL
#define MSS		1448U
#define FLIGHT		65536U

struct segment {
	uint64_t sent_ns, acked_ns;
	uint32_t delivered;		/* at the sender, when it was sent */
	uint64_t delivered_ns, first_ns;
	bool app_limited, lost;
};

struct path {
	struct cc cc;
	uint64_t rate, rtt_ns, queue_ns;	/* of the bottleneck: bytes per second; its queue */
	uint64_t police;			/* bytes per second beyond the first second; 0 none */
	uint32_t loss_every;			/* each so many-th segment is lost; 0 none */
	bool reorders;				/* a timer finds losses, an ACK one of 32 */

	uint64_t now_ns, send_ns, free_ns, tokens_ns;
	struct segment seg[FLIGHT];
	uint32_t head, tail, in_flight, count;
	uint32_t delivered, lost, missing;
	uint64_t delivered_ns, first_ns, most_queue_ns;
	uint32_t least_in_flight;
};

static struct path *path_new(uint64_t rate, uint64_t rtt_ns, uint64_t queue_ns)
{
	struct path *p = calloc(1, sizeof(*p));

	p->cc = (struct cc){
		.ops = cc_find("bbr"), .cwnd = 10, .ssthresh = 50, .cwnd_clamp = 1 << 20,
		.mss = MSS, .srtt_us = (uint32_t)(rtt_ns / 1000), .min_rtt_us = (uint32_t)(rtt_ns / 1000),
		.max_pacing = CC_NO_RATE,
	};
	p->rate = rate;
	p->rtt_ns = rtt_ns;
	p->queue_ns = queue_ns;
	p->now_ns = p->send_ns = p->free_ns = 100 * SEC;
	p->least_in_flight = ~0U;
	p->cc.ops->init(&p->cc, p->now_ns);
	return p;
}

static bool dropped(struct path *p, uint64_t at_ns)
{
	uint64_t wait = p->free_ns > at_ns ? p->free_ns - at_ns : 0;

	p->most_queue_ns = wait > p->most_queue_ns ? wait : p->most_queue_ns;
	if (wait > p->queue_ns || (p->loss_every && p->count % p->loss_every == 0))
		return true;
	if (!p->police)
		return false;
	/* a bucket of 2 s */
	if (p->tokens_ns + 2 * SEC < at_ns)
		p->tokens_ns = at_ns - 2 * SEC;
	if (p->tokens_ns > at_ns)
		return true;
	p->tokens_ns += MSS * SEC / p->police;
	return false;
}

static void send_one(struct path *p)
{
	struct segment *s = &p->seg[p->head++ % FLIGHT];
	uint64_t at = p->now_ns + p->rtt_ns / 2;

	if (!p->in_flight)
		p->delivered_ns = p->first_ns = p->now_ns;
	*s = (struct segment){
		.sent_ns = p->now_ns, .delivered = p->delivered, .delivered_ns = p->delivered_ns,
		.first_ns = p->first_ns, .app_limited = p->cc.app_limited,
	};
	p->count++;
	p->in_flight++;
	s->lost = dropped(p, at);
	if (!s->lost)
		p->free_ns = (p->free_ns > at ? p->free_ns : at) + MSS * SEC / p->rate;
	s->acked_ns = (p->free_ns > at ? p->free_ns : at) + p->rtt_ns / 2;
	p->send_ns = (p->send_ns > p->now_ns ? p->send_ns : p->now_ns) +
		     MSS * SEC / p->cc.pacing_rate;
}

static void ack_one(struct path *p)
{
	struct segment *s = &p->seg[p->tail++ % FLIGHT];
	uint64_t sending = s->sent_ns - s->first_ns, arriving = p->now_ns - s->delivered_ns;
	struct cc_ack a = { .now_ns = p->now_ns, .in_flight = p->in_flight, .rtt_us = -1 };
	struct cc_rate r = { .pace_at_ns = p->send_ns, .app_limited = s->app_limited };

	p->in_flight--;
	if (s->lost) {			/* the next SACK will say so */
		p->lost++;
		p->missing += MSS;
		return;
	}
	p->delivered += MSS;
	p->delivered_ns = p->now_ns;
	p->first_ns = s->sent_ns;
	a.acked = 1;
	a.rtt_us = (int64_t)((p->now_ns - s->sent_ns) / 1000);
	r.acked = MSS;
	r.lost = p->reorders && p->delivered / MSS % 32 ? 0 : p->missing;
	r.lost_ever = p->lost * MSS;
	p->missing = 0;
	r.interval_us = (uint32_t)((sending > arriving ? sending : arriving) / 1000);
	r.since = s->delivered;
	r.delivered = p->delivered;
	r.in_flight = p->in_flight;
	p->cc.app_limited = false;
	p->cc.ops->control(&p->cc, &a, &r);
	if (p->in_flight < p->least_in_flight)
		p->least_in_flight = p->in_flight;
}

/* Send for @ns; returns bytes per second that arrived. */
static uint64_t run(struct path *p, uint64_t ns)
{
	uint64_t end = p->now_ns + ns;
	uint64_t before = p->delivered;

	p->most_queue_ns = 0;
	p->least_in_flight = ~0U;
	while (p->now_ns < end) {
		bool may_send = p->in_flight < p->cc.cwnd;
		uint64_t send = p->send_ns > p->now_ns ? p->send_ns : p->now_ns;
		uint64_t ack = p->in_flight ? p->seg[p->tail % FLIGHT].acked_ns : ~0ULL;

		if (may_send && send <= ack) {
			p->now_ns = send;
			send_one(p);
		} else {
			p->now_ns = ack > p->now_ns ? ack : p->now_ns;
			ack_one(p);
		}
	}
	return (p->delivered - before) * SEC / ns;
}

static void it_fills_the_path_in_a_few_round_trips(void **state)
{
	struct path *p = path_new(12500000, 20 * MS, 100 * MS);

	(void)state;
	run(p, 300 * MS);
	assert_in_range(run(p, 1 * SEC), 12500000 * 95 / 100, 12500000 + 2 * MSS);
	free(p);
}

/* At most a quarter more than the path holds while it probes, half of the time nothing. */
static void it_keeps_the_queue_short(void **state)
{
	struct path *p = path_new(12500000, 20 * MS, 100 * MS);

	(void)state;
	run(p, 1 * SEC);
	run(p, 4 * SEC);
	assert_true(p->most_queue_ns < 10 * MS);
	assert_int_equal(p->lost, 0);
	free(p);
}

static void it_follows_a_path_that_becomes_faster_or_slower(void **state)
{
	struct path *p = path_new(12500000, 20 * MS, 200 * MS);

	(void)state;
	run(p, 2 * SEC);
	p->rate = 25000000;
	run(p, 2 * SEC);
	assert_true(run(p, 1 * SEC) > 25000000 * 90ULL / 100);
	p->rate = 5000000;
	run(p, 3 * SEC);
	assert_in_range(run(p, 1 * SEC), 5000000 * 90 / 100, 5000000 + 2 * MSS);
	assert_in_range(p->cc.pacing_rate, 5000000 * 70 / 100, 5000000 * 13 / 10);
	free(p);
}

static void a_few_losses_do_not_slow_it_down(void **state)
{
	struct path *p = path_new(12500000, 20 * MS, 100 * MS);

	(void)state;
	p->loss_every = 50;
	run(p, 1 * SEC);
	assert_true(run(p, 5 * SEC) > 12500000 * 90ULL / 100);
	free(p);
}

static void every_ten_seconds_it_looks_for_a_shorter_round_trip(void **state)
{
	struct path *p = path_new(1250000, 20 * MS, 500 * MS);

	(void)state;
	run(p, 9 * SEC);
	assert_true(p->least_in_flight > 4);
	run(p, 3 * SEC);
	assert_true(p->least_in_flight <= 4);
	run(p, 5 * SEC);
	assert_true(p->least_in_flight > 4);
	free(p);
}

static void a_longer_round_trip_is_believed_after_ten_seconds(void **state)
{
	struct path *p = path_new(12500000, 20 * MS, 100 * MS);
	uint32_t cwnd;

	(void)state;
	run(p, 2 * SEC);
	cwnd = p->cc.cwnd;
	p->rtt_ns = 60 * MS;
	run(p, 13 * SEC);
	assert_true(p->cc.cwnd > 2 * cwnd);
	free(p);
}

/* Once its bucket is empty the policer drops four fifths. Its rate is found, and kept. */
static void a_policer_is_not_fought(void **state)
{
	struct path *p = path_new(25000000, 20 * MS, 100 * MS);
	uint32_t lost;

	(void)state;
	p->police = 5000000;
	run(p, 900 * MS);
	assert_true(p->lost > 100);
	lost = p->lost;
	assert_in_range(run(p, 600 * MS), 5000000 * 95 / 100, 5000000);
	assert_int_equal(p->lost, lost);
	free(p);
}

/* Where a path reorders, what is lost is found when the wait for it is over, by a timer. */
static void a_policer_is_found_by_what_timers_find(void **state)
{
	struct path *p = path_new(25000000, 20 * MS, 100 * MS);
	uint32_t lost;

	(void)state;
	p->police = 5000000;
	p->reorders = true;
	run(p, 900 * MS);
	lost = p->lost;
	assert_true(lost > 100);
	run(p, 600 * MS);
	assert_int_equal(p->lost, lost);
	free(p);
}

static void a_programs_pace_does_not_lower_the_rate(void **state)
{
	struct path *p = path_new(12500000, 20 * MS, 100 * MS);
	uint64_t rate;

	(void)state;
	run(p, 2 * SEC);
	rate = p->cc.pacing_rate;
	for (int i = 0; i < 200; i++) {
		while (p->in_flight) {
			p->now_ns = p->seg[p->tail % FLIGHT].acked_ns;
			ack_one(p);
		}
		p->now_ns += 10 * MS;
		p->cc.app_limited = true;
		p->cc.ops->restart(&p->cc, p->now_ns, 10 * MS);
		send_one(p);
		p->now_ns = p->seg[p->tail % FLIGHT].acked_ns;
		ack_one(p);
	}
	assert_true(p->cc.pacing_rate > rate / 2);
	free(p);
}

static void what_was_before_a_loss_returns_after_it(void **state)
{
	struct path *p = path_new(12500000, 20 * MS, 100 * MS);
	struct cc_ack a = { .acked = 1, .rtt_us = 20000, .in_flight = 100 };
	struct cc_rate r = { .acked = MSS, .in_flight = 30, .state = CC_LOSS };
	uint32_t cwnd;

	(void)state;
	run(p, 2 * SEC);
	cwnd = p->cc.cwnd;
	p->cc.ssthresh = p->cc.ops->ssthresh(&p->cc, CC_CUT_TIMEOUT);
	p->cc.ops->timeout(&p->cc, p->now_ns);
	p->cc.cwnd = 1;
	r.since = p->seg[(p->tail - 1) % FLIGHT].delivered;
	r.delivered = p->delivered;
	r.interval_us = 20000;
	a.now_ns = p->now_ns + MS;
	p->cc.ops->control(&p->cc, &a, &r);
	assert_true(p->cc.cwnd < cwnd / 2);
	r.state = CC_GOOD;
	p->cc.ops->control(&p->cc, &a, &r);
	assert_true(p->cc.cwnd >= cwnd * 9 / 10);
	free(p);
}

/* One round trip, in which @rate bytes per second arrive. */
static void round_at(struct path *p, uint32_t rate)
{
	struct cc_ack a = { .acked = 1, .in_flight = 10, .rtt_us = 20000 };
	struct cc_rate r = { .acked = rate / 50, .interval_us = 20000, .in_flight = 10 };

	a.now_ns = p->now_ns += 20 * MS;
	r.since = p->delivered;
	r.delivered = p->delivered += rate / 50;
	p->cc.ops->control(&p->cc, &a, &r);
}

/* As in Linux: who forgets sooner than the others gets less than they. */
static void the_best_rate_is_known_for_ten_round_trips_more(void **state)
{
	struct path *p = path_new(12500000, 20 * MS, 100 * MS);

	(void)state;
	round_at(p, 10000000);
	for (int i = 0; i < 10; i++)
		round_at(p, 1000000);
	assert_true(p->cc.pacing_rate > 2000000);
	round_at(p, 1000000);
	assert_true(p->cc.pacing_rate < 2000000);
	free(p);
}

static void so_max_pacing_rate_is_obeyed(void **state)
{
	struct path *p = path_new(12500000, 20 * MS, 100 * MS);

	(void)state;
	p->cc.max_pacing = 1000000;
	p->cc.ops->init(&p->cc, p->now_ns);
	assert_true(run(p, 2 * SEC) <= 1000000);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_fills_the_path_in_a_few_round_trips),
		cmocka_unit_test(it_keeps_the_queue_short),
		cmocka_unit_test(it_follows_a_path_that_becomes_faster_or_slower),
		cmocka_unit_test(a_few_losses_do_not_slow_it_down),
		cmocka_unit_test(every_ten_seconds_it_looks_for_a_shorter_round_trip),
		cmocka_unit_test(a_longer_round_trip_is_believed_after_ten_seconds),
		cmocka_unit_test(a_policer_is_not_fought),
		cmocka_unit_test(a_policer_is_found_by_what_timers_find),
		cmocka_unit_test(a_programs_pace_does_not_lower_the_rate),
		cmocka_unit_test(what_was_before_a_loss_returns_after_it),
		cmocka_unit_test(the_best_rate_is_known_for_ten_round_trips_more),
		cmocka_unit_test(so_max_pacing_rate_is_obeyed),
	};

	return cmocka_run_group_tests_name("cc_bbr", tests, NULL, NULL);
}
