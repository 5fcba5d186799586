/* SPDX-License-Identifier: BSD-2-Clause
 *
 * confine.c - a process that is about to forbid itself system calls (seccomp).
 *
 * Behind the filter a call that the program itself would never make, an eventfd or a connection to
 * the daemon, may be its death. So before: every connection is settled and goes back to Linux, and
 * from then on the shim claims nothing and asks for nothing. One that cannot go back, because the
 * process has no way to the daemon any more (another root directory, another user), is
 * served on with what there is; its waiters look once a millisecond.
 */
#include <sys/prctl.h>

#include "shim.h"

#define EXPORT	__attribute__((visibility("default")))

_Atomic bool confined;

static void settle(int fd, struct conn *c)
{
	if (!conn_ours(fd, c))
		return;
	conn_leave(fd, c);
	c->nonblock = libc()->fcntl(fd, F_GETFL) & O_NONBLOCK;
	c->epoch = atomic_load_explicit(&fork_epoch, memory_order_relaxed);
}

static void confine(void)
{
	int saved = errno;

	if (in_vfork_child())
		return;
	tid_mine();			/* what would be asked for later */
	sig_kind();
	for (int fd = 0; (fd = fd_next_conn(fd)) >= 0; fd++)
		settle(fd, fd_conn(fd));
	atomic_store(&confined, true);
	errno = saved;
}

EXPORT int prctl(int option, ...)
{
	unsigned long a[4];
	va_list ap;

	va_start(ap, option);
	for (size_t i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = va_arg(ap, unsigned long);	/* passing on what the register holds does no harm */
	va_end(ap);
	if (option == PR_SET_SECCOMP)
		confine();
	return libc()->prctl(option, a[0], a[1], a[2], a[3]);
}
