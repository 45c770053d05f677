#!/bin/sh
# SPDX-License-Identifier: MIT
# symbols.sh - the names found in a running Linux kernel's memory are those that it tells itself (/proc/kallsyms).
. tests/lib/tap.sh
umbra=$build/umbra
guest=$(tools/fetch-guest 2>"$tmp/fetch") || skip_all "$(tail -n 1 "$tmp/fetch")"
socket=$tmp/socket
pid=
trap '[ -z "$pid" ] || kill "$pid"; rm -rf "$tmp"' EXIT
say() { timeout 60 "$umbra" monitor "$socket" "$@"; }
wait_for() { # wait_for PATTERN: on the console
	tries=0
	until grep -q -a "$1" "$tmp/console"; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] && kill -0 "$pid" || return 1
		sleep 0.2
	done
}
early() { # before there is a kernel in memory: a line, not a crash
	! say symbols kallsyms >"$tmp/early" 2>&1 && has kallsyms "$tmp/early"
}
booted() { say cont && wait_for '~ #'; }
told() { # the guest's own list, without modules and constants
	# (No message of the kernel's in between.)
	echo 'echo 1 >/proc/sys/kernel/printk; echo BEG''IN; cat /proc/kallsyms; echo E''ND' >&3
	wait_for '^END' || return 1
	tr -d '\r' <"$tmp/console" | sed -n '/^BEGIN/,/^END/p' |
		awk 'NF == 3 && $1 ~ /^[0-9a-f]+$/ && $2 !~ /[Aa]/ { print $1, $3 }' | sort >"$tmp/told"
	[ "$(wc -l <"$tmp/told")" -gt 10000 ]
}
found() { # ours
	say symbols write "$tmp/names.elf" && nm "$tmp/names.elf" | awk '{ print $1, $3 }' | sort >"$tmp/found"
}
same() { diff "$tmp/told" "$tmp/found" >"$tmp/diff" || { wc -l "$tmp/told" "$tmp/found"; head -n 20 "$tmp/diff"; false; }; }
code_is_named() { say x/1i do_exit >"$tmp/exit" && has '<do_exit>: ' "$tmp/exit"; }

plan 6
tools/make-initramfs "$guest/busybox" "$tmp/initramfs"
mkfifo "$tmp/keys"
"$umbra" run -serial stdio -S -qmp "unix:$socket" -initrd "$tmp/initramfs" "$guest/vmlinuz" <"$tmp/keys" >"$tmp/console" 2>"$tmp/err" &
pid=$!
exec 3>"$tmp/keys"
tries=0
while [ ! -S "$socket" ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
check "before the kernel runs there are none" early
check "the kernel boots to a shell" booted
check "it tells its symbols" told
check "they are found in its memory" found
check "... the same ones at the same addresses" same
check "code is shown by its names" code_is_named
say quit
wait "$pid"
pid=
