/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kick.c - telling fast threads that a slot wants to be looked at.
 *
 * A slot goes into its thread's lane, once (slot.kicked). Whether the thread must be woken
 * says the lane's sleep word:
 *
 *	AWAKE		it polls the lane: nothing to do
 *	BLOCKED		idle: woken now
 *	WAIT_KICK	it shares our CPU and lets us run: woken when we are about to wait
 *			(kick_flush), so once a batch; it comes back by itself in 200 us
 *
 *      program                             fast thread
 *      write the slot's words              set sleep
 *      full fence (the exchange)           full fence
 *      entry = slot, full fence            lane empty? sleep
 *      read sleep
 */
#include "shim.h"

static void wake_thread(struct region *r, uint32_t thread)
{
	static const uint64_t one = 1;
	int saved = errno;

	(void)!libc()->write(r->kick_fd[thread], &one, sizeof(one));
	errno = saved;
}

static void lane_put(struct tp_lane *lane, uint32_t slot)
{
	uint32_t at = atomic_fetch_add_explicit(&lane->head, 1, memory_order_relaxed);

	atomic_store(&lane->entry[at & (TP_SLOTS - 1)], slot + 1);
}

/* By slot and region, not by conn: another thread may have closed that since, and have a new one in its place. */
void kick(struct region *r, struct tp_slot *s)
{
	uint64_t index = (uint64_t)(s - tp_slot_at(r->base, &r->geo, 0));
	uint32_t thread = s->thread;
	struct tp_lane *lane;

	if (index >= r->geo.slots || thread >= r->geo.threads || atomic_load(&s->kicked) ||
	    atomic_exchange(&s->kicked, 1))
		return;
	lane = region_lane(r, thread);
	lane_put(lane, (uint32_t)index);
	if (atomic_load(&lane->sleep) == TP_THREAD_BLOCKED &&
	    atomic_exchange(&lane->sleep, TP_THREAD_AWAKE) != TP_THREAD_AWAKE)
		wake_thread(r, thread);
}

void kick_flush(void)
{
	uint32_t n = atomic_load_explicit(&region_count, memory_order_acquire);

	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t t = 0; t < regions[i].geo.threads; t++) {
			struct tp_lane *lane = region_lane(&regions[i], t);

			if (atomic_load(&lane->sleep) == TP_THREAD_WAIT_KICK &&
			    atomic_exchange(&lane->sleep, TP_THREAD_AWAKE) != TP_THREAD_AWAKE)
				wake_thread(&regions[i], t);
		}
	}
}
