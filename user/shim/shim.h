/* SPDX-License-Identifier: BSD-2-Clause
 *
 * shim.h - what the parts of libtaspilot.so share.
 *
 * The library is preloaded into other people's programs, so everywhere here:
 *  - the fd is always Linux's real socket. What we know of it is a `struct conn`, found by one
 *    load from a table indexed by fd. No entry: the real function, at once.
 *  - no malloc, no stdio, no threads. Objects come from mmap'ed pools that are never
 *    unmapped ("type-stable"): a stale pointer shows an object of the same type, and who
 *    holds one checks under the lock that it is still the one meant.
 *  - internal functions return a count or -errno; only intercept.c sets errno.
 *  - any failure means plain Linux.
 *
 * Life of a conn:
 *
 *  SOCK        a TCP socket that is not connected, or nobody knows yet
 *  LISTEN      accept() on it is followed by a claim
 *  CONNECTING  the daemon knows its cookie; claimed at the first use that finds it connected
 *  INHERITED   came by exec or SCM_RIGHTS: perhaps claimed by somebody; asked at the first use
 *  YOUNG       accepted, and Linux's until it proves worth a claim (young.c)
 *  OURS        its bytes travel through the slot
 *  PLAIN       Linux's, for good
 *
 * Locks, in the order of taking: conn_reg (who is registered where), epset.lock (one epoll
 * instance), a slot's rx_lock or tx_lock. None is held while waiting for the network or the peer;
 * conn_reg is over a request to a daemon, which is answered or given up within a second.
 */
#ifndef TASPILOT_SHIM_H
#define TASPILOT_SHIM_H

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "taspilot/ctl_abi.h"
#include "taspilot/pipe.h"
#include "taspilot/shm_abi.h"

/* NULL and its page, and the kernel's half of the addresses. Other wild pointers fault. */
#define BAD_PTR(p)	((intptr_t)(p) < 4096)

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define FD_MAX		(1U << 20)	/* fds beyond are plain Linux's */
#define MAX_LINKS	8U		/* attached interfaces that a process talks to */
#define MAX_REGIONS	32U		/* regions that a process has mapped */
#define NSEC		1000000000ULL
#define IOV_LIMIT	1024		/* Linux's UIO_MAXIOV */

__sighandler_t __sysv_signal(int sig, __sighandler_t handler);
int __vdprintf_chk(int fd, int flag, const char *fmt, va_list ap);

/* The real functions, resolved once (init.c). */
#define LIBC_CALLS(X)									\
	X(read) X(readv) X(recv) X(recvfrom) X(recvmsg) X(recvmmsg)			\
	X(write) X(writev) X(send) X(sendto) X(sendmsg) X(sendmmsg)			\
	X(preadv2) X(pwritev2) X(sendfile) X(sendfile64) X(splice)			\
	X(socket) X(listen) X(connect) X(accept) X(accept4) X(shutdown)			\
	X(getsockopt) X(setsockopt) X(ioctl) X(fcntl) X(fcntl64)			\
	X(close) X(close_range) X(closefrom) X(dup) X(dup2) X(dup3)			\
	X(poll) X(ppoll) X(select) X(pselect)						\
	X(epoll_create) X(epoll_create1) X(epoll_ctl) X(epoll_wait) X(epoll_pwait) X(epoll_pwait2)			\
	X(prctl)									\
	X(_Fork) X(vfork) X(clone) X(posix_spawn) X(posix_spawnp) X(system) X(popen)	\
	X(fdopen) X(vdprintf) X(__vdprintf_chk) X(mlockall)				\
	X(aio_read) X(aio_write) X(lio_listio)						\
	X(sigaction) X(signal) X(__sysv_signal) X(sigset) X(siginterrupt)

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"	/* siginterrupt, sigset */
struct libc {
#define X(name) __typeof__(name) *name;
	LIBC_CALLS(X)
#undef X
	_Atomic bool ready;
};
#pragma GCC diagnostic pop
extern struct libc libc_calls;
void libc_resolve(void);

/* A constructor of another library may call us before ours has run. */
static inline const struct libc *libc(void)
{
	if (unlikely(!atomic_load_explicit(&libc_calls.ready, memory_order_acquire)))
		libc_resolve();
	return &libc_calls;
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* ---- locks (lock.c) ------------------------------------------------------------------- */

enum lock_got {
	LOCK_TAKEN,
	LOCK_NESTED,			/* this thread has it already: we are in a signal handler */
	LOCK_BUSY,			/* not got in time */
};

/* Holds the owner's tid, so that a nested call notices, and a dead owner is found. */
typedef _Atomic uint32_t lock_t;

enum lock_got lock_take_slow(lock_t *l, uint32_t tid);
void lock_drop_slow(lock_t *l, uint32_t tid);
uint32_t tid_get(void);

extern __thread uint32_t tid_cached __attribute__((tls_model("initial-exec")));
extern _Atomic uint32_t fork_epoch;	/* counts forks on both sides: what is older is shared */

static inline uint32_t tid_mine(void) { return likely(tid_cached) ? tid_cached : tid_get(); }

static inline enum lock_got lock_take(lock_t *l)
{
	uint32_t free = 0, tid = tid_mine();

	if (likely(atomic_compare_exchange_strong_explicit(l, &free, tid, memory_order_acquire,
							   memory_order_relaxed)))
		return LOCK_TAKEN;
	return lock_take_slow(l, tid);
}

/* A lock of this process's own: who has it lives, and gives it up. Never LOCK_BUSY. */
static inline enum lock_got lock_wait(lock_t *l)
{
	enum lock_got got;

	do {
		got = lock_take(l);
	} while (unlikely(got == LOCK_BUSY));
	return got;
}

static inline void lock_drop(lock_t *l, enum lock_got got)
{
	uint32_t tid = tid_mine(), word = tid;

	if (got != LOCK_TAKEN)
		return;
	if (unlikely(!atomic_compare_exchange_strong_explicit(l, &word, 0, memory_order_release,
							      memory_order_relaxed)))
		lock_drop_slow(l, tid);
}

/* Between a store of ours and a load of what the other side stores (shm_abi.h, wake-ups). The
 * thread sanitizer knows no fences, but it knows this.
 */
static inline void full_fence(void)
{
#ifdef __SANITIZE_THREAD__
	static _Atomic uint32_t word;

	atomic_fetch_add(&word, 0);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

struct conn;

/* ---- links to daemons, regions (ctl.c, region.c) -------------------------------------- */

struct link;

struct region {
	_Atomic(void *) base;		/* NULL: this entry is unused */
	struct tp_region geo;		/* private copy */
	uint32_t id;
	struct link *link;
	int kick_fd[TP_MAX_THREADS];
	_Atomic bool gone;		/* its daemon was silent for too long: all is lost here */
	_Atomic uint64_t doubt_ns, last_beat;	/* when it was first found silent, since which heartbeat */
	_Atomic uint64_t ctx_idle;	/* bit c: context c is this process's, and nobody uses it */
	int ctx_fd[TP_MAX_CTX];
};

struct claim {
	struct region *region;
	uint32_t slot, generation;
};

void ctl_start(void);
uint32_t ctl_epoch(void);		/* counts links that came up: who registered before must again */
bool ctl_up(void);			/* is there a daemon? connects to all that there are */
int ctl_listen(enum tp_ctl_type type, const struct tp_flow_key *local, uint64_t cookie);
int ctl_connect(uint64_t cookie);
int ctl_claim(enum tp_ctl_type type, const struct tp_flow_key *key, uint64_t cookie,
	      uint32_t opts, struct claim *ret_claim);
int ctl_about(struct conn *c, enum tp_ctl_type type);	/* LEAVE, OPTIONS */
int ctl_ctx(struct conn *c, int event_fd, uint32_t *ret_index);
void ctl_after_fork(void);
uint64_t now_ns(void);

extern struct region regions[MAX_REGIONS];
extern _Atomic uint32_t region_count;

int region_map(struct link *link, uint32_t id, int fd, uint64_t size, const int *kick_fd,
	       uint32_t threads, struct region **ret_region);
struct region *region_find(const struct link *link, uint32_t id);
void region_after_fork(void);

/* One waiter of this process towards one region. */
int ctx_get(struct conn *c);		/* in c's region: index or -errno */
void ctx_put(struct region *r, int ctx);

/* ---- giving back what a sleeping thread holds ------------------------------------------- */

/* glibc's old clean-up handlers: run by pthread_cancel() and pthread_exit(), and, other than those of
 * <pthread.h>, by a longjmp() out of a signal handler too. Between push and pop a thread may vanish.
 */
typedef struct _pthread_cleanup_buffer undo_t;

void _pthread_cleanup_push(undo_t *u, void (*undo)(void *), void *arg);
void _pthread_cleanup_pop(undo_t *u, int run);

static inline void undo_push(undo_t *u, void (*undo)(void *), void *arg)
{
	_pthread_cleanup_push(u, undo, arg);
}

static inline void undo_run(undo_t *u) { _pthread_cleanup_pop(u, 1); }

/* ---- yielding to a fast thread on our CPU (yield.c) ------------------------------------- */

struct yielding {
	struct tp_lane *lane;		/* of the thread */
	uint32_t word;			/* TP_YIELDS_ON our CPU */
	uint64_t until_ns;
};

/* Is there one that runs, and time until @deadline? Then say so in all sleep words of what we wait for,
 * yield, and unsay it.
 */
bool yield_begin(struct region *r, uint64_t deadline, struct yielding *ret_y);
void yield_say(const struct yielding *y, _Atomic uint32_t *word);
void yield_unsay(const struct yielding *y, _Atomic uint32_t *word);
/* Until @ready says so: true; or sleeping is better: false. */
bool yield_until(const struct yielding *y, bool (*ready)(void *), void *arg);
void yield_in_child(void);

static inline struct tp_lane *region_lane(struct region *r, uint32_t thread)
{
	return tp_lane_at(r->base, &r->geo, thread);
}

static inline struct tp_ctx *region_ctx(struct region *r, uint32_t ctx)
{
	return tp_ctx_at(r->base, &r->geo, ctx);
}

/* ---- fds and connections (fdtable.c, sock.c) ------------------------------------------ */

enum conn_mode {
	CONN_FREE,
	CONN_SOCK,
	CONN_LISTEN,
	CONN_CONNECTING,
	CONN_INHERITED,
	CONN_YOUNG,
	CONN_OURS,
	CONN_PLAIN,
};

struct ereg;
struct epset;

struct conn {
	/* set at the claim. Slot and region stay when the conn is used again, until its next claim: a thread
	 * that comes late finds another's slot, and no NULL.
	 */
	_Atomic uint32_t mode;		/* enum conn_mode */
	uint32_t index, generation;	/* of the slot */
	uint32_t epoch;			/* fork_epoch when the conn was made */
	_Atomic(struct region *) region;
	_Atomic(struct tp_slot *) slot;
	struct tp_pipe_mem rx, tx;

	/* under the slot's rx_lock, tx_lock */
	uint64_t rx_reserved, tx_reserved;	/* io.c: nested calls */
	uint64_t rx_told;		/* rx_tail at our last kick for reading */
	uint32_t notsent_lowat;		/* TCP_NOTSENT_LOWAT; 0: none */
	bool rx_busy, tx_busy;
	bool err_taken;			/* slot->err was reported */

	/* by any thread */
	_Atomic bool claimed;		/* it has had a slot since it was made */
	_Atomic bool nonblock;
	_Atomic bool shut_rd, shut_wr;
	_Atomic uint32_t starved;	/* counts writes that found too little room */
	_Atomic uint32_t refs;		/* fds of this process */
	_Atomic uint32_t reads, writes, tries;	/* young.c: while YOUNG */
	_Atomic uint32_t shortness;	/* young.c: of a listener */
	struct conn *listener;		/* that accepted it; only for its shortness */

	/* under conn_reg */
	struct ereg *eregs;

	uint64_t cookie;
	struct tp_flow_key key;		/* of a listener, the local end alone */
	pid_t listen_pid;		/* who registered the port */
	uint32_t listen_epoch;		/* ctl_epoch() at that time */
	struct conn *next_free;
};

#define TAG_CONN	1U
#define TAG_EPOLL	2U
#define TAG_HIDDEN	3U		/* an fd of our own */
#define TAG_BARE_EPOLL	4U		/* an epoll instance without fds of ours */
#define NESTED_EPOLL	8U		/* with it: stands in another epoll instance */
#define TAG_MASK	7U

extern _Atomic uintptr_t fd_table[FD_MAX];
extern lock_t conn_reg;
extern pid_t shim_pid;

static inline uintptr_t fd_word(int fd)
{
	if (unlikely((unsigned int)fd >= FD_MAX))
		return 0;
	return atomic_load_explicit(&fd_table[fd], memory_order_acquire);
}

static inline void *fd_get(int fd, uintptr_t tag)
{
	uintptr_t w = fd_word(fd);

	return unlikely((w & TAG_MASK) == tag) ? (void *)(w - tag) : NULL;
}

static inline struct conn *fd_conn(int fd) { return fd_get(fd, TAG_CONN); }
static inline bool fd_is_conn(int fd, const struct conn *c)
{
	return fd_word(fd) == (uintptr_t)c + TAG_CONN;
}

/* conn_reg and the instances' locks guard lists. A signal handler that closes an fd while its own thread
 * is in the midst of one leaves the end of what it stood for to that thread (fdtable.c).
 */
extern __thread uint32_t midst __attribute__((tls_model("initial-exec")));
extern _Atomic bool fd_any_ended;
void fd_end_all(void);

static inline enum lock_got midst_enter(lock_t *l)
{
	midst++;
	return lock_wait(l);
}

static inline void midst_leave(lock_t *l, enum lock_got got)
{
	lock_drop(l, got);
	midst--;
	if (unlikely(!midst && atomic_load_explicit(&fd_any_ended, memory_order_relaxed)))
		fd_end_all();
}

bool in_vfork_child(void);
struct conn *conn_new(enum conn_mode mode);
void conn_free(struct conn *c);
bool fd_set_conn(int fd, struct conn *c);
bool fd_set_epset(int fd, struct epset *ep);
void fd_set_bare_epoll(int fd);
void fd_forget(int fd);			/* before its close */
static inline void fd_fresh(int fd)	/* from the kernel just now */
{
	if (unlikely(fd_word(fd)) && !in_vfork_child())
		fd_forget(fd);
}
uintptr_t fd_hold(int fd);		/* its word; who it is of stays until fd_let_go() */
void fd_let_go(uintptr_t held);
void fd_copied(int from, int to, uintptr_t held);	/* after dup; @held, from before it, is let go */
int fd_of(uintptr_t word);		/* some fd of this word; -1: none */
uint64_t cookie_of(int fd);
int fd_hide(int fd);			/* moves one of ours out of the way; new fd or -errno */
void fd_hidden_close(int fd);
bool fd_hidden_move(int fd);		/* the program wants this number */
void ctl_fd_moved(int from, int to);
void region_fd_moved(int from, int to);
int fd_close_range(unsigned int first, unsigned int last, unsigned int flags);
void fork_watch(void);
void sockets_are_shared(void);		/* with another process, from here on */
void fd_after_fork(void);
int fd_next_conn(int fd);		/* from @fd on; -1: none */

extern _Atomic bool confined;		/* no more system calls than the program makes (confine.c) */

bool conn_promote(int fd, struct conn *c);	/* CONNECTING, INHERITED: settle what it is */
void conn_adopt(int fd);		/* a TCP socket from elsewhere: it may be ours, or listen */
void conn_arrived(int fd);		/* any fd from elsewhere */
bool conn_leave(int fd, struct conn *c);	/* back to Linux; waits */
bool conn_stays(int fd, struct conn *c);	/* not ours yet, and never from here on; false: it is */
void conn_went_linux(struct conn *c);	/* slot is LINUX and drained: be plain */

/* Is the conn one whose bytes travel through its slot? */
static inline bool conn_ours(int fd, struct conn *c)
{
	uint32_t mode = atomic_load_explicit(&c->mode, memory_order_acquire);

	if (likely(mode == CONN_OURS))
		return true;
	return (mode == CONN_CONNECTING || mode == CONN_INHERITED) && conn_promote(fd, c);
}

/* Calls on a YOUNG one that bring it nearer to a claim; true: it is ours now. */
bool young_reads(int fd, struct conn *c, int flags);
bool young_writes(int fd, struct conn *c, size_t bytes);
bool young_settle(int fd, struct conn *c);	/* ours or Linux's, now and for good */
bool young_begins(const struct conn *listener);	/* shall what it accepted wait for its claim? */
void young_ended(struct conn *c);
void young_refused(struct conn *listener);	/* a claim at accept() was in vain */
int conn_claim_now(int fd, struct conn *c);	/* conn_reg is held; 0 or -errno */

static inline bool conn_is_young(const struct conn *c)
{
	return atomic_load_explicit(&c->mode, memory_order_relaxed) == CONN_YOUNG;
}

static inline struct conn *fd_ours(int fd)
{
	struct conn *c = fd_conn(fd);

	return unlikely(c != NULL) && conn_ours(fd, c) ? c : NULL;
}

/* The same for a call that reads, writes, or is about to wait. */
static inline struct conn *fd_reads(int fd, int flags)
{
	struct conn *c = fd_conn(fd);

	return unlikely(c != NULL) && (conn_ours(fd, c) ||
				       (conn_is_young(c) && young_reads(fd, c, flags))) ? c : NULL;
}

static inline struct conn *fd_writes(int fd, size_t bytes)
{
	struct conn *c = fd_conn(fd);

	return unlikely(c != NULL) && (conn_ours(fd, c) ||
				       (conn_is_young(c) && young_writes(fd, c, bytes))) ? c : NULL;
}

static inline struct conn *fd_waits(int fd)
{
	struct conn *c = fd_conn(fd);

	return unlikely(c != NULL) && (conn_ours(fd, c) ||
				       (conn_is_young(c) && young_settle(fd, c))) ? c : NULL;
}

int sock_socket(int domain, int type, int protocol);
int sock_listen(int fd, int backlog);
int sock_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags, bool has_flags);
int sock_connect(int fd, const struct sockaddr *addr, socklen_t len);
int sock_shutdown(int fd, struct conn *c, int how);
int sock_getsockopt(int fd, struct conn *c, int level, int name, void *val, socklen_t *len);
int sock_setsockopt(int fd, struct conn *c, int level, int name, const void *val, socklen_t len);
int sock_ioctl(int fd, struct conn *c, unsigned long req, void *arg);
int sock_fcntl(int fd, int cmd, void *arg, bool is64);
bool sock_zerocopy(int fd);
int sock_close(int fd);
int sock_dup(int fd);
int sock_dup2(int from, int to, int flags, bool is_dup3);

/* ---- TCP_INFO (info.c) ---------------------------------------------------------------- */

void info_add(struct conn *c, void *info, size_t len);

/* ---- streams and AIO of libc's own (stdio.c) ------------------------------------------- */

void stdio_takes(int fd);		/* libc is about to use it */
void stdio_look_at(int fd);		/* it has just become fd: one of the standard ones? */

/* ---- bytes (io.c, copy.c) ------------------------------------------------------------- */

ssize_t io_rx(int fd, struct conn *c, const struct iovec *iov, size_t cnt, int flags);
ssize_t io_tx(int fd, struct conn *c, const struct iovec *iov, size_t cnt, int flags);
ssize_t io_read(int fd, struct conn *c, void *buf, size_t len, int flags);
ssize_t io_write(int fd, struct conn *c, const void *buf, size_t len, int flags);
ssize_t io_recvmsg(int fd, struct conn *c, struct msghdr *m, int flags);
ssize_t io_sendmsg(int fd, struct conn *c, const struct msghdr *m, int flags);
ssize_t io_sendfile(int out, int in, off64_t *pos, size_t count);
ssize_t io_splice(int in, off64_t *in_pos, int out, off64_t *out_pos, size_t len,
		  unsigned int flags);
uint32_t io_unread(struct conn *c);
uint32_t io_unsent(struct conn *c, bool not_yet_sent);
int io_take_error(struct conn *c);	/* for SO_ERROR: 0 or the errno, once */
bool io_is_dead(const struct conn *c);
void io_forget_real_error(int fd, const struct conn *c);
int io_slot_error(struct conn *c);
void raise_sigpipe(void);

/* EPOLLIN, OUT, RDHUP, HUP, ERR as they are now; LEVEL_KERNEL: ask the real fd too. */
#define LEVEL_KERNEL	(1U << 24)
uint32_t io_levels(struct conn *c);

/* ---- waking and sleeping (kick.c, sleep.c) -------------------------------------------- */

#define FOREVER		UINT64_MAX
#define SILENCE_NS	(10 * NSEC)	/* no heartbeat for so long: connections are reset */

enum sig_kind { SIG_RESTART, SIG_INTERRUPT, SIG_BOTH };
enum sig_kind sig_kind(void);		/* what the program's handlers want (signals.c) */
void sig_changed(void);
bool region_silent(struct region *r);	/* asks the heartbeat; sets and returns r->gone */
void regions_listen(void);		/* the same for all */
uint64_t region_due(const struct region *r);	/* when its silence would be too long */
uint64_t regions_due(void);
static inline uint64_t no_later(uint64_t deadline, uint64_t limit)
{
	return deadline < limit ? deadline : limit;
}

void kick(struct region *r, struct tp_slot *s);	/* "look at this slot"; follows a full fence */
void kick_flush(void);			/* we are about to wait: wake threads that wait for us */
uint64_t deadline_after(int64_t ns);	/* < 0: FOREVER */

/* What a caller saw when it found nothing to do. */
struct seen {
	uint64_t pos;			/* rx_head or tx_tail */
	uint32_t flags, state, want;
};
/* @begun: any signal handler ends it, because the call then returns what it has done. */
int sleep_on_slot(int fd, struct conn *c, enum tp_dir dir, const struct seen *s, uint64_t deadline,
		  bool begun);
void wake_sleepers(struct conn *c);	/* our own, after a change of our own */
bool spin_for(struct region *r, bool (*ready)(void *), void *arg);
void spin_missed(uint64_t waited_ns);	/* what a wait in the kernel took */

/* ---- waiting for many (wait.c, epoll.c) ----------------------------------------------- */

struct epset;

int wait_poll(struct pollfd *fds, nfds_t n, uint64_t deadline, const sigset_t *mask);
bool wait_any_ours(const struct pollfd *fds, nfds_t n);
int wait_select(int n, fd_set *r, fd_set *w, fd_set *x, uint64_t deadline, const sigset_t *mask);
bool wait_select_ours(int n, const fd_set *r, const fd_set *w, const fd_set *x);

int ep_ctl(int epfd, int op, int fd, struct epoll_event *ev);
int ep_wait(int epfd, struct epset *ep, struct epoll_event *evs, int max, uint64_t deadline,
	    const sigset_t *mask);
extern _Atomic uint32_t ep_bare_waiters;	/* threads in a wait that knows of no fds of ours */
int ep_became(int epfd, struct epset *ep, struct epoll_event *evs, int max, int n,
	      uint64_t deadline, const sigset_t *mask);
void ep_conn_claimed(struct conn *c);	/* registered before it was ours */
void ep_conn_plain(struct conn *c);	/* registered while it was ours; conn_reg is held */
void ep_conn_closed(struct conn *c);
void ep_conn_changed(struct conn *c);	/* by ourselves: look at it again */
void ep_created(int epfd);
bool ep_ready(struct epset *ep);	/* would epoll_wait find something of ours? */
bool ep_arm(struct epset *ep);		/* sleep on its fd; true: something is there already */
bool ep_is_blind(const struct epset *ep);	/* look at it often: there was no context for it */
bool ep_any_unheard(void);		/* instances in others that nobody tells of news */
void ep_ring_unheard(void);		/* makes those that have some readable */
bool ep_may_hold_ours(int fd);		/* an instance whose readiness is not the kernel's alone */
int ep_wait_unheard(int epfd, struct epoll_event *evs, int max, uint64_t deadline,
		    const sigset_t *mask);	/* of an instance without fds of ours */
bool ep_hush(struct epset *ep);		/* nothing of ours is ready; true: look again */
void ep_disarm(struct epset *ep);
void ep_fd_copied(struct epset *ep, int to);
void ep_fd_closed(struct epset *ep, int fd);
_Atomic uint32_t *ep_refs(struct epset *ep);
void ep_end(struct epset *ep);		/* its last fd is closed */
void ep_fd_moved(int from, int to);
void ep_after_fork(void);

/* ---- pools (pool.c) ------------------------------------------------------------------- */

struct pool {
	_Atomic(char *) base;
	uint32_t size, max;
	_Atomic uint32_t used;
};

/* A new object, or NULL; objects are never given back (users keep lists of free ones). */
void *pool_grow(struct pool *p);
static inline bool pool_has(struct pool *p, uint64_t addr)
{
	uint64_t base = (uintptr_t)atomic_load_explicit(&p->base, memory_order_relaxed);

	return base && addr - base < (uint64_t)p->size * p->max && (addr - base) % p->size == 0;
}
void *tmp_get(size_t size);		/* NULL: no memory */
void tmp_put(void *mem, size_t size);

#endif
