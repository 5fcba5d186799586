/* SPDX-License-Identifier: BSD-2-Clause
 *
 * xio.h - one AF_XDP socket on one RX queue, with a UMEM of its own.
 *
 * Who owns a UMEM frame:
 *
 *	RX half	  fill ring -> kernel -> rx ring -> the caller, between xio_rx() and
 *		  xio_rx_done() -> fill ring
 *	TX half	  free stack -> the caller, between xio_tx_frame() and xio_tx_send() -> tx
 *		  ring -> kernel -> completion ring -> free stack
 *
 * The halves never mix, so a peer that is slow to take our frames cannot starve receive.
 * The completion ring holds the whole TX half. The fill and tx rings hold twice their
 * half: the kernel gives a frame back before it says that its ring entry is free. So none
 * can overflow. The free stack hands out the frame that came back last, whose bytes are
 * still in cache.
 */
#ifndef TASPILOT_FAST_XIO_H
#define TASPILOT_FAST_XIO_H

#include <stdbool.h>
#include <stdint.h>
#include <xdp/xsk.h>

#include "taspilot/bpf_abi.h"

#define XIO_RX_FRAMES	2048U		/* powers of two: ring sizes */
#define XIO_TX_FRAMES	2048U

struct xio_config {
	const char *ifname;
	uint32_t queue;
	uint32_t mtu;
	bool native;
	int xsks_map_fd;
};

struct xio {
	struct xsk_socket *xsk;
	struct xsk_umem *umem;
	uint8_t *area;
	uint64_t area_len;
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons rx, comp;
	uint32_t frame_size;
	int fd;
	bool zerocopy;
	uint32_t rx_at, rx_n;		/* the batch of xio_rx() */
	uint32_t tx_free_n;
	uint32_t tx_new;		/* written to the tx ring, not yet published */
	uint32_t tx_flight;		/* with the kernel */
	uint32_t tx_free[XIO_TX_FRAMES];
};

struct xio_frame {
	uint8_t *data;
	uint32_t len;
};

/* The longest frame that a socket opened for this MTU takes: all, or where that is more than one
 * page what one page holds.
 */
uint32_t xio_frame_room(uint32_t mtu);

int xio_open(struct xio *x, const struct xio_config *cfg);
void xio_close(struct xio *x);
/* Enter the socket at cfg->queue of tp_xsks: from here on frames come. */
int xio_publish(struct xio *x, const struct xio_config *cfg);

/* Frames that have come since, at most @max; look at them by xio_rx_frame(0..n-1), then
 * give all back by xio_rx_done().
 */
uint32_t xio_rx(struct xio *x, uint32_t max);
void xio_rx_done(struct xio *x);

static inline struct xio_frame xio_rx_frame(const struct xio *x, uint32_t i)
{
	const struct xdp_desc *d = xsk_ring_cons__rx_desc(&x->rx, x->rx_at + i);

	return (struct xio_frame){ .data = x->area + d->addr, .len = d->len };
}

/* What XDP wrote in front of the frame. The bytes are always ours to read (headroom), but
 * without the magic number they are somebody else's leftovers.
 */
static inline const struct tp_meta *xio_meta(const struct xio_frame *f)
{
	return (const struct tp_meta *)(f->data - sizeof(struct tp_meta));
}

static inline bool xio_rx_pending(struct xio *x)
{
	return xsk_cons_nb_avail(&x->rx, 1) > 0;
}

/* Take sent frames back. */
void xio_reap(struct xio *x);

/* A frame to write, or NULL: all are with the kernel. Nothing is taken until
 * xio_tx_send(); so a frame that turns out not to be needed is simply left.
 */
static inline uint8_t *xio_tx_frame(const struct xio *x)
{
	return x->tx_free_n ? x->area + x->tx_free[x->tx_free_n - 1] : NULL;
}

static inline uint32_t xio_tx_room(const struct xio *x)
{
	return x->tx_free_n;
}

/* Send the frame of the last xio_tx_frame(); goes out with the next xio_kick(). */
void xio_tx_send(struct xio *x, uint32_t len);

/* Publish what was sent and let the kernel run; also refills RX where the driver asks for
 * that. Returns the number of system calls made.
 */
uint32_t xio_kick(struct xio *x);

/* Frames that the kernel has not taken yet although it was kicked. */
static inline bool xio_tx_stuck(const struct xio *x)
{
	return __atomic_load_n(x->tx.consumer, __ATOMIC_RELAXED) !=
	       __atomic_load_n(x->tx.producer, __ATOMIC_RELAXED);
}

#endif
