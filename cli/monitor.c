/* SPDX-License-Identifier: MIT */
/*
 * cli/monitor.c - the monitor's commands: look at the guest, stop it, go on, leave.
 *
 *   1. Saying           sayf
 *   2. info             registers, mem, shadow, irq
 *   3. x, xp            memory by linear and by guest-physical address
 *   4. stop, cont, engine, quit
 *   5. The table        help, run_monitor_line
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "cli/cli.h"

/* ---- 1. Saying ------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void sayf(struct escape *e, const char *format, ...)
{
	char text[512];
	va_list list;
	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	say(e, text);
}

/* Several lines of somebody else's text, with the line ends that a raw terminal wants. */
static void say_lines(struct escape *e, char *text)
{
	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		say(e, line);
		say(e, "\r\n");
	}
}

/* ---- 2. info -------------------------------------------------------------------------------- */

static void info_registers(struct escape *e)
{
	char text[4096];
	size_t size = cpu_describe_state(vm_cpu(e->vm), text, sizeof text - 1);
	text[size < sizeof text ? size : sizeof text - 1] = 0;
	say_lines(e, text);
}

static void info_shadow(struct escape *e)
{
	char text[FIGURES_TEXT];
	describe_stats(e->vm, text, sizeof text);
	say_lines(e, text);
}

static void info_irq(struct escape *e)
{
	char text[2048];
	if (!vm_machine(e->vm)) {
		say(e, "this machine has no interrupt controller: its host injects interrupts\r\n");
		return;
	}
	size_t size = machine_describe_irq(vm_machine(e->vm), text, sizeof text - 1);
	text[size < sizeof text ? size : sizeof text - 1] = 0;
	say_lines(e, text);
}

/* Shadow leaves that continue each other, as one line. */
struct runs {
	struct escape *e;
	struct um_leaf first;
	uint64_t pages, total, lines;
};

static void say_run(struct runs *r)
{
	if (!r->pages)
		return;
	sayf(r->e, "%08" PRIx64 "-%08" PRIx64 " -> %08" PRIx64 "  %7" PRIu64 " KiB  %c%c%s\r\n", r->first.gva,
	     r->first.gva + r->pages * UM_PAGE_SIZE - 1, r->first.gfn << UM_PAGE_SHIFT, r->pages * 4,
	     r->first.rights & UM_USER ? 'u' : 's', r->first.rights & UM_WRITE ? 'w' : 'r',
	     r->first.tracked ? "  guest table" : "");
	r->lines++;
}

static bool visit_leaf(void *arg, const struct um_leaf *leaf)
{
	struct runs *r = arg;
	bool joins = r->pages && leaf->gva == r->first.gva + r->pages * UM_PAGE_SIZE &&
	             leaf->gfn == r->first.gfn + r->pages && leaf->rights == r->first.rights &&
	             leaf->tracked == r->first.tracked;
	if (!joins) {
		say_run(r);
		r->first = *leaf;
		r->pages = 0;
	}
	r->pages++;
	r->total++;
	return true;
}

static void info_mem(struct escape *e)
{
	struct runs r = { .e = e };
	um_visit(vm_shadow(e->vm), 0, visit_leaf, &r);
	say_run(&r);
	sayf(e, "%" PRIu64 " shadow entries in %" PRIu64 " runs; u user, s supervisor, w writable\r\n",
	     r.total, r.lines);
}

static const struct {
	const char *name;
	void (*run)(struct escape *e);
} infos[] = {
	{ "registers", info_registers },
	{ "mem", info_mem },
	{ "shadow", info_shadow },
	{ "stats", info_shadow },
	{ "irq", info_irq },
};

static void info(struct escape *e, char *what)
{
	for (size_t k = 0; k < sizeof infos / sizeof infos[0]; k++) {
		if (strcmp(what, infos[k].name) == 0) {
			infos[k].run(e);
			return;
		}
	}
	say(e, "info registers, mem, shadow, stats or irq\r\n");
}

/* ---- 3. x, xp ------------------------------------------------------------------------------- */

#define DUMP_MAX 4096u /* items in one command */

struct dump {
	struct escape *e;
	bool physical;
	unsigned count, size;
	char format;
	uint32_t address;
};

static size_t dump_read(const struct dump *d, uint32_t address, void *buf, size_t bytes)
{
	return d->physical ? vm_read_physical(d->e->vm, address, buf, bytes)
	                   : cpu_peek(vm_cpu(d->e->vm), address, buf, bytes);
}

/* A number, or a register: $eip, $esp, ... */
static bool parse_address(struct escape *e, const char *text, uint32_t *address)
{
	static const char *const names[] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" };
	struct cpu_state s;
	char *end;
	if (*text == '$') {
		cpu_get_state(vm_cpu(e->vm), &s);
		for (unsigned k = 0; k < 8; k++)
			if (strcmp(text + 1, names[k]) == 0) {
				*address = s.gpr[k];
				return true;
			}
		*address = strcmp(text + 1, "cr3") == 0 ? s.cr3 : s.eip;
		return strcmp(text + 1, "eip") == 0 || strcmp(text + 1, "cr3") == 0;
	}
	unsigned long long value = strtoull(text, &end, 0);
	*address = (uint32_t)value;
	return end != text && !*end && value <= UINT32_MAX;
}

/* /16xw: how many, how, how large; each may be left out. */
static bool parse_format(struct dump *d, const char *text)
{
	char *end;
	if (*text != '/')
		return *text == 0;
	unsigned long count = strtoul(text + 1, &end, 10);
	if (end != text + 1)
		d->count = count < DUMP_MAX ? (unsigned)count : DUMP_MAX;
	for (; *end; end++) {
		switch (*end) {
		case 'x': case 'd': case 'u': case 'c': case 'i': d->format = *end; break;
		case 'b': d->size = 1; break;
		case 'h': d->size = 2; break;
		case 'w': d->size = 4; break;
		default: return false;
		}
	}
	return true;
}

static void dump_code(const struct dump *d)
{
	ZydisDecoder decoder;
	ZydisFormatter formatter;
	uint32_t at = d->address;
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_ATT);
	for (unsigned k = 0; k < d->count; k++) {
		uint8_t bytes[15];
		char text[128];
		ZydisDecodedInstruction insn;
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		size_t have = dump_read(d, at, bytes, sizeof bytes);
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, have, &insn, operands))) {
			sayf(d->e, "%08x: %s\r\n", at, have ? "(bad)" : "no memory there");
			return;
		}
		ZydisFormatterFormatInstruction(&formatter, &insn, operands, insn.operand_count_visible,
		                                text, sizeof text, at, NULL);
		sayf(d->e, "%08x: %s\r\n", at, text);
		at += insn.length;
	}
}

static void dump_item(const struct dump *d, const uint8_t *bytes)
{
	uint32_t value = 0;
	memcpy(&value, bytes, d->size);
	int32_t extended = d->size == 1 ? (int8_t)value : d->size == 2 ? (int16_t)value : (int32_t)value;
	if (d->format == 'x')
		sayf(d->e, " 0x%0*x", (int)d->size * 2, value);
	else if (d->format == 'd')
		sayf(d->e, " %d", extended);
	else if (d->format == 'u')
		sayf(d->e, " %u", value);
	else
		sayf(d->e, " '%c'", value >= ' ' && value < 0x7F ? (char)value : '.');
}

static void dump_words(const struct dump *d)
{
	unsigned line = d->size == 1 ? 16 : d->size == 2 ? 8 : 4;
	for (unsigned k = 0; k < d->count; k++) {
		uint32_t at = d->address + k * d->size;
		uint8_t bytes[4];
		if (k % line == 0)
			sayf(d->e, "%s%08x:", k ? "\r\n" : "", at);
		if (dump_read(d, at, bytes, d->size) < d->size) {
			say(d->e, " no memory there");
			break;
		}
		dump_item(d, bytes);
	}
	say(d->e, "\r\n");
}

static void dump(struct escape *e, char *format, char *address, bool physical)
{
	struct dump d = { .e = e, .physical = physical, .count = 1, .size = 4, .format = 'x' };
	if (!*format && *address == '/') { /* "x /4xw ADDRESS" */
		format = address;
		address += strcspn(address, " ");
		if (*address)
			*address++ = 0;
		address += strspn(address, " ");
	}
	if (!parse_format(&d, format) || !parse_address(e, address, &d.address))
		say(e, "x/COUNT FORMAT SIZE ADDRESS, such as x/8xw 0xc1000000 or x/5i $eip: "
		       "x d u c i; b h w\r\n");
	else if (d.format == 'i')
		dump_code(&d);
	else
		dump_words(&d);
}

/* ---- 4. stop, cont, engine, quit ------------------------------------------------------------ */

static void command_info(struct escape *e, char *suffix, char *rest)
{
	(void)suffix;
	info(e, rest);
}

static void command_x(struct escape *e, char *suffix, char *rest)
{
	dump(e, suffix, rest, false);
}

static void command_xp(struct escape *e, char *suffix, char *rest)
{
	dump(e, suffix, rest, true);
}

static void command_stop(struct escape *e, char *suffix, char *rest)
{
	(void)suffix, (void)rest;
	vm_pause(e->vm, true);
}

static void command_cont(struct escape *e, char *suffix, char *rest)
{
	(void)suffix, (void)rest;
	vm_pause(e->vm, false);
}

static void command_engine(struct escape *e, char *suffix, char *rest)
{
	bool direct = strcmp(rest, "direct") == 0;
	(void)suffix;
	if (*rest && !direct && strcmp(rest, "portable") != 0) {
		say(e, "engine, engine direct or engine portable\r\n");
		return;
	}
	if (*rest && !vm_set_engine(e->vm, direct ? VM_ENGINE_DIRECT : VM_ENGINE_PORTABLE)) {
		sayf(e, "%s\r\n", vm_engine_reason(e->vm));
		return;
	}
	sayf(e, "the %s engine runs the guest\r\n",
	     vm_get_engine(e->vm) == VM_ENGINE_DIRECT ? "direct" : "portable");
}

static void command_quit(struct escape *e, char *suffix, char *rest)
{
	(void)suffix, (void)rest;
	e->leave = true;
	vm_kick(e->vm);
}

/* ---- 5. The table --------------------------------------------------------------------------- */

static void command_help(struct escape *e, char *suffix, char *rest);

static const struct {
	const char *name;
	void (*run)(struct escape *e, char *suffix, char *rest);
	const char *arguments, *help;
} commands[] = {
	{ "help", command_help, "", "this list" },
	{ "info", command_info, " registers|mem|shadow|stats|irq",
	  "the processor; the shadow's entries; what it did; interrupts" },
	{ "xp", command_xp, "/COUNT FORMAT SIZE ADDRESS", "guest-physical memory; formats x d u c i, sizes b h w" },
	{ "x", command_x, "/COUNT FORMAT SIZE ADDRESS", "memory by linear address: x/8xw $esp, x/5i $eip" },
	{ "stop", command_stop, "", "stop the guest and its clocks" },
	{ "cont", command_cont, "", "go on" },
	{ "c", command_cont, "", "go on" },
	{ "engine", command_engine, " direct|portable", "which engine runs the guest; another one" },
	{ "quit", command_quit, "", "leave" },
	{ "q", command_quit, "", "leave" },
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void command_help(struct escape *e, char *suffix, char *rest)
{
	(void)suffix, (void)rest;
	for (size_t k = 0; k < COMMANDS; k++)
		sayf(e, "%s%s: %s\r\n", commands[k].name, commands[k].arguments, commands[k].help);
}

void run_monitor_line(struct escape *e, char *line)
{
	line += strspn(line, " ");
	if (!*line)
		return;
	size_t length = strcspn(line, " ");
	char *rest = line + length + strspn(line + length, " ");
	line[length] = 0;
	for (char *end = rest + strlen(rest); end > rest && end[-1] == ' ';)
		*--end = 0;
	char *suffix = strchr(line, '/');
	size_t name = suffix ? (size_t)(suffix - line) : length;
	for (size_t k = 0; k < COMMANDS; k++) {
		if (strlen(commands[k].name) == name && strncmp(commands[k].name, line, name) == 0) {
			commands[k].run(e, suffix ? suffix : line + length, rest);
			return;
		}
	}
	sayf(e, "unknown command '%.40s'; help lists them\r\n", line);
}
