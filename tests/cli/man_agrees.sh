#!/bin/sh
# SPDX-License-Identifier: MIT
# man_agrees.sh - umbra(1) and `umbra run --help` name the same options, log items and optimisations, it and `umbra pt --help`
# the same options; and the monitor's commands there are those of its table.
set -u
umbra=${BUILD:-build}/umbra
here=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$umbra" run --help >"$work/help" || echo "Bail out! no help"

# The manual without its roff: escapes, font changes, request names.
sed 's/\\f[A-Z]//g; s/\\-/-/g; s/\\(dq/"/g; s/^\.\(TP\|SH\|BI\|BR\|B\|I\|RI\)\>//' "$here/man/umbra.1" >"$work/man"
awk '/^options/ { on = 1; next } /^$/ { on = 0 } on { print $1; if ($2 ~ /^-/) print $2 }' "$work/help" |
	sed 's/[[,].*//' | sort -u >"$work/help-options"
sed -n '/^ OPTIONS/,/^ THE TERMINAL/p' "$work/man" | tr -c 'A-Za-z-' '\n' | grep '^-[A-Za-z]' | sort -u >"$work/man-options"
awk '/^(log items|optimisations)/ { on = 1; next } /^$/ { on = 0 } on { print $1 }' "$work/help" | sort -u >"$work/names"

echo 1..5
if comm -23 "$work/help-options" "$work/man-options" | grep . >"$work/missing"; then
	echo "not ok 1 - every option is in the manual"; sed 's/^/# /' "$work/missing"
else
	echo "ok 1 - every option is in the manual"
fi
if comm -13 "$work/help-options" "$work/man-options" | grep . >"$work/missing"; then
	echo "not ok 2 - every option of the manual exists"; sed 's/^/# /' "$work/missing"
else
	echo "ok 2 - every option of the manual exists"
fi
: >"$work/missing"
while read -r name; do
	grep -q -e "\<$name\>" "$work/man" || echo "$name" >>"$work/missing"
done <"$work/names"
if [ -s "$work/missing" ] || [ "$(wc -l <"$work/names")" -lt 10 ]; then
	echo "not ok 3 - every log item and optimisation is in the manual"; sed 's/^/# /' "$work/missing"
else
	echo "ok 3 - every log item and optimisation is in the manual"
fi
if BUILD=${BUILD:-build} "$here/tools/man-monitor" --check >"$work/missing" 2>&1; then
	echo "ok 4 - the monitor's commands are as its table has them"
else
	echo "not ok 4 - the monitor's commands are as its table has them (tools/man-monitor writes them)"
	sed 's/^/# /' "$work/missing"
fi
"$umbra" pt --help | sed -n 's/^  \(--[a-z0-9]*\).*/\1/p' | sort -u >"$work/pt-help"
sed -n '/^ PAGE TABLES/,/^ TRACES/p' "$work/man" | grep -o -e '--[a-z][a-z0-9]*' | sort -u >"$work/pt-man"
if [ "$(wc -l <"$work/pt-help")" -gt 10 ] && diff "$work/pt-help" "$work/pt-man" >"$work/missing"; then
	echo "ok 5 - umbra pt's options are in the manual, and no others"
else
	echo "not ok 5 - umbra pt's options are in the manual, and no others"; sed 's/^/# /' "$work/missing"
fi
