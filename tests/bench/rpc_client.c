// SPDX-License-Identifier: BSD-2-Clause
/*
 * rpc_client.c - closed loop: N connections, each with D messages on the way.
 *
 * A message is answered by its echo; the time from the write of a message to the read of
 * the last byte of its answer is one value, and every one is counted. A message begins
 * with its number where it has room for one, and the answer must bring it back. When the
 * time is over nothing more is sent and what is still out is waited for: an answer that
 * never comes is lost, and that is a failure. SIGTERM ends the time early.
 *
 * --least N: nor is the time over before each connection has had N answers, so that a test's load
 * is one on a machine that stands still for a second, too.
 *
 * --rate R: not as fast as the answers come, but R messages a second over all connections; one
 * whose answer has come waits for its turn. The client then polls instead of sleeping.
 * --hold: afterwards the connections stay open, idle, until a signal ends the client.
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench.h"

#define EVENTS		256
#define BUFFER		(1 << 18)
#define DRAIN_NS	(30 * NSEC)

struct conn {
	int fd;
	bool writing;			/* EPOLLOUT is asked for */
	uint32_t got;			/* bytes of the answer that is arriving */
	uint32_t unsent;		/* bytes that are due, and not yet written */
	uint64_t first, next;		/* numbers: oldest unanswered, next to send */
	uint64_t number;		/* of the answer that is arriving, as far as it has */
	uint64_t answers;
	uint32_t turns;			/* messages that wait for their turn */
	struct conn *next_turn;
	uint64_t *sent_ns;		/* by number modulo depth */
};

static uint32_t size = 64, depth = 1;
static bool stopping;
static volatile sig_atomic_t told;	/* to end the time early */
static uint64_t out, wrong, broken;	/* messages on the way; bad answers; lost connections */
static uint64_t least;			/* answers that each connection is to have */
static long wanting;			/* connections that have had fewer */
static uint64_t from_ns;		/* what is answered earlier is warm-up */
static double gap_ns;			/* between two messages; 0: as fast as answers come */
static double due_ns;			/* the next message */
static struct conn *turns;		/* connections that wait for their turn, in order */
static struct conn **last_turn = &turns;
static struct hist hist;
static unsigned char *message, *buffer;

static void watch(int ep, int op, struct conn *c, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = c };

	if (epoll_ctl(ep, op, c->fd, &ev))
		err(1, "epoll_ctl");
}

static void conn_break(struct conn *c)
{
	broken++;
	wanting -= c->answers < least;
	out -= c->next - c->first;
	wrong += c->next - c->first;
	c->first = c->next;
	c->unsent = 0;
	close(c->fd);
	c->fd = -1;
}

/* Where in the message the next unwritten byte stands, and how much of it is left. */
static size_t chunk(const struct conn *c, const unsigned char **ret_at)
{
	uint32_t part = c->unsent % size;
	uint64_t number = c->next - (c->unsent + size - 1) / size;

	if (part == 0)
		part = size;
	if (size >= sizeof(number))
		memcpy(message, &number, sizeof(number));
	*ret_at = message + size - part;
	return part;
}

/* Several messages go by one write where they are small; their numbers stand in each. */
static size_t gather(const struct conn *c, const unsigned char **ret_at)
{
	uint64_t number = c->next - c->unsent / size;
	size_t len = 0;

	if (c->unsent % size || c->unsent == size || size > BUFFER / 2)
		return chunk(c, ret_at);
	for (; len + size <= BUFFER && len < c->unsent; len += size, number++) {
		memcpy(buffer + len, message, size);
		if (size >= sizeof(number))
			memcpy(buffer + len, &number, sizeof(number));
	}
	*ret_at = buffer;
	return len;
}

static void conn_write(int ep, struct conn *c)
{
	while (c->unsent) {
		const unsigned char *at;
		size_t len = gather(c, &at);
		ssize_t n = write(c->fd, at, len);

		if (n < 0 && errno != EAGAIN) {
			conn_break(c);
			return;
		}
		if (n < 0)
			break;
		c->unsent -= n;
	}
	if ((c->unsent != 0) != c->writing) {
		c->writing = c->unsent != 0;
		watch(ep, EPOLL_CTL_MOD, c, EPOLLIN | (c->writing ? EPOLLOUT : 0));
	}
}

static void conn_send(int ep, struct conn *c, uint32_t count)
{
	uint64_t now = now_ns();

	if (stopping)
		return;
	for (uint32_t i = 0; i < count; i++)
		c->sent_ns[c->next++ % depth] = now;
	out += count;
	c->unsent += count * size;
	conn_write(ep, c);
}

static void answered(struct conn *c, uint64_t now)
{
	if (size >= sizeof(c->number) && c->number != c->first)
		wrong++;
	if (now >= from_ns && !stopping)
		hist_add(&hist, now - c->sent_ns[c->first % depth]);
	c->answers++;
	wanting -= c->answers == least;
	c->first++;
	c->got = 0;
	out--;
}

/* Take @len bytes of answers; returns how many answers they completed. */
static uint32_t take(struct conn *c, const unsigned char *at, size_t len)
{
	uint64_t now = now_ns();
	uint32_t done = 0;

	while (len) {
		size_t n = size - c->got < len ? size - c->got : len;

		if (c->got < sizeof(c->number)) {
			size_t k = sizeof(c->number) - c->got;

			memcpy((char *)&c->number + c->got, at, k < n ? k : n);
		}
		c->got += n;
		at += n;
		len -= n;
		if (c->got == size) {
			answered(c, now);
			done++;
		}
	}
	return done;
}

static void turn_wanted(struct conn *c, uint32_t count)
{
	if (!c->turns) {
		c->next_turn = NULL;
		*last_turn = c;
		last_turn = &c->next_turn;
	}
	c->turns += count;
}

/* All messages whose time has come, one of each connection in turn. */
static void turns_due(int ep)
{
	while (turns && due_ns <= now_ns()) {
		struct conn *c = turns;
		uint32_t left = c->turns - 1;

		turns = c->next_turn;
		if (!turns)
			last_turn = &turns;
		c->turns = 0;
		if (left)
			turn_wanted(c, left);
		due_ns += gap_ns;
		if (c->fd >= 0)
			conn_send(ep, c, 1);
	}
}

static void want_send(int ep, struct conn *c, uint32_t count)
{
	if (gap_ns)
		turn_wanted(c, count);
	else
		conn_send(ep, c, count);
}

static void conn_read(int ep, struct conn *c)
{
	ssize_t n = read(c->fd, buffer, BUFFER);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		conn_break(c);
		return;
	}
	n = take(c, buffer, n);
	if (n)
		want_send(ep, c, n);
}

static void tell(int sig)
{
	(void)sig;
	told = 1;
}

static bool is_told(void) { return told; }
static bool is_content(void) { return told || !wanting; }
static bool is_drained(void) { return !out; }

/* Serve events until @end, or @over. */
static void run(int ep, uint64_t end, bool (*over)(void))
{
	struct epoll_event ev[EVENTS];
	uint64_t now;

	while ((now = now_ns()) < end && !over()) {
		int n = epoll_wait(ep, ev, EVENTS, gap_ns ? 0 : (int)((end - now) / 1000000) + 1);

		for (int i = 0; i < n; i++) {
			struct conn *c = ev[i].data.ptr;

			if (ev[i].events & EPOLLOUT)
				conn_write(ep, c);
			if (c->fd >= 0 && ev[i].events & ~EPOLLOUT)
				conn_read(ep, c);
		}
		turns_due(ep);
	}
}

static void conn_open(struct conn *c, const struct sockaddr_in *to)
{
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	c->sent_ns = calloc(depth, sizeof(*c->sent_ns));
	if (c->fd < 0 || !c->sent_ns)
		err(1, "socket");
	if (connect(c->fd, (const void *)to, sizeof(*to)))
		err(1, "connect");
	if (fcntl(c->fd, F_SETFL, O_NONBLOCK))
		err(1, "fcntl");
	nodelay(c->fd);
}

static uint64_t starved(const struct conn *c, long conns)
{
	uint64_t n = 0;

	for (long i = 0; i < conns; i++)
		n += c[i].answers == 0;
	return n;
}

static void report(const struct conn *c, long conns, double secs, bool json)
{
	double rps = hist.count / secs;

	if (!json) {
		printf("%ld connections, %u bytes, %u in flight: %.0f requests/s\n", conns, size,
		       depth, rps);
		hist_text(&hist, stdout);
		printf("\nlost %lu, wrong %lu, broken connections %lu, starved %lu\n", out, wrong,
		       broken, starved(c, conns));
		return;
	}
	printf("{\"conns\": %ld, \"size\": %u, \"depth\": %u, \"secs\": %.3f, \"requests\": %lu, "
	       "\"rps\": %.1f, ", conns, size, depth, secs, hist.count, rps);
	hist_json(&hist, stdout);
	printf(", \"lost\": %lu, \"wrong\": %lu, \"broken\": %lu, \"starved\": %lu}\n", out, wrong,
	       broken, starved(c, conns));
}

static void usage(void)
{
	fputs("usage: rpc_client --addr A [--port N] [--conns N] [--size BYTES] [--depth N]\n"
	      "                  [--secs S] [--warmup MS] [--rate N] [--least N] [--hold] [--json]\n", stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option opts[] = {
		{ "addr", 1, NULL, 'a' },  { "port", 1, NULL, 'p' },   { "conns", 1, NULL, 'c' },
		{ "size", 1, NULL, 's' },  { "depth", 1, NULL, 'd' },  { "secs", 1, NULL, 't' },
		{ "json", 0, NULL, 'j' },  { "warmup", 1, NULL, 'w' }, { "rate", 1, NULL, 'r' },
		{ "hold", 0, NULL, 'h' },  { "least", 1, NULL, 'l' },  { 0 },
	};
	const char *addr = NULL;
	long port = 7000, conns = 1, warmup_ms = 200;
	struct sockaddr_in to;
	bool json = false, hold = false, ok;
	double secs = 2;
	struct conn *conn;
	double took;
	int o, ep;

	while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		switch (o) {
		case 'a': addr = optarg; break;
		case 'p': port = number("--port", optarg, 1, 65535); break;
		case 'c': conns = number("--conns", optarg, 1, 1000000); break;
		case 's': size = number("--size", optarg, 1, 16 << 20); break;
		case 'd': depth = number("--depth", optarg, 1, 65536); break;
		case 't': secs = seconds("--secs", optarg); break;
		case 'r': gap_ns = (double)NSEC / number("--rate", optarg, 1, 100000000); break;
		case 'h': hold = true; break;
		case 'l': least = number("--least", optarg, 1, 1000000); break;
		case 'w': warmup_ms = number("--warmup", optarg, 0, 60000); break;
		case 'j': json = true; break;
		default: usage();
		}
	}
	if (!addr || (uint64_t)size * depth > UINT32_MAX)
		usage();

	signal(SIGPIPE, SIG_IGN);
	want_fds(conns);
	to = ipv4(addr, port);
	conn = calloc(conns, sizeof(*conn));
	message = calloc(1, size);
	buffer = malloc(BUFFER);
	ep = epoll_create1(0);
	if (!conn || !message || !buffer || ep < 0)
		err(1, "setting up");

	for (long i = 0; i < conns; i++) {
		conn_open(&conn[i], &to);
		watch(ep, EPOLL_CTL_ADD, &conn[i], EPOLLIN);
	}
	wanting = least ? conns : 0;
	from_ns = now_ns() + warmup_ms * 1000000;
	due_ns = now_ns();
	for (long i = 0; i < conns; i++)
		want_send(ep, &conn[i], depth);
	signal(SIGTERM, tell);
	run(ep, from_ns + (uint64_t)(secs * NSEC), is_told);
	run(ep, now_ns() + DRAIN_NS, is_content);
	signal(SIGTERM, SIG_DFL);
	took = (now_ns() - from_ns) / 1e9;
	stopping = true;
	run(ep, now_ns() + DRAIN_NS, is_drained);

	report(conn, conns, took, json);
	fflush(stdout);
	while (hold && !told)
		pause();
	ok = !out && !wrong && !broken && !starved(conn, conns);
	return ok ? 0 : 1;
}
