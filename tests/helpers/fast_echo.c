// SPDX-License-Identifier: BSD-2-Clause
/*
 * fast_echo.c - an echo service on the fast plane alone: the fast thread, the XDP program
 * and a program's rings, without slow path and shim.
 *
 *	fast_echo IFACE PORT [--queues N] [--poll adaptive|busy|event] [--cpus A,B]
 *
 * Linux makes each connection; then its socket is frozen in repair mode, which also says
 * the sequence numbers, and the flow is installed. Bytes that Linux had taken by then are
 * echoed first. Repair mode does not tell the peer's timestamp: peers need sysctl
 * net.ipv4.tcp_timestamps=2, or half of them begin beyond what PAWS accepts. A child process plays the program: it sees the region only, sleeps on one
 * context, and echoes what stands in the rx pipes.
 *
 * For tests of the fast plane by itself, and for measuring what the hand-off costs without
 * the rest.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_link.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../user/common/clock.h"
#include "../../user/fast/fast.h"
#include "../../user/fast/profile.h"
#include "taspilot/pipe.h"
#include "xdp.skel.h"

#define FLOWS	TP_SLOTS
#define EARLY	65536U			/* bytes of one flow that Linux may have taken */

/* What the two processes share besides the region. */
struct early {
	_Atomic uint32_t len;		/* the parent sets it before the flow is installed */
	uint8_t data[EARLY];
};

static struct fast_region region;
static struct fast_set *set;
static struct early *early;
static struct xdp_bpf *xdp;
static struct fast_config cfg = { .queues = 1, .native = true, .partial_csum_ok = true };
static int kernel_fd[FLOWS];
static struct tp_flow_key kernel_key[FLOWS];
static volatile sig_atomic_t ending;

/* ---- the program ---- */

static uint32_t kicked;			/* bit i: thread i may have to be woken */

static void put_lane(uint32_t slot, struct tp_slot *s)
{
	static const uint64_t one = 1;
	struct tp_lane *l = tp_lane_at(region.base, &region.geo, s->thread);
	uint32_t pos;

	if (atomic_exchange(&s->kicked, 1))
		return;
	pos = atomic_fetch_add(&l->head, 1);
	atomic_store_explicit(&l->entry[pos % TP_SLOTS], slot + 1, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&l->sleep) == TP_THREAD_BLOCKED && atomic_exchange(&l->sleep, 0))
		(void)!write(region.kick_fd[s->thread], &one, sizeof(one));
	kicked |= 1U << s->thread;
}

/* The end of a batch: whoever waits for our kick gets it. */
static void kick_all(void)
{
	static const uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst);
	for (; kicked; kicked &= kicked - 1) {
		uint32_t i = (uint32_t)__builtin_ctz(kicked);
		struct tp_lane *l = tp_lane_at(region.base, &region.geo, i);

		if (atomic_load(&l->sleep) && atomic_exchange(&l->sleep, 0))
			(void)!write(region.kick_fd[i], &one, sizeof(one));
	}
}

static struct tp_pipe_mem pipe_mem(uint32_t slot, enum tp_dir dir)
{
	return (struct tp_pipe_mem){ .small = tp_small_at(region.base, &region.geo, slot, dir),
				     .big = tp_big_at(region.base, &region.geo, slot, dir) };
}

/* Room in the tx pipe, which grows to what the fast thread wants. */
static uint64_t tx_room(uint32_t slot, struct tp_slot *s)
{
	struct tp_pipe_mem m = pipe_mem(slot, TP_TX);
	uint64_t tail = atomic_load_explicit(&s->tx_tail, memory_order_acquire);
	uint64_t head = s->tx_head, geom = s->tx_geom;
	uint32_t want = atomic_load_explicit(&s->tx_want, memory_order_relaxed);
	uint32_t order = pipe_order(geom);

	if (head == tail)
		geom = pipe_geom(order, head);
	while (order < TP_ORDER_BIG && 1U << order < want)
		order++;
	if (order != pipe_order(geom) && head - tail > pipe_size(geom) / 2)
		geom = pipe_grow(&m, geom, order, tail, head);
	atomic_store_explicit(&s->tx_geom, geom, memory_order_relaxed);
	return pipe_size(geom) - (head - tail);
}

static uint32_t tx_put(uint32_t slot, struct tp_slot *s, const uint8_t *data, uint64_t len)
{
	struct tp_pipe_mem m = pipe_mem(slot, TP_TX);
	uint64_t room = tx_room(slot, s);

	if (len > room)
		len = room;
	pipe_write(&m, s->tx_geom, s->tx_head, data, (uint32_t)len);
	atomic_store_explicit(&s->tx_head, s->tx_head + len, memory_order_release);
	return (uint32_t)len;
}

static bool echo_early(uint32_t slot, struct tp_slot *s)
{
	struct early *e = &early[slot];
	uint32_t len = atomic_load(&e->len), n;

	if (!len)
		return true;
	n = tx_put(slot, s, e->data, len);
	memmove(e->data, e->data + n, len - n);
	atomic_store(&e->len, len - n);
	return n == len;
}

static void echo(uint32_t slot)
{
	struct tp_slot *s = tp_slot_at(region.base, &region.geo, slot);
	struct tp_pipe_mem rx = pipe_mem(slot, TP_RX);
	uint64_t head, tail = s->rx_tail;
	bool room = echo_early(slot, s);

	head = atomic_load_explicit(&s->rx_head, memory_order_acquire);
	while (room && head != tail) {
		uint64_t geom = atomic_load_explicit(&s->rx_geom, memory_order_relaxed);
		unsigned char *at;
		uint32_t n = pipe_span(&rx, geom, tail, (uint32_t)(head - tail), &at);
		uint32_t put = tx_put(slot, s, at, n);

		tail += put;
		room = put == n;
	}
	atomic_store_explicit(&s->rx_tail, tail, memory_order_release);
	put_lane(slot, s);
}

static uint32_t look(void)
{
	struct tp_ctx *ctx = tp_ctx_at(region.base, &region.geo, 0);
	uint32_t n = 0;

	atomic_store_explicit(&ctx->cpu, (uint32_t)sched_getcpu(), memory_order_relaxed);
	for (uint32_t i = 0; i < cfg.queues; i++) {
		struct tp_ctx_queue *q = &ctx->queue[i];
		uint32_t tail = q->tail;

		for (; tail != atomic_load_explicit(&q->head, memory_order_acquire); n++) {
			uint32_t slot = q->entry[tail++ % TP_SLOTS];

			atomic_fetch_and(&tp_slot_at(region.base, &region.geo, slot)->pending,
					 ~1ULL);
			atomic_store_explicit(&q->tail, tail, memory_order_relaxed);
			echo(slot);
		}
	}
	return n;
}

static void program(void)
{
	struct tp_ctx *ctx = tp_ctx_at(region.base, &region.geo, 0);
	struct pollfd pfd = { .fd = region.ctx_fd[0], .events = POLLIN };
	uint64_t drained;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		while (look())
			;
		kick_all();
		atomic_store(&ctx->sleep, 1);
		atomic_thread_fence(memory_order_seq_cst);
		if (!look()) {
			poll(&pfd, 1, -1);
			(void)!read(pfd.fd, &drained, sizeof(drained));
		}
		atomic_store(&ctx->sleep, 0);
	}
}

/* ---- the slow path's part ---- */

static void command(uint32_t thread, const struct fast_cmd *c)
{
	int e;

	while ((e = fast_send(set, thread, c)) == -EAGAIN)
		usleep(100);
	if (e)
		errx(1, "command %d: %s", c->kind, strerror(-e));
}

static void region_make(void)
{
	int fd = memfd_create("fast_echo", MFD_CLOEXEC);

	tp_region_layout(&region.geo, 1, cfg.queues);
	if (fd < 0 || ftruncate(fd, (off_t)region.geo.size))
		err(1, "memfd");
	region.base = mmap(NULL, region.geo.size, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_NORESERVE, fd, 0);
	early = mmap(NULL, sizeof(*early) * FLOWS, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (region.base == MAP_FAILED || early == MAP_FAILED)
		err(1, "mmap");
	close(fd);
	for (uint32_t i = 0; i < TP_MAX_THREADS; i++)
		region.kick_fd[i] = eventfd(0, EFD_NONBLOCK);
	for (uint32_t i = 0; i < TP_MAX_CTX; i++)
		region.ctx_fd[i] = i ? -1 : eventfd(0, EFD_NONBLOCK);
}

static void nic(const char *ifname)
{
	struct ifreq ifr = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	cfg.ifname = ifname;
	cfg.ifindex = (int)if_nametoindex(ifname);
	strncpy(ifr.ifr_name, ifname, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCGIFHWADDR, &ifr))
		err(1, "%s", ifname);
	memcpy(cfg.mac, ifr.ifr_hwaddr.sa_data, ETH_ALEN);
	if (ioctl(fd, SIOCGIFMTU, &ifr))
		err(1, "%s", ifname);
	cfg.mtu = (uint32_t)ifr.ifr_mtu;
	close(fd);
}

static void attach(void)
{
	struct bpf_map *map;

	xdp = xdp_bpf__open();
	if (!xdp)
		err(1, "xdp");
	bpf_object__for_each_map(map, xdp->obj)
		bpf_map__set_pin_path(map, NULL);
	memcpy(&xdp->bss->tp_nic_mac, cfg.mac, ETH_ALEN);
	if (xdp_bpf__load(xdp))
		err(1, "xdp load");
	if (bpf_xdp_attach(cfg.ifindex, bpf_program__fd(xdp->progs.tp_xdp), XDP_FLAGS_DRV_MODE,
			   NULL))
		err(1, "xdp attach");
	cfg.xsks_map_fd = bpf_map__fd(xdp->maps.tp_xsks);
}

/* The Ethernet header towards whoever sent us frames: the neighbour, from ARP. */
static void neighbour(struct in_addr ip, uint8_t eth[ETH_HLEN])
{
	struct arpreq req = { 0 };
	struct sockaddr_in *sin = (void *)&req.arp_pa;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	sin->sin_family = AF_INET;
	sin->sin_addr = ip;
	snprintf(req.arp_dev, sizeof(req.arp_dev), "%s", cfg.ifname);
	if (ioctl(fd, SIOCGARP, &req))
		err(1, "neighbour");
	memcpy(eth, req.arp_ha.sa_data, ETH_ALEN);
	memcpy(eth + ETH_ALEN, cfg.mac, ETH_ALEN);
	eth[12] = 0x08;
	eth[13] = 0x00;
	close(fd);
}

static struct tp_flow_key key_of(int fd)
{
	struct sockaddr_in peer, local;
	socklen_t len = sizeof(peer);
	struct tp_flow_key k;

	getpeername(fd, (void *)&peer, &len);
	getsockname(fd, (void *)&local, &len);
	tp_set_ip4(k.peer_ip, peer.sin_addr.s_addr);
	tp_set_ip4(k.local_ip, local.sin_addr.s_addr);
	k.peer_port = ntohs(peer.sin_port);
	k.local_port = ntohs(local.sin_port);
	return k;
}

static uint32_t tcp_opt(int fd, int opt)
{
	uint32_t v = 0;
	socklen_t len = sizeof(v);

	if (getsockopt(fd, IPPROTO_TCP, opt, &v, &len))
		err(1, "getsockopt %d", opt);
	return v;
}

static uint32_t queue_seq(int fd, int queue)
{
	setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue));
	return tcp_opt(fd, TCP_QUEUE_SEQ);
}

static void ask_linux(int fd, struct tcp_begin *b)
{
	struct tcp_repair_window w;
	struct tcp_info i;
	socklen_t len = sizeof(i), wlen = sizeof(w);
	int on = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)))
		err(1, "TCP_REPAIR");
	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len);
	getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, &wlen);
	*b = (struct tcp_begin){
		.snd_una = queue_seq(fd, TCP_SEND_QUEUE),
		.rcv_nxt = queue_seq(fd, TCP_RECV_QUEUE),
		.rcv_edge = w.rcv_wup + w.rcv_wnd,
		.snd_wnd = w.snd_wnd,
		.snd_wscale = i.tcpi_snd_wscale,
		.rcv_wscale = i.tcpi_rcv_wscale,
		.mss = (uint16_t)i.tcpi_snd_mss,
		.sack_ok = i.tcpi_options & TCPI_OPT_SACK,
		.ts_ok = i.tcpi_options & TCPI_OPT_TIMESTAMPS,
		.ts_offset = tcp_opt(fd, TCP_TIMESTAMP) - (uint32_t)(clock_ns() / NS_PER_MS),
		.cwnd = 10,
		.ssthresh = ~0U,
		.srtt_us = i.tcpi_rtt,
		.rttvar_us = i.tcpi_rttvar,
		.rto_us = i.tcpi_rto,
		.rto_min_us = 200000,
		.retries2 = 15,
		.idle_restart = true,
		.options = { .cc = "cubic", .max_pacing = ~0ULL },
		.ack_pending = true,
		.rx_order_max = 22,
		.tx_order_max = 22,
	};
}

static void set_state(uint32_t id, uint32_t state)
{
	struct tp_flow_val v = { .state = state, .flow_id = id };

	if (bpf_map_update_elem(bpf_map__fd(xdp->maps.tp_flows), &kernel_key[id], &v, BPF_ANY))
		err(1, "tp_flows");
}

static void take_early(uint32_t id, int fd)
{
	ssize_t n;

	usleep(1000);		/* a frame that passed before may still be on its way up */
	n = recv(fd, early[id].data, EARLY, MSG_DONTWAIT);
	if (n > 0)
		atomic_store(&early[id].len, (uint32_t)n);
}

static void install(uint32_t id, int fd)
{
	struct tp_slot *s = tp_slot_at(region.base, &region.geo, id);
	struct fast_install in = { .flow_id = id, .slot = id, .region = &region, .ttl = 64 };

	kernel_fd[id] = fd;
	kernel_key[id] = in.key = key_of(fd);
	set_state(id, TP_FAST);
	take_early(id, fd);
	ask_linux(fd, &in.tcp);
	neighbour((struct in_addr){ tp_ip4(in.key.peer_ip) }, in.eth);

	s->thread = id % cfg.queues;
	s->tx_geom = pipe_geom(TP_ORDER_SMALL, 0);
	s->rx_geom = pipe_geom(TP_ORDER_SMALL, 0);
	s->notify = 1;
	s->opts = TP_O_NODELAY;
	s->state = TP_SLOT_FAST;
	command(s->thread, &(struct fast_cmd){ .kind = FAST_CMD_INSTALL, .flow_id = id,
					       .install = &in });
	/* also so that the program echoes what came early */
	command(s->thread, &(struct fast_cmd){ .kind = FAST_CMD_NOTIFY, .flow_id = id });
}

static const char *event_name(enum fast_event_kind k)
{
	static const char *const name[] = {
		[FAST_EV_PEER_FIN] = "peer_fin", [FAST_EV_FIN_ACKED] = "fin_acked",
		[FAST_EV_QUIET] = "quiet", [FAST_EV_DEAD] = "dead", [FAST_EV_FREED] = "freed",
		[FAST_EV_STATE] = "state", [FAST_EV_ODD] = "odd", [FAST_EV_STRAY] = "stray",
		[FAST_EV_REGION_GONE] = "gone",
	};

	return name[k];
}

static void handle(const struct fast_event *e)
{
	struct fast_cmd c = { .flow_id = e->flow_id };

	switch (e->kind) {
	case FAST_EV_PEER_FIN:		/* what the program still writes goes before our FIN */
		c.kind = FAST_CMD_FIN;
		command(e->thread, &c);
		break;
	case FAST_EV_QUIET:
	case FAST_EV_DEAD:
		c.kind = FAST_CMD_FREE;
		command(e->thread, &c);
		bpf_map_delete_elem(bpf_map__fd(xdp->maps.tp_flows), &kernel_key[e->flow_id]);
		break;
	case FAST_EV_FREED:
		close(kernel_fd[e->flow_id]);
		break;
	case FAST_EV_STRAY:		/* came before its INSTALL */
		c.kind = FAST_CMD_INJECT;
		c.frame.data = e->frame.data;
		c.frame.len = e->frame.len;
		for (uint32_t i = 0; i < cfg.queues; i++)
			(void)fast_send(set, i, &c);
		break;
	default:
		break;
	}
	if (getenv("VERBOSE"))
		fprintf(stderr, "event %s flow %u rx %lu tx %lu err %d\n", event_name(e->kind),
			e->flow_id, e->state.rx_bytes, e->state.tx_bytes, e->state.err);
}

/* Built with PROFILE=1: nanoseconds a frame, stage by stage. */
static void report_profile(const struct profile *p, double cycles_per_ns)
{
	static const char *const name[] = {
#define X(id, text) text,
		PROFILE_STAGES(X)
#undef X
	};

	if (!p->frames)
		return;
	printf("%.1f frames a turn; ns a frame:", (double)p->frames / (double)p->turns);
	for (int s = 0; s < PROFILE_STAGE_COUNT; s++)
		printf(" %s %.0f%s", name[s],
		       (double)p->cycles[s] / (double)p->frames / cycles_per_ns,
		       s + 1 < PROFILE_STAGE_COUNT ? "," : "\n");
}

static double measure_tsc(void)
{
	uint64_t ns = clock_ns(), tsc = __builtin_ia32_rdtsc();

	usleep(20000);
	return (double)(__builtin_ia32_rdtsc() - tsc) / (double)(clock_ns() - ns);
}

static void report(void)
{
	struct fast_stats s;
	struct rusage r;

	fast_get_stats(set, &s);
	getrusage(RUSAGE_SELF, &r);
	printf("rx %lu tx %lu rtx %lu ooo %lu bad_csum %lu bad %lu stray %lu tx_full %lu "
	       "handed %lu wakes %lu yields %lu kicks %lu sleeps %lu flows %lu cpu_ms %lu\n",
	       s.rx_segments, s.tx_segments, s.retransmits, s.ooo, s.rx_bad_csum, s.rx_bad,
	       s.rx_stray, s.tx_full, s.handed_over, s.wakes, s.yields, s.kicks, s.sleeps, s.flows,
	       r.ru_utime.tv_sec * 1000 + r.ru_utime.tv_usec / 1000 +
	       r.ru_stime.tv_sec * 1000 + r.ru_stime.tv_usec / 1000);
	for (uint32_t i = 0; i < cfg.queues; i++)
		report_profile(fast_profile(set, i), measure_tsc());
	fflush(stdout);
}

static int listener(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (void *)&a, sizeof(a)) || listen(fd, 4096))
		err(1, "listen");
	return fd;
}

static void on_signal(int sig)
{
	(void)sig;
	ending = 1;
}

static void options(int argc, char **argv)
{
	static const struct option long_opts[] = {
		{ "queues", required_argument, NULL, 'q' },
		{ "poll", required_argument, NULL, 'p' },
		{ "cpus", required_argument, NULL, 'c' },
		{ 0 },
	};
	int o, n = 0;

	for (uint32_t i = 0; i < TP_MAX_THREADS; i++)
		cfg.cpu[i] = -1;
	while ((o = getopt_long(argc, argv, "", long_opts, NULL)) != -1) {
		switch (o) {
		case 'q':
			cfg.queues = (uint32_t)atoi(optarg);
			break;
		case 'p':
			cfg.poll = optarg[0] == 'b' ? FAST_POLL_BUSY :
				   optarg[0] == 'e' ? FAST_POLL_EVENT : FAST_POLL_ADAPTIVE;
			break;
		case 'c':
			for (char *c = strtok(optarg, ","); c; c = strtok(NULL, ","))
				cfg.cpu[n++] = atoi(c);
			break;
		default:
			exit(2);
		}
	}
	if (argc - optind != 2)
		errx(2, "usage: fast_echo IFACE PORT [--queues N] [--poll P] [--cpus A,B]");
}

int main(int argc, char **argv)
{
	uint32_t flows = 0;
	struct fast_event *e = malloc(sizeof(*e));
	struct pollfd pfd[2];
	int fd, ret;
	pid_t child;

	options(argc, argv);
	nic(argv[optind]);
	region_make();
	child = fork();
	if (!child)
		program();
	attach();
	ret = fast_start(&cfg, &set);
	if (ret)
		errx(1, "fast_start: %s", strerror(-ret));
	for (uint32_t i = 0; i < cfg.queues; i++)
		command(i, &(struct fast_cmd){ .kind = FAST_CMD_REGION_ADD, .region = &region });

	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	pfd[0] = (struct pollfd){ .fd = listener((uint16_t)atoi(argv[optind + 1])),
				  .events = POLLIN };
	pfd[1] = (struct pollfd){ .fd = fast_event_fd(set), .events = POLLIN };
	while (!ending) {
		poll(pfd, 2, 1000);
		while ((fd = accept(pfd[0].fd, NULL, NULL)) >= 0 && flows < FLOWS)
			install(flows++, fd);
		while (fast_recv(set, e))
			handle(e);
		fast_flush(set);
	}
	kill(child, SIGKILL);
	report();
	fast_stop(set);
	free(e);
	bpf_xdp_detach(cfg.ifindex, XDP_FLAGS_DRV_MODE, NULL);
	return 0;
}
