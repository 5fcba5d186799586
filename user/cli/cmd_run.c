/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_run.c - `taspilot run`: become COMMAND, with libtaspilot.so preloaded.
 *
 * A preload that is already there stays, and stays first.
 */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/log.h"

static int find_shim(char *path, size_t size)
{
	static const char *const dirs[] = { ".", "../lib/taspilot", "../lib", NULL };
	int err = cli_find("libtaspilot.so", dirs, path, size);

	if (err) {
		log_err(err, "libtaspilot.so: cannot find it");
		log_hint("It belongs into the directory of taspilot, or ../lib/taspilot from "
			 "there.");
	}
	return err;
}

static int preload(const char *shim)
{
	const char *there = getenv("LD_PRELOAD");
	char *all;
	int err = 0;

	if (!there || !there[0])
		return setenv("LD_PRELOAD", shim, 1) ? -errno : 0;
	if (asprintf(&all, "%s:%s", there, shim) < 0)
		return -ENOMEM;
	if (setenv("LD_PRELOAD", all, 1))
		err = -errno;
	free(all);
	return err;
}

int cmd_run(int argc, char **argv)
{
	char found[PATH_MAX], shim[PATH_MAX];
	int at = 1, err;

	if (argc > at && cli_wants_help(argv[at])) {
		cli_help(argv[0]);
		return 0;
	}
	if (argc > at && !strcmp(argv[at], "--"))
		at++;
	else if (argc > at && argv[at][0] == '-')
		return cli_usage(argv[0], "unknown option", argv[at]);
	if (argc == at)
		return cli_usage(argv[0], "which command?", "");

	if (find_shim(found, sizeof(found)))
		return 1;
	err = realpath(found, shim) ? preload(shim) : -errno;
	if (err) {
		log_err(err, "%s: cannot be preloaded", found);
		return 1;
	}
	execvp(argv[at], &argv[at]);
	log_err(-errno, "%s: cannot run it", argv[at]);
	log_hint("'command -v %s' finds a program on the PATH.", argv[at]);
	return 1;
}
