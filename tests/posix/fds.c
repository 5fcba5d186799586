/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fds.c - copies of an fd, children, and copying from one fd to another.
 */
#include "posix.h"

CASE(dups_are_one_connection)
{
	int a = dup(s), b = fcntl(s, F_DUPFD, 100), c = dup2(s, 200), d = dup3(s, 201, O_CLOEXEC);

	say("numbers %d %d %d", b >= 100, c, d);
	peer(SEND, 8);
	await(s, POLLIN);
	take(a, 2, 0);
	take(b, 2, 0);
	take(c, 2, 0);
	take(d, 2, 0);
	give(a, 2, 0);
	give(d, 2, 0);
	peer(RECV, 4);
	close(s);
	close(a);
	close(b);
	close(c);
	give(d, 2, 0);
	peer(RECV, 2);
	dup2(d, s);
	close(d);
	peer(SEND, 2);
	take(s, 10, 0);
}

CASE(dup2_of_another_file_over_it_closes_it)
{
	int n = open("/dev/null", O_RDWR);
	char c;

	show("dup2", dup2(n, s) == s);
	show("read", read(s, &c, 1));
	show("write", write(s, "x", 1));
	show("recv", recv(s, &c, 1, 0));
	peer(EXPECT_EOF, 0);
	close(n);
}

CASE(a_closed_fd_is_ebadf)
{
	char c;

	show("close", close(s));
	show("close", close(s));
	show("read", read(s, &c, 1));
	show("write", write(s, "x", 1));
	show("send", send(s, "x", 1, 0));
	do_poll(s, POLLIN, 0);
	peer(EXPECT_EOF, 0);
}

CASE(a_number_is_used_again_for_a_file)
{
	int f;
	char c;

	close(s);
	f = open("/dev/zero", O_RDWR);
	say("same number %d", f == s);
	show("read", read(f, &c, 1));
	say("a zero: %d", c == 0);
	show("recv", recv(f, &c, 1, 0));
	close(f);
}

CASE(close_range_closes_it)
{
	int d = fcntl(s, F_DUPFD, 300);

	show("close_range", close_range((unsigned int)d, (unsigned int)d, 0));
	give(d, 1, MSG_NOSIGNAL);
	give(s, 1, 0);
	peer(RECV, 1);
}

CASE(a_closing_with_unread_data_resets)
{
	peer(SEND, 10);
	await(s, POLLIN);
	close(s);
	peer(EXPECT_EOF, 0);
}

CASE(a_child_uses_it_and_exits)
{
	if (fork() == 0) {
		peer(SEND, 4);
		take_all(s, 4);
		give(s, 5, 0);
		peer(RECV, 5);
		do_poll(s, POLLIN, 0);
		_exit(0);
	}
	wait(NULL);
	rx_pos += 4;
	tx_pos += 5;
	peer(SEND, 3);
	take(s, 10, 0);
	give(s, 3, 0);
	peer(RECV, 3);
}

CASE(a_child_closes_its_copy)
{
	if (fork() == 0) {
		close(s);
		_exit(0);
	}
	wait(NULL);
	give(s, 3, 0);
	peer(RECV, 3);
	peer(SEND, 3);
	take(s, 10, 0);
}

CASE(a_child_polls_and_epolls)
{
	if (fork() == 0) {
		int ep = epoll_with(s, EPOLLIN);

		later(SHORT_MS, SEND, 3);
		do_poll(s, POLLIN, 5000);
		do_epoll(ep, 5000);
		take(s, 10, 0);
		later(SHORT_MS, SEND, 3);
		do_epoll(ep, 5000);
		take(s, 10, 0);
		_exit(0);
	}
	wait(NULL);
	rx_pos += 6;
	peer(SEND, 1);
	take(s, 10, 0);
}

CASE(a_child_inherits_an_epoll)
{
	int ep = epoll_with(s, EPOLLIN);

	do_epoll(ep, 0);
	if (fork() == 0) {
		later(SHORT_MS, SEND, 3);
		do_epoll(ep, 5000);
		take(s, 10, 0);
		_exit(0);
	}
	wait(NULL);
	rx_pos += 3;
	do_epoll(ep, 0);
	peer(SEND, 1);
	do_epoll(ep, 5000);
	take(s, 10, 0);
	close(ep);
}

CASE(the_parent_closes_and_the_child_goes_on)
{
	int go[2];
	char c;

	if (pipe(go) < 0)
		return;
	if (fork() == 0) {
		(void)!read(go[0], &c, 1);
		give(s, 3, 0);
		peer(RECV, 3);
		peer(SEND, 3);
		take(s, 10, 0);
		_exit(0);
	}
	close(s);
	(void)!write(go[1], "x", 1);
	wait(NULL);
	peer(EXPECT_EOF, 0);
	close(go[0]);
	close(go[1]);
}

/* ---- copying --------------------------------------------------------------------------- */

CASE(sendfile_sends_a_file)
{
	int f = pattern_file(100000);
	off_t at = 1000;

	lseek(f, 0, SEEK_SET);
	show("sendfile", sendfile(s, f, NULL, 1000));
	say("position %ld", (long)lseek(f, 0, SEEK_CUR));
	peer(RECV, 1000);
	show("sendfile", sendfile(s, f, &at, 50000));
	say("offset %ld, position %ld", (long)at, (long)lseek(f, 0, SEEK_CUR));
	peer(RECV, 50000);
	at = 51000;
	show("sendfile", sendfile(s, f, &at, 1000000));
	peer(RECV, 49000);
	show("sendfile at the end", sendfile(s, f, &at, 1000));
	show("sendfile from a socket", sendfile(s, s, NULL, 10));
	close(f);
}

CASE(splice_goes_both_ways)
{
	int pipes[2];
	unsigned char b[100];
	uint64_t pos = tx_pos;

	if (pipe(pipes) < 0)
		return;
	fill(b, 50, &pos);
	(void)!write(pipes[1], b, 50);
	show("splice", splice(pipes[0], NULL, s, NULL, 50, 0));
	peer(RECV, 50);
	peer(SEND, 50);
	await(s, POLLIN);
	show("splice", splice(s, NULL, pipes[1], NULL, 100, 0));
	show("read", read(pipes[0], b, 100));
	say("bytes %s", right(b, 50, &rx_pos) ? "right" : "wrong");
	nonblock(s);
	show("splice", splice(s, NULL, pipes[1], NULL, 100, 0));
	show("splice at a position", splice(s, &(off64_t){ 0 }, pipes[1], NULL, 1, 0));
	close(pipes[0]);
	close(pipes[1]);
}
