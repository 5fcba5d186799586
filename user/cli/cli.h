/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cli.h - the subcommands, one file each (cmd_*.c). argv[0] is the subcommand's name.
 * Each returns the exit status: 0 done, 1 failed, 2 wrong usage.
 */
#ifndef TASPILOT_CLI_H
#define TASPILOT_CLI_H

#include <stdbool.h>
#include <stddef.h>

int cmd_attach(int argc, char **argv);
int cmd_detach(int argc, char **argv);
int cmd_demote(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_flows(int argc, char **argv);
int cmd_why(int argc, char **argv);
int cmd_doctor(int argc, char **argv);

/* Print what `taspilot @name --help` shows. */
void cli_help(const char *name);
/* "taspilot: @name: @what '@arg'" and where help is; 2. */
int cli_usage(const char *name, const char *what, const char *arg);
/* Is @arg a request for help? */
bool cli_wants_help(const char *arg);

/* Find @file beside this program, else in one of the directories (relative to it) that
 * `make install` uses. 0 or -ENOENT.
 */
int cli_find(const char *file, const char *const *dirs, char *path, size_t size);

#endif
