/* SPDX-License-Identifier: BSD-2-Clause
 *
 * posix - what a stream socket does, case by case, as text that two runs can compare.
 *
 *   posix peer PATH ADDR        serve as the other end; controlled over the Unix socket PATH
 *   posix subject PATH ADDR [CASE]   run the cases; ADDR is the peer's address
 *
 * The subject is what is tested: plain, and under `taspilot run`. Each case gets a fresh
 * connection (the peer connects to us) and a remote control of its other end: peer(SEND, n) and
 * so on return when the peer has done it; later(ms, ...) lets it happen while we wait. Every
 * result goes to stdout as words without times and numbers that may differ: return value,
 * errno, events, whether bytes are the right ones. Bytes are a running pattern per
 * direction, so a lost or doubled one shows.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define BIG		(1 << 20)
#define SHORT_MS	60		/* long enough for a later() to come after we sleep */

/* ---- remote control ------------------------------------------------------------------- */

enum op { CONNECT, ACCEPT, SEND, RECV, DRAIN, SHUT_WRITE, SHUT_BOTH, CLOSE, RESET, EXPECT_EOF };

struct order {
	enum op op;
	int arg;
	int after_ms;			/* > 0: answered at once, done later */
};

struct done {
	int ret, err;
};

static unsigned char pattern(uint64_t pos) { return (unsigned char)(pos * 31 + (pos >> 8)); }

static void fill(unsigned char *buf, size_t n, uint64_t *pos)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = pattern((*pos)++);
}

static bool right(const unsigned char *buf, size_t n, uint64_t *pos)
{
	for (size_t i = 0; i < n; i++)
		if (buf[i] != pattern((*pos)++))
			return false;
	return true;
}

static void sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

struct end {
	int fd, listener;
	const char *addr;
	uint64_t tx, rx;
};

static int end_connect(struct end *e, int port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int on = 1;

	inet_pton(AF_INET, e->addr, &sa.sin_addr);
	e->fd = socket(AF_INET, SOCK_STREAM, 0);
	e->tx = e->rx = 0;
	setsockopt(e->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return connect(e->fd, (struct sockaddr *)&sa, sizeof(sa));
}

static int end_accept(struct end *e)
{
	e->fd = accept(e->listener, NULL, NULL);
	e->tx = e->rx = 0;
	return e->fd < 0 ? -1 : 0;
}

static int end_send(struct end *e, int n)
{
	static unsigned char buf[BIG];
	int done = 0;

	while (done < n) {
		int part = n - done < BIG ? n - done : BIG;
		ssize_t put;

		fill(buf, (size_t)part, &e->tx);
		for (int at = 0; at < part; at += (int)put) {
			put = send(e->fd, buf + at, (size_t)(part - at), MSG_NOSIGNAL);
			if (put < 0)
				return -1;
		}
		done += part;
	}
	return done;
}

/* @n bytes, or all until EOF if @n is 0; -2: wrong bytes. */
static int end_recv(struct end *e, int n)
{
	static unsigned char buf[65536];
	int done = 0;

	while (n == 0 || done < n) {
		size_t want = n && n - done < (int)sizeof(buf) ? (size_t)(n - done) : sizeof(buf);
		ssize_t got = recv(e->fd, buf, want, 0);

		if (got < 0)
			return -1;
		if (got == 0)
			break;
		if (!right(buf, (size_t)got, &e->rx))
			return -2;
		done += (int)got;
	}
	return done;
}

static int end_reset(struct end *e)
{
	struct linger hard = { 1, 0 };

	setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	return close(e->fd);
}

static int obey(struct end *e, const struct order *o)
{
	char c;

	switch (o->op) {
	case CONNECT:	return end_connect(e, o->arg);
	case ACCEPT:	return end_accept(e);
	case SEND:	return end_send(e, o->arg);
	case RECV:	return end_recv(e, o->arg);
	case DRAIN:	return end_recv(e, 0);
	case SHUT_WRITE: return shutdown(e->fd, SHUT_WR);
	case SHUT_BOTH:	return shutdown(e->fd, SHUT_RDWR);
	case CLOSE:	return close(e->fd);
	case RESET:	return end_reset(e);
	case EXPECT_EOF: return (int)recv(e->fd, &c, 1, 0);
	}
	return -1;
}

static int listen_on(const char *addr, int *ret_port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (addr)
		inet_pton(AF_INET, addr, &sa.sin_addr);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 64) < 0)
		return -1;
	getsockname(fd, (struct sockaddr *)&sa, &len);
	*ret_port = ntohs(sa.sin_port);
	return fd;
}

static int peer_main(const char *path, const char *addr)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct end e = { .addr = addr };
	struct order o;
	int l = socket(AF_UNIX, SOCK_SEQPACKET, 0), ctl, port;

	signal(SIGPIPE, SIG_IGN);
	e.listener = listen_on(NULL, &port);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	if (bind(l, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(l, 1) < 0)
		return 1;
	ctl = accept(l, NULL, NULL);
	(void)!send(ctl, &port, sizeof(port), 0);
	while (recv(ctl, &o, sizeof(o), 0) == (ssize_t)sizeof(o)) {
		struct done d = { 0, 0 };

		if (o.after_ms) {
			(void)!send(ctl, &d, sizeof(d), 0);
			sleep_ms(o.after_ms);
			obey(&e, &o);
			continue;
		}
		d.ret = obey(&e, &o);
		d.err = d.ret < 0 ? errno : 0;
		(void)!send(ctl, &d, sizeof(d), 0);
	}
	return 0;
}

/* ---- the subject's tools -------------------------------------------------------------- */

static int ctl, listener, listen_port, peer_port;
static const char *peer_addr;
static uint64_t tx_pos, rx_pos;

static const char *err_name(int err)
{
	return err ? strerrorname_np(err) : "ok";
}

static void say(const char *fmt, ...)
{
	va_list ap;

	printf("    ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* What a call returned. */
static long show(const char *what, long ret)
{
	if (ret < 0)
		say("%s: %s", what, err_name(errno));
	else
		say("%s: %ld", what, ret);
	return ret;
}

static void quiet_order(enum op op, int arg, int after_ms, struct done *ret)
{
	struct order o = { op, arg, after_ms };

	(void)!send(ctl, &o, sizeof(o), 0);
	(void)!recv(ctl, ret, sizeof(*ret), 0);
}

static void peer(enum op op, int arg)
{
	static const char *const names[] = {
		"connect", "accept", "send", "recv", "drain", "shutdown write", "shutdown both",
		"close", "reset", "expect eof",
	};
	struct done d = { -1, 0 };

	quiet_order(op, arg, 0, &d);
	if (d.ret == -2)
		say("peer %s: wrong bytes", names[op]);
	else
		say("peer %s: %d %s", names[op], d.ret, err_name(d.err));
}

static void later(int ms, enum op op, int arg)
{
	struct done d;

	quiet_order(op, arg, ms, &d);
}

static void take(int fd, size_t n, int flags)
{
	static unsigned char buf[BIG];
	uint64_t pos = rx_pos;
	ssize_t got = recv(fd, buf, n, flags);

	if (got > 0 && !(flags & MSG_TRUNC) && !right(buf, (size_t)got, &pos))
		say("wrong bytes");
	if (got > 0 && !(flags & MSG_PEEK))
		rx_pos += (uint64_t)got;
	show("recv", got);
}

static void give(int fd, size_t n, int flags)
{
	static unsigned char buf[BIG];
	uint64_t pos = tx_pos;
	ssize_t put;

	fill(buf, n, &pos);
	put = send(fd, buf, n, flags);
	if (put > 0)
		tx_pos += (uint64_t)put;
	show("send", put);
}

/* Until @n bytes are here; for what TCP may deliver in pieces. */
static void take_all(int fd, size_t n)
{
	static unsigned char buf[65536];
	size_t done = 0;
	ssize_t got = 1;

	while (done < n && got > 0) {
		size_t want = n - done < sizeof(buf) ? n - done : sizeof(buf);

		got = recv(fd, buf, want, 0);
		if (got > 0 && !right(buf, (size_t)got, &rx_pos))
			say("wrong bytes");
		if (got > 0)
			done += (size_t)got;
	}
	say("took %zu, then %s", done, got < 0 ? err_name(errno) : got == 0 ? "eof" : "ok");
}

static const char *events(unsigned int e, char buf[96])
{
	static const struct {
		unsigned int bit;
		const char *name;
	} bits[] = {
		{ POLLIN, "IN" }, { POLLPRI, "PRI" }, { POLLOUT, "OUT" }, { POLLERR, "ERR" },
		{ POLLHUP, "HUP" }, { POLLNVAL, "NVAL" }, { POLLRDNORM, "RDNORM" },
		{ POLLWRNORM, "WRNORM" }, { POLLRDHUP, "RDHUP" },
	};

	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		if (e & bits[i].bit) {
			if (buf[0])
				strcat(buf, "|");
			strcat(buf, bits[i].name);
		}
	return buf[0] ? buf : "none";
}

static void do_poll(int fd, short want, int ms)
{
	struct pollfd p = { .fd = fd, .events = want };
	char buf[96];
	int n = poll(&p, 1, ms);

	if (n < 0)
		say("poll: %s", err_name(errno));
	else
		say("poll: %d %s", n, events((unsigned short)p.revents, buf));
}

/* Wait, at most 5 s, until poll says all of @want: for what arrives when it arrives. */
static void await(int fd, short want)
{
	struct pollfd p = { .fd = fd, .events = want };
	char buf[96];

	for (int i = 0; i < 500; i++) {
		if (poll(&p, 1, 10) > 0 && (p.revents & want) == want)
			return;
		sleep_ms(10);
	}
	say("never came: %s", events((unsigned short)want, buf));
}

static int epoll_with(int fd, uint32_t ev)
{
	struct epoll_event e = { .events = ev, .data.u64 = 77 };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0)
		say("epoll_ctl: %s", err_name(errno));
	return ep;
}

static void do_epoll(int ep, int ms)
{
	struct epoll_event e[4];
	char buf[96];
	int n = epoll_wait(ep, e, 4, ms);

	if (n < 0)
		say("epoll_wait: %s", err_name(errno));
	else if (n == 0)
		say("epoll_wait: nothing");
	for (int i = 0; i < n; i++)
		say("epoll_wait: %s for %d", events(e[i].events, buf), (int)e[i].data.u64);
}

static void set_timeo(int fd, int name, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv));
}

static void nonblock(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

/* Fill until it stays full: the amount is the system's business, that it ends is ours. */
static void stuff(int fd)
{
	static unsigned char buf[65536];
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	ssize_t n;

	do {
		uint64_t pos = tx_pos;

		fill(buf, sizeof(buf), &pos);
		n = send(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0)
			tx_pos += (uint64_t)n;
	} while (n > 0 || (errno == EAGAIN && poll(&p, 1, SHORT_MS) > 0));
	n = send(fd, buf, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	say("stuffed: %s", n < 0 ? err_name(errno) : "not at all");
}

static volatile sig_atomic_t signals;
static void on_signal(int sig) { (void)sig; signals++; }

static void handle(int sig, int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };

	signals = 0;
	sigaction(sig, &sa, NULL);
}

static void alarm_ms(int ms)
{
	struct timespec now;
	struct itimerspec it = { .it_value = { ms / 1000, ms % 1000 * 1000000L } };
	timer_t t;

	clock_gettime(CLOCK_MONOTONIC, &now);
	timer_create(CLOCK_MONOTONIC, NULL, &t);
	timer_settime(t, 0, &it, NULL);
}

/* ---- the cases ------------------------------------------------------------------------ */

static void a_read_takes_what_is_there(int s)
{
	peer(SEND, 10);
	await(s, POLLIN);
	take(s, 100, 0);
}

static void a_read_of_less_leaves_the_rest(int s)
{
	peer(SEND, 10);
	await(s, POLLIN);
	take(s, 4, 0);
	take(s, 100, 0);
}

static void peeking_consumes_nothing(int s)
{
	peer(SEND, 10);
	await(s, POLLIN);
	take(s, 4, MSG_PEEK);
	take(s, 100, MSG_PEEK);
	take(s, 100, 0);
}

static void dontwait_says_eagain(int s)
{
	take(s, 100, MSG_DONTWAIT);
	take(s, 100, MSG_DONTWAIT | MSG_PEEK);
	take(s, 0, MSG_DONTWAIT);
}

static void nonblocking_says_eagain(int s)
{
	nonblock(s);
	take(s, 100, 0);
	show("read", read(s, &(char){ 0 }, 1));
	show("readv", readv(s, &(struct iovec){ &(char){ 0 }, 1 }, 1));
	show("recvmsg", recvmsg(s, &(struct msghdr){ .msg_iov = &(struct iovec){ &(char){ 0 }, 1 },
						     .msg_iovlen = 1 }, 0));
}

static void fionbio_switches_blocking(int s)
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

static void a_read_of_nothing_returns_at_once(int s)
{
	show("read", read(s, NULL, 0));
}

static void a_recv_of_nothing_waits_for_something(int s)
{
	later(SHORT_MS, SEND, 3);
	take(s, 0, 0);
	take(s, 10, 0);
}

static void a_blocked_read_wakes_for_data(int s)
{
	later(SHORT_MS, SEND, 7);
	take(s, 100, 0);
}

static void a_blocked_read_wakes_for_eof(int s)
{
	later(SHORT_MS, SHUT_WRITE, 0);
	take(s, 100, 0);
	take(s, 100, 0);
}

static void a_blocked_read_wakes_for_reset(int s)
{
	later(SHORT_MS, RESET, 0);
	take(s, 100, 0);
	take(s, 100, 0);
}

static void waitall_waits_for_all(int s)
{
	peer(SEND, 10);
	later(SHORT_MS, SEND, 10);
	take(s, 20, MSG_WAITALL);
}

static void waitall_ends_at_eof(int s)
{
	peer(SEND, 10);
	later(SHORT_MS, SHUT_WRITE, 0);
	take(s, 20, MSG_WAITALL);
	take(s, 20, 0);
}

static void waitall_with_peek_waits(int s)
{
	peer(SEND, 10);
	later(SHORT_MS, SEND, 10);
	take(s, 20, MSG_WAITALL | MSG_PEEK);
	take(s, 20, 0);
}

static void waitall_with_dontwait_does_not(int s)
{
	peer(SEND, 10);
	await(s, POLLIN);
	take(s, 20, MSG_WAITALL | MSG_DONTWAIT);
}

static void trunc_discards(int s)
{
	peer(SEND, 10);
	await(s, POLLIN);
	show("recv", recv(s, NULL, 6, MSG_TRUNC));
	rx_pos += 6;
	take(s, 100, 0);
}

static void lowat_counts_for_poll(int s)
{
	int low = 10;

	setsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
	peer(SEND, 9);
	do_poll(s, POLLIN, SHORT_MS);
	peer(SEND, 1);
	do_poll(s, POLLIN, 5000);
	take(s, 5, 0);
	do_poll(s, POLLIN, 0);
	low = 1;
	setsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
	do_poll(s, POLLIN, 0);
}

static void receive_timeout_says_eagain(int s)
{
	set_timeo(s, SO_RCVTIMEO, SHORT_MS);
	take(s, 100, 0);
	peer(SEND, 5);
	await(s, POLLIN);
	take(s, 100, MSG_WAITALL);
}

static void send_timeout_ends_a_blocked_write(int s)
{
	stuff(s);
	set_timeo(s, SO_SNDTIMEO, SHORT_MS);
	show("send", send(s, "x", 1, 0));
}

static void a_signal_interrupts_a_read(int s)
{
	handle(SIGALRM, 0);
	alarm_ms(SHORT_MS);
	take(s, 10, 0);
	say("signals %d", (int)signals);
}

static void sa_restart_restarts_a_read(int s)
{
	handle(SIGALRM, SA_RESTART);
	alarm_ms(SHORT_MS);
	later(3 * SHORT_MS, SEND, 5);
	take(s, 10, 0);
	say("signals %d", (int)signals);
}

static void sa_restart_does_not_restart_a_timed_read(int s)
{
	handle(SIGALRM, SA_RESTART);
	set_timeo(s, SO_RCVTIMEO, 5000);
	alarm_ms(SHORT_MS);
	take(s, 10, 0);
}

static void a_signal_interrupts_poll_select_epoll(int s)
{
	int ep = epoll_with(s, EPOLLIN);
	fd_set r;

	handle(SIGALRM, SA_RESTART);
	alarm_ms(SHORT_MS);
	do_poll(s, POLLIN, 5000);
	alarm_ms(SHORT_MS);
	FD_ZERO(&r);
	FD_SET(s, &r);
	show("select", select(s + 1, &r, NULL, NULL, &(struct timeval){ 5, 0 }));
	alarm_ms(SHORT_MS);
	do_epoll(ep, 5000);
	close(ep);
}

static void ppoll_lets_a_blocked_signal_in(int s)
{
	struct pollfd p = { .fd = s, .events = POLLIN };
	sigset_t block, none;

	handle(SIGUSR1, 0);
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	show("ppoll", ppoll(&p, 1, &(struct timespec){ 5, 0 }, &none));
	say("signals %d", (int)signals);
	sigprocmask(SIG_UNBLOCK, &block, NULL);
}

static void epoll_pwait_lets_a_blocked_signal_in(int s)
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
	show("epoll_pwait", epoll_pwait(ep, &e, 1, 5000, &none));
	say("signals %d", (int)signals);
	sigprocmask(SIG_UNBLOCK, &block, NULL);
	close(ep);
}

static void writes_arrive(int s)
{
	give(s, 10, 0);
	peer(RECV, 10);
}

static void writes_of_all_kinds_arrive_in_order(int s)
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

static void reads_of_all_kinds_take_in_order(int s)
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

static void positions_make_no_sense_here(int s)
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

static void a_write_of_nothing_is_nothing(int s)
{
	give(s, 0, 0);
	show("write", write(s, "", 0));
}

static void a_full_pipe_says_eagain_and_drains(int s)
{
	stuff(s);
	do_poll(s, POLLOUT, 0);
	later(1, RECV, (int)tx_pos);
	await(s, POLLOUT);
	do_poll(s, POLLOUT, 0);
}

static void a_blocked_write_goes_on_when_the_peer_reads(int s)
{
	later(SHORT_MS, RECV, 8 * BIG);
	for (int i = 0; i < 8; i++)
		give(s, BIG, 0);
	peer(SEND, 1);
	take(s, 1, 0);
}

static void megabytes_both_ways_are_right(int s)
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

static void more_holds_a_partial_segment_back(int s)
{
	give(s, 10, MSG_MORE);
	give(s, 10, 0);
	peer(RECV, 20);
}

static void cork_holds_back_until_pulled(int s)
{
	int on = 1;

	setsockopt(s, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	give(s, 10, 0);
	give(s, 10, 0);
	on = 0;
	setsockopt(s, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	peer(RECV, 20);
}

static void eof_after_data(int s)
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

static void writing_after_the_peers_eof_works(int s)
{
	peer(SHUT_WRITE, 0);
	await(s, POLLRDHUP);
	give(s, 10, 0);
	peer(RECV, 10);
	take(s, 10, 0);
}

static void writing_to_a_closed_peer_ends_in_epipe(int s)
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

static void shutdown_write_says_eof_to_the_peer(int s)
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

static void writing_after_shutdown_is_epipe(int s)
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

static void shutdown_read_is_eof_here(int s)
{
	show("shutdown", shutdown(s, SHUT_RD));
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	take(s, 10, 0);
	give(s, 10, 0);
	peer(RECV, 10);
}

static void shutdown_read_leaves_what_was_there(int s)
{
	peer(SEND, 10);
	await(s, POLLIN);
	shutdown(s, SHUT_RD);
	take(s, 4, 0);
	take(s, 100, 0);
	take(s, 100, 0);
}

static void shutdown_both(int s)
{
	show("shutdown", shutdown(s, SHUT_RDWR));
	take(s, 10, 0);
	give(s, 10, MSG_NOSIGNAL);
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	peer(EXPECT_EOF, 0);
}

static void shutdown_of_nonsense_is_einval(int s)
{
	show("shutdown", shutdown(s, 17));
	give(s, 1, 0);
	peer(RECV, 1);
}

static void a_reset_is_reported_once(int s)
{
	peer(RESET, 0);
	await(s, POLLHUP);
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	take(s, 10, 0);
	take(s, 10, 0);
	do_poll(s, POLLIN | POLLOUT | POLLRDHUP, 0);
	give(s, 10, MSG_NOSIGNAL);
}

static void a_reset_meets_the_writer(int s)
{
	peer(RESET, 0);
	await(s, POLLHUP);
	give(s, 10, MSG_NOSIGNAL);
	give(s, 10, MSG_NOSIGNAL);
	take(s, 10, 0);
}

static void a_reset_shows_in_so_error(int s)
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

static void fionread_counts(int s)
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

static void outq_empties(int s)
{
	int n = -1;

	give(s, 10, 0);
	peer(RECV, 10);
	for (int i = 0; i < 200 && ioctl(s, SIOCOUTQ, &n) == 0 && n; i++)
		sleep_ms(10);
	say("SIOCOUTQ %d", n);
	ioctl(s, SIOCOUTQNSD, &n);
	say("SIOCOUTQNSD %d", n);
}

static void options_are_linuxs(int s)
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

static void names_are_linuxs(int s)
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

static void out_of_band_nothing(int s)
{
	char c;

	show("recv", recv(s, &c, 1, MSG_OOB));
}

/* ---- waiting --------------------------------------------------------------------------- */

static void poll_sees_each_state(int s)
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

static void poll_waits_for_data(int s)
{
	later(SHORT_MS, SEND, 3);
	do_poll(s, POLLIN, 5000);
	take(s, 10, 0);
	do_poll(s, POLLIN, SHORT_MS);
}

static void poll_mixes_ours_and_others(int s)
{
	struct pollfd p[3] = { { .fd = -1, .events = POLLIN }, { .fd = s, .events = POLLIN } };
	int pipes[2];
	char buf[96];

	if (pipe(pipes) < 0)
		return;
	p[2] = (struct pollfd){ .fd = pipes[0], .events = POLLIN };
	show("poll", poll(p, 3, 0));
	(void)!write(pipes[1], "x", 1);
	show("poll", poll(p, 3, 5000));
	say("%d %s", p[1].revents, events((unsigned short)p[2].revents, buf));
	peer(SEND, 3);
	await(s, POLLIN);
	show("poll", poll(p, 3, 5000));
	take(s, 10, 0);
	close(pipes[0]);
	close(pipes[1]);
	show("poll", poll(p, 3, 0));
	say("%s", events((unsigned short)p[2].revents, buf));
}

static void a_thread_polls_while_another_fd_wakes_it(int s)
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
	show("poll", poll(p, 2, 5000));
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

static void select_sees_each_state(int s)
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

static void select_times_out_and_counts_down(int s)
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

static void select_of_a_closed_fd_is_ebadf(int s)
{
	fd_set r;
	int d = dup(s);

	FD_ZERO(&r);
	FD_SET(s, &r);
	FD_SET(d, &r);
	close(d);
	show("select", select(d + 1, &r, NULL, NULL, &(struct timeval){ 0, 0 }));
}

static void level_triggered_repeats(int s)
{
	int ep = epoll_with(s, EPOLLIN);

	do_epoll(ep, 0);
	peer(SEND, 10);
	do_epoll(ep, 5000);
	do_epoll(ep, 0);
	take(s, 4, 0);
	do_epoll(ep, 0);
	take(s, 10, 0);
	do_epoll(ep, 0);
	close(ep);
}

static void edge_triggered_does_not_repeat(int s)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLET);

	do_epoll(ep, 0);
	peer(SEND, 10);
	do_epoll(ep, 5000);
	do_epoll(ep, 0);
	take(s, 4, 0);
	do_epoll(ep, 0);
	peer(SEND, 10);
	do_epoll(ep, 5000);
	do_epoll(ep, 0);
	take(s, 100, 0);
	do_epoll(ep, 0);
	close(ep);
}

static void edge_triggered_both_ways(int s)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);

	do_epoll(ep, 0);
	do_epoll(ep, 0);
	peer(SEND, 3);
	do_epoll(ep, 5000);
	do_epoll(ep, 0);
	give(s, 3, 0);
	peer(RECV, 3);
	sleep_ms(SHORT_MS);
	do_epoll(ep, 0);
	peer(SHUT_WRITE, 0);
	do_epoll(ep, 5000);
	do_epoll(ep, 0);
	close(ep);
}

static void edge_triggered_out_after_full(int s)
{
	int ep;

	nonblock(s);
	stuff(s);
	ep = epoll_with(s, EPOLLOUT | EPOLLET);
	do_epoll(ep, 0);
	later(1, RECV, (int)tx_pos);
	do_epoll(ep, 5000);
	peer(SEND, 1);
	await(s, POLLIN);
	take(s, 1, 0);
	close(ep);
}

static void oneshot_reports_once(int s)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLONESHOT);
	struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 78 };

	peer(SEND, 3);
	do_epoll(ep, 5000);
	do_epoll(ep, 0);
	peer(SEND, 3);
	do_epoll(ep, SHORT_MS);
	show("mod", epoll_ctl(ep, EPOLL_CTL_MOD, s, &e));
	do_epoll(ep, 5000);
	do_epoll(ep, 0);
	close(ep);
}

static void mod_changes_interest(int s)
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

static void epoll_ctl_errors_are_linuxs(int s)
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

static void exclusive_works(int s)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLEXCLUSIVE);

	peer(SEND, 3);
	do_epoll(ep, 5000);
	take(s, 10, 0);
	do_epoll(ep, 0);
	close(ep);
}

static void epoll_reports_the_end(int s)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLRDHUP);

	peer(SHUT_WRITE, 0);
	await(s, POLLRDHUP);
	do_epoll(ep, 5000);
	take(s, 10, 0);
	do_epoll(ep, 0);
	close(ep);
}

static void epoll_reports_a_reset(int s)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLRDHUP);

	peer(RESET, 0);
	await(s, POLLHUP);
	do_epoll(ep, 5000);
	take(s, 10, 0);
	do_epoll(ep, 0);
	close(ep);
}

static void a_socket_in_two_epolls(int s)
{
	int a = epoll_with(s, EPOLLIN), b = epoll_with(s, EPOLLIN | EPOLLET);

	peer(SEND, 3);
	do_epoll(a, 5000);
	do_epoll(b, 5000);
	do_epoll(a, 0);
	do_epoll(b, 0);
	take(s, 10, 0);
	do_epoll(a, 0);
	close(a);
	peer(SEND, 3);
	do_epoll(b, 5000);
	close(b);
	take(s, 10, 0);
}

static void a_dup_in_epoll_outlives_the_close(int s)
{
	int ep = epoll_with(s, EPOLLIN), d = dup(s);
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = 88 };

	show("add", epoll_ctl(ep, EPOLL_CTL_ADD, d, &e));
	epoll_ctl(ep, EPOLL_CTL_DEL, s, &e);
	peer(SEND, 3);
	do_epoll(ep, 5000);
	take(d, 10, 0);
	close(d);
	peer(SEND, 3);
	await(s, POLLIN);
	do_epoll(ep, 0);
	close(ep);
}

static void an_epoll_in_an_epoll(int s)
{
	int in = epoll_with(s, EPOLLIN), out = epoll_with(in, EPOLLIN);

	do_epoll(out, 0);
	later(SHORT_MS, SEND, 3);
	do_epoll(out, 5000);
	do_epoll(in, 0);
	take(s, 10, 0);
	do_epoll(in, 0);
	close(in);
	close(out);
}

static void an_epoll_in_poll_and_select(int s)
{
	int ep = epoll_with(s, EPOLLIN);
	fd_set r;

	do_poll(ep, POLLIN, 0);
	later(SHORT_MS, SEND, 3);
	do_poll(ep, POLLIN, 5000);
	FD_ZERO(&r);
	FD_SET(ep, &r);
	show("select", select(ep + 1, &r, NULL, NULL, &(struct timeval){ 5, 0 }));
	do_epoll(ep, 0);
	take(s, 10, 0);
	do_poll(ep, POLLIN, 0);
	close(ep);
}

static void epoll_mixes_ours_and_others(int s)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = 9 };
	int ep = epoll_with(s, EPOLLIN), pipes[2];

	if (pipe(pipes) < 0)
		return;
	epoll_ctl(ep, EPOLL_CTL_ADD, pipes[0], &e);
	do_epoll(ep, 0);
	(void)!write(pipes[1], "x", 1);
	do_epoll(ep, 5000);
	(void)!read(pipes[0], &(char){ 0 }, 1);
	peer(SEND, 3);
	do_epoll(ep, 5000);
	close(pipes[1]);
	take(s, 10, 0);
	do_epoll(ep, 5000);
	close(pipes[0]);
	do_epoll(ep, 0);
	close(ep);
}

static void epoll_pwait2_waits_for_nanoseconds(int s)
{
	int ep = epoll_with(s, EPOLLIN);
	struct epoll_event e;

	show("epoll_pwait2", epoll_pwait2(ep, &e, 1, &(struct timespec){ 0, 1000 }, NULL));
	peer(SEND, 3);
	show("epoll_pwait2", epoll_pwait2(ep, &e, 1, &(struct timespec){ 5, 0 }, NULL));
	close(ep);
}

/* ---- fds ------------------------------------------------------------------------------- */

static void dups_are_one_connection(int s)
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

static void dup2_of_another_file_over_it_closes_it(int s)
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

static void a_closed_fd_is_ebadf(int s)
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

static void a_number_is_used_again_for_a_file(int s)
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

static void close_range_closes_it(int s)
{
	int d = fcntl(s, F_DUPFD, 300);

	show("close_range", close_range((unsigned int)d, (unsigned int)d, 0));
	give(d, 1, MSG_NOSIGNAL);
	give(s, 1, 0);
	peer(RECV, 1);
}

static void a_closing_with_unread_data_resets(int s)
{
	peer(SEND, 10);
	await(s, POLLIN);
	close(s);
	peer(EXPECT_EOF, 0);
}

static void a_child_uses_it_and_exits(int s)
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

static void a_child_closes_its_copy(int s)
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

static void a_child_polls_and_epolls(int s)
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

static void a_child_inherits_an_epoll(int s)
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

static void the_parent_closes_and_the_child_goes_on(int s)
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

static int pattern_file(size_t n)
{
	FILE *f = tmpfile();
	uint64_t pos = tx_pos;

	for (size_t i = 0; i < n; i++)
		putc(pattern(pos++), f);
	fflush(f);
	tx_pos = pos;
	return fileno(f);
}

static void sendfile_sends_a_file(int s)
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

static void splice_goes_both_ways(int s)
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

/* ---- threads --------------------------------------------------------------------------- */

static int shared_fd;

static void *late_shutdown(void *arg)
{
	sleep_ms(SHORT_MS);
	shutdown(shared_fd, *(int *)arg);
	return NULL;
}

static void a_thread_shuts_down_while_another_reads(int s)
{
	pthread_t t;
	int how = SHUT_RD;

	shared_fd = s;
	pthread_create(&t, NULL, late_shutdown, &how);
	take(s, 10, 0);
	pthread_join(t, NULL);
}

static void a_thread_shuts_down_while_another_polls(int s)
{
	pthread_t t;
	int how = SHUT_RDWR;

	shared_fd = s;
	pthread_create(&t, NULL, late_shutdown, &how);
	do_poll(s, POLLIN | POLLRDHUP, 5000);
	pthread_join(t, NULL);
}

static void a_thread_shuts_down_while_another_epolls(int s)
{
	int ep = epoll_with(s, EPOLLIN | EPOLLRDHUP);
	pthread_t t;
	int how = SHUT_RD;

	shared_fd = s;
	pthread_create(&t, NULL, late_shutdown, &how);
	do_epoll(ep, 5000);
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

static void threads_share_the_reading(int s)
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
		if (epoll_wait(shared_fd, &e, 1, 5000) <= 0)
			return NULL;
		n = recv((int)e.data.u64, b, sizeof(b), MSG_DONTWAIT);
		if (n == 0)
			return NULL;
		if (n > 0)
			*sum += n;
	}
}

static void threads_share_an_epoll(int s)
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
static void signals_lose_no_bytes(int s)
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

/* ---- being the client ------------------------------------------------------------------ */

static int to_peer(int flags)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)peer_port) };
	int fd = socket(AF_INET, SOCK_STREAM | flags, 0), ret;

	inet_pton(AF_INET, peer_addr, &sa.sin_addr);
	tx_pos = rx_pos = 0;
	ret = connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	if (ret < 0)
		say("connect: %s", err_name(errno));
	return fd;
}

static void a_client_connects_and_talks(int s)
{
	int c = to_peer(0);

	(void)s;
	peer(CLOSE, 0);
	peer(ACCEPT, 0);
	give(c, 10, 0);
	peer(RECV, 10);
	later(SHORT_MS, SEND, 10);
	take(c, 100, 0);
	close(c);
	peer(EXPECT_EOF, 0);
}

static void a_client_connects_without_blocking(int s)
{
	int c = to_peer(SOCK_NONBLOCK), err = -1;
	socklen_t len = sizeof(err);

	(void)s;
	do_poll(c, POLLOUT, 5000);
	getsockopt(c, SOL_SOCKET, SO_ERROR, &err, &len);
	say("SO_ERROR %d", err);
	peer(CLOSE, 0);
	peer(ACCEPT, 0);
	take(c, 10, 0);
	give(c, 10, 0);
	peer(RECV, 10);
	close(c);
}

static void a_client_registers_before_it_is_connected(int s)
{
	int c = to_peer(SOCK_NONBLOCK), ep = epoll_with(c, EPOLLIN | EPOLLOUT);
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = 6 };

	(void)s;
	do_epoll(ep, 5000);
	peer(CLOSE, 0);
	peer(ACCEPT, 0);
	give(c, 10, 0);
	epoll_ctl(ep, EPOLL_CTL_MOD, c, &e);
	peer(RECV, 10);
	later(SHORT_MS, SEND, 10);
	do_epoll(ep, 5000);
	take(c, 100, 0);
	do_epoll(ep, 0);
	close(ep);
	close(c);
}

static void a_client_that_is_spoken_to_first(int s)
{
	int c = to_peer(SOCK_NONBLOCK), ep = epoll_with(c, EPOLLIN | EPOLLET);

	(void)s;
	peer(CLOSE, 0);
	peer(ACCEPT, 0);
	peer(SEND, 5);
	await(c, POLLIN);
	do_epoll(ep, 5000);
	take(c, 100, 0);
	later(SHORT_MS, SEND, 5);
	do_epoll(ep, 5000);
	take(c, 100, 0);
	close(ep);
	close(c);
}

static void a_refused_connect_says_so(int s)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(1) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)s;
	inet_pton(AF_INET, peer_addr, &sa.sin_addr);
	show("connect", connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
	take(fd, 1, 0);
	give(fd, 1, MSG_NOSIGNAL);
	close(fd);
}

static void an_unconnected_socket_is_enotconn(int s)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)s;
	take(fd, 1, 0);
	give(fd, 1, MSG_NOSIGNAL);
	show("shutdown", shutdown(fd, SHUT_WR));
	do_poll(fd, POLLIN | POLLOUT, 0);
	close(fd);
}

struct test {
	const char *name;
	void (*run)(int s);
};

#define CASE(f) { #f, f }
static const struct test tests[] = {
	CASE(a_read_takes_what_is_there),
	CASE(a_read_of_less_leaves_the_rest),
	CASE(peeking_consumes_nothing),
	CASE(dontwait_says_eagain),
	CASE(nonblocking_says_eagain),
	CASE(fionbio_switches_blocking),
	CASE(a_read_of_nothing_returns_at_once),
	CASE(a_recv_of_nothing_waits_for_something),
	CASE(a_blocked_read_wakes_for_data),
	CASE(a_blocked_read_wakes_for_eof),
	CASE(a_blocked_read_wakes_for_reset),
	CASE(waitall_waits_for_all),
	CASE(waitall_ends_at_eof),
	CASE(waitall_with_peek_waits),
	CASE(waitall_with_dontwait_does_not),
	CASE(trunc_discards),
	CASE(lowat_counts_for_poll),
	CASE(receive_timeout_says_eagain),
	CASE(send_timeout_ends_a_blocked_write),
	CASE(a_signal_interrupts_a_read),
	CASE(sa_restart_restarts_a_read),
	CASE(sa_restart_does_not_restart_a_timed_read),
	CASE(a_signal_interrupts_poll_select_epoll),
	CASE(ppoll_lets_a_blocked_signal_in),
	CASE(epoll_pwait_lets_a_blocked_signal_in),
	CASE(writes_arrive),
	CASE(writes_of_all_kinds_arrive_in_order),
	CASE(reads_of_all_kinds_take_in_order),
	CASE(positions_make_no_sense_here),
	CASE(a_write_of_nothing_is_nothing),
	CASE(a_full_pipe_says_eagain_and_drains),
	CASE(a_blocked_write_goes_on_when_the_peer_reads),
	CASE(megabytes_both_ways_are_right),
	CASE(more_holds_a_partial_segment_back),
	CASE(cork_holds_back_until_pulled),
	CASE(eof_after_data),
	CASE(writing_after_the_peers_eof_works),
	CASE(writing_to_a_closed_peer_ends_in_epipe),
	CASE(shutdown_write_says_eof_to_the_peer),
	CASE(writing_after_shutdown_is_epipe),
	CASE(shutdown_read_is_eof_here),
	CASE(shutdown_read_leaves_what_was_there),
	CASE(shutdown_both),
	CASE(shutdown_of_nonsense_is_einval),
	CASE(a_reset_is_reported_once),
	CASE(a_reset_meets_the_writer),
	CASE(a_reset_shows_in_so_error),
	CASE(fionread_counts),
	CASE(outq_empties),
	CASE(options_are_linuxs),
	CASE(names_are_linuxs),
	CASE(out_of_band_nothing),
	CASE(poll_sees_each_state),
	CASE(poll_waits_for_data),
	CASE(poll_mixes_ours_and_others),
	CASE(a_thread_polls_while_another_fd_wakes_it),
	CASE(select_sees_each_state),
	CASE(select_times_out_and_counts_down),
	CASE(select_of_a_closed_fd_is_ebadf),
	CASE(level_triggered_repeats),
	CASE(edge_triggered_does_not_repeat),
	CASE(edge_triggered_both_ways),
	CASE(edge_triggered_out_after_full),
	CASE(oneshot_reports_once),
	CASE(mod_changes_interest),
	CASE(epoll_ctl_errors_are_linuxs),
	CASE(exclusive_works),
	CASE(epoll_reports_the_end),
	CASE(epoll_reports_a_reset),
	CASE(a_socket_in_two_epolls),
	CASE(a_dup_in_epoll_outlives_the_close),
	CASE(an_epoll_in_an_epoll),
	CASE(an_epoll_in_poll_and_select),
	CASE(epoll_mixes_ours_and_others),
	CASE(epoll_pwait2_waits_for_nanoseconds),
	CASE(dups_are_one_connection),
	CASE(dup2_of_another_file_over_it_closes_it),
	CASE(a_closed_fd_is_ebadf),
	CASE(a_number_is_used_again_for_a_file),
	CASE(close_range_closes_it),
	CASE(a_closing_with_unread_data_resets),
	CASE(a_child_uses_it_and_exits),
	CASE(a_child_closes_its_copy),
	CASE(a_child_polls_and_epolls),
	CASE(a_child_inherits_an_epoll),
	CASE(the_parent_closes_and_the_child_goes_on),
	CASE(sendfile_sends_a_file),
	CASE(splice_goes_both_ways),
	CASE(a_thread_shuts_down_while_another_reads),
	CASE(a_thread_shuts_down_while_another_polls),
	CASE(a_thread_shuts_down_while_another_epolls),
	CASE(threads_share_the_reading),
	CASE(threads_share_an_epoll),
	CASE(signals_lose_no_bytes),
	CASE(a_client_connects_and_talks),
	CASE(a_client_connects_without_blocking),
	CASE(a_client_registers_before_it_is_connected),
	CASE(a_client_that_is_spoken_to_first),
	CASE(a_refused_connect_says_so),
	CASE(an_unconnected_socket_is_enotconn),
};

#define LIMIT_MS 20000

/* Its wait status; a case that hangs is killed, and says so. */
static int outcome(pid_t pid)
{
	int status;

	for (int ms = 0; ms < LIMIT_MS; ms += 5) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		sleep_ms(5);
	}
	say("hangs");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return 0;
}

/* Each in a process of its own: what one leaves behind harms no other. */
static void run(const struct test *t)
{
	struct done d;
	pid_t pid;
	int status, s;

	printf("%s\n", t->name);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		quiet_order(CONNECT, listen_port, 0, &d);
		s = accept(listener, NULL, NULL);
		t->run(s);
		close(s);
		exit(0);
	}
	status = outcome(pid);
	if (WIFSIGNALED(status))
		say("%s", strsignal(WTERMSIG(status)));
	quiet_order(CLOSE, 0, 0, &d);
}

static int subject_main(const char *path, const char *addr, const char *only)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	peer_addr = addr;
	ctl = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	for (int i = 0; connect(ctl, (struct sockaddr *)&sa, sizeof(sa)) < 0; i++) {
		if (i == 500)
			return 1;
		sleep_ms(10);
	}
	(void)!recv(ctl, &peer_port, sizeof(peer_port), 0);
	listener = listen_on(NULL, &listen_port);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		if (!only || strstr(tests[i].name, only))
			run(&tests[i]);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "peer"))
		return peer_main(argv[2], argv[3]);
	if (argc >= 4 && !strcmp(argv[1], "subject"))
		return subject_main(argv[2], argv[3], argc > 4 ? argv[4] : NULL);
	fprintf(stderr, "usage: posix peer|subject PATH ADDR [CASE]\n");
	return 2;
}
