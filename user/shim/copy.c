/* SPDX-License-Identifier: BSD-2-Clause
 *
 * copy.c - sendfile and splice with one of our connections at an end: read and write.
 *
 * SPLICE_F_NONBLOCK speaks of the pipe; whether the connection blocks says its O_NONBLOCK.
 *
 * Through a buffer on the stack, in pieces that the receiving end is known to take as a whole where
 * it matters: what was read from a pipe cannot be put back. So into a pipe go at most
 * PIPE_BUF bytes after poll() said there is room; out of a pipe into a connection goes what
 * a peek at the connection's room allows, blocking otherwise.
 */
#include <limits.h>
#include <sys/stat.h>

#include "shim.h"

#define PIECE		16384U
#define COUNT_MAX	0x7ffff000U

static ssize_t read_at(int in, void *buf, size_t n, off64_t *pos)
{
	ssize_t got = pos ? pread64(in, buf, n, *pos) : libc()->read(in, buf, n);

	return got < 0 ? -errno : got;
}

/* What was read but not taken must not be lost: a file's offset moves by what was taken. */
static void unread_file(int in, off64_t *pos, ssize_t got, ssize_t put)
{
	if (!pos && put < got)
		lseek64(in, (put > 0 ? put : 0) - got, SEEK_CUR);
}

ssize_t io_sendfile(int out, int in, off64_t *pos, size_t count)
{
	struct conn *c = fd_conn(out);
	char buf[PIECE];
	size_t done = 0;

	if (pos && BAD_PTR(pos))
		return -EFAULT;
	if (lseek64(in, 0, SEEK_CUR) < 0)
		return pos && errno == ESPIPE ? -ESPIPE : errno == EBADF ? -EBADF : -EINVAL;
	if (count > COUNT_MAX)
		count = COUNT_MAX;
	while (done < count) {
		size_t n = count - done < PIECE ? count - done : PIECE;
		ssize_t got = read_at(in, buf, n, pos), put;

		if (got <= 0)
			return done ? (ssize_t)done : got == -EISDIR ? -EINVAL : got;
		put = io_write(out, c, buf, (size_t)got, done + (size_t)got < count ? MSG_MORE : 0);
		unread_file(in, pos, got, put);
		if (put < 0)
			return done ? (ssize_t)done : put;
		if (pos)
			*pos += put;
		done += (size_t)put;
		if (put < got)
			break;
	}
	return (ssize_t)done;
}

static int wait_for(int fd, short events, bool nonblock)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n = libc()->poll(&p, 1, nonblock ? 0 : -1);

	return n < 0 ? -errno : n == 0 ? -EAGAIN : 0;
}

static ssize_t conn_to_pipe(int in, int out, size_t len, unsigned int flags)
{
	struct conn *c = fd_conn(in);
	bool nonblock = flags & SPLICE_F_NONBLOCK;
	char buf[PIPE_BUF];
	size_t done = 0;

	while (done < len) {
		size_t n = len - done < sizeof(buf) ? len - done : sizeof(buf);
		ssize_t got = wait_for(out, POLLOUT, nonblock || done);

		if (got == 0)
			got = io_read(in, c, buf, n, done ? MSG_DONTWAIT : 0);
		if (got <= 0)
			return done ? (ssize_t)done : got;
		if (libc()->write(out, buf, (size_t)got) < 0)
			return done ? (ssize_t)done : -errno;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

static ssize_t pipe_to_conn(int in, int out, size_t len, unsigned int flags)
{
	struct conn *c = fd_conn(out);
	bool nonblock = flags & SPLICE_F_NONBLOCK;
	char buf[PIPE_BUF];
	size_t done = 0;

	while (done < len) {
		size_t n = len - done < sizeof(buf) ? len - done : sizeof(buf);
		struct pollfd room = { .fd = out, .events = POLLOUT };
		ssize_t got = wait_for(in, POLLIN, nonblock || done), put;

		if (got == 0 && c->nonblock && wait_poll(&room, 1, 0, NULL) <= 0)
			got = -EAGAIN;
		if (got == 0)
			got = read_at(in, buf, n, NULL);
		if (got <= 0)
			return done ? (ssize_t)done : got;
		for (ssize_t at = 0; at < got; at += put) {
			put = io_write(out, c, buf + at, (size_t)(got - at),
				       flags & SPLICE_F_MORE ? MSG_MORE : 0);
			if (put == -EAGAIN)
				put = wait_poll(&room, 1, FOREVER, NULL) < 0 ? -EINTR : 0;
			if (put == -EINTR)
				put = 0;
			if (put < 0)
				return done ? (ssize_t)done : put;
		}
		done += (size_t)got;
	}
	return (ssize_t)done;
}

ssize_t io_splice(int in, off64_t *in_pos, int out, off64_t *out_pos, size_t len,
		  unsigned int flags)
{
	bool from_conn = fd_ours(in);
	struct stat64 st;

	if (fstat64(from_conn ? out : in, &st) < 0)
		return -EBADF;
	if (!S_ISFIFO(st.st_mode))
		return -EINVAL;
	if (from_conn ? !!out_pos : !!in_pos)
		return -ESPIPE;
	if (from_conn ? !!in_pos : !!out_pos)
		return -EINVAL;
	if (len > COUNT_MAX)
		len = COUNT_MAX;
	return from_conn ? conn_to_pipe(in, out, len, flags) : pipe_to_conn(in, out, len, flags);
}
