/* SPDX-License-Identifier: BSD-2-Clause
 *
 * attach.h - put taspilot on a NIC, all or nothing, and take it off without a trace.
 *
 * attach_nic() does everything that needs privileges, in this order, and undoes what it did
 * when a step fails: checks, bpffs, run directory and state file, TAP, NIC features, load and
 * pin, tc, XDP last. What has to be undone is in the state file before it is done, so that
 * undo.c can do it without the daemon that did it.
 */
#ifndef TASPILOT_SLOW_ATTACH_H
#define TASPILOT_SLOW_ATTACH_H

#include <net/ethernet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "../common/clock.h"
#include "taspilot/bpf_abi.h"
#include "taspilot/shm_abi.h"

enum attach_mode { ATTACH_AUTO, ATTACH_NATIVE, ATTACH_SKB };

struct attach_opts {
	const char *ifname;
	const char *tap;		/* NULL: the first free of tas0, tas1... */
	enum attach_mode mode;
	uint32_t queues;		/* 0: all RX queues */
};

struct nic {				/* what we know of the NIC, see nic.c */
	char ifname[IF_NAMESIZE];
	char driver[32];
	int ifindex;
	uint8_t mac[ETH_ALEN];
	uint32_t mtu;
	uint32_t rx_queues;
	bool up;
	bool partial_csum;		/* frames may carry only the pseudo-header sum (veth, virtio) */
	bool tso;			/* the device segments for us (tx-tcp-segmentation) */
};

struct attached {
	struct nic nic;
	uint32_t queues;		/* that we serve: 0 to this - 1 */
	uint32_t frame_room;		/* longest frame that the fast threads' sockets take */
	bool native;			/* XDP in the driver, not generic */
	char tap[IF_NAMESIZE];
	int tap_fd;			/* IFF_TAP|IFF_NO_PI|IFF_VNET_HDR, non-blocking, multi-read */
	int tap_ifindex;
	int flows_fd, listeners_fd, cookies_fd, xsks_fd, slow_fd, count_fd, config_fd;
	int ask_fd;			/* the tp_ask program, for ask.c */
	const struct tp_answer *ask_reply;	/* where it leaves its answer */
	bool release_hook;		/* cgroup/sock_release is attached */
	bool stranger_hook;		/* programs that use a socket past the shim are noticed */
	int stranger_err;		/* else why not */
	bool uring_hook;		/* programs that make an io_uring are */
	int tasks_fd, urings_fd;	/* if so: maps of stranger.bpf.c, by pidfd */
	char run_dir[108];		/* /run/taspilot/<ifname>, made by us, mode 0755 */
	struct attach_private *private;
};

/* 0 or -errno, having logged what failed on what object and what to do. */
int attach_nic(const struct attach_opts *o, struct attached **ret_att);
/* Undo all of it. Also for a daemon that is gone: see undo.h. */
void detach_nic(struct attached *att);

/* The NIC's MTU changed: the TAP's follows. 0 or -errno. */
int attach_set_mtu(struct attached *att, uint32_t mtu);
/* Has the NIC our XDP program still, whether the driver runs it or not? */
bool attach_has_xdp(const struct attached *att);
/* XDP off, and on again, for a driver that has lost it (hear.c). Each may take long, with RTNL held.
 * 0 or -errno: there is none then.
 */
void attach_xdp_off(struct attached *att);
int attach_xdp_on(struct attached *att);
/* The NIC's Ethernet address changed. */
void attach_set_mac(struct attached *att, const uint8_t mac[ETH_ALEN]);

/* ask.c: what Linux knows of the connection @key, after @op was done to its entry in tp_flows. 0,
 * or -errno if the program failed; "no such socket" is 0 with found == 0.
 */
int ask_after(const struct attached *att, const struct tp_flow_key *key, enum tp_ask_op op,
	      struct tp_answer *ret_answer);
/* The same without an operation. Nothing there may be something that is just being replaced by its TIME_WAIT,
 * which before Linux 6.11 may not be used at once: so that is asked again, after a moment.
 */
#define ASK_AGAIN_NS	5000U

static inline int ask_linux(const struct attached *att, const struct tp_flow_key *key,
			    struct tp_answer *ret_answer)
{
	int err = ask_after(att, key, TP_ASK_LOOK, ret_answer);
	uint64_t begin;

	if (err || ret_answer->found || ret_answer->tcp_state)
		return err;
	begin = clock_ns();
	while (clock_ns() - begin < ASK_AGAIN_NS)
		;
	return ask_after(att, key, TP_ASK_LOOK, ret_answer);
}

/* count.c: how often this verdict (enum tp_verdict) was come to; one of these, @first to @last. */
uint64_t verdict_count(const struct attached *att, uint32_t verdict);
uint64_t verdict_counts(const struct attached *att, uint32_t first, uint32_t last);

#endif
