/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * release.bpf.c - tell the slow path that the last reference to a claimed socket is gone.
 *
 * The kernel calls this once a socket, before it says anything on the wire, also when the
 * process was killed. shutdown(SHUT_WR) and close() look alike as FINs; this is what tells
 * them apart. The entry in tp_cookies stays: the slow path, its writer, takes it out.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"

static __always_inline void report(__u64 cookie)
{
	struct tp_record *r = bpf_ringbuf_reserve(&tp_slow, sizeof(*r), 0);

	if (!r) {
		verdict(TP_V_RELEASE_LOST, 0);
		return;
	}
	*r = (struct tp_record){
		.time_ns = bpf_ktime_get_ns(),
		.cookie = cookie,
		.kind = TP_REC_RELEASE,
	};
	bpf_ringbuf_submit(r, 0);
	verdict(TP_V_RELEASE, 0);
}

SEC("cgroup/sock_release")
int tp_release(struct bpf_sock *sk)
{
	__u64 cookie;
	__u32 *what;

	if (sk->protocol != IPPROTO_TCP)
		return 1;
	cookie = bpf_get_socket_cookie(sk);
	what = bpf_map_lookup_elem(&tp_cookies, &cookie);
	if (what && *what & TP_COOKIE_CLAIMED)
		report(cookie);
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
