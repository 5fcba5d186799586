/* SPDX-License-Identifier: BSD-2-Clause
 *
 * messages.c - recvmsg, sendmsg and their batches; flags; urgent data; the error queue.
 */
#include "posix.h"

#include <linux/errqueue.h>

static unsigned char in[8][4096];

static struct mmsghdr *batch(unsigned int n, size_t len)
{
	static struct mmsghdr m[8];
	static struct iovec v[8];

	for (unsigned int i = 0; i < n; i++) {
		v[i] = (struct iovec){ in[i], len };
		m[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &v[i], .msg_iovlen = 1 } };
	}
	return m;
}

static void show_batch(const char *what, int n, const struct mmsghdr *m)
{
	show(what, n);
	for (int i = 0; i < n; i++)
		say("  %u bytes, flags %#x, %s", m[i].msg_len, (unsigned int)m[i].msg_hdr.msg_flags,
		    right(in[i], m[i].msg_len, &rx_pos) ? "right" : "wrong");
}

CASE(recvmmsg_fills_one_message_after_the_other)
{
	struct mmsghdr *m = batch(3, 10);

	peer(SEND, 30);
	await(s, POLLIN);
	show_batch("recvmmsg", recvmmsg(s, m, 3, 0, NULL), m);
}

CASE(recvmmsg_without_blocking_takes_what_is_there)
{
	struct mmsghdr *m = batch(4, 10);

	peer(SEND, 25);
	await(s, POLLIN);
	show_batch("recvmmsg", recvmmsg(s, m, 4, MSG_DONTWAIT, NULL), m);
	show_batch("recvmmsg", recvmmsg(s, m, 4, MSG_DONTWAIT, NULL), m);
}

CASE(recvmmsg_waits_for_one_only_if_asked)
{
	struct mmsghdr *m = batch(4, 10);

	later(SHORT_MS, SEND, 10);
	show_batch("recvmmsg", recvmmsg(s, m, 4, MSG_WAITFORONE, NULL), m);
}

CASE(recvmmsg_of_no_messages_is_nothing)
{
	show("recvmmsg", recvmmsg(s, batch(1, 10), 0, 0, NULL));
}

CASE(recvmmsg_ends_at_eof)
{
	struct mmsghdr *m = batch(3, 10);

	peer(SEND, 10);
	peer(SHUT_WRITE, 0);
	await(s, POLLIN | POLLRDHUP);
	show_batch("recvmmsg", recvmmsg(s, m, 1, 0, NULL), m);
	show_batch("recvmmsg", recvmmsg(s, m, 1, 0, NULL), m);
}

CASE(recvmmsg_of_a_bad_time_is_einval)
{
	struct timespec bad = { -1, 0 };

	show("recvmmsg", recvmmsg(s, batch(1, 10), 1, MSG_DONTWAIT, &bad));
}

CASE(sendmmsg_sends_all)
{
	struct mmsghdr *m = batch(4, 1000);

	for (int i = 0; i < 4; i++)
		fill(in[i], 1000, &tx_pos);
	show("sendmmsg", sendmmsg(s, m, 4, 0));
	for (int i = 0; i < 4; i++)
		say("  %u", m[i].msg_len);
	peer(RECV, 4000);
	show("sendmmsg", sendmmsg(s, m, 0, 0));
}

CASE(sendmmsg_to_a_closed_end_is_epipe)
{
	struct mmsghdr *m = batch(2, 10);

	shutdown(s, SHUT_WR);
	show("sendmmsg", sendmmsg(s, m, 2, MSG_NOSIGNAL));
}

CASE(recvmsg_says_no_name_and_no_control)
{
	struct sockaddr_in sa;
	char control[256];
	struct msghdr m = {
		.msg_iov = &(struct iovec){ in[0], 10 }, .msg_iovlen = 1,
		.msg_name = &sa, .msg_namelen = sizeof(sa),
		.msg_control = control, .msg_controllen = sizeof(control), .msg_flags = 77,
	};

	peer(SEND, 10);
	await(s, POLLIN);
	show("recvmsg", recvmsg(s, &m, 0));
	say("name %u, control %zu, flags %#x", m.msg_namelen, m.msg_controllen, (unsigned int)m.msg_flags);
	show("recvmsg", recvmsg(s, &m, MSG_DONTWAIT));
	peer(SEND, 10);
	await(s, POLLIN);
	show("recvmsg", recvmsg(s, &m, MSG_CMSG_CLOEXEC));
	say("flags %#x", (unsigned int)m.msg_flags);
}

CASE(recvmsg_without_room_waits_and_takes_nothing)
{
	struct msghdr m = { .msg_iov = NULL, .msg_iovlen = 0 };

	peer(SEND, 10);
	await(s, POLLIN);
	show("recvmsg", recvmsg(s, &m, 0));
	take(s, 10, 0);
	show("recvmsg", recvmsg(s, &m, MSG_DONTWAIT));
}

CASE(a_vector_that_is_too_long_is_refused)
{
	static struct iovec v[1025];
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 1025 };

	show("recvmsg", recvmsg(s, &m, MSG_DONTWAIT));
	show("sendmsg", sendmsg(s, &m, MSG_DONTWAIT));
	show("readv", readv(s, v, 1025));
	show("writev", writev(s, v, 1025));
	show("readv", readv(s, v, -1));
	show("writev", writev(s, v, -1));
}

CASE(a_piece_of_negative_length_is_einval)
{
	struct iovec v[2] = { { in[0], 10 }, { in[1], (size_t)-1 } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };

	peer(SEND, 10);
	await(s, POLLIN);
	show("readv", readv(s, v, 2));
	show("writev", writev(s, v, 2));
	show("recvmsg", recvmsg(s, &m, MSG_DONTWAIT));
	show("sendmsg", sendmsg(s, &m, MSG_DONTWAIT));
	take(s, 10, 0);
}

CASE(vectors_of_nothing_are_nothing)
{
	struct iovec v[3] = { { NULL, 0 }, { in[0], 0 }, { NULL, 0 } };

	show("readv", readv(s, v, 0));
	show("writev", writev(s, v, 0));
	show("writev", writev(s, v, 3));
	show("readv", readv(s, v, 3));
	show("recv", recv(s, NULL, 0, MSG_DONTWAIT));
}

CASE(a_vector_with_holes_is_filled)
{
	struct iovec v[4] = { { in[0], 3 }, { NULL, 0 }, { in[1], 0 }, { in[2], 7 } };

	peer(SEND, 10);
	await(s, POLLIN);
	show("readv", readv(s, v, 4));
	say("%s", right(in[0], 3, &rx_pos) && right(in[2], 7, &rx_pos) ? "right" : "wrong");
}

CASE(recvfrom_gives_no_address)
{
	struct sockaddr_in sa = { .sin_family = 1234 };
	socklen_t len = sizeof(sa);

	peer(SEND, 10);
	await(s, POLLIN);
	show("recvfrom", recvfrom(s, in[0], 10, 0, (struct sockaddr *)&sa, &len));
	say("length %u, family %d", len, sa.sin_family);
}

CASE(sendto_with_an_address_goes_to_the_peer)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(9) };

	fill(in[0], 10, &tx_pos);
	show("sendto", sendto(s, in[0], 10, 0, (struct sockaddr *)&sa, sizeof(sa)));
	peer(RECV, 10);
}

CASE(harmless_flags_change_nothing)
{
	give(s, 10, MSG_CONFIRM);
	give(s, 10, MSG_DONTROUTE);
	give(s, 10, MSG_EOR);
	give(s, 10, MSG_ZEROCOPY);
	peer(RECV, 40);
	peer(SEND, 20);
	await(s, POLLIN);
	take(s, 10, MSG_CMSG_CLOEXEC);
	take(s, 10, MSG_NOSIGNAL);
}

CASE(fastopen_on_a_connection_is_eisconn)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(9) };

	show("sendto", sendto(s, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&sa, sizeof(sa)));
	give(s, 5, 0);
	peer(RECV, 5);
}

CASE(control_data_of_other_protocols_is_einval)
{
	union {
		char room[CMSG_SPACE(4)];
		struct cmsghdr h;
	} c = { .h = { .cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = 9999 } };
	struct msghdr m = {
		.msg_iov = &(struct iovec){ "x", 1 }, .msg_iovlen = 1,
		.msg_control = &c, .msg_controllen = sizeof(c),
	};

	show("sendmsg", sendmsg(s, &m, MSG_NOSIGNAL));
	give(s, 5, 0);
	peer(RECV, 5);
}

CASE(trunc_counts_for_every_call)
{
	struct msghdr m = { .msg_iov = &(struct iovec){ in[0], 6 }, .msg_iovlen = 1 };

	peer(SEND, 30);
	await(s, POLLIN);
	show("recv", recv(s, NULL, 5, MSG_TRUNC));
	rx_pos += 5;
	show("recvmsg", recvmsg(s, &m, MSG_TRUNC));
	say("flags %#x", (unsigned int)m.msg_flags);
	rx_pos += 6;
	show("recv", recv(s, NULL, 4, MSG_TRUNC | MSG_PEEK));
	take(s, 100, 0);
}

CASE(peek_waits_like_a_read)
{
	later(SHORT_MS, SEND, 10);
	take(s, 5, MSG_PEEK);
	take(s, 100, MSG_PEEK | MSG_DONTWAIT);
	take(s, 100, 0);
	take(s, 100, MSG_PEEK | MSG_DONTWAIT);
}

CASE(peek_sees_the_end)
{
	peer(SEND, 5);
	peer(SHUT_WRITE, 0);
	await(s, POLLRDHUP);
	take(s, 100, MSG_PEEK);
	take(s, 100, 0);
	take(s, 100, MSG_PEEK);
	take(s, 100, 0);
}

CASE(peek_does_not_consume_an_error)
{
	peer(RESET, 0);
	await(s, POLLERR);
	take(s, 10, MSG_PEEK);
	take(s, 10, 0);
}

/* ---- urgent data ----------------------------------------------------------------------- */

CASE(an_urgent_byte_arrives_at_the_peer)
{
	give(s, 10, 0);
	peer(RECV, 10);
	show("send", send(s, "!", 1, MSG_OOB));
	peer(RECV_URGENT, 0);
	give(s, 10, 0);
	peer(RECV, 10);
	later(SHORT_MS, SEND, 10);
	take_all(s, 10);
}

CASE(an_urgent_byte_is_received)
{
	unsigned char c = 0;

	peer(SEND, 5);
	peer(SEND_URGENT, 'u');
	await(s, POLLPRI);
	take(s, 100, 0);
	say("at the mark %d", ioctl(s, SIOCATMARK, &(int){ 0 }));
	show("recv", recv(s, &c, 1, MSG_OOB));
	say("byte %d", c);
	show("recv again", recv(s, &c, 1, MSG_OOB));
	peer(SEND, 5);
	take_all(s, 5);
}

CASE(an_urgent_byte_in_line)
{
	unsigned char b[16];
	int mark = -1;

	set_int(s, SOL_SOCKET, SO_OOBINLINE, 1);
	peer(SEND, 5);
	peer(SEND_URGENT, 'u');
	await(s, POLLPRI);
	take(s, 100, 0);
	show("ioctl", ioctl(s, SIOCATMARK, &mark));
	say("at the mark %d", mark);
	show("recv", recv(s, b, 16, 0));
	say("byte %d", b[0]);
}

CASE(no_urgent_byte_is_einval)
{
	char c;
	int mark = -1;

	show("recv", recv(s, &c, 1, MSG_OOB));
	peer(SEND, 5);
	await(s, POLLIN);
	show("recv", recv(s, &c, 1, MSG_OOB));
	show("ioctl", ioctl(s, SIOCATMARK, &mark));
	say("at the mark %d", mark);
	show("sockatmark", sockatmark(s));
	take(s, 10, 0);
}

CASE(poll_sees_an_urgent_byte)
{
	later(SHORT_MS, SEND_URGENT, 'x');
	do_poll(s, POLLPRI, 30000);
	do_poll(s, POLLIN | POLLPRI, 0);
}

CASE(select_sees_an_urgent_byte)
{
	fd_set x;

	later(SHORT_MS, SEND_URGENT, 'x');
	FD_ZERO(&x);
	FD_SET(s, &x);
	show("select", select(s + 1, NULL, NULL, &x, &(struct timeval){ 30, 0 }));
	say("exceptional %d", !!FD_ISSET(s, &x));
}

CASE(epoll_sees_an_urgent_byte)
{
	int ep = epoll_with(s, EPOLLPRI);

	do_epoll(ep, 0);
	later(SHORT_MS, SEND_URGENT, 'x');
	do_epoll(ep, 30000);
	close(ep);
}

/* ---- the error queue ------------------------------------------------------------------- */

CASE(an_empty_error_queue_is_eagain)
{
	char control[256];
	struct msghdr m = {
		.msg_iov = &(struct iovec){ in[0], 10 }, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};

	show("recvmsg", recvmsg(s, &m, MSG_ERRQUEUE));
	peer(SEND, 5);
	await(s, POLLIN);
	show("recvmsg", recvmsg(s, &m, MSG_ERRQUEUE));
	take(s, 10, 0);
}

static void completions(int s)
{
	char control[256];
	struct msghdr m = { .msg_control = control, .msg_controllen = sizeof(control) };
	struct sock_extended_err *e;
	struct cmsghdr *h;

	await(s, POLLERR);
	show("recvmsg", recvmsg(s, &m, MSG_ERRQUEUE));
	h = CMSG_FIRSTHDR(&m);
	e = h ? (void *)CMSG_DATA(h) : NULL;
	if (e)
		say("origin %d, from %u to %u", e->ee_origin, e->ee_info, e->ee_data);
	else
		say("nothing");
}

CASE(zerocopy_sends_are_completed)
{
	show("setsockopt", setsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &(int){ 1 }, sizeof(int)));
	give(s, 20000, MSG_ZEROCOPY);
	peer(RECV, 20000);
	completions(s);
	give(s, 100, 0);
	peer(RECV, 100);
	give(s, 10000, MSG_ZEROCOPY);
	peer(RECV, 10000);
	completions(s);
}

CASE(zerocopy_that_came_from_the_listener)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t len = sizeof(sa);
	int l = socket(AF_INET, SOCK_STREAM, 0), c;

	set_int(l, SOL_SOCKET, SO_ZEROCOPY, 1);
	bind(l, (struct sockaddr *)&sa, sizeof(sa));
	listen(l, 4);
	getsockname(l, (struct sockaddr *)&sa, &len);
	peer(CLOSE, 0);
	peer(CONNECT, ntohs(sa.sin_port));
	c = accept(l, NULL, NULL);
	say("SO_ZEROCOPY %d", get_int(c, SOL_SOCKET, SO_ZEROCOPY));
	give(c, 20000, MSG_ZEROCOPY);
	peer(RECV, 20000);
	if (get_int(c, SOL_SOCKET, SO_ZEROCOPY))
		completions(c);
	close(c);
}

static void stamps(int fd)
{
	char control[256];
	struct msghdr m = {
		.msg_iov = &(struct iovec){ in[0], 10 }, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *h;

	for (int i = 0; i < 3000; i++) {	/* Linux begins to stamp a little later */
		struct done d;

		quiet_order(SEND, 10, 0, &d);
		m.msg_controllen = sizeof(control);
		if (recvmsg(fd, &m, 0) != 10 || CMSG_FIRSTHDR(&m))
			break;
		sleep_ms(10);
	}
	h = CMSG_FIRSTHDR(&m);
	say("level %d, type %d", h ? h->cmsg_level : -1, h ? h->cmsg_type : -1);
}

CASE(timestamps_come_with_messages)
{
	set_int(s, SOL_SOCKET, SO_TIMESTAMP, 1);
	stamps(s);
}

CASE(timestamps_that_were_asked_for_on_the_listener)
{
	int port, l = listen_on(NULL, &port), c;

	set_int(l, SOL_SOCKET, SO_TIMESTAMP, 1);
	peer(CLOSE, 0);
	peer(CONNECT, port);
	c = accept(l, NULL, NULL);
	stamps(c);
	close(c);
	close(l);
}

CASE(how_much_is_left_comes_with_messages)
{
	char control[256];
	struct msghdr m = {
		.msg_iov = &(struct iovec){ in[0], 4 }, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *h;

	set_int(s, IPPROTO_TCP, TCP_INQ, 1);
	peer(SEND, 10);
	await(s, POLLIN);
	show("recvmsg", recvmsg(s, &m, 0));
	h = CMSG_FIRSTHDR(&m);
	if (h)
		say("level %d, type %d, %d left", h->cmsg_level, h->cmsg_type, *(int *)CMSG_DATA(h));
}

CASE(a_peek_offset_moves_with_the_peeks)
{
	show("setsockopt", setsockopt(s, SOL_SOCKET, SO_PEEK_OFF, &(int){ 0 }, sizeof(int)));
	peer(SEND, 10);
	await(s, POLLIN);
	take(s, 4, MSG_PEEK);
	rx_pos += 4;
	take(s, 4, MSG_PEEK);
	rx_pos -= 4;
	take(s, 100, 0);
}
