// SPDX-License-Identifier: BSD-2-Clause
/*
 * conn_rate.c - open and close connections, and say how many a second and how long each took.
 *
 * N connections are under way at any moment. Each is opened without blocking; when Linux
 * says that it is established its set-up time is noted. Then it sends one message and
 * waits for the echo (--echo), and closes: by FIN, by RST (--reset), by FIN and waiting for
 * the server's (--half), or only after the server has (--last; rpc_server --answers 1).
 * Ends after --count connections or --secs, whichever comes first.
 */
#include <getopt.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench.h"

#define EVENTS		256
#define STUCK_NS	(10 * NSEC)

struct slot {
	int fd;
	enum { IDLE, CONNECTING, WAITING, CLOSING } state;
	uint32_t got;			/* bytes of the echo */
	uint64_t since_ns;
};

static struct sockaddr_in to;
static uint32_t size = 64;
static bool echo, reset, half, last;
static uint64_t started, finished, failed, active, limit;
static uint64_t end_ns;
static struct hist setup, whole;
static unsigned char *message;

static void watch(int ep, int op, struct slot *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	if (epoll_ctl(ep, op, s->fd, &ev))
		err(1, "epoll_ctl");
}

static void over(struct slot *s, bool well)
{
	struct linger now = { .l_onoff = 1 };

	if (reset || !well)
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(s->fd);
	s->state = IDLE;
	active--;
	if (well) {
		finished++;
		hist_add(&whole, now_ns() - s->since_ns);
	} else {
		failed++;
	}
}

static void open_one(int ep, struct slot *s)
{
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		err(1, "socket");
	nodelay(s->fd);
	s->state = CONNECTING;
	s->got = 0;
	s->since_ns = now_ns();
	started++;
	active++;
	if (connect(s->fd, (const void *)&to, sizeof(to)) && errno != EINPROGRESS) {
		if (errno == EADDRNOTAVAIL)
			err(1, "out of local ports: widen ip_local_port_range");
		over(s, false);
		return;
	}
	watch(ep, EPOLL_CTL_ADD, s, EPOLLOUT);
}

static void established(int ep, struct slot *s)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		over(s, false);
		return;
	}
	hist_add(&setup, now_ns() - s->since_ns);
	if (echo) {
		if (write(s->fd, message, size) != (ssize_t)size) {
			over(s, false);
			return;
		}
		s->state = WAITING;
	} else if (half) {
		shutdown(s->fd, SHUT_WR);
		s->state = CLOSING;
	} else {
		over(s, true);
		return;
	}
	watch(ep, EPOLL_CTL_MOD, s, EPOLLIN);
}

static void readable(struct slot *s)
{
	char buf[65536];
	ssize_t n = read(s->fd, buf, sizeof(buf));

	if (n < 0 && errno == EAGAIN)
		return;
	if (s->state == CLOSING || n <= 0) {
		over(s, s->state == CLOSING && n == 0);
		return;
	}
	s->got += n;
	if (s->got < size)
		return;
	if (half)
		shutdown(s->fd, SHUT_WR);
	if (half || last)
		s->state = CLOSING;
	else
		over(s, true);
}

static bool more(void)
{
	return started < limit && now_ns() < end_ns;
}

static void expire(struct slot *s, long n)
{
	uint64_t now = now_ns();

	for (long i = 0; i < n; i++)
		if (s[i].state != IDLE && now - s[i].since_ns > STUCK_NS)
			over(&s[i], false);
}

static void run(struct slot *s, long n)
{
	struct epoll_event ev[EVENTS];
	int ep = epoll_create1(0);

	if (ep < 0)
		err(1, "epoll");
	for (long i = 0; i < n && more(); i++)
		open_one(ep, &s[i]);
	while (active) {
		int got = epoll_wait(ep, ev, EVENTS, 1000);

		for (int i = 0; i < got; i++) {
			struct slot *at = ev[i].data.ptr;

			if (at->state == CONNECTING)
				established(ep, at);
			else
				readable(at);
			if (at->state == IDLE && more())
				open_one(ep, at);
		}
		if (got == 0)
			expire(s, n);
	}
	close(ep);
}

static void report(double secs, bool json)
{
	if (json) {
		printf("{\"connections\": %lu, \"failed\": %lu, \"per_s\": %.1f, \"setup\": {",
		       finished, failed, finished / secs);
		hist_json(&setup, stdout);
		printf("}, \"whole\": {");
		hist_json(&whole, stdout);
		printf("}}\n");
		return;
	}
	printf("%lu connections, %lu failed: %.0f/s\nset-up: ", finished, failed,
	       finished / secs);
	hist_text(&setup, stdout);
	printf("\nwhole:  ");
	hist_text(&whole, stdout);
	printf("\n");
}

static void usage(void)
{
	fputs("usage: conn_rate --addr A [--port N] [--parallel N] [--count N] [--secs N]\n"
	      "                 [--echo] [--size BYTES] [--reset | --half | --last] [--json]\n",
	      stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option opts[] = {
		{ "addr", 1, NULL, 'a' },  { "port", 1, NULL, 'p' }, { "parallel", 1, NULL, 'n' },
		{ "count", 1, NULL, 'c' }, { "secs", 1, NULL, 't' }, { "echo", 0, NULL, 'e' },
		{ "size", 1, NULL, 's' },  { "reset", 0, NULL, 'r' }, { "json", 0, NULL, 'j' },
		{ "half", 0, NULL, 'h' },  { "last", 0, NULL, 'l' }, { 0 },
	};
	long port = 7000, parallel = 1;
	double secs = 86400;
	const char *addr = NULL;
	struct slot *slots;
	bool json = false;
	uint64_t begin;
	int o;

	limit = UINT64_MAX;
	while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		switch (o) {
		case 'a': addr = optarg; break;
		case 'p': port = number("--port", optarg, 1, 65535); break;
		case 'n': parallel = number("--parallel", optarg, 1, 100000); break;
		case 'c': limit = number("--count", optarg, 1, 1000000000); break;
		case 't': secs = seconds("--secs", optarg); break;
		case 's': size = number("--size", optarg, 1, 65536); break;
		case 'e': echo = true; break;
		case 'r': reset = true; break;
		case 'h': half = true; break;
		case 'l': last = true; break;
		case 'j': json = true; break;
		default: usage();
		}
	}
	if (!addr || reset + half + last > 1 || (last && !echo))
		usage();

	signal(SIGPIPE, SIG_IGN);
	want_fds(parallel);
	to = ipv4(addr, port);
	slots = calloc(parallel, sizeof(*slots));
	message = calloc(1, size);
	if (!slots || !message)
		err(1, "malloc");
	begin = now_ns();
	end_ns = begin + (uint64_t)(secs * NSEC);
	run(slots, parallel);
	report((now_ns() - begin) / 1e9, json);
	return failed ? 1 : 0;
}
