/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ask.c - what does Linux know of a connection? Runs tp_ask (bpf/ask.bpf.c) once.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

#include "attach.h"

int ask_after(const struct attached *att, const struct tp_flow_key *key, enum tp_ask_op op,
	      struct tp_answer *ret_answer)
{
	struct {
		uint8_t eth[ETH_HLEN];
		struct tp_question q;
	} __attribute__((packed)) frame = { .q = { .key = *key, .op = op } };
	struct __sk_buff skb = { .ifindex = (uint32_t)att->nic.ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = &frame, .data_size_in = sizeof(frame),
		    .ctx_in = &skb, .ctx_size_in = sizeof(skb));
	int err = bpf_prog_test_run_opts(att->ask_fd, &run);

	if (err)
		return err;
	if (run.retval)
		return -EINVAL;
	*ret_answer = *att->ask_reply;
	return 0;
}
