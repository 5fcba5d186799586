/* SPDX-License-Identifier: BSD-2-Clause
 *
 * main.c - taspilotd: start in order, run the slow thread, end in order.
 *
 *   start	attach (XDP last), fast threads, the loop's sources, "ok" to who started us. A step
 *		that fails undoes the ones before: nothing is left
 *   run	the loop; a timer every 50 ms: heartbeat, what has expired, how far detaching is
 *   end	SIGTERM, SIGINT or DETACH:
 *		 LEAVING   no new connections; every flow is handed back. What is not back after
 *			   10 s is reset: its peer does not acknowledge
 *		 DRAINING  connections whose numbers differ from the wire's live on in Linux, and
 *			   our tc programs translate them: we stay until they end
 *		 OVER	   everything is undone
 *		asked a second time, or with --force: what still lives is reset
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "../common/log.h"
#include "../common/notify.h"
#include "../common/opts.h"
#include "handback.h"
#include "slow.h"
#include "watch.h"

#define BEAT_MS		50
#define LEAVING_NS	(10 * NS_PER_S)
#define GRACE_NS	NS_PER_S

int slow_tell(struct slow *s, uint32_t thread, const struct fast_cmd *cmd)
{
	int err;

	while ((err = fast_send(s->fast, thread, cmd)) == -EAGAIN)
		sched_yield();
	return err;
}

void slow_tell_flow(struct slow *s, const struct conn *c, enum fast_cmd_kind kind)
{
	slow_tell(s, c->thread, &(struct fast_cmd){ .kind = kind, .flow_id = c->flow_id });
}

/* Who started us with "Type=notify" waits for this. */
static void tell_manager(const char *text)
{
	int err = notify(text);

	if (err)
		log_err(err, "cannot tell the service manager '%s'", text);
}

/* --- the way out -------------------------------------------------------------------------- */

static void begin_leaving(struct slow *s)
{
	struct conn *c;

	log_info("%s: handing %u flows back to Linux", s->att->nic.ifname,
		 s->conns.in[CONN_FAST]);
	tell_manager("STOPPING=1");
	s->life = SLOW_LEAVING;
	s->leaving_ns = s->now_ns;
	regions_beat(s, s->now_ns);
	apps_close(s);
	conn_each(&s->conns, c) {
		if (c->phase == CONN_FAST)
			handback_begin(s, c, TP_WHY_CLOSING);
	}
}

/* @all: those too that are Linux's already, and only translated. */
static void reset_rest(struct slow *s, bool all)
{
	struct conn *c;

	conn_each(&s->conns, c)
		if (c->phase == CONN_FAST || c->phase == CONN_BACK ||
		    (all && c->phase == CONN_LINUX))
			handback_kill(s, c);
}

void slow_detach(struct slow *s, bool force)
{
	force |= slow_is_closing(s);
	if (s->life == SLOW_RUNNING)
		begin_leaving(s);
	if (force)
		reset_rest(s, true);
	if (s->told_draining)
		ctl_detached(s, s->conns.in[CONN_LINUX]);
}

/* Of those in LINUX only the ones with a socket need us: look at all of them now. */
static void begin_draining(struct slow *s)
{
	struct conn *c;

	s->life = SLOW_DRAINING;
	s->leaving_ns = s->now_ns;
	conn_each(&s->conns, c)
		if (c->phase == CONN_LINUX)
			expire_soon(s, c);
}

/* What is about to end may end before the answer is given. */
static void tell_of_draining(struct slow *s)
{
	uint32_t remain = s->conns.in[CONN_LINUX];

	if (s->told_draining || s->now_ns - s->leaving_ns < GRACE_NS)
		return;
	s->told_draining = true;
	log_info(remain == 1 ? "%s: %u connection lives on in Linux, translated until it ends" :
			       "%s: %u connections live on in Linux, translated until they end",
		 s->att->nic.ifname, remain);
	ctl_detached(s, remain);
}

static void go_on_leaving(struct slow *s)
{
	const uint32_t *in = s->conns.in;

	if (s->life == SLOW_LEAVING && s->now_ns - s->leaving_ns > LEAVING_NS)
		reset_rest(s, false);
	if (s->life == SLOW_LEAVING && !in[CONN_FAST] && !in[CONN_BACK] && !in[CONN_DEAD])
		begin_draining(s);
	if (s->life != SLOW_DRAINING)
		return;
	if (in[CONN_LINUX] || in[CONN_DEAD]) {
		tell_of_draining(s);
		return;
	}
	ctl_detached(s, 0);
	s->life = SLOW_OVER;
}

/* --- sources of the loop ------------------------------------------------------------------ */

void slow_beat(struct slow *s)
{
	struct tp_config config;
	uint32_t zero = 0;

	s->now_ns = clock_ns();
	config = (struct tp_config){ .heartbeat_ns = s->now_ns };
	bpf_map_update_elem(s->att->config_fd, &zero, &config, BPF_ANY);
	regions_beat(s, s->now_ns);
}

static void timer_ready(struct loop_source *src, uint32_t events)
{
	struct slow *s = container_of(src, struct slow, timer);
	uint64_t times;

	(void)events;
	(void)!read(src->fd, &times, sizeof(times));
	slow_beat(s);
	expire_run(s);
	watch_sweep(s);
	apps_expire(s);
	ctl_expire(s);
	bulk_run(s);
	neigh_nudge(s);
	hear_run(s);
	go_on_leaving(s);
}

static void signals_ready(struct loop_source *src, uint32_t events)
{
	struct slow *s = container_of(src, struct slow, signals);
	struct signalfd_siginfo info;

	(void)events;
	s->now_ns = clock_ns();
	if (read(src->fd, &info, sizeof(info)) == sizeof(info))
		slow_detach(s, false);
}

static void fast_ready(struct loop_source *src, uint32_t events)
{
	struct slow *s = container_of(src, struct slow, fast_events);
	struct fast_event ev;

	(void)events;
	s->now_ns = clock_ns();
	while (fast_recv(s->fast, &ev))
		handback_event(s, &ev);
}

static int add_timer(struct slow *s)
{
	struct itimerspec its = { .it_interval.tv_nsec = BEAT_MS * NS_PER_MS,
				  .it_value.tv_nsec = BEAT_MS * NS_PER_MS };

	s->timer = (struct loop_source){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		.ready = timer_ready,
	};
	if (s->timer.fd < 0 || timerfd_settime(s->timer.fd, 0, &its, NULL) < 0)
		return -errno;
	return loop_add(&s->loop, &s->timer, EPOLLIN);
}

/* Blocked in every thread: this is called before there is another one. */
static int add_signals(struct slow *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	s->signals = (struct loop_source){
		.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
		.ready = signals_ready,
	};
	return s->signals.fd < 0 ? -errno : loop_add(&s->loop, &s->signals, EPOLLIN);
}

static int add_fast_events(struct slow *s)
{
	s->fast_events = (struct loop_source){ .fd = fast_event_fd(s->fast), .ready = fast_ready };
	return loop_add(&s->loop, &s->fast_events, EPOLLIN);
}

/* --- start and end ------------------------------------------------------------------------ */

/* Number @field (from 0) of a sysctl of this network namespace; @otherwise if it has none. */
static uint32_t sysctl(const char *name, int field, uint32_t otherwise)
{
	char path[128];
	unsigned long v[3];
	FILE *f;
	int n;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
	f = fopen(path, "re");
	if (!f)
		return otherwise;
	n = fscanf(f, "%lu %lu %lu", &v[0], &v[1], &v[2]);
	fclose(f);
	return n > field ? (uint32_t)v[field] : otherwise;
}

static void read_sysctls(struct slow *s)
{
	s->rmem_max = sysctl("tcp_rmem", 2, 6 << 20);
	s->wmem_max = sysctl("tcp_wmem", 2, 4 << 20);
}

/* Programs' regions take address space, their fds take descriptors. */
static void raise_limits(void)
{
	struct rlimit files, all = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_MEMLOCK, &all);
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int start_fast(struct slow *s, const struct opts *o)
{
	const struct nic *nic = &s->att->nic;
	int err;

	s->fast_cfg = (struct fast_config){
		.ifname = nic->ifname,
		.ifindex = nic->ifindex,
		.xsks_map_fd = s->att->xsks_fd,
		.queues = s->att->queues,
		.poll = o->poll,
		.native = s->att->native,
		.partial_csum_ok = nic->partial_csum,
		.mtu = nic->mtu,
	};
	memcpy(s->fast_cfg.cpu, o->cpu, sizeof(s->fast_cfg.cpu));
	memcpy(s->fast_cfg.mac, nic->mac, ETH_ALEN);
	s->fast_cfg.slow_cpu = &s->loop.cpu;
	err = fast_start(&s->fast_cfg, &s->fast);
	if (err) {
		log_err(err, "%s: cannot open an AF_XDP socket on its queues", nic->ifname);
		log_hint("'taspilot doctor %s' says what the driver can do.", nic->ifname);
	}
	return err;
}

static int run(struct slow *s)
{
	int err = 0;

	while (s->life != SLOW_OVER && !err) {
		err = loop_turn(&s->loop);
		fast_flush(s->fast);
	}
	return err;
}

static int serve(struct slow *s, struct opts *o)
{
	int err = relay_init(s);

	if (err)
		return log_err(err, "%s: cannot relay frames", s->att->nic.ifname);
	err = upcall_init(s);
	if (err) {
		log_err(err, "%s: cannot read the ring buffer", s->att->nic.ifname);
		goto err_relay;
	}
	err = neigh_init(s);
	if (err) {
		log_err(err, "%s: cannot follow routes and neighbours", s->att->nic.ifname);
		goto err_upcall;
	}
	err = ctl_init(s, o);
	if (err) {
		log_err(err, "%s: cannot make the control socket", s->att->run_dir);
		goto err_neigh;
	}
	slow_beat(s);
	s->started_ns = s->now_ns;
	expire_init(s);
	opts_ready(o);
	tell_manager("READY=1");
	if (!s->att->stranger_hook)
		log_err(s->att->stranger_err, "%s: programs that use accelerated sockets past the "
			"shim are not noticed", s->att->nic.ifname);
	err = run(s);

	ctl_fini(s);
err_neigh:
	neigh_fini(s);
err_upcall:
	upcall_fini(s);
err_relay:
	relay_fini(s);
	return err;
}

static int with_fast(struct slow *s, struct opts *o)
{
	int err = start_fast(s, o);

	if (err)
		return err;
	err = add_fast_events(s);
	if (!err)
		err = add_timer(s);
	if (!err)
		err = serve(s, o);
	fast_stop(s->fast);
	return err;
}

static int with_nic(struct slow *s, struct opts *o)
{
	int err = attach_nic(&o->attach, &s->att);

	if (err)
		return err;
	err = with_fast(s, o);
	detach_nic(s->att);
	return err;
}

static int slow_run(struct opts *o)
{
	struct slow *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return log_err(-ENOMEM, "taspilotd");
	s->now_ns = s->started_ns = clock_ns();
	s->bulk.policy = o->bulk;
	raise_limits();
	read_sysctls(s);
	regions_init(&s->regions);
	apps_init(s);
	err = loop_init(&s->loop);
	if (!err)
		err = conns_init(&s->conns);
	if (!err)
		err = add_signals(s);
	if (!err)
		err = with_nic(s, o);
	return err;
}

int main(int argc, char **argv)
{
	struct opts o;
	int err;

	argv[0] = "attach";	/* its options are ours, and messages name it */
	err = opts_parse(argc, argv, &o);
	if (err)
		return err;
	if (o.help) {
		printf("taspilotd IFACE [OPTION...] - run by 'taspilot attach', which takes:\n\n%s",
		       opts_help);
		return 0;
	}
	return slow_run(&o) ? 1 : 0;
}
