/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lock.c - a lock that names its owner.
 *
 *	0			free
 *	tid			taken
 *	tid | LOCK_WAITERS	taken, and somebody sleeps on it
 *	TP_LOCK_DAEMON		taspilotd has it, for microseconds (shm_abi.h)
 *
 * The tid tells a signal handler that it interrupted its own thread (LOCK_NESTED: go on without
 * the lock, see io.c), and tells others that the owner has died (they take it over: what a
 * slot's lock guards is consistent at each moment, for readers of the memory see only what was
 * published). Works between processes: slots lie in shared memory.
 */
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim.h"

#define LOCK_WAITERS	TP_LOCK_WAITERS
#define LOCK_SPINS	100
#define LOCK_LOOK_MS	50		/* how often a sleeper asks whether the owner lives */
#define LOCK_PATIENCE	40		/* so many looks at one owner, then give up */

__thread uint32_t tid_cached __attribute__((tls_model("initial-exec")));
_Atomic uint32_t fork_epoch;

uint32_t tid_get(void)
{
	tid_cached = (uint32_t)syscall(SYS_gettid);
	return tid_cached;
}

/* A process that was killed keeps its number until its parent looks; that may be us, waiting here.
 * A thread other than its process's first has no pidfd, and is gone at once.
 */
static bool owner_is_dead(uint32_t tid)
{
	struct timespec now = { 0 };
	struct pollfd gone = { .events = POLLIN };
	int saved = errno;
	bool dead;

	if (tid == TP_LOCK_DAEMON)
		return false;
	gone.fd = (int)syscall(SYS_pidfd_open, tid, 0);
	if (gone.fd < 0) {
		dead = errno == ESRCH || (kill((pid_t)tid, 0) < 0 && errno == ESRCH);
	} else {
		dead = syscall(SYS_ppoll, &gone, 1, &now, NULL, 0) == 1;
		syscall(SYS_close, gone.fd);
	}
	errno = saved;
	return dead;
}

static void lock_sleep(lock_t *l, uint32_t word)
{
	struct timespec limit = { .tv_nsec = LOCK_LOOK_MS * 1000000L };
	int saved = errno;

	syscall(SYS_futex, l, FUTEX_WAIT, word, &limit, NULL, 0);
	errno = saved;
}

/* Whoever slept leaves the mark of waiters behind: it cannot know whether others sleep. */
enum lock_got lock_take_slow(lock_t *l, uint32_t tid)
{
	uint32_t word, mark = 0, owner = 0;

	for (int turn = 0; turn < LOCK_SPINS + LOCK_PATIENCE; turn++) {
		word = atomic_load_explicit(l, memory_order_relaxed);
		if ((word & ~LOCK_WAITERS) == tid)
			return LOCK_NESTED;
		if ((word & ~LOCK_WAITERS) != owner && turn > LOCK_SPINS)
			turn = LOCK_SPINS;	/* it goes round: patience is for one that keeps it */
		owner = word & ~LOCK_WAITERS;
		if (word == 0 || (turn > LOCK_SPINS && owner_is_dead(word & ~LOCK_WAITERS))) {
			if (atomic_compare_exchange_strong_explicit(l, &word, tid | mark,
								    memory_order_acquire,
								    memory_order_relaxed))
				return LOCK_TAKEN;
			continue;
		}
		if (turn < LOCK_SPINS) {
			cpu_relax();
			continue;
		}
		mark = LOCK_WAITERS;
		if (word & LOCK_WAITERS ||
		    atomic_compare_exchange_strong(l, &word, word | LOCK_WAITERS))
			lock_sleep(l, word | LOCK_WAITERS);
	}
	return LOCK_BUSY;
}

/* With waiters; or it was taken from us, who were thought dead. */
void lock_drop_slow(lock_t *l, uint32_t tid)
{
	uint32_t word = tid | LOCK_WAITERS;
	int saved = errno;

	if (!atomic_compare_exchange_strong_explicit(l, &word, 0, memory_order_release,
						     memory_order_relaxed))
		return;
	syscall(SYS_futex, l, FUTEX_WAKE, 1, NULL, NULL, 0);
	errno = saved;
}
