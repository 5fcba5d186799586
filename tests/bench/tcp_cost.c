// SPDX-License-Identifier: BSD-2-Clause
/*
 * tcp_cost.c - one loss-free flow, for counting instructions (tests/bench/cost).
 *
 *	tcp_cost receive|send|super|converse CC ROUNDS		prints the data segments of it
 *
 *	receive	   two full segments come, the program reads, an ACK leaves
 *	send	   the program writes two full segments, they leave, an ACK comes
 *	super	   sixteen, which leave as one (GSO)
 *	converse   64 bytes come, the program reads and answers with 64
 *
 * Only the calls into the stack are to be counted: tcp_rx, tcp_tx, tcp_app.
 */
#include <err.h>
#include <stdio.h>

#include "../unit/tcp_rig.h"

#define MSS	1448U
#define US	1000ULL

static void receive(struct rig *r)
{
	for (int i = 0; i < 2; i++)
		rig_data(r, r->tcp.rcv_nxt - RIG_PEER, MSS);
	rig_pass(r, 10 * US);
	rig_read(r);
	rig_drain(r);
	rig_pass(r, 90 * US);
}

static void send_many(struct rig *r, uint32_t segs, uint32_t max_segs)
{
	struct tcp_out o;

	rig_write(r, segs * MSS);
	while (tcp_tx(&r->tcp, r->now, max_segs, &o))
		;
	rig_pass(r, 100 * US);
	rig_ack(r, r->tcp.snd_nxt - RIG_ISN);
}

static void converse(struct rig *r)
{
	struct tcp_seg s = rig_seg(r, r->tcp.rcv_nxt - RIG_PEER, 64, r->tcp.snd_nxt - RIG_ISN);

	s.flags |= TH_PUSH;
	rig_rx(r, &s);
	rig_pass(r, 5 * US);
	rig_read(r);
	rig_write(r, 64);
	rig_drain(r);
	rig_pass(r, 45 * US);
}

/* One round; returns how many segments with data it had. */
static uint32_t round_of(struct rig *r, const char *what)
{
	if (!strcmp(what, "receive"))
		return receive(r), 2;
	if (!strcmp(what, "send"))
		return send_many(r, 2, 1), 2;
	if (!strcmp(what, "super"))
		return send_many(r, 16, 44), 16;
	if (!strcmp(what, "converse"))
		return converse(r), 2;
	errx(2, "%s: what is this?", what);
}

int main(int argc, char **argv)
{
	struct tcp_begin b = rig_begin();
	uint64_t segments = 0;
	struct rig *r;

	if (argc != 4)
		errx(2, "usage: tcp_cost receive|send|super|converse CC ROUNDS");
	b.mss = MSS;
	b.snd_wscale = 7;
	strncpy(b.options.cc, argv[2], sizeof(b.options.cc) - 1);
	r = rig_new(&b);
	for (int i = atoi(argv[3]); i > 0; i--)
		segments += round_of(r, argv[1]);
	if (r->tcp.retransmits || r->tcp.ooo || r->tcp.ca != TCP_OPEN || r->tcp.flags & T_DEAD)
		errx(1, "that was not loss-free");
	if (strcmp(argv[1], "receive") && r->tcp.snd_una - RIG_ISN != (uint32_t)r->written &&
	    r->tcp.snd_nxt - RIG_ISN != (uint32_t)r->written)
		errx(1, "not all that was written was sent");
	rig_free(r);
	printf("%lu\n", segments);
	return 0;
}
