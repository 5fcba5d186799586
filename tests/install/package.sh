#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Installed for real, taspilot works from where it was put, and goes without a trace.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#                                   taspilot attached here
#
# The machine's own root with a layer above that takes all that is written: what the layer
# holds in the end is what was left behind.
. "$(dirname "$0")/../netns/lib.sh"
plain && skip "without taspilot there is nothing to install"
need make dpkg rpc_server rpc_client

link client c0 10.0.0.1/24  server s0 10.0.0.2/24

layer=$TMPDIR/layer root=$TMPDIR/root
mkdir -p "$layer"/{up,work} "$root"
mount -t overlay -o "lowerdir=/,upperdir=$layer/up,workdir=$layer/work" root "$root" 2>/dev/null ||
	skip "no overlay on this file system"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount --bind /sys/fs/bpf "$root/sys/fs/bpf"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
cp "$OUT"/bench/rpc_server "$root/tmp"

# there CMD... - in the server's namespace and under that root, with a system's PATH
there() { in_ns server env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"; }

# left - files that are there, or are not there any more, since before
left() {
	(cd "$layer/up" && find . ! -type d \
		! -path './var/lib/dpkg/*' ! -path './var/log/*' ! -path './var/cache/*' | sort)
}
nothing_left_behind() {
	is "" "$(left)" "files of ours or missing"
	is "" "$(cd "$layer/up" && find . -type d -name '*taspilot*')" "directories of ours"
	is "" "$(ls "$root/run/taspilot" /sys/fs/bpf/taspilot 2>/dev/null || true)" "what ran"
	is 0 "$(in_ns server ip -d link show s0 | grep -c xdp)" "XDP programs"
}

accelerates() {
	local pid
	there taspilot attach s0
	there taspilot run -- /tmp/rpc_server --port 7000 &
	pid=$!
	wait_for listening server 7000
	in_ns client rpc_client --addr 10.0.0.2 --conns 4 --secs 1 --least 100 --warmup 0
	at_least 100 "$(there taspilot status --json | jq '.[0].segments_fast_rx')" "segments that went fast"
	kill "$(in_ns server ss -Hltnp 'sport = :7000' | sed 's/.*pid=\([0-9]*\).*/\1/')"
	wait "$pid" || true
}

test_make_install_works_and_uninstall_takes_it_away() {
	make -s -C "$top" OUT="$OUT" DESTDIR="$root" install
	accelerates
	there taspilot detach s0
	there man -w taspilot >"$TMPDIR/man" || ! command -v man
	make -s -C "$top" OUT="$OUT" DESTDIR="$root" uninstall
	nothing_left_behind
}

test_the_unit_is_what_systemd_understands() {
	command -v systemd-analyze >/dev/null || skip "no systemd-analyze here"
	make -s -C "$top" OUT="$OUT" DESTDIR="$root" install
	there systemd-analyze verify /usr/local/lib/systemd/system/taspilot@.service >"$TMPDIR/verify" 2>&1
	is "" "$(grep taspilot "$TMPDIR/verify" || true)" "what it says"
	make -s -C "$top" OUT="$OUT" DESTDIR="$root" uninstall
}

test_the_package_installs_works_and_purges() {
	command -v dh >/dev/null || skip "debhelper is not installed"
	OUT=$TMPDIR "$top/packaging/deb"
	cp "$TMPDIR"/deb/taspilot_*.deb "$root/tmp"
	there sh -c 'dpkg -i /tmp/taspilot_*.deb'
	is "" "$(dpkg-deb -c "$TMPDIR"/deb/taspilot_*.deb | grep -vE ' root/root | \./' || true)" "files of others"
	accelerates
	# removed with the daemon at work: the NIC is given back first
	there dpkg --purge taspilot
	nothing_left_behind
}

run_tests
