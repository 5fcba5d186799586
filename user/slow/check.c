/* SPDX-License-Identifier: BSD-2-Clause
 *
 * check.c - what must hold before an attach. See check.h.
 */
#include "check.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/log.h"
#include "linkkind.h"
#include "nic.h"
#include "rundir.h"
#include "undo.h"

bool check_foreign_xdp(int ifindex, char *text, size_t size)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info), id;
	int fd;

	if (bpf_xdp_query(ifindex, 0, &q))
		return false;
	id = q.prog_id ? q.prog_id : q.drv_prog_id ? q.drv_prog_id : q.skb_prog_id;
	if (!id && !q.hw_prog_id)
		return false;
	fd = bpf_prog_get_fd_by_id(id ? id : q.hw_prog_id);
	if (fd >= 0) {
		bpf_obj_get_info_by_fd(fd, &info, &len);
		close(fd);
	}
	snprintf(text, size, "%s (id %u)", info.name[0] ? info.name : "without a name",
		 id ? id : q.hw_prog_id);
	return true;
}

/* What is no NIC but receives as one: frames as they were sent, on itself only. */
static bool is_whole(const char *kind)
{
	static const char *const whole[] = { "", "veth", "tun", "dummy" };

	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		if (!strcmp(kind, whole[i]))
			return true;
	return false;
}

/* A bridge's port is a NIC still: what the bridge receives by it passes. */
static bool shares_its_flows(const char *kind)
{
	return kind[0] && strcmp(kind, "bridge");
}

bool check_stacked(const struct nic *n, char *text, size_t size)
{
	struct linkkind k;

	if (linkkind_read(n->ifindex, &k))
		return false;
	if (shares_its_flows(k.part_of)) {
		snprintf(text, size, "it is part of a %s, and frames of a connection may come by "
				     "another part", k.part_of);
		return true;
	}
	if (is_whole(k.kind))
		return false;
	snprintf(text, size, "it is a %s device, which gets its frames by others, and merged",
		 k.kind);
	return true;
}

static int check_nic(const struct attach_opts *o, struct nic *n)
{
	const char *ifname = o->ifname;
	char why[128];
	int err = nic_read(ifname, n);

	if (err == -ENODEV) {
		log_err(err, "%s: cannot attach", ifname);
		log_hint("'ip link' lists the interfaces of this network namespace.");
		return err;
	}
	if (err == -EPROTOTYPE) {
		log_warn("%s: cannot attach: not an Ethernet interface", ifname);
		log_hint("taspilot accelerates TCP on Ethernet NICs; what stays on this host "
			 "needs none.");
		return err;
	}
	if (err)
		return log_err(err, "%s: cannot be examined", ifname);
	if (check_stacked(n, why, sizeof(why))) {
		log_warn("%s: cannot attach: %s", ifname, why);
		log_hint("taspilot attaches to NICs; what passes other devices stays Linux's.");
		return -EOPNOTSUPP;
	}
	if (!n->up) {
		log_warn("%s: cannot attach: the interface is down", ifname);
		log_hint("'ip link set %s up' first.", ifname);
		return -ENETDOWN;
	}
	if (n->mtu > CHECK_MTU_NATIVE && o->mode == ATTACH_NATIVE) {
		log_warn("%s: cannot attach in native mode: an MTU of %u is too large for it", ifname,
			 n->mtu);
		log_hint("'ip link set %s mtu %u' or less works, and so does --mode skb.", ifname,
			 CHECK_MTU_NATIVE);
		return -EMSGSIZE;
	}
	if (o->queues > n->rx_queues) {
		log_warn("%s: cannot attach: %u queues wanted, the NIC has %u", ifname, o->queues,
			 n->rx_queues);
		log_hint("'ethtool -l %s' shows them, 'ethtool -L' changes their number.", ifname);
		return -EINVAL;
	}
	if (o->queues > TP_MAX_THREADS) {
		log_warn("%s: cannot attach: %u queues wanted, taspilot serves %u", ifname,
			 o->queues, TP_MAX_THREADS);
		log_hint("Leave --queues away, or give %u.", TP_MAX_THREADS);
		return -EINVAL;
	}
	return 0;
}

static int check_unattached(const struct nic *n)
{
	pid_t pid = run_daemon(n->ifname);
	char whose[64];

	if (pid) {
		log_warn("%s: already attached (taspilotd is process %d)", n->ifname, pid);
		log_hint("'taspilot status' shows how it is; 'taspilot detach %s' ends it.",
			 n->ifname);
		return -EBUSY;
	}
	if (!undo_needed(n->ifname) && check_foreign_xdp(n->ifindex, whose, sizeof(whose))) {
		log_warn("%s: cannot attach: the XDP program %s is there already", n->ifname,
			 whose);
		log_hint("taspilot displaces nobody: stop its owner, or 'ip link set %s xdp off'.",
			 n->ifname);
		return -EBUSY;
	}
	return 0;
}

int check_attach(const struct attach_opts *o, struct nic *ret_nic)
{
	struct nic n;
	int err;

	if (geteuid() != 0) {
		log_err(-EPERM, "%s: cannot attach", o->ifname);
		log_hint("Only root may: 'sudo taspilot attach %s'.", o->ifname);
		return -EPERM;
	}
	err = check_nic(o, &n);
	if (err)
		return err;
	err = check_unattached(&n);
	if (err)
		return err;
	*ret_nic = n;
	return 0;
}
