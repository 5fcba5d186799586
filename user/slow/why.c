/* SPDX-License-Identifier: BSD-2-Clause
 *
 * why.c - for each TCP connection on the NIC's addresses that is not accelerated: the reason.
 *
 * Linux lists the connections (inet_diag), so that none is forgotten of which we never heard.
 * The reason is what a claim was refused with, or what became of it, or that nobody asked.
 */
#include "why.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "segment.h"
#include "slow.h"

#define STATES	(~(1U << TCP_LISTEN | 1U << TCP_TIME_WAIT | 1U << TCP_CLOSE | \
		   1U << TCP_SYN_RECV | 1U << TCP_SYN_SENT))
#define INODES_MAX	65536U

/* What one question carries along. */
struct search {
	struct slow *s;
	struct ifaddrs *addrs;
	const struct tp_end *end;	/* one with port 0: any */
	uint32_t port;			/* 0 any */
	bool by_pid;
	uint32_t *inode;		/* of the process's sockets, if by_pid */
	uint32_t inodes;
	struct text *t;
};

static const struct {
	const char *name, *text;
} reasons[] = {
#define X(id, text) { #id, text },
	TP_REASONS(X)
#undef X
};

const char *why_name(enum tp_reason reason)
{
	return reasons[reason].name;
}

static void remember(struct why *w, const struct tp_flow_key *key, uint64_t cookie,
		     enum tp_reason reason)
{
	w->note[w->next++ % WHY_NOTES] =
		(struct why_refusal){ .key = *key, .cookie = cookie, .reason = reason };
}

void why_note(struct why *w, const struct tp_flow_key *key, uint64_t cookie, enum tp_reason reason)
{
	w->count[reason]++;
	remember(w, key, cookie, reason);
}

void why_note_back(struct why *w, const struct tp_flow_key *key, uint64_t cookie,
		   enum tp_reason reason)
{
	w->back[reason]++;
	remember(w, key, cookie, reason);
}

static void counts(const uint64_t count[TP_REASON_COUNT], const char *key, struct text *t)
{
	json_open(t, key, '{');
	for (uint32_t i = 0; i < TP_REASON_COUNT; i++)
		if (count[i])
			json_num(t, reasons[i].name, count[i]);
	json_close(t, '}');
}

void why_counts(const struct why *w, struct text *t)
{
	counts(w->count, "refused", t);
	counts(w->back, "handed_back", t);
}

static enum tp_reason noted(const struct why *w, uint64_t cookie)
{
	uint32_t n = w->next < WHY_NOTES ? w->next : WHY_NOTES;

	for (uint32_t i = 1; i <= n; i++) {
		const struct why_refusal *r = &w->note[(w->next - i) % WHY_NOTES];

		if (r->cookie == cookie)
			return r->reason;
	}
	return TP_WHY_UNCLAIMED;
}

static enum tp_reason reason_of(struct slow *s, const struct tp_flow_key *key, uint64_t cookie)
{
	const struct conn *c = conn_find(&s->conns, key);
	enum tp_reason why = noted(&s->why, cookie);

	if (c && (c->phase == CONN_FAST || c->phase == CONN_CLAIM))
		return TP_WHY_NONE;
	if (c && c->phase > CONN_FAST)
		return c->wants_back ? c->reason : TP_WHY_CLOSED_SIDE;
	return why;
}

/* ---- whose sockets ---- */

static void add_inode(struct search *q, int fds, const char *name)
{
	char target[64];
	ssize_t n = readlinkat(fds, name, target, sizeof(target) - 1);
	unsigned int inode;

	if (n < 0 || q->inodes == INODES_MAX)
		return;
	target[n] = '\0';
	if (sscanf(target, "socket:[%u]", &inode) == 1)
		q->inode[q->inodes++] = inode;
}

static int read_inodes(struct search *q, uint32_t pid)
{
	char path[64];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%u/fd", pid);
	d = opendir(path);
	if (!d)
		return errno == ENOENT ? -ESRCH : -errno;
	q->inode = malloc(INODES_MAX * sizeof(*q->inode));
	while (q->inode && (e = readdir(d)))
		add_inode(q, dirfd(d), e->d_name);
	closedir(d);
	return q->inode ? 0 : -ENOMEM;
}

static bool has_inode(const struct search *q, uint32_t inode)
{
	if (!q->by_pid)
		return true;
	for (uint32_t i = 0; i < q->inodes; i++)
		if (q->inode[i] == inode)
			return true;
	return false;
}

static bool is_local(const struct search *q, __be32 ip)
{
	for (const struct ifaddrs *a = q->addrs; a; a = a->ifa_next)
		if (a->ifa_addr && a->ifa_addr->sa_family == AF_INET &&
		    !strcmp(a->ifa_name, q->s->att->nic.ifname) &&
		    ((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr.s_addr == ip)
			return true;
	return false;
}

/* ---- Linux's list ---- */

/* An IPv4 connection, whichever kind of socket has it. */
static bool key_of(const struct inet_diag_msg *m, struct tp_flow_key *key)
{
	bool mapped = m->idiag_family == AF_INET6;

	if (mapped && (m->id.idiag_src[0] || m->id.idiag_src[1] ||
		       m->id.idiag_src[2] != htonl(0xffff)))
		return false;
	tp_set_ip4(key->local_ip, m->id.idiag_src[mapped ? 3 : 0]);
	tp_set_ip4(key->peer_ip, m->id.idiag_dst[mapped ? 3 : 0]);
	key->local_port = ntohs(m->id.idiag_sport);
	key->peer_port = ntohs(m->id.idiag_dport);
	return true;
}

static bool is_wanted(const struct search *q, const struct inet_diag_msg *m,
		      const struct tp_flow_key *key)
{
	return is_local(q, tp_ip4(key->local_ip)) && has_inode(q, m->idiag_inode) &&
	       conn_key_has_end(key, q->end) &&
	       (!q->port || key->local_port == q->port || key->peer_port == q->port);
}

static void add_end(struct text *t, const char *name, const uint8_t ip[16], uint16_t port)
{
	char addr[INET_ADDRSTRLEN], text[INET_ADDRSTRLEN + 8];

	inet_ntop(AF_INET, ip + 12, addr, sizeof(addr));
	snprintf(text, sizeof(text), "%s:%u", addr, port);
	json_str(t, name, text);
}

static void tell_one(struct search *q, const struct inet_diag_msg *m)
{
	uint64_t cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0];
	struct tp_flow_key key;
	enum tp_reason why;

	if (!key_of(m, &key) || !is_wanted(q, m, &key))
		return;
	why = reason_of(q->s, &key, cookie);
	if (why == TP_WHY_NONE)
		return;
	json_open(q->t, NULL, '{');
	json_str(q->t, "ifname", q->s->att->nic.ifname);
	add_end(q->t, "local", key.local_ip, key.local_port);
	add_end(q->t, "remote", key.peer_ip, key.peer_port);
	json_num(q->t, "inode", m->idiag_inode);
	json_num(q->t, "uid", m->idiag_uid);
	json_str(q->t, "reason", reasons[why].name);
	json_str(q->t, "text", reasons[why].text);
	json_close(q->t, '}');
}

static int ask_for_list(int fd, int family)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} m = {
		.h = { .nlmsg_len = sizeof(m), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.r = { .sdiag_family = (uint8_t)family, .sdiag_protocol = IPPROTO_TCP,
		       .idiag_states = STATES },
	};

	return send(fd, &m, sizeof(m), 0) < 0 ? -errno : 0;
}

/* All messages of one answer. 1: the last one was among them. */
static int read_list(struct search *q, int fd)
{
	static char buf[65536] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	if (n < 0)
		return -errno;
	for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		tell_one(q, NLMSG_DATA(h));
	}
	return 0;
}

static int list(struct search *q, int family)
{
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), err;

	if (fd < 0)
		return -errno;
	err = ask_for_list(fd, family);
	while (!err)
		err = read_list(q, fd);
	close(fd);
	return err < 0 ? err : 0;
}

int why_tell(struct slow *s, const struct tp_end *end, uint32_t pid, uint32_t port,
	     struct text *t)
{
	struct search q = { .s = s, .end = end, .port = port, .by_pid = pid, .t = t };
	int err = pid ? read_inodes(&q, pid) : 0;

	if (err)
		goto out;
	if (getifaddrs(&q.addrs) < 0) {
		err = -errno;
		goto out;
	}
	json_open(t, NULL, '[');
	err = list(&q, AF_INET);
	if (!err)
		err = list(&q, AF_INET6);
	json_close(t, ']');
	freeifaddrs(q.addrs);
	if (err)
		text_free(t);
out:
	free(q.inode);
	return err;
}
