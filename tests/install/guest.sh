#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# vm/run takes its guest with it, however it is told to end. QEMU and the kernel are stand-ins here.
. "$(dirname "$0")/../netns/lib.sh"
need busybox modprobe

mkdir -p "$TMPDIR/bin"
export PATH=$TMPDIR/bin:$PATH XDG_CACHE_HOME=$TMPDIR/cache

cat >"$TMPDIR/bin/qemu-system-x86_64" <<'END'
#!/bin/bash
[ "$1" != -device ] || { echo 'name "virtio-net-pci", bus PCI'; exit; }
echo $$ >"$TMPDIR/qemu.new"
mv "$TMPDIR/qemu.new" "$TMPDIR/qemu"
exec sleep 600
END
chmod +x "$TMPDIR/bin/qemu-system-x86_64"

kernel=$XDG_CACHE_HOME/taspilot/kernels/6.1.0-1-amd64
mkdir -p "$kernel/lib/modules/6.1.0-1-amd64"
touch "$kernel/lib/modules/6.1.0-1-amd64/modules.dep" "$kernel/initramfs.gz"

# ended_by SIGNAL [OPTION...] - the guest, when vm/run is
ended_by() {
	local guest
	rm -f "$TMPDIR/qemu"
	set -m		# or it would ignore SIGINT
	"$top/vm/run" "${@:2}" echo >"$TMPDIR/said" 2>&1 &
	set +m
	wait_for test -e "$TMPDIR/qemu" || { cat "$TMPDIR/said"; return 1; }
	guest=$(cat "$TMPDIR/qemu")
	kill "-$1" "$!"
	wait_for gone "$!"
	wait_for gone "$guest"
	is "" "$(ls -d "$TMPDIR"/tmp.*/job 2>/dev/null)"
}

test_a_guest_ends_with_sigterm() { ended_by TERM; }
test_a_guest_ends_with_sigint() { ended_by INT; }
test_a_guest_ends_with_sighup() { ended_by HUP; }
test_a_guest_with_several_queues_ends_too() { ended_by TERM --queues 2; }

run_tests
