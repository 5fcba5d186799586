/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sim.c - the virtual clock, the queue of events, and main().
 *
 *	sim [--seeds N] [--first S] [--trace]
 *	sim [--trace] FILE...
 *	sim --hostile [--seeds N] [--first S]
 *	sim --bulk MBIT,RTT_MS,LOSS_PPM,JITTER_PPM[,CC[,SECONDS]] [--plot FILE]
 *
 * Runs the schedules of seeds S..S+N-1. One that fails is printed with its parameters, then
 * in its simplest form (text.c), to be kept as a file; `sim --first SEED --seeds 1 --trace` and
 * `sim --trace FILE` repeat it segment by segment. With --bulk all of them are one way bulk
 * transfers over such a link, and goodput is printed; --plot draws one (plot.c).
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

static void describe(const struct sim *sim)
{
	for (int i = 0; i < 2 - !!sim->peer; i++) {
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

void sim_fail(struct sim *sim, const char *fmt, ...)
{
	va_list ap;

	if (sim->failed)
		return;
	sim->failed = true;
	if (sim->quiet)
		return;
	schedule_print(sim->schedule);
	printf("  FAILED at %.3f ms: ", sim->now_ns / 1e6);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	describe(sim);
}

static void dispatch(struct sim *sim, struct event *e)
{
	struct host *h = &sim->host[e->host];

	if (e->host && sim->peer) {
		if (e->what == EV_PACKET)
			peer_packet(sim->peer, e->packet);
		else
			peer_read(sim->peer);
		free(e->packet);
		return;
	}
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

static uint64_t deadline(const struct sim *sim, int host)
{
	return host && sim->peer ? peer_deadline(sim->peer) : tcp_deadline(&sim->host[host].tcp);
}

static void fire(struct sim *sim, int host)
{
	if (host && sim->peer)
		peer_timer(sim->peer);
	else
		host_timer(&sim->host[host]);
}

/* The next thing that happens: a timer of a host, or an event. False: nothing ever will. */
static bool step(struct sim *sim)
{
	struct queue *q = sim->queue;
	uint64_t next = q->n ? q->e[0].at_ns : ~0ULL;

	for (int i = 0; i < 2; i++) {
		uint64_t at = deadline(sim, i);

		if (at <= next && at != ~0ULL) {
			sim->now_ns = at > sim->now_ns ? at : sim->now_ns;
			fire(sim, i);
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

static bool all_done(const struct sim *sim)
{
	return host_done(&sim->host[0]) &&
	       (sim->peer ? peer_done(sim->peer) : host_done(&sim->host[1]));
}

static void play(struct sim *sim)
{
	uint64_t begin = sim->now_ns, events = 0;

	while (!sim->failed && !all_done(sim)) {
		if (sim->plot)
			plot_sample(sim->plot, sim);
		if (!step(sim))
			sim_fail(sim, "nothing will ever happen again");
		else if (sim->now_ns - begin > TIME_LIMIT)
			sim_fail(sim, "takes too long");
		else if (++events > EVENT_LIMIT)
			sim_fail(sim, "too many events");
	}
}

struct how {
	bool trace, quiet, bulk;
	double *mbps, *queue_ms;	/* NULL, or where to put what came out */
	const char *plot;		/* a file for the picture, NULL none */
};

static void report(const struct sim *sim, uint64_t begin_ns, const struct how *how)
{
	const struct tcp *t = &sim->host[0].tcp;
	const struct link *l = &sim->link[0];
	double s = (double)(sim->now_ns - begin_ns) / 1e9;

	double mbps = (double)sim->host[1].read * 8 / 1e6 / s;
	double queue_ms = l->waits ? (double)l->queued_ns / 1e6 / (double)l->waits : 0;

	if (how->mbps)
		*how->mbps = mbps;
	if (how->queue_ms)
		*how->queue_ms = queue_ms;
	if (how->bulk)
		printf("  %.2f Mbit/s, %.3f s, %llu segments, %llu resent, srtt %u us, cwnd %u, "
		       "queue %.2f ms, %llu marked\n",
		       mbps, s, (unsigned long long)sim->host[0].sent_segs,
		       (unsigned long long)t->retransmits, t->rtt.srtt_us, t->cc.cwnd, queue_ms,
		       (unsigned long long)l->marked);
}

static void set_up(struct sim *sim, struct schedule *s)
{
	sim->now_ns = 1000 * SEC + s->seed % 7919;
	for (int i = 0; i < 2; i++) {
		s->link[i].dark_at_ns += sim->now_ns;
		sim->link[i] = (struct link){ .cfg = &s->link[i] };
		sim->link[i].rnd.s = s->seed * 4 + 2 + (uint64_t)i;
	}
	host_init(sim, 0);
	if (s->peer)
		sim->peer = peer_new(sim);
	else
		host_init(sim, 1);
}

static void tear_down(struct sim *sim)
{
	while (sim->queue->n)
		free(queue_pop(sim->queue).packet);
	free(sim->queue->e);
	host_free(&sim->host[0]);
	if (sim->peer)
		peer_free(sim->peer);
	else
		host_free(&sim->host[1]);
}

/* True: all that must hold did. */
static bool run(const struct schedule *which, const struct how *how)
{
	struct queue queue = { 0 };
	struct schedule schedule = *which;
	struct sim sim = { .schedule = &schedule, .queue = &queue, .trace = how->trace,
			   .quiet = how->quiet };
	uint64_t begin_ns;

	set_up(&sim, &schedule);
	begin_ns = sim.now_ns;
	if (how->plot)
		sim.plot = plot_new(how->plot);
	play(&sim);
	if (!sim.peer)
		report(&sim, begin_ns, how);
	if (sim.plot)
		plot_finish(sim.plot, &sim, which->cc[0]);
	tear_down(&sim);
	return !sim.failed;
}

static bool fails(const struct schedule *s)
{
	return !run(s, &(struct how){ .quiet = true });
}

/* A failure is made as simple as it can be, and printed as a file for tests/sim/kept. */
static bool run_seed(uint64_t seed, const struct how *how, bool shrink)
{
	struct schedule s;

	schedule_make(&s, seed);
	if (run(&s, how))
		return true;
	if (shrink && fails(&s)) {
		schedule_shrink(&s, fails);
		printf("  simplest schedule that fails:\n");
		schedule_write(&s, stdout);
	}
	return false;
}

static bool run_file(const char *path, const struct how *how)
{
	FILE *in = fopen(path, "r");
	struct schedule s;
	bool good;

	if (!in) {
		perror(path);
		return false;
	}
	good = schedule_read(&s, in) && run(&s, how);
	fclose(in);
	if (!good)
		printf("%s failed\n", path);
	return good;
}

/* What the congestion controls must reach, in virtual time: so neither the machine nor its
 * load have a say.
 */
static bool run_expected(void)
{
	static const struct {
		const char *spec;
		double mbps, queue_ms;	/* at least; on average at most */
	} cases[] = {
		{ "100,20,0,0,reno", 90, 20 }, { "100,20,0,0,cubic", 90, 20 },
		{ "100,20,0,10000,cubic", 90, 20 },
		{ "100,20,0,0,bbr", 90, 5 }, { "100,20,10000,0,bbr", 88, 5 },
		/* the queue stays near the threshold of 34 kB, which is 2.7 ms */
		{ "100,2,0,0,dctcp", 94, 3 },
	};
	bool good = true;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct how how = { .quiet = true };
		struct schedule s;
		double mbps, ms;

		how.mbps = &mbps;
		how.queue_ms = &ms;
		if (!schedule_bulk(&s, 1, cases[i].spec) || !run(&s, &how) ||
		    mbps < cases[i].mbps || ms > cases[i].queue_ms) {
			printf("%s: %.1f Mbit/s, queue %.1f ms\n", cases[i].spec, mbps, ms);
			good = false;
		}
	}
	return good;
}

static bool run_bulk(uint64_t seed, const char *spec, struct how how)
{
	struct schedule s;

	how.bulk = true;
	return schedule_bulk(&s, seed, spec) && run(&s, &how);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seeds", required_argument, NULL, 'n' },
		{ "first", required_argument, NULL, 'f' },
		{ "trace", no_argument, NULL, 't' },
		{ "hostile", no_argument, NULL, 'h' },
		{ "bulk", required_argument, NULL, 'b' },
		{ "plot", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t first = 1, n = 2000, failed = 0;
	bool hostile = false, plain = argc == 1;
	const char *bulk = NULL;
	struct how how = { 0 };
	int c;

	while ((c = getopt_long(argc, argv, "n:f:thb:p:", options, NULL)) != -1) {
		if (c == 'n')
			n = strtoull(optarg, NULL, 0);
		else if (c == 'f')
			first = strtoull(optarg, NULL, 0);
		else if (c == 't')
			how.trace = true;
		else if (c == 'h')
			hostile = true;
		else if (c == 'b')
			bulk = optarg;
		else if (c == 'p')
			how.plot = optarg;
		else
			return 2;
	}
	if (plain && !run_expected())
		failed++;
	if (optind < argc)
		n = 0;
	for (int i = optind; i < argc; i++)
		failed += !run_file(argv[i], &how);
	for (uint64_t seed = first; seed < first + n; seed++) {
		if (bulk)
			failed += !run_bulk(seed, bulk, how);
		else if (!hostile)
			failed += !run_seed(seed, &how, !how.trace);
		if (hostile || plain)
			failed += !hostile_run(seed);
	}
	printf("sim: %llu of %llu schedules failed\n", (unsigned long long)failed,
	       (unsigned long long)(n ? n : (uint64_t)(argc - optind)));
	return failed ? 1 : 0;
}
