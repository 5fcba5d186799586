/* SPDX-License-Identifier: BSD-2-Clause
 *
 * main.c - the taspilot command: a table of subcommands, from which help is printed.
 */
#include "cli.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/log.h"
#include "../common/opts.h"

static const struct command {
	const char *name, *args, *summary;
	const char *more;		/* of --help */
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "attach", "IFACE [OPTION...]", "start accelerating on a NIC", opts_help, cmd_attach },
	{ "detach", "IFACE [--force]", "hand every flow back to Linux",
	  "  --force    do not wait for connections that are busy: they are reset\n", cmd_detach },
	{ "run", "[--] COMMAND...", "run COMMAND accelerated",
	  "COMMAND is any dynamically linked program; its connections on attached NICs go fast.\n",
	  cmd_run },
	{ "status", "[IFACE] [--json]", "what is attached, and is it well",
	  "  --json     an array of objects, one an interface\n", cmd_status },
	{ "flows", "[IFACE] [--json]", "one line per accelerated flow",
	  "  --json     an array of objects, one a flow\n", cmd_flows },
	{ "why", "[PID|PORT|FLOW] [--json]", "why a connection is not accelerated",
	  "  --json     an array of objects, one a connection\n\n"
	  "FLOW is an address and port of one of its ends, as in 10.0.0.1:5000\n", cmd_why },
	{ "demote", "FLOW|--all [--json]", "hand a flow back to Linux",
	  "FLOW is an address and port of one of its ends, as in 10.0.0.1:5000. The connection\n"
	  "goes on in Linux.\n", cmd_demote },
	{ "doctor", "IFACE", "what a NIC, its driver and this kernel can do",
	  "Changes nothing. Each finding that matters comes with its fix.\n", cmd_doctor },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static void overview(FILE *to)
{
	fputs("taspilot - accelerate TCP on a NIC that Linux keeps managing\n\n", to);
	for (size_t i = 0; i < COMMANDS; i++) {
		int n = fprintf(to, "  taspilot %s %s", commands[i].name, commands[i].args);

		fprintf(to, "%*s%s\n", n < 43 ? 43 - n : 1, "", commands[i].summary);
	}
	fputs("\nEvery command takes --help. See taspilot(8).\n"
	      "Exit status: 0 done, 1 failed, 2 wrong usage.\n",
	      to);
}

void cli_help(const char *name)
{
	const struct command *c = find(name);

	printf("taspilot %s %s\n\n%s.\n\n%s", c->name, c->args, c->summary, c->more);
}

int cli_usage(const char *name, const char *what, const char *arg)
{
	log_warn("%s: %s '%s'", name, what, arg);
	log_hint("'taspilot %s --help' lists what it takes.", name);
	return 2;
}

bool cli_wants_help(const char *arg)
{
	return !strcmp(arg, "--help") || !strcmp(arg, "-h");
}

int cli_find(const char *file, const char *const *dirs, char *path, size_t size)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *here;

	if (n < 0)
		return -errno;
	self[n] = '\0';
	here = dirname(self);
	for (; *dirs; dirs++) {
		n = snprintf(path, size, "%s/%s/%s", here, *dirs, file);
		if (n < (ssize_t)size && !access(path, R_OK))
			return 0;
	}
	return -ENOENT;
}

int main(int argc, char **argv)
{
	const struct command *c;

	if (argc < 2) {
		overview(stderr);
		return 2;
	}
	if (cli_wants_help(argv[1]) || !strcmp(argv[1], "help")) {
		overview(stdout);
		return 0;
	}
	c = find(argv[1]);
	if (!c) {
		log_warn("no command '%s'", argv[1]);
		log_hint("'taspilot --help' lists them.");
		return 2;
	}
	return c->run(argc - 1, argv + 1);
}
