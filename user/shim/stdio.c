/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stdio.c - where libc reads and writes an fd without asking us.
 *
 * FILE streams call read and write inside libc, past any preloaded name. So a connection that is
 * about to get a stream goes back to Linux first:
 *  - fdopen, dprintf and their kin on it;
 *  - it becomes stdin, stdout or stderr, which have streams from the start: by dup2, or because a
 *    program was executed with it in that place (inetd, socat EXEC with nofork).
 */
#include <stdio.h>

#include "shim.h"

#define EXPORT	__attribute__((visibility("default")))
#define STREAMS	3			/* fds that have a stream by themselves */

void stdio_takes(int fd)
{
	struct conn *c = fd_ours(fd);

	if (c && !in_vfork_child())
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
