/* SPDX-License-Identifier: BSD-2-Clause
 *
 * port.c - AF_PACKET, in batches.
 *
 * Frames are time-stamped by the kernel as they arrive. So the wire's queue is what it would
 * be on a wire that never waits for a processor, even if we are late to look.
 *
 * A VLAN tag that the kernel took out of the frame is put back.
 */
#include "port.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <taspilot/wire.h>
#include <time.h>
#include <unistd.h>

#define VLAN_LEN	4
#define ADDRS_LEN	12		/* both MAC addresses, in front of the tag */
#define SOCKET_BYTES	(64 << 20)
#define NS_PER_S	1000000000LL

struct port_buffers {
	struct mmsghdr msgs[PORT_BATCH];
	struct iovec iov[PORT_BATCH];
	char control[PORT_BATCH][CMSG_SPACE(sizeof(struct timespec)) +
				 CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	uint8_t data[PORT_BATCH][VLAN_LEN + PORT_FRAME_MAX];
};

static void offload_off(int fd, const char *ifname, uint32_t cmd)
{
	struct ethtool_value v = { .cmd = cmd };
	struct ifreq ifr = { .ifr_data = (void *)&v };

	strncpy(ifr.ifr_name, ifname, IFNAMSIZ - 1);
	ioctl(fd, SIOCETHTOOL, &ifr);	/* a device without it merges nothing */
}

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) ? -errno : 0;
}

static int configure(int fd, int ifindex)
{
	struct packet_mreq promisc = { .mr_ifindex = ifindex, .mr_type = PACKET_MR_PROMISC };
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htobe16(ETH_P_ALL),
				  .sll_ifindex = ifindex };
	int err;

	if ((err = set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)) ||
	    (err = set(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1)) ||
	    (err = set(fd, SOL_PACKET, PACKET_AUXDATA, 1)) ||
	    (err = set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1)) ||
	    (err = set(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BYTES)) ||
	    (err = set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BYTES)))
		return err;
	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promisc, sizeof(promisc)) ||
	    bind(fd, (void *)&at, sizeof(at)))
		return -errno;
	return 0;
}

static struct port_buffers *buffers_new(void)
{
	struct port_buffers *b = calloc(1, sizeof(*b));

	for (unsigned int i = 0; b && i < PORT_BATCH; i++) {
		b->iov[i] = (struct iovec){ b->data[i] + VLAN_LEN, PORT_FRAME_MAX };
		b->msgs[i].msg_hdr.msg_iov = &b->iov[i];
		b->msgs[i].msg_hdr.msg_iovlen = 1;
		b->msgs[i].msg_hdr.msg_control = b->control[i];
	}
	return b;
}

int port_open(const char *ifname, struct port *ret_port)
{
	struct port p = { 0 };
	unsigned int ifindex = if_nametoindex(ifname);
	int err;

	if (!ifindex)
		return -errno;
	strncpy(p.name, ifname, IFNAMSIZ - 1);
	p.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p.fd < 0)
		return -errno;

	err = configure(p.fd, (int)ifindex);
	if (err)
		goto err_fd;
	offload_off(p.fd, ifname, ETHTOOL_SGRO);
	p.buf = buffers_new();
	if (!p.buf) {
		err = -ENOMEM;
		goto err_fd;
	}
	*ret_port = p;
	return 0;

err_fd:
	close(p.fd);
	return err;
}

void port_close(struct port *p)
{
	close(p->fd);
	free(p->buf);
}

static int64_t ns_of(struct timespec t)
{
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int64_t clock_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return ns_of(t);
}

static void put_tag_back(struct arrival *a, const struct tpacket_auxdata *aux)
{
	uint16_t tpid = aux->tp_status & TP_STATUS_VLAN_TPID_VALID ? aux->tp_vlan_tpid : ETH_P_8021Q;

	a->data -= VLAN_LEN;
	a->len += VLAN_LEN;
	memmove(a->data, a->data + VLAN_LEN, ADDRS_LEN);
	wire_put16(a->data + ADDRS_LEN, tpid);
	wire_put16(a->data + ADDRS_LEN + 2, aux->tp_vlan_tci);
}

static void read_control(struct arrival *a, struct msghdr *msg, int64_t real_ns)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
			struct timespec t;
			int64_t ago;

			memcpy(&t, CMSG_DATA(c), sizeof(t));
			ago = real_ns - ns_of(t);
			if (ago > 0 && ago < NS_PER_S)
				a->at_ns -= (uint64_t)ago;
		} else if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) {
			struct tpacket_auxdata aux;

			memcpy(&aux, CMSG_DATA(c), sizeof(aux));
			a->no_checksum = aux.tp_status & TP_STATUS_CSUMNOTREADY;
			if (aux.tp_status & TP_STATUS_VLAN_VALID)
				put_tag_back(a, &aux);
		}
	}
}

int port_receive(struct port *p, struct arrival *ret)
{
	struct port_buffers *b = p->buf;
	uint64_t now_ns;
	int64_t real_ns;
	int n;

	for (unsigned int i = 0; i < PORT_BATCH; i++)
		b->msgs[i].msg_hdr.msg_controllen = sizeof(b->control[i]);
	n = recvmmsg(p->fd, b->msgs, PORT_BATCH, MSG_DONTWAIT, NULL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENETDOWN ? 0 : -errno;

	real_ns = clock_of(CLOCK_REALTIME);
	now_ns = (uint64_t)clock_of(CLOCK_MONOTONIC);
	for (int i = 0; i < n; i++) {
		ret[i] = (struct arrival){
			.at_ns = now_ns,
			.data = b->data[i] + VLAN_LEN,
			.len = b->msgs[i].msg_len,
			.too_long = b->msgs[i].msg_hdr.msg_flags & MSG_TRUNC,
		};
		read_control(&ret[i], &b->msgs[i].msg_hdr, real_ns);
	}
	return n;
}

int port_send(struct port *p, struct frame *const *frames, unsigned int n)
{
	struct mmsghdr msgs[PORT_BATCH];
	struct iovec iov[PORT_BATCH];
	int sent;

	for (unsigned int i = 0; i < n; i++) {
		iov[i] = (struct iovec){ frames[i]->data, frames[i]->len };
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
	sent = sendmmsg(p->fd, msgs, n, MSG_DONTWAIT);
	return sent < 0 ? -errno : sent;
}

void port_count_missed(struct port *p)
{
	struct tpacket_stats s;
	socklen_t len = sizeof(s);

	if (!getsockopt(p->fd, SOL_PACKET, PACKET_STATISTICS, &s, &len))
		p->missed += s.tp_drops;
}
