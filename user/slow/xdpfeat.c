/* SPDX-License-Identifier: BSD-2-Clause
 *
 * xdpfeat.c - two generic netlink requests: the number of the family "netdev", then the
 * device. See xdpfeat.h.
 */
#include "xdpfeat.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink.h"

/* linux/netdev.h of 6.3 */
#define DEV_GET		1
#define ATTR_IFINDEX	1
#define ATTR_FEATURES	3

struct request {
	struct nlmsghdr h;
	struct genlmsghdr g;
	struct nlattr a;
	char value[16];
};

/* Ask with one attribute, take the attribute @want of the answer. */
static int ask(int fd, uint16_t family, uint8_t cmd, uint16_t attr, const void *value,
	       uint16_t len, uint16_t want, void *ret_value, uint16_t ret_len)
{
	struct request q = {
		.h = { .nlmsg_type = family, .nlmsg_flags = NLM_F_REQUEST },
		.g = { .cmd = cmd, .version = 1 },
		.a = { .nla_type = attr, .nla_len = (uint16_t)(NLA_HDRLEN + len) },
	};
	char buf[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = (void *)buf;
	ssize_t at;
	int err;

	memcpy(q.value, value, len);
	q.h.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + GENL_HDRLEN + NLA_ALIGN(NLA_HDRLEN + len));
	err = netlink_ask(fd, &q.h, h, sizeof(buf));
	if (err)
		return err;

	for (at = NLMSG_HDRLEN + GENL_HDRLEN; at + NLA_HDRLEN <= (ssize_t)h->nlmsg_len;) {
		const struct nlattr *a = (const void *)(buf + at);

		if (a->nla_len < NLA_HDRLEN || at + a->nla_len > (ssize_t)h->nlmsg_len)
			return -EPROTO;
		if ((a->nla_type & NLA_TYPE_MASK) == want &&
		    a->nla_len >= NLA_HDRLEN + ret_len) {
			memcpy(ret_value, (const char *)a + NLA_HDRLEN, ret_len);
			return 0;
		}
		at += NLA_ALIGN(a->nla_len);
	}
	return -EOPNOTSUPP;
}

int xdpfeat_read(int ifindex, uint64_t *ret_features)
{
	static const char name[] = "netdev";
	uint16_t family;
	uint32_t index = (uint32_t)ifindex;
	int err, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	if (fd < 0)
		return -errno;
	err = ask(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, name,
		  sizeof(name), CTRL_ATTR_FAMILY_ID, &family, sizeof(family));
	if (err == -ENOENT)
		err = -EOPNOTSUPP;
	if (!err)
		err = ask(fd, family, DEV_GET, ATTR_IFINDEX, &index, sizeof(index),
			  ATTR_FEATURES, ret_features, sizeof(*ret_features));
	close(fd);
	return err;
}
