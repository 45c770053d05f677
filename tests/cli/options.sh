#!/bin/sh
# SPDX-License-Identifier: MIT
# options.sh - the options of `umbra run` do what umbra(1) says: console, logs, statistics, modules, ends.
. tests/lib/tap.sh
umbra=$build/umbra
[ -e "$build/guests/bad/cli-halt" ] || skip_all "no 32-bit guests were built here"
halt=$build/guests/bad/cli-halt

# Bytes as octal escapes; 32-bit words, little endian.
word() {
	printf "\\$(printf %o $(($1 & 255)))\\$(printf %o $(($1 >> 8 & 255)))"
	printf "\\$(printf %o $(($1 >> 16 & 255)))\\$(printf %o $(($1 >> 24 & 255)))"
}
guest() { # guest FILE CODE: a multiboot kernel of CODE at 1 MiB, entered at its start
	flags=65539
	{
		word 464367618; word $flags; word $((4294967296 - 464367618 - flags))
		word 1048576; word 1048576; word 0; word 0; word 1048608
		printf "$2"
	} >"$1"
}
say='\146\272\370\003\356' # mov $0x3F8, %dx; out %al, %dx
off='\146\272\004\006\146\270\000\040\146\357\353\376' # the power-off port, then jmp .
guest "$tmp/hello" "\\260H$say\\260i$say\\260\\012$say$off"
guest "$tmp/exit" '\260\005\346\364\353\376'     # 5 to port 0xF4
guest "$tmp/exit501" '\260\001\146\272\001\005\356\353\376'
guest "$tmp/reset" '\260\376\346\144\353\376'    # the keyboard controller's
# Says the first module's first byte, the sixth of its command line, and the second module's first:
# mov 24(%ebx), %esi; mov (%esi), %edi; mov (%edi), %al; ... 8(%esi) ... 16(%esi)
guest "$tmp/modules" "\\213\\163\\030\\213\\076\\212\\007$say\\213\\176\\010\\212\\107\\005$say\\213\\176\\020\\212\\007$say$off"
# movb $1, 0xF0000000; then off
guest "$tmp/absent" "\\306\\005\\000\\000\\000\\360\\001$off"

# VGA text: mov $0xB8000, %edi; then words of a character and its colour
show='\277\000\200\013\000'
cell() { printf '\146\307\107\\%o\\%o\007' "$1" "$2"; } # cell OFFSET CODE: movw $0x0700 | CODE, OFFSET(%edi)
vga="$show$(cell 4 186)$(cell 6 72)$(cell 8 105)"
guest "$tmp/vga" "$vga$off"
guest "$tmp/both" "$vga\\260H$say$off"

run() { # run STATUS ARGUMENTS...
	wanted=$1 status=0
	shift
	timeout 60 "$umbra" run -m 16 "$@" </dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
	[ "$status" = "$wanted" ] || { cat "$tmp/out" "$tmp/err"; echo "status $status, not $wanted"; false; }
}
says() { [ "$(cat "$1")" = "$2" ] || { echo "said '$(cat "$1")', not '$2'"; false; }; }
silent() { [ ! -s "$1" ] || { cat "$1"; false; }; }
json() { # one line, an object of numbers
	[ "$(wc -l <"$tmp/err")" = 1 ] && grep -q -x -E '\{("[a-z0-9_]+":[0-9]+,?)+\}' "$tmp/err" || { cat "$tmp/err"; false; }
}

json_of_some_engine() {
	cp "$tmp/err" "$tmp/auto"
	tail -n 1 "$tmp/auto" | grep -q -x -E '\{("[a-z0-9_]+":[0-9]+,?)+\}' || { cat "$tmp/auto"; false; }
	grep -q direct_blocks "$tmp/auto" || has '^umbra: note: -engine portable: ' "$tmp/auto"
}
limited() { # limited ENGINE STATUS: under a limit of address space
	(ulimit -v 2000000 && run "$2" "$tmp/hello" -engine "$1") && [ "$(wc -l <"$tmp/err")" = 1 ] && has '^umbra: ' "$tmp/err"
}

plan 53
check "-version" "$umbra" -version
check "help" "$umbra" help
check "help run" "$umbra" help run
check "the console is standard output" run 0 "$tmp/hello"
check "... as said" says "$tmp/out" Hi
check "... and nothing else" silent "$tmp/err"
check "-serial file:" run 0 "$tmp/hello" -serial "file:$tmp/serial"
check "... holds the console" says "$tmp/serial" Hi
check "... standard output does not" silent "$tmp/out"
check "-serial null" run 0 "$tmp/hello" -serial null
check "... says nothing" silent "$tmp/out"
check "isa-debug-exit: the guest's status" run 11 "$tmp/exit" -device isa-debug-exit,iobase=0xf4,iosize=0x04
check "... at its usual port" run 3 "$tmp/exit501" -device isa-debug-exit
check "-no-reboot: a reset ends" run 0 "$tmp/reset" -no-reboot
check "halted with interrupts off: status 8" run 8 "$halt"
echo 2 >"$tmp/two"
check "-module" run 0 "$tmp/modules" -module "$tmp/serial word" -module "$tmp/two"
check "... contents and command line arrive" says "$tmp/out" "H$(echo "$tmp/serial word" | cut -c 6)2"
check "-initrd lists modules as QEMU has it" run 0 "$tmp/modules" -initrd "$tmp/serial word,$tmp/two"
check "... they arrive" says "$tmp/out" "H$(echo "$tmp/serial word" | cut -c 6)2"
check "-d int" run 6 "$build/guests/bad/triple-fault" -d int -D "$tmp/log"
check "... logs exceptions" has '^int 06.*eax' "$tmp/log"
check "-d in_asm" run 0 "$tmp/hello" --d=in_asm
check "... shows code" has 'out %al, %dx' "$tmp/err"
check "-d shadow,unimp" run 0 "$tmp/absent" -d shadow,unimp
check "... shows fills" has '^shadow fill gva' "$tmp/err"
check "... and absent memory" has '^unimp write 1 bytes at gpa f0000000' "$tmp/err"
check "--stats=json" run 0 "$tmp/hello" --stats=json --opt none --tables 8 --roots 1
check "... is an object of numbers" json
check "-engine portable" run 0 "$tmp/hello" -engine portable
check "... says the same" says "$tmp/out" Hi
check "-engine other is refused" run 2 "$tmp/hello" -engine other
check "-engine auto" run 0 "$tmp/hello" -engine auto -stats=json
check "... says the same" says "$tmp/out" Hi
check "... and its figures, and a reason where it is not direct" json_of_some_engine
check "-direct-worlds 1 is refused" run 2 "$tmp/hello" -direct-worlds 1
check "-direct-mappings 1 is refused" run 2 "$tmp/hello" -direct-mappings 1
if run 0 "$tmp/hello" -engine direct >"$tmp/why" 2>&1; then
	check "-engine direct" says "$tmp/out" Hi
	check "... is what auto is" has direct_blocks "$tmp/auto"
	check "-direct-worlds, -direct-mappings" run 0 "$tmp/hello" -engine direct -direct-worlds 2 -direct-mappings 256
	check "... the same" says "$tmp/out" Hi
	check "-opt none -engine direct" run 0 "$tmp/hello" -engine direct -opt none
	check "... the same" says "$tmp/out" Hi
	check "-no-opt, direct's" run 0 "$tmp/hello" -engine direct -no-opt link,returns,soft,runs,inline
	check "... the same" says "$tmp/out" Hi
	check "no room for address spaces: auto runs" limited auto 0
	check "... direct says one line" limited direct 4
else
	check "-engine direct: one line, status 4" run 4 "$tmp/hello" -engine direct
	for i in 2 3 4 5 6 7 8 9 10; do skip "direct $i" "no direct engine here"; done
fi
check "--stats" run 0 "$tmp/hello" --stats --no-opt chain,tlb --budget 64 --prefetch 0
check "text in VGA memory only" run 0 "$tmp/vga"
check "... is hinted at" says "$tmp/err" 'umbra: the guest wrote text to VGA memory at 0xB8000: there is no screen; Ctrl-A c, info screen shows it: "  |Hi"'
check "text there and on the console" run 0 "$tmp/both"
check "... needs no hint" silent "$tmp/err"
check "options of QEMU's that change nothing" run 0 "$tmp/hello" -name x -rtc base=utc,clock=host -boot order=c -net none -vga std \
	-accel tcg,thread=single -parallel none -nodefaults -no-acpi -no-hpet -machine pc,accel=tcg -nographic
check "... without a word" silent "$tmp/err"
