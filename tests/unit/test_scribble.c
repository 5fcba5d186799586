// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/fast/tcp.c user/fast/tcp_ack.c user/fast/tcp_ooo.c user/fast/tcp_pool.c */
/* needs: user/fast/tcp_recover.c user/fast/tcp_rx.c user/fast/tcp_sack.c user/fast/tcp_timer.c */
/* needs: user/fast/tcp_tx.c user/fast/tcp_rate.c user/fast/tcp_pace.c user/fast/rtt.c */
/* needs: user/fast/cc.c user/fast/cc_bbr.c user/fast/cc_cubic.c user/fast/cc_dctcp.c user/fast/cc_reno.c */
/* needs: user/fast/appq.c user/fast/trim.c */
/*
 * test_scribble.c - a program that writes over all of its region, at any moment.
 *
 * While a flow and its thread's queues work, another thread stores whatever it likes into every
 * word of the header, the lane, the contexts and the slot. The region lies between pages that
 * nobody may touch, and the sanitizers look on (`SAN=address make check`). What must hold: nothing
 * outside of the slot's own pipes is read or written, a slot that comes out of the lane exists,
 * what is sent is no more than a segment, and the flow's numbers stay within what the peer has
 * sent and has been sent.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../user/fast/appq.h"
#include "../../user/fast/trim.h"
#include "tcp_rig.h"

#define ROUNDS		300000
#define GUARD		(64U << 20)
#define SLOT		3U
#define ORDER		16U		/* pipes grow up to 64 KiB: they do, and shrink, often */
#define CTXS		2U

static struct fast_region region;
static struct tp_slot *slot;
static struct tp_pipe_mem rx_mem, tx_mem;
static struct tcp tcp;
static struct tcp_pool pool;
static struct appq *q;
static uint64_t now_ns;
static _Atomic bool over;

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* ---- the program ---- */

/* Near what stands there, a power of two, or anything. */
static uint64_t any_value(uint64_t *rnd, uint64_t was)
{
	uint64_t r = next_random(rnd);

	switch (r >> 8 & 3) {
	case 0:
		return was + (r >> 16 & 0xffff) - 0x8000;
	case 1:
		return 1ULL << (r >> 16 & 63);
	case 2:
		return pipe_geom(r >> 16 & 31, r >> 24);
	default:
		return r;
	}
}

static void scribble_on(uint64_t *rnd, void *at, size_t bytes)
{
	_Atomic uint64_t *word = at;
	size_t i = next_random(rnd) % (bytes / sizeof(*word));

	/* atomically, for the thread sanitizer's sake; the other side has words of 32 bits too */
	atomic_store_explicit(&word[i], any_value(rnd, word[i]), memory_order_relaxed);
}

static void write_somewhere(uint64_t *rnd)
{
	struct tp_lane *lane = tp_lane_at(region.base, &q->geo, 0);
	struct tp_ctx *ctx = tp_ctx_at(region.base, &q->geo, next_random(rnd) % CTXS);
	uint64_t r = next_random(rnd);

	if (!(r & 0x3))
		scribble_on(rnd, slot, offsetof(struct tp_slot, state));
	if (!(r & 0xc))
		scribble_on(rnd, lane, sizeof(*lane));
	if (!(r & 0x30))
		scribble_on(rnd, ctx, sizeof(*ctx));
	if (!(r & 0xc0))
		scribble_on(rnd, region.base, sizeof(struct tp_region));
}

static void *program(void *arg)
{
	uint64_t rnd = 88172645463325252ULL;

	(void)arg;
	while (!atomic_load(&over))
		write_somewhere(&rnd);
	return NULL;
}

/* Some of what is right, or only a little wrong, or else nothing would ever move. */
static void write_and_read(uint64_t *rnd)
{
	uint64_t r = next_random(rnd);

	if (r & 1)
		atomic_store(&slot->tx_head, tcp.tx_head + (r >> 8 & 0xfff));
	if (r & 2)
		atomic_store(&slot->rx_tail, tcp.rx_tail + (r >> 20 & 0xfff));
	if (r & 4)
		atomic_store(&slot->rx_tail, tcp.rx_head);
	if (r & 8)
		atomic_store(&slot->tx_geom, pipe_geom(12 + (r >> 32) % 6, r >> 36));
}

/* ---- the thread ---- */

static uint32_t peer_next;		/* number of the next byte that the peer sends */
static uint64_t sent, taken, trimmed, kicks, wakes;	/* what came of it: not nothing */

/* Anything that a peer may say of this flow, most of it right. */
static void hear(uint64_t *rnd)
{
	static uint8_t data[4000];
	uint64_t r = next_random(rnd), now;
	uint32_t unacked = tcp.snd_nxt - tcp.snd_una;
	struct tcp_seg s = {
		.seq = tcp.rcv_nxt + (r & 7 ? 0 : (uint32_t)(r >> 8 & 0x3fff)),
		.ack = tcp.snd_una + (unacked ? (uint32_t)(r >> 24) % (unacked + 1) : 0),
		.len = r >> 3 & 1 ? (uint32_t)(r >> 40) % sizeof(data) : 0,
		.window = 60000, .flags = TH_ACK, .has_ts = true,
		.tsval = 100 + (uint32_t)(now_ns / MS - 1000000), .tsecr = tcp_tsval(&tcp, now_ns),
		.data = data,
	};

	if (tcp.rcv_nxt + s.len - peer_next < 1U << 30)
		peer_next = s.seq + s.len;
	if (s.seq + s.len - tcp.rcv_nxt > peer_next - tcp.rcv_nxt)
		peer_next = s.seq + s.len;
	now = tcp.rx_head;
	tcp_rx(&tcp, &s, now_ns);
	taken += tcp.rx_head - now;
}

/* As output.c copies it. */
static void send_what_may_go(void)
{
	static uint8_t frame[65536];
	struct tcp_out o;

	for (int i = 0; i < 64 && tcp_tx(&tcp, now_ns, 1 + i % 3, &o); i++) {
		uint64_t geom = atomic_load_explicit(&slot->tx_geom, memory_order_relaxed);
		uint32_t done = 0, n;

		assert_in_range(o.len, 0, (1 + i % 3) * RIG_MSS);
		assert_in_range(o.pos + o.len - tcp.tx_tail, 0, 1U << ORDER);
		if (!pipe_geom_ok(geom))
			geom = pipe_geom(TP_ORDER_BIG, 0);
		for (; done < o.len; done += n) {
			unsigned char *from;

			n = pipe_span(&tx_mem, geom, o.pos + done, o.len - done, &from);
			memcpy(frame + done, from, n);
		}
		sent += o.len;
	}
}

static void look_at_lane(void)
{
	uint32_t s, n = 0;
	bool hole = false;

	while (n++ < q->geo.slots && appq_next(q, now_ns, &s, &hole)) {
		assert_in_range(s, 0, TP_SLOTS - 1);
		appq_notify(q, s);
		kicks++;
	}
}

static void the_numbers_are_sane(void)
{
	assert_in_range(tcp.tx_head - tcp.tx_tail, 0, 1U << ORDER);
	assert_in_range(tcp.rx_head - tcp.rx_tail, 0, 1U << ORDER);
	assert_in_range(tcp.snd_nxt - tcp.snd_una, 0, (1U << ORDER) + 1);
	assert_in_range(peer_next - tcp.rcv_nxt, 0, 1U << 24);
	assert_true(pipe_geom_ok(tcp.rx_geom) && pipe_order(tcp.rx_geom) <= ORDER);
}

/* ---- */

static void begin_flow(uint64_t *rnd)
{
	struct tcp_begin b = rig_begin();
	static const char *const cc[4] = { "reno", "cubic", "bbr", "dctcp" };

	strcpy(b.options.cc, cc[next_random(rnd) % 4]);
	b.slot = slot;
	b.rx = rx_mem;
	b.tx = tx_mem;
	b.pool = &pool;
	b.rx_order_max = b.tx_order_max = ORDER;
	slot->rx_head = slot->rx_tail = slot->tx_head = slot->tx_tail = 0;
	tcp_init(&tcp, &b, now_ns);
	peer_next = tcp.rcv_nxt;
}

static bool trim_when_empty(bool truly)
{
	if (truly) {
		atomic_store(&slot->rx_tail, tcp.rx_head);
		atomic_store(&slot->tx_head, tcp.tx_tail);
		atomic_store(&slot->tx_lock, 0);
	}
	return trim_pipes(&tcp);
}

static void turn(uint64_t *rnd)
{
	uint64_t r = next_random(rnd);

	now_ns += r >> 32 & 0xfffff;
	write_and_read(rnd);
	write_somewhere(rnd);
	if (r & 1)
		hear(rnd);
	if (r & 2)
		tcp_app(&tcp, now_ns);
	if (!(r & 0xf0) && tcp_deadline(&tcp) != TCP_NEVER) {
		if (tcp_deadline(&tcp) > now_ns)
			now_ns = tcp_deadline(&tcp);
		tcp_timer(&tcp, now_ns);
	}
	send_what_may_go();
	if (!(r & 0xf000))
		trimmed += trim_when_empty(r & 0x10000);
	look_at_lane();
	appq_notify(q, SLOT);
	wakes += appq_flush(q);
	(void)appq_awake_on(q, 0);
	the_numbers_are_sane();
}

static int setup(void **state)
{
	char *all;

	(void)state;
	tp_region_layout(&region.geo, 1, 1);
	all = mmap(NULL, region.geo.size + 2 * GUARD, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (all == MAP_FAILED)
		return -1;
	region.base = all + GUARD;
	/* of the pipes only the slot's own, and of the big ones only what they may grow to */
	if (mprotect(region.base, region.geo.small_off, PROT_READ | PROT_WRITE))
		return -1;
	rx_mem = (struct tp_pipe_mem){ tp_small_at(region.base, &region.geo, SLOT, TP_RX),
				       tp_big_at(region.base, &region.geo, SLOT, TP_RX) };
	tx_mem = (struct tp_pipe_mem){ tp_small_at(region.base, &region.geo, SLOT, TP_TX),
				       tp_big_at(region.base, &region.geo, SLOT, TP_TX) };
	if (mprotect(rx_mem.small, TP_PIPE_SMALL, PROT_READ | PROT_WRITE) ||
	    mprotect(tx_mem.small, TP_PIPE_SMALL, PROT_READ | PROT_WRITE) ||
	    mprotect(rx_mem.big, 1U << ORDER, PROT_READ | PROT_WRITE) ||
	    mprotect(tx_mem.big, TP_PIPE_BIG, PROT_READ | PROT_WRITE))
		return -1;
	for (uint32_t i = 0; i < TP_MAX_CTX; i++)
		region.ctx_fd[i] = i < CTXS ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1;
	slot = tp_slot_at(region.base, &region.geo, SLOT);
	q = appq_new(&region, 0);
	return q ? 0 : -1;
}

static void whatever_a_program_writes_harms_itself_only(void **state)
{
	uint64_t rnd = 0x9e3779b97f4a7c15ULL;
	void *arena = rig_mem(65536);
	pthread_t other;

	(void)state;
	now_ns = 1000000 * MS;
	tcp_pool_init(&pool, arena, 65536);
	begin_flow(&rnd);
	assert_int_equal(pthread_create(&other, NULL, program, NULL), 0);
	for (int i = 0; i < ROUNDS; i++) {
		turn(&rnd);
		if (tcp.flags & T_DEAD || next_random(&rnd) % 2000 == 0) {
			tcp_fini(&tcp);
			begin_flow(&rnd);
		}
	}
	atomic_store(&over, true);
	pthread_join(other, NULL);
	assert_true(sent > ROUNDS && taken > ROUNDS && kicks > ROUNDS / 100 && wakes && trimmed);
	tcp_fini(&tcp);
	appq_free(q);
	free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(whatever_a_program_writes_harms_itself_only, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
