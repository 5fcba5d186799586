/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lab.h - the real BPF objects, loaded in namespaces of the test's own, and frames to feed
 * them. Nothing is attached: programs run by BPF_PROG_TEST_RUN.
 *
 * The NIC has the address lab_mac, the host is 10.0.0.2, its peer 10.0.0.1:5000; the flow
 * of most tests is the peer's connection to port 80.
 */
#ifndef LAB_H
#define LAB_H

#include <net/ethernet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "taspilot/bpf_abi.h"

#include "ask.skel.h"
#include "release.skel.h"
#include "tc.skel.h"
#include "xdp.skel.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define LAB_NIC		7		/* interface numbers, as the programs were told */
#define LAB_TAP		8
#define LAB_MTU		1500
#define LAB_PEER	0x0a000001	/* 10.0.0.1 */
#define LAB_HOST	0x0a000002
#define LAB_PEER_PORT	5000
#define LAB_PORT	80
#define LAB_FLOW_ID	42

extern const uint8_t lab_mac[ETH_ALEN], lab_peer_mac[ETH_ALEN];
extern struct xdp_bpf *lab_xdp;
extern struct tc_bpf *lab_tc;
extern struct ask_bpf *lab_ask;
extern struct release_bpf *lab_release;

/* Group setup: exits with 77 and a reason where this cannot run. lab_generic: as for --mode
 * skb.
 */
int lab_open(void **state);
int lab_open_generic(void **state);
int lab_close(void **state);
/* Before each test: a fresh daemon with a socket on queue 0, no flow, no listener. */
int lab_reset(void **state);

void lab_heartbeat(uint64_t age_ns);
void lab_socket(bool present);
void lab_flow(uint32_t state, uint32_t tx_delta, uint32_t rx_delta);	/* TP_NONE: no entry */
void lab_put(const struct tp_flow_val *v);	/* the flow's entry, whatever its state */
bool lab_entry(struct tp_flow_val *ret_entry);	/* false, and all 0: there is none */
uint32_t lab_flow_state(void);		/* TP_NONE: also no entry */
bool lab_born_now(const struct tp_flow_val *v);	/* give or take a second */
void lab_listen(uint32_t ip, uint16_t port);	/* 0: any address */
void lab_fill_ring(void);		/* and leave it full until lab_reset() */
/* A real interface with the NIC's address and two queues, up, of which nothing else makes use.
 * Returns its number.
 */
int lab_nic(void);
/* XDP's frames arrive there, until lab_reset(); its queues must be known to XDP. */
void lab_arrive_on(int ifindex, uint32_t queue);

/* ---- frames ---- */

struct lab_frame {
	uint8_t b[65536];
	uint32_t len;
	uint32_t l3, l4;		/* offsets of the headers */
};

enum lab_way { LAB_FROM_WIRE, LAB_FROM_HOST };

struct lab_spec {
	enum lab_way way;
	uint16_t vlan;			/* 0: untagged */
	uint8_t ip_options;		/* bytes, a multiple of 4 */
	uint16_t frag;			/* flags and offset as in the header, host order */
	uint8_t flags;			/* of TCP */
	uint32_t seq, ack;
	uint8_t opts[40];
	uint8_t opts_len;		/* a multiple of 4 */
	uint32_t payload;		/* bytes */
	uint16_t sport, dport;		/* 0: the flow's */
};

void lab_tcp(struct lab_frame *f, const struct lab_spec *s);
void lab_arp(struct lab_frame *f, enum lab_way way, bool broadcast);
/* An ICMP error of @type from the wire that quotes @quote bytes of what @s describes. */
void lab_icmp(struct lab_frame *f, uint8_t type, const struct lab_spec *s, uint32_t quote);
void lab_tcp_checksum(struct lab_frame *f);
bool lab_tcp_checksum_is_right(const struct lab_frame *f);
uint16_t lab_checksum(const void *data, uint32_t len, uint32_t sum);

void lab_pad(struct lab_frame *f);	/* to what Ethernet carries at least, with no zeros */

/* ---- running ---- */

struct lab_result {
	int action;			/* XDP_*, TC_ACT_* */
	int verdict;			/* enum tp_verdict: the one that was counted, -1: not one */
	struct lab_frame out;
	bool ringed;			/* a record was written: */
	struct tp_record record;
	uint8_t ring_frame[TP_FRAME_MAX];
};

const struct lab_result *lab_run(const struct bpf_program *prog, const struct lab_frame *f);
const char *lab_verdict_name(int verdict);
uint64_t lab_count(uint32_t verdict);	/* how often, on all CPUs */
/* Consume the ring; the last record in it, NULL if it was empty. */
const struct tp_record *lab_consume(void);

#endif
