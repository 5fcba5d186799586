/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sim.h - two TCP stacks, or one and a reference, over a bad link with a virtual clock, all from one seed.
 *
 *	program -> tx pipe -> tcp_tx -> link (loses, delays, doubles) -> tcp_rx -> rx pipe -> program
 *
 * Each host is the real stack (user/fast/tcp*.c) with a program that writes a known stream,
 * reads at its own pace, and closes. A schedule, everything that a seed decides, must end
 * with both streams arrived complete, in order, exactly once, and both FINs acknowledged.
 * After each call into the stack its own invariants are checked (check.c).
 *
 *	sim.c		the clock, the queue of events, main()
 *	schedule.c	a seed's parameters
 *	link.c		what happens to a segment on its way
 *	host.c		the stack and its program
 *	peer.c		a reference TCP in place of the second stack, in some schedules
 *	text.c		a schedule as text; making one simpler that fails
 *	plot.c		cwnd, round trip and queue of a bulk transfer as SVG
 *	hostile.c	one stack, a lying peer and a scribbling program
 *	check.c		what must hold of a struct tcp at any moment
 */
#ifndef TASPILOT_SIM_H
#define TASPILOT_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../../user/fast/tcp_flow.h"

#define MS	1000000ULL
#define SEC	1000000000ULL

/* splitmix64: any seed is good, and streams can be split off. */
struct rnd { uint64_t s; };

static inline uint64_t rnd_next(struct rnd *r)
{
	uint64_t z = (r->s += 0x9e3779b97f4a7c15ULL);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static inline uint64_t rnd_below(struct rnd *r, uint64_t n) { return n ? rnd_next(r) % n : 0; }
static inline uint64_t rnd_range(struct rnd *r, uint64_t lo, uint64_t hi)
{
	return lo + rnd_below(r, hi - lo + 1);
}
/* True in @ppm of a million cases. */
static inline bool rnd_ppm(struct rnd *r, uint32_t ppm) { return rnd_below(r, 1000000) < ppm; }

struct link_cfg {
	uint64_t delay_ns, jitter_ns;	/* one way; jitter is added to some */
	uint32_t jitter_ppm, loss_ppm, dup_ppm, ce_ppm;
	uint32_t burst_ppm, burst_len;	/* so often so many in a row are lost */
	uint64_t ns_per_byte;		/* bottleneck; 0: none */
	uint32_t queue_bytes;		/* in front of it */
	uint32_t mark_bytes;		/* CE instead beyond so many of them; 0 never */
	uint64_t dark_at_ns, dark_ns;	/* nothing passes then */
};

struct host_cfg {
	uint64_t bytes;			/* it will write so many, then close */
	uint32_t write_max, read_max;	/* at a time */
	uint64_t write_gap_ns, read_gap_ns;
	uint64_t stall_at, stall_ns;	/* the reader stops at this byte for so long */
	uint32_t rx_order, tx_order;
	uint32_t opts;			/* TP_O_*, changed at random if @fidgets */
	bool fidgets;
	bool conversation;		/* writes only in answer to what it read */
	uint32_t max_segs;
};

struct schedule {
	uint64_t seed;
	uint32_t mss;
	bool sack, ts, ecn;
	bool peer;			/* host 1 is the reference */
	uint8_t wscale[2];		/* of the window that host i advertises */
	uint32_t isn[2];
	uint32_t cwnd;
	uint32_t srtt_us;
	uint32_t pool_bytes;
	char cc[2][16];
	uint64_t max_pacing[2];
	struct link_cfg link[2];	/* 0: from host 0 to host 1 */
	struct host_cfg host[2];
};

void schedule_make(struct schedule *s, uint64_t seed);
/* A bulk transfer; false: @spec makes no sense. */
bool schedule_bulk(struct schedule *s, uint64_t seed, const char *spec);
void schedule_print(const struct schedule *s);
void schedule_write(const struct schedule *s, FILE *out);
bool schedule_read(struct schedule *s, FILE *in);	/* false: said what is wrong */
/* As simple as it can be made while @fails still says so. */
void schedule_shrink(struct schedule *s, bool (*fails)(const struct schedule *));

struct packet {
	struct tcp_seg seg;
	bool ect;
	uint8_t data[];
};

enum sim_event { EV_PACKET, EV_WRITE, EV_READ };

struct sim;

struct host {
	struct sim *sim;
	int id;
	const struct host_cfg *cfg;
	struct rnd rnd;
	struct tcp tcp;
	struct tp_slot *slot;
	struct tp_pipe_mem rx, tx;
	struct tcp_pool pool;
	void *arena;

	/* the program's side */
	uint64_t tx_geom, written, read, told_peer;
	bool closed, eof, write_due, read_due, stalled;
	uint64_t stall_until;

	bool fin_acked, peer_fin, dead;
	uint32_t last_edge;
	uint64_t sent_segs, sent_bytes;
};

struct link {
	const struct link_cfg *cfg;
	struct rnd rnd;
	uint64_t busy_until_ns, burst_until_ns;
	uint32_t burst_left, in_a_row;
	uint64_t passed, lost, marked;
	uint64_t queued_ns, waits;	/* sum of the times in the queue, and of how many */
};

struct sim {
	const struct schedule *schedule;
	uint64_t now_ns;
	struct host host[2];
	struct link link[2];
	struct queue *queue;
	struct peer *peer;		/* NULL: host 1 is a stack */
	struct plot *plot;		/* NULL: none */
	bool trace, quiet, failed;
};

void sim_at(struct sim *sim, uint64_t at_ns, enum sim_event what, int host, struct packet *p);
/* The bytes that host @id writes: @n of them from @pos; is this what they are? */
void sim_stream(const struct sim *sim, int id, uint64_t pos, uint8_t *ret, uint32_t n);
bool sim_stream_is(const struct sim *sim, int id, uint64_t pos, const uint8_t *data, uint32_t n);
void sim_fail(struct sim *sim, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void link_send(struct sim *sim, int from, const struct tcp_out *o, const uint8_t *data);

void host_init(struct sim *sim, int id);
void host_free(struct host *h);
void host_packet(struct host *h, const struct packet *p);
void host_timer(struct host *h);
void host_write(struct host *h);
void host_read(struct host *h);
bool host_done(const struct host *h);

#define SIM_FIRST_WINDOW	29200U

struct peer *peer_new(struct sim *sim);
void peer_free(struct peer *p);
void peer_packet(struct peer *p, const struct packet *k);
void peer_read(struct peer *p);
void peer_timer(struct peer *p);
uint64_t peer_deadline(const struct peer *p);
bool peer_done(const struct peer *p);

struct plot *plot_new(const char *path);
void plot_sample(struct plot *p, const struct sim *sim);
void plot_finish(struct plot *p, const struct sim *sim, const char *title);

/* One victim's life; false: something did not hold. */
bool hostile_run(uint64_t seed);

/* NULL, or what does not hold. */
const char *check_tcp(const struct tcp *t);

#endif
