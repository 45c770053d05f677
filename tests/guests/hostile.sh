#!/bin/sh
# SPDX-License-Identifier: MIT
# A guest that does what no decent one does finds the same processor in both engines, byte for byte, with whatever
# optimisations; and the process that runs it ends as it should.
. tests/lib/tap.sh

image=$build/guests/hostile
umbra=$build/umbra
expected=65
[ -e "$image" ] || skip_all "no 32-bit guests were built here"

runs() { # runs FILE ARGUMENTS...: what the guest says, without a word from the host
	to=$1 status=0
	shift
	timeout 300 "$umbra" run -kernel "$image" -m 64 -no-reboot -device isa-debug-exit "$@" </dev/null >"$tmp/raw" 2>"$tmp/err" ||
		status=$?
	tr -d '\r' <"$tmp/raw" >"$to"
	[ "$status" = 1 ] && [ ! -s "$tmp/err" ] && has '^END$' "$to" || { tail -n 5 "$to"; cat "$tmp/err"; echo "status $status"; false; }
}
reference() {
	runs "$tmp/portable" -engine portable && [ "$(grep -c '^ok ' "$tmp/portable")" = $expected ] && hasnt '^#' "$tmp/portable"
}
same() {
	runs "$tmp/other" "$@" && diff "$tmp/portable" "$tmp/other"
}
plan 15
check "the portable engine" reference
check "... with every optimisation off" same -engine portable -opt none
if "$umbra" run -engine direct -kernel "$image" -m 64 -no-reboot -device isa-debug-exit -append alignment </dev/null >"$tmp/out" 2>&1; [ $? = 1 ]; then
	check "the direct engine" same -engine direct
	for option in link returns soft runs inline; do
		check "... without $option" same -engine direct -no-opt $option
	done
	check "... without any of them" same -engine direct -no-opt link,returns,soft,runs,inline
	check "... with every optimisation off" same -engine direct -opt none
	check "... with two worlds" same -engine direct -direct-worlds 2
	check "... with few mappings" same -engine direct -direct-mappings 300
	check "... with few shadow tables" same -engine direct -tables 8 -roots 1
	check "... unconfined" same -engine direct -no-confine
	check "... once more" same -engine direct
else
	for i in 3 4 5 6 7 8 9 10 11 12 13 14 15; do skip "direct $i" "no direct engine here"; done
fi
