#!/bin/sh
# SPDX-License-Identifier: MIT
# umbra pt: a running guest by its socket, its dump, QEMU's dump and raw memory show the same address space; gdb and readelf
# read the dump; JSON keeps to the schema; whatever is wrong is one line and a status.
. tests/lib/tap.sh
umbra=$build/umbra
hello=$build/guests/hello
[ -e "$hello" ] || skip_all "no 32-bit guests were built here"

# The guest waits at its prompt; it is stopped, so that each look sees the same.
mkfifo "$tmp/keys"
timeout 100 "$umbra" run -m 16 -kernel "$hello" -serial stdio -monitor none -qmp "unix:$tmp/qmp" <"$tmp/keys" >"$tmp/guest" 2>&1 &
guest=$!
exec 7>"$tmp/keys"
for i in $(seq 300); do
	grep -q 'hello> ' "$tmp/guest" && [ -S "$tmp/qmp" ] && break
	sleep 0.1
done

status=0
pt() { # pt ARGUMENTS...: what it says in $tmp/out, $tmp/err, $status
	status=0
	timeout 60 "$umbra" pt "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
}
shows() { # shows REGEX ARGUMENTS...
	regex=$1
	shift
	pt "$@"
	[ "$status" = 0 ] && [ ! -s "$tmp/err" ] && has "$regex" "$tmp/out" || { cat "$tmp/err"; echo "status $status"; false; }
}
refused() { # refused STATUS WORD ARGUMENTS...
	want=$1 word=$2
	shift 2
	pt "$@"
	[ "$status" = "$want" ] && [ ! -s "$tmp/out" ] && [ "$(wc -l <"$tmp/err")" = 1 ] && has "$word" "$tmp/err" ||
		{ cat "$tmp/out" "$tmp/err"; echo "status $status, not $want"; false; }
}
monitor() { timeout 60 "$umbra" monitor "$tmp/qmp" "$@"; }
narrow() { awk 'length > 80 { print FILENAME ": " $0; bad = 1 } END { exit bad }' "$@"; }
same() { # same ARGUMENTS...: of the running guest and of its dump
	pt "$tmp/qmp" "$@" && cp "$tmp/out" "$tmp/live" && pt "$tmp/core" "$@" && [ -s "$tmp/live" ] && diff "$tmp/live" "$tmp/out"
}
valid() { # valid FILE...
	python3 - docs/pt.schema.json "$@" <<'END'
import json, jsonschema, sys
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
for name in sys.argv[2:]:
    jsonschema.Draft7Validator(schema).validate(json.load(open(name)))
END
}

plan 43
check "the guest waits" monitor stop
check "its map, by its socket" shows '^00104000-00104fff       4K 4K rwxs- ram   00104000 AD rw$' "$tmp/qmp"
check "... in 80 columns" narrow "$tmp/out"
check "... by unix:PATH" shows ' ro: a tracked table$' "unix:$tmp/qmp"
check "one address" shows 'PTE 257: read-only (R/W = 0), and CR0.WP = 1' "$tmp/qmp" --at 101000
check "... for one ring and access" shows '#PF(7 P W U)' "$tmp/qmp" --at 0x101000 --ring 3 --access w
check "... where the processor is" shows ': directory entry 0, table entry ' "$tmp/qmp" --at eip
check "its tables" shows '^1 tables$' "$tmp/qmp" --tables
check "who shares them" shows '  00000000-003fffff    1 table   shared by 0-3' "$tmp/qmp" --shared
check "its roots" shows '^\*  *[0-9]*  [0-9a-f]*  PG WP PSE ' "$tmp/qmp" --roots
check "the monitor's pt says the same" eval '
	monitor pt --tables >"$tmp/one" && pt "$tmp/qmp" --tables && diff "$tmp/one" "$tmp/out"'
check "the monitor's info pg" eval 'monitor info pg >"$tmp/out" && narrow "$tmp/out" &&
	has "^\[00000-003ff\]   PDE\[000-000\] ----A---WP " "$tmp/out"'
check "a dump" eval 'monitor dump-guest-memory "$tmp/core" >"$tmp/out" && [ ! -s "$tmp/out" ]'
check "... shows the same map, the shadow's column too" same
check "... and the same as JSON" same --json
check "... and the same state of one address" eval '
	shows "\"shadow_state\":\"tracked\"" "$tmp/qmp" --at 140000 --json &&
		shows "\"shadow_state\":\"tracked\"" "$tmp/core" --at 140000 --json'
check "... has no roots" refused 4 'only a running guest has roots' "$tmp/core" --roots
if command -v readelf >/dev/null; then
	check "readelf reads it" eval 'readelf -ln "$tmp/core" >"$tmp/out" 2>&1 && has "LOAD .*0x1000000" "$tmp/out" &&
		has "NT_PRSTATUS" "$tmp/out"'
else
	skip "readelf reads it" "no readelf"
fi
if command -v gdb >/dev/null; then
	check "gdb reads it" eval 'gdb -nx -batch -ex "p \$eip" -ex "x/1xw 0x100000" -core "$tmp/core" >"$tmp/out" 2>&1 &&
		has "0x100000:.*0x1badb002" "$tmp/out" && hasnt warning "$tmp/out"'
else
	skip "gdb reads it" "no gdb"
fi
for what in "" --merge "--at 100000" --tables --shared --roots; do
	# shellcheck disable=SC2086  # words
	"$umbra" pt "$tmp/qmp" --json $what >"$tmp/json-$(echo "$what" | tr -dc a-z)"
done
if python3 -c 'import jsonschema' 2>/dev/null; then
	check "every view's JSON keeps to the schema" valid "$tmp"/json-*
	check "... and the schema is one that refuses" eval 'echo "{\"view\":\"map\"}" >"$tmp/bad"; ! valid "$tmp/bad" 2>/dev/null'
else
	skip "every view's JSON keeps to the schema" "no python3-jsonschema"
	skip "... and the schema is one that refuses" "no python3-jsonschema"
fi

memory() { # the dump's memory alone
	offset=$(readelf -lW "$tmp/core" | awk '$1 == "LOAD" { print $2 }')
	tail -c +$((offset + 1)) "$tmp/core" >"$tmp/raw"
	[ "$(wc -c <"$tmp/raw")" = 16777216 ]
}
cr3=$(sed -n 's/.*"cr3":\([0-9]*\).*/\1/p' "$tmp/json-")
cr3=$(printf %x "$cr3")
if command -v readelf >/dev/null; then
	check "raw memory with its CR3" eval 'memory && shows "^00104000-00104fff       4K 4K rwxs- ram   00104000 AD$" "$tmp/raw" --cr3 $cr3'
	check "... or a piece of it, from where it was" eval '
		tail -c +1048577 "$tmp/raw" >"$tmp/piece"
		shows "^00104000-00104fff       4K 4K rwxs- ram   00104000 AD$" "$tmp/piece" --cr3 $cr3 --base 100000'
	check "... without one" refused 4 "$tmp/raw: not a dump.*then --cr3 is needed" "$tmp/raw"
	check "... with a bad base" refused 2 'base' "$tmp/raw" --cr3 "$cr3" --base zebra
else
	for name in a b c d; do skip "raw memory $name" "no readelf"; done
fi
check "--base is for raw memory" refused 2 'says where its memory is' "$tmp/core" --base 0
check "a dump's names, from the kernel's file" eval '
	shows "^user_load+0x4000$" "$tmp/core" --symbols "$hello" --at 140000 &&
	pt "$tmp/qmp" --at user_load && sed 3q "$tmp/out" >"$tmp/live" &&
	shows "^user_load$" "$tmp/core" -symbols "$hello" --at user_load && sed 3q "$tmp/out" | diff "$tmp/live" -'
check "... none without" refused 2 "is no address" "$tmp/core" --at user_load
check "... no file" refused 4 'No such file' "$tmp/core" --symbols "$tmp/none"
check "... no word" refused 2 'a file is needed' "$tmp/core" --symbols
check "... not a Linux" refused 4 'no Linux' "$tmp/core" --symbols kallsyms
check "... a running guest has its own" refused 2 'symbols load FILE' "$tmp/qmp" --symbols "$hello"
check "two files" refused 2 "'k.c' is no option" "$tmp/core" k.c
check "what cannot be dumped to" eval '
	! monitor dump-guest-memory /dev/null >"$tmp/out" 2>&1 && has "is not a regular file" "$tmp/out" && [ -c /dev/null ]'
check "no such option, by socket" refused 2 "unknown option '--nonsense'" "$tmp/qmp" --nonsense
check "... by dump" refused 2 "unknown option '--nonsense'" "$tmp/core" --nonsense
monitor quit >/dev/null
wait $guest
exec 7>&-
check "nobody there any more" refused 4 . "unix:$tmp/qmp"
check "no file" refused 4 'No such file' "$tmp/none"
check "an ELF file that is no core" refused 4 'no core' "$hello"
check "nothing given" refused 2 'whose page tables'
check "help" eval 'pt --help && has "^usage: umbra pt WHAT" "$tmp/out" && has "^  --shared" "$tmp/out" && cp "$tmp/out" "$tmp/help"'
check "... the same by umbra help pt" eval '"$umbra" help pt >"$tmp/out" && diff "$tmp/help" "$tmp/out"'
check "... in 80 columns" narrow "$tmp/help"
