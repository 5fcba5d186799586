/* SPDX-License-Identifier: BSD-2-Clause
 *
 * gso.c - the packet socket.
 *
 * The kernel copies the payload straight from the program's pipe; the checksums are the
 * device's, made from what was copied.
 */
#include "gso.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "taspilot/wire.h"

#define SNDBUF	(16 << 20)

static bool feature_on(int fd, const char *ifname, uint32_t cmd)
{
	struct ethtool_value v = { .cmd = cmd };
	struct ifreq ifr = { .ifr_data = (void *)&v };

	strncpy(ifr.ifr_name, ifname, IFNAMSIZ - 1);
	return ioctl(fd, SIOCETHTOOL, &ifr) == 0 && v.data;
}

static int set_up(int fd, int ifindex)
{
	const struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = ifindex };
	int on = 1, sndbuf = SNDBUF;

	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) < 0 ||
	    bind(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf));
	return 0;
}

void gso_open(struct gso *g, const char *ifname, int ifindex)
{
	/* protocol 0: it sends, and is never given a frame */
	*g = (struct gso){ .fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0) };
	if (g->fd < 0)
		return;
	if (!feature_on(g->fd, ifname, ETHTOOL_GTSO) ||
	    !feature_on(g->fd, ifname, ETHTOOL_GTXCSUM) || set_up(g->fd, ifindex) < 0)
		gso_close(g);
}

void gso_close(struct gso *g)
{
	if (g->fd >= 0)
		close(g->fd);
	g->fd = -1;
}

bool gso_send(struct gso *g, const uint8_t *head, uint32_t head_len, const struct iovec *data,
	      uint32_t n, uint32_t mss, bool cwr, uint64_t now_ns)
{
	struct virtio_net_hdr vh = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = (uint8_t)(VIRTIO_NET_HDR_GSO_TCPV4 | (cwr ? VIRTIO_NET_HDR_GSO_ECN : 0)),
		.hdr_len = (uint16_t)head_len,
		.gso_size = (uint16_t)mss,
		.csum_start = WIRE_ETH_LEN + WIRE_IP_LEN,
		.csum_offset = offsetof(struct wire_tcp, check),
	};
	struct iovec iov[4] = {
		{ .iov_base = &vh, .iov_len = sizeof(vh) },
		{ .iov_base = (void *)head, .iov_len = head_len },
	};
	const struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 + n };

	memcpy(iov + 2, data, n * sizeof(*data));
	if (sendmsg(g->fd, &m, MSG_DONTWAIT) > 0)
		return true;
	if (errno != EAGAIN)
		g->closed_until_ns = now_ns + GSO_RETRY_NS;
	return false;
}
