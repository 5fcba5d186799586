/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tap.c - make a TAP device. See tap.h.
 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "nic.h"

#define TAP_NAMES	64		/* tas0..tas63 */
#define TAP_FRAMES	8192		/* a burst of endings must fit */

static int open_named(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	unsigned int offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	int fd, err;

	if (strlen(name) >= sizeof(ifr.ifr_name))
		return -ENAMETOOLONG;
	strcpy(ifr.ifr_name, name);
	ifr.ifr_flags |= (short)IFF_TUN_EXCL;

	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, TUNSETIFF, &ifr) < 0 || ioctl(fd, TUNSETOFFLOAD, offload) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* Linux is to say nothing of its own there. A kernel without IPv6 has no such file. */
static int silence_ipv6(const char *name)
{
	char path[96];
	int fd, err = 0;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (write(fd, "1", 1) != 1)
		err = -errno;
	close(fd);
	return err;
}

static int set_up(const char *name, uint32_t mtu)
{
	int err = nic_set_mtu(name, mtu);

	if (!err)
		err = nic_set_queue_len(name, TAP_FRAMES);
	if (!err)
		err = silence_ipv6(name);
	return err ? err : nic_set_up(name);
}

int tap_open(const char *name, uint32_t mtu, char ret_name[IF_NAMESIZE])
{
	char free_name[IF_NAMESIZE];
	int fd = -EBUSY, err;

	for (int i = 0; !name && fd == -EBUSY && i < TAP_NAMES; i++) {
		snprintf(free_name, sizeof(free_name), "tas%d", i);
		fd = open_named(free_name);
	}
	if (name)
		fd = open_named(name);
	if (fd < 0)
		return fd;

	err = set_up(name ? name : free_name, mtu);
	if (err) {
		close(fd);
		return err;
	}
	strcpy(ret_name, name ? name : free_name);
	return fd;
}
