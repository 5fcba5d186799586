/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options.h - the command line of wire, as numbers.
 */
#ifndef WIRE_OPTIONS_H
#define WIRE_OPTIONS_H

#include "bottleneck.h"
#include "schedule.h"

/* What one direction does to frames. */
struct way {
	struct plan plan;
	struct link link;
	uint64_t delay_ns;
	uint64_t hole_from_ns, hole_to_ns;	/* since its first frame; nothing passes */
};

struct options {
	const char *ifname[2];
	struct way way[2];		/* [0]: from the first interface to the second */
	uint64_t seed;
	uint64_t grain_ns;
	const char *log, *pcap;
	bool json;
};

/* 0: go; 1: help was asked for and printed; -1: wrong usage, said so. */
int options_parse(int argc, char **argv, struct options *ret);

/* The parts, for tests. All: 0 or -EINVAL. */
int parse_time(const char *text, uint64_t *ret_ns);		/* 20, 20ms, 1.5s, 50us */
int parse_rate(const char *text, uint64_t *ret_bps);		/* 100M, 1G */
int parse_bytes(const char *text, uint64_t *ret_bytes);		/* 64K, 1M */
int parse_chance(const char *text, double *ret);		/* 1%, 0.01 */
int parse_when(const char *text, struct when *w);		/* adds to @w */

#endif
