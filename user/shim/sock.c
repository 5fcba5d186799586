/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sock.c - what happens to sockets apart from bytes: birth, claim, options, end.
 *
 * The real call always comes first and its result is what the program gets. Around it:
 *
 *  socket      a TCP socket is remembered while there is a daemon
 *  listen      LISTEN, so that SYNs to this port take the path on which claims are possible
 *  accept      CLAIM at once: the answer comes before the program sees the fd; or later (young.c)
 *  connect     CONNECT first, so that the SYN is watched; CLAIM when it is established, which for a
 *              non-blocking socket is at its first use (conn_promote)
 *  close       the entry goes, then the real fd; the daemon learns of the release from Linux
 *
 * A refused or failed claim leaves no conn behind, so the fd costs nothing from then on.
 */
#include <arpa/inet.h>
#include <asm/socket.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/syscall.h>

#include "shim.h"

/* ---- names ---------------------------------------------------------------------------- */

/* Only what is IPv4 on the wire is carried; :: as a local address stands for any. */
static bool addr_of(const struct sockaddr_storage *ss, uint8_t ip[16], uint16_t *port, bool any_ok)
{
	const struct sockaddr_in *in = (const void *)ss;
	const struct sockaddr_in6 *in6 = (const void *)ss;

	if (ss->ss_family == AF_INET) {
		tp_set_ip4(ip, in->sin_addr.s_addr);
		*port = ntohs(in->sin_port);
		if (any_ok && in->sin_addr.s_addr == 0)
			memset(ip, 0, 16);
		return true;
	}
	if (ss->ss_family != AF_INET6)
		return false;
	*port = ntohs(in6->sin6_port);
	memcpy(ip, &in6->sin6_addr, 16);
	return IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ||
	       (any_ok && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr));
}

static bool name_of(int fd, bool peer, uint8_t ip[16], uint16_t *port, bool any_ok)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if ((peer ? getpeername(fd, (void *)&ss, &len) : getsockname(fd, (void *)&ss, &len)) < 0)
		return false;
	return addr_of(&ss, ip, port, any_ok);
}

static int option(int fd, int level, int name)
{
	int val = 0;
	socklen_t len = sizeof(val);

	return libc()->getsockopt(fd, level, name, &val, &len) < 0 ? 0 : val;
}

uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return libc()->getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0 ? 0 : cookie;
}

/* ---- claiming ------------------------------------------------------------------------- */

static void conn_take(int fd, struct conn *c, const struct claim *cl)
{
	struct region *r = cl->region;
	void *base = r->base;

	c->region = r;
	c->index = cl->slot;
	c->generation = cl->generation;
	c->slot = tp_slot_at(base, &r->geo, cl->slot);
	c->rx.small = tp_small_at(base, &r->geo, cl->slot, TP_RX);
	c->rx.big = tp_big_at(base, &r->geo, cl->slot, TP_RX);
	c->tx.small = tp_small_at(base, &r->geo, cl->slot, TP_TX);
	c->tx.big = tp_big_at(base, &r->geo, cl->slot, TP_TX);
	c->claimed = true;
	c->rx_told = atomic_load_explicit(&c->slot->rx_tail, memory_order_relaxed);
	c->nonblock = libc()->fcntl(fd, F_GETFL) & O_NONBLOCK;
	atomic_store_explicit(&c->slot->rcvlowat, (uint32_t)option(fd, SOL_SOCKET, SO_RCVLOWAT),
			      memory_order_relaxed);
	c->notsent_lowat = (uint32_t)option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT);
}

static uint32_t opts_of(int fd)
{
	return (option(fd, IPPROTO_TCP, TCP_NODELAY) ? TP_O_NODELAY : 0) |
	       (option(fd, IPPROTO_TCP, TCP_CORK) ? TP_O_CORK : 0);
}

/* Fills @c and makes it ours; on failure @c is as before. Registrations come after. */
static int conn_claim(int fd, struct conn *c, enum tp_ctl_type type)
{
	struct claim cl;
	int err;

	if (!name_of(fd, true, c->key.peer_ip, &c->key.peer_port, false) ||
	    !name_of(fd, false, c->key.local_ip, &c->key.local_port, false))
		return -EAFNOSUPPORT;
	c->cookie = cookie_of(fd);
	err = ctl_claim(type, &c->key, c->cookie, opts_of(fd), &cl);
	if (err < 0)
		return err;
	conn_take(fd, c, &cl);
	return 0;
}

/* From here on I/O on @fd goes by the slot. */
static void conn_begin(struct conn *c)
{
	atomic_store_explicit(&c->mode, CONN_OURS, memory_order_release);
	ep_conn_claimed(c);
}

int conn_claim_now(int fd, struct conn *c)
{
	int err = conn_claim(fd, c, TP_CTL_CLAIM);

	if (!err)
		conn_begin(c);
	return err;
}

static bool is_established(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info.tcpi_state);

	return libc()->getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       (info.tcpi_state == TCP_ESTABLISHED || info.tcpi_state == TCP_CLOSE_WAIT);
}

bool conn_promote(int fd, struct conn *c)
{
	enum lock_got got;
	int saved = errno;
	uint32_t mode;

	if (!is_established(fd)) {
		errno = saved;
		return false;
	}
	got = midst_enter(&conn_reg);
	mode = atomic_load(&c->mode);
	if (got == LOCK_TAKEN && (mode == CONN_CONNECTING || mode == CONN_INHERITED)) {
		if (conn_claim(fd, c, mode == CONN_INHERITED ? TP_CTL_FIND : TP_CTL_CLAIM) == 0)
			conn_begin(c);
		else
			atomic_store(&c->mode, CONN_PLAIN);
	}
	midst_leave(&conn_reg, got);
	errno = saved;
	return atomic_load(&c->mode) == CONN_OURS;
}

static void register_port(int fd, struct conn *c)
{
	if (!name_of(fd, false, c->key.local_ip, &c->key.local_port, true))
		return;
	c->cookie = cookie_of(fd);
	c->listen_epoch = ctl_epoch();
	if (ctl_listen(TP_CTL_LISTEN, &c->key, c->cookie) == 0)
		c->listen_pid = shim_pid;
}

void conn_adopt(int fd)
{
	bool listens = option(fd, SOL_SOCKET, SO_ACCEPTCONN);
	struct conn *c = ctl_up() ? conn_new(listens ? CONN_LISTEN : CONN_INHERITED) : NULL;

	if (!c)
		return;
	if (!fd_set_conn(fd, c))
		conn_free(c);
	else if (listens)
		register_port(fd, c);
}

void conn_arrived(int fd)
{
	int saved = errno;

	if (in_vfork_child())
		return;
	fd_fresh(fd);
	if (option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP)
		conn_adopt(fd);
	stdio_look_at(fd);
	errno = saved;
}

void conn_went_linux(struct conn *c)
{
	struct tp_slot *s = c->slot;
	enum lock_got got;

	if (!c->claimed || atomic_load(&s->state) != TP_SLOT_LINUX || io_unread(c) ||
	    atomic_load(&s->tx_head) != atomic_load(&s->tx_tail))
		return;
	got = midst_enter(&conn_reg);
	if (got == LOCK_TAKEN && atomic_load(&c->mode) == CONN_OURS && c->slot == s &&
	    atomic_load(&s->state) == TP_SLOT_LINUX) {
		atomic_store_explicit(&c->mode, CONN_PLAIN, memory_order_release);
		ep_conn_plain(c);
	}
	midst_leave(&conn_reg, got);
}

/* ---- birth ---------------------------------------------------------------------------- */

static bool is_tcp(int domain, int type, int protocol)
{
	return (domain == AF_INET || domain == AF_INET6) &&
	       (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == SOCK_STREAM &&
	       (protocol == 0 || protocol == IPPROTO_TCP);
}

int sock_socket(int domain, int type, int protocol)
{
	int fd = libc()->socket(domain, type, protocol), saved = errno;
	struct conn *c;

	if (fd < 0)
		return fd;
	if (fd_word(fd) && !in_vfork_child())
		fd_forget(fd);
	if (is_tcp(domain, type, protocol) && ctl_up()) {
		c = conn_new(CONN_SOCK);
		if (c && !fd_set_conn(fd, c))
			conn_free(c);
		stdio_look_at(fd);
	}
	errno = saved;
	return fd;
}

int sock_listen(int fd, int backlog)
{
	int ret = libc()->listen(fd, backlog), saved = errno;
	struct conn *c = fd_conn(fd);

	if (ret == 0 && !c && option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP && ctl_up()) {
		c = conn_new(CONN_SOCK);
		if (c && !fd_set_conn(fd, c)) {
			conn_free(c);
			c = NULL;
		}
	}
	if (ret == 0 && c && !in_vfork_child()) {
		atomic_store(&c->mode, CONN_LISTEN);
		register_port(fd, c);
	}
	errno = saved;
	return ret;
}

/* A child that accepts on its parent's socket keeps the port registered in its own name, and a
 * daemon that came later hears of the port too.
 */
static void share_listener(int fd, struct conn *c)
{
	int saved = errno;

	if (ctl_up() && ((c->listen_pid && c->listen_pid != shim_pid) ||
			 c->listen_epoch != ctl_epoch()))
		register_port(fd, c);
	errno = saved;
}

/* The daemon said no, or was not asked because the peer has gone. Not so if it could not be asked, or may
 * say yes to the next.
 */
static bool was_in_vain(int fd, int err)
{
	return err == -EOPNOTSUPP || (err == -EAFNOSUPPORT && !is_established(fd));
}

static void take_accepted(int fd, struct conn *listener)
{
	bool young = young_begins(listener);
	struct conn *c = conn_new(young ? CONN_YOUNG : CONN_SOCK);
	int err;

	if (!c)
		return;
	c->listener = listener;
	err = young ? 0 : conn_claim(fd, c, TP_CTL_CLAIM);
	if (err < 0 && was_in_vain(fd, err))
		young_refused(listener);
	if (err < 0 || !fd_set_conn(fd, c)) {
		conn_free(c);
		return;
	}
	if (!young)
		conn_begin(c);
}

int sock_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags, bool has_flags)
{
	struct conn *l = fd_conn(fd);
	int got, saved;

	if (l && atomic_load(&l->mode) == CONN_LISTEN)
		share_listener(fd, l);
	kick_flush();
	got = has_flags ? libc()->accept4(fd, addr, len, flags) : libc()->accept(fd, addr, len);
	if (got < 0)
		return got;
	saved = errno;
	if (fd_word(got))
		fd_forget(got);
	if (l && atomic_load(&l->mode) == CONN_LISTEN && !in_vfork_child() && ctl_up())
		take_accepted(got, l);
	stdio_look_at(got);
	errno = saved;
	return got;
}

int sock_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct conn *c = fd_conn(fd);
	bool ours = c && atomic_load(&c->mode) == CONN_SOCK && !in_vfork_child();
	uint32_t sock = CONN_SOCK;
	int saved = errno, ret;

	/* unless another thread has said meanwhile that it stays Linux's (conn_stays) */
	if (ours && ctl_up() && ctl_connect(cookie_of(fd)) == 0)
		atomic_compare_exchange_strong(&c->mode, &sock, CONN_CONNECTING);
	errno = saved;
	ret = libc()->connect(fd, addr, len);
	if (ret == 0 && ours)
		conn_ours(fd, c);
	return ret;
}

/* ---- the way back --------------------------------------------------------------------- */

#define LEAVE_LIMIT_NS	(10 * NSEC)

bool conn_leave(int fd, struct conn *c)
{
	uint64_t deadline = deadline_after((int64_t)LEAVE_LIMIT_NS);
	int saved = errno;

	if (ctl_about(c, TP_CTL_LEAVE) < 0) {
		errno = saved;
		return false;
	}
	for (;;) {
		struct tp_slot *s = c->slot;
		struct seen seen = {
			.pos = atomic_load(&s->tx_tail), .want = atomic_load(&s->tx_want),
			.flags = atomic_load(&s->fast_flags), .state = atomic_load(&s->state),
		};

		if (seen.state != TP_SLOT_FAST && seen.state != TP_SLOT_LEAVING)
			break;
		if (sleep_on_slot(fd, c, TP_TX, &seen, deadline, false) == -EAGAIN)
			break;
	}
	conn_went_linux(c);
	errno = saved;
	return atomic_load(&c->slot->state) == TP_SLOT_LINUX;
}

bool conn_stays(int fd, struct conn *c)
{
	enum lock_got got = midst_enter(&conn_reg);
	uint32_t mode = atomic_load(&c->mode);
	bool stays = (mode == CONN_YOUNG || mode == CONN_SOCK || mode == CONN_CONNECTING) &&
		     got == LOCK_TAKEN && fd_is_conn(fd, c);

	if (stays)
		atomic_store(&c->mode, CONN_PLAIN);
	midst_leave(&conn_reg, got);
	return stays;
}

/* ---- options -------------------------------------------------------------------------- */

/* The flags first: who is woken by the kernel's HUP must find them. */
int sock_shutdown(int fd, struct conn *c, int how)
{
	bool rd = how == SHUT_RD || how == SHUT_RDWR, wr = how == SHUT_WR || how == SHUT_RDWR;
	bool was_rd = c->shut_rd, was_wr = c->shut_wr;
	int ret;

	c->shut_rd |= rd;
	c->shut_wr |= wr;
	ret = libc()->shutdown(fd, how);
	if (ret < 0) {
		c->shut_rd = was_rd;
		c->shut_wr = was_wr;
		return ret;
	}
	wake_sleepers(c);
	ep_conn_changed(c);
	return ret;
}

static int give_int(int value, void *val, socklen_t *len)
{
	if (*len > sizeof(value))
		*len = sizeof(value);
	memcpy(val, &value, *len);
	return 0;
}

int sock_getsockopt(int fd, struct conn *c, int level, int name, void *val, socklen_t *len)
{
	int ret;

	if (level == SOL_SOCKET && name == SO_ERROR && val && len && io_is_dead(c)) {
		int err = io_take_error(c);

		io_forget_real_error(fd, c);
		return give_int(err, val, len);
	}
	if (level == IPPROTO_TCP && name == TCP_ZEROCOPY_RECEIVE)
		conn_leave(fd, c);
	ret = libc()->getsockopt(fd, level, name, val, len);
	if (ret == 0 && level == IPPROTO_TCP && name == TCP_INFO)
		info_add(c, val, *len);
	return ret;
}

bool sock_zerocopy(int fd) { return option(fd, SOL_SOCKET, SO_ZEROCOPY); }

static void set_opt(struct conn *c, uint32_t bit, bool on)
{
	uint32_t was = on ? atomic_fetch_or(&c->slot->opts, bit) :
			    atomic_fetch_and(&c->slot->opts, ~bit);

	if (!!(was & bit) != on)
		kick(c->region, c->slot);
}

/* What only Linux's own stack can do with the bytes, or say of them. */
static bool needs_linux(int level, int name)
{
	switch (level) {
	case SOL_SOCKET:
		return name == SO_ZEROCOPY || name == SO_ATTACH_FILTER || name == SO_ATTACH_BPF ||
		       name == SO_PEEK_OFF || name == SO_TIMESTAMP_OLD || name == SO_TIMESTAMP_NEW ||
		       name == SO_TIMESTAMPNS_OLD || name == SO_TIMESTAMPNS_NEW ||
		       name == SO_TIMESTAMPING_OLD || name == SO_TIMESTAMPING_NEW;
	case IPPROTO_TCP:
		return name == TCP_ULP || name == TCP_REPAIR || name == TCP_MD5SIG ||
		       name == TCP_INQ;
	default:
		return false;
	}
}

/* What the daemon has to look up again: user/slow/options.c. */
static bool daemon_wants(int level, int name)
{
	switch (level) {
	case SOL_SOCKET:
		return name == SO_MAX_PACING_RATE || name == SO_RCVBUF || name == SO_RCVBUFFORCE;
	case IPPROTO_TCP:
		return name == TCP_CONGESTION || name == TCP_USER_TIMEOUT;
	case IPPROTO_IP:
		return name == IP_TOS || name == IP_TTL;
	default:
		return false;
	}
}

int sock_setsockopt(int fd, struct conn *c, int level, int name, const void *val, socklen_t len)
{
	int ret, on;

	if (needs_linux(level, name))
		conn_leave(fd, c);
	ret = libc()->setsockopt(fd, level, name, val, len);
	if (ret == 0 && daemon_wants(level, name))
		(void)ctl_about(c, TP_CTL_OPTIONS);
	if (ret < 0 || len < sizeof(on))
		return ret;
	memcpy(&on, val, sizeof(on));
	if (level == IPPROTO_TCP && name == TCP_NODELAY) {
		set_opt(c, TP_O_NODELAY, on);
	} else if (level == IPPROTO_TCP && name == TCP_CORK) {
		set_opt(c, TP_O_CORK, on);
	} else if (level == IPPROTO_TCP && name == TCP_NOTSENT_LOWAT) {
		c->notsent_lowat = (uint32_t)on;
		ep_conn_changed(c);
	} else if (level == IPPROTO_TCP && name == TCP_QUICKACK) {
		set_opt(c, TP_O_QUICKACK, on);
	} else if (level == SOL_SOCKET && name == SO_RCVLOWAT) {
		atomic_store(&c->slot->rcvlowat, (uint32_t)option(fd, SOL_SOCKET, SO_RCVLOWAT));
		ep_conn_changed(c);
	}
	return ret;
}

static int say_count(uint32_t count, int *arg)
{
	if (BAD_PTR(arg)) {
		errno = EFAULT;
		return -1;
	}
	*arg = (int)count;
	return 0;
}

int sock_ioctl(int fd, struct conn *c, unsigned long req, void *arg)
{
	int ret;

	conn_went_linux(c);
	if (atomic_load(&c->mode) != CONN_OURS)
		return libc()->ioctl(fd, req, arg);
	switch (req) {
	case FIONREAD:
		return say_count(io_unread(c), arg);
	case SIOCOUTQ:
		return say_count(io_unsent(c, false), arg);
	case SIOCOUTQNSD:
		return say_count(io_unsent(c, true), arg);
	case FIOASYNC:				/* SIGIO is raised by Linux's stack */
		conn_leave(fd, c);
		return libc()->ioctl(fd, req, arg);
	default:
		ret = libc()->ioctl(fd, req, arg);
		if (ret == 0 && req == FIONBIO)
			c->nonblock = *(int *)arg != 0;
		return ret;
	}
}

/* Before and after a copy is made. A vfork child's fds are none of ours. */
static uintptr_t hold_to_copy(int fd)
{
	return fd_word(fd) && !in_vfork_child() ? fd_hold(fd) : 0;
}

static void copied(int from, int to, uintptr_t held)
{
	int saved = errno;

	if (to < 0)
		fd_let_go(held);
	else if (held || (fd_word(to) && !in_vfork_child()))
		fd_copied(from, to, held);
	stdio_look_at(to);
	errno = saved;
}

int sock_fcntl(int fd, int cmd, void *arg, bool is64)
{
	uintptr_t w = fd_word(fd), held = 0;
	struct conn *c = cmd == F_SETFL && (uintptr_t)arg & O_ASYNC ? fd_ours(fd) : NULL;
	int ret;

	if (c)
		conn_leave(fd, c);		/* SIGIO is raised by Linux's stack */
	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		held = hold_to_copy(fd);
	ret = (is64 && libc()->fcntl64 ? libc()->fcntl64 : libc()->fcntl)(fd, cmd, arg);
	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		copied(fd, ret, held);
	else if (ret >= 0 && cmd == F_SETFL && (w & TAG_MASK) == TAG_CONN && !in_vfork_child())
		((struct conn *)(w - TAG_CONN))->nonblock = (uintptr_t)arg & O_NONBLOCK;
	return ret;
}

/* ---- end and copies ------------------------------------------------------------------- */

int sock_close(int fd)
{
	int saved = errno;

	if (!in_vfork_child()) {
		if (fd_word(fd) == TAG_HIDDEN) {
			errno = EBADF;
			return -1;
		}
		fd_forget(fd);
	}
	errno = saved;
	return libc()->close(fd);
}

int sock_dup(int fd)
{
	uintptr_t held = hold_to_copy(fd);
	int ret = libc()->dup(fd);

	copied(fd, ret, held);
	return ret;
}

int sock_dup2(int from, int to, int flags, bool is_dup3)
{
	bool known = (fd_word(from) || fd_word(to)) && from != to && !in_vfork_child();
	uintptr_t held;
	int ret;

	if (!known)
		return is_dup3 ? libc()->dup3(from, to, flags) : libc()->dup2(from, to);
	if (fd_word(to) == TAG_HIDDEN && !fd_hidden_move(to)) {
		errno = EBUSY;
		return -1;
	}
	held = fd_hold(from);
	ret = is_dup3 ? libc()->dup3(from, to, flags) : libc()->dup2(from, to);
	copied(from, ret, held);
	return ret;
}

void raise_sigpipe(void)
{
	syscall(SYS_tgkill, getpid(), (int)tid_mine(), SIGPIPE);
}
