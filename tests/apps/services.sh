#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# stunnel, sshd (with a login, scp, sftp) and rsync: programs that fork, exec, pass fds, and give
# up root.
. "$(dirname "$0")/lib.sh"
need nginx curl stunnel4 ssh sftp scp ssh-keygen rsync wrk
tls_key
sshd=$(command -v sshd) || skip "sshd is not installed"


stunnel() {
	origin
	cat >"$dir/conf" <<-CONF
	foreground = yes
	pid =
	setuid = nobody
	[http]
	accept = $addr:443
	connect = $peer:8080
	cert = $TMPDIR/both.pem
	CONF
	launch stunnel4 "$dir/conf"
	serving 443
}
stunnel_load() {
	same "$TMPDIR/www/large" fetch "https://$addr/large" &&
		same "$TMPDIR/www/small" fetch "https://$addr/small" && wrk_at "https://$addr/small"
}
test_stunnel() { row "stunnel4" stunnel stunnel_load 95 "both sides"; }

# sshd shuts itself in by seccomp before it has heard who is there.
sshd() {
	mkdir -p /run/sshd
	[ -e "$TMPDIR/id" ] || ssh-keygen -q -t ed25519 -N '' -f "$TMPDIR/id"
	cat >"$dir/conf" <<-CONF
	ListenAddress $addr:2222
	HostKey $TMPDIR/id
	AuthorizedKeysFile $TMPDIR/id.pub
	PermitRootLogin yes
	StrictModes no
	UsePAM no
	PidFile none
	Subsystem sftp /usr/lib/openssh/sftp-server
	CONF
	launch "$sshd" -D -e -f "$dir/conf"
	serving 2222
}
opts="-F none -i $TMPDIR/id -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
# shellcheck disable=SC2086
login() { in_ns client timeout 60 ssh $opts -p 2222 "root@$addr" "$@"; }
# shellcheck disable=SC2086
sshd_load() {
	is hello "$(login echo hello)" || return 1
	fails login exit 3 || return 1
	is "$(sha256sum <"$TMPDIR/www/large")" "$(login cat <"$TMPDIR/www/large" | sha256sum)" &&
		same "$TMPDIR/www/large" login cat "$TMPDIR/www/large" &&
		megabytes in_ns client timeout 60 scp -q $opts -P 2222 "root@$addr:$TMPDIR/www/large" "$dir/scp" &&
		cmp "$TMPDIR/www/large" "$dir/scp" || return 1
	echo "put $TMPDIR/www/large $dir/sftp" | in_ns client timeout 60 sftp -q $opts -b - -P 2222 "root@$addr" &&
		cmp "$TMPDIR/www/large" "$dir/sftp"
}
test_sshd() { row "sshd: login, scp, sftp" sshd sshd_load 0 "Linux's from its sandbox on"; }

rsyncd() {
	cat >"$dir/conf" <<-CONF
	use chroot = yes
	uid = nobody
	address = $addr
	port = 873
	pid file = $dir/pid
	[www]
	path = $TMPDIR/www
	CONF
	launch rsync --daemon --no-detach --config="$dir/conf"
	serving 873
}
rsync_load() {
	megabytes in_ns client timeout 60 rsync -a "rsync://$addr/www/" "$dir/copy/" || return 1
	diff -r "$TMPDIR/www" "$dir/copy"
	is "" "$(in_ns client timeout 60 rsync -ai "rsync://$addr/www/" "$dir/copy/")"
}
test_rsync_daemon() { row "rsync daemon" rsyncd rsync_load; }

run_tests
