/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bytes.c - reading and writing: amounts, flags, order, the end of a stream.
 */
#include "posix.h"

CASE(a_read_takes_what_is_there)
{
	peer(SEND, 10);
	await(s, POLLIN);
	take(s, 100, 0);
}

CASE(a_read_of_less_leaves_the_rest)
{
	peer(SEND, 10);
	await(s, POLLIN);
	take(s, 4, 0);
	take(s, 100, 0);
}

CASE(peeking_consumes_nothing)
{
	peer(SEND, 10);
	await(s, POLLIN);
	take(s, 4, MSG_PEEK);
	take(s, 100, MSG_PEEK);
	take(s, 100, 0);
}

CASE(dontwait_says_eagain)
{
	take(s, 100, MSG_DONTWAIT);
	take(s, 100, MSG_DONTWAIT | MSG_PEEK);
	take(s, 0, MSG_DONTWAIT);
}

CASE(nonblocking_says_eagain)
{
	nonblock(s);
	take(s, 100, 0);
	show("read", read(s, &(char){ 0 }, 1));
	show("readv", readv(s, &(struct iovec){ &(char){ 0 }, 1 }, 1));
	show("recvmsg", recvmsg(s, &(struct msghdr){ .msg_iov = &(struct iovec){ &(char){ 0 }, 1 },
						     .msg_iovlen = 1 }, 0));
}

CASE(fionbio_switches_blocking)
{
	int on = 1;

	show("ioctl", ioctl(s, FIONBIO, &on));
	take(s, 10, 0);
	say("O_NONBLOCK %d", !!(fcntl(s, F_GETFL) & O_NONBLOCK));
	on = 0;
	ioctl(s, FIONBIO, &on);
	later(SHORT_MS, SEND, 5);
	take(s, 10, 0);
}

CASE(a_read_of_nothing_returns_at_once)
{
	show("read", read(s, NULL, 0));
}

CASE(a_recv_of_nothing_waits_for_something)
{
	later(SHORT_MS, SEND, 3);
	take(s, 0, 0);
	take(s, 10, 0);
}

CASE(a_blocked_read_wakes_for_data)
{
	later(SHORT_MS, SEND, 7);
	take(s, 100, 0);
}

CASE(a_blocked_read_wakes_for_eof)
{
	later(SHORT_MS, SHUT_WRITE, 0);
	take(s, 100, 0);
	take(s, 100, 0);
}

CASE(a_blocked_read_wakes_for_reset)
{
	later(SHORT_MS, RESET, 0);
	take(s, 100, 0);
	take(s, 100, 0);
}

CASE(waitall_waits_for_all)
{
	peer(SEND, 10);
	later(SHORT_MS, SEND, 10);
	take(s, 20, MSG_WAITALL);
}

CASE(waitall_ends_at_eof)
{
	peer(SEND, 10);
	later(SHORT_MS, SHUT_WRITE, 0);
	take(s, 20, MSG_WAITALL);
	take(s, 20, 0);
}

CASE(a_timeout_returns_what_came)
{
	peer(SEND, 10);
	set_timeo(s, SO_RCVTIMEO, SHORT_MS);
	take(s, 20, MSG_WAITALL);
	peer(SEND, 10);
	set_int(s, SOL_SOCKET, SO_RCVLOWAT, 15);
	take(s, 20, 0);
	peer(SEND, 10);
	take(s, 20, MSG_WAITALL | MSG_PEEK);
	take(s, 5, 0);
	take(s, 20, 0);
}

CASE(a_send_timeout_returns_what_was_sent)
{
	static unsigned char b[64 << 20];
	ssize_t n;

	set_timeo(s, SO_SNDTIMEO, FULL_MS);
	n = write(s, b, sizeof(b));
	say("some %d", n > 0 && n < (ssize_t)sizeof(b));
	do {			/* room that came of what was on its way */
		n = write(s, b, 1);
	} while (n == 1);
	show("then", n);
}

CASE(a_write_of_nothing_after_shutdown)
{
	signal(SIGPIPE, SIG_IGN);
	shutdown(s, SHUT_WR);
	show("write", write(s, "", 0));
	show("send", send(s, "", 0, 0));
	show("writev", writev(s, NULL, 0));
}

#define KEEPS(call) do {						\
	errno = 4321;							\
	if ((call) >= 0 && errno != 4321)				\
		say("%s: %s", #call, err_name(errno));			\
} while (0)

CASE(what_succeeds_leaves_errno_alone)
{
	struct pollfd p = { .events = POLLIN | POLLOUT };
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT };
	int f = pattern_file(10), port, l, c, ep, on = 1, pipes[2];
	char b[10];
	socklen_t len = sizeof(on);
	off_t pos = 0;
	fd_set r;

	if (pipe(pipes) < 0)
		return;
	l = listen_on(NULL, &port);
	peer(CONNECT, port);
	KEEPS(c = accept(l, NULL, NULL));
	p.fd = c;
	KEEPS(ep = epoll_create1(0));
	KEEPS(epoll_ctl(ep, EPOLL_CTL_ADD, c, &e));
	KEEPS(epoll_wait(ep, &e, 1, -1));
	KEEPS(epoll_ctl(ep, EPOLL_CTL_MOD, c, &e));
	KEEPS(poll(&p, 1, -1));
	FD_ZERO(&r);
	FD_SET(c, &r);
	KEEPS(select(c + 1, NULL, &r, NULL, NULL));
	KEEPS(write(c, "1234567890", 10));
	KEEPS(sendfile(c, f, &pos, 10));
	peer(SEND, 10);
	later(SHORT_MS, SEND, 10);
	KEEPS(recv(c, b, 10, MSG_WAITALL));
	KEEPS(recv(c, b, 5, MSG_WAITALL));
	later(SHORT_MS, SEND, 10);
	p.events = POLLIN;
	KEEPS(poll(&p, 1, 30000));
	KEEPS(splice(c, NULL, pipes[1], NULL, 5, 0));
	KEEPS(ioctl(c, FIONREAD, &on));
	KEEPS(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
	KEEPS(getsockopt(c, SOL_SOCKET, SO_ERROR, &on, &len));
	KEEPS(fcntl(c, F_SETFL, O_NONBLOCK));
	KEEPS(poll(&p, 1, 0));
	KEEPS(shutdown(c, SHUT_WR));
	KEEPS(on = dup(c));
	KEEPS(dup2(c, on));
	KEEPS(close(on));
	KEEPS(epoll_ctl(ep, EPOLL_CTL_DEL, c, &e));
	KEEPS(close(c));
	KEEPS(close(ep));
	KEEPS(on = socket(AF_INET, SOCK_STREAM, 0));
	KEEPS(close(l));
	say("done");
}

CASE(waitall_with_peek_waits)
{
	peer(SEND, 10);
	later(SHORT_MS, SEND, 10);
	take(s, 20, MSG_WAITALL | MSG_PEEK);
	take(s, 20, 0);
}

CASE(waitall_with_dontwait_does_not)
{
	peer(SEND, 10);
	await(s, POLLIN);
	take(s, 20, MSG_WAITALL | MSG_DONTWAIT);
}

CASE(trunc_discards)
{
	peer(SEND, 10);
	await(s, POLLIN);
	show("recv", recv(s, NULL, 6, MSG_TRUNC));
	rx_pos += 6;
	take(s, 100, 0);
}

CASE(lowat_counts_for_poll)
{
	int low = 10;

	setsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
	peer(SEND, 9);
	do_poll(s, POLLIN, SHORT_MS);
	peer(SEND, 1);
	do_poll(s, POLLIN, 30000);
	take(s, 5, 0);
	do_poll(s, POLLIN, 0);
	low = 1;
	setsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
	do_poll(s, POLLIN, 0);
}

CASE(receive_timeout_says_eagain)
{
	set_timeo(s, SO_RCVTIMEO, SHORT_MS);
	take(s, 100, 0);
	peer(SEND, 5);
	await(s, POLLIN);
	take(s, 100, MSG_WAITALL);
}

CASE(send_timeout_ends_a_blocked_write)
{
	stuff(s);
	set_timeo(s, SO_SNDTIMEO, SHORT_MS);
	show("send", send(s, "x", 1, 0));
}

CASE(a_signal_interrupts_a_read)
{
	handle(SIGALRM, 0);
	alarm_ms(SHORT_MS);
	take(s, 10, 0);
	say("signals %d", (int)signals);
}

CASE(sa_restart_restarts_a_read)
{
	handle(SIGALRM, SA_RESTART);
	alarm_ms(SHORT_MS);
	later(3 * SHORT_MS, SEND, 5);
	take(s, 10, 0);
	say("signals %d", (int)signals);
}

CASE(sa_restart_does_not_restart_a_timed_read)
{
	handle(SIGALRM, SA_RESTART);
	set_timeo(s, SO_RCVTIMEO, 30000);
	alarm_ms(SHORT_MS);
	take(s, 10, 0);
}

CASE(a_signal_interrupts_poll_select_epoll)
{
	int ep = epoll_with(s, EPOLLIN);
	fd_set r;

	handle(SIGALRM, SA_RESTART);
	alarm_ms(SHORT_MS);
	do_poll(s, POLLIN, 30000);
	alarm_ms(SHORT_MS);
	FD_ZERO(&r);
	FD_SET(s, &r);
	show("select", select(s + 1, &r, NULL, NULL, &(struct timeval){ 30, 0 }));
	alarm_ms(SHORT_MS);
	do_epoll(ep, 30000);
	close(ep);
}

CASE(ppoll_lets_a_blocked_signal_in)
{
	struct pollfd p = { .fd = s, .events = POLLIN };
	sigset_t block, none;

	handle(SIGUSR1, 0);
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	show("ppoll", ppoll(&p, 1, &(struct timespec){ 30, 0 }, &none));
	say("signals %d", (int)signals);
	sigprocmask(SIG_UNBLOCK, &block, NULL);
}

CASE(epoll_pwait_lets_a_blocked_signal_in)
{
	int ep = epoll_with(s, EPOLLIN);
	struct epoll_event e;
	sigset_t block, none;

	handle(SIGUSR1, 0);
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	show("epoll_pwait", epoll_pwait(ep, &e, 1, 30000, &none));
	say("signals %d", (int)signals);
	sigprocmask(SIG_UNBLOCK, &block, NULL);
	close(ep);
}

CASE(writes_arrive)
{
	give(s, 10, 0);
	peer(RECV, 10);
}

CASE(writes_of_all_kinds_arrive_in_order)
{
	unsigned char b[60];
	uint64_t pos = tx_pos;
	struct iovec v[3] = { { b + 10, 5 }, { NULL, 0 }, { b + 15, 5 } };
	struct msghdr m = { .msg_iov = &(struct iovec){ b + 20, 10 }, .msg_iovlen = 1 };
	struct mmsghdr mm[2] = {
		{ .msg_hdr = { .msg_iov = &(struct iovec){ b + 30, 10 }, .msg_iovlen = 1 } },
		{ .msg_hdr = { .msg_iov = &(struct iovec){ b + 40, 10 }, .msg_iovlen = 1 } },
	};

	fill(b, sizeof(b), &pos);
	show("write", write(s, b, 10));
	show("writev", writev(s, v, 3));
	show("sendmsg", sendmsg(s, &m, 0));
	show("sendmmsg", sendmmsg(s, mm, 2, 0));
	say("lengths %u %u", mm[0].msg_len, mm[1].msg_len);
	show("sendto", sendto(s, b + 50, 10, 0, NULL, 0));
	peer(RECV, 60);
}

CASE(reads_of_all_kinds_take_in_order)
{
	unsigned char b[60] = { 0 };
	struct iovec v[2] = { { b + 10, 5 }, { b + 15, 5 } };
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	struct msghdr m = { .msg_iov = &(struct iovec){ b + 20, 10 }, .msg_iovlen = 1,
			    .msg_name = &from, .msg_namelen = sizeof(from) };
	struct mmsghdr mm[2] = {
		{ .msg_hdr = { .msg_iov = &(struct iovec){ b + 30, 10 }, .msg_iovlen = 1 } },
		{ .msg_hdr = { .msg_iov = &(struct iovec){ b + 40, 10 }, .msg_iovlen = 1 } },
	};
	int left;

	peer(SEND, 60);
	do {
		await(s, POLLIN);
	} while (ioctl(s, FIONREAD, &left) == 0 && left < 60);
	show("read", read(s, b, 10));
	show("readv", readv(s, v, 2));
	show("recvmsg", recvmsg(s, &m, 0));
	say("name %u, flags %d", m.msg_namelen, m.msg_flags);
	show("recvmmsg", recvmmsg(s, mm, 2, 0, NULL));
	say("lengths %u %u", mm[0].msg_len, mm[1].msg_len);
	show("recvfrom", recvfrom(s, b + 50, 10, 0, (struct sockaddr *)&from, &len));
	say("name %u, bytes %s", len, right(b, 60, &rx_pos) ? "right" : "wrong");
}

CASE(positions_make_no_sense_here)
{
	char b[4];
	struct iovec v = { b, 4 };

	show("pread", pread(s, b, 4, 0));
	show("pwrite", pwrite(s, b, 4, 0));
	show("preadv", preadv(s, &v, 1, 0));
	show("lseek", lseek(s, 0, SEEK_CUR));
	peer(SEND, 4);
	await(s, POLLIN);
	show("preadv2 -1", preadv2(s, &v, 1, -1, 0));
}

/* What programs with large files call. */
CASE(vectors_of_large_files_go_to_the_stream)
{
	char b[4];
	struct iovec v = { b, 4 };

	show("preadv64v2", preadv64v2(s, &v, 1, 0, 0));
	peer(SEND, 4);
	await(s, POLLIN);
	show("preadv64v2", preadv64v2(s, &v, 1, -1, 0));
	give(s, 5, 0);
	v.iov_base = (char[4]){ (char)pattern(5), (char)pattern(6), (char)pattern(7), (char)pattern(8) };
	show("pwritev64v2", pwritev64v2(s, &v, 1, -1, 0));
	peer(RECV, 9);
}

CASE(a_write_of_nothing_is_nothing)
{
	give(s, 0, 0);
	show("write", write(s, "", 0));
}

CASE(a_full_pipe_says_eagain_and_drains)
{
	stuff(s);
	do_poll(s, POLLOUT, 0);
	later(1, RECV, (int)tx_pos);
	await(s, POLLOUT);
	do_poll(s, POLLOUT, 0);
}

CASE(a_blocked_write_goes_on_when_the_peer_reads)
{
	later(SHORT_MS, RECV, 8 * BIG);
	for (int i = 0; i < 8; i++)
		give(s, BIG, 0);
	peer(SEND, 1);
	take(s, 1, 0);
}

CASE(megabytes_both_ways_are_right)
{
	later(1, SEND, 8 * BIG);
	take_all(s, 8 * BIG);
	later(1, RECV, 3 * BIG);
	give(s, BIG, 0);
	give(s, BIG, 0);
	give(s, BIG, 0);
	peer(SEND, 1);
	take(s, 1, 0);
}

CASE(more_holds_a_partial_segment_back)
{
	give(s, 10, MSG_MORE);
	give(s, 10, 0);
	peer(RECV, 20);
}

CASE(cork_holds_back_until_pulled)
{
	int on = 1;

	setsockopt(s, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	give(s, 10, 0);
	give(s, 10, 0);
	on = 0;
	setsockopt(s, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	peer(RECV, 20);
}

CASE(eof_after_data)
{
	peer(SEND, 10);
	peer(SHUT_WRITE, 0);
	await(s, POLLRDHUP);
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	take(s, 100, 0);
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	take(s, 100, 0);
	take(s, 100, 0);
}

static void tcp_state(int s)
{
	say("state %d", get_int(s, IPPROTO_TCP, TCP_INFO) & 0xff);
}

CASE(the_peers_fin_shows_before_the_bytes_that_came_first_are_read)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLRDHUP | EPOLLET), n = 0;

	peer(SEND, 10);
	peer(SHUT_WRITE, 0);
	await(s, POLLRDHUP);
	tcp_state(s);
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	do_epoll(ep, 0);
	do_epoll(ep, 0);
	show("FIONREAD", ioctl(s, FIONREAD, &n));
	say("%d bytes", n);
	take(s, 9, 0);
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	give(s, 10, 0);
	peer(RECV, 10);
	take(s, 1, 0);
	tcp_state(s);
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	give(s, 10, 0);
	peer(RECV, 10);
	take(s, 1, 0);
	close(ep);
}

CASE(shutdown_with_bytes_unread_after_the_peers_fin)
{
	peer(SEND, 10);
	peer(SHUT_WRITE, 0);
	await(s, POLLRDHUP);
	show("shutdown", shutdown(s, SHUT_WR));
	peer(EXPECT_EOF, 0);
	await(s, POLLHUP);
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	take(s, 10, 0);
	take(s, 10, 0);
}

CASE(writing_to_a_closed_peer_with_its_last_bytes_unread)
{
	handle(SIGPIPE, 0);
	peer(SEND, 10);
	peer(CLOSE, 0);
	await(s, POLLRDHUP);
	give(s, 10, 0);
	await(s, POLLHUP);
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	take(s, 4, 0);
	show("send", send(s, "x", 1, 0));
	say("signals %d", (int)signals);
	take(s, 10, 0);
	take(s, 10, 0);
}

CASE(writing_after_the_peers_eof_works)
{
	peer(SHUT_WRITE, 0);
	await(s, POLLRDHUP);
	give(s, 10, 0);
	peer(RECV, 10);
	take(s, 10, 0);
}

CASE(writing_to_a_closed_peer_ends_in_epipe)
{
	handle(SIGPIPE, 0);
	peer(CLOSE, 0);
	await(s, POLLRDHUP);
	give(s, 10, 0);
	await(s, POLLHUP);
	show("send", send(s, "x", 1, 0));
	say("signals %d", (int)signals);
	show("send", send(s, "x", 1, MSG_NOSIGNAL));
	say("signals %d", (int)signals);
}

CASE(shutdown_write_says_eof_to_the_peer)
{
	give(s, 10, 0);
	show("shutdown", shutdown(s, SHUT_WR));
	peer(RECV, 10);
	peer(EXPECT_EOF, 0);
	peer(SEND, 5);
	await(s, POLLIN);
	take(s, 100, 0);
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
}

CASE(writing_after_shutdown_is_epipe)
{
	handle(SIGPIPE, 0);
	shutdown(s, SHUT_WR);
	give(s, 10, 0);
	say("signals %d", (int)signals);
	give(s, 10, MSG_NOSIGNAL);
	show("write", write(s, "", 0));
	show("writev", writev(s, &(struct iovec){ "x", 1 }, 1));
	say("signals %d", (int)signals);
}

CASE(shutdown_read_is_eof_here)
{
	show("shutdown", shutdown(s, SHUT_RD));
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	take(s, 10, 0);
	give(s, 10, 0);
	peer(RECV, 10);
}

CASE(shutdown_read_leaves_what_was_there)
{
	peer(SEND, 10);
	await(s, POLLIN);
	shutdown(s, SHUT_RD);
	take(s, 4, 0);
	take(s, 100, 0);
	take(s, 100, 0);
}

CASE(shutdown_both)
{
	show("shutdown", shutdown(s, SHUT_RDWR));
	take(s, 10, 0);
	give(s, 10, MSG_NOSIGNAL);
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	peer(EXPECT_EOF, 0);
}

CASE(shutdown_of_nonsense_is_einval)
{
	show("shutdown", shutdown(s, 17));
	give(s, 1, 0);
	peer(RECV, 1);
}

CASE(a_reset_is_reported_once)
{
	peer(RESET, 0);
	await(s, POLLHUP);
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	take(s, 10, 0);
	take(s, 10, 0);
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	give(s, 10, MSG_NOSIGNAL);
}

CASE(a_reset_meets_the_writer)
{
	peer(RESET, 0);
	await(s, POLLHUP);
	give(s, 10, MSG_NOSIGNAL);
	give(s, 10, MSG_NOSIGNAL);
	take(s, 10, 0);
}

CASE(a_reset_shows_in_so_error)
{
	int err = -1;
	socklen_t len = sizeof(err);

	peer(RESET, 0);
	await(s, POLLHUP);
	getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &len);
	say("SO_ERROR %s", err_name(err));
	getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &len);
	say("SO_ERROR %s", err_name(err));
	take(s, 10, 0);
	give(s, 10, MSG_NOSIGNAL);
}

CASE(fionread_counts)
{
	int n = -1;

	show("ioctl", ioctl(s, FIONREAD, &n));
	say("%d", n);
	peer(SEND, 10);
	await(s, POLLIN);
	ioctl(s, FIONREAD, &n);
	say("%d", n);
	take(s, 4, 0);
	ioctl(s, FIONREAD, &n);
	say("%d", n);
	take(s, 10, 0);
	ioctl(s, FIONREAD, &n);
	say("%d", n);
}

CASE(outq_empties)
{
	int n = -1;

	give(s, 10, 0);
	peer(RECV, 10);
	for (int i = 0; i < 3000 && ioctl(s, SIOCOUTQ, &n) == 0 && n; i++)
		sleep_ms(10);
	say("SIOCOUTQ %d", n);
	ioctl(s, SIOCOUTQNSD, &n);
	say("SIOCOUTQNSD %d", n);
}

CASE(options_are_linuxs)
{
	int v = 0, on = 1;
	socklen_t len = sizeof(v);
	struct tcp_info info;

	show("set", setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
	getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, &len);
	say("TCP_NODELAY %d", v);
	len = sizeof(v);
	getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &len);
	say("SO_TYPE %d", v);
	getsockopt(s, SOL_SOCKET, SO_ACCEPTCONN, &v, &len);
	say("SO_ACCEPTCONN %d", v);
	getsockopt(s, SOL_SOCKET, SO_ERROR, &v, &len);
	say("SO_ERROR %d", v);
	show("unknown", getsockopt(s, IPPROTO_TCP, 9999, &v, &len));
	len = sizeof(info);
	show("info", getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &len));
	say("state %d", info.tcpi_state);
}

CASE(names_are_linuxs)
{
	struct sockaddr_in a = { 0 }, b = { 0 };
	socklen_t la = sizeof(a), lb = sizeof(b);

	show("getsockname", getsockname(s, (struct sockaddr *)&a, &la));
	show("getpeername", getpeername(s, (struct sockaddr *)&b, &lb));
	say("ours %s, peer's address %s", ntohs(a.sin_port) == listen_port ? "right" : "wrong",
	    b.sin_addr.s_addr == inet_addr(peer_addr) ? "right" : "wrong");
	show("connect", connect(s, (struct sockaddr *)&b, sizeof(b)));
	show("listen", listen(s, 1));
	show("accept", accept(s, NULL, NULL));
}

CASE(out_of_band_nothing)
{
	char c;

	show("recv", recv(s, &c, 1, MSG_OOB));
}
