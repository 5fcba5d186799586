/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options.c - read the command line of wire.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
"wire - join two interfaces by a wire that is as bad as you like\n"
"\n"
"usage: wire [OPTION]... IF_A IF_B\n"
"\n"
"  --rtt TIME             half of it each way\n"
"  --delay TIME           each way\n"
"  --rate RATE            bits a second: 100M, 1G; default: no limit\n"
"  --queue BYTES          before that rate: 64K, 1M (default); what does not fit is dropped\n"
"  --mark-above BYTES     mark CE what finds more than this in the queue\n"
"\n"
"  --drop WHEN            lose it\n"
"  --burst ENTER:LEAVE[:LOSS]  lose in bursts (Gilbert): the chance to enter the bad state,\n"
"                         to leave it, and of loss while in it (default 100%)\n"
"  --duplicate WHEN       deliver it twice\n"
"  --reorder WHEN         hold it back, so that others overtake it,\n"
"  --reorder-by MIN-MAX   by so long (default 1ms-3ms)\n"
"  --corrupt WHEN         flip one bit\n"
"  --truncate WHEN        cut its end off\n"
"  --mark WHEN            mark it CE, if it is ECN-capable\n"
"  --hole FROM-TO         let nothing pass from FROM to TO after the first frame\n"
"\n"
"  --from-a, --from-b     what follows holds only for frames that come from there\n"
"  --both                 ... for both again\n"
"\n"
"  --seed N               default 1. The same seed does the same to the same frames\n"
"  --log FILE             a line for each thing done to a frame; - is stdout\n"
"  --pcap PREFIX          PREFIX.a.pcap, PREFIX.b.pcap: what passed at either interface\n"
"  --json                 the summary at the end as JSON\n"
"  --grain TIME           look at the wire this often while it is busy (default 50us);\n"
"                         0: at once, at the cost of one wake-up a frame\n"
"\n"
"WHEN is a chance (1%, 0.01) or CLASS:LIST. CLASS is frame, data, ack (nothing but), syn or\n"
"fin; LIST names some of them, counted from 1 in each direction: 3,7-9,100-,/50 (every 50th).\n"
"An option given twice adds to the first. ARP, neighbour discovery, broadcast and multicast\n"
"are neither counted nor harmed.\n"
"\n"
"TIME is in ms, or 50us, 1.5s. SIGUSR1 cuts the wire, SIGUSR2 joins it again; SIGTERM ends\n"
"and prints the summary. Both interfaces should have no address, and what is at their other\n"
"ends no segmentation offload (ethtool -K ... tso off gso off).\n";

enum {
	OPT_RTT = 256, OPT_DELAY, OPT_RATE, OPT_QUEUE, OPT_MARK_ABOVE, OPT_BURST, OPT_REORDER_BY,
	OPT_HOLE, OPT_FROM_A, OPT_FROM_B, OPT_BOTH, OPT_SEED, OPT_LOG, OPT_PCAP, OPT_JSON,
	OPT_GRAIN, OPT_HELP, OPT_ACT,
};

static const struct option table[] = {
	{ "rtt", 1, NULL, OPT_RTT },
	{ "delay", 1, NULL, OPT_DELAY },
	{ "rate", 1, NULL, OPT_RATE },
	{ "queue", 1, NULL, OPT_QUEUE },
	{ "mark-above", 1, NULL, OPT_MARK_ABOVE },
	{ "burst", 1, NULL, OPT_BURST },
	{ "reorder-by", 1, NULL, OPT_REORDER_BY },
	{ "hole", 1, NULL, OPT_HOLE },
	{ "from-a", 0, NULL, OPT_FROM_A },
	{ "from-b", 0, NULL, OPT_FROM_B },
	{ "both", 0, NULL, OPT_BOTH },
	{ "seed", 1, NULL, OPT_SEED },
	{ "log", 1, NULL, OPT_LOG },
	{ "pcap", 1, NULL, OPT_PCAP },
	{ "json", 0, NULL, OPT_JSON },
	{ "grain", 1, NULL, OPT_GRAIN },
	{ "help", 0, NULL, OPT_HELP },
	{ "drop", 1, NULL, OPT_ACT + ACT_DROP },
	{ "duplicate", 1, NULL, OPT_ACT + ACT_DUPLICATE },
	{ "reorder", 1, NULL, OPT_ACT + ACT_REORDER },
	{ "corrupt", 1, NULL, OPT_ACT + ACT_CORRUPT },
	{ "truncate", 1, NULL, OPT_ACT + ACT_TRUNCATE },
	{ "mark", 1, NULL, OPT_ACT + ACT_MARK },
	{ 0 },
};

struct unit {
	const char *name;
	double factor;
};

/* A number not below 0, and one of @units behind it (the last has an empty name). */
static int parse_scaled(const char *text, const struct unit *units, uint64_t *ret)
{
	char *end;
	double v;

	v = strtod(text, &end);
	if (end == text || !(v >= 0))
		return -EINVAL;
	for (const struct unit *u = units;; u++) {
		if (!strcmp(end, u->name)) {
			v *= u->factor;
			break;
		}
		if (!u->name[0])
			return -EINVAL;
	}
	if (v >= 0x1p62)
		return -EINVAL;
	*ret = (uint64_t)llround(v);
	return 0;
}

int parse_time(const char *text, uint64_t *ret_ns)
{
	static const struct unit units[] = {
		{ "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 }, { "", 1e6 },
	};

	return parse_scaled(text, units, ret_ns);
}

int parse_rate(const char *text, uint64_t *ret_bps)
{
	static const struct unit units[] = { { "K", 1e3 }, { "M", 1e6 }, { "G", 1e9 }, { "", 1 } };

	return parse_scaled(text, units, ret_bps);
}

int parse_bytes(const char *text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{ "K", 1 << 10 }, { "M", 1 << 20 }, { "G", 1 << 30 }, { "", 1 },
	};

	return parse_scaled(text, units, ret_bytes);
}

int parse_chance(const char *text, double *ret)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text)
		return -EINVAL;
	if (!strcmp(end, "%"))
		v /= 100;
	else if (*end)
		return -EINVAL;
	if (!(v >= 0 && v <= 1))
		return -EINVAL;
	*ret = v;
	return 0;
}

/* "7", "7-9", "100-" or "/50" */
static int parse_chosen(const char *item, struct chosen *c)
{
	uint64_t first, last, step = 1;
	char *end;

	if (item[0] == '/') {
		first = step = strtoull(item + 1, &end, 10);
		last = UINT64_MAX;
	} else {
		first = last = strtoull(item, &end, 10);
		if (*end == '-') {
			item = end + 1;
			last = *item ? strtoull(item, &end, 10) : UINT64_MAX;
			end += !*item;
		}
	}
	if (*end || !first || last < first)
		return -EINVAL;
	c->first = first;
	c->last = last;
	c->step = step;
	return 0;
}

static int parse_class(const char *name, enum wire_class *ret)
{
	static const char *const names[] = {
		[CLASS_FRAME] = "frame", [CLASS_DATA] = "data", [CLASS_ACK] = "ack",
		[CLASS_SYN] = "syn", [CLASS_FIN] = "fin",
	};

	for (unsigned int i = 0; i < CLASSES; i++) {
		if (!strcmp(name, names[i])) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_list(char *text, struct when *w)
{
	char *list = strchr(text, ':'), *save, *item;
	enum wire_class class;

	*list++ = 0;
	if (parse_class(text, &class))
		return -EINVAL;
	for (item = strtok_r(list, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		if (w->nchosen == CHOSEN_MAX || parse_chosen(item, &w->chosen[w->nchosen]))
			return -EINVAL;
		w->chosen[w->nchosen++].class = class;
	}
	return 0;
}

int parse_when(const char *text, struct when *w)
{
	struct when add = *w;
	char *copy;
	int err;

	if (strchr(text, ':')) {
		copy = strdup(text);
		if (!copy)
			return -ENOMEM;
		err = parse_list(copy, &add);
		free(copy);
	} else {
		err = parse_chance(text, &add.chance);
	}
	if (!err)
		*w = add;
	return err;
}

static int parse_burst(const char *text, struct plan *p)
{
	char enter[32], leave[32], loss[32] = "100%";

	if (sscanf(text, "%31[^:]:%31[^:]:%31s", enter, leave, loss) < 2)
		return -EINVAL;
	if (parse_chance(enter, &p->burst_enter) || parse_chance(leave, &p->burst_leave) ||
	    parse_chance(loss, &p->burst_loss))
		return -EINVAL;
	return 0;
}

static int parse_span(const char *text, uint64_t *ret_min_ns, uint64_t *ret_max_ns)
{
	char min[32], max[32];
	uint64_t a, b;

	if (sscanf(text, "%31[^-]-%31s", min, max) != 2 || parse_time(min, &a) ||
	    parse_time(max, &b) || b < a)
		return -EINVAL;
	*ret_min_ns = a;
	*ret_max_ns = b;
	return 0;
}

/* An option that concerns one direction. */
static int set_way(struct way *w, int opt, const char *arg)
{
	int err;

	switch (opt) {
	case OPT_RTT:
		err = parse_time(arg, &w->delay_ns);
		w->delay_ns /= 2;
		return err;
	case OPT_DELAY:
		return parse_time(arg, &w->delay_ns);
	case OPT_RATE:
		return parse_rate(arg, &w->link.rate_bps);
	case OPT_QUEUE:
		return parse_bytes(arg, &w->link.queue_bytes);
	case OPT_MARK_ABOVE:
		return parse_bytes(arg, &w->link.mark_above);
	case OPT_BURST:
		return parse_burst(arg, &w->plan);
	case OPT_REORDER_BY:
		return parse_span(arg, &w->plan.late_min_ns, &w->plan.late_max_ns);
	case OPT_HOLE:
		return parse_span(arg, &w->hole_from_ns, &w->hole_to_ns);
	default:
		return parse_when(arg, &w->plan.when[opt - OPT_ACT]);
	}
}

/* An option that concerns the whole wire; 1: it does not. */
static int set_wire(struct options *o, int opt, const char *arg)
{
	char *end;

	switch (opt) {
	case OPT_SEED:
		o->seed = strtoull(arg, &end, 0);
		return *end || !*arg ? -EINVAL : 0;
	case OPT_LOG:
		o->log = arg;
		return 0;
	case OPT_PCAP:
		o->pcap = arg;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case OPT_GRAIN:
		return parse_time(arg, &o->grain_ns);
	default:
		return 1;
	}
}

static void defaults(struct options *o)
{
	*o = (struct options){ .seed = 1, .grain_ns = 50000 };
	for (unsigned int d = 0; d < 2; d++) {
		o->way[d].link.queue_bytes = 1 << 20;
		o->way[d].plan.late_min_ns = 1000000;
		o->way[d].plan.late_max_ns = 3000000;
	}
}

static int apply(struct options *o, unsigned int ways, int opt, const char *arg)
{
	int err = set_wire(o, opt, arg);

	if (err <= 0)
		return err;
	for (unsigned int d = 0; d < 2; d++)
		if (ways & 1U << d && (err = set_way(&o->way[d], opt, arg)))
			return err;
	return 0;
}

static int wrong(const char *what, const char *arg)
{
	fprintf(stderr, "wire: %s%s%s\n  'wire --help' says how.\n", what, arg ? ": " : "",
		arg ? arg : "");
	return -1;
}

int options_parse(int argc, char **argv, struct options *ret)
{
	unsigned int ways = 3;
	int opt, at;

	defaults(ret);
	while ((opt = getopt_long(argc, argv, "h", table, &at)) != -1) {
		if (opt == '?')
			return wrong("wrong option", NULL);
		if (opt == 'h' || opt == OPT_HELP) {
			fputs(help, stdout);
			return 1;
		}
		if (opt == OPT_FROM_A || opt == OPT_FROM_B || opt == OPT_BOTH) {
			ways = opt == OPT_FROM_A ? 1 : opt == OPT_FROM_B ? 2 : 3;
			continue;
		}
		if (apply(ret, ways, opt, optarg))
			return wrong(table[at].name, optarg);
	}
	if (argc - optind != 2)
		return wrong("needs two interfaces", NULL);
	ret->ifname[0] = argv[optind];
	ret->ifname[1] = argv[optind + 1];
	return 0;
}
