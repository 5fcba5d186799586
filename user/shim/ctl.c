/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ctl.c - talking to the daemons: one link an attached interface.
 *
 * A link is made when the program first opens, listens on or connects a TCP socket while a
 * daemon's socket is there. Its absence is looked for again at most once a second, so a
 * program that lives without a daemon pays one directory read a second at worst.
 *
 * All failures mean that Linux carries the connection. So a daemon that stands still, whose heart does not beat, is
 * asked for nothing new, and a program that met it at that moment waits once. A request waits for its answer
 *
 *	while the heart beats		the daemon is only slow: as long as a daemon may be silent
 *	about a connection of ours	the same: Linux is no way out there
 *	otherwise			one second and a half; then it is given up
 *	HELLO				one second; then it waits for us (link.hello_fd), who look once a second
 *
 * What was given up is done later, if the daemon goes on, for requests are done in order: so a CLAIM has a LEAVE sent
 * after it, and answers that come late are thrown away. The link stays: its end would take away the contexts,
 * which are what events of other connections come by. It ends when the daemon does, or is silent for so long that
 * connections are reset.
 *
 * Requests of several threads take turns; a signal handler that interrupts one gets -EDEADLK, so plain Linux.
 *
 * The child of a fork closes its copies of the links and makes its own.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "shim.h"

#define ANSWER_S	1
#define PATIENT_S	10		/* as long as SILENCE_NS, after which connections are reset */
#define AGAIN_MS	20		/* HELLO to a daemon that did not answer the last one */
#define DOUBT_MS	500
#define LOOK_NS		NSEC
#define NAME_MAX_IF	16
#define MAX_FDS		(1 + TP_MAX_THREADS)

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

struct link {
	char ifname[NAME_MAX_IF];	/* empty: unused */
	_Atomic int fd;			/* -1: down */
	_Atomic int hello_fd;		/* HELLO was said there, and not answered yet; -1: none */
	bool silent;			/* the last HELLO was not answered in time */
	uint32_t seq;
	lock_t lock;
	struct region *own;		/* the region that HELLO gave */
};

static struct link links[MAX_LINKS];
static lock_t look_lock;
static _Atomic uint64_t looked_ns;
static _Atomic uint32_t epoch;

uint32_t ctl_epoch(void) { return atomic_load_explicit(&epoch, memory_order_relaxed); }

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC + (uint64_t)ts.tv_nsec;
}

/* dir/ifname/sock, without stdio */
static bool sock_path(char *buf, size_t size, const char *dir, const char *ifname)
{
	static const char tail[] = "/sock";
	size_t d = strlen(dir), i = strlen(ifname);

	if (d + 1 + i + sizeof(tail) > size)
		return false;
	memcpy(buf, dir, d);
	buf[d] = '/';
	memcpy(buf + d + 1, ifname, i);
	memcpy(buf + d + 1 + i, tail, sizeof(tail));
	return true;
}

/* Read at the start: programs like nginx throw their environment away. */
static char run_dir[108] = TP_RUN_DIR_DEFAULT;

void ctl_start(void)
{
	const char *dir = secure_getenv(TP_RUN_DIR_ENV);

	if (dir && *dir && strlen(dir) < sizeof(run_dir))
		strcpy(run_dir, dir);
}

/* ---- one request ---------------------------------------------------------------------- */

static void link_down(struct link *l)
{
	int fd = atomic_exchange(&l->fd, -1);

	fd_hidden_close(fd);
	l->own = NULL;
}

static bool send_request(int fd, const struct tp_ctl *req, int pass_fd, int flags)
{
	struct iovec iov = { (void *)req, sizeof(*req) };
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (pass_fd >= 0) {
		struct cmsghdr *h = &ctl.align;

		m.msg_control = &ctl;
		m.msg_controllen = sizeof(ctl);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &pass_fd, sizeof(int));
	}
	do {
		n = libc()->sendmsg(fd, &m, MSG_NOSIGNAL | flags);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(*req);
}

struct answer {
	struct tp_ctl msg;
	int fd[MAX_FDS];
	uint32_t fds;
};

static void answer_close(struct answer *a)
{
	for (uint32_t i = 0; i < a->fds; i++)
		libc()->close(a->fd[i]);
	a->fds = 0;
}

static void take_fds(struct answer *a, struct msghdr *m)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		a->fds = (uint32_t)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(a->fd, CMSG_DATA(h), a->fds * sizeof(int));
	}
}

/* A daemon that is stopped must not be asked: it would do it later, behind our back. A new region
 * has had no heartbeat yet, but its daemon has just answered.
 */
static bool link_is_well(const struct link *l)
{
	const struct region *r = l->own;
	const struct tp_region *head;
	uint64_t beat;

	if (atomic_load(&l->fd) < 0 || !r)
		return false;
	head = atomic_load(&r->base);
	beat = atomic_load_explicit(&head->heartbeat_ns, memory_order_relaxed);
	return !atomic_load_explicit(&head->closing, memory_order_relaxed) &&
	       (!beat || now_ns() - beat < TP_STALE_NS);
}

static bool is_about_ours(enum tp_ctl_type type)
{
	return type == TP_CTL_LEAVE || type == TP_CTL_OPTIONS || type == TP_CTL_CTX;
}

/* @waited: seconds. */
static bool may_take_longer(const struct link *l, enum tp_ctl_type type, int waited)
{
	return waited < PATIENT_S && (is_about_ours(type) || link_is_well(l));
}

/* What @fd has to say, or will have within @ms. */
static short listen_to(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n;

	do {
		n = libc()->poll(&p, 1, ms);
	} while (n < 0 && errno == EINTR);
	return n > 0 ? p.revents : 0;
}

/* 0, -ETIMEDOUT, or -EPIPE. Where the whole machine has stood still, our time is up before the daemon has
 * had any: it gets a moment more.
 */
static int recv_answer(const struct link *l, enum tp_ctl_type type, int fd, struct answer *a)
{
	struct iovec iov = { &a->msg, sizeof(a->msg) };
	union {
		char room[CMSG_SPACE(MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &ctl, .msg_controllen = sizeof(ctl),
	};
	int waited = 0;
	ssize_t n;

	a->fds = 0;
	for (;;) {
		n = libc()->recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
		if (n >= 0 || (errno != EINTR && errno != EAGAIN))
			break;
		if (errno == EINTR)
			continue;
		waited += ANSWER_S;
		if (!may_take_longer(l, type, waited) && !listen_to(fd, DOUBT_MS))
			return -ETIMEDOUT;
	}
	if (n > 0)
		take_fds(a, &m);
	return n == (ssize_t)sizeof(a->msg) ? 0 : -EPIPE;
}

/* Under l->lock. Nobody waits for the answer. */
static int post(struct link *l, struct tp_ctl *req)
{
	int fd = atomic_load(&l->fd);

	req->h.seq = ++l->seq;
	return fd >= 0 && send_request(fd, req, -1, MSG_DONTWAIT) ? 0 : -EPIPE;
}

/* The daemon will do it, some time. False: only the end of the link can keep it from what must not be. */
static bool give_up(struct link *l, const struct tp_ctl *req)
{
	struct tp_ctl leave = { .h.type = TP_CTL_LEAVE };

	if (is_about_ours(req->h.type))
		return false;
	if (req->h.type != TP_CTL_CLAIM)
		return true;
	leave.claim.key = req->claim.key;
	leave.claim.cookie = req->claim.cookie;
	return post(l, &leave) == 0;
}

/* Under l->lock. The answer to @req, whatever came before it. */
static int await(struct link *l, const struct tp_ctl *req, int fd, struct answer *a)
{
	int err;

	for (;;) {
		err = recv_answer(l, req->h.type, fd, a);
		if (err || (a->msg.h.seq == req->h.seq && a->msg.h.type == req->h.type))
			return err;
		answer_close(a);
	}
}

/* Under l->lock. 0, the daemon's -errno, -ETIMEDOUT if it was given up, or -EPIPE with the link down. */
static int exchange(struct link *l, struct tp_ctl *req, int pass_fd, struct answer *a)
{
	int fd = atomic_load(&l->fd), err = -EPIPE;

	if (fd < 0)
		return err;
	req->h.seq = ++l->seq;
	if (send_request(fd, req, pass_fd, 0))
		err = await(l, req, fd, a);
	if (!err)
		return a->msg.err < 0 ? a->msg.err : 0;
	answer_close(a);
	if (err == -ETIMEDOUT && give_up(l, req))
		return err;
	link_down(l);
	return -EPIPE;
}

/* ---- making links --------------------------------------------------------------------- */

static int hide_all(struct answer *a)
{
	for (uint32_t i = 1; i < a->fds; i++) {
		a->fd[i] = fd_hide(a->fd[i]);
		if (a->fd[i] < 0)
			return -EMFILE;
	}
	return 0;
}

/* The region that came with an answer: fd 0 is the memory, the rest are the kick eventfds. */
static struct region *take_region(struct link *l, struct answer *a, uint32_t id)
{
	struct region *r = region_find(l, id);
	off_t end;

	if (r || a->fds < 2) {
		answer_close(a);
		return r;
	}
	end = lseek(a->fd[0], 0, SEEK_END);
	if (end < 0 || hide_all(a) < 0 ||
	    region_map(l, id, a->fd[0], (uint64_t)end, &a->fd[1], a->fds - 1, &r) < 0) {
		libc()->close(a->fd[0]);
		for (uint32_t i = 1; i < a->fds; i++)
			fd_hidden_close(a->fd[i]);
		return NULL;
	}
	libc()->close(a->fd[0]);
	return r;
}

static bool say_hello(struct link *l, int fd)
{
	struct tp_ctl req = { .h = { .type = TP_CTL_HELLO, .seq = ++l->seq } };
	socklen_t len = sizeof(req.hello.netns_cookie);

	req.hello.version = TP_SHM_VERSION;
	if (libc()->getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &req.hello.netns_cookie, &len) < 0)
		req.hello.netns_cookie = 0;
	return send_request(fd, &req, -1, 0);
}

static int hear_hello(struct link *l, int fd)
{
	struct answer a = { .fds = 0 };
	int err = recv_answer(l, TP_CTL_HELLO, fd, &a);

	if (err || a.msg.err < 0) {
		answer_close(&a);
		return err ? err : a.msg.err;
	}
	l->own = take_region(l, &a, a.msg.hello.region_id);
	return l->own ? 0 : -EPROTO;
}

/* Its daemon has died, and nobody has asked it for anything since. */
static bool is_at_its_end(const struct link *l)
{
	int fd = atomic_load(&l->fd);

	return fd >= 0 && listen_to(fd, 0) & POLLHUP;
}

static int dial(const char *ifname)
{
	struct timeval limit = { .tv_sec = ANSWER_S };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	if (!sock_path(sa.sun_path, sizeof(sa.sun_path), run_dir, ifname))
		return -ENAMETOOLONG;
	fd = libc()->socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	libc()->setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	libc()->setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (libc()->connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		libc()->close(fd);
		return -ENOTCONN;
	}
	return fd_hide(fd);
}

static struct link *link_for(const char *ifname)
{
	for (size_t i = 0; i < MAX_LINKS; i++) {
		if (!links[i].ifname[0]) {
			strncpy(links[i].ifname, ifname, NAME_MAX_IF - 1);
			links[i].fd = links[i].hello_fd = -1;
		}
		if (strcmp(links[i].ifname, ifname) == 0)
			return &links[i];
	}
	return NULL;
}

/* Under l->lock. An fd by which HELLO was said, and how long its answer may take; or -1. */
static int greet(struct link *l, int *ret_ms)
{
	int fd = atomic_load(&l->hello_fd);

	*ret_ms = fd >= 0 ? 0 : l->silent ? AGAIN_MS : ANSWER_S * 1000;
	if (fd >= 0)
		return fd;
	fd = dial(l->ifname);
	if (fd >= 0 && !say_hello(l, fd)) {
		fd_hidden_close(fd);
		fd = -1;
	}
	return fd;
}

/* Under l->lock. */
static void meet(struct link *l)
{
	int ms, fd = greet(l, &ms);

	atomic_store(&l->hello_fd, fd);
	if (fd < 0)
		return;
	l->silent = !listen_to(fd, ms);
	if (l->silent)
		return;
	atomic_store(&l->hello_fd, -1);
	if (hear_hello(l, fd)) {
		fd_hidden_close(fd);
		return;
	}
	atomic_store(&l->fd, fd);
	atomic_fetch_add(&epoch, 1);
}

static void link_up(const char *ifname)
{
	struct link *l = link_for(ifname);
	enum lock_got got;

	if (!l || link_is_well(l))
		return;
	got = lock_take(&l->lock);
	if (got == LOCK_TAKEN && is_at_its_end(l))
		link_down(l);
	if (got == LOCK_TAKEN && atomic_load(&l->fd) < 0)
		meet(l);
	lock_drop(&l->lock, got);
}

struct dirent_raw {
	uint64_t ino, off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

static void look_for_daemons(void)
{
	_Alignas(struct dirent_raw) char buf[4096];
	int dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long n;

	if (dir < 0)
		return;
	while ((n = syscall(SYS_getdents64, dir, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n;) {
			struct dirent_raw *d = (struct dirent_raw *)(buf + at);

			if (d->name[0] != '.' && strlen(d->name) < NAME_MAX_IF)
				link_up(d->name);
			at += d->reclen;
		}
	}
	libc()->close(dir);
}

static bool any_up(void)
{
	for (size_t i = 0; i < MAX_LINKS && links[i].ifname[0]; i++)
		if (atomic_load(&links[i].fd) >= 0)
			return true;
	return false;
}

/* Nobody waits while another thread looks again. But before the first look is over nothing is known, and what a
 * thread opened or accepted meanwhile would be plain for good: threads that begin together wait for the first.
 */
static void look(uint64_t last, uint64_t now)
{
	enum lock_got got = lock_take(&look_lock);

	if (got == LOCK_TAKEN && atomic_load(&looked_ns) == last) {
		if (last)
			atomic_store(&looked_ns, now);
		look_for_daemons();
		atomic_store(&looked_ns, now);
	}
	lock_drop(&look_lock, got);
}

bool ctl_up(void)
{
	uint64_t now, last = atomic_load(&looked_ns);
	int saved = errno;

	if (unlikely(confined))
		return false;
	now = now_ns();
	if ((!last || now - last > LOOK_NS) && !in_vfork_child())
		look(last, now);
	errno = saved;
	return any_up();
}

/* ---- requests ------------------------------------------------------------------------- */

static int ask(struct link *l, struct tp_ctl *req, int pass_fd, struct answer *a)
{
	enum lock_got got = lock_take(&l->lock);
	int err;

	a->fds = 0;			/* the caller closes what came, also if nothing did */
	if (got != LOCK_TAKEN)
		return -EDEADLK;
	err = exchange(l, req, pass_fd, a);
	lock_drop(&l->lock, got);
	return err;
}

/* A daemon that is stopped hears of it when it goes on. */
static int leave_word(struct link *l, struct tp_ctl *req)
{
	enum lock_got got = lock_take(&l->lock);
	int err = got == LOCK_TAKEN ? post(l, req) : -EDEADLK;

	lock_drop(&l->lock, got);
	return err;
}

static int tell(struct link *l, struct tp_ctl *req)
{
	struct answer a;
	int err;

	if (!link_is_well(l))
		return req->h.type == TP_CTL_CONNECT ? -EAGAIN : leave_word(l, req);
	err = ask(l, req, -1, &a);
	answer_close(&a);
	return err;
}

static int tell_all(struct tp_ctl *req)
{
	int best = -ENOTCONN;

	for (size_t i = 0; i < MAX_LINKS && links[i].ifname[0]; i++)
		if (atomic_load(&links[i].fd) >= 0 && tell(&links[i], req) == 0)
			best = 0;
	return best;
}

int ctl_listen(enum tp_ctl_type type, const struct tp_flow_key *local, uint64_t cookie)
{
	struct tp_ctl req = { .h.type = type };

	memcpy(req.listen.key.local_ip, local->local_ip, sizeof(local->local_ip));
	req.listen.key.local_port = local->local_port;
	req.listen.cookie = cookie;
	return tell_all(&req);
}

int ctl_connect(uint64_t cookie)
{
	struct tp_ctl req = { .h.type = TP_CTL_CONNECT };

	req.connect.cookie = cookie;
	return tell_all(&req);
}

static int claim_on(struct link *l, struct tp_ctl *req, struct claim *ret_claim)
{
	struct answer a;
	struct region *r;
	int err = ask(l, req, -1, &a);

	if (err < 0) {
		answer_close(&a);
		return err;
	}
	r = take_region(l, &a, a.msg.claim.region_id);
	if (!r || a.msg.claim.slot >= r->geo.slots)
		return -EPROTO;
	*ret_claim = (struct claim){ r, a.msg.claim.slot, a.msg.claim.generation };
	return 0;
}

int ctl_claim(enum tp_ctl_type type, const struct tp_flow_key *key, uint64_t cookie,
	      uint32_t opts, struct claim *ret_claim)
{
	struct tp_ctl req = { .h.type = type };
	int err = -ENOTCONN;

	req.claim.key = *key;
	req.claim.cookie = cookie;
	req.claim.opts = opts;
	for (size_t i = 0; i < MAX_LINKS && links[i].ifname[0]; i++) {
		if (!link_is_well(&links[i]))
			continue;
		err = claim_on(&links[i], &req, ret_claim);
		if (err == 0)
			return 0;
	}
	return err;
}

int ctl_about(struct conn *c, enum tp_ctl_type type)
{
	struct tp_ctl req = { .h.type = type };
	struct answer a;
	int err;

	ctl_up();			/* a child has no link yet */
	req.claim.key = c->key;
	req.claim.cookie = c->cookie;
	err = ask(c->region->link, &req, -1, &a);
	answer_close(&a);
	return err;
}

static int ask_ctx(struct region *r, int event_fd, uint32_t *ret_index)
{
	struct tp_ctl req = { .h.type = TP_CTL_CTX };
	struct answer a;
	int err;

	req.ctx.region_id = r->id;
	err = ask(r->link, &req, event_fd, &a);
	answer_close(&a);
	if (err < 0)
		return err;
	if (a.msg.ctx.index >= TP_MAX_CTX)
		return -EPROTO;
	*ret_index = a.msg.ctx.index;
	return 0;
}

/* In a region that our parent was given we must first be given it too. */
int ctl_ctx(struct conn *c, int event_fd, uint32_t *ret_index)
{
	struct claim again;
	int err;

	ctl_up();
	err = ask_ctx(c->region, event_fd, ret_index);
	if (err < 0 && err != -ENOSPC &&
	    ctl_claim(TP_CTL_FIND, &c->key, c->cookie, 0, &again) == 0)
		err = ask_ctx(c->region, event_fd, ret_index);
	return err;
}

void ctl_fd_moved(int from, int to)
{
	for (size_t i = 0; i < MAX_LINKS && links[i].ifname[0]; i++) {
		if (atomic_load(&links[i].fd) == from)
			atomic_store(&links[i].fd, to);
		if (atomic_load(&links[i].hello_fd) == from)
			atomic_store(&links[i].hello_fd, to);
	}
}

void ctl_after_fork(void)
{
	for (size_t i = 0; i < MAX_LINKS && links[i].ifname[0]; i++) {
		link_down(&links[i]);
		fd_hidden_close(atomic_exchange(&links[i].hello_fd, -1));
		atomic_store(&links[i].lock, 0);
	}
	atomic_store(&look_lock, 0);
	atomic_store(&looked_ns, 0);
}
