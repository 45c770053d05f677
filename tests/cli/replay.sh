#!/bin/sh
# SPDX-License-Identifier: MIT
# replay.sh - a recorded run replays to the same end state; what is no recording, or a damaged one, is one
# line and a status; a full disk ends the recording, not the guest.
. tests/lib/tap.sh
umbra=$build/umbra
hello=$build/guests/hello
[ -e "$hello" ] || skip_all "no 32-bit guests were built here"

recorded() { # recorded FILE ARGUMENTS...: the built-in guest's self-check passes while it is recorded
	file=$1 status=0
	shift
	timeout 100 "$umbra" run -m 16 -kernel "$hello" -append selfcheck -no-reboot -record "$file" "$@" \
		</dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
	[ "$status" = 0 ] && has 'SELF-CHECK ok' "$tmp/out" || { cat "$tmp/out" "$tmp/err"; echo "status $status"; false; }
}
replayed() { # replayed ARGUMENTS...
	status=0
	timeout 100 "$umbra" replay "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
	[ "$status" = 0 ] && [ ! -s "$tmp/err" ] || { cat "$tmp/out" "$tmp/err"; echo "status $status"; false; }
}
same() { replayed "$@" && has '^same end state: [0-9]* operations' "$tmp/out"; }
refused() { # refused STATUS WORD ARGUMENTS...
	want=$1 word=$2 status=0
	shift 2
	timeout 100 "$umbra" replay "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
	[ "$status" = "$want" ] && [ ! -s "$tmp/out" ] && [ "$(wc -l <"$tmp/err")" = 1 ] && has "$word" "$tmp/err" ||
		{ cat "$tmp/out" "$tmp/err"; echo "status $status, not $want"; false; }
}
figure() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$2"; }
agrees() { # agrees NAME...: the replay's statistics are the run's
	for name; do
		ran=$(figure "$name" "$tmp/ran") again=$(figure "$name" "$tmp/out")
		[ -n "$ran" ] && [ "$ran" = "$again" ] || { echo "$name: $ran in the run, $again in the replay"; return 1; }
	done
}
made() { # made CALL...: the statistics count some of each
	for call; do
		[ "$(figure "calls_$call" "$tmp/out")" -gt 0 ] || { echo "no $call"; return 1; }
	done
}
json() { [ "$(wc -l <"$1")" = 1 ] && grep -q -x -E '\{("[a-z_]+":[0-9]+,?)+\}' "$1" || { cat "$1"; false; }; }
filled() { # the disk fills up under the guest
	status=0
	timeout 100 "$umbra" run -m 16 -kernel "$hello" -append selfcheck -no-reboot -record /dev/full \
		</dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
	[ "$status" = 0 ] && has 'SELF-CHECK ok' "$tmp/out" && [ "$(wc -l <"$tmp/err")" = 1 ] &&
		has 'No space left on device: the recording ends after [0-9]* operations' "$tmp/err" ||
		{ cat "$tmp/out" "$tmp/err"; echo "status $status"; false; }
}
cut_of() { dd if="$tmp/rec" bs=1 count="$1" 2>/dev/null >"$tmp/cut"; }
killed() { # umbra is killed: what is written so far replays
	# Without timeout(1): it is the program itself that must die.
	"$umbra" run -m 16 -kernel "$hello" -serial null -record "$tmp/killed" -no-opt tlb </dev/null 2>/dev/null &
	child=$!
	for i in $(seq 1 300); do
		[ -s "$tmp/killed" ] && break
		sleep 0.1
	done
	kill -KILL $child
	wait $child 2>/dev/null
	refused 4 'the recording is cut off' "$tmp/killed"
}

pv() { # a paravirtual guest: told, with a window, its address spaces coming and going
	timeout 100 "$umbra" run -machine lguest -m 32 -kernel "$build/guests/pv.elf" -append 'spaces=24' -roots 2 \
		-record "$tmp/pv" </dev/null >"$tmp/out" 2>&1 && has '^ok 1 ' "$tmp/out" && hasnt '^not ok' "$tmp/out"
}

plan 30
check "a run is recorded" recorded "$tmp/rec" -stats=json
cp "$tmp/err" "$tmp/ran"
check "... and replays to the same end state" same "$tmp/rec"
check "... as often as asked" same -times 3 "$tmp/rec"
check "... with statistics for people" replayed -stats "$tmp/rec"
check "... that count the calls" has '^calls switch root  *[1-9]' "$tmp/out"
check "... and for machines" replayed --stats=json "$tmp/rec"
check "... on one line" json "$tmp/out"
check "... the same as the run's" agrees faults reflected fills prefetched prefetch_used tracked_writes syncs switches \
	switch_hits flush_page tables_made evictions entries roots tables_peak
check "so does a run with the least memory for tables" recorded "$tmp/small" -tables 8 -roots 1
check "... replayed" same "$tmp/small"
check "... with every optimisation off" recorded "$tmp/plain" -opt none
check "... replayed" same "$tmp/plain"
check "a paravirtual guest is recorded" pv
check "... replayed" replayed -stats=json "$tmp/pv"
check "... with calls of every kind that it makes" made set_learn set_pte set_pde flush_user flush_all pin_page \
	window_reserve window_map window_enter
check "a recording cut off replays as far as it goes" eval 'cut_of 5000; refused 4 "cut off" "$tmp/cut"'
check "... cut in its header" eval 'cut_of 12; refused 4 "cut off" "$tmp/cut"'
check "... by SIGKILL" killed
check "a difference has its place, and a status of its own" eval '
	cp "$tmp/rec" "$tmp/bad" # the last byte is a number of roots
	printf "\177" | dd of="$tmp/bad" bs=1 seek=$(($(wc -c <"$tmp/rec") - 1)) conv=notrunc 2>/dev/null
	refused 18 "operation [0-9]* (byte [0-9]*): .*recorded was" "$tmp/bad"'
if [ -c /dev/full ]; then
	check "a full disk ends the recording, not the guest" filled
else
	skip "a full disk ends the recording, not the guest" "no /dev/full"
fi
: >"$tmp/empty"
check "refused: nothing" refused 2 'no recording given'
check "refused: two" refused 2 'two recordings' "$tmp/rec" "$tmp/rec"
check "refused: an option that is none" refused 2 'unknown option' -speed "$tmp/rec"
check "refused: no number of times" refused 2 'a number from 1' -times 0 "$tmp/rec"
check "refused: a file that is missing" refused 4 'No such file' "$tmp/none"
check "refused: a folder" refused 4 'is a directory' "$tmp"
check "refused: an empty file" refused 4 'is empty' "$tmp/empty"
check "refused: a guest" refused 4 'is not a recording' "$hello"
check "a recording that cannot be begun" eval '
	status=0
	timeout 100 "$umbra" run -kernel "$hello" -record "$tmp/none/rec" </dev/null 2>"$tmp/err" || status=$?
	[ "$status" = 4 ] && has "No such file" "$tmp/err"'
check "a recording over the image: the image stays" eval '
	status=0
	cp "$hello" "$tmp/image"
	timeout 100 "$umbra" run -record "$tmp/image" "$tmp/image" </dev/null 2>"$tmp/err" || status=$?
	[ "$status" = 4 ] && has "would overwrite" "$tmp/err" && cmp -s "$hello" "$tmp/image"'
