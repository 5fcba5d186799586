/* SPDX-License-Identifier: BSD-2-Clause
 *
 * peer.h - a TCP peer that is not one: it sends what a script says and says what it hears.
 *
 * It lives on an interface of Linux's, at an address that Linux does not have there, and
 * answers ARP for it. It keeps just enough state to fill in what a script leaves out.
 */
#ifndef DIFF_PEER_H
#define DIFF_PEER_H

#include "script.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer {
	int fd;
	uint8_t mac[6], their_mac[6];
	bool knows_mac;
	uint32_t me, them;		/* addresses, network order */
	uint16_t my_port, their_port;
	uint32_t isn, irs;		/* initial sequence numbers, ours and theirs */
	uint32_t snd_nxt, rcv_nxt;	/* relative to them */
	bool opened, ts;		/* our SYN is sent; timestamps agreed */
	uint8_t scale;			/* of their window */
	uint32_t their_tsval, clock;	/* newest heard; our own, in ms */
	uint32_t edge;			/* the furthest that their window ever reached */
};

/* A segment that was heard, its numbers relative. */
struct heard {
	uint64_t at_ns;
	uint8_t flags, ecn;
	uint32_t seq, ack, len, win;
	bool ts, ts_back, shrunk, wrong_data, bad_sum;
	int32_t ecr;			/* how far it is behind our clock */
	unsigned int nsack;
	uint32_t sack[SACK_MAX][2];
	int mss, ws;			/* -1: no such option */
	bool sackok;
};

int peer_open(const char *ifname, uint32_t me, uint32_t them, struct peer *ret);

/* Send ARP for their address. */
void peer_ask_mac(struct peer *p);

/* Send the segment that @l tells. */
void peer_send(struct peer *p, const struct line *l);

/* Wait at most @ms and read one frame; true: it was a segment of theirs. Answers ARP. */
bool peer_hear(struct peer *p, int ms, struct heard *ret);

#endif
