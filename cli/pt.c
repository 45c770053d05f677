/* SPDX-License-Identifier: MIT */
/*
 * cli/pt.c - umbra pt: the page-table microscope on a running guest, a dump, or raw memory.
 *
 *   1. A running guest     its monitor's own `pt`
 *   2. A file's own words   --base, -symbols
 *   3. A file
 *   4. The verb
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "scope/dump.h"
#include "scope/html.h"
#include "scope/pt.h"

static int refuse(int status, const char *why)
{
	fprintf(stderr, "umbra: %s\n", why);
	return status;
}

static int print(const struct text *out)
{
	size_t size = out->size;
	if (fwrite(text_string(out), 1, size, stdout) == size && fflush(stdout) == 0)
		return STATUS_OK;
	return refuse(STATUS_HOST, strerror(errno));
}

static bool is_symbols(const char *word)
{
	return strcmp(word, "--symbols") == 0 || strcmp(word, "-symbols") == 0;
}

/* ---- 1. A running guest --------------------------------------------------------------------- */

static int show_guest(const char *socket, unsigned count, const char **word, const char *page)
{
	struct text line = { 0 }, out = { 0 };
	if (page && count)
		return refuse(STATUS_USAGE, "--html of a running guest takes no other options: it shows all of the current state");
	if (page)
		return ask_guest_for_page(socket, page);
	for (unsigned k = 0; k < count; k++)
		if (is_symbols(word[k]))
			return refuse(STATUS_USAGE, "--symbols is for a file: a running guest has its own (umbra run -symbols; or, "
			                            "later, umbra monitor SOCKET symbols load FILE)");
	text_add(&line, "pt");
	for (unsigned k = 0; k < count; k++)
		text_add(&line, " %s", word[k]);
	int status = ask_guest(socket, text_string(&line), &out);
	if (status == STATUS_OK)
		status = print(&out);
	text_free(&line);
	text_free(&out);
	return status;
}

/* ---- 2. A file's own words ------------------------------------------------------------------ */

static bool has_registers(const struct dump *d)
{
	return dump_kind(d) == DUMP_UMBRA || dump_kind(d) == DUMP_QEMU;
}

/* What the file does not say, the options must: where the tables are. */
static bool complete(const char *path, const struct dump *d, const struct pt_options *o, char *why, size_t bytes)
{
	if (has_registers(d) || o->has_cr3 || o->view == PT_HELP)
		return true;
	snprintf(why, bytes, "%s: %s", path, dump_kind(d) == DUMP_RAW ?
	         "not a dump, but it can be raw memory: then --cr3 is needed" :
	         "a core without control registers: --cr3 is needed");
	return false;
}

static void use(struct space *space, const struct pt_options *o)
{
	space->cr0 = o->has_cr0 ? o->cr0 : space->cr0;
	space->cr3 = o->has_cr3 ? o->cr3 : space->cr3;
	space->cr4 = o->has_cr4 ? o->cr4 : space->cr4;
}

/* --cr3 and the like, before the other words: those may have names, which are looked for in that space. */
static void use_controls(struct space *space, unsigned count, const char **word)
{
	struct pt_options o;
	char why[128];
	for (unsigned k = 0; k + 1 < count; k++)
		if (pt_parse(space, 2, word + k, &o, why, sizeof why))
			use(space, &o);
}

/* --base is the file's, not the view's: taken out of the words. */
static bool take_base(struct dump *d, unsigned *count, const char **word, char *why, size_t bytes)
{
	unsigned kept = 0;
	for (unsigned k = 0; k < *count; k++) {
		char *end;
		if (strcmp(word[k], "--base") != 0 && strcmp(word[k], "-base") != 0) {
			word[kept++] = word[k];
			continue;
		}
		unsigned long long base = ++k < *count ? strtoull(word[k], &end, 16) : 0;
		if (k >= *count || end == word[k] || *end || base > UINT32_MAX) {
			snprintf(why, bytes, "--base: a guest-physical address in hexadecimal digits is needed");
			return false;
		}
		if (dump_kind(d) != DUMP_RAW) {
			snprintf(why, bytes, "--base is for raw memory: this file says where its memory is");
			return false;
		}
		dump_set_base(d, base);
	}
	*count = kept;
	return true;
}

/* Where names are from: files, and what a Linux keeps of its own in memory, which is looked for once. */
struct names {
	struct symbols *symbols;
	struct space space;
	bool asked;      /* -symbols kallsyms */
	bool searched;
};

static size_t peek(void *space, uint32_t linear, void *buf, size_t bytes)
{
	return space_peek(space, linear, buf, bytes);
}

static bool search(struct names *n, struct symbols_error *error)
{
	n->searched = true;
	return symbols_find_kallsyms(n->symbols, peek, &n->space, error);
}

static void want_names(void *user)
{
	struct names *n = user;
	struct symbols_error error;
	if (!n->searched)
		search(n, &error);
}

static int take_symbols(struct names *n, unsigned *count, const char **word, char *why, size_t bytes)
{
	struct symbols_error error;
	unsigned kept = 0;
	for (unsigned k = 0; k < *count; k++) {
		if (!is_symbols(word[k])) {
			word[kept++] = word[k];
		} else if (++k == *count) {
			snprintf(why, bytes, "--symbols: a file is needed, or kallsyms");
			return STATUS_USAGE;
		} else if (strcmp(word[k], "kallsyms") == 0) {
			n->asked = true;
		} else if (!symbols_load(n->symbols, word[k], &error)) {
			snprintf(why, bytes, "--symbols %s", error.text);
			return STATUS_START;
		}
	}
	*count = kept;
	return STATUS_OK;
}

/* The space with names.  false: some were asked for, and are not there. */
static bool add_names(struct space *space, struct names *n, unsigned count, const char **word, char *why, size_t bytes)
{
	struct symbols_error error;
	n->space = *space;
	use_controls(&n->space, count, word);
	space->symbols = n->symbols;
	symbols_on_demand(n->symbols, want_names, n);
	if (!n->asked || search(n, &error))
		return true;
	snprintf(why, bytes, "--symbols kallsyms: %s", error.text);
	return false;
}

/* ---- 3. A file ------------------------------------------------------------------------------ */

/* --html is the verb's as well.  false: it has no file. */
static bool take_html(unsigned *count, const char **word, const char **page)
{
	unsigned kept = 0;
	*page = NULL;
	for (unsigned k = 0; k < *count; k++) {
		if (strcmp(word[k], "--html") != 0 && strcmp(word[k], "-html") != 0)
			word[kept++] = word[k];
		else if (++k < *count)
			*page = word[k];
		else
			return false;
	}
	*count = kept;
	return true;
}

static bool write_page(const char *file, struct space *space, const struct pt_options *o, const char *path, char *why,
                       size_t bytes)
{
	struct text map = { 0 };
	use(space, o);
	bool done = html_map(space, &map, why, bytes);
	const struct html_parts parts = { .map = text_string(&map), .source = file, .when = html_file_time(file) };
	done = done && html_write(&parts, path, why, bytes);
	text_free(&map);
	return done;
}

/* What is wrong with the words is one status, what is wrong with the file another. */
static int look(const char *path, struct dump *d, struct names *n, unsigned count, const char **word, const char *page,
                struct text *out)
{
	char why[512];
	struct pt_options o;
	struct space space;
	if (!take_base(d, &count, word, why, sizeof why))
		return refuse(STATUS_USAGE, why);
	int status = take_symbols(n, &count, word, why, sizeof why);
	if (status != STATUS_OK)
		return refuse(status, why);
	dump_space(d, &space);
	if (!has_registers(d)) {
		/* As most systems have them: PE, WP, PG; PSE, PGE. */
		space.cr0 = 0x80010001;
		space.cr4 = 0x90;
	}
	if (!add_names(&space, n, count, word, why, sizeof why))
		return refuse(STATUS_START, why);
	if (!pt_parse(&space, count, word, &o, why, sizeof why))
		return refuse(STATUS_USAGE, why);
	if (!complete(path, d, &o, why, sizeof why) ||
	    !(page ? write_page(path, &space, &o, page, why, sizeof why) : pt_view(&space, &o, out, why, sizeof why)))
		return refuse(STATUS_START, why);
	return print(out);
}

static int show_file(const char *path, unsigned count, const char **word, const char *page)
{
	char why[512];
	struct text out = { 0 };
	struct names names = { .symbols = symbols_new() };
	struct dump *d = dump_open(path, why, sizeof why);
	if (d && !names.symbols)
		snprintf(why, sizeof why, "no memory for symbols");
	int status = d && names.symbols ? look(path, d, &names, count, word, page, &out) : refuse(STATUS_START, why);
	symbols_free(names.symbols);
	text_free(&out);
	dump_close(d);
	return status;
}

/* ---- 4. The verb ---------------------------------------------------------------------------- */

void print_pt_help(FILE *to)
{
	struct text out = { 0 };
	fprintf(to, "usage: umbra pt WHAT [OPTIONS]\n\n"
	            "WHAT is the socket of a running guest (umbra run -qmp unix:SOCKET), a dump (the\n"
	            "monitor's dump-guest-memory, QEMU's, or savevm's file), or a file of raw memory\n"
	            "together with --cr3.\n\n");
	pt_help(&out);
	fputs(text_string(&out), to);
	fprintf(to, "  %-15s %s\n", "--base ADDR", "raw memory: where it begins in the guest's");
	fprintf(to, "  %-15s %s\n", "--symbols FILE", "a file: names, from ELF, System.map; kallsyms: from its own");
	fprintf(to, "  %-15s %s\n", "", "memory, which is tried without this too; a guest has its own");
	fprintf(to, "  %-15s %s\n", "--html FILE", "write a page to look at, which needs nothing but a browser");
	text_free(&out);
}

static bool wants_help(int argc, char **argv)
{
	for (int k = 1; k < argc; k++)
		if (strcmp(argv[k], "--help") == 0 || strcmp(argv[k], "-help") == 0 || strcmp(argv[k], "-h") == 0)
			return true;
	return false;
}

int pt_verb(int argc, char **argv)
{
	if (wants_help(argc, argv)) {
		print_pt_help(stdout);
		return STATUS_OK;
	}
	if (argc < 2 || argv[1][0] == '-')
		return refuse(STATUS_USAGE, "pt: whose page tables?  A guest's socket, a dump, or raw memory; try `umbra help pt`");
	const char **word = (const char **)(argv + 2), *page;
	unsigned count = (unsigned)argc - 2;
	if (!take_html(&count, word, &page))
		return refuse(STATUS_USAGE, "--html: a file is needed");
	return is_guest(argv[1]) ? show_guest(argv[1], count, word, page) : show_file(argv[1], count, word, page);
}
