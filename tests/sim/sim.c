/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sim.c - the virtual clock, the queue of events, and main().
 *
 *	sim [--seeds N] [--first S] [--trace]
 *	sim --hostile [--seeds N] [--first S]
 *	sim --bulk MBIT,RTT_MS,LOSS_PPM,JITTER_PPM[,CC]
 *
 * Runs the schedules of seeds S..S+N-1. One that fails is printed with its parameters;
 * `sim --first SEED --seeds 1 --trace` repeats it segment by segment. With --bulk all of
 * them are one way bulk transfers over such a link, and goodput is printed.
 */
#include "sim.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TIME_LIMIT	(200000 * SEC)
#define EVENT_LIMIT	20000000ULL

struct event {
	uint64_t at_ns, order;		/* @order: first come, first served */
	enum sim_event what;
	int host;
	struct packet *packet;
};

/* A binary heap. */
struct queue {
	struct event *e;
	size_t n, room;
	uint64_t order;
};

static bool earlier(const struct event *a, const struct event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void sim_at(struct sim *sim, uint64_t at_ns, enum sim_event what, int host, struct packet *p)
{
	struct queue *q = sim->queue;
	size_t i = q->n++;

	if (q->n > q->room) {
		q->room = q->room ? q->room * 2 : 256;
		q->e = realloc(q->e, q->room * sizeof(*q->e));
		if (!q->e)
			abort();
	}
	q->e[i] = (struct event){ at_ns, q->order++, what, host, p };
	for (; i && earlier(&q->e[i], &q->e[(i - 1) / 2]); i = (i - 1) / 2) {
		struct event up = q->e[(i - 1) / 2];

		q->e[(i - 1) / 2] = q->e[i];
		q->e[i] = up;
	}
}

static struct event queue_pop(struct queue *q)
{
	struct event first = q->e[0];

	q->e[0] = q->e[--q->n];
	for (size_t i = 0, k; (k = 2 * i + 1) < q->n; i = k) {
		struct event down = q->e[i];

		if (k + 1 < q->n && earlier(&q->e[k + 1], &q->e[k]))
			k++;
		if (!earlier(&q->e[k], &q->e[i]))
			break;
		q->e[i] = q->e[k];
		q->e[k] = down;
	}
	return first;
}

void sim_fail(struct sim *sim, const char *fmt, ...)
{
	va_list ap;

	if (sim->failed)
		return;
	sim->failed = true;
	schedule_print(sim->schedule);
	printf("  FAILED at %.3f ms: ", sim->now_ns / 1e6);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	for (int i = 0; i < 2; i++) {
		const struct host *h = &sim->host[i];
		const struct tcp *t = &h->tcp;

		printf("  host %d: wrote %llu read %llu%s%s%s%s una %u nxt %u wnd %u ca %u cwnd %u "
		       "pipe %u sacked %u lost %u rtx %u kind %u flags %#x\n",
		       i, (unsigned long long)h->written, (unsigned long long)h->read,
		       h->closed ? " closed" : "", h->eof ? " eof" : "",
		       h->fin_acked ? " fin-acked" : "", h->peer_fin ? " peer-fin" : "",
		       t->snd_una - sim->schedule->isn[i], t->snd_nxt - sim->schedule->isn[i],
		       t->snd_wnd, t->ca, t->cc.cwnd, tcp_pipe(t), t->sacked, t->lost, t->rtx,
		       t->rtx_kind, t->flags);
	}
}

static void dispatch(struct sim *sim, struct event *e)
{
	struct host *h = &sim->host[e->host];

	switch (e->what) {
	case EV_PACKET:
		host_packet(h, e->packet);
		free(e->packet);
		break;
	case EV_WRITE:
		host_write(h);
		break;
	case EV_READ:
		host_read(h);
		break;
	}
}

/* The next thing that happens: a timer of a host, or an event. False: nothing ever will. */
static bool step(struct sim *sim)
{
	struct queue *q = sim->queue;
	uint64_t next = q->n ? q->e[0].at_ns : ~0ULL;

	for (int i = 0; i < 2; i++) {
		uint64_t at = tcp_deadline(&sim->host[i].tcp);

		if (at <= next && at != ~0ULL) {
			sim->now_ns = at > sim->now_ns ? at : sim->now_ns;
			host_timer(&sim->host[i]);
			return true;
		}
	}
	if (!q->n)
		return false;
	struct event e = queue_pop(q);

	sim->now_ns = e.at_ns > sim->now_ns ? e.at_ns : sim->now_ns;
	dispatch(sim, &e);
	return true;
}

static void play(struct sim *sim)
{
	uint64_t begin = sim->now_ns, events = 0;

	while (!sim->failed && !(host_done(&sim->host[0]) && host_done(&sim->host[1]))) {
		if (!step(sim))
			sim_fail(sim, "nothing will ever happen again");
		else if (sim->now_ns - begin > TIME_LIMIT)
			sim_fail(sim, "takes too long");
		else if (++events > EVENT_LIMIT)
			sim_fail(sim, "too many events");
	}
}

static void report(const struct sim *sim, uint64_t begin_ns)
{
	const struct tcp *t = &sim->host[0].tcp;
	double s = (double)(sim->now_ns - begin_ns) / 1e9;

	printf("  %.2f Mbit/s, %.3f s, %llu segments, %llu resent, srtt %u us, cwnd %u\n",
	       (double)sim->host[1].read * 8 / 1e6 / s, s,
	       (unsigned long long)sim->host[0].sent_segs, (unsigned long long)t->retransmits,
	       t->rtt.srtt_us, t->cc.cwnd);
}

static bool run(uint64_t seed, bool trace, const char *bulk)
{
	struct queue queue = { 0 };
	struct schedule schedule;
	struct sim sim = { .schedule = &schedule, .queue = &queue, .trace = trace };

	if (!bulk)
		schedule_make(&schedule, seed);
	else if (!schedule_bulk(&schedule, seed, bulk))
		return false;
	sim.now_ns = 1000 * SEC + seed % 7919;
	for (int i = 0; i < 2; i++) {
		schedule.link[i].dark_at_ns += sim.now_ns;
		sim.link[i] = (struct link){ .cfg = &schedule.link[i] };
		sim.link[i].rnd.s = seed * 4 + 2 + (uint64_t)i;
	}
	for (int i = 0; i < 2; i++)
		host_init(&sim, i);
	play(&sim);
	if (bulk)
		report(&sim, 1000 * SEC + seed % 7919);

	while (queue.n)
		free(queue_pop(&queue).packet);
	free(queue.e);
	for (int i = 0; i < 2; i++)
		host_free(&sim.host[i]);
	return !sim.failed;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seeds", required_argument, NULL, 'n' },
		{ "first", required_argument, NULL, 'f' },
		{ "trace", no_argument, NULL, 't' },
		{ "hostile", no_argument, NULL, 'h' },
		{ "bulk", required_argument, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t first = 1, n = 2000, failed = 0;
	const char *bulk = NULL;
	bool trace = false, hostile = false, plain = argc == 1;
	int c;

	while ((c = getopt_long(argc, argv, "n:f:thb:", options, NULL)) != -1) {
		if (c == 'n')
			n = strtoull(optarg, NULL, 0);
		else if (c == 'f')
			first = strtoull(optarg, NULL, 0);
		else if (c == 't')
			trace = true;
		else if (c == 'h')
			hostile = true;
		else if (c == 'b')
			bulk = optarg;
		else
			return 2;
	}
	for (uint64_t seed = first; seed < first + n; seed++) {
		if (!hostile)
			failed += !run(seed, trace, bulk);
		if (hostile || plain)
			failed += !hostile_run(seed);
	}
	printf("sim: %llu of %llu schedules failed\n", (unsigned long long)failed,
	       (unsigned long long)n);
	return failed ? 1 : 0;
}
