/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lab.c - see lab.h.
 */
#include "lab.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIN_DIR	"/sys/fs/bpf"

const uint8_t lab_mac[ETH_ALEN] = { 2, 0, 0, 0, 0, 2 };
const uint8_t lab_peer_mac[ETH_ALEN] = { 2, 0, 0, 0, 0, 1 };
struct xdp_bpf *lab_xdp;
struct tc_bpf *lab_tc;
struct ask_bpf *lab_ask;
struct release_bpf *lab_release;

static struct ring_buffer *ring;
static struct lab_result result;
static int xsk = -1;
static bool ring_full;			/* and nobody consumes */
static uint64_t heartbeat_age_ns;
static int arrival_ifindex;		/* 0: where the kernel likes */
static uint32_t arrival_queue;

/* ---- the world ---- */

static void cannot(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(77);
}

static int on_record(void *ctx, void *data, size_t size)
{
	const struct tp_record *r = data;

	(void)ctx;
	(void)size;
	result.ringed = true;
	result.record = *r;
	if (r->len <= sizeof(result.ring_frame))
		memcpy(result.ring_frame, r + 1, r->len);
	return 0;
}

static struct tp_mac nic_mac(void)
{
	struct tp_mac m = {};

	memcpy(&m.head, lab_mac, 4);
	memcpy(&m.tail, lab_mac + 4, 2);
	return m;
}

static void load(bool generic)
{
	static const uint16_t nonce[6] = { 0x0102, 0x0304, 0x0506, 0x0708, 0x090a, 0x0b0c };
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = PIN_DIR);

	lab_xdp = xdp_bpf__open_opts(&opts);
	lab_tc = tc_bpf__open_opts(&opts);
	lab_ask = ask_bpf__open_opts(&opts);
	lab_release = release_bpf__open_opts(&opts);
	assert_true(lab_xdp && lab_tc && lab_ask && lab_release);

	lab_xdp->rodata->tp_generic = generic;
	lab_tc->rodata->tp_generic = generic;
	memcpy((void *)lab_xdp->rodata->tp_nonce, nonce, sizeof(nonce));
	memcpy((void *)lab_tc->rodata->tp_nonce, nonce, sizeof(nonce));
	lab_tc->rodata->tp_nic_ifindex = LAB_NIC;
	lab_tc->rodata->tp_tap_ifindex = LAB_TAP;
	lab_xdp->bss->tp_nic_mac = nic_mac();
	lab_xdp->bss->tp_frame_len = LAB_MTU + 18;
	lab_tc->bss->tp_nic_mac = nic_mac();

	assert_int_equal(xdp_bpf__load(lab_xdp), 0);
	assert_int_equal(tc_bpf__load(lab_tc), 0);
	assert_int_equal(ask_bpf__load(lab_ask), 0);
	assert_int_equal(release_bpf__load(lab_release), 0);
	ring = ring_buffer__new(bpf_map__fd(lab_xdp->maps.tp_slow), on_record, NULL, NULL);
	assert_non_null(ring);
}

static int open_as(bool generic)
{
	if (geteuid() != 0)
		cannot("needs root");
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
		cannot("cannot make namespaces");
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("bpf", PIN_DIR, "bpf", 0, NULL) < 0)
		cannot("this kernel has no bpffs");
	load(generic);
	return 0;
}

int lab_open(void **state)
{
	(void)state;
	return open_as(false);
}

int lab_open_generic(void **state)
{
	(void)state;
	return open_as(true);
}

int lab_close(void **state)
{
	(void)state;
	ring_buffer__free(ring);
	xdp_bpf__destroy(lab_xdp);
	tc_bpf__destroy(lab_tc);
	ask_bpf__destroy(lab_ask);
	release_bpf__destroy(lab_release);
	return 0;
}

static uint64_t clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* And again right before each run, so that no slow machine makes a fresh one old. */
static void put_heartbeat(void)
{
	struct tp_config c = { .heartbeat_ns = clock_now() - heartbeat_age_ns };
	uint32_t zero = 0;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(lab_xdp->maps.tp_config), &zero, &c, 0),
			 0);
}

void lab_heartbeat(uint64_t age_ns)
{
	heartbeat_age_ns = age_ns;
	put_heartbeat();
}

void lab_socket(bool present)
{
	int map = bpf_map__fd(lab_xdp->maps.tp_xsks);
	uint32_t queue = 0;

	bpf_map_delete_elem(map, &queue);
	if (!present)
		return;
	if (xsk < 0)
		xsk = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_true(xsk >= 0);
	assert_int_equal(bpf_map_update_elem(map, &queue, &xsk, 0), 0);
}

static struct tp_flow_key flow_key(void)
{
	struct tp_flow_key k = { .peer_port = LAB_PEER_PORT, .local_port = LAB_PORT };

	tp_set_ip4(k.peer_ip, htonl(LAB_PEER));
	tp_set_ip4(k.local_ip, htonl(LAB_HOST));
	return k;
}

void lab_put(const struct tp_flow_val *v)
{
	struct tp_flow_key k = flow_key();

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(lab_xdp->maps.tp_flows), &k, v, 0), 0);
}

void lab_flow(uint32_t state, uint32_t tx_delta, uint32_t rx_delta)
{
	struct tp_flow_key k = flow_key();

	bpf_map_delete_elem(bpf_map__fd(lab_xdp->maps.tp_flows), &k);
	if (state != TP_NONE)
		lab_put(&(struct tp_flow_val){ .state = state, .flow_id = LAB_FLOW_ID,
					       .tx_delta = tx_delta, .rx_delta = rx_delta });
}

bool lab_entry(struct tp_flow_val *ret_entry)
{
	struct tp_flow_key k = flow_key();

	memset(ret_entry, 0, sizeof(*ret_entry));
	return !bpf_map_lookup_elem(bpf_map__fd(lab_xdp->maps.tp_flows), &k, ret_entry);
}

uint32_t lab_flow_state(void)
{
	struct tp_flow_val v;

	lab_entry(&v);
	return v.state;
}

bool lab_born_now(const struct tp_flow_val *v)
{
	return (uint32_t)(clock_now() >> TP_BORN_SHIFT) - v->born <= 1;
}

void lab_listen(uint32_t ip, uint16_t port)
{
	struct tp_listen_key k = { .local_port = port };
	uint32_t one = 1;

	if (ip)
		tp_set_ip4(k.local_ip, htonl(ip));
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(lab_xdp->maps.tp_listeners), &k, &one,
					     0),
			 0);
}

static void clear_listeners(void)
{
	int map = bpf_map__fd(lab_xdp->maps.tp_listeners);
	struct tp_listen_key k;

	while (!bpf_map_get_next_key(map, NULL, &k))
		bpf_map_delete_elem(map, &k);
}

int lab_reset(void **state)
{
	(void)state;
	ring_full = false;
	ring_buffer__consume(ring);
	clear_listeners();
	lab_flow(TP_NONE, 0, 0);
	lab_heartbeat(0);
	lab_socket(true);
	lab_arrive_on(0, 0);
	return 0;
}

int lab_nic(void)
{
	static const char make[] =
		"ip link add nic0 address 02:00:00:00:00:02 numrxqueues 2 numtxqueues 2 "
		"type veth peer name peer0 numrxqueues 2 numtxqueues 2 && "
		"ip link set nic0 addrgenmode none && ip link set peer0 addrgenmode none && "
		"ip link set nic0 up && ip link set peer0 up";

	assert_int_equal(system(make), 0);
	return (int)if_nametoindex("nic0");
}

void lab_arrive_on(int ifindex, uint32_t queue)
{
	arrival_ifindex = ifindex;
	arrival_queue = queue;
}

/* ---- frames ---- */

uint16_t lab_checksum(const void *data, uint32_t len, uint32_t sum)
{
	const uint8_t *b = data;

	for (uint32_t i = 0; i < len; i++)
		sum += i & 1 ? b[i] : (uint32_t)b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static uint32_t pseudo_sum(const struct iphdr *ip, uint32_t len)
{
	uint32_t s = ntohl(ip->saddr), d = ntohl(ip->daddr);

	return (s >> 16) + (s & 0xffff) + (d >> 16) + (d & 0xffff) + IPPROTO_TCP + len;
}

static uint16_t tcp_sum(const struct lab_frame *f)
{
	uint32_t len = f->len - f->l4;

	return lab_checksum(f->b + f->l4, len,
			    pseudo_sum((const struct iphdr *)(f->b + f->l3), len));
}

void lab_tcp_checksum(struct lab_frame *f)
{
	struct tcphdr *t = (struct tcphdr *)(f->b + f->l4);

	t->check = 0;
	t->check = htons(tcp_sum(f));
}

bool lab_tcp_checksum_is_right(const struct lab_frame *f)
{
	return tcp_sum(f) == 0;
}

static uint8_t *put_eth(struct lab_frame *f, enum lab_way way, uint16_t vlan, uint16_t proto)
{
	struct ethhdr *e = (struct ethhdr *)f->b;
	uint16_t *tag = (uint16_t *)(e + 1);

	memcpy(e->h_dest, way == LAB_FROM_WIRE ? lab_mac : lab_peer_mac, ETH_ALEN);
	memcpy(e->h_source, way == LAB_FROM_WIRE ? lab_peer_mac : lab_mac, ETH_ALEN);
	if (!vlan) {
		e->h_proto = htons(proto);
		return (uint8_t *)tag;
	}
	e->h_proto = htons(ETH_P_8021Q);
	tag[0] = htons(vlan);
	tag[1] = htons(proto);
	return (uint8_t *)&tag[2];
}

static void put_ip(struct iphdr *ip, enum lab_way way, uint8_t proto, uint32_t options,
		   uint32_t payload, uint16_t frag)
{
	uint32_t hlen = sizeof(*ip) + options;

	memset(ip, 0, hlen);
	memset(ip + 1, 1, options);	/* no operation */
	ip->version = 4;
	ip->ihl = hlen / 4;
	ip->tot_len = htons((uint16_t)(hlen + payload));
	ip->frag_off = htons(frag);
	ip->ttl = 64;
	ip->protocol = proto;
	ip->saddr = htonl(way == LAB_FROM_WIRE ? LAB_PEER : LAB_HOST);
	ip->daddr = htonl(way == LAB_FROM_WIRE ? LAB_HOST : LAB_PEER);
	ip->check = htons(lab_checksum(ip, hlen, 0));
}

void lab_tcp(struct lab_frame *f, const struct lab_spec *s)
{
	uint32_t hlen = 20 + s->opts_len;
	uint8_t *at = put_eth(f, s->way, s->vlan, ETH_P_IP);
	bool wire = s->way == LAB_FROM_WIRE;
	struct tcphdr *t;

	put_ip((struct iphdr *)at, s->way, IPPROTO_TCP, s->ip_options, hlen + s->payload, s->frag);
	f->l3 = (uint32_t)(at - f->b);
	f->l4 = f->l3 + sizeof(struct iphdr) + s->ip_options;
	f->len = f->l4 + hlen + s->payload;

	t = (struct tcphdr *)(f->b + f->l4);
	memset(t, 0, sizeof(*t));
	t->source = htons(s->sport ? s->sport : wire ? LAB_PEER_PORT : LAB_PORT);
	t->dest = htons(s->dport ? s->dport : wire ? LAB_PORT : LAB_PEER_PORT);
	t->seq = htonl(s->seq);
	t->ack_seq = htonl(s->ack);
	t->doff = hlen / 4;
	f->b[f->l4 + 13] = s->flags;
	t->window = htons(1000);
	memcpy(t + 1, s->opts, s->opts_len);
	for (uint32_t i = 0; i < s->payload; i++)
		f->b[f->l4 + hlen + i] = (uint8_t)(i * 7 + 3);
	lab_tcp_checksum(f);
}

void lab_arp(struct lab_frame *f, enum lab_way way, bool broadcast)
{
	uint8_t *at = put_eth(f, way, 0, ETH_P_ARP);

	if (broadcast)
		memset(f->b, 0xff, ETH_ALEN);
	memset(at, 0, 28);
	f->len = 14 + 28;
}

void lab_icmp(struct lab_frame *f, uint8_t type, const struct lab_spec *s, uint32_t quote)
{
	struct lab_frame inner;
	uint8_t *at, *icmp;

	lab_tcp(&inner, s);
	if (quote > inner.len - inner.l3)
		quote = inner.len - inner.l3;
	at = put_eth(f, LAB_FROM_WIRE, 0, ETH_P_IP);
	put_ip((struct iphdr *)at, LAB_FROM_WIRE, IPPROTO_ICMP, 0, 8 + quote, 0);
	f->l3 = 14;
	f->l4 = 34;
	f->len = 34 + 8 + quote;
	icmp = f->b + f->l4;
	memset(icmp, 0, 8);
	icmp[0] = type;
	memcpy(icmp + 8, inner.b + inner.l3, quote);
	*(uint16_t *)(icmp + 2) = htons(lab_checksum(icmp, 8 + quote, 0));
}

void lab_pad(struct lab_frame *f)
{
	for (; f->len < ETH_ZLEN; f->len++)
		f->b[f->len] = 0xff;
}

/* ---- running ---- */

uint64_t lab_count(uint32_t verdict)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *each = calloc((size_t)cpus, sizeof(*each)), sum = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(lab_xdp->maps.tp_count), &verdict, each),
			 0);
	for (int i = 0; i < cpus; i++)
		sum += each[i];
	free(each);
	return sum;
}

static void read_counts(uint64_t count[TP_VERDICT_COUNT])
{
	for (uint32_t v = 0; v < TP_VERDICT_COUNT; v++)
		count[v] = lab_count(v);
}

static int which_counted(const uint64_t before[TP_VERDICT_COUNT])
{
	uint64_t after[TP_VERDICT_COUNT];
	int found = -1, n = 0;

	read_counts(after);
	for (int v = 0; v < TP_VERDICT_COUNT; v++) {
		if (after[v] == before[v])
			continue;
		found = v;
		n += (int)(after[v] - before[v]);
	}
	return n == 1 ? found : -1;
}

static int run(const struct bpf_program *prog, const struct lab_frame *f)
{
	struct xdp_md md = { .data_end = f->len, .ingress_ifindex = (uint32_t)arrival_ifindex,
			     .rx_queue_index = arrival_queue };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = f->b, .data_size_in = f->len,
		    .data_out = result.out.b, .data_size_out = sizeof(result.out.b));
	int err;

	if (arrival_ifindex && bpf_program__type(prog) == BPF_PROG_TYPE_XDP) {
		o.ctx_in = &md;
		o.ctx_size_in = sizeof(md);
	}
	put_heartbeat();
	err = bpf_prog_test_run_opts(bpf_program__fd(prog), &o);

	if (err)
		fail_msg("test run of %u bytes: %s", f->len, strerror(-err));
	result.out.len = o.data_size_out;
	result.out.l3 = f->l3;
	result.out.l4 = f->l4;
	return (int)o.retval;
}

const struct lab_result *lab_run(const struct bpf_program *prog, const struct lab_frame *f)
{
	uint64_t before[TP_VERDICT_COUNT];

	if (!ring_full)
		ring_buffer__consume(ring);
	result.ringed = false;
	read_counts(before);
	result.action = run(prog, f);
	result.verdict = which_counted(before);
	if (!ring_full)
		ring_buffer__consume(ring);
	return &result;
}

const struct tp_record *lab_consume(void)
{
	result.ringed = false;
	ring_buffer__consume(ring);
	return result.ringed ? &result.record : NULL;
}

const char *lab_verdict_name(int verdict)
{
	static const char *const name[] = {
#define X(id, text) text,
		TP_VERDICTS(X)
#undef X
	};

	return verdict >= 0 && verdict < TP_VERDICT_COUNT ? name[verdict] : "not one verdict";
}

/* Frames of a flow in HOLD, large and then small, until none fits any more. */
void lab_fill_ring(void)
{
	static struct lab_frame f;
	uint64_t before[TP_VERDICT_COUNT];

	for (int payload = 1400; payload >= 0; payload -= 1400) {
		lab_tcp(&f, &(struct lab_spec){ .flags = 0x10, .payload = (uint32_t)payload });
		lab_flow(TP_HOLD, 0, 0);
		do {
			read_counts(before);
			run(lab_xdp->progs.tp_xdp, &f);
		} while (which_counted(before) == TP_V_XDP_HOLD);
	}
	lab_flow(TP_NONE, 0, 0);
	ring_full = true;
}
