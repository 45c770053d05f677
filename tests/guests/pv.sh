#!/bin/sh
# SPDX-License-Identifier: MIT
# The paravirtual guest of our own (guests/pv), which judges the host by the interface: its TAP in each family,
# recognised or told, with one cached address space and with many, with each optimisation; devices in both
# directions; what the host says of guests that break the interface.
. tests/lib/tap.sh

image=$build/guests/pv.elf
hello=$build/guests/hello
umbra=$build/umbra
families="B C D E F G1 G"
options="prefetch unsync share install-ahead lazy-flush revalidate blocks chain fuse tlb strings flat"
tests=84
[ -e "$image" ] || skip_all "no 32-bit guests were built here"

boot() { # boot MACHINE WORDS [OPTIONS]: $tmp/text, $tmp/err, $status
	machine=$1 words=$2
	shift 2
	status=0
	timeout 60 "$umbra" run -machine "$machine" -m 32 -kernel "$image" -append "$words" -no-reboot "$@" \
		</dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
	tr -d '\r' <"$tmp/out" >"$tmp/text"
}
complain() {
	grep -v '^ok' "$tmp/text"
	head -n 3 "$tmp/err"
	echo "status $status"
	return 1
}
# All of the guest's tests, and a power-off.
judge() {
	[ "$(grep -c '^ok ' "$tmp/text")" = $tests ] && has "^1..$tests\$" "$tmp/text" &&
		hasnt '^not ok' "$tmp/text" && [ $status = 0 ] || complain
}
passes() { # passes MACHINE WORDS [OPTIONS]
	boot "$@"
	judge
}
each_option() { # each_option FAMILY
	for option in $options; do
		passes "lguest,family=$1" "family=$1 steps=1000" -opt "$option" || { echo "with only $option"; return 1; }
	done
}

# ---- devices ----

# (There are builds without a network.)
nic="-nic user"
boot lguest "family=F tests=boot" $nic
grep -q 'built without' "$tmp/err" && nic=
# What it types is there before it asks.
devices() { # devices FAMILY
	status=0
	printf 'a line for %s\n' "$1" | timeout 60 "$umbra" run -machine "lguest,family=$1" -m 32 -kernel "$image" \
		-append "family=$1 tests=devices input" -drive "file=$tmp/disk" $nic >"$tmp/out" 2>"$tmp/err" || status=$?
	tr -d '\r' <"$tmp/out" >"$tmp/text"
	has "^# echo: a line for $1\$" "$tmp/text" && hasnt '^not ok' "$tmp/text" && hasnt 'block # SKIP' "$tmp/text" &&
		[ "$(grep -c '^ok .* devices: ' "$tmp/text")" = 12 ] && [ $status = 0 ] || complain
}
same_disk() { cmp "$tmp/disk" "$tmp/disk.before"; }

# ---- ends ----

# Killed with this reason, and nothing else happened to us.
killed() { # killed FAMILY KIND REASON
	boot "lguest,family=$1" "family=$1 crash=$2"
	has "^# crash: $2\$" "$tmp/text" && hasnt 'still alive' "$tmp/text" && has "^umbra: .*$3" "$tmp/err" &&
		[ $status = 16 ] || complain
}
all_killed() { # all_killed FAMILY: of the list on standard input
	while read -r kind reason; do
		killed "$1" "$kind" "$reason" || { echo "family $1, crash=$kind"; return 1; }
	done
}
calls_killed() {
	all_killed "$1" <<-END
	init already have lguest_data
	init-queued already have lguest_data
	call Bad hypercall 4660
	old-call Bad hypercall 11
	call-queued Bad hypercall 12
	idt-type bad IDT type
	idt-range idt entry 256
	gdt too many gdt entries
	text-range bad read address
	tls-range bad read address
	END
}
stacks_killed() {
	all_killed "$1" <<-END
	stack-pages bad stack pages 3
	stack-many bad stack pages 4294967295
	stack-ring bad stack segment
	stack-user bad stack segment
	stack-absent bad stack page
	stack-readonly bad stack page
	stack-lost Bad address
	END
}
tables_killed() {
	all_killed "$1" <<-END
	pse bad page table entry
	pse-told bad page table entry
	pde-pse bad page directory entry
	pde-limit bad page
	table Bad address
	table-range .
	switcher attempt to set pte into Switcher pages
	middle Bad hypercall 13\|a PAE guest
	END
	case $? in 0) ;; *) return 1 ;; esac
	case $1 in F | G*) killed "$1" pgd-index "Attempt to set pgd" ;; esac
}
# Before the host knows it.
early_killed() {
	while read -r kind reason; do
		boot "lguest,family=$1" "family=$1 early=$kind"
		has "^umbra: .*: $reason" "$tmp/err" && [ $status = 16 ] || { complain; echo "early=$kind"; return 1; }
	done <<-END
	call hypercall 0 before INIT
	vector bad syscall vector 8
	kernel bad kernel address
	page bad guest page
	trap unhandled trap 6 at
	END
}
traps_killed() {
	all_killed "$1" <<-END
	trap unhandled trap 6 at
	page-fault unhandled trap 14 at .*12345678
	segment unhandled trap 256
	END
}
limits_killed() {
	all_killed "$1" <<-END
	limit bad page table entry
	limit-told bad page table entry
	notify Bad NOTIFY
	END
}
crashed() { # the guest's own words
	boot "lguest,family=$1" "family=$1 crash=text"
	has '^umbra: CRASH: pv: a deliberate crash$' "$tmp/err" && [ $status = 14 ] || complain
}

unhurried() { # what was dropped by a flush and goes for good has not been evicted
	boot lguest "family=F tests=stress steps=20000" -stats=json
	has '"evictions":0,' "$tmp/err" && hasnt '"tables_made":[0-9]\{1,3\},' "$tmp/err" && [ $status = 0 ] || complain
}

mistaken() { # a kernel that knows nothing of lguest
	status=0
	timeout 100 "$umbra" run -machine lguest "$hello" </dev/null >/dev/null 2>"$tmp/err" || status=$?
	has '^umbra: the guest made no hypercall (a kernel without' "$tmp/err" && [ $status = 8 ] || complain
}

restarts() { # and -no-reboot leaves it at that
	boot "lguest,family=$1" "family=$1 crash=restart"
	[ "$(grep -c '^# crash: restart$' "$tmp/text")" = 1 ] && hasnt CRASH "$tmp/err" && [ $status = 0 ] || complain
}

# ---- a day's work ----

works() { # works FAMILY [OPTIONS]
	f=$1
	shift
	boot "lguest,family=$f" "family=$f workload=forks,100" "$@"
	has '^# forks 100 of 100,' "$tmp/text" && has 'needless 0$' "$tmp/text" && [ $status = 0 ] || complain
}

dd if=/dev/urandom bs=1024 count=64 of="$tmp/disk" 2>/dev/null
cp "$tmp/disk" "$tmp/disk.before"
plan 106
for family in $families; do
	check "$family: as it is" passes "lguest,family=$family" "family=$family"
	case $family in # G1 is like F until it looks for devices
	G1) ;;
	*) check "$family: recognised by the host" passes lguest "family=$family" ;;
	esac
	check "$family: one cached address space for 24" \
		passes "lguest,family=$family" "family=$family spaces=24" -roots 1
	check "$family: 64 cached address spaces for 80" \
		passes "lguest,family=$family" "family=$family spaces=80" -roots 64
	check "$family: no optimisation" passes "lguest,family=$family" "family=$family" -opt none
	case $family in # the others differ in nothing that these know
	B | F | G) check "$family: each optimisation alone" each_option "$family" ;;
	esac
	check "$family: the fewest shadow tables" passes "lguest,family=$family" "family=$family spaces=40" -tables 8
	check "$family: console both ways, disk, entropy" devices "$family"
	check "$family: forks and execs" works "$family" -roots 4
	check "$family: a crash in the guest's words" crashed "$family"
	[ "$family" = B ] || check "$family: a restart is not a crash" restarts "$family"
	check "$family: bad calls end it" calls_killed "$family"
	check "$family: bad page tables end it" tables_killed "$family"
	check "$family: bad stacks and traps end it" eval 'stacks_killed $family && traps_killed $family'
	check "$family: a bad start ends it" early_killed "$family"
done
check "the disk is as it was" same_disk
for family in B C D E F; do # family G has devices where no memory is
	[ $family = E ] || check "$family: what is beyond the limit ends it" limits_killed $family
done
check "a kernel for a PC is named as such" mistaken
check "no table is evicted while there is room" unhurried
