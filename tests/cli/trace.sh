#!/bin/sh
# SPDX-License-Identifier: MIT
# trace.sh - a traced guest does what it does untraced; traces are valid, filtered, summed up, converted; a running guest
# is traced and left again; full disks and closed pipes end the file, not the guest; bad words are one line and a status.
. tests/lib/tap.sh
umbra=$build/umbra
hello=$build/guests/hello
[ -e "$hello" ] || skip_all "no 32-bit guests were built here"

traced() { # traced TRACE [ARGUMENTS]: the built-in guest's self-check passes while it is traced
	what=$1 status=0
	shift
	timeout 100 "$umbra" run -m 16 -engine portable -kernel "$hello" -append selfcheck -no-reboot -trace "$what" "$@" \
		</dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
	[ "$status" = 0 ] && has 'SELF-CHECK ok' "$tmp/out" || { cat "$tmp/out" "$tmp/err"; echo "status $status"; false; }
}
quiet() { traced "$@" && [ ! -s "$tmp/err" ] || { cat "$tmp/err"; false; }; }
looked() { # looked ARGUMENTS...
	status=0
	timeout 100 "$umbra" trace "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
	[ "$status" = 0 ] && [ ! -s "$tmp/err" ] || { head -n 5 "$tmp/out"; cat "$tmp/err"; echo "status $status"; false; }
}
refused() { # refused STATUS WORD COMMAND...
	want=$1 word=$2 status=0
	shift 2
	timeout 100 "$@" </dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
	[ "$status" = "$want" ] && [ "$(wc -l <"$tmp/err")" = 1 ] && has "$word" "$tmp/err" ||
		{ cat "$tmp/out" "$tmp/err"; echo "status $status, not $want"; false; }
}
# Each line by itself: braces that match is what grep can see; tests/unit/scope_trace.c parses them.
lines_hold() {
	head -n 1 "$1" | grep -q -x '{"trace":"umbra","version":1,"filter":"[^"]*"}' && tail -n 1 "$1" | grep -q '^{"end":true,' &&
		[ "$(grep -c '"kind":"' "$1")" -gt 500 ] && ! grep -v -x '{.*}' "$1"
}
only() { # only KIND FILE: every event is of this kind, and there are some
	grep -q "\"kind\":\"$1\"" "$2" && ! grep '"kind"' "$2" | grep -v "\"kind\":\"$1\"" | head -n 3 | grep .
}
json() { # json FILE: where there is something that can tell
	if command -v python3 >/dev/null; then python3 -m json.tool "$1" /dev/null; else grep -q '^\]}$' "$1"; fi
}

start_guest() { # on its socket, in the background
	"$umbra" run -m 16 -engine "${1-auto}" -kernel "$hello" -serial null -monitor none -qmp unix:"$tmp/q" </dev/null >"$tmp/guest" 2>&1 &
	guest=$!
	for i in $(seq 1 100); do
		timeout 20 "$umbra" monitor "$tmp/q" engine >"$tmp/engine" 2>/dev/null && return 0
		sleep 0.1
	done
	cat "$tmp/guest"
	return 1
}
stop_guest() { timeout 20 "$umbra" monitor "$tmp/q" quit >/dev/null 2>&1; wait "$guest"; }
engine() { timeout 20 "$umbra" monitor "$tmp/q" engine | head -n 1; }
live() { # traced for a while: it goes to the portable engine, and back
	start_guest || return 1
	before=$(engine)
	looked "$tmp/q" start events=all && has '^running, events=all' "$tmp/out" || return 1
	sleep 0.5
	has 'portable' "$tmp/engine" || engine | grep -q portable || return 1
	looked "$tmp/q" -last 5 && [ "$(wc -l <"$tmp/out")" = 6 ] && has 'interrupt' "$tmp/out" || return 1
	looked "$tmp/q" -jsonl "$tmp/live.jsonl" && has '"kind":"interrupt"' "$tmp/live.jsonl" || return 1
	looked "$tmp/q" stop && looked "$tmp/q" status && has '^stopped' "$tmp/out" && [ "$(engine)" = "$before" ] || return 1
	looked "$tmp/q" clear && looked "$tmp/q" status && has '^0 events' "$tmp/out" || return 1
	refused 2 'nothing is traced' "$umbra" trace "$tmp/q" stop || return 1
	looked "$tmp/q" start events=all "file=$tmp/live.json" format=chrome && sleep 0.3 && looked "$tmp/q" stop && json "$tmp/live.json" || return 1
	refused 2 'No such file' "$umbra" trace "$tmp/q" start "file=$tmp/none/f" && looked "$tmp/q" status && has '^stopped' "$tmp/out" || return 1
	refused 2 'there is no .party' "$umbra" trace "$tmp/q" start events=party || return 1
	timeout 20 "$umbra" monitor "$tmp/q" "trace write $tmp/none/f" >"$tmp/out" 2>&1; has 'No such file' "$tmp/out" || return 1
	stop_guest
}
follows() { # the same events whatever the ring's size: nothing is lost on the way to a file
	for size in 64K 16M; do
		traced "$tmp/size.jsonl,size=$size" -opt none || return 1
		sed 's/"ns":[0-9]*,//; s/"insns":[0-9]*,//' "$tmp/size.jsonl" | grep '"kind":"table-write"' | wc -l >"$tmp/count.$size"
		grep -q '"lost":0}' "$tmp/size.jsonl" || return 1
	done
	cmp "$tmp/count.64K" "$tmp/count.16M"
}
pipe() { # a reader that goes away
	mkfifo "$tmp/pipe"
	head -c 1000 "$tmp/pipe" >/dev/null &
	traced "$tmp/pipe" || return 1
	wait $!
	has 'Broken pipe: the trace ends after [0-9]* events' "$tmp/err"
}

plan 32
check "a run is traced" quiet "$tmp/t.jsonl"
check "... line by line" lines_hold "$tmp/t.jsonl"
check "... with the instruction of each event" hasnt '"exact":false' "$tmp/t.jsonl"
check "... with its name" has '"sym":"[a-z_]*+0x' "$tmp/t.jsonl"
check "... as a table" looked "$tmp/t.jsonl"
check "... whose rows are the events" eval '[ "$(wc -l <"$tmp/out")" = "$(($(wc -l <"$tmp/t.jsonl") - 1))" ]'
check "... the last of it" eval 'looked "$tmp/t.jsonl" -last 7 && [ "$(wc -l <"$tmp/out")" = 8 ]'
check "... summed up" looked "$tmp/t.jsonl" -summary -top 3
check "... by kind" eval 'has "^ *[0-9]*  fault " "$tmp/out" && has "^ *[0-9]*  table-write " "$tmp/out"'
check "... by place" has '^code that writes page tables most' "$tmp/out"
check "a filter in a run" quiet "$tmp/f.jsonl,events=fault"
check "... holds" only fault "$tmp/f.jsonl"
check "a filter on a trace" looked "$tmp/t.jsonl" -events switch -jsonl "$tmp/s.jsonl"
check "... holds" only switch "$tmp/s.jsonl"
check "a trace that was written again is read again" eval 'looked "$tmp/s.jsonl" -summary && has "^ *[0-9]*  switch " "$tmp/out"'
check "Chrome's form, from a run" eval 'quiet "$tmp/t.json,format=chrome,events=all" && json "$tmp/t.json" && has "\"traceEvents\":\\[" "$tmp/t.json"'
check "... from a trace" eval 'looked "$tmp/t.jsonl" -chrome "$tmp/c.json" && json "$tmp/c.json"'
check "... which is not read again, and it is said" refused 4 'the Chrome form' "$umbra" trace "$tmp/c.json"
check "events without an address have none in the sums" eval '
	looked "$tmp/s.jsonl" -summary && has "^ *[0-9]*  [0-9a-f]*  *-  " "$tmp/out" && hasnt "00000000-00000000" "$tmp/out"'
check "whatever the size of the ring" follows
check "a running guest" live
check "a pipe whose reader goes away" pipe
if [ -c /dev/full ]; then
	check "a full disk" eval 'traced /dev/full && has "No space left on device: the trace ends after [0-9]* events" "$tmp/err"'
	check "... for what is shown" refused 10 'standard output' sh -c '"$0" trace "$1" >/dev/full' "$umbra" "$tmp/t.jsonl"
else
	skip "a full disk" "no /dev/full"
	skip "... for what is shown" "no /dev/full"
fi
: >"$tmp/empty"
head -c 3000 "$tmp/t.jsonl" >"$tmp/cut.jsonl"
check "a trace cut off is read as far as it goes" eval '
	timeout 20 "$umbra" trace "$tmp/cut.jsonl" >"$tmp/out" 2>"$tmp/err" && has "it has no end" "$tmp/err" && [ "$(wc -l <"$tmp/out")" -gt 3 ]'
check "refused: nothing" refused 2 'no trace given' "$umbra" trace
check "refused: an option that is none" refused 2 'unknown option' "$umbra" trace -speed "$tmp/t.jsonl"
check "refused: an empty file" refused 4 'it is empty' "$umbra" trace "$tmp/empty"
check "refused: a guest's image" refused 4 'line 1' "$umbra" trace "$hello"
check "refused: words of -trace" refused 2 '-trace' "$umbra" run -trace "$tmp/x,events=party" -kernel "$hello"
check "refused: a file that cannot be" refused 4 'No such file' "$umbra" run -trace "$tmp/none/x" -serial null -kernel "$hello"
check "a trace over the image: the image stays" eval '
	cp "$hello" "$tmp/image"
	refused 4 "would overwrite" "$umbra" run -trace "$tmp/image" -serial null "$tmp/image" && cmp -s "$hello" "$tmp/image"'
