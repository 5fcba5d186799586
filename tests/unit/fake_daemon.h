/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fake_daemon.h - a daemon and fast thread for tests of the shim, without NIC, BPF or root.
 *
 * It speaks the control protocol and owns one region a link. A "flow" is a slot; two slots whose
 * 4-tuples mirror each other are the two ends of one loopback connection, and the fake copies
 * what one end wrote to what the other reads. The real sockets carry handshake and FIN only. What
 * Linux would tell the slow path about closing it reads from /proc/net/tcp: an end in
 * CLOSE_WAIT, LAST_ACK, CLOSING or gone has the peer's FIN.
 *
 * It hands a slot back as the real one does (shm_abi.h): LEAVING, fence, then LINUX as soon as
 * the other end has all that was written. Two ends that leave at once wait for each other: what
 * one wrote still goes into the other's pipe, and must be there before it is LINUX.
 *
 * One thread, one poll; slow, and careful about the ABI's order of stores.
 */
#ifndef TASPILOT_TEST_FAKE_DAEMON_H
#define TASPILOT_TEST_FAKE_DAEMON_H

#include <arpa/inet.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "taspilot/ctl_abi.h"
#include "taspilot/pipe.h"
#include "taspilot/shm_abi.h"

#define FAKE_LINKS	256
#define FAKE_REGIONS	256
#define FAKE_FLOWS	4096
#define FAKE_PIPE_MAX	(256U << 10)
#define FAKE_TURN_MS	1

struct fake_region {
	void *base;				/* NULL: its process has ended */
	struct tp_region geo;
	int memfd, kick_fd, ctx_fd[TP_MAX_CTX];
	int ctx_link[TP_MAX_CTX];		/* whose end is theirs */
	uint32_t ctxs, lane_tail, slots;
};

struct fake_flow {
	struct fake_region *r;
	struct tp_slot *s;
	struct tp_pipe_mem rx, tx;
	uint32_t index;
	struct tp_flow_key key;
	uint64_t cookie, rx_geom, rx_guard, rx_head, tx_tail;
	bool eof;
};

struct fake {
	int listen_fd;
	int link[FAKE_LINKS];
	struct fake_region region[FAKE_REGIONS];
	uint32_t links, regions, flows, first_id;
	struct fake_flow flow[FAKE_FLOWS];
	bool refuse;				/* all claims */
};

static void fake_fence(void)
{
	static _Atomic uint32_t word;

	atomic_fetch_add(&word, 0);
}

static uint64_t fake_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static struct fake_region *fake_region_new(struct fake *f)
{
	struct fake_region *r = &f->region[f->regions];
	struct tp_region geo = { 0 };

	if (f->regions == FAKE_REGIONS)
		return NULL;
	tp_region_layout(&geo, f->first_id + f->regions, 1);
	geo.thread_cpu[0] = ~0U;
	r->memfd = memfd_create("fake-region", MFD_CLOEXEC);
	if (r->memfd < 0 || ftruncate(r->memfd, (off_t)geo.size) < 0)
		return NULL;
	r->base = mmap(NULL, geo.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		       r->memfd, 0);
	if (r->base == MAP_FAILED)
		return NULL;
	memcpy(r->base, &geo, sizeof(geo));
	r->geo = geo;
	r->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	f->regions++;
	return r;
}

#define fake_each_region(f, r)								\
	for (struct fake_region *r = (f)->region; r < (f)->region + (f)->regions; r++)	\
		if (r->base)

/* Regions are large: a program whose sanitizer has half of all addresses maps a dozen of them. */
static void fake_region_free(struct fake_region *r)
{
	munmap(r->base, r->geo.size);
	close(r->memfd);
	close(r->kick_fd);
	r->base = NULL;
	r->kick_fd = -1;
}

static void fake_heartbeat(struct fake *f)
{
	fake_each_region(f, r)
		atomic_store(&((struct tp_region *)r->base)->heartbeat_ns, fake_now());
}

static struct fake_flow *fake_flow_of(struct fake *f, uint64_t cookie)
{
	for (uint32_t i = 0; i < f->flows; i++)
		if (f->flow[i].s && f->flow[i].cookie == cookie)
			return &f->flow[i];
	return NULL;
}

static int fake_claim(struct fake *f, struct fake_region *r, struct tp_ctl *m)
{
	struct fake_flow *w;
	struct tp_slot *s;

	if (f->refuse || !r || f->flows == FAKE_FLOWS || r->slots == r->geo.slots)
		return -EOPNOTSUPP;
	w = &f->flow[f->flows++];
	*w = (struct fake_flow){ .r = r, .index = r->slots++, .key = m->claim.key,
				 .cookie = m->claim.cookie };
	s = w->s = tp_slot_at(r->base, &r->geo, w->index);
	w->rx.small = tp_small_at(r->base, &r->geo, w->index, TP_RX);
	w->rx.big = tp_big_at(r->base, &r->geo, w->index, TP_RX);
	w->tx.small = tp_small_at(r->base, &r->geo, w->index, TP_TX);
	w->tx.big = tp_big_at(r->base, &r->geo, w->index, TP_TX);
	w->rx_geom = pipe_geom(TP_ORDER_SMALL, 0);
	atomic_store(&s->rx_geom, w->rx_geom);
	atomic_store(&s->tx_geom, pipe_geom(TP_ORDER_SMALL, 0));
	atomic_store(&s->tx_want, FAKE_PIPE_MAX);
	s->cookie = w->cookie;
	s->generation = 1;
	s->mss = 1448;
	s->rx_max = s->tx_max = FAKE_PIPE_MAX;
	atomic_store(&s->opts, m->claim.opts);
	atomic_store(&s->state, TP_SLOT_FAST);
	m->claim.slot = w->index;
	m->claim.generation = 1;
	m->claim.region_id = r->geo.region_id;
	return 0;
}

static void fake_wake(_Atomic uint32_t *word)
{
	uint32_t was = atomic_exchange(word, TP_AWAKE);

	if (was && (was & 3) != TP_YIELDS)
		syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* As appq.c: who is told of a slot that stands in its queue already is not woken. Returns whether a
 * context was.
 */
static bool fake_notify(struct fake_flow *w)
{
	bool woken = false;
	uint64_t want = atomic_load(&w->s->notify), one = 1;
	uint64_t fresh = want & ~atomic_fetch_or(&w->s->pending, want);

	for (uint32_t c = 0; c < w->r->ctxs; c++) {
		struct tp_ctx *ctx = tp_ctx_at(w->r->base, &w->r->geo, c);
		uint32_t was;

		if (fresh >> c & 1) {
			struct tp_ctx_queue *q = &ctx->queue[0];
			uint32_t head = atomic_load(&q->head);

			atomic_store(&q->entry[head & (TP_SLOTS - 1)], w->index);
			atomic_store(&q->head, head + 1);
		}
		was = fresh >> c & 1 ? atomic_exchange(&ctx->sleep, TP_AWAKE) : TP_AWAKE;
		if (was && (was & 3) != TP_YIELDS)
			woken |= write(w->r->ctx_fd[c], &one, sizeof(one)) > 0;
	}
	fake_wake(&w->s->rx_wait);
	fake_wake(&w->s->tx_wait);
	return woken;
}

/* Send @buf's packet with fds; the answer repeats the request's head. */
static void fake_answer(int link, const struct tp_ctl *m, const int *fds, uint32_t n)
{
	union {
		char room[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = { (void *)m, sizeof(*m) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n) {
		h.msg_control = &ctl;
		h.msg_controllen = CMSG_SPACE(n * sizeof(int));
		ctl.align.cmsg_level = SOL_SOCKET;
		ctl.align.cmsg_type = SCM_RIGHTS;
		ctl.align.cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&ctl.align), fds, n * sizeof(int));
	}
	(void)!sendmsg(link, &h, MSG_NOSIGNAL);
}

static bool fake_get(int link, struct tp_ctl *m, int *ret_fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = { m, sizeof(*m) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl,
			    .msg_controllen = sizeof(ctl) };

	*ret_fd = -1;
	if (recvmsg(link, &h, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(*m))
		return false;
	if (CMSG_FIRSTHDR(&h))
		memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof(int));
	return true;
}

static void fake_leave(struct fake_flow *w)
{
	if (atomic_load(&w->s->state) == TP_SLOT_FAST)
		atomic_store(&w->s->state, TP_SLOT_LEAVING);
	fake_fence();
}

static struct fake_region *fake_region_by_id(struct fake *f, uint32_t id)
{
	struct fake_region *r = &f->region[id - f->first_id];

	return id - f->first_id < f->regions && r->base ? r : NULL;
}

static int fake_ctx(struct fake *f, int link, struct tp_ctl *m, int fd)
{
	struct fake_region *r = fake_region_by_id(f, m->ctx.region_id);

	if (!r || fd < 0 || r->ctxs == TP_MAX_CTX)
		return -ENOSPC;
	m->ctx.index = r->ctxs;
	r->ctx_link[r->ctxs] = link;
	r->ctx_fd[r->ctxs++] = fd;
	return 0;
}

static void fake_request(struct fake *f, struct fake_region **own, int link, struct tp_ctl *m, int fd)
{
	struct fake_flow *w;
	int fds[2], nfds = 0;

	m->err = 0;
	switch (m->h.type) {
	case TP_CTL_HELLO:
		*own = fake_region_new(f);
		fake_heartbeat(f);
		m->err = *own ? 0 : -ENOMEM;
		m->hello.region_id = *own ? (*own)->geo.region_id : 0;
		m->hello.threads = 1;
		break;
	case TP_CTL_CTX:
		m->err = fake_ctx(f, link, m, fd);
		break;
	case TP_CTL_CLAIM:
		m->err = fake_claim(f, *own, m);
		break;
	case TP_CTL_FIND:
	case TP_CTL_LEAVE:
		w = fake_flow_of(f, m->claim.cookie);
		m->err = w ? 0 : -EOPNOTSUPP;
		if (w && m->h.type == TP_CTL_LEAVE)
			fake_leave(w);
		m->claim.slot = w ? w->index : 0;
		m->claim.generation = 1;
		m->claim.region_id = w ? w->r->geo.region_id : 0;
		if (w && m->h.type == TP_CTL_FIND) {
			fds[nfds++] = w->r->memfd;
			fds[nfds++] = w->r->kick_fd;
		}
		break;
	}
	if (m->h.type == TP_CTL_HELLO && *own) {
		fds[nfds++] = (*own)->memfd;
		fds[nfds++] = (*own)->kick_fd;
	}
	fake_answer(link, m, fds, (uint32_t)nfds);
}

/* ---- the fast thread ------------------------------------------------------------------ */

static bool fake_is_peer(const struct fake_flow *a, const struct fake_flow *b)
{
	return a->key.peer_port == b->key.local_port && a->key.local_port == b->key.peer_port &&
	       !memcmp(a->key.peer_ip, b->key.local_ip, 16);
}

static struct fake_flow *fake_peer(struct fake *f, const struct fake_flow *a)
{
	for (uint32_t i = f->flows; i-- > 0;)
		if (f->flow[i].s && fake_is_peer(a, &f->flow[i]))
			return &f->flow[i];
	return NULL;
}

/* Room for @n more bytes behind head; what does not fit waits. */
static uint32_t fake_room(struct fake_flow *w, uint32_t n)
{
	uint64_t tail = atomic_load(&w->s->rx_tail), used = w->rx_head - tail;
	uint32_t order;

	if (used >= FAKE_PIPE_MAX)
		return 0;
	if (n > FAKE_PIPE_MAX - used)
		n = (uint32_t)(FAKE_PIPE_MAX - used);
	if (used == 0)
		w->rx_geom = pipe_geom(pipe_order(w->rx_geom), w->rx_head);
	if (!pipe_fits(w->rx_geom, w->rx_guard, tail, w->rx_head + n)) {
		order = pipe_order_for(w->rx_geom, w->rx_guard, tail, w->rx_head, w->rx_head + n);
		w->rx_guard = pipe_guard(w->rx_geom, w->rx_guard, tail, w->rx_head);
		w->rx_geom = pipe_grow(&w->rx, w->rx_geom, order, tail, w->rx_head);
	}
	atomic_store(&w->s->rx_geom, w->rx_geom);
	return n;
}

static bool fake_move(struct fake_flow *from, struct fake_flow *to)
{
	static unsigned char buf[FAKE_PIPE_MAX];
	uint64_t head = atomic_load(&from->s->tx_head);
	uint64_t geom = atomic_load(&from->s->tx_geom);
	uint64_t have = head - from->tx_tail;
	uint32_t n;

	if (atomic_load(&from->s->state) == TP_SLOT_LINUX || !have || have > pipe_size(geom))
		return false;
	n = fake_room(to, have > sizeof(buf) ? (uint32_t)sizeof(buf) : (uint32_t)have);
	if (!n)
		return false;
	pipe_read(&from->tx, geom, from->tx_tail, buf, n);
	pipe_write(&to->rx, to->rx_geom, to->rx_head, buf, n);
	from->tx_tail += n;
	to->rx_head += n;
	atomic_store(&to->s->rx_head, to->rx_head);
	atomic_store(&from->s->tx_sent, from->tx_tail);
	atomic_store(&from->s->tx_tail, from->tx_tail);
	fake_notify(to);
	fake_notify(from);
	return true;
}

static void fake_deliver(struct fake *f)
{
	bool moved;

	do {
		moved = false;
		for (uint32_t i = 0; i < f->flows; i++) {
			struct fake_flow *a = &f->flow[i], *b = a->s ? fake_peer(f, a) : NULL;

			if (b)
				moved |= fake_move(a, b);
		}
	} while (moved);
}

static bool fake_is_leaving(const struct fake_flow *w)
{
	return atomic_load(&w->s->state) == TP_SLOT_LEAVING;
}

static bool fake_has_sent_all(const struct fake_flow *w)
{
	return atomic_load(&w->s->tx_head) == w->tx_tail;
}

/* Every LEAVING slot whose bytes have gone, behind fake_deliver(). */
static void fake_finish_leaving(struct fake *f)
{
	for (uint32_t i = 0; i < f->flows; i++) {
		struct fake_flow *a = &f->flow[i], *b = a->s ? fake_peer(f, a) : NULL;

		if (!a->s || !fake_is_leaving(a) || (b && !fake_has_sent_all(a)))
			continue;
		if (b && fake_is_leaving(b)) {
			if (!fake_has_sent_all(b))
				continue;
			atomic_store(&b->s->state, TP_SLOT_LINUX);
			fake_notify(b);
		}
		atomic_store(&a->s->state, TP_SLOT_LINUX);
		fake_notify(a);
	}
}

static bool fake_lanes(struct fake *f)
{
	bool any = false;

	fake_each_region(f, r) {
		struct tp_lane *lane = tp_lane_at(r->base, &r->geo, 0);
		uint32_t e;

		while ((e = atomic_exchange(&lane->entry[r->lane_tail & (TP_SLOTS - 1)], 0))) {
			atomic_store(&lane->tail, ++r->lane_tail);
			atomic_exchange(&tp_slot_at(r->base, &r->geo, e - 1)->kicked, 0);
			any = true;
		}
	}
	return any;
}

static void fake_sleep_word(struct fake *f, uint32_t value)
{
	fake_each_region(f, r)
		atomic_store(&tp_lane_at(r->base, &r->geo, 0)->sleep, value);
	fake_fence();
}

/* As a fast thread does on whatever CPU this is. */
static void fake_yield(struct fake *f)
{
	fake_each_region(f, r)
		atomic_store(&tp_lane_at(r->base, &r->geo, 0)->yields_on,
			     (uint32_t)sched_getcpu() + 1);
	sched_yield();
	fake_each_region(f, r)
		atomic_fetch_add(&tp_lane_at(r->base, &r->geo, 0)->yielded, 1);
}

/* One line of /proc/net/tcp: has the end that @w is got the peer's FIN? */
static void fake_closing(struct fake *f)
{
	FILE *in = fopen("/proc/net/tcp", "re");
	char line[512];
	unsigned int lip, lport, rip, rport, state;

	while (in && fgets(line, sizeof(line), in)) {
		if (sscanf(line, " %*d: %x:%x %x:%x %x", &lip, &lport, &rip, &rport, &state) != 5)
			continue;
		if (state != 8 && state != 9 && state != 11 && state != 6)
			continue;
		for (uint32_t i = 0; i < f->flows; i++) {
			struct fake_flow *w = &f->flow[i], *p;

			if (!w->s || w->eof || w->key.local_port != lport ||
			    w->key.peer_port != rport)
				continue;
			p = fake_peer(f, w);
			if (p && atomic_load(&p->s->tx_head) != p->tx_tail)
				continue;
			w->eof = true;
			atomic_fetch_or(&w->s->fast_flags, TP_F_EOF);
			fake_notify(w);
		}
	}
	if (in)
		fclose(in);
}

/* ----------------------------------------------------------------------------------------- */

static int fake_listen(const char *dir)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	char path[80];

	snprintf(path, sizeof(path), "%s/fake0", dir);
	mkdir(path, 0755);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/sock", path);
	unlink(sa.sun_path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 64) < 0)
		return -1;
	chmod(dir, 0755);			/* programs that drop root */
	chmod(sa.sun_path, 0777);
	return fd;
}

static struct fake_region *fake_own[FAKE_LINKS];

static void fake_link_ends(struct fake *f, uint32_t link)
{
	struct fake_region *own = fake_own[link];

	fake_each_region(f, r)
		for (uint32_t c = 0; c < r->ctxs; c++)
			if (r->ctx_link[c] == f->link[link])
				r->ctx_fd[c] = r->ctx_link[c] = -1;
	if (own && !own->slots)
		fake_region_free(own);
	fake_own[link] = NULL;
	close(f->link[link]);
	f->link[link] = -1;
}

static void fake_take_requests(struct fake *f, const struct pollfd *p)
{
	for (uint32_t i = 0; i < f->links; i++) {
		struct tp_ctl m;
		int fd;

		if (!p[i].revents)
			continue;
		if (fake_get(f->link[i], &m, &fd)) {
			fake_request(f, &fake_own[i], f->link[i], &m, fd);
		} else {
			fake_link_ends(f, i);
		}
	}
}

static void fake_turn(struct fake *f)
{
	struct pollfd p[FAKE_LINKS + 1 + FAKE_REGIONS];
	uint32_t n = f->links;
	bool idle;

	fake_heartbeat(f);
	for (uint32_t i = 0; i < n; i++)
		p[i] = (struct pollfd){ .fd = f->link[i], .events = POLLIN };
	p[n] = (struct pollfd){ .fd = f->listen_fd, .events = POLLIN };
	for (uint32_t i = 0; i < f->regions; i++)
		p[n + 1 + i] = (struct pollfd){ .fd = f->region[i].kick_fd, .events = POLLIN };
	fake_sleep_word(f, TP_THREAD_BLOCKED);
	idle = !fake_lanes(f);
	poll(p, n + 1 + f->regions, idle ? FAKE_TURN_MS : 0);
	fake_sleep_word(f, TP_THREAD_AWAKE);
	for (uint32_t i = 0; i < f->regions; i++) {
		uint64_t v;

		if (p[n + 1 + i].revents)
			(void)!read(f->region[i].kick_fd, &v, sizeof(v));
	}
	fake_take_requests(f, p);
	if (p[n].revents && f->links < FAKE_LINKS)
		f->link[f->links++] = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	fake_lanes(f);
	fake_deliver(f);
	fake_yield(f);
	fake_finish_leaving(f);
	fake_closing(f);
}

/* Runs until its parent dies. SIGUSR1 hands every flow back. */
static volatile sig_atomic_t fake_leave_all;
static void fake_on_usr1(int sig) { (void)sig; fake_leave_all = 1; }

static void fake_run(const char *dir, int ready_fd)
{
	struct fake *f = calloc(1, sizeof(*f));

	signal(SIGUSR1, fake_on_usr1);
	f->listen_fd = fake_listen(dir);
	f->first_id = (uint32_t)getpid() * FAKE_REGIONS;	/* another daemon's are others */
	f->refuse = getenv("FAKE_REFUSE") != NULL;
	(void)!write(ready_fd, f->listen_fd < 0 ? "!" : ".", 1);
	close(ready_fd);
	while (f->listen_fd >= 0) {
		fake_turn(f);
		if (fake_leave_all) {
			fake_leave_all = 0;
			for (uint32_t i = 0; i < f->flows; i++)
				fake_leave(&f->flow[i]);
		}
	}
	_exit(1);
}

/* Starts it in a child; 0 if it failed. */
static inline pid_t fake_start_in(const char *dir)
{
	int ready[2];
	char c = '!';
	pid_t pid;

	if (pipe(ready) < 0)
		return 0;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		fake_run(dir, ready[1]);
	}
	close(ready[1]);
	(void)!read(ready[0], &c, 1);
	close(ready[0]);
	return c == '.' ? pid : 0;
}

/* The same with TASPILOT_RUN_DIR at a directory of its own. */
static inline pid_t fake_start(char dir[64])
{
	snprintf(dir, 64, "/tmp/fake-taspilot-XXXXXX");
	if (!mkdtemp(dir))
		return 0;
	setenv(TP_RUN_DIR_ENV, dir, 1);
	return fake_start_in(dir);
}

static inline void fake_stop(pid_t pid, const char *dir)
{
	char path[96];

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	snprintf(path, sizeof(path), "%s/fake0/sock", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/fake0", dir);
	rmdir(path);
	rmdir(dir);
}

#endif
