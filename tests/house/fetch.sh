#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/fetch-guest without a network, with a full disk, interrupted: one clear line, nothing half-written.
. tests/lib/tap.sh

fetch() { # fetch CACHE [VARIABLE=VALUE...]: status in $tmp/status, output in $tmp/out and $tmp/err
	folder=$1
	shift
	status=0
	env "$@" UMBRA_CACHE="$folder" timeout 120 tools/fetch-guest >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
	echo $status >"$tmp/status"
}
failed_clearly() { # failed_clearly PATTERN: status 1, nothing on stdout, the last line says so
	[ "$(cat "$tmp/status")" = 1 ] && [ ! -s "$tmp/out" ] && tail -n 1 "$tmp/err" | grep -q "^umbra: .*$1" ||
		{ cat "$tmp/status" "$tmp/out" "$tmp/err"; false; }
}
is_clean() { # nothing but the lock
	[ "$(ls -A "$1")" = lock ] || [ -z "$(ls -A "$1")" ] || { ls -lAR "$1"; false; }
}

command -v apt-get >/dev/null || skip_all "no apt-get here"
nowhere=UMBRA_MIRROR=http://127.0.0.1:1/debian # nobody listens on port 1

plan 12
fetch "$tmp/c1" $nowhere
check "no mirror: a clear line" failed_clearly 'cannot read'
check "no mirror: nothing left behind" is_clean "$tmp/c1"

fetch /proc/umbra $nowhere
check "a cache folder that cannot be: a clear line" failed_clearly 'cannot make the cache folder'

# A folder under the right name with files that were never checked, or were changed since.
mkdir -p "$tmp/c2/debian-bookworm-i386"
echo junk >"$tmp/c2/debian-bookworm-i386/vmlinuz"
fetch "$tmp/c2" $nowhere
check "files without checksums are not used" failed_clearly 'cannot read'
(cd "$tmp/c2/debian-bookworm-i386" && echo box >busybox && sha256sum vmlinuz busybox >SHA256SUMS)
fetch "$tmp/c2" $nowhere
check "a complete cache needs no network" [ "$(cat "$tmp/out")" = "$tmp/c2/debian-bookworm-i386" ]
echo more >>"$tmp/c2/debian-bookworm-i386/busybox"
fetch "$tmp/c2" $nowhere
check "a damaged cache is not used" failed_clearly 'cannot read'

# A mirror that takes the connection and says nothing; a signal meanwhile.
if command -v python3 >/dev/null; then
	python3 -c 'import socket, sys, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(9)
open(sys.argv[1], "w").write(str(s.getsockname()[1]))
time.sleep(100)' "$tmp/port" &
	server=$!
	while [ ! -s "$tmp/port" ]; do sleep 0.1; done
	mute=http://127.0.0.1:$(cat "$tmp/port")/debian
	UMBRA_MIRROR=$mute UMBRA_CACHE=$tmp/c3 tools/fetch-guest >"$tmp/out" 2>"$tmp/err" &
	child=$!
	sleep 2
	kill -TERM $child
	status=0
	wait $child || status=$?
	check "a signal ends it at once" [ $status = 130 ]
	check "a signal leaves nothing behind" is_clean "$tmp/c3"
	started=$(date +%s)
	fetch "$tmp/c3" UMBRA_MIRROR="$mute"
	check "a mute mirror: a clear line" failed_clearly 'cannot read'
	check "... within a minute" [ $(($(date +%s) - started)) -lt 60 ]
	kill $server
else
	for name in "a signal ends it at once" "a signal leaves nothing behind" "a mute mirror" "... soon"; do
		skip "$name" "no python3 here"
	done
fi

# A disk that is full: needs the right to mount one.
mkdir -p "$tmp/disk"
if mount -t tmpfs -o size=64k tmpfs "$tmp/disk" 2>/dev/null; then
	fetch "$tmp/disk/c" $nowhere
	check "hardly any room: a clear line" failed_clearly ''
	check "hardly any room: nothing left behind" is_clean "$tmp/disk/c"
	umount "$tmp/disk"
else
	skip "hardly any room: a clear line" "cannot mount here"
	skip "hardly any room: nothing left behind" "cannot mount here"
fi
