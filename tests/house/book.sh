#!/bin/sh
# SPDX-License-Identifier: MIT
# make book: the story has its seven parts in order, and no file of the code is missing from it.
. tests/lib/tap.sh

book=$tmp/book.html
in_order() {
	grep -o '<h2 [^>]*>Part [a-z]*' "$book" | sed 's/.*Part //' | tr '\n' ' ' >"$tmp/parts"
	[ "$(cat "$tmp/parts")" = "one two three four five six seven " ] || { cat "$tmp/parts"; false; }
}
complete() {
	for file in include/umbra/*.h shadow/*.[ch] cpu/*.[chS] machine/*.[ch] guest/*.[ch] vmm/*.[ch] scope/*.[ch] cli/*.[ch]; do
		grep -q "<h3 id=\"$file\"" "$book" || echo "$file"
	done | grep . && return 1
	return 0
}
once() { ! grep -o '<h3 id="[^"]*"' "$book" | sort | uniq -d | grep .; }
# What a reader sees of a file is what the file says: all its words are there, in order.
faithful() {
	for file in shadow/fill.c cpu/run.c tools/guest-init; do
		words() { tr -cs 'A-Za-z0-9_' '\n' | grep -v '^$'; }
		grep -v -e 'SPDX-License' -e '^#!' "$file" | words >"$tmp/want"
		sed -n "\\|<h3 id=\"$file\"|,\\|<h[23] |p" "$book" | sed 1d | grep -v '^<h[23]' |
			sed 's/<[^>]*>//g; s/&lt;/</g; s/&gt;/>/g; s/&amp;/\&/g' | words >"$tmp/got"
		cmp "$tmp/want" "$tmp/got" || { diff "$tmp/want" "$tmp/got" | head -n 5; return 1; }
	done
}

plan 5
tools/book >"$book" 2>"$tmp/err"
check "it is made without complaint" [ -s "$book" -a ! -s "$tmp/err" ]
check "the seven parts are in order" in_order
check "every file of the code is in it" complete
check "no file is in it twice" once
check "no word of the code is lost" faithful
