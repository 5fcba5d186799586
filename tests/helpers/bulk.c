// SPDX-License-Identifier: BSD-2-Clause
/*
 * bulk.c - one end of a transfer; the receiver checks every byte and says how long it took.
 *
 *	bulk listen=7000 recv				{"bytes":...,"secs":...,"mbps":...}
 *	bulk connect=10.0.0.2:7000 [cc=cubic] send=10M	or send=5s
 *	bulk listen=7000 recv=got.bin			what came is written there as well
 *	bulk connect=10.0.0.2:7000 send=sent.bin	a file instead of the pattern
 *	bulk connect=10.0.0.2:7000 send=10M recv	both at once
 *	bulk listen=7000 send until=stop		until that file exists, then 4 MiB more
 *	bulk listen=7000 recv piece=1000		in pieces of 1000 bytes at most
 *	bulk listen=7000 recv at=5000 mark=FIFO		that is written to behind 5000 bytes
 *	bulk listen=7000 recv at=5000 pause=go		waits there until that file exists
 *
 * The pattern repeats after a prime number of bytes, so that a piece lost, doubled or moved
 * shows whatever its length. Time is the receiver's, from the greeting to the end: the side
 * that accepts says one byte first, when the connection is wholly its own. Who sends and receives
 * does what is to be done at= as the receiver.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PERIOD	1048573U		/* the largest prime below 2^20 */
#define CHUNK	131072U
#define FAREWELL	(4U << 20)	/* sent behind the moment of until= */

struct job {
	struct sockaddr_in at;
	bool listen, send, recv;
	uint64_t bytes;			/* to send; 0: for @secs */
	double secs;
	const char *sent, *got, *until;	/* files */
	uint64_t at_byte;		/* where mark and pause are due */
	const char *mark, *pause;	/* files */
	size_t piece;
	const char *cc;
	int sndbuf, rcvbuf;
};

static unsigned char pattern[PERIOD + CHUNK];
static unsigned char buf[CHUNK];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make_pattern(void)
{
	uint32_t x = 2463534242U;

	for (unsigned int i = 0; i < PERIOD; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		pattern[i] = (unsigned char)(x >> 11);
	}
	memcpy(pattern + PERIOD, pattern, CHUNK);
}

static uint64_t number(const char *text, const char **end)
{
	uint64_t v = strtoull(text, (char **)end, 10);

	switch (**end) {
	case 'K': ++*end; return v << 10;
	case 'M': ++*end; return v << 20;
	case 'G': ++*end; return v << 30;
	default: return v;
	}
}

static void endpoint(struct job *j, const char *arg)
{
	char addr[64] = "0.0.0.0";
	int port;

	if (sscanf(arg, "%63[^:]:%d", addr, &port) != 2) {
		strcpy(addr, "0.0.0.0");
		port = atoi(arg);
	}
	j->at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	if (inet_pton(AF_INET, addr, &j->at.sin_addr) != 1)
		errx(2, "%s: what is this?", arg);
}

static void what_to_send(struct job *j, const char *arg)
{
	const char *end;

	j->send = true;
	j->bytes = number(arg, &end);
	if (!strcmp(end, "s")) {
		j->secs = (double)j->bytes;
		j->bytes = 0;
	} else if (*end) {
		j->sent = arg;
	}
}

static void option(struct job *j, const char *arg)
{
	const char *v = strchr(arg, '='), *end;
	char name[16] = "";

	sscanf(arg, "%15[^=]", name);
	v = v ? v + 1 : "";
	if (!strcmp(name, "listen")) {
		j->listen = true;
		endpoint(j, v);
	} else if (!strcmp(name, "connect")) {
		endpoint(j, v);
	} else if (!strcmp(name, "recv")) {
		j->recv = true;
		j->got = *v ? v : NULL;
	} else if (!strcmp(name, "send")) {
		what_to_send(j, v);
	} else if (!strcmp(name, "until")) {
		j->until = v;
	} else if (!strcmp(name, "at")) {
		j->at_byte = number(v, &end);
	} else if (!strcmp(name, "mark")) {
		j->mark = v;
	} else if (!strcmp(name, "pause")) {
		j->pause = v;
	} else if (!strcmp(name, "piece")) {
		j->piece = number(v, &end);
	} else if (!strcmp(name, "cc")) {
		j->cc = v;
	} else if (!strcmp(name, "sndbuf")) {
		j->sndbuf = (int)number(v, &end);
	} else if (!strcmp(name, "rcvbuf")) {
		j->rcvbuf = (int)number(v, &end);
	} else {
		errx(2, "%s: what is this?", arg);
	}
}

static void configure(const struct job *j, int fd)
{
	int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (j->cc && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, j->cc, (socklen_t)strlen(j->cc)))
		err(2, "congestion control %s", j->cc);
	if (j->sndbuf)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &j->sndbuf, sizeof(j->sndbuf));
	if (j->rcvbuf)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &j->rcvbuf, sizeof(j->rcvbuf));
}

static void greet(int fd)
{
	if (write(fd, "!", 1) != 1)
		err(1, "greeting");
}

static void be_greeted(int fd)
{
	char c;

	if (read(fd, &c, 1) != 1 || c != '!')
		err(1, "no greeting");
}

static int open_connection(const struct job *j)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), conn;

	if (fd < 0)
		err(2, "socket");
	configure(j, fd);
	if (!j->listen) {
		if (connect(fd, (const void *)&j->at, sizeof(j->at)))
			err(1, "connect");
		be_greeted(fd);
		return fd;
	}
	if (bind(fd, (const void *)&j->at, sizeof(j->at)) || listen(fd, 16))
		err(2, "listen");
	conn = accept(fd, NULL, NULL);
	if (conn < 0)
		err(1, "accept");
	close(fd);
	greet(conn);
	return conn;
}

static void write_all(int fd, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	for (; len; p += n, len -= (size_t)n) {
		n = write(fd, p, len);
		if (n < 0)
			err(1, "write");
	}
}

static void sleep_a_little(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* @at bytes have been moved. */
static void reach(struct job *j, uint64_t at)
{
	int fd;

	if (at != j->at_byte)
		return;
	if (j->mark) {
		fd = open(j->mark, O_WRONLY | O_CREAT, 0666);
		if (fd < 0)
			err(2, "%s", j->mark);
		write_all(fd, "!\n", 2);
		close(fd);
		j->mark = NULL;
	}
	for (; j->pause && access(j->pause, F_OK); )
		sleep_a_little();
}

/* How many of @left bytes to move next: up to the place where something is due. */
static size_t next_piece(const struct job *j, uint64_t at, uint64_t left)
{
	uint64_t most = left < j->piece ? left : j->piece;

	if (at < j->at_byte && most > j->at_byte - at)
		most = j->at_byte - at;
	return (size_t)most;
}

/* Bytes to send in all, as it is known now. */
static uint64_t goal(const struct job *j, uint64_t at, double end)
{
	if (j->bytes)
		return j->bytes;
	if (j->until)
		return access(j->until, F_OK) ? ~0ULL : at + FAREWELL;
	return now() < end ? ~0ULL : at;
}

static void send_pattern(struct job *j, int fd)
{
	double end = now() + j->secs;
	uint64_t at = 0, total = ~0ULL;
	size_t n;

	for (;;) {
		if (!j->recv)
			reach(j, at);
		if (total == ~0ULL)
			total = goal(j, at, end);
		n = next_piece(j, at, total - at);
		if (!n)
			break;
		write_all(fd, pattern + at % PERIOD, n);
		at += n;
	}
}

static void send_file(const struct job *j, int fd)
{
	int file = open(j->sent, O_RDONLY);
	ssize_t n;

	if (file < 0)
		err(2, "%s", j->sent);
	while ((n = read(file, buf, sizeof(buf))) > 0)
		write_all(fd, buf, (size_t)n);
	close(file);
}

static void send_it(struct job *j, int fd)
{
	if (j->sent)
		send_file(j, fd);
	else
		send_pattern(j, fd);
	shutdown(fd, SHUT_WR);
}

static void receive(struct job *j, int fd)
{
	int file = j->got ? open(j->got, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
	double start = now(), secs;
	uint64_t at = 0;
	ssize_t n;

	if (j->got && file < 0)
		err(2, "%s", j->got);
	reach(j, at);
	while ((n = read(fd, buf, next_piece(j, at, CHUNK))) > 0) {
		if (file >= 0)
			write_all(file, buf, (size_t)n);
		else if (memcmp(buf, pattern + at % PERIOD, (size_t)n))
			errx(1, "wrong bytes after %lu", at);
		at += (uint64_t)n;
		reach(j, at);
	}
	if (n < 0)
		err(1, "read after %lu bytes", at);
	secs = now() - start;
	printf("{\"bytes\":%lu,\"secs\":%.6f,\"mbps\":%.3f}\n", at, secs,
	       (double)at * 8 / secs / 1e6);
	if (file >= 0)
		close(file);
}

int main(int argc, char **argv)
{
	struct job j = { .piece = CHUNK };
	pid_t sender = -1;		/* a child that sends while we receive */
	int fd, status = 0;

	for (int i = 1; i < argc; i++)
		option(&j, argv[i]);
	if (!j.at.sin_port || !j.piece || j.piece > CHUNK)
		errx(2, "usage: bulk listen=PORT|connect=ADDR:PORT recv[=FILE]|send=BYTES|SECSs|FILE"
			" [until=FILE] [at=BYTES] [mark=FILE] [pause=FILE] [piece=BYTES] [cc=NAME]"
			" [sndbuf=N] [rcvbuf=N]");
	make_pattern();
	fd = open_connection(&j);
	if (j.send && j.recv)
		sender = fork();
	if (j.send && sender <= 0)
		send_it(&j, fd);
	if (j.recv && sender)
		receive(&j, fd);
	close(fd);
	if (sender > 0)
		waitpid(sender, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
