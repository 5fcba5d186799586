/* SPDX-License-Identifier: BSD-2-Clause
 *
 * linkkind.h - is this a NIC, or a device on top of others, or part of one?
 */
#ifndef TASPILOT_SLOW_LINKKIND_H
#define TASPILOT_SLOW_LINKKIND_H

#define LINKKIND_MAX	16

struct linkkind {
	char kind[LINKKIND_MAX];	/* "bond", "vlan", "veth"...; a NIC has none */
	char part_of[LINKKIND_MAX];	/* kind of what it is a port of; "" of nothing */
};

/* 0 or -errno. */
int linkkind_read(int ifindex, struct linkkind *ret_kind);

#endif
