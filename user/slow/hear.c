/* SPDX-License-Identifier: BSD-2-Clause
 *
 * hear.c - does the driver still run our XDP program? If not, connections in FAST are slow: tc
 * ingress takes their segments to the TAP (tc.bpf.c).
 *
 * vmxnet3 (seen on Linux 6.12) runs none after a change of the MTU, until the program is taken off and
 * put there again; to replace it (bpf_link_update) is not enough. Who has the rights can take a link's
 * program away, too. There is no telling from outside, for the NIC still says that it is there. But each
 * frame that comes to tc ingress has met XDP before, if others do not redirect it past, and both count.
 * So where several looks, within seconds of each other, find new frames at tc and none at XDP, it is
 * not run:
 *
 *	XDP is taken off and set anew				 this takes the link down for a moment in some
 *								 drivers: once in ten minutes, then in twenty...,
 *								 unless somebody has taken it away
 *	that is not possible, or not again yet and looks go on	 flows go back to Linux, none is claimed
 *	   in vain
 *	XDP counts a frame, after any of these			 all is as ever
 *
 * A look may find frames that have been at XDP before the last one, and are at tc now: hence several,
 * LOOK_NS apart. Where it could not be set (vmxnet3 refuses large MTUs, another program was quicker)
 * that is tried again, more and more seldom, and after the next change of the MTU at once.
 */
#include "hear.h"

#include "../common/log.h"
#include "handback.h"
#include "slow.h"

#define LOOK_NS		(NS_PER_S / 5)
#define LOOKS		3U
#define TOGETHER_NS	(3 * NS_PER_S)	/* looks further apart say nothing together */
#define DOUBLINGS	5U		/* and no more: once in 20 s at least, while frames come */
#define SET_NS		(600 * NS_PER_S)	/* before it is set anew again; doubles, too */

/* So many frames by now. True: XDP does not run, do something. */
static bool look(struct hear *h, uint64_t now_ns, uint64_t xdp, uint64_t tc)
{
	uint32_t doublings = h->acts < DOUBLINGS ? h->acts : DOUBLINGS;

	if (xdp != h->xdp) {
		h->looks = h->acts = 0;
	} else if (tc != h->tc) {
		h->looks = now_ns - h->missed_ns < TOGETHER_NS ? h->looks + 1 : 1;
		h->missed_ns = now_ns;
	}
	h->xdp = xdp;
	h->tc = tc;
	if (h->looks < LOOKS << doublings)
		return false;
	h->looks = 0;
	h->acts++;
	return true;
}

void hear_link_changed(struct hear *h)
{
	h->sets = 0;
	if (h->acts)
		h->acts = 1;
}

/* What is not there need not be taken off. */
static bool may_set(const struct slow *s)
{
	const struct hear *h = &s->hear;
	uint32_t doublings = h->sets <= DOUBLINGS ? h->sets - 1 : DOUBLINGS;

	return !h->sets || s->now_ns - h->set_ns >= SET_NS << doublings ||
	       !attach_has_xdp(s->att);
}

/* Twice the driver sets up its queues, which may take as long as the programs wait for a heartbeat. */
static int off_and_on(struct slow *s)
{
	int err;

	attach_xdp_off(s->att);
	slow_beat(s);
	err = attach_xdp_on(s->att);
	slow_beat(s);
	return err;
}

static void set_anew(struct slow *s)
{
	const char *ifname = s->att->nic.ifname;
	struct hear *h = &s->hear;
	int err;

	if (!h->told)
		log_warn("%s: the driver runs our XDP program no more: setting it anew", ifname);
	h->told = true;
	err = off_and_on(s);
	if (!err) {
		h->sets++;
		h->set_ns = s->now_ns;
		return;
	}
	if (!h->lost)
		log_err(err, "%s: cannot set XDP anew: connections are Linux's", ifname);
	h->lost = true;
}

/* It was set not long ago. Perhaps it just has nothing to do: one more round of looks. */
static void set_in_vain(struct slow *s)
{
	struct hear *h = &s->hear;

	if (h->acts == 1)
		return;
	if (!h->lost)
		log_warn("%s: the driver does not run XDP, though it was set anew: connections are Linux's",
			 s->att->nic.ifname);
	h->told = h->lost = true;
}

static void take_all_back(struct slow *s)
{
	struct conn *c;

	conn_each(&s->conns, c)
		handback_begin(s, c, TP_WHY_NO_XDP);
}

static void not_heard(struct slow *s)
{
	if (may_set(s))
		set_anew(s);
	else
		set_in_vain(s);
	if (s->hear.lost)
		take_all_back(s);
}

static void heard(struct slow *s)
{
	if (s->hear.told)
		log_info("%s: the driver runs our XDP program again", s->att->nic.ifname);
	s->hear.told = s->hear.lost = false;
}

static uint64_t xdp_count(const struct slow *s)
{
	return verdict_counts(s->att, TP_V_XDP_FAST, TP_V_XDP_PASS_OTHER);
}

bool hear_is_lost(struct slow *s)
{
	struct hear *h = &s->hear;
	uint64_t xdp;

	if (!h->lost)
		return false;
	xdp = xdp_count(s);
	if (xdp != h->xdp) {
		look(h, s->now_ns, xdp, h->tc);
		heard(s);
	}
	return h->lost;
}

void hear_run(struct slow *s)
{
	struct hear *h = &s->hear;
	bool was_silent = h->acts;
	uint64_t tc;

	if (slow_is_closing(s) || s->now_ns - h->looked_ns < LOOK_NS)
		return;
	h->looked_ns = s->now_ns;
	/* tc first: who is counted there has been counted by XDP */
	tc = verdict_counts(s->att, TP_V_TCI_GUARD, TP_V_TCI_PASS);
	if (tc == h->tc && !was_silent)
		return;
	if (look(h, s->now_ns, xdp_count(s), tc))
		not_heard(s);
	else if (was_silent && !h->acts)
		heard(s);
}
