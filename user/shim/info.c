/* SPDX-License-Identifier: BSD-2-Clause
 *
 * info.c - TCP_INFO of a connection whose bytes Linux does not see.
 *
 * Linux's socket has stood still since the claim, and so have its counters: what came and went since
 * then is added. The rest (RTT, windows) stays what it was. A file of its own, because libc's
 * struct tcp_info lacks the later fields and cannot stand beside Linux's.
 */
#include <linux/tcp.h>

#include "shim.h"

enum { TCP_ESTABLISHED = 1, TCP_CLOSE_WAIT = 8 };	/* linux/tcp.h has none of them */

/* A caller may know a shorter struct. */
#define ADD(info, len, field, n) do {							\
	if (offsetof(struct tcp_info, field) + sizeof((info)->field) <= (len))		\
		(info)->field += (n);							\
} while (0)

void info_add(struct conn *c, void *to, size_t len)
{
	struct tcp_info *info = to;
	const struct tp_slot *s = c->slot;

	ADD(info, len, tcpi_notsent_bytes, io_unsent(c, true));
	ADD(info, len, tcpi_bytes_acked, atomic_load(&s->tx_tail));
	ADD(info, len, tcpi_bytes_received, atomic_load(&s->rx_head));
	ADD(info, len, tcpi_bytes_sent, atomic_load(&s->tx_sent));
	/* Linux hears of the peer's FIN once what came before it was read. */
	if (len && info->tcpi_state == TCP_ESTABLISHED && atomic_load(&s->fast_flags) & TP_F_EOF)
		info->tcpi_state = TCP_CLOSE_WAIT;
}
