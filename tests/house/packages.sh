#!/bin/sh
# SPDX-License-Identifier: MIT
# ./run and ./check on systems where nothing can be installed: the list is printed, and that is all.
. tests/lib/tap.sh

# A PATH with the tools that the script itself needs, and those given as arguments.
path_with() {
	rm -rf "$tmp/bin"
	mkdir -p "$tmp/bin"
	for tool in sh sed tr dirname grep tail head env mktemp rm cat; do
		ln -s "$(command -v $tool)" "$tmp/bin/$tool"
	done
	while [ $# -gt 1 ]; do
		printf '#!/bin/sh\n%s\n' "$2" >"$tmp/bin/$1"
		chmod +x "$tmp/bin/$1"
		shift 2
	done
}
need() {
	status=0
	PATH=$tmp/bin sh tools/need-packages run >"$tmp/out" 2>&1 || status=$?
	echo $status >"$tmp/status"
}
ended() { [ "$(cat "$tmp/status")" = "$1" ] || { cat "$tmp/status" "$tmp/out"; false; }; }
all="printf 'install ok installed'"

plan 12
path_with dpkg-query 'exit 1'
need
check "no apt: it stops" ended 1
check "no apt: the packages are listed" has 'libzydis-dev' "$tmp/out"
path_with dpkg-query 'exit 1' apt-get 'exit 1' id 'echo 1000'
need
check "neither root nor sudo: it stops" ended 1
check "neither root nor sudo: it says what root would do" has 'apt-get install.* gcc' "$tmp/out"
path_with dpkg-query "$all" apt-get "echo called >$tmp/called; exit 1" id 'echo 1000'
need
check "nothing missing: nothing is done" [ ! -e "$tmp/called" ]
path_with dpkg-query 'exit 1' apt-get "echo \"\$*\" >>$tmp/calls; exit 1" id 'echo 0'
need
check "apt fails: it says so" has 'could not install' "$tmp/out"
check "apt fails: the lists were read anew once" [ "$(grep -c '^update' "$tmp/calls")" = 1 ]
path_with dpkg-query 'exit 1' apt-get 'exit 0' id 'echo 1000' sudo "echo sudo >$tmp/sudo; \"\$@\""
need
check "an ordinary user with sudo: sudo is used" [ -e "$tmp/sudo" ]

# Their words.
knows_not() { # knows_not SCRIPT WORD
	status=0
	sh "$1" "$2" >"$tmp/out" 2>&1 || status=$?
	[ "$status" = 2 ] && has "knows no '$2'" "$tmp/out" && has "^usage: $1 " "$tmp/out"
}
check "./run refuses words that it does not know" knows_not ./run FOO=bar
check "./check as well" knows_not ./check KERNEL=vmlinuz
printf '#!/bin/sh\nexit 0\n' >"$tmp/bin/make"
printf '#!/bin/sh\n%s\n' "$all" >"$tmp/bin/dpkg-query"
chmod +x "$tmp/bin/make" "$tmp/bin/dpkg-query"
mkdir "$tmp/stubs" && mv "$tmp/bin/make" "$tmp/bin/dpkg-query" "$tmp/stubs"
PATH=$tmp/stubs:$PATH ./run BUILD="$build" KERNEL=/nonexistent INITRD=/nonexistent </dev/null >"$tmp/out" 2>&1 && echo fine >>"$tmp/out"
check "a kernel that is missing is named" has '^umbra: /nonexistent: No such file' "$tmp/out"
check "... and the last word is ours" eval 'tail -n 1 "$tmp/out" | grep "^umbra: umbra ended with status 4$"'
