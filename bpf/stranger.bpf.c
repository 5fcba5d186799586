/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * stranger.bpf.c - who uses a socket of ours past the shim?
 *
 * A program without the shim that reads such a socket (it was started by exec, or got the fd
 * by SCM_RIGHTS or pidfd_getfd) would wait for ever: the bytes are in a pipe that it does not
 * know. What it sends shows on the TAP; that it wants to read shows here, and the slow path
 * hands the flow back. The same for a raw system call and for io_uring.
 *
 *  tcp_recvmsg	read, recv, io_uring. The shim marks its own by TP_MSG_SHIM
 *  tcp_splice_read	splice
 *  tcp_poll		for bytes or room. The shim asks the kernel for errors only, but a flow may
 *			be claimed while another thread of the program waits in the kernel; so
 *			programs that told us of themselves (tp_tasks) are not looked at
 *  io_uring_create	polls and reads where no call shows it: a program that has one is not
 *			accelerated at all from then on. Which have one is remembered (tp_urings),
 *			also before they know of us
 *
 * Each flow is reported once. All other TCP sockets of the machine pay for the look: one load
 * where the socket has no cookie, which most have not, else one hash lookup.
 */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "kernel.h"
#include "maps.h"

#define MSG_OOB		0x1
#define MSG_ERRQUEUE	0x2000
#define POLL_DATA	0x2145U		/* IN, OUT, RDNORM, WRNORM, RDHUP */

/* The program's number, given by the slow path, its only writer; by thread group leader. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} tp_tasks SEC(".maps");

/* 1: it has made an io_uring. Written here only. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} tp_urings SEC(".maps");

static __always_inline void tell(__u32 kind, __u64 whose, __u32 counter)
{
	struct tp_record *r = bpf_ringbuf_reserve(&tp_slow, sizeof(*r), 0);

	if (!r)
		return;
	*r = (struct tp_record){ .time_ns = bpf_ktime_get_ns(), .cookie = whose, .kind = kind };
	bpf_ringbuf_submit(r, 0);
	verdict(counter, 0);
}

/* Ours, and not told of yet? */
static __always_inline void used(struct sock *sk)
{
	__u64 cookie = sk->__sk_common.skc_cookie.counter;
	__u32 *what;

	if (!cookie)
		return;
	what = bpf_map_lookup_elem(&tp_cookies, &cookie);
	if (!what || (*what & (TP_COOKIE_CLAIMED | TP_COOKIE_TOLD)) != TP_COOKIE_CLAIMED)
		return;
	if (!(__sync_fetch_and_or(what, TP_COOKIE_TOLD) & TP_COOKIE_TOLD))
		tell(TP_REC_STRANGER, cookie, TP_V_STRANGER);
}

SEC("fentry/tcp_recvmsg")
int BPF_PROG(tp_recvmsg, struct sock *sk, void *msg, __u64 len, int flags)
{
	if (!(flags & (TP_MSG_SHIM | MSG_OOB | MSG_ERRQUEUE)))
		used(sk);
	return 0;
}

SEC("fentry/tcp_splice_read")
int BPF_PROG(tp_splice_read, struct socket *sock)
{
	used(sock->sk);
	return 0;
}

static __always_inline bool knows_us(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return bpf_task_storage_get(&tp_tasks, task->group_leader, NULL, 0) != NULL;
}

SEC("fentry/tcp_poll")
int BPF_PROG(tp_poll, void *file, struct socket *sock, struct poll_table_struct *wait)
{
	if (wait && wait->_key & POLL_DATA && sock->sk->__sk_common.skc_cookie.counter &&
	    !knows_us())
		used(sock->sk);
	return 0;
}

SEC("tp_btf/io_uring_create")
int BPF_PROG(tp_uring)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 *has = bpf_task_storage_get(&tp_urings, task->group_leader, NULL,
					  BPF_LOCAL_STORAGE_GET_F_CREATE), *app;

	if (has)
		*has = 1;
	app = bpf_task_storage_get(&tp_tasks, task->group_leader, NULL, 0);
	if (app)
		tell(TP_REC_URING, *app, TP_V_URING);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
