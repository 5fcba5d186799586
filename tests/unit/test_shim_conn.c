/* SPDX-License-Identifier: BSD-2-Clause */
/* needs: user/shim/init.c user/shim/intercept.c user/shim/fdtable.c user/shim/lock.c */
/* needs: user/shim/ctl.c user/shim/region.c user/shim/sock.c user/shim/young.c user/shim/io.c user/shim/copy.c */
/* needs: user/shim/wait.c user/shim/epoll.c user/shim/epset.c user/shim/heart.c user/shim/kick.c user/shim/sleep.c user/shim/yield.c */
/* needs: user/shim/fork.c user/shim/pool.c user/shim/signals.c user/shim/stdio.c user/shim/info.c user/shim/confine.c */
/*
 * test_shim_conn.c - connections whose both ends are accelerated, by the fake daemon.
 *
 * The shim is linked in, so the calls here are the ones under test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <pthread.h>

#include "../../user/shim/epset.h"
#include "fake_daemon.h"

#define BULK	(3 << 20)

static pid_t daemon_pid;
static struct libc real;
static char daemon_dir[64];

struct pair {
	int a, b;
};

static struct conn *conn_at(int fd)
{
	struct conn *c = fd_conn(fd);

	if (!c)
		abort();
	return c;
}

static void finish(struct pair p)
{
	close(p.a);
	close(p.b);
}

static struct pair connect_plain(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int l = socket(AF_INET, SOCK_STREAM, 0);
	struct pair p;

	assert_int_equal(bind(l, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(l, 4), 0);
	getsockname(l, (struct sockaddr *)&sa, &len);
	p.a = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(p.a, (struct sockaddr *)&sa, sizeof(sa)), 0);
	p.b = accept(l, NULL, NULL);
	close(l);
	return p;
}

/* A daemon that has no CPU for a while is not asked, or does not answer in time: the connection is Linux's. */
static struct pair connected(void)
{
	for (int tries = 0; tries < 1200; tries++) {
		struct pair p = connect_plain();

		if (fd_ours(p.a) && fd_ours(p.b))
			return p;
		finish(p);
		usleep(50000);
	}
	fail_msg("no connection was claimed");
	return (struct pair){ -1, -1 };
}

static void read_all(int fd, void *buf, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t got = read(fd, (char *)buf + at, n - at);

		assert_true(got > 0);
		at += (size_t)got;
	}
}

static void both_ends_are_claimed_and_talk(void **state)
{
	struct pair p = connected();
	char buf[8];

	(void)state;
	assert_int_equal(write(p.a, "hello", 5), 5);
	read_all(p.b, buf, 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(write(p.b, "hi", 2), 2);
	read_all(p.a, buf, 2);
	assert_memory_equal(buf, "hi", 2);
	finish(p);
}

static void small_requests_stay_on_the_first_page(void **state)
{
	struct pair p = connected();
	struct tp_slot *s = conn_at(p.a)->slot;
	char buf[100] = { 0 };

	(void)state;
	for (int i = 0; i < 200; i++) {
		assert_int_equal(write(p.a, buf, sizeof(buf)), sizeof(buf));
		read_all(p.b, buf, sizeof(buf));
		while (atomic_load(&s->tx_tail) != atomic_load(&s->tx_head))
			sched_yield();
	}
	assert_int_equal(pipe_order(s->tx_geom), TP_ORDER_SMALL);
	assert_int_equal(pipe_offset(s->tx_geom, s->tx_head - sizeof(buf)), 0);
	finish(p);
}

/* stunnel gives up on a connection that says it is writable and then takes nothing. */
static void a_ring_that_must_go_round_first_is_not_writable(void **state)
{
	static struct region region;
	static struct tp_slot slot;
	struct conn c = { .slot = &slot, .region = &region };

	(void)state;
	slot.state = TP_SLOT_FAST;
	slot.tx_max = slot.tx_want = 65536;
	slot.tx_geom = pipe_geom(16, 0);
	slot.tx_tail = 40000;
	slot.tx_head = slot.tx_guard = 65536;
	assert_false(io_levels(&c) & EPOLLOUT);
	slot.tx_guard = 0;
	assert_true(io_levels(&c) & EPOLLOUT);
	slot.tx_guard = slot.tx_tail = 65536;
	assert_true(io_levels(&c) & EPOLLOUT);
}

static uint32_t kicks(const struct conn *c)
{
	return atomic_load(&region_lane(c->region, c->slot->thread)->head);
}

/* The fast thread goes quiet then, and Linux delivers the end. */
static void the_last_byte_before_the_peers_fin_is_told_when_read(void **state)
{
	struct pair p = connected();
	struct conn *c = conn_at(p.b);
	uint32_t before;
	char buf[8];

	(void)state;
	assert_int_equal(write(p.a, "hello", 5), 5);
	while (atomic_load(&c->slot->rx_head) != 5 ||
	       atomic_load(&conn_at(p.a)->slot->tx_tail) != 5)
		sched_yield();
	atomic_fetch_or(&c->slot->fast_flags, TP_F_EOF);
	before = kicks(c);
	assert_int_equal(recv(p.b, buf, 8, MSG_PEEK), 5);
	assert_int_equal(read(p.b, buf, 4), 4);
	assert_int_equal(kicks(c), before);
	assert_int_equal(read(p.b, buf, 4), 1);
	assert_int_equal(kicks(c), before + 1);
	assert_int_equal(read(p.b, buf, 4), 0);
	finish(p);
}

struct job {
	int fd;
	unsigned int seed;
	size_t n;
};

static unsigned char byte_at(unsigned int seed, size_t i) { return (unsigned char)(i * 7 + i / 251 + seed); }

static void *write_job(void *arg)
{
	static unsigned char buf[10007];
	struct job *j = arg;

	for (size_t at = 0; at < j->n;) {
		size_t n = j->n - at < sizeof(buf) ? j->n - at : sizeof(buf);
		ssize_t put;

		for (size_t i = 0; i < n; i++)
			buf[i] = byte_at(j->seed, at + i);
		put = write(j->fd, buf, n);
		if (put <= 0)
			break;
		at += (size_t)put;
	}
	return NULL;
}

static void expect_stream(int fd, unsigned int seed, size_t n)
{
	unsigned char buf[4099];

	for (size_t at = 0; at < n;) {
		ssize_t got = read(fd, buf, n - at < sizeof(buf) ? n - at : sizeof(buf));

		assert_true(got > 0);
		for (ssize_t i = 0; i < got; i++)
			if (buf[i] != byte_at(seed, at + (size_t)i))
				fail_msg("byte %zu is wrong", at + (size_t)i);
		at += (size_t)got;
	}
}

static void a_stream_longer_than_the_pipe_arrives_whole(void **state)
{
	struct pair p = connected();
	struct job j = { p.a, 3, BULK };
	pthread_t t;

	(void)state;
	pthread_create(&t, NULL, write_job, &j);
	expect_stream(p.b, 3, BULK);
	pthread_join(t, NULL);
	finish(p);
}

/* The daemon hands everything back while a writer is at it: not a byte lost or doubled. */
static void a_stream_survives_going_back_to_linux(void **state)
{
	(void)state;
	for (unsigned int turn = 0; turn < 8; turn++) {
		struct pair p = connected();
		struct job j = { p.a, turn, BULK };
		pthread_t t;

		pthread_create(&t, NULL, write_job, &j);
		expect_stream(p.b, turn, 1000 * (turn * turn + 1));
		kill(daemon_pid, SIGUSR1);
		for (size_t skip = 1000 * (turn * turn + 1); skip < BULK;) {
			unsigned char buf[4099];
			ssize_t got = read(p.b, buf, sizeof(buf));

			assert_true(got > 0);
			for (ssize_t i = 0; i < got; i++)
				if (buf[i] != byte_at(turn, skip + (size_t)i))
					fail_msg("turn %u, byte %zu is wrong", turn, skip + (size_t)i);
			skip += (size_t)got;
		}
		pthread_join(t, NULL);
		finish(p);
	}
}

static void unread_bytes_are_read_after_going_back(void **state)
{
	struct pair p = connected();
	char buf[8];
	int n = 0;

	(void)state;
	assert_int_equal(write(p.a, "abc", 3), 3);
	while (n < 3)
		ioctl(p.b, FIONREAD, &n);
	kill(daemon_pid, SIGUSR1);
	while (atomic_load(&conn_at(p.a)->slot->state) != TP_SLOT_LINUX)
		sched_yield();
	assert_int_equal(write(p.a, "def", 3), 3);
	read_all(p.b, buf, 6);
	assert_memory_equal(buf, "abcdef", 6);
	assert_int_equal(conn_at(p.b)->mode, CONN_PLAIN);
	finish(p);
}

static void a_daemon_that_dies_with_the_lock_resets_the_connection(void **state)
{
	struct pair p = connected();
	struct conn *c = conn_at(p.b);
	char buf[8];

	(void)state;
	atomic_store(&c->slot->rx_lock, TP_LOCK_DAEMON);
	atomic_store(&c->region->gone, true);
	assert_int_equal(read(p.b, buf, 1), -1);
	assert_int_equal(errno, ECONNRESET);
	atomic_store(&c->region->gone, false);
	atomic_store(&c->slot->rx_lock, 0);
	finish(p);
}

/* A child, killed in the midst of a read, of which nobody has taken notice yet. */
static void a_lock_of_the_dead_is_taken_over(void **state)
{
	struct pair p = connected();
	struct conn *c = conn_at(p.b);
	siginfo_t si;
	char buf[4];
	pid_t dead = fork();

	(void)state;
	if (!dead)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)dead, &si, WEXITED | WNOWAIT), 0);
	atomic_store(&c->slot->rx_lock, (uint32_t)dead);
	atomic_store(&c->slot->tx_lock, (uint32_t)dead);
	assert_int_equal(write(p.a, "abc", 3), 3);
	read_all(p.b, buf, 3);
	assert_int_equal(write(p.b, "def", 3), 3);
	read_all(p.a, buf, 3);
	waitpid(dead, NULL, 0);
	finish(p);
}

static void epoll_goes_on_after_going_back(void **state)
{
	struct pair p = connected();
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 42 }, got;
	int ep = epoll_create1(EPOLL_CLOEXEC);
	char buf[4];

	(void)state;
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, p.b, &ev), 0);
	assert_int_equal(write(p.a, "x", 1), 1);
	assert_int_equal(epoll_wait(ep, &got, 1, 5000), 1);
	kill(daemon_pid, SIGUSR1);
	while (atomic_load(&conn_at(p.b)->slot->state) != TP_SLOT_LINUX)
		sched_yield();
	read_all(p.b, buf, 1);
	assert_int_equal(epoll_wait(ep, &got, 1, 0), 0);
	assert_int_equal(write(p.a, "y", 1), 1);
	assert_int_equal(epoll_wait(ep, &got, 1, 5000), 1);
	assert_int_equal(got.data.u64, 42);
	assert_int_equal(got.events, EPOLLIN);
	read_all(p.b, buf, 1);
	close(ep);
	finish(p);
}

static void stop_the_daemon(void)
{
	int status;

	kill(daemon_pid, SIGSTOP);
	assert_int_equal(waitpid(daemon_pid, &status, WUNTRACED), daemon_pid);
}

/* The daemon says nothing from here on, and has said nothing for so long that one may wonder in 50 ms. */
static void silence_daemon(struct tp_region *head)
{
	stop_the_daemon();
	atomic_store(&head->heartbeat_ns, now_ns() - SILENCE_NS + NSEC / 20);
}

/* Until its heart has beaten: before that nobody asks it for anything. */
static void let_daemon_go_on(struct tp_region *head)
{
	uint64_t beat = atomic_load(&head->heartbeat_ns);

	kill(daemon_pid, SIGCONT);
	while (atomic_load(&head->heartbeat_ns) == beat)
		usleep(1000);
}

/* Too late to find that nothing is told yet: the machine stood still. */
static bool is_silent(struct tp_region *head)
{
	return now_ns() - atomic_load(&head->heartbeat_ns) >= SILENCE_NS;
}

/* An epoll instance with @fd, whose context needs no daemon. */
static int instance_with(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 42 };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
	return ep;
}

/* Nobody wakes it but the instance's own timer. */
static void a_sleeper_in_epoll_notices_a_daemon_that_died(void **state)
{
	struct pair p = connected();
	struct region *r = fd_conn(p.b)->region;
	struct epoll_event got;
	int ep;

	(void)state;
	close(instance_with(p.b));
	silence_daemon(r->base);
	ep = instance_with(p.b);
	assert_int_equal(epoll_wait(ep, &got, 1, -1), 1);
	assert_int_equal(got.data.u64, 42);
	assert_true(got.events & EPOLLERR);
	assert_true(atomic_load(&r->gone));
	atomic_store(&r->gone, false);
	let_daemon_go_on(r->base);
	close(ep);
	finish(p);
}

/* Whoever polls the instance hears as well, and then finds what it is. Without a heart (@heartless: shared
 * since a fork) poll's own time limit notices.
 */
static void a_poller_of_the_instance_notices(bool heartless)
{
	struct pair p = connected();
	struct region *r = fd_conn(p.b)->region;
	struct pollfd set = { .events = POLLIN };
	struct epoll_event got;
	int ep;

	close(instance_with(p.b));
	silence_daemon(r->base);
	ep = instance_with(p.b);
	if (heartless)
		heart_stop(fd_get(ep, TAG_EPOLL));
	assert_true(epoll_wait(ep, &got, 1, 0) == 0 || is_silent(r->base));
	set.fd = ep;
	assert_int_equal(poll(&set, 1, 5000), 1);
	assert_int_equal(set.revents, POLLIN);
	assert_int_equal(epoll_wait(ep, &got, 1, 0), 1);
	assert_true(got.events & EPOLLERR);
	atomic_store(&r->gone, false);
	let_daemon_go_on(r->base);
	close(ep);
	finish(p);
}

static void who_polls_an_instance_notices_a_daemon_that_died(void **state)
{
	(void)state;
	a_poller_of_the_instance_notices(false);
}

static void so_does_who_polls_one_without_a_heart(void **state)
{
	(void)state;
	a_poller_of_the_instance_notices(true);
}

/* Due, but the daemon was heard of since: nobody hears of it, and it is due again. */
static void a_heart_that_beats_wakes_nobody(void **state)
{
	struct pair p = connected();
	struct region *r = fd_conn(p.b)->region;
	struct tp_region *head = r->base;
	struct epoll_event got;
	int ep;

	(void)state;
	close(instance_with(p.b));
	silence_daemon(head);
	ep = instance_with(p.b);
	atomic_store(&head->heartbeat_ns, now_ns() - SILENCE_NS + NSEC / 5);
	assert_true(epoll_wait(ep, &got, 1, 100) == 0 || is_silent(head));
	assert_true(!atomic_load(&r->gone) || is_silent(head));
	assert_int_equal(epoll_wait(ep, &got, 1, -1), 1);
	assert_true(atomic_load(&r->gone));
	atomic_store(&r->gone, false);
	let_daemon_go_on(r->base);
	close(ep);
	finish(p);
}

/* As after a pause of the whole machine: the daemon has said nothing for long, but will in a moment. */
static void a_program_that_stood_still_with_its_daemon_does_not_give_it_up(void **state)
{
	struct pair p = connected();
	struct region *r = fd_conn(p.b)->region;
	struct tp_region *head = r->base;
	char c;

	(void)state;
	stop_the_daemon();
	atomic_store(&head->heartbeat_ns, now_ns() - 2 * SILENCE_NS);
	assert_int_equal(recv(p.b, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_false(region_silent(r));
	let_daemon_go_on(head);
	assert_int_equal(write(p.a, "x", 1), 1);
	read_all(p.b, &c, 1);
	assert_false(atomic_load(&r->gone));
	finish(p);
}

/* What was asked for while it stood still is given up, and nothing else is: not the link, whose end would
 * take away the context by which an instance hears of older connections.
 */
static void an_instance_hears_of_events_after_the_daemon_stood_still(void **state)
{
	struct pair p = connected(), q;
	struct tp_region *head = fd_conn(p.b)->region->base;
	uint32_t links = ctl_epoch();
	int ep = instance_with(p.b);
	struct epoll_event got;
	char buf[8];

	(void)state;
	assert_int_equal(epoll_wait(ep, &got, 1, 0), 0);
	stop_the_daemon();
	q = connect_plain();
	assert_null(fd_ours(q.a));
	assert_null(fd_ours(q.b));
	let_daemon_go_on(head);

	assert_int_equal(write(p.a, "old", 3), 3);
	assert_int_equal(epoll_wait(ep, &got, 1, -1), 1);
	read_all(p.b, buf, 3);
	assert_int_equal(write(q.a, "new", 3), 3);
	read_all(q.b, buf, 3);
	assert_memory_equal(buf, "new", 3);
	finish(q);
	q = connected();
	assert_int_equal(ctl_epoch(), links);
	finish(q);
	close(ep);
	finish(p);
}

/* A process that has no link yet: HELLO is said once, and waits for the daemon, who is not waited for. */
static void a_first_link_is_made_when_a_stopped_daemon_goes_on(void **state)
{
	struct pair p = connected();
	uint32_t known = region_count, status = 0;
	struct tp_region *head = fd_conn(p.b)->region->base;
	pid_t child;

	(void)state;
	stop_the_daemon();
	child = fork();
	if (!child) {
		finish(connect_plain());
		finish(connect_plain());
		let_daemon_go_on(head);
		while (!ctl_up())
			usleep(1000);
		_exit(region_count == known + 1 && regions[known].id == regions[known - 1].id + 1 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, (int *)&status, 0), child);
	assert_int_equal(status, 0);
	finish(p);
}

static int wait_for_a_pipe(int how, int fd, int ep)
{
	struct timespec none = { 0 };
	struct timeval now = { 0 };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct epoll_event e;
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	switch (how) {
	case 0: return poll(&p, 1, 0);
	case 1: return ppoll(&p, 1, &none, NULL);
	case 2: return select(fd + 1, &set, NULL, NULL, &now);
	case 3: return pselect(fd + 1, &set, NULL, NULL, &none, NULL);
	case 4: return epoll_wait(ep, &e, 1, 1);
	default: return epoll_pwait(ep, &e, 1, 1, NULL);
	}
}

/* A fast thread that lets us run waits for nothing meanwhile: a lock may be a message that comes by a pipe. */
static void who_waits_for_what_is_not_ours_lets_the_thread_go(void **state)
{
	struct pair p = connected();
	struct region *r = fd_conn(p.a)->region;
	struct epoll_event e = { .events = EPOLLIN };
	int fds[2], ep = epoll_create1(0), bad = -1;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &e), 0);
	stop_the_daemon();
	for (int how = 0; how < 6; how++) {
		atomic_store(&region_lane(r, 0)->sleep, TP_THREAD_WAIT_KICK);
		if (wait_for_a_pipe(how, fds[0], ep) ||
		    atomic_load(&region_lane(r, 0)->sleep) != TP_THREAD_AWAKE)
			bad = how;
	}
	let_daemon_go_on(r->base);
	assert_int_equal(bad, -1);
	close(ep);
	close(fds[0]);
	close(fds[1]);
	finish(p);
}

#define BEGINNERS	8

static void *opens_a_socket(void *barrier)
{
	int fd;

	pthread_barrier_wait(barrier);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	return fd >= 0 && fd_conn(fd) ? barrier : NULL;
}

/* How many of the threads of a new process that all open a socket at once have it watched. */
static int watched_by_beginners(void)
{
	pthread_t thread[BEGINNERS];
	pthread_barrier_t barrier;
	int watched = 0;

	pthread_barrier_init(&barrier, NULL, BEGINNERS);
	for (int i = 0; i < BEGINNERS; i++)
		pthread_create(&thread[i], NULL, opens_a_socket, &barrier);
	for (int i = 0; i < BEGINNERS; i++) {
		void *got = NULL;

		pthread_join(thread[i], &got);
		watched += got != NULL;
	}
	return watched;
}

/* A daemon that has no CPU for a second answers none of them, or only the last. */
static void threads_that_begin_together_all_find_the_daemon(void **state)
{
	int good = 0;

	(void)state;
	while (good < 50) {
		uint64_t since = now_ns();
		int status, watched;
		pid_t child = fork();

		if (!child)
			_exit(watched_by_beginners());
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		watched = WEXITSTATUS(status);
		if (watched == BEGINNERS)
			good++;
		else if (now_ns() - since < NSEC / 2)
			fail_msg("%d of %d sockets are watched", watched, BEGINNERS);
	}
}

/* A program that only accepts asks a daemon that has died for nothing, but looks for another. */
static void another_daemon_is_found_by_who_asks_for_nothing(void **state)
{
	uint32_t links;

	(void)state;
	finish(connected());
	links = ctl_epoch();
	fake_stop(daemon_pid, daemon_dir);
	assert_true(mkdir(daemon_dir, 0700) == 0);
	daemon_pid = fake_start_in(daemon_dir);
	assert_true(daemon_pid > 0);
	for (int i = 0; ctl_epoch() == links && i < 60000; i++) {
		ctl_up();
		usleep(1000);
	}
	assert_int_not_equal(ctl_epoch(), links);
	finish(connected());
}

static void the_readers_end_is_seen_after_the_last_byte(void **state)
{
	struct pair p = connected();
	char buf[8];

	(void)state;
	assert_int_equal(write(p.a, "bye", 3), 3);
	shutdown(p.a, SHUT_WR);
	read_all(p.b, buf, 3);
	assert_int_equal(read(p.b, buf, 1), 0);
	finish(p);
}

/* libc's own write inside fprintf goes past us, so the connection must be Linux's by then. */
static void a_stream_of_libcs_sends_the_connection_back(void **state)
{
	struct pair p = connected();
	char buf[8];
	FILE *f;

	(void)state;
	assert_int_equal(write(p.a, "ab", 2), 2);
	f = fdopen(p.a, "w");
	assert_non_null(f);
	fputs("cd", f);
	fflush(f);
	kill(daemon_pid, SIGUSR1);		/* the other end too, as the real daemon's peer is Linux */
	read_all(p.b, buf, 4);
	assert_memory_equal(buf, "abcd", 4);
	fclose(f);
	fd_forget(p.a);
	close(p.b);
}

static void a_context_is_used_again(void **state)
{
	struct pair p = connected();
	struct pollfd fd = { .fd = p.a, .events = POLLIN };
	int first, second;

	(void)state;
	assert_int_equal(poll(&fd, 1, 2), 0);
	first = ctx_get(conn_at(p.a));
	ctx_put(conn_at(p.a)->region, first);
	assert_int_equal(poll(&fd, 1, 2), 0);
	second = ctx_get(conn_at(p.a));
	ctx_put(conn_at(p.a)->region, second);
	assert_int_equal(first, second);
	finish(p);
}

/* ---- threads that vanish from a wait ---------------------------------------------------- */

static _Atomic bool asleep;

/* All is in place, and the thread is about to sleep. */
static int poll_told(struct pollfd *fds, nfds_t n, const struct timespec *limit, const sigset_t *mask)
{
	if (!limit || limit->tv_sec || limit->tv_nsec)
		asleep = true;
	return real.ppoll(fds, n, limit, mask);
}

static int epoll_told(int epfd, struct epoll_event *evs, int max, const struct timespec *limit,
		      const sigset_t *mask)
{
	asleep = true;
	return real.epoll_pwait2(epfd, evs, max, limit, mask);
}

static int epoll_told_ms(int epfd, struct epoll_event *evs, int max, int ms, const sigset_t *mask)
{
	if (ms)
		asleep = true;
	return real.epoll_pwait(epfd, evs, max, ms, mask);
}

static void tell_sleeps(void)
{
	asleep = false;
	real = libc_calls;
	libc_calls.ppoll = poll_told;
	libc_calls.epoll_pwait2 = epoll_told;
	libc_calls.epoll_pwait = epoll_told_ms;
}

static void *polls_for_ever(void *arg)
{
	struct pollfd p = { .fd = *(int *)arg, .events = POLLIN };

	for (;;)
		poll(&p, 1, -1);
	return NULL;
}

static void *epolls_for_ever(void *arg)
{
	struct epoll_event e;

	for (;;)
		epoll_wait(*(int *)arg, &e, 1, -1);
	return NULL;
}

static void cancelled_asleep(void *(*job)(void *), int fd)
{
	pthread_t t;

	tell_sleeps();
	pthread_create(&t, NULL, job, &fd);
	while (!asleep)
		sched_yield();
	pthread_cancel(t);
	pthread_join(t, NULL);
	libc_calls = real;
}

static sigjmp_buf out_of_here;
static void jumps(int sig) { siglongjmp(out_of_here, sig); }

static void *interrupts(void *arg)
{
	while (!asleep)
		sched_yield();
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void jumped_out_of(void *(*job)(void *), int fd)
{
	struct sigaction sa = { .sa_handler = jumps }, old;
	pthread_t me = pthread_self(), t;

	sigaction(SIGUSR1, &sa, &old);
	tell_sleeps();
	if (sigsetjmp(out_of_here, 1) == 0) {
		pthread_create(&t, NULL, interrupts, &me);
		job(&fd);
	}
	libc_calls = real;
	pthread_join(t, NULL);
	sigaction(SIGUSR1, &old, NULL);
}

static void a_thread_that_vanishes_gives_its_context_back(void **state)
{
	struct pair p = connected();
	struct conn *c = conn_at(p.a);
	uint64_t idle;

	(void)state;
	assert_int_equal(poll(&(struct pollfd){ .fd = p.a, .events = POLLIN }, 1, 2), 0);
	idle = c->region->ctx_idle;
	assert_int_not_equal(idle, 0);
	cancelled_asleep(polls_for_ever, p.a);
	assert_int_equal(c->region->ctx_idle, idle);
	jumped_out_of(polls_for_ever, p.a);
	assert_int_equal(c->region->ctx_idle, idle);
	assert_int_equal(c->slot->notify, 0);
	finish(p);
}

static void a_thread_that_vanishes_sleeps_in_no_instance(void **state)
{
	struct pair p = connected();
	struct epoll_event e = { .events = EPOLLIN };
	int ep = epoll_create1(0);
	struct epset *set;

	(void)state;
	epoll_ctl(ep, EPOLL_CTL_ADD, p.a, &e);
	set = fd_get(ep, TAG_EPOLL);
	cancelled_asleep(epolls_for_ever, ep);
	assert_int_equal(set->sleepers, 0);
	assert_int_equal(set->refs, 1);
	jumped_out_of(epolls_for_ever, ep);
	assert_int_equal(set->sleepers, 0);
	cancelled_asleep(polls_for_ever, ep);
	jumped_out_of(polls_for_ever, ep);
	assert_int_equal(set->sleepers, 0);
	assert_int_equal(set->refs, 1);
	close(ep);
	finish(p);
}

/* ---- signal handlers that close ---------------------------------------------------------- */

static int close_meanwhile[3];
static struct conn *probe;
static uint32_t mode_inside;

/* A handler runs in the midst of epoll_ctl(). */
static int ctl_interrupted(int epfd, int op, int fd, struct epoll_event *ev)
{
	for (size_t i = 0; i < ARRAY_SIZE(close_meanwhile); i++) {
		int closed = close_meanwhile[i];

		close_meanwhile[i] = -1;
		if (closed >= 0)
			close(closed);
	}
	mode_inside = probe->mode;
	return real.epoll_ctl(epfd, op, fd, ev);
}

static void a_handler_closes_connections_in_the_midst_of_epoll_ctl(void **state)
{
	struct pair p = connected(), q = connected();
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT };
	int ep = epoll_create1(0), gone = epoll_create1(0);
	struct conn *c = conn_at(q.a);
	struct epset *set;

	(void)state;
	epoll_ctl(ep, EPOLL_CTL_ADD, q.a, &e);
	epoll_ctl(gone, EPOLL_CTL_ADD, q.a, &e);
	epoll_ctl(gone, EPOLL_CTL_ADD, p.b, &e);
	set = fd_get(ep, TAG_EPOLL);
	real = libc_calls;
	libc_calls.epoll_ctl = ctl_interrupted;
	close_meanwhile[0] = q.a;
	close_meanwhile[1] = gone;
	close_meanwhile[2] = q.b;
	probe = c;
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, p.a, &e), 0);
	libc_calls = real;
	assert_int_equal(mode_inside, CONN_OURS);
	assert_int_equal(c->mode, CONN_FREE);
	assert_int_equal(set->live, 1);
	assert_null(conn_at(p.b)->eregs);
	assert_int_equal(epoll_wait(ep, &e, 1, 1000), 1);
	assert_int_equal(write(p.b, "x", 1), 1);
	close(ep);
	finish(p);
}

/* ---- a thread that comes between ---------------------------------------------------------- */

static int asked_about;

static ssize_t hear_while_another_opens_a_stream(int fd, struct msghdr *m, int flags)
{
	conn_stays(asked_about, conn_at(asked_about));
	return real.recvmsg(fd, m, flags);
}

/* A daemon whose heart is old is not asked: then again. */
static void what_stays_linuxs_while_the_daemon_hears_of_it_stays_so(void **state)
{
	struct sockaddr_in nobody = { .sin_family = AF_INET, .sin_port = htons(1),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint32_t mode = CONN_SOCK;

	(void)state;
	real = libc_calls;
	while (mode == CONN_SOCK) {
		asked_about = socket(AF_INET, SOCK_STREAM, 0);
		libc_calls.recvmsg = hear_while_another_opens_a_stream;
		connect(asked_about, (struct sockaddr *)&nobody, sizeof(nobody));
		libc_calls = real;
		if (fd_conn(asked_about))
			mode = conn_at(asked_about)->mode;
		close(asked_about);
	}
	assert_int_equal(mode, CONN_PLAIN);
}

/* ---- a machine that stood still ---------------------------------------------------------- */

static int poll_when_the_daemon_goes_on(struct pollfd *fds, nfds_t n, int ms)
{
	kill(daemon_pid, SIGCONT);
	return real.poll(fds, n, ms);
}

/* Our second is over at once when all goes on, and the daemon has had no time in it. (One whose heart is
 * old before we ask is not asked: then again.)
 */
static void a_daemon_that_goes_on_when_our_time_is_up_is_heard(void **state)
{
	struct pair p = connected();
	bool heard = false;

	(void)state;
	real = libc_calls;
	for (int tries = 0; tries < 5 && !heard; tries++) {
		stop_the_daemon();
		finish(p);
		libc_calls.poll = poll_when_the_daemon_goes_on;
		p = connect_plain();
		libc_calls = real;
		heard = fd_ours(p.a) && fd_ours(p.b);
		kill(daemon_pid, SIGCONT);
	}
	assert_true(heard);
	finish(p);
}

/* A fast thread on the program's CPU, in place of the daemon's, which stands still. */
struct player {
	struct fake_region region;
	struct fake_flow flow;
	struct tp_ctx *ctx;
	bool woke;			/* the sleeper */
};

static void pin_to_this_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

static void until_it_waits(struct player *p, bool asleep)
{
	struct tp_lane *lane = tp_lane_at(p->region.base, &p->region.geo, 0);
	uint32_t word;

	while (!(word = atomic_load(&p->ctx->sleep)) || (asleep && word != TP_ASLEEP)) {
		sched_yield();
		atomic_fetch_add(&lane->yielded, 1);
	}
}

/* News that are nothing to it, until some came while it yielded; then, while it sleeps, what it waits for. */
static void *play(void *arg)
{
	struct player *p = arg;

	do
		until_it_waits(p, false);
	while (fake_notify(&p->flow));
	until_it_waits(p, true);
	atomic_fetch_or(&p->flow.s->fast_flags, TP_F_EOF);
	p->woke = fake_notify(&p->flow);
	return NULL;
}

/* A context of which the daemon knows, and which is free again. */
static uint32_t context_of(struct conn *c)
{
	int ctx = ctx_get(c);

	assert_true(ctx >= 0);
	ctx_put(c->region, ctx);
	return (uint32_t)ctx;
}

static struct player play_for(int fd)
{
	struct conn *c = conn_at(fd);
	uint32_t ctx = context_of(c);
	struct player p = {
		.region = { .base = c->region->base, .geo = c->region->geo, .ctxs = ctx + 1 },
		.flow = { .s = c->slot },
		.ctx = region_ctx(c->region, ctx),
	};

	p.flow.index = (uint32_t)(c->slot - tp_slot_at(p.region.base, &p.region.geo, 0));
	p.region.ctx_fd[ctx] = c->region->ctx_fd[ctx];
	return p;
}

static void what_came_while_a_poller_yielded_does_not_hide_what_comes_when_it_sleeps(void **state)
{
	struct pair p = connected();
	struct pollfd fd = { .fd = p.a, .events = POLLIN };
	struct player player = play_for(p.a);
	struct tp_lane *lane = region_lane(conn_at(p.a)->region, 0);
	cpu_set_t before;
	pthread_t thread;

	(void)state;
	stop_the_daemon();
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	pin_to_this_cpu();
	yield_in_child();			/* forgets what the affinity was */
	player.flow.r = &player.region;
	atomic_store(&lane->sleep, TP_THREAD_AWAKE);
	atomic_store(&lane->yields_on, (uint32_t)sched_getcpu() + 1);
	assert_int_equal(pthread_create(&thread, NULL, play, &player), 0);
	assert_int_equal(poll(&fd, 1, 5000), 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(player.woke);
	atomic_store(&lane->yields_on, 0);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	yield_in_child();
	let_daemon_go_on(conn_at(p.a)->region->base);
	finish(p);
}

/* ---- many threads, one socket, one epoll ----------------------------------------------- */

#define HAMMERS	8
#define BLOWS	100
#define COMERS	2
#define CHILDREN	4
#define VISITS	8

static _Atomic bool stop_now;

static void echo(int fd)
{
	char buf[64];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n > 0)
		(void)!send(fd, buf, (size_t)n, MSG_NOSIGNAL);
}

static void echo_once(int ep)
{
	struct epoll_event ev;

	if (epoll_wait(ep, &ev, 1, 20) == 1)
		echo(ev.data.fd);
}

static void *echo_by_epoll(void *arg)
{
	while (!atomic_load(&stop_now))
		echo_once(((int *)arg)[0]);
	return NULL;
}

static void *echo_by_poll(void *arg)
{
	struct pollfd p = { .fd = ((int *)arg)[1], .events = POLLIN };

	while (!atomic_load(&stop_now))
		if (poll(&p, 1, 20) == 1)
			echo(p.fd);
	return NULL;
}

/* The other fd of the socket comes and goes, and stands in the epoll now and then. */
static void *change(void *arg)
{
	const int *a = arg;

	while (!atomic_load(&stop_now)) {
		int copy = dup(a[1]);
		struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.fd = a[1] };

		epoll_ctl(a[0], EPOLL_CTL_ADD, copy, &ev);
		ev.events = EPOLLIN | EPOLLONESHOT;
		epoll_ctl(a[0], EPOLL_CTL_MOD, copy, &ev);
		echo(copy);
		epoll_ctl(a[0], EPOLL_CTL_DEL, copy, &ev);
		close(copy);
	}
	return NULL;
}

/* Children share socket and epoll while their parent goes on. */
static void *have_children(void *arg)
{
	for (int i = 0; i < CHILDREN; i++) {
		pid_t child = fork();

		if (!child) {
			for (int k = 0; k < 10; k++)
				echo_once(((int *)arg)[0]);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
	return NULL;
}

static void *open_and_close(void *arg)
{
	int ep = *(int *)arg;

	for (int i = 0; i < VISITS; i++) {
		struct pair p = connected();
		struct epoll_event ev = { .events = EPOLLIN, .data.fd = p.b };
		char c;

		epoll_ctl(ep, EPOLL_CTL_ADD, p.b, &ev);
		assert_int_equal(write(p.a, "z", 1), 1);
		assert_int_equal(read(p.a, &c, 1), 1);
		finish(p);
	}
	return NULL;
}

static void *write_on(void *arg)
{
	while (!atomic_load(&stop_now) && send(*(int *)arg, "n", 1, MSG_NOSIGNAL) == 1)
		;
	return NULL;
}

static void *read_on(void *arg)
{
	char buf[4];

	while (!atomic_load(&stop_now) && read(*(int *)arg, buf, sizeof(buf)) > 0)
		;
	return NULL;
}

#define LOW	200			/* fds that nobody else gets */

static struct pair connected_at(int at)
{
	struct pair p = connected(), to = { at, at + 1 };

	dup2(p.a, to.a);
	dup2(p.b, to.b);
	finish(p);
	return to;
}

/* Closed under threads that write, read and sleep; and another in its place, with its memory and numbers. */
static void *close_under_others(void *arg)
{
	for (int i = 0; i < VISITS; i++) {
		struct pair p = connected_at(LOW);
		pthread_t t[3];

		(void)arg;
		pthread_create(&t[0], NULL, write_on, &p.a);
		pthread_create(&t[1], NULL, read_on, &p.b);
		pthread_create(&t[2], NULL, read_on, &p.a);
		for (int again = 0; again < 2; again++) {
			sched_yield();
			shutdown(p.a, SHUT_RDWR);
			shutdown(p.b, SHUT_RDWR);
			finish(p);
			if (!again)
				connected_at(LOW);
		}
		for (int k = 0; k < 3; k++)
			pthread_join(t[k], NULL);
	}
	return NULL;
}

/* To the sanitizer an fd is a word that close() and dup() write and recv() reads: the race that is meant here. */
static int close_unseen(int fd) { return (int)syscall(SYS_close, fd); }
static int dup_unseen(int fd) { return (int)syscall(SYS_dup, fd); }
static int dup2_unseen(int from, int to) { return (int)syscall(SYS_dup3, from, to, 0); }
static int socket_unseen(int d, int t, int p) { return (int)syscall(SYS_socket, d, t, p); }
static int accept_unseen(int fd, struct sockaddr *a, socklen_t *len)
{
	return (int)syscall(SYS_accept4, fd, a, len, 0);
}

static int epoll_ctl_unseen(int ep, int op, int fd, struct epoll_event *ev)
{
	return (int)syscall(SYS_epoll_ctl, ep, op, fd, ev);
}

static ssize_t read_unseen(int fd, void *b, size_t n) { return syscall(SYS_read, fd, b, n); }
static ssize_t write_unseen(int fd, const void *b, size_t n) { return syscall(SYS_write, fd, b, n); }
static ssize_t recv_unseen(int fd, void *b, size_t n, int flags)
{
	return syscall(SYS_recvfrom, fd, b, n, flags, NULL, NULL);
}
static ssize_t send_unseen(int fd, const void *b, size_t n, int flags)
{
	return syscall(SYS_sendto, fd, b, n, flags, NULL, 0);
}

static void do_not_watch_fds(void)
{
	libc_calls.read = read_unseen;
	libc_calls.write = write_unseen;
	libc_calls.recv = recv_unseen;
	libc_calls.send = send_unseen;
	libc_calls.epoll_ctl = epoll_ctl_unseen;
	libc_calls.close = close_unseen;
	libc_calls.dup = dup_unseen;
	libc_calls.dup2 = dup2_unseen;
	libc_calls.socket = socket_unseen;
	libc_calls.accept = accept_unseen;
}

static void threads_share_sockets_and_an_epoll_while_others_come_and_go(void **state)
{
	static void *(*const work[])(void *) = { echo_by_epoll, echo_by_epoll, echo_by_poll, change };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct pair p = connected();
	int shared[] = { ep, p.b };
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = p.b };
	struct libc real = libc_calls;
	pthread_t t[HAMMERS], guest[COMERS + 2];
	char c;

	(void)state;
	do_not_watch_fds();
	atomic_store(&stop_now, false);
	epoll_ctl(ep, EPOLL_CTL_ADD, p.b, &ev);
	for (int i = 0; i < HAMMERS; i++)
		pthread_create(&t[i], NULL, work[(size_t)i % ARRAY_SIZE(work)], shared);
	for (int i = 0; i < COMERS; i++)
		pthread_create(&guest[i], NULL, open_and_close, &ep);
	pthread_create(&guest[COMERS], NULL, close_under_others, NULL);
	pthread_create(&guest[COMERS + 1], NULL, have_children, shared);
	for (int i = 0; i < BLOWS; i++) {
		assert_int_equal(write(p.a, "q", 1), 1);
		assert_int_equal(read(p.a, &c, 1), 1);
	}
	for (int i = 0; i < COMERS + 2; i++)
		pthread_join(guest[i], NULL);
	atomic_store(&stop_now, true);
	for (int i = 0; i < HAMMERS; i++)
		pthread_join(t[i], NULL);
	close(ep);
	finish(p);
	libc_calls = real;
}

static int start_daemon(void **state)
{
	(void)state;
	daemon_pid = fake_start(daemon_dir);
	ctl_start();
	return daemon_pid ? 0 : -1;
}

static int stop_daemon(void **state)
{
	(void)state;
	fake_stop(daemon_pid, daemon_dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_are_claimed_and_talk),
		cmocka_unit_test(small_requests_stay_on_the_first_page),
		cmocka_unit_test(the_last_byte_before_the_peers_fin_is_told_when_read),
		cmocka_unit_test(a_ring_that_must_go_round_first_is_not_writable),
		cmocka_unit_test(a_stream_longer_than_the_pipe_arrives_whole),
		cmocka_unit_test(a_stream_survives_going_back_to_linux),
		cmocka_unit_test(unread_bytes_are_read_after_going_back),
		cmocka_unit_test(a_daemon_that_dies_with_the_lock_resets_the_connection),
		cmocka_unit_test(a_lock_of_the_dead_is_taken_over),
		cmocka_unit_test(epoll_goes_on_after_going_back),
		cmocka_unit_test(a_sleeper_in_epoll_notices_a_daemon_that_died),
		cmocka_unit_test(who_polls_an_instance_notices_a_daemon_that_died),
		cmocka_unit_test(so_does_who_polls_one_without_a_heart),
		cmocka_unit_test(a_heart_that_beats_wakes_nobody),
		cmocka_unit_test(a_program_that_stood_still_with_its_daemon_does_not_give_it_up),
		cmocka_unit_test(an_instance_hears_of_events_after_the_daemon_stood_still),
		cmocka_unit_test(a_first_link_is_made_when_a_stopped_daemon_goes_on),
		cmocka_unit_test(who_waits_for_what_is_not_ours_lets_the_thread_go),
		cmocka_unit_test(threads_that_begin_together_all_find_the_daemon),
		cmocka_unit_test(another_daemon_is_found_by_who_asks_for_nothing),
		cmocka_unit_test(the_readers_end_is_seen_after_the_last_byte),
		cmocka_unit_test(a_stream_of_libcs_sends_the_connection_back),
		cmocka_unit_test(a_context_is_used_again),
		cmocka_unit_test(a_thread_that_vanishes_gives_its_context_back),
		cmocka_unit_test(a_thread_that_vanishes_sleeps_in_no_instance),
		cmocka_unit_test(a_handler_closes_connections_in_the_midst_of_epoll_ctl),
		cmocka_unit_test(what_stays_linuxs_while_the_daemon_hears_of_it_stays_so),
		cmocka_unit_test(a_daemon_that_goes_on_when_our_time_is_up_is_heard),
		cmocka_unit_test(what_came_while_a_poller_yielded_does_not_hide_what_comes_when_it_sleeps),
		cmocka_unit_test(threads_share_sockets_and_an_epoll_while_others_come_and_go),
	};

	return cmocka_run_group_tests(tests, start_daemon, stop_daemon);
}
