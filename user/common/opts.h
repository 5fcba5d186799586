/* SPDX-License-Identifier: BSD-2-Clause
 *
 * opts.h - what `taspilot attach` can be told. The daemon takes the same options, so the
 * command hands them on as they are:
 *
 *   taspilotd IFACE [--tap NAME] [--queues N] [--cpus LIST] [--poll ...] [--mode ...]
 *             [--bulk ...] [--group NAME] [--foreground] [--ready-fd N]
 */
#ifndef TASPILOT_OPTS_H
#define TASPILOT_OPTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../fast/fast.h"
#include "../slow/attach.h"

enum opts_bulk { BULK_KEEP, BULK_AUTO, BULK_HANDBACK };

struct opts {
	struct attach_opts attach;	/* interface, TAP, mode, queues; points into argv */
	int cpu[TP_MAX_THREADS];	/* of fast thread i; -1: not pinned */
	enum fast_poll poll;
	enum opts_bulk bulk;
	bool has_group;			/* who may use the daemon: members of @group; else all */
	gid_t group;
	bool foreground;
	bool help;			/* nothing else is set */
	int ready_fd;			/* -1: nobody waits for us */
};

/* argv[0] is the command's name, for messages. 0, or 2 having said what is wrong. */
int opts_parse(int argc, char **argv, struct opts *ret_opts);
/* The text of --help, a line an option. */
extern const char opts_help[];

/* Tell who started us that we are ready. Nothing if nobody waits. */
void opts_ready(struct opts *o);

#endif
