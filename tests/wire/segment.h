/* SPDX-License-Identifier: BSD-2-Clause
 *
 * segment.h - what is in a frame, as far as a bad wire cares; IPv4 and IPv6.
 */
#ifndef WIRE_SEGMENT_H
#define WIRE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct segment {
	bool counted;		/* not ARP, neighbour discovery, multicast: never harmed */
	unsigned int classes;	/* bits of enum wire_class */
	size_t ip, l4;		/* offsets; 0: there is none */
	size_t l4_len;
	uint8_t version, proto;
	uint8_t flags;		/* of TCP; 0 if it is none */
	uint32_t seq, ack, payload;
};

struct segment segment_read(const uint8_t *frame, size_t len);

/* Set Congestion Experienced; false if the frame is not ECN-capable. */
bool segment_mark(uint8_t *frame, const struct segment *s);

/* Finish a TCP or UDP checksum that the sender left to its device. */
void segment_finish_checksum(uint8_t *frame, const struct segment *s);

/* "A 1000:2448 ack 77", or the protocol; what a log line says of it. */
void segment_print(const struct segment *s, char *buf, size_t size);

#endif
