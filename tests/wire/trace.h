/* SPDX-License-Identifier: BSD-2-Clause
 *
 * trace.h - the wire's log, and what passed at either end in pcap files.
 */
#ifndef WIRE_TRACE_H
#define WIRE_TRACE_H

#include "schedule.h"
#include "segment.h"

#include <stdio.h>

struct trace {
	FILE *log, *pcap[2];
	uint64_t start_ns;
	int64_t real_ns;		/* CLOCK_REALTIME - CLOCK_MONOTONIC */
};

/* Open what was asked for (NULL: not). 0 or -errno, and *@ret_what is what could not be. */
int trace_open(struct trace *t, const char *log, const char *pcap, const char **ret_what);
void trace_flush(struct trace *t);
void trace_close(struct trace *t);

/* A line of the log: what was done to the frame that @s has just counted. */
void trace_event(struct trace *t, uint64_t now_ns, const char *way, const struct schedule *s,
		 const struct segment *seg, const char *event);

/* A frame that passes at the wire's end @end. */
void trace_frame(struct trace *t, unsigned int end, uint64_t now_ns, const uint8_t *frame,
		 size_t len);

#endif
