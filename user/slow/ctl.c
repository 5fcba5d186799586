/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ctl.c - the control socket: one connection a program or command, one packet a message.
 *
 * Requests of programs are answered at once (apps.c). What the command asks may take a while:
 * FLOWS asks the fast threads for each flow's state, DETACH and DEMOTE wait for flows to go
 * back. Text
 * goes out in packets as the socket takes them, so a reader that stops reading holds up
 * nobody, and a program that does not read its replies is disconnected.
 */
#include "ctl.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../common/opts.h"
#include "../common/text.h"
#include "handback.h"
#include "report.h"
#include "rundir.h"
#include "slow.h"
#include "taspilot/ctl_abi.h"

#define CLIENTS_BACKLOG	128
#define QUERY_AHEAD	256U		/* states asked for at a time */
#define QUERY_NS	(2 * NS_PER_S)	/* a thread that does not answer is not waited for */
#define DEMOTE_NS	(10 * NS_PER_S)	/* nor a peer that does not acknowledge */

struct query {				/* one FLOWS */
	struct list link;
	struct client *client;
	uint64_t until_ns;
	uint32_t at;			/* flow_id to be asked next */
	uint32_t awaited;
	uint64_t asked[CONN_FLOW_IDS / 64];
};

struct client {
	struct loop_source src;
	struct list link;
	struct list waiting;		/* for DETACH, or for DEMOTE: */
	struct tp_end end;		/* which flows */
	uint32_t demoted;		/* how many there were */
	uint64_t until_ns;
	struct slow *s;
	struct app app;
	struct query *query;
	uint32_t text_seq;		/* of the request that out answers */
	struct text out;
	size_t out_at;
	bool out_ready;			/* out is complete: send it */
};

static void client_free(struct client *cl)
{
	struct slow *s = cl->s;

	loop_del(&s->loop, &cl->src);
	close(cl->src.fd);
	app_fini(s, &cl->app);
	if (cl->query) {
		list_del(&cl->query->link);
		free(cl->query);
	}
	list_del(&cl->waiting);
	list_del(&cl->link);
	text_free(&cl->out);
	free(cl);
}

/* --- packets out -------------------------------------------------------------------------- */

static int send_packet(struct client *cl, const struct tp_ctl *m, const char *text, size_t len,
		       const struct app_fds *fds)
{
	struct iovec iov[2] = { { (void *)m, sizeof(*m) }, { (void *)text, len } };
	union {
		char buf[CMSG_SPACE(sizeof(int) * APP_FDS)];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	struct cmsghdr *c;

	if (fds && fds->count) {
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * fds->count);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * fds->count);
		memcpy(CMSG_DATA(c), fds->fd, sizeof(int) * fds->count);
	}
	return sendmsg(cl->src.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* As much text as the socket takes. 0, -EAGAIN: more later, or -errno. */
static int send_text(struct client *cl)
{
	size_t most = TP_CTL_MAX - sizeof(struct tp_ctl);

	while (cl->out_ready) {
		size_t left = cl->out.len - cl->out_at, n = left < most ? left : most;
		struct tp_ctl m = {
			.h = { .type = TP_CTL_TEXT, .seq = cl->text_seq },
			.err = cl->out.failed ? -ENOMEM : 0,
			.text = { .more = n < left, .len = (uint32_t)n },
		};
		int err = send_packet(cl, &m, cl->out.buf + cl->out_at, n, NULL);

		if (err)
			return err;
		cl->out_at += n;
		cl->out_ready = n < left;
	}
	cl->out_at = 0;
	text_free(&cl->out);
	return 0;
}

static void flush(struct client *cl)
{
	int err = send_text(cl);

	if (err == -EAGAIN)
		loop_mod(&cl->s->loop, &cl->src, EPOLLIN | EPOLLOUT);
	else if (err)
		client_free(cl);
	else
		loop_mod(&cl->s->loop, &cl->src, EPOLLIN);
}

/* cl->out is the whole answer. May free @cl. */
static void answer(struct client *cl)
{
	text_bytes(&cl->out, "\n", 1);
	cl->out_ready = true;
	flush(cl);
}

static void answer_error(struct client *cl, int err)
{
	struct tp_ctl m = { .h = { .type = TP_CTL_TEXT, .seq = cl->text_seq }, .err = err };

	if (send_packet(cl, &m, NULL, 0, NULL))
		client_free(cl);
}

/* --- FLOWS -------------------------------------------------------------------------------- */

static bool is_asked(const struct query *q, uint32_t id)
{
	return q->asked[id / 64] >> (id % 64) & 1;
}

static void query_end(struct query *q)
{
	struct client *cl = q->client;

	list_del(&q->link);
	cl->query = NULL;
	free(q);
	report_flows_end(cl->s, &cl->out);
	answer(cl);
}

/* Ask for more states; the end if all have answered. */
static void query_go_on(struct slow *s, struct query *q)
{
	for (; q->at < CONN_FLOW_IDS && q->awaited < QUERY_AHEAD; q->at++) {
		struct conn *c = conn_by_flow(&s->conns, q->at);

		if (!c || c->phase != CONN_FAST)
			continue;
		q->asked[q->at / 64] |= 1ULL << (q->at % 64);
		q->awaited++;
		slow_tell_flow(s, c, FAST_CMD_STATE);
	}
	if (!q->awaited)
		query_end(q);
}

static int query_begin(struct client *cl)
{
	struct query *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->client = cl;
	q->until_ns = cl->s->now_ns + QUERY_NS;
	cl->query = q;
	list_add_tail(&cl->s->ctl.queries, &q->link);
	report_flows_begin(&cl->out);
	query_go_on(cl->s, q);
	return 0;
}

void ctl_state(struct slow *s, struct conn *c)
{
	list_each(l, n, &s->ctl.queries) {
		struct query *q = container_of(l, struct query, link);

		if (!is_asked(q, c->flow_id))
			continue;
		q->asked[c->flow_id / 64] &= ~(1ULL << (c->flow_id % 64));
		q->awaited--;
		report_flow(c, &q->client->out);
		query_go_on(s, q);
	}
}

static void expire_queries(struct slow *s)
{
	list_each(l, n, &s->ctl.queries) {
		struct query *q = container_of(l, struct query, link);

		if (q->until_ns <= s->now_ns)
			query_end(q);
	}
}

/* --- DEMOTE ------------------------------------------------------------------------------- */

/* Flows of @end that were told to go and have not gone yet. */
static uint32_t still_going(struct slow *s, const struct tp_end *end)
{
	struct conn *c;
	uint32_t n = 0;

	conn_each(&s->conns, c)
		n += c->wants_back && (c->phase == CONN_FAST || c->phase == CONN_BACK) &&
		     conn_key_has_end(&c->key, end);
	return n;
}

static int demote(struct client *cl, const struct tp_end *end)
{
	struct slow *s = cl->s;
	struct conn *c;

	if (cl->app.uid && cl->app.uid != geteuid())
		return -EPERM;
	cl->end = *end;
	cl->demoted = 0;
	cl->until_ns = s->now_ns + DEMOTE_NS;
	conn_each(&s->conns, c) {
		if (c->phase != CONN_FAST || !conn_key_has_end(&c->key, end))
			continue;
		cl->demoted++;
		handback_begin(s, c, TP_WHY_DEMOTED);
	}
	list_add_tail(&s->ctl.demoting, &cl->waiting);
	return 0;
}

static void answer_demote(struct client *cl, uint32_t remain)
{
	list_del(&cl->waiting);
	json_open(&cl->out, NULL, '{');
	json_str(&cl->out, "ifname", cl->s->att->nic.ifname);
	json_num(&cl->out, "demoted", cl->demoted);
	json_num(&cl->out, "remain", remain);
	json_close(&cl->out, '}');
	answer(cl);
}

static void expire_demotions(struct slow *s)
{
	list_each(l, n, &s->ctl.demoting) {
		struct client *cl = container_of(l, struct client, waiting);
		uint32_t remain = still_going(s, &cl->end);

		if (!remain || cl->until_ns <= s->now_ns)
			answer_demote(cl, remain);
	}
}

void ctl_expire(struct slow *s)
{
	expire_queries(s);
	expire_demotions(s);
}

/* --- requests of the command -------------------------------------------------------------- */

static int detach(struct client *cl, const struct tp_ctl *m)
{
	if (cl->app.uid && cl->app.uid != geteuid())
		return -EPERM;
	list_add_tail(&cl->s->ctl.waiting, &cl->waiting);
	slow_detach(cl->s, m->ask.force);
	return 0;
}

void ctl_detached(struct slow *s, uint32_t remain)
{
	list_each(l, n, &s->ctl.waiting) {
		struct client *cl = container_of(l, struct client, waiting);

		list_del(&cl->waiting);
		json_open(&cl->out, NULL, '{');
		json_str(&cl->out, "ifname", s->att->nic.ifname);
		json_num(&cl->out, "remain", remain);
		json_close(&cl->out, '}');
		answer(cl);
	}
}

/* Answers that are complete at once. -EINPROGRESS: it will come. */
static int command(struct client *cl, const struct tp_ctl *m)
{
	int err = 0;

	if (cl->out.len || cl->query || !list_empty(&cl->waiting))
		return -EBUSY;
	cl->text_seq = m->h.seq;
	switch (m->h.type) {
	case TP_CTL_STATUS:
		report_status(cl->s, &cl->out);
		break;
	case TP_CTL_WHY:
		err = why_tell(cl->s, &m->ask.end, m->ask.pid, m->ask.port, &cl->out);
		break;
	case TP_CTL_FLOWS:
		err = query_begin(cl);
		return err ? err : -EINPROGRESS;
	case TP_CTL_DEMOTE:
		err = demote(cl, &m->ask.end);
		return err ? err : -EINPROGRESS;
	case TP_CTL_DETACH:
		err = detach(cl, m);
		return err ? err : -EINPROGRESS;
	default:
		return -EOPNOTSUPP;
	}
	return err;
}

static void handle(struct client *cl, struct tp_ctl *m, int fd)
{
	struct app_fds fds;
	int err;

	if (app_request(cl->s, &cl->app, m, fd, &fds)) {
		if (send_packet(cl, m, NULL, 0, &fds)) {
			app_unheard(cl->s, m);
			client_free(cl);
		}
		return;
	}
	if (fd >= 0)
		close(fd);
	err = command(cl, m);
	if (!err)
		answer(cl);
	else if (err != -EINPROGRESS)
		answer_error(cl, err);
}

/* --- packets in --------------------------------------------------------------------------- */

/* The fd that came with @msg, the first if there are several; -1 none. */
static int take_fd(struct msghdr *msg)
{
	int first = -1, fd;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; CMSG_LEN(at + sizeof(fd)) <= c->cmsg_len; at += sizeof(fd)) {
			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			if (first < 0)
				first = fd;
			else
				close(fd);
		}
	}
	return first;
}

static void client_ready(struct loop_source *src, uint32_t events)
{
	struct client *cl = container_of(src, struct client, src);
	struct tp_ctl m = { 0 };
	struct iovec iov = { &m, sizeof(m) };
	union {
		char buf[CMSG_SPACE(sizeof(int) * 4)];
		struct cmsghdr align;
	} control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	ssize_t n;
	int fd;

	cl->s->now_ns = clock_ns();
	if (events & EPOLLHUP) {	/* it waits for no answer, so it asked for nothing */
		client_free(cl);
		return;
	}
	if (events & EPOLLOUT) {
		flush(cl);
		return;
	}
	n = recvmsg(src->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	fd = n > 0 ? take_fd(&msg) : -1;
	if (n < (ssize_t)sizeof(m.h)) {
		if (fd >= 0)
			close(fd);
		client_free(cl);
		return;
	}
	handle(cl, &m, fd);
}

static void client_new(struct slow *s, int fd)
{
	struct client *cl = calloc(1, sizeof(*cl));
	struct ucred cred = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(cred);

	if (!cl) {
		close(fd);
		return;
	}
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	cl->s = s;
	cl->src = (struct loop_source){ .fd = fd, .ready = client_ready };
	list_init(&cl->waiting);
	app_init(&cl->app, cred.uid, cred.pid);
	list_add_tail(&s->ctl.clients, &cl->link);
	if (loop_add(&s->loop, &cl->src, EPOLLIN))
		client_free(cl);
}

static void listener_ready(struct loop_source *src, uint32_t events)
{
	struct slow *s = container_of(src, struct slow, ctl.listener);
	int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0)
		client_new(s, fd);
}

/* Everybody may connect, or root and the members of one group; who may do what is then decided by
 * SO_PEERCRED.
 */
static bool let_in(const char *path, const struct opts *o)
{
	if (!o->has_group)
		return !chmod(path, 0666);
	return !chown(path, (uid_t)-1, o->group) && !chmod(path, 0660);
}

static int listen_for(const char *ifname, const struct opts *o)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	run_path(un.sun_path, ifname, "sock");
	unlink(un.sun_path);
	if (bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 || !let_in(un.sun_path, o) ||
	    listen(fd, CLIENTS_BACKLOG) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int ctl_init(struct slow *s, const struct opts *o)
{
	int err;

	list_init(&s->ctl.clients);
	list_init(&s->ctl.queries);
	list_init(&s->ctl.waiting);
	list_init(&s->ctl.demoting);
	s->ctl.listener = (struct loop_source){ .fd = listen_for(s->att->nic.ifname, o),
						.ready = listener_ready };
	if (s->ctl.listener.fd < 0)
		return s->ctl.listener.fd;
	err = loop_add(&s->loop, &s->ctl.listener, EPOLLIN);
	if (err)
		close(s->ctl.listener.fd);
	return err;
}

void ctl_fini(struct slow *s)
{
	list_each(l, n, &s->ctl.clients)
		client_free(container_of(l, struct client, link));
	loop_del(&s->loop, &s->ctl.listener);
	close(s->ctl.listener.fd);
}
