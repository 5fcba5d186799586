/* SPDX-License-Identifier: BSD-2-Clause
 *
 * report.c - see report.h.
 */
#include "report.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <stdio.h>

#include "../fast/profile.h"
#include "slow.h"

static void read_verdicts(struct slow *s, uint64_t ret_count[TP_VERDICT_COUNT])
{
	for (uint32_t v = 0; v < TP_VERDICT_COUNT; v++)
		ret_count[v] = verdict_count(s->att, v);
}

static void report_verdicts(const uint64_t count[TP_VERDICT_COUNT], struct text *t)
{
#define X(id, name) name,
	static const char *const names[] = { TP_VERDICTS(X) };
#undef X

	json_open(t, "verdicts", '{');
	for (uint32_t v = 0; v < TP_VERDICT_COUNT; v++)
		json_num(t, names[v], count[v]);
	json_close(t, '}');
}

static void report_fast(const struct fast_stats *f, struct text *t)
{
	json_open(t, "fast", '{');
	json_num(t, "bad_checksum", f->rx_bad_csum);
	json_num(t, "bad", f->rx_bad);
	json_num(t, "stray", f->rx_stray);
	json_num(t, "tx_full", f->tx_full);
	json_num(t, "handed_over", f->handed_over);
	json_num(t, "wakes", f->wakes);
	json_num(t, "yields", f->yields);
	json_num(t, "kicks", f->kicks);
	json_num(t, "sleeps", f->sleeps);
	json_close(t, '}');
}

/* How the NIC spreads the flows over its queues, and whose segments came by another's. */
static void report_threads(const struct fast_set *set, struct text *t)
{
	struct fast_stats f;

	json_open(t, "threads", '[');
	for (uint32_t i = 0; i < fast_threads(set); i++) {
		fast_get_thread_stats(set, i, &f);
		json_open(t, NULL, '{');
		json_num(t, "flows", f.flows);
		json_num(t, "segments_rx", f.rx_segments);
		json_num(t, "segments_tx", f.tx_segments);
		json_num(t, "handed_over", f.handed_over);
		json_close(t, '}');
	}
	json_close(t, ']');
}

/* What the process has taken and not given back; how much of it is resident also depends on
 * what it once had.
 */
static uint64_t bytes_allocated(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static const char *life_name(enum slow_life life)
{
	static const char *const name[] = {
		[SLOW_RUNNING] = "attached", [SLOW_LEAVING] = "detaching",
		[SLOW_DRAINING] = "draining", [SLOW_OVER] = "detached",
	};

	return name[life];
}

/* Only a daemon built with PROFILE=1 has any: cycles of all fast threads, stage by stage. */
static void report_profile(struct slow *s, struct text *t)
{
	static const char *const name[] = {
#define X(id, name) [PROFILE_##id] = name,
		PROFILE_STAGES(X)
#undef X
	};
	struct profile sum = { 0 };

	for (uint32_t i = 0; i < fast_threads(s->fast); i++) {
		const struct profile *p = fast_profile(s->fast, i);

		sum.turns += p->turns;
		sum.frames += p->frames;
		for (int stage = 0; stage < PROFILE_STAGE_COUNT; stage++)
			sum.cycles[stage] += p->cycles[stage];
	}
	if (!sum.turns)
		return;
	json_open(t, "profile", '{');
	json_num(t, "turns", sum.turns);
	json_num(t, "frames", sum.frames);
	for (int stage = 0; stage < PROFILE_STAGE_COUNT; stage++)
		json_num(t, name[stage], sum.cycles[stage]);
	json_close(t, '}');
}

void report_status(struct slow *s, struct text *t)
{
	uint64_t count[TP_VERDICT_COUNT];
	struct fast_stats f;

	read_verdicts(s, count);
	fast_get_stats(s->fast, &f);
	json_open(t, NULL, '{');
	json_str(t, "ifname", s->att->nic.ifname);
	json_str(t, "state", life_name(s->life));
	json_str(t, "tap", s->att->tap);
	json_str(t, "mode", s->att->native ? "native" : "skb");
	json_bool(t, "xdp", !s->hear.acts);
	json_bool(t, "zerocopy", fast_zerocopy(s->fast));
	json_num(t, "queues", fast_threads(s->fast));
	json_num(t, "uptime_s", (s->now_ns - s->started_ns) / NS_PER_S);
	json_bool(t, "strangers", s->att->stranger_hook);
	json_bool(t, "io_uring", s->att->uring_hook);
	json_num(t, "flows", s->conns.in[CONN_FAST] + s->conns.in[CONN_BACK]);
	json_num(t, "connections", s->conns.count);
	json_num(t, "segments_fast_rx", f.rx_segments);
	json_num(t, "segments_fast_tx", f.tx_segments);
	json_num(t, "frames_slow_rx", s->upcall.frames);
	json_num(t, "frames_slow_tx", s->relay.to_wire);
	json_num(t, "drops", count[TP_V_XDP_RING_FULL_DROP] + s->relay.drops);
	json_num(t, "setups", s->setups);
	json_num(t, "ring_full", count[TP_V_XDP_RING_FULL_DROP] + count[TP_V_XDP_RING_FULL_PASS]);
	json_num(t, "stale", s->upcall.stale);
	json_num(t, "bad_slow_rx", s->upcall.bad);
	json_num(t, "allocated", bytes_allocated());
	bulk_report(&s->bulk, t);
	why_counts(&s->why, t);
	report_fast(&f, t);
	report_threads(s->fast, t);
	report_verdicts(count, t);
	report_profile(s, t);
	json_close(t, '}');
}

static void json_end(struct text *t, const char *key, const uint8_t ip[16], uint16_t port)
{
	char addr[INET_ADDRSTRLEN], text[INET_ADDRSTRLEN + 8];

	inet_ntop(AF_INET, ip + 12, addr, sizeof(addr));
	snprintf(text, sizeof(text), "%s:%u", addr, port);
	json_str(t, key, text);
}

void report_flow(const struct conn *c, struct text *t)
{
	const struct tcp_state *st = &c->last;

	json_open(t, NULL, '{');
	json_end(t, "local", c->key.local_ip, c->key.local_port);
	json_end(t, "remote", c->key.peer_ip, c->key.peer_port);
	json_str(t, "state", conn_phase_name(c->phase));
	if (c->wants_back)
		json_str(t, "reason", why_name(c->reason));
	json_str(t, "cc", st->cc);
	json_num(t, "mss", st->mss);
	json_num(t, "cwnd", st->cwnd);
	json_num(t, "ssthresh", st->ssthresh);
	json_num(t, "srtt_us", st->srtt_us);
	json_num(t, "rto_us", st->rto_us);
	json_num(t, "rx_bytes", st->rx_bytes);
	json_num(t, "tx_bytes", st->tx_bytes);
	json_num(t, "retransmits", st->retransmits);
	json_num(t, "ooo", st->ooo);
	json_close(t, '}');
}

void report_flows_begin(struct text *t)
{
	json_open(t, NULL, '[');
}

void report_flows_end(struct slow *s, struct text *t)
{
	struct conn *c;

	conn_each(&s->conns, c)
		if (c->phase == CONN_BACK)
			report_flow(c, t);
	json_close(t, ']');
}
