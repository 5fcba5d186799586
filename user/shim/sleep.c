/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sleep.c - waiting for the fast thread: spin or yield a little, then a futex.
 *
 * Spinning pays only if the fast thread runs on another CPU; on ours it needs the CPU to bring what we
 * wait for, so we yield to it (yield.c), or sleep at once and it wakes us. How long to spin follows how
 * long the last waits took: twice their average, at most 50 us, nothing when they are longer.
 *
 * A futex without time limit is restarted by the kernel after a signal handler with SA_RESTART,
 * and one with a limit is not: exactly what recv(2) does without and with SO_RCVTIMEO. A sleep
 * without limit is yet cut into pieces (nap), so that a daemon that died is noticed. A call that has
 * moved bytes is never restarted: it returns how many.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>

#include "shim.h"

#define SPIN_MAX_NS	50000U
#define SPIN_CHECKS	32		/* looks between two readings of the clock */
#define WAIT_CAP_NS	1000000U

/* Average of this thread's last waits. */
static __thread uint32_t wait_avg_ns __attribute__((tls_model("initial-exec"))) = SPIN_MAX_NS / 4;

uint64_t deadline_after(int64_t ns)
{
	uint64_t now;

	if (ns < 0)
		return FOREVER;
	now = now_ns();
	return (uint64_t)ns > FOREVER - 1 - now ? FOREVER : now + (uint64_t)ns;
}

static bool thread_is_elsewhere(struct region *r)
{
	int cpu = sched_getcpu();

	for (uint32_t t = 0; t < r->geo.threads; t++)
		if (r->geo.thread_cpu[t] == (uint32_t)cpu || r->geo.thread_cpu[t] == ~0U)
			return false;
	return true;
}

static void note_wait(uint64_t ns)
{
	uint32_t capped = ns < WAIT_CAP_NS ? (uint32_t)ns : WAIT_CAP_NS;

	wait_avg_ns = wait_avg_ns - wait_avg_ns / 4 + capped / 4;
}

bool spin_for(struct region *r, bool (*ready)(void *), void *arg)
{
	uint64_t begin, spent = 0, limit = 2ULL * wait_avg_ns;

	if (wait_avg_ns > SPIN_MAX_NS || !thread_is_elsewhere(r))
		return false;
	if (limit > SPIN_MAX_NS)
		limit = SPIN_MAX_NS;
	begin = now_ns();
	do {
		for (int i = 0; i < SPIN_CHECKS; i++) {
			if (ready(arg)) {
				note_wait(spent);
				return true;
			}
			cpu_relax();
		}
		spent = now_ns() - begin;
	} while (spent < limit);
	return false;
}

void spin_missed(uint64_t waited_ns)
{
	note_wait(waited_ns);
}

static bool changed(int fd, struct conn *c, enum tp_dir dir, const struct seen *s)
{
	struct tp_slot *slot = c->slot;
	uint64_t pos = dir == TP_RX ? atomic_load(&slot->rx_head) : atomic_load(&slot->tx_tail);

	return pos != s->pos || atomic_load(&slot->fast_flags) != s->flags ||
	       atomic_load(&slot->state) != s->state ||
	       (dir == TP_TX && atomic_load(&slot->tx_want) != s->want) ||
	       (dir == TP_RX ? c->shut_rd : c->shut_wr) || !fd_is_conn(fd, c);
}

struct watched {
	int fd;
	struct conn *c;
	enum tp_dir dir;
	const struct seen *seen;
};

static bool watched_changed(void *arg)
{
	struct watched *w = arg;

	return changed(w->fd, w->c, w->dir, w->seen);
}

static int futex_wait(_Atomic uint32_t *word, uint64_t deadline)
{
	struct timespec ts = {
		.tv_sec = (time_t)(deadline / NSEC), .tv_nsec = (long)(deadline % NSEC),
	};

	if (deadline == FOREVER)
		return syscall(SYS_futex, word, FUTEX_WAIT, 1, NULL, NULL, 0) < 0 ? -errno : 0;
	return syscall(SYS_futex, word, FUTEX_WAIT_BITSET, 1, &ts, NULL,
		       FUTEX_BITSET_MATCH_ANY) < 0 ? -errno : 0;
}

/* As in libc's recv, pthread_cancel() ends a thread here. It holds nothing. */
static int futex_wait_cancelled(_Atomic uint32_t *word, uint64_t deadline)
{
	int type, ret;

	if (__libc_single_threaded)
		return futex_wait(word, deadline);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	ret = futex_wait(word, deadline);
	pthread_setcanceltype(type, NULL);
	return ret;
}

/* Sleep until woken or @deadline, but wake to listen for the daemon's heart where that does not
 * show (signals.c). 0: look again; -EINTR; -EAGAIN: the deadline has passed.
 */
static int nap(struct conn *c, _Atomic uint32_t *word, uint64_t deadline, bool begun)
{
	enum sig_kind kind = deadline == FOREVER && !begun ? sig_kind() : SIG_INTERRUPT;
	uint64_t until = kind == SIG_BOTH ? deadline : no_later(deadline, region_due(c->region));
	int err = futex_wait_cancelled(word, until);

	if (err == -ETIMEDOUT) {
		region_silent(c->region);
		return until == deadline ? -EAGAIN : 0;
	}
	if (err == -EINTR && until != deadline && kind == SIG_RESTART)
		return 0;
	return err == -EINTR ? err : 0;
}

static bool yield_for_change(struct region *r, _Atomic uint32_t *word, struct watched *w,
			     uint64_t deadline)
{
	struct yielding y;
	bool got;

	if (!yield_begin(r, deadline, &y))
		return false;
	yield_say(&y, word);
	got = yield_until(&y, watched_changed, w);
	yield_unsay(&y, word);
	return got;
}

static void say_cpu(struct conn *c)
{
	atomic_store_explicit(&c->slot->cpu, (uint32_t)sched_getcpu(), memory_order_relaxed);
}

int sleep_on_slot(int fd, struct conn *c, enum tp_dir dir, const struct seen *s,
		  uint64_t deadline, bool begun)
{
	_Atomic uint32_t *word = dir == TP_RX ? &c->slot->rx_wait : &c->slot->tx_wait;
	struct watched w = { fd, c, dir, s };
	uint64_t begin;
	int saved = errno, err;

	kick_flush();
	say_cpu(c);
	if (spin_for(c->region, watched_changed, &w) ||
	    yield_for_change(c->region, word, &w, deadline))
		return 0;

	begin = now_ns();
	atomic_store(word, TP_ASLEEP);
	full_fence();
	if (changed(fd, c, dir, s))
		return 0;
	kick_flush();			/* what believes that we are awake must not wait for us */
	err = nap(c, word, deadline, begun);
	say_cpu(c);
	errno = saved;
	note_wait(now_ns() - begin);
	return err;
}

static void wake_word(_Atomic uint32_t *word)
{
	int saved = errno;

	if (atomic_exchange(word, 0))
		syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	errno = saved;
}

void wake_sleepers(struct conn *c)
{
	wake_word(&c->slot->rx_wait);
	wake_word(&c->slot->tx_wait);
}
