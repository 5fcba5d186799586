/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tools.c - calls whose outcome is said, and what else the cases are made of.
 */
#include "posix.h"

unsigned char pattern(uint64_t pos) { return (unsigned char)(pos * 31 + (pos >> 8)); }

void fill(unsigned char *buf, size_t n, uint64_t *pos)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = pattern((*pos)++);
}

bool right(const unsigned char *buf, size_t n, uint64_t *pos)
{
	for (size_t i = 0; i < n; i++)
		if (buf[i] != pattern((*pos)++))
			return false;
	return true;
}

void sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

int listen_on(const char *addr, int *ret_port)
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


int ctl, listener, listen_port, peer_port;
const char *peer_addr, *self;
uint64_t tx_pos, rx_pos;

const char *err_name(int err)
{
	return err ? strerrorname_np(err) : "ok";
}

void say(const char *fmt, ...)
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
long show(const char *what, long ret)
{
	if (ret < 0)
		say("%s: %s", what, err_name(errno));
	else
		say("%s: %ld", what, ret);
	return ret;
}

void take(int fd, size_t n, int flags)
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

void give(int fd, size_t n, int flags)
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
void take_all(int fd, size_t n)
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

const char *events(unsigned int e, char buf[96])
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

void do_poll(int fd, short want, int ms)
{
	struct pollfd p = { .fd = fd, .events = want };
	char buf[96];
	int n = poll(&p, 1, ms);

	if (n < 0)
		say("poll: %s", err_name(errno));
	else
		say("poll: %d %s", n, events((unsigned short)p.revents, buf));
}

static bool waits_for_events(pid_t tid)
{
	static const long calls[] = {
#ifdef SYS_epoll_wait
		SYS_epoll_wait,
#endif
		SYS_epoll_pwait, SYS_epoll_pwait2,
	};
	char path[64], now[64] = "";
	bool does = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (fgets(now, sizeof(now), f))
		for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
			does |= now[0] != 'r' && atol(now) == calls[i];
	fclose(f);
	return does;
}

/* It says who it is before it waits. */
void asleep_in_epoll(_Atomic pid_t *tid)
{
	for (int i = 0; i < 6000; i++) {
		if (*tid && waits_for_events(*tid))
			return;
		sleep_ms(5);
	}
	say("never slept");
}

/* Wait, at most 30 s, until poll says all of @want: for what arrives when it arrives. */
void await(int fd, short want)
{
	struct pollfd p = { .fd = fd, .events = want };
	char buf[96];

	for (int i = 0; i < 1500; i++) {
		if (poll(&p, 1, LOOK_MS) > 0 && (p.revents & want) == want)
			return;
		sleep_ms(LOOK_MS);
	}
	say("never came: %s", events((unsigned short)want, buf));
}

int epoll_with(int fd, uint32_t ev)
{
	struct epoll_event e = { .events = ev, .data.u64 = 77 };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0)
		say("epoll_ctl: %s", err_name(errno));
	return ep;
}

void do_epoll(int ep, int ms)
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

void set_timeo(int fd, int name, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv));
}

void nonblock(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

/* Looks are counted, not time: while the machine stands still nothing moves on. */
bool writable_soon(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	for (int ms = 0; ms < FULL_MS; ms += LOOK_MS)
		if (poll(&p, 1, LOOK_MS) > 0)
			return true;
	return false;
}

/* Fill until it stays full: the amount is the system's business, that it ends is ours. */
void stuff(int fd)
{
	static unsigned char buf[65536];
	ssize_t n;

	do {
		do {
			uint64_t pos = tx_pos;

			fill(buf, sizeof(buf), &pos);
			n = send(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n > 0)
				tx_pos += (uint64_t)n;
		} while (n > 0 || (errno == EAGAIN && writable_soon(fd)));
		n = send(fd, buf, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		tx_pos += n > 0;		/* room came after the last look */
	} while (n > 0);
	say("stuffed: %s", err_name(errno));
}

volatile sig_atomic_t signals;
void on_signal(int sig) { (void)sig; signals++; }

void handle(int sig, int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };

	signals = 0;
	sigaction(sig, &sa, NULL);
}

/* Not a timer: on a busy machine it could end before the call begins that it is to interrupt. */
void alarm_ms(int ms)
{
	struct done d;

	quiet_order(SIGNAL, getpid(), ms, &d);
}

int to_peer(int flags)
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

int pattern_file(size_t n)
{
	FILE *f = tmpfile();
	uint64_t pos = tx_pos;

	for (size_t i = 0; i < n; i++)
		putc(pattern(pos++), f);
	fflush(f);
	tx_pos = pos;
	return fileno(f);
}

void set_int(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		say("setsockopt %d %d: %s", level, name, err_name(errno));
}

int get_int(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, level, name, &value, &len) < 0)
		say("getsockopt %d %d: %s", level, name, err_name(errno));
	return value;
}
