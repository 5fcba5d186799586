/* SPDX-License-Identifier: BSD-2-Clause
 *
 * signals.c - may a sleep have a time limit without the program noticing?
 *
 * A blocked recv(2) that a signal interrupts goes on by itself if the handler has SA_RESTART, and
 * fails with EINTR if not. A futex without time limit behaves the same; one with a limit, which we
 * want so that a dead daemon is noticed, always fails with EINTR. If all of the program's
 * handlers are of one kind we know what recv would have done, and do it. If they are of both
 * kinds we cannot know which one ran, and sleep without limit.
 *
 * The answer is kept until a handler is installed.
 */
#include "shim.h"

static _Atomic int known = -1;		/* enum sig_kind, or -1: must be found out */

void sig_changed(void)
{
	atomic_store_explicit(&known, -1, memory_order_relaxed);
}

static enum sig_kind find_out(void)
{
	bool restart = false, interrupt = false;

	for (int sig = 1; sig < _NSIG; sig++) {
		struct sigaction sa;

		if (libc()->sigaction(sig, NULL, &sa) < 0 || sa.sa_handler == SIG_DFL ||
		    sa.sa_handler == SIG_IGN)
			continue;
		if (sa.sa_flags & SA_RESTART)
			restart = true;
		else
			interrupt = true;
	}
	return restart && interrupt ? SIG_BOTH : restart ? SIG_RESTART : SIG_INTERRUPT;
}

enum sig_kind sig_kind(void)
{
	int kind = atomic_load_explicit(&known, memory_order_relaxed), saved = errno;

	if (kind < 0) {
		kind = find_out();
		atomic_store_explicit(&known, kind, memory_order_relaxed);
	}
	errno = saved;
	return (enum sig_kind)kind;
}
