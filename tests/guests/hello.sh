#!/bin/sh
# SPDX-License-Identifier: MIT
# The built-in guest: its self-check passes whatever the memory, the optimisations and the budget; its shell
# answers; and on QEMU it says the same, so that it is the guest that is tested there.
. tests/lib/tap.sh

image=$build/guests/hello
umbra=$build/umbra
[ -e "$image" ] || skip_all "no 32-bit guests were built here"

passes() { # passes ARGUMENTS...
	status=0
	timeout 300 "$umbra" run -kernel "$image" -append selfcheck -no-reboot "$@" </dev/null >"$tmp/out" 2>&1 || status=$?
	tr -d '\r' <"$tmp/out" >"$tmp/text"
	has '^BOOT-OK [0-9]' "$tmp/text" && has '^SELF-CHECK ok' "$tmp/text" && hasnt FAILED "$tmp/text" &&
		[ "$status" = 0 ] || { cat "$tmp/text"; echo "status $status"; false; }
}

# The keys go in only after the prompt is there.
typed() { # typed COMMANDS: one run, the commands at the prompt; output in $tmp/typed
	mkfifo "$tmp/keys"
	timeout 120 "$umbra" run -kernel "$image" -m 64 -serial stdio -monitor none <"$tmp/keys" >"$tmp/typed" 2>&1 &
	child=$!
	exec 7>"$tmp/keys"
	for i in $(seq 1 600); do
		grep -q 'hello> ' "$tmp/typed" && break
		sleep 0.1
	done
	# The keyboard stays there: nothing but these keys, more than the serial port takes at once, wakes the guest.
	printf '%b' "$1" >&7
	status=0
	wait $child || status=$?
	exec 7>&-
	rm -f "$tmp/keys"
	[ "$status" = 0 ] || { tail -n 20 "$tmp/typed"; echo "status $status"; false; }
}

plan 13
check "the self-check passes with 64 MiB" passes -m 64
check "... with 4 MiB" passes -m 4
check "... with 1 GiB" passes -m 1024
check "... with every optimisation off" passes -m 64 -opt none
check "... with a budget of 8 shadow tables" passes -m 64 -budget 8
check "... with one address space kept" passes -m 64 -roots 1
check "... without prefetch" passes -m 64 -prefetch 0

check "the shell answers and powers off" typed "$(printf 'ps\\r%.0s' $(seq 80))"'help\rps\rpt\rmem\rselfcheckk\b\rnonsense\rpoweroff\r'
check "... help" has 'pt *page tables' "$tmp/typed"
check "... its own tables, text read-only" has '00100000-.* -> 00100000-.*  --a' "$tmp/typed"
check "... the check again, after the key was taken back" has '^SELF-CHECK ok' "$tmp/typed"
check "... and says so when there is no such command" has 'no such command' "$tmp/typed"

on_qemu() {
	timeout 60 qemu-system-i386 -accel tcg -m 64 -display none -monitor none -serial stdio -no-reboot \
		-kernel "$image" -append selfcheck </dev/null >"$tmp/qemu" 2>&1
	grep '^  ok\|^  FAILED\|^SELF-CHECK' "$tmp/qemu" | sed 's/\(SELF-CHECK [a-z]*\).*/\1/' >"$tmp/there"
	passes -m 64 || return 1
	grep '^  ok\|^  FAILED\|^SELF-CHECK' "$tmp/out" | sed 's/\(SELF-CHECK [a-z]*\).*/\1/' >"$tmp/here"
	[ "$(wc -l <"$tmp/there")" -gt 10 ] && diff "$tmp/there" "$tmp/here"
}
if command -v qemu-system-i386 >/dev/null; then
	check "the same on QEMU, line by line" on_qemu
else
	skip "the same on QEMU, line by line" "no qemu-system-i386"
fi
