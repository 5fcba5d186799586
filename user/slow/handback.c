/* SPDX-License-Identifier: BSD-2-Clause
 *
 * handback.c - FAST -> HOLD -> LINUX: how a flow that was ours becomes Linux's again, and how
 * it dies.
 *
 * All orderly endings go through one door. The fast thread leaves a flow by itself when the
 * peer's FIN has arrived and what came before it was read, when ours is acknowledged, or when
 * told to (LEAVE); and all that it sent is acknowledged: QUIET. It neither sends nor receives
 * then. The order from there:
 *
 *  1 slot LEAVING, fence, tx_head	bytes that the program wrote before it could know: LEAVE once
 *				more sends them, and QUIET comes again
 *  2 tp_flows HOLD		frames of the peer: the ring, kept; of Linux: the TAP
 *  3 tx_delta, rx_delta	wire minus Linux. Linux stood still, so both are known; taken
 *				without either FIN, since a FIN moves both sides alike. Bytes that
 *				nobody has read are taken out of the pipe, and count as Linux's
 *  4 made segments		tell Linux of the ACK of its FIN, the peer's window, these bytes
 *				(feed.c), the peer's FIN (made.c) unless it knows of that since
 *				PEER_FIN, until ask_linux() says that it has taken them: what
 *				it answers would, translated, be news to nobody, and a RST could
 *				come back for it. So it is swallowed. The ACK that the thread
 *				owed the peer still goes out from here (ack_due)
 *  5 tp_flows LINUX		tc translates from here on. Both deltas zero: no entry, unless the FINs
 *				have crossed (handback_end_time_wait())
 *  6 kept frames		translated here, in the order in which they came
 *  7 slot LINUX, NOTIFY, FREE	the program goes on with the real fd
 *
 *  race							why it does no harm
 *  Linux's FIN comes after QUIET was sent			the thread ignores FAST_CMD_FIN; the
 *								frame is kept since we saw it: 6
 *  Linux's FIN was done by the thread (fin_sent)		the kept frame is dropped in 6
 *  the program writes after QUIET				1; the fence is shm_abi.h's
 *  told to leave while QUIET is under way		void by its number (fast.h): comes again
 *  a frame reaches the quiet flow before 2			FAST_EV_STRAY: kept, or translated
 *								if it comes after 5
 *  a frame was recorded in FAST or HOLD, read after 5	phase LINUX: translated (upcall.c)
 *  the peer repeats what was kept, and both are done	what comes then is dropped: it would be
 *  before 6						answered, a peer that is gone would
 *								answer that by RST, and end TIME_WAIT
 *  the socket is locked by the program during 4		its backlog has our segment: asked
 *								again at once, then on a timer
 *  Linux's socket has gone already			nobody is told; what the peer sends
 *								meets Linux without a socket: RST
 *
 * Death. RST of the peer, retries used up, or a reset for data that nobody reads: DEAD. Linux
 * gets a made RST at its exact numbers; the entry stays in HOLD until the socket is gone (I8).
 * RST of Linux: the thread resets the peer, and the entry goes at once.
 *
 * A slot lives until its socket is released *and* the thread has forgotten the flow; a
 * connection as long as its entry or its slot.
 */
#include "handback.h"

#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "expire.h"
#include "feed.h"
#include "flowmap.h"
#include "keepalive.h"
#include "made.h"
#include "slow.h"
#include "taspilot/seq.h"
#include "taspilot/wire.h"
#include "upcall.h"
#include "watch.h"

#define REVIVE_MAX	16		/* a program that never stops writing is cut off */
#define TAP_ALL		4096
#define BUSY_TRIES	4		/* looks at a socket that somebody has locked, and between them */
#define BUSY_PAUSE_NS	20000
#define TELL_TRIES	40		/* times expire.c comes back: 2 s */

/* Free what nobody needs any more; maybe @c itself. */
static void settle(struct slow *s, struct conn *c)
{
	if (c->region && c->released && !c->has_flow) {
		slot_close(s, c->region, c->slot);
		c->region = NULL;
		conn_set_cookie(&s->conns, c, 0);
	}
	if (c->phase == CONN_GONE && !c->region && !c->has_flow)
		conn_free(&s->conns, c);
}

static bool is_syn(const struct held_frame *f)
{
	struct segment seg;

	return f->from == SEG_FROM_WIRE && segment_read(f->data, f->len, f->from, &seg) &&
	       watch_is_syn(&seg);
}

void handback_gone(struct slow *s, struct conn *c)
{
	struct held held = c->held;
	struct held_frame *f;

	list_init(&held.frames);
	list_splice_tail(&held.frames, &c->held.frames);
	held_init(&c->held);

	flowmap_forget(s, c);
	conn_unlink_key(&s->conns, c);
	list_del(&c->due);
	conn_set_phase(&s->conns, c, CONN_GONE, s->now_ns);
	settle(s, c);

	/* A SYN of the next connection of that name waited for the end of this one. */
	while ((f = held_take(&held))) {
		if (is_syn(f))
			from_wire(s, &f->vnet, f->data, f->len, f->queue);
		free(f);
	}
}

static void slot_state(struct conn *c, enum tp_slot_state state)
{
	if (c->region)
		slot_set_state(c->region, c->slot, state);
}

/* Last words to the thread about this flow; once. */
static void let_go(struct slow *s, struct conn *c, enum tp_slot_state state)
{
	if (!c->has_flow || c->freeing)
		return;
	c->freeing = true;
	slot_state(c, state);
	slow_tell_flow(s, c, FAST_CMD_NOTIFY);
	slow_tell_flow(s, c, FAST_CMD_FREE);
}

static void leave(struct slow *s, struct conn *c)
{
	slot_state(c, TP_SLOT_LEAVING);
	atomic_thread_fence(memory_order_seq_cst);
	slow_tell(s, c->thread, &(struct fast_cmd){ .kind = FAST_CMD_LEAVE,
						    .flow_id = c->flow_id,
						    .value = ++c->leaves });
}

void handback_begin(struct slow *s, struct conn *c, enum tp_reason reason)
{
	if (c->phase != CONN_FAST || c->wants_back)
		return;
	c->wants_back = true;
	c->reason = reason;
	why_note_back(&s->why, &c->key, c->cookie, reason);
	leave(s, c);
}

void handback_unread(struct slow *s, struct conn *c)
{
	uint64_t read = slot_read(c->region, c->slot);
	bool stands_still = c->peer_done && read == c->read_seen;

	c->peer_done = slot_has_eof(c->region, c->slot) && slot_has_unread(c->region, c->slot);
	c->read_seen = read;
	if (c->peer_done && stands_still && !c->leaves)
		leave(s, c);
}

void handback_fin(struct slow *s, struct conn *c)
{
	if (c->fin_asked)
		return;
	c->fin_asked = true;
	c->peer_first = slot_has_eof(c->region, c->slot);
	slow_tell_flow(s, c, FAST_CMD_FIN);
}

/* --- telling Linux ---------------------------------------------------------------------- */

static void made_begin(const struct conn *c, struct made_flow *f)
{
	*f = (struct made_flow){
		.key = c->key,
		.ttl = c->ttl,
		.has_ts = c->has_ts,
		.tsval = c->last.ts_recent,
		.tsecr = c->linux_tsval,
	};
	memcpy(f->eth, c->eth, sizeof(f->eth));
}

void handback_say(struct slow *s, const struct conn *c, enum made_to to,
		  const struct made_seg *seg)
{
	static uint8_t frame[MADE_FRAME_MAX + TP_FRAME_MAX];
	struct made_flow f;
	uint32_t len;

	made_begin(c, &f);
	if (to == MADE_TO_WIRE) {
		f.tsval = (uint32_t)(s->now_ns / NS_PER_MS) + c->ts_offset;
		f.tsecr = c->last.ts_recent;
	}
	len = (uint32_t)made_build(&f, to, seg, frame);
	if (to == MADE_TO_LINUX)
		relay_to_linux(s, NULL, frame, len);
	else
		relay_to_wire(s, NULL, frame, len);
}

/* @at: Linux's rcv_nxt. */
static void tell_linux(struct slow *s, struct conn *c, uint32_t at)
{
	struct made_news n = {
		.seq = at,
		.ack = c->linux_una,
		.fin_acked = c->last.fin_acked,
		.peer_fin = c->last.peer_fin && at == c->linux_rcv + c->feed_len,
		.may_send = !c->fin_asked,
		.linux_wnd = c->linux_wnd,
		.wire_wnd = c->last.snd_wnd,
		.snd_wscale = c->snd_wscale,
	};
	struct made_seg seg[MADE_TELL_MAX];
	size_t count = made_tell(&n, seg);

	for (size_t i = 0; i < count; i++)
		handback_say(s, c, MADE_TO_LINUX, &seg[i]);
}

/* Not found: no socket any more, or TIME_WAIT, which has taken both FINs. */
static bool understood(const struct conn *c, const struct tp_answer *a)
{
	return !a->found || (a->rcv_nxt == c->linux_rcv + c->feed_len + c->last.peer_fin &&
			     seq_after_eq(a->snd_una, c->linux_una + c->last.fin_acked));
}

/* On the wire all is over. Linux is told so by RST, in HOLD, until its socket is gone. */
static void end(struct slow *s, struct conn *c, enum tp_slot_state state)
{
	if (flowmap_set(s, c, CONN_DEAD))
		conn_set_phase(&s->conns, c, CONN_DEAD, s->now_ns);
	held_drop_all(&c->held);
	let_go(s, c, state);
	handback_again(s, c);
}

/* The peer has finished, and Linux should know before the program closes: then Linux closes
 * second, as it would have. It answers by an ACK, which is swallowed. Not before bytes that it
 * may have to be given (feed.c).
 */
static void on_peer_fin(struct slow *s, struct conn *c, const struct tcp_state *st)
{
	uint32_t wnd = st->snd_wnd >> c->snd_wscale;
	struct made_seg fin = {
		.seq = c->linux_rcv,
		.ack = c->linux_una,
		.window = (uint16_t)(wnd < 0xffff ? wnd : 0xffff),
		.flags = WIRE_FIN | WIRE_ACK,
	};

	relay_drain(s, TAP_ALL);	/* perhaps it has closed */
	if (c->phase != CONN_FAST || c->fin_asked || c->fin_told ||
	    slot_unread(c->region, c->slot, st->rx_bytes))
		return;
	c->last = *st;
	c->fin_told = true;
	handback_say(s, c, MADE_TO_LINUX, &fin);
}

/* --- the way back ----------------------------------------------------------------------- */

/* Our side's numbers are data only: a FIN moves wire and Linux alike. */
static void set_deltas(struct conn *c)
{
	c->tx_delta = c->last.snd_nxt - c->last.fin_sent - c->linux_una;
	c->rx_delta = c->last.rcv_nxt - c->last.peer_fin - c->linux_rcv - c->feed_len;
}

/* The peer knows our window from the thread; from now on it is Linux's. */
static void tell_window(struct slow *s, struct conn *c, const struct tp_answer *a)
{
	uint32_t room = a->rcv_wup + a->rcv_wnd - a->rcv_nxt;
	uint32_t window = room >> c->rcv_wscale;
	struct made_seg seg = {
		.seq = a->snd_nxt + c->tx_delta,
		.ack = a->rcv_nxt + c->rx_delta,
		.window = (uint16_t)(window < 0xffff ? window : 0xffff),
		.flags = WIRE_ACK,
	};

	if (!c->last.peer_fin && a->found)
		handback_say(s, c, MADE_TO_WIRE, &seg);
}

bool handback_is_old(struct slow *s, const struct conn *c, const struct segment *seg)
{
	struct tp_answer a;

	return !ask_linux(s->att, &c->key, &a) && made_is_old(seg, c->rx_delta, &a);
}

static void deliver(struct slow *s, struct conn *c, struct held_frame *f)
{
	bool partial = f->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

	if (is_syn(f)) {
		relay_to_linux(s, &f->vnet, f->data, f->len);
	} else if (f->from == SEG_FROM_WIRE) {
		segment_renumber(f->data, f->len, -c->rx_delta, -c->tx_delta, partial);
		relay_to_linux(s, &f->vnet, f->data, f->len);
	} else {
		segment_renumber(f->data, f->len, c->tx_delta, c->rx_delta, partial);
		relay_to_wire(s, &f->vnet, f->data, f->len);
	}
}

bool handback_is_done(const struct conn *c, const struct segment *seg)
{
	return c->last.fin_sent && made_request(seg, c->linux_una) == MADE_REQ_FIN;
}

static bool is_needless(struct slow *s, const struct conn *c, const struct held_frame *f)
{
	struct segment seg;

	if (is_syn(f) || !segment_read(f->data, f->len, f->from, &seg))
		return false;
	return f->from == SEG_FROM_LINUX ? handback_is_done(c, &seg) : handback_is_old(s, c, &seg);
}

static void deliver_kept(struct slow *s, struct conn *c)
{
	struct held_frame *f;

	while ((f = held_take(&c->held))) {
		if (!is_needless(s, c, f))
			deliver(s, c, f);
		free(f);
	}
}

/* The peer closed first, but Linux's FIN crossed the one that we made: both sides think that they
 * were first. In TIME_WAIT nothing is open any more, so RST harms nobody (RFC 1337 is about the
 * wire's; where Linux follows it, its TIME_WAIT just stays).
 */
static bool peer_closed_first(const struct conn *c)
{
	return c->last.peer_fin && (c->peer_first || !c->last.fin_sent);
}

bool handback_end_time_wait(struct slow *s, struct conn *c, const struct tp_answer *a)
{
	struct made_seg rst = { .seq = c->linux_rcv + c->feed_len + 1, .flags = WIRE_RST };

	if (a->found || a->tcp_state != TCP_TIME_WAIT || !peer_closed_first(c))
		return false;
	handback_say(s, c, MADE_TO_LINUX, &rst);
	return true;
}

/* Linux has understood: steps 5 to 7. */
static void finish(struct slow *s, struct conn *c, const struct tp_answer *a)
{
	bool over = !a->found && a->tcp_state != TCP_TIME_WAIT;
	bool ended = handback_end_time_wait(s, c, a);
	bool crossed = a->found && a->tcp_state == TCP_CLOSING && peer_closed_first(c);

	c->feeding = false;
	if (flowmap_set(s, c, CONN_LINUX)) {
		expire_soon(s, c);	/* no memory: try again */
		return;
	}
	deliver_kept(s, c);		/* before whom we wake takes this CPU */
	feed_switch(s, c);
	tell_window(s, c, a);
	let_go(s, c, TP_SLOT_LINUX);
	if (over || ended || (!c->tx_delta && !c->rx_delta && !crossed))
		handback_gone(s, c);
	else if (c->released && c->region && slot_has_unread(c->region, c->slot))
		handback_kill(s, c);
	else
		expire_linux(s, c);
}

/* Bytes that nobody had read, and the FIN behind them. */
static void feed(struct slow *s, struct conn *c, struct tp_answer *a)
{
	feed_push(s, c, a);
	relay_drain(s, TAP_ALL);
	if (ask_linux(s->att, &c->key, a) || c->phase != CONN_BACK)
		return;
	if (a->found && c->last.peer_fin && a->rcv_nxt == c->linux_rcv + c->feed_len) {
		tell_linux(s, c, a->rcv_nxt);
		relay_drain(s, TAP_ALL);
		ask_linux(s->att, &c->key, a);
	}
}

/* What is left of a socket in FIN-WAIT-2 that nobody has open looks like TIME_WAIT from outside, and
 * may not know of the peer's FIN: then it would stay for a minute. One that does know only
 * acknowledges it again, which is swallowed; or, if it comes late, is translated and no news to the peer.
 * Exactly at its rcv_nxt, or it would answer by RST: bytes taken for it are all there, because a
 * release before that is the end (handback_released()).
 */
static void tell_fin_wait(struct slow *s, const struct conn *c, const struct tp_answer *a)
{
	struct made_seg fin = {
		.seq = c->linux_rcv + c->feed_len,
		.ack = c->linux_una + c->last.fin_acked,
		.flags = WIRE_FIN | WIRE_ACK,
	};

	if (a->found || a->tcp_state != TCP_TIME_WAIT || !c->last.peer_fin)
		return;
	handback_say(s, c, MADE_TO_LINUX, &fin);
	relay_drain(s, TAP_ALL);
}

/* A program that is just closing has its socket locked, and perhaps not the CPU: we woke on it when
 * Linux sent the FIN. Then what we have told waits in the backlog, and the flow for a tick unless the
 * program is let go on. 0 or -errno.
 */
static int ask_patiently(struct slow *s, const struct conn *c, struct tp_answer *ret_answer)
{
	static const struct timespec pause = { .tv_nsec = BUSY_PAUSE_NS };
	int err;

	for (int i = 0;; i++) {
		relay_drain(s, TAP_ALL);	/* what Linux says to it */
		err = ask_linux(s->att, &c->key, ret_answer);
		if (err || !ret_answer->busy || understood(c, ret_answer) || i == BUSY_TRIES)
			return err;
		nanosleep(&pause, NULL);
	}
}

static void try_finish(struct slow *s, struct conn *c)
{
	struct tp_answer a = { 0 };
	bool over;

	if (ask_patiently(s, c, &a)) {
		finish(s, c, &a);
		return;
	}
	tell_fin_wait(s, c, &a);
	if (c->feed_len)
		feed(s, c, &a);
	if (c->phase != CONN_BACK)
		return;			/* Linux has reset it */
	over = feed_is_over(c, &a);
	if (over && c->wire_reset) {
		end(s, c, TP_SLOT_LINUX);
	} else if (understood(c, &a) || (over && c->asked >= TELL_TRIES)) {
		finish(s, c, &a);
	} else {
		if (!over)
			feed_wait(s, c);
		expire_soon(s, c);
	}
}

/* The thread acknowledges late, and was quiet before it did. */
static void pay_ack(struct slow *s, struct conn *c)
{
	uint32_t window = (c->last.rcv_edge - c->last.rcv_nxt) >> c->rcv_wscale;
	struct made_seg seg = {
		.seq = c->last.snd_nxt,
		.ack = c->last.rcv_nxt,
		.window = (uint16_t)(window < 0xffff ? window : 0xffff),
		.flags = WIRE_ACK,
	};

	if (c->last.ack_due)
		handback_say(s, c, MADE_TO_WIRE, &seg);
}

/* The program closed after the peer did, and before Linux knew: Linux believes to have closed
 * first, and would wait in TIME_WAIT in the peer's stead. Nobody sees the socket any more, and
 * both sides are done: a RST ends it.
 */
static bool is_over_in_wrong_order(const struct conn *c)
{
	return c->released && c->peer_first && !c->fin_told && c->last.peer_fin &&
	       c->last.fin_acked;
}

/* Linux has dropped its orphan. It would answer whatever it is told by RST. */
static bool has_no_socket(struct slow *s, const struct conn *c)
{
	struct tp_answer a;

	return !ask_linux(s->att, &c->key, &a) && !a.found && !a.tcp_state;
}

static void take_and_tell(struct slow *s, struct conn *c)
{
	if (c->released && slot_unread(c->region, c->slot, c->last.rx_bytes)) {
		handback_kill(s, c);		/* bytes for nobody: as Linux does it */
	} else if (feed_take(s, c)) {
		expire_soon(s, c);
	} else {
		set_deltas(c);
		tell_linux(s, c, c->linux_rcv + c->fin_told);
		try_finish(s, c);
		feed_switch(s, c);
	}
}

static void go_back(struct slow *s, struct conn *c)
{
	pay_ack(s, c);
	if (is_over_in_wrong_order(c)) {
		end(s, c, TP_SLOT_LINUX);
		return;
	}
	if (c->released && has_no_socket(s, c)) {
		let_go(s, c, TP_SLOT_LINUX);
		handback_gone(s, c);
		return;
	}
	if (flowmap_set(s, c, CONN_BACK))
		handback_kill(s, c);
	else
		take_and_tell(s, c);
}

/* Position in the tx pipe behind all that is sent and acknowledged, its low half. */
static uint32_t sent_position(const struct conn *c)
{
	return c->last.snd_una - c->last.fin_acked - c->wire_first;
}

/* Is there something that the thread has to do still? Bytes that were written before the
 * program could know; a FIN, if Linux must not do it (see is_over_in_wrong_order()).
 */
static bool has_work_left(const struct conn *c)
{
	if (c->last.fin_acked)
		return false;
	return (uint32_t)slot_written(c->region, c->slot) != sent_position(c) ||
	       (c->fin_asked && c->peer_first && !c->fin_told);
}

static void revive(struct slow *s, struct conn *c)
{
	leave(s, c);
	if (c->fin_asked)
		slow_tell_flow(s, c, FAST_CMD_FIN);
	if (c->released)
		slow_tell_flow(s, c, FAST_CMD_RELEASE);
}

static void on_quiet(struct slow *s, struct conn *c, const struct tcp_state *st, uint32_t leave_no)
{
	if (c->phase != CONN_FAST || leave_no != c->leaves)
		return;			/* it lives on since: quiet will come again */
	c->last = *st;
	slot_state(c, TP_SLOT_LEAVING);
	atomic_thread_fence(memory_order_seq_cst);	/* partner: shm_abi.h, who writes */
	if (has_work_left(c) && c->revived++ < REVIVE_MAX)
		revive(s, c);
	else
		go_back(s, c);
}

/* --- death ------------------------------------------------------------------------------ */

static void rst_to_linux(struct slow *s, struct conn *c, uint32_t seq, uint32_t ack)
{
	handback_say(s, c, MADE_TO_LINUX,
		  &(struct made_seg){ .seq = seq, .ack = ack, .flags = WIRE_RST | WIRE_ACK });
}

static void on_dead(struct slow *s, struct conn *c, const struct tcp_state *st)
{
	if (c->phase != CONN_FAST)
		return;
	c->last = *st;
	end(s, c, TP_SLOT_DEAD);
}

void handback_linux_reset(struct slow *s, struct conn *c)
{
	slow_tell_flow(s, c, FAST_CMD_RST);
	let_go(s, c, TP_SLOT_DEAD);
	handback_gone(s, c);
}

/* Linux's own numbers, so exact ones; the wire's follow by the deltas, zero if never ours. */
static void reset_peer(struct slow *s, struct conn *c)
{
	struct tp_answer a;

	if (ask_linux(s->att, &c->key, &a) || !a.found)
		return;
	handback_say(s, c, MADE_TO_WIRE,
		  &(struct made_seg){ .seq = a.snd_nxt + c->tx_delta,
				      .ack = a.rcv_nxt + c->rx_delta,
				      .flags = WIRE_RST | WIRE_ACK });
}

void handback_kill(struct slow *s, struct conn *c)
{
	if (c->phase == CONN_FAST)
		slow_tell_flow(s, c, FAST_CMD_RST);
	else
		reset_peer(s, c);
	end(s, c, TP_SLOT_DEAD);
}

/* Phase DEAD: until its socket is gone, which it is at once unless a program has locked it. */
static void kill_again(struct slow *s, struct conn *c)
{
	struct tp_answer a;
	bool gone = ask_linux(s->att, &c->key, &a) || !a.found;

	if (!gone) {
		rst_to_linux(s, c, a.rcv_nxt, a.snd_nxt);
		gone = ask_linux(s->att, &c->key, &a) || !a.found;
	}
	if (gone || c->asked >= TELL_TRIES)
		handback_gone(s, c);
	else
		expire_soon(s, c);
}

void handback_again(struct slow *s, struct conn *c)
{
	struct tp_answer a;

	c->asked++;
	if (c->phase == CONN_DEAD) {
		kill_again(s, c);
		return;
	}
	if (!c->taken) {
		take_and_tell(s, c);
		return;
	}
	if (!ask_linux(s->att, &c->key, &a) && a.found) {
		feed_again(s, c, &a);
		if (!c->feeding || feed_is_over(c, &a))
			tell_linux(s, c, a.rcv_nxt);
	}
	try_finish(s, c);
}

/* --- frames of a flow that is on its way ------------------------------------------------ */

void handback_from_wire(struct slow *s, struct conn *c, const struct segment *seg,
			const struct virtio_net_hdr *vnet, const uint8_t *frame, uint32_t len,
			uint32_t queue)
{
	if (c->feeding)
		feed_from_wire(s, c, seg);
	else
		held_put(&c->held, SEG_FROM_WIRE, queue, vnet, frame, len);
}

static bool is_pure_ack(const struct segment *seg)
{
	return !seg->len && !(seg->flags & (WIRE_FIN | WIRE_RST | WIRE_SYN));
}

/* What Linux says to our news is for us, the rest for the peer. */
void handback_from_linux(struct slow *s, struct conn *c, const struct segment *seg,
			 const struct virtio_net_hdr *vnet, uint8_t *frame, uint32_t len)
{
	if (!c->feeding && is_pure_ack(seg))
		return;
	if (!c->feeding) {
		held_put(&c->held, SEG_FROM_LINUX, 0, vnet, frame, len);
	} else if (seg->flags & WIRE_RST) {
		feed_translate(s, c, seg, vnet, frame, len);
		let_go(s, c, TP_SLOT_DEAD);
		handback_gone(s, c);
	} else if (!handback_is_done(c, seg)) {
		feed_from_linux(s, c, seg, vnet, frame, len);
	}
}

/* --- who tells us ----------------------------------------------------------------------- */

void handback_released(struct slow *s, uint64_t cookie)
{
	struct conn *c = conn_by_cookie(&s->conns, cookie);

	cookie_forget(s, cookie, ~0U);
	if (!c || c->released)
		return;
	c->released = true;
	if (c->phase == CONN_CLAIM)
		return;			/* the thread does not know of it yet: claim.c */
	if (c->phase == CONN_LINUX && c->region && slot_has_unread(c->region, c->slot)) {
		handback_kill(s, c);	/* bytes for nobody: as Linux does it */
		return;
	}
	if (c->phase == CONN_BACK && c->taken && c->fed < c->feed_len) {
		handback_kill(s, c);
		return;
	}
	if (c->phase == CONN_FAST)
		slow_tell_flow(s, c, FAST_CMD_RELEASE);
	else if (c->phase == CONN_LINUX)
		expire_soon(s, c);
	settle(s, c);
}

void handback_stranger(struct slow *s, uint64_t cookie)
{
	struct conn *c = conn_by_cookie(&s->conns, cookie);

	if (c && c->phase == CONN_CLAIM)
		c->stranger = true;
	else if (c)
		handback_begin(s, c, TP_WHY_STRANGER);
}

static void on_freed(struct slow *s, struct conn *c)
{
	conn_drop_flow_id(&s->conns, c);
	settle(s, c);
}

static void on_stray(struct slow *s, const struct fast_event *ev)
{
	static uint8_t frame[sizeof(ev->frame.data)];

	memcpy(frame, ev->frame.data, ev->frame.len);
	from_wire(s, NULL, frame, ev->frame.len, ev->thread);
}

static void on_flow_event(struct slow *s, struct conn *c, const struct fast_event *ev)
{
	switch (ev->kind) {
	case FAST_EV_PEER_FIN:
		on_peer_fin(s, c, &ev->state);
		return;
	case FAST_EV_FIN_ACKED:
		return;			/* QUIET follows */
	case FAST_EV_QUIET:
		on_quiet(s, c, &ev->state, ev->value);
		return;
	case FAST_EV_DEAD:
		on_dead(s, c, &ev->state);
		return;
	case FAST_EV_FREED:
		on_freed(s, c);
		return;
	case FAST_EV_STATE:
		if (c->phase == CONN_FAST)
			c->last = ev->state;
		keepalive_state(s, c);
		ctl_state(s, c);
		return;
	case FAST_EV_ODD:
		handback_begin(s, c, TP_WHY_URGENT);
		return;
	case FAST_EV_STRAY:
	case FAST_EV_REGION_GONE:
		return;
	}
}

void handback_event(struct slow *s, const struct fast_event *ev)
{
	struct conn *c;

	if (ev->kind == FAST_EV_STRAY) {
		on_stray(s, ev);
		return;
	}
	if (ev->kind == FAST_EV_REGION_GONE) {
		region_gone(s, ev->region);
		return;
	}
	c = conn_by_flow(&s->conns, ev->flow_id);
	if (c)
		on_flow_event(s, c, ev);
}
