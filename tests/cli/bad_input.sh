#!/bin/sh
# SPDX-License-Identifier: MIT
# bad_input.sh - what is wrong with a command line or an image is said in one line, with the status that
# umbra(1) documents; never a crash, never a hang.
#
#   1. The judge      refused STATUS WORD NAME -- ARGUMENTS
#   2. Files          good and bad images, made here
#   3. The cases      command lines, kernels, ramdisks, memory, logs
set -u
umbra=${BUILD:-build}/umbra
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0

# ---- 1. The judge ------------------------------------------------------------------------------

verdict() { # verdict PROBLEM NAME: an empty problem is good
	count=$((count + 1))
	if [ -z "$1" ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		echo "# $1; it said:"
		sed 's/^/#   /' "$work/err"
	fi
}

refused() { # refused STATUS WORD NAME -- ARGUMENTS...
	want=$1 word=$2 name=$3
	shift 4
	status=0
	timeout 20 "$umbra" "$@" </dev/null >"$work/out" 2>"$work/err" || status=$?
	problem=
	[ "$(wc -l <"$work/err")" = 1 ] || problem="not one line on standard error"
	grep -q -e "$word" "$work/err" || problem="standard error lacks '$word'"
	[ -s "$work/out" ] && problem="something on standard output"
	[ "$status" = "$want" ] || problem="status $status instead of $want"
	verdict "$problem" "$name"
}

# ---- 2. Files ----------------------------------------------------------------------------------

word() { # 32 bits, little endian
	printf "\\$(printf %o $(($1 & 255)))\\$(printf %o $(($1 >> 8 & 255)))"
	printf "\\$(printf %o $(($1 >> 16 & 255)))\\$(printf %o $(($1 >> 24 & 255)))"
}
put() { # put FILE OFFSET: standard input goes there
	dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
zeros() { dd if=/dev/zero bs="$1" count=1 2>/dev/null; }

# A multiboot kernel by address fields, in memory at 1 MiB: cli; hlt
flags=65539 # page-align, memory, addresses
{
	word 464367618; word $flags; word $((4294967296 - 464367618 - flags))
	word 1048576; word 1048576; word 0; word 0; word 1048608
	printf '\372\364'
} >"$work/multiboot"

# A bzImage of 4 sectors and 512 bytes of zeros to run: protocol 2.04, loaded high
bzimage() { # bzimage FILE
	zeros 3072 >"$1"
	printf '\004' | put "$1" 497        # setup_sects
	word 32 | put "$1" 500              # syssize, paragraphs
	printf '\125\252\353\070HdrS' | put "$1" 510
	printf '\004\002' | put "$1" 518    # version
	printf '\001' | put "$1" 529        # LOADED_HIGH
	word 939524095 | put "$1" 556       # initrd_addr_max
}
bzimage "$work/bzimage"
bzimage "$work/bz64"
printf '\014\002' | put "$work/bz64" 518
printf '\001' | put "$work/bz64" 566        # XLF_KERNEL_64
bzimage "$work/bzcut"
word 4096 | put "$work/bzcut" 500
bzimage "$work/bzpayload"
printf '\010\002' | put "$work/bzpayload" 518
word 0 | put "$work/bzpayload" 584
word 100000 | put "$work/bzpayload" 588     # longer than the file
bzimage "$work/bzxz"
printf '\010\002' | put "$work/bzxz" 518
word 0 | put "$work/bzxz" 584
word 512 | put "$work/bzxz" 588
printf '\3757zXZ\000garbage' | put "$work/bzxz" 2560
word 4096 | put "$work/bzxz" 3068
bzimage "$work/bzold"
printf '\001\002' | put "$work/bzold" 518
bzimage "$work/bzbig"
printf '\012\002' | put "$work/bzbig" 518
word 16777216 | put "$work/bzbig" 600       # pref_address
word 16777216 | put "$work/bzbig" 608       # init_size: ends at 32 MiB

elf() { # elf FILE CLASS MACHINE
	{
		printf '\177ELF'"$2"'\001\001\000'; zeros 8
		printf '\002\000'"$3"'\000'; word 1; word 1048576; word 52; word 0; word 0
		printf '\064\000\040\000\001\000\000\000\000\000\000\000'
		word 1; word 84; word 1048576; word 1048576; word 2; word 4096; word 5; word 4096
		printf '\372\364'
	} >"$1"
}
elf "$work/elf" '\001' '\003'
elf "$work/elf64" '\002' '\076'
elf "$work/elfarm" '\001' '\050'
elf "$work/elfcut" '\001' '\003'
word 5000 | put "$work/elfcut" 68           # p_filesz
elf "$work/elfhigh" '\001' '\003'
word 3221225472 | put "$work/elfhigh" 64    # p_paddr 3 GiB
elf "$work/elfnone" '\001' '\003'
word 4 | put "$work/elfnone" 52             # PT_NOTE
elf "$work/elfmb2" '\001' '\003'
zeros 10 | put "$work/elfmb2" 86
word 3897708758 | put "$work/elfmb2" 96     # a multiboot 2 header of 24 bytes
word 0 | put "$work/elfmb2" 100
word 24 | put "$work/elfmb2" 104
word 397258514 | put "$work/elfmb2" 108

: >"$work/empty"
zeros 100000 >"$work/zeros"
printf 'what is this?\n' >"$work/text"
mkdir "$work/folder"
zeros 40000000 >"$work/initrd40"
zeros 100 >"$work/initrd"
mkfifo "$work/fifo"

# ---- 3. The cases ------------------------------------------------------------------------------

refused 2 'no verb' 'no verb' --
refused 2 'unknown verb' 'an unknown verb' -- walk
refused 2 'unknown verb' 'help for an unknown verb' -- help walk
refused 2 'no image' 'no image' -- run
refused 2 'unknown option' 'an unknown option' -- run -kernal "$work/elf"
refused 2 'give the kernel with -kernel' 'a CD' -- run "$work/elf" -cdrom x.iso
refused 2 'needs no KVM' 'KVM' -- run "$work/elf" -enable-kvm
refused 2 'needs no KVM' 'KVM, as an accelerator' -- run "$work/elf" -accel kvm
refused 2 'needs no KVM' 'KVM, as a property' -- run "$work/elf" -machine pc,accel=kvm
refused 2 'no counted time' 'counted time' -- run "$work/elf" -icount shift=0
refused 2 '0xE9' 'a debug console' -- run "$work/elf" --debugcon=stdio
refused 2 'no socket here' 'a console on a socket' -- run "$work/elf" -serial unix:/x,server
refused 2 'no pseudo-terminal' 'a console on a pseudo-terminal' -- run "$work/elf" -serial pty
refused 2 'a triple fault' 'resets in the log' -- run "$work/elf" -d int,cpu_reset
refused 2 'reports mistakes' 'mistakes in the log' -- run "$work/elf" -d guest_errors
refused 2 'info screen' 'a window' -- run "$work/elf" -display gtk
refused 2 'UTC' 'local time' -- run "$work/elf" -rtc base=localtime
refused 2 'only none' 'a network of the old kind' -- run "$work/elf" -net nic
refused 2 'needs a value' 'an option without its value' -- run "$work/elf" -m
refused 2 'takes no value' 'a value too many' -- run "$work/elf" -no-reboot=1
refused 2 'nothing could look' '-no-shutdown that nobody could look at' -- run "$work/elf" -no-shutdown -serial null
refused 2 'two images' 'two images' -- run -kernel "$work/elf" "$work/elf"
refused 2 'needs memory' 'memory size 0' -- run "$work/elf" -m 0
refused 2 'size is expected' 'a memory size that is none' -- run "$work/elf" -m lots
refused 2 'size is expected' 'a negative memory size' -- run "$work/elf" -m -5
refused 2 'size is expected' 'a memory size past 64 bits' -- run "$work/elf" -m 99999999999999999999
refused 2 'whole MiB' 'half a MiB' -- run "$work/elf" -m 1536K
refused 2 'at most 3584 MiB' 'memory past what 32 bits leave' -- run "$work/elf" -m 4G
host=$(awk '/^MemTotal/ { print int($2 / 1024) + 1024 }' /proc/meminfo)
if [ "$host" -le 3584 ]; then
	refused 4 'memory size' '1 GiB more than the host has' -- run "$work/elf" -m "$host"
else
	refused 2 'at most 3584 MiB' '1 GiB more than the host has, and than 32 bits leave' -- run "$work/elf" -m "$host"
fi
refused 2 'only one processor' 'two processors' -- run "$work/elf" -smp 2
refused 2 'only i686' 'another processor' -- run "$work/elf" -cpu qemu64
refused 2 'pc or lguest' 'another machine' -- run "$work/elf" -machine q35
refused 2 'a family is' 'a family of lguest that is none' -- run "$work/elf" -machine lguest,family=Z
refused 2 'unknown property' 'a machine with a property that it has not' -- run "$work/elf" -machine pc,family=B
refused 2 'no disks' 'a disk for the PC' -- run "$work/elf" -machine pc -hda "$work/elf"
refused 4 'has no disks' 'a disk for an image of the PC' -- run "$work/multiboot" -hda "$work/elf"
refused 2 'make none' 'hypercalls of the PC' -- run "$work/elf" -machine pc -hypercalls
refused 2 'file=FILE' 'a drive without a file' -- run "$work/elf" -machine lguest -drive readonly=on
refused 2 'on or off' 'a drive that is read-only perhaps' -- run "$work/elf" -machine lguest -drive file=a,readonly=maybe
refused 2 'unknown property' 'a drive with an unknown property' -- run "$work/elf" -machine lguest -drive file=a,colour=red
refused 2 'at most 8' 'nine disks' -- run "$work/elf" -machine lguest -hda a -hda a -hda a -hda a -hda a -hda a -hda a -hda a -hda a
refused 4 'No such file' 'a disk that is not there' -- run "$work/elf" -machine lguest -hda "$work/missing"
refused 4 'directory' 'a folder for a disk' -- run "$work/elf" -machine lguest -hda "$work"
refused 2 'user' 'a network that is none' -- run "$work/elf" -machine lguest -nic tap
refused 2 'hostfwd' 'a forwarded port that is none' -- run "$work/elf" -machine lguest -nic user,hostfwd=tcp::x-:22
refused 4 'not -module' 'modules for an lguest guest' -- run "$work/elf" -machine lguest -module a
refused 4 'not' 'a multiboot image as an lguest guest' -- run "$work/multiboot" -machine lguest
refused 2 'isa-debug-exit' 'another device' -- run "$work/elf" -device e1000
refused 2 'bad iobase' 'a debug port out of range' -- run "$work/elf" -device isa-debug-exit,iobase=0x10000
refused 2 'unknown item' 'an unknown log item' -- run "$work/elf" -d int,everything
refused 2 'unknown item' 'an unknown optimisation' -- run "$work/elf" --opt warp
refused 2 '-serial' 'a console that is none' -- run "$work/elf" -serial tcp:1234
refused 2 'a number from 8' 'too few shadow tables' -- run "$work/elf" --tables 7
refused 2 'a number from 1' 'no root' -- run "$work/elf" --roots 0
refused 2 'cannot be used together' 'initrd and modules' -- run "$work/multiboot" -initrd a -module b
refused 2 'console elsewhere' 'two owners of the terminal' -- run "$work/elf" -monitor stdio
refused 2 'without a monitor' 'paused for ever' -- run "$work/elf" -S -serial null
refused 2 'tcp:\[HOST\]:PORT' 'a monitor nowhere' -- run "$work/elf" -monitor somewhere
refused 2 'unix:PATH is expected' 'QMP on the terminal' -- run "$work/elf" -qmp stdio
refused 2 'server=on' 'a server that waits' -- run "$work/elf" -qmp unix:x,server=on,wait=on
refused 2 'a socket already' 'two sockets for one thing' -- run "$work/elf" -qmp unix:x -qmp unix:y
refused 2 'used with a monitor' 'both engines, and a socket' -- run "$work/elf" -engine check -qmp unix:x
refused 4 'no socket' 'a socket over a file' -- run "$work/multiboot" -qmp "unix:$work/elf"
refused 4 'neither a 32-bit ELF' 'symbols of nothing' -- run "$work/multiboot" -symbols "$0"
refused 4 'nosuch' 'symbols of nobody' -- run "$work/multiboot" -symbols "$work/nosuch"
refused 4 'nosuch' 'a monitor of nobody' -- monitor "$work/nosuch" help
refused 2 'a socket and a command' 'a monitor of nothing' -- monitor
refused 2 '-D without -d' 'a log of nothing' -- run "$work/elf" -D "$work/log"
refused 4 'No such file' 'a kernel that is missing' -- run "$work/none"
refused 4 'is a directory' 'a folder as kernel' -- run "$work/folder"
refused 4 'not a regular file' 'a FIFO as kernel' -- run "$work/fifo"
refused 4 'is empty' 'an empty kernel' -- run "$work/empty"
refused 4 'not a bootable image' 'a text as kernel' -- run "$work/text"
refused 4 'not a bootable image' 'zeros as kernel' -- run "$work/zeros"
refused 4 '64-bit' 'a 64-bit bzImage' -- run "$work/bz64"
refused 4 '64-bit' 'a 64-bit ELF kernel' -- run "$work/elf64"
refused 4 'only multiboot 1' 'a multiboot 2 kernel' -- run "$work/elfmb2"
refused 4 'another processor' 'a kernel for another processor' -- run "$work/elfarm"
refused 4 'truncated' 'a truncated bzImage' -- run "$work/bzcut"
refused 4 'cut off' 'a bzImage with its payload cut off' -- run "$work/bzpayload"
refused 4 'xz payload is bad' 'a bzImage with a damaged payload' -- run "$work/bzxz"
refused 4 'too old' 'a bzImage of the last century' -- run "$work/bzold"
refused 4 'needs 32 MiB' 'too little memory for the kernel' -- run "$work/bzbig" -m 31
refused 4 'past the end' 'a truncated ELF kernel' -- run "$work/elfcut"
refused 4 'the guest has 256' 'an ELF kernel past the end of memory' -- run "$work/elfhigh"
refused 4 'nothing to load' 'an ELF kernel without segments' -- run "$work/elfnone"
refused 4 'too large' 'an initrd larger than memory' -- run "$work/bzimage" -initrd "$work/initrd40" -m 32
refused 4 'No such file' 'an initrd that is missing' -- run "$work/bzimage" -initrd "$work/none"
refused 4 'is empty' 'an empty initrd' -- run "$work/bzimage" -initrd "$work/empty"
refused 4 'command line has' 'a command line too long' -- run "$work/bzimage" -append "$(zeros 300 | tr '\0' x)"
refused 4 'too large' 'a module larger than memory' -- run "$work/multiboot" -module "$work/initrd40" -m 32
refused 4 'takes no modules' 'modules for Linux' -- run "$work/bzimage" -module "$work/initrd"
refused 4 'No such file' 'a log that cannot be' -- run "$work/elf" -d int -D "$work/none/log"
refused 4 'No such file' 'a console file that cannot be' -- run "$work/elf" -serial "file:$work/none/log"
if [ "$(id -u)" != 0 ]; then
	: >"$work/secret"
	chmod 0 "$work/secret"
	refused 4 'Permission denied' 'an unreadable kernel' -- run "$work/secret"
else
	count=$((count + 1))
	echo "ok $count - an unreadable kernel # SKIP root reads everything"
fi
echo "1..$count"
