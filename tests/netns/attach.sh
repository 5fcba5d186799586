#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# attach and detach leave the NIC as it was, however taspilot ends and whoever else is there.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
. "$(dirname "$0")/lib.sh"
plain && skip "without taspilot there is nothing to attach"
need bpftool tc ethtool clang socat python3 jq

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
after_each() { detached server s0; ip -n server link set s0 mtu 1500 up; }

# All that attach could change, without what counts up or names a moment.
look() {
	local ns
	for ns in client server; do
		ip -n $ns -d link show | sed 's/ id [0-9]*//; s/load_time [0-9]*//'
		ip -n $ns addr show; ip -n $ns route show table all; ip -n $ns -6 route show
		in_ns $ns tc qdisc show
		for d in ingress egress; do in_ns $ns tc filter show dev "${ns:0:1}0" $d; done
		in_ns $ns ethtool -k "${ns:0:1}0"
		in_ns $ns ethtool -l "${ns:0:1}0"
		in_ns $ns bpftool net
		in_ns $ns nft list ruleset
	done
	find /sys/fs/bpf /run/taspilot -mindepth 1 2>/dev/null || true
}
# unchanged CMD... - the NIC looks the same before and after
unchanged() {
	look >"$TMPDIR/before"
	"$@"
	wait_for same || same
}
same() { look >"$TMPDIR/after"; diff "$TMPDIR/before" "$TMPDIR/after"; }

pings() { in_ns client ping -q -c 2 -i 0.1 -W 30 10.0.0.2; }
there_and_back() { attach server s0 "$@"; pings; detach server s0; }
killed() {
	local pid
	attach server s0 "$@"
	pid=$(daemon_pid s0)
	kill -9 "$pid"
	wait_for gone "$pid"
	pings
	detach server s0
}

test_attach_shows_in_ip_link_and_bpffs() {
	attach server s0
	ip -n server -d link show s0 | grep 'name tp_xdp'
	ip -n server link show tas0 | grep 'state UNKNOWN\|state UP'
	is "" "$(ip -n server -o addr show tas0)" "addresses of tas0"
	bpftool map dump pinned /sys/fs/bpf/taspilot/s0/tp_config | grep heartbeat_ns
	bpftool map dump pinned /sys/fs/bpf/taspilot/s0/tp_flows
	detach server s0
}

# What people look at when they wonder: the pinned maps by names and numbers that they know, and status.
dumped() { bpftool -j map dump pinned "/sys/fs/bpf/taspilot/s0/$1" | jq -c "[.[].formatted$2]"; }
is_fast() { [ "$(dumped tp_flows .value.state)" = '["TP_FAST"]' ]; }
test_a_live_flow_reads_well_in_bpffs_and_status() {
	local served load port mapped=0,0,0,0,0,0,0,0,0,0,255,255
	attach server s0
	accel served server rpc_server --addr 10.0.0.2 --port 7000
	wait_for listening server 7000
	start load client rpc_client --addr 10.0.0.2 --port 7000 --conns 1 --warmup 0 --secs 600
	wait_for is_fast
	port=$(in_ns server taspilot flows --json | jq -r '[.. | objects | .remote? // empty][0]')
	is 10.0.0.1 "${port%:*}"
	is "[{\"peer_ip\":[$mapped,10,0,0,1],\"local_ip\":[$mapped,10,0,0,2],\"peer_port\":${port#*:},\"local_port\":7000}]" \
		"$(dumped tp_flows .key)"
	is "[{\"local_ip\":[$mapped,10,0,0,2],\"local_port\":7000,\"zero\":0}]" "$(dumped tp_listeners .key)"
	in_ns server taspilot status | grep ' 1 flow, 1 connection set up, '
	stop "$load"
	stop "$served"
	detach server s0
}

test_the_nic_keeps_addresses_routes_and_rules() {
	local what
	for what in 'ip -n server addr show s0' 'ip -n server route show table all' \
		'in_ns server nft list ruleset'; do
		$what >"$TMPDIR/was"
		attach server s0
		$what | sed 's/ xdp[^ ]*//' | diff "$TMPDIR/was" -
		detach server s0
	done
}

test_native() { unchanged there_and_back --mode native; }
test_generic() { unchanged there_and_back --mode skb; }
test_native_with_clsact() { TASPILOT_NO_TCX=1 unchanged there_and_back --mode native; }
test_generic_with_clsact() { TASPILOT_NO_TCX=1 unchanged there_and_back --mode skb; }
# The root of the cgroups is the machine's: only our own link there can be told apart.
link_id() { bpftool -j link show pinned /sys/fs/bpf/taspilot/s0/release | jq .id; }
test_the_release_hook_goes_too() {
	local id
	[ -n "$(awk '$3 == "cgroup2"' /proc/mounts)" ] || return 0
	attach server s0; id=$(link_id)
	detach server s0
	fails bpftool link show id "$id"
	attach server s0; id=$(link_id)
	stop "$(daemon_pid s0)" KILL
	bpftool link show id "$id"
	detach server s0
	fails bpftool link show id "$id"
}
test_many_times_in_a_row() {
	local i
	for i in 1 2 3 4 5; do unchanged there_and_back; done
}

test_killed_native() { unchanged killed --mode native; }
test_killed_generic() { unchanged killed --mode skb; }
test_killed_native_with_clsact() { TASPILOT_NO_TCX=1 unchanged killed --mode native; }
test_killed_generic_with_clsact() { TASPILOT_NO_TCX=1 unchanged killed --mode skb; }

killed_and_attached_again() {
	attach server s0 --mode skb
	stop "$(daemon_pid s0)" KILL
	there_and_back --mode native
}
test_attach_cleans_up_after_a_daemon_that_was_killed() { unchanged killed_and_attached_again; }

test_sigterm_is_a_detach() {
	terminated() {
		attach server s0
		kill "$(daemon_pid s0)"
		wait_for not test -e /run/taspilot/s0
	}
	unchanged terminated
}

test_generic_mode_switches_merging_off_and_on_again() {
	in_ns server ethtool -K s0 gro on
	merging() {
		attach server s0 --mode skb
		in_ns server ethtool -k s0 | grep 'generic-receive-offload: off'
		detach server s0
		in_ns server ethtool -k s0 | grep 'generic-receive-offload: on'
	}
	unchanged merging
	killed_merging() { killed --mode skb; }
	unchanged killed_merging
	in_ns server ethtool -K s0 gro off
}

# XDP makes what is not ours take a longer way through a veth; merging makes up for it.
gro() { in_ns server ethtool -k s0 | sed -n 's/^generic-receive-offload: //p'; }
test_native_mode_merges_what_a_veth_receives_until_detach() {
	on_nics c0 s0 && skip "these NICs are no veth pair"
	merging() {
		attach server s0 --mode native
		is on "$(gro)"
		detach server s0
		is "$was" "$(gro)"
	}
	killed_merging() { killed --mode native; }
	local was
	for was in off on; do
		in_ns server ethtool -K s0 gro $was
		unchanged merging
		unchanged killed_merging
	done
	in_ns server ethtool -K s0 gro off
}

# Somebody else's programs on the same NIC: they stay, keep their place, and keep working.
other_program() {
	[ -e /sys/fs/bpf/count ] && return
	cat >"$TMPDIR/count.c" <<-'C'
		typedef unsigned int u32;
		struct { int (*type)[1]; int (*max_entries)[1]; u32 *key; u32 *value; }
			counted __attribute__((section(".maps")));
		static void *(*lookup)(void *, const void *) = (void *)1;
		__attribute__((section("tc"))) int count(void *ctx)
		{
			u32 zero = 0, *n;

			n = lookup(&counted, &zero);
			if (n)
				__sync_fetch_and_add(n, 1);
			return 0;
		}
		char _license[] __attribute__((section("license"))) = "GPL";
	C
	sed -i 's/int (\*type)\[1\]/int (*type)[2]/' "$TMPDIR/count.c"
	clang -target bpf -O2 -g -c "$TMPDIR/count.c" -o "$TMPDIR/count.o"
	mkdir -p /sys/fs/bpf/others
	bpftool prog load "$TMPDIR/count.o" /sys/fs/bpf/count pinmaps /sys/fs/bpf/others
}
counted() { bpftool -j map dump pinned /sys/fs/bpf/others/counted | jq '.[0].formatted.value'; }
has_counted() { [ "$(counted)" -ge "$1" ]; }

with_a_filter_of_others() {
	other_program
	in_ns server tc qdisc add dev s0 clsact
	in_ns server tc filter add dev s0 ingress bpf da object-pinned /sys/fs/bpf/count
	in_ns server tc filter add dev s0 egress bpf da object-pinned /sys/fs/bpf/count
}
without_the_filter() { in_ns server tc qdisc del dev s0 clsact; }

others_go_on() {
	local before
	attach server s0 "$@"
	before=$(counted)
	pings
	wait_for has_counted $((before + 4))
	detach server s0
}
test_a_filter_of_others_stays_and_goes_on() {
	with_a_filter_of_others
	unchanged others_go_on
	TASPILOT_NO_TCX=1 unchanged others_go_on
	TASPILOT_NO_TCX=1 unchanged killed
	without_the_filter
}

test_a_filter_that_came_later_keeps_the_qdisc() {
	other_program
	TASPILOT_NO_TCX=1 attach server s0
	in_ns server tc filter add dev s0 ingress bpf da object-pinned /sys/fs/bpf/count
	detach server s0
	is 1 "$(in_ns server tc filter show dev s0 ingress | grep -c 'name count\|count')"
	in_ns server tc qdisc show dev s0 | grep clsact
	without_the_filter
}

test_an_ingress_qdisc_in_the_way_is_told_and_stays() {
	in_ns server tc qdisc add dev s0 ingress
	refused_attach() {
		local rc=0
		TASPILOT_NO_TCX=1 attach server s0 2>"$TMPDIR/err" || rc=$?
		is 1 $rc
		grep clsact "$TMPDIR/err"
	}
	unchanged refused_attach
	in_ns server tc qdisc del dev s0 ingress
}

# Whatever fails, nothing stays.
failing() { fails attach server s0 "$@" 2>"$TMPDIR/err"; at_least 2 "$(wc -l <"$TMPDIR/err")" lines; }
# A veth peer notices; a NIC goes down alone.
no_link() { on_nics || ip -n client link show c0 | grep 'state DOWN'; }
test_an_attach_that_fails_leaves_no_trace() {
	unchanged failing --tap s0
	unchanged failing --queues 60
	ip -n server link set s0 mtu 9000
	unchanged failing --mode native
	ip -n server link set s0 mtu 1500
	ip -n server link set s0 down
	wait_for no_link
	unchanged failing
	ip -n server link set s0 up
	ip -n server addr replace 10.0.0.2/24 dev s0
	wait_for ready server s0
}

# A bridge is no NIC, but its port is.
test_a_bridge_is_refused_and_its_port_is_not() {
	ip -n server link add br0 type bridge
	ip -n server link set br0 up
	fails in_ns server taspilot attach br0 2>"$TMPDIR/err"
	grep "bridge" "$TMPDIR/err"
	[ ! -e /run/taspilot/br0 ]
	fails in_ns server taspilot doctor br0 >"$TMPDIR/doctor"
	grep "^fail *device.*bridge" "$TMPDIR/doctor"
	ip -n server link set s0 master br0
	attach server s0
	detach server s0
	ip -n server link set s0 nomaster
	ip -n server link del br0
}

test_an_attach_that_fails_late_leaves_no_trace() {
	late() {
		# nothing may be written where the fast path needs it
		in_ns server bash -c 'ulimit -n 24; exec taspilot attach s0' 2>"$TMPDIR/err" && return 1
		cat "$TMPDIR/err"
		[ ! -e /run/taspilot/s0 ]
	}
	unchanged late
}

test_two_interfaces_have_a_daemon_and_a_tap_each() {
	both() {
		attach server s0
		attach client c0
		ip -n server link show tas0
		ip -n client link show tas0
		is 2 "$(find /run/taspilot -mindepth 1 -maxdepth 1 | wc -l)"
		pings
		detach server s0
		pings
		detach client c0
	}
	unchanged both
}

test_two_interfaces_of_one_namespace() {
	link client c1 10.0.1.1/24  server s1 10.0.1.2/24
	both() {
		attach server s0
		attach server s1
		ip -n server link show tas1
		pings
		in_ns client ping -q -c 2 -i 0.1 -W 30 10.0.1.2
		detach server s0
		detach server s1
	}
	unchanged both
	ip -n server link del s1
}

test_without_bpffs_it_is_mounted_and_goes_again() {
	umount /sys/fs/bpf
	! mountpoint -q /sys/fs/bpf
	attach server s0
	mountpoint -q /sys/fs/bpf
	detach server s0
	! mountpoint -q /sys/fs/bpf
	mount -t bpf bpf /sys/fs/bpf
}

test_the_command_can_be_killed_and_the_daemon_lives() {
	attach server s0
	is 1 "$(ps -o ppid= -p "$(daemon_pid s0)" | tr -d ' ')" "parent of the daemon"
	isnt_open() { ! readlink "/proc/$(daemon_pid s0)/fd/"* | grep -E 'pipe:|/dev/pts|/dev/tty'; }
	ls -l "/proc/$(daemon_pid s0)/fd/"[012]
	is /dev/null "$(readlink "/proc/$(daemon_pid s0)/fd/0")"
	is /run/taspilot/s0/log "$(readlink "/proc/$(daemon_pid s0)/fd/2")"
	detach server s0
}

# Whose terminal is closed under it: its shell is hung up, and the daemon, which is of that session, goes on.
test_the_daemon_outlives_the_terminal_that_it_was_attached_from() {
	in_ns server python3 - <<-'END'
		import os, pty, sys
		shell, terminal = pty.fork()
		if shell == 0:
		    os.execvp("sh", ["sh", "-c", "taspilot attach s0; echo done; exec sleep 600"])
		said = b""
		while b"done" not in said:
		    said += os.read(terminal, 1000)
		os.close(terminal)
		status = os.waitpid(shell, 0)[1]
		sys.exit(not os.WIFSIGNALED(status) or os.WTERMSIG(status) != 1)
	END
	kill -HUP "$(daemon_pid s0)"
	in_ns server taspilot status | grep '^s0 .*attached'
	pings
	detach server s0
}

test_foreground() {
	local pid
	start pid server taspilot attach s0 --foreground
	wait_for test -S /run/taspilot/s0/sock
	is "$pid" "$(daemon_pid s0)"
	detach server s0
	wait "$pid"
}

# What a unit with Type=notify waits for.
test_the_service_manager_is_told() {
	local pid manager
	socat -u UNIX-RECV:"$TMPDIR/notify" CREATE:"$TMPDIR/told" &
	manager=$!
	wait_for test -S "$TMPDIR/notify"
	NOTIFY_SOCKET=$TMPDIR/notify start pid server taspilot attach s0 --foreground
	wait_for grep -q '^READY=1' "$TMPDIR/told"
	test -S /run/taspilot/s0/sock
	kill "$pid"
	wait "$pid"
	wait_for grep -q 'STOPPING=1$' "$TMPDIR/told"
	stop "$manager"
}

run_tests
