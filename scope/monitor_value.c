/* SPDX-License-Identifier: MIT */
/*
 * scope/monitor_value.c - values in the monitor's commands: 0xc1000000, $esp+8, do_exit+0x12.
 *
 *   1. Registers    by name
 *   2. Terms        a number, a register, a symbol
 *   3. Expressions  monitor_value
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scope/monitor.h"

/* ---- 1. Registers --------------------------------------------------------------------------- */

static bool find_register(const struct cpu_state *s, const char *name, uint32_t *value)
{
	const struct {
		const char *name;
		uint32_t value;
	} registers[] = {
		{ "eax", s->gpr[CPU_EAX] }, { "ecx", s->gpr[CPU_ECX] }, { "edx", s->gpr[CPU_EDX] },
		{ "ebx", s->gpr[CPU_EBX] }, { "esp", s->gpr[CPU_ESP] }, { "ebp", s->gpr[CPU_EBP] },
		{ "esi", s->gpr[CPU_ESI] }, { "edi", s->gpr[CPU_EDI] }, { "eip", s->eip },
		{ "pc", s->seg[CPU_CS].base + s->eip }, { "sp", s->gpr[CPU_ESP] }, { "fp", s->gpr[CPU_EBP] }, { "eflags", s->eflags },
		{ "es", s->seg[CPU_ES].selector }, { "cs", s->seg[CPU_CS].selector }, { "ss", s->seg[CPU_SS].selector },
		{ "ds", s->seg[CPU_DS].selector }, { "fs", s->seg[CPU_FS].selector }, { "gs", s->seg[CPU_GS].selector },
		{ "es_base", s->seg[CPU_ES].base }, { "cs_base", s->seg[CPU_CS].base }, { "ss_base", s->seg[CPU_SS].base },
		{ "ds_base", s->seg[CPU_DS].base }, { "fs_base", s->seg[CPU_FS].base }, { "gs_base", s->seg[CPU_GS].base },
		{ "gdtr", s->gdtr.base }, { "idtr", s->idtr.base }, { "ldtr", s->ldtr.base }, { "tr", s->tr.base },
		{ "cr0", s->cr0 }, { "cr2", s->cr2 }, { "cr3", s->cr3 }, { "cr4", s->cr4 },
		{ "dr0", s->dr[0] }, { "dr1", s->dr[1] }, { "dr2", s->dr[2] }, { "dr3", s->dr[3] },
		{ "dr6", s->dr[6] }, { "dr7", s->dr[7] },
	};
	for (size_t k = 0; k < sizeof registers / sizeof registers[0]; k++)
		if (strcmp(name, registers[k].name) == 0) {
			*value = registers[k].value;
			return true;
		}
	return false;
}

/* ---- 2. Terms ------------------------------------------------------------------------------- */

#define TERM_BYTES 512u /* a symbol's name and more */

static bool term_value(struct scope *scope, const char *term, uint32_t *value, struct text *out)
{
	if (*term == '$') {
		struct cpu_state s;
		cpu_get_state(vm_cpu(scope->vm), &s);
		if (find_register(&s, term + 1, value))
			return true;
		monitor_refuse(scope, out, "there is no register '%.40s'", term);
		return false;
	}
	if (isdigit((unsigned char)*term)) {
		char *end;
		errno = 0;
		unsigned long long number = strtoull(term, &end, 0);
		*value = (uint32_t)number;
		if (!*end && errno == 0 && number <= UINT32_MAX)
			return true;
		monitor_refuse(scope, out, "'%.40s' is no 32-bit number", term);
		return false;
	}
	if (symbols_find(scope->symbols, term, value))
		return true;
	monitor_refuse(scope, out, "there is no symbol '%.200s'%s", term,
	               symbols_count(scope->symbols) ? "" : " (no symbols are loaded: help symbols)");
	return false;
}

/* ---- 3. Expressions ------------------------------------------------------------------------- */

#define PARENTHESES_MAX 32u /* within each other: the host's stack */

struct parse {
	struct scope *scope;
	struct text *out;
	const char *what, *at;
	unsigned depth;
};

static bool fail(struct parse *p, const char *why)
{
	monitor_refuse(p->scope, p->out, "'%.60s': %s", p->what, why);
	return false;
}

/* The next character that is no blank. */
static char next(struct parse *p)
{
	p->at += strspn(p->at, " ");
	return *p->at;
}

static bool parse_sum(struct parse *p, uint32_t *value);

/* Names of symbols have dots, dollars and the like in them, but no blanks, operators or parentheses. */
static bool parse_factor(struct parse *p, uint32_t *value)
{
	char term[TERM_BYTES];
	if (next(p) == '(') {
		if (++p->depth > PARENTHESES_MAX)
			return fail(p, "too many parentheses");
		p->at++;
		if (!parse_sum(p, value))
			return false;
		if (next(p) != ')')
			return fail(p, "a ) is missing");
		p->at++;
		p->depth--;
		return true;
	}
	size_t length = strcspn(p->at, " +-*/()");
	if (length == 0 || length >= sizeof term)
		return fail(p, "a number, $register or symbol is expected; + - * / between, ( )");
	memcpy(term, p->at, length);
	term[length] = 0;
	p->at += length;
	return term_value(p->scope, term, value, p->out);
}

static bool parse_product(struct parse *p, uint32_t *value)
{
	if (!parse_factor(p, value))
		return false;
	for (char operation; (operation = next(p)) == '*' || operation == '/';) {
		uint32_t factor;
		p->at++;
		if (!parse_factor(p, &factor))
			return false;
		if (operation == '/' && !factor)
			return fail(p, "a division by zero");
		*value = operation == '*' ? *value * factor : *value / factor;
	}
	return true;
}

static bool parse_sum(struct parse *p, uint32_t *value)
{
	bool negative = next(p) == '-';
	if (negative)
		p->at++;
	if (!parse_product(p, value))
		return false;
	if (negative)
		*value = 0u - *value;
	for (char operation; (operation = next(p)) == '+' || operation == '-';) {
		uint32_t part;
		p->at++;
		if (!parse_product(p, &part))
			return false;
		*value += operation == '-' ? 0u - part : part;
	}
	return true;
}

bool monitor_value(struct scope *scope, const char *what, uint32_t *value, struct text *out)
{
	struct parse p = { .scope = scope, .out = out, .what = what, .at = what };
	return parse_sum(&p, value) && (!next(&p) || fail(&p, "+ - * or / is expected between two values"));
}
