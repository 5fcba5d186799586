/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_flows.c - `taspilot flows`: one line a flow.
 */
#include "cli.h"

#include <stdio.h>

#include "../common/text.h"
#include "client.h"
#include "render.h"

static void show_one(const char *o)
{
	char local[64] = "?", remote[64] = "?", state[16] = "?", cc[16] = "?", rx[32], tx[32];

	json_get(o, "local", local, sizeof(local));
	json_get(o, "remote", remote, sizeof(remote));
	json_get(o, "state", state, sizeof(state));
	json_get(o, "cc", cc, sizeof(cc));
	printf("%-21s %-21s %-5s %-6s %5llu %6llu %8llu %8s %8s %7llu %5llu\n", local, remote, state,
	       cc, (unsigned long long)render_num(o, "mss"),
	       (unsigned long long)render_num(o, "cwnd"),
	       (unsigned long long)render_num(o, "srtt_us"),
	       render_count(render_num(o, "rx_bytes"), rx),
	       render_count(render_num(o, "tx_bytes"), tx),
	       (unsigned long long)render_num(o, "retransmits"),
	       (unsigned long long)render_num(o, "ooo"));
}

static void show(const char *text, void *arg)
{
	bool *head = arg;
	const char *at = text, *o, *end;

	for (; (o = json_object(at, &end)); at = end) {
		if (!*head)
			printf("%-21s %-21s %-5s %-6s %5s %6s %8s %8s %8s %7s %5s\n", "LOCAL",
			       "REMOTE", "STATE", "CC", "MSS", "CWND", "SRTT us", "RX", "TX",
			       "RETRANS", "OOO");
		*head = true;
		show_one(o);
	}
}

int cmd_flows(int argc, char **argv)
{
	struct tp_ctl q = { .h.type = TP_CTL_FLOWS };
	struct render_args a;
	bool head = false;
	int status = render_args(argc, argv, true, &a);

	if (status >= 0)
		return status;
	return a.json ? render_json(&a, &q) : render_each(&a, &q, show, &head);
}
