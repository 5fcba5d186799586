/* SPDX-License-Identifier: BSD-2-Clause
 *
 * conn.h - every connection that the slow path knows, by 4-tuple, cookie and flow_id.
 */
#ifndef TASPILOT_SLOW_CONN_H
#define TASPILOT_SLOW_CONN_H

#include <net/ethernet.h>
#include <stdbool.h>
#include <stdint.h>

#include "../common/list.h"
#include "../fast/tcp.h"
#include "bulk.h"
#include "held.h"
#include "taspilot/bpf_abi.h"
#include "taspilot/ctl_abi.h"

struct region;

/* Where a connection stands. tp_flows is written by flowmap.c only, always together with it.
 *
 *  phase   tp_flows   frames of the peer     frames of Linux          left by
 *  CLAIM   HOLD       kept                   pure ACK: wire; kept     claim.c, in one call
 *  FAST    FAST       injected               a request (handback.c)   QUIET, DEAD, RST
 *  BACK    HOLD       kept                   pure ACK: swallowed      Linux has taken the news
 *  LINUX   LINUX      translated (late ones) translated (late ones)   expiry, SYN-ACK
 *  DEAD    HOLD       SYN kept, else dropped swallowed                Linux's socket is gone
 *  GONE    none       -                      -                        release of its socket
 *
 * GONE is not found by 4-tuple: only its slot is still in use, by a program that has not closed.
 * What is not in this table has an entry in WATCH, or none.
 */
enum conn_phase {
	CONN_CLAIM,
	CONN_FAST,
	CONN_BACK,
	CONN_LINUX,
	CONN_DEAD,
	CONN_GONE,
};

struct conn {
	struct list by_key, by_cookie, due;	/* due: expire.c */
	struct tp_flow_key key;
	enum conn_phase phase;
	uint64_t since_ns;		/* when this phase began */
	uint64_t cookie;		/* 0: not claimed yet */

	/* claim.c; valid from FAST on */
	struct region *region;		/* NULL: no slot */
	uint32_t slot;
	uint32_t flow_id, thread;
	bool has_flow;			/* the fast thread knows flow_id */
	bool freeing;			/* ... and was told to forget it */
	bool released;			/* no program holds the socket */
	bool stranger;			/* one that is not ours used it during the claim */
	uint32_t linux_una, linux_rcv;	/* Linux stands here */
	uint32_t linux_wnd;		/* the peer's window, as it knows it */
	uint32_t wire_first;		/* sequence number of tx position 0 */
	uint8_t rcv_wscale, snd_wscale, ttl;
	bool has_ts;
	uint32_t ts_offset;		/* of Linux's clock */
	uint32_t linux_tsval;		/* newest that Linux may have sent */
	uint8_t eth[ETH_HLEN];		/* how Linux's frames begin */

	/* handback.c */
	bool fin_asked;			/* Linux sent FIN */
	bool peer_first;		/* ... after the program was told of the peer's */
	bool fin_told;			/* Linux was told of the peer's FIN already */
	bool wants_back;		/* asked to go; else it goes because it ends */
	bool peer_done;			/* the peer had finished a look ago, with bytes unread ... */
	uint64_t read_seen;		/* ... and so many were read then */
	uint32_t leaves;		/* LEAVE commands sent; the last one's number */
	uint32_t revived;		/* times it was quiet with bytes left to send */
	struct tcp_state last;		/* final numbers, from QUIET on */
	struct held held;
	uint32_t tx_delta, rx_delta;	/* LINUX: wire minus Linux */

	/* feed.c */
	uint32_t take_tries;		/* times in a row that a reader was in the midst of reading */
	bool taken;			/* what was unread is no longer in the pipe, or stays */
	bool reader_waits;		/* ... but the program does not see that yet */
	bool feeding;			/* ... and did not fit into Linux's window at once */
	bool wire_reset;		/* the peer has reset meanwhile */
	uint64_t feed_from;		/* position in the rx pipe */
	uint32_t feed_len, fed;		/* bytes taken from there; given to Linux */
	uint32_t feed_seen;		/* Linux's rcv_nxt a tick ago */
	uint32_t feed_snd;		/* snd_nxt on the wire */

	struct bulk_meter bulk[BULK_WAYS];	/* bulk.c */

	/* keepalive.c */
	uint64_t probed_ns;		/* Linux's keepalive probe that waits for an answer; 0 none */
	bool probing;			/* the peer was asked */

	uint8_t reason;			/* enum tp_reason: why it is Linux's */

	/* upcall.c */
	uint32_t long_frames;		/* that no AF_XDP socket takes, while it was FAST */

	/* expire.c, handback.c */
	uint32_t due_tick;
	uint32_t asked;			/* times Linux was asked in this phase */
};

#define CONN_BUCKETS	(1U << 16)
#define CONN_FLOW_IDS	(1U << 17)	/* fast flows at a time */

struct conns {
	struct list key[CONN_BUCKETS], cookie[CONN_BUCKETS];
	uint64_t seed;
	struct conn **flow;		/* by flow_id */
	uint32_t *free_id;		/* stack */
	uint32_t free_ids;
	uint32_t count;
	uint32_t in[CONN_GONE + 1];	/* how many in each phase */
};

int conns_init(struct conns *cs);
void conns_fini(struct conns *cs);

struct conn *conn_find(struct conns *cs, const struct tp_flow_key *key);
struct conn *conn_by_cookie(struct conns *cs, uint64_t cookie);
struct conn *conn_by_flow(struct conns *cs, uint32_t flow_id);

/* NULL: out of memory. In phase CLAIM. */
struct conn *conn_new(struct conns *cs, const struct tp_flow_key *key, uint64_t now_ns);
void conn_set_phase(struct conns *cs, struct conn *c, enum conn_phase phase, uint64_t now_ns);
void conn_set_cookie(struct conns *cs, struct conn *c, uint64_t cookie);
/* No longer found by 4-tuple. */
void conn_unlink_key(struct conns *cs, struct conn *c);
void conn_free(struct conns *cs, struct conn *c);

int conn_take_flow_id(struct conns *cs, struct conn *c);
void conn_drop_flow_id(struct conns *cs, struct conn *c);

/* Has the connection @end as one of its two? One with port 0 is any. */
bool conn_key_has_end(const struct tp_flow_key *key, const struct tp_end *end);

const char *conn_phase_name(enum conn_phase phase);
/* "10.0.0.2:80 10.0.0.1:4711", local first, in a buffer of the caller's. */
#define CONN_TEXT	64
const char *conn_text(const struct tp_flow_key *key, char buf[CONN_TEXT]);

/* Everything, in no order; @c may be freed inside. */
#define conn_each(cs, c)								\
	for (uint32_t bucket_ = 0; bucket_ < CONN_BUCKETS; bucket_++)			\
		for (struct list *l_ = (cs)->key[bucket_].next, *n_ = l_->next;		\
		     l_ != &(cs)->key[bucket_] &&					\
		     (c = container_of(l_, struct conn, by_key));			\
		     l_ = n_, n_ = l_->next)

#endif
