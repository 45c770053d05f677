#!/bin/sh
# SPDX-License-Identifier: MIT
# The teaching guests: each of their bugs is reported with the instruction that is to blame, by one check and no other; without
# the bug no check speaks; and docs/tutorial.md shows what umbra and QEMU really print.
. tests/lib/tap.sh

umbra=$build/umbra
guests=$build/guests/teaching
document=docs/tutorial.md
[ -e "$guests/missing-invlpg" ] || skip_all "no 32-bit guests were built here"

run() { # run NAME ARGUMENTS...: all that is printed in $tmp/out, the status in $status
	name=$1
	shift
	status=0
	timeout -k 5 60 "$umbra" run -kernel "$guests/$name" -no-reboot "$@" </dev/null >"$tmp/raw" 2>&1 || status=$?
	tr -d '\r' <"$tmp/raw" >"$tmp/out"
}
address() { nm "$guests/$1" | awk -v name="$2" '$3 == name { print $1 }'; }

# The report's lines "used", "written", "loaded" begin with the address of that instruction.
names_it() { # names_it NAME CHECK LINE=SYMBOL...
	name=$1 list=$2
	shift 2
	run "$name" -check "$list"
	has "^check: $list: " "$tmp/out" || return 1
	for pair; do
		at=$(address "$name" "${pair#*=}")
		[ -n "$at" ] || { echo "no symbol ${pair#*=} in $name"; return 1; }
		has "^  ${pair%%=*}  *$at ${pair#*=}, " "$tmp/out" || return 1
	done
	run "$name" -check "$list,fatal"
	[ "$status" = 20 ] || { cat "$tmp/out"; echo "fatal: status $status"; false; }
}
only() { # only NAME CHECK...: -check all reports these, each once
	name=$1
	shift
	run "$name" -check all
	grep '^check: ' "$tmp/out" | sed 's/check: \([a-z]*\):.*/\1/' >"$tmp/found"
	printf '%s\n' "$@" | diff - "$tmp/found"
}
silent() { # silent NAME WORD: without the bug
	run "$1" -check all -append "$2"
	hasnt '^check' "$tmp/out" && has '^as expected$' "$tmp/out" && [ "$status" = 0 ] &&
		[ "$(tail -n 1 "$tmp/out")" = 'umbra: -check: nothing to report' ] ||
		{ cat "$tmp/out"; echo "status $status"; false; }
}
same_words() { # on both engines, unobserved
	for name in $names; do
		run "$name" -engine portable
		grep -v = "$tmp/out" >"$tmp/portable"
		run "$name" -engine auto
		grep -v = "$tmp/out" | diff "$tmp/portable" - || { echo "$name differs"; return 1; }
	done
}

# The document, typed again.  Other compilers place things elsewhere: addresses inside the image are not compared then.
section() { awk -v wanted="$1" '/^## / { on = index($0, "## " wanted ". ") == 1 } on' "$2"; }
image_addresses() {
	if [ -n "$same_compiler" ]; then
		cat
	else
		sed -E 's/\b001[0-9a-f]{5}\b/IMAGE/g; s/(between  )[0-9]+/\1N/; s/[+]0x[0-9a-f]+/+N/g; s/\be0000f[0-9a-f]{2}\b/STACK/g; s/(PTE|entry) [0-9]+/\1 N/g
			/^([a-z]+[0-9]?=|at 0008:)/d'
	fi
}
as_written() { # as_written NUMBER
	[ -s "$tmp/filled" ] || { cat "$tmp/filled.err"; return 1; }
	section "$1" "$document" | image_addresses >"$tmp/written"
	section "$1" "$tmp/filled" | image_addresses >"$tmp/real"
	grep -q '^\$ umbra' "$tmp/written" && diff "$tmp/written" "$tmp/real"
}
same_compiler=
grep -q -F "built by: $(${CC:-cc} --version | sed 's/^[^ ]* //; q') -->" "$document" && same_compiler=yes
tools/fill-console "$document" >"$tmp/filled" 2>"$tmp/filled.err"

qemu_log() { # qemu_log NAME: what QEMU says of faults, with -d int
	timeout -k 5 60 qemu-system-i386 -accel tcg -display none -monitor none -serial null -no-reboot -d int -D "$tmp/log" \
		-kernel "$guests/$1" </dev/null >/dev/null 2>&1
	grep -c ': v=0e ' "$tmp/log"
}
on_qemu() { # the tutorial's last table: three bugs leave no trace, the others a fault with its address
	for name in $names; do
		case $name in
		missing-invlpg | stale-after-remap | stack-page-unmapped) wanted=0 ;;
		*) wanted=1 ;;
		esac
		[ "$(qemu_log "$name")" = $wanted ] || { cat "$tmp/log"; echo "$name: not $wanted fault"; return 1; }
	done
}

bugs='missing-invlpg tlb used=stale_load written=change_entry
stale-after-remap tlb used=process_load written=clear_entry
a20-like-alias alias used=process_store written=set_entry
wrong-recursive-slot slot used=read_entry
user-bit-only-in-pte user used=process_start written=open_page
pse-without-cr4 rsvd used=read_number
unaligned-directory rsvd loaded=switch_directory
kernel-half-not-copied half used=heap_load
stack-page-unmapped stack written=unmap_stack
wp-clear-then-set wp used=unnoticed_store'
names=$(echo "$bugs" | cut -d ' ' -f 1)
number_of_bug=0

plan 43
while read -r name list where; do
	number_of_bug=$((number_of_bug + 1))
	# shellcheck disable=SC2086  # WHERE is words
	check "$name: -check $list names the instruction" names_it "$name" "$list" $where
	case $name in
	stack-page-unmapped) extra=tlb ;; # ... nor flushed
	a20-like-alias) extra=alias ;;    # the entry is made, then used
	*) extra= ;;
	esac
	# shellcheck disable=SC2086
	check "... and no other check speaks" only "$name" "$list" $extra
	check "... and none without the bug" silent "$name" fixed
	check "... and the tutorial is right" as_written $number_of_bug
done <<END
$bugs
END
check "an entry that the kernel copies when it is missed is no mistake" silent kernel-half-not-copied lazy
check "their own words are the same on both engines" same_words
if command -v qemu-system-i386 >/dev/null; then
	check "QEMU shows what the tutorial's table says" on_qemu
else
	skip "QEMU shows what the tutorial's table says" "no qemu-system-i386"
fi
