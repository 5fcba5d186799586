/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_why.c - `taspilot why`: the reason of each connection that is not accelerated.
 *
 * The operand is a port if some connection has it, else a process; a flow is "ADDR:PORT" of
 * one of its ends.
 */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/text.h"
#include "client.h"
#include "render.h"

struct shown {
	struct tp_end end;		/* only flows with this end; port 0: all */
	size_t count;
};

static void show_one(const char *o, struct shown *s)
{
	char local[64] = "?", remote[64] = "?", text[160] = "?";

	json_get(o, "local", local, sizeof(local));
	json_get(o, "remote", remote, sizeof(remote));
	json_get(o, "text", text, sizeof(text));
	printf("%-21s %-21s %s\n", local, remote, text);
	s->count++;
}

static void show(const char *text, void *arg)
{
	const char *at = text, *o, *end;

	for (; (o = json_object(at, &end)); at = end)
		show_one(o, arg);
}

static int ask(const struct render_args *a, uint32_t pid, uint32_t port, struct shown *s)
{
	struct tp_ctl q = { .h.type = TP_CTL_WHY,
			    .ask = { .pid = pid, .port = port, .end = s->end } };

	return a->json ? render_json(a, &q) : render_each(a, &q, show, s);
}

static bool is_process(unsigned long n)
{
	char path[32];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%lu/stat", n);
	f = fopen(path, "re");
	if (f)
		fclose(f);
	return f;
}

int cmd_why(int argc, char **argv)
{
	struct render_args a;
	struct shown s = { 0 };
	int status = render_args(argc, argv, false, &a);
	unsigned long n = 0;
	char *rest = "";

	if (status >= 0)
		return status;
	if (a.operand && !client_end(a.operand, &s.end))
		n = strtoul(a.operand, &rest, 10);
	if (*rest || n > UINT32_MAX || (a.operand && !s.end.port && !n))
		return cli_usage(argv[0], "neither process, port nor flow:", a.operand);

	if (n && n <= 65535)
		status = ask(&a, 0, (uint32_t)n, &s);
	else if (!n)
		status = ask(&a, 0, 0, &s);
	if (n && !s.count && (n > 65535 || is_process(n)) && !(a.json && n <= 65535))
		status = ask(&a, (uint32_t)n, 0, &s);
	if (!a.json && !s.count && status <= 0)
		puts("no connection that is not accelerated");
	return status;
}
