/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp.c - a flow's begin, what the program and the slow path ask of it, what it tells.
 *
 * The words that a program writes are looked at in one place each: tcp_look_tx() here,
 * tcp_look_rx() in tcp_ooo.c. A tx_head is believed if it does not go back and the pipe as
 * its geometry says can hold what it claims; else the old one stands.
 */
#include "tcp_flow.h"

#include <errno.h>
#include <netinet/tcp.h>

#define LIMIT_MIN	32768U		/* bytes that we are willing to hold at least */
#define CWND_INIT	10U		/* TCP_INIT_CWND */

static uint32_t clamp(uint32_t v, uint32_t lo, uint32_t hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

void tcp_look_tx(struct tcp *t)
{
	uint64_t head, geom;

	if (t->flags & (T_QUIESCED | T_FIN_WANTED))
		return;
	/* pipe.h (C), (E): pairs with (B), the bytes below head are there */
	head = atomic_load_explicit(&t->slot->tx_head, memory_order_acquire);
	geom = atomic_load_explicit(&t->slot->tx_geom, memory_order_relaxed);
	if (head == t->tx_head || head - t->tx_tail < t->tx_head - t->tx_tail)
		return;
	if (!pipe_geom_ok(geom) || pipe_order(geom) > t->tx_order_max ||
	    head - t->tx_tail > pipe_size(geom))
		return;
	if (t->flags & T_RATE)
		tcp_rate_app(t, head);
	t->tx_head = head;
	t->tx_geom = geom;
}

/* The wire side is over. @why goes to the caller, @err to the program. */
uint32_t tcp_die(struct tcp *t, int err, uint32_t why)
{
	t->flags |= T_DEAD;
	t->err = err;
	t->rtx_at = t->ack_at = t->push_at = t->pace_due = TCP_NEVER;
	atomic_store_explicit(&t->slot->err, (uint32_t)err, memory_order_relaxed);
	atomic_fetch_or_explicit(&t->slot->fast_flags, TP_F_ERR, memory_order_release);
	return why | TCP_DO_READABLE | TCP_DO_WRITABLE;
}

static void init_cc(struct tcp *t, const struct tcp_begin *b, uint64_t now_ns)
{
	const struct cc_ops *ops = cc_find(b->options.cc);

	t->cc = (struct cc){
		.ops = ops ? ops : cc_default(),
		.cwnd = clamp(b->cwnd, 1, 1U << 20),
		.ssthresh = clamp(b->ssthresh, 2, CC_SSTHRESH_INF),
		.cwnd_clamp = 1U << 20,
		.mss = t->mss,
		.srtt_us = t->rtt.srtt_us,
		.min_rtt_us = t->rtt.min_us,
		.max_pacing = b->options.max_pacing,
	};
	t->cc.ops->init(&t->cc, now_ns);
	tcp_rate_begin(t, now_ns);
}

/* What the pipe holds, for the window's granularity a little less; or what SO_RCVBUF asks. */
static void set_rcv_most(struct tcp *t, uint32_t rcv_max)
{
	uint32_t pipe = 1U << t->rx_order_max, most = pipe - (1U << t->rcv_wscale) % pipe;

	t->rcv_most = rcv_max ? tcp_min(rcv_max, most) : most;
}

static void init_rx(struct tcp *t, const struct tcp_begin *b, uint64_t now_ns)
{
	uint32_t edge;

	t->rx = b->rx;
	t->rx_order_max = clamp(b->rx_order_max, TP_ORDER_SMALL, TP_ORDER_BIG);
	t->rx_geom = pipe_geom(TP_ORDER_SMALL, 0);
	t->rcv_wscale = (uint8_t)clamp(b->rcv_wscale, 0, 14);
	t->rcv_nxt = t->rcv_wup = b->rcv_nxt;
	t->rcv_edge = seq_max(b->rcv_edge, b->rcv_nxt);
	set_rcv_most(t, b->options.rcv_max);
	edge = t->rcv_edge - t->rcv_nxt;
	t->rcv_limit = tcp_min(tcp_max(edge, LIMIT_MIN), tcp_max(edge, t->rcv_most));
	t->told_limit = t->rcv_limit;
	t->rcv_mss = tcp_min(t->mss, 536);
	t->drs_space = tcp_max(tcp_min(edge, CWND_INIT * t->mss), 1);
	t->drs_ns = now_ns;
	t->ts_recent = b->ts_recent;
}

static void init_tx(struct tcp *t, const struct tcp_begin *b)
{
	t->tx = b->tx;
	t->tx_order_max = clamp(b->tx_order_max, TP_ORDER_SMALL, TP_ORDER_BIG);
	t->tx_geom = pipe_geom(TP_ORDER_SMALL, 0);
	t->snd_wscale = (uint8_t)clamp(b->snd_wscale, 0, 14);
	t->snd_una = t->snd_nxt = b->snd_una;
	t->high_seq = t->fack = t->reo_round = t->cwnd_seq = b->snd_una;
	t->snd_wnd = t->max_wnd = b->snd_wnd;
	t->snd_wl1 = b->rcv_nxt;
	t->ts_offset = b->ts_offset;
	t->retries2 = b->retries2;
	t->user_timeout_ms = b->options.user_timeout_ms;
	t->init_cwnd = b->init_cwnd ? b->init_cwnd : CWND_INIT;
	t->idle_restart = b->idle_restart;
	t->quick_acks = b->quick_acks;
	t->oow_gap_ns = b->oow_us * 1000ULL;
	t->reo_steps = 1;
	t->rtx_at = t->ack_at = t->push_at = t->pace_due = TCP_NEVER;
	tcp_set_mss_now(t);
}

/* Line 0 of the slot is ours from here on. */
static void init_slot(struct tcp *t)
{
	struct tp_slot *s = t->slot;

	t->tx_want = tcp_min(65536, 1U << t->tx_order_max);
	atomic_store_explicit(&s->rx_geom, t->rx_geom, memory_order_relaxed);
	atomic_store_explicit(&s->tx_tail, 0, memory_order_relaxed);
	atomic_store_explicit(&s->tx_sent, 0, memory_order_relaxed);
	atomic_store_explicit(&s->tx_want, t->tx_want, memory_order_relaxed);
	atomic_store_explicit(&s->fast_flags, 0, memory_order_relaxed);
	atomic_store_explicit(&s->err, 0, memory_order_relaxed);
	atomic_store_explicit(&s->rx_head, 0, memory_order_release);
}

void tcp_init(struct tcp *t, const struct tcp_begin *b, uint64_t now_ns)
{
	memset(t, 0, sizeof(*t));
	t->slot = b->slot;
	t->pool = b->pool;
	t->rec = t->own_rec;
	t->rec_cap = TCP_NREC;
	t->range = t->own_range;
	t->range_cap = TCP_NRANGE;
	t->mss = (uint16_t)clamp(b->mss, 48, 65535);
	t->flags = (b->ts_ok ? T_TS : 0) | (b->sack_ok ? T_SACK : 0) | (b->ecn_ok ? T_ECN : 0);
	rtt_init(&t->rtt, b->srtt_us, b->rttvar_us, b->rto_us, b->rto_min_us, now_ns);
	init_rx(t, b, now_ns);
	init_tx(t, b);
	init_cc(t, b, now_ns);
	init_slot(t);
	t->heard_ns = t->sent_ns = t->cwnd_ns = now_ns;
	if (b->ack_pending)
		t->flags |= T_ACK_NOW;
	t->opts = (uint8_t)atomic_load_explicit(&t->slot->opts, memory_order_relaxed);
	tcp_look_tx(t);
}

void tcp_fini(struct tcp *t)
{
	tcp_board_free(t);
	tcp_ranges_forget(t);
	t->flags |= T_DEAD;
}

uint32_t tcp_app(struct tcp *t, uint64_t now_ns)
{
	uint32_t opts;

	if (t->flags & T_DEAD)
		return 0;
	opts = atomic_load_explicit(&t->slot->opts, memory_order_relaxed);
	if (opts & ~t->opts & TP_O_NODELAY && tcp_unsent(t))
		t->flags |= T_PUSH;	/* setting it sends what Nagle or CORK held */
	t->opts = (uint8_t)opts;
	tcp_look_tx(t);
	tcp_look_rx(t, now_ns);
	if (!(t->flags & T_PEER_FIN) && tcp_window_opens(t))
		t->flags |= T_ACK_NOW;
	return tcp_output_due(t);
}

uint32_t tcp_close_tx(struct tcp *t, uint64_t now_ns)
{
	(void)now_ns;
	if (t->flags & T_DEAD)
		return 0;
	tcp_look_tx(t);
	t->flags |= T_FIN_WANTED;
	return TCP_DO_OUTPUT;
}

uint32_t tcp_release(struct tcp *t, uint64_t now_ns)
{
	if (t->flags & T_DEAD)
		return 0;
	tcp_look_rx(t, now_ns);
	t->flags |= T_RELEASED;
	if (t->rx_tail != t->rx_head)
		return tcp_die(t, ECONNRESET, TCP_DO_ABORT);
	return 0;
}

void tcp_abort(struct tcp *t, uint64_t now_ns, struct tcp_out *ret_out)
{
	*ret_out = (struct tcp_out){
		.seq = t->snd_nxt,
		.ack = t->rcv_nxt,
		.pos = t->tx_head,
		.flags = TH_RST | TH_ACK,
		.has_ts = t->flags & T_TS,
		.tsval = tcp_tsval(t, now_ns),
		.tsecr = t->ts_recent,
	};
	if (!(t->flags & T_DEAD))
		(void)tcp_die(t, ECONNRESET, 0);
}

uint32_t tcp_set_mss(struct tcp *t, uint16_t mss, uint64_t now_ns)
{
	(void)now_ns;
	mss = (uint16_t)clamp(mss, 48, 65535);
	if (t->flags & T_DEAD || mss == t->mss)
		return 0;
	if (mss < t->mss && t->snd_una != t->snd_nxt)
		tcp_recover_resize(t);
	t->mss = mss;
	t->cc.mss = mss;
	t->acked_frac = 0;
	tcp_set_mss_now(t);
	return tcp_output_due(t);
}

int tcp_set_cc(struct tcp *t, const char *name, uint64_t now_ns)
{
	const struct cc_ops *ops = cc_find(name);

	if (!ops)
		return -ENOENT;
	if (ops == t->cc.ops)
		return 0;
	t->cc.ops = ops;
	t->nce = 0;
	memset(t->cc.priv, 0, sizeof(t->cc.priv));
	ops->init(&t->cc, now_ns);
	tcp_rate_begin(t, now_ns);
	return 0;
}

void tcp_set_options(struct tcp *t, const struct tcp_options *o, uint64_t now_ns)
{
	if (t->flags & T_DEAD)
		return;
	t->user_timeout_ms = o->user_timeout_ms;
	set_rcv_most(t, o->rcv_max);
	if (o->max_pacing != t->cc.max_pacing) {
		t->cc.max_pacing = o->max_pacing;
		if (o->max_pacing != CC_NO_RATE) {
			t->flags |= T_PACED;
			t->cc.paced = true;
		}
	}
	if (tcp_set_cc(t, o->cc, now_ns))
		(void)tcp_set_cc(t, cc_default()->name, now_ns);
}

uint32_t tcp_probe(struct tcp *t, uint64_t now_ns)
{
	(void)now_ns;
	if (t->flags & T_DEAD)
		return 0;
	t->flags |= T_PROBE;
	return TCP_DO_OUTPUT;
}

void tcp_quiesce(struct tcp *t)
{
	t->flags &= ~T_QUIESCED;	/* once more, if it was already */
	tcp_look_tx(t);
	t->flags |= T_QUIESCED;
}

bool tcp_is_being_read(struct tcp *t, uint64_t now_ns)
{
	if ((t->flags & (T_PEER_FIN | T_FIN_WANTED | T_RELEASED | T_DEAD)) != T_PEER_FIN)
		return false;
	/* partner: user/shim/io.c, who has read all looks for EOF */
	atomic_thread_fence(memory_order_seq_cst);
	tcp_look_rx(t, now_ns);
	return t->rx_tail != t->rx_head;
}

bool tcp_is_quiet(const struct tcp *t)
{
	if (t->flags & T_DEAD)
		return true;
	return t->snd_una == t->snd_nxt && !t->nrange && !(t->flags & T_FIN_AHEAD) &&
	       !tcp_unsent(t) && !tcp_fin_due(t);
}

void tcp_get_state(const struct tcp *t, struct tcp_state *ret_state)
{
	*ret_state = (struct tcp_state){
		.snd_una = t->snd_una,
		.snd_nxt = t->snd_nxt,
		.rcv_nxt = t->rcv_nxt,
		.rcv_edge = t->rcv_edge,
		.snd_wnd = t->snd_wnd,
		.ts_recent = t->ts_recent,
		.rx_bytes = t->rx_bytes,
		.tx_bytes = t->tx_bytes,
		.retransmits = t->retransmits,
		.ooo = t->ooo,
		.cwnd = t->cc.cwnd,
		.ssthresh = t->cc.ssthresh,
		.srtt_us = t->rtt.srtt_us,
		.rttvar_us = t->rtt.mdev_us / 4,
		.rto_us = t->rtt.rto_us,
		.mss = t->mss,
		.heard_ns = t->heard_ns,
		.peer_fin = t->flags & T_PEER_FIN,
		.ack_due = t->flags & (T_ACK_NOW | T_ACK_LATER),
		.fin_sent = t->flags & T_FIN_SENT,
		.fin_acked = t->flags & T_FIN_ACKED,
		.err = t->err,
	};
	strncpy(ret_state->cc, t->cc.ops->name, sizeof(ret_state->cc) - 1);
}
