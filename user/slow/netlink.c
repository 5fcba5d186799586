/* SPDX-License-Identifier: BSD-2-Clause
 *
 * netlink.c - one question, one answer.
 */
#include "netlink.h"

#include <errno.h>
#include <sys/socket.h>

int netlink_ask(int fd, const struct nlmsghdr *question, struct nlmsghdr *answer, size_t room)
{
	ssize_t n;

	if (send(fd, question, question->nlmsg_len, 0) < 0)
		return -errno;
	n = recv(fd, answer, room, 0);
	if (n < 0)
		return -errno;
	if (!NLMSG_OK(answer, n))
		return -EPROTO;
	if (answer->nlmsg_type == NLMSG_ERROR)
		return ((const struct nlmsgerr *)NLMSG_DATA(answer))->error;
	return 0;
}
