#!/bin/sh
# SPDX-License-Identifier: MIT
# monitor.sh - `umbra monitor` and the monitor's commands on a real run: names, tables, memory, steps, sockets.
. tests/lib/tap.sh
umbra=$build/umbra
[ -e "$build/guests/hello" ] || skip_all "no 32-bit guests were built here"
socket=$tmp/socket
pid=
stop_umbra() { [ -z "$pid" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null; pid=; }
trap 'stop_umbra; rm -rf "$tmp"' EXIT

start() { # start ARGUMENTS...: in the background, until its socket is there
	"$umbra" run "$@" </dev/null >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	tries=0
	while [ ! -S "$socket" ] && [ $tries -lt 300 ] && kill -0 $pid; do
		sleep 0.1
		tries=$((tries + 1))
	done
}
say() { # say STATUS COMMAND...: its answer in $tmp/answer, its complaint in $tmp/complaint
	wanted=$1 status=0
	shift
	timeout 60 "$umbra" monitor "$socket" "$@" >"$tmp/answer" 2>"$tmp/complaint" || status=$?
	[ "$status" = "$wanted" ] || { cat "$tmp/answer" "$tmp/complaint"; echo "status $status, not $wanted"; false; }
}
answers() { # answers PATTERN COMMAND...
	pattern=$1
	shift
	say 0 "$@" && has "$pattern" "$tmp/answer"
}
refuses() { # refuses PATTERN COMMAND...: with status 6, and in one line
	pattern=$1
	shift
	say 6 "$@" && has "$pattern" "$tmp/complaint" && [ "$(wc -l <"$tmp/complaint")" = 1 ] && [ ! -s "$tmp/answer" ]
}
until_idle() { # the guest has started, and waits
	tries=0
	until "$umbra" monitor "$socket" x/1i '$pc' | grep -q '<idle+'; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || return 1
		sleep 0.1
	done
}
address() { "$umbra" monitor "$socket" print /x "$1"; }
saved_is_same() { # by linear and by physical address, and the image's own bytes
	say 0 memsave start 64 "$tmp/linear" && say 0 pmemsave start 64 "$tmp/physical" || return 1
	cmp "$tmp/linear" "$tmp/physical" && [ "$(wc -c <"$tmp/linear")" = 64 ]
}
steps_move() { # one instruction at a time, by the symbols' names
	for _ in 1 2 3 4 5 6 7 8 9 10; do # (it may be in its tick just then)
		say 0 stop && answers '<idle+' x/1i '$pc' && refuses 'halted' step && return
		say 0 cont && sleep 0.03
	done
	false
}
several() { # four at a time
	for k in 1 2 3 4; do
		timeout 60 "$umbra" monitor "$socket" info mem >"$tmp/several.$k" & eval "p$k=\$!"
	done
	for k in 1 2 3 4; do
		eval "wait \$p$k" || return 1
		cmp "$tmp/several.1" "$tmp/several.$k" || return 1
	done
}
symbols_again() { # an ELF of the names, read by another run
	say 0 symbols write "$tmp/names.elf" && first=$(address idle) || return 1
	"$umbra" run -serial null -S -symbols "$tmp/names.elf" -qmp "unix:$tmp/second" "$build/guests/hello" </dev/null &
	second=$!
	tries=0
	while [ ! -S "$tmp/second" ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
	[ "$("$umbra" monitor "$tmp/second" print /x idle)" = "$first" ] && "$umbra" monitor "$tmp/second" quit && wait $second
}
reset_again() { # the guest starts anew: it says so again
	lines=$(grep -c 'BOOT-OK' "$tmp/console")
	say 0 system_reset || return 1
	tries=0
	while [ "$(grep -c 'BOOT-OK' "$tmp/console")" -le "$lines" ] && [ $tries -lt 300 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
	[ $tries -lt 300 ]
}
logs() { # what -d logs, from now on and until none
	say 0 log int || return 1
	tries=0
	until grep -q '^int 20 ' "$tmp/err"; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || return 1
		sleep 0.1
	done
	answers 'logged: none' log none
}
ends_well() { # status 0, its socket gone
	say 0 quit && status=0 && { wait $pid || status=$?; } && pid= && [ $status = 0 ] && [ ! -e "$socket" ]
}

plan 37
start -serial "file:$tmp/console" -qmp "unix:$socket,server=on,wait=off" "$build/guests/hello"
check "the guest runs" until_idle
check "a socket is its owner's alone" [ "$(stat -c %a "$socket")" = 600 ]
check "help lists, and explains one" answers 'info tlb \[FROM' help info
check "registers, segments, control registers" answers '^cr0=8' info registers
check "code has the names of the image that runs" answers '^00100[0-9a-f]* <start>: cli' x/1i start
check "a name plus a number is an address" answers '^start+0x1$' info symbol start+1
check "the guest's own tables, by range" answers '^000100000-[0-9a-f]* [0-9a-f]* -r-$' info mem
check "... page by page" answers '^00100000: 00100000 ---A' info tlb 0x100000 0x101fff
check "... and only those asked for" [ "$(wc -l <"$tmp/answer")" -le 2 ]
check "one address" answers 'gpa: 0x100123' gva2gpa 0x100123
check "no address" refuses 'unmapped' gva2gpa 0
check "memory is saved, by linear and physical address" saved_is_same
check "the shadow's entries" answers 'shadow entries in' info shadow
check "figures" answers '^fills' info stats
check "... by what they are of" answers "^-- the shadow's own tables$" i stats
check "interrupts" answers '^master' info irq
check "clients are served at the same time" several
check "a stopped guest that is halted does not step" steps_move
check "it says that it is paused" answers 'paused' info status
check "it goes on" say 0 cont
check "names go into an ELF file and out of it" symbols_again
check "the reset button" reset_again
check "the log is turned on and off" logs
check "an unknown command: status 6, one line" refuses 'unknown' nonsense
check "quit ends the run" ends_well
check "nobody there: status 4" eval 'status=0; "$umbra" monitor "$socket" help >"$tmp/out" 2>"$tmp/err" || status=$?; [ $status = 4 ] && [ "$(wc -l <"$tmp/err")" = 1 ]'

# From the first instruction on.
start -serial null -S -monitor none -qmp "unix:$socket" "$build/guests/hello"
first_steps() { answers '^00100[0-9a-f]* <start+' step && answers 'prelaunch\|paused' info status && answers '.' step 1000; }
check "steps from the first instruction" first_steps
check "quit while paused ends the run" ends_well

# -no-shutdown: what a triple fault left is looked at; where nobody could, the run ends.
start -serial null -no-shutdown -qmp "unix:$socket" "$build/guests/bad/triple-fault"
until_kept() {
	for i in $(seq 100); do
		answers 'paused (guest-panicked)' info status && return
		sleep 0.1
	done
	false
}
kept_end() { status=0; say 0 quit && { wait "$pid" || status=$?; pid=; [ $status = 6 ] && [ "$(grep -c '^umbra: triple fault' "$tmp/err")" = 1 ]; }; }
check "-no-shutdown keeps a triple fault" until_kept
check "... whose registers and tables can be seen" eval "answers 'eip=' info registers && answers 'paging is off' pt && refuses 'system_reset starts it anew' cont"
check "... and quit has its status, its words were said once" kept_end
alone() { status=0; timeout 20 "$umbra" run -no-shutdown "$build/guests/bad/triple-fault" </dev/null >"$tmp/out" 2>"$tmp/err" || status=$?; [ $status = 6 ]; }
check "... but not where nobody could look at it" alone

# A paravirtual guest has neither the lines nor the controller.
start -serial null -S -machine lguest -monitor "unix:$tmp/people" -qmp "unix:$socket" "$build/guests/pv.elf"
check "a machine without an NMI says so" refuses 'no NMI' nmi
check "... and without an interrupt controller" refuses 'no interrupt controller' info irq
check "... and without VGA memory" refuses 'no VGA text memory' info screen
other_socket() { # other_socket VERB WORD
	"$umbra" "$1" "$tmp/people" ${2-} >"$tmp/answer" 2>"$tmp/complaint" && return 1
	has '^umbra: that is a -monitor socket; -qmp makes the one that is needed$' "$tmp/complaint" && [ ! -s "$tmp/answer" ]
}
check "the other socket, for people: so it says" other_socket monitor help
check "... to umbra pt too" other_socket pt
say 0 quit
