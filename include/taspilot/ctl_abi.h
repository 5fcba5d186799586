/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ctl_abi.h - messages on taspilotd's control socket.
 *
 * One SOCK_SEQPACKET Unix socket an interface, TP_RUN_DIR/<ifname>/sock (TP_RUN_DIR from
 * the environment's TASPILOT_RUN_DIR, else /run/taspilot). One message a packet, each
 * request answered by one packet with the same seq, in order. Programs (shim) and the
 * command line use the same socket; who may do what is decided by SO_PEERCRED.
 *
 * A shim:   HELLO -> region fd + one eventfd a fast thread (SCM_RIGHTS)
 *           CTX   -> (sends an eventfd by SCM_RIGHTS) index of the new context
 *           LISTEN / UNLISTEN, CONNECT (before connect(2)), CLAIM (after accept/connect)
 *           FIND  -> a slot claimed earlier, by another process or before exec
 *           LEAVE -> hand this connection back to Linux (design: back to Linux)
 *           OPTIONS -> an option of the real socket has changed: ask Linux which
 * Command:  STATUS, FLOWS, WHY, DEMOTE, DETACH: answered by JSON text in TP_CTL_TEXT packets,
 *           the last of which has more == 0.
 */
#ifndef TASPILOT_CTL_ABI_H
#define TASPILOT_CTL_ABI_H

#include <stdint.h>

#include "taspilot/bpf_abi.h"

#define TP_RUN_DIR_DEFAULT	"/run/taspilot"
#define TP_RUN_DIR_ENV		"TASPILOT_RUN_DIR"
#define TP_BPFFS		"/sys/fs/bpf"
#define TP_PIN_DIR		TP_BPFFS "/taspilot"
#define TP_CTL_MAX		65536	/* bytes of a packet */

enum tp_ctl_type {
	TP_CTL_HELLO = 1,
	TP_CTL_CTX,
	TP_CTL_LISTEN,
	TP_CTL_UNLISTEN,
	TP_CTL_CONNECT,
	TP_CTL_CLAIM,
	TP_CTL_FIND,
	TP_CTL_LEAVE,
	TP_CTL_OPTIONS,
	TP_CTL_STATUS = 64,
	TP_CTL_FLOWS,
	TP_CTL_DETACH = 67,	/* 66 and 68 name an end with its port in network byte order */
	TP_CTL_WHY = 69,
	TP_CTL_DEMOTE,
	TP_CTL_TEXT = 128,
};

/* Why a connection is Linux's. The text is what `taspilot why` prints. */
#define TP_REASONS(X)									\
	X(NONE,		"accelerated")							\
	X(NO_FLOW,	"its handshake was not seen on this interface")			\
	X(NAT,		"the wire's addresses are not the socket's (NAT)")		\
	X(NOT_YOURS,	"the socket belongs to another user")				\
	X(NETNS,	"the socket is in another network namespace")			\
	X(STATE,	"the connection is not established")				\
	X(BUSY,		"data was in flight at the claim")				\
	X(OPTIONS,	"it uses something that only Linux does (MPTCP, ULP, time stamps...)")	\
	X(FULL,		"no free slot")							\
	X(CLOSING,	"taspilot is being detached")					\
	X(FAMILY,	"it is no IPv4 TCP connection")					\
	X(HANDED_BACK,	"its program asked for what only Linux does")			\
	X(DEMOTED,	"an administrator handed it back to Linux")			\
	X(URGENT,	"urgent data came")						\
	X(STRANGER,	"a program that is not under 'taspilot run' uses it")		\
	X(BULK,		"it is a bulk transfer, which Linux carries (attach --bulk)")	\
	X(IO_URING,	"its program uses io_uring")					\
	X(NO_XDP,	"the driver does not run XDP any more; see taspilotd's log")	\
	X(CLOSED_SIDE,	"it is being closed")						\
	X(UNCLAIMED,	"no program claimed it: not run under 'taspilot run'")		\
	X(INTERNAL,	"taspilotd failed; see its log")

enum tp_reason {
#define X(id, text) TP_WHY_##id,
	TP_REASONS(X)
#undef X
	TP_REASON_COUNT,
};

/* One end of a connection, as the wire names it. Host byte order; port 0: any connection. */
struct tp_end {
	uint8_t ip[16];
	uint16_t port;
	uint16_t zero;
} TP_KEY;

struct tp_ctl_head {
	uint32_t type;			/* enum tp_ctl_type; a reply repeats the request's */
	uint32_t seq;			/* chosen by the requester */
};

struct tp_ctl {
	struct tp_ctl_head h;
	int32_t err;			/* reply: 0 or -errno */
	uint32_t reason;		/* reply to CLAIM, FIND: enum tp_reason */
	union {
		struct {
			uint32_t version;	/* TP_SHM_VERSION */
			uint32_t threads;	/* reply */
			uint32_t region_id;	/* reply */
			uint32_t pad;
			uint64_t netns_cookie;	/* SO_NETNS_COOKIE of the program; 0 unknown */
			uint64_t size;		/* reply: bytes of the region */
		} hello;
		struct {
			uint32_t region_id;	/* a region that this connection was given */
			uint32_t index;		/* reply */
		} ctx;
		struct {
			struct tp_listen_key key;
			uint32_t pad;
			uint64_t cookie;	/* SO_COOKIE of the listening socket */
		} listen;
		struct {
			uint64_t cookie;
		} connect;
		struct {
			struct tp_flow_key key;	/* getpeername, getsockname */
			uint32_t opts;		/* TP_O_* to begin with */
			uint64_t cookie;	/* SO_COOKIE */
			uint32_t slot;		/* reply */
			uint32_t generation;	/* reply */
			uint32_t region_id;	/* reply; FIND: the region fd comes with it */
			uint32_t thread;	/* reply */
		} claim;
		struct {
			uint32_t more;		/* TP_CTL_TEXT: 1 if another packet follows */
			uint32_t len;		/* bytes of text that follow this struct */
		} text;
		struct {
			uint32_t pid, port;	/* WHY: 0 any */
			uint32_t force;		/* DETACH: do not wait for flows */
			struct tp_end end;	/* WHY, DEMOTE: flows with this end */
		} ask;
	};
};

#endif
