/* SPDX-License-Identifier: MIT */
/*
 * cli/options_devices.c - the options that say what machine it is and what is plugged into it.
 *
 *   1. -machine
 *   2. -drive, -hda, -snapshot
 *   3. -nic
 *   4. -hypercalls
 */
#include <string.h>

#include "cli/cli.h"
#include "machine/virtio/net_options.h"

/* ---- 1. -machine ---------------------------------------------------------------------------- */

/* "NAME" or "type=NAME", then properties. */
bool set_machine(struct parse *p, const char *value)
{
	static const char *const names[] = { [MACHINE_AUTO] = "auto", [MACHINE_PC] = "pc",
		                             [MACHINE_LGUEST] = "lguest" };
	const char *at = strncmp(value, "type=", 5) == 0 ? value + 5 : value;
	size_t length = strcspn(at, ","), n = 0;
	while (n < 3 && (strlen(names[n]) != length || strncmp(at, names[n], length) != 0))
		n++;
	if (n == 3)
		return refuse_option(p, "-machine %.60s: auto, pc or lguest", value);
	p->o->machine = (enum machine_choice)n;
	for (at += length; *at == ','; at += length) {
		char family[16];
		length = strcspn(++at, ",");
		if (length == 9 && strncmp(at, "accel=tcg", 9) == 0)
			continue;
		if (strncmp(at, "accel=", 6) == 0)
			return accept_accelerator(p, at + 6);
		if (strncmp(at, "family=", 7) != 0 || n == MACHINE_PC)
			return refuse_option(p, "-machine %.60s: unknown property", value);
		snprintf(family, sizeof family, "%.*s", (int)(length - 7 < 15 ? length - 7 : 15), at + 7);
		if (!lguest_parse_family(family, &p->o->family))
			return refuse_option(p, "-machine %.60s: a family is auto, B, C, D, E, F, G1 or G2",
			                     value);
	}
	return true;
}

/* ---- 2. -drive, -hda, -snapshot ------------------------------------------------------------- */

static bool add_drive(struct parse *p, const struct vm_drive *drive, const char *path, size_t length)
{
	struct run_options *o = p->o;
	if (o->drives == VM_DRIVES_MAX)
		return refuse_option(p, "-drive: at most %u disks", VM_DRIVES_MAX);
	if (length == 0 || length >= DRIVE_PATH_MAX)
		return refuse_option(p, "-drive: file=FILE is expected, a name of at most %u bytes",
		                     DRIVE_PATH_MAX - 1);
	memcpy(o->drive_path[o->drives], path, length);
	o->drive_path[o->drives][length] = 0;
	o->drive[o->drives] = *drive;
	o->drive[o->drives].path = o->drive_path[o->drives];
	o->drives++;
	return true;
}

/* "on" or "off" after the `=`. */
static bool parse_switch(struct parse *p, const char *text, size_t length, bool *value)
{
	*value = length == 2 && strncmp(text, "on", 2) == 0;
	return *value || (length == 3 && strncmp(text, "off", 3) == 0) ||
	       refuse_option(p, "-drive: %.*s: on or off", (int)(length < 40 ? length : 40), text);
}

static bool drive_property(struct parse *p, struct vm_drive *drive, const char *at, size_t length,
                           const char **path, size_t *path_length)
{
	static const char *const harmless[] = { "format=raw", "if=virtio", "if=none", "index=0", "media=disk" };
	if (strncmp(at, "file=", 5) == 0) {
		*path = at + 5;
		*path_length = length - 5;
		return true;
	}
	if (strncmp(at, "readonly=", 9) == 0)
		return parse_switch(p, at + 9, length - 9, &drive->read_only);
	if (strncmp(at, "snapshot=", 9) == 0)
		return parse_switch(p, at + 9, length - 9, &drive->snapshot);
	for (size_t n = 0; n < sizeof harmless / sizeof *harmless; n++)
		if (strlen(harmless[n]) == length && strncmp(at, harmless[n], length) == 0)
			return true;
	return refuse_option(p, "-drive: unknown property '%.*s': file=FILE, readonly=, snapshot=; format=raw, if=virtio, "
	                        "media=disk", (int)(length < 40 ? length : 40), at);
}

bool set_drive(struct parse *p, const char *value)
{
	struct vm_drive drive = { 0 };
	const char *path = NULL;
	size_t path_length = 0;
	for (const char *at = value;; at++) {
		size_t length = strcspn(at, ",");
		if (!drive_property(p, &drive, at, length, &path, &path_length))
			return false;
		at += length;
		if (!*at)
			return add_drive(p, &drive, path, path_length);
	}
}

bool set_hda(struct parse *p, const char *value)
{
	const struct vm_drive drive = { 0 };
	return add_drive(p, &drive, value, strlen(value));
}

bool set_snapshot(struct parse *p, const char *value)
{
	(void)value;
	return p->o->snapshot = true;
}

/* ---- 3. -nic -------------------------------------------------------------------------------- */

bool set_nic(struct parse *p, const char *value)
{
	if (strcmp(value, "none") == 0)
		return true;
	if (strncmp(value, "user", 4) != 0 || (value[4] != 0 && value[4] != ','))
		return refuse_option(p, "-nic %.60s: user[,hostfwd=tcp::PORT-:PORT] or none", value);
	if (p->o->nets == VM_NETS_MAX)
		return refuse_option(p, "-nic: at most %u networks", VM_NETS_MAX);
	struct net_options ports;
	char why[120];
	if (!net_parse_options(value, &ports, why, sizeof why))
		return refuse_option(p, "-nic: %s", why);
	p->o->net[p->o->nets++] = value[4] ? value + 5 : "";
	return true;
}

/* ---- 4. -hypercalls ------------------------------------------------------------------------- */

bool set_hypercalls(struct parse *p, const char *value)
{
	(void)value;
	return p->o->hypercalls = true;
}
