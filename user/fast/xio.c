/* SPDX-License-Identifier: BSD-2-Clause
 *
 * xio.c - AF_XDP by libxdp's ring helpers.
 *
 * No program is loaded here: that is the slow path's, which made tp_xsks. We ask for
 * neither copy nor zero-copy mode in a driver that runs XDP natively: the kernel then takes
 * zero-copy where the driver can (veth cannot) and copies elsewhere, and says which.
 *
 * The kernel sends at most 32 frames a call in copy mode; xio_kick() calls again while that
 * makes progress. What stays then (its send buffer is full) goes with a later kick.
 */
#include "xio.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#define FRAMES		(XIO_RX_FRAMES + XIO_TX_FRAMES)
#define HEADROOM	256U		/* what the kernel keeps in front of a frame */
#define ETH_ROOM	18U		/* Ethernet header, a VLAN tag */
#define SNDBUF		(64 << 20)	/* the TX half is the limit, not the socket */
#define BUSY_MS		2000		/* the kernel frees the socket before ours late */
#define BUSY_STEP_MS	10

#ifndef SOL_XDP
#define SOL_XDP 283
#endif

static uint32_t frame_size(uint32_t mtu)
{
	return HEADROOM + ETH_ROOM + mtu <= 2048 ? 2048 : 4096;
}

uint32_t xio_frame_room(uint32_t mtu)
{
	return frame_size(mtu) - HEADROOM;
}

static int umem_create(struct xio *x)
{
	const struct xsk_umem_config cfg = {
		.fill_size = 2 * XIO_RX_FRAMES,
		.comp_size = XIO_TX_FRAMES,
		.frame_size = x->frame_size,
	};

	return xsk_umem__create(&x->umem, x->area, x->area_len, &x->fill, &x->comp, &cfg);
}

static int socket_create(struct xio *x, const struct xio_config *cfg)
{
	const struct xsk_socket_config sc = {
		.rx_size = XIO_RX_FRAMES,
		.tx_size = 2 * XIO_TX_FRAMES,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = (uint16_t)(XDP_USE_NEED_WAKEUP | (cfg->native ? 0 : XDP_COPY)),
	};

	return xsk_socket__create(&x->xsk, cfg->ifname, cfg->queue, x->umem, &x->rx, &x->tx, &sc);
}

static int try_open(struct xio *x, const struct xio_config *cfg)
{
	int err = umem_create(x);

	if (err)
		return err;
	err = socket_create(x, cfg);
	if (err)
		xsk_umem__delete(x->umem);
	return err;
}

static int open_when_free(struct xio *x, const struct xio_config *cfg)
{
	const struct timespec step = { .tv_nsec = BUSY_STEP_MS * 1000000L };
	int err;

	for (int waited = 0;; waited += BUSY_STEP_MS) {
		err = try_open(x, cfg);
		if (err != -EBUSY || waited >= BUSY_MS)
			return err;
		nanosleep(&step, NULL);
	}
}

static bool is_zerocopy(int fd)
{
	struct xdp_options o = { 0 };
	socklen_t len = sizeof(o);

	return getsockopt(fd, SOL_XDP, XDP_OPTIONS, &o, &len) == 0 &&
	       (o.flags & XDP_OPTIONS_ZEROCOPY);
}

static void hand_out(struct xio *x)
{
	uint32_t at = 0;

	xsk_ring_prod__reserve(&x->fill, XIO_RX_FRAMES, &at);
	for (uint32_t i = 0; i < XIO_RX_FRAMES; i++)
		*xsk_ring_prod__fill_addr(&x->fill, at + i) = (uint64_t)i * x->frame_size;
	xsk_ring_prod__submit(&x->fill, XIO_RX_FRAMES);

	for (uint32_t i = 0; i < XIO_TX_FRAMES; i++)
		x->tx_free[i] = (XIO_RX_FRAMES + i) * x->frame_size;
	x->tx_free_n = XIO_TX_FRAMES;
}

int xio_open(struct xio *x, const struct xio_config *cfg)
{
	int sndbuf = SNDBUF, err;

	memset(x, 0, sizeof(*x));
	x->frame_size = frame_size(cfg->mtu);
	x->area_len = (uint64_t)FRAMES * x->frame_size;
	x->area = mmap(NULL, x->area_len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (x->area == MAP_FAILED)
		return -errno;

	err = open_when_free(x, cfg);
	if (err) {
		munmap(x->area, x->area_len);
		return err;
	}
	x->fd = xsk_socket__fd(x->xsk);
	x->zerocopy = is_zerocopy(x->fd);
	/* fails only without CAP_NET_ADMIN: then the default has to do */
	(void)setsockopt(x->fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf));
	hand_out(x);
	return 0;
}

int xio_publish(struct xio *x, const struct xio_config *cfg)
{
	if (bpf_map_update_elem(cfg->xsks_map_fd, &cfg->queue, &x->fd, BPF_ANY) < 0)
		return -errno;
	return 0;
}

void xio_close(struct xio *x)
{
	xsk_socket__delete(x->xsk);
	xsk_umem__delete(x->umem);
	munmap(x->area, x->area_len);
}

uint32_t xio_rx(struct xio *x, uint32_t max)
{
	x->rx_n = xsk_ring_cons__peek(&x->rx, max, &x->rx_at);
	return x->rx_n;
}

void xio_rx_done(struct xio *x)
{
	uint32_t at;

	/* never fails: the fill ring has room for every RX frame there is */
	if (!x->rx_n || !xsk_ring_prod__reserve(&x->fill, x->rx_n, &at))
		return;

	for (uint32_t i = 0; i < x->rx_n; i++) {
		uint64_t addr = xsk_ring_cons__rx_desc(&x->rx, x->rx_at + i)->addr;

		*xsk_ring_prod__fill_addr(&x->fill, at + i) =
			addr & ~(uint64_t)(x->frame_size - 1);
	}
	xsk_ring_cons__release(&x->rx, x->rx_n);
	xsk_ring_prod__submit(&x->fill, x->rx_n);
	x->rx_n = 0;
}

void xio_reap(struct xio *x)
{
	uint32_t at, n;

	if (!x->tx_flight)
		return;
	n = xsk_ring_cons__peek(&x->comp, x->tx_flight, &at);
	for (uint32_t i = 0; i < n; i++)
		x->tx_free[x->tx_free_n++] = (uint32_t)*xsk_ring_cons__comp_addr(&x->comp, at + i);
	if (n)
		xsk_ring_cons__release(&x->comp, n);
	x->tx_flight -= n;
}

void xio_tx_send(struct xio *x, uint32_t len)
{
	uint32_t at;

	/* never fails: the tx ring has room for every TX frame there is */
	if (!xsk_ring_prod__reserve(&x->tx, 1, &at))
		return;
	*xsk_ring_prod__tx_desc(&x->tx, at) = (struct xdp_desc){
		.addr = x->tx_free[--x->tx_free_n],
		.len = len,
	};
	x->tx_new++;
}

static uint32_t kick_tx(struct xio *x)
{
	uint32_t calls = 0, left, was = ~0U;

	while (xsk_ring_prod__needs_wakeup(&x->tx)) {
		left = *x->tx.producer - __atomic_load_n(x->tx.consumer, __ATOMIC_ACQUIRE);
		if (!left || left == was)
			break;
		was = left;
		/* an error shows as no progress */
		(void)sendto(x->fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
		calls++;
	}
	return calls;
}

uint32_t xio_kick(struct xio *x)
{
	uint32_t calls = 0;

	if (x->tx_new) {
		xsk_ring_prod__submit(&x->tx, x->tx_new);
		x->tx_flight += x->tx_new;
		x->tx_new = 0;
	}
	if (x->tx_flight)
		calls = kick_tx(x);
	if (xsk_ring_prod__needs_wakeup(&x->fill)) {
		(void)recvfrom(x->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
		calls++;
	}
	return calls;
}
