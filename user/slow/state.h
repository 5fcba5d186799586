/* SPDX-License-Identifier: BSD-2-Clause
 *
 * state.h - the file that says what has to be undone on a NIC.
 *
 * Lines of text, "KEY VALUE...", each written before the step that it tells of is taken. So
 * it may tell of one step too many, never of one too few; undoing what was not done is
 * harmless.
 *
 *   nic IFNAME IFINDEX NETNS   whose NIC; NETNS is the inode of its network namespace
 *   bpffs                      we mounted /sys/fs/bpf
 *   offload on|off FEATURE     we switched it so
 *   spread                     we set the NIC's indirection table, which was the driver's
 *   clsact                     we made the qdisc
 *   filter in|out PRIO         our clsact filter
 *
 * What is pinned under /sys/fs/bpf/taspilot/<ifname> needs no line.
 */
#ifndef TASPILOT_SLOW_STATE_H
#define TASPILOT_SLOW_STATE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "tchook.h"

#define STATE_MAX	32

struct state {
	char ifname[IF_NAMESIZE];
	int ifindex;
	uint64_t netns;
	bool bpffs, clsact, spread;
	uint32_t offloads, filters;
	struct {
		bool on;
		char feature[32];
	} offload[STATE_MAX];
	struct {
		enum tc_dir dir;
		uint32_t prio;
	} filter[STATE_MAX];
};

/* Descriptor to add lines to, or -errno. The first line is written. */
int state_create(const char *ifname, int ifindex);
int state_add(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* -ENOENT: there is none. Lines that are not understood are skipped. */
int state_read(const char *ifname, struct state *ret_state);

/* Inode of the network namespace that we are in; 0 if it cannot be told. */
uint64_t state_netns(void);

#endif
