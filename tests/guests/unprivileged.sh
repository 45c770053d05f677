#!/bin/sh
# SPDX-License-Identifier: MIT
# The direct engine needs no rights: nobody in particular runs it, outside and inside a user namespace of its own, with
# few mappings and few worlds; and nothing of it is at the host's page 0.
. tests/lib/tap.sh

[ -e "$build/guests/hello" ] || skip_all "no 32-bit guests were built here"
"$build/umbra" run -engine direct -kernel "$build/guests/bad/triple-fault" -no-reboot </dev/null >"$tmp/why" 2>&1
[ $? = 6 ] || skip_all "no direct engine here: $(head -n 1 "$tmp/why")"

# Copies, where nobody may read them: the tests' own folder may be ours alone.
there=$(mktemp -d /tmp/umbra-nobody.XXXXXX) || skip_all "no folder in /tmp"
trap 'rm -rf "$there"; [ -n "${TMPDIR-}" ] || rm -rf "$tmp"' EXIT
cp "$build/umbra" "$build/guests/hello" "$build/guests/access" "$there"
guest=
if guest=$(tools/fetch-guest 2>"$tmp/fetch"); then
	tools/make-initramfs "$guest/busybox" "$there/initrd" && cp "$guest/vmlinuz" "$there/vmlinuz"
fi
chmod -R a+rX "$there"

nobody() { # nobody COMMAND...: without rights
	if [ "$(id -u)" != 0 ]; then
		"$@"
	elif command -v setpriv >/dev/null; then
		setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
	else
		su -s /bin/sh nobody -c 'exec "$@"' sh "$@"
	fi
}
nobody true 2>"$tmp/why" || skip_all "nobody cannot be had: $(head -n 1 "$tmp/why")"
[ "$(nobody id -u)" != 0 ] || skip_all "this is root, and cannot be anybody else"

umbra() { # umbra ARGUMENTS...: by $way
	(cd / && nobody $way timeout 240 "$there/umbra" run -engine direct "$@")
}
hello() { # in its shell, then off
	rm -f "$tmp/keys"
	mkfifo "$tmp/keys"
	umbra -kernel "$there/hello" -m 64 -serial stdio -monitor none "$@" <"$tmp/keys" >"$tmp/out" 2>&1 &
	child=$!
	exec 7>"$tmp/keys"
	for i in $(seq 1 100); do
		grep -q 'hello> ' "$tmp/out" && break
		sleep 0.1
	done
	pid=$(pgrep -n -f "^$there/umbra run" || :)
	first=$(head -n 1 "/proc/$pid/maps" 2>/dev/null | cut -d - -f 1)
	areas=$(wc -l <"/proc/$pid/maps" 2>/dev/null)
	printf 'help\rps\rpt\rmem\rselfcheck\rpoweroff\r' >&7
	exec 7>&-
	status=0
	wait $child || status=$?
	[ "$status" = 0 ] && has '^SELF-CHECK ok' "$tmp/out" && hasnt FAILED "$tmp/out" || { tail -n 20 "$tmp/out"; echo "status $status"; false; }
}
access() {
	status=0
	umbra -kernel "$there/access" -m 64 -device isa-debug-exit "$@" </dev/null >"$tmp/out" 2>&1 || status=$?
	[ "$status" = 1 ] && [ "$(grep -c '^ok ' "$tmp/out")" = 52 ] && hasnt '^not ok' "$tmp/out" || { tail -n 5 "$tmp/out"; echo "status $status"; false; }
}
debian() {
	status=0
	umbra -kernel "$there/vmlinuz" -initrd "$there/initrd" -m 128 -no-reboot \
		-append "console=ttyS0 umbra.selfcheck panic=-1 cryptomgr.notests quiet" "$@" </dev/null >"$tmp/out" 2>&1 || status=$?
	[ "$status" = 0 ] && has '^BOOT-OK [0-9]' "$tmp/out" && has '^SELF-CHECK ok' "$tmp/out" || { tail -n 20 "$tmp/out"; echo "status $status"; false; }
}
above_page_0() { [ -n "$first" ] && [ "$first" != 00000000 ] && [ "${first%000}" != 00000000 ] || { echo "the first mapping is at '$first'"; false; }; }
few_areas() { [ "$areas" -gt 0 ] && [ "$areas" -le "$1" ] || { echo "$areas mappings, more than $1"; false; }; }

plan 20
for where in outside inside; do
	way=
	if [ $where = inside ]; then
		way="unshare -Ur"
		if ! (cd / && nobody $way true) 2>"$tmp/why"; then
			for i in 11 12 13 14 15 16 17 18 19 20; do skip "in a user namespace $i" "$(head -n 1 "$tmp/why")"; done
			break
		fi
	fi
	check "$where: hello, its shell and its checks" hello
	if command -v pgrep >/dev/null && [ -r "/proc/self/maps" ]; then
		check "... nothing at page 0" above_page_0
	else
		skip "... nothing at page 0" "no pgrep"
	fi
	check "... with 300 mappings" hello -direct-mappings 300
	check "... and there are not many more" few_areas 420
	check "... with 20000 mappings and two worlds" hello -direct-mappings 20000 -direct-worlds 2
	check "$where: the access suite" access
	check "... with 300 mappings and two worlds" access -direct-mappings 300 -direct-worlds 2
	if [ -e "$there/vmlinuz" ]; then
		check "$where: Debian" debian
		check "... with 300 mappings" debian -direct-mappings 300
		check "... with 20000 mappings and two worlds" debian -direct-mappings 20000 -direct-worlds 2
	else
		for i in 1 2 3; do skip "$where: Debian $i" "$(tail -n 1 "$tmp/fetch")"; done
	fi
done
