/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tchook.h - a BPF program on an interface's ingress or egress, before those of others.
 *
 * Two ways. A tcx link (Linux 6.6) leaves no qdisc behind and goes with its pin. Before
 * that, a filter on the clsact qdisc, of which there is one an interface: whoever comes
 * first makes it, so it is removed only by its maker, and only when no filter is left.
 */
#ifndef TASPILOT_SLOW_TCHOOK_H
#define TASPILOT_SLOW_TCHOOK_H

#include <stdbool.h>
#include <stdint.h>

enum tc_dir { TC_IN, TC_OUT };

/* A link's descriptor, or -errno; -EOPNOTSUPP: the kernel has no tcx. */
int tcx_attach(int ifindex, enum tc_dir dir, int prog_fd);

/* 1, 0, or -errno: -EEXIST if an "ingress" qdisc sits in its place. */
int clsact_present(int ifindex);
int clsact_make(int ifindex);
/* -EEXIST, -EINVAL: @prio is taken by another kind of filter. */
int clsact_attach(int ifindex, enum tc_dir dir, int prog_fd, uint32_t prio);
/* Quietly nothing if it is not there. */
void clsact_detach(int ifindex, enum tc_dir dir, uint32_t prio);
void clsact_remove_if_unused(int ifindex);

#endif
