/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * ask.bpf.c - what does Linux know of this connection now?
 *
 * Attached nowhere: user/slow/ask.c runs it (BPF_PROG_TEST_RUN) on a made-up frame that
 * holds a struct tp_question behind its Ethernet header, and reads the answer from tp_reply.
 * On the way it may hold a watched flow, or let go of it, in place: tc writes into that very
 * entry (maps.h), so to replace it from user space would lose what is being noted.
 * The lookup is Linux's own, as for a segment from that peer on that device, so IPv4-mapped
 * sockets and SO_BINDTODEVICE come out as they would.
 *
 * The socket is not locked. Numbers of one answer can be of two moments when Linux works
 * on the socket meanwhile; tp_answer.busy says that it does, and who needs certainty asks
 * until two answers agree.
 *
 * Nor is the table of sockets. While one becomes TIME_WAIT, or is born of its request, the kernel puts the
 * one into the list and takes the other out; who walks along that list just then (it was behind the first
 * when that came, and reaches the second when that has gone) meets neither. So nothing is believed to
 * be gone before LOOKS of them in a row.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"
#include "kernel.h"

/* enum tcp_state of the kernel's net/tcp_states.h */
#define STATE_TIME_WAIT		6
#define STATE_LISTEN		10
#define STATE_NEW_SYN_RECV	12

#define LOOKS	3

#define ECN_OK			0x01
#define ECN_ACCURATE		0x10
#define NAGLE_OFF		1
#define NAGLE_CORK		2
#define SNDBUF_LOCK		1
#define RCVBUF_LOCK		2

/* Ticks a second of this kernel; written by user space before load. */
const volatile __u32 tp_hz = 250;

struct tp_answer tp_reply;

static __always_inline __u32 ticks_us(__u32 ticks)
{
	return ticks * (1000000U / tp_hz);
}

static __always_inline void tell_numbers(struct tp_answer *a, struct tcp_sock *tp)
{
	a->snd_una = tp->snd_una;
	a->snd_nxt = tp->snd_nxt;
	a->write_seq = tp->write_seq;
	a->rcv_nxt = tp->rcv_nxt;
	a->copied_seq = tp->copied_seq;
	a->rcv_wup = tp->rcv_wup;
	a->rcv_wnd = tp->rcv_wnd;
	a->snd_wnd = tp->snd_wnd;
	a->ooo = tp->out_of_order_queue.rb_node != NULL;
}

static __always_inline void tell_options(struct tp_answer *a, struct tcp_sock *tp)
{
	a->mss_cache = tp->mss_cache;
	a->advmss = tp->advmss;
	a->ts_offset = tp->tsoffset;
	a->ts_recent = tp->rx_opt.ts_recent;
	a->snd_wscale = BPF_CORE_READ_BITFIELD_PROBED(tp, rx_opt.snd_wscale);
	a->rcv_wscale = BPF_CORE_READ_BITFIELD_PROBED(tp, rx_opt.rcv_wscale);
	a->wscale_ok = BPF_CORE_READ_BITFIELD_PROBED(tp, rx_opt.wscale_ok);
	a->sack_ok = BPF_CORE_READ_BITFIELD_PROBED(tp, rx_opt.sack_ok) != 0;
	a->ts_ok = BPF_CORE_READ_BITFIELD_PROBED(tp, rx_opt.tstamp_ok);
	a->ecn_ok = tp->ecn_flags & ECN_OK;
}

/* Metric @which of the route, 0 none. */
static __always_inline __u32 metric(struct sock *sk, int which)
{
	struct dst_entry *dst = sk->sk_dst_cache;
	__u32 value = 0, *metrics;

	if (!dst)
		return 0;
	metrics = (__u32 *)(BPF_CORE_READ(dst, _metrics) & ~3UL);
	if (!metrics || bpf_probe_read_kernel(&value, sizeof(value), &metrics[which - 1]))
		return 0;
	return value;
}

/* What an administrator decided: for this route, or for all. */
static __always_inline void tell_settings(struct tp_answer *a, struct sock *sk)
{
	struct net *net = sk->__sk_common.skc_net.net;

	if (metric(sk, RTAX_LOCK) & 1U << RTAX_RTO_MIN)
		a->rto_min_us = metric(sk, RTAX_RTO_MIN) * 1000;
	a->init_cwnd = metric(sk, RTAX_INITCWND);
	a->quick_acks = metric(sk, RTAX_QUICKACK) != 0;
	a->retries2 = net->ipv4.sysctl_tcp_retries2;
	a->idle_restart = net->ipv4.sysctl_tcp_slow_start_after_idle;
	a->moderate_rcvbuf = net->ipv4.sysctl_tcp_moderate_rcvbuf;
	a->invalid_ratelimit_us = ticks_us((__u32)net->ipv4.sysctl_tcp_invalid_ratelimit);
}

static __always_inline void tell_congestion(struct tp_answer *a, struct tcp_sock *tp)
{
	struct inet_connection_sock *icsk = &tp->inet_conn;

	a->snd_cwnd = tp->snd_cwnd;
	a->snd_ssthresh = tp->snd_ssthresh;
	a->srtt_us = tp->srtt_us >> 3;
	a->rttvar_us = tp->mdev_us >> 2;
	a->rto_us = ticks_us(icsk->icsk_rto);
	a->rto_min_us = ticks_us(icsk->icsk_rto_min);
	a->pmtu = icsk->icsk_pmtu_cookie;
	a->user_timeout_ms = icsk->icsk_user_timeout;
	bpf_core_read_str(a->cc, sizeof(a->cc), &icsk->icsk_ca_ops->name);
}

static __always_inline void tell_socket(struct tp_answer *a, struct tcp_sock *tp)
{
	struct inet_sock *inet = &tp->inet_conn.icsk_inet;
	struct sock *sk = &inet->sk;
	__u32 nonagle = BPF_CORE_READ_BITFIELD_PROBED(tp, nonagle);
	__u32 userlocks = BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks);

	a->cookie = sk->__sk_common.skc_cookie.counter;
	a->uid = sk->sk_uid.val;
	a->rcvbuf = sk->sk_rcvbuf;
	a->sndbuf = sk->sk_sndbuf;
	a->rcvbuf_locked = (userlocks & RCVBUF_LOCK) != 0;
	a->sndbuf_locked = (userlocks & SNDBUF_LOCK) != 0;
	a->sk_err = sk->sk_err;
	a->shutdown = sk->sk_shutdown;
	a->max_pacing_rate = sk->sk_max_pacing_rate;
	a->nodelay = (nonagle & NAGLE_OFF) != 0;
	a->cork = (nonagle & NAGLE_CORK) != 0;
	a->tos = inet->tos;
	a->ttl = inet->uc_ttl >= 0 ? inet->uc_ttl :
				     sk->__sk_common.skc_net.net->ipv4.sysctl_ip_default_ttl;
	a->busy = sk->sk_lock.owned || sk->sk_backlog.len;
}

/* Its program wants to hear things with the bytes, or of them, that only Linux's stack says. The shim sees
 * who asks for that on a connection of ours; here is what was asked for earlier, or of the listener.
 */
static __always_inline bool tells_more(struct tcp_sock *tp)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	return sk->__sk_common.skc_flags &
		       1UL << bpf_core_enum_value(enum sock_flags, SOCK_RCVTSTAMP) ||
	       sk->sk_tsflags || sk->sk_peek_off >= 0 || BPF_CORE_READ(sk, sk_wq, fasync_list) ||
	       BPF_CORE_READ_BITFIELD_PROBED(tp, recvmsg_inq);
}

/* Anything that the fast path does not do, or that looks at bytes it would not see. */
static __always_inline bool is_odd(struct tcp_sock *tp)
{
	struct inet_sock *inet = &tp->inet_conn.icsk_inet;

	if (bpf_core_field_exists(tp->is_mptcp) && tp->is_mptcp)
		return true;
	if (bpf_core_field_exists(tp->md5sig_info) && tp->md5sig_info)
		return true;
	if (bpf_core_field_exists(tp->ao_info) && tp->ao_info)
		return true;
	if (bpf_core_field_exists(tp->tcp_usec_ts) &&
	    BPF_CORE_READ_BITFIELD_PROBED(tp, tcp_usec_ts))
		return true;
	if (bpf_core_field_exists(inet->sk.sk_policy) &&
	    (inet->sk.sk_policy[0] || inet->sk.sk_policy[1]))
		return true;
	return BPF_CORE_READ_BITFIELD_PROBED(tp, repair) || tp->urg_data ||
	       tp->ecn_flags & ECN_ACCURATE || tp->inet_conn.icsk_ulp_ops ||
	       inet->sk.sk_filter || inet->inet_opt || tells_more(tp);
}

static __always_inline void tell(struct tp_answer *a, struct tcp_sock *tp)
{
	a->found = 1;
	a->odd = is_odd(tp);
	tell_socket(a, tp);
	tell_options(a, tp);
	tell_congestion(a, tp);
	tell_settings(a, &tp->inet_conn.icsk_inet.sk);
	tell_numbers(a, tp);
}

static __always_inline void tell_time_wait(struct tp_answer *a, struct bpf_sock *sk)
{
	struct tcp_timewait_sock *tw = bpf_skc_to_tcp_timewait_sock(sk);

	if (tw)
		a->rcv_nxt = tw->tw_sk.__tw_common.skc_tw_rcv_nxt;
}

static __always_inline void tell_if_full(struct tp_answer *a, struct bpf_sock *sk)
{
	struct tcp_sock *tp;

	a->tcp_state = sk->state;
	if (sk->state == STATE_TIME_WAIT)
		tell_time_wait(a, sk);
	if (sk->state == STATE_TIME_WAIT || sk->state == STATE_NEW_SYN_RECV)
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		tell(a, tp);
}

/* The atomic operation is a full fence: the entry is read, and Linux asked, after it. */
static __always_inline struct tp_flow_val *operate(const struct tp_question *q)
{
	struct tp_flow_val *v = bpf_map_lookup_elem(&tp_flows, &q->key);

	if (v && q->op == TP_ASK_HOLD)
		flow_move(v, TP_WATCH, TP_HOLD);
	if (v && q->op == TP_ASK_UNHOLD)
		flow_move(v, TP_HOLD, TP_WATCH);
	return v;
}

/* A stray segment with a number that Linux cannot have taken must not bar the flow for ever. */
static __always_inline void forget_implausible(struct tp_answer *a, struct tp_flow_val *v)
{
	__u32 edge = a->rcv_wup + a->rcv_wnd, noted = v->to_linux;

	if (a->found && v->state == TP_HOLD && (__s32)(noted - edge) > 0)
		__sync_val_compare_and_swap(&v->to_linux, noted, a->rcv_nxt);
}

/* Not the listener, which is found where the connection is not. */
static __always_inline struct bpf_sock *look_up(struct __sk_buff *skb, struct bpf_sock_tuple *tuple)
{
	struct bpf_sock *sk = bpf_skc_lookup_tcp(skb, tuple, sizeof(tuple->ipv4),
						 BPF_F_CURRENT_NETNS, 0);

	if (!sk || sk->state != STATE_LISTEN)
		return sk;
	bpf_sk_release(sk);
	return NULL;
}

SEC("tc")
int tp_ask(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct tp_question q;
	struct tp_flow_val *v;
	struct bpf_sock *sk;

	tp_reply = (struct tp_answer){};
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &q, sizeof(q)))
		return TC_ACT_SHOT;
	if (q.key.peer_ip[10] != 0xff || q.key.peer_ip[11] != 0xff)
		return TC_ACT_SHOT;
	v = operate(&q);

	tuple.ipv4.saddr = tp_ip4(q.key.peer_ip);
	tuple.ipv4.daddr = tp_ip4(q.key.local_ip);
	tuple.ipv4.sport = bpf_htons(q.key.peer_port);
	tuple.ipv4.dport = bpf_htons(q.key.local_port);
	sk = look_up(skb, &tuple);
	for (int i = 1; i < LOOKS && !sk; i++)
		sk = look_up(skb, &tuple);
	if (sk) {
		tell_if_full(&tp_reply, sk);
		bpf_sk_release(sk);
	}
	if (v) {
		tp_reply.entry = *v;
		forget_implausible(&tp_reply, v);
	}
	return TC_ACT_OK;
}

char _license[] SEC("license") = "Dual BSD/GPL";
