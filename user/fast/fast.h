/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fast.h - what the slow path may ask of a fast thread, and what it is told.
 *
 * A fast thread owns one RX queue's XSK and UMEM, and its flows: their TCP state, timers
 * and the fast lines of their slots. The slow path is one thread; between the two stand
 * two single-producer rings. Nothing else is shared, so nothing is locked.
 *
 * The life of a flow here:
 *
 *   slow: fast_install()   before tp_flows says FAST. What XDP redirects meanwhile finds
 *                          the command, since commands are taken before an unknown frame is
 *                          given up
 *   slow: fast_inject()    frames that arrived by the ring around the switch; order does
 *                          not matter, TCP sorts it
 *   fast: FAST_EV_*        what happened that Linux must learn
 *   slow: FAST_CMD_LEAVE   quiesce; FAST_EV_QUIET (with final numbers) when all is
 *                          acknowledged; from then on the flow neither sends nor receives
 *   slow: FAST_CMD_LEAVE   again, when the program had written between QUIET and tp_slot.state
 *                          LEAVING: the flow lives on, sends what stands in its tx pipe now, and
 *                          is QUIET once more. A QUIET that was told before a LEAVE was taken is
 *                          void, so each LEAVE has a number, and QUIET repeats the last one's
 *   slow: FAST_CMD_FREE    forget it; FAST_EV_FREED: its flow_id may be used again. Always the
 *                          last command of a flow, after QUIET, DEAD and FAST_CMD_RST alike
 *
 * FIN and RELEASE for a flow that is QUIET are ignored: Linux does these with the peer itself.
 * The fast thread leaves by itself (as if told LEAVE) as soon as the peer's FIN has arrived and the
 * program has read what came before it, or our FIN is acknowledged; and everything of ours is
 * acknowledged. After TCP_DO_RESET, TIMEOUT or ABORT the flow is dead at once.
 */
#ifndef TASPILOT_FAST_H
#define TASPILOT_FAST_H

#include <net/ethernet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tcp.h"
#include "taspilot/bpf_abi.h"
#include "taspilot/shm_abi.h"

struct fast;				/* one thread */
struct profile;
struct fast_set;			/* all of them, and the flow table that they share */

enum fast_poll { FAST_POLL_ADAPTIVE, FAST_POLL_BUSY, FAST_POLL_EVENT };

struct fast_config {
	const char *ifname;
	int ifindex;
	int xsks_map_fd;		/* tp_xsks */
	uint32_t queues;		/* one thread each, queue i = thread i */
	int cpu[TP_MAX_THREADS];	/* -1: not pinned */
	enum fast_poll poll;
	bool native;			/* XDP runs in the driver */
	bool partial_csum_ok;		/* veth, virtio: a frame may carry only the pseudo-header sum */
	uint32_t mtu;
	uint8_t mac[ETH_ALEN];
	/* slow thread: 1 + the CPU where it is at work, 0 while it waits; NULL: not told */
	const _Atomic uint32_t *slow_cpu;
};

/* 0 or -errno; on failure nothing is left behind. */
int fast_start(const struct fast_config *cfg, struct fast_set **ret_set);
void fast_stop(struct fast_set *s);
uint32_t fast_threads(const struct fast_set *s);
bool fast_zerocopy(const struct fast_set *s);

/* Programs' memory. @base is mapped for as long as the region is added. The eventfd of
 * (region, thread) is written by the program to wake the thread; ctx eventfds by the thread.
 * All are copied (dup) or used until FAST_EV_REGION_GONE of every thread.
 */
struct fast_region {
	uint32_t region_id;
	void *base;
	struct tp_region geo;		/* private copy of the header */
	int kick_fd[TP_MAX_THREADS];
	int ctx_fd[TP_MAX_CTX];		/* -1 none; set by the slow path before FAST_CMD_CTX */
	void *fast_private;		/* user/fast's own */
};

/* Every 50 ms or so, by the slow thread: a program cannot make a fast thread hang for longer. */
void fast_watch(const struct fast_region *r);

enum fast_cmd_kind {
	FAST_CMD_REGION_ADD,		/* region */
	FAST_CMD_REGION_DEL,		/* region; its flows were freed before */
	FAST_CMD_CTX,			/* region, index: its ctx_fd[index] is set */
	FAST_CMD_INSTALL,		/* install */
	FAST_CMD_INJECT,		/* frame for a flow of yours (or of a flow gone: dropped) */
	FAST_CMD_FIN,			/* flow_id: Linux asked for our FIN */
	FAST_CMD_RELEASE,		/* flow_id: no program holds the socket any more */
	FAST_CMD_RST,			/* flow_id: Linux reset it: send RST, be dead; FREE follows */
	FAST_CMD_LEAVE,			/* flow_id, value (its number, from 1): back when quiet */
	FAST_CMD_FREE,			/* flow_id */
	FAST_CMD_NOTIFY,		/* flow_id: wake the program, its slot's state changed */
	FAST_CMD_PROBE,			/* flow_id: provoke an answer from the peer */
	FAST_CMD_MSS,			/* flow_id, value */
	FAST_CMD_OPTIONS,		/* flow_id, options */
	FAST_CMD_NEIGH,			/* old_mac -> new_mac, every flow */
	FAST_CMD_STATE,			/* flow_id: answer with FAST_EV_STATE */
};

struct fast_options {
	struct tcp_options tcp;
	uint8_t tos, ttl;
};

struct fast_install {
	uint32_t flow_id;
	struct tp_flow_key key;
	uint8_t eth[ETH_HLEN];		/* as our frames begin */
	uint8_t tos, ttl;
	struct fast_region *region;
	uint32_t slot;
	struct tcp_begin tcp;		/* slot and pipe pointers are filled by user/fast */
};

struct fast_cmd {
	enum fast_cmd_kind kind;
	uint32_t flow_id;
	uint32_t value;
	union {
		struct fast_region *region;
		const struct fast_install *install;	/* copied before fast_send returns */
		struct { const void *data; uint32_t len; } frame;	/* likewise */
		struct { uint8_t old_mac[ETH_ALEN], new_mac[ETH_ALEN]; } neigh;
		const struct fast_options *options;	/* likewise */
	};
};

/* From the slow thread only. -EAGAIN: the ring is full (INJECT may then be dropped; for the
 * others retry: the thread always drains it). A thread that sleeps is woken by fast_flush(),
 * at the end of the slow thread's turn: at once would mostly mean to lose the CPU to it.
 */
int fast_send(struct fast_set *s, uint32_t thread, const struct fast_cmd *cmd);
void fast_flush(struct fast_set *s);

enum fast_event_kind {
	FAST_EV_PEER_FIN,		/* flow_id: taken, all bytes before it delivered to the pipe */
	FAST_EV_FIN_ACKED,		/* flow_id */
	FAST_EV_QUIET,			/* flow_id: left; state has the final numbers; value: that
					 * of the last LEAVE taken, 0 none */
	FAST_EV_DEAD,			/* flow_id: reset, timed out or aborted; value = errno,
					 * state.err likewise; the wire side is over */
	FAST_EV_FREED,			/* flow_id */
	FAST_EV_STATE,			/* flow_id */
	FAST_EV_ODD,			/* flow_id: cannot carry this (urgent data): hand it back */
	FAST_EV_STRAY,			/* frame of no flow here (installed late, freed early) */
	FAST_EV_REGION_GONE,		/* region */
};

struct fast_event {
	enum fast_event_kind kind;
	uint32_t thread;
	uint32_t flow_id;
	uint32_t value;
	union {
		struct tcp_state state;
		struct fast_region *region;
		struct { uint8_t data[2048]; uint32_t len; } frame;
	};
};

/* Readable (one eventfd for all threads) when fast_recv may return true. Slow thread only. */
int fast_event_fd(const struct fast_set *s);
bool fast_recv(struct fast_set *s, struct fast_event *ret_event);

/* Counters of all threads, read without stopping them. */
struct fast_stats {
	uint64_t rx_segments, tx_segments, rx_bytes, tx_bytes, retransmits, ooo;
	uint64_t rx_bad_csum, rx_bad, rx_stray, tx_full, handed_over;
	uint64_t wakes, yields, kicks, sleeps, flows;
};
void fast_get_stats(const struct fast_set *s, struct fast_stats *ret_stats);
/* Those of one. */
void fast_get_thread_stats(const struct fast_set *s, uint32_t thread, struct fast_stats *ret_stats);
/* profile.h; NULL beyond the last thread. Not to be changed. */
const struct profile *fast_profile(const struct fast_set *s, uint32_t thread);

#endif
