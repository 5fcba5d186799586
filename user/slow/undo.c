/* SPDX-License-Identifier: BSD-2-Clause
 *
 * undo.c - the exact way back. See undo.h.
 *
 * The order is that of attach_nic() turned round: XDP first, so that nothing new is taken
 * from Linux; then tc and the release hook; then maps, features and files. Links are
 * detached before their pins go, because the kernel may take its time over the last
 * reference, and who calls detach wants it done.
 */
#include "undo.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "check.h"
#include "nic.h"
#include "rundir.h"
#include "state.h"
#include "taspilot/ctl_abi.h"
#include "xdpfeat.h"

static void pin_path(char path[PATH_MAX], const char *ifname, const char *leaf)
{
	snprintf(path, PATH_MAX, "%s/%s%s%s", TP_PIN_DIR, ifname, leaf[0] ? "/" : "", leaf);
}

bool undo_needed(const char *ifname)
{
	char path[PATH_MAX], state[RUN_PATH_MAX];

	pin_path(path, ifname, "");
	run_path(state, ifname, "state");
	return !access(path, F_OK) || !access(state, F_OK);
}

static void detach_link(const char *ifname, const char *leaf)
{
	char path[PATH_MAX];
	int fd;

	pin_path(path, ifname, leaf);
	fd = bpf_obj_get(path);
	if (fd >= 0) {
		bpf_link_detach(fd);
		close(fd);
	}
	unlink(path);
}

/* Until Linux 6.3 virtio_net asks of the MTU what XDP wants of it when XDP goes, too. Nobody can refuse
 * that a link goes: the kernel warns of it (bpf_xdp_link_release()), and the driver keeps the program.
 * So an MTU that somebody has raised since the attach, beyond XDP's page, comes down for that
 * moment. True, and @ret_nic, if it has to.
 */
static bool mtu_is_in_the_way(int ifindex, struct nic *ret_nic)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	char ifname[IF_NAMESIZE];
	uint64_t features;

	return if_indextoname(ifindex, ifname) && !nic_read(ifname, ret_nic) &&
	       ret_nic->mtu > CHECK_MTU_NATIVE && !strcmp(ret_nic->driver, "virtio_net") &&
	       !bpf_xdp_query(ifindex, 0, &q) && q.attach_mode == XDP_ATTACHED_DRV &&
	       xdpfeat_read(ifindex, &features) == -EOPNOTSUPP;
}

void undo_xdp(const char *ifname, int ifindex)
{
	struct nic n;
	bool lower = ifindex && mtu_is_in_the_way(ifindex, &n);

	if (lower)
		nic_set_mtu(n.ifname, CHECK_MTU_NATIVE);
	detach_link(ifname, "xdp_link");
	if (lower)
		nic_set_mtu(n.ifname, n.mtu);
}

static void remove_pins(const char *ifname)
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *d;

	pin_path(path, ifname, "");
	d = opendir(path);
	if (!d)
		return;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(path);
	rmdir(TP_PIN_DIR);
}

/* The NIC may have another name now, or be gone. */
static void undo_nic(const struct state *s)
{
	char ifname[IF_NAMESIZE];

	for (uint32_t i = s->filters; i-- > 0;)
		clsact_detach(s->ifindex, s->filter[i].dir, s->filter[i].prio);
	if (s->clsact)
		clsact_remove_if_unused(s->ifindex);
	if (!if_indextoname(s->ifindex, ifname))
		return;
	if (s->spread)
		nic_spread(ifname, 0);
	for (uint32_t i = s->offloads; i-- > 0;)
		nic_set_feature(ifname, s->offload[i].feature, !s->offload[i].on);
}

int undo_changes(const char *ifname)
{
	struct state s = {};
	bool known, elsewhere;

	known = !state_read(ifname, &s);
	elsewhere = known && s.netns != state_netns();

	undo_xdp(ifname, known && !elsewhere ? s.ifindex : 0);
	detach_link(ifname, "tcx_in");
	detach_link(ifname, "tcx_out");
	detach_link(ifname, "release");
	if (known && !elsewhere)
		undo_nic(&s);
	remove_pins(ifname);
	if (s.bpffs)
		umount2(TP_BPFFS, UMOUNT_NOFOLLOW);
	return elsewhere && (s.filters || s.offloads || s.spread) ? -EXDEV : 0;
}

int undo_attach(const char *ifname)
{
	int err = undo_changes(ifname);

	run_remove(ifname);
	return err;
}
