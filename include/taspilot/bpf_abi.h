/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * bpf_abi.h - every byte that the BPF programs and user space exchange.
 *
 * Included by both. Hash keys compare bytes, so no struct here has padding.
 * Addresses are always 16 bytes; IPv4 stands as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
 */
#ifndef TASPILOT_BPF_ABI_H
#define TASPILOT_BPF_ABI_H

#include <linux/types.h>

#define TP_MAX_FLOWS	(1 << 18)	/* entries of tp_flows, tp_cookies */
#define TP_MAX_LISTEN	4096		/* entries of tp_listeners */
#define TP_MAX_QUEUES	64		/* entries of tp_xsks */
#define TP_SLOW_BYTES	(4 << 20)	/* tp_slow: power of two, page multiple */
#define TP_STALE_NS	500000000ULL	/* a heartbeat older than this is a dead daemon's */
#define TP_MARK		0x7a5b1107	/* skb->mark: "the slow path sent this, let it by" */
#define TP_FRAME_MAX	9216		/* longest frame that a ring record carries */

/* The address parts of keys are bytes and their ports numbers, so that a dump of the maps reads
 * well; being aligned, they are still written and compared by words.
 */
#define TP_KEY	__attribute__((aligned(4)))

/* A connection as the wire names it, seen from this host. Ports in host byte order. */
struct tp_flow_key {
	__u8 peer_ip[16];
	__u8 local_ip[16];
	__u16 peer_port;
	__u16 local_port;
} TP_KEY;

static inline __attribute__((always_inline)) void tp_set_ip4(__u8 to[16], __be32 ip4)
{
	__builtin_memset(to, 0, 10);
	to[10] = to[11] = 0xff;
	__builtin_memcpy(to + 12, &ip4, sizeof(ip4));
}

static inline __attribute__((always_inline)) __be32 tp_ip4(const __u8 ip[16])
{
	__be32 ip4;

	__builtin_memcpy(&ip4, ip + 12, sizeof(ip4));
	return ip4;
}

/* Who carries the bytes of a connection, and so what happens to its frames.
 *
 *  state  from the wire               from Linux (tc egress)     left by
 *  WATCH  Linux; tc notes how far     Linux; tc notes whereto    claim.c, FIN, RST, watch.c
 *  HOLD   tp_slow, kept in order      TAP, kept                  claim.c, handback.c
 *  FAST   XSK, whatever the flags     TAP: a request to us       handback.c
 *  LINUX  XDP_PASS, tc translates     tc translates              expiry, a new SYN-ACK
 *
 * TIME_WAIT is LINUX with no program left: the entry goes when Linux's socket has gone.
 */
enum tp_flow_state {
	TP_NONE,			/* plain Linux; the entry, if there is one, is swept */
	TP_WATCH,
	TP_HOLD,
	TP_FAST,
	TP_LINUX,
};

struct tp_flow_val {
	enum tp_flow_state state;
	__u32 flow_id;			/* index of the fast path's flow, valid in FAST */
	__u32 tx_delta;			/* wire minus Linux, numbers of our data (LINUX) */
	__u32 rx_delta;			/* wire minus Linux, numbers of the peer's data (LINUX) */
	/* WATCH: what only the wire shows. Host byte order. */
	__u32 to_linux;			/* first number behind all that Linux was given */
	__u32 queue;			/* RX queue of the peer's frames */
	__u32 born;			/* CLOCK_MONOTONIC >> TP_BORN_SHIFT: about seconds */
	__u16 next_hop[3];		/* destination of Linux's frames, in the order of memory */
	__u8 seen_in, seen_out;		/* a frame of the peer, of Linux, passed under this name */
};
#define TP_BORN_SHIFT	30

/* A port that a registered program listens on, in host byte order. local_ip all zero: any address. */
struct tp_listen_key {
	__u8 local_ip[16];
	__u16 local_port;
	__u16 zero;
} TP_KEY;

/* tp_cookies: sockets that we must hear of, by SO_COOKIE. */
#define TP_COOKIE_CONNECT	1U	/* its SYN begins WATCH */
#define TP_COOKIE_CLAIMED	2U	/* its release is reported (TP_REC_RELEASE) */
#define TP_COOKIE_TOLD		4U	/* TP_REC_STRANGER was; set by stranger.bpf.c */

/* A flag that recvmsg(2) ignores for TCP (MSG_CMSG_CLOEXEC): the shim is calling. */
#define TP_MSG_SHIM	0x40000000

/* tp_config, one entry. */
struct tp_config {
	__u64 heartbeat_ns;		/* CLOCK_MONOTONIC, written by taspilotd */
};

/* An Ethernet address as two words in the order of memory: one compare each. */
struct tp_mac {
	__u32 head;
	__u16 tail;
	__u16 zero;
};

/* XDP puts this in front of a frame that it redirects to an XSK (xdp data_meta). */
struct tp_meta {
	__u32 magic;			/* TP_META_MAGIC, else the driver dropped it */
	__u32 flow_id;
};
#define TP_META_MAGIC	0x74706d31U

/* Records of tp_slow. */
enum tp_record_kind {
	TP_REC_FRAME,			/* a frame from the wire, for Linux or a held flow */
	TP_REC_RELEASE,			/* the last reference to a claimed socket went */
	TP_REC_STRANGER,		/* a claimed socket is used past the shim */
	TP_REC_URING,			/* a program has made an io_uring */
};

struct tp_record {
	__u64 time_ns;			/* CLOCK_MONOTONIC when it was written */
	__u64 cookie;			/* RELEASE, STRANGER: whose; URING: the program's number */
	__u32 kind;			/* enum tp_record_kind */
	__u32 state;			/* FRAME: the flow's state that XDP saw, or TP_NONE */
	__u32 len;			/* FRAME: bytes that follow */
	__u32 queue;			/* FRAME: RX queue */
	/* the frame */
};

/* tp_count: one counter per verdict and CPU. Names as `taspilot status` prints them. */
#define TP_VERDICTS(X)						\
	X(XDP_FAST,		"xdp_fast")		/* to an XSK */			\
	X(XDP_NO_XSK,		"xdp_no_xsk")		/* FAST, but no socket: ring */	\
	X(XDP_WATCH,		"xdp_watch")		/* WATCH: pass */		\
	X(XDP_HOLD,		"xdp_hold")		/* HOLD: ring */		\
	X(XDP_MERGED,		"xdp_merged")		/* ours, too long: ring, or tc */ \
	X(XDP_SYN,		"xdp_syn")		/* SYN to a listener: pass */	\
	X(XDP_ARP,		"xdp_arp")		/* ARP: ring */			\
	X(XDP_ICMP,		"xdp_icmp")		/* error about a flow: ring */	\
	X(XDP_LINUX,		"xdp_linux")		/* LINUX: pass */		\
	X(XDP_RING_FULL_PASS,	"xdp_ring_full_pass")	/* ring full: passed */		\
	X(XDP_RING_FULL_DROP,	"xdp_ring_full_drop")	/* ring full: dropped */	\
	X(XDP_STALE,		"xdp_stale")		/* no heartbeat: passed */	\
	X(XDP_DOOR,		"xdp_door")		/* generic mode: from the TAP */ \
	X(XDP_PASS_OTHER,	"xdp_pass")		/* not ours */			\
	X(TCI_GUARD,		"tci_guard")		/* tc ingress dropped (I8) */	\
	X(TCI_HOLD,		"tci_hold")		/* tc ingress: HOLD, to TAP */	\
	X(TCI_MERGED,		"tci_merged")		/* tc ingress: too long, to TAP */ \
	X(TCI_WATCH,		"tci_watch")		/* tc ingress: WATCH, noted */	\
	X(TCI_LINUX,		"tci_linux")		/* tc ingress translated */	\
	X(TCI_FAST,		"tci_fast")		/* tc ingress: FAST, past XDP: to TAP */ \
	X(TCI_PASS,		"tci_pass")						\
	X(TCI_OWN,		"tci_own")		/* tc ingress: from here: TAP, loops */ \
	X(TCE_DOOR,		"tce_door")		/* tc egress: to the TAP */	\
	X(TCE_ARP,		"tce_arp")		/* tc egress: ARP to the TAP */	\
	X(TCE_WATCH,		"tce_watch")		/* tc egress: WATCH, noted */	\
	X(TCE_SYN,		"tce_syn")		/* a watched socket connects */	\
	X(TCE_LINUX,		"tce_linux")		/* tc egress translated */	\
	X(TCE_STALE,		"tce_stale")		/* no heartbeat: passed */	\
	X(TCE_GUARD,		"tce_guard")		/* no heartbeat, flow ours: dropped */ \
	X(TCE_PASS,		"tce_pass")						\
	X(DOOR_IN,		"door_in")		/* tas0 ingress -> NIC ingress */ \
	X(DOOR_FAILED,		"door_failed")		/* the same, but no memory */	\
	X(RELEASE,		"release")		/* a claimed socket closed: ring */ \
	X(RELEASE_LOST,		"release_lost")		/* the same, but the ring was full */ \
	X(STRANGER,		"stranger")		/* a claimed socket used past the shim */ \
	X(URING,		"io_uring")		/* a program of ours made an io_uring */

enum tp_verdict {
#define X(id, name) TP_V_##id,
	TP_VERDICTS(X)
#undef X
	TP_VERDICT_COUNT,
};

/* The question to tp_ask, behind the Ethernet header of its frame. */
enum tp_ask_op {
	TP_ASK_LOOK,			/* change nothing */
	TP_ASK_HOLD,			/* first WATCH -> HOLD */
	TP_ASK_UNHOLD,			/* first HOLD -> WATCH */
};
struct tp_question {
	struct tp_flow_key key;
	__u32 op;			/* enum tp_ask_op */
};

/* What Linux knows of a connection, filled by the tp_ask program (see ask.bpf.c).
 * Sequence numbers in host byte order.
 */
struct tp_answer {
	struct tp_flow_val entry;	/* as it stands after the operation; all 0: none */
	__u32 found;			/* 0: no such full socket; of TIME_WAIT, tcp_state and rcv_nxt */
	__u32 tcp_state;		/* TCP_ESTABLISHED... (net/tcp_states.h), 0 none */
	__u64 cookie;
	__u32 uid;			/* sk_uid */
	__u32 snd_una, snd_nxt, write_seq;
	__u32 rcv_nxt, copied_seq, rcv_wup, rcv_wnd;
	__u32 snd_wnd;			/* bytes, scaled */
	__u32 mss_cache;		/* payload of a full segment, options taken off */
	__u32 advmss;
	__u32 ts_offset;		/* TSval = CLOCK_MONOTONIC ms + this */
	__u32 ts_recent;
	__u32 snd_cwnd;			/* segments */
	__u32 snd_ssthresh;		/* segments */
	__u32 srtt_us;			/* 0: no sample yet; not shifted */
	__u32 rttvar_us;		/* not shifted */
	__u32 rto_us;
	__u32 rto_min_us;		/* the route's, else the socket's */
	__u32 init_cwnd;		/* the route's; 0 none */
	__u32 pmtu;
	__u32 rcvbuf, sndbuf;		/* sk_rcvbuf, sk_sndbuf */
	__u32 user_timeout_ms;
	__u32 retries2;			/* sysctl tcp_retries2 */
	__u32 invalid_ratelimit_us;	/* sysctl tcp_invalid_ratelimit */
	__u32 sk_err;
	__u64 max_pacing_rate;		/* bytes per second, ~0 none */
	__u8 snd_wscale, rcv_wscale;
	__u8 sack_ok, ts_ok, ecn_ok, wscale_ok;
	__u8 nodelay, cork;
	__u8 ooo;			/* Linux holds out-of-order segments */
	__u8 odd;			/* MPTCP, MD5, AO, repair, ULP, usec timestamps...: leave it */
	__u8 tos, ttl;
	__u8 shutdown;			/* sk_shutdown */
	__u8 busy;			/* Linux works on the socket, or has segments waiting for it */
	__u8 rcvbuf_locked, sndbuf_locked;	/* the program has set SO_RCVBUF, SO_SNDBUF */
	__u8 idle_restart;		/* sysctl tcp_slow_start_after_idle */
	__u8 moderate_rcvbuf;		/* sysctl: the receive buffer may grow by itself */
	__u8 quick_acks;		/* the route's quickack */
	__u8 pad;
	char cc[16];			/* congestion control, by Linux's name */
};

#ifndef __cplusplus
_Static_assert(sizeof(struct tp_flow_key) == 36, "key has padding");
_Static_assert(_Alignof(struct tp_flow_key) == 4, "key is not written by words");
_Static_assert(sizeof(enum tp_flow_state) == 4, "state is no word");
_Static_assert(sizeof(struct tp_flow_val) == 36, "value has padding");
_Static_assert(sizeof(struct tp_question) == 40, "question has padding");
_Static_assert(sizeof(struct tp_listen_key) == 20, "key has padding");
_Static_assert(sizeof(struct tp_record) == 32, "record has padding");
#endif

#endif
