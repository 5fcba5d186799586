# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# lib.sh - what every part of the benchmark sources: options, the lab, modes, results.
#
#       client (cpu 1)                server (cpu 0)
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#
#   linux      nothing is attached
#   taspilot   attached at the server, whose program is under `taspilot run`; the client is plain
#   both       attached at both ends, both programs under `taspilot run`
#   event      as taspilot, with --poll event: no polling
#   auto, handback   as taspilot, with --bulk auto, --bulk handback
#   wall       as linux, but the requests are answered from an AF_XDP socket: a server that costs nothing
#   past       attached at the server, the program is not under it: what other traffic gets
#   pass       as linux, with an XDP program on the server's NIC that passes all frames
#   qos_core   linux, the server's core kept from sleeping (PM QoS)
#   qos_all    linux, all cores kept from sleeping
#
# Programs, pinning and offloads are the same in all modes. taspilotd runs on the server's core.
# A part says its options in $knobs (with defaults, before it sources this), and defines
# one_run MODE. The runs alternate: each repetition goes through all modes once.
#
#   PART --reps N --secs S --modes 'linux taspilot' --attach 'OPTIONS' --json FILE --svg FILE
#        --NAME VALUE for the part's own, which `PART --help` lists

part=$(basename "$0")
knobs="reps secs modes attach json svg server_cpu client_cpu ${knobs:-}"
: "${reps:=3}" "${secs:=1}" "${modes:=linux taspilot}" "${attach:=}" "${json:=}" "${svg:=}"
: "${server_cpu:=0}" "${client_cpu:=1}"

part_usage() {
	local k
	sed -n 's/^# \?//; 3,/^$/p' "$0" | sed '/^SPDX/d; 1,2{/^$/d}'
	for k in $knobs; do echo "  --${k//_/-} '${!k}'"; done
}
part_args=("$@")
while [ $# -gt 0 ]; do
	name=${1#--}
	name=${name//-/_}
	case " $knobs " in
	*" $name "*) [ $# -gt 1 ] || { part_usage >&2; exit 2; } ;;
	*) [ "$name" = help ] && { part_usage; exit; }; part_usage >&2; exit 2 ;;
	esac
	printf -v "$name" %s "$2"
	shift 2
done
set -- "${part_args[@]}"
[ "$modes" != linux ] || export TP_PLAIN=1
. "$(dirname "${BASH_SOURCE[0]}")/../../netns/lib.sh"
need jq taskset python3

results=$TMPDIR/results
notes=()
: >"$results"

# --- modes ------------------------------------------------------------------------------

qos=/sys/devices/system/cpu/cpu$server_cpu/power/pm_qos_resume_latency_us

# options_of MODE - what attach gets
options_of() {
	case $1 in
	event) echo "--poll event" ;;
	auto | handback) echo "--bulk $1" ;;
	esac
}

# begin MODE, end MODE - make the machine so, and undo it
begin() {
	case $1 in
	linux | frames | wall) ;;
	pass) ip -n server link set s0 xdp obj "$OUT/bench/pass.bpf.o" sec xdp ;;
	qos_core) echo n/a >"$qos" ;;	# 0 would mean: no limit
	qos_all) exec 8>/dev/cpu_dma_latency; printf '\0\0\0\0' >&8 ;;
	*)
		# shellcheck disable=SC2046,SC2086
		attach server s0 --cpus "$server_cpu" $attach $(options_of "$1")
		[ "$1" != both ] || attach client c0 --tap tas1 --cpus "$client_cpu"
		;;
	esac
}
end() {
	case $1 in
	linux | frames | wall) ;;
	pass) ip -n server link set s0 xdp off ;;
	qos_core) echo 0 >"$qos" ;;
	qos_all) exec 8>&- ;;
	*)
		[ "$1" != both ] || detach client c0 --force
		detach server s0 --force
		;;
	esac
}
trap '[ ! -w "$qos" ] || echo 0 >"$qos"' EXIT

# serve VAR MODE CMD... - the server's program, on its core; its process id goes to VAR
serve() {
	case $2 in
	linux | past | pass | wall | qos_*) start "$1" server taskset -c "$server_cpu" "${@:3}" ;;
	*) accel "$1" server taskset -c "$server_cpu" "${@:3}" ;;
	esac
}
# ask MODE CMD... - a client's program, on its core
ask() {
	local run=in_ns
	[ "$1" != both ] || run=accel_in
	$run client taskset -c "$client_cpu" timeout "${limit:-120}" "${@:2}"
}

# --- results ----------------------------------------------------------------------------

# note MODE JSON [KEY=VALUE...] - one run's result; without JSON, one that broke
note() {
	local kv args=()
	for kv in "${@:3}"; do args+=(--arg "${kv%%=*}" "${kv#*=}"); done
	jq -c --arg mode "$1" "${args[@]}" '. + $ARGS.named' <<<"${2:-{\"broken\": 1\}}" >>"$results"
}
# value MODE WHAT NUMBER UNIT up|down - one value, and what is better
value() {
	note "$1" "$(jq -n --arg v "${3:-}" 'if $v == "" then {broken: 1} else {value: ($v | tonumber)} end')" \
		what="$2" unit="$4" better="$5"
}

virt() { sed -n 's/^Hypervisor vendor: *//p' < <(lscpu); }
idle_driver() { cat /sys/devices/system/cpu/cpuidle/current_driver 2>/dev/null || echo unknown; }
facts() {
	jq -n --arg cpu "$(sed -n 's/^model name.*: //p;T;q' /proc/cpuinfo)" --argjson cpus "$(nproc)" \
		--arg virt "$(virt)" --arg kernel "$(uname -r)" --arg idle "$(idle_driver)" \
		--arg lab "$lab" --arg date "$(date -u +%F)" \
		--arg commit "$(git -C "$top" describe --always --dirty 2>/dev/null || echo unknown)" \
		'$ARGS.named'
}

# run_part TITLE - all runs, interleaved; then tables, and the files that were asked for
run_part() {
	local i mode rc=0
	: "${json:=$TMPDIR/part.json}"
	for ((i = 1; i <= reps; i++)); do
		for mode in $modes; do
			echo "$part: run $i of $reps: $mode" >&2
			begin "$mode"
			one_run "$mode"
			end "$mode"
		done
	done
	jq -s --arg part "$part" --arg title "$1" --argjson machine "$(facts)" --arg reps "$reps" \
		--arg secs "$secs" '{part: $part, title: $title, machine: $machine, reps: ($reps | tonumber),
		secs: ($secs | tonumber), notes: $ARGS.positional, runs: .}' "$results" \
		--args "${notes[@]}" >"$json"
	"$top/tests/bench/report.py" "$json" ${svg:+--svg "$svg"} || rc=$?
	return $rc
}

# lay_lab [wire] - the two namespaces
lay_lab() {
	link client c0 10.0.0.1/24 server s0 10.0.0.2/24 "$@"
	sysctl_in client net.ipv4.ip_local_port_range="1024 65535" net.ipv4.tcp_tw_reuse=1
	sysctl_in server net.core.somaxconn=4096 net.ipv4.tcp_max_syn_backlog=4096
	lab="veth${1:+, the client sends MTU-sized segments (no TSO, no GSO)}; server on cpu $server_cpu, client on cpu $client_cpu"
}
