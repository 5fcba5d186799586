// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/slow/claim.c user/slow/handback.c user/slow/feed.c user/slow/from_linux.c user/slow/upcall.c user/slow/watch.c user/slow/flowmap.c user/slow/expire.c user/slow/conn.c user/slow/held.c user/slow/segment.c user/slow/made.c user/slow/keepalive.c user/slow/region.c user/slow/icmp.c user/slow/why.c user/slow/loop.c user/common/text.c user/slow/options.c */
/*
 * test_switch.c - one connection becomes ours and Linux's again, with every race on the way.
 *
 * Around the real slow path stand a ring, a TAP, a wire and a fast thread made of arrays, and
 * a Linux that is one socket: it takes what is in order, answers what it must, and fails the
 * test when it is shown a number that is foreign to it (I8).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../user/slow/claim.h"
#include "../../user/slow/flowmap.h"
#include "../../user/slow/from_linux.h"
#include "../../user/slow/handback.h"
#include "../../user/slow/slow.h"
#include "../../user/slow/watch.h"
#include "slow_frames.h"
#include "taspilot/pipe.h"

#define ISS_PEER	1000U
#define ISS_LINUX	500000U
#define COOKIE		77U
#define MOVED_IN	4000U		/* bytes that the fast thread took, */
#define MOVED_OUT	9000U		/* and sent */
#define RING_BYTES	65536U
#define MAX_LOG		64

static struct slow *s;
static struct attached att;
static struct region *region;

/* ---- the maps ---- */

enum { FD_FLOWS = 1000, FD_COOKIES, FD_LISTENERS };

static struct { bool there; struct tp_flow_val val; } entry;
static struct { bool there; uint32_t what; } cookie;
static uint64_t watches;		/* begun, as the programs count them */

static struct tp_flow_key key(void)
{
	struct tp_flow_key k = { .peer_port = PEER_PORT, .local_port = LOCAL_PORT };

	tp_set_ip4(k.peer_ip, htonl(PEER_IP));
	tp_set_ip4(k.local_ip, htonl(LOCAL_IP));
	return k;
}

uint64_t verdict_count(const struct attached *a, uint32_t verdict)
{
	(void)a;
	return verdict == TP_V_XDP_SYN ? watches : 0;
}

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	(void)key;
	(void)flags;
	if (fd == FD_FLOWS) {
		entry.there = true;
		memcpy(&entry.val, value, sizeof(entry.val));
	} else if (fd == FD_COOKIES) {
		cookie.there = true;
		memcpy(&cookie.what, value, sizeof(cookie.what));
	}
	return 0;
}

static uint32_t other_batches, batches_left;	/* of entries that are none of ours, before ours */

int bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *vals, __u32 *count,
			 const struct bpf_map_batch_opts *opts)
{
	struct tp_flow_key k = key();

	(void)fd;
	(void)out;
	(void)opts;
	if (!in)
		batches_left = other_batches;
	if (batches_left) {
		batches_left--;
		*count = 0;
		return 0;
	}
	*count = entry.there;
	memcpy(keys, &k, sizeof(k));
	memcpy(vals, &entry.val, sizeof(entry.val));
	return -ENOENT;
}

int bpf_map_delete_elem(int fd, const void *key)
{
	(void)key;
	if (fd == FD_FLOWS)
		entry.there = false;
	else if (fd == FD_COOKIES)
		cookie.there = false;
	return 0;
}

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	(void)key;
	if (fd != FD_COOKIES || !cookie.there)
		return -ENOENT;
	memcpy(value, &cookie.what, sizeof(cookie.what));
	return 0;
}

int bpf_obj_get_info_by_fd(int fd, void *info, __u32 *len)
{
	(void)fd;
	(void)info;
	(void)len;
	return -EINVAL;
}

/* ---- the ring ---- */

static uint8_t *ring;			/* consumer page, producer page, data */

static void *ring_page(int i) { return ring + (size_t)i * (size_t)sysconf(_SC_PAGESIZE); }

static void record(enum tp_record_kind kind, uint32_t state, const uint8_t *frame, uint32_t len,
		   uint64_t age_ns)
{
	struct tp_record r = { .time_ns = clock_ns() - age_ns, .cookie = COOKIE, .kind = kind,
			       .state = state, .len = len };
	unsigned long *producer = ring_page(1);
	uint8_t *at = (uint8_t *)ring_page(2) + *producer;
	uint32_t head[2] = { (uint32_t)sizeof(r) + len, 0 };

	memcpy(at, head, sizeof(head));
	memcpy(at + 8, &r, sizeof(r));
	if (len)
		memcpy(at + 8 + sizeof(r), frame, len);
	*producer += (8 + sizeof(r) + len + 7) & ~7UL;
}

/* A frame of the peer that XDP put there in @state; handled when the ring is drained. */
static void from_peer(const struct said *w, uint32_t state)
{
	uint8_t frame[FRAME_ROOM];
	uint32_t len = say(w, frame);

	record(TP_REC_FRAME, state, frame, len, 0);
}

static void peer_says(const struct said *w)
{
	from_peer(w, TP_HOLD);
	upcall_drain(s, UPCALL_ALL);
}

/* ---- Linux ---- */

static struct {
	struct tp_answer a;
	int busy_for;			/* answers that show it at work */
	int hidden_for;			/* ... that do not show it at all */
	bool deaf;			/* what it is given stays in its backlog */
	uint32_t seen_by_reader;	/* unread bytes, FIN that came while the program could look */
	uint32_t wrong;			/* bytes that are not what the peer sent */
	uint32_t frames, rsts;
	uint32_t backlog;		/* frames that came while it was at work */
	uint8_t kept[4][FRAME_ROOM];
	uint32_t kept_len[4];
} linux_;

static struct { struct said w; } tap[MAX_LOG];
static uint32_t tap_count;
static bool relaying;

static void linux_sends(const struct said *w)
{
	assert_true(tap_count < MAX_LOG);
	tap[tap_count].w = *w;
	tap[tap_count++].w.from_linux = true;
}

static void linux_acks(void)
{
	linux_sends(&(struct said){ .flags = WIRE_ACK, .seq = linux_.a.snd_nxt,
				    .ack = linux_.a.rcv_nxt,
				    .window = (uint16_t)linux_.a.rcv_wnd });
}

/* Its program reads @n bytes: the window opens. */
static void linux_reads(uint32_t n)
{
	linux_.a.copied_seq += n;
	linux_.a.rcv_wnd += n;
	linux_acks();
	relay_drain(s, 100);
}

/* What the fast thread had put into the pipe, by the sequence number that it has in Linux. */
static uint8_t unread_byte(uint32_t seq) { return (uint8_t)((seq * 2654435761U) >> 24); }
static bool from_the_pipe;

static void entry_moves(uint32_t from, uint32_t to)
{
	if (entry.there && entry.val.state == from)
		entry.val.state = to;
}

/* Nobody is at work on the socket any more: what was kept meanwhile. */
static void linux_lets_go(void)
{
	uint32_t n = linux_.backlog;

	linux_.backlog = 0;
	for (uint32_t i = 0; i < n; i++)
		relay_to_linux(s, NULL, linux_.kept[i], linux_.kept_len[i]);
}

int ask_after(const struct attached *a, const struct tp_flow_key *key, enum tp_ask_op op,
	      struct tp_answer *ret)
{
	(void)a;
	(void)key;
	if (linux_.backlog && !linux_.busy_for)
		linux_lets_go();
	if (op == TP_ASK_HOLD)
		entry_moves(TP_WATCH, TP_HOLD);
	if (op == TP_ASK_UNHOLD)
		entry_moves(TP_HOLD, TP_WATCH);
	*ret = linux_.a;
	ret->entry = entry.there ? entry.val : (struct tp_flow_val){ 0 };
	ret->busy = linux_.busy_for > 0;
	linux_.busy_for -= linux_.busy_for > 0;
	if (linux_.hidden_for)
		ret->found = ret->tcp_state = 0;
	linux_.hidden_for -= linux_.hidden_for > 0;
	return 0;
}

/* In order, and as much as its window takes. */
static void linux_takes_data(const struct segment *seg, const uint8_t *data)
{
	struct tp_answer *a = &linux_.a;
	uint32_t room = a->rcv_wup + a->rcv_wnd - a->rcv_nxt;

	if (seg->len > room)
		fail_msg("Linux has room for %u, was given %u", room, seg->len);
	for (uint32_t i = 0; from_the_pipe && i < seg->len; i++)
		linux_.wrong += data[i] != unread_byte(seg->seq + i);
	a->rcv_nxt += seg->len;
	a->rcv_wup = a->rcv_nxt;
	a->rcv_wnd -= seg->len;
}

static struct conn *conn(void);

/* Bytes may be neither in the pipe nor in Linux yet: nobody should look then. */
static bool program_can_read(void)
{
	const struct conn *c = conn();

	return slot_at(c->region, c->slot)->rx_lock != TP_LOCK_DAEMON;
}

static void linux_takes(const struct segment *seg, const uint8_t *data)
{
	struct tp_answer *a = &linux_.a;

	if (seg->flags & WIRE_RST) {
		assert_int_equal(seg->seq, a->rcv_nxt);
		linux_.rsts++;
		a->found = a->tcp_state = 0;
		return;
	}
	if (seg->seq != a->rcv_nxt)
		return;
	if (seg->len)
		linux_takes_data(seg, data);
	if (from_the_pipe && (seg->len || seg->flags & WIRE_FIN))
		linux_.seen_by_reader += program_can_read();
	a->rcv_nxt += !!(seg->flags & WIRE_FIN);
	if ((int32_t)(seg->ack - a->snd_una) > 0)
		a->snd_una = seg->ack;
	if (seg->len || seg->flags & WIRE_FIN)
		linux_acks();
}

/* A small socket: FIN-WAIT-2 until it has the peer's FIN. A FIN elsewhere it would reset. */
static void time_wait_takes(const struct segment *seg)
{
	struct tp_answer *a = &linux_.a;

	if (seg->flags & WIRE_RST && seg->seq == a->rcv_nxt) {
		linux_.rsts++;
		a->tcp_state = 0;
	} else if (seg->flags & WIRE_FIN && (int32_t)(seg->seq - a->rcv_nxt) >= 0) {
		assert_int_equal(seg->seq, a->rcv_nxt);
		a->rcv_nxt++;
		linux_acks();
	}
}

void relay_to_linux(struct slow *slow, const struct virtio_net_hdr *vnet, const uint8_t *frame,
		    uint32_t len)
{
	struct segment seg;

	(void)slow;
	(void)vnet;
	assert_true(segment_read(frame, len, SEG_FROM_WIRE, &seg));
	linux_.frames++;
	if (seg.flags & WIRE_SYN)
		return;
	if (linux_.busy_for && linux_.a.found) {
		assert_true(linux_.backlog < 4 && len <= FRAME_ROOM);
		memcpy(linux_.kept[linux_.backlog], frame, len);
		linux_.kept_len[linux_.backlog++] = len;
		return;
	}
	if (linux_.a.tcp_state == TCP_TIME_WAIT)
		time_wait_takes(&seg);
	if (!linux_.a.found)
		return;
	if (seg.seq - linux_.a.rcv_nxt > 2000 && linux_.a.rcv_nxt - seg.seq > 2000)
		fail_msg("Linux, at %u, was shown %u", linux_.a.rcv_nxt, seg.seq);
	if (seg.ack - linux_.a.snd_una > 2000 && linux_.a.snd_una - seg.ack > 2000)
		fail_msg("Linux, at %u, was shown ack %u", linux_.a.snd_una, seg.ack);
	if (!linux_.deaf)
		linux_takes(&seg, frame + len - seg.len);
}

void relay_drain(struct slow *slow, uint32_t budget)
{
	(void)budget;
	assert_false(relaying);
	relaying = true;
	for (uint32_t i = 0; i < tap_count; i++) {
		uint8_t frame[FRAME_ROOM];
		struct virtio_net_hdr vnet = { 0 };
		uint32_t len = say(&tap[i].w, frame);

		from_linux(slow, &vnet, frame, len);
	}
	tap_count = 0;
	relaying = false;
}

struct virtio_net_hdr relay_describe(struct slow *slow, const uint8_t *frame, uint32_t len)
{
	(void)slow;
	(void)frame;
	(void)len;
	return (struct virtio_net_hdr){ 0 };
}

/* ---- the wire ---- */

static struct segment wire[MAX_LOG];
static uint32_t wire_count;

void relay_to_wire(struct slow *slow, const struct virtio_net_hdr *vnet, const uint8_t *frame,
		   uint32_t len)
{
	(void)slow;
	(void)vnet;
	assert_true(wire_count < MAX_LOG);
	assert_true(segment_read(frame, len, SEG_FROM_LINUX, &wire[wire_count++]));
}

/* ---- the fast thread ---- */

static struct { enum fast_cmd_kind kind; uint32_t value, entry_state; } cmd[MAX_LOG];
static uint32_t cmd_count;
static struct fast_install installed;

uint32_t fast_threads(const struct fast_set *set)
{
	(void)set;
	return 1;
}

void fast_watch(const struct fast_region *r)
{
	(void)r;
}

int fast_send(struct fast_set *set, uint32_t thread, const struct fast_cmd *c)
{
	(void)set;
	(void)thread;
	assert_true(cmd_count < MAX_LOG);
	cmd[cmd_count].kind = c->kind;
	cmd[cmd_count].value = c->value;
	cmd[cmd_count++].entry_state = entry.there ? entry.val.state : TP_NONE;
	if (c->kind == FAST_CMD_INSTALL)
		installed = *c->install;
	return 0;
}

int slow_tell(struct slow *slow, uint32_t thread, const struct fast_cmd *c)
{
	return fast_send(slow->fast, thread, c);
}

void slow_tell_flow(struct slow *slow, const struct conn *c, enum fast_cmd_kind kind)
{
	slow_tell(slow, c->thread, &(struct fast_cmd){ .kind = kind, .flow_id = c->flow_id });
}

void apps_uring(struct slow *slow, uint32_t number)
{
	(void)slow;
	(void)number;
}

bool hear_is_lost(struct slow *slow)
{
	return slow->hear.lost;
}

void ctl_state(struct slow *slow, struct conn *c)
{
	(void)slow;
	(void)c;
}

/* How many commands of @kind were sent; their last value. */
static uint32_t told(enum fast_cmd_kind kind, uint32_t *ret_last)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < cmd_count; i++)
		if (cmd[i].kind == kind) {
			n++;
			if (ret_last)
				*ret_last = cmd[i].value;
		}
	return n;
}

static uint32_t place(enum fast_cmd_kind kind)
{
	uint32_t i = 0;

	while (i < cmd_count && cmd[i].kind != kind)
		i++;
	assert_true(i < cmd_count);
	return i;
}

/* ---- scenes ---- */

static struct conn *conn(void)
{
	struct tp_flow_key k = key();

	return conn_find(&s->conns, &k);
}

static int setup(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	(void)state;
	s = calloc(1, sizeof(*s));
	att = (struct attached){ .flows_fd = FD_FLOWS, .cookies_fd = FD_COOKIES,
				 .listeners_fd = FD_LISTENERS, .release_hook = true };
	s->att = &att;
	s->now_ns = clock_ns();
	ring = mmap(NULL, 2 * page + RING_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s->upcall.consumer = ring_page(0);
	s->upcall.producer = ring_page(1);
	s->upcall.size = RING_BYTES;
	memset(&linux_, 0, sizeof(linux_));
	memset(&entry, 0, sizeof(entry));
	memset(&cookie, 0, sizeof(cookie));
	tap_count = wire_count = cmd_count = 0;
	relaying = from_the_pipe = false;
	other_batches = 0;
	if (conns_init(&s->conns))
		return -1;
	expire_init(s);
	regions_init(&s->regions);
	if (region_new(s, 0, &region))
		return -1;
	region_get(region);
	cmd_count = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	conns_fini(&s->conns);
	region_gone(s, &region->fast);
	munmap(ring, 2 * (size_t)sysconf(_SC_PAGESIZE) + RING_BYTES);
	free(s);
	return 0;
}

static void handshake(void)
{
	linux_.a = (struct tp_answer){
		.found = 1, .tcp_state = TCP_ESTABLISHED, .cookie = COOKIE,
		.snd_una = ISS_LINUX + 1, .snd_nxt = ISS_LINUX + 1, .write_seq = ISS_LINUX + 1,
		.rcv_nxt = ISS_PEER + 1, .copied_seq = ISS_PEER + 1, .rcv_wup = ISS_PEER + 1,
		.rcv_wnd = 60000, .snd_wnd = 60000, .mss_cache = 1448, .cc = "cubic",
	};
	entry.there = true;
	entry.val = (struct tp_flow_val){
		.state = TP_WATCH, .to_linux = ISS_PEER + 1, .seen_in = 1, .seen_out = 1,
		.born = (uint32_t)(s->now_ns >> TP_BORN_SHIFT),
	};
	memcpy(entry.val.next_hop, peer_mac, sizeof(peer_mac));
	watches++;
}

/* The peer's next bytes, as tc ingress lets them by in WATCH. */
static void peer_sends(uint32_t len)
{
	entry.val.to_linux += len;
	if (!linux_.deaf)
		linux_.a.rcv_nxt += len;
}

static enum tp_reason claim_it(void)
{
	struct claim cl = { .key = key(), .cookie = COOKIE, .region = region };
	struct conn *c;

	return claim(s, &cl, &c);
}

static struct conn *go_fast(void)
{
	handshake();
	assert_int_equal(claim_it(), TP_WHY_NONE);
	assert_int_equal(entry.val.state, TP_FAST);
	linux_.frames = 0;
	return conn();
}

/* The fast thread's numbers after it moved bytes. */
static struct tcp_state moved(void)
{
	return (struct tcp_state){ .snd_una = ISS_LINUX + 1 + MOVED_OUT,
				   .snd_nxt = ISS_LINUX + 1 + MOVED_OUT,
				   .rcv_nxt = ISS_PEER + 1 + MOVED_IN, .snd_wnd = 70000,
				   .rcv_edge = ISS_PEER + 1 + MOVED_IN + 50000 };
}

static struct tcp_state with_fins(bool peer_fin, bool fin_acked)
{
	struct tcp_state st = moved();

	st.peer_fin = peer_fin;
	st.rcv_nxt += peer_fin;
	st.fin_sent = st.fin_acked = fin_acked;
	st.snd_nxt += fin_acked;
	st.snd_una += fin_acked;
	return st;
}

static void program_wrote(struct conn *c, uint64_t bytes)
{
	slot_at(c->region, c->slot)->tx_head = bytes;
}

static void event(const struct conn *c, enum fast_event_kind kind, uint32_t value,
		  struct tcp_state st)
{
	static struct fast_event ev;

	ev.kind = kind;
	ev.flow_id = c->flow_id;
	ev.value = value;
	ev.state = st;
	handback_event(s, &ev);
}

static void ticks(int n)
{
	for (; n; n--) {
		s->now_ns += EXPIRE_TICK_MS * NS_PER_MS;
		expire_run(s);
	}
}

static void linux_fins(void)
{
	linux_.a.tcp_state = TCP_FIN_WAIT1;
	linux_.a.write_seq = ++linux_.a.snd_nxt;
	linux_sends(&(struct said){ .flags = WIRE_FIN | WIRE_ACK, .seq = linux_.a.snd_una,
				    .ack = linux_.a.rcv_nxt });
}

static void released(void) { record(TP_REC_RELEASE, 0, NULL, 0, 0); }

/* ---- claiming ---- */

static void a_quiet_connection_is_claimed(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	assert_int_equal(installed.tcp.snd_una, ISS_LINUX + 1);
	assert_int_equal(installed.tcp.rcv_nxt, ISS_PEER + 1);
	assert_memory_equal(installed.eth, peer_mac, 6);
	assert_int_equal(entry.val.flow_id, c->flow_id);
	assert_true(cookie.there);
	assert_int_equal(slot_at(c->region, c->slot)->state, TP_SLOT_FAST);
	/* the thread had the flow before XDP sends it frames */
	assert_int_equal(cmd[place(FAST_CMD_INSTALL)].entry_state, TP_HOLD);
}

static void bytes_in_linuxs_queue_are_counted(void **state)
{
	(void)state;
	handshake();
	peer_sends(100);
	assert_int_equal(claim_it(), TP_WHY_NONE);
	assert_int_equal(slot_at(region, conn()->slot)->linux_rx, 100);
	assert_int_equal(installed.tcp.rcv_nxt, ISS_PEER + 101);
}

static void a_frame_in_linuxs_backlog_is_waited_for(void **state)
{
	(void)state;
	handshake();
	linux_.busy_for = 3;
	assert_int_equal(claim_it(), TP_WHY_NONE);
}

static void a_connection_in_motion_stays_linuxs(void **state)
{
	(void)state;
	handshake();
	linux_.a.write_seq += 10;
	assert_int_equal(claim_it(), TP_WHY_BUSY);
	assert_int_equal(entry.val.state, TP_WATCH);
	assert_false(cookie.there);
	assert_int_equal(told(FAST_CMD_INSTALL, NULL), 0);
	assert_null(conn());
}

static void a_frame_kept_by_a_refused_claim_is_linuxs_and_so_is_the_rest(void **state)
{
	(void)state;
	handshake();
	from_peer(&(struct said){ .flags = WIRE_ACK, .seq = ISS_PEER + 1, .ack = ISS_LINUX + 1,
				  .len = 50 }, TP_HOLD);
	linux_.a.write_seq += 10;
	assert_int_equal(claim_it(), TP_WHY_BUSY);
	assert_int_equal(linux_.frames, 1);
	assert_false(entry.there);
}

static void a_name_that_was_not_seen_in_both_directions_is_not_the_wires(void **state)
{
	(void)state;
	for (int in = 0; in < 2; in++) {
		handshake();
		entry.val.seen_in = (uint8_t)in;
		entry.val.seen_out = (uint8_t)!in;
		assert_int_equal(claim_it(), TP_WHY_NO_FLOW);
		assert_int_equal(entry.val.state, TP_WATCH);
	}
}

static void a_frame_that_linux_has_not_taken_forbids_the_claim(void **state)
{
	(void)state;
	handshake();
	linux_.deaf = true;
	peer_sends(100);
	assert_int_equal(claim_it(), TP_WHY_BUSY);
}

/* It may stand for a segment that Linux was given and has not taken. */
static void a_number_beyond_the_window_forbids_the_claim(void **state)
{
	(void)state;
	handshake();
	peer_sends(100);
	entry.val.to_linux += 100000;
	assert_int_equal(claim_it(), TP_WHY_BUSY);
	assert_int_equal(entry.val.state, TP_WATCH);
}

static void who_may_not_claim_is_told_why(void **state)
{
	static const struct {
		uint32_t tcp_state, uid;
		uint64_t cookie;
		bool odd;
		enum tp_reason want;
	} cases[] = {
		{ TCP_ESTABLISHED, 5, COOKIE, false, TP_WHY_NOT_YOURS },
		{ TCP_ESTABLISHED, 1, COOKIE + 1, false, TP_WHY_NAT },
		{ TCP_ESTABLISHED, 1, COOKIE, true, TP_WHY_OPTIONS },
		{ TCP_CLOSE_WAIT, 1, COOKIE, false, TP_WHY_CLOSED_SIDE },
		{ TCP_ESTABLISHED, 1, COOKIE, false, TP_WHY_NONE },
	};
	struct claim cl = { .key = key(), .cookie = COOKIE, .uid = 1, .region = region };
	struct conn *c;

	(void)state;
	linux_.a.tcp_state = TCP_ESTABLISHED;
	linux_.a.found = linux_.a.uid = 1;
	linux_.a.cookie = COOKIE;
	assert_int_equal(claim(s, &cl, &c), TP_WHY_NO_FLOW);
	handshake();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		linux_.a.tcp_state = cases[i].tcp_state;
		linux_.a.uid = cases[i].uid;
		linux_.a.cookie = cases[i].cookie;
		linux_.a.odd = cases[i].odd;
		assert_int_equal(claim(s, &cl, &c), cases[i].want);
	}
}

/* The FIN is on the TAP when the claim drains it, and the ring is drained for that. */
static void a_close_during_the_claim_is_a_close_and_no_half_one(void **state)
{
	(void)state;
	handshake();
	released();
	linux_sends(&(struct said){ .flags = WIRE_FIN | WIRE_ACK, .seq = ISS_LINUX + 1,
				    .ack = ISS_PEER + 1 });
	assert_int_equal(claim_it(), TP_WHY_NONE);
	assert_true(conn()->released);
	assert_int_equal(told(FAST_CMD_RELEASE, NULL), 1);
	assert_true(place(FAST_CMD_INSTALL) < place(FAST_CMD_RELEASE));
	assert_true(place(FAST_CMD_RELEASE) < place(FAST_CMD_FIN));
}

static void a_stranger_during_the_claim_is_not_forgotten(void **state)
{
	(void)state;
	handshake();
	record(TP_REC_STRANGER, 0, NULL, 0, 0);
	linux_sends(&(struct said){ .flags = WIRE_FIN | WIRE_ACK, .seq = ISS_LINUX + 1,
				    .ack = ISS_PEER + 1 });
	assert_int_equal(claim_it(), TP_WHY_NONE);
	assert_int_equal(told(FAST_CMD_LEAVE, NULL), 1);
}

/* XDP had read HOLD before the entry said FAST, and its record came after the last question. */
static void a_frame_recorded_in_hold_and_read_after_it_is_injected(void **state)
{
	(void)state;
	go_fast();
	from_peer(&(struct said){ .flags = WIRE_ACK, .seq = ISS_PEER + 1, .ack = ISS_LINUX + 1,
				  .len = 50 }, TP_HOLD);
	upcall_drain(s, UPCALL_ALL);
	assert_int_equal(told(FAST_CMD_INJECT, NULL), 1);
	assert_int_equal(linux_.frames, 0);
}

/* A flow with a hole is not quiet before the peer has filled it. */
static void long_frames_still_arrive_while_the_flow_is_to_leave(void **state)
{
	static uint8_t frame[FRAME_ROOM];
	uint32_t len = say(&(struct said){ .flags = WIRE_ACK, .seq = ISS_PEER + 1,
					   .ack = ISS_LINUX + 1, .len = 1500 }, frame);
	bool left = false;

	(void)state;
	go_fast();
	cmd_count = 0;
	s->att->frame_room = 1000;
	for (int i = 0; i < 300; i++) {
		from_wire(s, NULL, frame, len, 0);
		assert_int_equal(told(FAST_CMD_INJECT, NULL), 1);
		left |= told(FAST_CMD_LEAVE, NULL);
		cmd_count = 0;
	}
	assert_true(left);
}

/* @len bytes at @frame, with four of IP options more. */
static uint32_t with_ip_options(uint8_t *frame, uint32_t len)
{
	struct wire_ip *ip = (void *)(frame + WIRE_ETH_LEN);
	uint8_t *options = frame + WIRE_ETH_LEN + WIRE_IP_LEN;

	memmove(options + 4, options, len - WIRE_ETH_LEN - WIRE_IP_LEN);
	memset(options, WIRE_OPT_NOP, 4);
	ip->version_ihl = 0x46;
	ip->tot_len = htons((uint16_t)(len + 4 - WIRE_ETH_LEN));
	return len + 4;
}

/* Neither the fast thread nor we read such segments, and their numbers are the wire's. */
static void a_segment_that_nobody_can_read_is_lost(void **state)
{
	const struct said what = { .flags = WIRE_ACK, .seq = ISS_PEER + 1, .ack = ISS_LINUX + 1,
				   .len = 50 };
	uint8_t frame[FRAME_ROOM];
	uint32_t len = say(&what, frame);

	(void)state;
	go_fast();
	record(TP_REC_FRAME, TP_FAST, frame, with_ip_options(frame, len), 0);
	record(TP_REC_FRAME, TP_HOLD, frame, say(&what, frame) - 1, 0);
	upcall_drain(s, UPCALL_ALL);
	from_wire(s, &(struct virtio_net_hdr){ 0 }, frame, len - 1, 0);
	assert_int_equal(linux_.frames, 0);
	assert_int_equal(s->upcall.bad, 3);
}

static void linuxs_ack_of_the_handshake_reaches_the_wire(void **state)
{
	(void)state;
	handshake();
	linux_sends(&(struct said){ .flags = WIRE_ACK, .seq = ISS_LINUX + 1, .ack = ISS_PEER + 1 });
	assert_int_equal(claim_it(), TP_WHY_NONE);
	assert_int_equal(wire_count, 1);
	assert_int_equal(wire[0].ack, ISS_PEER + 1);
}

/* ---- while it is ours ---- */

static void what_linux_says_is_not_sent(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	linux_acks();
	relay_drain(s, 10);
	assert_int_equal(wire_count, 0);
	assert_int_equal(told(FAST_CMD_FIN, NULL), 0);
	assert_int_equal(c->phase, CONN_FAST);
}

static void the_release_is_seen_before_the_fin(void **state)
{
	go_fast();
	(void)state;
	released();			/* in the ring; the FIN is on the TAP already */
	linux_fins();
	relay_drain(s, 10);
	assert_true(place(FAST_CMD_RELEASE) < place(FAST_CMD_FIN));
	assert_false(cookie.there);
	assert_int_equal(wire_count, 0);
}

static void a_repeated_fin_is_asked_for_once(void **state)
{
	go_fast();
	(void)state;
	linux_fins();
	tap[tap_count] = tap[tap_count - 1];
	tap_count++;
	relay_drain(s, 10);
	assert_int_equal(told(FAST_CMD_FIN, NULL), 1);
}

static void data_of_linux_sends_the_flow_back_and_waits(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	linux_sends(&(struct said){ .flags = WIRE_ACK, .seq = linux_.a.snd_una,
				    .ack = linux_.a.rcv_nxt, .len = 30 });
	linux_.a.snd_nxt += 30;
	relay_drain(s, 10);
	assert_int_equal(told(FAST_CMD_LEAVE, NULL), 1);
	assert_int_equal(wire_count, 0);
	program_wrote(c, MOVED_OUT);
	event(c, FAST_EV_QUIET, 1, moved());
	assert_int_equal(wire[0].seq, ISS_LINUX + 1 + MOVED_OUT);
	assert_int_equal(wire[0].len, 30);
}

static void linuxs_reset_is_the_peers(void **state)
{
	go_fast();
	(void)state;
	linux_sends(&(struct said){ .flags = WIRE_RST, .seq = linux_.a.snd_una });
	relay_drain(s, 10);
	assert_true(place(FAST_CMD_RST) < place(FAST_CMD_FREE));
	assert_false(entry.there);
	assert_null(conn());
}

static void a_socket_that_linux_gave_up_silently_is_noticed(void **state)
{
	go_fast();
	(void)state;
	ticks(120);
	assert_int_equal(told(FAST_CMD_RST, NULL), 0);
	linux_.a.found = linux_.a.tcp_state = 0;
	ticks(120);
	assert_int_equal(told(FAST_CMD_RST, NULL), 1);
	assert_false(entry.there);
}

static void a_flow_outlives_the_orphan_that_linux_dropped(void **state)
{
	go_fast();
	(void)state;
	released();
	linux_fins();
	relay_drain(s, 10);
	linux_.a.found = linux_.a.tcp_state = 0;
	ticks(120);
	assert_int_equal(told(FAST_CMD_RST, NULL), 0);
	assert_int_equal(entry.val.state, TP_FAST);
	linux_.frames = 0;
	event(conn(), FAST_EV_QUIET, 0, with_fins(true, true));
	assert_int_equal(linux_.frames, 0);
	assert_false(entry.there);
}

static void a_keepalive_is_answered_by_what_was_heard(void **state)
{
	struct conn *c = go_fast();
	struct tcp_state st = moved();

	(void)state;
	linux_sends(&(struct said){ .flags = WIRE_ACK, .seq = linux_.a.snd_una - 1,
				    .ack = linux_.a.rcv_nxt });
	relay_drain(s, 10);
	assert_int_equal(told(FAST_CMD_STATE, NULL), 1);
	st.heard_ns = s->now_ns - 5 * NS_PER_S;
	event(c, FAST_EV_STATE, 0, st);
	assert_int_equal(told(FAST_CMD_PROBE, NULL), 1);	/* long ago: the peer is asked */
	assert_int_equal(linux_.frames, 0);
	ticks(2);
	assert_int_equal(told(FAST_CMD_STATE, NULL), 2);
	st.heard_ns = s->now_ns;
	event(c, FAST_EV_STATE, 0, st);
	assert_int_equal(linux_.frames, 1);
	ticks(5);
	assert_int_equal(told(FAST_CMD_STATE, NULL), 2);
}

/* ---- back to Linux ---- */

static void a_flow_goes_back_with_the_difference_of_both_numbers(void **state)
{
	struct conn *c = go_fast();
	uint32_t slot = c->slot;

	(void)state;
	program_wrote(c, MOVED_OUT);
	handback_begin(s, c, TP_WHY_HANDED_BACK);
	assert_int_equal(slot_at(region, slot)->state, TP_SLOT_LEAVING);
	event(c, FAST_EV_QUIET, 1, moved());
	assert_int_equal(entry.val.state, TP_LINUX);
	assert_int_equal(entry.val.tx_delta, MOVED_OUT);
	assert_int_equal(entry.val.rx_delta, MOVED_IN);
	assert_int_equal(slot_at(region, slot)->state, TP_SLOT_LINUX);
	/* the peer is told Linux's window, in the wire's numbers */
	assert_int_equal(wire_count, 1);
	assert_int_equal(wire[0].ack, ISS_PEER + 1 + MOVED_IN);
	assert_true(place(FAST_CMD_NOTIFY) < place(FAST_CMD_FREE));
}

static void a_flow_that_moved_nothing_leaves_no_entry(void **state)
{
	struct conn *c = go_fast();
	struct tcp_state st = moved();

	(void)state;
	st.snd_una = st.snd_nxt = ISS_LINUX + 1;
	st.rcv_nxt = ISS_PEER + 1;
	handback_begin(s, c, TP_WHY_HANDED_BACK);
	event(c, FAST_EV_QUIET, 1, st);
	assert_false(entry.there);
	assert_null(conn());
}

static void bytes_written_before_the_program_knew_are_sent_first(void **state)
{
	struct conn *c = go_fast();
	uint32_t last = 0;

	(void)state;
	program_wrote(c, MOVED_OUT + 5);
	event(c, FAST_EV_QUIET, 0, moved());
	assert_int_equal(entry.val.state, TP_FAST);
	assert_int_equal(told(FAST_CMD_LEAVE, &last), 1);
	assert_int_equal(last, 1);
}

static void a_quiet_from_before_the_last_leave_is_void(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	program_wrote(c, MOVED_OUT);
	handback_begin(s, c, TP_WHY_HANDED_BACK);
	event(c, FAST_EV_QUIET, 0, moved());	/* had been under way: the flow lives on */
	assert_int_equal(entry.val.state, TP_FAST);
	event(c, FAST_EV_QUIET, 1, moved());
	assert_int_equal(entry.val.state, TP_LINUX);
}

static void a_program_that_never_stops_writing_is_cut_off(void **state)
{
	struct conn *c = go_fast();
	uint32_t n = 0;

	(void)state;
	while (entry.val.state == TP_FAST && n < 100) {
		program_wrote(c, MOVED_OUT + 1 + n);
		event(c, FAST_EV_QUIET, n++, moved());
	}
	assert_true(n < 100);
	assert_int_equal(entry.val.state, TP_LINUX);
}

static void linuxs_fin_that_the_thread_no_longer_heard_follows_translated(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	program_wrote(c, MOVED_OUT);
	handback_begin(s, c, TP_WHY_HANDED_BACK);
	linux_fins();
	relay_drain(s, 10);
	event(c, FAST_EV_QUIET, 1, moved());
	assert_int_equal(entry.val.state, TP_LINUX);
	assert_true(wire[0].flags & WIRE_FIN);
	assert_int_equal(wire[0].seq, ISS_LINUX + 1 + MOVED_OUT);
	assert_int_equal(wire[0].ack, ISS_PEER + 1 + MOVED_IN);
}

static void linuxs_fin_that_the_thread_sent_is_not_sent_again(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	linux_fins();
	relay_drain(s, 10);
	event(c, FAST_EV_QUIET, 0, with_fins(false, true));
	assert_int_equal(entry.val.state, TP_LINUX);
	assert_int_equal(entry.val.tx_delta, MOVED_OUT);	/* FIN moved both sides */
	assert_int_equal(linux_.a.snd_una, ISS_LINUX + 2);
	for (uint32_t i = 0; i < wire_count; i++)
		assert_false(wire[i].flags & WIRE_FIN);
}

static void strays_are_kept_in_between_and_translated_after(void **state)
{
	struct conn *c = go_fast();
	struct said data = { .flags = WIRE_ACK, .seq = ISS_PEER + 1 + MOVED_IN,
			     .ack = ISS_LINUX + 1 + MOVED_OUT, .len = 20 };
	static struct fast_event stray = { .kind = FAST_EV_STRAY };

	(void)state;
	linux_.deaf = true;		/* the made segments wait in its backlog */
	program_wrote(c, MOVED_OUT);
	handback_begin(s, c, TP_WHY_HANDED_BACK);
	event(c, FAST_EV_PEER_FIN, 0, with_fins(true, false));
	event(c, FAST_EV_QUIET, 1, with_fins(true, false));
	assert_int_equal(entry.val.state, TP_HOLD);
	linux_.frames = 0;
	data.seq -= 20;			/* the peer repeats what was lost: nothing new */
	stray.frame.len = say(&data, stray.frame.data);
	handback_event(s, &stray);
	assert_int_equal(linux_.frames, 0);

	linux_.deaf = false;
	ticks(2);
	assert_int_equal(entry.val.state, TP_LINUX);
	linux_.frames = 0;
	handback_event(s, &stray);	/* I8 is checked by relay_to_linux() */
	assert_int_equal(linux_.frames, 1);
}

static void frames_read_after_the_way_back_are_translated(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	program_wrote(c, MOVED_OUT);
	handback_begin(s, c, TP_WHY_HANDED_BACK);
	event(c, FAST_EV_QUIET, 1, moved());
	from_peer(&(struct said){ .flags = WIRE_ACK, .seq = ISS_PEER + 1 + MOVED_IN,
				  .ack = ISS_LINUX + 1 + MOVED_OUT, .len = 20 }, TP_HOLD);
	upcall_drain(s, UPCALL_ALL);
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 21);
	relay_drain(s, 10);
	assert_int_equal(wire[wire_count - 1].ack, ISS_PEER + 1 + MOVED_IN + 20);
}

/* ---- bytes that nobody has read ---- */

/* Of MOVED_IN bytes the last @n are in the pipe. */
static struct tcp_state left_unread(struct conn *c, uint32_t n)
{
	struct tp_slot *t = slot_at(c->region, c->slot);
	const struct tp_pipe_mem mem = {
		.small = tp_small_at(region->fast.base, &region->fast.geo, c->slot, TP_RX),
		.big = tp_big_at(region->fast.base, &region->fast.geo, c->slot, TP_RX),
	};
	struct tcp_state st = moved();

	t->rx_geom = pipe_geom(TP_ORDER_SMALL, 77);
	t->rx_head = MOVED_IN;
	t->rx_tail = MOVED_IN - n;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t byte = unread_byte(ISS_PEER + 1 + i);

		pipe_write(&mem, t->rx_geom, t->rx_tail + i, &byte, 1);
	}
	st.rx_bytes = MOVED_IN;
	st.mss = 1000;
	from_the_pipe = true;
	program_wrote(c, MOVED_OUT);
	handback_begin(s, c, TP_WHY_HANDED_BACK);
	return st;
}

static void unread_bytes_go_to_linux_first(void **state)
{
	struct conn *c = go_fast();
	struct tp_slot *t = slot_at(c->region, c->slot);

	(void)state;
	event(c, FAST_EV_QUIET, 1, left_unread(c, 3500));
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 1 + 3500);
	assert_int_equal(linux_.wrong, 0);
	assert_int_equal(linux_.seen_by_reader, 0);
	assert_int_equal(t->rx_tail, MOVED_IN);
	assert_int_equal(t->state, TP_SLOT_LINUX);
	assert_int_equal(t->rx_lock, 0);
	assert_int_equal(entry.val.state, TP_LINUX);
	assert_int_equal(entry.val.rx_delta, MOVED_IN - 3500);
	assert_int_equal(entry.val.tx_delta, MOVED_OUT);
}

static void the_peers_fin_comes_behind_unread_bytes(void **state)
{
	struct conn *c = go_fast();
	struct tcp_state st = left_unread(c, 2500);

	(void)state;
	st.peer_fin = true;
	st.rcv_nxt++;
	event(c, FAST_EV_PEER_FIN, 0, st);
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 1);
	event(c, FAST_EV_QUIET, 1, st);
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 1 + 2500 + 1);
	assert_int_equal(linux_.wrong, 0);
	assert_int_equal(linux_.seen_by_reader, 0);
	assert_int_equal(entry.val.state, TP_LINUX);
	assert_int_equal(entry.val.rx_delta, MOVED_IN - 2500);
}

static void who_is_just_reading_is_waited_for(void **state)
{
	struct conn *c = go_fast();
	struct tp_slot *t = slot_at(c->region, c->slot);
	struct tcp_state st = left_unread(c, 500);

	(void)state;
	t->rx_lock = 4711;
	event(c, FAST_EV_QUIET, 1, st);
	assert_int_equal(entry.val.state, TP_HOLD);
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 1);
	t->rx_tail += 500;		/* it has read all */
	t->rx_lock = 0;
	ticks(2);
	assert_int_equal(entry.val.state, TP_LINUX);
	assert_int_equal(entry.val.rx_delta, MOVED_IN);
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 1);
}

/* 3000 bytes, and Linux takes 1200. */
static struct conn *feeding(void)
{
	struct conn *c = go_fast();
	struct tcp_state st = left_unread(c, 3000);

	linux_.a.rcv_wnd = 1200;
	event(c, FAST_EV_QUIET, 1, st);
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 1 + 1200);
	assert_int_equal(entry.val.state, TP_HOLD);
	return c;
}

static void what_does_not_fit_waits_while_the_wires_window_is_closed(void **state)
{
	struct conn *c = feeding();

	(void)state;
	assert_int_equal(wire_count, 1);
	assert_int_equal(wire[0].window, 0);
	assert_int_equal(wire[0].ack, ISS_PEER + 1 + MOVED_IN);
	assert_int_equal(wire[0].seq, ISS_LINUX + 1 + MOVED_OUT);
	linux_reads(700);
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 1 + 1900);
	assert_int_equal(entry.val.state, TP_HOLD);
	linux_reads(1100);
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 1 + 3000);
	linux_reads(1200);
	ticks(2);
	assert_int_equal(entry.val.state, TP_LINUX);
	assert_int_equal(entry.val.rx_delta, MOVED_IN - 3000);
	assert_int_equal(linux_.wrong, 0);
	assert_int_equal(wire[wire_count - 1].window, 1200);
	assert_int_equal(c->phase, CONN_LINUX);
}

static void the_peer_is_answered_and_heard_meanwhile(void **state)
{
	(void)state;
	feeding();
	wire_count = 0;
	/* a probe of its, with an ACK of all that Linux has sent */
	linux_sends(&(struct said){ .flags = WIRE_ACK, .seq = linux_.a.snd_nxt,
				    .ack = linux_.a.rcv_nxt, .len = 100 });
	linux_.a.snd_nxt += 100;
	relay_drain(s, 10);
	assert_int_equal(wire_count, 1);
	assert_int_equal(wire[0].seq, ISS_LINUX + 1 + MOVED_OUT);
	assert_int_equal(wire[0].ack, ISS_PEER + 1 + MOVED_IN);
	assert_int_equal(wire[0].window, 0);
	peer_says(&(struct said){ .flags = WIRE_ACK, .seq = ISS_PEER + MOVED_IN,
				  .ack = ISS_LINUX + 1 + MOVED_OUT + 100, .window = 500 });
	assert_int_equal(linux_.a.snd_una, linux_.a.snd_nxt);
	assert_int_equal(wire_count, 2);
	assert_int_equal(wire[1].seq, ISS_LINUX + 1 + MOVED_OUT + 100);
	assert_int_equal(wire[1].ack, ISS_PEER + 1 + MOVED_IN);
	assert_int_equal(wire[1].window, 0);
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 1 + 1200);
}

static void what_got_lost_on_the_way_to_linux_is_given_again(void **state)
{
	(void)state;
	feeding();
	linux_.deaf = true;
	linux_reads(800);
	linux_.deaf = false;
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 1 + 1200);
	ticks(6);
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 1 + 2000);
	assert_int_equal(linux_.wrong, 0);
}

static void a_reset_of_the_peer_comes_behind_the_last_byte(void **state)
{
	(void)state;
	feeding();
	peer_says(&(struct said){ .flags = WIRE_RST, .seq = ISS_PEER + 1 + MOVED_IN });
	assert_int_equal(linux_.rsts, 0);
	linux_reads(1800);
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 1 + 3000);
	ticks(3);
	assert_int_equal(linux_.rsts, 1);
	assert_false(entry.there);
}

static void bytes_for_a_socket_that_is_closed_reset_both_ends(void **state)
{
	(void)state;
	feeding();
	released();
	upcall_drain(s, UPCALL_ALL);
	assert_true(wire[wire_count - 1].flags & WIRE_RST);
	assert_int_equal(wire[wire_count - 1].seq, ISS_LINUX + 1 + MOVED_OUT);
	assert_int_equal(linux_.rsts, 1);
}

static void a_lying_tail_feeds_no_more_than_the_pipe_holds(void **state)
{
	struct conn *c = go_fast();
	struct tcp_state st = left_unread(c, 100);

	(void)state;
	slot_at(c->region, c->slot)->rx_tail = 1ULL << 40;
	event(c, FAST_EV_QUIET, 1, st);
	assert_int_equal(entry.val.state, TP_LINUX);
	assert_int_equal(entry.val.rx_delta, MOVED_IN);
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 1);
}

/* ---- the ends ---- */

static void linux_learns_of_the_peers_fin_before_the_program_closes(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	event(c, FAST_EV_PEER_FIN, 0, with_fins(true, false));
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 2);
	assert_int_equal(entry.val.state, TP_FAST);
	relay_drain(s, 10);
	assert_int_equal(wire_count, 0);	/* its ACK is nobody's business */
	program_wrote(c, MOVED_OUT);
	event(c, FAST_EV_QUIET, 0, with_fins(true, false));
	assert_int_equal(entry.val.state, TP_LINUX);
	assert_int_equal(entry.val.rx_delta, MOVED_IN);
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 2);
}

static void the_ack_that_the_thread_owed_is_sent(void **state)
{
	struct conn *c = go_fast();
	struct tcp_state st = with_fins(true, false);

	(void)state;
	st.ack_due = true;
	program_wrote(c, MOVED_OUT);
	event(c, FAST_EV_PEER_FIN, 0, st);
	event(c, FAST_EV_QUIET, 0, st);
	assert_int_equal(wire_count, 1);
	assert_int_equal(wire[0].ack, ISS_PEER + 2 + MOVED_IN);
	assert_int_equal(wire[0].seq, ISS_LINUX + 1 + MOVED_OUT);
}

/* Linux thinks that it closed first, but it did not. */
static void no_time_wait_stays_where_the_peer_closed_first(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	slot_at(c->region, c->slot)->fast_flags = TP_F_EOF;	/* the program saw it, and closed */
	released();
	linux_fins();
	event(c, FAST_EV_PEER_FIN, 0, with_fins(true, false));
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 1);
	event(c, FAST_EV_QUIET, 0, with_fins(true, true));
	assert_int_equal(linux_.rsts, 1);
	assert_false(entry.there);
	assert_null(conn());
}

static void a_time_wait_of_fins_that_crossed_is_ended(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	program_wrote(c, MOVED_OUT);
	event(c, FAST_EV_PEER_FIN, 0, with_fins(true, false));
	event(c, FAST_EV_QUIET, 0, with_fins(true, false));
	assert_int_equal(entry.val.state, TP_LINUX);
	linux_.a = (struct tp_answer){ .tcp_state = TCP_TIME_WAIT, .rcv_nxt = ISS_PEER + 2 };
	ticks(40);
	assert_int_equal(linux_.rsts, 1);
	assert_false(entry.there);
}

/* Without a byte there is nothing to translate, and yet the entry must not go. */
static void so_is_one_of_a_connection_without_data(void **state)
{
	struct conn *c = go_fast();
	struct tcp_state st = { .snd_una = ISS_LINUX + 1, .snd_nxt = ISS_LINUX + 1, .peer_fin = true,
				.rcv_nxt = ISS_PEER + 2, .rcv_edge = ISS_PEER + 50000 };

	(void)state;
	event(c, FAST_EV_PEER_FIN, 0, st);
	linux_fins();
	linux_.a.tcp_state = TCP_CLOSING;
	event(c, FAST_EV_QUIET, 0, st);
	assert_int_equal(entry.val.state, TP_LINUX);
	linux_.a = (struct tp_answer){ .tcp_state = TCP_TIME_WAIT, .rcv_nxt = ISS_PEER + 2 };
	ticks(40);
	assert_int_equal(linux_.rsts, 1);
	assert_false(entry.there);
}

static void so_is_one_that_was_given_unread_bytes(void **state)
{
	struct conn *c = go_fast();
	struct tcp_state st = left_unread(c, 500);

	(void)state;
	st.peer_fin = true;
	st.rcv_nxt++;
	event(c, FAST_EV_QUIET, 1, st);
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 1 + 500 + 1);
	linux_.a = (struct tp_answer){ .tcp_state = TCP_TIME_WAIT, .rcv_nxt = ISS_PEER + 502 };
	ticks(40);
	assert_int_equal(linux_.rsts, 1);
	assert_false(entry.there);
}

static void a_socket_that_is_just_being_closed_is_waited_for(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	program_wrote(c, MOVED_OUT);
	linux_fins();
	relay_drain(s, 10);
	linux_.busy_for = 3;
	event(c, FAST_EV_QUIET, 0, with_fins(false, true));
	assert_int_equal(entry.val.state, TP_LINUX);
	assert_int_equal(linux_.backlog, 0);
}

/* The program closes while Linux is told: the socket is busy then, and small afterwards. */
static void what_is_left_in_fin_wait_2_hears_of_the_peers_fin(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	program_wrote(c, MOVED_OUT);
	linux_fins();
	relay_drain(s, 10);
	linux_.deaf = true;
	event(c, FAST_EV_QUIET, 0, with_fins(true, true));
	assert_int_equal(entry.val.state, TP_HOLD);
	linux_.a = (struct tp_answer){ .tcp_state = TCP_TIME_WAIT, .rcv_nxt = ISS_PEER + 1 };
	ticks(2);
	assert_int_equal(linux_.a.rcv_nxt, ISS_PEER + 2);
	assert_int_equal(linux_.rsts, 0);
	assert_int_equal(entry.val.state, TP_LINUX);
	for (uint32_t i = 0; i < wire_count; i++)
		assert_false(wire[i].flags & (WIRE_RST | WIRE_FIN));
}

static void a_dead_flow_resets_linux_and_keeps_its_numbers_away(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	linux_.deaf = true;
	event(c, FAST_EV_DEAD, ECONNRESET, moved());
	assert_int_equal(entry.val.state, TP_HOLD);
	assert_int_equal(slot_at(region, c->slot)->state, TP_SLOT_DEAD);
	linux_.frames = 0;
	from_peer(&(struct said){ .flags = WIRE_ACK, .seq = ISS_PEER + 1 + MOVED_IN, .len = 9 },
		  TP_HOLD);
	upcall_drain(s, UPCALL_ALL);
	assert_int_equal(linux_.frames, 0);
	linux_.deaf = false;
	ticks(2);
	assert_int_equal(linux_.rsts, 1);
	ticks(2);
	assert_false(entry.there);
}

static void a_syn_waits_for_the_end_of_its_predecessor(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	linux_.deaf = true;
	event(c, FAST_EV_DEAD, ECONNRESET, moved());
	from_peer(&(struct said){ .flags = WIRE_SYN, .seq = 9999999 }, TP_HOLD);
	upcall_drain(s, UPCALL_ALL);
	assert_int_equal(entry.val.state, TP_HOLD);
	linux_.a.found = 0;
	ticks(2);
	assert_int_equal(entry.val.state, TP_WATCH);
	assert_int_equal(entry.val.to_linux, 10000000);
	assert_null(conn());
}

static void a_syn_ack_ends_a_translated_connection(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	program_wrote(c, MOVED_OUT);
	handback_begin(s, c, TP_WHY_HANDED_BACK);
	event(c, FAST_EV_QUIET, 1, moved());
	wire_count = 0;
	linux_sends(&(struct said){ .flags = WIRE_SYN | WIRE_ACK, .seq = 31, .ack = 4242 });
	relay_drain(s, 10);
	assert_int_equal(entry.val.state, TP_WATCH);
	assert_int_equal(wire[0].seq, 31);	/* a SYN is never translated */
	assert_int_equal(wire[0].ack, 4242);
	assert_int_equal(entry.val.to_linux, 4242);
	assert_true(entry.val.seen_in && entry.val.seen_out);
	assert_memory_equal(entry.val.next_hop, peer_mac, 6);
	assert_null(conn());
}

static void a_slot_is_free_once_it_is_released_and_forgotten(void **state)
{
	(void)state;
	for (int release_first = 0; release_first < 2; release_first++) {
		struct conn *c = go_fast();
		uint32_t slot = c->slot, flow_id = c->flow_id;
		static struct fast_event freed = { .kind = FAST_EV_FREED };

		program_wrote(c, MOVED_OUT);
		event(c, FAST_EV_QUIET, 0, with_fins(true, false));
		freed.flow_id = flow_id;
		if (release_first) {
			released();
			upcall_drain(s, UPCALL_ALL);
		} else {
			handback_event(s, &freed);
		}
		assert_int_equal(slot_at(region, slot)->state, TP_SLOT_LINUX);
		if (release_first) {
			handback_event(s, &freed);
		} else {
			released();
			upcall_drain(s, UPCALL_ALL);
		}
		assert_int_equal(slot_at(region, slot)->state, TP_SLOT_FREE);
		linux_.a.found = linux_.a.tcp_state = 0;
		ticks(200);
		assert_false(entry.there);
		assert_int_equal(s->conns.count, 0);
		wire_count = cmd_count = tap_count = 0;
	}
}

static void time_wait_keeps_its_translation(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	linux_fins();
	relay_drain(s, 10);
	event(c, FAST_EV_QUIET, 0, with_fins(false, true));
	linux_.a = (struct tp_answer){ .tcp_state = TCP_TIME_WAIT };
	ticks(400);
	assert_int_equal(entry.val.state, TP_LINUX);
	linux_.a.tcp_state = 0;
	ticks(200);
	assert_false(entry.there);
}

/* As while it is being replaced by its TIME_WAIT, on kernels where that may not be used at once. */
static void one_that_is_not_found_once_is_not_gone(void **state)
{
	struct conn *c = go_fast();

	(void)state;
	linux_fins();
	relay_drain(s, 10);
	event(c, FAST_EV_QUIET, 0, with_fins(false, true));
	linux_.a = (struct tp_answer){ .tcp_state = TCP_TIME_WAIT };
	for (int i = 0; i < 10; i++) {
		linux_.hidden_for = 1;
		ticks(100);
		assert_int_equal(linux_.hidden_for, 0);
		assert_int_equal(entry.val.state, TP_LINUX);
		assert_true(entry.there);
	}
}

static void sweep_for(uint32_t seconds)
{
	for (uint32_t i = 0; i < seconds * 20; i++) {
		s->now_ns += NS_PER_S / 20;
		watch_sweep(s);
	}
}

static void an_end_that_the_programs_saw_is_swept(void **state)
{
	(void)state;
	handshake();
	entry.val.state = TP_NONE;
	sweep_for(3);
	assert_false(entry.there);
}

static void nobody_claims_and_linux_has_no_socket_then_nothing_is_left(void **state)
{
	(void)state;
	handshake();
	linux_.a = (struct tp_answer){ 0 };
	sweep_for(2);
	assert_true(entry.there);	/* the handshake may go on */
	sweep_for(20);
	assert_false(entry.there);
}

static void a_handshake_that_linux_still_waits_for_is_not_swept(void **state)
{
	(void)state;
	handshake();
	linux_.a = (struct tp_answer){ .tcp_state = 12 };	/* TCP_NEW_SYN_RECV */
	sweep_for(30);
	assert_true(entry.there);
	linux_.a.tcp_state = 0;
	sweep_for(30);
	assert_false(entry.there);
}

/* A full map takes longer than the span of ages in which its entries were to be looked at. */
static void a_sweep_that_takes_long_misses_nobody(void **state)
{
	static const uint32_t batches[] = { 100, 300, 1000, 5000 };

	(void)state;
	for (size_t i = 0; i < sizeof(batches) / sizeof(batches[0]); i++) {
		for (int when = 0; when < 40; when++) {
			other_batches = batches[i];
			handshake();
			linux_.a = (struct tp_answer){ 0 };
			sweep_for(100);
			assert_false(entry.there);
			s->now_ns += 700000000;
		}
	}
}

static void a_quiet_connection_may_be_claimed_for_as_long_as_it_lives(void **state)
{
	(void)state;
	handshake();
	sweep_for(200);
	assert_int_equal(entry.val.state, TP_WATCH);
	assert_int_equal(claim_it(), TP_WHY_NONE);
	sweep_for(200);
	assert_int_equal(entry.val.state, TP_FAST);
}

static void old_frames_are_not_replayed_but_releases_are(void **state)
{
	uint8_t frame[FRAME_ROOM];
	struct conn *c = go_fast();

	(void)state;
	record(TP_REC_FRAME, TP_NONE, frame,
	       say(&(struct said){ .flags = WIRE_SYN, .seq = 1 }, frame), NS_PER_S);
	record(TP_REC_RELEASE, 0, NULL, 0, NS_PER_S);
	upcall_drain(s, UPCALL_ALL);
	assert_int_equal(s->upcall.stale, 1);
	assert_int_equal(linux_.frames, 0);
	assert_true(c->released);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_quiet_connection_is_claimed),
		T(bytes_in_linuxs_queue_are_counted),
		T(a_frame_in_linuxs_backlog_is_waited_for),
		T(a_connection_in_motion_stays_linuxs),
		T(a_frame_that_linux_has_not_taken_forbids_the_claim),
		T(a_number_beyond_the_window_forbids_the_claim),
		T(who_may_not_claim_is_told_why),
		T(a_frame_kept_by_a_refused_claim_is_linuxs_and_so_is_the_rest),
		T(a_name_that_was_not_seen_in_both_directions_is_not_the_wires),
		T(a_close_during_the_claim_is_a_close_and_no_half_one),
		T(a_stranger_during_the_claim_is_not_forgotten),
		T(a_frame_recorded_in_hold_and_read_after_it_is_injected),
		T(long_frames_still_arrive_while_the_flow_is_to_leave),
		T(a_segment_that_nobody_can_read_is_lost),
		T(linuxs_ack_of_the_handshake_reaches_the_wire),
		T(what_linux_says_is_not_sent),
		T(the_release_is_seen_before_the_fin),
		T(a_repeated_fin_is_asked_for_once),
		T(data_of_linux_sends_the_flow_back_and_waits),
		T(linuxs_reset_is_the_peers),
		T(a_socket_that_linux_gave_up_silently_is_noticed),
		T(a_flow_outlives_the_orphan_that_linux_dropped),
		T(a_keepalive_is_answered_by_what_was_heard),
		T(a_flow_goes_back_with_the_difference_of_both_numbers),
		T(a_flow_that_moved_nothing_leaves_no_entry),
		T(bytes_written_before_the_program_knew_are_sent_first),
		T(a_quiet_from_before_the_last_leave_is_void),
		T(a_program_that_never_stops_writing_is_cut_off),
		T(linuxs_fin_that_the_thread_no_longer_heard_follows_translated),
		T(linuxs_fin_that_the_thread_sent_is_not_sent_again),
		T(strays_are_kept_in_between_and_translated_after),
		T(frames_read_after_the_way_back_are_translated),
		T(unread_bytes_go_to_linux_first),
		T(the_peers_fin_comes_behind_unread_bytes),
		T(who_is_just_reading_is_waited_for),
		T(what_does_not_fit_waits_while_the_wires_window_is_closed),
		T(the_peer_is_answered_and_heard_meanwhile),
		T(what_got_lost_on_the_way_to_linux_is_given_again),
		T(a_reset_of_the_peer_comes_behind_the_last_byte),
		T(bytes_for_a_socket_that_is_closed_reset_both_ends),
		T(a_lying_tail_feeds_no_more_than_the_pipe_holds),
		T(linux_learns_of_the_peers_fin_before_the_program_closes),
		T(the_ack_that_the_thread_owed_is_sent),
		T(no_time_wait_stays_where_the_peer_closed_first),
		T(a_time_wait_of_fins_that_crossed_is_ended),
		T(so_is_one_of_a_connection_without_data),
		T(so_is_one_that_was_given_unread_bytes),
		T(a_socket_that_is_just_being_closed_is_waited_for),
		T(what_is_left_in_fin_wait_2_hears_of_the_peers_fin),
		T(a_dead_flow_resets_linux_and_keeps_its_numbers_away),
		T(a_syn_waits_for_the_end_of_its_predecessor),
		T(a_syn_ack_ends_a_translated_connection),
		T(a_slot_is_free_once_it_is_released_and_forgotten),
		T(time_wait_keeps_its_translation),
		T(one_that_is_not_found_once_is_not_gone),
		T(an_end_that_the_programs_saw_is_swept),
		T(nobody_claims_and_linux_has_no_socket_then_nothing_is_left),
		T(a_handshake_that_linux_still_waits_for_is_not_swept),
		T(a_sweep_that_takes_long_misses_nobody),
		T(a_quiet_connection_may_be_claimed_for_as_long_as_it_lives),
		T(old_frames_are_not_replayed_but_releases_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
