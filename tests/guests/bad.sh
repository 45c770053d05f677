#!/bin/sh
# SPDX-License-Identifier: MIT
# Guests that misbehave harm nobody: each ends with the status that umbra(1) documents and says what it did.
. tests/lib/tap.sh

umbra=$build/umbra
[ -e "$build/guests/bad/triple-fault" ] || skip_all "no 32-bit guests were built here"

ends() { # ends GUEST STATUS ARGUMENTS...
	guest=$build/guests/bad/$1 wanted=$2
	shift 2
	status=0
	timeout 300 "$umbra" run -kernel "$guest" -m 64 -no-reboot "$@" </dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
	[ "$status" = "$wanted" ] || { tail -n 20 "$tmp/out" "$tmp/err"; echo "status $status, not $wanted"; false; }
}
# Random code can do anything, so any documented end is right, but it must come and must not be a crash.
ends_somehow() {
	guest=$build/guests/bad/$1
	shift
	status=0
	timeout 60 "$umbra" run -kernel "$guest" -m 64 -no-reboot -watchdog 10 "$@" </dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
	case $status in
	0 | 6 | 8 | 10) ;;
	*) tail -n 20 "$tmp/out" "$tmp/err"; echo "status $status"; false ;;
	esac
}

seeds=${TABLE_SEEDS:-2000}
[ -z "${TEST_QUICK-}" ] || seeds=20
random_tables() {
	ends random-tables 0 -append "seeds=$1 first=$2" "$3" "$4" && has "lived through $1 seeds" "$tmp/out"
}

plan 12
check "a triple fault: status 6" ends triple-fault 6
check "... one line names it" has '^umbra: triple fault' "$tmp/err"
check "... with the registers" has 'eip=' "$tmp/err"
check "a jump to garbage ends" ends_somehow garbage-jump
check "a loop with interrupts off: status 8" ends cli-loop 8 -watchdog 5
check "... and it says so" has 'interrupts off' "$tmp/err"
check "a halt with interrupts off: status 8" ends cli-halt 8
check "... and it says so" has 'interrupts off' "$tmp/err"
check "a million random port accesses: powers off" ends random-ports 0
check "$seeds seeds of random page tables" random_tables "$seeds" 1 -opt all
check "$((seeds / 10)) more, with every optimisation off" random_tables $((seeds / 10)) 1000001 -opt none
check "$((seeds / 10)) more, with 8 shadow tables" random_tables $((seeds / 10)) 2000001 -budget 8
