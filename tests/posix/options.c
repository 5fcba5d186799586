/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options.c - options and ioctls: what they say, what they refuse, what they change.
 */
#include <netinet/ip.h>

#include "posix.h"

static const struct {
	const char *name;
	int level, opt, value;
} opts[] = {
#define O(level, opt, value) { #opt, level, opt, value }
	O(SOL_SOCKET, SO_KEEPALIVE, 1), O(SOL_SOCKET, SO_OOBINLINE, 0), O(SOL_SOCKET, SO_DONTROUTE, 0),
	O(SOL_SOCKET, SO_SNDBUF, 100000), O(SOL_SOCKET, SO_RCVBUF, 100000),
	O(SOL_SOCKET, SO_PRIORITY, 3), O(SOL_SOCKET, SO_RCVLOWAT, 7), O(SOL_SOCKET, SO_REUSEADDR, 1),
	O(SOL_SOCKET, SO_REUSEPORT, 1), O(SOL_SOCKET, SO_BUSY_POLL, 0), O(SOL_SOCKET, SO_MARK, 0),
	O(SOL_SOCKET, SO_SNDLOWAT, 1), O(SOL_SOCKET, SO_NO_CHECK, 0), O(SOL_SOCKET, SO_RXQ_OVFL, 1),
	O(SOL_SOCKET, SO_MAX_PACING_RATE, 1 << 30), O(SOL_SOCKET, SO_INCOMING_CPU, 0),
	O(IPPROTO_TCP, TCP_NODELAY, 1), O(IPPROTO_TCP, TCP_CORK, 0), O(IPPROTO_TCP, TCP_KEEPIDLE, 33),
	O(IPPROTO_TCP, TCP_KEEPINTVL, 11), O(IPPROTO_TCP, TCP_KEEPCNT, 4),
	O(IPPROTO_TCP, TCP_SYNCNT, 3), O(IPPROTO_TCP, TCP_LINGER2, 9),
	O(IPPROTO_TCP, TCP_DEFER_ACCEPT, 0), O(IPPROTO_TCP, TCP_WINDOW_CLAMP, 50000),
	O(IPPROTO_TCP, TCP_USER_TIMEOUT, 9999), O(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384),
	O(IPPROTO_TCP, TCP_FASTOPEN, 5), O(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1),
	O(IPPROTO_TCP, TCP_SAVE_SYN, 1),
	O(IPPROTO_TCP, 9999, 1), O(IPPROTO_IP, IP_TOS, IPTOS_LOWDELAY), O(IPPROTO_IP, IP_TTL, 44),
	O(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO), O(IPPROTO_IP, IP_RECVERR, 1),
	O(IPPROTO_IP, IP_FREEBIND, 1), O(IPPROTO_IP, IP_MTU, 1), O(IPPROTO_IP, 9999, 1),
	O(SOL_SOCKET, 9999, 1), O(SOL_SOCKET, SO_TYPE, 1), O(SOL_SOCKET, SO_ERROR, 1),
	O(SOL_SOCKET, SO_DOMAIN, 1), O(SOL_SOCKET, SO_ACCEPTCONN, 1), O(IPPROTO_UDP, 1, 1),
#undef O
};

CASE(options_are_set_and_read_back)
{
	for (size_t i = 0; i < ARRAY_SIZE(opts); i++) {
		int value = -1, ret = setsockopt(s, opts[i].level, opts[i].opt, &opts[i].value, sizeof(int));
		int set_err = errno;
		socklen_t len = sizeof(value);
		int got = getsockopt(s, opts[i].level, opts[i].opt, &value, &len);

		say("%s: set %s, get %s %d, length %u", opts[i].name, ret < 0 ? err_name(set_err) : "ok",
		    got < 0 ? err_name(errno) : "ok", got < 0 ? 0 : value, len);
	}
	give(s, 1000, 0);
	peer(RECV, 1000);
	peer(SEND, 1000);
	take_all(s, 1000);
}

CASE(lengths_are_checked_as_linux_does)
{
	int value = 1;
	socklen_t len;

	show("short", setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, 3));
	show("zero", setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, 0));
	show("negative", setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, (socklen_t)-1));
	show("long", setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, 100));
	for (int n = -1; n < 6; n++) {
		len = (socklen_t)n;
		show("getsockopt", getsockopt(s, SOL_SOCKET, SO_ERROR, &value, &len));
		say("length %d", (int)len);
	}
}

CASE(structures_are_read_back)
{
	struct linger l = { 1, 7 };
	struct timeval tv = { 3, 400000 };
	char cc[16] = "";
	socklen_t len = sizeof(l);

	show("linger", setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	memset(&l, 0, sizeof(l));
	getsockopt(s, SOL_SOCKET, SO_LINGER, &l, &len);
	say("linger %d %d", l.l_onoff, l.l_linger);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	memset(&tv, 0, sizeof(tv));
	len = sizeof(tv);
	getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, &len);
	say("timeout %ld.%06ld", (long)tv.tv_sec, (long)tv.tv_usec);
	tv = (struct timeval){ 0, 1000000 };
	show("bad time", setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	len = sizeof(cc);
	show("congestion", getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, cc, &len));
	say("%s", cc);
	show("none such", setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nonesuch", 8));
	show("reno", setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	len = sizeof(cc);
	getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, cc, &len);
	say("%s", cc);
	give(s, 100000, 0);
	peer(RECV, 100000);
}

CASE(info_counts_the_bytes)
{
	struct {
		unsigned char bytes[512];
	} info = { 0 };				/* libc knows a shorter struct tcp_info */
	socklen_t len = sizeof(info);
	uint64_t acked, received;

	give(s, 5000, 0);
	peer(RECV, 5000);
	peer(SEND, 3000);
	take_all(s, 3000);
	for (int i = 0; i < 3000; i++) {	/* the last acknowledgment is on its way */
		len = sizeof(info);
		getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &len);
		memcpy(&acked, info.bytes + 120, 8);
		if (acked >= 5000)
			break;
		sleep_ms(10);
	}
	memcpy(&received, info.bytes + 128, 8);
	say("state %d, acknowledged %lu, received %lu", info.bytes[0], (unsigned long)acked,
	    (unsigned long)received);
}

CASE(a_short_info_is_filled_as_far_as_it_goes)
{
	unsigned char b[32];
	socklen_t len = 8;

	memset(b, 0xee, sizeof(b));
	show("getsockopt", getsockopt(s, IPPROTO_TCP, TCP_INFO, b, &len));
	say("length %u, state %d, behind %#x", len, b[0], b[8]);
}

CASE(so_error_of_a_live_socket_is_zero)
{
	say("SO_ERROR %d", get_int(s, SOL_SOCKET, SO_ERROR));
	peer(SHUT_WRITE, 0);
	await(s, POLLIN);
	say("SO_ERROR %d", get_int(s, SOL_SOCKET, SO_ERROR));
	shutdown(s, SHUT_WR);
	say("SO_ERROR %d", get_int(s, SOL_SOCKET, SO_ERROR));
}

CASE(so_error_takes_the_error_away)
{
	peer(RESET, 0);
	await(s, POLLERR);
	say("SO_ERROR %s", err_name(get_int(s, SOL_SOCKET, SO_ERROR)));
	say("SO_ERROR %s", err_name(get_int(s, SOL_SOCKET, SO_ERROR)));
	take(s, 10, 0);
	give(s, 10, MSG_NOSIGNAL);
	do_poll(s, POLLIN | POLLOUT, 0);
}

CASE(notsent_lowat_holds_a_writer_back)
{
	struct pollfd p = { .fd = s, .events = POLLOUT };
	static unsigned char b[4096];
	long put = 0;
	ssize_t n;

	set_int(s, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384);
	nonblock(s);
	/* the peer does not read: what is not sent stays small once its window is full */
	for (int i = 0; i < 20000 && writable_soon(s); i++) {
		fill(b, sizeof(b), &tx_pos);
		n = write(s, b, sizeof(b));
		if (n < (ssize_t)sizeof(b))
			tx_pos -= sizeof(b) - (n > 0 ? (size_t)n : 0);
		if (n > 0)
			put += n;
	}
	ioctl(s, SIOCOUTQNSD, &(int){ 0 });
	say("not writable: %d", poll(&p, 1, 0) == 0);
	later(SHORT_MS, RECV, (int)put);
	say("writable again: %d", poll(&p, 1, 30000));
}

CASE(lowat_is_over_at_the_end)
{
	set_int(s, SOL_SOCKET, SO_RCVLOWAT, 10);
	peer(SEND, 4);
	later(SHORT_MS, SHUT_WRITE, 0);
	take(s, 100, 0);
	take(s, 100, 0);
}

CASE(lowat_counts_for_epoll)
{
	int ep = epoll_with(s, EPOLLIN);

	set_int(s, SOL_SOCKET, SO_RCVLOWAT, 10);
	peer(SEND, 9);
	do_epoll(ep, SHORT_MS);
	later(SHORT_MS, SEND, 1);
	do_epoll(ep, 30000);
	take(s, 100, 0);
	close(ep);
}

CASE(lowat_counts_for_select)
{
	fd_set r;

	set_int(s, SOL_SOCKET, SO_RCVLOWAT, 10);
	peer(SEND, 9);
	FD_ZERO(&r);
	FD_SET(s, &r);
	show("select", select(s + 1, &r, NULL, NULL, &(struct timeval){ 0, SHORT_MS * 1000 }));
	later(SHORT_MS, SEND, 1);
	FD_SET(s, &r);
	show("select", select(s + 1, &r, NULL, NULL, &(struct timeval){ 30, 0 }));
}

CASE(lowat_does_not_hold_back_a_nonblocking_read)
{
	set_int(s, SOL_SOCKET, SO_RCVLOWAT, 10);
	peer(SEND, 4);
	take(s, 100, MSG_DONTWAIT);
	take(s, 100, MSG_DONTWAIT);
}

CASE(a_user_timeout_is_kept)
{
	set_int(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 30000);
	give(s, 100, 0);
	peer(RECV, 100);
	say("%d", get_int(s, IPPROTO_TCP, TCP_USER_TIMEOUT));
}

CASE(quickack_and_nodelay_change_no_byte)
{
	for (int i = 0; i < 20; i++) {
		set_int(s, IPPROTO_TCP, TCP_QUICKACK, i & 1);
		set_int(s, IPPROTO_TCP, TCP_NODELAY, i & 2);
		give(s, 100, 0);
		peer(RECV, 100);
		peer(SEND, 100);
		take_all(s, 100);
	}
}

CASE(a_small_receive_buffer_still_gets_everything)
{
	set_int(s, SOL_SOCKET, SO_RCVBUF, 4096);
	later(1, SEND, 500000);
	take_all(s, 500000);
}

CASE(a_small_send_buffer_still_sends_everything)
{
	set_int(s, SOL_SOCKET, SO_SNDBUF, 4096);
	later(1, RECV, 500000);
	for (int i = 0; i < 50; i++) {
		static unsigned char b[10000];
		size_t done = 0;

		fill(b, sizeof(b), &tx_pos);
		while (done < sizeof(b)) {
			ssize_t n = write(s, b + done, sizeof(b) - done);

			if (n <= 0)
				break;
			done += (size_t)n;
		}
	}
	peer(SEND, 1);
	take_all(s, 1);
}

/* ---- listeners ------------------------------------------------------------------------- */

static int own_listener(int *port)
{
	int l = listen_on(NULL, port);

	peer(CLOSE, 0);
	return l;
}

CASE(a_deferred_accept_comes_with_the_data)
{
	int port, l = own_listener(&port), c;

	set_int(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	peer(CONNECT, port);
	do_poll(l, POLLIN, SHORT_MS);
	peer(SEND, 10);
	do_poll(l, POLLIN, 30000);
	c = accept(l, NULL, NULL);
	nonblock(c);
	take(c, 100, 0);
	give(c, 10, 0);
	peer(RECV, 10);
	close(c);
	close(l);
}

CASE(accepted_sockets_have_the_listeners_options)
{
	int port, l = own_listener(&port), c;

	set_int(l, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(l, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(l, SOL_SOCKET, SO_RCVLOWAT, 5);
	set_int(l, IPPROTO_TCP, TCP_USER_TIMEOUT, 7777);
	set_timeo(l, SO_RCVTIMEO, SHORT_MS);
	peer(CONNECT, port);
	await(l, POLLIN);
	c = accept4(l, NULL, NULL, 0);
	say("%d %d %d %d", get_int(c, SOL_SOCKET, SO_KEEPALIVE), get_int(c, IPPROTO_TCP, TCP_NODELAY),
	    get_int(c, SOL_SOCKET, SO_RCVLOWAT), get_int(c, IPPROTO_TCP, TCP_USER_TIMEOUT));
	take(c, 10, 0);
	peer(SEND, 4);
	do_poll(c, POLLIN, 0);
	take(c, 10, 0);
	close(c);
	close(l);
}

static void held_back(int fd)
{
	static unsigned char b[4096];
	int out = 0;

	nonblock(fd);
	for (int i = 0; i < 20000 && writable_soon(fd); i++)
		(void)!write(fd, b, sizeof(b));
	ioctl(fd, SIOCOUTQNSD, &out);
	say("not much is unsent: %d", out < 64 << 10);
}

CASE(a_listener_hands_notsent_lowat_down)
{
	int port, l = own_listener(&port), c;

	set_int(l, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384);
	peer(CONNECT, port);
	c = accept(l, NULL, NULL);
	say("%d", get_int(c, IPPROTO_TCP, TCP_NOTSENT_LOWAT));
	held_back(c);
	close(c);
	close(l);
}

CASE(accept_gives_flags_only_when_asked)
{
	int port, l = own_listener(&port), c;
	struct sockaddr_in sa;
	socklen_t len = 4;

	nonblock(l);
	show("accept", accept(l, NULL, NULL));
	peer(CONNECT, port);
	do_poll(l, POLLIN, 30000);
	c = accept(l, (struct sockaddr *)&sa, &len);
	say("nonblock %d, cloexec %d, length %u", !!(fcntl(c, F_GETFL) & O_NONBLOCK), fcntl(c, F_GETFD), len);
	close(c);
	peer(CLOSE, 0);
	peer(CONNECT, port);
	do_poll(l, POLLIN, 30000);
	c = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	say("nonblock %d, cloexec %d", !!(fcntl(c, F_GETFL) & O_NONBLOCK), fcntl(c, F_GETFD));
	take(c, 10, 0);
	show("accept4", accept4(l, NULL, NULL, 12345));
	show("accept of a connection", accept(c, NULL, NULL));
	close(c);
	close(l);
}

CASE(fastopen_on_a_listener_is_harmless)
{
	int port, l = own_listener(&port), c;

	show("setsockopt", setsockopt(l, IPPROTO_TCP, TCP_FASTOPEN, &(int){ 16 }, sizeof(int)));
	peer(CONNECT, port);
	c = accept(l, NULL, NULL);
	give(c, 10, 0);
	peer(RECV, 10);
	close(c);
	close(l);
}

CASE(a_listener_that_is_shut_down_no_longer_listens)
{
	int port, l = own_listener(&port);

	show("shutdown", shutdown(l, SHUT_RD));
	do_poll(l, POLLIN, 0);
	show("accept", accept(l, NULL, NULL));
	close(l);
}

CASE(a_maximum_segment_size_is_linuxs)
{
	int mss = get_int(s, IPPROTO_TCP, TCP_MAXSEG);

	say("plausible %d", mss > 500 && mss < 1500);
	show("setsockopt", setsockopt(s, IPPROTO_TCP, TCP_MAXSEG, &(int){ 600 }, sizeof(int)));
	give(s, 5000, 0);
	peer(RECV, 5000);
}

/* ---- ioctls ---------------------------------------------------------------------------- */

CASE(counts_go_with_the_bytes)
{
	int n = -1;

	show("FIONREAD", ioctl(s, FIONREAD, &n));
	say("%d", n);
	peer(SEND, 100);
	await(s, POLLIN);
	ioctl(s, SIOCINQ, &n);
	say("%d", n);
	take(s, 30, 0);
	ioctl(s, FIONREAD, &n);
	say("%d", n);
	take(s, 10, MSG_PEEK);
	ioctl(s, FIONREAD, &n);
	say("%d", n);
	take(s, 100, 0);
	ioctl(s, FIONREAD, &n);
	say("%d", n);
	peer(SHUT_WRITE, 0);
	await(s, POLLRDHUP);
	show("FIONREAD", ioctl(s, FIONREAD, &n));
	say("%d", n);
}

CASE(what_is_out_empties)
{
	int n = -1;

	give(s, 5000, 0);
	peer(RECV, 5000);
	for (int i = 0; i < 3000; i++) {
		ioctl(s, SIOCOUTQ, &n);
		if (n == 0)
			break;
		sleep_ms(10);
	}
	say("%d", n);
	ioctl(s, TIOCOUTQ, &n);
	say("%d", n);
	ioctl(s, SIOCOUTQNSD, &n);
	say("%d", n);
}

CASE(what_is_out_counts_while_the_peer_does_not_read)
{
	int all = 0, unsent = 0;

	nonblock(s);
	stuff(s);
	ioctl(s, SIOCOUTQ, &all);
	ioctl(s, SIOCOUTQNSD, &unsent);
	say("some out %d, not sent %d, no more than out %d", all > 0, unsent > 0, unsent <= all);
}

CASE(ioctls_that_are_not_for_sockets_are_enotty)
{
	char buf[256];

	show("TCGETS", ioctl(s, 0x5401, buf));
	show("FIGETBSZ", ioctl(s, 2, buf));
	say("isatty %d %s", isatty(s), err_name(errno));
	show("FIOCLEX", ioctl(s, FIOCLEX));
	say("cloexec %d", fcntl(s, F_GETFD));
	show("FIONCLEX", ioctl(s, FIONCLEX));
	say("cloexec %d", fcntl(s, F_GETFD));
}

CASE(fstat_and_lseek_know_a_socket)
{
	show("lseek", lseek(s, 0, SEEK_CUR));
	show("ftruncate", ftruncate(s, 0));
	show("fsync", fsync(s));
	show("access mode", fcntl(s, F_GETFL) & O_ACCMODE);
	show("posix_fadvise", posix_fadvise(s, 0, 0, 0));
}

CASE(getpeername_outlives_the_peer)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);

	peer(CLOSE, 0);
	await(s, POLLIN);
	show("getpeername", getpeername(s, (struct sockaddr *)&sa, &len));
	take(s, 1, 0);
	len = sizeof(sa);
	show("getpeername", getpeername(s, (struct sockaddr *)&sa, &len));
	shutdown(s, SHUT_RDWR);
	len = sizeof(sa);
	show("getsockname", getsockname(s, (struct sockaddr *)&sa, &len));
}

CASE(lowat_waits_and_ends)
{
	set_int(s, SOL_SOCKET, SO_RCVLOWAT, 10);
	peer(SEND, 5);
	take(s, 3, 0);
	take(s, 30, MSG_DONTWAIT);
	peer(SEND, 5);
	set_int(s, SOL_SOCKET, SO_RCVLOWAT, 2);
	do_poll(s, POLLIN, 30000);
	take(s, 30, 0);
	set_int(s, SOL_SOCKET, SO_RCVLOWAT, 0);
	say("%d", get_int(s, SOL_SOCKET, SO_RCVLOWAT));
	set_int(s, SOL_SOCKET, SO_RCVLOWAT, 10);
	peer(SEND, 5);
	later(SHORT_MS, SHUT_WRITE, 0);
	take(s, 30, 0);
	take(s, 30, 0);
}
