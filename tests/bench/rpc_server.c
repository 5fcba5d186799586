// SPDX-License-Identifier: BSD-2-Clause
/*
 * rpc_server.c - answer each message with itself.
 *
 * A message has a fixed size and is answered when it is complete; all that arrived
 * complete in one read is answered by one write. While an answer cannot be written, the
 * connection is not read. With --answers N it closes after N answers. Three shapes of server: one epoll loop (default), a blocking
 * thread per connection, a forked process per connection.
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench.h"

#define BUFFER	65536
#define EVENTS	256

struct conn {
	int fd;
	bool writing;			/* EPOLLOUT is asked for */
	uint32_t len;			/* bytes in buf */
	uint32_t answer;		/* of which so many are to be written... */
	uint32_t written;		/* ...and so many are */
	uint64_t answers;
	unsigned char buf[];
};

static uint32_t size = 64, room;
static uint64_t most_answers = UINT64_MAX;

static struct conn *conn_new(int fd)
{
	struct conn *c = malloc(sizeof(*c) + room);

	if (!c)
		err(1, "malloc");
	*c = (struct conn){ .fd = fd };
	nodelay(fd);
	return c;
}

static void conn_free(struct conn *c)
{
	close(c->fd);
	free(c);
}

/* Write what is to be answered. 1 done, 0 would block, -1 the connection is over. */
static int flush(struct conn *c)
{
	while (c->written < c->answer) {
		ssize_t n = write(c->fd, c->buf + c->written, c->answer - c->written);

		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		c->written += n;
	}
	c->len -= c->answer;
	c->answers += c->answer / size;
	memmove(c->buf, c->buf + c->answer, c->len);
	c->answer = c->written = 0;
	return c->answers < most_answers ? 1 : -1;
}

/* Read once. 1 if something may have to be answered, 0 would block, -1 over. */
static int fill(struct conn *c)
{
	ssize_t n = read(c->fd, c->buf + c->len, room - c->len);

	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	if (n == 0)
		return -1;
	c->len += n;
	c->answer = c->len / size * size;
	return 1;
}

static void serve_blocking(int fd)
{
	struct conn *c = conn_new(fd);

	while (fill(c) > 0 && flush(c) > 0)
		;
	conn_free(c);
}

static void *thread_main(void *fd)
{
	serve_blocking((int)(intptr_t)fd);
	return NULL;
}

static void serve_threads(int lfd)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (;;) {
		int fd = accept(lfd, NULL, NULL);
		pthread_t t;

		if (fd < 0)
			continue;
		if (pthread_create(&t, &attr, thread_main, (void *)(intptr_t)fd))
			close(fd);
	}
}

static void serve_forks(int lfd)
{
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = accept(lfd, NULL, NULL);

		if (fd < 0)
			continue;
		if (fork() == 0) {
			close(lfd);
			serve_blocking(fd);
			_exit(0);
		}
		close(fd);
	}
}

static void watch(int ep, int op, int fd, uint32_t events, void *who)
{
	struct epoll_event ev = { .events = events, .data.ptr = who };

	if (epoll_ctl(ep, op, fd, &ev))
		err(1, "epoll_ctl");
}

static void accept_all(int ep, int lfd)
{
	for (;;) {
		int fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK);

		if (fd < 0)
			return;
		watch(ep, EPOLL_CTL_ADD, fd, EPOLLIN, conn_new(fd));
	}
}

static void conn_ready(int ep, struct conn *c)
{
	int rc = c->answer ? flush(c) : fill(c);

	if (rc > 0 && c->answer)
		rc = flush(c);
	if (rc < 0) {
		conn_free(c);
		return;
	}
	if ((c->answer != 0) != c->writing) {
		c->writing = c->answer != 0;
		watch(ep, EPOLL_CTL_MOD, c->fd, c->writing ? EPOLLOUT : EPOLLIN, c);
	}
}

static void serve_epoll(int lfd)
{
	struct epoll_event ev[EVENTS];
	int ep = epoll_create1(0);

	if (ep < 0 || fcntl(lfd, F_SETFL, O_NONBLOCK))
		err(1, "epoll");
	watch(ep, EPOLL_CTL_ADD, lfd, EPOLLIN, NULL);
	for (;;) {
		int n = epoll_wait(ep, ev, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr)
				conn_ready(ep, ev[i].data.ptr);
			else
				accept_all(ep, lfd);
		}
	}
}

static int listen_on(const struct sockaddr_in *at, int backlog, bool reuseport)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (reuseport)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(fd, (const void *)at, sizeof(*at)) || listen(fd, backlog))
		err(1, "port %u", ntohs(at->sin_port));
	return fd;
}

static void usage(void)
{
	fputs("usage: rpc_server [--addr A] [--port N] [--size BYTES] [--backlog N]\n"
	      "                  [--model epoll|threads|forks] [--reuseport] [--answers N]\n", stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option opts[] = {
		{ "addr", 1, NULL, 'a' },    { "port", 1, NULL, 'p' },
		{ "size", 1, NULL, 's' },    { "model", 1, NULL, 'm' },
		{ "backlog", 1, NULL, 'b' }, { "reuseport", 0, NULL, 'r' },
		{ "answers", 1, NULL, 'n' }, { 0 },
	};
	const char *addr = "0.0.0.0", *model = "epoll";
	struct sockaddr_in at;
	bool reuseport = false;
	long port = 7000, backlog = 4096;
	int o, lfd;

	while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		switch (o) {
		case 'a': addr = optarg; break;
		case 'p': port = number("--port", optarg, 1, 65535); break;
		case 's': size = number("--size", optarg, 1, 16 << 20); break;
		case 'b': backlog = number("--backlog", optarg, 0, 65535); break;
		case 'n': most_answers = number("--answers", optarg, 1, LONG_MAX); break;
		case 'm': model = optarg; break;
		case 'r': reuseport = true; break;
		default: usage();
		}
	}

	room = size > BUFFER ? size : BUFFER;
	signal(SIGPIPE, SIG_IGN);
	want_fds(1 << 20);
	at = ipv4(addr, port);
	lfd = listen_on(&at, backlog, reuseport);
	if (!strcmp(model, "threads"))
		serve_threads(lfd);
	else if (!strcmp(model, "forks"))
		serve_forks(lfd);
	else if (!strcmp(model, "epoll"))
		serve_epoll(lfd);
	usage();
}
