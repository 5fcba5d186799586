# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# lib.sh - what every application test sources: the lab of the namespace tests, with the
# programs at home in it, and a second wire without taspilot beside the first.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24   taspilot attached here
#   10.0.1.1/24 c1 ───── veth ───── s1 10.0.1.2/24   Linux's own
#
# A row of the matrix (docs/programs.md) is one program in one role. `row` starts it twice in the
# server's namespace, on plain Linux over the second wire and under `taspilot run` over the first,
# drives it from the client's, and checks each time that the answers are right and that the
# program ends as it should; and the second time by counters that its bytes went fast, or, where
# the row says so, that all of them were Linux's, and that taspilotd holds nothing of it afterwards.
#
#   TP_SECS=1           how long a load lasts
#   TP_PROGRAMS=file    rows are appended to it (tests/apps/table makes the table)
. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/programs" && pwd)
secs=${TP_SECS:-1}

# Programs that give up root must still find the library.
mkdir /run/bin
cp "$OUT"/{taspilot,taspilotd,libtaspilot.so} /run/bin/
PATH=/run/bin:$PATH
chmod 1777 "$TMPDIR"

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
link client c1 10.0.1.1/24  server s1 10.0.1.2/24
attach server s0 ${TP_ATTACH:-}

# --- one program, on Linux and under taspilot ------------------------------------------

# on KIND - from here on $addr is the program's address, $peer the client's, $dir a fresh directory
on() {
	kind=$1 procs=() rate= unit=req/s
	case $kind in
	linux) addr=10.0.1.2 peer=10.0.1.1 ;;
	taspilot) addr=10.0.0.2 peer=10.0.0.1 ;;
	esac
	dir=$(mktemp -d "$TMPDIR/$kind.XXXX")
	chmod 755 "$dir"
}

# launch CMD... - the program itself, in the background; it is $pid, and `finish` ends it
launch() {
	if [ "$kind" = taspilot ]; then accel pid server "$@"; else start pid server "$@"; fi
	procs+=("$pid")
} >>"$dir/log" 2>&1

# subject CMD... - the program itself, waited for
subject() {
	if [ "$kind" = taspilot ]; then accel_in server "$@"; else in_ns server "$@"; fi
}

# beside CMD... - something plain that the program needs, in the client's namespace
beside() { start pid client "$@"; procs+=("$pid"); } >>"$dir/log" 2>&1

serving() { wait_for listening server "$1"; }
running() { kill -0 "$1" 2>/dev/null; }

# finish [SIGNAL] - end what was launched, the last first; each must end as on Linux
finish() {
	local i rc
	for ((i = ${#procs[@]} - 1; i >= 0; i--)); do
		kill "-${1:-TERM}" "${procs[i]}" 2>/dev/null || true
		wait_for gone "${procs[i]}"
		rc=0; wait "${procs[i]}" || rc=$?
		echo "$rc"
	done >"$TMPDIR/ended.$kind"
	procs=()
	[ "$kind" = linux ] || [ ! -e "$TMPDIR/ended.linux" ] ||
		is "$(cat "$TMPDIR/ended.linux")" "$(cat "$TMPDIR/ended.taspilot")" "status at the end"
}

# row TITLE SERVE LOAD [PERCENT|linux [NOTE]] - SERVE launches, LOAD drives, checks, and sets
# $rate. PERCENT of the segments must be fast; "linux": none.
row() {
	local title=$1 serve=$2 load=$3 least=${4:-95} note=${5:-} was= share= held=
	rm -f "$TMPDIR"/ended.*
	for kind in linux taspilot; do
		plain && [ "$kind" = taspilot ] && break
		on "$kind"
		echo "# $kind"
		[ "$kind" = linux ] || held=$(holdings s0)
		$serve || { cat "$dir/log"; return 1; }
		[ "$kind" = linux ] || count_from server s0
		$load || { tail -n 40 "$dir/log"; return 1; }
		[ "$kind" = linux ] && was=$rate
		if [ "$kind" = taspilot ]; then
			share=$(fast_share server s0)
			if [ "$least" = linux ]; then is 0 "$(segments_fast server s0)" "fast segments"
			else mostly_fast server s0 "$least"; fi
		fi
		finish "${quit:-TERM}" || { tail -n 40 "$dir/log"; return 1; }
	done
	plain && return
	nothing_left server s0
	leaks_nothing s0 "$held"
	record "$title" "$share" "$was" "$rate" "$unit" "$note"
}

# of $title's row: a line for the table
record() {
	local IFS=$'\t'
	[ -z "${TP_PROGRAMS:-}" ] || echo "$*" >>"$TP_PROGRAMS"
}

# --- loads ------------------------------------------------------------------------------

# wrk_at URL [OPTION...] - keep-alive requests; every one answered with 2xx
wrk_at() {
	in_ns client timeout 60 wrk -t 1 -c 32 -d "$secs" --timeout 30 "${@:2}" "$1" >"$dir/wrk" || return 1
	cat "$dir/wrk"
	fails grep -E 'Socket errors|Non-2xx' "$dir/wrk" || return 1
	rate=$(awk '/^Requests\/sec/ { print $2 }' "$dir/wrk")
}
# echoes PORT [OPTION...] - 64-byte messages, each brought back with its number
echoes() {
	in_ns client timeout 60 rpc_client --addr "$addr" --port "$1" --conns 16 --secs "$secs" \
		--least 100 --json "${@:2}" >"$dir/rpc" || return 1
	rate=$(jq -r .rps "$dir/rpc")
}
# there_and_back PORT - the large file comes back whole, and only then the client says that it has no more.
# What a program has yet to read or to send at a FIN is Linux's from then on, and how much that is, its speed.
there_and_back() {
	: >"$dir/back"
	{ cat "$TMPDIR/www/large"; wait_for is_back; } |
		in_ns client socat -t 30 - "TCP:$addr:$1" >"$dir/back" || return 1
	same "$TMPDIR/www/large" cat "$dir/back"
}
is_back() { [ "$(stat -c %s "$dir/back")" -ge "$(stat -c %s "$TMPDIR/www/large")" ]; }
# echoes_large PORT - the large file comes back whole, and then messages do
echoes_large() { there_and_back "$1" && echoes "$1"; }
# steadily CMD... - while requests go on without end, CMD; none of them fails
steadily() {
	local asking since=$SECONDS
	start asking client python3 "$here/steady.py" "http://$addr/small" "$TMPDIR/www/small" 8 \
		>"$dir/steady"
	"$@" || return 1
	kill -TERM "$asking"
	wait "$asking" || { cat "$dir/steady"; return 1; }
	cat "$dir/steady"
	rate=$(awk -v s=$((SECONDS - since)) '{ print $2 / s }' "$dir/steady")
	note="none of $(awk '{ print $2 }' "$dir/steady") requests failed"
}
# megabytes CMD... - how fast CMD moves one large file
megabytes() {
	local from=${EPOCHREALTIME/./}
	"$@" || return 1
	unit=MB/s rate=$((${SIZE_MB:-32} * 1048576 / (${EPOCHREALTIME/./} - from)))
}
# fetch URL [OPTION...], from the client; same WANT-FILE CMD... - CMD's output is that file
fetch() { in_ns client curl -sS --fail --insecure --max-time 60 "$@"; }
same() { is "$(sha256sum <"$1")" "$("${@:2}" | sha256sum)" "what came"; }

# --- things to serve ----------------------------------------------------------------------

mkdir -p "$TMPDIR/www"
head -c 1000 /dev/urandom >"$TMPDIR/www/small"
head -c "${SIZE_MB:-32}M" /dev/urandom >"$TMPDIR/www/large"
chmod -R a+rX "$TMPDIR/www"

# tls_key - makes $TMPDIR/{key,cert,both}.pem
tls_key() {
	[ -e "$TMPDIR/both.pem" ] && return
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=lab \
		-keyout "$TMPDIR/key.pem" -out "$TMPDIR/cert.pem" 2>/dev/null
	cat "$TMPDIR/cert.pem" "$TMPDIR/key.pem" >"$TMPDIR/both.pem"
	chmod 644 "$TMPDIR"/*.pem
}

# origin - a plain nginx beside the client, at $peer:8080
origin() {
	cat >"$dir/origin.conf" <<-CONF
	worker_processes 1; daemon off; pid $dir/origin.pid; error_log $dir/origin.log;
	events { }
	http {
		access_log off; keepalive_requests 1000000; sendfile on;
		client_body_temp_path $dir; client_max_body_size 0;
		server { listen $peer:8080; root $TMPDIR/www; }
	}
	CONF
	beside nginx -c "$dir/origin.conf"
	wait_for listening client 8080
}
