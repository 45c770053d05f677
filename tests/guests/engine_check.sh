#!/bin/sh
# SPDX-License-Identifier: MIT
# engine_check.sh - both engines on machines of their own, in lock-step: no difference, on our own guests and, with
# UMBRA_SLOW=1, in Debian's boot and self-check.
. tests/lib/tap.sh

umbra=$build/umbra
[ -e "$build/guests/access" ] || skip_all "no 32-bit guests were built here"
"$umbra" run -engine check "$build/guests/access" -m 1M >"$tmp/why" 2>&1 </dev/null
grep -q '^umbra: .*engine' "$tmp/why" && skip_all "$(head -n 1 "$tmp/why")"

agrees() { # agrees WANTED-STATUS ARGS...
	wanted=$1
	shift
	status=0
	timeout 1200 "$umbra" run -engine check "$@" </dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
	grep -v '^check: page' "$tmp/err" | head -n 30
	has '^check: [0-9]* instructions, [0-9]* blocks, no difference$' "$tmp/err" && [ "$status" = "$wanted" ] ||
		{ echo "status $status"; false; }
}
bad_values() {
	for value in 0 x 5@ 5@x -1; do
		"$umbra" run -engine check -check-every "$value" "$build/guests/access" >"$tmp/err" 2>&1 </dev/null
		[ $? = 2 ] || { echo "-check-every $value was taken"; return 1; }
	done
}
plan 6
check "the access suite" agrees 1 "$build/guests/access" -m 64 -device isa-debug-exit
check "... comparing memory often" agrees 1 "$build/guests/access" -m 64 -device isa-debug-exit -check-every 200000@1000000
check "a paravirtual guest" agrees 0 -machine lguest -kernel "$build/guests/pv.elf" -append selfcheck
check "a guest that triple-faults" agrees 6 "$build/guests/bad/triple-fault"
check "numbers that are none are refused" bad_values
if [ -n "${UMBRA_SLOW-}" ] && guest=$(tools/fetch-guest 2>"$tmp/why"); then
	tools/make-initramfs "$guest/busybox" "$tmp/initrd"
	check "Debian" agrees 0 -kernel "$guest/vmlinuz" -initrd "$tmp/initrd" -m 128 -no-reboot \
		-append "console=ttyS0 umbra.selfcheck panic=-1"
else
	skip "Debian" "UMBRA_SLOW=1 runs it: some minutes"
fi
