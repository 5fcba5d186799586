/* SPDX-License-Identifier: BSD-2-Clause
 *
 * relay.c - the TAP is our door to Linux, a packet socket the one to the wire.
 *
 *   tc egress on the NIC -> TAP -> relay_drain() -> what the connection's phase says
 *   relay_to_linux() -> TAP -> tc ingress there -> the NIC's ingress, marked
 *   relay_to_wire()  -> packet socket -> the NIC's queue
 *
 * Every frame has a virtio_net_hdr in front on both doors: Linux's frames may be larger than
 * the MTU (GSO) and lack their checksum, and the device, or the packet socket, completes them.
 * The packet socket goes past tc (our own egress program would take the frame again) and the
 * qdisc. It cannot segment where the device does not, and says ENOBUFS: then the frame goes
 * through a second socket, through tc with TP_MARK, which lets it pass.
 *
 * What arrives on the TAP
 *  - from the NIC's address: Linux sent it
 *  - to the NIC's address: it came from the wire past XDP, and tc ingress found the flow in
 *    HOLD or FAST
 *  - else: chatter of the TAP itself (IPv6 router solicitations), or for somebody else's address:
 *    dropped
 *
 * Some frames a turn, so that a flow whose frames all come this way leaves time for the rest.
 */
#include "relay.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "from_linux.h"
#include "segment.h"
#include "slow.h"
#include "upcall.h"

#define TAP_BUDGET	64		/* frames a turn */

struct virtio_net_hdr relay_describe(struct slow *s, const uint8_t *frame, uint32_t len)
{
	struct virtio_net_hdr vnet = { 0 };

	if (s->att->nic.partial_csum && segment_is_partial(frame, len)) {
		vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		vnet.csum_start = WIRE_ETH_LEN + WIRE_IP_LEN;
		vnet.csum_offset = offsetof(struct wire_tcp, check);
	}
	return vnet;
}

void relay_to_linux(struct slow *s, const struct virtio_net_hdr *vnet, const uint8_t *frame,
		    uint32_t len)
{
	struct virtio_net_hdr found;
	struct iovec iov[2];

	if (!vnet) {
		found = relay_describe(s, frame, len);
		vnet = &found;
	}
	iov[0] = (struct iovec){ (void *)vnet, sizeof(*vnet) };
	iov[1] = (struct iovec){ (void *)frame, len };
	if (writev(s->att->tap_fd, iov, 2) < 0)
		s->relay.drops++;
	else
		s->relay.to_linux++;
}

void relay_to_wire(struct slow *s, const struct virtio_net_hdr *vnet, const uint8_t *frame,
		   uint32_t len)
{
	static const struct virtio_net_hdr whole;
	struct iovec iov[2] = {
		{ (void *)(vnet ? vnet : &whole), sizeof(whole) },
		{ (void *)frame, len },
	};

	if (writev(s->relay.wire_fd, iov, 2) < 0 &&
	    (errno != ENOBUFS || writev(s->relay.wire_qdisc_fd, iov, 2) < 0))
		s->relay.drops++;
	else
		s->relay.to_wire++;
}

static void take(struct slow *s, const struct virtio_net_hdr *vnet, uint8_t *frame, uint32_t len)
{
	const struct wire_eth *eth = (const void *)frame;
	const uint8_t *mac = s->att->nic.mac;

	if (len < WIRE_ETH_LEN)
		return;
	if (!memcmp(eth->src, mac, ETH_ALEN))
		from_linux(s, vnet, frame, len);
	else if (!memcmp(eth->dst, mac, ETH_ALEN))
		from_wire(s, vnet, frame, len, 0);
}

void relay_drain(struct slow *s, uint32_t budget)
{
	struct virtio_net_hdr vnet;
	struct iovec iov[2] = {
		{ &vnet, sizeof(vnet) },
		{ s->relay.buf, sizeof(s->relay.buf) },
	};

	while (budget--) {
		ssize_t n = readv(s->att->tap_fd, iov, 2);

		if (n < 0)
			return;
		if ((size_t)n > sizeof(vnet))
			take(s, &vnet, s->relay.buf, (uint32_t)((size_t)n - sizeof(vnet)));
	}
}

static void tap_ready(struct loop_source *src, uint32_t events)
{
	(void)events;
	relay_drain(container_of(src, struct slow, relay.tap), TAP_BUDGET);
}

/* A packet socket that only sends, frames with a virtio_net_hdr, on the NIC. */
static int wire_open(struct slow *s, bool bypass)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_ifindex = s->att->nic.ifindex };
	int fd, one = 1, err, mark = (int)TP_MARK;

	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) < 0 ||
	    (bypass && setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) < 0) ||
	    (!bypass && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0) ||
	    bind(fd, (struct sockaddr *)&ll, sizeof(ll)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int relay_init(struct slow *s)
{
	struct relay *r = &s->relay;
	int hdr = sizeof(struct virtio_net_hdr), err;

	if (ioctl(s->att->tap_fd, TUNSETVNETHDRSZ, &hdr) < 0)
		return -errno;
	r->wire_fd = wire_open(s, true);
	if (r->wire_fd < 0)
		return r->wire_fd;
	r->wire_qdisc_fd = wire_open(s, false);
	if (r->wire_qdisc_fd < 0) {
		err = r->wire_qdisc_fd;
		goto err_wire;
	}
	r->tap = (struct loop_source){ .fd = s->att->tap_fd, .ready = tap_ready };
	err = loop_add(&s->loop, &r->tap, EPOLLIN);
	if (err)
		goto err_qdisc;
	return 0;

err_qdisc:
	close(r->wire_qdisc_fd);
err_wire:
	close(r->wire_fd);
	return err;
}

void relay_fini(struct slow *s)
{
	loop_del(&s->loop, &s->relay.tap);
	close(s->relay.wire_qdisc_fd);
	close(s->relay.wire_fd);
}
