/* SPDX-License-Identifier: BSD-2-Clause
 *
 * track.c - follow a connection while Linux owns it; say when it may be claimed.
 *
 * Theory of operation
 *
 * Linux does every handshake. It passes through the TAP in both directions, and we note what
 * only the wire shows: the RX queue, both initial sequence numbers, how Linux's frames begin,
 * and how far Linux has been given the peer's bytes. What was negotiated we ask Linux, at the
 * claim: SYN cookies may have rounded it.
 *
 *      peer                   here                  Linux            the other way round for
 *       | ------- SYN -------> WATCH ---------------> |              connect(): the same frames,
 *       | <---- SYN-ACK ------ WATCH <--------------- |              from the other side
 *       | ------- ACK -------> RELAY ---------------> |   Linux's until claimed
 *       |                      HOLD  -> FAST           |   claim.c, nowhere else
 *
 * Invariants
 *  - A repeated SYN or SYN-ACK never moves an entry back; a SYN with another number begins
 *    the connection anew.
 *  - Anything we do not understand leaves the connection with Linux, for good.
 *  - Pure: no clock, no I/O.
 */
#include "track.h"

#include <string.h>

#include "taspilot/seq.h"

/* Numbers farther than this from what Linux has are not this connection's. */
#define PLAUSIBLE	(1U << 30)

void track_init(struct track *t)
{
	memset(t, 0, sizeof(*t));
}

static bool is_syn(const struct segment *s)
{
	return (s->flags & (WIRE_SYN | WIRE_ACK | WIRE_RST)) == WIRE_SYN;
}

static bool is_synack(const struct segment *s)
{
	return (s->flags & (WIRE_SYN | WIRE_ACK | WIRE_RST)) == (WIRE_SYN | WIRE_ACK);
}

/* A SYN: begin, unless it is the one we know. @ret_iss is where its number belongs. */
static void take_syn(struct track *t, const struct segment *s, bool passive)
{
	uint32_t known = passive ? t->iss_wire : t->iss_linux;

	if (t->syn_seen && t->passive == passive && known == s->seq)
		return;
	track_init(t);
	t->syn_seen = true;
	t->passive = passive;
	t->odd = s->odd_options || s->len;
	if (passive)
		t->iss_wire = s->seq;
	else
		t->iss_linux = s->seq;
}

/* A SYN-ACK of Linux whose SYN we did not see (it met the entry of a connection that was
 * over) tells the number of that SYN.
 */
static void take_synack(struct track *t, const struct segment *s, bool from_wire)
{
	if (!from_wire && !t->syn_seen) {
		t->syn_seen = t->passive = true;
		t->iss_wire = s->ack - 1;
		t->to_linux = s->ack;
	}
	t->synack_seen = true;
	t->odd |= s->odd_options || s->len;
	if (from_wire)
		t->iss_wire = s->seq;
	else
		t->iss_linux = s->seq;
}

/* The third step, from whoever began. */
static enum track_says take_ack(struct track *t, const struct segment *s, bool passive)
{
	uint32_t iss = passive ? t->iss_linux : t->iss_wire;

	if (t->established || !t->synack_seen || t->passive != passive ||
	    !(s->flags & WIRE_ACK) || !seq_after(s->ack, iss))
		return TRACK_GOES_ON;
	t->established = true;
	return TRACK_ESTABLISHED;
}

static void note_given(struct track *t, const struct segment *s)
{
	uint32_t end = segment_end(s);

	if (s->flags & WIRE_SYN)
		t->to_linux = end;
	else if (seq_after(end, t->to_linux) && end - t->to_linux < PLAUSIBLE)
		t->to_linux = end;
}

enum track_says track_wire(struct track *t, const struct segment *s, uint32_t queue)
{
	if (s->flags & WIRE_RST)
		return TRACK_OVER;
	if (is_syn(s))
		take_syn(t, s, true);
	else if (is_synack(s) && !t->established)
		take_synack(t, s, true);

	t->queue = queue;
	if (s->has_ts)
		t->wire_tsval = s->tsval;
	note_given(t, s);
	return s->flags & WIRE_SYN ? TRACK_GOES_ON : take_ack(t, s, true);
}

enum track_says track_linux(struct track *t, const struct segment *s, const uint8_t eth[ETH_HLEN])
{
	if (s->flags & WIRE_RST)
		return TRACK_OVER;
	if (is_syn(s))
		take_syn(t, s, false);
	else if (is_synack(s) && !t->established)
		take_synack(t, s, false);

	memcpy(t->eth, eth, ETH_HLEN);
	t->tos = s->tos;
	t->ttl = s->ttl;
	t->has_ts = s->has_ts;
	if (s->has_ts)
		t->linux_tsval = s->tsval;
	return s->flags & WIRE_SYN ? TRACK_GOES_ON : take_ack(t, s, false);
}
