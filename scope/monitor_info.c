/* SPDX-License-Identifier: MIT */
/*
 * scope/monitor_info.c - what the monitor's `info` shows.
 *
 *   1. The processor and the devices    registers, irq
 *   2. The shadow                       shadow, stats
 *   3. The table
 */
#include <inttypes.h>
#include <string.h>

#include "scope/commands.h"
#include "scope/stats.h"

/* ---- 1. The processor and the devices ------------------------------------------------------- */

static void info_registers(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	char text[4096];
	(void)suffix, (void)rest;
	size_t size = cpu_describe_state(vm_cpu(scope->vm), text, sizeof text - 1);
	text_add_bytes(out, text, size < sizeof text ? size : sizeof text - 1);
}

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

/* ---- 2. The shadow -------------------------------------------------------------------------- */

/* Shadow leaves that continue each other, as one line. */
struct runs {
	struct text *out;
	struct um_leaf first;
	uint64_t pages, total, lines;
};

static void add_run(struct runs *r)
{
	if (!r->pages)
		return;
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
	{ "registers", "", "the processor's registers, segments and control registers", info_registers, NULL },
	{ "irq", "", "interrupts: what is raised, masked and served", info_irq, NULL },
	{ "pg", "", "the entries of the page tables, by index", info_pg, NULL },
	{ "shadow", "", "the shadow's entries of the current address space, joined", info_shadow, NULL },
	{ "stats", "", "what the shadow and the processor did so far", info_stats, info_stats_json },
	{ NULL, NULL, NULL, NULL, NULL },
};
