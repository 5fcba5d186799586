/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options.c - a socket's options that concern the fast path, at the claim and after it.
 *
 * A program sets options of its real socket, so Linux checks and keeps them, and getsockopt
 * needs no help. When one of those below is set while the connection is ours, the shim says
 * so, without saying what: Linux is asked, and the fast thread gets what Linux has.
 */
#include "options.h"

#include <errno.h>
#include <string.h>

#include "slow.h"

/* The window to offer at most; 0: as much as the pipe holds. sk_rcvbuf counts Linux's
 * bookkeeping as well, which takes half of it.
 */
static uint32_t window_most(const struct tp_answer *a)
{
	return a->rcvbuf_locked || !a->moderate_rcvbuf ? a->rcvbuf / 2 : 0;
}

struct tcp_options options_of(const struct tp_answer *a)
{
	struct tcp_options o = {
		.max_pacing = a->max_pacing_rate,
		.user_timeout_ms = a->user_timeout_ms,
		.rcv_max = window_most(a),
	};

	memcpy(o.cc, a->cc, sizeof(o.cc));
	return o;
}

int options_changed(struct slow *s, struct conn *c)
{
	struct fast_options o;
	struct tp_answer a;
	int err;

	if (c->phase != CONN_FAST)
		return 0;
	err = ask_linux(s->att, &c->key, &a);
	if (err)
		return err;
	if (!a.found || a.cookie != c->cookie)
		return -ENOENT;
	o = (struct fast_options){ .tcp = options_of(&a), .tos = a.tos, .ttl = a.ttl };
	return slow_tell(s, c->thread, &(struct fast_cmd){ .kind = FAST_CMD_OPTIONS,
							   .flow_id = c->flow_id, .options = &o });
}
