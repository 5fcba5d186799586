/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wire.c - join two interfaces by a wire that is as bad as you like.
 *
 *	A ==[port]== schedule -> bottleneck -> pending ==[port]== B      and back the same way
 *
 * A frame that arrives gets its fate from the schedule (schedule.c), a place in the queue
 * before the link (bottleneck.c), and a time at which it is due at the other end; there it
 * waits (pending.c). All three are pure; this file moves frames and watches the clock.
 *
 * While frames come, or wait, the wire sleeps for a grain of time and then looks at both
 * ports, without being woken by them: a wake-up costs whoever causes it several
 * microseconds, which would be charged to the stack under test. When nothing has happened
 * for a while it sleeps in the kernel until a frame comes. Frames that are late because we
 * were keep the times that they should have had: arrival is stamped by the kernel.
 */
#include "bottleneck.h"
#include "options.h"
#include "pending.h"
#include "port.h"
#include "schedule.h"
#include "segment.h"
#include "trace.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define NS_PER_S	1000000000ULL
#define STAY_NS		2000000ULL	/* look by ourselves this long after the last frame */
#define COUNT_NS	(NS_PER_S / 2)	/* ask for missed frames this often */

struct counts {
	uint64_t frames, bytes, out, out_bytes;
	uint64_t lost, burst, full, hole, duplicated, reordered, corrupted, truncated, marked;
	uint64_t too_long, refused;	/* faults of the lab: offloads on; the interface said no */
};

struct direction {
	const struct way *way;
	struct port *in, *out;
	unsigned int end_in, end_out;
	char name[2 * IFNAMSIZ + 1];
	struct schedule schedule;
	struct bottleneck bottleneck;
	struct pending pending;
	uint64_t first_ns;		/* when its first counted frame came; 0: not yet */
	struct frame *ready[PORT_BATCH];	/* due, not yet sent */
	unsigned int nready;
	struct counts n;
};

struct wire {
	struct options opt;
	struct port port[2];
	struct direction dir[2];
	struct trace trace;
	uint64_t busy_ns, counted_ns;	/* when a frame last came; when missed ones were counted */
};

static volatile sig_atomic_t over, cut;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		cut = 1;
	else if (sig == SIGUSR2)
		cut = 0;
	else
		over = 1;
}

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* --- a frame comes in ----------------------------------------------------------------- */

static void put(struct direction *d, const struct arrival *a, size_t len, uint64_t due_ns)
{
	struct frame *f = malloc(sizeof(*f) + len);

	if (!f) {
		d->n.refused++;
		return;
	}
	f->due_ns = due_ns;
	f->len = len;
	memcpy(f->data, a->data, len);
	if (pending_put(&d->pending, f)) {
		d->n.refused++;
		free(f);
	}
}

static bool in_hole(const struct direction *d, uint64_t at_ns)
{
	uint64_t age = at_ns - d->first_ns;

	return cut || (age >= d->way->hole_from_ns && age < d->way->hole_to_ns);
}

/* Why this frame does not pass, counted; NULL: it does. */
static const char *obstacle(struct direction *d, const struct arrival *a, const struct fate *f)
{
	if (in_hole(d, a->at_ns)) {
		d->n.hole++;
		return "drop (hole)";
	}
	if (f->burst) {
		d->n.burst++;
		return "drop (burst)";
	}
	if (f->drop) {
		d->n.lost++;
		return "drop";
	}
	return NULL;
}

/* Do to the frame's bytes what its fate says. The length that is left. */
static size_t harm(struct wire *w, struct direction *d, const struct arrival *a,
		   const struct segment *seg, const struct fate *f, bool mark)
{
	if (mark && segment_mark(a->data, seg)) {
		d->n.marked++;
		trace_event(&w->trace, a->at_ns, d->name, &d->schedule, seg, "mark");
	}
	if (f->flip) {
		a->data[f->flip / 8] ^= (uint8_t)(1U << f->flip % 8);
		d->n.corrupted++;
		trace_event(&w->trace, a->at_ns, d->name, &d->schedule, seg, "corrupt");
	}
	if (f->cut) {
		d->n.truncated++;
		trace_event(&w->trace, a->at_ns, d->name, &d->schedule, seg, "truncate");
		return f->cut;
	}
	return a->len;
}

/* Into the queue and on its way; the copy, if there is one, right behind it. */
static void forward(struct wire *w, struct direction *d, const struct arrival *a,
		    const struct segment *seg, const struct fate *f)
{
	for (unsigned int copies = 1 + f->duplicate; copies; copies--) {
		struct passage p = bottleneck_enter(&d->bottleneck, a->at_ns, a->len);
		bool copy = f->duplicate && copies == 1;
		size_t len;

		if (p.full) {
			d->n.full++;
			trace_event(&w->trace, a->at_ns, d->name, &d->schedule, seg, "drop (full)");
			continue;
		}
		len = copy ? (f->cut ? f->cut : a->len) : harm(w, d, a, seg, f, f->mark || p.mark);
		if (copy) {
			d->n.duplicated++;
			trace_event(&w->trace, a->at_ns, d->name, &d->schedule, seg, "duplicate");
		} else if (f->late_ns) {
			d->n.reordered++;
			trace_event(&w->trace, a->at_ns, d->name, &d->schedule, seg, "reorder");
		}
		put(d, a, len, p.leaves_ns + d->way->delay_ns + f->late_ns);
	}
}

static void arrive(struct wire *w, struct direction *d, struct arrival *a)
{
	struct segment seg = segment_read(a->data, a->len);
	struct fate fate = { 0 };
	const char *why;

	if (a->too_long) {
		if (!d->n.too_long++)
			fprintf(stderr, "wire: %s: frames too long for a wire\n"
				"  turn segmentation offload off behind it.\n", d->in->name);
		return;
	}
	if (a->no_checksum)
		segment_finish_checksum(a->data, &seg);
	trace_frame(&w->trace, d->end_in, a->at_ns, a->data, a->len);
	d->n.frames++;
	d->n.bytes += a->len;

	if (seg.counted) {
		if (!d->first_ns)
			d->first_ns = a->at_ns;
		fate = schedule_next(&d->schedule, seg.classes, a->len);
		why = obstacle(d, a, &fate);
		if (why) {
			trace_event(&w->trace, a->at_ns, d->name, &d->schedule, &seg, why);
			return;
		}
	}
	forward(w, d, a, &seg, &fate);
}

static int receive(struct wire *w, struct direction *d)
{
	struct arrival a[PORT_BATCH];
	int n, all = 0;

	do {
		n = port_receive(d->in, a);
		if (n < 0)
			return n;
		for (int i = 0; i < n; i++)
			arrive(w, d, &a[i]);
		all += n;
	} while (n == PORT_BATCH && all < 16 * PORT_BATCH);
	return all;
}

/* --- a frame goes out ----------------------------------------------------------------- */

static void sent(struct wire *w, struct direction *d, unsigned int n, uint64_t now_ns)
{
	for (unsigned int i = 0; i < n; i++) {
		struct frame *f = d->ready[i];

		trace_frame(&w->trace, d->end_out, now_ns, f->data, f->len);
		d->n.out++;
		d->n.out_bytes += f->len;
		free(f);
	}
	d->nready -= n;
	memmove(d->ready, d->ready + n, d->nready * sizeof(d->ready[0]));
}

/* The first ready frame cannot go, and will not. */
static void refuse(struct direction *d)
{
	d->n.refused++;
	free(d->ready[0]);
	d->nready--;
	memmove(d->ready, d->ready + 1, d->nready * sizeof(d->ready[0]));
}

/* All that is due; what the interface has no room for stays ready. */
static void deliver(struct wire *w, struct direction *d, uint64_t now_ns)
{
	struct frame *f;
	int n;

	for (;;) {
		while (d->nready < PORT_BATCH && (f = pending_pop(&d->pending, now_ns)))
			d->ready[d->nready++] = f;
		if (!d->nready)
			return;
		n = port_send(d->out, d->ready, d->nready);
		if (n == -ENOBUFS || n == -EAGAIN)
			return;
		if (n > 0)
			sent(w, d, (unsigned int)n, now_ns);
		else
			refuse(d);
	}
}

/* --- the loop ------------------------------------------------------------------------- */

static uint64_t next_due(const struct wire *w)
{
	uint64_t at[2];

	for (unsigned int i = 0; i < 2; i++) {
		at[i] = pending_next(&w->dir[i].pending);
		if (w->dir[i].nready)
			at[i] = 0;
	}
	return at[0] < at[1] ? at[0] : at[1];
}

/* Sleep for a grain if the wire is busy, else until something is due or comes. */
static void rest(struct wire *w, uint64_t now_ns, const sigset_t *signals)
{
	struct pollfd fds[2] = { { w->port[0].fd, POLLIN, 0 }, { w->port[1].fd, POLLIN, 0 } };
	uint64_t due = next_due(w), grain = w->opt.grain_ns;
	bool busy = grain && now_ns - w->busy_ns < STAY_NS, retry = due == 0;
	struct timespec t;
	uint64_t wait;

	if (busy || retry)
		wait = grain ? grain : 20000;
	else
		wait = due == UINT64_MAX ? NS_PER_S : due > now_ns ? due - now_ns : 0;
	t = (struct timespec){ (time_t)(wait / NS_PER_S), (long)(wait % NS_PER_S) };
	if (wait == NS_PER_S)
		trace_flush(&w->trace);
	ppoll(fds, busy || retry ? 0 : 2, due == UINT64_MAX && !busy ? NULL : &t, signals);
}

static int turn(struct wire *w, uint64_t now_ns)
{
	for (unsigned int i = 0; i < 2; i++) {
		int n = receive(w, &w->dir[i]);

		if (n < 0) {
			fprintf(stderr, "wire: %s: %s\n", w->dir[i].in->name, strerror(-n));
			return n;
		}
		if (n)
			w->busy_ns = now_ns;
	}
	for (unsigned int i = 0; i < 2; i++)
		deliver(w, &w->dir[i], clock_ns());
	if (now_ns - w->counted_ns > COUNT_NS) {
		w->counted_ns = now_ns;
		port_count_missed(&w->port[0]);
		port_count_missed(&w->port[1]);
	}
	return 0;
}

static int carry(struct wire *w)
{
	struct sigaction act = { .sa_handler = on_signal };
	static const int caught[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };
	sigset_t block, before;
	int err = 0;

	sigemptyset(&block);
	for (unsigned int i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
		sigaction(caught[i], &act, NULL);
		sigaddset(&block, caught[i]);
	}
	sigprocmask(SIG_BLOCK, &block, &before);
	printf("wire: %s and %s are joined\n", w->port[0].name, w->port[1].name);
	fflush(stdout);
	while (!over && !err) {
		uint64_t now_ns = clock_ns();

		err = turn(w, now_ns);
		rest(w, now_ns, &before);
	}
	return err ? err : turn(w, clock_ns());		/* what had come by then counts */
}

/* --- beginning and end ---------------------------------------------------------------- */

static void direction_init(struct wire *w, unsigned int i)
{
	struct direction *d = &w->dir[i];

	d->way = &w->opt.way[i];
	d->in = &w->port[i];
	d->out = &w->port[!i];
	d->end_in = i;
	d->end_out = !i;
	snprintf(d->name, sizeof(d->name), "%s>%s", d->in->name, d->out->name);
	schedule_init(&d->schedule, &d->way->plan, w->opt.seed, i);
	bottleneck_init(&d->bottleneck, &d->way->link);
}

static void direction_free(struct direction *d)
{
	while (d->nready)
		free(d->ready[--d->nready]);
	pending_clear(&d->pending);
}

struct figure {
	const char *name, *unit;
	uint64_t value;
	bool always;
};

static void print_figures(const char *way, const struct figure *f, bool json)
{
	if (json)
		printf("{\"way\":\"%s\"", way);
	else
		printf("%s", way);
	for (; f->name; f++) {
		if (json)
			printf(",\"%s\":%lu", f->name, f->value);
		else if (f->value || f->always)
			printf("  %s %lu%s", f->name, f->value, f->unit);
	}
	puts(json ? "}" : "");
}

static void summary(const struct direction *d, bool json)
{
	const struct bottleneck *b = &d->bottleneck;
	const struct counts *n = &d->n;
	const struct figure figures[] = {
		{ "frames", "", n->frames, true }, { "bytes", "", n->bytes, true },
		{ "out", "", n->out, true }, { "out_bytes", "", n->out_bytes, true },
		{ "lost", "", n->lost, false }, { "burst", "", n->burst, false },
		{ "full", "", n->full, false }, { "hole", "", n->hole, false },
		{ "duplicated", "", n->duplicated, false },
		{ "reordered", "", n->reordered, false },
		{ "corrupted", "", n->corrupted, false },
		{ "truncated", "", n->truncated, false }, { "marked", "", n->marked, false },
		{ "queue_mean", " B", b->seen ? b->seen_sum / b->seen : 0, false },
		{ "queue_max", " B", b->seen_max, false },
		{ "too_long", "", n->too_long, false }, { "refused", "", n->refused, false },
		{ "missed", "", d->in->missed, false },
		{ 0 },
	};

	print_figures(d->name, figures, json);
}

static int ports_open(struct wire *w)
{
	for (unsigned int i = 0; i < 2; i++) {
		int err = port_open(w->opt.ifname[i], &w->port[i]);

		if (err) {
			fprintf(stderr, "wire: %s: cannot listen: %s\n", w->opt.ifname[i],
				strerror(-err));
			if (err == -EPERM)
				fprintf(stderr, "  needs root.\n");
			if (i)
				port_close(&w->port[0]);
			return err;
		}
	}
	return 0;
}

static int run(struct wire *w)
{
	const char *what;
	int err;

	err = trace_open(&w->trace, w->opt.log, w->opt.pcap, &what);
	if (err) {
		fprintf(stderr, "wire: %s: %s\n", what, strerror(-err));
		return err;
	}
	direction_init(w, 0);
	direction_init(w, 1);
	err = carry(w);
	for (unsigned int i = 0; i < 2; i++) {
		port_count_missed(&w->port[i]);
		summary(&w->dir[i], w->opt.json);
		direction_free(&w->dir[i]);
	}
	trace_close(&w->trace);
	return err;
}

int main(int argc, char **argv)
{
	static struct wire w;
	int err = options_parse(argc, argv, &w.opt);

	if (err)
		return err < 0 ? 2 : 0;
	prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
	if (ports_open(&w))
		return 1;
	err = run(&w);
	port_close(&w.port[0]);
	port_close(&w.port[1]);
	return err ? 1 : 0;
}
