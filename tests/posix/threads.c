/* SPDX-License-Identifier: BSD-2-Clause
 *
 * threads.c - several threads with one socket or one epoll instance.
 */
#include "posix.h"

static int shared_fd;

static void *late_shutdown(void *arg)
{
	sleep_ms(SHORT_MS);
	shutdown(shared_fd, *(int *)arg);
	return NULL;
}

CASE(a_thread_shuts_down_while_another_reads)
{
	pthread_t t;
	int how = SHUT_RD;

	shared_fd = s;
	pthread_create(&t, NULL, late_shutdown, &how);
	take(s, 10, 0);
	pthread_join(t, NULL);
}

CASE(a_thread_shuts_down_while_another_polls)
{
	pthread_t t;
	int how = SHUT_RDWR;

	shared_fd = s;
	pthread_create(&t, NULL, late_shutdown, &how);
	do_poll(s, POLLIN | POLLRDHUP, 30000);
	pthread_join(t, NULL);
}

CASE(a_thread_shuts_down_while_another_epolls)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLRDHUP);
	pthread_t t;
	int how = SHUT_RD;

	shared_fd = s;
	pthread_create(&t, NULL, late_shutdown, &how);
	do_epoll(ep, 30000);
	pthread_join(t, NULL);
	close(ep);
}

static void *reader(void *arg)
{
	unsigned char b[1000];
	long *sum = arg;
	ssize_t n;

	while ((n = recv(shared_fd, b, sizeof(b), 0)) > 0)
		*sum += n;
	return NULL;
}

CASE(threads_share_the_reading)
{
	pthread_t t[4];
	long sum[4] = { 0 };

	shared_fd = s;
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, reader, &sum[i]);
	peer(SEND, 300000);
	peer(SHUT_WRITE, 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	say("together %ld", sum[0] + sum[1] + sum[2] + sum[3]);
}

static void *epoll_taker(void *arg)
{
	struct epoll_event e;
	unsigned char b[64];
	long *sum = arg;
	ssize_t n;

	for (;;) {
		if (epoll_wait(shared_fd, &e, 1, 30000) <= 0)
			return NULL;
		n = recv((int)e.data.u64, b, sizeof(b), MSG_DONTWAIT);
		if (n == 0)
			return NULL;
		if (n > 0)
			*sum += n;
	}
}

CASE(threads_share_an_epoll)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = (uint64_t)s };
	pthread_t t[4];
	long sum[4] = { 0 };

	shared_fd = epoll_create1(0);
	epoll_ctl(shared_fd, EPOLL_CTL_ADD, s, &e);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, epoll_taker, &sum[i]);
	peer(SEND, 30000);
	peer(SHUT_WRITE, 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	say("together %ld", sum[0] + sum[1] + sum[2] + sum[3]);
	close(shared_fd);
}

static void *many_signals(void *arg)
{
	pthread_t *to = arg;

	for (int i = 0; i < 200; i++) {
		pthread_kill(*to, SIGALRM);
		sleep_ms(1);
	}
	return NULL;
}

/* Pieces of any size, but every byte once. */
CASE(signals_lose_no_bytes)
{
	static unsigned char buf[65536];
	pthread_t t, me = pthread_self();

	handle(SIGALRM, SA_RESTART);
	pthread_create(&t, NULL, many_signals, &me);
	later(1, RECV, 8 * BIG);
	while (tx_pos < 8 * BIG) {
		uint64_t pos = tx_pos;
		ssize_t n;

		fill(buf, sizeof(buf), &pos);
		n = write(s, buf, sizeof(buf));
		if (n > 0)
			tx_pos += (uint64_t)n;
		else if (errno != EINTR)
			break;
	}
	pthread_join(t, NULL);
	peer(SEND, 1);
	take_all(s, 1);
}

/* ---- threads that are cancelled ------------------------------------------------------- */

static void *waits_in_recv(void *arg)
{
	recv(shared_fd, arg, 10, 0);
	return NULL;
}

static void *waits_in_send(void *arg)
{
	send(shared_fd, arg, 10, 0);
	return NULL;
}

static void *waits_in_poll(void *arg)
{
	struct pollfd p = { .fd = shared_fd, .events = POLLIN };

	(void)arg;
	poll(&p, 1, -1);
	return NULL;
}

static void *waits_in_select(void *arg)
{
	fd_set r;

	(void)arg;
	FD_ZERO(&r);
	FD_SET(shared_fd, &r);
	select(shared_fd + 1, &r, NULL, NULL, NULL);
	return NULL;
}

static void *waits_in_epoll(void *arg)
{
	struct epoll_event e;

	epoll_wait(*(int *)arg, &e, 1, -1);
	return NULL;
}

static void *reads_for_ever(void *arg)
{
	for (;;)
		(void)!recv(shared_fd, arg, 1, MSG_PEEK);
	return NULL;
}

static void cancelled(const char *what, void *(*work)(void *), void *arg)
{
	void *ret = NULL;
	pthread_t t;

	pthread_create(&t, NULL, work, arg);
	sleep_ms(SHORT_MS);
	pthread_cancel(t);
	pthread_join(t, &ret);
	say("%s: %s", what, ret == PTHREAD_CANCELED ? "cancelled" : "returned");
}

CASE(a_thread_that_waits_is_cancelled)
{
	int ep = epoll_with(s, EPOLLIN);
	char b[10];

	shared_fd = s;
	cancelled("recv", waits_in_recv, b);
	cancelled("poll", waits_in_poll, NULL);
	cancelled("select", waits_in_select, NULL);
	cancelled("epoll_wait", waits_in_epoll, &ep);
	peer(SEND, 5);
	do_epoll(ep, 30000);
	cancelled("busy recv", reads_for_ever, b);
	take(s, 10, 0);
	stuff(s);
	cancelled("send", waits_in_send, b);
	close(ep);
}

CASE(many_threads_that_poll_are_cancelled)
{
	char b[10];

	shared_fd = s;
	for (int i = 0; i < 70; i++) {
		pthread_t t;

		pthread_create(&t, NULL, waits_in_poll, b);
		sleep_ms(1);
		pthread_cancel(t);
		pthread_join(t, NULL);
	}
	later(SHORT_MS, SEND, 5);
	do_poll(s, POLLIN, 30000);
	take(s, 10, 0);
}

static void *late_close(void *arg)
{
	(void)arg;
	sleep_ms(SHORT_MS);
	close(shared_fd);
	return NULL;
}

CASE(a_thread_closes_what_another_reads)
{
	int fd = dup(s);
	pthread_t t;

	shared_fd = fd;
	pthread_create(&t, NULL, late_close, NULL);
	later(3 * SHORT_MS, SEND, 5);
	take(fd, 10, 0);
	pthread_join(t, NULL);
	take(fd, 10, 0);
	take(s, 10, MSG_DONTWAIT);
}
