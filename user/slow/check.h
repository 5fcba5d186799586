/* SPDX-License-Identifier: BSD-2-Clause
 *
 * check.h - can taspilot be attached to this NIC? Asked by the command before it starts a
 * daemon, and by the daemon.
 */
#ifndef TASPILOT_SLOW_CHECK_H
#define TASPILOT_SLOW_CHECK_H

#include "attach.h"

/* The longest frame payload that one AF_XDP buffer and a native XDP program of one page can
 * take.
 */
#define CHECK_MTU_MAX	3498U

/* 0 and the NIC, or -errno, having logged what is wrong and what to do. */
int check_attach(const struct attach_opts *o, struct nic *ret_nic);

/* The XDP program on @ifindex, whoever's: "NAME (id N)" and true. */
bool check_foreign_xdp(int ifindex, char *text, size_t size);

#endif
