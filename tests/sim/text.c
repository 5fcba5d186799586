/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text.c - a schedule as text, a line a parameter, so that it can be kept; and made simpler.
 *
 * A seed means another schedule as soon as schedule.c draws one number more. What was found
 * by a seed is kept by its parameters (tests/sim/kept). Each has a calm value, that of a link
 * or program without quirks: a failure is shrunk by giving parameters their calm value, or
 * one nearer to it, one at a time, as long as it still fails.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "sim.h"

struct field {
	const char *name;
	size_t at;
	size_t size;
	uint64_t calm;
};

#define F(name, calm) { #name, offsetof(struct schedule, name), \
			sizeof(((struct schedule *)0)->name), calm }
#define LINK(i)									\
	F(link[i].dark_ns, 0), F(link[i].dark_at_ns, 0), F(link[i].burst_ppm, 0),	\
	F(link[i].burst_len, 0), F(link[i].ce_ppm, 0), F(link[i].dup_ppm, 0),		\
	F(link[i].jitter_ppm, 0), F(link[i].jitter_ns, 0), F(link[i].loss_ppm, 0),	\
	F(link[i].ns_per_byte, 0), F(link[i].queue_bytes, 0), F(link[i].mark_bytes, 0), \
	F(link[i].delay_ns, 10000)
#define HOST(i)									\
	F(host[i].bytes, 0), F(host[i].stall_ns, 0), F(host[i].stall_at, 0),		\
	F(host[i].fidgets, 0), F(host[i].conversation, 0), F(host[i].opts, 0),		\
	F(host[i].write_gap_ns, 0), F(host[i].read_gap_ns, 0), F(host[i].write_max, 65536),	\
	F(host[i].read_max, 65536), F(host[i].max_segs, 1), F(host[i].rx_order, 20),	\
	F(host[i].tx_order, 20)

static const struct field fields[] = {
	F(peer, 0), F(ecn, 0), F(sack, 1), F(ts, 1), F(mss, 1448), F(cwnd, 10), F(srtt_us, 0),
	F(pool_bytes, 65536), F(wscale[0], 7), F(wscale[1], 7), F(isn[0], 0), F(isn[1], 0),
	F(max_pacing[0], ~0ULL), F(max_pacing[1], ~0ULL), HOST(0), HOST(1), LINK(0), LINK(1),
	F(seed, 1),
};
#define FIELDS	(sizeof(fields) / sizeof(fields[0]))

static uint64_t get(const struct schedule *s, const struct field *f)
{
	uint64_t v = 0;

	memcpy(&v, (const char *)s + f->at, f->size);
	return v;
}

static void set(struct schedule *s, const struct field *f, uint64_t v)
{
	memcpy((char *)s + f->at, &v, f->size);
}

void schedule_write(const struct schedule *s, FILE *out)
{
	for (int i = 0; i < 2; i++)
		fprintf(out, "cc[%d] %s\n", i, s->cc[i]);
	for (size_t i = 0; i < FIELDS; i++)
		if (get(s, &fields[i]) != fields[i].calm)
			fprintf(out, "%s %" PRIu64 "\n", fields[i].name, get(s, &fields[i]));
}

static bool read_line(struct schedule *s, const char *line)
{
	char name[64], value[32];
	unsigned int id;

	if (sscanf(line, " cc[%u] %15s", &id, value) == 2 && id < 2) {
		memcpy(s->cc[id], value, sizeof(s->cc[id]));
		return true;
	}
	if (sscanf(line, " %63s %31s", name, value) != 2 || name[0] == '#')
		return line[strspn(line, " \t\n")] == 0 || line[0] == '#';
	for (size_t i = 0; i < FIELDS; i++) {
		uint64_t v;

		if (strcmp(fields[i].name, name))
			continue;
		if (sscanf(value, "%" SCNu64, &v) != 1)
			return false;
		set(s, &fields[i], v);
		return true;
	}
	return false;
}

bool schedule_read(struct schedule *s, FILE *in)
{
	char line[256];

	*s = (struct schedule){ .cc = { "cubic", "cubic" } };
	for (size_t i = 0; i < FIELDS; i++)
		set(s, &fields[i], fields[i].calm);
	while (fgets(line, sizeof(line), in))
		if (!read_line(s, line)) {
			fprintf(stderr, "what is '%s'?\n", line);
			return false;
		}
	return true;
}

/* Towards calm: all the way, or half of it. */
static bool simpler(struct schedule *s, const struct field *f, bool (*fails)(const struct schedule *))
{
	struct schedule try = *s;
	uint64_t v = get(s, f), half = f->calm < v ? f->calm + (v - f->calm) / 2 : f->calm;

	if (v == f->calm)
		return false;
	set(&try, f, f->calm);
	if (!fails(&try)) {
		if (half == v || half == f->calm)
			return false;
		set(&try, f, half);
		if (!fails(&try))
			return false;
	}
	*s = try;
	return true;
}

void schedule_shrink(struct schedule *s, bool (*fails)(const struct schedule *))
{
	bool progress = true;

	for (int round = 0; progress && round < 20; round++) {
		progress = false;
		for (size_t i = 0; i < FIELDS; i++)
			progress |= simpler(s, &fields[i], fails);
	}
}
