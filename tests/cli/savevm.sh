#!/bin/sh
# SPDX-License-Identifier: MIT
# savevm.sh - a machine that was saved goes on in another process, on either engine, as if nothing had been between;
# what is no snapshot, or does not fit, is one line and a status, and a running guest is not hurt by it.
. tests/lib/tap.sh
umbra=$build/umbra
hello=$build/guests/hello
[ -e "$hello" ] || skip_all "no 32-bit guests were built here"

console() { # console FILE WORDS...: lines typed one after the other, each once the guest has said the one before
	said=$1
	shift
	for line; do
		for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
			case $(tail -c 7 "$said" 2>/dev/null) in 'hello> ' | 'umbra) ') break ;; esac
			sleep 0.1
		done
		printf '%b' "$line"
		sleep 0.2
	done
}
# In the saved guest a file of memory (a counter of the shell's) exists that a fresh one has not.
save() { # save ENGINE FILE
	: >"$tmp/said"
	console "$tmp/said" '\001c' "savevm $2\\r" 'quit\r' |
		timeout 60 "$umbra" run -engine "$1" -m 16 -kernel "$hello" >"$tmp/said" 2>&1
	[ -s "$2" ] || { cat "$tmp/said"; false; }
}
goes_on() { # goes_on ENGINE FILE
	: >"$tmp/said"
	printf '\nhello> ' >"$tmp/said"
	console "$tmp/said" 'help\r' '\001x' |
		timeout 60 "$umbra" run -engine "$1" -m 16 -kernel "$hello" -loadvm "$2" >>"$tmp/said" 2>&1
	has 'help' "$tmp/said" && hasnt 'BOOT-OK' "$tmp/said" && has "ps" "$tmp/said"
}
refused() { # refused STATUS WORDS ARGUMENTS...
	want=$1 word=$2 status=0
	shift 2
	timeout 60 "$umbra" run -m 16 "$@" </dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
	[ "$status" = "$want" ] && [ ! -s "$tmp/out" ] && [ "$(wc -l <"$tmp/err")" = 1 ] && has "$word" "$tmp/err" ||
		{ cat "$tmp/out" "$tmp/err"; echo "status $status, not $want"; false; }
}
bad_load() { # a running guest is asked to go on from what is no snapshot: it stays as it is
	: >"$tmp/said"
	console "$tmp/said" '\001c' "loadvm $hello\\r" "savevm $tmp/no/such/folder/file\\r" '\001c' 'help\r' '\001x' |
		timeout 60 "$umbra" run -m 16 -kernel "$hello" >"$tmp/said" 2>&1
	has 'no core' "$tmp/said" && has 'No such file' "$tmp/said" && has '^  ps' "$tmp/said"
}
both() { save auto "$tmp/auto" && goes_on portable "$tmp/auto"; }
same_state() { # what umbra pt shows of a snapshot is what it shows of the guest that goes on from it
	"$umbra" pt "$tmp/portable" >"$tmp/one" && [ "$(wc -l <"$tmp/one")" -gt 5 ] && has '^CR3' "$tmp/one"
}
no_room() { # a file that cannot be written whole is not there
	: >"$tmp/said"
	console "$tmp/said" '\001c' "savevm $tmp/full\\r" 'quit\r' |
		(ulimit -f 100; trap '' XFSZ; timeout 60 "$umbra" run -m 16 -kernel "$hello" 2>&1 | cat >"$tmp/said")
	has 'too large' "$tmp/said" && [ ! -e "$tmp/full" ]
}

plan 10
check "portable: a guest at its prompt is saved" save portable "$tmp/portable"
check "... and goes on there" goes_on portable "$tmp/portable"
check "... and on whatever engine this host has" goes_on auto "$tmp/portable"
check "auto: saved, and goes on by the portable engine" both
check "umbra pt reads a snapshot" same_state
check "-loadvm: a file that is not there" refused 4 'No such file' -kernel "$hello" -loadvm "$tmp/none"
check "-loadvm: an ELF that is no dump" refused 4 'no core' -kernel "$hello" -loadvm "$hello"
check "-loadvm: another size of memory" refused 4 '-m 16' -kernel "$hello" -m 32 -loadvm "$tmp/portable"
check "loadvm, savevm that fail leave the guest as it is" bad_load
check "savevm: no room leaves no file" no_room
