/* SPDX-License-Identifier: BSD-2-Clause
 *
 * segments.c - run a script of segments against a TCP, and write down what it answers.
 *
 *	segments SCRIPT IFNAME MY-ADDRESS THEIR-ADDRESS:PORT DIRECTORY
 *	segments SCRIPT MY-ADDRESS THEIR-PORT		the steps of the program at the other end
 *
 * The record has all that should be equal when the same script meets two equal TCPs: flags,
 * relative numbers, options, and how long it took, roughly. Windows it tells only as open or
 * closed, and whether their edge moved back: how much memory a receiver offers is its own
 * affair. PSH is told where it means something, at the end of what the program has sent. The program at the other end does its steps in turn with the script, by files in
 * DIRECTORY: "go N" lets it do step N, and "did N" is its answer.
 */
#include "peer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taspilot/wire.h>
#include <time.h>
#include <unistd.h>

#define LINES_MAX	400
#define PATIENCE_MS	20000
#define NS_PER_MS	1000000ULL
#define HEARD_MAX	1024

struct run {
	struct peer peer;
	const char *dir;
	unsigned int step;		/* of the program */
	uint32_t written;		/* bytes that its steps have sent */
	uint64_t since_ns;		/* the last thing that happened */
	struct heard heard[HEARD_MAX];	/* and not yet told */
	unsigned int nheard;
};

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

/* --- telling ---------------------------------------------------------------------------- */

static const char *flags_of(uint8_t flags)
{
	static char text[9];
	unsigned int n = 0;

	for (unsigned int i = 0; i < 8; i++)
		if (flags & 1U << i)
			text[n++] = "FSRPAUEC"[i];
	text[n] = 0;
	return n ? text : "-";
}

/* Delayed ACKs come after 40 ms, the first retransmission after 200: the limits lie between. */
static const char *when(int64_t ns)
{
	static const struct { int ms; const char *name; } classes[] = {
		{ 0, "before that" }, { 25, "at once" }, { 120, "soon" }, { 350, "later" },
		{ 750, "much later" },
	};

	for (unsigned int i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (ns < classes[i].ms * (int64_t)NS_PER_MS)
			return classes[i].name;
	return "long after";
}

static void tell_options(const struct peer *p, const struct heard *h)
{
	if (h->mss >= 0)
		printf(" mss %d", h->mss);
	if (h->sackok)
		printf(" sackok");
	if (h->ws >= 0)
		printf(" ws %d", h->ws);
	if (h->ts)
		printf(h->flags & WIRE_ACK ? " ts-%d" : " ts", h->ecr);
	else if (p->ts && !(h->flags & WIRE_RST))
		printf(" NO-TS");
	for (unsigned int i = 0; i < h->nsack; i++)
		printf("%s%u:%u", i ? "," : " sack ", h->sack[i][0], h->sack[i][1]);
}

static void tell(struct run *r, const struct heard *h)
{
	static const char *const ecn[] = { "", " ect1", " ect", " ce" };
	uint8_t flags = h->flags;

	if (h->len && h->seq + h->len != r->written + 1)
		flags &= (uint8_t)~WIRE_PSH;
	printf("> %s %u", flags_of(flags), h->seq);
	if (h->len)
		printf(":%u", h->seq + h->len);
	if (h->flags & WIRE_ACK)
		printf(" ack %u", h->ack);
	if (!(h->flags & WIRE_RST))
		printf(" win %s", h->win ? "open" : "closed");
	tell_options(&r->peer, h);
	printf("%s%s%s%s%s, %s\n", ecn[h->ecn], h->ts_back ? " CLOCK WENT BACK" : "",
	       h->shrunk ? " WINDOW SHRANK" : "", h->wrong_data ? " WRONG DATA" : "",
	       h->bad_sum ? " BAD CHECKSUM" : "", when((int64_t)(h->at_ns - r->since_ns)));
	if (h->at_ns > r->since_ns)
		r->since_ns = h->at_ns;
}

/* Where it stands, not how it came there: how many segments say so is a matter of chance. */
static void tell_last(const struct heard *h)
{
	printf("> %s %u ack %u win %s%s\n", flags_of(h->flags), h->seq + h->len, h->ack,
	       h->win ? "open" : "closed", h->shrunk ? " WINDOW SHRANK" : "");
}

static void tell_first(struct run *r, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		tell(r, &r->heard[i]);
	r->nheard -= n;
	memmove(r->heard, r->heard + n, r->nheard * sizeof(r->heard[0]));
}

/* --- waiting ---------------------------------------------------------------------------- */

/* Keep what comes until @want segments are there, or the file, or the time is over. */
static void listen_for(struct run *r, unsigned int want, const char *file, uint64_t ms)
{
	uint64_t now = clock_ns(), end = now + ms * NS_PER_MS;

	for (; now < end; now = clock_ns()) {
		uint64_t left = (end - now) / NS_PER_MS + 1;

		if (r->nheard >= want || (file && !access(file, F_OK)))
			return;
		if (file && left > 1)
			left = 1;
		if (r->nheard < HEARD_MAX &&
		    peer_hear(&r->peer, (int)left, &r->heard[r->nheard]))
			r->nheard++;
	}
}

static const char *path(const struct run *r, const char *what, unsigned int n)
{
	static char text[4096];

	snprintf(text, sizeof(text), "%s/%s%u", r->dir, what, n);
	return text;
}

/* Let the program do its next step. */
static void app_begin(struct run *r)
{
	char tmp[4096 + 8];
	FILE *f;

	snprintf(tmp, sizeof(tmp), "%s.new", path(r, "go", ++r->step));
	f = fopen(tmp, "w");
	if (!f || fputs("0\n", f) < 0 || fclose(f) || rename(tmp, path(r, "go", r->step)))
		perror(tmp);
	r->since_ns = clock_ns();
}

/* Wait until it has done it. */
static void app_end(struct run *r)
{
	listen_for(r, HEARD_MAX + 1, path(r, "did", r->step), PATIENCE_MS);
}

static void app(struct run *r, const char *step)
{
	app_begin(r);
	printf("! %s\n", step);
	if (!strncmp(step, "send=", 5))
		r->written += (uint32_t)atoi(step + 5);
	app_end(r);
}

/* --- the lines -------------------------------------------------------------------------- */

static void do_send(struct run *r, const struct line *l, const char *text)
{
	printf("%s\n", text);
	for (int64_t i = 0; i == 0 || i < l->times.value; i++)
		peer_send(&r->peer, l);
	r->since_ns = clock_ns();
}

static void do_hear(struct run *r, unsigned int want)
{
	listen_for(r, want, NULL, PATIENCE_MS);
	if (r->nheard < want)
		printf("> nothing\n");
	tell_first(r, r->nheard < want ? r->nheard : want);
}

static void do_listen(struct run *r, uint64_t ms, bool last)
{
	listen_for(r, HEARD_MAX + 1, NULL, ms);
	if (last && r->nheard) {
		tell_last(&r->heard[r->nheard - 1]);
		r->nheard = 0;
	}
	tell_first(r, r->nheard);
	printf("~\n");
}

/* The program's first step is its accept(): after it the connection is taspilot's. */
static void do_open(struct run *r, struct line *l, const char *text)
{
	struct line ack = { .flags = WIRE_ACK };

	l->flags |= WIRE_SYN | (l->ecn ? WIRE_ECE | WIRE_CWR : 0);
	do_send(r, l, text);
	do_hear(r, 1);
	listen_for(r, HEARD_MAX + 1, NULL, (uint64_t)l->rtt.value);
	ack.win = l->win;
	peer_send(&r->peer, &ack);
	app(r, "accept");
}

/* The same, begun by the program: connect() returns when the connection is taspilot's. */
static void do_meet(struct run *r, struct line *l, const char *text)
{
	app_begin(r);
	do_hear(r, 1);
	l->flags |= WIRE_SYN | WIRE_ACK | (l->ecn ? WIRE_ECE : 0);
	do_send(r, l, text);
	do_hear(r, 1);
	app_end(r);
}

static int do_line(struct run *r, char *text)
{
	char copy[512];
	struct line l;

	snprintf(copy, sizeof(copy), "%s", text);
	copy[strcspn(copy, "#\n")] = 0;
	for (size_t n = strlen(copy); n && strchr(" \t", copy[n - 1]); n--)
		copy[n - 1] = 0;
	if (script_line(text, &l)) {
		fprintf(stderr, "what is '%s'?\n", copy);
		return -1;
	}
	switch (l.verb) {
	case VERB_NONE: break;
	case VERB_OPEN: do_open(r, &l, copy); break;
	case VERB_MEET: do_meet(r, &l, copy); break;
	case VERB_SEND: do_send(r, &l, copy); break;
	case VERB_HEAR: do_hear(r, (unsigned int)l.number); break;
	case VERB_LISTEN: do_listen(r, (uint64_t)l.number, l.last); break;
	case VERB_APP: app(r, l.step); break;
	}
	return 0;
}

/* Leave nothing behind: reset what is left, and let the program go. */
static void finish(struct run *r)
{
	struct line rst = { .flags = WIRE_RST | WIRE_ACK };

	do_listen(r, 50, false);
	peer_send(&r->peer, &rst);
	app_begin(r);
}

/* --- beginning -------------------------------------------------------------------------- */

static int find_them(struct run *r)
{
	struct heard h;

	for (unsigned int i = 0; i < 100 && !r->peer.knows_mac; i++) {
		peer_ask_mac(&r->peer);
		peer_hear(&r->peer, 50, &h);
	}
	return r->peer.knows_mac ? 0 : -1;
}

/* The peer's port goes with the one of the program: both ends know it beforehand. */
static uint16_t port_of_peer(const char *theirs)
{
	return (uint16_t)(20000 + atoi(theirs));
}

/* The steps, each between "await=goN" and "mark=didN", for talk's command line. */
static int print_steps(FILE *script, const char *me, const char *their_port)
{
	unsigned int n = 0;
	char text[512];
	struct line l;

	while (fgets(text, sizeof(text), script)) {
		if (script_line(text, &l))
			return 1;
		if (l.verb != VERB_OPEN && l.verb != VERB_MEET && l.verb != VERB_APP)
			continue;
		printf("await=go%u ", ++n);
		if (l.verb == VERB_MEET)
			printf("connect=%s:%u", me, port_of_peer(their_port));
		else
			printf("%s", l.verb == VERB_OPEN ? "accept" : l.step);
		printf(" mark=did%u ", n);
	}
	printf("await=go%u exit\n", n + 1);
	return 0;
}

static int start(struct run *r, char **argv)
{
	struct in_addr me, them;
	char *colon = strchr(argv[4], ':');

	if (!colon)
		return -1;
	*colon = 0;
	if (!inet_aton(argv[3], &me) || !inet_aton(argv[4], &them) ||
	    peer_open(argv[2], me.s_addr, them.s_addr, &r->peer)) {
		perror(argv[2]);
		return -1;
	}
	r->peer.their_port = (uint16_t)atoi(colon + 1);
	r->peer.my_port = port_of_peer(colon + 1);
	r->peer.isn = 0xfffffe00;	/* it wraps soon */
	r->peer.clock = 0xffffff00;
	r->dir = argv[5];
	return find_them(r);
}

int main(int argc, char **argv)
{
	static struct run r;
	char text[512];
	FILE *script;

	if (argc != 4 && argc != 6) {
		fprintf(stderr, "usage: segments SCRIPT IFNAME ADDRESS ADDRESS:PORT DIRECTORY\n"
			"       segments SCRIPT ADDRESS PORT\n");
		return 2;
	}
	script = fopen(argv[1], "re");
	if (!script) {
		perror(argv[1]);
		return 2;
	}
	if (argc == 4)
		return print_steps(script, argv[2], argv[3]);
	if (start(&r, argv)) {
		fprintf(stderr, "segments: %s cannot be reached\n", argv[4]);
		return 1;
	}
	while (fgets(text, sizeof(text), script))
		if (do_line(&r, text))
			return 2;
	finish(&r);
	return 0;
}
