/* SPDX-License-Identifier: BSD-2-Clause
 *
 * init.c - the real libc functions, and what happens before main().
 *
 * Resolving is idempotent, so threads that race to it do no harm and need no lock. A name that
 * this libc lacks stays NULL; intercept.c then answers ENOSYS as such a libc's kernel would.
 *
 * The constructor resolves, notes where daemons are, sets the fork handlers, and has a look at the fds that came by
 * exec: a TCP connection among them may be one that is on the fast path.
 */
#include <dlfcn.h>
#include <netinet/in.h>
#include <pthread.h>
#include <unistd.h>

#include "shim.h"

#define EXEC_GAP	32		/* stop looking after so many unused numbers in a row */

struct libc libc_calls;

static const struct {
	const char *name;
	size_t at;
} names[] = {
#define X(name) { #name, offsetof(struct libc, name) },
	LIBC_CALLS(X)
#undef X
};

/* The thread sanitizer takes RTLD_NEXT for what follows itself. But it keeps book of descriptors, and one whose
 * close it does not see is a race to it when another thread gets the number.
 */
static void *resolve(const char *name)
{
	void *sym = NULL;

#ifdef __SANITIZE_THREAD__
	if (!strcmp(name, "close"))
		sym = dlsym(RTLD_DEFAULT, "__interceptor_close");
#endif
	return sym ? sym : dlsym(RTLD_NEXT, name);
}

void libc_resolve(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		void *sym = resolve(names[i].name);

		*(void **)((char *)&libc_calls + names[i].at) = sym;
	}
	atomic_store_explicit(&libc_calls.ready, true, memory_order_release);
}

static void look_at_inherited(void)
{
	for (int fd = 0, gap = 0; gap < EXEC_GAP; fd++) {
		int proto;
		socklen_t len = sizeof(proto);

		if (libc()->getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &proto, &len) < 0) {
			gap = errno == EBADF ? gap + 1 : 0;
			continue;
		}
		gap = 0;
		if (proto == IPPROTO_TCP) {
			conn_adopt(fd);
			stdio_look_at(fd);
		}
	}
}

__attribute__((constructor)) static void shim_start(void)
{
	int saved = errno;

	libc();
	shim_pid = getpid();
	ctl_start();
	fork_watch();
	look_at_inherited();
	errno = saved;
}
