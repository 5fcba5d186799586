/* SPDX-License-Identifier: BSD-2-Clause
 *
 * epolls.c - epoll in detail: flags, several instances, instances in instances, errors.
 */
#include "posix.h"

static int ctl_of(int ep, int op, int fd, uint32_t ev, uint64_t data)
{
	struct epoll_event e = { .events = ev, .data.u64 = data };

	return epoll_ctl(ep, op, fd, &e);
}

CASE(a_new_registration_reports_what_is_there)
{
	static const uint32_t modes[] = { 0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT };

	peer(SEND, 5);
	await(s, POLLIN);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		int ep = epoll_with(s, EPOLLIN | modes[i]);

		do_epoll(ep, 0);
		do_epoll(ep, 0);
		close(ep);
	}
}

CASE(edge_triggered_reports_again_for_new_bytes)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLET);

	peer(SEND, 5);
	do_epoll(ep, 30000);
	do_epoll(ep, 0);
	peer(SEND, 5);
	do_epoll(ep, 30000);
	take(s, 3, 0);
	do_epoll(ep, 0);
	peer(SEND, 5);
	do_epoll(ep, 30000);
	take_all(s, 12);
	do_epoll(ep, 0);
	close(ep);
}

CASE(edge_triggered_reports_the_end_once)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLRDHUP | EPOLLET);

	peer(SHUT_WRITE, 0);
	do_epoll(ep, 30000);
	do_epoll(ep, 0);
	take(s, 10, 0);
	do_epoll(ep, 0);
	close(ep);
}

CASE(a_modification_rearms_an_edge)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLET);

	peer(SEND, 5);
	do_epoll(ep, 30000);
	do_epoll(ep, 0);
	show("mod", ctl_of(ep, EPOLL_CTL_MOD, s, EPOLLIN | EPOLLET, 78));
	do_epoll(ep, 0);
	do_epoll(ep, 0);
	close(ep);
}

CASE(oneshot_is_silent_until_rearmed)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLONESHOT);

	peer(SEND, 5);
	do_epoll(ep, 30000);
	peer(SEND, 5);
	peer(SHUT_WRITE, 0);
	do_epoll(ep, SHORT_MS);
	show("mod", ctl_of(ep, EPOLL_CTL_MOD, s, EPOLLIN | EPOLLONESHOT, 79));
	do_epoll(ep, 30000);
	do_epoll(ep, 0);
	close(ep);
}

CASE(oneshot_hides_even_a_reset)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLOUT | EPOLLONESHOT);

	do_epoll(ep, 30000);
	peer(RESET, 0);
	await(s, POLLERR);
	do_epoll(ep, 0);
	ctl_of(ep, EPOLL_CTL_MOD, s, EPOLLIN, 77);
	do_epoll(ep, 0);
	close(ep);
}

CASE(no_interest_still_reports_errors)
{
	int ep = epoll_with(s, 0);

	peer(SEND, 5);
	do_epoll(ep, SHORT_MS);
	peer(RESET, 0);
	do_epoll(ep, 30000);
	close(ep);
}

CASE(rdhup_alone_reports_only_the_end)
{
	int ep = epoll_with(s, EPOLLRDHUP);

	peer(SEND, 5);
	do_epoll(ep, SHORT_MS);
	later(SHORT_MS, SHUT_WRITE, 0);
	do_epoll(ep, 30000);
	close(ep);
}

CASE(both_ends_shut_is_hup)
{
	int ep = epoll_with(s, EPOLLRDHUP);

	shutdown(s, SHUT_WR);
	do_epoll(ep, SHORT_MS);
	peer(SHUT_WRITE, 0);
	await(s, POLLHUP);
	do_epoll(ep, 30000);
	close(ep);
}

CASE(out_is_reported_until_full_and_again_after)
{
	int ep = epoll_with(s, EPOLLOUT | EPOLLET);

	nonblock(s);
	do_epoll(ep, 30000);
	stuff(s);
	while (epoll_wait(ep, &(struct epoll_event){ 0 }, 1, 0) > 0)
		;
	do_epoll(ep, 0);
	later(SHORT_MS, RECV, (int)tx_pos);
	do_epoll(ep, 30000);
	close(ep);
}

CASE(in_and_out_are_reported_together)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLOUT);

	do_epoll(ep, 0);
	peer(SEND, 5);
	await(s, POLLIN);
	do_epoll(ep, 0);
	take(s, 10, 0);
	do_epoll(ep, 0);
	close(ep);
}

CASE(normal_and_band_are_events_of_their_own)
{
	int ep = epoll_with(s, EPOLLRDNORM | EPOLLWRNORM | EPOLLRDBAND | EPOLLWRBAND | EPOLLMSG);

	do_epoll(ep, 0);
	peer(SEND, 5);
	await(s, POLLIN);
	do_epoll(ep, 0);
	close(ep);
}

CASE(exclusive_in_two_instances_wakes_at_least_one)
{
	int a = epoll_create1(0), b = epoll_create1(0);
	struct pollfd p[2] = { { a, POLLIN, 0 }, { b, POLLIN, 0 } };

	show("add", ctl_of(a, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLEXCLUSIVE, 1));
	show("add", ctl_of(b, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLEXCLUSIVE, 2));
	later(SHORT_MS, SEND, 5);
	say("woken %d", poll(p, 2, 30000) > 0);
	show("mod", ctl_of(a, EPOLL_CTL_MOD, s, EPOLLIN, 1));
	show("bad flags", ctl_of(a, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 1));
	show("del", ctl_of(a, EPOLL_CTL_DEL, s, 0, 0));
	show("bad flags", ctl_of(a, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP, 1));
	do_epoll(b, 0);
	close(a);
	close(b);
}

CASE(wakeup_and_unknown_flags_are_ignored)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLWAKEUP | 1U << 27);

	peer(SEND, 5);
	do_epoll(ep, 30000);
	close(ep);
}

CASE(three_instances_see_the_same_socket)
{
	int ep[3] = {
		epoll_with(s, EPOLLIN), epoll_with(s, EPOLLIN | EPOLLET),
		epoll_with(s, EPOLLIN | EPOLLONESHOT),
	};

	peer(SEND, 5);
	await(s, POLLIN);
	for (int i = 0; i < 3; i++) {
		do_epoll(ep[i], 30000);
		do_epoll(ep[i], 0);
	}
	take(s, 10, 0);
	for (int i = 0; i < 3; i++)
		do_epoll(ep[i], 0);
	peer(SEND, 5);
	await(s, POLLIN);
	for (int i = 0; i < 3; i++)
		do_epoll(ep[i], i == 2 ? 0 : 30000);
	for (int i = 0; i < 3; i++)
		close(ep[i]);
}

CASE(a_dup_is_registered_on_its_own)
{
	int ep = epoll_with(s, EPOLLIN), d = dup(s);
	struct epoll_event e[4];

	show("add", ctl_of(ep, EPOLL_CTL_ADD, d, EPOLLIN, 78));
	show("add again", ctl_of(ep, EPOLL_CTL_ADD, d, EPOLLIN, 78));
	peer(SEND, 5);
	await(s, POLLIN);
	show("epoll_wait", epoll_wait(ep, e, 4, 0));
	say("both %d", e[0].data.u64 + e[1].data.u64 == 77 + 78);
	show("del", ctl_of(ep, EPOLL_CTL_DEL, s, 0, 0));
	do_epoll(ep, 0);
	show("del", ctl_of(ep, EPOLL_CTL_DEL, s, 0, 0));
	close(d);
	close(ep);
}

CASE(a_closed_fd_leaves_the_instance)
{
	int ep = epoll_with(s, EPOLLIN), d = dup(s);

	ctl_of(ep, EPOLL_CTL_DEL, s, 0, 0);
	ctl_of(ep, EPOLL_CTL_ADD, d, EPOLLIN, 78);
	peer(SEND, 5);
	await(s, POLLIN);
	do_epoll(ep, 0);
	close(s);
	close(d);
	do_epoll(ep, SHORT_MS);
	close(ep);
}

CASE(a_dup_of_the_instance_is_the_instance)
{
	int ep = epoll_with(s, EPOLLIN), d = dup(ep);

	peer(SEND, 5);
	do_epoll(d, 30000);
	close(ep);
	do_epoll(d, 0);
	take(s, 10, 0);
	do_epoll(d, 0);
	later(SHORT_MS, SEND, 5);
	do_epoll(d, 30000);
	close(d);
}

CASE(many_sockets_take_turns)
{
	int sv[2], ep = epoll_with(s, EPOLLIN);
	struct epoll_event e;
	int seen = 0;

	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	ctl_of(ep, EPOLL_CTL_ADD, sv[0], EPOLLIN, 1);
	(void)!write(sv[1], "x", 1);
	peer(SEND, 5);
	await(s, POLLIN);
	for (int i = 0; i < 50; i++)
		if (epoll_wait(ep, &e, 1, 0) == 1)
			seen |= e.data.u64 == 77 ? 2 : 1;
	say("both seen %d", seen == 3);
	close(sv[0]);
	close(sv[1]);
	close(ep);
}

CASE(waiting_for_nonsense_is_refused)
{
	struct epoll_event e[2];
	int ep = epoll_with(s, EPOLLIN), p[2];

	show("no room", epoll_wait(ep, e, 0, 0));
	show("less", epoll_wait(ep, e, -1, 0));
	show("too much", epoll_wait(ep, e, INT_MAX, 0));
	show("a socket", epoll_wait(s, e, 2, 0));
	show("closed", epoll_wait(999, e, 2, 0));
	show("bad time", epoll_pwait2(ep, e, 2, &(struct timespec){ 0, 2000000000 }, NULL));
	show("bad time", epoll_pwait2(ep, e, 2, &(struct timespec){ -1, 0 }, NULL));
	(void)!pipe(p);
	show("a pipe", epoll_wait(p[0], e, 2, 0));
	show("op", epoll_ctl(ep, 17, s, e));
	show("itself", ctl_of(ep, EPOLL_CTL_ADD, ep, EPOLLIN, 0));
	show("of a pipe", ctl_of(p[0], EPOLL_CTL_ADD, s, EPOLLIN, 0));
	show("of a socket", ctl_of(s, EPOLL_CTL_ADD, p[0], EPOLLIN, 0));
	show("mod of nothing", ctl_of(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 0));
	show("size", epoll_create(0));
	show("flags", epoll_create1(12345));
	close(p[0]);
	close(p[1]);
	close(ep);
}

CASE(epoll_pwait2_times_out)
{
	struct epoll_event e;
	int ep = epoll_with(s, EPOLLIN);

	show("epoll_pwait2", epoll_pwait2(ep, &e, 1, &(struct timespec){ 0, 1000000 }, NULL));
	later(SHORT_MS, SEND, 5);
	show("epoll_pwait2", epoll_pwait2(ep, &e, 1, NULL, NULL));
	show("epoll_pwait2", epoll_pwait2(ep, &e, 1, &(struct timespec){ 0, 0 }, NULL));
	close(ep);
}

CASE(two_levels_of_instances)
{
	int a = epoll_with(s, EPOLLIN), b = epoll_with(a, EPOLLIN), c = epoll_with(b, EPOLLIN);

	do_epoll(c, 0);
	later(SHORT_MS, SEND, 5);
	do_epoll(c, 30000);
	do_epoll(b, 0);
	do_epoll(a, 0);
	take(s, 10, 0);
	do_epoll(c, 0);
	do_epoll(a, 0);
	later(SHORT_MS, SEND, 5);
	do_epoll(c, 30000);
	close(c);
	close(b);
	close(a);
}

CASE(an_edge_triggered_outer_instance)
{
	int in = epoll_with(s, EPOLLIN), out = epoll_with(in, EPOLLIN | EPOLLET);

	later(SHORT_MS, SEND, 5);
	do_epoll(out, 30000);
	do_epoll(in, 0);
	take(s, 10, 0);
	later(SHORT_MS, SEND, 5);
	do_epoll(out, 30000);
	do_epoll(in, 0);
	close(out);
	close(in);
}

CASE(an_instance_in_poll)
{
	int ep = epoll_with(s, EPOLLIN);

	do_poll(ep, POLLIN, 0);
	later(SHORT_MS, SEND, 5);
	do_poll(ep, POLLIN | POLLOUT, 30000);
	take(s, 10, 0);
	do_poll(ep, POLLIN, 0);
	close(ep);
}

static int waiting_in;

static void *adds_late(void *arg)
{
	sleep_ms(SHORT_MS);
	ctl_of(waiting_in, EPOLL_CTL_ADD, *(int *)arg, EPOLLIN, 77);
	return NULL;
}

CASE(a_thread_registers_while_another_waits)
{
	pthread_t t;

	waiting_in = epoll_create1(0);
	peer(SEND, 5);
	await(s, POLLIN);
	pthread_create(&t, NULL, adds_late, &s);
	do_epoll(waiting_in, 30000);
	pthread_join(t, NULL);
	take(s, 10, 0);
	later(SHORT_MS, SEND, 5);
	do_epoll(waiting_in, 30000);
	close(waiting_in);
}

static void *mods_late(void *arg)
{
	sleep_ms(SHORT_MS);
	ctl_of(waiting_in, EPOLL_CTL_MOD, *(int *)arg, EPOLLIN | EPOLLOUT, 78);
	return NULL;
}

CASE(a_thread_changes_interest_while_another_waits)
{
	pthread_t t;

	waiting_in = epoll_with(s, EPOLLIN);
	pthread_create(&t, NULL, mods_late, &s);
	do_epoll(waiting_in, 30000);
	pthread_join(t, NULL);
	close(waiting_in);
}

static void *dels_late(void *arg)
{
	struct done d;

	sleep_ms(SHORT_MS);
	ctl_of(waiting_in, EPOLL_CTL_DEL, *(int *)arg, 0, 0);
	quiet_order(SEND, 5, 0, &d);
	return NULL;
}

CASE(what_was_removed_is_not_reported)
{
	pthread_t t;

	waiting_in = epoll_with(s, EPOLLIN);
	pthread_create(&t, NULL, dels_late, &s);
	do_epoll(waiting_in, 4 * SHORT_MS);
	pthread_join(t, NULL);
	take(s, 10, 0);
	close(waiting_in);
}

CASE(registered_before_connecting)
{
	int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_with(c, EPOLLIN | EPOLLOUT);
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)peer_port) };

	do_epoll(ep, 0);
	inet_pton(AF_INET, peer_addr, &sa.sin_addr);
	show("connect", connect(c, (struct sockaddr *)&sa, sizeof(sa)));
	await(c, POLLOUT);
	peer(CLOSE, 0);
	peer(ACCEPT, 0);
	do_epoll(ep, 30000);
	peer(SEND, 5);
	await(c, POLLIN);
	do_epoll(ep, 30000);
	rx_pos = 0;
	take(c, 10, 0);
	close(ep);
	close(c);
}

CASE(a_listener_and_its_connections_in_one_instance)
{
	int port, l = listen_on(NULL, &port), ep = epoll_with(l, EPOLLIN | EPOLLET), c;

	peer(CLOSE, 0);
	do_epoll(ep, 0);
	peer(CONNECT, port);
	do_epoll(ep, 30000);
	c = accept(l, NULL, NULL);
	ctl_of(ep, EPOLL_CTL_ADD, c, EPOLLIN | EPOLLRDHUP | EPOLLET, 5);
	do_epoll(ep, 0);
	peer(SEND, 5);
	do_epoll(ep, 30000);
	take(c, 10, 0);
	peer(SHUT_WRITE, 0);
	do_epoll(ep, 30000);
	close(c);
	close(l);
	close(ep);
}

CASE(modified_while_disarmed)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 1 };
	int ep = epoll_with(s, EPOLLIN | EPOLLONESHOT);

	peer(SEND, 3);
	do_epoll(ep, 30000);
	do_epoll(ep, 0);
	e.events = EPOLLOUT | EPOLLONESHOT;
	epoll_ctl(ep, EPOLL_CTL_MOD, s, &e);
	do_epoll(ep, 30000);
	e.events = EPOLLIN | EPOLLONESHOT | EPOLLET;
	e.data.u64 = 2;
	epoll_ctl(ep, EPOLL_CTL_MOD, s, &e);
	do_epoll(ep, 30000);
	peer(SEND, 3);
	do_epoll(ep, 0);
	epoll_ctl(ep, EPOLL_CTL_DEL, s, &e);
	show("mod", epoll_ctl(ep, EPOLL_CTL_MOD, s, &e));
	e.events = 0;
	epoll_ctl(ep, EPOLL_CTL_ADD, s, &e);
	do_epoll(ep, 0);
	e.events = EPOLLIN;
	epoll_ctl(ep, EPOLL_CTL_MOD, s, &e);
	do_epoll(ep, 30000);
	take(s, 10, 0);
	close(ep);
}

CASE(an_exclusive_registration_is_not_modified)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = 1 };
	int ep = epoll_with(s, EPOLLIN | EPOLLEXCLUSIVE);

	show("mod", epoll_ctl(ep, EPOLL_CTL_MOD, s, &e));
	peer(SEND, 3);
	do_epoll(ep, 30000);
	show("del", epoll_ctl(ep, EPOLL_CTL_DEL, s, NULL));
	show("add", epoll_ctl(ep, EPOLL_CTL_ADD, s, &e));
	e.events |= EPOLLEXCLUSIVE;
	show("mod", epoll_ctl(ep, EPOLL_CTL_MOD, s, &e));
	e.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT;
	show("del", epoll_ctl(ep, EPOLL_CTL_DEL, s, NULL));
	show("add", epoll_ctl(ep, EPOLL_CTL_ADD, s, &e));
	e.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLET;
	show("add", epoll_ctl(ep, EPOLL_CTL_ADD, s, &e));
	do_epoll(ep, 30000);
	do_epoll(ep, 0);
	peer(SEND, 3);
	do_epoll(ep, 30000);
	show("add null", epoll_ctl(ep, EPOLL_CTL_MOD, s, NULL));
	show("itself", epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e));
	show("into a socket", epoll_ctl(s, EPOLL_CTL_ADD, ep, &e));
	show("a socket into a socket", epoll_ctl(s, EPOLL_CTL_ADD, s, &e));
	show("no such op", epoll_ctl(ep, 77, s, &e));
	show("closed", epoll_ctl(ep, EPOLL_CTL_ADD, 999, &e));
	take(s, 10, 0);
	close(ep);
}

/* More than there are contexts for: those that came last must hear as well. */
CASE(the_last_of_many_instances)
{
	int ep[80], last = ARRAY_SIZE(ep) - 1;

	for (size_t i = 0; i < ARRAY_SIZE(ep); i++)
		ep[i] = epoll_with(s, EPOLLIN);
	do_poll(ep[last - 1], POLLIN, 0);
	later(SHORT_MS, SEND, 3);
	do_epoll(ep[last], 30000);
	do_poll(ep[last - 1], POLLIN, 30000);
	take(s, 10, 0);
	do_poll(ep[last - 1], POLLIN, 0);
	do_epoll(ep[last], 0);
	later(SHORT_MS, SEND, 3);
	do_poll(ep[last - 1], POLLIN, 30000);
	take(s, 10, 0);
	for (size_t i = 0; i < ARRAY_SIZE(ep); i++)
		close(ep[i]);
}

CASE(a_dup_of_an_instance_whose_first_fd_is_closed)
{
	int ep = epoll_with(s, EPOLLIN), d = dup(ep), p[2];

	close(ep);
	(void)!pipe(p);				/* may have its number */
	show("mod", ctl_of(d, EPOLL_CTL_MOD, s, EPOLLOUT, 78));
	do_epoll(d, 30000);
	show("del", ctl_of(d, EPOLL_CTL_DEL, s, 0, 0));
	do_epoll(d, 0);
	show("add", ctl_of(d, EPOLL_CTL_ADD, s, EPOLLIN, 79));
	later(SHORT_MS, SEND, 5);
	do_epoll(d, 30000);
	close(p[0]);
	close(p[1]);
	close(d);
}

struct wait_in {
	int ep;
	_Atomic pid_t tid;
};

static void *waits_in(void *arg)
{
	struct wait_in *w = arg;

	w->tid = gettid();
	do_epoll(w->ep, 30000);
	return NULL;
}

/* The kernel keeps it until the thread returns. */
CASE(a_thread_closes_the_instance_another_waits_in)
{
	struct wait_in w = { .ep = epoll_with(s, EPOLLIN) };
	int other;
	pthread_t t;

	pthread_create(&t, NULL, waits_in, &w);
	asleep_in_epoll(&w.tid);
	close(w.ep);
	other = epoll_create1(0);
	say("its number %d", other == w.ep);
	later(1, SEND, 5);
	pthread_join(t, NULL);
	take(s, 10, 0);
	do_epoll(other, 0);
	show("add", ctl_of(other, EPOLL_CTL_ADD, s, EPOLLIN, 78));
	later(SHORT_MS, SEND, 5);
	do_epoll(other, 30000);
	close(other);
}

/* Every ten seconds they are looked at in any case. */
CASE(the_last_of_many_instances_in_another)
{
	int ep[80], last = ARRAY_SIZE(ep) - 1, out;
	struct pollfd p;

	for (size_t i = 0; i < ARRAY_SIZE(ep); i++)
		ep[i] = epoll_with(s, EPOLLIN);
	out = epoll_with(ep[last], EPOLLIN);
	do_epoll(out, 0);
	p = (struct pollfd){ .fd = out, .events = POLLIN };
	for (int i = 0; i < 4; i++) {		/* who hears of it by the shim's heart only hangs */
		later(SHORT_MS, SEND, 3);
		do_epoll(out, 30000);
		take(s, 10, 0);
		while (epoll_wait(ep[last], &(struct epoll_event){ 0 }, 1, 0) > 0)
			;
		later(SHORT_MS, SEND, 3);
		show("poll", poll(&p, 1, 30000));
		take(s, 10, 0);
		while (epoll_wait(ep[last], &(struct epoll_event){ 0 }, 1, 0) > 0)
			;
	}
	close(out);
	for (size_t i = 0; i < ARRAY_SIZE(ep); i++)
		close(ep[i]);
}

CASE(a_child_waits_in_the_outer_instance)
{
	int in = epoll_with(s, EPOLLIN), out = epoll_with(in, EPOLLIN), status;
	pid_t pid;

	do_epoll(out, 0);
	pid = fork();
	if (pid == 0) {
		do_epoll(out, 30000);
		do_epoll(in, 30000);
		take(s, 10, 0);
		_exit(0);
	}
	close(in);
	close(out);
	close(s);
	later(SHORT_MS, SEND, 3);
	waitpid(pid, &status, 0);
	say("status %d", status);
}
