/* SPDX-License-Identifier: BSD-2-Clause
 *
 * yield.c - yielding the CPU to the fast thread that shares it, instead of going to sleep.
 *
 * The thread brings what we wait for, and yields back. That is a switch each way; a sleep adds a wake-up
 * and two ways through the kernel's epoll or futex. It pays for waits of some us, so it lasts 50 us at
 * most. Then we sleep, and the thread finds us asleep.
 *
 *	sleep words: TP_YIELDS on this CPU
 *	full fence, look
 *	yield, look; again, until there is news, or time is up, or the thread sleeps itself
 *
 * Only a thread that may run on this CPU alone does so. Any other is a runnable task that waits, and the
 * next CPU that falls idle takes it away from the fast thread.
 *
 * A yield need not do anything (user/fast/yield.h). The thread counts those that it made: one of ours after
 * which that count stands still did not let it run, or something else ran besides. After some of these we
 * sleep, and the next waits do not begin with yields.
 */
#include <sched.h>

#include "shim.h"

#define YIELD_NS	50000U
#define YIELD_VAIN	5U
#define YIELD_SKIPS	64U

#define PINNED_WAITS	4096U		/* so often the affinity is looked at anew */

static __thread uint32_t skips __attribute__((tls_model("initial-exec")));
static __thread uint32_t pinned_waits __attribute__((tls_model("initial-exec")));
static __thread bool pinned __attribute__((tls_model("initial-exec")));

/* And of a policy for which a yield is what we mean. */
static bool is_pinned(void)
{
	cpu_set_t set;
	int saved = errno;

	if (pinned_waits-- == 0) {
		pinned_waits = PINNED_WAITS;
		pinned = sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) == 1 &&
			 sched_getscheduler(0) == SCHED_OTHER;
		errno = saved;
	}
	return pinned;
}

void yield_in_child(void)
{
	pinned_waits = 0;
}

static struct tp_lane *lane_on(struct region *r, uint32_t cpu)
{
	for (uint32_t t = 0; t < r->geo.threads; t++) {
		struct tp_lane *lane = region_lane(r, t);

		if (atomic_load_explicit(&lane->yields_on, memory_order_relaxed) == cpu + 1)
			return lane;
	}
	return NULL;
}

static bool thread_runs(struct tp_lane *lane)
{
	return atomic_load_explicit(&lane->sleep, memory_order_relaxed) == TP_THREAD_AWAKE;
}

bool yield_begin(struct region *r, uint64_t deadline, struct yielding *ret_y)
{
	int cpu = sched_getcpu();

	if (cpu < 0 || confined || (skips && --skips))
		return false;
	ret_y->lane = lane_on(r, (uint32_t)cpu);
	if (!ret_y->lane || !thread_runs(ret_y->lane) || !is_pinned())
		return false;
	ret_y->word = TP_YIELDS_ON(cpu);
	ret_y->until_ns = now_ns() + YIELD_NS;
	return deadline >= ret_y->until_ns;
}

void yield_say(const struct yielding *y, _Atomic uint32_t *word)
{
	uint32_t awake = TP_AWAKE;

	(void)atomic_compare_exchange_strong(word, &awake, y->word);
}

void yield_unsay(const struct yielding *y, _Atomic uint32_t *word)
{
	uint32_t said = y->word;

	(void)atomic_compare_exchange_strong(word, &said, TP_AWAKE);
}

static bool yield_loop(const struct yielding *y, bool (*ready)(void *), void *arg)
{
	_Atomic uint32_t *yielded = &y->lane->yielded;
	uint32_t count = atomic_load_explicit(yielded, memory_order_relaxed), vain = 0;

	while (thread_runs(y->lane) && now_ns() < y->until_ns) {
		uint32_t before = count;

		sched_yield();
		if (ready(arg))
			return true;
		count = atomic_load_explicit(yielded, memory_order_relaxed);
		vain = count == before ? vain + 1 : 0;
		if (vain == YIELD_VAIN) {
			skips = YIELD_SKIPS;
			return false;
		}
	}
	return false;
}

bool yield_until(const struct yielding *y, bool (*ready)(void *), void *arg)
{
	atomic_fetch_add(&y->lane->yield_waits, 1);
	full_fence();
	return ready(arg) || yield_loop(y, ready, arg);
}
