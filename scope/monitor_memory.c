/* SPDX-License-Identifier: MIT */
/*
 * scope/monitor_memory.c - the monitor's commands for memory, by linear and by guest-physical address.
 *
 *   1. x/FORMAT    items and instructions
 *   2. print       a value
 *   3. Saving      memory into a file
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <Zydis/Zydis.h>

#include "scope/commands.h"

/* ---- 1. x/FORMAT ---------------------------------------------------------------------------- */

#define DUMP_MAX 65536u /* items in one command, or bytes of strings: how long it may keep the guest waiting */
#define SYMBOL_TEXT 600u

struct dump {
	struct scope *scope;
	struct text *out;
	bool physical;
	unsigned count, size;
	char format;
	uint32_t address;
};

static size_t dump_read(const struct dump *d, uint32_t address, void *buf, size_t bytes)
{
	return d->physical ? vm_read_physical(d->scope->vm, address, buf, bytes)
	                   : cpu_peek(vm_cpu(d->scope->vm), address, buf, bytes);
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
		case 'x': case 'd': case 'u': case 'c': case 's': case 'i': d->format = *end; break;
		case 'b': d->size = 1; break;
		case 'h': d->size = 2; break;
		case 'w': d->size = 4; break;
		case 'g': d->size = 8; break;
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
	struct cpu_state cpu;
	cpu_get_state(vm_cpu(d->scope->vm), &cpu);
	if (cpu.seg[CPU_CS].attr & 1u << 14) /* D: what runs now is 32-bit code */
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	else
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_ATT);
	for (unsigned k = 0; k < d->count && !d->out->cut; k++) {
		uint8_t bytes[15];
		char text[128], name[SYMBOL_TEXT];
		ZydisDecodedInstruction insn;
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		size_t have = dump_read(d, at, bytes, sizeof bytes);
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, have, &insn, operands))) {
			text_add(d->out, "%08x: %s\n", at, have ? "(bad)" : "no memory there");
			return; /* where the next one begins nobody knows */
		}
		ZydisFormatterFormatInstruction(&formatter, &insn, operands, insn.operand_count_visible,
		                                text, sizeof text, at, NULL);
		if (!d->physical && *symbols_name(d->scope->symbols, at, name, sizeof name))
			text_add(d->out, "%08x <%s>: %s\n", at, name, text);
		else
			text_add(d->out, "%08x: %s\n", at, text);
		at += insn.length;
	}
}

void show_code(struct scope *scope, uint32_t linear, struct text *out)
{
	const struct dump d = { .scope = scope, .out = out, .count = 1, .address = linear };
	dump_code(&d);
}

static void dump_item(const struct dump *d, const uint8_t *bytes)
{
	uint64_t value = 0;
	memcpy(&value, bytes, d->size);
	unsigned unused = 64 - d->size * 8;
	if (d->format == 'x')
		text_add(d->out, " 0x%0*" PRIx64, (int)d->size * 2, value);
	else if (d->format == 'd')
		text_add(d->out, " %" PRId64, (int64_t)(value << unused) >> unused);
	else if (d->format == 'u')
		text_add(d->out, " %" PRIu64, value);
	else
		text_add(d->out, " '%c'", value >= ' ' && value < 0x7F ? (char)value : '.');
}

static void dump_words(const struct dump *d)
{
	unsigned line = d->size == 1 ? 16 : d->size == 8 ? 2 : 16 / d->size;
	for (unsigned k = 0; k < d->count; k++) {
		uint32_t at = d->address + k * d->size;
		uint8_t bytes[8];
		if (k % line == 0)
			text_add(d->out, "%s%08x:", k ? "\n" : "", at);
		if (dump_read(d, at, bytes, d->size) < d->size) {
			text_add(d->out, " no memory there");
			break;
		}
		dump_item(d, bytes);
	}
	text_add(d->out, "\n");
}

#define STRING_MOST 4096u /* bytes of one string: memory without a 0 in it */

/* Bytes up to a 0 each, the next behind it. */
static void dump_strings(const struct dump *d)
{
	uint32_t at = d->address;
	for (unsigned k = 0, seen = 0; k < d->count && seen < DUMP_MAX; k++) {
		uint8_t byte = 0;
		unsigned length = 0;
		size_t got = dump_read(d, at, &byte, 1);
		if (!got) {
			text_add(d->out, "%08x: no memory there\n", at);
			return;
		}
		text_add(d->out, "%08x: \"", at);
		for (; got && byte && length < STRING_MOST; got = dump_read(d, at + ++length, &byte, 1)) {
			if (byte < ' ' || byte > '~')
				text_add(d->out, "\\%03o", byte);
			else
				text_add(d->out, byte == '"' || byte == '\\' ? "\\%c" : "%c", byte);
		}
		text_add(d->out, "\"%s\n", !got ? " (no memory there)" : byte ? "..." : "");
		at += length + (got && !byte);
		seen += length + 1;
	}
}

static void dump(struct scope *scope, char *format, char *address, bool physical, struct text *out)
{
	struct dump d = { .scope = scope, .out = out, .physical = physical, .count = 1, .size = 4, .format = 'x' };
	const char *name = physical ? "xp" : "x";
	if (!*format && *address == '/') /* "x /4xw ADDRESS" */
		format = monitor_word(&address);
	if (!parse_format(&d, format) || !*address)
		monitor_refuse(scope, out, "%s/COUNT FORMAT SIZE ADDRESS, such as %s/8xw 0xc1000000 or %s/5i $eip: "
		               "formats x d u c, s strings, i instructions; sizes b 1, h 2, w 4, g 8 bytes", name, name, name);
	else if (!monitor_value(scope, address, &d.address, out))
		return;
	else if (d.format == 'i')
		dump_code(&d);
	else if (d.format == 's')
		dump_strings(&d);
	else
		dump_words(&d);
}

void command_x(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	dump(scope, suffix, rest, false, out);
}

void command_xp(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	dump(scope, suffix, rest, true, out);
}

/* ---- 2. print ------------------------------------------------------------------------------- */

void command_print(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	uint32_t value;
	char name[SYMBOL_TEXT];
	if (!*suffix && *rest == '/') /* "print /x VALUE" */
		suffix = monitor_word(&rest);
	if (!*rest || (*suffix && (!suffix[1] || suffix[2] || !strchr("xduoc", suffix[1])))) {
		monitor_refuse(scope, out, "print[/x|d|u|o|c] VALUE, such as print $esp+8 or print/d 0xff");
		return;
	}
	if (!monitor_value(scope, rest, &value, out))
		return;
	switch (suffix[0] ? suffix[1] : 0) {
	case 'd': text_add(out, "%" PRId32 "\n", (int32_t)value); break;
	case 'u': text_add(out, "%" PRIu32 "\n", value); break;
	case 'o': text_add(out, "0%" PRIo32 "\n", value); break;
	case 'c': text_add(out, "'%c'\n", value >= ' ' && value < 0x7F ? (char)value : '.'); break;
	case 'x': text_add(out, "0x%" PRIx32 "\n", value); break;
	default:
		symbols_name(scope->symbols, value, name, sizeof name);
		text_add(out, "0x%" PRIx32 "%s%s%s\n", value, *name ? " <" : "", name, *name ? ">" : "");
	}
}

/* ---- 3. Saving ------------------------------------------------------------------------------ */

static bool write_all(int fd, const uint8_t *bytes, size_t count)
{
	while (count) {
		ssize_t went = write(fd, bytes, count);
		if (went < 0 && errno == EINTR)
			continue;
		if (went <= 0)
			return false;
		bytes += went;
		count -= (size_t)went;
	}
	return true;
}

/* Is all of it there?  Looked at first, so that a file is not overwritten for nothing. */
static bool is_there(struct scope *scope, bool physical, uint64_t address, uint64_t size, struct text *out)
{
	uint64_t end = physical ? vm_ram_bytes(scope->vm) : 1ull << 32, at = address;
	uint8_t byte;
	if (address < end && size <= end - address) {
		while (!physical && at < address + size && cpu_peek(vm_cpu(scope->vm), (uint32_t)at, &byte, 1))
			at = (at | 0xFFF) + 1;
		if (physical || at >= address + size)
			return true;
	} else if (at < end) {
		at = end;
	}
	monitor_refuse(scope, out, "there is no memory at 0x%" PRIx64, at);
	return false;
}

bool save_memory(struct scope *scope, bool physical, uint64_t address, uint64_t size, const char *path, struct text *out)
{
	uint8_t page[4096];
	if (!is_there(scope, physical, address, size, out))
		return false;
	/* A pipe that nobody reads shall not stop the vm.  What the guest knows is its owner's, as in a dump. */
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	bool fine = fd >= 0;
	while (fine && size) {
		size_t some = size < sizeof page ? (size_t)size : sizeof page;
		size_t got = physical ? vm_read_physical(scope->vm, address, page, some)
		                      : cpu_peek(vm_cpu(scope->vm), (uint32_t)address, page, some);
		memset(page + got, 0, some - got);
		fine = write_all(fd, page, some);
		address += some;
		size -= some;
	}
	int error = errno;
	if (fd >= 0 && close(fd) != 0 && fine) {
		error = errno;
		fine = false;
	}
	if (!fine)
		monitor_refuse(scope, out, "%.200s: %s", path, strerror(error));
	return fine;
}

static void save(struct scope *scope, bool physical, char *rest, struct text *out)
{
	uint32_t address, size;
	char *where = monitor_word(&rest), *many = monitor_word(&rest);
	if (!*rest)
		monitor_refuse(scope, out, "%s ADDRESS SIZE FILE", physical ? "pmemsave" : "memsave");
	else if (monitor_value(scope, where, &address, out) && monitor_value(scope, many, &size, out))
		save_memory(scope, physical, address, size, rest, out);
}

void command_memsave(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix;
	save(scope, false, rest, out);
}

void command_pmemsave(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix;
	save(scope, true, rest, out);
}
