/* SPDX-License-Identifier: MIT */
/*
 * scope/monitor_memory.c - the monitor's x and xp: memory by linear and by guest-physical address.
 *
 *   1. x/FORMAT    items and instructions
 */
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "scope/commands.h"

/* ---- 1. x/FORMAT ---------------------------------------------------------------------------- */

#define DUMP_MAX 4096u /* items in one command */

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
			text_add(d->out, "%08x: %s\n", at, have ? "(bad)" : "no memory there");
			return;
		}
		ZydisFormatterFormatInstruction(&formatter, &insn, operands, insn.operand_count_visible,
		                                text, sizeof text, at, NULL);
		text_add(d->out, "%08x: %s\n", at, text);
		at += insn.length;
	}
}

static void dump_item(const struct dump *d, const uint8_t *bytes)
{
	uint32_t value = 0;
	memcpy(&value, bytes, d->size);
	int32_t extended = d->size == 1 ? (int8_t)value : d->size == 2 ? (int16_t)value : (int32_t)value;
	if (d->format == 'x')
		text_add(d->out, " 0x%0*x", (int)d->size * 2, value);
	else if (d->format == 'd')
		text_add(d->out, " %d", extended);
	else if (d->format == 'u')
		text_add(d->out, " %u", value);
	else
		text_add(d->out, " '%c'", value >= ' ' && value < 0x7F ? (char)value : '.');
}

static void dump_words(const struct dump *d)
{
	unsigned line = d->size == 1 ? 16 : d->size == 2 ? 8 : 4;
	for (unsigned k = 0; k < d->count; k++) {
		uint32_t at = d->address + k * d->size;
		uint8_t bytes[4];
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

static void dump(struct scope *scope, char *format, char *address, bool physical, struct text *out)
{
	struct dump d = { .scope = scope, .out = out, .physical = physical, .count = 1, .size = 4, .format = 'x' };
	if (!*format && *address == '/') /* "x /4xw ADDRESS" */
		format = monitor_word(&address);
	if (!parse_format(&d, format) || !*address)
		monitor_refuse(scope, out, "x/COUNT FORMAT SIZE ADDRESS, such as x/8xw 0xc1000000 or x/5i $eip: "
		                           "x d u c i; b h w");
	else if (!monitor_value(scope, address, &d.address, out))
		return;
	else if (d.format == 'i')
		dump_code(&d);
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
