/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_status.c - `taspilot status`: what is attached, and is it well.
 */
#include "cli.h"

#include <stdio.h>
#include <string.h>

#include "../common/text.h"
#include "client.h"
#include "render.h"

static const char *str(const char *object, const char *key, char buf[64])
{
	return json_get(object, key, buf, 64) ? buf : "?";
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void warn_about(const char *o)
{
	static const struct {
		const char *key, *text;
	} bad[] = {
		{ "ring_full", "found the slow path's ring full" },
		{ "stale", "came too late: the daemon was stopped for a while" },
		{ "drops", "dropped" },
		{ "bad_checksum", "had a bad checksum" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t n = render_num(o, bad[i].key);

		if (n)
			printf("       warning: %llu frame%s %s\n", (unsigned long long)n, plural(n),
			       bad[i].text);
	}
}

static void show(const char *o, void *arg)
{
	char name[64], state[64], mode[64], tap[64], zc[64], up[32], fast[32], slow[32], n[32];
	uint64_t rx = render_num(o, "segments_fast_rx"), tx = render_num(o, "segments_fast_tx");
	uint64_t through = render_num(o, "frames_slow_rx") + render_num(o, "frames_slow_tx");
	uint64_t all = rx + tx + through, queues = render_num(o, "queues");
	uint64_t flows = render_num(o, "flows"), setups = render_num(o, "setups");

	*(bool *)arg = true;
	printf("%-6s %s, %s%s, %llu queue%s, door %s, up %s\n", str(o, "ifname", name),
	       str(o, "state", state), str(o, "mode", mode),
	       strcmp(str(o, "zerocopy", zc), "true") ? ", copying" : ", zero-copy",
	       (unsigned long long)queues, plural(queues), str(o, "tap", tap),
	       render_time(render_num(o, "uptime_s"), up));
	printf("       %s flow%s, %s connection%s set up, %s segment%s fast (%.1f%%), %s frame%s slow\n",
	       render_count(flows, n), plural(flows), render_count(setups, slow), plural(setups),
	       render_count(rx + tx, fast), plural(rx + tx),
	       all ? 100.0 * (double)(rx + tx) / (double)all : 0.0, render_count(through, up),
	       plural(through));
	if (!strcmp(str(o, "xdp", zc), "false"))
		puts("       warning: the driver does not run XDP any more: connections are slow, or "
		     "Linux's (the log says what was done)");
	if (!strcmp(str(o, "strangers", zc), "false"))
		puts("       note: programs that use an accelerated socket past the shim are not "
		     "noticed ('taspilot doctor' says why)");
	warn_about(o);
}

int cmd_status(int argc, char **argv)
{
	struct tp_ctl q = { .h.type = TP_CTL_STATUS };
	struct render_args a;
	bool any = false;
	int status = render_args(argc, argv, true, &a);

	if (status >= 0)
		return status;
	if (a.json)
		return render_json(&a, &q);
	status = render_each(&a, &q, show, &any);
	if (!any && !status)
		puts("nothing is attached");
	return status;
}
