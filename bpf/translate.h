/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * translate.h - move the numbers of a segment between Linux's space and the wire's.
 *
 * A flow in LINUX has two constant offsets. Sequence number, acknowledgment and SACK blocks
 * are shifted in a copy of the header, which starts at an even offset, so that a SACK block
 * at an odd one comes out right as well. The checksum is updated by the difference of the
 * two copies and never computed: a corrupt segment stays corrupt. That also is right for
 * GSO and GRO packets: where the device completes the sum, the field holds only that of the
 * pseudo-header, and bpf_l4_csum_replace() leaves it alone.
 *
 * Timestamps stay: the fast path went on with Linux's own clock.
 */
#ifndef TASPILOT_BPF_TRANSLATE_H
#define TASPILOT_BPF_TRANSLATE_H

#include <linux/bpf.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "parse.h"

#define TCP_HLEN_MIN	20
#define TCP_HLEN_MAX	60
#define OPT_END		0
#define OPT_NOP		1
#define OPT_SACK	5

struct tcp_copy {
	__u8 b[TCP_HLEN_MAX + 8];	/* 8: an option may be tried up to the last byte */
};

/* One translation at work. It lives in a map, not on the stack, for the verifier's sake: of
 * a map it does not track the contents, so that a step of the option walk looks like the step
 * before; on the stack it followed each possible offset, for seconds. tc programs run with
 * softirqs off: nobody else on this CPU is inside.
 */
struct translation {
	struct tcp_copy was, now;
	__u32 at, end, by;		/* the option walk: where, up to where, SACK += by */
	__u32 sack_end;			/* inside a SACK option: where it ends */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct translation);
} tp_translation SEC(".maps");

static __always_inline __u32 get32(const __u8 *b)
{
	return (__u32)b[0] << 24 | (__u32)b[1] << 16 | (__u32)b[2] << 8 | b[3];
}

static __always_inline void put32(__u8 *b, __u32 v)
{
	b[0] = v >> 24;
	b[1] = v >> 16;
	b[2] = v >> 8;
	b[3] = v;
}

static __always_inline void shift32(__u8 *b, __u32 by)
{
	put32(b, get32(b) + by);
}

struct walk {
	struct translation *t;
};

/* One option, or one number of a SACK option, a step. */
static long walk_step(__u32 i, struct walk *w)
{
	struct translation *t = w->t;
	__u64 at = t->at;
	__u32 len;
	__u8 kind;

	(void)i;
	/* Never more than TCP_HLEN_MAX; 6.1's verifier does not see that through a compare,
	 * which the compiler does on a 32-bit copy, but through a mask.
	 */
	asm volatile("%0 &= 63" : "+r"(at));
	if (at + 1 >= t->end)
		return 1;
	if (t->sack_end) {
		if (at + 4 > t->sack_end) {
			t->at = t->sack_end;
			t->sack_end = 0;
			return 0;
		}
		shift32(&t->now.b[at], t->by);
		t->at = at + 4;
		return 0;
	}

	kind = t->now.b[at];
	len = t->now.b[at + 1];
	if (kind == OPT_END)
		return 1;
	if (kind == OPT_NOP) {
		t->at = at + 1;
		return 0;
	}
	if (len < 2 || at + len > t->end)
		return 1;
	if (kind == OPT_SACK) {
		t->sack_end = at + len;
		t->at = at + 2;
		return 0;
	}
	t->at = at + len;
	return 0;
}

static __always_inline void shift_sack(struct translation *t, __u32 hlen, __u32 by)
{
	struct walk w = { .t = t };

	t->at = TCP_HLEN_MIN;
	t->end = hlen;
	t->by = by;
	t->sack_end = 0;
	bpf_loop(TCP_HLEN_MAX, walk_step, &w, 0);
}

/* Shift the segment at @off by @dseq, what it acknowledges by @dack. False: the header is
 * not there, or not writable.
 */
static __always_inline bool translate_tcp(struct __sk_buff *skb, __u32 off, __u32 dseq,
					  __u32 dack)
{
	__u32 zero = 0, hlen;
	struct translation *t = bpf_map_lookup_elem(&tp_translation, &zero);
	__s64 diff;

	if (!t)
		return false;
	__builtin_memset(&t->was, 0, sizeof(t->was));
	if (bpf_skb_load_bytes(skb, off, t->was.b, TCP_HLEN_MIN))
		return false;
	hlen = (t->was.b[12] >> 4) * 4;
	if (hlen < TCP_HLEN_MIN || hlen > TCP_HLEN_MAX)
		return false;
	if (bpf_skb_load_bytes(skb, off, t->was.b, hlen))
		return false;

	t->now = t->was;
	shift32(&t->now.b[4], dseq);
	if (t->now.b[13] & TCPF_ACK) {
		shift32(&t->now.b[8], dack);
		if (hlen > TCP_HLEN_MIN)
			shift_sack(t, hlen, dack);
	}

	diff = bpf_csum_diff((__be32 *)t->was.b, TCP_HLEN_MAX, (__be32 *)t->now.b, TCP_HLEN_MAX,
			     0);
	if (diff < 0 || bpf_skb_store_bytes(skb, off, t->now.b, hlen, 0))
		return false;
	return !bpf_l4_csum_replace(skb, off + offsetof(struct tcphdr, check), 0, diff, 0);
}

/* The same for the number that an ICMP error quotes. */
static __always_inline bool translate_quote(struct __sk_buff *skb, const struct pkt *p,
					    __u32 dseq)
{
	__be32 was, now;

	if (bpf_skb_load_bytes(skb, p->seq_off, &was, sizeof(was)))
		return false;
	now = bpf_htonl(bpf_ntohl(was) + dseq);
	if (bpf_skb_store_bytes(skb, p->seq_off, &now, sizeof(now), 0))
		return false;
	return !bpf_l4_csum_replace(skb, p->l4_off + offsetof(struct icmp_head, checksum), was,
				    now, sizeof(now));
}

#endif
