#!/bin/sh
# SPDX-License-Identifier: MIT
# The core is freestanding: it compiles without a libc header beyond C11's freestanding ones and links with
# -nostdlib, no symbol missing, at each level of optimisation.  A program that takes all of it, linked
# against nothing, would show a call to memset or to anything else.
top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
flags="-std=c11 -ffreestanding -nostdlib -nostdinc -fno-stack-protector -static -Wl,--whole-archive -Wl,-e,um_init"
n=0
failed=0
for cc in ${CC:-gcc clang}; do
	for opt in -O0 -O1 -O2 -O3 -Os; do
		n=$((n + 1))
		command -v "$cc" >/dev/null || { echo "ok $n - $cc $opt # SKIP no $cc"; continue; }
		own=$("$cc" -print-file-name=include)
		[ -f "$own/stdint.h" ] || own=$("$cc" -print-resource-dir)/include
		# shellcheck disable=SC2086
		if "$cc" $flags "$opt" -isystem "$own" -I"$top/include" -I"$top" -o "$work/out" \
			"$top"/shadow/*.c 2>"$work/log"; then
			echo "ok $n - core links freestanding, $cc $opt"
		else
			echo "not ok $n - core links freestanding, $cc $opt"
			sed 's/^/# /' "$work/log"
			failed=1
		fi
	done
done
echo "1..$n"
exit $failed
