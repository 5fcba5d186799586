/* SPDX-License-Identifier: BSD-2-Clause
 *
 * intercept.c - the names that a program calls instead of libc's.
 *
 * Each looks the fd up and goes to libc, or to the function that knows. This is the only place
 * that sets errno. Below the plain names: those that fortified programs call instead
 * (__read_chk...), which check the buffer's size as glibc does.
 */
#include <sys/syscall.h>

#include "shim.h"

#undef fcntl
#undef fcntl64
#undef sendfile
#undef sendfile64

_Static_assert(sizeof(off_t) == sizeof(off64_t), "positions are of 64 bits");

#define EXPORT	__attribute__((visibility("default")))

static inline ssize_t ret_errno(ssize_t n)
{
	if (unlikely(n < 0)) {
		errno = (int)-n;
		return -1;
	}
	return n;
}

static bool bad_ts(const struct timespec *ts)
{
	return ts && (ts->tv_sec < 0 || (unsigned long)ts->tv_nsec >= NSEC);
}

/* What only Linux can send: the connection goes back first. */
#define NEEDS_LINUX_TX	(MSG_OOB | MSG_FASTOPEN)
/* What only the real fd can answer, and does at once. */
#define REAL_RX		(MSG_OOB | MSG_ERRQUEUE)

static struct conn *rx_conn(int fd, int flags)
{
	struct conn *c = fd_reads(fd, flags);

	return unlikely(c && flags & REAL_RX) ? NULL : c;
}

/* A socket may have SO_ZEROCOPY from its listener; without it MSG_ZEROCOPY means nothing. */
static bool needs_linux_tx(int fd, int flags)
{
	return flags & NEEDS_LINUX_TX || (flags & MSG_ZEROCOPY && sock_zerocopy(fd));
}

static size_t bytes_of(const struct iovec *iov, size_t cnt)
{
	size_t n = 0;

	for (size_t i = 0; i < cnt; i++)
		n += iov[i].iov_len;
	return n;
}

static size_t bytes_if_young(int fd, const struct iovec *iov, int cnt)
{
	struct conn *c = fd_conn(fd);

	return unlikely(c && conn_is_young(c) && cnt > 0 && cnt <= IOV_LIMIT && !BAD_PTR(iov)) ?
	       bytes_of(iov, (size_t)cnt) : 0;
}

static struct conn *tx_conn(int fd, size_t bytes, int flags)
{
	struct conn *c = fd_writes(fd, bytes);

	return unlikely(c && flags & (NEEDS_LINUX_TX | MSG_ZEROCOPY) &&
			needs_linux_tx(fd, flags) && conn_leave(fd, c)) ? NULL : c;
}

/* ---- reading -------------------------------------------------------------------------- */

EXPORT ssize_t read(int fd, void *buf, size_t n)
{
	struct conn *c = fd_reads(fd, 0);

	if (likely(!c))
		return libc()->read(fd, buf, n);
	return n ? ret_errno(io_read(fd, c, buf, n, 0)) : 0;
}

/* As a read of nothing it returns at once, which a recv of nothing does not. */
static ssize_t read_pieces(int fd, struct conn *c, const struct iovec *iov, int cnt, int flags)
{
	int i = 0;

	while (i < cnt && !BAD_PTR(iov) && !iov[i].iov_len)
		i++;
	return i == cnt ? 0 : ret_errno(io_rx(fd, c, iov, (size_t)cnt, flags));
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int cnt)
{
	struct conn *c = fd_reads(fd, 0);

	if (likely(!c) || cnt <= 0 || cnt > IOV_LIMIT)
		return libc()->readv(fd, iov, cnt);
	return read_pieces(fd, c, iov, cnt, 0);
}

/* At position -1 they are readv and writev; what else @flags may say says nothing of a socket. */
#define KNOWN_RWF	(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND)

static inline int rwf_flags(int flags) { return flags & RWF_NOWAIT ? MSG_DONTWAIT : 0; }

EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int cnt, off_t pos, int flags)
{
	struct conn *c = pos == -1 && !(flags & ~KNOWN_RWF) ? fd_reads(fd, rwf_flags(flags)) : NULL;

	if (likely(!c) || cnt <= 0 || cnt > IOV_LIMIT)
		return libc()->preadv2(fd, iov, cnt, pos, flags);
	return read_pieces(fd, c, iov, cnt, rwf_flags(flags));
}

/* What programs with large files call. */
EXPORT ssize_t preadv64v2(int fd, const struct iovec *iov, int cnt, off64_t pos, int flags)
	__attribute__((alias("preadv2")));

EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	struct conn *c = rx_conn(fd, flags);

	return likely(!c) ? libc()->recv(fd, buf, n, flags) :
			    ret_errno(io_read(fd, c, buf, n, flags));
}

EXPORT ssize_t recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
			socklen_t *len)
{
	struct conn *c = rx_conn(fd, flags);
	ssize_t ret;

	if (likely(!c))
		return libc()->recvfrom(fd, buf, n, flags, addr, len);
	ret = io_read(fd, c, buf, n, flags);
	if (ret >= 0 && addr && len)
		*len = 0;			/* a stream's bytes come without an address */
	return ret_errno(ret);
}

static ssize_t one_recvmsg(int fd, struct conn *c, struct msghdr *m, int flags)
{
	return ret_errno(io_recvmsg(fd, c, m, flags));
}

/* Fds that came with a message may be connections that are on the fast path. */
static void adopt_passed(struct msghdr *m)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		size_t n = h->cmsg_len - CMSG_LEN(0);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i + sizeof(int) <= n; i += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i, sizeof(fd));
			conn_arrived(fd);
		}
	}
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	struct conn *c = rx_conn(fd, flags);
	ssize_t n;

	if (unlikely(c != NULL))
		return one_recvmsg(fd, c, m, flags);
	n = libc()->recvmsg(fd, m, flags);
	if (n >= 0 && m->msg_control && m->msg_controllen && !(flags & MSG_ERRQUEUE))
		adopt_passed(m);
	return n;
}

EXPORT int recvmmsg(int fd, struct mmsghdr *v, unsigned int n, int flags, struct timespec *limit)
{
	struct conn *c = rx_conn(fd, flags);
	uint64_t deadline;
	unsigned int i;

	if (likely(!c) || bad_ts(limit))
		return libc()->recvmmsg(fd, v, n, flags, limit);
	deadline = limit ? deadline_after(limit->tv_sec * (int64_t)NSEC + limit->tv_nsec) : FOREVER;
	for (i = 0; i < n; i++) {
		ssize_t got = io_recvmsg(fd, c, &v[i].msg_hdr, flags & ~MSG_WAITFORONE);

		if (got < 0)
			return i ? (int)i : (int)ret_errno(got);
		v[i].msg_len = (unsigned int)got;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (got == 0 || now_ns() >= deadline) {
			i++;
			break;
		}
	}
	return (int)i;
}

/* ---- writing -------------------------------------------------------------------------- */

EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
	struct conn *c = fd_writes(fd, n);

	return likely(!c) ? libc()->write(fd, buf, n) : ret_errno(io_write(fd, c, buf, n, 0));
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int cnt)
{
	struct conn *c = fd_writes(fd, bytes_if_young(fd, iov, cnt));

	if (likely(!c) || cnt <= 0 || cnt > IOV_LIMIT)
		return libc()->writev(fd, iov, cnt);
	return ret_errno(io_tx(fd, c, iov, (size_t)cnt, 0));
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int cnt, off_t pos, int flags)
{
	struct conn *c = pos == -1 && !(flags & ~KNOWN_RWF) ?
			 fd_writes(fd, bytes_if_young(fd, iov, cnt)) : NULL;

	if (likely(!c) || cnt <= 0 || cnt > IOV_LIMIT)
		return libc()->pwritev2(fd, iov, cnt, pos, flags);
	return ret_errno(io_tx(fd, c, iov, (size_t)cnt, rwf_flags(flags)));
}

EXPORT ssize_t pwritev64v2(int fd, const struct iovec *iov, int cnt, off64_t pos, int flags)
	__attribute__((alias("pwritev2")));

EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	struct conn *c = tx_conn(fd, n, flags);

	return likely(!c) ? libc()->send(fd, buf, n, flags) :
			    ret_errno(io_write(fd, c, buf, n, flags));
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr,
		      socklen_t len)
{
	struct conn *c = tx_conn(fd, n, flags);

	return likely(!c) ? libc()->sendto(fd, buf, n, flags, addr, len) :
			    ret_errno(io_write(fd, c, buf, n, flags));
}

/* Whom it goes to may set O_NONBLOCK on what we keep. */
static bool passes_fds(const struct msghdr *m)
{
	if (BAD_PTR(m) || BAD_PTR(m->msg_control))
		return false;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR((struct msghdr *)m, h))
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
			return true;
	return false;
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct conn *c = tx_conn(fd, BAD_PTR(m) ? 0 : bytes_if_young(fd, m->msg_iov, (int)m->msg_iovlen), flags);

	if (unlikely(c && !BAD_PTR(m) && m->msg_controllen && conn_leave(fd, c)))
		c = NULL;			/* what it asks for is asked of Linux's stack */
	if (likely(!c)) {
		if (unlikely(passes_fds(m)))
			sockets_are_shared();
		return libc()->sendmsg(fd, m, flags);
	}
	return ret_errno(io_sendmsg(fd, c, m, flags));
}

EXPORT int sendmmsg(int fd, struct mmsghdr *v, unsigned int n, int flags)
{
	struct conn *c = tx_conn(fd, 0, flags);
	unsigned int i;

	if (likely(!c)) {
		for (i = 0; !BAD_PTR(v) && i < n && i < IOV_LIMIT; i++)
			if (unlikely(passes_fds(&v[i].msg_hdr)))
				sockets_are_shared();
		return libc()->sendmmsg(fd, v, n, flags);
	}
	for (i = 0; i < n; i++) {
		ssize_t put = io_sendmsg(fd, c, &v[i].msg_hdr, flags);

		if (put < 0)
			return i ? (int)i : (int)ret_errno(put);
		v[i].msg_len = (unsigned int)put;
	}
	return (int)i;
}

EXPORT ssize_t sendfile(int out, int in, off_t *pos, size_t n)
{
	return likely(!fd_writes(out, n)) ? libc()->sendfile(out, in, pos, n) :
				       ret_errno(io_sendfile(out, in, (off64_t *)pos, n));
}

EXPORT ssize_t sendfile64(int out, int in, off64_t *pos, size_t n)
{
	return likely(!fd_writes(out, n)) ? libc()->sendfile64(out, in, pos, n) :
				       ret_errno(io_sendfile(out, in, pos, n));
}

EXPORT ssize_t splice(int in, off64_t *in_pos, int out, off64_t *out_pos, size_t n,
		      unsigned int flags)
{
	if (likely(!fd_ours(in) && !fd_ours(out)))
		return libc()->splice(in, in_pos, out, out_pos, n, flags);
	return ret_errno(io_splice(in, in_pos, out, out_pos, n, flags));
}

/* ---- sockets -------------------------------------------------------------------------- */

EXPORT int socket(int domain, int type, int protocol) { return sock_socket(domain, type, protocol); }
EXPORT int listen(int fd, int backlog) { return sock_listen(fd, backlog); }

EXPORT int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	return sock_accept(fd, addr, len, 0, false);
}

EXPORT int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return sock_accept(fd, addr, len, flags, true);
}

EXPORT int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return sock_connect(fd, addr, len);
}

EXPORT int shutdown(int fd, int how)
{
	struct conn *c = fd_ours(fd);

	return likely(!c) ? libc()->shutdown(fd, how) : sock_shutdown(fd, c, how);
}

EXPORT int getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	struct conn *c = fd_ours(fd);

	return likely(!c) ? libc()->getsockopt(fd, level, name, val, len) :
			    sock_getsockopt(fd, c, level, name, val, len);
}

EXPORT int setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	struct conn *c = fd_ours(fd);

	return likely(!c) ? libc()->setsockopt(fd, level, name, val, len) :
			    sock_setsockopt(fd, c, level, name, val, len);
}

/* A third argument is there or not; passing on what the register holds does no harm. */
EXPORT int ioctl(int fd, unsigned long req, ...)
{
	struct conn *c = fd_ours(fd);
	va_list ap;
	void *arg;

	va_start(ap, req);
	arg = va_arg(ap, void *);
	va_end(ap);
	return likely(!c) ? libc()->ioctl(fd, req, arg) : sock_ioctl(fd, c, req, arg);
}

EXPORT int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return sock_fcntl(fd, cmd, arg, false);
}

EXPORT int fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return sock_fcntl(fd, cmd, arg, true);
}

/* ---- fds ------------------------------------------------------------------------------ */

EXPORT int close(int fd)
{
	return likely(!fd_word(fd)) ? libc()->close(fd) : sock_close(fd);
}

EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	return fd_close_range(first, last, (unsigned int)flags);
}

EXPORT void closefrom(int low)
{
	(void)fd_close_range(low > 0 ? (unsigned int)low : 0, ~0U, 0);
}

EXPORT int dup(int fd) { return sock_dup(fd); }
EXPORT int dup2(int from, int to) { return sock_dup2(from, to, 0, false); }
EXPORT int dup3(int from, int to, int flags) { return sock_dup2(from, to, flags, true); }

/* ---- waiting -------------------------------------------------------------------------- */

static uint64_t after_ms(int ms) { return ms == 0 ? 0 : deadline_after(ms * 1000000LL); }

static uint64_t after_ts(const struct timespec *ts)
{
	if (!ts)
		return FOREVER;
	if (ts->tv_sec == 0 && ts->tv_nsec == 0)
		return 0;
	if (ts->tv_sec > INT32_MAX)
		return FOREVER;
	return deadline_after(ts->tv_sec * (int64_t)NSEC + ts->tv_nsec);
}

/* None of ours: libc waits, and a fast thread that lets us run need not wait for us meanwhile. */
static bool or_let_go(bool ours)
{
	if (likely(!ours))
		kick_flush();
	return ours;
}

static bool any_ours(struct pollfd *fds, nfds_t n) { return or_let_go(wait_any_ours(fds, n)); }

static bool any_selected(int n, const fd_set *r, const fd_set *w, const fd_set *x)
{
	return or_let_go(wait_select_ours(n, r, w, x));
}

/* glibc declares the array write-only, which half of it is not. */
static struct pollfd *both_ways(struct pollfd *fds)
{
	__asm__("" : "+r"(fds));
	return fds;
}

EXPORT int poll(struct pollfd *fds, nfds_t n, int ms)
{
	fds = both_ways(fds);
	if (BAD_PTR(fds) || likely(!any_ours(fds, n)))
		return libc()->poll(fds, n, ms);
	return (int)ret_errno(wait_poll(fds, n, after_ms(ms), NULL));
}

EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *limit, const sigset_t *mask)
{
	fds = both_ways(fds);
	if (BAD_PTR(fds) || likely(!any_ours(fds, n)) || bad_ts(limit))
		return libc()->ppoll(fds, n, limit, mask);
	return (int)ret_errno(wait_poll(fds, n, after_ts(limit), mask));
}

EXPORT int select(int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *limit)
{
	uint64_t deadline = FOREVER, now;
	int ret;

	if (likely(!any_selected(n, r, w, x)) ||
	    (limit && (limit->tv_sec < 0 || limit->tv_usec < 0)))
		return libc()->select(n, r, w, x, limit);
	if (limit)
		deadline = limit->tv_sec || limit->tv_usec ?
			   deadline_after(limit->tv_sec * (int64_t)NSEC + limit->tv_usec * 1000LL) :
			   0;
	ret = wait_select(n, r, w, x, deadline, NULL);
	if (limit && deadline) {		/* Linux says how much time was left */
		now = now_ns();
		now = deadline > now ? deadline - now : 0;
		limit->tv_sec = (time_t)(now / NSEC);
		limit->tv_usec = (suseconds_t)(now % NSEC / 1000);
	}
	return (int)ret_errno(ret);
}

EXPORT int pselect(int n, fd_set *r, fd_set *w, fd_set *x, const struct timespec *limit,
		   const sigset_t *mask)
{
	if (likely(!any_selected(n, r, w, x)) || bad_ts(limit))
		return libc()->pselect(n, r, w, x, limit, mask);
	return (int)ret_errno(wait_select(n, r, w, x, after_ts(limit), mask));
}

EXPORT int epoll_create(int size)
{
	int fd = libc()->epoll_create(size);

	ep_created(fd);
	return fd;
}

EXPORT int epoll_create1(int flags)
{
	int fd = libc()->epoll_create1(flags);

	ep_created(fd);
	return fd;
}

EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	if (likely(!fd_word(fd)))
		return libc()->epoll_ctl(epfd, op, fd, ev);
	return (int)ret_errno(ep_ctl(epfd, op, fd, ev));
}

/* Meanwhile another thread may put an fd of ours into the instance: it looks at ep_bare_waiters. */
static bool bare_begin(int epfd)
{
	kick_flush();
	atomic_fetch_add(&ep_bare_waiters, 1);
	return !fd_get(epfd, TAG_EPOLL);
}

/* What the kernel reported, @n, is what the program gets, unless that has happened. */
static int bare_end(int epfd, struct epoll_event *evs, int max, int n, uint64_t deadline,
		    const sigset_t *mask)
{
	struct epset *ep = fd_get(epfd, TAG_EPOLL);

	atomic_fetch_sub(&ep_bare_waiters, 1);
	if (likely(!ep) || n < 0)
		return n;
	return (int)ret_errno(ep_became(epfd, ep, evs, max, n, deadline, mask));
}

EXPORT int epoll_wait(int epfd, struct epoll_event *evs, int max, int ms)
{
	struct epset *ep = fd_get(epfd, TAG_EPOLL);
	uint64_t deadline = after_ms(ms);
	int n = 0;

	if (unlikely(ep != NULL))
		return (int)ret_errno(ep_wait(epfd, ep, evs, max, deadline, NULL));
	if (unlikely(ep_any_unheard()))
		return (int)ret_errno(ep_wait_unheard(epfd, evs, max, deadline, NULL));
	if (ms == 0)
		return libc()->epoll_wait(epfd, evs, max, ms);
	if (bare_begin(epfd))
		n = libc()->epoll_wait(epfd, evs, max, ms);
	return bare_end(epfd, evs, max, n, deadline, NULL);
}

EXPORT int epoll_pwait(int epfd, struct epoll_event *evs, int max, int ms, const sigset_t *mask)
{
	struct epset *ep = fd_get(epfd, TAG_EPOLL);
	uint64_t deadline = after_ms(ms);
	int n = 0;

	if (unlikely(ep != NULL))
		return (int)ret_errno(ep_wait(epfd, ep, evs, max, deadline, mask));
	if (unlikely(ep_any_unheard()))
		return (int)ret_errno(ep_wait_unheard(epfd, evs, max, deadline, mask));
	if (ms == 0)
		return libc()->epoll_pwait(epfd, evs, max, ms, mask);
	if (bare_begin(epfd))
		n = libc()->epoll_pwait(epfd, evs, max, ms, mask);
	return bare_end(epfd, evs, max, n, deadline, mask);
}

static int real_pwait2(int epfd, struct epoll_event *evs, int max, const struct timespec *limit,
		       const sigset_t *mask)
{
	return (int)syscall(SYS_epoll_pwait2, epfd, evs, max, limit, mask, (size_t)(_NSIG / 8));
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *evs, int max, const struct timespec *limit,
			const sigset_t *mask)
{
	struct epset *ep = fd_get(epfd, TAG_EPOLL);
	uint64_t deadline;
	int n = 0;

	if (bad_ts(limit))
		return real_pwait2(epfd, evs, max, limit, mask);
	deadline = after_ts(limit);
	if (unlikely(ep != NULL))
		return (int)ret_errno(ep_wait(epfd, ep, evs, max, deadline, mask));
	if (unlikely(ep_any_unheard()))
		return (int)ret_errno(ep_wait_unheard(epfd, evs, max, deadline, mask));
	if (bare_begin(epfd))
		n = real_pwait2(epfd, evs, max, limit, mask);
	return bare_end(epfd, evs, max, n, deadline, mask);
}

/* ---- memory --------------------------------------------------------------------------- */

/* A region is hundreds of GiB of address space, nearly all of it holes: lock what gets touched. */
EXPORT int mlockall(int flags)
{
	if (region_count && flags & (MCL_CURRENT | MCL_FUTURE))
		flags |= MCL_ONFAULT;
	return libc()->mlockall(flags);
}

/* ---- signals (signals.c wants to know of handlers) ---------------------------------------- */

EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	if (act)
		sig_changed();
	return libc()->sigaction(sig, act, old);
}

EXPORT __sighandler_t signal(int sig, __sighandler_t handler)
{
	sig_changed();
	return libc()->signal(sig, handler);
}

/* The same by other names. */
EXPORT int __sigaction(int sig, const struct sigaction *act, struct sigaction *old)
	__attribute__((alias("sigaction"), nothrow, leaf));
EXPORT __sighandler_t bsd_signal(int sig, __sighandler_t handler) __attribute__((alias("signal"), nothrow, leaf));
EXPORT __sighandler_t ssignal(int sig, __sighandler_t handler) __attribute__((alias("signal"), nothrow, leaf));

/* What signal() is to a program of strict ISO C: the handler is of one use, and interrupts. */
EXPORT __sighandler_t __sysv_signal(int sig, __sighandler_t handler)
{
	sig_changed();
	return libc()->__sysv_signal(sig, handler);
}

EXPORT __sighandler_t sysv_signal(int sig, __sighandler_t handler)
	__attribute__((alias("__sysv_signal")));

EXPORT __sighandler_t sigset(int sig, __sighandler_t handler)
{
	sig_changed();
	return libc()->sigset(sig, handler);
}

EXPORT int siginterrupt(int sig, int interrupt)
{
	sig_changed();
	return libc()->siginterrupt(sig, interrupt);
}

/* ---- what fortified programs call ----------------------------------------------------- */

extern void __chk_fail(void) __attribute__((noreturn));

EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t room)
{
	if (n > room)
		__chk_fail();
	return read(fd, buf, n);
}

EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags)
{
	if (n > room)
		__chk_fail();
	return recv(fd, buf, n, flags);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags,
			      struct sockaddr *addr, socklen_t *len);
EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags,
			      struct sockaddr *addr, socklen_t *len)
{
	if (n > room)
		__chk_fail();
	return recvfrom(fd, buf, n, flags, addr, len);
}

EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int ms, size_t room);
EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int ms, size_t room)
{
	if (room / sizeof(*fds) < n)
		__chk_fail();
	return poll(fds, n, ms);
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *limit,
		       const sigset_t *mask, size_t room);
EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *limit,
		       const sigset_t *mask, size_t room)
{
	if (room / sizeof(*fds) < n)
		__chk_fail();
	return ppoll(fds, n, limit, mask);
}
