/* SPDX-License-Identifier: BSD-2-Clause
 *
 * peer.c - the other end: a plain program that does with its end of the connection what the
 * subject orders over a Unix socket. SIGNAL is done beside, by a thread: it comes when the subject
 * sleeps, and what is ordered for later comes after it.
 *
 * What is sent at once is done when it has been acknowledged: the subject's system acknowledges what
 * its program can see, so that a look without waiting finds it. (CLOSE and RESET leave nothing that
 * could be asked: who looks after them waits for what they bring.)
 */
#include "posix.h"

#define LOOKS		5		/* asleep at so many looks in a row: it waits for what it is to wait */
#define LOOKS_MAX	5000
#define ACKED_LOOKS	30000		/* one a millisecond: nothing stands still for so long but by a fault */

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

/* On its way, a FIN too, as long as the connection lives. */
static bool is_unacked(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	int out = 0;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return false;
	switch (info.tcpi_state) {
	case TCP_ESTABLISHED:
	case TCP_CLOSE_WAIT:
		return ioctl(fd, SIOCOUTQ, &out) == 0 && out > 0;
	case TCP_FIN_WAIT1:
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		return true;
	default:
		return false;
	}
}

/* Looks are counted, not time: on a machine that stood still nothing was acknowledged. */
static int acked(int fd, int ret)
{
	for (int i = 0; ret >= 0 && is_unacked(fd); i++) {
		if (i == ACKED_LOOKS) {
			errno = ETIMEDOUT;
			return -1;
		}
		sleep_ms(1);
	}
	return ret;
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

/* The byte may be on its way, and what is here tells nothing of it. */
static int end_recv_urgent(struct end *e)
{
	unsigned char c;

	await(e->fd, POLLPRI);
	return recv(e->fd, &c, 1, MSG_OOB) < 0 ? -1 : c;
}

/* All until EOF, whatever it is. */
static int end_discard(struct end *e)
{
	static unsigned char buf[65536];
	ssize_t got;
	int done = 0;

	while ((got = recv(e->fd, buf, sizeof(buf), 0)) > 0)
		done += (int)got;
	return got < 0 ? -1 : done;
}

static bool sends(enum op op)
{
	return op == SEND || op == SEND_URGENT || op == SHUT_WRITE || op == SHUT_BOTH;
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
	case DISCARD:	return end_discard(e);
	case SEND_URGENT: return (int)send(e->fd, &o->arg, 1, MSG_OOB);
	case RECV_URGENT: return end_recv_urgent(e);
	case SIGNAL:	break;
	}
	return -1;
}

/* ---- a signal that comes when its receiver sleeps ----------------------------------------- */

static struct alarm {
	pthread_t thread;
	bool set;
	struct order order;
} alarm_clock;

static bool sleeps(int pid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return false;
	(void)!fscanf(f, "%*d (%*[^)]) %c", &state);
	fclose(f);
	return state == 'S';
}

static void *ring(void *arg)
{
	const struct order *o = arg;

	sleep_ms(o->after_ms);
	for (int i = 0, asleep = 0; i < LOOKS_MAX && asleep < LOOKS && kill(o->arg, 0) == 0; i++) {
		asleep = sleeps(o->arg) ? asleep + 1 : 0;
		sleep_ms(LOOK_MS);
	}
	kill(o->arg, SIGALRM);
	return NULL;
}

static void await_alarm(void)
{
	if (alarm_clock.set)
		pthread_join(alarm_clock.thread, NULL);
	alarm_clock.set = false;
}

static void set_alarm(const struct order *o)
{
	await_alarm();
	alarm_clock.order = *o;
	alarm_clock.set = pthread_create(&alarm_clock.thread, NULL, ring, &alarm_clock.order) == 0;
}

int peer_main(const char *path, const char *addr)
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
		struct done d = { .tag = o.tag };

		if (o.op == SIGNAL) {
			set_alarm(&o);
			(void)!send(ctl, &d, sizeof(d), 0);
			continue;
		}
		if (o.after_ms) {
			(void)!send(ctl, &d, sizeof(d), 0);
			sleep_ms(o.after_ms);
			await_alarm();
			obey(&e, &o);
			continue;
		}
		d.ret = obey(&e, &o);
		if (sends(o.op))
			d.ret = acked(e.fd, d.ret);
		d.err = d.ret < 0 ? errno : 0;
		(void)!send(ctl, &d, sizeof(d), 0);
	}
	return 0;
}

/* ---- the subject's side ---------------------------------------------------------------- */

void quiet_order(enum op op, int arg, int after_ms, struct done *ret)
{
	struct order o = { op, arg, after_ms, 0 };
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	o.tag = now.tv_sec * 1000000000LL + now.tv_nsec;
	(void)!send(ctl, &o, sizeof(o), 0);
	while (recv(ctl, ret, sizeof(*ret), 0) == (ssize_t)sizeof(*ret) && ret->tag != o.tag)
		;
}

void peer(enum op op, int arg)
{
	static const char *const names[] = {
		"connect", "accept", "send", "recv", "drain", "shutdown write", "shutdown both",
		"close", "reset", "expect eof", "send urgent", "receive urgent",
		"discard",
	};
	struct done d = { .ret = -1 };

	quiet_order(op, arg, 0, &d);
	if (d.ret == -2)
		say("peer %s: wrong bytes", names[op]);
	else
		say("peer %s: %d %s", names[op], d.ret, err_name(d.err));
}

void later(int ms, enum op op, int arg)
{
	struct done d;

	quiet_order(op, arg, ms, &d);
}
