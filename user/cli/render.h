/* SPDX-License-Identifier: BSD-2-Clause
 *
 * render.h - what the daemons say, for people.
 */
#ifndef TASPILOT_CLI_RENDER_H
#define TASPILOT_CLI_RENDER_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

/* Operand and options that status, flows and why have in common. */
struct render_args {
	const char *ifname;		/* NULL: all */
	const char *operand;		/* of why */
	bool json;
};

/* -1: go on; else exit with this. @takes_ifname: the operand is an interface. */
int render_args(int argc, char **argv, bool takes_ifname, struct render_args *ret_args);

/* Ask the daemon of each interface @question and
 * hand its answer to @show. 0, or 1 having said what failed.
 */
struct tp_ctl;
int render_each(const struct render_args *a, struct tp_ctl *question,
		void (*show)(const char *text, void *arg), void *arg);

/* Print the answers of all daemons as one JSON array; each is an object or an array. */
int render_json(const struct render_args *a, struct tp_ctl *question);

/* Value @key of @object as a number, 0 if there is none. */
uint64_t render_num(const char *object, const char *key);
/* "3h12m", "45s". */
const char *render_time(uint64_t seconds, char buf[32]);
/* "1.2M", "345". */
const char *render_count(uint64_t n, char buf[32]);

#endif
