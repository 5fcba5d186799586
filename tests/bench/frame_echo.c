// SPDX-License-Identifier: BSD-2-Clause
/*
 * frame_echo.c - the walls: what taspilot could reach at most on this machine.
 *
 *	frame_echo IF			send every frame back to where it came from
 *	frame_echo IF --to MAC ...	keep --depth frames on the way and count what comes back
 *	frame_echo IF --tcp N		answer every TCP segment that has a request with the same bytes,
 *					as soon as N are there, or 20 us after the first
 *
 * Two of the first kind are one wall: frames between AF_XDP sockets that poll and never sleep, with
 * all of TCP and the hand-over to the program free of charge. The third is the wall with a client
 * on plain Linux: a server that costs nothing; but a client that gets its answers one by one does more
 * work than one that gets several at once, so the best N is to be looked for. Linux makes the connections for a program that accepts
 * and then leaves them alone; what is long enough to be a request becomes its own answer in place.
 * Nothing is ever repeated: for a link that loses nothing.
 */
#include <bpf/bpf.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <linux/ip.h>
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
#define PATIENCE_NS	20000U
#define REQUEST		100U		/* bytes of a frame: more than SYN and ACK have */

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

/* XDP: frames of @least bytes and more to the socket of their queue, the others to Linux. */
static int load_redirect(int map, uint32_t least)
{
	const struct bpf_insn prog[] = {
		/* r3 = ctx->data_end - ctx->data; if r3 < least: return XDP_PASS */
		{ .code = BPF_LDX | BPF_W | BPF_MEM, .dst_reg = 2, .src_reg = 1, .off = 0 },
		{ .code = BPF_LDX | BPF_W | BPF_MEM, .dst_reg = 3, .src_reg = 1, .off = 4 },
		{ .code = BPF_ALU64 | BPF_SUB | BPF_X, .dst_reg = 3, .src_reg = 2 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_JGE | BPF_K, .dst_reg = 3, .imm = (int)least, .off = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
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

static void open_socket(const char *ifname, uint32_t least)
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
	prog = load_redirect(map, least);
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

static void exchange(void *a, void *b, size_t n)
{
	unsigned char was[16];

	memcpy(was, a, n);
	memcpy(a, b, n);
	memcpy(b, was, n);
}

/* One's complement sum (RFC 1071) as it changes when @from, in network byte order, becomes @to. */
static uint16_t resum(uint16_t check, uint32_t from, uint32_t to)
{
	uint64_t sum = (uint16_t)~check + (uint64_t)(~from & 0xffffffff) + to;

	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* IPv4 without options, and timestamps behind two NOPs, as Linux sends them. The answer has the
 * request's payload, window and checksum, but for the sequence number: seq was ack, ack is what
 * follows the request. The timestamps change places: to the client the echo is its own of just now.
 */
static bool answer(unsigned char *frame, uint32_t len)
{
	struct iphdr *ip = (struct iphdr *)(frame + ETH_HLEN);
	struct tcphdr *tcp = (struct tcphdr *)(ip + 1);
	unsigned char *ts = (unsigned char *)(tcp + 1) + 4;
	uint32_t end = ETH_HLEN + sizeof(*ip) + tcp->doff * 4U, next;

	if (ip->ihl != 5 || ip->protocol != IPPROTO_TCP || tcp->doff != 8 || len <= end)
		return false;
	exchange(frame, frame + ETH_ALEN, ETH_ALEN);
	exchange(&ip->saddr, &ip->daddr, 4);
	exchange(&tcp->source, &tcp->dest, 2);
	exchange(ts, ts + 4, 4);
	next = htonl(ntohl(tcp->seq) + ntohs(ip->tot_len) - (end - ETH_HLEN));
	tcp->check = resum(tcp->check, tcp->seq, next);
	tcp->seq = tcp->ack_seq;
	tcp->ack_seq = next;
	return true;
}

static bool back(unsigned char *frame, uint32_t len, bool tcp)
{
	if (tcp)
		return answer(frame, len);
	if (!is_ours(frame, len))
		return false;
	turn_round(frame);
	return true;
}

/* Are @least frames there, or is the first that is there old enough? */
static bool enough(uint32_t least)
{
	static uint64_t since;
	uint32_t n = xsk_cons_nb_avail(&rx, RING);

	if (n && !since)
		since = now_ns();
	if (!n || (n < least && now_ns() - since < PATIENCE_NS))
		return false;
	since = 0;
	return true;
}

static void serve(bool tcp, uint32_t least)
{
	while (!stopped) {
		uint32_t at, n;

		if (least > 1 && !enough(least))
			continue;
		n = xsk_ring_cons__peek(&rx, RING, &at);

		for (uint32_t i = 0; i < n; i++) {
			const struct xdp_desc *d = xsk_ring_cons__rx_desc(&rx, at + i);

			if (!back(area + d->addr, d->len, tcp) || !put(d->addr, d->len))
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
	fputs("usage: frame_echo IF [--tcp N | --to MAC --from MAC [--depth N] [--size BYTES] [--secs S]]\n",
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
		{ "size", 1, NULL, 's' }, { "secs", 1, NULL, 'S' }, { "tcp", 1, NULL, 'T' }, { 0 },
	};
	unsigned char head[ETH_HLEN] = { [12] = ETHERTYPE >> 8, [13] = ETHERTYPE & 0xff };
	long depth = 1, size = 130;
	long tcp = 0;
	bool asks = false;
	double secs = 1;
	int o;

	while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		switch (o) {
		case 't': parse_mac(optarg, head); asks = true; break;
		case 'f': parse_mac(optarg, head + ETH_ALEN); break;
		case 'd': depth = number("--depth", optarg, 1, RING / 2); break;
		case 's': size = number("--size", optarg, 64, 1514); break;
		case 'T': tcp = number("--tcp", optarg, 1, RING / 2); break;
		case 'S': secs = seconds("--secs", optarg); break;
		default: usage();
		}
	}
	if (optind != argc - 1 || (asks && tcp))
		usage();
	signal(SIGTERM, stop);
	open_socket(argv[optind], tcp ? REQUEST : 0);
	if (asks)
		ask(head, (uint32_t)size, (uint32_t)depth, secs);
	else
		serve(tcp, (uint32_t)tcp);
	return 0;
}
