/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tchook.c - tcx links and clsact filters. See tchook.h.
 */
#include "tchook.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILTER_HANDLE	0x7a5b		/* ours, by which we know it again */

/* linux/bpf.h of 6.6 */
#define TCX_INGRESS	46
#define TCX_EGRESS	47
#define TCX_FIRST	(1U << 3)	/* BPF_F_BEFORE, relative to nothing */

int tcx_attach(int ifindex, enum tc_dir dir, int prog_fd)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = TCX_FIRST);
	int fd;

	/* The way that a kernel before 6.6 offers, for tests on a newer one. */
	if (getenv("TASPILOT_NO_TCX"))
		return -EOPNOTSUPP;
	fd = bpf_link_create(prog_fd, ifindex,
			     (enum bpf_attach_type)(dir == TC_IN ? TCX_INGRESS : TCX_EGRESS),
			     &opts);
	return fd == -EINVAL ? -EOPNOTSUPP : fd;
}

static struct bpf_tc_hook hook_of(int ifindex, int points)
{
	return (struct bpf_tc_hook){ .sz = sizeof(struct bpf_tc_hook),
				     .ifindex = ifindex,
				     .attach_point = (enum bpf_tc_attach_point)points };
}

static int point_of(enum tc_dir dir)
{
	return dir == TC_IN ? BPF_TC_INGRESS : BPF_TC_EGRESS;
}

int clsact_make(int ifindex)
{
	struct bpf_tc_hook hook = hook_of(ifindex, BPF_TC_INGRESS);

	return bpf_tc_hook_create(&hook);
}

int clsact_attach(int ifindex, enum tc_dir dir, int prog_fd, uint32_t prio)
{
	struct bpf_tc_hook hook = hook_of(ifindex, point_of(dir));
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd, .handle = FILTER_HANDLE,
		    .priority = prio);

	return bpf_tc_attach(&hook, &opts);
}

void clsact_detach(int ifindex, enum tc_dir dir, uint32_t prio)
{
	struct bpf_tc_hook hook = hook_of(ifindex, point_of(dir));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE, .priority = prio);

	bpf_tc_detach(&hook, &opts);
}

/* The kind of a qdisc or filter, "" if it has none. */
static const char *kind_of(const struct nlmsghdr *h)
{
	const struct tcmsg *t = NLMSG_DATA(h);
	int len = (int)h->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*t));

	for (const struct rtattr *a = TCA_RTA(t); RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == TCA_KIND && strnlen(RTA_DATA(a), RTA_PAYLOAD(a)) <
						       RTA_PAYLOAD(a))
			return RTA_DATA(a);
	return "";
}

/* 1: the message is what the dump was for; -EEXIST: it is in its place. */
static int judge(const struct nlmsghdr *h, int ifindex)
{
	const struct tcmsg *t = NLMSG_DATA(h);

	if (t->tcm_ifindex != ifindex)
		return 0;
	if (h->nlmsg_type == RTM_NEWTFILTER)
		return 1;
	if (h->nlmsg_type != RTM_NEWQDISC || t->tcm_parent != TC_H_CLSACT)
		return 0;
	return strcmp(kind_of(h), "clsact") ? -EEXIST : 1;
}

static int judge_answer(int fd, int ifindex)
{
	char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
	int ret = 0;

	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		const struct nlmsghdr *h = (const void *)buf;

		if (n < 0)
			return -errno;
		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return ret;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
			ret = ret ? ret : judge(h, ifindex);
		}
	}
}

/* Is there any clsact qdisc (RTM_GETQDISC), or a filter of anybody below @parent
 * (RTM_GETTFILTER)? 1, 0 or -errno.
 */
static int any(uint16_t what, int ifindex, uint32_t parent)
{
	struct {
		struct nlmsghdr h;
		struct tcmsg t;
	} ask = {
		.h = { .nlmsg_len = sizeof(ask),
		       .nlmsg_type = what,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.t = { .tcm_ifindex = ifindex, .tcm_parent = parent },
	};
	int fd, ret;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	ret = send(fd, &ask, sizeof(ask), 0) < 0 ? -errno : judge_answer(fd, ifindex);
	close(fd);
	return ret;
}

int clsact_present(int ifindex)
{
	return any(RTM_GETQDISC, ifindex, 0);
}

void clsact_remove_if_unused(int ifindex)
{
	struct bpf_tc_hook hook = hook_of(ifindex, BPF_TC_INGRESS | BPF_TC_EGRESS);

	if (any(RTM_GETTFILTER, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)) == 0 &&
	    any(RTM_GETTFILTER, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)) == 0)
		bpf_tc_hook_destroy(&hook);
}
