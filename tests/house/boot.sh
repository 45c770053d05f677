#!/bin/sh
# SPDX-License-Identifier: MIT
# `make run` without a terminal: Debian's stock kernel boots, checks itself and powers off; without a
# network the built-in guest does; and a guest that fails its check is not taken for one that passed.
. tests/lib/tap.sh

run_guest() { # run_guest NAME [VARIABLE=VALUE...]: output in $tmp/NAME, status in $tmp/NAME.status
	name=$1
	shift
	status=0
	env BUILD="$build" KERNEL= INITRD= APPEND= MEMORY= ARGS= "$@" timeout 600 tools/run-guest \
		</dev/null >"$tmp/$name" 2>&1 || status=$?
	echo $status >"$tmp/$name.status"
}
ended() { [ "$(cat "$tmp/$1.status")" = "$2" ] || { tail -n 30 "$tmp/$1"; echo "status $(cat "$tmp/$1.status")"; false; }; }
failed() { [ "$(cat "$tmp/$1.status")" != 0 ] || { tail -n 30 "$tmp/$1"; false; }; }
before() { # before FILE FIRST SECOND: both lines are there, in this order
	awk -v a="$2" -v b="$3" '$0 ~ a { seen = 1 } seen && $0 ~ b { found = 1 } END { exit !found }' "$1" ||
		{ tail -n 30 "$1"; false; }
}
nowhere=UMBRA_MIRROR=http://127.0.0.1:1/debian

plan 11
run_guest hello UMBRA_CACHE="$tmp/none" $nowhere
check "without a network the paravirtual guest runs" ended hello 0
check "... and that is said" has 'built-in paravirtual guest' "$tmp/hello"
check "... and it checks itself" before "$tmp/hello" '^BOOT-OK [0-9]' '^SELF-CHECK ok'

run_guest garbage KERNEL="$0" INITRD="$0"
check "a kernel that is none: not a success" failed garbage
run_guest half KERNEL="$build/guests/hello" UMBRA_CACHE="$tmp/none" $nowhere
check "half of what is needed: not a success" failed half

if guest=$(tools/fetch-guest 2>"$tmp/fetch"); then
	run_guest debian
	check "Debian's kernel: status 0" ended debian 0
	check "Debian's kernel: boots, then passes its self-check" before "$tmp/debian" '^BOOT-OK [0-9]' '^SELF-CHECK ok'
	check "the kernel is Debian's own" has 'Linux version 6.*Debian' "$tmp/debian"
	# Too small a busybox: the first process fails, the kernel panics and resets.
	printf 'no program' >"$tmp/busybox"
	tools/make-initramfs "$tmp/busybox" "$tmp/bad.cpio"
	run_guest panic KERNEL="$guest/vmlinuz" INITRD="$tmp/bad.cpio"
	check "a kernel that panics: not a success" failed panic
	check "... and its last words are shown" has 'Kernel panic' "$tmp/panic"
	run_guest wrong APPEND=init=/bin/nosuch UMBRA_CACHE="${UMBRA_CACHE-}" ARGS=-nosuchoption
	check "an option that is none: not a success" failed wrong
else
	for name in "Debian's kernel: status 0" "Debian's kernel: boots" "the kernel is Debian's own" \
		"a kernel that panics" "its last words" "an option that is none"; do
		skip "$name" "$(tail -n 1 "$tmp/fetch")"
	done
fi
