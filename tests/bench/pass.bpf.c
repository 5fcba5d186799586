/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * pass.bpf.c - passes every frame: what any XDP program at all costs the NIC's traffic.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
