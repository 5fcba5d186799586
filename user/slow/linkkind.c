/* SPDX-License-Identifier: BSD-2-Clause
 *
 * linkkind.c - one rtnetlink request: what `ip -d link` shows. See linkkind.h.
 */
#include "linkkind.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink.h"

/* A string attribute of an IFLA_LINKINFO, bounded. */
static void copy_text(const struct rtattr *a, char to[LINKKIND_MAX])
{
	size_t n = strnlen(RTA_DATA(a), RTA_PAYLOAD(a));

	if (n >= LINKKIND_MAX)
		n = LINKKIND_MAX - 1;
	memcpy(to, RTA_DATA(a), n);
	to[n] = 0;
}

static void read_info(const struct rtattr *info, struct linkkind *k)
{
	const struct rtattr *a = RTA_DATA(info);
	int len = (int)RTA_PAYLOAD(info);

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type == IFLA_INFO_KIND)
			copy_text(a, k->kind);
		else if (a->rta_type == IFLA_INFO_SLAVE_KIND)
			copy_text(a, k->part_of);
	}
}

static void read_answer(const struct nlmsghdr *h, struct linkkind *k)
{
	const struct ifinfomsg *ifi = NLMSG_DATA(h);
	const struct rtattr *a = IFLA_RTA(ifi);
	int len = (int)IFLA_PAYLOAD(h);

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) == IFLA_LINKINFO)
			read_info(a, k);
}

int linkkind_read(int ifindex, struct linkkind *ret_kind)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg ifi;
	} q = {
		.h = { .nlmsg_len = sizeof(q), .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST },
		.ifi = { .ifi_index = ifindex },
	};
	char buf[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = (void *)buf;
	int err, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	err = netlink_ask(fd, &q.h, h, sizeof(buf));
	close(fd);
	if (err)
		return err;
	*ret_kind = (struct linkkind){ 0 };
	read_answer(h, ret_kind);
	return 0;
}
