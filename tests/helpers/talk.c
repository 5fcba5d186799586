// SPDX-License-Identifier: BSD-2-Clause
/*
 * talk.c - one side of a TCP conversation, as a list of steps; says how each went.
 *
 *	talk listen=7000 mark=up accept recv=5 send=5 eof close
 *	talk await=up connect=10.0.0.2:7000 send=5 recv=5 shutwr eof close
 *
 * Two runs with the same steps and the same output behaved alike: so a server under
 * taspilot is compared with one on plain Linux. What a side sends is a fixed pattern by
 * position, and what it receives is checked against it. mark and await order the steps of
 * two processes by files in $TALK_DIR; fill leaves its number of bytes in one.
 * A step that hangs is reported after 60 seconds (TP_PATIENCE).
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK		65536

static int lfd = -1, fd = -1;
static uint16_t from_port;
static uint64_t sent, received;		/* positions in the two patterns */
static const char *step;
static unsigned int patience = 60;
static unsigned char buf[CHUNK];

static void say(const char *fmt, ...)
{
	va_list ap;

	printf("%s: ", step);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static const char *outcome(int rc) { return rc < 0 ? strerrorname_np(errno) : "ok"; }

static void hung(int sig)
{
	(void)sig;
	if (write(STDOUT_FILENO, step, strlen(step)) < 0 ||
	    write(STDOUT_FILENO, ": hangs\n", 8) < 0)
		_exit(3);
	_exit(2);
}

static unsigned char pattern(uint64_t at)
{
	return (unsigned char)((at * 0x9e3779b97f4a7c15ULL) >> 56 ^ at);
}

static const char *path(const char *name)
{
	static char p[512];
	const char *dir = getenv("TALK_DIR");

	snprintf(p, sizeof(p), "%s/%s", dir ? dir : ".", name);
	return p;
}

static void mark(const char *name, uint64_t value)
{
	char tmp[600];
	FILE *f;

	snprintf(tmp, sizeof(tmp), "%s.new", path(name));
	f = fopen(tmp, "w");
	if (!f || fprintf(f, "%lu\n", value) < 0 || fclose(f) || rename(tmp, path(name)))
		err(2, "%s", name);
}

static uint64_t await(const char *name)
{
	uint64_t value = 0;
	FILE *f;

	/* whoever is no talk makes it first and writes then */
	for (int n = 0; n != 1; ) {
		f = fopen(path(name), "r");
		n = f ? fscanf(f, "%lu", &value) : 0;
		if (f)
			fclose(f);
		if (n != 1)
			usleep(1000);
	}
	return value;
}

static void do_listen(const char *arg)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(atoi(arg)) };
	int one = 1;

	lfd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(lfd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(lfd, (void *)&at, sizeof(at)) || listen(lfd, 16))
		err(2, "listen %s", arg);
}

static void do_accept(const char *arg)
{
	(void)arg;
	fd = accept(lfd, NULL, NULL);
	sent = received = 0;
	say("%s", outcome(fd));
}

static int connect_from(const struct sockaddr_in *me, const struct sockaddr_in *to)
{
	int one = 1;

	fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (me->sin_port && bind(fd, (const void *)me, sizeof(*me)))
		err(2, "bind %u", ntohs(me->sin_port));
	return connect(fd, (const void *)to, sizeof(*to));
}

static void do_connect(const char *arg)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct sockaddr_in me = { .sin_family = AF_INET, .sin_port = htons(from_port) };
	char addr[64];
	int rc;

	if (sscanf(arg, "%63[^:]:%hu", addr, &to.sin_port) != 2 ||
	    inet_pton(AF_INET, addr, &to.sin_addr) != 1)
		errx(2, "connect: '%s'?", arg);
	to.sin_port = htons(to.sin_port);
	/* the last connection of these ports may not have ended yet on our side */
	while ((rc = connect_from(&me, &to)) < 0 && errno == EADDRNOTAVAIL && from_port)
		close(fd);
	sent = received = 0;
	say("%s", outcome(rc));
}

static void do_from(const char *arg) { from_port = atoi(arg); }

/* Send until @most bytes went or nothing more can; the number sent, errno set. */
static uint64_t send_some(uint64_t most, int flags)
{
	uint64_t done = 0;

	errno = 0;
	while (done < most) {
		size_t want = most - done < CHUNK ? most - done : CHUNK;
		ssize_t n;

		for (size_t i = 0; i < want; i++)
			buf[i] = pattern(sent + i);
		n = send(fd, buf, want, flags | MSG_NOSIGNAL);
		if (n < 0)
			break;
		sent += n;
		done += n;
	}
	return done;
}

static void do_send(const char *arg)
{
	uint64_t want = strtoull(arg, NULL, 0), n = send_some(want, 0);

	say("%s", n == want ? "ok" : strerrorname_np(errno));
}

static void do_fill(const char *arg)
{
	uint64_t n = 0;
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	/* until the buffers stay full for a while: what is on the way may still make room */
	do
		n += send_some(64 << 20, MSG_DONTWAIT);
	while (errno == EAGAIN && poll(&p, 1, 300) == 1 && !(p.revents & (POLLERR | POLLHUP)));
	mark(arg, n);
	say("%s", n ? strerrorname_np(errno) : "nothing");
}

/* A peer that has gone is noticed only after something was sent to it. */
static void do_sendfail(const char *arg)
{
	(void)arg;
	while (send_some(1, 0) == 1)
		usleep(1000);
	say("%s", strerrorname_np(errno));
}

static bool check(const unsigned char *at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (at[i] != pattern(received + i))
			return false;
	received += n;
	return true;
}

/* Receive until @most bytes came, or the end: 0 all, 1 end, -1 errno. */
static int recv_some(uint64_t most)
{
	uint64_t until = received + most;

	while (received < until) {
		size_t want = until - received < CHUNK ? until - received : CHUNK;
		ssize_t n = recv(fd, buf, want, 0);

		if (n < 0)
			return -1;
		if (n == 0)
			return 1;
		if (!check(buf, n)) {
			errno = EILSEQ;
			return -1;
		}
	}
	return 0;
}

static void do_recv(const char *arg)
{
	int rc = recv_some(strtoull(arg, NULL, 0));

	if (rc)
		say("%s after %lu", rc < 0 ? strerrorname_np(errno) : "eof", received);
	else
		say("ok");
}

static void do_eof(const char *arg)
{
	int rc = recv_some(UINT64_MAX / 2);

	if (rc < 0)
		say("%s after %lu", strerrorname_np(errno), received);
	else if (arg)
		say("eof, %s", received == await(arg) ? "complete" : "incomplete");
	else
		say("eof after %lu", received);
}

/* An error may come before all data was read, or after: only which one it is counts. */
static void do_drain(const char *arg)
{
	int rc = recv_some(UINT64_MAX / 2);

	(void)arg;
	say("%s", rc < 0 ? strerrorname_np(errno) : "eof");
}

static void do_poll(const char *arg)
{
	static const struct { const char *name; short bit; } bits[] = {
		{ "in", POLLIN }, { "out", POLLOUT }, { "rdhup", POLLRDHUP }, { "hup", POLLHUP },
		{ "err", POLLERR },
	};
	struct pollfd p = { .fd = fd };

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (strstr(arg, bits[i].name))
			p.events |= bits[i].bit;
	poll(&p, 1, -1);
	printf("%s:", step);
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (p.revents & bits[i].bit)
			printf(" %s", bits[i].name);
	putchar('\n');
	fflush(stdout);
}

static void do_unread(const char *arg)
{
	int want = atoi(arg), n = 0;

	while (ioctl(fd, FIONREAD, &n) == 0 && n < want)
		usleep(1000);
	say("%d", n);
}

static void do_error(const char *arg)
{
	int e = 0;
	socklen_t len = sizeof(e);

	(void)arg;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len);
	say("%s", e ? strerrorname_np(e) : "none");
}

static void do_shutwr(const char *arg)
{
	(void)arg;
	say("%s", outcome(shutdown(fd, SHUT_WR)));
}

static void do_shutrd(const char *arg)
{
	(void)arg;
	say("%s", outcome(shutdown(fd, SHUT_RD)));
}

static void do_linger(const char *arg)
{
	struct linger l = { .l_onoff = 1, .l_linger = atoi(arg) };

	say("%s", outcome(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l))));
}

static void do_cc(const char *arg)
{
	say("%s", outcome(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, arg, (socklen_t)strlen(arg))));
}

static void do_rcvbuf(const char *arg)
{
	int n = atoi(arg);

	setsockopt(fd < 0 ? lfd : fd, SOL_SOCKET, SO_RCVBUF, &n, sizeof(n));
}

static void do_close(const char *arg)
{
	(void)arg;
	say("%s", outcome(close(fd)));
	fd = -1;
}

/* What follows is done by a child; we close the socket and wait for it. */
static void do_fork(const char *arg)
{
	pid_t child = fork();
	int status;

	(void)arg;
	if (child == 0) {
		alarm(patience);
		return;
	}
	close(fd);
	waitpid(child, &status, 0);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void do_mark(const char *arg) { mark(arg, 0); }
static void do_await(const char *arg) { await(arg); }
static void do_kill(const char *arg) { (void)arg; raise(SIGKILL); }
static void do_exit(const char *arg) { (void)arg; _exit(0); }

enum arg { NO_ARG, MAY, MUST };

static const struct {
	const char *name;
	void (*run)(const char *arg);
	enum arg arg;
} steps[] = {
	{ "listen", do_listen, MUST },
	{ "accept", do_accept, NO_ARG },
	{ "connect", do_connect, MUST },	/* ADDRESS:PORT */
	{ "from", do_from, MUST },		/* the local port of what connects next */
	{ "send", do_send, MUST },
	{ "fill", do_fill, MUST },		/* send until nothing more fits; mark how much */
	{ "sendfail", do_sendfail, NO_ARG },	/* send until it fails */
	{ "recv", do_recv, MUST },
	{ "eof", do_eof, MAY },			/* receive to the end: all that fill=MARK sent */
	{ "drain", do_drain, NO_ARG },		/* the same, never mind how much comes */
	{ "poll", do_poll, MUST },		/* in,out,rdhup */
	{ "unread", do_unread, MUST },		/* until so many bytes wait to be read */
	{ "error", do_error, NO_ARG },
	{ "shutwr", do_shutwr, NO_ARG },
	{ "shutrd", do_shutrd, NO_ARG },
	{ "linger", do_linger, MUST },
	{ "rcvbuf", do_rcvbuf, MUST },
	{ "cc", do_cc, MUST },
	{ "close", do_close, NO_ARG },
	{ "fork", do_fork, NO_ARG },
	{ "mark", do_mark, MUST },
	{ "await", do_await, MUST },
	{ "kill", do_kill, NO_ARG },
	{ "exit", do_exit, NO_ARG },
};

static void one_step(char *text)
{
	char *arg = strchr(text, '=');
	size_t len = arg ? (size_t)(arg++ - text) : strlen(text);

	step = text;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (strlen(steps[i].name) != len || strncmp(steps[i].name, text, len))
			continue;
		if ((steps[i].arg == MUST && !arg) || (steps[i].arg == NO_ARG && arg))
			errx(2, "%s: %s argument", text, arg ? "takes no" : "needs an");
		alarm(patience);
		steps[i].run(arg);
		return;
	}
	errx(2, "what is '%s'?", text);
}

int main(int argc, char **argv)
{
	const char *p = getenv("TP_PATIENCE");

	if (p && atoi(p) > 0)
		patience = atoi(p);
	signal(SIGALRM, hung);
	for (int i = 1; i < argc; i++)
		one_step(argv[i]);
	return 0;
}
