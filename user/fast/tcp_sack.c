/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_sack.c - the scoreboard: what was sent when, what arrived, what is lost.
 *
 * Everything in [snd_una, snd_nxt) is covered, without gaps and in order, by records: runs
 * of bytes sent at about the same time and with the same fate. Without loss there is one
 * record a burst, taken away by the ACK. A SACK block splits records; neighbours that have
 * become alike are joined again.
 *
 *	snd_una                                               snd_nxt
 *	   | lost | lost, resent | SACKed | in flight | SACKed | in flight |
 *
 * A few of them are the flow's own, more are borrowed (tcp_pool.h). When there is no room for
 * a split, information is given up, never correctness: a SACK block is ignored (its bytes may
 * be sent twice), and what must be recorded, a transmission, makes room by joining records.
 *
 * What is lost is judged by RACK (RFC 8985): bytes sent before something that has arrived,
 * by more than the reordering window. Time is in ticks of 1.024 us. A run that grew by bytes sent
 * a little later keeps its first time; among new data the order of numbers is that of sending, so
 * nothing is lost by that. But when it is something resent that has arrived, the run is given as
 * much time again: the end of it may have left after the resent bytes.
 *
 * Invariants
 *  - sacked, lost, rtx are the sums of the records' lengths with R_SACKED, R_LOST, R_RTX.
 *  - a SACKed record is neither lost nor under retransmission.
 */
#include "tcp_flow.h"

static struct tcp_rec *rec_at(struct tcp *t, uint32_t i) { return &t->rec[t->first_rec + i]; }

static uint32_t rec_len(const struct tcp_rec *r) { return r->end - r->start; }

/* Take a record's bytes out of the sums, or put them back in. */
static void uncount(struct tcp *t, const struct tcp_rec *r, uint32_t len)
{
	t->sacked -= r->flags & R_SACKED ? len : 0;
	t->lost -= r->flags & R_LOST ? len : 0;
	t->rtx -= r->flags & R_RTX ? len : 0;
}

static void count(struct tcp *t, const struct tcp_rec *r)
{
	t->sacked += r->flags & R_SACKED ? rec_len(r) : 0;
	t->lost += r->flags & R_LOST ? rec_len(r) : 0;
	t->rtx += r->flags & R_RTX ? rec_len(r) : 0;
}

static void set_flags(struct tcp *t, struct tcp_rec *r, uint8_t flags)
{
	uncount(t, r, rec_len(r));
	r->flags = flags;
	count(t, r);
}

static void remove_rec(struct tcp *t, uint32_t i)
{
	t->nrec--;
	memmove(rec_at(t, i), rec_at(t, i + 1), (t->nrec - i) * sizeof(struct tcp_rec));
}

/* Join record @i + 1 into @i, which get along. */
static void join(struct tcp *t, uint32_t i)
{
	struct tcp_rec *a = rec_at(t, i), *b = a + 1;

	if (seq_after(b->sent, a->sent)) {
		b->start = a->start;
		*a = *b;
	} else {
		a->end = b->end;
	}
	remove_rec(t, i + 1);
}

/* How far apart two sendings may be to count as one: the error it makes in an RTT sample. */
static uint32_t same_time(const struct tcp *t)
{
	return t->rtt.min_us == ~0U ? 1000 : t->rtt.min_us >> 5;
}

static bool alike(const struct tcp *t, const struct tcp_rec *a, const struct tcp_rec *b)
{
	if (a->flags != b->flags)
		return false;
	return (a->flags & (R_SACKED | R_RTX)) == R_SACKED ||
	       (a->flags & (R_LOST | R_RTX)) == R_LOST || b->sent - a->sent <= same_time(t);
}

/* Join what is alike but for the time. */
static void join_alike(struct tcp *t)
{
	for (uint32_t i = 0; i + 1 < t->nrec;) {
		if (rec_at(t, i)->flags == rec_at(t, i + 1)->flags)
			join(t, i);
		else
			i++;
	}
}

/* Two unlike neighbours become one: what one of them lost or resent both did, and what is
 * doubtful has not arrived. (A loss that was not resent is found again by RACK or the timer;
 * the other way round the same bytes could be resent for ever.) Bytes that were SACKed and are
 * no longer have arrived at a time that is not known: no RTT sample, as if they were resent.
 */
static void join_unlike(struct tcp *t, uint32_t i)
{
	struct tcp_rec *a = rec_at(t, i), *b = a + 1;
	uint8_t any = a->flags | b->flags, both = a->flags & b->flags;
	uint8_t flags = (both & R_SACKED) | (any & (R_LOST | R_RTX | R_EVER));

	if ((any ^ both) & R_SACKED)
		flags |= R_EVER;
	uncount(t, a, rec_len(a));
	uncount(t, b, rec_len(b));
	join(t, i);
	a->flags = flags;
	count(t, a);
}

/* Join two neighbours where it does the least harm: short ones, SACKed ones last. */
static void join_cheapest(struct tcp *t)
{
	uint32_t best = 0, best_cost = ~0U;

	for (uint32_t i = 0; i + 1 < t->nrec; i++) {
		const struct tcp_rec *a = rec_at(t, i), *b = a + 1;
		uint32_t cost = (b->end - a->start) >> ((a->flags | b->flags) & R_SACKED ? 0 : 4);

		if (cost < best_cost) {
			best = i;
			best_cost = cost;
		}
	}
	join_unlike(t, best);
}

/* Move the records to a block of the next class, if the pool has one. */
static bool grow_board(struct tcp *t)
{
	uint8_t class = t->rec_class + 1;
	struct tcp_rec *block = tcp_pool_get(t->pool, class), *from = rec_at(t, 0);

	if (!block)
		return false;
	memcpy(block, from, t->nrec * sizeof(*block));
	if (t->rec_class)
		tcp_pool_put(t->pool, t->rec_class, t->rec);
	t->rec = block;
	t->rec_class = class;
	t->rec_cap = (uint16_t)(tcp_pool_bytes(class) / sizeof(*block));
	t->first_rec = 0;
	return true;
}

/* Back to the few records of our own. */
static void shrink_board(struct tcp *t)
{
	tcp_pool_put(t->pool, t->rec_class, t->rec);
	t->rec = t->own_rec;
	t->rec_class = 0;
	t->rec_cap = TCP_NREC;
	t->first_rec = 0;
}

void tcp_board_free(struct tcp *t)
{
	t->nrec = 0;
	t->first_rec = 0;
	if (t->rec_class)
		shrink_board(t);
}

static bool has_room(struct tcp *t, uint32_t n)
{
	return t->nrec + n <= t->rec_cap || grow_board(t);
}

/* Room for @n more records, n <= 2, whatever it costs. */
static void make_room(struct tcp *t, uint32_t n)
{
	if (has_room(t, n))
		return;
	join_alike(t);
	while (t->nrec + n > t->rec_cap)
		join_cheapest(t);
}

/* One more at the end. The caller knows that there is room. */
static struct tcp_rec *append_rec(struct tcp *t)
{
	if (t->first_rec + t->nrec == t->rec_cap) {
		memmove(t->rec, rec_at(t, 0), t->nrec * sizeof(struct tcp_rec));
		t->first_rec = 0;
	}
	return rec_at(t, t->nrec++);
}

static struct tcp_rec *insert_rec(struct tcp *t, uint32_t i)
{
	uint32_t after = t->nrec - i;

	append_rec(t);
	memmove(rec_at(t, i + 1), rec_at(t, i), after * sizeof(struct tcp_rec));
	return rec_at(t, i);
}

/* Record @i ends at @seq, the rest becomes @i + 1. Needs room. */
static void split(struct tcp *t, uint32_t i, uint32_t seq)
{
	struct tcp_rec *a = insert_rec(t, i);

	*a = a[1];
	a[0].end = seq;
	a[1].start = seq;
}

/* The record that holds @seq; nrec if none. */
static uint32_t find_rec(struct tcp *t, uint32_t seq)
{
	uint32_t i = 0;

	while (i < t->nrec && seq_before_eq(rec_at(t, i)->end, seq))
		i++;
	return i;
}

void tcp_board_sent(struct tcp *t, uint32_t start, uint32_t end, uint64_t now_ns)
{
	struct tcp_rec *last = t->nrec ? rec_at(t, t->nrec - 1U) : NULL;
	uint32_t tick = tcp_tick(now_ns);

	if (last && !last->flags && tick - last->sent <= same_time(t)) {
		last->end = end;
		return;
	}
	if (last)
		make_room(t, 1);
	else
		t->first_rec = 0;
	last = append_rec(t);
	*last = (struct tcp_rec){ .start = start, .end = end, .sent = tick };
	if (t->flags & T_RATE)
		tcp_rate_sent(t, last, now_ns);
}

/* @len bytes of @r up to @end have just been found to have arrived. */
static void note_arrival(struct tcp *t, struct tcp_acked *a, const struct tcp_rec *r,
			 uint32_t end)
{
	uint32_t ticks = tcp_tick(a->now_ns) - r->sent;

	if (r->flags & R_EVER) {
		/* the original may have arrived, not what was resent just now */
		if (tcp_tick_us(ticks) < t->rtt.min_us)
			return;
	} else {
		a->last_rtt_us = tcp_tick_us(ticks);
	}
	if (seq_after(r->sent, t->rack_sent) ||
	    (r->sent == t->rack_sent && seq_after(end, t->rack_end)) || !t->rack_rtt) {
		t->rack_sent = r->sent;
		t->rack_end = end;
		t->rack_rtt = tcp_max(ticks, 1);
		t->rack_slack = r->flags & R_EVER ? tcp_us_tick(same_time(t)) : 0;
	}
}

/* What was sent again is acknowledged with a stamp from before: it was the original that came (Linux's
 * tcp_skb_spurious_retrans), and says nothing of what was sent between the two.
 */
static bool original_came(const struct tcp *t, const struct tcp_acked *a, const struct tcp_rec *r)
{
	uint64_t age_ns = (uint64_t)(tcp_tick(a->now_ns) - r->sent + 1) << 10;

	return a->tsecr && seq_before(a->tsecr, tcp_tsval(t, a->now_ns - age_ns));
}

/* Bytes of @r up to @end, never retransmitted, have arrived. After bytes sent later: this
 * path reorders.
 */
static void note_original(struct tcp *t, struct tcp_acked *a, const struct tcp_rec *r,
			  uint32_t end)
{
	if (!seq_after(end, t->high_seq))
		a->orig_sacked = true;
	if (seq_before(r->start, t->fack))
		t->flags |= T_REORDERED;
}

static void ack_rec(struct tcp *t, struct tcp_rec *r, uint32_t end, struct tcp_acked *a)
{
	uint32_t len = end - r->start;

	if (!(r->flags & R_SACKED)) {
		a->delivered += len;
		if (r->flags & R_EVER) {
			a->rtx_acked = true;
		} else {
			if (a->rtt_us < 0)
				a->rtt_us = tcp_tick_us(tcp_tick(a->now_ns) - r->sent);
			note_original(t, a, r, end);
		}
		if (!(r->flags & R_EVER) || !original_came(t, a, r))
			note_arrival(t, a, r, end);
		if (t->flags & T_RATE)
			tcp_rate_arrived(t, r, a);
	}
	if (r->flags)
		uncount(t, r, len);
	r->start = end;
}

void tcp_board_ack(struct tcp *t, uint32_t ack, struct tcp_acked *a)
{
	while (t->nrec) {
		struct tcp_rec *r = rec_at(t, 0);

		if (seq_after(r->end, ack)) {
			if (seq_before(r->start, ack))
				ack_rec(t, r, ack, a);
			break;
		}
		ack_rec(t, r, r->end, a);
		t->first_rec++;
		t->nrec--;
	}
	if (seq_after(ack, t->fack))
		t->fack = ack;
	if (!t->nrec && t->rec_class)
		shrink_board(t);
}

static void sack_rec(struct tcp *t, struct tcp_rec *r, struct tcp_acked *a)
{
	if (!(r->flags & R_EVER)) {
		if (a->rtt_us < 0)
			a->rtt_us = tcp_tick_us(tcp_tick(a->now_ns) - r->sent);
		note_original(t, a, r, r->end);
	}
	note_arrival(t, a, r, r->end);
	if (t->flags & T_RATE)
		tcp_rate_arrived(t, r, a);
	a->delivered += rec_len(r);
	a->sacked = true;
	set_flags(t, r, R_SACKED);
}

/* The bytes [start, end) of record @i alone. False: no room, nothing changed. */
static bool isolate(struct tcp *t, uint32_t *i, uint32_t start, uint32_t end)
{
	struct tcp_rec *r = rec_at(t, *i);
	uint32_t splits = seq_before(r->start, start) + seq_after(r->end, end);

	if (splits && !has_room(t, splits))
		return false;
	if (seq_before(r->start, start))
		split(t, (*i)++, start);
	if (seq_after(rec_at(t, *i)->end, end))
		split(t, *i, end);
	return true;
}

static void sack_block(struct tcp *t, const struct tcp_sack *b, struct tcp_acked *a)
{
	for (uint32_t i = find_rec(t, b->start); i < t->nrec; i++) {
		struct tcp_rec *r = rec_at(t, i);

		if (seq_after_eq(r->start, b->end))
			break;
		if (r->flags & R_SACKED)
			continue;
		if (!isolate(t, &i, b->start, b->end))
			break;
		sack_rec(t, rec_at(t, i), a);
	}
	if (seq_after(b->end, t->fack))
		t->fack = b->end;
}

static bool block_is_sane(const struct tcp *t, const struct tcp_sack *b)
{
	return seq_before(b->start, b->end) && seq_after_eq(b->start, t->snd_una) &&
	       seq_before_eq(b->end, t->snd_nxt);
}

/* RFC 2883: the first block repeats what is acknowledged, or lies within the second. */
static bool is_dsack(const struct tcp_seg *s)
{
	const struct tcp_sack *b = s->sack;

	if (seq_before(b[0].start, s->ack))
		return true;
	return s->nsack > 1 && seq_after_eq(b[0].start, b[1].start) &&
	       seq_before_eq(b[0].end, b[1].end);
}

static void join_neighbours(struct tcp *t)
{
	for (uint32_t i = 0; i + 1 < t->nrec;) {
		if (alike(t, rec_at(t, i), rec_at(t, i + 1)))
			join(t, i);
		else
			i++;
	}
}

/* More D-SACKs than retransmissions: it is the network that duplicates. They say nothing of
 * ours then, and must not undo what a true loss has cost.
 */
static bool network_duplicates(struct tcp *t, uint32_t bytes)
{
	t->dsack_segs += (bytes + t->mss - 1) / t->mss;
	return t->dsack_segs > t->retransmits;
}

static void note_dsack(struct tcp *t, const struct tcp_sack *b, struct tcp_acked *a)
{
	uint32_t len = b->end - b->start;

	/* of a length that can be true */
	if (!seq_before(b->start, b->end) || len > t->max_wnd ||
	    seq_after(b->end, t->snd_nxt) || network_duplicates(t, len))
		return;
	a->dsack = true;
	a->delivered += len;			/* a needless copy left the network too */
	/* of this episode only: it may be over for long, and copies of later bytes say nothing of it */
	if (t->flags & T_UNDO && !seq_before(b->start, t->undo_una) &&
	    !seq_after(b->end, t->undo_end))
		t->undo_rtx -= tcp_min(t->undo_rtx, len);
}

void tcp_board_sack(struct tcp *t, const struct tcp_seg *s, struct tcp_acked *a)
{
	uint32_t first = is_dsack(s);

	if (first)
		note_dsack(t, &s->sack[0], a);
	for (uint32_t i = first; i < s->nsack; i++)
		if (block_is_sane(t, &s->sack[i]))
			sack_block(t, &s->sack[i], a);
	if (a->sacked)
		join_neighbours(t);
}

bool tcp_board_next_lost(const struct tcp *t, uint32_t *ret_start, uint32_t *ret_len)
{
	for (uint32_t i = 0; i < t->nrec; i++) {
		const struct tcp_rec *r = &t->rec[t->first_rec + i];

		if ((r->flags & (R_LOST | R_RTX)) == R_LOST) {
			*ret_start = r->start;
			*ret_len = rec_len(r);
			return true;
		}
	}
	return false;
}

/* [start, end) goes out again. At most two splits: the first record's head, the last's tail. */
void tcp_board_resent(struct tcp *t, uint32_t start, uint32_t end, uint64_t now_ns)
{
	make_room(t, 2);
	for (uint32_t i = find_rec(t, start); i < t->nrec; i++) {
		struct tcp_rec *r = rec_at(t, i);

		if (seq_after_eq(r->start, end))
			break;
		if (r->flags & R_SACKED || !isolate(t, &i, start, end))
			continue;
		r = rec_at(t, i);
		r->sent = tcp_tick(now_ns);
		if (t->flags & T_RATE)
			tcp_rate_sent(t, r, now_ns);
		set_flags(t, r, r->flags | R_RTX | R_EVER);
	}
	join_neighbours(t);
}

/* A timeout may say again what is known: only the first loss counts, and that of each copy. */
static uint32_t lose(struct tcp *t, struct tcp_rec *r)
{
	if ((r->flags & (R_LOST | R_RTX)) != R_LOST)
		t->lost_ever += rec_len(r);
	set_flags(t, r, (uint8_t)((r->flags & ~R_RTX) | R_LOST));
	return rec_len(r);
}

/* The first bytes are lost, and what was sent longer ago than the last arrival took. What left since
 * then may still arrive (Linux's tcp_timeout_mark_lost); if it does not, RACK or the next timeout
 * says so.
 */
void tcp_board_lose_old(struct tcp *t, uint64_t now_ns)
{
	uint32_t now = tcp_tick(now_ns), young = t->flags & T_SACK ? t->rack_rtt : 0;

	for (uint32_t i = 0; i < t->nrec; i++) {
		struct tcp_rec *r = rec_at(t, i);

		if (!(r->flags & R_SACKED) && (!i || now - r->sent >= young))
			lose(t, r);
	}
	join_neighbours(t);
}

void tcp_board_lose_all(struct tcp *t)
{
	for (uint32_t i = 0; i < t->nrec; i++)
		if (!(rec_at(t, i)->flags & R_SACKED))
			lose(t, rec_at(t, i));
	join_neighbours(t);
}

uint32_t tcp_board_lose_head(struct tcp *t, uint32_t len)
{
	uint32_t i = 0;

	make_room(t, 1);
	if (!t->nrec || (rec_at(t, 0)->flags & (R_SACKED | R_LOST)))
		return 0;
	isolate(t, &i, t->snd_una, t->snd_una + len);
	return lose(t, rec_at(t, 0));
}

void tcp_board_forget_loss(struct tcp *t)
{
	for (uint32_t i = 0; i < t->nrec; i++)
		set_flags(t, rec_at(t, i), (uint8_t)(rec_at(t, i)->flags & ~R_LOST));
	join_neighbours(t);
}

void tcp_board_forget_sack(struct tcp *t)
{
	for (uint32_t i = 0; i < t->nrec; i++)
		if (rec_at(t, i)->flags & R_SACKED)
			set_flags(t, rec_at(t, i), R_EVER);	/* arrived once: no RTT sample */
	t->fack = t->snd_una;
}

/* How long after something sent later has arrived do we still wait for reordering? */
static uint32_t reorder_window_us(const struct tcp *t)
{
	uint32_t us;

	if (!(t->flags & T_REORDERED) &&
	    (t->ca >= TCP_RECOVERY || t->sacked >= 3U * t->mss || t->dupacks >= 3))
		return 0;
	if (t->rtt.min_us == ~0U)
		return 1000;
	us = (uint32_t)((uint64_t)t->rtt.min_us * t->reo_steps / 4);
	return tcp_min(us, t->rtt.srtt_us) + same_time(t);
}

uint32_t tcp_board_rack(struct tcp *t, uint64_t now_ns, uint32_t *ret_wait_us)
{
	uint32_t limit = t->rack_rtt + tcp_us_tick(reorder_window_us(t));
	uint32_t now = tcp_tick(now_ns), lost = 0, wait = 0;

	*ret_wait_us = 0;
	if (!t->rack_rtt)
		return 0;
	for (uint32_t i = 0; i < t->nrec; i++) {
		struct tcp_rec *r = rec_at(t, i);
		uint32_t age = now - r->sent, most = limit + (r->flags & R_EVER ? 0 : t->rack_slack);

		if (r->flags & R_SACKED || (r->flags & (R_LOST | R_RTX)) == R_LOST)
			continue;
		if (seq_after(r->sent, t->rack_sent) ||
		    (r->sent == t->rack_sent && seq_after_eq(r->end, t->rack_end)))
			continue;
		if (age >= most)
			lost += lose(t, r);
		else
			wait = tcp_max(wait, most - age);
	}
	if (lost)
		join_neighbours(t);
	if (wait)
		*ret_wait_us = tcp_tick_us(wait) + 1;
	return lost;
}
