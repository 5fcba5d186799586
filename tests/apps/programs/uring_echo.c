// SPDX-License-Identifier: BSD-2-Clause
/*
 * uring_echo.c - a server as liburing's users write them: no system call but io_uring's.
 *
 *	uring_echo ADDR PORT
 *
 * A connection has one operation under way: a recv, or the send of what that brought.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>

#define ENTRIES	256
#define BYTES	65536

struct conn {
	int fd;
	size_t at, have;		/* of buf: sent, received */
	char buf[BYTES];
};

static struct io_uring ring;

static struct io_uring_sqe *next(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (!sqe) {
		io_uring_submit(&ring);
		sqe = io_uring_get_sqe(&ring);
	}
	return sqe;
}

static int listen_at(const char *addr, const char *port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (inet_pton(AF_INET, addr, &sa.sin_addr) != 1)
		errx(2, "no address: %s", addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 128))
		err(1, "%s:%s", addr, port);
	return fd;
}

static void ask_accept(int lfd)
{
	struct io_uring_sqe *sqe = next();

	io_uring_prep_accept(sqe, lfd, NULL, NULL, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

static void go_on(struct conn *c)
{
	struct io_uring_sqe *sqe = next();

	if (c->at < c->have)
		io_uring_prep_send(sqe, c->fd, c->buf + c->at, c->have - c->at, MSG_NOSIGNAL);
	else
		io_uring_prep_recv(sqe, c->fd, c->buf, BYTES, 0);
	io_uring_sqe_set_data(sqe, c);
}

static void accepted(int lfd, int fd)
{
	struct conn *c = fd < 0 ? NULL : malloc(sizeof(*c));

	if (c) {
		c->fd = fd;
		c->at = c->have = 0;
		go_on(c);
	}
	ask_accept(lfd);
}

static void done(struct conn *c, int n)
{
	if (n <= 0) {
		close(c->fd);
		free(c);
		return;
	}
	if (c->at < c->have) {
		c->at += (size_t)n;
	} else {
		c->at = 0;
		c->have = (size_t)n;
	}
	go_on(c);
}

int main(int argc, char **argv)
{
	struct io_uring_cqe *cqe;
	int lfd;

	if (argc != 3)
		errx(2, "usage: uring_echo ADDR PORT");
	errno = -io_uring_queue_init(ENTRIES, &ring, 0);
	if (errno)
		err(errno == ENOSYS || errno == EPERM ? 77 : 1, "io_uring");
	lfd = listen_at(argv[1], argv[2]);
	ask_accept(lfd);
	while (io_uring_submit_and_wait(&ring, 1) >= 0 || errno == EINTR)
		while (!io_uring_peek_cqe(&ring, &cqe)) {
			struct conn *c = io_uring_cqe_get_data(cqe);
			int n = cqe->res;

			io_uring_cqe_seen(&ring, cqe);
			if (c)
				done(c, n);
			else
				accepted(lfd, n);
		}
	return 1;
}
