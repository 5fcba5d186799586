/* SPDX-License-Identifier: BSD-2-Clause
 *
 * track.h - follow a connection while Linux owns it. See track.c.
 */
#ifndef TASPILOT_SLOW_TRACK_H
#define TASPILOT_SLOW_TRACK_H

#include <net/ethernet.h>
#include <stdbool.h>
#include <stdint.h>

#include "segment.h"

struct track {
	/* handshake */
	bool syn_seen, synack_seen, established;
	bool passive;			/* the peer sent the SYN */
	bool odd;			/* a SYN or SYN-ACK had options that only Linux does */
	uint32_t iss_wire, iss_linux;	/* initial numbers, valid once seen */

	/* what Linux was given: first number behind all of it */
	uint32_t to_linux;

	/* how Linux's frames look */
	uint8_t eth[ETH_HLEN];
	uint8_t tos, ttl;
	bool has_ts;
	uint32_t linux_tsval;		/* newest that Linux sent */
	uint32_t wire_tsval;		/* newest from the peer */

	uint32_t queue;			/* RX queue of the peer's frames */
};

enum track_says {
	TRACK_GOES_ON,
	TRACK_ESTABLISHED,		/* once: may be claimed from here on */
	TRACK_OVER,			/* RST: forget it */
};

void track_init(struct track *t);
/* A frame of the peer that Linux is about to be given; its RX queue. */
enum track_says track_wire(struct track *t, const struct segment *s, uint32_t queue);
/* A frame of Linux that the wire is about to be given; its Ethernet header. */
enum track_says track_linux(struct track *t, const struct segment *s, const uint8_t eth[ETH_HLEN]);

#endif
