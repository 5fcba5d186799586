/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_demote.c - `taspilot demote`: hand one flow, or all, back to Linux and wait until they are.
 *
 * The connection goes on in Linux, with all its bytes. Every daemon is asked: a flow is named
 * by one of its ends, whichever interface it goes through.
 */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../common/log.h"
#include "client.h"
#include "render.h"

struct sum {
	unsigned long long demoted, remain;
};

static void add(const char *text, void *arg)
{
	struct sum *sum = arg;

	sum->demoted += render_num(text, "demoted");
	sum->remain += render_num(text, "remain");
}

static int tell(const struct sum *sum, const char *flow)
{
	if (flow && !sum->demoted) {
		log_warn("demote: no accelerated flow has the end %s", flow);
		log_hint("'taspilot flows' lists them.");
		return 1;
	}
	printf("%llu flow%s handed back to Linux\n", sum->demoted - sum->remain,
	       sum->demoted - sum->remain == 1 ? "" : "s");
	if (!sum->remain)
		return 0;
	log_warn("demote: %llu not yet: peers do not acknowledge, or programs do not read",
		 sum->remain);
	log_hint("They go back as soon as they can; 'taspilot flows' shows them in state HOLD.");
	return 1;
}

int cmd_demote(int argc, char **argv)
{
	struct tp_ctl q = { .h.type = TP_CTL_DEMOTE };
	struct render_args a = { 0 };
	struct sum sum = { 0 };
	bool all = false;
	int status;

	for (int i = 1; i < argc; i++) {
		if (cli_wants_help(argv[i])) {
			cli_help(argv[0]);
			return 0;
		}
		if (!strcmp(argv[i], "--all"))
			all = true;
		else if (!strcmp(argv[i], "--json"))
			a.json = true;
		else if (argv[i][0] == '-')
			return cli_usage(argv[0], "unknown option", argv[i]);
		else if (a.operand)
			return cli_usage(argv[0], "one at a time, not also", argv[i]);
		else
			a.operand = argv[i];
	}
	if (!a.operand == !all)
		return cli_usage(argv[0], "which flow? an address and port, or --all, not",
				 a.operand ? a.operand : "");
	if (a.operand && !client_end(a.operand, &q.ask.end))
		return cli_usage(argv[0], "no address and port:", a.operand);
	if (a.json)
		return render_json(&a, &q);
	status = render_each(&a, &q, add, &sum);
	return status ? status : tell(&sum, a.operand);
}
