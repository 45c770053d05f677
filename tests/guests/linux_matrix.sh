#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's stock kernel says the same on its console whatever umbra's budget, roots and optimisations are.
# UMBRA_SLOW=1: each optimisation alone, all of them off, and more sizes, the kernel's own tests of its ciphers
# too (about an hour).
. tests/lib/tap.sh

guest=$(tools/fetch-guest 2>"$tmp/fetch") || skip_all "$(tail -n 1 "$tmp/fetch")"
tools/make-initramfs "$guest/busybox" "$tmp/run.cpio"

boot() { # boot NAME OPTIONS...
	name=$1
	shift
	timeout 3000 "$build/umbra" run -kernel "$guest/vmlinuz" -initrd "$tmp/run.cpio" -no-reboot \
		-append "console=ttyS0 umbra.selfcheck panic=-1 $quick" "$@" \
		</dev/null >"$tmp/$name" 2>&1 || { echo "status $?"; tail -n 20 "$tmp/$name"; return 1; }
}
# What a boot said, without what differs between any two: times, dates, and the order in which the
# kernel's own threads come to speak.
said() {
	tr -d '\r' <"$tmp/$1" | sed -e 's/^\[ *[0-9.]*\] //' -e 's/^\(BOOT-OK\|SELF-CHECK ok\).*/\1/' |
		grep -v -e '^audit: ' -e 'setting system clock' -e 'took [0-9]* usecs' -e 'hrtimer: interrupt took' -e 'crng init done' \
			-e '^sched_clock: Marking stable' -e 'MB/s' -e '^random: ' -e 'tsc: Refined' | sort
}
same() { # same NAME OPTIONS...: as the plain boot
	boot "$@" && said plain >"$tmp/want" && said "$1" >"$tmp/got" && diff "$tmp/want" "$tmp/got"
}
# With another memory size the kernel's own accounts differ: it must get as far, and complain of no more.
gets_there() {
	boot "$@" && has '^BOOT-OK [0-9]' "$tmp/$1" && has '^SELF-CHECK ok' "$tmp/$1" &&
		hasnt 'BUG\|WARNING\|Oops\|Call Trace' "$tmp/$1"
}

shadow='prefetch unsync share install-ahead lazy-flush revalidate'
processor='chain fuse strings flat warm'
slow=${UMBRA_SLOW:+1}
quick=cryptomgr.notests
[ -z "$slow" ] || quick=
plan $((slow ? 29 : 6))

check "plain" gets_there plain
check "16 shadow tables" same tables16 -tables 16
check "1 cached root, the shadow's optimisations off" same shadow_off -roots 1 -no-opt "$(echo $shadow | tr ' ' ,)"
check "the processor's optimisations off, but those that keep decoded code and translations" \
	same processor_off -no-opt "$(echo $processor | tr ' ' ,)"
check "64 MiB" gets_there m64 -m 64
check "1024 MiB" gets_there m1024 -m 1024
if [ "$slow" ]; then
	for size in 96 128 512 768; do check "$size MiB" gets_there "m$size" -m "$size"; done
	for roots in 1 2 4 16 64; do check "$roots cached roots" same "roots$roots" -roots "$roots"; done
	for one in $shadow $processor blocks tlb; do check "only without $one" same "no_$one" -no-opt "$one"; done
	check "all optimisations off" same none -opt none
fi
