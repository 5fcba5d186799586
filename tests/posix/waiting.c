/* SPDX-License-Identifier: BSD-2-Clause
 *
 * waiting.c - poll, select, epoll.
 */
#include "posix.h"

CASE(poll_sees_each_state)
{
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	do_poll(s, POLLIN, 0);
	do_poll(s, 0, 0);
	peer(SEND, 3);
	await(s, POLLIN);
	do_poll(s, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM, 0);
	take(s, 10, 0);
	do_poll(s, POLLIN, 0);
}

CASE(poll_waits_for_data)
{
	later(SHORT_MS, SEND, 3);
	do_poll(s, POLLIN, 30000);
	take(s, 10, 0);
	do_poll(s, POLLIN, SHORT_MS);
}

CASE(poll_mixes_ours_and_others)
{
	struct pollfd p[3] = { { .fd = -1, .events = POLLIN }, { .fd = s, .events = POLLIN } };
	int pipes[2];
	char buf[96];

	if (pipe(pipes) < 0)
		return;
	p[2] = (struct pollfd){ .fd = pipes[0], .events = POLLIN };
	show("poll", poll(p, 3, 0));
	(void)!write(pipes[1], "x", 1);
	show("poll", poll(p, 3, 30000));
	say("%d %s", p[1].revents, events((unsigned short)p[2].revents, buf));
	peer(SEND, 3);
	await(s, POLLIN);
	show("poll", poll(p, 3, 30000));
	take(s, 10, 0);
	close(pipes[0]);
	close(pipes[1]);
	show("poll", poll(p, 3, 0));
	say("%s", events((unsigned short)p[2].revents, buf));
}

CASE(a_thread_polls_while_another_fd_wakes_it)
{
	struct pollfd p[2] = { { .fd = s, .events = POLLIN }, { .events = POLLIN } };
	int pipes[2];

	if (pipe(pipes) < 0)
		return;
	p[1].fd = pipes[0];
	if (fork() == 0) {
		sleep_ms(SHORT_MS);
		(void)!write(pipes[1], "x", 1);
		_exit(0);
	}
	show("poll", poll(p, 2, 30000));
	say("%d %d", p[0].revents, p[1].revents);
	wait(NULL);
	close(pipes[0]);
	close(pipes[1]);
}

static void show_select(int s, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };
	fd_set r, w, x;
	int n;

	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&x);
	FD_SET(s, &r);
	FD_SET(s, &w);
	FD_SET(s, &x);
	n = select(s + 1, &r, &w, &x, &tv);
	say("select: %d, %d %d %d", n, !!FD_ISSET(s, &r), !!FD_ISSET(s, &w), !!FD_ISSET(s, &x));
}

CASE(select_sees_each_state)
{
	show_select(s, 0);
	peer(SEND, 3);
	await(s, POLLIN);
	show_select(s, 0);
	take(s, 10, 0);
	peer(SHUT_WRITE, 0);
	await(s, POLLRDHUP);
	show_select(s, 0);
}

CASE(select_times_out_and_counts_down)
{
	struct timeval tv = { 0, SHORT_MS * 1000 };
	fd_set r;

	FD_ZERO(&r);
	FD_SET(s, &r);
	show("select", select(s + 1, &r, NULL, NULL, &tv));
	say("left %ld, set %d", (long)tv.tv_sec * 1000000 + tv.tv_usec, !!FD_ISSET(s, &r));
	tv.tv_sec = 20;
	later(SHORT_MS, SEND, 3);
	FD_SET(s, &r);
	show("select", select(s + 1, &r, NULL, NULL, &tv));
	say("less is left: %d", tv.tv_sec < 20);
	show("pselect", pselect(s + 1, &r, NULL, NULL, &(struct timespec){ 0, 0 }, NULL));
}

CASE(select_of_a_closed_fd_is_ebadf)
{
	fd_set r;
	int d = dup(s);

	FD_ZERO(&r);
	FD_SET(s, &r);
	FD_SET(d, &r);
	close(d);
	show("select", select(d + 1, &r, NULL, NULL, &(struct timeval){ 0, 0 }));
}

CASE(level_triggered_repeats)
{
	int ep = epoll_with(s, EPOLLIN);

	do_epoll(ep, 0);
	peer(SEND, 10);
	do_epoll(ep, 30000);
	do_epoll(ep, 0);
	take(s, 4, 0);
	do_epoll(ep, 0);
	take(s, 10, 0);
	do_epoll(ep, 0);
	close(ep);
}

CASE(edge_triggered_does_not_repeat)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLET);

	do_epoll(ep, 0);
	peer(SEND, 10);
	do_epoll(ep, 30000);
	do_epoll(ep, 0);
	take(s, 4, 0);
	do_epoll(ep, 0);
	peer(SEND, 10);
	do_epoll(ep, 30000);
	do_epoll(ep, 0);
	take(s, 100, 0);
	do_epoll(ep, 0);
	close(ep);
}

CASE(edge_triggered_both_ways)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);

	do_epoll(ep, 0);
	do_epoll(ep, 0);
	peer(SEND, 3);
	do_epoll(ep, 30000);
	do_epoll(ep, 0);
	give(s, 3, 0);
	peer(RECV, 3);
	sleep_ms(SHORT_MS);
	do_epoll(ep, 0);
	peer(SHUT_WRITE, 0);
	do_epoll(ep, 30000);
	do_epoll(ep, 0);
	close(ep);
}

CASE(edge_triggered_out_after_full)
{
	int ep;

	nonblock(s);
	stuff(s);
	ep = epoll_with(s, EPOLLOUT | EPOLLET);
	do_epoll(ep, 0);
	later(1, RECV, (int)tx_pos);
	do_epoll(ep, 30000);
	peer(SEND, 1);
	await(s, POLLIN);
	take(s, 1, 0);
	close(ep);
}

CASE(oneshot_reports_once)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLONESHOT);
	struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 78 };

	peer(SEND, 3);
	do_epoll(ep, 30000);
	do_epoll(ep, 0);
	peer(SEND, 3);
	do_epoll(ep, SHORT_MS);
	show("mod", epoll_ctl(ep, EPOLL_CTL_MOD, s, &e));
	do_epoll(ep, 30000);
	do_epoll(ep, 0);
	close(ep);
}

CASE(mod_changes_interest)
{
	int ep = epoll_with(s, EPOLLIN);
	struct epoll_event e = { .events = EPOLLOUT, .data.u64 = 5 };

	do_epoll(ep, 0);
	show("mod", epoll_ctl(ep, EPOLL_CTL_MOD, s, &e));
	do_epoll(ep, 0);
	e.events = 0;
	show("mod", epoll_ctl(ep, EPOLL_CTL_MOD, s, &e));
	peer(SEND, 3);
	do_epoll(ep, SHORT_MS);
	e.events = EPOLLIN | EPOLLOUT;
	epoll_ctl(ep, EPOLL_CTL_MOD, s, &e);
	do_epoll(ep, 0);
	show("del", epoll_ctl(ep, EPOLL_CTL_DEL, s, NULL));
	do_epoll(ep, 0);
	close(ep);
}

CASE(epoll_ctl_errors_are_linuxs)
{
	struct epoll_event e = { .events = EPOLLIN };
	int ep = epoll_create1(0);

	show("del", epoll_ctl(ep, EPOLL_CTL_DEL, s, &e));
	show("mod", epoll_ctl(ep, EPOLL_CTL_MOD, s, &e));
	show("add", epoll_ctl(ep, EPOLL_CTL_ADD, s, &e));
	show("add", epoll_ctl(ep, EPOLL_CTL_ADD, s, &e));
	show("bad op", epoll_ctl(ep, 99, s, &e));
	show("not an epoll", epoll_ctl(s, EPOLL_CTL_ADD, ep, &e));
	show("itself", epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e));
	e.events = EPOLLIN | EPOLLEXCLUSIVE;
	show("mod exclusive", epoll_ctl(ep, EPOLL_CTL_MOD, s, &e));
	show("wait for 0", epoll_wait(ep, &e, 0, 0));
	close(ep);
}

CASE(exclusive_works)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLEXCLUSIVE);

	peer(SEND, 3);
	do_epoll(ep, 30000);
	take(s, 10, 0);
	do_epoll(ep, 0);
	close(ep);
}

CASE(epoll_reports_the_end)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLRDHUP);

	peer(SHUT_WRITE, 0);
	await(s, POLLRDHUP);
	do_epoll(ep, 30000);
	take(s, 10, 0);
	do_epoll(ep, 0);
	close(ep);
}

CASE(epoll_reports_a_reset)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLRDHUP);

	peer(RESET, 0);
	await(s, POLLHUP);
	do_epoll(ep, 30000);
	take(s, 10, 0);
	do_epoll(ep, 0);
	close(ep);
}

CASE(a_socket_in_two_epolls)
{
	int a = epoll_with(s, EPOLLIN), b = epoll_with(s, EPOLLIN | EPOLLET);

	peer(SEND, 3);
	do_epoll(a, 30000);
	do_epoll(b, 30000);
	do_epoll(a, 0);
	do_epoll(b, 0);
	take(s, 10, 0);
	do_epoll(a, 0);
	close(a);
	peer(SEND, 3);
	do_epoll(b, 30000);
	close(b);
	take(s, 10, 0);
}

CASE(a_dup_in_epoll_outlives_the_close)
{
	int ep = epoll_with(s, EPOLLIN), d = dup(s);
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = 88 };

	show("add", epoll_ctl(ep, EPOLL_CTL_ADD, d, &e));
	epoll_ctl(ep, EPOLL_CTL_DEL, s, &e);
	peer(SEND, 3);
	do_epoll(ep, 30000);
	take(d, 10, 0);
	close(d);
	peer(SEND, 3);
	await(s, POLLIN);
	do_epoll(ep, 0);
	close(ep);
}

CASE(an_epoll_in_an_epoll)
{
	int in = epoll_with(s, EPOLLIN), out = epoll_with(in, EPOLLIN);

	do_epoll(out, 0);
	later(SHORT_MS, SEND, 3);
	do_epoll(out, 30000);
	do_epoll(in, 0);
	take(s, 10, 0);
	do_epoll(in, 0);
	close(in);
	close(out);
}

CASE(an_epoll_in_poll_and_select)
{
	int ep = epoll_with(s, EPOLLIN);
	fd_set r;

	do_poll(ep, POLLIN, 0);
	later(SHORT_MS, SEND, 3);
	do_poll(ep, POLLIN, 30000);
	FD_ZERO(&r);
	FD_SET(ep, &r);
	show("select", select(ep + 1, &r, NULL, NULL, &(struct timeval){ 30, 0 }));
	do_epoll(ep, 0);
	take(s, 10, 0);
	do_poll(ep, POLLIN, 0);
	close(ep);
}

CASE(epoll_mixes_ours_and_others)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = 9 };
	int ep = epoll_with(s, EPOLLIN), pipes[2];

	if (pipe(pipes) < 0)
		return;
	epoll_ctl(ep, EPOLL_CTL_ADD, pipes[0], &e);
	do_epoll(ep, 0);
	(void)!write(pipes[1], "x", 1);
	do_epoll(ep, 30000);
	(void)!read(pipes[0], &(char){ 0 }, 1);
	peer(SEND, 3);
	do_epoll(ep, 30000);
	close(pipes[1]);
	take(s, 10, 0);
	do_epoll(ep, 30000);
	close(pipes[0]);
	do_epoll(ep, 0);
	close(ep);
}

CASE(epoll_pwait2_waits_for_nanoseconds)
{
	int ep = epoll_with(s, EPOLLIN);
	struct epoll_event e;

	show("epoll_pwait2", epoll_pwait2(ep, &e, 1, &(struct timespec){ 0, 1000 }, NULL));
	peer(SEND, 3);
	show("epoll_pwait2", epoll_pwait2(ep, &e, 1, &(struct timespec){ 30, 0 }, NULL));
	close(ep);
}

#define AS_MANY_AS_FDS	64

CASE(poll_of_as_many_as_there_may_be_fds)
{
	struct rlimit few = { AS_MANY_AS_FDS, AS_MANY_AS_FDS };
	struct pollfd p[AS_MANY_AS_FDS + 1];

	for (int i = 0; i <= AS_MANY_AS_FDS; i++)
		p[i] = (struct pollfd){ .fd = i ? -1 : s, .events = POLLIN };
	do_poll(s, POLLIN, 0);
	later(SHORT_MS, SEND, 3);
	setrlimit(RLIMIT_NOFILE, &few);
	show("one too many", poll(p, AS_MANY_AS_FDS + 1, 30000));
	show("poll", poll(p, AS_MANY_AS_FDS, 30000));
	take(s, 10, 0);
}
