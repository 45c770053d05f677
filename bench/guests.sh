#!/bin/sh
# SPDX-License-Identifier: MIT
# bench/guests.sh - the same kernel and the same work on both of umbra's engines, on QEMU (TCG) and on Bochs; and the
# same work on this machine itself.
#
#   1. What is measured with
#   2. The peers
#   3. Which of them are here
#   4. The runs, in turns, so that a busy minute hits all alike
#   5. The table and the chart: $BUILD/bench/guests.md, guests.svg
#
#   QUICK=1       one run, guestbench's short budget, Bochs only boots
#   RUNS=n        runs of each (default 5)
#   BOCHS_RUNS=n  of Bochs (default 1; 0: none): it takes minutes to boot
#   PEERS=        which (default "native direct portable qemu bochs")
#   ONLY=name     one row or group of guestbench, or several with commas
#   UMBRA_ARGS=   more words for umbra run, such as "-check tlb" to see what that costs
#   JSONL=        keep the raw results in this file (default $BUILD/bench/guests.jsonl)
#   README=1      put the table into README.md and the chart into docs/
#
# A peer that is not here is said to be skipped; one that does not boot gets cells that say so, and what its console
# last said is in $BUILD/bench/PEER.log.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
build=${BUILD:-build}
quick=${QUICK-}
runs=${RUNS:-${quick:+1}}
runs=${runs:-5}
bochs_runs=${BOCHS_RUNS:-1}
peers=${PEERS:-native direct portable qemu bochs}
memory=256
umbra=$build/umbra

die() { echo "bench: $*" >&2; exit 2; }
for number in "$runs" "$bochs_runs"; do
	case $number in '' | *[!0-9]*) die "RUNS and BOCHS_RUNS are numbers" ;; esac
done
for peer in $peers; do
	case $peer in native | direct | portable | qemu | bochs) ;; *) die "unknown peer $peer" ;; esac
done
[ -z "${README-}" ] || [ -z "${ONLY-}" ] || die "README=1 is for all rows: not with ONLY="

# ---- 1. What is measured with --------------------------------------------------------------------

"$top/tools/need-packages" run bench || echo "(going on with what is there)" >&2
command -v python3 >/dev/null || { echo "bench: no python3 here: guests skipped (1 skipped)"; exit 0; }
guest=$("$top/tools/fetch-guest") || { echo "bench: no guest kernel: guests skipped (1 skipped)"; exit 0; }
kernel=$guest/vmlinuz
mkdir -p "$build/bench"
work=$(mktemp -d)
scratch=$(mktemp -d /dev/shm/umbra-bench.XXXXXX 2>/dev/null) || scratch=$(mktemp -d)
results=$work/results.jsonl
keep=${JSONL:-$build/bench/guests.jsonl}
clean_up() { # what was measured is kept, even of a run that was broken off
	if grep -q '"label"' "$results" 2>/dev/null; then
		mkdir -p "$(dirname "$keep")"
		cp "$results" "$keep" || :
	fi
	rm -rf "$work" "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

initrd=$work/initrd.gz
if ! sh "$here/guestbench/mkinitramfs.sh" -b "$guest/busybox" "$initrd" 2>"$work/log"; then
	tail -n 3 "$work/log" >&2
	echo "bench: guestbench does not build (gcc-multilib?): guests skipped (1 skipped)"
	exit 0
fi
# The natively run programs are the guest's own, byte for byte.
(cd "$work" && gzip -dc "$initrd" | cpio --quiet -id --no-absolute-filenames bin/guestbench bin/busybox)

append="console=ttyS0 guestbench=--marks${quick:+,--quick}${ONLY:+,--only,$ONLY}"
boot_only="console=ttyS0 bootonly"

# What is known of the whole, for the caption: KEY=VALUE...
about() {
	python3 -c 'import json, sys; print(json.dumps({"about": dict(a.split("=", 1) for a in sys.argv[1:])}))' "$@" >>"$results"
}

measure() { # measure LABEL KIND [OPTIONS OF measure.py...] -- COMMAND...
	label=$1 kind=$2
	shift 2
	echo "bench: $label${kind:+ ($kind)}" >&2
	python3 "$here/guestbench/measure.py" --label "$label" --kind "$kind" --log "$build/bench/$label${kind:+-$kind}.log" \
		--append "$results" "$@" >/dev/null || :
}

# ---- 2. The peers --------------------------------------------------------------------------------

# On one CPU: to wake a process on another takes longer than the rest of the pipe, fork and signal rows, and a guest has
# one CPU.
run_native() {
	measure native "" --timeout 900 --stall 180 -- ${pin:+taskset -c "$pin"} "$work/bin/guestbench" --dir "$scratch" \
		--shell "$work/bin/busybox" ${quick:+--quick} ${ONLY:+--only "$ONLY"}
}

run_umbra() { # run_umbra ENGINE: as it is; and as far as BOOT-OK with a kernel that the guest unpacks
	measure "$1" "" --timeout 1800 --stall 180 -- "$umbra" run ${engines:+-engine "$1"} ${UMBRA_ARGS-} -kernel "$kernel" \
		-initrd "$initrd" -m $memory -append "$append"
	measure "$1" packed --timeout 600 --stall 180 --boot-only -- "$umbra" run ${engines:+-engine "$1"} -packed \
		-kernel "$kernel" -initrd "$initrd" -m $memory -append "$boot_only"
}
run_direct() { run_umbra direct; }
run_portable() { run_umbra portable; }

run_qemu() {
	measure qemu "" --timeout 1800 --stall 180 -- qemu-system-i386 -accel tcg -m $memory -nographic -no-reboot \
		-kernel "$kernel" -initrd "$initrd" -append "$append"
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
	cp "$initrd" "$work/cd/initrd.gz"
	line=$append
	[ -z "$quick" ] || line=$boot_only
	printf 'default linux\nlabel linux\nkernel /vmlinuz\ninitrd /initrd.gz\nappend %s\n' "$line" \
		>"$work/cd/isolinux/isolinux.cfg"
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

run_bochs() {
	measure bochs "${quick:+boot}" --timeout 3600 --stall 900 ${quick:+--boot-only} -- bochs -q -f "$work/bochsrc" -rc "$work/bochs.rc"
}

# ---- 3. Which of them are here -------------------------------------------------------------------

there=
skip() { # skip PEER WHY
	echo "bench: $1: $2: 1 skipped" >&2
	about "skipped $1=$2"
}

pin=
if command -v taskset >/dev/null; then # the last of the CPUs that we may use
	pin=$(taskset -cp $$ | sed 's/.*[^0-9]//')
fi
"$work/bin/guestbench" --list >"$work/list" 2>/dev/null || :
about "rows=$(cat "$work/list")"
if [ -s "$work/list" ]; then
	for name in $(echo "${ONLY-}" | tr , ' '); do
		awk -v name="$name" '$1 == name || $2 == name { found = 1 } END { exit !found }' "$work/list" ||
			die "no row or group $name; there are: $(awk '{ print $2 }' "$work/list" | xargs)"
	done
fi
engines=
if "$umbra" run --help | grep -q -e '-engine'; then engines=1; fi

for peer in $peers; do
	case $peer in
	native)
		if [ -s "$work/list" ]; then there="$there native"
		else skip native "this machine runs no 32-bit programs"; fi ;;
	direct) if [ -n "$engines" ]; then there="$there direct"; else skip direct "this umbra has no -engine"; fi ;;
	portable) there="$there portable" ;;
	qemu)
		if command -v qemu-system-i386 >/dev/null; then there="$there qemu"
		else skip qemu "no qemu-system-i386 here"; fi ;;
	bochs)
		if [ "$bochs_runs" = 0 ]; then skip bochs "BOCHS_RUNS=0"
		elif command -v bochs >/dev/null && prepare_bochs; then there="$there bochs"
		else skip bochs "not here (bochs, bochsbios, vgabios, isolinux, syslinux-common, xorriso)"; fi ;;
	esac
done

cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
about "kernel=$(sed -n 's/.*linux-image-\([^_]*\)_.*/\1/p' "$guest/VERSION" 2>/dev/null)" "memory=$memory" \
	"machine=${cpu:-$(uname -m)}, $(nproc) CPUs, Linux $(uname -r | sed 's/-.*//')" "date=$(date +%Y-%m-%d)" \
	"umbra=$(git -C "$top" describe --always --dirty 2>/dev/null)" "quick=$quick" "only=${ONLY-}" "pin=$pin"
case " $there " in *" qemu "*)
	about "qemu=$(qemu-system-i386 --version | sed -n 's/.*version \([0-9.]*\).*/\1/p')" ;;
esac
case " $there " in *" bochs "*)
	about "bochs=$(dpkg-query -W -f '${Version}' bochs 2>/dev/null | sed 's/[-+].*//')" ;;
esac

# ---- 4. The runs ---------------------------------------------------------------------------------

n=0
while [ "$n" -lt "$runs" ] || [ "$n" -lt "$bochs_runs" ]; do
	for peer in $there; do
		limit=$runs
		[ "$peer" != bochs ] || limit=$bochs_runs
		[ "$n" -ge "$limit" ] || "run_$peer"
	done
	n=$((n + 1))
done

# ---- 5. The table and the chart ------------------------------------------------------------------

echo "## Guests"
echo
python3 -B "$here/report.py" --markdown "$build/bench/guests.md" --svg "$build/bench/guests.svg" \
	${README:+--readme "$top/README.md" --readme-svg "$top/docs/guests.svg"} "$results"
