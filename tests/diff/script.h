/* SPDX-License-Identifier: BSD-2-Clause
 *
 * script.h - a line of a script of segments.
 *
 *	open [KEY...]		our SYN, their SYN-ACK, our ACK; KEYs as for <, of the SYN, and
 *				rtt MS: so long between the last two
 *	meet [KEY...]		the program connects: their SYN, our SYN-ACK, their ACK
 *	< FLAGS [KEY...]	we send a segment
 *	> [N]			wait for N segments (1) and tell them
 *	~ MS [last]		tell what comes within so many milliseconds, or only where the last of
 *				it stands, however many there were
 *	! STEP			the program at the other end does this (tests/helpers/talk.c)
 *
 * FLAGS are letters of FSRPAUEC, or - for none. Numbers count from the initial sequence
 * numbers: the SYN is 0, the first byte of data 1. What a line does not say is as it should
 * be: seq is what follows what was sent, ack all that came in order, the window wide open,
 * timestamps if they were agreed on.
 *
 *	seq N  ack N  len N  win N	win as in the header, unscaled
 *	times N				as many in a row
 *	ts N				our clock moved by N ms first, for this segment only
 *	nots				no timestamp
 *	sack A:B[,C:D...]
 *	mss N  ws N  sackok  tsok	of a SYN; without any of them: 1460, 7, both
 *	plain				of a SYN: none of them
 *	ecn				of a SYN: offer it
 *	ect  ce				of the IP header
 *	urg N  junk  badsum		urgent pointer; other bytes than the stream's; a bad checksum
 */
#ifndef DIFF_SCRIPT_H
#define DIFF_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#define SACK_MAX	4

enum verb { VERB_NONE, VERB_OPEN, VERB_MEET, VERB_SEND, VERB_HEAR, VERB_LISTEN, VERB_APP };

struct key {
	bool given;
	int64_t value;
};

struct line {
	enum verb verb;
	uint8_t flags;
	struct key seq, ack, len, win, ts, mss, ws, urg, times, rtt;
	bool nots, sackok, tsok, plain, ecn, ect, ce, junk, badsum, last;
	unsigned int nsack;
	uint32_t sack[SACK_MAX][2];
	int64_t number;			/* of > and ~ */
	const char *step;		/* of ! */
};

/* Read a line; its text is written to, and must outlive @ret. 0, or -1: not understood. */
int script_line(char *text, struct line *ret);

#endif
