/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_ooo.c - payload into the rx pipe: in order, and around holes; the window we offer.
 *
 * Bytes go straight to the place in the ring where they belong, also when bytes before them
 * are missing; range[] says which runs beyond rcv_nxt are there. When a hole is filled,
 * rx_head jumps over the runs that have become contiguous. No room for one more run, nor a
 * block to borrow (tcp_pool.h): the segment is dropped, the peer sends it again.
 *
 *	rx_tail      rx_head                                  rx_tail + limit
 *	   | unread     |  hole  | range[0] |  hole  | range[1] |        |
 *	                rcv_nxt                                       rcv_edge
 *
 * The window. rcv_limit is what we are willing to hold; it begins with what Linux offered
 * and grows as the program proves that it drains that much a round trip, and by what waits
 * behind a hole. The ring itself grows only when bytes arrive that it cannot hold. The right edge
 * never moves left, and moves right by no less than a segment (RFC 9293 3.8.6.2).
 *
 * rx_tail is the program's: it is believed only between the old one and rx_head. Whatever it
 * says, the bytes written lie inside the ring.
 */
#include "tcp_flow.h"

#define ACK_MAX_US	200000U		/* TCP_DELACK_MAX */
#define QUICK_MAX	16U		/* TCP_MAX_QUICKACKS */

static uint32_t rx_room_max(const struct tcp *t) { return 1U << t->rx_order_max; }

/* The end of everything that we hold, as a sequence number. */
static uint32_t held_end(const struct tcp *t)
{
	return t->nrange ? t->range[t->nrange - 1].end : t->rcv_nxt;
}

/* The program takes @bytes a round trip, not fewer than before: offer twice that, for we know it
 * a round trip late, and twice as much more as it has grown, for the peer may be in slow start;
 * and what waits behind a hole, for the program cannot take it yet (Linux's tcp_rcvbuf_grow).
 */
static void provide(struct tcp *t, uint64_t bytes)
{
	uint64_t want = 2 * bytes;

	want += 2 * want * (bytes - t->drs_space) / t->drs_space;
	want += held_end(t) - t->rcv_nxt;
	t->drs_space = (uint32_t)bytes;
	if (want > t->rcv_limit)
		t->rcv_limit = tcp_max(t->rcv_limit, want < t->rcv_most ? (uint32_t)want : t->rcv_most);
}

/* Once a round trip: does the program take more than it did (Linux's DRS)? */
static void measure_drain(struct tcp *t, uint64_t now_ns)
{
	uint32_t us = t->drs_us ? t->drs_us : t->rtt.srtt_us;
	uint64_t drained = t->rx_tail - t->drs_tail;

	if (!us || now_ns - t->drs_ns < us * 1000ULL)
		return;
	if (drained > t->drs_space)
		provide(t, drained < TP_PIPE_BIG ? drained : TP_PIPE_BIG);
	t->drs_tail = t->rx_tail;
	t->drs_ns = now_ns;
}

void tcp_look_rx(struct tcp *t, uint64_t now_ns)
{
	/* pipe.h (A): pairs with (D), what the program released may be overwritten */
	uint64_t tail = atomic_load_explicit(&t->slot->rx_tail, memory_order_acquire);

	if (tail == t->rx_tail || tail - t->rx_tail > t->rx_head - t->rx_tail)
		return;
	t->rx_tail = tail;
	measure_drain(t, now_ns);
}

static void set_geom(struct tcp *t, uint64_t geom)
{
	t->rx_geom = geom;
	/* pipe.h (F): made visible by the next store of rx_head, or by the next byte (G) */
	atomic_store_explicit(&t->slot->rx_geom, geom, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

/* The ring holds everything up to @end, which lies within rx_room_max of rx_tail. */
static void fit_ring(struct tcp *t, uint64_t end)
{
	uint32_t order = pipe_order(t->rx_geom);
	uint64_t held = t->rx_head + (held_end(t) - t->rcv_nxt);

	if (t->rx_head == t->rx_tail && !t->nrange) {
		if (pipe_offset(t->rx_geom, t->rx_head))
			set_geom(t, pipe_geom(order, t->rx_head));
	}
	if (end - t->rx_tail <= 1ULL << order)
		return;
	while (end - t->rx_tail > 1ULL << order)
		order++;
	set_geom(t, pipe_grow(&t->rx, t->rx_geom, order, t->rx_tail, held));
}

/* Write what of [seq, end) no range covers yet. */
static void fill(struct tcp *t, uint32_t seq, uint32_t end, const uint8_t *data)
{
	uint32_t from = seq;

	fit_ring(t, t->rx_head + (end - t->rcv_nxt));
	for (uint32_t i = 0; i <= t->nrange && seq_before(from, end); i++) {
		bool last = i == t->nrange;
		uint32_t to = last ? end : seq_min(end, t->range[i].start);

		if (seq_before(from, to))
			pipe_write(&t->rx, t->rx_geom, t->rx_head + (from - t->rcv_nxt),
				   data + (from - seq), to - from);
		if (!last)
			from = seq_max(from, t->range[i].end);
	}
}

/* Runs [@first, @last) become one, [start, end); an empty run of runs: a new one there. */
static void replace_ranges(struct tcp *t, uint32_t first, uint32_t last, uint32_t start,
			   uint32_t end)
{
	memmove(&t->range[first + 1], &t->range[last], (t->nrange - last) * sizeof(t->range[0]));
	t->nrange = (uint16_t)(t->nrange + 1 - (last - first));
	t->range[first] = (struct tcp_sack){ start, end };
}

/* Room for one more run? */
static bool range_room(struct tcp *t)
{
	uint8_t class = t->range_class + 1;
	struct tcp_sack *block;

	if (t->nrange < t->range_cap)
		return true;
	block = tcp_pool_get(t->pool, class);
	if (!block)
		return false;
	memcpy(block, t->range, t->nrange * sizeof(*block));
	if (t->range_class)
		tcp_pool_put(t->pool, t->range_class, t->range);
	t->range = block;
	t->range_class = class;
	t->range_cap = (uint16_t)(tcp_pool_bytes(class) / sizeof(*block));
	return true;
}

void tcp_ranges_forget(struct tcp *t)
{
	t->nrange = 0;
	t->nrecent = 0;
	if (!t->range_class)
		return;
	tcp_pool_put(t->pool, t->range_class, t->range);
	t->range = t->own_range;
	t->range_class = 0;
	t->range_cap = TCP_NRANGE;
}

/* Which runs does [start, end) touch? False: none, and there is no room for another. */
static bool touched(struct tcp *t, uint32_t start, uint32_t end, uint32_t *ret_first,
		    uint32_t *ret_last)
{
	uint32_t first = 0, last;

	while (first < t->nrange && seq_before(t->range[first].end, start))
		first++;
	for (last = first; last < t->nrange && seq_before_eq(t->range[last].start, end);)
		last++;
	*ret_first = first;
	*ret_last = last;
	return first != last || range_room(t);
}

/* The block with @seq is the newest: it is reported first (RFC 2018 section 4). */
static void remember_recent(struct tcp *t, uint32_t seq)
{
	memmove(&t->recent[1], &t->recent[0], (TCP_NSACK - 1) * sizeof(t->recent[0]));
	t->recent[0] = seq;
	if (t->nrecent < TCP_NSACK)
		t->nrecent++;
}

static const struct tcp_sack *range_of(const struct tcp *t, uint32_t seq)
{
	for (uint32_t i = 0; i < t->nrange; i++)
		if (seq_before_eq(t->range[i].start, seq) && seq_before(seq, t->range[i].end))
			return &t->range[i];
	return NULL;
}

bool tcp_has(const struct tcp *t, uint32_t start, uint32_t end)
{
	const struct tcp_sack *r = range_of(t, start);

	return !seq_after(end, t->rcv_nxt) || (r && !seq_after(end, r->end));
}

/* Forget recent numbers whose block is gone, or is named by a newer one. */
static void tidy_recent(struct tcp *t)
{
	const struct tcp_sack *seen[TCP_NSACK];
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->nrecent; i++) {
		const struct tcp_sack *r = range_of(t, t->recent[i]);
		bool again = !r;

		for (uint32_t k = 0; k < n; k++)
			again |= seen[k] == r;
		if (again)
			continue;
		seen[n] = r;
		t->recent[n++] = t->recent[i];
	}
	t->nrecent = (uint8_t)n;
}

/* Several that come before an ACK leaves are one if they touch: the peer counts segments. Others
 * get an ACK each: with one of them untold the peer does not undo what they cost it.
 */
void tcp_dsack(struct tcp *t, uint32_t start, uint32_t end)
{
	if (!(t->flags & T_SACK))
		return;
	t->flags |= T_DSACK;
	for (uint32_t i = 0; i < t->ndsack; i++) {
		struct tcp_sack *d = &t->dsack[i];

		if (!seq_after(start, d->end) && !seq_after(d->start, end)) {
			*d = (struct tcp_sack){ seq_min(start, d->start), seq_max(end, d->end) };
			return;
		}
	}
	if (t->ndsack == TCP_NDSACK)
		memmove(t->dsack, t->dsack + 1, --t->ndsack * sizeof(t->dsack[0]));
	t->dsack[t->ndsack++] = (struct tcp_sack){ start, end };
}

static struct tcp_sack take_dsack(struct tcp *t)
{
	struct tcp_sack first = t->dsack[0];

	memmove(t->dsack, t->dsack + 1, --t->ndsack * sizeof(t->dsack[0]));
	if (!t->ndsack)
		t->flags &= ~T_DSACK;
	return first;
}

/* A run that ends at the peer's FIN, which is there too. */
static struct tcp_sack with_fin(const struct tcp *t, struct tcp_sack run)
{
	run.end += t->flags & T_FIN_AHEAD && run.end == t->rcv_fin;
	return run;
}

uint32_t tcp_sack_blocks(struct tcp *t, struct tcp_sack *ret_blocks, uint32_t max)
{
	const struct tcp_sack *around = NULL;
	uint32_t n = 0;

	if (!(t->flags & T_SACK))
		return 0;
	if (t->flags & T_DSACK) {
		ret_blocks[n++] = take_dsack(t);
		around = range_of(t, ret_blocks[0].start);
		if (around)		/* told next, or the first would not look like a copy */
			ret_blocks[n++] = with_fin(t, *around);
	}
	for (uint32_t i = 0; i < t->nrecent && n < max; i++) {
		const struct tcp_sack *r = range_of(t, t->recent[i]);

		if (r && r != around)
			ret_blocks[n++] = with_fin(t, *r);
	}
	return n;
}

/* Linux's tcp_incr_quickack: as many as half the window has segments, 2 to 16. */
static void more_quick(struct tcp *t)
{
	uint32_t n = (t->rcv_edge - t->rcv_nxt) / (2 * t->rcv_mss);

	n = n < 2 ? 2 : tcp_min(n, QUICK_MAX);
	t->quickack = (uint8_t)tcp_max(t->quickack, n);
}

void tcp_quick_ack(struct tcp *t)
{
	more_quick(t);
	t->pingpong = false;
	t->ato_us = TCP_ACK_MIN_US;
	t->flags |= T_ACK_NOW;
}

/* The delay that a delayed ACK would have, from the gaps between arrivals. */
static void measure_gap(struct tcp *t, uint64_t now_ns)
{
	uint64_t gap = (now_ns - t->data_ns) / 1000;

	t->data_ns = now_ns;
	if (!t->ato_us) {
		t->quickack = QUICK_MAX;
		t->ato_us = TCP_ACK_MIN_US;
	} else if (gap <= TCP_ACK_MIN_US / 2) {
		t->ato_us = t->ato_us / 2 + TCP_ACK_MIN_US / 2;
	} else if (gap < t->ato_us) {
		t->ato_us = tcp_min(t->ato_us / 2 + (uint32_t)gap, t->rtt.rto_us);
	} else if (gap > t->rtt.rto_us) {
		more_quick(t);		/* it restarts after a pause: do not make it wait */
	}
}

static void delay_ack(struct tcp *t, uint64_t now_ns)
{
	uint32_t us = t->ato_us, most = ACK_MAX_US;

	if (t->flags & T_ACK_LATER)
		return;
	if (t->rtt.srtt_us)
		most = tcp_min(most, tcp_max(t->rtt.srtt_us, TCP_ACK_MIN_US));
	t->flags |= T_ACK_LATER;
	t->ack_at = now_ns + tcp_min(us, most) * 1000ULL;
}

static void schedule_ack(struct tcp *t, uint64_t now_ns)
{
	if (t->rcv_nxt - t->rcv_wup > t->rcv_mss || t->opts & TP_O_QUICKACK ||
	    t->quick_acks || (t->quickack && !t->pingpong))
		t->flags |= T_ACK_NOW;
	else
		delay_ack(t, now_ns);
}

static void publish_head(struct tcp *t)
{
	/* pipe.h (B): pairs with (C), the bytes and the geometry are there */
	atomic_store_explicit(&t->slot->rx_head, t->rx_head, memory_order_release);
}

/* rcv_nxt has reached @end: take the runs that have become contiguous. */
static void advance(struct tcp *t, uint32_t end)
{
	uint32_t n = 0;

	while (n < t->nrange && seq_before_eq(t->range[n].start, end))
		end = seq_max(end, t->range[n++].end);
	if (n) {
		t->nrange = (uint16_t)(t->nrange - n);
		memmove(t->range, t->range + n, t->nrange * sizeof(t->range[0]));
		if (t->nrange)
			tidy_recent(t);
		else
			tcp_ranges_forget(t);
		t->flags |= T_ACK_NOW;
	}
	t->rx_bytes += end - t->rcv_nxt;
	t->rx_head += end - t->rcv_nxt;
	t->rcv_nxt = end;
	publish_head(t);
}

static uint32_t in_order(struct tcp *t, uint32_t end, const uint8_t *data, uint64_t now_ns)
{
	fill(t, t->rcv_nxt, end, data);
	if (t->nrange)
		t->flags |= T_ACK_NOW;
	advance(t, end);
	schedule_ack(t, now_ns);
	return TCP_DO_READABLE;
}

/* D-SACK for the first of what we had of [seq, end), in runs [@first, @last). */
static void report_overlap(struct tcp *t, uint32_t first, uint32_t last, uint32_t seq,
			   uint32_t end)
{
	for (uint32_t i = first; i < last; i++) {
		uint32_t from = seq_max(seq, t->range[i].start);
		uint32_t to = seq_min(end, t->range[i].end);

		if (seq_before(from, to)) {
			tcp_dsack(t, from, to);
			return;
		}
	}
}

static void out_of_order(struct tcp *t, uint32_t seq, uint32_t end, const uint8_t *data)
{
	uint32_t first, last;

	t->ooo++;
	tcp_quick_ack(t);
	if (!touched(t, seq, end, &first, &last))
		return;
	report_overlap(t, first, last, seq, end);
	fill(t, seq, end, data);
	if (first != last)
		replace_ranges(t, first, last, seq_min(seq, t->range[first].start),
			       seq_max(end, t->range[last - 1].end));
	else
		replace_ranges(t, first, last, seq, end);
	remember_recent(t, seq);
	tidy_recent(t);
	provide(t, t->drs_space);
}

/* Where we stop taking bytes: what we promised, what fits, the peer's FIN. */
static uint32_t right_limit(const struct tcp *t)
{
	uint32_t room = rx_room_max(t) - (uint32_t)(t->rx_head - t->rx_tail);
	uint32_t edge = seq_min(t->rcv_edge, t->rcv_nxt + room);

	return t->flags & T_FIN_AHEAD ? seq_min(edge, t->rcv_fin) : edge;
}

uint32_t tcp_data_in(struct tcp *t, const struct tcp_seg *s, uint64_t now_ns)
{
	uint32_t seq = s->seq, end = s->seq + s->len, limit;

	if (seq_before(seq, t->rcv_nxt)) {
		tcp_dsack(t, seq, seq_min(end, t->rcv_nxt));
		tcp_quick_ack(t);
		seq = t->rcv_nxt;
	}
	tcp_look_rx(t, now_ns);
	limit = right_limit(t);
	if (seq_after(end, limit)) {
		end = limit;
		t->flags |= T_ACK_NOW;
	}
	if (t->flags & T_PEER_FIN || seq_before_eq(end, seq)) {
		t->flags |= T_ACK_NOW;
		return 0;
	}

	measure_gap(t, now_ns);
	if (s->len > t->rcv_mss)
		t->rcv_mss = s->len;
	if (seq == t->rcv_nxt)
		return in_order(t, end, s->data + (seq - s->seq), now_ns);
	out_of_order(t, seq, end, s->data + (seq - s->seq));
	return 0;
}

/* Bytes that we could offer beyond rcv_nxt, willing to hold @limit; 0 rather than a silly few. */
static uint32_t offer(const struct tcp *t, uint32_t limit)
{
	uint32_t unread = (uint32_t)(t->rx_head - t->rx_tail), room;

	if (t->flags & T_QUIESCED || unread >= limit)
		return 0;
	room = limit - unread;
	if (room < limit / 2 && room < tcp_max(limit / 16, t->rcv_mss))
		return 0;
	/* where the scale cannot tell it, one unit all the same, as Linux: it would be 0 for ever */
	return tcp_min(tcp_max(room >> t->rcv_wscale, 1), 65535) << t->rcv_wscale;
}

/* offer() is no more than this: quick to see that there is nothing to gain. */
static uint32_t offer_most(const struct tcp *t, uint32_t limit)
{
	uint32_t unread = (uint32_t)(t->rx_head - t->rx_tail);

	return tcp_max(unread < limit ? limit - unread : 0, 1U << t->rcv_wscale);
}

static uint32_t offered(const struct tcp *t)
{
	return seq_after(t->rcv_edge, t->rcv_nxt) ? t->rcv_edge - t->rcv_nxt : 0;
}

uint32_t tcp_window(struct tcp *t)
{
	uint32_t now = offered(t), could = now, scale = t->rcv_wscale, field;
	uint32_t worth = now + tcp_min(t->rcv_mss, t->rcv_limit / 2);

	t->told_limit = t->rcv_limit;
	if (offer_most(t, t->rcv_limit) >= worth) {
		could = offer(t, t->rcv_limit);
		if (could < worth)
			could = now;
	}
	/* round up what was promised: the edge must not move left */
	field = tcp_min((could + (1U << scale) - 1) >> scale, 65535);
	t->rcv_edge = seq_max(t->rcv_edge, t->rcv_nxt + (field << scale));
	return field;
}

/* That the limit has grown is no news worth a segment of its own. */
bool tcp_window_opens(struct tcp *t)
{
	uint32_t now = offered(t), could;

	if (offer_most(t, t->told_limit) < 2 * now)
		return false;
	could = offer(t, t->told_limit);
	return could >= 2 * now && could >= now + tcp_min(t->rcv_mss, t->rcv_limit / 2);
}
