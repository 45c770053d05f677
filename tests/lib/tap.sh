# SPDX-License-Identifier: MIT
# tests/lib/tap.sh - TAP for shell tests: `. tests/lib/tap.sh`, then plan, check, skip.  Run at the top.
#
#   plan N                      how many results will follow
#   check NAME COMMAND...       ok if the command succeeds; what it prints is shown if not
#   skip NAME REASON            one result that cannot be had here
#   skip_all REASON             none can
#
# $tmp is the test's own folder; it is removed afterwards.
set -u
tmp=${TMPDIR-}
if [ -z "$tmp" ]; then # run by hand
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
fi
build=${BUILD:-build}
number=0

plan() { echo "1..$1"; }
skip_all() { echo "1..0 # SKIP $*"; exit 0; }
skip() {
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}
check() {
	number=$((number + 1))
	check_name=$1
	shift
	if "$@" >"$tmp/check.out" 2>&1; then
		echo "ok $number - $check_name"
	else
		sed 's/^/# /' "$tmp/check.out" | tail -n 40
		echo "not ok $number - $check_name"
	fi
}
# Does FILE have a line that matches?
has() { grep -q -e "$1" "$2" || { echo "no line matches $1 in:"; tail -n 20 "$2"; return 1; }; }
hasnt() { ! grep -e "$1" "$2"; }
