/* SPDX-License-Identifier: BSD-2-Clause
 *
 * attach.c - put taspilot on a NIC. See attach.h for what is promised.
 *
 * Theory of operation
 *
 * Every step that changes something outside this process either dies with it (the TAP), is
 * pinned in our directory of bpffs (maps, links), or is written to the state file before it
 * is taken (offloads, clsact). So undo_attach() is the one way back, whether a step here
 * failed, the daemon ends, or it was killed and somebody else cleans up.
 *
 * Native XDP is tried first, unless told otherwise. A driver that has none says so only at
 * the last step, and in generic mode the programs are others (door.h) and GRO must go: so
 * all is undone, and done again.
 *
 * Invariants
 *  - XDP comes last, but for what its loading would undo: before it nothing is taken from Linux.
 *  - No program of others is displaced: links and filters of ours are added, never replace.
 */
#include "attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "../common/log.h"
#include "../fast/xio.h"
#include "check.h"
#include "nic.h"
#include "rundir.h"
#include "state.h"
#include "tap.h"
#include "taspilot/ctl_abi.h"
#include "tchook.h"
#include "traced.h"
#include "undo.h"

#include "ask.skel.h"
#include "release.skel.h"
#include "stranger.skel.h"
#include "tc.skel.h"
#include "xdp.skel.h"

#define PRIO_TRIES	16		/* clsact: the first free priority, so before others */

struct attach_private {
	int lock_fd;			/* held for as long as we live */
	int state_fd;
	struct xdp_bpf *xdp;
	struct tc_bpf *tc;
	struct ask_bpf *ask;
	struct release_bpf *release;
	struct stranger_bpf *stranger;	/* NULL: this kernel cannot */
	int links[8];			/* descriptors; what they attach is held by their pins */
	uint32_t n_links;
	int xdp_link;			/* the same of XDP, which may be set anew; -1: none */
	bool spread;			/* the NIC's indirection table is ours */
	uint16_t nonce[6];
};

static int pin_dir(const struct attached *att, char *path, size_t size)
{
	return snprintf(path, size, "%s/%s", TP_PIN_DIR, att->nic.ifname);
}

/* ---- before anything is loaded ---- */

static bool is_bpffs(void)
{
	struct statfs fs;

	return !statfs(TP_BPFFS, &fs) && fs.f_type == BPF_FS_MAGIC;
}

static int make_bpffs(struct attach_private *p)
{
	int err;

	if (is_bpffs())
		return 0;
	err = state_add(p->state_fd, "bpffs");
	if (!err && mount("bpf", TP_BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700"))
		err = -errno;
	if (err) {
		log_err(err, "%s: cannot mount bpffs", TP_BPFFS);
		log_hint("The kernel needs CONFIG_BPF_SYSCALL, and /sys must be mounted.");
	}
	return err;
}

static int make_pin_dir(const struct attached *att)
{
	char path[128];

	pin_dir(att, path, sizeof(path));
	if ((mkdir(TP_PIN_DIR, 0755) < 0 && errno != EEXIST) || mkdir(path, 0755) < 0)
		return log_err(-errno, "%s: cannot make the directory for maps", path);
	return 0;
}

static int make_tap(struct attached *att, const char *wanted)
{
	att->tap_fd = tap_open(wanted, att->nic.mtu, att->tap);
	if (att->tap_fd < 0) {
		log_err(att->tap_fd, "%s: cannot make the TAP device %s", att->nic.ifname,
			wanted ? wanted : "tas0");
		if (att->tap_fd == -EBUSY)
			log_hint("That name is taken: choose another with --tap NAME.");
		else
			log_hint("taspilot needs /dev/net/tun ('modprobe tun').");
		return att->tap_fd;
	}
	att->tap_ifindex = (int)if_nametoindex(att->tap);
	return 0;
}

static int set_feature(struct attached *att, const char *feature, bool on)
{
	const char *word = on ? "on" : "off";
	struct nic_feature f;
	int err;

	if (nic_feature(att->nic.ifname, feature, &f) || f.on == on || f.fixed)
		return 0;
	err = state_add(att->private->state_fd, "offload %s %s", word, feature);
	if (!err)
		err = nic_set_feature(att->nic.ifname, feature, on);
	if (err)
		log_err(err, "%s: cannot switch %s %s", att->nic.ifname, feature, word);
	return err;
}

/* XDP must see frames as they were on the wire: with their VLAN tags, and in generic mode
 * not merged. A veth is the other way round: with native XDP it takes a longer way into
 * Linux, which costs bulk that is not ours a third of its speed unless GRO shortens the rest.
 */
static int set_features(struct attached *att)
{
	static const char *const merge[] = { "rx-gro", "rx-lro", "rx-gro-hw", "rx-gro-list" };
	bool veth = !strcmp(att->nic.driver, "veth");
	int err = 0;

	if (!veth)
		err = set_feature(att, "rx-vlan-hw-parse", false);
	else if (att->native)
		err = set_feature(att, "rx-gro", true);
	for (size_t i = 0; !err && !att->native && i < sizeof(merge) / sizeof(merge[0]); i++)
		err = set_feature(att, merge[i], false);
	return err;
}

/* ---- programs ---- */

static int load_failed(const struct attached *att, int err, const char *what)
{
	log_err(err, "%s: cannot load the %s program", att->nic.ifname, what);
	log_hint("taspilot needs Linux 6.1 or newer with BTF; 'taspilot doctor %s' tells more.",
		 att->nic.ifname);
	return err;
}

static struct tp_mac mac_words(const uint8_t mac[ETH_ALEN])
{
	struct tp_mac m = {};

	memcpy(&m.head, mac, sizeof(m.head));
	memcpy(&m.tail, mac + sizeof(m.head), sizeof(m.tail));
	return m;
}

void attach_set_mac(struct attached *att, const uint8_t mac[ETH_ALEN])
{
	memcpy(att->nic.mac, mac, ETH_ALEN);
	att->private->xdp->bss->tp_nic_mac = mac_words(mac);
	att->private->tc->bss->tp_nic_mac = mac_words(mac);
}

int attach_set_mtu(struct attached *att, uint32_t mtu)
{
	att->nic.mtu = mtu;
	return nic_set_mtu(att->tap, mtu);
}

static int load_xdp(struct attached *att, const struct bpf_object_open_opts *opts)
{
	struct xdp_bpf *s = att->private->xdp = xdp_bpf__open_opts(opts);
	int err;

	if (!s)
		return load_failed(att, -errno, "XDP");
	s->rodata->tp_generic = !att->native;
	memcpy((void *)s->rodata->tp_nonce, att->private->nonce, sizeof(att->private->nonce));
	s->bss->tp_nic_mac = mac_words(att->nic.mac);
	s->bss->tp_frame_len = att->frame_room;
	err = xdp_bpf__load(s);
	return err ? load_failed(att, err, "XDP") : 0;
}

static int load_tc(struct attached *att, const struct bpf_object_open_opts *opts)
{
	struct tc_bpf *s = att->private->tc = tc_bpf__open_opts(opts);
	int err;

	if (!s)
		return load_failed(att, -errno, "tc");
	s->rodata->tp_generic = !att->native;
	memcpy((void *)s->rodata->tp_nonce, att->private->nonce, sizeof(att->private->nonce));
	s->rodata->tp_nic_ifindex = att->nic.ifindex;
	s->rodata->tp_tap_ifindex = att->tap_ifindex;
	s->bss->tp_nic_mac = mac_words(att->nic.mac);
	err = tc_bpf__load(s);
	return err ? load_failed(att, err, "tc") : 0;
}

/* Its resolution is one tick. */
static uint32_t ticks_a_second(void)
{
	struct timespec tick;

	if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) || tick.tv_nsec <= 0)
		return 250;
	return (uint32_t)((1000000000 + tick.tv_nsec / 2) / tick.tv_nsec);
}

static int load_ask(struct attached *att, const struct bpf_object_open_opts *opts)
{
	struct ask_bpf *s = att->private->ask = ask_bpf__open_opts(opts);
	int err;

	if (!s)
		return load_failed(att, -errno, "question");
	s->rodata->tp_hz = ticks_a_second();
	err = ask_bpf__load(s);
	if (err)
		return load_failed(att, err, "question");
	att->ask_fd = bpf_program__fd(s->progs.tp_ask);
	att->ask_reply = &s->bss->tp_reply;
	return 0;
}

static void take_map_fds(struct attached *att)
{
	struct xdp_bpf *s = att->private->xdp;

	att->flows_fd = bpf_map__fd(s->maps.tp_flows);
	att->listeners_fd = bpf_map__fd(s->maps.tp_listeners);
	att->cookies_fd = bpf_map__fd(s->maps.tp_cookies);
	att->xsks_fd = bpf_map__fd(s->maps.tp_xsks);
	att->slow_fd = bpf_map__fd(s->maps.tp_slow);
	att->count_fd = bpf_map__fd(s->maps.tp_count);
	att->config_fd = bpf_map__fd(s->maps.tp_config);
}

static int load(struct attached *att)
{
	char path[128];
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = path);
	int err;

	pin_dir(att, path, sizeof(path));
	if (getrandom(att->private->nonce, sizeof(att->private->nonce), 0) < 0)
		return log_err(-errno, "%s: no random numbers", att->nic.ifname);

	err = load_xdp(att, &opts);
	if (!err)
		err = load_tc(att, &opts);
	if (!err)
		err = load_ask(att, &opts);
	if (err)
		return err;
	take_map_fds(att);
	return 0;
}

/* ---- hooks ---- */

static void keep_link(struct attached *att, int fd)
{
	att->private->links[att->private->n_links++] = fd;
}

/* The link @fd shall outlive us. */
static int pin(const struct attached *att, int fd, const char *leaf)
{
	char path[160];
	int n = pin_dir(att, path, sizeof(path));

	snprintf(path + n, sizeof(path) - (size_t)n, "/%s", leaf);
	return bpf_obj_pin(fd, path);
}

/* Takes @fd also if that fails. */
static int pin_link(struct attached *att, int fd, const char *leaf)
{
	keep_link(att, fd);
	return pin(att, fd, leaf);
}

static bool find_cgroup2(char *path, size_t size)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	bool found = false;

	if (!f)
		return false;
	while (!found && (m = getmntent(f))) {
		found = !strcmp(m->mnt_type, "cgroup2");
		if (found)
			snprintf(path, size, "%s", m->mnt_dir);
	}
	endmntent(f);
	return found;
}

static int attach_release(struct attached *att, const char *cgroup)
{
	char path[128];
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = path);
	struct release_bpf *s;
	int dir, link, err;

	pin_dir(att, path, sizeof(path));
	s = att->private->release = release_bpf__open_opts(&opts);
	if (!s)
		return -errno;
	err = release_bpf__load(s);
	if (err)
		return err;

	dir = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	link = bpf_link_create(bpf_program__fd(s->progs.tp_release), dir,
			       BPF_CGROUP_INET_SOCK_RELEASE, NULL);
	close(dir);
	return link < 0 ? link : pin_link(att, link, "release");
}

/* Without it the end of a socket is noticed later, by asking Linux: no reason to fail. */
static void try_release(struct attached *att)
{
	char cgroup[256];
	int err = -ENOENT;

	if (find_cgroup2(cgroup, sizeof(cgroup)))
		err = attach_release(att, cgroup);
	att->release_hook = !err;
	if (err)
		log_err(err, "%s: no cgroup2 hook for closed sockets, asking Linux instead",
			att->nic.ifname);
}

/* Where there is none nobody makes one: no need to be told. */
static bool has_io_uring(void)
{
	return syscall(SYS_io_uring_setup, 0, NULL) >= 0 || errno != ENOSYS;
}

/* @calls: hook the kernel's functions; else its tracepoint alone, which tells of io_uring. */
static int load_stranger(struct attached *att, bool calls)
{
	bool uring = libbpf_find_vmlinux_btf_id("io_uring_create", BPF_TRACE_RAW_TP) > 0;
	char path[128];
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = path);
	struct stranger_bpf *s;
	int err;

	pin_dir(att, path, sizeof(path));
	s = att->private->stranger = stranger_bpf__open_opts(&opts);
	if (!s)
		return -errno;
	bpf_program__set_autoload(s->progs.tp_recvmsg, calls);
	bpf_program__set_autoload(s->progs.tp_splice_read, calls);
	bpf_program__set_autoload(s->progs.tp_poll, calls);
	bpf_program__set_autoload(s->progs.tp_uring, uring);
	err = stranger_bpf__load(s);
	if (!err)
		err = stranger_bpf__attach(s);
	if (err) {
		stranger_bpf__destroy(s);
		att->private->stranger = NULL;
		return err;
	}
	att->tasks_fd = bpf_map__fd(s->maps.tp_tasks);
	att->urings_fd = bpf_map__fd(s->maps.tp_urings);
	att->uring_hook = uring || !has_io_uring();
	return 0;
}

/* Its links are not pinned: without a daemon there is nobody to tell. A kernel without ftrace
 * has no place for most of it, nor has a container on some (traced.h: a tracepoint is no such hook); what
 * a program without the shim does is then noticed when it writes. That is no news at each attach: the log
 * has it once we are ready, and `status` and `doctor` say so.
 */
static void try_stranger(struct attached *att)
{
	att->uring_hook = false;
	att->stranger_err = traced_may_die_here() ? load_stranger(att, true) : -EDEADLK;
	att->stranger_hook = !att->stranger_err;
	if (!att->stranger_hook)
		load_stranger(att, false);
}

static int attach_filter(struct attached *att, enum tc_dir dir, int prog_fd)
{
	int err = 0;

	for (uint32_t prio = 1; prio <= PRIO_TRIES; prio++) {
		err = state_add(att->private->state_fd, "filter %s %u",
				dir == TC_IN ? "in" : "out", prio);
		if (!err)
			err = clsact_attach(att->nic.ifindex, dir, prog_fd, prio);
		if (err != -EEXIST && err != -EINVAL)
			return err;
	}
	return err;
}

static int attach_clsact(struct attached *att)
{
	struct tc_bpf *s = att->private->tc;
	int err = clsact_present(att->nic.ifindex);

	if (!err) {
		err = state_add(att->private->state_fd, "clsact");
		if (!err)
			err = clsact_make(att->nic.ifindex);
	}
	if (err < 0)
		return err;
	err = attach_filter(att, TC_IN, bpf_program__fd(s->progs.tp_nic_in));
	return err ? err : attach_filter(att, TC_OUT, bpf_program__fd(s->progs.tp_nic_out));
}

static int attach_tcx(struct attached *att)
{
	struct tc_bpf *s = att->private->tc;
	int fd, err;

	fd = tcx_attach(att->nic.ifindex, TC_IN, bpf_program__fd(s->progs.tp_nic_in));
	if (fd < 0)
		return fd;
	err = pin_link(att, fd, "tcx_in");
	if (err)
		return err;
	fd = tcx_attach(att->nic.ifindex, TC_OUT, bpf_program__fd(s->progs.tp_nic_out));
	return fd < 0 ? fd : pin_link(att, fd, "tcx_out");
}

/* The TAP is ours and goes with us, so nothing here needs undoing. */
static int attach_door(struct attached *att)
{
	int prog = bpf_program__fd(att->private->tc->progs.tp_door);
	int err, fd = tcx_attach(att->tap_ifindex, TC_IN, prog);

	if (fd >= 0) {
		keep_link(att, fd);
		return 0;
	}
	if (fd != -EOPNOTSUPP)
		return fd;
	err = clsact_make(att->tap_ifindex);
	return err ? err : clsact_attach(att->tap_ifindex, TC_IN, prog, 1);
}

static int attach_tc(struct attached *att)
{
	int err = attach_door(att);

	if (!err) {
		err = attach_tcx(att);
		if (err == -EOPNOTSUPP)
			err = attach_clsact(att);
	}
	if (err) {
		log_err(err, "%s: cannot add the tc programs", att->nic.ifname);
		log_hint("'tc qdisc show dev %s' and 'tc filter show dev %s ingress' show what is "
			 "there; an 'ingress' qdisc must become 'clsact'.",
			 att->nic.ifname, att->nic.ifname);
	}
	return err;
}

static int attach_xdp(struct attached *att)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .flags = att->native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
	int fd = bpf_link_create(bpf_program__fd(att->private->xdp->progs.tp_xdp),
				 att->nic.ifindex, BPF_XDP, &opts);

	if (fd < 0)
		return fd;
	att->private->xdp_link = fd;
	return pin(att, fd, "xdp_link");
}

static void close_xdp(struct attach_private *p)
{
	if (p->xdp_link >= 0)
		close(p->xdp_link);
	p->xdp_link = -1;
}

/* Not all queues are served: flows shall come by those that are. A NIC that cannot be told, or
 * was told otherwise by its administrator, brings some by the others: the slow way. After XDP,
 * because virtio forgets the table when that makes it set up its queues.
 */
static int spread(struct attached *att)
{
	const struct nic *n = &att->nic;
	int err;

	if (att->queues == n->rx_queues)
		return 0;
	err = nic_spread_is_own(n->ifname, n->rx_queues);
	if (!err)
		err = state_add(att->private->state_fd, "spread");
	if (!err)
		err = nic_spread(n->ifname, att->queues);
	att->private->spread = !err;
	if (err != -EOPNOTSUPP && err != -EBUSY)
		return err ? log_err(err, "%s: cannot set its indirection table", n->ifname) : 0;
	log_info("%s: %s; what arrives on queues %u to %u goes the slow way", n->ifname,
		 err == -EBUSY ? "its indirection table is the administrator's"
			       : "it cannot be told which queues to use",
		 att->queues, n->rx_queues - 1);
	return 0;
}

bool attach_has_xdp(const struct attached *att)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = att->private->xdp_link;

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) && info.xdp.ifindex;
}

void attach_xdp_off(struct attached *att)
{
	undo_xdp(att->nic.ifname, att->nic.ifindex);
	close_xdp(att->private);
}

int attach_xdp_on(struct attached *att)
{
	struct attach_private *p = att->private;
	int err;

	p->tc->bss->tp_no_xdp = false;	/* before: what is not wrapped it would take for the wire's */
	err = attach_xdp(att);
	p->tc->bss->tp_no_xdp = err;
	if (err)
		close_xdp(p);
	else if (p->spread)
		nic_spread(att->nic.ifname, att->queues);
	return err;
}

/* ---- all of it ---- */

static void close_all(struct attached *att)
{
	struct attach_private *p = att->private;

	for (uint32_t i = 0; i < p->n_links; i++)
		close(p->links[i]);
	p->n_links = 0;
	close_xdp(p);
	stranger_bpf__destroy(p->stranger);
	release_bpf__destroy(p->release);
	ask_bpf__destroy(p->ask);
	tc_bpf__destroy(p->tc);
	xdp_bpf__destroy(p->xdp);
	p->stranger = NULL;
	p->release = NULL;
	p->ask = NULL;
	p->tc = NULL;
	p->xdp = NULL;
	if (att->tap_fd >= 0)
		close(att->tap_fd);
	att->tap_fd = -1;
	if (p->state_fd >= 0)
		close(p->state_fd);
	p->state_fd = -1;
}

/* Everything up to XDP; what fails has been logged. */
static int prepare(struct attached *att, const struct attach_opts *o)
{
	int err;

	att->queues = o->queues ? o->queues : att->nic.rx_queues;
	if (att->queues > TP_MAX_THREADS)
		att->queues = TP_MAX_THREADS;
	att->private->state_fd = state_create(att->nic.ifname, att->nic.ifindex);
	if (att->private->state_fd < 0)
		return log_err(att->private->state_fd, "%s: cannot write the state file",
			       att->run_dir);
	err = make_bpffs(att->private);
	if (!err)
		err = make_pin_dir(att);
	if (!err)
		err = make_tap(att, o->tap);
	if (!err)
		err = set_features(att);
	if (!err)
		err = load(att);
	if (err)
		return err;
	try_release(att);
	try_stranger(att);
	return attach_tc(att);
}

/* -EOPNOTSUPP, not logged: no XDP of that mode on this NIC. */
static int attach_mode(struct attached *att, const struct attach_opts *o, bool native)
{
	int err;

	att->native = native;
	err = prepare(att, o);
	if (err)
		return err == -EOPNOTSUPP ? -EIO : err;
	err = attach_xdp(att);
	if (!err)
		return spread(att);
	if (err == -EBUSY || err == -EEXIST) {
		log_err(err, "%s: cannot attach, an XDP program is there", att->nic.ifname);
		log_hint("taspilot displaces nobody: stop its owner first.");
		return -EBUSY;
	}
	return -EOPNOTSUPP;
}

static int no_xdp(const struct attached *att, bool native)
{
	const struct nic *n = &att->nic;

	log_err(-EOPNOTSUPP, "%s: cannot attach in %s mode", n->ifname,
		native ? "native" : "generic");
	if (native)
		log_hint("%s has no XDP driver support as it is set up. 'taspilot attach %s "
			 "--mode skb' works, slower.",
			 n->driver, n->ifname);
	else
		log_hint("The kernel has no generic XDP for it.");
	return -EOPNOTSUPP;
}

static void back(struct attached *att)
{
	close_all(att);
	undo_attach(att->nic.ifname);
}

static int attach_modes(struct attached *att, const struct attach_opts *o)
{
	int err = -EOPNOTSUPP;

	if (o->mode == ATTACH_AUTO && att->nic.mtu > CHECK_MTU_NATIVE) {
		log_info("%s: an MTU of %u is too large for native XDP, using generic mode",
			 att->nic.ifname, att->nic.mtu);
	} else if (o->mode != ATTACH_SKB) {
		err = attach_mode(att, o, true);
		if (err != -EOPNOTSUPP)
			return err;
		if (o->mode == ATTACH_NATIVE)
			return no_xdp(att, true);
		close_all(att);
		undo_changes(att->nic.ifname);
		log_info("%s: the driver (%s) has no native XDP here, using generic mode",
			 att->nic.ifname, att->nic.driver);
	}
	err = attach_mode(att, o, false);
	return err == -EOPNOTSUPP ? no_xdp(att, false) : err;
}

/* Make the run directory ours, and clean up after a daemon that died. */
static int begin(struct attached *att)
{
	const char *ifname = att->nic.ifname;
	int err;

	run_path(att->run_dir, ifname, NULL);
	if (undo_needed(ifname) && !run_daemon(ifname)) {
		log_info("%s: cleaning up after a daemon that died", ifname);
		err = undo_attach(ifname);
		if (err)
			log_err(err, "%s: some of its settings stay", ifname);
	}
	err = run_make(ifname);
	if (!err)
		err = run_lock(ifname, &att->private->lock_fd);
	if (err)
		return log_err(err, "%s: cannot become its daemon", att->run_dir);
	return 0;
}

static struct attached *alloc_attached(const struct nic *n)
{
	struct attached *att = calloc(1, sizeof(*att));

	if (!att)
		return NULL;
	att->private = calloc(1, sizeof(*att->private));
	if (!att->private) {
		free(att);
		return NULL;
	}
	att->nic = *n;
	att->frame_room = xio_frame_room(n->mtu);
	att->tap_fd = -1;
	att->private->state_fd = -1;
	att->private->lock_fd = -1;
	att->private->xdp_link = -1;
	return att;
}

static void free_attached(struct attached *att)
{
	if (att->private->lock_fd >= 0)
		close(att->private->lock_fd);
	free(att->private);
	free(att);
}

/* What libbpf has to say is for those who ask for it. */
static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	return getenv("TASPILOT_BPF_LOG") ? vfprintf(stderr, fmt, ap) : 0;
}

int attach_nic(const struct attach_opts *o, struct attached **ret_att)
{
	struct attached *att;
	struct nic n;
	int err;

	libbpf_set_print(quiet);
	err = check_attach(o, &n);
	if (err)
		return err;
	att = alloc_attached(&n);
	if (!att)
		return log_err(-ENOMEM, "%s: cannot attach", o->ifname);

	err = begin(att);
	if (err)
		goto err_free;
	err = attach_modes(att, o);
	if (err)
		goto err_undo;
	*ret_att = att;
	return 0;

err_undo:
	back(att);
err_free:
	free_attached(att);
	return err;
}

void detach_nic(struct attached *att)
{
	back(att);
	free_attached(att);
}
