/* SPDX-License-Identifier: BSD-2-Clause
 *
 * client.c - the subject connects.
 */
#include "posix.h"

CASE(a_client_connects_and_talks)
{
	int c = to_peer(0);

	peer(CLOSE, 0);
	peer(ACCEPT, 0);
	give(c, 10, 0);
	peer(RECV, 10);
	later(SHORT_MS, SEND, 10);
	take(c, 100, 0);
	close(c);
	peer(EXPECT_EOF, 0);
}

CASE(a_client_connects_without_blocking)
{
	int c = to_peer(SOCK_NONBLOCK), err = -1;
	socklen_t len = sizeof(err);

	do_poll(c, POLLOUT, 30000);
	getsockopt(c, SOL_SOCKET, SO_ERROR, &err, &len);
	say("SO_ERROR %d", err);
	peer(CLOSE, 0);
	peer(ACCEPT, 0);
	take(c, 10, 0);
	give(c, 10, 0);
	peer(RECV, 10);
	close(c);
}

CASE(a_client_registers_before_it_is_connected)
{
	int c = to_peer(SOCK_NONBLOCK), ep = epoll_with(c, EPOLLIN | EPOLLOUT);
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = 6 };

	do_epoll(ep, 30000);
	peer(CLOSE, 0);
	peer(ACCEPT, 0);
	give(c, 10, 0);
	epoll_ctl(ep, EPOLL_CTL_MOD, c, &e);
	peer(RECV, 10);
	later(SHORT_MS, SEND, 10);
	do_epoll(ep, 30000);
	take(c, 100, 0);
	do_epoll(ep, 0);
	close(ep);
	close(c);
}

CASE(a_client_that_is_spoken_to_first)
{
	int c = to_peer(SOCK_NONBLOCK), ep = epoll_with(c, EPOLLIN | EPOLLET);

	peer(CLOSE, 0);
	peer(ACCEPT, 0);
	peer(SEND, 5);
	await(c, POLLIN);
	do_epoll(ep, 30000);
	take(c, 100, 0);
	later(SHORT_MS, SEND, 5);
	do_epoll(ep, 30000);
	take(c, 100, 0);
	close(ep);
	close(c);
}

CASE(a_refused_connect_says_so)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(1) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, peer_addr, &sa.sin_addr);
	show("connect", connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
	take(fd, 1, 0);
	give(fd, 1, MSG_NOSIGNAL);
	close(fd);
}

CASE(an_unconnected_socket_is_enotconn)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	take(fd, 1, 0);
	give(fd, 1, MSG_NOSIGNAL);
	show("shutdown", shutdown(fd, SHUT_WR));
	do_poll(fd, POLLIN | POLLOUT, 0);
	close(fd);
}
