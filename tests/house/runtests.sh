#!/bin/sh
# SPDX-License-Identifier: MIT
# The runner itself: what it counts as passed, failed and skipped, and what it must never take for a pass.
. tests/lib/tap.sh

run() { tools/runtests -t 2 "$@" >"$tmp/out" 2>&1; echo $? >"$tmp/status"; }
last() { tail -n 1 "$tmp/out"; }
sums_to() { # sums_to LINE STATUS
	[ "$(last)" = "$1" ] && [ "$(cat "$tmp/status")" = "$2" ] ||
		{ cat "$tmp/out"; echo "status $(cat "$tmp/status")"; false; }
}
script() { printf '%s\n' "$2" >"$tmp/$1.sh"; }

script good 'echo 1..2; echo ok 1 - first; echo "ok 2 - second # SKIP no moon tonight"'
script bad 'echo 1..2; echo ok 1 - first; echo not ok 2 - second; exit 1'
script crash 'echo 1..2; echo ok 1 - first; kill -SEGV $$'
script silent 'exit 0'
script short 'echo 1..3; echo ok 1 - first'
script status 'echo 1..1; echo ok 1 - first; exit 3'
script hangs 'echo 1..1; sleep 60; echo ok 1 - first'
script none 'echo 1..0'
script whole 'echo "1..0 # SKIP no sun either"'

plan 13
run "$tmp/good.sh"
check "passes and skips are counted" sums_to '1 passed, 0 failed, 1 skipped' 0
check "a skip says why" has 'no moon tonight' "$tmp/out"
run "$tmp/bad.sh" "$tmp/good.sh"
check "one failure fails the run" sums_to '2 passed, 1 failed, 1 skipped' 1
check "a failure is named and its output shown" has '^not ok 2 - second' "$tmp/out"
run "$tmp/crash.sh"
check "a crash is a failure" sums_to '1 passed, 1 failed, 0 skipped' 1
run "$tmp/silent.sh"
check "no plan is a failure" sums_to '0 passed, 1 failed, 0 skipped' 1
run "$tmp/short.sh"
check "too few results are a failure" sums_to '1 passed, 1 failed, 0 skipped' 1
run "$tmp/status.sh"
check "an exit status is a failure" sums_to '1 passed, 1 failed, 0 skipped' 1
run "$tmp/hangs.sh"
check "a hang is a failure" sums_to '0 passed, 1 failed, 0 skipped' 1
run "$tmp/none.sh" "$tmp/absent"
check "an empty plan and a missing program are failures" sums_to '0 passed, 2 failed, 0 skipped' 1
run "$tmp/whole.sh"
check "a test can skip itself as a whole" sums_to '0 passed, 0 failed, 1 skipped' 0
run -T 'goo*sh' "$tmp/good.sh" "$tmp/bad.sh"
check "a pattern selects by path" sums_to '1 passed, 0 failed, 1 skipped' 0
run -T nosuchname "$tmp/whole.sh"
check "nothing selected is an error" sums_to '0 passed, 0 failed, 0 skipped' 2
