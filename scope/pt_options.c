/* SPDX-License-Identifier: MIT */
/*
 * scope/pt_options.c - the words that choose a view: one table for parsing and for help.
 *
 *   1. Values      addresses, accesses, rings
 *   2. The table
 *   3. pt_parse, pt_help
 *   4. pt_view, pt_line
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scope/pt_inside.h"

/* ---- 1. Values ------------------------------------------------------------------------------ */

struct parse {
	const struct space *space;
	struct pt_options *o;
	char *why;
	size_t bytes;
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct parse *p, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(p->why, p->bytes, format, list);
	va_end(list);
	return false;
}

static bool parse_hex(const char *word, uint32_t *value)
{
	char *end;
	if (!isxdigit((unsigned char)*word))
		return false;
	unsigned long long number = strtoull(word, &end, 16);
	*value = (uint32_t)number;
	return !*end && number <= UINT32_MAX;
}

static bool parse_register(const struct space *s, const char *word, uint32_t *value)
{
	word += *word == '$'; /* as the monitor's other commands have them */
	if (strcmp(word, "eip") == 0)
		*value = s->eip;
	else if (strcmp(word, "esp") == 0)
		*value = s->esp;
	else if (strcmp(word, "cr3") == 0)
		*value = s->cr3;
	else
		return false;
	return true;
}

/* do_fork, do_fork+12: the number behind the plus is hexadecimal too. */
static bool parse_symbol(const struct space *s, const char *word, uint32_t *value)
{
	char name[256];
	uint32_t offset = 0;
	const char *plus = strchr(word, '+');
	size_t length = plus ? (size_t)(plus - word) : strlen(word);
	if (!s->symbols || length >= sizeof name || (plus && !parse_hex(plus + 1, &offset)))
		return false;
	memcpy(name, word, length);
	name[length] = 0;
	if (!symbols_find(s->symbols, name, value))
		return false;
	*value += offset;
	return true;
}

static bool parse_address(struct parse *p, const char *option, const char *word, uint32_t *value)
{
	if (parse_hex(word, value) || parse_register(p->space, word, value) || parse_symbol(p->space, word, value))
		return true;
	return refuse(p, "%s: '%.60s' is no address: hexadecimal digits, eip, esp, cr3, or a symbol that is known", option,
	              word);
}

static bool set_at(struct parse *p, const char *word)
{
	p->o->view = PT_AT;
	return parse_address(p, "--at", word, &p->o->at);
}

static bool set_access(struct parse *p, const char *word)
{
	for (const char *at = word; *at; at++) {
		if (*at != 'r' && *at != 'w' && *at != 'x')
			return refuse(p, "--access: '%.60s' is not one or more of r, w, x", word);
		p->o->accesses |= *at == 'r' ? PT_READ : *at == 'w' ? PT_WRITE : PT_EXECUTE;
	}
	return true;
}

static bool set_ring(struct parse *p, const char *word)
{
	if (word[0] < '0' || word[0] > '3' || word[1])
		return refuse(p, "--ring: '%.60s' is not 0, 1, 2 or 3", word);
	p->o->ring = word[0] - '0';
	return true;
}

static bool set_from(struct parse *p, const char *word)
{
	return parse_address(p, "--from", word, &p->o->from);
}

static bool set_to(struct parse *p, const char *word)
{
	return parse_address(p, "--to", word, &p->o->to);
}

static bool set_cr0(struct parse *p, const char *word)
{
	p->o->has_cr0 = true;
	return parse_address(p, "--cr0", word, &p->o->cr0);
}

static bool set_cr3(struct parse *p, const char *word)
{
	p->o->has_cr3 = true;
	return parse_address(p, "--cr3", word, &p->o->cr3);
}

static bool set_cr4(struct parse *p, const char *word)
{
	p->o->has_cr4 = true;
	return parse_address(p, "--cr4", word, &p->o->cr4);
}

static bool set_tables(struct parse *p, const char *word)
{
	(void)word;
	p->o->view = PT_TABLES;
	return true;
}

static bool set_shared(struct parse *p, const char *word)
{
	(void)word;
	p->o->view = PT_SHARED;
	return true;
}

static bool set_roots(struct parse *p, const char *word)
{
	(void)word;
	p->o->view = PT_ROOTS;
	return true;
}

static bool set_help(struct parse *p, const char *word)
{
	(void)word;
	p->o->view = PT_HELP;
	return true;
}

static bool set_user(struct parse *p, const char *word)
{
	(void)word;
	p->o->only_user = true;
	return true;
}

static bool set_kernel(struct parse *p, const char *word)
{
	(void)word;
	p->o->only_kernel = true;
	return true;
}

static bool set_merge(struct parse *p, const char *word)
{
	(void)word;
	p->o->merge = true;
	return true;
}

static bool set_json(struct parse *p, const char *word)
{
	(void)word;
	p->o->json = true;
	return true;
}

/* ---- 2. The table --------------------------------------------------------------------------- */

static const struct option {
	const char *name, *value; /* value: NULL: it takes none */
	bool (*set)(struct parse *p, const char *word);
	const char *help;
} options[] = {
	{ "--at", "ADDR", set_at, "explain one address, level by level, and who may do what there" },
	{ "--access", "rwx", set_access, "... only these accesses" },
	{ "--ring", "N", set_ring, "... only from this ring" },
	{ "--tables", NULL, set_tables, "every table that the directory leads to" },
	{ "--shared", NULL, set_shared, "who shares which table; CR3s behind it: only these directories" },
	{ "--roots", NULL, set_roots, "the address spaces whose shadows are cached" },
	{ "--from", "ADDR", set_from, "the map: from this address on" },
	{ "--to", "ADDR", set_to, "... up to this one" },
	{ "--user", NULL, set_user, "... only what the user may use" },
	{ "--kernel", NULL, set_kernel, "... only what it may not" },
	{ "--merge", NULL, set_merge, "... with one line for all that has the same rights" },
	{ "--cr3", "ADDR", set_cr3, "look at the directory here instead" },
	{ "--cr0", "N", set_cr0, "... with these control bits (WP, PG) instead" },
	{ "--cr4", "N", set_cr4, "... and these (PSE, PGE)" },
	{ "--json", NULL, set_json, "as JSON (docs/pt.schema.json)" },
	{ "--help", NULL, set_help, "this list" },
};
#define OPTIONS (sizeof options / sizeof options[0])

/* ---- 3. pt_parse, pt_help ------------------------------------------------------------------- */

/* Both -at and --at, as QEMU's options have it. */
static const struct option *find_option(const char *word)
{
	if (word[0] != '-')
		return NULL;
	word += word[1] == '-' ? 2 : 1;
	for (size_t k = 0; k < OPTIONS; k++)
		if (strcmp(options[k].name + 2, word) == 0)
			return &options[k];
	return NULL;
}

static bool add_directory(struct parse *p, const char *word)
{
	struct pt_options *o = p->o;
	if (o->directories == PT_DIRECTORIES_MAX)
		return refuse(p, "--shared: more than %u directories", PT_DIRECTORIES_MAX);
	return parse_address(p, "--shared", word, &o->directory[o->directories++]);
}

static bool check_options(struct parse *p)
{
	const struct pt_options *o = p->o;
	if (o->from > o->to)
		return refuse(p, "--from %08x is behind --to %08x", o->from, o->to);
	if (o->view != PT_AT && (o->accesses || o->ring >= 0))
		return refuse(p, "--access and --ring belong to --at");
	if (o->only_user && o->only_kernel)
		return refuse(p, "--user and --kernel leave nothing");
	return true;
}

bool pt_parse(const struct space *space, unsigned count, const char *const *word, struct pt_options *o, char *why,
              size_t bytes)
{
	struct parse p = { space, o, why, bytes };
	*o = (struct pt_options){ .view = PT_MAP, .ring = -1, .to = UINT32_MAX };
	for (unsigned k = 0; k < count; k++) {
		const struct option *option = find_option(word[k]);
		if (!option && o->view == PT_SHARED && word[k][0] != '-') {
			if (!add_directory(&p, word[k]))
				return false;
			continue;
		}
		if (!option && word[k][0] != '-')
			return refuse(&p, "'%.60s' is no option (an address is --at ADDR)", word[k]);
		if (!option)
			return refuse(&p, "unknown option '%.60s'", word[k]);
		if (option->value && ++k == count)
			return refuse(&p, "%s: %s is missing", option->name, option->value);
		if (!option->set(&p, option->value ? word[k] : NULL))
			return false;
	}
	return check_options(&p);
}

void pt_help(struct text *out)
{
	text_add(out, "options (addresses are hexadecimal, or eip, esp, cr3, or a symbol's name):\n");
	for (size_t k = 0; k < OPTIONS; k++) {
		char name[32];
		snprintf(name, sizeof name, "%s %s", options[k].name, options[k].value ? options[k].value : "");
		text_add(out, "  %-15s %s\n", name, options[k].help);
	}
}

/* ---- 4. pt_view, pt_line -------------------------------------------------------------------- */

bool pt_view(const struct space *space, const struct pt_options *o, struct text *out, char *why, size_t bytes)
{
	struct pt *pt = o->view == PT_HELP ? NULL : pt_look(space, o, why, bytes);
	bool done = true;
	if (!pt && o->view != PT_HELP)
		return false;
	switch (o->view) {
	case PT_HELP:
		pt_help(out);
		break;
	case PT_MAP:
		pt_map(pt, o, out);
		break;
	case PT_AT:
		pt_at(pt, o, out);
		break;
	case PT_TABLES:
		pt_tables(pt, o, out);
		break;
	case PT_SHARED:
		done = pt_shared(pt, o, out, why, bytes);
		break;
	case PT_ROOTS:
		done = pt_roots(pt, o, out, why, bytes);
		break;
	}
	pt_free(pt);
	return done;
}

bool pt_line(const struct space *space, const char *line, struct text *out, char *why, size_t bytes)
{
	enum { WORDS_MAX = PT_DIRECTORIES_MAX + 32 };
	const char *word[WORDS_MAX];
	char *copy = strdup(line), *rest = NULL;
	struct pt_options o;
	unsigned count = 0;
	if (!copy) {
		snprintf(why, bytes, "no memory");
		return false;
	}
	char *at = strtok_r(copy, " \t\r\n", &rest);
	for (; at && count < WORDS_MAX; at = strtok_r(NULL, " \t\r\n", &rest))
		word[count++] = at;
	if (at)
		snprintf(why, bytes, "more than %u words", (unsigned)WORDS_MAX);
	bool done = !at && pt_parse(space, count, word, &o, why, bytes) && pt_view(space, &o, out, why, bytes);
	free(copy);
	return done;
}
