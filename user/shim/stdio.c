/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stdio.c - where libc reads and writes an fd without asking us.
 *
 * FILE streams, and the threads that do what aio_read() asks for, call read and write inside libc, past any
 * preloaded name. So a connection that is about to be used by them goes back to Linux first, or stays there
 * for good if it is not ours yet:
 *  - fdopen, dprintf and their kin on it;
 *  - aio_read, aio_write, lio_listio;
 *  - it becomes stdin, stdout or stderr, which have streams from the start: by dup2; because that number
 *    was free (close(0), then dup or accept); or because a program was executed with it in that place
 *    (inetd, socat EXEC with nofork).
 */
#include <stdio.h>

#include "shim.h"

#define EXPORT	__attribute__((visibility("default")))
#define STREAMS	3			/* fds that have a stream by themselves */

void stdio_takes(int fd)
{
	struct conn *c = fd_conn(fd);

	if (c && !in_vfork_child() && !conn_stays(fd, c) && conn_ours(fd, c))
		conn_leave(fd, c);
}

/* @fd got its number just now. */
void stdio_look_at(int fd)
{
	if (fd >= 0 && fd < STREAMS)
		stdio_takes(fd);
}

EXPORT FILE *fdopen(int fd, const char *mode)
{
	stdio_takes(fd);
	return libc()->fdopen(fd, mode);
}

EXPORT int vdprintf(int fd, const char *fmt, va_list ap)
{
	stdio_takes(fd);
	return libc()->vdprintf(fd, fmt, ap);
}

EXPORT int dprintf(int fd, const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = vdprintf(fd, fmt, ap);
	va_end(ap);
	return ret;
}

/* What fortified programs call. */
EXPORT int __vdprintf_chk(int fd, int flag, const char *fmt, va_list ap);
EXPORT int __vdprintf_chk(int fd, int flag, const char *fmt, va_list ap)
{
	stdio_takes(fd);
	return libc()->__vdprintf_chk(fd, flag, fmt, ap);
}

EXPORT int __dprintf_chk(int fd, int flag, const char *fmt, ...);
EXPORT int __dprintf_chk(int fd, int flag, const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = __vdprintf_chk(fd, flag, fmt, ap);
	va_end(ap);
	return ret;
}

EXPORT int aio_read(struct aiocb *cb)
{
	stdio_takes(cb->aio_fildes);
	return libc()->aio_read(cb);
}

EXPORT int aio_write(struct aiocb *cb)
{
	stdio_takes(cb->aio_fildes);
	return libc()->aio_write(cb);
}

EXPORT int lio_listio(int mode, struct aiocb *const list[], int n, struct sigevent *when)
{
	for (int i = 0; i < n; i++)
		if (list[i] && list[i]->aio_lio_opcode != LIO_NOP)
			stdio_takes(list[i]->aio_fildes);
	return libc()->lio_listio(mode, list, n, when);
}

/* What programs with large files call: their struct is the same. */
EXPORT int aio_read64(struct aiocb64 *cb) __attribute__((alias("aio_read")));
EXPORT int aio_write64(struct aiocb64 *cb) __attribute__((alias("aio_write")));
EXPORT int lio_listio64(int mode, struct aiocb64 *const list[], int n, struct sigevent *when)
	__attribute__((alias("lio_listio")));
