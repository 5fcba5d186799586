/* SPDX-License-Identifier: BSD-2-Clause
 *
 * gso.h - several segments as one frame, which the device (or the last moment before it)
 * cuts: TSO, by a packet socket with virtio_net_hdr.
 *
 * An AF_XDP frame is one segment. From three segments on, of which the last may be short, one large
 * frame by a packet socket costs less, from sixteen on five to nine times less. It passes the
 * qdisc and the tc programs by (PACKET_QDISC_BYPASS: our own tc program would take it for Linux's),
 * and then the kernel sends it only if the device does TSO and checksums itself. Whether that
 * is so can change at any time: a send that fails with ENOBUFS closes this way for a while,
 * and the segments go as single frames.
 */
#ifndef TASPILOT_FAST_GSO_H
#define TASPILOT_FAST_GSO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define GSO_SEGS	3U		/* from so many segments on */
#define GSO_BYTES	(65535U - 120U)	/* payload of one frame, at most */
#define GSO_RETRY_NS	1000000000ULL	/* after a failure, single frames for so long */

struct gso {
	int fd;				/* -1: no such way here */
	uint64_t closed_until_ns;
};

/* Never fails: without the device's help there is just no such way. */
void gso_open(struct gso *g, const char *ifname, int ifindex);
void gso_close(struct gso *g);

static inline bool gso_usable(const struct gso *g, uint64_t now_ns)
{
	return g->fd >= 0 && now_ns >= g->closed_until_ns;
}

/* One frame: @head_len bytes of headers, payload in @n spans (at most 2), cut every @mss
 * bytes. False: not sent, and closed for a while if the device does not want to.
 */
bool gso_send(struct gso *g, const uint8_t *head, uint32_t head_len, const struct iovec *data,
	      uint32_t n, uint32_t mss, bool cwr, uint64_t now_ns);

#endif
