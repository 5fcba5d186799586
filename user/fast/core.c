/* SPDX-License-Identifier: BSD-2-Clause
 *
 * core.c - the loop of a fast thread.
 *
 *	commands -> frames -> kicks -> timers	each notes its flows in the busy list
 *	settle					notify programs, build frames
 *	one kick of the XSK, one wake a sleeper, events to the slow thread
 *	nothing done: spin, yield, wait for a kick, nap, or block (idle.h, yield.h)
 *
 * Nothing is capped but by what the rings hold: the peer that sees its answers in batches
 * sleeps between them, and each of its wake-ups costs this core more than the batch.
 *
 * Before it sleeps, the thread says so to everybody who may give it work (lanes, wake.h),
 * passes a full fence, and looks once more; for a kick it waits only of a program that is still at work
 * then, because one that has gone to sleep before has told nobody.
 */
#include "thread.h"
#include "trim.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "../common/clock.h"
#include "../common/cpu.h"

#define SHARED_NICE	(-15)		/* of a thread that shares its CPU: comes before a task of nice 0 */
#define SPIN_LOOKS	16		/* between two looks at the clock, the timers and what was sent */
#define YIELD_TRIES	4		/* in a row, until a program has run */
#define YIELDER_NS	10000000ULL	/* for so long a program counts as one that yields */
#define SLACK_NS	1000UL		/* the kernel's own, 50 us, is more than what lies between paced segments */
#define TX_RETRY_NS	50000ULL	/* the kernel did not take our frames: try again after */

static void kicked(struct fast *t, struct appq *q, uint32_t slot)
{
	struct flow *f = q->by_slot[slot];

	if (!f && command_take(t))
		f = q->by_slot[slot];
	if (f && f->phase == FLOW_LIVE)
		flow_touch(t, f, tcp_app(&f->tcp, t->now_ns));
}

static uint32_t take_lane(struct fast *t, struct appq *q)
{
	bool hole = false;
	uint32_t slot, n = 0;

	while (n < q->geo.slots && appq_next(q, t->now_ns, &slot, &hole)) {
		kicked(t, q, slot);
		n++;
	}
	for (uint32_t i = 0; hole && i < q->geo.slots; i++) {
		/* whose kick the hole swallowed: any may kick again */
		atomic_exchange(&appq_slot(q, i)->kicked, 0);
		if (q->by_slot[i])
			kicked(t, q, i);
	}
	return n;
}

static uint32_t take_lanes(struct fast *t)
{
	uint32_t n = 0;

	for (struct appq *q = t->appqs; q; q = q->next)
		n += take_lane(t, q);
	return n;
}

/* A flow that has been idle gives its pages back. Many may fall idle at once, so each gets a turn
 * of its own: none is looked at in vain meanwhile, and the others' requests do not wait.
 */
static void trim_idle(struct fast *t, struct flow *f)
{
	if (t->now_ns < output_trim_due(f))
		return;
	if (f->trim_turn_ns < trim_since(&f->tcp) + TRIM_NS) {
		t->trim_ns += TRIM_GAP_NS;
		if (t->trim_ns < t->now_ns)
			t->trim_ns = t->now_ns;
		f->trim_turn_ns = t->trim_ns;
	}
	if (t->now_ns < f->trim_turn_ns)
		return;
	if (trim_pipes(&f->tcp))
		f->trimmed_ns = trim_since(&f->tcp);
	else
		f->trim_turn_ns = t->now_ns + TRIM_NS;
}

static uint32_t fire_timers(struct fast *t)
{
	uint32_t n = 0;

	for (struct timer *timer; (timer = wheel_pop(&t->wheel, t->now_ns)); n++) {
		struct flow *f = container_of(timer, struct flow, timer);

		if (f->phase != FLOW_LIVE)
			continue;
		flow_touch(t, f, tcp_timer(&f->tcp, t->now_ns));
		trim_idle(t, f);
	}
	return n;
}

/* Somebody who yields on CPU @where - 1 has news: which thread is it that spins there? */
static void nudge(struct fast *t, uint32_t where)
{
	for (uint32_t i = 0; i < t->set->threads; i++) {
		struct fast *other = t->set->thread[i];

		if (atomic_load_explicit(&other->yields_on, memory_order_relaxed) == where)
			atomic_store_explicit(&other->nudged, true, memory_order_relaxed);
	}
}

/* Who is woken may run before us, and a third task after it. */
static void wake_programs(struct fast *t)
{
	uint64_t since = clock_ns();
	uint32_t woken = 0;

	for (struct appq *q = t->appqs; q; q = q->next) {
		uint32_t where;

		woken += appq_flush(q);
		where = appq_gave(q);
		if (where == t->cpu + 1)
			t->owes_yield = true;
		else if (where)
			nudge(t, where);
	}
	stats_add(&t->stats.wakes, woken);
	if (woken)
		idle_woke(&t->idle, since, clock_ns(), woken);
}

static bool program_works(struct fast *t)
{
	for (struct appq *q = t->appqs; q; q = q->next)
		if (appq_awake_on(q, t->cpu))
			return true;
	return false;
}

static void forget_awake(struct fast *t)
{
	for (struct appq *q = t->appqs; q; q = q->next)
		appq_forget_awake(q);
}

/* Let those on our CPU run who yield to us, or whom we have woken: @given, they have news; or it is time
 * that they may go to sleep. The scheduler takes a slice of whoever yields: where a program yielded more
 * often than we, its next turn is a few yields of ours away.
 */
static void yield(struct fast *t, bool given)
{
	uint64_t since = clock_ns();
	bool works;
	int tries = 0;

	atomic_store_explicit(&t->nudged, false, memory_order_relaxed);
	t->owes_yield = false;
	do {
		(void)sched_yield();
		works = given && program_works(t);
		t->yielded_ns = clock_ns();
	} while (works && ++tries < YIELD_TRIES && t->yielded_ns - since < YIELD_LATE_NS);
	stats_add(&t->stats.yields, 1);
	for (struct appq *q = t->appqs; q; q = q->next)
		appq_yielded(q);
	idle_yielded(&t->idle, t->yielded_ns);
	yield_took(&t->yield, since, t->yielded_ns);
	if (given)
		yield_brought(&t->yield, t->yielded_ns, !works);
	if (works)
		forget_awake(t);
}

static bool work_waits(struct fast *t)
{
	if (spsc_peek(&t->cmds) || xio_rx_pending(&t->xio))
		return true;
	for (uint32_t i = 0; i < t->set->threads; i++)
		if (i != t->index && spsc_peek(&t->handed[i]))
			return true;
	if (atomic_load_explicit(&t->nudged, memory_order_relaxed))
		return true;
	for (struct appq *q = t->appqs; q; q = q->next)
		if (appq_pending(q))
			return true;
	return atomic_load_explicit(&t->set->stop, memory_order_relaxed);
}

/* After a turn that did something. Who yields to us and has news now comes at once if nothing else waits; beside
 * work without end, at times.
 */
static void yield_at_times(struct fast *t)
{
	bool due = t->owes_yield || atomic_load_explicit(&t->nudged, memory_order_relaxed);

	if (due && t->yields_on &&
	    (t->now_ns > t->yielded_ns + IDLE_SPIN_NS || (t->owes_yield && !work_waits(t))))
		yield(t, t->owes_yield);
}

/* Returns whether anything was done. */
static bool turn(struct fast *t)
{
	struct profile *p = &t->profile;
	uint32_t frames, n;

	profile_begin(p);
	t->now_ns = clock_ns();
	n = command_take(t);
	xio_reap(&t->xio);
	profile_stage(p, PROFILE_COMMANDS);
	frames = input_wire(t) + input_handed(t);
	profile_stage(p, PROFILE_RX);
	n += take_lanes(t);
	n += fire_timers(t);
	profile_stage(p, PROFILE_LANES);
	n += !list_empty(&t->busy);
	output_settle(t);
	profile_stage(p, PROFILE_SETTLE);
	stats_add(&t->stats.kicks, xio_kick(&t->xio));
	profile_stage(p, PROFILE_KICK);
	wake_programs(t);
	tell_flush(t);
	profile_stage(p, PROFILE_WAKE);

	if (!(n + frames))
		return false;
	profile_end(p, frames);
	idle_worked(&t->idle, t->now_ns, frames);
	return true;
}

static enum idle_other who_works(struct fast *t)
{
	const _Atomic uint32_t *slow = t->set->cfg.slow_cpu;

	if (program_works(t))
		return IDLE_PROGRAM;
	if (slow && atomic_load_explicit(slow, memory_order_relaxed) == t->cpu + 1)
		return IDLE_SLOW;
	return IDLE_NOBODY;
}

static uint64_t sleep_ns(const struct fast *t)
{
	uint64_t until = wheel_next(&t->wheel);

	for (const struct appq *q = t->appqs; q; q = q->next)
		if (appq_hole_deadline(q) < until)
			until = appq_hole_deadline(q);
	if (xio_tx_stuck(&t->xio) || !list_empty(&t->telling) || !list_empty(&t->gone))
		return TX_RETRY_NS;
	if (until == ~0ULL)
		return until;
	return until > t->now_ns ? until - t->now_ns : 0;
}

static void announce(struct fast *t, uint32_t how)
{
	for (struct appq *q = t->appqs; q; q = q->next)
		appq_sleep(q, how);
}

static void wait_kick(struct fast *t)
{
	uint64_t ns = sleep_ns(t), most = idle_kick_ns(&t->idle, t->now_ns, XIO_RX_FRAMES);
	bool ended = wake_wait_kick(&t->wake, ns < most ? ns : most);

	idle_waited_kick(&t->idle, t->now_ns, clock_ns(), ended);
}

static void nap(struct fast *t)
{
	uint64_t ns = sleep_ns(t);

	wake_wait_kick(&t->wake, ns < IDLE_NAP_NS ? ns : IDLE_NAP_NS);
}

/* The nice value of the thread counts among threads of one session or control group; what the
 * session as a whole counts for is the autogroup's, which all fast threads share.
 */
static void share_cpu(struct fast *t, bool shared)
{
	struct fast_set *s = t->set;

	if (shared == t->shares_cpu)
		return;
	t->shares_cpu = shared;
	(void)cpu_nice(shared ? SHARED_NICE : s->nice);
	if (shared && atomic_fetch_add(&s->sharing, 1) == 0)
		(void)cpu_session_nice(SHARED_NICE);
	else if (!shared && atomic_fetch_sub(&s->sharing, 1) == 1)
		(void)cpu_session_nice(s->session_nice);
}

/* A program that sleeps at times must yield to us at other times. */
static bool yields_with_somebody(const struct fast *t)
{
	return t->yields_on && t->now_ns - t->yielder_ns < YIELDER_NS;
}

/* A whole turn in vain takes longer than these looks, and the frame would wait for half of it. Who yields
 * to us for long must come to look at what else it waits for.
 */
static void spin(struct fast *t)
{
	for (int i = 0; i < SPIN_LOOKS; i++) {
		if (work_waits(t))
			return;
		__builtin_ia32_pause();
	}
	if (yields_with_somebody(t) && t->now_ns > t->yielded_ns + IDLE_SPIN_NS)
		yield(t, false);
}

static void say_where_we_yield(struct fast *t)
{
	bool may = t->set->cfg.poll != FAST_POLL_EVENT && !t->shares_cpu &&
		   yield_may(&t->yield, t->now_ns);
	uint32_t where = may ? t->cpu + 1 : 0;

	atomic_store_explicit(&t->yields_on, where, memory_order_relaxed);
	for (struct appq *q = t->appqs; q; q = q->next) {
		appq_yields_on(q, where);
		if (appq_had_yielder(q))
			t->yielder_ns = t->now_ns;
	}
}

static void rest(struct fast *t, enum idle_how how)
{
	announce(t, how == IDLE_WAIT_KICK ? TP_THREAD_WAIT_KICK : TP_THREAD_BLOCKED);
	wake_begin(&t->wake);
	if (!work_waits(t) && (how != IDLE_WAIT_KICK || program_works(t))) {
		stats_add(&t->stats.sleeps, 1);
		if (how == IDLE_WAIT_KICK)
			wait_kick(t);
		else if (how == IDLE_NAP)
			nap(t);
		else
			wake_wait_all(&t->wake, sleep_ns(t));
	}
	wake_end(&t->wake);
	announce(t, TP_THREAD_AWAKE);
	if (idle_gave_up(&t->idle))
		forget_awake(t);
}

static void idle(struct fast *t)
{
	bool waits = t->set->cfg.poll == FAST_POLL_BUSY;
	enum idle_other other;
	enum idle_how how;

	if (atomic_load_explicit(&t->nudged, memory_order_relaxed)) {
		yield(t, false);
		return;
	}
	t->cpu = (uint32_t)sched_getcpu();
	other = who_works(t);
	how = idle_next(&t->idle, t->now_ns, other);
	waits |= how == IDLE_WAIT_KICK;
	share_cpu(t, idle_is_shared(&t->idle, t->now_ns));
	say_where_we_yield(t);
	if (waits && other == IDLE_PROGRAM && yields_with_somebody(t))
		yield(t, true);
	else if (how == IDLE_SPIN)
		spin(t);
	else
		rest(t, how);
}

void *fast_run(void *thread)
{
	struct fast *t = thread;
	sigset_t all;
	char name[16];

	/* signals are the slow thread's */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	snprintf(name, sizeof(name), "tasp-fast/%u", t->index);
	pthread_setname_np(pthread_self(), name);
	(void)prctl(PR_SET_TIMERSLACK, SLACK_NS);
	if (t->set->cfg.cpu[t->index] >= 0)
		(void)cpu_pin(t->set->cfg.cpu[t->index]);

	while (!atomic_load_explicit(&t->set->stop, memory_order_relaxed))
		if (turn(t))
			yield_at_times(t);
		else
			idle(t);
	return NULL;
}
