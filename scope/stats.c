/* SPDX-License-Identifier: MIT */
/*
 * scope/stats.c - what the shadow and the processor did, for people and for machines.
 *
 *   1. Collecting    one list of names and numbers
 *   2. Printing      as text, as JSON
 *   3. Hypercalls    a paravirtual guest's, by number
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

#include "scope/stats.h"

/* ---- 1. Collecting -------------------------------------------------------------------------- */

enum {
	FALLBACKS = sizeof(((struct direct_stats *)0)->fallback) / sizeof(((struct direct_stats *)0)->fallback[0]),
	NAME_BYTES = 40,
};

unsigned collect_shadow(const struct um_stats *s, struct figure *f)
{
	unsigned n = 0;
	f[n++] = (struct figure){ "faults", s->faults };
	f[n++] = (struct figure){ "reflected", s->reflected };
	f[n++] = (struct figure){ "fills", s->fills };
	f[n++] = (struct figure){ "prefetched", s->prefetched };
	f[n++] = (struct figure){ "prefetch_used", s->prefetch_used };
	f[n++] = (struct figure){ "tracked_writes", s->tracked_writes };
	f[n++] = (struct figure){ "unsyncs", s->unsyncs };
	f[n++] = (struct figure){ "syncs", s->syncs };
	f[n++] = (struct figure){ "told_ptes", s->told_ptes };
	f[n++] = (struct figure){ "told_pdes", s->told_pdes };
	f[n++] = (struct figure){ "switches", s->switches };
	f[n++] = (struct figure){ "switch_hits", s->switch_hits };
	f[n++] = (struct figure){ "switch_hit_percent", s->switches ? s->switch_hits * 100 / s->switches : 0 };
	f[n++] = (struct figure){ "flush_user", s->flush_user };
	f[n++] = (struct figure){ "flush_all", s->flush_all };
	f[n++] = (struct figure){ "flush_page", s->flush_page };
	f[n++] = (struct figure){ "tables_made", s->tables_made };
	f[n++] = (struct figure){ "evictions", s->evictions };
	f[n++] = (struct figure){ "forgets", s->forgets };
	f[n++] = (struct figure){ "tables", s->tables };
	f[n++] = (struct figure){ "tables_peak", s->tables_peak };
	f[n++] = (struct figure){ "table_kib_peak", s->tables_peak * (UM_TABLE_BYTES / 1024) };
	f[n++] = (struct figure){ "entries", s->entries };
	f[n++] = (struct figure){ "roots", s->roots };
	return n;
}

/* The names of the last ones are put together in `names`. */
static unsigned collect_direct(const struct direct *d, struct figure *f, char names[FALLBACKS][NAME_BYTES])
{
	struct direct_stats s;
	unsigned n = 0;
	direct_get_stats(d, &s);
	f[n++] = (struct figure){ "direct_blocks", s.blocks };
	f[n++] = (struct figure){ "direct_block_bytes", s.block_bytes };
	f[n++] = (struct figure){ "direct_host_bytes", s.host_bytes };
	f[n++] = (struct figure){ "direct_linked", s.linked };
	f[n++] = (struct figure){ "direct_cache_flushes", s.cache_flushes };
	f[n++] = (struct figure){ "direct_code_writes", s.code_writes };
	f[n++] = (struct figure){ "direct_faults", s.faults };
	f[n++] = (struct figure){ "direct_fills", s.fills };
	f[n++] = (struct figure){ "direct_filled_pages", s.filled_pages };
	f[n++] = (struct figure){ "direct_drops", s.drops };
	f[n++] = (struct figure){ "direct_softened", s.softened };
	f[n++] = (struct figure){ "direct_lookups", s.lookups };
	f[n++] = (struct figure){ "direct_exits", s.exits };
	f[n++] = (struct figure){ "direct_worlds_made", s.worlds_made };
	f[n++] = (struct figure){ "direct_worlds_evicted", s.worlds_evicted };
	f[n++] = (struct figure){ "direct_mappings", s.mappings };
	f[n++] = (struct figure){ "direct_mappings_peak", s.mappings_peak };
	f[n++] = (struct figure){ "by_portable", s.by_portable };
	for (unsigned k = 0; k < FALLBACKS && s.fallback[k].name; k++) {
		snprintf(names[k], NAME_BYTES, "by_portable_%s", s.fallback[k].name);
		f[n++] = (struct figure){ names[k], s.fallback[k].count };
	}
	return n;
}

static unsigned collect(struct vm *vm, struct figure f[FIGURES], char names[FALLBACKS][NAME_BYTES])
{
	struct um_stats s;
	struct rusage usage;
	unsigned n = 0;
	um_get_stats(vm_shadow(vm), &s);
	getrusage(RUSAGE_SELF, &usage);
	uint64_t instructions = cpu_instructions(vm_cpu(vm)), ns = vm_now(vm);
	uint64_t busy = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
	                (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	n += collect_shadow(&s, f);
	if (vm_direct(vm))
		n += collect_direct(vm_direct(vm), f + n, names);
	f[n++] = (struct figure){ "process_kib_peak", (uint64_t)usage.ru_maxrss };
	f[n++] = (struct figure){ "milliseconds", ns / 1000000 };
	f[n++] = (struct figure){ "cpu_milliseconds", busy / 1000 };
	/* The direct engine does not count them. */
	if (!vm_direct(vm)) {
		f[n++] = (struct figure){ "instructions", instructions };
		f[n++] = (struct figure){ "mips", busy ? instructions / busy : 0 };
	}
	return n;
}

/* ---- 2. Printing ---------------------------------------------------------------------------- */

/* For people: what the figures from this one on are of. */
static const struct {
	const char *first, *of;
} groups[] = {
	{ "faults", "page faults, and the shadow entries made at them" },
	{ "tracked_writes", "the guest's writes to its page tables" },
	{ "switches", "other address spaces (CR3), and flushes" },
	{ "tables_made", "the shadow's own tables" },
	{ "direct_blocks", "direct engine: translated code" },
	{ "direct_faults", "direct engine: the shadow on the host's MMU" },
	{ "by_portable", "instructions left to the portable engine, by reason" },
	{ "process_kib_peak", "this process" },
};

static void add_heading(const char *name, bool first, struct text *out)
{
	for (size_t k = 0; k < sizeof groups / sizeof groups[0]; k++)
		if (strcmp(name, groups[k].first) == 0)
			text_add(out, "%s-- %s\n", first ? "" : "\n", groups[k].of);
}

static void format_figures(const struct figure *f, unsigned count, bool json, struct text *out)
{
	for (unsigned k = 0; k < count; k++) {
		char name[NAME_BYTES];
		snprintf(name, sizeof name, "%s", f[k].name);
		if (!json)
			add_heading(name, k == 0, out);
		for (char *at = name; *at; at++)
			if (!isalnum((unsigned char)*at))
				*at = json ? '_' : ' ';
		if (json)
			text_add(out, "%s\"%s\":%" PRIu64, k ? "," : "{", name, f[k].value);
		else
			text_add(out, "%-29s %14" PRIu64 "\n", name, f[k].value);
	}
	if (json)
		text_add(out, "}\n");
}

void describe_stats(struct vm *vm, enum stats how, struct text *out)
{
	struct figure f[FIGURES];
	char names[FALLBACKS][NAME_BYTES];
	unsigned count = collect(vm, f, names);
	format_figures(f, count, how == STATS_JSON, out);
}

void print_figures(const struct figure *f, unsigned count, enum stats how, FILE *to)
{
	struct text text = { 0 };
	if (how == STATS_NONE)
		return;
	format_figures(f, count, how == STATS_JSON, &text);
	fputs(text_string(&text), to);
	text_free(&text);
}

void print_stats(struct vm *vm, enum stats how, FILE *to)
{
	struct figure f[FIGURES];
	char names[FALLBACKS][NAME_BYTES];
	unsigned count = collect(vm, f, names);
	print_figures(f, count, how, to);
}

/* ---- 3. Hypercalls -------------------------------------------------------------------------- */

static void print_calls_json(const struct lguest_stats *s, enum lguest_family family, FILE *to)
{
	fputs("{\"hypercalls\":{", to);
	for (unsigned n = 0, first = 1; n < LGUEST_CALLS; n++) {
		const struct lguest_call_stats *c = &s->call[n];
		if (!c->direct && !c->async)
			continue;
		fprintf(to, "%s\"%s\":{\"direct\":%" PRIu64 ",\"async\":%" PRIu64 ",\"nanoseconds\":%" PRIu64 "}",
		        first ? "" : ",", lguest_call_name(family, n), c->direct, c->async, c->nanoseconds);
		first = 0;
	}
	fprintf(to, "},\"family\":\"%s\",\"interrupts\":%" PRIu64 ",\"traps_reflected\":%" PRIu64
	            ",\"instructions_emulated\":%" PRIu64 ",\"needless_send_interrupts\":%" PRIu64 "}\n",
	        lguest_family_name(family), s->interrupts, s->reflected, s->emulated, s->needless_sends);
}

void print_hypercalls(struct vm *vm, enum stats how, FILE *to)
{
	struct lguest *lg = vm_lguest(vm);
	struct lguest_stats s;
	if (!lg)
		return;
	enum lguest_family family = lguest_family(lg);
	lguest_get_stats(lg, &s);
	if (how == STATS_JSON) {
		print_calls_json(&s, family, to);
		return;
	}
	fprintf(to, "hypercall            direct      async    ns each  (family %s)\n", lguest_family_name(family));
	for (unsigned n = 0; n < LGUEST_CALLS; n++) {
		const struct lguest_call_stats *c = &s.call[n];
		uint64_t count = c->direct + c->async;
		if (count)
			fprintf(to, "%-16s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 "\n", lguest_call_name(family, n),
			        c->direct, c->async, c->nanoseconds / count);
	}
	fprintf(to,
	        "interrupts injected  %" PRIu64 "\ntraps reflected      %" PRIu64 "\ninstructions emulated %" PRIu64
	        "\nneedless SEND_INTERRUPTS %" PRIu64 "\n",
	        s.interrupts, s.reflected, s.emulated, s.needless_sends);
}
