/* SPDX-License-Identifier: BSD-2-Clause
 *
 * keepalive.c - is the peer alive? Linux asks by its own timers; the fast thread knows.
 *
 * Linux's socket stands still, so its keepalive timer fires however busy the flow is. Its
 * probe is not sent. Heard from the peer within the last second: answered at once. Else the
 * peer is really asked, and the probe is answered as soon as anything has arrived from it
 * since. A peer that is dead never answers; Linux counts, gives up by its own rules and sends
 * RST, which ends the flow (from_linux.c).
 */
#include "keepalive.h"

#include <string.h>

#include "expire.h"
#include "handback.h"
#include "slow.h"

#define RECENT_NS	NS_PER_S

static void answer(struct slow *s, struct conn *c)
{
	handback_say(s, c, MADE_TO_LINUX,
		     &(struct made_seg){
			     .seq = c->linux_rcv + c->fin_told,
			     .ack = c->linux_una,
			     .window = (uint16_t)(c->linux_wnd >> c->snd_wscale),
			     .flags = WIRE_ACK,
		     });
	c->probed_ns = 0;
	c->probing = false;
}

void keepalive_probe(struct slow *s, struct conn *c)
{
	c->probed_ns = s->now_ns;
	slow_tell_flow(s, c, FAST_CMD_STATE);
}

void keepalive_state(struct slow *s, struct conn *c)
{
	uint64_t since = c->probing ? c->probed_ns : c->probed_ns - RECENT_NS;

	if (!c->probed_ns || c->phase != CONN_FAST)
		return;
	if (c->last.heard_ns >= since) {
		answer(s, c);
		expire_fast(s, c);
		return;
	}
	if (!c->probing)
		slow_tell_flow(s, c, FAST_CMD_PROBE);
	c->probing = true;
	expire_soon(s, c);
}

void keepalive_again(struct slow *s, struct conn *c)
{
	if (c->probed_ns)
		slow_tell_flow(s, c, FAST_CMD_STATE);
}
