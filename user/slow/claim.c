/* SPDX-License-Identifier: BSD-2-Clause
 *
 * claim.c - WATCH -> HOLD -> FAST, the only place where a connection becomes ours.
 *
 * The order, and what each step rules out
 *
 *  1 tp_cookies CLAIMED	a release from here on is reported
 *  2 hold and ask Linux	in one run of tp_ask. From here on no frame of the peer reaches Linux:
 *				XDP sends them to the ring, tc ingress what slipped past it to the
 *				TAP; and what Linux sends goes to the TAP. All kept
 *  3 ask again		until the answer is whole and still: see still(). Then the slot
 *  4 FAST_CMD_INSTALL		then the kept frames of the peer, by INJECT
 *  5 tp_flows FAST		XDP redirects to the AF_XDP socket
 *  6 kept frames of Linux	are requests now (from_linux.c)
 *
 * How far Linux was given the peer's bytes is noted by tc ingress in the entry itself, before it
 * looks at the state for the last time (tc.bpf.c). So each segment is either in to_linux when 2
 * reads it, and Linux shows it in rcv_nxt sooner or later, or is kept.
 *
 *  race							why it does no harm
 *  a segment is between tc and Linux's socket at 2		rcv_nxt is behind to_linux, or Linux is
 *								busy: ask again, then leave it
 *  tc noted a segment and then saw the hold			to_linux is ahead of Linux for good:
 *								refused, the segment goes on to Linux
 *  XDP read HOLD before 5, writes its record after it		phase FAST: injected
 *  a frame is redirected before the thread has INSTALL	taken before an unknown frame is
 *								given up (fast.h)
 *  Linux sends data, or has some in flight			write_seq is not snd_una: refused
 *  an ACK of Linux passed tc just before 2			its numbers are the wire's: late, true
 *  a program without shim writes between 3 and 5		data from Linux in FAST: handed back
 *  the program closes before 1				the answer shows it: refused
 *  the program closes after 1				the release is in the ring, or was read on
 *								the way: 5; FIN is kept or met in FAST
 *  the daemon is killed before 5				its AF_XDP sockets are gone: the programs
 *								make NONE of such a HOLD (maps.h)
 *
 * Any failure before 4 restores WATCH. But when frames of the peer were kept meanwhile they go to
 * Linux past tc ingress, unnoted: then the entry goes, and plain Linux remains.
 */
#include "claim.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "expire.h"
#include "flowmap.h"
#include "from_linux.h"
#include "handback.h"
#include "options.h"
#include "slow.h"
#include "taspilot/pipe.h"

#define ASK_TRIES	8
#define ASK_PAUSE_NS	20000
#define TAP_ALL		4096		/* frames that the TAP's queue can hold, about */

/* Whether Linux lets go of the connection as @a says, for ever the same. */
static enum tp_reason permitted(const struct claim *ask, const struct tp_answer *a)
{
	if (!a->found)
		return TP_WHY_STATE;
	if (a->cookie != ask->cookie)
		return TP_WHY_NAT;
	if (ask->uid && a->uid != ask->uid)
		return TP_WHY_NOT_YOURS;
	if (a->odd)
		return TP_WHY_OPTIONS;
	if (a->tcp_state != TCP_ESTABLISHED || a->shutdown)
		return TP_WHY_CLOSED_SIDE;
	return a->sk_err ? TP_WHY_STATE : TP_WHY_NONE;
}

/* The program's bytes are all acknowledged. No acknowledgment comes through while we hold. */
static bool all_sent(const struct tp_answer *a)
{
	return a->snd_una == a->snd_nxt && a->snd_una == a->write_seq;
}

/* Linux has taken all that it was given. */
static bool still(const struct tp_answer *a)
{
	return !a->busy && !a->ooo && a->rcv_nxt == a->entry.to_linux;
}

/* A stray number beyond Linux's window hides what came before it. tp_ask has taken it back: another
 * attempt may succeed.
 */
static bool is_implausible(const struct tp_answer *a)
{
	return (int32_t)(a->entry.to_linux - (a->rcv_wup + a->rcv_wnd)) > 0;
}

/* Is it this connection, under this name on the wire? */
static bool is_held(const struct tp_answer *a)
{
	return a->entry.state == TP_HOLD && a->entry.seen_in && a->entry.seen_out;
}

static enum tp_reason hold(struct slow *s, const struct claim *cl, struct tp_answer *ret_answer)
{
	static const struct timespec pause = { .tv_nsec = ASK_PAUSE_NS };
	enum tp_ask_op op = TP_ASK_HOLD;
	enum tp_reason reason;

	for (int i = 0; i < ASK_TRIES; i++, op = TP_ASK_LOOK) {
		if (i)
			nanosleep(&pause, NULL);
		if (ask_after(s->att, &cl->key, op, ret_answer))
			return TP_WHY_INTERNAL;
		reason = permitted(cl, ret_answer);
		if (reason)
			return reason;
		if (!is_held(ret_answer))
			return TP_WHY_NO_FLOW;
		if (!all_sent(ret_answer) || is_implausible(ret_answer))
			return TP_WHY_BUSY;
		if (still(ret_answer))
			return TP_WHY_NONE;
	}
	return TP_WHY_BUSY;
}

/* The order of the smallest pipe that holds @bytes. */
static uint32_t order_for(uint32_t bytes)
{
	uint32_t order = TP_ORDER_SMALL;

	while (order < TP_ORDER_BIG && 1U << order < bytes)
		order++;
	return order;
}

static uint32_t max32(uint32_t a, uint32_t b) { return a > b ? a : b; }

static void fill_tcp(const struct slow *s, const struct tp_answer *a, struct tcp_begin *b)
{
	*b = (struct tcp_begin){
		.snd_una = a->snd_una,
		.rcv_nxt = a->rcv_nxt,
		.rcv_edge = a->rcv_wup + a->rcv_wnd,
		.snd_wnd = a->snd_wnd,
		.snd_wscale = a->snd_wscale,
		.rcv_wscale = a->rcv_wscale,
		.mss = (uint16_t)a->mss_cache,
		.sack_ok = a->sack_ok,
		.ts_ok = a->ts_ok,
		.ecn_ok = a->ecn_ok,
		.ts_offset = a->ts_offset,
		.ts_recent = a->ts_recent,
		.cwnd = a->snd_cwnd,
		.ssthresh = a->snd_ssthresh,
		.srtt_us = a->srtt_us,
		.rttvar_us = a->rttvar_us,
		.rto_us = a->rto_us,
		.rto_min_us = a->rto_min_us,
		.init_cwnd = a->init_cwnd,
		.retries2 = a->retries2,
		.oow_us = a->invalid_ratelimit_us,
		.idle_restart = a->idle_restart,
		.quick_acks = a->quick_acks,
		.options = options_of(a),
		.ack_pending = a->rcv_nxt != a->rcv_wup,
		.rx_order_max = order_for(a->rcvbuf_locked ? a->rcvbuf : max32(a->rcvbuf, s->rmem_max)),
		.tx_order_max = order_for(a->sndbuf_locked ? a->sndbuf : max32(a->sndbuf, s->wmem_max)),
	};
}

static enum tp_reason take_slot(struct slow *s, const struct claim *cl, struct conn *c,
				const struct tp_answer *a, const struct tcp_begin *tcp)
{
	struct slot_begin b = {
		.cookie = cl->cookie,
		.thread = a->entry.queue % fast_threads(s->fast),
		.linux_rx = a->rcv_nxt - a->copied_seq,
		.mss = a->mss_cache,
		.rx_max = 1U << tcp->rx_order_max,
		.tx_max = 1U << tcp->tx_order_max,
		.opts = cl->opts | (a->nodelay ? TP_O_NODELAY : 0) | (a->cork ? TP_O_CORK : 0),
	};

	if (slot_open(cl->region, &b, &c->slot))
		return TP_WHY_FULL;
	if (conn_take_flow_id(&s->conns, c)) {
		slot_close(s, cl->region, c->slot);
		return TP_WHY_FULL;
	}
	c->region = cl->region;
	c->thread = b.thread;
	return TP_WHY_NONE;
}

static void give_slot_back(struct slow *s, struct conn *c)
{
	conn_drop_flow_id(&s->conns, c);
	slot_close(s, c->region, c->slot);
	c->region = NULL;
}

static void remember(const struct slow *s, struct conn *c, const struct tp_answer *a)
{
	struct wire_eth eth = { .ethertype = htons(WIRE_ETH_IP) };

	memcpy(eth.dst, a->entry.next_hop, sizeof(eth.dst));
	memcpy(eth.src, s->att->nic.mac, sizeof(eth.src));
	memcpy(c->eth, &eth, sizeof(c->eth));
	c->linux_una = a->snd_una;
	c->linux_rcv = a->rcv_nxt;
	c->linux_wnd = a->snd_wnd;
	c->wire_first = a->snd_una;
	c->snd_wscale = a->snd_wscale;
	c->rcv_wscale = a->rcv_wscale;
	c->ts_offset = a->ts_offset;
	c->has_ts = a->ts_ok;
	c->ttl = a->ttl;
	c->linux_tsval = (uint32_t)(s->now_ns / NS_PER_MS) + a->ts_offset;
}

static int install(struct slow *s, struct conn *c, const struct tp_answer *a,
		    const struct tcp_begin *tcp)
{
	struct fast_install in = {
		.flow_id = c->flow_id,
		.key = c->key,
		.tos = a->tos,
		.ttl = a->ttl,
		.region = &c->region->fast,
		.slot = c->slot,
		.tcp = *tcp,
	};

	memcpy(in.eth, c->eth, sizeof(in.eth));
	return slow_tell(s, c->thread, &(struct fast_cmd){ .kind = FAST_CMD_INSTALL,
							   .flow_id = c->flow_id,
							   .install = &in });
}

/* The kept frames, as frames of the phase that @c is in now, or of nobody's. */
static void deliver_kept(struct slow *s, struct conn *c)
{
	struct list frames;

	list_init(&frames);
	list_splice_tail(&frames, &c->held.frames);
	c->held.count = 0;
	list_each(l, n, &frames) {
		struct held_frame *f = container_of(l, struct held_frame, link);

		if (f->from == SEG_FROM_WIRE)
			from_wire(s, &f->vnet, f->data, f->len, f->queue);
		else
			from_linux(s, &f->vnet, f->data, f->len);
		free(f);
	}
}

static enum tp_reason switch_over(struct slow *s, const struct claim *cl, struct conn *c)
{
	struct tp_answer a;
	struct tcp_begin tcp;
	enum tp_reason reason = hold(s, cl, &a);

	if (reason)
		return reason;
	relay_drain(s, TAP_ALL);	/* Linux's ACKs, up to the numbers of the answer */
	fill_tcp(s, &a, &tcp);
	reason = take_slot(s, cl, c, &a, &tcp);
	if (reason)
		return reason;
	remember(s, c, &a);
	if (install(s, c, &a, &tcp)) {
		give_slot_back(s, c);
		return TP_WHY_FULL;
	}
	return TP_WHY_NONE;
}

/* May the connection be claimed at all? @c: what we know of its name. */
static enum tp_reason claimable(struct slow *s, const struct claim *cl, const struct conn *c)
{
	if (slow_is_closing(s))
		return TP_WHY_CLOSING;
	if (hear_is_lost(s))
		return TP_WHY_NO_XDP;
	if (conn_by_cookie(&s->conns, cl->cookie))
		return c && c->phase == CONN_LINUX ? TP_WHY_HANDED_BACK : TP_WHY_STATE;
	return c ? TP_WHY_STATE : TP_WHY_NONE;
}

/* Linux keeps it. Frees @c. */
static void refuse(struct slow *s, const struct claim *cl, struct conn *c)
{
	struct tp_answer a;

	cookie_forget(s, cl->cookie, TP_COOKIE_CLAIMED | TP_COOKIE_CONNECT);
	ask_after(s->att, &c->key, TP_ASK_UNHOLD, &a);
	upcall_drain(s, UPCALL_ALL);
	relay_drain(s, TAP_ALL);
	if (!held_is_empty(&c->held))
		flowmap_forget(s, c);
	conn_unlink_key(&s->conns, c);
	deliver_kept(s, c);
	conn_free(&s->conns, c);
}

/* The entry exists, so that an update fails only for want of memory. It stays HOLD then: what
 * the ring brings is injected, slowly.
 */
static void enter_fast(struct slow *s, struct conn *c)
{
	if (flowmap_set(s, c, CONN_FAST))
		conn_set_phase(&s->conns, c, CONN_FAST, s->now_ns);
	s->setups++;
	expire_fast(s, c);
	if (c->released)
		slow_tell_flow(s, c, FAST_CMD_RELEASE);
	deliver_kept(s, c);
	if (c->stranger)
		handback_begin(s, c, TP_WHY_STRANGER);
}

static enum tp_reason try_claim(struct slow *s, const struct claim *cl, struct conn **ret_conn)
{
	struct conn *c = conn_find(&s->conns, &cl->key);
	enum tp_reason reason = claimable(s, cl, c);

	if (reason)
		return reason;
	c = conn_new(&s->conns, &cl->key, s->now_ns);
	if (!c)
		return TP_WHY_INTERNAL;
	conn_set_cookie(&s->conns, c, cl->cookie);
	reason = cookie_set(s, cl->cookie, TP_COOKIE_CLAIMED) ? TP_WHY_FULL : switch_over(s, cl, c);
	c->reason = reason;
	if (reason)
		refuse(s, cl, c);
	else
		enter_fast(s, c);
	*ret_conn = c;
	return reason;
}

enum tp_reason claim(struct slow *s, const struct claim *cl, struct conn **ret_conn)
{
	enum tp_reason reason = try_claim(s, cl, ret_conn);

	if (reason)
		why_note(&s->why, &cl->key, cl->cookie, reason);
	return reason;
}

void claim_from_linux(struct slow *s, struct conn *c, const struct segment *seg,
		      const struct virtio_net_hdr *vnet, const uint8_t *frame, uint32_t len)
{
	/* Linux's numbers are still the wire's. */
	if (!seg->len && !(seg->flags & (WIRE_FIN | WIRE_RST | WIRE_SYN)))
		relay_to_wire(s, vnet, frame, len);
	else
		held_put(&c->held, SEG_FROM_LINUX, 0, vnet, frame, len);
}
