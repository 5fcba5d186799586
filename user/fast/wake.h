/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wake.h - how a fast thread sleeps, and how others of the daemon wake it.
 *
 *	kicks	epoll set: the eventfd of each region (written by programs) and our own
 *		(written by the slow thread and by other fast threads)
 *	all	the same and the XSK
 *
 * The eventfds are edge-triggered and never read: each write is one event. The XSK is in no
 * epoll set: that would run a wake-up callback for each batch of frames even while the
 * thread is awake. poll(2) puts us on its queue only for as long as we sleep.
 *
 * Fellow threads follow the rule of shm_abi.h: write, full fence, exchange the sleep word.
 */
#ifndef TASPILOT_FAST_WAKE_H
#define TASPILOT_FAST_WAKE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct wake {
	int kicks;			/* epoll set */
	int own;			/* eventfd */
	int xsk;
	alignas(64) _Atomic uint32_t asleep;	/* both: the thread sets, the waker clears */
};

int wake_init(struct wake *w, int xsk_fd);
void wake_free(struct wake *w);
int wake_add(struct wake *w, int eventfd);
void wake_del(struct wake *w, int eventfd);

/* By the thread: about to sleep, look once more after this; then one of the waits; then
 * wake_end(). @timeout_ns ~0: for ever. wake_wait_kick(): whether something ended it before that.
 */
void wake_begin(struct wake *w);
bool wake_wait_kick(struct wake *w, uint64_t timeout_ns);
void wake_wait_all(struct wake *w, uint64_t timeout_ns);
void wake_end(struct wake *w);

/* By others, after they wrote what the thread shall see. */
void wake_up(struct wake *w);

#endif
