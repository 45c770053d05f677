#!/bin/sh
# SPDX-License-Identifier: MIT
# docs/PROMISES.md: every promise has a number of its own, and every test that it names exists.
. tests/lib/tap.sh

promises=docs/PROMISES.md
rows() { grep -E '^\| P[0-9]+ \|' "$promises"; }
unique() { ! rows | cut -d '|' -f 2 | sort | uniq -d | grep .; }
some() { [ "$(rows | wc -l)" -gt 20 ]; }
held() { ! rows | awk -F '|' '$4 !~ /`/ && $4 !~ /\*untested\*/' | grep .; }
# `path`: a file; `B12`, `name_of_a_test`, `words of a name`: found in a test's source.
exist() {
	rows | cut -d '|' -f 4 | grep -o '`[^`]*`' | tr -d '`' | sort -u | while read -r name; do
		case $name in
		make\ *|UMBRA_*|um_*|CPU_OPT_*|UM_*) continue ;;
		*/*)
			# shellcheck disable=SC2086  # a pattern
			ls $name >/dev/null 2>&1 || echo "no file $name"
			;;
		*) grep -r -q -e "$(printf %s "$name" | sed 's/\*/[a-z_]*/')" tests || echo "no test $name" ;;
		esac
	done | grep . && return 1
	return 0
}

plan 4
check "there are promises" some
check "no number is used twice" unique
check "each has a test, or says that it has none" held
check "the tests named exist" exist
