#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/make-initramfs: the same bytes from the same inputs, without root, and nothing missing in it.
. tests/lib/tap.sh
command -v cpio >/dev/null || skip_all "no cpio here"

printf 'not really busybox' >"$tmp/busybox"
holds() { grep -q "^$1$" "$tmp/list" || { cat "$tmp/list"; false; }; }
as_other() { # the owner, the umask and the time do not matter
	(umask 077; TZ=UTC-9 tools/make-initramfs "$tmp/busybox" "$tmp/b.cpio") && cmp "$tmp/a.cpio" "$tmp/b.cpio"
}
filled_in() { (cd "$tmp" && cpio --quiet -i init <a.cpio) && hasnt '@[A-Z0-9]*@' "$tmp/init"; }

plan 6
check "it is made" tools/make-initramfs "$tmp/busybox" "$tmp/a.cpio"
check "the same inputs give the same bytes" as_other
cpio --quiet -t <"$tmp/a.cpio" >"$tmp/list"
check "it holds busybox" holds bin/busybox
check "it holds the first process" holds init
check "the self-check's sums are filled in" filled_in
check "nothing is left beside it" [ "$(find "$tmp" -name '*.cpio.*' | wc -l)" = 0 ]
