/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fork.c - what a child must not share with its parent.
 *
 * Sockets, and so slots and regions, stay usable on both sides: the slot's locks are in shared
 * memory. Contexts, the control connection and the cached tid are the parent's alone: the child
 * makes its own when it needs them. The process's own locks are held over the fork, so that the child
 * does not inherit one from a thread that it does not have. fork() calls our handlers; _Fork() and
 * clone() would not, so these are wrapped.
 *
 * vfork() and clone(CLONE_VM) children run in the parent's memory and are no business of these
 * handlers: whoever changes the fd table asks in_vfork_child() first. But a child, and what it executes,
 * may change a socket that it shares with us (O_NONBLOCK, shutdown), and so may whom it was passed to:
 * whatever makes one, or passes fds, counts in fork_epoch, and the kernel is asked of connections that are older (is_nonblock in io.c).
 */
#include <pthread.h>
#include <unistd.h>

#include "shim.h"

#define EXPORT	__attribute__((visibility("default")))

static enum lock_got held;

void sockets_are_shared(void)
{
	atomic_fetch_add_explicit(&fork_epoch, 1, memory_order_relaxed);
}

static void before_fork(void)
{
	held = lock_wait(&conn_reg);
}

static void after_fork(void)
{
	sockets_are_shared();
	lock_drop(&conn_reg, held);
}

static void in_child(void)
{
	int saved = errno;

	shim_pid = getpid();
	atomic_store_explicit(&conn_reg, 0, memory_order_relaxed);
	tid_cached = 0;
	sockets_are_shared();
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

EXPORT pid_t _Fork(void)
{
	pid_t pid;

	if (in_vfork_child())
		return libc()->_Fork();
	before_fork();
	pid = libc()->_Fork();
	if (pid == 0)
		in_child();
	else
		after_fork();
	return pid;
}

struct begin {
	int (*fn)(void *);
	void *arg;
};

/* In memory of its own, whose copy of @arg is the parent's of that moment. */
static int begin_child(void *arg)
{
	struct begin b = *(struct begin *)arg;

	in_child();
	return b.fn(b.arg);
}

EXPORT int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	struct begin b = { fn, arg };
	bool apart = !(flags & CLONE_VM) && fn && stack && !in_vfork_child();
	void *more[3];
	va_list ap;
	int pid;

	va_start(ap, arg);
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		more[i] = va_arg(ap, void *);	/* passing on what the register holds does no harm */
	va_end(ap);
	if (!apart) {
		sockets_are_shared();
		return libc()->clone(fn, stack, flags, arg, more[0], more[1], more[2]);
	}
	before_fork();
	pid = libc()->clone(begin_child, stack, flags, &b, more[0], more[1], more[2]);
	after_fork();
	return pid;
}

/* ---- children that execute something at once --------------------------------------------- */

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *acts,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	int err = libc()->posix_spawn(pid, path, acts, attr, argv, envp);

	sockets_are_shared();
	return err;
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *acts,
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	int err = libc()->posix_spawnp(pid, file, acts, attr, argv, envp);

	sockets_are_shared();
	return err;
}

EXPORT int system(const char *cmd)
{
	sockets_are_shared();
	return libc()->system(cmd);
}

EXPORT FILE *popen(const char *cmd, const char *mode)
{
	FILE *f = libc()->popen(cmd, mode);

	sockets_are_shared();
	return f;
}

/* vfork() returns twice into its caller's frame, so it has none here: it goes on to libc's by a jump. */
__attribute__((used)) static __typeof__(vfork) *vfork_begins(void)
{
	sockets_are_shared();
	return libc()->vfork;
}

#if defined(__x86_64__)
__asm__(".pushsection .text\n"
	".globl vfork, __vfork\n"
	".type vfork, @function\n"
	".type __vfork, @function\n"
	"vfork:\n"
	"__vfork:\n"
	"	endbr64\n"
	"	sub $8, %rsp\n"
	"	call vfork_begins\n"
	"	add $8, %rsp\n"
	"	jmp *%rax\n"
	".size vfork, . - vfork\n"
	".popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
	".globl vfork, __vfork\n"
	".type vfork, %function\n"
	".type __vfork, %function\n"
	"vfork:\n"
	"__vfork:\n"
	"	hint #34\n"			/* bti c */
	"	stp x29, x30, [sp, #-16]!\n"
	"	bl vfork_begins\n"
	"	ldp x29, x30, [sp], #16\n"
	"	mov x16, x0\n"
	"	br x16\n"
	".size vfork, . - vfork\n"
	".popsection\n");
#endif
