/* SPDX-License-Identifier: MIT */
/*
 * scope/monitor_registers.c - the monitor's `info registers`.
 */
#include <inttypes.h>

#include "scope/commands.h"

static const char *const general[] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" };
static const char *const segments[] = { "es", "cs", "ss", "ds", "fs", "gs" };

static void add_segment(struct text *out, const char *name, const struct cpu_segment *s)
{
	text_add(out, "%-4s %04x base=%08x limit=%08x attr=%04x", name, s->selector, s->base, s->limit, s->attr);
	if (!s->attr)
		text_add(out, " unusable\n");
	else if (s->attr & 1u << 4)
		text_add(out, " dpl=%u %s%s\n", s->attr >> 5 & 3u, s->attr & 1u << 3 ? "code" : "data",
		         s->attr & 1u << 14 ? "32" : "16");
	else
		text_add(out, " dpl=%u system\n", s->attr >> 5 & 3u);
}

void info_registers(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	struct cpu_state s;
	char name[600];
	(void)suffix, (void)rest;
	cpu_get_state(vm_cpu(scope->vm), &s);
	for (unsigned k = 0; k < 8; k++)
		text_add(out, "%s=%08x%s", general[k], s.gpr[k], k % 4 == 3 ? "\n" : " ");
	symbols_name(scope->symbols, s.eip, name, sizeof name);
	text_add(out, "eip=%08x%s%s%s eflags=%08x cpl=%u%s%s\n", s.eip, *name ? " <" : "", name, *name ? ">" : "", s.eflags,
	         s.eflags & 1u << 17 ? 3u : s.seg[CPU_SS].attr >> 5 & 3u, s.halted ? " halted" : "",
	         s.interrupt_shadow ? " (interrupts wait one instruction)" : "");
	for (unsigned k = 0; k < 6; k++)
		add_segment(out, segments[k], &s.seg[k]);
	add_segment(out, "ldtr", &s.ldtr);
	add_segment(out, "tr", &s.tr);
	text_add(out, "gdtr base=%08x limit=%04x\nidtr base=%08x limit=%04x\n", s.gdtr.base, s.gdtr.limit, s.idtr.base,
	         s.idtr.limit);
	text_add(out, "cr0=%08x cr2=%08x cr3=%08x cr4=%08x\n", s.cr0, s.cr2, s.cr3, s.cr4);
	text_add(out, "dr0=%08x dr1=%08x dr2=%08x dr3=%08x dr6=%08x dr7=%08x\n", s.dr[0], s.dr[1], s.dr[2], s.dr[3],
	         s.dr[6], s.dr[7]);
}

static void add_segment_json(struct text *out, const char *name, const struct cpu_segment *s)
{
	text_add(out, ",\"%s\":{\"selector\":%u,\"base\":%u,\"limit\":%u,\"attr\":%u}", name, s->selector, s->base, s->limit,
	         s->attr);
}

void info_registers_json(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	struct cpu_state s;
	(void)suffix, (void)rest;
	cpu_get_state(vm_cpu(scope->vm), &s);
	text_add(out, "{\"eip\":%u,\"eflags\":%u,\"halted\":%s", s.eip, s.eflags, s.halted ? "true" : "false");
	for (unsigned k = 0; k < 8; k++)
		text_add(out, ",\"%s\":%u", general[k], s.gpr[k]);
	for (unsigned k = 0; k < 6; k++)
		add_segment_json(out, segments[k], &s.seg[k]);
	add_segment_json(out, "ldtr", &s.ldtr);
	add_segment_json(out, "tr", &s.tr);
	text_add(out, ",\"gdtr\":{\"base\":%u,\"limit\":%u},\"idtr\":{\"base\":%u,\"limit\":%u}", s.gdtr.base, s.gdtr.limit,
	         s.idtr.base, s.idtr.limit);
	text_add(out, ",\"cr0\":%u,\"cr2\":%u,\"cr3\":%u,\"cr4\":%u,\"dr\":[%u,%u,%u,%u,%u,%u,%u,%u]}", s.cr0, s.cr2, s.cr3,
	         s.cr4, s.dr[0], s.dr[1], s.dr[2], s.dr[3], s.dr[4], s.dr[5], s.dr[6], s.dr[7]);
}
