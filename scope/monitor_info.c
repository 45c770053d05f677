/* SPDX-License-Identifier: MIT */
/*
 * scope/monitor_info.c - what the monitor's `info` shows.
 *
 *   1. The machine    irq, status, version
 *   2. The shadow     shadow, stats
 *   3. The table
 */
#include <inttypes.h>
#include <string.h>

#include "scope/commands.h"
#include "scope/stats.h"

/* ---- 1. The machine ------------------------------------------------------------------------- */

static void info_irq(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	char text[2048];
	(void)suffix, (void)rest;
	if (!vm_machine(scope->vm)) {
		monitor_refuse(scope, out, "this machine has no interrupt controller: its host injects interrupts");
		return;
	}
	size_t size = machine_describe_irq(vm_machine(scope->vm), text, sizeof text - 1);
	text_add_bytes(out, text, size < sizeof text ? size : sizeof text - 1);
}

static void info_status(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix, (void)rest;
	const char *status = scope_status(scope), *stands = vm_is_paused(scope->vm) ? "paused" : "running";
	text_add(out, strcmp(status, stands) == 0 ? "VM status: %s\n" : "VM status: %s (%s)\n", stands, status);
}

static void info_status_json(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix, (void)rest;
	text_add(out, "{\"running\":%s,\"status\":\"%s\",\"engine\":\"%s\"}",
	         vm_is_paused(scope->vm) ? "false" : "true", scope_status(scope),
	         vm_get_engine(scope->vm) == VM_ENGINE_DIRECT ? "direct" : "portable");
}

static void info_version(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)scope, (void)suffix, (void)rest;
	text_add(out, "umbra " UMBRA_VERSION "\n");
}

/* ---- 2. The shadow -------------------------------------------------------------------------- */

/* Shadow leaves that continue each other, as one line. */
struct runs {
	struct text *out;
	bool json;
	struct um_leaf first;
	uint64_t pages, total, lines;
};

static void add_run(struct runs *r)
{
	if (!r->pages)
		return;
	if (r->json) {
		text_add(r->out, "%s{\"start\":%" PRIu64 ",\"end\":%" PRIu64 ",\"physical\":%" PRIu64
		         ",\"user\":%s,\"write\":%s,\"table\":%s}", r->lines++ ? "," : "", r->first.gva,
		         r->first.gva + r->pages * UM_PAGE_SIZE, r->first.gfn << UM_PAGE_SHIFT,
		         r->first.rights & UM_USER ? "true" : "false", r->first.rights & UM_WRITE ? "true" : "false",
		         r->first.tracked ? "true" : "false");
		return;
	}
	text_add(r->out, "%08" PRIx64 "-%08" PRIx64 " -> %08" PRIx64 "  %7" PRIu64 " KiB  %c%c%s\n", r->first.gva,
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
		add_run(r);
		r->first = *leaf;
		r->pages = 0;
	}
	r->pages++;
	r->total++;
	return !r->out->cut;
}

static void info_shadow(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	struct runs r = { .out = out };
	(void)suffix, (void)rest;
	um_visit(vm_shadow(scope->vm), 0, visit_leaf, &r);
	add_run(&r);
	text_add(out, "%" PRIu64 " shadow entries in %" PRIu64 " runs; u user, s supervisor, w writable\n", r.total,
	         r.lines);
}

static void info_shadow_json(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	struct runs r = { .out = out, .json = true };
	(void)suffix, (void)rest;
	text_add(out, "[");
	um_visit(vm_shadow(scope->vm), 0, visit_leaf, &r);
	add_run(&r);
	text_add(out, "]");
}

static void info_stats(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix, (void)rest;
	describe_stats(scope->vm, STATS_TEXT, out);
}

static void info_stats_json(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix, (void)rest;
	describe_stats(scope->vm, STATS_JSON, out);
}

/* ---- 3. The table --------------------------------------------------------------------------- */

const struct monitor_command monitor_infos[] = {
	{ "registers", "", "the processor's registers, segments and control registers", info_registers, info_registers_json },
	{ "mem", "", "the guest's mapped ranges with their rights, from its own tables", info_mem, info_mem_json },
	{ "tlb", " [FROM [TO]]", "the guest's mappings page by page: where to, every bit", info_tlb, info_tlb_json },
	{ "pg", "", "the entries of the page tables, by index", info_pg, NULL },
	{ "shadow", "", "the shadow's entries of the current address space, joined", info_shadow, info_shadow_json },
	{ "stats", "", "what the shadow and the processor did so far", info_stats, info_stats_json },
	{ "screen", "", "the text in VGA memory at 0xB8000 (there is no display)", info_screen, info_screen_json },
	{ "irq", "", "interrupts: what is raised, masked and served", info_irq, NULL },
	{ "symbols", "", "how many names are known, and where from", info_symbols, info_symbols_json },
	{ "symbol", " ADDRESS", "the name of an address", info_symbol, NULL },
	{ "gdb", "", "where a debugger is waited for", info_gdb, NULL },
	{ "status", "", "whether the guest runs", info_status, info_status_json },
	{ "version", "", "umbra's", info_version, NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};
