/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fork.c - what a child must not share with its parent.
 *
 * Sockets, and so slots and regions, stay usable on both sides: the slot's locks are in shared
 * memory. Contexts, the control connection and the cached tid are the parent's alone: the child
 * makes its own when it needs them. The process's own locks are held over the fork, so that the child
 * does not inherit one from a thread that it does not have.
 *
 * vfork() and clone(CLONE_VM) children run in the parent's memory and are no business of these
 * handlers: whoever changes the fd table asks in_vfork_child() first.
 */
#include <pthread.h>
#include <unistd.h>

#include "shim.h"

static enum lock_got held;

static void before_fork(void)
{
	held = lock_wait(&conn_reg);
}

static void after_fork(void)
{
	atomic_fetch_add_explicit(&fork_epoch, 1, memory_order_relaxed);
	lock_drop(&conn_reg, held);
}

static void in_child(void)
{
	int saved = errno;

	shim_pid = getpid();
	atomic_store_explicit(&conn_reg, 0, memory_order_relaxed);
	tid_cached = 0;
	atomic_fetch_add_explicit(&fork_epoch, 1, memory_order_relaxed);
	fd_after_fork();
	region_after_fork();
	ep_after_fork();
	ctl_after_fork();
	yield_in_child();
	errno = saved;
}

void fork_watch(void)
{
	pthread_atfork(before_fork, after_fork, in_child);
}
