/* SPDX-License-Identifier: BSD-2-Clause
 *
 * schedule.c - what a seed decides. Most schedules are mild in most respects: a fault hides
 * best behind one other fault, not behind ten.
 */
#include <stdio.h>
#include <string.h>

#include "sim.h"

static uint64_t pick(struct rnd *r, const uint64_t *of, size_t n) { return of[rnd_below(r, n)]; }
#define PICK(r, ...) pick(r, (const uint64_t[]){ __VA_ARGS__ }, \
			  sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

static void make_link(struct link_cfg *l, struct rnd *r, uint64_t delay_ns)
{
	l->delay_ns = delay_ns;
	l->loss_ppm = (uint32_t)PICK(r, 0, 0, 0, 100, 1000, 10000, 30000, 100000, 150000);
	l->dup_ppm = (uint32_t)PICK(r, 0, 0, 0, 1000, 10000, 100000);
	l->ce_ppm = (uint32_t)PICK(r, 0, 0, 1000, 100000);
	l->jitter_ppm = (uint32_t)PICK(r, 0, 0, 1000, 10000, 200000, 1000000);
	l->jitter_ns = PICK(r, 10000, 100000, 1 * MS, 3 * MS, 30 * MS, 300 * MS);
	if (rnd_ppm(r, 100000)) {
		l->burst_ppm = (uint32_t)PICK(r, 1000, 10000);
		l->burst_len = (uint32_t)rnd_range(r, 2, 40);
	}
	if (rnd_ppm(r, 300000)) {
		l->ns_per_byte = PICK(r, 1, 8, 80, 800);
		l->queue_bytes = (uint32_t)PICK(r, 3000, 15000, 60000, 250000);
	}
	if (rnd_ppm(r, 50000)) {
		l->dark_at_ns = rnd_range(r, 0, 200 * MS);
		l->dark_ns = PICK(r, 50 * MS, 500 * MS, 5 * SEC, 40 * SEC);
	}
}

static void make_host(struct host_cfg *h, struct rnd *r)
{
	h->bytes = PICK(r, 0, 1, 100, 3000, 30000, 100000, 300000);
	h->bytes = rnd_range(r, h->bytes / 2, h->bytes);
	h->write_max = (uint32_t)PICK(r, 1, 64, 1000, 5000, 20000, 65536);
	if (h->bytes / h->write_max > 2000)
		h->write_max = (uint32_t)(h->bytes / 2000);
	h->read_max = (uint32_t)PICK(r, 100, 1000, 5000, 65536, 65536);
	if (h->bytes / h->read_max > 2000)
		h->read_max = (uint32_t)(h->bytes / 2000);
	h->write_gap_ns = PICK(r, 0, 0, 1000, 100000, 2 * MS, 60 * MS);
	h->read_gap_ns = PICK(r, 0, 0, 1000, 100000, 2 * MS, 60 * MS);
	if (rnd_ppm(r, 100000)) {
		h->stall_at = rnd_below(r, 30000);
		h->stall_ns = PICK(r, 100 * MS, 1 * SEC, 20 * SEC, 100 * SEC);
	}
	h->rx_order = (uint32_t)PICK(r, 12, 13, 16, 17, 18, 20);
	h->tx_order = (uint32_t)PICK(r, 12, 13, 16, 17, 18, 20);
	h->opts = (uint32_t)PICK(r, 0, 0, TP_O_NODELAY, TP_O_NODELAY, TP_O_CORK, TP_O_QUICKACK);
	h->fidgets = rnd_ppm(r, 200000);
	h->max_segs = (uint32_t)PICK(r, 1, 1, 4, 44);
}

void schedule_make(struct schedule *s, uint64_t seed)
{
	static const char *const names[] = { "cubic", "reno", "bbr", "dctcp" };
	struct rnd r = { seed * 0xd1342543de82ef95ULL + 1 };
	uint64_t delay = PICK(&r, 10000, 50000, 500000, 5 * MS, 50 * MS, 150 * MS);
	bool conversation = rnd_ppm(&r, 200000);

	*s = (struct schedule){ .seed = seed };
	s->mss = (uint32_t)PICK(&r, 48, 88, 536, 1448, 1448, 1448, 8948);
	s->sack = rnd_ppm(&r, 750000);
	s->ts = rnd_ppm(&r, 750000);
	s->ecn = rnd_ppm(&r, 250000);
	s->cwnd = (uint32_t)PICK(&r, 1, 2, 10, 10, 10, 100);
	s->srtt_us = rnd_ppm(&r, 500000) ? (uint32_t)(delay / 500) + 1 : 0;
	s->pool_bytes = (uint32_t)PICK(&r, 0, 1024, 4096, 65536, 65536, 65536);
	for (int i = 0; i < 2; i++) {
		s->isn[i] = rnd_ppm(&r, 500000) ? (uint32_t)rnd_next(&r)
						: 0U - (uint32_t)rnd_below(&r, 100000);
		s->wscale[i] = (uint8_t)PICK(&r, 0, 2, 7, 7, 10, 14);
		strcpy(s->cc[i], names[rnd_below(&r, sizeof(names) / sizeof(names[0]))]);
		s->max_pacing[i] = rnd_ppm(&r, 50000) ? PICK(&r, 20000, 1000000, 100000000) : ~0ULL;
		make_link(&s->link[i], &r, delay);
		make_host(&s->host[i], &r);
		s->host[i].conversation = conversation;
	}
	s->peer = rnd_ppm(&r, 250000);
	if (rnd_ppm(&r, 100000))
		s->link[0].mark_bytes = s->link[1].mark_bytes = (uint32_t)rnd_range(&r, 1500, 50000);
	/* with every sixth segment lost all waits are timeouts: short streams will do */
	if (s->link[0].loss_ppm >= 100000 || s->link[1].loss_ppm >= 100000)
		s->host[0].bytes /= 8, s->host[1].bytes /= 8;
}

bool schedule_bulk(struct schedule *s, uint64_t seed, const char *spec)
{
	unsigned int mbit, rtt_ms, loss, jitter, seconds = 10;
	char cc[16] = "cubic";

	if (sscanf(spec, "%u,%u,%u,%u,%15[^,],%u", &mbit, &rtt_ms, &loss, &jitter, cc, &seconds) < 4 || !mbit)
		return false;
	*s = (struct schedule){
		.seed = seed,
		.mss = 1448,
		.sack = true,
		.ts = true,
		.cwnd = 10,
		.srtt_us = rtt_ms * 1000,
		.wscale = { 7, 7 },
		.ecn = !strcmp(cc, "dctcp"),
		.pool_bytes = 1U << 20,
	};
	for (int i = 0; i < 2; i++) {
		s->link[i].delay_ns = rtt_ms * MS / 2;
		s->host[i] = (struct host_cfg){
			.write_max = 65536, .read_max = 65536, .write_gap_ns = 1000,
			.read_gap_ns = 1000, .rx_order = TP_ORDER_BIG,
			.tx_order = TP_ORDER_BIG, .max_segs = 1,
		};
		memcpy(s->cc[i], cc, sizeof(cc));
		s->max_pacing[i] = ~0ULL;
	}
	s->host[0].bytes = mbit * 1000000ULL / 8 * seconds;	/* at full rate */
	s->link[0].ns_per_byte = 8000 / mbit;
	s->link[0].queue_bytes = mbit * 1000 / 8 * (rtt_ms > 20 ? rtt_ms : 20);
	/* dctcp's threshold, above a seventh of what the path holds (RFC 8257 4.1) */
	s->link[0].mark_bytes = s->ecn ? 30000 + mbit * 125 * rtt_ms / 7 : 0;
	s->link[0].loss_ppm = loss;
	s->link[0].jitter_ppm = jitter;
	s->link[0].jitter_ns = 3 * MS;
	return true;
}

void schedule_print(const struct schedule *s)
{
	printf("seed %llu: mss %u%s%s%s%s cwnd %u srtt %u us\n", (unsigned long long)s->seed,
	       s->mss, s->sack ? " sack" : "", s->ts ? " ts" : "", s->ecn ? " ecn" : "",
	       s->peer ? ", host 1 is the reference" : "", s->cwnd, s->srtt_us);
	for (int i = 0; i < 2; i++) {
		const struct host_cfg *h = &s->host[i];
		const struct link_cfg *l = &s->link[i];

		printf("  host %d: %s wscale %u, %llu bytes, writes %u/%llu ns, reads %u/%llu ns, "
		       "stall at %llu for %llu ms, rx 2^%u tx 2^%u opts %#x%s%s gso %u\n",
		       i, s->cc[i], s->wscale[i], (unsigned long long)h->bytes, h->write_max,
		       (unsigned long long)h->write_gap_ns, h->read_max,
		       (unsigned long long)h->read_gap_ns, (unsigned long long)h->stall_at,
		       (unsigned long long)(h->stall_ns / MS), h->rx_order, h->tx_order, h->opts,
		       h->fidgets ? " fidgets" : "", h->conversation ? " converses" : "",
		       h->max_segs);
		printf("  link %d: delay %llu us, jitter %llu us in %u ppm, loss %u dup %u ce %u "
		       "ppm, bursts %u ppm of %u, %llu ns/byte queue %u, dark at %llu ms for %llu ms\n",
		       i, (unsigned long long)(l->delay_ns / 1000),
		       (unsigned long long)(l->jitter_ns / 1000), l->jitter_ppm, l->loss_ppm,
		       l->dup_ppm, l->ce_ppm, l->burst_ppm, l->burst_len,
		       (unsigned long long)l->ns_per_byte, l->queue_bytes,
		       (unsigned long long)(l->dark_at_ns / MS),
		       (unsigned long long)(l->dark_ns / MS));
	}
}
