#!/bin/sh
# SPDX-License-Identifier: MIT
# A stock gdb, driven by a script: on the built-in guest and on Debian's stock kernel.  What it does changes nothing of
# what the guest says, and when it has gone the guest goes on to its end.
. tests/lib/tap.sh

umbra=$build/umbra
image=$build/guests/hello
command -v gdb >/dev/null || skip_all "no gdb here"
[ -e "$image" ] || skip_all "no 32-bit guests were built here"
socket=$tmp/gdb

# start INPUT OPTIONS...: a guest in the background, its output in $tmp/out; when it waits for a debugger
start() {
	rm -f "$socket"
	input=$1
	shift
	(
		status=0
		timeout 120 "$umbra" run -gdb "unix:$socket" -serial stdio -monitor none "$@" <"$input" >"$tmp/out" 2>"$tmp/err" || status=$?
		echo "$status" >"$tmp/status"
	) &
	guest=$!
	for i in $(seq 100); do
		[ -S "$socket" ] && return
		sleep 0.1
	done
	cat "$tmp/err"
	return 1
}
# debug COMMAND...: gdb's answers in $tmp/gdb.out
debug() {
	printf '%s\n' 'set pagination off' 'set confirm off' 'set architecture i386' "target remote $socket" "$@" >"$tmp/script"
	timeout 60 gdb -nx -batch -x "$tmp/script" >"$tmp/gdb.out" 2>&1
	grep -q 'Error in sourced command file' "$tmp/gdb.out" && { cat "$tmp/gdb.out"; return 1; }
	return 0
}
ends() { # ends STATUS: the guest does, by itself
	wait "$guest"
	[ "$(cat "$tmp/status")" = "$1" ] || { tail -n 5 "$tmp/out"; cat "$tmp/err" "$tmp/status"; false; }
}
answers() { # answers PATTERN...: in gdb's output, in this order
	cp "$tmp/gdb.out" "$tmp/rest"
	for pattern; do
		line=$(grep -n -m 1 -e "$pattern" "$tmp/rest" | cut -d : -f 1)
		[ -n "$line" ] || { echo "no line matches $pattern in its place in:"; cat "$tmp/gdb.out"; return 1; }
		sed -i "1,${line}d" "$tmp/rest"
	done
}
plan 17

# ---- The built-in guest ---------------------------------------------------------------------------

said() { tr -d '\r' <"$1" | sed 's/\(BOOT-OK\|SELF-CHECK ok\).*/\1/'; }
undisturbed() {
	timeout 60 "$umbra" run "$image" -append selfcheck -serial stdio -monitor none </dev/null >"$tmp/plain" 2>&1 &&
		said "$tmp/plain" >"$tmp/want" && said "$tmp/out" >"$tmp/got" && diff "$tmp/want" "$tmp/got"
}
session() {
	start /dev/null "$image" -append selfcheck -S &&
		debug "symbol-file $image" 'break *guest_main' 'continue' 'info breakpoints' \
			'stepi' 'x/i $pc' 'info registers cr0 gdtr_base' \
			'tbreak *take_frame' 'continue' 'finish' \
			'watch *(int *)&ticks' 'continue' 'continue' 'x/dw &ticks' 'delete' \
			'hbreak *system_call' 'continue' 'bt 1' 'info threads' 'monitor info registers' 'delete' \
			'tbreak *dig' 'continue' 'p $cs & 3' 'x/2xb $pc' 'set $old = $eax' 'set var $eax = 0x12345678' \
			'info registers eax' 'set var $eax = $old' 'x/dw $esp - 64' 'set var *(int *)($esp - 64) = 77' \
			'x/dw $esp - 64' 'monitor pt --at eip' 'detach'
}
check "a scripted session on the built-in guest" session
check "... stops at a symbol, steps, sees control registers" answers 'Breakpoint 1, .*guest_main' 'guest_main+1' \
	'cr0 .*PE' 'gdtr_base'
check "... finishes a function" answers 'Temporary breakpoint 2, .*take_frame' 'in paging_start'
check "... watches a variable" answers 'Hardware watchpoint' 'Old value = 0' 'New value = 1' 'Old value = 1' \
	'New value = 2' '<ticks>:	2'
check "... by a hardware breakpoint, with threads and the monitor" answers 'Breakpoint 4, .*system_call' '^#0 .*system_call' \
	'Thread 1 (CPU#0 .running, ring 0.)' '^eax=.* ebx='
check "... in ring 3, where nothing was mapped when the breakpoint was set" answers 'Temporary breakpoint 5, .*dig' \
	'= 3' '<dig>:' 'eax  *0x12345678' ':	77$' '^physical address .*010 (RAM)'
check "... and goes on to its end" ends 0
check "... which says what it says without a debugger" undisturbed

# An idle guest is interrupted; a second debugger comes after the first; the monitor knows; it dies without a word.
interrupted() {
	mkfifo "$tmp/keys"
	exec 7<>"$tmp/keys" # (opening it for one side alone would wait for the other)
	start "$tmp/keys" "$image" || return 1
	for i in $(seq 100); do
		grep -q 'hello> ' "$tmp/out" && break
		sleep 0.1
	done
	# (A step of a halted processor waits for its interrupt and stops at the handler; one more is of the handler.)
	debug "symbol-file $image" 'break *0x12345678' 'info threads' 'stepi' 'printf "if %d\n", $eflags & 0x200' 'stepi' \
		'info threads' 'detach' || return 1
	answers 'Thread 1 (CPU#0 .*ring 0' '^if 0' 'CPU#0 .running, ring 0' || return 1
	printf '%s\n' 'set pagination off' "target remote $socket" "symbol-file $image" 'break *keys_interrupt' 'echo going\n' \
		'continue' 'info threads' 'delete' 'continue' >"$tmp/script"
	timeout -s KILL 60 gdb -nx -batch -x "$tmp/script" >"$tmp/gdb.out" 2>&1 &
	gdb=$!
	for i in $(seq 100); do
		grep -q '^going' "$tmp/gdb.out" && break
		sleep 0.1
	done
	sleep 0.3
	pid=$(pgrep -P $gdb gdb)
	kill -INT "$pid"
	for i in $(seq 100); do
		grep -q SIGINT "$tmp/gdb.out" && break
		sleep 0.1
	done
	sleep 0.3
	kill -KILL "$pid"
	wait $gdb
	printf 'poweroff\r' >&7
	exec 7>&-
	answers 'received signal SIGINT' 'CPU#0 .halted, ring 0'
}
check "Ctrl-C stops an idle guest" interrupted
check "... which goes on when the debugger is killed" ends 0

# At run time: the monitor says where; nonsense is one line and changes nothing.
at_run_time() {
	"$umbra" run -qmp "unix:$tmp/qmp" -serial null -monitor none -S "$image" -append selfcheck >"$tmp/out" 2>"$tmp/err" &
	guest=$!
	for i in $(seq 100); do
		[ -S "$tmp/qmp" ] && break
		sleep 0.1
	done
	"$umbra" monitor "$tmp/qmp" gdbserver "unix:$socket" && "$umbra" monitor "$tmp/qmp" gdbserver nonsense && return 1
	"$umbra" monitor "$tmp/qmp" gdbserver | grep "unix:$socket: waiting" || return 1
	debug "symbol-file $image" 'break *handle_trap' 'continue' 'monitor gdbserver none' 'monitor gdbserver' 'detach' || return 1
	answers 'Breakpoint 1, .*handle_trap' 'not from within gdb' 'a debugger is there' || return 1
	"$umbra" monitor "$tmp/qmp" gdbserver none 2>"$tmp/complaint" || grep 'nobody\|cannot\|refused' "$tmp/complaint"
	status=0
	wait $guest || status=$?
	[ "$status" = 0 ] && [ ! -e "$socket" ]
}
check "the monitor lets a debugger in, and the guest goes on to its end" at_run_time
refused() { # refused OPTIONS...: status 2 and one line
	status=0
	"$umbra" run "$@" "$image" </dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
	[ "$status" = 2 ] && [ "$(wc -l <"$tmp/err")" = 1 ] || { cat "$tmp/err"; echo "status $status"; false; }
}
check "addresses that are none are refused" eval 'refused -gdb nowhere && refused -gdb tcp:localhost:99999 && refused -s -s &&
	refused -gdb unix: && refused -engine check -s'

# A triple fault is shown before it ends the run.
fatal() {
	start /dev/null "$build/guests/bad/triple-fault" -S &&
		debug 'continue' 'info registers eip' 'continue' || return 1
	answers 'triple fault' 'received signal SIGABRT' 'eip' 'Program terminated with signal SIGABRT'
}
check "a triple fault can be looked at" fatal
check "... and then ends the run as ever" ends 6

# ---- Debian's stock kernel ------------------------------------------------------------------------

debian=$(tools/fetch-guest 2>"$tmp/fetch") || {
	skip "Debian's kernel under a debugger" "$(tail -n 1 "$tmp/fetch")"
	skip "... a program's code" "$(tail -n 1 "$tmp/fetch")"
	skip "... goes on" "$(tail -n 1 "$tmp/fetch")"
	exit 0
}
# Its symbols are what it keeps of its own in memory.  jiffies is no function, so it is not among them: jiffies_read begins
# with a load of it.  At exc_page_fault EAX is what it was entered with, the registers at the fault: EIP and CS at 48 and 52
# (unsigned: gdb 13 takes 0xffffffffb7f1f559 for an address; and in the file, not in the vDSO).
# When the program has its page it comes back to the instruction: what is there is what is in its file.
linux() {
	tools/make-initramfs "$debian/busybox" "$tmp/run.cpio" &&
		start /dev/null -kernel "$debian/vmlinuz" -initrd "$tmp/run.cpio" -no-reboot \
			-append "console=ttyS0 umbra.selfcheck panic=-1 cryptomgr.notests"
	for i in $(seq 300); do
		grep -q 'BOOT-OK' "$tmp/out" && break
		sleep 0.1
	done
	debug "monitor symbols kallsyms" "monitor symbols write $tmp/kernel.elf" "symbol-file $tmp/kernel.elf" \
		'break *exc_page_fault if (*(int *)($eax + 52) & 3) == 3 && *(unsigned *)($eax + 48) < 0x9000000' \
		'continue' 'bt 2' 'set $fault = *(unsigned *)($eax + 48)' 'set $line = $fault & ~15' 'stepi' 'nexti' 'info symbol $pc' \
		'delete' 'tbreak *$fault' 'continue' 'printf "ring %d\n", $cs & 3' "dump binary memory $tmp/code \$line \$line+16" \
		'printf "at %d\n", $line - 0x8048000' 'x/i $pc' 'monitor gva2gpa $eip' \
		'set $jiffies = *(int **)((char *)&jiffies_read + 7)' 'watch *$jiffies' 'continue' 'continue' 'bt 3' 'delete' \
		'break *do_user_addr_fault' 'continue' 'continue' 'continue' 'detach'
}
debugged() {
	linux && answers 'symbols from kallsyms' 'Breakpoint 1, .*exc_page_fault' '#1 .*handle_exception' \
		'exc_page_fault + ' '^ring 3' 'Old value' 'New value' 'Old value' 'New value' \
		'do_timer\|tick' 'Breakpoint [0-9], .*do_user_addr_fault' 'Breakpoint [0-9], .*do_user_addr_fault'
}
check "Debian's kernel: a fault of a program, its memory, jiffies" debugged
same_code() {
	at=$(sed -n 's/^at //p' "$tmp/gdb.out")
	tail -c "+$((at + 1))" "$debian/busybox" | head -c 16 | cmp - "$tmp/code" && [ "$(wc -c <"$tmp/code")" = 16 ]
}
check "... the program's code is read where it is mapped" same_code
goes_on() {
	ends 0 && tr -d '\r' <"$tmp/out" >"$tmp/text" && has '^SELF-CHECK ok' "$tmp/text" &&
		hasnt 'BUG\|WARNING\|Oops\|Call Trace\|stall\|unstable' "$tmp/text"
}
check "... and goes on to the end of its self-check" goes_on
