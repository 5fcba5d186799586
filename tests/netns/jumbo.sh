#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Frames that no AF_XDP buffer takes: from jumbo frames at attach, or from an MTU that grew since.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#                                   taspilot attached here
. "$(dirname "$0")/lib.sh"
need bulk rpc_server rpc_client

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
after_each() {
	plain || detached server s0
	mtu 1500
}
mtu() { ip -n client link set c0 mtu "$1" && ip -n server link set s0 mtu "$1"; }

# carry LISTENER CONNECTER - every byte is checked by bulk
port=7100
carry() {
	local pid
	port=$((port + 1))
	# shellcheck disable=SC2086
	accel pid server bulk listen=$port $1
	wait_for listening server $port
	# shellcheck disable=SC2086
	in_ns client bulk connect=10.0.0.2:$port $2
	wait "$pid"
}
carries() { carry recv "send=$1"; carry "send=$1" recv; }

small_ones_are_fast() {
	local pid
	accel pid server rpc_server --port 7001
	wait_for listening server 7001
	count_from server s0
	in_ns client rpc_client --addr 10.0.0.2 --port 7001 --conns 4 --secs 1 --least 100 --warmup 0
	mostly_fast server s0
	stop "$pid"
}

test_jumbo_frames_from_the_start() {
	mtu 9000
	attach server s0 2>"$TMPDIR/said"
	plain || grep "9000.*generic" "$TMPDIR/said"
	small_ones_are_fast
	# a few large segments are taken the slow way, a flow of many is Linux's
	carries 100K
	carries 64M
	detach server s0
}

test_frames_larger_than_a_record() {
	mtu 16000
	attach server s0
	small_ones_are_fast
	carries 100K
	carries 16M
	detach server s0
}

test_an_mtu_that_grows_in_native_mode() {
	attach server s0
	mtu 3400
	small_ones_are_fast
	carries 100K
	carries 16M
	detach server s0
}

test_an_mtu_that_grows_to_jumbo_in_generic_mode() {
	attach server s0 --mode skb
	mtu 9000
	small_ones_are_fast
	carries 100K
	carries 16M
	detach server s0
}

test_an_mtu_that_shrinks_from_jumbo() {
	mtu 9000
	attach server s0
	mtu 1500
	small_ones_are_fast
	carries 16M
	detach server s0
}

run_tests
