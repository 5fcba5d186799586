/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_flow.h - what a flow remembers: struct tcp, and what the tcp_*.c files share.
 *
 *	tcp.c		begin, the program's and the slow path's requests, the state told
 *	tcp_rx.c	a segment in: is it acceptable, RST, SYN, FIN, the short path
 *	tcp_ooo.c	payload into the rx pipe; holes; SACK blocks; the window we offer
 *	tcp_ack.c	what an ACK says: una, window, round trip, congestion window
 *	tcp_sack.c	the scoreboard: what was sent when, what arrived, what is lost
 *	tcp_recover.c	what to do about loss: recovery, timeout, probe, undo
 *	tcp_tx.c	a segment out
 *	tcp_rate.c	how fast bytes arrive at the peer
 *	tcp_pace.c	how fast they may leave
 *	tcp_timer.c	when something must happen though nothing arrives
 *	tcp_pool.c	memory to borrow while much is missing
 *
 * Sequence numbers and positions. A position is a 64-bit count of bytes in a pipe:
 *	rx: rcv_nxt is rx_head (+ 1 when the peer's FIN was taken)
 *	tx: snd_una is tx_tail (+ 1 when our FIN was acknowledged)
 *
 * The hot words stand in the first lines; a request and its response without loss touch
 * these, the first record of the scoreboard, and nothing else.
 */
#ifndef TASPILOT_FAST_TCP_FLOW_H
#define TASPILOT_FAST_TCP_FLOW_H

#include "rtt.h"
#include "tcp.h"
#include "tcp_pool.h"

#define TCP_NEVER	(~0ULL)
#define TCP_ACK_MIN_US	40000U		/* delayed ACK: Linux's TCP_ATO_MIN */
#define TCP_NRANGE	4		/* runs of out-of-order bytes without a block of the pool */
#define TCP_NREC	4		/* records of the scoreboard likewise */
#define TCP_NDSACK	4		/* copies to tell of, an ACK each */
#define TCP_NCE		8		/* ACKs that tell exactly what had CE (RFC 8257) */

/* Flags of struct tcp. */
#define T_TS		(1U << 0)	/* timestamps on */
#define T_SACK		(1U << 1)	/* the peer sends and understands SACK */
#define T_ECN		(1U << 2)	/* negotiated */
#define T_PEER_FIN	(1U << 3)	/* taken: rcv_nxt counts it */
#define T_FIN_AHEAD	(1U << 4)	/* seen, at rcv_fin, bytes before it are missing */
#define T_FIN_WANTED	(1U << 5)	/* we shall send FIN at tx_head */
#define T_FIN_SENT	(1U << 6)	/* snd_nxt counts it */
#define T_FIN_ACKED	(1U << 7)	/* snd_una counts it */
#define T_RELEASED	(1U << 8)	/* nobody reads any more */
#define T_QUIESCED	(1U << 9)	/* on the way to Linux */
#define T_DEAD		(1U << 10)	/* reset, timed out, aborted: silent */
#define T_ACK_NOW	(1U << 11)	/* an ACK is due at once */
#define T_ACK_LATER	(1U << 12)	/* an ACK is due at ack_at */
#define T_PROBE		(1U << 13)	/* a segment that must be answered is due */
#define T_PUSH		(1U << 14)	/* a partial segment has waited long enough */
#define T_ECE		(1U << 15)	/* echo congestion until the peer says CWR */
#define T_CWR		(1U << 16)	/* tell the peer CWR on the next new data */
#define T_CWND_LIMITED	(1U << 17)	/* cwnd was the limit in this round trip */
#define T_REORDERED	(1U << 18)	/* this path has reordered before */
#define T_TLP		(1U << 19)	/* a loss probe is to be sent */
#define T_TLP_RTX	(1U << 20)	/* the outstanding loss probe was a retransmission */
#define T_UNDO		(1U << 21)	/* undo_una is valid: the reduction may prove wrong */
#define T_FRTO		(1U << 22)	/* timed out, maybe spuriously: RFC 5682 */
#define T_SENT_SMALL	(1U << 23)	/* a partial segment ends at snd_small (Nagle) */
#define T_DSACK		(1U << 24)	/* dsack[] waits to be sent */
#define T_FORCE_RTX	(1U << 25)	/* one retransmission whatever cwnd says */
#define T_FORCE_WND	(1U << 26)	/* fill what little window there is (persist timer) */
#define T_FRTO_NEW	(1U << 27)	/* F-RTO: new data first, it will tell */
#define T_RTX_ANY	(1U << 28)	/* something was retransmitted in this episode */
#define T_TLP_OUT	(1U << 29)	/* a loss probe is outstanding, up to tlp_seq */
#define T_RATE		(1U << 30)	/* cc.ops->control wants to know delivery rates */
#define T_PACED		(1U << 31)	/* bytes leave at cc.pacing_rate at most */

/* Any of these: tcp_rx takes the long path. */
#define T_SLOW		(T_PEER_FIN | T_FIN_AHEAD | T_RELEASED | T_DEAD | T_ECE | T_DSACK | \
			 T_FRTO | T_TLP_OUT)

/* What rtx_at will do. */
enum tcp_rtx_kind { TCP_RTX_NONE, TCP_RTX_RTO, TCP_RTX_TLP, TCP_RTX_REORDER, TCP_RTX_PERSIST };

/* Congestion states, as Linux names them. */
enum tcp_ca {
	TCP_OPEN,			/* all is well */
	TCP_DISORDER,			/* SACKs or duplicate ACKs, nothing lost yet */
	TCP_CWR,			/* the window shrinks after ECN or a loss probe's finding */
	TCP_RECOVERY,			/* fast recovery, until high_seq is acknowledged */
	TCP_LOSS,			/* after a timeout, until high_seq is acknowledged */
};

/* A run of bytes sent at about the same time and with the same fate. */
#define R_SACKED	1U
#define R_LOST		2U		/* deemed lost */
#define R_RTX		4U		/* a retransmission of it is under way */
#define R_EVER		8U		/* was ever retransmitted: no RTT sample (Karn) */

struct tcp_rec {
	uint32_t start, end;
	uint32_t sent;			/* tcp_tick() when it was sent last */
	uint8_t flags;
	bool rated;			/* sent under T_RATE, so that these are set: */
	bool app_limited;
	uint8_t pad;
	uint32_t delivered, delivered_at, first_sent;
};

struct tcp {
	/* lines 0, 1: every segment in or out */
	alignas(TP_LINE) struct tp_slot *slot;
	uint64_t rx_head, rx_tail, rx_geom;	/* ours, the program's as last bounded, ours */
	uint32_t flags;
	uint32_t rcv_nxt;
	uint32_t rcv_wup;		/* rcv_nxt that we acknowledged last */
	uint32_t rcv_edge;		/* right edge that we advertised */
	uint32_t rcv_limit;		/* bytes that we are willing to hold, so far */
	uint32_t ts_recent;
	uint8_t ca;			/* enum tcp_ca */
	uint8_t rtx_kind;		/* enum tcp_rtx_kind */
	uint8_t backoff;		/* of the retransmission or persist timer */

	alignas(TP_LINE) uint32_t snd_una;
	uint32_t snd_nxt;
	uint32_t snd_wnd;
	uint32_t snd_wl1;		/* seq of the segment that set snd_wnd */
	uint64_t tx_tail, tx_head, tx_geom;	/* ours; the program's as last bounded */
	struct tcp_rec *rec;		/* the scoreboard, from first_rec on, nrec of them */
	uint16_t first_rec, nrec, rec_cap;
	uint16_t nrange, range_cap;	/* out-of-order runs */
	uint8_t rec_class, range_class;	/* of the pool, 0: our own */
	uint32_t sacked, lost, rtx;	/* bytes of the scoreboard in these states */
	uint16_t mss, mss_now;		/* payload; mss_now: also at most half the peer's window */
	uint8_t snd_wscale, rcv_wscale;
	uint8_t opts;			/* TP_O_*, as last read */
	uint8_t quickack;		/* ACKs still to send at once */

	/* then timers and acknowledging */
	uint64_t rtx_at, ack_at, push_at;
	uint64_t rto_at;		/* when the retransmission timer is due, whatever rtx_at is */
	uint64_t heard_ns;		/* last segment in */
	uint64_t data_ns;		/* last data in */
	uint64_t sent_ns;		/* last data out */
	uint32_t ato_us;		/* delay of a delayed ACK */
	uint32_t ts_offset;
	uint64_t told_writable;		/* tx_tail when the program last heard WRITABLE */
	uint32_t tx_want;		/* as told */
	uint32_t snd_small;

	/* growth and rarer things */
	struct rtt rtt;
	uint32_t drs_us;		/* round trip as the receiver sees it, 0 unknown */
	uint32_t drs_tsecr;
	uint32_t told_limit;		/* rcv_limit when the window was last told */
	uint32_t drs_space;		/* most bytes that the program took in one of these */
	uint64_t drs_ns, drs_tail;	/* when the current measurement began, and rx_tail then */
	uint32_t rcv_mss;		/* the peer's full segment, estimated */
	uint32_t max_wnd;		/* largest window of the peer */
	uint32_t max_out;		/* most bytes in flight in this round trip */
	uint32_t cwnd_seq;		/* this round trip ends there */
	uint64_t cwnd_ns;		/* when cwnd was last the limit, or was adapted */
	uint32_t max_used;		/* most bytes in flight since then */
	uint32_t acked_frac;		/* delivered bytes not yet counted as a segment */

	/* T_RATE (tcp_rate.c), in bytes and ticks */
	uint32_t delivered;		/* so many have arrived at the peer, modulo 2^32 */
	uint32_t delivered_at;		/* when that last grew */
	uint32_t first_sent;		/* when what arrived last was sent */
	uint32_t lost_ever;		/* bytes that were deemed lost, by an ACK or a timer, modulo 2^32 */
	uint32_t app_mark;		/* cc.app_limited until so many are delivered */
	bool tx_filled;			/* the program wrote until there was hardly room */
	bool pingpong;			/* interactive: delay ACKs, an answer will carry them */

	/* T_PACED (tcp_pace.c) */
	uint32_t pace_left, pace_used;	/* bytes of the burst under way: may go, went */
	uint64_t pace_late;		/* so long after it might have left, the burst under way began */
	uint64_t pace_at;		/* when the next burst may leave */
	uint64_t pace_due;		/* tcp_timer at pace_at, else TCP_NEVER */
	struct cc cc;

	/* recovery */
	uint32_t high_seq;		/* snd_nxt when recovery, loss or CWR began */
	uint32_t undo_una;		/* snd_una then */
	uint32_t undo_end;		/* no byte of the episode beyond it was sent again */
	uint32_t undo_rtx;		/* bytes retransmitted since, not yet found needless */
	uint32_t rtx_tsval;		/* TSval of the first retransmission of the episode */
	uint32_t prr_delivered, prr_out;	/* segments */
	uint32_t rack_sent, rack_end;	/* latest sent of what arrived */
	uint32_t rack_rtt;		/* ticks from sending it to its arrival; 0 none yet */
	uint32_t rack_slack;		/* ticks: what was sent once may have left as much later than told */
	uint32_t reo_steps, reo_round;	/* reordering window in quarters of min RTT; round's end */
	uint32_t reo_persist;		/* recoveries for which it stays */
	uint32_t fack;			/* highest sequence known to have arrived */
	uint32_t dupacks;
	uint32_t reno_sacked;		/* bytes that duplicate ACKs tell of, without SACK */
	uint32_t tlp_seq;		/* snd_nxt when the loss probe went out */
	uint64_t stall_ns;		/* first retransmission or probe without progress; 0 none */
	uint32_t probes;		/* unanswered zero-window probes */
	uint32_t retries2, user_timeout_ms;
	uint32_t init_cwnd;		/* segments: not less after a pause */
	bool idle_restart;		/* a pause costs cwnd */
	bool quick_acks;		/* never delay one */

	/* receive: the exceptional */
	uint32_t rcv_fin;
	struct tcp_sack *range;		/* in order, nrange of them */
	struct tcp_sack dsack[TCP_NDSACK];	/* ndsack of them, the oldest first */
	uint32_t recent[TCP_NSACK];	/* a sequence number of each block to report, newest first */
	uint8_t nrecent, ndsack;
	uint8_t nce;			/* DCTCP: where CE began or ended, not acknowledged yet: */
	uint32_t ce_at[TCP_NCE];	/* rcv_nxt then, the oldest first */
	uint64_t oow_ns;		/* last ACK of a segment out of window, or challenge */
	uint64_t oow_gap_ns;		/* not again within */
	int err;

	struct tp_pipe_mem rx, tx;
	uint32_t rx_order_max, tx_order_max;
	uint32_t rcv_most;		/* rcv_limit may grow up to this */
	uint64_t rx_bytes, tx_bytes, ooo;
	uint64_t retransmits;		/* segments sent again */
	uint64_t dsack_segs;		/* segments that D-SACKs told of */

	/* here while there are few, else in blocks of the pool */
	struct tcp_pool *pool;
	struct tcp_rec own_rec[TCP_NREC];
	struct tcp_sack own_range[TCP_NRANGE];
};

/* What one ACK told, gathered by the scoreboard for recovery and congestion control. */
struct tcp_acked {
	uint64_t now_ns;
	uint32_t prior_una;
	uint32_t prior_pipe;		/* bytes in flight before it */
	uint32_t delivered;		/* bytes newly known to have arrived */
	uint32_t lost;			/* bytes newly deemed lost */
	int64_t rtt_us;			/* of the oldest byte acknowledged, < 0 none */
	int64_t last_rtt_us;		/* of the newest one: without the peer's delay */
	uint32_t tsecr;			/* the stamp that it echoes, if it moves snd_una; 0 none */
	uint32_t since, since_at;	/* T_RATE: delivered when the newest of it was sent, and ... */
	uint32_t send_ticks;		/* ... how long sending it and what was before it took */
	bool rate_known, app_limited;	/* these three are set; the program set the pace */
	bool advanced;			/* snd_una moved */
	bool dsack : 1;			/* bits: the whole has 64 bytes, cleared for each ACK */
	bool rtx_acked : 1;		/* something that was retransmitted is acknowledged */
	bool orig_sacked;		/* something arrived that never was retransmitted */
	bool sacked;			/* a SACK block told something new */
	bool dup;			/* a duplicate ACK in RFC 5681's sense */
	bool ece;
};

static inline uint32_t tcp_min(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint32_t tcp_max(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* The scoreboard's clock: 1.024 us, in 32 bits. */
static inline uint32_t tcp_tick(uint64_t now_ns) { return (uint32_t)(now_ns >> 10); }
static inline uint32_t tcp_tick_us(uint32_t ticks) { return (uint32_t)((uint64_t)ticks * 128 / 125); }
static inline uint32_t tcp_us_tick(uint32_t us) { return (uint32_t)((uint64_t)us * 125 / 128); }

static inline uint32_t tcp_tsval(const struct tcp *t, uint64_t now_ns)
{
	return (uint32_t)(now_ns / 1000000) + t->ts_offset;
}

static inline uint32_t tcp_outstanding(const struct tcp *t) { return t->snd_nxt - t->snd_una; }

/* Bytes believed to be in the network (RFC 6675's pipe). */
static inline uint32_t tcp_pipe(const struct tcp *t)
{
	uint32_t bytes = tcp_outstanding(t) - t->sacked - t->lost + t->rtx;

	return bytes > t->reno_sacked ? bytes - t->reno_sacked : 0;
}

/* @bytes as segments, rounded up. Most are none or one, and a division is dear. */
static inline uint32_t tcp_segs(const struct tcp *t, uint32_t bytes)
{
	return bytes <= t->mss ? bytes != 0 : (bytes + t->mss - 1) / t->mss;
}

static inline uint32_t tcp_pipe_segs(const struct tcp *t) { return tcp_segs(t, tcp_pipe(t)); }

/* Bytes that the program wrote and we did not send yet. */
static inline uint32_t tcp_unsent(const struct tcp *t)
{
	if (t->flags & T_FIN_SENT)
		return 0;
	return (uint32_t)(t->tx_head - t->tx_tail) - tcp_outstanding(t);
}

static inline bool tcp_fin_due(const struct tcp *t)
{
	return (t->flags & (T_FIN_WANTED | T_FIN_SENT)) == T_FIN_WANTED;
}

static inline bool tcp_in_reduction(const struct tcp *t)
{
	return t->ca == TCP_CWR || t->ca == TCP_RECOVERY;
}

/* Worth calling tcp_tx for? */
static inline uint32_t tcp_output_due(const struct tcp *t)
{
	if (t->flags & (T_ACK_NOW | T_PROBE | T_TLP) || t->lost || tcp_unsent(t) || tcp_fin_due(t))
		return TCP_DO_OUTPUT;
	return 0;
}

/* tcp.c */
void tcp_look_tx(struct tcp *t);		/* the program's tx words, bounded */
uint32_t tcp_die(struct tcp *t, int err, uint32_t why);	/* @why: the TCP_DO_* to return */

/* tcp_ooo.c */
void tcp_look_rx(struct tcp *t, uint64_t now_ns);	/* the program's rx words, bounded */
uint32_t tcp_data_in(struct tcp *t, const struct tcp_seg *s, uint64_t now_ns);
uint32_t tcp_window(struct tcp *t);		/* what to advertise now; moves rcv_edge */
bool tcp_window_opens(struct tcp *t);		/* worth telling the peer? */
uint32_t tcp_sack_blocks(struct tcp *t, struct tcp_sack *ret_blocks, uint32_t max);
void tcp_dsack(struct tcp *t, uint32_t start, uint32_t end);
void tcp_quick_ack(struct tcp *t);		/* acknowledge at once, for a while */

bool tcp_has(const struct tcp *t, uint32_t start, uint32_t end);	/* is all of it here already? */
void tcp_ranges_forget(struct tcp *t);		/* nothing out of order is held any more */

/* tcp_ack.c */
uint32_t tcp_ack_in(struct tcp *t, const struct tcp_seg *s, uint64_t now_ns);
uint32_t tcp_ack_plain(struct tcp *t, const struct tcp_seg *s, uint64_t now_ns);
void tcp_set_mss_now(struct tcp *t);

/* tcp_sack.c */
void tcp_board_free(struct tcp *t);		/* gives its block back, empty or not */
void tcp_board_sent(struct tcp *t, uint32_t start, uint32_t end, uint64_t now_ns);
void tcp_board_resent(struct tcp *t, uint32_t start, uint32_t end, uint64_t now_ns);
void tcp_board_ack(struct tcp *t, uint32_t ack, struct tcp_acked *a);
void tcp_board_sack(struct tcp *t, const struct tcp_seg *s, struct tcp_acked *a);
bool tcp_board_next_lost(const struct tcp *t, uint32_t *ret_start, uint32_t *ret_len);
void tcp_board_lose_all(struct tcp *t);		/* everything that was not SACKed */
void tcp_board_lose_old(struct tcp *t, uint64_t now_ns);	/* what the timer says is lost */
uint32_t tcp_board_lose_head(struct tcp *t, uint32_t len);	/* NewReno's guess */
void tcp_board_forget_loss(struct tcp *t);	/* it was none */
void tcp_board_forget_sack(struct tcp *t);	/* the peer reneged */
/* RACK: what was sent long enough before something that arrived is lost. Returns bytes;
 * *ret_wait_us: look again then, 0 no need.
 */
uint32_t tcp_board_rack(struct tcp *t, uint64_t now_ns, uint32_t *ret_wait_us);

/* tcp_recover.c */
void tcp_recover_ack(struct tcp *t, const struct tcp_seg *s, struct tcp_acked *a);
void tcp_recover_reorder(struct tcp *t, uint64_t now_ns);	/* the reordering timer */
void tcp_recover_timeout(struct tcp *t, uint64_t now_ns);	/* the retransmission timer */
void tcp_recover_resize(struct tcp *t);	/* the path takes less than was sent */
void tcp_enter_cwr(struct tcp *t);

/* tcp_rate.c */
void tcp_rate_begin(struct tcp *t, uint64_t now_ns);	/* by the congestion control's needs */
void tcp_rate_sent(struct tcp *t, struct tcp_rec *r, uint64_t now_ns);
void tcp_rate_arrived(struct tcp *t, const struct tcp_rec *r, struct tcp_acked *a);
void tcp_rate_app(struct tcp *t, uint64_t head);	/* the program wrote: had it paused? */
void tcp_rate_control(struct tcp *t, const struct cc_ack *c, const struct tcp_acked *a);

/* tcp_pace.c */
uint32_t tcp_pace_room(struct tcp *t, uint64_t now_ns);	/* bytes that may leave now */
void tcp_pace_sent(struct tcp *t, uint32_t bytes);
void tcp_pace_resent(struct tcp *t, uint32_t bytes);

/* tcp_timer.c */
void tcp_arm_rtx(struct tcp *t, uint64_t now_ns);	/* restart: data sent, or una moved */
void tcp_arm_probe(struct tcp *t, uint64_t now_ns);	/* more data sent */
void tcp_arm_idle(struct tcp *t, uint64_t now_ns);	/* nothing in flight: persist, cork */
void tcp_arm_at(struct tcp *t, enum tcp_rtx_kind kind, uint64_t at_ns);

#endif
