/* SPDX-License-Identifier: BSD-2-Clause
 *
 * netlink.h - one question, one answer.
 */
#ifndef TASPILOT_SLOW_NETLINK_H
#define TASPILOT_SLOW_NETLINK_H

#include <linux/netlink.h>
#include <stddef.h>

/* Send @question; the first message of what comes back is whole, and at the start of @answer. 0 or
 * -errno, which may be the kernel's.
 */
int netlink_ask(int fd, const struct nlmsghdr *question, struct nlmsghdr *answer, size_t room);

#endif
