/* SPDX-License-Identifier: BSD-2-Clause
 *
 * apps.c - what programs ask of us, and what remains to be done when they are gone.
 *
 * A program is one control connection; the kernel says whose it is (SO_PEERCRED), and that it
 * has died (the connection closes). Everything it asked for hangs on that connection: ports
 * that it listens on, contexts, the regions it was given. Its connections do not: they end
 * when Linux releases their sockets, which may have been inherited by others.
 *
 * Who may do what
 *  - CLAIM, FIND: sockets of the same user, or root. tp_ask says whose a socket is.
 *  - a region of another program (CTX after fork, FIND): the same user, or root.
 *  - CLAIM: not a program that uses io_uring, which goes past the shim.
 *  - LISTEN and CONNECT name a port or a socket whose connections XDP and tc shall watch:
 *    harmless for whoever owns it, so not checked further; both are bounded in number.
 */
#include "apps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "claim.h"
#include "flowmap.h"
#include "handback.h"
#include "options.h"
#include "slow.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define CONNECT_NS	(10 * NS_PER_S)	/* connect(2) sends its SYN within that */

struct listener {			/* a port, for all programs */
	struct list link;
	struct tp_listen_key key;
	uint32_t refs;
};

struct listen_ref {			/* a listening socket of one program */
	struct list link;
	struct listener *port;
	uint64_t cookie;
};

struct ctx_ref {
	struct list link;
	struct region *region;
	uint32_t index;
};

static uint64_t own_netns_cookie(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (fd < 0)
		return 0;
	getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len);
	close(fd);
	return cookie;
}

void apps_init(struct slow *s)
{
	list_init(&s->apps.listeners);
	list_init(&s->apps.all);
	s->apps.numbers = 0;
	s->apps.netns_cookie = own_netns_cookie();
	s->apps.connect_head = s->apps.connect_tail = 0;
}

void app_init(struct app *a, uid_t uid, pid_t pid)
{
	*a = (struct app){ .uid = uid, .pid = pid };
	list_init(&a->link);
	list_init(&a->ctxs);
	list_init(&a->listens);
}

static bool same_user(const struct app *a, uid_t uid)
{
	return !a->uid || a->uid == uid;
}

/* --- programs and the kernel (stranger.bpf.c) --------------------------------------------- */

static int open_process(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* The kernel shall know it by a number. False: it has an io_uring. */
static bool introduce(struct slow *s, struct app *a)
{
	int pidfd = s->att->uring_hook ? open_process(a->pid) : -1;
	uint32_t has = 0;

	if (pidfd < 0)
		return true;
	a->number = ++s->apps.numbers;
	/* first the number, then the look: one that is made now is reported */
	bpf_map_update_elem(s->att->tasks_fd, &pidfd, &a->number, BPF_ANY);
	if (bpf_map_lookup_elem(s->att->urings_fd, &pidfd, &has))
		has = 0;
	close(pidfd);
	return !has;
}

/* It has ended, or has become another program, which may have said HELLO already. */
static void part(struct slow *s, const struct app *a)
{
	int pidfd = a->number ? open_process(a->pid) : -1;
	uint32_t number;

	if (pidfd < 0)
		return;
	if (!bpf_map_lookup_elem(s->att->tasks_fd, &pidfd, &number) && number == a->number)
		bpf_map_delete_elem(s->att->tasks_fd, &pidfd);
	close(pidfd);
}

void apps_uring(struct slow *s, uint32_t number)
{
	struct conn *c;

	list_each(l, n, &s->apps.all) {
		struct app *a = container_of(l, struct app, link);

		if (a->number != number)
			continue;
		a->uring = true;
		conn_each(&s->conns, c)
			if (c->region == a->own)
				handback_begin(s, c, TP_WHY_IO_URING);
	}
}

/* --- regions and contexts ---------------------------------------------------------------- */

static int give_region(struct app *a, struct region *r)
{
	for (uint32_t i = 0; i < a->givens; i++)
		if (a->given[i] == r)
			return 0;
	if (a->givens == APP_REGIONS)
		return -ENOSPC;
	a->given[a->givens++] = r;
	region_get(r);
	return 0;
}

static void region_fds(const struct region *r, struct app_fds *ret_fds)
{
	ret_fds->fd[ret_fds->count++] = r->memfd;
	for (uint32_t i = 0; i < r->fast.geo.threads; i++)
		ret_fds->fd[ret_fds->count++] = r->fast.kick_fd[i];
}

static int hello(struct slow *s, struct app *a, struct tp_ctl *m, struct app_fds *ret_fds)
{
	uint64_t netns = m->hello.netns_cookie;
	struct region *r;
	int err;

	if (m->hello.version != TP_SHM_VERSION)
		return -EPROTO;
	if (netns && s->apps.netns_cookie && netns != s->apps.netns_cookie) {
		m->reason = TP_WHY_NETNS;
		return -EXDEV;
	}
	if (slow_is_closing(s)) {
		m->reason = TP_WHY_CLOSING;
		return -ESHUTDOWN;
	}
	if (a->own)
		return -EALREADY;
	a->uring = !introduce(s, a);
	err = region_new(s, a->uid, &r);
	if (err)
		return err;
	list_add_tail(&s->apps.all, &a->link);
	a->own = r;
	give_region(a, r);
	region_fds(r, ret_fds);
	m->hello.threads = r->fast.geo.threads;
	m->hello.region_id = r->fast.region_id;
	m->hello.size = r->fast.geo.size;
	return 0;
}

/* An eventfd and nothing else: a fast thread will write to it, and must never block. */
static bool is_eventfd(int fd)
{
	char path[64], target[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	return !strcmp(target, "anon_inode:[eventfd]");
}

static int add_ctx(struct slow *s, struct app *a, struct tp_ctl *m, int fd)
{
	struct region *r = region_find(s, m->ctx.region_id);
	struct ctx_ref *ref;
	int index;

	if (fd < 0 || !is_eventfd(fd) || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -EBADF;
	if (!r || !same_user(a, r->uid))
		return -ENOENT;
	index = give_region(a, r);
	if (index < 0)
		return index;
	ref = malloc(sizeof(*ref));
	if (!ref)
		return -ENOMEM;
	index = region_add_ctx(s, r, fd);
	if (index < 0) {
		free(ref);
		return index;
	}
	ref->region = r;
	ref->index = (uint32_t)index;
	list_add_tail(&a->ctxs, &ref->link);
	m->ctx.index = (uint32_t)index;
	return 0;
}

/* --- ports and connects ------------------------------------------------------------------ */

static struct listener *listener_get(struct slow *s, const struct tp_listen_key *key)
{
	struct listener *p;

	list_each(l, n, &s->apps.listeners) {
		p = container_of(l, struct listener, link);
		if (!memcmp(&p->key, key, sizeof(*key))) {
			p->refs++;
			return p;
		}
	}
	p = malloc(sizeof(*p));
	if (!p)
		return NULL;
	p->key = *key;
	p->refs = 1;
	if (listener_set(s, key)) {
		free(p);
		return NULL;
	}
	list_add_tail(&s->apps.listeners, &p->link);
	return p;
}

static void listener_put(struct slow *s, struct listener *p)
{
	if (--p->refs)
		return;
	listener_forget(s, &p->key);
	list_del(&p->link);
	free(p);
}

static struct listen_ref *find_listen(struct app *a, const struct tp_ctl *m)
{
	list_each(l, n, &a->listens) {
		struct listen_ref *ref = container_of(l, struct listen_ref, link);

		if (ref->cookie == m->listen.cookie &&
		    !memcmp(&ref->port->key, &m->listen.key, sizeof(m->listen.key)))
			return ref;
	}
	return NULL;
}

static int add_listen(struct slow *s, struct app *a, const struct tp_ctl *m)
{
	struct listen_ref *ref;

	if (slow_is_closing(s))
		return -ESHUTDOWN;
	if (find_listen(a, m))
		return 0;
	if (a->listen_count == APP_LISTENS)
		return -ENOSPC;
	ref = malloc(sizeof(*ref));
	if (!ref)
		return -ENOMEM;
	ref->cookie = m->listen.cookie;
	ref->port = listener_get(s, &m->listen.key);
	if (!ref->port) {
		free(ref);
		return -ENOSPC;
	}
	list_add_tail(&a->listens, &ref->link);
	a->listen_count++;
	return 0;
}

static void drop_listen(struct slow *s, struct app *a, struct listen_ref *ref)
{
	listener_put(s, ref->port);
	list_del(&ref->link);
	a->listen_count--;
	free(ref);
}

static int del_listen(struct slow *s, struct app *a, const struct tp_ctl *m)
{
	struct listen_ref *ref = find_listen(a, m);

	if (!ref)
		return -ENOENT;
	drop_listen(s, a, ref);
	return 0;
}

static int add_connect(struct slow *s, const struct tp_ctl *m)
{
	struct apps *as = &s->apps;
	int err;

	if (slow_is_closing(s))
		return -ESHUTDOWN;
	if (as->connect_head - as->connect_tail == APPS_CONNECTS)
		return -ENOSPC;
	if (conn_by_cookie(&s->conns, m->connect.cookie))
		return -EISCONN;
	err = cookie_set(s, m->connect.cookie, TP_COOKIE_CONNECT);
	if (err)
		return err;
	as->connect[as->connect_head % APPS_CONNECTS].cookie = m->connect.cookie;
	as->connect[as->connect_head++ % APPS_CONNECTS].until_ns = s->now_ns + CONNECT_NS;
	return 0;
}

void apps_expire(struct slow *s)
{
	struct apps *as = &s->apps;

	while (as->connect_tail != as->connect_head &&
	       as->connect[as->connect_tail % APPS_CONNECTS].until_ns <= s->now_ns)
		cookie_forget(s, as->connect[as->connect_tail++ % APPS_CONNECTS].cookie,
			      TP_COOKIE_CONNECT);
}

/* --- claims ------------------------------------------------------------------------------ */

static void reply_slot(struct tp_ctl *m, const struct conn *c)
{
	m->claim.slot = c->slot;
	m->claim.generation = c->region->generation[c->slot];
	m->claim.region_id = c->region->fast.region_id;
	m->claim.thread = c->thread;
}

static int refuse(struct tp_ctl *m, enum tp_reason reason)
{
	m->reason = reason;
	return reason == TP_WHY_BUSY ? -EAGAIN : -EOPNOTSUPP;
}

static int do_claim(struct slow *s, struct app *a, struct tp_ctl *m)
{
	struct claim cl = {
		.key = m->claim.key,
		.cookie = m->claim.cookie,
		.opts = m->claim.opts,
		.uid = a->uid,
		.region = a->own,
	};
	enum tp_reason reason;
	struct conn *c;

	if (!a->own)
		return -ENOTCONN;
	if (a->uring) {
		why_note(&s->why, &cl.key, cl.cookie, TP_WHY_IO_URING);
		return refuse(m, TP_WHY_IO_URING);
	}
	reason = claim(s, &cl, &c);
	if (reason)
		return refuse(m, reason);
	reply_slot(m, c);
	return 0;
}

/* The claimed connection @m names, if @a may have it. */
static int find_claimed(struct slow *s, struct app *a, struct tp_ctl *m, struct conn **ret_conn)
{
	struct conn *c = conn_by_cookie(&s->conns, m->claim.cookie);

	if (!c || !c->region)
		return refuse(m, TP_WHY_NO_FLOW);
	if (!same_user(a, c->region->uid))
		return refuse(m, TP_WHY_NOT_YOURS);
	*ret_conn = c;
	return 0;
}

static int find(struct slow *s, struct app *a, struct tp_ctl *m, struct app_fds *ret_fds)
{
	struct conn *c;
	int err = find_claimed(s, a, m, &c);

	if (err)
		return err;
	err = give_region(a, c->region);
	if (err)
		return err;
	reply_slot(m, c);
	region_fds(c->region, ret_fds);
	return 0;
}

static int leave(struct slow *s, struct app *a, struct tp_ctl *m)
{
	struct conn *c;
	int err = find_claimed(s, a, m, &c);

	if (!err)
		handback_begin(s, c, TP_WHY_HANDED_BACK);
	return err;
}

static int options(struct slow *s, struct app *a, struct tp_ctl *m)
{
	struct conn *c;
	int err = find_claimed(s, a, m, &c);

	return err ? err : options_changed(s, c);
}

/* ----------------------------------------------------------------------------------------- */

bool app_request(struct slow *s, struct app *a, struct tp_ctl *m, int fd, struct app_fds *ret_fds)
{
	ret_fds->count = 0;
	m->reason = TP_WHY_NONE;
	switch (m->h.type) {
	case TP_CTL_HELLO:
		m->err = hello(s, a, m, ret_fds);
		break;
	case TP_CTL_CTX:
		m->err = add_ctx(s, a, m, fd);
		if (!m->err)
			fd = -1;
		break;
	case TP_CTL_LISTEN:
		m->err = add_listen(s, a, m);
		break;
	case TP_CTL_UNLISTEN:
		m->err = del_listen(s, a, m);
		break;
	case TP_CTL_CONNECT:
		m->err = add_connect(s, m);
		break;
	case TP_CTL_CLAIM:
		m->err = do_claim(s, a, m);
		break;
	case TP_CTL_FIND:
		m->err = find(s, a, m, ret_fds);
		break;
	case TP_CTL_LEAVE:
		m->err = leave(s, a, m);
		break;
	case TP_CTL_OPTIONS:
		m->err = options(s, a, m);
		break;
	default:
		return false;
	}
	if (fd >= 0)
		close(fd);
	return true;
}

void app_unheard(struct slow *s, const struct tp_ctl *m)
{
	struct conn *c = m->h.type == TP_CTL_CLAIM && !m->err ?
			 conn_by_cookie(&s->conns, m->claim.cookie) : NULL;

	if (c)
		handback_begin(s, c, TP_WHY_HANDED_BACK);
}

void app_fini(struct slow *s, struct app *a)
{
	list_each(l, n, &a->listens)
		drop_listen(s, a, container_of(l, struct listen_ref, link));
	list_each(l, n, &a->ctxs) {
		struct ctx_ref *ref = container_of(l, struct ctx_ref, link);

		region_drop_ctx(ref->region, ref->index);
		free(ref);
	}
	list_del(&a->link);
	part(s, a);
	for (uint32_t i = 0; i < a->givens; i++)
		region_put(s, a->given[i]);
}

void apps_close(struct slow *s)
{
	list_each(l, n, &s->apps.listeners)
		listener_forget(s, &container_of(l, struct listener, link)->key);
}
