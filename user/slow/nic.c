/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nic.c - questions to the kernel about an interface. See nic.h.
 */
#include "nic.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int request(const char *ifname, unsigned long what, struct ifreq *ifr)
{
	int fd, err = 0;

	if (strlen(ifname) >= sizeof(ifr->ifr_name))
		return -ENODEV;
	strcpy(ifr->ifr_name, ifname);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, what, ifr) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int ethtool(const char *ifname, void *cmd)
{
	struct ifreq ifr = { .ifr_data = cmd };

	return request(ifname, SIOCETHTOOL, &ifr);
}

static void read_driver(struct nic *n)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };

	if (!ethtool(n->ifname, &info))
		memcpy(n->driver, info.driver, sizeof(n->driver) - 1);
	else
		strcpy(n->driver, "unknown");
	n->partial_csum = !strcmp(n->driver, "veth") || !strcmp(n->driver, "virtio_net") ||
			  !strcmp(n->driver, "tun") || !strcmp(n->driver, "vif");
}

static void read_queues(struct nic *n)
{
	struct ethtool_channels ch = { .cmd = ETHTOOL_GCHANNELS };

	n->rx_queues = 1;
	if (!ethtool(n->ifname, &ch) && ch.rx_count + ch.combined_count)
		n->rx_queues = ch.rx_count + ch.combined_count;
}

int nic_read(const char *ifname, struct nic *ret_nic)
{
	struct nic n = {};
	struct nic_feature tso;
	struct ifreq ifr;
	int err;

	err = request(ifname, SIOCGIFINDEX, &ifr);
	if (err)
		return err;
	strcpy(n.ifname, ifname);
	n.ifindex = ifr.ifr_ifindex;

	err = request(ifname, SIOCGIFHWADDR, &ifr);
	if (err)
		return err;
	if (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return -EPROTOTYPE;
	memcpy(n.mac, ifr.ifr_hwaddr.sa_data, sizeof(n.mac));

	err = request(ifname, SIOCGIFMTU, &ifr);
	if (err)
		return err;
	n.mtu = ifr.ifr_mtu;

	err = request(ifname, SIOCGIFFLAGS, &ifr);
	if (err)
		return err;
	n.up = ifr.ifr_flags & IFF_UP;

	read_driver(&n);
	read_queues(&n);
	n.tso = !nic_feature(ifname, "tx-tcp-segmentation", &tso) && tso.on;
	*ret_nic = n;
	return 0;
}

/* The kernel numbers features as it likes: find @name's number, and how many there are. */
static int feature_index(const char *ifname, const char *name, uint32_t *ret_index,
			 uint32_t *ret_count)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t count;
	} set = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES } };
	struct ethtool_gstrings *names;
	int err;

	err = ethtool(ifname, &set);
	if (err)
		return err;
	names = calloc(1, sizeof(*names) + (size_t)set.count * ETH_GSTRING_LEN);
	if (!names)
		return -ENOMEM;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = set.count;
	err = ethtool(ifname, names);
	if (!err) {
		err = -ENOENT;
		for (uint32_t i = 0; i < set.count && err; i++) {
			if (strncmp((char *)names->data + (size_t)i * ETH_GSTRING_LEN, name,
				    ETH_GSTRING_LEN))
				continue;
			*ret_index = i;
			*ret_count = set.count;
			err = 0;
		}
	}
	free(names);
	return err;
}

int nic_feature(const char *ifname, const char *name, struct nic_feature *ret_feature)
{
	struct ethtool_gfeatures *f;
	uint32_t index, count, blocks;
	int err;

	err = feature_index(ifname, name, &index, &count);
	if (err)
		return err;
	blocks = (count + 31) / 32;
	f = calloc(1, sizeof(*f) + blocks * sizeof(f->features[0]));
	if (!f)
		return -ENOMEM;
	f->cmd = ETHTOOL_GFEATURES;
	f->size = blocks;
	err = ethtool(ifname, f);
	if (!err) {
		const struct ethtool_get_features_block *b = &f->features[index / 32];
		uint32_t bit = 1U << index % 32;

		ret_feature->on = b->active & bit;
		ret_feature->fixed = !(b->available & bit) || b->never_changed & bit;
	}
	free(f);
	return err;
}

int nic_set_feature(const char *ifname, const char *name, bool on)
{
	struct ethtool_sfeatures *f;
	uint32_t index, count, blocks;
	int err;

	err = feature_index(ifname, name, &index, &count);
	if (err)
		return err;
	blocks = (count + 31) / 32;
	f = calloc(1, sizeof(*f) + blocks * sizeof(f->features[0]));
	if (!f)
		return -ENOMEM;
	f->cmd = ETHTOOL_SFEATURES;
	f->size = blocks;
	f->features[index / 32].valid = 1U << index % 32;
	f->features[index / 32].requested = on ? 1U << index % 32 : 0;
	err = ethtool(ifname, f);
	free(f);
	return err;
}

/* An indirection table with room for what the NIC has, or NULL: it has none. */
static struct ethtool_rxfh_indir *spread_alloc(const char *ifname)
{
	struct ethtool_rxfh_indir ask = { .cmd = ETHTOOL_GRXFHINDIR }, *t;

	if (ethtool(ifname, &ask) || !ask.size)
		return NULL;
	t = calloc(1, sizeof(*t) + (size_t)ask.size * sizeof(t->ring_index[0]));
	if (t)
		t->size = ask.size;
	return t;
}

/* A driver's own table goes round all queues. */
static bool is_round(const struct ethtool_rxfh_indir *t, uint32_t queues)
{
	for (uint32_t i = 0; i < t->size; i++)
		if (t->ring_index[i] != i % queues)
			return false;
	return true;
}

int nic_spread_is_own(const char *ifname, uint32_t queues)
{
	struct ethtool_rxfh_indir *t = spread_alloc(ifname);
	int err;

	if (!t)
		return -EOPNOTSUPP;
	t->cmd = ETHTOOL_GRXFHINDIR;
	err = ethtool(ifname, t);
	if (!err && !is_round(t, queues))
		err = -EBUSY;
	free(t);
	return err;
}

int nic_spread(const char *ifname, uint32_t queues)
{
	struct ethtool_rxfh_indir *t = spread_alloc(ifname);
	int err;

	if (!t)
		return -EOPNOTSUPP;
	t->cmd = ETHTOOL_SRXFHINDIR;
	if (!queues)
		t->size = 0;
	for (uint32_t i = 0; i < t->size; i++)
		t->ring_index[i] = i % queues;
	err = ethtool(ifname, t);
	free(t);
	return err;
}

int nic_set_mtu(const char *ifname, uint32_t mtu)
{
	struct ifreq ifr = { .ifr_mtu = (int)mtu };

	return request(ifname, SIOCSIFMTU, &ifr);
}

int nic_set_queue_len(const char *ifname, uint32_t frames)
{
	struct ifreq ifr = { .ifr_qlen = (int)frames };

	return request(ifname, SIOCSIFTXQLEN, &ifr);
}

int nic_set_up(const char *ifname)
{
	struct ifreq ifr;
	int err = request(ifname, SIOCGIFFLAGS, &ifr);

	if (err)
		return err;
	ifr.ifr_flags |= IFF_UP;
	return request(ifname, SIOCSIFFLAGS, &ifr);
}
