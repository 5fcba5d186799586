/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp.h - TCP for a flow that is FAST: a pure state machine over pipes.
 *
 * Nothing here does I/O, allocates, logs or reads a clock: segments and now_ns come in as
 * arguments, segments to send come out as descriptors. So the unit tests and the simulator
 * run exactly this code. core.c is the only caller in production.
 *
 *      frame -> wire.h parses -> struct tcp_seg -> tcp_rx() ---> rx pipe (program reads)
 *                                                    |
 *                                             what to do now: TCP_DO_*
 *                                                    v
 *      frame <- core.c builds <- struct tcp_out <- tcp_tx() <--- tx pipe (program wrote)
 *
 * A flow begins established (Linux did the handshake) and ends when Linux takes it back.
 * Invariants
 *  - snd_una <= snd_nxt <= snd_max; what is in [snd_una, snd_max) is still in the tx pipe.
 *  - the advertised right edge (rcv_nxt + window) never moves left (RFC 9293 3.8.6.2.1).
 *  - every byte of the rx pipe is written at most once, and only after its checksum was
 *    found good (tcp_seg.data_ok) or into space that no interval covers yet.
 *  - bytes from the peer or the program are data: no assert, no loop bounded by them alone.
 */
#ifndef TASPILOT_FAST_TCP_H
#define TASPILOT_FAST_TCP_H

#include <stdbool.h>
#include <stdint.h>

#include "cc.h"
#include "taspilot/pipe.h"
#include "taspilot/seq.h"
#include "taspilot/shm_abi.h"

#define TCP_NSACK	4		/* SACK blocks in a segment, at most (RFC 2018) */

#ifndef TH_ECE
#define TH_ECE		0x40
#define TH_CWR		0x80
#endif

struct tcp_sack { uint32_t start, end; };	/* [start, end), host byte order */

/* A segment from the wire, parsed, in host byte order. */
struct tcp_seg {
	uint32_t seq, ack;
	uint32_t len;			/* payload bytes */
	const uint8_t *data;
	uint16_t window;		/* as on the wire, not scaled */
	uint8_t flags;			/* TH_FIN... as in the TCP header */
	bool ce;			/* IP ECN field is CE */
	bool has_ts;
	uint32_t tsval, tsecr;
	uint8_t nsack;
	struct tcp_sack sack[TCP_NSACK];
};

/* A segment to send. Payload: @len bytes at tx-pipe position @pos. */
struct tcp_out {
	uint32_t seq, ack;
	uint64_t pos;
	uint32_t len;			/* may exceed mss if @max_segs allowed it (GSO) */
	uint16_t window;		/* ready for the wire */
	uint8_t flags;
	bool ect;			/* set ECT(0) */
	bool retransmit;
	bool has_ts;
	uint32_t tsval, tsecr;
	uint8_t nsack;			/* first is the D-SACK if there is one */
	struct tcp_sack sack[TCP_NSACK];
};

/* What tcp_rx, tcp_timer, tcp_app ask the caller to do. */
#define TCP_DO_OUTPUT		0x01U	/* call tcp_tx until it returns false */
#define TCP_DO_READABLE		0x02U	/* rx_head moved or EOF: tell the program */
#define TCP_DO_WRITABLE		0x04U	/* tx_tail moved: tell the program */
#define TCP_DO_PEER_FIN		0x08U	/* the peer's FIN took its place (once) */
#define TCP_DO_FIN_ACKED	0x10U	/* our FIN is acknowledged (once) */
#define TCP_DO_RESET		0x20U	/* the peer reset us; flow->err is set (once) */
#define TCP_DO_TIMEOUT		0x40U	/* gave up; flow->err is set (once) */
#define TCP_DO_ABORT		0x80U	/* we must reset: data for nobody (once) */
#define TCP_DO_ODD		0x100U	/* urgent data: hand the flow back */

/* What a program may change of a live connection, as Linux holds it. */
struct tcp_options {
	char cc[16];			/* congestion control, by Linux's name */
	uint64_t max_pacing;		/* bytes per second, ~0 none */
	uint32_t user_timeout_ms;	/* 0: none */
	uint32_t rcv_max;		/* bytes: largest window to offer; 0 as large as the pipe */
};

/* How a flow begins: what Linux says (struct tp_answer), in these terms. */
struct tcp_begin {
	uint32_t snd_una;		/* == snd_nxt: nothing in flight */
	uint32_t rcv_nxt;
	uint32_t rcv_edge;		/* right edge that Linux advertised last */
	uint32_t snd_wnd;		/* bytes */
	uint8_t snd_wscale, rcv_wscale;
	uint16_t mss;			/* payload bytes a segment, options taken off */
	bool sack_ok, ts_ok, ecn_ok;
	uint32_t ts_offset;		/* TSval = now in ms + this */
	uint32_t ts_recent;
	uint32_t cwnd, ssthresh;	/* segments; ssthresh ~0 = none */
	uint32_t srtt_us, rttvar_us;	/* 0: no sample */
	uint32_t rto_us, rto_min_us;
	uint32_t init_cwnd;		/* the route's, segments; 0 none */
	uint32_t retries2;		/* sysctl tcp_retries2 */
	uint32_t oow_us;		/* sysctl tcp_invalid_ratelimit */
	bool idle_restart;		/* sysctl tcp_slow_start_after_idle */
	bool quick_acks;		/* the route's quickack */
	struct tcp_options options;
	bool ack_pending;		/* the peer may wait for an ACK of rcv_nxt */
	struct tp_slot *slot;		/* shared; words the program writes are bounded */
	struct tp_pipe_mem rx, tx;
	uint32_t rx_order_max, tx_order_max;	/* pipes grow up to 1 << this */
	struct tcp_pool *pool;		/* of the flow's thread (tcp_pool.h); NULL: none */
};

struct tcp;				/* struct tcp is laid out in tcp_flow.h */

/* Between the two @t must not move; tcp_fini gives back what it borrowed from the pool. */
void tcp_init(struct tcp *t, const struct tcp_begin *b, uint64_t now_ns);
void tcp_fini(struct tcp *t);

/* One segment that belongs to this flow. Its checksum is good. Returns TCP_DO_*. */
uint32_t tcp_rx(struct tcp *t, const struct tcp_seg *s, uint64_t now_ns);

/* The program wrote, read, or changed opts: look at the slot. Returns TCP_DO_*. */
uint32_t tcp_app(struct tcp *t, uint64_t now_ns);

/* The next segment to send now. @max_segs: full segments that one tcp_out may carry.
 * Returns false when there is none; the flow's timers are then right. Each call counts
 * the segment as sent.
 */
bool tcp_tx(struct tcp *t, uint64_t now_ns, uint32_t max_segs, struct tcp_out *ret_out);

/* Must the ACKs that are due leave (tcp_ack) before @s is given to tcp_rx? */
bool tcp_ack_first(const struct tcp *t, const struct tcp_seg *s);

/* The ACK that is due at once, without waiting for what else came with the segment. False: none. */
bool tcp_ack(struct tcp *t, uint64_t now_ns, struct tcp_out *ret_out);

/* When tcp_timer wants to be called next; ~0 never. Changes only inside these calls. */
uint64_t tcp_deadline(const struct tcp *t);
uint32_t tcp_timer(struct tcp *t, uint64_t now_ns);

/* Linux asked for our FIN: after all that stands in the tx pipe now. */
uint32_t tcp_close_tx(struct tcp *t, uint64_t now_ns);
/* Nobody reads any more: unread or further data makes TCP_DO_ABORT. */
uint32_t tcp_release(struct tcp *t, uint64_t now_ns);
/* A RST to send now (ret_out filled); the flow is dead afterwards. */
void tcp_abort(struct tcp *t, uint64_t now_ns, struct tcp_out *ret_out);
/* New path or interface MTU: payload bytes a segment. */
uint32_t tcp_set_mss(struct tcp *t, uint16_t mss, uint64_t now_ns);
int tcp_set_cc(struct tcp *t, const char *name, uint64_t now_ns);
/* The program has changed some of them; a congestion control that we lack becomes cubic. */
void tcp_set_options(struct tcp *t, const struct tcp_options *o, uint64_t now_ns);
/* Ask for a probe (keepalive): one segment that must be answered. */
uint32_t tcp_probe(struct tcp *t, uint64_t now_ns);
/* Stop taking bytes from the tx pipe and stop opening the window: on the way to Linux. */
void tcp_quiesce(struct tcp *t);
/* The peer has finished, we have not, and the program has still to read what came before. */
bool tcp_is_being_read(struct tcp *t, uint64_t now_ns);
/* Everything sent is acknowledged and no out-of-order bytes are held. */
bool tcp_is_quiet(const struct tcp *t);

/* Where the flow stands, for handback, made segments and `taspilot flows`. */
struct tcp_state {
	uint32_t snd_una, snd_nxt, rcv_nxt;	/* rcv_nxt counts the peer's FIN, snd_* ours */
	uint32_t rcv_edge, snd_wnd, ts_recent;
	uint64_t rx_bytes, tx_bytes, retransmits, ooo;
	uint32_t cwnd, ssthresh, srtt_us, rttvar_us, rto_us, mss;
	uint64_t heard_ns;		/* when the last segment arrived */
	bool peer_fin, fin_sent, fin_acked;
	bool ack_due;				/* rcv_nxt is not acknowledged yet */
	int err;
	char cc[16];
};
void tcp_get_state(const struct tcp *t, struct tcp_state *ret_state);

#endif
