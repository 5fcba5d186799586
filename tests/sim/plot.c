/* SPDX-License-Identifier: BSD-2-Clause
 *
 * plot.c - a bulk transfer as a picture: window and flight, round trip and queue, over time.
 *
 * Sampled when something happens, at most every 10 ms. Two panels, one below the other, each
 * scaled to its largest value.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sim.h"

#define SAMPLE_NS	(10 * MS)
#define MOST		4000U
#define WIDTH		900
#define HEIGHT		220
#define LEFT		70

struct point {
	double s, cwnd, flight, rtt_ms, queue_ms;
};

struct plot {
	const char *path;
	uint64_t begin_ns, next_ns;
	uint32_t n;
	struct point at[MOST];
};

struct plot *plot_new(const char *path)
{
	struct plot *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	p->path = path;
	return p;
}

void plot_sample(struct plot *p, const struct sim *sim)
{
	const struct tcp *t = &sim->host[0].tcp;
	const struct link *l = &sim->link[0];
	uint64_t busy = l->busy_until_ns > sim->now_ns ? l->busy_until_ns - sim->now_ns : 0;

	if (!p->begin_ns)
		p->begin_ns = sim->now_ns;
	if (sim->now_ns < p->next_ns || p->n == MOST)
		return;
	p->next_ns = sim->now_ns + SAMPLE_NS;
	p->at[p->n++] = (struct point){
		.s = (double)(sim->now_ns - p->begin_ns) / 1e9,
		.cwnd = t->cc.cwnd,
		.flight = tcp_pipe_segs(t),
		.rtt_ms = t->rtt.srtt_us / 1e3,
		.queue_ms = (double)busy / 1e6,
	};
}

/* Column @i of a point after its time. */
static double column(const struct point *p, int i)
{
	return i == 0 ? p->cwnd : i == 1 ? p->flight : i == 2 ? p->rtt_ms : p->queue_ms;
}

static double largest(const struct plot *p, int a, int b)
{
	double most = 1;

	for (uint32_t i = 0; i < p->n; i++)
		for (int c = a; c <= b; c++)
			most = column(&p->at[i], c) > most ? column(&p->at[i], c) : most;
	return most;
}

static void curve(FILE *f, const struct plot *p, int c, double most, const char *colour, int top)
{
	double end = p->n ? p->at[p->n - 1].s : 1;

	fprintf(f, "<polyline fill='none' stroke='%s' points='", colour);
	for (uint32_t i = 0; i < p->n; i++)
		fprintf(f, "%.1f,%.1f ", LEFT + WIDTH * p->at[i].s / end,
			top + HEIGHT - HEIGHT * column(&p->at[i], c) / most);
	fprintf(f, "'/>\n");
}

/* Two columns from @c on in a panel that begins at @top. */
static void panel(FILE *f, const struct plot *p, int c, const char *what, int top)
{
	static const char *const colours[] = { "#1f5fa8", "#d9822b" };
	double most = largest(p, c, c + 1);

	fprintf(f, "<rect x='%d' y='%d' width='%d' height='%d' fill='none' stroke='#999'/>\n", LEFT,
		top, WIDTH, HEIGHT);
	fprintf(f, "<text x='%d' y='%d'>%s</text>\n", LEFT + 8, top + 16, what);
	for (int i = 0; i <= 4; i++)
		fprintf(f, "<text x='%d' y='%d' text-anchor='end'>%.4g</text>\n", LEFT - 6,
			top + HEIGHT - HEIGHT * i / 4 + 4, most * i / 4);
	for (int i = 1; i >= 0; i--)
		curve(f, p, c + i, most, colours[i], top);
}

void plot_finish(struct plot *p, const struct sim *sim, const char *title)
{
	const struct link_cfg *l = &sim->schedule->link[0];
	double end = p->n ? p->at[p->n - 1].s : 0;
	FILE *f = fopen(p->path, "w");

	if (!f) {
		perror(p->path);
		exit(1);
	}
	fprintf(f, "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
		   "font-family='sans-serif' font-size='12'>\n<rect width='100%%' height='100%%' "
		   "fill='white'/>\n", LEFT + WIDTH + 20, 2 * HEIGHT + 110);
	fprintf(f, "<text x='%d' y='20' font-size='15'>%s: %.0f Mbit/s, %.0f ms, %.2f%% lost</text>\n",
		LEFT, title, 8000.0 / l->ns_per_byte, 2 * l->delay_ns / 1e6, l->loss_ppm / 1e4);
	panel(f, p, 0, "window (blue) and in flight (orange), segments", 35);
	panel(f, p, 2, "smoothed round trip (blue) and queue (orange), ms", HEIGHT + 65);
	for (int i = 0; i <= 5; i++)
		fprintf(f, "<text x='%d' y='%d' text-anchor='middle'>%.1f s</text>\n",
			LEFT + WIDTH * i / 5, 2 * HEIGHT + 85, end * i / 5);
	fprintf(f, "</svg>\n");
	fclose(f);
	free(p);
}
