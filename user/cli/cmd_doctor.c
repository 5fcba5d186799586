/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_doctor.c - `taspilot doctor`: look, change nothing, and say for each finding what
 * would mend it.
 *
 * One function an organ. Each tells one line, "ok", "note" (works, could be better) or
 * "fail" (attach will not work), and a fix where there is something to do.
 */
#include "cli.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../common/log.h"
#include "../slow/check.h"
#include "../slow/nic.h"
#include "../slow/rundir.h"
#include "../slow/tchook.h"
#include "../slow/traced.h"
#include "../slow/undo.h"
#include "../slow/xdpfeat.h"
#include "taspilot/ctl_abi.h"

enum level { OK, NOTE, FAIL };

static bool failed;

static void __attribute__((format(printf, 3, 4))) tell(enum level level, const char *organ,
						       const char *fmt, ...)
{
	static const char *const word[] = { "ok", "note", "fail" };
	va_list ap;

	failed = failed || level == FAIL;
	printf("%-5s %-10s ", word[level], organ);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void __attribute__((format(printf, 1, 2))) fix(const char *fmt, ...)
{
	va_list ap;

	printf("%-16s fix: ", "");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* ---- the machine ---- */

static void look_at_kernel(void)
{
	int major = 0, minor = 0;
	struct utsname u;

	uname(&u);
	sscanf(u.release, "%d.%d", &major, &minor);
	if (major < 6 || (major == 6 && minor < 1)) {
		tell(FAIL, "kernel", "Linux %s is too old", u.release);
		fix("use 6.1 or newer");
	} else if (access("/sys/kernel/btf/vmlinux", R_OK)) {
		tell(FAIL, "kernel", "Linux %s without BTF", u.release);
		fix("use a kernel with CONFIG_DEBUG_INFO_BTF=y");
	} else {
		tell(OK, "kernel", "Linux %s", u.release);
	}
}

/* A program that does nothing, where stranger.bpf.c has one. It is gone with its descriptor. */
static int try_tracing(void)
{
	static const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FENTRY);
	int btf_id = libbpf_find_vmlinux_btf_id("tcp_poll", BPF_TRACE_FENTRY), prog, link;

	if (btf_id < 0)
		return btf_id;
	opts.attach_btf_id = (uint32_t)btf_id;
	prog = bpf_prog_load(BPF_PROG_TYPE_TRACING, "tp_probe", "GPL", nothing, 2, &opts);
	if (prog < 0)
		return prog;
	link = bpf_raw_tracepoint_open(NULL, prog);
	close(prog);
	if (link < 0)
		return link;
	close(link);
	return 0;
}

static void look_at_tracing(void)
{
	int err;

	if (!traced_may_die_here()) {
		tell(NOTE, "tracing", "not in this PID namespace: who uses an accelerated socket past "
				      "the shim is not noticed");
		fix("attach from outside of it, or use Linux 6.9 or newer");
		return;
	}
	err = geteuid() ? 0 : try_tracing();
	if (!err)
		return;
	tell(NOTE, "tracing", "%s: who uses an accelerated socket past the shim is not noticed",
	     strerror(-err));
	fix("use a kernel with CONFIG_FUNCTION_TRACER; until then run such programs without taspilot");
}

/* With autogroups each session is scheduled as one task; so a yield never passes from one to another. */
static void look_at_autogroups(void)
{
	FILE *f = fopen("/proc/sys/kernel/sched_autogroup_enabled", "re");
	int on = f ? fgetc(f) : '0';

	if (f)
		fclose(f);
	if (on != '1') {
		tell(OK, "scheduler", "no autogroups: fast threads yield to programs of their control group");
		return;
	}
	tell(NOTE, "scheduler", "autogroups: a program of another session than taspilotd's is woken, "
				"where a yield would be cheaper");
	fix("sysctl kernel.sched_autogroup_enabled=0 where programs share a fast thread's CPU");
}

static void look_at_socket_family(void)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd >= 0 || errno == EPERM) {
		tell(OK, "af_xdp", "the kernel has AF_XDP sockets");
	} else {
		tell(FAIL, "af_xdp", "no AF_XDP sockets: %s", strerror(errno));
		fix("use a kernel with CONFIG_XDP_SOCKETS=y");
	}
	if (fd >= 0)
		close(fd);
}

static void look_at_rights(void)
{
	if (geteuid() == 0) {
		tell(OK, "rights", "running as root");
		return;
	}
	tell(NOTE, "rights", "attach needs root; some findings below need it too");
	fix("sudo taspilot doctor ...");
}

static void look_at_jit(void)
{
	FILE *f = fopen("/proc/sys/net/core/bpf_jit_enable", "re");
	int on = 1;

	if (f && fscanf(f, "%d", &on) == 1 && !on) {
		tell(NOTE, "bpf jit", "off: BPF programs are interpreted, several times slower");
		fix("sysctl -w net.core.bpf_jit_enable=1");
	}
	if (f)
		fclose(f);
}

static void look_at_files(void)
{
	struct statfs fs;

	if (!statfs(TP_BPFFS, &fs) && fs.f_type == BPF_FS_MAGIC)
		tell(OK, "bpffs", "mounted on " TP_BPFFS);
	else
		tell(OK, "bpffs", "not mounted on " TP_BPFFS "; attach will do that");
	if (access("/dev/net/tun", R_OK | W_OK)) {
		tell(FAIL, "tun", "/dev/net/tun: %s", strerror(errno));
		fix("modprobe tun");
	} else {
		tell(OK, "tun", "TAP devices can be made");
	}
}

static void look_at_cgroup(void)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	while (f && (m = getmntent(f)) && strcmp(m->mnt_type, "cgroup2"))
		;
	if (f && m) {
		tell(OK, "cgroup2", "mounted on %s; ends of sockets are noticed at once",
		     m->mnt_dir);
	} else {
		tell(NOTE, "cgroup2", "not mounted: ends of sockets are noticed late");
		fix("mount -t cgroup2 none /sys/fs/cgroup (or where your system has it)");
	}
	if (f)
		endmntent(f);
}

/* ---- the NIC ---- */

static void look_at_state(const struct nic *n)
{
	pid_t pid = run_daemon(n->ifname);

	if (pid) {
		tell(OK, "taspilot", "attached, taspilotd is process %d", pid);
	} else if (undo_needed(n->ifname)) {
		tell(NOTE, "taspilot", "a daemon that died left its programs on the NIC");
		fix("taspilot detach %s (attach would do that, too)", n->ifname);
	} else {
		tell(OK, "taspilot", "not attached");
	}
}

static void look_at_link(const struct nic *n)
{
	char why[128];

	if (check_stacked(n, why, sizeof(why))) {
		tell(FAIL, "device", "%s", why);
		fix("attach to a NIC; what passes other devices stays Linux's");
	}
	tell(OK, "driver", "%s", n->driver);
	if (!n->up) {
		tell(FAIL, "link", "the interface is down");
		fix("ip link set %s up", n->ifname);
	}
	if (n->mtu > CHECK_MTU_NATIVE) {
		tell(NOTE, "mtu", "%u: generic mode, and connections of large segments stay Linux's",
		     n->mtu);
		fix("ip link set %s mtu %u, or less", n->ifname, CHECK_MTU_NATIVE);
	} else {
		tell(OK, "mtu", "%u", n->mtu);
	}
}

static void look_at_xdp_owner(const struct nic *n)
{
	char whose[64];

	if (!check_foreign_xdp(n->ifindex, whose, sizeof(whose))) {
		tell(OK, "xdp slot", "free");
	} else if (undo_needed(n->ifname)) {
		tell(OK, "xdp slot", "taken by %s, taspilot's own", whose);
	} else {
		tell(FAIL, "xdp slot", "taken by the program %s", whose);
		fix("stop its owner, or 'ip link set %s xdp off'", n->ifname);
	}
}

static void tell_zerocopy(const struct nic *n, bool can)
{
	if (can) {
		tell(OK, "zero-copy", "the driver gives its buffers to AF_XDP");
		return;
	}
	tell(NOTE, "zero-copy", "%s copies each frame to AF_XDP", n->driver);
	fix("none for this driver: it works, at one copy more a frame");
}

static void look_at_xdp(const struct nic *n)
{
	uint64_t can;
	int err = xdpfeat_read(n->ifindex, &can);

	if (err) {
		tell(NOTE, "xdp", "this kernel does not tell (since 6.3 it does); attach finds out");
		return;
	}
	if (can & XDPFEAT_BASIC && can & XDPFEAT_REDIRECT) {
		tell(OK, "xdp", "native, in the driver");
		tell_zerocopy(n, can & XDPFEAT_ZEROCOPY);
		return;
	}
	tell(NOTE, "xdp", "generic only: %s has no XDP as it is set up now", n->driver);
	fix("none for this driver: '--mode auto' uses generic XDP, which is slower");
}

static void look_at_veth(const struct nic *n)
{
	if (strcmp(n->driver, "veth"))
		return;
	tell(NOTE, "veth", "native XDP turns the peer's TSO off: bulk into it costs more, for all");
	fix("none: it is so on veth only; --mode skb leaves the peer alone");
}

static void look_at_queues(const struct nic *n)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if ((long)n->rx_queues <= cpus) {
		tell(OK, "queues", "%u for receiving, %ld CPUs", n->rx_queues, cpus);
		return;
	}
	tell(NOTE, "queues", "%u for receiving are more than the %ld CPUs", n->rx_queues, cpus);
	fix("ethtool -L %s combined %ld", n->ifname, cpus);
}

static void look_at_merging(const struct nic *n)
{
	static const char *const merge[] = { "rx-gro", "rx-lro", "rx-gro-hw" };
	struct nic_feature f;
	char on[64] = "";

	for (size_t i = 0; i < sizeof(merge) / sizeof(merge[0]); i++) {
		if (nic_feature(n->ifname, merge[i], &f) || !f.on)
			continue;
		strcat(on, " ");
		strcat(on, merge[i]);
	}
	if (on[0])
		tell(OK, "merging", "on:%s; generic mode switches it off until detach", on);
	else
		tell(OK, "merging", "off");
}

static void look_at_offloads(const struct nic *n)
{
	struct nic_feature f;

	look_at_merging(n);
	if (n->tso) {
		tell(OK, "tso", "the device segments for us");
	} else {
		tell(NOTE, "tso", "off: bulk sending costs more, for Linux and for taspilot");
		fix("ethtool -K %s tso on", n->ifname);
	}
	if (strcmp(n->driver, "veth") && !nic_feature(n->ifname, "rx-vlan-hw-parse", &f) && f.on) {
		if (f.fixed) {
			tell(NOTE, "vlan", "the device hides VLAN tags from XDP, and cannot stop");
			fix("use no VLANs on %s, or accelerate no port that they use", n->ifname);
		} else {
			tell(OK, "vlan", "the device strips tags; attach switches that off");
		}
	}
}

static void look_at_tc(const struct nic *n)
{
	int clsact = clsact_present(n->ifindex);

	if (clsact == -EEXIST) {
		tell(NOTE, "tc", "an 'ingress' qdisc is there: before Linux 6.6 attach needs clsact");
		fix("tc qdisc replace dev %s clsact, and its filters again", n->ifname);
	} else if (clsact) {
		tell(OK, "tc", "other filters may be there: ours come first and pass on to them");
	} else {
		tell(OK, "tc", "no filters");
	}
}

int cmd_doctor(int argc, char **argv)
{
	struct nic n;
	int err;

	if (argc == 2 && cli_wants_help(argv[1])) {
		cli_help(argv[0]);
		return 0;
	}
	if (argc < 2)
		return cli_usage(argv[0], "which interface?", "");
	if (argc > 2)
		return cli_usage(argv[0], "one interface, not also", argv[2]);
	if (argv[1][0] == '-')
		return cli_usage(argv[0], "unknown option", argv[1]);

	err = nic_read(argv[1], &n);
	if (err == -EPROTOTYPE) {
		log_warn("%s: not an Ethernet interface", argv[1]);
		log_hint("taspilot accelerates TCP on Ethernet NICs.");
		return 1;
	}
	if (err) {
		log_err(err, "%s: cannot be examined", argv[1]);
		log_hint("'ip link' lists the interfaces of this network namespace.");
		return 1;
	}

	look_at_kernel();
	look_at_rights();
	look_at_socket_family();
	look_at_jit();
	look_at_autogroups();
	look_at_tracing();
	look_at_files();
	look_at_cgroup();
	look_at_state(&n);
	look_at_link(&n);
	look_at_xdp_owner(&n);
	look_at_xdp(&n);
	look_at_veth(&n);
	look_at_queues(&n);
	look_at_offloads(&n);
	look_at_tc(&n);
	return failed ? 1 : 0;
}
