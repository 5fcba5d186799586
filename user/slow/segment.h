/* SPDX-License-Identifier: BSD-2-Clause
 *
 * segment.h - what the slow path reads in a TCP frame, and renumbers in it.
 *
 * Pure. Frames come from strangers: nothing is read past what wire_locate() found there.
 */
#ifndef TASPILOT_SLOW_SEGMENT_H
#define TASPILOT_SLOW_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "taspilot/bpf_abi.h"
#include "taspilot/wire.h"

/* Which way a frame goes, and so which end of it is ours. */
enum seg_from { SEG_FROM_WIRE, SEG_FROM_LINUX };

struct segment {
	struct tp_flow_key key;		/* as tp_flows names the connection */
	uint32_t seq, ack;
	uint32_t len;			/* payload bytes */
	uint16_t window;		/* as in the frame */
	uint8_t flags;			/* WIRE_FIN... */
	uint8_t tos, ttl;
	bool has_ts;
	uint32_t tsval, tsecr;
	bool odd_options;		/* others than MSS, WS, SACK, TS: only Linux does these */
};

/* False: no whole TCP segment in plain IPv4. */
bool segment_read(const uint8_t *frame, size_t len, enum seg_from from, struct segment *ret_seg);

/* First sequence number behind the segment: SYN and FIN count. */
uint32_t segment_end(const struct segment *s);

/* Add @seq_add to the sequence number, @ack_add to ack and SACK blocks, of a frame that
 * segment_read() accepted. The checksum follows by differences, so that a corrupt frame stays
 * corrupt; @partial: it holds the pseudo header's sum only, and so stays.
 */
void segment_renumber(uint8_t *frame, size_t len, uint32_t seq_add, uint32_t ack_add,
		      bool partial);

/* Offer another window. The checksum follows likewise. */
void segment_set_window(uint8_t *frame, size_t len, uint16_t window, bool partial);

/* Compute the checksum of a frame that segment_is_partial(). */
void segment_seal(uint8_t *frame, size_t len);

/* The checksum field holds what a device is meant to complete. A sender in the same machine
 * leaves it so (veth, virtio); a whole checksum looks the same once in 2^16 frames.
 */
bool segment_is_partial(const uint8_t *frame, size_t len);

#endif
