// SPDX-License-Identifier: BSD-2-Clause
/*
 * stranger.c - a connection that was accepted under `taspilot run` comes into other hands.
 *
 *	stranger accept=7000 raw		this program echoes, by raw system calls
 *	stranger accept=7000 uring		it makes an io_uring, then echoes by read and write
 *	stranger accept=7000 exec=read		it becomes a program without the shim, which echoes
 *	stranger accept=7000 pass=PATH		it passes the fd to who connects to that Unix socket
 *	stranger accept=7000 hold=FILE		it writes "PID FD" into that file and keeps the fd
 *	stranger take=PATH read|epoll		... and who echoes then, not under `taspilot run`
 *	stranger steal=FILE read|epoll
 *
 * Who accepts says one byte first, as bulk does. Who echoes ends at the end of the stream.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static char buf[65536];

static ssize_t raw_read(int fd, void *to, size_t n) { return syscall(SYS_read, fd, to, n); }
static ssize_t raw_write(int fd, const void *from, size_t n) { return syscall(SYS_write, fd, from, n); }

static ssize_t epoll_read(int fd, void *to, size_t n)
{
	static int ep = -1;
	struct epoll_event ev = { .events = EPOLLIN };

	if (ep < 0) {
		ep = epoll_create1(0);
		if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev))
			err(2, "epoll_ctl");
	}
	if (epoll_wait(ep, &ev, 1, -1) != 1)
		err(2, "epoll_wait");
	return read(fd, to, n);
}

static void echo(int fd, ssize_t (*in)(int, void *, size_t),
		 ssize_t (*out)(int, const void *, size_t))
{
	ssize_t n, put;

	while ((n = in(fd, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0; at < n; at += put) {
			put = out(fd, buf + at, (size_t)(n - at));
			if (put < 0)
				err(1, "write");
		}
	if (n < 0)
		err(1, "read");
	shutdown(fd, SHUT_WR);
}

static void echo_by(int fd, const char *how)
{
	echo(fd, strcmp(how, "epoll") ? read : epoll_read, write);
}

static int accept_on(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, conn;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (void *)&at, sizeof(at)) || listen(fd, 4))
		err(2, "listen");
	conn = accept(fd, NULL, NULL);
	if (conn < 0)
		err(2, "accept");
	close(fd);
	return conn;
}

static int unix_socket(const char *path, struct sockaddr_un *un)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	*un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strncpy(un->sun_path, path, sizeof(un->sun_path) - 1);
	return fd;
}

static void pass(int fd, const char *path)
{
	struct sockaddr_un un;
	int l = unix_socket(path, &un), to;
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = { buf, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl,
			    .msg_controllen = sizeof(ctl) };

	if (bind(l, (void *)&un, sizeof(un)) || listen(l, 1))
		err(2, "%s", path);
	ctl.align.cmsg_level = SOL_SOCKET;
	ctl.align.cmsg_type = SCM_RIGHTS;
	ctl.align.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&ctl.align), &fd, sizeof(fd));
	to = accept(l, NULL, NULL);
	if (to < 0 || sendmsg(to, &m, 0) != 1)
		err(2, "pass");
	while (read(to, buf, 1) > 0)
		;			/* it keeps the fd until the other has ended */
}

static int take(const char *path)
{
	struct sockaddr_un un;
	int s = unix_socket(path, &un), fd;
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = { buf, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl,
			    .msg_controllen = sizeof(ctl) };

	if (connect(s, (void *)&un, sizeof(un)) || recvmsg(s, &m, 0) != 1 || !CMSG_FIRSTHDR(&m))
		err(2, "take");
	memcpy(&fd, CMSG_DATA(&ctl.align), sizeof(fd));
	return fd;
}

static void hold(int fd, const char *file)
{
	FILE *f = fopen(file, "w");

	if (!f || fprintf(f, "%d %d\n", getpid(), fd) < 0 || fclose(f))
		err(2, "%s", file);
	pause();
}

static int steal(const char *file)
{
	FILE *f = fopen(file, "r");
	int pid, fd, pidfd;

	if (!f || fscanf(f, "%d %d", &pid, &fd) != 2)
		errx(2, "%s", file);
	fclose(f);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	if (fd < 0)
		err(2, "pidfd_getfd");
	return fd;
}

static void become(int fd, const char *how)
{
	char arg[32];

	snprintf(arg, sizeof(arg), "fd=%d", fd);
	unsetenv("LD_PRELOAD");
	execl("/proc/self/exe", "stranger", arg, how, (char *)NULL);
	err(2, "exec");
}

static void make_uring(void)
{
	struct io_uring_params p = { 0 };

	if (syscall(SYS_io_uring_setup, 4, &p) < 0)
		err(errno == ENOSYS || errno == EPERM ? 77 : 2, "io_uring_setup");
}

static void serve(int port, const char *how)
{
	const char *arg = strchr(how, '=');
	int fd = accept_on(port);

	arg = arg ? arg + 1 : "";
	if (write(fd, "!", 1) != 1)
		err(2, "write");
	if (!strcmp(how, "raw")) {
		echo(fd, raw_read, raw_write);
	} else if (!strcmp(how, "uring")) {
		make_uring();
		echo(fd, read, write);
	} else if (!strncmp(how, "exec=", 5)) {
		become(fd, arg);
	} else if (!strncmp(how, "pass=", 5)) {
		pass(fd, arg);
	} else if (!strncmp(how, "hold=", 5)) {
		hold(fd, arg);
	} else {
		errx(2, "%s: what is this?", how);
	}
}

int main(int argc, char **argv)
{
	const char *v = argc == 3 ? strchr(argv[1], '=') : NULL;

	if (!v)
		errx(2, "usage: stranger accept=PORT|take=PATH|steal=FILE HOW");
	v++;
	if (!strncmp(argv[1], "accept=", 7))
		serve(atoi(v), argv[2]);
	else if (!strncmp(argv[1], "take=", 5))
		echo_by(take(v), argv[2]);
	else if (!strncmp(argv[1], "steal=", 6))
		echo_by(steal(v), argv[2]);
	else if (!strncmp(argv[1], "fd=", 3))
		echo_by(atoi(v), argv[2]);
	return 0;
}
