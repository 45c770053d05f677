#!/bin/sh
# SPDX-License-Identifier: MIT
# confine.sh - with the direct engine the process has one seccomp filter more, unless -no-confine is given; and a host
# that allows none is told of with -stats only.
. tests/lib/tap.sh
umbra=$build/umbra
waits=$build/guests/hello
[ -e "$waits" ] || skip_all "no 32-bit guests were built here"
grep -q '^Seccomp_filters:' /proc/self/status || skip_all "this kernel does not count seccomp filters"
"$umbra" run -engine direct -kernel "$build/guests/bad/triple-fault" -no-reboot </dev/null >/dev/null 2>&1
[ $? = 6 ] || skip_all "no direct engine here"

filters() { # of a process; its first thread that runs a guest is its only one
	sed -n 's/^Seccomp_filters:[^0-9]*//p' "/proc/$1/status"
}
own=$(filters self)
has_filters() { # has_filters MORE ARGUMENTS...: while a guest runs, so many more than we have
	more=$1
	shift
	"$umbra" run -kernel "$waits" -m 16 -serial stdio "$@" <"$tmp/keys" >"$tmp/out" 2>&1 &
	child=$!
	exec 7>"$tmp/keys"
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
		there=$(filters $child)
		[ "$there" = $((own + more)) ] && [ "$i" -gt 3 ] && break
		sleep 0.1
	done
	kill -TERM $child
	exec 7>&-
	wait $child
	[ "$there" = $((own + more)) ] || { cat "$tmp/out"; echo "$there filters, not $own + $more"; false; }
}
told() { # with ARGUMENTS: are we?
	"$umbra" run -engine direct -kernel "$build/guests/bad/triple-fault" -no-reboot "$@" </dev/null 2>&1 |
		grep -q '^umbra: translated code could make system calls: '
}

plan 6
mkfifo "$tmp/keys"
check "-engine direct is confined" has_filters 1 -engine direct
check "... not with -no-confine" has_filters 0 -engine direct -no-confine
check "-engine portable has nothing to confine" has_filters 0 -engine portable
check "-stats says that it is not" told -stats -no-confine
not() { ! "$@"; }
check "... and nothing where it is" not told -stats
check "... nor without -stats" not told -no-confine
