#!/bin/sh
# SPDX-License-Identifier: MIT
# The access suite: every combination of entry bits for every access, and the rules of flushing, judged by a
# model inside the guest.  Its results are ours, and the suite itself is proven on QEMU.
. tests/lib/tap.sh

image=$build/guests/access
umbra=$build/umbra
expected=52
[ -e "$image" ] || skip_all "no 32-bit guests were built here"

judge() { # judge STATUS WANTED: the guest's own TAP in $tmp/out
	tr -d '\r' <"$tmp/out" >"$tmp/text"
	grep '^not ok\|^# WP\|^# .* failed\|^Bail\|^umbra' "$tmp/text"
	[ "$(grep -c '^ok ' "$tmp/text")" = $expected ] && has "^1..$expected\$" "$tmp/text" &&
		hasnt '^not ok' "$tmp/text" && [ "$1" = "$2" ] || { tail -n 5 "$tmp/text"; echo "status $1"; false; }
}
on_umbra() {
	status=0
	timeout 500 "$umbra" run -kernel "$image" -m 64 -device isa-debug-exit "$@" </dev/null >"$tmp/out" 2>&1 ||
		status=$?
	judge $status 1
}
on_qemu() {
	status=0
	timeout 120 qemu-system-i386 -accel tcg -m 64 -display none -monitor none -serial stdio -no-reboot \
		-device isa-debug-exit,iobase=0x501 -kernel "$image" -append lenient-rsvd </dev/null >"$tmp/out" 2>&1 ||
		status=$?
	judge $status 1
}
plan 15
check "as it is" on_umbra
check "with every optimisation off" on_umbra -opt none
for option in prefetch unsync share install-ahead lazy-flush revalidate blocks chain fuse tlb strings flat; do
	[ -z "${TEST_QUICK-}" ] || { skip "with only $option" "quick"; continue; }
	check "with only $option" on_umbra -opt "$option"
done
if command -v qemu-system-i386 >/dev/null; then
	check "the suite itself, on QEMU" on_qemu
else
	skip "the suite itself, on QEMU" "no qemu-system-i386"
fi
