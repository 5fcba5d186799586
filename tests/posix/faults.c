/* SPDX-License-Identifier: BSD-2-Clause
 *
 * faults.c - pointers to nowhere, and what fortified programs call.
 */
#include "posix.h"

#define NOWHERE	((void *)-4096L)

CASE(reading_to_nowhere_is_efault)
{
	struct iovec v = { NOWHERE, 5 }, n = { NULL, 5 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	peer(SEND, 20);
	await(s, POLLIN);
	show("read", read(s, NULL, 5));
	show("read", read(s, NOWHERE, 5));
	show("recv", recv(s, NULL, 5, 0));
	show("recvfrom", recvfrom(s, NULL, 5, 0, NULL, NULL));
	show("readv", readv(s, &n, 1));
	show("recvmsg", recvmsg(s, &m, 0));
	show("recvmsg", recvmsg(s, NULL, 0));
	take(s, 100, 0);
}

CASE(writing_from_nowhere_is_efault)
{
	struct iovec v = { NOWHERE, 5 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	show("write", write(s, NULL, 5));
	show("send", send(s, NOWHERE, 5, 0));
	show("writev", writev(s, &v, 1));
	show("sendmsg", sendmsg(s, &m, 0));
	show("sendmsg", sendmsg(s, NULL, 0));
	give(s, 5, 0);
	peer(RECV, 5);
}

CASE(vectors_at_nowhere_are_efault)
{
	struct msghdr m = { .msg_iov = NULL, .msg_iovlen = 1 };

	peer(SEND, 5);
	await(s, POLLIN);
	show("readv", readv(s, NULL, 1));
	show("writev", writev(s, NULL, 1));
	show("readv", readv(s, NOWHERE, 1));
	show("recvmsg", recvmsg(s, &m, 0));
	show("sendmsg", sendmsg(s, &m, 0));
	take(s, 10, 0);
}

CASE(options_at_nowhere_are_efault)
{
	int value = 1;
	socklen_t len = sizeof(value);

	show("setsockopt", setsockopt(s, IPPROTO_TCP, TCP_NODELAY, NULL, 4));
	show("getsockopt", getsockopt(s, IPPROTO_TCP, TCP_NODELAY, NULL, &len));
	show("getsockopt", getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, NULL));
	show("SO_ERROR", getsockopt(s, SOL_SOCKET, SO_ERROR, NULL, &len));
	show("SO_ERROR", getsockopt(s, SOL_SOCKET, SO_ERROR, &value, NULL));
	show("TCP_INFO", getsockopt(s, IPPROTO_TCP, TCP_INFO, NULL, &len));
	show("SO_RCVLOWAT", setsockopt(s, SOL_SOCKET, SO_RCVLOWAT, NULL, 4));
}

CASE(options_of_a_dead_connection_at_nowhere)
{
	int value = 1;
	socklen_t len = sizeof(value);

	peer(RESET, 0);
	await(s, POLLERR);
	show("SO_ERROR", getsockopt(s, SOL_SOCKET, SO_ERROR, NULL, &len));
	show("SO_ERROR", getsockopt(s, SOL_SOCKET, SO_ERROR, &value, NULL));
}

CASE(counts_at_nowhere_are_efault)
{
	show("FIONREAD", ioctl(s, FIONREAD, NULL));
	show("SIOCOUTQ", ioctl(s, SIOCOUTQ, NULL));
	show("SIOCOUTQNSD", ioctl(s, SIOCOUTQNSD, NOWHERE));
	show("FIONBIO", ioctl(s, FIONBIO, NULL));
	show("SIOCATMARK", ioctl(s, SIOCATMARK, NULL));
}

CASE(waiting_at_nowhere_is_efault)
{
	int ep = epoll_with(s, EPOLLIN);

	peer(SEND, 5);
	await(s, POLLIN);
	show("poll", poll(NULL, 1, 0));
	show("epoll_wait", epoll_wait(ep, NULL, 1, 0));
	show("epoll_ctl", epoll_ctl(ep, EPOLL_CTL_MOD, s, NULL));
	show("epoll_ctl", epoll_ctl(ep, EPOLL_CTL_DEL, s, NULL));
	show("epoll_ctl", epoll_ctl(ep, EPOLL_CTL_ADD, s, NULL));
	close(ep);
}

CASE(sendfile_at_nowhere_is_efault)
{
	int f = pattern_file(100);

	tx_pos = 0;
	show("sendfile", sendfile(s, f, NOWHERE, 10));
	show("sendfile", sendfile(s, f, &(off_t){ -1 }, 10));
	show("sendfile", sendfile(s, -1, NULL, 10));
	close(f);
}

CASE(sendfile_of_what_is_no_file)
{
	int p[2], w = open("/dev/null", O_WRONLY), z = open("/dev/zero", O_RDONLY), d = open("/", O_RDONLY);

	(void)!pipe(p);
	(void)!write(p[1], "hello", 5);
	show("a pipe", sendfile(s, p[0], NULL, 5));
	show("a pipe at an offset", sendfile(s, p[0], &(off_t){ 0 }, 5));
	show("write only", sendfile(s, w, NULL, 5));
	show("zeros", sendfile(s, z, NULL, 5));
	show("a directory", sendfile(s, d, NULL, 5));
	show("to a read end", sendfile(p[0], d, NULL, 5));
	close(p[0]);
	close(p[1]);
	close(w);
	close(z);
	close(d);
}

CASE(other_calls_on_files_refuse_a_socket)
{
	char b[8];
	struct iovec v = { b, 8 };
	int p[2];

	(void)!pipe(p);
	show("pread", pread(s, b, 8, 0));
	show("pwrite", pwrite(s, b, 8, 0));
	show("preadv", preadv(s, &v, 1, 0));
	show("pwritev", pwritev(s, &v, 1, 0));
	show("preadv2", preadv2(s, &v, 1, 0, 0));
	show("preadv2, nowait", preadv2(s, &v, 1, -1, RWF_NOWAIT));
	show("preadv2, unknown", preadv2(s, &v, 1, -1, 1 << 20));
	show("pwritev2, unknown", pwritev2(s, &v, 1, -1, 1 << 20));
	show("tee", tee(s, p[1], 5, 0));
	show("tee", tee(p[0], s, 5, 0));
	show("vmsplice", vmsplice(s, &v, 1, 0));
	show("copy_file_range", copy_file_range(s, NULL, p[1], NULL, 5, 0));
	show("copy_file_range", copy_file_range(p[0], NULL, s, NULL, 5, 0));
	show("splice to itself", splice(s, NULL, s, NULL, 5, 0));
	show("mmap", mmap(NULL, 4096, PROT_READ, MAP_SHARED, s, 0) == MAP_FAILED ? -1 : 0);
	show("readahead", readahead(s, 0, 10));
	close(p[0]);
	close(p[1]);
}

CASE(pwritev2_with_flags_writes)
{
	unsigned char b[30];
	struct iovec v = { b, 10 };

	fill(b, 10, &tx_pos);
	show("pwritev2", pwritev2(s, &v, 1, -1, RWF_NOWAIT));
	fill(b, 10, &tx_pos);
	show("pwritev2", pwritev2(s, &v, 1, -1, RWF_DSYNC));
	fill(b, 10, &tx_pos);
	show("pwritev2", pwritev2(s, &v, 1, -1, RWF_HIPRI));
	peer(RECV, 30);
	peer(SEND, 10);
	await(s, POLLIN);
	show("preadv2", preadv2(s, &v, 1, -1, RWF_NOWAIT));
	say("%s", right(b, 10, &rx_pos) ? "right" : "wrong");
}

/* ---- fortified ------------------------------------------------------------------------- */

ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags, struct sockaddr *addr,
		       socklen_t *len);
int __poll_chk(struct pollfd *fds, nfds_t n, int ms, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *limit, const sigset_t *mask,
		size_t room);
long __fdelt_chk(long d);

CASE(the_checked_calls_do_the_same)
{
	struct pollfd p = { .fd = s, .events = POLLIN };
	unsigned char b[10];

	peer(SEND, 30);
	show("__poll_chk", __poll_chk(&p, 1, 30000, sizeof(p)));
	show("__ppoll_chk", __ppoll_chk(&p, 1, NULL, NULL, sizeof(p)));
	await(s, POLLIN);
	show("__read_chk", __read_chk(s, b, 10, 10));
	say("%s", right(b, 10, &rx_pos) ? "right" : "wrong");
	show("__recv_chk", __recv_chk(s, b, 10, 10, 0));
	say("%s", right(b, 10, &rx_pos) ? "right" : "wrong");
	show("__recvfrom_chk", __recvfrom_chk(s, b, 10, 10, 0, NULL, NULL));
	say("%s", right(b, 10, &rx_pos) ? "right" : "wrong");
	show("__recv_chk", __recv_chk(s, b, 10, 10, MSG_DONTWAIT));
}

static void dies(int which, int s)
{
	struct pollfd p[2] = { { s, POLLIN, 0 }, { s, POLLIN, 0 } };
	char b[10];
	int status;

	fflush(stdout);
	if (fork() == 0) {
		dup2(open("/dev/null", O_WRONLY), 2);
		if (which == 0)
			(void)!__read_chk(s, b, 11, 10);
		else if (which == 1)
			(void)!__recv_chk(s, b, 11, 10, MSG_DONTWAIT);
		else if (which == 2)
			(void)!__recvfrom_chk(s, b, 11, 10, MSG_DONTWAIT, NULL, NULL);
		else if (which == 3)
			__poll_chk(p, 2, 0, sizeof(p[0]));
		else
			__ppoll_chk(p, 2, &(struct timespec){ 0, 0 }, NULL, sizeof(p[0]));
		_exit(0);
	}
	wait(&status);
	say("%d: killed by %d", which, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

CASE(the_checked_calls_stop_an_overflow)
{
	for (int i = 0; i < 5; i++)
		dies(i, s);
}
