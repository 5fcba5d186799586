// SPDX-License-Identifier: BSD-2-Clause
/*
 * frame_echo.c - the wall: frames between two AF_XDP sockets, without TCP, without a program.
 *
 *	frame_echo IF			send every frame back to where it came from
 *	frame_echo IF --to MAC ...	keep --depth frames on the way and count what comes back
 *
 * Both sides poll and never sleep. What taspilot could reach at most on this machine, with all
 * of TCP and the hand-over to the program free of charge.
 */
#include <bpf/bpf.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xdp/xsk.h>

#include "bench.h"

#define FRAMES		2048U
#define FRAME		2048U
#define RING		1024U
#define ETHERTYPE	0x88b5		/* for local experiments */

static struct xsk_ring_cons rx, comp;
static struct xsk_ring_prod tx, fill;
static struct xsk_umem *umem;
static struct xsk_socket *xsk;
static unsigned char *area;
static uint64_t idle[FRAMES];		/* frames that nobody has */
static uint32_t n_idle;
static uint32_t unkicked;
static volatile sig_atomic_t stopped;

static void stop(int sig)
{
	(void)sig;
	stopped = 1;
}

/* XDP: every frame to the socket of its queue. */
static int load_redirect(int map)
{
	const struct bpf_insn prog[] = {
		/* r2 = ctx->rx_queue_index; r1 = map; r3 = XDP_PASS; redirect_map; exit */
		{ .code = BPF_LDX | BPF_W | BPF_MEM, .dst_reg = 2, .src_reg = 1, .off = 16 },
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "frame_echo", "BSD", prog,
			     sizeof(prog) / sizeof(*prog), NULL);
}

static void give_frames(uint32_t n)
{
	uint32_t at;

	if (xsk_ring_prod__reserve(&fill, n, &at) != n)
		return;
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&fill, at + i) = idle[--n_idle];
	xsk_ring_prod__submit(&fill, n);
}

static void open_socket(const char *ifname)
{
	const struct xsk_umem_config uc = { .fill_size = RING, .comp_size = RING,
					    .frame_size = FRAME };
	const struct xsk_socket_config xc = { .rx_size = RING, .tx_size = RING,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_USE_NEED_WAKEUP };
	int map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "xsks", 4, 4, 1, NULL), prog;

	area = mmap(NULL, (size_t)FRAMES * FRAME, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (area == MAP_FAILED || map < 0)
		err(1, "memory");
	if (xsk_umem__create(&umem, area, (uint64_t)FRAMES * FRAME, &fill, &comp, &uc) ||
	    xsk_socket__create(&xsk, ifname, 0, umem, &rx, &tx, &xc))
		err(1, "%s: AF_XDP socket", ifname);
	prog = load_redirect(map);
	if (prog < 0 || bpf_xdp_attach((int)if_nametoindex(ifname), prog, XDP_FLAGS_DRV_MODE, NULL))
		err(1, "%s: XDP program", ifname);
	if (xsk_socket__update_xskmap(xsk, map))
		err(1, "xskmap");
	for (uint32_t i = 0; i < FRAMES; i++)
		idle[n_idle++] = (uint64_t)i * FRAME;
	give_frames(RING);
}

static bool put(uint64_t addr, uint32_t len)
{
	uint32_t at;

	if (xsk_ring_prod__reserve(&tx, 1, &at) != 1)
		return false;
	*xsk_ring_prod__tx_desc(&tx, at) = (struct xdp_desc){ .addr = addr, .len = len };
	xsk_ring_prod__submit(&tx, 1);
	unkicked++;
	return true;
}

/* Frames go, and come back from sending; a kick that sent nothing is tried again. */
static void push(void)
{
	uint32_t at, n;

	if (unkicked)
		(void)!sendto(xsk_socket__fd(xsk), NULL, 0, MSG_DONTWAIT, NULL, 0);
	n = xsk_ring_cons__peek(&comp, RING, &at);
	for (uint32_t i = 0; i < n; i++)
		idle[n_idle++] = *xsk_ring_cons__comp_addr(&comp, at + i);
	if (n)
		xsk_ring_cons__release(&comp, n);
	unkicked -= n < unkicked ? n : unkicked;
}

static void refill(void)
{
	uint32_t n = xsk_prod_nb_free(&fill, RING);

	if (n > n_idle)
		n = n_idle;
	if (n)
		give_frames(n);
}

static void turn_round(unsigned char *frame)
{
	unsigned char mac[ETH_ALEN];

	memcpy(mac, frame, ETH_ALEN);
	memcpy(frame, frame + ETH_ALEN, ETH_ALEN);
	memcpy(frame + ETH_ALEN, mac, ETH_ALEN);
}

static bool is_ours(const unsigned char *frame, uint32_t len)
{
	return len >= ETH_HLEN + 8 && frame[12] == ETHERTYPE >> 8 && frame[13] == (ETHERTYPE & 0xff);
}

static void serve(void)
{
	while (!stopped) {
		uint32_t at, n = xsk_ring_cons__peek(&rx, RING, &at);

		for (uint32_t i = 0; i < n; i++) {
			const struct xdp_desc *d = xsk_ring_cons__rx_desc(&rx, at + i);
			unsigned char *frame = area + d->addr;

			if (is_ours(frame, d->len))
				turn_round(frame);
			if (!is_ours(frame, d->len) || !put(d->addr, d->len))
				idle[n_idle++] = d->addr & ~(uint64_t)(FRAME - 1);
		}
		if (n)
			xsk_ring_cons__release(&rx, n);
		push();
		refill();
	}
}

static void send_one(const unsigned char *head, uint32_t len)
{
	uint64_t addr, now = now_ns();

	if (!n_idle)
		return;
	addr = idle[--n_idle];
	memcpy(area + addr, head, ETH_HLEN);
	memcpy(area + addr + ETH_HLEN, &now, sizeof(now));
	if (!put(addr, len))
		idle[n_idle++] = addr;
}

static uint64_t take(struct hist *h, const unsigned char *head, uint32_t len, bool more)
{
	uint32_t at, n = xsk_ring_cons__peek(&rx, RING, &at), echoes = 0;
	uint64_t sent, now = n ? now_ns() : 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc *d = xsk_ring_cons__rx_desc(&rx, at + i);

		if (is_ours(area + d->addr, d->len)) {
			memcpy(&sent, area + d->addr + ETH_HLEN, sizeof(sent));
			hist_add(h, now - sent);
			echoes++;
		}
		idle[n_idle++] = d->addr & ~(uint64_t)(FRAME - 1);
	}
	if (n)
		xsk_ring_cons__release(&rx, n);
	for (uint32_t i = 0; more && i < echoes; i++)
		send_one(head, len);
	return echoes;
}

static void ask(const unsigned char *head, uint32_t len, uint32_t depth, double secs)
{
	static struct hist hist;
	uint64_t begin = now_ns(), end = begin + (uint64_t)(secs * NSEC), n = 0, now;

	for (uint32_t i = 0; i < depth; i++)
		send_one(head, len);
	while ((now = now_ns()) < end && !stopped) {
		n += take(&hist, head, len, true);
		push();
		refill();
	}
	printf("{\"depth\": %u, \"size\": %u, \"secs\": %.3f, \"rps\": %.1f, ", depth, len,
	       (now - begin) / 1e9, n / ((now - begin) / 1e9));
	hist_json(&hist, stdout);
	printf("}\n");
}

static void usage(void)
{
	fputs("usage: frame_echo IF [--to MAC --from MAC [--depth N] [--size BYTES] [--secs S]]\n",
	      stderr);
	exit(2);
}

static void parse_mac(const char *text, unsigned char *to)
{
	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", to, to + 1, to + 2, to + 3, to + 4,
		   to + 5) != 6)
		errx(2, "'%s' is not a MAC address", text);
}

int main(int argc, char **argv)
{
	static const struct option opts[] = {
		{ "to", 1, NULL, 't' },	  { "from", 1, NULL, 'f' }, { "depth", 1, NULL, 'd' },
		{ "size", 1, NULL, 's' }, { "secs", 1, NULL, 'S' }, { 0 },
	};
	unsigned char head[ETH_HLEN] = { [12] = ETHERTYPE >> 8, [13] = ETHERTYPE & 0xff };
	long depth = 1, size = 130;
	bool asks = false;
	double secs = 1;
	int o;

	while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		switch (o) {
		case 't': parse_mac(optarg, head); asks = true; break;
		case 'f': parse_mac(optarg, head + ETH_ALEN); break;
		case 'd': depth = number("--depth", optarg, 1, RING / 2); break;
		case 's': size = number("--size", optarg, 64, 1514); break;
		case 'S': secs = seconds("--secs", optarg); break;
		default: usage();
		}
	}
	if (optind != argc - 1)
		usage();
	signal(SIGTERM, stop);
	open_socket(argv[optind]);
	if (asks)
		ask(head, (uint32_t)size, (uint32_t)depth, secs);
	else
		serve();
	return 0;
}
