/* SPDX-License-Identifier: MIT */
/*
 * cli/options_qemu.c - what else is in command lines written for QEMU: accepted where nothing is lost by it, and
 * refused with a reason where something would be.
 *
 *   1. Accepted    -name, -rtc, -boot, -net, -vga, -accel...
 *   2. Absent      why_absent: options, -serial's places, -d's items
 */
#include <string.h>

#include "cli/cli.h"

/* ---- 1. Accepted ---------------------------------------------------------------------------- */

bool accept_option(struct parse *p, const char *value)
{
	(void)p, (void)value;
	return true;
}

bool accept_none(struct parse *p, const char *value)
{
	return strcmp(value, "none") == 0 || refuse_option(p, "%.60s: only none; a network is -nic user, with -machine lguest", value);
}

bool accept_vga(struct parse *p, const char *value)
{
	return strcmp(value, "none") == 0 || strcmp(value, "std") == 0 ||
	       refuse_option(p, "-vga %.60s: there is no display adapter: none, or std, which is none as well", value);
}

bool accept_accelerator(struct parse *p, const char *value)
{
	size_t length = strcspn(value, ",");
	if (length == 3 && strncmp(value, "tcg", 3) == 0)
		return true;
	if (length == 3 && strncmp(value, "kvm", 3) == 0)
		return refuse_option(p, "-accel kvm: umbra needs no KVM: leave it out");
	return refuse_option(p, "-accel %.60s: only tcg; -engine says what executes the guest", value);
}

bool accept_clock(struct parse *p, const char *value)
{
	if (strncmp(value, "base=", 5) == 0 && strcspn(value + 5, ",") != 3)
		return refuse_option(p, "-rtc %.60s: the clock is the host's, in UTC: base=utc", value);
	return true;
}

/* ---- 2. Absent ------------------------------------------------------------------------------ */

static const struct absent {
	const char *name, *why;
} options[] = {
	{ "cdrom", "no CD: give the kernel with -kernel" },
	{ "fda", "no floppy disk: a boot sector is started with -kernel, but finds no BIOS" },
	{ "fdb", "no floppy disk" },
	{ "hdb", "only -hda and -drive, with -machine lguest" },
	{ "hdc", "only -hda and -drive, with -machine lguest" },
	{ "hdd", "only -hda and -drive, with -machine lguest" },
	{ "blockdev", "-drive file=FILE, with -machine lguest" },
	{ "bios", "no BIOS: the kernel is started at once, with -kernel" },
	{ "pflash", "no firmware: the kernel is started at once, with -kernel" },
	{ "L", "no firmware files are needed: leave it out" },
	{ "enable-kvm", "umbra needs no KVM: leave it out" },
	{ "icount", "no counted time: the guest's clock is the host's" },
	{ "debugcon", "what is written to port 0xE9 is on the console already: leave it out" },
	{ "chardev", "no devices by name: -serial, -monitor and -qmp take the place itself" },
	{ "mon", "-monitor or -qmp, with the place itself" },
	{ "netdev", "-nic user, with -machine lguest" },
	{ "sdl", "no screen; the monitor's `info screen` shows VGA text memory" },
	{ "gtk", "no screen; the monitor's `info screen` shows VGA text memory" },
	{ "curses", "no screen; the monitor's `info screen` shows VGA text memory" },
	{ "vnc", "no screen; the monitor's `info screen` shows VGA text memory" },
	{ "spice", "no screen; the monitor's `info screen` shows VGA text memory" },
	{ "full-screen", "no screen; the monitor's `info screen` shows VGA text memory" },
	{ "usb", "no USB" },
	{ "usbdevice", "no USB" },
	{ "audio", "no sound" },
	{ "audiodev", "no sound" },
	{ "soundhw", "no sound" },
	{ "daemonize", "your shell's & does it, with -serial file:PATH and -qmp" },
	{ "pidfile", "your shell's $! has it" },
	{ "incoming", "-loadvm goes on from what the monitor's savevm wrote" },
	{ "global", "no properties of devices" },
	{ "smbios", "no SMBIOS" },
	{ "acpitable", "no ACPI" },
	{ "plugin", "no plugins; -trace writes what the shadow does" },
	{ "singlestep", "the monitor's `step` does it, or gdb's" },
}, places[] = {
	{ "unix:", "no socket" }, { "tcp:", "no socket" }, { "telnet:", "no socket" }, { "udp:", "no socket" },
	{ "chardev:", "no devices by name" }, { "pty", "no pseudo-terminal" }, { "vc", "no screen" },
}, items[] = {
	{ "cpu_reset", "a triple fault ends the run, and says the registers" },
	{ "guest_errors", "-check reports mistakes with page tables, unimp accesses to absent memory" },
	{ "exec", "in_asm shows code as it is decoded" },
	{ "cpu", "int shows the registers at exceptions and interrupts" },
	{ "mmu", "shadow and -trace show what happens to translations" },
	{ "page", "shadow and -trace show what happens to translations" },
	{ "pcall", "int shows exceptions and interrupts" },
	{ "out_asm", "no translated code is shown; in_asm is the guest's" },
	{ "op", "no translated code is shown; in_asm is the guest's" },
};

#define WHY(table, name, length, prefix) why_of(table, sizeof(table) / sizeof((table)[0]), name, length, prefix)

static const char *why_of(const struct absent *table, size_t count, const char *name, size_t length, bool prefix)
{
	for (size_t k = 0; k < count; k++) {
		size_t known = strlen(table[k].name);
		if ((prefix ? known <= length : known == length) && strncmp(table[k].name, name, known) == 0)
			return table[k].why;
	}
	return NULL;
}

const char *why_no_option(const char *name, size_t length)
{
	return WHY(options, name, length, false);
}

const char *why_no_place(const char *place)
{
	return WHY(places, place, strlen(place), true);
}

const char *why_no_item(const char *item, size_t length)
{
	return WHY(items, item, length, false);
}
