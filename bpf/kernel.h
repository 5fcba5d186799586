/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * kernel.h - the fields of Linux's own structures that ask.bpf.c and stranger.bpf.c read.
 *
 * Names and types only: where a field lies is found at load (CO-RE), so one object serves
 * every kernel and the build needs none. Fields that a kernel may lack are asked for with
 * bpf_core_field_exists() first.
 */
#ifndef TASPILOT_BPF_KERNEL_H
#define TASPILOT_BPF_KERNEL_H

#include <linux/types.h>
#include <stdbool.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct rb_node;
struct rb_root {
	struct rb_node *rb_node;
};

typedef struct {
	__s64 counter;
} atomic64_t;

typedef struct {
	__u32 val;
} kuid_t;

struct netns_ipv4 {
	__u8 sysctl_ip_default_ttl;
	__u8 sysctl_tcp_retries2;
	__u8 sysctl_tcp_slow_start_after_idle;
	__u8 sysctl_tcp_moderate_rcvbuf;
	int sysctl_tcp_invalid_ratelimit;	/* ticks */
};

struct net {
	struct netns_ipv4 ipv4;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	unsigned char skc_state;
	possible_net_t skc_net;
	atomic64_t skc_cookie;
	unsigned long skc_flags;
	__u32 skc_tw_rcv_nxt;			/* in TIME_WAIT */
};

struct inet_timewait_sock {
	struct sock_common __tw_common;
};

struct tcp_timewait_sock {
	struct inet_timewait_sock tw_sk;
};

typedef struct {
	int owned;
} socket_lock_t;

struct sk_filter;
struct xfrm_policy;

struct dst_entry {
	unsigned long _metrics;		/* of an array of __u32; its two lowest bits are flags */
};

enum sock_flags {
	SOCK_RCVTSTAMP,			/* the number is the kernel's; it is asked for at load */
};

struct fasync_struct;
struct socket_wq {
	struct fasync_struct *fasync_list;
};

struct sock {
	struct sock_common __sk_common;
	__u32 sk_tsflags;
	int sk_peek_off;
	struct socket_wq *sk_wq;
	socket_lock_t sk_lock;
	struct {
		int len;
	} sk_backlog;
	struct sk_filter *sk_filter;
	struct xfrm_policy *sk_policy[2];
	int sk_rcvbuf;
	int sk_sndbuf;
	int sk_err;
	kuid_t sk_uid;
	__u8 sk_shutdown;
	__u8 sk_userlocks : 4;		/* 6.1; a byte of its own since */
	struct dst_entry *sk_dst_cache;
	unsigned long sk_max_pacing_rate;
};

struct socket {
	struct sock *sk;
};

struct poll_table_struct {
	__u32 _key;
};

struct task_struct {
	struct task_struct *group_leader;
};

struct ip_options_rcu;

struct inet_sock {
	struct sock sk;
	__s16 uc_ttl;
	__u8 tos;
	struct ip_options_rcu *inet_opt;
};

struct tcp_congestion_ops {
	char name[16];
};

struct tcp_ulp_ops;

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	__u32 icsk_rto;
	__u32 icsk_rto_min;
	__u32 icsk_pmtu_cookie;
	__u32 icsk_user_timeout;
	const struct tcp_congestion_ops *icsk_ca_ops;
	const struct tcp_ulp_ops *icsk_ulp_ops;
};

struct tcp_options_received {
	__u32 ts_recent;
	__u16 saw_tstamp : 1, tstamp_ok : 1, dsack : 1, wscale_ok : 1, sack_ok : 3, smc_ok : 1,
		snd_wscale : 4, rcv_wscale : 4;
};

struct tcp_md5sig_info;
struct tcp_ao_info;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 snd_una, snd_nxt, write_seq;
	__u32 rcv_nxt, copied_seq, rcv_wup, rcv_wnd;
	__u32 snd_wnd;
	__u32 mss_cache;
	__u16 advmss;
	__u16 urg_data;
	__u32 tsoffset;
	__u32 snd_cwnd, snd_ssthresh;
	__u32 srtt_us, mdev_us;
	__u8 ecn_flags;
	__u8 nonagle : 4;
	__u8 repair : 1;
	__u8 recvmsg_inq : 1;
	__u8 tcp_usec_ts : 1;
	bool is_mptcp;
	struct tcp_options_received rx_opt;
	struct rb_root out_of_order_queue;
	struct tcp_md5sig_info *md5sig_info;
	struct tcp_ao_info *ao_info;
};

#pragma clang attribute pop

#endif
