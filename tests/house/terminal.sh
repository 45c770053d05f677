#!/bin/sh
# SPDX-License-Identifier: MIT
# `make run` on a terminal: a shell of Debian's kernel with pipes, job control, full-screen programs, the
# right size; and the terminal as it was at the end.
. tests/lib/tap.sh
command -v tmux >/dev/null || skip_all "no tmux here"
guest=$(tools/fetch-guest 2>"$tmp/err") || skip_all "$(tail -n 1 "$tmp/err")"
[ -n "$guest" ] || skip_all "no guest"

mux() { tmux -S "$tmp/mux" "$@"; }
screen() { mux capture-pane -p -t run >"$tmp/screen" 2>/dev/null; }
wait_for() { # wait_for PATTERN SECONDS
	n=0
	while screen; ! grep -q -e "$1" "$tmp/screen"; do
		n=$((n + 1))
		[ $n -lt $(($2 * 5)) ] || { echo "no $1 on the screen:"; cat "$tmp/screen"; return 1; }
		sleep 0.2
	done
}
type_line() { mux send-keys -t run "$1" Enter; }
# What the shell answers is told from what was typed by the sum.
answers() { # answers COMMAND PATTERN
	type_line "$1"
	wait_for "$2" 60
}
# A key that is to be a signal must come when the shell no longer edits a line: on a busy host that takes a
# while, so the line says when it runs.
stops() {
	answers 'echo $((3 + 4))stop; sleep 1000' '^7stop' || return 1
	sleep 1
	mux send-keys -t run C-z
	wait_for 'Stopped.*sleep 1000' 60
}
resumes() {
	answers fg '^sleep 1000' || return 1
	sleep 1
	mux send-keys -t run C-c
	sleep 1
	answers 'jobs | grep -c Stopped; echo $((1 + 1))jobs' '^2jobs' && grep -q '^0$' "$tmp/screen"
}
interrupts() { # Ctrl-C ends a process of the guest, and only that
	answers 'echo $((4 + 5))going; sleep 2000; echo $((6 * 7))after' '^9going' || return 1
	sleep 1
	mux send-keys -t run C-c
	answers 'echo $((40 + 2))there' '^42there'
}
edits() {
	type_line 'vi /tmp/note'
	wait_for '^~' 60 || return 1
	sleep 1
	mux send-keys -t run 'iwritten in vi'
	sleep 1
	mux send-keys -t run Escape
	sleep 1
	type_line ':wq'
	sleep 1
	answers 'clear; tr a-z A-Z </tmp/note' '^WRITTEN IN VI'
}
tops() {
	type_line top
	wait_for 'Load average' 60 || return 1
	mux send-keys -t run q
	answers 'echo $((50 + 5))top' '^55top'
}

plan 9
# The shell after the run reports the status and the state of the terminal.
mux -f /dev/null new-session -d -s run -x 97 -y 31 \
	"stty -a >$tmp/before; BUILD=$build KERNEL= INITRD= MEMORY= APPEND= ARGS= tools/run-guest; echo ended \$?; stty -a >$tmp/after; sleep 1000"
check "a shell comes up" wait_for '~ # *$' 300
check "pipes" answers "seq 1 1000 | awk '{ s += \$1 } END { print s \"sum\" }'" '^500500sum'
check "the terminal's size is known" answers 'stty size' '^31 97'
check "Ctrl-Z stops a process" stops
check "a stopped process goes on, and Ctrl-C ends it" resumes
check "Ctrl-C reaches the guest's process" interrupts
check "vi" edits
check "top" tops
powers_off() {
	type_line exit
	wait_for '^ended 0' 60 && cmp "$tmp/before" "$tmp/after"
}
check "leaving the shell powers off, and the terminal is as before" powers_off
mux kill-server 2>/dev/null
