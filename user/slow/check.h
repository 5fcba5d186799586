/* SPDX-License-Identifier: BSD-2-Clause
 *
 * check.h - can taspilot be attached to this NIC? Asked by the command before it starts a
 * daemon, and by the daemon.
 */
#ifndef TASPILOT_SLOW_CHECK_H
#define TASPILOT_SLOW_CHECK_H

#include "attach.h"

/* The largest MTU at which a native XDP program, which sees one page, gets whole frames. With more
 * generic mode serves: it gets them whole, and what no AF_XDP buffer takes goes the slow way.
 */
#define CHECK_MTU_NATIVE	3498U

/* 0 and the NIC, or -errno, having logged what is wrong and what to do. */
int check_attach(const struct attach_opts *o, struct nic *ret_nic);

/* Is @n no NIC of its own, but a device on top of others, or part of one? True, and the reason, a
 * sentence that goes on from the interface's name.
 */
bool check_stacked(const struct nic *n, char *text, size_t size);

/* The XDP program on @ifindex, whoever's: "NAME (id N)" and true. */
bool check_foreign_xdp(int ifindex, char *text, size_t size);

#endif
