/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_ask.c - what tp_ask says of real sockets, beside what the kernel says of them
 * elsewhere (TCP_INFO, TCP_REPAIR, SO_COOKIE), and what it does to their entries.
 */
#include "lab.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define ESTABLISHED	1
#define FIN_WAIT2	5
#define TIME_WAIT	6
#define CLOSE_WAIT	8
#define LAST_ACK	9

static void must(bool good, const char *what)
{
	if (!good)
		fail_msg("%s failed", what);
}

static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	ioctl(fd, SIOCGIFFLAGS, &ifr);
	ifr.ifr_flags |= IFF_UP;
	must(ioctl(fd, SIOCSIFFLAGS, &ifr) == 0, "ip link set lo up");
	close(fd);
}

static int open_lab(void **state)
{
	lab_open(state);
	loopback_up();
	return 0;
}

/* A connection to ourselves; @family of the listening side. Both ends are asked about. */
struct pair {
	int client, server, listener;
	struct sockaddr_in at_client, at_server;	/* the client's address and the server's */
};

static void connect_pair(struct pair *p, int family)
{
	struct sockaddr_in6 any6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in any4 = { .sin_family = AF_INET };
	socklen_t len = sizeof(struct sockaddr_in6);
	struct sockaddr_in6 bound;
	int off = 0;

	p->listener = socket(family, SOCK_STREAM, 0);
	setsockopt(p->listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	must(!bind(p->listener, family == AF_INET ? (void *)&any4 : (void *)&any6,
		   family == AF_INET ? sizeof(any4) : sizeof(any6)), "bind");
	must(!listen(p->listener, 1), "listen");
	getsockname(p->listener, (struct sockaddr *)&bound, &len);

	p->client = socket(AF_INET, SOCK_STREAM, 0);
	p->at_server = (struct sockaddr_in){ .sin_family = AF_INET,
					     .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
					     .sin_port = bound.sin6_port };
	must(!connect(p->client, (struct sockaddr *)&p->at_server, sizeof(p->at_server)),
	     "connect");
	p->server = accept(p->listener, NULL, NULL);
	must(p->server >= 0, "accept");
	len = sizeof(p->at_client);
	getsockname(p->client, (struct sockaddr *)&p->at_client, &len);
}

static void close_pair(struct pair *p)
{
	close(p->client);
	close(p->server);
	close(p->listener);
}

static struct tp_flow_key key_of(const struct sockaddr_in *local, const struct sockaddr_in *peer)
{
	struct tp_flow_key k = {
		.peer_port = ntohs(peer->sin_port),
		.local_port = ntohs(local->sin_port),
	};

	tp_set_ip4(k.peer_ip, peer->sin_addr.s_addr);
	tp_set_ip4(k.local_ip, local->sin_addr.s_addr);
	return k;
}

/* What the program returns; the answer is in its tp_reply. */
static uint32_t put_question(const struct tp_question *q, uint32_t len)
{
	struct {
		uint8_t eth[14];
		struct tp_question q;
	} __attribute__((packed)) frame = { .q = *q };
	struct __sk_buff skb = { .ifindex = if_nametoindex("lo") };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = &frame, .data_size_in = 14 + len,
		    .ctx_in = &skb, .ctx_size_in = sizeof(skb));

	must(!bpf_prog_test_run_opts(bpf_program__fd(lab_ask->progs.tp_ask), &o), "asking");
	return o.retval;
}

static struct tp_answer ask_key(struct tp_flow_key key, uint32_t op)
{
	struct tp_question q = { .key = key, .op = op };

	assert_int_equal(put_question(&q, sizeof(q)), 0);
	return lab_ask->bss->tp_reply;
}

static struct tp_answer ask(const struct sockaddr_in *local, const struct sockaddr_in *peer)
{
	return ask_key(key_of(local, peer), TP_ASK_LOOK);
}

static struct tp_answer ask_server(const struct pair *p)
{
	return ask(&p->at_server, &p->at_client);
}

static struct tp_answer ask_client(const struct pair *p)
{
	return ask(&p->at_client, &p->at_server);
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	return cookie;
}

static struct tcp_info info_of(int fd)
{
	struct tcp_info i = {};
	socklen_t len = sizeof(i);

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len);
	return i;
}

static uint32_t queue_seq(int fd, int queue)
{
	uint32_t seq = 0;
	socklen_t len = sizeof(seq);
	int on = 1, off = 0;

	must(!setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)), "TCP_REPAIR");
	setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue));
	getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, &len);
	setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off));
	return seq;
}

static void wait_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	must(poll(&p, 1, 20000) == 1, "waiting for data");
}

/* ---- */

static void the_numbers_are_those_of_the_socket(void **state)
{
	struct tp_answer a, b;
	struct pair p;
	char text[3000] = "";

	(void)state;
	connect_pair(&p, AF_INET);
	must(write(p.client, text, 1000) == 1000, "write");
	wait_readable(p.server);
	must(read(p.server, text, 300) == 300, "read");

	a = ask_server(&p);
	b = ask_client(&p);
	assert_int_equal(a.found, 1);
	assert_int_equal(a.tcp_state, ESTABLISHED);
	assert_int_equal(a.rcv_nxt - a.copied_seq, 700);
	assert_int_equal(a.rcv_nxt, b.snd_nxt);
	assert_int_equal(b.write_seq, b.snd_nxt);
	assert_int_equal(b.rcv_nxt, a.snd_nxt);
	assert_int_equal(a.snd_nxt, a.snd_una);
	assert_int_equal(b.snd_nxt, queue_seq(p.client, 2));
	assert_int_equal(a.rcv_nxt, queue_seq(p.server, 1));
	close_pair(&p);
}

static void the_rest_is_what_tcp_info_and_the_options_say(void **state)
{
	static const char name[] = "reno";
	struct tcp_info i;
	struct tp_answer a;
	struct pair p;
	int on = 1, timeout = 12345, tos = 0x28, rcvbuf, sndbuf;
	socklen_t len = sizeof(int);

	(void)state;
	connect_pair(&p, AF_INET);
	setsockopt(p.server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(p.server, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
	setsockopt(p.server, IPPROTO_TCP, TCP_CONGESTION, name, sizeof(name));
	setsockopt(p.server, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	getsockopt(p.server, SOL_SOCKET, SO_RCVBUF, &rcvbuf, &len);
	getsockopt(p.server, SOL_SOCKET, SO_SNDBUF, &sndbuf, &len);
	i = info_of(p.server);
	a = ask_server(&p);

	assert_true(a.cookie != 0 || cookie_of(p.server) != 0);
	assert_int_equal(ask_server(&p).cookie, cookie_of(p.server));
	assert_int_equal(a.uid, 0);
	assert_int_equal(a.mss_cache, i.tcpi_snd_mss);
	assert_int_equal(a.advmss, i.tcpi_advmss);
	assert_int_equal(a.pmtu, i.tcpi_pmtu);
	assert_int_equal(a.snd_cwnd, i.tcpi_snd_cwnd);
	assert_int_equal(a.snd_ssthresh, 0x7fffffff);
	assert_int_equal(a.srtt_us, i.tcpi_rtt);
	assert_int_equal(a.rttvar_us, i.tcpi_rttvar);
	assert_int_equal(a.snd_wscale, i.tcpi_snd_wscale);
	assert_int_equal(a.rcv_wscale, i.tcpi_rcv_wscale);
	assert_int_equal(a.wscale_ok, !!(i.tcpi_options & TCPI_OPT_WSCALE));
	assert_int_equal(a.sack_ok, !!(i.tcpi_options & TCPI_OPT_SACK));
	assert_int_equal(a.ts_ok, !!(i.tcpi_options & TCPI_OPT_TIMESTAMPS));
	assert_int_equal(a.user_timeout_ms, timeout);
	assert_int_equal(a.nodelay, 1);
	assert_int_equal(a.cork, 0);
	assert_int_equal(a.tos, tos);
	assert_int_equal(a.ttl, 64);
	assert_int_equal(a.rcvbuf, rcvbuf);
	assert_int_equal(a.sndbuf, sndbuf);
	assert_int_equal(a.max_pacing_rate, UINT64_MAX);
	assert_string_equal(a.cc, "reno");
	assert_false(a.odd);
	assert_false(a.ooo);
	assert_false(a.busy);
	close_pair(&p);
}

/* Which the lab wrote nothing into: the default of ask.bpf.c is 250 ticks a second. */
static void times_in_ticks_come_out_in_microseconds(void **state)
{
	struct tp_answer a;
	struct tcp_info i;
	struct pair p;

	(void)state;
	connect_pair(&p, AF_INET);
	a = ask_server(&p);
	i = info_of(p.server);
	assert_int_equal(a.rto_us / 1000000.0 * lab_ask->rodata->tp_hz,
			 i.tcpi_rto / 1000000.0 * lab_ask->rodata->tp_hz);
	assert_int_equal(a.rto_min_us, 200000);
	close_pair(&p);
}

static void write_sysctl(const char *name, const char *value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
	f = fopen(path, "w");
	must(f && fputs(value, f) >= 0 && fclose(f) == 0, path);
}

static void what_an_administrator_decided_comes_with_it(void **state)
{
	struct tp_answer a;
	struct pair p;
	int rcvbuf = 20000;

	(void)state;
	connect_pair(&p, AF_INET);
	a = ask_server(&p);
	assert_int_equal(a.retries2, 15);
	assert_int_equal(a.idle_restart, 1);
	assert_int_equal(a.moderate_rcvbuf, 1);
	assert_int_equal(a.rcvbuf_locked, 0);
	assert_int_equal(a.quick_acks, 0);
	assert_int_equal(a.init_cwnd, 0);

	write_sysctl("tcp_retries2", "7");
	write_sysctl("tcp_slow_start_after_idle", "0");
	write_sysctl("tcp_moderate_rcvbuf", "0");
	setsockopt(p.server, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	a = ask_server(&p);
	assert_int_equal(a.retries2, 7);
	assert_int_equal(a.idle_restart, 0);
	assert_int_equal(a.moderate_rcvbuf, 0);
	assert_int_equal(a.rcvbuf_locked, 1);
	assert_int_equal(a.rcvbuf, 40000);
	close_pair(&p);
}

static void an_ipv4_connection_of_an_ipv6_socket_is_found(void **state)
{
	struct tp_answer a;
	struct pair p;

	(void)state;
	connect_pair(&p, AF_INET6);
	cookie_of(p.server);
	a = ask_server(&p);
	assert_int_equal(a.found, 1);
	assert_int_equal(a.cookie, cookie_of(p.server));
	close_pair(&p);
}

static void cork_and_ttl_and_pacing_are_seen(void **state)
{
	struct tp_answer a;
	struct pair p;
	int on = 1, ttl = 7;
	uint64_t rate = 5000000;

	(void)state;
	connect_pair(&p, AF_INET);
	setsockopt(p.server, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	setsockopt(p.server, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	setsockopt(p.server, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate));
	a = ask_server(&p);
	assert_int_equal(a.cork, 1);
	assert_int_equal(a.nodelay, 0);
	assert_int_equal(a.ttl, 7);
	assert_int_equal(a.max_pacing_rate, 5000000);
	close_pair(&p);
}

static void what_only_linux_can_do_is_odd(void **state)
{
	struct sock_filter accept_all = BPF_STMT(BPF_RET | BPF_K, 0xffffffff);
	struct sock_fprog filter = { .len = 1, .filter = &accept_all };
	static const char ulp[] = "tls";
	struct pair p;

	(void)state;
	connect_pair(&p, AF_INET);
	must(!setsockopt(p.server, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)),
	     "SO_ATTACH_FILTER");
	assert_true(ask_server(&p).odd);
	if (!setsockopt(p.client, IPPROTO_TCP, TCP_ULP, ulp, sizeof(ulp)))
		assert_true(ask_client(&p).odd);
	close_pair(&p);

	connect_pair(&p, AF_INET);
	must(send(p.client, "!", 1, MSG_OOB) == 1, "send");
	while (!ask_server(&p).odd)
		;
	close_pair(&p);
}

static void what_only_linux_can_say_is_odd(void **state)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ SOL_SOCKET, SO_TIMESTAMP, 1 },
		{ SOL_SOCKET, SO_TIMESTAMPNS, 1 },
		{ SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE },
		{ SOL_SOCKET, SO_PEEK_OFF, 0 },	/* of TCP since 6.9 */
		{ IPPROTO_TCP, TCP_INQ, 1 },
	};
	struct pair p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		connect_pair(&p, AF_INET);
		assert_false(ask_server(&p).odd);
		if (!setsockopt(p.server, options[i].level, options[i].name, &options[i].value,
				sizeof(int)))
			assert_true(ask_server(&p).odd);
		else
			assert_int_equal(options[i].name, SO_PEEK_OFF);
		assert_false(ask_client(&p).odd);
		close_pair(&p);
	}

	connect_pair(&p, AF_INET);
	must(!fcntl(p.server, F_SETOWN, getpid()) && !fcntl(p.server, F_SETFL, O_ASYNC), "O_ASYNC");
	assert_true(ask_server(&p).odd);
	must(!fcntl(p.server, F_SETFL, 0), "F_SETFL");
	assert_false(ask_server(&p).odd);
	close_pair(&p);
}

static void the_states_of_closing_are_told_time_wait_included(void **state)
{
	struct tp_answer a;
	struct pair p;
	uint32_t rcv_nxt;

	(void)state;
	connect_pair(&p, AF_INET);
	shutdown(p.client, SHUT_WR);
	wait_readable(p.server);
	assert_int_equal(ask_server(&p).tcp_state, CLOSE_WAIT);
	assert_int_equal(ask_server(&p).shutdown, 1);
	while (ask_client(&p).tcp_state != FIN_WAIT2)
		;
	assert_int_equal(ask_client(&p).shutdown, 2);
	rcv_nxt = ask_client(&p).rcv_nxt;

	close(p.server);
	do
		a = ask_client(&p);
	while (a.tcp_state == FIN_WAIT2);
	assert_int_equal(a.tcp_state, TIME_WAIT);
	assert_int_equal(a.found, 0);
	assert_int_equal(a.rcv_nxt, rcv_nxt + 1);
	while (ask_server(&p).tcp_state == LAST_ACK)	/* the ACK may be a moment later */
		;
	assert_int_equal(ask_server(&p).tcp_state, 0);
	close(p.client);
	assert_int_equal(ask_client(&p).tcp_state, TIME_WAIT);
	close(p.listener);
}

/* ---- one that closes while it is asked about ---- */

#define CLOSING_PAIRS	300
#define OTHERS		300

static _Atomic int to_close = -1;	/* whose turn it is */

static void *close_in_turn(void *pairs)
{
	for (int i = 0; i < CLOSING_PAIRS; i++) {
		while (atomic_load(&to_close) < i)
			;
		close(((struct pair *)pairs)[i].server);
	}
	return NULL;
}

static void half_close(struct pair *p)
{
	shutdown(p->server, SHUT_WR);
	while (ask_server(p).tcp_state != FIN_WAIT2)
		;
}

/* Before Linux 6.11 a TIME_WAIT is put into its list before it may be used: that shows a moment later, and
 * who must be certain asks again (user/slow/attach.h).
 */
static bool may_be_late(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname u;

	uname(&u);
	must(sscanf(u.release, "%u.%u", &major, &minor) == 2, "uname");
	return major < 6 || (major == 6 && minor < 11);
}

static bool comes_late(const struct pair *p)
{
	usleep(1000);
	return ask_server(p).tcp_state != 0;
}

/* How often was neither the socket found nor the TIME_WAIT that takes its place? */
static int lost_while_closing(struct pair *p)
{
	bool late = may_be_late();
	pthread_t closer;
	uint32_t st;
	int lost = 0;

	pthread_create(&closer, NULL, close_in_turn, p);
	for (int i = 0; i < CLOSING_PAIRS; i++) {
		atomic_store(&to_close, i);
		while ((st = ask_server(&p[i]).tcp_state) != TIME_WAIT)
			lost += st == 0 && !(late && comes_late(&p[i]));
	}
	pthread_join(closer, NULL);
	return lost;
}

static void must_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	must(fd >= 0 && write(fd, text, strlen(text)) > 0, path);
	close(fd);
}

/* In a namespace whose table of sockets has 16 lists, so that each of them is long. */
static int lose_in_long_lists(void)
{
	static struct pair p[CLOSING_PAIRS], others[OTHERS];

	must_write("/proc/sys/net/ipv4/tcp_child_ehash_entries", "16");
	must(!unshare(CLONE_NEWNET), "unshare");
	must_write("/proc/sys/net/ipv4/tcp_max_tw_buckets", "10000");	/* was half of the lists */
	loopback_up();
	for (int i = 0; i < CLOSING_PAIRS; i++)
		connect_pair(&p[i], AF_INET);
	for (int i = 0; i < OTHERS; i++)
		connect_pair(&others[i], AF_INET);
	for (int i = 0; i < CLOSING_PAIRS; i++)
		half_close(&p[i]);
	return lost_while_closing(p);
}

static void one_that_becomes_a_time_wait_is_found_at_each_moment(void **state)
{
	struct rlimit files = { 8192, 8192 };
	int status;
	pid_t child;

	(void)state;
	if (access("/proc/sys/net/ipv4/tcp_child_ehash_entries", W_OK))
		skip();
	must(!setrlimit(RLIMIT_NOFILE, &files), "setrlimit");
	child = fork();
	if (!child) {
		int lost = lose_in_long_lists();

		if (lost)
			print_error("not found %d times\n", lost);
		_exit(lost != 0);
	}
	must(waitpid(child, &status, 0) == child, "waitpid");
	assert_int_equal(status, 0);
}

static void a_listener_and_a_stranger_are_no_connections(void **state)
{
	struct sockaddr_in other;
	struct tp_answer a;
	struct pair p;

	(void)state;
	connect_pair(&p, AF_INET);
	other = p.at_client;
	other.sin_port ^= 1;
	a = ask(&p.at_server, &other);
	assert_int_equal(a.found, 0);
	assert_int_equal(a.tcp_state, 0);
	other = p.at_server;
	other.sin_port ^= 1;
	assert_int_equal(ask(&other, &p.at_client).found, 0);
	close_pair(&p);
}

static void an_error_on_the_socket_is_told(void **state)
{
	struct linger now = { .l_onoff = 1 };
	struct pair p;

	(void)state;
	connect_pair(&p, AF_INET);
	setsockopt(p.client, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(p.client);
	wait_readable(p.server);
	assert_int_equal(ask_server(&p).found, 0);	/* Linux forgets it at once */
	close(p.server);
	close(p.listener);
}

/* ---- the entry ---- */

static const struct tp_flow_val busy = { .flow_id = 1, .tx_delta = 2, .rx_delta = 3,
					 .to_linux = 4, .queue = 5, .born = 6,
					 .next_hop = { 7, 8, 9 }, .seen_in = 1, .seen_out = 1 };

static void put_entry(struct tp_flow_key key, const struct tp_flow_val *v)
{
	must(!bpf_map_update_elem(bpf_map__fd(lab_xdp->maps.tp_flows), &key, v, 0),
	     "making an entry");
}

static bool find_entry(struct tp_flow_key key, struct tp_flow_val *ret_entry)
{
	return !bpf_map_lookup_elem(bpf_map__fd(lab_xdp->maps.tp_flows), &key, ret_entry);
}

static struct tp_flow_val get_entry(struct tp_flow_key key)
{
	struct tp_flow_val v = {};

	must(find_entry(key, &v), "looking for the entry");
	return v;
}

static void delete_entry(struct tp_flow_key key)
{
	bpf_map_delete_elem(bpf_map__fd(lab_xdp->maps.tp_flows), &key);
}

/* Of which Linux knows nothing. */
static struct tp_flow_key stranger(void)
{
	struct sockaddr_in here = { .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = 1 };

	return key_of(&here, &here);
}

/* All notes stay what they are, and the answer tells the entry as it stands afterwards. */
static void each_operation_moves_between_watch_and_hold_only(void **state)
{
	static const struct {
		const char *name;
		uint32_t op, was, then;
	} cases[] = {
		{ "LOOK at NONE", TP_ASK_LOOK, TP_NONE, TP_NONE },
		{ "LOOK at WATCH", TP_ASK_LOOK, TP_WATCH, TP_WATCH },
		{ "LOOK at HOLD", TP_ASK_LOOK, TP_HOLD, TP_HOLD },
		{ "LOOK at FAST", TP_ASK_LOOK, TP_FAST, TP_FAST },
		{ "LOOK at LINUX", TP_ASK_LOOK, TP_LINUX, TP_LINUX },
		{ "HOLD of NONE", TP_ASK_HOLD, TP_NONE, TP_NONE },
		{ "HOLD of WATCH", TP_ASK_HOLD, TP_WATCH, TP_HOLD },
		{ "HOLD of HOLD", TP_ASK_HOLD, TP_HOLD, TP_HOLD },
		{ "HOLD of FAST", TP_ASK_HOLD, TP_FAST, TP_FAST },
		{ "HOLD of LINUX", TP_ASK_HOLD, TP_LINUX, TP_LINUX },
		{ "UNHOLD of NONE", TP_ASK_UNHOLD, TP_NONE, TP_NONE },
		{ "UNHOLD of WATCH", TP_ASK_UNHOLD, TP_WATCH, TP_WATCH },
		{ "UNHOLD of HOLD", TP_ASK_UNHOLD, TP_HOLD, TP_WATCH },
		{ "UNHOLD of FAST", TP_ASK_UNHOLD, TP_FAST, TP_FAST },
		{ "UNHOLD of LINUX", TP_ASK_UNHOLD, TP_LINUX, TP_LINUX },
		{ "no operation at all", 99, TP_WATCH, TP_WATCH },
	};
	struct tp_flow_val v = busy, now;
	struct tp_answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		v.state = cases[i].was;
		put_entry(stranger(), &v);
		a = ask_key(stranger(), cases[i].op);
		now = get_entry(stranger());
		v.state = cases[i].then;
		if (now.state != v.state)
			fail_msg("%s: now in state %u", cases[i].name, now.state);
		assert_memory_equal(&now, &v, sizeof(v));
		assert_memory_equal(&a.entry, &v, sizeof(v));
		assert_int_equal(a.found, 0);
	}
	delete_entry(stranger());
}

static void where_there_is_no_entry_none_is_made(void **state)
{
	static const struct tp_flow_val none;
	struct tp_flow_key key;
	struct tp_flow_val v;
	struct tp_answer a;
	struct pair p;

	(void)state;
	connect_pair(&p, AF_INET);
	key = key_of(&p.at_server, &p.at_client);
	for (uint32_t op = TP_ASK_LOOK; op <= TP_ASK_UNHOLD; op++) {
		a = ask_key(key, op);
		assert_int_equal(a.found, 1);
		assert_memory_equal(&a.entry, &none, sizeof(none));
		assert_false(find_entry(key, &v));
	}
	close_pair(&p);
}

static void a_question_about_no_ipv4_connection_changes_nothing(void **state)
{
	struct tp_question q = { .key = stranger(), .op = TP_ASK_HOLD };
	struct tp_flow_val v = busy;

	(void)state;
	v.state = TP_WATCH;
	put_entry(q.key, &v);
	assert_int_not_equal(put_question(&q, sizeof(q) - 1), 0);
	assert_int_equal(get_entry(q.key).state, TP_WATCH);
	delete_entry(q.key);

	memset(q.key.peer_ip, 0, 12);
	put_entry(q.key, &v);
	assert_int_not_equal(put_question(&q, sizeof(q)), 0);
	assert_int_equal(get_entry(q.key).state, TP_WATCH);
	delete_entry(q.key);
}

/* The answer itself still tells what was noted. */
static void a_number_that_linux_cannot_have_taken_is_forgotten_while_held(void **state)
{
	enum of { NXT, EDGE };
	static const struct {
		const char *name;
		uint32_t op, was;
		enum of of;		/* noted is this number of Linux's, */
		uint32_t plus;		/* and so much */
		bool forgotten;
	} cases[] = {
		{ "all taken", TP_ASK_HOLD, TP_WATCH, NXT, 0, false },
		{ "on its way", TP_ASK_HOLD, TP_WATCH, NXT, 1, false },
		{ "behind", TP_ASK_HOLD, TP_WATCH, NXT, -1000, false },
		{ "far behind", TP_ASK_HOLD, TP_WATCH, EDGE, 0x80000001, false },
		{ "the window's edge", TP_ASK_HOLD, TP_WATCH, EDGE, 0, false },
		{ "beyond the edge", TP_ASK_HOLD, TP_WATCH, EDGE, 1, true },
		{ "far beyond", TP_ASK_HOLD, TP_WATCH, EDGE, 0x7fffffff, true },
		{ "beyond, held before", TP_ASK_LOOK, TP_HOLD, EDGE, 1, true },
		{ "beyond, WATCH", TP_ASK_LOOK, TP_WATCH, EDGE, 1, false },
		{ "beyond, let go", TP_ASK_UNHOLD, TP_HOLD, EDGE, 1, false },
		{ "beyond, FAST", TP_ASK_HOLD, TP_FAST, EDGE, 1, false },
		{ "beyond, LINUX", TP_ASK_HOLD, TP_LINUX, EDGE, 1, false },
	};
	struct tp_flow_val v = busy;
	struct tp_flow_key key;
	struct tp_answer a;
	struct pair p;

	(void)state;
	connect_pair(&p, AF_INET);
	key = key_of(&p.at_server, &p.at_client);
	a = ask_key(key, TP_ASK_LOOK);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t edge = a.rcv_wup + a.rcv_wnd, now;

		v.state = cases[i].was;
		v.to_linux = (cases[i].of == EDGE ? edge : a.rcv_nxt) + cases[i].plus;
		put_entry(key, &v);
		assert_int_equal(ask_key(key, cases[i].op).entry.to_linux, v.to_linux);
		now = get_entry(key).to_linux;
		if (now != (cases[i].forgotten ? a.rcv_nxt : v.to_linux))
			fail_msg("%s: now %u, was %u, Linux's %u up to %u", cases[i].name, now,
				 v.to_linux, a.rcv_nxt, edge);
	}
	delete_entry(key);
	close_pair(&p);
}

int main(void)
{
#define TEST(t) cmocka_unit_test(t)
	const struct CMUnitTest tests[] = {
		TEST(the_numbers_are_those_of_the_socket),
		TEST(the_rest_is_what_tcp_info_and_the_options_say),
		TEST(times_in_ticks_come_out_in_microseconds),
		TEST(an_ipv4_connection_of_an_ipv6_socket_is_found),
		TEST(what_an_administrator_decided_comes_with_it),
		TEST(cork_and_ttl_and_pacing_are_seen),
		TEST(what_only_linux_can_do_is_odd),
		TEST(what_only_linux_can_say_is_odd),
		TEST(the_states_of_closing_are_told_time_wait_included),
		TEST(one_that_becomes_a_time_wait_is_found_at_each_moment),
		TEST(a_listener_and_a_stranger_are_no_connections),
		TEST(an_error_on_the_socket_is_told),
		TEST(each_operation_moves_between_watch_and_hold_only),
		TEST(where_there_is_no_entry_none_is_made),
		TEST(a_question_about_no_ipv4_connection_changes_nothing),
		TEST(a_number_that_linux_cannot_have_taken_is_forgotten_while_held),
	};

	return cmocka_run_group_tests_name("ask", tests, open_lab, lab_close);
}
