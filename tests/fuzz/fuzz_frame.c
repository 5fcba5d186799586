// SPDX-License-Identifier: BSD-2-Clause
/* needs: user/fast/frame.c */
/*
 * fuzz_frame.c - any bytes as a frame: refused, or parsed within bounds; and what is parsed
 * and built again parses to the same.
 */
#include <stdlib.h>

#include "../../user/fast/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void rebuild(const struct tcp_seg *s)
{
	static const struct tp_flow_key key;
	static const uint8_t eth[WIRE_ETH_LEN] = { [12] = 0x08 };
	struct tcp_out o = { .seq = s->seq, .ack = s->ack, .flags = s->flags,
			     .window = s->window, .has_ts = s->has_ts, .tsval = s->tsval,
			     .tsecr = s->tsecr, .nsack = s->nsack };
	uint8_t frame[WIRE_HDR_MAX + 12];
	struct frame_head h;
	struct wire_at at;
	struct tcp_seg again;

	if (o.has_ts && o.nsack > 3)
		o.nsack = 3;
	memcpy(o.sack, s->sack, sizeof(o.sack));
	frame_head_init(&h, eth, &key, 0, 64);
	if (!wire_locate(frame, frame_build(&h, &o, 0, frame), &at) || !wire_ip_ok(at.ip) ||
	    !wire_tcp_ok(&at, false))
		abort();
	frame_parse(&at, &again);
	if (again.seq != s->seq || again.has_ts != s->has_ts || again.nsack != o.nsack ||
	    memcmp(again.sack, o.sack, o.nsack * sizeof(o.sack[0])))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_at at;
	struct tcp_seg s;
	uint64_t sum;

	if (!wire_locate(data, size, &at))
		return 0;
	(void)wire_ip_ok(at.ip);
	(void)wire_tcp_ok(&at, true);
	frame_parse(&at, &s);
	if (s.nsack > TCP_NSACK || s.data < data || s.data + s.len > data + size)
		abort();
	sum = wire_sum(s.data, s.len);
	(void)sum;
	rebuild(&s);
	return 0;
}
