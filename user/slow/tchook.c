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

/* Is this message of the answer what the dump was for? */
static bool counts(const struct nlmsghdr *h, int ifindex)
{
	const struct tcmsg *t = NLMSG_DATA(h);

	return t->tcm_ifindex == ifindex &&
	       (h->nlmsg_type == RTM_NEWTFILTER ||
		(h->nlmsg_type == RTM_NEWQDISC && t->tcm_parent == TC_H_CLSACT));
}

static int any_in_answer(int fd, int ifindex)
{
	char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
	bool any = false;

	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		const struct nlmsghdr *h = (const void *)buf;

		if (n < 0)
			return -errno;
		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return any;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
			any = any || counts(h, ifindex);
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
	ret = send(fd, &ask, sizeof(ask), 0) < 0 ? -errno : any_in_answer(fd, ifindex);
	close(fd);
	return ret;
}

bool clsact_present(int ifindex)
{
	return any(RTM_GETQDISC, ifindex, 0) == 1;
}

void clsact_remove_if_unused(int ifindex)
{
	struct bpf_tc_hook hook = hook_of(ifindex, BPF_TC_INGRESS | BPF_TC_EGRESS);

	if (any(RTM_GETTFILTER, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)) == 0 &&
	    any(RTM_GETTFILTER, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)) == 0)
		bpf_tc_hook_destroy(&hook);
}
