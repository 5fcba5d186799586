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

static int read_answer(const struct nlmsghdr *h, ssize_t n, struct linkkind *k)
{
	const struct ifinfomsg *ifi = NLMSG_DATA(h);
	const struct rtattr *a = IFLA_RTA(ifi);
	int len;

	if (n < 0)
		return -errno;
	if (!NLMSG_OK(h, n))
		return -EPROTO;
	if (h->nlmsg_type == NLMSG_ERROR)
		return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
	len = (int)IFLA_PAYLOAD(h);
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) == IFLA_LINKINFO)
			read_info(a, k);
	return 0;
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
	struct linkkind k = {};
	int err, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (send(fd, &q, sizeof(q), 0) < 0)
		err = -errno;
	else
		err = read_answer((const void *)buf, recv(fd, buf, sizeof(buf), 0), &k);
	close(fd);
	if (!err)
		*ret_kind = k;
	return err;
}
