#!/bin/sh
# SPDX-License-Identifier: MIT
# umbra run -check: silent on kernels that are right (our own, a paravirtual one, Debian's boot and self-check), and where
# a guest does something wrong on purpose, it is that which is reported and nothing else.  Options and exit statuses.
. tests/lib/tap.sh

umbra=$build/umbra
sound=$build/guests/teaching/sound
kernel_faults=tlb,rsvd,beyond,alias,wx,freed,stack,half,slot,wp # (its test programs try the kernel's pages)
[ -e "$sound" ] || skip_all "no 32-bit guests were built here"

run() { # run WANTED-STATUS OPTIONS...: $tmp/out, $tmp/err
	wanted=$1
	shift
	status=0
	timeout 300 "$umbra" run -no-reboot "$@" </dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
	[ "$status" = "$wanted" ] || { tail -n 5 "$tmp/out"; head -n 20 "$tmp/err"; echo "status $status"; false; }
}
silent() { # silent WANTED-STATUS OPTIONS...
	run "$@" && hasnt '^check: ' "$tmp/err" && has '^umbra: -check: nothing to report$' "$tmp/err" &&
		[ "$(wc -l <"$tmp/err")" = 2 ] # (and the note on the engine)
}
kinds() { grep '^check: ' "$tmp/err" | sort -u; } # what was reported
only() { # only PATTERN: nothing else, and that at least once
	has "^check: $1" "$tmp/err" && ! kinds | grep -v "^check: $1"
}

plan 20
is_sound() { silent 0 -check all -kernel "$sound" && has '^as expected' "$tmp/out"; }
check "a kernel that flushes as it must: nothing is reported" is_sound
leaves_out() { # leaves_out N WHAT ROUTINE: by whom it is written
	run 20 -check tlb,fatal -append "without$1" -kernel "$sound" && only "tlb: $2" && has "^  written  [0-9a-f]* \($3\)" "$tmp/err"
}
check "... without the flush after exec" leaves_out 1 'a page is used that was mapped elsewhere' empty_space
check "... without the one of a window" leaves_out 2 'a page is used that was mapped elsewhere' 'guest_main\|check_window'
check "... without the one after fork" leaves_out 3 'a page is used with rights that were taken away' 'system_call\|fork'
check "... without the one after the heap shrank" leaves_out 4 'a page is used that was unmapped' 'system_call\|move_end'

# Its self-check has a process try to read, write and run the kernel.
tries() { run 0 -check all -kernel "$build/guests/hello" -append selfcheck -m 64 && only 'user: user code tried a page' &&
	[ "$(grep -c '^check: ' "$tmp/err")" = 3 ]; }
check "the built-in guest: its three forbidden accesses" tries
# Every combination of entry bits: reserved ones, PS with PSE off, the kernel's pages, WP clear; it never forgets a flush.
combines() { run 1 -check all -kernel "$build/guests/access" -m 64 -device isa-debug-exit && ! kinds | grep 'tlb\|stack\|freed\|alias'; }
check "the access suite: no flush is missing" combines
# Ring 3 is given its own tables there, and fills them with anything.
gives() {
	run 1 -check all,json -kernel "$build/guests/hostile" -m 64 -device isa-debug-exit && has '"check":"alias","kind":"write"' "$tmp/err" &&
		hasnt '"check":"tlb"\|"check":"wx"\|"check":"stack"' "$tmp/err"
}
check "the hostile guest: it gives its tables away, and misses no flush" gives
for family in B C D E F G1 G; do
	check "the paravirtual guest, family $family" silent 0 -check $kernel_faults -machine "lguest,family=$family" -m 32 \
		-kernel "$build/guests/pv.elf" -append "family=$family"
done

bad_words() {
	for words in '' nonsense 'tlb,' ',tlb' 'tlb,,wx' TLB; do
		run 2 -check "$words" "$sound" && has "^umbra: -check: unknown item '[a-zA-Z]*'" "$tmp/err" || return 1
	done
}
check "words that are none" bad_words
check "not with -engine check" run 2 -engine check -check tlb "$sound"
on_direct() { run 0 -engine direct -check tlb "$sound" && [ "$(grep -c '^umbra: note: .*portable engine$' "$tmp/err")" = 1 ] &&
	[ "$(wc -l <"$tmp/err")" = 2 ]; }
check "with -engine direct: one line says that it is the other one" on_direct
as_json() {
	run 0 -check tlb,json -append without2 -kernel "$sound" && grep '^{' "$tmp/err" >"$tmp/line" && [ "$(wc -l <"$tmp/line")" = 1 ] &&
		python3 -c 'import json, sys
r = json.load(sys.stdin)
assert (r["check"], r["kind"], r["access"], r["linear"]) == ("tlb", "frame", "read", 0x3FF000), r
assert r["writer"]["exact"] and r["held"]["frame"] != r["writer"]["new"] >> 12 and r["at"]["exact"], r' <"$tmp/line"
}
if command -v python3 >/dev/null; then
	check "a report as JSON" as_json
else
	skip "a report as JSON" "no python3"
fi

if guest=$(tools/fetch-guest 2>"$tmp/fetch"); then
	tools/make-initramfs "$guest/busybox" "$tmp/initrd"
	debian() {
		silent 0 -check all,fatal -kernel "$guest/vmlinuz" -initrd "$tmp/initrd" -m 128 \
			-append "console=ttyS0 umbra.selfcheck panic=-1 cryptomgr.notests" && has '^SELF-CHECK ok' "$tmp/out"
	}
	check "Debian's boot and self-check, all checks: nothing is reported" debian
else
	skip "Debian's boot and self-check" "$(tail -n 1 "$tmp/fetch")"
fi
