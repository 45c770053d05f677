#!/bin/sh
# SPDX-License-Identifier: MIT
# bench/guests.sh - the same kernel and the same work on umbra, QEMU (TCG) and Bochs, in one run.
#
#   1. What is measured with
#   2. The peers
#   3. The runs, in turns, so that a busy minute hits all alike
#   4. The table
#
#   QUICK=1   one run, guestbench's short budget, Bochs only boots
#   RUNS=n    runs of each (default 3)
#   PEERS=    which (default "umbra qemu bochs"); ONLY=name: one row or group of guestbench
#   JSONL=    keep the raw results in this file
#
# A peer that is not installed is said to be skipped.  Bochs takes some 4 minutes to boot.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
build=${BUILD:-build}
quick=${QUICK-}
runs=${RUNS:-${quick:+1}}
runs=${runs:-3}
peers=${PEERS:-umbra qemu bochs}
memory=256

# ---- 1. What is measured with --------------------------------------------------------------------

"$top/tools/need-packages" run bench || echo "(going on with what is there)" >&2
command -v python3 >/dev/null || { echo "bench: no python3 here: guests skipped (1 skipped)"; exit 0; }
guest=$("$top/tools/fetch-guest") || { echo "bench: no guest kernel: guests skipped (1 skipped)"; exit 0; }
kernel=$guest/vmlinuz
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

if ! sh "$here/guestbench/mkinitramfs.sh" -b "$guest/busybox" "$work/initrd.gz" 2>"$work/log"; then
	tail -n 3 "$work/log" >&2
	echo "bench: guestbench does not build (gcc-multilib?): guests skipped (1 skipped)"
	exit 0
fi
words=--marks${quick:+,--quick}${ONLY:+,--only,$ONLY}
append="console=ttyS0 guestbench=$words"
results=${JSONL:-$work/results.jsonl}
: >"$results"

measure() { # measure LABEL COMMAND...
	label=$1
	shift
	echo "bench: $label" >&2
	python3 "$here/guestbench/measure.py" --timeout 3000 --label "$label" --log "$work/$label.log" \
		--append "$results" -- "$@" >/dev/null || :
}

# ---- 2. The peers --------------------------------------------------------------------------------

run_umbra() {
	measure umbra "$build/umbra" run -kernel "$kernel" -initrd "$work/initrd.gz" -m $memory -append "$append"
}

run_qemu() {
	measure qemu qemu-system-i386 -accel tcg -m $memory -nographic -no-reboot \
		-kernel "$kernel" -initrd "$work/initrd.gz" -append "$append"
}

find_file() { for file; do [ -f "$file" ] && { echo "$file"; return; }; done; return 1; }

# Bochs has no way to be handed a kernel: it boots a CD.
prepare_bochs() {
	bin=$(find_file /usr/lib/ISOLINUX/isolinux.bin) &&
		module=$(find_file /usr/lib/syslinux/modules/bios/ldlinux.c32) &&
		bios=$(find_file /usr/share/bochs/BIOS-bochs-latest) &&
		vga=$(find_file /usr/share/vgabios/vgabios.bin /usr/share/bochs/VGABIOS-lgpl-latest) &&
		command -v xorriso >/dev/null || return 1
	mkdir -p "$work/cd/isolinux"
	cp "$bin" "$module" "$work/cd/isolinux/"
	cp "$kernel" "$work/cd/vmlinuz"
	cp "$work/initrd.gz" "$work/cd/initrd.gz"
	[ -z "$quick" ] || append="console=ttyS0 bootonly"
	printf 'default linux\nlabel linux\nkernel /vmlinuz\ninitrd /initrd.gz\nappend %s\n' "$append" \
		>"$work/cd/isolinux/isolinux.cfg"
	append="console=ttyS0 guestbench=$words"
	xorriso -as mkisofs -quiet -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot \
		-boot-load-size 4 -boot-info-table -o "$work/bochs.iso" "$work/cd" 2>"$work/log" || return 1
	cat >"$work/bochsrc" <<-END
		plugin_ctrl: speaker=0
		megs: $memory
		cpu: model=core_duo_t2400_yonah, count=1, ips=30000000, reset_on_triple_fault=0
		clock: sync=none
		romimage: file=$bios
		vgaromimage: file=$vga
		display_library: rfb, options="timeout=0"
		ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
		ata0-master: type=cdrom, path=$work/bochs.iso, status=inserted
		boot: cdrom
		com1: enabled=1, mode=file, dev=/dev/stdout
		panic: action=fatal
		log: $work/bochs.out
	END
	echo c >"$work/bochs.rc" # Debian's Bochs starts in its debugger
}

run_bochs() { measure bochs bochs -q -f "$work/bochsrc" -rc "$work/bochs.rc"; }

there=
for peer in $peers; do
	case $peer in
	umbra) there="$there umbra" ;;
	qemu)
		if command -v qemu-system-i386 >/dev/null; then there="$there qemu"
		else echo "bench: no qemu-system-i386 here: 1 skipped" >&2; fi ;;
	bochs)
		if command -v bochs >/dev/null && prepare_bochs; then there="$there bochs"
		else echo "bench: no Bochs here (bochs, bochsbios, vgabios, isolinux, xorriso): 1 skipped" >&2; fi ;;
	*) echo "bench: unknown peer $peer" >&2; exit 2 ;;
	esac
done

# ---- 3. The runs ---------------------------------------------------------------------------------

n=0
while [ "$n" -lt "$runs" ]; do
	for peer in $there; do "run_$peer"; done
	n=$((n + 1))
done

# ---- 4. The table --------------------------------------------------------------------------------

echo "## Guests"
echo
python3 "$here/report.py" "$results"
