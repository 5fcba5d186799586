/* SPDX-License-Identifier: BSD-2-Clause
 *
 * neigh.c - neighbours, the link, and addresses: followed by rtnetlink, applied to flows.
 *
 *  neighbour has a new address	flows that send to the old one send to the new one
 *  MTU changed			each flow's segment size is asked of Linux again
 *  NIC's own address changed	XDP, tc and the relay know it; flows with the old one go back
 *  local address removed	its flows go back to Linux, which lets them hang or kills them
 *				by its own rules
 *  NIC removed			nothing is left to do: the daemon ends
 *
 * Linux learns that a next hop is dead by using it, and the fast path uses it instead. So the
 * neighbours of live flows are nudged (NTF_USE): Linux then probes them as it would have.
 */
#include "neigh.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/log.h"
#include "handback.h"
#include "segment.h"
#include "slow.h"

#define NUDGE_NS	(30 * NS_PER_S)
#define NEIGH_MAX	65536U

struct neighbour {
	struct list link;
	__be32 ip;
	uint8_t mac[ETH_ALEN];
};

static struct list *bucket_of(struct neigh *g, __be32 ip)
{
	return &g->bucket[(ip * 2654435761U >> 16) % NEIGH_BUCKETS];
}

static struct neighbour *find(struct neigh *g, __be32 ip)
{
	struct list *head = bucket_of(g, ip);

	list_each(l, n, head) {
		struct neighbour *nb = container_of(l, struct neighbour, link);

		if (nb->ip == ip)
			return nb;
	}
	return NULL;
}

static void add(struct neigh *g, __be32 ip, const uint8_t mac[ETH_ALEN])
{
	struct neighbour *nb;

	if (g->count >= NEIGH_MAX)
		return;
	nb = malloc(sizeof(*nb));
	if (!nb)
		return;
	nb->ip = ip;
	memcpy(nb->mac, mac, ETH_ALEN);
	list_add_tail(bucket_of(g, ip), &nb->link);
	g->count++;
}

static uint8_t *next_hop(struct conn *c)
{
	return c->eth;		/* destination comes first */
}

static void moved(struct slow *s, const uint8_t old[ETH_ALEN], const uint8_t new[ETH_ALEN])
{
	struct fast_cmd cmd = { .kind = FAST_CMD_NEIGH };
	struct conn *c;

	memcpy(cmd.neigh.old_mac, old, ETH_ALEN);
	memcpy(cmd.neigh.new_mac, new, ETH_ALEN);
	for (uint32_t t = 0; t < fast_threads(s->fast); t++)
		slow_tell(s, t, &cmd);
	conn_each(&s->conns, c)
		if (!memcmp(next_hop(c), old, ETH_ALEN))
			memcpy(next_hop(c), new, ETH_ALEN);
}

static void learn(struct slow *s, __be32 ip, const uint8_t mac[ETH_ALEN])
{
	struct neighbour *nb = find(&s->neigh, ip);

	if (!nb) {
		add(&s->neigh, ip, mac);
		return;
	}
	if (!memcmp(nb->mac, mac, ETH_ALEN))
		return;
	moved(s, nb->mac, mac);
	memcpy(nb->mac, mac, ETH_ALEN);
}

static void forget(struct slow *s, __be32 ip)
{
	struct neighbour *nb = find(&s->neigh, ip);

	if (!nb)
		return;
	list_del(&nb->link);
	s->neigh.count--;
	free(nb);
}

/* Attribute @type of @len bytes of attributes, if it is @want bytes long. */
static const void *attr(const struct rtattr *a, int len, unsigned short type, size_t want)
{
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == type && RTA_PAYLOAD(a) == want)
			return RTA_DATA(a);
	return NULL;
}

static void on_neigh(struct slow *s, const struct nlmsghdr *h)
{
	const struct ndmsg *nd = NLMSG_DATA(h);
	const struct rtattr *a = (const void *)((const char *)nd + NLMSG_ALIGN(sizeof(*nd)));
	int len = (int)NLMSG_PAYLOAD(h, sizeof(*nd));
	const void *ip, *mac;
	__be32 addr;

	if (nd->ndm_family != AF_INET || nd->ndm_ifindex != s->att->nic.ifindex)
		return;
	ip = attr(a, len, NDA_DST, sizeof(addr));
	mac = attr(a, len, NDA_LLADDR, ETH_ALEN);
	if (!ip)
		return;
	memcpy(&addr, ip, sizeof(addr));
	if (h->nlmsg_type == RTM_NEWNEIGH && mac)
		learn(s, addr, mac);
	else if (h->nlmsg_type == RTM_DELNEIGH)
		forget(s, addr);
}

/* Hand back all flows of a local address; all of them if @ip is 0. */
static void hand_back_of(struct slow *s, __be32 ip)
{
	struct conn *c;

	conn_each(&s->conns, c)
		if (!ip || tp_ip4(c->key.local_ip) == ip)
			handback_begin(s, c, TP_WHY_HANDED_BACK);
}

static void on_addr(struct slow *s, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *ifa = NLMSG_DATA(h);
	const struct rtattr *a = (const void *)((const char *)ifa + NLMSG_ALIGN(sizeof(*ifa)));
	const void *ip;
	__be32 addr;

	if (ifa->ifa_family != AF_INET || (int)ifa->ifa_index != s->att->nic.ifindex)
		return;
	ip = attr(a, (int)NLMSG_PAYLOAD(h, sizeof(*ifa)), IFA_LOCAL, sizeof(addr));
	if (!ip)
		return;
	memcpy(&addr, ip, sizeof(addr));
	hand_back_of(s, addr);
}

static void ask_mss(struct slow *s)
{
	struct tp_answer a;
	struct conn *c;

	conn_each(&s->conns, c) {
		uint32_t head = WIRE_IP_LEN + WIRE_TCP_LEN + (c->has_ts ? 12 : 0);
		uint32_t most = s->att->nic.mtu - head;

		if (c->phase != CONN_FAST || ask_linux(s->att, &c->key, &a) || !a.found)
			continue;
		slow_tell(s, c->thread,
			  &(struct fast_cmd){ .kind = FAST_CMD_MSS,
					      .flow_id = c->flow_id,
					      .value = a.mss_cache < most ? a.mss_cache : most });
	}
}

static void set_mac(struct slow *s, const uint8_t mac[ETH_ALEN])
{
	if (!memcmp(s->att->nic.mac, mac, ETH_ALEN))
		return;
	memcpy(s->att->nic.mac, mac, ETH_ALEN);
	attach_set_mac(s->att, mac);
	hand_back_of(s, 0);
}

static void on_link(struct slow *s, const struct nlmsghdr *h)
{
	const struct ifinfomsg *ifi = NLMSG_DATA(h);
	const struct rtattr *a = (const void *)((const char *)ifi + NLMSG_ALIGN(sizeof(*ifi)));
	int len = (int)NLMSG_PAYLOAD(h, sizeof(*ifi));
	const void *mac = attr(a, len, IFLA_ADDRESS, ETH_ALEN);
	const void *mtu = attr(a, len, IFLA_MTU, sizeof(uint32_t));
	uint32_t now = s->att->nic.mtu;

	if (ifi->ifi_index != s->att->nic.ifindex)
		return;
	if (h->nlmsg_type == RTM_DELLINK) {
		log_warn("%s: the interface is gone", s->att->nic.ifname);
		s->life = SLOW_OVER;
		return;
	}
	if (mac)
		set_mac(s, mac);
	if (mtu)
		memcpy(&now, mtu, sizeof(now));
	if (now == s->att->nic.mtu)
		return;
	attach_set_mtu(s->att, now);
	hear_link_changed(&s->hear);
	ask_mss(s);
}

static void message(struct slow *s, const struct nlmsghdr *h)
{
	switch (h->nlmsg_type) {
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		on_neigh(s, h);
		return;
	case RTM_DELADDR:
		on_addr(s, h);
		return;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		on_link(s, h);
		return;
	}
}

static void ask_neighbours(struct slow *s)
{
	struct {
		struct nlmsghdr h;
		struct ndmsg nd;
	} m = {
		.h = { .nlmsg_len = sizeof(m), .nlmsg_type = RTM_GETNEIGH,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.nd = { .ndm_family = AF_INET },
	};

	(void)!send(s->neigh.sock.fd, &m, sizeof(m), 0);
}

static void sock_ready(struct loop_source *src, uint32_t events)
{
	struct slow *s = container_of(src, struct slow, neigh.sock);
	static char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t n = recv(src->fd, buf, sizeof(buf), MSG_DONTWAIT);

	(void)events;
	s->now_ns = clock_ns();
	if (n < 0 && errno == ENOBUFS)
		ask_neighbours(s);	/* some were lost: ask for all */
	for (const struct nlmsghdr *h = (const void *)buf; n > 0 && NLMSG_OK(h, n);
	     h = NLMSG_NEXT(h, n))
		message(s, h);
}

static void use(struct slow *s, __be32 ip)
{
	struct {
		struct nlmsghdr h;
		struct ndmsg nd;
		struct rtattr a;
		__be32 ip;
	} m = {
		.h = { .nlmsg_len = sizeof(m), .nlmsg_type = RTM_NEWNEIGH,
		       .nlmsg_flags = NLM_F_REQUEST },
		.nd = { .ndm_family = AF_INET, .ndm_ifindex = s->att->nic.ifindex,
			.ndm_flags = NTF_USE },
		.a = { .rta_len = RTA_LENGTH(sizeof(m.ip)), .rta_type = NDA_DST },
		.ip = ip,
	};

	(void)!send(s->neigh.sock.fd, &m, sizeof(m), 0);
}

static bool is_used(struct slow *s, const uint8_t mac[ETH_ALEN])
{
	struct conn *c;

	conn_each(&s->conns, c)
		if (c->phase == CONN_FAST && !memcmp(next_hop(c), mac, ETH_ALEN))
			return true;
	return false;
}

void neigh_nudge(struct slow *s)
{
	struct neigh *g = &s->neigh;

	if (s->now_ns - g->nudged_ns < NUDGE_NS)
		return;
	g->nudged_ns = s->now_ns;
	if (!s->conns.in[CONN_FAST])
		return;
	for (uint32_t i = 0; i < NEIGH_BUCKETS; i++)
		list_each(l, n, &g->bucket[i]) {
			struct neighbour *nb = container_of(l, struct neighbour, link);

			if (is_used(s, nb->mac))
				use(s, nb->ip);
		}
}

int neigh_init(struct slow *s)
{
	struct neigh *g = &s->neigh;
	struct sockaddr_nl nl = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_NEIGH | RTMGRP_LINK | RTMGRP_IPV4_IFADDR,
	};
	int err;

	for (uint32_t i = 0; i < NEIGH_BUCKETS; i++)
		list_init(&g->bucket[i]);
	g->nudged_ns = s->now_ns;
	g->sock.ready = sock_ready;
	g->sock.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (g->sock.fd < 0)
		return -errno;
	if (bind(g->sock.fd, (struct sockaddr *)&nl, sizeof(nl)) < 0)
		err = -errno;
	else
		err = loop_add(&s->loop, &g->sock, EPOLLIN);
	if (err)
		close(g->sock.fd);
	else
		ask_neighbours(s);
	return err;
}

void neigh_fini(struct slow *s)
{
	loop_del(&s->loop, &s->neigh.sock);
	close(s->neigh.sock.fd);
	for (uint32_t i = 0; i < NEIGH_BUCKETS; i++)
		list_each(l, n, &s->neigh.bucket[i])
			free(container_of(l, struct neighbour, link));
}
