/* SPDX-License-Identifier: MIT */
/*
 * scope/check_text.c - findings as text and as JSON.
 *
 *   1. The kinds      what each is called and what it means: one table
 *   2. Pieces         places, entries
 *   3. Text
 *   4. JSON           docs/SCOPE.md has the fields
 *   5. All of them
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "scope/check_internal.h"

/* ---- 1. The kinds --------------------------------------------------------------------------- */

static const struct {
	unsigned check;
	const char *name, *check_name, *title;
	const char *outcome; /* what a real processor may do */
} kinds[FINDINGS] = {
	[FOUND_GONE] = { CHECK_TLB, "unmapped", "tlb", "a page is used that was unmapped and not flushed",
		"The access faults here. A processor that still holds the translation lets it pass." },
	[FOUND_RIGHTS] = { CHECK_TLB, "rights", "tlb", "a page is used with rights that were taken away and not flushed",
		"The access faults here. A processor that still holds the translation lets it pass." },
	[FOUND_FRAME] = { CHECK_TLB, "frame", "tlb", "a page is used that was mapped elsewhere and not flushed",
		"A processor that still holds the translation accesses the old frame." },
	[FOUND_UPPER] = { CHECK_TLB, "directory", "tlb", "a directory entry was changed and not flushed",
		"A processor that still holds the directory entry goes by the old table." },
	[FOUND_SPACES] = { CHECK_TLB, "global", "tlb", "a global page is mapped elsewhere in another address space",
		"A load of CR3 keeps global translations: a processor may use the other space's." },
	[FOUND_RESERVED] = { CHECK_RSVD, "reserved", "rsvd", "a present entry has reserved bits set",
		"Every access by this entry is a page fault with the RSVD bit." },
	[FOUND_PS] = { CHECK_RSVD, "ps", "rsvd", "PS is set in a directory entry while CR4.PSE is clear",
		"The bit is ignored: what was meant as a 4 MiB page is taken for a page table." },
	[FOUND_CR3] = { CHECK_RSVD, "cr3", "rsvd", "CR3 is loaded with an address inside a page",
		"Bits 0-11 do not address: the directory is taken from the start of the page." },
	[FOUND_BEYOND] = { CHECK_BEYOND, "beyond", "beyond", "a mapping is used that leads to no memory and no device",
		"Reads give ones, writes are lost." },
	[FOUND_ALIAS] = { CHECK_ALIAS, "table", "alias", "an entry lets user code write a page table that is in use",
		"User code that writes there maps what it likes." },
	[FOUND_RECURSIVE] = { CHECK_ALIAS, "recursive", "alias", "a recursive directory entry lets user code write page tables",
		"User code that writes there maps what it likes." },
	[FOUND_TABLE_WRITE] = { CHECK_ALIAS, "write", "alias", "user code writes a page table that is in use",
		"It maps what it likes." },
	[FOUND_WX] = { CHECK_WX, "writable-code", "wx", "a kernel that write-protects its code runs some in a writable page",
		"Whoever can write there runs code in ring 0." },
	[FOUND_FREED] = { CHECK_FREED, "freed", "freed", "a table that is linked is filled with what cannot be entries",
		"A processor may walk it any time, and hold what it finds." },
	[FOUND_USER] = { CHECK_USER, "user", "user", "user code tried a page that is the kernel's",
		"It faults." },
	[FOUND_SPLIT] = { CHECK_USER, "split", "user", "user code is refused by the directory entry alone",
		"It faults: U/S has to be set on both levels." },
	[FOUND_HALF] = { CHECK_HALF, "half", "half", "a kernel entry is missing that another directory has",
		"It faults, although the page is mapped in other address spaces." },
	[FOUND_SLOT] = { CHECK_SLOT, "slot", "slot", "tables are looked for in a slot that is not the recursive one",
		"It faults: the slot is empty." },
	[FOUND_WP] = { CHECK_WP, "wp", "wp", "ring 0 writes to a read-only page while CR0.WP is clear",
		"The write passes. With CR0.WP set it is a page fault." },
	[FOUND_STACK_GONE] = { CHECK_STACK, "unmapped", "stack", "the page of the running stack is unmapped",
		"The next push faults as soon as the translation is gone, and so does the fault's own: a double fault." },
	[FOUND_STACK_READ_ONLY] = { CHECK_STACK, "read-only", "stack", "the page of the running stack is made read-only",
		"The next push faults as soon as the translation is gone, and so does the fault's own: a double fault." },
};

unsigned finding_check(enum finding_kind kind)
{
	return kinds[kind].check;
}

/* ---- 2. Pieces ------------------------------------------------------------------------------ */

static void add_place(const struct check *k, uint32_t eip, struct text *out)
{
	char name[128];
	symbols_name(k->symbols, eip, name, sizeof name);
	text_add(out, "%08" PRIx32 "%s%s", eip, name[0] ? " " : "", name);
}

static const char *access_name(unsigned access)
{
	return access & UM_FETCH ? "fetch" : access & UM_WRITE ? "write" : "read";
}

/* "frame 00123, writable, user, accessed, dirty" */
static void add_entry(uint32_t entry, struct text *out)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} bits[] = {
		{ PTE_RW, "writable" }, { PTE_US, "user" }, { 1u << 3, "PWT" }, { 1u << 4, "PCD" }, { PTE_A, "accessed" },
		{ PTE_D, "dirty" }, { PTE_PS, "PS" }, { PTE_G, "global" },
	};
	if (!(entry & PTE_P)) {
		text_add(out, "not present");
		return;
	}
	text_add(out, "frame %08" PRIx32, entry & ~0xFFFu);
	for (size_t n = 0; n < sizeof bits / sizeof bits[0]; n++)
		if (entry & bits[n].bit)
			text_add(out, ", %s", bits[n].name);
}

/* The entry that decides. */
static bool is_leaf_known(const struct finding *f)
{
	return f->walked && f->now.pte_gpa;
}

static uint32_t deciding_entry(const struct finding *f, uint64_t *gpa)
{
	*gpa = is_leaf_known(f) ? f->now.pte_gpa : f->now.pde_gpa;
	return is_leaf_known(f) ? f->now.pte : f->now.pde;
}

/* ---- 3. Text -------------------------------------------------------------------------------- */

static void add_use(const struct check *k, const struct finding *f, struct text *out)
{
	text_add(out, f->kind == FOUND_CR3 ? "  loaded   " : "  used     ");
	add_place(k, f->eip, out);
	text_add(out, "%s, ring %u, ", f->exact ? "" : " (or soon after)", f->ring);
	if (f->uses)
		text_add(out, "%s of %08" PRIx32 ", ", access_name(f->access), f->linear);
	text_add(out, "CR3 %08" PRIx32 "\n", f->kind == FOUND_CR3 ? f->value : f->cr3);
}

static void add_held(const struct finding *f, struct text *out)
{
	uint64_t gpa;
	uint32_t entry;
	if (f->holds) {
		text_add(out, "  held     ");
		add_entry(f->held | PTE_P, out);
		text_add(out, "%s\n", f->held_large ? " (4 MiB)" : "");
	}
	if (!f->walked)
		return;
	entry = deciding_entry(f, &gpa);
	text_add(out, "  now      ");
	add_entry(entry, out);
	text_add(out, " (%s %08" PRIx32 " at physical %08" PRIx64 ")\n", is_leaf_known(f) ? "PTE" : "PDE", entry, gpa);
	if (is_leaf_known(f)) {
		text_add(out, "           by ");
		add_entry(f->now.pde, out);
		text_add(out, " (PDE %08" PRIx32 " at physical %08" PRIx64 ")\n", f->now.pde, f->now.pde_gpa);
	}
}

static void add_writer(const struct check *k, const struct finding *f, struct text *out)
{
	const struct written *w = &f->write;
	text_add(out, "  written  ");
	if (w->device) {
		text_add(out, "by a device or a debugger: physical %08" PRIx32, w->gpa);
	} else {
		add_place(k, w->eip, out);
		text_add(out, "%s, ring %u, CR3 %08" PRIx32 "\n           physical %08" PRIx32, w->exact ? "" : " (or soon after)",
		         w->ring, w->cr3, w->gpa);
	}
	if (w->known)
		text_add(out, ": %08" PRIx32 " -> %08" PRIx32 " (", w->old, w->new), add_entry(w->old, out),
			text_add(out, " -> "), add_entry(w->new, out), text_add(out, ")");
	text_add(out, "\n");
	for (unsigned n = 0; n < w->depth; n++) {
		text_add(out, "           called from ");
		add_place(k, w->trace[n], out);
		text_add(out, "\n");
	}
	if (f->uses && f->at >= w->at)
		text_add(out, "  between  %" PRIu64 " instruction%s\n", f->at - w->at, f->at - w->at == 1 ? "" : "s");
}

static void add_outcome(const struct finding *f, struct text *out)
{
	text_add(out, "  so       %s\n", kinds[f->kind].outcome);
	switch (f->kind) {
	case FOUND_GONE: case FOUND_RIGHTS: case FOUND_FRAME:
		text_add(out, "           It may still %s frame %08" PRIx32 ". INVLPG of %08" PRIx32 " after the change, or %s, is missing.\n",
		         access_name(f->access), f->held & ~0xFFFu, f->linear,
		         f->held & PTE_G ? "a flush of global pages (CR4.PGE)" : "a load of CR3");
		break;
	case FOUND_UPPER:
		text_add(out, "           INVLPG of any address after the change, or a load of CR3, is missing.\n");
		break;
	case FOUND_RESERVED: case FOUND_CR3:
		text_add(out, "           The bits: %08" PRIx32 " of %s.\n", f->kind == FOUND_CR3 ? f->value & 0xFFFu : f->value,
		         f->kind == FOUND_CR3 ? "CR3" : "the entry");
		break;
	case FOUND_ALIAS: case FOUND_FREED: case FOUND_TABLE_WRITE:
		text_add(out, "           The table: physical %08" PRIx32 ".\n", f->value & PTE_FRAME);
		break;
	case FOUND_RECURSIVE:
		text_add(out, "           The slot: %" PRIu32 ", addresses from %08" PRIx32 ".\n", f->value, f->value << 22);
		break;
	case FOUND_HALF:
		text_add(out, "           The directory at physical %08" PRIx32 " has entry %" PRIu32 ".\n", f->value, f->linear >> 22);
		break;
	case FOUND_SLOT:
		text_add(out, "           Slot %" PRIu32 " leads to the directory itself: the same word is at %08" PRIx32 " there.\n",
		         f->value, through_slot(f->linear, f->value));
		break;
	case FOUND_STACK_GONE: case FOUND_STACK_READ_ONLY:
		text_add(out, "           ESP is %08" PRIx32 ".\n", f->value);
		break;
	default:
		break;
	}
}

void finding_text(const struct check *k, const struct finding *f, struct text *out)
{
	text_add(out, "check: %s: %s\n", kinds[f->kind].check_name, kinds[f->kind].title);
	if (f->uses || f->kind == FOUND_CR3)
		add_use(k, f, out);
	add_held(f, out);
	if (f->is_written)
		add_writer(k, f, out);
	else if (f->holds)
		text_add(out, "  written  by whom is not known any more\n");
	add_outcome(f, out);
}

/* ---- 4. JSON -------------------------------------------------------------------------------- */

static void json_place(const struct check *k, uint32_t eip, struct text *out)
{
	char name[128];
	symbols_name(k->symbols, eip, name, sizeof name);
	text_add(out, "{\"eip\":%" PRIu32 ",\"symbol\":", eip);
	if (name[0])
		text_add_json(out, name);
	else
		text_add(out, "null");
}

static void json_writer(const struct check *k, const struct written *w, struct text *out)
{
	text_add(out, ",\"writer\":");
	if (w->device) {
		text_add(out, "{\"device\":true");
	} else {
		json_place(k, w->eip, out);
		text_add(out, ",\"exact\":%s,\"ring\":%u,\"cr3\":%" PRIu32 ",\"callers\":[", w->exact ? "true" : "false", w->ring,
		         w->cr3);
		for (unsigned n = 0; n < w->depth; n++) {
			text_add(out, "%s", n ? "," : "");
			json_place(k, w->trace[n], out);
			text_add(out, "}");
		}
		text_add(out, "]");
	}
	text_add(out, ",\"entry\":%" PRIu32 ",\"instruction\":%" PRIu64, w->gpa, w->at);
	if (w->known)
		text_add(out, ",\"old\":%" PRIu32 ",\"new\":%" PRIu32, w->old, w->new);
	text_add(out, "}");
}

void finding_json(const struct check *k, const struct finding *f, struct text *out)
{
	text_add(out, "{\"check\":\"%s\",\"kind\":\"%s\",\"title\":", kinds[f->kind].check_name, kinds[f->kind].name);
	text_add_json(out, kinds[f->kind].title);
	text_add(out, ",\"count\":%" PRIu64 ",\"at\":", f->count);
	json_place(k, f->eip, out);
	text_add(out, ",\"exact\":%s,\"ring\":%u,\"cr3\":%" PRIu32 ",\"instruction\":%" PRIu64 "}", f->exact ? "true" : "false",
	         f->ring, f->cr3, f->at);
	if (f->uses)
		text_add(out, ",\"access\":\"%s\",\"linear\":%" PRIu32, access_name(f->access), f->linear);
	if (f->holds)
		text_add(out, ",\"held\":{\"frame\":%" PRIu32 ",\"writable\":%s,\"user\":%s,\"dirty\":%s,\"global\":%s,\"large\":%s}",
		         f->held >> 12, f->held & PTE_RW ? "true" : "false", f->held & PTE_US ? "true" : "false",
		         f->held & PTE_D ? "true" : "false", f->held & PTE_G ? "true" : "false", f->held_large ? "true" : "false");
	if (f->walked)
		text_add(out, ",\"now\":{\"pde\":%" PRIu32 ",\"pde_at\":%" PRIu64 ",\"pte\":%" PRIu32 ",\"pte_at\":%" PRIu64 "}",
		         f->now.pde, f->now.pde_gpa, f->now.pte, f->now.pte_gpa);
	if (f->is_written)
		json_writer(k, &f->write, out);
	if (f->value)
		text_add(out, ",\"value\":%" PRIu32, f->value);
	text_add(out, ",\"outcome\":");
	text_add_json(out, kinds[f->kind].outcome);
	text_add(out, "}");
}

void finding_full(const struct check *k, enum finding_kind kind, struct text *out)
{
	if (checks(k, CHECK_JSON))
		text_add(out, "{\"check\":\"%s\",\"kind\":\"%s\",\"full\":true}", kinds[kind].check_name, kinds[kind].name);
	else
		text_add(out, "check: %s: %u places reported, more are only counted: %s\n", kinds[kind].check_name, REPORTS_EACH,
		         kinds[kind].title);
}

/* ---- 5. All of them ------------------------------------------------------------------------- */

unsigned check_reports(const struct check *k, uint64_t *met)
{
	if (met)
		*met = k->reports.met;
	return k->reports.count;
}

static void describe_json(const struct check *k, struct text *out)
{
	const struct reports *r = &k->reports;
	const char *help, *name;
	bool any = false;
	text_add(out, "{\"checks\":[");
	for (unsigned n = 1; (name = check_word(n, &help)); n++) {
		unsigned bit;
		const char *bad;
		if (check_parse(name, &bit, &bad) && bit & CHECK_ALL & k->what) {
			text_add(out, "%s\"%s\"", any ? "," : "", name);
			any = true;
		}
	}
	text_add(out, "],\"reports\":[");
	for (unsigned n = 0; n < r->count; n++) {
		text_add(out, "%s", n ? "," : "");
		finding_json(k, &r->list[n], out);
	}
	text_add(out, "],\"met\":%" PRIu64 ",\"more\":%" PRIu64 "}", r->met, r->more);
}

void check_describe(const struct check *k, bool json, struct text *out)
{
	const struct reports *r = &k->reports;
	if (json) {
		describe_json(k, out);
		return;
	}
	for (unsigned n = 0; n < r->count; n++) {
		finding_text(k, &r->list[n], out);
		text_add(out, "  met      %" PRIu64 " time%s\n\n", r->list[n].count, r->list[n].count == 1 ? "" : "s");
	}
	if (r->more)
		text_add(out, "%" PRIu64 " findings more, at places that had no room\n", r->more);
	if (!r->count)
		text_add(out, "nothing was found\n");
}
